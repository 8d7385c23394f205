//! `pumua package`: makes a Debian package of the box, for a Raspberry Pi OS that runs already.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use base::interrupt;
use serde_json::json;
use setup::package::pack;
use shared::verdict::Digest;

use super::program;
use crate::exit::{Exit, Failure};

/// Options of `pumua package`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Package to write
    #[arg(long, value_name = "FILE", default_value = "runs/pumua-box.deb")]
    out: PathBuf,
    /// Program of the box, a static one for aarch64 [default: it is compiled]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Makes a Debian package of the box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    interrupt::listen();
    let program = program::ready(options.program)?;
    pack(&program, &options.out)?;
    let bytes = fs::read(&options.out).with_context(|| format!("cannot read {}", options.out.display()))?;
    let (path, digest) = (options.out.display().to_string(), Digest::of(&bytes).to_string());
    base::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", json!({"package": path, "bytes": bytes.len(), "sha256": digest}))?;
    } else {
        let name = options.out.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "package  {path} ({:.1} MB)\nsha256   {digest}", bytes.len() as f64 / 1e6)?;
        // Not apt: it takes a newer build of the same version for what is installed already. The package depends on nothing.
        writeln!(out, "next     copy it to the Raspberry Pi and run there: sudo dpkg --install {name}")?;
    }
    Ok(Exit::Done)
}
