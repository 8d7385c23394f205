//! The program of the box: compiling it for its processor, and whether it can be the first program there. That of a clinic's
//! computer: which packages it needs there.

mod computer;
mod elf;
mod needs;

pub use self::{
    computer::{ComputerProgramError, ForComputer, for_computer},
    elf::{NotForTheBox, check},
    needs::{Architecture, Needs, NotForAComputer},
};

use std::{
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base::{
    Shown,
    interrupt::{self, Interrupted},
};

/// The crate of the program.
pub(crate) const PACKAGE: &str = "device";
/// What it is compiled for.
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The workspace that this program comes from; its `.cargo/config.toml` says how the program of the box is linked.
pub(crate) const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const REMEDY: &str = "install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, and see that \
                      `rustup target add aarch64-unknown-linux-gnu` works; or name a program with --program";

/// Why there is no program for a box.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// `cargo` is not there or may not be started.
    #[error("cargo cannot be started: name a program with --program")]
    Cargo(#[source] io::Error),
    /// What cargo says cannot be followed to its end.
    #[error("the output of cargo cannot be read: run this again, or name a program with --program")]
    Output(#[source] io::Error),
    /// cargo fails, and has said why.
    #[error("the program of the box cannot be compiled: {REMEDY}")]
    Compile,
    /// The program cannot be read.
    #[error("cannot read the program {path}: {source}; name a file that you may read", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It would not run on the box.
    #[error(transparent)]
    Unfit(#[from] NotForTheBox),
    /// There is no place for what is made on the way.
    #[error("cannot make a temporary folder: make room, or name another place with TMPDIR")]
    Temporary(#[source] io::Error),
    /// The program that strips is not there or may not be started.
    #[error("{STRIP} cannot be started: {REMEDY}")]
    Strip(#[source] io::Error),
    /// It fails, and has said why.
    #[error("{STRIP} fails on {program}: {REMEDY}", program = Shown(program.display()))]
    StripFails {
        /// The program of the box.
        program: PathBuf,
    },
    /// Ctrl-C.
    #[error("{0}")]
    Stopped(#[from] Interrupted),
}

/// Takes away what only a debugger reads.
const STRIP: &str = if cfg!(target_arch = "aarch64") { "strip" } else { "aarch64-linux-gnu-strip" };

/// Compiles it and says where it is. What the compiler says goes to stderr.
///
/// # Errors
/// [`ProgramError`]: it cannot be compiled, or Ctrl-C was pressed.
pub fn compiled() -> Result<PathBuf, ProgramError> {
    // Without rustup the target may still be installed: cargo will report it if not.
    let _ = Command::new("rustup").args(["target", "add", TARGET]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    interrupt::check()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo)
        .args(["build", "--locked", "--release", "--package", PACKAGE, "--target", TARGET])
        // Other flags than those of a developer, so in a folder of its own: neither is compiled again for the other.
        .args(["--target-dir", "target/image", "--config", &anonymous()])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(WORKSPACE)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(ProgramError::Cargo)?;
    let stdout = child.stdout.take().ok_or_else(|| ProgramError::Output(io::ErrorKind::NotFound.into()))?;
    let mut found = None;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(ProgramError::Output)?;
        let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if message["target"]["name"] == "pumua-box"
            && let Some(path) = message["executable"].as_str()
        {
            found = Some(PathBuf::from(path));
        }
    }
    let status = child.wait().map_err(ProgramError::Output)?;
    match (interrupt::ended(status)?, found) {
        (true, Some(path)) => Ok(path),
        _ => Err(ProgramError::Compile),
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

/// The program in a file, if it is one for the box, without what only a debugger reads.
///
/// # Errors
/// [`ProgramError`]: it cannot be read, is not one for the box, or Ctrl-C was pressed.
pub fn stripped(program: &Path) -> Result<Vec<u8>, ProgramError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| ProgramError::Read { path: path.to_owned(), source });
    check(&read(program)?)?;
    let folder = tempfile::tempdir().map_err(ProgramError::Temporary)?;
    let out = folder.path().join("init");
    let status = Command::new(STRIP).arg("-o").arg(&out).arg(program).status();
    if !interrupt::ended(status.map_err(ProgramError::Strip)?)? {
        return Err(ProgramError::StripFails { program: program.to_owned() });
    }
    read(&out)
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
