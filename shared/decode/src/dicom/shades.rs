//! From stored values to grey values (PS3.3, C.7.6.3, C.11.1, C.11.2; PS3.4, N.2).
//!
//! 1. **Modality**: a table or a straight line makes of a stored value what the machine has measured.
//! 2. **Values of interest**: a table, or else the first window, makes of that a grey value between 0 and 1. A window that
//!    cannot have been meant is passed over: one that shows less than a tenth of the range of the pixels, or a range of the
//!    pixels in less than a tenth of its shades. So is a table that leaves less than a tenth of the shades to the pixels, or
//!    whose brightest entry is less than half of what its bits can say. Without any, the range of the pixels is spread over all shades: from the
//!    value below which one in 200 pixels lies to that above which one in 200 does. Pictures of 8 bits without any of this
//!    stay as they are, as a JPEG or PNG file would.
//! 3. **Inversion**, where the lowest value stands for white.
//! 4. Pixels that are padding are black, and count for no range.
//!
//! Grey values are rounded to 16 bits: 65,535 times the value, halves up. All is done once for each of at most 65,536 stored
//! values, in additions, multiplications and divisions of f64 in one order, which IEEE 754 makes the same on every
//! processor; [`libm`]'s exponential function consists of these.

use image::{DynamicImage, GrayImage, ImageBuffer};
use shared::verdict::Refusal;

use super::header::{Function, Header, Table, Window};
use crate::Shades;

/// One in so many pixels may lie below the range that is shown, and one above.
const BEYOND: u64 = 200;

/// What is left of a window's shades, or of the range of the pixels, if either is less than this part of the other.
const ABSURD: f64 = 0.1;

/// Samples as they are stored.
pub(super) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

impl Samples {
    /// Calls `see` with each one.
    pub(super) fn each(&self, mut see: impl FnMut(u16)) {
        match self {
            Self::U8(samples) => samples.iter().for_each(|&sample| see(sample.into())),
            Self::U16(samples) => samples.iter().for_each(|&sample| see(sample)),
        }
    }
}

/// The grey picture that the samples are shown as.
pub(super) fn grey(samples: Samples, header: &Header<'_>) -> Result<DynamicImage, Refusal> {
    let place = |sample: u16| pattern(sample, header);
    let counts = counts(&samples, header);
    let (width, height) = (header.width, header.height);
    let image = match (samples, shades(header, &counts)) {
        // As they are.
        (Samples::U8(samples), None) => GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
        (Samples::U8(samples), Some(shades)) => {
            let pixels = samples.into_iter().map(|sample| shades[place(sample.into())]).collect();
            ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageLuma16)
        }
        (Samples::U16(samples), None) => {
            let pixels = samples.into_iter().map(|sample| place(sample) as u8).collect();
            GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
        }
        (Samples::U16(mut samples), Some(shades)) => {
            samples.iter_mut().for_each(|sample| *sample = shades[place(*sample)]);
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma16)
        }
    };
    image.ok_or(Refusal::Corrupt)
}

/// The stored bits of a sample that belong to the picture.
fn pattern(sample: u16, header: &Header<'_>) -> usize {
    usize::from(sample >> header.shift & header.mask() as u16)
}

/// How many pixels there are of each pattern of stored bits.
pub(super) fn counts(samples: &Samples, header: &Header<'_>) -> Vec<u32> {
    let mut counts = vec![0_u32; header.mask() as usize + 1];
    samples.each(|sample| counts[pattern(sample, header)] += 1);
    counts
}

/// What the machine has measured, for each pattern of stored bits.
pub(super) fn measured(header: &Header<'_>) -> Vec<f64> {
    let measured = |value| match &header.modality {
        Some(table) => table.at(value).into(),
        None => f64::from(value) * header.rescale.0 + header.rescale.1,
    };
    values(header).map(measured).collect()
}

/// The stored value for each pattern of stored bits.
fn values(header: &Header<'_>) -> impl Iterator<Item = i32> {
    (0..=header.mask()).map(|pattern| header.value((pattern << header.shift) as u16))
}

fn is_padding(value: i32, header: &Header<'_>) -> bool {
    header.padding.is_some_and(|(least, most)| (least..=most).contains(&value))
}

/// What shows pixels of which there are as many of each pattern as `counts` says, and what it stands for in `measured`.
pub(super) fn way(header: &Header<'_>, measured: &[f64], counts: &[u32]) -> Shades {
    let (least, most) = {
        let seen = values(header).zip(measured).zip(counts);
        let mut seen: Vec<(f64, u32)> = seen
            .filter(|&((value, _), &count)| count > 0 && !is_padding(value, header))
            .map(|((_, &measured), &count)| (measured, count))
            .collect();
        seen.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        robust_range(&seen)
    };
    let bare = header.stored == 8 && !header.signed && header.modality.is_none() && header.rescale == (1.0, 0.0);
    if header.voi.as_ref().is_some_and(|table| can_be_meant(table, (least, most))) {
        return Shades::Table;
    }
    match header.window.filter(|window| is_sensible(window, (least, most))) {
        Some(Window { centre, width, .. }) => Shades::Window { centre, width },
        None if bare => Shades::AsStored,
        None => Shades::Range { least, most },
    }
}

/// The grey value for each pattern of stored bits, of which there are as many pixels as `counts` says. `None` if the patterns
/// are grey values of 8 bits themselves.
fn shades(header: &Header<'_>, counts: &[u32]) -> Option<Vec<u16>> {
    let measured = measured(header);
    let way = way(header, &measured, counts);
    if way == Shades::AsStored && !header.inverse && header.padding.is_none() {
        return None;
    }
    let shade = |measured: f64| match (way, &header.voi, &header.window) {
        (Shades::Table, Some(table), _) => shade_by(table, measured),
        (Shades::Window { .. }, _, Some(window)) => shade_in(window, measured),
        (Shades::Range { least, most }, ..) if most > least => (measured - least) / (most - least),
        (Shades::Range { .. }, ..) => 0.0,
        _ => measured / 255.0,
    };
    let rounded = values(header).zip(measured).map(|(value, measured)| {
        if is_padding(value, header) {
            return 0;
        }
        let shade = (shade(measured).clamp(0.0, 1.0) * 65_535.0 + 0.5) as u16;
        if header.inverse { u16::MAX - shade } else { shade }
    });
    Some(rounded.collect())
}

/// The values between which all but one in [`BEYOND`] at either end lie, of pairs of a value and how often there is one.
fn robust_range(sorted: &[(f64, u32)]) -> (f64, f64) {
    let all: u64 = sorted.iter().map(|&(_, count)| u64::from(count)).sum();
    let end = |mut values: Box<dyn Iterator<Item = &(f64, u32)> + '_>| {
        let mut passed = 0;
        let found = values.find(|&&(_, count)| {
            passed += u64::from(count);
            passed * BEYOND > all
        });
        found.map_or(0.0, |&(value, _)| value)
    };
    (end(Box::new(sorted.iter())), end(Box::new(sorted.iter().rev())))
}

/// Whether a window can have been meant for pixels of this range.
fn is_sensible(window: &Window, (least, most): (f64, f64)) -> bool {
    let width = match window.function {
        // With a width of one there would be no shade.
        Function::Linear => window.width - 1.0,
        Function::LinearExact | Function::Sigmoid => window.width,
        Function::Other => return false,
    };
    let common = (window.centre + width / 2.0).min(most) - (window.centre - width / 2.0).max(least);
    width > 0.0 && common > 0.0 && common >= ABSURD * width && common >= ABSURD * (most - least)
}

/// Whether a table can have been meant for pixels of this range: not if its brightest entry is less than half of what its bits
/// can say, as one of 12 bits that is said to have 16, nor if it leaves less than a tenth of the shades to the pixels.
fn can_be_meant(table: &Table, (least, most): (f64, f64)) -> bool {
    let full = table.entries.iter().any(|&entry| entry > table.most() / 2);
    full && (shade_by(table, most) - shade_by(table, least)).abs() >= ABSURD
}

/// The grey value of what was measured, by a table.
fn shade_by(table: &Table, measured: f64) -> f64 {
    f64::from(table.at(measured as i32)) / f64::from(table.most())
}

/// The grey value of what was measured, in a window.
fn shade_in(window: &Window, measured: f64) -> f64 {
    let &Window { centre, width, function } = window;
    match function {
        // From one end to the other the window has one value less than it is wide (C.11.2.1.2.1).
        Function::Linear => (measured - (centre - 0.5)) / (width - 1.0) + 0.5,
        Function::LinearExact => (measured - centre) / width + 0.5,
        Function::Sigmoid | Function::Other => 1.0 / (1.0 + libm::exp(-4.0 * (measured - centre) / width)),
    }
}
