//! Winograd's fast convolution F(4×4, 3×3), in integers and exact.
//!
//! A 3×3 convolution with stride 1 needs 9 multiplications for each output and pair of channels. Winograd's algorithm takes
//! 6×6 inputs `d` and the kernel `g` to 4×4 outputs at once, `Y = Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A`, with 36 multiplications, which is
//! 2.25 for each output (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1). `G` has
//! fractions; here it is multiplied by 24, except for its last row, which is multiplied by 6 and whose part of `A` by 4:
//!
//! ```text
//!      ⎡ 6  0  0⎤        ⎡4  0 −5  0 1 0⎤        ⎡1 1  1 1  1 0⎤
//!      ⎢−4 −4 −4⎥        ⎢0 −4 −4  1 1 0⎥   Aᵀ = ⎢0 1 −1 2 −2 0⎥
//!  G = ⎢−4  4 −4⎥   Bᵀ = ⎢0  4 −4 −1 1 0⎥        ⎢0 1  1 4  4 0⎥
//!      ⎢ 1  2  4⎥        ⎢0 −2 −1  2 1 0⎥        ⎣0 1 −1 8 −8 4⎦
//!      ⎢ 1 −2  4⎥        ⎢0  2 −1 −2 1 0⎥
//!      ⎣ 0  0  6⎦        ⎣0  4  0 −5 0 1⎦
//! ```
//!
//! so that the result is `576 Y`, in integers throughout:
//!
//! - `Bᵀ d B` is at most 10 · 10 · 128 = 12,800 and `G g Gᵀ` at most 12 · 12 · 128 = 18,432 in magnitude: both fit i16;
//! - products, sums over the channels and the last transform are computed modulo 2^32. Addition, subtraction and
//!   multiplication by constants are exact modulo 2^32 however often they overflow on the way, so the result is
//!   `576 Y` modulo 2^32, and that is `576 Y` itself if `|576 Y| < 2^31`. Whether this holds for every possible input is
//!   decided from the weights, for each output channel ([`suits`]). Layers for which it does not hold are computed directly;
//! - `576 Y` is divided exactly: a shift by 6 bits, then a multiplication by the inverse of 9 modulo 2^32.

#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "other processors have no kernels for it, but the same layouts")
)]

use std::hash::{Hash, Hasher};

use aligned_vec::{AVec, ConstAlign};

use crate::{
    BLOCK,
    layer::Filters,
    layout::{Border, Layout, Shape},
    prepared::hash_reals,
};

/// Tiles that are computed together.
pub(crate) const TILES: usize = 5;

/// Rows and columns of a tile of outputs.
const TILE: usize = 4;

/// Rows and columns of the inputs under a tile.
const PATCH: usize = 6;

/// Products for each pair of channels and tile.
const POINTS: usize = PATCH * PATCH;

/// Channels are padded to a multiple of this.
const CHANNELS: usize = 16;

/// Most input channels: transformed weights take eight times the memory.
const MOST_INPUTS: usize = 2048;

/// What the result is larger by.
const SCALE: i64 = 576;

/// The inverse of 9 modulo 2^32.
pub(crate) const INVERSE_OF_9: i32 = 0x38E3_8E39;

/// Numbers, one or a vector of them, with arithmetic modulo 2^16 or 2^32.
pub(crate) trait Integers: Copy {
    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Product with 2^N.
    fn times<const N: i32>(self) -> Self;
}

/// [`Integers`] of a vector by its instructions. Only code that runs where the processor has them may make the vector.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! integers {
    ($vector:ident, $add:ident, $subtract:ident, $shift:ident) => {
        impl $crate::winograd::Integers for $vector {
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                // SAFETY: there is such a vector only where the processor has the instructions.
                #[expect(unsafe_code, reason = "vector instructions")]
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                // SAFETY: there is such a vector only where the processor has the instructions.
                #[expect(unsafe_code, reason = "vector instructions")]
                Self(unsafe { $subtract(self.0, other.0) })
            }

            #[inline(always)]
            fn times<const N: i32>(self) -> Self {
                // SAFETY: there is such a vector only where the processor has the instructions.
                #[expect(unsafe_code, reason = "vector instructions")]
                Self(unsafe { $shift::<N>(self.0) })
            }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use integers;

impl Integers for i32 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    fn times<const N: i32>(self) -> Self {
        self.wrapping_shl(N.unsigned_abs())
    }
}

/// An array of what an expression is for each index. Unlike a closure, it is compiled with the vector instructions of where it
/// stands.
macro_rules! each {
    (4, $i:ident => $value:expr) => {
        [each!(@ $i 0 $value), each!(@ $i 1 $value), each!(@ $i 2 $value), each!(@ $i 3 $value)]
    };
    (6, $i:ident => $value:expr) => {
        [
            each!(@ $i 0 $value), each!(@ $i 1 $value), each!(@ $i 2 $value),
            each!(@ $i 3 $value), each!(@ $i 4 $value), each!(@ $i 5 $value),
        ]
    };
    (@ $i:ident $n:literal $value:expr) => {{
        let $i: usize = $n;
        $value
    }};
}

/// `Bᵀ d`.
#[inline(always)]
fn input_transform<V: Integers>([d0, d1, d2, d3, d4, d5]: [V; PATCH]) -> [V; PATCH] {
    let even = d4.minus(d2.times::<2>());
    let odd = d3.minus(d1.times::<2>());
    let near = d4.minus(d2);
    let far = d3.minus(d1).times::<1>();
    [
        d0.minus(d2).times::<2>().plus(near),
        even.plus(odd),
        even.minus(odd),
        near.plus(far),
        near.minus(far),
        d5.minus(d3).minus(far.times::<1>()),
    ]
}

/// `Aᵀ m`.
#[inline(always)]
fn output_transform<V: Integers>([m0, m1, m2, m3, m4, m5]: [V; PATCH]) -> [V; TILE] {
    let (sum, difference) = (m1.plus(m2), m1.minus(m2));
    let (far_sum, far_difference) = (m3.plus(m4), m3.minus(m4));
    [
        m0.plus(sum).plus(far_sum),
        difference.plus(far_difference.times::<1>()),
        sum.plus(far_sum.times::<2>()),
        difference.plus(far_difference.times::<3>()).plus(m5.times::<2>()),
    ]
}

/// `G g`.
fn kernel_transform([g0, g1, g2]: [i32; 3]) -> [i32; PATCH] {
    let ends = g0 + g2;
    let far = g0 + 4 * g2;
    [6 * g0, -4 * (ends + g1), 4 * (g1 - ends), far + 2 * g1, far - 2 * g1, 6 * g2]
}

/// `G g Gᵀ` of nine weights, row by row.
fn kernel_points(weights: &[i8]) -> [i16; POINTS] {
    let column = |x: usize| kernel_transform([0, 1, 2].map(|y| i32::from(weights[3 * y + x])));
    let columns = [column(0), column(1), column(2)];
    let mut points = [0; POINTS];
    for (y, row) in points.chunks_exact_mut(PATCH).enumerate() {
        for (point, value) in row.iter_mut().zip(kernel_transform(columns.map(|column| column[y]))) {
            // At most 18,432.
            *point = value as i16;
        }
    }
    points
}

/// Rows and columns of tiles for an output, before pooling.
fn tiles(output: Shape, pool: bool) -> [usize; 2] {
    let scale = if pool { 2 } else { 1 };
    [output.height, output.width].map(|extent| (extent * scale).div_ceil(TILE))
}

/// True if a layer can be computed so, with its result in range whatever its input, and has something to gain from it.
pub(crate) fn suits(filters: &Filters, inputs: usize, output: Shape, pool: bool) -> bool {
    let scale = if pool { 4 } else { 1 };
    let outputs = output.height * output.width * scale;
    let [rows, columns] = tiles(output, pool);
    // Tiles that stand half over the edge, and transforms for few channels, cost more than is saved.
    filters.window.kernel == [3, 3]
        && filters.window.stride == [1, 1]
        && (8..=MOST_INPUTS).contains(&inputs)
        && outputs >= 6 * rows * columns
        && filters.weights.chunks_exact(9 * inputs).all(|weights| in_range(weights, filters.signed_input))
        && filters.bias.iter().all(|bias| bias.unsigned_abs() <= 1 << 30)
}

/// True if 576 times the sum of products stays below 2^31 in magnitude for every input.
fn in_range(weights: &[i8], signed_input: bool) -> bool {
    let part = |sign: i64| weights.iter().map(|&w| (sign * i64::from(w)).max(0)).sum::<i64>();
    let (positive, negative) = (part(1), part(-1));
    let largest = if signed_input { 128 * (positive + negative) } else { 127 * positive.max(negative) };
    SCALE * largest < 1 << 31
}

/// Bytes of the transformed weights.
pub(crate) fn packed_bytes(inputs: usize, outputs: usize) -> usize {
    inputs.next_multiple_of(CHANNELS) * outputs.next_multiple_of(BLOCK) * POINTS * size_of::<i16>()
}

/// The border that the input needs: the patches of the last tiles may go beyond the padding.
pub(crate) fn border(padding: Border, input: Shape, output: Shape, pool: bool) -> Border {
    let [rows, columns] = tiles(output, pool);
    let reach = |tiles: usize, before: usize, extent: usize| (TILE * tiles + 2).saturating_sub(before + extent);
    Border {
        bottom: padding.bottom.max(reach(rows, padding.top, input.height)),
        right: padding.right.max(reach(columns, padding.left, input.width)),
        ..padding
    }
}

/// A layer in this form.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    from: Layout,
    to: Layout,
    /// Index of the first value of the first patch.
    origin: usize,
    pool: bool,
    /// Input channels, padded.
    inputs: usize,
    /// For each block of output channels, the points; for each of them `inputs / group` × BLOCK × group weights.
    weights: AVec<i16, ConstAlign<64>>,
    /// For each output channel, padded.
    bias: Vec<i32>,
    multipliers: Vec<f32>,
    lowest: f32,
}

impl Hash for Winograd {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.from, self.to, self.origin, self.pool, self.inputs, self.weights.as_slice(), &self.bias).hash(state);
        hash_reals(&self.multipliers, state);
        hash_reals(&[self.lowest], state);
    }
}

/// Memory that a layer works in.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    /// Transformed inputs: points × tiles × input channels.
    inputs: AVec<i16, ConstAlign<64>>,
    /// Sums: points × tiles × BLOCK.
    sums: AVec<i32, ConstAlign<64>>,
}

impl Winograd {
    /// Transforms the weights. `group`: input channels whose products the kernel adds in one instruction.
    pub(crate) fn pack(filters: &Filters, pool: bool, [from, to]: [Layout; 2], group: usize) -> Self {
        let (channels, outputs) = (from.shape().channels, to.shape().channels);
        let inputs = channels.next_multiple_of(CHANNELS);
        let padded = outputs.next_multiple_of(BLOCK);
        let mut weights = AVec::with_capacity(64, padded * inputs * POINTS);
        weights.resize(padded * inputs * POINTS, 0);
        for output in 0..outputs {
            let block = output / BLOCK * POINTS;
            for input in 0..channels {
                let points = kernel_points(&filters.weights[(output * channels + input) * 9..][..9]);
                let place = (input / group * BLOCK + output % BLOCK) * group + input % group;
                for (point, value) in points.into_iter().enumerate() {
                    weights[(block + point) * inputs * BLOCK + place] = value;
                }
            }
        }
        let mut bias = filters.bias.clone();
        bias.resize(padded, 0);
        let mut multipliers = filters.multipliers.clone();
        multipliers.resize(padded, 0.0);
        let origin = from.origin(filters.window.padding);
        Self { from, to, origin, pool, inputs, weights, bias, multipliers, lowest: filters.lowest() }
    }

    /// The memory for [`Winograd::run`].
    pub(crate) fn scratch(&self) -> Scratch {
        let mut inputs = AVec::with_capacity(64, POINTS * TILES * self.inputs);
        inputs.resize(POINTS * TILES * self.inputs, 0);
        let mut sums = AVec::with_capacity(64, POINTS * TILES * BLOCK);
        sums.resize(POINTS * TILES * BLOCK, 0);
        Scratch { inputs, sums }
    }

    /// Computes the layer.
    ///
    /// # Safety
    ///
    /// The processor must have the instructions of `S`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "vector instructions on memory whose bounds are checked once, not for each access")]
    pub(crate) unsafe fn run<S: Simd>(&self, input: &[i8], output: &mut [i8], scratch: &mut Scratch) {
        const { assert!(CHANNELS.is_multiple_of(S::LANES16) && BLOCK.is_multiple_of(S::LANES32)) };
        assert!(input.len() == self.from.len() && output.len() == self.to.len());
        assert!(scratch.inputs.len() == POINTS * TILES * self.inputs && scratch.sums.len() == POINTS * TILES * BLOCK);
        let [rows, columns] = tiles(self.to.shape(), self.pool);
        let count = rows * columns;
        let blocks = self.bias.len() / BLOCK;
        for first in (0..count).step_by(TILES) {
            let together = TILES.min(count - first);
            for slot in 0..together {
                let tile = first + slot;
                let corner = self.origin
                    + tile / columns * TILE * self.from.row()
                    + tile % columns * TILE * self.from.shape().channels;
                // SAFETY: the layout's border covers all patches (`border`), and SLACK what a vector reads beyond its channels.
                unsafe { self.transform_inputs::<S>(input.as_ptr().add(corner), &mut scratch.inputs, slot) };
            }
            for block in 0..blocks {
                for point in 0..POINTS {
                    // SAFETY: within `weights`, `inputs` and `sums` by the lengths they are made with.
                    unsafe {
                        S::multiply(
                            self.weights.as_ptr().add((block * POINTS + point) * self.inputs * BLOCK),
                            scratch.inputs.as_ptr().add(point * TILES * self.inputs),
                            scratch.sums.as_mut_ptr().add(point * TILES * BLOCK),
                            self.inputs,
                            together,
                        );
                    }
                }
                for slot in 0..together {
                    let tile = first + slot;
                    let place = [tile / columns, tile % columns];
                    // SAFETY: `sums` as above; the outputs are limited to those inside the map.
                    unsafe { self.transform_outputs::<S>(&scratch.sums, slot, block, place, output) };
                }
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "see `run`")]
    unsafe fn transform_inputs<S: Simd>(&self, corner: *const i8, to: &mut [i16], slot: usize) {
        let channels = self.from.shape().channels;
        for first in (0..self.inputs).step_by(S::LANES16) {
            // Channels beyond the last one are multiplied by weights of zero, whatever is read for them.
            let at = |x: usize, y: usize| y * self.from.row() + x * channels + first.min(channels);
            // SAFETY: by the caller.
            let half = each!(6, x => input_transform(each!(6, y => unsafe { S::widen(corner.add(at(x, y))) })));
            let full = each!(6, y => input_transform(each!(6, x => half[x][y])));
            let place = |x: usize, y: usize| ((y * PATCH + x) * TILES + slot) * self.inputs + first;
            // SAFETY: `to` has POINTS × TILES × inputs values.
            each!(6, y => each!(6, x => unsafe { S::store(to.as_mut_ptr().add(place(x, y)), full[y][x]) }));
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "see `run`")]
    unsafe fn transform_outputs<S: Simd>(
        &self,
        sums: &[i32],
        slot: usize,
        block: usize,
        [tile_row, tile_column]: [usize; 2],
        output: &mut [i8],
    ) {
        let Shape { height, width, channels } = self.to.shape();
        let scale = if self.pool { 2 } else { 1 };
        let (row, column) = (tile_row * TILE / scale, tile_column * TILE / scale);
        let (rows, columns) = ((TILE / scale).min(height - row), (TILE / scale).min(width - column));
        for first in (block * BLOCK..(block + 1) * BLOCK).step_by(S::LANES32) {
            if first >= channels {
                break;
            }
            let at = |x: usize, y: usize| ((y * PATCH + x) * TILES + slot) * BLOCK + first % BLOCK;
            // SAFETY: `sums` has POINTS × TILES × BLOCK values.
            let half = each!(6, x => output_transform(each!(6, y => unsafe { S::load(sums.as_ptr().add(at(x, y))) })));
            let full = each!(4, y => output_transform(each!(6, x => half[x][y])));
            // SAFETY: bias and multipliers are padded to whole blocks.
            let parameters = unsafe {
                S::parameters(self.bias.as_ptr().add(first), self.multipliers.as_ptr().add(first), self.lowest)
            };
            for y in 0..rows {
                let at = self.to.index(row + y, column) + first;
                for x in 0..columns {
                    let sum = if self.pool {
                        let top = S::max(full[2 * y][2 * x], full[2 * y][2 * x + 1]);
                        let bottom = S::max(full[2 * y + 1][2 * x], full[2 * y + 1][2 * x + 1]);
                        S::max(top, bottom)
                    } else {
                        full[y][x]
                    };
                    let count = S::LANES32.min(channels - first);
                    let to = &mut output[at + x * channels..][..count];
                    // SAFETY: the processor has these instructions.
                    unsafe { S::finish(S::divide(sum), &parameters, to) };
                }
            }
        }
    }
}

/// The vector instructions that the algorithm needs.
///
/// # Safety
///
/// All functions need a processor that has the instructions.
#[expect(unsafe_code, reason = "vector instructions")]
pub(crate) trait Simd {
    /// A vector of i16.
    type I16: Integers;
    /// A vector of i32.
    type I32: Integers;
    /// Biases, multipliers and the lowest value for a vector of channels.
    type Parameters;
    /// Values in an [`Simd::I16`].
    const LANES16: usize;
    /// Values in an [`Simd::I32`].
    const LANES32: usize;

    /// Reads LANES16 values.
    unsafe fn widen(from: *const i8) -> Self::I16;
    /// Writes LANES16 values.
    unsafe fn store(to: *mut i16, values: Self::I16);
    /// Reads LANES32 values.
    unsafe fn load(from: *const i32) -> Self::I32;
    /// The larger of each two.
    fn max(a: Self::I32, b: Self::I32) -> Self::I32;
    /// An exact division by 576.
    fn divide(values: Self::I32) -> Self::I32;
    /// Reads the parameters of LANES32 channels.
    unsafe fn parameters(bias: *const i32, multipliers: *const f32, lowest: f32) -> Self::Parameters;
    /// Adds the bias, requantizes and writes the first `to.len()` values, at most LANES32.
    unsafe fn finish(sums: Self::I32, parameters: &Self::Parameters, to: &mut [i8]);
    /// For each of the first `tiles` tiles, the sums of BLOCK outputs over `inputs` channels: `weights` as packed, `values` tiles ×
    /// inputs, `sums` tiles × BLOCK.
    unsafe fn multiply(weights: *const i16, values: *const i16, sums: *mut i32, inputs: usize, tiles: usize);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 576 times the 4×4 outputs, by the transforms.
    fn transformed(patch: &[i8; 36], weights: &[i8; 9]) -> Vec<i32> {
        let columns =
            [0, 1, 2, 3, 4, 5].map(|x| input_transform([0, 1, 2, 3, 4, 5].map(|y| i32::from(patch[6 * y + x]))));
        let points = kernel_points(weights);
        let product = |y: usize| {
            let row = input_transform(columns.map(|column| column[y]));
            assert!(row.iter().all(|v| v.abs() <= 12_800));
            [0, 1, 2, 3, 4, 5].map(|x| row[x] * i32::from(points[6 * y + x]))
        };
        let products = [0, 1, 2, 3, 4, 5].map(product);
        let half = [0, 1, 2, 3, 4, 5].map(|x| output_transform(products.map(|row| row[x])));
        [0, 1, 2, 3].iter().flat_map(|&y| output_transform(half.map(|column| column[y]))).collect()
    }

    #[test]
    fn the_extremes_of_the_transforms_fit_16_bits() {
        assert_eq!(kernel_points(&[-128; 9])[7], -18_432);
        assert_eq!(kernel_points(&[127; 9])[7], 144 * 127);
    }

    #[test]
    fn range_is_decided_by_the_weights() {
        // 576 · 127 · 29,356 is the last multiple below 2^31.
        let mut weights = vec![127; 231];
        weights.push(19);
        assert!(in_range(&weights, false));
        weights.push(1);
        assert!(!in_range(&weights, false));
        assert!(!in_range(&weights[..232], true));
        weights.extend([-127; 230]);
        weights.pop();
        assert!(in_range(&weights[1..], false) && !in_range(&weights[1..], true));
    }

    #[test]
    fn nine_times_its_inverse_is_one() {
        assert_eq!(INVERSE_OF_9.wrapping_mul(9), 1);
    }

    proptest! {
        #[test]
        fn transforms_compute_the_convolution(patch in any::<[i8; 32]>(), rest: [i8; 4], weights in any::<[i8; 9]>()) {
            let patch: [i8; 36] = [&patch[..], &rest[..]].concat().try_into().unwrap();
            let result = transformed(&patch, &weights);
            for (i, value) in result.into_iter().enumerate() {
                let (row, column) = (i / 4, i % 4);
                let tap = |t: usize| i32::from(patch[(row + t / 3) * 6 + column + t % 3]) * i32::from(weights[t]);
                prop_assert_eq!(value, 576 * (0..9).map(tap).sum::<i32>());
            }
        }
    }
}
