//! The straight edges of frames.
//!
//! A line along a whole side of a picture, level or slanted, is the edge of a frame if beyond it nearly all is of one shade,
//! and if at most of its places the grey value jumps there: within a pixel or two, and is then much the same for a while. Skin
//! beside air rises slowly and is not straight, which tells it from a collimator. The shade is what the outermost line is
//! mostly made of. What lies beyond a bright edge may be uneven and the edge blurred, as behind the lead of a collimator in a
//! positive picture: nothing in a chest is as bright to the very border of the picture along a whole side.

use alloc::{vec, vec::Vec};
use core::{iter, ops::Range};

use super::{Rectangle, SIDES, View, most_alike};

/// Sides shorter than this are too short to tell an edge.
const LEAST: usize = 40;

/// From here on a shade is bright.
const BRIGHT: u8 = 170;

/// Beyond a bright edge everything is at least this bright.
const LIT: u8 = 150;

/// Beyond another one everything is within so many grey values of the shade.
const LIKE: i32 = 10;

/// Width of the range of grey values in which the shade of the outermost line is looked for.
const SHADE: usize = 16;

/// Hundredths of the outermost line that have the shade, at least.
const OUTERMOST: usize = 30;

/// The least jump, in grey values.
const JUMP: i32 = 18;

/// Hundredths of an edge's places where it jumps, at least.
const JUMPING: usize = 60;

/// An edge has this many more places than another to be preferred, in hundredths.
const BETTER: usize = 2;

/// How much farther a slanted edge lies at one end than at the other, in 200ths of its length: up to 9 degrees.
const SLANTS: [i32; 17] = [0, 2, -2, 5, -5, 8, -8, 12, -12, 16, -16, 21, -21, 26, -26, 31, -31];

/// How edges of a kind look.
struct Kind {
    /// Lines at the edge that belong to neither side.
    blurred: i32,
    /// Lines of which the mean is taken, on either side.
    lines: i32,
    /// Lines by which an edge may deviate.
    crooked: i32,
    /// Hundredths of what lies beyond that have the shade, at least.
    alike: usize,
}

const BRIGHT_EDGE: Kind = Kind { blurred: 3, lines: 3, crooked: 0, alike: 90 };
const OTHER_EDGE: Kind = Kind { blurred: 1, lines: 2, crooked: 1, alike: 92 };

/// What lies within the edges that are found on a view.
pub(super) fn within(view: &View) -> Rectangle {
    let (mut found, turned) = (view.all(), view.turned());
    for _ in 0..super::ROUNDS {
        let before = found;
        for side in SIDES {
            if found.size().into_iter().any(|length| length < LEAST) {
                return found;
            }
            if let Some(lines) = Side::of([view, &turned], &found, side).and_then(|side| side.edge()) {
                found = found.without(side, lines);
            }
        }
        if found == before {
            break;
        }
    }
    found
}

/// A part of a view, turned so that a side of it is above.
struct Side<'v> {
    kind: &'static Kind,
    shade: u8,
    width: usize,
    /// Rows after turning.
    height: usize,
    /// The pixels of the view, row by row after turning; the first one of the part, and what leads from a row to the next one.
    pixels: &'v [u8],
    first: usize,
    down: isize,
    /// Edges are looked for in many places and slants; so that few pixels are looked at more than once, they are kept as sums. Column
    /// by column, the first one left of all pixels, and one behind each column: from [`NEAR`] rows above the first one on, what the
    /// pixels above that row and left of that place count: one that has the shade the hundredths that need not have it, one that has
    /// not, less than 0, those that must. So enough of some pixels have the shade if their sum is not below 0.
    sums: Vec<i32>,
}

/// Rows by which the ends of a slanted edge may lie farther in or out than its middle.
const NEAR: usize = 24;

/// Columns side by side in which a slanted edge lies as many rows above or below its middle.
struct Run {
    columns: Range<usize>,
    offset: i32,
}

impl<'v> Side<'v> {
    /// `None` if too little of the outermost line has one shade for an edge.
    fn of([view, turned]: [&'v View; 2], part: &Rectangle, side: usize) -> Option<Self> {
        let [left, top, right, bottom] = part.ends;
        let [width, height] = part.size();
        let (_, shade) = most_alike(view.line(part, side), SHADE);
        let like = |grey: u8| {
            if shade >= BRIGHT { grey >= LIT } else { i32::from(grey.abs_diff(shade)) <= LIKE }
        };
        let outermost = view.line(part, side).filter(|&grey| like(grey)).count();
        // To the left and to the right it is a matter of the view with rows and columns exchanged.
        let upright = !side.is_multiple_of(2);
        let (width, height) = if upright { (width, height) } else { (height, width) };
        if outermost * 100 < OUTERMOST * width {
            return None;
        }
        let kind = if shade >= BRIGHT { &BRIGHT_EDGE } else { &OTHER_EDGE };
        let (row, column) = [(left, top), (top, left), (right - 1, top), (bottom - 1, left)][side];
        let View { pixels, width: stride, .. } = if upright { view } else { turned };
        let down = if side < 2 { *stride as isize } else { -(*stride as isize) };
        let first = row * stride + column;
        let mut side = Self { kind, shade, width, height, pixels, first, down, sums: Vec::new() };
        side.sums = side.sums(like);
        Some(side)
    }

    /// See [`Side::sums`].
    fn sums(&self, like: impl Fn(u8) -> bool) -> Vec<i32> {
        let (rows, least) = (self.rows(), self.kind.alike as i32);
        let mut counts = [-least; 256];
        (0..=255).filter(|&grey| like(grey)).for_each(|grey| counts[usize::from(grey)] = 100 - least);
        // At most 100 for each of `SEEN` × `SEEN` pixels.
        let mut sums = vec![0_i32; (self.width + 1) * rows];
        for x in 0..self.width {
            let (left, column) = sums[x * rows..].split_at_mut(rows);
            let (left, column) = (&left[NEAR + 1..], &mut column[NEAR + 1..rows]);
            let seen = self.height.min(column.len());
            let (mut sum, mut place) = (0_i32, self.first + x);
            for (to, left) in column[..seen].iter_mut().zip(left) {
                sum = sum.wrapping_add(counts[usize::from(self.pixels[place])]);
                *to = left.wrapping_add(sum);
                place = place.wrapping_add_signed(self.down);
            }
            column[seen..].iter_mut().zip(&left[seen..]).for_each(|(to, left)| *to = left + sum);
        }
        sums
    }

    /// Rows of which there are sums: from [`NEAR`] above the first one to as many below the deepest edge.
    fn rows(&self) -> usize {
        deepest(self.height) + 2 * NEAR
    }

    /// The grey values of a row; beyond its ends a column continues as it ends.
    fn row(&self, y: i32) -> &[u8] {
        let down = y.clamp(0, self.height as i32 - 1) as isize * self.down;
        &self.pixels[self.first.wrapping_add_signed(down)..][..self.width]
    }

    /// The lines to leave out, if there is an edge.
    fn edge(&self) -> Option<usize> {
        let mut jumps = Jumps { side: self, counts: vec![None; deepest(self.height) + NEAR] };
        let mut best: Option<(usize, usize)> = None;
        for slant in SLANTS {
            let rise = (2 * slant * self.width as i32 + 200).div_euclid(400);
            let Some((places, line)) = self.slanted(rise, &mut jumps) else { continue };
            if best.is_none_or(|(most, _)| 100 * places > 100 * most + BETTER * self.width) {
                // Halfway between the middle of the edge and the end that is farther in: as much of a wedge of the frame stays
                // as is lost of the picture.
                best = Some((places, line + rise.unsigned_abs() as usize / 4));
            }
        }
        best.map(|(_, lines)| lines)
    }

    /// Places of the best edge with this rise, and the first line within it, in the middle.
    fn slanted(&self, rise: i32, jumps: &mut Jumps<'_>) -> Option<(usize, usize)> {
        let runs = self.runs(rise);
        let deepest = deepest(self.height) as i32;
        let places: Vec<usize> = (1..deepest)
            .zip(self.beyond(&runs))
            .map(|(line, sum)| if sum >= 0 { jumps.places(line, &runs) } else { 0 })
            .collect();
        let most = *places.iter().max()?;
        if most * 100 < JUMPING * self.width || most == 0 {
            return None;
        }
        let blurred = self.kind.blurred;
        let middle = places.iter().position(|&count| count == most)? as i32 + 1;
        let near = 2 * blurred + 1;
        let good = |line: &i32| 100 * places[*line as usize - 1] + 3 * self.width >= 100 * most;
        let good: Vec<i32> = ((middle - near).max(1)..=(middle + near).min(deepest - 1)).filter(good).collect();
        let (from, to) = (good.first()? - blurred, good.last()? + blurred + 1);
        let steepness: Vec<i32> = (from.max(1)..=to).map(|line| self.steepness(line, &runs)).collect();
        let steepest = *steepness.iter().max()?;
        let mut index = steepness.iter().position(|&steep| steep == steepest)?;
        // A blurred edge continues.
        while steepness.get(index + 1).is_some_and(|&steep| 4 * steep >= steepest) {
            index += 1;
        }
        Some((most, from.max(1) as usize + index))
    }

    /// The columns of an edge with this rise, by how far it lies from its middle.
    fn runs(&self, rise: i32) -> Vec<Run> {
        let width = self.width as i32;
        // In the middle of column x it is (rise · (2 x + 1 - width) + width) / (2 width), rounded down.
        let first = rise * (1 - width) + width;
        let (mut offset, mut rest) = (first.div_euclid(2 * width), first.rem_euclid(2 * width));
        let mut runs: Vec<Run> = Vec::new();
        for x in 0..self.width {
            match runs.last_mut() {
                Some(run) if run.offset == offset => run.columns.end = x + 1,
                _ => runs.push(Run { columns: x..x + 1, offset }),
            }
            // A rise is less than the width.
            rest += 2 * rise;
            let step = i32::from(rest >= 2 * width) - i32::from(rest < 0);
            (offset, rest) = (offset + step, rest - 2 * width * step);
        }
        runs
    }

    /// For each line from the second one to the deepest what the pixels above it count; see [`Side::sums`]. All lines of a run are
    /// added at once.
    fn beyond(&self, runs: &[Run]) -> Vec<i32> {
        let lines = deepest(self.height).saturating_sub(1);
        let mut beyond = vec![0_i32; lines];
        for Run { columns, offset } in runs {
            let first = (NEAR as i32 + 1 + offset) as usize;
            let sums = |x: usize| &self.sums[x * self.rows() + first..][..lines];
            for ((beyond, left), right) in beyond.iter_mut().zip(sums(columns.start)).zip(sums(columns.end)) {
                *beyond = beyond.wrapping_add(right.wrapping_sub(*left));
            }
        }
        beyond
    }

    /// How much the grey values change at a line, a place at most by 64.
    fn steepness(&self, line: i32, runs: &[Run]) -> i32 {
        let step = |Run { columns, offset }: &Run| -> i32 {
            let row = line + offset;
            if row < 1 || row >= self.height as i32 {
                return 0;
            }
            let [before, at] = [row - 1, row].map(|row| &self.row(row)[columns.clone()]);
            before.iter().zip(at).map(|(&before, &at)| i32::from(before.abs_diff(at).min(64))).sum()
        };
        runs.iter().map(step).sum()
    }

    /// The sums of the columns between two rows.
    fn between(&self, rows: Range<i32>) -> Vec<i32> {
        let mut sums = vec![0; self.width];
        for row in rows {
            sums.iter_mut().zip(self.row(row)).for_each(|(sum, &grey)| *sum += i32::from(grey));
        }
        sums
    }

    /// In which columns the grey value jumps at this row.
    fn jumping(&self, row: i32) -> impl Iterator<Item = bool> {
        let &Kind { blurred, lines, .. } = self.kind;
        let outside = self.between(row - blurred - lines..row - blurred);
        let inside = self.between(row + blurred..row + blurred + lines);
        // Four lines a little farther in.
        let farther = self.between(row + 4..row + 8);
        let shade = i32::from(self.shade);
        outside.into_iter().zip(inside).zip(farther).map(move |((outside, inside), farther)| {
            let jump = (inside - outside).abs();
            let from_frame = if self.shade >= BRIGHT {
                outside >= i32::from(BRIGHT) * lines
            } else {
                let rise = (farther * lines - inside * 4).abs();
                (outside - shade * lines).abs() <= LIKE * lines && 2 * rise <= 4 * jump
            };
            jump >= JUMP * lines && from_frame
        })
    }
}

/// Where the grey values of a side jump, for rows that have been asked for.
struct Jumps<'s> {
    side: &'s Side<'s>,
    /// For each row from the first one on: for each column, and one behind the last, in how many of those left of it they jump at that
    /// row or so few beside it that the edge is only crooked.
    counts: Vec<Option<Vec<u32>>>,
}

impl Jumps<'_> {
    /// The places of an edge where they jump.
    fn places(&mut self, line: i32, runs: &[Run]) -> usize {
        runs.iter().map(|Run { columns, offset }| self.at(line + offset, columns)).sum()
    }

    fn at(&mut self, row: i32, columns: &Range<usize>) -> usize {
        let crooked = self.side.kind.crooked;
        if row + crooked < 1 {
            return 0;
        }
        let counts = self.counts[row as usize].get_or_insert_with(|| {
            let mut jumping = vec![false; self.side.width];
            for near in (row - crooked).max(1)..=row + crooked {
                jumping.iter_mut().zip(self.side.jumping(near)).for_each(|(any, jumps)| *any |= jumps);
            }
            let left = jumping.iter().scan(0, |count, &jumps| {
                *count += u32::from(jumps);
                Some(*count)
            });
            iter::once(0).chain(left).collect()
        });
        (counts[columns.end] - counts[columns.start]) as usize
    }
}

/// How far in the middle of an edge may lie, in rows.
fn deepest(height: usize) -> usize {
    height * 2 / 5
}
