//! Inference: loads a Pumua ONNX model with tract, checks its contract and classifies prepared radiographs.
//!
//! Three kinds of networks run, and [`Model::execution`] says which one a model is:
//!
//! - a quantized one of known form, as fused 8-bit layers of our own ([`kernels`]): the fast way;
//! - a quantized one of another form, through tract, slower ([`Unfused`] says why);
//! - one in f32, through tract.
//!
//! Host and box use this one crate, so that a verdict computed on the host is the verdict of the box.
//! Pumua is a research aid, not a medical device.

mod activation;
mod budget;
mod card;
mod check;
mod default_model;
mod execution;
mod fitness;
mod float;
mod fuse;
mod fused;
mod integer;
pub mod judge;
mod model;
pub mod onnx;
mod probability;
mod timing;

pub use activation::{ActivationMap, Grid};
pub use budget::{BudgetError, MAX_MEMORY, MAX_NODES, MAX_OPERATIONS};
pub use card::{
    Behaviour, CARD_KEY, CardError, Measured, ModelCard, PointRates, Population, Provenance, SiteRecord, Subtypes,
};
pub use check::{GraphError, INPUT, OPERATORS, OPSETS, OUTPUTS};
pub use default_model::DEFAULT_MODEL;
pub use execution::Execution;
pub use fitness::MARGIN;
pub use fuse::{Obstacle, Unfused};
pub use kernels::{Kernels, KernelsError, LayerError, Shape};
pub use model::{Examination, MAX_MODEL_BYTES, Model, ModelError, Observer, Score, card, decode};
pub use timing::{LayerTiming, Timing};
