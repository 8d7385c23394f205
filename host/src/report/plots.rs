//! The pictures of a report, as SVG.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::ModelResult;
use crate::{statistics, training::EpochMetrics};

const BLUE: RGBColor = RGBColor(0x1f, 0x6f, 0xa8);
const ORANGE: RGBColor = RGBColor(0xd9, 0x6b, 0x1c);
const INK: RGBColor = RGBColor(0x22, 0x2b, 0x33);
const PALE: RGBColor = RGBColor(0xdd, 0xe2, 0xe6);
const FONT: &str = "sans-serif";

/// A picture that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("a plot cannot be drawn: {0}")]
pub struct PlotError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<(), PlotError>) -> Result<String, PlotError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area.margin(10, 0, 0, 0))?;
        area.present()?;
    }
    Ok(text)
}

/// Loss and accuracy over the epochs, in training and validation.
pub(super) fn curves(history: &[EpochMetrics], title: &str) -> Result<String, PlotError> {
    type Value = fn(&EpochMetrics) -> f64;
    let highest = |values: [Value; 2]| {
        history.iter().flat_map(|m| values.map(|value| value(m))).filter(|v| v.is_finite()).fold(0.0, f64::max)
    };
    let lowest = |values: [Value; 2]| {
        history.iter().flat_map(|m| values.map(|value| value(m))).filter(|v| v.is_finite()).fold(1.0, f64::min)
    };
    let losses: [Value; 2] = [|m| m.train_loss, |m| m.validation_loss];
    let accuracies: [Value; 2] = [|m| m.train_accuracy, |m| m.validation_accuracy];
    let last = history.len().max(2) as f64;
    svg((1080, 440), |area| {
        let area = area.titled(title, (FONT, 20).into_font().color(&INK))?;
        let panels = area.split_evenly((1, 2));
        let ranges = [
            (
                losses,
                "loss (binary cross-entropy)",
                0.0..(highest(losses) * 1.08).max(0.1),
                SeriesLabelPosition::UpperRight,
            ),
            (accuracies, "accuracy", (lowest(accuracies) - 0.05).max(0.0)..1.0, SeriesLabelPosition::LowerRight),
        ];
        for (panel, (values, name, range, position)) in panels.iter().zip(ranges) {
            let mut chart = ChartBuilder::on(panel)
                .margin(14)
                .x_label_area_size(42)
                .y_label_area_size(58)
                .build_cartesian_2d(1.0..last, range)?;
            chart
                .configure_mesh()
                .x_desc("epoch")
                .y_desc(name)
                .x_label_formatter(&|x| format!("{x:.0}"))
                .x_labels(history.len().clamp(2, 11))
                .y_label_formatter(&|y| format!("{y:.2}"))
                .label_style((FONT, 14, &INK))
                .axis_desc_style((FONT, 15, &INK))
                .bold_line_style(PALE)
                .light_line_style(TRANSPARENT)
                .draw()?;
            for (value, name, colour) in [(values[0], "training", BLUE), (values[1], "validation", ORANGE)] {
                let points = || history.iter().map(|m| (m.epoch as f64, value(m)));
                chart
                    .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], colour.stroke_width(3)));
                chart.draw_series(points().map(|point| Circle::new(point, 2, colour.filled())))?;
            }
            legend(&mut chart, position)?;
        }
        Ok(())
    })
}

fn legend<'a, 'b: 'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, C>,
    position: SeriesLabelPosition,
) -> Result<(), PlotError> {
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(PALE)
        .label_font((FONT, 14, &INK))
        .position(position)
        .draw()?;
    Ok(())
}

/// Decisions against the truth, a table for each model; the shade is the share of the row.
pub(super) fn confusion(models: &[ModelResult], title: &str) -> Result<String, PlotError> {
    let width = 400;
    svg((width * models.len().max(1) as u32, 350), |area| {
        let area = area.titled(title, (FONT, 20).into_font().color(&INK))?;
        for (panel, model) in area.split_evenly((1, models.len().max(1))).iter().zip(models) {
            let c = model.figures.confusion;
            let rows = [
                ("normal", [c.true_negatives, c.false_positives], c.negatives()),
                ("pneumonia", [c.false_negatives, c.true_positives], c.positives()),
            ];
            let (left, top, cell) = (110, 86, (130, 110));
            let text = |content: &str, at: (i32, i32), size: i32, colour: &RGBColor, bold: bool| {
                let font = FontDesc::new(
                    FontFamily::SansSerif,
                    f64::from(size),
                    if bold { FontStyle::Bold } else { FontStyle::Normal },
                );
                let style = TextStyle::from(font).color(colour).pos(Pos::new(HPos::Center, VPos::Center));
                panel.draw(&Text::new(content.to_owned(), at, style))
            };
            text(&model.name, (left + cell.0, 24), 17, &INK, true)?;
            text("called", (left + cell.0, 48), 14, &INK, false)?;
            for (column, name) in ["normal", "pneumonia"].into_iter().enumerate() {
                text(name, (left + cell.0 / 2 + column as i32 * cell.0, 70), 14, &INK, false)?;
            }
            for (row, (name, counts, total)) in rows.into_iter().enumerate() {
                let y = top + row as i32 * cell.1;
                text(name, (left - 48, y + cell.1 / 2), 14, &INK, false)?;
                for (column, count) in counts.into_iter().enumerate() {
                    let x = left + column as i32 * cell.0;
                    let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
                    let colour = if row == column { BLUE } else { ORANGE };
                    let ends = [(x + 2, y + 2), (x + cell.0 - 2, y + cell.1 - 2)];
                    panel.draw(&Rectangle::new(ends, colour.mix(0.08 + 0.82 * share).filled()))?;
                    let ink = if share > 0.55 { &WHITE } else { &INK };
                    text(&count.to_string(), (x + cell.0 / 2, y + cell.1 / 2 - 10), 24, ink, true)?;
                    text(&format!("{:.1} %", 100.0 * share), (x + cell.0 / 2, y + cell.1 / 2 + 18), 14, ink, false)?;
                }
            }
        }
        Ok(())
    })
}

/// The receiver operating characteristic of each model, and where its threshold lies.
pub(super) fn roc(models: &[ModelResult], title: &str) -> Result<String, PlotError> {
    svg((560, 560), |area| {
        let area = area.titled(title, (FONT, 20).into_font().color(&INK))?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        chart
            .configure_mesh()
            .x_desc("1 − specificity")
            .y_desc("sensitivity")
            .x_labels(6)
            .y_labels(6)
            .label_style((FONT, 14, &INK))
            .axis_desc_style((FONT, 15, &INK))
            .bold_line_style(PALE)
            .light_line_style(TRANSPARENT)
            .draw()?;
        chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 5, 5, PALE.stroke_width(2)))?;
        for (model, (colour, width)) in models.iter().zip([(BLUE, 4), (ORANGE, 2)]) {
            let auroc = model.figures.auroc.map_or_else(String::new, |a| format!(": AUROC {a:.3}"));
            chart
                .draw_series(LineSeries::new(statistics::roc(&model.scored), colour.stroke_width(width)))?
                .label(format!("{}{auroc}", model.name))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], colour.stroke_width(3)));
            if let (Some(sensitivity), Some(specificity)) = (model.figures.sensitivity, model.figures.specificity) {
                let point = (1.0 - specificity.value, sensitivity.value);
                chart.draw_series([Circle::new(point, 5, colour.filled())])?;
            }
        }
        legend(&mut chart, SeriesLabelPosition::LowerRight)
    })
}

#[cfg(test)]
mod tests {
    use shared::verdict::OperatingPoint;

    use super::*;
    use crate::statistics::{Figures, Scored};

    #[test]
    fn pictures_say_what_they_show() {
        let scored: Vec<Scored> =
            (0..100).map(|i| Scored { positive: i % 3 != 0, probability: (i % 10) as f32 / 10.0 }).collect();
        let model = ModelResult {
            name: "int8".to_owned(),
            file: "model-int8.onnx".to_owned(),
            digest: String::new(),
            bytes: 0,
            point: OperatingPoint::HALF,
            figures: Figures::of(&scored, 0.5),
            scored,
        };
        let table = confusion(std::slice::from_ref(&model), "Confusion").unwrap();
        for text in ["int8", "called", &model.figures.confusion.true_positives.to_string()] {
            assert!(table.contains(text), "{text}");
        }
        assert!(roc(&[model], "Characteristic").unwrap().contains("AUROC"));
        let epoch = |epoch: usize| EpochMetrics {
            epoch,
            train_loss: 1.0 / epoch as f64,
            train_accuracy: 0.5,
            validation_loss: 0.7,
            validation_accuracy: 0.6,
        };
        for history in [vec![], vec![epoch(1)], (1..=30).map(epoch).collect()] {
            assert!(curves(&history, "Training").unwrap().contains("validation"));
        }
    }
}
