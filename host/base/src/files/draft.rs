//! The one way to write a file.
//!
//! A draft is a temporary file beside the place that it is for. When it is finished it is synced and renamed, so that nobody
//! ever sees half of it, and two who write the same file do not mix. What is at that place decides the rest:
//!
//! - a symbolic link stays, and the file that it names is written;
//! - a file keeps its mode, and one that may not be written is not replaced;
//! - a character device, a pipe and what the shell has opened, such as `/dev/stdout`, are written through, as the bytes come;
//! - a disk is never written.
//!
//! What a program that was killed has left beside a file is removed when the next one is written there, after a day.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{self, Seek, SeekFrom, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::fs::{Access, FileType, access};
use tempfile::NamedTempFile;

use super::is_older;

/// How drafts are named until they are finished.
const PREFIX: &str = ".pumua-";
const SUFFIX: &str = ".part";

/// Nobody writes on a file for so long.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Links that are followed, as the kernel does.
const MAX_LINKS: u32 = 40;

/// Folders in which this program has removed what others have left.
static TIDIED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that is being written. One that is dropped unfinished leaves nothing.
///
/// What is [written](Write) to it goes on at once where the place takes bytes as they come. What is put into its
/// [file](Draft::file), or by another program at its [path](Draft::path), follows when it is finished.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    target: Target,
    synced: bool,
}

#[derive(Debug)]
enum Target {
    /// The file that is to be there, no link.
    File(PathBuf),
    /// What takes bytes as they come.
    Through(File),
}

impl Draft {
    /// Begins a file that is to be at `path`.
    ///
    /// # Errors
    /// There is a folder or a disk at that place, or it cannot be written.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let target = Target::of(path)?;
        let file = match &target {
            Target::File(path) => beside(path)?,
            Target::Through(_) => NamedTempFile::new()?,
        };
        Ok(Self { file, target, synced: true })
    }

    /// The same, but for what can be made again: it is not synced, which takes long for many files, and after a power cut it may
    /// be empty.
    fn unsynced(self) -> Self {
        Self { synced: false, ..self }
    }

    /// Where the bytes are until the file is finished, for another program to write them.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file, for anyone who does not write it from beginning to end.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// It cannot be written; what was at that place still is.
    pub fn finish(self) -> io::Result<()> {
        let Self { mut file, target, synced } = self;
        match target {
            Target::File(path) => {
                if synced {
                    file.as_file().sync_all()?;
                }
                file.persist(path).map_err(|error| error.error).map(drop)
            }
            Target::Through(mut target) => {
                let file = file.as_file_mut();
                file.seek(SeekFrom::Start(0))?;
                io::copy(file, &mut target)?;
                target.flush()
            }
        }
    }

    /// The same, but never over what is there.
    fn finish_new(self) -> io::Result<()> {
        let Self { file, target, synced } = self;
        let Target::File(path) = target else { return Err(io::ErrorKind::AlreadyExists.into()) };
        if synced {
            file.as_file().sync_all()?;
        }
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(error.error),
            Err(error) => take_name(error.file, &path),
        }
    }

    /// Where bytes go that are written from beginning to end.
    fn stream(&mut self) -> &mut File {
        match &mut self.target {
            Target::File(_) => self.file.as_file_mut(),
            Target::Through(target) => target,
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}

/// Puts a file in its place where nothing may be replaced, on a mount that has neither a renaming for that nor hard links, as some
/// of network or for memory cards: an empty file takes the name first.
pub(super) fn take_name(file: NamedTempFile, place: &Path) -> io::Result<()> {
    File::options().write(true).create_new(true).open(place)?;
    file.persist(place).map(drop).map_err(|error| {
        let _ = fs::remove_file(place);
        error.error
    })
}

/// Writes a file as a [`Draft`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::begin(path)?;
    draft.write_all(bytes)?;
    draft.finish()
}

/// The same for what can be made again, such as one of many drawings: it is not synced, so that after a power cut it may be empty.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::begin(path)?.unsynced();
    draft.write_all(bytes)?;
    draft.finish()
}

/// As [`write_atomically`], but an error ([`io::ErrorKind::AlreadyExists`]) if anything is there already, a link among it.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = begin_new(path)?;
    draft.write_all(bytes)?;
    draft.finish_new()
}

/// As [`write_new`], but not synced, as [`write_unsynced`].
pub fn write_new_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = begin_new(path)?.unsynced();
    draft.write_all(bytes)?;
    draft.finish_new()
}

fn begin_new(path: &Path) -> io::Result<Draft> {
    if fs::symlink_metadata(path).is_ok() { Err(io::ErrorKind::AlreadyExists.into()) } else { Draft::begin(path) }
}

/// True for a place that takes bytes as they come: nothing belongs beside it.
pub fn is_written_through(path: &Path) -> bool {
    matches!(Place::of(path), Ok(Place::Through | Place::Opened(_)))
}

/// True for a disk, a part of one or a memory card, which nothing but `pumua flash` writes to.
pub(super) fn is_disk(path: &Path) -> bool {
    matches!(Place::of(path), Ok(Place::Disk))
}

/// Removes what programs that were killed have left in a folder, after a day.
pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_draft = name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes());
        if is_draft && entry.metadata().is_ok_and(|metadata| metadata.is_file() && is_older(&metadata, ABANDONED)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A file, or nothing yet.
    File(PathBuf),
    /// A file or a pipe that this program, or the shell for it, has opened, under its number.
    Opened(PathBuf),
    /// A character device or a pipe.
    Through,
    /// A block device.
    Disk,
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let place = resolved(path)?;
        let is_open = folder_of(&place).canonicalize()?.starts_with("/proc");
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::File(place)),
            Err(error) => Err(error),
            Ok(found) => Self::with(FileType::from_raw_mode(found.mode()), place, is_open),
        }
    }

    /// That of something that is there.
    pub(super) fn with(kind: FileType, place: PathBuf, is_open: bool) -> io::Result<Self> {
        match kind {
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            _ if is_open => Ok(Self::Opened(place)),
            FileType::RegularFile => Ok(Self::File(place)),
            FileType::CharacterDevice | FileType::Fifo => Ok(Self::Through),
            FileType::BlockDevice => Ok(Self::Disk),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a pipe")),
        }
    }
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let opened: File = match Place::of(path)? {
            Place::File(place) => {
                if place.exists() {
                    access(&place, Access::WRITE_OK)?;
                }
                return Ok(Self::File(place));
            }
            Place::Opened(place) => match place.file_name().and_then(|number| number.to_str()) {
                // Where the shell is in a file, the rest of the output follows.
                Some("1") => io::stdout().as_fd().try_clone_to_owned()?.into(),
                Some("2") => io::stderr().as_fd().try_clone_to_owned()?.into(),
                _ => File::options().append(true).open(path)?,
            },
            Place::Through => File::options().append(true).open(path)?,
            Place::Disk => {
                let words = "it is a disk: name a file, or write an image to the disk with `pumua flash`";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
            }
        };
        Ok(Self::Through(opened))
    }
}

/// The place that a path names in the end: of links the last one's, which need not be there. What `/proc` shows of opened files
/// looks like links and is none.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = folder_of(&place);
        let in_proc = folder.canonicalize().is_ok_and(|folder| folder.starts_with("/proc"));
        match fs::read_link(&place) {
            Ok(link) if !in_proc => place = folder.join(link),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(error),
            _ => return Ok(place),
        }
    }
    Err(io::Error::other("its links go round in a circle"))
}

/// The folder that something lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file beside a file, with its mode, or with that of a new one.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    if TIDIED.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned()) {
        // Whatever cannot be removed does not matter to this file.
        let _ = remove_leftovers(folder);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).permissions(Permissions::from_mode(0o666));
    let file = builder.tempfile_in(folder)?;
    if let Ok(found) = fs::metadata(path) {
        file.as_file().set_permissions(Permissions::from_mode(found.permissions().mode() & 0o777))?;
    }
    Ok(file)
}
