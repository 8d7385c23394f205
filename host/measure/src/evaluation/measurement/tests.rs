use proptest::prelude::*;
use shared::verdict::OperatingPoints;

use super::*;
use crate::evaluation::tests::labelled;

/// Patients of two radiographs each, which overlap: scores go up with the number, the truth is that of `positive`.
fn images(patients: usize, positive: impl Fn(usize) -> bool) -> Vec<LabelledAnswer> {
    (0..2 * patients)
        .map(|i| {
            labelled(
                &format!("p{:03}", i / 2),
                positive(i / 2),
                (i * 7 % (2 * patients)) as f32 / (2 * patients) as f32,
            )
        })
        .collect()
}

#[test]
fn figures_of_a_small_set() {
    let list = [
        labelled("a", false, 0.1),
        labelled("a", false, 0.3),
        labelled("b", false, 0.6),
        labelled("c", true, 0.95),
        labelled("d", true, 0.4),
        labelled("d", true, 0.8),
    ];
    let point = OperatingPoint { threshold: 0.5, refer_from: 0.2, refer_to: 0.7 };
    let measurement = Measurement::of(&list, point, None);
    assert_eq!(measurement.counts, Counts { images: 6, patients: 4, normal: 3, pneumonia: 3, unanswered: 0 });
    let value = |estimate: Option<Estimate>| estimate.unwrap().value;
    let Estimates { accuracy, sensitivity, specificity, auroc, referred, .. } = measurement.estimates;
    assert_eq!((value(accuracy), value(sensitivity), value(specificity)), (4.0 / 6.0, 2.0 / 3.0, 2.0 / 3.0));
    // 0.4 is below 0.6; the other eight pairs are in order. 0.3, 0.4 and 0.6 lie in the band.
    assert_eq!((value(auroc), value(referred)), (8.0 / 9.0, 0.5));
    assert_eq!(value(measurement.estimates.accuracy_outside_band), 1.0);
    assert_eq!(value(measurement.estimates.pneumonia_called_normal), 0.0);
    assert_eq!(accuracy.unwrap().wilson, Proportion::of(4, 6).map(|p| Interval { low: p.low, high: p.high }));
    assert_eq!(measurement.reliability[9].observed.unwrap().value, 1.0);
    assert_eq!(measurement.reliability.iter().map(|bin| bin.images).sum::<usize>(), 6);
    assert!(measurement.points.is_empty() && measurement.subtypes.is_empty() && measurement.groups.is_empty());
}

#[test]
fn intervals_are_those_of_a_plain_bootstrap() {
    // Every patient has one radiograph: the share of right ones among n has the binomial interval.
    let list: Vec<LabelledAnswer> = (0..200)
        .map(|i| labelled(&format!("p{i}"), i % 2 == 0, if i % 10 < 8 { (i % 2) as f32 } else { 1.0 - (i % 2) as f32 }))
        .collect();
    let accuracy = Measurement::of(&list, OperatingPoint::HALF, None).estimates.accuracy.unwrap();
    assert_eq!(accuracy.value, 0.2);
    let interval = accuracy.by_patient.unwrap();
    // Quantiles of the binomial distribution of 200 and 0.2: 29 and 51.
    assert!((interval.low - 0.145).abs() <= 0.01 && (interval.high - 0.255).abs() <= 0.01, "{interval:?}");
}

#[test]
fn more_patients_narrow_and_more_images_of_the_same_do_not() {
    let width = |list: &[LabelledAnswer]| {
        let interval = Measurement::of(list, OperatingPoint::HALF, None).estimates.auroc.unwrap().by_patient.unwrap();
        interval.high - interval.low
    };
    let few = images(20, |patient| patient % 2 == 0);
    let many = images(180, |patient| patient % 2 == 0);
    assert!(width(&many) < 0.5 * width(&few), "{} {}", width(&many), width(&few));
    let copies = [&few[..], &few[..], &few[..]].concat();
    assert!((width(&copies) - width(&few)).abs() < 1e-12);
}

#[test]
fn groups_are_measured_apart() {
    let mut list = images(12, |patient| patient % 3 > 0);
    for (i, image) in list.iter_mut().enumerate() {
        let machine = if i < 6 { "1" } else { "2" };
        image.groups = vec![("machine", machine.to_owned()), ("site", "one for all".to_owned())];
        if image.label.positive() {
            image.subtype = Some(if i % 4 < 2 { Subtype::Virus } else { Subtype::Bacteria });
        }
    }
    let point = |threshold| OperatingPoint::unbanded(threshold);
    let points = OperatingPoints { screening: point(0.0), balanced: point(0.5), confirming: point(1.0) };
    let measurement = Measurement::of(&list, point(0.5), Some(points));
    let virus = &measurement.subtypes["virus"];
    let viruses: Vec<&LabelledAnswer> = list.iter().filter(|image| image.subtype == Some(Subtype::Virus)).collect();
    let found = viruses.iter().filter(|image| image.probability >= 0.5).count();
    assert_eq!(virus.counts.images, viruses.len());
    assert_eq!(virus.estimates.sensitivity.unwrap().value, found as f64 / viruses.len() as f64);
    let train = &measurement.groups["machine"]["1"];
    assert_eq!((train.counts.images, measurement.groups["machine"].len()), (6, 2));
    assert_eq!(measurement.groups.len(), 1, "one site for all says nothing");
    let right = list[..6].iter().filter(|image| (image.probability >= 0.5) == image.label.positive()).count();
    assert_eq!(train.estimates.accuracy.unwrap().value, right as f64 / 6.0);
    let [screening, balanced, confirming] = &measurement.points[..] else { panic!() };
    assert_eq!(screening.1.estimates.sensitivity.unwrap().value, 1.0);
    assert_eq!(balanced.1.estimates.sensitivity, measurement.estimates.sensitivity);
    assert_eq!(confirming.1.estimates.specificity.unwrap().value, 1.0);
    let json = serde_json::to_value(&measurement).unwrap();
    assert_eq!(json["points"]["screening"]["sensitivity"]["value"], 1.0);
    assert_eq!(json["groups"]["machine"]["1"]["images"], 6);
}

#[test]
fn what_is_no_probability_counts_as_wrong_and_certain() {
    let list =
        [labelled("a", false, f32::NAN), labelled("b", false, 0.1), labelled("c", true, 2.0), labelled("d", true, 0.9)];
    let measurement = Measurement::of(&list, OperatingPoint::HALF, None);
    assert_eq!(measurement.counts.unanswered, 2);
    let value = |estimate: Option<Estimate>| estimate.unwrap().value;
    let Estimates { accuracy, brier, referred, .. } = measurement.estimates;
    assert_eq!((value(accuracy), value(referred)), (0.5, 0.5));
    assert!((value(brier) - (1.0 + 0.01 + 1.0 + 0.01) / 4.0).abs() < 1e-6);
    assert!(value(measurement.estimates.log_loss).is_finite());
}

#[test]
fn empty_and_single_classes_are_no_error() {
    for list in [vec![], vec![labelled("a", true, 0.7)], images(5, |_| true), images(5, |_| false)] {
        let measurement = Measurement::of(&list, OperatingPoint::HALF, None);
        assert_eq!(measurement.estimates.accuracy.is_some(), !list.is_empty());
        assert_eq!((measurement.estimates.auroc, measurement.roc.points.len()), (None, 0));
        assert!(serde_json::to_string(&measurement).is_ok());
    }
}

#[test]
fn bands_hold_their_curves() {
    let measurement = Measurement::of(&images(40, |patient| patient % 3 == 0), OperatingPoint::HALF, None);
    for (kind, curve) in
        [(CurveKind::Roc, &measurement.roc), (CurveKind::PrecisionRecall, &measurement.precision_recall)]
    {
        assert_eq!(curve.band.len(), PLACES + 1);
        for ((_, low, high), value) in curve.band.iter().zip(kind.heights(&curve.points)) {
            assert!(low <= &value && &value <= high && *low >= 0.0 && *high <= 1.0);
        }
    }
}

#[test]
fn heights_of_a_characteristic() {
    let curve = [(0.0, 0.0), (0.0, 0.5), (0.25, 0.5), (0.25, 0.75), (1.0, 1.0)];
    let heights = CurveKind::Roc.heights(&curve);
    assert_eq!((heights[0], heights[50], heights[PLACES]), (0.5, 0.75, 1.0));
    // At (0.6)² = 0.36, on the line from (0.25, 0.75) to (1, 1).
    assert!((heights[60] - (0.75 + 0.25 * 0.11 / 0.75)).abs() < 1e-12);
    assert_eq!(CurveKind::PrecisionRecall.heights(&[(0.5, 1.0), (1.0, 0.8)])[PLACES], 0.8);
    assert!(CurveKind::Roc.heights(&[]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn intervals_hold_their_values(list in proptest::collection::vec((0_usize..8, any::<bool>(), 0_u8..=10), 0..30)) {
        let list: Vec<LabelledAnswer> =
            list.iter().map(|(p, b, s)| labelled(&format!("p{p}"), *b, f32::from(*s) / 10.0)).collect();
        let Estimates { accuracy, auroc, calibration_error, average_precision, .. } =
            Measurement::of(&list, OperatingPoint::HALF, None).estimates;
        for estimate in [accuracy, auroc, calibration_error, average_precision].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&estimate.value));
            for interval in estimate.by_patient.into_iter().chain(estimate.wilson) {
                prop_assert!(interval.low <= estimate.value + 1e-12 && estimate.value <= interval.high + 1e-12);
            }
        }
    }
}
