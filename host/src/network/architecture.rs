//! The two networks of the study that this product starts from.
//!
//! "Chest X-Ray Image Classification with Deep Learning" (K. Yagci): convolutions 3×3, stride 1, without padding, each
//! followed by ReLU and 2×2 max-pooling; then dense layers. The study fed three equal channels (RGB copies of grey
//! images); here there is one. A kernel over three equal channels acts as the sum of its three slices, so the networks
//! can compute the same functions with 576 weights less in the first convolution; what differs is the start (the
//! Glorot bound is for 1 channel, not for 3) and with it how large the first gradient steps are.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Layer, Layers};

/// Side of every convolution kernel.
const KERNEL: usize = 3;

/// A network of the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Convolutions of 32, 32, 64 channels, dense 64, dense 1
    Baseline,
    /// Convolutions of 32, 32, 64, 64 channels, dense 128, dense 128, dense 1
    Deeper,
}

/// What a network looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Its layers.
    pub architecture: Architecture,
    /// Equal channels of the input.
    pub channels: usize,
    /// Batch normalisation after each pooling.
    #[serde(default)]
    pub batch_norm: bool,
}

impl Design {
    /// Checks that the input is large enough.
    pub fn check(&self, side: usize) -> Result<(), SideError> {
        self.architecture.initialise(side, 0).map(|_| ())
    }
}

/// An input that a network cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an input of {side} × {side} pixels is too small for this network: use `--side` with at least {smallest}")]
pub struct SideError {
    side: usize,
    smallest: usize,
}

impl Architecture {
    /// Output channels of the convolutions.
    pub const fn convolutions(self) -> &'static [usize] {
        match self {
            Self::Baseline => &[32, 32, 64],
            Self::Deeper => &[32, 32, 64, 64],
        }
    }

    /// Outputs of the dense layers.
    pub const fn dense(self) -> &'static [usize] {
        match self {
            Self::Baseline => &[64, 1],
            Self::Deeper => &[128, 128, 1],
        }
    }

    /// Side of the feature maps after the last pooling.
    fn feature_side(self, side: usize) -> Option<usize> {
        self.convolutions().iter().try_fold(side, |side, _| match side.checked_sub(KERNEL - 1)? / 2 {
            0 => None,
            half => Some(half),
        })
    }

    /// The network with fresh weights as Keras draws them: Glorot-uniform kernels
    /// (±√(6 / (fan in + fan out)); X. Glorot, Y. Bengio, AISTATS 2010), biases zero.
    pub fn initialise(self, side: usize, seed: u64) -> Result<Layers, SideError> {
        let Some(feature_side) = self.feature_side(side) else {
            let smallest = (side..).find(|&s| self.feature_side(s).is_some()).unwrap_or(side);
            return Err(SideError { side, smallest });
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut glorot = |count: usize, fan_in: usize, fan_out: usize| -> Vec<f32> {
            let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
            // 24 bits: every value is exact in f32 before it is scaled.
            (0..count).map(|_| ((f64::from(rng.next_u32() >> 8) / f64::from(1 << 23) - 1.0) * bound) as f32).collect()
        };
        let mut layers = Vec::new();
        let mut inputs = 1;
        for &outputs in self.convolutions() {
            let area = KERNEL * KERNEL;
            let weight = glorot(outputs * inputs * area, inputs * area, outputs * area);
            layers.push(Layer::Conv { weight, bias: vec![0.0; outputs], inputs, outputs, kernel: KERNEL });
            layers.extend([Layer::Relu, Layer::MaxPool2]);
            inputs = outputs;
        }
        layers.push(Layer::Flatten);
        inputs *= feature_side * feature_side;
        for (i, &outputs) in self.dense().iter().enumerate() {
            if i > 0 {
                layers.push(Layer::Relu);
            }
            let weight = glorot(outputs * inputs, inputs, outputs);
            layers.push(Layer::Dense { weight, bias: vec![0.0; outputs], inputs, outputs });
            inputs = outputs;
        }
        Ok(Layers { side, layers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_study_less_two_channels() {
        // The study's 176,225 and 115,105, less 2 · 32 · 9 weights of the first convolution.
        let count = |a: Architecture| a.initialise(64, 1).unwrap().parameters();
        assert_eq!(count(Architecture::Baseline), 176_225 - 576);
        assert_eq!(count(Architecture::Deeper), 115_105 - 576);
    }

    #[test]
    fn weights_fill_the_glorot_range() {
        let layers = Architecture::Baseline.initialise(64, 5).unwrap();
        let Layer::Dense { weight, bias, inputs: 2304, outputs: 64 } = &layers.layers[10] else {
            panic!("{:?}", layers.layers.len())
        };
        let bound = (6.0_f32 / (2304.0 + 64.0)).sqrt();
        let variance = weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32;
        assert!(weight.iter().all(|w| w.abs() <= bound));
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.02, "{variance}");
        assert!(bias.iter().all(|&b| b == 0.0));
        assert_ne!(layers, Architecture::Baseline.initialise(64, 6).unwrap());
    }

    #[test]
    fn small_inputs_are_an_error_that_names_the_smallest() {
        let error = Architecture::Deeper.initialise(32, 1).unwrap_err();
        assert_eq!(error.smallest, 46);
        assert!(Architecture::Deeper.initialise(46, 1).is_ok());
    }
}
