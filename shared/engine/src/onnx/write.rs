//! Building blocks of an ONNX file: tensors, nodes, and the model around them.

use super::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};
use crate::{
    card::{CARD_KEY, ModelCard},
    check::{INPUT, OUTPUTS},
};

/// Version of the standard operators that is written.
pub const OPSET: i64 = 18;

/// Version of the file format that goes with operator set 18 (ONNX 1.13).
pub const IR_VERSION: i64 = 8;

/// A FLOAT tensor, row-major.
pub fn f32_tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    tensor(name, DataType::Float, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// An INT8 tensor, row-major.
pub fn i8_tensor(name: &str, dims: &[usize], values: &[i8]) -> TensorProto {
    tensor(name, DataType::Int8, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// An INT32 tensor, row-major.
pub fn i32_tensor(name: &str, dims: &[usize], values: &[i32]) -> TensorProto {
    tensor(name, DataType::Int32, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn tensor(name: &str, data_type: DataType, dims: &[usize], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: data_type as i32,
        dims: dims.iter().map(|&d| d as i64).collect(),
        raw_data,
        ..TensorProto::default()
    }
}

/// A node with one output, of which it takes its name.
pub fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        name: output.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes,
        ..NodeProto::default()
    }
}

/// An attribute of one integer.
pub fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..AttributeProto::default() }
}

/// An attribute of several integers.
pub fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

/// A model of these nodes, from the input `image` `[1, 1, side, side]` to the outputs `logit` and `probability`
/// `[1, 1]`, with its card among the metadata.
pub fn model(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, card: &ModelCard) -> serde_json::Result<ModelProto> {
    let side = i64::from(card.behaviour.contract.side);
    let graph = GraphProto {
        name: card.name.clone(),
        node: nodes,
        initializer: constants,
        input: vec![value_info(INPUT, &[1, 1, side, side])],
        output: OUTPUTS.iter().map(|name| value_info(name, &[1, 1])).collect(),
        ..GraphProto::default()
    };
    Ok(ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { version: OPSET, ..OperatorSetIdProto::default() }],
        producer_name: "pumua".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        metadata_props: vec![StringStringEntryProto { key: CARD_KEY.into(), value: serde_json::to_string(card)? }],
        ..ModelProto::default()
    })
}

fn value_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| Dimension { value: Some(dimension::Value::DimValue(n)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
