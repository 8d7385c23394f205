//! Real numbers → 8-bit integers: weights per output channel, activations by the ranges seen.

/// How the range of an activation is chosen from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// The largest magnitude seen
    #[value(name = "minmax")]
    MinMax,
    /// The magnitude that 99.9 % of the values other than zero do not exceed
    #[value(name = "percentile-99.9")]
    Percentile999,
    /// The magnitude that 99.99 % of the values other than zero do not exceed
    #[value(name = "percentile")]
    Percentile9999,
    /// The range with the least mean squared error of the quantized values
    #[value(name = "mse")]
    MeanSquaredError,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MinMax, Self::Percentile999, Self::Percentile9999, Self::MeanSquaredError];
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::MinMax => "min-max",
            Self::Percentile999 => "percentile 99.9",
            Self::Percentile9999 => "percentile 99.99",
            Self::MeanSquaredError => "mean squared error",
        })
    }
}

/// Largest quantized magnitude: symmetric, so that zero is exact and -128 is never a weight.
pub(super) const LIMIT: f32 = 127.0;

/// Largest quantized bias: well inside the range in which f32 holds every integer.
const BIAS_LIMIT: f32 = 4_194_304.0;

const BINS: usize = 2048;

/// How often which magnitudes were seen of one channel of an activation. Whole numbers, so that it does not depend on the order
/// in which values are counted.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    largest: f32,
    /// Of values other than zero, which every range holds.
    counts: Vec<u64>,
    zeros: u64,
    /// Sum of the values, in half bins, each at the centre of its own.
    balance: i64,
}

impl Histogram {
    /// For magnitudes up to `largest`.
    pub(super) fn new(largest: f32) -> Self {
        Self { largest, counts: vec![0; BINS], zeros: 0, balance: 0 }
    }

    /// Counts values.
    pub(super) fn add(&mut self, values: &[f32]) {
        let bins = BINS as f32 / self.largest.max(f32::MIN_POSITIVE);
        for value in values {
            if *value == 0.0 {
                self.zeros += 1;
                continue;
            }
            let bin = ((value.abs() * bins) as usize).min(BINS - 1);
            self.counts[bin] += 1;
            let centre = 2 * bin as i64 + 1;
            self.balance += if *value < 0.0 { -centre } else { centre };
        }
    }

    /// Adds what another one has counted.
    pub(super) fn merge(mut self, other: &Self) -> Self {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.zeros += other.zeros;
        self.balance += other.balance;
        self
    }

    /// The real value of one quantized step. `None` if nothing but zero was seen.
    pub(super) fn scale(&self, method: Method) -> Option<f32> {
        let range = match method {
            Method::MinMax => self.largest,
            Method::Percentile999 => self.percentile(0.999),
            Method::Percentile9999 => self.percentile(0.9999),
            Method::MeanSquaredError => self.least_squares(),
        };
        let scale = range / LIMIT;
        scale.is_normal().then_some(scale)
    }

    /// Mean of the values.
    pub(super) fn mean(&self) -> f32 {
        let values = self.zeros + self.counts.iter().sum::<u64>();
        let half_bins = self.balance as f64 / values.max(1) as f64;
        (f64::from(self.largest) * half_bins / (2 * BINS) as f64) as f32
    }

    fn centre(&self, bin: usize) -> f32 {
        self.largest * (bin as f32 + 0.5) / BINS as f32
    }

    fn upper_edge(&self, bin: usize) -> f32 {
        self.largest * (bin + 1) as f32 / BINS as f32
    }

    fn percentile(&self, part: f64) -> f32 {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total as f64 * part).ceil() as u64;
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        self.upper_edge(self.counts.iter().position(reached).unwrap_or(BINS - 1))
    }

    /// Tries ranges from an eighth of the largest magnitude upwards; each bin stands for the value at its centre.
    fn least_squares(&self) -> f32 {
        let error = |range: f32| -> f64 {
            let scale = range / LIMIT;
            let bins = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
            bins.map(|(bin, &count)| {
                let value = self.centre(bin);
                let error = f64::from((value / scale).round_ties_even().min(LIMIT) * scale - value);
                error * error * count as f64
            })
            .sum()
        };
        let ranges = (BINS / 8..=BINS).step_by(8).map(|bins| self.largest * bins as f32 / BINS as f32);
        let best = ranges.map(|range| (error(range), range)).min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(self.largest, |(_, range)| range)
    }
}

/// Quantized weights and bias of one output channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) weights: Vec<i8>,
    pub(super) bias: i32,
    pub(super) scale: f32,
}

/// Quantizes one output channel: `w = scale * q` with `|q| <= 127`, the bias in steps of `x_scale * scale`, both rounded
/// half to even. Where the bias outweighs the weights by far, the steps are made large enough for it.
pub(super) fn quantize_filter(weights: &[f32], bias: f32, x_scale: f32) -> Filter {
    let largest = weights.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    let scale = (largest / LIMIT).max(bias.abs() / (x_scale * BIAS_LIMIT)).max(f32::MIN_POSITIVE);
    // A channel without weights and bias: any scale will do.
    let scale = if scale.is_normal() && scale > 1e-30 { scale } else { 1.0 };
    Filter {
        weights: weights.iter().map(|w| (w / scale).round_ties_even().clamp(-LIMIT, LIMIT) as i8).collect(),
        bias: (f64::from(bias) / (f64::from(x_scale) * f64::from(scale))).round_ties_even() as i32,
        scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_rounded_half_to_even_and_stay_symmetric() {
        // The largest weight is 127, so that one step is 1.
        let filter = quantize_filter(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -127.0, 126.6], 3.0, 0.5);
        assert_eq!(filter.weights, [127, 0, 2, 2, 0, -2, -127, 127]);
        assert_eq!((filter.scale, filter.bias), (1.0, 6));
    }

    #[test]
    fn bias_is_counted_in_steps_of_both_scales() {
        let filter = quantize_filter(&[0.254, -0.127], -0.05, 0.01);
        assert_eq!(filter.weights, [127, -64]);
        // 0.05 / (0.01 · 0.002) = 2500
        assert_eq!(filter.bias, -2500);
    }

    #[test]
    fn a_channel_of_bias_alone_keeps_its_bias() {
        let filter = quantize_filter(&[0.0, 0.0], 0.25, 0.01);
        assert_eq!(filter.weights, [0, 0]);
        let restored = filter.bias as f32 * 0.01 * filter.scale;
        assert!((restored - 0.25).abs() < 1e-5, "{restored}");
        assert_eq!(quantize_filter(&[0.0], 0.0, 0.01), Filter { weights: vec![0], bias: 0, scale: 1.0 });
    }

    #[test]
    fn the_four_methods_choose_their_ranges() {
        // 99,950 values of 1 and 50 of 10: the tail is 0.05 %.
        let mut histogram = Histogram::new(10.0);
        histogram.add(&vec![1.0; 99_950]);
        histogram.add(&[10.0; 50]);
        let range = |method| histogram.scale(method).unwrap() * LIMIT;
        assert!((range(Method::MinMax) - 10.0).abs() < 1e-4);
        assert!((range(Method::Percentile999) - 1.0).abs() < 0.01);
        assert!((range(Method::Percentile9999) - 10.0).abs() < 0.01);
        // Clipping 50 values of 10 at 1 would cost more than rounding the 99,950.
        assert!(range(Method::MeanSquaredError) > 9.0);
    }

    #[test]
    fn a_channel_that_is_seldom_at_work_keeps_its_range() {
        let mut histogram = Histogram::new(2.0);
        histogram.add(&[0.0; 100_000]);
        histogram.add(&[1.0, 1.5, 1.25, 2.0, 1.75]);
        for method in Method::ALL {
            let range = histogram.scale(method).unwrap() * LIMIT;
            assert!((1.9..=2.0).contains(&range), "{method}: {range}");
        }
        assert!((histogram.mean() - 7.5 / 100_005.0).abs() < 1e-7);
    }

    #[test]
    fn the_mean_is_that_of_the_values() {
        let mut histogram = Histogram::new(4.0);
        histogram.add(&[4.0, -1.0, 0.5]);
        let mut other = Histogram::new(4.0);
        other.add(&[-3.0]);
        assert!((histogram.merge(&other).mean() - 0.125).abs() < 2e-3);
    }

    #[test]
    fn least_squares_gives_up_rare_outliers() {
        let mut histogram = Histogram::new(2.0);
        let values: Vec<f32> = (0..1_000_000).map(|i| i as f32 / 1_000_000.0).collect();
        histogram.add(&values);
        histogram.add(&[2.0]);
        let range = histogram.scale(Method::MeanSquaredError).unwrap() * LIMIT;
        assert!((0.9..1.2).contains(&range), "{range}");
    }

    #[test]
    fn what_is_always_zero_has_no_scale() {
        let mut histogram = Histogram::new(0.0);
        histogram.add(&[0.0; 3]);
        for method in Method::ALL {
            assert_eq!(histogram.scale(method), None, "{method}");
        }
        assert_eq!(histogram.mean(), 0.0);
    }
}
