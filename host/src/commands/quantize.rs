//! `pumua quantize`: makes an int8 ONNX file from a float one.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use base::{
    Shown,
    files::{OutputFile, read_up_to, write_atomically},
};
use data::{
    Catalogue, Part,
    split::{Split, SplitKind, has_learnt_from, known_sites},
};
use engine::{MAX_MODEL_BYTES, Model, ModelCard};
use produce::quantize::{self, Drift, Method, QuantizeError, quantize};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    open::warn_if_slow,
    sites::{SitesArgs, given},
    started_as,
    subset::find_machines,
};
use crate::exit::{Exit, Failure};

/// Options of `pumua quantize`.
#[derive(Debug, clap::Args)]
#[command(group = given())]
pub struct Options {
    /// The float model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    #[command(flatten)]
    radiographs: SitesArgs,
    /// The int8 model to write [default: MODEL-int8.onnx beside the float one]
    #[arg(long, value_name = "FILE")]
    out: Option<OutputFile>,
    /// How many radiographs are used at most, drawn by the seed: of the model's own data from those that it learnt from,
    /// of others from those in train/, if there is one
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    count: u64,
    /// How the ranges are found [default: all are tried, and the one with the least drift is used]
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// Seed of the draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Quantizes a model.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let out = options.out.as_deref().map_or_else(|| beside(&options.model), Path::to_owned);
    super::check_outputs(&[&[options.model.as_path()][..], &*options.radiographs.paths()].concat(), &[&out], &[])?;
    let float = read_up_to(&options.model, MAX_MODEL_BYTES + 1)
        .with_context(|| format!("cannot read the model {}: name an ONNX file", Shown(options.model.display())))?;
    let model = Model::from_bytes(&float).map_err(|error| Failure::of_model(error, &options.model))?;
    if model.card().behaviour.int8 {
        return Err(QuantizeError::AlreadyInt8.into());
    }
    let (mut catalogue, inputs) = options.radiographs.load_and_tell(&model.card().behaviour.contract)?;
    let mut chosen = range_images(model.card(), &options.radiographs, &mut catalogue)?;
    chosen.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
    chosen.truncate(usize::try_from(options.count).unwrap_or(usize::MAX));
    let images = inputs.several(&chosen)?;
    let images: Vec<&[u8]> = images.iter().map(|image| &**image).collect();
    let quantized = quantize(&float, &images, quantize::Options { method: options.method })?;
    for drift in &quantized.drift {
        base::say!("{}", describe(drift));
    }
    let made = Model::from_bytes(&quantized.bytes)?;
    warn_if_slow(&made);
    write_atomically(&out, &quantized.bytes)
        .with_context(|| format!("cannot write {}: name another file with --out", Shown(out.display())))?;
    super::drop_old_signature(&out, &made.digest().to_string())?;
    base::say!("ranges by {} on {} images", quantized.method, images.len());
    if model.card().behaviour.guard.is_some() {
        base::say!(
            "this file does not refuse what is unlike what the model has learnt from: `{} points --familiar` fits that anew, on the \
             data of the training",
            started_as()
        );
    }
    writeln!(io::stdout(), "{}", Shown(out.display()))?;
    Ok(Exit::Done)
}

/// The radiographs that may set the ranges. Of the data that the model was trained on these are those that it learnt from,
/// so that what it is measured on stays unseen.
fn range_images(card: &ModelCard, radiographs: &SitesArgs, catalogue: &mut Catalogue) -> anyhow::Result<Vec<usize>> {
    // With other sites beside them, too: of those it has learnt nothing, so they do not show what its values are like.
    if let (true, Some(kind)) = (has_learnt_from(card, catalogue), SplitKind::of_card(card)) {
        find_machines(kind, radiographs, catalogue)?;
        let learnt = Split::of_training(card, catalogue, kind, card.provenance.seed)?.train;
        let known = known_sites(card, catalogue);
        return Ok(learnt.into_iter().filter(|&i| known.contains(&&*catalogue.samples[i].site)).collect());
    }
    let learnable = |&i: &usize| matches!(catalogue.samples[i].official, None | Some(Part::Train));
    Ok((0..catalogue.samples.len()).filter(learnable).collect())
}

fn beside(model: &Path) -> PathBuf {
    let mut name = model.file_stem().unwrap_or_default().to_owned();
    name.push("-int8.onnx");
    model.with_file_name(name)
}

fn describe(drift: &Drift) -> String {
    format!(
        "{:<18}  mean |Δ probability| {:.5}  mean |Δ logit| {:.4}  other decisions {} of {}",
        drift.method.to_string(),
        drift.probability,
        drift.logit,
        drift.flips,
        drift.images
    )
}
