//! What every part of the host needs:
//!
//! - [`calendar`]: the time of day, and dates for names of files;
//! - [`files`]: reading within limits, writing whole or not at all;
//! - [`interrupt`]: an orderly end on Ctrl-C;
//! - [`progress`]: bars on a terminal;
//! - [`say!`]: words on stderr.

pub mod calendar;
pub mod files;
pub mod interrupt;
pub mod progress;

/// Writes a line to stderr. Unlike `eprintln!` it does not panic when nobody reads there any more: a training outlives the
/// pager that its words went to.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
