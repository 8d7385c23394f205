//! What was done to the pixels of a lossless picture before they were coded, and undoing it.

/// Red, green, blue, alpha.
pub(super) type Pixel = [u8; 4];

const RED: usize = 0;
const GREEN: usize = 1;
const BLUE: usize = 2;

const BLACK: Pixel = [0, 0, 0, 255];

/// Something for each square block of a picture.
pub(super) struct Blocks {
    /// The side of a block, as a power of 2.
    pub(super) bits: u32,
    /// Blocks in a row.
    pub(super) across: usize,
    pub(super) pixels: Vec<Pixel>,
}

impl Blocks {
    pub(super) fn at(&self, x: usize, y: usize) -> Pixel {
        self.pixels[(y >> self.bits) * self.across + (x >> self.bits)]
    }
}

/// What was done, and how many columns the picture had then.
pub(super) struct Transform {
    pub(super) kind: Kind,
    pub(super) width: usize,
}

pub(super) enum Kind {
    /// Each pixel less what its neighbours let expect; the green of its block says how.
    Predicted(Blocks),
    /// Red and blue less parts of others; its block says of how much.
    Decorrelated(Blocks),
    /// Red and blue less green.
    LessGreen,
    /// Places in a table, several in the green of one pixel if the table is small.
    Indexed(Vec<Pixel>),
}

impl Transform {
    /// As a power of 2, how many places in a table of so many colours there are in a pixel.
    pub(super) fn packed(colours: usize) -> u32 {
        match colours {
            0..=2 => 3,
            3..=4 => 2,
            5..=16 => 1,
            _ => 0,
        }
    }

    /// Undoes it, in the rows at the beginning of `pixels`, which has room for the whole picture.
    pub(super) fn undo(&self, pixels: &mut [Pixel], height: usize) {
        let area = self.width * height;
        match &self.kind {
            Kind::Predicted(blocks) => predict(&mut pixels[..area], self.width, blocks),
            Kind::Decorrelated(blocks) => {
                for (y, row) in pixels[..area].chunks_exact_mut(self.width).enumerate() {
                    row.iter_mut().enumerate().for_each(|(x, pixel)| correlate(pixel, blocks.at(x, y)));
                }
            }
            Kind::LessGreen => {
                for pixel in &mut pixels[..area] {
                    pixel[RED] = pixel[RED].wrapping_add(pixel[GREEN]);
                    pixel[BLUE] = pixel[BLUE].wrapping_add(pixel[GREEN]);
                }
            }
            Kind::Indexed(table) => look_up(&mut pixels[..area], self.width, table),
        }
    }
}

/// Red and blue, with what was taken of them: signed parts of 32 of green, and, of blue, of red.
fn correlate(pixel: &mut Pixel, parts: Pixel) {
    let part = |of: u8, colour: u8| ((i32::from(of.cast_signed()) * i32::from(colour.cast_signed())) >> 5) as u8;
    pixel[RED] = pixel[RED].wrapping_add(part(parts[BLUE], pixel[GREEN]));
    let blue = pixel[BLUE].wrapping_add(part(parts[GREEN], pixel[GREEN]));
    pixel[BLUE] = blue.wrapping_add(part(parts[RED], pixel[RED]));
}

/// Colours of a table in place of their places. From the end: the places take no more room than the colours before them.
fn look_up(pixels: &mut [Pixel], width: usize, table: &[Pixel]) {
    let packed = Transform::packed(table.len());
    let across = width.div_ceil(1 << packed);
    let bits = 8 >> packed;
    let mask = (1_usize << bits) - 1;
    for y in (0..pixels.len() / width).rev() {
        for x in (0..width).rev() {
            let places = usize::from(pixels[y * across + (x >> packed)][GREEN]);
            let place = (places >> ((x & ((1 << packed) - 1)) * bits)) & mask;
            pixels[y * width + x] = table.get(place).copied().unwrap_or_default();
        }
    }
}

/// Each pixel, with what its neighbours let expect.
fn predict(pixels: &mut [Pixel], width: usize, blocks: &Blocks) {
    for at in 0..pixels.len() {
        let (x, y) = (at % width, at / width);
        let expected = match (x, y) {
            (0, 0) => BLACK,
            (_, 0) => pixels[at - 1],
            (0, _) => pixels[at - width],
            // Behind the last pixel of the row above is the first one of this row.
            _ => {
                let [left, above_left, above, above_right] =
                    [at - 1, at - width - 1, at - width, at - width + 1].map(|at| pixels[at]);
                expected(blocks.at(x, y)[GREEN] & 15, left, above_left, above, above_right)
            }
        };
        pixels[at] = of_each(|channel| pixels[at][channel].wrapping_add(expected[channel]));
    }
}

fn expected(way: u8, left: Pixel, above_left: Pixel, above: Pixel, above_right: Pixel) -> Pixel {
    let mean = |one: Pixel, other: Pixel| of_each(|channel| one[channel].midpoint(other[channel]));
    match way {
        1 => left,
        2 => above,
        3 => above_right,
        4 => above_left,
        5 => mean(mean(left, above_right), above),
        6 => mean(left, above_left),
        7 => mean(left, above),
        8 => mean(above_left, above),
        9 => mean(above, above_right),
        10 => mean(mean(left, above_left), mean(above, above_right)),
        11 => {
            // The one of two that is nearer to the sum of both less the one between.
            let far =
                |one: Pixel, other: Pixel| one.iter().zip(other).map(|(&a, b)| u32::from(a.abs_diff(b))).sum::<u32>();
            if far(above, above_left) < far(left, above_left) { left } else { above }
        }
        12 => of_each(|channel| {
            let [left, above, between] = [left, above, above_left].map(|pixel| i16::from(pixel[channel]));
            (left + above - between).clamp(0, 255) as u8
        }),
        13 => {
            let mean = mean(left, above);
            of_each(|channel| {
                let [mean, between] = [mean, above_left].map(|pixel| i16::from(pixel[channel]));
                (mean + (mean - between) / 2).clamp(0, 255) as u8
            })
        }
        // 0, and two that nobody writes.
        _ => BLACK,
    }
}

fn of_each(channel: impl Fn(usize) -> u8) -> Pixel {
    [0, 1, 2, 3].map(channel)
}
