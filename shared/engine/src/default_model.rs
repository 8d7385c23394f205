//! The model that is built in, so that a box always has one.

/// The bytes of `models/pumua.onnx`.
pub const DEFAULT_MODEL: &[u8] = include_bytes!("../../../models/pumua.onnx");
