//! Recognises global average pooling and one dense layer at the end of a network in f32.

use crate::{
    activation::{Grid, Head},
    check::{INPUT, OUTPUTS},
    onnx::graph::{Dense, Graph, Node},
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
    pub(crate) fn find(graph: &Graph<'_>) -> Option<Self> {
        let gemm = made_by(graph, OUTPUTS[0], "Gemm")?;
        let Dense { weights, bias } = gemm.dense().ok()?;
        let [bias] = bias[..] else { return None };
        let pooling = made_by(graph, gemm.input(0)?, "GlobalAveragePool")?;
        let map = pooling.input(0).filter(|map| *map != INPUT)?;
        Some(Self { map: map.to_owned(), weights, bias, grid: grid(graph, map)? })
    }

    /// The end for a last map of this shape: `[1, channels, rows, columns]`.
    pub(crate) fn head(self, shape: &[usize]) -> Option<Head> {
        let &[1, channels, rows, columns] = shape else { return None };
        let share = 1.0 / (rows * columns) as f32;
        let weights: Vec<f32> = self.weights.iter().map(|weight| weight * share).collect();
        Head::new([rows, columns], weights, vec![share; channels], self.bias, self.grid)
    }
}

/// The node of this operator that makes a tensor, whatever only passes it on in between.
fn made_by<'a>(graph: &'a Graph<'_>, tensor: &str, operator: &str) -> Option<Node<'a>> {
    let mut node = graph.maker(tensor)?;
    while node.operator() != operator {
        if !matches!(node.operator(), "Flatten" | "Reshape" | "Identity" | "Dropout") {
            return None;
        }
        node = graph.maker(node.input(0)?)?;
    }
    Some(node)
}

/// Where the cells of a feature map lie. Both terms of a sum are taken to lie where the first does.
fn grid(graph: &Graph<'_>, map: &str) -> Option<Grid> {
    let mut windows = Vec::new();
    let mut tensor = map;
    // Every tensor is defined before it is used, so this ends.
    while tensor != INPUT {
        let node = graph.maker(tensor)?;
        match node.operator() {
            "Conv" | "MaxPool" => windows.push(node.window().ok()?),
            "Add" | "BatchNormalization" | "Dropout" | "Identity" | "Relu" => {}
            _ => return None,
        }
        tensor = node.inputs().find(|name| graph.constant(name).is_none())?;
    }
    let windows = windows.into_iter().rev();
    Some(windows.fold(Grid::PIXELS, |grid, window| {
        let [top, left, ..] = window.pads;
        grid.windowed(window.extent(), window.strides, [top, left])
    }))
}
