//! Small models, written with the engine's own building blocks, and a plain reference for the integer operators.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use engine::{
    Card,
    onnx::{
        pb::{ModelProto, NodeProto, TensorProto},
        write::{f32_tensor, i8_tensor, i32_tensor, integers, model, node},
    },
};
use prost::Message;
use shared::{
    contract::{Fit, InputContract},
    verdict::OperatingPoint,
};

pub(crate) const SIDE: usize = 16;

pub(crate) fn card(int8: bool) -> Card {
    Card {
        name: "test".into(),
        version: "0.1.0".into(),
        contract: InputContract { side: SIDE as u16, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 },
        point: OperatingPoint::HALF,
        labels: ["NORMAL".into(), "PNEUMONIA".into()],
        synthetic: true,
        int8,
        recipe: String::new(),
        seed: 0,
        split: String::new(),
        data_digest: String::new(),
        metrics: Default::default(),
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

/// One QLinearConv.
pub(crate) struct Convolution {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
    pub(crate) weights: Vec<i8>,
    pub(crate) bias: Option<Vec<i32>>,
    pub(crate) x_scale: f32,
    pub(crate) w_scales: Vec<f32>,
    pub(crate) y_scale: f32,
}

impl Convolution {
    fn wire(&self, input: &str, output: &str, nodes: &mut Vec<NodeProto>, constants: &mut Vec<TensorProto>) {
        let name = |part: &str| format!("{output}.{part}");
        let k = self.kernel;
        constants.extend([
            f32_tensor(&name("xs"), &[], &[self.x_scale]),
            i8_tensor(&name("z"), &[], &[0]),
            i8_tensor(&name("w"), &[self.outputs, self.inputs, k, k], &self.weights),
            f32_tensor(&name("ws"), &[self.outputs], &self.w_scales),
            i8_tensor(&name("wz"), &[self.outputs], &vec![0; self.outputs]),
            f32_tensor(&name("ys"), &[], &[self.y_scale]),
        ]);
        let mut inputs = vec![input.to_owned()];
        inputs.extend(["xs", "z", "w", "ws", "wz", "ys", "z"].map(name));
        if let Some(bias) = &self.bias {
            constants.push(i32_tensor(&name("b"), &[self.outputs], bias));
            inputs.push(name("b"));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let (stride, pad) = (self.stride as i64, self.pad as i64);
        let window = vec![
            integers("kernel_shape", &[k as i64; 2]),
            integers("strides", &[stride; 2]),
            integers("pads", &[pad; 4]),
        ];
        nodes.push(node("QLinearConv", &inputs, output, window));
    }

    /// The standard's definition, in i32 and f32, of a square image; the output's side too.
    pub(crate) fn reference(&self, x: &[i8], side: usize) -> (Vec<i8>, usize) {
        let out_side = (side + 2 * self.pad - self.kernel) / self.stride + 1;
        let mut y = Vec::new();
        for o in 0..self.outputs {
            for row in 0..out_side {
                for column in 0..out_side {
                    let mut sum = self.bias.as_ref().map_or(0, |bias| bias[o]);
                    for i in 0..self.inputs {
                        for ky in 0..self.kernel {
                            for kx in 0..self.kernel {
                                let (sy, sx) = (row * self.stride + ky, column * self.stride + kx);
                                let inside = |at: usize| at >= self.pad && at - self.pad < side;
                                if inside(sy) && inside(sx) {
                                    let value = x[(i * side + sy - self.pad) * side + sx - self.pad];
                                    let weight =
                                        self.weights[((o * self.inputs + i) * self.kernel + ky) * self.kernel + kx];
                                    sum += i32::from(value) * i32::from(weight);
                                }
                            }
                        }
                    }
                    let scaled = sum as f32 * ((self.x_scale * self.w_scales[o]) / self.y_scale);
                    y.push(scaled.round_ties_even().clamp(-128.0, 127.0) as i8);
                }
            }
        }
        (y, out_side)
    }
}

/// QuantizeLinear → the convolutions, Relu after each but the last → DequantizeLinear → Flatten → Sigmoid.
pub(crate) fn int8_model(layers: &[Convolution]) -> ModelProto {
    let first = layers.first().expect("a layer");
    let mut constants = vec![f32_tensor("q.s", &[], &[first.x_scale]), i8_tensor("q.z", &[], &[0])];
    let mut nodes = vec![node("QuantizeLinear", &["image", "q.s", "q.z"], "q", vec![])];
    let mut tensor = "q".to_owned();
    for (index, layer) in layers.iter().enumerate() {
        let output = format!("c{index}");
        layer.wire(&tensor, &output, &mut nodes, &mut constants);
        tensor = output;
        if index + 1 < layers.len() {
            let relu = format!("r{index}");
            nodes.push(node("Relu", &[&tensor], &relu, vec![]));
            tensor = relu;
        }
    }
    let last = layers.last().expect("a layer");
    constants.extend([f32_tensor("d.s", &[], &[last.y_scale]), i8_tensor("d.z", &[], &[0])]);
    nodes.extend([
        node("DequantizeLinear", &[&tensor, "d.s", "d.z"], "d", vec![]),
        node("Flatten", &["d"], "logit", vec![]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ]);
    model(nodes, constants, &card(true)).expect("card")
}

/// What [`int8_model`] must answer, by the definition: the logit.
pub(crate) fn int8_reference(layers: &[Convolution], pixels: &[u8]) -> f32 {
    let first = layers.first().expect("a layer");
    let quantize =
        |p: &u8| (f32::from(*p) * (1.0 / 255.0) / first.x_scale).round_ties_even().clamp(-128.0, 127.0) as i8;
    let mut x: Vec<i8> = pixels.iter().map(quantize).collect();
    let mut side = SIDE;
    for (index, layer) in layers.iter().enumerate() {
        (x, side) = layer.reference(&x, side);
        if index + 1 < layers.len() {
            x.iter_mut().for_each(|v| *v = (*v).max(0));
        }
    }
    f32::from(x[0]) * layers.last().expect("a layer").y_scale
}
