//! A bundle of the box's whole program on its way to the box: in pieces, over as many connections as it takes.

use std::{
    borrow::Cow,
    thread,
    time::{Duration, Instant},
};

use base::interrupt;
use shared::verdict::{Digest, Fault, SoftwareRefusal};
use wire::{BundlePiece, HostError, MAX_PIECE_BYTES, OutcomeOnLine, Phase, SoftwareStage, SoftwareState};

use super::{AnswerError, Connection, LinkError, PortOptions, Sending};

/// How long a piece is to take: so long an image waits that comes between two of them.
const PIECE_WITHIN: Duration = Duration::from_secs(3);
/// The fewest bytes of a piece, and of the first one.
const LEAST: u32 = 4 * 1024;
const FIRST: u32 = 16 * 1024;
/// Answers in a row that do not say that there is more of the bundle than before.
const MOST_REPEATED: u32 = 8;

/// What happens to a bundle that is being sent.
#[derive(Debug)]
pub enum Delivering<'a> {
    /// Bytes of it that the box has.
    Sent {
        /// Bytes done.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The box has all of it, checks it and puts it into its other slot.
    Installing,
    /// The box is not reached, or serves another host; it is tried again.
    Waiting(&'a LinkError),
}

/// What has become of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is on the card and is tried at the next start.
    Staged,
    /// The box had it before, on the card or running: nothing was sent.
    AlreadyThere(SoftwareStage),
    /// The box does not take it.
    Refused(SoftwareRefusal),
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From one attempt to the next.
    pub pause: Duration,
    /// Until it is given up, if the box has no more of the bundle than before.
    pub within: Duration,
    /// From one look at what becomes of a whole bundle to the next.
    pub look: Duration,
    /// Until other programs of this computer get the port.
    pub hold: Duration,
    /// For how long they get it: longer than one that has an X-ray for the box waits from one attempt to the next.
    pub release: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { pause: seconds(3), within: seconds(300), look: seconds(2), hold: seconds(60), release: seconds(6) }
    }
}

/// A bundle that is being sent, over one connection after another: [`deliver`] for whoever has other work in between.
pub struct Delivery<'a> {
    file: Cow<'a, [u8]>,
    /// Of the program that it holds.
    version: String,
    digest: Digest,
    total: u32,
    /// The outcome that the box named when it was first asked.
    before: Option<Option<OutcomeOnLine>>,
    /// How many bytes the next piece has.
    size: u32,
    /// Answers in a row that say nothing new.
    repeated: u32,
    /// The most that the box had of it, and since when.
    most: u32,
    since: Instant,
    /// Since when something else has its turn.
    rests: Option<Instant>,
    patience: Patience,
}

/// Sends a bundle with this version of the program, from where the box says that it was cut off, and waits until it is in the box's
/// other slot. Where the connection is lost, or another host wants the box, it goes on as soon as it can; an X-ray need not wait until
/// all is sent. Ctrl-C leaves what the box has there for another call.
///
/// # Errors
/// [`LinkError`]: the box is not reached, has stayed away for too long, or answers what cannot be right.
pub fn deliver(
    options: &PortOptions,
    file: &[u8],
    version: &str,
    patience: Patience,
    mut told: impl FnMut(Delivering<'_>),
) -> Result<Delivered, LinkError> {
    let mut delivery = Delivery::new(file, version, patience);
    loop {
        let error = match delivery.go_on(options, &mut told, &|| false) {
            Ok(Some(delivered)) => return Ok(delivered),
            Ok(None) => {
                pause(patience.release)?;
                continue;
            }
            Err(error) => error,
        };
        // A box that was never reached is not there.
        let is_known = delivery.before.is_some();
        if !is_known || !delivery.may_go_on(&error) {
            return Err(error);
        }
        told(Delivering::Waiting(&error));
        pause(patience.pause)?;
    }
}

impl<'a> Delivery<'a> {
    /// A bundle with this version of the program, of which nothing has been sent from here.
    pub fn new(file: impl Into<Cow<'a, [u8]>>, version: &str, patience: Patience) -> Self {
        let file = file.into();
        // A longer one is refused by the box.
        let total = u32::try_from(file.len()).unwrap_or(u32::MAX);
        let (digest, version, since) = (Digest::of(&file), version.to_owned(), Instant::now());
        let (before, rests) = (None, None);
        Self { file, version, digest, total, before, size: FIRST, repeated: 0, most: 0, since, rests, patience }
    }

    /// Sends what is missing over one connection. `None`: there is more, and whatever else wants the line should have it for
    /// [`Patience::release`], or for as long as it takes. `rests` is asked after each piece whether that is so now; a piece takes a few
    /// seconds, and the last one until the box has stored all.
    ///
    /// # Errors
    /// [`LinkError`]: [`Self::may_go_on`] says whether another attempt makes sense.
    pub fn go_on(
        &mut self,
        options: &PortOptions,
        told: &mut dyn FnMut(Delivering<'_>),
        rests: &dyn Fn() -> bool,
    ) -> Result<Option<Delivered>, LinkError> {
        if let Some(since) = self.rests.take() {
            // While something else had its turn, the box could not get on with it.
            self.since += since.elapsed();
        }
        let went = Connection::open(options).and_then(|mut connection| self.attempt(&mut connection, told, rests));
        if matches!(went, Ok(None)) {
            self.rests = Some(Instant::now());
        }
        went
    }

    /// Whether it may be otherwise in a while, and has not stood still for [`Patience::within`].
    pub fn may_go_on(&self, error: &LinkError) -> bool {
        is_passing(error) && self.since.elapsed() <= self.patience.within
    }

    /// Sends what is missing over one connection; `None` if something else is to have the port.
    fn attempt(
        &mut self,
        connection: &mut Connection,
        told: &mut dyn FnMut(Delivering<'_>),
        rests: &dyn Fn() -> bool,
    ) -> Result<Option<Delivered>, LinkError> {
        let opened = Instant::now();
        let state = connection.software(self.digest, self.total)?;
        let before = self.before.get_or_insert_with(|| state.outcome.clone());
        let is_new = *before != state.outcome;
        if let Some(delivered) = self.delivered(&state, is_new) {
            return Ok(Some(delivered));
        }
        let mut next = self.there(state.next, told)?;
        while next < self.total {
            let begun = Instant::now();
            let piece = self.piece(next);
            let length = piece.piece.length;
            let total = self.total;
            let kept = connection.piece(piece, |sending| match sending {
                Sending::Sent { done, .. } => told(Delivering::Sent { done: next.saturating_add(done), total }),
                Sending::Phase(Phase::Installing) => told(Delivering::Installing),
                Sending::Phase(_) => {}
            })?;
            let there = match kept {
                Ok(there) => self.there(there, told)?,
                Err(refusal) => return Ok(Some(Delivered::Refused(refusal))),
            };
            if there == self.total {
                return Ok(Some(Delivered::Staged));
            }
            self.repeated = if there > next { 0 } else { self.repeated + 1 };
            if self.repeated > MOST_REPEATED {
                return Err(AnswerError::Bundle.into());
            }
            next = there;
            self.adapt(length, begun.elapsed());
            if next < self.total && (opened.elapsed() > self.patience.hold || rests()) {
                return Ok(None);
            }
        }
        self.await_outcome(connection, told, rests)
    }

    /// What the last outcome means for this bundle, if it is of this one; an old refusal or failure is no reason not to try again. Nor is
    /// a success, if another version runs since: the card was flashed with its results kept, or its other slot was started.
    fn delivered(&self, state: &SoftwareState, is_new: bool) -> Option<Delivered> {
        let outcome = state.outcome.as_ref().filter(|outcome| outcome.file == self.digest)?;
        match outcome.stage {
            SoftwareStage::Confirmed if state.running.as_str() != self.version => None,
            SoftwareStage::Staged if is_new => Some(Delivered::Staged),
            stage @ (SoftwareStage::Staged | SoftwareStage::Confirmed) => Some(Delivered::AlreadyThere(stage)),
            SoftwareStage::Refused(refusal) if is_new => Some(Delivered::Refused(refusal)),
            SoftwareStage::Refused(_) | SoftwareStage::WentBack => None,
        }
    }

    /// Takes note of how much the box has.
    fn there(&mut self, next: u32, told: &mut dyn FnMut(Delivering<'_>)) -> Result<u32, LinkError> {
        if next > self.total {
            return Err(AnswerError::Bundle.into());
        }
        if next > self.most {
            (self.most, self.since) = (next, Instant::now());
        }
        told(Delivering::Sent { done: next, total: self.total });
        Ok(next)
    }

    fn piece(&self, next: u32) -> BundlePiece {
        let end = next.saturating_add(self.size).min(self.total);
        let bytes = self.file.get(next as usize..end as usize).unwrap_or_default().to_vec();
        BundlePiece::new(self.digest, self.total, next, bytes)
    }

    /// The next piece takes about as long as one is to take.
    fn adapt(&mut self, length: u32, took: Duration) {
        let per_second = f64::from(length) / took.as_secs_f64().max(0.001);
        let wanted = per_second * PIECE_WITHIN.as_secs_f64();
        // Within these bounds it is a number of bytes.
        self.size = wanted.clamp(f64::from(LEAST), f64::from(MAX_PIECE_BYTES)) as u32;
    }

    /// The box works at the bundle, or has handed it on, in an earlier session. Once it has no longer all of it, it has finished with it,
    /// even if it says the same of it as before. `None` if something else is to have the port.
    fn await_outcome(
        &mut self,
        connection: &mut Connection,
        told: &mut dyn FnMut(Delivering<'_>),
        rests: &dyn Fn() -> bool,
    ) -> Result<Option<Delivered>, LinkError> {
        told(Delivering::Installing);
        let begun = Instant::now();
        while begun.elapsed() < self.patience.within {
            let until = Instant::now() + self.patience.look;
            connection.wait_while(|| Instant::now() < until)?;
            let state = connection.software(self.digest, self.total)?;
            let is_new = self.before.as_ref() != Some(&state.outcome) || state.next < self.total;
            if let Some(delivered) = self.delivered(&state, is_new) {
                return Ok(Some(delivered));
            }
            if state.next < self.total {
                // It has come to nothing, and is sent again.
                return Err(HostError::Closed.into());
            }
            if rests() {
                return Ok(None);
            }
        }
        Err(HostError::Timeout.into())
    }
}

/// Whether it may be otherwise in a while.
fn is_passing(error: &LinkError) -> bool {
    match error {
        LinkError::Session(error) => !matches!(error, HostError::Incompatible { .. } | HostError::Protocol),
        LinkError::Fault(fault) => matches!(fault, Fault::Busy | Fault::Timeout | Fault::Protocol),
        LinkError::Unplugged { .. }
        | LinkError::Absent { .. }
        | LinkError::InUse { .. }
        | LinkError::NoPort { .. }
        | LinkError::NoBox { .. } => true,
        _ => false,
    }
}

fn pause(time: Duration) -> Result<(), LinkError> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if interrupt::asked() {
            return Err(LinkError::Interrupted);
        }
        thread::sleep(Duration::from_millis(20).min(time));
    }
    Ok(())
}
