use proptest::prelude::*;

use super::*;

fn contract(side: u16, fit: Fit) -> InputContract {
    InputContract { side, fit, scale: 1.0 / 255.0, zero_point: 0 }
}

fn grey(samples: &[u8], width: u32, height: u32) -> Picture<'_> {
    Picture::new(Samples::U8(samples), Channels::Grey, width, height, width as usize).expect("valid picture")
}

#[test]
fn area_means_are_exact_and_round_half_up() {
    // 3 × 2 → 2 × 1: each target pixel covers 1.5 × 2 source pixels.
    let picture = grey(&[10, 20, 40, 11, 21, 41], 3, 2);
    // (10 + 20/2 + 11 + 21/2) / 3 = 13.83; (20/2 + 40 + 21/2 + 41) / 3 = 33.83
    assert_eq!(picture.resample(2, 1), [14, 34]);
    // (10 + 21) / 2 = 15.5 rounds up.
    assert_eq!(grey(&[10, 21], 2, 1).resample(1, 1), [16]);
}

#[test]
fn enlarging_spreads_the_pixels() {
    assert_eq!(grey(&[0, 100], 2, 1).resample(4, 1), [0, 0, 100, 100]);
    assert_eq!(grey(&[0, 100], 2, 1).resample(3, 1), [0, 50, 100]);
}

#[test]
fn letterbox_centres_and_pads_with_black() {
    let picture = grey(&[200; 8], 4, 2);
    let square = picture.prepare(&contract(4, Fit::Letterbox));
    assert_eq!(square, [[0; 4], [200; 4], [200; 4], [0; 4]].concat());
    assert_eq!(picture.prepare(&contract(4, Fit::Stretch)), [200; 16]);
}

#[test]
fn golden_vector_of_a_16_bit_rgb_picture_with_stride() {
    // A picture that exercises every step; the numbers were computed by hand-written rational arithmetic
    // (Python's fractions) from the definition at the top of this module.
    let (width, height, stride) = (5_u32, 3_u32, 17_usize);
    let samples: Vec<u16> = (0..stride as u32 * height).map(|i| (i * 40_503 % 65_536) as u16).collect();
    let picture = Picture::new(Samples::U16(&samples), Channels::Rgb, width, height, stride).expect("valid");
    assert_eq!(picture.resample(3, 2), GOLDEN);
    assert_eq!(picture.inverted().resample(3, 2), GOLDEN.map(|v| 255 - v));
}

const GOLDEN: [u8; 6] = [118, 134, 94, 120, 137, 96];

#[test]
fn preview_keeps_the_aspect_ratio_and_is_never_enlarged() {
    let samples = [7; 300 * 100];
    let (pixels, width, height) = grey(&samples, 300, 100).preview(150);
    assert_eq!((pixels.len(), width, height), (150 * 50, 150, 50));
    let (_, width, height) = grey(&samples, 300, 100).preview(1000);
    assert_eq!((width, height), (300, 100));
    let (_, width, height) = grey(&samples[..300], 300, 1).preview(100);
    assert_eq!((width, height), (100, 1));
}

#[test]
fn descriptions_that_do_not_fit_are_rejected() {
    let new =
        |len: usize, w, h, stride| Picture::new(Samples::U8(&[0; 64][..len]), Channels::Rgb, w, h, stride).map(|_| ());
    assert_eq!(new(0, 0, 4, 0), Err(PictureError::Size { width: 0, height: 4 }));
    assert_eq!(new(64, 4, 4, 11), Err(PictureError::Stride { stride: 11, row: 12 }));
    assert_eq!(new(47, 4, 4, 12), Err(PictureError::TooShort { found: 47, wanted: 48 }));
    assert_eq!(new(64, 40_000, 1, 120_000), Err(PictureError::Size { width: 40_000, height: 1 }));
    assert!(matches!(new(64, 4, 4, usize::MAX), Err(PictureError::TooShort { .. })));
    assert_eq!(new(48, 4, 4, 12), Ok(()));
}

fn any_picture() -> impl Strategy<Value = (Vec<u8>, u32, u32, usize, Channels)> {
    (1_u32..40, 1_u32..40, 0_usize..5, any::<bool>()).prop_flat_map(|(w, h, pad, rgb)| {
        let channels = if rgb { Channels::Rgb } else { Channels::Grey };
        let stride = w as usize * channels.count() + pad;
        (prop::collection::vec(any::<u8>(), stride * h as usize), Just(w), Just(h), Just(stride), Just(channels))
    })
}

proptest! {
    #[test]
    fn quotients_are_exact(value in 1_u64..1 << 42, factor in 0_u64..512, rest: u64) {
        let whole = Divisor::new(value);
        for of in [factor * value, factor * value + rest % value, (factor + 1) * value - 1] {
            prop_assert_eq!(whole.quotient(of), factor);
        }
    }

    #[test]
    fn matches_the_definition_in_floating_point(
        (samples, w, h, stride, channels) in any_picture(), tw in 1_usize..24, th in 1_usize..24,
    ) {
        let picture = Picture::new(Samples::U8(&samples), channels, w, h, stride).expect("valid");
        let grey = |x: usize, y: usize| {
            let at = &samples[y * stride + x * channels.count()..];
            match channels {
                Channels::Grey => f64::from(at[0]),
                Channels::Rgb => ((19595 * u32::from(at[0]) + 38470 * u32::from(at[1])
                    + 7471 * u32::from(at[2]) + 32768) >> 16).into(),
            }
        };
        let overlap = |pixel: usize, i: usize, source: u32, target: usize| {
            let step = f64::from(source) / target as f64;
            ((pixel + 1) as f64).min((i + 1) as f64 * step) - (pixel as f64).max(i as f64 * step)
        };
        let out = picture.resample(tw, th);
        for (i, &value) in out.iter().enumerate() {
            let (tx, ty) = (i % tw, i / tw);
            let mut sum = 0.0;
            for y in 0..h as usize {
                for x in 0..w as usize {
                    let part = overlap(x, tx, w, tw).max(0.0) * overlap(y, ty, h, th).max(0.0);
                    sum += grey(x, y) * part;
                }
            }
            let mean = sum * (tw * th) as f64 / (f64::from(w) * f64::from(h));
            prop_assert!((mean - f64::from(value)).abs() <= 0.5 + 1e-6, "{mean} {value}");
        }
    }

    #[test]
    fn sixteen_bits_of_the_same_picture_give_the_same_bytes(
        (samples, w, h, stride, channels) in any_picture(), side in 16_u16..40,
    ) {
        prop_assume!(channels == Channels::Grey);
        let wide: Vec<u16> = samples.iter().map(|&s| u16::from(s) * 257).collect();
        let narrow = Picture::new(Samples::U8(&samples), channels, w, h, stride).expect("valid");
        let wide = Picture::new(Samples::U16(&wide), channels, w, h, stride).expect("valid");
        for fit in [Fit::Stretch, Fit::Letterbox] {
            let contract = contract(side, fit);
            prop_assert_eq!(narrow.prepare(&contract), wide.prepare(&contract));
            prop_assert_eq!(narrow.inverted().prepare(&contract), wide.inverted().prepare(&contract));
        }
    }

    #[test]
    fn rgb_copies_of_a_grey_picture_give_the_same_bytes((samples, w, h, stride, channels) in any_picture()) {
        prop_assume!(channels == Channels::Grey);
        let rgb: Vec<u8> = samples.iter().flat_map(|&s| [s; 3]).collect();
        let rgb = Picture::new(Samples::U8(&rgb), Channels::Rgb, w, h, stride * 3).expect("valid");
        let grey = Picture::new(Samples::U8(&samples), channels, w, h, stride).expect("valid");
        let contract = contract(16, Fit::Stretch);
        prop_assert_eq!(rgb.prepare(&contract), grey.prepare(&contract));
    }
}
