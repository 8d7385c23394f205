//! The quantizer as a whole, on small random networks.

use std::collections::BTreeMap;

use engine::{
    Model, ModelCard, Provenance,
    onnx::{
        pb::ModelProto,
        write::{self, f32_tensor, integers, node},
    },
};
use learn::network::{Layer, Layers};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::contract::InputContract;

use super::{Method, Options, QuantizeError, quantize};
use crate::export::to_onnx;

const SIDE: usize = 20;

fn card() -> ModelCard {
    let contract = InputContract::stretched(SIDE as u16);
    ModelCard {
        provenance: Provenance {
            version: "0.1.0".into(),
            synthetic: true,
            recipe: "random".into(),
            ..Provenance::default()
        },
        metrics: BTreeMap::from([("test.accuracy".into(), 0.9)]),
        ..ModelCard::new("a name of exactly sixty-four bytes, which leaves no room for mor", contract)
    }
}

fn values(random: &mut ChaCha8Rng, count: usize, size: f32) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-size..size)).collect()
}

/// The shape of the study's baseline, smaller.
fn network(seed: u64) -> Layers {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut conv = |inputs: usize, outputs: usize| Layer::Conv {
        weight: values(&mut random, outputs * inputs * 9, (6.0 / (9 * inputs) as f32).sqrt()),
        bias: values(&mut random, outputs, 0.1),
        inputs,
        outputs,
        kernel: 3,
    };
    let convs = [conv(1, 8), conv(8, 12)];
    let mut dense = |inputs: usize, outputs: usize| Layer::Dense {
        weight: values(&mut random, outputs * inputs, (6.0 / inputs as f32).sqrt()),
        bias: values(&mut random, outputs, 0.1),
        inputs,
        outputs,
    };
    let denses = [dense(12 * 3 * 3, 10), dense(10, 1)];
    let [first, second] = convs;
    let [third, last] = denses;
    let layers = vec![
        first,
        Layer::Relu,
        Layer::MaxPool2,
        second,
        Layer::Relu,
        Layer::MaxPool2,
        Layer::Flatten,
        third,
        Layer::Relu,
        last,
    ];
    Layers { side: SIDE, layers }
}

fn images(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Bright spots on a gradient: images that differ in more than their noise.
    let mut image = || {
        let (x, y): (usize, usize) = (random.random_range(0..SIDE), random.random_range(0..SIDE));
        let strength = random.random_range(0..200);
        (0..SIDE * SIDE)
            .map(|i| {
                let distance = (i % SIDE).abs_diff(x) + (i / SIDE).abs_diff(y);
                (i / SIDE * 2 + strength / (1 + distance) + random.random_range(0..20)).min(255) as u8
            })
            .collect()
    };
    (0..count).map(|_| image()).collect()
}

fn quantized(onnx: &[u8], method: Option<Method>) -> Result<super::Quantized, QuantizeError> {
    let images = images(1, 40);
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    quantize(onnx, &images, Options { method })
}

/// Mean difference of the logits, and the largest magnitude of the float model's.
fn difference(float: &[u8], int8: &[u8]) -> (f32, f32) {
    let (float, int8) = (Model::from_bytes(float).expect("float"), Model::from_bytes(int8).expect("int8"));
    let logits = |model: &Model| -> Vec<f32> {
        images(2, 30).iter().map(|image| model.classify(image).expect("a score").logit).collect()
    };
    let (float, int8) = (logits(&float), logits(&int8));
    let mean = float.iter().zip(&int8).map(|(a, b)| (a - b).abs()).sum::<f32>() / float.len() as f32;
    (mean, float.iter().fold(0.0, |m, v| m.max(v.abs())))
}

#[test]
fn int8_stays_close_to_float() {
    for seed in 0..4 {
        let float = to_onnx(&network(seed), &card()).expect("a file");
        let int8 = quantized(&float, None).expect("int8");
        assert_eq!(int8.drift.len(), Method::ALL.len());
        let best = int8.drift.iter().map(|drift| drift.probability).fold(f64::MAX, f64::min);
        assert!(int8.drift.iter().any(|drift| drift.method == int8.method && drift.probability == best));
        let (mean, range) = difference(&float, &int8.bytes);
        assert!(mean < 0.03 * range, "seed {seed}: {mean} of {range}");
    }
}

/// Channels of feature maps multiplied by powers of two, and what reads them divided: in floating point nothing changes.
fn uneven(mut network: Layers) -> Layers {
    let powers = |count: usize| (0..count).map(|channel| (channel as f32 % 9.0 - 4.0).exp2()).collect::<Vec<_>>();
    let mut read = vec![1.0];
    let last = network.layers.len() - 1;
    for (index, layer) in network.layers.iter_mut().enumerate() {
        let (Layer::Conv { weight, bias, outputs, .. } | Layer::Dense { weight, bias, outputs, .. }) = layer else {
            continue;
        };
        let made = if index == last { vec![1.0] } else { powers(*outputs) };
        let taps = weight.len() / bias.len() / read.len();
        for ((filter, bias), factor) in weight.chunks_exact_mut(taps * read.len()).zip(bias).zip(&made) {
            for (kernel, divisor) in filter.chunks_exact_mut(taps).zip(&read) {
                kernel.iter_mut().for_each(|weight| *weight *= factor / divisor);
            }
            *bias *= factor;
        }
        read = made;
    }
    network
}

#[test]
fn channels_of_uneven_size_cost_nothing() {
    let [even, uneven] = [network(1), uneven(network(1))].map(|network| to_onnx(&network, &card()).expect("a file"));
    let scores = |onnx: &[u8]| -> Vec<f32> {
        let model = Model::from_bytes(onnx).expect("a model");
        images(2, 30).iter().map(|image| model.classify(image).expect("a score").logit).collect()
    };
    assert_eq!(scores(&even), scores(&uneven));
    for method in Method::ALL {
        let [even, uneven] = [&even, &uneven].map(|onnx| quantized(onnx, Some(method)).expect("int8").bytes);
        let (even, uneven) = (scores(&even), scores(&uneven));
        // Ranges are divided by each other, so that a half may be rounded either way.
        let range = even.iter().fold(0.0_f32, |most, score| most.max(score.abs()));
        assert!(even.iter().zip(&uneven).all(|(a, b)| (a - b).abs() <= range / 100.0), "{method}: {even:?} {uneven:?}");
    }
}

#[test]
fn the_card_tells_what_was_done() {
    let float = to_onnx(&network(0), &card()).expect("a file");
    let int8 = quantized(&float, Some(Method::MinMax)).expect("int8");
    let (float, int8) = (Model::from_bytes(&float).expect("float"), Model::from_bytes(&int8.bytes).expect("int8"));
    let card = int8.card();
    assert!(card.behaviour.int8 && card.name.ends_with("-int8") && card.name.len() <= 64, "{card:?}");
    assert!(
        card.provenance.recipe.contains("min-max") && card.provenance.recipe.contains(&float.digest().to_string()),
        "{card:?}"
    );
    assert!(card.metrics.is_empty(), "the figures of the float model are not those of the int8 model");
    assert_eq!(
        (card.behaviour.contract, card.behaviour.point),
        (float.card().behaviour.contract, float.card().behaviour.point)
    );
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    let float = to_onnx(&network(3), &card()).expect("a file");
    assert_eq!(quantized(&float, None).expect("int8").bytes, quantized(&float, None).expect("int8").bytes);
}

/// Strided and padded convolutions without bias, batch normalization, a depthwise one, global average, MatMul and Add.
fn foreign() -> ModelProto {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let window = |group| {
        let mut window = vec![integers("pads", &[1; 4]), integers("strides", &[2, 2])];
        window.push(write::integer("group", group));
        window
    };
    let nodes = vec![
        node("Conv", &["image", "w0"], "c0", window(1)),
        node("BatchNormalization", &["c0", "g", "b", "m", "v"], "n0", vec![]),
        node("Relu", &["n0"], "r0", vec![]),
        node("Conv", &["r0", "w1"], "c1", window(6)),
        node("Relu", &["c1"], "r1", vec![]),
        node("GlobalAveragePool", &["r1"], "a", vec![]),
        node("Flatten", &["a"], "f", vec![]),
        node("MatMul", &["f", "w2"], "d", vec![]),
        node("Add", &["b2", "d"], "logit", vec![]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ];
    let constants = vec![
        f32_tensor("w0", &[6, 1, 3, 3], &values(&mut random, 54, 0.8)),
        f32_tensor("g", &[6], &[1.0, 1.2, 0.8, 1.5, 0.5, 1.0]),
        f32_tensor("b", &[6], &values(&mut random, 6, 0.5)),
        f32_tensor("m", &[6], &values(&mut random, 6, 0.2)),
        f32_tensor("v", &[6], &[0.3, 1.0, 0.5, 0.7, 0.2, 1.1]),
        f32_tensor("w1", &[6, 1, 3, 3], &values(&mut random, 54, 0.8)),
        f32_tensor("w2", &[6, 1], &values(&mut random, 6, 3.0)),
        f32_tensor("b2", &[1], &[0.2]),
    ];
    write::model(nodes, constants, &card()).expect("a card")
}

#[test]
fn networks_of_others_are_quantized_too() {
    let float = foreign().encode_to_vec();
    let int8 = quantized(&float, None).expect("int8");
    let (mean, range) = difference(&float, &int8.bytes);
    assert!(mean < 0.03 * range, "{mean} of {range}");
}

#[test]
fn what_has_no_integer_form_is_an_error_that_names_it() {
    let mut model = foreign();
    let graph = model.graph.as_mut().expect("a graph");
    graph.node.insert(7, node("Sigmoid", &["f"], "s", vec![]));
    graph.node[8].input[0] = "s".into();
    let error = quantized(&model.encode_to_vec(), None).expect_err("an error");
    assert!(matches!(&error, QuantizeError::Operator { operator, .. } if operator == "Sigmoid"), "{error}");

    let mut model = foreign();
    let graph = model.graph.as_mut().expect("a graph");
    graph.node.insert(5, node("Add", &["r1", "c1"], "sum", vec![]));
    graph.node[6].input[0] = "sum".into();
    let error = quantized(&model.encode_to_vec(), None).expect_err("an error");
    assert!(matches!(&error, QuantizeError::Operator { operator, .. } if operator == "Add"), "{error}");

    let mut model = foreign();
    let graph = model.graph.as_mut().expect("a graph");
    graph.node[4].input[0] = "r0".into();
    let error = quantized(&model.encode_to_vec(), None).expect_err("an error");
    assert!(matches!(&error, QuantizeError::Chain { node } if node == "r1"), "{error}");
}

#[test]
fn int8_files_and_too_few_images_are_errors() {
    let float = to_onnx(&network(0), &card()).expect("a file");
    let int8 = quantized(&float, Some(Method::MinMax)).expect("int8");
    assert!(matches!(quantized(&int8.bytes, None), Err(QuantizeError::AlreadyInt8)));
    let one = vec![0; SIDE * SIDE];
    assert!(matches!(quantize(&float, &[&one], Options::default()), Err(QuantizeError::Images(1))));
}
