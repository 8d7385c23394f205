//! What the box has seen of signed models, or of signed programs: counters, revoked keys, and the newest list of keys, in two
//! [`Copies`]. Models and programs each have a folder with such files of their own.

use std::{io, path::Path};

use trust::Known;

use crate::disk::{Copies, Disk};

const COPIES: Copies = Copies { magic: b"PUMUAT1\n", names: ["trust.1", "trust.2"], incoming: "trust.new" };

/// What each file says; `None` where there is none, or where it cannot be read.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> [Option<Known>; 2] {
    COPIES.read(disk, folder)
}

/// Of what another folder holds the lists of keys alone, which the roots have signed: a key that is revoked there signs nothing here.
pub(crate) fn lists(disk: &dyn Disk, folder: &Path) -> impl Iterator<Item = Known> {
    read(disk, folder).into_iter().flatten().map(|known| Known { list: known.list, ..Known::default() })
}

/// Writes both, each as a whole.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, known: &Known) -> io::Result<()> {
    COPIES.write(disk, folder, known)
}

#[cfg(test)]
pub(crate) mod tests {
    use shared::verdict::Digest;
    use trust::{KeyId, MAX_LIST_BYTES, Seen};

    use super::*;
    use crate::disk::simulated::Simulated;

    /// At least as much as can ever be known. The comments of signatures are not signed, so anyone who holds the line can put there
    /// what is longest as JSON.
    pub(crate) fn longest() -> Known {
        let key = KeyId([0xff; 8]);
        let seen = Seen { key, counter: u64::MAX, model: Digest([0xff; 32]) };
        let list = ["\n".repeat(MAX_LIST_BYTES), "\u{1}".repeat(MAX_LIST_BYTES)];
        Known { seen: vec![seen; 64], revoked: (u64::MAX, vec![key; 64]), list: Some(list) }
    }

    #[test]
    fn whatever_comes_with_a_list_what_was_known_is_read_again() {
        let (disk, folder) = (Simulated::default(), Path::new("/data/models"));
        write(&disk, folder, &longest()).unwrap();
        assert!(read(&disk, folder) == [Some(longest()), Some(longest())]);
    }
}
