//! NEON, which every 64-bit Arm has, and the dot products of Armv8.2.
//!
//! Without dot products, `smull` and `smlal` multiply bytes and add up to four products in i16, as far as the weights prove
//! that they fit, and `sadalp` adds these by pairs to sums in i32: 32 multiplications in 5 instructions. Where there are only
//! a few products, each lane is an output channel instead. Winograd's algorithm multiplies i16 by `smlal`, 4 in an instruction
//! but 4 times fewer. `sdot` multiplies 16 pairs of bytes and adds them by fours to sums in i32 at once, which leaves nothing
//! to gain from Winograd's. Its intrinsics are not stable in Rust, so it is written in assembly.

use std::{
    arch::{aarch64::*, asm},
    array,
};

use crate::{
    BLOCK,
    depthwise::{self, Depthwise},
    direct::{self, Direct},
    tiling::Tiling,
    winograd::{self, INVERSE_OF_9, Simd, TILES, Winograd, integers},
};

/// Output channels in a vector of sums.
const LANES: usize = 4;

/// Vectors of sums of a block.
const VECTORS: usize = BLOCK / LANES;

/// The sums of a block of channels for one pixel.
type Sums = [int32x4_t; VECTORS];

/// Computes a convolution by Winograd's algorithm.
pub(crate) fn winograd(work: &Winograd, input: &[i8], output: &mut [i8], scratch: &mut winograd::Scratch) {
    // SAFETY: every 64-bit Arm has NEON.
    #[expect(unsafe_code, reason = "NEON")]
    unsafe {
        work.run::<Neon>(input, output, scratch);
    }
}

/// Computes a convolution directly, without dot products.
pub(crate) fn direct(work: &Direct, input: &[i8], output: &mut [i8]) {
    assert!(input.len() == work.tiling.from.len() && output.len() == work.tiling.to.len());
    for (index, block) in work.blocks.iter().enumerate() {
        // SAFETY: every 64-bit Arm has NEON. The windows of all tiles lie inside the input, whose border covers the padding,
        // and steps read at most 15 bytes beyond a window, which SLACK allows.
        #[expect(unsafe_code, reason = "NEON")]
        unsafe {
            let requantize = Requantize::new(&block.multipliers, work.lowest);
            for_each_tile(&Long(block), &work.tiling, input.as_ptr(), output, index * BLOCK, &requantize);
        }
    }
}

/// Computes a convolution directly, with dot products. The processor must have them, which [`crate::Kernels`] has made sure of.
pub(crate) fn dot(work: &Direct, input: &[i8], output: &mut [i8]) {
    assert!(input.len() == work.tiling.from.len() && output.len() == work.tiling.to.len());
    for (index, block) in work.blocks.iter().enumerate() {
        // SAFETY: a layer is prepared for dot products only where there are any. The windows of all tiles lie inside the input,
        // whose border covers the padding, and steps read at most 3 bytes beyond a window, which SLACK allows.
        #[expect(unsafe_code, reason = "NEON")]
        unsafe {
            let requantize = Requantize::new(&block.multipliers, work.lowest);
            for_each_tile(&Dots(block), &work.tiling, input.as_ptr(), output, index * BLOCK, &requantize);
        }
    }
}

/// Computes a convolution with a channel of the output in each lane.
pub(crate) fn by_channel(work: &Depthwise, input: &[i8], output: &mut [i8]) {
    assert!(input.len() == work.tiling.from.len() && output.len() == work.tiling.to.len());
    for (index, block) in work.blocks.iter().enumerate() {
        // SAFETY: every 64-bit Arm has NEON. The windows of all tiles lie inside the input, whose border covers the padding.
        #[expect(unsafe_code, reason = "NEON")]
        unsafe {
            let taps = Taps::<true> { block, offsets: &work.offsets };
            let requantize = Requantize::new(&block.multipliers, work.lowest);
            for_each_tile(&taps, &work.tiling, input.as_ptr(), output, index * BLOCK, &requantize);
        }
    }
}

/// Computes a convolution of each channel by itself.
pub(crate) fn depthwise(work: &Depthwise, input: &[i8], output: &mut [i8]) {
    assert!(input.len() == work.tiling.from.len() && output.len() == work.tiling.to.len());
    for (index, block) in work.blocks.iter().enumerate() {
        let first = index * BLOCK;
        // SAFETY: every 64-bit Arm has NEON. The windows of all tiles lie inside the input, whose border covers the padding; a
        // vector reads at most 15 channels beyond the last, which SLACK allows.
        #[expect(unsafe_code, reason = "NEON")]
        unsafe {
            let taps = Taps::<false> { block, offsets: &work.offsets };
            let requantize = Requantize::new(&block.multipliers, work.lowest);
            for_each_tile(&taps, &work.tiling, input[first..].as_ptr(), output, first, &requantize);
        }
    }
}

/// What is computed under a window for a block of output channels.
#[expect(unsafe_code, reason = "NEON")]
trait Block {
    /// For each of P pixels, the sums of a block, with the bias.
    ///
    /// # Safety
    ///
    /// Needs a processor with the instructions, and everything under the windows must be readable from `inputs`.
    unsafe fn sums<const P: usize>(&self, inputs: [*const i8; P]) -> [Sums; P];
}

/// Computes the output channels of a block from `first` on, for all pixels.
///
/// # Safety
///
/// As [`Block::sums`], for the windows of all tiles.
#[inline(always)]
#[expect(unsafe_code, reason = "NEON")]
unsafe fn for_each_tile<B: Block>(
    block: &B,
    tiling: &Tiling,
    input: *const i8,
    output: &mut [i8],
    first: usize,
    requantize: &Requantize,
) {
    let channels = tiling.to.shape().channels;
    let count = BLOCK.min(channels - first);
    // SAFETY, for all three: by the caller.
    tiling.for_each_tile(
        output,
        |output, at, to| unsafe {
            requantize.write(block.sums([input.add(at)]), &mut output[to + first..], channels, count);
        },
        |output, [a, b, c, d], to| unsafe {
            let sums = block.sums([input.add(a), input.add(b), input.add(c), input.add(d)]);
            requantize.write(sums, &mut output[to + first..], channels, count);
        },
        |output, [a, b, c, d], to| unsafe {
            let [a, b, c, d] = block.sums([input.add(a), input.add(b), input.add(c), input.add(d)]);
            let most: Sums = array::from_fn(|v| vmaxq_s32(vmaxq_s32(a[v], b[v]), vmaxq_s32(c[v], d[v])));
            requantize.write([most], &mut output[to + first..], channels, count);
        },
    );
}

/// A convolution in chains of one or two steps of 16 bytes.
struct Long<'a>(&'a direct::Block);

#[expect(unsafe_code, reason = "NEON")]
impl Block for Long<'_> {
    #[inline(always)]
    unsafe fn sums<const P: usize>(&self, inputs: [*const i8; P]) -> [Sums; P] {
        // SAFETY: by the caller; the weights are as many as the steps, 256 bytes each.
        unsafe {
            let mut sums = [load(&self.0.bias); P];
            let [_, _, twos, _] = self.0.chains;
            let (twos, ones) = self.0.offsets.split_at(2 * twos);
            // There are registers for the sums of four channels and four pixels. Each vector has four sums of one channel.
            for v in 0..VECTORS {
                let mut totals = [[vdupq_n_s32(0); LANES]; P];
                let mut weights = self.0.weights.as_ptr().add(v * LANES * 16);
                for two in twos.chunks_exact(2) {
                    let (w, next) = (load_i8(weights), load_i8(weights.add(16 * BLOCK)));
                    // Past the end after the last step, for all vectors but the first.
                    weights = weights.wrapping_add(2 * 16 * BLOCK);
                    for (totals, input) in totals.iter_mut().zip(inputs) {
                        add_two(totals, [w, next], input, [two[0] as usize, two[1] as usize]);
                    }
                }
                for &one in ones {
                    let w = load_i8(weights);
                    weights = weights.wrapping_add(16 * BLOCK);
                    for (totals, input) in totals.iter_mut().zip(inputs) {
                        let x = vld1q_s8(input.add(one as usize));
                        for (channel, total) in totals.iter_mut().enumerate() {
                            let products = vmull_s8(vget_low_s8(w[channel]), vget_low_s8(x));
                            *total = vpadalq_s16(*total, vmlal_high_s8(products, w[channel], x));
                        }
                    }
                }
                for (sums, [a, b, c, d]) in sums.iter_mut().zip(totals) {
                    sums[v] = vaddq_s32(sums[v], vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
                }
            }
            sums
        }
    }
}

/// Adds the products of two times 16 bytes of a pixel for four channels. In assembly, because the compiler would mix the work on
/// all pixels and run out of registers.
///
/// # Safety
///
/// 16 bytes must be readable at both offsets from `input`.
#[inline]
#[target_feature(enable = "neon")]
#[expect(unsafe_code, reason = "assembly")]
unsafe fn add_two(
    totals: &mut [int32x4_t; LANES],
    weights: [[int8x16_t; LANES]; 2],
    input: *const i8,
    offsets: [usize; 2],
) {
    let [a, b, c, d] = totals;
    // SAFETY: by the caller; only the operands are changed.
    unsafe {
        asm!(
            "ldr {x:q}, [{input}, {first}]",
            "ldr {y:q}, [{input}, {second}]",
            "smull {p:v}.8h, {wa:v}.8b, {x:v}.8b",
            "smull {q:v}.8h, {wb:v}.8b, {x:v}.8b",
            "smull {r:v}.8h, {wc:v}.8b, {x:v}.8b",
            "smull {s:v}.8h, {wd:v}.8b, {x:v}.8b",
            "smlal2 {p:v}.8h, {wa:v}.16b, {x:v}.16b",
            "smlal2 {q:v}.8h, {wb:v}.16b, {x:v}.16b",
            "smlal2 {r:v}.8h, {wc:v}.16b, {x:v}.16b",
            "smlal2 {s:v}.8h, {wd:v}.16b, {x:v}.16b",
            "smlal {p:v}.8h, {va:v}.8b, {y:v}.8b",
            "smlal {q:v}.8h, {vb:v}.8b, {y:v}.8b",
            "smlal {r:v}.8h, {vc:v}.8b, {y:v}.8b",
            "smlal {s:v}.8h, {vd:v}.8b, {y:v}.8b",
            "smlal2 {p:v}.8h, {va:v}.16b, {y:v}.16b",
            "smlal2 {q:v}.8h, {vb:v}.16b, {y:v}.16b",
            "smlal2 {r:v}.8h, {vc:v}.16b, {y:v}.16b",
            "smlal2 {s:v}.8h, {vd:v}.16b, {y:v}.16b",
            "sadalp {a:v}.4s, {p:v}.8h",
            "sadalp {b:v}.4s, {q:v}.8h",
            "sadalp {c:v}.4s, {r:v}.8h",
            "sadalp {d:v}.4s, {s:v}.8h",
            a = inout(vreg) *a, b = inout(vreg) *b, c = inout(vreg) *c, d = inout(vreg) *d,
            wa = in(vreg) weights[0][0], wb = in(vreg) weights[0][1], wc = in(vreg) weights[0][2], wd = in(vreg) weights[0][3],
            va = in(vreg) weights[1][0], vb = in(vreg) weights[1][1], vc = in(vreg) weights[1][2], vd = in(vreg) weights[1][3],
            input = in(reg) input, first = in(reg) offsets[0], second = in(reg) offsets[1],
            x = out(vreg) _, y = out(vreg) _,
            p = out(vreg) _, q = out(vreg) _, r = out(vreg) _, s = out(vreg) _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
}

/// A convolution in steps of 4 bytes; runs of four come first.
struct Dots<'a>(&'a direct::Block);

#[expect(unsafe_code, reason = "NEON")]
impl Block for Dots<'_> {
    #[inline(always)]
    unsafe fn sums<const P: usize>(&self, inputs: [*const i8; P]) -> [Sums; P] {
        // SAFETY: by the caller; the weights are as many as the steps, 64 bytes each.
        unsafe {
            let mut sums = [load(&self.0.bias); P];
            let mut weights = self.0.weights.as_ptr();
            let (runs, singles) = self.0.offsets.split_at(4 * self.0.chains[0]);
            for run in runs.chunks_exact(4) {
                let x = inputs.map(|input| vld1q_s8(input.add(run[0] as usize)));
                add_dots::<0, P>(&mut sums, load_i8(weights), x);
                add_dots::<1, P>(&mut sums, load_i8(weights.add(4 * BLOCK)), x);
                add_dots::<2, P>(&mut sums, load_i8(weights.add(8 * BLOCK)), x);
                add_dots::<3, P>(&mut sums, load_i8(weights.add(12 * BLOCK)), x);
                weights = weights.add(16 * BLOCK);
            }
            for &offset in singles {
                let x = inputs.map(|input| four(input.add(offset as usize)));
                add_dots::<0, P>(&mut sums, load_i8(weights), x);
                weights = weights.add(4 * BLOCK);
            }
            sums
        }
    }
}

/// Adds the products of four bytes of each pixel.
///
/// # Safety
///
/// The processor must have dot products. They are enabled for the one instruction: a function with this target feature would not
/// be compiled into the loops around it.
#[inline(always)]
#[expect(unsafe_code, reason = "assembly")]
unsafe fn add_dots<const FOUR: u8, const P: usize>(
    sums: &mut [Sums; P],
    weights: [int8x16_t; VECTORS],
    x: [int8x16_t; P],
) {
    for (sums, x) in sums.iter_mut().zip(x) {
        for (sum, weights) in sums.iter_mut().zip(weights) {
            // SAFETY: by the caller; only `sum` is changed.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sum:v}.4s, {weights:v}.16b, {x:v}.4b[{four}]",
                    sum = inout(vreg) *sum,
                    weights = in(vreg) weights,
                    x = in(vreg) x,
                    four = const FOUR,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
        }
    }
}

/// A convolution tap by tap, with a channel in each lane. ALL: all channels read the same input, else each its own.
struct Taps<'a, const ALL: bool> {
    block: &'a depthwise::Block,
    offsets: &'a [u32],
}

#[expect(unsafe_code, reason = "NEON")]
impl<const ALL: bool> Block for Taps<'_, ALL> {
    #[inline(always)]
    unsafe fn sums<const P: usize>(&self, inputs: [*const i8; P]) -> [Sums; P] {
        // SAFETY: by the caller; the weights are as many as the taps, 16 each.
        unsafe {
            let mut sums = [load(&self.block.bias); P];
            let mut weights = self.block.weights.as_ptr();
            let mut offsets = self.offsets;
            for &length in &self.block.chains {
                let (taps, rest) = offsets.split_at(length);
                offsets = rest;
                let mut chain = [[vdupq_n_s16(0); 2]; P];
                for &offset in taps {
                    for (chain, input) in chain.iter_mut().zip(inputs) {
                        let input = input.add(offset as usize);
                        if ALL {
                            let x = vld1_dup_s8(input);
                            chain[0] = vmlal_s8(chain[0], x, vld1_s8(weights));
                            chain[1] = vmlal_s8(chain[1], x, vld1_s8(weights.add(BLOCK / 2)));
                        } else {
                            let (x, w) = (vld1q_s8(input), vld1q_s8(weights));
                            chain[0] = vmlal_s8(chain[0], vget_low_s8(x), vget_low_s8(w));
                            chain[1] = vmlal_high_s8(chain[1], x, w);
                        }
                    }
                    weights = weights.add(BLOCK);
                }
                for (sums, chain) in sums.iter_mut().zip(chain) {
                    for (v, chain) in chain.into_iter().enumerate() {
                        sums[2 * v] = vaddw_s16(sums[2 * v], vget_low_s16(chain));
                        sums[2 * v + 1] = vaddw_high_s16(sums[2 * v + 1], chain);
                    }
                }
            }
            sums
        }
    }
}

/// Reads the values of a block of channels.
#[inline]
#[target_feature(enable = "neon")]
fn load(values: &[i32; BLOCK]) -> Sums {
    // SAFETY: LANES values from each of these places are inside.
    #[expect(unsafe_code, reason = "NEON")]
    array::from_fn(|v| unsafe { vld1q_s32(values[v * LANES..].as_ptr()) })
}

/// Reads 64 weights.
///
/// # Safety
///
/// They must be there.
#[inline]
#[target_feature(enable = "neon")]
#[expect(unsafe_code, reason = "NEON")]
unsafe fn load_i8(weights: *const i8) -> [int8x16_t; VECTORS] {
    // SAFETY: by the caller.
    array::from_fn(|v| unsafe { vld1q_s8(weights.add(16 * v)) })
}

/// Four bytes, four times.
///
/// # Safety
///
/// They must be readable.
#[inline]
#[target_feature(enable = "neon")]
#[expect(unsafe_code, reason = "NEON")]
unsafe fn four(from: *const i8) -> int8x16_t {
    // SAFETY: by the caller.
    vreinterpretq_s8_s32(vdupq_n_s32(unsafe { from.cast::<i32>().read_unaligned() }))
}

/// See [`crate::requantize`]; limits are left to what narrows the values, which saturates.
#[inline]
#[target_feature(enable = "neon")]
fn scaled(sums: int32x4_t, multipliers: float32x4_t) -> int32x4_t {
    vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums), multipliers))
}

/// Multipliers and the lowest value of a block of channels.
struct Requantize {
    multipliers: [float32x4_t; VECTORS],
    lowest: int8x16_t,
}

impl Requantize {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(multipliers: &[f32; BLOCK], lowest: f32) -> Self {
        // SAFETY: LANES values from each of these places are inside.
        #[expect(unsafe_code, reason = "NEON")]
        let multipliers = array::from_fn(|v| unsafe { vld1q_f32(multipliers[v * LANES..].as_ptr()) });
        Self { multipliers, lowest: vdupq_n_s8(lowest as i8) }
    }

    /// Requantizes the sums of pixels, of which one is `step` values after the other, and writes `count` channels of each.
    #[inline]
    #[target_feature(enable = "neon")]
    fn write<const P: usize>(&self, sums: [Sums; P], to: &mut [i8], step: usize, count: usize) {
        let to = &mut to[..(P - 1) * step + count];
        for (pixel, sums) in sums.into_iter().enumerate() {
            let values: Sums = array::from_fn(|v| scaled(sums[v], self.multipliers[v]));
            let words = [0, 2].map(|v| vqmovn_high_s32(vqmovn_s32(values[v]), values[v + 1]));
            let bytes = vmaxq_s8(vqmovn_high_s16(vqmovn_s16(words[0]), words[1]), self.lowest);
            // SAFETY: `count` values from there on are inside.
            #[expect(unsafe_code, reason = "NEON")]
            unsafe {
                let to = to.as_mut_ptr().add(pixel * step);
                if count == BLOCK {
                    vst1q_s8(to, bytes);
                } else {
                    let mut all = [0; BLOCK];
                    vst1q_s8(all.as_mut_ptr(), bytes);
                    to.copy_from_nonoverlapping(all.as_ptr(), count.min(BLOCK));
                }
            }
        }
    }
}

/// [`Simd`] in NEON.
struct Neon;

#[derive(Clone, Copy)]
struct I16x8(int16x8_t);

#[derive(Clone, Copy)]
struct I32x4(int32x4_t);

integers!(I16x8, vaddq_s16, vsubq_s16, vshlq_n_s16);
integers!(I32x4, vaddq_s32, vsubq_s32, vshlq_n_s32);

/// Bias, multipliers and the lowest value of four channels.
struct Parameters {
    bias: int32x4_t,
    multipliers: float32x4_t,
    lowest: int8x8_t,
}

#[expect(unsafe_code, reason = "NEON")]
impl Simd for Neon {
    type I16 = I16x8;
    type I32 = I32x4;
    type Parameters = Parameters;
    const LANES16: usize = 8;
    const LANES32: usize = LANES;

    #[inline(always)]
    unsafe fn widen(from: *const i8) -> I16x8 {
        // SAFETY: by the caller.
        unsafe { I16x8(vmovl_s8(vld1_s8(from))) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut i16, values: I16x8) {
        // SAFETY: by the caller.
        unsafe { vst1q_s16(to, values.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> I32x4 {
        // SAFETY: by the caller.
        unsafe { I32x4(vld1q_s32(from)) }
    }

    #[inline(always)]
    fn max(a: I32x4, b: I32x4) -> I32x4 {
        // SAFETY: every 64-bit Arm has NEON.
        unsafe { I32x4(vmaxq_s32(a.0, b.0)) }
    }

    #[inline(always)]
    fn divide(values: I32x4) -> I32x4 {
        // SAFETY: every 64-bit Arm has NEON.
        unsafe { I32x4(vmulq_s32(vshrq_n_s32::<6>(values.0), vdupq_n_s32(INVERSE_OF_9))) }
    }

    #[inline(always)]
    unsafe fn parameters(bias: *const i32, multipliers: *const f32, lowest: f32) -> Parameters {
        // SAFETY: by the caller.
        unsafe {
            Parameters { bias: vld1q_s32(bias), multipliers: vld1q_f32(multipliers), lowest: vdup_n_s8(lowest as i8) }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: I32x4, parameters: &Parameters, to: &mut [i8]) {
        // SAFETY: by the caller.
        let bytes = unsafe {
            let words = vqmovn_s32(scaled(vaddq_s32(sums.0, parameters.bias), parameters.multipliers));
            let bytes = vmax_s8(vqmovn_s16(vcombine_s16(words, words)), parameters.lowest);
            vget_lane_u32::<0>(vreinterpret_u32_s8(bytes))
        };
        let bytes = bytes.to_le_bytes().map(|byte| byte as i8);
        match to.first_chunk_mut() {
            Some(to) => *to = bytes,
            None => to.copy_from_slice(&bytes[..to.len()]),
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
#[target_feature(enable = "neon")]
#[expect(unsafe_code, reason = "NEON")]
unsafe fn multiply<const T: usize>(mut weights: *const i16, values: *const i16, sums: *mut i32, inputs: usize) {
    // SAFETY: by the caller. Inputs are a multiple of 16.
    unsafe {
        let mut totals = [[vdupq_n_s32(0); VECTORS]; T];
        for first in (0..inputs).step_by(8) {
            let x: [int16x8_t; T] = array::from_fn(|tile| vld1q_s16(values.add(tile * inputs + first)));
            add_input::<0, T>(&mut totals, weights, x);
            add_input::<1, T>(&mut totals, weights.add(BLOCK), x);
            add_input::<2, T>(&mut totals, weights.add(2 * BLOCK), x);
            add_input::<3, T>(&mut totals, weights.add(3 * BLOCK), x);
            add_input::<4, T>(&mut totals, weights.add(4 * BLOCK), x);
            add_input::<5, T>(&mut totals, weights.add(5 * BLOCK), x);
            add_input::<6, T>(&mut totals, weights.add(6 * BLOCK), x);
            add_input::<7, T>(&mut totals, weights.add(7 * BLOCK), x);
            weights = weights.add(8 * BLOCK);
        }
        for (tile, totals) in totals.into_iter().enumerate() {
            for (v, totals) in totals.into_iter().enumerate() {
                vst1q_s32(sums.add(tile * BLOCK + v * LANES), totals);
            }
        }
    }
}

/// Adds the products of one input channel, lane LANE of `x`, with the weights of a block.
///
/// # Safety
///
/// There must be BLOCK weights.
#[inline]
#[target_feature(enable = "neon")]
#[expect(unsafe_code, reason = "NEON")]
unsafe fn add_input<const LANE: i32, const T: usize>(totals: &mut [Sums; T], weights: *const i16, x: [int16x8_t; T]) {
    // SAFETY: by the caller.
    let [low, high] = unsafe { [vld1q_s16(weights), vld1q_s16(weights.add(BLOCK / 2))] };
    for (totals, x) in totals.iter_mut().zip(x) {
        totals[0] = vmlal_laneq_s16::<LANE>(totals[0], vget_low_s16(low), x);
        totals[1] = vmlal_high_laneq_s16::<LANE>(totals[1], low, x);
        totals[2] = vmlal_laneq_s16::<LANE>(totals[2], vget_low_s16(high), x);
        totals[3] = vmlal_high_laneq_s16::<LANE>(totals[3], high, x);
    }
}
