//! The input contract: what a model expects, stored in the model file and sent to the host.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::limits::MODEL_SIDE;

/// How a radiograph of any shape becomes the model's square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Each axis is scaled on its own; the aspect ratio is not kept (as in the published small copies).
    Stretch,
    /// The aspect ratio is kept; the rest of the square is black.
    Letterbox,
    /// Frames, collimators and letterboxes are left out ([`crate::preprocess::Window`]); then as [`Fit::Stretch`].
    Unframed,
}

/// The model's input: one grey channel of `side` × `side` values, `x = (pixel - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct InputContract {
    /// Side length in pixels, within [`MODEL_SIDE`].
    pub side: u16,
    /// How the radiograph is fitted into the square.
    pub fit: Fit,
    /// Real value of one step of the 8-bit pixel; finite and positive.
    pub scale: f32,
    /// The pixel that stands for the real value 0.
    pub zero_point: u8,
}

/// An input contract that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ContractError {
    /// The side is outside [`MODEL_SIDE`].
    #[error("the model's input side is {0}; it must be from 16 to 512 pixels: use a model made by `pumua train`")]
    Side(u16),
    /// The scale is infinite, not a number, zero or negative.
    #[error("the model's input scale is {0}; it must be finite and positive: use a model made by `pumua train`")]
    Scale(f32),
}

impl InputContract {
    /// What models of `pumua train` expect: the radiograph stretched to `side` × `side` pixels, of which 0 to 255 stand for 0.0
    /// to 1.0 (scale 1/255, zero point 0). `side` is not checked: [`Self::check`] does that.
    pub const fn stretched(side: u16) -> Self {
        Self { side, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 }
    }

    /// Checks the ranges given at the fields.
    pub fn check(&self) -> Result<(), ContractError> {
        if !MODEL_SIDE.contains(&self.side) {
            return Err(ContractError::Side(self.side));
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(ContractError::Scale(self.scale));
        }
        Ok(())
    }

    /// Number of values of one input: `side * side`.
    pub fn len(&self) -> usize {
        usize::from(self.side) * usize::from(self.side)
    }

    /// False: a checked contract's input has at least 256 values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The real value that the model sees for an 8-bit pixel.
    pub fn value(&self, pixel: u8) -> f32 {
        (f32::from(pixel) - f32::from(self.zero_point)) * self.scale
    }
}
