//! The boot state on the card: two sectors, of which each holds all of it. The boot loader reads and writes them, too.

use std::{io, path::Path};

use shared::appliance::slots::{BootState, STATE_BYTES, STATE_SECTORS};

use crate::disk::{Access, Disk};

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
    let bytes = state.bytes();
    for sector in STATE_SECTORS {
        let at = sector * STATE_BYTES as u64;
        file.write_all_at(&bytes, at)?;
        file.sync()?;
        file.forget_cached();
        if file.read_up_to(at, STATE_BYTES)? != bytes {
            return Err(io::Error::other("the card does not keep what is written to it"));
        }
    }
    Ok(())
}

/// The same, unless both copies say so already.
///
/// # Errors
/// As of [`read`] and [`write`].
pub(super) fn set(disk: &dyn Disk, device: &Path, state: BootState) -> io::Result<()> {
    if read(disk, device)? == [Some(state); 2] { Ok(()) } else { write(disk, device, state) }
}
