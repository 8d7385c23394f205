//! Ctrl-C: the first one asks for an orderly end, the second one ends at once. So do SIGTERM and SIGHUP.
//!
//! What was ignored when the program started stays so: it goes on under `nohup`, and in the background of a script.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::Signal;
use shared::signals::is_ignored;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// The exit code of a program that Ctrl-C has ended, as shells have it: 128 and the number of SIGINT.
pub const EXIT_CODE: u8 = 130;

/// The work was stopped by Ctrl-C before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped by Ctrl-C")]
pub struct Interrupted;

static ASKED: AtomicBool = AtomicBool::new(false);

static LISTENING: Once = Once::new();

/// From here on Ctrl-C is noted instead of ending the program; gives the flag that it raises. Where no handler can be
/// set, Ctrl-C ends the program, as everywhere.
pub fn listen() -> &'static AtomicBool {
    LISTENING.call_once(|| {
        // Elsewhere than on Linux nobody knows what is ignored.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(&status, signal.unsigned_abs()));
        let Ok(mut signals) = Signals::new(heard) else { return };
        thread::spawn(move || {
            for _ in signals.forever() {
                if ASKED.swap(true, Ordering::Relaxed) {
                    std::process::exit(EXIT_CODE.into());
                }
            }
        });
    });
    &ASKED
}

/// True after Ctrl-C.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// An error after Ctrl-C: for a command that looks between its stages.
pub fn check() -> Result<(), Interrupted> {
    if asked() { Err(Interrupted) } else { Ok(()) }
}

/// Whether another program has done its work. An error if Ctrl-C has ended it, which all programs of a terminal hear: this one
/// perhaps a moment later.
pub fn ended(status: ExitStatus) -> Result<bool, Interrupted> {
    check()?;
    if status.signal() == Some(Signal::INT.as_raw()) { Err(Interrupted) } else { Ok(status.success()) }
}
