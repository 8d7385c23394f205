//! The program of the box, as the options name it.

use std::path::PathBuf;

use setup::program::{compiled, stripped};

use crate::exit::Failure;

/// The program that is named, or else compiled, without what only a debugger reads.
pub(super) fn ready(named: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    let program = match named {
        Some(program) => program,
        None => {
            base::say!("compiling the program of the box; the first time this takes several minutes");
            compiled()?
        }
    };
    Ok(stripped(&program)?)
}
