//! Pictures that are not radiographs, drawn at random: what the guard is measured with.

use data::lettering;
use image::{GrayImage, Luma};
use rand::{Rng, RngExt};

/// Width and height of what is drawn.
pub(super) const WIDTH: usize = 240;
pub(super) const HEIGHT: usize = 192;

/// Grey pixels by a function of the place, both coordinates 0..1.
pub(super) fn grey(shade: impl Fn(f64, f64) -> f64) -> Vec<u8> {
    let place = |i: usize| ((i % WIDTH) as f64 / WIDTH as f64, (i / WIDTH) as f64 / HEIGHT as f64);
    (0..WIDTH * HEIGHT).map(place).map(|(x, y)| (255.0 * shade(x, y)).round().clamp(0.0, 255.0) as u8).collect()
}

/// Smooth shapes without meaning: a lattice of random shades, interpolated.
pub(super) fn clouds(rng: &mut impl Rng) -> Vec<u8> {
    let cells = rng.random_range(3..12);
    let lattice: Vec<f64> = (0..(cells + 1) * (cells + 1)).map(|_| rng.random()).collect();
    grey(|x, y| {
        let (x, y) = (x * cells as f64, y * cells as f64);
        let (left, top) = (x as usize, y as usize);
        let at = |i: usize, j: usize| lattice[(top + j) * (cells + 1) + left + i];
        let ease = |t: f64| t * t * (3.0 - 2.0 * t);
        let (right, below) = (ease(x.fract()), ease(y.fract()));
        let row = |j: usize| at(0, j) + (at(1, j) - at(0, j)) * right;
        row(0) + (row(1) - row(0)) * below
    })
}

/// A landscape in colours: sky, sun, hills, houses.
pub(super) fn landscape(rng: &mut impl Rng) -> Vec<u8> {
    let mut colour =
        |low: u8, high: u8| -> [f64; 3] { std::array::from_fn(|_| f64::from(rng.random_range(low..=high))) };
    let (zenith, horizon, near, far, wall, roof) =
        (colour(20, 120), colour(150, 255), colour(20, 120), colour(60, 160), colour(90, 255), colour(60, 220));
    let mut number = |low: f64, high: f64| low + (high - low) * rng.random::<f64>();
    let (sun, size) = ([number(0.1, 0.9), number(0.05, 0.35)], number(0.03, 0.1));
    let ridge = number(0.4, 0.7);
    let waves: Vec<[f64; 3]> =
        (0..4).map(|i| [number(0.01, 0.08), number(2.0, 9.0) * f64::from(i + 1), number(0.0, 6.0)]).collect();
    let houses: Vec<[f64; 3]> = (0..4).map(|_| [number(0.0, 0.9), number(0.5, 0.85), number(0.06, 0.15)]).collect();
    let mix = |a: [f64; 3], b: [f64; 3], t: f64| -> [f64; 3] { std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t) };
    let hill = |x: f64| waves.iter().map(|[high, often, from]| high * (often * x + from).sin()).sum::<f64>();
    let shade = |x: f64, y: f64| {
        for [left, top, width] in &houses {
            let (across, down) = ((x - left) / width, (y - top) / width);
            if (0.0..1.0).contains(&across) && (0.0..1.0).contains(&down) {
                return wall;
            }
            if (-0.5..0.0).contains(&down) && (across - 0.5).abs() < 0.6 + down {
                return roof;
            }
        }
        let ground = ridge + hill(x);
        if y > ground {
            return mix(far, near, (y - ground) / (1.0 - ridge));
        }
        if (x - sun[0]).hypot((y - sun[1]) * 0.8) < size {
            [255.0, 230.0, 120.0]
        } else {
            mix(zenith, horizon, y / ridge)
        }
    };
    (0..WIDTH * HEIGHT)
        .flat_map(|i| shade((i % WIDTH) as f64 / WIDTH as f64, (i / WIDTH) as f64 / HEIGHT as f64))
        .map(|value| value.round().clamp(0.0, 255.0) as u8)
        .collect()
}

/// A page of letters, black on white.
pub(super) fn page(rng: &mut impl Rng) -> Vec<u8> {
    let mut page = GrayImage::from_pixel(WIDTH as u32, HEIGHT as u32, Luma([255]));
    let (left, lines) = (rng.random_range(0..30), rng.random_range(4..12));
    for line in 0..lines {
        let letters = rng.random_range(8..26);
        let text: String =
            (0..letters).map(|_| if rng.random_range(0..6) == 0 { ' ' } else { rng.random_range('a'..='z') }).collect();
        lettering::write(&mut page, &text, [left, 6 + 15 * line], Luma([0]));
    }
    page.into_raw()
}
