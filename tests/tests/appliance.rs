//! The image of the memory card on emulated machines: power on, screen, images over the line, power cuts, updates.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, MutexGuard},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;
use system_tests::{
    PLAIN_MODEL, code, files, host, json_lines,
    machine::{Board, Card, Machine},
    real_data, said, synthetic_radiographs, within,
};

/// Longest time to READY that is waited for on a generic machine and on a Raspberry Pi with its boot loader: several times
/// what they take, for the computer that emulates them may be busy.
const READY: Duration = Duration::from_secs(90);
const READY_PI: Duration = Duration::from_secs(400);

/// One machine at a time: each takes a processor of its own.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tells a figure in the log of the tests, past the harness, which keeps to itself what a passing test says.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Three radiographs: real ones where they are.
fn radiographs(folder: &Path) -> Vec<PathBuf> {
    match real_data() {
        Some(data) => files(&data.join("originals")).into_iter().step_by(11).take(3).collect(),
        None => synthetic_radiographs(folder, 3),
    }
}

/// What this computer says of them.
fn predicted(images: &[PathBuf]) -> Vec<Value> {
    let output =
        host([OsStr::new("predict"), "--json".as_ref()].into_iter().chain(images.iter().map(|i| i.as_os_str())));
    json_lines(&output)
}

fn sent(machine: &Machine, images: &[PathBuf]) -> Vec<Value> {
    let output = machine.host("send", [OsStr::new("--json")].into_iter().chain(images.iter().map(|i| i.as_os_str())));
    let lines = json_lines(&output);
    assert_eq!(lines.len(), images.len(), "{}", said(&output));
    lines
}

fn assert_same_answers(predicted: &[Value], sent: &[Value]) {
    for (ours, theirs) in predicted.iter().zip(sent) {
        for field in ["path", "verdict", "code", "probability"] {
            assert_eq!(ours[field], theirs[field], "{field} of {ours} and {theirs}");
        }
    }
}

fn records(machine: &Machine) -> Vec<Value> {
    let output = machine.host("results", ["--json"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output)
}

#[test]
fn power_on_screen_verdicts_and_memory() {
    let _alone = alone();
    let Some(card) = Card::available() else { return };
    let folder = tempfile::tempdir().unwrap();
    let images = radiographs(&folder.path().join("images"));
    let mut machine = card.start(&card.copy("whole"), Board::Virtual, None).unwrap();
    let info = machine.ready(READY).unwrap();
    assert_eq!((&info["boot"], &info["records"]), (&1.into(), &0.into()), "{info}");
    tell(&format!("from the start of the kernel to READY: {:.2} s", machine.logged_at("READY").unwrap()));

    assert_same_answers(&predicted(&images), &sent(&machine, &images));
    let picture = folder.path().join("screen.png");
    let fetched = machine.host("screenshot", [&picture]);
    assert_eq!(code(&fetched), 0, "{}", said(&fetched));
    let told = image::open(&picture).unwrap().into_rgb8();
    let seen = machine.screendump(&folder.path().join("dump.png")).unwrap();
    assert!(told == seen, "the emulator's screen ({}x{}) is another", seen.width(), seen.height());

    // The peak of the memory stands in the log whenever it has grown by a MiB.
    let peaks = |machine: &Machine| -> Vec<u64> {
        let log = machine.log();
        let words =
            log.lines().filter_map(|line| line.split_once("the worker has held ")?.1.split(' ').next()?.parse().ok());
        words.collect()
    };
    for _ in 0..17 {
        sent(&machine, &images);
    }
    sleep(Duration::from_secs(3));
    let after_fifty = *peaks(&machine).last().unwrap();
    for _ in 0..17 {
        sent(&machine, &images);
    }
    sleep(Duration::from_secs(3));
    let after_hundred = *peaks(&machine).last().unwrap();
    tell(&format!("most memory after 54 images: {after_fifty} KiB; after 105: {after_hundred} KiB"));
    assert!(after_hundred <= 32 * 1024, "{after_hundred} KiB");
    // It is told in steps of a MiB.
    assert!(after_hundred <= after_fifty + 2048, "it grows: {after_fifty} KiB, then {after_hundred} KiB");
}

/// Cuts the power at many moments: while an image comes in, while it is judged, and right after the answer.
#[test]
fn acknowledged_results_outlive_every_power_cut() {
    const CUTS: usize = 21;
    let _alone = alone();
    let Some(card) = Card::available() else { return };
    let folder = tempfile::tempdir().unwrap();
    let images = radiographs(&folder.path().join("images"));
    let disk = card.copy("cuts");
    let mut acknowledged = BTreeMap::new();
    let mut moments = [0; 3];
    for cut in 0..CUTS {
        let mut machine = card.start(&disk, Board::Virtual, None).unwrap();
        let info = machine.ready(READY).unwrap();
        assert_eq!(info["boot"], cut + 1, "{info}");
        check_journal(&machine, &acknowledged);
        let mut child = machine
            .command("send", [OsStr::new("--json"), images[cut % 3].as_os_str()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        if cut % 3 == 2 {
            // Right after the acknowledgement.
            let line = stdout.lines().next().unwrap().unwrap();
            let answer: Value = serde_json::from_str(&line).unwrap();
            acknowledged.insert(answer["record"].as_u64().unwrap(), answer["image"].clone());
            machine.cut_power();
            moments[2] += 1;
        } else {
            // From the connection on, which takes some tenths of a second, to the answer.
            sleep(Duration::from_millis(150 + 90 * (cut as u64 / 3 * 2 + cut as u64 % 3)));
            machine.cut_power();
            // What was acknowledged before the cut counts as well.
            match stdout.lines().next().and_then(|line| serde_json::from_str::<Value>(&line.ok()?).ok()) {
                Some(answer) if answer["record"].is_u64() => {
                    acknowledged.insert(answer["record"].as_u64().unwrap(), answer["image"].clone());
                    moments[1] += 1;
                }
                _ => moments[0] += 1,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut machine = card.start(&disk, Board::Virtual, None).unwrap();
    machine.ready(READY).unwrap();
    check_journal(&machine, &acknowledged);
    tell(&format!(
        "{CUTS} power cuts: {} before the answer, {} soon after it, {} right after it; {} results acknowledged, all there",
        moments[0],
        moments[1],
        moments[2],
        acknowledged.len()
    ));
}

/// Every acknowledged result is there, none twice, numbered without gaps.
fn check_journal(machine: &Machine, acknowledged: &BTreeMap<u64, Value>) {
    let kept = records(machine);
    for (index, record) in (1..).zip(&kept) {
        assert_eq!(record["number"], index, "{kept:?}");
    }
    for (number, image) in acknowledged {
        let found = kept.iter().find(|record| record["number"] == *number);
        assert_eq!(found.map(|record| &record["image"]), Some(image), "result {number} of {kept:?}");
    }
}

#[test]
fn a_model_update_is_whole_or_not_at_all() {
    let _alone = alone();
    let Some(card) = Card::available() else { return };
    let disk = card.copy("update");
    let mut digests = Vec::new();
    for cut in 0..6_u64 {
        let mut machine = card.start(&disk, Board::Virtual, None).unwrap();
        let info = machine.ready(READY).unwrap();
        digests.push(info["model_digest"].as_str().unwrap().to_owned());
        let mut child =
            machine.command("update", [PLAIN_MODEL]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(150 + 60 * cut));
        machine.cut_power();
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut machine = card.start(&disk, Board::Virtual, None).unwrap();
    machine.ready(READY).unwrap();
    let output = machine.host("update", [PLAIN_MODEL]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let new = machine.ready(READY).unwrap()["model_digest"].as_str().unwrap().to_owned();
    let switched = digests.iter().position(|digest| *digest == new).unwrap_or(digests.len());
    assert!(switched > 0 && digests[..switched].iter().all(|digest| *digest == digests[0]), "{digests:?}");
    assert!(digests[switched..].iter().all(|digest| *digest == new), "{digests:?}");
    machine.cut_power();
    let mut machine = card.start(&disk, Board::Virtual, None).unwrap();
    assert_eq!(machine.ready(READY).unwrap()["model_digest"], new.as_str(), "it is there after a restart");
}

#[test]
fn the_image_starts_a_raspberry_pi_through_its_boot_loader() {
    let _alone = alone();
    let Some(card) = Card::available() else { return };
    let folder = tempfile::tempdir().unwrap();
    let images = radiographs(folder.path());
    let mut machine = card.start(&card.copy("pi"), Board::Pi3, None).unwrap();
    let start = std::time::Instant::now();
    machine.ready(READY_PI).unwrap();
    tell(&format!("emulated Raspberry Pi 3 through U-Boot: READY after {:.0} s", start.elapsed().as_secs_f64()));
    assert_same_answers(&predicted(&images[..1]), &sent(&machine, &images[..1]));
    let shows_a_radiograph = || {
        let screen = machine.screendump(&folder.path().join("dump.png")).unwrap();
        // It has many grey values; other screens have few colours.
        screen.pixels().map(|pixel| pixel.0).collect::<BTreeSet<_>>().len() > 50
    };
    assert!(within(Duration::from_secs(30), shows_a_radiograph));
}

/// A folder of files as `/usb` of an initial file system.
fn packed(folder: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut add = |name: &str, mode: u32, bytes: &[u8]| {
        let mut entry = cpio::newc::Builder::new(name).mode(mode).write(&mut archive, bytes.len() as u32);
        entry.write_all(bytes).unwrap();
        entry.finish().unwrap();
    };
    add("usb", 0o040_755, &[]);
    for file in files(folder) {
        let name = format!("usb/{}", file.file_name().unwrap().to_str().unwrap());
        add(&name, 0o100_755, &std::fs::read(&file).unwrap());
    }
    cpio::newc::trailer(&mut archive).unwrap();
    archive
}

/// The box as a USB device of a host, both within the machine: `dummy_hcd` joins the gadget to the host's driver. A shell
/// joins the host's port to the second console.
#[test]
fn the_usb_gadget_carries_a_radiograph() {
    let _alone = alone();
    let Some(card) = Card::available() else { return };
    let Some(files) = std::env::var_os("PUMUA_TEST_USB") else {
        return tell("skipped: no second host for USB (PUMUA_TEST_USB names its files; .ci/box makes them)");
    };
    let folder = tempfile::tempdir().unwrap();
    let images = radiographs(folder.path());
    let archive = packed(Path::new(&files));
    let mut machine = card.start(&card.copy("usb"), Board::Virtual, Some((&archive, "rdinit=/usb/init"))).unwrap();
    machine.ready(READY).unwrap();
    machine.port.clone_from(&machine.second);
    assert!(within(READY, || code(&machine.host("info", ["--json"])) == 0), "no answer over USB:\n{}", machine.log());
    assert_same_answers(&predicted(&images[..1]), &sent(&machine, &images[..1]));
    assert_eq!(records(&machine).len(), 1);
}
