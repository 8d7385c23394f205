//! A node that consoles can reach, and who takes what they send.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use crate::{
    accept::{Ending, each},
    association::{Desk, serve},
    event::{Event, What},
    line::Line,
    seats::{Seat, Seats},
    title::{Node, Title},
};

/// What a node allows to whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Associations at once.
    pub associations: usize,
    /// Associations at once of one address.
    pub from_a_peer: usize,
    /// How long nothing may be asked for.
    pub idle: Duration,
    /// How long a film may take to come: this, and its bytes at the speed of [`Self::slowest`].
    pub film: Duration,
    /// Bytes a second of the slowest console.
    pub slowest: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            associations: 8,
            from_a_peer: 4,
            idle: Duration::from_secs(120),
            film: Duration::from_secs(15),
            slowest: crate::line::SLOWEST,
        }
    }
}

/// A film that comes in.
pub struct Film<'a> {
    /// Address of the console that sends it.
    pub peer: IpAddr,
    /// Its bytes, those of a DICOM file. An error of them means that it broke off: what came is then to be forgotten, and nobody is
    /// told, for the association has ended.
    pub bytes: &'a mut dyn Read,
}

/// What became of a film, which is told to the console (PS3.4, table B.2-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in safe hands.
    Kept,
    /// So it was already, the same to the last byte.
    Duplicate,
    /// It cannot be taken now; sent again later it may be. The words are for the console: 64 letters of ASCII at most.
    NoRoom(&'static str),
    /// It has more bytes than a film may have.
    TooLarge,
    /// It broke off.
    Cut,
}

/// Takes films, and notes what happens.
pub trait Films: Sync {
    /// Takes a film. The console waits meanwhile, and is told what this returns.
    fn take(&self, film: Film<'_>) -> Taken;

    /// Notes what happened with somebody at this address, in an association that began at this [`Self::moment`].
    fn note(&self, peer: IpAddr, since: u64, event: Event);

    /// What [`Self::note`] is to be told of associations that begin now.
    fn moment(&self) -> u64 {
        0
    }

    /// Somebody who has connected cannot be served, for want of a thread.
    fn unserved(&self, error: &io::Error);
}

/// A node that consoles can reach.
pub struct Open {
    node: Node,
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    seats: Seats,
}

impl Open {
    /// Opens the address of a node.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(node: Node, limits: Limits) -> io::Result<Self> {
        Self::on(TcpListener::bind(node.listen)?, node, limits)
    }

    /// A node on a socket that listens already, whatever [`Node::listen`] is.
    ///
    /// # Errors
    /// It is no socket that listens.
    pub fn on(listener: TcpListener, node: Node, limits: Limits) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { node, listener, address, limits, seats: Seats::new(limits) })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called.
    pub fn title(&self) -> &Title {
        &self.node.title
    }

    /// Serves until the end. It has ended when nothing is being taken any more.
    pub fn run(&self, films: &dyn Films, end: &dyn Ending) {
        thread::scope(|scope| {
            each(&self.listener, end, |stream, peer| {
                let peer = peer.ip().to_canonical();
                let Some(seat) = self.seats.take(peer, self.node.knows(peer)) else { return };
                let served = move || self.meet(&stream, peer, &seat, films, end);
                if let Err(error) = thread::Builder::new().name("node".to_owned()).spawn_scoped(scope, served) {
                    films.unserved(&error);
                }
            });
        });
    }

    fn meet(&self, stream: &TcpStream, peer: IpAddr, seat: &Seat<'_>, films: &dyn Films, end: &dyn Ending) {
        // A socket inherits that it does not block.
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let _ = stream.set_nodelay(true);
        let desk = Desk { node: &self.node, films, limits: &self.limits, peer, since: films.moment() };
        // A program error in one association does not end the others.
        let served = catch_unwind(AssertUnwindSafe(|| serve(&desk, &Line::new(stream, end), seat.refused.clone())));
        if served.is_err() {
            desk.note(What::Foreign);
        }
    }
}
