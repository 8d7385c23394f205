//! Models on radiographs, by the engine of the box.

use std::path::Path;

use anyhow::Context;
use engine::{DEFAULT_MODEL, Model, ModelError};
use rayon::prelude::*;

use crate::{data::Dataset, report::SYNTHETIC_MODEL, statistics::Scored};

/// The model in a file, or the one that is built in; says on stderr which one it is.
pub fn open_model(path: Option<&Path>) -> anyhow::Result<Model> {
    let model = match path {
        Some(path) => Model::open(path).with_context(|| format!("the model {} cannot be used", path.display()))?,
        None => Model::from_bytes(DEFAULT_MODEL)?,
    };
    crate::say!("model {} ({:.12}); a research aid, not a medical device", model.card().name, model.digest());
    if model.card().synthetic {
        crate::say!("{SYNTHETIC_MODEL}");
    }
    warn_if_slow(&model);
    Ok(model)
}

/// Says on stderr if a quantized model is not of the form that runs fast, and why.
pub fn warn_if_slow(model: &Model) {
    if model.execution().is_slow() {
        crate::say!("the model runs as {}", model.execution());
    }
}

/// What the model says of the radiographs named, in their order.
pub fn score(model: &Model, data: &Dataset, indices: &[usize]) -> Result<Vec<Scored>, ModelError> {
    indices
        .par_iter()
        .map(|&index| {
            let sample = &data.samples[index];
            let probability = model.classify(&sample.pixels)?.probability;
            Ok(Scored { positive: sample.label.positive(), probability })
        })
        .collect()
}
