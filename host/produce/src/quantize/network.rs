//! Reads an f32 ONNX graph as the steps that the quantizer knows: batch normalization folded into the convolution
//! before it, dense layers written as convolutions.

use std::collections::HashMap;

use engine::{
    INPUT,
    onnx::{
        self, Values,
        pb::{GraphProto, NodeProto, TensorProto},
    },
};

use super::{QuantizeError, scales::quantize_filter};

/// One step; the steps form a chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Convolution.
    Conv(Conv),
    /// `max(x, 0)`.
    Relu,
    /// Maximum over windows.
    MaxPool(Window),
}

impl Step {
    /// The convolution, if it is one.
    pub(super) fn conv(&self) -> Option<&Conv> {
        if let Self::Conv(conv) = self { Some(conv) } else { None }
    }
}

/// Where a window lies: height before width; padding top, left, bottom, right.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    pub(super) pads: [usize; 4],
}

/// A convolution in f32.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conv {
    /// `[outputs][inputs / groups][height][width]`.
    pub(super) weights: Vec<f32>,
    /// One value for each output channel.
    pub(super) bias: Vec<f32>,
    pub(super) inputs: usize,
    pub(super) groups: usize,
    pub(super) window: Window,
    /// Name of the tensor that it makes in the f32 file, batch normalization, bias and the ReLU and max-pooling that follow
    /// included, so of the values that the next layer reads: what calibration observes.
    pub(super) observed: String,
}

impl Conv {
    /// Channels that go out.
    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The convolution of inputs that are divided by `inputs`, channel by channel, and whose outputs are divided by `outputs`.
    /// A channel with 0 of `inputs` counts nothing.
    pub(super) fn rescaled(&self, inputs: &[f32], outputs: &[f32]) -> Self {
        let mut conv = self.clone();
        let [height, width] = self.window.kernel;
        let (taps, read) = (height * width, self.inputs / self.groups);
        let filters = conv.weights.chunks_exact_mut(read * taps).zip(&mut conv.bias).zip(outputs).enumerate();
        for (output, ((filter, bias), scale)) in filters {
            let first = output / (self.outputs() / self.groups) * read;
            for (kernel, factor) in filter.chunks_exact_mut(taps).zip(&inputs[first..]) {
                kernel.iter_mut().for_each(|weight| *weight *= factor / scale);
            }
            *bias /= scale;
        }
        conv
    }

    /// The convolution with biases that make up for what rounding its weights adds to the mean of each output, nearly: for
    /// inputs in steps of `scale` with these means, channel by channel, wherever they lie.
    pub(super) fn corrected(mut self, scale: f32, means: &[f32]) -> Self {
        let [height, width] = self.window.kernel;
        let (taps, read) = (height * width, self.inputs / self.groups);
        let per_group = self.outputs() / self.groups;
        for (output, (filter, bias)) in self.weights.chunks_exact(read * taps).zip(&mut self.bias).enumerate() {
            // Equal weights, as of an average, are rounded to the largest integer and lose nothing.
            if filter.iter().all(|weight| *weight == filter[0]) {
                continue;
            }
            let rounded = quantize_filter(filter, *bias, scale);
            let means = means[output / per_group * read..].iter().flat_map(|mean| std::iter::repeat_n(mean, taps));
            let errors = filter.iter().zip(&rounded.weights).map(|(&w, &q)| f32::from(q) * rounded.scale - w);
            *bias -= errors.zip(means).map(|(error, mean)| error * mean).sum::<f32>();
        }
        self
    }
}

/// What the chain's tensor is at one point.
struct Shape {
    channels: usize,
    height: usize,
    width: usize,
    flat: bool,
}

impl Shape {
    fn len(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Reads the chain from `image` to the logit.
pub(super) fn read(graph: &GraphProto, side: usize) -> Result<Vec<Step>, QuantizeError> {
    let constants = onnx::constants(graph);
    let mut reader = Reader {
        constants,
        steps: Vec::new(),
        shape: Shape { channels: 1, height: side, width: side, flat: false },
        tensor: INPUT.to_owned(),
    };
    for node in graph.node.iter().filter(|node| node.op_type != "Constant") {
        if node.op_type == "Sigmoid" && node.output.first().is_some_and(|name| name == "probability") {
            break;
        }
        reader.read(node)?;
    }
    if reader.tensor != "logit" || reader.shape.len() != 1 {
        return Err(QuantizeError::Chain { node: reader.tensor });
    }
    Ok(reader.steps)
}

struct Reader<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    steps: Vec<Step>,
    shape: Shape,
    tensor: String,
}

impl Reader<'_> {
    fn read(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let chained = node.input.iter().filter(|&name| *name == self.tensor).count() == 1;
        // `Add` takes the bias on either side; every other operator has the image first.
        if !chained || (node.op_type != "Add" && node.input.first() != Some(&self.tensor)) {
            return Err(QuantizeError::Chain { node: node.name.clone() });
        }
        match node.op_type.as_str() {
            "Conv" => self.conv(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.mat_mul(node)?,
            "Add" => self.add(node)?,
            "BatchNormalization" => self.batch_normalization(node)?,
            "Relu" => self.steps.push(Step::Relu),
            "MaxPool" => self.max_pool(node)?,
            "GlobalAveragePool" => self.global_average_pool(),
            "Flatten" => self.flatten(node)?,
            "Reshape" => self.reshape(node)?,
            "Identity" | "Dropout" => {}
            _ => return Err(unsupported(node)),
        }
        self.tensor = node.output.first().cloned().unwrap_or_default();
        // The activation that follows is part of what a convolution's output must be able to hold.
        if let Some(conv) = self.producer(node) {
            conv.observed.clone_from(&node.output[0]);
        }
        Ok(())
    }

    /// The convolution whose values this node's output holds: itself, or the last one if this node folds into it.
    fn producer(&mut self, node: &NodeProto) -> Option<&mut Conv> {
        let folded = matches!(
            node.op_type.as_str(),
            "Conv" | "Gemm" | "MatMul" | "Add" | "BatchNormalization" | "Relu" | "MaxPool" | "GlobalAveragePool"
        );
        self.steps
            .iter_mut()
            .rev()
            .find_map(|step| if let Step::Conv(conv) = step { Some(conv) } else { None })
            .filter(|_| folded)
    }

    fn floats(&self, node: &NodeProto, input: usize) -> Result<Vec<f32>, QuantizeError> {
        let tensor = node.input.get(input).and_then(|name| self.constants.get(name.as_str()));
        match tensor.and_then(|tensor| Values::read(tensor)) {
            Some(Values::F32(values)) if values.iter().all(|v| v.is_finite()) => Ok(values),
            _ => Err(QuantizeError::Constant { node: node.name.clone() }),
        }
    }

    fn dims(&self, node: &NodeProto, input: usize) -> Vec<usize> {
        let tensor = node.input.get(input).and_then(|name| self.constants.get(name.as_str()));
        tensor.map(|t| t.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect()).unwrap_or_default()
    }

    fn conv(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let &[outputs, inputs, height, width] = self.dims(node, 1).as_slice() else { return Err(unsupported(node)) };
        let groups = onnx::integers(node, "group").first().map_or(1, |&g| usize::try_from(g).unwrap_or(0));
        if self.shape.flat
            || inputs * groups != self.shape.channels
            || groups == 0
            || outputs == 0
            || outputs % groups != 0
        {
            return Err(unsupported(node));
        }
        let window = window(node, [height, width])?;
        let bias = if node.input.len() > 2 { self.floats(node, 2)? } else { vec![0.0; outputs] };
        if bias.len() != outputs {
            return Err(QuantizeError::Constant { node: node.name.clone() });
        }
        let weights = self.floats(node, 1)?;
        self.slide(&window, node)?;
        self.shape.channels = outputs;
        self.push(weights, bias, inputs * groups, groups, window);
        Ok(())
    }

    fn push(&mut self, weights: Vec<f32>, bias: Vec<f32>, inputs: usize, groups: usize, window: Window) {
        self.steps.push(Step::Conv(Conv { weights, bias, inputs, groups, window, observed: String::new() }));
    }

    /// The shape after a window has passed over it.
    fn slide(&mut self, window: &Window, node: &NodeProto) -> Result<(), QuantizeError> {
        let sides = [self.shape.height, self.shape.width];
        let mut out = [0; 2];
        for axis in 0..2 {
            let padded = sides[axis] + window.pads[axis] + window.pads[axis + 2];
            let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
            out[axis] = padded.checked_sub(reach).ok_or_else(|| unsupported(node))? / window.strides[axis] + 1;
        }
        [self.shape.height, self.shape.width] = out;
        Ok(())
    }

    /// `y = W x + b` over the whole tensor: a convolution with a kernel as large as the feature map.
    fn dense(&mut self, weights: Vec<f32>, bias: Vec<f32>, node: &NodeProto) -> Result<(), QuantizeError> {
        if weights.len() != bias.len() * self.shape.len() || bias.is_empty() {
            return Err(unsupported(node));
        }
        let (kernel, inputs) = ([self.shape.height, self.shape.width], self.shape.channels);
        let window = Window { kernel, strides: [1; 2], dilations: [1; 2], pads: [0; 4] };
        self.shape = Shape { channels: bias.len(), height: 1, width: 1, flat: true };
        self.push(weights, bias, inputs, 1, window);
        Ok(())
    }

    fn gemm(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let &[rows, columns] = self.dims(node, 1).as_slice() else { return Err(unsupported(node)) };
        let flag = |name| onnx::integers(node, name).first().copied().unwrap_or(0);
        let one = |name| node.attribute.iter().find(|a| a.name == name).is_none_or(|a| a.f == 1.0);
        if flag("transA") != 0 || !one("alpha") || !one("beta") || !self.shape.flat {
            return Err(unsupported(node));
        }
        let weights = self.floats(node, 1)?;
        let (weights, outputs) =
            if flag("transB") != 0 { (weights, rows) } else { (transposed(&weights, rows, columns), columns) };
        let bias = if node.input.len() > 2 { self.floats(node, 2)? } else { vec![0.0; outputs] };
        if bias.len() != outputs {
            return Err(unsupported(node));
        }
        self.dense(weights, bias, node)
    }

    fn mat_mul(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let &[rows, columns] = self.dims(node, 1).as_slice() else { return Err(unsupported(node)) };
        if !self.shape.flat {
            return Err(unsupported(node));
        }
        let weights = self.floats(node, 1)?;
        self.dense(transposed(&weights, rows, columns), vec![0.0; columns], node)
    }

    /// A bias after a MatMul; a sum of two branches is not supported.
    fn add(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let constant = usize::from(node.input.first() == Some(&self.tensor));
        let values = self.floats(node, constant).map_err(|_| unsupported(node))?;
        match self.steps.last_mut() {
            Some(Step::Conv(conv)) if self.shape.flat && values.len() == conv.bias.len() => {
                conv.bias.iter_mut().zip(values).for_each(|(bias, value)| *bias += value);
                Ok(())
            }
            _ => Err(unsupported(node)),
        }
    }

    /// `y = scale (x - mean) / sqrt(variance + epsilon) + shift`, into the weights and bias of the convolution before.
    fn batch_normalization(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let parameters = [1, 2, 3, 4].map(|input| self.floats(node, input));
        let [scale, shift, mean, variance] = parameters;
        let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
        let epsilon = node.attribute.iter().find(|a| a.name == "epsilon").map_or(1e-5, |a| a.f);
        let Some(Step::Conv(conv)) = self.steps.last_mut() else { return Err(unsupported(node)) };
        let outputs = conv.outputs();
        if [&scale, &shift, &mean, &variance].iter().any(|p| p.len() != outputs) {
            return Err(QuantizeError::Constant { node: node.name.clone() });
        }
        let taps = conv.weights.len() / outputs;
        for (channel, filter) in conv.weights.chunks_exact_mut(taps).enumerate() {
            let factor = scale[channel] / (variance[channel] + epsilon).sqrt();
            filter.iter_mut().for_each(|w| *w *= factor);
            conv.bias[channel] = (conv.bias[channel] - mean[channel]) * factor + shift[channel];
        }
        Ok(())
    }

    fn max_pool(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let &[height, width] = onnx::integers(node, "kernel_shape") else { return Err(unsupported(node)) };
        let flag = |name| onnx::integers(node, name).first().copied().unwrap_or(0);
        if flag("ceil_mode") != 0 || flag("storage_order") != 0 || self.shape.flat {
            return Err(unsupported(node));
        }
        let kernel = [height, width].map(|side| usize::try_from(side).unwrap_or(1));
        let window = window(node, kernel)?;
        self.slide(&window, node)?;
        self.steps.push(Step::MaxPool(window));
        Ok(())
    }

    /// The mean of a channel: a depthwise convolution with equal weights.
    fn global_average_pool(&mut self) {
        let (kernel, channels) = ([self.shape.height, self.shape.width], self.shape.channels);
        let area = kernel[0] * kernel[1];
        let window = Window { kernel, strides: [1; 2], dilations: [1; 2], pads: [0; 4] };
        let weights = vec![1.0 / area as f32; channels * area];
        [self.shape.height, self.shape.width] = [1; 2];
        self.push(weights, vec![0.0; channels], channels, channels, window);
    }

    fn flatten(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        if !matches!(onnx::integers(node, "axis"), [] | [1]) {
            return Err(unsupported(node));
        }
        self.shape.flat = true;
        Ok(())
    }

    /// A reshape to one row is a flatten.
    fn reshape(&mut self, node: &NodeProto) -> Result<(), QuantizeError> {
        let target = node.input.get(1).and_then(|name| Values::read(self.constants.get(name.as_str())?));
        let length = i64::try_from(self.shape.len()).unwrap_or(i64::MAX);
        match target.as_ref().and_then(Values::i64) {
            Some([-1..=1, n]) if *n == length || *n == -1 => {
                self.shape.flat = true;
                Ok(())
            }
            _ => Err(unsupported(node)),
        }
    }
}

fn window(node: &NodeProto, kernel: [usize; 2]) -> Result<Window, QuantizeError> {
    let explicit = |a: &onnx::pb::AttributeProto| a.name != "auto_pad" || a.s == b"NOTSET" || a.s.is_empty();
    if !node.attribute.iter().all(explicit) {
        return Err(unsupported(node));
    }
    fn read<const N: usize>(node: &NodeProto, name: &str, default: usize) -> Result<[usize; N], QuantizeError> {
        let values = onnx::integers(node, name);
        if values.is_empty() {
            return Ok([default; N]);
        }
        let values: Option<Vec<usize>> = values.iter().map(|&v| usize::try_from(v).ok()).collect();
        values.and_then(|v| v.try_into().ok()).ok_or_else(|| unsupported(node))
    }
    let window = Window {
        kernel,
        strides: read(node, "strides", 1)?,
        dilations: read(node, "dilations", 1)?,
        pads: read(node, "pads", 0)?,
    };
    let sides = [window.kernel, window.strides, window.dilations];
    if sides.as_flattened().contains(&0) { Err(unsupported(node)) } else { Ok(window) }
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

fn unsupported(node: &NodeProto) -> QuantizeError {
    QuantizeError::Operator { operator: node.op_type.clone(), node: node.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointwise(weights: &[f32], inputs: usize, groups: usize) -> Conv {
        Conv {
            bias: vec![0.5; weights.len() * groups / inputs],
            weights: weights.to_vec(),
            inputs,
            groups,
            window: Window { kernel: [1; 2], strides: [1; 2], dilations: [1; 2], pads: [0; 4] },
            observed: String::new(),
        }
    }

    #[test]
    fn factors_go_to_the_channels_that_they_are_of() {
        let conv = pointwise(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 1).rescaled(&[1.0, 2.0, 4.0], &[0.5, 0.25]);
        assert_eq!((conv.weights, conv.bias), (vec![2.0, 8.0, 24.0, 16.0, 40.0, 96.0], vec![1.0, 2.0]));
        let depthwise = pointwise(&[1.0, 2.0, 3.0], 3, 3).rescaled(&[1.0, 2.0, 4.0], &[1.0, 1.0, 0.5]);
        assert_eq!((depthwise.weights, depthwise.bias), (vec![1.0, 4.0, 24.0], vec![0.5, 0.5, 1.0]));
    }

    #[test]
    fn biases_make_up_for_rounded_weights() {
        // One step is 1 and 2: 0.25 becomes 0, and 0.5, half a step of 1, the even 0; 3 of 2 becomes 4.
        let conv = pointwise(&[127.0, 0.25, 0.5, 254.0, 3.0, 0.0], 3, 1).corrected(0.1, &[1.0, 8.0, 2.0]);
        assert_eq!(conv.bias, [0.5 + 0.25 * 8.0 + 0.5 * 2.0, 0.5 - 8.0]);
        let grouped = pointwise(&[127.0, 0.25, 127.0, 0.25], 4, 2).corrected(0.1, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(grouped.bias, [1.0, 1.5]);
        let average = pointwise(&[0.249; 8], 8, 1).corrected(0.1, &[1e6; 8]);
        assert_eq!(average.bias, [0.5]);
    }
}
