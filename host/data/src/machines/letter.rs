//! The letter that marks the right side of a patient, as machines burn it into the left of a picture.

use super::traces::SIDE;

/// Columns from the left in which the letter is looked for.
const STRIP: usize = 88;

/// Strokes are narrower than this: what is as wide as a window of it is ground.
const WINDOW: usize = 7;

/// How far a letter may be cut off by the edge.
const BEYOND: usize = 4;

/// Heights of letters that are looked for, and their widths as parts of them.
const HEIGHTS: [usize; 6] = [7, 9, 11, 14, 17, 21];
const WIDTHS: [f32; 3] = [0.5, 0.7, 0.9];

/// Variance of what stands out below which there is nothing but noise.
const LEAST_VARIANCE: f32 = 40.0;

/// An R.
const SHAPE: [&[u8; 7]; 10] = [
    b"######.", b"#.....#", b"#.....#", b"#.....#", b"######.", b"#.#....", b"#..#...", b"#...#..", b"#....#.",
    b"#.....#",
];

/// A letter that was found. Lengths are pixels of a picture of 224 × 224, grey values 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letter {
    /// Height of the letter, 7 to 21.
    pub height: usize,
    /// Width of the letter, 4 to 19.
    pub width: usize,
    /// Left edge of the letter; below 0 where the picture cuts it off.
    pub left: i32,
    /// Upper edge.
    pub top: i32,
    /// Grey value of the strokes: the 90th percentile of its rectangle.
    pub ink: u8,
    /// Grey value of the ground: the 15th percentile.
    pub ground: u8,
}

impl Letter {
    /// The place where a picture of `SIDE` × `SIDE` pixels is most like a letter, if it is like enough: the normalized
    /// correlation of what is brighter than its surroundings (a white top-hat) with an R drawn at the size. Small shapes
    /// are ribs more often than large ones, and must be more alike.
    pub(super) fn find(pixels: &[u8]) -> Option<Self> {
        let ground = Ground::of(&top_hat(pixels));
        let (mut best, mut found) = (0.0, None);
        for height in HEIGHTS {
            for width in WIDTHS.map(|part| ((height as f32 * part).round_ties_even() as usize).max(4)) {
                let template = Template::new(width, height);
                if let Some((likeness, x, y)) = template.best(&ground)
                    && likeness > best
                {
                    best = likeness;
                    found = Some((width, height, x, y));
                }
            }
        }
        let (width, height, x, y) = found?;
        if best < if height < 11 { 0.66 } else { 0.57 } {
            return None;
        }
        // The template has a margin of one pixel.
        let [left, top] = [x, y].map(|at| at as i32 + 1 - BEYOND as i32);
        let span = |start: i32, length: usize, end: usize| {
            (start - 1).max(0) as usize..((start + length as i32 + 1).max(1) as usize).min(end)
        };
        let mut greys: Vec<u8> =
            span(top, height, SIDE).flat_map(|y| &pixels[y * SIDE..][span(left, width, STRIP)]).copied().collect();
        greys.sort_unstable();
        let percentile = |percent: usize| greys.get((greys.len() - 1) * percent / 100).copied().unwrap_or(0);
        Some(Self { height, width, left, top, ink: percentile(90), ground: percentile(15) })
    }
}

/// The left strip less its opening by a square window: what is brighter than its surroundings and narrower than the window.
fn top_hat(pixels: &[u8]) -> Vec<u8> {
    let strip: Vec<u8> = pixels.chunks_exact(SIDE).flat_map(|row| &row[..STRIP]).copied().collect();
    let opened = over_window(&over_window(&strip, u8::min), u8::max);
    strip.iter().zip(opened).map(|(pixel, ground)| pixel - ground).collect()
}

/// The least or largest value of each window, which the edges cut.
fn over_window(strip: &[u8], choose: fn(u8, u8) -> u8) -> Vec<u8> {
    let half = WINDOW / 2;
    let along = |values: &[u8], length: usize, step: usize, start: usize, to: &mut [u8]| {
        for at in 0..length {
            let window = at.saturating_sub(half)..(at + half + 1).min(length);
            to[start + at * step] = window.map(|i| values[start + i * step]).reduce(choose).unwrap_or(0);
        }
    };
    let (mut rows, mut both) = (vec![0; strip.len()], vec![0; strip.len()]);
    for y in 0..SIDE {
        along(strip, STRIP, 1, y * STRIP, &mut rows);
    }
    for x in 0..STRIP {
        along(&rows, SIDE, STRIP, x, &mut both);
    }
    both
}

/// What stands out, with a margin where the picture ends, so that letters which its edge cuts are found.
struct Ground {
    values: Vec<f32>,
    columns: usize,
    rows: usize,
    /// Sums of the values, and of their squares, of all that lies above and to the left of a place.
    sums: [Vec<u32>; 2],
}

impl Ground {
    fn of(bright: &[u8]) -> Self {
        let (rows, columns) = (SIDE + 2 * BEYOND, STRIP + BEYOND);
        let mut values = vec![0.0; rows * columns];
        let mut sums = [(); 2].map(|()| vec![0; (rows + 1) * (columns + 1)]);
        let inside = |x: usize, y: usize| {
            let (x, y) = (x.checked_sub(BEYOND)?, y.checked_sub(BEYOND)?);
            (x < STRIP && y < SIDE).then(|| bright[y * STRIP + x])
        };
        for y in 0..rows {
            for x in 0..columns {
                let value = inside(x, y).unwrap_or(0);
                values[y * columns + x] = f32::from(value);
                for (sums, value) in sums.iter_mut().zip([u32::from(value), u32::from(value).pow(2)]) {
                    let at = |x: usize, y: usize| y * (columns + 1) + x;
                    sums[at(x + 1, y + 1)] = value + sums[at(x, y + 1)] + sums[at(x + 1, y)] - sums[at(x, y)];
                }
            }
        }
        Self { values, columns, rows, sums }
    }

    /// Sum of squared distances from the mean in a rectangle.
    fn variation(&self, [x, y, width, height]: [usize; 4]) -> f32 {
        let at = |x: usize, y: usize| y * (self.columns + 1) + x;
        let [sum, squares] = self.sums.each_ref().map(|sums| {
            let ends = sums[at(x + width, y + height)] + sums[at(x, y)];
            f64::from(ends - sums[at(x + width, y)] - sums[at(x, y + height)])
        });
        (squares - sum * sum / (width * height) as f64) as f32
    }
}

/// The letter at a size, with a margin of one pixel, less its mean.
struct Template {
    width: usize,
    values: Vec<f32>,
    /// Square root of the sum of its squares.
    norm: f32,
}

impl Template {
    fn new(width: usize, height: usize) -> Self {
        // The mean of 8 × 8 places in each pixel.
        const PLACES: usize = 8;
        let at = |place: usize, length: usize, cells: usize| (2 * place + 1) * cells / (2 * length * PLACES);
        let mut values = Vec::new();
        for y in 0..height + 2 {
            for x in 0..width + 2 {
                let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
                let inked = (0..PLACES * PLACES).filter(|place| {
                    inside && {
                        let (x, y) = ((x - 1) * PLACES + place % PLACES, (y - 1) * PLACES + place / PLACES);
                        SHAPE[at(y, height, SHAPE.len())][at(x, width, SHAPE[0].len())] == b'#'
                    }
                });
                values.push(inked.count() as f32);
            }
        }
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values.iter_mut().for_each(|value| *value -= mean);
        let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        Self { width: width + 2, values, norm }
    }

    /// Where the ground is most like it: correlation, column and row. `None` where nothing stands out.
    fn best(&self, ground: &Ground) -> Option<(f32, usize, usize)> {
        let (width, height) = (self.width, self.values.len() / self.width);
        let least = LEAST_VARIANCE * self.values.len() as f32;
        let mut best: Option<(f32, usize, usize)> = None;
        for y in 0..=ground.rows - height {
            for x in 0..=ground.columns - width {
                let variation = ground.variation([x, y, width, height]);
                if variation <= least {
                    continue;
                }
                let mut product = 0.0;
                for (row, template) in self.values.chunks_exact(width).enumerate() {
                    let values = &ground.values[(y + row) * ground.columns + x..][..width];
                    product += template.iter().zip(values).map(|(template, value)| template * value).sum::<f32>();
                }
                let likeness = product / (variation.sqrt() * self.norm);
                if best.is_none_or(|(most, ..)| likeness > most) {
                    best = Some((likeness, x, y));
                }
            }
        }
        best
    }
}
