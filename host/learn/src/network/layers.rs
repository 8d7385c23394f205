//! A trained network as plain data, for code that writes it to a file.

/// One step of the network. Images are `[channels, height, width]`, rows first.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Convolution with a square kernel, stride 1, no padding (valid): the side shrinks by `kernel - 1`.
    Conv {
        /// `[outputs][inputs][kernel][kernel]`, row-major (OIHW).
        weight: Vec<f32>,
        /// One value for each output channel.
        bias: Vec<f32>,
        /// Channels that come in.
        inputs: usize,
        /// Channels that go out.
        outputs: usize,
        /// Side of the kernel.
        kernel: usize,
    },
    /// `max(x, 0)`.
    Relu,
    /// Maximum over 2 × 2 with stride 2; an odd last row or column is dropped.
    MaxPool2,
    /// Mean of each channel: `[channels, 1, 1]`.
    GlobalAverage,
    /// `[channels, height, width]` → one vector, channel-major (the channel is the slowest index).
    Flatten,
    /// Fully connected: `y = W x + b`.
    Dense {
        /// `[outputs][inputs]`, row-major.
        weight: Vec<f32>,
        /// One value for each output.
        bias: Vec<f32>,
        /// Values that come in.
        inputs: usize,
        /// Values that go out.
        outputs: usize,
    },
}

/// A network: one grey channel of `side` × `side` values in 0..=1 → one logit (log-odds of pneumonia, before the
/// sigmoid).
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// Side of the input in pixels.
    pub side: usize,
    /// The steps, first to last. Ends in a `Dense` with one output.
    pub layers: Vec<Layer>,
}

impl Layers {
    /// Makes the logit `slope · logit + intercept`.
    pub fn calibrate(&mut self, slope: f64, intercept: f64) {
        if let Some(Layer::Dense { weight, bias, .. }) = self.layers.last_mut() {
            weight.iter_mut().for_each(|w| *w = (f64::from(*w) * slope) as f32);
            bias.iter_mut().for_each(|b| *b = (f64::from(*b) * slope + intercept) as f32);
        }
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.layers
            .iter()
            .map(|layer| match layer {
                Layer::Conv { weight, bias, .. } | Layer::Dense { weight, bias, .. } => weight.len() + bias.len(),
                Layer::Relu | Layer::MaxPool2 | Layer::GlobalAverage | Layer::Flatten => 0,
            })
            .sum()
    }
}
