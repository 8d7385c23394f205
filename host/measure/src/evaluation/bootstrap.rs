//! 95 % intervals by bootstrap: patients are drawn with replacement, and all their radiographs come with them.
//!
//! Radiographs of one patient resemble each other, so an interval that counts radiographs as if each were somebody else
//! promises too much. A resample draws as many patients as there are from those without pneumonia, and as many as there are
//! from those with it; the interval goes from the 2.5th to the 97.5th percentile of the values in the resamples (Efron and
//! Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Each resample has a random stream of its own, so the
//! same radiographs give the same interval on any number of threads.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::LabelledAnswer;
use crate::statistics::Proportion;

/// Resamples of every interval.
pub(super) const RESAMPLES: usize = 2000;

/// Seed of the resamples.
pub(super) const SEED: u64 = 1;

/// Share of the resamples on which a figure must be defined to have an interval.
const DEFINED: f64 = 0.95;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// From the 2.5th to the 97.5th percentile, widened where needed so that it holds `value`: a figure that chance can only
    /// worsen, such as a calibration error, is worse on most resamples than on the radiographs themselves. `None` without
    /// values.
    pub(crate) fn around(value: f64, mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (percentile(&values, 0.025)?, percentile(&values, 0.975)?);
        Some(Self { low: low.min(value), high: high.max(value) })
    }
}

/// The percentile of sorted values, `share` of 0..=1, by linear interpolation (Hyndman and Fan, Am. Stat. 50 (1996) 361,
/// definition 7); `None` without values.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(below + (above - below) * at.fract())
}

/// A figure with its 95 % intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// On all the radiographs.
    pub value: f64,
    /// By bootstrap over patients; `None` where a class has a single patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_patient: Option<Interval>,
    /// By Wilson's method, as if each radiograph were another patient's; shares only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wilson: Option<Interval>,
    /// Whether it is a share of fewer than ten radiographs, or of all but so few.
    #[serde(skip)]
    pub few: bool,
}

/// Of fewer events than these resamples hold too little: from one wrong verdict among 71 the percentiles say 0 to 4 %,
/// Wilson's method 0.2 to 8 %.
const FEW: usize = 10;

impl Estimate {
    /// From the value on all radiographs and those on the resamples. `None` where the former is not defined.
    pub(crate) fn of(value: Option<Value>, resamples: impl ExactSizeIterator<Item = Option<Value>>) -> Option<Self> {
        let value = value?;
        let least = DEFINED * resamples.len() as f64;
        let drawn: Vec<f64> = resamples.filter_map(|value| Some(value?.number())).collect();
        let wilson = match value {
            Value::Share(part, whole) => Proportion::of(part, whole).map(|p| Interval { low: p.low, high: p.high }),
            Value::Number(_) => None,
        };
        let few = matches!(value, Value::Share(part, whole) if part.min(whole - part) < FEW);
        let value = value.number();
        let by_patient = if drawn.len() as f64 >= least { Interval::around(value, drawn) } else { None };
        Some(Self { value, by_patient, wilson, few })
    }

    /// The interval to read, and whether it is Wilson's: it is where [`Self::few`] says so, and where the bootstrap shows no
    /// uncertainty.
    pub fn interval(&self) -> Option<(Interval, bool)> {
        let chance = self.by_patient.filter(|interval| !self.few && interval.low < interval.high);
        chance.map(|interval| (interval, false)).or(self.wilson.map(|interval| (interval, true)))
    }
}

/// The value of a measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A count out of a total.
    Share(usize, usize),
    /// A number.
    Number(f64),
}

impl Value {
    /// `None` of none.
    pub(crate) fn share(part: usize, whole: usize) -> Option<Self> {
        (whole > 0).then_some(Self::Share(part, whole))
    }

    /// This one less the other: of shares in one division, so that halves and tenths come out as they are.
    pub(crate) fn less(self, other: Self) -> f64 {
        match (self, other) {
            (Self::Share(part, whole), Self::Share(other, of)) => {
                (part as f64 * of as f64 - other as f64 * whole as f64) / (whole as f64 * of as f64)
            }
            _ => self.number() - other.number(),
        }
    }

    /// As a number.
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Share(part, whole) => part as f64 / whole as f64,
            Self::Number(number) => number,
        }
    }
}

/// The patients behind radiographs: the indices of each one's, those without pneumonia first.
pub(crate) struct Patients {
    strata: [Vec<Vec<usize>>; 2],
    images: usize,
}

impl Patients {
    /// A patient with radiographs of both classes is one with pneumonia.
    pub(crate) fn of(judged: &[LabelledAnswer]) -> Self {
        let mut all: BTreeMap<&str, (bool, Vec<usize>)> = BTreeMap::new();
        for (i, image) in judged.iter().enumerate() {
            let (positive, images) = all.entry(&image.patient).or_default();
            *positive |= image.label.positive();
            images.push(i);
        }
        let mut strata = [Vec::new(), Vec::new()];
        for (positive, images) in all.into_values() {
            strata[usize::from(positive)].push(images);
        }
        Self { strata, images: judged.len() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.strata.iter().map(Vec::len).sum()
    }

    /// The value of `measure` under the weights of each resample: how often each radiograph was drawn. Empty where a class
    /// has a single patient, who would be drawn every time as if there were no chance.
    pub(crate) fn resample<T: Send>(&self, measure: impl Fn(&[usize]) -> T + Sync) -> Vec<T> {
        if self.images == 0 || self.strata.iter().any(|patients| patients.len() == 1) {
            return Vec::new();
        }
        (0..RESAMPLES)
            .into_par_iter()
            .map(|number| {
                let mut rng = ChaCha8Rng::seed_from_u64(SEED);
                rng.set_stream(number as u64);
                let mut weights = vec![0; self.images];
                for patients in &self.strata {
                    for _ in patients {
                        for &image in &patients[rng.random_range(0..patients.len())] {
                            weights[image] += 1;
                        }
                    }
                }
                measure(&weights)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::labelled;

    #[test]
    fn percentiles_are_interpolated() {
        // By hand: position 0.025 × 4 = 0.1 of 10, 20, …, 50.
        let values = [10.0, 20.0, 30.0, 40.0, 50.0];
        assert!((percentile(&values, 0.025).unwrap() - 11.0).abs() < 1e-12);
        assert!((percentile(&values, 0.975).unwrap() - 49.0).abs() < 1e-12);
        assert_eq!(percentile(&[7.0], 0.3), Some(7.0));
        assert_eq!(percentile(&[], 0.3), None);
    }

    #[test]
    fn patients_are_drawn_whole_and_from_their_class() {
        // Patients of three, one and one radiographs without pneumonia, of two and one with it.
        let names = [
            ("a", false),
            ("a", false),
            ("a", false),
            ("b", false),
            ("c", false),
            ("d", true),
            ("d", true),
            ("e", true),
        ];
        let images: Vec<LabelledAnswer> =
            names.iter().map(|(patient, positive)| labelled(patient, *positive, 0.5)).collect();
        let patients = Patients::of(&images);
        assert_eq!(patients.count(), 5);
        let drawn = patients.resample(<[usize]>::to_vec);
        assert_eq!(drawn.len(), RESAMPLES);
        for weights in &drawn {
            assert!(weights[0] == weights[1] && weights[1] == weights[2] && weights[5] == weights[6]);
            assert_eq!((weights[0] + weights[3] + weights[4], weights[5] + weights[7]), (3, 2));
        }
        // Each is drawn once on average, within five standard errors.
        for image in [0, 3, 4, 5, 7] {
            let mean = drawn.iter().map(|weights| weights[image] as f64).sum::<f64>() / RESAMPLES as f64;
            assert!((mean - 1.0).abs() < 0.1, "{image}: {mean}");
        }
    }

    #[test]
    fn resamples_do_not_depend_on_the_number_of_threads() {
        let images: Vec<LabelledAnswer> = (0..20).map(|i| labelled(&format!("p{}", i / 2), i % 4 < 2, 0.5)).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Patients::of(&images).resample(<[usize]>::to_vec))
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn a_single_patient_has_no_interval() {
        let images =
            [labelled("a", true, 0.9), labelled("a", true, 0.1), labelled("b", false, 0.1), labelled("c", false, 0.2)];
        assert!(Patients::of(&images).resample(|_| ()).is_empty());
        let none = std::iter::empty::<Option<Value>>();
        let share = Estimate::of(Value::share(1, 2), none.clone()).unwrap();
        assert_eq!((share.value, share.by_patient), (0.5, None));
        assert!(share.wilson.unwrap().low > 0.0);
        let number = Estimate::of(Some(Value::Number(3.0)), none);
        assert_eq!(number, Some(Estimate { value: 3.0, by_patient: None, wilson: None, few: false }));
    }

    #[test]
    fn few_events_are_read_by_the_method_that_knows_how_few_they_are() {
        let read = |part, whole| {
            let drawn = (0..100).map(|n| Value::share(n % 3, whole));
            Estimate::of(Value::share(part, whole), drawn).unwrap().interval().unwrap()
        };
        let (interval, is_wilson) = read(1, 71);
        assert!(is_wilson && (interval.high - 0.0756).abs() < 1e-4, "{interval:?}");
        assert!(read(70, 71).1 && !read(10, 71).1);
    }

    #[test]
    fn figures_that_are_rarely_defined_have_no_interval() {
        let some = Some(Value::Number(1.0));
        let mut resamples = vec![some; 95];
        resamples.extend([None; 5]);
        let interval = |resamples: &[Option<Value>]| Estimate::of(some, resamples.iter().copied()).unwrap().by_patient;
        assert!(interval(&resamples).is_some());
        resamples.push(None);
        assert!(interval(&resamples).is_none());
    }
}
