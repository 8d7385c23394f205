//! One file of the journal.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
};

use shared::verdict::ResultRecord;
use wire::{Content, Linked, Listed};

use super::{
    JournalError, Repair,
    entry::{Entry, MAX_ENTRY, SHORTEST_LINKED, SHORTEST_LINKED_RESULT, SHORTEST_RESULT},
    named_after,
    scan::{Chain, Place, Scan, Tail, scan},
};
use crate::disk::{Access, Disk, DiskFile, ReadAt, folder_of};

pub(super) const MAGIC: &[u8; 8] = b"PUMUAJ1\n";
/// Most damaged files of a journal that are kept aside.
pub(super) const MOST_DAMAGED: usize = 8;
const DAMAGED: &str = ".damaged-";

/// An open file of the journal. Nobody else can open it meanwhile.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Number of the first result, whether there is one yet or not.
    first: u64,
    /// Where each result begins.
    results: Vec<u64>,
    /// Where each entry with a number begins, the numbers rising.
    places: Vec<Place>,
    /// What the links said when it was opened.
    chain: Chain,
    boot: u32,
    /// Where the last entry begins.
    last: u64,
    /// End of the last entry; what lies beyond was never acknowledged.
    end: u64,
}

/// An entry is not appended.
pub(super) struct NotAppended {
    pub(super) error: JournalError,
    /// Whether it is known what is on the disk: without the entry, what was there before.
    pub(super) is_known: bool,
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
    /// Most entries of any kind.
    lost_entries: u64,
}

impl Found {
    /// Opens the file of a journal whose first result has a number, or creates an empty one. `alive` is called all the
    /// time while it is read.
    pub(super) fn open(
        disk: &dyn Disk,
        journal: &Path,
        first: u64,
        access: Access,
        alive: &mut dyn FnMut(),
    ) -> Result<Self, JournalError> {
        let path = path_of(journal, first);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        let file = disk.open(&path, access).map_err(failed)?;
        lock(&*file, &path)?;
        let length = file.length().map_err(failed)?;
        alive();
        let head = match file.read_up_to(0, MAGIC.len()) {
            Err(_) => Head::Unreadable,
            Ok(head) if head == MAGIC => Head::Whole,
            Ok(head) if length < MAGIC.len() as u64 && MAGIC.starts_with(&head) => Head::Short,
            Ok(_) => Head::Wrong,
        };
        let Scan { results, places, chain, boot, last, end, tail } =
            scan(&*file, length, MAGIC.len() as u64, first, alive);
        let damaged = tail == Tail::Damaged || matches!(head, Head::Wrong | Head::Unreadable);
        let shortest = if chain.last.is_some() { SHORTEST_LINKED_RESULT } else { SHORTEST_RESULT };
        let bytes = if damaged { length.saturating_sub(end) } else { 0 };
        let (lost, lost_entries) = (bytes / shortest, bytes / SHORTEST_LINKED);
        let segment = Segment { path, file, first, results, places, chain, boot, last, end };
        Ok(Self { segment, head, tail, lost, lost_entries })
    }

    /// In the place of a file that can be neither opened nor made.
    pub(super) fn absent(journal: &Path, first: u64) -> Self {
        let segment = Segment::empty(path_of(journal, first), Box::new(Absent), first, 0, MAGIC.len() as u64);
        Self { segment, head: Head::Whole, tail: Tail::Clean, lost: 0, lost_entries: 0 }
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

    /// Number of the entry that has certainly never been here.
    pub(super) fn next_unused_entry(&self) -> u64 {
        self.segment.last_entry() + 1 + self.lost_entries
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
    pub(super) fn repair(&mut self, disk: &dyn Disk, journal: &Path) -> Result<Option<Repair>, JournalError> {
        let Self { segment, head, tail, .. } = self;
        let tail = match head {
            Head::Whole => *tail,
            Head::Short => {
                write_head(disk, &*segment.file, &segment.path).map_err(|source| segment.io(source))?;
                *tail
            }
            Head::Wrong | Head::Unreadable => Tail::Damaged,
        };
        segment.repair(disk, tail, journal)
    }

    /// The file as it is now.
    pub(super) fn into_segment(self) -> Segment {
        self.segment
    }
}

impl Segment {
    fn empty(path: PathBuf, file: Box<dyn DiskFile>, first: u64, boot: u32, end: u64) -> Self {
        let (results, places, chain) = (Vec::new(), Vec::new(), Chain::default());
        Self { path, file, first, results, places, chain, boot, last: MAGIC.len() as u64, end }
    }

    /// Puts a file without results in place, which begins with the number of starts so far. It has its name only when all
    /// of it is on the disk, and replaces whatever has had that name.
    pub(super) fn create(disk: &dyn Disk, path: &Path, first: u64, boot: u32) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let start = Entry::Boot(boot).encode().map_err(JournalError::Encode)?;
        let end = (MAGIC.len() + start.len()) as u64;
        let make = || {
            let (fresh, file) = fresh(disk, path)?;
            file.write_all_at(MAGIC, 0)?;
            file.write_all_at(&start, MAGIC.len() as u64)?;
            file.sync()?;
            disk.rename(&fresh, path)?;
            disk.sync_folder(folder_of(path))?;
            Ok(file)
        };
        let file = make().map_err(failed)?;
        Ok(Self::empty(path.to_owned(), file, first, boot, end))
    }

    /// Deletes it.
    pub(super) fn delete(&self, disk: &dyn Disk) -> Result<(), JournalError> {
        let deleted = match disk.remove(&self.path) {
            // Somebody has done it by hand.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        };
        deleted.and_then(|()| disk.sync_folder(folder_of(&self.path))).map_err(|source| self.io(source))
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

    /// Number of the last entry; 0 without one.
    pub(super) fn last_entry(&self) -> u64 {
        self.places.last().map_or(0, |place| place.sequence)
    }

    /// What the links said when it was opened.
    pub(super) fn chain(&self) -> &Chain {
        &self.chain
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
    pub(super) fn append_boot(&mut self, boot: u32, bytes: &[u8]) -> Result<(), NotAppended> {
        self.append(bytes)?;
        self.boot = boot;
        Ok(())
    }

    /// Appends an entry of the chain, encoded; a result must be the next one.
    pub(super) fn append_linked(&mut self, linked: &Linked, bytes: &[u8]) -> Result<(), NotAppended> {
        let at = self.end;
        self.append(bytes)?;
        if matches!(linked.content, Content::Result(_)) {
            self.results.push(at);
        }
        self.places.push(Place { sequence: linked.sequence, at });
        Ok(())
    }

    /// The result with a number, if it is here.
    pub(super) fn get(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        let index = number.checked_sub(self.first).and_then(|i| usize::try_from(i).ok());
        let Some(&position) = index.and_then(|i| self.results.get(i)) else { return Ok(None) };
        match self.read(position) {
            Some(Entry::Result(record) | Entry::Linked(Linked { content: Content::Result(record), .. }))
                if record.number == number =>
            {
                Ok(Some(record))
            }
            _ => Err(JournalError::Unreadable { path: self.path.clone(), number }),
        }
    }

    /// The first entry here that has this number or a greater one.
    pub(super) fn entry_from(&self, sequence: u64) -> Result<Option<Listed>, JournalError> {
        let index = self.places.partition_point(|place| place.sequence < sequence);
        let Some(&Place { sequence, at }) = self.places.get(index) else { return Ok(None) };
        let entry = match self.read(at) {
            Some(Entry::Result(record)) => Some(Listed::Unlinked(record)),
            Some(Entry::Linked(linked)) => Some(Listed::Linked(linked)),
            _ => None,
        };
        let whole = entry.filter(|entry| entry.sequence() == sequence);
        whole.map(Some).ok_or_else(|| JournalError::UnreadableEntry { path: self.path.clone(), sequence })
    }

    fn read(&self, position: u64) -> Option<Entry> {
        let bytes = self.file.read_up_to(position, MAX_ENTRY).ok()?;
        Entry::decode(&bytes).ok().map(|(entry, _)| entry)
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }

    /// Writes the last entry once more. The system may hold it only in memory and take it for written, after a sync that
    /// failed before the program was started again.
    pub(super) fn write_last_again(&self) -> Result<(), JournalError> {
        let again = || {
            let length = usize::try_from(self.end - self.last).unwrap_or(MAX_ENTRY).min(MAX_ENTRY);
            let bytes = self.file.read_up_to(self.last, length)?;
            self.file.write_all_at(&bytes, self.last)
        };
        again().map_err(|source| self.io(source))
    }

    /// That the next start finds it. A file that was removed, with its folder perhaps, or that another has replaced, takes
    /// what is written and is gone when the program ends.
    pub(super) fn check_place(&self) -> Result<(), JournalError> {
        match self.file.is_at(&self.path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(JournalError::Gone(self.path.clone())),
            Err(source) => Err(self.io(source)),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), NotAppended> {
        if let Err(source) = self.file.write_all_at(bytes, self.end) {
            // Should this fail too, the next start removes the rest.
            let cut = self.file.set_length(self.end);
            return Err(NotAppended { error: self.io(source), is_known: cut.is_ok() });
        }
        if let Err(source) = self.file.sync() {
            let _ = self.file.set_length(self.end);
            return Err(NotAppended { error: self.io(source), is_known: false });
        }
        self.check_place().map_err(|error| NotAppended { error, is_known: false })?;
        self.last = self.end;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn repair(&mut self, disk: &dyn Disk, tail: Tail, journal: &Path) -> Result<Option<Repair>, JournalError> {
        match tail {
            Tail::Clean => Ok(None),
            Tail::Torn => {
                let cut = || {
                    let bytes = self.file.length()? - self.end;
                    self.file.set_length(self.end)?;
                    self.file.sync()?;
                    Ok(Repair::Truncated { bytes })
                };
                cut().map(Some).map_err(|source| self.io(source))
            }
            Tail::Damaged => {
                let (damaged, file) = self.keep_aside(disk, journal).map_err(|source| self.io(source))?;
                self.file = file;
                Ok(Some(Repair::KeptAside { damaged, results: self.kept() }))
            }
        }
    }

    /// Gives the damaged file a second name, then puts a copy of its readable beginning in its place, so that at every
    /// moment there is a file under the usual name.
    fn keep_aside(&self, disk: &dyn Disk, journal: &Path) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
        let kept = damaged(disk, journal)?;
        // Before the copy, for which they may have left no room. One that cannot be deleted must not keep the box from
        // starting.
        for (_, path) in &kept[..(kept.len() + 1).saturating_sub(MOST_DAMAGED)] {
            let _ = disk.remove(path);
        }
        let number = kept.last().map_or(1, |(number, _)| number + 1);
        let damaged = named_after(&self.path, &format!("{DAMAGED}{number}"));
        let (fresh, copy) = fresh(disk, &self.path)?;
        copy.write_all_at(MAGIC, 0)?;
        let mut position = MAGIC.len() as u64;
        while position < self.end {
            let count = usize::try_from(self.end - position).map_or(1 << 16, |left| left.min(1 << 16));
            let bytes = self.file.read_up_to(position, count)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            copy.write_all_at(&bytes, position)?;
            position += bytes.len() as u64;
        }
        copy.sync()?;
        disk.link(&self.path, &damaged)?;
        disk.rename(&fresh, &self.path)?;
        disk.sync_folder(folder_of(&self.path))?;
        Ok((damaged, copy))
    }
}

impl Drop for Segment {
    /// Closing alone would leave it locked as long as a child that another thread has just forked holds a copy.
    fn drop(&mut self) {
        self.file.unlock();
    }
}

/// An empty file that is to replace the one at a path, locked before anybody can find it there. What an interrupted
/// attempt has left is removed.
fn fresh(disk: &dyn Disk, path: &Path) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
    let fresh = named_after(path, ".new");
    let file = disk.open(&fresh, Access::New)?;
    file.lock()?;
    Ok((fresh, file))
}

/// What stands for a file that can be neither opened nor made: it is empty and stays so.
#[derive(Debug)]
struct Absent;

impl ReadAt for Absent {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
}

impl DiskFile for Absent {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn lock(&self) -> Result<(), TryLockError> {
        Ok(())
    }

    fn unlock(&self) {}

    fn is_at(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }
}

fn lock(file: &dyn DiskFile, path: &Path) -> Result<(), JournalError> {
    file.lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::InUse(path.to_owned()),
        TryLockError::Error(source) => JournalError::Io { path: path.to_owned(), source },
    })
}

fn write_head(disk: &dyn Disk, file: &dyn DiskFile, path: &Path) -> io::Result<()> {
    file.write_all_at(MAGIC, 0)?;
    file.sync()?;
    disk.sync_folder(folder_of(path))
}

/// The numbers of the first results of a journal's files, in order.
pub(super) fn segments(disk: &dyn Disk, journal: &Path) -> io::Result<Vec<u64>> {
    suffixes(disk, journal, first_of)
}

/// The files of a journal that were kept aside, with the numbers that they got then: the oldest first.
fn damaged(disk: &dyn Disk, journal: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    suffixes(disk, journal, |suffix| {
        let (file, number) = suffix.rsplit_once(DAMAGED)?;
        Some((number_of(number)?, named_after(&path_of(journal, first_of(file)?), &format!("{DAMAGED}{number}"))))
    })
}

/// What is understood of what follows the journal's name in the names of the files beside it, in order.
fn suffixes<T: Ord>(disk: &dyn Disk, journal: &Path, understand: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let Some(name) = journal.file_name() else { return Err(io::ErrorKind::InvalidFilename.into()) };
    let mut found = Vec::new();
    for file in disk.names(folder_of(journal))? {
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
