//! Recognises a quantized graph and turns it into layers that our own kernels compute.
//!
//! The nodes are read in their order, each once. What is known of a tensor is one of a few things ([`Value`]): a feature
//! map of int8; a real number made of one (DequantizeLinear); the sum of two of these (Add). An operator that makes a
//! feature map becomes a [`Step`]. Operators that a kernel does along with its layer are folded into the step that made
//! their input:
//!
//! | nodes | step |
//! |---|---|
//! | `image` → QuantizeLinear | a table of what each of the 256 pixel values becomes |
//! | QLinearConv [→ Relu] [→ MaxPool 2×2, stride 2], in either order | [`Layer::Convolution`] |
//! | QLinearConv with as many groups as channels [→ Relu] | [`Layer::Depthwise`]; global average pooling is one with equal weights within each channel |
//! | MaxPool 2×2, stride 2 elsewhere | [`Layer::MaxPool`] |
//! | two DequantizeLinear → Add [→ Relu] → QuantizeLinear [→ Relu] | [`Layer::Add`] |
//! | DequantizeLinear → `logit` → Sigmoid → `probability`, of one value | the scale of the last map |
//! | Flatten and Reshape of one value; Identity; Dropout | nothing |
//!
//! An operator is folded only if it is the sole reader of its input. Nodes that neither output depends on are left out. All
//! other graphs are [`Unfused`], with the first node that does not fit: they run through tract's own operators.

mod head;
mod reader;

use kernels::{Border, Kernels, Layer, LayerError, Layout, Prepared, Shape};
use shared::contract::InputContract;

use crate::onnx::graph::{Graph, ReadError};

/// Most layers of a fused network.
const MAX_LAYERS: usize = 1024;

/// Most bytes of all feature maps of a network together (32 MiB): with the weights half of what a box may take
/// ([`crate::budget::MAX_MEMORY`]).
const MAX_MAPS: usize = 32 * 1024 * 1024;

/// Most bytes of all packed weights of a network together (32 MiB).
const MAX_WEIGHTS: usize = 32 * 1024 * 1024;

/// Why a quantized network is not fused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}`: {obstacle}")]
pub struct Unfused {
    /// Name of the first node that does not fit; of its output, if it has none.
    pub node: String,
    /// What about it.
    pub obstacle: Obstacle,
}

/// What keeps a node from being fused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// an operator that computes in f32, or not with what it is applied to
    #[error("{0} is not fused with what it is applied to here")]
    Operator(String),
    /// a constant that is not one, or of another type or shape
    #[error("an operand is not a constant of the expected type and shape")]
    Constant,
    /// `auto_pad`
    #[error("automatic padding is not fused: write the padding as `pads`")]
    AutoPad,
    /// a dilated window
    #[error("a dilated window is not fused")]
    Dilation,
    /// grouped, but not depthwise
    #[error("only convolutions over all channels, and of each channel by itself, are fused")]
    Groups,
    /// another max-pooling
    #[error("only 2×2 max-pooling with stride 2, without padding and rounded down, is fused")]
    Pool,
    /// a ReLU that is not the sole reader of its input
    #[error("a Relu is fused only as the sole reader of a convolution or a sum")]
    Relu,
    /// a second quantization of the image
    #[error("the image is quantized more than once")]
    Image,
    /// the terms of a sum differ in shape
    #[error("only sums of two feature maps of the same shape are fused")]
    Terms,
    /// scales too far apart
    #[error("its scales are too large or too small to be multiplied in f32")]
    Scale,
    /// not the logit and the probability of one value
    #[error("`logit` is not one dequantized value, or `probability` not its sigmoid")]
    Output,
    /// feature maps, weights or layers beyond the limits
    #[error("up to here the network has more than 1024 layers, or 32 MiB of packed weights or of feature maps")]
    Size,
    /// a layer that the kernels refuse
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl From<ReadError> for Obstacle {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Constant | ReadError::Attribute => Self::Constant,
            ReadError::AutoPad => Self::AutoPad,
        }
    }
}

/// A quantized network as layers.
///
/// Its feature maps are numbered: 0 is the quantized image, and the step of index `i` makes the map `i + 1`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// What each value of a pixel becomes.
    pub(crate) table: [i8; 256],
    /// The layers, each after those that it reads.
    pub(crate) steps: Vec<Step>,
    /// The shape of every feature map.
    pub(crate) shapes: Vec<Shape>,
    /// What the values of every feature map are multiplied by to be real numbers.
    pub(crate) scales: Vec<f32>,
    /// The map of one value that is the logit.
    pub(crate) output: usize,
    /// What its value is multiplied by to be the logit.
    pub(crate) scale: f32,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Name of the node that it begins with.
    pub(crate) node: String,
    /// What is computed.
    pub(crate) layer: Layer,
    /// The feature maps that it reads.
    pub(crate) maps: Vec<usize>,
}

impl Step {
    fn unfused(&self, obstacle: impl Into<Obstacle>) -> Unfused {
        Unfused { node: self.node.clone(), obstacle: obstacle.into() }
    }
}

impl Plan {
    /// Recognises a graph that [`crate::check::check`] has passed.
    pub(crate) fn new(graph: &Graph<'_>, contract: &InputContract) -> Result<Self, Unfused> {
        let live = graph.live();
        let mut reader = reader::Reader::new(&live, contract);
        for node in live {
            reader.read(node)?;
        }
        reader.finish()
    }

    /// Finds a place for every feature map, with a border wide enough for all layers that read it.
    pub(crate) fn layouts(&self) -> Result<Vec<Layout>, Unfused> {
        let mut borders = vec![Border::default(); self.shapes.len()];
        for step in &self.steps {
            for &map in &step.maps {
                let border = step.layer.border(self.shapes[map]).map_err(|error| step.unfused(error))?;
                borders[map] = borders[map].union(border);
            }
        }
        let mut bytes = 0;
        let mut layouts = Vec::with_capacity(borders.len());
        for (index, (&shape, border)) in self.shapes.iter().zip(borders).enumerate() {
            // The image itself is blamed on the layer that wants the border.
            let unfused = |obstacle: Obstacle| match self.steps.get(index.saturating_sub(1)) {
                Some(step) => step.unfused(obstacle),
                None => Unfused { node: crate::check::INPUT.to_owned(), obstacle },
            };
            let layout = Layout::new(shape, border).ok_or_else(|| unfused(LayerError::Size.into()))?;
            bytes += layout.len();
            if bytes > MAX_MAPS {
                return Err(unfused(Obstacle::Size));
            }
            layouts.push(layout);
        }
        Ok(layouts)
    }

    /// Packs the weights of every layer.
    pub(crate) fn prepare(&self, kernels: Kernels, layouts: &[Layout]) -> Result<Vec<Prepared>, Unfused> {
        let prepare = |(index, step): (usize, &Step)| {
            let inputs: Vec<Layout> = step.maps.iter().map(|&map| layouts[map]).collect();
            step.layer.prepare(kernels, &inputs, layouts[index + 1]).map_err(|error| step.unfused(error))
        };
        self.steps.iter().enumerate().map(prepare).collect()
    }
}

/// The name of a layer's kind.
pub(crate) fn kind(layer: &Layer) -> &'static str {
    match layer {
        Layer::Convolution { .. } => "Convolution",
        Layer::Depthwise(_) => "Depthwise",
        Layer::MaxPool => "MaxPool",
        Layer::Add { .. } => "Add",
    }
}
