//! The block's backward pass.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{CANDIDATES, KERNEL, NONE, Sizes, vectorised};

/// Images of a portion, which one thread works on.
const PORTION: usize = 2;

/// Values of an image that stay in the first-level cache while every filter reads them: 24 KiB.
const CACHED: usize = 6 * 1024;

/// Most vectors of a sum that is kept in registers. One kernel row of 32 channels has as many in AVX2.
const VECTORS: usize = 12;

/// Gradients of input (if wanted), weights and bias.
pub(super) fn backward(
    sizes: &Sizes,
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    winners: &[u8],
    input_wanted: bool,
) -> (Option<Vec<f32>>, Vec<f32>, Vec<f32>) {
    let mut dx = input_wanted.then(|| vec![0.0; x.len()]);
    let portions: Vec<Option<&mut [f32]>> = match &mut dx {
        Some(dx) => dx.chunks_mut(PORTION * sizes.image_len()).map(Some).collect(),
        None => (0..sizes.images.div_ceil(PORTION)).map(|_| None).collect(),
    };
    let sums: Vec<(Vec<f32>, Vec<f32>)> = portions
        .into_par_iter()
        .zip(x.par_chunks(PORTION * sizes.image_len()))
        .zip(grad.par_chunks(PORTION * sizes.pooled_len()))
        .zip(winners.par_chunks(PORTION * sizes.pooled_len()))
        .map(|(((dx, x), grad), winners)| {
            let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; sizes.filters]);
            vectorised(Portion { sizes, x, weight, grad, winners, dx, dw: &mut dw, db: &mut db });
            (dw, db)
        })
        .collect();
    let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; sizes.filters]);
    for (portion_dw, portion_db) in &sums {
        dw.iter_mut().zip(portion_dw).for_each(|(sum, value)| *sum += value);
        db.iter_mut().zip(portion_db).for_each(|(sum, value)| *sum += value);
    }
    (dx, dw, db)
}

/// The backward pass of a portion; gradients are added to `dx`, `dw` and `db`.
struct Portion<'a> {
    sizes: &'a Sizes,
    x: &'a [f32],
    weight: &'a [f32],
    grad: &'a [f32],
    winners: &'a [u8],
    dx: Option<&'a mut [f32]>,
    dw: &'a mut [f32],
    db: &'a mut [f32],
}

impl WithSimd for Portion<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, x, weight, grad, winners, mut dx, dw, db } = self;
        let band_rows = (CACHED / (2 * sizes.row_len())).clamp(1, sizes.pooled_height());
        let band_len = band_rows * sizes.pooled_row_len();
        let mut routes = Routes::new(sizes, band_rows * sizes.pooled_width());
        let pooled = grad.chunks_exact(sizes.pooled_len()).zip(winners.chunks_exact(sizes.pooled_len()));
        for (i, (grad, winners)) in pooled.enumerate() {
            let image = &x[i * sizes.image_len()..][..sizes.image_len()];
            for (grad, winners) in grad.chunks_exact(sizes.filters).zip(winners.chunks_exact(sizes.filters)) {
                for ((sum, &value), &winner) in db.iter_mut().zip(grad).zip(winners) {
                    *sum += if winner == NONE { 0.0 } else { value };
                }
            }
            if sizes.channels == 1 {
                one_channel_weights(simd, sizes, image, grad, winners, dw);
                if dx.is_none() {
                    continue;
                }
            }
            for (band, (grad, winners)) in grad.chunks(band_len).zip(winners.chunks(band_len)).enumerate() {
                routes.find(sizes, band * band_rows, grad, winners);
                if sizes.channels != 1 {
                    routes.add_to_weights(simd, sizes, image, dw);
                }
                if let Some(dx) = &mut dx {
                    let image = &mut dx[i * sizes.image_len()..][..sizes.image_len()];
                    routes.add_to_input(simd, sizes, weight, image);
                }
            }
        }
    }
}

/// One term of a sum of runs: where the run begins and what it is multiplied by.
#[derive(Clone, Copy, Default)]
struct Term {
    offset: u32,
    factor: f32,
}

/// Where the gradients of some pooled rows flow.
struct Routes {
    /// Pooled pixels for which there is room.
    room: usize,
    /// For each filter the patches of its winners, times the gradients: the gradient of its kernel.
    of_filters: Vec<Term>,
    of_filters_len: Vec<usize>,
    /// For each pooled pixel and candidate the kernels of the filters for which it has won, times the gradients: the
    /// gradient of its patch. A fifth candidate takes what flows nowhere.
    of_candidates: Vec<Term>,
    of_candidates_len: Vec<[usize; CANDIDATES + 1]>,
    /// Where the patch of each pooled pixel's first candidate begins.
    corners: Vec<usize>,
}

impl Routes {
    fn new(sizes: &Sizes, room: usize) -> Self {
        Self {
            room,
            of_filters: vec![Term::default(); room * sizes.filters],
            of_filters_len: vec![0; sizes.filters],
            of_candidates: vec![Term::default(); room * (CANDIDATES + 1) * sizes.filters],
            of_candidates_len: Vec::with_capacity(room),
            corners: Vec::with_capacity(room),
        }
    }

    /// Sorts the gradients of the pooled rows from `first_row` on. Whether a value counts decides how far a list grows,
    /// not which way the program goes: it could not be predicted.
    #[inline(always)]
    fn find(&mut self, sizes: &Sizes, first_row: usize, grad: &[f32], winners: &[u8]) {
        let (filters, kernel_len) = (sizes.filters, KERNEL * sizes.run_len());
        self.of_filters_len.fill(0);
        self.of_candidates_len.clear();
        self.corners.clear();
        let rows = first_row..first_row + grad.len() / sizes.pooled_row_len();
        self.corners
            .extend(rows.flat_map(|row| (0..sizes.pooled_width()).map(move |column| sizes.corner(row, column))));
        let candidates = sizes.candidates();
        let pixels = grad.chunks_exact(filters).zip(winners.chunks_exact(filters));
        let lists = self.of_candidates.chunks_exact_mut((CANDIDATES + 1) * filters);
        for (((grad, winners), list), corner) in pixels.zip(lists).zip(&self.corners) {
            let mut patches = [0; CANDIDATES + 1];
            for (patch, candidate) in patches.iter_mut().zip(candidates) {
                *patch = (corner + candidate) as u32;
            }
            let mut lens = [0; CANDIDATES + 1];
            let lists_of_filters = self.of_filters.chunks_exact_mut(self.room).zip(&mut self.of_filters_len);
            for (filter, ((&factor, &winner), (list_of_filter, len))) in
                grad.iter().zip(winners).zip(lists_of_filters).enumerate()
            {
                let winner = usize::from(if factor == 0.0 { NONE } else { winner.min(NONE) });
                list_of_filter[*len] = Term { offset: patches[winner], factor };
                *len += usize::from(winner != CANDIDATES);
                let offset = (filter * kernel_len) as u32;
                list[winner * filters + lens[winner]] = Term { offset, factor };
                lens[winner] += 1;
            }
            self.of_candidates_len.push(lens);
        }
    }

    #[inline(always)]
    fn add_to_weights<S: Simd>(&self, simd: S, sizes: &Sizes, image: &[f32], dw: &mut [f32]) {
        let run_len = sizes.run_len();
        // Row by row of the kernel, so that the part of the image that all filters read stays in the cache.
        for kernel_row in 0..KERNEL {
            let lists = self.of_filters.chunks_exact(self.room).zip(&self.of_filters_len);
            for (kernel, (terms, &len)) in dw.chunks_exact_mut(KERNEL * run_len).zip(lists) {
                let sum = &mut kernel[kernel_row * run_len..][..run_len];
                add_runs(simd, sum, &terms[..len], &image[kernel_row * sizes.row_len()..]);
            }
        }
    }

    #[inline(always)]
    fn add_to_input<S: Simd>(&self, simd: S, sizes: &Sizes, weight: &[f32], image: &mut [f32]) {
        let (filters, run_len, candidates) = (sizes.filters, sizes.run_len(), sizes.candidates());
        for kernel_row in 0..KERNEL {
            let image = &mut image[kernel_row * sizes.row_len()..];
            let weight = &weight[kernel_row * run_len..];
            let lists = self.of_candidates.chunks_exact((CANDIDATES + 1) * filters).zip(&self.of_candidates_len);
            for ((terms, lens), corner) in lists.zip(&self.corners) {
                for ((terms, &len), candidate) in terms.chunks_exact(filters).zip(lens).zip(candidates) {
                    add_runs(simd, &mut image[corner + candidate..][..run_len], &terms[..len], weight);
                }
            }
        }
    }
}

/// `sum += Σ factor · from[offset..]`, the sum being kept in registers, in parts of about the same number of vectors: each
/// addition waits for the one before it, so that a part of one or two vectors would take as long as one of many.
#[inline(always)]
fn add_runs<S: Simd>(simd: S, mut sum: &mut [f32], terms: &[Term], mut from: &[f32]) {
    if sum.len() < S::F32_LANES {
        for (i, sum) in sum.iter_mut().enumerate() {
            *sum += terms.iter().map(|term| term.factor * from[term.offset as usize + i]).sum::<f32>();
        }
        return;
    }
    let vectors = sum.len().div_ceil(S::F32_LANES);
    for parts in (1..=vectors.div_ceil(VECTORS)).rev() {
        let vectors = sum.len().div_ceil(S::F32_LANES).div_ceil(parts);
        let len = sum.len().min(vectors * S::F32_LANES);
        let (part, rest) = sum.split_at_mut(len);
        match vectors {
            1 => add_vectors::<S, 0>(simd, part, terms, from),
            2 => add_vectors::<S, 1>(simd, part, terms, from),
            3 => add_vectors::<S, 2>(simd, part, terms, from),
            4 => add_vectors::<S, 3>(simd, part, terms, from),
            5 => add_vectors::<S, 4>(simd, part, terms, from),
            6 => add_vectors::<S, 5>(simd, part, terms, from),
            7 => add_vectors::<S, 6>(simd, part, terms, from),
            8 => add_vectors::<S, 7>(simd, part, terms, from),
            9 => add_vectors::<S, 8>(simd, part, terms, from),
            10 => add_vectors::<S, 9>(simd, part, terms, from),
            11 => add_vectors::<S, 10>(simd, part, terms, from),
            _ => add_vectors::<S, { VECTORS - 1 }>(simd, part, terms, from),
        }
        (sum, from) = (rest, &from[len..]);
    }
}

/// [`add_runs`] for a sum of `WHOLE` vectors and one more, which ends where the sum ends: values that it has in common with
/// the one before it are computed twice, in the same way.
#[inline(always)]
fn add_vectors<S: Simd, const WHOLE: usize>(simd: S, sum: &mut [f32], terms: &[Term], from: &[f32]) {
    let last = sum.len() - S::F32_LANES;
    let Some(&(mut vectors)) = S::as_simd_f32s(sum).0.first_chunk::<WHOLE>() else { return };
    let mut end = S::as_simd_f32s(&sum[last..]).0[0];
    for term in terms {
        let factor = simd.splat_f32s(term.factor);
        let run = &from[term.offset as usize..][..sum.len()];
        for (vector, &value) in vectors.iter_mut().zip(S::as_simd_f32s(&run[..WHOLE * S::F32_LANES]).0) {
            *vector = simd.mul_add_e_f32s(factor, value, *vector);
        }
        end = simd.mul_add_e_f32s(factor, S::as_simd_f32s(&run[last..]).0[0], end);
    }
    if let Some(whole) = S::as_mut_simd_f32s(sum).0.first_chunk_mut() {
        *whole = vectors;
    }
    S::as_mut_simd_f32s(&mut sum[last..]).0[0] = end;
}

/// Adds the gradient of the kernels where these have nine weights only: too short for [`add_runs`], so that here the
/// vectors lie across the filters.
#[inline(always)]
fn one_channel_weights<S: Simd>(simd: S, sizes: &Sizes, image: &[f32], grad: &[f32], winners: &[u8], dw: &mut [f32]) {
    const TAPS: usize = KERNEL * KERNEL;
    let filters = sizes.filters;
    let mut sums = vec![[simd.splat_f32s(0.0); TAPS]; filters.div_ceil(S::F32_LANES)];
    // Winners as wide as the gradients, which are compared with them.
    let mut wide = vec![0.0; sizes.pooled_row_len()];
    let rows = grad.chunks_exact(sizes.pooled_row_len()).zip(winners.chunks_exact(sizes.pooled_row_len()));
    for (row, (grad, winners)) in rows.enumerate() {
        for (wide, &winner) in wide.iter_mut().zip(winners) {
            *wide = f32::from(winner);
        }
        for (group, sums) in sums.iter_mut().enumerate() {
            let first = group * S::F32_LANES;
            let group = first..filters.min(first + S::F32_LANES);
            let mut taps = *sums;
            for (column, (grad, wide)) in grad.chunks_exact(filters).zip(wide.chunks_exact(filters)).enumerate() {
                let corner = sizes.corner(row, column);
                let pixels: [&[f32]; KERNEL + 1] =
                    std::array::from_fn(|row| &image[corner + row * sizes.width..][..KERNEL + 1]);
                let (grad, winner) = (vector(simd, &grad[group.clone()]), vector(simd, &wide[group.clone()]));
                for candidate in 0..CANDIDATES {
                    let won = simd.equal_f32s(winner, simd.splat_f32s(candidate as f32));
                    let factor = simd.select_f32s(won, grad, simd.splat_f32s(0.0));
                    for (tap, sum) in taps.iter_mut().enumerate() {
                        let value = pixels[candidate / 2 + tap / KERNEL][candidate % 2 + tap % KERNEL];
                        *sum = simd.mul_add_e_f32s(factor, simd.splat_f32s(value), *sum);
                    }
                }
            }
            *sums = taps;
        }
    }
    for (group, sums) in sums.iter().enumerate() {
        for (tap, sum) in sums.iter().enumerate() {
            let kernels = dw[group * S::F32_LANES * TAPS..].chunks_exact_mut(TAPS);
            for (kernel, &value) in kernels.zip(pulp::bytemuck::cast_slice::<S::f32s, f32>(&[*sum])) {
                kernel[tap] += value;
            }
        }
    }
}

/// A vector of these values, followed by zeros where they are fewer.
#[inline(always)]
fn vector<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values).0 {
        [vector] => *vector,
        _ => simd.partial_load_f32s(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a processor without wide vectors does; on whole numbers, of which all sums are exact.
    #[test]
    fn single_values_come_to_the_same_as_vectors() {
        for channels in [1, 3] {
            let sizes = Sizes { images: 1, height: 9, width: 11, channels, filters: 5 };
            let values = |count: usize, step: usize| -> Vec<f32> {
                (0..count).map(|i| (i * step % 101 % 9) as f32 - 4.0).collect()
            };
            let (x, weight) = (values(sizes.image_len(), 37), values(5 * KERNEL * sizes.run_len(), 53));
            let grad = values(sizes.pooled_len(), 29);
            let winners: Vec<u8> = (0..sizes.pooled_len()).map(|i| (i * 7 % 5) as u8).collect();
            let (dx, dw, db) = backward(&sizes, &x, &weight, &grad, &winners, true);
            let (mut one_dx, mut one_dw, mut one_db) = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; 5]);
            Portion {
                sizes: &sizes,
                x: &x,
                weight: &weight,
                grad: &grad,
                winners: &winners,
                dx: Some(&mut one_dx),
                dw: &mut one_dw,
                db: &mut one_db,
            }
            .with_simd(pulp::Scalar::new());
            assert_eq!((Some(one_dx), one_dw, one_db), (dx, dw, db));
        }
    }
}
