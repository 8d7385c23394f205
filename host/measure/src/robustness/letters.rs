//! Burned-in letters and markers (`R`, `L`, `A-P`): found as small, very bright patches near the border, and painted over.
//!
//! 1. Bright is a pixel at least [`CONTRAST`] grey values above its surroundings, which are the radiograph blurred by a
//!    bell of [`SURROUNDINGS`] of its shorter side.
//! 2. Bright pixels that touch, at an edge or a corner, are a patch. It is taken for a letter if it is no longer than
//!    [`LONGEST`] and no shorter than [`SHORTEST`] of the radiograph's sides, lies in a ring of [`RING`] of them, and its
//!    brightest pixel is at least [`PEAK`] grey values above the median of a frame around it.
//! 3. A letter, and what is within [`MARGIN`] of the shorter side around it, gets that median. The frame goes from one to
//!    four times that width around its box.
//!
//! What is larger stays (an arm, a tube, a bright strip along the edge), and so do letters that touch such a thing or are
//! hardly brighter than what they lie on. Electrodes, buckles and very bright ends of bones in the ring may be painted over,
//! too.

use image::{GrayImage, imageops};

/// Grey values.
const CONTRAST: i16 = 40;

/// Grey values. Letters are far brighter than what they lie on; edges of ribs, which the contrast alone finds, are not.
const PEAK: i16 = 100;

/// Standard deviation, as a share of the shorter side.
const SURROUNDINGS: f32 = 0.025;

/// Longest side of the box of a letter, as a share of the radiograph's.
const LONGEST: f32 = 0.12;

/// A letter is at least as high and as wide as this; and has at least two pixels either way.
const SHORTEST: f32 = 0.01;

/// Width of the ring, as a share of width and height.
const RING: f32 = 0.2;

/// As a share of the shorter side.
const MARGIN: f32 = 0.01;

/// A box of pixels: the first and the last column, the first and the last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    columns: [u32; 2],
    rows: [u32; 2],
}

impl Bounds {
    fn around(&mut self, x: u32, y: u32) {
        self.columns = [self.columns[0].min(x), self.columns[1].max(x)];
        self.rows = [self.rows[0].min(y), self.rows[1].max(y)];
    }

    /// Larger by `by` on all sides, within an image of this size.
    fn grown(self, by: u32, (width, height): (u32, u32)) -> Self {
        let grow = |[first, last]: [u32; 2], length: u32| [first.saturating_sub(by), (last + by).min(length - 1)];
        Self { columns: grow(self.columns, width), rows: grow(self.rows, height) }
    }

    fn pixels(self) -> impl Iterator<Item = (u32, u32)> {
        let [left, right] = self.columns;
        (self.rows[0]..=self.rows[1]).flat_map(move |y| (left..=right).map(move |x| (x, y)))
    }

    fn may_be_letter(self, (width, height): (u32, u32)) -> bool {
        let [x, y] = [(self.columns, width), (self.rows, height)].map(|([first, last], length)| {
            let (size, length) = ((last - first + 1) as f32, length as f32);
            let sized = size >= (SHORTEST * length).max(2.0) && size <= LONGEST * length;
            let outside = (last as f32) < RING * length || first as f32 >= (1.0 - RING) * length;
            (sized, outside)
        });
        x.0 && y.0 && (x.1 || y.1)
    }
}

/// The radiograph without letters and markers.
pub(super) fn painted_over(grey: &GrayImage) -> GrayImage {
    let size = grey.dimensions();
    let shorter = size.0.min(size.1) as f32;
    let margin = (MARGIN * shorter).round().max(1.0) as u32;
    let mut out = grey.clone();
    for letter in patches(grey, SURROUNDINGS * shorter) {
        let mut bounds = Bounds { columns: [letter[0].0; 2], rows: [letter[0].1; 2] };
        letter.iter().for_each(|&(x, y)| bounds.around(x, y));
        let hole = bounds.grown(margin, size);
        let beyond = |(x, y): &(u32, u32)| {
            !(hole.columns[0]..=hole.columns[1]).contains(x) || !(hole.rows[0]..=hole.rows[1]).contains(y)
        };
        let frame = bounds.grown(4 * margin, size).pixels().filter(beyond);
        let mut frame: Vec<u8> = frame.map(|(x, y)| grey.get_pixel(x, y).0[0]).collect();
        let middle = frame.len() / 2;
        let paint = *frame.select_nth_unstable(middle).1;
        let peak = letter.iter().map(|&(x, y)| grey.get_pixel(x, y).0[0]).max();
        if peak.is_none_or(|peak| i16::from(peak) - i16::from(paint) < PEAK) {
            continue;
        }
        for (x, y) in letter {
            for (x, y) in (Bounds { columns: [x; 2], rows: [y; 2] }).grown(margin, size).pixels() {
                out.get_pixel_mut(x, y).0 = [paint];
            }
        }
    }
    out
}

/// The pixels of each patch of the size and in the place of a letter.
fn patches(grey: &GrayImage, deviation: f32) -> Vec<Vec<(u32, u32)>> {
    let size = grey.dimensions();
    let surroundings = imageops::fast_blur(grey, deviation);
    let bright = |(&v, &around): (&u8, &u8)| i16::from(v) - i16::from(around) >= CONTRAST;
    let mut bright: Vec<bool> = grey.iter().zip(surroundings.iter()).map(bright).collect();
    let at = |x: u32, y: u32| y as usize * size.0 as usize + x as usize;
    let mut found = Vec::new();
    for (x, y) in (Bounds { columns: [0, size.0 - 1], rows: [0, size.1 - 1] }).pixels() {
        if !std::mem::take(&mut bright[at(x, y)]) {
            continue;
        }
        let mut bounds = Bounds { columns: [x; 2], rows: [y; 2] };
        let mut patch = vec![(x, y)];
        let mut next = 0;
        while let Some(&(x, y)) = patch.get(next) {
            next += 1;
            bounds.around(x, y);
            for (x, y) in (Bounds { columns: [x; 2], rows: [y; 2] }).grown(1, size).pixels() {
                if std::mem::take(&mut bright[at(x, y)]) {
                    patch.push((x, y));
                }
            }
        }
        if bounds.may_be_letter(size) {
            found.push(patch);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    type Paint = Box<dyn Fn(u32, u32) -> Option<u8>>;

    /// A stand-in for a radiograph: a soft bright body on a dark ground, with what `paint` adds.
    fn picture(paint: impl Fn(u32, u32) -> Option<u8>) -> GrayImage {
        GrayImage::from_fn(224, 200, |x, y| {
            let from_centre = (x as f32 - 112.0).hypot(y as f32 - 100.0);
            Luma([paint(x, y).unwrap_or((180.0 - 1.2 * from_centre).max(20.0) as u8)])
        })
    }

    /// An `L` of 9 × 13 pixels with strokes of 2 at a place.
    fn letter(left: u32, top: u32) -> impl Fn(u32, u32) -> Option<u8> {
        move |x, y| {
            let (x, y) = (x.wrapping_sub(left), y.wrapping_sub(top));
            (x < 9 && y < 13 && (x < 2 || y >= 11)).then_some(240)
        }
    }

    #[test]
    fn letters_near_the_border_are_painted_over_with_their_surroundings() {
        let plain = picture(|_, _| None);
        for (left, top) in [(10, 15), (200, 90), (100, 2), (0, 187)] {
            let cleaned = painted_over(&picture(letter(left, top)));
            let worst = cleaned.iter().zip(plain.iter()).map(|(&a, &b)| a.abs_diff(b)).max();
            assert!(worst.is_some_and(|worst| worst <= 20), "at {left}, {top}: {worst:?}");
        }
        assert_eq!(painted_over(&plain), plain);
    }

    #[test]
    fn what_is_no_letter_stays() {
        // In the middle; too large; too faint to be seen, and to be a letter; a line along the edge; a single pixel.
        let others: [Paint; 6] = [
            Box::new(letter(100, 90)),
            Box::new(|x, y| (x < 35 && (150..190).contains(&y)).then_some(240)),
            Box::new(|x, y| (x.abs_diff(20) < 3 && y.abs_diff(20) < 5).then_some(50)),
            Box::new(|x, y| (x.abs_diff(20) < 3 && y.abs_diff(20) < 5).then_some(110)),
            Box::new(|x, _| (x.abs_diff(220) < 2).then_some(240)),
            Box::new(|x, y| ((x, y) == (20, 20)).then_some(240)),
        ];
        for (number, paint) in others.iter().enumerate() {
            let picture = picture(paint);
            assert!(painted_over(&picture) == picture, "picture {number}");
        }
    }
}
