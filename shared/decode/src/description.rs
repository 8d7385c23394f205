//! What a file says of itself, for a person who asks why it was judged or refused as it was.
//!
//! Of a refused file as well, as far as it goes. Every word is of a list in this crate, never a text of the file: no name,
//! number of a patient or date can be among them.

use shared::age::Age;

use crate::{Kind, bmp, dicom, jpeg, png, tiff, webp};

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// What it is by its bytes, if that is known.
    pub kind: Option<Kind>,
    /// Columns and rows as they are stored, before the rotation that Exif data ask for.
    pub size: Option<[u32; 2]>,
    /// Bits of a sample; of a BMP file, of a pixel.
    pub bits: Option<u32>,
    /// What the header of a DICOM file says besides.
    pub dicom: Option<DicomDescription>,
}

/// What the header of a DICOM file says. `None` is what it does not say; a word that is in no list is `"another"`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DicomDescription {
    /// (0008,0060): `CR`, `DX`, `CT` …
    pub modality: Option<&'static str>,
    /// (0018,0015): `CHEST`, `HAND` …
    pub body_part: Option<&'static str>,
    /// (0018,5101): `PA`, `AP`, `LL` …
    pub view: Option<&'static str>,
    /// As [`crate::Facts::age`].
    pub age: Option<Age>,
    /// (0028,0004): `MONOCHROME1`, `MONOCHROME2` …
    pub photometric: Option<&'static str>,
    /// How the pixels are compressed, by (0002,0010).
    pub transfer_syntax: Option<&'static str>,
    /// What made grey values of the samples of a grey picture that could be decoded.
    pub shown: Option<Shades>,
}

/// What makes grey values of stored ones (PS3.3, C.11.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shades {
    /// A table of the file.
    Table,
    /// The first window of the file, in the units that the machine has measured.
    Window {
        /// Its middle.
        centre: f64,
        /// From black to white.
        width: f64,
    },
    /// The range of nearly all pixels, because the file has no window that can have been meant.
    Range {
        /// What is shown as black.
        least: f64,
        /// What is shown as white.
        most: f64,
    },
    /// None: they are grey values of 8 bits.
    AsStored,
}

/// Describes the bytes of a file. Never fails: what cannot be read is left out. It decodes the pixels of a grey DICOM file, to
/// say what they are shown as.
pub fn describe(bytes: &[u8]) -> Description {
    let kind = Kind::of(bytes);
    let mut dicom = None;
    let (size, bits) = match kind {
        Some(Kind::Dicom) => {
            let (size, bits, said) = dicom::describe(bytes);
            dicom = Some(said);
            (size, bits)
        }
        Some(Kind::Jpeg) => jpeg::size(bytes).ok().unzip(),
        Some(Kind::Png) => png::size(bytes).unzip(),
        Some(Kind::Tiff) => tiff::size(bytes).ok().unzip(),
        Some(Kind::Bmp) => bmp::size(bytes).unzip(),
        Some(Kind::Webp) => webp::size(bytes).unzip(),
        _ => (None, None),
    };
    Description { kind, size, bits, dicom }
}
