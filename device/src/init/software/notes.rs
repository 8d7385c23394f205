//! What is noted of bundles, in files of the folder: each is there as a whole or not at all.

use std::{io, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    appliance::slots::{Outcome, Slot},
    verdict::Digest,
};

use crate::disk::{Access, Disk};

/// What became of the last bundle, an [`Outcome`]: for the worker, which tells hosts.
pub(super) const OUTCOME: &str = "outcome";
/// What is in the slot that does not run, a [`Staged`]: from the moment on at which all of it is there, until it is known whether it
/// serves.
pub(super) const STAGED: &str = "staged";
/// How often it was begun with a bundle, a number.
pub(super) const BEGUN: &str = "begun";
/// Which programs the slots hold that have served here, [`Programs`](shared::appliance::slots::Programs): for the worker, which offers to go
/// back.
pub(super) const PROGRAMS: &str = "programs";
/// That a person wants to go back, an [`Asked`]: from the moment on at which the worker has said so, until it is done or refused.
pub(super) const BACK: &str = "back";
/// Most bytes of a note.
const MOST: usize = 16 << 10;

/// A program that is to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// Where it is.
    pub(super) slot: Slot,
    /// What is to be said of it.
    pub(super) outcome: Outcome,
    /// SHA-256 of all bytes of the slot; zeros in a note of releases that did not write it.
    #[serde(default)]
    pub(super) content: Digest,
}

/// What a person wants to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// SHA-256 of all bytes of the slot.
    pub(super) content: Digest,
    /// How often it was begun with that.
    pub(super) begun: u8,
}

/// What a note says; `None` where there is none. One that cannot be read says nothing.
pub(super) fn read<T: DeserializeOwned>(disk: &dyn Disk, folder: &Path, name: &str) -> Option<T> {
    let read = disk.open(&folder.join(name), Access::Read).and_then(|file| file.read_up_to(0, MOST));
    let parsed = match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        read => read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)),
    };
    parsed.map_err(|error| crate::say(format_args!("what is noted as {name} cannot be read: {error}"))).ok()
}

/// Writes a note in the place of the one before. The outcome, and which programs there are, can be read by the worker.
///
/// # Errors
/// It is not on the disk; the one before may be.
pub(super) fn write(disk: &dyn Disk, folder: &Path, name: &str, note: &impl Serialize) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let file = disk.open(&new, Access::New)?;
    file.write_all_at(&serde_json::to_vec(note)?, 0)?;
    if [OUTCOME, PROGRAMS].contains(&name) {
        file.share()?;
    }
    file.sync()?;
    disk.rename(&new, &folder.join(name))?;
    disk.sync_folder(folder)
}

/// Removes a file of the folder, if it is there.
///
/// # Errors
/// It may still be there after a loss of power.
pub(super) fn remove(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<()> {
    match disk.remove(&folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| disk.sync_folder(folder)),
    }
}
