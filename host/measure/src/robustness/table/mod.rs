//! The figures of a model after each change.

use data::Sample;
use rayon::prelude::*;
use serde::Serialize;
use shared::verdict::OperatingPoint;

use super::{
    change::{Change, Kind},
    run::{Answers, ModelAnswer},
};
use crate::{
    evaluation::{Estimate, Interval, LabelledAnswer, Paired, definite, ranked},
    statistics::Proportion,
};

/// A model's figures after one change, and against the same radiographs without it.
#[derive(Clone, Debug, Serialize)]
pub struct RobustnessRow {
    /// Name of the change; `unchanged` for the first row.
    pub change: &'static str,
    /// What the change is for; `None` in the first row.
    pub kind: Option<Kind>,
    /// Radiographs judged.
    pub images: usize,
    /// Radiographs that cannot be judged after the change; they are in no figure of this row.
    pub unjudged: usize,
    /// Share of those judged that the box would refuse by its guard; the other figures are of these, too.
    pub withheld: Option<Proportion>,
    /// Share of those judged of which the box would say *normal* or *pneumonia*, and would be wrong.
    #[serde(rename = "told_wrong")]
    pub wrong_verdicts: Option<Proportion>,
    /// Share of right verdicts among the definite ones: those that are neither referred nor refused.
    pub definite_right: Option<Proportion>,
    /// Area under the receiver operating characteristic; `None` with one class only.
    pub auroc: Option<f64>,
    /// Share of right decisions at the threshold.
    pub accuracy: Option<Proportion>,
    /// Expected calibration error over ten bins.
    pub calibration_error: f64,
    /// Mean probability of pneumonia of each class.
    pub mean_probability: MeanProbability,
    /// Against no change; `None` in the first row.
    pub against_unchanged: Option<Shift>,
}

/// Means of a class. Serializes as an array in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(into = "[Option<f64>; 2]")]
pub struct MeanProbability {
    /// Of the normal radiographs.
    pub normal: Option<f64>,
    /// Of those with pneumonia.
    pub pneumonia: Option<f64>,
}

impl From<MeanProbability> for [Option<f64>; 2] {
    fn from(MeanProbability { normal, pneumonia }: MeanProbability) -> Self {
        [normal, pneumonia]
    }
}

/// After a change less before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// On the radiographs of the row.
    pub value: f64,
    /// Its 95 % interval by bootstrap over patients; `None` where a class has a single patient.
    #[serde(flatten)]
    pub interval: Option<Interval>,
}

impl From<Estimate> for Difference {
    fn from(estimate: Estimate) -> Self {
        Self { value: estimate.value, interval: estimate.by_patient }
    }
}

/// What a change did.
#[derive(Clone, Debug, Serialize)]
pub struct Shift {
    /// Of AUROC.
    pub auroc: Option<Difference>,
    /// Of accuracy.
    pub accuracy: Option<Difference>,
    /// Of the share of wrong verdicts.
    pub wrong_verdicts: Option<Difference>,
    /// Of the expected calibration error.
    pub calibration_error: f64,
    /// Radiographs that are decided differently.
    pub decision_flips: usize,
    /// The same as a share.
    pub decision_flip_share: Option<Proportion>,
    /// Radiographs with another verdict: refer counts as one.
    pub verdict_flips: usize,
    /// Mean magnitude of the difference of probability.
    pub mean_difference: f64,
    /// Largest magnitude of the difference of probability.
    pub largest_difference: f64,
}

/// The rows of model number `model`: without a change, then after each. `samples` and `answers` are of the same
/// radiographs in the same order.
pub fn rows(
    model: usize,
    point: OperatingPoint,
    changes: &[&'static Change],
    samples: &[&Sample],
    answers: &[Answers],
) -> Vec<RobustnessRow> {
    let images = || samples.iter().zip(answers);
    let base: Vec<LabelledAnswer> = images().map(|(sample, a)| labelled(sample, a.base[model])).collect();
    let after = changes.par_iter().enumerate().map(|(number, change)| {
        let both = |(sample, a): (&&Sample, &Answers)| {
            let changed = a.changed[number].as_ref().ok()?;
            Some((labelled(sample, a.base[model]), labelled(sample, changed[model])))
        };
        let (before, after): (Vec<LabelledAnswer>, Vec<LabelledAnswer>) = images().filter_map(both).unzip();
        let mut row = RobustnessRow::of(change.name, Some(change.kind), &after, point);
        row.unjudged = answers.len() - after.len();
        row.against_unchanged = Some(Shift::of(&before, &after, point));
        row
    });
    let after: Vec<RobustnessRow> = after.collect();
    [RobustnessRow::of("unchanged", None, &base, point)].into_iter().chain(after).collect()
}

fn labelled(sample: &Sample, answer: ModelAnswer) -> LabelledAnswer {
    LabelledAnswer { refused: answer.withheld, ..LabelledAnswer::of(sample, answer.probability) }
}

/// Without resamples.
fn calibration_error(judged: &[LabelledAnswer], point: OperatingPoint) -> f64 {
    let (ranked, once) = (ranked(judged), vec![1; judged.len()]);
    ranked.weighted(&once, point).calibration_error().unwrap_or(0.0)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

impl RobustnessRow {
    fn of(change: &'static str, kind: Option<Kind>, judged: &[LabelledAnswer], point: OperatingPoint) -> Self {
        let (ranked, once) = (ranked(judged), vec![1; judged.len()]);
        let all = ranked.weighted(&once, point);
        let [right, wrong] = definite(&all);
        let mean_of = |positive: bool| {
            mean(judged.iter().filter(|j| j.label.positive() == positive).map(|j| f64::from(j.probability)))
        };
        Self {
            change,
            kind,
            images: judged.len(),
            unjudged: 0,
            withheld: Proportion::of(judged.iter().filter(|image| image.refused).count(), judged.len()),
            wrong_verdicts: Proportion::of(wrong, judged.len()),
            definite_right: Proportion::of(right, right + wrong),
            auroc: all.auroc(),
            accuracy: Proportion::of(all.right(), all.images()),
            calibration_error: all.calibration_error().unwrap_or(0.0),
            mean_probability: MeanProbability { normal: mean_of(false), pneumonia: mean_of(true) },
            against_unchanged: None,
        }
    }
}

impl Shift {
    fn of(before: &[LabelledAnswer], after: &[LabelledAnswer], point: OperatingPoint) -> Self {
        let paired = Paired::of((after, point), (before, point));
        let [error_before, error_after] = [before, after].map(|judged| calibration_error(judged, point));
        let pairs = || before.iter().zip(after).map(|(b, a)| (b.probability, a.probability));
        let differences = || pairs().map(|(b, a)| f64::from((a - b).abs()));
        let right = |judged: &LabelledAnswer| judged.right(point.threshold);
        let decision_flips = before.iter().zip(after).filter(|(b, a)| right(b) != right(a)).count();
        Self {
            auroc: paired.auroc.difference.map(Difference::from),
            accuracy: paired.accuracy.difference.map(Difference::from),
            wrong_verdicts: paired.wrong_verdicts.difference.map(Difference::from),
            calibration_error: error_after - error_before,
            decision_flips,
            decision_flip_share: Proportion::of(decision_flips, after.len()),
            verdict_flips: pairs().filter(|&(b, a)| point.verdict(b) != point.verdict(a)).count(),
            mean_difference: mean(differences()).unwrap_or(0.0),
            largest_difference: differences().fold(0.0, f64::max),
        }
    }
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Columns for the eye, on a terminal.
    Text,
    /// GitHub's Markdown.
    Markdown,
}

/// The rows with their headings, as text of this style.
pub fn table(rows: &[RobustnessRow], style: Style) -> String {
    let headings = [
        "change",
        "images",
        "AUROC",
        "Δ AUROC (95 %)",
        "accuracy",
        "Δ accuracy (95 %)",
        "flips",
        "% (95 %)",
        "verdict flips",
        "mean |Δp|",
        "max |Δp|",
        "p normal",
        "p pneumonia",
        "ECE",
        "refused %",
        "wrong verdicts % (95 %)",
        "Δ wrong verdicts (95 %)",
        "right of the definite % (95 %)",
    ];
    let cells = rows.iter().map(|row| {
        let shift = row.against_unchanged.as_ref();
        let of = |value: fn(&Shift) -> String| shift.map_or_else(String::new, value);
        vec![
            row.change.to_owned(),
            row.images.to_string(),
            number(row.auroc, 4),
            of(|s| difference(s.auroc, 4)),
            number(row.accuracy.map(|a| a.value), 3),
            of(|s| difference(s.accuracy, 3)),
            of(|s| s.decision_flips.to_string()),
            of(|s| percent(s.decision_flip_share)),
            of(|s| s.verdict_flips.to_string()),
            of(|s| format!("{:.3}", s.mean_difference)),
            of(|s| format!("{:.3}", s.largest_difference)),
            number(row.mean_probability.normal, 3),
            number(row.mean_probability.pneumonia, 3),
            format!("{:.3}", row.calibration_error),
            number(row.withheld.map(|share| 100.0 * share.value), 1),
            percent(row.wrong_verdicts),
            of(|s| difference(s.wrong_verdicts, 3)),
            percent(row.definite_right),
        ]
    });
    layout(&headings, &cells.collect::<Vec<_>>(), style)
}

/// `places` decimals; nothing for what has no value.
pub(super) fn number(value: Option<f64>, places: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.places$}"))
}

/// A share in percent with its interval.
fn percent(share: Option<Proportion>) -> String {
    share
        .map_or_else(String::new, |p| format!("{:.1} ({:.1} to {:.1})", 100.0 * p.value, 100.0 * p.low, 100.0 * p.high))
}

fn difference(difference: Option<Difference>, places: usize) -> String {
    // Adding zero turns −0 into 0.
    let signed = |value: f64| {
        let text = format!("{value:+.places$}");
        if text.trim_start_matches(['+', '-', '0', '.']).is_empty() { format!("{:.places$}", 0.0) } else { text }
    };
    let interval =
        |i: Option<Interval>| i.map_or_else(String::new, |i| format!(" ({} to {})", signed(i.low), signed(i.high)));
    difference.map_or_else(String::new, |d| signed(d.value) + &interval(d.interval))
}

/// Headings and cells, the first column to the left, the others to the right.
pub fn layout(headings: &[&str], rows: &[Vec<String>], style: Style) -> String {
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    if style == Style::Markdown {
        let line = |cells: &[String]| {
            format!("| {} |\n", cells.iter().map(|c| c.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
        };
        let rule = format!("|---|{}\n", "--:|".repeat(headings.len() - 1));
        return [line(&headings), rule].into_iter().chain(rows.iter().map(|row| line(row))).collect();
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&headings[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for row in [&headings].into_iter().chain(rows) {
        let line = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") }
        });
        text += line.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
