//! The bundle: what fills a slot, packed into one file.

use std::{io, path::Path};

use base::files::write_atomically;
use flate2::{Compression, GzBuilder};
use shared::limits::MAX_BUNDLE_BYTES;
use trust::PackageHead;

use super::{BuildError, SlotManifest, Software, file_system, go_on, hex, make_folder_of, slot_content};
use crate::program;

/// A bundle that has been made.
#[derive(Debug)]
pub struct Bundled {
    /// What the slot is made of.
    pub slot: SlotManifest,
    /// Digest of the payload, which is what is signed, in hexadecimal digits.
    pub sha256: String,
    /// Digest of the file that was written.
    pub file_sha256: String,
    /// Bytes of all files in the slot.
    pub content: u64,
    /// Bytes of the file that was written.
    pub written: u64,
}

/// Makes a bundle that nobody has signed yet and writes it to `out`; a folder that is missing is made. It is the head of a
/// [`trust::Package`] without any text, then the file system of a slot, compressed with gzip. The same inputs make the same bundle to the
/// bit.
///
/// # Errors
/// [`BuildError`]: an input does not serve, something cannot be written, or Ctrl-C was pressed.
pub fn bundle(software: &Software<'_>, out: &Path) -> Result<Bundled, BuildError> {
    program::check(software.program)?;
    make_folder_of(out)?;
    let unpacked = software.packages.unpack(software.stop)?;
    let (files, slot) = slot_content(software, &unpacked)?;
    drop(unpacked);
    go_on(software.stop)?;
    let system = file_system(&files)?;
    let failed = |source| BuildError::Write { path: out.to_owned(), source };
    let payload = packed(&system).map_err(failed)?;
    go_on(software.stop)?;
    let bytes = [PackageHead::new(None, None).to_bytes(), payload].concat();
    let written = bytes.len() as u64;
    if written > MAX_BUNDLE_BYTES {
        return Err(BuildError::LargeBundle { bytes: written, most: MAX_BUNDLE_BYTES });
    }
    write_atomically(out, &bytes).map_err(failed)?;
    Ok(Bundled {
        slot,
        sha256: hex(&bytes[PackageHead::new(None, None).length..]),
        file_sha256: hex(&bytes),
        content: files.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        written,
    })
}

/// A payload of these bytes.
fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}
