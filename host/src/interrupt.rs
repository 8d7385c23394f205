//! Ctrl-C: the first one asks for an orderly end, the second one ends at once.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::anyhow;
use rustix::process::Signal;

use crate::exit::{Exit, Failure};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C is noted instead of ending the program; gives the flag that it raises. Where no handler can be
/// set, Ctrl-C ends the program, as everywhere.
pub fn listen() -> &'static AtomicBool {
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    &ASKED
}

/// True after Ctrl-C.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// An error after Ctrl-C: for a command that looks between its stages.
pub fn check() -> Result<(), Failure> {
    if asked() { Err(stopped()) } else { Ok(()) }
}

/// Whether another program has done its work. An error if Ctrl-C has ended it, which all programs of a terminal hear: this one
/// perhaps a moment later.
pub fn ended(status: ExitStatus) -> Result<bool, Failure> {
    check()?;
    if status.signal() == Some(Signal::INT.as_raw()) { Err(stopped()) } else { Ok(status.success()) }
}

fn stopped() -> Failure {
    Failure { exit: Exit::Interrupted, error: anyhow!("stopped by Ctrl-C") }
}
