//! Spreads and 95 % intervals of the figures of several runs.

use measure::statistics::{Proportion, Z};
use serde::Serialize;

/// Mean and spread over runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Standard deviation of the sample (divisor n − 1); `None` with one run.
    pub deviation: Option<f64>,
}

impl Spread {
    /// `None` without values.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Some(Self {
            mean,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
        })
    }
}

/// A difference of two shares with its 95 % interval, each −1..=1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// As observed.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Difference {
    /// Of two shares on the same `trials`, where only the second decided correctly `gained` times and only the first `lost`
    /// times, each of which may be a mean over runs; not without trials. Interval: adjusted Wald, Bonett and Price,
    /// J. Educ. Behav. Stat. 37 (2012) 479.
    pub(super) fn paired(gained: f64, lost: f64, trials: f64) -> Self {
        let n = trials + 2.0;
        let (up, down) = ((gained + 1.0) / n, (lost + 1.0) / n);
        let half = Z * ((up + down - (up - down).powi(2)) / n).sqrt();
        Self { value: (gained - lost) / trials, low: (up - down - half).max(-1.0), high: (up - down + half).min(1.0) }
    }

    /// Of `one` − `other`, which are independent. Interval: from their Wilson intervals, method 10 of Newcombe,
    /// Stat. Med. 17 (1998) 873.
    pub(super) fn independent(one: Proportion, other: Proportion) -> Self {
        let value = one.value - other.value;
        Self {
            value,
            low: value - (one.value - one.low).hypot(other.high - other.value),
            high: value + (one.high - one.value).hypot(other.value - other.low),
        }
    }

    /// True if the interval leaves zero out.
    pub(super) fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// True if two intervals have a value in common.
pub(super) fn overlap(one: Proportion, other: Proportion) -> bool {
    one.low <= other.high && other.low <= one.high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(got: Difference, [value, low, high]: [f64; 3]) {
        for (got, expected) in [(got.value, value), (got.low, low), (got.high, high)] {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }

    #[test]
    fn spread_of_three() {
        let spread = Spread::of(&[0.5, 0.75, 1.0]).unwrap();
        assert_eq!(spread, Spread { mean: 0.75, min: 0.5, max: 1.0, deviation: Some(0.25) });
        assert_eq!(Spread::of(&[0.5]).unwrap().deviation, None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn intervals_are_those_of_other_programs() {
        // Newcombe's own example (a) of his table II: 56/70 − 48/80, method 10: 0.0524 to 0.3339.
        let share = |k, n| Proportion::of(k, n).unwrap();
        let d = Difference::independent(share(56, 70), share(48, 80));
        assert!((d.low - 0.0524).abs() < 5e-5 && (d.high - 0.3339).abs() < 5e-5, "{d:?}");
        // The formulas of both papers, computed by other means.
        close(Difference::independent(share(9, 10), share(3, 10)), [0.6, 0.170_522_7, 0.809_018_0]);
        close(Difference::paired(40.0, 20.0, 2637.0), [0.007_584_376, 0.001_737_819, 0.013_419_438]);
        close(Difference::paired(3.0, 1.0, 50.0), [0.04, -0.053_269_949, 0.130_193_026]);
    }

    #[test]
    fn intervals_that_touch_overlap() {
        let p = |low, high| Proportion { value: low, low, high };
        assert!(overlap(p(0.1, 0.2), p(0.2, 0.3)) && overlap(p(0.2, 0.3), p(0.1, 0.2)));
        assert!(!overlap(p(0.1, 0.2), p(0.21, 0.3)) && !overlap(p(0.21, 0.3), p(0.1, 0.2)));
    }

    proptest! {
        #[test]
        fn swapping_turns_the_sign(gained in 0_usize..50, lost in 0_usize..50, more in 1_usize..900) {
            let trials = gained + lost + more;
            let counts = [gained, lost, trials].map(|count| count as f64);
            let (one, other) = (
                Difference::paired(counts[0], counts[1], counts[2]),
                Difference::paired(counts[1], counts[0], counts[2]),
            );
            prop_assert!((one.low + other.high).abs() < 1e-12 && one.low < one.value && one.value < one.high);
            let (a, b) = (Proportion::of(gained, trials).unwrap(), Proportion::of(lost, trials).unwrap());
            let (one, other) = (Difference::independent(a, b), Difference::independent(b, a));
            prop_assert!((one.low + other.high).abs() < 1e-12 && one.low <= one.value && one.value <= one.high);
        }
    }
}
