//! `host package`: makes a Debian package of the box, for a Raspberry Pi OS that runs already.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use shared::verdict::Digest;

use super::{program, settings};
use crate::exit::{Exit, Failure};

/// Options of `host package`.
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

const CONTROL: &str = "\
Package: pumua-box
Version: VERSION
Architecture: arm64
Maintainer: The Pumua authors <https://github.com/pumua/pumua>
Section: science
Priority: optional
Description: clinic box that looks for pneumonia on chest X-rays of children
 Receives radiographs over a serial line or USB, runs a network in 8-bit
 integers and shows normal, pneumonia or refer to a clinician.
 .
 A research aid, not a medical device.
";
/// The time that all files have, in seconds since 1970: the same inputs make the same package.
const TIME: &str = "1";

/// Makes a Debian package of the box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let program = program::ready(options.program)?;
    if let Some(folder) = options.out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    pack(&program, &options.out)?;
    let bytes = fs::read(&options.out).with_context(|| format!("cannot read {}", options.out.display()))?;
    let (path, digest) = (options.out.display().to_string(), Digest::of(&bytes).to_string());
    crate::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", json!({"package": path, "bytes": bytes.len(), "sha256": digest}))?;
    } else {
        writeln!(out, "package  {path} ({:.1} MB)\nsha256   {digest}", bytes.len() as f64 / 1e6)?;
        writeln!(out, "next     copy it to the Raspberry Pi and run there: sudo apt install ./pumua-box.deb")?;
    }
    Ok(Exit::Done)
}

fn pack(program: &[u8], out: &Path) -> Result<()> {
    let root = tempfile::tempdir().context("cannot make a temporary folder")?;
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).context("cannot prepare the package")?;
    let settings = settings::of_raspberry_pi_os();
    let control = CONTROL.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let files: [(&str, u32, &[u8]); 8] = [
        ("DEBIAN/control", 0o644, control.as_bytes()),
        ("DEBIAN/conffiles", 0o644, b"/etc/pumua/box.toml\n"),
        ("DEBIAN/postinst", 0o755, include_bytes!("../../package/postinst")),
        ("DEBIAN/prerm", 0o755, include_bytes!("../../package/prerm")),
        ("usr/bin/pumua-box", 0o755, program),
        ("usr/lib/systemd/system/pumua-box.service", 0o644, include_bytes!("../../package/pumua-box.service")),
        ("etc/pumua/box.toml", 0o644, settings.as_bytes()),
        ("usr/share/doc/pumua-box/copyright", 0o644, include_bytes!("../../../LICENSE-MIT")),
    ];
    for (name, mode, bytes) in files {
        write(&root.path().join(name), mode, bytes).with_context(|| format!("cannot write {name} of the package"))?;
    }
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "--build"]).arg(root.path()).arg(out).env("SOURCE_DATE_EPOCH", TIME);
    let output = command.output().context("dpkg-deb cannot be started: install dpkg")?;
    if !output.status.success() {
        bail!(
            "dpkg-deb fails: {}; see that {} can be written",
            String::from_utf8_lossy(&output.stderr).trim(),
            out.display()
        );
    }
    Ok(())
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    for folder in path.ancestors().skip(1).filter(|folder| !folder.exists()).collect::<Vec<_>>().into_iter().rev() {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_make_the_same_package_and_all_files_are_in_it() {
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            let _ = writeln!(io::stderr(), "skipped: no dpkg-deb");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first.deb", "second.deb"].map(|name| {
            let path = folder.path().join(name);
            pack(b"program", &path).unwrap();
            path
        });
        assert!(fs::read(&first).unwrap() == fs::read(second).unwrap());
        let unpacked = folder.path().join("unpacked");
        let run = |arguments: &[&str], more: &Path| {
            let output = Command::new("dpkg-deb").args(arguments).arg(&first).arg(more).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        run(&["--raw-extract"], &unpacked);
        assert_eq!(fs::read(unpacked.join("usr/bin/pumua-box")).unwrap(), b"program");
        let settings: toml::Table = fs::read_to_string(unpacked.join("etc/pumua/box.toml")).unwrap().parse().unwrap();
        assert!(
            settings.contains_key("port") && !settings.contains_key("model"),
            "the program has its model in itself"
        );
        assert!(fs::read_to_string(unpacked.join("DEBIAN/control")).unwrap().contains("Architecture: arm64\n"));
    }
}
