//! The program for a clinic's computer, as it goes into a package.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use base::{
    Shown,
    interrupt::{self, Interrupted},
};

use super::{Needs, NotForAComputer};

/// Why there is no program for a computer.
#[derive(Debug, thiserror::Error)]
pub enum ComputerProgramError {
    /// The program cannot be read.
    #[error("cannot read the program {path}: name a file that you may read with --program", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No package can be made of it.
    #[error(transparent)]
    Unfit(#[from] NotForAComputer),
    /// There is no place for what is made on the way.
    #[error("cannot make a temporary folder: make room, or name another place with TMPDIR")]
    Temporary(#[source] io::Error),
    /// The program that strips is not there or may not be started.
    #[error(
        "{tool} cannot be started: install binutils, for another processor binutils-aarch64-linux-gnu or \
             binutils-x86-64-linux-gnu"
    )]
    Strip {
        /// The program that strips.
        tool: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It fails.
    #[error("{tool} fails on {path}: {said}; name a program that is not damaged with --program", path = Shown(path.display()))]
    StripFails {
        /// The program that strips.
        tool: &'static str,
        /// The file.
        path: PathBuf,
        /// What it says.
        said: String,
    },
    /// Ctrl-C.
    #[error("{0}")]
    Stopped(#[from] Interrupted),
}

/// A program for a computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForComputer {
    /// It, without what only a debugger reads.
    pub bytes: Vec<u8>,
    /// What it needs of the computer.
    pub needs: Needs,
}

/// The program in a file, without what only a debugger reads.
///
/// # Errors
/// [`ComputerProgramError`]: it cannot be read, no package can be made of it, or Ctrl-C was pressed.
pub fn for_computer(path: &Path) -> Result<ForComputer, ComputerProgramError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ComputerProgramError::Read { path: path.to_owned(), source })
    };
    let needs = Needs::of(&read(path)?)?;
    let folder = tempfile::tempdir().map_err(ComputerProgramError::Temporary)?;
    let out = folder.path().join("pumua");
    let tool = needs.architecture.strip();
    let output = Command::new(tool).arg("-o").arg(&out).arg(path).output();
    let output = output.map_err(|source| ComputerProgramError::Strip { tool, source })?;
    if !interrupt::ended(output.status)? {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ComputerProgramError::StripFails { tool, path: path.to_owned(), said });
    }
    Ok(ForComputer { bytes: read(&out)?, needs })
}
