//! The figures as CSV, a column for each.

use base::cell::text;

use super::{
    differences::{ComparisonAnswer, Contrast, Evidence},
    summary::{Check, Estimate, ExperimentRow, RowFigures, Run, RunFigures, Summary},
};

type Column<T> = (&'static str, fn(&T) -> String);

/// One line an experiment.
pub(super) fn experiments(summary: &Summary<'_>) -> csv::Result<Vec<u8>> {
    fn of<V: ToString>(row: &ExperimentRow<'_>, value: impl Fn(&RowFigures) -> Option<V>) -> String {
        cell(row.figures.as_ref().and_then(value))
    }
    fn test<V: ToString>(row: &ExperimentRow<'_>, value: impl Fn(&Estimate) -> Option<V>) -> String {
        of(row, |f| value(&f.test_accuracy))
    }
    fn train<V: ToString>(row: &ExperimentRow<'_>, value: impl Fn(&Estimate) -> Option<V>) -> String {
        of(row, |f| value(&f.train_accuracy))
    }
    fn check<V: ToString>(row: &ExperimentRow<'_>, value: impl Fn(&Check<'_>) -> Option<V>) -> String {
        cell(row.published.as_ref().and_then(value))
    }
    let columns: &[Column<ExperimentRow<'_>>] = &[
        ("experiment", |r| r.name.to_owned()),
        ("title", |r| text(r.title).into_owned()),
        ("group", |r| r.group.to_owned()),
        ("finished", |r| r.finished().to_string()),
        ("failed", |r| (r.runs.len() - r.finished()).to_string()),
        ("synthetic", |r| cell(r.runs.first().map(|run| run.synthetic))),
        ("parameters", |r| of(r, |f| Some(f.parameters))),
        ("test_images", |r| test(r, |e| Some(e.images))),
        ("test_accuracy", |r| test(r, |e| Some(e.spread.mean))),
        ("test_accuracy_low", |r| test(r, |e| Some(e.interval.low))),
        ("test_accuracy_high", |r| test(r, |e| Some(e.interval.high))),
        ("test_accuracy_min", |r| test(r, |e| Some(e.spread.min))),
        ("test_accuracy_max", |r| test(r, |e| Some(e.spread.max))),
        ("test_accuracy_deviation", |r| test(r, |e| e.spread.deviation)),
        ("train_images", |r| train(r, |e| Some(e.images))),
        ("train_accuracy", |r| train(r, |e| Some(e.spread.mean))),
        ("train_accuracy_low", |r| train(r, |e| Some(e.interval.low))),
        ("train_accuracy_high", |r| train(r, |e| Some(e.interval.high))),
        ("test_loss", |r| of(r, |f| Some(f.test_loss.mean))),
        ("train_loss", |r| of(r, |f| Some(f.train_loss.mean))),
        ("auroc", |r| of(r, |f| Some(f.auroc?.mean))),
        ("sensitivity", |r| of(r, |f| Some(f.sensitivity?.mean))),
        ("specificity", |r| of(r, |f| Some(f.specificity?.mean))),
        ("seconds", |r| of(r, |f| Some(f.seconds.mean))),
        ("published_test_accuracy", |r| check(r, |c| c.published.test_accuracy)),
        ("published_test_accuracy_low", |r| check(r, |c| Some(c.test_accuracy?.low))),
        ("published_test_accuracy_high", |r| check(r, |c| Some(c.test_accuracy?.high))),
        ("test_overlaps", |r| check(r, |c| c.test_overlaps)),
        ("published_train_accuracy", |r| check(r, |c| c.published.train_accuracy)),
        ("published_train_accuracy_low", |r| check(r, |c| Some(c.train_accuracy?.low))),
        ("published_train_accuracy_high", |r| check(r, |c| Some(c.train_accuracy?.high))),
        ("train_overlaps", |r| check(r, |c| c.train_overlaps)),
        ("published_test_loss", |r| check(r, |c| c.published.test_loss)),
        ("published_train_loss", |r| check(r, |c| c.published.train_loss)),
    ];
    write(columns, summary.experiments.iter())
}

/// One line a run.
pub(super) fn runs(summary: &Summary<'_>) -> csv::Result<Vec<u8>> {
    fn of<V: ToString>(run: &Run<'_>, value: impl Fn(&RunFigures) -> Option<V>) -> String {
        cell(run.figures.as_ref().and_then(value))
    }
    let columns: &[Column<Run<'_>>] = &[
        ("experiment", |r| r.experiment.to_owned()),
        ("seed", |r| r.seed.to_string()),
        ("failure", |r| cell(r.failure.map(text))),
        ("synthetic", |r| r.synthetic.to_string()),
        ("test_accuracy", |r| of(r, |f| f.test_accuracy)),
        ("train_accuracy", |r| of(r, |f| f.train_accuracy)),
        ("test_loss", |r| of(r, |f| Some(f.test_loss))),
        ("train_loss", |r| of(r, |f| Some(f.train_loss))),
        ("auroc", |r| of(r, |f| f.auroc)),
        ("sensitivity", |r| of(r, |f| f.sensitivity)),
        ("specificity", |r| of(r, |f| f.specificity)),
        ("kept_epoch", |r| of(r, |f| Some(f.kept_epoch))),
        ("epochs", |r| of(r, |f| Some(f.epochs))),
        ("train_images", |r| of(r, |f| Some(f.images[0]))),
        ("validation_images", |r| of(r, |f| Some(f.images[1]))),
        ("test_images", |r| of(r, |f| Some(f.images[2]))),
        ("seconds", |r| of(r, |f| Some(f.seconds))),
        ("threads", |r| r.threads.to_string()),
        ("machine", |r| text(r.machine).into_owned()),
        ("version", |r| r.version.to_owned()),
        ("date", |r| r.date.to_owned()),
        ("data_digest", |r| r.data_digest.to_owned()),
        ("fingerprint", |r| r.fingerprint.to_owned()),
    ];
    write(columns, summary.runs())
}

/// One line a difference.
pub(super) fn comparisons(summary: &Summary<'_>) -> csv::Result<Vec<u8>> {
    type Pair<'a> = (&'a ComparisonAnswer<'a>, &'a Contrast<'a>);
    fn of<V: ToString>((_, contrast): &Pair<'_>, value: impl Fn(&Evidence) -> Option<V>) -> String {
        cell(contrast.evidence.as_ref().and_then(value))
    }
    let columns: &[Column<Pair<'_>>] = &[
        ("comparison", |(a, _)| a.name.to_owned()),
        ("baseline", |(a, _)| a.baseline.to_owned()),
        ("experiment", |(_, c)| c.experiment.to_owned()),
        ("verdict", |(_, c)| super::words::verdict(c.verdict).to_owned()),
        ("seeds", |p| of(p, |e| Some(e.seeds))),
        ("images", |p| of(p, |e| Some(e.pairs?.images))),
        ("gained", |p| of(p, |e| Some(e.pairs?.gained))),
        ("lost", |p| of(p, |e| Some(e.pairs?.lost))),
        ("difference", |p| of(p, |e| Some(e.difference.value))),
        ("difference_low", |p| of(p, |e| Some(e.difference.low))),
        ("difference_high", |p| of(p, |e| Some(e.difference.high))),
        ("auroc_difference", |p| of(p, |e| e.auroc)),
    ];
    let pairs: Vec<_> = summary.comparisons.iter().flat_map(|a| a.others.iter().map(move |c| (a, c))).collect();
    write(columns, pairs.iter())
}

fn cell<V: ToString>(value: Option<V>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn write<'a, T: 'a>(columns: &[Column<T>], rows: impl Iterator<Item = &'a T>) -> csv::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns.iter().map(|(name, _)| name))?;
    for row in rows {
        csv.write_record(columns.iter().map(|(_, value)| value(row)))?;
    }
    csv.into_inner().map_err(|e| e.into_error().into())
}
