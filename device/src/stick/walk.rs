//! The films in the folders of a stick.
//!
//! A folder may be hostile: without end, or within itself. So it is not followed deeply, not looked at for long, and links are not
//! followed at all. What is not looked through whole is not judged either: which film is the newest would not be known.

use std::{
    cmp::Reverse,
    ffi::OsStr,
    fs::{self, DirEntry, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, UNIX_EPOCH},
};

use shared::limits::{MAX_BUNDLE_BYTES, MAX_IMAGE_BYTES};

use super::message::{Bundle, Film};

/// The folder that marks a stick. FAT and exFAT take any case for the same; elsewhere it is written in one of these ways.
const MARKS: [&str; 2] = ["PUMUA", "pumua"];
/// What the name of a bundle ends with, in small letters.
const OF_BUNDLE: &str = "pumua";

/// How much of a stick is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Folders within each other, the stick itself being the first. What is deeper is left aside.
    pub depth: usize,
    /// Files and folders; more are too many.
    pub entries: usize,
    /// Folders that wait to be looked at; more are too many.
    pub folders: usize,
    /// Films; more are too many.
    pub films: usize,
    /// How long it may take.
    pub time: Duration,
}

impl Limits {
    /// Those of the box.
    pub const BOX: Self =
        Self { depth: 8, entries: 20_000, folders: 2_000, films: 2_000, time: Duration::from_secs(10) };
}

/// What is on a stick.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// All its films, the newest first, and where they are.
    Films(Vec<(PathBuf, Film)>),
    /// More than is looked at.
    TooMany,
}

/// Extensions of the files that are taken for films, in small letters.
const EXTENSIONS: [&str; 10] = ["dcm", "dic", "dicom", "jpg", "jpeg", "png", "tif", "tiff", "bmp", "webp"];
/// Names of files and folders that systems and programs put onto sticks, in small letters. The last one lists the films of a
/// stick in DICOM's way: they are found without it.
const NOT_FILMS: [&str; 7] =
    ["pumua", "system volume information", "$recycle.bin", "thumbs", "thumbs.db", "lost.dir", "dicomdir"];

/// Looks for films below a folder. An error if it cannot be read, or one within it: the newest film may be there.
pub fn walk(root: &Path, limits: Limits) -> io::Result<Found> {
    let start = Instant::now();
    let mut films = Vec::new();
    let mut entries = 0;
    let mut folders = vec![(root.to_owned(), 1)];
    while let Some((folder, depth)) = folders.pop() {
        // The stick may take long for each of many empty ones.
        if start.elapsed() > limits.time {
            return Ok(Found::TooMany);
        }
        for entry in fs::read_dir(&folder)? {
            // What follows an entry that cannot be read is not known.
            let entry = entry?;
            entries += 1;
            if entries > limits.entries || start.elapsed() > limits.time {
                return Ok(Found::TooMany);
            }
            let name = entry.file_name();
            let kind = entry.file_type()?;
            if is_left_aside(&name) {
                continue;
            }
            if kind.is_dir() && depth < limits.depth {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file()
                && let Some(film) = film(&entry, &name)?
            {
                films.push((entry.path(), film));
            }
            if films.len() > limits.films || folders.len() > limits.folders {
                return Ok(Found::TooMany);
            }
        }
    }
    films.sort_by_cached_key(|(path, film)| (Reverse(film.modified), film.name.clone(), path.clone()));
    Ok(Found::Films(films))
}

/// The folder that marks a stick, if there is one. A link is none.
pub fn marked(root: &Path) -> Option<PathBuf> {
    let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    MARKS.map(|name| root.join(name)).into_iter().find(is_folder)
}

/// The bundle in a marked folder whose name is the last one, if it can be one. Of a folder with more than is looked at there is none:
/// which one is the last would not be known.
pub fn bundle(folder: &Path, limits: Limits) -> Option<(PathBuf, Bundle)> {
    let start = Instant::now();
    let mut last: Option<(PathBuf, Bundle)> = None;
    for (number, entry) in (1..).zip(fs::read_dir(folder).ok()?) {
        let entry = entry.ok()?;
        if number > limits.entries || start.elapsed() > limits.time {
            return None;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let is_bundle = path.extension().is_some_and(|end| end.eq_ignore_ascii_case(OF_BUNDLE))
            && !name.as_encoded_bytes().starts_with(b".")
            && entry.file_type().ok()?.is_file();
        if !is_bundle || last.as_ref().is_some_and(|(before, _)| before.file_name() > path.file_name()) {
            continue;
        }
        let length = entry.metadata().ok()?.len();
        let size = u32::try_from(length).ok().filter(|_| (1..=MAX_BUNDLE_BYTES).contains(&length));
        last = size.map(|size| (path, Bundle::new(&name, size))).or(last);
    }
    last
}

/// Hidden, or not a film for certain.
fn is_left_aside(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    name.starts_with('.') || NOT_FILMS.contains(&name.as_str())
}

/// The film that a file is, if it may be one.
fn film(entry: &DirEntry, name: &OsStr) -> io::Result<Option<Film>> {
    let metadata = entry.metadata()?;
    let size = u32::try_from(metadata.len()).ok().filter(|size| (1..=MAX_IMAGE_BYTES).contains(size));
    let Some(size) = size else { return Ok(None) };
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let may_be = match extension.as_deref() {
        Some(known) if EXTENSIONS.contains(&known) => true,
        // Machines name DICOM files by numbers with dots between them.
        Some(number) if !number.bytes().all(|byte| byte.is_ascii_digit()) => false,
        _ => is_dicom(&entry.path()),
    };
    if !may_be {
        return Ok(None);
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(Some(Film::new(name, modified.map_or(0, |time| time.as_secs()), size)))
}

/// Whether a file says of itself that it is DICOM.
fn is_dicom(path: &Path) -> bool {
    let mut mark = [0; 4];
    File::open(path).and_then(|file| file.read_exact_at(&mut mark, 128)).is_ok() && mark == *b"DICM"
}
