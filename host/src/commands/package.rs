//! `pumua package`: makes a Debian package of the box, for a Raspberry Pi OS that runs already.

use std::{
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
    super::check_packed(&Vec::from_iter(options.program.as_deref()), |_| true, &options.out, &beside)?;
    let program = program::ready(options.program)?;
    let packed = pack(&program.bytes, &options.out)?;
    let bill = bill::of_package(&packed.digest, &program.bytes, program.crates.as_deref());
    let bill = bill::write(&options.out, &bill)?;
    base::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if options.json {
        let (path, digest) = (options.out.to_string_lossy(), packed.digest.to_string());
        let value = json!({"package": path, "bytes": packed.bytes, "sha256": digest});
        writeln!(out, "{}", output::json(&value))?;
    } else {
        writeln!(out, "{}", to_text(&packed, &options.out, bill.as_deref()))?;
    }
    Ok(Exit::Done)
}

/// Where the package went on through a pipe or a device, nothing lies beside it, and there is no file to copy.
fn to_text(packed: &Packed, out: &Path, bill: Option<&Path>) -> String {
    let also =
        packed.checksum.as_ref().map_or_else(String::new, |file| format!(" (also in {})", Shown(file.display())));
    let mut lines = vec![
        format!("package  {} ({:.1} MB)", Shown(out.display()), packed.bytes as f64 / 1e6),
        format!("sha256   {}{also}", packed.digest),
    ];
    lines.extend(bill.map(|bill| format!("contents {}", Shown(bill.display()))));
    if packed.checksum.is_some() {
        let name = Shown(Path::new(out.file_name().unwrap_or_default()).display());
        // Not apt: it takes a newer build of the same version for what is installed already. The package depends on nothing.
        lines.push(format!("next     copy it to the Raspberry Pi and run there: sudo dpkg --install {name}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use shared::verdict::Digest;

    use super::*;

    #[test]
    fn only_files_that_are_there_are_named() {
        let packed = |checksum| Packed { bytes: 1, digest: Digest::of(b""), checksum };
        let out = Path::new("box.deb");
        let text = to_text(&packed(Some(checksum::beside(out))), out, Some(&bill::beside(out)));
        for word in ["(also in box.deb.sha256)", "contents box.deb.cdx.json", "dpkg --install box.deb"] {
            assert!(text.contains(word), "{text}");
        }
        let text = to_text(&packed(None), Path::new("/dev/stdout"), None);
        assert!(!["also in", "contents", "next"].iter().any(|word| text.contains(word)), "{text}");
    }
}
