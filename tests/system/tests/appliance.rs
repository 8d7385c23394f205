//! The image of the memory card on emulated machines: power on, screen, images over the line, power cuts, updates.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use shared::verdict::ExamId;
use system_tests::{
    PLAIN_MODEL, assert_same_answers, code, files, json_lines,
    line::Line,
    machine::{Board, Card, Guest, Machine},
    predicted, real_data, said, synthetic_radiographs, within,
};
use tempfile::TempDir;
use wire::{HostEvent, Image, Outcome, Phase};

/// Longest time to READY that is waited for on a generic machine and on a Raspberry Pi with its boot loader: several times
/// what they take, for the computer that emulates them may be busy.
const READY: Duration = Duration::from_secs(90);
const READY_PI: Duration = Duration::from_secs(400);

/// Several signs of life of a worker, after each of which its supervisor looks at its memory. Nothing in the log shows one
/// that brings nothing new.
const SIGNS_OF_LIFE: Duration = Duration::from_secs(3);

/// Prints a figure in the log of the tests, past the harness, which keeps to itself what a passing test says.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What is sent: three radiographs, real ones where they are. A drawing is judged by another model than the one that ships,
/// which refuses it.
struct Radiographs {
    images: Vec<PathBuf>,
    model: Option<&'static str>,
    _folder: TempDir,
}

impl Radiographs {
    fn find() -> Self {
        let folder = TempDir::new().unwrap();
        let (images, model) = match real_data() {
            Some(data) => (files(&data.join("originals")).into_iter().step_by(11).take(3).collect(), None),
            None => (synthetic_radiographs(folder.path(), 3), Some(PLAIN_MODEL)),
        };
        Self { images, model, _folder: folder }
    }

    /// Waits until a machine that has just been switched on for the first time is READY, and gives it the model.
    fn first_ready(&self, machine: &mut Machine, limit: Duration) -> Value {
        let info = machine.ready(limit).unwrap();
        if let Some(model) = self.model {
            let output = machine.host("update", [model]);
            assert_eq!(code(&output), 0, "{}", said(&output));
        }
        info
    }

    /// Sends the first `count` and checks that the box says of them what `pumua predict` says.
    fn check(&self, machine: &Machine, count: usize) {
        let images = &self.images[..count];
        assert_same_answers(&predicted(images, self.model), &sent(machine, images));
    }
}

fn sent(machine: &Machine, images: &[PathBuf]) -> Vec<Value> {
    let output = machine.host("send", [OsStr::new("--json")].into_iter().chain(images.iter().map(|i| i.as_os_str())));
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output)
}

fn records(machine: &Machine) -> Vec<Value> {
    let output = machine.host("results", ["--json"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output)
}

#[test]
fn power_on_screen_verdicts_and_memory() {
    let Some(card) = Card::available() else { return };
    let folder = tempfile::tempdir().unwrap();
    let radiographs = Radiographs::find();
    let mut machine = card.start(&card.copy("whole"), Board::Virtual).unwrap();
    let info = radiographs.first_ready(&mut machine, READY);
    assert_eq!((&info["boot"], &info["records"]), (&1.into(), &0.into()), "{info}");
    tell(&format!("from the start of the kernel to READY: {:.2} s", machine.logged_at("READY").unwrap()));

    radiographs.check(&machine, 3);
    // The peak of the memory stands in the log whenever it has grown by a MiB.
    let peaks = |machine: &Machine| -> Vec<u64> {
        let log = machine.log();
        let words =
            log.lines().filter_map(|line| line.split_once("the worker has held ")?.1.split(' ').next()?.parse().ok());
        words.collect()
    };
    for _ in 0..17 {
        sent(&machine, &radiographs.images);
    }
    sleep(SIGNS_OF_LIFE);
    let after_fifty = *peaks(&machine).last().unwrap();
    for _ in 0..17 {
        sent(&machine, &radiographs.images);
    }
    sleep(SIGNS_OF_LIFE);
    let after_hundred = *peaks(&machine).last().unwrap();
    tell(&format!("most memory after 54 images: {after_fifty} KiB; after 105: {after_hundred} KiB"));
    assert!(after_hundred <= 32 * 1024, "{after_hundred} KiB");
    // It is logged in steps of a MiB.
    assert!(after_hundred <= after_fifty + 2048, "it grows: {after_fifty} KiB, then {after_hundred} KiB");

    // At the end: the emulator's screen may take no picture any more once it was asked for one.
    let picture = folder.path().join("screen.png");
    let fetched = machine.host("screenshot", [&picture]);
    assert_eq!(code(&fetched), 0, "{}", said(&fetched));
    let told = image::open(&picture).unwrap().into_rgb8();
    let seen = machine.screendump(&folder.path().join("dump.png")).unwrap();
    assert!(told == seen, "the emulator's screen ({}x{}) is another", seen.width(), seen.height());
}

/// When the power is cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Cut {
    /// While the image comes in.
    Receiving,
    /// While the image is decoded and judged, and its result stored.
    Analysing,
    /// The result is stored, and the host hears nothing of it any more.
    Unheard,
    /// Right after the answer.
    Answered,
}

#[test]
fn acknowledged_results_outlive_every_power_cut() {
    const ROUNDS: u32 = 4;
    let Some(card) = Card::available() else { return };
    let radiographs = Radiographs::find();
    let (folder, disk) = (TempDir::new().unwrap(), card.copy("cuts"));
    let mut acknowledged = BTreeMap::new();
    let mut seen = [0; 3];
    let (mut sent, mut takes) = (0, Duration::from_secs(1));
    for round in 0..ROUNDS {
        for cut in [Cut::Answered, Cut::Receiving, Cut::Analysing, Cut::Unheard] {
            let mut machine = card.start(&disk, Board::Virtual).unwrap();
            let info =
                if sent == 0 { radiographs.first_ready(&mut machine, READY) } else { machine.ready(READY).unwrap() };
            assert_eq!(info["boot"], sent + 1, "{info}");
            check_journal(&machine, &acknowledged, sent);
            let mut line = Line::connect(&machine.port).unwrap();
            let bytes = std::fs::read(&radiographs.images[sent % 3]).unwrap();
            let image = Image::file(bytes, ExamId::default()).unwrap();
            sent += 1;
            let mut analysing = None;
            let outcome = line.send(image, |event| match *event {
                HostEvent::Sent { done, total } => cut == Cut::Receiving && done >= total / ROUNDS * round,
                HostEvent::Progress { phase: Phase::Decoding | Phase::Analysing, .. } => {
                    analysing = analysing.or(Some(Instant::now()));
                    matches!(cut, Cut::Analysing | Cut::Unheard)
                }
                _ => false,
            });
            let outcome = match (outcome.unwrap(), cut) {
                (None, Cut::Receiving) => None,
                // From the beginning of the analysis to its end.
                (None, Cut::Analysing) => line.wait(takes * round / ROUNDS).unwrap(),
                // Nobody listens to the line meanwhile. What is stored is shown.
                (None, _) => {
                    // The emulator's screen may take no picture any more once it was asked for one.
                    sleep(takes * 2);
                    assert!(within(READY, || shows_a_radiograph(&machine, folder.path())), "{}", machine.log());
                    None
                }
                (answered, _) => answered,
            };
            machine.cut_power();
            match outcome {
                Some(Outcome::Result(record)) => {
                    if cut == Cut::Answered {
                        takes = analysing.unwrap().elapsed();
                    }
                    acknowledged.insert(record.number, record.image.to_string());
                    seen[2] += 1;
                }
                Some(other) => panic!("{other:?}"),
                None => seen[usize::from(cut != Cut::Receiving)] += 1,
            }
        }
    }
    let mut machine = card.start(&disk, Board::Virtual).unwrap();
    machine.ready(READY).unwrap();
    let kept = check_journal(&machine, &acknowledged, sent);
    assert!(kept > acknowledged.len(), "no result was stored that nobody heard of");
    assert!(seen.iter().all(|&cuts| cuts >= 4), "{seen:?}");
    tell(&format!(
        "{sent} power cuts: {} while receiving, {} while analysing or storing, {} right after the answer; {kept} results \
         kept, among them all {} that were acknowledged, none twice",
        seen[0],
        seen[1],
        seen[2],
        acknowledged.len()
    ));
}

/// Every acknowledged result is there, and there are no more than images were sent, numbered without gaps. Returns how many.
fn check_journal(machine: &Machine, acknowledged: &BTreeMap<u64, String>, sent: usize) -> usize {
    let kept = records(machine);
    for (index, record) in (1..).zip(&kept) {
        assert_eq!(record["number"], index, "{kept:?}");
    }
    for (number, image) in acknowledged {
        let found = kept.iter().find(|record| record["number"] == *number);
        assert_eq!(
            found.and_then(|record| record["image"].as_str()),
            Some(image.as_str()),
            "result {number} of {kept:?}"
        );
    }
    assert!(kept.len() <= sent, "{sent} images and {kept:?}");
    kept.len()
}

#[test]
fn a_model_update_is_whole_or_not_at_all() {
    let Some(card) = Card::available() else { return };
    let disk = card.copy("update");
    let mut digests = Vec::new();
    for cut in 0..6_u64 {
        let mut machine = card.start(&disk, Board::Virtual).unwrap();
        let info = machine.ready(READY).unwrap();
        digests.push(info["model_digest"].as_str().unwrap().to_owned());
        let mut child =
            machine.command("update", [PLAIN_MODEL]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(150 + 60 * cut));
        machine.cut_power();
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut machine = card.start(&disk, Board::Virtual).unwrap();
    machine.ready(READY).unwrap();
    let output = machine.host("update", [PLAIN_MODEL]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let new = machine.ready(READY).unwrap()["model_digest"].as_str().unwrap().to_owned();
    let switched = digests.iter().position(|digest| *digest == new).unwrap_or(digests.len());
    assert!(switched > 0 && digests[..switched].iter().all(|digest| *digest == digests[0]), "{digests:?}");
    assert!(digests[switched..].iter().all(|digest| *digest == new), "{digests:?}");
    machine.cut_power();
    let mut machine = card.start(&disk, Board::Virtual).unwrap();
    assert_eq!(machine.ready(READY).unwrap()["model_digest"], new.as_str(), "it is there after a restart");
}

#[test]
fn the_image_starts_a_raspberry_pi_through_its_boot_loader() {
    let Some(card) = Card::available() else { return };
    let folder = tempfile::tempdir().unwrap();
    let radiographs = Radiographs::find();
    let mut machine = card.start(&card.copy("pi"), Board::Pi3).unwrap();
    let start = Instant::now();
    radiographs.first_ready(&mut machine, READY_PI);
    tell(&format!("emulated Raspberry Pi 3 through U-Boot: READY after {:.0} s", start.elapsed().as_secs_f64()));
    radiographs.check(&machine, 1);
    assert!(within(READY_PI, || shows_a_radiograph(&machine, folder.path())));
}

/// Whether the box shows the result of an image.
fn shows_a_radiograph(machine: &Machine, folder: &Path) -> bool {
    let screen = machine.screendump(&folder.join("dump.png")).unwrap();
    // It has many grey values; other screens have few colours.
    screen.pixels().map(|pixel| pixel.0).collect::<BTreeSet<_>>().len() > 50
}

/// The box as a USB device of a host, both within the machine: `dummy_hcd` joins the gadget to the host's driver. A shell
/// joins the host's port to the second console.
#[test]
fn the_usb_gadget_carries_a_radiograph() {
    let Some(card) = Card::available() else { return };
    let Some(mut machine) = card.start_with(Guest::Usb, &card.copy("usb")).unwrap() else { return };
    let radiographs = Radiographs::find();
    radiographs.first_ready(&mut machine, READY);
    machine.port.clone_from(&machine.second);
    assert!(within(READY, || code(&machine.host("info", ["--json"])) == 0), "no answer over USB:\n{}", machine.log());
    radiographs.check(&machine, 1);
    assert_eq!(records(&machine).len(), 1);
}

#[test]
fn a_worker_that_dies_or_hangs_is_replaced() {
    let Some(card) = Card::available() else { return };
    let Some(mut machine) = card.start_with(Guest::Shell, &card.copy("worker")).unwrap() else { return };
    let radiographs = Radiographs::find();
    radiographs.first_ready(&mut machine, READY);
    radiographs.check(&machine, 1);
    for (boot, signal, end) in
        [(2, "KILL", "the worker was ended by signal 9"), (3, "STOP", "the worker hung and was ended")]
    {
        let _console = machine.order(&format!("/guest/busybox kill -{signal} $(/guest/busybox pidof exe)")).unwrap();
        assert!(within(READY, || machine.log().contains(end)), "{}", machine.log());
        assert_eq!(machine.ready(READY).unwrap()["boot"], boot, "{}", machine.log());
        assert_eq!(records(&machine).len(), 1);
    }
    radiographs.check(&machine, 1);
    assert_eq!(records(&machine).len(), 2);
}

/// What reads images, models and hosts' messages is not root, and a keyboard gives no orders to the machine.
#[test]
fn the_worker_has_no_rights_that_it_does_not_need() {
    let Some(card) = Card::available() else { return };
    let Some(mut machine) = card.start_with(Guest::Shell, &card.copy("rights")).unwrap() else { return };
    let radiographs = Radiographs::find();
    radiographs.first_ready(&mut machine, READY);
    radiographs.check(&machine, 3);
    let _console = machine
        .order(
            "echo \"rights: $(/guest/busybox grep -E '^(Uid|Groups|CapEff|NoNewPrivs|Seccomp):' \
             /proc/$(/guest/busybox pidof exe)/status | /guest/busybox tr -s '\\t\\n' '  '); \
             sysrq $(/guest/busybox cat /proc/sys/kernel/sysrq); \
             $(/guest/busybox grep ' /data ' /proc/mounts)\" >/dev/kmsg",
        )
        .unwrap();
    assert!(within(READY, || machine.log().contains("rights: ")), "{}", machine.log());
    let log = machine.log();
    for expected in
        ["Uid: 990 990 990 990", "Groups: CapEff: 0000000000000000", "NoNewPrivs: 1 Seccomp: 2", "; sysrq 0;"]
    {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    // What is done about a damaged file system is shown only where it is not what the file system itself says: to write no more.
    for unwanted in ["errors=", "not restricted", "cannot be handed over", "no filter of system calls", "its decoder"] {
        assert!(!log.contains(unwanted), "{unwanted}: {log}");
    }
}

#[test]
fn a_machine_that_hangs_is_started_anew_by_its_watchdog() {
    let Some(card) = Card::available() else { return };
    let Some(mut machine) = card.start_with(Guest::Shell, &card.copy("hung")).unwrap() else { return };
    let radiographs = Radiographs::find();
    radiographs.first_ready(&mut machine, READY);
    radiographs.check(&machine, 1);
    // The kernel panics and stays so.
    let _console = machine.order("echo c >/proc/sysrq-trigger").unwrap();
    assert!(within(READY, || machine.log().contains("end Kernel panic")), "{}", machine.log());
    assert_eq!(machine.ready(READY).unwrap()["boot"], 2, "{}", machine.log());
    assert_eq!(records(&machine).len(), 1);
}
