//! What is done with a bundle, step by step: the module above says in which order, and what a loss of power leaves of each step.

use std::{
    io::{self, BufReader, Read},
    path::PathBuf,
    sync::Arc,
};

use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};
use shared::{
    appliance::slots::{BootState, MOST_TRIES, Outcome, Programs, Served, Slot, Stage, Started, fat_label},
    limits::MAX_BUNDLE_BYTES,
    shown::Shown,
    verdict::{Digest, SoftwareRefusal, Trust},
};
use trust::{CheckedSoftware, Digester, Digests, Gate, MAX_HEAD_BYTES, PackageHead, Refused, Roots, Version};

use super::{
    notes::{self, Asked, BACK, BEGUN, OUTCOME, PROGRAMS, STAGED, Staged},
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
/// What it calls the digest of the program that a person wants to go back to.
pub(super) const ASKED: &str = "back";
/// A bundle that nobody but the first process can change, and the same before it is complete.
pub(super) const BUNDLE: &str = "bundle";
const COPY: &str = "bundle.new";
/// After so many starts that ended while a bundle was being staged, or the slots were read to go back, it is not begun with again.
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
    /// Whether the box has keys, so that somebody at it may go back.
    pub(super) keys: bool,
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
        let is_there = |name| {
            let opened = self.disk.open(&self.folder.join(INCOMING).join(name), Access::Read);
            // Whatever else it is, it is looked at, and removed.
            !opened.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        self.has_folder && [READY, ASKED].into_iter().any(is_there)
    }

    /// Whether a bundle, or somebody's wish to go back, is left over that nothing has become of.
    pub(super) fn has_left_over(&self) -> bool {
        let is_there = |name| self.disk.open(&self.folder.join(name), Access::Read).is_ok();
        self.has_folder && [BUNDLE, BACK].into_iter().any(is_there)
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
        self.remove_incoming(READY)?;
        self.remove_incoming(ASKED)?;
        for name in [COPY, BUNDLE, BACK, BEGUN, STAGED, PROGRAMS, OUTCOME] {
            notes::remove(&*self.disk, &self.folder, name)?;
        }
        state::mark(&*self.disk, &slots.disk)
    }

    /// Makes room where nothing more can be noted: what the worker has put down, and half a copy of it, may fill the disk.
    pub(super) fn give_up(&self) {
        let removed = self
            .remove_incoming(ASKED)
            .and_then(|()| self.remove_incoming(READY))
            .and_then(|()| notes::remove(&*self.disk, &self.folder, COPY));
        if let Err(error) = removed {
            crate::say(format_args!("a bundle cannot be removed: {error}"));
        }
    }

    /// Removes what the worker has put down under this name, whatever it is.
    fn remove_incoming(&self, name: &str) -> io::Result<()> {
        let incoming = self.folder.join(INCOMING);
        match self.disk.remove_whatever(&incoming.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.disk.sync_folder(&incoming)),
        }
    }

    /// Goes back, if a person wants that, and then stages what the worker has put down, or what is left over. What became of it is noted.
    ///
    /// # Errors
    /// The disk takes no notes, so that it is there again the next time.
    pub(super) fn work(&self, trusted: impl Fn() -> Result<Trusted, ConfigError>) -> io::Result<()> {
        self.look_back(|| trusted().is_ok_and(|trusted| trusted.keys))?;
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
        self.remove_incoming(READY)?;
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

        let Trusted { roots, unsigned, version, .. } = trusted()?;
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

        let programs = self.programs_without_other(slots, running);
        // From here on the other slot is not whole: nothing may start it, and nobody goes back to it.
        state::set(disk, &slots.disk, BootState { good: running, tries: 0 })?;
        notes::remove(disk, &self.folder, STAGED)?;
        notes::write(disk, &self.folder, PROGRAMS, &programs)?;
        let target = running.other();
        let slot = disk.open(slots.device(target), Access::Device)?;
        let written = self.unpack(bundle, head.length as u64, &payload, &*slot)?;
        self.read_back(&*slot, &written)?;

        // Before the program runs: a box that has run it goes back only if it does not serve, or a person at the box wants it.
        if let Some(seen) = seen {
            gate.see(seen);
            memory::write(disk, &self.folder, gate.known())?;
        }
        outcome.result = Stage::Staged;
        self.put_on_trial(slots, &Staged { slot: target, outcome: outcome.clone(), content: written })?;
        Ok(())
    }

    /// Has a slot that is whole tried at the next start.
    fn put_on_trial(&self, slots: &Slots, staged: &Staged) -> io::Result<()> {
        let (disk, running) = (&*self.disk, staged.slot.other());
        let noted = notes::write(disk, &self.folder, STAGED, staged);
        let trial = BootState { good: running, tries: MOST_TRIES };
        if let Err(error) = noted.and_then(|()| state::write(disk, &slots.disk, trial)) {
            // Nobody says later that it was tried. One copy may say that it is to be, which does no harm, for it is whole: then the note
            // must stay.
            if state::write(disk, &slots.disk, BootState { good: running, tries: 0 }).is_ok() {
                notes::remove(disk, &self.folder, STAGED)?;
            }
            return Err(error);
        }
        Ok(())
    }

    /// Which programs have served here; none where that cannot be read.
    fn programs(&self) -> Programs {
        notes::read(&*self.disk, &self.folder, PROGRAMS).unwrap_or_default()
    }

    /// The program that runs alone: the other slot is to be written over. One that came with the card is noted as what its slot holds.
    fn programs_without_other(&self, slots: &Slots, running: Slot) -> Programs {
        let mut programs = self.programs();
        programs.set(running.other(), None);
        self.add_running(slots, running, &mut programs);
        programs
    }

    /// Notes the program that runs, if it is not, or not the digest of its slot. A card that cannot be read now has no way back to it.
    fn add_running(&self, slots: &Slots, running: Slot, programs: &mut Programs) {
        let noted = programs.of(running);
        if noted.is_some_and(|served| served.content != Digest::default()) {
            return;
        }
        let outcome = noted.and_then(|served| served.outcome.clone());
        let served = match self.content(slots, running) {
            Ok((content, _)) => Some(Served { content, version: env!("CARGO_PKG_VERSION").to_owned(), outcome }),
            Err(error) => {
                crate::say(format_args!("nobody will go back to the program that runs: {error}"));
                None
            }
        };
        programs.set(running, served);
    }

    /// The digest of all bytes of a slot, read from the card, and whether it begins as one.
    fn content(&self, slots: &Slots, slot: Slot) -> io::Result<(Digest, bool)> {
        let file = self.disk.open(slots.device(slot), Access::Read)?;
        file.forget_cached();
        let is_slot = begins_as_a_slot(&file.read_up_to(0, FIRST)?);
        Ok((self.digest_of_slot(&*file)?, is_slot))
    }

    /// Goes back to the program in the other slot, if a person wants that, or wanted it before the power went. Of the worker's file only the
    /// digest is taken of the program that the person was shown. Where there is no such program, or where another one waits to be tried,
    /// no outcome is noted: that of the last bundle must stay.
    ///
    /// # Errors
    /// The disk takes no notes.
    fn look_back(&self, has_keys: impl FnOnce() -> bool) -> io::Result<()> {
        if let Some(content) = self.asked() {
            // Else a wish that came before is the one that counts.
            notes::write(&*self.disk, &self.folder, BACK, &Asked { content, begun: 0 })?;
        }
        self.remove_incoming(ASKED)?;
        let Some(asked) = notes::read::<Asked>(&*self.disk, &self.folder, BACK) else {
            return notes::remove(&*self.disk, &self.folder, BACK);
        };
        let wanted = self.way_back(&asked.content);
        if wanted.is_some() && !has_keys() {
            // A worker that was taken over says so.
            crate::say(format_args!("the box does not go back: by its settings, nobody can have pressed a key"));
        } else if let Some((slots, served, running)) = wanted {
            let mut outcome = Outcome { result: Stage::Staged, ..outcome_of(&served) };
            let gone_back = self.go_back(slots, running, &served, &outcome, asked);
            match gone_back {
                Ok(()) => crate::say(format_args!(
                    "a person goes back to the program {} ({}), which is tried at the next start",
                    Shown(&outcome.name),
                    Shown(&served.version)
                )),
                Err(error) => {
                    crate::say(format_args!("the box does not go back: {error}"));
                    outcome.result = Stage::Refused(error.refusal());
                }
            }
            notes::write(&*self.disk, &self.folder, OUTCOME, &outcome)?;
        }
        notes::remove(&*self.disk, &self.folder, BACK)
    }

    /// The digest that the worker has put down, if that can be gone back to. What cannot be is only said.
    fn asked(&self) -> Option<Digest> {
        let opened = self.disk.open(&self.folder.join(INCOMING).join(ASKED), Access::Read);
        let bytes = match opened.and_then(|file| file.read_up_to(0, size_of::<Digest>() + 1)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // A link or a folder, for example.
            read => read.unwrap_or_default(),
        };
        let content = bytes.try_into().ok().map(Digest).filter(|content| self.way_back(content).is_some());
        if content.is_none() {
            crate::say(format_args!("the box does not go back: it has no such program that could be tried now"));
        }
        content
    }

    /// Where the program of this digest is, if it has served here and is in the slot that does not run, and nothing waits to be tried: the
    /// slots, the program, and the slot that runs.
    fn way_back(&self, content: &Digest) -> Option<(&Slots, Served, Slot)> {
        let (slots, running) = self.room().ok()?;
        let served = self.programs().before(running)?.clone();
        let staged: Option<Staged> = notes::read(&*self.disk, &self.folder, STAGED);
        // Its own note may be left of an attempt that the power has ended.
        let is_free = staged.is_none_or(|staged| staged.content == served.content);
        (is_free && served.content == *content).then_some((slots, served, running))
    }

    /// Has the program in the other slot tried at the next start, as one that was sent. Counters stay as they are.
    fn go_back(
        &self,
        slots: &Slots,
        running: Slot,
        served: &Served,
        outcome: &Outcome,
        asked: Asked,
    ) -> Result<(), NotTaken> {
        let disk = &*self.disk;
        if asked.begun >= MOST_BEGUN {
            return Err(NotTaken::Starts);
        }
        notes::write(disk, &self.folder, BACK, &Asked { begun: asked.begun + 1, ..asked })?;
        let newest = memory::read(disk, &self.folder).into_iter().flatten().max_by_key(|known| known.revoked.0);
        let revoked = newest.map(|known| known.revoked.1).unwrap_or_default();
        let revoked = revoked.into_iter().find(|key| outcome.key.as_ref() == Some(&key.to_string()));
        let other = running.other();
        let mut programs = self.programs();
        if revoked.is_some() || self.content(slots, other)? != (served.content, true) {
            // It is not offered again.
            programs.set(other, None);
            notes::write(disk, &self.folder, PROGRAMS, &programs)?;
            let changed = || io::Error::other("the other program is not what it was any more").into();
            return Err(revoked.map_or_else(changed, |key| Refused::KeyRevoked(key).into()));
        }
        // So that there is a way back from there, too.
        self.add_running(slots, running, &mut programs);
        notes::write(disk, &self.folder, PROGRAMS, &programs)?;
        // A trial with the outcome of another program beside it, which was confirmed, would look as if it were over.
        notes::remove(disk, &self.folder, OUTCOME)?;
        self.put_on_trial(slots, &Staged { slot: other, outcome: outcome.clone(), content: served.content })?;
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
        if self.digest_of_slot(slot)? == *written {
            Ok(())
        } else {
            Err(io::Error::other("the card does not keep what is written to it"))
        }
    }

    /// Reads a whole slot.
    fn digest_of_slot(&self, slot: &dyn DiskFile) -> io::Result<Digest> {
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
        Ok(Digest(digester.finalize().into()))
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
        let Staged { slot, outcome, content } = staged;
        let outcome = Outcome { result: stage, ..outcome };
        let words =
            if stage == Stage::Confirmed { "serves, and stays" } else { "did not serve: that of before is back" };
        crate::say(format_args!("the program {} ({:.12}) {words}", Shown(&outcome.name), outcome.bundle));
        let served = if stage == Stage::Confirmed { self.note_served(slot, content, &outcome) } else { Ok(()) };
        let noted = served
            .and_then(|()| notes::write(&*self.disk, &self.folder, OUTCOME, &outcome))
            // One that was confirmed with its bundle still there would be staged again.
            .and_then(|()| self.forget_left_over(&outcome))
            .and_then(|()| notes::remove(&*self.disk, &self.folder, STAGED));
        if let Err(error) = noted {
            crate::say(format_args!("that cannot be noted: {error}"));
        }
    }

    /// Notes that the program that runs, which was staged, serves: it can be gone back to once another one runs.
    fn note_served(&self, slot: Slot, content: Digest, outcome: &Outcome) -> io::Result<()> {
        let mut programs = self.programs();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        programs.set(slot, Some(Served { content, version, outcome: Some(outcome.clone()) }));
        notes::write(&*self.disk, &self.folder, PROGRAMS, &programs)
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

/// The outcome of going back to a program. One that came with the card has no bundle, so only the digest of its slot is
/// known.
fn outcome_of(served: &Served) -> Outcome {
    let unknown = || Outcome { trust: Trust::BuiltIn, ..nothing_known(served.content) };
    served.outcome.clone().unwrap_or_else(unknown)
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
