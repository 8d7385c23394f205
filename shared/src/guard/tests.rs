use alloc::{string::ToString, vec};

use proptest::prelude::*;

use super::*;

const CONTRACT: InputContract = InputContract::stretched(32);

fn grey(samples: &[u8], width: u32, height: u32) -> Picture<'_> {
    Picture::new(Samples::U8(samples), Channels::Grey, width, height, width as usize).unwrap()
}

fn rgb(samples: &[u8], width: u32, height: u32) -> Picture<'_> {
    Picture::new(Samples::U8(samples), Channels::Rgb, width, height, 3 * width as usize).unwrap()
}

/// What stands for a chest: a bright corner and a less bright edge, so that no two ways to hold it are alike.
fn chest() -> Vec<u8> {
    let shade = |x: usize, y: usize| match (x, y) {
        (0..8, 0..14) => 230,
        (_, 24..) => 150,
        _ => 80 + x as u8 / 2,
    };
    (0..32 * 32).map(|i| shade(i % 32, i / 32)).collect()
}

/// A guard that knows one image alone.
fn guard_of(input: &[u8]) -> Guard {
    let view = View::of(&grey(input, 32, 32));
    Guard {
        images: 1,
        levels: Levels { dark: 60, bright: 200, contrast: 10 },
        views: Cloud {
            centres: vec![view.values().to_vec()],
            directions: vec![],
            weights: vec![],
            rest: 1.0 / 64.0 / 64.0,
            limit: 20.0,
        },
        lead: 5.0,
        crops: vec![],
        mirrored: None,
        features: None,
        style: None,
    }
}

fn held(input: &[u8], quarters: usize) -> Vec<u8> {
    let mut held = input.to_vec();
    for _ in 0..quarters {
        held = (0..32 * 32).map(|i| held[(31 - i % 32) * 32 + i / 32]).collect();
    }
    held
}

#[test]
fn ways_to_hold_an_image_are_told_apart() {
    let input = chest();
    let guard = guard_of(&input);
    let check = |input: &[u8]| check_input(input, &CONTRACT, Some(&guard));
    assert_eq!(guard.check(), Ok(()));
    assert_eq!(check(&input), Ok(()));
    assert_eq!(check(&held(&input, 1)), Err(Refusal::OnItsSide));
    assert_eq!(check(&held(&input, 3)), Err(Refusal::OnItsSide));
    assert_eq!(check(&held(&input, 2)), Err(Refusal::UpsideDown));
    for quarters in 0..4 {
        let negative: Vec<u8> = held(&input, quarters).into_iter().map(|v| 255 - v).collect();
        assert_eq!(check(&negative), Err(Refusal::Negative), "{quarters}");
    }
    let stripes: Vec<u8> = (0..32 * 32).map(|i| if i / 4 % 2 == 0 { 60 } else { 180 }).collect();
    assert_eq!(check(&stripes), Err(Refusal::NotAChest));
    assert_eq!(check_input(&stripes, &CONTRACT, None), Ok(()), "nothing is known without a guard");
}

#[test]
fn views_turn_as_pictures_do() {
    let input = chest();
    let view = View::of(&grey(&input, 32, 32));
    for quarters in 0..4 {
        assert_eq!(View::of(&grey(&held(&input, quarters), 32, 32)), view.held(quarters, false), "{quarters}");
    }
    let negative: Vec<u8> = input.iter().map(|v| 255 - v).collect();
    assert_eq!(View::of(&grey(&negative, 32, 32)), view.held(0, true));
    assert_eq!(view.mirrored().mirrored(), view);
    assert_eq!(view.held(2, false).mirrored(), view.mirrored().held(2, false));
}

#[test]
fn golden_view() {
    // One cell of 256 differs: 255 and one of √255 standard deviations, rounded towards zero.
    let mut input = [0; AREA];
    input[17] = 255;
    let view = View::of(&grey(&input, 16, 16));
    let far = |i: usize| if i == 17 { 1022 } else { -4 };
    assert_eq!(view, View(core::array::from_fn(far)));
    assert_eq!(View::of(&grey(&[9; AREA], 16, 16)), View([0; AREA]));
    assert_eq!(contrast_and_mean(&chest()), (46, 119));
}

#[test]
fn brightness_and_contrast_do_not_change_a_view_much() {
    let input = chest();
    let view = View::of(&grey(&input, 32, 32)).values();
    let flat: Vec<u8> = input.iter().map(|v| 90 + v / 4).collect();
    let other = View::of(&grey(&flat, 32, 32)).values();
    assert!(view.iter().zip(other).all(|(a, b)| (a - b).abs() < 8.0));
}

#[test]
fn levels_have_their_refusals() {
    let guard = guard_of(&chest());
    let check = |change: fn(u8) -> u8| {
        check_input(&chest().into_iter().map(change).collect::<Vec<_>>(), &CONTRACT, Some(&guard))
    };
    assert_eq!(check(|v| v), Ok(()));
    assert_eq!(check(|v| v / 3), Err(Refusal::TooDark));
    assert_eq!(check(|v| 255 - (255 - v) / 3), Err(Refusal::TooBright));
    assert_eq!(check(|v| 120 + v / 8), Err(Refusal::Blank));
    assert_eq!(check_input(&[77; 1024], &CONTRACT, None), Err(Refusal::Blank));
}

#[test]
fn cropped_images_lie_beyond_a_plane() {
    let input = chest();
    let view = View::of(&grey(&input, 32, 32));
    let weights = Weights(view.0.map(|v| (v / 2) as i8).to_vec());
    let mut guard = guard_of(&input);
    let value = Plane { weights: weights.clone(), limit: 0 }.value(&view);
    assert!(value > 0);
    guard.crops = vec![Plane { weights: weights.clone(), limit: value }];
    assert_eq!(check_input(&input, &CONTRACT, Some(&guard)), Ok(()));
    guard.crops = vec![Plane { weights, limit: value - 1 }];
    assert_eq!(check_input(&input, &CONTRACT, Some(&guard)), Err(Refusal::Cropped));
}

#[test]
fn a_mirror_image_lies_on_the_other_side() {
    // Brighter to the left.
    let input: Vec<u8> = (0..32 * 32).map(|i| 180 - 3 * (i % 32) as u8 - (i / 32) as u8).collect();
    let mirrored: Vec<u8> = (0..32 * 32).map(|i| input[i / 32 * 32 + 31 - i % 32]).collect();
    let mut guard = guard_of(&input);
    (guard.views.limit, guard.lead) = (1e6, 1e6);
    assert_eq!(check_input(&mirrored, &CONTRACT, Some(&guard)), Ok(()));
    // Weights for what is brighter to the right.
    let weights: Vec<i8> = (0..AREA).map(|i| (i % CELLS) as i8 * 2 - CELLS as i8 + 1).collect();
    guard.mirrored = Some(Plane { weights: Weights(weights), limit: 0 });
    assert_eq!(guard.check(), Ok(()));
    assert_eq!(check_input(&input, &CONTRACT, Some(&guard)), Ok(()));
    assert_eq!(check_input(&mirrored, &CONTRACT, Some(&guard)), Err(Refusal::Mirrored));
    guard.mirrored = Some(Plane { weights: Weights(vec![1; AREA - 1]), limit: 0 });
    assert_eq!(guard.check(), Err(GuardError));
}

#[test]
fn features_far_from_every_class_are_unfamiliar() {
    let mut guard = guard_of(&chest());
    assert_eq!(check_familiar(&[9.0, 9.0], &chest(), &CONTRACT, Some(&guard)), Ok(()), "a guard without features");
    // Long along the first axis, short across it.
    let cloud = Cloud {
        centres: vec![vec![0.0, 0.0], vec![10.0, 10.0]],
        directions: vec![Weights(vec![127, 0])],
        weights: vec![(1.0 / 4.0 - 1.0) / (127.0 * 127.0)],
        rest: 1.0,
        limit: 2.0,
    };
    assert!((cloud.distance(&[2.0, 0.0]) - 1.0).abs() < 1e-6);
    assert!((cloud.distance(&[10.0, 9.0]) - 1.0).abs() < 1e-6);
    guard.features = Some(cloud);
    assert_eq!(guard.check(), Ok(()));
    for (features, expected) in [
        (&[2.0, 0.0][..], Ok(())),
        (&[10.0, 11.0], Ok(())),
        (&[0.0, 2.0], Err(Refusal::Unfamiliar)),
        (&[5.0, 5.0], Err(Refusal::Unfamiliar)),
        (&[f32::NAN, 0.0], Err(Refusal::Unfamiliar)),
        (&[0.0], Err(Refusal::Unfamiliar)),
        (&[], Ok(())),
    ] {
        assert_eq!(check_familiar(features, &chest(), &CONTRACT, Some(&guard)), expected, "{features:?}");
    }
}

/// A cloud that knows the style of one image alone.
fn style_of(input: &[u8]) -> Cloud {
    Cloud {
        centres: vec![Style::of(input, &CONTRACT).unwrap().values()],
        directions: vec![],
        weights: vec![],
        rest: 0.01,
        limit: 40.0,
    }
}

#[test]
fn features_and_style_together_must_not_be_strange() {
    let mut guard = guard_of(&chest());
    guard.style = Some(style_of(&chest()));
    assert_eq!(guard.check(), Ok(()));
    let darker: Vec<u8> = chest().into_iter().map(|v| v - 20).collect();
    let check = |guard: &Guard, features: &[f32], input: &[u8]| check_familiar(features, input, &CONTRACT, Some(guard));
    // Nine greys differ by 20.
    assert!((guard.strangeness(&[], &darker, &CONTRACT).unwrap() - 36.0).abs() < 1e-4);
    assert_eq!(check(&guard, &[], &darker), Ok(()), "of a network without features");
    guard.features =
        Some(Cloud { centres: vec![vec![0.0, 0.0]], directions: vec![], weights: vec![], rest: 1.0, limit: 2.0 });
    for (features, input, expected) in [
        (&[1.0, 0.0], &darker, Ok(())),
        (&[1.2, 0.0], &darker, Err(Refusal::Unfamiliar)),
        (&[1.2, 0.0], &chest(), Ok(())),
        (&[1.5, 0.0], &chest(), Err(Refusal::Unfamiliar)),
        (&[f32::NAN, 0.0], &chest(), Err(Refusal::Unfamiliar)),
    ] {
        assert_eq!(check(&guard, features, input), expected, "{features:?}");
    }
    assert_eq!(check(&guard, &[0.0, 0.0], &chest()[1..]), Err(Refusal::Unfamiliar), "not an input of this model");
    guard.style.as_mut().unwrap().centres[0].pop();
    assert_eq!(guard.check(), Err(GuardError));
}

#[test]
fn golden_style() {
    // Halves of 40 and of 200: one step of 160 in each row at all grids, none downwards.
    let input: Vec<u8> = (0..80 * 80).map(|i| if i % 80 < 40 { 40 } else { 200 }).collect();
    let style = Style::of(&input, &InputContract::stretched(80)).unwrap().values();
    // 64 times the fourth root of 160² / 39, of 160² / 19 and so on; the square root of 160 / 39 and so on. The middle one of
    // five cells is half and half, so there are two steps of 80.
    let right = [[323.0, 129.0], [387.0, 185.0], [467.0, 269.0], [481.0, 404.0]];
    let roughness: Vec<f32> = right.into_iter().flat_map(|[root, mean]| [root, mean, 0.0, 0.0]).collect();
    assert_eq!(style[..16], roughness);
    assert_eq!(style[16..], [40.0, 40.0, 40.0, 40.0, 40.0, 200.0, 200.0, 200.0, 200.0]);
    assert_eq!(Style::of(&input, &CONTRACT), None);
}

#[test]
fn colour_and_shape_are_seen_in_the_picture() {
    let (width, height) = (80_u32, 60_u32);
    let paint = |colour: fn(u32) -> [u8; 3]| (0..width * height).flat_map(colour).collect::<Vec<u8>>();
    let check = |samples: &[u8]| check_picture(&rgb(samples, width, height));
    assert_eq!(check(&paint(|i| [(i % 251) as u8; 3])), Ok(()));
    assert_eq!(check(&paint(|i| [(i % 200) as u8, (i % 200) as u8 + 15, (i % 200) as u8 + 30])), Ok(()), "a tint");
    assert_eq!(check(&paint(|i| if i % 80 < 6 { [255, 0, 0] } else { [90; 3] })), Ok(()), "a mark");
    assert_eq!(check(&paint(|i| [(i % 251) as u8, 90, 200])), Err(Refusal::Coloured));
    let wide: Vec<u16> = paint(|i| [(i % 251) as u8, 90, 200]).into_iter().map(|v| u16::from(v) * 257).collect();
    let wide = Picture::new(Samples::U16(&wide), Channels::Rgb, width, height, 3 * width as usize).unwrap();
    assert_eq!(check_picture(&wide), Err(Refusal::Coloured));
    assert_eq!(check_picture(&grey(&[7; 160 * 32], 160, 32)), Err(Refusal::Elongated));
    assert_eq!(check_picture(&grey(&[7; 128 * 32], 128, 32)), Ok(()));
}

#[test]
fn weights_are_written_in_hexadecimal() {
    let weights = Weights(vec![0, 1, 127, -1, -127]);
    let text = String::from(weights.clone());
    assert_eq!(text, "00017fff81");
    assert_eq!(Weights::try_from(text), Ok(weights));
    for wrong in ["0", "0g", "+1", "é"] {
        assert_eq!(Weights::try_from(wrong.to_string()), Err(GuardError), "{wrong}");
    }
    let (weights, factor) = Weights::of(&[0.5, -0.25, 0.0]);
    assert_eq!((weights, factor), (Weights(vec![127, -64, 0]), 0.5 / 127.0));
    assert_eq!(Weights::of(&[0.0]), (Weights(vec![0]), 1.0));
}

#[test]
fn guards_that_do_not_fit_together_are_rejected() {
    let good = guard_of(&chest());
    let mut short = good.clone();
    short.views.centres[0].pop();
    let mut unequal = good.clone();
    unequal.views.weights.push(1.0);
    let mut plane = good.clone();
    plane.crops.push(Plane { weights: Weights(vec![1; 7]), limit: 0 });
    let mut empty = good.clone();
    empty.views.centres.clear();
    let infinite = Guard { lead: f32::INFINITY, ..good };
    for guard in [short, unequal, plane, empty, infinite] {
        assert_eq!(guard.check(), Err(GuardError));
    }
}

proptest! {
    #[test]
    fn no_input_panics(
        input in prop::collection::vec(any::<u8>(), 0..1100), side in 0_u16..40, features in prop::collection::vec(any::<f32>(), 0..4),
    ) {
        let contract = InputContract { side, ..CONTRACT };
        let mut guard = guard_of(&chest());
        guard.features = Some(Cloud {
            centres: vec![vec![0.0; 2]], directions: vec![], weights: vec![], rest: f32::MAX, limit: 1.0,
        });
        let _ = check_input(&input, &contract, Some(&guard));
        let _ = check_input(&input, &contract, None);
        guard.style = Some(style_of(&chest()));
        let _ = check_familiar(&features, &input, &contract, Some(&guard));
    }

    #[test]
    fn no_picture_panics(samples in prop::collection::vec(any::<u8>(), 3..600), width in 1_u32..200) {
        let height = samples.len() as u32 / (3 * width);
        if let Ok(picture) = Picture::new(Samples::U8(&samples), Channels::Rgb, width, height, 3 * width as usize) {
            let _ = check_picture(&picture);
            let _ = View::of(&picture);
        }
    }
}

/// A smooth picture with a hard edge and some noise, brighter to the right.
fn picture(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut random = seed;
    let mut noise = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 27) as u8
    };
    let shade = |x: u32, y: u32| 40 + (x * 120 / width) as u8 + if 3 * y > 2 * height { 60 } else { 0 };
    (0..width * height).map(|i| shade(i % width, i / width) + noise()).collect()
}

/// The same in a frame of these widths: left, top, right, bottom.
fn framed(pixels: &[u8], width: u32, [left, top, right, bottom]: [u32; 4], shade: u8) -> (Vec<u8>, u32, u32) {
    let height = pixels.len() as u32 / width;
    let (wide, high) = (left + width + right, top + height + bottom);
    let pixel = |x: u32, y: u32| {
        let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
        if inside { pixels[((y - top) * width + x - left) as usize] } else { shade }
    };
    ((0..wide * high).map(|i| pixel(i % wide, i / wide)).collect(), wide, high)
}

/// Whether an input and a preview of two pictures belong together.
fn belong(judged: &Picture<'_>, shown: &Picture<'_>, contract: &InputContract) -> bool {
    let (preview, width, height) = shown.preview(256);
    let preview = grey(&preview, width.into(), height.into());
    let window = judged.judged(contract);
    check_preview(&judged.prepare(contract), contract, &preview, &window) == Ok(())
}

proptest! {
    /// Whatever it shows: also noise, and stripes as fine as pixels.
    #[test]
    fn an_input_and_the_preview_of_one_picture_belong_together(
        (width, height) in (32_u32..700, 32_u32..700),
        (pitch, seed, soft) in (1_u32..20, any::<u32>(), any::<bool>()),
        (side, fit) in (16_u16..=512, 0_usize..3), frame in prop::array::uniform4(0_u32..200),
    ) {
        let pixels = if soft {
            picture(width, height, seed)
        } else {
            (0..width * height).map(|i| if (i / width + seed % 3 * (i % width)) / pitch % 2 == 0 { 0 } else { 255 }).collect()
        };
        let fit = [Fit::Stretch, Fit::Letterbox, Fit::Unframed][fit];
        let (pixels, width, height) =
            if fit == Fit::Unframed { framed(&pixels, width, frame, seed as u8) } else { (pixels, width, height) };
        let contract = InputContract { fit, ..InputContract::stretched(side) };
        let picture = grey(&pixels, width, height);
        prop_assert!(belong(&picture, &picture, &contract));
        prop_assert!(belong(&picture.inverted(), &picture.inverted(), &contract));
    }
}

#[test]
fn an_input_and_the_preview_of_another_picture_do_not_belong_together() {
    let pixels = picture(300, 200, 1);
    let judged = grey(&pixels, 300, 200);
    let mut spot = pixels.clone();
    // A tenth of each side, a little brighter.
    (0..600).for_each(|i| spot[(90 + i / 30) * 300 + 40 + i % 30] += 30);
    let mirrored: Vec<u8> = pixels.chunks(300).flat_map(|row| row.iter().rev().copied()).collect();
    let moved: Vec<u8> = pixels.chunks(300).flat_map(|row| [&row[30..], &row[..30]].concat()).collect();
    // The same, framed: the frame is not judged, what is within it is.
    let unframed = InputContract { fit: Fit::Unframed, ..InputContract::stretched(160) };
    let (in_frame, width, height) = framed(&pixels, 300, [100, 40, 20, 70], 255);
    let (other, ..) = framed(&spot, 300, [100, 40, 20, 70], 255);
    let (judged_framed, other) = (grey(&in_frame, width, height), grey(&other, width, height));
    assert!(!judged_framed.judged(&unframed).is_whole());
    assert!(belong(&judged_framed, &judged_framed, &unframed) && !belong(&judged_framed, &other, &unframed));
    // Nothing but a model that leaves out frames may be shown a part.
    let (preview, wide, high) = judged_framed.preview(256);
    let preview = grey(&preview, wide.into(), high.into());
    let window = judged_framed.window();
    let input = judged_framed.prepare_part(&window, &CONTRACT);
    assert_eq!(check_preview(&input, &CONTRACT, &preview, &window), Err(Refusal::PreviewMismatch));
    for (name, shown) in [("a spot", &spot), ("mirrored", &mirrored), ("moved", &moved)] {
        for fit in [Fit::Stretch, Fit::Letterbox] {
            let contract = InputContract { fit, ..InputContract::stretched(160) };
            assert!(!belong(&judged, &grey(shown, 300, 200), &contract), "{name}, {fit:?}");
        }
    }
    assert!(!belong(&judged, &judged.inverted(), &CONTRACT));
    // What lies beside a letterboxed picture is judged and not shown.
    let letterbox = InputContract { fit: Fit::Letterbox, ..CONTRACT };
    let (preview, width, height) = judged.preview(256);
    let preview = grey(&preview, width.into(), height.into());
    let mut input = judged.prepare(&letterbox);
    input[16] = 200;
    let whole = judged.judged(&letterbox);
    assert_eq!(check_preview(&input, &letterbox, &preview, &whole), Err(Refusal::PreviewMismatch));
    assert_eq!(check_preview(&input[1..], &letterbox, &preview, &whole), Err(Refusal::PreviewMismatch));
}
