//! What a model file must be, checked before anything is built from it.
//!
//! tract trusts what it loads: it may panic or reserve memory by a number in the file. So the file is held to a
//! narrow form first: known operators, constants as long as they say, windows of bounded size, tensors defined before
//! they are used, and the input and outputs of the card's contract.

use std::collections::{HashMap, HashSet};

use shared::contract::InputContract;

use crate::{
    card::Behaviour,
    onnx::{
        self, Values,
        pb::{
            GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
            tensor_shape_proto::dimension, type_proto,
        },
    },
};

/// Name of the input: f32, `[N, 1, side, side]`.
pub const INPUT: &str = "image";

/// Names of the outputs, each one f32 per image: log-odds and probability of pneumonia.
pub const OUTPUTS: [&str; 2] = ["logit", "probability"];

/// Versions of the standard operators that are understood: 14 is the first with Relu on int8, 18 the last that tract
/// is tested against.
pub const OPSETS: std::ops::RangeInclusive<i64> = 14..=18;

/// Operators that a model may use.
pub const OPERATORS: [&str; 17] = [
    "Add",
    "BatchNormalization",
    "Constant",
    "Conv",
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "MaxPool",
    "QLinearConv",
    "QuantizeLinear",
    "Relu",
    "Reshape",
    "Sigmoid",
];

/// Longest kernel, stride, dilation and padding.
const MAX_WINDOW: i64 = 512;

/// Why a file is not a model that can be run.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// no graph
    #[error("the ONNX file holds no graph: use a model made by `pumua train` or `pumua quantize`")]
    Empty,
    /// operator set out of range
    #[error("the ONNX file uses operator set {0}; 14 to 18 are supported: export it again with opset 18")]
    Opset(i64),
    /// an operator that is not known
    #[error("operator {operator} (node `{node}`) is not supported: use one of {}", OPERATORS.join(", "))]
    Operator {
        /// Type of the operator, with its domain where it is not the standard's.
        operator: String,
        /// Name of the node.
        node: String,
    },
    /// a node that contradicts the standard or the limits
    #[error("node `{node}`: {what}: export the model again")]
    Node {
        /// Name of the node.
        node: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// a constant that is not what it says
    #[error("constant `{0}` is damaged, sparse, in another file or of an unsupported type: export the model again")]
    Constant(String),
    /// the input is not the card's
    #[error("the model's input must be `{INPUT}`, f32 [1, 1, {side}, {side}] as its card says: export it again")]
    Input {
        /// Side length by the card.
        side: u16,
    },
    /// an output is missing
    #[error("the model has no f32 output `{0}`: export it again with the outputs `logit` and `probability`")]
    Output(&'static str),
    /// card and graph disagree
    #[error("the card says int8 = {card}, but the graph {}: make the file again with `pumua quantize`",
        if *card { "has no QLinearConv" } else { "has a QLinearConv" })]
    Int8 {
        /// What the card says.
        card: bool,
    },
}

/// Checks a file against what its card says of it.
pub(crate) fn check(model: &ModelProto, behaviour: &Behaviour) -> Result<(), GraphError> {
    let graph = model.graph.as_ref().ok_or(GraphError::Empty)?;
    let standard = model.opset_import.iter().find(|set| onnx::is_standard(&set.domain));
    let opset = standard.map_or(0, |set| set.version);
    if !OPSETS.contains(&opset) {
        return Err(GraphError::Opset(opset));
    }
    check_constants(graph)?;
    check_input(graph, &behaviour.contract)?;
    for name in OUTPUTS {
        let output = graph.output.iter().find(|output| output.name == name);
        if output.and_then(float_shape).is_none() {
            return Err(GraphError::Output(name));
        }
    }
    check_nodes(graph)?;
    let int8 = graph.node.iter().any(|node| node.op_type == "QLinearConv");
    if int8 != behaviour.int8 { Err(GraphError::Int8 { card: behaviour.int8 }) } else { Ok(()) }
}

fn check_constants(graph: &GraphProto) -> Result<(), GraphError> {
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map(|values| values.name.clone());
        return Err(GraphError::Constant(name.unwrap_or_default()));
    }
    let mut names = HashSet::new();
    for tensor in &graph.initializer {
        if !names.insert(&tensor.name) || !is_readable(tensor) {
            return Err(GraphError::Constant(tensor.name.clone()));
        }
    }
    Ok(())
}

fn is_readable(tensor: &TensorProto) -> bool {
    Values::read(tensor).is_some_and(|values| !values.is_empty())
}

/// The dimensions of an f32 input or output; `None` where one is symbolic.
fn float_shape(info: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    if tensor.elem_type != DataType::Float as i32 {
        return None;
    }
    let dims = tensor.shape.as_ref()?.dim.iter();
    Some(
        dims.map(|dim| match dim.value {
            Some(dimension::Value::DimValue(n)) => Some(n),
            _ => None,
        })
        .collect(),
    )
}

fn check_input(graph: &GraphProto, contract: &InputContract) -> Result<(), GraphError> {
    let side = i64::from(contract.side);
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut inputs = graph.input.iter().filter(|input| !constants.contains(input.name.as_str()));
    let found = inputs.next().filter(|input| input.name == INPUT).and_then(float_shape);
    let fits = found.is_some_and(
        |shape| matches!(shape[..], [None | Some(1), Some(1), Some(h), Some(w)] if h == side && w == side),
    );
    if fits && inputs.next().is_none() { Ok(()) } else { Err(GraphError::Input { side: contract.side }) }
}

fn check_nodes(graph: &GraphProto) -> Result<(), GraphError> {
    let constants = onnx::constants(graph);
    // Every tensor defined so far, and whether it depends on the image.
    let mut defined: HashMap<&str, bool> = graph.initializer.iter().map(|t| (t.name.as_str(), false)).collect();
    defined.insert(INPUT, true);
    for node in &graph.node {
        if !onnx::is_standard(&node.domain) || !OPERATORS.contains(&node.op_type.as_str()) {
            let operator = if onnx::is_standard(&node.domain) {
                node.op_type.clone()
            } else {
                format!("{}.{}", node.domain, node.op_type)
            };
            return Err(GraphError::Operator { operator, node: node.name.clone() });
        }
        let fail = |what| Err(GraphError::Node { node: node.name.clone(), what });
        let mut depends = false;
        for input in node.input.iter().filter(|name| !name.is_empty()) {
            match defined.get(input.as_str()) {
                Some(image) => depends |= image,
                None => return fail("an input is used before it is defined"),
            }
        }
        let constant = node.op_type == "Constant";
        if constant
            && !node.output.first().and_then(|name| constants.get(name.as_str())).is_some_and(|t| is_readable(t))
        {
            return fail("the constant has no readable `value`");
        }
        // Constants are not computed at load: what they make could be of any size.
        if depends == constant {
            return fail("it does not depend on the image");
        }
        if node.input.first().is_some_and(String::is_empty) {
            return fail("its first input is missing");
        }
        for output in &node.output {
            if output.is_empty() || defined.insert(output, depends).is_some() {
                return fail("an output has no name or one that is taken");
            }
        }
        check_attributes(node).or_else(fail)?;
        check_quantization(node, &constants).or_else(fail)?;
    }
    match OUTPUTS.into_iter().find(|&name| defined.get(name) != Some(&true)) {
        Some(name) => Err(GraphError::Output(name)),
        None if graph.output.iter().any(|output| !defined.contains_key(output.name.as_str())) => Err(GraphError::Empty),
        None => Ok(()),
    }
}

fn check_attributes(node: &NodeProto) -> Result<(), &'static str> {
    for attribute in &node.attribute {
        if attribute.g.is_some() || !attribute.graphs.is_empty() || !attribute.ref_attr_name.is_empty() {
            return Err("it holds a graph of its own");
        }
    }
    for (name, least) in [("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("pads", 0), ("group", 1)] {
        if onnx::integers(node, name).iter().any(|n| !(least..=MAX_WINDOW).contains(n)) {
            return Err("its window, padding or number of groups is out of range");
        }
    }
    let rank = |name| onnx::integers(node, name).len();
    let windowed = matches!(node.op_type.as_str(), "Conv" | "QLinearConv" | "MaxPool");
    if windowed {
        let fits = |name, length| matches!(rank(name), n if n == 0 || n == length);
        if !fits("kernel_shape", 2) || !fits("strides", 2) || !fits("dilations", 2) || !fits("pads", 4) {
            return Err("its window is not two-dimensional");
        }
        if node.op_type == "MaxPool" && rank("kernel_shape") == 0 {
            return Err("it has no kernel_shape");
        }
    }
    let inputs = match node.op_type.as_str() {
        "Constant" => 0..=0,
        "BatchNormalization" => 5..=5,
        "Add" | "MatMul" | "Reshape" => 2..=2,
        "Conv" | "Gemm" => 2..=3,
        "QuantizeLinear" | "DequantizeLinear" => 3..=3,
        "QLinearConv" => 8..=9,
        "Dropout" => 1..=3,
        _ => 1..=1,
    };
    if !inputs.contains(&node.input.len()) || node.output.len() != 1 {
        return Err("it has too few or too many inputs or outputs");
    }
    Ok(())
}

/// Scales are constant, finite and positive; zero points are 0; only weights have a scale per channel (tract takes the
/// first scale of a per-axis QuantizeLinear for all).
fn check_quantization(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Result<(), &'static str> {
    let values = |index: usize| node.input.get(index).and_then(|name| Values::read(constants.get(name.as_str())?));
    let (scales, zero_points): (&[usize], &[usize]) = match node.op_type.as_str() {
        "QuantizeLinear" | "DequantizeLinear" => (&[1], &[2]),
        "QLinearConv" => (&[1, 4, 6], &[2, 5, 7]),
        _ => return Ok(()),
    };
    let weights = if node.op_type == "QLinearConv" { 3 } else { usize::MAX };
    for &index in scales {
        match values(index) {
            Some(Values::F32(scale))
                if scale.iter().all(|s| s.is_finite() && *s > 0.0) && (scale.len() == 1 || index == weights + 1) => {}
            _ => return Err("a scale is not constant, not positive, or not one for the whole tensor"),
        }
    }
    for &index in zero_points {
        match values(index) {
            Some(Values::I8(zero)) if zero.iter().all(|&z| z == 0) => {}
            _ => return Err("a zero point is not the int8 constant 0"),
        }
    }
    if weights == 3 {
        let channels = |index: usize| node.input.get(index).and_then(|name| constants.get(name.as_str())?.dims.first());
        let scales = values(4).map_or(0, |scale| scale.len());
        if !matches!(values(weights), Some(Values::I8(_))) || channels(weights).is_none() {
            return Err("its weights are not an int8 constant");
        }
        if scales != 1 && channels(weights).copied() != i64::try_from(scales).ok() {
            return Err("it does not have one weight scale per output channel");
        }
        if node.input.len() == 9 && !matches!(values(8), Some(Values::I32(_))) {
            return Err("its bias is not an int32 constant");
        }
    }
    Ok(())
}
