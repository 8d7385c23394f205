//! The disk as the journal, the models and the updates of the program use it: every call that can fail, in one place, so that
//! tests can let each of them fail.
//!
//! [`Card`] is the real one. It follows no link in the last part of a name, makes files that only their owner can read, and
//! folders that only their owner can enter.

use std::{
    ffi::OsString,
    fmt,
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::fs::{Advice, OFlags, fadvise, statvfs};

mod copies;
#[cfg(test)]
pub(crate) mod simulated;

pub(crate) use self::copies::Copies;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is there, and only read.
    Read,
    /// It is there, and read and written as it is: a block device. None is made, and nobody else's rights to it change.
    Device,
    /// It is read and written, and made if it is not there.
    Write,
    /// It is empty and new: what has had the name is removed before, and not followed if it was a link.
    New,
}

/// What can be read at any place.
pub trait ReadAt {
    /// Reads some bytes from a position on; 0 at the end.
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize>;

    /// Up to `count` bytes from a position on; fewer only at the end, or before bytes that cannot be read.
    fn read_up_to(&self, position: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.read_at(&mut bytes[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// An open file.
pub trait DiskFile: ReadAt + fmt::Debug + Send {
    /// Writes at a position, perhaps fewer bytes than given.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize>;

    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Makes it so long, with zeros where it grows.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns when all that was written is on the disk. When it fails, nobody knows what is, and the system may take what
    /// was written for clean: what matters must be written again.
    fn sync(&self) -> io::Result<()>;

    /// Locks it, unless somebody else has. It is unlocked with [`Self::unlock`] or when it is closed.
    fn lock(&self) -> Result<(), TryLockError>;

    /// Unlocks it.
    fn unlock(&self);

    /// Takes what is on the disk of it out of the system's memory: what is read next comes from the disk, and others have the
    /// memory. What was written is to be synced before.
    fn forget_cached(&self) {}

    /// Lets everybody read it who may enter its folder.
    fn share(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether it is found under a name. One that was removed, or that another has replaced, can still be written, and is
    /// gone when it is closed.
    fn is_at(&self, path: &Path) -> io::Result<bool>;

    /// Writes all bytes at a position.
    fn write_all_at(&self, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    position += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A disk. A new name, or one that is removed, is on it only when its folder is synced.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a folder and those above it, unless they are there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Gives a file another name, in place of whatever has that.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a name, and all that is in it where it is that of a folder.
    fn remove_whatever(&self, path: &Path) -> io::Result<()> {
        self.remove(path)
    }

    /// Bytes that have room beside what a folder is on has already.
    fn free(&self, _folder: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Returns when the names of a folder are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The memory card, or whatever the files of this computer are on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Card;

impl Disk for Card {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        // A pipe in the place of a file must not be waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.read(true).mode(0o600).custom_flags(flags);
        match access {
            Access::Read => {}
            Access::Device => drop(options.write(true)),
            Access::Write => drop(options.write(true).create(true)),
            Access::New => {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                options.write(true).create_new(true);
            }
        }
        let file = options.open(path)?;
        if access == Access::Write && file.metadata()?.permissions().mode() & 0o077 != 0 {
            // An earlier version has made it. What it holds is not lost if this fails.
            let _ = file.set_permissions(Permissions::from_mode(0o600));
        }
        Ok(Box::new(file))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_whatever(&self, path: &Path) -> io::Result<()> {
        if std::fs::symlink_metadata(path)?.is_dir() {
            std::fs::remove_dir_all(path)
        } else {
            std::fs::remove_file(path)
        }
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let system = statvfs(folder)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, position)
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, position)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn lock(&self) -> Result<(), TryLockError> {
        self.try_lock()
    }

    fn unlock(&self) {
        let _ = File::unlock(self);
    }

    fn forget_cached(&self) {
        // Advice only: without it, all is as before.
        let _ = fadvise(self, 0, None, Advice::DontNeed);
    }

    fn share(&self) -> io::Result<()> {
        self.set_permissions(Permissions::from_mode(0o644))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let (open, named) = match std::fs::symlink_metadata(path) {
            Ok(named) => (self.metadata()?, named),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
    }
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed_and_what_is_new_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (own, victim) = (folder.path().join("a/b"), folder.path().join("victim"));
        Card.create_folder(&own).unwrap();
        std::fs::write(&victim, "a letter").unwrap();
        let link = own.join("link");
        symlink(&victim, &link).unwrap();
        for access in [Access::Read, Access::Write] {
            assert!(Card.open(&link, access).is_err(), "{access:?}");
        }
        let file = Card.open(&link, Access::New).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"a letter");
        assert_eq!(std::fs::read(&link).unwrap(), b"new");
        let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&link), mode(&own)), (0o600, 0o700));
        std::fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
        Card.open(&victim, Access::Device).unwrap().write_all_at(b"A", 0).unwrap();
        assert_eq!((mode(&victim), std::fs::read(&victim).unwrap()), (0o644, b"A letter".to_vec()));
        assert!(Card.open(&own.join("absent"), Access::Device).is_err() && !own.join("absent").exists());
        let file = Card.open(&victim, Access::Write).unwrap();
        assert_eq!(mode(&victim), 0o600, "one of an earlier version");
        file.share().unwrap();
        assert_eq!(mode(&victim), 0o644);
    }

    #[test]
    fn a_folder_is_removed_with_what_is_in_it_and_links_in_it_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (own, victim) = (folder.path().join("own"), folder.path().join("victim"));
        std::fs::create_dir_all(own.join("deeper")).unwrap();
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("letter"), "a letter").unwrap();
        symlink(&victim, own.join("deeper/link")).unwrap();
        let link = folder.path().join("link");
        symlink(&victim, &link).unwrap();
        for path in [&own, &link] {
            assert!(Card.remove(&own).is_err());
            Card.remove_whatever(path).unwrap();
            assert!(std::fs::symlink_metadata(path).is_err());
        }
        assert!(victim.join("letter").exists());
        let absent = Card.remove_whatever(&own).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        assert!(Card.free(folder.path()).unwrap() > 0);
    }
}
