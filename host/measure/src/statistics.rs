//! How good a classifier is: confusion, accuracy, sensitivity, specificity, AUROC, intervals; the band of uncertainty.
//!
//! Positive means pneumonia throughout.

use serde::{Deserialize, Serialize};
use shared::verdict::OperatingPoint;

/// Standard deviations on either side of the mean of a normal distribution that hold 95 % of it.
pub const Z: f64 = 1.959_963_984_540_054;

/// The truth about one radiograph and what a model said of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// True for pneumonia.
    pub positive: bool,
    /// Probability of pneumonia, 0..=1.
    pub probability: f32,
}

/// Counts of decisions against the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Pneumonia, and called so.
    pub true_positives: usize,
    /// Normal, but called pneumonia.
    pub false_positives: usize,
    /// Normal, and called so.
    pub true_negatives: usize,
    /// Pneumonia, but called normal.
    pub false_negatives: usize,
}

impl Confusion {
    /// Counts the decisions at `threshold` (at or above: pneumonia).
    pub fn at(scored: &[Scored], threshold: f32) -> Self {
        let mut counts = Self::default();
        for s in scored {
            *match (s.positive, s.probability >= threshold) {
                (true, true) => &mut counts.true_positives,
                (false, true) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (true, false) => &mut counts.false_negatives,
            } += 1;
        }
        counts
    }

    /// The counts of two sets together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            true_positives: self.true_positives + other.true_positives,
            false_positives: self.false_positives + other.false_positives,
            true_negatives: self.true_negatives + other.true_negatives,
            false_negatives: self.false_negatives + other.false_negatives,
        }
    }

    /// Radiographs with pneumonia.
    pub fn positives(&self) -> usize {
        self.true_positives + self.false_negatives
    }

    /// Normal radiographs.
    pub fn negatives(&self) -> usize {
        self.true_negatives + self.false_positives
    }
}

/// A proportion with its 95 % interval by Wilson's score method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Successes divided by trials.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Proportion {
    /// `None` without trials.
    pub fn of(successes: usize, trials: usize) -> Option<Self> {
        Self::around(successes as f64 / trials as f64, trials)
    }

    /// Of a share that need not be a whole number of successes, such as a mean over runs; `None` without trials.
    /// Interval: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    pub fn around(share: f64, trials: usize) -> Option<Self> {
        if trials == 0 {
            return None;
        }
        let n = trials as f64;
        let centre = share + Z * Z / (2.0 * n);
        let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Some(Self { value: share, low: ((centre - half) / scale).max(0.0), high: ((centre + half) / scale).min(1.0) })
    }
}

/// The figures of a model on a set of radiographs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of radiographs.
    pub images: usize,
    /// Probability at or above which the decision is pneumonia.
    pub threshold: f32,
    /// The decisions.
    pub confusion: Confusion,
    /// Share of right decisions; `None` without images.
    pub accuracy: Option<Proportion>,
    /// Share of those with pneumonia that are found; `None` without any.
    pub sensitivity: Option<Proportion>,
    /// Share of the normal ones that are called so; `None` without any.
    pub specificity: Option<Proportion>,
    /// Area under the receiver operating characteristic; `None` with one class only.
    pub auroc: Option<f64>,
}

impl Figures {
    /// Computes the figures at `threshold`.
    pub fn of(scored: &[Scored], threshold: f32) -> Self {
        let confusion = Confusion::at(scored, threshold);
        let right = confusion.true_positives + confusion.true_negatives;
        Self {
            images: scored.len(),
            threshold,
            confusion,
            accuracy: Proportion::of(right, scored.len()),
            sensitivity: Proportion::of(confusion.true_positives, confusion.positives()),
            specificity: Proportion::of(confusion.true_negatives, confusion.negatives()),
            auroc: auroc(scored),
        }
    }
}

/// How far probabilities can be taken at their word.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean squared difference of probability and truth (Brier, Mon. Weather Rev. 78 (1950) 1); 0.25 for always one half.
    pub brier: f64,
    /// Mean difference of probability and share of pneumonia over ten bins of equal width, each weighted by its
    /// radiographs (Naeini et al., AAAI 2015).
    pub expected_error: f64,
}

impl Calibration {
    /// Measures the probabilities; all zero without radiographs.
    pub fn of(scored: &[Scored]) -> Self {
        let mut bins = [(0.0, 0.0); 10];
        let mut squares = 0.0;
        for s in scored {
            let (probability, truth) = (f64::from(s.probability), f64::from(u8::from(s.positive)));
            squares += (probability - truth).powi(2);
            let bin = &mut bins[((probability * 10.0) as usize).min(9)];
            bin.0 += probability;
            bin.1 += truth;
        }
        let images = scored.len().max(1) as f64;
        let apart: f64 = bins.iter().map(|(probability, truth): &(f64, f64)| (probability - truth).abs()).sum();
        Self { brier: squares / images, expected_error: apart / images }
    }
}

/// Area under the receiver operating characteristic: the chance that a radiograph with pneumonia scores above a normal
/// one, ties counting half (the Mann-Whitney statistic over the product of the class sizes).
pub fn auroc(scored: &[Scored]) -> Option<f64> {
    let positives = scored.iter().filter(|s| s.positive).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    // Twice the number of (positive, negative) pairs in the right order: an integer, hence exact.
    let (mut twice, mut negatives_below) = (0_u64, 0_u64);
    for tied in descending(scored).chunk_by(|a, b| a.probability == b.probability).rev() {
        let positive = tied.iter().filter(|s| s.positive).count() as u64;
        let negative = tied.len() as u64 - positive;
        twice += positive * (2 * negatives_below + negative);
        negatives_below += negative;
    }
    Some(twice as f64 / (2 * positives as u64 * negatives as u64) as f64)
}

/// The receiver operating characteristic from (0, 0) to (1, 1): pairs of false-positive and true-positive rate, one for
/// each distinct probability. Empty with one class only.
pub fn roc(scored: &[Scored]) -> Vec<(f64, f64)> {
    let positives = scored.iter().filter(|s| s.positive).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return Vec::new();
    }
    let mut curve = vec![(0.0, 0.0)];
    let (mut found, mut alarms) = (0_usize, 0_usize);
    for tied in descending(scored).chunk_by(|a, b| a.probability == b.probability) {
        let positive = tied.iter().filter(|s| s.positive).count();
        found += positive;
        alarms += tied.len() - positive;
        curve.push((alarms as f64 / negatives as f64, found as f64 / positives as f64));
    }
    curve
}

fn descending(scored: &[Scored]) -> Vec<Scored> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    sorted
}

/// Number of radiographs on which two models decide differently at `threshold`. The lists name the same radiographs in
/// the same order.
pub fn flips(one: &[Scored], other: &[Scored], threshold: f32) -> usize {
    one.iter().zip(other).filter(|(a, b)| (a.probability >= threshold) != (b.probability >= threshold)).count()
}

/// The smallest band around `threshold` outside which, on either side, at least the share `wanted` of the radiographs
/// given is decided rightly. A side on which no cut achieves this is referred as a whole.
pub fn refer_band(scored: &[Scored], threshold: f32, wanted: f64) -> OperatingPoint {
    let sorted = descending(scored);
    let enough = |right: usize, all: usize| all > 0 && right as f64 >= wanted * all as f64;

    // Below: cuts at the threshold and at every radiograph with pneumonia under it, from the highest down.
    let below = |cut: f32| sorted.iter().filter(move |s| s.probability < cut);
    let refer_from = std::iter::once(threshold)
        .chain(below(threshold).filter(|s| s.positive).map(|s| s.probability))
        .find(|&cut| enough(below(cut).filter(|s| !s.positive).count(), below(cut).count()))
        .unwrap_or(0.0);

    // Above: cuts at the threshold and just over every normal radiograph above it, from the lowest up.
    let above = |cut: f32| sorted.iter().rev().filter(move |s| s.probability >= cut);
    let refer_to = std::iter::once(threshold)
        .chain(above(threshold).filter(|s| !s.positive).map(|s| s.probability.next_up().min(1.0)))
        .find(|&cut| enough(above(cut).filter(|s| s.positive).count(), above(cut).count()))
        .unwrap_or(1.0);

    OperatingPoint { threshold, refer_from, refer_to }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scored(list: &[(bool, f32)]) -> Vec<Scored> {
        list.iter().map(|&(positive, probability)| Scored { positive, probability }).collect()
    }

    #[test]
    fn calibration_of_a_small_set() {
        let scored = [(true, 0.75), (true, 0.75), (false, 0.75), (true, 0.75), (false, 0.0), (true, 1.0)]
            .map(|(positive, probability)| Scored { positive, probability });
        let calibration = Calibration::of(&scored);
        // One bin of four at 0.75 with three of them true: no error there, nor in the bins of 0 and 1.
        assert!(calibration.expected_error.abs() < 1e-12);
        assert!((calibration.brier - (3.0 * 0.0625 + 0.5625) / 6.0).abs() < 1e-12);
        let sure = [Scored { positive: false, probability: 1.0 }];
        assert_eq!(Calibration::of(&sure), Calibration { brier: 1.0, expected_error: 1.0 });
    }

    #[test]
    fn wilson_interval_of_the_study() {
        // 839 of 879, computed from the formula by other means.
        let p = Proportion::of(839, 879).unwrap();
        assert!((p.value - 0.954_494).abs() < 1e-6, "{p:?}");
        assert!((p.low - 0.938_627).abs() < 1e-6, "{p:?}");
        assert!((p.high - 0.966_405).abs() < 1e-6, "{p:?}");
        assert_eq!(Proportion::of(0, 0), None);
        assert_eq!(Proportion::of(0, 10).unwrap().low, 0.0);
        assert!((Proportion::of(10, 10).unwrap().high - 1.0).abs() < 1e-12);
    }

    #[test]
    fn figures_of_a_small_set() {
        let s = scored(&[(true, 0.9), (true, 0.5), (true, 0.2), (false, 0.6), (false, 0.1)]);
        let figures = Figures::of(&s, 0.5);
        let expected = Confusion { true_positives: 2, false_positives: 1, true_negatives: 1, false_negatives: 1 };
        assert_eq!(figures.confusion, expected);
        assert_eq!(figures.accuracy.unwrap().value, 0.6);
        assert_eq!(figures.sensitivity.unwrap().value, 2.0 / 3.0);
        assert_eq!(figures.specificity.unwrap().value, 0.5);
        // Pairs in order: 0.9 beats both, 0.5 beats one, 0.2 beats one.
        assert_eq!(figures.auroc, Some(4.0 / 6.0));
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(auroc(&scored(&[(true, 0.5), (false, 0.5)])), Some(0.5));
        assert_eq!(auroc(&scored(&[(true, 0.5), (true, 0.7), (false, 0.5), (false, 0.1)])), Some(3.5 / 4.0));
        assert_eq!(auroc(&scored(&[(true, 0.5)])), None);
    }

    #[test]
    fn band_is_the_smallest_that_keeps_the_promise() {
        // One pneumonia at 0.3 spoils the lower side down to itself, one normal at 0.8 the upper one.
        let s =
            scored(&[(false, 0.1), (false, 0.2), (true, 0.3), (false, 0.4), (true, 0.7), (false, 0.8), (true, 0.9)]);
        let point = refer_band(&s, 0.5, 0.99);
        assert_eq!((point.refer_from, point.refer_to), (0.3, 0.8_f32.next_up()));
        // Half is enough at the threshold itself.
        let point = refer_band(&s, 0.5, 0.5);
        assert_eq!((point.refer_from, point.refer_to), (0.5, 0.5));
        // Where no cut helps, the whole side is referred.
        let point = refer_band(&scored(&[(true, 0.1), (false, 0.9)]), 0.5, 0.99);
        assert_eq!((point.refer_from, point.refer_to), (0.0, 1.0));
        assert_eq!(refer_band(&[], 0.5, 0.99), OperatingPoint { threshold: 0.5, refer_from: 0.0, refer_to: 1.0 });
    }

    #[test]
    fn flips_are_counted_at_the_threshold() {
        let one = scored(&[(true, 0.4), (true, 0.6), (false, 0.5)]);
        let other = scored(&[(true, 0.6), (true, 0.7), (false, 0.49)]);
        assert_eq!(flips(&one, &other, 0.5), 2);
    }

    fn any_scored() -> impl Strategy<Value = Vec<Scored>> {
        let one =
            (any::<bool>(), 0_u8..=20).prop_map(|(positive, p)| Scored { positive, probability: f32::from(p) / 20.0 });
        proptest::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn auroc_is_the_area_under_the_curve(s in any_scored()) {
            let curve = roc(&s);
            let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
            match auroc(&s) {
                Some(a) => prop_assert!((a - area).abs() < 1e-9, "{a} {area}"),
                None => prop_assert!(curve.is_empty()),
            }
        }

        #[test]
        fn band_is_ordered_and_keeps_its_promise(s in any_scored(), wanted in 0.5..1.0) {
            let point = refer_band(&s, 0.5, wanted);
            prop_assert!(point.check().is_ok());
            let below: Vec<_> = s.iter().filter(|s| s.probability < point.refer_from).collect();
            let right = below.iter().filter(|s| !s.positive).count();
            prop_assert!(right as f64 >= wanted * below.len() as f64);
            // At exactly 1 nothing can be cut off any more.
            if point.refer_to < 1.0 {
                let above: Vec<_> = s.iter().filter(|s| s.probability >= point.refer_to).collect();
                let right = above.iter().filter(|s| s.positive).count();
                prop_assert!(right as f64 >= wanted * above.len() as f64);
            }
        }
    }
}
