//! Recognises global average pooling and one dense layer at the end of a network in f32.

use std::collections::HashMap;

use crate::{
    activation::{Grid, Head},
    check::{INPUT, OUTPUTS},
    onnx::{
        self, Values,
        pb::{GraphProto, NodeProto, TensorProto},
    },
};

/// The end of a network, before the shape of its last feature map is known.
pub(crate) struct End {
    /// Name of the last feature map.
    pub(crate) map: String,
    /// Weights of the dense layer, one for each channel.
    weights: Vec<f32>,
    bias: f32,
    grid: Grid,
}

impl End {
    /// Recognises `map` → GlobalAveragePool → Flatten → Gemm → `logit` in a graph that [`crate::check::check`] has passed.
    pub(crate) fn find(graph: &GraphProto) -> Option<Self> {
        let reader = Reader {
            constants: onnx::constants(graph),
            nodes: graph.node.iter().filter_map(|node| Some((node.output.first()?.as_str(), node))).collect(),
        };
        let dense = reader.node(OUTPUTS[0], "Gemm")?;
        let is_one = |name: &str| dense.attribute.iter().find(|a| a.name == name).is_none_or(|a| a.f == 1.0);
        if onnx::integers(dense, "transA").iter().any(|&flag| flag != 0) || !is_one("alpha") || !is_one("beta") {
            return None;
        }
        let weights = reader.floats(dense, 1)?;
        let bias = match dense.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => match reader.floats(dense, 2)?[..] {
                [bias] => bias,
                _ => return None,
            },
            None => 0.0,
        };
        let pooling = reader.node(dense.input.first()?, "GlobalAveragePool")?;
        let map = pooling.input.first().filter(|map| *map != INPUT)?;
        Some(Self { map: map.clone(), weights, bias, grid: reader.grid(map)? })
    }

    /// The end for a last map of this shape: `[1, channels, rows, columns]`.
    pub(crate) fn head(self, shape: &[usize]) -> Option<Head> {
        let &[1, channels, rows, columns] = shape else { return None };
        let share = 1.0 / (rows * columns) as f32;
        let weights: Vec<f32> = self.weights.iter().map(|weight| weight * share).collect();
        Head::new([rows, columns], weights, vec![share; channels], self.bias, self.grid)
    }
}

struct Reader<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    /// Nodes by the name of what they make.
    nodes: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Reader<'a> {
    /// The node of this operator that makes a tensor, whatever only passes it on in between.
    fn node(&self, tensor: &str, operator: &str) -> Option<&'a NodeProto> {
        let mut node = self.nodes.get(tensor)?;
        while node.op_type != operator {
            if !matches!(node.op_type.as_str(), "Flatten" | "Reshape" | "Identity" | "Dropout") {
                return None;
            }
            node = self.nodes.get(node.input.first()?.as_str())?;
        }
        Some(node)
    }

    fn floats(&self, node: &NodeProto, index: usize) -> Option<Vec<f32>> {
        match Values::read(self.constants.get(node.input.get(index)?.as_str())?)? {
            Values::F32(values) => Some(values),
            _ => None,
        }
    }

    /// Where the cells of a feature map lie. Both terms of a sum are taken to lie where the first does.
    fn grid(&self, map: &str) -> Option<Grid> {
        let mut windows = Vec::new();
        let mut tensor = map;
        // Every tensor is defined before it is used, so this ends.
        while tensor != INPUT {
            let node = self.nodes.get(tensor)?;
            if matches!(node.op_type.as_str(), "Conv" | "MaxPool") {
                windows.push(self.window(node)?);
            } else if !matches!(node.op_type.as_str(), "Add" | "BatchNormalization" | "Dropout" | "Identity" | "Relu") {
                return None;
            }
            tensor = node.input.iter().find(|name| !self.constants.contains_key(name.as_str()))?;
        }
        windows.reverse();
        Some(
            windows
                .into_iter()
                .fold(Grid::PIXELS, |grid, [kernel, stride, before]| grid.windowed(kernel, stride, before)),
        )
    }

    /// Kernel, stride, and padding above and to the left; a dilated kernel with its gaps.
    fn window(&self, node: &NodeProto) -> Option<[[usize; 2]; 3]> {
        if node.attribute.iter().any(|a| a.name == "auto_pad" && !matches!(a.s.as_slice(), b"" | b"NOTSET")) {
            return None;
        }
        let list = |name: &str, default: usize| match onnx::integers(node, name) {
            [] => Some([default; 2]),
            [down, right, ..] => Some([usize::try_from(*down).ok()?, usize::try_from(*right).ok()?]),
            _ => None,
        };
        let kernel = match onnx::integers(node, "kernel_shape") {
            [] => match self.constants.get(node.input.get(1)?.as_str())?.dims[..] {
                [_, _, rows, columns] => [usize::try_from(rows).ok()?, usize::try_from(columns).ok()?],
                _ => return None,
            },
            _ => list("kernel_shape", 1)?,
        };
        let dilations = list("dilations", 1)?;
        let kernel =
            [0, 1].map(|axis| (kernel[axis].saturating_sub(1)).saturating_mul(dilations[axis]).saturating_add(1));
        Some([kernel, list("strides", 1)?, list("pads", 0)?])
    }
}
