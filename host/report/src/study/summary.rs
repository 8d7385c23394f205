//! What the runs of each experiment gave together, and how that compares with what was published.

use learn::{
    study::{Experiment, Measured, Outcome, Plan, Published, Record, SetResult},
    training::Recipe,
};
use measure::statistics::{Confusion, Proportion};
use serde::Serialize;

use super::{
    About,
    differences::ComparisonAnswer,
    intervals::{Spread, overlap},
};

/// Everything that is computed.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    /// What it is about.
    pub(super) about: &'a About,
    /// Experiments, in the order of the plan.
    pub(super) experiments: Vec<ExperimentRow<'a>>,
    /// Comparisons, in the order of the plan.
    pub(super) comparisons: Vec<ComparisonAnswer<'a>>,
}

/// An experiment and its runs.
#[derive(Debug, Serialize)]
pub(super) struct ExperimentRow<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its title.
    pub(super) title: &'a str,
    /// Name of its group.
    pub(super) group: &'a str,
    /// True if it is run only when named.
    pub(super) on_request: bool,
    /// How it is trained.
    pub(super) recipe: &'a Recipe,
    /// Its runs, by seed.
    pub(super) runs: Vec<Run<'a>>,
    /// Over the finished runs; `None` if there is none.
    pub(super) figures: Option<RowFigures>,
    /// What was published about it.
    pub(super) published: Option<Check<'a>>,
    #[serde(skip)]
    pub(super) records: Vec<&'a Record>,
}

/// Figures over the finished runs of an experiment.
#[derive(Debug, Serialize)]
pub(super) struct RowFigures {
    /// On the test part.
    pub(super) test_accuracy: Estimate,
    /// On the training part.
    pub(super) train_accuracy: Estimate,
    /// On the test part, with the L2 term.
    pub(super) test_loss: Spread,
    /// On the training part, with the L2 term.
    pub(super) train_loss: Spread,
    /// On the test part.
    pub(super) auroc: Option<Spread>,
    /// On the test part.
    pub(super) sensitivity: Option<Spread>,
    /// On the test part.
    pub(super) specificity: Option<Spread>,
    /// Of training.
    pub(super) seconds: Spread,
    /// Trained numbers of the network.
    pub(super) parameters: usize,
    /// Decisions, summed over the runs' test parts.
    pub(super) confusion: Confusion,
}

/// An accuracy over runs.
#[derive(Debug, Serialize)]
pub(super) struct Estimate {
    /// Over the runs.
    pub(super) spread: Spread,
    /// Images of one run's set (the smallest): the sets of the runs overlap, so more runs are not more images.
    pub(super) images: usize,
    /// Of the mean, on this many images.
    pub(super) interval: Proportion,
}

/// A run.
#[derive(Debug, Serialize)]
pub(super) struct Run<'a> {
    /// Its experiment.
    pub(super) experiment: &'a str,
    /// Its seed.
    pub(super) seed: u64,
    /// Why it failed; `None` if it did not.
    pub(super) failure: Option<&'a str>,
    /// Figures, if it was finished.
    pub(super) figures: Option<RunFigures>,
    /// Version of Pumua.
    pub(super) version: &'a str,
    /// When it ended.
    pub(super) date: &'a str,
    /// The computer.
    pub(super) machine: &'a str,
    /// Its threads.
    pub(super) threads: usize,
    /// Digest of its data.
    pub(super) data_digest: &'a str,
    /// Digest of recipe, seed and data.
    pub(super) fingerprint: &'a str,
    /// True if trained on drawings.
    pub(super) synthetic: bool,
}

/// Figures of a finished run.
#[derive(Debug, Serialize)]
pub(super) struct RunFigures {
    /// On the test part.
    pub(super) test_accuracy: Option<f64>,
    /// On the training part.
    pub(super) train_accuracy: Option<f64>,
    /// On the test part, with the L2 term.
    pub(super) test_loss: f64,
    /// On the training part, with the L2 term.
    pub(super) train_loss: f64,
    /// On the test part.
    pub(super) auroc: Option<f64>,
    /// On the test part.
    pub(super) sensitivity: Option<f64>,
    /// On the test part.
    pub(super) specificity: Option<f64>,
    /// The epoch whose weights were measured.
    pub(super) kept_epoch: usize,
    /// Epochs that it was trained for.
    pub(super) epochs: usize,
    /// Of training.
    pub(super) seconds: f64,
    /// Images of the training, validation and test parts.
    pub(super) images: [usize; 3],
}

/// Published figures, and whether ours agree with them.
#[derive(Debug, Serialize)]
pub(super) struct Check<'a> {
    /// As published.
    pub(super) published: &'a Published,
    /// The published test accuracy, where the number of images is published.
    pub(super) test_accuracy: Option<Proportion>,
    /// The published training accuracy, where the number of images is published.
    pub(super) train_accuracy: Option<Proportion>,
    /// Whether the intervals of the test accuracy overlap; `None` where one is missing.
    pub(super) test_overlaps: Option<bool>,
    /// Whether the intervals of the training accuracy overlap; `None` where one is missing.
    pub(super) train_overlaps: Option<bool>,
}

impl<'a> Summary<'a> {
    /// Computes everything.
    pub(super) fn new(plan: &'a Plan, records: &'a [Record], about: &'a About) -> Self {
        let experiments: Vec<_> =
            plan.experiments.iter().map(|experiment| ExperimentRow::new(experiment, records)).collect();
        let comparisons = plan.comparisons.iter().map(|c| ComparisonAnswer::new(c, &experiments)).collect();
        Self { about, experiments, comparisons }
    }

    /// True if any figure comes from drawings.
    pub(super) fn synthetic(&self) -> bool {
        self.about.synthetic || self.runs().any(|run| run.synthetic)
    }

    /// The experiment of that name.
    pub(super) fn row(&self, name: &str) -> Option<&ExperimentRow<'a>> {
        self.experiments.iter().find(|row| row.name == name)
    }

    /// Every run.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run<'a>> {
        self.experiments.iter().flat_map(|row| &row.runs)
    }
}

impl<'a> ExperimentRow<'a> {
    fn new(experiment: &'a Experiment, records: &'a [Record]) -> Self {
        let mut records: Vec<&Record> = records.iter().filter(|r| r.experiment == experiment.name).collect();
        records.sort_by_key(|record| record.seed);
        let measured: Vec<&Measured> = records.iter().filter_map(|r| r.measured()).collect();
        let figures = RowFigures::of(&measured);
        Self {
            name: &experiment.name,
            title: &experiment.title,
            group: &experiment.group,
            on_request: experiment.on_request,
            recipe: &experiment.recipe,
            runs: records.iter().map(|record| Run::of(record)).collect(),
            published: experiment.published.as_ref().map(|published| {
                // What drawings give says nothing about figures from X-rays.
                let figures = figures.as_ref().filter(|_| records.iter().all(|record| !record.synthetic));
                Check::new(published, figures)
            }),
            figures,
            records,
        }
    }

    /// Finished runs.
    pub(super) fn finished(&self) -> usize {
        self.runs.iter().filter(|run| run.figures.is_some()).count()
    }

    /// How far it is, in words.
    pub(super) fn state(&self) -> String {
        let (finished, all) = (self.finished(), self.runs.len());
        match (finished, all - finished) {
            (0, 0) if self.on_request => "not run (only on request)".to_owned(),
            (0, 0) => "not run".to_owned(),
            (0, _) => "failed".to_owned(),
            (_, 0) => format!("{finished}"),
            (_, failed) => format!("{finished}, {failed} failed"),
        }
    }
}

impl RowFigures {
    fn of(runs: &[&Measured]) -> Option<Self> {
        let over = |value: &dyn Fn(&Measured) -> Option<f64>| {
            Spread::of(&runs.iter().filter_map(|run| value(run)).collect::<Vec<_>>())
        };
        let estimate = |set: fn(&Measured) -> &SetResult| {
            let spread = over(&|run| set(run).figures.accuracy.map(|a| a.value))?;
            let images = runs.iter().map(|run| set(run).figures.images).filter(|images| *images > 0).min()?;
            Some(Estimate { spread, images, interval: Proportion::around(spread.mean, images)? })
        };
        let mut confusion = Confusion::default();
        for run in runs {
            confusion = confusion.plus(run.test.figures.confusion);
        }
        Some(Self {
            test_accuracy: estimate(|run| &run.test)?,
            train_accuracy: estimate(|run| &run.train)?,
            test_loss: over(&|run| Some(run.test.loss))?,
            train_loss: over(&|run| Some(run.train.loss))?,
            auroc: over(&|run| run.test.figures.auroc),
            sensitivity: over(&|run| run.test.figures.sensitivity.map(|s| s.value)),
            specificity: over(&|run| run.test.figures.specificity.map(|s| s.value)),
            seconds: over(&|run| Some(run.seconds))?,
            parameters: runs.first()?.parameters,
            confusion,
        })
    }
}

impl<'a> Run<'a> {
    fn of(record: &'a Record) -> Self {
        let failure = match &record.outcome {
            Outcome::Failed(why) => Some(why.as_str()),
            Outcome::Done(_) => None,
        };
        Self {
            experiment: &record.experiment,
            seed: record.seed,
            failure,
            figures: record.measured().map(RunFigures::of),
            version: &record.version,
            date: &record.date,
            machine: &record.machine,
            threads: record.threads,
            data_digest: &record.data_digest,
            fingerprint: &record.fingerprint,
            synthetic: record.synthetic,
        }
    }
}

impl RunFigures {
    fn of(run: &Measured) -> Self {
        let Measured { train, test, .. } = run;
        Self {
            test_accuracy: test.figures.accuracy.map(|a| a.value),
            train_accuracy: train.figures.accuracy.map(|a| a.value),
            test_loss: test.loss,
            train_loss: train.loss,
            auroc: test.figures.auroc,
            sensitivity: test.figures.sensitivity.map(|s| s.value),
            specificity: test.figures.specificity.map(|s| s.value),
            kept_epoch: run.kept_epoch,
            epochs: run.history.len(),
            seconds: run.seconds,
            images: run.parts.map(|part| part.normal + part.pneumonia),
        }
    }
}

impl<'a> Check<'a> {
    fn new(published: &'a Published, figures: Option<&RowFigures>) -> Self {
        let around = |share: Option<f64>, images: Option<usize>| Proportion::around(share?, images?);
        let test_accuracy = around(published.test_accuracy, published.test_images);
        let train_accuracy = around(published.train_accuracy, published.train_images);
        let overlaps = |one: Option<Proportion>, other: Option<&Estimate>| Some(overlap(one?, other?.interval));
        Self {
            published,
            test_accuracy,
            train_accuracy,
            test_overlaps: overlaps(test_accuracy, figures.map(|f| &f.test_accuracy)),
            train_overlaps: overlaps(train_accuracy, figures.map(|f| &f.train_accuracy)),
        }
    }
}
