//! The networks: the two of the study that this product starts from, and a family of our own.
//!
//! "Chest X-Ray Image Classification with Deep Learning" (K. Yagci): convolutions 3×3, stride 1, without padding, each
//! followed by ReLU and 2×2 max-pooling; then dense layers. The study fed three equal channels, RGB copies of grey
//! images. A kernel over equal channels acts as the sum of its slices, so that one grey channel goes in all the same;
//! what three slices change is how training starts (the Glorot bound is for 3 channels), how large a gradient step is
//! (each slice takes it) and what L2 counts.
//!
//! The family of our own has the same blocks, of any number and widths, the last one without pooling; then each channel is
//! averaged over its map, and one dense layer takes the averages (M. Lin et al., ICLR 2014), so that what each place of the
//! map adds to the answer can be computed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Side of every convolution kernel.
pub(super) const KERNEL: usize = 3;

/// Most blocks of a network, and most channels of a block.
const MOST: (usize, usize) = (7, 512);

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Convolutions of 32, 32, 64 channels, dense 64, dense 1
    Baseline,
    /// Convolutions of 32, 32, 64, 64 channels, dense 128, dense 128, dense 1
    Deeper,
    /// Convolutions of the design's widths, the last one without pooling, global average, dense 1
    Averaged,
}

/// An input that a network cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an input of {side} × {side} pixels is too small for this network: use at least {smallest}")]
pub struct SideError {
    side: usize,
    smallest: usize,
}

/// What a network looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// The layers.
    pub architecture: Architecture,
    /// Equal channels that the first convolution is over: 1, or the study's 3.
    pub channels: usize,
    /// Output channels of the convolutions of [`Architecture::Averaged`]; empty for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widths: Vec<usize>,
    /// Whether each pooling is followed by batch normalisation.
    #[serde(default)]
    pub batch_norm: bool,
}

impl Design {
    /// Whether the widths are such as this network has; `Err` says what they must be.
    pub fn check_widths(&self) -> Result<(), &'static str> {
        let (blocks, channels) = MOST;
        match self.architecture {
            Architecture::Averaged => {
                let good = (1..=blocks).contains(&self.widths.len())
                    && self.widths.iter().all(|width| (1..=channels).contains(width));
                if good { Ok(()) } else { Err("1 to 7 numbers from 1 to 512") }
            }
            _ if self.widths.is_empty() => Ok(()),
            _ => Err("left out: only `averaged` has them"),
        }
    }

    /// Whether images of `side` × `side` pixels are large enough.
    pub fn check(&self, side: usize) -> Result<(), SideError> {
        self.feature_side(side).map(|_| ())
    }

    /// Output channels of the convolutions.
    pub fn convolutions(&self) -> &[usize] {
        match self.architecture {
            Architecture::Baseline => &[32, 32, 64],
            Architecture::Deeper => &[32, 32, 64, 64],
            Architecture::Averaged => &self.widths,
        }
    }

    /// Outputs of the dense layers.
    pub fn dense(&self) -> &'static [usize] {
        match self.architecture {
            Architecture::Baseline => &[64, 1],
            Architecture::Deeper => &[128, 128, 1],
            Architecture::Averaged => &[1],
        }
    }

    /// Whether the dense layers take the averages of the maps, not the maps themselves.
    pub fn averages(&self) -> bool {
        self.architecture == Architecture::Averaged
    }

    /// How many convolutions are followed by pooling: the first ones.
    pub(super) fn pooled(&self) -> usize {
        self.convolutions().len() - usize::from(self.averages())
    }

    /// Side of the last feature maps.
    pub(super) fn feature_side(&self, side: usize) -> Result<usize, SideError> {
        let after = |side| {
            self.convolutions().iter().try_fold(side, |side: usize, _| match side.checked_sub(KERNEL - 1)? / 2 {
                0 => None,
                half => Some(half),
            })
        };
        after(side).ok_or_else(|| SideError { side, smallest: (side..).find(|&s| after(s).is_some()).unwrap_or(side) })
    }
}

/// Fresh weights as Keras draws them: uniform within ±√(6 / (fan in + fan out)) (X. Glorot, Y. Bengio, AISTATS 2010).
pub(super) struct Glorot(ChaCha8Rng);

impl Glorot {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn draw(&mut self, count: usize, fan_in: usize, fan_out: usize) -> Vec<f32> {
        let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
        // 24 bits: every value is exact in f32 before it is scaled.
        (0..count).map(|_| ((f64::from(self.0.next_u32() >> 8) / f64::from(1 << 23) - 1.0) * bound) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fill_the_glorot_range() {
        let weights = Glorot::new(5).draw(2304 * 64, 2304, 64);
        let bound = (6.0_f32 / (2304.0 + 64.0)).sqrt();
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!(weights.iter().all(|w| w.abs() <= bound));
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.02, "{variance}");
        assert_ne!(weights, Glorot::new(6).draw(2304 * 64, 2304, 64));
    }

    #[test]
    fn small_inputs_are_an_error_that_names_the_smallest() {
        let design = Design { architecture: Architecture::Deeper, channels: 1, widths: Vec::new(), batch_norm: false };
        assert_eq!(design.check(32).unwrap_err().smallest, 46);
        assert_eq!(design.feature_side(46), Ok(1));
    }
}
