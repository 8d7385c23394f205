//! Files: reading within limits; writing so that a reader, or anyone who comes after a crash, sees the old content or the
//! new one.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::FileTypeExt,
    path::Path,
};

use shared::{limits::MAX_IMAGE_BYTES, verdict::Refusal};

/// Writes `bytes` beside `path`, syncs, and renames over it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // What somebody may have put there, above all a link, is not written through.
        let mut file = File::create_new(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// Why a radiograph's bytes are not there.
#[derive(Debug)]
pub enum ReadError {
    /// The file is larger than a radiograph may be.
    Refused(Refusal),
    /// The file cannot be read.
    Io(io::Error),
}

/// Reads a radiograph of at most [`MAX_IMAGE_BYTES`].
pub fn read_radiograph(path: &Path) -> Result<Vec<u8>, ReadError> {
    let limit = u64::from(MAX_IMAGE_BYTES);
    let bytes = read_up_to(path, limit + 1).map_err(ReadError::Io)?;
    if bytes.len() as u64 > limit { Err(ReadError::Refused(Refusal::TooManyBytes)) } else { Ok(bytes) }
}

/// Reads at most the first `limit` bytes of a file: a device could continue for ever. To see whether a file is too large,
/// ask for one byte more than it may have. A named pipe is an error, because opening it waits for a writer.
pub fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("taken")).unwrap();
        let file = folder.path().join("file");
        for bytes in [&b"old"[..], b"new"] {
            write_atomically(&file, bytes).unwrap();
            assert_eq!(fs::read(&file).unwrap(), bytes);
        }
        // A folder cannot be replaced by a file; nothing is left behind.
        assert!(write_atomically(&folder.path().join("taken"), b"x").is_err());
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "taken"]);
    }
}
