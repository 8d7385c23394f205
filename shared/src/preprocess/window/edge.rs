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
    let mut found = view.all();
    for _ in 0..super::ROUNDS {
        let before = found;
        for side in SIDES {
            if found.size().into_iter().any(|length| length < LEAST) {
                return found;
            }
            if let Some(lines) = Side::of(view, &found, side).and_then(|side| side.edge()) {
                found = found.without(side, lines);
            }
        }
        if found == before {
            break;
        }
    }
    found
}

/// A part of a view, turned so that a side of it is above. Edges are looked for in many places and slants; so that few pixels
/// are looked at more than once, all that is counted is kept as sums.
struct Side {
    kind: &'static Kind,
    shade: u8,
    width: usize,
    /// Rows after turning, of which those are kept that edges may come near to.
    height: usize,
    /// Row by row from [`ABOVE`] rows above the first one: for each column the sum of its grey values above that row. Beyond its ends
    /// a column continues as it ends.
    sums: Vec<i32>,
    /// Row by row from the first one: for each column, and one behind the last, how many of the pixels above that row and left of that
    /// column have the shade.
    alike: Vec<u32>,
}

/// Rows that a jump may be compared with beyond the ends of a side, and rows by which the ends of a slanted edge may lie farther
/// in than its middle and what it is compared with.
const ABOVE: usize = 8;
const BELOW: usize = 32;

/// Columns side by side in which a slanted edge lies as many rows above or below its middle.
struct Run {
    columns: Range<usize>,
    offset: i32,
}

impl Side {
    /// `None` if too little of the outermost line has one shade for an edge.
    fn of(view: &View, part: &Rectangle, side: usize) -> Option<Self> {
        let [left, top, right, bottom] = part.ends;
        let [width, height] = part.size();
        let (width, height) = if side.is_multiple_of(2) { (height, width) } else { (width, height) };
        let (_, shade) = most_alike(view.line(part, side), SHADE);
        let like = |grey: u8| {
            if shade >= BRIGHT { grey >= LIT } else { i32::from(grey.abs_diff(shade)) <= LIKE }
        };
        let outermost = view.line(part, side).filter(|&grey| like(grey)).count();
        if outermost * 100 < OUTERMOST * width {
            return None;
        }
        let kept = height.min(deepest(height) + BELOW);
        let mut pixels = vec![0; width * kept];
        for (y, line) in pixels.chunks_exact_mut(width).enumerate() {
            let start = |column: usize, row: usize| row * view.width + column;
            let (first, step) = match side {
                0 => (start(left + y, top), view.width),
                1 => (start(left, top + y), 1),
                2 => (start(right - 1 - y, top), view.width),
                _ => (start(left, bottom - 1 - y), 1),
            };
            for (pixel, &grey) in line.iter_mut().zip(view.pixels[first..].iter().step_by(step)) {
                *pixel = grey;
            }
        }
        let kind = if shade >= BRIGHT { &BRIGHT_EDGE } else { &OTHER_EDGE };
        let sums = sums(&pixels, width, deepest(height) + BELOW);
        Some(Self { kind, shade, width, height, sums, alike: alike(&pixels, width, like) })
    }

    /// The lines to leave out, if there is an edge.
    fn edge(&self) -> Option<usize> {
        let mut jumps = Jumps { side: self, counts: vec![None; deepest(self.height) + BELOW] };
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
            .map(|line| {
                let [alike, beyond] = self.beyond(line, &runs);
                let is_alike = beyond > 0 && alike * 100 >= self.kind.alike * beyond;
                if is_alike { jumps.places(line, &runs) } else { 0 }
            })
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
        let offset = |x: i32| (rise * (2 * x + 1 - width) + width).div_euclid(2 * width);
        let mut runs: Vec<Run> = Vec::new();
        for (x, offset) in (0..width).map(offset).enumerate() {
            match runs.last_mut() {
                Some(run) if run.offset == offset => run.columns.end = x + 1,
                _ => runs.push(Run { columns: x..x + 1, offset }),
            }
        }
        runs
    }

    /// Pixels above a line that have the shade, and all of them.
    fn beyond(&self, line: i32, runs: &[Run]) -> [usize; 2] {
        runs.iter().fold([0, 0], |[alike, all], Run { columns, offset }| {
            let row = (line + offset).clamp(0, self.height as i32) as usize;
            let counts = &self.alike[row * (self.width + 1)..][..=self.width];
            [alike + (counts[columns.end] - counts[columns.start]) as usize, all + row * columns.len()]
        })
    }

    /// How much the grey values change at a line, a place at most by 64.
    fn steepness(&self, line: i32, runs: &[Run]) -> i32 {
        let step = |Run { columns, offset }: &Run| -> i32 {
            let row = line + offset;
            if row < 1 || row >= self.height as i32 {
                return 0;
            }
            let [before, at, behind] = [row - 1, row, row + 1].map(|row| self.above(row));
            columns.clone().map(|x| (behind[x] + before[x] - 2 * at[x]).abs().min(64)).sum()
        };
        runs.iter().map(step).sum()
    }

    /// The sums of the columns above a row, from [`ABOVE`] rows above the first one to [`BELOW`] below the deepest edge.
    fn above(&self, row: i32) -> &[i32] {
        let start = (row + ABOVE as i32) as usize * self.width;
        &self.sums[start..start + self.width]
    }

    /// In which columns the grey value jumps at this row.
    fn jumping(&self, row: i32) -> impl Iterator<Item = bool> {
        let &Kind { blurred, lines, .. } = self.kind;
        let between = |from: i32, to: i32| self.above(from).iter().zip(self.above(to)).map(|(from, to)| to - from);
        let outside = between(row - blurred - lines, row - blurred);
        let inside = between(row + blurred, row + blurred + lines);
        // Four lines a little farther in.
        let farther = between(row + 4, row + 8);
        let shade = i32::from(self.shade);
        outside.zip(inside).zip(farther).map(move |((outside, inside), farther)| {
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
    side: &'s Side,
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

/// The sums of the columns above each row up to the last one; see [`Side::sums`].
fn sums(pixels: &[u8], width: usize, last: usize) -> Vec<i32> {
    let (first_line, last_line) = (&pixels[..width], &pixels[pixels.len() - width..]);
    let mut sums = Vec::with_capacity((ABOVE + last + 1) * width);
    for row in -(ABOVE as i32)..=0 {
        sums.extend(first_line.iter().map(|&grey| row * i32::from(grey)));
    }
    for line in pixels.chunks_exact(width).chain(iter::repeat(last_line)).take(last) {
        let above = sums.len() - width;
        for (x, &grey) in line.iter().enumerate() {
            sums.push(sums[above + x] + i32::from(grey));
        }
    }
    sums
}

/// How many pixels above each row and left of each column have the shade; see [`Side::alike`].
fn alike(pixels: &[u8], width: usize, like: impl Fn(u8) -> bool) -> Vec<u32> {
    let mut counts = vec![0; width + 1];
    counts.reserve(pixels.len() / width * (width + 1));
    for line in pixels.chunks_exact(width) {
        let above = counts.len() - width;
        let mut count = 0;
        counts.push(0);
        for (x, &grey) in line.iter().enumerate() {
            count += u32::from(like(grey));
            counts.push(counts[above + x] + count);
        }
    }
    counts
}
