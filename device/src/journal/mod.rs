//! The journal of the results: append-only files that survive a loss of power at any moment.
//!
//! # The files
//!
//! `NAME` is the first file, and every further one is called `NAME.N`, N being the number of its first result. A file
//! opens with the eight bytes `PUMUAJ1\n`; entries follow (see the module `entry`). Every start of the box and every
//! result is one entry; a file other than the first begins with the number of starts so far. Results are numbered from 1
//! and no number is given twice. An entry is on the disk before anybody hears of it.
//!
//! # The limit
//!
//! A file takes at most [`Limits::bytes`], 4 MiB, and at most [`Limits::files`], 8 of them, are kept (9 after a repair): 32 MiB. A result
//! takes 94 to 171 bytes, most of all for two digests and the exam id. So at least the last 170,000 results are kept,
//! and 290,000 if they have no names.
//!
//! # Rotation, and what a loss of power leaves of it
//!
//! An entry that the last file has no room for is preceded by these steps:
//!
//! 1. While there are 8 files, the oldest is deleted and its folder synced. *Cut here*: the results of that file are gone,
//!    which they would be anyway. The last file is still full, and the next entry continues with step 2. Doing this first
//!    keeps the journal within its limit at every moment, and a full disk does not stop it.
//! 2. `NAME.N.new` is written, its opening and the number of starts, and synced. *Cut here*: nobody reads that file; it is
//!    overwritten by the next attempt, which has the same N.
//! 3. It is renamed to `NAME.N`, and the folder synced. *Cut here*: either name is there, and the file is complete under
//!    both; under the second it is the last one, without results, whose next number its name gives.
//! 4. The entry is appended to it. *Cut here*: it is complete, or it was never acknowledged and is removed.
//!
//! Files before the last are not written any more. A last file without results, filled by starts of the box alone, is
//! replaced under its own name instead of being followed by another.
//!
//! # Repair
//!
//! When a file is opened, an entry whose writing was cut short is removed; a file that is damaged in another way,
//! because its bytes are wrong or the disk does not give them, is kept aside as `FILE.damaged-K`, and its readable beginning
//! takes its place. Results that were lost in that way from a file before the last leave a gap in the numbers, as those of
//! the deleted files do. If those of the last file are lost, the next result is written to another file, after the number in
//! the last one's name, the last result of any file, and as many numbers as the length of what cannot be read has room for:
//! a verdict that somebody has written down must never be found to be another child's. That file is made before the damaged
//! one is repaired, so that a loss of power hides nothing. Only a file that has also become shorter does.
//!
//! Wrong opening bytes are damage as well, and entries after them are kept: one bit must not end a box that nobody can
//! get at. Only the file `NAME` may be something else that somebody has named by mistake. If its opening is wrong, no entry
//! follows, and no file `NAME.N` shows that it belongs to a journal, nothing is touched, and the box says so and ends.
//!
//! `K` counts through all files of the journal, and the 8 files with the greatest are kept: up to 32 MiB more. Before a
//! further one is kept aside the oldest is deleted, so that damage that comes again and again can neither fill the disk
//! nor keep the box from starting. One that cannot be deleted stays.
//!
//! All files are read when the journal is opened. At 32 MiB this took 0.46 s on a computer; from a memory card, seconds are
//! to be expected.

mod entry;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io, mem,
    path::{Path, PathBuf},
};

use shared::verdict::ResultRecord;

use self::{
    entry::Entry,
    segment::{Found, Segment, path_of, segments},
};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// reading or writing failed
    #[error("cannot use the journal {path}: {source}; check the storage, or name another file with --journal")]
    Io {
        /// The file.
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
    /// an entry that was readable at the start no longer is, or the disk does not give it
    #[error("result {number} of the journal {path} can no longer be read: check the storage")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The number of the result.
        number: u64,
    },
    /// a result does not fit into an entry
    #[error("the result cannot be encoded: {0}")]
    Encode(postcard::Error),
}

/// What was done to a file of a journal when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// This many bytes of an unfinished entry were removed.
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

/// How much a journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in a file. The file of an older version may be larger; it is kept as it is.
    pub bytes: u64,
    /// Most files, at least 2.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, files: 8 }
    }
}

/// An open journal. Nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    limits: Limits,
    /// The files before the last, in order.
    full: Vec<Segment>,
    /// The one that is appended to.
    last: Segment,
}

impl Journal {
    /// Opens or creates the journal, repairs it and counts a start of the box.
    pub fn open(path: &Path) -> Result<(Self, Vec<Repair>), JournalError> {
        Self::open_within(path, Limits::default())
    }

    /// The same with other limits.
    pub fn open_within(path: &Path, limits: Limits) -> Result<(Self, Vec<Repair>), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(folder(path)).map_err(failed)?;
        let mut files = segments(path).map_err(failed)?;
        let newest = files.pop().unwrap_or(1);
        // The oldest first: a process that comes second finds it locked. All of them before any is changed.
        let full = files.into_iter().map(|first| Found::open(path, first)).collect::<Result<Vec<_>, _>>()?;
        let last = Found::open(path, newest)?;
        let found = || full.iter().chain([&last]);
        if found().any(Found::is_foreign) && !found().any(Found::is_known) {
            return Err(JournalError::Foreign(path.to_owned()));
        }
        let mut repairs = Vec::new();
        let mut repair = |found: Found| {
            let (segment, repair) = found.repair(path)?;
            repairs.extend(repair);
            Ok(segment)
        };
        let (next, boot) = (last.next_unused(), found().map(Found::boot).max().unwrap_or(0));
        let next = found().map(Found::next).fold(next, u64::max);
        let lost = last.next_unused() > last.next();
        let mut full = full.into_iter().map(&mut repair).collect::<Result<Vec<_>, _>>()?;
        let last = if lost {
            let fresh = Segment::create(&path_of(path, next), next, boot)?;
            full.push(repair(last)?);
            fresh
        } else {
            repair(last)?
        };
        let mut journal = Self { path: path.to_owned(), limits, full, last };
        journal.count_start()?;
        Ok((journal, repairs))
    }

    /// How many results are kept.
    pub fn kept(&self) -> u64 {
        self.segments().map(Segment::kept).sum()
    }

    /// The numbers of the results kept, the newest first.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.segments().rev().flat_map(|segment| (segment.first()..segment.next()).rev())
    }

    fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.full.iter().chain([&self.last])
    }

    /// How often the box has started with this journal, this time included.
    pub fn boot(&self) -> u32 {
        self.last.boot()
    }

    /// Number of the last result, whether it is still kept or not: how many there have been, at most. 0 before the first.
    pub fn last_number(&self) -> u64 {
        self.last.next() - 1
    }

    /// Number of the next result.
    pub fn next_number(&self) -> u64 {
        self.last.next()
    }

    /// Keeps a result, whose number must be [`Self::next_number`]. When this returns it is on the disk.
    pub fn push(&mut self, record: &ResultRecord) -> Result<(), JournalError> {
        debug_assert_eq!(record.number, self.next_number());
        let bytes = Entry::Result(record.clone()).encode().map_err(JournalError::Encode)?;
        if !self.last.has_room(bytes.len(), self.limits.bytes) {
            self.rotate(self.next_number(), self.boot())?;
        }
        self.last.append_result(&bytes)
    }

    /// The result with a number, if it is kept.
    pub fn get(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        Ok(self.get_from(number)?.filter(|record| record.number == number))
    }

    /// The first result kept that has this number or a greater one.
    pub fn get_from(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        match self.segments().find(|segment| segment.kept() > 0 && number < segment.next()) {
            Some(segment) => segment.get(number.max(segment.first())),
            None => Ok(None),
        }
    }

    fn count_start(&mut self) -> Result<(), JournalError> {
        // A file that has lost its beginning does not say how often the box had started; those before it do.
        let boot = self.segments().map(Segment::boot).max().unwrap_or(0).saturating_add(1);
        // The last file's name may be no more than a name.
        let next = self.segments().map(Segment::next).max().unwrap_or(1);
        let bytes = Entry::Boot(boot).encode().map_err(JournalError::Encode)?;
        if next == self.next_number() && self.last.has_room(bytes.len(), self.limits.bytes) {
            self.last.append_boot(boot, &bytes)
        } else {
            self.rotate(next, boot)
        }
    }

    /// Continues in another file, whose first result has a number, and which begins with a number of starts.
    fn rotate(&mut self, next: u64, boot: u32) -> Result<(), JournalError> {
        let replaces = self.last.first() == next;
        while !replaces && self.full.len() + 2 > self.limits.files && !self.full.is_empty() {
            self.full[0].delete()?;
            self.full.remove(0);
        }
        let fresh = Segment::create(&path_of(&self.path, next), next, boot)?;
        let before = mem::replace(&mut self.last, fresh);
        if !replaces {
            self.full.push(before);
        }
        Ok(())
    }
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
