//! The DICOM node: a console sends X-rays to it as it does to any archive (C-STORE), and tries whether it is there (C-ECHO).
//!
//! Of the kinds of images and the transfer syntaxes that a console offers, those are taken that can be judged
//! ([`decode::TRANSFER_SYNTAXES`]): it then sends in one of these. What becomes of an X-ray is decided by [`Films`], which is
//! handed the bytes of a file; its answer is the status that the console gets.
//!
//! Whoever connects is served on a thread of its own, within [`Limits`]: so many at once, each PDU whole within its length and its
//! time. What is refused is an [`Event`], with what has to be changed; nothing of a patient is in it.
//!
//! `dicom-ul` says what the bytes of PDUs mean. Its associations are not used: they hold a line only by a time for each read,
//! refuse nobody for a while, and offer the same transfer syntaxes for whatever is asked.
//!
//! Pumua is a research aid, not a medical device.
#![forbid(unsafe_code)]

mod accept;
mod agree;
mod association;
mod command;
mod event;
mod film;
mod known;
mod line;
mod open;
mod seats;
mod status;
mod timed;
mod title;
mod wired;

pub use self::{
    accept::{Ending, each},
    agree::{APPLICATION, IMAGES, IMPLEMENTATION, IMPLEMENTATION_NAME, VERIFICATION},
    command::{Asked, Command, MAX_COMMAND, padded},
    event::{Event, What},
    line::{End, Line, MAX_PDU},
    open::{Film, Films, Limits, Open, Taken},
    status::Status,
    timed::Timed,
    title::{Node, Peer, PeerError, Title, TitleError},
    wired::{DEFAULT_PORT, DEFAULT_TITLE, Wired, WiredError},
};
