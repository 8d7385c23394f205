//! What the box has seen of signed models, or of signed programs: counters, revoked keys, and the newest list of keys. It is kept in
//! two files, one written after the other, so that neither a power cut nor a bad sector takes both. Models and programs each have a
//! folder with such files of their own.
//!
//! Each holds `PUMUAT1\n`, the SHA-256 of the rest, and [`Known`] as JSON.

use std::{io, path::Path};

use shared::verdict::Digest;
use trust::{Known, MAX_LIST_BYTES};

use crate::disk::{Access, Disk};

const MAGIC: &[u8; 8] = b"PUMUAT1\n";
const COPIES: [&str; 2] = ["trust.1", "trust.2"];
/// A copy before it is complete.
const INCOMING: &str = "trust.new";
/// Most bytes of a copy: the list and its signatures, and names, counters and digests of as many keys as are remembered.
const MOST: usize = 4 * MAX_LIST_BYTES;

/// What each file says; `None` where there is none, or where it cannot be read.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> [Option<Known>; 2] {
    COPIES.map(|name| {
        let read = disk.open(&folder.join(name), Access::Read).and_then(|file| file.read_up_to(0, MOST + 1));
        let known = match read.as_deref() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.ok().and_then(decoded),
        };
        if known.is_none() {
            crate::say(format_args!("{name} is damaged or cannot be read: its other copy counts"));
        }
        known
    })
}

/// Of what another folder holds the lists of keys alone, which the roots have signed: a key that is revoked there signs nothing here.
pub(crate) fn lists(disk: &dyn Disk, folder: &Path) -> impl Iterator<Item = Known> {
    read(disk, folder).into_iter().flatten().map(|known| Known { list: known.list, ..Known::default() })
}

/// Writes both, each as a whole.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, known: &Known) -> io::Result<()> {
    let rest = serde_json::to_vec(known)?;
    let bytes = [&MAGIC[..], &Digest::of(&rest).0, &rest].concat();
    disk.create_folder(folder)?;
    for name in COPIES {
        let incoming = folder.join(INCOMING);
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

fn decoded(bytes: &[u8]) -> Option<Known> {
    let (digest, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    if Digest::of(rest) != Digest(*digest) {
        return None;
    }
    serde_json::from_slice(rest).ok()
}
