//! Decoded radiographs on disk: so that the second training of the same data starts at once, and so that data which do not fit
//! into memory can be learnt from.
//!
//! They are kept in shards: one file for each combination of input contract and names of some files, named by the digest of
//! both:
//! `magic | key | for each file its SHA-256 and a u16 (0: decoded, 65535: not read, else the code of its refusal) | SHA-256 of
//! the pixels | SHA-256 of all before | pixels, the same room for each file`, numbers little-endian. A shard that is not exactly
//! this, to the last pixel, is ignored and made again. What it says of a file counts as long as the file has that digest. The key
//! holds the version of this program: anyone who changes decoding or preprocessing within a version changes [`MAGIC`], too.
//!
//! **Who reads** a shard checks it as a whole, once, when the data are loaded, and holds it open from then on: what is in memory
//! or read later is of that very file, even where another process has removed it or put another one in its place. Nobody writes
//! into a shard that is there. Later reads are not checked again. Shards are read and not mapped: a read that fails is an error
//! with words, where a mapping ends the program, and the kernel keeps the same pages either way.
//!
//! **Several processes** may make the shards of the same data at once: each begins anywhere, takes those that others have
//! finished, and puts its own in place as a whole ([`base::files::Draft`]). Two that make the same one write the same inputs, and
//! the second replaces the first.
//!
//! The files have at most [`MAX_BYTES`] together: those that nobody has used for the longest time are removed when the data are
//! loaded that one was written for. The shards of these data stay, however large they are.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use base::files::{Draft, may_stay_open, remove_leftovers, touch};
use shared::{
    contract::InputContract,
    verdict::{Digest, Refusal},
};

use super::{DataError, inputs::Shard, load::Read};

const MAGIC: &[u8; 8] = b"pumua\0c7";

/// What all files together may have: thirty times the published data at the sides of most recipes.
const MAX_BYTES: u64 = 2 << 30;

/// How the names of the files begin.
const PREFIX: &str = "decoded-";

/// Bytes of the pixels of a shard, unless there would be more than [`MAX_SHARDS`] of them: what is lost with a process that is
/// killed, and what is in memory while it is made.
const SHARD_BYTES: usize = 64 << 20;

/// Shards of one folder or archive. Those that are not in memory are held open, for each size of input that is asked for, and no
/// system lets a process hold any number of files.
const MAX_SHARDS: usize = 128;

/// Code of a file that could not be read: it may be readable the next time.
const NOT_READ: u16 = u16::MAX;

/// Digest and code of a file.
const ENTRY: usize = 34;

/// Magic, key and the two digests of a header.
const HEADER: usize = 8 + 3 * 32;

/// The name under which the decoded forms of files of these names are kept.
pub(super) fn key<'a>(contract: &InputContract, names: impl Iterator<Item = &'a str>) -> Digest {
    let mut text = MAGIC.to_vec();
    text.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
    text.extend_from_slice(format!("{contract:?}").as_bytes());
    for name in names {
        text.push(0);
        text.extend_from_slice(name.as_bytes());
    }
    Digest::of(&text)
}

/// The folder of the cache: `$PUMUA_CACHE`, else `$XDG_CACHE_HOME/pumua`, else `~/.cache/pumua`.
pub(super) fn folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("PUMUA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|p| p.join("pumua")))
        .or_else(|| variable("HOME").map(|p| p.join(".cache/pumua")))
}

/// How many of `count` inputs of `length` bytes a shard holds; the last one may hold fewer.
pub(super) fn shard_size(count: usize, length: usize) -> usize {
    (SHARD_BYTES / length.max(1)).max(count.div_ceil(MAX_SHARDS)).max(1)
}

/// The order in which `count` shards are made: each time it begins elsewhere. By chance, as processes in containers often have
/// the same number.
pub(super) fn order(count: usize) -> impl Iterator<Item = usize> {
    let first = RandomState::new().hash_one(count) as usize % count.max(1);
    (first..count).chain(0..first)
}

/// The cache while data are loaded.
pub(super) struct Cache {
    folder: Option<PathBuf>,
    /// Bytes of inputs that may still stay in memory.
    room: usize,
    /// The shards of these data.
    used: BTreeSet<PathBuf>,
    /// Whether any of them was written.
    grown: bool,
    /// Whether it was said that one could not be.
    warned: bool,
}

/// A shard as it was kept, whole.
pub(super) struct Kept {
    file: File,
    /// What became of each file; `None` of those that were not read.
    pub(super) files: Vec<Option<Read>>,
    /// The inputs, one after the other; of files without one, anything.
    pub(super) pixels: Vec<u8>,
}

impl Cache {
    /// The cache in a folder, if there is one. Of the inputs at most `room` bytes stay in memory.
    pub(super) fn new(folder: Option<PathBuf>, room: usize) -> Self {
        Self { folder, room, used: BTreeSet::new(), grown: false, warned: false }
    }

    /// Reads the forms of `count` files, of `length` bytes each. `None` if they are not there or not whole.
    pub(super) fn fetch(&mut self, key: Digest, count: usize, length: usize) -> Option<Kept> {
        let path = path(self.folder.as_deref()?, key);
        let kept = Kept::read(&path, key, count, length)?;
        // Where it cannot be noted the file seems older than it is.
        let _ = touch(&path);
        self.used.insert(path);
        Some(kept)
    }

    /// Takes a shard that is as it was kept.
    ///
    /// # Errors
    /// [`DataError::TooManyOpen`]: it is too large for the memory that is left, and cannot be held open.
    pub(super) fn take(&mut self, kept: Kept) -> Result<Shard, DataError> {
        self.place(Ok(kept.file), kept.files.len(), kept.pixels)
    }

    /// Keeps a shard: what was made of files, `None` of those that could not be read, and the room of an input for each of them.
    /// A reader sees the whole file or none.
    ///
    /// # Errors
    /// [`DataError::Cache`]: it is too large for the memory that is left, and cannot be written; [`DataError::TooManyOpen`]: it cannot be
    /// held open.
    pub(super) fn keep(&mut self, key: Digest, files: &[Option<Read>], pixels: Vec<u8>) -> Result<Shard, DataError> {
        let Some(folder) = &self.folder else {
            let nowhere = io::Error::new(io::ErrorKind::NotFound, "there is no folder for it");
            return self.place(Err(nowhere), files.len(), pixels);
        };
        let path = path(folder, key);
        let stored = store(&path, key, files, &pixels);
        match &stored {
            Ok(_) => {
                self.grown = true;
                self.used.insert(path);
            }
            Err(error) if pixels.len() <= self.room => warn(&mut self.warned, error),
            Err(_) => {}
        }
        self.place(stored, files.len(), pixels)
    }

    /// A shard stays in memory where there is room for it, and else in its file.
    fn place(&mut self, file: io::Result<File>, files: usize, pixels: Vec<u8>) -> Result<Shard, DataError> {
        if let Some(room) = self.room.checked_sub(pixels.len()) {
            self.room = room;
            return Ok(Shard::Memory(pixels));
        }
        let file = file.map_err(DataError::Cache)?;
        if !may_stay_open(&file) {
            return Err(DataError::TooManyOpen);
        }
        Ok(Shard::File { file, start: (HEADER + files * ENTRY) as u64 })
    }

    /// Removes what is too much beside the shards of these data, once they are loaded.
    pub(super) fn tidy(mut self) {
        if let (true, Some(folder)) = (self.grown, &self.folder)
            && let Err(error) = bound(folder, &self.used, MAX_BYTES)
        {
            warn(&mut self.warned, &error);
        }
    }
}

/// Says once that the next loading takes as long as this one.
fn warn(warned: &mut bool, error: &io::Error) {
    if !std::mem::replace(warned, true) {
        base::say!(
            "warning: the decoded images cannot be kept for the next time ({error}); set PUMUA_CACHE to a folder that can be written"
        );
    }
}

impl Kept {
    fn read(path: &Path, key: Digest, count: usize, length: usize) -> Option<Self> {
        let start = ENTRY.checked_mul(count)?.checked_add(HEADER)?;
        let size = length.checked_mul(count)?;
        let file = File::open(path).ok()?;
        // Before there is room for as much.
        if file.metadata().ok()?.len() != start.checked_add(size)? as u64 {
            return None;
        }
        let mut header = vec![0; start];
        file.read_exact_at(&mut header, 0).ok()?;
        let (content, checksum) = header.split_last_chunk::<32>()?;
        if Digest::of(content).0 != *checksum {
            return None;
        }
        let (entries, of_pixels) = content.strip_prefix(MAGIC)?.strip_prefix(&key.0)?.split_last_chunk::<32>()?;
        let mut files = Vec::with_capacity(count);
        for entry in entries.as_chunks::<ENTRY>().0 {
            let (digest, code) = (Digest(*entry.first_chunk()?), u16::from_le_bytes(*entry.last_chunk()?));
            let decoded = match code {
                NOT_READ => None,
                0 => Some(Ok(())),
                code => Some(Err(Refusal::ALL.iter().copied().find(|refusal| refusal.code() == code)?)),
            };
            files.push(decoded.map(|decoded| Read { digest, decoded }));
        }
        let mut pixels = vec![0; size];
        file.read_exact_at(&mut pixels, start as u64).ok()?;
        (Digest::of(&pixels).0 == *of_pixels).then_some(Self { file, files, pixels })
    }
}

/// Writes a shard. The file that is given back is this one, whoever replaces it.
fn store(path: &Path, key: Digest, files: &[Option<Read>], pixels: &[u8]) -> io::Result<File> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&key.0);
    for file in files {
        let (digest, code) = match file {
            Some(Read { digest, decoded }) => (*digest, decoded.err().map_or(0, |refusal| refusal.code())),
            None => (Digest::default(), NOT_READ),
        };
        header.extend_from_slice(&digest.0);
        header.extend_from_slice(&code.to_le_bytes());
    }
    header.extend_from_slice(&Digest::of(pixels).0);
    let checksum = Digest::of(&header);
    header.extend_from_slice(&checksum.0);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut draft = Draft::begin(path)?;
    draft.write_all(&header)?;
    draft.write_all(pixels)?;
    let file = draft.file().try_clone()?;
    draft.finish()?;
    Ok(file)
}

fn path(folder: &Path, key: Digest) -> PathBuf {
    folder.join(format!("{PREFIX}{key:.32}"))
}

/// Removes files until all together have at most `most` bytes, those first that were used last the longest time ago, and never
/// those of `own`; also what programs that were killed have left.
fn bound(folder: &Path, own: &BTreeSet<PathBuf>, most: u64) -> io::Result<()> {
    remove_leftovers(folder)?;
    let (mut files, mut total) = (Vec::new(), 0_u64);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_kept = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        // Another program may remove it at this moment.
        let (true, Ok(metadata)) = (is_kept, entry.metadata()) else { continue };
        if own.contains(&entry.path()) {
            total = total.saturating_add(metadata.len());
        } else {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort_by_key(|(used, ..)| Reverse(*used));
    for (_, length, path) in files {
        total = total.saturating_add(length);
        if total > most {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A key, and four files: decoded, refused, not read, decoded.
    fn shard() -> (Digest, [Option<Read>; 4], Vec<u8>) {
        let read = |text: &[u8], decoded| Some(Read { digest: Digest::of(text), decoded });
        let files = [read(b"a", Ok(())), read(b"b", Err(Refusal::Corrupt)), None, read(b"c", Ok(()))];
        (Digest::of(b"key"), files, [[1; 9], [0; 9], [0; 9], [2; 9]].concat())
    }

    fn cache(folder: &tempfile::TempDir, room: usize) -> Cache {
        Cache::new(Some(folder.path().to_owned()), room)
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["decoded-old", "decoded-used", "decoded-new", "other"];
        for (name, hours) in names.into_iter().zip([3, 2, 1, 9]) {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        }
        let left = || names.into_iter().filter(|name| folder.path().join(name).exists()).collect::<Vec<_>>();
        let own = |names: &[&str]| names.iter().map(|name| folder.path().join(name)).collect::<BTreeSet<_>>();
        bound(folder.path(), &own(&["decoded-new"]), 300).unwrap();
        assert_eq!(left(), names);
        touch(&folder.path().join("decoded-old")).unwrap();
        bound(folder.path(), &own(&["decoded-new"]), 250).unwrap();
        assert_eq!(left(), ["decoded-old", "decoded-new", "other"], "it was used meanwhile");
        bound(folder.path(), &own(&["decoded-old", "decoded-new"]), 50).unwrap();
        assert_eq!(left(), ["decoded-old", "decoded-new", "other"], "all shards of the data stay");
        bound(folder.path(), &own(&["decoded-new"]), 50).unwrap();
        assert_eq!(left(), ["decoded-new", "other"]);
    }

    #[test]
    fn what_is_loaded_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (key, files, pixels) = shard();
        cache(&folder, 99).keep(key, &files, pixels).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(9999);
        let file = File::options().append(true).open(path(folder.path(), key)).unwrap();
        file.set_modified(long_ago).unwrap();
        assert!(cache(&folder, 99).fetch(key, 4, 9).is_some());
        assert!(file.metadata().unwrap().modified().unwrap() > long_ago + Duration::from_secs(9000));
    }

    #[test]
    fn only_what_was_stored_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let (key, files, pixels) = shard();
        let fetch = |count, length| cache(&folder, 0).fetch(key, count, length);
        assert!(fetch(4, 9).is_none());
        cache(&folder, 99).keep(key, &files, pixels.clone()).unwrap();
        let kept = fetch(4, 9).unwrap();
        assert_eq!((kept.files.as_slice(), &kept.pixels), (&files[..], &pixels));
        for (count, length) in [(3, 9), (4, 8), (12, 3), (usize::MAX, 9), (4, usize::MAX)] {
            assert!(fetch(count, length).is_none(), "{count} files of {length}");
        }
        assert!(cache(&folder, 0).fetch(Digest::of(b"other"), 4, 9).is_none());

        // Every byte counts.
        let file = path(folder.path(), key);
        let bytes = fs::read(&file).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&file, &changed).unwrap();
            assert!(fetch(4, 9).is_none(), "byte {at}");
        }
        for length in [0, 40, bytes.len() - 1] {
            fs::write(&file, &bytes[..length]).unwrap();
            assert!(fetch(4, 9).is_none(), "{length} bytes of it");
        }
        fs::write(&file, [&bytes[..], &[0]].concat()).unwrap();
        assert!(fetch(4, 9).is_none(), "a byte more");
        fs::write(&file, &bytes).unwrap();
        assert!(fetch(4, 9).is_some());
    }

    #[test]
    fn what_has_no_room_in_memory_is_read_from_the_file_that_was_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (key, files, pixels) = shard();
        let made = cache(&folder, 35).keep(key, &files, pixels.clone()).unwrap();
        let mut other = cache(&folder, 35);
        let kept = other.fetch(key, 4, 9).unwrap();
        let taken = other.take(kept).unwrap();
        // Another process puts another shard in its place, or removes it.
        cache(&folder, 0).keep(key, &files, vec![7; 36]).unwrap();
        fs::remove_file(path(folder.path(), key)).unwrap();
        for shard in [made, taken] {
            assert!(matches!(shard, Shard::File { .. }));
            assert_eq!(*shard.input(3, 9).unwrap(), [2; 9]);
        }
        let in_memory = cache(&folder, 36).keep(key, &files, pixels).unwrap();
        assert!(matches!(in_memory, Shard::Memory(_)));
    }

    #[test]
    fn what_fits_nowhere_is_an_error() {
        let (key, files, pixels) = shard();
        let occupied = tempfile::NamedTempFile::new().unwrap();
        for folder in [None, Some(occupied.path().to_owned())] {
            let mut cache = Cache::new(folder, 40);
            assert!(matches!(cache.keep(key, &files, pixels.clone()), Ok(Shard::Memory(_))));
            assert!(matches!(cache.keep(key, &files, pixels.clone()), Err(DataError::Cache(_))));
        }
    }

    #[test]
    fn every_shard_is_made_once_from_anywhere_on() {
        for count in [0, 1, 7, MAX_SHARDS] {
            let mut order: Vec<usize> = order(count).collect();
            order.sort_unstable();
            assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
        let firsts: BTreeSet<_> = (0..64).map(|_| order(MAX_SHARDS).next()).collect();
        assert!(firsts.len() > 1, "all begin at {firsts:?}");
    }

    #[test]
    fn there_are_not_too_many_shards() {
        assert_eq!(shard_size(5_000, 64 * 64), 16_384);
        assert_eq!(shard_size(50_000, 160 * 160), 2_621);
        assert_eq!(1_000_000_usize.div_ceil(shard_size(1_000_000, 160 * 160)), MAX_SHARDS);
        assert_eq!(shard_size(0, 0), SHARD_BYTES);
    }
}
