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
    entry::{Entry, MAX_ENTRY},
    folder, named_after,
    scan::{Scan, Tail, read_up_to, scan},
    sync_folder,
};

pub(super) const MAGIC: &[u8; 8] = b"PUMUAJ1\n";
/// Damaged files that are kept before the box asks for somebody to look at them.
const MOST_DAMAGED: u32 = 1000;

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

impl Segment {
    /// Opens the file whose first result has a number, or creates an empty one, and repairs it.
    pub(super) fn open(path: &Path, first: u64) -> Result<(Self, Option<Repair>), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        lock(&file, path)?;
        let head = read_up_to(&file, 0, MAGIC.len()).map_err(failed)?;
        if head.len() < MAGIC.len() && MAGIC.starts_with(&head) {
            write_head(&file, path).map_err(failed)?;
        } else if head != MAGIC {
            return Err(JournalError::Foreign(path.to_owned()));
        }
        let Scan { results, boot, end, tail } = scan(&file, MAGIC.len() as u64, first).map_err(failed)?;
        let mut segment = Self { path: path.to_owned(), file, first, results, boot, end };
        let repair = segment.repair(tail)?;
        Ok((segment, repair))
    }

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
        self.first + self.results.len() as u64
    }

    /// Whether there is no result.
    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty()
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
        let bytes = read_up_to(&self.file, position, MAX_ENTRY).map_err(|source| self.io(source))?;
        match Entry::decode(&bytes) {
            Ok((Entry::Result(record), _)) if record.number == number => Ok(Some(record)),
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
                Ok(Some(Repair::KeptAside { damaged, results: self.results.len() as u64 }))
            }
        }
    }

    /// Gives the damaged file a second name, then puts a copy of its readable beginning in its place, so that at every
    /// moment there is a file under the usual name.
    fn keep_aside(&self) -> io::Result<(PathBuf, File)> {
        let (fresh, copy) = fresh(&self.path)?;
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

/// The files of a journal with the numbers of their first results, in order.
pub(super) fn segments(journal: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let Some(name) = journal.file_name() else { return Err(io::ErrorKind::InvalidFilename.into()) };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder(journal))? {
        let file = entry?.file_name();
        let Some(rest) = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes()) else { continue };
        let number = std::str::from_utf8(rest).ok().and_then(first_of);
        found.extend(number.map(|first| (first, path_of(journal, first))));
    }
    found.sort_unstable();
    Ok(found)
}

/// The file of a journal whose first result has a number.
pub(super) fn path_of(journal: &Path, first: u64) -> PathBuf {
    if first == 1 { journal.to_owned() } else { named_after(journal, &suffix(first)) }
}

fn suffix(first: u64) -> String {
    format!(".{first}")
}

fn first_of(name: &str) -> Option<u64> {
    if name.is_empty() {
        return Some(1);
    }
    let first: u64 = name.strip_prefix('.')?.parse().ok()?;
    // Only as it is written here, neither `.007` nor `.+7`, and so that counting on from it has no end.
    ((2..=u64::MAX / 2).contains(&first) && suffix(first) == name).then_some(first)
}
