//! Ctrl-C: the first one asks for an orderly end, the second one ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;

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
