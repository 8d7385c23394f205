//! Bundles of the box's own program as they lie in files: read to their end, held to what a slot takes, signed.

use std::{
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use base::{
    Shown,
    files::{read_up_to, write_atomically},
};
use fatfs::{FileSystem, FsOptions};
use flate2::read::GzDecoder;
use serde::Deserialize;
use shared::{
    appliance::slots::{SLOT_BYTES, SLOT_MANIFEST},
    limits::MAX_BUNDLE_BYTES,
};
use trust::{Digests, MAX_HEAD_BYTES, PackageHead};

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Most bytes of the manifest of a slot.
const MAX_MANIFEST: u64 = 64 << 10;
/// Most bytes of a slot that are read on the way to its manifest.
const MAX_READ: u64 = 1 << 20;

/// Why a file is not a bundle that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("cannot read the bundle {path}: {source}: name a file that you may read", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is damaged, or something else.
    #[error("{path} is not a bundle for a box ({reason}): copy it again, or make it with `pumua bundle`", path = Shown(path.display()))]
    Unlike {
        /// The file.
        path: PathBuf,
        /// What is amiss.
        reason: &'static str,
    },
    /// It cannot be written.
    #[error("cannot write the bundle {path}: {source}: let this user write there", path = Shown(path.display()))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the manifest of a slot says of it.
#[derive(Debug, Deserialize)]
struct Said {
    version: String,
    kernel: String,
}

/// A bundle that was read to its end.
pub struct Bundle {
    bytes: Vec<u8>,
    signature: Option<String>,
    list: Option<[String; 2]>,
    /// Where its payload begins.
    payload: usize,
    /// Version of the program that is in it.
    pub version: String,
    /// Version of the kernel that is in it.
    pub kernel: String,
    /// Digests of its payload.
    pub digests: Digests,
}

impl Bundle {
    /// Whether a file begins as a bundle does; false of one that cannot be read.
    pub fn is_one(path: &Path) -> bool {
        let most = (MAX_HEAD_BYTES + GZIP.len()) as u64;
        let Ok(bytes) = read_up_to(path, most) else { return false };
        PackageHead::read(&bytes).is_ok_and(|head| bytes[head.length..].starts_with(&GZIP))
    }

    /// Reads a bundle, and unpacks it to see that it fills a slot.
    ///
    /// # Errors
    /// [`BundleError`]: it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let unlike = |reason| BundleError::Unlike { path: path.to_owned(), reason };
        let bytes = read_up_to(path, MAX_BUNDLE_BYTES + 1)
            .map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(unlike("it is too long"));
        }
        let head = PackageHead::read(&bytes).map_err(|_| unlike("it does not begin as one"))?;
        let payload = head.length;
        let signature = head.signature.map(str::to_owned);
        let list = head.list.map(|texts| texts.map(str::to_owned));
        let Said { version, kernel } = said(&bytes[payload..]).map_err(unlike)?;
        let digests = Digests::of(&bytes[payload..]);
        Ok(Self { bytes, signature, list, payload, version, kernel, digests })
    }

    /// What comes before its payload.
    pub fn head(&self) -> PackageHead<'_> {
        let list = self.list.as_ref().map(|texts| texts.each_ref().map(String::as_str));
        PackageHead::new(self.signature.as_deref(), list)
    }

    /// Bytes of its payload, which is the end of the file.
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len() - self.payload
    }

    /// Writes it to `path` with another head: the old file or the new one is there, never half of it.
    ///
    /// # Errors
    /// [`BundleError`]: it cannot be written, or would be too long.
    pub fn write(&self, head: &PackageHead<'_>, path: &Path) -> Result<(), BundleError> {
        let bytes = [&head.to_bytes(), &self.bytes[self.payload..]].concat();
        if bytes.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(BundleError::Unlike { path: path.to_owned(), reason: "it would be too long" });
        }
        write_atomically(path, &bytes).map_err(|source| BundleError::Write { path: path.to_owned(), source })
    }
}

/// A file system of which only so much is read: in one that is made to do harm, a folder may lead back to its own beginning.
struct Disk {
    bytes: Cursor<Vec<u8>>,
    left: u64,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or(io::ErrorKind::InvalidData)?;
        Ok(read)
    }
}

/// Nothing is written, but `fatfs` asks for it.
impl io::Write for Disk {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for Disk {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        io::Seek::seek(&mut self.bytes, to)
    }
}

/// What the slot in a payload says of itself.
fn said(payload: &[u8]) -> Result<Said, &'static str> {
    let mut system = Vec::new();
    let unpacked = GzDecoder::new(payload).take(SLOT_BYTES + 1).read_to_end(&mut system);
    unpacked.map_err(|_| "its payload is damaged")?;
    if system.len() as u64 != SLOT_BYTES {
        return Err("its payload does not fill a slot");
    }
    let mut text = Vec::new();
    let read = || -> io::Result<()> {
        let system = FileSystem::new(Disk { bytes: Cursor::new(system), left: MAX_READ }, FsOptions::new())?;
        let file = system.root_dir().open_file(SLOT_MANIFEST)?;
        file.take(MAX_MANIFEST).read_to_end(&mut text).map(drop)
    };
    read().map_err(|_| "its payload is not the file system of a slot")?;
    serde_json::from_slice(&text).map_err(|_| "its payload does not say what it is")
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use fatfs::{FatType, FormatVolumeOptions, format_volume};
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn slot(manifest: &[u8]) -> Vec<u8> {
        let mut disk = Cursor::new(vec![0; SLOT_BYTES as usize]);
        let options = FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(1024);
        format_volume(&mut disk, options).unwrap();
        disk.set_position(0);
        {
            let system = FileSystem::new(&mut disk, FsOptions::new()).unwrap();
            system.root_dir().create_file(SLOT_MANIFEST).unwrap().write_all(manifest).unwrap();
        }
        disk.into_inner()
    }

    #[test]
    fn a_bundle_is_read_signed_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box.pumua");
        let payload = gzip(&slot(br#"{"version":"1.2.3","kernel":"6","more":[]}"#));
        fs::write(&path, [PackageHead::new(None, None).to_bytes(), payload.clone()].concat()).unwrap();
        assert!(Bundle::is_one(&path));
        let bundle = Bundle::read(&path).unwrap();
        assert_eq!((bundle.version.as_str(), bundle.kernel.as_str()), ("1.2.3", "6"));
        assert_eq!((bundle.digests, bundle.payload_bytes()), (Digests::of(&payload), payload.len()));
        assert_eq!((bundle.head().signature, bundle.head().list), (None, None));
        bundle.write(&PackageHead::new(Some("signature"), Some(["list", "signatures"])), &path).unwrap();
        assert!(Bundle::is_one(&path));
        let again = Bundle::read(&path).unwrap();
        assert_eq!((again.head().signature, again.head().list), (Some("signature"), Some(["list", "signatures"])));
        assert_eq!(again.digests, bundle.digests);
        assert!(fs::read(&path).unwrap().ends_with(&payload));
    }

    #[test]
    fn a_folder_that_leads_back_to_its_beginning_is_not_read_for_ever() {
        let mut disk = slot(b"{}");
        let number = |place: usize, bytes: usize| {
            disk[place..place + bytes].iter().rev().fold(0, |number, byte| number * 256 + usize::from(*byte))
        };
        // As the first sector says: its size, that of a cluster, what comes before the tables, the tables, the first folder.
        let sector = number(11, 2);
        let (cluster, tables, root) = (number(13, 1) * sector, number(14, 2) * sector, number(44, 4));
        let folder = tables + number(16, 1) * number(36, 4) * sector + (root - 2) * cluster;
        // Entries of files that were removed, and no end.
        disk[folder..folder + cluster].fill(0xe5);
        let next = tables + root * 4;
        disk[next..next + 4].copy_from_slice(&u32::try_from(root).unwrap().to_le_bytes());
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("box.pumua");
        fs::write(&path, [PackageHead::new(None, None).to_bytes(), gzip(&disk)].concat()).unwrap();
        let Err(error) = Bundle::read(&path) else { panic!("it was read") };
        assert!(error.to_string().contains("file system"), "{error}");
    }

    #[test]
    fn other_files_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let head = PackageHead::new(None, None).to_bytes();
        assert!(!Bundle::is_one(&path), "there is none");
        assert!(matches!(Bundle::read(&path), Err(BundleError::Read { .. })));
        let whole = gzip(&slot(b"{}"));
        let small = gzip(b"small");
        let with_head = |payload: &[u8]| [&head[..], payload].concat();
        for (bytes, is_one, words) in [
            (Vec::new(), false, "begin"),
            (b"\x08\x07ONNX".to_vec(), false, "begin"),
            (head.clone(), false, "damaged"),
            (with_head(b"\x08\x07ONNX"), false, "damaged"),
            (with_head(&whole[..whole.len() - 100]), true, "damaged"),
            (with_head(&small), true, "fill a slot"),
            (with_head(&gzip(&vec![0; SLOT_BYTES as usize])), true, "file system"),
            (with_head(&gzip(&vec![0; SLOT_BYTES as usize + 1])), true, "fill a slot"),
            (with_head(&whole), true, "say what it is"),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(Bundle::is_one(&path), is_one, "{words}");
            let Err(error) = Bundle::read(&path) else { panic!("{words}") };
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
    }
}
