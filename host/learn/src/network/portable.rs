//! The operations that the processor has of its own, by burn's operators, which run on every device.
//!
//! The tests of the processor's hold them against these.

use burn::tensor::{
    Device, Tensor,
    activation::relu,
    module::{batch_norm_train, conv2d, max_pool2d},
    ops::{ConvOptions, MaxPoolOptions},
};

use super::architecture::KERNEL;

/// Whether this is the processor, with or without gradients.
pub(super) fn is_processor(device: &Device) -> bool {
    *device == Device::flex()
}

/// `max_pool_2x2(relu(convolution_3x3(maps) + bias))` with the channels last; burn's operators have them first.
pub(super) fn block(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let (maps, weight) = (maps.permute([0, 3, 1, 2]), weight.permute([0, 3, 1, 2]));
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    // The maximum of ReLUs is the ReLU of the maximum: a quarter of the work, the same values and gradients.
    relu(max_pool2d(conv2d(maps, weight, Some(bias), options), MaxPoolOptions::new([2, 2]))).permute([0, 2, 3, 1])
}

/// The 3 × 3 patches of maps with the channels last: `[n, h, w, c]` → `[n (h - 2) (w - 2), 9 c]`.
pub(super) fn patches(maps: Tensor<4>) -> Tensor<2> {
    let [images, height, width, channels] = maps.dims();
    let (rows, columns, taps) = (height + 1 - KERNEL, width + 1 - KERNEL, KERNEL * KERNEL);
    let shifted = (0..taps).map(|tap| {
        let (down, right) = (tap / KERNEL, tap % KERNEL);
        maps.clone().slice([0..images, down..down + rows, right..right + columns, 0..channels])
    });
    Tensor::cat(shifted.collect(), 3).reshape([images * rows * columns, taps * channels])
}

/// The normalised values, mean and biased variance of each channel, which is the last axis.
pub(super) fn normalise(
    maps: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let shape = maps.dims();
    let rows: Tensor<2> = maps.flatten(0, 2);
    let normalised = batch_norm_train(rows, scale, shift, epsilon);
    (normalised.output.reshape(shape), normalised.mean, normalised.variance)
}
