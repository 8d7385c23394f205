//! Large grey pictures, decoded at 1/2, 1/4 or 1/8 of their size in the one pass over their codes.
//!
//! # Definition
//!
//! A sample of the reduced picture is the mean of `s × s` samples of the full one, `s` being 2, 4 or 8, as T.81 (A.3.3) defines
//! them without rounding; rounded half up and held to 0..=255. So what [`shared::preprocess`] makes of it by exact areas is what
//! it makes of the full picture but for the rounding, and for pixels of the model's input that end within such a square. It is
//! not what decoders do that leave out high frequencies: those blur, and let bright edges ring.
//!
//! The rightmost columns and the lowest rows that do not fill a square, at most `s - 1` of them, are left out: beyond them lies
//! what the encoder has padded the last blocks with, and a line of that would look like the edge of a frame.
//!
//! # Arithmetic
//!
//! The mean is linear in the coefficients: each block is turned into 4 × 4 means of 2 × 2 samples, and these are averaged further.
//! The mean of two neighbours of the cosine of frequency `u` is one of four cosines of twice the step, `cos((2 i + 1) p π / 8)`,
//! times a weight; so the 8 × 8 coefficients are summed up to 4 × 4. Neither the full picture nor the coefficients of more than one
//! block are ever in memory.
//!
//! It is done in floating point of 32 bits, in a fixed order and without fused operations, which gives the same bytes on every
//! processor. They differ by one from the definition in a few of 100,000 samples, where the mean lies within a thousandth of the
//! middle between two grey values.

use image::GrayImage;
use shared::verdict::Refusal;

use super::frame::Frame;

/// Pixels that the shorter side of a picture keeps at least: three times what the model that ships takes, and as much as a pane of
/// `pumua view` and of the page shows on its longer one. `docs/engine.md` says what it changes.
const ENOUGH: u32 = 480;

/// For each frequency along a side of a block which of the four cosines it is, and in which half it is kept …
const FOLDED: [(u8, u8); 8] = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (3, 1), (2, 1), (1, 1)];

/// … and its weight: `cos(u π / 16) / 2`, that of frequency 0 and those of the third cosine times `√½`. The mean of two
/// neighbours has nothing of frequency 4.
const WEIGHTS: [f64; 8] = [
    0.353_553_390_593_273_8,
    0.490_392_640_201_615_2,
    0.326_640_741_219_094_1,
    0.415_734_806_151_272_6,
    0.0,
    -0.277_785_116_509_801_1,
    -0.135_299_025_036_549_2,
    -0.097_545_161_008_064_1,
];

/// `cos(π / 8)` and `cos(3 π / 8)`.
const OUTER: f32 = 0.923_879_5;
const INNER: f32 = 0.382_683_43;

/// Those of the first, second and third frequency at four places.
const COSINES: [[f32; 4]; 3] = [[OUTER, INNER, -INNER, -OUTER], [1.0, -1.0, -1.0, 1.0], [INNER, -OUTER, OUTER, -INNER]];

/// Row and column of each coefficient in zigzag order (T.81, figure A.6), as `8 × row + column`.
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The place in a [`Block`] of each coefficient in zigzag order; of what is none, a place behind them.
const PLACES: [u8; 256] = {
    let mut places = [64; 256];
    let mut n = 0;
    while n < 64 {
        let (column, right) = FOLDED[ZIGZAG[n] as usize % 8];
        let (row, below) = FOLDED[ZIGZAG[n] as usize / 8];
        places[n] = 32 * right + 16 * below + 4 * row + column;
        n += 1;
    }
    places
};

/// By how much a picture is reduced: 2, 4 or 8; `None` if it is decoded in full.
pub(super) fn scale(frame: &Frame) -> Option<u16> {
    let suitable = !frame.progressive && frame.components.len() == 1;
    let shorter = frame.width.min(frame.height);
    [8, 4, 2].into_iter().find(|&scale| suitable && shorter / u32::from(scale) >= ENOUGH)
}

/// The coefficients of a block: four times sixteen that are weighted and summed up, row by row; and a place for what is none.
pub(super) struct Block([i16; 256]);

impl Block {
    pub(super) fn new() -> Self {
        Self([0; 256])
    }

    /// Sets all coefficients to zero.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.0[..64].fill(0);
    }

    /// Sets a coefficient, by its place in zigzag order.
    #[inline]
    pub(super) fn put(&mut self, place: u8, value: i16) {
        self.0[usize::from(PLACES[usize::from(place)])] = value;
    }
}

/// A picture that is made of its blocks as they are read.
pub(super) struct Reduced {
    /// Samples along a side of a block.
    samples: usize,
    /// Of each coefficient of a block.
    weights: [[f32; 16]; 4],
    /// [`COSINES`], where the compiler does not see which are alike: so it makes all four sums of a row by the same steps, at once.
    cosines: [[f32; 4]; 3],
    /// The means of the row of blocks that is being read, padding among them, and 256.5 to each; and those that a row of them has.
    row: Vec<f32>,
    stride: usize,
    /// The first sample of the next block in its row.
    column: usize,
    size: [u32; 2],
    pixels: Vec<u8>,
}

impl Reduced {
    pub(super) fn new(frame: &Frame, divisors: &[u16; 64], scale: u16) -> Self {
        let mut weights = [[0.0; 16]; 4];
        for ((&divisor, frequencies), place) in divisors.iter().zip(ZIGZAG).zip(PLACES) {
            let [frequencies, place] = [frequencies, place].map(usize::from);
            let weight = WEIGHTS[frequencies / 8] * WEIGHTS[frequencies % 8];
            weights[place / 16][place % 16] = (weight * f64::from(divisor)) as f32;
        }
        let size = [frame.width, frame.height].map(|side| side / u32::from(scale));
        let samples = 8 / usize::from(scale);
        let stride = frame.width.div_ceil(8) as usize * samples;
        let pixels = Vec::with_capacity(size[0] as usize * size[1] as usize);
        Self { samples, weights, cosines: COSINES, row: vec![0.0; stride * samples], stride, column: 0, size, pixels }
    }

    /// Takes the next block, which has no coefficient from a place in zigzag order on.
    #[inline]
    pub(super) fn push(&mut self, block: &Block, end: u8) {
        // With nothing but its mean, all its samples are equal.
        let means = if end > 1 { self.means(block) } else { [[self.mean(block); 4]; 4] };
        match self.samples {
            4 => self.put::<4>(&means),
            2 => self.put::<2>(&means),
            _ => self.put::<1>(&means),
        }
        if self.column == self.stride {
            self.end_row();
        }
    }

    /// The mean of a block, and 384.5.
    #[inline]
    fn mean(&self, block: &Block) -> f32 {
        f32::from(block.0[0]) * self.weights[0][0] + MIDDLE
    }

    /// The means of 2 × 2 samples, row by row, and 384.5 to each of them.
    #[inline]
    fn means(&self, block: &Block) -> [[f32; 4]; 4] {
        let weighted = |part: usize, n: usize| f32::from(block.0[16 * part + n]) * self.weights[part][n];
        let mut folded = [[0.0; 4]; 4];
        for (n, sum) in folded.as_flattened_mut().iter_mut().enumerate() {
            *sum = (weighted(0, n) + weighted(1, n)) + (weighted(2, n) + weighted(3, n));
        }
        folded[0][0] += MIDDLE;
        inverse(&folded, &self.cosines)
    }

    /// Stores N × N samples: the means of so many parts of a block.
    #[inline]
    fn put<const N: usize>(&mut self, means: &[[f32; 4]; 4]) {
        let (side, share) = (4 / N, 1.0 / (16 / (N * N)) as f32);
        let mut start = self.column;
        for rows in means.chunks_exact(side) {
            for (x, sample) in self.row[start..start + N].iter_mut().enumerate() {
                let mut sum = 0.0;
                rows.iter().for_each(|row| row[x * side..(x + 1) * side].iter().for_each(|mean| sum += mean));
                *sample = sum * share;
            }
            start += self.stride;
        }
        self.column += N;
    }

    fn end_row(&mut self) {
        let [width, height] = self.size.map(|side| side as usize);
        for line in self.row.chunks_exact(self.stride) {
            if self.pixels.len() < width * height {
                // A whole row, so that several are rounded at once.
                self.pixels.extend(line[..width].iter().map(|&mean| grey(mean)));
            }
        }
        self.column = 0;
    }

    /// The picture, once all blocks have been read.
    pub(super) fn image(self) -> Result<GrayImage, Refusal> {
        GrayImage::from_raw(self.size[0], self.size[1], self.pixels).ok_or(Refusal::Corrupt)
    }
}

/// What is added to each mean: the middle grey value, half of one for rounding, and 256.
const MIDDLE: f32 = 128.0 + 0.5 + 256.0;

/// The whole part of a number less 256, held to 0..=255. From 256 to 512 it stands in the same bits, so that processors without
/// an instruction to round find those of several at once.
#[inline]
fn grey(mean: f32) -> u8 {
    let mean = if mean > 256.0 { mean } else { 256.0 };
    let mean = if mean < 511.5 { mean } else { 511.5 };
    (mean.to_bits() >> 15) as u8
}

/// The sums of four cosines in each row, and then in each column.
#[inline(never)]
fn inverse(folded: &[[f32; 4]; 4], cosines: &[[f32; 4]; 3]) -> [[f32; 4]; 4] {
    let mut rows = [[0.0; 4]; 4];
    for (row, &[zero, one, two, three]) in rows.iter_mut().zip(folded) {
        for (n, mean) in row.iter_mut().enumerate() {
            *mean = (zero + two * cosines[1][n]) + (one * cosines[0][n] + three * cosines[2][n]);
        }
    }
    let mut means = [[0.0; 4]; 4];
    for n in 0..4 {
        let (sum, difference) = (rows[0][n] + rows[2][n], rows[0][n] - rows[2][n]);
        let outer = rows[1][n] * OUTER + rows[3][n] * INNER;
        let inner = rows[1][n] * INNER - rows[3][n] * OUTER;
        means[0][n] = sum + outer;
        means[1][n] = difference + inner;
        means[2][n] = difference - inner;
        means[3][n] = sum - outer;
    }
    means
}
