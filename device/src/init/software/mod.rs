//! Updates of the program itself, from a file that comes over the line: a *bundle*, which holds the file system of a slot.
//!
//! The card has two slots, A and B, with a kernel and a program each. One runs; the other is where a bundle goes. It is tried then: the
//! boot loader starts it at most twice, and goes back to the other by itself unless the program has said before that it serves. Which slot
//! is started stands in the *boot state*, two sectors that each hold all of it ([`shared::appliance::slots`]).
//!
//! Who does what: the worker, which talks to hosts and is not root, puts the pieces of a bundle together in `incoming`, a folder of its
//! own. All else is the first process's. It believes nothing that the worker says: it takes a copy that only root can write, checks who
//! has signed it ([`trust::Gate`], with roots from the settings of the card and a memory of its own), and reads what it unpacks through
//! the same digests. It follows no link there, takes nothing but a file, and no more than [`shared::limits::MAX_BUNDLE_BYTES`]. It works
//! on a thread of its own, with less of the processor than the worker: the loop of the first process looks after worker and watchdog
//! meanwhile. Of a bundle it holds a few MiB at most.
//!
//! The folder `software` of the data partition has
//!
//! | Name | What it is |
//! |---|---|
//! | `incoming/ready` | a bundle that the worker has put down |
//! | `bundle` | the same, as the first process has it; gone when it is known what becomes of it |
//! | `begun` | how often it was begun with that bundle: one that ends the box twice is not begun with again |
//! | `trust.1`, `trust.2` | the greatest counters of bundles that were staged, keys that are revoked, the list of keys |
//! | `staged` | what is in the slot that is to be tried |
//! | `programs` | which programs the slots hold that have served on this box, with the digests of their slots |
//! | `incoming/back` | the digest of the program that a person wants to go back to |
//! | `back` | the same, as the first process has it, and how often it was begun with that; gone when it is done or refused |
//! | `outcome` | what became of the last bundle, for the worker and the host |
//!
//! While a bundle is staged, if the power goes, or the disk fails,
//!
//! | while, or after | the next start |
//! |---|---|
//! | the worker writes | that of before; the host continues where it was |
//! | 1. the copy is written | that of before; it is copied again |
//! | 2. the copy is called `bundle`, and `incoming/ready` removed | that of before; it is staged from the copy |
//! | 3. it is verified | likewise |
//! | 4. the boot state says that nothing is to be tried | likewise. What an earlier bundle had left in the slot is not tried any more |
//! | 5. the slot is written and read back | likewise: the slot is half-written, and nothing points to it. Its first sector comes last, so nobody could take it for a file system |
//! | 6. the counter is noted, twice | likewise: the same bundle may follow itself |
//! | 7. `staged` is written | likewise |
//! | 8. the first copy of the boot state is written | the new one, on trial; or, if that sector is torn, the second copy counts: that of before |
//! | 9. the second copy is written | the new one, on trial |
//! | 10. `outcome` is written, `bundle` removed | the new one, on trial |
//! | 11. the new one runs, and serves not yet | the new one once more, if it was the first try; else that of before, and `outcome` says so |
//! | 12. it serves: the first copy is written | the new one for good; or, if that sector is torn, the second copy counts: as in 11 |
//! | 13. the second copy, `outcome` | the new one for good |
//!
//! **Going back.** A person at the box may have the program tried again that ran before. The worker says so, and is not believed: what
//! there is to go back to stands in `programs`, which the first process alone writes. The note of a slot is
//!
//! | when | of the slot that runs | of the other one |
//! |---|---|---|
//! | a new card | none | none |
//! | a bundle is to be written (after 4) | its program, with the digest of the slot if it is not noted yet | none: it is written over |
//! | the new one serves (13, before `outcome`) | the new one | that of before: **it can be gone back to** |
//! | the new one does not serve | as it was | none |
//! | it was gone back, and that one serves | that one | the one that was left: it can be gone back to, too |
//! | it was gone back, and that one does not serve | as it was | as it was: a person may try again |
//! | another card | none | none |
//!
//! So there is no way back while a program waits to be tried, or is on trial. What is gone back to is not started without a trial either, so
//! a slot that does not start any more gives way as one with a bundle does. Its slot must begin as one and have the digest that is noted;
//! if a list has revoked the key of its bundle, it is refused; in both cases its note is removed. Where the settings say that the box has no
//! keys, nobody can have held one: the worker is not listened to. If both slots hold the same program, neither is that of before.
//! A program that a release without `programs` has staged has no digest there: its slot is read when the next bundle is to be written.
//! Counters do not fall: after that, nothing older than the greatest one comes over the line, and the bundle that has it may come again. The
//! steps, and what the next start has if the power goes while or after them:
//!
//! | while, or after | the next start |
//! |---|---|
//! | the worker writes | that of before |
//! | `back` is written, `incoming/back` removed | that of before; it is gone back from the note |
//! | the slots are read; `programs` has the one that runs, too | likewise |
//! | `outcome` of the last bundle is removed, `staged` is written | likewise |
//! | the boot state is written | as in 8 and 9 |
//! | `outcome` is written, `back` removed | the program of before, on trial: as in 11 to 13 |
//!
//! A note `back` of something that is not in the other slot any more, because it runs by now, is dropped.
//!
//! The card is marked when the box starts from it for the first time. Without the mark, what the folder has of an update is of another
//! card, whose results `pumua flash --keep-results` has kept: all but the `trust` files is removed, for somebody has chosen another program.
//!
//! A start without a trial writes a copy of the boot state again that is damaged or says something else. After 13 a failure of the
//! program is one as any other: no slot changes any more until the next bundle.
//!
//! **On trial** the program must say within [`TRIAL_WITHIN`] that it serves: the worker has loaded its model, which must answer known
//! pictures, can store results, has a line, or films to come some other way, and has gone on for a moment. If not, if it fails so often that safe mode would begin, or if the card
//! cannot be mounted, the machine restarts, and one try is gone. A kernel that does not get so far restarts itself after a panic, or is
//! restarted by the watchdog, if it has come to have one; else somebody takes the power away, which costs a try, too.

mod install;
mod notes;
mod slots;
mod state;

use std::{
    io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use shared::appliance::{
    card::{SETTINGS, SOFTWARE, on_box},
    slots::{SLOT_BYTES, Started},
};
use trust::Version;

use self::{
    install::{INCOMING, Sizes, Trusted, Workshop},
    slots::Slots,
};
use super::rights;
use crate::{
    config::{ConfigError, Settings},
    disk::Card,
};

/// How long a program on trial has until it serves.
pub(super) const TRIAL_WITHIN: Duration = Duration::from_secs(120);
/// The lengths on a card. The worker waits for the card for as long as 4 MiB take, and has the memory.
const SIZES: Sizes = Sizes { slot: SLOT_BYTES, step: 1 << 20, steps_to_sync: 4 };
/// How much the worker goes before with the processor, of 19.
const NICE: i32 = 10;

/// What the kernel's command line says of the slot that runs.
pub(super) fn started() -> Option<Started> {
    Started::of_command_line(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default())
}

/// The updates of the program, as the first process's loop sees them.
#[derive(Debug)]
pub(super) struct Software {
    workshop: Workshop,
    /// From when on a trial counts.
    since: Instant,
    /// Whether the program serves that runs.
    serves: bool,
    /// Whether the trial is over, in whatever way.
    is_over: bool,
    /// Whether there is a bundle of an earlier start.
    left_over: bool,
    work: Option<JoinHandle<io::Result<()>>>,
    /// Whether bundles are left alone until the next start: nothing can be noted of them.
    is_deaf: bool,
}

impl Software {
    /// Finds out what runs, and brings the boot state and the notes into order. `boot` is the boot partition, `data` where that of the results
    /// is mounted. The folder for bundles is made where there are slots: without it, the worker takes none.
    pub(super) fn start(started: Option<Started>, boot: &Path, data: &Path) -> Self {
        let slots = Slots::find(Path::new("/sys/class/block"), Path::new("/dev"), boot);
        match (started, &slots) {
            (Some(Started { slot, is_trial }), Some(_)) => {
                let trial = if is_trial { ", on trial" } else { "" };
                crate::say(format_args!("slot {} runs{trial}", slot.name()));
            }
            (Some(_), None) => crate::say(format_args!("the slots of the card cannot be found: nothing is updated")),
            (None, _) => {}
        }
        let folder = data.join(SOFTWARE);
        let mut has_folder = false;
        if started.is_some() && slots.is_some() {
            match rights::make_own_folder(&folder, INCOMING) {
                Ok(()) => has_folder = true,
                Err(error) => crate::say(format_args!("the program cannot be updated: {error}")),
            }
        }
        Self::on(Workshop { disk: Arc::new(Card), folder, has_folder, slots, started, sizes: SIZES })
    }

    fn on(workshop: Workshop) -> Self {
        let adopted = workshop.adopt();
        if let Err(error) = &adopted {
            crate::say(format_args!(
                "what is left of another card cannot be removed: {error}; bundles are not looked at"
            ));
        }
        if let Err(error) = workshop.settle() {
            crate::say(format_args!("the boot state cannot be brought into order: {error}"));
        }
        let left_over = workshop.has_left_over();
        Self {
            workshop,
            since: Instant::now(),
            serves: false,
            is_over: false,
            left_over,
            work: None,
            is_deaf: adopted.is_err(),
        }
    }

    /// Whether the program that runs is on trial.
    pub(super) fn is_on_trial(&self) -> bool {
        !self.is_over && self.workshop.started.is_some_and(|started| started.is_trial)
    }

    /// Takes note that the program serves.
    pub(super) fn serves(&mut self) {
        self.serves = true;
    }

    /// Does what is to be done, without waiting for anything but the two sectors that end a trial. True, once, if the trial has failed
    /// and the machine is to restart.
    pub(super) fn look(&mut self) -> bool {
        if let Some(work) = self.work.take_if(|work| work.is_finished()) {
            self.note_end(work);
        }
        if self.work.is_some() {
            return false;
        }
        if self.is_on_trial() {
            // Tried again at the next look.
            if self.serves
                && let Err(error) = self.workshop.confirm()
            {
                crate::say(format_args!("it cannot be noted that the program serves: {error}"));
            }
            if self.is_on_trial() && self.since.elapsed() > TRIAL_WITHIN {
                crate::say(format_args!("the program does not serve after {TRIAL_WITHIN:?}"));
                return self.fail();
            }
        }
        let is_wanted = (self.left_over && !self.is_on_trial()) || self.workshop.has_something();
        if is_wanted && !self.is_deaf {
            self.begin();
        }
        false
    }

    /// Ends a trial that has failed. True if there was one: the machine is to restart.
    pub(super) fn fail(&mut self) -> bool {
        let was_on_trial = self.is_on_trial();
        self.is_over = true;
        was_on_trial
    }

    fn begin(&mut self) {
        self.left_over = false;
        let workshop = self.workshop.clone();
        let work = thread::Builder::new().name("software".to_owned()).spawn(move || {
            // Of this thread alone. Without it, all is a little slower.
            let _ = rustix::process::nice(NICE);
            workshop.work(|| trusted(on_box(SETTINGS).as_ref()))
        });
        match work {
            Ok(work) => self.work = Some(work),
            Err(error) => {
                crate::say(format_args!("bundles are not looked at: {error}"));
                self.is_deaf = true;
            }
        }
    }

    fn note_end(&mut self, work: JoinHandle<io::Result<()>>) {
        let words = match work.join() {
            Ok(Ok(())) => {
                // One that was taken in its place may have been refused before.
                self.left_over = self.workshop.has_left_over();
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the program has failed over a bundle".to_owned(),
        };
        crate::say(format_args!("bundles are not looked at until the next start: {words}"));
        self.workshop.give_up();
        self.is_deaf = true;
    }
}

/// Whom the settings of the card believe.
fn trusted(settings: &Path) -> Result<Trusted, ConfigError> {
    let Settings { roots, unsigned, keys, .. } = Settings::of_file(settings)?;
    // Without a version of its own the program would be older than any.
    let version = env!("CARGO_PKG_VERSION").parse().unwrap_or(Version([0; 3]));
    Ok(Trusted { roots, unsigned, keys, version })
}

#[cfg(test)]
mod tests;
