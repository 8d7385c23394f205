//! Layers small enough to be computed by hand.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use kernels::{Border, Filters, Kernels, Layer, LayerError, Layout, Shape, Window};

fn shape(height: usize, width: usize, channels: usize) -> Shape {
    Shape { height, width, channels }
}

fn filters(kernel: [usize; 2], weights: &[i8], bias: &[i32], multiplier: f32) -> Filters {
    Filters {
        window: Window { kernel, stride: [1, 1], padding: Border::default() },
        weights: weights.to_vec(),
        bias: bias.to_vec(),
        multipliers: vec![multiplier; bias.len()],
        relu: false,
        signed_input: true,
    }
}

/// Runs a layer with all kernels, on maps without more border than needed, and gives the values that all agree on.
fn run(layer: &Layer, shape: Shape, inputs: &[&[i8]]) -> Vec<i8> {
    let from = Layout::new(shape, layer.border(shape).expect("a layer")).expect("a map");
    let to = Layout::new(layer.output(shape).expect("a layer"), Border::default()).expect("a map");
    let place = |values: &&[i8]| {
        let mut buffer = vec![0; from.len()];
        for (i, &value) in values.iter().enumerate() {
            let pixel = i / shape.channels;
            buffer[from.index(pixel / shape.width, pixel % shape.width) + i % shape.channels] = value;
        }
        buffer
    };
    let buffers: Vec<Vec<i8>> = inputs.iter().map(place).collect();
    let buffers: Vec<&[i8]> = buffers.iter().map(Vec::as_slice).collect();
    let results = Kernels::available().map(|kernels| {
        let prepared = layer.prepare(kernels, &vec![from; inputs.len()], to).expect("a layer");
        let mut output = vec![0; to.len()];
        prepared.run(&buffers, &mut output, &mut prepared.scratch());
        output.truncate(to.len() - kernels::SLACK);
        output
    });
    results.reduce(|a, b| if a == b { a } else { panic!("kernels differ: {a:?} {b:?}") }).expect("portable kernels")
}

fn convolution(inputs: usize, filters: Filters, pool: bool) -> Layer {
    Layer::Convolution { inputs, filters, pool }
}

#[test]
fn a_window_slides_over_the_map() {
    // Sums 0, 2, 6, 8 with the bias; their quarters 0, 0.5, 1.5, 2 go to even.
    let layer = convolution(1, filters([2, 2], &[1, 2, 3, -4], &[3], 0.25), false);
    assert_eq!(run(&layer, shape(3, 3, 1), &[&[1, 2, 3, 4, 5, 6, 7, 8, 9]]), [0, 0, 2, 2]);
}

#[test]
fn padding_is_zero_and_pooling_takes_the_largest() {
    let mut filters = filters([3, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9], &[0], 1.0);
    filters.window.padding = Border { top: 1, left: 1, bottom: 1, right: 1 };
    let layer = convolution(1, filters.clone(), false);
    assert_eq!(run(&layer, shape(2, 2, 1), &[&[1, 2, 3, 4]]), [77, 67, 47, 37]);
    assert_eq!(run(&convolution(1, filters, true), shape(2, 2, 1), &[&[1, 2, 3, 4]]), [77]);
}

#[test]
fn channels_lie_side_by_side() {
    // Weights: of output 0 for inputs 0 and 1, then of output 1. Pixels (3, 5) and (−2, 4).
    let layer = convolution(2, filters([1, 1], &[1, 2, 10, -1], &[0, 100], 1.0), false);
    assert_eq!(run(&layer, shape(1, 2, 2), &[&[3, 5, -2, 4]]), [13, 125, 6, 76]);
}

#[test]
fn strides_step_down_and_right() {
    let mut filters = filters([1, 1], &[1], &[0], 1.0);
    filters.window.stride = [2, 3];
    let layer = convolution(1, filters, false);
    let input: Vec<i8> = (0..15).collect();
    assert_eq!(run(&layer, shape(3, 5, 1), &[&input]), [0, 3, 10, 13]);
}

#[test]
fn a_window_as_large_as_the_map_is_a_dense_layer() {
    // 1·1 + 2·2 + … + 8·8 = 204, and 8·1 + 7·2 + … + 1·8 = 120. The map is row, column, channel; the weights channel, row, column.
    let weights = [1, 3, 5, 7, 2, 4, 6, 8, 8, 6, 4, 2, 7, 5, 3, 1];
    let layer = convolution(2, filters([2, 2], &weights, &[0, -4], 0.5), false);
    assert_eq!(run(&layer, shape(2, 2, 2), &[&[1, 2, 3, 4, 5, 6, 7, 8]]), [102, 58]);
}

#[test]
fn depthwise_keeps_channels_apart_and_averages() {
    let layer = Layer::Depthwise(filters([2, 1], &[1, -1, 2, 3], &[0, 1], 1.0));
    // Channel 0: 10 − 30, 20 − 40; channel 1: 2·1 + 3·3 + 1, 2·2 + 3·4 + 1.
    assert_eq!(run(&layer, shape(2, 2, 2), &[&[10, 1, 20, 2, 30, 3, 40, 4]]), [-20, 12, -20, 17]);
    // Averages of four: 25, and 10 / 4 = 2.5, which goes to even.
    let layer = Layer::Depthwise(filters([2, 2], &[1; 8], &[0, 0], 0.25));
    assert_eq!(run(&layer, shape(2, 2, 2), &[&[10, 1, 20, 2, 30, 3, 40, 4]]), [25, 2]);
}

#[test]
fn results_saturate_and_a_relu_cuts_them_at_zero() {
    let extreme = |weight: i8, relu: bool| {
        let filters = Filters { relu, ..filters([3, 3], &[weight; 9 * 16], &[0], 1.0) };
        run(&convolution(16, filters, false), shape(6, 6, 16), &[&[-128; 6 * 6 * 16]])
    };
    assert_eq!(extreme(-128, false), [127; 16]);
    assert_eq!(extreme(127, false), [-128; 16]);
    assert_eq!(extreme(127, true), [0; 16]);
}

#[test]
fn maps_are_added_in_their_scales() {
    let layer = Layer::Add { scales: [0.5, 0.25], output_scale: 0.5, relu: false };
    // (a · 0.5 + b · 0.25) / 0.5: 2, 2.5, −3.5 and beyond the range.
    assert_eq!(run(&layer, shape(1, 4, 1), &[&[1, 2, -3, 127], &[2, 1, -1, 127]]), [2, 2, -4, 127]);
    let layer = Layer::Add { scales: [0.5, 0.25], output_scale: 0.5, relu: true };
    assert_eq!(run(&layer, shape(1, 2, 1), &[&[-3, 3], &[-1, 0]]), [0, 3]);
}

#[test]
fn pooling_takes_the_largest_of_four() {
    let map = [1, -5, -2, -6, 9, 3, -4, -7, -1, 9];
    assert_eq!(run(&Layer::MaxPool, shape(2, 5, 1), &[&map]), [3, -1]);
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let one = filters([3, 3], &[1; 9], &[0], 1.0);
    let refused = |layer: Layer, shape: Shape| layer.output(shape).expect_err("an unfit layer");
    assert_eq!(refused(convolution(1, one.clone(), false), shape(2, 9, 1)), LayerError::Input);
    assert_eq!(refused(convolution(1, one.clone(), true), shape(3, 9, 1)), LayerError::Input);
    assert_eq!(refused(convolution(1, one.clone(), false), shape(9, 9, 2)), LayerError::Input);
    assert_eq!(refused(convolution(2, one.clone(), false), shape(9, 9, 2)), LayerError::Parameters);
    let mut wrong = one.clone();
    wrong.multipliers[0] = f32::INFINITY;
    assert_eq!(refused(convolution(1, wrong, false), shape(9, 9, 1)), LayerError::Scale);
    let mut wrong = one;
    wrong.window.stride = [0, 1];
    assert_eq!(refused(convolution(1, wrong, false), shape(9, 9, 1)), LayerError::Window);
    assert_eq!(refused(Layer::MaxPool, shape(1, 9, 1)), LayerError::Input);
    assert!(Layout::new(shape(1 << 20, 1 << 20, 1), Border::default()).is_none());
}
