//! Memory sticks: films that somebody has copied onto one and plugs into the box.
//!
//! A stick holds what anybody may have written, as a file system and as files. So three processes have a part in it, each with as
//! few rights as its part needs:
//!
//! - the first process (`init`) mounts the stick, read-only, and starts a reader for it;
//! - the reader ([`reader`]) looks through the folders and gives the list of the films and their bytes; it can do nothing but
//!   read below the place where the stick is mounted;
//! - the worker ([`start()`]) shows the list, and sends the film that is wanted over a [line within the box](crate::inner).
//!
//! Reader and worker talk in datagrams ([`message`]), of which each side trusts nothing: the worker asks for one part of a film at
//! a time, and each answer is held to what was asked. The first process uses the reader's end as well, to say that a stick is gone.
//! Whatever was said of one stick is not taken for another: sticks are numbered.
//!
//! On a computer a folder can be [played](play()) as a stick.
//!
//! A film from a stick has no name of an examination. The file's name is no substitute: it may be the patient's. A number of its
//! own would not be one either, because the next stick has the same ones, and each would look like another image of one exam.

mod confine;
pub mod message;
mod play;
pub mod reader;
#[cfg(test)]
mod tests;
pub mod walk;
mod watch;

pub use self::{
    message::Film,
    play::play,
    watch::{inherited, start},
};

pub use language::StickTrouble;

/// Set in the environment of a worker whose stdin is its end of the conversation about sticks.
pub const SOCKET: &str = "PUMUA_STICK_SOCKET";

/// What is said of sticks to whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stick is in, with films on it.
    Films {
        /// Its number.
        stick: u32,
        /// The newest first; one at least.
        films: Vec<Film>,
    },
    /// A stick is in, and nothing on it can be judged.
    Trouble(StickTrouble),
    /// An order has been carried out, or cannot be.
    Ended {
        /// The stick of the order.
        stick: u32,
        /// Why the film was not judged, if that is because of the stick or the box; what became of a film that was is said as of
        /// every film.
        trouble: Option<StickTrouble>,
    },
    /// It was pulled out.
    Gone {
        /// Its number.
        stick: u32,
    },
}

/// A film is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Number of the stick.
    pub stick: u32,
    /// Which film of [`Event::Films`], from 0.
    pub film: usize,
}
