//! `host evaluate`: measures a model on labelled radiographs.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use engine::Card;
use serde_json::json;
use shared::verdict::Verdict;

use super::part::{Choice, Selection};
use crate::{
    data::{Dataset, Part, split::SplitKind},
    evaluation::{open_model, score},
    exit::{Exit, Failure},
    occlusion::{self, Falls, Mean, Occlusion},
    report::{SYNTHETIC, SYNTHETIC_MODEL},
    statistics::{Calibration, Figures, Proportion},
};

/// Options of `host evaluate`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// ONNX model made by `host train` or `host quantize` [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Radiographs in folders NORMAL and PNEUMONIA, or a ZIP archive of them
    #[arg(long, value_name = "DIR|ZIP")]
    data: PathBuf,
    #[command(flatten)]
    choice: Choice,
    /// Also cover the place that speaks most for pneumonia to the model, and a random one, and tell what that changes
    #[arg(long)]
    occlusion: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures a model on labelled radiographs.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let model = open_model(options.model.as_deref())?;
    let card = model.card();
    let data = Dataset::load(&options.data, &card.contract)?;
    for skipped in &data.skipped {
        crate::say!("left out: {}: {}", skipped.name, skipped.reason);
    }
    let Selection { part, seed, indices } = options.choice.of(card, &data)?;
    if let Some(warning) = doubt(card, &data, part, seed) {
        crate::say!("warning: {warning}");
    }
    let scored = score(&model, &data, &indices)?;
    let figures = Figures::of(&scored, card.point.threshold);
    let calibration = Calibration::of(&scored);
    let referred = scored.iter().filter(|s| card.point.verdict(s.probability) == Verdict::Refer).count();
    let occlusion = options.occlusion.then(|| occlusion::measure(&model, &data, &indices, seed)).transpose()?;
    let mut out = io::stdout().lock();
    if options.json {
        let mut value = json!({
            "model": card.name, "model_digest": model.digest().to_string(), "int8": card.int8,
            "synthetic_model": card.synthetic, "synthetic_data": data.synthetic,
            "trained_on_these_data": trained_on(card, &data), "data_digest": data.digest().to_string(),
            "split": part.map(|(_, kind)| kind), "part": part.map_or("all".into(), |(part, _)| part.to_string()),
            "seed": seed, "figures": figures,
            "referred": Proportion::of(referred, scored.len()), "calibration": calibration,
        });
        if let Some(occlusion) = &occlusion {
            value["occlusion"] = json!(occlusion);
        }
        writeln!(out, "{value}")?;
        return Ok(Exit::Done);
    }
    writeln!(out, "model        {}", card.name)?;
    match part {
        Some((part, kind)) => {
            writeln!(out, "images       {}, part {part} of split {kind} with seed {seed}", figures.images)?;
        }
        None => writeln!(out, "images       {}, all there are", figures.images)?,
    }
    let percent = |p: Option<Proportion>| match p {
        Some(p) => format!("{:.4}  (95 % interval {:.4} to {:.4})", p.value, p.low, p.high),
        None => "none of these images".into(),
    };
    writeln!(out, "threshold    {:.4}", figures.threshold)?;
    writeln!(out, "accuracy     {}", percent(figures.accuracy))?;
    writeln!(out, "sensitivity  {}", percent(figures.sensitivity))?;
    writeln!(out, "specificity  {}", percent(figures.specificity))?;
    writeln!(out, "AUROC        {}", figures.auroc.map_or("needs both classes".into(), |auroc| format!("{auroc:.4}")))?;
    writeln!(out, "referred     {}", percent(Proportion::of(referred, scored.len())))?;
    writeln!(out, "Brier score  {:.4}", calibration.brier)?;
    writeln!(out, "calibration  {:.4}  (expected error, 10 bins)", calibration.expected_error)?;
    if let Some(occlusion) = &occlusion {
        write_occlusion(&mut out, occlusion)?;
    }
    if card.synthetic {
        writeln!(out, "{SYNTHETIC_MODEL}")?;
    }
    if data.synthetic {
        writeln!(out, "{SYNTHETIC}")?;
    }
    Ok(Exit::Done)
}

fn write_occlusion(out: &mut impl Write, occlusion: &Occlusion) -> io::Result<()> {
    let Occlusion { images, side, probability, log_odds, hottest_wins } = occlusion;
    let (Some(probability), Some(log_odds), Some(wins)) = (probability, log_odds, hottest_wins) else {
        return writeln!(out, "occlusion    none of these images is called pneumonia");
    };
    writeln!(out, "occlusion    {images} images called pneumonia, a square of {side} × {side} pixels covered")?;
    let mean = |Mean { value, low, high }: Mean| format!("{value:.4}  (95 % interval {low:.4} to {high:.4})");
    for (name, falls) in [("probability", probability), ("log-odds", log_odds)] {
        let Falls { hottest, random, difference } = falls;
        for (place, value) in [("hottest place", hottest), ("random place", random), ("difference", difference)] {
            writeln!(out, "  {:<38}{}", format!("fall of the {name}, {place}"), mean(*value))?;
        }
    }
    let Proportion { value, low, high } = *wins;
    writeln!(out, "  {:<38}{}", "share where the hottest weighs more", mean(Mean { value, low, high }))
}

/// The split of the training, as the card tells it.
pub(super) fn split_of(card: &Card) -> anyhow::Result<SplitKind> {
    SplitKind::of_card(card)
        .with_context(|| format!("the model tells no split that is known (`{}`): name one with `--split`", card.split))
}

fn trained_on(card: &Card, data: &Dataset) -> bool {
    card.data_digest == data.digest().to_string()
}

/// Why the figures may not be what they seem: the images may be among those that the model has learnt from.
pub(super) fn doubt(card: &Card, data: &Dataset, part: Option<(Part, SplitKind)>, seed: u64) -> Option<String> {
    let as_trained = |kind| SplitKind::of_card(card) == Some(kind) && seed == card.seed;
    match (trained_on(card, data), part) {
        (true, Some((Part::Train, _)) | None) => {
            Some("the model has learnt from images that it is measured on".to_owned())
        }
        (true, Some((_, kind))) if !as_trained(kind) => Some(format!(
            "the model was trained under split {} with seed {}: it has learnt from some of these images",
            card.split, card.seed
        )),
        (true, Some(_)) => None,
        (false, _) => Some(
            "these are not the data that the model was trained on: whether it has learnt from some of these images is \
             not known"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        contract::{Fit, InputContract},
        verdict::OperatingPoint,
    };

    use super::*;
    use crate::synthetic;

    #[test]
    fn doubtful_figures_are_warned_of() {
        let contract = InputContract { side: 16, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 };
        let data = synthetic::dataset(2, 1, &contract).unwrap();
        let card = Card {
            name: "test".to_owned(),
            version: "0".to_owned(),
            contract,
            point: OperatingPoint::HALF,
            points: None,
            subtypes: None,
            labels: ["normal".to_owned(), "pneumonia".to_owned()],
            synthetic: true,
            int8: false,
            recipe: "none".to_owned(),
            seed: 3,
            split: "study".to_owned(),
            data_digest: data.digest().to_string(),
            metrics: std::collections::BTreeMap::new(),
        };
        let kind = split_of(&card).unwrap();
        assert_eq!(kind, SplitKind::Study);
        assert_eq!(doubt(&card, &data, Some((Part::Test, kind)), 3), None);
        let seen = [
            (None, 3),
            (Some((Part::Train, kind)), 3),
            (Some((Part::Test, SplitKind::Patient)), 3),
            (Some((Part::Test, kind)), 4),
        ];
        for (part, seed) in seen {
            let warning = doubt(&card, &data, part, seed);
            assert!(warning.as_ref().is_some_and(|w| w.contains("has learnt from")), "{part:?} {warning:?}");
        }
        let other = synthetic::dataset(2, 2, &contract).unwrap();
        assert!(doubt(&card, &other, Some((Part::Test, kind)), 3).is_some_and(|w| w.contains("not the data")));
        assert!(split_of(&Card { split: "other".to_owned(), ..card }).unwrap_err().to_string().contains("--split"));
    }
}
