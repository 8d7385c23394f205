//! The clinic box: receives radiographs over a serial line, judges them and shows the verdict on its screen.
//!
//! - [`init`]: this program as the first process of the box;
//! - [`config`]: flags, environment, configuration file;
//! - [`serial`]: serial port and pseudo-terminal;
//! - [`keys`]: buttons and keyboards;
//! - [`stick`]: memory sticks with films on them, which a process of its own reads;
//! - [`inner`]: a line within the box, for the films that do not come over a cable;
//! - [`state`]: what the box does, as a state machine without I/O;
//! - [`decoder`]: image file → pixels, in a process of its own;
//! - [`analysis`]: image → probability, on a thread of its own;
//! - [`disk`]: files, so that tests can let each call fail;
//! - [`journal`]: the results, safe from a loss of power;
//! - [`models`]: the installed models, safe from a loss of power;
//! - [`software`]: bundles of the whole program, until the first process takes them;
//! - [`site`]: the clinic's own settings, and the keys that a person has added for them;
//! - [`screen`]: what is shown, how, and where;
//! - [`mod@node`]: X-rays that come over Ethernet;
//! - [`runtime`]: all of them at work.
//!
//! Pumua is a research aid, not a medical device.

pub mod analysis;
pub mod config;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod confined;
pub mod decoder;
pub mod disk;
pub mod init;
pub mod inner;
pub mod journal;
pub mod keys;
pub mod models;
pub mod node;
pub mod runtime;
#[cfg(test)]
#[path = "../../shared/tests/sample/mod.rs"]
mod sample;
pub mod screen;
pub mod serial;
#[cfg(test)]
#[path = "../../shared/trust/tests/signers/mod.rs"]
mod signers;
pub mod site;
pub mod software;
pub mod state;
pub mod stick;

use shared::shown::ShownLines;

/// Lets nobody but its owner read what this program writes: results, models, X-rays on the screen.
pub fn keep_private() {
    use rustix::{fs::Mode, process::umask};
    umask(Mode::RWXG | Mode::RWXO);
}

/// Prints a message for the operator on stderr. Unlike `eprintln!` it does not panic when nobody reads there any more: the
/// box outlives its log. Whatever a name from outside holds, nothing reaches a terminal or the kernel's log but what can be
/// seen, and line breaks: a name that should not break the line is [`Shown`](shared::shown::Shown).
pub fn say(words: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // In one piece, because each is a line of its own in the kernel's log.
    let _ = std::io::stderr().write_all(format!("pumua-box: {}\n", ShownLines(words)).as_bytes());
}
