//! The block's forward pass.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{CANDIDATES, KERNEL, NONE, Sizes, vectorised};

/// Vectors of filters that are computed at once: with four candidates, eight sums, which hide the latency of one
/// another's additions and fit into 16 registers.
const VECTORS: usize = 2;

/// Pooled values and their winners.
pub(super) fn forward(sizes: &Sizes, x: &[f32], weight: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let mut pooled = vec![0.0; sizes.images * sizes.pooled_len()];
    let mut winners = vec![NONE; pooled.len()];
    let packed = vectorised(Pack { sizes, weight, bias });
    pooled
        .par_chunks_exact_mut(sizes.pooled_len())
        .zip(winners.par_chunks_exact_mut(sizes.pooled_len()))
        .zip(x.par_chunks_exact(sizes.image_len()))
        .for_each(|((pooled, winners), image)| {
            vectorised(Forward { sizes, packed: &packed, image, pooled, winners });
        });
    (pooled, winners)
}

/// Rearranges the kernels for [`Forward`]: for each group of `VECTORS` vectors of filters its biases, then tap by tap
/// the weights of its filters; filters that are missing in the last group are zero.
struct Pack<'a> {
    sizes: &'a Sizes,
    weight: &'a [f32],
    bias: &'a [f32],
}

impl WithSimd for Pack<'_> {
    type Output = Vec<f32>;

    fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
        let group = VECTORS * S::F32_LANES;
        let taps = KERNEL * self.sizes.run_len();
        let mut packed = vec![0.0; self.sizes.filters.div_ceil(group) * (1 + taps) * group];
        for (filter, (weight, bias)) in self.weight.chunks_exact(taps).zip(self.bias).enumerate() {
            let to = &mut packed[filter / group * (1 + taps) * group..];
            for (tap, &value) in std::iter::once(bias).chain(weight).enumerate() {
                to[tap * group + filter % group] = value;
            }
        }
        packed
    }
}

/// The block on one image.
struct Forward<'a> {
    sizes: &'a Sizes,
    packed: &'a [f32],
    image: &'a [f32],
    pooled: &'a mut [f32],
    winners: &'a mut [u8],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, packed, image, pooled, winners } = self;
        let (row_len, filters) = (sizes.pooled_row_len(), sizes.filters);
        let group_len = VECTORS * S::F32_LANES;
        // Winners as wide as the values, which is how they are found.
        let mut wide = vec![0; row_len];
        let rows = pooled.chunks_exact_mut(row_len).zip(winners.chunks_exact_mut(row_len));
        for (row, (pooled, winners)) in rows.enumerate() {
            let groups = packed.chunks_exact((1 + KERNEL * sizes.run_len()) * group_len);
            for (group, first) in groups.zip((0..filters).step_by(group_len)) {
                let (bias, taps) = S::as_simd_f32s(group).0.as_chunks::<VECTORS>().0.split_at(1);
                let present = group_len.min(filters - first);
                for column in 0..sizes.pooled_width() {
                    let sums = convolve(simd, sizes, &image[sizes.corner(row, column)..], taps);
                    let to = column * filters + first;
                    let values = pooled[to..to + present].chunks_mut(S::F32_LANES);
                    let outputs = values.zip(wide[to..to + present].chunks_mut(S::F32_LANES));
                    for (v, (value, winner)) in outputs.enumerate() {
                        let (best, index) = largest(simd, sums.map(|s| s[v]), bias[0][v]);
                        match (S::as_mut_simd_f32s(value).0, S::as_mut_simd_u32s(winner).0) {
                            ([value], [winner]) => (*value, *winner) = (best, index),
                            _ => {
                                simd.partial_store_f32s(value, best);
                                simd.partial_store_u32s(winner, index);
                            }
                        }
                    }
                }
            }
            for (narrow, &wide) in winners.iter_mut().zip(&wide) {
                *narrow = wide as u8;
            }
        }
    }
}

/// The four candidates of one pooled pixel, whose first patch begins where `image` begins.
#[inline(always)]
fn convolve<S: Simd>(
    simd: S,
    sizes: &Sizes,
    image: &[f32],
    taps: &[[S::f32s; VECTORS]],
) -> [[S::f32s; VECTORS]; CANDIDATES] {
    let (channels, run_len) = (sizes.channels, sizes.run_len());
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; CANDIDATES];
    for (row, taps) in taps.chunks_exact(run_len).enumerate() {
        let upper = &image[row * sizes.row_len()..][..run_len + channels];
        let lower = &image[(row + 1) * sizes.row_len()..][..run_len + channels];
        let left = upper[..run_len].iter().zip(&lower[..run_len]);
        let right = upper[channels..].iter().zip(&lower[channels..]);
        for ((tap, left), right) in taps.iter().zip(left).zip(right) {
            let candidates = [left.0, right.0, left.1, right.1];
            for (sum, &value) in sums.iter_mut().zip(candidates) {
                let value = simd.splat_f32s(value);
                for (sum, &weight) in sum.iter_mut().zip(tap) {
                    *sum = simd.mul_add_e_f32s(value, weight, *sum);
                }
            }
        }
    }
    sums
}

/// Pools and applies the bias, which is the same for all four, and ReLU; of equal candidates the first wins.
#[inline(always)]
fn largest<S: Simd>(simd: S, candidates: [S::f32s; CANDIDATES], bias: S::f32s) -> (S::f32s, S::u32s) {
    let mut best = candidates[0];
    let mut winner = simd.splat_u32s(0);
    for (index, candidate) in (1..).zip(&candidates[1..]) {
        winner = simd.select_u32s(simd.greater_than_f32s(*candidate, best), simd.splat_u32s(index), winner);
        best = simd.max_f32s(*candidate, best);
    }
    let (zero, none) = (simd.splat_f32s(0.0), simd.splat_u32s(u32::from(NONE)));
    best = simd.add_f32s(best, bias);
    let positive = simd.greater_than_f32s(best, zero);
    // Maxima lose what is not a number. It must come out, or a training that broke would end as a constant network. So add
    // 0, or NaN if anything was not finite.
    let total = candidates.iter().fold(bias, |total, candidate| simd.add_f32s(total, *candidate));
    let fault = simd.sub_f32s(total, total);
    (simd.add_f32s(simd.max_f32s(best, zero), fault), simd.select_u32s(positive, winner, none))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a processor without wide vectors does; on whole numbers, of which all sums are exact.
    #[test]
    fn single_values_come_to_the_same_as_vectors() {
        let sizes = Sizes { images: 1, height: 9, width: 11, channels: 3, filters: 5 };
        let values =
            |count: usize, step: usize| -> Vec<f32> { (0..count).map(|i| (i * step % 101 % 9) as f32 - 4.0).collect() };
        let (x, weight, bias) = (values(sizes.image_len(), 37), values(5 * 27, 53), values(5, 29));
        let (expected, expected_winners) = forward(&sizes, &x, &weight, &bias);
        let packed = Pack { sizes: &sizes, weight: &weight, bias: &bias }.with_simd(pulp::Scalar::new());
        let (mut pooled, mut winners) = (vec![0.0; expected.len()], vec![NONE; expected.len()]);
        let (pooled_to, winners_to) = (&mut pooled[..], &mut winners[..]);
        Forward { sizes: &sizes, packed: &packed, image: &x, pooled: pooled_to, winners: winners_to }
            .with_simd(pulp::Scalar::new());
        assert_eq!((pooled, winners), (expected, expected_winners));
    }
}
