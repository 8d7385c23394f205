//! `pumua points`: fits the operating points of a model on labelled radiographs, and measures what the box says of others.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use base::{
    Shown,
    files::{OutputFile, read_up_to, write_atomically},
};
use data::split::{Split, SplitKind};
use engine::{MAX_MODEL_BYTES, Model, ModelCard, PointRates};
use measure::statistics::Proportion;
use produce::models::{MakeError, Origin, fit_again};
use report::{SYNTHETIC, SYNTHETIC_MODEL};
use shared::{rates::Outcomes, verdict::Profile};

use super::{
    sites::{SitesArgs, given},
    subset::{find_machines, split_of},
};
use crate::exit::{Exit, Failure};

/// Options of `pumua points`.
#[derive(Debug, clap::Args)]
#[command(group = given())]
pub struct Options {
    /// ONNX model made by `pumua train` or `pumua quantize`, with operating points
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    #[command(flatten)]
    radiographs: SitesArgs,
    /// The radiographs are from where the box is to be used; none of them was in the training, nor another one of the same
    /// patients. Without this, only the data of the training are taken, file by file: a band fitted on what the model has
    /// learnt makes it sure of itself and wrong
    #[arg(long)]
    unseen: bool,
    /// Fit first, on the training part, what is familiar to the model, and refuse what is not: as `pumua train` does, for a
    /// model of an older release
    #[arg(long, conflicts_with = "unseen")]
    familiar: bool,
    /// How unseen ones are split: points are fitted on all but the test part, of the data of the training on the validation
    /// part; what the box says is measured on the test part [default: as in the model's training]
    #[arg(long, value_enum)]
    split: Option<SplitKind>,
    /// Seed of the split of unseen ones [default: the model's]
    #[arg(long)]
    seed: Option<u64>,
    /// The model to write: the same weights with the new operating points
    #[arg(long, value_name = "FILE")]
    out: OutputFile,
}

/// Fits and measures the operating points, and writes the model with them.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { model: path, radiographs, unseen, familiar, split, seed, out } = options;
    super::check_outputs(&[&[path.as_path()][..], &*radiographs.paths()].concat(), &[&out], &[])?;
    let bytes = read_up_to(&path, MAX_MODEL_BYTES + 1)
        .with_context(|| format!("cannot read the model {}: name an ONNX file", Shown(path.display())))?;
    let model = Model::from_bytes(&bytes).map_err(|error| Failure::of_model(error, &path))?;
    let card = model.card();
    let (mut catalogue, inputs) = radiographs.load_and_tell(&card.behaviour.contract)?;
    let kind = split.map_or_else(|| split_of(card), Ok)?;
    find_machines(kind, &radiographs, &mut catalogue)?;
    let (seed, origin) =
        (seed.unwrap_or(card.provenance.seed), if unseen { Origin::Unseen } else { Origin::Training { familiar } });
    let split = match origin {
        Origin::Training { .. } => Split::of_training(card, &catalogue, kind, seed),
        Origin::Unseen => Split::new(&catalogue, kind, seed),
    }
    .context("the radiographs cannot be split")?;
    let new = fit_again(&bytes, &catalogue, &inputs, &split, seed, origin).map_err(failure)?;
    let fitted = Model::from_bytes(&new)?;
    write_atomically(&out, &new)
        .with_context(|| format!("cannot write {}: name another file with --out", Shown(out.display())))?;
    super::drop_old_signature(&out, &fitted.digest().to_string())?;
    let mut stdout = io::stdout().lock();
    write!(stdout, "{}", text(fitted.card()))?;
    for (synthetic, words) in [(card.provenance.synthetic, SYNTHETIC_MODEL), (catalogue.synthetic, SYNTHETIC)] {
        if synthetic {
            writeln!(stdout, "{words}")?;
        }
    }
    writeln!(stdout, "{}", Shown(out.display()))?;
    base::say!("model {} ({}); a research aid, not a medical device", Shown(&card.name), fitted.digest());
    Ok(Exit::Done)
}

fn failure(error: MakeError) -> Failure {
    let exit = match error {
        MakeError::NotCalibrated | MakeError::OneSided { .. } => Exit::Refused,
        MakeError::OtherData | MakeError::Seen | MakeError::OtherSplit => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure { exit, error: error.into() }
}

/// The operating points and what the box says there, two lines for each.
fn text(card: &ModelCard) -> String {
    let (Some(points), Some(measured)) = (card.behaviour.points, &card.measured) else { return String::new() };
    let mut text = format!(
        "fitted on {} radiographs; what the box says of others, with 95 % intervals by Wilson's method:\n",
        measured.fitted_on
    );
    for profile in Profile::ALL {
        let point = points.of(profile);
        text += &format!("{profile:<12}refer from {:.4} to {:.4}\n", point.refer_from, point.refer_to);
        for PointRates { rates, .. } in measured.rates.iter().filter(|one| one.point == point).take(1) {
            for (kind, outcomes) in [("pneumonia", rates.of_pneumonia), ("normal", rates.of_normal)] {
                text += &format!("  {kind:<10}{}\n", shares(&outcomes));
            }
        }
    }
    text
}

fn shares(outcomes: &Outcomes) -> String {
    let Outcomes { normal, refer, pneumonia, refused } = *outcomes;
    let share = |(name, count): (&str, u32)| match Proportion::of(count as usize, outcomes.total() as usize) {
        Some(Proportion { value, low, high }) => format!("{name} {count}: {value:.4} ({low:.4} to {high:.4})"),
        None => format!("{name} {count}"),
    };
    [("called normal", normal), ("referred", refer), ("called pneumonia", pneumonia), ("refused", refused)]
        .map(share)
        .join(", ")
}

#[cfg(test)]
mod tests {
    use engine::{DEFAULT_MODEL, decode};

    use super::*;

    #[test]
    fn every_profile_is_told_with_what_the_box_says() {
        let card = engine::card(&decode(DEFAULT_MODEL).unwrap()).unwrap();
        let text = text(&card);
        for words in
            ["screening", "balanced", "confirming", "fitted on 875", "called normal 4: 0.0067 (0.0026 to 0.0171)"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(text.lines().count(), 10);
    }
}
