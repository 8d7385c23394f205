//! What a model's answers are worth where each radiograph counts several times, as it does in a resample.

use std::cell::OnceCell;

use serde::Serialize;
use shared::{
    rates::Rates,
    verdict::{OperatingPoint, Verdict},
};

use crate::{
    logistic::{Line, Observation},
    statistics::{Confusion, Scored},
};

/// Bins of equal width that probabilities are sorted into to be compared with what they promise.
pub(crate) const BINS: usize = 10;

/// Probabilities are kept so far from 0 and 1 where their logarithm is taken, as usual libraries do.
const CLOSEST: f64 = 1e-7;

/// The bin of a probability.
pub(crate) fn bin(probability: f64) -> usize {
    ((probability * BINS as f64) as usize).min(BINS - 1)
}

/// Radiographs, the highest probability first.
pub(crate) struct Ranked(Vec<Item>);

struct Item {
    /// Its place among the weights.
    index: usize,
    positive: bool,
    probability: f64,
    log_odds: f64,
    /// What was answered, which may be no probability.
    answer: f32,
    refused: bool,
    /// True if the next one has another, lower probability.
    ends: bool,
}

/// The truth about a radiograph and what counts as its probability.
pub(crate) struct Answered {
    /// True for pneumonia.
    pub(crate) positive: bool,
    /// What was answered, which may be no probability.
    pub(crate) answer: f32,
    /// The probability that the figures are of.
    pub(crate) probability: f64,
    /// Whether the box refuses the radiograph.
    pub(crate) refused: bool,
}

impl From<&Scored> for Answered {
    /// The answer at its word, even if it is not a probability.
    fn from(scored: &Scored) -> Self {
        let Scored { positive, probability } = *scored;
        Self { positive, answer: probability, probability: f64::from(probability), refused: false }
    }
}

impl Ranked {
    /// Sorts radiographs.
    pub(crate) fn of(answers: impl IntoIterator<Item = Answered>) -> Self {
        let mut items: Vec<Item> = answers
            .into_iter()
            .enumerate()
            .map(|(index, Answered { positive, answer, probability, refused })| {
                let kept = probability.clamp(CLOSEST, 1.0 - CLOSEST);
                let log_odds = (kept / (1.0 - kept)).ln();
                Item { index, positive, probability, log_odds, answer, refused, ends: true }
            })
            .collect();
        items.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        for i in 1..items.len() {
            // What is not a number equals nothing.
            items[i - 1].ends = items[i].probability != items[i - 1].probability;
        }
        Self(items)
    }

    /// Under weights, one for each radiograph in the order that they were given in.
    pub(crate) fn weighted<'a>(&'a self, weights: &'a [usize], point: OperatingPoint) -> Weighted<'a> {
        let mut confusion = Confusion::default();
        for item in &self.0 {
            *match (item.positive, item.probability >= f64::from(point.threshold)) {
                (true, true) => &mut confusion.true_positives,
                (false, true) => &mut confusion.false_positives,
                (false, false) => &mut confusion.true_negatives,
                (true, false) => &mut confusion.false_negatives,
            } += weights[item.index];
        }
        Weighted {
            ranked: self,
            weights,
            point,
            confusion,
            verdicts: OnceCell::new(),
            rates: OnceCell::new(),
            recalibration: OnceCell::new(),
        }
    }
}

/// Weighted radiographs at an operating point.
pub(crate) struct Weighted<'a> {
    ranked: &'a Ranked,
    weights: &'a [usize],
    point: OperatingPoint,
    /// Decisions at the threshold.
    pub(crate) confusion: Confusion,
    verdicts: OnceCell<Verdicts>,
    rates: OnceCell<Rates>,
    recalibration: OnceCell<Option<Line>>,
}

/// Verdicts against the truth, of what the box refuses as well: normal radiographs and those with pneumonia.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Called normal.
    pub normal: [usize; 2],
    /// Referred.
    pub refer: [usize; 2],
    /// Called pneumonia.
    pub pneumonia: [usize; 2],
}

impl Weighted<'_> {
    fn items(&self) -> impl Iterator<Item = (&Item, usize)> {
        self.ranked.0.iter().map(|item| (item, self.weights[item.index]))
    }

    /// Radiographs in all.
    pub(crate) fn images(&self) -> usize {
        self.confusion.positives() + self.confusion.negatives()
    }

    /// Right decisions at the threshold.
    pub(crate) fn right(&self) -> usize {
        self.confusion.true_positives + self.confusion.true_negatives
    }

    /// The three verdicts against the truth.
    pub(crate) fn verdicts(&self) -> Verdicts {
        *self.verdicts.get_or_init(|| {
            let mut verdicts = Verdicts::default();
            for (item, weight) in self.items() {
                let class = usize::from(item.positive);
                match self.point.verdict(item.answer) {
                    Verdict::Normal => verdicts.normal[class] += weight,
                    Verdict::Refer => verdicts.refer[class] += weight,
                    Verdict::Pneumonia => verdicts.pneumonia[class] += weight,
                }
            }
            verdicts
        })
    }

    /// What the box says, with its refusals.
    pub(crate) fn rates(&self) -> Rates {
        *self.rates.get_or_init(|| {
            let mut rates = Rates::default();
            for (item, weight) in self.items() {
                let verdict = (!item.refused).then(|| self.point.verdict(item.answer));
                rates.of(item.positive).count(verdict, weight as u32);
            }
            rates
        })
    }

    /// From the highest probability down: radiographs with pneumonia and normal ones at or above each distinct one.
    fn cumulated(&self) -> impl Iterator<Item = [usize; 2]> {
        let mut counts = [0, 0];
        self.items().filter_map(move |(item, weight)| {
            counts[usize::from(!item.positive)] += weight;
            item.ends.then_some(counts)
        })
    }

    fn classes(&self) -> Option<(usize, usize)> {
        let (positives, negatives) = (self.confusion.positives(), self.confusion.negatives());
        (positives > 0 && negatives > 0).then_some((positives, negatives))
    }

    /// Area under the receiver operating characteristic: the chance that a radiograph with pneumonia scores above a normal
    /// one, ties counting half (the Mann-Whitney statistic over the product of the class sizes); `None` with one class only.
    pub(crate) fn auroc(&self) -> Option<f64> {
        let (positives, negatives) = self.classes()?;
        // Twice the number of (positive, negative) pairs in the right order: an integer, hence exact.
        let (mut twice, mut above) = (0_u64, [0, 0]);
        for counts in self.cumulated() {
            let [positive, negative] = [counts[0] - above[0], counts[1] - above[1]];
            twice += negative as u64 * (2 * above[0] + positive) as u64;
            above = counts;
        }
        Some(twice as f64 / (2 * positives as u64 * negatives as u64) as f64)
    }

    /// Area under the curve of precision over recall, in steps: the mean of the precision at each radiograph with pneumonia
    /// (Manning et al., "Introduction to Information Retrieval", 2008, chapter 8); `None` with one class only.
    pub(crate) fn average_precision(&self) -> Option<f64> {
        let (positives, _) = self.classes()?;
        let (mut area, mut found) = (0.0, 0);
        for [hits, alarms] in self.cumulated() {
            if hits > found {
                area += (hits - found) as f64 * hits as f64 / (hits + alarms) as f64;
                found = hits;
            }
        }
        Some(area / positives as f64)
    }

    fn mean(&self, value: impl Fn(&Item) -> f64) -> Option<f64> {
        let images = self.images();
        (images > 0)
            .then(|| self.items().map(|(item, weight)| weight as f64 * value(item)).sum::<f64>() / images as f64)
    }

    /// Mean squared difference of probability and truth (Brier, Mon. Weather Rev. 78 (1950) 1); 0.25 for always one half.
    /// `None` without radiographs.
    pub(crate) fn brier(&self) -> Option<f64> {
        self.mean(|item| (item.probability - truth(item)).powi(2))
    }

    /// Mean binary cross-entropy in nats; `None` without radiographs.
    pub(crate) fn log_loss(&self) -> Option<f64> {
        // ln(1 + e^x) of the log-odds against the truth.
        self.mean(|item| if item.positive { -item.log_odds } else { item.log_odds }.exp().ln_1p())
    }

    /// Expected calibration error: mean difference of probability and share of pneumonia over ten bins of equal width, each
    /// weighted by its radiographs (Naeini et al., AAAI 2015); `None` without radiographs.
    pub(crate) fn calibration_error(&self) -> Option<f64> {
        let mut apart = [0.0; BINS];
        for (item, weight) in self.items() {
            apart[bin(item.probability)] += weight as f64 * (item.probability - truth(item));
        }
        let images = self.images();
        (images > 0).then(|| apart.iter().map(|a: &f64| a.abs()).sum::<f64>() / images as f64)
    }

    /// Logistic regression of the truth on the log-odds (Cox, Biometrika 45 (1958) 562): 0 and 1 where they can be taken at
    /// their word. `None` where no fit is the best: with one class only, or where the classes do not overlap.
    pub(crate) fn recalibration(&self) -> Option<Line> {
        *self.recalibration.get_or_init(|| {
            let (positives, negatives) = self.classes()?;
            if !self.overlap() {
                return None;
            }
            let kept = self.items().filter(|(_, weight)| *weight > 0);
            let one = |(item, weight): (&Item, usize)| Observation::of(item.log_odds, truth(item), weight as f64);
            let observations: Vec<_> = kept.map(one).collect();
            Some(Line::fit(&observations, (positives as f64 / negatives as f64).ln()))
        })
    }

    /// True if some log-odds of normal radiographs lie above some of those with pneumonia, and some below: else steeper and
    /// steeper slopes fit better and better.
    fn overlap(&self) -> bool {
        let mut ends = [(f64::INFINITY, f64::NEG_INFINITY); 2];
        for (item, _) in self.items().filter(|(_, weight)| *weight > 0) {
            let (low, high) = &mut ends[usize::from(item.positive)];
            (*low, *high) = (low.min(item.log_odds), high.max(item.log_odds));
        }
        let [normal, pneumonia] = ends;
        normal.1 > pneumonia.0 && pneumonia.1 > normal.0
    }

    /// Points of the receiver operating characteristic from (0, 0) to (1, 1): 1 − specificity and sensitivity, one for each
    /// distinct probability. Empty with one class only.
    pub(crate) fn roc(&self) -> Vec<(f64, f64)> {
        let Some((positives, negatives)) = self.classes() else { return Vec::new() };
        let share = |[hits, alarms]: [usize; 2]| (alarms as f64 / negatives as f64, hits as f64 / positives as f64);
        std::iter::once([0, 0]).chain(self.cumulated()).map(share).collect()
    }

    /// Recall and precision at each distinct probability, the highest first. Empty with one class only.
    pub(crate) fn precision_recall(&self) -> Vec<(f64, f64)> {
        let Some((positives, _)) = self.classes() else { return Vec::new() };
        self.cumulated()
            .filter(|[hits, alarms]| hits + alarms > 0)
            .map(|[hits, alarms]| (hits as f64 / positives as f64, hits as f64 / (hits + alarms) as f64))
            .collect()
    }
}

fn truth(item: &Item) -> f64 {
    f64::from(u8::from(item.positive))
}

#[cfg(test)]
mod tests;
