//! What a machine leaves on its radiographs.

use super::letter::Letter;
use crate::augment::bands::{COUNT as BANDS, smoothed};

/// Side of the picture that traces are measured on, in pixels.
pub(super) const SIDE: usize = 224;

/// Rows and columns that bands are measured in: the chest, without frames and letters.
const INNER: std::ops::Range<usize> = 40..184;

/// Columns at either side that are the edge.
const EDGE: usize = 8;

/// What a machine left on a radiograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// The letter that marks a side, if one is found.
    pub letter: Option<Letter>,
    /// Logarithms of the standard deviations of the image's frequency bands (`augment/bands.rs`), the finest first, and of
    /// what is coarser than all of them. Grey values.
    pub bands: [f64; BANDS + 1],
    /// Median grey value of the left and right edge.
    pub edge: f64,
    /// Share of the pixels that are black: 8 at most of 255.
    pub black: f64,
    /// The 99th percentile of the grey values.
    pub brightest: f64,
}

impl Traces {
    /// Of a radiograph of `SIDE` × `SIDE` pixels.
    pub(super) fn of(pixels: &[u8]) -> Self {
        let mut edge: Vec<u8> =
            pixels.chunks_exact(SIDE).flat_map(|row| row[..EDGE].iter().chain(&row[SIDE - EDGE..])).copied().collect();
        edge.sort_unstable();
        let mut sorted = pixels.to_vec();
        sorted.sort_unstable();
        Self {
            letter: Letter::find(pixels),
            bands: bands(pixels),
            edge: f64::from(edge[edge.len() / 2]),
            black: pixels.iter().filter(|&&pixel| pixel <= 8).count() as f64 / pixels.len() as f64,
            brightest: f64::from(sorted[sorted.len() * 99 / 100]),
        }
    }

    /// How strongly fine detail stands out beside coarse: the logarithm of the ratio of the second band to the coarsest.
    pub fn sharpness(&self) -> f64 {
        self.bands[1] - self.bands[BANDS]
    }
}

fn bands(pixels: &[u8]) -> [f64; BANDS + 1] {
    let mut rest: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel)).collect();
    let mut deviations = [0.0; BANDS + 1];
    for (band, deviation) in deviations[..BANDS].iter_mut().enumerate() {
        let smooth = smoothed(1 << band, &rest, SIDE);
        *deviation = log_deviation(rest.iter().zip(&smooth).map(|(fine, coarse)| fine - coarse));
        rest = smooth;
    }
    deviations[BANDS] = log_deviation(rest.iter().copied());
    deviations
}

/// Of the inner part; a little is added, so that there is always one.
fn log_deviation(values: impl Iterator<Item = f32>) -> f64 {
    let inner = values
        .enumerate()
        .filter(|(i, _)| INNER.contains(&(i % SIDE)) && INNER.contains(&(i / SIDE)))
        .map(|(_, value)| f64::from(value));
    let (mut sum, mut squares) = (0.0, 0.0);
    for value in inner {
        sum += value;
        squares += value * value;
    }
    let count = (INNER.len() * INNER.len()) as f64;
    ((squares / count - (sum / count).powi(2)).max(0.0).sqrt() + 0.05).ln()
}

/// A vector for each radiograph, in which distances say how unlike the machines are. Each feature has mean 0 and a deviation
/// of its weight over the radiographs that have it, and is 0 on the others.
pub(super) fn features(traces: &[Traces]) -> Vec<Vec<f64>> {
    type Feature = fn(&Traces) -> Option<f64>;
    let weighted: [(f64, Feature); 11] = [
        (1.5, |t| Some((t.letter?.height as f64).ln())),
        (1.0, |t| t.letter.map(|letter| (letter.width as f64 / letter.height as f64).ln())),
        (1.0, |t| Some(f64::from(t.letter?.ink))),
        (1.0, |t| Some(f64::from(t.letter?.ground))),
        (1.0, |t| Some(f64::from(u8::from(t.letter.is_some())))),
        (1.5, |t| Some(t.sharpness())),
        (1.0, |t| Some(t.bands[3] - t.bands[BANDS])),
        (1.0, |t| Some(t.bands[0] - t.bands[2])),
        (1.0, |t| Some(t.edge.ln_1p())),
        (1.0, |t| Some(t.black.sqrt())),
        (0.5, |t| Some(t.brightest)),
    ];
    let mut vectors = vec![Vec::with_capacity(weighted.len()); traces.len()];
    for (weight, feature) in weighted {
        let values: Vec<Option<f64>> = traces.iter().map(feature).collect();
        let count = values.iter().flatten().count().max(1) as f64;
        let mean = values.iter().flatten().sum::<f64>() / count;
        let deviation = (values.iter().flatten().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let scale = if deviation > 1e-9 { weight / deviation } else { 0.0 };
        for (vector, value) in vectors.iter_mut().zip(values) {
            vector.push(value.map_or(0.0, |value| (value - mean) * scale));
        }
    }
    vectors
}
