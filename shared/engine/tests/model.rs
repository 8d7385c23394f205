//! Loading, refusing and running models.

mod common;

use common::{Random, SIDE, bytes, card, float_model, network::Builder};
use engine::{
    CardError, Execution, GraphError, Model, ModelError,
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

#[test]
fn float_agrees_with_hand_computation() {
    // The kernel passes its centre through, channel 0 alone reaches the output with weight 1/16 each.
    let mut weights = [0.0; 27];
    weights[4] = 1.0;
    let mut dense = [0.0; 48];
    dense[..16].fill(1.0 / 16.0);
    let model = Model::from_bytes(&bytes(&float_model(&weights, &dense))).expect("a model");
    assert_eq!(model.execution(), &Execution::Float { quantized: false });
    let score = model.classify(&[255; SIDE * SIDE]).expect("a score");
    let expected = 1.0 + 0.1 + 0.25;
    assert!((score.logit - expected).abs() < 1e-5, "{score:?}");
    assert!((score.probability - 1.0 / (1.0 + (-expected).exp())).abs() < 1e-5, "{score:?}");
}

#[test]
fn one_model_serves_many_threads() {
    for file in [float(), Builder::separable(1).onnx()] {
        let model = Model::from_bytes(&bytes(&file)).expect("a model");
        let mut random = Random(5);
        let images: Vec<_> = (0..4).map(|_| random.pixels()).collect();
        let once: Vec<_> = images.iter().map(|pixels| model.classify(pixels).expect("a score")).collect();
        assert_ne!(once[0], once[1]);
        std::thread::scope(|scope| {
            // Each thread has images of its own turn, so that a state that two threads share would show.
            for thread in 0..4 {
                let (model, images, once) = (&model, &images, &once);
                scope.spawn(move || {
                    for turn in 0..50 {
                        let image = (thread + turn) % images.len();
                        assert_eq!(model.classify(&images[image]).expect("a score"), once[image]);
                    }
                });
            }
        });
    }
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
    for model in [bytes(&float()), bytes(&Builder::plain(0).onnx()), bytes(&Builder::separable(0).onnx())] {
        for length in (0..model.len()).step_by(37) {
            assert!(Model::from_bytes(&model[..length]).is_err(), "{length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A damaged file is an error or another model: never a panic, never a result of another kind.
    #[test]
    fn damaged_files_never_panic(
        kind in 0..4,
        structure: bool,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = bytes(&match kind {
            0 => float(),
            1 => Builder::plain(0).onnx(),
            2 => Builder::pooled(0).onnx(),
            _ => Builder::separable(0).onnx(),
        });
        // Most bytes are weights, which may be any; the nodes come before them.
        let weights = file.windows(4).position(|window| window == b"q.s\x4a").unwrap_or(file.len());
        let end = if structure { weights } else { file.len() };
        for (index, value) in flips {
            file[index.index(end)] = value;
        }
        if let Ok(model) = Model::from_bytes(&file) {
            let input = vec![100; model.card().behaviour.contract.len()];
            let score = model.classify(&input);
            if let (Ok(score), Ok(examination)) = (score, model.examine(&input)) {
                // NaN is not equal to itself.
                assert_eq!(examination.score.logit.to_bits(), score.logit.to_bits());
            }
        }
    }
}
