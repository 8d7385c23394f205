//! The boot state on the card: two sectors, of which each holds all of it. The boot loader reads and writes them, too. A third one is
//! marked once the box has started from this card.

use std::{io, path::Path};

use shared::appliance::slots::{BootState, MARK_SECTOR, STATE_BYTES, STATE_SECTORS};

use crate::disk::{Access, Disk, DiskFile};

/// How the sector begins that is marked. The rest of it is zeros.
const MARK: &[u8] = b"PUMUAC1\n";

/// What each copy says; `None` of one that is damaged or cannot be read.
///
/// # Errors
/// The disk cannot be opened.
pub(super) fn read(disk: &dyn Disk, device: &Path) -> io::Result<[Option<BootState>; 2]> {
    let file = disk.open(device, Access::Read)?;
    Ok(STATE_SECTORS.map(|sector| {
        let bytes = file.read_up_to(sector * STATE_BYTES as u64, STATE_BYTES).ok()?;
        BootState::read(bytes.as_slice().try_into().ok()?)
    }))
}

/// Writes both copies, one after the other, each read back from the card: whenever it ends, one of them is whole.
///
/// # Errors
/// The card does not take it. Perhaps one copy says something else than the other then: the first that can be read counts.
pub(super) fn write(disk: &dyn Disk, device: &Path, state: BootState) -> io::Result<()> {
    let file = disk.open(device, Access::Device)?;
    STATE_SECTORS.into_iter().try_for_each(|sector| keep(&*file, sector, &state.bytes()))
}

/// Writes a sector, and reads it back from the card.
fn keep(file: &dyn DiskFile, sector: u64, bytes: &[u8; STATE_BYTES]) -> io::Result<()> {
    let at = sector * STATE_BYTES as u64;
    file.write_all_at(bytes, at)?;
    file.sync()?;
    file.forget_cached();
    if file.read_up_to(at, STATE_BYTES)? == bytes {
        Ok(())
    } else {
        Err(io::Error::other("the card does not keep what is written to it"))
    }
}

/// Whether the box has [marked](mark) this card.
///
/// # Errors
/// The disk cannot be read.
pub(super) fn is_marked(disk: &dyn Disk, device: &Path) -> io::Result<bool> {
    let file = disk.open(device, Access::Read)?;
    Ok(file.read_up_to(MARK_SECTOR * STATE_BYTES as u64, MARK.len())? == MARK)
}

/// Notes on the card that the box has started from it. An image that is written onto the card takes that away.
///
/// # Errors
/// The card does not take it.
pub(super) fn mark(disk: &dyn Disk, device: &Path) -> io::Result<()> {
    let mut bytes = [0; STATE_BYTES];
    bytes[..MARK.len()].copy_from_slice(MARK);
    keep(&*disk.open(device, Access::Device)?, MARK_SECTOR, &bytes)
}

/// The same, unless both copies say so already.
///
/// # Errors
/// As of [`read`] and [`write`].
pub(super) fn set(disk: &dyn Disk, device: &Path, state: BootState) -> io::Result<()> {
    if read(disk, device)? == [Some(state); 2] { Ok(()) } else { write(disk, device, state) }
}
