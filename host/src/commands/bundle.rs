//! `pumua bundle`: packs the box's own program, for boxes that run already.

use std::{
    io::{self, Write},
    path::Path,
};

use base::{
    Shown,
    files::{OutputFile, is_written_through},
    interrupt,
};
use serde_json::json;
use setup::image::{Bundled, bundle};

use super::{program, quoted, started_as};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nobody has signed the bundle yet: `pumua sign` does that, and boxes in clinics take no other. The same inputs make the \
    same bundle, to the bit."
)]
pub struct Options {
    /// Bundle to write: program, drivers and kernel of a box with two slots
    #[arg(long, value_name = "FILE", default_value = "runs/box.pumua")]
    out: OutputFile,
    #[command(flatten)]
    made_of: program::MadeOf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Makes a bundle.
pub fn run(options: Options) -> Result<Exit, Failure> {
    interrupt::listen();
    let Options { out, made_of: program::MadeOf { program, packages }, json } = options;
    let read = Vec::from_iter(program.as_deref());
    super::check_packed(&read, |_| false, &out, &[])?;
    super::check_outputs(&read, &[], &Vec::from_iter(packages.as_deref()))?;
    let packages = program::packages(packages.as_deref())?;
    let program = program::ready(program)?;
    base::say!("making {}", Shown(out.display()));
    let bundled = bundle(&program.software(&packages), &out)?;
    base::say!("Pumua is a research aid, not a medical device.");
    let text = if json { output::json(&to_json(&bundled, &out)) } else { to_text(&bundled, &out) };
    writeln!(io::stdout(), "{text}")?;
    Ok(Exit::Done)
}

fn to_text(bundled: &Bundled, out: &Path) -> String {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let (written, content) = (megabytes(bundled.written), megabytes(bundled.content));
    let mut lines = vec![
        format!("bundle   {} ({written}; {content} of files)", Shown(out.display())),
        format!("sha256   {} (of the file)", bundled.file_sha256),
        format!("payload  {} (what is signed)", bundled.sha256),
        format!("version  {}", bundled.slot.version),
        format!("kernel   {}", bundled.slot.kernel),
    ];
    if !is_written_through(out) {
        lines.push(format!("next     {} sign {} --key KEY --counter N", started_as(), quoted(out)));
    }
    lines.join("\n")
}

fn to_json(bundled: &Bundled, out: &Path) -> serde_json::Value {
    json!({
        "bundle": out.display().to_string(), "bytes": bundled.written, "content": bundled.content, "sha256": bundled.sha256,
        "file_sha256": bundled.file_sha256, "slot": bundled.slot,
    })
}
