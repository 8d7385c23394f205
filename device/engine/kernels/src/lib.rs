//! Exact 8-bit integer layers of convolutional networks for small processors.
//!
//! A layer ([`Layer`]) is described by its parameters and prepared once for the place of its maps in memory ([`Layout`]); then it
//! runs without allocating. There are several sets of [`Kernels`], and all give the same bits: those of the portable one,
//! which is the definition in safe Rust. `docs/engine.md` of the repository explains how they work, with pictures.
//!
//! - **Rounding** is that of ONNX's QLinearConv: see [`requantize`].
//! - **Layout**: feature maps are i8, rows × columns × channels, with the padding as a border of zeros around them.

mod choice;
mod depthwise;
mod direct;
mod layer;
mod layout;
mod portable;
mod prepared;
mod requantize;
mod tiling;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use choice::{Kernels, KernelsError, VARIABLE};
pub use layer::{Filters, Layer, LayerError, Window};
pub use layout::{Border, Layout, SLACK, Shape};
pub use prepared::{Prepared, Scratch};
pub use requantize::{multiplier, requantize};
