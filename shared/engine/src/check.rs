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
        Values,
        graph::{Graph, Node},
        pb::{
            GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension,
            type_proto,
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
    /// two versions of the standard's operators, or two metadata entries of one name: readers differ in which one counts
    #[error("the ONNX file states {0} more than once: export the model again")]
    Twice(&'static str),
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
    let mut standard = model.opset_import.iter().filter(|set| is_standard(&set.domain));
    let opset = standard.next().map_or(0, |set| set.version);
    if standard.next().is_some() {
        return Err(GraphError::Twice("its operator set"));
    }
    let mut keys = HashSet::new();
    if !model.metadata_props.iter().all(|entry| keys.insert(&entry.key)) {
        return Err(GraphError::Twice("a key of its metadata"));
    }
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

/// True if the operator is one of the standard's own (the default domain).
fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
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
    // Every tensor defined so far, and whether it depends on the image.
    let mut defined: HashMap<&str, bool> = graph.initializer.iter().map(|t| (t.name.as_str(), false)).collect();
    defined.insert(INPUT, true);
    let outputs = &graph.output;
    let graph = Graph::new(graph);
    for node in graph.nodes() {
        let (operator, domain) = (node.operator(), &node.proto.domain);
        if !is_standard(domain) || !OPERATORS.contains(&operator) {
            let operator = if is_standard(domain) { operator.to_owned() } else { format!("{domain}.{operator}") };
            return Err(GraphError::Operator { operator, node: node.name().to_owned() });
        }
        let fail = |what| Err(GraphError::Node { node: node.name().to_owned(), what });
        let mut depends = false;
        for input in node.inputs() {
            match defined.get(input) {
                Some(image) => depends |= image,
                None => return fail("an input is used before it is defined"),
            }
        }
        let constant = operator == "Constant";
        if constant && !graph.constant(node.output()).is_some_and(is_readable) {
            return fail("the constant has no readable `value`");
        }
        // Constants are not computed at load: what they make could be of any size.
        if depends == constant {
            return fail("it does not depend on the image");
        }
        if node.proto.input.first().is_some_and(String::is_empty) {
            return fail("its first input is missing");
        }
        for output in &node.proto.output {
            if output.is_empty() || defined.insert(output, depends).is_some() {
                return fail("an output has no name or one that is taken");
            }
        }
        check_attributes(node).or_else(fail)?;
        check_quantization(node).or_else(fail)?;
    }
    match OUTPUTS.into_iter().find(|&name| defined.get(name) != Some(&true)) {
        Some(name) => Err(GraphError::Output(name)),
        None if outputs.iter().any(|output| !defined.contains_key(output.name.as_str())) => Err(GraphError::Empty),
        None => Ok(()),
    }
}

fn check_attributes(node: Node<'_>) -> Result<(), &'static str> {
    for attribute in &node.proto.attribute {
        if attribute.g.is_some() || !attribute.graphs.is_empty() || !attribute.ref_attr_name.is_empty() {
            return Err("it holds a graph of its own");
        }
    }
    for (name, least) in [("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("pads", 0), ("group", 1)] {
        if node.integers(name).iter().any(|n| !(least..=MAX_WINDOW).contains(n)) {
            return Err("its window, padding or number of groups is out of range");
        }
    }
    let rank = |name| node.integers(name).len();
    if matches!(node.operator(), "Conv" | "QLinearConv" | "MaxPool") {
        let fits = |name, length| matches!(rank(name), n if n == 0 || n == length);
        if !fits("kernel_shape", 2) || !fits("strides", 2) || !fits("dilations", 2) || !fits("pads", 4) {
            return Err("its window is not two-dimensional");
        }
        if node.operator() == "MaxPool" && rank("kernel_shape") == 0 {
            return Err("it has no kernel_shape");
        }
    }
    let inputs = match node.operator() {
        "Constant" => 0..=0,
        "BatchNormalization" => 5..=5,
        "Add" | "MatMul" | "Reshape" => 2..=2,
        "Conv" | "Gemm" => 2..=3,
        "QuantizeLinear" | "DequantizeLinear" => 3..=3,
        "QLinearConv" => 8..=9,
        "Dropout" => 1..=3,
        _ => 1..=1,
    };
    if !inputs.contains(&node.proto.input.len()) || node.proto.output.len() != 1 {
        return Err("it has too few or too many inputs or outputs");
    }
    Ok(())
}

/// Scales are constant, finite and positive; zero points are 0; only weights have a scale per channel (tract takes the
/// first scale of a per-axis QuantizeLinear for all).
fn check_quantization(node: Node<'_>) -> Result<(), &'static str> {
    let (scales, zero_points): (&[usize], &[usize]) = match node.operator() {
        "QuantizeLinear" | "DequantizeLinear" => (&[1], &[2]),
        "QLinearConv" => (&[1, 4, 6], &[2, 5, 7]),
        _ => return Ok(()),
    };
    let convolution = node.operator() == "QLinearConv";
    for &index in scales {
        match node.floats(index) {
            Ok(scale)
                if scale.iter().all(|s| s.is_finite() && *s > 0.0)
                    && (scale.len() == 1 || (convolution && index == 4)) => {}
            _ => return Err("a scale is not constant, not positive, or not one for the whole tensor"),
        }
    }
    for &index in zero_points {
        match node.values(index) {
            Ok(Values::I8(zero)) if zero.iter().all(|&z| z == 0) => {}
            _ => return Err("a zero point is not the int8 constant 0"),
        }
    }
    if convolution {
        let (Ok(Values::I8(_)), Ok([outputs, ..])) = (node.values(3), node.dims::<4>(3)) else {
            return Err("its weights are not an int8 constant of four dimensions");
        };
        if !node.floats(4).is_ok_and(|scale| scale.len() == 1 || scale.len() == outputs) {
            return Err("it does not have one weight scale per output channel");
        }
        if node.proto.input.len() == 9 && !matches!(node.values(8), Ok(Values::I32(_))) {
            return Err("its bias is not an int32 constant");
        }
    }
    Ok(())
}
