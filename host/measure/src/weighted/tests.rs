use proptest::prelude::*;

use super::*;

fn images(list: &[(bool, f32)]) -> Vec<Scored> {
    list.iter().map(|&(positive, probability)| Scored { positive, probability }).collect()
}

fn rank(list: &[Scored]) -> Ranked {
    Ranked::of(list.iter().map(Answered::from))
}

fn close(one: Option<f64>, other: f64) {
    assert!(one.is_some_and(|one| (one - other).abs() < 1e-9), "{one:?} {other}");
}

#[test]
fn measures_of_a_small_set() {
    let list = images(&[(true, 0.9), (false, 0.8), (true, 0.6), (true, 0.4), (false, 0.2)]);
    let ranked = rank(&list);
    let all = ranked.weighted(&[1; 5], OperatingPoint { threshold: 0.5, refer_from: 0.3, refer_to: 0.7 });
    // By hand: 0.9 beats both, 0.6 and 0.4 beat one each.
    close(all.auroc(), 4.0 / 6.0);
    close(all.average_precision(), (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0);
    let right = [0.9_f32, 1.0 - 0.8, 0.6, 0.4, 1.0 - 0.2].map(|p| f64::from(p).ln());
    assert!((all.log_loss().unwrap() + right.iter().sum::<f64>() / 5.0).abs() < 1e-6);
    assert_eq!(all.verdicts(), Verdicts { normal: [1, 0], refer: [0, 2], pneumonia: [1, 1] });
    assert_eq!(all.roc(), [(0.0, 0.0), (0.0, 1.0 / 3.0), (0.5, 1.0 / 3.0), (0.5, 2.0 / 3.0), (0.5, 1.0), (1.0, 1.0)]);
    assert_eq!(all.precision_recall()[1], (1.0 / 3.0, 0.5));
}

#[test]
fn recalibration_is_that_of_other_programs() {
    // Two values of the log-odds, ±1, and 3 of 4 right at either: the fit goes through ln 3 at 1 and −ln 3 at −1.
    let p = 1.0 / (1.0 + (-1.0_f32).exp());
    let list = images(&[
        (true, p),
        (true, p),
        (true, p),
        (false, p),
        (false, 1.0 - p),
        (false, 1.0 - p),
        (false, 1.0 - p),
        (true, 1.0 - p),
    ]);
    let ranked = rank(&list);
    let fit = ranked.weighted(&[1; 8], OperatingPoint::HALF).recalibration().unwrap();
    assert!(fit.intercept.abs() < 1e-6 && (fit.slope - 3.0_f64.ln()).abs() < 1e-6, "{fit:?}");
    // Where the classes do not overlap, and with one class only, there is none.
    for list in [vec![(true, 0.9), (true, 0.8), (false, 0.2)], vec![(true, 0.9), (true, 0.3)], vec![]] {
        let list = images(&list);
        let ranked = rank(&list);
        assert_eq!(ranked.weighted(&vec![1; list.len()], OperatingPoint::HALF).recalibration(), None);
    }
}

#[test]
fn over_confident_models_have_a_recalibration() {
    // Truths as probabilities 0.02 to 0.98 want them, seen through log-odds that are three times as sure.
    let mut list = Vec::new();
    for percent in 2..=98 {
        let p = f64::from(percent) / 100.0;
        let seen = 1.0 / (1.0 + (-3.0 * (p / (1.0 - p)).ln()).exp());
        list.extend((0..100).map(|i| (i < percent, seen as f32)));
    }
    let list = images(&list);
    let ranked = rank(&list);
    let fit = ranked.weighted(&vec![1; list.len()], OperatingPoint::HALF).recalibration().unwrap();
    assert!(fit.intercept.abs() < 0.01 && (fit.slope - 1.0 / 3.0).abs() < 0.01, "{fit:?}");
}

/// The area under the characteristic by its definition.
fn pairs_in_order(list: &[Scored]) -> Option<f64> {
    let part = |positive: bool| list.iter().filter(move |one| one.positive == positive).map(|one| one.probability);
    let pairs = part(true).flat_map(|p| part(false).map(move |n| 2 * u32::from(p > n) + u32::from(p == n)));
    let (twice, count) = (pairs.clone().sum::<u32>(), pairs.count());
    (count > 0).then(|| f64::from(twice) / (2 * count) as f64)
}

fn any_images() -> impl Strategy<Value = Vec<(bool, f32, usize)>> {
    let one = (any::<bool>(), 0_u8..=20, 0_usize..4).prop_map(|(b, p, w)| (b, f32::from(p) / 20.0, w));
    proptest::collection::vec(one, 0..40)
}

proptest! {
    /// A weight is as good as that many copies, measured by other code.
    #[test]
    fn weights_are_copies(list in any_images()) {
        let one: Vec<Scored> = images(&list.iter().map(|(b, p, _)| (*b, *p)).collect::<Vec<_>>());
        let weights: Vec<usize> = list.iter().map(|(.., w)| *w).collect();
        let copies: Vec<Scored> = one.iter().zip(&weights).flat_map(|(one, w)| vec![*one; *w]).collect();
        let ranked = rank(&one);
        let weighted = ranked.weighted(&weights, OperatingPoint::HALF);
        prop_assert_eq!(weighted.confusion, Confusion::at(&copies, 0.5));
        prop_assert_eq!(weighted.auroc(), pairs_in_order(&copies));
        let count = copies.len().max(1) as f64;
        let truth = |one: &Scored| f64::from(u8::from(one.positive));
        let apart = |one: &Scored| f64::from(one.probability) - truth(one);
        let brier: f64 = copies.iter().map(|one| apart(one).powi(2)).sum();
        prop_assert!((weighted.brier().unwrap_or(0.0) - brier / count).abs() < 1e-9);
        let bins = |one: &Scored| bin(f64::from(one.probability));
        let error = (0..BINS).map(|b| copies.iter().filter(|one| bins(one) == b).map(apart).sum::<f64>().abs());
        prop_assert!((weighted.calibration_error().unwrap_or(0.0) - error.sum::<f64>() / count).abs() < 1e-9);
    }

    /// Precision at each radiograph with pneumonia, by the definition.
    #[test]
    fn average_precision_by_definition(list in any_images()) {
        let list: Vec<(bool, f32)> = list.into_iter().map(|(b, p, _)| (b, p)).collect();
        let precision = |from: f32| {
            let above = list.iter().filter(|(_, p)| *p >= from);
            above.clone().filter(|(b, _)| *b).count() as f64 / above.count() as f64
        };
        let with: Vec<f64> = list.iter().filter(|(b, _)| *b).map(|(_, p)| precision(*p)).collect();
        let images = images(&list);
        let ranked = rank(&images);
        let got = ranked.weighted(&vec![1; list.len()], OperatingPoint::HALF).average_precision();
        match got {
            Some(got) => prop_assert!((got - with.iter().sum::<f64>() / with.len() as f64).abs() < 1e-9),
            None => prop_assert!(with.is_empty() || with.len() == list.len()),
        }
    }
}
