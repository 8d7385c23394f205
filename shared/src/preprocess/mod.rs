//! Pixels of a radiograph → the model's input, in integers.
//!
//! # Definition
//!
//! 1. Grey value: a grey sample as it is; an RGB pixel as `(19595 R + 38470 G + 7471 B + 2^15) >> 16`
//!    (the luma of ITU-R BT.601, as JPEG uses it), computed at the depth of the samples.
//! 2. Inversion, of a picture marked as a negative: `maximum - grey`, with `maximum` 255 or 65535.
//! 3. Resampling by exact areas: target pixel `(x, y)` of a `w × h` target is the mean over the source rectangle
//!    `[x W / w, (x + 1) W / w) × [y H / h, (y + 1) H / h)`, source pixels on its edge weighted by the part that lies
//!    inside. The weights are integers (multiples of `1 / (w h)` of a source pixel), the sum is exact, and the mean is
//!    brought to 0..=255 and rounded half up in one division. There is no aliasing and no floating point, so every
//!    processor gives the same bytes.
//! 4. Fit: `Unframed` takes the part of the picture that is the [`Window`] for the picture; from there on it is like
//!    `Stretch`. `Stretch` fills the square. `Letterbox` keeps the aspect ratio: the longer side fills the square, the
//!    shorter one is `max(1, round half up(side × shorter / longer))` pixels, centred (the odd pixel goes below or to
//!    the right), the rest is black.

mod window;

use alloc::{vec, vec::Vec};
use core::mem;

pub use window::Window;

use crate::{
    contract::{Fit, InputContract},
    limits::{MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE},
};

/// Samples in rows, at 8 or 16 bits.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// 0..=255.
    U8(&'a [u8]),
    /// 0..=65535, in the processor's own byte order.
    U16(&'a [u16]),
}

/// Samples of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One.
    Grey,
    /// Three, interleaved.
    Rgb,
}

/// A picture in somebody else's memory, checked when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    samples: Samples<'a>,
    channels: Channels,
    width: u32,
    height: u32,
    stride: usize,
    negative: bool,
}

/// A picture whose description and memory do not agree, or a target outside the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// A side is 0, or there are more pixels than the limits allow.
    #[error("a picture of {width} × {height} pixels has no pixels or more than the limits allow")]
    Size {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The next row begins before this one has ended.
    #[error("a stride of {stride} samples is too short for a row of {row}")]
    Stride {
        /// Samples from one row to the next.
        stride: usize,
        /// Samples of the pixels of a row.
        row: usize,
    },
    /// The memory ends before the last row does.
    #[error("{found} samples are given, {wanted} are needed")]
    TooShort {
        /// Samples given.
        found: usize,
        /// Samples needed.
        wanted: usize,
    },
}

impl<'a> Picture<'a> {
    /// Describes `height` rows of `width` pixels, `stride` samples (not bytes) from one row to the next.
    pub fn new(
        samples: Samples<'a>,
        channels: Channels,
        width: u32,
        height: u32,
        stride: usize,
    ) -> Result<Self, PictureError> {
        let pixels = u64::from(width) * u64::from(height);
        let longest = width.max(height);
        if pixels == 0 || pixels > u64::from(MAX_IMAGE_PIXELS) || longest > MAX_IMAGE_SIDE {
            return Err(PictureError::Size { width, height });
        }
        let row = width as usize * channels.count();
        if stride < row {
            return Err(PictureError::Stride { stride, row });
        }
        let found = match samples {
            Samples::U8(s) => s.len(),
            Samples::U16(s) => s.len(),
        };
        let wanted = stride.saturating_mul(height as usize - 1).saturating_add(row);
        if found < wanted {
            return Err(PictureError::TooShort { found, wanted });
        }
        Ok(Self { samples, channels, width, height, stride, negative: false })
    }

    /// The same picture as the negative of what it shows: whatever is made of it is inverted. Of a negative this is the
    /// positive.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether its pixels may have colours.
    pub(crate) fn has_colours(&self) -> bool {
        self.channels == Channels::Rgb
    }

    /// How colourful a pixel is: the largest less the smallest of its samples, 0..=255; 0 outside the picture.
    pub(crate) fn chroma(&self, x: u32, y: u32) -> u8 {
        if self.channels == Channels::Grey || x >= self.width || y >= self.height {
            return 0;
        }
        let start = y as usize * self.stride + 3 * x as usize;
        let range = |a: u32, b: u32, c: u32| a.max(b).max(c) - a.min(b).min(c);
        match self.samples {
            Samples::U8(s) => range(s[start].into(), s[start + 1].into(), s[start + 2].into()) as u8,
            Samples::U16(s) => (range(s[start].into(), s[start + 1].into(), s[start + 2].into()) >> 8) as u8,
        }
    }

    /// Step 1 of the definition for one pixel of the picture, at the depth of its samples.
    fn grey(&self, x: usize, y: usize) -> u32 {
        let start = y * self.stride + x * self.channels.count();
        let mut pixel = [0];
        match self.samples {
            Samples::U8(s) => each_grey(&s[start..], self.channels, &mut pixel, |pixel, grey| *pixel = grey),
            Samples::U16(s) => each_grey(&s[start..], self.channels, &mut pixel, |pixel, grey| *pixel = grey),
        }
        pixel[0]
    }

    /// The part of the picture that a model with this contract judges.
    pub fn judged(&self, contract: &InputContract) -> Window {
        match contract.fit {
            Fit::Stretch | Fit::Letterbox => Window::whole(self.width, self.height),
            Fit::Unframed => self.window(),
        }
    }

    /// The model's input: `contract.side` rows of as many pixels.
    pub fn prepare(&self, contract: &InputContract) -> Vec<u8> {
        self.prepare_part(&self.judged(contract), contract)
    }

    /// The same of the part in a window that is known already; of the whole picture if the window does not fit it.
    pub fn prepare_part(&self, window: &Window, contract: &InputContract) -> Vec<u8> {
        let part = self.part(window).unwrap_or(*self);
        let side = usize::from(contract.side);
        let [left, top, width, height] = placement(part.width, part.height, contract);
        let mut square = vec![0; side * side];
        let reduced = part.resample(width, height);
        for (row, line) in reduced.chunks_exact(width).enumerate() {
            let start = (top + row) * side + left;
            square[start..start + width].copy_from_slice(line);
        }
        square
    }

    /// A smaller copy for the eye, its longer side at most `longest` pixels and never enlarged: pixels, width, height.
    pub fn preview(&self, longest: u16) -> (Vec<u8>, u16, u16) {
        let side = self.width.max(self.height).min(u32::from(longest.max(1))) as u16;
        let (width, height) = fitted(self.width, self.height, side);
        (self.resample(width, height), width as u16, height as u16)
    }

    /// Step 1 to 3 of the definition: `width * height` grey pixels.
    pub(crate) fn resample(&self, width: usize, height: usize) -> Vec<u8> {
        match self.samples {
            Samples::U8(s) => self.resample_samples(s, 255, width, height),
            Samples::U16(s) => self.resample_samples(s, 65535, width, height),
        }
    }

    fn resample_samples<S: Copy + Into<u32>>(
        &self,
        samples: &[S],
        maximum: u32,
        width: usize,
        height: usize,
    ) -> Vec<u8> {
        let (source_width, source_height) = (self.width as usize, self.height as usize);
        let columns: Vec<End> = (0..width).map(|x| End::new(x, source_width, width)).collect();
        // Rows first, as whole lines: of each column the weights add up to the source's height, so that a sum is at most
        // 2^15 · 65535 and need not be checked, which lets the compiler add several at once. What lies left of a column is below
        // 2^16 · 2^26, and 2^58 times the target's width; a target pixel, whose weights add up to the source's area, 2^50 times 255.
        let [mut sums, mut below, mut above] = [(); 3].map(|()| vec![0_u32; source_width]);
        let mut left = vec![0_u64; source_width + 1];
        let mut first = 0;
        let mut out = Vec::with_capacity(width * height);
        let area = u64::from(self.width) * u64::from(self.height);
        let whole = Divisor::new(area * u64::from(maximum));
        for y in 0..height {
            let end = End::new(y, source_height, height);
            let line = |row: usize| &samples[row * self.stride..];
            // Each row counts as a whole where it begins. So it is added up once, and multiplied with all others; of the one in
            // which a target row ends, a part is added here and taken away from the next target row.
            sums.fill(0);
            for row in first..end.whole {
                each_grey(line(row), self.channels, &mut sums, |sum, grey| *sum = sum.wrapping_add(grey));
            }
            // At most a side of the target, which is what a u16 holds.
            let [whole_weight, part] = [height as u64, end.part].map(|weight| u32::from(weight as u16));
            each_grey(line(end.whole), self.channels, &mut below, |below, grey| *below = grey.wrapping_mul(part));
            for ((sum, below), above) in sums.iter_mut().zip(&below).zip(&above) {
                *sum = sum.wrapping_mul(whole_weight).wrapping_add(*below).wrapping_sub(*above);
            }
            let mut total = 0;
            for (left, &sum) in left[1..].iter_mut().zip(&sums) {
                total += u64::from(sum);
                *left = total;
            }
            mem::swap(&mut above, &mut below);
            first = end.whole;
            let mut before = 0;
            out.extend(columns.iter().map(|end| {
                let behind = end.sum(&left, width as u64);
                let sum = behind - before;
                before = behind;
                // Inverting the exact mean is the same as inverting every sample.
                let sum = if self.negative { whole.value - sum } else { sum };
                whole.quotient(sum.wrapping_mul(255).wrapping_add(whole.value / 2)) as u8
            }));
        }
        out
    }
}

impl Channels {
    /// Samples of a pixel: 1 or 3.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// Step 1 of the definition, for one row: has `take` told of each grey value, and what belongs to it in `line`.
fn each_grey<S: Copy + Into<u32>>(
    samples: &[S],
    channels: Channels,
    line: &mut [u32],
    mut take: impl FnMut(&mut u32, u32),
) {
    match channels {
        Channels::Grey => line.iter_mut().zip(samples).for_each(|(to, &sample)| take(to, sample.into())),
        Channels::Rgb => {
            for (to, rgb) in line.iter_mut().zip(samples.chunks_exact(3)) {
                let [r, g, b] = [rgb[0].into(), rgb[1].into(), rgb[2].into()];
                // At 16 bits the sum reaches 65535 · 65536 + 2^15, which is just below 2^32.
                take(to, (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16);
            }
        }
    }
}

/// A number by which many are divided, exactly: multiplying is several times as fast.
struct Divisor {
    value: u64,
    /// 2^64 divided by it.
    inverse: u64,
}

impl Divisor {
    fn new(value: u64) -> Self {
        Self { value, inverse: u64::MAX / value }
    }

    /// The whole part of the quotient of a number.
    #[inline]
    fn quotient(&self, of: u64) -> u64 {
        // Too small by one at most: the inverse lacks less than 2, so the product less than twice `of`, which is below 2^63.
        let quotient = ((u128::from(of) * u128::from(self.inverse)) >> 64) as u64;
        quotient + u64::from(of.wrapping_sub(quotient.wrapping_mul(self.value)) >= self.value)
    }
}

/// Where a picture of this width and height lies in the model's input: left, top, width, height in its pixels.
pub(crate) fn placement(width: u32, height: u32, contract: &InputContract) -> [usize; 4] {
    let side = usize::from(contract.side);
    let (width, height) = match contract.fit {
        Fit::Stretch | Fit::Unframed => (side, side),
        Fit::Letterbox => fitted(width, height, contract.side),
    };
    [(side - width) / 2, (side - height) / 2, width, height]
}

/// Width and height within a square of `side`, the aspect ratio kept.
fn fitted(width: u32, height: u32, side: u16) -> (usize, usize) {
    let longer = u64::from(width.max(height));
    let scale = |length: u32| ((2 * u64::from(side) * u64::from(length) + longer) / (2 * longer)).max(1) as usize;
    (scale(width), scale(height))
}

/// Where a target pixel ends along one axis: behind how many whole source pixels, and how much of the next one, 1 to `target` parts
/// of which it has `target`.
#[derive(Clone, Copy)]
struct End {
    whole: usize,
    part: u64,
}

impl End {
    fn new(index: usize, source: usize, target: usize) -> Self {
        let end = (index + 1) * source;
        let whole = (end - 1) / target;
        Self { whole, part: (end - whole * target) as u64 }
    }

    /// The weighted sum of all that lies before it, below 2^63, if `left` holds the sums of what is left of each source pixel and of
    /// the end.
    #[inline]
    fn sum(self, left: &[u64], target: u64) -> u64 {
        let (whole, behind) = (left[self.whole], left[self.whole + 1]);
        whole.wrapping_mul(target).wrapping_add((behind - whole).wrapping_mul(self.part))
    }
}

#[cfg(test)]
mod tests;
