//! Writing an image to a removable medium, so that the medium holds the image or nobody takes it for whole.
//!
//! Three passes: the image is checked to its end before the medium is touched ([`Image::check`]), written
//! ([`Target::write`]), and compared with what the medium gives back ([`Target::verify`]). What speaks against
//! overwriting a disk is in [`Disk::may_be_overwritten`]. [`flash`] does all three.

mod error;
mod medium;
mod source;
mod system;
mod target;
#[cfg(test)]
mod tests;

use std::{io, ops::ControlFlow, path::Path};

use base::interrupt::Interrupted;
use sha2::{Digest, Sha256};

use self::medium::{Buffer, CHUNK, Medium};
pub use self::{
    error::FlashError,
    source::Image,
    system::{Disk, Part, System},
    target::{Access, Danger, Target},
};
use crate::mbr::SECTOR;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The image is read, to see that it is whole.
    Checking,
    /// The medium is written.
    Writing,
    /// The medium is read back.
    Verifying,
}

/// Called before each chunk of 4 MiB with the bytes done and the bytes in total; returns whether to continue.
pub type Progress<'a> = dyn FnMut(Stage, u64, u64) -> ControlFlow<()> + 'a;

/// Makes a medium hold an image: all three passes, or without the second one if the medium was opened with
/// [`Access::Verify`].
///
/// # Errors
/// [`FlashError`]: the image does not serve, the medium does not hold it in the end, or `progress` has said stop.
pub fn flash(image: &Path, target: &mut Target, progress: &mut Progress<'_>) -> Result<Image, FlashError> {
    let image = Image::check(image, target.bytes(), progress)?;
    if target.is_writable() {
        target.write(&image, progress)?;
    }
    target.verify(&image, progress)?;
    Ok(image)
}

fn write(image: &Image, medium: &mut dyn Medium, progress: &mut Progress<'_>) -> Result<(), FlashError> {
    let mut buffer = Buffer::new();
    let mut table = [0; SECTOR];
    let mut stream = image.stream()?;
    let sync = |medium: &mut dyn Medium| medium.sync().map_err(|source| FlashError::Sync { source });
    let mut offset = 0;
    loop {
        if progress(Stage::Writing, offset, image.length()) == ControlFlow::Break(()) {
            return Err(match offset {
                0 => FlashError::StoppedBefore(Interrupted),
                offset => FlashError::StoppedWriting { offset, source: Interrupted },
            });
        }
        let abandoned = |source| FlashError::Abandoned { offset, source: Box::new(source) };
        let count = image.fill(&mut *stream, &mut buffer).map_err(abandoned)?;
        let end = offset + count as u64;
        if end > image.length() || (count < CHUNK && end < image.length()) {
            return Err(FlashError::ImageChanged);
        }
        if offset == 0 {
            // Until everything else is on the medium, it has no partition table.
            let (first, _) = buffer.split_at_mut(SECTOR);
            table.copy_from_slice(first);
            first.fill(0);
        }
        write_all(medium, &buffer[..count], offset)?;
        offset = end;
        if count < CHUNK {
            break;
        }
    }
    sync(medium)?;
    buffer[..SECTOR].copy_from_slice(&table);
    write_all(medium, &buffer[..SECTOR], 0)?;
    sync(medium)
}

fn write_all(medium: &mut dyn Medium, mut bytes: &[u8], mut offset: u64) -> Result<(), FlashError> {
    while !bytes.is_empty() {
        match medium.write_at(bytes, offset) {
            Ok(0) => return Err(FlashError::Short { offset }),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(FlashError::Write { offset, source }),
        }
    }
    Ok(())
}

fn verify(image: &Image, medium: &mut dyn Medium, progress: &mut Progress<'_>) -> Result<(), FlashError> {
    medium.sync().map_err(|source| FlashError::Sync { source })?;
    let (mut buffer, mut expected) = (Buffer::new(), Buffer::new());
    let mut stream = image.stream()?;
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < image.length() {
        if progress(Stage::Verifying, offset, image.length()) == ControlFlow::Break(()) {
            return Err(FlashError::StoppedVerifying { offset, source: Interrupted });
        }
        let count = image.fill(&mut *stream, &mut expected)?;
        if count == 0 {
            return Err(FlashError::ImageChanged);
        }
        read_all(medium, &mut buffer[..count], offset)?;
        if let Some(at) = buffer[..count].iter().zip(&expected[..count]).position(|(a, b)| a != b) {
            return Err(FlashError::Differs { offset: offset + at as u64 });
        }
        hash.update(&buffer[..count]);
        offset += count as u64;
    }
    // The same bytes twice, yet not those that were checked before the medium was touched.
    if hash.finalize().as_slice() == image.digest() { Ok(()) } else { Err(FlashError::ImageChanged) }
}

fn read_all(medium: &mut dyn Medium, bytes: &mut [u8], offset: u64) -> Result<(), FlashError> {
    let mut filled = 0;
    while filled < bytes.len() {
        let at = offset + filled as u64;
        match medium.read_at(&mut bytes[filled..], at) {
            Ok(0) => return Err(FlashError::ReadBack { offset: at, source: io::ErrorKind::UnexpectedEof.into() }),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(FlashError::ReadBack { offset: at, source }),
        }
    }
    Ok(())
}
