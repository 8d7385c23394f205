//! Results of a box that outlive the flashing of its card: its data partition, copied into a file before anything is written, and from
//! there into the new card's.
//!
//! The partition is copied as it is, journal of the file system and all. A file system that is smaller than its partition stays so.

use std::{
    fs::{self, File},
    io::{self, Write},
    ops::ControlFlow,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base::{files::Draft, interrupt::Interrupted};
use sha2::{Digest as _, Sha256};
use shared::{appliance::card::EXT_DATA_LABEL, verdict::Digest};

use super::{
    FlashError, Image, Progress, Stage, differs,
    medium::{Buffer, CHUNK, Medium},
    read_all, sync, write_all,
};
use crate::{
    checksum,
    mbr::{LINUX, SECTOR, extents},
};

/// Bytes at the beginning of a file system that tell what it is.
const HEAD: usize = 4096;
/// Where in them ext4 has its superblock, with magic and label at these places.
const SUPERBLOCK: usize = 1024;
const MAGIC: (usize, [u8; 2]) = (SUPERBLOCK + 56, [0x53, 0xef]);
const LABEL: usize = SUPERBLOCK + 120;

/// What becomes of the results on a medium that is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results<'a> {
    /// They are lost.
    Lost,
    /// They are copied into this file, which is not there yet, and then onto the medium.
    Kept(&'a Path),
    /// Those of this file, which were copied into it before, come onto the medium.
    Restored(&'a Path),
}

/// A data partition in a file.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    file: File,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    length: u64,
    digest: Digest,
}

impl Saved {
    /// Opens the copy of a data partition, reads it to its end, and compares its digest with the one [beside it](checksum::beside), if
    /// there is one.
    ///
    /// # Errors
    /// [`FlashError`]: it cannot be read, or is none, or another one.
    pub fn open(path: &Path) -> Result<Self, FlashError> {
        let failed = |source| FlashError::ResultsFile { path: path.to_owned(), source };
        let unlike = |reason: &str| FlashError::ResultsUnlike { path: path.to_owned(), reason: reason.to_owned() };
        // Opening a pipe would wait for its writer.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(unlike("it is not a file"));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let (identity, length) = ((metadata.dev(), metadata.ino()), metadata.len());
        let mut head = [0; HEAD];
        if length < HEAD as u64 || !length.is_multiple_of(SECTOR as u64) {
            return Err(unlike("it is not a partition"));
        }
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        if !is_data(&head) {
            return Err(unlike("it is not the file system of a box's data"));
        }
        let mut hash = Sha256::new();
        let mut buffer = Buffer::new();
        let mut offset = 0;
        while offset < length {
            let count = chunk(length - offset);
            file.read_exact_at(&mut buffer[..count], offset).map_err(failed)?;
            hash.update(&buffer[..count]);
            offset += count as u64;
        }
        let digest = Digest(hash.finalize().into());
        let beside =
            checksum::read(path).map_err(|source| FlashError::ResultsFile { path: checksum::beside(path), source })?;
        if beside.is_some_and(|beside| beside != digest) {
            return Err(unlike("its SHA-256 is not the one in the file beside it"));
        }
        Ok(Self { path: path.to_owned(), file, identity, length, digest })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What e2fsck says of the file system, which it does not change: whether it is sound. Nobody knows where e2fsck is not installed.
    /// After a pulled plug it finds faults that the box mends at its start.
    pub fn is_sound(&self) -> Option<bool> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps it where only the superuser looks.
        let path = std::env::join_paths(std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]));
        let mut command = Command::new("e2fsck");
        command.arg("-fn").arg(&self.path).env("PATH", path.unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().ok().map(|status| status.success())
    }

    fn failed(&self, source: io::Error) -> FlashError {
        FlashError::ResultsFile { path: self.path.clone(), source }
    }
}

/// The data partition of a medium.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataPartition {
    /// Where it begins, in bytes from the start of the medium.
    offset: u64,
    /// Its bytes.
    bytes: u64,
}

impl DataPartition {
    /// That of a medium of so many bytes: the partition with a file system of the label that boxes look for, whichever it is.
    pub(super) fn find(medium: &mut dyn Medium, length: u64) -> Result<Self, FlashError> {
        let mut buffer = Buffer::new();
        read(medium, &mut buffer[..SECTOR], 0)?;
        let found = extents(&buffer[..SECTOR]).ok_or(FlashError::NoTable)?;
        for extent in found.into_iter().filter(|extent| extent.kind == LINUX) {
            let sectors = |count: u32| u64::from(count) * SECTOR as u64;
            let (offset, bytes) = (sectors(extent.first), sectors(extent.count));
            if bytes < HEAD as u64 || offset + bytes > length {
                continue;
            }
            read(medium, &mut buffer[..HEAD], offset)?;
            if is_data(&buffer[..HEAD]) {
                return Ok(Self { offset, bytes });
            }
        }
        Err(FlashError::NoResults)
    }

    /// Copies it into a new file, with its digest beside that, and reads the file back.
    pub(super) fn save(
        &self,
        medium: &mut dyn Medium,
        path: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<Saved, FlashError> {
        let failed = |source| FlashError::ResultsFile { path: path.to_owned(), source };
        if fs::symlink_metadata(path).is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let mut draft = Draft::begin(path).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut buffer = Buffer::new();
        let mut done = 0;
        while done < self.bytes {
            if progress(Stage::Saving, done, self.bytes) == ControlFlow::Break(()) {
                return Err(FlashError::StoppedBefore(Interrupted));
            }
            let count = chunk(self.bytes - done);
            read(medium, &mut buffer[..count], self.offset + done)?;
            hash.update(&buffer[..count]);
            draft.write_all(&buffer[..count]).map_err(failed)?;
            done += count as u64;
        }
        draft.finish().map_err(failed)?;
        let digest = Digest(hash.finalize().into());
        checksum::write(path, &digest)
            .map_err(|source| FlashError::ResultsFile { path: checksum::beside(path), source })?;
        // The names last, too: from here on the medium is overwritten.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Saved::open(path)
    }

    /// Whether it has room in the data partition of an image.
    pub(super) fn fits(&self, image: &Image) -> Result<(), FlashError> {
        image.has_room_for(self.bytes)
    }
}

/// Writes a copy to the place of a data partition, `at` bytes from the start of the medium, and reads it back.
pub(super) fn restore(
    saved: &Saved,
    at: u64,
    medium: &mut dyn Medium,
    progress: &mut Progress<'_>,
) -> Result<(), FlashError> {
    let (mut buffer, mut expected) = (Buffer::new(), Buffer::new());
    let mut done = 0;
    while done < saved.length {
        go_on(Stage::Restoring, saved, at, done, progress)?;
        let count = chunk(saved.length - done);
        saved.file.read_exact_at(&mut buffer[..count], done).map_err(|source| saved.failed(source))?;
        write_all(medium, &buffer[..count], at + done)?;
        done += count as u64;
    }
    sync(medium)?;
    let mut hash = Sha256::new();
    done = 0;
    while done < saved.length {
        go_on(Stage::Verifying, saved, at, done, progress)?;
        let count = chunk(saved.length - done);
        saved.file.read_exact_at(&mut expected[..count], done).map_err(|source| saved.failed(source))?;
        hash.update(&expected[..count]);
        read_all(medium, &mut buffer[..count], at + done)?;
        if let Some(offset) = differs(&buffer[..count], &expected[..count]) {
            return Err(FlashError::Differs { offset: at + done + offset });
        }
        done += count as u64;
    }
    if hash.finalize().as_slice() == saved.digest.0 { Ok(()) } else { Err(FlashError::ImageChanged) }
}

fn go_on(stage: Stage, saved: &Saved, at: u64, done: u64, progress: &mut Progress<'_>) -> Result<(), FlashError> {
    if progress(stage, done, saved.length) == ControlFlow::Break(()) {
        return Err(FlashError::StoppedWriting { offset: at + done, source: Interrupted });
    }
    Ok(())
}

/// Whether a file system that begins so is that of a box's data.
fn is_data(head: &[u8]) -> bool {
    head[MAGIC.0..].starts_with(&MAGIC.1) && head[LABEL..].starts_with(&EXT_DATA_LABEL)
}

/// As many of these bytes as are read or written at a time.
fn chunk(left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK)
}

/// Reads what is on a medium that nobody has written yet.
fn read(medium: &mut dyn Medium, bytes: &mut [u8], offset: u64) -> Result<(), FlashError> {
    read_all(medium, bytes, offset).map_err(|error| match error {
        FlashError::ReadBack { offset, source } => FlashError::ResultsUnreadable { offset, source },
        other => other,
    })
}
