//! What a comparison answers: differences of test accuracy with their intervals, and what may be said of them.

use learn::study::{Comparison, Measured, Record};
use measure::statistics::Scored;
use serde::Serialize;

use super::{
    intervals::{Difference, Spread},
    summary::ExperimentRow,
};

/// Seeds below which nothing is claimed: a single run may be lucky.
pub(super) const ENOUGH_SEEDS: usize = 3;

/// A question and what the runs say to it.
#[derive(Debug, Serialize)]
pub(super) struct ComparisonAnswer<'a> {
    /// Name of the comparison.
    pub(super) name: &'a str,
    /// The question.
    pub(super) question: &'a str,
    /// What to know when reading the answer.
    pub(super) note: Option<&'a str>,
    /// The experiment that the others are compared with.
    pub(super) baseline: &'a str,
    /// The others.
    pub(super) others: Vec<Contrast<'a>>,
}

/// An experiment against the baseline.
#[derive(Debug, Serialize)]
pub(super) struct Contrast<'a> {
    /// The experiment.
    pub(super) experiment: &'a str,
    /// What may be said.
    pub(super) verdict: Verdict,
    /// What that rests on; `None` without finished runs of both.
    pub(super) evidence: Option<Evidence>,
}

/// What may be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The accuracy is higher.
    Higher,
    /// The accuracy is lower.
    Lower,
    /// The interval holds zero.
    Open,
    /// The interval leaves zero out, but not every seed agrees.
    SeedsDisagree,
    /// The interval leaves zero out, but there are too few seeds.
    FewSeeds,
    /// One of the two has no finished run.
    Missing,
}

/// A measured difference: experiment less baseline.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    /// Runs that judged the same images.
    pub(super) pairs: Option<Pairs>,
    /// Of test accuracy.
    pub(super) difference: Difference,
    /// Of test accuracy, a value for each common seed; empty if the runs judged other images.
    pub(super) by_seed: Vec<f64>,
    /// True if every common seed's difference has the sign of the whole or, without common ones, if the runs of one are
    /// all better than those of the other.
    pub(super) seeds_agree: bool,
    /// Seeds of the experiment with the fewest, or common ones where runs are paired.
    pub(super) seeds: usize,
    /// Mean difference of AUROC.
    pub(super) auroc: Option<f64>,
}

/// Decisions on the same images, summed over seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Pairs {
    /// Images judged by both.
    pub(super) images: usize,
    /// Only the experiment was right.
    pub(super) gained: usize,
    /// Only the baseline was right.
    pub(super) lost: usize,
}

impl<'a> ComparisonAnswer<'a> {
    pub(super) fn new(comparison: &'a Comparison, rows: &[ExperimentRow<'a>]) -> Self {
        let row = |name: &str| rows.iter().find(|row| row.name == name);
        let baseline = comparison.experiments.first().map_or("", String::as_str);
        let others = comparison.experiments.iter().skip(1).map(|name| {
            let evidence = row(baseline).zip(row(name)).and_then(|(first, other)| Evidence::of(first, other));
            let verdict = evidence.as_ref().map_or(Verdict::Missing, Evidence::verdict);
            Contrast { experiment: name, verdict, evidence }
        });
        Self {
            name: &comparison.name,
            question: &comparison.question,
            note: comparison.note.as_deref(),
            baseline,
            others: others.collect(),
        }
    }
}

impl Evidence {
    /// Paired where runs of both judged the same images, else of the mean accuracies.
    fn of(first: &ExperimentRow<'_>, other: &ExperimentRow<'_>) -> Option<Self> {
        let (mut pairs, mut by_seed, mut auroc) = (Pairs::default(), Vec::new(), Vec::new());
        for (a, b) in first.records.iter().flat_map(|a| other.records.iter().map(move |b| (*a, *b))) {
            let Some((one, two)) = same_images(a, b) else { continue };
            let seed = Pairs::of((&one.test_scores, a.recipe.threshold), (&two.test_scores, b.recipe.threshold));
            by_seed.push((seed.gained as f64 - seed.lost as f64) / seed.images as f64);
            auroc.extend(two.test.figures.auroc.zip(one.test.figures.auroc).map(|(two, one)| two - one));
            pairs.add(seed);
        }
        if !by_seed.is_empty() {
            // Of one test part: those of several seeds overlap, and more seeds are not more images.
            let [gained, lost, images] =
                [pairs.gained, pairs.lost, pairs.images].map(|count| count as f64 / by_seed.len() as f64);
            let difference = Difference::paired(gained, lost, images);
            return Some(Self {
                pairs: Some(pairs),
                seeds_agree: by_seed.iter().all(|own| own * difference.value > 0.0),
                difference,
                seeds: by_seed.len(),
                by_seed,
                auroc: Spread::of(&auroc).map(|spread| spread.mean),
            });
        }
        let (one, two) = (first.figures.as_ref()?, other.figures.as_ref()?);
        let (ours, theirs) = (two.test_accuracy.spread, one.test_accuracy.spread);
        Some(Self {
            pairs: None,
            difference: Difference::independent(two.test_accuracy.interval, one.test_accuracy.interval),
            by_seed: Vec::new(),
            seeds_agree: theirs.max < ours.min || ours.max < theirs.min,
            seeds: first.finished().min(other.finished()),
            auroc: two.auroc.zip(one.auroc).map(|(two, one)| two.mean - one.mean),
        })
    }

    fn verdict(&self) -> Verdict {
        if !self.difference.excludes_zero() {
            Verdict::Open
        } else if self.seeds < ENOUGH_SEEDS {
            Verdict::FewSeeds
        } else if !self.seeds_agree {
            Verdict::SeedsDisagree
        } else if self.difference.value > 0.0 {
            Verdict::Higher
        } else {
            Verdict::Lower
        }
    }
}

impl Pairs {
    /// Scores of the baseline and of the experiment, with their thresholds.
    fn of((first, first_from): (&[Scored], f32), (other, other_from): (&[Scored], f32)) -> Self {
        let right = |scored: &Scored, from| (scored.probability >= from) == scored.positive;
        let mut pairs = Self { images: first.len(), ..Self::default() };
        for (first, other) in first.iter().zip(other) {
            match (right(first, first_from), right(other, other_from)) {
                (false, true) => pairs.gained += 1,
                (true, false) => pairs.lost += 1,
                _ => {}
            }
        }
        pairs
    }

    fn add(&mut self, other: Self) {
        self.images += other.images;
        self.gained += other.gained;
        self.lost += other.lost;
    }
}

/// What two runs measured, if they measured it on the same images: same data, same split, same seed.
fn same_images<'a>(a: &'a Record, b: &'a Record) -> Option<(&'a Measured, &'a Measured)> {
    let (one, two) = (a.measured()?, b.measured()?);
    let truths = || one.test_scores.iter().map(|s| s.positive).eq(two.test_scores.iter().map(|s| s.positive));
    let same = a.seed == b.seed && a.recipe.split == b.recipe.split && a.data_digest == b.data_digest && truths();
    (same && !one.test_scores.is_empty()).then_some((one, two))
}
