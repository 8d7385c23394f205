//! The sections of the report of an evaluation.

use std::collections::BTreeMap;

use data::Inputs;
use measure::{
    evaluation::{Against, Group, GroupEstimates, LabelledAnswer, Measurement, PointFigures},
    occlusion::{Mean, Occlusion},
    subtype::SubtypeFigures,
};
use shared::{
    rates::{Outcomes, Rates},
    verdict::{OperatingPoint, Verdict},
};

use super::{
    Evaluation, Subject,
    charts::Charts,
    thumbnails,
    words::{cell, cells},
};
use crate::{
    NOT_A_DEVICE, SYNTHETIC, SYNTHETIC_MODEL,
    document::{Block, Figure, Line, NOTHING, Span, Table, range, share},
    plots::PlotError,
};

const NEVER_A_DIAGNOSIS: &str = "What it says of a radiograph is never a diagnosis.";

const PATIENTS_IMAGES: &str = "This file holds radiographs of patients and the names of their files. Keep it where the \
    radiographs themselves may be kept: do not share, publish or commit it.";

/// Errors that are shown, and errors that are listed.
const SHOWN: usize = 12;
const LISTED: usize = 50;

/// Writes the whole report.
pub(super) fn document(evaluation: &Evaluation, inputs: &Inputs, indices: &[usize]) -> Result<Vec<Block>, PlotError> {
    let Evaluation { subject, measurement, judged, .. } = evaluation;
    let synthetic = subject.synthetic();
    let charts = Charts { measurement, judged, synthetic };
    let mut blocks = vec![Block::Notice(format!("{NOT_A_DEVICE} {NEVER_A_DIAGNOSIS}"))];
    if !subject.synthetic_data {
        blocks.push(Block::Notice(PATIENTS_IMAGES.to_owned()));
    }
    blocks.extend(subject.warning.iter().map(|warning| Block::Notice(format!("Warning: {warning}."))));
    let mut section = |heading: &str, inside: Vec<Block>| {
        if inside.is_empty() {
            return;
        }
        blocks.push(Block::Heading(2, heading.to_owned()));
        // A reader who comes from a link must see it, too.
        blocks.extend(subject.synthetic_data.then(|| Block::Notice(SYNTHETIC.to_owned())));
        blocks.extend(subject.synthetic_model.then(|| Block::Notice(SYNTHETIC_MODEL.to_owned())));
        blocks.extend(inside);
    };
    section("What was measured", vec![Block::Facts(facts(subject, measurement, inputs.contract().side))]);
    section("Figures", figures(measurement));
    let curves = charts.curves()?;
    if !curves.is_empty() {
        section("Whatever the threshold", vec![Block::Figures(curves)]);
    }
    section("Decisions", decisions(measurement, &charts)?);
    section("Probabilities", probabilities(measurement, &charts)?);
    section("As the box decides", as_the_box(measurement));
    section("The refer band", band(measurement));
    section("Kinds of pneumonia", subtypes(measurement));
    section("Bacteria or virus", evaluation.bacteria_or_virus.iter().map(bacteria_or_virus).collect());
    section("What the answers rest on", evaluation.occlusion.iter().map(covered).collect());
    section("By group", groups(measurement));
    section("Beside another model", evaluation.against.iter().flat_map(|against| beside(against, subject)).collect());
    section("Errors", errors(evaluation, inputs, indices)?);
    section("How the figures are made", vec![Block::List(METHODS.iter().map(|m| vec![(*m).into()]).collect())]);
    Ok(blocks)
}

const METHODS: [&str; 8] = [
    "Pneumonia counts as positive. A decision is made at the threshold; a verdict is normal below the refer band, \
     pneumonia from its upper end, and refer in it.",
    "Intervals are 95 %, by bootstrap over patients: 2,000 times as many patients as there are of each class are drawn with \
     replacement, with all their images; from the 2.5th to the 97.5th percentile (Efron and Tibshirani, 1993). \
     They show the uncertainty that comes from these patients, not that of another training or another hospital.",
    "Beside shares stand Wilson's intervals (J. Am. Stat. Assoc. 22 (1927) 209), as if each image were another patient's. \
     Where nothing or everything is right, the bootstrap shows no uncertainty, and these stand alone.",
    "AUROC is the chance that an image with pneumonia has a higher probability than a normal one, ties counting half. \
     Average precision is the mean precision at the images with pneumonia.",
    "The Brier score is the mean squared difference of probability and truth (Mon. Weather Rev. 78 (1950) 1); the log loss \
     is the mean binary cross-entropy, with probabilities kept 1e-7 from 0 and 1.",
    "The expected calibration error is the mean distance of probability and share with pneumonia over ten ranges (Naeini et \
     al., AAAI 2015). Chance alone makes it larger than 0. Slope and intercept are those of a logistic regression of the \
     truth on the log-odds (Cox, Biometrika 45 (1958) 562): 1 and 0 where probabilities are calibrated.",
    "A wrong verdict is an answer normal or pneumonia that the box gives and that is wrong: neither what it refers nor what \
     it refuses. Its share is of all images.",
    "An answer that is not a probability is referred, and counts as certainty of the wrong class in all other figures.",
];

fn facts(subject: &Subject, measurement: &Measurement, side: u16) -> Vec<(&'static str, String)> {
    let counts = measurement.counts;
    let kind = if subject.int8 { "8-bit integers" } else { "32-bit floats" };
    let part = match subject.split {
        Some(split) => format!("{} of split {split} with seed {}", subject.part, subject.seed),
        None => "all there are".to_owned(),
    };
    let trained = if subject.trained_on_these_data { "the training's" } else { "not the training's" };
    let mut facts = vec![
        (
            "Model",
            format!("{}, {kind}, {side} × {side} pixels, made by version {}", subject.model, subject.model_version),
        ),
        ("Its SHA-256", subject.model_digest.clone()),
        ("Training", format!("recipe {}, seed {}", subject.recipe, subject.training_seed)),
        ("Data", format!("{} ({trained}); {} files left out", subject.data, subject.skipped)),
        ("Their SHA-256", subject.data_digest.clone()),
        ("Part", part),
        (
            "Images",
            format!(
                "{} of {} patients: {} normal, {} with pneumonia",
                counts.images, counts.patients, counts.normal, counts.pneumonia
            ),
        ),
        ("Measured", subject.date.clone()),
    ];
    if counts.unanswered > 0 {
        facts.push(("No answer", format!("{} images: the model gave no probability", counts.unanswered)));
    }
    facts
}

fn figures(measurement: &Measurement) -> Vec<Block> {
    let (e, said) = (&measurement.estimates, &measurement.decision.as_the_box.shares);
    let rows = [
        ("accuracy", "right decisions at the threshold", e.accuracy),
        ("sensitivity", "pneumonias found at the threshold", e.sensitivity),
        ("specificity", "normal images called so at the threshold", e.specificity),
        ("AUROC", "whatever the threshold", e.auroc),
        ("average precision", "whatever the threshold", e.average_precision),
        ("referred", "share of the verdict refer", e.referred),
        ("accuracy outside the band", "right verdicts among the others", e.accuracy_outside_band),
        ("wrong verdicts", "said normal or pneumonia by the box, and wrong: share of all images", said.wrong_verdicts),
        ("right of the definite", "of what the box calls normal or pneumonia", said.definite_right),
        ("Brier score", "0 is best", e.brier),
        ("log loss", "0 is best; nats", e.log_loss),
        ("expected calibration error", "0 is best", e.calibration_error),
        ("calibration slope", "1 is best", e.calibration_slope),
        ("calibration intercept", "0 is best", e.calibration_intercept),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, what, estimate)| {
            std::iter::once(vec![name.into(), Span::Small(what.to_owned())]).chain(cells(estimate)).collect()
        })
        .collect();
    let columns = vec!["figure", "value", "95 % by patient"];
    vec![Block::Table(Table { columns, words: 1, rows })]
}

fn decisions(measurement: &Measurement, charts: &Charts<'_>) -> Result<Vec<Block>, PlotError> {
    let row = |name: String, PointFigures { point, estimates, as_the_box }: &PointFigures| {
        let OperatingPoint { threshold, .. } = point;
        let cells = [
            estimates.sensitivity,
            estimates.specificity,
            estimates.positive_predictive_value,
            estimates.negative_predictive_value,
            estimates.referred,
            estimates.accuracy_outside_band,
            as_the_box.shares.wrong_verdicts,
            as_the_box.shares.definite_right,
        ];
        let words: [Line; 2] = [vec![name.into()], vec![format!("{threshold:.4}").into()]];
        words.into_iter().chain(cells.map(cell)).collect::<Vec<Line>>()
    };
    let decision = &measurement.decision;
    let mut rows: Vec<_> = measurement
        .points
        .iter()
        .map(|(profile, figures)| {
            let inside = if figures.point == decision.point { " (in force)" } else { "" };
            row(format!("{profile}{inside}"), figures)
        })
        .collect();
    if measurement.points.iter().all(|(_, figures)| figures.point != decision.point) {
        rows.insert(0, row("in force".to_owned(), decision));
    }
    let columns = vec![
        "operating point",
        "threshold",
        "sensitivity",
        "specificity",
        "right of “pneumonia”",
        "right of “normal”",
        "referred",
        "accuracy outside",
        "wrong verdicts",
        "right of the definite",
    ];
    Ok(vec![
        Block::Figures(vec![charts.confusion()?, charts.histogram()?]),
        Block::Heading(3, "Operating points".to_owned()),
        Block::Text(vec![
            "With 95 % intervals by bootstrap over patients, or Wilson's where marked. “Right of” are the predictive \
             values at this share of pneumonia: where pneumonia is rarer, fewer calls of it are right. Wrong verdicts and \
             what is right of the definite ones are as the box decides, with its refusals; the other figures are of all images."
                .into(),
        ]),
        Block::Table(Table { columns, words: 1, rows }),
    ])
}

fn probabilities(measurement: &Measurement, charts: &Charts<'_>) -> Result<Vec<Block>, PlotError> {
    let rows = measurement
        .reliability
        .iter()
        .map(|bin| {
            let predicted = bin.predicted.map_or_else(|| NOTHING.to_owned(), share);
            let observed = bin.observed.map_or_else(
                || vec![NOTHING.into()],
                |p| vec![share(p.value).into(), Span::Small(format!("Wilson {}", range(p.low, p.high)))],
            );
            let words = [format!("{:.1}–{:.1}", bin.from, bin.to), bin.images.to_string(), predicted];
            words.into_iter().map(|words| vec![words.into()]).chain([observed]).collect()
        })
        .collect();
    let columns = vec!["probability", "images", "mean", "with pneumonia"];
    Ok(vec![Block::Beside(vec![
        vec![Block::Figures(vec![charts.reliability()?])],
        vec![Block::Table(Table { columns, words: 1, rows })],
    ])])
}

/// What the box says at each operating point, of those with pneumonia and of the normal ones.
fn as_the_box(measurement: &Measurement) -> Vec<Block> {
    let rows = |name: &str, figures: &PointFigures| {
        let Rates { of_normal, of_pneumonia } = figures.as_the_box.counts;
        let said = &figures.as_the_box.shares;
        let kinds = [
            (
                "pneumonia",
                of_pneumonia,
                [
                    said.pneumonia_called_normal,
                    said.pneumonia_referred,
                    said.pneumonia_called_pneumonia,
                    said.pneumonia_refused,
                ],
            ),
            (
                "normal",
                of_normal,
                [said.normal_called_normal, said.normal_referred, said.normal_called_pneumonia, said.normal_refused],
            ),
        ];
        kinds.map(|(kind, counts, shares)| {
            let Outcomes { normal, refer, pneumonia, refused } = counts;
            let counted = [normal, refer, pneumonia, refused].into_iter().zip(shares).map(|(count, share)| {
                std::iter::once(Span::Small(format!("{count}: "))).chain(cell(share)).collect::<Line>()
            });
            let words: [Line; 2] = [vec![name.to_owned().into()], vec![format!("{kind} ({})", counts.total()).into()]];
            words.into_iter().chain(counted).collect::<Vec<Line>>()
        })
    };
    let decision = &measurement.decision;
    let inside = |figures: &PointFigures| if figures.point == decision.point { " (in force)" } else { "" };
    let mut table: Vec<Vec<Line>> = measurement
        .points
        .iter()
        .flat_map(|(profile, figures)| rows(&format!("{profile}{}", inside(figures)), figures))
        .collect();
    if measurement.points.iter().all(|(_, figures)| figures.point != decision.point) {
        table.splice(0..0, rows("in force", decision));
    }
    let columns = vec!["operating point", "images", "called normal", "referred", "called pneumonia", "refused"];
    vec![
        Block::Text(vec![
            "With the checks of the box: what it refuses gets no verdict. Shares are of all images of a kind, with 95 % \
             intervals by bootstrap over patients, or Wilson's where marked."
                .into(),
        ]),
        Block::Table(Table { columns, words: 2, rows: table }),
    ]
}

fn band(measurement: &Measurement) -> Vec<Block> {
    let (verdicts, e) = (measurement.verdicts, &measurement.estimates);
    let row = |name: &str, [normal, pneumonia]: [usize; 2], right: Line| {
        vec![vec![name.into()], vec![normal.to_string().into()], vec![pneumonia.to_string().into()], right]
    };
    let rows = vec![
        row("normal", verdicts.normal, cell(e.normal_right)),
        row("refer", verdicts.refer, vec![NOTHING.into()]),
        row("pneumonia", verdicts.pneumonia, cell(e.pneumonia_right)),
    ];
    let columns = vec!["verdict", "normal images", "with pneumonia", "right"];
    let words: Line = vec![
        "Referred: ".into(),
        Span::Strong(super::words::estimate(e.referred)),
        ". Right among the others: ".into(),
        Span::Strong(super::words::estimate(e.accuracy_outside_band)),
        ". Pneumonias whose verdict is normal: ".into(),
        Span::Strong(super::words::estimate(e.pneumonia_called_normal)),
        ".".into(),
    ];
    vec![Block::Text(words), Block::Table(Table { columns, words: 1, rows })]
}

fn subtypes(measurement: &Measurement) -> Vec<Block> {
    if measurement.subtypes.is_empty() {
        return Vec::new();
    }
    let rows = measurement
        .subtypes
        .iter()
        .map(|(name, group)| {
            let e = &group.estimates;
            let counts = [(*name).to_owned(), group.counts.images.to_string(), group.counts.patients.to_string()];
            let cells = [e.sensitivity, e.auroc, e.referred, e.called_normal].map(cell);
            counts.map(|words| vec![words.into()]).into_iter().chain(cells).collect()
        })
        .collect();
    let columns = vec!["cause", "images", "patients", "found at the threshold", "AUROC", "referred", "called normal"];
    vec![
        Block::Text(vec!["Each kind, as named in the file names, against all normal images.".into()]),
        Block::Table(Table { columns, words: 1, rows }),
    ]
}

fn groups(measurement: &Measurement) -> Vec<Block> {
    let one = |(by, groups): (&&'static str, &BTreeMap<String, Group<GroupEstimates>>)| {
        let rows = groups
            .iter()
            .map(|(name, Group { counts, estimates })| {
                let words = [
                    name.clone(),
                    counts.images.to_string(),
                    counts.patients.to_string(),
                    format!("{} / {}", counts.normal, counts.pneumonia),
                ];
                words.map(|words| vec![words.into()]).into_iter().chain(estimates.shown().map(cell)).collect()
            })
            .collect();
        let columns = [&[*by, "images", "patients", "normal / pneumonia"][..], &GroupEstimates::SHOWN].concat();
        Block::Table(Table { columns, words: 1, rows })
    };
    let tables: Vec<Block> = measurement.groups.iter().map(one).collect();
    if tables.is_empty() {
        return tables;
    }
    let words =
        "Sensitivity and specificity are at the threshold; what is referred, refused and wrong is as the box decides.";
    std::iter::once(Block::Text(vec![words.into()])).chain(tables).collect()
}

fn bacteria_or_virus(figures: &SubtypeFigures) -> Block {
    let SubtypeFigures { images, auroc, accuracy, .. } = *figures;
    let [auroc, accuracy] = [auroc, accuracy].map(super::words::estimate);
    Block::Text(vec![
        format!("On {images} images of a known kind: AUROC {auroc}, classified correctly {accuracy}.").into(),
    ])
}

fn covered(occlusion: &Occlusion) -> Block {
    let Occlusion { images, side, log_odds, hottest_wins, .. } = occlusion;
    let (Some(falls), Some(wins)) = (log_odds, hottest_wins) else {
        return Block::Text(vec!["None of these images is called pneumonia.".into()]);
    };
    let mean = |Mean { value, low, high }: Mean| format!("{value:.3} ({low:.3} to {high:.3})");
    let words = format!(
        "On {images} images called pneumonia, a square of {side} × {side} pixels was covered. The log-odds fall by {} at the \
         hottest place and by {} at a random one; the hottest weighs more in {} ({}). These intervals take each image for \
         another patient's.",
        mean(falls.hottest),
        mean(falls.random),
        share(wins.value),
        range(wins.low, wins.high)
    );
    Block::Text(vec![words.into()])
}

fn beside(against: &Against, subject: &Subject) -> Vec<Block> {
    let kind = |int8| if int8 { "int8" } else { "float" };
    let words = format!(
        "{} ({}) is the first, {} ({}) the second; each decides at its own operating point. Decisions that differ: {}, of \
         which only the first is right in {} and only the second in {}. Verdicts that differ: {}.",
        subject.model,
        kind(subject.int8),
        against.model,
        kind(against.int8),
        against.decision_flips,
        against.only_this_right,
        against.only_other_right,
        against.verdict_flips
    );
    let number = |value: f64| vec![share(value).into()];
    let rows = vec![
        vec![vec!["largest change of a probability".into()], number(against.largest_change)],
        vec![vec!["mean change".into()], number(against.mean_change)],
        vec![vec!["AUROC of the first".into()], cell(against.auroc)],
        vec![vec!["AUROC of the second".into()], cell(against.other_auroc)],
        vec![vec!["difference of AUROC".into()], cell(against.auroc_difference)],
        vec![vec!["difference of accuracy".into()], cell(against.accuracy_difference)],
        vec![vec!["wrong verdicts of the first".into()], cell(against.wrong_verdicts)],
        vec![vec!["wrong verdicts of the second".into()], cell(against.other_wrong_verdicts)],
        vec![vec!["difference of wrong verdicts".into()], cell(against.wrong_verdicts_difference)],
        vec![vec!["right of the definite, the first".into()], cell(against.definite_right)],
        vec![vec!["right of the definite, the second".into()], cell(against.other_definite_right)],
        vec![vec!["its difference".into()], cell(against.definite_right_difference)],
    ];
    let changes = against
        .changes
        .iter()
        .map(|change| {
            let flip = if change.decision_flipped { ", decision differs" } else { "" };
            let said = |probability: f32, verdict: Verdict| {
                vec![format!("{probability:.4}").into(), Span::Small(verdict.to_string())]
            };
            vec![
                vec![change.name.clone().into(), Span::Small(format!("{}{flip}", change.label))],
                said(change.probability, change.verdict),
                said(change.other_probability, change.other_verdict),
            ]
        })
        .collect();
    let columns = vec!["file", "first", "second"];
    let mut blocks =
        vec![Block::Text(vec![words.into()]), Block::Table(Table { columns: vec!["figure", "value"], words: 1, rows })];
    if !against.changes.is_empty() {
        blocks.push(Block::Heading(3, "The largest changes".to_owned()));
        blocks.push(Block::Table(Table { columns, words: 1, rows: changes }));
    }
    blocks
}

fn errors(evaluation: &Evaluation, inputs: &Inputs, indices: &[usize]) -> Result<Vec<Block>, PlotError> {
    let Evaluation { measurement, judged, .. } = evaluation;
    let point = measurement.decision.point;
    let worst = worst(judged, point.threshold);
    if worst.is_empty() {
        return Ok(vec![Block::Text(vec!["No decision at the threshold is wrong.".into()])]);
    }
    let caption = |image: &LabelledAnswer| {
        let probability = image.probability;
        let [decimals, ..] = point.decimals(probability, 1.0, 3);
        format!("{}, {probability:.decimals$}, verdict {}", image.label, point.verdict(probability))
    };
    let mut shown = Vec::new();
    for &i in worst.iter().take(SHOWN) {
        let Some(&index) = indices.get(i) else { continue };
        let pixels = inputs.of(index).map_err(PlotError::because)?;
        let image = &judged[i];
        let title = format!("Radiograph: {}", caption(image));
        let svg = thumbnails::picture(&pixels, inputs.contract().side, &title)?;
        let file = image.name.rsplit('/').next().unwrap_or(&image.name);
        shown.push(Figure { name: format!("error-{i}"), title, svg, caption: format!("{file}: {}", caption(image)) });
    }
    let rows = worst
        .iter()
        .take(LISTED)
        .map(|&i| {
            let image = &judged[i];
            let kind = image.subtype.map_or_else(String::new, |subtype| format!(", {}", subtype.as_str()));
            let [decimals, ..] = point.decimals(image.probability, 1.0, 4);
            [
                image.name.clone(),
                format!("{}{kind}", image.label),
                image.patient.clone(),
                point.verdict(image.probability).to_string(),
                format!("{:.decimals$}", image.probability),
            ]
            .map(|words| vec![words.into()])
            .to_vec()
        })
        .collect();
    let columns = vec!["file", "truth", "patient", "verdict", "probability of pneumonia"];
    let words = format!(
        "{} of {} decisions at the threshold are wrong. The pictures are the model's input, enlarged; they begin with the \
         surest errors. The file scores.csv holds all answers.",
        worst.len(),
        judged.len()
    );
    Ok(vec![
        Block::Text(vec![words.into()]),
        Block::Figures(shown),
        Block::Details("The surest errors by name", vec![Block::Table(Table { columns, words: 4, rows })]),
    ])
}

/// Wrong decisions: indices, the surest first.
fn worst(judged: &[LabelledAnswer], threshold: f32) -> Vec<usize> {
    let sure = |i: usize| {
        let truth = f64::from(u8::from(judged[i].label.positive()));
        (judged[i].sound_probability() - truth).abs()
    };
    let mut wrong: Vec<usize> = (0..judged.len()).filter(|&i| !judged[i].right(threshold)).collect();
    wrong.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)));
    wrong
}
