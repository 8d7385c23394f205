//! Bundles of the box's whole program, as far as they are the worker's: they come in, and the first process takes them from there.
//!
//! The folder is the first process's; in it, `incoming` is the worker's. A bundle comes in pieces, which are appended to
//! `incoming/part-DIGEST`, the SHA-256 of the whole file. Each piece is on the disk before the host hears of it. When all of them
//! are there, the whole is read again, and only if its digest is right it becomes `incoming/ready`. The first process moves that to
//! `bundle`, checks it, puts it into the other slot, writes `outcome`, and removes it. The worker is not root: nothing that it
//! writes is believed, and `ready` is right only so that nobody waits in vain.
//!
//! If the power goes, what was written last may not be there although the file is as long: after a start, and after anything
//! that failed, the last [`MAX_PIECE_BYTES`] of a part do not count and are sent again. All before them was synced.
//!
//! A box has one part at most: the first piece of another bundle removes it. None begins where there is no room for it, for the
//! copy that the first process makes, and for results. The head of a bundle is looked at as soon as it is there, by the counters that
//! the first process has noted, so that nobody sends for half an hour what is refused in the end.
//!
//! A person at the box may go back to the program in the other slot, if that has served here: the first process notes in `programs` which
//! one that is. What the worker writes for that is `incoming/back`, the digest of the slot that the person was shown; the first process
//! compares it with its own note.
//!
//! `incoming/noted` holds the digest of the outcome that is in the journal, so that it is there once. If the power goes between the
//! two, it is there twice.

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use shared::{
    appliance::slots::{Outcome, Programs, Served, Slot, Stage, Started},
    verdict::{Digest, Fault, SoftwareRefusal},
};
use trust::{Gate, MAX_HEAD_BYTES, PackageHead};
use wire::{BundlePiece, MAX_PIECE_BYTES, OutcomeOnLine, SoftwareStage, SoftwareState};

use crate::{
    disk::{Access, Disk, DiskFile},
    models::{MODELS, memory},
    site::{self, SITE},
};

const INCOMING: &str = "incoming";
const READY: &str = "ready";
/// A part's name is this and the digest of its bundle.
const PART: &str = "part-";
/// Where the first process has what it works at.
const BUNDLE: &str = "bundle";
/// What became of the last one.
const OUTCOME: &str = "outcome";
/// Which programs have served here.
const PROGRAMS: &str = "programs";
/// What a person wants to go back to, and the same before it is complete.
const BACK: &str = "back";
const ASKING: &str = "back.new";
/// Which outcome is in the journal, and the same before it is complete.
const NOTED: &str = "noted";
const NOTING: &str = "noted.new";
/// Most bytes of an outcome.
const MOST: usize = 4096;
/// Bytes that stay free beside a bundle and its copy: more than the journal may still grow by.
const RESERVE: u64 = 48 << 20;
/// Bytes of the whole that are read at once: the line waits meanwhile.
const STEP: u64 = 1 << 20;
/// How long a host waits for the first process, in milliseconds: less than it would wait for an answer.
const WITHIN_MS: u64 = 110_000;
/// Time between two looks, in milliseconds, while a host waits, and else.
const WAITING_MS: u64 = 500;
const IDLE_MS: u64 = 2_000;

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There are so many bytes of the bundle, all on the disk.
    Stored {
        /// Where the next piece begins.
        next: u32,
    },
    /// It was the last one; what becomes of the bundle is told by [`Software::look`].
    Complete,
    /// The bundle is not taken, and nothing of it is left.
    Refused(SoftwareRefusal),
    /// It cannot be done now.
    Failed(Fault),
}

/// What [`Software::look`] has found.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// What becomes of the last piece, as far as the worker knows it: the bundle is damaged, or the first process does not answer.
    Kept(Kept),
    /// The first process says what became of a bundle.
    Outcome {
        /// That.
        outcome: Box<Outcome>,
        /// Whether it is not in the journal yet.
        is_new: bool,
        /// Whether it is of the program that runs, which has not been confirmed yet.
        is_on_trial: bool,
    },
    /// What a person may go back to is another program now, or none.
    WayBack(Option<Box<WayBack>>),
    /// So the host that waits is answered: what the news before this has told, with the bytes of the bundle.
    Answered(Result<u32, SoftwareRefusal>),
}

/// A program that a person at the box may go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// SHA-256 of all bytes of its slot.
    pub content: Digest,
    /// The name of its bundle; empty of a program that came with the card.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl WayBack {
    /// Name and version, as screens say them.
    pub fn shown(&self) -> String {
        if self.name.is_empty() { self.version.clone() } else { format!("{}, {}", self.name, self.version) }
    }
}

impl From<Served> for WayBack {
    fn from(Served { content, version, outcome }: Served) -> Self {
        Self { content, name: outcome.map(|outcome| outcome.name).unwrap_or_default(), version }
    }
}

/// How much of a bundle is on the disk.
#[derive(Debug, Clone, Copy)]
struct Known {
    bundle: Digest,
    length: u64,
    /// Whether its head has been looked at.
    is_glanced_at: bool,
}

/// What is done once all pieces are there.
enum Work {
    Nothing,
    /// The whole is read again.
    Checking {
        bundle: Digest,
        total: u64,
        file: Box<dyn DiskFile>,
        position: u64,
        digester: Sha256,
    },
    /// The first process works at it.
    Waiting {
        bundle: Digest,
        total: u64,
        since: u64,
        /// The outcome that was there before, by its digest.
        before: Option<Digest>,
    },
}

/// The bundles of a box.
pub struct Software {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    gate: Gate,
    /// From which slot the box was started.
    started: Option<Started>,
    /// Whether somebody plays the first process, so that bundles are taken although no slot was started.
    is_played: bool,
    known: Option<Known>,
    work: Work,
    /// The bundle that was handed on last.
    handed_on: Option<Digest>,
    /// The last outcome, and the digest of its file.
    outcome: Option<(Digest, Outcome)>,
    /// What a person may go back to.
    way_back: Option<WayBack>,
    /// Whether it has been looked for since the start, and when that was.
    looked_at: Option<u64>,
}

impl Software {
    /// Those in a folder, which need not exist: then the box takes none. `gate` is for bundles; `started` is what the kernel's
    /// command line says.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf, gate: Gate, started: Option<Started>) -> Self {
        Self {
            disk,
            folder,
            gate,
            started,
            is_played: false,
            known: None,
            work: Work::Nothing,
            handed_on: None,
            outcome: None,
            way_back: None,
            looked_at: None,
        }
    }

    /// The same where somebody else plays the first process, and has made its folder: on a simulated box, which is started from no slot.
    #[must_use]
    pub fn played(self) -> Self {
        Self { is_played: true, ..self }
    }

    /// Whether a bundle would be taken, as far as that does not depend on the bundle.
    pub fn takes(&self) -> bool {
        (self.started.is_some() || self.is_played) && self.is_here().unwrap_or(false)
    }

    /// Whether the program that runs is on trial, and has not been confirmed.
    pub fn is_on_trial(&self) -> bool {
        let is_confirmed = |(_, outcome): &(Digest, Outcome)| outcome.result == Stage::Confirmed;
        self.started.is_some_and(|started| started.is_trial) && !self.outcome.as_ref().is_some_and(is_confirmed)
    }

    /// What a host is told that asks about a bundle of this digest and length. One that was handed on counts as whole until the first
    /// process has finished with it, unless this program was started anew meanwhile: then nothing is known of it but its outcome.
    pub fn state(&self, bundle: Digest, total: u32) -> SoftwareState {
        let working = match &self.work {
            Work::Checking { bundle, .. } | Work::Waiting { bundle, .. } => Some(*bundle),
            Work::Nothing => None,
        };
        let is_staged = || self.handed_on == Some(bundle) && !self.is_gone();
        let next = if working == Some(bundle) || is_staged() {
            total
        } else {
            // One that cannot be looked at is sent from its beginning, and then fails.
            let length = self.known(bundle, total.into()).map_or(0, |known| known.length);
            u32::try_from(length).unwrap_or(0)
        };
        SoftwareState {
            next,
            slot: self.started.map(|started| match started.slot {
                Slot::A => 0,
                Slot::B => 1,
            }),
            outcome: self.outcome.as_ref().map(|(_, outcome)| on_line(outcome)),
            ..nothing()
        }
    }

    /// Keeps a piece: when this returns it is on the disk.
    pub fn keep(&mut self, piece: &BundlePiece) -> Kept {
        self.try_to_keep(piece).unwrap_or_else(|error| {
            crate::say(format_args!("a piece of a bundle cannot be stored: {error}; check the storage"));
            // Nobody knows what has reached the disk.
            self.known = None;
            Kept::Failed(Fault::Storage)
        })
    }

    fn try_to_keep(&mut self, BundlePiece { piece, bytes }: &BundlePiece) -> io::Result<Kept> {
        // A folder of another start says nothing: where no slot was started, nobody takes a bundle on.
        if (self.started.is_none() && !self.is_played) || !self.is_here()? {
            return Ok(Kept::Refused(SoftwareRefusal::NoSlots));
        }
        if self.is_on_trial() {
            return Ok(Kept::Refused(SoftwareRefusal::OnTrial));
        }
        if !matches!(self.work, Work::Nothing) {
            return Ok(Kept::Failed(Fault::Busy));
        }
        let (total, offset) = (u64::from(piece.total), u64::from(piece.offset));
        let mut known = self.known(piece.bundle, total)?;
        if known.length != offset {
            return Ok(Kept::Stored { next: u32::try_from(known.length).unwrap_or(0) });
        }
        if offset == 0 {
            self.remove_parts()?;
            let free = self.disk.free(&self.folder)?;
            if free < total.saturating_mul(2).saturating_add(RESERVE) {
                crate::say(format_args!("a bundle of {total} bytes has no room: {free} bytes are free"));
                return Ok(Kept::Refused(SoftwareRefusal::NotStored));
            }
        }
        let file = self.disk.open(&self.part(piece.bundle), Access::Write)?;
        if file.length()? != offset {
            file.set_length(offset)?;
        }
        file.write_all_at(bytes, offset)?;
        file.sync()?;
        if offset == 0 {
            self.disk.sync_folder(&self.folder.join(INCOMING))?;
        }
        known.length = offset + bytes.len() as u64;
        if !known.is_glanced_at {
            match self.glance(&*file, known.length, total)? {
                Ok(is_whole) => known.is_glanced_at = is_whole,
                Err(refusal) => {
                    self.known = None;
                    self.remove_parts()?;
                    return Ok(Kept::Refused(refusal));
                }
            }
        }
        self.known = Some(known);
        if known.length < total {
            return Ok(Kept::Stored { next: u32::try_from(known.length).unwrap_or(0) });
        }
        let digester = Sha256::new();
        self.work = Work::Checking { bundle: piece.bundle, total, file, position: 0, digester };
        Ok(Kept::Complete)
    }

    /// Looks whether there is something new, and goes on with what is to be done; called again at once when it returns something, and
    /// else at [`Self::deadline`].
    pub fn look(&mut self, now: u64) -> Option<News> {
        match std::mem::replace(&mut self.work, Work::Nothing) {
            Work::Checking { bundle, total, file, position, digester } => {
                self.check(now, bundle, (total, position), file, digester)
            }
            work => {
                self.work = work;
                self.look_at_outcome(now)
            }
        }
    }

    /// When [`Self::look`] is to be called at the latest, if that is soon.
    pub fn deadline(&self) -> Option<u64> {
        match self.work {
            Work::Nothing => None,
            Work::Checking { .. } => Some(0),
            Work::Waiting { .. } => Some(self.looked_at.unwrap_or(0).saturating_add(WAITING_MS)),
        }
    }

    /// Takes note that the last outcome is in the journal.
    pub fn note(&self) {
        let Some((digest, _)) = &self.outcome else { return };
        if let Err(error) = self.hand_over(NOTING, NOTED, digest) {
            crate::say(format_args!("what became of the bundle is noted again at the next start: {error}"));
        }
    }

    /// Asks the first process to go back to the program whose slot has this digest. It has it tried at the next start, or refuses it: an
    /// outcome says so, unless the first process knows of no such program.
    ///
    /// # Errors
    /// The wish is not on the disk.
    pub fn go_back(&self, content: Digest) -> io::Result<()> {
        self.hand_over(ASKING, BACK, &content)
    }

    /// Writes a digest into the folder of the worker, as a whole or not at all.
    fn hand_over(&self, new: &str, name: &str, digest: &Digest) -> io::Result<()> {
        let folder = self.folder.join(INCOMING);
        let file = self.disk.open(&folder.join(new), Access::New)?;
        file.write_all_at(&digest.0, 0)?;
        file.sync()?;
        self.disk.rename(&folder.join(new), &folder.join(name))?;
        self.disk.sync_folder(&folder)
    }

    /// Reads the next bytes of the whole.
    fn check(
        &mut self,
        now: u64,
        bundle: Digest,
        (total, position): (u64, u64),
        file: Box<dyn DiskFile>,
        mut digester: Sha256,
    ) -> Option<News> {
        let count = usize::try_from(STEP.min(total - position)).unwrap_or(0);
        let read = file.read_up_to(position, count).ok().filter(|bytes| bytes.len() == count);
        let Some(bytes) = read else {
            crate::say(format_args!("a bundle cannot be read again: check the storage"));
            self.known = None;
            return Some(News::Kept(Kept::Failed(Fault::Storage)));
        };
        digester.update(&bytes);
        let position = position + bytes.len() as u64;
        if position < total {
            self.work = Work::Checking { bundle, total, file, position, digester };
            return None;
        }
        drop(file);
        self.known = None;
        if Digest(digester.finalize().into()) != bundle {
            crate::say(format_args!("a bundle is not the one that was announced"));
            if let Err(error) = self.remove_parts() {
                crate::say(format_args!("it cannot be removed: {error}"));
            }
            return Some(News::Kept(Kept::Refused(SoftwareRefusal::NotStored)));
        }
        let folder = self.folder.join(INCOMING);
        let renamed = self.disk.rename(&self.part(bundle), &folder.join(READY));
        if let Err(error) = renamed.and_then(|()| self.disk.sync_folder(&folder)) {
            crate::say(format_args!("a bundle cannot be handed on: {error}; check the storage"));
            return Some(News::Kept(Kept::Failed(Fault::Storage)));
        }
        let before = self.outcome.as_ref().map(|(digest, _)| *digest);
        self.handed_on = Some(bundle);
        self.work = Work::Waiting { bundle, total, since: now, before };
        None
    }

    fn look_at_outcome(&mut self, now: u64) -> Option<News> {
        let every = if matches!(self.work, Work::Nothing) { IDLE_MS } else { WAITING_MS };
        if self.looked_at.is_some_and(|at| now < at.saturating_add(every)) {
            return None;
        }
        // Before the outcome: it is written before the bundle is removed.
        let is_gone = self.is_gone();
        let found = self.read_outcome();
        if let Some((digest, outcome)) = found
            && self.outcome.as_ref().is_none_or(|(known, _)| *known != digest)
        {
            self.outcome = Some((digest, outcome.clone()));
            let is_new = self.noted() != Some(digest);
            // It is looked at once more at once, for who waits.
            self.looked_at = Some(now.saturating_sub(IDLE_MS));
            let is_on_trial = self.is_on_trial();
            return Some(News::Outcome { outcome: Box::new(outcome), is_new, is_on_trial });
        }
        let way_back = self.read_way_back();
        if way_back != self.way_back {
            self.way_back.clone_from(&way_back);
            return Some(News::WayBack(way_back.map(Box::new)));
        }
        self.looked_at = Some(now);
        let Work::Waiting { bundle, total, since, before } = self.work else { return None };
        if let Some((digest, outcome)) = &self.outcome
            && outcome.file == bundle
            && (is_gone || before != Some(*digest))
        {
            let answer = match outcome.result {
                Stage::Staged => Some(Ok(u32::try_from(total).unwrap_or(u32::MAX))),
                Stage::Refused(refusal) => Some(Err(refusal)),
                // Of another start; that of this one is still to come.
                Stage::Confirmed | Stage::WentBack => None,
            };
            if let Some(answer) = answer {
                self.work = Work::Nothing;
                return Some(News::Answered(answer));
            }
        }
        if now.saturating_sub(since) > WITHIN_MS {
            self.work = Work::Nothing;
            crate::say(format_args!("the first process does not take a bundle"));
            return Some(News::Kept(Kept::Failed(Fault::Internal)));
        }
        None
    }

    /// Whether the first process has taken the bundle and has finished with it.
    fn is_gone(&self) -> bool {
        let is_missing = |path: &Path| {
            // One that may not be opened is there.
            self.disk.open(path, Access::Read).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        // In this order: it goes from the one to the other.
        is_missing(&self.folder.join(INCOMING).join(READY)) && is_missing(&self.folder.join(BUNDLE))
    }

    fn read_outcome(&self) -> Option<(Digest, Outcome)> {
        let file = self.disk.open(&self.folder.join(OUTCOME), Access::Read).ok()?;
        let bytes = file.read_up_to(0, MOST).ok()?;
        // One that is just being written is read at the next look.
        Some((Digest::of(&bytes), serde_json::from_slice(&bytes).ok()?))
    }

    /// What a person may go back to, as the first process has noted it: nothing while this program is on trial itself.
    fn read_way_back(&self) -> Option<WayBack> {
        let started = self.started.filter(|_| !self.is_on_trial())?;
        let file = self.disk.open(&self.folder.join(PROGRAMS), Access::Read).ok()?;
        // One that is just being written is read at the next look.
        let programs: Programs = serde_json::from_slice(&file.read_up_to(0, MOST).ok()?).ok()?;
        programs.before(started.slot).cloned().map(WayBack::from)
    }

    /// The digest of the outcome that is in the journal.
    fn noted(&self) -> Option<Digest> {
        let file = self.disk.open(&self.folder.join(INCOMING).join(NOTED), Access::Read).ok()?;
        let bytes = file.read_up_to(0, size_of::<Digest>()).ok()?;
        Some(Digest(bytes.try_into().ok()?))
    }

    fn is_here(&self) -> io::Result<bool> {
        match self.disk.names(&self.folder.join(INCOMING)) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn part(&self, bundle: Digest) -> PathBuf {
        self.folder.join(INCOMING).join(format!("{PART}{bundle}"))
    }

    /// How much of a bundle counts.
    fn known(&self, bundle: Digest, total: u64) -> io::Result<Known> {
        if let Some(known) = self.known.filter(|known| known.bundle == bundle && known.length <= total) {
            return Ok(known);
        }
        let length = match self.disk.open(&self.part(bundle), Access::Read) {
            Ok(file) => file.length()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        // What was written last may not have reached the disk.
        let length = if length > total { 0 } else { length.saturating_sub(MAX_PIECE_BYTES.into()) };
        Ok(Known { bundle, length, is_glanced_at: false })
    }

    fn remove_parts(&self) -> io::Result<()> {
        let folder = self.folder.join(INCOMING);
        for name in self.disk.names(&folder)? {
            if name.as_encoded_bytes().starts_with(PART.as_bytes()) {
                self.disk.remove(&folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Looks at the head of a bundle of which so many bytes are there; false if it is not there yet.
    fn glance(&self, file: &dyn DiskFile, length: u64, total: u64) -> io::Result<Result<bool, SoftwareRefusal>> {
        let most = total.min(MAX_HEAD_BYTES as u64);
        let count = usize::try_from(length.min(most)).unwrap_or(0);
        let bytes = file.read_up_to(0, count)?;
        if bytes.len() < count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(match PackageHead::read(&bytes) {
            Ok(head) => {
                // As the first process has noted it until now.
                let mut gate = self.gate.clone();
                memory::read(&*self.disk, &self.folder).into_iter().flatten().for_each(|known| gate.remember(known));
                memory::lists(&*self.disk, &self.folder.with_file_name(MODELS)).for_each(|known| gate.remember(known));
                site::lists(&*self.disk, &self.folder.with_file_name(SITE)).for_each(|known| gate.remember(known));
                gate.glance_at_software(&head).map(|_| true).map_err(|refused| {
                    crate::say(format_args!("a bundle is refused: {refused}"));
                    refused.software_refusal()
                })
            }
            Err(_) if length >= most => Err(SoftwareRefusal::NotABundle),
            Err(_) => Ok(false),
        })
    }
}

/// What a host is told by a box that takes no bundles.
pub fn nothing() -> SoftwareState {
    let running = env!("CARGO_PKG_VERSION").try_into().unwrap_or_default();
    SoftwareState { next: 0, running, slot: None, outcome: None }
}

/// An outcome as hosts are told it. The first process has made it of a statement whose texts fit.
fn on_line(outcome: &Outcome) -> OutcomeOnLine {
    OutcomeOnLine {
        bundle: outcome.bundle,
        file: outcome.file,
        name: outcome.name.as_str().try_into().unwrap_or_default(),
        counter: outcome.counter,
        key: outcome.key.as_deref().and_then(|key| key.try_into().ok()),
        trust: outcome.trust,
        stage: match outcome.result {
            Stage::Staged => SoftwareStage::Staged,
            Stage::Refused(refusal) => SoftwareStage::Refused(refusal),
            Stage::Confirmed => SoftwareStage::Confirmed,
            Stage::WentBack => SoftwareStage::WentBack,
        },
    }
}
