//! A graph to read from: its constants, what makes a tensor, and the attributes of nodes with the standard's defaults.
//!
//! This is the one place that knows how ONNX writes these things down. Those who read a graph (the check of a file, the
//! fusing of int8 layers, the end of a network in f32, the quantizer) keep what they make of it, and turn a
//! [`ReadError`] into an error of theirs.

use std::collections::{HashMap, HashSet};

use super::{
    Values,
    pb::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType},
};
use crate::check::OUTPUTS;

/// Why a part of a node cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// an input that is not constant, or of another type or shape
    #[error("an operand is not a constant of the expected type and shape")]
    Constant,
    /// an attribute out of its range, or not supported with this value
    #[error("an attribute has a value that is not supported")]
    Attribute,
    /// `auto_pad`
    #[error("automatic padding is not supported: write the padding as `pads`")]
    AutoPad,
}

/// A graph, with its constants and nodes by name.
pub struct Graph<'a> {
    nodes: &'a [NodeProto],
    /// Initializers, and the `value` of Constant nodes.
    constants: HashMap<&'a str, &'a TensorProto>,
    /// Nodes by the name of what they make.
    makers: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Graph<'a> {
    /// Looks a graph through. It need not have been checked.
    pub fn new(graph: &'a GraphProto) -> Self {
        let made = graph.node.iter().filter_map(|node| Some((node.output.first()?.as_str(), node)));
        let values = made.clone().filter(|(_, node)| node.op_type == "Constant").filter_map(|(name, node)| {
            let value = node.attribute.iter().find(|attribute| attribute.name == "value")?;
            Some((name, value.t.as_ref()?))
        });
        let constants = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).chain(values).collect();
        Self { nodes: &graph.node, constants, makers: made.collect() }
    }

    /// The nodes in the file's order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = Node<'_>> {
        self.nodes.iter().map(|proto| Node { graph: self, proto })
    }

    /// The nodes that an output depends on, in the file's order, without constants.
    pub fn live(&self) -> Vec<Node<'_>> {
        let mut wanted: HashSet<&str> = OUTPUTS.into_iter().collect();
        let mut live = Vec::new();
        for node in self.nodes().rev() {
            if node.operator() != "Constant" && node.proto.output.iter().any(|output| wanted.contains(output.as_str()))
            {
                wanted.extend(node.inputs());
                live.push(node);
            }
        }
        live.reverse();
        live
    }

    /// The node that makes a tensor.
    pub fn maker(&self, tensor: &str) -> Option<Node<'_>> {
        Some(Node { graph: self, proto: self.makers.get(tensor)? })
    }

    /// The constant of this name.
    pub fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        self.constants.get(name).copied()
    }
}

/// A node of a graph.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    graph: &'a Graph<'a>,
    /// The node as it is in the file.
    pub(crate) proto: &'a NodeProto,
}

impl<'a> Node<'a> {
    /// The type of its operator.
    pub fn operator(&self) -> &'a str {
        &self.proto.op_type
    }

    /// Its name; where it has none, that of its output.
    pub fn name(&self) -> &'a str {
        if self.proto.name.is_empty() { self.output() } else { &self.proto.name }
    }

    /// The names of its inputs, without those left out.
    pub fn inputs(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.proto.input.iter().map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of an input; `None` if it is left out.
    pub fn input(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of its first output, the only one of every operator that is known here.
    pub fn output(&self) -> &'a str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// The values of a constant input.
    pub fn values(&self, input: usize) -> Result<Values, ReadError> {
        Values::read(self.tensor(input)?).ok_or(ReadError::Constant)
    }

    /// The values of a constant input of f32.
    pub fn floats(&self, input: usize) -> Result<Vec<f32>, ReadError> {
        match self.values(input)? {
            Values::F32(values) => Ok(values),
            _ => Err(ReadError::Constant),
        }
    }

    /// The only value of a constant input of f32.
    pub fn scalar(&self, input: usize) -> Result<f32, ReadError> {
        match self.floats(input)?[..] {
            [value] => Ok(value),
            _ => Err(ReadError::Constant),
        }
    }

    /// One value in f32 for each of `outputs` channels; zeros if the input is left out.
    pub fn bias(&self, input: usize, outputs: usize) -> Result<Vec<f32>, ReadError> {
        let bias = self.input(input).map_or_else(|| Ok(vec![0.0; outputs]), |_| self.floats(input))?;
        if bias.len() == outputs { Ok(bias) } else { Err(ReadError::Constant) }
    }

    /// The dimensions of a constant input, each at least 1.
    pub fn dims<const N: usize>(&self, input: usize) -> Result<[usize; N], ReadError> {
        lengths(&self.tensor(input)?.dims, 1).ok_or(ReadError::Constant)
    }

    /// The lengths of a constant input as the file states them.
    pub fn lengths(&self, input: usize) -> Result<&'a [i64], ReadError> {
        Ok(&self.tensor(input)?.dims)
    }

    fn tensor(&self, input: usize) -> Result<&'a TensorProto, ReadError> {
        self.input(input).and_then(|name| self.graph.constant(name)).ok_or(ReadError::Constant)
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// The integers of an attribute: of a list all, of a single integer one, none if it is absent.
    pub fn integers(&self, name: &str) -> &'a [i64] {
        match self.attribute(name) {
            Some(attribute) if attribute.r#type == AttributeType::Int as i32 => std::slice::from_ref(&attribute.i),
            Some(attribute) => &attribute.ints,
            None => &[],
        }
    }

    /// The integer of an attribute.
    pub fn integer(&self, name: &str, default: i64) -> i64 {
        self.integers(name).first().copied().unwrap_or(default)
    }

    /// The real number of an attribute.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    /// In how many groups a convolution takes its channels.
    pub fn groups(&self) -> Result<usize, ReadError> {
        usize::try_from(self.integer("group", 1)).ok().filter(|&groups| groups > 0).ok_or(ReadError::Attribute)
    }

    /// The window of a convolution with constant weights, or of a max-pooling.
    pub fn window(&self) -> Result<Window, ReadError> {
        let stated = self.side_lengths("kernel_shape", 1)?;
        let kernel = if self.operator() == "MaxPool" {
            stated.ok_or(ReadError::Attribute)?
        } else {
            let [_, _, height, width] = self.dims(if self.operator() == "QLinearConv" { 3 } else { 1 })?;
            // A convolution may leave out the size of its kernel, but not contradict its weights.
            match stated.unwrap_or([height, width]) {
                kernel if kernel == [height, width] => kernel,
                _ => return Err(ReadError::Attribute),
            }
        };
        if self.attribute("auto_pad").is_some_and(|padding| !matches!(padding.s.as_slice(), b"" | b"NOTSET")) {
            return Err(ReadError::AutoPad);
        }
        Ok(Window {
            kernel,
            strides: self.side_lengths("strides", 1)?.unwrap_or([1; 2]),
            dilations: self.side_lengths("dilations", 1)?.unwrap_or([1; 2]),
            pads: self.side_lengths("pads", 0)?.unwrap_or([0; 4]),
        })
    }

    fn side_lengths<const N: usize>(&self, name: &str, least: usize) -> Result<Option<[usize; N]>, ReadError> {
        match self.integers(name) {
            [] => Ok(None),
            sides => lengths(sides, least).map(Some).ok_or(ReadError::Attribute),
        }
    }

    /// The dense layer that a Gemm, or a MatMul with a constant, applies to each row.
    pub fn dense(&self) -> Result<Dense, ReadError> {
        let [rows, columns] = self.dims(1)?;
        if self.integer("transA", 0) != 0 || self.float("alpha", 1.0) != 1.0 || self.float("beta", 1.0) != 1.0 {
            return Err(ReadError::Attribute);
        }
        let weights = self.floats(1)?;
        if self.integer("transB", 0) != 0 {
            return Ok(Dense { weights, bias: self.bias(2, rows)? });
        }
        let column = |column: usize| weights.iter().skip(column).step_by(columns).copied();
        Ok(Dense { weights: (0..columns).flat_map(column).collect(), bias: self.bias(2, columns)? })
    }
}

/// Lengths as many as wanted, none below the least.
fn lengths<const N: usize>(values: &[i64], least: usize) -> Option<[usize; N]> {
    let length = |&value: &i64| usize::try_from(value).ok().filter(|&length| length >= least);
    values.iter().map(length).collect::<Option<Vec<_>>>()?.try_into().ok()
}

/// Where a window lies: height before width; padding top, left, bottom, right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Values that it reads along each axis.
    pub kernel: [usize; 2],
    /// From one place of it to the next.
    pub strides: [usize; 2],
    /// From one value that it reads to the next.
    pub dilations: [usize; 2],
    /// Zeros around what it reads.
    pub pads: [usize; 4],
}

impl Window {
    /// A window of neighbours at every place, without padding.
    pub fn of(kernel: [usize; 2]) -> Self {
        Self { kernel, strides: [1; 2], dilations: [1; 2], pads: [0; 4] }
    }

    /// Its size with the gaps between the values that it reads.
    pub fn extent(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1) * self.dilations[axis] + 1)
    }
}

/// A dense layer in f32: `y = W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[outputs][inputs]`.
    pub weights: Vec<f32>,
    /// One value for each output.
    pub bias: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::write::{f32_tensor, i8_tensor, integer, integers, node};

    /// Reads the one node of a graph.
    fn read<T>(node: NodeProto, constants: Vec<TensorProto>, read: impl Fn(Node<'_>) -> T) -> T {
        let graph = GraphProto { node: vec![node], initializer: constants, ..GraphProto::default() };
        let graph = Graph::new(&graph);
        let node = graph.nodes().next().expect("a node");
        read(node)
    }

    #[test]
    fn windows_have_the_defaults_of_the_standard() {
        let weights = || vec![f32_tensor("w", &[1, 1, 3, 5], &[0.0; 15])];
        let window = |attributes| read(node("Conv", &["x", "w"], "y", attributes), weights(), |node| node.window());
        assert_eq!(window(vec![]), Ok(Window::of([3, 5])));
        assert_eq!(window(vec![integers("kernel_shape", &[3, 5])]), Ok(Window::of([3, 5])));
        let stated =
            vec![integers("strides", &[1, 2]), integers("dilations", &[2, 1]), integers("pads", &[1, 2, 3, 4])];
        let found = window(stated).expect("a window");
        assert_eq!((found.strides, found.dilations, found.pads), ([1, 2], [2, 1], [1, 2, 3, 4]));
        assert_eq!(found.extent(), [5, 5]);
        for wrong in [
            integers("kernel_shape", &[5, 3]),
            integers("strides", &[0, 1]),
            integers("pads", &[1, 1]),
            integers("pads", &[0, 0, 0, -1]),
            integers("dilations", &[1, 1, 1]),
        ] {
            assert_eq!(window(vec![wrong.clone()]), Err(ReadError::Attribute), "{wrong:?}");
        }
        let auto = |value: &[u8]| AttributeProto { name: "auto_pad".into(), s: value.to_vec(), ..Default::default() };
        assert_eq!(window(vec![auto(b"NOTSET")]), Ok(Window::of([3, 5])));
        assert_eq!(window(vec![auto(b"SAME_UPPER")]), Err(ReadError::AutoPad));

        let pool = |attributes| read(node("MaxPool", &["x"], "y", attributes), vec![], |node| node.window());
        assert_eq!(pool(vec![integers("kernel_shape", &[2, 2])]), Ok(Window::of([2, 2])));
        assert_eq!(pool(vec![]), Err(ReadError::Attribute));
        let variable = read(node("Conv", &["x", "y"], "z", vec![]), weights(), |node| node.window());
        assert_eq!(variable, Err(ReadError::Constant));
    }

    #[test]
    fn dense_layers_are_read_as_rows_of_outputs() {
        let constants =
            || vec![f32_tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), f32_tensor("b", &[2], &[7.0, 8.0])];
        let dense = |operator: &str, inputs: &[&str], attributes| {
            read(node(operator, inputs, "y", attributes), constants(), |node| node.dense())
        };
        let columns = Dense { weights: vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0], bias: vec![0.0; 3] };
        assert_eq!(dense("MatMul", &["x", "w"], vec![]), Ok(columns.clone()));
        assert_eq!(dense("Gemm", &["x", "w", ""], vec![]), Ok(columns));
        let rows = Dense { weights: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], bias: vec![7.0, 8.0] };
        assert_eq!(dense("Gemm", &["x", "w", "b"], vec![integer("transB", 1)]), Ok(rows));
        assert_eq!(dense("Gemm", &["x", "w", "b"], vec![]), Err(ReadError::Constant));
        assert_eq!(dense("Gemm", &["x", "w"], vec![integer("transA", 1)]), Err(ReadError::Attribute));
        assert_eq!(dense("Gemm", &["x", "x"], vec![]), Err(ReadError::Constant));
    }

    #[test]
    fn constants_are_of_the_type_that_is_asked_for() {
        let constants = || vec![f32_tensor("one", &[], &[0.5]), i8_tensor("zero", &[], &[0])];
        let quantize = || node("QuantizeLinear", &["x", "one", "zero"], "y", vec![]);
        assert_eq!(read(quantize(), constants(), |node| node.scalar(1)), Ok(0.5));
        for input in [0, 2, 3] {
            assert_eq!(read(quantize(), constants(), |node| node.scalar(input)), Err(ReadError::Constant));
        }
    }

    #[test]
    fn live_nodes_are_those_that_an_output_depends_on() {
        let nodes = ["logit", "unread", "probability"].map(|output| node("Relu", &["image"], output, vec![]));
        let graph = GraphProto { node: nodes.to_vec(), ..GraphProto::default() };
        let graph = Graph::new(&graph);
        assert_eq!(graph.live().iter().map(Node::output).collect::<Vec<_>>(), OUTPUTS);
        assert_eq!(graph.maker("unread").map(|node| node.operator()), Some("Relu"));
        assert!(graph.maker("image").is_none());
    }
}
