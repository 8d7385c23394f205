//! TIFF files (Adobe, TIFF 6.0, 1992; Deflate by Adobe's Technical Notes of 2002): one page of 8 or 16 bits, grey with white or
//! black as zero, with a palette, or RGB; in strips or tiles, pixels or planes; not compressed, LZW, Deflate or PackBits.
//!
//! A file is refused as [`Refusal::Corrupt`] unless its directory names each strip or tile once, each lies in the file and
//! apart from the others, and each holds just the bytes of its rows: with the mark of its end and, in Deflate, with the
//! right Adler-32. So a part that is missing is noticed. Only Deflate has a checksum; of changed bytes in the other ways to
//! compress only those are noticed that change how many bytes come out.
//!
//! There is a library, `tiff`. It takes what it needs from each strip and does not look at what is left, so that all of a file
//! would have to be unpacked beside it; what remains then is this. It also decodes JPEG within, without a walk over it.

mod directory;
mod page;
mod unpack;

use image::{DynamicImage, GrayImage, ImageBuffer, RgbImage, metadata::Orientation};
use shared::verdict::Refusal;

use self::{
    directory::Directory,
    page::{Page, Photometric},
};
use crate::depth;

/// Whether the bytes begin as a TIFF file, or one with offsets of 64 bits.
pub(crate) fn is_tiff(bytes: &[u8]) -> bool {
    matches!(bytes, [b'I', b'I', 42 | 43, 0, _, _, _, _, ..] | [b'M', b'M', 0, 42 | 43, _, _, _, _, ..])
}

/// Decodes the one page of a TIFF file.
pub(crate) fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Refusal> {
    let directory = Directory::first(bytes)?;
    let page = Page::read(&directory)?;
    // Behind the picture there may be small ones of it.
    directory.check_others()?;
    let image = if page.bits == 8 { eight_bits(&page)? } else { depth::spread(sixteen_bits(&page)?) };
    let image = match (image, page.photometric) {
        (DynamicImage::ImageLuma8(mut image), Photometric::WhiteIsZero) => {
            image.iter_mut().for_each(|sample| *sample = !*sample);
            DynamicImage::ImageLuma8(image)
        }
        (DynamicImage::ImageLuma16(mut image), Photometric::WhiteIsZero) => {
            image.iter_mut().for_each(|sample| *sample = !*sample);
            DynamicImage::ImageLuma16(image)
        }
        (image, _) => image,
    };
    Ok((image, page.orientation))
}

/// Columns and rows, and bits of a sample, that the first directory tells.
pub(crate) fn size(bytes: &[u8]) -> Result<([u32; 2], u32), Refusal> {
    page::size(&Directory::first(bytes)?)
}

fn eight_bits(page: &Page<'_>) -> Result<DynamicImage, Refusal> {
    let samples = page.samples(|sample| sample as u8)?;
    let image = match &page.palette {
        Some(palette) => {
            let mut colours = Vec::with_capacity(3 * samples.len());
            samples.iter().for_each(|&place| colours.extend(palette[usize::from(place)]));
            RgbImage::from_raw(page.width, page.height, colours).map(DynamicImage::ImageRgb8)
        }
        None if page.photometric == Photometric::Rgb => {
            RgbImage::from_raw(page.width, page.height, samples).map(DynamicImage::ImageRgb8)
        }
        None => GrayImage::from_raw(page.width, page.height, samples).map(DynamicImage::ImageLuma8),
    };
    image.ok_or(Refusal::Corrupt)
}

fn sixteen_bits(page: &Page<'_>) -> Result<DynamicImage, Refusal> {
    let samples = page.samples(|sample| sample)?;
    let image = if page.photometric == Photometric::Rgb {
        ImageBuffer::from_raw(page.width, page.height, samples).map(DynamicImage::ImageRgb16)
    } else {
        ImageBuffer::from_raw(page.width, page.height, samples).map(DynamicImage::ImageLuma16)
    };
    image.ok_or(Refusal::Corrupt)
}
