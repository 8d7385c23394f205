//! Bundles that come in whole, in part, damaged, and while calls to the disk fail or the power goes.

use std::fs;

use shared::verdict::Trust;
use trust::{KeyId, Kind, Known, LINE, Roots, Seen, Signature, Statement, Version};

use super::*;
use crate::{
    disk::{
        Card,
        simulated::{Failure, Random, Simulated},
    },
    signers::{key, list},
};

const FOLDER: &str = "/data/software";
const STARTED: Option<Started> = Some(Started { slot: Slot::A, is_trial: false });
/// Bytes of a piece here.
const SIZE: usize = 100_000;

/// A bundle that nobody has signed.
fn bundle(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = PackageHead::new(None, None).to_bytes();
    bytes.extend((bytes.len()..length).map(|_| random.below(256) as u8));
    bytes
}

fn on(disk: &Simulated) -> Software {
    Software::new(Arc::new(disk.clone()), PathBuf::from(FOLDER), Gate::open(), STARTED)
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn ready(disk: &Simulated) -> Option<Vec<u8>> {
    disk.content(&path("incoming/ready"))
}

fn piece(file: &[u8], from: usize) -> BundlePiece {
    let bytes = file[from..file.len().min(from + SIZE)].to_vec();
    BundlePiece::new(Digest::of(file), file.len() as u32, from as u32, bytes)
}

fn next(software: &Software, file: &[u8]) -> usize {
    software.state(Digest::of(file), file.len() as u32).next as usize
}

/// Sends a bundle as a host does, from where the box says, until something else is answered.
fn send(software: &mut Software, file: &[u8]) -> Kept {
    let mut from = next(software, file);
    for _ in 0..20 {
        match software.keep(&piece(file, from)) {
            Kept::Stored { next } => from = next as usize,
            other => return other,
        }
    }
    panic!("it does not end");
}

/// Lets the whole be read again, and returns what is told of it, if anything is.
fn check(software: &mut Software) -> Option<News> {
    let mut news = None;
    while matches!(software.work, Work::Checking { .. }) {
        assert_eq!(software.deadline(), Some(0));
        news = software.look(0);
    }
    news
}

fn outcome(file: &[u8], result: Stage) -> Outcome {
    let (name, key) = ("pumua-9".to_owned(), Some("0123456789ABCDEF".to_owned()));
    let (bundle, file) = (Digest::of(b"payload"), Digest::of(file));
    Outcome { bundle, file, name, counter: Some(9), key, trust: Trust::Signed, result }
}

fn write(disk: &Simulated, name: &str, bytes: &[u8]) {
    disk.open(&path(name), Access::New).unwrap().write_all_at(bytes, 0).unwrap();
}

/// The first process takes the bundle, and says what becomes of it.
fn take(disk: &Simulated, outcome: &Outcome) {
    disk.rename(&path("incoming/ready"), &path("bundle")).unwrap();
    write(disk, "outcome", &serde_json::to_vec(outcome).unwrap());
    disk.remove(&path("bundle")).unwrap();
}

#[test]
fn a_bundle_comes_in_pieces_and_is_handed_on_and_answered() {
    let (disk, file) = (Simulated::default(), bundle(2_500_000, 1));
    let mut software = on(&disk);
    assert_eq!(next(&software, &file), 0);
    assert_eq!(software.keep(&piece(&file, 0)), Kept::Stored { next: SIZE as u32 });
    assert_eq!(next(&software, &file), SIZE);
    assert_eq!(
        software.keep(&piece(&file, 2 * SIZE)),
        Kept::Stored { next: SIZE as u32 },
        "not where the last one ended"
    );
    for from in (SIZE..file.len() - SIZE).step_by(SIZE) {
        assert_eq!(software.keep(&piece(&file, from)), Kept::Stored { next: (from + SIZE) as u32 });
        assert_eq!(ready(&disk), None);
    }
    assert_eq!(software.keep(&piece(&file, file.len() - SIZE)), Kept::Complete);
    assert_eq!(next(&software, &file), file.len(), "it works at it");
    assert_eq!(software.keep(&piece(&bundle(10_000, 2), 0)), Kept::Failed(Fault::Busy));
    assert_eq!(check(&mut software), None);
    assert_eq!(ready(&disk).as_deref(), Some(&file[..]));
    // Nothing yet, then the first process has taken it, then it says what has become of it.
    assert_eq!((software.look(1_000), software.deadline()), (None, Some(1_500)));
    let staged = outcome(&file, Stage::Staged);
    take(&disk, &staged);
    assert_eq!(software.look(1_100), None, "not before it is due");
    let told = News::Outcome { outcome: Box::new(staged.clone()), is_new: true, is_on_trial: false };
    assert_eq!(software.look(2_000), Some(told));
    assert_eq!(software.look(4_000), Some(News::Answered(Ok(file.len() as u32))));
    assert_eq!((software.look(9_000), software.deadline()), (None, None));
    let on_line = software.state(Digest::of(&file), 0).outcome.unwrap();
    assert_eq!((on_line.stage, on_line.file, on_line.name.as_str()), (SoftwareStage::Staged, staged.file, "pumua-9"));
    assert_eq!(on_line.key.as_deref(), Some("0123456789ABCDEF"));
}

#[test]
fn the_same_refusal_as_before_is_an_answer_too() {
    let (disk, file) = (Simulated::default(), bundle(10_000, 1));
    let refused = outcome(&file, Stage::Refused(SoftwareRefusal::Older));
    write(&disk, "outcome", &serde_json::to_vec(&refused).unwrap());
    let mut software = on(&disk);
    assert!(matches!(software.look(0), Some(News::Outcome { .. })));
    assert_eq!(send(&mut software, &file), Kept::Complete);
    assert_eq!(check(&mut software), None);
    assert_eq!(software.look(5_000), None, "that is of before");
    take(&disk, &refused);
    assert_eq!(software.look(6_000), Some(News::Answered(Err(SoftwareRefusal::Older))));
}

#[test]
fn nobody_waits_for_ever() {
    let (disk, file) = (Simulated::default(), bundle(10_000, 1));
    let mut software = on(&disk);
    assert_eq!(send(&mut software, &file), Kept::Complete);
    assert_eq!(check(&mut software), None);
    for now in (0..=WITHIN_MS).step_by(1_000) {
        assert_eq!(software.look(now), None, "{now}");
    }
    let late = News::Kept(Kept::Failed(Fault::Internal));
    assert_eq!(software.look(WITHIN_MS + 1_000), Some(late));
    // The first process may still be at it.
    assert_eq!(next(&software, &file), file.len());
    take(&disk, &outcome(&file, Stage::Staged));
    assert_eq!(next(&software, &file), 0);
    assert!(matches!(software.keep(&piece(&bundle(200_000, 2), 0)), Kept::Stored { .. }), "it takes another one");
}

#[test]
fn an_outcome_is_new_until_it_is_noted() {
    let disk = Simulated::default();
    let look = |disk: &Simulated| on(disk).look(0);
    assert_eq!(look(&disk), None);
    for result in [Stage::Staged, Stage::WentBack] {
        let outcome = outcome(b"file", result);
        write(&disk, "outcome", &serde_json::to_vec(&outcome).unwrap());
        let mut software = on(&disk);
        let told = |is_new| News::Outcome { outcome: Box::new(outcome.clone()), is_new, is_on_trial: false };
        assert_eq!(software.look(0), Some(told(true)));
        assert_eq!(look(&disk), Some(told(true)), "not noted yet");
        software.note();
        assert_eq!(look(&disk), Some(told(false)));
    }
    write(&disk, "outcome", b"{\"bundle\":");
    assert_eq!(look(&disk), None, "half of one");
}

#[test]
fn what_is_refused_by_its_head_is_removed_at_once() {
    let disk = Simulated::default();
    let strict = Gate::for_software(None, false, Version([1, 0, 0]));
    let mut software = Software::new(Arc::new(disk.clone()), PathBuf::from(FOLDER), strict, STARTED);
    let not_signed = bundle(300_000, 1);
    let not_a_bundle = vec![7; 300_000];
    let mut wrong = PackageHead::new(Some("untrusted comment: x\n"), None).to_bytes();
    wrong.resize(300_000, 1);
    for (file, refusal) in [
        (not_signed, SoftwareRefusal::NotSigned),
        (not_a_bundle, SoftwareRefusal::NotABundle),
        (wrong, SoftwareRefusal::WrongSignature),
    ] {
        assert_eq!(software.keep(&piece(&file, 0)), Kept::Refused(refusal));
        assert_eq!(disk.content(&software.part(Digest::of(&file))), None);
        assert_eq!(next(&software, &file), 0);
    }
    // One that ends before a head could.
    let short = bundle(20, 1)[..15].to_vec();
    assert_eq!(on(&disk).keep(&piece(&short, 0)), Kept::Refused(SoftwareRefusal::NotABundle));
    // A head that comes in two pieces.
    let file = bundle(60_000, 1);
    let mut software = on(&disk);
    let first = BundlePiece::new(Digest::of(&file), file.len() as u32, 0, file[..10].to_vec());
    assert_eq!(software.keep(&first), Kept::Stored { next: 10 });
    assert_eq!(software.keep(&piece(&file, 10)), Kept::Complete);
}

#[test]
fn the_counters_that_the_first_process_has_noted_refuse_a_bundle_by_its_head() {
    let roots = Roots::new(vec![key(1).public()], 1).unwrap();
    let signed = |counter| {
        let payload = vec![7; 200_000];
        let (kind, line, made, name) = (Kind::Software, LINE.to_owned(), "2026-11-30".to_owned(), "box".to_owned());
        let (least, digest) = (Version([0, 1, 0]), Digest::of(&payload));
        let statement = Statement { kind, line, counter, least, made, name, digest };
        let signature = Signature::new(&key(10), &payload, statement.to_string()).to_file();
        let [list, signatures] = list(1, &[10], &[]);
        let head = PackageHead::new(Some(&signature), Some([&list, &signatures]));
        [head.to_bytes(), payload].concat()
    };
    let disk = Simulated::default();
    let mut gate = Gate::for_software(Some(roots), false, Version([0, 1, 0]));
    let mut software = Software::new(Arc::new(disk.clone()), PathBuf::from(FOLDER), gate.clone(), STARTED);
    let stored = Kept::Stored { next: SIZE as u32 };
    assert_eq!(software.keep(&piece(&signed(3), 0)), stored);
    gate.see(Seen { key: KeyId([10; 8]), counter: 5, model: Digest::of(b"another one") });
    memory::write(&disk, Path::new(FOLDER), gate.known()).unwrap();
    for counter in [4, 5] {
        assert_eq!(software.keep(&piece(&signed(counter), 0)), Kept::Refused(SoftwareRefusal::Older));
    }
    assert_eq!(software.keep(&piece(&signed(6), 0)), stored);
    // A key that is revoked by a list that came with a model.
    let [list, signatures] = list(2, &[11], &[10]);
    let known = Known { list: Some([list, signatures]), ..Known::default() };
    memory::write(&disk, Path::new("/data/models"), &known).unwrap();
    assert_eq!(software.keep(&piece(&signed(7), 0)), Kept::Refused(SoftwareRefusal::KeyRevoked));
}

#[test]
fn a_bundle_that_has_no_room_is_refused_before_any_of_it_is_written() {
    let (disk, file) = (Simulated::default(), bundle(300_000, 1));
    let mut software = on(&disk);
    disk.say_free(600_000 + RESERVE - 1);
    assert_eq!(software.keep(&piece(&file, 0)), Kept::Refused(SoftwareRefusal::NotStored));
    assert_eq!(disk.content(&software.part(Digest::of(&file))), None);
    disk.say_free(600_000 + RESERVE);
    assert_eq!(software.keep(&piece(&file, 0)), Kept::Stored { next: SIZE as u32 });
    // The bundle itself takes room, too.
    disk.say_free(RESERVE);
    assert_eq!(send(&mut software, &file), Kept::Complete);
}

#[test]
fn another_bundle_removes_the_part_of_the_one_before() {
    let disk = Simulated::default();
    let (one, other) = (bundle(300_000, 1), bundle(300_000, 2));
    let mut software = on(&disk);
    software.keep(&piece(&one, 0));
    software.keep(&piece(&other, 0));
    assert_eq!((next(&software, &one), next(&software, &other)), (0, SIZE));
    assert_eq!(disk.names(&path("incoming")).unwrap().len(), 1);
}

#[test]
fn a_bundle_goes_on_after_a_start_and_what_was_written_last_is_sent_again() {
    let (disk, file) = (Simulated::default(), bundle(500_000, 1));
    let mut software = on(&disk);
    for from in [0, SIZE, 2 * SIZE] {
        software.keep(&piece(&file, from));
    }
    let mut software = on(&disk);
    assert_eq!(next(&software, &file), 3 * SIZE - MAX_PIECE_BYTES as usize);
    assert_eq!(send(&mut software, &file), Kept::Complete);
    assert_eq!(check(&mut software), None);
    assert_eq!(ready(&disk).as_deref(), Some(&file[..]));
}

#[test]
fn a_bundle_that_is_not_what_was_announced_is_never_handed_on() {
    let (disk, file) = (Simulated::default(), bundle(300_000, 1));
    let mut other = file.clone();
    other[250_000] ^= 1;
    let mut software = on(&disk);
    let total = file.len() as u32;
    for from in (0..file.len()).step_by(SIZE) {
        software.keep(&BundlePiece::new(Digest::of(&file), total, from as u32, other[from..from + SIZE].to_vec()));
    }
    assert_eq!(check(&mut software), Some(News::Kept(Kept::Refused(SoftwareRefusal::NotStored))));
    assert_eq!((ready(&disk), next(&software, &file)), (None, 0));
    assert_eq!(send(&mut software, &file), Kept::Complete);
}

#[test]
fn a_box_without_slots_or_on_trial_takes_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = bundle(1_000, 1);
    let open = |started| Software::new(Arc::new(Card), folder.path().to_owned(), Gate::open(), started);
    let refused = Kept::Refused(SoftwareRefusal::NoSlots);
    assert_eq!(open(STARTED).keep(&piece(&file, 0)), refused);
    fs::create_dir(folder.path().join("incoming")).unwrap();
    assert_eq!(open(None).keep(&piece(&file, 0)), refused, "a folder that is left over");
    assert_eq!(open(None).played().keep(&piece(&file, 0)), Kept::Complete);
    let trial = Some(Started { slot: Slot::B, is_trial: true });
    let write = |result| {
        fs::write(folder.path().join("outcome"), serde_json::to_vec(&outcome(b"file", result)).unwrap()).unwrap();
    };
    write(Stage::Staged);
    let mut software = open(trial);
    assert!(matches!(software.look(0), Some(News::Outcome { is_on_trial: true, .. })));
    assert_eq!(software.keep(&piece(&file, 0)), Kept::Refused(SoftwareRefusal::OnTrial));
    assert_eq!(software.state(Digest::default(), 0).slot, Some(1));
    write(Stage::Confirmed);
    assert!(matches!(software.look(5_000), Some(News::Outcome { is_on_trial: false, .. })));
    assert_eq!(software.keep(&piece(&file, 0)), Kept::Complete);
}

/// Sends a bundle while something fails, then sees to it that nothing wrong is handed on, and that it can be sent again.
fn interrupted(call: usize, failure: Failure, seed: Option<u64>) -> bool {
    let what = format!("{failure:?} at {call}, {seed:?}");
    let (disk, file) = (Simulated::default(), bundle(300_000, 1));
    disk.chance(call as u64);
    disk.fail(call, failure);
    let mut software = on(&disk);
    if send(&mut software, &file) == Kept::Complete {
        check(&mut software);
    }
    let is_done = disk.calls() <= call;
    disk.heal();
    if let Some(seed) = seed {
        disk.cut_power(&mut Random(seed + 1000 * call as u64));
        software = on(&disk);
    }
    assert!(ready(&disk).is_none_or(|ready| ready == file), "{what}");
    if matches!(software.work, Work::Nothing) {
        assert_eq!(send(&mut software, &file), Kept::Complete, "{what}");
        assert_eq!(check(&mut software), None, "{what}");
    }
    disk.cut_power(&mut Random(call as u64));
    assert!(ready(&disk).is_none_or(|ready| ready == file), "{what}");
    is_done
}

#[test]
fn no_call_that_fails_and_no_loss_of_power_hands_on_what_is_wrong() {
    use io::ErrorKind::{Other, StorageFull};
    let failures =
        [Failure::Error(Other), Failure::Forever(StorageFull), Failure::Short, Failure::Lies, Failure::Power];
    for failure in failures {
        for call in 0.. {
            // Where the power goes, a program that goes on would find no disk.
            let seeds = (0..12).map(Some).chain((failure != Failure::Power).then_some(None));
            let mut is_done = true;
            for seed in seeds {
                is_done &= interrupted(call, failure, seed);
            }
            if is_done {
                break;
            }
        }
    }
}

/// Notes which programs have served, as the first process does.
fn note_programs(disk: &Simulated, programs: &Programs) {
    let file = disk.open(&path(PROGRAMS), Access::New).unwrap();
    file.write_all_at(&serde_json::to_vec(programs).unwrap(), 0).unwrap();
}

#[test]
fn what_a_person_may_go_back_to_is_what_has_served_in_the_other_slot() {
    let disk = Simulated::default();
    let served = |seed: u8| Served { content: Digest([seed; 32]), version: format!("0.{seed}.0"), outcome: None };
    let mut software = on(&disk);
    assert_eq!(software.look(0), None, "nothing is noted");
    note_programs(&disk, &Programs { a: Some(served(1)), b: None });
    assert_eq!(software.look(IDLE_MS), None, "it runs itself");
    note_programs(&disk, &Programs { a: Some(served(1)), b: Some(served(1)) });
    assert_eq!(software.look(2 * IDLE_MS), None, "it would be the same one");
    note_programs(&disk, &Programs { a: Some(served(1)), b: Some(served(2)) });
    let way_back = WayBack { content: Digest([2; 32]), name: String::new(), version: "0.2.0".to_owned() };
    let now = 3 * IDLE_MS;
    assert_eq!(software.look(now), Some(News::WayBack(Some(Box::new(way_back)))));
    assert_eq!(software.look(now), None, "once");
    software.go_back(Digest([2; 32])).unwrap();
    assert_eq!(disk.content(&path("incoming/back")), Some(vec![2; 32]));
    // Its slot is written over.
    note_programs(&disk, &Programs { a: Some(served(1)), b: None });
    assert_eq!(software.look(now + IDLE_MS), Some(News::WayBack(None)));
    // A program on trial offers nothing: it may be the one that is to go.
    note_programs(&disk, &Programs { a: Some(served(1)), b: Some(served(2)) });
    let on_trial = Some(Started { slot: Slot::B, is_trial: true });
    let mut software = Software::new(Arc::new(disk.clone()), PathBuf::from(FOLDER), Gate::open(), on_trial);
    assert_eq!(software.look(0), None);
    let mut elsewhere = Software::new(Arc::new(disk), PathBuf::from(FOLDER), Gate::open(), None);
    assert_eq!(elsewhere.look(0), None, "no slot was started");
}

#[test]
fn a_wish_to_go_back_is_on_the_disk_as_a_whole_or_fails() {
    for call in 0.. {
        let disk = Simulated::default();
        disk.fail(call, Failure::Error(io::ErrorKind::StorageFull));
        let asked = on(&disk).go_back(Digest([2; 32]));
        if disk.calls() <= call {
            assert!(asked.is_ok());
            break;
        }
        assert!(asked.is_err(), "{call}");
        let written = disk.content(&path("incoming/back"));
        assert!(written.is_none_or(|bytes| bytes == [2; 32]), "{call}");
    }
}
