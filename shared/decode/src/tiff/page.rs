//! A page: what its directory says of its pixels, and the pixels.

use image::metadata::Orientation;
use shared::{
    limits::{MAX_IMAGE_SIDE, MAX_SCANNED_SAMPLES},
    verdict::Refusal,
};

use super::{directory::Directory, unpack::Compression};

/// Tags of the fields (section 8, sections 14, 15 and 18).
mod tag {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const ORIENTATION: u16 = 274;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_LENGTHS: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const PALETTE: u16 = 320;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_LENGTHS: u16 = 325;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
}

/// Most samples of a pixel: red, green, blue, and one that is passed over, as transparency is.
const MAX_SAMPLES: usize = 4;

/// What the samples stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
}

/// A page within the limits, whose strips or tiles are all there.
pub(super) struct Page<'a> {
    file: &'a [u8],
    big_endian: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    /// 8 or 16.
    pub(super) bits: u32,
    pub(super) photometric: Photometric,
    /// The colour of each sample.
    pub(super) palette: Option<Vec<[u8; 3]>>,
    pub(super) orientation: Orientation,
    compression: Compression,
    /// Whether a sample is the difference to the one before it in its row.
    differences: bool,
    /// Samples of a pixel.
    samples: usize,
    parts: Parts,
}

/// The strips or tiles.
struct Parts {
    /// Columns and rows of one. The last strip may have fewer rows; tiles never do.
    size: [usize; 2],
    tiled: bool,
    /// How many lie beside each other.
    across: usize,
    /// How many make a plane.
    of_plane: usize,
    /// Whether each has one sample of its pixels.
    planar: bool,
    /// Where they begin and how long they are: from left to right, from above, plane by plane.
    places: Vec<[u32; 2]>,
}

/// Columns and rows, and bits of a sample.
pub(super) fn size(directory: &Directory<'_>) -> Result<([u32; 2], u32), Refusal> {
    let first = |tag| {
        let numbers = directory.numbers(tag, MAX_SAMPLES)?;
        numbers.and_then(|numbers| numbers.first().copied()).ok_or(Refusal::Corrupt)
    };
    Ok(([first(tag::WIDTH)?, first(tag::HEIGHT)?], first(tag::BITS)?))
}

impl<'a> Page<'a> {
    pub(super) fn read(directory: &Directory<'a>) -> Result<Self, Refusal> {
        let needed = |tag| directory.number(tag)?.ok_or(Refusal::Corrupt);
        let or = |tag, default| Ok::<u32, Refusal>(directory.number(tag)?.unwrap_or(default));
        let (width, height) = (needed(tag::WIDTH)?, needed(tag::HEIGHT)?);
        if width == 0 || height == 0 {
            return Err(Refusal::Corrupt);
        }
        crate::check_size(width, height)?;
        let photometric = match needed(tag::PHOTOMETRIC)? {
            0 => Photometric::WhiteIsZero,
            1 => Photometric::BlackIsZero,
            2 => Photometric::Rgb,
            3 => Photometric::Palette,
            // What a sensor has measured under a grid of colours, and that made even.
            32_803 | 34_892 => return Err(Refusal::UnsupportedKind),
            // Masks, CMYK, brightness and differences, Lab.
            _ => return Err(Refusal::UnsupportedColour),
        };
        let samples = or(tag::SAMPLES, 1)? as usize;
        let colours = if photometric == Photometric::Rgb { 3 } else { 1 };
        if !(colours..=colours + 1).contains(&samples) {
            return Err(Refusal::UnsupportedColour);
        }
        let of_each = |tag, default| {
            let numbers = directory.numbers(tag, MAX_SAMPLES)?.unwrap_or_else(|| vec![default; samples]);
            let [first, ..] = numbers[..] else { return Err(Refusal::Corrupt) };
            // Some programs write the number once for all samples.
            if numbers.len() != samples && numbers.len() != 1 {
                return Err(Refusal::Corrupt);
            }
            if numbers.iter().any(|&number| number != first) { Err(Refusal::UnsupportedKind) } else { Ok(first) }
        };
        let bits = of_each(tag::BITS, 1)?;
        // Numbers without a sign, or of which nothing is said; in whole bytes; their bits in the usual order.
        let usual = matches!(of_each(tag::SAMPLE_FORMAT, 1)?, 1 | 4)
            && (bits == 8 || bits == 16 && photometric != Photometric::Palette)
            && or(tag::FILL_ORDER, 1)? == 1;
        if !usual {
            return Err(Refusal::UnsupportedKind);
        }
        let compression = Compression::of(or(tag::COMPRESSION, 1)?)?;
        let differences = match or(tag::PREDICTOR, 1)? {
            1 => false,
            // The field is for these two.
            2 => matches!(compression, Compression::Lzw | Compression::Deflate),
            _ => return Err(Refusal::UnsupportedKind),
        };
        let planar = match or(tag::PLANAR, 1)? {
            1 => false,
            2 => true,
            _ => return Err(Refusal::Corrupt),
        };
        let orientation = or(tag::ORIENTATION, 1)?;
        let orientation = u8::try_from(orientation).ok().and_then(Orientation::from_exif);
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        let parts = Parts::read(directory, [width, height], if planar { samples } else { 1 }, planar)?;
        let page = Self {
            file: directory.file,
            big_endian: directory.big_endian,
            width,
            height,
            bits,
            photometric,
            palette: palette(directory, photometric)?,
            orientation,
            compression,
            differences,
            samples,
            parts,
        };
        page.check_work()?;
        Ok(page)
    }

    /// Bytes of a row in a strip or tile.
    fn row(&self) -> usize {
        let samples = if self.parts.planar { 1 } else { self.samples };
        self.parts.size[0] * samples * self.bits as usize / 8
    }

    /// Holds what decoding takes to the limits: the picture, and a strip or tile that is unpacked.
    fn check_work(&self) -> Result<(), Refusal> {
        let area = u64::from(self.width) * u64::from(self.height);
        let bytes = u64::from(self.bits / 8);
        let one = self.row() as u64 * self.parts.size[1] as u64;
        if one / bytes * self.parts.places.len() as u64 > MAX_SCANNED_SAMPLES {
            return Err(Refusal::TooMuchWork);
        }
        let unpacked = if self.compression == Compression::None { 0 } else { one };
        // Samples beside their colours.
        let (colours, places) = match self.photometric {
            Photometric::WhiteIsZero | Photometric::BlackIsZero => (1, 0),
            Photometric::Rgb => (3, 0),
            Photometric::Palette => (3, area),
        };
        crate::check_memory(area * colours * bytes, unpacked.max(places), false, self.orientation)
    }

    /// The samples of all pixels, those of a pixel one after the other, without the one that is passed over.
    pub(super) fn samples<T: Copy + Default>(&self, narrow: impl Fn(u16) -> T) -> Result<Vec<T>, Refusal> {
        let [width, height] = [self.width, self.height].map(|side| side as usize);
        let colours = if self.photometric == Photometric::Rgb { 3 } else { 1 };
        let mut all = vec![T::default(); width * height * colours];
        let [columns, rows] = self.parts.size;
        for (number, &[start, length]) in self.parts.places.iter().enumerate() {
            let (plane, place) = (number / self.parts.of_plane, number % self.parts.of_plane);
            let (left, top) = (place % self.parts.across * columns, place / self.parts.across * rows);
            let seen = [columns.min(width - left), rows.min(height - top)];
            let stored = if self.parts.tiled { rows } else { seen[1] };
            let data = &self.file[start as usize..][..length as usize];
            let data = self.compression.unpack(data, self.row() * stored)?;
            // Without colours that are passed over.
            let first = if self.parts.planar { plane } else { 0 };
            let step = if self.parts.planar { 1 } else { self.samples };
            if first >= colours {
                continue;
            }
            for (line, y) in data.chunks_exact(self.row()).zip(top..top + seen[1]) {
                let row = &mut all[(y * width + left) * colours..][..seen[0] * colours];
                let mut before = [0_u16; MAX_SAMPLES];
                for (x, pixel) in row.chunks_exact_mut(colours).enumerate() {
                    for (before, (sample, to)) in
                        before.iter_mut().zip((x * step..).take(step).zip(&mut pixel[first..]))
                    {
                        let mut value = self.sample(line, sample);
                        if self.differences {
                            value = value.wrapping_add(*before);
                            *before = value;
                        }
                        *to = narrow(value);
                    }
                }
            }
        }
        Ok(all)
    }

    fn sample(&self, line: &[u8], place: usize) -> u16 {
        if self.bits == 8 {
            return line[place].into();
        }
        let bytes = [line[2 * place], line[2 * place + 1]];
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

impl Parts {
    fn read(directory: &Directory<'_>, size: [u32; 2], planes: usize, planar: bool) -> Result<Self, Refusal> {
        let [width, height] = size.map(|side| side as usize);
        let tiled = directory.number(tag::TILE_WIDTH)?.is_some();
        let (size, offsets, lengths) = if tiled {
            let side = |tag| match directory.number(tag)? {
                None | Some(0) => Err(Refusal::Corrupt),
                Some(side) if side > MAX_IMAGE_SIDE => Err(Refusal::TooManyPixels),
                // Whole sixteens, says TIFF 6.0, section 15: so there are never many of them.
                Some(side) if side % 16 != 0 => Err(Refusal::UnsupportedKind),
                Some(side) => Ok(side),
            };
            let size = [side(tag::TILE_WIDTH)? as usize, side(tag::TILE_HEIGHT)? as usize];
            (size, tag::TILE_OFFSETS, tag::TILE_LENGTHS)
        } else {
            // All rows, if nothing is said.
            let rows = directory.number(tag::ROWS_PER_STRIP)?.unwrap_or(u32::MAX) as usize;
            if rows == 0 {
                return Err(Refusal::Corrupt);
            }
            ([width, rows.min(height)], tag::STRIP_OFFSETS, tag::STRIP_LENGTHS)
        };
        let across = width.div_ceil(size[0]);
        let of_plane = across * height.div_ceil(size[1]);
        let count = of_plane * planes;
        let of_each = |tag| {
            let numbers = directory.numbers(tag, count)?.ok_or(Refusal::Corrupt)?;
            if numbers.len() == count { Ok(numbers) } else { Err(Refusal::Corrupt) }
        };
        let (offsets, lengths) = (of_each(offsets)?, of_each(lengths)?);
        let places: Vec<[u32; 2]> = offsets.into_iter().zip(lengths).map(|(offset, length)| [offset, length]).collect();
        check_places(&places, directory.file.len())?;
        Ok(Self { size, tiled, across, of_plane, planar, places })
    }
}

/// Refused unless all strips or tiles lie in the file, behind its header, and none in another one.
fn check_places(places: &[[u32; 2]], length: usize) -> Result<(), Refusal> {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    let mut free = 8;
    for [start, bytes] in sorted.into_iter().map(|place| place.map(u64::from)) {
        if start < free || bytes == 0 {
            return Err(Refusal::Corrupt);
        }
        free = start + bytes;
    }
    if free <= length as u64 { Ok(()) } else { Err(Refusal::Corrupt) }
}

/// The colours of all samples: the higher bytes of all red ones, then of green, then of blue.
fn palette(directory: &Directory<'_>, photometric: Photometric) -> Result<Option<Vec<[u8; 3]>>, Refusal> {
    if photometric != Photometric::Palette {
        return Ok(None);
    }
    let numbers = directory.numbers(tag::PALETTE, 3 * 256)?.ok_or(Refusal::Corrupt)?;
    if numbers.len() != 3 * 256 {
        return Err(Refusal::Corrupt);
    }
    Ok(Some((0..256).map(|place| [0, 256, 512].map(|colour| (numbers[place + colour] >> 8) as u8)).collect()))
}
