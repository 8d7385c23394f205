//! The part of a picture that is the radiograph: without frames, collimators, letterboxes and shutters.
//!
//! # Definition
//!
//! All of it is in integers, so that every processor finds the same window.
//!
//! 1. **Constant lines** at the edge of the picture, of which each pixel has the grey value of a corner, are left out: the
//!    frame of a file that was not compressed since, to the pixel.
//! 2. **Edges** ([`edge`]) are looked for in a copy of at most [`SEEN`] pixels: straight lines, slanted or not, along a whole
//!    side, with a frame beyond them. Steps 1 and 2 are repeated while something is found, as frames lie in frames.
//! 3. **Even lines** at the edge are left out, of which nearly all pixels differ little from each other, whatever has been
//!    burned into them. They have no edge that would show that they are a frame; they may be air beside a child. So a margin
//!    of a [`MARGIN`]th of what is inside stays.
//!
//! What is left of less than a quarter of a side is not a radiograph in a frame but something else: then all of it is looked at.

mod edge;

use alloc::{vec, vec::Vec};
use core::ops::Range;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use super::{Channels, Picture, Samples};
use crate::limits::MIN_IMAGE_SIDE;

/// Longest side of the copy in which frames are looked for, in pixels.
const SEEN: u16 = 256;

/// Most rounds of each step. Frames within frames within frames are three.
const ROUNDS: usize = 3;

/// Most rounds in which constant lines are left out: a frame of several shades takes as many.
const SHADES: usize = 4;

/// Pixels of an even line differ by no more than this many grey values …
const EVEN: usize = 6;

/// … but for these hundredths: letters.
const ODD: usize = 8;

/// What is inside, divided by this, is the margin that stays of even lines.
const MARGIN: usize = 24;

/// A part of a picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Window {
    /// First column.
    pub left: u16,
    /// First row.
    pub top: u16,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Width and height of the picture.
    pub of: [u16; 2],
}

impl Window {
    /// All of a picture of this width and height, each at most [`crate::limits::MAX_IMAGE_SIDE`].
    pub const fn whole(width: u32, height: u32) -> Self {
        let of = [width as u16, height as u16];
        Self { left: 0, top: 0, width: of[0], height: of[1], of }
    }

    /// True if nothing of the picture is left out.
    pub fn is_whole(&self) -> bool {
        [self.width, self.height] == self.of
    }

    /// True if it has pixels and lies within its picture.
    pub fn fits(&self) -> bool {
        let along =
            |from: u16, length: u16, of: u16| length > 0 && u32::from(from) + u32::from(length) <= u32::from(of);
        along(self.left, self.width, self.of[0]) && along(self.top, self.height, self.of[1])
    }

    /// The part of a copy of the picture, of another size, whose pixels lie in the window by their middle: columns and rows.
    pub fn on(&self, [width, height]: [u32; 2]) -> [Range<u32>; 2] {
        let at = |place: u16, of: u16, length: u32| {
            let (place, of) = (u64::from(place), u64::from(of.max(1)));
            ((2 * place * u64::from(length) + of) / (2 * of)) as u32
        };
        let (right, bottom) = (self.left.saturating_add(self.width), self.top.saturating_add(self.height));
        [
            at(self.left, self.of[0], width)..at(right, self.of[0], width),
            at(self.top, self.of[1], height)..at(bottom, self.of[1], height),
        ]
    }

    /// Left, top, right and bottom in parts of the picture.
    pub fn parts(&self) -> [f32; 4] {
        let part = |place: u32, of: u16| place as f32 / f32::from(of.max(1));
        let [left, top, width, height] = [self.left, self.top, self.width, self.height].map(u32::from);
        let [wide, high] = self.of;
        [part(left, wide), part(top, high), part(left + width, wide), part(top + height, high)]
    }
}

/// Columns and rows of a part of a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rectangle {
    /// Left, top, right, bottom; what is to the right and below is outside.
    ends: [usize; 4],
}

/// The sides in the order of [`Rectangle::ends`].
const SIDES: [usize; 4] = [0, 1, 2, 3];

impl Rectangle {
    fn of(width: usize, height: usize) -> Self {
        Self { ends: [0, 0, width, height] }
    }

    fn size(&self) -> [usize; 2] {
        [self.ends[2] - self.ends[0], self.ends[3] - self.ends[1]]
    }

    /// The same with lines left out at a side.
    fn without(mut self, side: usize, lines: usize) -> Self {
        let [width, height] = self.size();
        let lines = lines.min(if side.is_multiple_of(2) { width } else { height } - 1);
        if side < 2 {
            self.ends[side] += lines;
        } else {
            self.ends[side] -= lines;
        }
        self
    }

    /// The part of this one that was found in a copy of it of that size. Pixels that are in part outside are left out.
    fn scaled(&self, found: &Self, [width, height]: [usize; 2]) -> Self {
        let [wide, high] = self.size();
        let [left, top, right, bottom] = found.ends;
        let [from_left, from_top, ..] = self.ends;
        let ends = [
            from_left + (left * wide).div_ceil(width),
            from_top + (top * high).div_ceil(height),
            from_left + right * wide / width,
            from_top + bottom * high / height,
        ];
        if ends[0] < ends[2] && ends[1] < ends[3] { Self { ends } } else { *self }
    }
}

/// The window of a picture, by the definition above.
pub(super) fn find(picture: &Picture<'_>) -> Window {
    let whole = Rectangle::of(picture.width as usize, picture.height as usize);
    let (mut found, mut rounds) = (whole, 0..ROUNDS);
    let view = loop {
        found = without_constant(picture, found);
        let view = View::of(picture, &found);
        let inside = if rounds.next().is_some() { edge::within(&view) } else { view.all() };
        if inside == view.all() {
            break view;
        }
        found = found.scaled(&inside, view.size());
    };
    let found = found.scaled(&without_even(&view), view.size());
    let enough = |length: usize, of: usize| 4 * length >= of && length >= MIN_IMAGE_SIDE as usize;
    let ([width, height], [all_wide, all_high]) = (found.size(), whole.size());
    let all = Window::whole(picture.width, picture.height);
    if !(enough(width, all_wide) && enough(height, all_high)) {
        return all;
    }
    let [left, top, ..] = found.ends;
    Window { left: left as u16, top: top as u16, width: width as u16, height: height as u16, ..all }
}

/// Step 1: what is left without lines that have the grey value of a corner throughout.
fn without_constant(picture: &Picture<'_>, within: Rectangle) -> Rectangle {
    let stride = picture.stride;
    match (picture.samples, picture.channels) {
        // The usual ones, several times as fast.
        (Samples::U8(samples), Channels::Grey) => without_shades(within, |x, y| samples[y * stride + x].into()),
        (Samples::U16(samples), Channels::Grey) => without_shades(within, |x, y| samples[y * stride + x].into()),
        _ => without_shades(within, |x, y| picture.grey(x, y)),
    }
}

/// The same for any way to get the grey value in a column and a row.
fn without_shades(within: Rectangle, grey: impl Fn(usize, usize) -> u32) -> Rectangle {
    let mut found = within;
    for _ in 0..SHADES {
        let before = found;
        // The shade of which there was nothing more the last time.
        let mut none = None;
        for corner in [[0, 1], [2, 1], [0, 3], [2, 3]] {
            let [x, y] = corner.map(|side| found.ends[side] - usize::from(side >= 2));
            let shade = grey(x, y);
            if none == Some(shade) {
                continue;
            }
            let whole = found;
            let row = |found: &Rectangle, y: usize| (found.ends[0]..found.ends[2]).all(|x| grey(x, y) == shade);
            while found.size()[1] > 1 && row(&found, found.ends[1]) {
                found = found.without(1, 1);
            }
            while found.size()[1] > 1 && row(&found, found.ends[3] - 1) {
                found = found.without(3, 1);
            }
            let [left, top, right, bottom] = found.ends;
            let (mut from_left, mut from_right) = (right - left - 1, right - left - 1);
            for y in top..bottom {
                let equal = |x: &usize| grey(*x, y) == shade;
                from_left = (left..left + from_left).take_while(equal).count();
                from_right = (right - from_right..right).rev().take_while(equal).count();
            }
            found = found.without(0, from_left).without(2, from_right);
            none = (found == whole).then_some(shade);
        }
        if found == before {
            break;
        }
    }
    found
}

/// Step 3.
fn without_even(view: &View) -> Rectangle {
    let mut found = view.all();
    let least = view.size().map(|length| (length / 8).max(1));
    let mut left_out = [false; 4];
    loop {
        let [width, height] = found.size();
        if width <= least[0] || height <= least[1] {
            break;
        }
        // Shares of the pixels that differ, compared without a division.
        let odd = SIDES.map(|side| view.odd(&found, side));
        let length = |side: usize| if side.is_multiple_of(2) { height } else { width };
        let Some(side) = SIDES.into_iter().min_by_key(|&side| odd[side] * length((side + 1) % 2)) else { break };
        if 100 * odd[side] > ODD * length(side) {
            break;
        }
        found = found.without(side, 1);
        left_out[side] = true;
    }
    let [width, height] = found.size();
    for side in SIDES.into_iter().filter(|&side| left_out[side]) {
        let inside = if side.is_multiple_of(2) { width } else { height };
        let margin = inside / MARGIN;
        found.ends[side] = match side {
            0 | 1 => found.ends[side].saturating_sub(margin),
            _ => (found.ends[side] + margin).min(view.all().ends[side]),
        };
    }
    found
}

/// A small copy of a part of a picture.
struct View {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl View {
    fn of(picture: &Picture<'_>, part: &Rectangle) -> Self {
        let [left, top, ..] = part.ends;
        let [width, height] = part.size();
        let (pixels, width, height) = picture.cut(left, top, width, height).preview(SEEN);
        Self { pixels, width: width.into(), height: height.into() }
    }

    /// The same with rows and columns exchanged.
    fn turned(&self) -> Self {
        let mut pixels = vec![0; self.pixels.len()];
        for (x, column) in pixels.chunks_exact_mut(self.height).enumerate() {
            for (to, row) in column.iter_mut().zip(self.pixels.chunks_exact(self.width)) {
                *to = row[x];
            }
        }
        Self { pixels, width: self.height, height: self.width }
    }

    fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    fn all(&self) -> Rectangle {
        Rectangle::of(self.width, self.height)
    }

    /// The outermost line of a part at a side.
    fn line(&self, part: &Rectangle, side: usize) -> impl Iterator<Item = u8> {
        let [left, top, right, bottom] = part.ends;
        let (columns, rows) = match side {
            0 => (left..left + 1, top..bottom),
            1 => (left..right, top..top + 1),
            2 => (right - 1..right, top..bottom),
            _ => (left..right, bottom - 1..bottom),
        };
        rows.flat_map(move |y| columns.clone().map(move |x| self.pixels[y * self.width + x]))
    }

    /// How many pixels of that line differ from most.
    fn odd(&self, part: &Rectangle, side: usize) -> usize {
        let (alike, _) = most_alike(self.line(part, side), EVEN);
        self.line(part, side).count() - alike
    }
}

/// How many of some grey values lie within a range of that width at most, and the middle of the range that holds most.
fn most_alike(values: impl Iterator<Item = u8>, width: usize) -> (usize, u8) {
    let mut counts = [0_usize; 256];
    values.for_each(|value| counts[usize::from(value)] += 1);
    let mut within: usize = counts[..=width].iter().sum();
    let (mut most, mut first) = (within, 0);
    for last in width + 1..256 {
        within = within + counts[last] - counts[last - width - 1];
        if within > most {
            (most, first) = (within, last - width);
        }
    }
    (most, (first + width / 2) as u8)
}

impl<'a> Picture<'a> {
    /// A part of the picture; the caller knows that it lies within.
    fn cut(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let start = top * self.stride + left * self.channels.count();
        let samples = match self.samples {
            Samples::U8(samples) => Samples::U8(samples.get(start..).unwrap_or_default()),
            Samples::U16(samples) => Samples::U16(samples.get(start..).unwrap_or_default()),
        };
        Self { samples, width: width as u32, height: height as u32, ..*self }
    }

    /// What of the picture is the radiograph, and not a frame, a collimator, a letterbox or a shutter.
    pub fn window(&self) -> Window {
        find(self)
    }

    /// What of the picture lies in the window, or of a copy of it at another size, as [`Window::on`] says. `None` if that is
    /// nothing, or the window does not lie in its own picture.
    pub fn part(&self, window: &Window) -> Option<Self> {
        let [columns, rows] = window.on([self.width, self.height]);
        (window.fits() && !columns.is_empty() && !rows.is_empty()).then(|| {
            let [left, top, width, height] =
                [columns.start, rows.start, columns.end - columns.start, rows.end - rows.start];
            self.cut(left as usize, top as usize, width as usize, height as usize)
        })
    }
}

#[cfg(test)]
mod tests;
