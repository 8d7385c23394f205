//! What a model must be for a box.

#![allow(clippy::expect_used, reason = "what a test has made is there")]

mod common;

use common::{Random, bytes, float_model, network::Builder};
use engine::{
    BudgetError, CardError, DEFAULT_MODEL, Execution, GraphError, Kernels, MARGIN, MAX_NODES, Model, ModelCard,
    ModelError, Provenance, decode,
    onnx::{
        pb::{AttributeProto, ModelProto, NodeProto, TensorProto},
        write::{self, f32_tensor, integers, node},
    },
};
use shared::{
    contract::InputContract,
    verdict::{ModelRefusal, OperatingPoint, OperatingPoints, Profile},
};

fn for_box(file: &ModelProto) -> Result<Model, ModelError> {
    Model::for_box(&bytes(file), None)
}

fn refusal(file: &ModelProto) -> ModelError {
    for_box(file).err().expect("it is refused")
}

fn shipped() -> ModelProto {
    decode(DEFAULT_MODEL).expect("the model that ships")
}

/// The shipped model with another card.
fn with_card(change: impl FnOnce(&mut ModelCard)) -> ModelProto {
    let mut file = shipped();
    let mut card = engine::card(&file).expect("its card");
    change(&mut card);
    file.metadata_props[0].value = serde_json::to_string(&card).expect("a card");
    file
}

/// Multiplies weights and bias of the shipped model's dense layer by −1, or by 0.
fn last_layer_times(factor: i8) -> ModelProto {
    let mut file = shipped();
    let graph = file.graph.as_mut().expect("a graph");
    let last = graph.node.iter().rfind(|node| node.op_type == "QLinearConv").expect("a dense layer").clone();
    for tensor in &mut graph.initializer {
        if tensor.name == last.input[3] {
            tensor.raw_data.iter_mut().for_each(|weight| *weight = (*weight as i8).saturating_mul(factor) as u8);
        } else if tensor.name == last.input[8] {
            let bias = i32::from_le_bytes(tensor.raw_data[..].try_into().expect("one bias"));
            tensor.raw_data = (bias * i32::from(factor)).to_le_bytes().to_vec();
        }
    }
    file
}

/// A network in f32 of nodes from `image` to the map `last`, which are averaged; as if trained on drawings.
fn network(side: u16, mut nodes: Vec<NodeProto>, mut constants: Vec<TensorProto>, channels: usize) -> ModelProto {
    nodes.extend([
        node("GlobalAveragePool", &["last"], "average", vec![]),
        node("Flatten", &["average"], "flat", vec![]),
        node("Gemm", &["flat", "dense"], "logit", vec![]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ]);
    constants.push(f32_tensor("dense", &[channels, 1], &vec![0.1; channels]));
    let provenance = Provenance { synthetic: true, ..Provenance::default() };
    let card = ModelCard { provenance, ..ModelCard::new("test", InputContract::stretched(side)) };
    write::model(nodes, constants, &card).expect("a card")
}

fn window(kernel: i64, pad: i64) -> Vec<AttributeProto> {
    vec![integers("kernel_shape", &[kernel; 2]), integers("pads", &[pad; 4])]
}

/// Convolutions of 16 channels that share their weights.
fn shared_weights(side: u16, layers: usize) -> ModelProto {
    let mut nodes = vec![node("Conv", &["image", "first"], "map 0", window(3, 1))];
    for layer in 0..layers {
        let to = if layer + 1 == layers { "last".to_owned() } else { format!("map {}", layer + 1) };
        nodes.push(node("Conv", &[&format!("map {layer}"), "shared"], &to, window(3, 1)));
    }
    let constants =
        vec![f32_tensor("first", &[16, 1, 3, 3], &[0.01; 144]), f32_tensor("shared", &[16, 16, 3, 3], &[0.001; 2304])];
    network(side, nodes, constants, 16)
}

#[test]
fn the_shipped_model_is_one_for_a_box_with_all_kernels_and_profiles() {
    for kernels in Kernels::available() {
        let model = Model::for_box_with(DEFAULT_MODEL, Some(Profile::Screening), kernels).expect("a model for a box");
        assert_eq!(model.card().behaviour.point, model.card().behaviour.points.expect("points").screening);
        model.self_test().expect("the same answers again");
        model.verify().expect("the same weights");
    }
}

#[test]
fn a_model_of_drawings_is_taken_without_guard_and_knowledge() {
    let mut random = Random(1);
    for file in [
        float_model(&random.f32s(27, 0.5), &random.f32s(48, 0.5)),
        Builder::plain(1).onnx(),
        Builder::separable(1).onnx(),
        with_card(|card| {
            card.provenance.synthetic = true;
            card.behaviour.guard = None;
        }),
    ] {
        let model = for_box(&file).expect("a model for a box");
        model.self_test().expect("the same answers again");
        model.verify().expect("the same weights");
    }
}

#[test]
fn a_model_that_does_not_tell_the_sick_from_the_healthy_is_refused() {
    for factor in [-1, 0] {
        let error = refusal(&last_layer_times(factor));
        let ModelError::WrongAnswers { healthy, sick } = error else { panic!("{error}") };
        assert!(if factor == 0 { healthy == sick } else { sick + MARGIN < healthy }, "{error}");
        // Anybody can load it to find out what is wrong with it.
        Model::from_bytes(&bytes(&last_layer_times(factor))).expect("a model");
    }
}

#[test]
fn a_model_without_a_guard_is_refused() {
    let error = refusal(&with_card(|card| card.behaviour.guard = None));
    assert!(matches!(error, ModelError::Card(CardError::NoGuard)), "{error}");
}

#[test]
fn work_is_counted_from_shapes_wherever_weights_come_from() {
    for_box(&shared_weights(128, 3)).expect("3 × 38 million products");
    // 16 × 16 × 9 products for each of 512 × 512 pixels.
    let error = refusal(&shared_weights(512, 1));
    let ModelError::Budget(BudgetError::Operations { millions }) = error else { panic!("{error}") };
    assert!((604..650).contains(&millions), "{millions}");
    // It would take years: it is refused before anything is built.
    let error = refusal(&shared_weights(512, MAX_NODES - 10));
    assert!(matches!(error, ModelError::Budget(BudgetError::Operations { .. })), "{error}");
    let error = refusal(&shared_weights(16, MAX_NODES));
    assert!(matches!(error, ModelError::Budget(BudgetError::Nodes(n)) if n > MAX_NODES), "{error}");
}

#[test]
fn windows_sums_and_memory_are_counted() {
    // A maximum over 255 × 255 values at each of 512 × 512 places.
    let pool = vec![node("MaxPool", &["image"], "last", window(255, 127))];
    assert!(matches!(refusal(&network(512, pool, vec![], 1)), ModelError::Budget(BudgetError::Operations { .. })));
    // A sum of a row and a column of maps that is as large as both together.
    let outer = |length: usize| {
        let nodes = vec![
            node("GlobalAveragePool", &["image"], "one", vec![]),
            node("Add", &["one", "column"], "a", vec![]),
            node("Add", &["a", "row"], "last", vec![]),
        ];
        let constants = vec![
            f32_tensor("column", &[1, 1, length, 1], &vec![0.5; length]),
            f32_tensor("row", &[1, 1, 1, length], &vec![0.5; length]),
        ];
        network(16, nodes, constants, 1)
    };
    for_box(&outer(512)).expect("a quarter of a million values");
    let error = refusal(&outer(5000));
    let ModelError::Budget(BudgetError::Memory { mebibytes }) = error else { panic!("{error}") };
    // 25 million values of four bytes.
    assert!((95..110).contains(&mebibytes), "{mebibytes}");
}

#[test]
fn what_cannot_be_counted_is_refused() {
    // Weights that come from the image.
    let nodes = vec![node("Conv", &["image", "image"], "last", vec![])];
    let error = refusal(&network(16, nodes, vec![], 1));
    assert!(matches!(&error, ModelError::Budget(BudgetError::Shape(node)) if node == "last"), "{error}");
}

#[test]
fn what_is_not_fused_counts_ten_times() {
    // 71 million products. A quantization that no kernel does keeps a network from being fused.
    let build = |again: bool| {
        let mut net = Builder::new(1);
        let wide = net.convolution(0, 512, [1, 1], [1, 1], [0; 4]);
        let next = net.convolution(wide, 512, [1, 1], [1, 1], [0; 4]);
        net.convolution(next, 16, [1, 1], [1, 1], [0; 4]);
        let mut file = net.end().onnx();
        if again {
            let graph = file.graph.as_mut().expect("a graph");
            graph.node.insert(1, node("DequantizeLinear", &["t0", "q.s", "q.z"], "real", vec![]));
            graph.node.insert(2, node("QuantizeLinear", &["real", "q.s", "q.z"], "again", vec![]));
            graph.node[3].input[0] = "again".into();
        }
        file
    };
    let fused = for_box(&build(false)).expect("a model for a box");
    assert!(matches!(fused.execution(), Execution::Fused { .. }), "{}", fused.execution());
    let slow = Model::from_bytes(&bytes(&build(true))).expect("a model");
    assert!(matches!(slow.execution(), Execution::Tract { .. }), "{}", slow.execution());
    let error = refusal(&build(true));
    assert!(matches!(error, ModelError::Budget(BudgetError::Operations { millions: 600.. })), "{error}");
}

#[test]
fn what_readers_could_take_for_different_things_is_refused() {
    let mut file = shipped();
    file.opset_import.push(file.opset_import[0].clone());
    file.opset_import[1].domain = "ai.onnx".into();
    assert!(matches!(refusal(&file), ModelError::Graph(GraphError::Twice(_))));
    let mut file = shipped();
    file.metadata_props.push(file.metadata_props[0].clone());
    assert!(matches!(refusal(&file), ModelError::Graph(GraphError::Twice(_))));
    // Operators of others are another matter; none is known.
    let mut file = shipped();
    file.opset_import.push(engine::onnx::pb::OperatorSetIdProto { domain: "others".into(), version: 1 });
    for_box(&file).expect("a model for a box");
}

#[test]
fn cards_are_bounded() {
    for (what, file) in [
        ("recipe", with_card(|card| card.provenance.recipe = "x".repeat(5000))),
        ("digest", with_card(|card| card.provenance.data_digest = "x".repeat(5000))),
        ("figures", with_card(|card| card.metrics = (0..300).map(|n| (n.to_string(), 0.5)).collect())),
        ("name of a figure", with_card(|card| card.metrics.extend([("x".repeat(5000), 0.5)]))),
    ] {
        let error = refusal(&file);
        assert!(matches!(error, ModelError::Card(CardError::TooLong)), "{what}: {error}");
    }
    let mut file = shipped();
    file.metadata_props[0].value += &" ".repeat(300_000);
    assert!(matches!(refusal(&file), ModelError::Card(CardError::TooLong)));
}

#[test]
fn a_model_that_would_always_say_the_same_is_not_for_a_box() {
    let decided = |point, points| {
        with_card(|card| {
            (card.behaviour.point, card.behaviour.points) = (point, points);
            card.measured = None;
        })
    };
    for edge in [0.0, 1.0] {
        let error = refusal(&decided(OperatingPoint::unbanded(edge), None));
        assert_eq!(error.refusal(), ModelRefusal::WrongCard, "{error}");
    }
    // A profile is judged by its own point.
    let [one, point] = [1.0, 0.98].map(OperatingPoint::unbanded);
    let file = decided(point, Some(OperatingPoints { screening: point, balanced: point, confirming: one }));
    assert!(for_box(&file).is_ok());
    let error = Model::for_box(&bytes(&file), Some(Profile::Confirming)).err().expect("it is refused");
    assert_eq!(error.refusal(), ModelRefusal::WrongCard, "{error}");
}
