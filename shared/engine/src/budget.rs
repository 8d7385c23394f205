//! What a network asks of the box for one image, counted from shapes before anything is built or run.
//!
//! A file of a few hundred kilobytes can ask for hours: layers may share weights, and a window may be as large as the image. So
//! a model for the box is held to a budget of operations and one of memory.
//!
//! - **Operations**: one for each product of a convolution or dense layer, wherever its weights come from; one for each value
//!   that a pooling reads; one for each value that any other operator writes. Where a quantized network is not fused, tract
//!   computes it ten times slower or more (`docs/engine.md`), so each counts [`UNFUSED`] times.
//! - **Memory**: all values of all tensors in f32; the input of the largest convolution once more as tract lays it out, each
//!   value once for each place of the window; and 8 bytes for each weight, at each use, which is what Winograd's form of an int8
//!   layer takes. All of it is never alive at once, and fused layers take a quarter of it.

use std::collections::HashMap;

use crate::onnx::{
    Values,
    graph::{Graph, Node, Window},
};

/// Most operations for an image: 500 million, 14 times what the model that ships takes.
///
/// A Cortex-A53, the slowest processor of a supported board, runs at 1.0 GHz (Zero 2 W). Its kernels execute 0.12 to 0.34
/// instructions for each product (`docs/engine.md`, on an emulated one), most of them on vectors of 128 bits, of which it completes
/// one in two cycles: 500 million products take 0.12 to 0.34 s. The portable kernels, which a model is compared with when it is
/// loaded, take about twenty times as long as the fastest; f32 through tract about three times. So an answer comes within a
/// second and a start within a few.
pub const MAX_OPERATIONS: u64 = 500_000_000;

/// Most memory for weights and feature maps, in bytes (64 MiB).
///
/// The smallest board has 512 MiB. While a model is replaced there are two of them, so 128 MiB; decoding an image takes at most
/// 240 MiB with its file; kernel, initial file system and screen are left with the other 144.
pub const MAX_MEMORY: u64 = 64 * 1024 * 1024;

/// Most nodes of a graph: what tract does before a network runs grows with them. The model that ships has 20.
pub const MAX_NODES: usize = 4096;

/// How many times as much an operation counts that tract computes in int8.
const UNFUSED: u64 = 10;

/// Why a network is not one for the box.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// more operations than the budget
    #[error(
        "the network takes {millions} million operations for an image, and the box at most {}: use a smaller network",
        MAX_OPERATIONS / 1_000_000
    )]
    Operations {
        /// What it takes, in millions.
        millions: u64,
    },
    /// more memory than the budget
    #[error("the network takes {mebibytes} MiB of memory, and the box at most {}: use a smaller network", MAX_MEMORY >> 20)]
    Memory {
        /// What it takes, in MiB.
        mebibytes: u64,
    },
    /// more nodes than the limit
    #[error("the network has {0} nodes, and the box takes at most {MAX_NODES}: use a smaller network")]
    Nodes(usize),
    /// longer on this box than an update may take
    #[error("the model takes {seconds} s to load and answer on this box: use a smaller network")]
    Time {
        /// What it took, in seconds.
        seconds: u64,
    },
    /// a shape that does not follow from those before
    #[error(
        "what node `{0}` takes cannot be counted, as its shape or its weights are not fixed: export the model again"
    )]
    Shape(String),
}

/// What a network asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// For one image.
    pub(crate) operations: u64,
    /// Bytes.
    pub(crate) memory: u64,
}

impl Demand {
    /// Counts what a graph that [`crate::check`] has passed asks for, with an image of `side × side` pixels. Sums stop at the
    /// largest number instead of starting anew.
    pub(crate) fn of(graph: &Graph<'_>, side: u16) -> Result<Self, BudgetError> {
        let count = graph.nodes().count();
        if count > MAX_NODES {
            return Err(BudgetError::Nodes(count));
        }
        let mut shapes: HashMap<&str, Vec<u64>> = HashMap::new();
        shapes.insert(crate::INPUT, vec![1, 1, u64::from(side), u64::from(side)]);
        let image = u64::from(side) * u64::from(side);
        let (mut operations, mut values, mut weights, mut widest) = (0_u64, image, 0_u64, 0_u64);
        for node in graph.nodes().filter(|node| node.operator() != "Constant") {
            let unknown = || BudgetError::Shape(node.name().to_owned());
            let Step { shape, operations: more, weights: used, laid_out } =
                Step::of(node, &shapes).ok_or_else(unknown)?;
            let made = elements(&shape).filter(|&made| made > 0).ok_or_else(unknown)?;
            operations = operations.saturating_add(more);
            values = values.saturating_add(made);
            weights = weights.saturating_add(used);
            widest = widest.max(laid_out);
            shapes.insert(node.output(), shape);
        }
        let memory = values.saturating_add(widest).saturating_mul(4).saturating_add(weights.saturating_mul(8));
        Ok(Self { operations, memory })
    }

    /// What a quantized network asks for that is not fused.
    pub(crate) fn unfused(self) -> Self {
        Self { operations: self.operations.saturating_mul(UNFUSED), ..self }
    }

    /// Holds it to the budget of the box.
    pub(crate) fn check(&self) -> Result<(), BudgetError> {
        if self.operations > MAX_OPERATIONS {
            return Err(BudgetError::Operations { millions: self.operations.div_ceil(1_000_000) });
        }
        if self.memory > MAX_MEMORY {
            return Err(BudgetError::Memory { mebibytes: self.memory.div_ceil(1 << 20) });
        }
        Ok(())
    }
}

/// What a node makes and takes.
struct Step {
    /// Of its output.
    shape: Vec<u64>,
    operations: u64,
    /// Values of constants that it multiplies by.
    weights: u64,
    /// Values of its input as tract lays them out for a matrix product.
    laid_out: u64,
}

impl Step {
    /// `None` where a shape does not follow from those before.
    fn of<'a>(node: Node<'a>, shapes: &HashMap<&'a str, Vec<u64>>) -> Option<Self> {
        let known = |index: usize| shapes.get(node.input(index)?);
        let plain = |shape: Vec<u64>, operations: u64| Some(Self { shape, operations, weights: 0, laid_out: 0 });
        match node.operator() {
            "Conv" | "QLinearConv" => {
                let filters = if node.operator() == "Conv" { 1 } else { 3 };
                let [outputs, inputs, rows, columns] = node.dims::<4>(filters).ok()?.map(|n| n as u64);
                let places = slid(known(0)?, &node.window().ok()?, false)?;
                let [_, _, height, width] = places[..] else { return None };
                let window = inputs.checked_mul(rows)?.checked_mul(columns)?;
                let weights = window.checked_mul(outputs)?;
                let groups = u64::try_from(node.groups().ok()?).ok()?;
                Some(Self {
                    shape: vec![1, outputs, height, width],
                    operations: weights.checked_mul(height)?.checked_mul(width)?,
                    weights,
                    laid_out: window.checked_mul(groups)?.checked_mul(height)?.checked_mul(width)?,
                })
            }
            "MaxPool" => {
                let window = node.window().ok()?;
                let shape = slid(known(0)?, &window, node.integer("ceil_mode", 0) != 0)?;
                let read = window.kernel.iter().try_fold(elements(&shape)?, |n, &k| n.checked_mul(k as u64))?;
                plain(shape, read)
            }
            "GlobalAveragePool" => {
                let from = known(0)?;
                let [_, channels, ..] = from[..] else { return None };
                plain(vec![1, channels, 1, 1], elements(from)?)
            }
            "Gemm" | "MatMul" => {
                let from = known(0)?;
                let [rows, columns] = node.dims::<2>(1).ok()?.map(|n| n as u64);
                let outputs = if node.operator() == "Gemm" && node.integer("transB", 0) != 0 { rows } else { columns };
                let mut shape = from.clone();
                if node.operator() == "Gemm" && node.integer("transA", 0) != 0 {
                    shape.reverse();
                }
                *shape.last_mut()? = outputs;
                let weights = rows.checked_mul(columns)?;
                let operations = elements(from)?.checked_mul(outputs)?;
                Some(Self { shape, operations, weights, laid_out: 0 })
            }
            "Flatten" => {
                let values = elements(known(0)?)?;
                plain(vec![1, values], 0)
            }
            "Reshape" => plain(reshaped(node, known(0)?)?, 0),
            "Add" => {
                let shape = match (known(0), known(1)) {
                    (Some(a), Some(b)) => broadcast(a, b)?,
                    (Some(a), None) => broadcast(a, &constant(node, 1)?)?,
                    (None, Some(b)) => broadcast(&constant(node, 0)?, b)?,
                    (None, None) => return None,
                };
                let values = elements(&shape)?;
                plain(shape, values)
            }
            _ => {
                let shape = known(0)?.clone();
                let values = elements(&shape)?;
                plain(shape, values)
            }
        }
    }
}

fn elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d))
}

/// The shape of what a window reads from a map of one image, with its channels.
fn slid(from: &[u64], window: &Window, up: bool) -> Option<Vec<u64>> {
    let &[1, channels, height, width] = from else { return None };
    let [top, left, bottom, right] = window.pads.map(|n| n as u64);
    let extent = window.extent().map(|n| n as u64);
    let strides = window.strides.map(|n| n as u64);
    let places = |length: u64, axis: usize| {
        let room = length.checked_sub(extent[axis])?;
        Some(1 + if up { room.div_ceil(strides[axis]) } else { room / strides[axis] })
    };
    Some(vec![1, channels, places(height + top + bottom, 0)?, places(width + left + right, 1)?])
}

/// The shape that a Reshape states: 0 stands for the length that was there, −1 for what is left.
fn reshaped(node: Node<'_>, from: &[u64]) -> Option<Vec<u64>> {
    let Values::I64(stated) = node.values(1).ok()? else { return None };
    let kept = |(axis, &length): (usize, &i64)| match length {
        0 => from.get(axis).copied(),
        -1 => Some(1),
        length => u64::try_from(length).ok(),
    };
    let mut shape = stated.iter().enumerate().map(kept).collect::<Option<Vec<u64>>>()?;
    let (all, known) = (elements(from)?, elements(&shape)?);
    if let Some(open) = stated.iter().position(|&length| length == -1) {
        shape[open] = all.checked_div(known)?;
    }
    (elements(&shape)? == all).then_some(shape)
}

fn constant(node: Node<'_>, input: usize) -> Option<Vec<u64>> {
    node.lengths(input).ok()?.iter().map(|&length| u64::try_from(length).ok()).collect()
}

/// The shape of a sum: lengths agree from the last axis on, or one of them is 1.
fn broadcast(a: &[u64], b: &[u64]) -> Option<Vec<u64>> {
    let rank = a.len().max(b.len());
    let length = |shape: &[u64], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let axis = |axis| match (length(a, axis), length(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(axis).collect()
}
