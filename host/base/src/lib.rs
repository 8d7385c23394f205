//! What every part of the host needs:
//!
//! - [`calendar`]: the time of day, and dates for names of files;
//! - [`cell`]: text in a table that a spreadsheet may open;
//! - [`files`]: reading within limits, writing whole or not at all;
//! - [`interrupt`]: an orderly end on Ctrl-C;
//! - [`progress`]: bars on a terminal;
//! - [`say!`]: words on stderr, [`Shown`]: text from outside among them.

pub mod calendar;
pub mod files;
pub mod interrupt;
pub mod progress;

pub use shared::{
    cell,
    shown::{self, Shown, ShownLines},
};

/// Lets nobody but its owner read what this program writes from now on: X-rays, results, reports that show them.
pub fn keep_private() {
    use rustix::{fs::Mode, process::umask};
    umask(Mode::RWXG | Mode::RWXO);
}

/// Writes a line to stderr. Unlike `eprintln!` it does not panic when nobody reads there any more: a training outlives the
/// pager that its words went to. Whatever a name from outside holds, nothing reaches the terminal but what can be seen, and
/// line breaks: a name that should not break the line is [`Shown`].
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{}", $crate::ShownLines(format_args!($($words)*)));
    }};
}
