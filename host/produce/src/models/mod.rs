//! From a trained network to models that are measured: the one place where training, export, quantization and the
//! engine of the box meet.

use std::{borrow::Cow, io, path::Path};

use base::files;
use data::{
    Catalogue, InputError, Inputs,
    split::{Split, SplitKind, has_learnt_from, is_training, left_out},
};
use engine::{CARD_KEY, Measured, Model, ModelCard, ModelError, PointRates};
use learn::network::Layers;
use measure::{
    MeasureError,
    calibration::{Calibrator, RIGHT_OUTSIDE_BAND, answered, operating_points, outlines},
    evaluation::judge,
    figures::Figures,
    guard,
    statistics::{Judged, Proportion, Scored, flips, rates, refer_band},
    subtype,
};
use prost::Message;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;
use shared::{
    rates::Rates,
    verdict::{OperatingPoint, Profile},
};

use crate::{
    export,
    quantize::{self, QuantizeError, quantize},
};

/// Fewer radiographs of a label than these determine no operating point: one in a hundred is the loosest promise.
pub const LEAST_OF_LABEL: usize = 100;

/// Training images that the quantizer looks at.
const RANGE_IMAGES: usize = 400;

/// Training images that checks and kinds of pneumonia are fitted on at most: those of the checks are in memory at once.
const FITTED_IMAGES: usize = 16_384;

/// A model and how it did on the test part.
#[derive(Clone, Debug, Serialize)]
pub struct ModelResult {
    /// `float32` or `int8`.
    pub name: String,
    /// Name of the file in the run's folder.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// Where its answers change; the band was fitted on the validation part.
    pub point: OperatingPoint,
    /// Its figures on the test part.
    pub figures: Figures,
    /// What the box says of the test part at that point, with its refusals.
    pub rates: Rates,
    /// What they were computed from.
    #[serde(skip)]
    pub scored: Vec<Scored>,
}

/// Models and what they are worth.
#[derive(Clone, Debug)]
pub struct MadeModels {
    /// The models, float32 first, measured on the test part.
    pub models: Vec<ModelResult>,
    /// Test images on which they decide differently.
    pub flips: usize,
    /// How the ranges of the int8 model were found, and on how many images.
    pub range_method: String,
}

/// Models that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// a file cannot be written
    #[error("the models cannot be written ({0}): free some space or name another folder with `--out`")]
    Write(#[from] io::Error),
    /// a card cannot be put into JSON
    #[error("the card of a model cannot be put into JSON: {0}")]
    Card(#[from] serde_json::Error),
    /// the engine does not take a model
    #[error(transparent)]
    Engine(#[from] ModelError),
    /// a radiograph cannot be read any more
    #[error(transparent)]
    Input(#[from] InputError),
    /// the float model cannot be quantized
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// the model has a threshold alone
    #[error(
        "the model has no operating points, as its probabilities are not calibrated: use one that was trained by a recipe \
         with `calibrate = true`, such as `screener`"
    )]
    NotCalibrated,
    /// other radiographs than those of the training
    #[error(
        "these are not the radiographs of the model's training, to the byte: a band fitted on images that the model has learnt \
         from makes it sure of itself and wrong. Give the data of the training, or say `--unseen` if neither these radiographs \
         nor others of the same patients were in it"
    )]
    OtherData,
    /// the radiographs of the training, which are said not to be
    #[error("the model has learnt from these radiographs: leave out `--unseen`")]
    Seen,
    /// another split than that of the training
    #[error("the model has learnt from these radiographs under its own split: leave out `--split` and `--seed`")]
    OtherSplit,
    /// too few radiographs to fit on
    #[error(
        "operating points would be fitted on {normal} normal radiographs and {pneumonia} with pneumonia: give so many that there \
         are {LEAST_OF_LABEL} of each, since the promises are of one in a hundred and fewer"
    )]
    TooFew {
        /// Normal ones in the parts to fit on.
        normal: usize,
        /// Those with pneumonia.
        pneumonia: usize,
    },
    /// the radiographs do not determine operating points
    #[error("no operating points can be fitted on these radiographs: give some of both labels")]
    NoPoints,
    /// a box takes no such point
    #[error(
        "on these radiographs the point of {profile} is such that the box would hardly ever say normal, or pneumonia (it refers \
         from {from:.4} to {to:.4}; 0.01 to 0.99 is the most): the model does not tell them apart, so train one on more like them",
        from = point.refer_from,
        to = point.refer_to
    )]
    OneSided {
        /// The first profile of such a point.
        profile: Profile,
        /// The point.
        point: OperatingPoint,
    },
}

impl From<MeasureError> for MakeError {
    fn from(error: MeasureError) -> Self {
        match error {
            MeasureError::Model(error) => error.into(),
            MeasureError::Input(error) => error.into(),
        }
    }
}

/// Exports the network, quantizes the file, measures both with the engine of the box, and writes them into `folder`,
/// each with its own figures in its card. Each has its own band of uncertainty, too; or, if they are to be calibrated, the
/// probabilities are calibrated first, and the cards of both have the same operating points, of which the
/// balanced one decides.
pub fn make_models(
    mut layers: Layers,
    card: &ModelCard,
    calibrated: bool,
    catalogue: &Catalogue,
    inputs: &Inputs,
    split: &Split,
    folder: &Path,
) -> Result<MadeModels, MakeError> {
    let mut card = card.clone();
    let learnt = inputs.several(&fitted_on(split, card.provenance.seed))?;
    card.behaviour.guard = guard::fit(&slices(&learnt), card.behaviour.contract.side, card.provenance.seed);
    drop(learnt);
    // The quantizer holds some of them back to measure the drift, so their order must be random.
    let mut shuffled = split.train.clone();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(card.provenance.seed));
    shuffled.truncate(RANGE_IMAGES);
    let images = inputs.several(&shuffled)?;
    let images = slices(&images);
    let mut options = quantize::Options::default();
    if calibrated {
        calibrate(&mut layers, &card, catalogue, inputs, &split.validation)?;
        // The box runs the int8 file: its points are those of both, so that what differs is arithmetic alone.
        let trial = quantize(&export::to_onnx(&layers, &card)?, &images, options)?;
        // Only the card changes from here on: what was found to drift least still does.
        options.method = Some(trial.method);
        let (model, _) = guarded(&trial.bytes, catalogue, inputs, split)?;
        let judged = judge(&model, catalogue, inputs, &split.validation)?;
        fit_points(&mut card, &by_site(catalogue, &split.validation, &judged));
        card.behaviour.outlines = outlines(&model, catalogue, inputs, &split.validation)?;
    }
    let prefix = if catalogue.synthetic { "synthetic-" } else { "" };
    let place = |kind: &str| folder.join(format!("{prefix}model-{kind}.onnx"));
    let (float, float_bytes) =
        finish_model("float32", &export::to_onnx(&layers, &card)?, catalogue, inputs, split, &place("float32"))?;
    let quantized = quantize(&float_bytes, &images, options)?;
    let (int8, _) = finish_model("int8", &quantized.bytes, catalogue, inputs, split, &place("int8"))?;
    Ok(MadeModels {
        flips: flips(&float.scored, &int8.scored, float.point.threshold),
        range_method: format!("{} on {} training images", quantized.method, images.len()),
        models: vec![float, int8],
    })
}

/// The training images that checks and kinds are fitted on: all, or of many [`FITTED_IMAGES`] drawn by the seed.
fn fitted_on(split: &Split, seed: u64) -> Cow<'_, [usize]> {
    if split.train.len() <= FITTED_IMAGES {
        return Cow::Borrowed(&split.train);
    }
    let mut drawn = split.train.clone();
    drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    drawn.truncate(FITTED_IMAGES);
    drawn.sort_unstable();
    Cow::Owned(drawn)
}

fn slices<'a>(images: &'a [Cow<'_, [u8]>]) -> Vec<&'a [u8]> {
    images.iter().map(|image| &**image).collect()
}

/// The model with a card that also says what is familiar to its network.
fn guarded(
    onnx: &[u8],
    catalogue: &Catalogue,
    inputs: &Inputs,
    split: &Split,
) -> Result<(Model, ModelCard), MakeError> {
    let model = Model::from_bytes(onnx)?;
    let mut card = model.card().clone();
    let Some(guard) = &mut card.behaviour.guard else { return Ok((model, card)) };
    let train = fitted_on(split, card.provenance.seed);
    guard::fit_familiar(guard, &model, catalogue, inputs, &train, &split.validation)?;
    Ok((Model::from_bytes(&with_card(onnx, &card)?)?, card))
}

/// What was said of these radiographs, site by site.
fn by_site(catalogue: &Catalogue, indices: &[usize], judged: &[Judged]) -> Vec<Vec<Judged>> {
    catalogue.grouped_by_site(indices.iter().copied().zip(judged.iter().copied())).into_values().collect()
}

/// Fits the operating points on radiographs that were judged, site by site; the balanced one decides. False, and nothing
/// changes, where these do not determine any.
fn fit_points(card: &mut ModelCard, sites: &[Vec<Judged>]) -> bool {
    let Some(points) = operating_points(sites) else { return false };
    card.behaviour.points = Some(points);
    card.behaviour.point = points.of(Profile::default());
    true
}

/// What a model answered to the radiographs of the two parts that its figures are of, and how many its operating points
/// were fitted on.
struct Answers<'a> {
    validation: &'a [Judged],
    test: &'a [Judged],
    fitted_on: usize,
}

/// Puts the figures of both parts into the card, and what the box says of the test part at each operating point. Returns
/// the figures of the test part.
fn record(card: &mut ModelCard, answers: &Answers<'_>, catalogue: &Catalogue, split: &Split, seed: u64) -> Figures {
    let threshold = card.behaviour.point.threshold;
    let figures = |judged: &[Judged]| Figures::of(&scored(judged), threshold);
    let of_test = figures(answers.test);
    for (part, figures) in [("validation", &figures(answers.validation)), ("test", &of_test)] {
        let value = |p: Option<Proportion>| p.map(|p| p.value);
        for (name, value) in [
            ("accuracy", value(figures.accuracy)),
            ("sensitivity", value(figures.sensitivity)),
            ("specificity", value(figures.specificity)),
            ("auroc", figures.auroc),
        ] {
            card.metrics.extend(value.map(|v| (format!("{part}.{name}"), v)));
        }
    }
    let points = match card.behaviour.points {
        Some(points) => Profile::ALL.map(|profile| points.of(profile)).to_vec(),
        None => vec![card.behaviour.point],
    };
    let at = |point| PointRates { point, rates: rates(answers.test, &point) };
    card.measured = Some(Measured {
        data_digest: catalogue.digest().to_string(),
        split: split.kind.to_string(),
        seed,
        fitted_on: u32::try_from(answers.fitted_on).unwrap_or(u32::MAX),
        rates: points.into_iter().map(at).collect(),
    });
    of_test
}

fn scored(judged: &[Judged]) -> Vec<Scored> {
    judged.iter().map(|one| one.scored).collect()
}

/// What a model has to do with the radiographs that its operating points are fitted on. A digest tells whether they are
/// those of its training, file by file; only people know whether a folder with another digest holds some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They are those of its training: points are fitted on the validation part.
    Training {
        /// True to fit first, as in training, what is familiar to the model.
        familiar: bool,
    },
    /// It has learnt from none of them: points are fitted on all but the test part.
    Unseen,
}

/// The same model with operating points fitted and measured on these radiographs; weights and calibration stay as they are,
/// and checks unless `origin` says otherwise. The rates are measured on the test part. `split` is of these data, by `seed`.
///
/// # Errors
/// [`MakeError::NotCalibrated`]: the model has one threshold and no operating points; [`MakeError::OtherData`],
/// [`MakeError::Seen`]: the radiographs are not what `origin` says; [`MakeError::OtherSplit`]: the split of the data of the
/// training is not that of the training; [`MakeError::TooFew`], [`MakeError::NoPoints`]: there are not enough to fit on;
/// [`MakeError::OneSided`]: a box would not take the points; [`MakeError::Engine`]: the model does not run;
/// [`MakeError::Input`]: a radiograph cannot be read any more.
pub fn fit_again(
    onnx: &[u8],
    catalogue: &Catalogue,
    inputs: &Inputs,
    split: &Split,
    seed: u64,
    origin: Origin,
) -> Result<Vec<u8>, MakeError> {
    let mut model = Model::from_bytes(onnx)?;
    let mut card = model.card().clone();
    if card.behaviour.points.is_none() {
        return Err(MakeError::NotCalibrated);
    }
    let own_split = SplitKind::of_card(&card) == Some(split.kind)
        && seed == card.provenance.seed
        && split.left_out.as_deref() == left_out(&card, catalogue);
    let mut fit_on = split.validation.clone();
    match origin {
        Origin::Training { .. } if !is_training(&card, catalogue) => return Err(MakeError::OtherData),
        Origin::Training { .. } if !own_split => return Err(MakeError::OtherSplit),
        Origin::Training { familiar: true } => (model, card) = guarded(onnx, catalogue, inputs, split)?,
        Origin::Training { familiar: false } => {}
        Origin::Unseen if has_learnt_from(&card, catalogue) => return Err(MakeError::Seen),
        Origin::Unseen => fit_on.extend(&split.train),
    }
    let pneumonia = fit_on.iter().filter(|&&index| catalogue.samples[index].label.positive()).count();
    let normal = fit_on.len() - pneumonia;
    if normal.min(pneumonia) < LEAST_OF_LABEL {
        return Err(MakeError::TooFew { normal, pneumonia });
    }
    let judge = |part: &[usize]| judge(&model, catalogue, inputs, part);
    let (fitted, test) = (judge(&fit_on)?, judge(&split.test)?);
    if !fit_points(&mut card, &by_site(catalogue, &fit_on, &fitted)) {
        return Err(MakeError::NoPoints);
    }
    if let Some(points) = card.behaviour.points {
        let one_sided = |profile: &Profile| points.of(*profile).check_for_box().is_err();
        if let Some(profile) = Profile::ALL.into_iter().find(one_sided) {
            return Err(MakeError::OneSided { profile, point: points.of(profile) });
        }
    }
    let answers = Answers { validation: &fitted[..split.validation.len()], test: &test, fitted_on: fitted.len() };
    record(&mut card, &answers, catalogue, split, seed);
    with_card(onnx, &card)
}

/// Calibrates the probabilities on these radiographs.
fn calibrate(
    layers: &mut Layers,
    card: &ModelCard,
    catalogue: &Catalogue,
    inputs: &Inputs,
    validation: &[usize],
) -> Result<(), MakeError> {
    let model = Model::from_bytes(&export::to_onnx(layers, card)?)?;
    let logit = |&i: &usize| Ok(model.classify(&inputs.of(i)?)?.logit);
    let logits: Vec<f32> = validation.par_iter().map(logit).collect::<Result<_, MeasureError>>()?;
    let positive: Vec<bool> = validation.iter().map(|&i| catalogue.samples[i].label.positive()).collect();
    let Calibrator { slope, intercept } = Calibrator::fit(&logits, &positive);
    layers.calibrate(slope, intercept);
    Ok(())
}

/// Fits the band of uncertainty on the validation part, unless the model has operating points, measures on the test part,
/// and writes the model with all that in its card. Gives back the bytes of the file, too.
fn finish_model(
    name: &str,
    onnx: &[u8],
    catalogue: &Catalogue,
    inputs: &Inputs,
    split: &Split,
    path: &Path,
) -> Result<(ModelResult, Vec<u8>), MakeError> {
    let (model, mut card) = guarded(onnx, catalogue, inputs, split)?;
    let validation = judge(&model, catalogue, inputs, &split.validation)?;
    if card.behaviour.points.is_some() {
        let train = fitted_on(split, card.provenance.seed);
        card.behaviour.subtypes = subtype::fit(&model, catalogue, inputs, &train, &split.validation)?;
    } else {
        card.behaviour.point = refer_band(&[answered(&validation)], card.behaviour.point.threshold, RIGHT_OUTSIDE_BAND);
    }
    let test = judge(&model, catalogue, inputs, &split.test)?;
    let answers = Answers { validation: &validation, test: &test, fitted_on: validation.len() };
    let seed = card.provenance.seed;
    let figures = record(&mut card, &answers, catalogue, split, seed);
    let bytes = with_card(onnx, &card)?;
    files::write_atomically(path, &bytes)?;
    let result = ModelResult {
        name: name.to_owned(),
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        digest: Model::from_bytes(&bytes)?.digest().to_string(),
        bytes: bytes.len() as u64,
        point: card.behaviour.point,
        figures,
        rates: rates(&test, &card.behaviour.point),
        scored: scored(&test),
    };
    Ok((result, bytes))
}

/// The same model with another card.
fn with_card(onnx: &[u8], card: &ModelCard) -> Result<Vec<u8>, MakeError> {
    let mut file = engine::decode(onnx)?;
    let json = serde_json::to_string(card)?;
    for property in file.metadata_props.iter_mut().filter(|p| p.key == CARD_KEY) {
        property.value.clone_from(&json);
    }
    Ok(file.encode_to_vec())
}

#[cfg(test)]
mod tests;
