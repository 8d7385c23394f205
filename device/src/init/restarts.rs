//! How often the box has restarted itself without becoming well.
//!
//! No board has a clock or memory of its own that outlives a restart, so the count is on the data partition: the length of
//! a file, one byte for each restart. There is nothing in it to be read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use rustix::fs::OFlags;

/// The restarts of the box by itself, each of which is in a file.
pub(super) struct Restarts {
    file: PathBuf,
    most: u64,
}

impl Restarts {
    /// At most `most`, counted by a file.
    pub(super) fn new(file: PathBuf, most: u64) -> Self {
        Self { file, most }
    }

    /// Makes the file, unless it is there.
    pub(super) fn make(&self) -> io::Result<()> {
        self.open().map(drop)
    }

    /// Notes another one, safe from a loss of power. False if there have been enough. A count that cannot be written is an
    /// error, and no reason to restart: it might be restarted for ever.
    pub(super) fn another(&self) -> io::Result<bool> {
        let mut file = self.open()?;
        if file.metadata()?.len() >= self.most {
            return Ok(false);
        }
        file.write_all(b".")?;
        file.sync_all()?;
        Ok(true)
    }

    /// Forgets them all: the box is well.
    pub(super) fn forget(&self) -> io::Result<()> {
        let file = self.open()?;
        if file.metadata()?.len() > 0 {
            file.set_len(0)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// A link or a pipe in the place of the file is an error.
    fn open(&self) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(&self.file)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_allowed_until_the_box_was_well() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("restarts");
        for _ in 0..2 {
            // Each is noted by another start of the program.
            let noted = [0; 5].map(|_| Restarts::new(file.clone(), 3).another().unwrap());
            assert_eq!(noted, [true, true, true, false, false]);
            Restarts::new(file.clone(), 3).forget().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_counted_is_no_reason_to_restart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Restarts::new(folder.path().to_owned(), 3).another().is_err());
        assert!(Restarts::new("/nowhere/restarts".into(), 3).another().is_err());
        let target = folder.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
        assert!(Restarts::new(folder.path().join("link"), 3).another().is_err());
        assert_eq!(std::fs::read(target).unwrap(), b"");
    }
}
