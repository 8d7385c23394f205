//! The ONNX file as protobuf structures, its graph to [read](graph) and to [write](mod@write), and its tensors as plain numbers.

pub mod graph;
pub mod write;

pub use tract_onnx::pb;

use pb::{TensorProto, tensor_proto::DataType};

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
            DataType::Float => Self::F32(little_endian(raw, f32::from_le_bytes)?),
            DataType::Int8 if raw.is_empty() => {
                Self::I8(tensor.int32_data.iter().map(|&v| i8::try_from(v).ok()).collect::<Option<_>>()?)
            }
            DataType::Int8 => Self::I8(little_endian(raw, i8::from_le_bytes)?),
            DataType::Int32 if raw.is_empty() => Self::I32(tensor.int32_data.clone()),
            DataType::Int32 => Self::I32(little_endian(raw, i32::from_le_bytes)?),
            DataType::Int64 if raw.is_empty() => Self::I64(tensor.int64_data.clone()),
            DataType::Int64 => Self::I64(little_endian(raw, i64::from_le_bytes)?),
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
}

/// Values of `N` bytes each, one after the other.
fn little_endian<T, const N: usize>(raw: &[u8], read: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (values, rest) = raw.as_chunks::<N>();
    rest.is_empty().then(|| values.iter().map(|&value| read(value)).collect())
}
