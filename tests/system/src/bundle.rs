//! Bundles of the box's own program, some of which do not work, and a stand-in for what works at them.

use std::{
    fs,
    io::{Cursor, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use shared::{
    appliance::slots::{Outcome, SLOT_BYTES, SLOT_MANIFEST, Stage},
    verdict::{Digest, Trust},
};
use trust::PackageHead;

use crate::{PATIENCE, within};

/// The kernel starts this, and cannot: it is no program.
const NO_PROGRAM: &[u8] = b"This is a text.\n";

/// Writes a bundle like another one, but for its initial file system, whose first process cannot run. Nobody has signed it.
///
/// # Errors
/// The other one cannot be read, or this one written.
pub fn write_broken(bundle: &Path, out: &Path) -> Result<()> {
    write_changed(bundle, out, |system| {
        let mut file = system.root_dir().open_file("initramfs.gz").context("the bundle has no initial file system")?;
        file.truncate()?;
        Ok(file.write_all(&packed(&initial_file_system()?)?)?)
    })
}

/// Writes a bundle with the program of another one, and with one file more, so that their slots differ. Nobody has signed it.
///
/// # Errors
/// The other one cannot be read, or this one written.
pub fn write_another(bundle: &Path, out: &Path) -> Result<()> {
    write_changed(bundle, out, |system| Ok(system.root_dir().create_file("another.txt")?.write_all(NO_PROGRAM)?))
}

fn write_changed(
    bundle: &Path,
    out: &Path,
    change: impl FnOnce(&FileSystem<Cursor<&mut Vec<u8>>>) -> Result<()>,
) -> Result<()> {
    let bytes = fs::read(bundle)?;
    let head = PackageHead::read(&bytes)?.length;
    let mut system = Vec::new();
    GzDecoder::new(&bytes[head..]).read_to_end(&mut system)?;
    change(&FileSystem::new(Cursor::new(&mut system), FsOptions::new())?)?;
    fs::write(out, [PackageHead::new(None, None).to_bytes(), packed(&system)?].concat())?;
    Ok(())
}

/// A bundle that nobody has signed, with the version 9.8.7, of a slot with nothing in it.
///
/// # Errors
/// The slot cannot be made.
pub fn small() -> Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; usize::try_from(SLOT_BYTES)?]);
    format_volume(&mut disk, FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(1024))?;
    disk.set_position(0);
    {
        let system = FileSystem::new(&mut disk, FsOptions::new())?;
        let manifest = br#"{"version":"9.8.7","kernel":"6.1.0"}"#;
        system.root_dir().create_file(SLOT_MANIFEST)?.write_all(manifest)?;
    }
    let mut bytes = [&b"PUMUAS1\n"[..], &[0; 12]].concat();
    let mut gzip = GzBuilder::new().mtime(0).write(&mut bytes, Compression::best());
    gzip.write_all(disk.get_ref())?;
    gzip.finish()?;
    Ok(bytes)
}

/// Takes the place of the first process, which a simulated box has not: waits until this bundle has come to its folder, and says that it
/// is staged.
///
/// # Errors
/// It does not come, or not whole.
pub fn stage(folder: &Path, bundle: &[u8]) -> Result<()> {
    let ready = folder.join("incoming/ready");
    ensure!(within(PATIENCE, || ready.exists()), "it does not arrive");
    ensure!(fs::read(&ready)? == bundle, "it does not arrive whole");
    fs::rename(&ready, folder.join("bundle"))?;
    let (name, file) = ("pumua-9".to_owned(), Digest::of(bundle));
    let (trust, result) = (Trust::Unsigned, Stage::Staged);
    let outcome = Outcome { bundle: file, file, name, counter: None, key: None, trust, result };
    fs::write(folder.join("outcome"), serde_json::to_vec(&outcome)?)?;
    fs::remove_file(folder.join("bundle"))?;
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
