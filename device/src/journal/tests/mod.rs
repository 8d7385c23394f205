//! Journals that are cut, damaged, rotated and opened twice.

mod chain;
mod damage;
mod storage;

use shared::{
    age::{Age, AgeNote},
    limits::MAX_EXAM_ID,
    verdict::{Digest, ExamId},
};

use super::{
    entry::{SHORTEST_LINKED, SHORTEST_LINKED_RESULT, SHORTEST_RESULT},
    segment::MAGIC,
    *,
};
use crate::sample;

fn record(number: u64) -> ResultRecord {
    ResultRecord {
        unix_seconds: Some(1_700_000_000),
        exam: ExamId::new("ward-3").unwrap(),
        image: Digest::of(&number.to_le_bytes()),
        model: Digest([7; 32]),
        probability: 0.75,
        age: AgeNote::NotNoted,
        ..sample::record(number)
    }
}

/// Length of the entry of a result.
fn length_of(record: &ResultRecord) -> usize {
    let content = Content::Result(record.clone());
    Entry::Linked(Linked { sequence: record.number, before: Digest([3; 32]), content }).encode().unwrap().len()
}

/// A journal of this many results, closed.
fn journal_of(folder: &Path, results: u64) -> PathBuf {
    let path = folder.join("journal");
    let (mut journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!(repairs, []);
    for number in 1..=results {
        journal.push(&record(number)).unwrap();
    }
    path
}

fn numbers(journal: &Journal) -> Vec<u64> {
    let after = |record: &ResultRecord| journal.get_from(record.number + 1).unwrap();
    std::iter::successors(journal.get_from(0).unwrap(), after).map(|record| record.number).collect()
}

#[test]
fn results_and_the_number_of_starts_outlive_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 3);
    let (mut journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!((journal.boot(), journal.next_number(), repairs), (2, 4, vec![]));
    journal.push(&record(4)).unwrap();
    assert_eq!(journal.get(3).unwrap(), Some(record(3)));
    assert_eq!((journal.get(0).unwrap(), journal.get(5).unwrap()), (None, None));
    drop(journal);
    let (journal, _) = Journal::open(&path).unwrap();
    assert_eq!((journal.boot(), numbers(&journal)), (3, vec![1, 2, 3, 4]));
}

#[test]
fn a_last_entry_cut_at_any_byte_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 2);
    let whole = std::fs::read(&path).unwrap();
    let last = length_of(&record(2));
    for cut in 1..=last {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let (mut journal, repairs) = Journal::open(&path).unwrap();
        let torn = (last - cut) as u64;
        let expected = (torn > 0).then_some(Repair::Truncated { bytes: torn });
        assert_eq!(repairs, Vec::from_iter(expected), "cut {cut}");
        assert_eq!(numbers(&journal), [1], "cut {cut}");
        journal.push(&record(2)).unwrap();
        drop(journal);
        assert_eq!(numbers(&Journal::open(&path).unwrap().0), [1, 2], "cut {cut}");
    }
}

#[test]
fn zeros_of_an_entry_that_never_arrived_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 2);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([0; 190]);
    std::fs::write(&path, bytes).unwrap();
    let (journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!(repairs, [Repair::Truncated { bytes: 190 }]);
    assert_eq!(numbers(&journal), [1, 2]);
}

#[test]
fn a_flipped_bit_anywhere_keeps_the_file_aside_and_what_precedes_it() {
    for results in [2, 3] {
        flip_every_byte_of_the_second_of(results);
    }
}

/// A journal of this many results, of which the second is damaged.
fn flip_every_byte_of_the_second_of(results: u64) {
    // In memory where the system has such a folder: a disk is waited for some twenty thousand times.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = journal_of(folder.path(), results);
    let whole = std::fs::read(&path).unwrap();
    let entry = length_of(&record(1));
    let second = whole.len() - (results as usize - 1) * entry;
    for (at, bit) in (second..second + entry).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        std::fs::write(&path, &whole).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        let (mut journal, repairs) = Journal::open(&path).unwrap();
        let [Repair::KeptAside { damaged, results: 1 }] = &repairs[..] else { panic!("{at}: {repairs:?}") };
        assert_eq!(std::fs::read(damaged).unwrap(), bytes, "{at}");
        assert_eq!(numbers(&journal), [1], "{at}");
        // What is lost was reported.
        journal.push(&record(results + 1)).unwrap();
        assert_eq!((journal.kept(), journal.numbers().collect::<Vec<_>>()), (2, vec![results + 1, 1]));
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))), "the copy is locked as well");
        std::fs::remove_file(damaged).unwrap();
        std::fs::remove_file(path_of(&path, results + 1)).unwrap();
    }
}

#[test]
fn damaged_journals_do_not_replace_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 1);
    for n in 1..=2 {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([0xa5; 700]);
        std::fs::write(&path, bytes).unwrap();
        let (_, repairs) = Journal::open(&path).unwrap();
        let damaged = named_after(&path, &format!(".damaged-{n}"));
        assert_eq!(repairs, [Repair::KeptAside { damaged, results: 1 }]);
    }
}

#[test]
fn a_second_box_and_a_foreign_file_are_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (_journal, _) = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))));
    let other = folder.path().join("letter");
    std::fs::write(&other, "Dear reader, this is not a journal").unwrap();
    assert!(matches!(Journal::open(&other), Err(JournalError::Foreign(_))));
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "Dear reader, this is not a journal");
}

#[test]
fn a_head_cut_short_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    for length in 0..MAGIC.len() {
        std::fs::write(&path, &MAGIC[..length]).unwrap();
        let (journal, _) = Journal::open(&path).unwrap();
        assert_eq!((journal.boot(), journal.last_number()), (1, 0));
    }
}

/// Room for a start and three results in a file, and three files.
fn small() -> Limits {
    let start = Entry::Boot(1).encode().unwrap().len();
    let result = length_of(&record(1));
    Limits { bytes: (MAGIC.len() + start + 3 * result) as u64, files: 3 }
}

/// Appends results up to a number.
fn push_to(journal: &mut Journal, last: u64) {
    for number in journal.next_number()..=last {
        journal.push(&record(number)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_oldest_results_make_room_and_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
    push_to(&mut journal, 20);
    assert_eq!(names(folder.path()), ["journal.13", "journal.16", "journal.19"]);
    assert_eq!(numbers(&journal), Vec::from_iter(13..=20));
    assert_eq!((journal.get(12).unwrap(), journal.get(13).unwrap()), (None, Some(record(13))));
    assert_eq!(journal.get_from(1).unwrap(), Some(record(13)));
    assert_eq!(journal.get_from(21).unwrap(), None);
    assert!(matches!(Journal::open_within(&path, small()), Err(JournalError::InUse(_))));
    drop(journal);
    let (mut journal, repairs) = Journal::open_within(&path, small()).unwrap();
    assert_eq!((journal.boot(), journal.last_number(), repairs), (2, 20, vec![]));
    push_to(&mut journal, 31);
    drop(journal);
    let (journal, _) = Journal::open_within(&path, small()).unwrap();
    // A start takes room as well, so that a file may hold two results only.
    assert_eq!((journal.boot(), journal.last_number()), (3, 31), "starts are counted across files");
    assert_eq!(numbers(&journal).last(), Some(&31));
    assert!(names(folder.path()).len() <= 3);
}

#[test]
fn a_loss_of_power_at_any_step_of_a_rotation_loses_nothing_acknowledged_and_gives_no_number_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let before = scratch.path().join("before");
    let (mut journal, _) = Journal::open_within(&before.join("journal"), small()).unwrap();
    push_to(&mut journal, 9);
    let Standing { entries, head, .. } = journal.standing();
    drop(journal);
    assert_eq!(names(&before), ["journal", "journal.4", "journal.7"]);
    let after = scratch.path().join("after");
    copy(&before, &after);
    // There is no room for the start, and so it opens another file.
    drop(Journal::open_within(&after.join("journal"), small()).unwrap());
    let fresh = std::fs::read(after.join("journal.10")).unwrap();

    // What each moment leaves: the oldest file or not, the fresh one under one of its names, and how much of it.
    let mut states: Vec<(bool, Option<&str>, Vec<u8>)> = vec![(true, None, vec![]), (false, None, vec![])];
    states.extend((0..=fresh.len()).map(|length| (false, Some("journal.10.new"), fresh[..length].to_vec())));
    let linked = Linked { sequence: entries + 1, before: head, content: Content::Result(record(10)) };
    let entry = Entry::Linked(linked).encode().unwrap();
    for length in (0..entry.len()).step_by(5).chain([entry.len()]) {
        let bytes = [&fresh[..], &entry[..length]].concat();
        states.push((false, Some("journal.10"), bytes.clone()));
        // A disk that has forgotten that the oldest file was deleted.
        states.push((true, Some("journal.10"), bytes));
    }
    for (step, (oldest, name, bytes)) in states.into_iter().enumerate() {
        let folder = scratch.path().join(format!("cut-{step}"));
        copy(&before, &folder);
        if !oldest {
            std::fs::remove_file(folder.join("journal")).unwrap();
        }
        if let Some(name) = name {
            std::fs::write(folder.join(name), &bytes).unwrap();
        }
        let acknowledged = if name == Some("journal.10") && bytes.len() == fresh.len() + entry.len() { 10 } else { 9 };
        let path = folder.join("journal");
        let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
        let boot = journal.boot();
        assert_eq!(boot, if name == Some("journal.10") { 3 } else { 2 }, "step {step}");
        assert_eq!(journal.last_number(), acknowledged, "step {step}");
        for number in 4..=acknowledged {
            assert_eq!(journal.get(number).unwrap(), Some(record(number)), "step {step}");
        }
        push_to(&mut journal, 12);
        drop(journal);
        let (journal, repairs) = Journal::open_within(&path, small()).unwrap();
        assert_eq!(repairs, [], "step {step}");
        assert_eq!((numbers(&journal).last(), journal.boot()), (Some(&12), boot + 1), "step {step}");
        assert!(numbers(&journal).is_sorted_by(|a, b| a + 1 == *b), "step {step}: {:?}", numbers(&journal));
        assert!(names(&folder).iter().filter(|name| !name.ends_with(".new")).count() <= 3, "{:?}", names(&folder));
    }
}

#[test]
fn a_file_filled_by_starts_alone_is_replaced_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    for boot in 1..=200 {
        let (journal, repairs) = Journal::open_within(&path, small()).unwrap();
        assert_eq!((journal.boot(), journal.last_number(), repairs), (boot, 0, vec![]));
    }
    assert_eq!(names(folder.path()), ["journal"]);
    assert!(path.metadata().unwrap().len() <= small().bytes);
}

#[test]
fn the_single_file_of_an_older_version_goes_on_as_the_first() {
    let folder = tempfile::tempdir().unwrap();
    // Larger than a file may be today.
    let path = journal_of(folder.path(), 9);
    let (mut journal, repairs) = Journal::open_within(&path, small()).unwrap();
    assert_eq!((numbers(&journal), journal.boot(), repairs), (Vec::from_iter(1..=9), 2, vec![]));
    push_to(&mut journal, 10);
    assert_eq!(numbers(&journal), Vec::from_iter(1..=10));
    assert_eq!(names(folder.path()), ["journal", "journal.10"]);
}

#[test]
fn damage_before_the_last_file_leaves_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
    push_to(&mut journal, 8);
    drop(journal);
    let second = folder.path().join("journal.4");
    let mut bytes = std::fs::read(&second).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 4;
    std::fs::write(&second, bytes).unwrap();
    let (mut journal, repairs) = Journal::open_within(&path, small()).unwrap();
    let damaged = folder.path().join("journal.4.damaged-1");
    assert_eq!(repairs, [Repair::KeptAside { damaged, results: 2 }]);
    assert_eq!(numbers(&journal), [1, 2, 3, 4, 5, 7, 8]);
    assert_eq!((journal.get(6).unwrap(), journal.get_from(6).unwrap()), (None, Some(record(7))));
    push_to(&mut journal, 9);
    assert_eq!(journal.get(9).unwrap(), Some(record(9)));
}

#[test]
fn files_with_other_names_are_let_alone() {
    let folder = tempfile::tempdir().unwrap();
    let others = ["journal.007", "journal.+7", "journal.0", "journal.1", "journal.bak", "journal.99999999999999999999"];
    for name in others {
        std::fs::write(folder.path().join(name), "a letter").unwrap();
    }
    let path = journal_of(folder.path(), 2);
    assert_eq!(numbers(&Journal::open(&path).unwrap().0), [1, 2]);
    assert_eq!(names(folder.path()).len(), 1 + others.len());
}

#[test]
fn prepared_images_are_marked_and_other_results_have_the_bytes_of_earlier_versions() {
    let whole = record(1);
    let prepared = ResultRecord { prepared: true, ..record(2) };
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 1);
    Journal::open(&path).unwrap().0.push(&prepared).unwrap();
    let (journal, _) = Journal::open(&path).unwrap();
    assert_eq!((journal.get(1).unwrap(), journal.get(2).unwrap()), (Some(whole), Some(prepared)));
    for (kind, prepared) in [(1_u8, false), (2, true)] {
        let ResultRecord { number, boot, unix_seconds, exam, image, model, probability, point, verdict, .. } =
            record(1);
        let fields = (kind, number, boot, unix_seconds, exam, image, model, probability, point, verdict);
        let bytes = Entry::Result(ResultRecord { prepared, ..record(1) }).encode().unwrap();
        let mut buffer = [0; 256];
        assert_eq!(&bytes[4..bytes.len() - 4], postcard::to_slice(&fields, &mut buffer).unwrap());
    }
}

/// The longest note of an age.
fn contradicting() -> AgeNote {
    let [young, old] = [200, Age::MOST].map(|months| Age::months(months).unwrap());
    AgeNote::Overridden(young.either(old))
}

/// A box of before writes results without a note of the age; one of now writes notes behind them, in one chain.
#[test]
fn results_with_and_without_a_note_of_the_age_are_in_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 2);
    let notes = [AgeNote::Unknown, AgeNote::Meant(Age::months(48).unwrap()), contradicting()];
    let (mut journal, _) = Journal::open(&path).unwrap();
    for (number, age) in (3..).zip(notes) {
        journal.push(&ResultRecord { age, ..record(number) }).unwrap();
    }
    drop(journal);
    let (journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!((repairs, journal.standing().broken), (vec![], None));
    let read: Vec<AgeNote> = (1..=5).map(|number| journal.get(number).unwrap().unwrap().age).collect();
    assert_eq!(read, [&[AgeNote::NotNoted; 2][..], &notes].concat());
}

#[test]
fn as_many_results_are_kept_as_is_said() {
    let largest = ResultRecord {
        number: u64::from(u32::MAX),
        boot: u32::MAX,
        unix_seconds: Some(u64::from(u32::MAX)),
        exam: ExamId::new(&"x".repeat(MAX_EXAM_ID)).unwrap(),
        age: contradicting(),
        ..record(1)
    };
    let sequence = u64::from(u32::MAX);
    let linked = |content| Entry::Linked(Linked { sequence, before: Digest([3; 32]), content }).encode().unwrap().len();
    let longest = linked(Content::Result(largest));
    let shortest = ResultRecord { unix_seconds: None, exam: ExamId::default(), ..record(1) };
    assert_eq!(Entry::Result(shortest.clone()).encode().unwrap().len() as u64, SHORTEST_RESULT);
    assert_eq!(length_of(&shortest) as u64, SHORTEST_LINKED_RESULT);
    let shortest = linked(Content::Result(shortest));
    let Limits { bytes, files } = Limits::default();
    let kept = |entry: usize| (files as u64 - 1) * (bytes / entry as u64);
    assert!(kept(longest) > 170_000 && kept(shortest) > 270_000, "{} {}", kept(longest), kept(shortest));
    let event = Event { boot: 1, unix_seconds: None, missed: 0, kind: EventKind::Truncated { bytes: 1 } };
    let event = Entry::Linked(Linked { sequence: 1, before: Digest([3; 32]), content: Content::Event(event) });
    assert_eq!((longest, event.encode().unwrap().len() as u64), (215, SHORTEST_LINKED));
}
