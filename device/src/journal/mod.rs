//! The journal of the results: an append-only file that survives a loss of power at any moment.
//!
//! The file opens with the eight bytes `PUMUAJ1\n`; entries follow (see the module `entry`). Every start of the box and
//! every result is one entry. An entry is on the disk before anybody hears of it. When the journal is opened, an entry
//! whose writing was cut short is removed; a journal that is damaged otherwise is kept aside as `NAME.damaged-N`, and its
//! readable beginning goes on as the journal. Results are numbered from 1 without gaps.

mod entry;
mod scan;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use shared::verdict::ResultRecord;

use self::{
    entry::{Entry, MAX_ENTRY},
    scan::{Scan, Tail, read_up_to, scan},
};

const MAGIC: &[u8; 8] = b"PUMUAJ1\n";
/// Damaged journals that are kept before the box asks for somebody to look at them.
const MOST_DAMAGED: u32 = 1000;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// reading or writing failed
    #[error("cannot use the journal {path}: {source}; check the storage, or name another file with --journal")]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// another box uses the journal
    #[error("the journal {0} is in use by another box: stop that one, or name another folder with --state-dir")]
    InUse(PathBuf),
    /// the file is something else
    #[error("{0} is not a journal of this program: name another file with --journal")]
    Foreign(PathBuf),
    /// an entry that was readable at the start no longer is
    #[error("result {number} of the journal {path} can no longer be read: check the storage")]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// The number of the result.
        number: u64,
    },
    /// a result does not fit into an entry
    #[error("the result cannot be encoded: {0}")]
    Encode(postcard::Error),
}

/// What was done to a journal when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// So many bytes of an unfinished entry were removed.
    Truncated {
        /// Bytes removed.
        bytes: u64,
    },
    /// The damaged file was kept aside.
    KeptAside {
        /// Where.
        damaged: PathBuf,
        /// Results in the readable beginning.
        results: u64,
    },
}

/// An open journal. Nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Where each result begins.
    results: Vec<u64>,
    boot: u32,
    /// End of the last entry; what lies beyond was never acknowledged.
    end: u64,
}

impl Journal {
    /// Opens or creates the journal, repairs it and counts a start of the box.
    pub fn open(path: &Path) -> Result<(Self, Option<Repair>), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(folder(path)).map_err(failed)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        lock(&file, path)?;
        let head = read_up_to(&file, 0, MAGIC.len()).map_err(failed)?;
        if head.len() < MAGIC.len() && MAGIC.starts_with(&head) {
            write_head(&file, path).map_err(failed)?;
        } else if head != MAGIC {
            return Err(JournalError::Foreign(path.to_owned()));
        }
        let Scan { results, boot, end, tail } = scan(&file, MAGIC.len() as u64).map_err(failed)?;
        let mut journal = Self { path: path.to_owned(), file, results, boot, end };
        let repair = journal.repair(tail)?;
        journal.boot = journal.boot.saturating_add(1);
        journal.append(&Entry::Boot(journal.boot))?;
        Ok((journal, repair))
    }

    /// How often the box has started with this journal, this time included.
    pub fn boot(&self) -> u32 {
        self.boot
    }

    /// Number of results.
    pub fn len(&self) -> u64 {
        self.results.len() as u64
    }

    /// Whether there is no result yet.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Number of the next result.
    pub fn next_number(&self) -> u64 {
        self.len() + 1
    }

    /// Keeps a result, whose number must be [`Self::next_number`]. When this returns it is on the disk.
    pub fn push(&mut self, record: &ResultRecord) -> Result<(), JournalError> {
        debug_assert_eq!(record.number, self.next_number());
        let start = self.end;
        self.append(&Entry::Result(record.clone()))?;
        self.results.push(start);
        Ok(())
    }

    /// The result with a number, if there is one.
    pub fn get(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        let index = number.checked_sub(1).and_then(|i| usize::try_from(i).ok());
        let Some(&position) = index.and_then(|i| self.results.get(i)) else { return Ok(None) };
        let bytes = read_up_to(&self.file, position, MAX_ENTRY).map_err(|source| self.io(source))?;
        match Entry::decode(&bytes) {
            Ok((Entry::Result(record), _)) if record.number == number => Ok(Some(record)),
            _ => Err(JournalError::Unreadable { path: self.path.clone(), number }),
        }
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }

    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let bytes = entry.encode().map_err(JournalError::Encode)?;
        let written = self.file.write_all_at(&bytes, self.end).and_then(|()| self.file.sync_all());
        if let Err(source) = written {
            // Should this fail too, the next append writes over it and the next start removes the rest.
            let _ = self.file.set_len(self.end);
            return Err(self.io(source));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn repair(&mut self, tail: Tail) -> Result<Option<Repair>, JournalError> {
        match tail {
            Tail::Clean => Ok(None),
            Tail::Torn => {
                let cut = || {
                    let bytes = self.file.metadata()?.len() - self.end;
                    self.file.set_len(self.end)?;
                    self.file.sync_all()?;
                    Ok(Repair::Truncated { bytes })
                };
                cut().map(Some).map_err(|source| self.io(source))
            }
            Tail::Damaged => {
                let (damaged, file) = self.keep_aside().map_err(|source| self.io(source))?;
                self.file = file;
                Ok(Some(Repair::KeptAside { damaged, results: self.len() }))
            }
        }
    }

    /// Gives the damaged file a second name, then puts a copy of its readable beginning in its place, so that at every
    /// moment there is a journal under the usual name.
    fn keep_aside(&self) -> io::Result<(PathBuf, File)> {
        let fresh = named_after(&self.path, ".new");
        let copy = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh)?;
        copy.lock()?;
        let mut position = 0;
        while position < self.end {
            let count = usize::try_from(self.end - position).map_or(1 << 16, |left| left.min(1 << 16));
            let bytes = read_up_to(&self.file, position, count)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            copy.write_all_at(&bytes, position)?;
            position += bytes.len() as u64;
        }
        copy.sync_all()?;
        let damaged = (1..=MOST_DAMAGED).find_map(|n| {
            let name = named_after(&self.path, &format!(".damaged-{n}"));
            match std::fs::hard_link(&self.path, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                linked => Some(linked.map(|()| name)),
            }
        });
        let damaged = damaged.unwrap_or_else(|| Err(io::Error::other("too many damaged journals are kept already")))?;
        std::fs::rename(&fresh, &self.path)?;
        sync_folder(&self.path)?;
        Ok((damaged, copy))
    }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::InUse(path.to_owned()),
        TryLockError::Error(source) => JournalError::Io { path: path.to_owned(), source },
    })
}

fn write_head(file: &File, path: &Path) -> io::Result<()> {
    file.write_all_at(MAGIC, 0)?;
    file.sync_all()?;
    sync_folder(path)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A new name is on the disk only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn named_after(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Digest, OperatingPoint, StudyId, Verdict};

    use super::*;

    fn record(number: u64) -> ResultRecord {
        ResultRecord {
            number,
            boot: 1,
            unix_seconds: Some(1_700_000_000),
            study: StudyId::new("ward-3").unwrap(),
            image: Digest::of(&number.to_le_bytes()),
            model: Digest([7; 32]),
            probability: 0.75,
            point: OperatingPoint::HALF,
            verdict: Verdict::Pneumonia,
        }
    }

    /// A journal of so many results, closed.
    fn journal_of(folder: &Path, results: u64) -> PathBuf {
        let path = folder.join("journal");
        let (mut journal, repair) = Journal::open(&path).unwrap();
        assert_eq!(repair, None);
        for number in 1..=results {
            journal.push(&record(number)).unwrap();
        }
        path
    }

    fn numbers(journal: &Journal) -> Vec<u64> {
        (1..=journal.len()).map(|n| journal.get(n).unwrap().unwrap().number).collect()
    }

    #[test]
    fn results_and_the_number_of_starts_outlive_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal_of(folder.path(), 3);
        let (mut journal, repair) = Journal::open(&path).unwrap();
        assert_eq!((journal.boot(), journal.next_number(), repair), (2, 4, None));
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
        let last = Entry::Result(record(2)).encode().unwrap().len();
        for cut in 1..=last {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut journal, repair) = Journal::open(&path).unwrap();
            let torn = (last - cut) as u64;
            assert_eq!(repair, (torn > 0).then_some(Repair::Truncated { bytes: torn }), "cut {cut}");
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
        let (journal, repair) = Journal::open(&path).unwrap();
        assert_eq!(repair, Some(Repair::Truncated { bytes: 190 }));
        assert_eq!(numbers(&journal), [1, 2]);
    }

    #[test]
    fn a_flipped_bit_anywhere_keeps_the_file_aside_and_what_precedes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal_of(folder.path(), 3);
        let whole = std::fs::read(&path).unwrap();
        let entry = Entry::Result(record(1)).encode().unwrap().len();
        let second = whole.len() - 2 * entry;
        for at in second..second + entry {
            std::fs::write(&path, &whole).unwrap();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            let (mut journal, repair) = Journal::open(&path).unwrap();
            let Some(Repair::KeptAside { damaged, results: 1 }) = repair else { panic!("{at}: {repair:?}") };
            assert_eq!(std::fs::read(&damaged).unwrap(), bytes, "{at}");
            assert_eq!(numbers(&journal), [1], "{at}");
            journal.push(&record(2)).unwrap();
            assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))), "the copy is locked as well");
            std::fs::remove_file(damaged).unwrap();
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
            let (_, repair) = Journal::open(&path).unwrap();
            let damaged = named_after(&path, &format!(".damaged-{n}"));
            assert_eq!(repair, Some(Repair::KeptAside { damaged, results: 1 }));
        }
    }

    #[test]
    fn a_second_box_and_a_foreign_file_are_turned_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (_journal, _) = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))));
        let other = folder.path().join("letter");
        std::fs::write(&other, "Dear reader, this is no journal").unwrap();
        assert!(matches!(Journal::open(&other), Err(JournalError::Foreign(_))));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "Dear reader, this is no journal");
    }

    #[test]
    fn a_head_cut_short_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for length in 0..MAGIC.len() {
            std::fs::write(&path, &MAGIC[..length]).unwrap();
            let (journal, _) = Journal::open(&path).unwrap();
            assert_eq!((journal.boot(), journal.len()), (1, 0));
        }
    }
}
