//! The straight edges of frames.
//!
//! A line along a whole side of a picture, level or slanted, is the edge of a frame if beyond it nearly all is of one shade,
//! and if at most of its places the grey value jumps there: within a pixel or two, and is then much the same for a while. Skin
//! beside air rises slowly and is not straight, which tells it from a collimator. The shade is what the outermost line is
//! mostly made of. What lies beyond a bright edge may be uneven and the edge blurred, as behind the lead of a collimator in a
//! positive picture: nothing in a chest is as bright to the very border of the picture along a whole side.

use alloc::vec::Vec;

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
            if let Some(lines) = Side::of(view, &found, side).edge() {
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
struct Side {
    /// Columns and rows after turning.
    width: usize,
    height: usize,
    /// For each column the sums of its grey values above each row: `height + 1` of them.
    sums: Vec<i32>,
    /// The same for the pixels that have the shade.
    alike: Vec<i32>,
    shade: u8,
}

impl Side {
    fn of(view: &View, part: &Rectangle, side: usize) -> Self {
        let [left, top, right, bottom] = part.ends;
        let [width, height] = part.size();
        let (width, height) = if side.is_multiple_of(2) { (height, width) } else { (width, height) };
        let (_, shade) = most_alike(view.line(part, side), SHADE);
        let like = |grey: u8| {
            if shade >= BRIGHT { grey >= LIT } else { i32::from(grey.abs_diff(shade)) <= LIKE }
        };
        let (mut sums, mut alike) = (Vec::new(), Vec::new());
        for x in 0..width {
            let (mut sum, mut count) = (0, 0);
            for y in 0..height {
                let (column, row) = match side {
                    0 => (left + y, top + x),
                    1 => (left + x, top + y),
                    2 => (right - 1 - y, top + x),
                    _ => (left + x, bottom - 1 - y),
                };
                sums.push(sum);
                alike.push(count);
                let grey = view.pixels[row * view.width + column];
                sum += i32::from(grey);
                count += i32::from(like(grey));
            }
            sums.push(sum);
            alike.push(count);
        }
        Self { width, height, sums, alike, shade }
    }

    /// The lines to leave out, if there is an edge.
    fn edge(&self) -> Option<usize> {
        let kind = if self.shade >= BRIGHT { BRIGHT_EDGE } else { OTHER_EDGE };
        let first: i32 = (0..self.width).map(|x| self.alike[x * (self.height + 1) + 1]).sum();
        if (first as usize) * 100 < OUTERMOST * self.width {
            return None;
        }
        let mut best: Option<(usize, usize)> = None;
        for slant in SLANTS {
            let rise = (2 * slant * self.width as i32 + 200).div_euclid(400);
            let Some((places, line)) = self.slanted(rise, &kind) else { continue };
            if best.is_none_or(|(most, _)| 100 * places > 100 * most + BETTER * self.width) {
                // Halfway between the middle of the edge and the end that is farther in: as much of a wedge of the frame stays
                // as is lost of the picture.
                best = Some((places, line + rise.unsigned_abs() as usize / 4));
            }
        }
        best.map(|(_, lines)| lines)
    }

    /// Places of the best edge with this rise, and the first line within it, in the middle.
    fn slanted(&self, rise: i32, kind: &Kind) -> Option<(usize, usize)> {
        let width = self.width as i32;
        let offsets: Vec<i32> =
            (0..width).map(|x| (rise * (2 * x + 1 - width) + width).div_euclid(2 * width)).collect();
        let deepest = (self.height * 2 / 5) as i32;
        let places: Vec<usize> = (1..deepest)
            .map(|line| {
                let [alike, beyond] = self.beyond(line, &offsets);
                if beyond == 0 || alike * 100 < kind.alike * beyond {
                    return 0;
                }
                let jumps = |(x, offset): (usize, &i32)| {
                    (-kind.crooked..=kind.crooked).any(|more| self.jumps(x, line + offset + more, kind))
                };
                offsets.iter().enumerate().filter(|&place| jumps(place)).count()
            })
            .collect();
        let most = *places.iter().max()?;
        if most * 100 < JUMPING * self.width || most == 0 {
            return None;
        }
        let middle = places.iter().position(|&count| count == most)? as i32 + 1;
        let near = 2 * kind.blurred + 1;
        let good = |line: &i32| 100 * places[*line as usize - 1] + 3 * self.width >= 100 * most;
        let good: Vec<i32> = ((middle - near).max(1)..=(middle + near).min(deepest - 1)).filter(good).collect();
        let (from, to) = (good.first()? - kind.blurred, good.last()? + kind.blurred + 1);
        let steepness = |line: i32| -> i32 {
            let step = |(x, offset): (usize, &i32)| {
                let row = line + offset;
                if row < 1 || row >= self.height as i32 {
                    0
                } else {
                    (self.grey(x, row) - self.grey(x, row - 1)).abs().min(64)
                }
            };
            offsets.iter().enumerate().map(step).sum()
        };
        let steepness: Vec<i32> = (from.max(1)..=to).map(steepness).collect();
        let steepest = *steepness.iter().max()?;
        let mut index = steepness.iter().position(|&steep| steep == steepest)?;
        // A blurred edge continues.
        while steepness.get(index + 1).is_some_and(|&steep| 4 * steep >= steepest) {
            index += 1;
        }
        Some((most, from.max(1) as usize + index))
    }

    /// Pixels above a line that have the shade, and all of them.
    fn beyond(&self, line: i32, offsets: &[i32]) -> [usize; 2] {
        offsets.iter().enumerate().fold([0, 0], |[alike, all], (x, offset)| {
            let row = (line + offset).clamp(0, self.height as i32) as usize;
            [alike + self.alike[x * (self.height + 1) + row] as usize, all + row]
        })
    }

    /// True if the grey value jumps in this column at this row.
    fn jumps(&self, x: usize, row: i32, kind: &Kind) -> bool {
        if row < 1 {
            return false;
        }
        let &Kind { blurred, lines, .. } = kind;
        let outside = self.sum(x, row - blurred - lines, row - blurred);
        let inside = self.sum(x, row + blurred, row + blurred + lines);
        let jump = (inside - outside).abs();
        if jump < JUMP * lines {
            return false;
        }
        if self.shade >= BRIGHT {
            return outside >= i32::from(BRIGHT) * lines;
        }
        // Four lines a little farther in.
        let rise = (self.sum(x, row + 4, row + 8) * lines - inside * 4).abs();
        (outside - i32::from(self.shade) * lines).abs() <= LIKE * lines && 2 * rise <= 4 * jump
    }

    fn grey(&self, x: usize, row: i32) -> i32 {
        self.sum(x, row, row + 1)
    }

    /// The sum of some rows of a column; beyond its ends it continues as it ends.
    fn sum(&self, x: usize, from: i32, to: i32) -> i32 {
        let column = &self.sums[x * (self.height + 1)..(x + 1) * (self.height + 1)];
        let height = self.height as i32;
        let above = |row: i32| {
            let inside = row.clamp(0, height);
            let beyond = match row - inside {
                0 => 0,
                rows if rows < 0 => rows * column[1],
                rows => rows * (column[self.height] - column[self.height - 1]),
            };
            column[inside as usize] + beyond
        };
        above(to) - above(from)
    }
}
