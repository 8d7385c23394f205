//! Counts of decisions, proportions with their intervals, and the band of uncertainty.
//!
//! Positive means pneumonia throughout.

use serde::{Deserialize, Serialize};
use shared::{
    rates::Rates,
    verdict::{OperatingPoint, Verdict},
};

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

/// The truth about one radiograph, what a model said of it, and whether the box would say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The truth and the probability, of what is refused as well.
    pub scored: Scored,
    /// True if a check refuses it: then the box has no verdict.
    pub refused: bool,
}

impl Judged {
    /// What the box says by an operating point; `None` if it refuses the radiograph.
    pub fn verdict(&self, point: &OperatingPoint) -> Option<Verdict> {
        (!self.refused).then(|| point.verdict(self.scored.probability))
    }
}

/// What the box says of labelled radiographs by an operating point, counted.
pub fn rates(judged: &[Judged], point: &OperatingPoint) -> Rates {
    let mut rates = Rates::default();
    for one in judged {
        rates.of(one.scored.positive).count(one.verdict(point), 1);
    }
    rates
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

/// The smallest band around `threshold` outside which, on either side, at least the share `wanted` of the radiographs is
/// decided correctly: of all together, and of each site by itself that has any there. A side on which no cut achieves this
/// is referred as a whole. A cut of one site may be wrong for another one that it suits less, so all judge the same cuts.
pub fn refer_band(sites: &[Vec<Scored>], threshold: f32, wanted: f64) -> OperatingPoint {
    let all = descending(&sites.concat());
    let keeps = |site: &[Scored], outside: &dyn Fn(&Scored) -> bool, positive: bool| {
        let there = site.iter().filter(|one| outside(one));
        let (right, count) = there
            .fold((0_usize, 0_usize), |(right, count), one| (right + usize::from(one.positive == positive), count + 1));
        right as f64 >= wanted * count as f64
    };
    let keeps_all = |outside: &dyn Fn(&Scored) -> bool, positive: bool| {
        all.iter().any(outside) && std::iter::once(&all).chain(sites).all(|group| keeps(group, outside, positive))
    };

    // Below: cuts at the threshold and at every radiograph with pneumonia under it, from the highest down.
    let under = all.iter().filter(|one| one.positive && one.probability < threshold).map(|one| one.probability);
    let refer_from = std::iter::once(threshold)
        .chain(under)
        .find(|&cut| keeps_all(&|one| one.probability < cut, false))
        .unwrap_or(0.0);

    // Above: cuts at the threshold and just over every normal radiograph above it, from the lowest up.
    let over = all.iter().rev().filter(|one| !one.positive && one.probability >= threshold);
    let refer_to = std::iter::once(threshold)
        .chain(over.map(|one| one.probability.next_up().min(1.0)))
        .find(|&cut| keeps_all(&|one| one.probability >= cut, true))
        .unwrap_or(1.0);

    OperatingPoint { threshold, refer_from, refer_to }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::rates::Outcomes;

    use super::*;

    fn scored(list: &[(bool, f32)]) -> Vec<Scored> {
        list.iter().map(|&(positive, probability)| Scored { positive, probability }).collect()
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
    fn band_is_the_smallest_that_keeps_the_promise() {
        // One pneumonia at 0.3 spoils the lower side down to itself, one normal at 0.8 the upper one.
        let s =
            scored(&[(false, 0.1), (false, 0.2), (true, 0.3), (false, 0.4), (true, 0.7), (false, 0.8), (true, 0.9)]);
        let point = refer_band(std::slice::from_ref(&s), 0.5, 0.99);
        assert_eq!((point.refer_from, point.refer_to), (0.3, 0.8_f32.next_up()));
        // Half is enough at the threshold itself.
        let point = refer_band(std::slice::from_ref(&s), 0.5, 0.5);
        assert_eq!((point.refer_from, point.refer_to), (0.5, 0.5));
        // Where no cut helps, the whole side is referred.
        let point = refer_band(&[scored(&[(true, 0.1), (false, 0.9)])], 0.5, 0.99);
        assert_eq!((point.refer_from, point.refer_to), (0.0, 1.0));
        assert_eq!(refer_band(&[], 0.5, 0.99), OperatingPoint { threshold: 0.5, refer_from: 0.0, refer_to: 1.0 });
    }

    #[test]
    fn a_cut_that_suits_one_site_is_not_taken_for_another() {
        // The second site alone wants 0.005, the first one is right in 997 + 3 of 1,001 below the threshold, but in 3 of 4
        // below 0.005: a wider band is not always a safer one.
        let home: Vec<(bool, f32)> =
            [(true, 0.001)].into_iter().chain([(false, 0.003); 3]).chain([(false, 0.1); 997]).collect();
        let clinic: Vec<(bool, f32)> =
            [(false, 0.004); 50].into_iter().chain([(true, 0.005)]).chain([(false, 0.1); 20]).collect();
        let sites = [home, clinic].map(|site| scored(&site));
        assert_eq!(refer_band(&sites[..1], 0.2, 0.99).refer_from, 0.2);
        assert_eq!(refer_band(&sites[1..], 0.2, 0.99).refer_from, 0.005);
        // No cut below is right for both until the first pneumonia, below which there is nothing.
        assert_eq!(refer_band(&sites, 0.2, 0.99).refer_from, 0.0);
        // A site of which nothing lies on a side says nothing of it.
        let ill = scored(&[(true, 0.9); 10]);
        assert_eq!(refer_band(&[sites[0].clone(), ill], 0.2, 0.99).refer_from, 0.2);
    }

    #[test]
    fn rates_count_what_the_box_says() {
        let judged = |positive, probability, refused| Judged { scored: Scored { positive, probability }, refused };
        let all = [
            judged(true, 0.9, false),
            judged(true, 0.9, true),
            judged(true, 0.4, false),
            judged(true, f32::NAN, false),
            judged(false, 0.4, false),
            judged(false, 0.1, false),
            judged(false, 0.1, true),
            judged(false, 0.7, false),
        ];
        let point = OperatingPoint { threshold: 0.5, refer_from: 0.2, refer_to: 0.7 };
        let Rates { of_normal, of_pneumonia } = rates(&all, &point);
        assert_eq!(of_normal, Outcomes { normal: 1, refer: 1, pneumonia: 1, refused: 1 });
        assert_eq!(of_pneumonia, Outcomes { normal: 0, refer: 2, pneumonia: 1, refused: 1 });
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
        fn band_is_ordered_and_keeps_its_promise_at_each_site(
            sites in proptest::collection::vec(any_scored(), 1..4),
            wanted in 0.5..1.0,
        ) {
            let point = refer_band(&sites, 0.5, wanted);
            prop_assert!(point.check().is_ok());
            for site in sites.iter().chain([&sites.concat()]) {
                let below: Vec<_> = site.iter().filter(|s| s.probability < point.refer_from).collect();
                let right = below.iter().filter(|s| !s.positive).count();
                prop_assert!(right as f64 >= wanted * below.len() as f64);
                // At exactly 1 nothing can be cut off any more.
                if point.refer_to < 1.0 {
                    let above: Vec<_> = site.iter().filter(|s| s.probability >= point.refer_to).collect();
                    let right = above.iter().filter(|s| s.positive).count();
                    prop_assert!(right as f64 >= wanted * above.len() as f64);
                }
            }
        }
    }
}
