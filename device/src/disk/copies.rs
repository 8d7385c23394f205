//! Something small that must not be lost, kept in two files, one written after the other, so that neither a power cut nor a bad sector
//! takes both. Each holds eight bytes that say what it is, the SHA-256 of the rest, and that as JSON.

use std::{io, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use shared::verdict::Digest;

use super::{Access, Disk};

/// Most bytes of one. Lists of keys, their signatures and a site file have less than 48 KiB, but a character in a comment that nobody signs may
/// take six bytes as JSON, and there is what is known of 64 keys.
const MOST: usize = 512 << 10;

/// Two such files.
pub(crate) struct Copies {
    /// How both begin.
    pub(crate) magic: &'static [u8; 8],
    /// Their names.
    pub(crate) names: [&'static str; 2],
    /// The name of one before it is complete.
    pub(crate) incoming: &'static str,
}

impl Copies {
    /// What each file says; `None` where there is none, or where it cannot be read.
    pub(crate) fn read<T: DeserializeOwned>(&self, disk: &dyn Disk, folder: &Path) -> [Option<T>; 2] {
        self.names.map(|name| {
            let read = disk.open(&folder.join(name), Access::Read).and_then(|file| file.read_up_to(0, MOST + 1));
            let kept = match read.as_deref() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                read => read.ok().and_then(|bytes| self.decoded(bytes)),
            };
            if kept.is_none() {
                crate::say(format_args!("{name} is damaged or cannot be read: its other copy counts"));
            }
            kept
        })
    }

    /// Writes both, each as a whole.
    pub(crate) fn write<T: Serialize>(&self, disk: &dyn Disk, folder: &Path, kept: &T) -> io::Result<()> {
        let rest = serde_json::to_vec(kept)?;
        let bytes = [&self.magic[..], &Digest::of(&rest).0, &rest].concat();
        if bytes.len() > MOST {
            // Nobody could read them again, and what is there would be gone.
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        disk.create_folder(folder)?;
        for name in self.names {
            let incoming = folder.join(self.incoming);
            let file = disk.open(&incoming, Access::New)?;
            file.write_all_at(&bytes, 0)?;
            // Of programs the first process writes it, and the worker reads it. Nothing of it is a secret.
            file.share()?;
            file.sync()?;
            disk.rename(&incoming, &folder.join(name))?;
            disk.sync_folder(folder)?;
        }
        Ok(())
    }

    /// Whether one of the files is there, whatever is in it.
    pub(crate) fn are_there(&self, disk: &dyn Disk, folder: &Path) -> bool {
        self.names.iter().any(|name| disk.open(&folder.join(name), Access::Read).is_ok())
    }

    fn decoded<T: DeserializeOwned>(&self, bytes: &[u8]) -> Option<T> {
        let (digest, rest) = bytes.strip_prefix(self.magic)?.split_first_chunk()?;
        if Digest::of(rest) != Digest(*digest) {
            return None;
        }
        serde_json::from_slice(rest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::simulated::Simulated, *};

    const COPIES: Copies = Copies { magic: b"PUMUAX1\n", names: ["x.1", "x.2"], incoming: "x.new" };

    #[test]
    fn what_would_be_too_long_to_be_read_again_takes_the_place_of_nothing() {
        let (disk, folder) = (Simulated::default(), Path::new("/data/x"));
        // Beside the text two quotation marks, and what stands before all of it.
        let longest = "x".repeat(MOST - 2 - 8 - 32);
        COPIES.write(&disk, folder, &longest).unwrap();
        let read = || COPIES.read::<String>(&disk, folder);
        assert!(read() == [Some(longest.clone()), Some(longest.clone())]);
        let error = COPIES.write(&disk, folder, &format!("{longest}x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(read() == [Some(longest.clone()), Some(longest)]);
    }
}
