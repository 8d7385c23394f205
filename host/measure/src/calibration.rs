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

/// The operating points for these radiographs, as the box decides: what it refuses is in no band. `None` with one class
/// only.
///
/// The band of the balanced point is the smallest outside which [`RIGHT_OUTSIDE_BAND`] of them are decided correctly on
/// either side. That of the screening point goes as much lower as it takes for at most [`MISSED`] of the pneumonias to be
/// called normal, that of the confirming point as much higher as it takes for at most [`FALSE_ALARMS`] of the normal
/// radiographs to be called pneumonia. Both shares are counted and also computed as the sum of what the calibrated
/// probabilities expect, and the larger one must keep the promise: among hundreds of radiographs there are so few such
/// errors that counting alone would trust a gap between two of them.
pub fn operating_points(judged: &[Judged]) -> Option<OperatingPoints> {
    let all: Vec<Scored> = judged.iter().map(|one| one.scored).collect();
    let [screening, balanced, confirming] = profile_thresholds(&all)?;
    let answered = answered(judged);
    let band = refer_band(&answered, balanced, RIGHT_OUTSIDE_BAND);
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
    use proptest::prelude::*;
    use shared::{rates::Outcomes, verdict::Profile};

    use super::*;
    use crate::statistics::rates;

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

    fn judged(positive: bool, probability: f32) -> Judged {
        Judged { scored: Scored { positive, probability }, refused: false }
    }

    /// As many radiographs as are said, with the probabilities in hundredths that they are to have, of which as many have
    /// pneumonia as the probability says.
    fn calibrated(images: usize, hundredths: impl Iterator<Item = usize>) -> Vec<Judged> {
        hundredths
            .flat_map(|percent| (0..images).map(move |i| judged(i * 100 < percent * images, percent as f32 / 100.0)))
            .collect()
    }

    #[test]
    fn thresholds_are_where_the_profiles_want_them() {
        // 100 normal at 0.000 to 0.495 and at 0.7, 100 ill at 0.5 to 0.995 and at 0.3.
        let of = |positive, probability| Scored { positive, probability };
        let normal = (0..99).map(|i| of(false, i as f32 / 200.0)).chain([of(false, 0.7)]);
        let ill = (0..97).map(|i| of(true, 0.5 + i as f32 / 200.0)).chain([0.3, 0.2, 0.1].map(|p| of(true, p)));
        let scored: Vec<Scored> = normal.chain(ill).collect();
        let rates = profile_thresholds(&scored).unwrap().map(|threshold| {
            let counts = Confusion::at(&scored, threshold);
            (counts.true_positives, counts.true_negatives)
        });
        // 98 of 100 need the one at 0.3: the threshold lies just under it, over 59 or 60 normal ones. At a specificity of 98
        // of 100 less would do, but not below the balanced one.
        assert_eq!(rates, [(98, 60), (97, 99), (97, 99)]);
        assert_eq!(profile_thresholds(&scored[..100]), None);
        assert_eq!(operating_points(&[]), None);
    }

    #[test]
    fn each_profile_has_a_band_of_its_own_and_keeps_its_promise() {
        // As sure as a good network: most radiographs near 0 and near 1, some of each probability in between.
        let mut all = calibrated(200, [1, 2, 98, 99].into_iter());
        all.extend(calibrated(100, 3..98).into_iter().step_by(10));
        all.extend((0..2000).flat_map(|_| [judged(false, 0.000_5), judged(true, 0.999_5)]));
        let points = operating_points(&all).unwrap();
        let OperatingPoints { screening, balanced, confirming } = points;
        assert_eq!(points.check(), Ok(()));
        assert!(screening.refer_from < balanced.refer_from && screening.refer_to == balanced.refer_to, "{points:?}");
        assert!(confirming.refer_to > balanced.refer_to && confirming.refer_from == balanced.refer_from, "{points:?}");
        let [careful, plain, sure] = Profile::ALL.map(|profile| rates(&all, &points.of(profile)));
        let most = |share: f64, of: Outcomes| (share * of.total() as f64) as u32;
        assert!(careful.of_pneumonia.normal <= most(MISSED, careful.of_pneumonia), "{careful:?}");
        assert!(sure.of_normal.pneumonia <= most(FALSE_ALARMS, sure.of_normal), "{sure:?}");
        // They change verdicts, to refer alone.
        assert!(
            plain.of_pneumonia.normal > careful.of_pneumonia.normal
                && plain.of_normal.normal > careful.of_normal.normal
        );
        assert!(plain.of_normal.pneumonia > sure.of_normal.pneumonia);
        assert_eq!(careful.of_pneumonia.pneumonia, plain.of_pneumonia.pneumonia);
        assert_eq!(sure.of_normal.normal, plain.of_normal.normal);
    }

    #[test]
    fn a_gap_without_errors_is_not_trusted_beyond_what_probabilities_expect() {
        // No pneumonia below 0.5: by counting alone everything below would be normal.
        let normal = (0..100).map(|i| judged(false, i as f32 / 250.0));
        let all: Vec<Judged> = normal.chain((0..100).map(|i| judged(true, 0.6 + i as f32 / 250.0))).collect();
        let points = operating_points(&all).unwrap();
        assert_eq!(points.balanced.refer_from, points.balanced.threshold);
        // 0.2 % of 100 are expected among those below 0.04: 0 + 0.004 + … + 0.036 = 0.18.
        assert_eq!(points.screening.refer_from, 0.04);
        // 1 % of 100 are expected among those above 0.912: 0.004 + … + 0.084 = 0.92.
        assert!((points.confirming.refer_to - 0.912).abs() < 1e-5, "{points:?}");
    }

    #[test]
    fn what_the_box_refuses_is_in_no_band() {
        let mut all: Vec<Judged> = (0..200).map(|i| judged(i >= 100, if i < 100 { 0.001 } else { 0.999 })).collect();
        let clean = operating_points(&all).unwrap();
        for positive in [true, false] {
            all.push(Judged { refused: true, ..judged(positive, if positive { 0.000_5 } else { 0.999_9 }) });
        }
        let points = operating_points(&all).unwrap();
        assert_eq!(points.screening.refer_from, clean.screening.refer_from);
        assert_eq!(points.confirming.refer_to, clean.confirming.refer_to);
    }

    proptest! {
        #[test]
        fn points_are_in_order_and_keep_their_promises(
            list in proptest::collection::vec((any::<bool>(), 0_u8..=100, 0_u8..10), 2..200),
        ) {
            let all: Vec<Judged> = list
                .into_iter()
                .map(|(positive, percent, refused)| Judged {
                    refused: refused == 0,
                    ..judged(positive, f32::from(percent) / 100.0)
                })
                .collect();
            let Some(points) = operating_points(&all) else { return Ok(()) };
            prop_assert_eq!(points.check(), Ok(()));
            let missed = rates(&all, &points.screening).of_pneumonia;
            prop_assert!(f64::from(missed.normal) <= MISSED * missed.total() as f64, "{:?}", missed);
            let alarms = rates(&all, &points.confirming).of_normal;
            // At exactly 1 nothing can be cut off any more.
            if points.confirming.refer_to < 1.0 {
                prop_assert!(f64::from(alarms.pneumonia) <= FALSE_ALARMS * alarms.total() as f64, "{:?}", alarms);
            }
        }
    }
}
