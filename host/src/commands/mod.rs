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
use base::Shown;

/// Where the data are, from the root on, so that they are found again from another folder.
fn absolute(data: &Path) -> anyhow::Result<PathBuf> {
    data.canonicalize().with_context(|| {
        format!("cannot read {}: name a folder or a ZIP archive that exists and may be read", Shown(data.display()))
    })
}

/// This program as it can be started again, for messages that name the next command: `pumua` alone is found by few shells, and
/// is another program on many systems.
fn started_as() -> String {
    let typed = std::env::args_os().next().map(PathBuf::from).filter(|name| name.components().count() > 1);
    let found = typed.or_else(|| std::env::current_exe().ok());
    found.map_or_else(|| "pumua".to_owned(), |path| Shown(path.display()).to_string())
}
