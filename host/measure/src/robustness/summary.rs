//! One line for a model, so that models can be compared.

use serde::Serialize;

use super::{
    change::Kind,
    table::{RobustnessRow, Style, layout, number},
};

/// What is compared of a row. Serializes as an array in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(into = "[Option<f64>; 3]")]
pub struct RobustnessFigures {
    /// Area under the receiver operating characteristic.
    pub auroc: Option<f64>,
    /// Share of right decisions at the threshold.
    pub accuracy: Option<f64>,
    /// Expected calibration error.
    pub calibration_error: Option<f64>,
}

impl From<RobustnessFigures> for [Option<f64>; 3] {
    fn from(RobustnessFigures { auroc, accuracy, calibration_error }: RobustnessFigures) -> Self {
        [auroc, accuracy, calibration_error]
    }
}

/// A model's rows in few figures.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What the model is called here.
    pub model: String,
    /// Without a change.
    pub unchanged: RobustnessFigures,
    /// The means over the changes under which the verdict should hold.
    pub shifted: RobustnessFigures,
    /// The lowest AUROC of these changes, and of which one it is.
    pub worst: Option<(f64, &'static str)>,
    /// Mean share of decisions that these changes flip.
    pub flips: Option<f64>,
    /// Mean share of which the box would say something definite, and wrong, after these changes.
    #[serde(rename = "told_wrong")]
    pub wrong_verdicts: Option<f64>,
    /// The share without a change.
    pub unchanged_wrong_verdicts: Option<f64>,
    /// AUROC with the outer fifth of the picture black.
    pub without_border: Option<f64>,
    /// AUROC with nothing but that outer fifth.
    pub only_border: Option<f64>,
}

impl Summary {
    /// Of a model's rows.
    pub fn of(model: &str, rows: &[RobustnessRow]) -> Self {
        let figures = |row: &RobustnessRow| RobustnessFigures {
            auroc: row.auroc,
            accuracy: row.accuracy.map(|accuracy| accuracy.value),
            calibration_error: Some(row.calibration_error),
        };
        let shifts: Vec<&RobustnessRow> = rows.iter().filter(|row| row.kind == Some(Kind::Shift)).collect();
        let mean = |value: &dyn Fn(&RobustnessRow) -> Option<f64>| {
            let values: Option<Vec<f64>> = shifts.iter().map(|row| value(row)).collect();
            values.filter(|v| !v.is_empty()).map(|v| v.iter().sum::<f64>() / v.len() as f64)
        };
        let auroc_of = |name: &str| rows.iter().find(|row| row.change == name)?.auroc;
        let areas = shifts.iter().filter_map(|row| Some((row.auroc?, row.change)));
        Self {
            model: model.to_owned(),
            unchanged: rows.first().map(figures).unwrap_or_default(),
            shifted: RobustnessFigures {
                auroc: mean(&|row| figures(row).auroc),
                accuracy: mean(&|row| figures(row).accuracy),
                calibration_error: mean(&|row| figures(row).calibration_error),
            },
            worst: areas.min_by(|a, b| a.0.total_cmp(&b.0)),
            flips: mean(&|row| Some(row.against_unchanged.as_ref()?.decision_flip_share?.value)),
            wrong_verdicts: mean(&|row| Some(row.wrong_verdicts?.value)),
            unchanged_wrong_verdicts: rows.first().and_then(|row| Some(row.wrong_verdicts?.value)),
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
            "shifted",
            "worst AUROC",
            "of",
            "without border",
            "only border",
        ];
        let cells = summaries.iter().map(|summary| {
            let Self { unchanged, shifted, worst, .. } = summary;
            let percent = |share: Option<f64>| number(share.map(|share| 100.0 * share), 1);
            vec![
                summary.model.clone(),
                number(unchanged.auroc, 4),
                number(shifted.auroc, 4),
                number(unchanged.accuracy, 3),
                number(shifted.accuracy, 3),
                number(unchanged.calibration_error, 3),
                number(shifted.calibration_error, 3),
                percent(summary.flips),
                percent(summary.unchanged_wrong_verdicts),
                percent(summary.wrong_verdicts),
                number(worst.map(|(area, _)| area), 4),
                worst.map_or_else(String::new, |(_, change)| change.to_owned()),
                number(summary.without_border, 4),
                number(summary.only_border, 4),
            ]
        });
        layout(&headings, &cells.collect::<Vec<_>>(), style)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{robustness::table::MeanProbability, statistics::Proportion};

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
            definite_right: Proportion::of(right, 10),
            auroc: Some(auroc),
            accuracy: Proportion::of(right, 10),
            calibration_error,
            mean_probability: MeanProbability::default(),
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
        let figures = |[auroc, accuracy, calibration_error]: [f64; 3]| RobustnessFigures {
            auroc: Some(auroc),
            accuracy: Some(accuracy),
            calibration_error: Some(calibration_error),
        };
        assert_eq!(summary.unchanged, figures([1.0, 1.0, 0.0]));
        assert_eq!(summary.shifted, figures([0.625, 0.7, 0.5]));
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["shifted"], serde_json::json!([0.625, 0.7, 0.5]));
        assert_eq!(summary.worst, Some((0.5, "windowed")));
        assert!(summary.wrong_verdicts.is_some_and(|share| (share - 0.3).abs() < 1e-12));
        assert_eq!(summary.unchanged_wrong_verdicts, Some(0.0));
        assert_eq!((summary.without_border, summary.only_border), (Some(0.875), Some(0.625)));
        assert_eq!(Summary::of("model", &rows[..2]).shifted, RobustnessFigures::default());
        let text = Summary::table(&[summary], Style::Text);
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("model  1.0000   0.6250     1.000    0.700")));
    }
}
