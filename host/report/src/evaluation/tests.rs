use data::{Label, Subtype};
use engine::{Behaviour, Provenance};
use measure::occlusion::{Falls, Mean};
use serde_json::Value;
use shared::{
    contract::InputContract,
    verdict::{OperatingPoint, OperatingPoints},
};

use super::*;

const BAND: OperatingPoint = OperatingPoint { threshold: 0.5, refer_from: 0.3, refer_to: 0.7 };

/// A radiograph of a patient and what was said of it.
fn labelled(patient: &str, positive: bool, probability: f32) -> LabelledAnswer {
    LabelledAnswer {
        name: format!("{patient}.png"),
        label: if positive { Label::Pneumonia } else { Label::Normal },
        subtype: None,
        patient: patient.to_owned(),
        groups: Vec::new(),
        probability,
        refused: false,
    }
}

/// The card of a model that decides at this point.
fn card(point: OperatingPoint) -> ModelCard {
    let contract = InputContract::stretched(16);
    ModelCard {
        behaviour: Behaviour { point, int8: true, ..Behaviour::new(contract) },
        provenance: Provenance { split: "study".to_owned(), seed: 3, ..Provenance::default() },
        ..ModelCard::new("synthetic-test", contract)
    }
}

const EVIL: &str = "=<script>\"&'";

/// An evaluation with everything in it, and names that are none.
fn evaluation(synthetic: bool) -> Evaluation {
    let mut images: Vec<LabelledAnswer> = (0..80)
        .map(|i| {
            labelled(
                &format!("{EVIL}{}", i / 2),
                i % 4 < 2,
                (i * 29 % 80) as f32 / 100.0 + if i % 4 < 2 { 0.2 } else { 0.0 },
            )
        })
        .collect();
    for (i, image) in images.iter_mut().enumerate() {
        image.groups = vec![("machine", format!("{EVIL}{}", i / 40))];
        image.subtype =
            (image.label == Label::Pneumonia).then_some(if i % 8 < 4 { Subtype::Virus } else { Subtype::Bacteria });
    }
    let point = OperatingPoint::unbanded;
    let points = OperatingPoints { screening: point(0.25), balanced: BAND, confirming: point(0.75) };
    let mut card = ModelCard { name: EVIL.to_owned(), ..card(BAND) };
    card.behaviour.points = Some(points);
    card.provenance.synthetic = synthetic;
    let mut other = images.clone();
    other.iter_mut().for_each(|image| image.probability = image.probability.powi(2));
    let against = Against::of(&images, &card, &other, &card, "00".to_owned());
    let mut subject = Subject::of(&card, Digest::default());
    subject.synthetic_data = synthetic;
    subject.data = EVIL.to_owned();
    subject.warning = Some(EVIL.to_owned());
    let mut evaluation = Evaluation::of(subject, &card, images, Some(against));
    let mean = Mean { value: 0.5, low: 0.25, high: 0.75 };
    let falls = Falls { hottest: mean, random: mean, difference: mean };
    let hottest_wins = Proportion::of(3, 4);
    evaluation.occlusion =
        Some(Occlusion { images: 4, side: 8, probability: Some(falls), log_odds: Some(falls), hottest_wins });
    evaluation.bacteria_or_virus =
        Some(SubtypeFigures { images: 7, auroc: None, accuracy: None, bar: 0.95, interval_above_bar: false });
    evaluation
}

fn page(evaluation: &Evaluation) -> String {
    let (inputs, indices) = grey(evaluation);
    render(evaluation, &inputs, &indices).unwrap()
}

/// A grey square for each of its radiographs.
fn grey(evaluation: &Evaluation) -> (Inputs, Vec<usize>) {
    let count = evaluation.judged.len();
    (Inputs::new(InputContract::stretched(4), vec![vec![90; 16]; count]), (0..count).collect())
}

/// Every tag that is opened is closed, in order, and no attribute holds a mark of its own.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let mut open = Vec::new();
    for piece in html.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("an open end: {piece}"));
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed by {tag}");
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// The page says what it may load, before anything else, and keeps to it: no scripts, no handlers of events, nothing to load but
/// pictures within it.
fn assert_policy(html: &str) {
    let head = html.split("<title>").next().unwrap();
    assert!(
        head.contains(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">", html::POLICY)),
        "{head}"
    );
    let tags = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap());
    for tag in tags {
        let name = tag.split([' ', '/']).next().unwrap();
        let forbidden = ["script", "iframe", "object", "embed", "base", "form", "link", "foreignObject"];
        assert!(!forbidden.contains(&name), "{tag}");
        // Attributes: outside the quotes.
        let attributes = tag.split('"').step_by(2).flat_map(str::split_whitespace);
        for attribute in attributes {
            assert!(!attribute.to_ascii_lowercase().starts_with("on"), "{tag}");
        }
        assert!(!tag.to_ascii_lowercase().contains("javascript:"), "{tag}");
    }
}

#[test]
fn pages_are_whole_and_need_nothing_from_elsewhere() {
    for synthetic in [false, true] {
        let html = page(&evaluation(synthetic));
        assert_well_formed(&html);
        assert_policy(&html);
        for reference in ["src=", "url(", "@import", "<link", "<script", "href=\"http"] {
            assert!(!html.contains(reference), "{reference}");
        }
        for attribute in html.split("href=\"").skip(1) {
            assert!(attribute.starts_with('#') || attribute.starts_with("data:image/png;base64,"), "{attribute:.40}");
        }
        // Every picture says what it is.
        assert_eq!(html.matches("<svg ").count(), html.matches("<svg role=\"img\" aria-label=").count() + 12);
        assert_eq!(html.matches("<figure>").count(), html.matches("<figcaption>").count());
        assert_eq!(html.matches("SYNTHETIC").count() > 0, synthetic);
        assert_eq!(html.contains("do not share"), !synthetic);
        for words in [
            "not a medical device",
            "never a diagnosis",
            "&lt;script&gt;",
            "screening",
            "balanced (in force)",
            "bacteria",
            "virus",
            "decision differs",
            "Wilson",
        ] {
            assert!(html.contains(words), "{words}");
        }
    }
}

#[test]
fn pages_of_little_are_whole() {
    let point = card(BAND);
    for images in [
        vec![],
        vec![labelled("a", true, 0.9)],
        vec![labelled("a", false, f32::NAN), labelled("b", true, 0.4), labelled("c", true, f32::INFINITY)],
    ] {
        let evaluation = Evaluation::of(Subject::of(&point, Digest::default()), &point, images, None);
        assert_well_formed(&page(&evaluation));
        let json: Value = serde_json::from_slice(&serde_json::to_vec(&evaluation).unwrap()).unwrap();
        assert_eq!(json["images"], evaluation.judged.len());
    }
}

#[test]
fn programs_find_every_figure() {
    let evaluation = evaluation(false);
    let json = serde_json::to_value(&evaluation).unwrap();
    let estimates = [
        "accuracy",
        "sensitivity",
        "specificity",
        "auroc",
        "average_precision",
        "brier",
        "log_loss",
        "calibration_error",
        "calibration_slope",
        "calibration_intercept",
        "referred",
        "accuracy_outside_band",
    ];
    for name in estimates {
        let estimate = &json["estimates"][name];
        assert!(estimate["value"].is_f64() && estimate["by_patient"]["low"].is_f64(), "{name}: {estimate}");
    }
    for point in ["screening", "balanced", "confirming"] {
        for name in ["sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value"] {
            assert!(json["points"][point][name]["by_patient"]["high"].is_f64(), "{point} {name}");
        }
        assert!(json["points"][point]["threshold"].is_f64());
        let said = &json["points"][point]["as_the_box"];
        for kind in ["pneumonia", "normal"] {
            assert!(said["counts"][format!("of_{kind}")]["refer"].is_u64(), "{said}");
            for outcome in ["called_normal", "referred", "called_pneumonia", "refused"] {
                assert!(said[format!("{kind}_{outcome}")]["by_patient"]["high"].is_f64(), "{kind} {outcome}");
            }
        }
    }
    assert!(json["subtypes"]["virus"]["sensitivity"]["value"].is_f64());
    assert!(json["groups"]["machine"][format!("{EVIL}1")]["wrong_verdicts"]["value"].is_f64());
    assert!(json["against"]["auroc_difference"]["by_patient"]["low"].is_f64());
    assert_eq!(json["patients"], 40);
    // What was there before, with Wilson's intervals.
    assert_eq!(json["figures"]["accuracy"]["value"], json["estimates"]["accuracy"]["value"]);
    assert_eq!(json["figures"]["accuracy"]["low"], json["estimates"]["accuracy"]["wilson"]["low"]);
    assert_eq!(json["referred"]["value"], json["estimates"]["referred"]["value"]);
    for name in [
        "model",
        "model_digest",
        "int8",
        "synthetic_model",
        "synthetic_data",
        "trained_on_these_data",
        "data_digest",
        "split",
        "part",
        "seed",
        "calibration",
    ] {
        assert!(json.get(name).is_some(), "{name}");
    }
}

#[test]
fn reports_are_three_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/report");
    let evaluation = evaluation(true);
    let (inputs, indices) = grey(&evaluation);
    write(&evaluation, &inputs, &indices, &path).unwrap();
    let table = fs::read_to_string(path.join("scores.csv")).unwrap();
    assert_eq!(table.lines().count(), 81);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let first = rows.records().next().unwrap().unwrap();
    assert_eq!(&first[0], &format!("'{EVIL}0.png"), "no formula");
    assert_eq!((&first[1], &first[2], &first[4], &first[5]), ("pneumonia", "virus", "0.2", "normal"));
    assert!(fs::metadata(path.join("report.json")).unwrap().len() > 0);
    // The same radiographs give the same files.
    let before = fs::read(path.join("report.html")).unwrap();
    write(&evaluation, &inputs, &indices, &path).unwrap();
    assert_eq!(fs::read(path.join("report.html")).unwrap(), before);
}

#[test]
fn what_was_measured_besides_is_in_the_page_and_in_the_json() {
    let mut evaluation = evaluation(false);
    let headings = ["Bacteria or virus", "What the answers rest on"];
    let (all, json) = (page(&evaluation), serde_json::to_value(&evaluation).unwrap());
    assert!(headings.iter().all(|heading| all.contains(heading)));
    assert_eq!((&json["bacteria_or_virus"]["images"], &json["occlusion"]["side"]), (&7.into(), &8.into()));
    (evaluation.occlusion, evaluation.bacteria_or_virus) = (None, None);
    let without = page(&evaluation);
    assert!(headings.iter().all(|heading| !without.contains(heading)));
}
