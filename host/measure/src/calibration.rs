//! Calibrated probabilities, the thresholds to decide by, and the levels from which places are outlined: all are
//! fitted on validation radiographs.

use data::{Catalogue, Inputs};
use engine::{Model, ModelError};
use rayon::prelude::*;
use shared::{
    evidence::Outlines,
    verdict::{OperatingPoint, OperatingPoints},
};

use crate::{
    logistic::{Line, Observation},
    statistics::{Confusion, Scored, refer_band},
};

/// Share of the validation images outside the band of uncertainty that must be decided correctly, on either side.
pub const RIGHT_OUTSIDE_BAND: f64 = 0.99;

/// Share of the pneumonias that the screening point must find, and of the normal radiographs that the confirming point
/// must call so.
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

/// The operating points for these validation radiographs; each has its own band, outside which
/// [`RIGHT_OUTSIDE_BAND`] of them are decided correctly. `None` with one class only.
pub fn operating_points(validation: &[Scored]) -> Option<OperatingPoints> {
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
    let point = |threshold| -> OperatingPoint { refer_band(validation, threshold, RIGHT_OUTSIDE_BAND) };
    Some(OperatingPoints { screening: point(screening), balanced: point(balanced), confirming: point(confirming) })
}

/// From where on places are outlined: nine in ten normal validation radiographs shall show nothing, and half of those with
/// pneumonia nothing strong, or more if that level would be less than 1.25 times the other. `None` where the model has no
/// map, or a class is missing.
pub fn outlines(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    validation: &[usize],
) -> Result<Option<Outlines>, ModelError> {
    let highest: Vec<Option<(bool, f32)>> = validation
        .par_iter()
        .map(|&i| {
            let positive = catalogue.samples[i].label.positive();
            let local = model.examine(inputs.of(i))?.map.map(|map| map.local());
            Ok(local.map(|local| (positive, local.into_iter().fold(f32::NEG_INFINITY, f32::max))))
        })
        .collect::<Result<_, ModelError>>()?;
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
mod tests {
    use shared::verdict::Profile;

    use super::*;

    #[test]
    fn calibrated_logits_are_those_that_were_drawn() {
        // Truths as probabilities 0.02 to 0.98 want them, seen through logits that are twice as sure and 1 too high.
        let (mut logits, mut positive) = (Vec::new(), Vec::new());
        for percent in 2..=98 {
            let p = f64::from(percent) / 100.0;
            for i in 0..100 {
                logits.push((2.0 * (p / (1.0 - p)).ln() + 1.0) as f32);
                positive.push(i < percent);
            }
        }
        let Calibrator { slope, intercept } = Calibrator::fit(&logits, &positive);
        assert!((slope - 0.5).abs() < 0.01 && (intercept + 0.5).abs() < 0.01, "{slope} {intercept}");
    }

    #[test]
    fn what_cannot_be_fitted_is_left_alone() {
        assert_eq!(Calibrator::fit(&[], &[]), Calibrator::IDENTITY);
        assert_eq!(Calibrator::fit(&[1.0, 2.0], &[true, true]), Calibrator::IDENTITY);
        assert_eq!(Calibrator::fit(&[-3.0, -2.0, 2.0, 3.0], &[true, true, false, false]), Calibrator::IDENTITY);
        let apart = Calibrator::fit(&[-3.0, -2.0, 2.0, 3.0], &[false, false, true, true]);
        assert!(apart.slope > 0.0 && apart.slope < 2.0, "{apart:?}");
    }

    #[test]
    fn quantiles_are_values() {
        assert_eq!(quantile(vec![3.0, 1.0, 2.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile((1..=20).map(|v| v as f32).collect(), 0.95), Some(19.0));
        assert_eq!(quantile(vec![5.0], 0.0), Some(5.0));
        assert_eq!(quantile(vec![], 0.5), None);
    }

    #[test]
    fn points_keep_their_promises() {
        // 100 normal at 0.000 to 0.495 and at 0.7, 100 ill at 0.5 to 0.995 and at 0.3.
        let of = |positive, probability| Scored { positive, probability };
        let normal = (0..99).map(|i| of(false, i as f32 / 200.0)).chain([of(false, 0.7)]);
        let ill = (0..97).map(|i| of(true, 0.5 + i as f32 / 200.0)).chain([0.3, 0.2, 0.1].map(|p| of(true, p)));
        let scored: Vec<Scored> = normal.chain(ill).collect();
        let points = operating_points(&scored).unwrap();
        let rates = |point: OperatingPoint| {
            let counts = Confusion::at(&scored, point.threshold);
            (counts.true_positives, counts.true_negatives)
        };
        // 98 of 100 need the one at 0.3: the threshold lies just under it, over 59 or 60 normal ones.
        assert_eq!(rates(points.screening), (98, 60));
        assert_eq!(rates(points.balanced), (97, 99));
        // 98 of 100 do with less, but not below the balanced one.
        assert_eq!(rates(points.confirming), (97, 99));
        assert!(points.check().is_ok());
        let apart = (0..50).map(|i| of(i >= 25, if i >= 25 { 0.5 } else { 0.1 } + i as f32 / 200.0));
        let points = operating_points(&apart.collect::<Vec<_>>()).unwrap();
        let thresholds = Profile::ALL.map(|profile| points.of(profile).threshold);
        assert!(thresholds.is_sorted() && points.check().is_ok(), "{thresholds:?}");
        assert_eq!(operating_points(&scored[..100]), None);
        assert_eq!(operating_points(&[]), None);
    }
}
