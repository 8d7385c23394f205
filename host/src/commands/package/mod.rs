//! `pumua package`: makes a Debian package of the box, for a Raspberry Pi OS that runs already, or of this program, for the
//! computer of a clinic.

mod computer;
mod documents;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base::{Shown, files::OutputFile, interrupt};
use serde_json::json;
use setup::{
    bill, checksum,
    package::{Packed, pack},
};

use super::program;
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua package`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Package this program for the computer of a clinic, instead of the box: with the page as a service, an entry in the
    /// menu, manual pages and completions
    #[arg(long)]
    computer: bool,
    /// Package to write [default: runs/pumua-box.deb; with --computer runs/pumua_VERSION_ARCHITECTURE.deb]
    #[arg(long, value_name = "FILE")]
    out: Option<OutputFile>,
    /// Program of the box, a static one for aarch64 [default: it is compiled]; with --computer that of the computer, for
    /// amd64 or arm64 [default: the one that runs]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A package that has been made.
struct Made {
    out: OutputFile,
    packed: Packed,
    bill: Option<PathBuf>,
    /// What to do with it: words that end with what stands before its name.
    next: &'static str,
}

/// Makes a Debian package. `whole` is the command line of this program, for its manual pages.
pub fn run(options: Options, whole: clap::Command) -> Result<Exit, Failure> {
    interrupt::listen();
    let Options { computer, out, program, json } = options;
    let made = if computer { computer::make(out, program, whole)? } else { of_box(out, program)? };
    base::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if json {
        let (path, digest) = (made.out.to_string_lossy(), made.packed.digest.to_string());
        let value = json!({"package": path, "bytes": made.packed.bytes, "sha256": digest});
        writeln!(out, "{}", output::json(&value))?;
    } else {
        writeln!(out, "{}", to_text(&made))?;
    }
    Ok(Exit::Done)
}

/// Makes that of the box.
fn of_box(out: Option<OutputFile>, program: Option<PathBuf>) -> Result<Made, Failure> {
    let out = out.unwrap_or_else(|| OsString::from("runs/pumua-box.deb").into());
    check(program.as_deref(), &out)?;
    let program = program::ready(program)?;
    let packed = pack(&program.bytes, &out)?;
    let bill = bill::of_package(&packed.digest, &program.bytes, program.crates.as_deref());
    let bill = bill::write(&out, &bill)?;
    // Not apt: it takes a newer build of the same version for what is installed already. The package depends on nothing.
    Ok(Made { out, packed, bill, next: "copy it to the Raspberry Pi and run there: sudo dpkg --install " })
}

/// Checks what is written against the program that is read.
fn check(program: Option<&Path>, out: &OutputFile) -> Result<(), Failure> {
    let beside = [checksum::beside(out), bill::beside(out)];
    super::check_packed(&Vec::from_iter(program), |_| true, out, &beside)
}

/// Where the package went on through a pipe or a device, nothing lies beside it, and there is no file to copy.
fn to_text(Made { out, packed, bill, next }: &Made) -> String {
    let also =
        packed.checksum.as_ref().map_or_else(String::new, |file| format!(" (also in {})", Shown(file.display())));
    let mut lines = vec![
        format!("package  {} ({:.1} MB)", Shown(out.display()), packed.bytes as f64 / 1e6),
        format!("sha256   {}{also}", packed.digest),
    ];
    lines.extend(bill.as_ref().map(|bill| format!("contents {}", Shown(bill.display()))));
    if packed.checksum.is_some() {
        let name = Shown(Path::new(out.file_name().unwrap_or_default()).display());
        lines.push(format!("next     {next}{name}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use shared::verdict::Digest;

    use super::*;

    #[test]
    fn only_files_that_are_there_are_named() {
        let made = |out: &str, checksum, bill| {
            let packed = Packed { bytes: 1, digest: Digest::of(b""), checksum };
            Made { out: OsString::from(out).into(), packed, bill, next: "sudo dpkg --install " }
        };
        let out = Path::new("box.deb");
        let text = to_text(&made("box.deb", Some(checksum::beside(out)), Some(bill::beside(out))));
        for word in ["(also in box.deb.sha256)", "contents box.deb.cdx.json", "dpkg --install box.deb"] {
            assert!(text.contains(word), "{text}");
        }
        let text = to_text(&made("/dev/stdout", None, None));
        assert!(!["also in", "contents", "next"].iter().any(|word| text.contains(word)), "{text}");
    }
}
