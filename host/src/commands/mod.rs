//! The commands, one module each: its options (clap) and `run`.

pub mod augment;
pub mod evaluate;
pub mod flash;
pub mod image;
pub mod info;
pub mod machines;
mod model_for_box;
mod open;
pub mod package;
mod pairing;
pub mod points;
pub mod predict;
mod program;
pub mod quantize;
mod refusals;
pub mod results;
pub mod robustness;
pub mod screenshot;
pub mod send;
mod sites;
pub mod study;
mod subset;
pub mod synthetic;
pub mod train;
pub mod update;
pub mod view;

use std::path::{Path, PathBuf};

use anyhow::Context;
use base::{
    Shown,
    files::{self, OutputFile},
};

use crate::exit::{Exit, Failure, WithExit};

/// Where the data are, from the root on, so that they are found again from another folder.
fn absolute(data: &Path) -> anyhow::Result<PathBuf> {
    data.canonicalize().with_context(|| {
        format!("cannot read {}: name a folder or a ZIP archive that exists and may be read", Shown(data.display()))
    })
}

/// Checks what a command writes, files and folders, against what it reads, before anything is done.
fn check_outputs(inputs: &[&Path], files: &[&Path], folders: &[&Path]) -> Result<(), Failure> {
    files::check_outputs(inputs, files, folders).exit(Exit::Usage)
}

/// The same of what is packed into one file, and of what comes to lie beside it. Its folder is made.
fn check_packed(inputs: &[&Path], out: &OutputFile, beside: &[PathBuf]) -> Result<(), Failure> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("cannot make the folder {}: name a file in another one", Shown(folder.display()))
        })?;
    }
    let beside: &[PathBuf] = if files::is_written_through(out) { &[] } else { beside };
    let written: Vec<&Path> = std::iter::once(&**out).chain(beside.iter().map(PathBuf::as_path)).collect();
    check_outputs(inputs, &written, &[])
}

/// This program as it can be started again, for messages that name the next command: `pumua` alone is found by few shells, and
/// is another program on many systems.
fn started_as() -> String {
    let typed = std::env::args_os().next().map(PathBuf::from).filter(|name| name.components().count() > 1);
    let found = typed.or_else(|| std::env::current_exe().ok());
    found.map_or_else(|| "pumua".to_owned(), |path| Shown(path.display()).to_string())
}
