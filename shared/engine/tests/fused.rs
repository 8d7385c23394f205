//! Quantized networks: recognised or not, the answers are those of the definition to the bit, with all kernels.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod common;

use common::{
    Random, SIDE, bytes,
    network::{Builder, Convolution, Layer, Network},
};
use engine::{
    DEFAULT_MODEL, Execution, Kernels, LayerError, Model, ModelError, Obstacle,
    onnx::{
        pb::{ModelProto, NodeProto},
        write::{f32_tensor, integer, integers, node},
    },
};

/// Holds a model to the definition with every set of kernels, and gives back how it was run.
fn check(network: &Network, file: &ModelProto, images: usize) -> Execution {
    let file = bytes(file);
    let mut random = Random(7);
    let images: Vec<_> =
        (0..images).map(|_| random.pixels()).chain([vec![0; SIDE * SIDE], vec![255; SIDE * SIDE]]).collect();
    let expected: Vec<f32> = images.iter().map(|image| network.reference(image)).collect();
    let mut executions = Kernels::available().map(|kernels| {
        let model = Model::from_bytes_with(&file, kernels).expect("a model");
        for (image, expected) in images.iter().zip(&expected) {
            let score = model.classify(image).expect("a score");
            assert_eq!(score.logit.to_bits(), expected.to_bits(), "{network:?} with {kernels}");
            let probability = 1.0 / (1.0 + (-f64::from(score.logit)).exp());
            assert!((f64::from(score.probability) - probability).abs() < 1e-6, "{score:?}");
        }
        if let Execution::Fused { kernels: used, .. } = model.execution() {
            assert_eq!(*used, kernels);
        }
        model.execution().clone()
    });
    let execution = executions.next().expect("portable kernels are always there");
    executions.for_each(drop);
    execution
}

fn layers(execution: &Execution) -> usize {
    match execution {
        Execution::Fused { layers, .. } => *layers,
        execution => panic!("{execution}"),
    }
}

/// The first obstacle of a network that is not fused, its node, and the counts of slow convolutions.
fn obstacle(execution: Execution) -> (String, Obstacle, [usize; 2]) {
    match execution {
        Execution::Tract { reason, wide, float } => (reason.node, reason.obstacle, [wide, float]),
        execution => panic!("{execution}"),
    }
}

#[test]
fn random_networks_agree_with_the_definition_to_the_bit() {
    let mut answers = std::collections::HashSet::new();
    for seed in 0..60 {
        let network = Builder::random(seed);
        let windows = network.layers.iter().filter(|layer| matches!(layer, Layer::Convolution(..))).count();
        assert!(layers(&check(&network, &network.onnx(), 2)) >= windows, "seed {seed}");
        answers.insert(network.reference(&Random(seed).pixels()).to_bits());
    }
    assert!(answers.len() > 20, "the answers hardly depend on network and image: {answers:?}");
}

#[test]
fn relu_and_pooling_are_folded() {
    let plain = Builder::plain(1);
    assert_eq!(layers(&check(&plain, &plain.onnx(), 3)), 4);
    let separable = Builder::separable(1);
    assert_eq!(layers(&check(&separable, &separable.onnx(), 3)), 8);

    // After a depthwise convolution the maximum is a layer of its own; the Relu after it goes into the convolution.
    let mut net = Builder::new(2);
    let first = net.convolution(0, 5, [3, 3], [1, 1], [0; 4]);
    let depth = net.depthwise(first, 3, 1, [1; 4]);
    let pool = net.max_pool(depth);
    let pool = net.identity(pool);
    net.relu(pool);
    let network = net.end();
    assert_eq!(layers(&check(&network, &network.onnx(), 3)), 4);

    // The Relu does nothing to a tensor that cannot be negative, whatever else reads it.
    let mut net = Builder::new(3);
    let first = net.convolution(0, 5, [3, 3], [1, 1], [0; 4]);
    let first = net.relu(first);
    let again = net.relu(first);
    let pool = net.max_pool(again);
    let other = net.max_pool(again);
    net.add([pool, other], false);
    let network = net.end();
    assert_eq!(layers(&check(&network, &network.onnx(), 3)), 5);
}

#[test]
fn saturating_extremes_agree() {
    for (weight, bias) in [(127, i32::MAX), (-128, i32::MIN), (127, 0), (-128, 0)] {
        let mut network = Builder::plain(4);
        for layer in &mut network.layers {
            if let Layer::Convolution(_, convolution) = layer {
                convolution.weights.fill(weight);
                convolution.bias = Some(vec![bias; convolution.outputs]);
            }
        }
        check(&network, &network.onnx(), 1);
    }
}

#[test]
fn sums_beyond_the_exact_range_of_f32_stay_exact() {
    // 16 · 16 · 8 weights of 127 and activations up to 127 reach 3.3 · 10^7, twice the range in which f32 is exact.
    let convolution = |inputs, outputs, kernel, y_scale| Convolution {
        inputs,
        outputs,
        groups: 1,
        kernel: [kernel; 2],
        strides: [1, 1],
        pads: [0; 4],
        weights: vec![127; inputs * outputs * kernel * kernel],
        bias: Some(vec![77; outputs]),
        x_scale: 1.0 / 127.0,
        w_scales: vec![1.0 / 127.0],
        y_scale,
    };
    let network = Network {
        zero_point: 0,
        input_scale: 1.0 / 127.0,
        layers: vec![
            Layer::Convolution(0, convolution(1, 8, 1, 1.0 / 127.0)),
            Layer::Convolution(1, convolution(8, 1, SIDE, 20.0)),
        ],
        output_scale: 20.0,
    };
    let mut file = network.onnx();
    assert_eq!(layers(&check(&network, &file, 5)), 2);

    // The same through tract, which needs its 32-bit operator for the second.
    find(&mut file, "t1").attribute.push(integers("dilations", &[2, 2]));
    assert_eq!(obstacle(check(&network, &file, 5)), ("t1".into(), Obstacle::Dilation, [1, 0]));
}

fn find<'a>(file: &'a mut ModelProto, name: &str) -> &'a mut NodeProto {
    let graph = file.graph.as_mut().expect("a graph");
    graph.node.iter_mut().find(|node| node.name == name).expect("the node")
}

/// Puts a node before the first one that reads `before`, which then reads the new one.
fn insert(file: &mut ModelProto, before: &str, new: NodeProto) {
    let graph = file.graph.as_mut().expect("a graph");
    let at = graph.node.iter().position(|node| node.input.iter().any(|input| input == before)).expect("a reader");
    let input = graph.node[at].input.iter_mut().find(|input| *input == before).expect("the input");
    input.clone_from(&new.output[0]);
    graph.node.insert(at, new);
}

#[test]
fn what_cannot_be_fused_still_runs_to_the_bit_and_says_why() {
    let plain = Builder::plain(5);
    let unfused = |change: &dyn Fn(&mut ModelProto)| {
        let mut file = plain.onnx();
        change(&mut file);
        obstacle(check(&plain, &file, 2))
    };
    let operator = |name: &str| Obstacle::Operator(name.to_owned());
    // t1 to t3 are the first convolution, Relu and MaxPool of 14 × 14.
    let rounded_up = unfused(&|file| find(file, "t3").attribute.push(integer("ceil_mode", 1)));
    assert_eq!(rounded_up, ("t3".into(), Obstacle::Pool, [0, 0]));
    let float = unfused(&|file| {
        let graph = file.graph.as_mut().expect("a graph");
        graph.initializer.push(f32_tensor("one", &[1, 1, 1, 1], &[1.0]));
        insert(file, "d", node("Conv", &["d", "one"], "float", vec![]));
    });
    assert_eq!(float, ("float".into(), operator("Conv"), [0, 1]));
    let added = unfused(&|file| {
        file.graph.as_mut().expect("a graph").initializer.push(f32_tensor("nothing", &[1], &[0.0]));
        insert(file, "d", node("Add", &["d", "nothing"], "added", vec![]));
    });
    assert_eq!(added, ("added".into(), operator("Add"), [0, 0]));

    // Another node reads what the Relu would be folded into.
    let mut net = Builder::new(6);
    let first = net.convolution(0, 4, [3, 3], [1, 1], [0; 4]);
    let relu = net.relu(first);
    net.add([first, relu], false);
    let network = net.end();
    assert_eq!(obstacle(check(&network, &network.onnx(), 2)), ("t2".into(), Obstacle::Relu, [0, 0]));

    // Groups of several channels.
    let mut network = Builder::separable(7);
    if let Layer::Convolution(_, depthwise) = &mut network.layers[2] {
        depthwise.groups = 8;
        depthwise.weights.extend_from_within(..);
    }
    assert_eq!(obstacle(check(&network, &network.onnx(), 2)), ("t3".into(), Obstacle::Groups, [0, 0]));

    // A multiplier that is 0 in f32.
    let mut network = Builder::plain(8);
    if let Layer::Convolution(_, convolution) = &mut network.layers[0] {
        (convolution.x_scale, convolution.w_scales) = (1e-30, vec![1e-30]);
    }
    assert_eq!(obstacle(check(&network, &network.onnx(), 2)), ("t1".into(), Obstacle::Scale, [0, 0]));

    // The image quantized a second time, for the other term of a sum.
    let mut net = Builder::new(9);
    let first = net.convolution(0, 1, [3, 3], [1, 1], [1; 4]);
    net.add([first, 0], true);
    let network = net.end();
    let mut file = network.onnx();
    assert_eq!(layers(&check(&network, &file, 2)), 3);
    let graph = file.graph.as_mut().expect("a graph");
    graph.node.insert(2, node("QuantizeLinear", &["image", "q.s", "q.z"], "again", vec![]));
    find(&mut file, "t2.b").input[0] = "again".into();
    assert_eq!(obstacle(check(&network, &file, 2)), ("again".into(), Obstacle::Image, [0, 0]));
}

#[test]
fn images_with_negative_values_agree() {
    for seed in 0..6 {
        let mut network = if seed < 3 { Builder::plain(seed) } else { Builder::separable(seed) };
        network.zero_point = 100;
        assert!(layers(&check(&network, &network.onnx(), 2)) > 2);
    }
}

#[test]
fn weights_are_packed_within_bounds() {
    // What is too large runs as slowly as it is large: that it runs is for smaller ones to show.
    let unfused = |network: &Network| {
        let model = Model::from_bytes_with(&bytes(&network.onnx()), Kernels::Portable).expect("a model");
        obstacle(model.execution().clone())
    };
    // One output channel takes the room of a block: 4.2 million weights would become 67 million.
    let mut net = Builder::new(10);
    net.convolution(0, 16_400, [1, 1], [1, 1], [0; 4]);
    let mut network = net.end();
    if let Layer::Convolution(_, dense) = &mut network.layers[1] {
        dense.weights.iter_mut().enumerate().for_each(|(i, w)| *w *= i8::from(i % 4099 == 0));
    }
    let size = Obstacle::Layer(LayerError::Size);
    assert_eq!(unfused(&network), ("t2".into(), size, [0, 0]));

    // Each layer is within the bounds; all together are not.
    let mut net = Builder::new(11);
    let wide = net.convolution(0, 1700, [1, 1], [1, 1], [0; 4]);
    let dense: Vec<usize> = (0..5).map(|_| net.convolution(wide, 1, [SIDE; 2], [1, 1], [0; 4])).collect();
    dense.into_iter().reduce(|a, b| net.add([a, b], true));
    let mut network = net.end();
    for layer in &mut network.layers[1..6] {
        let Layer::Convolution(_, dense) = layer else { panic!("{layer:?}") };
        dense.weights.iter_mut().enumerate().for_each(|(i, w)| *w *= i8::from(i % 4099 == 0));
    }
    assert_eq!(unfused(&network), ("t6".into(), Obstacle::Size, [0, 0]));
}

#[test]
fn a_probability_of_something_else_is_not_fused() {
    let mut file = Builder::plain(11).onnx();
    let graph = file.graph.as_mut().expect("a graph");
    graph.initializer.push(f32_tensor("other.s", &[], &[7.0]));
    let last = graph.node.len() - 1;
    let from = graph.node.iter().find(|node| node.name == "d").expect("the node").input[0].clone();
    graph.node.insert(last, node("DequantizeLinear", &[&from, "other.s", "q.z"], "other", vec![]));
    find(&mut file, "probability").input[0] = "other".into();
    let model = Model::from_bytes(&bytes(&file)).expect("a model");
    assert_eq!(obstacle(model.execution().clone()), ("probability".into(), Obstacle::Output, [0, 0]));
}

#[test]
fn nodes_that_no_output_depends_on_are_left_out() {
    let network = Builder::plain(12);
    let mut file = network.onnx();
    let graph = file.graph.as_mut().expect("a graph");
    graph.node.push(node("Relu", &["t1"], "unused", vec![]));
    assert_eq!(layers(&check(&network, &file, 1)), 4);
}

#[test]
fn the_shipped_model_is_fused() {
    let model = Model::from_bytes(DEFAULT_MODEL).expect("a model");
    // Five convolutions, the average, the dense layer.
    assert_eq!(layers(model.execution()), 7);
    assert!(model.execution().to_string().starts_with("fused int8, "), "{}", model.execution());
    assert!(model.load_time() > std::time::Duration::ZERO);
}

#[test]
fn kernels_of_other_processors_are_refused() {
    let other = if cfg!(target_arch = "aarch64") { Kernels::Avx2 } else { Kernels::Neon };
    let refused = Model::from_bytes_with(DEFAULT_MODEL, other);
    assert!(matches!(refused, Err(ModelError::Kernels(_))));
}

/// Holds for whatever the environment says; the next test says something.
#[test]
fn the_kernels_are_those_of_the_environment() {
    let model = Model::from_bytes(DEFAULT_MODEL);
    match (Kernels::choose(), model) {
        (Ok(kernels), Ok(model)) => assert!(model.execution().to_string().contains(kernels.name())),
        (Err(expected), Err(ModelError::Kernels(error))) => assert_eq!(error, expected),
        (_, Ok(model)) => panic!("{}", model.execution()),
        (_, Err(error)) => panic!("{error}"),
    }
}

#[test]
fn the_environment_forces_kernels() {
    let program = std::env::current_exe().expect("this program");
    for name in Kernels::available().map(Kernels::name).chain(["abacus", ""]) {
        // An emulated program cannot start another one without its emulator, which cargo was given.
        let emulator =
            std::env::var_os("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER").filter(|_| cfg!(target_arch = "aarch64"));
        let mut test = std::process::Command::new(emulator.as_deref().unwrap_or(program.as_os_str()));
        test.args(emulator.is_some().then_some(&program));
        test.args(["--exact", "the_kernels_are_those_of_the_environment"]).env("PUMUA_KERNELS", name);
        let output = test.output().expect("it runs");
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }
}
