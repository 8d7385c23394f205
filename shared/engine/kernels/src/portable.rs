//! The definition of every layer, in safe Rust: the reference for all other kernels, and what runs where there are none.

use crate::{
    layer::Filters,
    layout::{Layout, Shape},
    requantize::{requantize, saturate},
};

/// The weights of a convolution in the order in which they are used: row, column, input channel, output channel.
pub(crate) fn pack(filters: &Filters, inputs: usize) -> Vec<i8> {
    let [rows, columns] = filters.window.kernel;
    let (area, outputs) = (rows * columns, filters.bias.len());
    let mut packed = Vec::with_capacity(filters.weights.len());
    for tap in 0..area {
        for input in 0..inputs {
            packed.extend((0..outputs).map(|output| filters.weights[(output * inputs + input) * area + tap]));
        }
    }
    packed
}

/// A convolution, with 2×2 max-pooling if `pool`. `sums` has four values for each output channel.
pub(crate) fn convolution(
    filters: &Filters,
    packed: &[i8],
    pool: bool,
    [from, to]: [Layout; 2],
    input: &[i8],
    output: &mut [i8],
    sums: &mut [i32],
) {
    let Shape { height, width, channels: outputs } = to.shape();
    let inputs = from.shape().channels;
    let [stride_rows, stride_columns] = filters.window.stride;
    let origin = from.origin(filters.window.padding);
    let scale = if pool { 2 } else { 1 };
    for row in 0..height {
        for column in 0..width {
            let mut quad = sums.chunks_exact_mut(outputs);
            for (i, sums) in quad.by_ref().take(scale * scale).enumerate() {
                let (row, column) = (row * scale + i / scale, column * scale + i % scale);
                let corner = origin + row * stride_rows * from.row() + column * stride_columns * inputs;
                sums.copy_from_slice(&filters.bias);
                accumulate(filters, packed, from.row(), inputs, &input[corner..], sums);
            }
            let at = to.index(row, column);
            for (channel, y) in output[at..at + outputs].iter_mut().enumerate() {
                let values = sums.iter().skip(channel).step_by(outputs).take(scale * scale);
                let sum = values.copied().max().unwrap_or_default();
                *y = requantize(sum, filters.multipliers[channel], filters.lowest());
            }
        }
    }
}

/// Adds the products under one window to the sums of all output channels.
fn accumulate(filters: &Filters, packed: &[i8], row: usize, inputs: usize, input: &[i8], sums: &mut [i32]) {
    let [rows, columns] = filters.window.kernel;
    let mut weights = packed.chunks_exact(sums.len());
    for y in 0..rows {
        for (x, weights) in input[y * row..y * row + columns * inputs].iter().zip(weights.by_ref()) {
            for (sum, w) in sums.iter_mut().zip(weights) {
                *sum = sum.wrapping_add(i32::from(*x) * i32::from(*w));
            }
        }
    }
}

/// A convolution of each channel by itself.
pub(crate) fn depthwise(filters: &Filters, [from, to]: [Layout; 2], input: &[i8], output: &mut [i8]) {
    let Shape { height, width, channels } = to.shape();
    let [rows, columns] = filters.window.kernel;
    let [stride_rows, stride_columns] = filters.window.stride;
    let origin = from.origin(filters.window.padding);
    for row in 0..height {
        for column in 0..width {
            let corner = origin + row * stride_rows * from.row() + column * stride_columns * channels;
            let at = to.index(row, column);
            for (channel, y) in output[at..at + channels].iter_mut().enumerate() {
                let mut sum = filters.bias[channel];
                for tap in 0..rows * columns {
                    let x = input[corner + tap / columns * from.row() + tap % columns * channels + channel];
                    let w = filters.weights[channel * rows * columns + tap];
                    sum = sum.wrapping_add(i32::from(x) * i32::from(w));
                }
                *y = requantize(sum, filters.multipliers[channel], filters.lowest());
            }
        }
    }
}

/// 2×2 max-pooling with stride 2.
pub(crate) fn max_pool([from, to]: [Layout; 2], input: &[i8], output: &mut [i8]) {
    let Shape { height, width, channels } = to.shape();
    for row in 0..height {
        for column in 0..width {
            let corner = |down, right| &input[from.index(2 * row + down, 2 * column + right)..][..channels];
            let quad = [corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)];
            let at = to.index(row, column);
            for (channel, y) in output[at..at + channels].iter_mut().enumerate() {
                *y = quad.iter().fold(i8::MIN, |most, values| most.max(values[channel]));
            }
        }
    }
}

/// The sum of two maps.
pub(crate) fn add(
    scales: [f32; 2],
    output_scale: f32,
    lowest: f32,
    [a_layout, b_layout, to]: [Layout; 3],
    [a, b]: [&[i8]; 2],
    output: &mut [i8],
) {
    let Shape { height, width, channels } = to.shape();
    let values = width * channels;
    for row in 0..height {
        let a = &a[a_layout.index(row, 0)..][..values];
        let b = &b[b_layout.index(row, 0)..][..values];
        for ((y, a), b) in output[to.index(row, 0)..][..values].iter_mut().zip(a).zip(b) {
            let sum = f32::from(*a) * scales[0] + f32::from(*b) * scales[1];
            *y = saturate(sum / output_scale, lowest);
        }
    }
}
