//! Everything that is measured of a model on labelled radiographs, with intervals.

use std::collections::BTreeMap;

use data::Subtype;
use serde::Serialize;
use shared::{
    rates::{Outcomes, Rates},
    verdict::{OperatingPoint, OperatingPoints, Profile, Verdict},
};

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
pub(super) type Measure = fn(&Weighted<'_>) -> Option<Value>;

/// Places at which the bands of the curves are computed, closer together where the curves bend.
const PLACES: usize = 100;

/// Radiographs that something puts into more groups than this are not measured by it: tables end somewhere, and each group
/// keeps its figures of every resample.
const MOST_GROUPS: usize = 64;

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
    /// What the box says at one operating point, with its refusals, as shares of the radiographs of each kind.
    BoxEstimates {
        /// Share of all that get a *wrong verdict*: called normal or pneumonia, and they are not.
        wrong_verdicts = wrong_verdicts;
        /// Share of right verdicts among the definite ones: those that are neither referred nor refused.
        definite_right = definite_right;
        /// Share of those with pneumonia that are called pneumonia.
        pneumonia_called_pneumonia = |w| said(w.rates().of_pneumonia, Some(Verdict::Pneumonia));
        /// Share of those with pneumonia that are referred.
        pneumonia_referred = |w| said(w.rates().of_pneumonia, Some(Verdict::Refer));
        /// Share of those with pneumonia that are called normal.
        pneumonia_called_normal = |w| said(w.rates().of_pneumonia, Some(Verdict::Normal));
        /// Share of those with pneumonia that are refused.
        pneumonia_refused = |w| said(w.rates().of_pneumonia, None);
        /// Share of the normal ones that are called normal.
        normal_called_normal = |w| said(w.rates().of_normal, Some(Verdict::Normal));
        /// Share of the normal ones that are referred.
        normal_referred = |w| said(w.rates().of_normal, Some(Verdict::Refer));
        /// Share of the normal ones that are called pneumonia.
        normal_called_pneumonia = |w| said(w.rates().of_normal, Some(Verdict::Pneumonia));
        /// Share of the normal ones that are refused.
        normal_refused = |w| said(w.rates().of_normal, None);
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
    /// The radiographs of one group, such as those of one X-ray machine or of one of the publishers' folders.
    GroupEstimates {
        /// Area under the receiver operating characteristic.
        auroc = auroc;
        /// Share of right decisions at the threshold.
        accuracy = accuracy;
        /// Share of those with pneumonia that are found at the threshold.
        sensitivity = sensitivity;
        /// Share of the normal ones that are called so at the threshold.
        specificity = specificity;
        /// Share that the box refers.
        referred = |w| of_all(w, |kind| kind.refer);
        /// Share that the box refuses.
        refused = |w| of_all(w, |kind| kind.refused);
        /// Share that gets a *wrong verdict*: called normal or pneumonia, and it is not.
        wrong_verdicts = wrong_verdicts;
        /// Share of right verdicts among the definite ones: those that are neither referred nor refused.
        definite_right = definite_right;
    }
}

impl GroupEstimates {
    /// What a table of groups shows, in this order.
    pub const SHOWN: [&str; 7] =
        ["AUROC", "sensitivity", "specificity", "referred", "refused", "wrong verdicts", "right of the definite"];

    /// The figures of [`Self::SHOWN`].
    pub fn shown(&self) -> [Option<Estimate>; 7] {
        [
            self.auroc,
            self.sensitivity,
            self.specificity,
            self.referred,
            self.refused,
            self.wrong_verdicts,
            self.definite_right,
        ]
    }
}

fn said(outcomes: Outcomes, verdict: Option<Verdict>) -> Option<Value> {
    let count = verdict.map_or(outcomes.refused, |verdict| outcomes.of(verdict));
    Value::share(count as usize, outcomes.total() as usize)
}

/// Share of all radiographs to which the box says what `count` counts.
fn of_all(w: &Weighted<'_>, count: fn(Outcomes) -> u32) -> Option<Value> {
    let Rates { of_normal, of_pneumonia } = w.rates();
    Value::share((count(of_normal) + count(of_pneumonia)) as usize, w.images())
}

/// Definite verdicts of the box that are right, and that are wrong.
pub(crate) fn definite(w: &Weighted<'_>) -> [usize; 2] {
    let Rates { of_normal, of_pneumonia } = w.rates();
    [of_normal.normal + of_pneumonia.pneumonia, of_normal.pneumonia + of_pneumonia.normal].map(|count| count as usize)
}

pub(super) fn wrong_verdicts(w: &Weighted<'_>) -> Option<Value> {
    let [_, wrong] = definite(w);
    Value::share(wrong, w.images())
}

pub(super) fn definite_right(w: &Weighted<'_>) -> Option<Value> {
    let [right, wrong] = definite(w);
    Value::share(right, right + wrong)
}

fn sum(counts: [usize; 2]) -> usize {
    counts[0] + counts[1]
}

pub(super) fn accuracy(w: &Weighted<'_>) -> Option<Value> {
    Value::share(w.right(), w.images())
}

fn sensitivity(w: &Weighted<'_>) -> Option<Value> {
    Value::share(w.confusion.true_positives, w.confusion.positives())
}

fn specificity(w: &Weighted<'_>) -> Option<Value> {
    Value::share(w.confusion.true_negatives, w.confusion.negatives())
}

pub(super) fn auroc(w: &Weighted<'_>) -> Option<Value> {
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
    /// What the box says there.
    pub as_the_box: AsTheBox,
}

/// What the box says at an operating point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AsTheBox {
    /// Counted.
    pub counts: Rates,
    /// As shares of the radiographs of each kind.
    #[serde(flatten)]
    pub shares: BoxEstimates,
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
    /// By what [`data::Sample::groups`] names, such as `machine` or `folder`, and by group. What puts all radiographs into
    /// one group, or into more than 64, is left out.
    pub groups: BTreeMap<&'static str, BTreeMap<String, Group<GroupEstimates>>>,
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
    groups: Vec<Members>,
}

/// The radiographs of one group.
struct Members {
    /// What the group is one of.
    by: &'static str,
    name: String,
    /// Their places among all.
    places: Vec<usize>,
    ranked: Ranked,
    counts: Counts,
}

impl Members {
    /// All groups, without those that hold every radiograph, and those that are one of too many.
    fn of(judged: &[LabelledAnswer]) -> Vec<Self> {
        let mut groups: BTreeMap<(&'static str, &str), Vec<usize>> = BTreeMap::new();
        for (place, image) in judged.iter().enumerate() {
            for (by, name) in &image.groups {
                groups.entry((by, name)).or_default().push(place);
            }
        }
        let mut number: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (by, _) in groups.keys() {
            *number.entry(by).or_default() += 1;
        }
        groups
            .into_iter()
            .filter(|((by, _), places)| places.len() < judged.len() && number[by] <= MOST_GROUPS)
            .map(|((by, name), places)| {
                let images: Vec<LabelledAnswer> = places.iter().map(|&place| judged[place].clone()).collect();
                Self { by, name: name.to_owned(), places, ranked: ranked(&images), counts: Counts::of(&images) }
            })
            .collect()
    }

    /// `weights` are those of all radiographs.
    fn values(&self, weights: &[usize], point: OperatingPoint) -> GroupEstimates<Option<Value>> {
        let weights: Vec<usize> = self.places.iter().map(|&place| weights[place]).collect();
        GroupEstimates::measure(&self.ranked.weighted(&weights, point))
    }
}

/// The values of all figures under one set of weights.
struct Values {
    estimates: Estimates<Option<Value>>,
    decision: PointValues,
    /// One for each profile.
    points: Vec<PointValues>,
    /// One for each subtype.
    subtypes: Vec<SubtypeEstimates<Option<Value>>>,
    /// One for each group.
    groups: Vec<GroupEstimates<Option<Value>>>,
}

/// The values at one operating point.
struct PointValues {
    estimates: PointEstimates<Option<Value>>,
    counts: Rates,
    shares: BoxEstimates<Option<Value>>,
}

impl PointValues {
    fn measure(of: &Weighted<'_>) -> Self {
        Self { estimates: PointEstimates::measure(of), counts: of.rates(), shares: BoxEstimates::measure(of) }
    }

    fn figures<'a>(
        &self,
        point: OperatingPoint,
        resamples: impl ExactSizeIterator<Item = &'a Self> + Clone,
    ) -> PointFigures {
        PointFigures {
            point,
            estimates: self.estimates.estimate(resamples.clone().map(|values| &values.estimates)),
            as_the_box: AsTheBox {
                counts: self.counts,
                shares: self.shares.estimate(resamples.map(|values| &values.shares)),
            },
        }
    }
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
        Self {
            point,
            profiles: points
                .into_iter()
                .flat_map(|points| Profile::ALL.map(|profile| (profile, points.of(profile))))
                .collect(),
            subtypes,
            groups: Members::of(judged),
        }
    }

    /// `all` are the radiographs under `weights` at the model's point.
    fn values(&self, ranked: &Ranked, weights: &[usize], all: &Weighted<'_>) -> Values {
        let kept = |mask: &Mask| -> Vec<usize> {
            weights.iter().zip(mask).map(|(weight, kept)| weight * usize::from(*kept)).collect()
        };
        Values {
            estimates: Estimates::measure(all),
            decision: PointValues::measure(all),
            points: self
                .profiles
                .iter()
                .map(|(_, point)| PointValues::measure(&ranked.weighted(weights, *point)))
                .collect(),
            subtypes: self
                .subtypes
                .iter()
                .map(|(_, mask)| SubtypeEstimates::measure(&ranked.weighted(&kept(mask), self.point)))
                .collect(),
            groups: self.groups.iter().map(|group| group.values(weights, self.point)).collect(),
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
            (profile, values.points[number].figures(point, resamples.clone().map(|values| &values.points[number])))
        };
        let subtype = |number: usize, &(subtype, _): &(Subtype, Mask)| {
            let estimates = values.subtypes[number].estimate(resamples.clone().map(|values| &values.subtypes[number]));
            let counts = counts(&|image| image.subtype == Some(subtype) && image.label.positive());
            (subtype.as_str(), Group { counts, estimates })
        };
        let mut groups: BTreeMap<&'static str, BTreeMap<String, Group<GroupEstimates>>> = BTreeMap::new();
        for (number, Members { by, name, counts, .. }) in views.groups.iter().enumerate() {
            let estimates = values.groups[number].estimate(resamples.clone().map(|values| &values.groups[number]));
            groups.entry(by).or_default().insert(name.clone(), Group { counts: *counts, estimates });
        }
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
            decision: values.decision.figures(point, resamples.clone().map(|values| &values.decision)),
            points: views.profiles.iter().enumerate().map(|(number, view)| figures(number, view)).collect(),
            subtypes: views.subtypes.iter().enumerate().map(|(number, view)| subtype(number, view)).collect(),
            groups,
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
mod tests;
