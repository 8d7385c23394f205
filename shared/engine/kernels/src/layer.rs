//! What a layer computes, independent of how.

use std::hash::{Hash, Hasher};

use crate::{
    BLOCK,
    layout::{Border, Layout, Shape},
    prepared::hash_reals,
};

/// Longest kernel, stride and padding.
const MAX_WINDOW: usize = 512;

/// Largest number of weights of a layer, packed.
const MAX_WEIGHTS: usize = 64 * 1024 * 1024;

/// Why a layer cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// weights, biases or multipliers are not as many as the layer's dimensions say
    #[error("the weights, biases or multipliers of a layer are not as many as its dimensions say")]
    Parameters,
    /// a scale or multiplier is not finite or not positive
    #[error("a scale, or a multiplier made of scales, is not finite or not positive")]
    Scale,
    /// a window or stride is 0 or longer than 512, or the padding longer than 512
    #[error("a window or stride is not 1 to 512 long, or a padding longer than 512")]
    Window,
    /// the input does not fit the layer
    #[error("a feature map has other channels than its layer, or is smaller than its window")]
    Input,
    /// a buffer is laid out for another layer
    #[error("a buffer is laid out for another shape, or with too small a border")]
    Layout,
    /// the kernels are for another processor
    #[error("these kernels do not run on this processor: use those of `Kernels::choose`")]
    Kernels,
    /// a feature map, or the weights, have no values or more than 64 MiB
    #[error("a feature map or the weights have no values or more than 64 MiB")]
    Size,
}

/// The window of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step from one output to the next, down and to the right.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Border,
}

impl Window {
    /// Rows and columns of the output for an input.
    fn output(&self, input: Shape) -> Option<[usize; 2]> {
        let Border { top, left, bottom, right } = self.padding;
        let steps = |extent: usize, axis: usize| Some(extent.checked_sub(self.kernel[axis])? / self.stride[axis] + 1);
        Some([steps(input.height + top + bottom, 0)?, steps(input.width + left + right, 1)?])
    }

    fn check(&self) -> Result<(), LayerError> {
        let Border { top, left, bottom, right } = self.padding;
        let least_one = self.kernel.iter().chain(&self.stride).all(|n| (1..=MAX_WINDOW).contains(n));
        let short = [top, left, bottom, right].iter().all(|&n| n <= MAX_WINDOW);
        if least_one && short { Ok(()) } else { Err(LayerError::Window) }
    }
}

/// The parameters of a quantized convolution. All zero points are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// The window.
    pub window: Window,
    /// Weights: output channel, input channel (of its group), row, column.
    pub weights: Vec<i8>,
    /// What is added to the sum of each output channel.
    pub bias: Vec<i32>,
    /// `(x_scale · w_scale) / y_scale` of each output channel: [`crate::multiplier`].
    pub multipliers: Vec<f32>,
    /// True if a ReLU follows.
    pub relu: bool,
    /// True if the input may have negative values. Where this is false and the input still has some, the output is
    /// unspecified.
    pub signed_input: bool,
}

impl Hash for Filters {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.window, &self.weights, &self.bias, self.relu, self.signed_input).hash(state);
        hash_reals(&self.multipliers, state);
    }
}

impl Filters {
    fn check(&self, outputs: usize, inputs: usize) -> Result<(), LayerError> {
        self.window.check()?;
        let [rows, columns] = self.window.kernel;
        let count = |outputs: usize| [inputs, rows, columns].iter().try_fold(outputs, |n, &d| n.checked_mul(d));
        if count(outputs.next_multiple_of(BLOCK)).is_none_or(|n| !(1..=MAX_WEIGHTS).contains(&n)) {
            return Err(LayerError::Size);
        }
        if count(outputs) != Some(self.weights.len()) || self.bias.len() != outputs || self.multipliers.len() != outputs
        {
            return Err(LayerError::Parameters);
        }
        let usable = |m: &f32| m.is_finite() && *m > 0.0;
        if self.multipliers.iter().all(usable) { Ok(()) } else { Err(LayerError::Scale) }
    }

    /// Biases and multipliers of a block of output channels from `first` on, filled up with zeros.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(crate) fn block(&self, first: usize) -> ([i32; BLOCK], [f32; BLOCK]) {
        let channels = first..self.bias.len().min(first + BLOCK);
        let (mut bias, mut multipliers) = ([0; BLOCK], [0.0; BLOCK]);
        bias[..channels.len()].copy_from_slice(&self.bias[channels.clone()]);
        multipliers[..channels.len()].copy_from_slice(&self.multipliers[channels]);
        (bias, multipliers)
    }

    /// The value below which no output lies.
    pub(crate) fn lowest(&self) -> f32 {
        if self.relu { 0.0 } else { -128.0 }
    }
}

/// A layer: i8 feature maps → i8 feature map.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution over all channels; with a window as large as the map, a dense layer.
    Convolution {
        /// Channels of the input.
        inputs: usize,
        /// Its parameters.
        filters: Filters,
        /// True if 2×2 max-pooling with stride 2 follows.
        pool: bool,
    },
    /// A convolution of each channel by itself; with weights 1 and a window as large as the map, global average pooling.
    Depthwise(Filters),
    /// 2×2 max-pooling with stride 2.
    MaxPool,
    /// The sum of two maps of one shape: `(a · scales[0] + b · scales[1]) / output_scale` in f32, one rounding after each
    /// operation, then as [`crate::requantize`] does from its fifth step on.
    Add {
        /// Scales of the inputs.
        scales: [f32; 2],
        /// Scale of the output.
        output_scale: f32,
        /// True if a ReLU follows.
        relu: bool,
    },
}

impl Layer {
    /// Number of feature maps that it reads.
    pub fn inputs(&self) -> usize {
        if matches!(self, Self::Add { .. }) { 2 } else { 1 }
    }

    /// Checks the layer, and says what comes out of it for an input (for each of its inputs) of this shape.
    pub fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        Layout::new(input, Border::default()).ok_or(LayerError::Size)?;
        let Shape { height, width, channels } = input;
        let output = match self {
            Self::Convolution { inputs, filters, pool } => {
                filters.check(filters.bias.len(), *inputs)?;
                let [height, width] = filters.window.output(input).ok_or(LayerError::Input)?;
                if *inputs != channels || *pool && height.min(width) < 2 {
                    return Err(LayerError::Input);
                }
                let scale = if *pool { 2 } else { 1 };
                Shape { height: height / scale, width: width / scale, channels: filters.bias.len() }
            }
            Self::Depthwise(filters) => {
                filters.check(filters.bias.len(), 1)?;
                let [height, width] = filters.window.output(input).ok_or(LayerError::Input)?;
                if filters.bias.len() != channels {
                    return Err(LayerError::Input);
                }
                Shape { height, width, channels }
            }
            Self::MaxPool if height.min(width) < 2 => return Err(LayerError::Input),
            Self::MaxPool => Shape { height: height / 2, width: width / 2, channels },
            Self::Add { scales: [a, b], output_scale, .. } => {
                if ![a, b, output_scale].iter().all(|s| s.is_finite() && **s > 0.0) {
                    return Err(LayerError::Scale);
                }
                input
            }
        };
        Layout::new(output, Border::default()).map(|_| output).ok_or(LayerError::Size)
    }
}
