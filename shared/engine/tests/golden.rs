//! Logits that onnxruntime computed, to the bit: `golden/logits.json`, written by `tests/onnx/golden.py`.

mod common;

use std::path::PathBuf;

use common::{Random, bytes, network::Builder};
use engine::{Execution, Kernels, Model};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The models of the set beside the shipped one.
fn models() -> [(&'static str, Vec<u8>); 2] {
    [("plain.onnx", bytes(&Builder::plain(1).onnx())), ("separable.onnx", bytes(&Builder::separable(5).onnx()))]
}

#[test]
fn logits_are_those_of_onnxruntime_to_the_bit() {
    let golden = std::fs::read(folder().join("logits.json")).expect("the golden set");
    let golden: serde_json::Value = serde_json::from_slice(&golden).expect("JSON");
    let golden = golden.as_object().expect("an object");
    assert_eq!(golden.len(), 3);
    for (file, logits) in golden {
        let logits: Vec<u32> = serde_json::from_value(logits.clone()).expect("bits");
        assert!(logits.len() >= 16 && logits.iter().any(|bits| *bits != logits[0]), "{file}");
        let onnx = std::fs::read(folder().join(file)).expect("the model");
        for kernels in Kernels::available() {
            let model = Model::from_bytes_with(&onnx, kernels).expect("a model");
            assert!(matches!(model.execution(), Execution::Fused { .. }), "{file}: {}", model.execution());
            for (seed, expected) in (0..).zip(&logits) {
                let pixels = picture(seed, usize::from(model.card().behaviour.contract.side));
                let logit = model.classify(&pixels).expect("a score").logit;
                assert_eq!(logit.to_bits(), *expected, "{file}, image {seed}, {kernels}");
            }
        }
    }
}

/// The image of a seed, as `golden.py` makes it: a ramp whose direction, level and noise the seed sets.
fn picture(seed: u64, side: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let [down, right, level, noise] = [5, 5, 256, 64].map(|limit| random.below(limit));
    let pixel = |i: usize| (i / side * down + i % side * right + level + random.below(noise + 1)) % 256;
    (0..side * side).map(pixel).map(|pixel| pixel as u8).collect()
}

/// `GOLDEN=overwrite` writes the models again; `tests/onnx/golden.py --write` then computes their logits.
#[test]
fn the_models_are_those_of_the_builder() {
    for (file, onnx) in models() {
        let path = folder().join(file);
        if std::env::var_os("GOLDEN").is_some_and(|what| what == "overwrite") {
            std::fs::write(&path, &onnx).expect("the folder");
        }
        assert!(std::fs::read(path).expect("the model") == onnx, "{file}: write it again, then its logits");
    }
}
