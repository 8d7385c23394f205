//! The journal of the results: append-only files that survive a loss of power at any moment.
//!
//! # The files
//!
//! `NAME` is the first file, and every further one is called `NAME.N`, N being the number of its first result. A file
//! opens with the eight bytes `PUMUAJ1\n`; entries follow (see the module `entry`). Every start of the box, every
//! result and every event is one entry; a file other than the first begins with the number of starts so far. Results are
//! numbered from 1 and no number is given twice. An entry is on the disk before anybody hears of it.
//!
//! # The chain
//!
//! Results and events have a number of their own, in one order, and the SHA-256 of the entry before ([`wire::Linked`]).
//! Results that an earlier version wrote have neither; the chain begins after them. An entry that was written anew, with
//! whatever checksum, is noticed at the next start by the one behind it, and an event says so. Nothing is noticed of a
//! last entry that was written anew, or of a chain that was made anew from some entry to its end: that takes somebody who
//! knows the head of before.
//!
//! Events are in the files of the results: so their order is kept, one chain holds both, and what is lost by damage leaves
//! a gap in one place. They cannot push results out, because those that a host can bring about are limited to
//! [`crate::state`]'s 144 of each kind a day: about 40 kB a day for a host that does nothing else, a file in four months.
//!
//! # The limit
//!
//! A file takes at most [`Limits::bytes`], 5 MiB, and at most [`Limits::files`], 8 of them, are kept (9 after a repair):
//! 40 MiB. A result takes 129 to 215 bytes, most of all for three digests and the exam id. So at least the last 170,000
//! results are kept, and 270,000 if they have no names.
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
//! Files before the last are not written any more. A last file without results, filled by starts of the box and events
//! alone, is replaced under its own name instead of being followed by another, and the chain is then broken there.
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
//! `K` counts through all files of the journal, and the 8 files with the greatest are kept: up to 40 MiB more. Before a
//! further one is kept aside the oldest is deleted, so that damage that comes again and again can neither fill the disk
//! nor keep the box from starting. One that cannot be deleted stays.
//!
//! All files are read when the journal is opened, and all links followed. 4.3 MB took 55 ms on a computer, so 40 MiB half a
//! second; from a memory card, seconds are to be expected, and minutes from a worn one that tries bad sectors again. Between
//! two readings, of 64 KiB at most, the program shows that it is alive, so that nobody takes it for hung and starts it again
//! in the middle of the repair.
//!
//! # A disk that cannot be written
//!
//! A journal that cannot be made, repaired, or told of a start, because the disk is full, read-only or failing, is open
//! for reading alone: what can be read of it is shown and sent, and nothing is judged that could not be kept. So is one
//! from the first sync on that fails: the system may then take for written what is not, so a later sync that succeeds
//! says nothing. The next start reads what is there, writes its last entry once more and syncs it. The same is true of one
//! whose file was removed or replaced while the program was running: it takes what is written, and none of it would be found
//! again. Where it was removed, be it all of its files or the last, a file without results is put there, so that the next
//! start goes on with the next number. Files of another journal in its place are left alone, and go on with their own.

mod entry;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use shared::{
    shown::Shown,
    verdict::{Digest, ResultRecord},
};
use wire::{Content, Event, EventKind, Linked, Listed};

use self::{
    entry::Entry,
    segment::{Found, NotAppended, Segment, path_of, segments},
};
use crate::disk::{Access, Card, Disk, folder_of};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// reading or writing failed
    #[error("cannot use the journal {path}: {source}; check the storage, or name another file with --journal", path = Shown(path.display()))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// another box uses the journal
    #[error("the journal {path} is in use by another box: stop that one, or name another folder with --state-dir", path = Shown(.0.display()))]
    InUse(PathBuf),
    /// the file is something else
    #[error("{path} is not a journal of this program: name another file with --journal", path = Shown(.0.display()))]
    Foreign(PathBuf),
    /// an entry that was readable at the start no longer is, or the disk does not give it
    #[error("result {number} of the journal {path} can no longer be read: check the storage", path = Shown(path.display()))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The number of the result.
        number: u64,
    },
    /// the same of any entry
    #[error("entry {sequence} of the journal {path} can no longer be read: check the storage", path = Shown(path.display()))]
    UnreadableEntry {
        /// The file.
        path: PathBuf,
        /// The number of the entry.
        sequence: u64,
    },
    /// a result does not fit into an entry
    #[error("the result cannot be encoded: {0}")]
    Encode(postcard::Error),
    /// it cannot be found out which files there are
    #[error("the folder of the journal {path} cannot be read: check the storage, and start the box again", path = Shown(.0.display()))]
    Unlisted(PathBuf),
    /// it was removed or replaced while the box was running
    #[error(
        "the journal {path} is no longer there, or another is in its place: check the storage, and start the box again",
        path = Shown(.0.display())
    )]
    Gone(PathBuf),
    /// it is open for reading alone
    #[error("the journal {path} cannot be written: check the storage, and start the box again", path = Shown(.0.display()))]
    ReadOnly(PathBuf),
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
        Self { bytes: 5 << 20, files: 8 }
    }
}

/// What a box tells of its journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether nothing can be appended until the next start: no image must be judged.
    pub read_only: bool,
    /// Number of the last entry.
    pub entries: u64,
    /// Its digest; zeros if no entry has a link.
    pub head: Digest,
    /// Number of the first entry that was found at the start not to be linked to the one before.
    pub broken: Option<u64>,
    /// Whether that was found at this start for the first time.
    pub newly_broken: bool,
}

/// An open journal. Nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    limits: Limits,
    standing: Standing,
    /// Number of the next entry.
    next_entry: u64,
    /// Whether it is not known which files there are.
    unlisted: bool,
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
        Self::open_on(Arc::new(Card), path, limits, &mut || ())
    }

    /// The same on any disk. `alive` is called all the time while it is read. If the journal cannot be written, it is open
    /// for reading, and the reason is said on stderr; what can be read is not repaired then.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        limits: Limits,
        alive: &mut dyn FnMut(),
    ) -> Result<(Self, Vec<Repair>), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let mut opening = Opening { disk: &*disk, path, access: Access::Write };
        opening.attempt(disk.create_folder(folder_of(path)).map_err(failed));
        let (mut files, unlisted) = match segments(&*disk, path).map_err(failed) {
            Ok(files) => (files, false),
            Err(error) => {
                opening.attempt::<()>(Err(error));
                (Vec::new(), true)
            }
        };
        let newest = files.pop().unwrap_or(1);
        // The oldest first: a process that comes second finds it locked. All of them before any is changed.
        let mut full = Vec::new();
        for first in files {
            full.push(opening.open(first, alive)?);
        }
        let mut last = opening.open(newest, alive)?;
        let found = || full.iter().chain([&last]);
        if found().any(Found::is_foreign) && !found().any(Found::is_known) {
            return Err(JournalError::Foreign(path.to_owned()));
        }
        let (next, boot) = (last.next_unused(), found().map(Found::boot).max().unwrap_or(0));
        let next = found().map(Found::next).fold(next, u64::max);
        let lost = last.next_unused() > last.next();
        let next_entry = last.next_unused_entry();
        let mut repairs = Vec::new();
        for found in &mut full {
            alive();
            repairs.extend(opening.repair(found));
        }
        let mut full: Vec<Segment> = full.into_iter().map(Found::into_segment).collect();
        alive();
        let fresh = if lost { opening.create(next, boot) } else { None };
        repairs.extend(opening.repair(&mut last));
        let last = match fresh {
            Some(fresh) => {
                full.push(last.into_segment());
                fresh
            }
            None => last.into_segment(),
        };
        let standing = Standing { read_only: opening.access == Access::Read, ..Standing::default() };
        let path = path.to_owned();
        let mut journal = Self { disk, path, limits, standing, next_entry, unlisted, full, last };
        let breaks = journal.follow_chain();
        if !journal.standing.read_only {
            let started = journal.start(&repairs, &breaks);
            journal.standing.read_only = note(started).is_none();
        }
        Ok((journal, repairs))
    }

    /// Finds the head of the chain, and where it is broken without an event that says so.
    fn follow_chain(&mut self) -> Vec<u64> {
        let (mut head, mut entries, mut breaks, mut told) = (None, 0, Vec::new(), Vec::new());
        for segment in self.segments() {
            let chain = segment.chain();
            if let (Some(head), Some((first, before))) = (head, chain.first)
                && head != before
            {
                breaks.push(first);
            }
            breaks.extend(&chain.breaks);
            told.extend(&chain.told);
            head = chain.last.or(head);
            entries = segment.last_entry().max(entries);
        }
        let next_number = self.segments().map(Segment::next).max().unwrap_or(1);
        // Never less than the number of a result, so that the entries of both kinds have one order.
        self.next_entry = self.next_entry.max(entries + 1).max(next_number);
        let broken = breaks.first().copied();
        breaks.retain(|at| !told.contains(at));
        let newly_broken = !breaks.is_empty();
        let entries = if head.is_some() { entries } else { next_number - 1 };
        self.standing = Standing { entries, head: head.unwrap_or_default(), broken, newly_broken, ..self.standing };
        breaks
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.standing
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
        self.append(Content::Result(record.clone()))
    }

    /// Keeps an event. When this returns it is on the disk.
    pub fn note(&mut self, event: &Event) -> Result<(), JournalError> {
        self.append(Content::Event(event.clone()))
    }

    /// Keeps what has happened, at a time that is not known.
    pub fn note_now(&mut self, kind: EventKind) -> Result<(), JournalError> {
        self.note(&Event { boot: self.boot(), unix_seconds: None, missed: 0, kind })
    }

    fn append(&mut self, content: Content) -> Result<(), JournalError> {
        let linked = Linked { sequence: self.next_entry, before: self.standing.head, content };
        let head = linked.digest();
        let entry = Entry::Linked(linked);
        let bytes = entry.encode().map_err(JournalError::Encode)?;
        let Entry::Linked(linked) = entry else { return Ok(()) };
        if self.standing.read_only {
            return Err(JournalError::ReadOnly(self.path.clone()));
        }
        self.look()?;
        if !self.last.has_room(bytes.len(), self.limits.bytes) {
            let rotated = self.rotate(self.next_number(), self.boot());
            // It is not known then which of its steps the disk has.
            self.standing.read_only = rotated.is_err();
            rotated?;
        }
        if let Err(NotAppended { error, is_known }) = self.last.append_linked(&linked, &bytes) {
            self.standing.read_only = !is_known;
            // It may have gone at this moment.
            return Err(if is_known {
                error
            } else {
                self.last.check_place().err().map_or(error, |gone| self.lose(gone))
            });
        }
        self.next_entry = linked.sequence + 1;
        (self.standing.entries, self.standing.head) = (linked.sequence, head);
        Ok(())
    }

    /// Looks whether it is still where the next start will look for it. If it was removed or replaced, nothing is appended
    /// any more, and what was kept can be read until the program ends. No number of what was removed is given again; in a
    /// journal that has replaced this one, numbers go on from its own.
    pub fn look(&mut self) -> Result<(), JournalError> {
        if self.standing.read_only {
            return Ok(());
        }
        self.last.check_place().map_err(|error| self.lose(error))
    }

    /// Appends nothing any more. The next start would find nothing, or the files before the last, and give numbers again: it
    /// is left a file without results that goes on with the next one. Beside a file of another journal nothing is left.
    fn lose(&mut self, error: JournalError) -> JournalError {
        self.standing.read_only = true;
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        let leave = || {
            self.disk.create_folder(folder_of(&self.path)).map_err(failed)?;
            let is_own = |first: &u64| {
                self.full.iter().any(|segment| segment.first() == *first && segment.check_place().is_ok())
            };
            if !segments(&*self.disk, &self.path).map_err(failed)?.iter().all(is_own) {
                return Ok(());
            }
            let next = self.next_number();
            let mut fresh = Segment::create(&*self.disk, &path_of(&self.path, next), next, self.boot())?;
            let event =
                Event { boot: self.boot(), unix_seconds: None, missed: 0, kind: EventKind::Damaged { results: 0 } };
            let linked =
                Linked { sequence: self.next_entry, before: self.standing.head, content: Content::Event(event) };
            let entry = Entry::Linked(linked.clone());
            let bytes = entry.encode().map_err(JournalError::Encode)?;
            fresh.append_linked(&linked, &bytes).map_err(|NotAppended { error, .. }| error)
        };
        note(leave());
        error
    }

    /// The first entry kept that has this number or a greater one.
    pub fn entry_from(&self, sequence: u64) -> Result<Option<Listed>, JournalError> {
        match self.segments().find(|segment| sequence <= segment.last_entry()) {
            Some(segment) => segment.entry_from(sequence),
            None if self.unlisted => Err(JournalError::Unlisted(self.path.clone())),
            None => Ok(None),
        }
    }

    /// The result with a number, if it is kept.
    pub fn get(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        Ok(self.get_from(number)?.filter(|record| record.number == number))
    }

    /// The first result kept that has this number or a greater one.
    pub fn get_from(&self, number: u64) -> Result<Option<ResultRecord>, JournalError> {
        match self.segments().find(|segment| segment.kept() > 0 && number < segment.next()) {
            Some(segment) => segment.get(number.max(segment.first())),
            None if self.unlisted => Err(JournalError::Unlisted(self.path.clone())),
            None => Ok(None),
        }
    }

    /// Brings to the disk what a start before may have left in memory alone, counts this one, and keeps what was found.
    fn start(&mut self, repairs: &[Repair], breaks: &[u64]) -> Result<(), JournalError> {
        self.last.write_last_again()?;
        let folder = self.disk.sync_folder(folder_of(&self.path));
        folder.map_err(|source| JournalError::Io { path: self.path.clone(), source })?;
        self.count_start()?;
        let repaired = repairs.iter().map(|repair| match *repair {
            Repair::Truncated { bytes } => EventKind::Truncated { bytes },
            Repair::KeptAside { results, .. } => EventKind::Damaged { results },
        });
        let broken = breaks.iter().map(|&at| EventKind::ChainBroken { at });
        repaired.chain(broken).try_for_each(|kind| self.note_now(kind))
    }

    fn count_start(&mut self) -> Result<(), JournalError> {
        // A file that has lost its beginning does not say how often the box had started; those before it do.
        let boot = self.segments().map(Segment::boot).max().unwrap_or(0).saturating_add(1);
        // The last file's name may be no more than a name.
        let next = self.segments().map(Segment::next).max().unwrap_or(1);
        let bytes = Entry::Boot(boot).encode().map_err(JournalError::Encode)?;
        if next == self.next_number() && self.last.has_room(bytes.len(), self.limits.bytes) {
            self.last.append_boot(boot, &bytes).map_err(|NotAppended { error, .. }| error)
        } else {
            self.rotate(next, boot)
        }
    }

    /// Continues in another file, whose first result has a number, and which begins with a number of starts.
    fn rotate(&mut self, next: u64, boot: u32) -> Result<(), JournalError> {
        let replaces = self.last.first() == next;
        while !replaces && self.full.len() + 2 > self.limits.files && !self.full.is_empty() {
            self.full[0].delete(&*self.disk)?;
            self.full.remove(0);
        }
        let fresh = Segment::create(&*self.disk, &path_of(&self.path, next), next, boot)?;
        let before = mem::replace(&mut self.last, fresh);
        if !replaces {
            self.full.push(before);
        }
        Ok(())
    }
}

/// A journal that is being opened.
struct Opening<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    /// [`Access::Read`] once something could not be written.
    access: Access,
}

impl Opening<'_> {
    /// What has succeeded. After what has not, nothing more is written.
    fn attempt<T>(&mut self, result: Result<T, JournalError>) -> Option<T> {
        let value = note(result);
        if value.is_none() {
            self.access = Access::Read;
        }
        value
    }

    /// Opens a file as far as the disk lets it. Only another box keeps a journal from being opened.
    fn open(&mut self, first: u64, alive: &mut dyn FnMut()) -> Result<Found, JournalError> {
        if self.access == Access::Write {
            match Found::open(self.disk, self.path, first, Access::Write, alive) {
                Err(error @ JournalError::InUse(_)) => return Err(error),
                opened => {
                    if let Some(found) = self.attempt(opened) {
                        return Ok(found);
                    }
                }
            }
        }
        match Found::open(self.disk, self.path, first, Access::Read, alive) {
            Err(error @ JournalError::InUse(_)) => Err(error),
            opened => Ok(note(opened).unwrap_or_else(|| Found::absent(self.path, first))),
        }
    }

    fn repair(&mut self, found: &mut Found) -> Option<Repair> {
        if self.access == Access::Read {
            return None;
        }
        let repaired = found.repair(self.disk, self.path);
        self.attempt(repaired).flatten()
    }

    fn create(&mut self, first: u64, boot: u32) -> Option<Segment> {
        if self.access == Access::Read {
            return None;
        }
        let created = Segment::create(self.disk, &path_of(self.path, first), first, boot);
        self.attempt(created)
    }
}

/// What has succeeded; what has not is said on stderr.
fn note<T>(result: Result<T, JournalError>) -> Option<T> {
    result.map_err(|error| crate::say(format_args!("{error}"))).ok()
}

fn named_after(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
