//! The bytes of a radiograph file → pixels, within the limits of [`shared::limits`].
//!
//! DICOM, JPEG, PNG, TIFF, BMP and WebP, grey and in colour, 8 and 16 bits; an alpha channel is ignored, a palette is resolved,
//! the rotation that Exif data ask for is made, samples of fewer bits than a file has for them are spread over all shades.
//! Everything that is not one such picture is refused with a [`Refusal`] that says what to do; [`Kind`] says what it is.
//!
//! A file is judged whole or not at all: it is walked over to its end before or while it is decoded, as the modules of the
//! formats say. Its header is held to the limits before its pixels are decoded, so a small file can ask neither for much
//! memory nor for much time.
#![forbid(unsafe_code)]

mod bmp;
mod depth;
mod description;
mod dicom;
mod jpeg;
mod kind;
mod packbits;
mod png;
mod tiff;
mod webp;

use image::{DynamicImage, metadata::Orientation};
use shared::{
    accession::Accession,
    age::Age,
    limits::{MAX_DECODED_BYTES, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, MIN_IMAGE_SIDE},
    preprocess::{Channels, Picture, Samples, Window},
    verdict::Refusal,
};

pub use self::{
    description::{Description, DicomDescription, Shades, describe},
    dicom::{Identity, MAKER, Origin, TRANSFER_SYNTAXES},
    kind::Kind,
};

/// A decoded radiograph: grey or RGB, 8 or 16 bits.
#[derive(Clone, Debug)]
pub struct Radiograph {
    image: DynamicImage,
    /// Columns and rows of the file that one of the image stands for.
    scale: u16,
    facts: Facts,
}

/// All that is told of a radiograph besides its pixels. Only DICOM files say any of it; no name, number, date or text of a
/// file is ever told, but for an accession number, or patient and study, that are asked for ([`accession`], [`origin`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Age of the patient at the study, as stated or by the dates of birth and study; both where they contradict each other.
    /// `None` if neither is there: it is not guessed.
    pub age: Option<Age>,
}

impl Radiograph {
    /// Takes an image that is decoded already. Refused as a file of it would be: for its size or its colours.
    pub fn new(image: DynamicImage) -> Result<Self, Refusal> {
        check_size(image.width(), image.height())?;
        let image = match image {
            DynamicImage::ImageLuma8(_)
            | DynamicImage::ImageRgb8(_)
            | DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageRgb16(_) => image,
            DynamicImage::ImageLumaA8(_) => DynamicImage::ImageLuma8(image.into_luma8()),
            DynamicImage::ImageRgba8(_) => DynamicImage::ImageRgb8(image.into_rgb8()),
            DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLuma16(image.into_luma16()),
            DynamicImage::ImageRgba16(_) => DynamicImage::ImageRgb16(image.into_rgb16()),
            _ => return Err(Refusal::UnsupportedColour),
        };
        Ok(Self { image, scale: 1, facts: Facts::default() })
    }

    /// What its file says of it besides.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// The pixels as an image: grey or RGB, 8 or 16 bits. They are fewer than the file's if that is a large JPEG.
    pub fn image(&self) -> &DynamicImage {
        &self.image
    }

    /// A part of the image in pixels of the file, for people who look for it there: to a few pixels, as the image of a large JPEG lacks
    /// up to seven columns and rows at its ends.
    pub fn in_file(&self, part: Window) -> Window {
        let Window { left, top, width, height, of } = part;
        let [left, top, width, height] = [left, top, width, height].map(|length| length.saturating_mul(self.scale));
        Window { left, top, width, height, of: of.map(|length| length.saturating_mul(self.scale)) }
    }

    /// The pixels, for [`shared::preprocess`].
    pub fn picture(&self) -> Picture<'_> {
        let (samples, channels) = match &self.image {
            DynamicImage::ImageLuma8(image) => (Samples::U8(image.as_raw()), Channels::Grey),
            DynamicImage::ImageRgb8(image) => (Samples::U8(image.as_raw()), Channels::Rgb),
            DynamicImage::ImageLuma16(image) => (Samples::U16(image.as_raw()), Channels::Grey),
            DynamicImage::ImageRgb16(image) => (Samples::U16(image.as_raw()), Channels::Rgb),
            _ => unreachable!("`new` lets only these four kinds pass"),
        };
        let (width, height) = (self.image.width(), self.image.height());
        match Picture::new(samples, channels, width, height, width as usize * channels.count()) {
            Ok(picture) => picture,
            Err(_) => unreachable!("`new` has held the size to the limits"),
        }
    }
}

/// Decodes a DICOM, JPEG, PNG, TIFF, BMP or WebP file. What it is is read from its bytes, not from its name. Of a large grey JPEG
/// file, means of 2 × 2, 4 × 4 or 8 × 8 samples are decoded (`jpeg::reduced`).
pub fn decode(bytes: &[u8]) -> Result<Radiograph, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if bytes.len() > MAX_IMAGE_BYTES as usize {
        return Err(Refusal::TooManyBytes);
    }
    let kind = Kind::of(bytes).ok_or(Refusal::UnknownFormat)?;
    let mut scale = 1;
    let (mut image, orientation) = match kind {
        Kind::Dicom => {
            let (image, facts) = dicom::decode(bytes)?;
            return Ok(Radiograph { facts, ..Radiograph::new(image)? });
        }
        Kind::Jpeg => {
            let picture = jpeg::decode(bytes)?;
            scale = picture.scale;
            (picture.image, picture.orientation)
        }
        Kind::Png => png::decode(bytes)?,
        Kind::Tiff => tiff::decode(bytes)?,
        Kind::Bmp => (bmp::decode(bytes)?, Orientation::NoTransforms),
        Kind::Webp => webp::decode(bytes)?,
        other => return Err(other.refusal().unwrap_or(Refusal::UnknownFormat)),
    };
    image.apply_orientation(orientation);
    Ok(Radiograph { scale, ..Radiograph::new(image)? })
}

/// The accession number of a DICOM file, for whoever is to make an exam's id of it ([`shared::accession`]): nothing else of the
/// file is looked at, and nothing is refused. `None` if it has none, cannot be read, or has the patient's name or number there.
pub fn accession(bytes: &[u8]) -> Option<Accession> {
    let readable = bytes.len() <= MAX_IMAGE_BYTES as usize && dicom::is_dicom(bytes);
    if readable { dicom::accession(bytes) } else { None }
}

/// Patient and study of a DICOM file, for whoever files an answer beside it: nothing is refused. `None` if it is no such file, or
/// cannot be read.
pub fn origin(bytes: &[u8]) -> Option<Origin> {
    let readable = bytes.len() <= MAX_IMAGE_BYTES as usize && dicom::is_dicom(bytes);
    if readable { dicom::origin(bytes) } else { None }
}

/// What a DICOM data set says it is, by its first bytes: some thousand are enough. They are of a data set alone, without preamble and
/// file meta information, and written in this transfer syntax. Refused if they cannot be.
pub fn identity(beginning: &[u8], transfer_syntax: &str) -> Result<Identity, Refusal> {
    dicom::identity(beginning, transfer_syntax)
}

/// Holds an image to [`MAX_DECODED_BYTES`]: the bytes of its pixels, those that the decoder needs besides until it has
/// decoded them, and a copy afterwards to turn the image or to take its alpha channel away.
fn check_memory(pixels: u64, working: u64, alpha: bool, orientation: Orientation) -> Result<(), Refusal> {
    let copy = if alpha || is_quarter_turn(orientation) { pixels } else { 0 };
    if pixels.saturating_add(working.max(copy)) > MAX_DECODED_BYTES { Err(Refusal::TooManyPixels) } else { Ok(()) }
}

/// Whether rows become columns, which takes a second image.
fn is_quarter_turn(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn check_size(width: u32, height: u32) -> Result<(), Refusal> {
    if u64::from(width) * u64::from(height) > u64::from(MAX_IMAGE_PIXELS) || width.max(height) > MAX_IMAGE_SIDE {
        return Err(Refusal::TooManyPixels);
    }
    if width.min(height) < MIN_IMAGE_SIDE {
        return Err(Refusal::TooSmall);
    }
    Ok(())
}
