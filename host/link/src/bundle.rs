//! A bundle of the box's whole program on its way to the box: in pieces, over as many connections as it takes.

use std::{
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

/// A bundle that is being sent.
struct Delivery<'a, F> {
    file: &'a [u8],
    /// Of the program that it holds.
    version: &'a str,
    digest: Digest,
    total: u32,
    /// The outcome that the box named when it was first asked.
    before: Option<Option<OutcomeOnLine>>,
    /// How many bytes the next piece has.
    size: u32,
    /// The most that the box had of it, and since when.
    most: u32,
    since: Instant,
    patience: Patience,
    told: F,
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
    told: impl FnMut(Delivering<'_>),
) -> Result<Delivered, LinkError> {
    // A longer one is refused by the box.
    let total = u32::try_from(file.len()).unwrap_or(u32::MAX);
    let (digest, since) = (Digest::of(file), Instant::now());
    let mut delivery =
        Delivery { file, version, digest, total, before: None, size: FIRST, most: 0, since, patience, told };
    loop {
        let error = match Connection::open(options).and_then(|mut connection| delivery.attempt(&mut connection)) {
            Ok(Some(delivered)) => return Ok(delivered),
            Ok(None) => {
                pause(patience.release)?;
                continue;
            }
            Err(error) => error,
        };
        // A box that was never reached is not there.
        let is_known = delivery.before.is_some();
        if !is_known || !is_passing(&error) || delivery.since.elapsed() > patience.within {
            return Err(error);
        }
        (delivery.told)(Delivering::Waiting(&error));
        pause(patience.pause)?;
    }
}

impl<F: FnMut(Delivering<'_>)> Delivery<'_, F> {
    /// Sends what is missing over one connection; `None` if it has held the port for long enough.
    fn attempt(&mut self, connection: &mut Connection) -> Result<Option<Delivered>, LinkError> {
        let opened = Instant::now();
        let state = connection.software(self.digest, self.total)?;
        let before = self.before.get_or_insert_with(|| state.outcome.clone());
        let is_new = *before != state.outcome;
        if let Some(delivered) = self.delivered(&state, is_new) {
            return Ok(Some(delivered));
        }
        let mut next = self.there(state.next)?;
        let mut repeated = 0;
        while next < self.total {
            let begun = Instant::now();
            let piece = self.piece(next);
            let length = piece.piece.length;
            let (total, told) = (self.total, &mut self.told);
            let kept = connection.piece(piece, |sending| match sending {
                Sending::Sent { done, .. } => told(Delivering::Sent { done: next.saturating_add(done), total }),
                Sending::Phase(Phase::Installing) => told(Delivering::Installing),
                Sending::Phase(_) => {}
            })?;
            let there = match kept {
                Ok(there) => self.there(there)?,
                Err(refusal) => return Ok(Some(Delivered::Refused(refusal))),
            };
            if there == self.total {
                return Ok(Some(Delivered::Staged));
            }
            repeated = if there > next { 0 } else { repeated + 1 };
            if repeated > MOST_REPEATED {
                return Err(AnswerError::Bundle.into());
            }
            next = there;
            self.adapt(length, begun.elapsed());
            if next < self.total && opened.elapsed() > self.patience.hold {
                return Ok(None);
            }
        }
        self.await_outcome(connection).map(Some)
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
    fn there(&mut self, next: u32) -> Result<u32, LinkError> {
        if next > self.total {
            return Err(AnswerError::Bundle.into());
        }
        if next > self.most {
            (self.most, self.since) = (next, Instant::now());
        }
        (self.told)(Delivering::Sent { done: next, total: self.total });
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
    /// even if it says the same of it as before.
    fn await_outcome(&mut self, connection: &mut Connection) -> Result<Delivered, LinkError> {
        (self.told)(Delivering::Installing);
        let begun = Instant::now();
        while begun.elapsed() < self.patience.within {
            let until = Instant::now() + self.patience.look;
            connection.wait_while(|| Instant::now() < until)?;
            let state = connection.software(self.digest, self.total)?;
            let is_new = self.before.as_ref() != Some(&state.outcome) || state.next < self.total;
            if let Some(delivered) = self.delivered(&state, is_new) {
                return Ok(delivered);
            }
            if state.next < self.total {
                // It has come to nothing, and is sent again.
                return Err(HostError::Closed.into());
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
