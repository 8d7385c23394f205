//! The signals that end the box in order.

use std::{io, thread};

use shared::signals::is_ignored;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Calls `stop` on Ctrl-C, SIGTERM and SIGHUP. What was ignored when the program started stays so: a box goes on under
/// `nohup`, and in the background of a script.
pub fn on_end(stop: impl Fn() + Send + 'static) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(&status, signal.unsigned_abs()));
    let mut signals = Signals::new(heard)?;
    thread::Builder::new().spawn(move || signals.forever().for_each(|_| stop()))?;
    Ok(())
}
