//! How stable a model's answers are when the same radiograph is changed.
//!
//! A radiograph is decoded, changed by every [`Change`] of the [`CATALOGUE`] in turn, prepared and judged as the box
//! does it; [`RobustnessRow`]s show by how much each change moves the figures, and how much of it [`shared::guard`]
//! would refuse. The changes are written on the `image` crate and share no code with the augmentation of the training,
//! so that an error there cannot hide itself here.

mod change;
mod letters;
mod originals;
mod run;
mod summary;
mod table;

pub use change::{CATALOGUE, Change, ChangeError, Kind, chosen};
pub use originals::{Agreement, Disagreement};
pub use run::{Answers, Measurement, ModelAnswer, RobustnessError};
pub use summary::{RobustnessFigures, Summary};
pub use table::{Difference, MeanProbability, RobustnessRow, Style, layout, rows, table};
