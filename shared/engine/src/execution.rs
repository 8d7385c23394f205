//! How a model is computed.

use std::fmt;

use kernels::Kernels;

use crate::{
    fuse::Unfused,
    integer,
    onnx::{
        Values,
        graph::{Graph, Node},
    },
};

/// How a model is computed. `Display` says it in words.
#[derive(Clone, Debug, PartialEq)]
pub enum Execution {
    /// Quantized: fused 8-bit layers.
    Fused {
        /// The kernels that compute them.
        kernels: Kernels,
        /// Number of layers.
        layers: usize,
    },
    /// Quantized, but of a form that is not fused: tract runs it, slower, and to the same logits except for layers in f32.
    Tract {
        /// Why.
        reason: Unfused,
        /// Convolutions with sums beyond 2^24, for which tract's slow operator in i32 is needed.
        wide: usize,
        /// Convolutions and dense layers that the file wants in f32 although the model is quantized.
        float: usize,
    },
    /// In f32, by tract.
    Float {
        /// True if tensors are still quantized in between: nothing is gained from that.
        quantized: bool,
    },
}

impl Execution {
    /// The execution of a quantized graph by tract.
    pub(crate) fn unfused(graph: &Graph<'_>, reason: Unfused) -> Self {
        let live = graph.live();
        let count = |kind: &dyn Fn(Node<'_>) -> bool| live.iter().filter(|node| kind(**node)).count();
        let is_wide = |node: Node<'_>| match (node.values(3), node.dims::<4>(3), node.values(8)) {
            (Ok(Values::I8(weights)), _, Ok(Values::I32(bias))) => !integer::is_exact(&weights, &bias),
            (Ok(Values::I8(weights)), Ok([outputs, ..]), _) => !integer::is_exact(&weights, &vec![0; outputs]),
            _ => false,
        };
        Self::Tract {
            reason,
            wide: count(&|node| node.operator() == "QLinearConv" && is_wide(node)),
            float: count(&|node| matches!(node.operator(), "Conv" | "Gemm" | "MatMul")),
        }
    }

    /// The execution of a graph without integer convolutions.
    pub(crate) fn float(graph: &Graph<'_>) -> Self {
        Self::Float { quantized: graph.live().iter().any(|node| node.operator() == "QuantizeLinear") }
    }

    /// True if a quantized model could be faster.
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Tract { .. } | Self::Float { quantized: true })
    }

    /// The execution without reasons, in at most 64 bytes.
    pub fn summary(&self) -> String {
        match self {
            Self::Fused { kernels, .. } => format!("fused int8, {kernels} kernels"),
            Self::Tract { .. } => "int8 through tract".to_owned(),
            Self::Float { .. } => "f32 through tract".to_owned(),
        }
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        match self {
            Self::Fused { .. } | Self::Float { quantized: false } => Ok(()),
            Self::Float { quantized: true } => f.write_str(", although the file quantizes tensors in between"),
            Self::Tract { reason, wide, float } => {
                write!(f, ", slower than fused layers ({reason})")?;
                if *wide > 0 {
                    write!(f, "; {wide} of its convolutions need slow 32-bit sums")?;
                }
                if *float > 0 {
                    write!(f, "; {float} of its layers run in f32 although it is quantized")?;
                }
                Ok(())
            }
        }
    }
}
