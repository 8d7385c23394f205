//! What is said about a stick: a datagram for each message, in postcard's encoding.
//!
//! Both ends take the other for hostile. A message that is not whole, has something behind it, or holds what cannot be, is none.

use std::{ffi::OsStr, io};

use serde::{Deserialize, Serialize};
use shared::{
    limits::MAX_IMAGE_BYTES,
    shown::{Shown, is_hidden},
};

/// Most films of a list: the newest.
pub const MOST_LISTED: usize = 100;
/// Longest name of a film, in bytes of UTF-8.
pub const MOST_NAME: usize = 64;
/// Bytes of a film that are given at once.
pub const PART: u32 = 32 << 10;
/// Most bytes of a message.
pub const MOST_BYTES: usize = PART as usize + 1024;

/// The latest time of a film: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// A file on a stick that may be a film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Film {
    /// The name of the file as it can be shown, its middle left out if it is long. It is for the eye alone, and nothing keeps it.
    pub name: String,
    /// When the file was changed last, in seconds since 1970 by the clock of whoever did it, mostly in local time.
    pub modified: u64,
    /// Bytes of the file, from 1 to [`MAX_IMAGE_BYTES`].
    pub size: u32,
}

impl Film {
    /// A film of this file name.
    pub fn new(name: &OsStr, modified: u64, size: u32) -> Self {
        const HEAD: usize = 40;
        const TAIL: usize = 20;
        let mut name = Shown(name.to_string_lossy()).to_string();
        if name.len() > MOST_NAME {
            let (head, tail) = (name.floor_char_boundary(HEAD), name.ceil_char_boundary(name.len() - TAIL));
            name = format!("{}...{}", &name[..head], &name[tail..]);
        }
        Self { name, modified: modified.min(LAST), size }
    }

    /// Whether there can be such a one.
    fn is_possible(&self) -> bool {
        self.modified <= LAST
            && self.name.len() <= MOST_NAME
            && !self.name.chars().any(is_hidden)
            && (1..=MAX_IMAGE_BYTES).contains(&self.size)
    }
}

/// What the reader or the first process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told<'a> {
    /// Number of the stick that it is about.
    pub stick: u32,
    /// What is said of it.
    #[serde(borrow)]
    pub said: Said<'a>,
}

/// What is said of a stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said<'a> {
    /// These films are on it, the newest first; there may be none.
    Films(Vec<Film>),
    /// There is more on it than is looked through.
    TooMany,
    /// It has no file system that can be read.
    Unreadable,
    /// Bytes of a film.
    Part {
        /// Which one of the list, from 0.
        film: u16,
        /// The first byte.
        offset: u32,
        /// The bytes: [`PART`] of them, or those that are left.
        bytes: &'a [u8],
    },
    /// A film cannot be read.
    Lost {
        /// Which one of the list.
        film: u16,
    },
    /// It is not there any more.
    Gone,
}

/// What the worker wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// That sticks are looked for.
    Sticks,
    /// A part of a film.
    Part {
        /// The stick.
        stick: u32,
        /// Which one of its list, from 0.
        film: u16,
        /// The first byte.
        offset: u32,
    },
}

impl<'a> Told<'a> {
    /// Reads a message; `None` if it is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let Ok((told, [])) = postcard::take_from_bytes::<Self>(bytes) else { return None };
        let possible = match &told.said {
            Said::Films(films) => films.len() <= MOST_LISTED && films.iter().all(Film::is_possible),
            Said::Part { bytes, .. } => (1..=PART as usize).contains(&bytes.len()),
            Said::TooMany | Said::Unreadable | Said::Lost { .. } | Said::Gone => true,
        };
        possible.then_some(told)
    }

    /// The message as it is sent.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_extend(self, Vec::new()).map_err(io::Error::other)
    }
}

impl Wish {
    /// Reads a message; `None` if it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((wish, [])) => Some(wish),
            _ => None,
        }
    }

    /// The message as it is sent.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_extend(self, Vec::new()).map_err(io::Error::other)
    }
}
