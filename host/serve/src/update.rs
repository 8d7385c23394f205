//! An update of the box's own program: from a browser, through a file of the store, to the thread that has the line.
//!
//! One at a time. What comes in is looked at before anything is sent: what a box would refuse unread is refused at once. It is sent in
//! pieces while no film waits for an answer. The box keeps what it has of a bundle, so nothing is kept here beyond the end of this
//! program: whoever gives the same file again has the box go on where it was.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use shared::verdict::SoftwareRefusal;

use crate::store::Incoming;

/// Takes bundles of its own program to a box.
pub trait Courier: Send + Sync {
    /// Looks at a file of at most [`shared::limits::MAX_BUNDLE_BYTES`] before anything of it is sent.
    ///
    /// # Errors
    /// It is not sent.
    fn examine(&self, file: &Path) -> Result<Contents, NotSent>;

    /// Begins to take a file there that was looked at, and holds `version`.
    ///
    /// # Errors
    /// The file cannot be read.
    fn begin(&self, file: &Path, version: &str) -> io::Result<Box<dyn Errand>>;
}

/// A bundle on its way to a box.
pub trait Errand {
    /// Sends what is missing, until something else is to have the line. `rests` is to be asked every few seconds whether that is so now.
    fn go_on(&mut self, told: &mut dyn FnMut(Sending), rests: &dyn Fn() -> bool) -> Step;
}

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Version of the program that is in it. May hold anything.
    pub version: String,
    /// Whether anybody has signed it.
    pub signed: bool,
}

/// Why a file is not sent to a box.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// A box would not take it.
    #[error("{0} (code {code})", code = .0.code())]
    Refused(SoftwareRefusal),
    /// It cannot be read back.
    #[error("the file cannot be read back from the store: {0}: make room on the disk, or mend its rights")]
    Read(io::Error),
}

/// How far a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Bytes of it that the box has.
    Sent {
        /// Bytes done.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The box has all of it, checks it and stores it.
    Installing,
}

/// What an attempt to send has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more: it goes on after this time.
    Later(Duration),
    /// The box is not reached, for this reason: it goes on after this time.
    Troubled(String, Duration),
    /// It has come to an end.
    Ended(Ending),
}

/// What has become of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The box has stored it, and tries it at its next start.
    Staged,
    /// The box runs it already.
    Running,
    /// The box does not take it.
    Refused(SoftwareRefusal),
    /// It was given up, for this reason. What has come is kept there.
    GivenUp(String),
    /// Somebody has stopped it. What has come is kept there.
    Stopped,
}

/// What is seen of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for its turn, or is being sent.
    Sent {
        done: u32,
        total: u32,
    },
    Installing,
    Troubled(String),
    Ended(Ending),
}

/// An update as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) contents: Contents,
    pub(crate) stage: Stage,
    /// Somebody has asked for its end.
    pub(crate) stopping: bool,
}

impl Seen {
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Ended(_))
    }
}

/// The update that is under way, and what became of the last one.
pub(crate) struct Updates {
    courier: Box<dyn Courier>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A file is coming in.
    arriving: bool,
    seen: Option<Seen>,
    under_way: Option<Arc<Bundle>>,
    /// The thread that has the line is at it.
    on_line: bool,
    /// When it is to go on.
    due: Option<Instant>,
}

/// A bundle under way. Its file goes with it.
struct Bundle {
    file: Incoming,
    version: String,
    stopped: AtomicBool,
}

impl Bundle {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Updates {
    pub(crate) fn new(courier: Box<dyn Courier>) -> Self {
        Self { courier, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is seen of the update, if there was one since the start.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.state().seen.clone()
    }

    /// Makes room for a file that comes in; `None` while there is another one.
    pub(crate) fn arrive(&self) -> Option<Arrival<'_>> {
        let mut state = self.state();
        if state.arriving || state.under_way.is_some() {
            return None;
        }
        state.arriving = true;
        Some(Arrival(self))
    }

    /// Ends the update that is under way. What the box has all of, and is storing, is not taken back.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        let Some(bundle) = state.under_way.clone() else { return };
        if state.seen.as_ref().is_some_and(|seen| seen.stage == Stage::Installing) {
            return;
        }
        bundle.stopped.store(true, Ordering::Relaxed);
        if let Some(seen) = &mut state.seen {
            seen.stopping = true;
        }
        if !state.on_line {
            state.end(Ending::Stopped);
        }
    }

    /// The bundle that is to go on now, which has the line from here on.
    fn take_up(&self) -> Option<Arc<Bundle>> {
        let mut state = self.state();
        if state.due.is_some_and(|due| Instant::now() < due) {
            return None;
        }
        let bundle = state.under_way.clone()?;
        state.on_line = true;
        Some(bundle)
    }

    fn tell(&self, sending: Sending) {
        let stage = match sending {
            Sending::Sent { done, total } => Stage::Sent { done, total },
            Sending::Installing => Stage::Installing,
        };
        let mut state = self.state();
        if stage == Stage::Installing
            && let Some(bundle) = &state.under_way
        {
            // Somebody has stopped it too late: the box has all of it.
            bundle.stopped.store(false, Ordering::Relaxed);
        }
        if let Some(seen) = &mut state.seen {
            seen.stopping &= stage != Stage::Installing;
            seen.stage = stage;
        }
    }

    /// The line is free again.
    fn put_down(&self, bundle: Arc<Bundle>, step: Step) {
        let mut state = self.state();
        state.on_line = false;
        let is_stopped = bundle.is_stopped();
        // Its file is gone before its end is seen.
        drop(bundle);
        match step {
            Step::Ended(ending) => state.end(ending),
            // What has come to an end has, whoever stopped it.
            _ if is_stopped => state.end(Ending::Stopped),
            Step::Later(pause) => state.due = Some(Instant::now() + pause),
            Step::Troubled(trouble, pause) => {
                state.due = Some(Instant::now() + pause);
                if let Some(seen) = &mut state.seen {
                    seen.stage = Stage::Troubled(trouble);
                }
            }
        }
    }
}

impl State {
    fn end(&mut self, ending: Ending) {
        (self.under_way, self.due) = (None, None);
        if let Some(seen) = &mut self.seen {
            (seen.stage, seen.stopping) = (Stage::Ended(ending), false);
        }
    }
}

/// Room for a file that comes in, given back where it is dropped.
pub(crate) struct Arrival<'a>(&'a Updates);

impl Arrival<'_> {
    /// Looks at the file that came in, and hands it to the thread that has the line.
    ///
    /// # Errors
    /// It is not sent.
    pub(crate) fn complete(self, file: Incoming) -> Result<(), NotSent> {
        let contents = self.0.courier.examine(file.path())?;
        let total = u32::try_from(file.bytes()).unwrap_or(u32::MAX);
        let version = contents.version.clone();
        let mut state = self.0.state();
        state.seen = Some(Seen { contents, stage: Stage::Sent { done: 0, total }, stopping: false });
        state.under_way = Some(Arc::new(Bundle { file, version, stopped: AtomicBool::new(false) }));
        state.due = None;
        Ok(())
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.state().arriving = false;
    }
}

/// What the thread that has the line remembers of the bundle that it sends.
#[derive(Default)]
pub(crate) struct Line(Option<(Arc<Bundle>, Box<dyn Errand>)>);

impl Line {
    /// Sends more of the update that is under way, if there is one, until `rests` says that something else has its turn.
    pub(crate) fn go_on(&mut self, updates: &Updates, rests: &dyn Fn() -> bool) {
        if self.0.as_ref().is_some_and(|(bundle, _)| bundle.is_stopped()) {
            self.0 = None;
        }
        let Some(bundle) = updates.take_up() else { return };
        let step = self.step(updates, &bundle, rests);
        if matches!(step, Step::Ended(_)) || bundle.is_stopped() {
            self.0 = None;
        }
        updates.put_down(bundle, step);
    }

    fn step(&mut self, updates: &Updates, bundle: &Arc<Bundle>, rests: &dyn Fn() -> bool) -> Step {
        let errand = match self.0.take().filter(|(of, _)| Arc::ptr_eq(of, bundle)) {
            Some((_, errand)) => Ok(errand),
            None => updates.courier.begin(bundle.file.path(), &bundle.version),
        };
        let mut errand = match errand {
            Ok(errand) => errand,
            Err(error) => return Step::Ended(Ending::GivenUp(NotSent::Read(error).to_string())),
        };
        let stops = || rests() || bundle.is_stopped();
        // A program error here keeps no film from its answer.
        let went = catch_unwind(AssertUnwindSafe(|| errand.go_on(&mut |sending| updates.tell(sending), &stops)));
        match went {
            Ok(step) => {
                self.0 = Some((bundle.clone(), errand));
                step
            }
            Err(_) => Step::Ended(Ending::GivenUp("an error in this program: report it".to_owned())),
        }
    }
}
