//! A film that is coming in.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use shared::limits::MAX_IMAGE_BYTES;

/// A film that is coming in. What is not kept is removed.
pub(crate) struct Incoming {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) hash: Sha256,
    pub(super) bytes: u64,
}

impl Incoming {
    /// Where it is until it is kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How much has come.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was written.
    pub(crate) fn read_back(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        (&self.file).take(u64::from(MAX_IMAGE_BYTES)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It has another name if it is kept.
        let _ = fs::remove_file(&self.path);
    }
}
