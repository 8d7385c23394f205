//! Debian packages: that of the box, for a Raspberry Pi OS that runs already, and that of the [program of a clinic's
//! computer](pack_for_computer).

mod computer;
#[cfg(test)]
mod tests;

pub use self::computer::{Documents, pack_for_computer};

use std::{
    borrow::Cow,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use base::{
    Shown,
    files::Draft,
    interrupt::{self, Interrupted},
};
use shared::{appliance::card::INSTALLED_SETTINGS, verdict::Digest};
use tempfile::TempDir;

use crate::{
    checksum,
    settings::{SettingsError, settings_for_raspberry_pi_os},
};

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
/// The time that all files of the box have, in seconds since 1970: the same inputs make the same package.
const TIME: &str = "1";
/// What dpkg itself reads of a package, not what is installed, is in this folder.
const CONTROL_FOLDER: &str = "DEBIAN/";

/// A file of a package: its name from the root on, without a `/` before it, its mode, and what is in it.
type Entry<'a> = (Cow<'a, str>, u32, Cow<'a, [u8]>);

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The settings of the box cannot be written.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no place for the files of the package.
    #[error("cannot make a temporary folder: make room, or name another place with TMPDIR")]
    Temporary(#[source] io::Error),
    /// A file of the package cannot be written to that place.
    #[error("cannot write {name} of the package: make room in the folder for temporary files")]
    Part {
        /// Its name within the package.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The folder that the package is to be in cannot be made.
    #[error("cannot make the folder {folder}: {source}; name another with --out", folder = Shown(folder.display()))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The package cannot be written.
    #[error("cannot write {path}: name another with --out, or make room", path = Shown(path.display()))]
    Write {
        /// The package.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program that packs is not there or may not be started.
    #[error("dpkg-deb cannot be started: install dpkg")]
    Start(#[source] io::Error),
    /// It fails.
    #[error("dpkg-deb fails: {said}; see that {path} can be written", path = Shown(path.display()))]
    Pack {
        /// What it says.
        said: String,
        /// The package.
        path: PathBuf,
    },
    /// The program that sums up the files is not there or may not be started.
    #[error("md5sum cannot be started: install coreutils")]
    StartSums(#[source] io::Error),
    /// It fails.
    #[error("md5sum fails: {0}; run this again")]
    Sums(String),
    /// Ctrl-C.
    #[error("{0}")]
    Stopped(#[from] Interrupted),
}

/// A package that has been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
    /// The file that says so; none beside a device or a pipe.
    pub checksum: Option<PathBuf>,
}

/// Makes the package with a program as [`crate::program::stripped`] gives it, and writes it to `out`, and its digest [beside
/// it](checksum::beside); a folder that is missing is made. The same program makes the same package. A run that is stopped leaves no file.
///
/// # Errors
/// [`PackageError`]: something cannot be written, dpkg-deb fails, or Ctrl-C was pressed.
pub fn pack(program: &[u8], out: &Path) -> Result<Packed, PackageError> {
    let settings = settings_for_raspberry_pi_os()?;
    let control = CONTROL.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let conffiles = format!("{INSTALLED_SETTINGS}\n");
    let files: [(&str, u32, &[u8]); 9] = [
        ("DEBIAN/control", 0o644, control.as_bytes()),
        ("DEBIAN/conffiles", 0o644, conffiles.as_bytes()),
        ("DEBIAN/postinst", 0o755, include_bytes!("../../package/postinst")),
        ("DEBIAN/prerm", 0o755, include_bytes!("../../package/prerm")),
        ("DEBIAN/postrm", 0o755, include_bytes!("../../package/postrm")),
        ("usr/bin/pumua-box", 0o755, program),
        ("usr/lib/systemd/system/pumua-box.service", 0o644, include_bytes!("../../package/pumua-box.service")),
        (INSTALLED_SETTINGS.trim_start_matches('/'), 0o644, settings.as_bytes()),
        ("usr/share/doc/pumua-box/copyright", 0o644, include_bytes!("../../../../LICENSE-MIT")),
    ];
    let files = files.map(|(name, mode, bytes)| -> Entry<'_> { (name.into(), mode, bytes.into()) });
    let root = laid_out(&files)?;
    build(root.path(), TIME, out)
}

/// A folder with these files, as they are to be installed.
fn laid_out(files: &[Entry<'_>]) -> Result<TempDir, PackageError> {
    let root = tempfile::tempdir().map_err(PackageError::Temporary)?;
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).map_err(PackageError::Temporary)?;
    for (name, mode, bytes) in files {
        let failed = |source| PackageError::Part { name: name.to_string(), source };
        write(&root.path().join(&**name), *mode, bytes).map_err(failed)?;
    }
    Ok(root)
}

/// Adds the digests of these files, with which dpkg finds those that have changed since they were installed.
fn sum_up(root: &Path, names: &[&str]) -> Result<(), PackageError> {
    let mut names = names.to_vec();
    names.sort_unstable();
    let output = Command::new("md5sum").args(names).current_dir(root).output().map_err(PackageError::StartSums)?;
    if !interrupt::ended(output.status)? {
        return Err(PackageError::Sums(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let name = format!("{CONTROL_FOLDER}md5sums");
    write(&root.join(&name), 0o644, &output.stdout).map_err(|source| PackageError::Part { name, source })
}

/// Packs a folder. All files are of this time at the latest.
fn build(root: &Path, time: &str, out: &Path) -> Result<Packed, PackageError> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|source| PackageError::Folder { folder: folder.to_owned(), source })?;
    let failed = |source| PackageError::Write { path: out.to_owned(), source };
    let draft = Draft::begin(out).map_err(failed)?;
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "-z6", "--build"]).arg(root).arg(draft.path());
    // With more than one thread the compressed bytes would depend on their number.
    command.env("SOURCE_DATE_EPOCH", time).env("DPKG_DEB_THREADS_MAX", "1");
    let output = command.output().map_err(PackageError::Start)?;
    if !interrupt::ended(output.status)? {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PackageError::Pack { said, path: out.to_owned() });
    }
    // Packed by another program, so read again. Some megabytes.
    let bytes = fs::read(draft.path()).map_err(failed)?;
    let digest = Digest::of(&bytes);
    draft.finish().map_err(failed)?;
    let checksum =
        checksum::write(out, &digest).map_err(|source| PackageError::Write { path: checksum::beside(out), source })?;
    Ok(Packed { bytes: bytes.len() as u64, digest, checksum })
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    for folder in path.ancestors().skip(1).filter(|folder| !folder.exists()).collect::<Vec<_>>().into_iter().rev() {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}
