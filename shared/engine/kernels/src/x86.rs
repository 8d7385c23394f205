//! AVX2.
//!
//! `vpmaddubsw` multiplies 32 unsigned by 32 signed bytes and adds the products by pairs, saturating in i16; a pair of products
//! of values 0..=127 with weights −128..=127 never saturates. `vpmaddwd` with ones adds pairs again, to i32. Both share the
//! multipliers, so the pairs of several steps are added in i16 first wherever the weights prove that the sum fits (the chains
//! of [`Direct`]). Values that may be negative are widened to i16 and multiplied by `vpmaddwd` alone.

use std::arch::x86_64::*;

use crate::{
    BLOCK,
    depthwise::{self, Depthwise},
    direct::{Block, Direct, Steps},
    winograd::{self, INVERSE_OF_9, Simd, TILES, Winograd, integers},
};

/// Output channels in a vector of sums.
const LANES: usize = 8;

/// Computes a convolution by Winograd's algorithm. The processor must have AVX2, which [`crate::Kernels`] has made sure of.
pub(crate) fn winograd(work: &Winograd, input: &[i8], output: &mut [i8], scratch: &mut winograd::Scratch) {
    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "AVX2")]
    unsafe fn run(work: &Winograd, input: &[i8], output: &mut [i8], scratch: &mut winograd::Scratch) {
        // SAFETY: by the caller.
        unsafe { work.run::<Avx2>(input, output, scratch) }
    }
    // SAFETY: a layer is prepared for AVX2 only where there is AVX2.
    #[expect(unsafe_code, reason = "AVX2")]
    unsafe {
        run(work, input, output, scratch);
    }
}

/// Computes a convolution directly. The processor must have AVX2, which [`crate::Kernels`] has made sure of.
pub(crate) fn direct(work: &Direct, input: &[i8], output: &mut [i8]) {
    assert!(input.len() == work.tiling.from.len() && output.len() == work.tiling.to.len());
    // SAFETY: a layer is prepared for AVX2 only where there is AVX2. The windows of all tiles lie inside the input, whose
    // border covers the padding, and steps read at most 3 bytes beyond a window, which SLACK allows.
    #[expect(unsafe_code, reason = "AVX2")]
    unsafe {
        match work.steps {
            Steps::Pairs => direct_by::<Pairs>(work, input, output),
            Steps::Single => direct_by::<Single>(work, input, output),
            Steps::Chained => direct_by::<Chained>(work, input, output),
        }
    }
}

/// The product of a step's bytes with the weights of [`BLOCK`] channels, added to their sums.
#[expect(unsafe_code, reason = "AVX2")]
trait Multiply {
    /// For each of P pixels, the sums of a block.
    ///
    /// # Safety
    ///
    /// Needs AVX2. All steps of the block must be readable from each of the inputs.
    unsafe fn sums<const P: usize>(block: &Block, inputs: [*const i8; P]) -> [[__m256i; 2]; P];
}

/// Bytes 0..=127, chains of steps of 4.
struct Chained;

/// Bytes 0..=127, a few steps of 4.
struct Single;

/// Any bytes, steps of 2.
struct Pairs;

#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "AVX2")]
unsafe fn direct_by<M: Multiply>(work: &Direct, input: &[i8], output: &mut [i8]) {
    let channels = work.tiling.to.shape().channels;
    let input = input.as_ptr();
    for (index, block) in work.blocks.iter().enumerate() {
        let first = index * BLOCK;
        let count = BLOCK.min(channels - first);
        let parameters = BlockParameters::new(&block.multipliers, work.lowest);
        // SAFETY, for all three: by the caller.
        work.tiling.for_each_tile(
            output,
            |output, at, to| unsafe {
                let [sums] = M::sums(block, [input.add(at)]);
                finish(sums, &parameters, &mut output[to + first..][..count]);
            },
            |output, [a, b, c, d], to| unsafe {
                let sums = M::sums(block, [input.add(a), input.add(b), input.add(c), input.add(d)]);
                for (pixel, sums) in sums.into_iter().enumerate() {
                    finish(sums, &parameters, &mut output[to + pixel * channels + first..][..count]);
                }
            },
            |output, [a, b, c, d], to| unsafe {
                let [a, b, c, d] = M::sums(block, [input.add(a), input.add(b), input.add(c), input.add(d)]);
                let most = |v: usize| {
                    let top = _mm256_max_epi32(a[v], b[v]);
                    _mm256_max_epi32(top, _mm256_max_epi32(c[v], d[v]))
                };
                finish([most(0), most(1)], &parameters, &mut output[to + first..][..count]);
            },
        );
    }
}

#[expect(unsafe_code, reason = "AVX2")]
impl Multiply for Chained {
    #[inline(always)]
    unsafe fn sums<const P: usize>(block: &Block, inputs: [*const i8; P]) -> [[__m256i; 2]; P] {
        // SAFETY: by the caller; the weights are as many as the steps, 64 bytes each.
        unsafe {
            let mut sums = [bias(&block.bias); P];
            let [fours, threes, twos, ones] = block.chains;
            let mut at = (block.offsets.as_ptr(), block.weights.as_ptr().cast::<__m256i>());
            chains::<4, P>(fours, &mut at, &inputs, &mut sums);
            chains::<3, P>(threes, &mut at, &inputs, &mut sums);
            chains::<2, P>(twos, &mut at, &inputs, &mut sums);
            chains::<1, P>(ones, &mut at, &inputs, &mut sums);
            sums
        }
    }
}

#[expect(unsafe_code, reason = "AVX2")]
impl Multiply for Single {
    #[inline(always)]
    unsafe fn sums<const P: usize>(block: &Block, inputs: [*const i8; P]) -> [[__m256i; 2]; P] {
        // SAFETY: by the caller; the weights are as many as the steps, 64 bytes each.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let mut sums = [bias(&block.bias); P];
            let mut weights = block.weights.as_ptr().cast::<__m256i>();
            for &offset in &block.offsets {
                let w = [_mm256_load_si256(weights), _mm256_load_si256(weights.add(1))];
                for (sums, input) in sums.iter_mut().zip(inputs) {
                    let x = _mm256_set1_epi32(input.add(offset as usize).cast::<i32>().read_unaligned());
                    for v in 0..2 {
                        let products = _mm256_maddubs_epi16(x, w[v]);
                        sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(products, ones));
                    }
                }
                weights = weights.add(2);
            }
            sums
        }
    }
}

/// Adds chains of L steps to the sums, and moves on behind their offsets and weights.
#[inline(always)]
#[expect(unsafe_code, reason = "AVX2")]
unsafe fn chains<const L: usize, const P: usize>(
    count: usize,
    (offsets, weights): &mut (*const u32, *const __m256i),
    inputs: &[*const i8; P],
    sums: &mut [[__m256i; 2]; P],
) {
    // SAFETY: by the caller.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        for _ in 0..count {
            for (sums, input) in sums.iter_mut().zip(inputs) {
                let mut products = [_mm256_setzero_si256(); 2];
                for step in 0..L {
                    let x = input.add(*offsets.add(step) as usize).cast::<i32>().read_unaligned();
                    for (v, products) in products.iter_mut().enumerate() {
                        let w = _mm256_load_si256(weights.add(2 * step + v));
                        *products = _mm256_add_epi16(*products, _mm256_maddubs_epi16(_mm256_set1_epi32(x), w));
                    }
                }
                for (sum, products) in sums.iter_mut().zip(products) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(products, ones));
                }
            }
            *offsets = offsets.add(L);
            *weights = weights.add(2 * L);
        }
    }
}

#[expect(unsafe_code, reason = "AVX2")]
impl Multiply for Pairs {
    #[inline(always)]
    unsafe fn sums<const P: usize>(block: &Block, inputs: [*const i8; P]) -> [[__m256i; 2]; P] {
        // SAFETY: by the caller; the weights are as many as the steps, 32 bytes each.
        unsafe {
            let mut sums = [bias(&block.bias); P];
            let mut weights = block.weights.as_ptr().cast::<__m128i>();
            for &offset in &block.offsets {
                let w = [weights, weights.add(1)].map(|at| _mm256_cvtepi8_epi16(_mm_load_si128(at)));
                for (sums, input) in sums.iter_mut().zip(inputs) {
                    let pair = _mm_set1_epi16(input.add(offset as usize).cast::<i16>().read_unaligned());
                    let x = _mm256_cvtepi8_epi16(pair);
                    for v in 0..2 {
                        sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(x, w[v]));
                    }
                }
                weights = weights.add(2);
            }
            sums
        }
    }
}

/// Computes a convolution of each channel by itself. The processor must have AVX2, which [`crate::Kernels`] has made sure of.
pub(crate) fn depthwise(work: &Depthwise, input: &[i8], output: &mut [i8]) {
    assert!(input.len() == work.tiling.from.len() && output.len() == work.tiling.to.len());
    // SAFETY: a layer is prepared for AVX2 only where there is AVX2. The windows of all tiles lie inside the input, whose
    // border covers the padding; a vector reads at most 15 channels beyond the last, which SLACK allows.
    #[expect(unsafe_code, reason = "AVX2")]
    unsafe {
        depthwise_checked(work, input, output);
    }
}

#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "AVX2")]
unsafe fn depthwise_checked(work: &Depthwise, input: &[i8], output: &mut [i8]) {
    let channels = work.tiling.to.shape().channels;
    for (index, block) in work.blocks.iter().enumerate() {
        let first = index * BLOCK;
        let count = BLOCK.min(channels - first);
        let parameters = BlockParameters::new(&block.multipliers, work.lowest);
        let input = input[first..].as_ptr();
        // SAFETY, for all: by the caller.
        let four = |output: &mut [i8], [a, b, c, d]: [usize; 4], to: usize| unsafe {
            let inputs = [input.add(a), input.add(b), input.add(c), input.add(d)];
            for (pixel, sums) in depthwise_sums(block, &work.offsets, inputs).into_iter().enumerate() {
                finish(sums, &parameters, &mut output[to + pixel * channels + first..][..count]);
            }
        };
        let one = |output: &mut [i8], at: usize, to: usize| unsafe {
            let [sums] = depthwise_sums(block, &work.offsets, [input.add(at)]);
            finish(sums, &parameters, &mut output[to + first..][..count]);
        };
        work.tiling.for_each_tile(output, one, four, |_, _, _| unreachable!("depthwise layers do not pool"));
    }
}

/// For each of P pixels, the sums of a block.
#[inline(always)]
#[expect(unsafe_code, reason = "AVX2")]
unsafe fn depthwise_sums<const P: usize>(
    block: &depthwise::Block,
    mut offsets: &[u32],
    inputs: [*const i8; P],
) -> [[__m256i; 2]; P] {
    // SAFETY: by the caller; the weights are as many as the taps, 32 bytes each.
    unsafe {
        let mut sums = [bias(&block.bias); P];
        let mut weights = block.weights.as_ptr().cast::<__m256i>();
        for &length in &block.chains {
            let (taps, rest) = offsets.split_at(length);
            offsets = rest;
            let mut chain = [_mm256_setzero_si256(); P];
            for &offset in taps {
                let w = _mm256_load_si256(weights);
                weights = weights.add(1);
                for (chain, input) in chain.iter_mut().zip(inputs) {
                    let x = _mm256_cvtepi8_epi16(_mm_loadu_si128(input.add(offset as usize).cast()));
                    *chain = _mm256_add_epi16(*chain, _mm256_mullo_epi16(x, w));
                }
            }
            for (sums, chain) in sums.iter_mut().zip(chain) {
                sums[0] = _mm256_add_epi32(sums[0], _mm256_cvtepi16_epi32(_mm256_castsi256_si128(chain)));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(chain)));
            }
        }
        sums
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn bias(bias: &[i32; BLOCK]) -> [__m256i; 2] {
    [0, LANES].map(|first| load_i32(&bias[first..]))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_i32(values: &[i32]) -> __m256i {
    assert!(values.len() >= LANES);
    // SAFETY: there are as many values.
    #[expect(unsafe_code, reason = "AVX2")]
    unsafe {
        _mm256_loadu_si256(values.as_ptr().cast())
    }
}

/// Multipliers and the lowest value for a block.
struct BlockParameters {
    multipliers: [__m256; 2],
    lowest: __m256,
}

impl BlockParameters {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(multipliers: &[f32; BLOCK], lowest: f32) -> Self {
        let multipliers = [0, LANES].map(|first| {
            // SAFETY: BLOCK is twice LANES.
            #[expect(unsafe_code, reason = "AVX2")]
            unsafe {
                _mm256_loadu_ps(multipliers[first..].as_ptr())
            }
        });
        Self { multipliers, lowest: _mm256_set1_ps(lowest) }
    }
}

/// See [`crate::requantize`].
#[inline]
#[target_feature(enable = "avx2")]
fn requantize(sums: __m256i, multipliers: __m256, lowest: __m256) -> __m256i {
    let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multipliers);
    // Rounds to nearest, ties to even: nothing changes the processor's default mode.
    _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(scaled, lowest), _mm256_set1_ps(127.0)))
}

/// Requantizes the sums of a block and writes as many as `to` has room for, at most BLOCK.
#[inline]
#[target_feature(enable = "avx2")]
fn finish(sums: [__m256i; 2], parameters: &BlockParameters, to: &mut [i8]) {
    let [a, b] = [0, 1].map(|v| requantize(sums[v], parameters.multipliers[v], parameters.lowest));
    // The pack works on both halves of the vectors by themselves.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b));
    let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    let mut all = [0; BLOCK];
    // SAFETY: both have 16 bytes where they are written.
    #[expect(unsafe_code, reason = "AVX2")]
    unsafe {
        if to.len() == BLOCK {
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        } else {
            _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
            to.copy_from_slice(&all[..to.len()]);
        }
    }
}

/// [`Simd`] in AVX2.
struct Avx2;

#[derive(Clone, Copy)]
struct I16x16(__m256i);

#[derive(Clone, Copy)]
struct I32x8(__m256i);

integers!(I16x16, _mm256_add_epi16, _mm256_sub_epi16, _mm256_slli_epi16);
integers!(I32x8, _mm256_add_epi32, _mm256_sub_epi32, _mm256_slli_epi32);

/// Bias, multipliers and the lowest value of eight channels.
struct Parameters {
    bias: __m256i,
    multipliers: __m256,
    lowest: __m256,
}

#[expect(unsafe_code, reason = "AVX2")]
impl Simd for Avx2 {
    type I16 = I16x16;
    type I32 = I32x8;
    type Parameters = Parameters;
    const LANES16: usize = 16;
    const LANES32: usize = LANES;

    #[inline(always)]
    unsafe fn widen(from: *const i8) -> I16x16 {
        // SAFETY: by the caller.
        unsafe { I16x16(_mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut i16, values: I16x16) {
        // SAFETY: by the caller.
        unsafe { _mm256_storeu_si256(to.cast(), values.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> I32x8 {
        // SAFETY: by the caller.
        unsafe { I32x8(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    fn max(a: I32x8, b: I32x8) -> I32x8 {
        // SAFETY: only code that runs with AVX2 makes these vectors.
        unsafe { I32x8(_mm256_max_epi32(a.0, b.0)) }
    }

    #[inline(always)]
    fn divide(values: I32x8) -> I32x8 {
        // SAFETY: only code that runs with AVX2 makes these vectors.
        unsafe { I32x8(_mm256_mullo_epi32(_mm256_srai_epi32::<6>(values.0), _mm256_set1_epi32(INVERSE_OF_9))) }
    }

    #[inline(always)]
    unsafe fn parameters(bias: *const i32, multipliers: *const f32, lowest: f32) -> Parameters {
        // SAFETY: by the caller.
        unsafe {
            Parameters {
                bias: _mm256_loadu_si256(bias.cast()),
                multipliers: _mm256_loadu_ps(multipliers),
                lowest: _mm256_set1_ps(lowest),
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: I32x8, parameters: &Parameters, to: &mut [i8]) {
        // SAFETY: by the caller; both targets have 8 bytes or more.
        unsafe {
            let sums = _mm256_add_epi32(sums.0, parameters.bias);
            let values = requantize(sums, parameters.multipliers, parameters.lowest);
            let words = _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256::<1>(values));
            let bytes = _mm_packs_epi16(words, words);
            if to.len() == LANES {
                _mm_storel_epi64(to.as_mut_ptr().cast(), bytes);
            } else {
                let mut all = [0; LANES];
                _mm_storel_epi64(all.as_mut_ptr().cast(), bytes);
                to.copy_from_slice(&all[..to.len()]);
            }
        }
    }

    #[inline(always)]
    unsafe fn multiply(weights: *const i16, values: *const i16, sums: *mut i32, inputs: usize, tiles: usize) {
        // SAFETY: by the caller.
        unsafe {
            match tiles {
                1 => multiply::<1>(weights, values, sums, inputs),
                2 => multiply::<2>(weights, values, sums, inputs),
                3 => multiply::<3>(weights, values, sums, inputs),
                4 => multiply::<4>(weights, values, sums, inputs),
                _ => multiply::<TILES>(weights, values, sums, inputs),
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "AVX2")]
unsafe fn multiply<const T: usize>(weights: *const i16, values: *const i16, sums: *mut i32, inputs: usize) {
    // SAFETY: by the caller. Weights are aligned to 64 bytes, pairs of inputs × 16 channels × 2.
    unsafe {
        let mut totals = [[_mm256_setzero_si256(); 2]; T];
        for pair in 0..inputs / 2 {
            let w = weights.add(pair * 2 * BLOCK).cast::<__m256i>();
            let w = [_mm256_load_si256(w), _mm256_load_si256(w.add(1))];
            for (tile, totals) in totals.iter_mut().enumerate() {
                let x = _mm256_set1_epi32(values.add(tile * inputs + 2 * pair).cast::<i32>().read_unaligned());
                for v in 0..2 {
                    totals[v] = _mm256_add_epi32(totals[v], _mm256_madd_epi16(x, w[v]));
                }
            }
        }
        for (tile, totals) in totals.into_iter().enumerate() {
            let to = sums.add(tile * BLOCK).cast::<__m256i>();
            _mm256_storeu_si256(to, totals[0]);
            _mm256_storeu_si256(to.add(1), totals[1]);
        }
    }
}
