//! `pumua evaluate`: measures a model on labelled radiographs.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::ensure;
use base::{Shown, calendar::date, files::OutputFolder};
use data::{
    Catalogue, Inputs, Part,
    split::{SplitKind, has_learnt_from, trained_on},
};
use engine::{Model, ModelCard};
use measure::{
    evaluation::{
        Against, BoxEstimates, Estimate, Group, GroupEstimates, Interval, LabelledAnswer, judge, labelled_answers,
    },
    occlusion::{self, Falls, Mean, Occlusion},
    robustness::{Style, layout},
    statistics::Proportion,
    subtype,
};
use report::{
    SYNTHETIC, SYNTHETIC_MODEL,
    evaluation::{self, Evaluation, Subject},
};

use super::{
    open::open_model,
    refusals,
    sites::{SitesArgs, given},
    subset::{Subset, SubsetArgs},
};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua evaluate`.
#[derive(Debug, clap::Args)]
#[command(group = given())]
pub struct Options {
    /// ONNX model made by `pumua train` or `pumua quantize` [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    radiographs: SitesArgs,
    #[command(flatten)]
    subset: SubsetArgs,
    /// Also cover the place with the strongest evidence of pneumonia, and a random one, and report how the answer changes
    #[arg(long)]
    occlusion: bool,
    /// Also look for the X-ray machines behind the radiographs, and report on each of them
    #[arg(long)]
    machines: bool,
    /// A second model to compare on the same radiographs, such as the float one
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Also write report.html, report.json and scores.csv into a folder; they hold patients' radiographs
    #[arg(long, value_name = "DIR")]
    report: Option<OutputFolder>,
    /// Measure refusals instead: of these radiographs, which should be judged, and of images that should not: the same ones
    /// turned, inverted, cropped, too dark or too bright, and drawings of other things
    #[arg(long, conflicts_with_all = ["report", "against", "occlusion"])]
    refusals: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures a model on labelled radiographs.
pub fn run(options: Options) -> Result<Exit, Failure> {
    super::check_outputs(&options.radiographs.paths(), &[], &Vec::from_iter(options.report.as_deref()))?;
    let model = open_model(options.model.as_deref())?;
    let card = model.card();
    let (mut catalogue, inputs) = options.radiographs.load_and_tell(&card.behaviour.contract)?;
    options.subset.find_machines(options.machines, card, &options.radiographs, &mut catalogue)?;
    let Subset { part, seed, indices } = options.subset.of(card, &catalogue)?;
    let warning = doubt(card, &catalogue, part, seed);
    if let Some(warning) = &warning {
        base::say!("warning: {warning}");
    }
    if options.refusals {
        let part = part.map_or("all".into(), |(part, kind)| format!("{part} of split {kind} with seed {seed}"));
        return refusals::report(&model, &catalogue, &inputs, &indices, &part, options.json);
    }
    let images = labelled_answers(&catalogue, &indices, &judge(&model, &catalogue, &inputs, &indices)?);
    let against = match &options.against {
        Some(path) => {
            let other = open_model(Some(path))?;
            if let Some(warning) = doubt(other.card(), &catalogue, part, seed) {
                base::say!("warning: {}: {warning}", Shown(&other.card().name));
            }
            let answers = answers_of_other(&other, &options.radiographs, &catalogue, &inputs, &indices)?;
            Some(Against::of(&images, card, &answers, other.card(), other.digest().to_string()))
        }
        None => None,
    };
    let clean = warning.is_none() && part.is_some_and(|(part, _)| part == Part::Test);
    let subject = Subject {
        synthetic_data: catalogue.synthetic,
        data: options.radiographs.words(),
        trained_on_these_data: trained_on(card, &catalogue) && has_learnt_from(card, &catalogue),
        data_digest: catalogue.digest().to_string(),
        skipped: catalogue.files_left_out(),
        split: part.map(|(_, kind)| kind),
        part: part.map_or("all".into(), |(part, _)| part.to_string()),
        seed,
        warning,
        date: date(),
        ..Subject::of(card, model.digest())
    };
    let mut measured = Evaluation::of(subject, card, images, against);
    measured.occlusion = options.occlusion.then(|| occlusion::measure(&model, &inputs, &indices, seed)).transpose()?;
    measured.bacteria_or_virus = subtype::measure(&model, &catalogue, &inputs, &indices)?;
    if let Some(folder) = &options.report {
        evaluation::write(&measured, &inputs, &indices, folder)?;
        base::say!("report: {}", Shown(folder.join("report.html").display()));
    }
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", output::json(&serde_json::to_value(&measured)?))?;
    } else {
        write!(out, "{}", text(&measured))?;
        if let Some(kinds) = measured.bacteria_or_virus {
            // Where anything was fitted on the images, the bar is neither reached nor missed.
            let shown = if clean {
                let bar = if kinds.interval_above_bar { "reaches" } else { "is below" };
                format!("; its interval {bar} the bar of {}, see docs/model/subtypes.md", kinds.bar)
            } else {
                String::new()
            };
            writeln!(out, "bacteria or virus      AUROC {} on {} images{shown}", words(kinds.auroc), kinds.images)?;
        }
        if let Some(occlusion) = &measured.occlusion {
            write_occlusion(&mut out, occlusion)?;
        }
    }
    Ok(Exit::Done)
}

/// What another model says of the same radiographs, which it may want at another size.
fn answers_of_other(
    other: &Model,
    radiographs: &SitesArgs,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
) -> anyhow::Result<Vec<LabelledAnswer>> {
    let contract = &other.card().behaviour.contract;
    let judged = if contract == inputs.contract() {
        judge(other, catalogue, inputs, indices)?
    } else {
        let (again, inputs) = radiographs.load(contract)?;
        ensure!(
            again.digest() == catalogue.digest(),
            "the data were changed while they were read: run the command again"
        );
        judge(other, catalogue, &inputs, indices)?
    };
    Ok(labelled_answers(catalogue, indices, &judged))
}

/// The figures for people, a line each.
fn text(evaluation: &Evaluation) -> String {
    let Evaluation { subject, measurement, against, .. } = evaluation;
    let (counts, e) = (measurement.counts, &measurement.estimates);
    let part = match subject.split {
        Some(kind) => format!("part {} of split {kind} with seed {}", subject.part, subject.seed),
        None => "all there are".to_owned(),
    };
    let mut lines = vec![
        ("model".to_owned(), subject.model.clone()),
        ("images".to_owned(), format!("{} of {} patients, {part}", counts.images, counts.patients)),
        ("threshold".to_owned(), format!("{:.4}", measurement.decision.point.threshold)),
    ];
    let said = &measurement.decision.as_the_box.shares;
    for (name, estimate) in [
        ("accuracy", e.accuracy),
        ("sensitivity", e.sensitivity),
        ("specificity", e.specificity),
        ("AUROC", e.auroc),
        ("wrong verdicts", said.wrong_verdicts),
        ("right of the definite", said.definite_right),
        ("average precision", e.average_precision),
        ("referred", e.referred),
        ("accuracy of the rest", e.accuracy_outside_band),
        ("Brier score", e.brier),
        ("calibration error", e.calibration_error),
        ("pneumonias called so", said.pneumonia_called_pneumonia),
        ("  referred", said.pneumonia_referred),
        ("  called normal", said.pneumonia_called_normal),
        ("  refused", said.pneumonia_refused),
        ("normal ones called so", said.normal_called_normal),
        ("  referred", said.normal_referred),
        ("  called pneumonia", said.normal_called_pneumonia),
        ("  refused", said.normal_refused),
    ] {
        lines.push((name.to_owned(), words(estimate)));
    }
    for (profile, figures) in &measurement.points {
        let value = |estimate: Option<Estimate>| estimate.map_or("–".to_owned(), |e| format!("{:.4}", e.value));
        let BoxEstimates {
            wrong_verdicts,
            definite_right,
            pneumonia_called_normal,
            pneumonia_referred,
            normal_called_pneumonia,
            normal_referred,
            ..
        } = figures.as_the_box.shares;
        let words = format!(
            "wrong verdicts {}, right of the definite {}; pneumonias called normal {}, referred {}; normal ones called \
             pneumonia {}, referred {}",
            value(wrong_verdicts),
            value(definite_right),
            value(pneumonia_called_normal),
            value(pneumonia_referred),
            value(normal_called_pneumonia),
            value(normal_referred)
        );
        lines.push((profile.to_string(), words));
    }
    for (name, group) in &measurement.subtypes {
        let found = words(group.estimates.sensitivity);
        lines.push(((*name).to_owned(), format!("{found} of {} images found", group.counts.images)));
    }
    if let Some(other) = against {
        lines.push((
            "against".to_owned(),
            format!(
                "{}: {} decisions and {} verdicts differ; probabilities by {:.4} on average, {:.4} at most",
                other.model, other.decision_flips, other.verdict_flips, other.mean_change, other.largest_change
            ),
        ));
        for (name, estimate) in [
            ("AUROC difference", other.auroc_difference),
            ("wrong verdicts of it", other.other_wrong_verdicts),
            ("  difference", other.wrong_verdicts_difference),
            ("definite right of it", other.other_definite_right),
            ("  difference", other.definite_right_difference),
        ] {
            lines.push((name.to_owned(), words(estimate)));
        }
    }
    let mut text: String = lines.into_iter().map(|(name, words)| format!("{name:<21}  {words}\n")).collect();
    for (by, groups) in &measurement.groups {
        text += &format!("\n{}\n", groups_table(by, groups));
    }
    text += "Intervals are 95 %, by bootstrap over patients.\n";
    for (synthetic, words) in [(subject.synthetic_model, SYNTHETIC_MODEL), (subject.synthetic_data, SYNTHETIC)] {
        if synthetic {
            text += &format!("{words}\n");
        }
    }
    text
}

/// The figures of groups, a line each.
fn groups_table(by: &str, groups: &BTreeMap<String, Group<GroupEstimates>>) -> String {
    let value = |estimate: Option<Estimate>| estimate.map_or_else(String::new, |e| format!("{:.3}", e.value));
    let wide = |estimate: Option<Estimate>| match estimate.and_then(|e| e.interval()) {
        Some((Interval { low, high }, _)) => format!("{} ({low:.3} to {high:.3})", value(estimate)),
        None => value(estimate),
    };
    let rows = groups.iter().map(|(name, Group { counts, estimates })| {
        let counts = [counts.images, counts.normal, counts.pneumonia].map(|count| count.to_string());
        // The last two, which decide whether the group is safe, with their intervals.
        let [cells @ .., wrong, right] = estimates.shown();
        let cells = cells.map(value).into_iter().chain([wide(wrong), wide(right)]);
        std::iter::once(Shown(name).to_string()).chain(counts).chain(cells).collect()
    });
    let headings = [&[by, "images", "normal", "pneumonia"][..], &GroupEstimates::SHOWN].concat();
    layout(&headings, &rows.collect::<Vec<_>>(), Style::Text)
}

/// A figure with the interval to read.
fn words(estimate: Option<Estimate>) -> String {
    let Some(estimate) = estimate else { return "not enough images to say".to_owned() };
    match estimate.interval() {
        Some((Interval { low, high }, wilson)) => {
            format!("{:.4}  ({}{low:.4} to {high:.4})", estimate.value, if wilson { "Wilson: " } else { "" })
        }
        None => format!("{:.4}", estimate.value),
    }
}

fn write_occlusion(out: &mut impl Write, occlusion: &Occlusion) -> io::Result<()> {
    let Occlusion { images, side, probability, log_odds, hottest_wins } = occlusion;
    let (Some(probability), Some(log_odds), Some(wins)) = (probability, log_odds, hottest_wins) else {
        return writeln!(out, "occlusion    none of these images is called pneumonia");
    };
    writeln!(
        out,
        "occlusion    {images} images called pneumonia, a square of {side} × {side} pixels covered; its intervals take each \
         image for another patient's"
    )?;
    let mean = |Mean { value, low, high }: Mean| format!("{value:.4}  (95 % interval {low:.4} to {high:.4})");
    for (name, falls) in [("probability", probability), ("log-odds", log_odds)] {
        let Falls { hottest, random, difference } = falls;
        for (place, value) in [("hottest place", hottest), ("random place", random), ("difference", difference)] {
            writeln!(out, "  {:<40}{}", format!("fall of the {name}, {place}"), mean(*value))?;
        }
    }
    let Proportion { value, low, high } = *wins;
    writeln!(out, "  {:<40}{}", "share where the hottest weighs more", mean(Mean { value, low, high }))
}

/// Why the figures may not be what they seem: the images may be among those that the model has learnt from.
pub(super) fn doubt(
    card: &ModelCard,
    catalogue: &Catalogue,
    part: Option<(Part, SplitKind)>,
    seed: u64,
) -> Option<String> {
    let seen = || if has_learnt_from(card, catalogue) { doubt_of_part(card, part, seed) } else { None };
    let unknown = || {
        (!trained_on(card, catalogue)).then(|| {
            "these are not the data that the model was trained on: whether it has learnt from some of these images is \
             not known"
                .to_owned()
        })
    };
    seen().or_else(unknown)
}

/// The same of a part of the data that the model has learnt from.
fn doubt_of_part(card: &ModelCard, part: Option<(Part, SplitKind)>, seed: u64) -> Option<String> {
    let as_trained = |kind| SplitKind::of_card(card) == Some(kind) && seed == card.provenance.seed;
    match part {
        Some((Part::Train, _)) | None => Some("the model has learnt from images that it is measured on".to_owned()),
        // Held back by the patients' names, whatever the seed.
        Some((Part::Test, SplitKind::Patient))
            if matches!(
                SplitKind::of_card(card),
                Some(SplitKind::Patient | SplitKind::PatientFold | SplitKind::MachineFold)
            ) =>
        {
            None
        }
        Some((_, kind)) if !as_trained(kind) => Some(format!(
            "the model was trained under split {} with seed {}: it has learnt from some of these images",
            card.provenance.split, card.provenance.seed
        )),
        Some((Part::Validation, _)) => Some(
            "calibration, operating points, refer band and outlines were fitted on these images: the figures are optimistic"
                .to_owned(),
        ),
        Some((Part::Test, _)) => None,
    }
}

#[cfg(test)]
mod tests {
    use data::synthetic;
    use engine::{Provenance, SiteRecord};
    use shared::contract::InputContract;

    use super::{super::subset::split_of, *};

    #[test]
    fn doubtful_figures_are_warned_of() {
        let contract = InputContract::stretched(16);
        let (catalogue, _) = synthetic::radiographs(2, 1, &contract).unwrap();
        let mut card = ModelCard::new("synthetic-test", contract);
        card.provenance = Provenance {
            data_digest: catalogue.digest().to_string(),
            split: "study".to_owned(),
            seed: 3,
            ..Provenance::default()
        };
        let split_by = |split: &str| {
            let mut card = card.clone();
            card.provenance.split = split.to_owned();
            card
        };
        let kind = split_of(&card).unwrap();
        assert_eq!(kind, SplitKind::Study);
        assert_eq!(doubt(&card, &catalogue, Some((Part::Test, kind)), 3), None);
        let seen = [
            (None, 3),
            (Some((Part::Train, kind)), 3),
            (Some((Part::Test, SplitKind::Patient)), 3),
            (Some((Part::Test, kind)), 4),
        ];
        for (part, seed) in seen {
            let warning = doubt(&card, &catalogue, part, seed);
            assert!(warning.as_ref().is_some_and(|w| w.contains("has learnt from")), "{part:?} {warning:?}");
        }
        let fitted = doubt(&card, &catalogue, Some((Part::Validation, kind)), 3);
        assert!(fitted.as_ref().is_some_and(|w| w.contains("were fitted on")), "{fitted:?}");
        for split in ["patient", "patient-fold", "machine-fold"] {
            let card = split_by(split);
            assert_eq!(doubt(&card, &catalogue, Some((Part::Test, SplitKind::Patient)), 4), None);
            assert!(doubt(&card, &catalogue, Some((Part::Validation, SplitKind::Patient)), 4).is_some());
        }
        let digest = |catalogue: &Catalogue| catalogue.digest().to_string();
        let (other, _) = synthetic::radiographs(2, 2, &contract).unwrap();
        // A model that knows both, and one of which the second was left out.
        let sites = [&catalogue, &other].map(|data| SiteRecord { data_digest: digest(data), ..SiteRecord::default() });
        let mut both = card.clone();
        (both.provenance.data_digest, both.provenance.sites) = ("00".to_owned(), sites.to_vec());
        let mut out = both.clone();
        out.provenance.sites[1].left_out = true;
        for data in [&catalogue, &other] {
            assert_eq!(doubt(&both, data, Some((Part::Test, kind)), 3), None);
            assert!(doubt(&both, data, None, 3).is_some_and(|w| w.contains("has learnt from")));
        }
        assert_eq!(doubt(&out, &other, None, 3), None, "never learnt from");
        assert!(doubt(&out, &catalogue, None, 3).is_some());
        assert!(doubt(&card, &other, Some((Part::Test, kind)), 3).is_some_and(|w| w.contains("not the data")));
        assert!(split_of(&split_by("other")).unwrap_err().to_string().contains("--split"));
    }
}
