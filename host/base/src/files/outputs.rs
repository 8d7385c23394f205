//! What a command is about to write, looked at before its work.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    ops::Deref,
    os::unix::fs::MetadataExt,
    path::{self, Path, PathBuf},
};

use shared::shown::Shown;

use super::draft::{folder_of, is_disk, resolved};

/// Why something is not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// it would replace what is read
    #[error("{output} would replace {input}, which is read: name another file to write", output = Shown(output.display()), input = Shown(input.display()))]
    IsInput {
        /// What was to be written.
        output: PathBuf,
        /// What it is.
        input: PathBuf,
    },
    /// it would replace a file in a folder that is read
    #[error("{output} is in {input}, which is read: name another file to write, or one that is not there yet", output = Shown(output.display()), input = Shown(input.display()))]
    InInput {
        /// What was to be written.
        output: PathBuf,
        /// The folder.
        input: PathBuf,
    },
    /// it would be among what is read
    #[error("the folder {output} is, or is in, what is read: name another one to write to", output = Shown(output.display()))]
    Folder {
        /// What was to be written to.
        output: PathBuf,
    },
    /// two of them are one file
    #[error("{output} and {other} are the same file: give each a name of its own", output = Shown(output.display()), other = Shown(other.display()))]
    Twice {
        /// One.
        output: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// there is nowhere to write it
    #[error("there is no folder {folder} for {output}: make it, or name a file in a folder that is there", output = Shown(output.display()), folder = Shown(folder.display()))]
    NoFolder {
        /// What was to be written.
        output: PathBuf,
        /// What is missing.
        folder: PathBuf,
    },
    /// a folder is there
    #[error("{output} is a folder: name a file in it", output = Shown(output.display()))]
    IsFolder {
        /// What was to be written.
        output: PathBuf,
    },
    /// a disk is there
    #[error("{output} is a disk: name a file, or write an image to the disk with `pumua flash`", output = Shown(output.display()))]
    IsDisk {
        /// What was to be written.
        output: PathBuf,
    },
    /// a file is where a folder should be
    #[error("{output} is not a folder: name one", output = Shown(output.display()))]
    NotAFolder {
        /// What was to be written to.
        output: PathBuf,
    },
}

/// A file that a command writes, as an option names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile(PathBuf);

/// A folder that a command writes files to, as an option names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFolder(PathBuf);

macro_rules! paths {
    ($($output:ident),*) => {$(
        impl From<OsString> for $output {
            fn from(path: OsString) -> Self {
                Self(path.into())
            }
        }

        impl Deref for $output {
            type Target = Path;

            fn deref(&self) -> &Path {
                &self.0
            }
        }
    )*};
}

paths!(OutputFile, OutputFolder);

/// Which file something is, whatever it is called.
#[derive(PartialEq, Eq)]
enum Identity {
    /// Device and number of a file that is there.
    There(u64, u64),
    /// One that is not there: those of its folder, and its name in it.
    Missing(u64, u64, OsString),
}

impl Identity {
    /// `None` for what is no file, and can be read and written at once, such as a terminal.
    fn of(path: &Path) -> Option<Self> {
        let number = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        if let Ok(metadata) = fs::metadata(path) {
            let (device, number) = number(&metadata);
            return (metadata.is_file() || metadata.is_dir()).then_some(Self::There(device, number));
        }
        let place = resolved(path).ok()?;
        let (device, number) = number(&fs::metadata(folder_of(&place)).ok()?);
        Some(Self::Missing(device, number, place.file_name()?.to_owned()))
    }
}

/// Checks before its work that what a command writes, files and folders, neither replaces what it reads nor each other, and
/// that there is a place for it. Files are told apart by what they are, not by what they are called. Of folders among
/// `inputs`, those files are read whose path below the folder `reads` tells: another one, such as an earlier output, may be
/// replaced. A folder to write to lies in none that is read, because what is written there would be read the next time; one
/// that is not there will be made.
pub fn check_outputs(
    inputs: &[&Path],
    reads: fn(&Path) -> bool,
    files: &[&Path],
    folders: &[&Path],
) -> Result<(), OutputError> {
    for (number, &output) in files.iter().enumerate() {
        let owned = || output.to_owned();
        if output.is_dir() {
            return Err(OutputError::IsFolder { output: owned() });
        }
        if is_disk(output) {
            return Err(OutputError::IsDisk { output: owned() });
        }
        // A link to a file that is not there yet leads to the folder of that one.
        let place = resolved(output).unwrap_or_else(|_| owned());
        let folder = folder_of(&place);
        if !folder.is_dir() {
            return Err(OutputError::NoFolder { output: owned(), folder: folder.to_owned() });
        }
        let Some(identity) = Identity::of(output) else { continue };
        let here = output.canonicalize().ok();
        for &input in inputs {
            if Identity::of(input).as_ref() == Some(&identity) {
                return Err(OutputError::IsInput { output: owned(), input: input.to_owned() });
            }
            let (Some(here), Ok(folder)) = (&here, input.canonicalize()) else { continue };
            if folder.is_dir() && here.strip_prefix(&folder).is_ok_and(reads) {
                return Err(OutputError::InInput { output: owned(), input: input.to_owned() });
            }
        }
        if let Some(&other) = files[..number].iter().find(|other| Identity::of(other).as_ref() == Some(&identity)) {
            return Err(OutputError::Twice { output: owned(), other: other.to_owned() });
        }
    }
    for &output in folders {
        if output.exists() && !output.is_dir() {
            return Err(OutputError::NotAFolder { output: output.to_owned() });
        }
        let identity = Identity::of(output);
        let is_input = |input: &&Path| identity.is_some() && Identity::of(input) == identity;
        if inputs.iter().any(is_input) || lies_in_any(output, inputs) {
            return Err(OutputError::Folder { output: output.to_owned() });
        }
    }
    Ok(())
}

/// True for a folder that is, or will be, in one of others.
fn lies_in_any(folder: &Path, others: &[&Path]) -> bool {
    let there = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(there) = there.ancestors().find_map(|folder| folder.canonicalize().ok()) else { return false };
    others.iter().any(|other| other.canonicalize().is_ok_and(|other| there.starts_with(other)))
}
