//! Where the files are: a folder or a ZIP archive. Both give names and bytes.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base::files::{read_up_to, text_of};
use shared::{limits::MAX_IMAGE_BYTES, verdict::Refusal};
use walkdir::WalkDir;
use zip::{CompressionMethod, ZipArchive};

use super::{DataError, SkipReason, Skipped, metadata};

/// Bytes in which the kind of an archive shows.
const START: u64 = 300;

/// Archives of other kinds: their names, and what they hold at a place.
const OTHER_ARCHIVES: [(&str, usize, &[u8]); 8] = [
    ("a 7z archive", 0, b"7z\xBC\xAF\x27\x1C"),
    ("a RAR archive", 0, b"Rar!\x1A\x07"),
    ("compressed with gzip (.gz, .tgz)", 0, b"\x1F\x8B"),
    ("compressed with xz (.xz, .txz)", 0, b"\xFD7zXZ\0"),
    ("compressed with bzip2 (.bz2, .tbz)", 0, b"BZh"),
    ("compressed with zstd (.zst)", 0, b"\x28\xB5\x2F\xFD"),
    ("a tar archive", 257, b"ustar"),
    ("the first part of a ZIP archive in several", 0, b"PK\x07\x08"),
];

/// How ZIP archives may be compressed that is not read here.
const METHODS: [(CompressionMethod, &str); 6] = [
    (CompressionMethod::DEFLATE64, "Deflate64, as Windows does from 2 GB on"),
    (CompressionMethod::BZIP2, "bzip2"),
    (CompressionMethod::LZMA, "LZMA"),
    (CompressionMethod::ZSTD, "zstd"),
    (CompressionMethod::XZ, "xz"),
    (CompressionMethod::PPMD, "PPMd"),
];

/// A place with files in it.
pub(super) enum Source {
    Folder(PathBuf),
    /// One reader at a time: inflating takes a small part of the time of decoding.
    Zip(Mutex<ZipArchive<BufReader<File>>>),
}

/// A file of a source.
#[derive(Clone)]
pub(super) struct Entry {
    /// Path below the source, with `/`.
    pub(super) path: String,
    locator: Locator,
}

#[derive(Clone)]
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
        let start = read_up_to(path, START).map_err(read_error)?;
        if let Some((name, ..)) =
            OTHER_ARCHIVES.iter().find(|(_, at, magic)| start.get(*at..).is_some_and(|s| s.starts_with(magic)))
        {
            let make = format!("it is {name}, not a ZIP archive");
            return Err(DataError::Archive { path: path.to_owned(), make });
        }
        let file = File::open(path).map_err(read_error)?;
        let archive = ZipArchive::new(BufReader::new(file))
            .map_err(|error| DataError::Zip { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self::Zip(Mutex::new(archive)))
    }

    /// The files, sorted by path, of which no two are the same, and what cannot be read at all.
    pub(super) fn entries(&self) -> Result<(Vec<Entry>, Vec<Skipped>), DataError> {
        let (mut entries, mut skipped) = match self {
            Self::Folder(root) => folder_entries(root)?,
            Self::Zip(archive) => {
                let archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                (archive_entries(&archive), Vec::new())
            }
        };
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.dedup_by(|entry, before| {
            let is_same = entry.path == before.path;
            if is_same {
                let reason = SkipReason::Unreadable("another file has this name, too".to_owned());
                skipped.push(Skipped { name: entry.path.clone(), reason });
            }
            is_same
        });
        Ok((entries, skipped))
    }

    /// Refuses an archive that has any of these files in a form that is not read: data of which a part is missing are other
    /// data.
    pub(super) fn check_form<'a>(
        &self,
        path: &Path,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(), DataError> {
        let Self::Zip(archive) = self else { return Ok(()) };
        let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if let Locator::Index(index) = entry.locator
                && let Some(make) = unread_form(&mut archive, index)
            {
                return Err(DataError::Archive { path: path.to_owned(), make });
            }
        }
        Ok(())
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

/// How a file is kept in an archive, if it is not read in that form.
fn unread_form(archive: &mut ZipArchive<BufReader<File>>, index: usize) -> Option<String> {
    // What is damaged is told file by file.
    let file = archive.by_index_raw(index).ok()?;
    if file.encrypted() {
        return Some("it has a password".to_owned());
    }
    let method = file.compression();
    if [CompressionMethod::STORE, CompressionMethod::DEFLATE].contains(&method) {
        return None;
    }
    let name =
        METHODS.iter().find(|(known, _)| *known == method).map_or("a method that is not known", |(_, name)| name);
    Some(format!("it is compressed with {name}"))
}

/// What cannot be looked into is left out, but for the folder itself.
fn folder_entries(root: &Path) -> Result<(Vec<Entry>, Vec<Skipped>), DataError> {
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    let text = |path: &Path| text_of(path.strip_prefix(root).unwrap_or(path));
    for found in WalkDir::new(root).follow_links(true) {
        let (path, reason) = match found {
            Ok(found) if found.file_type().is_file() => {
                entries.push(Entry { path: text(found.path()), locator: Locator::Path(found.into_path()) });
                continue;
            }
            Ok(found) if found.file_type().is_dir() => continue,
            Ok(found) => (text(found.path()), "it is a device or a pipe".to_owned()),
            Err(error) if error.depth() == 0 => {
                let source =
                    error.into_io_error().unwrap_or_else(|| io::Error::other("its links go round in a circle"));
                return Err(DataError::Read { path: root.to_owned(), source });
            }
            Err(error) => {
                let path = error.path().unwrap_or(root);
                let reason = if error.loop_ancestor().is_some() {
                    "it is a link to a folder that it is in".to_owned()
                } else if path.is_symlink() && !path.exists() {
                    "it is a link to nothing".to_owned()
                } else {
                    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
                };
                (text(path), reason)
            }
        };
        if !metadata::is_hidden(&path) {
            skipped.push(Skipped { name: path, reason: SkipReason::Unreadable(reason) });
        }
    }
    Ok((entries, skipped))
}

/// Names as they would be below a folder: none leads out of it. One that is not UTF-8 is taken for one of code page 437, as old
/// programs write.
fn archive_entries(archive: &ZipArchive<BufReader<File>>) -> Vec<Entry> {
    (0..archive.len())
        .filter_map(|index| {
            let name = archive.name_for_index(index)?.map(Cow::into_owned).ok()?.replace('\\', "/");
            let is_drive = |part: &&str| part.len() == 2 && part.ends_with(':');
            let parts = name.split('/').filter(|part| !["", ".", ".."].contains(part));
            let path = parts.skip_while(is_drive).collect::<Vec<_>>().join("/");
            (!name.ends_with('/') && !path.is_empty()).then_some(Entry { path, locator: Locator::Index(index) })
        })
        .collect()
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
