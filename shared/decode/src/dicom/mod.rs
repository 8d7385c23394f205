//! DICOM files: radiographs as X-ray machines write them (PS3.3, PS3.5, PS3.10).
//!
//! With or without preamble and file meta information; explicit or implicit, little or big endian, deflated; plain samples,
//! run lengths, JPEG (8 bits), lossless JPEG, JPEG 2000; 1 to 16 bits, signed or not; grey, palette, RGB, YBR. What the
//! samples are shown as is in [`shades`]. Other ways to compress are refused as [`Refusal::UnsupportedCompression`]. Overlays,
//! icons and annotations are not looked at. What the header says of modality, part of the body, view and age decides, too
//! ([`suitable`]).
//!
//! The file is walked over to its end before a pixel is decoded ([`elements`]); it has no checksum, so that a changed bit may
//! not be noticed, but a part that is missing is.
//!
//! There are libraries for all of this. Those for data sets (dicom-rs) reserve what a length asks for before they look at
//! what is there, walk into sequences as deep as they go, and pass over JPEG data that break off, so that a walk like this one
//! would be needed before; and they bring twenty crates onto the box.

mod colour;
mod description;
mod elements;
mod file;
mod header;
mod identity;
mod jpeg2000;
mod origin;
mod pixels;
mod shades;
mod suitable;
mod syntax;

use image::DynamicImage;
use shared::{accession::Accession, verdict::Refusal};

pub(crate) use self::{description::describe, file::is_dicom, identity::identity, origin::origin};
use self::{
    file::File,
    header::{Header, Photometric},
    pixels::Decoded,
};
pub use self::{identity::Identity, origin::Origin, suitable::MAKER, syntax::TRANSFER_SYNTAXES};
use crate::Facts;

/// The accession number of a file, if it has one and can be read.
pub(crate) fn accession(bytes: &[u8]) -> Option<Accession> {
    let file = File::open(bytes).ok()?;
    Header::accession(&file.data_set, file.encoding)
}

/// Decodes a whole DICOM file.
pub(crate) fn decode(bytes: &[u8]) -> Result<(DynamicImage, Facts), Refusal> {
    let file = File::open(bytes)?;
    let (mut header, facts) = Header::read(&file.data_set, file.encoding)?;
    let samples = match pixels::decode(&mut header, file.coding, file.held())? {
        Decoded::Rgb(image) => return Ok((image, facts)),
        Decoded::Samples(samples) => samples,
    };
    let image = match header.photometric {
        Photometric::Monochrome1 | Photometric::Monochrome2 => shades::grey(samples, &header),
        Photometric::Palette => colour::palette(&samples, &header),
        Photometric::Rgb | Photometric::YbrFull | Photometric::YbrFull422 | Photometric::Ybr2000 => {
            colour::colours(samples, &header)
        }
    }?;
    Ok((image, facts))
}
