//! Everything that is measured of a model on labelled radiographs, with intervals.

use std::collections::BTreeMap;

use data::{Part, Subtype};
use serde::Serialize;
use shared::verdict::{OperatingPoint, OperatingPoints, Profile};

use super::{
    LabelledAnswer,
    bootstrap::{Estimate, Interval, Patients, RESAMPLES, SEED, Value},
    ranked,
};
use crate::{
    statistics::{Confusion, Proportion},
    weighted::{BINS, Ranked, Verdicts, Weighted, bin},
};

/// What is computed of weighted radiographs; `None` where they do not determine it.
type Measure = fn(&Weighted<'_>) -> Option<Value>;

/// Places at which the bands of the curves are computed, closer together where the curves bend.
const PLACES: usize = 100;

/// Declares a set of figures and how each is measured: `Name` holds the estimates, `Name<Option<Value>>` the values on
/// some of the radiographs.
macro_rules! estimates {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $field:ident = $measure:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct $name<F = Option<Estimate>> { $($(#[$what])* pub $field: F,)* }

        impl $name<Option<Value>> {
            fn measure(of: &Weighted<'_>) -> Self {
                Self {
                    $($field: {
                        let measure: Measure = $measure;
                        measure(of)
                    },)*
                }
            }

            /// With intervals from the values on the resamples.
            fn estimate<'a>(&self, resamples: impl ExactSizeIterator<Item = &'a Self> + Clone) -> $name {
                $name { $($field: Estimate::of(self.$field, resamples.clone().map(|drawn| drawn.$field)),)* }
            }
        }
    };
}

estimates! {
    /// The figures at the model's own operating point. Each is `None` where the radiographs do not determine it.
    Estimates {
        /// Share of right decisions at the threshold.
        accuracy = accuracy;
        /// Share of those with pneumonia that are found at the threshold.
        sensitivity = sensitivity;
        /// Share of the normal ones that are called so at the threshold.
        specificity = specificity;
        /// Area under the receiver operating characteristic.
        auroc = auroc;
        /// Area under the curve of precision over recall; always guessing gives the share of pneumonia.
        average_precision = |w| w.average_precision().map(Value::Number);
        /// Mean squared difference of probability and truth.
        brier = |w| w.brier().map(Value::Number);
        /// Mean binary cross-entropy, in nats.
        log_loss = |w| w.log_loss().map(Value::Number);
        /// Expected calibration error over ten bins.
        calibration_error = |w| w.calibration_error().map(Value::Number);
        /// Of the logistic recalibration; below 0 where probabilities are too high on the whole.
        calibration_intercept = |w| w.recalibration().map(|r| Value::Number(r.intercept));
        /// Of the logistic recalibration; below 1 where probabilities are too extreme.
        calibration_slope = |w| w.recalibration().map(|r| Value::Number(r.slope));
        /// Share of the radiographs that are referred.
        referred = referred;
        /// Share of right verdicts among those that are not referred.
        accuracy_outside_band = accuracy_outside_band;
        /// Share of the verdicts *normal* that are right.
        normal_right = |w| Value::share(w.verdicts().normal[0], sum(w.verdicts().normal));
        /// Share of the verdicts *pneumonia* that are right.
        pneumonia_right = |w| Value::share(w.verdicts().pneumonia[1], sum(w.verdicts().pneumonia));
        /// Share of those with pneumonia whose verdict is *normal*.
        pneumonia_called_normal = |w| Value::share(w.verdicts().normal[1], w.confusion.positives());
    }
}

estimates! {
    /// The figures at one operating point.
    PointEstimates {
        /// Share of those with pneumonia that are found at the threshold.
        sensitivity = sensitivity;
        /// Share of the normal ones that are called so at the threshold.
        specificity = specificity;
        /// Share of the decisions for pneumonia that are right, at this share of pneumonia among the radiographs.
        positive_predictive_value = |w| {
            Value::share(w.confusion.true_positives, w.confusion.true_positives + w.confusion.false_positives)
        };
        /// Share of the decisions for normal that are right, at this share of pneumonia among the radiographs.
        negative_predictive_value = |w| {
            Value::share(w.confusion.true_negatives, w.confusion.true_negatives + w.confusion.false_negatives)
        };
        /// Share of the radiographs that are referred.
        referred = referred;
        /// Share of right verdicts among those that are not referred.
        accuracy_outside_band = accuracy_outside_band;
    }
}

estimates! {
    /// One kind of pneumonia against all normal radiographs.
    SubtypeEstimates {
        /// Share of this kind that is found at the threshold.
        sensitivity = sensitivity;
        /// Area under the receiver operating characteristic.
        auroc = auroc;
        /// Share of this kind that is referred.
        referred = |w| Value::share(w.verdicts().refer[1], w.confusion.positives());
        /// Share of this kind whose verdict is *normal*.
        called_normal = |w| Value::share(w.verdicts().normal[1], w.confusion.positives());
    }
}

estimates! {
    /// The radiographs of one of the publishers' folders.
    FolderEstimates {
        /// Share of right decisions at the threshold.
        accuracy = accuracy;
        /// Share of those with pneumonia that are found at the threshold.
        sensitivity = sensitivity;
        /// Share of the normal ones that are called so at the threshold.
        specificity = specificity;
        /// Area under the receiver operating characteristic.
        auroc = auroc;
    }
}

fn sum(counts: [usize; 2]) -> usize {
    counts[0] + counts[1]
}

fn accuracy(w: &Weighted<'_>) -> Option<Value> {
    Value::share(w.right(), w.images())
}

fn sensitivity(w: &Weighted<'_>) -> Option<Value> {
    Value::share(w.confusion.true_positives, w.confusion.positives())
}

fn specificity(w: &Weighted<'_>) -> Option<Value> {
    Value::share(w.confusion.true_negatives, w.confusion.negatives())
}

fn auroc(w: &Weighted<'_>) -> Option<Value> {
    w.auroc().map(Value::Number)
}

fn referred(w: &Weighted<'_>) -> Option<Value> {
    Value::share(sum(w.verdicts().refer), w.images())
}

fn accuracy_outside_band(w: &Weighted<'_>) -> Option<Value> {
    let verdicts = w.verdicts();
    Value::share(verdicts.normal[0] + verdicts.pneumonia[1], sum(verdicts.normal) + sum(verdicts.pneumonia))
}

/// How the intervals are made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// Share of repetitions that an interval holds the truth in.
    pub level: f64,
    /// What is resampled, and how the interval is read from it.
    pub by_patient: &'static str,
    /// The interval of shares as if each radiograph were another patient's.
    pub wilson: &'static str,
    /// Number of resamples.
    pub resamples: usize,
    /// Their seed.
    pub seed: u64,
}

/// How many radiographs there are, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Radiographs.
    pub images: usize,
    /// Patients, as far as file names show.
    pub patients: usize,
    /// Normal radiographs.
    pub normal: usize,
    /// Radiographs with pneumonia.
    pub pneumonia: usize,
    /// Answers that are not a probability: they count as being certain of the wrong class, and are referred.
    pub unanswered: usize,
}

impl Counts {
    fn of(judged: &[LabelledAnswer]) -> Self {
        let pneumonia = judged.iter().filter(|image| image.label.positive()).count();
        Self {
            images: judged.len(),
            patients: Patients::of(judged).count(),
            normal: judged.len() - pneumonia,
            pneumonia,
            unanswered: judged.iter().filter(|image| !image.answered()).count(),
        }
    }
}

/// An operating point of the model and how it does there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointFigures {
    /// Where it lies.
    #[serde(flatten)]
    pub point: OperatingPoint,
    /// Its figures.
    #[serde(flatten)]
    pub estimates: PointEstimates,
}

/// The radiographs of a group and how the model does on them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group<T> {
    /// How many there are.
    #[serde(flatten)]
    pub counts: Counts,
    /// The figures.
    #[serde(flatten)]
    pub estimates: T,
}

/// Probabilities of one range and their outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// From this probability.
    pub from: f64,
    /// To below this one; the last bin holds 1, too.
    pub to: f64,
    /// Radiographs in it.
    pub images: usize,
    /// Their mean probability; `None` without any.
    pub predicted: Option<f64>,
    /// Share of them with pneumonia and Wilson's interval; `None` without any.
    pub observed: Option<Proportion>,
}

/// A curve in its 95 % band by bootstrap over patients.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Place, lower and upper end; empty where there is no interval.
    pub band: Vec<(f64, f64, f64)>,
}

/// Everything that is measured of a model on labelled radiographs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// How many radiographs there are.
    #[serde(flatten)]
    pub counts: Counts,
    /// Where the model's answers change, and how it does there.
    pub decision: PointFigures,
    /// Decisions at the threshold.
    pub confusion: Confusion,
    /// Verdicts.
    pub verdicts: Verdicts,
    /// How the intervals are made.
    pub intervals: Method,
    /// The figures.
    pub estimates: Estimates,
    /// The operating points to choose from, by name, the lowest threshold first; empty where the card has none.
    #[serde(serialize_with = "by_name")]
    pub points: Vec<(Profile, PointFigures)>,
    /// By kind of pneumonia, where file names give it.
    pub subtypes: BTreeMap<&'static str, Group<SubtypeEstimates>>,
    /// By the publishers' folders, if the radiographs are of more than one of them.
    pub folders: BTreeMap<Part, Group<FolderEstimates>>,
    /// Probabilities against the outcomes, in ten ranges.
    pub reliability: Vec<Bin>,
    /// Sensitivity over 1 − specificity.
    #[serde(skip)]
    pub roc: Curve,
    /// Precision over recall.
    #[serde(skip)]
    pub precision_recall: Curve,
}

fn by_name<S: serde::Serializer>(points: &[(Profile, PointFigures)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(points.iter().map(|(profile, figures)| (profile.as_str(), figures)))
}

/// Radiographs of a group: true for those that belong to it.
type Mask = Vec<bool>;

/// What the radiographs are measured by: where the model decides, and which groups they form.
struct Views {
    point: OperatingPoint,
    profiles: Vec<(Profile, OperatingPoint)>,
    subtypes: Vec<(Subtype, Mask)>,
    folders: Vec<(Part, Mask)>,
}

/// The values of all figures under one set of weights.
struct Values {
    estimates: Estimates<Option<Value>>,
    decision: PointEstimates<Option<Value>>,
    /// One for each profile.
    points: Vec<PointEstimates<Option<Value>>>,
    /// One for each subtype.
    subtypes: Vec<SubtypeEstimates<Option<Value>>>,
    /// One for each folder.
    folders: Vec<FolderEstimates<Option<Value>>>,
}

/// A resample.
struct Drawn {
    values: Values,
    /// Heights of the receiver operating characteristic at the places.
    sensitivities: Vec<f64>,
    /// Heights of the precision-recall curve at the places.
    precisions: Vec<f64>,
}

impl Views {
    fn of(judged: &[LabelledAnswer], point: OperatingPoint, points: Option<OperatingPoints>) -> Self {
        let mask = |keep: &dyn Fn(&LabelledAnswer) -> bool| judged.iter().map(keep).collect();
        let subtypes = [Subtype::Bacteria, Subtype::Virus]
            .into_iter()
            .filter(|subtype| judged.iter().any(|image| image.subtype == Some(*subtype)))
            .map(|subtype| (subtype, mask(&|image| !image.label.positive() || image.subtype == Some(subtype))))
            .collect();
        let mut folders: Vec<Part> = judged.iter().filter_map(|image| image.official).collect();
        folders.sort_unstable();
        folders.dedup();
        if folders.len() == 1 {
            folders.clear();
        }
        Self {
            point,
            profiles: points
                .into_iter()
                .flat_map(|points| Profile::ALL.map(|profile| (profile, points.of(profile))))
                .collect(),
            subtypes,
            folders: folders.into_iter().map(|part| (part, mask(&|image| image.official == Some(part)))).collect(),
        }
    }

    /// `all` are the radiographs under `weights` at the model's point.
    fn values(&self, ranked: &Ranked, weights: &[usize], all: &Weighted<'_>) -> Values {
        let kept = |mask: &Mask| -> Vec<usize> {
            weights.iter().zip(mask).map(|(weight, kept)| weight * usize::from(*kept)).collect()
        };
        Values {
            estimates: Estimates::measure(all),
            decision: PointEstimates::measure(all),
            points: self
                .profiles
                .iter()
                .map(|(_, point)| PointEstimates::measure(&ranked.weighted(weights, *point)))
                .collect(),
            subtypes: self
                .subtypes
                .iter()
                .map(|(_, mask)| SubtypeEstimates::measure(&ranked.weighted(&kept(mask), self.point)))
                .collect(),
            folders: self
                .folders
                .iter()
                .map(|(_, mask)| FolderEstimates::measure(&ranked.weighted(&kept(mask), self.point)))
                .collect(),
        }
    }
}

impl Measurement {
    /// Measures the answers of a model that decides at `point`, and also at those to choose from, `points`. The same answers
    /// give the same measurement, whatever the number of threads.
    pub fn of(judged: &[LabelledAnswer], point: OperatingPoint, points: Option<OperatingPoints>) -> Self {
        let (ranked, views) = (ranked(judged), Views::of(judged, point, points));
        let drawn = Patients::of(judged).resample(|weights| {
            let all = ranked.weighted(weights, point);
            Drawn {
                values: views.values(&ranked, weights, &all),
                sensitivities: CurveKind::Roc.heights(&all.roc()),
                precisions: CurveKind::PrecisionRecall.heights(&all.precision_recall()),
            }
        });
        let once = vec![1; judged.len()];
        let all = ranked.weighted(&once, point);
        let values = views.values(&ranked, &once, &all);
        let resamples = drawn.iter().map(|drawn| &drawn.values);
        let (roc, precision_recall) = (all.roc(), all.precision_recall());
        let counts = |keep: &dyn Fn(&LabelledAnswer) -> bool| {
            Counts::of(&judged.iter().filter(|image| keep(image)).cloned().collect::<Vec<_>>())
        };
        let figures = |number: usize, &(profile, point): &(Profile, OperatingPoint)| {
            let estimates = values.points[number].estimate(resamples.clone().map(|values| &values.points[number]));
            (profile, PointFigures { point, estimates })
        };
        let subtype = |number: usize, &(subtype, _): &(Subtype, Mask)| {
            let estimates = values.subtypes[number].estimate(resamples.clone().map(|values| &values.subtypes[number]));
            let counts = counts(&|image| image.subtype == Some(subtype) && image.label.positive());
            (subtype.as_str(), Group { counts, estimates })
        };
        let folder = |number: usize, &(part, _): &(Part, Mask)| {
            let estimates = values.folders[number].estimate(resamples.clone().map(|values| &values.folders[number]));
            (part, Group { counts: counts(&|image| image.official == Some(part)), estimates })
        };
        Self {
            counts: Counts::of(judged),
            confusion: all.confusion,
            verdicts: all.verdicts(),
            intervals: Method {
                level: 0.95,
                by_patient: "percentile bootstrap: patients drawn with replacement within each class, with all their images",
                wilson: "Wilson's score interval: each image taken for another patient's",
                resamples: RESAMPLES,
                seed: SEED,
            },
            estimates: values.estimates.estimate(resamples.clone().map(|values| &values.estimates)),
            decision: PointFigures {
                point,
                estimates: values.decision.estimate(resamples.clone().map(|values| &values.decision)),
            },
            points: views.profiles.iter().enumerate().map(|(number, view)| figures(number, view)).collect(),
            subtypes: views.subtypes.iter().enumerate().map(|(number, view)| subtype(number, view)).collect(),
            folders: views.folders.iter().enumerate().map(|(number, view)| folder(number, view)).collect(),
            reliability: reliability(judged),
            roc: Curve { band: CurveKind::Roc.band(&roc, drawn.iter().map(|drawn| &drawn.sensitivities)), points: roc },
            precision_recall: Curve {
                band: CurveKind::PrecisionRecall.band(&precision_recall, drawn.iter().map(|drawn| &drawn.precisions)),
                points: precision_recall,
            },
        }
    }
}

/// What a curve shows: they bend at opposite ends, and are read differently between their points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CurveKind {
    /// A receiver operating characteristic: bends near 0, and is a line between its points.
    Roc,
    /// Precision over recall: bends near 1, and has the precision where a recall is first reached.
    PrecisionRecall,
}

impl CurveKind {
    /// Where a band is computed, `number` of 0..=[`PLACES`]: from 0 to 1, closer together where the curve bends.
    fn place(self, number: usize) -> f64 {
        let share = number as f64 / PLACES as f64;
        match self {
            Self::Roc => share.powi(2),
            Self::PrecisionRecall => 1.0 - (1.0 - share).powi(2),
        }
    }

    /// Heights at the places: the upper end where a characteristic goes straight up. Empty for an empty curve.
    fn heights(self, curve: &[(f64, f64)]) -> Vec<f64> {
        if curve.is_empty() {
            return Vec::new();
        }
        let mut next = 0;
        (0..=PLACES)
            .map(|number| {
                let x = self.place(number);
                // Shares are quotients, places are not: a place may lie the last bit beside one.
                let reached = |point: (f64, f64)| match self {
                    Self::Roc => point.0 > x + 1e-12,
                    Self::PrecisionRecall => point.0 >= x - 1e-12,
                };
                while next < curve.len() && !reached(curve[next]) {
                    next += 1;
                }
                let Some(&(right, above)) = curve.get(next) else { return curve[curve.len() - 1].1 };
                match (self, next.checked_sub(1).map(|before| curve[before])) {
                    (Self::Roc, Some((left, below))) => {
                        below + (above - below) * ((x - left) / (right - left)).max(0.0)
                    }
                    _ => above,
                }
            })
            .collect()
    }

    /// Place, lower and upper end, from the heights of the resamples.
    fn band<'a>(
        self,
        curve: &[(f64, f64)],
        resamples: impl Iterator<Item = &'a Vec<f64>> + Clone,
    ) -> Vec<(f64, f64, f64)> {
        self.heights(curve)
            .into_iter()
            .enumerate()
            .filter_map(|(number, value)| {
                let values = resamples.clone().filter_map(|heights| heights.get(number).copied()).collect();
                let Interval { low, high } = Interval::around(value, values)?;
                Some((self.place(number), low, high))
            })
            .collect()
    }
}

fn reliability(judged: &[LabelledAnswer]) -> Vec<Bin> {
    let mut bins = [(0, 0.0, 0); BINS];
    for image in judged {
        let probability = image.sound_probability();
        let (images, sum, positives) = &mut bins[bin(probability)];
        *images += 1;
        *sum += probability;
        *positives += usize::from(image.label.positive());
    }
    let edge = |number: usize| number as f64 / BINS as f64;
    bins.into_iter()
        .enumerate()
        .map(|(number, (images, sum, positives))| Bin {
            from: edge(number),
            to: edge(number + 1),
            images,
            predicted: (images > 0).then(|| sum / images as f64),
            observed: Proportion::of(positives, images),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::verdict::OperatingPoints;

    use super::*;
    use crate::evaluation::tests::judged;

    /// Patients of two radiographs each, which overlap: scores go up with the number, the truth is that of `positive`.
    fn images(patients: usize, positive: impl Fn(usize) -> bool) -> Vec<LabelledAnswer> {
        (0..2 * patients)
            .map(|i| {
                judged(
                    &format!("p{:03}", i / 2),
                    positive(i / 2),
                    (i * 7 % (2 * patients)) as f32 / (2 * patients) as f32,
                )
            })
            .collect()
    }

    #[test]
    fn figures_of_a_small_set() {
        let list = [
            judged("a", false, 0.1),
            judged("a", false, 0.3),
            judged("b", false, 0.6),
            judged("c", true, 0.95),
            judged("d", true, 0.4),
            judged("d", true, 0.8),
        ];
        let point = OperatingPoint { threshold: 0.5, refer_from: 0.2, refer_to: 0.7 };
        let measurement = Measurement::of(&list, point, None);
        assert_eq!(measurement.counts, Counts { images: 6, patients: 4, normal: 3, pneumonia: 3, unanswered: 0 });
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        let Estimates { accuracy, sensitivity, specificity, auroc, referred, .. } = measurement.estimates;
        assert_eq!((value(accuracy), value(sensitivity), value(specificity)), (4.0 / 6.0, 2.0 / 3.0, 2.0 / 3.0));
        // 0.4 is below 0.6; the other eight pairs are in order. 0.3, 0.4 and 0.6 lie in the band.
        assert_eq!((value(auroc), value(referred)), (8.0 / 9.0, 0.5));
        assert_eq!(value(measurement.estimates.accuracy_outside_band), 1.0);
        assert_eq!(value(measurement.estimates.pneumonia_called_normal), 0.0);
        assert_eq!(accuracy.unwrap().wilson, Proportion::of(4, 6).map(|p| Interval { low: p.low, high: p.high }));
        assert_eq!(measurement.reliability[9].observed.unwrap().value, 1.0);
        assert_eq!(measurement.reliability.iter().map(|bin| bin.images).sum::<usize>(), 6);
        assert!(measurement.points.is_empty() && measurement.subtypes.is_empty() && measurement.folders.is_empty());
    }

    #[test]
    fn intervals_are_those_of_a_plain_bootstrap() {
        // Every patient has one radiograph: the share of right ones among n has the binomial interval.
        let list: Vec<LabelledAnswer> = (0..200)
            .map(|i| {
                judged(&format!("p{i}"), i % 2 == 0, if i % 10 < 8 { (i % 2) as f32 } else { 1.0 - (i % 2) as f32 })
            })
            .collect();
        let accuracy = Measurement::of(&list, OperatingPoint::HALF, None).estimates.accuracy.unwrap();
        assert_eq!(accuracy.value, 0.2);
        let interval = accuracy.by_patient.unwrap();
        // Quantiles of the binomial distribution of 200 and 0.2: 29 and 51.
        assert!((interval.low - 0.145).abs() <= 0.01 && (interval.high - 0.255).abs() <= 0.01, "{interval:?}");
    }

    #[test]
    fn more_patients_narrow_and_more_images_of_the_same_do_not() {
        let width = |list: &[LabelledAnswer]| {
            let interval =
                Measurement::of(list, OperatingPoint::HALF, None).estimates.auroc.unwrap().by_patient.unwrap();
            interval.high - interval.low
        };
        let few = images(20, |patient| patient % 2 == 0);
        let many = images(180, |patient| patient % 2 == 0);
        assert!(width(&many) < 0.5 * width(&few), "{} {}", width(&many), width(&few));
        let copies = [&few[..], &few[..], &few[..]].concat();
        assert!((width(&copies) - width(&few)).abs() < 1e-12);
    }

    #[test]
    fn groups_are_measured_apart() {
        let mut list = images(12, |patient| patient % 3 > 0);
        for (i, image) in list.iter_mut().enumerate() {
            image.official = Some(if i < 6 { Part::Train } else { Part::Validation });
            if image.label.positive() {
                image.subtype = Some(if i % 4 < 2 { Subtype::Virus } else { Subtype::Bacteria });
            }
        }
        let point = |threshold| OperatingPoint::unbanded(threshold);
        let points = OperatingPoints { screening: point(0.0), balanced: point(0.5), confirming: point(1.0) };
        let measurement = Measurement::of(&list, point(0.5), Some(points));
        let virus = &measurement.subtypes["virus"];
        let viruses: Vec<&LabelledAnswer> = list.iter().filter(|image| image.subtype == Some(Subtype::Virus)).collect();
        let found = viruses.iter().filter(|image| image.probability >= 0.5).count();
        assert_eq!(virus.counts.images, viruses.len());
        assert_eq!(virus.estimates.sensitivity.unwrap().value, found as f64 / viruses.len() as f64);
        let train = &measurement.folders[&Part::Train];
        assert_eq!((train.counts.images, measurement.folders.len()), (6, 2));
        let right = list[..6].iter().filter(|image| (image.probability >= 0.5) == image.label.positive()).count();
        assert_eq!(train.estimates.accuracy.unwrap().value, right as f64 / 6.0);
        let [screening, balanced, confirming] = &measurement.points[..] else { panic!() };
        assert_eq!(screening.1.estimates.sensitivity.unwrap().value, 1.0);
        assert_eq!(balanced.1.estimates.sensitivity, measurement.estimates.sensitivity);
        assert_eq!(confirming.1.estimates.specificity.unwrap().value, 1.0);
        let json = serde_json::to_value(&measurement).unwrap();
        assert_eq!(json["points"]["screening"]["sensitivity"]["value"], 1.0);
        assert_eq!(json["folders"]["train"]["images"], 6);
    }

    #[test]
    fn what_is_no_probability_counts_as_wrong_and_certain() {
        let list =
            [judged("a", false, f32::NAN), judged("b", false, 0.1), judged("c", true, 2.0), judged("d", true, 0.9)];
        let measurement = Measurement::of(&list, OperatingPoint::HALF, None);
        assert_eq!(measurement.counts.unanswered, 2);
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        let Estimates { accuracy, brier, referred, .. } = measurement.estimates;
        assert_eq!((value(accuracy), value(referred)), (0.5, 0.5));
        assert!((value(brier) - (1.0 + 0.01 + 1.0 + 0.01) / 4.0).abs() < 1e-6);
        assert!(value(measurement.estimates.log_loss).is_finite());
    }

    #[test]
    fn empty_and_single_classes_are_no_error() {
        for list in [vec![], vec![judged("a", true, 0.7)], images(5, |_| true), images(5, |_| false)] {
            let measurement = Measurement::of(&list, OperatingPoint::HALF, None);
            assert_eq!(measurement.estimates.accuracy.is_some(), !list.is_empty());
            assert_eq!((measurement.estimates.auroc, measurement.roc.points.len()), (None, 0));
            assert!(serde_json::to_string(&measurement).is_ok());
        }
    }

    #[test]
    fn bands_hold_their_curves() {
        let measurement = Measurement::of(&images(40, |patient| patient % 3 == 0), OperatingPoint::HALF, None);
        for (kind, curve) in
            [(CurveKind::Roc, &measurement.roc), (CurveKind::PrecisionRecall, &measurement.precision_recall)]
        {
            assert_eq!(curve.band.len(), PLACES + 1);
            for ((_, low, high), value) in curve.band.iter().zip(kind.heights(&curve.points)) {
                assert!(low <= &value && &value <= high && *low >= 0.0 && *high <= 1.0);
            }
        }
    }

    #[test]
    fn heights_of_a_characteristic() {
        let curve = [(0.0, 0.0), (0.0, 0.5), (0.25, 0.5), (0.25, 0.75), (1.0, 1.0)];
        let heights = CurveKind::Roc.heights(&curve);
        assert_eq!((heights[0], heights[50], heights[PLACES]), (0.5, 0.75, 1.0));
        // At (0.6)² = 0.36, on the line from (0.25, 0.75) to (1, 1).
        assert!((heights[60] - (0.75 + 0.25 * 0.11 / 0.75)).abs() < 1e-12);
        assert_eq!(CurveKind::PrecisionRecall.heights(&[(0.5, 1.0), (1.0, 0.8)])[PLACES], 0.8);
        assert!(CurveKind::Roc.heights(&[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn intervals_hold_their_values(list in proptest::collection::vec((0_usize..8, any::<bool>(), 0_u8..=10), 0..30)) {
            let list: Vec<LabelledAnswer> =
                list.iter().map(|(p, b, s)| judged(&format!("p{p}"), *b, f32::from(*s) / 10.0)).collect();
            let Estimates { accuracy, auroc, calibration_error, average_precision, .. } =
                Measurement::of(&list, OperatingPoint::HALF, None).estimates;
            for estimate in [accuracy, auroc, calibration_error, average_precision].into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&estimate.value));
                for interval in estimate.by_patient.into_iter().chain(estimate.wilson) {
                    prop_assert!(interval.low <= estimate.value + 1e-12 && estimate.value <= interval.high + 1e-12);
                }
            }
        }
    }
}
