//! What is done with a bundle, step by step: the module above says in which order, and what a loss of power leaves of each step.

use std::{
    io::{self, BufReader, Read},
    path::PathBuf,
    sync::Arc,
};

use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};
use shared::{
    appliance::slots::{BootState, MOST_TRIES, Outcome, Slot, Stage, Started, fat_label},
    limits::MAX_BUNDLE_BYTES,
    shown::Shown,
    verdict::{Digest, SoftwareRefusal, Trust},
};
use trust::{CheckedSoftware, Digester, Digests, Gate, MAX_HEAD_BYTES, PackageHead, Refused, Roots, Version};

use super::{
    notes::{self, BEGUN, OUTCOME, STAGED, Staged},
    slots::Slots,
    state,
};
use crate::{
    config::ConfigError,
    disk::{Access, Disk, DiskFile},
    models::memory,
};

/// The folder that the worker puts bundles into, and what it calls a complete one.
pub(super) const INCOMING: &str = "incoming";
pub(super) const READY: &str = "ready";
/// A bundle that nobody but the first process can change, and the same before it is complete.
pub(super) const BUNDLE: &str = "bundle";
const COPY: &str = "bundle.new";
/// After so many starts that ended while a bundle was being staged, it is not begun with again.
const MOST_BEGUN: u8 = 2;
/// The first bytes of a slot: without them, nobody takes it for a file system. They reach the card together or not at all.
const FIRST: usize = 512;
/// Bytes of packed data that are read at once.
const READ_AT_ONCE: usize = 64 << 10;

/// How long things are. Those of tests are shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes of a slot.
    pub(super) slot: u64,
    /// Bytes that are written at once: what the memory holds of a bundle.
    pub(super) step: usize,
    /// Steps after which it is waited until all is on the card, so that the worker has the card, too, and the memory.
    pub(super) steps_to_sync: usize,
}

/// Whom the settings of the box believe.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) roots: Option<Roots>,
    pub(super) unsigned: bool,
    /// Of this program.
    pub(super) version: Version,
}

/// Why a bundle is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error(transparent)]
    Trust(#[from] Refused),
    #[error("this card has no room for a second program: flash it with `pumua flash --keep-results`")]
    NoSlots,
    #[error("the running program is itself on trial: wait some minutes and send the bundle again")]
    OnTrial,
    #[error("it is not a bundle for this box ({0}): make it with `pumua bundle`, and copy it again")]
    Form(&'static str),
    #[error(
        "the box restarted or lost power {MOST_BEGUN} times while the bundle was being stored: look at the memory card, and send it \
         again"
    )]
    Starts,
    #[error("the settings of the box do not say who is believed: {0}")]
    Settings(#[from] ConfigError),
    #[error("it cannot be stored: {0}: look at the memory card, and send it again")]
    Io(#[from] io::Error),
}

impl NotTaken {
    /// What the host is told.
    pub(super) fn refusal(&self) -> SoftwareRefusal {
        match self {
            Self::Trust(refused) => refused.software_refusal(),
            Self::NoSlots => SoftwareRefusal::NoSlots,
            Self::OnTrial => SoftwareRefusal::OnTrial,
            Self::Form(_) => SoftwareRefusal::NotABundle,
            Self::Starts | Self::Settings(_) | Self::Io(_) => SoftwareRefusal::NotStored,
        }
    }
}

/// The folder of the software and the slots, and what is known of them.
#[derive(Debug, Clone)]
pub(super) struct Workshop {
    pub(super) disk: Arc<dyn Disk>,
    /// The folder.
    pub(super) folder: PathBuf,
    /// Whether it is the first process's own. If not, nothing in it is believed, followed or written.
    pub(super) has_folder: bool,
    /// Where the slots are, if the card has any.
    pub(super) slots: Option<Slots>,
    /// What the boot loader has started, if it says so. It is on trial no more once it is confirmed.
    pub(super) started: Option<Started>,
    pub(super) sizes: Sizes,
}

impl Workshop {
    /// Whether the worker has put something down.
    pub(super) fn has_something(&self) -> bool {
        let ready = self.disk.open(&self.folder.join(INCOMING).join(READY), Access::Read);
        // Whatever else it is, it is looked at, and removed.
        self.has_folder && !ready.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether a bundle is left over that nothing has become of.
    pub(super) fn has_left_over(&self) -> bool {
        self.has_folder && self.disk.open(&self.folder.join(BUNDLE), Access::Read).is_ok()
    }

    /// Forgets what is left of an update on another card: `pumua flash --keep-results` brings the folder onto a new one, whose program
    /// somebody has chosen anew. What is known of counters and keys stays.
    ///
    /// # Errors
    /// It is not all gone, and is forgotten at the next start.
    pub(super) fn adopt(&self) -> io::Result<()> {
        let (Some(slots), Some(started), true) = (&self.slots, self.started, self.has_folder) else { return Ok(()) };
        // A new card has nothing on trial.
        if started.is_trial || state::is_marked(&*self.disk, &slots.disk)? {
            return Ok(());
        }
        self.remove_ready()?;
        for name in [COPY, BUNDLE, BEGUN, STAGED, OUTCOME] {
            notes::remove(&*self.disk, &self.folder, name)?;
        }
        state::mark(&*self.disk, &slots.disk)
    }

    /// Makes room where nothing more can be noted: what the worker has put down, and half a copy of it, may fill the disk.
    pub(super) fn give_up(&self) {
        let removed = self.remove_ready().and_then(|()| notes::remove(&*self.disk, &self.folder, COPY));
        if let Err(error) = removed {
            crate::say(format_args!("a bundle cannot be removed: {error}"));
        }
    }

    /// Removes what the worker has put down, whatever it is.
    fn remove_ready(&self) -> io::Result<()> {
        let incoming = self.folder.join(INCOMING);
        match self.disk.remove_whatever(&incoming.join(READY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.disk.sync_folder(&incoming)),
        }
    }

    /// Stages what the worker has put down, or what is left over. What became of it is noted.
    ///
    /// # Errors
    /// The disk takes no notes, so that it is there again the next time.
    pub(super) fn work(&self, trusted: impl FnOnce() -> Result<Trusted, ConfigError>) -> io::Result<()> {
        if !self.take()? {
            return Ok(());
        }
        let bundle = match self.disk.open(&self.folder.join(BUNDLE), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut outcome = nothing_known(Digest::default());
        let staged = self.stage(&*bundle, trusted, &mut outcome);
        bundle.forget_cached();
        drop(bundle);
        self.note(outcome, staged)?;
        notes::remove(&*self.disk, &self.folder, BUNDLE)?;
        notes::remove(&*self.disk, &self.folder, BEGUN)
    }

    /// Notes what became of a bundle, and says it.
    fn note(&self, mut outcome: Outcome, ended: Result<(), NotTaken>) -> io::Result<()> {
        match ended {
            Ok(()) => crate::say(format_args!(
                "the program {} ({:.12}) is stored, and is tried at the next start",
                Shown(&outcome.name),
                outcome.bundle
            )),
            Err(error) => {
                crate::say(format_args!("a bundle ({:.12}) is refused: {error}", outcome.file));
                outcome.result = Stage::Refused(error.refusal());
            }
        }
        notes::write(&*self.disk, &self.folder, OUTCOME, &outcome)
    }

    /// Makes a bundle that the worker has put down the first process's own, so that what is looked at is what is stored: the worker,
    /// which talks to everybody, might write on in a file of its own. The previous bundle's outcome is removed before the worker's file
    /// is, so that the worker can tell whose outcome it reads. Returns whether there is a bundle to continue with, which may be a
    /// left-over one.
    fn take(&self) -> io::Result<bool> {
        let opened = match self.disk.open(&self.folder.join(INCOMING).join(READY), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            // A link, for example, which nothing is read through.
            opened => opened,
        };
        let (digest, copied) = match opened {
            Ok(from) => self.copy(&*from),
            Err(error) => (Digest::default(), Err(error.into())),
        };
        let is_taken = copied.is_ok();
        notes::remove(&*self.disk, &self.folder, OUTCOME)?;
        match copied {
            Ok(()) => {
                notes::remove(&*self.disk, &self.folder, BEGUN)?;
                self.disk.rename(&self.folder.join(COPY), &self.folder.join(BUNDLE))?;
                self.disk.sync_folder(&self.folder)?;
            }
            refused => {
                notes::remove(&*self.disk, &self.folder, COPY)?;
                self.note(nothing_known(digest), refused)?;
            }
        }
        self.remove_ready()?;
        Ok(is_taken)
    }

    /// Copies a bundle, as long as there is any use in that. Its digest is known even if it is not stored.
    fn copy(&self, from: &dyn DiskFile) -> (Digest, Result<(), NotTaken>) {
        let path = self.folder.join(COPY);
        let mut copy: Result<Box<dyn DiskFile>, NotTaken> =
            self.room().and_then(|_| Ok(self.disk.open(&path, Access::New)?));
        let (mut digester, mut at) = (Sha256::new(), 0);
        loop {
            let bytes = match from.read_up_to(at, self.sizes.step) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => bytes,
                // A folder in its place, for example.
                Err(error) => return (Digest::default(), Err(error.into())),
            };
            let end = at + bytes.len() as u64;
            if end > MAX_BUNDLE_BYTES {
                return (Digest::default(), Err(NotTaken::Form("it is too long")));
            }
            digester.update(&bytes);
            copy = copy.and_then(|file| {
                file.write_all_at(&bytes, at)?;
                if self.is_time_to_sync(at, end) {
                    file.sync()?;
                    file.forget_cached();
                    from.forget_cached();
                }
                Ok(file)
            });
            at = end;
        }
        (Digest(digester.finalize().into()), copy.and_then(|file| Ok(file.sync()?)))
    }

    /// Where a bundle goes: the slots, and which one runs.
    fn room(&self) -> Result<(&Slots, Slot), NotTaken> {
        let (Some(slots), Some(started)) = (&self.slots, self.started) else { return Err(NotTaken::NoSlots) };
        if started.is_trial { Err(NotTaken::OnTrial) } else { Ok((slots, started.slot)) }
    }

    /// Stores a bundle in the slot that does not run, and has it tried at the next start. What is known of the bundle goes to
    /// `outcome`, also where it is refused.
    fn stage(
        &self,
        bundle: &dyn DiskFile,
        trusted: impl FnOnce() -> Result<Trusted, ConfigError>,
        outcome: &mut Outcome,
    ) -> Result<(), NotTaken> {
        let disk = &*self.disk;
        let begun: u8 = notes::read(disk, &self.folder, BEGUN).unwrap_or_default();
        if begun < MOST_BEGUN {
            notes::write(disk, &self.folder, BEGUN, &(begun + 1))?;
        }
        let first = bundle.read_up_to(0, MAX_HEAD_BYTES)?;
        let head = PackageHead::read(&first);
        let (file, payload) = self.digests(bundle, head.as_ref().map_or(0, |head| head.length as u64))?;
        (outcome.file, outcome.bundle) = (file, file);
        if begun >= MOST_BEGUN {
            return Err(NotTaken::Starts);
        }
        let head = head.map_err(|_| NotTaken::Form("its head is damaged"))?;
        outcome.bundle = payload.sha256;
        let (slots, running) = self.room()?;

        let Trusted { roots, unsigned, version } = trusted()?;
        let mut gate = Gate::for_software(roots, unsigned, version);
        memory::read(disk, &self.folder).into_iter().flatten().for_each(|known| gate.remember(known));
        let before = gate.known().clone();
        let learnt = gate.learn_head(&head);
        if *gate.known() != before {
            memory::write(disk, &self.folder, gate.known())?;
        }
        learnt?;
        let CheckedSoftware { trust, seen, statement } = gate.check_software(&head, &payload)?;
        outcome.trust = trust;
        outcome.key = seen.map(|seen| seen.key.to_string());
        if let Some(statement) = statement {
            (outcome.name, outcome.counter) = (statement.name, Some(statement.counter));
        }
        if let Some(seen) = &seen {
            gate.may_follow(seen)?;
        }

        // From here on the other slot is not whole: nothing may start it.
        state::set(disk, &slots.disk, BootState { good: running, tries: 0 })?;
        notes::remove(disk, &self.folder, STAGED)?;
        let target = running.other();
        let slot = disk.open(slots.device(target), Access::Device)?;
        let written = self.unpack(bundle, head.length as u64, &payload, &*slot)?;
        self.read_back(&*slot, &written)?;

        // Before the program runs: a box that has run it never goes back, unless it does not serve.
        if let Some(seen) = seen {
            gate.see(seen);
            memory::write(disk, &self.folder, gate.known())?;
        }
        outcome.result = Stage::Staged;
        notes::write(disk, &self.folder, STAGED, &Staged { slot: target, outcome: outcome.clone() })?;
        if let Err(error) = state::write(disk, &slots.disk, BootState { good: running, tries: MOST_TRIES }) {
            // One copy may say that it is to be tried, which does no harm: it is whole. Then the note must stay.
            if state::write(disk, &slots.disk, BootState { good: running, tries: 0 }).is_ok() {
                notes::remove(disk, &self.folder, STAGED)?;
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Digests of a whole bundle, and of its payload, which begins at `head`: behind the end, if it does not matter.
    fn digests(&self, bundle: &dyn DiskFile, head: u64) -> io::Result<(Digest, Digests)> {
        let (mut whole, mut payload, mut at) = (Sha256::new(), Digester::new(), 0);
        loop {
            let bytes = bundle.read_up_to(at, self.sizes.step)?;
            if bytes.is_empty() {
                return Ok((Digest(whole.finalize().into()), payload.finish()));
            }
            let skipped = head.saturating_sub(at).min(bytes.len() as u64) as usize;
            whole.update(&bytes);
            payload.update(&bytes[skipped..]);
            at += bytes.len() as u64;
        }
    }

    /// Unpacks the payload of a bundle, which must fill the slot and no more, and must be what was signed to its end. Returns the digest
    /// of what was written. The first sector is empty until all else is on the card: the boot loader, which starts any slot rather than
    /// none, takes half of a file system for none.
    fn unpack(
        &self,
        bundle: &dyn DiskFile,
        head: u64,
        signed: &Digests,
        slot: &dyn DiskFile,
    ) -> Result<Digest, NotTaken> {
        let payload = Payload { file: bundle, at: head, digester: Digester::new(), failed: false };
        let mut decoder = GzDecoder::new(BufReader::with_capacity(READ_AT_ONCE, payload));
        let mut step = vec![0; self.sizes.step];
        let mut first = [0; FIRST];
        let (mut digester, mut at) = (Sha256::new(), 0);
        loop {
            let filled = match fill(&mut decoder, &mut step) {
                Ok(0) => break,
                Ok(filled) => filled,
                Err(error) if decoder.get_ref().get_ref().failed => return Err(error.into()),
                Err(_) => return Err(NotTaken::Form("it cannot be unpacked")),
            };
            let end = at + filled as u64;
            if end > self.sizes.slot {
                return Err(NotTaken::Form("it unpacks to more than a slot"));
            }
            digester.update(&step[..filled]);
            if at == 0 {
                if !begins_as_a_slot(&step[..filled]) {
                    return Err(NotTaken::Form("it does not hold the file system of a slot"));
                }
                slot.write_all_at(&first, 0)?;
                slot.sync()?;
                first.copy_from_slice(&step[..FIRST]);
                step[..FIRST].fill(0);
            }
            slot.write_all_at(&step[..filled], at)?;
            if self.is_time_to_sync(at, end) {
                slot.sync()?;
                slot.forget_cached();
                bundle.forget_cached();
            }
            at = end;
        }
        if at != self.sizes.slot {
            return Err(NotTaken::Form("it unpacks to less than a slot"));
        }
        let mut rest = decoder.into_inner();
        if rest.read(&mut [0])? > 0 {
            return Err(NotTaken::Form("something lies behind it"));
        }
        if rest.into_inner().digester.finish() != *signed {
            return Err(io::Error::other("the card does not give twice what was written to it").into());
        }
        slot.sync()?;
        slot.write_all_at(&first, 0)?;
        slot.sync()?;
        slot.forget_cached();
        Ok(Digest(digester.finalize().into()))
    }

    /// Reads a whole slot, from the card and not from memory, and compares it with what was written.
    fn read_back(&self, slot: &dyn DiskFile, written: &Digest) -> io::Result<()> {
        let (mut digester, mut at) = (Sha256::new(), 0);
        while at < self.sizes.slot {
            let most = (self.sizes.slot - at).min(self.sizes.step as u64) as usize;
            let bytes = slot.read_up_to(at, most)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            digester.update(&bytes);
            at += bytes.len() as u64;
        }
        slot.forget_cached();
        if Digest(digester.finalize().into()) == *written {
            Ok(())
        } else {
            Err(io::Error::other("the card does not keep what is written to it"))
        }
    }

    /// Whether it is time to wait for the card, between two places of which each is behind a step.
    fn is_time_to_sync(&self, from: u64, to: u64) -> bool {
        let stretch = self.sizes.step as u64 * self.sizes.steps_to_sync as u64;
        from / stretch != to / stretch
    }

    /// Makes the slot on trial, which runs and serves, the one that is started from now on.
    ///
    /// # Errors
    /// The card does not take it, or has no slots: then it stays on trial.
    pub(super) fn confirm(&mut self) -> io::Result<()> {
        let (Some(slots), Some(started)) = (&self.slots, &mut self.started) else {
            return Err(io::Error::other("the card has no slots"));
        };
        state::write(&*self.disk, &slots.disk, BootState { good: started.slot, tries: 0 })?;
        started.is_trial = false;
        let confirmed = *started;
        self.conclude(Stage::Confirmed, |staged| staged.slot == confirmed.slot);
        Ok(())
    }

    /// Brings the boot state and the notes into order at a start without a trial: what is on trial is over then.
    ///
    /// # Errors
    /// The card does not take it.
    pub(super) fn settle(&self) -> io::Result<()> {
        let (Some(slots), Some(started)) = (&self.slots, self.started) else { return Ok(()) };
        if started.is_trial {
            return Ok(());
        }
        let copies = state::read(&*self.disk, &slots.disk)?;
        let good = match copies {
            // What runs can be started.
            [None, None] => started.slot,
            copies => BootState::of_copies(copies).good,
        };
        let kept = BootState { good, tries: 0 };
        if copies != [Some(kept); 2] {
            crate::say(format_args!("the boot state is written again: slot {}", good.name()));
            state::write(&*self.disk, &slots.disk, kept)?;
        }
        if good == started.slot {
            // The power went after it was confirmed, and before that was noted.
            self.conclude(Stage::Confirmed, |staged| staged.slot == started.slot);
        }
        if self.has_left_over() {
            // The power may have gone before there was any try. It is staged again.
            notes::remove(&*self.disk, &self.folder, STAGED)
        } else {
            self.conclude(Stage::WentBack, |staged| staged.slot != started.slot);
            Ok(())
        }
    }

    /// Notes what became of the program that was staged, if it is the one that is meant.
    fn conclude(&self, stage: Stage, is_meant: impl FnOnce(&Staged) -> bool) {
        if !self.has_folder {
            return;
        }
        let Some(staged) = notes::read::<Staged>(&*self.disk, &self.folder, STAGED).filter(is_meant) else { return };
        let outcome = Outcome { result: stage, ..staged.outcome };
        let words =
            if stage == Stage::Confirmed { "serves, and stays" } else { "did not serve: that of before is back" };
        crate::say(format_args!("the program {} ({:.12}) {words}", Shown(&outcome.name), outcome.bundle));
        let noted = notes::write(&*self.disk, &self.folder, OUTCOME, &outcome)
            // One that was confirmed with its bundle still there would be staged again.
            .and_then(|()| self.forget_left_over(&outcome))
            .and_then(|()| notes::remove(&*self.disk, &self.folder, STAGED));
        if let Err(error) = noted {
            crate::say(format_args!("that cannot be noted: {error}"));
        }
    }

    /// Removes a bundle that is left over, if it is the one of this outcome.
    fn forget_left_over(&self, outcome: &Outcome) -> io::Result<()> {
        let Ok(bundle) = self.disk.open(&self.folder.join(BUNDLE), Access::Read) else { return Ok(()) };
        if self.digests(&*bundle, u64::MAX)?.0 != outcome.file {
            return Ok(());
        }
        notes::remove(&*self.disk, &self.folder, BUNDLE)?;
        notes::remove(&*self.disk, &self.folder, BEGUN)
    }
}

/// The outcome of a bundle of which only the digest of its file is known.
fn nothing_known(file: Digest) -> Outcome {
    Outcome {
        bundle: file,
        file,
        name: String::new(),
        counter: None,
        key: None,
        trust: Trust::Unsigned,
        result: Stage::Staged,
    }
}

/// Whether a file system begins as that of a slot: FAT32, with the label that all of them have (`BS_VolLab` at 71, `BS_FilSysType` at
/// 82) and the mark of a boot sector.
pub(super) fn begins_as_a_slot(bytes: &[u8]) -> bool {
    let at = |offset: usize, expected: &[u8]| bytes.get(offset..offset + expected.len()) == Some(expected);
    at(71, &fat_label(Slot::A)) && at(82, b"FAT32   ") && at(510, &[0x55, 0xaa])
}

/// Reads as much as there is room for, or as there is.
fn fill(from: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match from.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The payload of a bundle, whose digests are computed as it is read.
struct Payload<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    digester: Digester,
    /// Whether the disk could not be read: then the bundle is not to blame.
    failed: bool,
}

impl Read for Payload<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.file.read_at(bytes, self.at) {
            Ok(count) => {
                self.digester.update(&bytes[..count]);
                self.at += count as u64;
                Ok(count)
            }
            Err(error) => {
                self.failed = error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}
