//! The charts of the report. All are about as wide as a phone's screen, so that their words can be read there.

use learn::training::EpochMetrics;
use measure::statistics::Proportion;
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    differences::{ComparisonAnswer, Verdict},
    summary::{ExperimentRow, Summary},
};
use crate::{
    document::Figure,
    plots::{self, BLUE, INK, Line, Measure, ORANGE, PALE, PALETTE, PlotError, over_epochs},
};

const WIDTH: u32 = 440;

/// Experiments in one chart beside the baseline; more cannot be distinguished.
const TOGETHER: usize = PALETTE.len() - 1;

/// Draws; titles of synthetic figures say so, because a picture may be passed on alone.
pub(super) struct Charts {
    pub(super) synthetic: bool,
}

impl Charts {
    fn title(&self, words: &str) -> String {
        if self.synthetic { format!("{words} (SYNTHETIC)") } else { words.to_owned() }
    }

    /// Accuracy and loss over the epochs, a line for each seed.
    pub(super) fn curves(&self, row: &ExperimentRow<'_>) -> Result<Vec<Figure>, PlotError> {
        [Measure::Accuracy, Measure::Loss]
            .into_iter()
            .map(|measure| {
                let mut lines = Vec::new();
                for (seed, history) in histories(row).into_iter().enumerate() {
                    let name = |name| if seed == 0 { name } else { "" };
                    let training = over_epochs(history, |m| measure.training(m));
                    let validation = over_epochs(history, |m| measure.validation(m));
                    lines.push(Line::new(name("training"), BLUE, 1, training));
                    lines.push(Line::new(name("validation"), ORANGE, 1, validation));
                }
                let title = self.title(row.name);
                let svg = plots::svg((WIDTH, 310), &title, |area| measure.draw(area, &lines))?;
                Ok(figure(format!("{}-{}", row.name, measure.name()), title, svg))
            })
            .collect()
    }

    /// Decisions against the truth, summed over the seeds, and the characteristic of each seed.
    pub(super) fn decisions(&self, row: &ExperimentRow<'_>) -> Result<Vec<Figure>, PlotError> {
        let Some(figures) = &row.figures else { return Ok(Vec::new()) };
        let title = self.title(row.name);
        let name = if row.finished() == 1 { "one seed".to_owned() } else { format!("sum of {} seeds", row.finished()) };
        let table = plots::confusion(&[(&name, figures.confusion)], &title)?;
        let runs: Vec<_> =
            row.records.iter().filter_map(|r| Some((format!("seed {}", r.seed), r.measured()?))).collect();
        let lists: Vec<_> = runs.iter().map(|(n, run)| (n.as_str(), &run.test.figures, &run.test_scores[..])).collect();
        let characteristic = plots::roc(&lists, &title)?;
        Ok(vec![
            figure(format!("{}-confusion", row.name), title.clone(), table),
            figure(format!("{}-roc", row.name), title, characteristic),
        ])
    }

    /// Validation accuracy and loss of the experiments of a comparison: means over the seeds in bands from the lowest to
    /// the highest.
    pub(super) fn courses(
        &self,
        answer: &ComparisonAnswer<'_>,
        summary: &Summary<'_>,
    ) -> Result<Vec<Figure>, PlotError> {
        let rows = |names: &mut dyn Iterator<Item = &str>| -> Vec<&ExperimentRow<'_>> {
            names.filter_map(|name| summary.row(name)).filter(|row| row.figures.is_some()).collect()
        };
        let baseline = rows(&mut std::iter::once(answer.baseline));
        let others = rows(&mut answer.others.iter().map(|contrast| contrast.experiment));
        // As many in each chart, instead of a full one and a rest.
        let charts = others.len().div_ceil(TOGETHER).max(1);
        let mut figures = Vec::new();
        for (chart, others) in others.chunks(others.len().div_ceil(charts).max(1)).enumerate() {
            for measure in [Measure::Accuracy, Measure::Loss] {
                let rows = baseline.iter().map(|row| (row, 3)).chain(others.iter().map(|row| (row, 2)));
                let lines: Vec<_> = rows
                    .zip(if baseline.is_empty() { &PALETTE[1..] } else { &PALETTE[..] })
                    .map(|((row, width), colour)| course(row, measure, *colour, width))
                    .collect();
                let part = if charts > 1 { format!("-{}", chart + 1) } else { String::new() };
                let title = self.title(&format!("{}: validation", answer.name));
                let svg = plots::svg((WIDTH, 340), &title, |area| measure.draw(area, &lines))?;
                let name = format!("comparison-{}-{}{part}", answer.name, measure.name());
                figures.push(figure(name, title, svg));
            }
        }
        Ok(figures)
    }

    /// Differences of test accuracy with their intervals.
    pub(super) fn differences(&self, answer: &ComparisonAnswer<'_>) -> Result<Option<Figure>, PlotError> {
        let rows: Vec<_> = answer
            .others
            .iter()
            .filter_map(|contrast| {
                let evidence = contrast.evidence.as_ref()?;
                let d = evidence.difference;
                let claimed = matches!(contrast.verdict, Verdict::Higher | Verdict::Lower);
                let percent = |value: f64| 100.0 * value;
                Some(Forest {
                    label: contrast.experiment.to_owned(),
                    value: super::words::points(d.value),
                    marks: vec![Mark {
                        colour: if claimed { BLUE } else { INK },
                        filled: claimed,
                        value: percent(d.value),
                        low: percent(d.low),
                        high: percent(d.high),
                        rings: evidence.by_seed.iter().copied().map(percent).collect(),
                    }],
                })
            })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let title = self.title(&format!("against {}", answer.baseline));
        let legend = [("claimed", BLUE), ("not claimed", INK)];
        let axis = Axis { name: "difference of test accuracy, points", digits: 1, zero: true };
        let svg = forest(&title, &legend, axis, &rows)?;
        Ok(Some(figure(format!("comparison-{}-differences", answer.name), title, svg)))
    }

    /// Test accuracies beside the published ones.
    pub(super) fn published(&self, rows: &[&ExperimentRow<'_>]) -> Result<Figure, PlotError> {
        let mark = |colour, p: Proportion, rings| Mark {
            colour,
            filled: true,
            value: p.value,
            low: p.low,
            high: p.high,
            rings,
        };
        let rows: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let published = row.published.as_ref()?.test_accuracy?;
                let ours = &row.figures.as_ref()?.test_accuracy;
                let single = row.runs.iter().filter_map(|run| run.figures.as_ref()?.test_accuracy);
                Some(Forest {
                    label: row.name.to_owned(),
                    value: format!("{:.4} / {:.4}", ours.interval.value, published.value),
                    marks: vec![mark(BLUE, ours.interval, single.collect()), mark(ORANGE, published, Vec::new())],
                })
            })
            .collect();
        let title = self.title("here and published");
        let legend = [("here", BLUE), ("published", ORANGE)];
        let svg = forest(&title, &legend, Axis { name: "test accuracy", digits: 2, zero: false }, &rows)?;
        Ok(figure("published".to_owned(), title, svg))
    }
}

/// A picture beside a text that says what it shows.
fn figure(name: String, title: String, svg: String) -> Figure {
    Figure { name, title, svg, caption: String::new() }
}

fn histories<'a>(row: &ExperimentRow<'a>) -> Vec<&'a [EpochMetrics]> {
    row.records.iter().filter_map(|record| Some(&record.measured()?.history[..])).collect()
}

/// Mean of the validation over the seeds, in a band; as far as all seeds go.
fn course(row: &ExperimentRow<'_>, measure: Measure, colour: RGBColor, width: u32) -> Line {
    let histories = histories(row);
    let epochs = histories.iter().map(|history| history.len()).min().unwrap_or(0);
    let mut spreads = Vec::new();
    for epoch in 0..epochs {
        let values: Vec<f64> = histories.iter().map(|history| measure.validation(&history[epoch])).collect();
        let spread = super::Spread::of(&values).filter(|s| s.max.is_finite() && s.min.is_finite());
        spreads.extend(spread.map(|spread| ((epoch + 1) as f64, spread)));
    }
    let mut line = Line::new(row.name, colour, width, spreads.iter().map(|(x, s)| (*x, s.mean)).collect());
    line.band = spreads.iter().map(|(x, s)| (*x, s.min, s.max)).collect();
    line
}

/// A row of intervals under a label.
struct Forest {
    label: String,
    value: String,
    marks: Vec<Mark>,
}

/// A value in its interval, and the values of single seeds.
struct Mark {
    colour: RGBColor,
    filled: bool,
    value: f64,
    low: f64,
    high: f64,
    rings: Vec<f64>,
}

/// The horizontal axis.
struct Axis {
    name: &'static str,
    digits: usize,
    zero: bool,
}

/// Intervals under each other; each row has its label above, because labels beside them would leave no room on a phone.
fn forest(title: &str, legend: &[(&str, RGBColor)], axis: Axis, rows: &[Forest]) -> Result<String, PlotError> {
    const LABEL: f64 = 22.0;
    const MARK: f64 = 18.0;
    const GAP: f64 = 10.0;
    let height: f64 = rows.iter().map(|row| LABEL + MARK * row.marks.len() as f64 + GAP).sum();
    let marks = || rows.iter().flat_map(|row| &row.marks);
    let ends = |m: &Mark| m.rings.iter().copied().chain([m.low, m.high]).collect::<Vec<_>>();
    let zero = axis.zero.then_some(0.0);
    let low = marks().flat_map(ends).chain(zero).fold(f64::INFINITY, f64::min);
    let high = marks().flat_map(ends).chain(zero).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    let (low, high) = (low - (high - low) * 0.05, high + (high - low) * 0.05);
    plots::svg((WIDTH, height as u32 + 112), title, |area| {
        let area = plots::legend(area, legend)?;
        let mut chart = ChartBuilder::on(&area)
            .margin_left(14)
            .margin_right(14)
            .x_label_area_size(44)
            .build_cartesian_2d(low..high, height..0.0)?;
        let digits = axis.digits;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc(axis.name)
            .x_labels(7)
            .x_label_formatter(&|x| format!("{x:.digits$}").replace('-', "−"))
            .label_style(("sans-serif", 15, &INK))
            .axis_desc_style(("sans-serif", 16, &INK))
            .bold_line_style(PALE)
            .light_line_style(TRANSPARENT)
            .axis_style(PALE)
            .draw()?;
        let plot = chart.plotting_area();
        let mut y = 0.0;
        for row in rows {
            let at = y + LABEL / 2.0;
            plot.draw(&Text::new(&row.label[..], (low, at), plots::words(15, true, HPos::Left, INK)))?;
            plot.draw(&Text::new(&row.value[..], (high, at), plots::words(15, false, HPos::Right, INK)))?;
            y += LABEL;
            if axis.zero {
                // Beside the marks only: words must not lie on it.
                let ends = [(0.0, y), (0.0, y + MARK * row.marks.len() as f64)];
                plot.draw(&PathElement::new(ends, INK.stroke_width(1)))?;
            }
            for mark in &row.marks {
                let at = y + MARK / 2.0;
                let line = [(mark.low, at), (mark.high, at)];
                plot.draw(&PathElement::new(line, mark.colour.stroke_width(2)))?;
                for ring in &mark.rings {
                    plot.draw(&Circle::new((*ring, at), 3, mark.colour.mix(0.6).stroke_width(1)))?;
                }
                let style = if mark.filled { mark.colour.filled() } else { mark.colour.stroke_width(2) };
                plot.draw(&Circle::new((mark.value, at), 5, WHITE.filled()))?;
                plot.draw(&Circle::new((mark.value, at), 5, style))?;
                y += MARK;
            }
            y += GAP;
        }
        Ok(())
    })
}
