//! Decoded radiographs on disk, so that the second training of the same data starts at once.
//!
//! One file for each combination of files and input contract, named by the digest of both:
//! `magic | key | one u16 for each file (0: decoded, else the code of its refusal) | pixels | SHA-256 of all before`,
//! numbers little-endian. A file that is not exactly this is ignored and written again. The key holds the version of this
//! program: anyone who changes decoding or preprocessing within a version changes [`MAGIC`], too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use shared::{
    contract::InputContract,
    verdict::{Digest, Refusal},
};

const MAGIC: &[u8; 8] = b"pumua\0c1";

/// What decoding made of one file: the model's input or a refusal.
pub(super) type Decoded = Result<Vec<u8>, Refusal>;

/// The name under which the decoded forms of `files` (name and digest) are kept.
pub(super) fn key<'a>(contract: &InputContract, files: impl Iterator<Item = (&'a str, Digest)>) -> Digest {
    let mut text = MAGIC.to_vec();
    text.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
    text.extend_from_slice(format!("{contract:?}").as_bytes());
    for (name, digest) in files {
        text.push(0);
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(&digest.0);
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

/// Reads `count` decoded files of `length` bytes each. `None` if they are not there or not whole.
pub(super) fn load(folder: &Path, key: Digest, count: usize, length: usize) -> Option<Vec<Decoded>> {
    let bytes = fs::read(path(folder, key)).ok()?;
    let (content, checksum) = bytes.split_last_chunk::<32>()?;
    if Digest::of(content).0 != *checksum {
        return None;
    }
    let content = content.strip_prefix(MAGIC)?.strip_prefix(&key.0)?;
    let (codes, mut pixels) = content.split_at_checked(2 * count)?;
    let mut decoded = Vec::with_capacity(count);
    for code in codes.as_chunks::<2>().0 {
        decoded.push(match u16::from_le_bytes(*code) {
            0 => {
                let (image, rest) = pixels.split_at_checked(length)?;
                pixels = rest;
                Ok(image.to_vec())
            }
            code => Err(Refusal::ALL.iter().copied().find(|r| r.code() == code)?),
        });
    }
    pixels.is_empty().then_some(decoded)
}

/// Writes decoded files; a reader sees the whole file or none.
pub(super) fn store(folder: &Path, key: Digest, decoded: &[&Decoded]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&key.0);
    for d in decoded {
        bytes.extend_from_slice(&d.as_ref().err().map_or(0, |r| r.code()).to_le_bytes());
    }
    for image in decoded.iter().filter_map(|d| d.as_ref().ok()) {
        bytes.extend_from_slice(image);
    }
    let checksum = Digest::of(&bytes);
    bytes.extend_from_slice(&checksum.0);
    fs::create_dir_all(folder)?;
    base::files::write_atomically(&path(folder, key), &bytes)
}

fn path(folder: &Path, key: Digest) -> PathBuf {
    folder.join(format!("decoded-{key:.32}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stored_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        let decoded = vec![Ok(vec![1; 9]), Err(Refusal::Corrupt), Ok(vec![2; 9])];
        assert_eq!(load(folder.path(), key, 3, 9), None);
        store(folder.path(), key, &decoded.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(load(folder.path(), key, 3, 9), Some(decoded));
        assert_eq!(load(folder.path(), key, 2, 9), None, "another number of files");
        assert_eq!(load(folder.path(), key, 3, 8), None, "another size");

        let file = path(folder.path(), key);
        let mut bytes = fs::read(&file).unwrap();
        bytes[50] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(load(folder.path(), key, 3, 9), None, "a changed file");
        fs::write(&file, &bytes[..40]).unwrap();
        assert_eq!(load(folder.path(), key, 3, 9), None, "a truncated file");
    }
}
