//! Decoded radiographs on disk, so that the second training of the same data starts at once.
//!
//! One file for each combination of file names and input contract, named by the digest of both:
//! `magic | key | for each file its SHA-256 and a u16 (0: decoded, 65535: not read, else the code of its refusal) | pixels |
//! SHA-256 of all before`, numbers little-endian. A file that is not exactly this is ignored and written again. What it
//! says of a file counts as long as the file has that digest. The key holds the version of this program: anyone who changes
//! decoding or preprocessing within a version changes [`MAGIC`], too.
//!
//! The files have at most [`MAX_BYTES`] together: those that nobody has used for the longest time are removed when one is
//! written. The last one stays, however large it is.

use std::{
    cmp::Reverse,
    fs, io,
    path::{Path, PathBuf},
};

use base::files::{remove_leftovers, touch, write_atomically};
use shared::{
    contract::InputContract,
    verdict::{Digest, Refusal},
};

use super::load::Read;

const MAGIC: &[u8; 8] = b"pumua\0c5";

/// What all files together may have: thirty times the published data at the sides of most recipes.
const MAX_BYTES: u64 = 2 << 30;

/// How the names of the files begin.
const PREFIX: &str = "decoded-";

/// Code of a file that could not be read: it may be readable the next time.
const NOT_READ: u16 = u16::MAX;

/// Digest and code of a file.
const ENTRY: usize = 34;

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

/// What was kept the last time.
pub(super) struct Cached {
    bytes: Vec<u8>,
    /// Of each file its digest and where in `bytes` its input begins, or its refusal; `None` of those that were not read.
    files: Vec<Option<(Digest, Result<usize, Refusal>)>>,
    length: usize,
}

impl Cached {
    /// Reads the forms of `count` files, of `length` bytes each. `None` if they are not there or not whole.
    pub(super) fn load(folder: &Path, key: Digest, count: usize, length: usize) -> Option<Self> {
        let path = path(folder, key);
        let bytes = fs::read(&path).ok()?;
        let (content, checksum) = bytes.split_last_chunk::<32>()?;
        if Digest::of(content).0 != *checksum {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?.strip_prefix(&key.0)?;
        let (entries, pixels) = rest.split_at_checked(ENTRY.checked_mul(count)?)?;
        let mut start = content.len() - pixels.len();
        let mut files = Vec::with_capacity(count);
        for entry in entries.as_chunks::<ENTRY>().0 {
            let (digest, code) = (Digest(*entry.first_chunk()?), u16::from_le_bytes(*entry.last_chunk()?));
            files.push(match code {
                NOT_READ => None,
                0 => {
                    start += length;
                    Some((digest, Ok(start - length)))
                }
                code => Some((digest, Err(Refusal::ALL.iter().copied().find(|r| r.code() == code)?))),
            });
        }
        // Where it cannot be noted the file seems older than it is.
        let _ = touch(&path);
        (start == content.len()).then_some(Self { bytes, files, length })
    }

    /// The input of file `index`, or its refusal, if it is the file that it was.
    pub(super) fn get(&self, index: usize, digest: Digest) -> Option<Result<&[u8], Refusal>> {
        let (kept, decoded) = self.files[index].as_ref()?;
        (*kept == digest).then(|| decoded.map(|start| &self.bytes[start..][..self.length]))
    }
}

/// Writes what was made of files, `None` of those that could not be read; `pixels` have the room of an input for each of
/// them. A reader sees the whole file or none.
pub(super) fn store<'a>(
    folder: &Path,
    key: Digest,
    files: impl ExactSizeIterator<Item = Option<&'a Read>> + Clone,
    pixels: &[u8],
) -> io::Result<()> {
    let length = pixels.len() / files.len().max(1);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&key.0);
    for file in files.clone() {
        let (digest, code) = match file {
            Some(Read { digest, decoded }) => (*digest, decoded.err().map_or(0, |refusal| refusal.code())),
            None => (Digest::default(), NOT_READ),
        };
        bytes.extend_from_slice(&digest.0);
        bytes.extend_from_slice(&code.to_le_bytes());
    }
    for (_, input) in
        files.zip(pixels.chunks_exact(length.max(1))).filter(|(file, _)| file.is_some_and(|f| f.decoded.is_ok()))
    {
        bytes.extend_from_slice(input);
    }
    let checksum = Digest::of(&bytes);
    bytes.extend_from_slice(&checksum.0);
    fs::create_dir_all(folder)?;
    let path = path(folder, key);
    write_atomically(&path, &bytes)?;
    bound(folder, &path, MAX_BYTES)
}

fn path(folder: &Path, key: Digest) -> PathBuf {
    folder.join(format!("{PREFIX}{key:.32}"))
}

/// Removes files until the others have at most `most` bytes, those first that were used last the longest time ago, and never
/// `newest`; also what programs that were killed have left.
fn bound(folder: &Path, newest: &Path, most: u64) -> io::Result<()> {
    remove_leftovers(folder)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_kept = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) && entry.path() != newest;
        // Another program may remove it at this moment.
        if let (true, Ok(metadata)) = (is_kept, entry.metadata()) {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort_by_key(|(used, ..)| Reverse(*used));
    let mut total = fs::metadata(newest).map_or(0, |metadata| metadata.len());
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

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["decoded-old", "decoded-used", "decoded-new", "other"];
        for (name, hours) in names.into_iter().zip([3, 2, 1, 9]) {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        }
        let left = || names.into_iter().filter(|name| folder.path().join(name).exists()).collect::<Vec<_>>();
        let newest = folder.path().join("decoded-new");
        bound(folder.path(), &newest, 300).unwrap();
        assert_eq!(left(), names);
        touch(&folder.path().join("decoded-old")).unwrap();
        bound(folder.path(), &newest, 250).unwrap();
        assert_eq!(left(), ["decoded-old", "decoded-new", "other"], "it was used meanwhile");
        bound(folder.path(), &newest, 50).unwrap();
        assert_eq!(left(), ["decoded-new", "other"], "the newest one stays");
    }

    #[test]
    fn what_is_loaded_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        let read = Some(Read { digest: key, decoded: Ok(()) });
        store(folder.path(), key, [read.as_ref()].into_iter(), &[1; 9]).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(9999);
        let file = fs::File::options().append(true).open(path(folder.path(), key)).unwrap();
        file.set_modified(long_ago).unwrap();
        assert!(Cached::load(folder.path(), key, 1, 9).is_some());
        assert!(file.metadata().unwrap().modified().unwrap() > long_ago + Duration::from_secs(9000));
    }

    #[test]
    fn only_what_was_stored_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        let digests = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let read = |digest, decoded| Some(Read { digest, decoded });
        let files = [read(digests[0], Ok(())), read(digests[1], Err(Refusal::Corrupt)), None, read(digests[2], Ok(()))];
        let pixels = [[1; 9], [0; 9], [0; 9], [2; 9]].concat();
        let load = |count, length| Cached::load(folder.path(), key, count, length);
        assert!(load(4, 9).is_none());
        store(folder.path(), key, files.iter().map(Option::as_ref), &pixels).unwrap();
        let cached = load(4, 9).unwrap();
        assert_eq!(cached.get(0, digests[0]), Some(Ok(&[1; 9][..])));
        assert_eq!(cached.get(1, digests[1]), Some(Err(Refusal::Corrupt)));
        assert_eq!(cached.get(2, Digest::default()), None, "not read");
        assert_eq!(cached.get(3, digests[2]), Some(Ok(&[2; 9][..])));
        assert_eq!(cached.get(3, digests[0]), None, "another file now");
        assert!(load(3, 9).is_none(), "another number of files");
        assert!(load(4, 8).is_none(), "another size");

        let file = path(folder.path(), key);
        let mut bytes = fs::read(&file).unwrap();
        bytes[50] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert!(load(4, 9).is_none(), "a changed file");
        fs::write(&file, &bytes[..40]).unwrap();
        assert!(load(4, 9).is_none(), "a truncated file");
    }
}
