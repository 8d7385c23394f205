//! What speaks for pneumonia at each place of a radiograph, and how it is drawn over it.
//!
//! # Definition
//!
//! 1. A model's activation map says how much each cell adds to the log-odds. The *local log-odds* of a cell are what the
//!    model would say of a picture that looks like this place everywhere: the cell's contribution times the number of
//!    cells, and the model's bias. Their mean over the cells is the model's answer, so they are on its scale, whatever
//!    the number of cells and whatever else is on the picture.
//! 2. A cell counts at the centre of the pixels that it depends on. Between four centres, local log-odds are
//!    interpolated bilinearly. Beyond the outermost ones, where no cell is centred, what speaks for pneumonia fades to
//!    nothing within a step.
//! 3. What is below [`Outlines::shown`] is not drawn: neither what speaks against pneumonia nor what says little. From there
//!    on the colour grows stronger up to [`Outlines::strong`]. One line is drawn around what reaches the one, another, thicker
//!    one around what reaches the other, light with dark edges, so that nobody depends on the colour.
//!
//! The scale is the model's, not the picture's. A picture without evidence shows none; it is not stretched to its own maximum.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{
    contract::InputContract,
    preprocess::{Window, placement},
};

/// Local log-odds from which places are outlined; in the card of a model. Single places say more than a whole picture, on
/// which they are weighed against each other, and how much more differs from model to model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlines {
    /// From here on a place is coloured, with a thin line around it.
    pub shown: f32,
    /// From here on a place has the full colour and a thick line; above `shown`.
    pub strong: f32,
}

impl Default for Outlines {
    /// For a model of which nobody has measured what normal radiographs reach.
    fn default() -> Self {
        Self { shown: 6.0, strong: 9.0 }
    }
}

/// Outlines that are not in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outlines must have 0 < shown < strong: use a model made by `pumua train`")]
pub struct OutlinesError;

impl Outlines {
    /// Checks the order.
    pub fn check(&self) -> Result<(), OutlinesError> {
        let ordered = 0.0 < self.shown && self.shown < self.strong && self.strong.is_finite();
        if ordered { Ok(()) } else { Err(OutlinesError) }
    }
}

/// Orange, which people who cannot distinguish red from green also see.
const COLOUR: [f32; 3] = [255.0, 140.0, 0.0];

/// Colours of the lines and of their edges.
const LINE: [f32; 3] = [255.0, 240.0, 200.0];
const EDGE: [f32; 3] = [25.0, 12.0, 0.0];

/// Most of a pixel that the colour takes, so that the radiograph can be seen through it.
const OPACITY: f32 = 0.5;

/// The line around what was judged, where something was left out.
const AROUND: [u8; 3] = [120, 190, 255];

/// Red, green and blue of a pixel of this grey in column `x` and row `y` of a radiograph, if it was not judged: what was fills
/// these columns and rows ([`Window::on`]). It is darker; a line of this many pixels lies around what was judged.
pub fn left_out(grey: u8, [x, y]: [u32; 2], [columns, rows]: &[Range<u32>; 2], line: u32) -> Option<[u8; 3]> {
    let away =
        |place: u32, range: &Range<u32>| range.start.saturating_sub(place).max((place + 1).saturating_sub(range.end));
    match away(x, columns).max(away(y, rows)) {
        0 => None,
        far if far <= line => Some(AROUND),
        _ => Some([grey / 5 * 2; 3]),
    }
}

/// Lengths along the two axes of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Downwards.
    pub down: f32,
    /// To the right.
    pub right: f32,
}

/// What a model says of each cell of its last feature map, and where the cells lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// Rows of cells.
    pub rows: usize,
    /// Cells in a row.
    pub columns: usize,
    /// Local log-odds, row by row.
    pub local: Vec<f32>,
    /// Centre of the first cell, in pixels of the model's input.
    pub first: Place,
    /// From one centre to the next, in the same pixels.
    pub step: Place,
}

/// Local log-odds of the places of a radiograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// With places in parts of the picture's height and width.
    cells: Cells,
    outlines: Outlines,
}

impl Evidence {
    /// Places cells on a picture of `width × height` pixels, of which the model has seen what the contract says.
    ///
    /// `None` if there are not as many values as cells, or none, or centres that are not finite or do not increase.
    pub fn new(cells: Cells, contract: &InputContract, [width, height]: [u32; 2]) -> Option<Self> {
        let Cells { rows, columns, ref local, first, step } = cells;
        let counted = rows.checked_mul(columns).is_some_and(|cells| cells > 0 && cells == local.len());
        let usable = |first: f32, step: f32| first.is_finite() && step.is_finite() && step > 0.0;
        if !counted || !usable(first.down, step.down) || !usable(first.right, step.right) || width == 0 || height == 0 {
            return None;
        }
        let [left, top, width, height] = placement(width, height, contract).map(|pixels| pixels as f32);
        let first = Place { down: (first.down - top) / height, right: (first.right - left) / width };
        let step = Place { down: step.down / height, right: step.right / width };
        Some(Self { cells: Cells { first, step, ..cells }, outlines: Outlines::default() })
    }

    /// The same, where the model was shown what is in a window, and the picture is that around it.
    #[must_use]
    pub fn within(self, window: &Window) -> Self {
        let [left, top, right, bottom] = window.parts();
        let Cells { first, step, .. } = self.cells;
        let first = Place { down: top + first.down * (bottom - top), right: left + first.right * (right - left) };
        let step = Place { down: step.down * (bottom - top), right: step.right * (right - left) };
        Self { cells: Cells { first, step, ..self.cells }, ..self }
    }

    /// The same, outlined from these levels on.
    #[must_use]
    pub fn outlined(self, outlines: Outlines) -> Self {
        Self { outlines, ..self }
    }

    /// Local log-odds between cells.
    fn value(&self, down: &Between, right: &Between) -> f32 {
        let row = |row: usize| {
            let value = |column: usize| self.cells.local[row * self.cells.columns + column];
            value(right.before) * (1.0 - right.further) + value(right.after) * right.further
        };
        let value = row(down.before) * (1.0 - down.further) + row(down.after) * down.further;
        if value > 0.0 { value * down.kept * right.kept } else { value }
    }

    /// Where a row lies, in parts of the picture's height.
    fn down(&self, place: f32) -> Between {
        Between::new(place, self.cells.first.down, self.cells.step.down, self.cells.rows)
    }

    /// Where a column lies, in parts of the picture's width.
    fn right(&self, place: f32) -> Between {
        Between::new(place, self.cells.first.right, self.cells.step.right, self.cells.columns)
    }

    /// True if something is drawn.
    pub fn is_shown(&self) -> bool {
        self.cells.local.iter().any(|&value| value >= self.outlines.shown)
    }

    /// Draws it over the radiograph, shown at `width × height` pixels.
    pub fn painter(&self, [width, height]: [u32; 2]) -> Painter<'_> {
        let thin = (width.min(height) as f32 / 250.0).max(1.0);
        let Outlines { shown, strong } = self.outlines;
        let lines = [(shown, thin), (strong, 2.5 * thin)];
        // A line is near only where the level is crossed between the pixels around: a ridge just below it has none.
        let lines = lines.map(|(level, thick)| Line { level, thick, near: thick / 2.0 + thin + 0.5 });
        let columns = (0..width).map(|x| around(&lines, x, width, |place| self.right(place))).collect();
        Painter { evidence: self, columns, height, thin, lines }
    }
}

/// Where a place lies between the centres of cells, along one axis.
#[derive(Clone, Copy, Debug)]
struct Between {
    before: usize,
    after: usize,
    /// How far it is from the one before, in parts of the step to the one after.
    further: f32,
    /// How much is left there of what speaks for pneumonia.
    kept: f32,
}

impl Between {
    fn new(place: f32, first: f32, step: f32, cells: usize) -> Self {
        let place = (place - first) / step;
        let inside = place.clamp(0.0, (cells - 1) as f32);
        let before = inside as usize;
        let kept = (1.0 - (place - inside).abs()).max(0.0);
        Self { before, after: (before + 1).min(cells - 1), further: inside - before as f32, kept }
    }
}

/// A line around what reaches a level.
#[derive(Clone, Copy, Debug)]
struct Line {
    level: f32,
    thick: f32,
    /// How far around a pixel the level is looked for.
    near: f32,
}

/// The places that the colour of a pixel depends on, along one axis: its own, and before and after it as far as each line
/// looks, the thicker one last.
type Around = [Between; 5];

fn around(lines: &[Line; 2], index: u32, length: u32, between: impl Fn(f32) -> Between) -> Around {
    let [thin, thick] = lines.map(|line| line.near);
    [0.0, -thin, thin, -thick, thick].map(|away| between((index as f32 + 0.5 + away) / length as f32))
}

/// Draws evidence over a radiograph of some size, row by row: where a column or a row lies between the cells is found once.
#[derive(Debug)]
pub struct Painter<'a> {
    evidence: &'a Evidence,
    columns: Vec<Around>,
    height: u32,
    thin: f32,
    lines: [Line; 2],
}

impl Painter<'_> {
    /// A row of pixels.
    pub fn row(&self, y: u32) -> PaintedRow<'_> {
        let Cells { columns, ref local, .. } = self.evidence.cells;
        let around = around(&self.lines, y, self.height, |place| self.evidence.down(place));
        let [.., first, last] = around;
        let mut highest = vec![f32::NEG_INFINITY; columns];
        for row in local.chunks_exact(columns).take(last.after + 1).skip(first.before) {
            // What is not a number is never drawn.
            highest.iter_mut().zip(row).for_each(|(highest, &value)| *highest = highest.max(value));
        }
        PaintedRow { painter: self, around, highest }
    }
}

/// A row of pixels of a radiograph with evidence over it.
#[derive(Debug)]
pub struct PaintedRow<'a> {
    painter: &'a Painter<'a>,
    around: Around,
    /// The most that a cell of each column says of the places around.
    highest: Vec<f32>,
}

impl PaintedRow<'_> {
    /// Red, green and blue of the pixel in column `x`, where the radiograph is of this grey.
    pub fn paint(&self, grey: u8, x: u32) -> [u8; 3] {
        let Painter { evidence, ref columns, thin, lines, .. } = *self.painter;
        let Outlines { shown, strong } = evidence.outlines;
        let Some(right) = columns.get(x as usize) else { return [grey; 3] };
        let [.., first, last] = right;
        // Nothing between cells is above the highest, but for rounding.
        let silent = shown - 0.001 * shown.abs();
        let around = self.highest.get(first.before..=last.after);
        if around.is_some_and(|around| around.iter().all(|&highest| highest < silent)) {
            return [grey; 3];
        }
        let at = |across: usize, along: usize| evidence.value(&self.around[along], &right[across]);
        let value = at(0, 0);
        let mut colour = [f32::from(grey); 3];
        let mut mix = |paint: [f32; 3], part: f32| {
            for (old, new) in colour.iter_mut().zip(paint) {
                *old += (new - *old) * part;
            }
        };
        // NaN is not shown either.
        if value >= shown {
            let strength = ((value - shown) / (strong - shown)).min(1.0);
            mix(COLOUR, OPACITY * (0.4 + 0.6 * strength));
        }
        for (Line { level, thick, near }, [before, after]) in lines.into_iter().zip([[1, 2], [3, 4]]) {
            let around = [at(before, 0), at(after, 0), at(0, before), at(0, after)];
            if !around.iter().any(|&other| (other >= level) != (value >= level)) {
                continue;
            }
            let [left, right, above, below] = around;
            let distance = (value - level).abs() * 2.0 * near / length(right - left, below - above);
            let cover = |thick: f32| (thick / 2.0 + 0.5 - distance).clamp(0.0, 1.0);
            if distance.is_finite() {
                mix(EDGE, cover(thick + 2.0 * thin));
                mix(LINE, cover(thick));
            }
        }
        colour.map(|value| (value + 0.5) as u8)
    }
}

/// Length of a vector, to 4 %: the crate has no square root.
fn length(a: f32, b: f32) -> f32 {
    let (long, short) = (a.abs().max(b.abs()), a.abs().min(b.abs()));
    0.96 * long + 0.4 * short
}

#[cfg(test)]
mod tests;
