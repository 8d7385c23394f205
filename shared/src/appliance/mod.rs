//! The box as a machine: what the host puts on its memory card and what the box looks for there.
//!
//! - [`card`]: labels, names and places of the memory card and of the initial file system;
//! - [`mod@line`]: serial ports and their speed;
//! - [`BoxSettings`]: the keys of `box.toml` and their values, among them [`Language`], [`Rotation`], [`Share`] and
//!   [`Override`]; [`SiteSettings`]: those of a site file;
//! - [`slots`]: which of two programs is started, and how a new one is tried;
//! - [`listed`]: how texts enumerate the values that there are, so that no text has a list of its own.

pub mod card;
mod choice;
mod exam_id;
mod language;
pub mod line;
mod overrides;
mod rotation;
mod settings;
mod share;
pub mod slots;

pub use self::{
    choice::listed,
    exam_id::{ExamIdFrom, ExamIdFromError},
    language::{Language, LanguageError},
    overrides::{Override, OverrideError},
    rotation::{Rotation, RotationError},
    settings::{BLANK_MINUTES, BoxSettings, MAX_SITE_BYTES, SiteSettings},
    share::{Share, ShareError},
};
