//! What the box has seen of signed models, or of signed programs: counters, revoked keys, and the newest list of keys, in two
//! [`Copies`]. Models and programs each have a folder with such files of their own.

use std::{io, path::Path};

use trust::{Known, MAX_LIST_BYTES};

use crate::disk::{Copies, Disk};

const COPIES: Copies = Copies {
    magic: b"PUMUAT1\n",
    names: ["trust.1", "trust.2"],
    incoming: "trust.new",
    // The list and its signatures, and names, counters and digests of as many keys as are remembered.
    most: 4 * MAX_LIST_BYTES,
};

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
