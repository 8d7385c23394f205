//! Reads the attributes of windows.

use kernels::{Border, Window};

use super::Obstacle;
use crate::onnx::{self, pb::NodeProto};

/// The window of a convolution or pooling with a kernel of this size.
pub(super) fn window(node: &NodeProto, kernel: [usize; 2]) -> Result<Window, Obstacle> {
    if has_auto_pad(node) {
        return Err(Obstacle::AutoPad);
    }
    if list(node, "dilations", [1, 1])? != [1, 1] {
        return Err(Obstacle::Dilation);
    }
    let [top, left, bottom, right] = list(node, "pads", [0; 4])?;
    let padding = Border { top, left, bottom, right };
    Ok(Window { kernel, stride: list(node, "strides", [1, 1])?, padding })
}

/// The `kernel_shape` of a convolution with weights of this size: it may be absent, but not another.
pub(super) fn kernel(node: &NodeProto, weights: [usize; 2]) -> Result<[usize; 2], Obstacle> {
    let kernel = list(node, "kernel_shape", weights)?;
    if kernel == weights { Ok(kernel) } else { Err(Obstacle::Constant) }
}

/// Holds a MaxPool to the one window that is fused.
pub(super) fn check_pool(node: &NodeProto) -> Result<(), Obstacle> {
    let window = window(node, list(node, "kernel_shape", [0, 0])?)?;
    let rounds_up = onnx::integers(node, "ceil_mode").iter().any(|&mode| mode != 0);
    let fused = Window { kernel: [2, 2], stride: [2, 2], padding: Border::default() };
    if window == fused && !rounds_up { Ok(()) } else { Err(Obstacle::Pool) }
}

fn has_auto_pad(node: &NodeProto) -> bool {
    node.attribute.iter().any(|a| a.name == "auto_pad" && !matches!(a.s.as_slice(), b"" | b"NOTSET"))
}

/// An attribute of several integers, or its default.
fn list<const N: usize>(node: &NodeProto, name: &str, default: [usize; N]) -> Result<[usize; N], Obstacle> {
    let values = onnx::integers(node, name);
    if values.is_empty() {
        return Ok(default);
    }
    let values: Option<Vec<usize>> = values.iter().map(|&n| usize::try_from(n).ok()).collect();
    values.and_then(|values| values.try_into().ok()).ok_or(Obstacle::Constant)
}
