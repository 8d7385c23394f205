//! Writing an image to a removable medium, so that the medium holds the image or nobody takes it for whole.
//!
//! The image is checked to its end before the medium is touched ([`Image::check`]), compared with the digest that it should have, if
//! one is known ([`Expected`]), and held to its signature ([`crate::signed_image`]). Then the medium loses its first sector, with the
//! partition table; everything else is written and read back; only when all of it is what was checked does the first sector come
//! ([`Target::write`]). Wherever that ends early, no computer and no box starts from the medium. [`Target::verify`] compares a
//! medium that was written before. What speaks against overwriting a disk is in [`Disk::may_be_overwritten`]. The results of the
//! box that a card was for may be [kept](Results). [`flash`] does all of it.

mod error;
mod medium;
mod results;
mod source;
mod system;
mod target;
#[cfg(test)]
mod tests;

use std::{io, ops::ControlFlow, path::Path};

use base::interrupt::Interrupted;
use sha2::{Digest as _, Sha256};

use self::medium::{Buffer, CHUNK, Medium};
pub use self::{
    error::FlashError,
    results::{Results, Saved},
    source::{Expected, Image},
    system::{Disk, Part, System},
    target::{Access, Danger, Target},
};
use crate::mbr::SECTOR;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The image is read, to see that it is whole.
    Checking,
    /// The results on the medium are copied into a file.
    Saving,
    /// The medium is written.
    Writing,
    /// The results are written to it.
    Restoring,
    /// The medium is read back.
    Verifying,
}

/// Called before each chunk of 4 MiB with the bytes done and the bytes in total; returns whether to continue.
pub type Progress<'a> = dyn FnMut(Stage, u64, u64) -> ControlFlow<()> + 'a;

/// Called with the image when all of it was read and is whole, before the medium is touched: whether it is the one that was meant, and who
/// vouches for it. What this refuses is not written.
pub type Accept<'a> = dyn FnMut(&Image) -> Result<(), FlashError> + 'a;

/// Makes a medium hold an image, and results if they are not to be lost, or compares the two if the medium was opened with
/// [`Access::Verify`].
///
/// # Errors
/// [`FlashError`]: the image does not serve or is not accepted, the results cannot be kept, the medium does not hold all of it in
/// the end, or `progress` has said stop.
pub fn flash(
    image: &Path,
    accept: &mut Accept<'_>,
    results: Results<'_>,
    target: &mut Target,
    progress: &mut Progress<'_>,
) -> Result<(Image, Option<Saved>), FlashError> {
    let image = Image::check(image, target.bytes(), progress)?;
    accept(&image)?;
    if !target.is_writable() {
        target.verify(&image, progress)?;
        return Ok((image, None));
    }
    let saved = match results {
        Results::Lost => None,
        Results::Kept(path) => Some(target.save_results(&image, path, progress)?),
        Results::Restored(path) => Some(Saved::open(path)?),
    };
    target.write(&image, saved.as_ref(), progress)?;
    Ok((image, saved))
}

/// In an order in which a power cut at any point, with what had not been synced written in parts, leaves the medium of before,
/// one without a first sector, or the whole image, with all results if there are any.
fn write(
    image: &Image,
    results: Option<&Saved>,
    medium: &mut dyn Medium,
    progress: &mut Progress<'_>,
) -> Result<(), FlashError> {
    if let Some(saved) = results {
        image.has_room_for(saved.length())?;
    }
    if progress(Stage::Writing, 0, image.length()) == ControlFlow::Break(()) {
        return Err(FlashError::StoppedBefore(Interrupted));
    }
    let mut buffer = Buffer::new();
    write_sector(medium, &mut buffer, [0; SECTOR])?;
    write_behind(image, medium, &mut buffer, progress)?;
    // From what was hashed, not from what was written: the file may have changed in between.
    let first = compare(image, medium, First::Blank, progress)?;
    if let Some(saved) = results {
        results::restore(saved, image.data().0, medium, progress)?;
    }
    write_sector(medium, &mut buffer, first)?;
    let kept = read_all(medium, &mut buffer[..SECTOR], 0).and_then(|()| match differs(&buffer[..SECTOR], &first) {
        Some(at) => Err(FlashError::Differs { offset: at }),
        None => Ok(()),
    });
    if kept.is_err() {
        // Nobody shall start from what cannot be relied upon. A medium that refuses this too is told of by the first error.
        let _ = write_sector(medium, &mut buffer, [0; SECTOR]);
    }
    kept
}

/// Writes the image but for its first sector, in whose place come zeros.
fn write_behind(
    image: &Image,
    medium: &mut dyn Medium,
    buffer: &mut Buffer,
    progress: &mut Progress<'_>,
) -> Result<(), FlashError> {
    let mut stream = image.stream()?;
    let mut offset = 0;
    loop {
        if offset > 0 && progress(Stage::Writing, offset, image.length()) == ControlFlow::Break(()) {
            return Err(FlashError::StoppedWriting { offset, source: Interrupted });
        }
        let abandoned = |source| FlashError::Abandoned { offset, source: Box::new(source) };
        let count = image.fill(&mut *stream, buffer).map_err(abandoned)?;
        let end = offset + count as u64;
        if end > image.length() || (count < CHUNK && end < image.length()) {
            return Err(FlashError::ImageChanged);
        }
        if offset == 0 {
            buffer[..SECTOR].fill(0);
        }
        write_all(medium, &buffer[..count], offset)?;
        offset = end;
        if count < CHUNK {
            return sync(medium);
        }
    }
}

/// Writes the first sector and makes it lasting.
fn write_sector(medium: &mut dyn Medium, buffer: &mut Buffer, sector: [u8; SECTOR]) -> Result<(), FlashError> {
    buffer[..SECTOR].copy_from_slice(&sector);
    write_all(medium, &buffer[..SECTOR], 0)?;
    sync(medium)
}

fn sync(medium: &mut dyn Medium) -> Result<(), FlashError> {
    medium.sync().map_err(|source| FlashError::Sync { source })
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

/// What the first sector of a medium is to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// That of the image: the medium has been finished.
    Image,
    /// Zeros: the medium is being written.
    Blank,
}

/// Compares the medium with the image, and the image with what was checked before; gives the first sector of the image.
fn compare(
    image: &Image,
    medium: &mut dyn Medium,
    first: First,
    progress: &mut Progress<'_>,
) -> Result<[u8; SECTOR], FlashError> {
    sync(medium)?;
    let (mut buffer, mut expected) = (Buffer::new(), Buffer::new());
    let mut table = [0; SECTOR];
    let mut stream = image.stream()?;
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < image.length() {
        if progress(Stage::Verifying, offset, image.length()) == ControlFlow::Break(()) {
            return Err(match first {
                First::Image => FlashError::StoppedVerifying { offset, source: Interrupted },
                First::Blank => FlashError::StoppedWriting { offset, source: Interrupted },
            });
        }
        let count = image.fill(&mut *stream, &mut expected)?;
        if count == 0 {
            return Err(FlashError::ImageChanged);
        }
        hash.update(&expected[..count]);
        if offset == 0 {
            let sector = expected.first_chunk_mut::<SECTOR>().ok_or(FlashError::ImageChanged)?;
            table = *sector;
            if first == First::Blank {
                sector.fill(0);
            }
        }
        read_all(medium, &mut buffer[..count], offset)?;
        if let Some(at) = differs(&buffer[..count], &expected[..count]) {
            return Err(FlashError::Differs { offset: offset + at });
        }
        offset += count as u64;
    }
    // The same bytes twice, yet not those that were checked before the medium was touched.
    if hash.finalize().as_slice() == image.digest() { Ok(table) } else { Err(FlashError::ImageChanged) }
}

/// Where two pieces of the same length differ first.
fn differs(a: &[u8], b: &[u8]) -> Option<u64> {
    a.iter().zip(b).position(|(a, b)| a != b).map(|at| at as u64)
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
