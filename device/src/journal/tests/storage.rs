//! Every call to the disk failed in turn, and the power cut in the middle of anything.

use std::collections::BTreeMap;

use super::*;
use crate::disk::simulated::{Failure, Random, Simulated};

const PATH: &str = "/data/journal";

/// A box that keeps results, and what it has acknowledged.
struct Clinic {
    disk: Simulated,
    limits: Limits,
    journal: Option<Journal>,
    /// The results that somebody has been told.
    told: BTreeMap<u64, ResultRecord>,
    /// All that were ever tried: each image is another.
    tried: u64,
    /// The last entry that is on the disk, as the journal has said, and its digest.
    head: (u64, Digest),
}

impl Clinic {
    fn new(limits: Limits) -> Self {
        Self {
            disk: Simulated::default(),
            limits,
            journal: None,
            told: BTreeMap::new(),
            tried: 0,
            head: (0, Digest::default()),
        }
    }

    /// Starts the program; whatever the disk does, that must work.
    fn start(&mut self) {
        self.journal = None;
        self.disk.restart();
        let opened = Journal::open_on(Arc::new(self.disk.clone()), Path::new(PATH), self.limits, &mut || ());
        self.journal = Some(opened.expect("a box starts on every disk").0);
    }

    /// Judges an image, if results can be stored.
    fn judge(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        if journal.standing().read_only {
            return;
        }
        self.tried += 1;
        let number = journal.next_number();
        let record = ResultRecord { image: Digest::of(&self.tried.to_le_bytes()), ..record(number) };
        if journal.push(&record).is_ok() {
            assert_eq!(self.told.insert(number, record), None, "number {number} is given twice");
        }
        if self.tried.is_multiple_of(3) {
            // Whether it is kept or not: the head says it.
            let _ = journal.note_now(EventKind::ClockSet { before: None, after: self.tried });
        }
        let Standing { entries, head, .. } = journal.standing();
        self.head = (entries, head);
    }

    fn cut_power(&mut self, random: &mut Random) {
        self.disk.cut_power(random);
        self.journal = None;
    }

    /// The last `most` results that were told are there as they were told, no image is there twice, and the numbers rise.
    fn check(&self, most: usize, context: &str) {
        let journal = self.journal.as_ref().unwrap();
        for (number, record) in self.told.iter().rev().take(most) {
            assert_eq!(journal.get(*number).unwrap().as_ref(), Some(record), "{context}: number {number} is lost");
        }
        let kept = numbers(journal);
        assert!(kept.is_sorted_by(|a, b| a < b), "{context}: {kept:?}");
        let mut images: Vec<_> = kept.iter().map(|&number| journal.get(number).unwrap().unwrap().image.0).collect();
        images.sort_unstable();
        images.dedup();
        assert_eq!(images.len(), kept.len(), "{context}: an image is there twice");
        let last = self.told.last_key_value().map_or(0, |(number, _)| *number);
        assert!(journal.next_number() > last, "{context}: {} is given twice", journal.next_number());
        let (entry, head) = self.head;
        if entry > 0 {
            let kept = journal.entry_from(entry).unwrap();
            let Some(Listed::Linked(linked)) = kept else { panic!("{context}: entry {entry} is lost") };
            assert_eq!((linked.sequence, linked.digest()), (entry, head), "{context}");
        }
        assert_eq!(journal.standing().broken, None, "{context}: nobody has changed anything");
    }
}

/// Starts, results and rotations, and another start.
fn work(clinic: &mut Clinic) {
    clinic.start();
    for _ in 0..8 {
        clinic.judge();
    }
    clinic.start();
    for _ in 0..3 {
        clinic.judge();
    }
}

#[test]
fn every_call_that_fails_leaves_what_was_told_and_a_box_that_starts() {
    use io::ErrorKind::{Other, ReadOnlyFilesystem, StorageFull};
    let failures = [
        Failure::Error(StorageFull),
        Failure::Error(Other),
        Failure::Error(ReadOnlyFilesystem),
        Failure::Forever(StorageFull),
        Failure::Forever(ReadOnlyFilesystem),
        Failure::Short,
        Failure::Lies,
    ];
    let mut calls = 0;
    for failure in failures {
        for limits in [small(), Limits { files: 100, ..small() }] {
            let most = if limits.files < 100 { 4 } else { 100 };
            for call in 0.. {
                let mut clinic = Clinic::new(limits);
                work(&mut clinic);
                clinic.disk.chance(call as u64);
                clinic.disk.fail(call, failure);
                work(&mut clinic);
                let context = format!("{failure:?} at {call}");
                clinic.check(most, &context);
                let done = clinic.disk.calls() <= call;
                calls += 1;
                for cut in 0..4 {
                    clinic.disk.heal();
                    if cut > 0 {
                        clinic.cut_power(&mut Random(cut + 10 * call as u64));
                    }
                    clinic.start();
                    clinic.check(most, &format!("{context}, cut {cut}"));
                    assert!(!clinic.journal.as_ref().unwrap().standing().read_only, "{context}: the disk is healthy");
                    clinic.judge();
                    clinic.check(most, &format!("{context}, cut {cut}"));
                }
                if done {
                    break;
                }
            }
        }
    }
    assert!(calls > 500, "{calls}");
}

#[test]
fn a_thousand_losses_of_power_lose_no_result_that_was_told_and_double_none() {
    let (mut cuts, mut told) = (0, 0);
    for seed in 0..250 {
        let mut random = Random(seed);
        let deletes = random.below(2) == 0;
        let mut clinic = Clinic::new(if deletes { small() } else { Limits { files: 1000, ..small() } });
        let most = if deletes { 3 } else { 1000 };
        for _ in 0..4 {
            clinic.disk.fail(random.below(60) as usize, Failure::Power);
            let start = random.below(10);
            for step in 0..12 {
                if step == 0 || step == start {
                    clinic.start();
                }
                clinic.judge();
            }
            clinic.cut_power(&mut random);
            cuts += 1;
            clinic.start();
            clinic.check(most, &format!("seed {seed}, cut {cuts}"));
        }
        told += clinic.told.len();
    }
    assert_eq!(cuts, 1000);
    println!("{cuts} losses of power, {told} results told");
    assert!(told > 3000, "{told}");
}

#[test]
fn a_disk_that_cannot_be_written_is_read_and_nothing_on_it_is_changed() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        for damaged in [false, true] {
            let mut clinic = Clinic::new(small());
            work(&mut clinic);
            if damaged {
                let firsts = segments(&clinic.disk, Path::new(PATH)).unwrap();
                let last = path_of(Path::new(PATH), firsts[firsts.len() - 1]);
                let file = clinic.disk.open(&last, Access::Write).unwrap();
                let length = file.length().unwrap();
                file.write_all_at(&[0x5a; 700], length).unwrap();
            }
            let before = numbers(clinic.journal.as_ref().unwrap());
            clinic.disk.fail(0, Failure::Forever(kind));
            clinic.start();
            let journal = clinic.journal.as_mut().unwrap();
            assert!(journal.standing().read_only);
            assert_eq!((numbers(journal), journal.last_number()), (before, 11), "{kind:?}");
            assert!(matches!(journal.push(&record(12)), Err(JournalError::ReadOnly(_))));
            clinic.disk.heal();
            clinic.start();
            clinic.judge();
            clinic.check(4, "the next start writes again");
        }
    }
}

#[test]
fn an_empty_disk_that_cannot_be_written_holds_no_result() {
    let mut clinic = Clinic::new(small());
    clinic.disk.fail(0, Failure::Forever(io::ErrorKind::ReadOnlyFilesystem));
    clinic.start();
    let journal = clinic.journal.as_ref().unwrap();
    assert_eq!((journal.kept(), journal.last_number(), journal.standing().read_only), (0, 0, true));
}

#[test]
fn a_sign_of_life_is_given_between_any_two_readings() {
    // A real one would be waited for ten thousand times.
    let (disk, path) = (Simulated::default(), Path::new(PATH));
    let open = |limits: Limits, alive: &mut dyn FnMut()| {
        disk.restart();
        Journal::open_on(Arc::new(disk.clone()), path, limits, alive).unwrap().0
    };
    push_to(&mut open(Limits { bytes: 1 << 20, files: 3 }, &mut || ()), 10_000);
    let mut signs = 0;
    open(Limits::default(), &mut || signs += 1);
    let folder = folder_of(path);
    let files = disk.names(folder).unwrap().into_iter().map(|name| folder.join(name));
    let length: usize = files.map(|file| disk.content(&file).unwrap().len()).sum();
    assert!(signs > length / (64 << 10), "{signs} signs over {length} bytes");
}

#[test]
fn a_journal_that_vanishes_keeps_nothing_more_and_its_numbers_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = journal_of(&state, 2);
    let remove: [(&str, &dyn Fn()); 3] = [
        ("the folder", &|| std::fs::remove_dir_all(&state).unwrap()),
        ("the file", &|| std::fs::remove_file(path_of(&path, 4)).unwrap()),
        ("the name", &|| std::fs::rename(&state, folder.path().join("elsewhere")).unwrap()),
    ];
    let (mut told, mut entries) = (2, 0);
    for (what, remove) in remove {
        let (mut journal, _) = Journal::open(&path).unwrap();
        assert_eq!(journal.next_number(), told + 1, "{what}");
        assert!(journal.standing().entries >= entries, "{what}");
        assert_eq!(journal.standing().broken, None, "{what}");
        journal.push(&record(told + 1)).unwrap();
        told += 1;
        journal.look().unwrap();
        remove();
        let error = if told % 2 == 1 { journal.push(&record(told + 1)) } else { journal.look() }.unwrap_err();
        assert!(matches!(error, JournalError::Gone(_)), "{what}: {error}");
        assert!(journal.standing().read_only, "{what}");
        assert_eq!(journal.get(told).unwrap(), Some(record(told)), "{what}: it can be read until the end");
        entries = journal.standing().entries;
    }
}

#[test]
fn another_journal_in_its_place_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let path = journal_of(&state, 5);
    journal_of(&other, 1);
    let (mut journal, _) = Journal::open(&path).unwrap();
    std::fs::rename(&state, folder.path().join("aside")).unwrap();
    std::fs::rename(&other, &state).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(journal.push(&record(6)), Err(JournalError::Gone(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1);
    assert!(journal.note_now(EventKind::Truncated { bytes: 1 }).is_err());
}

#[test]
fn a_rotated_journal_whose_last_file_vanishes_goes_on_with_the_next_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
    push_to(&mut journal, 20);
    assert_eq!(names(folder.path()), ["journal.13", "journal.16", "journal.19"]);
    std::fs::remove_file(path_of(&path, 19)).unwrap();
    assert!(matches!(journal.push(&record(21)), Err(JournalError::Gone(_))));
    assert_eq!(journal.get(20).unwrap(), Some(record(20)), "it can be read until the end");
    drop(journal);
    assert_eq!(names(folder.path()), ["journal.13", "journal.16", "journal.21"]);
    let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
    assert_eq!(journal.next_number(), 21);
    assert!(journal.standing().newly_broken, "that entries are gone is told");
    journal.push(&record(21)).unwrap();
    assert_eq!(numbers(&journal), Vec::from_iter((13..=18).chain([21])));
}

#[test]
fn nothing_is_left_beside_files_of_another_journal() {
    for number in [16, 19, 40] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
        push_to(&mut journal, 20);
        std::fs::remove_file(path_of(&path, 19)).unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, MAGIC).unwrap();
        std::fs::rename(&other, path_of(&path, number)).unwrap();
        let before = names(folder.path());
        assert!(matches!(journal.look(), Err(JournalError::Gone(_))), "{number}");
        assert_eq!(names(folder.path()), before, "{number}");
        assert_eq!(std::fs::read(path_of(&path, number)).unwrap(), MAGIC, "{number}");
    }
}
