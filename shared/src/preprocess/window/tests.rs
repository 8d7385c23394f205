use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What stands for a radiograph: shades without an order at a coarse scale, brighter in the middle, and grain. No straight
/// edges along a side, nothing even.
fn radiograph(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let noise = |x: usize, y: usize, seed: u32| {
        let mut hash = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77) ^ seed;
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
        hash = (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39);
        (hash ^ (hash >> 15)) >> 24
    };
    let coarse = (width.min(height) / 9).max(2);
    let shade = |x: usize, y: usize| {
        let (column, row) = (x / coarse, y / coarse);
        let (right, below) = ((x % coarse) as u32, (y % coarse) as u32);
        let side = coarse as u32;
        let mix = |a: u32, b: u32, part: u32| (a * (side - part) + b * part) / side;
        let at = |column, row| 50 + noise(column, row, seed) * 130 / 255;
        let value = mix(
            mix(at(column, row), at(column + 1, row), right),
            mix(at(column, row + 1), at(column + 1, row + 1), right),
            below,
        );
        (value + noise(x, y, seed ^ 7) / 20) as u8
    };
    (0..width * height).map(|i| shade(i % width, i / width)).collect()
}

/// A picture in a frame of these widths: left, top, right, bottom.
struct Framed {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    inside: [usize; 4],
}

impl Framed {
    fn new(inner: &[u8], width: usize, widths: [usize; 4], shade: impl Fn(usize, usize) -> u8) -> Self {
        let height = inner.len() / width;
        let [left, top, right, bottom] = widths;
        let (wide, high) = (left + width + right, top + height + bottom);
        let pixel = |x: usize, y: usize| {
            let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
            if inside { inner[(y - top) * width + x - left] } else { shade(x, y) }
        };
        let pixels = (0..wide * high).map(|i| pixel(i % wide, i / wide)).collect();
        Self { pixels, width: wide, height: high, inside: [left, top, left + width, top + height] }
    }

    fn picture(&self) -> Picture<'_> {
        grey(&self.pixels, self.width, self.height)
    }

    /// How far the sides of the window are from those of what is inside, in parts of 16 of the width and the height.
    fn cells_off(&self, inside: [usize; 4]) -> f32 {
        let Window { left, top, width, height, .. } = self.picture().window();
        let found = [left, top, left + width, top + height].map(f32::from);
        let of = |side: usize| (inside[side % 2 + 2] - inside[side % 2]) as f32 / 16.0;
        (0..4).map(|side| (found[side] - inside[side] as f32).abs() / of(side)).fold(0.0, f32::max)
    }
}

fn grey(pixels: &[u8], width: usize, height: usize) -> Picture<'_> {
    Picture::new(Samples::U8(pixels), Channels::Grey, width as u32, height as u32, width).unwrap()
}

#[test]
fn a_picture_without_a_frame_is_left_whole() {
    for (width, height) in [(224, 224), (400, 164), (90, 300), (640, 480), (32, 32)] {
        let pixels = radiograph(width, height, 5);
        assert!(grey(&pixels, width, height).window().is_whole(), "{width} × {height}");
    }
    // One shade, from one shade to another: nothing in a frame.
    assert!(grey(&[7; 60 * 50], 60, 50).window().is_whole());
    let ramp: Vec<u8> = (0..200 * 200).map(|i| (i % 200) as u8).collect();
    assert!(grey(&ramp, 200, 200).window().width >= 180);
}

#[test]
fn a_plain_frame_is_left_out_to_the_pixel() {
    let inner = radiograph(180, 150, 1);
    for shade in [0, 60, 128, 255] {
        for widths in [[20, 20, 20, 20], [90, 3, 0, 71], [0, 40, 0, 40], [1, 0, 0, 0]] {
            let framed = Framed::new(&inner, 180, widths, |_, _| shade);
            assert_eq!(framed.cells_off(framed.inside), 0.0, "{shade} {widths:?}");
        }
    }
    // A white one within a black letterbox.
    let white = Framed::new(&inner, 180, [15, 10, 12, 9], |_, _| 255);
    let both = Framed::new(&white.pixels, white.width, [0, 50, 0, 50], |_, _| 0);
    assert_eq!(both.cells_off([15, 60, 195, 210]), 0.0);
}

#[test]
fn depth_and_colour_do_not_matter() {
    let framed = Framed::new(&radiograph(120, 100, 3), 120, [30, 20, 10, 40], |x, y| 180 + ((x * 7 + y * 3) % 5) as u8);
    let (width, height) = (framed.width as u32, framed.height as u32);
    let window = framed.picture().window();
    assert!(framed.cells_off(framed.inside) < 0.5);
    let wide: Vec<u16> = framed.pixels.iter().map(|&v| u16::from(v) * 257).collect();
    let wide = Picture::new(Samples::U16(&wide), Channels::Grey, width, height, width as usize).unwrap();
    assert_eq!(wide.window(), window);
    let rgb: Vec<u8> = framed.pixels.iter().flat_map(|&v| [v; 3]).collect();
    let rgb = Picture::new(Samples::U8(&rgb), Channels::Rgb, width, height, 3 * width as usize).unwrap();
    assert_eq!(rgb.window(), window);
    // Golden: the same on every processor.
    assert_eq!([window.left, window.top, window.width, window.height], [30, 20, 120, 100]);
}

#[test]
fn letters_and_slants_do_not_hide_a_frame() {
    let inner = radiograph(200, 200, 9);
    let lettered = |x: usize, y: usize| if (12..26).contains(&x) && (50..64).contains(&y) { 255 } else { 4 };
    let framed = Framed::new(&inner, 200, [40, 40, 40, 40], lettered);
    assert!(framed.cells_off(framed.inside) < 1.0);
    // A collimator whose edge is slanted by 4 degrees: within it lies what is to the right of the line.
    for shade in [0_u8, 240] {
        let pixels: Vec<u8> =
            (0..200 * 200).map(|i| if i % 200 < 20 + i / 200 * 14 / 200 { shade } else { inner[i] }).collect();
        let window = grey(&pixels, 200, 200).window();
        assert!((24..=36).contains(&window.left), "{shade}: {window:?}");
        assert_eq!([window.top, window.height, window.left + window.width], [0, 200, 200], "{shade}");
    }
}

#[test]
fn a_margin_of_air_stays() {
    // Black beside what grows bright slowly, as skin does.
    let inner = radiograph(200, 200, 11);
    let rise = |x: usize| (x.saturating_sub(30) * 4).min(100) as u32;
    let grain = |i: usize| (i * 31 % 7 / 2) as u8;
    let pixels: Vec<u8> =
        (0..200 * 200).map(|i| (u32::from(inner[i]) * rise(i % 200) / 100) as u8 + grain(i)).collect();
    let window = grey(&pixels, 200, 200).window();
    assert!((18..=30).contains(&window.left), "{window:?}");
    assert_eq!([window.top, window.height, window.left + window.width], [0, 200, 200]);
}

#[test]
fn windows_are_drawn_where_they_are() {
    let window = Window { left: 100, top: 0, width: 200, height: 300, of: [400, 300] };
    assert!(window.fits() && !window.is_whole());
    assert_eq!(window.on([40, 30]), [10..30, 0..30]);
    assert_eq!(window.on([4, 3]), [1..3, 0..3]);
    assert_eq!(window.parts(), [0.25, 0.0, 0.75, 1.0]);
    let wrong = [Window { width: 0, ..window }, Window { left: 300, ..window }, Window { of: [0, 0], ..window }];
    assert!(wrong.iter().all(|window| !window.fits()));
    let pixels = radiograph(400, 300, 1);
    let picture = grey(&pixels, 400, 300);
    let part = picture.part(&window).unwrap();
    assert_eq!((part.width(), part.height()), (200, 300));
    assert_eq!(part.grey(0, 7), picture.grey(100, 7));
    assert!(wrong.iter().all(|window| picture.part(window).is_none()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A frame of any shade, width and place, plain or with grain.
    #[test]
    fn a_frame_does_not_move_the_window_by_more_than_a_cell(
        (width, height, seed) in (100_usize..260, 100_usize..260, any::<u32>()),
        parts in prop::array::uniform4(0_usize..=40),
        (shade, grain) in (any::<u8>(), 0_u8..6),
    ) {
        let inner = radiograph(width, height, seed);
        prop_assert!(grey(&inner, width, height).window().is_whole());
        let widths = [parts[0] * width / 100, parts[1] * height / 100, parts[2] * width / 100, parts[3] * height / 100];
        let grained = |x: usize, y: usize| {
            let hash = (x as u32).wrapping_mul(2_654_435_761) ^ (y as u32).wrapping_mul(2_246_822_519) ^ seed;
            shade.saturating_add(((hash >> 13) % (u32::from(grain) + 1)) as u8)
        };
        let framed = Framed::new(&inner, width, widths, grained);
        let off = framed.cells_off(framed.inside);
        prop_assert!(off <= 1.0, "{off} cells");
        if grain == 0 {
            prop_assert_eq!(off, 0.0);
        }
    }

    #[test]
    fn no_picture_panics_and_every_window_lies_within(
        samples in prop::collection::vec(any::<u8>(), 1..4000), width in 1_usize..100, few in any::<bool>(),
    ) {
        let height = samples.len() / width;
        let samples: Vec<u8> = if few { samples.iter().map(|v| v / 128 * 255).collect() } else { samples };
        if let Ok(picture) = Picture::new(Samples::U8(&samples), Channels::Grey, width as u32, height as u32, width) {
            let window = picture.window();
            prop_assert!(window.fits());
            prop_assert!(picture.part(&window).is_some());
        }
    }
}

#[test]
fn rings_of_many_shades_take_bounded_work() {
    let ring = |i: usize| {
        let (x, y) = (i % 300, i / 300);
        (x.min(y).min(299 - x).min(299 - y) * 37 % 251) as u8
    };
    let pixels: Vec<u8> = (0..300 * 300).map(ring).collect();
    assert!(grey(&pixels, 300, 300).window().fits());
}
