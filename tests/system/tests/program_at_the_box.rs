//! Another program for the box, on emulated machines: it comes on a memory stick, and a key that is held goes back from it; or it comes over
//! a slow line.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use shared::appliance::slots::{BootState, MOST_TRIES, Slot};
use system_tests::{
    bundle::write_another,
    code, host,
    machine::{Board, Card, Machine, boot_states, bundle},
    paced::PacedLine,
    radiographs::{READY, READY_PI, Radiographs, numbers_and_images, tell},
    said, within,
};

/// The secret half of the test key.
const TEST_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/trust/test-signer.key");
/// From one key to the next: longer than an emulated screen takes to change.
const BETWEEN_KEYS: Duration = Duration::from_secs(2);
/// Well over the three seconds for which a key must be held: what is pressed may reach a busy machine late.
const HOLD: Duration = Duration::from_secs(10);

/// A FAT file system with a bundle in the folder that marks a stick.
fn stick(file: &Path, bundle: &Path) {
    File::create(file).unwrap().set_len(64 << 20).unwrap();
    let open = || File::options().read(true).write(true).open(file).unwrap();
    fatfs::format_volume(open(), fatfs::FormatVolumeOptions::new()).unwrap();
    let system = fatfs::FileSystem::new(open(), fatfs::FsOptions::new()).unwrap();
    let mark = system.root_dir().create_dir("PUMUA").unwrap();
    mark.create_file("box-2.pumua").unwrap().write_all(&fs::read(bundle).unwrap()).unwrap();
}

fn press(machine: &Machine, keys: &[&str]) {
    for key in keys {
        sleep(BETWEEN_KEYS);
        machine.press(key).unwrap();
    }
    sleep(BETWEEN_KEYS);
}

/// The Raspberry Pi has no keyboard here: whatever a person does is done at a generic machine, and each program is tried on the
/// Raspberry Pi, through its boot loader.
#[test]
fn a_program_comes_from_a_stick_and_a_person_at_the_box_goes_back_from_it() {
    let Some(card) = Card::available() else { return };
    let Some(bundle) = bundle() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    // Were both slots the same, there would be nothing to go back to.
    write_another(&bundle, &place("another")).unwrap();
    let signed = host(["sign", place("another").to_str().unwrap(), "--key", TEST_KEY, "--counter", "100"]);
    assert_eq!(code(&signed), 0, "{}", said(&signed));
    stick(&place("stick"), &place("another"));
    let disk = card.copy("card");
    let says = |good, tries| boot_states(&disk).unwrap() == [Some(BootState { good, tries }); 2];

    let mut machine = card.start_slot_with_keyboard(&disk).unwrap();
    let radiographs = Radiographs::find();
    let info = radiographs.first_ready(&mut machine, READY);
    assert_eq!(info["slot"], "a", "{info}");
    radiographs.check(&machine, 2);
    let results = numbers_and_images(&machine);
    assert_eq!(results.len(), 2);
    let has_logged = |machine: &Machine, words: &str| {
        assert!(within(READY_PI, || machine.log().contains(words)), "{words}: {}", machine.log());
    };
    let tried = |slot: Slot| {
        let mut machine = card.start(&disk, Board::Pi3).unwrap();
        let info = machine.ready(READY_PI).unwrap();
        assert_eq!(info["slot"], slot.name(), "{info}");
        assert_eq!(numbers_and_images(&machine), results);
        assert!(within(READY_PI, || says(slot, 0)), "it stays: {:?}", boot_states(&disk));
        machine.cut_power();
    };

    let plugged = Instant::now();
    machine.plug(0, &place("stick")).unwrap();
    has_logged(&machine, "a stick is in, with 0 films");
    // The verdict is left, so that the question is there.
    press(&machine, &["i", "esc"]);
    assert!(says(Slot::A, 0), "without a key nothing is taken: {}", machine.log());
    let wanted = Instant::now();
    press(&machine, &["ret"]);
    has_logged(&machine, "is stored, and is tried at the next start");
    tell(&format!(
        "a program from a stick is staged {:.0} s after the stick was plugged in, {:.0} s after the key",
        plugged.elapsed().as_secs_f64(),
        wanted.elapsed().as_secs_f64()
    ));
    assert!(says(Slot::A, MOST_TRIES), "{:?}", boot_states(&disk));
    machine.cut_power();
    tried(Slot::B);

    let mut machine = card.start_slot_with_keyboard(&disk).unwrap();
    let info = machine.ready(READY).unwrap();
    assert_eq!(info["slot"], "b", "{info}");
    press(&machine, &["i", "ret"]);
    machine.hold("ret", HOLD).unwrap();
    sleep(BETWEEN_KEYS);
    assert!(says(Slot::B, 0) && !machine.log().contains("goes back"), "once is not enough: {}", machine.log());
    machine.hold("ret", HOLD).unwrap();
    has_logged(&machine, "a person goes back to the program");
    assert!(says(Slot::B, MOST_TRIES), "{:?}", boot_states(&disk));
    machine.cut_power();
    tried(Slot::A);
}

/// `PUMUA_TEST_PACE=115200,10000000` names the speeds in bits a second, ten for each byte: those of the serial pins, where it takes half an
/// hour, and of the slower one of two USB cables.
#[test]
fn a_bundle_comes_over_a_line_of_a_given_speed() {
    let Some(card) = Card::available() else { return };
    let Some(bundle) = bundle() else { return };
    let speeds = std::env::var("PUMUA_TEST_PACE").unwrap_or_default();
    if speeds.is_empty() {
        tell(
            "skipped: bundles over slow lines; PUMUA_TEST_PACE names their speeds, 115200 for example, which takes half an hour",
        );
        return;
    }
    for speed in speeds.split(',').map(|speed| speed.parse().unwrap()) {
        let disk = card.copy("slow");
        let mut machine = card.start_slot(&disk).unwrap();
        machine.ready(READY).unwrap();
        let line = PacedLine::new(&machine.port, speed).unwrap();
        machine.port.clone_from(&line.port);
        let start = Instant::now();
        machine.done("update", [&bundle]);
        let sent = start.elapsed().as_secs_f64();
        assert_eq!(boot_states(&disk).unwrap(), [Some(BootState { good: Slot::A, tries: MOST_TRIES }); 2]);
        machine.cut_power();
        let mut machine = card.start_slot(&disk).unwrap();
        let start = Instant::now();
        let info = machine.ready(READY).unwrap();
        assert_eq!(info["slot"], "b", "{info}");
        tell(&format!(
            "a bundle of {} bytes is staged after {sent:.0} s at {speed} bits a second; the new program is READY {:.0} s after power on",
            fs::metadata(&bundle).unwrap().len(),
            start.elapsed().as_secs_f64()
        ));
    }
}
