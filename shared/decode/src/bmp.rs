//! BMP files: Windows bitmaps that are not compressed, of 1 to 32 bits a pixel, with a palette or masks or neither.
//!
//! There is no checksum: a file that was cut, or that lost a part, is too short for its rows and refused as
//! [`Refusal::Corrupt`]; changed bytes are not noticed.

use std::io::Cursor;

use image::{DynamicImage, codecs::bmp::BmpDecoder, metadata::Orientation};
use shared::verdict::Refusal;

/// Lengths of the header that tells of the picture: of Windows 3, 95 and 98, and with masks behind it.
const HEADERS: [u32; 5] = [40, 52, 56, 108, 124];

/// Bytes before that header.
const FILE_HEADER: usize = 14;

/// Whether the bytes begin as a BMP file. Two letters alone would be found in texts.
pub(crate) fn is_bmp(bytes: &[u8]) -> bool {
    // The second header is longer than 11 bytes, and shorter than 256.
    bytes.starts_with(b"BM") && matches!(bytes.get(14..18), Some([12..=255, 0, 0, 0]))
}

/// Decodes a whole BMP file.
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    check(bytes)?;
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|_| Refusal::Corrupt)?;
    DynamicImage::from_decoder(decoder).map_err(|_| Refusal::Corrupt)
}

/// Columns and rows, and bits of a pixel, that the header tells.
pub(crate) fn size(bytes: &[u8]) -> Option<([u32; 2], u32)> {
    let &header = bytes.get(FILE_HEADER..)?.first_chunk()?;
    if !HEADERS.contains(&u32::from_le_bytes(header)) {
        return None;
    }
    let side = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?).unsigned_abs());
    Some(([side(18)?, side(22)?], u16::from_le_bytes(*bytes.get(28..)?.first_chunk()?).into()))
}

/// Holds the file to the limits, and sees that it has each of its rows.
fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|&number| u32::from_le_bytes(number));
    let short = |at: usize| bytes.get(at..)?.first_chunk().map(|&number| u16::from_le_bytes(number));
    let read = || Some((number(2)?, number(10)?, number(14)?, number(18)?, number(22)?, short(28)?, number(30)?));
    let (length, start, header, width, height, bits, compression) = read().ok_or(Refusal::Corrupt)?;
    if !HEADERS.contains(&header) {
        return Err(Refusal::UnsupportedKind);
    }
    // Rows from the bottom up, or, with a sign, from the top down.
    let (width, height) = (width, height.cast_signed().unsigned_abs());
    crate::check_size(width, height)?;
    if !matches!(bits, 1 | 4 | 8 | 16 | 24 | 32) {
        return Err(Refusal::Corrupt);
    }
    // Neither masks nor anything: run lengths, or a JPEG or PNG file within.
    if !matches!(compression, 0 | 3 | 6) {
        return Err(Refusal::UnsupportedKind);
    }
    let area = u64::from(width) * u64::from(height);
    let alpha = bits == 32;
    crate::check_memory(area * if alpha { 4 } else { 3 }, 0, alpha, Orientation::NoTransforms)?;
    let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let least = FILE_HEADER as u64 + u64::from(header);
    let end = u64::from(start) + row * u64::from(height);
    // Some programs leave the length of the file out.
    let whole = u64::from(start) >= least && end <= bytes.len() as u64 && u64::from(length) <= bytes.len() as u64;
    if whole { Ok(()) } else { Err(Refusal::Corrupt) }
}
