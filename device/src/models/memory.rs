//! What the box has seen of signed models: the greatest counter, and the newest list of keys. It is kept in two files, one written
//! after the other, so that neither a power cut nor a bad sector takes both.
//!
//! Each holds `PUMUAT1\n`, the SHA-256 of the rest, the counter (64 bits) and the length of the list of keys (32 bits), the lowest
//! byte first, and then the list and its signatures.

use std::{io, path::Path};

use shared::verdict::Digest;
use trust::{Known, MAX_LIST_BYTES};

use crate::disk::{Access, Disk};

const MAGIC: &[u8; 8] = b"PUMUAT1\n";
const HEAD: usize = MAGIC.len() + size_of::<Digest>();
const COPIES: [&str; 2] = ["trust.1", "trust.2"];
/// A copy before it is complete.
const INCOMING: &str = "trust.new";
/// Most bytes of a copy.
const MOST: usize = HEAD + 12 + 2 * MAX_LIST_BYTES;

/// The greatest counter and the newest list of both files; nothing where neither can be read.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Known {
    let mut best = Known::default();
    for name in COPIES {
        let read = disk.open(&folder.join(name), Access::Read).and_then(|file| file.read_up_to(0, MOST + 1));
        let known = match read.as_deref() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.ok().and_then(decoded),
        };
        let Some(known) = known else {
            crate::say(format_args!("{name} is damaged or cannot be read: what it says is taken from its other copy"));
            continue;
        };
        // The first is written first: where they differ, it is the newer one.
        best.counter = best.counter.max(known.counter);
        best.list = best.list.or(known.list);
    }
    best
}

/// Writes both, each as a whole.
pub(super) fn write(disk: &dyn Disk, folder: &Path, known: &Known) -> io::Result<()> {
    let bytes = encoded(known);
    disk.create_folder(folder)?;
    for name in COPIES {
        let incoming = folder.join(INCOMING);
        let file = disk.open(&incoming, Access::New)?;
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        disk.rename(&incoming, &folder.join(name))?;
        disk.sync_folder(folder)?;
    }
    Ok(())
}

fn encoded(known: &Known) -> Vec<u8> {
    let [list, signatures] = known.list.as_ref().map_or(["", ""], |[list, signatures]| [list.as_str(), signatures]);
    // A list that was verified is short.
    let length = u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes();
    let rest = [&known.counter.to_le_bytes()[..], &length, list.as_bytes(), signatures.as_bytes()].concat();
    [&MAGIC[..], &Digest::of(&rest).0, &rest].concat()
}

fn decoded(bytes: &[u8]) -> Option<Known> {
    let (digest, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    if Digest::of(rest) != Digest(*digest) {
        return None;
    }
    let (counter, rest) = rest.split_first_chunk()?;
    let (length, texts) = rest.split_first_chunk()?;
    let (list, signatures) =
        str::from_utf8(texts).ok()?.split_at_checked(u32::from_le_bytes(*length).try_into().ok()?)?;
    let list = (!list.is_empty()).then(|| [list, signatures].map(ToOwned::to_owned));
    Some(Known { counter: u64::from_le_bytes(*counter), list })
}
