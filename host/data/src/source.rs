//! Where the files are: a folder or a ZIP archive. Both give names and bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use shared::{limits::MAX_IMAGE_BYTES, verdict::Refusal};
use walkdir::WalkDir;
use zip::ZipArchive;

use super::{DataError, SkipReason};

/// A place with files in it.
pub(super) enum Source {
    Folder(PathBuf),
    /// One reader at a time: inflating takes a small part of the time of decoding.
    Zip(Mutex<ZipArchive<BufReader<File>>>),
}

/// A file of a source.
pub(super) struct Entry {
    /// Path below the source, with `/`.
    pub(super) path: String,
    locator: Locator,
}

enum Locator {
    Path(PathBuf),
    Index(usize),
}

impl Source {
    /// Opens a folder or a ZIP archive.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let read_error = |source| DataError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(read_error)?.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let file = File::open(path).map_err(read_error)?;
        match ZipArchive::new(BufReader::new(file)) {
            Ok(archive) => Ok(Self::Zip(Mutex::new(archive))),
            Err(error) => Err(DataError::Zip { path: path.to_owned(), reason: error.to_string() }),
        }
    }

    /// The files, sorted by path.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, DataError> {
        let mut entries = match self {
            Self::Folder(root) => folder_entries(root)?,
            Self::Zip(archive) => {
                let archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                (0..archive.len())
                    .filter_map(|i| match archive.name_for_index(i)? {
                        Ok(name) if !name.ends_with('/') => {
                            Some(Entry { path: name.replace('\\', "/"), locator: Locator::Index(i) })
                        }
                        _ => None,
                    })
                    .collect()
            }
        };
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// The bytes of a file, within the limit for images.
    pub(super) fn read(&self, entry: &Entry) -> Result<Vec<u8>, SkipReason> {
        match (self, &entry.locator) {
            (Self::Folder(_), Locator::Path(path)) => {
                read_limited(File::open(path).map_err(|e| SkipReason::Unreadable(e.to_string()))?)
            }
            (Self::Zip(archive), Locator::Index(index)) => {
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                read_limited(archive.by_index(*index).map_err(|e| SkipReason::Unreadable(e.to_string()))?)
            }
            _ => Err(SkipReason::Unreadable("it belongs to other data".to_owned())),
        }
    }
}

fn folder_entries(root: &Path) -> Result<Vec<Entry>, DataError> {
    let mut entries = Vec::new();
    for found in WalkDir::new(root).follow_links(true) {
        let found = found.map_err(|error| DataError::Read {
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into_io_error().unwrap_or_else(|| io::Error::other("the links go round in a circle")),
        })?;
        if found.file_type().is_file() {
            let below = found.path().strip_prefix(root).unwrap_or(found.path());
            let path = below.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
            entries.push(Entry { path, locator: Locator::Path(found.into_path()) });
        }
    }
    Ok(entries)
}

fn read_limited(reader: impl Read) -> Result<Vec<u8>, SkipReason> {
    let mut bytes = Vec::new();
    reader
        .take(u64::from(MAX_IMAGE_BYTES) + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| SkipReason::Unreadable(e.to_string()))?;
    if bytes.len() > MAX_IMAGE_BYTES as usize {
        return Err(SkipReason::Refused(Refusal::TooManyBytes));
    }
    Ok(bytes)
}
