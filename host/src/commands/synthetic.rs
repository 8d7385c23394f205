//! `pumua synthetic`: draws synthetic radiographs.

use std::io::{self, Write};

use anyhow::anyhow;
use base::{Shown, files::OutputFolder};
use data::synthetic;

use crate::exit::{Exit, Failure};

/// Options of `pumua synthetic`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folder to write to; NORMAL/ and PNEUMONIA/ are made in it and must not hold anything yet
    folder: OutputFolder,
    /// How many, half of them with pneumonia
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    count: u64,
    /// Seed of the drawings; `pumua train` draws those that it learns from by its own seed, 1 by default
    #[arg(long, default_value_t = 2)]
    seed: u64,
}

/// Draws synthetic radiographs into a folder.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { folder, count, seed } = &options;
    super::check_outputs(&[], &[], &[folder])?;
    synthetic::write(folder, *count, *seed).map_err(|error| {
        let folder = Shown(folder.display());
        if error.kind() == io::ErrorKind::AlreadyExists {
            return anyhow!("{folder} holds files in NORMAL/ or PNEUMONIA/: name a new folder");
        }
        let words = format!("cannot write radiographs to {folder}: name a folder that can be written");
        anyhow::Error::from(error).context(words)
    })?;
    writeln!(io::stdout(), "{count} synthetic radiographs in {}", Shown(folder.display()))?;
    Ok(Exit::Done)
}
