//! `pumua synthetic`: draws synthetic radiographs.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use base::Shown;
use data::synthetic;

use crate::exit::{Exit, Failure};

/// Options of `pumua synthetic`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folder to write to; NORMAL/ and PNEUMONIA/ are made in it
    folder: PathBuf,
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
    synthetic::write(folder, *count, *seed).with_context(|| {
        format!("cannot write radiographs to {}: name a folder that can be written", Shown(folder.display()))
    })?;
    writeln!(io::stdout(), "{count} synthetic radiographs in {}", Shown(folder.display()))?;
    Ok(Exit::Done)
}
