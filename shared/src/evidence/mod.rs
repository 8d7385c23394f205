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

use alloc::vec::Vec;
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

    /// Local log-odds at a place, in parts of the picture's height and width.
    fn at(&self, down: f32, right: f32) -> f32 {
        let Cells { rows, columns, ref local, first, step } = self.cells;
        let along = |place: f32, first: f32, step: f32, cells: usize| {
            let place = (place - first) / step;
            let inside = place.clamp(0.0, (cells - 1) as f32);
            let before = inside as usize;
            let kept = (1.0 - (place - inside).abs()).max(0.0);
            (before, (before + 1).min(cells - 1), inside - before as f32, kept)
        };
        let (above, below, lower, kept_down) = along(down, first.down, step.down, rows);
        let (left, right, further, kept_right) = along(right, first.right, step.right, columns);
        let row = |row: usize| {
            let value = |column: usize| local[row * columns + column];
            value(left) * (1.0 - further) + value(right) * further
        };
        let value = row(above) * (1.0 - lower) + row(below) * lower;
        if value > 0.0 { value * kept_down * kept_right } else { value }
    }

    /// True if something is drawn.
    pub fn is_shown(&self) -> bool {
        self.cells.local.iter().any(|&value| value >= self.outlines.shown)
    }

    /// Red, green and blue of the pixel in column `x` and row `y` of the radiograph, shown at `width × height` pixels, where
    /// it is of this grey.
    pub fn paint(&self, grey: u8, [x, y]: [u32; 2], [width, height]: [u32; 2]) -> [u8; 3] {
        let at = |right: f32, down: f32| {
            self.at((y as f32 + 0.5 + down) / height as f32, (x as f32 + 0.5 + right) / width as f32)
        };
        let value = at(0.0, 0.0);
        let mut colour = [f32::from(grey); 3];
        let mut mix = |paint: [f32; 3], part: f32| {
            for (old, new) in colour.iter_mut().zip(paint) {
                *old += (new - *old) * part;
            }
        };
        // NaN is not shown either.
        let Outlines { shown, strong } = self.outlines;
        if value >= shown {
            let strength = ((value - shown) / (strong - shown)).min(1.0);
            mix(COLOUR, OPACITY * (0.4 + 0.6 * strength));
        }
        let thin = (width.min(height) as f32 / 250.0).max(1.0);
        for (level, thick) in [(shown, thin), (strong, 2.5 * thin)] {
            // A line is near only where the level is crossed between the pixels around: a ridge just below it has none.
            let near = thick / 2.0 + thin + 0.5;
            let around = [at(-near, 0.0), at(near, 0.0), at(0.0, -near), at(0.0, near)];
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
