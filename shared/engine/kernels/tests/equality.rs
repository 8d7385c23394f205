//! Every set of kernels against the portable one, to the bit.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use kernels::{Border, Filters, Kernels, Layer, Layout, Shape, Window};
use proptest::prelude::*;

/// A map in its place, with a border of zeros and slack that is not zero: nothing may depend on it.
fn place(layout: Layout, values: &[i8]) -> Vec<i8> {
    let mut buffer = vec![0; layout.len()];
    let row = layout.shape().width * layout.shape().channels;
    for (y, values) in values.chunks_exact(row).enumerate() {
        buffer[layout.index(y, 0)..][..row].copy_from_slice(values);
    }
    let end = layout.len() - kernels::SLACK;
    buffer[end..].fill(-77);
    buffer
}

/// The values of a map, without the border, which must still be zero.
fn take(layout: Layout, buffer: &[i8]) -> Vec<i8> {
    let row = layout.shape().width * layout.shape().channels;
    let mut rest = buffer.to_vec();
    let mut values = Vec::new();
    for y in 0..layout.shape().height {
        let place = &mut rest[layout.index(y, 0)..][..row];
        values.extend_from_slice(place);
        place.fill(0);
    }
    assert!(rest.iter().all(|&v| v == 0), "something was written outside the map");
    values
}

fn run(kernels: Kernels, layer: &Layer, shape: Shape, inputs: &[Vec<i8>], extra: Border) -> Vec<i8> {
    let needed = layer.border(shape).expect("a layer");
    // Usually nothing is left over on the right and below: there a sanitizer sees what reads too far.
    let spare = if extra.bottom > 2 { extra } else { Border::default() };
    let widened = Border {
        top: needed.top + extra.top,
        left: needed.left + extra.left,
        bottom: needed.bottom + spare.bottom,
        right: needed.right + spare.right,
    };
    // The second input of a sum is laid out differently from the first.
    let from = [widened, needed].map(|border| Layout::new(shape, border).expect("a map"));
    let to = Layout::new(layer.output(shape).expect("a layer"), extra).expect("a map");
    let prepared = layer.prepare(kernels, &from[..layer.inputs()], to).expect("a layer");
    let inputs: Vec<_> = inputs.iter().zip(from).map(|(input, from)| place(from, input)).collect();
    let inputs: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    let mut output = vec![0; to.len()];
    let mut scratch = prepared.scratch();
    prepared.run(&inputs, &mut output, &mut scratch);
    let once = output.clone();
    prepared.run(&inputs, &mut output, &mut scratch);
    assert_eq!(once, output, "a second run differs");
    take(to, &output)
}

/// Runs all kernels that this processor has; true if they agree.
fn all_agree(layer: &Layer, shape: Shape, inputs: &[Vec<i8>], extra: Border) -> Result<(), TestCaseError> {
    let reference = run(Kernels::Portable, layer, shape, inputs, extra);
    for kernels in Kernels::available() {
        let output = run(kernels, layer, shape, inputs, extra);
        let differing = output.iter().zip(&reference).position(|(a, b)| a != b);
        prop_assert!(differing.is_none(), "{kernels}, value {differing:?} of {}, {layer:?}", output.len());
    }
    Ok(())
}

/// What is random in a convolution.
#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    outputs: usize,
    window: Window,
    depthwise: bool,
    pool: bool,
    relu: bool,
    signed: bool,
    /// 0: everything from the extremes; else uniform weights below this.
    weights: u8,
    gain: f32,
    bias: i32,
    seed: u64,
    extra: Border,
}

fn border(most: usize) -> impl Strategy<Value = Border> {
    [0..=most, 0..=most, 0..=most, 0..=most].prop_map(|[top, left, bottom, right]| Border { top, left, bottom, right })
}

fn case() -> impl Strategy<Value = Case> {
    let shape = (1_usize..24, 1_usize..24, prop_oneof![1_usize..40, Just(16), Just(32), Just(64)])
        .prop_map(|(height, width, channels)| Shape { height, width, channels });
    let kernel = prop_oneof![4 => Just([3, 3]), 2 => Just([1, 1]), 1 => [1_usize..6, 1_usize..6], 1 => Just([0, 0])];
    let stride = prop_oneof![3 => Just([1, 1]), 1 => Just([2, 2]), 1 => [1_usize..4, 1_usize..4]];
    let window = (kernel, stride, border(2));
    let outputs = prop_oneof![1_usize..50, Just(16), Just(32)];
    let flags = any::<[bool; 4]>();
    let weights = prop_oneof![Just(0), 1_u8..=128, Just(127), Just(40)];
    // Beyond the range of i32, and among the subnormal numbers.
    let gain = prop_oneof![8 => -3.0_f32..2.0, 1 => Just(100.0_f32), 1 => Just(-130.0_f32)];
    let numbers =
        (weights, gain, prop_oneof![Just(0), -100_000..100_000, Just(i32::MAX), Just(i32::MIN)], any::<u64>());
    (shape, outputs, window, flags, numbers, border(3)).prop_filter_map(
        "the window must fit",
        |(shape, outputs, (kernel, stride, padding), [depthwise, pool, relu, signed], numbers, extra)| {
            let (weights, gain, bias, seed) = numbers;
            // A kernel of 0 stands for one as large as the map.
            let kernel = if kernel == [0, 0] { [shape.height, shape.width] } else { kernel };
            let window = Window { kernel, stride, padding };
            let (pool, outputs) = if depthwise { (false, shape.channels) } else { (pool, outputs) };
            let case = Case { shape, outputs, window, depthwise, pool, relu, signed, weights, gain, bias, seed, extra };
            layer(&case).output(shape).is_ok().then_some(case)
        },
    )
}

/// A deterministic sequence of numbers (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next() as usize % from.len()]
    }
}

fn layer(case: &Case) -> Layer {
    let mut random = Random(case.seed);
    let [rows, columns] = case.window.kernel;
    let inputs = if case.depthwise { 1 } else { case.shape.channels };
    let taps = inputs * rows * columns;
    let weight = |random: &mut Random| match case.weights {
        0 => random.pick(&[-128, -127, 127, 127, 126, 0]),
        limit => ((random.next() % (2 * u32::from(limit))) as i32 - i32::from(limit)) as i8,
    };
    let spread = (taps as f32).sqrt() * 127.0 * f32::from(case.weights.max(64)) / 127.0;
    let filters = Filters {
        window: case.window,
        weights: (0..case.outputs * taps).map(|_| weight(&mut random)).collect(),
        bias: (0..case.outputs)
            .map(|i| if i % 3 == 0 { case.bias } else { (random.next() % 4001) as i32 - 2000 })
            .collect(),
        multipliers: (0..case.outputs).map(|i| case.gain.exp2() / spread * (1.0 + i as f32 / 16.0)).collect(),
        relu: case.relu,
        signed_input: case.signed,
    };
    if case.depthwise {
        Layer::Depthwise(filters)
    } else {
        Layer::Convolution { inputs: case.shape.channels, filters, pool: case.pool }
    }
}

fn values(case: &Case, count: usize) -> Vec<i8> {
    let mut random = Random(!case.seed);
    let lowest = if case.signed { -128 } else { 0 };
    (0..count)
        .map(|_| match case.weights {
            0 => random.pick(&[lowest, 127, 127, 0]),
            _ => (i32::from(lowest) + (random.next() % (128 - i32::from(lowest)) as u32) as i32) as i8,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn convolutions_agree(case in case()) {
        let input = values(&case, case.shape.height * case.shape.width * case.shape.channels);
        all_agree(&layer(&case), case.shape, &[input], case.extra)?;
    }

    #[test]
    fn sums_and_pools_agree(case in case(), scales in [0.001_f32..2.0, 0.001_f32..2.0, 0.001_f32..2.0]) {
        let count = case.shape.height * case.shape.width * case.shape.channels;
        let both = values(&case, 2 * count);
        let add = Layer::Add { scales: [scales[0], scales[1]], output_scale: scales[2], relu: case.relu };
        all_agree(&add, case.shape, &[both[..count].to_vec(), both[count..].to_vec()], case.extra)?;
        if case.shape.height.min(case.shape.width) > 1 {
            all_agree(&Layer::MaxPool, case.shape, &[both[..count].to_vec()], case.extra)?;
        }
    }
}

#[test]
fn the_kernels_that_the_environment_names_run_here() {
    let chosen = Kernels::choose().expect("kernels");
    assert!(Kernels::available().any(|kernels| kernels == chosen));
    if let Ok(name) = std::env::var(kernels::VARIABLE) {
        assert_eq!(chosen.name(), name);
    }
}
