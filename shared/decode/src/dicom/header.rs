//! What is needed of a data set: how the pixels are stored, and how they are to be shown; what `suitable` asks for.

use shared::{accession::Accession, limits::MAX_IMAGE_SIDE, verdict::Refusal};

use super::{
    elements::{
        self, Element, Encoding, MODALITY_LUT_SEQUENCE, PIXEL_DATA, VIEW_CODE_SEQUENCE, VOI_LUT_SEQUENCE, Value,
    },
    suitable::Statements,
};
use crate::Facts;

/// How the samples of a pixel are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    /// The lowest value is white.
    Monochrome1,
    /// The lowest value is black.
    Monochrome2,
    /// Places in three tables.
    Palette,
    Rgb,
    /// Brightness and two differences of colours.
    YbrFull,
    /// The same; two neighbours share the differences.
    YbrFull422,
    /// What JPEG 2000 makes of RGB, and its decoder resolves.
    Ybr2000,
}

/// A table of up to 65,536 values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// The input that the first entry is for; whatever is less gets it, too.
    pub(super) first: i32,
    /// Bits of an entry: 8 to 16.
    pub(super) bits: u32,
    pub(super) entries: Vec<u16>,
}

impl Table {
    /// The entry for an input.
    pub(super) fn at(&self, input: i32) -> u16 {
        let place = input.saturating_sub(self.first).clamp(0, self.entries.len() as i32 - 1);
        self.entries[place as usize]
    }

    /// The greatest value that an entry may have.
    pub(super) fn most(&self) -> u16 {
        u16::MAX >> (16 - self.bits)
    }
}

/// How a window makes grey values of what the machine has measured (PS3.3, C.11.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Linear,
    LinearExact,
    Sigmoid,
    /// One that the standard does not know.
    Other,
}

/// A window: what lies within is shown in shades, what lies without as black or white.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) centre: f64,
    pub(super) width: f64,
    pub(super) function: Function,
}

/// What the elements say.
pub(super) struct Header<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 1, or 3.
    pub(super) samples: usize,
    /// Bits that a sample takes: 8 or 16.
    pub(super) allocated: u32,
    /// Bits that belong to the picture: 1 to `allocated`. Others may hold overlays.
    pub(super) stored: u32,
    /// Bits below these.
    pub(super) shift: u32,
    pub(super) signed: bool,
    /// Each colour in a plane of its own.
    pub(super) planar: bool,
    pub(super) photometric: Photometric,
    /// Slope and intercept that make what the machine has measured of a stored value.
    pub(super) rescale: (f64, f64),
    /// The same by a table, in its place.
    pub(super) modality: Option<Table>,
    pub(super) window: Option<Window>,
    /// What makes grey values of what was measured, in place of a window.
    pub(super) voi: Option<Table>,
    /// The grey values come out inverted.
    pub(super) inverse: bool,
    /// Stored values that stand for *no picture here*, the lowest and the highest.
    pub(super) padding: Option<(i32, i32)>,
    pub(super) palette: Option<[Table; 3]>,
    /// Encoding of numbers in `pixels`.
    pub(super) encoding: Encoding,
    /// Whether plain bytes are written as numbers of two bytes.
    pub(super) words: bool,
    pub(super) pixels: Value<'a>,
}

impl<'a> Header<'a> {
    /// Reads a whole data set, and what may be told of it besides. Refused first for what it is, then for its pixels.
    pub(super) fn read(data_set: &'a [u8], encoding: Encoding) -> Result<(Self, Facts), Refusal> {
        let found = Found::in_all(data_set, encoding)?;
        let facts = found.statements.facts()?;
        Ok((found.header(encoding)?, facts))
    }

    /// Reads a whole data set for its accession number alone.
    pub(super) fn accession(data_set: &'a [u8], encoding: Encoding) -> Option<Accession> {
        Found::in_all(data_set, encoding).ok()?.statements.accession()
    }

    /// The picture that a stored sample is a number of: the bits of the picture, with their sign.
    pub(super) fn value(&self, sample: u16) -> i32 {
        let bits = u32::from(sample) >> self.shift & self.mask();
        let negative = self.signed && bits >> (self.stored - 1) & 1 == 1;
        bits as i32 - if negative { 1 << self.stored } else { 0 }
    }

    /// As many ones as there are bits stored.
    pub(super) fn mask(&self) -> u32 {
        (1 << self.stored) - 1
    }

    /// Whether its samples are shades of grey.
    pub(super) fn is_grey(&self) -> bool {
        matches!(self.photometric, Photometric::Monochrome1 | Photometric::Monochrome2)
    }

    /// Pixels.
    pub(super) fn area(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

/// Values of elements as they stand in the file.
#[derive(Default)]
struct Found<'a> {
    statements: Statements<'a>,
    samples: Option<&'a [u8]>,
    photometric: Option<&'a [u8]>,
    planar: Option<&'a [u8]>,
    frames: Option<&'a [u8]>,
    rows: Option<&'a [u8]>,
    columns: Option<&'a [u8]>,
    allocated: Option<&'a [u8]>,
    stored: Option<&'a [u8]>,
    high: Option<&'a [u8]>,
    representation: Option<&'a [u8]>,
    padding: Option<&'a [u8]>,
    padding_limit: Option<&'a [u8]>,
    centre: Option<&'a [u8]>,
    width: Option<&'a [u8]>,
    function: Option<&'a [u8]>,
    intercept: Option<&'a [u8]>,
    slope: Option<&'a [u8]>,
    shape: Option<&'a [u8]>,
    modality: FoundTable<'a>,
    voi: FoundTable<'a>,
    palette: [FoundTable<'a>; 3],
    segmented: bool,
    pixels: Option<Value<'a>>,
    words: bool,
}

#[derive(Default)]
struct FoundTable<'a> {
    descriptor: Option<&'a [u8]>,
    /// Whether its second number has a sign, if the element says so.
    signed: Option<bool>,
    entries: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn in_all(data_set: &'a [u8], encoding: Encoding) -> Result<Self, Refusal> {
        let mut found = Self::default();
        elements::walk(data_set, encoding, |element| found.take(element))?;
        Ok(found)
    }

    fn take(&mut self, element: Element<'a>) -> Result<(), Refusal> {
        // What comes behind the pixels says nothing of them: elements are in the order of their numbers. So a file that breaks
        // off there is no other picture.
        if self.pixels.is_some() {
            return Ok(());
        }
        let Element { within, tag, vr, value } = element;
        if (within, tag) == (None, PIXEL_DATA) {
            self.pixels = Some(value);
            self.words = vr != Some(*b"OB");
            return Ok(());
        }
        let Value::Bytes(value) = value else { return Ok(()) };
        let table = match within {
            Some(MODALITY_LUT_SEQUENCE) => Some(&mut self.modality),
            Some(VOI_LUT_SEQUENCE) => Some(&mut self.voi),
            Some(VIEW_CODE_SEQUENCE) => return self.statements.take_of_view(tag, value),
            _ => None,
        };
        if let Some(table) = table {
            match tag {
                0x0028_3002 => (table.descriptor, table.signed) = (Some(value), vr.map(|vr| vr == *b"SS")),
                0x0028_3006 => table.entries = Some(value),
                _ => {}
            }
            return Ok(());
        }
        let place = match tag {
            0x0028_0002 => &mut self.samples,
            0x0028_0004 => &mut self.photometric,
            0x0028_0006 => &mut self.planar,
            0x0028_0008 => &mut self.frames,
            0x0028_0010 => &mut self.rows,
            0x0028_0011 => &mut self.columns,
            0x0028_0100 => &mut self.allocated,
            0x0028_0101 => &mut self.stored,
            0x0028_0102 => &mut self.high,
            0x0028_0103 => &mut self.representation,
            0x0028_0120 => &mut self.padding,
            0x0028_0121 => &mut self.padding_limit,
            0x0028_1050 => &mut self.centre,
            0x0028_1051 => &mut self.width,
            0x0028_1052 => &mut self.intercept,
            0x0028_1053 => &mut self.slope,
            0x0028_1056 => &mut self.function,
            0x2050_0020 => &mut self.shape,
            0x0028_1101..=0x0028_1103 => {
                let table = &mut self.palette[(tag - 0x0028_1101) as usize];
                table.signed = vr.map(|vr| vr == *b"SS");
                &mut table.descriptor
            }
            0x0028_1201..=0x0028_1203 => &mut self.palette[(tag - 0x0028_1201) as usize].entries,
            0x0028_1221 => {
                self.segmented = true;
                return Ok(());
            }
            _ => {
                return self.statements.take(tag, value);
            }
        };
        *place = Some(value);
        Ok(())
    }

    fn header(self, encoding: Encoding) -> Result<Header<'a>, Refusal> {
        let number = |value: Option<&[u8]>| value.and_then(|value| value.first_chunk()).map(|&two| encoding.u16(two));
        let required = |value| number(value).ok_or(Refusal::Corrupt);
        let pixels = self.pixels.ok_or(Refusal::Corrupt)?;
        let (height, width) = (u32::from(required(self.rows)?), u32::from(required(self.columns)?));
        crate::check_size(width, height)?;
        const _: () = assert!(MAX_IMAGE_SIDE <= u16::MAX as u32);
        // None is as good as one; what cannot be read may be several.
        match self.frames.map(|value| (is_empty(value), decimal(Some(value)))) {
            None | Some((true, _)) => {}
            Some((false, Some(frames))) if (0.0..=1.0).contains(&frames) => {}
            Some((false, Some(frames))) if frames > 1.0 => return Err(Refusal::Animated),
            Some((false, _)) => return Err(Refusal::Corrupt),
        }
        let allocated = u32::from(required(self.allocated)?);
        let stored = number(self.stored).map_or(allocated, u32::from);
        let high = number(self.high).map_or(stored.wrapping_sub(1), u32::from);
        if !matches!(allocated, 8 | 16) {
            return Err(Refusal::UnsupportedCompression);
        }
        if !(1..=allocated).contains(&stored) || !(stored - 1..allocated).contains(&high) {
            return Err(Refusal::Corrupt);
        }
        let signed = number(self.representation).unwrap_or(0) == 1;
        let samples = usize::from(number(self.samples).unwrap_or(1));
        let photometric = match self.photometric.and_then(text) {
            Some("MONOCHROME1") => Photometric::Monochrome1,
            Some("MONOCHROME2") => Photometric::Monochrome2,
            Some("PALETTE COLOR") => Photometric::Palette,
            Some("RGB") => Photometric::Rgb,
            Some("YBR_FULL") => Photometric::YbrFull,
            Some("YBR_FULL_422") => Photometric::YbrFull422,
            Some("YBR_RCT" | "YBR_ICT") => Photometric::Ybr2000,
            Some(_) => return Err(Refusal::UnsupportedColour),
            None => return Err(Refusal::Corrupt),
        };
        let grey = matches!(photometric, Photometric::Monochrome1 | Photometric::Monochrome2 | Photometric::Palette);
        if samples != if grey { 1 } else { 3 } {
            return Err(Refusal::Corrupt);
        }
        // A number of the kind that stored values are.
        let like_stored = |value: u16| {
            let value = if signed { i32::from(value as i16) } else { i32::from(value) };
            // Some writers leave the sign out of the bits that are not stored.
            let beyond = signed && value >= 1 << (stored - 1);
            if beyond { value - (1 << stored) } else { value }
        };
        let padding = number(self.padding).map(|value| {
            let one = like_stored(value);
            let other = number(self.padding_limit).map_or(one, like_stored);
            (one.min(other), one.max(other))
        });
        let modality = self.modality.table(encoding, signed)?;
        let voi = self.voi.table(encoding, signed)?;
        let palette = match (photometric, self.palette.map(|table| table.table(encoding, signed))) {
            (Photometric::Palette, [Ok(Some(red)), Ok(Some(green)), Ok(Some(blue))]) => {
                if red.bits != green.bits || red.bits != blue.bits {
                    return Err(Refusal::Corrupt);
                }
                Some([red, green, blue])
            }
            (Photometric::Palette, _) if self.segmented => return Err(Refusal::UnsupportedColour),
            (Photometric::Palette, _) => return Err(Refusal::Corrupt),
            _ => None,
        };
        let rescale = |value: Option<&[u8]>, absent: f64| match value.and_then(text) {
            None => Ok(absent),
            Some(_) => decimal(value).ok_or(Refusal::Corrupt),
        };
        let rescale = (rescale(self.slope, 1.0)?, rescale(self.intercept, 0.0)?);
        let function = match self.function.and_then(text) {
            None | Some("LINEAR") => Function::Linear,
            Some("LINEAR_EXACT") => Function::LinearExact,
            Some("SIGMOID") => Function::Sigmoid,
            Some(_) => Function::Other,
        };
        let window = decimal(self.centre).zip(decimal(self.width));
        let window = window.map(|(centre, width)| Window { centre, width, function });
        // `INVERSE` says of a digital radiograph that its lowest value is white, as MONOCHROME1 does, and comes with it
        // (PS3.3, C.8.11.1): both together invert once.
        let inverse = photometric == Photometric::Monochrome1 || self.shape.and_then(text) == Some("INVERSE");
        Ok(Header {
            width,
            height,
            samples,
            allocated,
            stored,
            shift: high + 1 - stored,
            signed,
            planar: number(self.planar).unwrap_or(0) == 1,
            photometric,
            rescale,
            modality,
            window,
            voi,
            inverse,
            padding,
            palette,
            encoding,
            words: self.words,
            pixels,
        })
    }
}

impl FoundTable<'_> {
    fn table(&self, encoding: Encoding, signed: bool) -> Result<Option<Table>, Refusal> {
        let (Some(descriptor), Some(entries)) = (self.descriptor, self.entries) else {
            return if self.descriptor.is_none() && self.entries.is_none() { Ok(None) } else { Err(Refusal::Corrupt) };
        };
        let &[c0, c1, f0, f1, b0, b1] = descriptor else { return Err(Refusal::Corrupt) };
        let count = match encoding.u16([c0, c1]) {
            // More than the field can hold.
            0 => 1 << 16,
            count => usize::from(count),
        };
        let first = encoding.u16([f0, f1]);
        let first = if self.signed.unwrap_or(signed) { i32::from(first as i16) } else { i32::from(first) };
        let bits = u32::from(encoding.u16([b0, b1]));
        if !matches!(bits, 8..=16) {
            return Err(Refusal::Corrupt);
        }
        let most = u16::MAX >> (16 - bits);
        let entries: Vec<u16> = if entries.len() >= 2 * count {
            entries.as_chunks().0[..count].iter().map(|&two| encoding.u16(two).min(most)).collect()
        } else if bits == 8 && entries.len() >= count {
            entries[..count].iter().map(|&entry| entry.into()).collect()
        } else {
            return Err(Refusal::Corrupt);
        };
        Ok(Some(Table { first, bits, entries }))
    }
}

/// The first of the texts that a value holds, without the characters that fill it up. `None` if there is none.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    let first = value.split(|&byte| byte == b'\\').next()?;
    let first = std::str::from_utf8(first).ok()?.trim_matches([' ', '\0']);
    if first.is_empty() { None } else { Some(first) }
}

/// Whether a value holds nothing but the characters that fill it up.
fn is_empty(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' ' | 0))
}

/// The first of the decimal numbers that a value holds.
fn decimal(value: Option<&[u8]>) -> Option<f64> {
    // Rust reads names of numbers as well, which are none here.
    text(value?)?.parse().ok().filter(|number: &f64| number.is_finite())
}
