//! One line for a model, so that models can be compared.

use serde::Serialize;

use super::{
    change::Kind,
    table::{RobustnessRow, Style, layout, number},
};

/// A model's rows in few figures.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What the model is called here.
    pub model: String,
    /// AUROC, accuracy at the threshold and expected calibration error without a change.
    pub unchanged: [Option<f64>; 3],
    /// Their means over the changes under which the verdict should hold.
    pub shifted: [Option<f64>; 3],
    /// The lowest AUROC of these changes, and of which one it is.
    pub worst: Option<(f64, &'static str)>,
    /// Mean share of decisions that these changes flip.
    pub flips: Option<f64>,
    /// Mean share of which the box would say something definite, and wrong, after these changes.
    #[serde(rename = "told_wrong")]
    pub wrong_verdicts: Option<f64>,
    /// AUROC with the outer fifth of the picture black.
    pub without_border: Option<f64>,
    /// AUROC with nothing but that outer fifth.
    pub only_border: Option<f64>,
}

impl Summary {
    /// Of a model's rows.
    pub fn of(model: &str, rows: &[RobustnessRow]) -> Self {
        let figures = |row: &RobustnessRow| [row.auroc, row.accuracy.map(|a| a.value), Some(row.calibration_error)];
        let shifts: Vec<&RobustnessRow> = rows.iter().filter(|row| row.kind == Some(Kind::Shift)).collect();
        let mean = |value: &dyn Fn(&RobustnessRow) -> Option<f64>| {
            let values: Option<Vec<f64>> = shifts.iter().map(|row| value(row)).collect();
            values.filter(|v| !v.is_empty()).map(|v| v.iter().sum::<f64>() / v.len() as f64)
        };
        let auroc_of = |name: &str| rows.iter().find(|row| row.change == name)?.auroc;
        let areas = shifts.iter().filter_map(|row| Some((row.auroc?, row.change)));
        Self {
            model: model.to_owned(),
            unchanged: rows.first().map_or([None; 3], figures),
            shifted: [0, 1, 2].map(|figure| mean(&|row| figures(row)[figure])),
            worst: areas.min_by(|a, b| a.0.total_cmp(&b.0)),
            flips: mean(&|row| Some(row.against_unchanged.as_ref()?.decision_flip_share?.value)),
            wrong_verdicts: mean(&|row| Some(row.wrong_verdicts?.value)),
            without_border: auroc_of("black-border-20"),
            only_border: auroc_of("only-border-20"),
        }
    }

    /// Several models, as text of this style.
    pub fn table(summaries: &[Self], style: Style) -> String {
        let headings = [
            "model",
            "AUROC",
            "shifted",
            "accuracy",
            "shifted",
            "ECE",
            "shifted",
            "flips %",
            "wrong verdicts %",
            "worst AUROC",
            "of",
            "without border",
            "only border",
        ];
        let cells = summaries.iter().map(|summary| {
            let mut cells = vec![summary.model.clone()];
            for (figure, places) in [(0, 4), (1, 3), (2, 3)] {
                cells.push(number(summary.unchanged[figure], places));
                cells.push(number(summary.shifted[figure], places));
            }
            cells.extend(
                [summary.flips, summary.wrong_verdicts].map(|share| number(share.map(|share| 100.0 * share), 1)),
            );
            cells.push(number(summary.worst.map(|(area, _)| area), 4));
            cells.push(summary.worst.map_or_else(String::new, |(_, change)| change.to_owned()));
            cells.extend([summary.without_border, summary.only_border].map(|area| number(area, 4)));
            cells
        });
        layout(&headings, &cells.collect::<Vec<_>>(), style)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Proportion;

    fn row(
        change: &'static str,
        kind: Option<Kind>,
        auroc: f64,
        right: usize,
        calibration_error: f64,
    ) -> RobustnessRow {
        RobustnessRow {
            change,
            kind,
            images: 10,
            unjudged: 0,
            withheld: None,
            wrong_verdicts: Proportion::of(10 - right, 10),
            auroc: Some(auroc),
            accuracy: Proportion::of(right, 10),
            calibration_error,
            mean_probability: [None; 2],
            against_unchanged: None,
        }
    }

    #[test]
    fn means_are_over_shifts_alone() {
        let rows = [
            row("unchanged", None, 1.0, 10, 0.0),
            row("png", Some(Kind::Lossless), 0.0, 0, 1.0),
            row("mirrored", Some(Kind::Shift), 0.75, 8, 0.25),
            row("windowed", Some(Kind::Shift), 0.5, 6, 0.75),
            row("black-border-20", Some(Kind::Ablation), 0.875, 5, 0.5),
            row("only-border-20", Some(Kind::Ablation), 0.625, 5, 0.5),
        ];
        let summary = Summary::of("model", &rows);
        assert_eq!(summary.unchanged, [Some(1.0), Some(1.0), Some(0.0)]);
        assert_eq!(summary.shifted, [Some(0.625), Some(0.7), Some(0.5)]);
        assert_eq!(summary.worst, Some((0.5, "windowed")));
        assert!(summary.wrong_verdicts.is_some_and(|share| (share - 0.3).abs() < 1e-12));
        assert_eq!((summary.without_border, summary.only_border), (Some(0.875), Some(0.625)));
        assert_eq!(Summary::of("model", &rows[..2]).shifted, [None; 3]);
        let text = Summary::table(&[summary], Style::Text);
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("model  1.0000   0.6250     1.000    0.700")));
    }
}
