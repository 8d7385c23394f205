//! Lossless pictures (RFC 9649, 3): prefix codes, copies of pixels before, and a memory of colours.
//!
//! Decoded here, and not by the decoder of lossy ones: a small file may name 65,536 sets of codes, for which that one would
//! reserve more than a gigabyte. Whatever is kept for a picture is counted, and held to the limits.

use image::metadata::Orientation;
use shared::{limits::MAX_DECODED_BYTES, verdict::Refusal};

use super::{
    prefix::{Bits, Code},
    transform::{Blocks, Kind, Pixel, Transform},
};

/// Bytes before the bits: a mark, and the size of the picture.
const HEAD: usize = 5;

/// Symbols of the first code of a set that stand for green, and for lengths of a copy. Colours of the memory follow.
const GREENS: u16 = 256;
const LENGTHS: u16 = 24;

/// Symbols for distances of a copy.
const DISTANCES: usize = 40;

/// Where the nearest pixels are, from which most copies are: rows above in the upper four bits, 8 less the columns to the left
/// in the lower ones.
const NEAR: [u8; 120] = [
    0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39, 0x15, 0x1b, 0x36,
    0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34,
    0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67,
    0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79,
    0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52,
    0x5e, 0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61,
    0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
];

/// Pixels of a picture, three bytes each.
pub(super) fn decode(stream: &[u8], size: [u32; 2], orientation: Orientation) -> Result<Vec<u8>, Refusal> {
    let area = u64::from(size[0]) * u64::from(size[1]);
    crate::check_memory(4 * area, 0, false, orientation)?;
    let bits = Bits::new(stream.get(HEAD..).ok_or(Refusal::Corrupt)?);
    let [width, height] = size.map(|side| side as usize);
    let mut reader = Reader { bits, held: 4 * area };
    let (transforms, coded_width) = reader.transforms(width, height)?;
    let sets = reader.sets(coded_width, height, true)?;
    let mut pixels = vec![Pixel::default(); area as usize];
    reader.pixels(&sets, coded_width, &mut pixels[..coded_width * height])?;
    if !reader.bits.at_end() {
        return Err(Refusal::Corrupt);
    }
    drop(sets);
    for transform in transforms.iter().rev() {
        transform.undo(&mut pixels, height);
    }
    // Where they are: a second picture would take as much again.
    let mut bytes = pixels.into_flattened();
    for at in 0..area as usize {
        bytes.copy_within(4 * at..4 * at + 3, 3 * at);
    }
    bytes.truncate(3 * area as usize);
    Ok(bytes)
}

/// Codes for a picture.
struct Sets {
    /// Those for green, lengths and the memory; red; blue; alpha; distances.
    codes: Vec<[Code; 5]>,
    /// Which of them counts in each block, if there are several.
    blocks: Option<Blocks>,
    /// Colours in the memory of colours, as a power of 2; 0 if there is none.
    memory: u32,
}

impl Sets {
    /// The set that counts at a place, and the first place behind it in its row where another one may.
    fn at(&self, place: usize, width: usize) -> (&[Code; 5], usize) {
        let Some(blocks) = &self.blocks else { return (&self.codes[0], usize::MAX) };
        let (x, y) = (place % width, place / width);
        let end = ((x >> blocks.bits) + 1) << blocks.bits;
        (&self.codes[number(blocks.at(x, y))], y * width + end.min(width))
    }
}

/// The number of a set.
fn number([high, low, ..]: Pixel) -> usize {
    usize::from(u16::from_be_bytes([high, low]))
}

/// The colours that came last, by a hash.
struct Memory {
    colours: Vec<Pixel>,
    bits: u32,
}

impl Memory {
    fn new(bits: u32) -> Self {
        Self { colours: vec![Pixel::default(); if bits == 0 { 0 } else { 1 << bits }], bits }
    }

    fn note(&mut self, pixel: Pixel) {
        if self.bits > 0 {
            let [red, green, blue, alpha] = pixel;
            let hash = 0x1e35_a7bd_u32.wrapping_mul(u32::from_be_bytes([alpha, red, green, blue]));
            self.colours[(hash >> (32 - self.bits)) as usize] = pixel;
        }
    }
}

struct Reader<'a> {
    bits: Bits<'a>,
    /// Bytes that are kept for the picture.
    held: u64,
}

impl Reader<'_> {
    /// Counts what is to be kept.
    fn hold(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.held += bytes;
        if self.held > MAX_DECODED_BYTES { Err(Refusal::TooManyPixels) } else { Ok(()) }
    }

    /// Reads what was done to a picture, and how many columns it has afterwards.
    fn transforms(&mut self, width: usize, height: usize) -> Result<(Vec<Transform>, usize), Refusal> {
        let mut transforms: Vec<Transform> = Vec::new();
        let mut across = width;
        let mut known = [false; 4];
        while self.bits.flag()? {
            let kind = self.bits.number(2)?;
            // Each once.
            if std::mem::replace(&mut known[kind as usize], true) {
                return Err(Refusal::Corrupt);
            }
            let before = across;
            let kind = match kind {
                0 => Kind::Predicted(self.blocks(across, height)?),
                1 => Kind::Decorrelated(self.blocks(across, height)?),
                2 => Kind::LessGreen,
                _ => {
                    let colours = self.bits.number(8)? as usize + 1;
                    let mut table = self.small(colours, 1)?;
                    // Each colour is written as its difference to the one before.
                    for place in 1..table.len() {
                        let last = table[place - 1];
                        table[place].iter_mut().zip(last).for_each(|(now, last)| *now = now.wrapping_add(last));
                    }
                    across = across.div_ceil(1 << Transform::packed(colours));
                    Kind::Indexed(table)
                }
            };
            transforms.push(Transform { kind, width: before });
        }
        Ok((transforms, across))
    }

    /// Reads something for each block of a picture.
    fn blocks(&mut self, width: usize, height: usize) -> Result<Blocks, Refusal> {
        let bits = self.bits.number(3)? + 2;
        let [across, down] = [width, height].map(|side| side.div_ceil(1 << bits));
        Ok(Blocks { bits, across, pixels: self.small(across, down)? })
    }

    /// Reads a picture within the picture.
    fn small(&mut self, width: usize, height: usize) -> Result<Vec<Pixel>, Refusal> {
        self.hold(4 * (width * height) as u64)?;
        let before = self.held;
        let sets = self.sets(width, height, false)?;
        let mut pixels = vec![Pixel::default(); width * height];
        self.pixels(&sets, width, &mut pixels)?;
        self.held = before;
        Ok(pixels)
    }

    /// Reads the codes for a picture; of the whole one there may be several sets.
    fn sets(&mut self, width: usize, height: usize, whole: bool) -> Result<Sets, Refusal> {
        let memory = if self.bits.flag()? { self.bits.number(4)? } else { 0 };
        if memory > 11 {
            return Err(Refusal::Corrupt);
        }
        let blocks = if whole && self.bits.flag()? { Some(self.blocks(width, height)?) } else { None };
        let highest = blocks.as_ref().and_then(|blocks| blocks.pixels.iter().map(|&pixel| number(pixel)).max());
        let colours = if memory == 0 { 0 } else { 1 << memory };
        let greens = usize::from(GREENS + LENGTHS) + colours;
        let mut codes = Vec::new();
        for _ in 0..=highest.unwrap_or_default() {
            let mut code = |symbols: usize| {
                let code = Code::read(&mut self.bits, symbols)?;
                self.held += code.held();
                if self.held > MAX_DECODED_BYTES { Err(Refusal::TooManyPixels) } else { Ok(code) }
            };
            codes.push([code(greens)?, code(256)?, code(256)?, code(256)?, code(DISTANCES)?]);
        }
        Ok(Sets { codes, blocks, memory })
    }

    /// Reads the pixels of a picture.
    fn pixels(&mut self, sets: &Sets, width: usize, pixels: &mut [Pixel]) -> Result<(), Refusal> {
        let bits = &mut self.bits;
        let mut memory = Memory::new(sets.memory);
        let (mut place, mut until) = (0, 0);
        let mut set = &sets.codes[0];
        while place < pixels.len() {
            if place >= until {
                (set, until) = sets.at(place, width);
            }
            let [first, red, blue, alpha, distances] = set;
            let symbol = first.symbol(bits)?;
            if symbol < GREENS {
                let red = red.symbol(bits)? as u8;
                let blue = blue.symbol(bits)? as u8;
                let pixel = [red, symbol as u8, blue, alpha.symbol(bits)? as u8];
                pixels[place] = pixel;
                memory.note(pixel);
                place += 1;
            } else if let Some(colour) = symbol.checked_sub(GREENS + LENGTHS) {
                // A colour of the memory has its place there already.
                pixels[place] = *memory.colours.get(usize::from(colour)).ok_or(Refusal::Corrupt)?;
                place += 1;
            } else {
                let length = value(symbol - GREENS, bits)?;
                let symbol = distances.symbol(bits)?;
                let distance = distance(value(symbol, bits)?, width);
                if distance > place || length > pixels.len() - place {
                    return Err(Refusal::Corrupt);
                }
                for at in place..place + length {
                    pixels[at] = pixels[at - distance];
                    memory.note(pixels[at]);
                }
                place += length;
            }
        }
        Ok(())
    }
}

/// A length or a distance of which a symbol tells the range, and bits the place in it.
fn value(symbol: u16, bits: &mut Bits<'_>) -> Result<usize, Refusal> {
    if symbol < 4 {
        return Ok(usize::from(symbol) + 1);
    }
    let more = u32::from(symbol - 2) >> 1;
    Ok(((2 + usize::from(symbol & 1)) << more) + bits.number(more)? as usize + 1)
}

/// How many pixels before one is from which it is copied: the first numbers stand for near ones, above and to the left.
fn distance(number: usize, width: usize) -> usize {
    match NEAR.get(number - 1) {
        Some(&near) => {
            let (above, left) = (usize::from(near >> 4), usize::from(near & 15));
            // Of some in a narrow picture, the place is not before the pixel.
            (8 + above * width).saturating_sub(left).max(1)
        }
        None => number - NEAR.len(),
    }
}
