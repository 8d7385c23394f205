//! Writes a trained network as an ONNX file.

use engine::{
    ModelCard,
    onnx::write::{self, f32_tensor, integer, integers, node},
};
use learn::network::{Layer, Layers};
use prost::Message;

/// The f32 ONNX file of a network: standard operators of opset 18, input `image` `[1, 1, side, side]` f32, outputs
/// `logit` and `probability` `[1, 1]`, the card among the metadata.
pub fn to_onnx(network: &Layers, card: &ModelCard) -> serde_json::Result<Vec<u8>> {
    let mut nodes = Vec::new();
    let mut constants = Vec::new();
    let mut tensor = engine::INPUT.to_owned();
    let last = network.layers.len().saturating_sub(1);
    for (index, layer) in network.layers.iter().enumerate() {
        let output = if index == last { "logit".to_owned() } else { format!("layer{index}") };
        let (weight_name, bias_name) = (format!("layer{index}.weight"), format!("layer{index}.bias"));
        let operands = [tensor.as_str(), &weight_name, &bias_name];
        nodes.push(match layer {
            Layer::Conv { weight, bias, inputs, outputs, kernel } => {
                constants.push(f32_tensor(&weight_name, &[*outputs, *inputs, *kernel, *kernel], weight));
                constants.push(f32_tensor(&bias_name, &[*outputs], bias));
                let side = i64::try_from(*kernel).unwrap_or(i64::MAX);
                node("Conv", &operands, &output, vec![integers("kernel_shape", &[side, side])])
            }
            Layer::Relu => node("Relu", &operands[..1], &output, vec![]),
            Layer::MaxPool2 => {
                let window = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
                node("MaxPool", &operands[..1], &output, window)
            }
            Layer::GlobalAverage => node("GlobalAveragePool", &operands[..1], &output, vec![]),
            Layer::Flatten => node("Flatten", &operands[..1], &output, vec![]),
            Layer::Dense { weight, bias, inputs, outputs } => {
                constants.push(f32_tensor(&weight_name, &[*outputs, *inputs], weight));
                constants.push(f32_tensor(&bias_name, &[*outputs], bias));
                node("Gemm", &operands, &output, vec![integer("transB", 1)])
            }
        });
        tensor = output;
    }
    nodes.push(node("Sigmoid", &[&tensor], "probability", vec![]));
    Ok(write::model(nodes, constants, card)?.encode_to_vec())
}
