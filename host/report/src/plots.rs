//! Charts, as SVG that a style sheet can dye: every colour is one of the constants here.

use std::ops::Range;

use base::ShownLines;
use learn::training::EpochMetrics;
use measure::{
    figures::{self, Figures},
    statistics::{Confusion, Scored},
};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(0x22, 0x2b, 0x33);
/// Grids and frames.
pub(crate) const PALE: RGBColor = RGBColor(0xdd, 0xe2, 0xe6);
/// The first series, and what is right.
pub(crate) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// The second series, and what is wrong.
pub(crate) const ORANGE: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// Colours of many series, distinguishable for the colour-blind: Okabe and Ito, "Color Universal Design" (2008), without yellow,
/// which is too pale for a line on white.
pub(crate) const PALETTE: [RGBColor; 7] = [
    INK,
    BLUE,
    ORANGE,
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

const FONT: &str = "sans-serif";
const TITLE_SIZE: i32 = 18;
const TEXT_SIZE: i32 = 16;
const LEGEND_ROW: i32 = 20;

/// A picture that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("a plot cannot be drawn: {0}")]
pub struct PlotError(String);

impl PlotError {
    /// For a reason of its own.
    pub(crate) fn because(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

/// Where is drawn.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A picture with its title, which is also what a screen reader says.
pub(crate) fn svg(
    size: (u32, u32),
    title: &str,
    draw: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area.margin(8, 4, 4, 4).titled(title, (FONT, TITLE_SIZE).into_font().color(&INK))?)?;
        area.present()?;
    }
    Ok(text.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", escape(title)), 1))
}

/// Text for XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    escape_lines(&text.replace('\n', " "))
}

/// The same for text of several lines.
pub(crate) fn escape_lines(text: &str) -> String {
    ShownLines(text)
        .to_string()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// How words look; they lie at the middle of their side `from`.
pub(crate) fn words(size: i32, bold: bool, from: HPos, colour: RGBColor) -> TextStyle<'static> {
    let weight = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::SansSerif, f64::from(size), weight);
    TextStyle { color: colour.to_backend_color(), ..TextStyle::from(font).pos(Pos::new(from, VPos::Center)) }
}

/// A series.
pub(crate) struct Line {
    /// For the legend; empty to stay out of it.
    pub(crate) name: String,
    /// Its colour.
    pub(crate) colour: RGBColor,
    /// Its width in pixels.
    pub(crate) width: u32,
    /// Where it runs.
    pub(crate) points: Vec<(f64, f64)>,
    /// What it runs in: x, lower and upper end.
    pub(crate) band: Vec<(f64, f64, f64)>,
    /// Places that are marked.
    pub(crate) dots: Vec<(f64, f64)>,
}

impl Line {
    /// A line through points; a single point is marked.
    pub(crate) fn new(name: &str, colour: RGBColor, width: u32, points: Vec<(f64, f64)>) -> Self {
        let dots = if points.len() == 1 { points.clone() } else { Vec::new() };
        Self { name: name.to_owned(), colour, width, points, band: Vec::new(), dots }
    }
}

/// The axes of a chart.
pub(crate) struct Axes {
    /// Name and range of the horizontal one.
    pub(crate) x: (&'static str, Range<f64>),
    /// Name and range of the vertical one.
    pub(crate) y: (&'static str, Range<f64>),
    /// Digits after the point: horizontally, vertically.
    pub(crate) digits: (usize, usize),
    /// True if heights are square roots, those below 0 of what hangs down: the labels are what they are roots of.
    pub(crate) roots: bool,
}

impl Axes {
    /// From 0 to 1 each.
    pub(crate) fn shares(x: &'static str, y: &'static str) -> Self {
        Self { x: (x, 0.0..1.0), y: (y, 0.0..1.0), digits: (1, 1), roots: false }
    }
}

/// What is drawn on within axes.
pub(crate) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws axes, a legend above them, and what belongs between them.
pub(crate) fn chart(
    area: &Area<'_>,
    axes: Axes,
    names: &[(&str, RGBColor)],
    draw: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), PlotError>,
) -> Result<(), PlotError> {
    let area = legend(area, names)?;
    let (across, up) = axes.digits;
    let mut chart = ChartBuilder::on(&area)
        .margin(6)
        .margin_right(14)
        .x_label_area_size(40)
        .y_label_area_size(54)
        .build_cartesian_2d(axes.x.1, axes.y.1)?;
    chart
        .configure_mesh()
        .x_desc(axes.x.0)
        .y_desc(axes.y.0)
        .x_label_formatter(&|x| format!("{x:.across$}"))
        .y_label_formatter(&|y| if axes.roots { format!("{:.up$}", y * y) } else { format!("{y:.up$}") })
        .x_labels(7)
        .y_labels(6)
        .label_style((FONT, TEXT_SIZE - 1, &INK))
        .axis_desc_style((FONT, TEXT_SIZE, &INK))
        .bold_line_style(PALE)
        .light_line_style(TRANSPARENT)
        .axis_style(PALE)
        .draw()?;
    draw(&mut chart)
}

/// Draws lines, and a legend above them.
pub(crate) fn lines(area: &Area<'_>, axes: Axes, lines: &[Line]) -> Result<(), PlotError> {
    let names: Vec<_> = lines.iter().filter(|l| !l.name.is_empty()).map(|l| (l.name.as_str(), l.colour)).collect();
    chart(area, axes, &names, |chart| draw_lines(chart, lines))
}

fn draw_lines(chart: &mut Chart<'_, '_>, lines: &[Line]) -> Result<(), PlotError> {
    for line in lines {
        let edge = line.band.iter().map(|&(x, low, _)| (x, low));
        let back = line.band.iter().rev().map(|&(x, _, high)| (x, high));
        if line.band.len() > 1 {
            chart.draw_series([Polygon::new(edge.chain(back).collect::<Vec<_>>(), line.colour.mix(0.13).filled())])?;
        }
    }
    for line in lines {
        let points = line.points.iter().copied().filter(|(_, y)| y.is_finite());
        chart.draw_series(LineSeries::new(points, line.colour.stroke_width(line.width)))?;
        chart.draw_series(line.dots.iter().map(|&dot| Circle::new(dot, 4, line.colour.filled())))?;
    }
    Ok(())
}

/// Writes names beside their colours, in as many rows as they need, and gives what is left of the area.
pub(crate) fn legend<'a>(area: &Area<'a>, names: &[(&str, RGBColor)]) -> Result<Area<'a>, PlotError> {
    // No font is at hand to measure with: letters of a sans-serif are about half as wide as high.
    let width = |name: &str| 46 + name.chars().count() as i32 * TEXT_SIZE * 48 / 100;
    let most = area.dim_in_pixel().0 as i32;
    let (mut at, mut row, mut places) = (12, 0, Vec::new());
    for &(name, colour) in names {
        if at > 12 && at + width(name) > most {
            (at, row) = (12, row + 1);
        }
        places.push((name, colour, at, row));
        at += width(name);
    }
    let height = if names.is_empty() { 0 } else { (row + 1) * LEGEND_ROW + 4 };
    let (top, rest) = area.split_vertically(height);
    for (name, colour, x, row) in places {
        let y = row * LEGEND_ROW + LEGEND_ROW / 2;
        top.draw(&PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)))?;
        top.draw(&Text::new(name, (x + 26, y), words(TEXT_SIZE - 1, false, HPos::Left, INK)))?;
    }
    Ok(rest)
}

/// What is shown over the epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Binary cross-entropy.
    Loss,
    /// Share of right decisions.
    Accuracy,
}

impl Measure {
    /// For an axis or the name of a file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
        }
    }

    /// While training.
    pub(crate) fn training(self, metrics: &EpochMetrics) -> f64 {
        match self {
            Self::Loss => metrics.train_loss,
            Self::Accuracy => metrics.train_accuracy,
        }
    }

    /// At the end of the epoch.
    pub(crate) fn validation(self, metrics: &EpochMetrics) -> f64 {
        match self {
            Self::Loss => metrics.validation_loss,
            Self::Accuracy => metrics.validation_accuracy,
        }
    }

    /// Axes that hold all lines; loss begins at 0, accuracy ends at 1.
    fn axes(self, lines: &[Line]) -> Axes {
        let points = || {
            let bands =
                |l: &'_ Line| l.band.iter().flat_map(|&(x, low, high)| [(x, low), (x, high)]).collect::<Vec<_>>();
            lines.iter().flat_map(move |l| bands(l).into_iter().chain(l.points.clone())).filter(|(_, y)| y.is_finite())
        };
        let last = points().map(|(x, _)| x).fold(2.0, f64::max);
        let range = match self {
            Self::Loss => 0.0..(points().map(|(_, y)| y).fold(0.0, f64::max) * 1.05).max(0.1),
            Self::Accuracy => (points().map(|(_, y)| y).fold(0.98, f64::min) - 0.02).max(0.0)..1.0,
        };
        let digits = if range.end - range.start < 0.1 { 3 } else { 2 };
        Axes { x: ("epoch", 1.0..last), y: (self.name(), range), digits: (0, digits), roots: false }
    }

    /// Draws lines over the epochs.
    pub(crate) fn draw(self, area: &Area<'_>, series: &[Line]) -> Result<(), PlotError> {
        lines(area, self.axes(series), series)
    }
}

/// Points of a measure over the epochs.
pub(crate) fn over_epochs(history: &[EpochMetrics], value: impl Fn(&EpochMetrics) -> f64) -> Vec<(f64, f64)> {
    history.iter().map(|m| (m.epoch as f64, value(m))).collect()
}

/// Loss and accuracy over the epochs, in training and validation.
pub(crate) fn curves(history: &[EpochMetrics], title: &str) -> Result<String, PlotError> {
    svg((1080, 440), title, |area| {
        for (panel, measure) in area.split_evenly((1, 2)).iter().zip([Measure::Loss, Measure::Accuracy]) {
            let series = [
                Line::new("training", BLUE, 2, over_epochs(history, |m| measure.training(m))),
                Line::new("validation", ORANGE, 2, over_epochs(history, |m| measure.validation(m))),
            ];
            measure.draw(panel, &series)?;
        }
        Ok(())
    })
}

/// Decisions against the truth, a table for each name; the shade is the share of the row.
pub(crate) fn confusion(tables: &[(&str, Confusion)], title: &str) -> Result<String, PlotError> {
    let width = 400;
    svg((width * tables.len().max(1) as u32, 350), title, |area| {
        for (panel, (name, c)) in area.split_evenly((1, tables.len().max(1))).iter().zip(tables) {
            let rows = [
                ("normal", [c.true_negatives, c.false_positives], c.negatives()),
                ("pneumonia", [c.false_negatives, c.true_positives], c.positives()),
            ];
            let (left, top, cell) = (110, 86, (130, 106));
            let text = |content: &str, at, size, bold, colour: &RGBColor| {
                panel.draw(&Text::new(content.to_owned(), at, words(size, bold, HPos::Center, *colour)))
            };
            text(name, (left + cell.0, 18), TEXT_SIZE, true, &INK)?;
            text("called", (left + cell.0, 44), TEXT_SIZE, false, &INK)?;
            for (column, name) in ["normal", "pneumonia"].into_iter().enumerate() {
                text(name, (left + cell.0 / 2 + column as i32 * cell.0, 68), TEXT_SIZE, false, &INK)?;
            }
            for (row, (name, counts, total)) in rows.into_iter().enumerate() {
                let y = top + row as i32 * cell.1;
                text(name, (left - 52, y + cell.1 / 2), TEXT_SIZE, false, &INK)?;
                for (column, count) in counts.into_iter().enumerate() {
                    let x = left + column as i32 * cell.0;
                    let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
                    let colour = if row == column { BLUE } else { ORANGE };
                    let ends = [(x + 2, y + 2), (x + cell.0 - 2, y + cell.1 - 2)];
                    panel.draw(&Rectangle::new(ends, colour.mix(0.08 + 0.82 * share).filled()))?;
                    let ink = if share > 0.55 { &WHITE } else { &INK };
                    text(&count.to_string(), (x + cell.0 / 2, y + cell.1 / 2 - 10), 24, true, ink)?;
                    let share = format!("{:.1} %", 100.0 * share);
                    text(&share, (x + cell.0 / 2, y + cell.1 / 2 + 18), TEXT_SIZE, false, ink)?;
                }
            }
        }
        Ok(())
    })
}

/// Points of a characteristic at most: more cannot be distinguished.
const ROC_POINTS: usize = 200;

/// The receiver operating characteristic of each named list, and where its threshold lies.
pub(crate) fn roc(lists: &[(&str, &Figures, &[Scored])], title: &str) -> Result<String, PlotError> {
    let mut series = vec![Line::new("", PALE, 2, vec![(0.0, 0.0), (1.0, 1.0)])];
    for ((name, figures, scored), colour) in lists.iter().zip(PALETTE[1..].iter().cycle()) {
        let auroc = figures.auroc.map_or_else(String::new, |a| format!(": AUROC {a:.3}"));
        let width = if lists.len() == 2 && series.len() == 1 { 4 } else { 2 };
        let mut line = Line::new(&format!("{name}{auroc}"), *colour, width, thinned(figures::roc(scored)));
        if let (Some(sensitivity), Some(specificity)) = (figures.sensitivity, figures.specificity) {
            line.dots = vec![(1.0 - specificity.value, sensitivity.value)];
        }
        series.push(line);
    }
    svg((440, 440), title, |area| lines(area, Axes::shares("1 − specificity", "sensitivity"), &series))
}

/// Leaves out points evenly, but not the first and the last.
pub(crate) fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let Some(last) = points.len().checked_sub(1).filter(|last| *last >= ROC_POINTS) else { return points };
    (0..ROC_POINTS).map(|i| points[i * last / (ROC_POINTS - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_say_what_they_show() {
        let scored: Vec<Scored> =
            (0..100).map(|i| Scored { positive: i % 3 != 0, probability: (i % 10) as f32 / 10.0 }).collect();
        let figures = Figures::of(&scored, 0.5);
        let table = confusion(&[("int8", figures.confusion)], "Confusion <of \"all\">").unwrap();
        for text in [
            "int8",
            "called",
            &figures.confusion.true_positives.to_string(),
            "aria-label=\"Confusion &lt;of &quot;all&quot;&gt;\"",
        ] {
            assert!(table.contains(text), "{text}");
        }
        assert!(roc(&[("int8", &figures, &scored)], "Characteristic").unwrap().contains("int8: AUROC"));
        let epoch = |epoch: usize| EpochMetrics {
            epoch,
            train_loss: 1.0 / epoch as f64,
            train_accuracy: 0.5,
            validation_loss: f64::INFINITY,
            validation_accuracy: 0.6,
        };
        for history in [vec![], vec![epoch(1)], (1..=30).map(epoch).collect()] {
            assert!(curves(&history, "Training").unwrap().contains("validation"));
        }
    }

    #[test]
    fn thinned_curves_keep_their_ends() {
        let points: Vec<_> = (0..1000).map(|i| (f64::from(i), 0.0)).collect();
        let thin = thinned(points.clone());
        assert_eq!((thin.len(), thin[0], thin[ROC_POINTS - 1]), (ROC_POINTS, points[0], points[999]));
        assert_eq!(thinned(points[..200].to_vec()), points[..200]);
    }

    #[test]
    fn legends_take_another_row_where_one_is_full() {
        let names = ["adam-whole-strong-bn-long", "adam-whole-mild-bn-long", "adam"].map(|n| (n, BLUE));
        svg((440, 200), "", |area| {
            let before = area.dim_in_pixel().1;
            assert_eq!(before - legend(area, &names)?.dim_in_pixel().1, 2 * LEGEND_ROW as u32 + 4);
            assert_eq!(before, legend(area, &[])?.dim_in_pixel().1);
            Ok(())
        })
        .unwrap();
    }
}
