use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

/// Sampling positions are computed in single precision; grey values change by up to 255 from pixel to pixel.
const TOLERANCE: f32 = 0.01;

fn applied(transform: Transform, pixels: &[u8], side: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; side * side];
    transform.apply(pixels, side, &mut out);
    out
}

fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance, "value {i}: {a}, not {b}");
    }
}

/// The image of `side` whose pixel in `row` and `column` is `pixel(row, column)`.
fn image<T>(side: usize, pixel: impl Fn(usize, usize) -> T) -> Vec<T> {
    (0..side * side).map(|i| pixel(i / side, i % side)).collect()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A side and an image of it.
fn images() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (1_usize..20).prop_flat_map(|side| (Just(side), prop::collection::vec(any::<u8>(), side * side)))
}

fn augmentations() -> impl Strategy<Value = Augmentation> {
    let factors =
        || prop::option::of((0.01..10.0_f64, 0.0..1.0_f64).prop_map(|(high, part)| [high * part.max(0.01), high]));
    let settings = (0.0..0.99_f64, 0.0..0.99_f64, 0.0..360.0_f64, 0.0..0.99_f64, 0.0..89.0_f64);
    let shades = (factors(), factors(), factors(), factors(), 0.0..=0.05_f64, 0.0..=1.0_f64, 0.0..=1.0_f64);
    (any::<bool>(), shades, settings).prop_map(
        |(
            horizontal_flip,
            (brightness, contrast, gamma, bands, blur, noise, erase),
            (width_shift, height_shift, rotation, zoom, shear),
        )| Augmentation {
            horizontal_flip,
            brightness,
            contrast,
            gamma,
            bands,
            blur,
            noise,
            erase,
            width_shift,
            height_shift,
            rotation,
            zoom,
            shear,
        },
    )
}

#[test]
fn draws_fill_their_ranges() {
    type Value = fn(&Transform) -> f64;
    let settings = Augmentation {
        horizontal_flip: true,
        brightness: Some([0.5, 2.0]),
        contrast: Some([0.25, 4.0]),
        gamma: Some([0.5, 2.0]),
        bands: Some([0.5, 2.0]),
        blur: 0.02,
        noise: 0.1,
        erase: 0.5,
        width_shift: 0.1,
        height_shift: 0.2,
        rotation: 30.0,
        zoom: 0.3,
        shear: 15.0,
    };
    let mut generator = rng(3);
    let draws: Vec<Transform> = (0..1000).map(|_| settings.draw(&mut generator)).collect();
    let flipped = draws.iter().filter(|transform| transform.flip).count();
    assert!((400..600).contains(&flipped), "{flipped} of 1000 are flipped");
    let erased: Vec<Erase> = draws.iter().filter_map(|transform| transform.erase).collect();
    assert!((400..600).contains(&erased.len()), "{} of 1000 are erased", erased.len());
    for Erase { left, top, width, height, grey } in erased {
        let (area, ratio) = (width * height, width / height);
        assert!((0.02 - 1e-9..=0.2 + 1e-9).contains(&area) && (0.3333..=3.0001).contains(&ratio), "{area} {ratio}");
        assert!(left >= 0.0 && top >= 0.0 && left + width <= 1.0 + 1e-9 && top + height <= 1.0 + 1e-9);
        assert!((0.0..=255.0).contains(&grey));
    }
    let spread: [(&str, Value, f64); 2] =
        [("blur", |t| t.blur, 0.02), ("noise", |t| t.noise.map_or(0.0, |noise| noise.deviation), 0.1)];
    for (name, value, most) in spread {
        let none = draws.iter().filter(|draw| value(draw) == 0.0).count();
        assert!((400..600).contains(&none), "{none} of 1000 without {name}");
        for fifth in 0..5 {
            let here = draws.iter().filter(|draw| value(draw) > 0.0 && (value(draw) / most * 5.0) as usize == fifth);
            let here = here.count();
            assert!((60..140).contains(&here), "{name}: {here} of 1000 draws in fifth {fifth}");
        }
    }
    let gains: Vec<[f32; bands::COUNT]> = draws.iter().filter_map(|transform| transform.bands).collect();
    assert!((650..750).contains(&gains.len()), "the bands of {} of 1000 are changed", gains.len());
    for band in 0..bands::COUNT {
        let lower = gains.iter().filter(|gains| gains[band] < 1.0).count() as f64 / gains.len() as f64;
        assert!((0.4..0.6).contains(&lower), "band {band} is weaker in {lower}");
        assert!(gains.iter().all(|gains| (0.5..=2.0).contains(&gains[band])));
    }
    let values: [(Value, [f64; 2]); 9] = [
        (|t| t.brightness, [0.5, 2.0]),
        (|t| t.contrast, [0.25, 4.0]),
        (|t| t.gamma.ln(), [0.5_f64.ln(), 2.0_f64.ln()]),
        (|t| t.width_shift, [-0.1, 0.1]),
        (|t| t.height_shift, [-0.2, 0.2]),
        (|t| t.rotation, [-30.0, 30.0]),
        (|t| t.zoom[0], [0.7, 1.3]),
        (|t| t.zoom[1], [0.7, 1.3]),
        (|t| t.shear, [-15.0, 15.0]),
    ];
    for (setting, (value, [low, high])) in values.into_iter().enumerate() {
        let share = |transform| (value(transform) - low) / (high - low);
        for tenth in 0..10 {
            let here = draws.iter().filter(|draw| (share(draw) * 10.0) as usize == tenth).count();
            assert!((50..150).contains(&here), "setting {setting}: {here} of 1000 draws in tenth {tenth}");
        }
    }
}

proptest! {
    #[test]
    fn without_settings_the_bytes_come_out((side, pixels) in images(), seed: u64) {
        let transform = Augmentation::default().draw(&mut rng(seed));
        prop_assert_eq!(transform, Transform::IDENTITY);
        let bytes: Vec<f32> = pixels.iter().map(|&p| f32::from(p)).collect();
        prop_assert_eq!(applied(transform, &pixels, side), bytes);
    }

    #[test]
    fn values_stay_grey_values((side, pixels) in images(), settings in augmentations(), seed: u64) {
        settings.check().unwrap();
        let out = applied(settings.draw(&mut rng(seed)), &pixels, side);
        prop_assert!(out.iter().all(|value| (0.0..=255.0).contains(value)), "{:?}", out);
    }

    #[test]
    fn draws_are_in_range_and_do_not_shift_each_other(settings in augmentations(), seed: u64) {
        let (mut generator, mut other) = (rng(seed), rng(seed));
        let drawn = settings.draw(&mut generator);
        let Augmentation { width_shift, height_shift, rotation, zoom, shear, .. } = settings;
        for (value, range) in [
            (drawn.width_shift, width_shift),
            (drawn.height_shift, height_shift),
            (drawn.rotation, rotation),
            (drawn.zoom[0] - 1.0, zoom),
            (drawn.zoom[1] - 1.0, zoom),
            (drawn.shear, shear),
        ] {
            prop_assert!(value.abs() <= range + 1e-12, "{} is outside of ±{}", value, range);
        }
        for (factor, range) in [
            (drawn.brightness, settings.brightness),
            (drawn.contrast, settings.contrast),
            (drawn.gamma, settings.gamma),
        ] {
            let [low, high] = range.unwrap_or([1.0; 2]);
            prop_assert!((low * (1.0 - 1e-12)..=high * (1.0 + 1e-12)).contains(&factor), "{} is outside of {} to {}", factor, low, high);
        }
        let alone = Augmentation { rotation, ..Augmentation::default() };
        prop_assert_eq!(alone.draw(&mut other), Transform { rotation: drawn.rotation, ..Transform::IDENTITY });
        prop_assert_eq!(generator.random::<u64>(), other.random::<u64>());
    }

    #[test]
    fn two_flips_are_none((side, pixels) in images()) {
        let flip = Transform { flip: true, ..Transform::IDENTITY };
        let once: Vec<u8> = applied(flip, &pixels, side).into_iter().map(|value| value as u8).collect();
        prop_assert_eq!(&once, &image(side, |row, column| pixels[row * side + side - 1 - column]));
        prop_assert_eq!(applied(flip, &once, side), applied(Transform::IDENTITY, &pixels, side));
    }

    #[test]
    fn whole_pixels_shift_the_image_and_repeat_its_edge(
        (side, pixels) in images(), x in -20_isize..=20, y in -20_isize..=20, flip: bool,
    ) {
        let fraction = |pixels: isize| pixels as f64 / side as f64;
        let shift = Transform { width_shift: fraction(x), height_shift: fraction(y), flip, ..Transform::IDENTITY };
        let within = |place: usize, by: isize| place.saturating_add_signed(by).min(side - 1);
        let expected = image(side, |row, column| {
            let column = if flip { side - 1 - column } else { column };
            f32::from(pixels[within(row, y) * side + within(column, x)])
        });
        assert_close(&applied(shift, &pixels, side), &expected, TOLERANCE);
    }

    #[test]
    fn right_angles_turn_the_image((side, pixels) in images(), quarters in -4_i32..=4) {
        let turned = (0..quarters.rem_euclid(4)).fold(pixels.clone(), |pixels, _| {
            image(side, |row, column| pixels[column * side + side - 1 - row])
        });
        let rotation = Transform { rotation: 90.0 * f64::from(quarters), ..Transform::IDENTITY };
        assert_close(&applied(rotation, &pixels, side), &applied(Transform::IDENTITY, &turned, side), TOLERANCE);
    }

    #[test]
    fn brightness_multiplies((side, pixels) in images(), brightness in 0.01..10.0_f64) {
        let expected: Vec<f32> = pixels.iter().map(|&p| (f32::from(p) * brightness as f32).min(255.0)).collect();
        assert_close(&applied(Transform { brightness, ..Transform::IDENTITY }, &pixels, side), &expected, 0.0);
    }

    #[test]
    fn contrast_keeps_the_mean((side, pixels) in images(), contrast in 0.01..1.0_f64) {
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let before = applied(Transform::IDENTITY, &pixels, side);
        let after = applied(Transform { contrast, ..Transform::IDENTITY }, &pixels, side);
        prop_assert!((mean(&before) - mean(&after)).abs() < 0.01);
        let expected: Vec<f32> = before.iter().map(|v| mean(&before) + (v - mean(&before)) * contrast as f32).collect();
        assert_close(&after, &expected, 0.01);
    }
}

/// A ramp stays a ramp: twice as steep where the zoom factor is 2, flat where the edge is repeated.
#[test]
fn a_factor_above_one_shows_more() {
    let side = 9;
    let ramp = image(side, |_, column| 20 * column as u8);
    for (factor, expected) in [
        (2.0, [0.0, 0.0, 0.0, 40.0, 80.0, 120.0, 160.0, 160.0, 160.0]),
        (0.5, [40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0]),
    ] {
        let out = applied(Transform { zoom: [factor, 1.0], ..Transform::IDENTITY }, &ramp, side);
        for line in out.chunks_exact(side) {
            assert_close(line, &expected, TOLERANCE);
        }
        let out = applied(Transform { zoom: [1.0, factor], ..Transform::IDENTITY }, &ramp, side);
        assert_close(&out, &applied(Transform::IDENTITY, &ramp, side), TOLERANCE);
    }
}

/// The study's shear of 0.3 is in degrees: no pixel of 64×64 moves by more than a sixth of a pixel.
#[test]
fn small_shears_move_next_to_nothing() {
    let transform = Transform { shear: 0.3, ..Transform::IDENTITY };
    let [along_x, along_y, _] = transform.matrix();
    let corner = 31.5;
    let moved = [0, 1].map(|i| (along_x[i] + along_y[i]) * corner - corner);
    let distance = moved[0].hypot(moved[1]);
    assert!((distance - 0.16494).abs() < 1e-5, "{distance}");
}

/// A case of `golden.json`, made by `tests/augment/golden.py`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Golden {
    side: usize,
    horizontal_flip: bool,
    brightness: f64,
    width_shift: f64,
    height_shift: f64,
    rotation: f64,
    zoom: [f64; 2],
    shear: f64,
    expected: Vec<f32>,
}

impl Default for Golden {
    fn default() -> Self {
        let Transform { flip, brightness, width_shift, height_shift, rotation, zoom, shear, .. } = Transform::IDENTITY;
        Self {
            side: 0,
            horizontal_flip: flip,
            brightness,
            width_shift,
            height_shift,
            rotation,
            zoom,
            shear,
            expected: Vec::new(),
        }
    }
}

#[test]
fn images_are_those_of_keras() {
    let cases: Vec<Golden> = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert_eq!(cases.len(), 22);
    for case in cases {
        let pixels = image(case.side, |row, column| ((row * 37 + column * 101 + row * column * 7) % 256) as u8);
        let transform = Transform {
            flip: case.horizontal_flip,
            brightness: case.brightness,
            contrast: 1.0,
            gamma: 1.0,
            erase: None,
            width_shift: case.width_shift,
            height_shift: case.height_shift,
            rotation: case.rotation,
            zoom: case.zoom,
            shear: case.shear,
            ..Transform::IDENTITY
        };
        // Pillow rounds down to whole numbers before it multiplies and after.
        let tolerance = if case.brightness == 1.0 { TOLERANCE } else { 1.0 + case.brightness as f32 };
        assert_close(&applied(transform, &pixels, case.side), &case.expected, tolerance);
    }
}

#[test]
fn shades_follow_their_exponent_and_the_rectangle_comes_last() {
    let pixels = [0, 64, 128, 255];
    let out = applied(Transform { gamma: 2.0, ..Transform::IDENTITY }, &pixels, 2);
    assert_close(&out, &[0.0, 16.0627, 64.251, 255.0], 1e-3);
    // Half-way between two shades: (100² + 101²) / 2 / 255.
    let between = Transform { brightness: 1.005, gamma: 2.0, ..Transform::IDENTITY };
    assert_close(&applied(between, &[100], 1), &[10100.5 / 255.0], 1e-3);
    let erase = Erase { left: 0.25, top: 0.5, width: 0.5, height: 0.25, grey: 7.0 };
    let out = applied(Transform { gamma: 2.0, erase: Some(erase), ..Transform::IDENTITY }, &[255; 16], 4);
    let expected: Vec<f32> = image(4, |row, column| if row == 2 && (1..3).contains(&column) { 7.0 } else { 255.0 });
    assert_eq!(out, expected);
}

#[test]
fn blur_spreads_a_point_by_its_deviation_and_keeps_what_is_even() {
    let side = 41;
    let blurred = |pixels: &[u8]| applied(Transform { blur: 0.05, ..Transform::IDENTITY }, pixels, side);
    assert_close(&blurred(&vec![200; side * side]), &vec![200.0; side * side], 1e-3);
    let out = blurred(&image(side, |row, column| if [row, column] == [20, 20] { 250 } else { 0 }));
    assert!((out.iter().sum::<f32>() - 250.0).abs() < 1e-3);
    let variance = |along: fn(usize, usize) -> usize| {
        let distance = |i: usize| (along(i / side, i % side) as f64 - 20.0).powi(2);
        out.iter().enumerate().map(|(i, &value)| f64::from(value) / 250.0 * distance(i)).sum::<f64>()
    };
    // 2.05 pixels; the bell is cut off at seven.
    for variance in [variance(|row, _| row), variance(|_, column| column)] {
        assert!((variance.sqrt() / 2.05 - 1.0).abs() < 0.01, "{variance}");
    }
    // Beyond the edge it continues as at the edge.
    let edge = blurred(&image(side, |_, column| if column == 0 { 100 } else { 0 }));
    assert!((50.0..75.0).contains(&edge[0]), "{}", edge[0]);
}

#[test]
fn noise_has_the_deviation_that_it_is_given() {
    let noise = |seed| Some(Noise { deviation: 0.1, seed });
    let noisy = |seed| applied(Transform { noise: noise(seed), ..Transform::IDENTITY }, &[128; 100 * 100], 100);
    let values: Vec<f64> = noisy(1).into_iter().map(|value| f64::from(value) - 128.0).collect();
    let mean = values.iter().sum::<f64>() / 1e4;
    let deviation = (values.iter().map(|value| value * value).sum::<f64>() / 1e4).sqrt();
    assert!(mean.abs() < 1.0 && (deviation / 25.5 - 1.0).abs() < 0.03, "{mean} {deviation}");
    // About 68 % within one of them.
    let within = values.iter().filter(|value| value.abs() < 25.5).count();
    assert!((6500..7100).contains(&within), "{within}");
    assert_eq!(noisy(1), noisy(1));
    assert_ne!(noisy(1), noisy(2));
}

#[test]
fn settings_outside_their_range_are_named() {
    let good = Augmentation { rotation: 360.0, zoom: 0.99, brightness: Some([0.5, 10.0]), ..Augmentation::default() };
    assert_eq!(good.check(), Ok(()));
    for (bad, message) in [
        (
            Augmentation { rotation: -1.0, ..good.clone() },
            "the augmentation `rotation` cannot be -1: give 0 to 360 degrees",
        ),
        (
            Augmentation { zoom: 1.0, ..good.clone() },
            "the augmentation `zoom` cannot be 1: give a fraction from 0 to below 1",
        ),
        (
            Augmentation { blur: 0.5, ..good.clone() },
            "the augmentation `blur` cannot be 0.5: give a share from 0 to 0.05",
        ),
        (
            Augmentation { shear: f64::NAN, ..good.clone() },
            "the augmentation `shear` cannot be NaN: give 0 to 89 degrees",
        ),
        (
            Augmentation { contrast: Some([2.0, 1.0]), ..good.clone() },
            "the augmentation `contrast` cannot be 2 to 1: give two factors above 0 and up to 10, the smaller one first",
        ),
        (
            Augmentation { brightness: Some([0.0, f64::INFINITY]), ..good },
            "the augmentation `brightness` cannot be 0 to inf: give two factors above 0 and up to 10, the smaller one first",
        ),
    ] {
        assert_eq!(bad.check().unwrap_err().to_string(), message);
    }
}

#[test]
fn settings_read_as_they_are_written() {
    assert_eq!(Augmentation::default().to_string(), "none");
    assert!(Augmentation { contrast: Some([1.0; 2]), ..Augmentation::default() }.is_identity());
    let settings = Augmentation { rotation: 40.0, brightness: Some([0.5, 2.0]), ..Augmentation::default() };
    assert!(!settings.is_identity());
    assert_eq!(settings.to_string(), "brightness 0.5 to 2, rotation ±40°");
    let text = toml::to_string(&settings).unwrap();
    assert_eq!(toml::from_str::<Augmentation>(&text).unwrap(), settings);
    assert_eq!(toml::from_str::<Augmentation>("").unwrap(), Augmentation::default());
    assert!(toml::from_str::<Augmentation>("rotate = 3").is_err());
}
