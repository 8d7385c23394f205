//! The DICOM node: a console sends X-rays to it as it does to any archive (C-STORE), and tries whether it is there (C-ECHO).
//!
//! Of the kinds of images and the transfer syntaxes that a console offers, those are taken that can be judged: it then sends
//! in one of these. An X-ray is answered with success when [`Intake`] has it on the disk. One that was not answered may be
//! sent again; the same bytes are judged once.
//!
//! Whoever connects is served on a thread of its own, within limits: so many at once, each PDU whole within its length and its
//! time. What is refused is noted for the page ([`log`]), with what has to be changed; nothing of a patient is.
//!
//! `dicom-ul` says what the bytes of PDUs mean. Its associations are not used: they hold a line only by a time for each read,
//! refuse nobody for a while, and offer the same transfer syntaxes for whatever is asked.

mod agree;
mod association;
mod command;
pub(crate) mod dial;
mod film;
mod known;
mod line;
mod log;
mod status;
mod title;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

pub(crate) use self::log::{Line as LogLine, What};
pub use self::title::{Node, Peer, PeerError, Title, TitleError};
use self::{
    agree::Refused,
    association::{Desk, serve},
    line::Line,
    log::Log,
};
use crate::{intake::Intake, server::each, stop::Stop};

/// Associations at once.
const ASSOCIATIONS: usize = 8;
/// Associations at once of one address.
const FROM_A_PEER: usize = 4;
/// How many at once are told that they are not taken. Whoever comes besides is told nothing.
const TURNED_AWAY: usize = 8;

/// A node that consoles can reach.
pub(crate) struct Open {
    node: Node,
    listener: TcpListener,
    address: SocketAddr,
    log: Log,
    seats: Seats,
}

impl Open {
    pub(crate) fn new(node: Node) -> io::Result<Self> {
        let listener = TcpListener::bind(node.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { node, listener, address, log: Log::default(), seats: Seats::default() })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called.
    pub(crate) fn title(&self) -> &Title {
        &self.node.title
    }

    /// What happened last.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Serves until the end. It has ended when every film that was answered is on the disk, and no other one is.
    pub(crate) fn run(&self, intake: &Intake, stop: &Stop) {
        thread::scope(|scope| {
            each(&self.listener, stop, |stream, peer| {
                let peer = peer.ip().to_canonical();
                let Some(seat) = self.seats.take(peer, self.node.knows(peer)) else { return };
                let served = move || self.meet(&stream, peer, &seat, intake, stop);
                if let Err(error) = thread::Builder::new().name("node".to_owned()).spawn_scoped(scope, served) {
                    base::say!("an association was not served: {error}");
                }
            });
        });
    }

    fn meet(&self, stream: &TcpStream, peer: IpAddr, seat: &Seat<'_>, intake: &Intake, stop: &Stop) {
        // A socket inherits that it does not block.
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let _ = stream.set_nodelay(true);
        let desk = Desk { node: &self.node, log: &self.log, intake, peer, since: self.log.events() };
        // A program error in one association does not end the others.
        let served = catch_unwind(AssertUnwindSafe(|| serve(&desk, &Line::new(stream, stop), seat.refused.clone())));
        if served.is_err() {
            desk.note(What::Foreign);
        }
    }
}

/// Who is being served, and how many are turned away.
#[derive(Default)]
struct Seats(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    served: Vec<IpAddr>,
    turned_away: usize,
}

/// A place of somebody who has connected, until this is dropped.
struct Seat<'a> {
    seats: &'a Seats,
    peer: IpAddr,
    /// Why it is not served.
    refused: Option<Refused>,
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for somebody at this address, if there is one: to be served, or to be told why not.
    fn take(&self, peer: IpAddr, is_known: bool) -> Option<Seat<'_>> {
        let mut taken = self.taken();
        let from_peer = taken.served.iter().filter(|&&other| other == peer).count();
        let refused = if !is_known {
            Some(Refused::Stranger)
        } else if taken.served.len() >= ASSOCIATIONS || from_peer >= FROM_A_PEER {
            Some(Refused::Busy)
        } else {
            None
        };
        if refused.is_none() {
            taken.served.push(peer);
        } else if taken.turned_away < TURNED_AWAY {
            taken.turned_away += 1;
        } else {
            return None;
        }
        Some(Seat { seats: self, peer, refused })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if self.refused.is_some() {
            taken.turned_away -= 1;
        } else if let Some(at) = taken.served.iter().position(|peer| *peer == self.peer) {
            taken.served.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
