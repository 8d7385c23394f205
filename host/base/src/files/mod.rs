//! Files: reading within limits; writing so that a reader, or anyone who comes after a crash, sees the old content or the
//! new one. Every file that this program writes is a [`Draft`]; what a command writes is [checked](check_outputs) against
//! what it reads before its work.

mod draft;
mod outputs;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::FileTypeExt},
    },
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

pub use draft::{
    Draft, is_written_through, remove_leftovers, write_atomically, write_new, write_new_unsynced, write_unsynced,
};
pub use outputs::{OutputError, OutputFile, OutputFolder, check_outputs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::{limits::MAX_IMAGE_BYTES, shown::Shown, text::decoded, verdict::Refusal};

/// Folders of one name that are tried.
const MAX_FOLDERS: u32 = 10_000;

/// Files that this program asks to hold open, where the system grants it; macOS grants no more.
const MANY_OPEN: u64 = 10_240;

/// How many of them are for what is not held: files that are read or written just now, sockets.
const KEPT_FREE: u64 = 256;

/// Why a radiograph's bytes are not there.
#[derive(Debug)]
pub enum ReadError {
    /// The file is larger than a radiograph may be.
    Refused(Refusal),
    /// The file cannot be read.
    Io(io::Error),
}

/// Something that comes in is named twice.
#[derive(Debug, thiserror::Error)]
#[error("{path} can be read once, and is named twice: name it once", path = Shown(.0.display()))]
pub struct PipedTwice(PathBuf);

/// Reads a radiograph of at most [`MAX_IMAGE_BYTES`]. Where it [`is_piped`], the bytes are those that come in.
pub fn read_radiograph(path: &Path) -> Result<Vec<u8>, ReadError> {
    let limit = u64::from(MAX_IMAGE_BYTES);
    // Not opened by its name, which does not do for a socket.
    let read = if descriptor(path) == Some(Path::new("0")) {
        read_start(io::stdin().lock(), limit + 1)
    } else {
        read_file(path, limit + 1, "let the program read its standard input, `-`")
    };
    let bytes = read.map_err(ReadError::Io)?;
    if bytes.len() as u64 > limit { Err(ReadError::Refused(Refusal::TooManyBytes)) } else { Ok(bytes) }
}

/// Reads at most the first `limit` bytes of a file: a device could continue for ever. To see whether a file is too large,
/// ask for one byte more than it may have. A named pipe is an error, because opening it waits for a writer; one that is open
/// already, as a shell makes of `<(…)`, is read.
pub fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_file(path, limit, "name a file")
}

/// The same. `instead`: what to do about a named pipe.
fn read_file(path: &Path, limit: u64, instead: &str) -> io::Result<Vec<u8>> {
    let is_open = path.as_os_str() != "-" && is_piped(path);
    if !is_open && fs::metadata(path)?.file_type().is_fifo() {
        let how = format!("it is a named pipe, which is not opened: {instead}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, how));
    }
    read_start(File::open(path)?, limit)
}

fn read_start(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the name of a radiograph stands for what is open already: the standard input, as `-` too, or what a shell makes of
/// `<(…)`.
pub fn is_piped(path: &Path) -> bool {
    descriptor(path).is_some()
}

/// Checks before a command's work that none of its radiographs [`is_piped`] twice, under whatever names: nothing would be left
/// for the second.
pub fn check_piped(radiographs: &[PathBuf]) -> Result<(), PipedTwice> {
    let mut seen = Vec::new();
    for path in radiographs {
        let Some(number) = descriptor(path) else { continue };
        if seen.contains(&number) {
            return Err(PipedTwice(path.clone()));
        }
        seen.push(number);
    }
    Ok(())
}

/// The number of what is open already, by a name that stands for it.
fn descriptor(path: &Path) -> Option<&Path> {
    if ["-", "/dev/stdin"].iter().any(|name| path.as_os_str() == *name) {
        return Some(Path::new("0"));
    }
    ["/dev/fd", "/proc/self/fd"].iter().find_map(|folder| path.strip_prefix(folder).ok())
}

/// Reads a text in UTF-8, as people write them, of at most `limit` bytes.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let bytes = read_up_to(path, limit + 1)?;
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if bytes.len() as u64 > limit {
        return Err(invalid(format!("it is larger than {} KiB", limit >> 10)));
    }
    decoded(bytes).map_err(|encoding| invalid(encoding.to_string()))
}

/// Makes a folder that is this call's alone: `path`, or where that is there already `path-2`, `path-3` and so on. Folders
/// above it are made, too.
pub fn new_folder(path: &Path) -> io::Result<PathBuf> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    for number in 1..=MAX_FOLDERS {
        let mut name = path.as_os_str().to_owned();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        match fs::create_dir(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| name.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The place below `folder` that a name from outside has, such as one of an archive. `None` if it leads out of the folder, or
/// is none.
pub fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let inside = name.components().all(|component| matches!(component, Component::Normal(_)));
    (inside && name.file_name().is_some()).then(|| folder.join(name))
}

/// A file that is locked against other programs as long as it lives; its content, if it has any, stays.
pub fn lock(path: &Path) -> Result<File, TryLockError> {
    let file = File::options().create(true).append(true).open(path).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Whether a file may stay open for long: there is still room for those that are not held. The limit is raised first, for many a system
/// lets a program begin with 1,024 and have many more.
pub fn may_stay_open(file: &File) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(MANY_OPEN, |most| most.min(MANY_OPEN));
    if limit.current.is_some_and(|current| current < most) {
        let raised = Rlimit { current: Some(most), ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    // The kernel gives each file the lowest number that is free.
    limit.current.is_none_or(|current| file.as_raw_fd() as u64 + KEPT_FREE < current)
}

/// Notes that a file has been used just now, for whoever looks for those that have not been for long.
pub fn touch(path: &Path) -> io::Result<()> {
    File::options().append(true).open(path)?.set_modified(SystemTime::now())
}

/// True if the file was written or [used](touch) longer ago; false where the clock does not say.
fn is_older(metadata: &fs::Metadata, age: Duration) -> bool {
    metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// A path or a name as text: bytes that are not UTF-8 are written `\xE9`. Two that differ are two texts, unless one is really
/// called so, with a backslash.
pub fn text_of(path: &Path) -> String {
    path.as_os_str().as_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
        text
    })
}

#[cfg(test)]
mod tests;
