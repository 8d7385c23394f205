use data::synthetic;
use shared::{
    contract::InputContract,
    guard::{check_input, check_picture},
    verdict::Refusal,
};

use super::*;

const CONTRACT: InputContract = InputContract::stretched(64);

fn drawn(count: u64, seed: u64) -> Vec<Vec<u8>> {
    let (_, inputs) = synthetic::radiographs(count, seed, &CONTRACT).unwrap();
    (0..inputs.len()).map(|i| inputs.of(i).unwrap().into_owned()).collect()
}

/// A guard that has learnt from synthetic radiographs.
fn fitted() -> Guard {
    let learnt = drawn(700, 3);
    let learnt: Vec<&[u8]> = learnt.iter().map(Vec::as_slice).collect();
    fit(&learnt, CONTRACT.side, 7).unwrap()
}

#[test]
fn drawings_like_those_that_were_learnt_from_pass_and_spoilt_ones_do_not() {
    let (guard, others) = (fitted(), drawn(100, 4));
    assert_eq!(guard.check(), Ok(()));
    let json = serde_json::to_string(&guard).unwrap();
    assert_eq!(serde_json::from_str::<Guard>(&json).unwrap(), guard);
    assert!(json.len() < 16_384, "{} bytes", json.len());
    let refusal = |image: &[u8]| check_input(image, &CONTRACT, Some(&guard)).err();
    let refused: Vec<Refusal> = others.iter().filter_map(|image| refusal(image)).collect();
    // With 700 images most limits are the largest of 1,400 values or of the quarter held out: each of nine refuses few of others.
    assert!(refused.len() <= 8, "of 100 radiographs these are refused: {refused:?}");
    for (kind, expected) in [
        (Unsuitable::Quarter, Refusal::OnItsSide),
        (Unsuitable::Half, Refusal::UpsideDown),
        (Unsuitable::Negative, Refusal::Negative),
        (Unsuitable::Mirrored, Refusal::Mirrored),
        (Unsuitable::Dark, Refusal::TooDark),
        (Unsuitable::Bright, Refusal::TooBright),
        (Unsuitable::Flat, Refusal::Blank),
    ] {
        let refused: Vec<Option<Refusal>> = (0..)
            .zip(&others)
            .map(|(number, image)| refusal(&kind.make(image, 64, 1, number).picture().prepare(&CONTRACT)))
            .collect();
        let count = |reason| refused.iter().filter(|refusal| **refusal == Some(reason)).count();
        let (right, uncertain) = (count(expected), count(Refusal::UncertainOrientation));
        // The negative of a dark drawing may be too bright before it is looked at from afar.
        let least = if kind == Unsuitable::Negative { 60 } else { 90 };
        assert!(right + uncertain >= least, "{}: {right} of 100, {uncertain} uncertain", kind.name());
        // Where two positions are almost as likely, none is advised.
        assert!(uncertain <= 20, "{}: {uncertain} of 100 uncertain", kind.name());
    }
    for kind in [
        Unsuitable::Corner,
        Unsuitable::Side,
        Unsuitable::Noise,
        Unsuitable::Checkerboard,
        Unsuitable::Page,
        Unsuitable::Landscape,
    ] {
        let let_through = (0..).zip(&others).filter(|(number, image)| {
            let made = kind.make(image, 64, 1, *number);
            check_picture(&made.picture()).is_ok() && refusal(&made.picture().prepare(&CONTRACT)).is_none()
        });
        let let_through = let_through.count();
        assert!(let_through <= 5, "{}: {let_through} of 100", kind.name());
    }
}

#[test]
fn too_few_images_tell_nothing() {
    let image = [7; 4096];
    assert_eq!(fit(&vec![&image[..]; LEAST_IMAGES - 1], 64, 1), None);
    assert_eq!(fit(&vec![&image[..]; LEAST_IMAGES], 64, 1), None, "no contrast");
}

#[test]
fn limits_are_quantiles() {
    let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
    assert_eq!(upper(values.clone(), 0.0), 1000.0);
    assert_eq!(upper(values, 0.002), 998.0);
    assert_eq!(upper(Vec::new(), 0.1), 0.0);
}

#[test]
fn features_have_a_cloud_for_each_class() {
    // Two classes apart along the first axis; long in the second one, short in the third.
    let class = |from: f32| -> Vec<Vec<f32>> {
        (0..50_u8).map(|i| vec![from, f32::from(i % 10) - 4.5, f32::from(i / 10) / 10.0]).collect()
    };
    let cloud = cloud(&[class(0.0), class(100.0)], 1).unwrap();
    assert!(cloud.distance(&[0.0, 0.0, 0.2]) < 0.01 && cloud.distance(&[100.0, 0.0, 0.2]) < 0.01);
    let (along, across) = (cloud.distance(&[0.0, 4.0, 0.2]), cloud.distance(&[0.0, 0.0, 4.2]));
    assert!((1.5..3.0).contains(&along) && across > 500.0, "{along} {across}");
    assert!(cloud.distance(&[50.0, 0.0, 0.2]) > 10_000.0, "between the classes is far from both");
    assert_eq!(super::cloud(&[class(0.0), Vec::new()], 1), None);
    assert_eq!(super::cloud(&[vec![vec![1.0]; 9]], 1), None);
    assert_eq!(super::cloud(&[vec![Vec::new(); 9]], 0), None);
}

#[test]
fn styles_are_judged_by_how_their_numbers_hang_together() {
    // The second number follows the first one, and the third one never changes.
    let points: Vec<Vec<f32>> =
        (0..400_u16).map(|i| vec![f32::from(i % 40) * 4.0, f32::from(i % 40) * 8.0 + f32::from(i % 3), 7.0]).collect();
    let cloud = style_cloud(std::slice::from_ref(&points)).unwrap();
    let centre = &cloud.centres[0];
    let distance = |[a, b, c]: [f32; 3]| cloud.distance(&[centre[0] + a, centre[1] + b, centre[2] + c]);
    let mean = points.iter().map(|point| cloud.distance(point)).sum::<f64>() / points.len() as f64;
    assert!((1.5..2.5).contains(&mean), "one for each direction that varies: {mean}");
    let (along, across) = (distance([40.0, 80.0, 0.0]), distance([40.0, -80.0, 0.0]));
    assert!(along < 1.5 && across > 1000.0, "{along} {across}");
    assert!((distance([0.0, 0.0, 1.0]) - 12.0).abs() < 0.1, "as far as rounding");
    assert_eq!(style_cloud(&[]), None);
}
