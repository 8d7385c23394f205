use data::Label;
use shared::verdict::{Digest, Refusal};

use super::*;
use crate::robustness::chosen;

const POINT: OperatingPoint = OperatingPoint { threshold: 0.5, refer_from: 0.25, refer_to: 0.75 };

/// Four radiographs, each of a patient of its own; the last one cannot be judged after the second change, and the guard
/// refuses the second one after the first change.
fn example() -> Vec<RobustnessRow> {
    let changes = chosen(&["png".to_owned(), "mirrored".to_owned()]).unwrap();
    let base = [0.125, 0.375, 0.625, 1.0];
    let mirrored = [Ok(0.125), Ok(0.625), Ok(0.375), Err(Refusal::TooSmall)];
    let answer = |probability| vec![ModelAnswer { probability, withheld: false }];
    let mut answers: Vec<Answers> = base
        .into_iter()
        .zip(mirrored)
        .map(|(base, mirrored)| Answers { base: answer(base), changed: vec![Ok(answer(base)), mirrored.map(answer)] })
        .collect();
    answers[1].changed[0] = Ok(vec![ModelAnswer { probability: 0.375, withheld: true }]);
    let sample = |(patient, label): (&str, Label)| Sample {
        digest: Digest::of(patient.as_bytes()),
        ..Sample::new(format!("{patient}.png"), label, patient)
    };
    let samples =
        [("a", Label::Normal), ("b", Label::Normal), ("c", Label::Pneumonia), ("d", Label::Pneumonia)].map(sample);
    rows(0, POINT, &changes, &samples.each_ref(), &answers)
}

#[test]
fn figures_of_a_small_table() {
    let [unchanged, same, mirrored] = example().try_into().unwrap();
    assert_eq!([&unchanged, &same].map(|row| row.withheld.unwrap().value), [0.0, 0.25]);
    assert!(unchanged.against_unchanged.is_none() && unchanged.kind.is_none());
    assert_eq!((unchanged.images, unchanged.auroc), (4, Some(1.0)));
    assert_eq!(unchanged.mean_probability, MeanProbability { normal: Some(0.25), pneumonia: Some(0.8125) });
    assert_eq!(serde_json::to_value(unchanged.mean_probability).unwrap(), serde_json::json!([0.25, 0.8125]));
    let shift = same.against_unchanged.unwrap();
    let none = Difference { value: 0.0, interval: Some(Interval { low: 0.0, high: 0.0 }) };
    assert_eq!(shift.auroc, Some(none));
    assert_eq!(serde_json::to_value(none).unwrap(), serde_json::json!({ "value": 0.0, "low": 0.0, "high": 0.0 }));
    assert_eq!((shift.decision_flips, shift.verdict_flips, shift.largest_difference), (0, 0, 0.0));

    assert_eq!((mirrored.images, mirrored.unjudged, mirrored.kind), (3, 1, Some(Kind::Shift)));
    // Of the three that are left, one normal lies above the only one with pneumonia.
    assert_eq!(mirrored.auroc, Some(0.5));
    let shift = mirrored.against_unchanged.unwrap();
    // Of those with pneumonia a single patient is left: there is none to draw instead.
    assert_eq!(shift.auroc, Some(Difference { value: -0.5, interval: None }));
    assert!((shift.accuracy.unwrap().value + 2.0 / 3.0).abs() < 1e-12);
    // Both decisions that change stay within the band of uncertainty.
    assert_eq!((shift.decision_flips, shift.verdict_flips), (2, 0));
    assert_eq!(shift.decision_flip_share, Proportion::of(2, 3));
    assert!((shift.mean_difference - 0.5 / 3.0).abs() < 1e-12);
    assert_eq!(shift.largest_difference, 0.25);
}

#[test]
fn a_wrong_verdict_is_definite_and_not_withheld() {
    let is_wrong = |label: Label, probability: f32, withheld: bool| {
        let sample = Sample::new("", label, "");
        let answers = Answers { base: vec![ModelAnswer { probability, withheld }], changed: Vec::new() };
        rows(0, POINT, &[], &[&sample], &[answers])[0].wrong_verdicts.unwrap().value == 1.0
    };
    assert!(is_wrong(Label::Normal, 0.9, false) && is_wrong(Label::Pneumonia, 0.1, false));
    assert!(!is_wrong(Label::Normal, 0.1, false) && !is_wrong(Label::Pneumonia, 0.9, false));
    // Referred, or refused.
    assert!(!is_wrong(Label::Normal, 0.6, false) && !is_wrong(Label::Normal, 0.9, true));
}

#[test]
fn table_as_text_and_as_markdown() {
    let rows = example();
    let text = table(&rows, Style::Text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[1].starts_with("unchanged       4  1.0000"), "{text}");
    assert!(lines[2].contains("0.0000 (0.0000 to 0.0000)"), "{text}");
    assert!(lines[3].contains("  -0.5000     0.333  "), "{text}");
    assert!(lines[3].contains("66.7 (20.8 to 93.9)"), "{text}");
    let markdown = table(&rows, Style::Markdown);
    assert!(markdown.starts_with("| change | images | AUROC |"), "{markdown}");
    assert!(markdown.contains("mean \\|Δp\\|"), "{markdown}");
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(markdown.lines().all(|line| columns(line) == 19), "{markdown}");
}
