//! The model that a command works with.

use std::path::Path;

use base::Shown;
use engine::{DEFAULT_MODEL, Model};
use report::SYNTHETIC_MODEL;

use crate::exit::Failure;

/// The model in a file, or the one that is built in; says on stderr which one it is.
pub(super) fn open_model(path: Option<&Path>) -> Result<Model, Failure> {
    let model = match path {
        Some(path) => Model::open(path).map_err(|error| Failure::of_model(error, path))?,
        None => Model::from_bytes(DEFAULT_MODEL)?,
    };
    base::say!("model {} ({:.12}); a research aid, not a medical device", Shown(&model.card().name), model.digest());
    if model.card().provenance.synthetic {
        base::say!("{SYNTHETIC_MODEL}");
    }
    warn_if_slow(&model);
    Ok(model)
}

/// Says on stderr if a quantized model is not of the form that runs fast, and why.
pub(super) fn warn_if_slow(model: &Model) {
    if model.execution().is_slow() {
        base::say!("the model runs as {}", model.execution());
    }
}
