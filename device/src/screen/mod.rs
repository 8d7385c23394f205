//! The screen: what is shown ([`View`]), how it is drawn ([`draw()`]), and where it goes ([`sink`], [`display`]).

pub mod display;
pub mod draw;
mod frame;
mod mask;
pub mod sink;
mod symbol;
mod text;

pub use self::{display::Display, draw::draw, frame::Frame};

use std::sync::Arc;

use shared::{
    evidence::Evidence,
    verdict::{Digest, Fault, Refusal, ResultRecord},
};

/// What the box is, as every screen tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Name of the model.
    pub model: String,
    /// Digest of the model file.
    pub digest: Digest,
    /// Whether the model was trained on synthetic radiographs: its answers mean nothing medically.
    pub synthetic: bool,
    /// Version of the box program.
    pub software: String,
}

/// A grey picture for the eye, rows without gaps.
#[derive(Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `width * height` grey values, 0 black.
    pub pixels: Arc<[u8]>,
}

impl std::fmt::Debug for Preview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Preview({}x{})", self.width, self.height)
    }
}

/// What went wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Stable code for programs, where there is one.
    pub code: Option<u16>,
    /// What went wrong.
    pub cause: String,
    /// What to do.
    pub remedy: String,
}

impl Trouble {
    fn new(code: u16, text: &str) -> Self {
        let (cause, remedy) = text.split_once(": ").unwrap_or((text, ""));
        Self { code: Some(code), cause: sentence(cause), remedy: sentence(remedy) }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), &refusal.to_string())
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code(), &fault.to_string())
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

/// What the screen shows.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// The model is being loaded.
    Starting,
    /// The program has ended.
    Stopped,
    /// An image may be sent.
    Ready {
        /// Results in the journal.
        results: u64,
    },
    /// An image comes in.
    Receiving {
        /// Bytes received.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// An image is being judged.
    Analysing,
    /// A new model comes in; it is being tried once `done` is `total`.
    Updating {
        /// Bytes received.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The verdict on an image.
    Result {
        /// The image.
        preview: Preview,
        /// What the answer rests on, where the model tells.
        evidence: Option<Box<Evidence>>,
        /// The result as it is in the journal.
        record: ResultRecord,
    },
    /// The image is not judged.
    Refused(Trouble),
    /// The box could not do what was asked, or its line is gone.
    Error(Trouble),
}

/// Everything that a picture of the screen is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// What the box is.
    pub identity: Identity,
    /// What it shows.
    pub view: View,
}
