//! The program of the box, compiled for its processor.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use base::interrupt;

use crate::exit::Failure;

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The workspace that this program comes from; its `.cargo/config.toml` says how the program of the box is linked.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const REMEDY: &str = "install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, and see that \
                      `rustup target add aarch64-unknown-linux-gnu` works; or name a program with --program";

/// The program that is named, or else compiled, without what only a debugger reads.
pub(super) fn ready(named: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    stripped(&named.map_or_else(compiled, Ok)?)
}

/// Compiles it and says where it is.
fn compiled() -> Result<PathBuf, Failure> {
    base::say!("compiling the program of the box; the first time this takes about ten minutes");
    // Where there is no rustup the target may be there all the same: cargo will tell.
    let _ = Command::new("rustup").args(["target", "add", TARGET]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    interrupt::check()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo)
        .args(["build", "--locked", "--package", "device", "--target", TARGET])
        // Other flags than those of a developer, so in a folder of its own: neither is compiled anew for the other.
        .args(["--target-dir", "target/image", "--config", &anonymous()])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(WORKSPACE)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started: name a program with --program")?;
    let stdout = child.stdout.take().context("the output of cargo is not to be had")?;
    let mut found = None;
    for line in BufReader::new(stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?).unwrap_or_default();
        if message["target"]["name"] == "pumua-box"
            && let Some(path) = message["executable"].as_str()
        {
            found = Some(PathBuf::from(path));
        }
    }
    match (interrupt::ended(child.wait()?)?, found) {
        (true, Some(path)) => Ok(path),
        _ => Err(anyhow!("the program of the box cannot be compiled: {REMEDY}").into()),
    }
}

/// A setting of cargo beside those of the workspace: what the program says when it panics names no folder of this computer.
fn anonymous() -> String {
    let home = std::env::home_dir().unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let workspace = Path::new(WORKSPACE).canonicalize().unwrap_or_else(|_| WORKSPACE.into());
    // Of several that fit, the last one counts.
    let folders = [(home, "home"), (cargo, "cargo"), (workspace, "pumua")];
    let flags = folders.into_iter().filter(|(folder, _)| !folder.as_os_str().is_empty());
    let flags: Vec<_> =
        flags.map(|(folder, name)| format!("--remap-path-prefix={}=/{name}", folder.display())).collect();
    format!("target.{TARGET}.rustflags={}", toml::Value::from(flags))
}

fn stripped(program: &Path) -> Result<Vec<u8>, Failure> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read the program {}", path.display()));
    setup::image::check_program(&read(program)?)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let out = folder.path().join("init");
    let strip = if cfg!(target_arch = "aarch64") { "strip" } else { "aarch64-linux-gnu-strip" };
    let status = Command::new(strip).arg("-o").arg(&out).arg(program).status();
    if !interrupt::ended(status.with_context(|| format!("{strip} cannot be started: {REMEDY}"))?)? {
        return Err(anyhow!("{strip} fails on {}: {REMEDY}", program.display()).into());
    }
    Ok(read(&out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_the_folders_of_this_computer_is_a_setting_of_cargo() {
        let settings: toml::Table = anonymous().parse().unwrap();
        let flags = settings["target"][TARGET]["rustflags"].as_array().unwrap();
        let workspace = Path::new(WORKSPACE).canonicalize().unwrap();
        let expected = format!("--remap-path-prefix={}=/pumua", workspace.display());
        assert_eq!(flags.last().unwrap().as_str(), Some(expected.as_str()));
    }
}
