//! JPEG 2000 (ITU-T T.800), lossless or not.
//!
//! A decoder makes a picture of what is left of a file, and of a few bytes that ask for much. So the markers are walked over
//! before: sizes must be those of the data set, each part of a tile must be as long as it says and the last one be followed
//! by the mark of the end, and what the tables of code blocks would take is held to the limits. The coded samples themselves
//! have no checksum. What hardly anybody writes (headers in another place, several orders, regions, high throughput) is
//! refused.
//!
//! The decoder computes in f32. It is built without `std` and vector instructions: with them it fuses multiplications and
//! additions on some processors, and pixels would differ between these and others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hayro_jpeg2000::{ComponentData, DecodeSettings, DecoderContext, Image};
use image::{DynamicImage, ImageBuffer, RgbImage};
use shared::verdict::Refusal;

use super::{
    header::{Header, Photometric},
    pixels::{self, Decoded, Sign, check_memory},
};

const START: u8 = 0x4f;
const CAPABILITIES: u8 = 0x50;
const SIZE: u8 = 0x51;
const CODING_STYLE: u8 = 0x52;
const CODING_STYLE_OF_COMPONENT: u8 = 0x53;
const START_OF_TILE_PART: u8 = 0x90;
const START_OF_DATA: u8 = 0x93;
const END: u8 = 0xd9;

/// Most tiles of a picture.
const MAX_TILES: usize = 1 << 12;
/// Most layers of quality.
const MAX_LAYERS: u64 = 32;

/// Decodes a picture with so many bytes held besides.
pub(super) fn decode(header: &mut Header<'_>, data: &[u8], held: u64) -> Result<Decoded, Refusal> {
    let stream = Stream::walk(data, header)?;
    check_memory(header, held, stream.memory(header))?;
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let image = Image::new(stream.bytes, &settings).map_err(|_| Refusal::Corrupt)?;
        let mut context = DecoderContext::default();
        let image = image.decode(&mut context).map_err(|_| Refusal::Corrupt)?;
        picture(header, &stream, image.components())
    }));
    // The decoder is fuzzed by its authors; should it fail nevertheless, the file is not judged.
    decoded.unwrap_or(Err(Refusal::Corrupt))
}

/// What is made of the decoder's samples.
fn picture(header: &mut Header<'_>, stream: &Stream<'_>, components: &[ComponentData]) -> Result<Decoded, Refusal> {
    if components.len() != header.samples || components.iter().any(|plane| plane.samples().len() < header.area()) {
        return Err(Refusal::Corrupt);
    }
    let most = f64::from((1_u32 << stream.precision) - 1);
    // The decoder adds half the range to all samples; those with a sign are written without it.
    let flip = if stream.signed { 1_u16 << (stream.precision - 1) } else { 0 };
    let sample = |sample: f32| (f64::from(sample) + 0.5).clamp(0.0, most) as u16 ^ flip;
    if let [plane] = components {
        let samples: Vec<u16> = plane.samples()[..header.area()].iter().map(|&value| sample(value)).collect();
        pixels::set_precision(header, stream.precision, Sign::Told, samples.iter().copied())?;
        return Ok(Decoded::Samples(pixels::narrowed(header, samples)));
    }
    // Colours have no sign.
    if stream.signed {
        return Err(Refusal::UnsupportedColour);
    }
    let header = &*header;
    let interleaved = (0..header.area()).flat_map(|place| components.iter().map(move |plane| plane.samples()[place]));
    let (width, height) = (header.width, header.height);
    let narrow = stream.precision == 8 && header.allocated == 8;
    if narrow && matches!(header.photometric, Photometric::YbrFull | Photometric::YbrFull422) {
        let samples = interleaved.map(|value| sample(value) as u8).collect();
        return Ok(Decoded::Samples(super::shades::Samples::U8(samples)));
    }
    let image = if narrow {
        let samples = interleaved.map(|value| sample(value) as u8).collect();
        RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
    } else if stream.precision == 16 && header.allocated == 16 {
        let samples = interleaved.map(sample).collect();
        ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16)
    } else {
        return Err(Refusal::UnsupportedColour);
    };
    image.map(Decoded::Rgb).ok_or(Refusal::Corrupt)
}

/// A codestream that holds what it says.
struct Stream<'a> {
    /// Without what follows its end.
    bytes: &'a [u8],
    precision: u32,
    signed: bool,
    /// Width and height of a tile, or of the picture if that is less.
    tile: [u64; 2],
    /// The most that structures of a tile take, in bytes.
    structures: u64,
}

impl<'a> Stream<'a> {
    fn walk(data: &'a [u8], header: &Header<'_>) -> Result<Self, Refusal> {
        let (START, rest) = marker(data)? else { return Err(Refusal::Corrupt) };
        let (SIZE, rest) = marker(rest)? else { return Err(Refusal::Corrupt) };
        let (segment, mut rest) = segment(rest)?;
        let (head, components) = segment.split_first_chunk::<36>().ok_or(Refusal::Corrupt)?;
        let [a, b] = [head[0], head[1]];
        // Part 15 (high throughput) announces itself here.
        if u16::from_be_bytes([a, b]) & 0x4000 != 0 {
            return Err(Refusal::UnsupportedCompression);
        }
        let numbers = head[2..34].as_chunks().0;
        let number = |place: usize| u32::from_be_bytes(numbers[place]);
        if [number(0), number(1)] != [header.width, header.height]
            || components.len() != 3 * header.samples
            || usize::from(u16::from_be_bytes([head[34], head[35]])) != header.samples
        {
            return Err(Refusal::Corrupt);
        }
        let offsets = [number(2), number(3), number(6), number(7)];
        let listed = components.as_chunks::<3>().0;
        let [depth, ..] = listed[0];
        if offsets != [0; 4] || listed.iter().any(|&component| component != [depth, 1, 1]) {
            return Err(Refusal::UnsupportedCompression);
        }
        let precision = u32::from(depth & 0x7f) + 1;
        if precision > 16 {
            return Err(Refusal::UnsupportedCompression);
        }
        // Writers mix these up, and which of both is right, nothing tells: half of the range would come out at the wrong end.
        let signed = depth & 0x80 != 0;
        if precision > header.allocated || signed != header.signed {
            return Err(Refusal::Corrupt);
        }
        let [across, down] = [number(4), number(5)];
        if across == 0 || down == 0 {
            return Err(Refusal::Corrupt);
        }
        let tiles = header.width.div_ceil(across) as usize * header.height.div_ceil(down) as usize;
        if tiles > MAX_TILES {
            return Err(Refusal::TooMuchWork);
        }
        let tile = [across.min(header.width), down.min(header.height)].map(u64::from);
        let mut stream = Self { bytes: data, precision, signed, tile, structures: 0 };
        let mut parts = vec![0_u8; tiles];
        let mut promised = vec![0_u8; tiles];
        loop {
            let start = rest;
            let (found, behind) = marker(rest)?;
            match found {
                START_OF_TILE_PART => {
                    let length;
                    (length, rest) = stream.tile_part(start, header.samples, &mut parts, &mut promised)?;
                    if length == 0 {
                        return Err(Refusal::UnsupportedCompression);
                    }
                }
                END => {
                    let complete = parts
                        .iter()
                        .zip(&promised)
                        .all(|(&parts, &promised)| parts > 0 && (promised == 0 || promised == parts));
                    // A byte fills the length up; some writers take another one than zero.
                    if !complete || behind.iter().skip(1).any(|&byte| byte != 0) {
                        return Err(Refusal::Corrupt);
                    }
                    stream.bytes = &data[..data.len() - behind.len()];
                    return Ok(stream);
                }
                _ => rest = stream.parameters(found, behind, header.samples)?,
            }
        }
    }

    /// Passes over a part of a tile, from its marker on; gives its length, 0 if it is not told, and what follows.
    fn tile_part(
        &mut self,
        start: &'a [u8],
        components: usize,
        parts: &mut [u8],
        promised: &mut [u8],
    ) -> Result<(usize, &'a [u8]), Refusal> {
        let (segment, _) = segment(&start[2..])?;
        let &[t1, t0, l3, l2, l1, l0, part, count] = segment else { return Err(Refusal::Corrupt) };
        let tile = usize::from(u16::from_be_bytes([t1, t0]));
        let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
        if length == 0 {
            return Ok((0, &[]));
        }
        let (whole, rest) = start.split_at_checked(length).ok_or(Refusal::Corrupt)?;
        let (Some(parts), Some(promised)) = (parts.get_mut(tile), promised.get_mut(tile)) else {
            return Err(Refusal::Corrupt);
        };
        // Each part has the number after that of the one before.
        if part != *parts || part == u8::MAX {
            return Err(Refusal::Corrupt);
        }
        *parts += 1;
        if count > 0 {
            *promised = count;
        }
        let mut inner = whole.get(12..).ok_or(Refusal::Corrupt)?;
        loop {
            let (found, behind) = marker(inner)?;
            if found == START_OF_DATA {
                return Ok((length, rest));
            }
            inner = self.parameters(found, behind, components)?;
        }
    }

    /// Reads or passes over a segment of parameters, and gives what follows it.
    fn parameters(&mut self, marker: u8, bytes: &'a [u8], components: usize) -> Result<&'a [u8], Refusal> {
        let (segment, rest) = segment(bytes)?;
        match (marker, segment) {
            (CODING_STYLE, &[style, _, l1, l0, _, ref parameters @ ..]) => {
                let layers = u16::from_be_bytes([l1, l0]).into();
                self.coding_style(style, layers, parameters, components)?;
            }
            // The layers are those of the picture.
            (CODING_STYLE_OF_COMPONENT, &[_, style, ref parameters @ ..]) => {
                self.coding_style(style, MAX_LAYERS, parameters, components)?;
            }
            (CODING_STYLE | CODING_STYLE_OF_COMPONENT, _) => return Err(Refusal::Corrupt),
            // Quantization; lengths of tiles and packets; places of components; comments.
            (0x5c | 0x5d | 0x55 | 0x57 | 0x58 | 0x63 | 0x64, _) => {}
            // High throughput, regions, other orders, packed headers, and what nobody knows.
            (CAPABILITIES | _, _) => return Err(Refusal::UnsupportedCompression),
        }
        Ok(rest)
    }

    /// Counts what the decoder keeps for the code blocks of a tile.
    fn coding_style(&mut self, style: u8, layers: u64, parameters: &[u8], components: usize) -> Result<(), Refusal> {
        let &[levels, across, down, blocks, _, ref precincts @ ..] = parameters else { return Err(Refusal::Corrupt) };
        let own = style & 1 == 1;
        if levels > 32 || across > 8 || down > 8 || across + down > 8 || own && precincts.len() <= levels.into() {
            return Err(Refusal::Corrupt);
        }
        if layers > MAX_LAYERS {
            return Err(Refusal::TooMuchWork);
        }
        // Sizes of blocks are told less 2, as powers of two.
        let block = [across + 2, down + 2].map(u32::from);
        // Segments of a block: one for each layer, or for each of its passes where these end by themselves.
        let segments = if blocks & 0b101 == 0 { layers } else { layers + 3 * 32 };
        let mut bytes = 0;
        for level in 0..=levels {
            // Of the resolution, the picture's own first.
            let halved = |side: u64| (side >> level) + 2;
            let precinct = match precincts.get(usize::from(levels - level)) {
                Some(&size) if own => [size & 15, size >> 4].map(u32::from),
                _ => [15, 15],
            };
            let count = |sizes: [u32; 2]| (halved(self.tile[0]) >> sizes[0]) + 2;
            let rows = |sizes: [u32; 2]| (halved(self.tile[1]) >> sizes[1]) + 2;
            let block = [block[0].min(precinct[0].saturating_sub(1)), block[1].min(precinct[1].saturating_sub(1))];
            let precincts = 3 * count(precinct) * rows(precinct);
            let blocks = 3 * (count(block) * rows(block) / 4 + 4 * precincts);
            bytes += 128 * precincts + blocks * (256 + 32 * layers + 48 * segments);
        }
        self.structures = self.structures.max(bytes * components as u64);
        Ok(())
    }

    /// What decoding takes besides the samples that are made: components, the coefficients of a tile twice, structures.
    fn memory(&self, header: &Header<'_>) -> u64 {
        4 * header.area() as u64 * header.samples as u64 + 2 * 4 * self.tile[0] * self.tile[1] + self.structures
    }
}

/// The marker at the head, and what follows it.
fn marker(bytes: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    match bytes {
        [0xff, marker, rest @ ..] => Ok((*marker, rest)),
        _ => Err(Refusal::Corrupt),
    }
}

/// What a segment holds behind its length, and what follows it.
fn segment(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let &length = bytes.first_chunk().ok_or(Refusal::Corrupt)?;
    let (segment, rest) = bytes.split_at_checked(u16::from_be_bytes(length).into()).ok_or(Refusal::Corrupt)?;
    Ok((segment.get(2..).ok_or(Refusal::Corrupt)?, rest))
}
