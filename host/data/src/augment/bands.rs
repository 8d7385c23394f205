//! Frequency bands of an image: what is fine in it and what is coarse, each made stronger or weaker.
//!
//! X-ray machines sharpen and soften in their own ways, so a network must not live on sharpness. The bands are those of the
//! undecimated wavelet transform with the cubic B-spline (J.-L. Starck, J. Fadili, F. Murtagh, IEEE Trans. Image Process. 16
//! (2007) 297): smoothing by `(1 4 6 4 1) / 16` with steps of 1, 2, 4, 8 and 16 pixels, one after the other, is like bells with
//! standard deviations of 1, 2.2, 4.6, 9.2 and 18.5 pixels; a band is what one of them takes away. All bands and the last
//! smoothed image add up to the image.

/// Number of bands.
pub(crate) const COUNT: usize = 5;

/// Multiplies the bands of a square image by `gains`, the finest first; values are cut off at 0 and 255. Beyond the edge its
/// pixels continue.
pub(super) fn scale(values: &mut [f32], side: usize, gains: [f32; COUNT]) {
    let mut smooth = values.to_vec();
    let (mut across, mut smoother) = (vec![0.0; values.len()], vec![0.0; values.len()]);
    for (level, gain) in gains.into_iter().enumerate() {
        smooth_into(1 << level, &smooth, side, &mut across, &mut smoother);
        for ((value, finer), coarser) in values.iter_mut().zip(&smooth).zip(&smoother) {
            *value += (gain - 1.0) * (finer - coarser);
        }
        std::mem::swap(&mut smooth, &mut smoother);
    }
    values.iter_mut().for_each(|value| *value = value.clamp(0.0, 255.0));
}

/// A square image after one smoothing with this step between the weights.
pub(crate) fn smoothed(step: usize, values: &[f32], side: usize) -> Vec<f32> {
    let (mut across, mut smoothed) = (vec![0.0; values.len()], vec![0.0; values.len()]);
    smooth_into(step, values, side, &mut across, &mut smoothed);
    smoothed
}

/// One smoothing with this step between the weights.
fn smooth_into(step: usize, values: &[f32], side: usize, across: &mut [f32], smoothed: &mut [f32]) {
    let mut padded = vec![0.0; side + 4 * step];
    for (line, out) in values.chunks_exact(side).zip(across.chunks_exact_mut(side)) {
        padded[..2 * step].fill(line[0]);
        padded[2 * step..][..side].copy_from_slice(line);
        padded[2 * step + side..].fill(line[side - 1]);
        let taps = [0, 1, 2, 3, 4].map(|tap| &padded[tap * step..][..side]);
        weigh(taps, out);
    }
    for (row, out) in smoothed.chunks_exact_mut(side).enumerate() {
        let taps = [0, 1, 2, 3, 4].map(|tap| {
            let at = (row + tap * step).saturating_sub(2 * step).min(side - 1);
            &across[at * side..][..side]
        });
        weigh(taps, out);
    }
}

/// `(1 4 6 4 1) / 16` of five lines.
fn weigh(taps: [&[f32]; 5], out: &mut [f32]) {
    let [a, b, c, d, e] = taps.map(|tap| &tap[..out.len()]);
    for (i, out) in out.iter_mut().enumerate() {
        *out = ((a[i] + e[i]) + 4.0 * (b[i] + d[i]) + 6.0 * c[i]) / 16.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 64;

    /// A wave along x with this many pixels a period, about 128.
    fn wave(period: f32) -> Vec<f32> {
        let value = |i: usize| 128.0 + 40.0 * (std::f32::consts::TAU * (i % SIDE) as f32 / period).sin();
        (0..SIDE * SIDE).map(value).collect()
    }

    /// Height of the wave in the middle half.
    fn height(values: &[f32]) -> f32 {
        let middle = &values[SIDE * SIDE / 2..][SIDE / 4..3 * SIDE / 4];
        middle.iter().fold(0.0, |most, value| most.max((value - 128.0).abs()))
    }

    #[test]
    fn equal_gains_of_one_change_nothing() {
        let before = wave(9.0);
        let mut after = before.clone();
        scale(&mut after, SIDE, [1.0; COUNT]);
        assert_eq!(after, before);
    }

    #[test]
    fn an_even_image_stays_even() {
        let mut values = vec![77.0; SIDE * SIDE];
        scale(&mut values, SIDE, [0.3, 3.0, 2.0, 0.5, 1.5]);
        assert!(values.iter().all(|value| (value - 77.0).abs() < 1e-3));
    }

    #[test]
    fn gains_reach_the_waves_of_their_own_band() {
        for (period, band, other) in [(2.5, 0, 3), (20.0, 3, 0)] {
            let [own, foreign] = [band, other].map(|changed| {
                let mut gains = [1.0; COUNT];
                gains[changed] = 2.0;
                let mut values = wave(period);
                scale(&mut values, SIDE, gains);
                height(&values) / height(&wave(period))
            });
            assert!(own > 1.3, "period {period}: {own}");
            assert!((foreign - 1.0).abs() < 0.15, "period {period}: {foreign}");
        }
    }

    #[test]
    fn values_are_cut_off() {
        let mut values = wave(4.0);
        scale(&mut values, SIDE, [10.0; COUNT]);
        assert!(values.iter().all(|value| (0.0..=255.0).contains(value)));
        assert!(values.contains(&0.0) && values.contains(&255.0));
    }
}
