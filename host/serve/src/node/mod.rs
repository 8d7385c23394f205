//! The DICOM node, of the crate of that name, before the store: an X-ray is answered with success when [`Intake`] has it on the disk. One that was
//! not answered may be sent again; the same bytes are judged once.
//!
//! What is refused is noted for the page ([`log`]), with what has to be changed; nothing of a patient is. [`dial`] calls others.

pub(crate) mod dial;
mod log;

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

pub(crate) use ::node::What;
use ::node::{Event, Film, Films, Limits, Taken};
pub use ::node::{Node, Peer, PeerError, Title, TitleError};
use shared::verdict::ExamId;

pub(crate) use self::log::Line as LogLine;
use self::log::Log;
use crate::{
    intake::{Intake, IntakeError},
    record::Source,
    stop::Stop,
    store::StoreError,
};

/// What the console may show where nothing more can be kept.
const FULL: &str = "the store of Pumua is full: see Status on its page";
/// The same of a disk that fails.
const DISK: &str = "the disk of Pumua cannot be written: see Status on its page";

/// A node that consoles can reach.
pub(crate) struct Open {
    open: ::node::Open,
    log: Log,
}

impl Open {
    pub(crate) fn new(node: Node) -> io::Result<Self> {
        Ok(Self { open: ::node::Open::new(node, limits())?, log: Log::default() })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.open.address()
    }

    /// What it is called.
    pub(crate) fn title(&self) -> &Title {
        self.open.title()
    }

    /// What happened last.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Serves until the end. It has ended when every film that was answered is on the disk, and no other one is.
    pub(crate) fn run(&self, intake: &Intake, stop: &Stop) {
        self.open.run(&Desk { intake, log: &self.log }, stop);
    }
}

#[cfg(not(test))]
fn limits() -> Limits {
    Limits::default()
}

/// Tests do not wait for minutes.
#[cfg(test)]
fn limits() -> Limits {
    use std::time::Duration;
    Limits { idle: Duration::from_secs(3), film: Duration::from_secs(6), ..Limits::default() }
}

/// Hands films to the store, and notes what happens.
struct Desk<'a> {
    intake: &'a Intake,
    log: &'a Log,
}

impl Films for Desk<'_> {
    fn take(&self, film: Film<'_>) -> Taken {
        match self.intake.take(film.bytes, &ExamId::default(), Source::Node) {
            Ok(receipt) if receipt.known => Taken::Duplicate,
            Ok(_) => Taken::Kept,
            Err(IntakeError::TooLarge) => Taken::TooLarge,
            Err(IntakeError::Store(StoreError::Full | StoreError::NoSpace)) => Taken::NoRoom(FULL),
            Err(IntakeError::Store(error)) => {
                self.log.store_fails(film.peer, &error.to_string());
                Taken::NoRoom(DISK)
            }
            Err(IntakeError::Cut(_)) => Taken::Cut,
        }
    }

    fn note(&self, peer: IpAddr, since: u64, event: Event) {
        self.log.note(peer, since, event);
    }

    fn moment(&self) -> u64 {
        self.log.events()
    }

    fn unserved(&self, error: &io::Error) {
        base::say!("an association was not served: {error}");
    }
}

#[cfg(test)]
mod tests;
