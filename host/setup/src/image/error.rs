//! Why an image cannot be made.

use std::{io, path::PathBuf};

use base::{Shown, interrupt::Interrupted};

use crate::program::NotForTheBox;

/// Why an image cannot be made, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// a file cannot be read
    #[error("cannot read {path}: {source}; check the name and the permissions", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the image cannot be written
    #[error("cannot write {path}: {source}; name another with --out, or make room", path = Shown(path.display()))]
    Write {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// a package cannot be fetched
    #[error(
        "cannot fetch {file}; fetch it yourself from one of these addresses into {folder}, and run this again:{reasons}",
        folder = Shown(folder.display())
    )]
    Fetch {
        /// The package.
        file: String,
        /// Where it is to be put.
        folder: PathBuf,
        /// A line for each address, with what went wrong there.
        reasons: String,
    },
    /// the folder of the packages cannot be written
    #[error("cannot keep packages in {folder}: {source}; name another folder with --packages, or make room", folder = Shown(folder.display()))]
    Keep {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// there is nowhere to keep the packages
    #[error("there is no home folder to keep the packages in: name one with --packages")]
    NoHome,
    /// the folder that the image is to be in cannot be made
    #[error("cannot make the folder {folder}: {source}; name another with --out", folder = Shown(folder.display()))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Ctrl-C
    #[error("stopped by Ctrl-C; nothing has been written")]
    Stopped(#[from] Interrupted),
    /// a package is not the pinned one
    #[error("{path} is not the package that this version is made with (its SHA-256 is not {sha256}): delete it", path = Shown(path.display()))]
    WrongPackage {
        /// The file.
        path: PathBuf,
        /// The digest that it should have.
        sha256: String,
    },
    /// another program fails
    #[error("`{program}` fails: {reason}; {remedy}")]
    Tool {
        /// The program.
        program: String,
        /// What it says.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// a module is not in the kernel's package
    #[error("the kernel's package has no module {0}: correct the list of drivers for this kernel")]
    NoModule(String),
    /// the program is not one for the box
    #[error(transparent)]
    Program(#[from] NotForTheBox),
    /// the boot files are not complete
    #[error("the boot files in {folder} serve no board: {missing}", folder = Shown(folder.display()))]
    Firmware {
        /// The folder.
        folder: PathBuf,
        /// What is missing for which board.
        missing: String,
    },
    /// a boot file is not what its name says
    #[error("{path} is not a boot file of a Raspberry Pi ({reason}): take it from the official firmware", path = Shown(path.display()))]
    FirmwareFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// the boot files are none that are known
    #[error(
        "the boot files in {folder} ({files}) are not those of one release that this version knows ({known}): take them from there; or, \
         if you trust where yours come from, add --allow-other-firmware",
        folder = Shown(folder.display())
    )]
    OtherFirmware {
        /// The folder.
        folder: PathBuf,
        /// The files of the board.
        files: String,
        /// The releases.
        known: String,
    },
    /// a partition that is booted from cannot hold everything
    #[error("a partition to boot from cannot be filled: {0}; use a smaller program or model")]
    Boot(io::Error),
    /// a bundle is larger than boxes take
    #[error("the bundle has {bytes} bytes, and a box takes at most {most}: use a smaller program")]
    LargeBundle {
        /// Its bytes.
        bytes: u64,
        /// Most that a box takes.
        most: u64,
    },
    /// the archive of the initial file system cannot be made
    #[error("the initial file system cannot be made: {0}; use a smaller program")]
    Initramfs(io::Error),
    /// the manifest cannot be written
    #[error("the manifest cannot be made: {0}; report this")]
    Manifest(String),
}
