//! Intervals of paired differences, by drawing patients anew.
//!
//! Images of one patient are alike, so patients and not images are drawn, as many as there are, with replacement (the
//! cluster bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993). Both figures of a difference are
//! computed on the same draw. The interval goes from the 2.5th to the 97.5th percentile of the differences.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::statistics::Scored;

/// A difference of two figures on the same radiographs with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// As observed.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// How often each image is there in each draw of patients.
pub struct Resamples(Vec<Vec<u32>>);

impl Resamples {
    /// Draws patients `draws` times. `patients` names the patient of each image.
    pub fn new(patients: &[&str], draws: usize, seed: u64) -> Self {
        let mut numbers = BTreeMap::new();
        let of_image: Vec<usize> = patients
            .iter()
            .map(|&patient| {
                let next = numbers.len();
                *numbers.entry(patient).or_insert(next)
            })
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |_| {
            let mut times = vec![0; numbers.len()];
            for _ in 0..numbers.len() {
                times[rng.random_range(0..numbers.len())] += 1;
            }
            of_image.iter().map(|&patient| times[patient]).collect()
        };
        Self((0..draws).map(draw).collect())
    }

    /// `changed` less `base` of one figure. `None` if it has no value on the images themselves, or on no draw.
    pub(super) fn difference(&self, base: &impl Figure, changed: &impl Figure) -> Option<Difference> {
        let difference = |times: Option<&[u32]>| Some(changed.on(times)? - base.on(times)?);
        let value = difference(None)?;
        let mut drawn: Vec<f64> = self.0.iter().filter_map(|times| difference(Some(times))).collect();
        drawn.sort_by(f64::total_cmp);
        let last = drawn.len().checked_sub(1)?;
        let percentile = |share: f64| drawn[(share * last as f64).round() as usize];
        Some(Difference { value, low: percentile(0.025), high: percentile(0.975) })
    }
}

/// A figure that can be computed on a draw.
pub(super) trait Figure {
    /// On every image as often as `times` tells, or once; `None` if the images there do not define it.
    fn on(&self, times: Option<&[u32]>) -> Option<f64>;
}

/// Share of right decisions.
pub(super) struct Accuracy(Vec<(usize, bool)>);

impl Accuracy {
    /// `scored` with the number of each image, decided at `threshold`.
    pub(super) fn new(scored: &[(usize, Scored)], threshold: f32) -> Self {
        Self(scored.iter().map(|(image, s)| (*image, (s.probability >= threshold) == s.positive)).collect())
    }
}

impl Figure for Accuracy {
    fn on(&self, times: Option<&[u32]>) -> Option<f64> {
        let (mut right, mut all) = (0_u64, 0_u64);
        for &(image, is_right) in &self.0 {
            let times = times.map_or(1, |times| u64::from(times[image]));
            all += times;
            right += if is_right { times } else { 0 };
        }
        (all > 0).then(|| right as f64 / all as f64)
    }
}

/// Area under the receiver operating characteristic, as [`crate::statistics::auroc`] defines it.
pub(super) struct Auroc(Vec<Ranked>);

/// An image among those sorted by probability.
struct Ranked {
    image: usize,
    positive: bool,
    /// Its probability is above that of the one before.
    above: bool,
}

impl Auroc {
    /// `scored` with the number of each image.
    pub(super) fn new(scored: &[(usize, Scored)]) -> Self {
        let mut sorted = scored.to_vec();
        sorted.sort_by(|(_, a), (_, b)| a.probability.total_cmp(&b.probability));
        let mut before = f32::NEG_INFINITY;
        let rank = |(image, s): (usize, Scored)| {
            let above = s.probability > before;
            before = s.probability;
            Ranked { image, positive: s.positive, above }
        };
        Self(sorted.into_iter().map(rank).collect())
    }
}

impl Figure for Auroc {
    fn on(&self, times: Option<&[u32]>) -> Option<f64> {
        // Twice the pairs in the right order, ties counting once; then the images below and those tied.
        let (mut twice, mut positives) = (0_u64, 0_u64);
        let (mut negatives_below, mut tied_negatives) = (0_u64, 0_u64);
        let mut tied_positives = 0_u64;
        for ranked in &self.0 {
            if ranked.above {
                twice += tied_positives * (2 * negatives_below + tied_negatives);
                negatives_below += tied_negatives;
                positives += tied_positives;
                (tied_positives, tied_negatives) = (0, 0);
            }
            let times = times.map_or(1, |times| u64::from(times[ranked.image]));
            *(if ranked.positive { &mut tied_positives } else { &mut tied_negatives }) += times;
        }
        twice += tied_positives * (2 * negatives_below + tied_negatives);
        let pairs = (positives + tied_positives) * (negatives_below + tied_negatives);
        (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statistics::auroc;

    fn numbered(list: &[(bool, f32)]) -> Vec<(usize, Scored)> {
        list.iter().map(|&(positive, probability)| Scored { positive, probability }).enumerate().collect()
    }

    #[test]
    fn images_of_a_patient_are_drawn_together() {
        let Resamples(draws) = Resamples::new(&["a", "b", "a", "c"], 50, 1);
        assert!(draws.iter().all(|times| times[0] == times[2] && times[0] + times[1] + times[3] == 3));
        assert!(draws.iter().any(|times| times[0] == 2) && draws.iter().any(|times| times[0] == 0));
        assert_eq!(Resamples::new(&["a", "b", "a", "c"], 50, 1).0, draws);
    }

    #[test]
    fn interval_of_a_difference_that_one_patient_makes() {
        // Only the image of patient 0 is decided otherwise; he is missing from about (1 − 1/20)^20 = 36 % of the draws.
        let patients: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        let patients: Vec<&str> = patients.iter().map(String::as_str).collect();
        let base = numbered(&[(true, 0.9); 20]);
        let mut changed = base.clone();
        changed[0].1.probability = 0.1;
        let figures = [&base, &changed].map(|scored| Accuracy::new(scored, 0.5));
        let difference = Resamples::new(&patients, 2000, 1).difference(&figures[0], &figures[1]).unwrap();
        // At most as many draws as 2.5 % hold him more than three times.
        assert_eq!(difference, Difference { value: 0.95 - 1.0, low: 0.85 - 1.0, high: 0.0 });
        let areas = [&base, &changed].map(|scored| Auroc::new(scored));
        assert_eq!(Resamples::new(&patients, 10, 1).difference(&areas[0], &areas[1]), None, "one class only");
    }

    proptest! {
        #[test]
        fn a_draw_is_the_figure_of_the_images_drawn(
            list in proptest::collection::vec((any::<bool>(), 0_u8..9, 0_u32..4), 1..40),
        ) {
            let scored: Vec<_> = list.iter().map(|&(positive, p, _)| (positive, f32::from(p) / 8.0)).collect();
            let times: Vec<u32> = list.iter().map(|&(_, _, times)| times).collect();
            let drawn: Vec<Scored> = numbered(&scored)
                .into_iter()
                .flat_map(|(image, s)| std::iter::repeat_n(s, times[image] as usize))
                .collect();
            prop_assert_eq!(Auroc::new(&numbered(&scored)).on(Some(&times)), auroc(&drawn));
            let right = drawn.iter().filter(|s| s.positive == (s.probability >= 0.5)).count();
            let share = (!drawn.is_empty()).then(|| right as f64 / drawn.len() as f64);
            prop_assert_eq!(Accuracy::new(&numbered(&scored), 0.5).on(Some(&times)), share);
        }
    }
}
