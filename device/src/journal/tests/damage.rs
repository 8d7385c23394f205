//! Files with wrong heads, on failing disks, and what is kept aside of them.

use super::{
    super::{
        scan::{Scan, Tail, scan},
        segment::MOST_DAMAGED,
    },
    *,
};
use crate::disk::ReadAt;

/// Damages a file in one way or another.
type Harm = fn(&mut Vec<u8>);

const HARMS: [(&str, Harm); 4] = [
    ("a bit of the head", |bytes| bytes[5] ^= 4),
    ("the first page", |bytes| bytes[..64].fill(0xff)),
    ("all of it", |bytes| bytes.fill(0)),
    ("a letter", |bytes| *bytes = b"Dear".to_vec()),
];

#[test]
fn a_wrong_head_is_damage_and_the_entries_behind_it_are_kept() {
    for name in ["journal", "journal.4", "journal.7"] {
        for (harm, does) in HARMS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
            push_to(&mut journal, 8);
            drop(journal);
            let mut bytes = std::fs::read(folder.path().join(name)).unwrap();
            does(&mut bytes);
            std::fs::write(folder.path().join(name), &bytes).unwrap();

            let first = if name == "journal" { 1 } else { name[8..].parse().unwrap() };
            let lost = if harm == "a bit of the head" { 0..0 } else { first..first + 3 };
            let left: Vec<u64> = (1..=8).filter(|number| !lost.contains(number)).collect();
            // The length of the file shows how many results it may have held.
            let last = match (name, harm) {
                ("journal.7", "a letter") => 6,
                // Where nothing can be read it may have held the shorter entries of earlier versions.
                ("journal.7", "the first page" | "all of it") => 9,
                _ => 8,
            };
            let (mut journal, repairs) = Journal::open_within(&path, small()).unwrap();
            let damaged = folder.path().join(format!("{name}.damaged-1"));
            assert_eq!(std::fs::read(&damaged).unwrap(), bytes, "{name}, {harm}");
            let kept = left.iter().filter(|&&number| (first..first + 3).contains(&number)).count() as u64;
            assert_eq!(repairs, [Repair::KeptAside { damaged, results: kept }], "{name}, {harm}");
            assert_eq!((numbers(&journal), journal.last_number()), (left.clone(), last), "{name}, {harm}");
            assert_eq!(journal.boot(), 2, "{name}, {harm}");
            push_to(&mut journal, 10);
            drop(journal);
            let (journal, repairs) = Journal::open_within(&path, small()).unwrap();
            assert_eq!((journal.last_number(), journal.boot(), repairs), (10, 3, vec![]), "{name}, {harm}");
            let kept = numbers(&journal);
            assert!(kept.is_sorted() && kept.contains(left.last().unwrap()), "{name}, {harm}: {kept:?}");
        }
    }
}

#[test]
fn the_file_that_was_named_is_foreign_unless_something_shows_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 2);
    let whole = std::fs::read(&path).unwrap();
    for (harm, does) in HARMS {
        let mut bytes = whole.clone();
        does(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        // Its neighbour is as strange, and must not be touched either.
        std::fs::write(folder.path().join("journal.5"), "a letter").unwrap();
        let opened = Journal::open(&path);
        if harm == "a bit of the head" {
            let (journal, repairs) = opened.unwrap();
            assert_eq!((numbers(&journal), journal.next_number(), repairs.len()), (vec![1, 2], 5, 2));
            continue;
        }
        assert!(matches!(opened, Err(JournalError::Foreign(_))), "{harm}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{harm}");
        assert_eq!(std::fs::read(folder.path().join("journal.5")).unwrap(), b"a letter", "{harm}");
    }
}

#[test]
fn numbers_go_on_after_the_greatest_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    // Only the name of the last file says 9, and the results before it go further.
    let path = journal_of(folder.path(), 20);
    std::fs::write(folder.path().join("journal.9"), "a letter").unwrap();
    let (mut journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!((journal.next_number(), journal.boot(), repairs.len()), (21, 2, 1));
    push_to(&mut journal, 22);
    drop(journal);
    let (journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!((numbers(&journal), journal.boot(), repairs), (Vec::from_iter(1..=22), 3, vec![]));
}

#[test]
fn a_few_damaged_files_are_kept_and_the_oldest_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
    push_to(&mut journal, 8);
    drop(journal);
    let others = ["journal.damaged-01", "journal.5x.damaged-2", "journal.damaged-", "journal.damaged-1.txt"];
    for name in others {
        std::fs::write(folder.path().join(name), "a letter").unwrap();
    }
    for round in 1..=11 {
        for name in ["journal", "journal.4"] {
            let mut bytes = std::fs::read(folder.path().join(name)).unwrap();
            bytes[0] = round;
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let (journal, repairs) = Journal::open_within(&path, Limits { files: 20, ..small() }).unwrap();
        let number = u64::from(round) * 2;
        let damaged = |name: &str, number| folder.path().join(format!("{name}.damaged-{number}"));
        let kept = |name, number| Repair::KeptAside { damaged: damaged(name, number), results: 3 };
        assert_eq!(repairs, [kept("journal", number - 1), kept("journal.4", number)]);
        assert_eq!(numbers(&journal), Vec::from_iter(1..=8));
        let left = names(folder.path()).iter().filter(|name| name.contains(".damaged-")).count() - others.len();
        assert_eq!(left as u64, number.min(MOST_DAMAGED as u64), "{round}");
        assert_eq!(std::fs::read(damaged("journal.4", number)).unwrap()[0], round);
    }
    assert!(others.iter().all(|name| folder.path().join(name).exists()));
}

/// A file on a disk that does not give the bytes from a position on.
struct Failing<'a> {
    bytes: &'a [u8],
    from: usize,
}

impl ReadAt for Failing<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = self.from.min(offset as usize + buffer.len());
        match self.bytes.get(offset as usize..end) {
            Some(bytes) if !bytes.is_empty() => buffer[..bytes.len()].copy_from_slice(bytes),
            _ => return Err(io::Error::other("a bad block")),
        }
        Ok(end - offset as usize)
    }
}

#[test]
fn what_the_disk_does_not_give_is_damage_and_never_an_unfinished_entry() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(journal_of(folder.path(), 5)).unwrap();
    let entry = length_of(&record(1));
    let results = bytes.len() - 5 * entry;
    for from in 0..bytes.len() {
        let Scan { results: found, end, tail, .. } =
            scan(&Failing { bytes: &bytes, from }, bytes.len() as u64, MAGIC.len() as u64, 1, &mut || ());
        assert_eq!((found.len(), tail), (from.saturating_sub(results) / entry, Tail::Damaged), "{from}");
        assert!(end <= (from as u64).max(MAGIC.len() as u64), "{from}");
    }
}
