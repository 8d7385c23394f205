//! The program of the box, as the options name it, and what is in it.

use std::path::{Path, PathBuf};

use base::{files::OutputFolder, interrupt};
use setup::{
    bill::{Crate, crates},
    image::{Packages, Software},
    program::{compiled, stripped},
};

use crate::exit::Failure;

/// Of what the program is made, and what it runs on.
#[derive(Debug, clap::Args)]
pub(super) struct MadeOf {
    /// Program of the box, a static one for aarch64 [default: it is compiled]
    #[arg(long, value_name = "FILE")]
    pub(super) program: Option<PathBuf>,
    /// Folder that keeps the packages of Debian [default: pumua in ~/.cache]
    #[arg(long, value_name = "DIR")]
    pub(super) packages: Option<OutputFolder>,
}

/// A program.
pub(super) struct Ready {
    /// It, without what only a debugger reads.
    pub(super) bytes: Vec<u8>,
    /// The crates in it; of one that was named nobody knows.
    pub(super) crates: Option<Vec<Crate>>,
}

impl Ready {
    /// What fills a slot of a card with it.
    pub(super) fn software<'a>(&'a self, packages: &'a Packages) -> Software<'a> {
        Software { program: &self.bytes, version: env!("CARGO_PKG_VERSION"), packages, stop: interrupt::asked }
    }
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

/// The packages of Debian, fetched into the folder that is named, or else the usual one.
pub(super) fn packages(folder: Option<&Path>) -> Result<Packages, Failure> {
    let folder = folder.map_or_else(Packages::usual_folder, |folder| Ok(folder.to_owned()))?;
    let packages = Packages::pinned(&folder);
    packages.fetch(interrupt::asked, |name, bytes| base::say!("fetching {name}, {} MB", bytes.div_ceil(1_000_000)))?;
    Ok(packages)
}
