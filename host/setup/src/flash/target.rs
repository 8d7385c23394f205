//! Which disk is meant, whether it may be overwritten, and the way to it.

use std::{
    fs::{self, File, Metadata},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ioctl_blksszget},
    io::Errno,
};

use super::{Disk, First, FlashError, Image, Part, Progress, Saved, System, compare, results::DataPartition, write};
use crate::mbr::SECTOR;

/// More bytes than a memory card of the box has: those of the largest card of "256 GB" and a little.
const LARGE: u64 = 260_000_000_000;

/// Folders of a system that runs: they and what is within them cannot be unmounted, even by root.
const SYSTEM: [&str; 9] = ["/boot", "/efi", "/etc", "/gnu", "/nix", "/opt", "/srv", "/usr", "/var"];
/// The same where a system runs from a medium: it is mounted there.
const LIVE: [&str; 8] =
    ["/cdrom", "/isodevice", "/lib/live", "/rofs", "/run/archiso", "/run/initramfs", "/run/live", "/sysroot"];
/// Folders of a system of which the folders within are their users' own affair.
const SHARED: [&str; 3] = ["/", "/home", "/root"];

/// What speaks against overwriting something, unless it is allowed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// A file system on it is mounted.
    Mounted,
    /// It is built in, see [`System::disk`].
    NonRemovable,
    /// It is larger than a memory card is expected to be: 260 GB.
    Large,
    /// It is a file: an emulator's disk, or somebody's photographs.
    File,
}

/// What a medium is opened for.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// To overwrite it, in spite of these dangers.
    Write(&'a [Danger]),
    /// To compare it with an image.
    Verify,
}

/// A medium that is open. A disk that is to be written is open for nobody else meanwhile, and cannot be mounted; of one that
/// is overwritten in spite of what is mounted there, this holds for its other partitions.
#[derive(Debug)]
pub struct Target {
    /// Before the medium: what is closed last is what the system looks at again.
    _held: Vec<File>,
    medium: File,
    metadata: Metadata,
    disk: Option<Disk>,
    bytes: u64,
    is_writable: bool,
}

impl Target {
    /// Opens what `path` names: a whole disk, or a file that exists. Nothing is created, chosen or written.
    ///
    /// # Errors
    /// [`FlashError`]: it is something else, speaks against being overwritten, or cannot be opened.
    pub fn open(system: &System, path: &Path, access: Access<'_>) -> Result<Self, FlashError> {
        let found = fs::metadata(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => FlashError::Absent { path: path.to_owned() },
            _ => FlashError::Inspect { path: path.to_owned(), source },
        })?;
        let mut flags = OFlags::CLOEXEC;
        let is_writable = matches!(access, Access::Write(_));
        flags |= if is_writable { OFlags::RDWR } else { OFlags::RDONLY };
        let mut held = Vec::new();
        let disk = if found.file_type().is_block_device() {
            let disk = system.disk(found.rdev())?;
            flags |= OFlags::DIRECT;
            if let Access::Write(allowed) = access {
                disk.may_be_overwritten(allowed)?;
                // The kernel refuses what a file system, swap or a volume uses, though none of it were to be seen here.
                if disk.parts().all(|part| part.mounts.is_empty()) {
                    flags |= OFlags::EXCL;
                } else if disk.whole.mounts.is_empty() {
                    // Of a disk that is mounted as a whole nobody can use a partition.
                    let others = disk.partitions.iter().filter(|part| part.mounts.is_empty());
                    held = others.map(|part| hold(part, &disk)).collect::<Result<_, _>>()?;
                }
            }
            Some(disk)
        } else if found.is_file() {
            if matches!(access, Access::Write(allowed) if !allowed.contains(&Danger::File)) {
                return Err(FlashError::File { path: path.to_owned() });
            }
            None
        } else {
            return Err(FlashError::NotADisk { path: path.to_owned() });
        };
        let opened = |errno: Errno| open_error(path, disk.as_ref(), errno);
        let mut medium = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(opened)?);
        let unreadable = |source| FlashError::Inspect { path: path.to_owned(), source };
        let metadata = medium.metadata().map_err(unreadable)?;
        let is_the_same = (metadata.rdev(), metadata.file_type()) == (found.rdev(), found.file_type());
        if !is_the_same || (metadata.dev(), metadata.ino()) != (found.dev(), found.ino()) {
            return Err(FlashError::Replaced { path: path.to_owned() });
        }
        if let Some(disk) = &disk {
            let bytes = ioctl_blksszget(&medium).map_err(|errno| unreadable(errno.into()))?;
            if bytes as usize != SECTOR {
                return Err(FlashError::SectorSize { name: disk.whole.name.clone(), bytes });
            }
        }
        let bytes = medium.seek(SeekFrom::End(0)).map_err(unreadable)?;
        Ok(Self { _held: held, medium, metadata, disk, bytes, is_writable })
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it was opened to be overwritten.
    pub fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// What the system knows of it; nothing of a file.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// Copies the data partition of the box that it was for into a new file, if an image has room for it.
    ///
    /// # Errors
    /// [`FlashError`]: there is none, it cannot be read or is too long, the file cannot be written, or `progress` has said stop.
    pub fn save_results(
        &mut self,
        image: &Image,
        path: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<Saved, FlashError> {
        let data = DataPartition::find(&mut self.medium, self.bytes)?;
        data.fits(image)?;
        data.save(&mut self.medium, path, progress)
    }

    /// Writes the image to it, with results in the place of the image's own data partition if there are any, and reads all back; what is
    /// behind the image stays as it is. The first sector, with the partition table, goes first and comes last: a medium that was not
    /// finished and found right has none, so no box starts from it and nobody takes it for whole.
    ///
    /// # Errors
    /// [`FlashError`]: the medium has not taken everything or gives back something else, or `progress` has said stop.
    pub fn write(
        &mut self,
        image: &Image,
        results: Option<&Saved>,
        progress: &mut Progress<'_>,
    ) -> Result<(), FlashError> {
        if self.holds(image.identity) {
            return Err(FlashError::ImageOnMedium);
        }
        if results.is_some_and(|saved| self.holds(saved.identity)) {
            return Err(FlashError::ResultsOnMedium);
        }
        write(image, results, &mut self.medium, progress)
    }

    /// Whether a file lies on it, or is it, by its device and inode.
    fn holds(&self, (device, inode): (u64, u64)) -> bool {
        match &self.disk {
            Some(disk) => disk.parts().any(|part| part.device == device),
            None => (device, inode) == (self.metadata.dev(), self.metadata.ino()),
        }
    }

    /// Compares all bytes of the image with those of the medium, as the medium gives them, not as the system remembers
    /// them: a disk is read past the page cache, and of a file the cache is dropped.
    ///
    /// # Errors
    /// [`FlashError`]: they differ, the medium cannot be read, or `progress` has said stop.
    pub fn verify(&mut self, image: &Image, progress: &mut Progress<'_>) -> Result<(), FlashError> {
        compare(image, &mut self.medium, First::Image, progress)?;
        Ok(())
    }
}

impl Disk {
    /// # Errors
    /// [`FlashError`]: the gravest of what speaks against overwriting it and is not `allowed`.
    pub fn may_be_overwritten(&self, allowed: &[Danger]) -> Result<(), FlashError> {
        let name = || self.whole.name.clone();
        if self.whole.bytes == 0 {
            return Err(FlashError::NoMedium { name: name() });
        }
        let mut places = self.parts().flat_map(|part| &part.mounts);
        if let Some(place) = places.find(|place| is_of_the_system(place)) {
            return Err(FlashError::System { name: name(), place: place.clone() });
        }
        for part in self.parts() {
            if part.swap {
                return Err(FlashError::Swap { part: part.name.clone() });
            }
            if let Some(holder) = part.holders.first() {
                return Err(FlashError::Held { part: part.name.clone(), holder: holder.clone() });
            }
        }
        if self.read_only {
            return Err(FlashError::ReadOnly { name: name() });
        }
        if !self.removable && !allowed.contains(&Danger::NonRemovable) {
            return Err(FlashError::NonRemovable { name: name() });
        }
        if self.whole.bytes > LARGE && !allowed.contains(&Danger::Large) {
            return Err(FlashError::Large { name: name(), gigabytes: self.whole.bytes / 1_000_000_000 });
        }
        for part in self.parts().filter(|_| !allowed.contains(&Danger::Mounted)) {
            if let Some(place) = part.mounts.first() {
                return Err(FlashError::Mounted { part: part.name.clone(), place: place.clone() });
            }
        }
        Ok(())
    }
}

fn is_of_the_system(place: &str) -> bool {
    let within = |folder: &&str| Path::new(place).starts_with(folder);
    SYSTEM.iter().chain(&LIVE).any(within) || SHARED.contains(&place)
}

/// Opens a partition so that nobody else can use it. The kernel refuses that where somebody does.
fn hold(part: &Part, disk: &Disk) -> Result<File, FlashError> {
    let path = Path::new("/dev").join(&part.name);
    let flags = OFlags::CLOEXEC | OFlags::RDONLY | OFlags::EXCL;
    let opened = rustix::fs::open(&path, flags, Mode::empty());
    Ok(File::from(opened.map_err(|errno| open_error(&path, Some(disk), errno))?))
}

pub(super) fn open_error(path: &Path, disk: Option<&Disk>, errno: Errno) -> FlashError {
    let path: PathBuf = path.to_owned();
    match (errno, disk) {
        (Errno::BUSY, _) => FlashError::Busy { path },
        (Errno::ACCESS | Errno::PERM, _) => FlashError::Permission { path },
        (Errno::NOMEDIUM, Some(disk)) => FlashError::NoMedium { name: disk.whole.name.clone() },
        (Errno::ROFS, Some(disk)) => FlashError::ReadOnly { name: disk.whole.name.clone() },
        _ => FlashError::Open { path, source: errno.into() },
    }
}
