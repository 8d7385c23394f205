//! What a model is worth, judged by the engine of the box:
//!
//! - [`evaluation`]: its answers on labelled radiographs, with intervals by bootstrap over patients;
//! - [`robustness`]: how stable they are when the same radiograph is changed;
//! - [`occlusion`]: whether the evidence map points at what the answer rests on;
//! - [`calibration`]: calibrated probabilities, operating points, the band of *refer*;
//! - [`guard`]: what the model should refuse, fitted and measured;
//! - [`subtype`]: bacteria or virus;
//! - [`figures`]: accuracy, AUROC and their like, of answers alone; [`statistics`]: counts and shares with their intervals,
//!   the band of *refer*. What else computes: [`algebra`] and [`logistic`].

pub mod algebra;
pub mod calibration;
pub mod evaluation;
pub mod figures;
pub mod guard;
pub mod logistic;
pub mod occlusion;
pub mod robustness;
pub mod statistics;
pub mod subtype;
mod weighted;

use data::InputError;
use engine::ModelError;

/// Radiographs that cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// the model cannot be run
    #[error(transparent)]
    Model(#[from] ModelError),
    /// a radiograph cannot be read any more
    #[error(transparent)]
    Input(#[from] InputError),
}
