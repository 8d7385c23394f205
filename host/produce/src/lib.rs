//! From a trained network to the files that the box runs:
//!
//! - [`export`]: the network as a float ONNX file;
//! - [`quantize`]: a float ONNX file as an int8 one;
//! - [`models`]: both, calibrated, measured, each with its card.

pub mod export;
pub mod models;
pub mod quantize;
