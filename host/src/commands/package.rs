//! `pumua package`: makes a Debian package of the box, for a Raspberry Pi OS that runs already.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use base::{Shown, files::OutputFile, interrupt};
use serde_json::json;
use setup::{bill, checksum, package::pack};

use super::program;
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua package`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Package to write
    #[arg(long, value_name = "FILE", default_value = "runs/pumua-box.deb")]
    out: OutputFile,
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
    let beside = [checksum::beside(&options.out), bill::beside(&options.out)];
    super::check_packed(&Vec::from_iter(options.program.as_deref()), &options.out, &beside)?;
    let program = program::ready(options.program)?;
    let packed = pack(&program.bytes, &options.out)?;
    let bill = bill::of_package(&packed.digest, &program.bytes, program.crates.as_deref());
    let bill = bill::write(&options.out, &bill)?;
    let (path, digest) = (Shown(options.out.display()), packed.digest.to_string());
    base::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if options.json {
        let value = json!({"package": options.out.to_string_lossy(), "bytes": packed.bytes, "sha256": digest});
        writeln!(out, "{}", output::json(&value))?;
    } else {
        let name = Shown(Path::new(options.out.file_name().unwrap_or_default()).display());
        let sidecar = checksum::beside(&options.out);
        writeln!(
            out,
            "package  {path} ({:.1} MB)\nsha256   {digest} (also in {})",
            packed.bytes as f64 / 1e6,
            Shown(sidecar.display())
        )?;
        writeln!(out, "contents {}", Shown(bill.display()))?;
        // Not apt: it takes a newer build of the same version for what is installed already. The package depends on nothing.
        writeln!(out, "next     copy it to the Raspberry Pi and run there: sudo dpkg --install {name}")?;
    }
    Ok(Exit::Done)
}
