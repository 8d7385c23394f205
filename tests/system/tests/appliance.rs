//! The image of the memory card on emulated machines: power on, screen, images over the line, power cuts, updates.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use shared::{
    appliance::slots::{BootState, MOST_TRIES, STATE_SECTORS, Slot},
    verdict::ExamId,
};
use system_tests::{
    PLAIN_MODEL,
    bundle::write_broken,
    code,
    dicom::{has, radiographs},
    host, json_lines,
    line::Line,
    machine::{Board, Card, Guest, Machine, boot_states, bundle, set_boot_state, set_sector, set_slot},
    predicted,
    radiographs::{READY, READY_PI, Radiographs, numbers_and_images, records, sent, tell},
    said, within,
};
use tempfile::TempDir;
use wire::{HostEvent, Image, Outcome, Phase};

/// Longer than an emulated kernel takes from its start to its panic where its first process cannot run.
const PANIC: Duration = Duration::from_secs(30);
/// The secret half of the test key.
const TEST_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/trust/test-signer.key");

/// Several signs of life of a worker, after each of which its supervisor looks at its memory. Nothing in the log shows one
/// that brings nothing new.
const SIGNS_OF_LIFE: Duration = Duration::from_secs(3);

#[test]
fn power_on_screen_verdicts_and_memory() {
    let Some(card) = Card::available().map(Card::with_own_clock) else { return };
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
    // One that was started anew would have held little.
    assert_eq!(machine.log().matches("READY with").count(), 1, "{}", machine.log());
    tell(&format!("most memory after 54 images: {after_fifty} KiB; after 105: {after_hundred} KiB"));
    assert!(after_hundred <= 32 * 1024, "{after_hundred} KiB");
    // It is logged in steps of a MiB.
    assert!(after_hundred <= after_fifty + 2048, "it grows: {after_fifty} KiB, then {after_hundred} KiB");

    // At the end: the emulator's screen may take no picture any more once it was asked for one.
    let picture = folder.path().join("screen.png");
    machine.done("screenshot", [&picture]);
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
    machine.done("update", [PLAIN_MODEL]);
    let new = machine.ready(READY).unwrap()["model_digest"].as_str().unwrap().to_owned();
    let switched = digests.iter().position(|digest| *digest == new).unwrap_or(digests.len());
    assert!(switched > 0 && digests[..switched].iter().all(|digest| *digest == digests[0]), "{digests:?}");
    assert!(digests[switched..].iter().all(|digest| *digest == new), "{digests:?}");
    machine.cut_power();
    let mut machine = card.start(&disk, Board::Virtual).unwrap();
    assert_eq!(machine.ready(READY).unwrap()["model_digest"], new.as_str(), "it is there after a restart");
}

/// The boot loader of the card starts it on an emulated Raspberry Pi, whatever the slots hold; the whole program is replaced by one that
/// comes over the line; one that cannot run gives way again. The bundles are sent to a generic machine, whose line is quick and which is
/// told what a boot loader would have told it. The Raspberry Pi cannot restart itself: somebody takes its power away instead.
#[test]
fn the_boot_loader_starts_what_serves_and_comes_back_from_what_does_not() {
    let Some(card) = Card::available() else { return };
    let (folder, disk) = (TempDir::new().unwrap(), card.copy("pi"));
    let radiographs = Radiographs::find();
    let says = |good, tries| boot_states(&disk).unwrap() == [Some(BootState { good, tries }); 2];

    // The slot that is to be started is empty, as it is on a new card: that is not all that is tried.
    set_boot_state(&disk, BootState { good: Slot::B, tries: 0 }).unwrap();
    let mut machine = card.start(&disk, Board::Pi3).unwrap();
    let start = Instant::now();
    let info = radiographs.first_ready(&mut machine, READY_PI);
    tell(&format!("emulated Raspberry Pi 3 through U-Boot: READY after {:.0} s", start.elapsed().as_secs_f64()));
    assert_eq!(info["slot"], "a", "{info}");
    radiographs.check(&machine, 1);
    let results = numbers_and_images(&machine);
    assert_eq!(results.len(), 1);
    assert!(within(READY_PI, || shows_a_radiograph(&machine, folder.path())));
    machine.cut_power();

    let Some(bundle) = bundle() else { return };
    let send = |bundle: &Path| {
        let mut machine = card.start_slot(&disk).unwrap();
        let info = machine.ready(READY).unwrap();
        let start = Instant::now();
        machine.done("update", [bundle]);
        tell(&format!("a bundle was sent and stored within {:.0} s", start.elapsed().as_secs_f64()));
        machine.cut_power();
        info
    };
    let info = send(&bundle);
    assert_eq!(info["slot"], "a", "{info}");
    assert!(says(Slot::A, MOST_TRIES), "{:?}", boot_states(&disk));

    // It takes a try away before it starts the new one, which then stays.
    let mut machine = card.start(&disk, Board::Pi3).unwrap();
    assert!(within(READY_PI, || says(Slot::A, MOST_TRIES - 1)), "{:?}", boot_states(&disk));
    let info = machine.ready(READY_PI).unwrap();
    assert_eq!(info["slot"], "b", "{info}");
    assert_eq!(numbers_and_images(&machine), results);
    assert!(within(READY_PI, || says(Slot::B, 0)), "it stays: {:?}", boot_states(&disk));
    machine.cut_power();

    let broken = folder.path().join("broken.pumua");
    write_broken(&bundle, &broken).unwrap();
    let signed = host(["sign", broken.to_str().unwrap(), "--key", TEST_KEY, "--counter", "100"]);
    assert_eq!(code(&signed), 0, "{}", said(&signed));
    send(&broken);
    assert!(says(Slot::B, MOST_TRIES), "{:?}", boot_states(&disk));

    // The last try of one that cannot run. The first copy of the boot state cannot be read: the second one counts, and both are written.
    set_boot_state(&disk, BootState { good: Slot::B, tries: 1 }).unwrap();
    set_sector(&disk, STATE_SECTORS[0], &[0; 512]).unwrap();
    let machine = card.start(&disk, Board::Pi3).unwrap();
    assert!(within(READY_PI, || says(Slot::B, 0)), "{:?}", boot_states(&disk));
    sleep(PANIC);
    assert_ne!(code(&machine.host("info", ["--json"])), 0, "nothing answers that cannot run");
    machine.cut_power();
    let back = || {
        let mut machine = card.start(&disk, Board::Pi3).unwrap();
        let info = machine.ready(READY_PI).unwrap();
        assert_eq!(info["slot"], "b", "{info}");
        assert!(says(Slot::B, 0), "{:?}", boot_states(&disk));
        assert_eq!(numbers_and_images(&machine), results);
        machine.cut_power();
    };
    back();

    // One that cannot even be loaded gives way in the same start.
    set_slot(&disk, Slot::A, &vec![0; 72 << 20]).unwrap();
    set_boot_state(&disk, BootState { good: Slot::B, tries: 2 }).unwrap();
    back();
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

/// A console that sends over the box's own Ethernet port, and what else of a network there is: nothing.
#[test]
fn a_film_that_comes_over_ethernet_is_judged_and_shown_and_nothing_else_listens() {
    let Some(card) = Card::available() else { return };
    if !has("storescu", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // One that is free now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut machine = card.start_on_cable(&card.copy("cable"), port).unwrap();
    machine.ready(READY).unwrap();
    // What is sent is drawn, which the model that ships refuses.
    machine.done("update", [PLAIN_MODEL]);
    let films = radiographs(folder.path(), 1, &[]);
    let to = port.to_string();
    let send = || {
        let flags = ["-v", "-aec", "PUMUA", "-aet", "CR1", "127.0.0.1", &to];
        Command::new("storescu").args(flags).args(&films).output().unwrap()
    };
    let sent = send();
    assert!(sent.status.success(), "{}\n{}", said(&sent), machine.log());
    let (kept, expected) = (records(&machine), predicted(&films, Some(PLAIN_MODEL)));
    assert_eq!(kept.len(), 1, "{kept:?}");
    for field in ["verdict", "probability"] {
        assert_eq!(kept[0][field], expected[0][field], "{kept:?} and {expected:?}");
    }
    assert!(send().status.success() && records(&machine).len() == 1, "the same is judged once");
    let log = machine.log();
    assert!(log.contains("the Ethernet port eth0 is 192.168.7.1/24"), "{log}");
    if std::env::var_os("PUMUA_TEST_GUEST").is_some_and(|guest| !guest.is_empty()) {
        let _console = machine
            .order(
                "for name in tcp tcp6 udp udp6 raw; do /guest/busybox tail -n +2 /proc/net/$name | \
                 /guest/busybox sed -n \"s/ *[0-9]*: \\([0-9A-F:]*\\) [0-9A-F:]* \\(0A\\|07\\) .*/socket: $name \\1./p\" \
                 >/dev/kmsg; done; /guest/busybox tail -n +2 /proc/net/route | \
                 /guest/busybox awk '{ print \"route: \" $1, $2, $3 }' >/dev/kmsg; echo \"forwards: $(/guest/busybox cat \
                 /proc/sys/net/ipv4/ip_forward)\" >/dev/kmsg",
            )
            .unwrap();
        assert!(within(READY, || machine.log().contains("forwards: ")), "{}", machine.log());
        let log = machine.log();
        let lines =
            |what: &str| log.lines().filter_map(|line| Some(line.split_once(what)?.1.trim())).collect::<Vec<_>>();
        assert_eq!(lines("socket: "), ["tcp 0107A8C0:2B68."], "the one that consoles connect to: {log}");
        assert_eq!(lines("route: "), ["eth0 0007A8C0 00000000"], "{log}");
        assert_eq!(lines("forwards: "), ["0"], "{log}");
    }
    // At the end: the emulator's screen may take no picture any more once it was asked for one.
    assert!(within(READY, || shows_a_radiograph(&machine, folder.path())));
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

/// A FAT file system with these files, each a day newer than the one before.
fn stick(file: &Path, films: &[&[u8]]) {
    let mut image = std::io::Cursor::new(vec![0; 48 << 20]);
    fatfs::format_volume(&mut image, fatfs::FormatVolumeOptions::new()).unwrap();
    image.set_position(0);
    {
        let system = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
        let folder = system.root_dir().create_dir("DCIM").unwrap();
        for (day, bytes) in (1..).zip(films) {
            let mut film = folder.create_file(&format!("IM{day:06}.PNG")).unwrap();
            film.write_all(bytes).unwrap();
            let time = fatfs::Time { hour: 12, min: 0, sec: 0, millis: 0 };
            #[expect(deprecated, reason = "there is no clock here that could be asked instead")]
            film.set_modified(fatfs::DateTime { date: fatfs::Date { year: 2025, month: 3, day }, time });
        }
    }
    std::fs::write(file, image.into_inner()).unwrap();
}

/// From one film on a stick that is in at the start to keys on a list, and sticks that are pulled and hostile.
#[test]
fn films_on_a_memory_stick_are_judged() {
    let Some(card) = Card::available() else { return };
    let folder = tempfile::tempdir().unwrap();
    let radiographs = Radiographs::find();
    let films: Vec<Vec<u8>> = radiographs.images.iter().map(|image| std::fs::read(image).unwrap()).collect();
    let all: Vec<&[u8]> = films.iter().map(Vec::as_slice).collect();
    let place = |name: &str| folder.path().join(name);
    stick(&place("one"), &all[..1]);
    let mut machine = card.start_with_stick(&card.copy("stick"), &place("one")).unwrap();
    machine.ready(READY).unwrap();
    // It was judged by the model that ships; a drawing is refused by it, and said so.
    if radiographs.model.is_some() {
        assert!(within(READY, || machine.log().contains("a stick is in, with 1 films")), "{}", machine.log());
        radiographs.first_ready(&mut machine, READY);
        machine.pull(0).unwrap();
        stick(&place("one again"), &all[..1]);
        assert!(within(READY, || machine.log().contains("the stick is out")), "{}", machine.log());
        machine.plug(9, &place("one again")).unwrap();
    }
    let judged = |machine: &Machine, count: usize, film: usize| {
        let mut kept = Vec::new();
        let there = within(READY, || {
            sleep(Duration::from_secs(1));
            // While the box judges, it is busy.
            let output = machine.host("results", ["--json"]);
            kept = if code(&output) == 0 { json_lines(&output) } else { Vec::new() };
            kept.len() >= count
        });
        assert!(there && kept.len() == count, "{kept:?}\n{}", machine.log());
        let predicted = predicted(&radiographs.images[film..=film], radiographs.model).remove(0);
        for field in ["verdict", "probability"] {
            assert_eq!(kept[count - 1][field], predicted[field], "{kept:?} and {predicted}");
        }
    };
    judged(&machine, 1, 0);
    for unwanted in ["not restricted", "the stick sd", "the reader of the stick has ended"] {
        assert!(!machine.log().contains(unwanted), "{unwanted}: {}", machine.log());
    }
    machine.pull(if radiographs.model.is_some() { 9 } else { 0 }).unwrap();

    // Several, of which the second newest is chosen.
    stick(&place("three"), &all);
    machine.press("esc").unwrap();
    sleep(Duration::from_secs(3));
    machine.plug(1, &place("three")).unwrap();
    assert!(within(READY, || machine.log().contains("a stick is in, with 3 films")), "{}", machine.log());
    for key in ["down", "ret"] {
        sleep(Duration::from_secs(2));
        machine.press(key).unwrap();
    }
    judged(&machine, 2, 1);
    machine.pull(1).unwrap();

    // What cannot be read is said, and the box goes on.
    type Damage = fn(&mut Vec<u8>);
    let hostile: [(&str, Damage); 3] = [
        // Nothing after the first sector makes sense.
        ("noise", |image| {
            image[512..].iter_mut().enumerate().for_each(|(n, byte)| *byte = ((n * 2_654_435_761) >> 13) as u8);
        }),
        // Every cluster is followed by the third one.
        ("loop", |image| {
            let short = |at: usize| usize::from(u16::from_le_bytes([image[at], image[at + 1]]));
            let (start, length) = (512 * short(14), 512 * short(22));
            image[start + 4..start + length].as_chunks_mut::<2>().0.fill([3, 0]);
        }),
        ("zeros", |image| image.fill(0)),
    ];
    for (number, (name, damage)) in (2..).zip(hostile) {
        stick(&place(name), &all);
        let mut image = std::fs::read(place(name)).unwrap();
        damage(&mut image);
        std::fs::write(place(name), image).unwrap();
        machine.plug(number, &place(name)).unwrap();
        sleep(Duration::from_secs(15));
        machine.pull(number).unwrap();
        assert_eq!(machine.ready(READY).unwrap()["boot"], 1, "{name}: {}", machine.log());
    }
    // A film is still judged after all that.
    let plugged = Instant::now();
    machine.plug(5, &place("one")).unwrap();
    judged(&machine, 3, 0);
    tell(&format!("from the stick's being plugged in to the result: {:.1} s", plugged.elapsed().as_secs_f64()));
    machine.pull(5).unwrap();

    // More than is looked through is refused within its limits.
    crowded_stick(&place("crowded"));
    let plugged = Instant::now();
    machine.plug(6, &place("crowded")).unwrap();
    let refused = "nothing on the stick is judged: TooMany";
    assert!(within(READY, || machine.log().contains(refused)), "{}", machine.log());
    tell(&format!("a stick with 1,000,000 files is refused after {:.1} s", plugged.elapsed().as_secs_f64()));
    machine.pull(6).unwrap();
    results_go_onto_sticks(&machine, folder.path());
}

/// A FAT file system with a million files: forty folders are one and the same, as are a hundred in it, in which 250 files are.
fn crowded_stick(file: &Path) {
    let mut image = std::io::Cursor::new(vec![0; 64 << 20]);
    fatfs::format_volume(&mut image, fatfs::FormatVolumeOptions::new()).unwrap();
    image.set_position(0);
    {
        let system = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
        let all = system.root_dir().create_dir("DCIM").unwrap();
        let inner = folders(&folders(&all, "DAY", 40), "SET", 100);
        (0..250).for_each(|number| drop(inner.create_file(&format!("F{number:07}.TXT")).unwrap()));
    }
    let mut image = image.into_inner();
    for kind in [b"DAY", b"SET"] {
        // An entry of a folder: its name comes first; where it begins stands in two halves.
        let mut first = None;
        for entry in
            image.as_chunks_mut::<32>().0.iter_mut().filter(|entry| entry.starts_with(kind) && entry[11] == 0x10)
        {
            let [high, low] = *first.get_or_insert([[entry[20], entry[21]], [entry[26], entry[27]]]);
            entry[20..22].copy_from_slice(&high);
            entry[26..28].copy_from_slice(&low);
        }
    }
    std::fs::write(file, image).unwrap();
}

/// Makes so many folders of a kind, and gives the first one.
fn folders<'a, T: fatfs::ReadWriteSeek>(parent: &fatfs::Dir<'a, T>, kind: &str, count: usize) -> fatfs::Dir<'a, T> {
    for number in 0..count {
        parent.create_dir(&format!("{kind}{number:05}")).unwrap();
    }
    parent.open_dir(&format!("{kind}00000")).unwrap()
}

/// Writes the results of a box with three onto sticks that are marked, and looks what is on them.
fn results_go_onto_sticks(machine: &Machine, folder: &Path) {
    let marked = folder.join("marked");
    stick(&marked, &[]);
    {
        let image = std::fs::File::options().read(true).write(true).open(&marked).unwrap();
        let system = fatfs::FileSystem::new(image, fatfs::FsOptions::new()).unwrap();
        let mark = system.root_dir().create_dir("Pumua").unwrap();
        mark.create_file("results-00000003.html").unwrap().write_all(b"somebody's").unwrap();
    }
    let said = |what: &str| {
        assert!(within(READY, || machine.log().contains(what)), "{what}: {}", machine.log());
    };
    // Whatever is on the screen is left, so that the question is there, and then answered.
    let plugged = || machine.log().matches("a stick is in, with 0 films").count();
    let ask = |before: usize| {
        assert!(within(READY, || plugged() > before), "{}", machine.log());
        for key in ["i", "esc", "ret"] {
            sleep(Duration::from_secs(2));
            machine.press(key).unwrap();
        }
    };
    let before = plugged();
    machine.plug_writable(7, &marked).unwrap();
    ask(before);
    said("the results up to 3 are on the stick as results-00000003-2");
    machine.pull(7).unwrap();
    let expected = machine.done("results", ["--csv"]);
    let read = |name: &str| {
        let image = std::fs::File::options().read(true).write(true).open(&marked).unwrap();
        let system = fatfs::FileSystem::new(image, fatfs::FsOptions::new()).unwrap();
        let mut text = String::new();
        let mark = system.root_dir().open_dir("PUMUA").unwrap();
        std::io::Read::read_to_string(&mut mark.open_file(name).unwrap(), &mut text).unwrap();
        text
    };
    assert_eq!(read("results-00000003-2.csv"), String::from_utf8_lossy(&expected.stdout));
    assert!(read("results-00000003-2.html").ends_with("</html>\n"));
    assert_eq!(read("results-00000003.html"), "somebody's");
    for unwanted in ["not restricted", "is still mounted", "made read-only again"] {
        assert!(!machine.log().contains(unwanted), "{unwanted}: {}", machine.log());
    }

    // One that is protected against writing stays as it is.
    let before = std::fs::read(&marked).unwrap();
    let question = plugged();
    machine.plug(8, &marked).unwrap();
    ask(question);
    said("what was asked of the stick is not done: WriteProtected");
    machine.pull(8).unwrap();
    assert!(std::fs::read(&marked).unwrap() == before);

    // exFAT, twice: what was written the first time is found the second time.
    let exfat = folder.join("exfat");
    if !marked_exfat(&exfat) {
        tell("skipped: there is no mkfs.exfat");
        return;
    }
    for (number, name) in [(10, "results-00000003\n"), (11, "results-00000003-2\n")] {
        let question = plugged();
        machine.plug_writable(number, &exfat).unwrap();
        ask(question);
        let on_stick = format!("the results up to 3 are on the stick as {name}");
        let count = || machine.log().replace('\r', "").matches(&on_stick).count();
        // The FAT stick has files of the second name, too.
        let times = 1 + usize::from(name.contains("-2"));
        assert!(within(READY, || count() == times), "{on_stick}: {}", machine.log());
        machine.pull(number).unwrap();
        sleep(Duration::from_secs(2));
    }
}

/// Makes an exFAT file system whose root has an empty folder `PUMUA`; false where nothing makes one.
fn marked_exfat(file: &Path) -> bool {
    std::fs::File::create(file).unwrap().set_len(48 << 20).unwrap();
    let made = Command::new("mkfs.exfat").arg(file).stdout(Stdio::null()).output();
    if !made.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let mut image = std::fs::read(file).unwrap();
    let number = |image: &[u8], at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
    let sector = 1_usize << image[108];
    let cluster = sector << image[109];
    let heap = number(&image, 88) * sector;
    let place = |of: usize| heap + (of - 2) * cluster;
    let root = place(number(&image, 96));
    let entry = |image: &[u8], kind: u8| (root..root + cluster).step_by(32).find(|&at| image[at] == kind).unwrap();
    // The first cluster that is free is the folder's.
    let bitmap = place(number(&image, entry(&image, 0x81) + 20));
    let free = (0_usize..).find(|bit| (image[bitmap + bit / 8] >> (bit % 8)) & 1 == 0).unwrap();
    image[bitmap + free / 8] |= 1 << (free % 8);
    let folder = place(free + 2);
    image[folder..folder + cluster].fill(0);
    // A folder of one cluster, in entries for what it is, where it is, and how it is called.
    let mut set = [0_u8; 96];
    (set[0], set[1], set[4]) = (0x85, 2, 0x10);
    (set[32], set[33], set[35], set[64]) = (0xc0, 3, 5, 0xc1);
    for at in [8, 12, 16] {
        // The first of January 1980.
        set[at + 2] = 0x21;
    }
    set[40..48].copy_from_slice(&(cluster as u64).to_le_bytes());
    set[52..56].copy_from_slice(&(free as u32 + 2).to_le_bytes());
    set[56..64].copy_from_slice(&(cluster as u64).to_le_bytes());
    for (at, letter) in (66..).step_by(2).zip("PUMUA".bytes()) {
        set[at] = letter;
    }
    let sum = |bytes: &mut dyn Iterator<Item = u8>| {
        bytes.fold(0_u16, |sum, byte| sum.rotate_right(1).wrapping_add(byte.into())).to_le_bytes()
    };
    let hash = sum(&mut "PUMUA".bytes().flat_map(|letter| [letter, 0]));
    set[36..38].copy_from_slice(&hash);
    let checksum = sum(&mut set.iter().enumerate().filter(|(at, _)| !(2..4).contains(at)).map(|(_, &byte)| byte));
    set[2..4].copy_from_slice(&checksum);
    let end = entry(&image, 0);
    image[end..end + 96].copy_from_slice(&set);
    std::fs::write(file, image).unwrap();
    true
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
