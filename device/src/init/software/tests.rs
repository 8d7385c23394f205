//! Bundles on simulated and on real disks: power cuts and failures at every step, and what must not be taken.

use std::{io::Write as _, path::PathBuf};

use flate2::{Compression, GzBuilder};
use shared::{
    appliance::slots::{BootState, MOST_TRIES, Outcome, Programs, STATE_BYTES, STATE_SECTORS, Slot, Stage, fat_label},
    verdict::{Digest, SoftwareRefusal, Trust},
};
use trust::{Kind, LINE, PackageHead, Roots, Signature, Statement};

use super::{
    install::{ASKED, BUNDLE, READY, begins_as_a_slot},
    notes::{BACK, BEGUN, OUTCOME, PROGRAMS, STAGED},
    *,
};
use crate::{
    disk::{
        Access, Disk,
        simulated::{Failure, Random, Simulated},
    },
    signers::{key, list},
};

/// Bytes of a slot of these tests.
const SLOT: usize = 40 << 10;
const SHORT: Sizes = Sizes { slot: SLOT as u64, step: 8 << 10, steps_to_sync: 2 };
const FOLDER: &str = "/data/software";
const DISK: &str = "/dev/vda";
const DEVICES: [&str; 2] = ["/dev/vda2", "/dev/vda3"];
const STARTED_A: Started = Started { slot: Slot::A, is_trial: false };

/// Settings that believe the root 1.
fn trusted() -> Result<Trusted, ConfigError> {
    let roots = Roots::new(vec![key(1).public()], 1)?;
    Ok(Trusted { roots: Some(roots), unsigned: false, keys: true, version: Version([0, 1, 0]) })
}

/// What a slot holds: something that cannot be made shorter.
fn system(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes: Vec<u8> = (0..SLOT / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes[71..82].copy_from_slice(&fat_label(Slot::A));
    bytes[82..90].copy_from_slice(b"FAT32   ");
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn statement(counter: u64, payload: &[u8]) -> Statement {
    Statement {
        kind: Kind::Software,
        line: LINE.to_owned(),
        counter,
        least: Version([0, 1, 0]),
        made: "2026-11-30".to_owned(),
        name: format!("box-{counter}"),
        digest: Digest::of(payload),
    }
}

/// A bundle with this payload, of which the key says this, and a list of keys.
fn stated(signer: u8, statement: &Statement, payload: &[u8], list: &[String; 2]) -> Vec<u8> {
    let signature = Signature::new(&key(signer), payload, statement.to_string()).to_file();
    let [keys, signatures] = list;
    let head = PackageHead::new(Some(&signature), Some([keys, signatures]));
    [head.to_bytes(), payload.to_vec()].concat()
}

/// A bundle that the key 10 has signed.
fn bundle(counter: u64, payload: &[u8]) -> Vec<u8> {
    stated(10, &statement(counter, payload), payload, &list(1, &[10], &[]))
}

/// A good one.
fn good(counter: u64) -> Vec<u8> {
    bundle(counter, &packed(&system(counter)))
}

/// A card whose slot A holds the system 1, and B nothing. The counters of bundles are those of their systems.
struct TestCard {
    disk: Simulated,
}

impl TestCard {
    fn new() -> Self {
        let disk = Simulated::default();
        let write = |path: &str, length: usize, bytes: &[u8]| {
            let file = disk.open(Path::new(path), Access::New).unwrap();
            file.set_length(length as u64).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file.sync().unwrap();
        };
        write(DISK, (STATE_SECTORS[1] as usize + 1) * STATE_BYTES, &[]);
        write(DEVICES[0], SLOT, &system(1));
        write(DEVICES[1], SLOT, &[]);
        disk.sync_folder(Path::new("/dev")).unwrap();
        let card = Self { disk };
        state::write(&card.disk, Path::new(DISK), BootState::FIRST).unwrap();
        card
    }

    /// Writes a bundle as the worker does.
    fn put(&self, bytes: &[u8]) {
        self.put_into(&Path::new(FOLDER).join(INCOMING), READY, bytes);
    }

    fn put_into(&self, folder: &Path, name: &str, bytes: &[u8]) {
        let file = self.disk.open(&folder.join(name), Access::New).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync().unwrap();
        self.disk.sync_folder(folder).unwrap();
    }

    /// The image is written onto the card once more; the data partition is kept.
    fn flash(&self) {
        let new = Self::new();
        for path in [DISK, DEVICES[0], DEVICES[1]].map(Path::new) {
            let file = self.disk.open(path, Access::Device).unwrap();
            file.write_all_at(&new.disk.content(path).unwrap(), 0).unwrap();
            file.sync().unwrap();
        }
    }

    fn workshop(&self, started: Started) -> Workshop {
        Workshop {
            disk: Arc::new(self.disk.clone()),
            folder: FOLDER.into(),
            has_folder: true,
            slots: Some(Slots::at(DISK.into(), DEVICES.map(PathBuf::from))),
            started: Some(started),
            sizes: SHORT,
        }
    }

    fn state(&self) -> [Option<BootState>; 2] {
        state::read(&self.disk, Path::new(DISK)).unwrap()
    }

    /// What the boot loader does: what it starts must be whole.
    fn boot(&self) -> Started {
        let state = BootState::of_copies(self.state());
        let started = match state.tries {
            0 => Started { slot: state.good, is_trial: false },
            tries => {
                state::write(&self.disk, Path::new(DISK), BootState { tries: tries - 1, ..state }).unwrap();
                Started { slot: state.good.other(), is_trial: true }
            }
        };
        assert!(self.system(started.slot).is_some(), "{started:?} is half-written");
        started
    }

    /// Which system a slot holds, if it is whole.
    fn system(&self, slot: Slot) -> Option<u64> {
        let device = DEVICES[usize::from(slot == Slot::B)];
        let bytes = self.disk.content(Path::new(device)).unwrap();
        (1..=3).find(|&seed| bytes == system(seed))
    }

    fn outcome(&self) -> Option<Outcome> {
        notes::read(&self.disk, Path::new(FOLDER), OUTCOME)
    }

    fn result(&self) -> Option<Stage> {
        self.outcome().map(|outcome| outcome.result)
    }

    /// What the worker may offer to go back to while a slot runs, as the digest of the other one.
    fn way_back(&self, running: Slot) -> Option<Digest> {
        let programs: Programs = notes::read(&self.disk, Path::new(FOLDER), PROGRAMS)?;
        programs.before(running).map(|served| served.content)
    }

    /// Asks to go back to a slot that holds this system, as the worker does.
    fn ask(&self, seed: u64) {
        self.put_into(&Path::new(FOLDER).join(INCOMING), ASKED, &Digest::of(&system(seed)).0);
    }

    /// A card on which system 1 was followed by system 2, which has been confirmed.
    fn updated() -> Self {
        let card = Self::new();
        card.stage(&good(2));
        assert_eq!(card.start(true).slot, Slot::B);
        card
    }

    fn has(&self, name: &str) -> bool {
        self.disk.content(&Path::new(FOLDER).join(name)).is_some()
    }

    /// Stages a bundle while slot A runs, and gives what was noted.
    fn stage(&self, bytes: &[u8]) -> Outcome {
        self.stage_by(bytes, trusted)
    }

    fn stage_by(&self, bytes: &[u8], trusted: impl Fn() -> Result<Trusted, ConfigError>) -> Outcome {
        self.put(bytes);
        self.workshop(STARTED_A).work(trusted).unwrap();
        assert!(!self.has(BUNDLE) && !self.has(BEGUN) && !self.workshop(STARTED_A).has_something());
        let outcome = self.outcome().unwrap();
        assert_eq!(outcome.file, Digest::of(bytes));
        outcome
    }

    /// A start: the boot loader, the first process, and what is left to be done. A program on trial serves if it is said so. Returns what
    /// has been started.
    fn start(&self, serves: bool) -> Started {
        let started = self.boot();
        let mut workshop = self.workshop(started);
        workshop.settle().unwrap();
        if started.is_trial && serves {
            workshop.confirm().unwrap();
        }
        if workshop.has_something() || (workshop.has_left_over() && !started.is_trial) {
            workshop.work(trusted).unwrap();
        }
        started
    }
}

fn kept(good: Slot, tries: u8) -> [Option<BootState>; 2] {
    [Some(BootState { good, tries }); 2]
}

#[test]
fn a_bundle_is_tried_and_stays_once_it_serves() {
    let card = TestCard::new();
    let bytes = good(2);
    let outcome = card.stage(&bytes);
    let payload = packed(&system(2));
    let expected = Outcome {
        bundle: Digest::of(&payload),
        file: Digest::of(&bytes),
        name: "box-2".to_owned(),
        counter: Some(2),
        key: Some("0A0A0A0A0A0A0A0A".to_owned()),
        trust: Trust::Signed,
        result: Stage::Staged,
    };
    assert_eq!((outcome, card.state(), card.system(Slot::B)), (expected.clone(), kept(Slot::A, MOST_TRIES), Some(2)));
    assert_eq!(card.start(true), Started { slot: Slot::B, is_trial: true });
    assert_eq!(card.outcome().unwrap(), Outcome { result: Stage::Confirmed, ..expected });
    assert!(!card.has(STAGED));
    for _ in 0..2 {
        assert_eq!((card.start(true), card.state()), (Started { slot: Slot::B, is_trial: false }, kept(Slot::B, 0)));
        assert_eq!(card.result(), Some(Stage::Confirmed), "a failure changes nothing any more");
    }
    // The next one goes where the first program is.
    card.put(&good(3));
    let running = card.boot();
    card.workshop(running).work(trusted).unwrap();
    assert_eq!((card.system(Slot::A), card.system(Slot::B)), (Some(3), Some(2)));
    assert_eq!((card.state(), card.result()), (kept(Slot::B, MOST_TRIES), Some(Stage::Staged)));
}

#[test]
fn a_program_that_does_not_serve_is_tried_twice_and_may_come_again() {
    let card = TestCard::new();
    card.stage(&good(2));
    for _ in 0..MOST_TRIES {
        assert_eq!(card.start(false), Started { slot: Slot::B, is_trial: true });
        assert_eq!(card.result(), Some(Stage::Staged));
    }
    for _ in 0..2 {
        assert_eq!((card.start(false), card.state()), (STARTED_A, kept(Slot::A, 0)));
        assert_eq!((card.result(), card.has(STAGED)), (Some(Stage::WentBack), false));
    }
    let other = bundle(2, &packed(&system(3)));
    assert_eq!(card.stage(&other).result, Stage::Refused(SoftwareRefusal::Older), "the counter is kept");
    assert_eq!(card.stage(&good(2)).result, Stage::Staged);
    assert_eq!(card.start(true).slot, Slot::B);
    assert_eq!(card.result(), Some(Stage::Confirmed));
}

#[test]
fn what_the_boot_loader_cannot_start_has_gone_back() {
    let card = TestCard::new();
    card.stage(&good(2));
    // It has taken a try away, could not load the slot, and has started the other one, without a trial.
    let _ = card.boot();
    card.workshop(STARTED_A).settle().unwrap();
    assert_eq!((card.state(), card.result()), (kept(Slot::A, 0), Some(Stage::WentBack)));
}

/// Where power cuts and failures find a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    Fresh,
    /// Another bundle was staged in the same start, and nobody has restarted the box.
    Staged,
}

#[test]
fn no_power_cut_and_no_failing_disk_lets_half_a_program_start() {
    let failures = [Failure::Power, Failure::Error(io::ErrorKind::StorageFull), Failure::Short, Failure::Lies];
    let (mut cuts, mut seen) = (0, [0, 0, 0]);
    for (before, failure) in [Before::Fresh, Before::Staged].into_iter().flat_map(|b| failures.map(|f| (b, f))) {
        for call in 0.. {
            let mut done = false;
            for seed in 0..2 {
                let card = TestCard::new();
                if before == Before::Staged {
                    card.stage(&good(2));
                }
                card.put(&good(3));
                card.disk.chance(call as u64 + seed);
                card.disk.fail(call, failure);
                let told = card.workshop(STARTED_A).work(trusted).is_ok() && card.result() == Some(Stage::Staged);
                done = card.disk.calls() <= call;
                card.disk.heal();
                card.disk.cut_power(&mut Random(seed + 100 * call as u64));
                cuts += 1;
                let context = format!("{before:?}, {failure:?} at {call}, cut {seed}");
                // The boot loader would start half of a program rather than none.
                for (slot, device) in Slot::ALL.into_iter().zip(DEVICES) {
                    let bytes = card.disk.content(Path::new(device)).unwrap();
                    assert!(card.system(slot).is_some() || !begins_as_a_slot(&bytes), "{context}: half of a program");
                }
                // Every start is of something whole: `boot` looks. After a few, all is settled.
                let first = card.start(true);
                let is_old = first == STARTED_A;
                assert!(!(told && done && is_old), "{context}: it was said to be staged");
                for _ in 0..3 {
                    card.start(true);
                }
                let last = card.start(true);
                let runs = card.system(last.slot).unwrap();
                assert_eq!((last.is_trial, card.state()), (false, kept(last.slot, 0)), "{context}");
                assert!(!card.has(BUNDLE) && !card.has(STAGED), "{context}");
                assert!(!card.workshop(last).has_something(), "{context}");
                if told {
                    assert_eq!((runs, card.result()), (3, Some(Stage::Confirmed)), "{context}");
                }
                // What has run is known: nothing older comes in.
                if runs > 1 {
                    card.put(&good(1));
                    card.workshop(last).work(trusted).unwrap();
                    assert_eq!(card.result(), Some(Stage::Refused(SoftwareRefusal::Older)), "{context}");
                }
                seen[runs as usize - 1] += 1;
            }
            if done {
                break;
            }
        }
    }
    println!("{cuts} losses of power: the programs 1, 2 and 3 run after {seen:?} of them");
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}

#[test]
fn a_power_cut_while_a_trial_ends_leaves_one_of_both_programs() {
    for (serves, tries) in [(true, 1), (true, 2), (false, 2)] {
        for call in 0.. {
            let card = TestCard::new();
            card.stage(&good(2));
            let mut started = card.boot();
            for _ in 1..tries {
                started = card.boot();
            }
            if !serves {
                started = card.boot();
            }
            card.disk.fail(call, Failure::Power);
            let mut workshop = card.workshop(started);
            let ended = if serves { workshop.confirm() } else { workshop.settle() };
            let done = card.disk.calls() <= call;
            card.disk.heal();
            card.disk.cut_power(&mut Random(call as u64));
            let first = card.start(serves);
            let context = format!("serves: {serves}, try {tries}, cut at {call}: {first:?}");
            assert!(!(serves && ended.is_ok() && first != Started { slot: Slot::B, is_trial: false }), "{context}");
            let last = card.start(serves);
            assert_eq!((last.is_trial, card.state()), (false, kept(last.slot, 0)), "{context}");
            let expected = if last.slot == Slot::B { Stage::Confirmed } else { Stage::WentBack };
            assert_eq!((card.result(), card.has(STAGED)), (Some(expected), false), "{context}");
            assert!(serves || last == STARTED_A, "{context}");
            assert!(!serves || tries > 1 || last.slot == Slot::B, "{context}");
            if done {
                break;
            }
        }
    }
}

const STARTED_B: Started = Started { slot: Slot::B, is_trial: false };

#[test]
fn a_person_goes_back_and_forth_and_no_counter_falls() {
    let card = TestCard::new();
    assert_eq!(card.way_back(Slot::A), None, "nothing has run before");
    card.stage(&good(2));
    assert_eq!(card.way_back(Slot::A), None, "it has not served yet");
    card.start(true);
    assert_eq!(card.way_back(Slot::B), Some(Digest::of(&system(1))));
    // To the program that came with the card, of which there was no bundle.
    card.ask(1);
    card.workshop(STARTED_B).work(trusted).unwrap();
    let outcome = card.outcome().unwrap();
    assert_eq!((outcome.result, outcome.trust, outcome.counter), (Stage::Staged, Trust::BuiltIn, None));
    assert_eq!((card.state(), card.has(BACK)), (kept(Slot::B, MOST_TRIES), false), "a trial, as of one that was sent");
    assert!(!card.workshop(STARTED_B).has_something());
    assert_eq!(card.start(true), Started { slot: Slot::A, is_trial: true });
    assert_eq!((card.result(), card.state()), (Some(Stage::Confirmed), kept(Slot::A, 0)));
    // And to the newer one again.
    assert_eq!(card.way_back(Slot::A), Some(Digest::of(&system(2))));
    card.ask(2);
    card.workshop(STARTED_A).work(trusted).unwrap();
    assert_eq!((card.result(), card.outcome().unwrap().counter), (Some(Stage::Staged), Some(2)));
    assert_eq!(card.start(true), Started { slot: Slot::B, is_trial: true });
    card.ask(1);
    card.workshop(STARTED_B).work(trusted).unwrap();
    card.start(true);
    // Over the line nothing older comes in than has been there; the same bundle does.
    assert_eq!(card.stage(&good(1)).result, Stage::Refused(SoftwareRefusal::Older));
    assert_eq!(card.way_back(Slot::A), Some(Digest::of(&system(2))), "what is refused takes no way back");
    assert_eq!(card.stage(&good(2)).result, Stage::Staged);
    assert_eq!(card.way_back(Slot::A), None, "its slot is written over");
    assert_eq!(card.start(true).slot, Slot::B);
    assert_eq!((card.result(), card.way_back(Slot::B)), (Some(Stage::Confirmed), Some(Digest::of(&system(1)))));
}

#[test]
fn what_is_gone_back_to_and_does_not_serve_gives_way_again() {
    let card = TestCard::updated();
    card.ask(1);
    card.workshop(STARTED_B).work(trusted).unwrap();
    for _ in 0..MOST_TRIES {
        assert_eq!(card.start(false), Started { slot: Slot::A, is_trial: true });
    }
    assert_eq!((card.start(false), card.state()), (STARTED_B, kept(Slot::B, 0)));
    assert_eq!((card.result(), card.has(STAGED)), (Some(Stage::WentBack), false));
    assert_eq!(card.way_back(Slot::B), Some(Digest::of(&system(1))), "a person may try again");
    // There is none to a bundle that did not serve: nobody has seen it serve.
    card.put(&good(3));
    card.workshop(STARTED_B).work(trusted).unwrap();
    for _ in 0..=MOST_TRIES {
        card.start(false);
    }
    assert_eq!((card.result(), card.way_back(Slot::B)), (Some(Stage::WentBack), None));
}

#[test]
fn nothing_that_the_worker_says_has_anything_else_started() {
    let refused = |card: &TestCard, running: Started, context: &str| {
        let (state, outcome) = (card.state(), card.outcome());
        card.workshop(running).work(trusted).unwrap();
        assert_eq!((card.state(), card.outcome()), (state, outcome), "{context}");
        assert!(!card.has(BACK) && !card.workshop(running).has_something(), "{context}");
    };
    let incoming = Path::new(FOLDER).join(INCOMING);
    let card = TestCard::new();
    card.ask(1);
    refused(&card, STARTED_A, "a new card");
    let card = TestCard::updated();
    for bytes in [&b""[..], &[7; 31], &[7; 32], &[7; 33], &Digest::of(&system(2)).0] {
        card.put_into(&incoming, ASKED, bytes);
        refused(&card, STARTED_B, "another digest");
    }
    card.ask(1);
    refused(&card, Started { is_trial: true, ..STARTED_B }, "on trial");
    // A program that waits to be tried keeps what is said of it.
    card.put(&good(3));
    card.workshop(STARTED_B).work(trusted).unwrap();
    card.ask(1);
    refused(&card, STARTED_B, "another is staged");
    assert_eq!((card.result(), card.state()), (Some(Stage::Staged), kept(Slot::B, MOST_TRIES)));
}

#[test]
fn a_slot_that_is_not_what_it_was_is_not_gone_back_to() {
    for at in [0, 510, SLOT - 1] {
        let card = TestCard::updated();
        let file = card.disk.open(Path::new(DEVICES[0]), Access::Device).unwrap();
        file.write_all_at(&[!system(1)[at]], at as u64).unwrap();
        file.sync().unwrap();
        card.ask(1);
        card.workshop(STARTED_B).work(trusted).unwrap();
        assert_eq!(card.result(), Some(Stage::Refused(SoftwareRefusal::NotStored)), "{at}");
        assert_eq!((card.state(), card.has(STAGED)), (kept(Slot::B, 0), false), "{at}");
        assert_eq!(card.way_back(Slot::B), None, "it is not offered again");
    }
}

#[test]
fn a_program_whose_key_was_revoked_is_not_gone_back_to() {
    let card = TestCard::updated();
    let payload = packed(&system(3));
    let keys = list(2, &[11], &[10]);
    card.put(&stated(11, &statement(3, &payload), &payload, &keys));
    card.workshop(STARTED_B).work(trusted).unwrap();
    assert_eq!(card.start(true), Started { slot: Slot::A, is_trial: true });
    card.ask(2);
    card.workshop(STARTED_A).work(trusted).unwrap();
    assert_eq!(card.result(), Some(Stage::Refused(SoftwareRefusal::KeyRevoked)));
    assert_eq!((card.state(), card.way_back(Slot::A)), (kept(Slot::A, 0), None), "it is not offered again");
}

#[test]
fn where_the_settings_say_that_there_are_no_keys_the_worker_is_not_listened_to() {
    let card = TestCard::updated();
    let outcome = card.outcome();
    card.ask(1);
    card.workshop(STARTED_B).work(|| Ok(Trusted { keys: false, ..trusted()? })).unwrap();
    assert_eq!((card.state(), card.outcome(), card.has(STAGED)), (kept(Slot::B, 0), outcome, false));
    assert!(!card.has(BACK) && !card.workshop(STARTED_B).has_something());
}

#[test]
fn what_an_earlier_release_has_staged_is_gone_back_to_like_any_other() {
    let card = TestCard::new();
    card.stage(&good(2));
    // It noted neither the digest of the slot nor which programs there are.
    let folder = Path::new(FOLDER);
    let mut staged: serde_json::Value = notes::read(&card.disk, folder, STAGED).unwrap();
    assert!(staged.as_object_mut().unwrap().remove("content").is_some());
    notes::write(&card.disk, folder, STAGED, &staged).unwrap();
    notes::remove(&card.disk, folder, PROGRAMS).unwrap();
    assert_eq!(card.start(true), Started { slot: Slot::B, is_trial: true });
    assert_eq!((card.result(), card.way_back(Slot::B)), (Some(Stage::Confirmed), None));
    card.put(&good(3));
    card.workshop(STARTED_B).work(trusted).unwrap();
    assert_eq!(card.start(true), Started { slot: Slot::A, is_trial: true });
    assert_eq!(card.way_back(Slot::A), Some(Digest::of(&system(2))));
    card.ask(2);
    card.workshop(STARTED_A).work(trusted).unwrap();
    let outcome = card.outcome().unwrap();
    assert_eq!((outcome.result, outcome.name.as_str()), (Stage::Staged, "box-2"), "what was signed is not forgotten");
}

#[test]
fn a_way_back_that_ends_the_box_is_not_begun_with_for_ever() {
    let card = TestCard::updated();
    let note = notes::Asked { content: Digest::of(&system(1)), begun: 2 };
    notes::write(&card.disk, Path::new(FOLDER), BACK, &note).unwrap();
    assert!(card.workshop(STARTED_B).has_left_over());
    card.workshop(STARTED_B).work(trusted).unwrap();
    assert_eq!(card.result(), Some(Stage::Refused(SoftwareRefusal::NotStored)));
    assert_eq!((card.state(), card.has(BACK)), (kept(Slot::B, 0), false));
    // Asked again, it is another attempt.
    card.ask(1);
    card.workshop(STARTED_B).work(trusted).unwrap();
    assert_eq!(card.result(), Some(Stage::Staged));
}

#[test]
fn no_power_cut_and_no_failing_disk_goes_back_to_half_or_claims_what_was_not() {
    let failures = [Failure::Power, Failure::Error(io::ErrorKind::StorageFull), Failure::Short, Failure::Lies];
    let mut seen = [0, 0];
    for failure in failures {
        for call in 0.. {
            let card = TestCard::updated();
            card.ask(1);
            card.disk.chance(call as u64);
            card.disk.fail(call, failure);
            let told = card.workshop(STARTED_B).work(trusted).is_ok() && card.result() == Some(Stage::Staged);
            let done = card.disk.calls() <= call;
            card.disk.heal();
            card.disk.cut_power(&mut Random(call as u64));
            let context = format!("{failure:?} at {call}");
            // The worker of the program on trial would take it for one that is confirmed.
            let is_to_be_tried = BootState::of_copies(card.state()).tries > 0;
            assert!(!is_to_be_tried || card.result() != Some(Stage::Confirmed), "{context}");
            // `boot` looks that what is started is whole. After a few starts all is settled, in one program or the other.
            let first = card.start(true);
            assert!(!(told && done) || first == (Started { slot: Slot::A, is_trial: true }), "{context}: {first:?}");
            for _ in 0..3 {
                card.start(true);
            }
            let last = card.start(true);
            assert_eq!((last.is_trial, card.state()), (false, kept(last.slot, 0)), "{context}");
            assert!(!card.has(BACK) && !card.has(STAGED) && !card.workshop(last).has_something(), "{context}");
            // Where no power is missing both serve, so nothing is said to have given way.
            assert_ne!(card.result(), Some(Stage::WentBack), "{context}");
            if last.slot == Slot::A {
                assert_eq!(card.result(), Some(Stage::Confirmed), "{context}");
            }
            // Both slots are whole, and there is a way to the one that does not run.
            assert_eq!(Slot::ALL.map(|slot| card.system(slot)), [Some(1), Some(2)], "{context}");
            let other = Digest::of(&system(if last.slot == Slot::A { 2 } else { 1 }));
            assert_eq!(card.way_back(last.slot), Some(other), "{context}");
            seen[usize::from(last.slot == Slot::A)] += 1;
            if done {
                break;
            }
        }
    }
    println!("losses of power: {seen:?}");
    assert!(seen.iter().all(|&count| count > 3), "{seen:?}");
}

#[test]
fn a_power_cut_while_the_trial_of_what_is_gone_back_to_ends_leaves_one_of_both() {
    for call in 0.. {
        let card = TestCard::updated();
        card.ask(1);
        card.workshop(STARTED_B).work(trusted).unwrap();
        let started = card.boot();
        card.disk.fail(call, Failure::Power);
        let _ = card.workshop(started).confirm();
        let done = card.disk.calls() <= call;
        card.disk.heal();
        card.disk.cut_power(&mut Random(call as u64));
        card.start(true);
        let last = card.start(true);
        assert_eq!((last, card.state()), (STARTED_A, kept(Slot::A, 0)), "cut at {call}");
        assert_eq!((card.result(), card.has(STAGED)), (Some(Stage::Confirmed), false), "cut at {call}");
        assert_eq!(card.way_back(Slot::A), Some(Digest::of(&system(2))), "cut at {call}");
        if done {
            break;
        }
    }
}

/// Nothing of a bundle is tried, and slot A stays as it is.
fn assert_not_tried(card: &TestCard, context: &str) {
    assert_eq!((card.state(), card.has(STAGED)), (kept(Slot::A, 0), false), "{context}");
    assert_eq!((card.start(true), card.system(Slot::A)), (STARTED_A, Some(1)), "{context}");
}

#[test]
fn what_was_altered_or_broken_off_is_refused_before_anything_is_unpacked() {
    let bytes = good(2);
    let card = TestCard::new();
    for at in (0..bytes.len()).step_by(4096).chain([bytes.len() - 1]) {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        assert!(matches!(card.stage(&altered).result, Stage::Refused(_)), "{at}");
    }
    let head = PackageHead::read(&bytes).unwrap().length;
    for length in [0, 1, 8, head / 2, head - 1, head, head + 1, bytes.len() / 2, bytes.len() - 1] {
        let result = card.stage(&bytes[..length]).result;
        assert!(matches!(result, Stage::Refused(_)), "{length}: {result:?}");
        assert_eq!(result == Stage::Refused(SoftwareRefusal::NotABundle), length < head, "{length}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(card.stage(&longer).result, Stage::Refused(SoftwareRefusal::WrongSignature));
    assert_not_tried(&card, "altered");
    let untouched = card.disk.content(Path::new(DEVICES[1])).unwrap();
    assert!(untouched.iter().all(|&byte| byte == 0));
    assert_eq!(card.stage(&bytes).result, Stage::Staged);
}

#[test]
fn a_bundle_that_does_not_unpack_to_a_slot_is_never_tried_even_if_it_is_signed() {
    let whole = system(2);
    let bomb = [&whole[..], &vec![0; 64 << 20]].concat();
    let twice = [packed(&whole), packed(&whole)].concat();
    let mut damaged = packed(&whole);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0);
    let payloads = [
        ("longer", packed(&[&whole[..], &[0]].concat())),
        ("a bomb", packed(&bomb)),
        ("shorter", packed(&whole[..SLOT - 1])),
        ("nothing", packed(&[])),
        ("no file system", packed(&vec![0; SLOT])),
        ("two members", twice),
        ("something behind it", [packed(&whole), vec![0]].concat()),
        ("damaged", damaged),
        ("broken off", packed(&whole)[..SLOT / 2].to_vec()),
        ("not packed", whole.clone()),
        ("empty", Vec::new()),
    ];
    let card = TestCard::new();
    for (name, payload) in payloads {
        let outcome = card.stage(&bundle(2, &payload));
        assert_eq!(outcome.result, Stage::Refused(SoftwareRefusal::NotABundle), "{name}");
        assert_eq!((outcome.counter, outcome.trust), (Some(2), Trust::Signed), "{name}");
        let slot = card.disk.content(Path::new(DEVICES[1])).unwrap();
        assert!(slot.len() == SLOT && !begins_as_a_slot(&slot), "{name}");
        assert_not_tried(&card, name);
    }
    assert_eq!(card.stage(&good(2)).result, Stage::Staged, "what was refused does not count");
}

#[test]
fn what_nobody_vouches_for_is_refused() {
    let payload = packed(&system(2));
    let keys = list(1, &[10], &[]);
    let with = |change: fn(&mut Statement)| {
        let mut statement = statement(2, &payload);
        change(&mut statement);
        stated(10, &statement, &payload, &keys)
    };
    let unsigned = [PackageHead::new(None, None).to_bytes(), payload.clone()].concat();
    let forged = [keys[0].clone(), Signature::new(&key(2), keys[0].as_bytes(), String::new()).to_file()];
    let refused = [
        (unsigned.clone(), SoftwareRefusal::NotSigned),
        (with(|statement| statement.kind = Kind::Model), SoftwareRefusal::OtherKind),
        (with(|statement| "other".clone_into(&mut statement.line)), SoftwareRefusal::OtherLine),
        (with(|statement| statement.least = Version([0, 1, 1])), SoftwareRefusal::NeedsNewer),
        (with(|statement| statement.digest = Digest::default()), SoftwareRefusal::WrongSignature),
        (stated(11, &statement(2, &payload), &payload, &keys), SoftwareRefusal::KeyUnknown),
        (stated(10, &statement(2, &payload), &payload, &forged), SoftwareRefusal::List),
    ];
    let card = TestCard::new();
    for (bytes, expected) in refused {
        assert_eq!(card.stage(&bytes).result, Stage::Refused(expected));
        assert_not_tried(&card, &format!("{expected:?}"));
    }
    // A list that comes with a bundle counts from then on, whatever becomes of it.
    let revoking = stated(10, &statement(2, &payload), &payload, &list(2, &[11], &[10]));
    for bytes in [revoking, good(2)] {
        assert_eq!(card.stage(&bytes).result, Stage::Refused(SoftwareRefusal::KeyRevoked));
    }
    let unreadable = card.stage_by(&good(2), || Err(ConfigError::NoLine));
    assert_eq!(unreadable.result, Stage::Refused(SoftwareRefusal::NotStored));
    assert_not_tried(&card, "settings");
    let development = card.stage_by(&unsigned, || Ok(Trusted { unsigned: true, ..trusted()? }));
    assert_eq!((development.result, development.trust), (Stage::Staged, Trust::Unsigned));
    assert_eq!((development.bundle, development.counter), (Digest::of(&payload), None));
}

#[test]
fn without_slots_and_on_trial_nothing_is_taken() {
    for (has_slots, started, expected) in [
        (false, Some(STARTED_A), SoftwareRefusal::NoSlots),
        (true, None, SoftwareRefusal::NoSlots),
        (true, Some(Started { slot: Slot::A, is_trial: true }), SoftwareRefusal::OnTrial),
    ] {
        let card = TestCard::new();
        card.put(&good(2));
        let mut workshop = Workshop { started, ..card.workshop(STARTED_A) };
        workshop.slots = workshop.slots.filter(|_| has_slots);
        workshop.settle().unwrap();
        workshop.work(trusted).unwrap();
        let outcome = card.outcome().unwrap();
        assert_eq!((outcome.result, outcome.file), (Stage::Refused(expected), Digest::of(&good(2))));
        assert!(!workshop.has_something() && !workshop.has_left_over());
        assert_eq!((card.state(), card.system(Slot::B)), (kept(Slot::A, 0), None));
    }
}

#[test]
fn a_bundle_that_ends_the_box_is_not_begun_with_for_ever() {
    let card = TestCard::new();
    // It ends while the bundle is verified: after the copy and the note that it was begun with, nothing more is done.
    card.put(&good(2));
    let end = || -> Result<Trusted, ConfigError> { panic!("the box ends") };
    for begun in 1..=2_u8 {
        let workshop = card.workshop(STARTED_A);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| workshop.work(end)));
        assert!(ended.is_err());
        card.disk.cut_power(&mut Random(begun.into()));
        assert_eq!(notes::read(&card.disk, Path::new(FOLDER), BEGUN), Some(begun));
        assert!(card.workshop(STARTED_A).has_left_over());
    }
    card.workshop(STARTED_A).work(end).unwrap();
    assert_eq!(card.result(), Some(Stage::Refused(SoftwareRefusal::NotStored)));
    assert!(!card.workshop(STARTED_A).has_left_over());
    assert_eq!(card.stage(&good(2)).result, Stage::Staged, "sent again, it is another attempt");
}

#[test]
fn damaged_copies_of_the_boot_state_are_written_again() {
    let damage = |card: &TestCard, sectors: &[u64]| {
        let file = card.disk.open(Path::new(DISK), Access::Device).unwrap();
        for sector in sectors {
            file.write_all_at(&[0xa5; STATE_BYTES], sector * STATE_BYTES as u64).unwrap();
        }
        file.sync().unwrap();
    };
    let [first, second] = STATE_SECTORS;
    for sectors in [&[first][..], &[second], &[first, second]] {
        let card = TestCard::new();
        damage(&card, sectors);
        assert_eq!((card.start(true), card.state()), (STARTED_A, kept(Slot::A, 0)), "{sectors:?}");
        card.stage(&good(2));
        card.start(true);
        assert_eq!(card.state(), kept(Slot::B, 0));
        damage(&card, sectors);
        // Without any copy that of before is started, which is whole; what runs is what counts from then on.
        let expected = if sectors.len() == 2 { Slot::A } else { Slot::B };
        assert_eq!((card.start(true).slot, card.state()), (expected, kept(expected, 0)), "{sectors:?}");
        assert_eq!(card.result(), Some(Stage::Confirmed));
        // Damage while a bundle is staged costs nothing either.
        damage(&card, sectors);
        card.put(&good(3));
        card.workshop(Started { slot: expected, is_trial: false }).work(trusted).unwrap();
        assert_eq!(card.state(), kept(expected, MOST_TRIES));
    }
}

#[test]
fn what_is_left_of_another_card_is_forgotten_whenever_the_power_goes() {
    for call in 0.. {
        let card = TestCard::new();
        card.workshop(STARTED_A).adopt().unwrap();
        card.stage(&good(2));
        card.put_into(Path::new(FOLDER), BUNDLE, &good(3));
        card.put(&good(3));
        card.ask(1);
        card.workshop(STARTED_A).adopt().unwrap();
        assert!(card.has(STAGED) && card.has(BUNDLE) && card.workshop(STARTED_A).has_something(), "it is of this card");
        card.flash();
        card.disk.fail(call, Failure::Power);
        let adopted = card.workshop(STARTED_A).adopt();
        let done = card.disk.calls() <= call;
        card.disk.heal();
        card.disk.cut_power(&mut Random(call as u64));
        assert!(adopted.is_ok() || !done, "{adopted:?}");
        card.workshop(STARTED_A).adopt().unwrap();
        for _ in 0..2 {
            assert_eq!(card.start(true), STARTED_A, "cut at {call}");
        }
        assert!(!card.has(PROGRAMS), "cut at {call}: a way back to another card's program");
        let left = (card.has(STAGED), card.has(BUNDLE), card.outcome(), card.system(Slot::B));
        assert_eq!((left, card.state()), ((false, false, None, None), kept(Slot::A, 0)), "cut at {call}");
        // Counters are kept.
        assert_eq!(card.stage(&good(1)).result, Stage::Refused(SoftwareRefusal::Older), "cut at {call}");
        if done {
            break;
        }
    }
}

#[test]
fn where_nothing_can_be_noted_what_the_worker_has_put_down_makes_room() {
    let mut deaf = 0;
    for call in 0.. {
        let card = TestCard::new();
        let mut software = Software::on(card.workshop(STARTED_A));
        card.put(&good(2));
        card.disk.fail(call, Failure::Error(io::ErrorKind::StorageFull));
        let has_something = || card.workshop(STARTED_A).has_something();
        assert!(until(|| !software.look() && software.work.is_none() && !has_something()), "{call}: it stays");
        assert!(!card.has("bundle.new"), "{call}");
        deaf += u32::from(software.is_deaf);
        if card.disk.calls() <= call {
            break;
        }
    }
    assert!(deaf > 3, "{deaf}");
}

/// Slots and state in files of this computer.
fn real(folder: &Path, started: Started) -> Workshop {
    let software = folder.join(SOFTWARE);
    std::fs::create_dir_all(software.join(INCOMING)).unwrap();
    let devices = DEVICES.map(|device| folder.join(device.trim_start_matches("/dev/")));
    let disk = folder.join("vda");
    if !disk.exists() {
        std::fs::File::create(&disk).unwrap().set_len((STATE_SECTORS[1] + 1) * STATE_BYTES as u64).unwrap();
        std::fs::write(&devices[0], system(1)).unwrap();
        std::fs::write(&devices[1], vec![0; SLOT]).unwrap();
        state::write(&Card, &disk, BootState::FIRST).unwrap();
    }
    let slots = Some(Slots::at(disk, devices));
    Workshop { disk: Arc::new(Card), folder: software, has_folder: true, slots, started: Some(started), sizes: SHORT }
}

#[test]
fn a_bundle_goes_to_a_real_file() {
    let folder = tempfile::tempdir().unwrap();
    let workshop = real(folder.path(), STARTED_A);
    std::fs::write(workshop.folder.join(INCOMING).join(READY), good(2)).unwrap();
    workshop.work(trusted).unwrap();
    assert!(std::fs::read(folder.path().join("vda3")).unwrap() == system(2));
    assert_eq!(state::read(&Card, &folder.path().join("vda")).unwrap(), kept(Slot::A, MOST_TRIES));
    let outcome: Outcome = notes::read(&Card, &workshop.folder, OUTCOME).unwrap();
    assert_eq!(outcome.result, Stage::Staged);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(workshop.folder.join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(["outcome", "programs", "trust.1", "trust.2"].map(mode), [0o644; 4], "for the worker");
    assert_eq!(mode("staged"), 0o600);
}

#[test]
fn no_link_and_no_folder_in_the_place_of_a_bundle_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let workshop = real(folder.path(), STARTED_A);
    let ready = workshop.folder.join(INCOMING).join(READY);
    let victim = folder.path().join("victim");
    std::fs::write(&victim, good(2)).unwrap();
    std::os::unix::fs::symlink(&victim, &ready).unwrap();
    assert!(workshop.has_something());
    workshop.work(trusted).unwrap();
    let outcome: Outcome = notes::read(&Card, &workshop.folder, OUTCOME).unwrap();
    assert_eq!(outcome.result, Stage::Refused(SoftwareRefusal::NotStored));
    assert!(std::fs::symlink_metadata(&ready).is_err() && std::fs::read(&victim).unwrap() == good(2));
    // Nor is one in the place of what somebody wants to go back to.
    let asked = workshop.folder.join(INCOMING).join(ASKED);
    std::os::unix::fs::symlink(&victim, &asked).unwrap();
    assert!(workshop.has_something());
    workshop.work(trusted).unwrap();
    assert!(std::fs::symlink_metadata(&asked).is_err() && std::fs::read(&victim).unwrap() == good(2));
    std::fs::create_dir(&asked).unwrap();
    workshop.work(trusted).unwrap();
    assert!(!asked.exists() && !workshop.has_something());
    let mut software = Software::on(workshop.clone());
    std::fs::create_dir(&ready).unwrap();
    std::fs::write(ready.join("file"), "").unwrap();
    assert!(until(|| !software.look() && software.work.is_none() && !ready.exists()), "it is removed");
    let outcome: Outcome = notes::read(&Card, &workshop.folder, OUTCOME).unwrap();
    assert_eq!((outcome.result, software.is_deaf), (Stage::Refused(SoftwareRefusal::NotStored), false));
    assert_eq!(state::read(&Card, &folder.path().join("vda")).unwrap(), kept(Slot::A, 0));
}

/// Waits until something is so.
fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if is_so() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn the_loop_looks_after_bundles_without_waiting_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let workshop = real(folder.path(), STARTED_A);
    let (incoming, software_folder) = (workshop.folder.join(INCOMING), workshop.folder.clone());
    let mut software = Software::on(workshop);
    assert!(!software.look() && software.work.is_none() && !software.is_on_trial());
    std::fs::write(incoming.join(READY), good(2)).unwrap();
    let noted = || notes::read::<Outcome>(&Card, &software_folder, OUTCOME).map(|outcome| outcome.result);
    assert!(until(|| !software.look() && software.work.is_none() && noted().is_some()));
    // There are no settings to read here, so nobody is believed and nothing is stored.
    assert_eq!(noted(), Some(Stage::Refused(SoftwareRefusal::NotStored)));
    assert!(!software.is_deaf && !incoming.join(READY).exists());
}

#[test]
fn a_trial_ends_when_the_program_serves_or_after_a_time() {
    let on_trial = Started { slot: Slot::B, is_trial: true };
    let folder = tempfile::tempdir().unwrap();
    let mut software = Software::on(real(folder.path(), on_trial));
    let state = || state::read(&Card, &folder.path().join("vda")).unwrap();
    assert!(!software.look() && software.is_on_trial());
    assert_eq!(state(), kept(Slot::A, 0), "it does not serve yet");
    software.serves();
    assert!(!software.look() && !software.is_on_trial());
    assert_eq!(state(), kept(Slot::B, 0));
    assert!(!software.fail(), "a worker that fails now is not on trial");

    let folder = tempfile::tempdir().unwrap();
    let mut software = Software::on(real(folder.path(), on_trial));
    software.since -= TRIAL_WITHIN + Duration::from_secs(1);
    assert!(software.look(), "the machine restarts");
    assert!(!software.look() && !software.is_on_trial(), "once");
    let mut software = Software::on(real(folder.path(), on_trial));
    assert!(software.fail() && !software.fail(), "safe mode would begin");
    assert_eq!(state::read(&Card, &folder.path().join("vda")).unwrap(), kept(Slot::A, 0));
    // A folder that may be somebody else's is left alone, and the trial can still end.
    let workshop = Workshop { has_folder: false, ..real(folder.path(), on_trial) };
    let ready = workshop.folder.join(INCOMING).join(READY);
    std::fs::write(&ready, good(2)).unwrap();
    let mut software = Software::on(workshop);
    software.serves();
    assert!(!software.look() && !software.look() && software.work.is_none() && ready.exists());
    assert_eq!(state::read(&Card, &folder.path().join("vda")).unwrap(), kept(Slot::B, 0));
}
