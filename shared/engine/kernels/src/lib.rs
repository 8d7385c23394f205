//! Exact 8-bit integer layers of convolutional networks for small processors.
//!
//! A layer ([`Layer`]) is described by its parameters and prepared once for the place of its maps in memory ([`Layout`]); then it
//! runs without allocating. There are several sets of [`Kernels`], and all give the same bits: those of the portable one,
//! which is the definition in safe Rust. `docs/engine.md` of the repository explains how they work, with pictures.
//!
//! - **Rounding** is that of ONNX's QLinearConv: see [`requantize`].
//! - **Layout**: feature maps are i8, rows × columns × channels, with the padding as a border of zeros around them.

#[cfg(target_arch = "aarch64")]
mod arm;
mod choice;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod depthwise;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod direct;
mod layer;
mod layout;
mod portable;
mod prepared;
mod requantize;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tiling;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Output channels that are computed together, and to a multiple of which packed weights are filled up.
const BLOCK: usize = 16;

#[cfg(all(target_arch = "aarch64", target_endian = "big"))]
compile_error!("the kernels for Arm expect the lanes of vectors in little-endian order");

pub use choice::{Kernels, KernelsError, VARIABLE};
pub use layer::{Filters, Layer, LayerError, Window};
pub use layout::{Border, Layout, SLACK, Shape};
pub use prepared::{Prepared, Scratch};
pub use requantize::{multiplier, requantize};
