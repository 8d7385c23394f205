//! The ONNX file as protobuf structures, and its constant tensors as plain numbers.

pub mod write;

use std::collections::HashMap;

pub use tract_onnx::pb;

use pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

/// The values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// FLOAT.
    F32(Vec<f32>),
    /// INT8.
    I8(Vec<i8>),
    /// INT32.
    I32(Vec<i32>),
    /// INT64.
    I64(Vec<i64>),
}

impl Values {
    /// Reads the values of a tensor. `None` if they are of another type, lie in another file, or are not as many as the
    /// dimensions say.
    pub fn read(tensor: &TensorProto) -> Option<Self> {
        let count = tensor.dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))?;
        if !tensor.external_data.is_empty() || tensor.segment.is_some() {
            return None;
        }
        let raw = &tensor.raw_data;
        let values = match DataType::try_from(tensor.data_type).ok()? {
            DataType::Float if raw.is_empty() => Self::F32(tensor.float_data.clone()),
            DataType::Float => Self::F32(words(raw, f32::from_le_bytes)?),
            DataType::Int8 if raw.is_empty() => {
                Self::I8(tensor.int32_data.iter().map(|&v| i8::try_from(v).ok()).collect::<Option<_>>()?)
            }
            DataType::Int8 => Self::I8(words(raw, i8::from_le_bytes)?),
            DataType::Int32 if raw.is_empty() => Self::I32(tensor.int32_data.clone()),
            DataType::Int32 => Self::I32(words(raw, i32::from_le_bytes)?),
            DataType::Int64 if raw.is_empty() => Self::I64(tensor.int64_data.clone()),
            DataType::Int64 => Self::I64(words(raw, i64::from_le_bytes)?),
            _ => return None,
        };
        (values.len() == count).then_some(values)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
        }
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values if they are FLOAT.
    pub fn f32(&self) -> Option<&[f32]> {
        if let Self::F32(v) = self { Some(v) } else { None }
    }

    /// The values if they are INT64.
    pub fn i64(&self) -> Option<&[i64]> {
        if let Self::I64(v) = self { Some(v) } else { None }
    }
}

fn words<T, const N: usize>(raw: &[u8], read: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (words, rest) = raw.as_chunks::<N>();
    rest.is_empty().then(|| words.iter().map(|&word| read(word)).collect())
}

/// The constant tensors of a graph by name: initializers and the `value` of Constant nodes.
pub fn constants(graph: &GraphProto) -> HashMap<&str, &TensorProto> {
    let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
    let constants = nodes.filter_map(|node| {
        let value = node.attribute.iter().find(|a| a.name == "value")?;
        Some((node.output.first()?.as_str(), value.t.as_ref()?))
    });
    graph.initializer.iter().map(|t| (t.name.as_str(), t)).chain(constants).collect()
}

/// The integers of a node's attribute: of a list all, of a single integer one, none if it is absent.
pub fn integers<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    use pb::attribute_proto::AttributeType;
    match node.attribute.iter().find(|a| a.name == name) {
        Some(a) if a.r#type == AttributeType::Int as i32 => std::slice::from_ref(&a.i),
        Some(a) => &a.ints,
        None => &[],
    }
}

/// True if the operator is one of the standard's own (the default domain).
pub fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}
