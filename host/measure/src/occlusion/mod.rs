//! Whether an evidence map shows where an answer comes from: covers the hottest place of a radiograph, and a random one
//! of the same size, and compares the answers.
//!
//! Where the map is right, covering the hottest place takes more of the evidence away. The place is a square with twice the
//! step of the map's cells as its side, at most a quarter of the input's; it is filled with the mean of the input. The
//! random one lies anywhere in the input without touching the first. The idea of covering is Zeiler and Fergus', ECCV 2014.

use data::{InputError, Inputs};
use engine::{ActivationMap, Model, ModelError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::statistics::{Proportion, Z};

/// Why nothing is measured.
#[derive(Debug, thiserror::Error)]
pub enum OcclusionError {
    /// the model has no activation map
    #[error(
        "the model has no activation map: use one that ends in global average pooling and one dense layer, such as those \
         of the architecture `averaged`"
    )]
    NoMap,
    /// the model cannot be run
    #[error(transparent)]
    Model(#[from] ModelError),
    /// a radiograph cannot be read any more
    #[error(transparent)]
    Input(#[from] InputError),
}

/// What covering places has done to the answers, over the radiographs that the model calls pneumonia.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Occlusion {
    /// Number of radiographs that are called pneumonia at the model's threshold.
    pub images: usize,
    /// Side of the covered square in pixels of the model's input; 0 without radiographs.
    pub side: usize,
    /// By how much the probability of pneumonia falls; `None` without radiographs.
    pub probability: Option<Falls>,
    /// By how much its log-odds fall; `None` without radiographs.
    pub log_odds: Option<Falls>,
    /// Share of radiographs whose log-odds fall more when the hottest place is covered.
    pub hottest_wins: Option<Proportion>,
}

/// Mean falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Falls {
    /// With the hottest place covered.
    pub hottest: Mean,
    /// With a random place covered.
    pub random: Mean,
    /// The first less the second, radiograph by radiograph.
    pub difference: Mean,
}

/// A mean with its 95 % interval: 1.96 standard errors to either side, as if each radiograph were another patient's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Mean {
    /// `None` without values; of one value, an interval without width.
    fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let value = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
        let half = Z * (squares / (count - 1.0).max(1.0) / count).sqrt();
        (!values.is_empty()).then_some(Self { value, low: value - half, high: value + half })
    }
}

impl Falls {
    /// From pairs of falls: hottest place, random one.
    fn of(pairs: &[[f64; 2]]) -> Option<Self> {
        let mean = |value: fn(&[f64; 2]) -> f64| Mean::of(&pairs.iter().map(value).collect::<Vec<_>>());
        let difference = mean(|[hottest, random]| hottest - random)?;
        Some(Self { hottest: mean(|pair| pair[0])?, random: mean(|pair| pair[1])?, difference })
    }
}

/// Measures on the radiographs named that are called pneumonia. Equal seeds draw equal places.
pub fn measure(model: &Model, inputs: &Inputs, indices: &[usize], seed: u64) -> Result<Occlusion, OcclusionError> {
    let trials = indices
        .par_iter()
        .map(|&index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            try_out(model, &inputs.of(index)?, &mut rng)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(summary(&trials.into_iter().flatten().collect::<Vec<_>>()))
}

/// The outcome for a radiograph: falls with the hottest place covered, and with a random one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trial {
    side: usize,
    probability: [f64; 2],
    log_odds: [f64; 2],
}

fn summary(trials: &[Trial]) -> Occlusion {
    let falls = |pair: fn(&Trial) -> [f64; 2]| Falls::of(&trials.iter().map(pair).collect::<Vec<_>>());
    let wins = trials.iter().filter(|trial| trial.log_odds[0] > trial.log_odds[1]).count();
    Occlusion {
        images: trials.len(),
        side: trials.first().map_or(0, |trial| trial.side),
        probability: falls(|trial| trial.probability),
        log_odds: falls(|trial| trial.log_odds),
        hottest_wins: Proportion::of(wins, trials.len()),
    }
}

/// `None` if the radiograph is not called pneumonia.
fn try_out(model: &Model, pixels: &[u8], rng: &mut ChaCha8Rng) -> Result<Option<Trial>, OcclusionError> {
    let examination = model.examine(pixels)?;
    let map = examination.map.ok_or(OcclusionError::NoMap)?;
    if !model.card().behaviour.point.positive(examination.score.probability) {
        return Ok(None);
    }
    let input = usize::from(model.card().behaviour.contract.side);
    let (side, hottest) = hottest(&map, input);
    let random = apart(hottest, side, input, rng);
    let [hottest, random] = [hottest, random].map(|corner| model.classify(&covered(pixels, corner, side, input)));
    let (hottest, random) = (hottest?, random?);
    let fall = |before: f32, after: [f32; 2]| after.map(|after| f64::from(before) - f64::from(after));
    Ok(Some(Trial {
        side,
        probability: fall(examination.score.probability, [hottest.probability, random.probability]),
        log_odds: fall(examination.score.logit, [hottest.logit, random.logit]),
    }))
}

/// Side and upper left corner (row, column) of the square around the hottest cell, moved into the input.
fn hottest(map: &ActivationMap, input: usize) -> (usize, [usize; 2]) {
    let step = map.grid.step[0].max(map.grid.step[1]);
    let side = ((2.0 * step).round() as usize).clamp(1, (input / 4).max(1));
    let ranked = map.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let cell = ranked.map_or(0, |(cell, _)| cell);
    let centre = map.grid.centre(cell / map.columns, cell % map.columns);
    let corner = centre.map(|at| ((at - side as f32 / 2.0).round().max(0.0) as usize).min(input - side));
    (side, corner)
}

/// The corner of a random square that does not overlap another one.
fn apart(other: [usize; 2], side: usize, input: usize, rng: &mut ChaCha8Rng) -> [usize; 2] {
    // The square's side is at most a quarter of the input's, so more than half of the places are free.
    loop {
        let corner = [(); 2].map(|()| rng.random_range(0..=input - side));
        if (0..2).any(|axis| corner[axis].abs_diff(other[axis]) >= side) {
            return corner;
        }
    }
}

/// The input with a square of its mean.
fn covered(pixels: &[u8], [top, left]: [usize; 2], side: usize, input: usize) -> Vec<u8> {
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(pixel)).sum();
    let count = pixels.len() as u64;
    let mean = ((sum + count / 2) / count.max(1)) as u8;
    let mut pixels = pixels.to_vec();
    for line in pixels.chunks_exact_mut(input).skip(top).take(side) {
        line[left..left + side].fill(mean);
    }
    pixels
}

#[cfg(test)]
mod tests;
