//! The program of the box, as the options name it, and what is in it.

use std::path::PathBuf;

use setup::{
    bill::{Crate, crates},
    program::{compiled, stripped},
};

use crate::exit::Failure;

/// A program.
pub(super) struct Ready {
    /// It, without what only a debugger reads.
    pub(super) bytes: Vec<u8>,
    /// The crates in it; of one that was named nobody knows.
    pub(super) crates: Option<Vec<Crate>>,
}

/// The program that is named, or else compiled.
pub(super) fn ready(named: Option<PathBuf>) -> Result<Ready, Failure> {
    let (program, crates) = match named {
        Some(program) => (program, None),
        None => {
            base::say!("compiling the program of the box; the first time this takes several minutes");
            (compiled()?, Some(crates()?))
        }
    };
    Ok(Ready { bytes: stripped(&program)?, crates })
}
