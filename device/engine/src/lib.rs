//! Inference: loads a Pumua ONNX model with tract, checks its contract and classifies prepared radiographs.
//!
//! Host and box use this one crate, so that a verdict computed on the host is the verdict of the box.
//! Pumua is a research aid, not a medical device.

mod card;
mod check;
mod default_model;
mod integer;
mod model;
pub mod onnx;

pub use card::{CARD_KEY, Card, CardError};
pub use check::{GraphError, INPUT, OPERATORS, OPSETS, OUTPUTS};
pub use default_model::DEFAULT_MODEL;
pub use model::{MAX_MODEL_BYTES, Model, ModelError, Observer, Score, card, decode};
