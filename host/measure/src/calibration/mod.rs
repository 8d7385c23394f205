//! Calibrated probabilities, the thresholds to decide by, and the levels from which places are outlined: all are
//! fitted on validation radiographs.

use data::{Catalogue, Inputs};
use engine::Model;
use rayon::prelude::*;
use shared::{
    evidence::Outlines,
    verdict::{OperatingPoint, OperatingPoints},
};

use crate::{
    MeasureError,
    logistic::{Line, Observation},
    statistics::{Confusion, Judged, Scored, refer_band},
};

/// Share of the validation images outside the band of uncertainty that must be decided correctly, on either side.
pub const RIGHT_OUTSIDE_BAND: f64 = 0.99;

/// Share of the pneumonias that may be called normal by the screening point.
pub const MISSED: f64 = 0.002;

/// Share of the normal radiographs that may be called pneumonia by the confirming point.
pub const FALSE_ALARMS: f64 = 0.01;

/// Share of the pneumonias that are found at the screening threshold, where a yes-or-no answer is asked for, and of the
/// normal radiographs that are called so at the confirming one.
pub const WANTED: f64 = 0.98;

/// Share of the normal radiographs on which nothing is outlined.
const PLAIN: f64 = 0.9;

/// Share of the radiographs with pneumonia on which nothing is outlined strongly.
const WEAK: f64 = 0.5;

/// Least ratio of the level of strong outlines to that of any.
const APART: f32 = 1.25;

/// What makes log-odds of a network agree with how often it is right: `slope · logit + intercept` (J. Platt, Advances in
/// Large Margin Classifiers, 1999). The slope is one over the temperature of C. Guo et al., ICML 2017; the intercept
/// answers for training that counts the classes differently from how they occur.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrator {
    /// Factor of the logit, above 0.
    pub slope: f64,
    /// Added to the product.
    pub intercept: f64,
}

impl Calibrator {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { slope: 1.0, intercept: 0.0 };

    /// The maximum of the likelihood, with Platt's targets, which keep the slope finite where a threshold parts the
    /// classes; [`Calibrator::IDENTITY`] if there is nothing to fit: one class alone, or logits that do not rise with the
    /// truth.
    pub fn fit(logits: &[f32], positive: &[bool]) -> Self {
        let positives = positive.iter().filter(|&&p| p).count() as f64;
        let negatives = positive.len() as f64 - positives;
        if positives == 0.0 || negatives == 0.0 {
            return Self::IDENTITY;
        }
        let target = |positive| if positive { (positives + 1.0) / (positives + 2.0) } else { 1.0 / (negatives + 2.0) };
        let one = |(&logit, &positive): (&f32, &bool)| Observation::of(f64::from(logit), target(positive), 1.0);
        let observations: Vec<_> = logits.iter().zip(positive).map(one).collect();
        let Line { slope, intercept } = Line::fit(&observations, (positives / negatives).ln());
        if slope > 0.0 { Self { slope, intercept } } else { Self::IDENTITY }
    }
}

/// The operating points for the radiographs of these sites, as the box decides: what it refuses is in no band. `None` with
/// one class only.
///
/// The band of the balanced point is the smallest outside which [`RIGHT_OUTSIDE_BAND`] of them are decided correctly on
/// either side, of all together and of each site by itself: what is true of a large hospital alone is not true of the next
/// one. That of the screening point goes as much lower as it takes for at most [`MISSED`] of the pneumonias to be
/// called normal, that of the confirming point as much higher as it takes for at most [`FALSE_ALARMS`] of the normal
/// radiographs to be called pneumonia. Both shares are counted and also computed as the sum of what the calibrated
/// probabilities expect, and the larger one must keep the promise: among hundreds of radiographs there are so few such
/// errors that counting alone would trust a gap between two of them.
pub fn operating_points(sites: &[Vec<Judged>]) -> Option<OperatingPoints> {
    let all: Vec<Scored> = sites.iter().flatten().map(|one| one.scored).collect();
    let [screening, balanced, confirming] = profile_thresholds(&all)?;
    let answered_at: Vec<Vec<Scored>> = sites.iter().map(|site| answered(site)).collect();
    let band = refer_band(&answered_at, balanced, RIGHT_OUTSIDE_BAND);
    let answered = answered_at.concat();
    let of = |positive| all.iter().filter(|one| one.positive == positive).count() as f64;
    let point = |threshold: f32, refer_from, refer_to| OperatingPoint {
        threshold: threshold.clamp(refer_from, refer_to),
        refer_from,
        refer_to,
    };
    Some(OperatingPoints {
        screening: point(screening, band.refer_from.min(lower_end(&answered, MISSED * of(true))), band.refer_to),
        balanced: band,
        confirming: point(
            confirming,
            band.refer_from,
            band.refer_to.max(upper_end(&answered, FALSE_ALARMS * of(false))),
        ),
    })
}

/// What the box does not refuse.
pub fn answered(judged: &[Judged]) -> Vec<Scored> {
    judged.iter().filter(|one| !one.refused).map(|one| one.scored).collect()
}

/// The highest lower end of a band below which there are at most so many pneumonias, counted and expected.
fn lower_end(answered: &[Scored], most: f64) -> f32 {
    let wrong = |one: &Scored| (f64::from(u8::from(one.positive)), f64::from(one.probability));
    first_beyond(answered.iter().map(|one| (one.probability, wrong(one))), most).unwrap_or(1.0)
}

/// The lowest upper end of a band from which on there are at most so many normal radiographs, counted and expected.
fn upper_end(answered: &[Scored], most: f64) -> f32 {
    let wrong = |one: &Scored| (f64::from(u8::from(!one.positive)), 1.0 - f64::from(one.probability));
    first_beyond(answered.iter().map(|one| (-one.probability, wrong(one))), most)
        .map_or(0.0, |end| (-end).next_up().min(1.0))
}

/// Of places with what is added there to each of two sums, the first from the lowest on with which one of the sums exceeds
/// `most`. What is at the same place is added at once.
fn first_beyond(places: impl Iterator<Item = (f32, (f64, f64))>, most: f64) -> Option<f32> {
    let mut places: Vec<_> = places.collect();
    places.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut counted, mut expected) = (0.0, 0.0);
    let beyond = places.chunk_by(|a, b| a.0 == b.0).find(|same| {
        counted += same.iter().map(|(_, wrong)| wrong.0).sum::<f64>();
        expected += same.iter().map(|(_, wrong)| wrong.1).sum::<f64>();
        counted > most || expected > most
    });
    beyond.map(|same| same[0].0)
}

/// The thresholds of the profiles, where a yes-or-no answer is asked for of every radiograph: at a sensitivity of
/// [`WANTED`], where the smaller of sensitivity and specificity is greatest, and at a specificity of [`WANTED`].
fn profile_thresholds(validation: &[Scored]) -> Option<[f32; 3]> {
    let candidates = thresholds(validation);
    let rates: Vec<(f32, f64, f64)> = candidates
        .into_iter()
        .map(|threshold| {
            let counts = Confusion::at(validation, threshold);
            let share = |part: usize, of: usize| part as f64 / of as f64;
            let sensitivity = share(counts.true_positives, counts.positives());
            (threshold, sensitivity, share(counts.true_negatives, counts.negatives()))
        })
        .collect();
    let lesser = |(_, sensitivity, specificity): &&(f32, f64, f64)| sensitivity.min(*specificity);
    let balanced = rates.iter().max_by(|a, b| lesser(a).total_cmp(&lesser(b)))?.0;
    // Where one threshold does for both, they do not change places.
    let screening = rates.iter().rev().find(|(_, sensitivity, _)| *sensitivity >= WANTED)?.0.min(balanced);
    let confirming = rates.iter().find(|(_, _, specificity)| *specificity >= WANTED)?.0.max(balanced);
    Some([screening, balanced, confirming])
}

/// From where on places are outlined: nine in ten normal validation radiographs shall show nothing, and half of those with
/// pneumonia nothing strong, or more if that level would be less than 1.25 times the other. `None` where the model has no
/// map, or a class is missing.
pub fn outlines(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    validation: &[usize],
) -> Result<Option<Outlines>, MeasureError> {
    let highest: Vec<Option<(bool, f32)>> = validation
        .par_iter()
        .map(|&i| {
            let positive = catalogue.samples[i].label.positive();
            let local = model.examine(&inputs.of(i)?)?.map.map(|map| map.local());
            Ok(local.map(|local| (positive, local.into_iter().fold(f32::NEG_INFINITY, f32::max))))
        })
        .collect::<Result<_, MeasureError>>()?;
    let of = |positive: bool| highest.iter().flatten().filter(|(p, _)| *p == positive).map(|(_, h)| *h).collect();
    Ok(quantile(of(false), PLAIN).zip(quantile(of(true), WEAK)).and_then(|(shown, strong)| {
        let shown = shown.max(f32::MIN_POSITIVE);
        let outlines = Outlines { shown, strong: strong.max(APART * shown) };
        outlines.check().is_ok().then_some(outlines)
    }))
}

/// The smallest value that at least this share of the values does not exceed.
fn quantile(mut values: Vec<f32>, share: f64) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// Thresholds, ascending, of which each parts the radiographs differently: half-way between neighbouring probabilities, so
/// that none lies on a value that the network can take.
fn thresholds(scored: &[Scored]) -> Vec<f32> {
    let mut values: Vec<f32> = scored.iter().map(|s| s.probability).collect();
    values.sort_unstable_by(f32::total_cmp);
    values.dedup();
    let between = values.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
    std::iter::once(0.0).chain(between).chain([1.0]).collect()
}

#[cfg(test)]
mod tests;
