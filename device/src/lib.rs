//! The clinic box: receives radiographs over a serial line, judges them and shows the verdict on its screen.
//!
//! - [`appliance`]: this program as the first process of the box;
//! - [`config`]: flags, environment, configuration file;
//! - [`link`]: serial port and pseudo-terminal;
//! - [`keys`]: buttons and keyboards;
//! - [`app`]: what the box does, as a state machine without I/O;
//! - [`analysis`]: image → probability, on a thread of its own;
//! - [`journal`]: the results, safe from a loss of power;
//! - [`models`]: the models that hosts have installed, safe from a loss of power;
//! - [`screen`]: what is shown, how, and where;
//! - [`station`]: all of them at work.
//!
//! Pumua is a research aid, not a medical device.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod app;
pub mod appliance;
pub mod config;
pub mod journal;
pub mod keys;
pub mod link;
pub mod models;
pub mod screen;
pub mod station;

/// Tells the person who runs the box something, on stderr. Unlike `eprintln!` it does not panic when nobody reads there
/// any more: the box outlives its log.
pub fn say(words: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // In one piece, because each is a line of its own in the kernel's log.
    let _ = std::io::stderr().write_all(format!("device: {words}\n").as_bytes());
}
