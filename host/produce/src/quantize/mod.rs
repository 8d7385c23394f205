//! An f32 ONNX file → an int8 one.
//!
//! The int8 file has standard operators only: `QuantizeLinear → QLinearConv → Relu → MaxPool → … → DequantizeLinear
//! → Flatten → Sigmoid`. Activations are symmetric int8 (zero point 0), one scale each, chosen on *range images* that
//! run through the float network; weights are int8 with one scale per output channel, biases int32. Dense layers are
//! QLinearConv with a kernel as large as the feature map, global averages QLinearConv with equal weights within each
//! channel, batch normalization is folded. Before all that the channels of each feature map are made equally large, and
//! biases make up for rounded weights (`equalised`).
//!
//! After a ReLU activations are 0..=127, so that processors which multiply unsigned by signed bytes and add pairs in
//! 16 bits cannot saturate.

mod network;
mod scales;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use engine::{
    Behaviour, GraphError, Model, ModelCard, ModelError, Observer, Provenance,
    onnx::{
        graph::{Graph, Window},
        pb::{ModelProto, NodeProto, TensorProto},
        write::{self, f32_tensor, i8_tensor, i32_tensor, integer, integers, node},
    },
};
use network::{Conv, Step};
use prost::Message;
use rayon::prelude::*;
use scales::{Histogram, quantize_filter};
use shared::{contract::InputContract, guard::Guard};

pub use scales::Method;

/// Why a file cannot be quantized.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// the f32 file cannot be loaded or run
    #[error(transparent)]
    Model(#[from] ModelError),
    /// the f32 file is an int8 one
    #[error("the model is quantized already: give the float model")]
    AlreadyInt8,
    /// an operator that has no integer form here
    #[error(
        "operator {operator} (node `{node}`) is not supported in this place: train a network of convolutions, batch \
        normalization, ReLU, pooling and dense layers in a chain"
    )]
    Operator {
        /// Type of the operator.
        operator: String,
        /// Name of the node.
        node: String,
    },
    /// the network branches
    #[error("the network is not a chain from `image` to `logit` (at `{node}`): branches are not supported")]
    Chain {
        /// Where it branches or ends.
        node: String,
    },
    /// weights that are not finite constants
    #[error("the weights of node `{node}` are not finite f32 constants of the right length: export the model again")]
    Constant {
        /// Name of the node.
        node: String,
    },
    /// the float model computes something that is not a number
    #[error("the float model's values grow beyond f32 on one of the images: train it again")]
    Overflow,
    /// too few images
    #[error("{0} images are given to find ranges, at least 2 are needed: give more")]
    Images(usize),
    /// the card cannot be written
    #[error("the card cannot be written: {0}")]
    Card(#[from] serde_json::Error),
}

/// What is asked of the quantizer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How ranges are found; without it the way with the least drift is taken.
    pub method: Option<Method>,
}

/// How far a quantized model is from its float model, on those range images that set none of its scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// How ranges were found.
    pub method: Method,
    /// Mean of |Δ probability|.
    pub probability: f64,
    /// Mean of |Δ logit|.
    pub logit: f64,
    /// Images that fall on the other side of the threshold.
    pub flips: usize,
    /// Images compared.
    pub images: usize,
}

/// A quantized model.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// How its ranges were found.
    pub method: Method,
    /// The drift of every way tried.
    pub drift: Vec<Drift>,
}

/// Part of the images that measures the drift: every fifth.
const HELD_OUT: usize = 5;

/// Quantizes an f32 ONNX file. `images` are prepared training images (`contract.len()` bytes each), in a random
/// order; a fifth of them measures the drift, the others set the scales. The same arguments give the same bytes.
pub fn quantize(onnx: &[u8], images: &[&[u8]], options: Options) -> Result<Quantized, QuantizeError> {
    if images.len() < 2 {
        return Err(QuantizeError::Images(images.len()));
    }
    let float = Model::from_bytes(onnx)?;
    if float.card().behaviour.int8 {
        return Err(QuantizeError::AlreadyInt8);
    }
    let file = engine::decode(onnx)?;
    let side = usize::from(float.card().behaviour.contract.side);
    let graph = file.graph.as_ref().ok_or(ModelError::Graph(GraphError::Empty))?;
    let steps = network::read(&Graph::new(graph), side)?;

    let (held_out, fitting): (Vec<_>, Vec<_>) = images.iter().enumerate().partition(|(i, _)| i % HELD_OUT == 0);
    let [held_out, fitting] =
        [held_out, fitting].map(|part| part.into_iter().map(|(_, image)| *image).collect::<Vec<_>>());
    let input = Input::new(&float.card().behaviour.contract, &fitting);
    let histograms = observe(&file, &steps, &fitting)?;

    let methods = options.method.map_or(Method::ALL.to_vec(), |method| vec![method]);
    let mut candidates = Vec::new();
    for method in methods {
        let card = int8_card(&float, method);
        let (steps, scales) = equalised(&steps, &histograms, input, method);
        let bytes = write_int8(&steps, &scales, &card)?.encode_to_vec();
        let drift = drift(&float, &Model::from_bytes(&bytes)?, &held_out, method)?;
        candidates.push((bytes, drift));
    }
    let drifts = candidates.iter().map(|(_, drift)| drift.clone()).collect();
    let rank = |drift: &Drift| (drift.probability, drift.logit);
    candidates.sort_by(|(_, a), (_, b)| {
        let ((pa, la), (pb, lb)) = (rank(a), rank(b));
        pa.total_cmp(&pb).then(la.total_cmp(&lb))
    });
    let (bytes, best) = candidates.swap_remove(0);
    Ok(Quantized { bytes, method: best.method, drift: drifts })
}

/// The card of the float model, with what the quantization adds to it. The float model's figures and features are not this
/// one's.
fn int8_card(float: &Model, method: Method) -> ModelCard {
    let card = float.card();
    let suffix = "-int8";
    let mut end = card.name.len().min(64 - suffix.len());
    while !card.name.is_char_boundary(end) {
        end -= 1;
    }
    ModelCard {
        name: format!("{}{suffix}", &card.name[..end]),
        behaviour: Behaviour {
            int8: true,
            guard: card.behaviour.guard.clone().map(|guard| Guard { features: None, style: None, ..guard }),
            subtypes: None,
            ..card.behaviour.clone()
        },
        provenance: Provenance {
            // In the words of the models that there are already.
            recipe: format!("{}; int8, calibrated by {method}, from {}", card.provenance.recipe, float.digest()),
            ..card.provenance.clone()
        },
        metrics: BTreeMap::new(),
        measured: None,
    }
}

/// What each channel of the output of each convolution held over the range images.
fn observe(file: &ModelProto, steps: &[Step], images: &[&[u8]]) -> Result<Vec<Vec<Histogram>>, QuantizeError> {
    let convs: Vec<&Conv> = steps.iter().filter_map(Step::conv).collect();
    let names: Vec<&str> = convs.iter().map(|conv| conv.observed.as_str()).collect();
    let observer = Observer::new(file, &names)?;
    let channels: Vec<usize> = convs.iter().map(|conv| conv.outputs()).collect();
    // The values of each channel of each convolution, one after the other.
    let run = |image: &[u8], see: &mut dyn FnMut(usize, &[f32])| {
        let mut index = 0;
        for (tensor, &channels) in observer.run(image)?.iter().zip(&channels) {
            for values in tensor.chunks_exact((tensor.len() / channels).max(1)) {
                see(index, values);
                index += 1;
            }
        }
        Ok::<_, ModelError>(())
    };
    let all: usize = channels.iter().sum();
    // One part for each thread, so that there are not more histograms than that.
    let part = images.len().div_ceil(rayon::current_num_threads());
    let largest = images.par_chunks(part).map(|images| {
        let mut largest = vec![0.0_f32; all];
        images.iter().try_for_each(|image| {
            run(image, &mut |index, values| {
                largest[index] = values.iter().fold(largest[index], |m, v| m.max(v.abs()));
            })
        })?;
        Ok::<_, ModelError>(largest)
    });
    let larger = |a: Vec<f32>, b: Vec<f32>| Ok(a.iter().zip(b).map(|(a, b)| a.max(b)).collect());
    let largest: Vec<f32> = largest.try_reduce_with(larger).unwrap_or_else(|| Ok(vec![0.0; all]))?;
    if largest.iter().any(|largest| !largest.is_finite()) {
        return Err(QuantizeError::Overflow);
    }
    let empty = || largest.iter().map(|&m| Histogram::new(m)).collect::<Vec<_>>();
    let counted = images.par_chunks(part).map(|images| {
        let mut histograms = empty();
        images.iter().try_for_each(|image| run(image, &mut |index, values| histograms[index].add(values)))?;
        Ok::<_, ModelError>(histograms)
    });
    let merge = |a: Vec<Histogram>, b: Vec<Histogram>| Ok(a.into_iter().zip(b).map(|(a, b)| a.merge(&b)).collect());
    let mut counted = counted.try_reduce_with(merge).unwrap_or_else(|| Ok(empty()))?.into_iter();
    Ok(channels.iter().map(|&channels| counted.by_ref().take(channels).collect()).collect())
}

/// The input as its integers represent it.
#[derive(Clone, Copy, Debug)]
struct Input {
    scale: f32,
    mean: f32,
}

impl Input {
    fn new(contract: &InputContract, images: &[&[u8]]) -> Self {
        // The range is known: what the contract makes of the darkest and of the brightest pixel.
        let scale = contract.value(0).abs().max(contract.value(255).abs()) / scales::LIMIT;
        let (sum, count) = images
            .iter()
            .flat_map(|image| *image)
            .fold((0_u64, 0_u64), |(sum, count), &pixel| (sum + u64::from(pixel), count + 1));
        let [black, white] = [0, 255].map(|pixel| f64::from(contract.value(pixel)));
        let mean = black + (white - black) * sum as f64 / (255 * count.max(1)) as f64;
        Self { scale, mean: mean as f32 }
    }
}

/// A network that differs less when it is quantized, and the scales of its input and of each convolution's output.
///
/// The channels of every feature map are scaled so that each fills the range of int8, which changes nothing, as ReLU and
/// max-pooling let factors pass; and biases make up for what rounding weights adds to the mean of their output (both M. Nagel
/// et al., ICCV 2019, by the values observed instead of by the weights).
fn equalised(steps: &[Step], histograms: &[Vec<Histogram>], input: Input, method: Method) -> (Vec<Step>, Vec<f32>) {
    let mut scales = vec![input.scale];
    let (mut scale, mut factors) = (input.scale, vec![1.0]);
    // What a layer without weights would make of the image is not known.
    let mut means = matches!(steps.first(), Some(Step::Conv(_))).then(|| vec![input.mean]);
    let mut histograms = histograms.iter();
    let mut prepare = |conv: &Conv| {
        let seen = histograms.next().map_or(&[][..], Vec::as_slice);
        let channels: Vec<Option<f32>> = seen.iter().map(|channel| channel.scale(method)).collect();
        let largest = channels.iter().flatten().copied().reduce(f32::max).unwrap_or(1.0);
        let factor = |none: f32| channels.iter().map(|scale| scale.map_or(none, |scale| scale / largest)).collect();
        let outputs: Vec<f32> = factor(1.0);
        let mut conv = conv.rescaled(&factors, &outputs);
        if let Some(means) = &means {
            conv = conv.corrected(scale, means);
        }
        scales.push(largest);
        means = Some(seen.iter().zip(&outputs).map(|(channel, factor)| channel.mean() / factor).collect());
        // What was never seen at work does not count, so that it cannot make the weights that read it large.
        (scale, factors) = (largest, factor(0.0));
        conv
    };
    let steps = steps.iter().map(|step| step.conv().map_or_else(|| step.clone(), |conv| Step::Conv(prepare(conv))));
    (steps.collect(), scales)
}

fn drift(float: &Model, int8: &Model, images: &[&[u8]], method: Method) -> Result<Drift, QuantizeError> {
    let scores = |model: &Model| images.par_iter().map(|image| model.classify(image)).collect::<Result<Vec<_>, _>>();
    let (float_scores, int8_scores) = (scores(float)?, scores(int8)?);
    let mut drift = Drift { method, probability: 0.0, logit: 0.0, flips: 0, images: images.len() };
    let point = float.card().behaviour.point;
    for (a, b) in float_scores.iter().zip(&int8_scores) {
        drift.probability += f64::from((a.probability - b.probability).abs()) / images.len() as f64;
        drift.logit += f64::from((a.logit - b.logit).abs()) / images.len() as f64;
        drift.flips += usize::from(point.positive(a.probability) != point.positive(b.probability));
    }
    Ok(drift)
}

/// Nodes and constants of the file that is being made.
#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    tensor: String,
}

impl Writer {
    fn push(&mut self, operator: &str, others: &[&str], output: &str, window: Option<&Window>, groups: usize) {
        let mut attributes = Vec::new();
        if let Some(window) = window {
            let list = |name, values: &[usize]| {
                integers(name, &values.iter().map(|&v| i64::try_from(v).unwrap_or(i64::MAX)).collect::<Vec<_>>())
            };
            attributes.push(list("kernel_shape", &window.kernel));
            attributes.push(list("strides", &window.strides));
            attributes.push(list("dilations", &window.dilations));
            attributes.push(list("pads", &window.pads));
        }
        if groups > 1 {
            attributes.push(integer("group", i64::try_from(groups).unwrap_or(i64::MAX)));
        }
        let inputs: Vec<&str> = std::iter::once(self.tensor.as_str()).chain(others.iter().copied()).collect();
        self.nodes.push(node(operator, &inputs, output, attributes));
        self.tensor = output.to_owned();
    }

    fn conv(&mut self, index: usize, conv: &Conv, x_scale: f32, y_scale: f32) {
        let name = |part: &str| format!("conv{index}.{part}");
        let outputs = conv.outputs();
        let filters = conv.weights.chunks_exact(conv.weights.len() / outputs).zip(&conv.bias);
        let filters: Vec<_> = filters.map(|(weights, &bias)| quantize_filter(weights, bias, x_scale)).collect();
        let weights: Vec<i8> = filters.iter().flat_map(|f| f.weights.iter().copied()).collect();
        let [height, width] = conv.window.kernel;
        let shape = [outputs, conv.inputs / conv.groups, height, width];
        self.constants.extend([
            i8_tensor(&name("weight"), &shape, &weights),
            f32_tensor(&name("weight_scale"), &[outputs], &filters.iter().map(|f| f.scale).collect::<Vec<_>>()),
            i8_tensor(&name("weight_zero"), &[outputs], &vec![0; outputs]),
            i32_tensor(&name("bias"), &[outputs], &filters.iter().map(|f| f.bias).collect::<Vec<_>>()),
            f32_tensor(&name("scale"), &[], &[y_scale]),
        ]);
        let x_scale_name = if index == 0 { "image_scale".to_owned() } else { format!("conv{}.scale", index - 1) };
        let others = ["weight", "weight_scale", "weight_zero", "scale"].map(name);
        let bias = name("bias");
        let [weight, weight_scale, weight_zero, scale] = others.each_ref().map(String::as_str);
        let inputs = [&x_scale_name, "zero", weight, weight_scale, weight_zero, scale, "zero", &bias];
        self.push("QLinearConv", &inputs, &format!("conv{index}"), Some(&conv.window), conv.groups);
    }
}

/// Writes the int8 file. `scales` are those of the input and of each convolution's output.
fn write_int8(steps: &[Step], scales: &[f32], card: &ModelCard) -> serde_json::Result<ModelProto> {
    let mut writer = Writer { tensor: engine::INPUT.to_owned(), ..Writer::default() };
    let input_scale = scales.first().copied().unwrap_or(1.0);
    writer.constants.extend([f32_tensor("image_scale", &[], &[input_scale]), i8_tensor("zero", &[], &[0])]);
    writer.push("QuantizeLinear", &["image_scale", "zero"], "image_int8", None, 1);
    let mut convs = 0;
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Conv(conv) => {
                let (x_scale, y_scale) = (scales[convs], scales[convs + 1]);
                writer.conv(convs, conv, x_scale, y_scale);
                convs += 1;
            }
            Step::Relu => writer.push("Relu", &[], &format!("relu{index}"), None, 1),
            Step::MaxPool(window) => writer.push("MaxPool", &[], &format!("pool{index}"), Some(window), 1),
        }
    }
    let scale = if convs == 0 { "image_scale".to_owned() } else { format!("conv{}.scale", convs - 1) };
    writer.push("DequantizeLinear", &[&scale, "zero"], "map", None, 1);
    writer.push("Flatten", &[], "logit", None, 1);
    writer.push("Sigmoid", &[], "probability", None, 1);
    write::model(writer.nodes, writer.constants, card)
}
