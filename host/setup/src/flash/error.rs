//! What can go wrong between an image and a medium, each with the next action.

use std::{io, path::PathBuf};

use base::{Shown, interrupt::Interrupted};
use rustix::io::Errno;

use crate::signed_image::ImageRefused;

/// Why a medium has not been written, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The image cannot be read.
    #[error("cannot read the image {path}: {source}: name an image file that you may read", path = Shown(path.display()))]
    ImageRead {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image is a folder, a device or a pipe.
    #[error("{path} is not a file: name the image first, then the medium", path = Shown(path.display()))]
    ImageKind {
        /// What was named.
        path: PathBuf,
    },
    /// The compressed image is cut short.
    #[error("the compressed image {path} ends too early: copy or download it again", path = Shown(path.display()))]
    ImageTruncated {
        /// The image.
        path: PathBuf,
    },
    /// The compressed image is damaged.
    #[error("the compressed image {path} is damaged ({source}): copy or download it again", path = Shown(path.display()))]
    ImageDamaged {
        /// The image.
        path: PathBuf,
        /// What the decompressor says.
        source: io::Error,
    },
    /// It is not an image of a memory card of the box.
    #[error("{path} is not an image of a box ({reason}): name a file made by `pumua image`", path = Shown(path.display()))]
    ImageUnlike {
        /// The image.
        path: PathBuf,
        /// What is amiss.
        reason: String,
    },
    /// It is whole, but not the image that was meant.
    #[error(
        "{path} is not the image that was meant: its SHA-256 is {digest}, and {says_who} says {expected}; nothing has been \
         written: copy or download both again",
        path = Shown(path.display())
    )]
    OtherImage {
        /// The image.
        path: PathBuf,
        /// Digest of the file, in hexadecimal digits.
        digest: String,
        /// The digest that it should have.
        expected: String,
        /// Who says so.
        says_who: String,
    },
    /// Nobody whom the roots name says that it is good.
    #[error("nothing has been written: {0}")]
    NotVouched(ImageRefused),
    /// Only the test key says that it is good, and that is not enough.
    #[error(
        "nothing has been written: the image is signed with the TEST KEY, with which anybody can sign: use one that a key of yours has \
         signed, and name its roots with --root; leave out --signed-only to write this one on purpose"
    )]
    TestKey,
    /// The file with the digest cannot be used.
    #[error(
        "{path} does not hold the SHA-256 of one file ({reason}): delete it, or name the digest with `--sha256`",
        path = Shown(path.display())
    )]
    Checksum {
        /// The file beside the image.
        path: PathBuf,
        /// What is amiss.
        reason: String,
    },
    /// The image is another one than when it was checked.
    #[error("the image has changed since it was checked: flash the medium again")]
    ImageChanged,
    /// The image could be read when it was checked, and now it cannot.
    #[error("the medium is incomplete from byte {offset} on, because of the image: {source}; then flash it again")]
    Abandoned {
        /// How far the medium is written.
        offset: u64,
        /// Why.
        source: Box<FlashError>,
    },
    /// The image lies on the medium, or is the medium.
    #[error("the image is on the medium that it is to overwrite: copy it to another place first")]
    ImageOnMedium,
    /// The copy of the results lies there.
    #[error("the copy of the results is on the medium that is overwritten: copy it to another place first")]
    ResultsOnMedium,
    /// There is nothing of that name.
    #[error("there is no {path}: leave it out to list the media", path = Shown(path.display()))]
    Absent {
        /// The medium.
        path: PathBuf,
    },
    /// The device or what the system reports about it cannot be read.
    #[error("cannot find out what {path} is: {source}: check that /sys and /proc are there and may be read", path = Shown(path.display()))]
    Inspect {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a folder, a serial port or the like.
    #[error("{path} is not a disk: leave it out to list the media", path = Shown(path.display()))]
    NotADisk {
        /// What was named.
        path: PathBuf,
    },
    /// It is one part of a disk.
    #[error("{name} is one partition of the disk {disk}: name the whole disk, /dev/{disk}, if that is the medium")]
    Partition {
        /// The partition, such as `sdb1`.
        name: String,
        /// The disk that it is on, such as `sdb`.
        disk: String,
    },
    /// A card reader without a card.
    #[error("there is no medium in {name}: put one in")]
    NoMedium {
        /// The disk.
        name: String,
    },
    /// It is write-protected.
    #[error("{name} is write-protected: slide the lock on the edge of the card, or use another medium")]
    ReadOnly {
        /// The disk.
        name: String,
    },
    /// The image is larger than the medium.
    #[error("the medium has {medium} bytes and the image needs {atleast}{image}: use a larger medium", atleast = if *whole { "" } else { "more than " })]
    TooSmall {
        /// Bytes of the medium.
        medium: u64,
        /// Bytes of the image, as far as they have been counted.
        image: u64,
        /// All of the image has been counted.
        whole: bool,
    },
    /// Its sectors are not those that the image is made for.
    #[error("{name} has sectors of {bytes} bytes, and the image is made for sectors of 512: use another medium")]
    SectorSize {
        /// The disk.
        name: String,
        /// Bytes of a logical sector.
        bytes: u32,
    },
    /// A file where a disk is expected.
    #[error("{path} is a file, not a disk: `--allow file` overwrites it anyway, for an emulator", path = Shown(path.display()))]
    File {
        /// The file.
        path: PathBuf,
    },
    /// Something on it is in use as a file system.
    #[error("{part} is mounted at {}: unmount it first; `--allow mounted` overwrites it anyway", Shown(place))]
    Mounted {
        /// The partition or the disk.
        part: String,
        /// Where it is mounted.
        place: String,
    },
    /// The running system is on it.
    #[error(
        "{name} carries {} of the system that is running: it cannot be overwritten; name another disk",
        Shown(place)
    )]
    System {
        /// The disk.
        name: String,
        /// A folder of the system.
        place: String,
    },
    /// The system swaps to it.
    #[error("{part} is in use as swap space: if that is the right disk, `swapoff /dev/{part}` first")]
    Swap {
        /// The partition or the disk.
        part: String,
    },
    /// It is part of an encrypted disk, a volume group, an array or a loop device.
    #[error("{part} is held by {holder}: if that is the right disk, close that volume, array or loop device first")]
    Held {
        /// The partition or the disk.
        part: String,
        /// The device built upon it.
        holder: String,
    },
    /// It is built in.
    #[error("{name} is not a removable medium: check the name; `--allow non-removable` overwrites it anyway")]
    NonRemovable {
        /// The disk.
        name: String,
    },
    /// It is larger than a memory card of the box would be.
    #[error(
        "{name} has {gigabytes} GB, more than a memory card is expected to: check the name; `--allow large` overwrites it anyway"
    )]
    Large {
        /// The disk.
        name: String,
        /// Its size in 10⁹ bytes.
        gigabytes: u64,
    },
    /// Another program, or the kernel itself, uses it.
    #[error("{path} is in use: unmount it and close the programs that use it, then try again", path = Shown(path.display()))]
    Busy {
        /// The medium.
        path: PathBuf,
    },
    /// It may not be opened.
    #[error(
        "no permission to open {path}: run the command with `sudo`, or add yourself to the group that owns it (often `disk`)",
        path = Shown(path.display())
    )]
    Permission {
        /// The medium.
        path: PathBuf,
    },
    /// It cannot be opened for another reason.
    #[error("cannot open {path}: {source}: {action}", path = Shown(path.display()), action = action(source))]
    Open {
        /// The medium.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another device has taken the name meanwhile.
    #[error("{path} has become another device just now: check the name and try again", path = Shown(path.display()))]
    Replaced {
        /// The medium.
        path: PathBuf,
    },
    /// Writing has failed.
    #[error("cannot write at byte {offset} of the medium: {source}; it is incomplete now: {action}", action = action(source))]
    Write {
        /// Where, in bytes from the start of the medium.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// Writing stops short of the medium's own size.
    #[error("the medium takes nothing more from byte {offset} on; it is incomplete now: use another one")]
    Short {
        /// Where, in bytes from the start of the medium.
        offset: u64,
    },
    /// What was written could not be made lasting.
    #[error("the medium does not confirm what was written: {source}; it is incomplete now: {action}", action = action(source))]
    Sync {
        /// Why.
        source: io::Error,
    },
    /// Reading back has failed.
    #[error("cannot read back at byte {offset} of the medium: {source}; it cannot be relied upon: {action}", action = action(source))]
    ReadBack {
        /// Where, in bytes from the start of the medium.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The medium holds other bytes than the image.
    #[error(
        "the medium differs from the image at byte {offset}: flash it again; if it differs again, it is worn or smaller than it says: use another one"
    )]
    Differs {
        /// The first byte that differs, counted from the start of the medium.
        offset: u64,
    },
    /// A medium without a partition table, of which nobody knows where its results are.
    #[error(
        "the medium has no partition table, so nobody knows where its results are; nothing has been written: if a flashing was \
         interrupted, name the file that it has saved with `--results`"
    )]
    NoTable,
    /// No partition is that of a box's data.
    #[error(
        "no partition of the medium holds the results of a box; nothing has been written: check the name of the device, or leave out \
         `--keep-results`"
    )]
    NoResults,
    /// The results on the medium cannot be read.
    #[error(
        "cannot read the results at byte {offset} of the medium: {source}; nothing has been written: put it in again, or use another \
         reader; fetch what you can with `pumua results`, then leave out `--keep-results`"
    )]
    ResultsUnreadable {
        /// Where, in bytes from the start of the medium.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The copy of the results cannot be written or read.
    #[error("cannot write or read the copy of the results, {path}: {source}: make room, or name another folder with `--keep`", path = Shown(path.display()))]
    ResultsFile {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not the copy of results.
    #[error("{path} is not a copy of the results of a box ({reason}): name a file that `--keep-results` has saved", path = Shown(path.display()))]
    ResultsUnlike {
        /// The file.
        path: PathBuf,
        /// What is amiss.
        reason: String,
    },
    /// The results do not fit.
    #[error(
        "the results have {results} bytes, and the image has room for {room}; nothing has been written: use an image of this version or \
         a later one"
    )]
    ResultsTooLarge {
        /// Bytes of the copy.
        results: u64,
        /// Bytes of the data partition of the image.
        room: u64,
    },
    /// Stopped before anything was written.
    #[error("stopped by Ctrl-C; nothing has been written")]
    StoppedBefore(#[source] Interrupted),
    /// Stopped in the middle.
    #[error("stopped by Ctrl-C at byte {offset}: the medium is incomplete and has no partition table: flash it again")]
    StoppedWriting {
        /// Where, in bytes from the start of the medium.
        offset: u64,
        /// The reason.
        source: Interrupted,
    },
    /// Stopped while reading back.
    #[error("stopped by Ctrl-C at byte {offset}: not compared with the image any further: `--verify-only` does that")]
    StoppedVerifying {
        /// Where, in bytes from the start of the medium.
        offset: u64,
        /// The reason.
        source: Interrupted,
    },
}

/// What helps against a fault of a medium.
fn action(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => "it is smaller than it says, use another one",
        Some(Errno::NODEV | Errno::NXIO | Errno::NOMEDIUM) => "it was pulled out, put it in again and flash it again",
        Some(Errno::ROFS | Errno::PERM | Errno::ACCESS) => {
            "slide the lock on the edge of the card, or use another medium"
        }
        _ => "put it in again and flash it again; if that fails, use another medium or reader",
    }
}
