use std::collections::BTreeSet;

use data::synthetic;
use engine::{DEFAULT_MODEL, Model};
use image::{ImageBuffer, Rgb};
use shared::contract::{Fit, InputContract};

use super::*;

/// A synthetic radiograph.
fn drawn(number: u64) -> Radiograph {
    let drawing = synthetic::draw(1, number);
    Radiograph::new(GrayImage::from_raw(drawing.width, drawing.height, drawing.pixels).unwrap().into()).unwrap()
}

fn after(name: &str, radiograph: &Radiograph) -> Result<Radiograph, ChangeError> {
    let change = CATALOGUE.iter().find(|change| change.name == name).unwrap();
    change.apply(radiograph, &grey(radiograph), Digest::of(b"file"))
}

/// `width` pixels in a row.
fn image(width: u32, pixels: &[u8]) -> GrayImage {
    GrayImage::from_raw(width, pixels.len() as u32 / width, pixels.to_vec()).unwrap()
}

fn ramp(width: u32, height: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| Luma([(10 * x + 30 * y) as u8]))
}

#[test]
fn names_are_unique_and_choose() {
    let names: BTreeSet<_> = CATALOGUE.iter().map(|change| change.name).chain(Kind::ALL.map(Kind::as_str)).collect();
    assert_eq!(names.len(), CATALOGUE.len() + Kind::ALL.len());
    assert_eq!(chosen(&[]).unwrap().len(), CATALOGUE.len());
    let names = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        chosen(&wanted).unwrap().iter().map(|change| change.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["mirrored", "lossless"]), ["png", "png-16-bit", "png-rgb", "mirrored"]);
    let unknown = chosen(&["sorcery".to_owned()]).unwrap_err().to_string();
    assert!(unknown.contains("`sorcery`") && unknown.contains("ablation, png, "), "{unknown}");
}

#[test]
fn other_files_of_the_same_pixels_are_judged_alike_to_the_bit() {
    let grey = drawn(1);
    let (width, height) = (grey.picture().width(), grey.picture().height());
    let tint = |x: u32, y: u32, channel: u32| (x * 37 + y * 91 + channel * 53) * 257 % 65_536;
    let pictures: [DynamicImage; 4] = [
        grey.image().clone(),
        ImageBuffer::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| (tint(x, y, c) >> 8) as u8))).into(),
        ImageBuffer::from_fn(width, height, |x, y| Luma([tint(x, y, 0) as u16])).into(),
        ImageBuffer::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| tint(x, y, c) as u16))).into(),
    ];
    let model = Model::from_bytes(DEFAULT_MODEL).unwrap();
    for picture in pictures {
        let kind = picture.color();
        let radiograph = Radiograph::new(picture).unwrap();
        for name in ["png", "png-16-bit", "png-rgb"] {
            let same = after(name, &radiograph).unwrap();
            for fit in [Fit::Stretch, Fit::Letterbox, Fit::Unframed] {
                let contract = InputContract { fit, ..InputContract::stretched(64) };
                let [before, after] = [&radiograph, &same].map(|r| r.picture().prepare(&contract));
                assert!(before == after, "{name} of {kind:?}");
            }
            let contract = &model.card().behaviour.contract;
            let [before, after] = [&radiograph, &same].map(|r| model.classify(&r.picture().prepare(contract)).unwrap());
            assert_eq!(before.probability.to_bits(), after.probability.to_bits());
        }
        let (deep, rgb) = (after("png-16-bit", &radiograph).unwrap(), after("png-rgb", &radiograph).unwrap());
        assert_eq!(deep.image().color().bytes_per_pixel() / deep.image().color().channel_count(), 2, "{kind:?}");
        assert_eq!(rgb.image().color().channel_count(), 3, "{kind:?}");
    }
}

#[test]
fn every_other_change_changes_the_input_and_is_repeatable() {
    let radiograph = drawn(1);
    let contract = InputContract { fit: Fit::Letterbox, ..InputContract::stretched(128) };
    let unchanged = radiograph.picture().prepare(&contract);
    let mut seen = BTreeSet::new();
    for change in CATALOGUE.iter().filter(|change| change.kind != Kind::Lossless && change.name != "no-letters") {
        let [one, other] = [(); 2].map(|()| after(change.name, &radiograph).unwrap());
        assert_eq!(one.image(), other.image(), "{}", change.name);
        let input = one.picture().prepare(&contract);
        assert_ne!(input, unchanged, "{}", change.name);
        assert!(seen.insert(input), "{} does what another one does", change.name);
    }
}

#[test]
fn draws_depend_on_the_file_alone() {
    let radiograph = drawn(1);
    let grey = grey(&radiograph);
    for name in ["off-centre", "framed-drawn", "collimated", "noise-5", "mixed"] {
        let [change] = chosen(&[name.to_owned()]).unwrap().try_into().unwrap();
        let of = |file: &[u8]| change.apply(&radiograph, &grey, Digest::of(file)).unwrap().image().clone();
        assert_eq!(of(b"one"), of(b"one"));
        assert!([b"two", b"ten", b"six", b"too"].iter().any(|&file| of(file) != of(b"one")), "{name}");
    }
}

#[test]
fn what_the_box_would_refuse_is_refused() {
    let small = Radiograph::new(GrayImage::new(100, 120).into()).unwrap();
    assert!(matches!(after("quarter-size", &small), Err(ChangeError::Refused(Refusal::TooSmall))));
    assert!(after("half-size", &small).is_ok());
}

#[test]
fn jpeg_loses_more_at_a_lower_quality() {
    let radiograph = drawn(1);
    let original = grey(&radiograph);
    let loss = |name: &str| -> u64 {
        let changed = grey(&after(name, &radiograph).unwrap());
        assert_eq!(changed.dimensions(), original.dimensions());
        changed.iter().zip(original.iter()).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum()
    };
    let losses = ["jpeg-90", "jpeg-70", "jpeg-50"].map(loss);
    assert!(0 < losses[0] && losses[0] < losses[1] && losses[1] < losses[2], "{losses:?}");
}

#[test]
fn golden_grey_values() {
    // The formulas of the operations, computed by hand.
    let pixels = image(3, &[0, 100, 250]);
    assert_eq!(imageops::brighten(&pixels, 32).into_raw(), [32, 132, 255]);
    assert_eq!(imageops::brighten(&pixels, -32).into_raw(), [0, 68, 218]);
    let pixels = image(4, &[0, 100, 200, 255]);
    assert_eq!(imageops::contrast(&pixels, 16.0).into_raw(), [0, 90, 225, 255]);
    assert_eq!(imageops::contrast(&pixels, -16.0).into_raw(), [37, 108, 178, 217]);
    let gamma =
        |exponent: f32| mapped(&image(4, &[0, 64, 128, 255]), |v| (f32::from(v) / 255.0).powf(exponent) * 255.0);
    assert_eq!(gamma(0.7).into_raw(), [0, 97, 157, 255]);
    assert_eq!(gamma(1.4).into_raw(), [0, 37, 97, 255]);
    // Of a hundred values the first and the last are clipped: 51 becomes 0 and 148 becomes 255.
    let values: Vec<u8> = (50..150).rev().collect();
    let windowed = windowed(&image(10, &values)).into_raw();
    let of = |value: u8| windowed[values.iter().position(|&v| v == value).unwrap()];
    assert_eq!([50, 51, 100, 148, 149].map(of), [0, 0, 129, 255, 255]);
    assert_eq!(super::windowed(&image(2, &[7; 4])).into_raw(), [0; 4], "a single grey value");
}

#[test]
fn golden_geometry() {
    assert_eq!(scaled(&image(4, &[0, 20, 255, 255, 4, 8, 0, 254]), 0.5, 0.5).into_raw(), [8, 191]);
    // Centres of pixels 0, 1, 2 lie at −1/6, 1/2 and 7/6 of the old ones.
    assert_eq!(scaled(&image(2, &[0, 100, 0, 100]), 1.5, 1.0).into_raw(), [0, 50, 100, 0, 50, 100]);
    // Pixel (2, 1) comes from (1 + √½, 1 − √½), where the ramp is 25.86; corners come from outside.
    let turned = rotated(&ramp(3, 3), 45.0, 0);
    assert_eq!([(2, 1), (1, 1), (0, 0), (2, 2)].map(|(x, y)| turned.get_pixel(x, y).0[0]), [26, 40, 0, 0]);
    // With the clock: what was right of the centre ends up below it.
    let point = GrayImage::from_fn(9, 9, |x, y| Luma([if (x, y) == (6, 4) { 200 } else { 0 }]));
    assert_eq!(rotated(&point, 90.0, 0).get_pixel(4, 6).0, [200]);
    let cut = cropped(&ramp(10, 5), [0.2, 0.0, 0.1, 0.4]);
    assert_eq!((cut.dimensions(), cut.get_pixel(0, 0).0, cut.get_pixel(6, 2).0), ((7, 3), [20], [140]));
    let barred = framed(&image(10, &[9; 20]), [0.1, 0.5, 0.1, 0.5], 0);
    assert_eq!(barred.dimensions(), (12, 4));
    let row = [[0].as_slice(), &[9; 10], &[0]].concat();
    assert_eq!(barred.into_raw(), [vec![0; 12], row.clone(), row, vec![0; 12]].concat());
    let off_centre = after("off-centre", &Radiograph::new(GrayImage::new(100, 60).into()).unwrap()).unwrap();
    assert_eq!((off_centre.picture().width(), off_centre.picture().height()), (90, 54));
}

#[test]
fn border_and_centre_are_what_they_say() {
    // 2 of 10 pixels at each side: 36 are inside.
    let pixels =
        GrayImage::from_fn(10, 10, |x, y| Luma([if (2..8).contains(&x) && (2..8).contains(&y) { 90 } else { 40 }]));
    let count = |image: &GrayImage, value: u8| image.iter().filter(|&&v| v == value).count();
    let without = masked(&pixels, 0.2, Fill::Black, false);
    assert_eq!((count(&without, 90), count(&without, 0)), (36, 64));
    let only = masked(&pixels, 0.2, Fill::Black, true);
    assert_eq!((count(&only, 40), count(&only, 0)), (64, 36));
    // (36 · 90 + 64 · 40) / 100
    assert_eq!(count(&masked(&pixels, 0.2, Fill::Mean, false), 58), 64);
}

#[test]
fn noise_has_the_deviation_that_it_is_given() {
    let even = GrayImage::from_pixel(100, 100, Luma([128]));
    let noisy = noisy(&even, 12.75, &mut ChaCha8Rng::seed_from_u64(1));
    let differences = || noisy.iter().map(|&v| f64::from(v) - 128.0);
    let mean = differences().sum::<f64>() / 1e4;
    let deviation = (differences().map(|d| (d - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
    // Three standard errors, and the twelfth that rounding adds to the variance.
    assert!(mean.abs() < 0.39 && (deviation - 12.75).abs() < 0.28, "{mean} {deviation}");
}

#[test]
fn blur_spreads_a_point_evenly() {
    let point = GrayImage::from_fn(65, 65, |x, y| Luma([if (x, y) == (32, 32) { 255 } else { 0 }]));
    let wide = blurred(&GrayImage::from_fn(65, 65, |x, _| Luma([if x < 32 { 200 } else { 0 }])), 0.03);
    let row: Vec<u8> = (0..65).map(|x| wide.get_pixel(x, 32).0[0]).collect();
    assert!(row.windows(2).all(|w| w[0] >= w[1]) && row[20] == 200 && row[44] == 0, "{row:?}");
    assert!((90..=110).contains(&u16::midpoint(row[31].into(), row[32].into())), "{row:?}");
    let spread = blurred(&point, 0.02);
    assert_eq!(spread.get_pixel(31, 32), spread.get_pixel(33, 32));
    assert_eq!(spread.get_pixel(32, 30), spread.get_pixel(30, 32));
    assert!(spread.get_pixel(32, 32).0[0] < 60);
}
