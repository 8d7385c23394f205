//! One file of the journal.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use shared::verdict::ResultRecord;

use super::{
    JournalError, Repair,
    entry::{Entry, MAX_ENTRY, SHORTEST_RESULT},
    folder, named_after,
    scan::{Scan, Tail, read_up_to, scan},
    sync_folder,
};

pub(super) const MAGIC: &[u8; 8] = b"PUMUAJ1\n";
/// Most damaged files of a journal that are kept aside.
pub(super) const MOST_DAMAGED: usize = 8;
const DAMAGED: &str = ".damaged-";

/// An open file of the journal. Nobody else can open it meanwhile.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    /// Number of the first result, whether there is one yet or not.
    first: u64,
    /// Where each result begins.
    results: Vec<u64>,
    boot: u32,
    /// End of the last entry; what lies beyond was never acknowledged.
    end: u64,
}

/// What a file opens with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// What it should.
    Whole,
    /// A part of it; the writing was cut short.
    Short,
    /// Something else.
    Wrong,
    /// The disk does not give it.
    Unreadable,
}

/// A file that was opened and read, and not changed yet.
#[derive(Debug)]
pub(super) struct Found {
    segment: Segment,
    head: Head,
    tail: Tail,
    /// Most results that there is room for in what cannot be read.
    lost: u64,
}

impl Found {
    /// Opens the file of a journal whose first result has a number, or creates an empty one.
    pub(super) fn open(journal: &Path, first: u64) -> Result<Self, JournalError> {
        let path = path_of(journal, first);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        lock(&file, &path)?;
        let length = file.metadata().map_err(failed)?.len();
        let head = match read_up_to(&file, 0, MAGIC.len()) {
            Err(_) => Head::Unreadable,
            Ok(head) if head == MAGIC => Head::Whole,
            Ok(head) if length < MAGIC.len() as u64 && MAGIC.starts_with(&head) => Head::Short,
            Ok(_) => Head::Wrong,
        };
        let Scan { results, boot, end, tail } = scan(&file, length, MAGIC.len() as u64, first);
        let damaged = tail == Tail::Damaged || matches!(head, Head::Wrong | Head::Unreadable);
        let lost = if damaged { length.saturating_sub(end) / SHORTEST_RESULT } else { 0 };
        Ok(Self { segment: Segment { path, file, first, results, boot, end }, head, tail, lost })
    }

    /// How often the box had started.
    pub(super) fn boot(&self) -> u32 {
        self.segment.boot()
    }

    /// Number of the result that would be next.
    pub(super) fn next(&self) -> u64 {
        self.segment.next()
    }

    /// Number of the first result that has certainly never been here.
    pub(super) fn next_unused(&self) -> u64 {
        self.segment.next() + self.lost
    }

    /// Whether its content shows that it belongs to a journal: the head does, and so does an entry behind a wrong head.
    pub(super) fn is_known(&self) -> bool {
        self.head == Head::Whole || self.segment.end > MAGIC.len() as u64
    }

    /// Whether it has the name that somebody chose for the journal, and the content of something else.
    pub(super) fn is_foreign(&self) -> bool {
        self.segment.first == 1 && self.head == Head::Wrong && !self.is_known()
    }

    /// Repairs it.
    pub(super) fn repair(self, journal: &Path) -> Result<(Segment, Option<Repair>), JournalError> {
        let Self { mut segment, head, tail, .. } = self;
        let tail = match head {
            Head::Whole => tail,
            Head::Short => {
                write_head(&segment.file, &segment.path).map_err(|source| segment.io(source))?;
                tail
            }
            Head::Wrong | Head::Unreadable => Tail::Damaged,
        };
        let repair = segment.repair(tail, journal)?;
        Ok((segment, repair))
    }
}

impl Segment {
    /// Puts a file without results in place, which begins with the number of starts so far. It has its name only when all
    /// of it is on the disk, and replaces whatever has had that name.
    pub(super) fn create(path: &Path, first: u64, boot: u32) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let start = Entry::Boot(boot).encode().map_err(JournalError::Encode)?;
        let end = (MAGIC.len() + start.len()) as u64;
        let make = || {
            let (fresh, file) = fresh(path)?;
            file.write_all_at(MAGIC, 0)?;
            file.write_all_at(&start, MAGIC.len() as u64)?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)?;
            sync_folder(path)?;
            Ok(file)
        };
        let file = make().map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, first, results: Vec::new(), boot, end })
    }

    /// Deletes it.
    pub(super) fn delete(&self) -> Result<(), JournalError> {
        let deleted = match std::fs::remove_file(&self.path) {
            // Somebody has done it by hand.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        };
        deleted.and_then(|()| sync_folder(&self.path)).map_err(|source| self.io(source))
    }

    /// Number of the first result, whether there is one yet or not.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Number of the result that would be next.
    pub(super) fn next(&self) -> u64 {
        self.first + self.kept()
    }

    /// How many results are here.
    pub(super) fn kept(&self) -> u64 {
        self.results.len() as u64
    }

    /// How often the box had started.
    pub(super) fn boot(&self) -> u32 {
        self.boot
    }

    /// Whether an entry can be appended without the file growing beyond a number of bytes.
    pub(super) fn has_room(&self, bytes: usize, limit: u64) -> bool {
        self.end + bytes as u64 <= limit
    }

    /// Appends a start of the box, encoded.
    pub(super) fn append_boot(&mut self, boot: u32, bytes: &[u8]) -> Result<(), JournalError> {
        self.append(bytes)?;
        self.boot = boot;
        Ok(())
    }

    /// Appends the next result, encoded.
    pub(super) fn append_result(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let start = self.end;
        self.append(bytes)?;
        self.results.push(start);
        Ok(())
    }

    /// The result with a number, if it is here.
    pub(super) fn get(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        let index = number.checked_sub(self.first).and_then(|i| usize::try_from(i).ok());
        let Some(&position) = index.and_then(|i| self.results.get(i)) else { return Ok(None) };
        let read = read_up_to(&self.file, position, MAX_ENTRY).ok().and_then(|bytes| Entry::decode(&bytes).ok());
        match read {
            Some((Entry::Result(record), _)) if record.number == number => Ok(Some(record)),
            _ => Err(JournalError::Unreadable { path: self.path.clone(), number }),
        }
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let written = self.file.write_all_at(bytes, self.end).and_then(|()| self.file.sync_all());
        if let Err(source) = written {
            // Should this fail too, the next append writes over it and the next start removes the rest.
            let _ = self.file.set_len(self.end);
            return Err(self.io(source));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn repair(&mut self, tail: Tail, journal: &Path) -> Result<Option<Repair>, JournalError> {
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
                let (damaged, file) = self.keep_aside(journal).map_err(|source| self.io(source))?;
                self.file = file;
                Ok(Some(Repair::KeptAside { damaged, results: self.kept() }))
            }
        }
    }

    /// Gives the damaged file a second name, then puts a copy of its readable beginning in its place, so that at every
    /// moment there is a file under the usual name.
    fn keep_aside(&self, journal: &Path) -> io::Result<(PathBuf, File)> {
        let kept = damaged(journal)?;
        // Before the copy, for which they may have left no room. One that cannot be deleted must not keep the box from
        // starting.
        for (_, path) in &kept[..(kept.len() + 1).saturating_sub(MOST_DAMAGED)] {
            let _ = std::fs::remove_file(path);
        }
        let number = kept.last().map_or(1, |(number, _)| number + 1);
        let damaged = named_after(&self.path, &format!("{DAMAGED}{number}"));
        let (fresh, copy) = fresh(&self.path)?;
        copy.write_all_at(MAGIC, 0)?;
        let mut position = MAGIC.len() as u64;
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
        std::fs::hard_link(&self.path, &damaged)?;
        std::fs::rename(&fresh, &self.path)?;
        sync_folder(&self.path)?;
        Ok((damaged, copy))
    }
}

impl Drop for Segment {
    /// Closing alone would leave it locked as long as a child that another thread has just forked holds a copy.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// An empty file that is to replace the one at a path, locked before anybody can find it there. What an interrupted
/// attempt has left is overwritten.
fn fresh(path: &Path) -> io::Result<(PathBuf, File)> {
    let fresh = named_after(path, ".new");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh)?;
    file.lock()?;
    Ok((fresh, file))
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

/// The numbers of the first results of a journal's files, in order.
pub(super) fn segments(journal: &Path) -> io::Result<Vec<u64>> {
    suffixes(journal, first_of)
}

/// The files of a journal that were kept aside, with the numbers that they got then: the oldest first.
fn damaged(journal: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    suffixes(journal, |suffix| {
        let (file, number) = suffix.rsplit_once(DAMAGED)?;
        Some((number_of(number)?, named_after(&path_of(journal, first_of(file)?), &format!("{DAMAGED}{number}"))))
    })
}

/// What is understood of what follows the journal's name in the names of the files beside it, in order.
fn suffixes<T: Ord>(journal: &Path, understand: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let Some(name) = journal.file_name() else { return Err(io::ErrorKind::InvalidFilename.into()) };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder(journal))? {
        let file = entry?.file_name();
        let Some(rest) = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes()) else { continue };
        found.extend(std::str::from_utf8(rest).ok().and_then(&understand));
    }
    found.sort_unstable();
    Ok(found)
}

/// The file of a journal whose first result has a number.
pub(super) fn path_of(journal: &Path, first: u64) -> PathBuf {
    if first == 1 { journal.to_owned() } else { named_after(journal, &format!(".{first}")) }
}

fn first_of(name: &str) -> Option<u64> {
    if name.is_empty() {
        return Some(1);
    }
    name.strip_prefix('.').and_then(number_of).filter(|&first| first > 1)
}

/// A number from 1 on, only as it is written here, neither `007` nor `+7`, and so that counting on from it has no end.
fn number_of(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    ((1..=u64::MAX / 2).contains(&number) && number.to_string() == text).then_some(number)
}
