//! The charts of the report of an evaluation. All are about as wide as a phone's screen, so that their words can be read
//! there; what they show is also said in words under them.

use measure::evaluation::{Bin, Curve, Estimate, LabelledAnswer, Measurement, PointFigures};
use plotters::{prelude::*, style::text_anchor::HPos};
use shared::verdict::Profile;

use super::words::estimate;
use crate::{
    document::{Figure, share},
    plots::{self, Axes, BLUE, Chart, INK, Line, ORANGE, PALE, PALETTE, PlotError, thinned},
};

const WIDTH: u32 = 440;

/// Bars of the histogram.
const BARS: usize = 20;

/// From this area on the curve runs along the edge of its chart, and a second chart shows the corner.
const CORNER: f64 = 0.95;

/// The place of an operating point, across and up.
type Place = fn(&PointFigures) -> Option<(Estimate, Estimate)>;

/// Draws; titles of synthetic figures say so, because a picture may be passed on alone.
pub(super) struct Charts<'a> {
    pub(super) measurement: &'a Measurement,
    pub(super) judged: &'a [LabelledAnswer],
    pub(super) synthetic: bool,
}

impl Charts<'_> {
    fn title(&self, words: &str) -> String {
        if self.synthetic { format!("{words} (SYNTHETIC)") } else { words.to_owned() }
    }

    fn figure(
        &self,
        (name, title): (&str, &str),
        height: u32,
        caption: String,
        draw: impl FnOnce(&plots::Area<'_>) -> Result<(), PlotError>,
    ) -> Result<Figure, PlotError> {
        let title = self.title(title);
        let svg = plots::svg((WIDTH, height), &title, draw)?;
        Ok(Figure { name: name.to_owned(), title, svg, caption })
    }

    /// The receiver operating characteristic, its corner where it runs along the edge, and precision over recall; none with
    /// one class only.
    pub(super) fn curves(&self) -> Result<Vec<Figure>, PlotError> {
        let Measurement { roc, precision_recall, estimates, counts, .. } = self.measurement;
        if roc.points.is_empty() {
            return Ok(Vec::new());
        }
        let mut series = vec![Line::new("", PALE, 2, vec![(0.0, 0.0), (1.0, 1.0)]), line(roc)];
        series.extend(self.marks(|p| p.estimates.specificity.zip(p.estimates.sensitivity), |x| 1.0 - x));
        let caption = format!(
            "Area under the curve: {}. Shaded: 95 % band by bootstrap over patients. Dots: where the model can be set to \
             decide. Pale: guessing.",
            estimate(estimates.auroc)
        );
        let mut figures = vec![self.figure(("roc", "Receiver operating characteristic"), 470, caption, |area| {
            plots::lines(area, Axes::shares("1 − specificity", "sensitivity"), &series)
        })?];
        if estimates.auroc.is_some_and(|auroc| auroc.value >= CORNER) {
            let (wide, low) = (0.25, 0.75);
            let cut: Vec<Line> = series.into_iter().skip(1).map(|line| within(line, wide, low)).collect();
            let x = ("1 − specificity", 0.0..wide);
            let axes = Axes { x, y: ("sensitivity", low..1.0), digits: (2, 2), roots: false };
            let caption = "The upper left corner of the same curve, enlarged four times.".to_owned();
            let draw = |area: &plots::Area<'_>| plots::lines(area, axes, &cut);
            figures.push(self.figure(("roc-corner", "Its upper left corner"), 470, caption, draw)?);
        }
        let prevalence = counts.pneumonia as f64 / counts.images as f64;
        let guessing = Line::new("", PALE, 2, vec![(0.0, prevalence), (1.0, prevalence)]);
        let mut series = vec![guessing, line(precision_recall)];
        series.extend(self.marks(|p| p.estimates.sensitivity.zip(p.estimates.positive_predictive_value), |x| x));
        let caption = format!(
            "Average precision: {}. Pale: guessing, which gives the share of pneumonia among these images, {}. Where \
             pneumonia is rarer, precision is lower.",
            estimate(estimates.average_precision),
            share(prevalence)
        );
        figures.push(self.figure(("precision-recall", "Precision over recall"), 470, caption, |area| {
            plots::lines(area, Axes::shares("recall (sensitivity)", "precision"), &series)
        })?);
        Ok(figures)
    }

    /// The operating points to choose from, or else the only one.
    fn marks(&self, place: Place, across: fn(f64) -> f64) -> Vec<Line> {
        let Measurement { points, decision, .. } = self.measurement;
        let profile = |profile: Profile| match profile {
            Profile::Screening => PALETTE[3],
            Profile::Balanced => ORANGE,
            Profile::Confirming => PALETTE[4],
        };
        let mut named: Vec<_> = points.iter().map(|(p, figures)| (p.as_str(), profile(*p), figures)).collect();
        if named.is_empty() {
            named.push(("threshold", ORANGE, decision));
        }
        let mark = |(name, colour, figures): (&str, RGBColor, &PointFigures)| {
            let (x, y) = place(figures)?;
            Some(Line::new(name, colour, 2, vec![(across(x.value), y.value)]))
        };
        named.into_iter().filter_map(mark).collect()
    }

    /// Decisions at the threshold against the truth.
    pub(super) fn confusion(&self) -> Result<Figure, PlotError> {
        let confusion = self.measurement.confusion;
        let title = self.title("Decisions at the threshold");
        let svg = plots::confusion(&[(&format!("{} images", self.judged.len()), confusion)], &title)?;
        let caption = format!(
            "Of {} normal images {} are called pneumonia; of {} images with pneumonia {} are called normal.",
            confusion.negatives(),
            confusion.false_positives,
            confusion.positives(),
            confusion.false_negatives
        );
        Ok(Figure { name: "confusion".to_owned(), title, svg, caption })
    }

    /// How many images have which probability: normal ones stand, those with pneumonia hang.
    pub(super) fn histogram(&self) -> Result<Figure, PlotError> {
        let mut counts = [[0_usize; BARS]; 2];
        for image in self.judged {
            let bar = ((image.sound_probability() * BARS as f64) as usize).min(BARS - 1);
            counts[usize::from(image.label.positive())][bar] += 1;
        }
        let most = |class: usize| (counts[class].iter().copied().max().unwrap_or(0) as f64).sqrt().max(2.0) * 1.05;
        let point = self.measurement.decision.point;
        let names = [("normal", BLUE), ("pneumonia", ORANGE), ("threshold", INK), ("refer", PALE)];
        let axes = Axes {
            x: ("probability of pneumonia", 0.0..1.0),
            y: ("images (root scale)", -most(1)..most(0)),
            digits: (1, 0),
            roots: true,
        };
        let caption = format!(
            "Normal images stand on the line, images with pneumonia hang from it; heights are square roots, so that few can \
             be seen beside many. Shaded: probabilities from {:.3} to {:.3} are referred. Line: the threshold, {:.3}.",
            point.refer_from, point.refer_to, point.threshold
        );
        let (from, to, threshold) =
            (f64::from(point.refer_from), f64::from(point.refer_to), f64::from(point.threshold));
        self.figure(("histogram", "Probabilities by class"), 400, caption, |area| {
            plots::chart(area, axes, &names, |chart| {
                chart.draw_series([Rectangle::new([(from, -most(1)), (to, most(0))], PALE.mix(0.6).filled())])?;
                for (class, (colour, side)) in [(BLUE, 1.0), (ORANGE, -1.0)].into_iter().enumerate() {
                    bars(chart, &counts[class].map(|count| side * (count as f64).sqrt()), colour)?;
                }
                let ends = [(threshold, -most(1)), (threshold, most(0))];
                chart.draw_series([PathElement::new(ends, INK.stroke_width(1))])?;
                chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 0.0)], INK.stroke_width(1))])?;
                Ok(())
            })
        })
    }

    /// The share with pneumonia by probability, and under it how many there are.
    pub(super) fn reliability(&self) -> Result<Figure, PlotError> {
        let Measurement { reliability, estimates, .. } = self.measurement;
        let caption = format!(
            "In each of ten ranges the share of images that show pneumonia, over their mean probability; on the pale line \
             probabilities are calibrated. Bars: 95 % intervals by Wilson's method. Below: images in each range. \
             Expected calibration error: {}.",
            estimate(estimates.calibration_error)
        );
        self.figure(("reliability", "Reliability of the probabilities"), 560, caption, |area| {
            let (above, below) = area.split_vertically(390);
            let axes = Axes::shares("mean probability", "share with pneumonia");
            plots::chart(&above, axes, &[], |chart| {
                chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], PALE.stroke_width(2))])?;
                let found: Vec<_> = reliability.iter().filter_map(|bin| bin.predicted.zip(bin.observed)).collect();
                let lines = found.iter().map(|(x, share)| {
                    PathElement::new([(*x, share.low), (*x, share.high)], BLUE.mix(0.6).stroke_width(2))
                });
                chart.draw_series(lines)?;
                chart.draw_series(found.iter().map(|(x, share)| Circle::new((*x, share.value), 5, BLUE.filled())))?;
                Ok(())
            })?;
            let root = |bin: &Bin| (bin.images as f64).sqrt();
            let most = reliability.iter().map(root).fold(1.0, f64::max) * 1.35;
            let axes = Axes { x: ("probability", 0.0..1.0), y: ("images", 0.0..most), digits: (1, 0), roots: true };
            plots::chart(&below, axes, &[], |chart| {
                let heights: Vec<f64> = reliability.iter().map(root).collect();
                bars(chart, &heights, BLUE)?;
                let size = heights.len() as f64;
                let counts = reliability.iter().enumerate().map(|(i, bin)| {
                    let at = ((i as f64 + 0.5) / size, root(bin) + most * 0.1);
                    Text::new(bin.images.to_string(), at, plots::words(13, false, HPos::Center, INK))
                });
                chart.draw_series(counts)?;
                Ok(())
            })
        })
    }
}

/// Bars side by side from 0 to 1.
fn bars(chart: &mut Chart<'_, '_>, heights: &[f64], colour: RGBColor) -> Result<(), PlotError> {
    let size = heights.len() as f64;
    let bar = |(i, height): (usize, &f64)| {
        let (left, right) = ((i as f64 + 0.08) / size, (i as f64 + 0.92) / size);
        Rectangle::new([(left, 0.0), (right, *height)], colour.filled())
    };
    chart.draw_series(heights.iter().enumerate().filter(|(_, height)| **height != 0.0).map(bar))?;
    Ok(())
}

fn line(curve: &Curve) -> Line {
    let mut line = Line::new("", BLUE, 2, thinned(corners(&curve.points)));
    line.band.clone_from(&curve.band);
    line.dots.clear();
    line
}

/// Leaves out the points on the way straight up or across: the same line with far fewer points.
fn corners(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let straight = |at: usize| {
        let (Some(before), Some(after)) = (at.checked_sub(1).map(|i| points[i]), points.get(at + 1)) else {
            return false;
        };
        let (x, y) = points[at];
        (before.0 == x && x == after.0) || (before.1 == y && y == after.1)
    };
    (0..points.len()).filter(|&at| !straight(at)).map(|at| points[at]).collect()
}

/// The part of a rising line that a chart from 0 to `wide` and from `low` to 1 can show.
fn within(mut line: Line, wide: f64, low: f64) -> Line {
    let inside = line.points.partition_point(|(x, _)| *x <= wide);
    let edge = inside.checked_sub(1).and_then(|last| Some((line.points[last], *line.points.get(inside)?)));
    line.points.truncate(inside);
    line.points.extend(edge.map(|((x, y), (far, end))| (wide, y + (end - y) * (wide - x) / (far - x))));
    line.points.iter_mut().for_each(|(_, y)| *y = y.max(low));
    line.band.retain(|(x, ..)| *x <= wide);
    line.band.iter_mut().for_each(|(_, from, to)| (*from, *to) = (from.max(low), to.max(low)));
    line.dots.retain(|(x, y)| *x <= wide && *y >= low);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_corners() {
        let points = [(0.0, 0.0), (0.0, 0.2), (0.0, 0.4), (0.5, 0.4), (0.6, 0.4), (0.8, 0.7), (1.0, 1.0)];
        assert_eq!(corners(&points), [(0.0, 0.0), (0.0, 0.4), (0.6, 0.4), (0.8, 0.7), (1.0, 1.0)]);
        assert!(corners(&[]).is_empty());
    }

    #[test]
    fn a_corner_holds_no_more_than_it_can_show() {
        let mut line = Line::new("", BLUE, 2, vec![(0.0, 0.0), (0.125, 0.875), (0.375, 1.0), (1.0, 1.0)]);
        line.band = vec![(0.0, 0.0, 0.8), (0.25, 0.7, 1.0), (0.5, 0.9, 1.0)];
        line.dots = vec![(0.1, 0.9), (0.1, 0.6), (0.4, 1.0)];
        let cut = within(line, 0.25, 0.75);
        assert_eq!(cut.points, [(0.0, 0.75), (0.125, 0.875), (0.25, 0.9375)]);
        assert_eq!(cut.band, [(0.0, 0.75, 0.8), (0.25, 0.75, 1.0)]);
        assert_eq!(cut.dots, [(0.1, 0.9)]);
    }
}
