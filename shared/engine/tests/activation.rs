//! Features and activation maps, against sums that are written down plainly from the numbers in the file.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod common;

use common::{
    Random, SIDE, bytes, card, float_model,
    network::{Builder, Convolution, Layer, Map, Network},
};
use engine::{
    CardError, DEFAULT_MODEL, Examination, Grid, Kernels, Model, ModelError,
    onnx::{
        pb::ModelProto,
        write::{f32_tensor, integer, integers, model, node},
    },
};

use shared::guard::Guard;

fn examine(model: &Model, pixels: &[u8]) -> Examination {
    let examination = model.examine(pixels).expect("an examination");
    assert_eq!(examination.score, model.classify(pixels).expect("a score"));
    examination
}

/// The two layers that end a network.
fn end(network: &Network) -> [&Convolution; 2] {
    match &network.layers[..] {
        [.., Layer::Convolution(_, average), Layer::Convolution(_, dense)] => [average, dense],
        layers => panic!("{layers:?}"),
    }
}

/// The same network whose average weighs channels differently, one in three not at all.
fn uneven(mut network: Network) -> Network {
    let last = network.layers.len() - 2;
    let Layer::Convolution(_, average) = &mut network.layers[last] else { panic!("{:?}", network.layers) };
    let cells = average.kernel[0] * average.kernel[1];
    for (channel, weights) in average.weights.chunks_mut(cells).enumerate() {
        weights.fill([2, 0, 1][channel % 3]);
    }
    network
}

fn scale(convolution: &Convolution, channel: usize) -> f64 {
    f64::from(convolution.w_scales[channel % convolution.w_scales.len()])
}

/// The map and the features of what the pooling reads, in f64.
fn reference(network: &Network, last: &Map) -> (Vec<f64>, Vec<f64>) {
    let [average, dense] = end(network);
    let [channels, rows, columns] = last.shape;
    let real = |channel: usize, cell: usize| {
        let at = channel * rows * columns + cell;
        let value = f64::from(last.values[at]) * f64::from(average.weights[at]);
        value * f64::from(average.x_scale) * scale(average, channel)
    };
    let cells = 0..rows * columns;
    let features = (0..channels).map(|channel| cells.clone().map(|cell| real(channel, cell)).sum()).collect();
    let weight = |channel: usize| f64::from(dense.weights[channel]) * scale(dense, 0);
    let map = cells.clone().map(|cell| (0..channels).map(|channel| real(channel, cell) * weight(channel)).sum());
    (features, map.collect())
}

fn assert_close(found: &[f32], expected: &[f64]) {
    let size = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(found.len() == expected.len() && size > 0.0, "{found:?} {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5 * size, "{found} {expected}");
    }
}

#[test]
fn int8_networks_show_what_their_integers_say() {
    let mut unsaturated = 0;
    for seed in 0..12 {
        for network in [Builder::pooled(seed), Builder::separable(seed), uneven(Builder::pooled(seed))] {
            let file = bytes(&network.onnx());
            let pixels = Random(seed).pixels();
            let maps = network.maps(&pixels);
            let [last, averages, _] = &maps[maps.len() - 3..] else { panic!("{} maps", maps.len()) };
            let (features, values) = reference(&network, last);
            let [average, dense] = end(&network);
            let per_step = f64::from(dense.x_scale) * scale(dense, 0);
            let bias = dense.bias.as_ref().map_or(0.0, |bias| f64::from(bias[0]) * per_step);
            let mut first: Option<Examination> = None;
            for kernels in Kernels::available() {
                let model = Model::from_bytes_with(&file, kernels).expect("a model");
                let examination = examine(&model, &pixels);
                let map = examination.map.clone().expect("a map");
                assert_eq!([map.rows, map.columns], last.shape[1..]);
                assert_close(&examination.features, &features);
                assert_close(&map.values, &values);
                assert!((f64::from(map.bias) - bias).abs() < 1e-5 * bias.abs().max(1e-3));
                // The averages are rounded to half a step each, and so is the logit.
                let rounding: f64 = dense.weights.iter().map(|&weight| f64::from(weight).abs() * 0.5 * per_step).sum();
                let bound = rounding + 0.5 * f64::from(dense.y_scale) + 1e-4;
                let sum: f64 = map.values.iter().map(|&value| f64::from(value)).sum::<f64>() + f64::from(map.bias);
                let inside = averages.values.iter().all(|&value| value < 127);
                if inside && sum.abs() < 127.0 * f64::from(dense.y_scale) {
                    assert!((sum - f64::from(examination.score.logit)).abs() <= bound, "{sum} {examination:?}");
                    unsaturated += 1;
                }
                assert_eq!(average.bias, None);
                // All kernels leave the same integers.
                assert_eq!(first.get_or_insert_with(|| examination.clone()), &examination);
            }
        }
    }
    assert!(unsaturated >= 10, "{unsaturated} sums are free of limits");
}

#[test]
fn a_second_image_finds_no_trace_of_the_first() {
    let model = Model::from_bytes(&bytes(&Builder::pooled(3).onnx())).expect("a model");
    let [first, second] = [Random(1).pixels(), Random(2).pixels()];
    let once = examine(&model, &first);
    assert_ne!(once, examine(&model, &second));
    assert_eq!(once, examine(&model, &first));
}

#[test]
fn cells_lie_where_the_layers_put_them() {
    let grid = |file: &ModelProto| {
        let model = Model::from_bytes(&bytes(file)).expect("a model");
        examine(&model, &Random(1).pixels()).map.expect("a map").grid
    };
    // Two blocks: the first cell sees pixels 0..10, the next one 4..14.
    let blocks = Grid { first: [5.0; 2], step: [4.0; 2], reach: [10.0; 2] };
    assert_eq!(grid(&Builder::pooled(1).onnx()), blocks);
    assert_eq!(
        grid(&float_pooled(&Random(1).f32s(64, 1.0))),
        Grid { first: [2.0; 2], step: [2.0; 2], reach: [4.0; 2] }
    );
}

#[test]
fn the_shipped_model_has_a_map_and_its_card_is_about_its_features() {
    let model = Model::from_bytes(DEFAULT_MODEL).expect("a model");
    let examination = examine(&model, &vec![90; model.card().behaviour.contract.len()]);
    assert!(examination.map.is_some());
    let features = examination.features.len();
    let card = model.card();
    assert_eq!(card.behaviour.guard.as_ref().and_then(Guard::features), Some(features));
    assert_eq!(card.behaviour.subtypes.as_ref().map(|subtypes| subtypes.weights.len()), Some(features));
    // A card about other features is refused.
    let mut file = engine::decode(DEFAULT_MODEL).expect("a file");
    let mut card = card.clone();
    card.behaviour.subtypes.as_mut().expect("subtypes").weights.pop();
    let json = serde_json::to_string(&card).expect("a card");
    for property in &mut file.metadata_props {
        property.value.clone_from(&json);
    }
    let refused = Model::from_bytes(&bytes(&file));
    assert!(matches!(refused, Err(ModelError::Card(CardError::Features { .. }))), "{:?}", refused.err());
}

#[test]
fn networks_that_end_otherwise_have_no_map() {
    let none = |file: &[u8]| {
        let model = Model::from_bytes(file).expect("a model");
        let side = usize::from(model.card().behaviour.contract.side);
        let examination = examine(&model, &vec![90; side * side]);
        assert!(examination.features.is_empty() && examination.map.is_none(), "{examination:?}");
    };
    none(&bytes(&Builder::plain(1).onnx()));
    let mut random = Random(1);
    none(&bytes(&float_model(&random.f32s(27, 0.5), &random.f32s(48, 0.5))));

    let change = |change: fn(&mut Convolution, &mut Convolution)| {
        let mut network = Builder::pooled(1);
        let [.., Layer::Convolution(_, average), Layer::Convolution(_, dense)] = &mut network.layers[..] else {
            panic!("{network:?}");
        };
        change(average, dense);
        none(&bytes(&network.onnx()));
    };
    change(|average, _| average.weights[5] = 2);
    change(|average, _| average.weights.fill(-1));
    change(|average, _| average.bias = Some(vec![7; average.outputs]));
    change(|average, dense| {
        average.w_scales = vec![1e30];
        average.y_scale = 1e30;
        dense.w_scales = vec![1e38];
        dense.y_scale = 1e-30;
    });
}

/// Conv 1→4, 3×3 → Relu → MaxPool 2 → GlobalAveragePool → Flatten → Gemm → Sigmoid; 36 weights, then 4 dense ones.
fn float_pooled(weights: &[f32]) -> ModelProto {
    let pool = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
    let nodes = vec![
        node("Conv", &["image", "w", "b"], "c", vec![]),
        node("Relu", &["c"], "r", vec![]),
        node("MaxPool", &["r"], "p", pool),
        node("GlobalAveragePool", &["p"], "g", vec![]),
        node("Flatten", &["g"], "f", vec![]),
        node("Gemm", &["f", "dw", "db"], "logit", vec![integer("transB", 1)]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ];
    let constants = vec![
        f32_tensor("w", &[4, 1, 3, 3], &weights[..36]),
        f32_tensor("b", &[4], &[0.1, 0.2, 0.3, 0.4]),
        f32_tensor("dw", &[1, 4], &weights[36..40]),
        f32_tensor("db", &[1], &[0.25]),
    ];
    model(nodes, constants, &card(false)).expect("card")
}

#[test]
fn networks_in_f32_show_the_same() {
    let mut random = Random(4);
    let weights = random.f32s(40, 0.5);
    let pixels = random.pixels();
    let model = Model::from_bytes(&bytes(&float_pooled(&weights))).expect("a model");
    let examination = examine(&model, &pixels);
    let side = (SIDE - 2) / 2;
    let value = |channel: usize, row: usize, column: usize| {
        let sum = |row: usize, column: usize| {
            let tap = |tap: usize| {
                let pixel = pixels[(row + tap / 3) * SIDE + column + tap % 3];
                f64::from(pixel) / 255.0 * f64::from(weights[channel * 9 + tap])
            };
            (0..9).map(tap).sum::<f64>() + [0.1, 0.2, 0.3, 0.4][channel]
        };
        let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(down, right)| sum(2 * row + down, 2 * column + right));
        four.into_iter().fold(0.0, f64::max)
    };
    let cells: Vec<(usize, usize)> = (0..side * side).map(|cell| (cell / side, cell % side)).collect();
    let area = cells.len() as f64;
    let mean = |channel: usize| cells.iter().map(|&(row, column)| value(channel, row, column)).sum::<f64>() / area;
    let add = |row, column| (0..4).map(|c| value(c, row, column) * f64::from(weights[36 + c])).sum::<f64>() / area;
    let map = examination.map.expect("a map");
    assert_eq!([map.rows, map.columns], [side; 2]);
    assert_close(&examination.features, &[0, 1, 2, 3].map(mean));
    assert_close(&map.values, &cells.iter().map(|&(row, column)| add(row, column)).collect::<Vec<_>>());
    let sum = map.values.iter().sum::<f32>() + map.bias;
    assert!((sum - examination.score.logit).abs() < 1e-4, "{sum} {:?}", examination.score);
}
