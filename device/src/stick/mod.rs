//! Memory sticks: films that somebody has copied onto one and plugs into the box, and results that are written onto one.
//!
//! A stick holds what anybody may have written, as a file system and as files. So three processes have a part in it, each with as
//! few rights as its part needs:
//!
//! - the first process (`init`) mounts the stick, read-only, and starts a reader for it;
//! - the reader ([`reader`]) looks through the folders and gives the list of the films and their bytes; it can do nothing but
//!   read below the place where the stick is mounted;
//! - the worker ([`start()`]) shows the list, and sends the film that is wanted over a [line within the box](crate::inner).
//!
//! A stick with a folder `PUMUA` is *marked*: onto it results are written, and from it a bundle of the box's program is taken, if
//! somebody asks for it with a key. A bundle goes over the line within the box, as from every host. Results leave the box as the
//! records of patients do: nothing but a key brings that about. For the time of the writing, and no longer, the reader gives way to a
//! writer ([`writer`]), and the first process makes the stick writable. The writer can create files in that folder, and change none that
//! is there. Each piece that it has written is acknowledged before the next is sent.
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
mod page;
mod play;
pub mod reader;
#[cfg(test)]
mod tests;
pub mod walk;
mod watch;
pub mod writer;

pub use self::{
    message::{Bundle, Film},
    play::play,
    watch::{inherited, start},
};

use std::path::PathBuf;

use shared::verdict::{Digest, Fault, ResultRecord};

pub use language::StickTrouble;

/// Set in the environment of a worker whose stdin is its end of the conversation about sticks.
pub const SOCKET: &str = "PUMUA_STICK_SOCKET";

/// The folder and the numbers that this process was given, if it was started with this word, with as many of them, and with nothing else.
fn given<const N: usize>(word: &str) -> Option<(PathBuf, [u64; N])> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != word {
        return None;
    }
    let folder = PathBuf::from(arguments.next()?);
    let numbers = arguments.map(|number| number.to_str()?.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some((folder, numbers.try_into().ok()?))
}

/// What is said of sticks to whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stick is in, with films on it.
    Films {
        /// Its number.
        stick: u32,
        /// The newest first; one at least, unless the stick is marked.
        films: Vec<Film>,
    },
    /// The stick of which the films are told next is marked.
    Marked {
        /// Its number.
        stick: u32,
        /// The bundle in the marked folder, if there is one.
        bundle: Option<Bundle>,
    },
    /// The next results are wanted, to be written.
    Wants {
        /// Number of the stick.
        stick: u32,
        /// The first result.
        from: u64,
        /// The last one.
        last: u64,
        /// How many results are written by now, as far as that can be said, of as many as the last one's number.
        done: u64,
    },
    /// The results are on the stick.
    Written {
        /// Number of the stick.
        stick: u32,
        /// The name of the files, without what follows the dot.
        name: String,
    },
    /// So much of the bundle on the stick is in the box.
    Taken {
        /// Number of the stick.
        stick: u32,
        /// Bytes done.
        done: u32,
        /// Bytes in all.
        total: u32,
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

/// What is to be done with a stick.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// A film is to be judged.
    Film {
        /// Number of the stick.
        stick: u32,
        /// Which film of [`Event::Films`], from 0.
        film: usize,
    },
    /// The results are to be written.
    Results {
        /// Number of the stick.
        stick: u32,
        /// What is said above them.
        heading: Heading,
    },
    /// What [`Event::Wants`] has asked for.
    Batch(Batch),
    /// The bundle is to be taken.
    Program {
        /// Number of the stick.
        stick: u32,
    },
}

impl Order {
    /// The stick that it is about, unless it belongs to an order before it.
    fn stick(&self) -> Option<u32> {
        match self {
            Self::Film { stick, .. } | Self::Results { stick, .. } | Self::Program { stick } => Some(*stick),
            Self::Batch(_) => None,
        }
    }
}

/// What is said above the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Number of the last result.
    pub last: u64,
    /// The model that judges now: its name.
    pub model: String,
    /// Its digest.
    pub digest: Digest,
    /// Whether it was trained on synthetic radiographs.
    pub synthetic: bool,
}

/// Some of the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// From which number on they were asked for.
    pub from: u64,
    /// They, in their order, and where the next ones begin if there are more; or that they cannot be read.
    pub results: Result<(Vec<ResultRecord>, Option<u64>), Fault>,
}
