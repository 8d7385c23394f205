//! Bundles of the box's own program that do not work.

use std::{
    fs,
    io::{Cursor, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result};
use fatfs::{FileSystem, FsOptions};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use trust::PackageHead;

/// The kernel starts this, and cannot: it is no program.
const NO_PROGRAM: &[u8] = b"This is a text.\n";

/// Writes a bundle like another one, but for its initial file system, whose first process cannot run. Nobody has signed it.
///
/// # Errors
/// The other one cannot be read, or this one written.
pub fn write_broken(bundle: &Path, out: &Path) -> Result<()> {
    let bytes = fs::read(bundle)?;
    let head = PackageHead::read(&bytes)?.length;
    let mut system = Vec::new();
    GzDecoder::new(&bytes[head..]).read_to_end(&mut system)?;
    {
        let system = FileSystem::new(Cursor::new(&mut system), FsOptions::new())?;
        let mut file = system.root_dir().open_file("initramfs.gz").context("the bundle has no initial file system")?;
        file.truncate()?;
        file.write_all(&packed(&initial_file_system()?)?)?;
    }
    fs::write(out, [PackageHead::new(None, None).to_bytes(), packed(&system)?].concat())?;
    Ok(())
}

fn initial_file_system() -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let length = u32::try_from(NO_PROGRAM.len())?;
    let mut entry = cpio::newc::Builder::new("init").mode(0o100_755).nlink(1).write(&mut archive, length);
    entry.write_all(NO_PROGRAM)?;
    entry.finish()?;
    cpio::newc::trailer(&mut archive)?;
    Ok(archive)
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
