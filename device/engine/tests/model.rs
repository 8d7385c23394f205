//! Loading, refusing and running models.

mod common;

use common::{Convolution, Random, SIDE, bytes, card, float_model, int8_model, int8_reference};
use engine::{
    CardError, GraphError, Model, ModelError,
    onnx::{
        pb::ModelProto,
        write::{integers, node},
    },
};
use proptest::prelude::*;

fn float() -> ModelProto {
    let mut random = Random(1);
    float_model(&random.f32s(27, 0.5), &random.f32s(48, 0.5))
}

fn error(model: &ModelProto) -> ModelError {
    match Model::from_bytes(&bytes(model)) {
        Ok(_) => panic!("the model was accepted"),
        Err(error) => error,
    }
}

/// Layers that end in one value: padding, stride, a 1×1 layer and one without bias are among them.
fn layers(seed: u64) -> Vec<Convolution> {
    let mut random = Random(seed);
    let shapes = [(1, 8, 3, 1, 1), (8, 16, 3, 2, 0), (16, 12, 7, 1, 0), (12, 1, 1, 1, 0)];
    let scales = [1.0 / 127.0, 0.031, 0.017, 0.042, 0.011];
    shapes
        .into_iter()
        .enumerate()
        .map(|(index, (inputs, outputs, kernel, stride, pad))| {
            let taps = inputs * kernel * kernel;
            let spread = scales[index + 1] / (scales[index] * 60.0 * (taps as f32).sqrt());
            Convolution {
                inputs,
                outputs,
                kernel,
                stride,
                pad,
                weights: random.i8s(outputs * taps),
                bias: (index != 2).then(|| (0..outputs).map(|_| random.next() as i32 % 2001 - 1000).collect()),
                x_scale: scales[index],
                w_scales: random.f32s(outputs, 0.4).iter().map(|v| (v + 0.6) * spread).collect(),
                y_scale: scales[index + 1],
            }
        })
        .collect()
}

#[test]
fn int8_agrees_with_the_definition_to_the_bit() {
    let mut answers = std::collections::HashSet::new();
    for seed in 0..20 {
        let layers = layers(seed);
        let model = Model::from_bytes(&bytes(&int8_model(&layers))).expect("a model");
        let mut random = Random(100 + seed);
        for _ in 0..5 {
            let pixels = random.pixels();
            let score = model.classify(&pixels).expect("a score");
            assert_eq!(score.logit.to_bits(), int8_reference(&layers, &pixels).to_bits(), "seed {seed}");
            answers.insert(score.logit.to_bits());
        }
    }
    assert!(answers.len() > 20, "the answers hardly depend on the image: {answers:?}");
}

#[test]
fn sums_beyond_the_exact_range_of_f32_stay_exact() {
    // 16 · 16 · 8 weights of 127 and activations up to 127 reach 3.3 · 10^7, twice the range in which f32 is exact.
    let first = Convolution {
        inputs: 1,
        outputs: 8,
        kernel: 1,
        stride: 1,
        pad: 0,
        weights: vec![127; 8],
        bias: None,
        x_scale: 1.0 / 127.0,
        w_scales: vec![1.0 / 127.0; 8],
        y_scale: 1.0 / 127.0,
    };
    let second = Convolution {
        inputs: 8,
        outputs: 1,
        kernel: SIDE,
        stride: 1,
        pad: 0,
        weights: vec![127; SIDE * SIDE * 8],
        bias: Some(vec![77]),
        x_scale: 1.0 / 127.0,
        w_scales: vec![1.0 / 127.0],
        y_scale: 20.0,
    };
    let layers = [first, second];
    let model = Model::from_bytes(&bytes(&int8_model(&layers))).expect("a model");
    let mut random = Random(3);
    for _ in 0..10 {
        let pixels = random.pixels();
        let score = model.classify(&pixels).expect("a score");
        assert_eq!(score.logit.to_bits(), int8_reference(&layers, &pixels).to_bits());
    }
}

#[test]
fn float_agrees_with_hand_computation() {
    // The kernel passes its centre through, channel 0 alone reaches the output with weight 1/16 each.
    let mut weights = [0.0; 27];
    weights[4] = 1.0;
    let mut dense = [0.0; 48];
    dense[..16].fill(1.0 / 16.0);
    let model = Model::from_bytes(&bytes(&float_model(&weights, &dense))).expect("a model");
    let score = model.classify(&[255; SIDE * SIDE]).expect("a score");
    let expected = 1.0 + 0.1 + 0.25;
    assert!((score.logit - expected).abs() < 1e-5, "{score:?}");
    assert!((score.probability - 1.0 / (1.0 + (-expected).exp())).abs() < 1e-5, "{score:?}");
}

#[test]
fn one_model_serves_many_threads() {
    let model = Model::from_bytes(&bytes(&float())).expect("a model");
    let pixels = Random(5).pixels();
    let once = model.classify(&pixels).expect("a score");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| model.classify(&pixels).expect("a score"))).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), once);
        }
    });
}

#[test]
fn inputs_of_another_length_are_refused() {
    let model = Model::from_bytes(&bytes(&float())).expect("a model");
    let wrong = model.classify(&[0; 7]);
    assert!(matches!(wrong, Err(ModelError::Input { found: 7, wanted: 256 })), "{wrong:?}");
}

#[test]
fn files_that_are_no_model_are_refused_by_name() {
    assert!(matches!(Model::from_bytes(b"not protobuf"), Err(ModelError::Protobuf(_))));
    assert!(matches!(Model::from_bytes(b""), Err(ModelError::Card(CardError::Missing))));

    let mut model = float();
    model.metadata_props.clear();
    assert!(matches!(error(&model), ModelError::Card(CardError::Missing)));

    let mut model = float();
    model.opset_import[0].version = 23;
    assert!(matches!(error(&model), ModelError::Graph(GraphError::Opset(23))));

    let mut model = float();
    model.metadata_props[0].value = serde_json::to_string(&card(true)).expect("a card");
    assert!(matches!(error(&model), ModelError::Graph(GraphError::Int8 { card: true })));
}

#[test]
fn graphs_that_break_the_contract_are_refused_by_name() {
    let change = |change: fn(&mut engine::onnx::pb::GraphProto)| {
        let mut model = float();
        change(model.graph.as_mut().expect("a graph"));
        match error(&model) {
            ModelError::Graph(error) => error,
            error => panic!("{error}"),
        }
    };
    assert!(matches!(change(|g| g.input[0].name = "x".into()), GraphError::Input { side: 16 }));
    assert!(matches!(change(|g| g.output.truncate(1)), GraphError::Output("probability")));
    assert!(matches!(change(|g| g.initializer[0].dims[0] = 1 << 40), GraphError::Constant(_)));
    assert!(matches!(change(|g| g.node[0].attribute[2] = integers("pads", &[1 << 30; 4])), GraphError::Node { .. }));
    assert!(matches!(change(|g| g.node[1].op_type = "Erf".into()), GraphError::Operator { .. }));
    assert!(matches!(change(|g| g.node.swap(0, 1)), GraphError::Node { .. }));
    assert!(matches!(change(|g| g.node.insert(0, node("Relu", &["w"], "v", vec![]))), GraphError::Node { .. }));
}

#[test]
fn truncated_files_are_errors() {
    for model in [bytes(&float()), bytes(&int8_model(&layers(0)))] {
        for length in (0..model.len()).step_by(7) {
            assert!(Model::from_bytes(&model[..length]).is_err(), "{length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A damaged file is an error or another model: never a panic, never a result of another kind.
    #[test]
    fn damaged_files_never_panic(int8: bool, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = if int8 { bytes(&int8_model(&layers(0))) } else { bytes(&float()) };
        for (index, value) in flips {
            let at = index.index(file.len());
            file[at] = value;
        }
        if let Ok(model) = Model::from_bytes(&file) {
            let input = vec![100; model.card().contract.len()];
            let _ = model.classify(&input);
        }
    }
}
