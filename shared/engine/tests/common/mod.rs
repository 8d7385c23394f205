//! Small models, written with the engine's own building blocks, and a plain reference for the integer operators.

#![allow(clippy::expect_used, dead_code, reason = "helpers of several tests, of which each uses some")]

pub(crate) mod network;

use engine::{
    Behaviour, ModelCard, Provenance,
    onnx::{
        pb::ModelProto,
        write::{f32_tensor, integers, model, node},
    },
};
use prost::Message;
use shared::contract::InputContract;

pub(crate) const SIDE: usize = 16;

pub(crate) fn card(int8: bool) -> ModelCard {
    let contract = InputContract::stretched(SIDE as u16);
    let provenance = Provenance { version: "0.1.0".into(), synthetic: true, ..Provenance::default() };
    ModelCard {
        behaviour: Behaviour { int8, ..Behaviour::new(contract) },
        provenance,
        ..ModelCard::new("test", contract)
    }
}

/// A deterministic sequence of numbers (Knuth's MMIX generator).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    pub(crate) fn i8s(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() % 255) as i32 as i8).collect()
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    pub(crate) fn f32s(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| (self.next() as f32 / (1_u32 << 31) as f32 * 2.0 - 1.0) * size).collect()
    }

    pub(crate) fn pixels(&mut self) -> Vec<u8> {
        (0..SIDE * SIDE).map(|_| self.next() as u8).collect()
    }
}

pub(crate) fn bytes(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Conv 1→3, 3×3, padding 1, stride 2 → Relu → MaxPool 2 → Flatten → Gemm → Sigmoid.
pub(crate) fn float_model(weights: &[f32], dense: &[f32]) -> ModelProto {
    let window = vec![integers("kernel_shape", &[3, 3]), integers("strides", &[2, 2]), integers("pads", &[1, 1, 1, 1])];
    let pool = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
    let nodes = vec![
        node("Conv", &["image", "w", "b"], "c", window),
        node("Relu", &["c"], "r", vec![]),
        node("MaxPool", &["r"], "p", pool),
        node("Flatten", &["p"], "f", vec![]),
        node("Gemm", &["f", "dw", "db"], "logit", vec![]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ];
    let constants = vec![
        f32_tensor("w", &[3, 1, 3, 3], weights),
        f32_tensor("b", &[3], &[0.1, -0.2, 0.3]),
        f32_tensor("dw", &[48, 1], dense),
        f32_tensor("db", &[1], &[0.25]),
    ];
    model(nodes, constants, &card(false)).expect("card")
}
