//! What is said about a stick: a datagram for each message, in postcard's encoding.
//!
//! Both ends take the other for hostile. A message that is not whole, has something behind it, or holds what cannot be, is none.

use std::{ffi::OsStr, io};

use serde::{Deserialize, Serialize};
use shared::{
    limits::{MAX_BUNDLE_BYTES, MAX_IMAGE_BYTES},
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

/// Most names for the same results.
pub const MOST_NAMES: u8 = 99;

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
        Self { name: shown_name(name), modified: modified.min(LAST), size }
    }

    /// Whether there can be such a one.
    fn is_possible(&self) -> bool {
        self.modified <= LAST
            && self.name.len() <= MOST_NAME
            && !self.name.chars().any(is_hidden)
            && (1..=MAX_IMAGE_BYTES).contains(&self.size)
    }
}

/// A file name as it can be shown, its middle left out if it is long.
fn shown_name(name: &OsStr) -> String {
    const HEAD: usize = 40;
    const TAIL: usize = 20;
    let name = Shown(name.to_string_lossy()).to_string();
    if name.len() <= MOST_NAME {
        return name;
    }
    let (head, tail) = (name.floor_char_boundary(HEAD), name.ceil_char_boundary(name.len() - TAIL));
    format!("{}...{}", &name[..head], &name[tail..])
}

/// A file in the marked folder of a stick that may be a bundle of the box's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The name of the file as it can be shown, as that of a [`Film`].
    pub name: String,
    /// Bytes of the file, from 1 to [`MAX_BUNDLE_BYTES`].
    pub size: u32,
}

impl Bundle {
    /// A bundle of this file name.
    pub fn new(name: &OsStr, size: u32) -> Self {
        Self { name: shown_name(name), size }
    }

    /// Whether there can be such a one.
    fn is_possible(&self) -> bool {
        self.name.len() <= MOST_NAME
            && !self.name.chars().any(is_hidden)
            && (1..=MAX_BUNDLE_BYTES).contains(&u64::from(self.size))
    }
}

/// Why not all results are on a stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unwritten {
    /// They have no room on it.
    Full,
    /// It is protected against writing.
    Protected,
    /// The marked folder is not there any more.
    NoMark,
    /// Every name for them is taken.
    NoName,
    /// It fails, mostly because it was pulled out.
    Failed,
}

/// What the reader, the writer or the first process says.
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
    /// It has the marked folder, with this bundle in it, if there is one. Said before the films.
    Marked {
        /// The last one by its name.
        bundle: Option<Bundle>,
    },
    /// Bytes of that bundle.
    BundlePart {
        /// The first byte.
        offset: u32,
        /// The bytes: [`PART`] of them, or those that are left.
        bytes: &'a [u8],
    },
    /// The bundle cannot be read.
    BundleLost,
    /// The reader makes room for a writer.
    Leaving,
    /// The writer has begun the table of the results.
    Begun {
        /// Which of the names for these results is free, from 1.
        nth: u8,
    },
    /// The writer has so many bytes of the file.
    Kept {
        /// Where the next ones begin.
        offset: u64,
    },
    /// All of the file is on the stick.
    Stored,
    /// It cannot be: what there is of the file was taken away again, if that could be done.
    Unwritten(Unwritten),
    /// Nothing is written any more, and a reader reads again.
    Closed {
        /// Whether all that was written is on the stick for certain.
        well: bool,
    },
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
    /// A part of the bundle in the marked folder.
    Bundle {
        /// The stick.
        stick: u32,
        /// The first byte.
        offset: u32,
    },
    /// That results are written: said to the reader, which leaves, and then once more to the first process.
    Write {
        /// The stick.
        stick: u32,
        /// Number of the last result, which is in the names of the files.
        last: u64,
    },
    /// That these bytes are written, which follow in the same message: 1 to [`PART`] of them.
    Bytes {
        /// The stick.
        stick: u32,
        /// Where in the file they begin.
        offset: u64,
    },
    /// That the file is finished: the table, and then the page.
    End {
        /// The stick.
        stick: u32,
    },
    /// That nothing more is written.
    Stop,
}

impl<'a> Told<'a> {
    /// Reads a message; `None` if it is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let Ok((told, [])) = postcard::take_from_bytes::<Self>(bytes) else { return None };
        let possible = match &told.said {
            Said::Films(films) => films.len() <= MOST_LISTED && films.iter().all(Film::is_possible),
            Said::Part { bytes, .. } | Said::BundlePart { bytes, .. } => (1..=PART as usize).contains(&bytes.len()),
            Said::Marked { bundle } => bundle.as_ref().is_none_or(Bundle::is_possible),
            Said::Begun { nth } => (1..=MOST_NAMES).contains(nth),
            Said::TooMany
            | Said::Unreadable
            | Said::Lost { .. }
            | Said::Gone
            | Said::BundleLost
            | Said::Leaving
            | Said::Kept { .. }
            | Said::Stored
            | Said::Unwritten(_)
            | Said::Closed { .. } => true,
        };
        possible.then_some(told)
    }

    /// The message as it is sent.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_extend(self, Vec::new()).map_err(io::Error::other)
    }
}

impl Wish {
    /// Reads a message that nothing follows in; `None` if it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::read_with_bytes(bytes).filter(|(_, bytes)| bytes.is_empty()).map(|(wish, _)| wish)
    }

    /// Reads a message, and what is to be written, which only [`Self::Bytes`] has with it; `None` if it is none.
    pub fn read_with_bytes(message: &[u8]) -> Option<(Self, &[u8])> {
        let (wish, bytes) = postcard::take_from_bytes::<Self>(message).ok()?;
        let possible = match wish {
            Self::Bytes { .. } => (1..=PART as usize).contains(&bytes.len()),
            _ => bytes.is_empty(),
        };
        possible.then_some((wish, bytes))
    }

    /// The message as it is sent.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_extend(self, Vec::new()).map_err(io::Error::other)
    }
}
