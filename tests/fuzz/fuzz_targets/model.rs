//! Any bytes as a model file: an error or a model that judges an image, the same with all kernels, and reports what the answer
//! rests on in numbers. The same bytes as a model for a box, which is refused before anything large is built.
//!
//! Real files make a good corpus: `models/pumua.onnx` and `shared/engine/tests/golden/*.onnx`.
#![no_main]

use std::{
    mem::{Discriminant, discriminant},
    panic,
    sync::Once,
};

use engine::{Examination, Execution, Kernels, Model, ModelError};
use libfuzzer_sys::fuzz_target;

/// What a file leads to.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It is refused, by this kind of error.
    Refused(Discriminant<ModelError>),
    /// It runs through tract, which knows no kernels.
    Unfused,
    /// It needs images so large that they take long and reach nothing else.
    Large,
    /// It is fused: the bits of the logit.
    Fused(u32),
}

fn outcome(bytes: &[u8], kernels: Kernels) -> Outcome {
    let model = match Model::from_bytes_with(bytes, kernels) {
        Ok(model) => model,
        Err(error) => return Outcome::Refused(discriminant(&error)),
    };
    let side = usize::from(model.card().behaviour.contract.side);
    if side > 256 {
        return Outcome::Large;
    }
    let pixels: Vec<u8> = (0..side * side).map(|i| (i * 7 + i / side * 3) as u8).collect();
    match (model.examine(&pixels), model.execution()) {
        (Ok(Examination { score, features, map }), Execution::Fused { .. }) => {
            assert!(features.iter().chain(map.iter().flat_map(|map| &map.values)).all(|value| value.is_finite()));
            Outcome::Fused(score.logit.to_bits())
        }
        (Err(error), Execution::Fused { .. }) => panic!("a fused network fails: {error}"),
        _ => Outcome::Unfused,
    }
}

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // The engine turns tract's panics into errors; libFuzzer's hook would end the process before that. Panics that leave
    // this function still end it.
    QUIET.call_once(|| panic::set_hook(Box::new(|_| ())));
    // The door of the box: whatever comes to it, an answer comes back soon.
    let _ = Model::for_box(bytes, None);
    let outcomes: Vec<_> = Kernels::available().map(|kernels| (kernels, outcome(bytes, kernels))).collect();
    assert!(outcomes.windows(2).all(|pair| pair[0].1 == pair[1].1), "{outcomes:?}");
});
