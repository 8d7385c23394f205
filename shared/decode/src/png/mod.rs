//! PNG files: grey, RGB or with a palette, of 1 to 16 bits, with or without interlacing.
//!
//! The decoder stops when it has its last row: it notices neither that the file goes on, nor that the checksum of the pixels
//! is another's, and it inflates colour profiles and texts into memory. So a file is walked over before, and refused as
//! [`Refusal::Corrupt`] unless its chunks reach from the header to the end and each has its CRC-32. The decoder gets nothing
//! but header, palette, transparency, and [`Stored`] pixels, which have been inflated, counted and compared with their
//! Adler-32. A part that is missing or another's is noticed for certain, a damage of any other kind but for one in four
//! thousand million.

mod stored;

use flate2::Crc;
use image::{DynamicImage, Limits, codecs::png::PngDecoder, metadata::Orientation};
use shared::{limits::MAX_DECODER_BYTES, verdict::Refusal};

use self::stored::Stored;
use crate::depth;

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// Decodes a whole PNG file.
pub(crate) fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Refusal> {
    let parts = inspect(bytes)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    let mut pixels = Stored::new(&parts);
    let decoder = PngDecoder::with_limits(&mut pixels, limits).map_err(|_| Refusal::Corrupt)?;
    let image = DynamicImage::from_decoder(decoder).map_err(|_| Refusal::Corrupt)?;
    pixels.finish()?;
    Ok((depth::spread(image), parts.orientation))
}

/// Columns and rows, and bits of a sample, that the header tells.
pub(crate) fn size(bytes: &[u8]) -> Option<([u32; 2], u32)> {
    let (&[w3, w2, w1, w0, h3, h2, h1, h0], &[bits]) = bytes.get(16..25)?.split_first_chunk()? else { return None };
    Some(([[w3, w2, w1, w0], [h3, h2, h1, h0]].map(u32::from_be_bytes), bits.into()))
}

/// What is needed of a file.
struct Parts<'a> {
    /// Chunks before the pixels: header, palette, transparency.
    head: Vec<&'a [u8]>,
    /// Everything from the first chunk of pixels on.
    data: &'a [u8],
    /// Bytes of the rows, each with its filter.
    length: u64,
    orientation: Orientation,
}

/// Walks over a whole file, compares its checksums, and holds what decoding it would take to the limits.
fn inspect(bytes: &[u8]) -> Result<Parts<'_>, Refusal> {
    let (first, mut rest) = Chunk::verify(bytes.strip_prefix(SIGNATURE).ok_or(Refusal::UnknownFormat)?)?;
    if first.kind != *b"IHDR" {
        return Err(Refusal::Corrupt);
    }
    let header = Header::read(first.data)?;
    let mut head = vec![first.whole];
    let mut data: &[u8] = &[];
    let mut transparent = false;
    let mut orientation = Orientation::NoTransforms;
    let mut before = first.kind;
    loop {
        let start = rest;
        let chunk;
        (chunk, rest) = Chunk::verify(rest)?;
        match &chunk.kind {
            b"IDAT" if before == *b"IDAT" => {}
            b"IDAT" if data.is_empty() => data = start,
            b"IEND" if !data.is_empty() && chunk.data.is_empty() => break,
            b"PLTE" | b"tRNS" if data.is_empty() && head.len() < 3 => {
                transparent |= chunk.kind == *b"tRNS";
                head.push(chunk.whole);
            }
            b"IHDR" | b"IDAT" | b"IEND" | b"PLTE" | b"tRNS" => return Err(Refusal::Corrupt),
            b"acTL" | b"fcTL" | b"fdAT" => return Err(Refusal::Animated),
            b"eXIf" => orientation = Orientation::from_exif_chunk(chunk.data).unwrap_or(Orientation::NoTransforms),
            // A capital letter says that nobody can do without it.
            [b'A'..=b'Z', ..] => return Err(Refusal::UnsupportedKind),
            _ => {}
        }
        before = chunk.kind;
    }
    let (pixels, alpha) = header.decoded(transparent);
    crate::check_memory(pixels, 0, alpha, orientation)?;
    Ok(Parts { head, data, length: header.rows(), orientation })
}

struct Chunk<'a> {
    /// With its length and CRC-32.
    whole: &'a [u8],
    kind: [u8; 4],
    data: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The first chunk, and what follows it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Refusal> {
        let &length = bytes.first_chunk().ok_or(Refusal::Corrupt)?;
        let length = (u32::from_be_bytes(length) as usize).saturating_add(12);
        let (whole, rest) = bytes.split_at_checked(length).ok_or(Refusal::Corrupt)?;
        let (&kind, data) = whole[4..length - 4].split_first_chunk().ok_or(Refusal::Corrupt)?;
        Ok((Self { whole, kind, data }, rest))
    }

    /// The first chunk, whose CRC-32 must be right, and what follows it.
    fn verify(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Refusal> {
        let (chunk, rest) = Self::split(bytes)?;
        let (named, sum) = chunk.whole[4..].split_last_chunk::<4>().ok_or(Refusal::Corrupt)?;
        let mut crc = Crc::new();
        crc.update(named);
        if crc.sum() == u32::from_be_bytes(*sum) { Ok((chunk, rest)) } else { Err(Refusal::Corrupt) }
    }
}

struct Header {
    width: u32,
    height: u32,
    /// Bits of a sample.
    depth: u8,
    /// 0 grey, 2 RGB, 3 a place in the palette, 4 grey with alpha, 6 RGB with alpha.
    colour: u8,
    interlaced: bool,
}

impl Header {
    /// Where the seven passes of Adam7 begin in a row and a column, and their steps.
    const ADAM7: [[u32; 4]; 7] =
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

    fn read(data: &[u8]) -> Result<Self, Refusal> {
        let &[w3, w2, w1, w0, h3, h2, h1, h0, depth, colour, _, _, interlaced] = data else {
            return Err(Refusal::Corrupt);
        };
        let [width, height] = [[w3, w2, w1, w0], [h3, h2, h1, h0]].map(u32::from_be_bytes);
        crate::check_size(width, height)?;
        Ok(Self { width, height, depth, colour, interlaced: interlaced != 0 })
    }

    /// Bytes of the decoded pixels, and whether they have an alpha channel.
    fn decoded(&self, transparent: bool) -> (u64, bool) {
        let colours = if matches!(self.colour, 0 | 4) { 1 } else { 3 };
        let alpha = transparent || matches!(self.colour, 4 | 6);
        let bytes = if self.depth == 16 { 2 } else { 1 };
        (u64::from(self.width) * u64::from(self.height) * (colours + u64::from(alpha)) * bytes, alpha)
    }

    /// Bytes of all rows, each with its filter.
    fn rows(&self) -> u64 {
        let samples = match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        let passes = if self.interlaced { &Self::ADAM7[..] } else { &[[0, 0, 1, 1]] };
        let bytes = passes.iter().map(|&[x, y, across, down]| {
            let columns = u64::from(self.width.saturating_sub(x).div_ceil(across));
            let rows = u64::from(self.height.saturating_sub(y).div_ceil(down));
            if columns == 0 { 0 } else { rows * (1 + (columns * samples * u64::from(self.depth)).div_ceil(8)) }
        });
        bytes.sum()
    }
}
