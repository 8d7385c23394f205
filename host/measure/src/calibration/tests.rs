use proptest::prelude::*;
use shared::{rates::Outcomes, verdict::Profile};

use super::*;
use crate::statistics::rates;

#[test]
fn calibrated_logits_are_those_that_were_drawn() {
    // Truths as probabilities 0.02 to 0.98 want them, seen through logits that are twice as sure and 1 too high.
    let (mut logits, mut positive) = (Vec::new(), Vec::new());
    for percent in 2..=98 {
        let p = f64::from(percent) / 100.0;
        for i in 0..100 {
            logits.push((2.0 * (p / (1.0 - p)).ln() + 1.0) as f32);
            positive.push(i < percent);
        }
    }
    let Calibrator { slope, intercept } = Calibrator::fit(&logits, &positive);
    assert!((slope - 0.5).abs() < 0.01 && (intercept + 0.5).abs() < 0.01, "{slope} {intercept}");
}

#[test]
fn what_cannot_be_fitted_is_left_alone() {
    assert_eq!(Calibrator::fit(&[], &[]), Calibrator::IDENTITY);
    assert_eq!(Calibrator::fit(&[1.0, 2.0], &[true, true]), Calibrator::IDENTITY);
    assert_eq!(Calibrator::fit(&[-3.0, -2.0, 2.0, 3.0], &[true, true, false, false]), Calibrator::IDENTITY);
    let apart = Calibrator::fit(&[-3.0, -2.0, 2.0, 3.0], &[false, false, true, true]);
    assert!(apart.slope > 0.0 && apart.slope < 2.0, "{apart:?}");
}

#[test]
fn quantiles_are_values() {
    assert_eq!(quantile(vec![3.0, 1.0, 2.0, 4.0], 0.5), Some(2.0));
    assert_eq!(quantile((1..=20).map(|v| v as f32).collect(), 0.95), Some(19.0));
    assert_eq!(quantile(vec![5.0], 0.0), Some(5.0));
    assert_eq!(quantile(vec![], 0.5), None);
}

fn judged(positive: bool, probability: f32) -> Judged {
    Judged { scored: Scored { positive, probability }, refused: false }
}

/// As many radiographs as are said, with the probabilities in hundredths that they are to have, of which as many have
/// pneumonia as the probability says.
fn calibrated(images: usize, hundredths: impl Iterator<Item = usize>) -> Vec<Judged> {
    hundredths
        .flat_map(|percent| (0..images).map(move |i| judged(i * 100 < percent * images, percent as f32 / 100.0)))
        .collect()
}

#[test]
fn thresholds_are_where_the_profiles_want_them() {
    // 100 normal at 0.000 to 0.495 and at 0.7, 100 ill at 0.5 to 0.995 and at 0.3.
    let of = |positive, probability| Scored { positive, probability };
    let normal = (0..99).map(|i| of(false, i as f32 / 200.0)).chain([of(false, 0.7)]);
    let ill = (0..97).map(|i| of(true, 0.5 + i as f32 / 200.0)).chain([0.3, 0.2, 0.1].map(|p| of(true, p)));
    let scored: Vec<Scored> = normal.chain(ill).collect();
    let rates = profile_thresholds(&scored).unwrap().map(|threshold| {
        let counts = Confusion::at(&scored, threshold);
        (counts.true_positives, counts.true_negatives)
    });
    // 98 of 100 need the one at 0.3: the threshold lies just under it, over 59 or 60 normal ones. At a specificity of 98
    // of 100 less would do, but not below the balanced one.
    assert_eq!(rates, [(98, 60), (97, 99), (97, 99)]);
    assert_eq!(profile_thresholds(&scored[..100]), None);
    assert_eq!(operating_points(&[]), None);
}

#[test]
fn each_profile_has_a_band_of_its_own_and_keeps_its_promise() {
    // As sure as a good network: most radiographs near 0 and near 1, some of each probability in between.
    let mut all = calibrated(200, [1, 2, 98, 99].into_iter());
    all.extend(calibrated(100, 3..98).into_iter().step_by(10));
    all.extend((0..2000).flat_map(|_| [judged(false, 0.000_5), judged(true, 0.999_5)]));
    let points = operating_points(std::slice::from_ref(&all)).unwrap();
    let OperatingPoints { screening, balanced, confirming } = points;
    assert_eq!(points.check(), Ok(()));
    assert!(screening.refer_from < balanced.refer_from && screening.refer_to == balanced.refer_to, "{points:?}");
    assert!(confirming.refer_to > balanced.refer_to && confirming.refer_from == balanced.refer_from, "{points:?}");
    let [careful, plain, sure] = Profile::ALL.map(|profile| rates(&all, &points.of(profile)));
    let most = |share: f64, of: Outcomes| (share * of.total() as f64) as u32;
    assert!(careful.of_pneumonia.normal <= most(MISSED, careful.of_pneumonia), "{careful:?}");
    assert!(sure.of_normal.pneumonia <= most(FALSE_ALARMS, sure.of_normal), "{sure:?}");
    // They change verdicts, to refer alone.
    assert!(
        plain.of_pneumonia.normal > careful.of_pneumonia.normal && plain.of_normal.normal > careful.of_normal.normal
    );
    assert!(plain.of_normal.pneumonia > sure.of_normal.pneumonia);
    assert_eq!(careful.of_pneumonia.pneumonia, plain.of_pneumonia.pneumonia);
    assert_eq!(sure.of_normal.normal, plain.of_normal.normal);
}

#[test]
fn a_gap_without_errors_is_not_trusted_beyond_what_probabilities_expect() {
    // No pneumonia below 0.5: by counting alone everything below would be normal.
    let normal = (0..100).map(|i| judged(false, i as f32 / 250.0));
    let all: Vec<Judged> = normal.chain((0..100).map(|i| judged(true, 0.6 + i as f32 / 250.0))).collect();
    let points = operating_points(std::slice::from_ref(&all)).unwrap();
    assert_eq!(points.balanced.refer_from, points.balanced.threshold);
    // 0.2 % of 100 are expected among those below 0.04: 0 + 0.004 + … + 0.036 = 0.18.
    assert_eq!(points.screening.refer_from, 0.04);
    // 1 % of 100 are expected among those above 0.912: 0.004 + … + 0.084 = 0.92.
    assert!((points.confirming.refer_to - 0.912).abs() < 1e-5, "{points:?}");
}

#[test]
fn what_the_box_refuses_is_in_no_band() {
    let mut all: Vec<Judged> = (0..200).map(|i| judged(i >= 100, if i < 100 { 0.001 } else { 0.999 })).collect();
    let clean = operating_points(std::slice::from_ref(&all)).unwrap();
    for positive in [true, false] {
        all.push(Judged { refused: true, ..judged(positive, if positive { 0.000_5 } else { 0.999_9 }) });
    }
    let points = operating_points(std::slice::from_ref(&all)).unwrap();
    assert_eq!(points.screening.refer_from, clean.screening.refer_from);
    assert_eq!(points.confirming.refer_to, clean.confirming.refer_to);
}

#[test]
fn the_balanced_point_keeps_its_promise_at_each_site() {
    let mut home: Vec<Judged> = (0..2000).flat_map(|_| [judged(false, 0.01), judged(true, 0.99)]).collect();
    // So that the threshold lies in the middle.
    home.extend((0..5).flat_map(|_| [judged(false, 0.45), judged(true, 0.55)]));
    // One in ten of the small site's definite answers is wrong: among thousands of home's nobody would notice.
    let errors = [judged(true, 0.05), judged(false, 0.9)];
    let clinic: Vec<Judged> = (0..10).flat_map(|_| [judged(false, 0.02), judged(true, 0.98)]).chain(errors).collect();
    let pooled = operating_points(&[[home.clone(), clinic.clone()].concat()]).unwrap().balanced;
    assert!(pooled.refer_from > 0.4 && pooled.refer_to < 0.6, "{pooled:?}");
    for sites in [[home.clone(), clinic.clone()], [clinic, home]] {
        let band = operating_points(&sites).unwrap().balanced;
        assert_eq!((band.refer_from, band.refer_to), (0.05, 0.9_f32.next_up()));
    }
}

proptest! {
    #[test]
    fn points_are_in_order_and_keep_their_promises(
        list in proptest::collection::vec((any::<bool>(), 0_u8..=100, 0_u8..10), 2..200),
    ) {
        let all: Vec<Judged> = list
            .into_iter()
            .map(|(positive, percent, refused)| Judged {
                refused: refused == 0,
                ..judged(positive, f32::from(percent) / 100.0)
            })
            .collect();
        let Some(points) = operating_points(std::slice::from_ref(&all)) else { return Ok(()) };
        prop_assert_eq!(points.check(), Ok(()));
        let missed = rates(&all, &points.screening).of_pneumonia;
        prop_assert!(f64::from(missed.normal) <= MISSED * missed.total() as f64, "{:?}", missed);
        let alarms = rates(&all, &points.confirming).of_normal;
        // At exactly 1 nothing can be cut off any more.
        if points.confirming.refer_to < 1.0 {
            prop_assert!(f64::from(alarms.pneumonia) <= FALSE_ALARMS * alarms.total() as f64, "{:?}", alarms);
        }
    }
}
