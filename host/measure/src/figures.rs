//! How good a classifier is: accuracy, sensitivity, specificity, AUROC; and how far its probabilities can be believed.
//!
//! Positive means pneumonia throughout.

use serde::{Deserialize, Serialize};
use shared::verdict::OperatingPoint;

use crate::{
    statistics::{Confusion, Proportion, Scored},
    weighted::{Answered, Ranked, Weighted},
};

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
            auroc: plain(scored, |all| all.auroc()),
        }
    }
}

/// How well calibrated the probabilities are.
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
        plain(scored, |all| Self {
            brier: all.brier().unwrap_or(0.0),
            expected_error: all.calibration_error().unwrap_or(0.0),
        })
    }
}

/// The receiver operating characteristic from (0, 0) to (1, 1): pairs of false-positive and true-positive rate, one for
/// each distinct probability. Empty with one class only.
pub fn roc(scored: &[Scored]) -> Vec<(f64, f64)> {
    plain(scored, |all| all.roc())
}

/// What `measure` gives where each radiograph counts once.
fn plain<T>(scored: &[Scored], measure: impl FnOnce(&Weighted<'_>) -> T) -> T {
    let once = vec![1; scored.len()];
    measure(&Ranked::of(scored.iter().map(Answered::from)).weighted(&once, OperatingPoint::HALF))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scored(list: &[(bool, f32)]) -> Vec<Scored> {
        list.iter().map(|&(positive, probability)| Scored { positive, probability }).collect()
    }

    fn auroc(scored: &[Scored]) -> Option<f64> {
        plain(scored, |all| all.auroc())
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

    proptest! {
        #[test]
        fn auroc_is_the_area_under_the_curve(list in proptest::collection::vec((any::<bool>(), 0_u8..=20), 0..60)) {
            let s = scored(&list.iter().map(|(positive, p)| (*positive, f32::from(*p) / 20.0)).collect::<Vec<_>>());
            let curve = roc(&s);
            let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
            match auroc(&s) {
                Some(a) => prop_assert!((a - area).abs() < 1e-9, "{a} {area}"),
                None => prop_assert!(curve.is_empty()),
            }
        }
    }
}
