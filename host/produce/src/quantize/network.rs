//! Reads an f32 ONNX graph as the steps that the quantizer knows: batch normalization folded into the convolution
//! before it, dense layers written as convolutions.

use engine::{
    INPUT,
    onnx::{
        Values,
        graph::{Dense, Graph, Node, ReadError, Window},
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
    /// included, so of the values that the next layer reads: what ranges are found of.
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

/// Why a node is not one of the steps.
enum Misfit {
    /// It has no integer form in its place.
    Operator,
    /// Its weights are not as they must be.
    Constant,
}

impl From<ReadError> for Misfit {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Constant => Self::Constant,
            ReadError::Attribute | ReadError::AutoPad => Self::Operator,
        }
    }
}

/// Reads the chain from `image` to the logit.
pub(super) fn read(graph: &Graph<'_>, side: usize) -> Result<Vec<Step>, QuantizeError> {
    let mut reader = Reader {
        steps: Vec::new(),
        shape: Shape { channels: 1, height: side, width: side, flat: false },
        tensor: INPUT,
    };
    for node in graph.nodes().filter(|node| node.operator() != "Constant") {
        if node.operator() == "Sigmoid" && node.output() == "probability" {
            break;
        }
        reader.read(node)?;
    }
    if reader.tensor != "logit" || reader.shape.len() != 1 {
        return Err(QuantizeError::Chain { node: reader.tensor.to_owned() });
    }
    Ok(reader.steps)
}

struct Reader<'a> {
    steps: Vec<Step>,
    shape: Shape,
    tensor: &'a str,
}

impl<'a> Reader<'a> {
    fn read(&mut self, node: Node<'a>) -> Result<(), QuantizeError> {
        let name = || node.name().to_owned();
        let chained = node.inputs().filter(|&input| input == self.tensor).count() == 1;
        // `Add` takes the bias on either side; every other operator has the image first.
        if !chained || (node.operator() != "Add" && node.input(0) != Some(self.tensor)) {
            return Err(QuantizeError::Chain { node: name() });
        }
        self.step(node).map_err(|misfit| match misfit {
            Misfit::Operator => QuantizeError::Operator { operator: node.operator().to_owned(), node: name() },
            Misfit::Constant => QuantizeError::Constant { node: name() },
        })?;
        self.tensor = node.output();
        // The activation that follows is part of what a convolution's output must be able to hold.
        if let Some(conv) = self.producer(node) {
            node.output().clone_into(&mut conv.observed);
        }
        Ok(())
    }

    fn step(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        match node.operator() {
            "Conv" => self.conv(node),
            "Gemm" | "MatMul" => self.dense(node),
            "Add" => self.add(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Relu" => {
                self.steps.push(Step::Relu);
                Ok(())
            }
            "MaxPool" => self.max_pool(node),
            "GlobalAveragePool" => self.global_average_pool(),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "Identity" | "Dropout" => Ok(()),
            _ => Err(Misfit::Operator),
        }
    }

    /// The convolution whose values this node's output holds: itself, or the last one if this node folds into it.
    fn producer(&mut self, node: Node<'_>) -> Option<&mut Conv> {
        let folded = matches!(
            node.operator(),
            "Conv" | "Gemm" | "MatMul" | "Add" | "BatchNormalization" | "Relu" | "MaxPool" | "GlobalAveragePool"
        );
        self.steps
            .iter_mut()
            .rev()
            .find_map(|step| if let Step::Conv(conv) = step { Some(conv) } else { None })
            .filter(|_| folded)
    }

    fn conv(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        let [outputs, inputs, ..] = node.dims::<4>(1)?;
        let groups = node.groups()?;
        if self.shape.flat || inputs * groups != self.shape.channels || outputs % groups != 0 {
            return Err(Misfit::Operator);
        }
        let window = node.window()?;
        self.slide(&window)?;
        self.shape.channels = outputs;
        self.push(node.floats(1)?, node.bias(2, outputs)?, inputs * groups, groups, window)
    }

    fn push(
        &mut self,
        weights: Vec<f32>,
        bias: Vec<f32>,
        inputs: usize,
        groups: usize,
        window: Window,
    ) -> Result<(), Misfit> {
        check_finite(&weights)?;
        check_finite(&bias)?;
        self.steps.push(Step::Conv(Conv { weights, bias, inputs, groups, window, observed: String::new() }));
        Ok(())
    }

    /// The shape after a window has passed over it.
    fn slide(&mut self, window: &Window) -> Result<(), Misfit> {
        let sides = [self.shape.height, self.shape.width];
        let mut out = [0; 2];
        for axis in 0..2 {
            let padded = sides[axis] + window.pads[axis] + window.pads[axis + 2];
            out[axis] = padded.checked_sub(window.extent()[axis]).ok_or(Misfit::Operator)? / window.strides[axis] + 1;
        }
        [self.shape.height, self.shape.width] = out;
        Ok(())
    }

    /// A dense layer over the whole tensor: a convolution with a kernel as large as the feature map.
    fn dense(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        let Dense { weights, bias } = node.dense()?;
        if !self.shape.flat || weights.len() != bias.len() * self.shape.len() {
            return Err(Misfit::Operator);
        }
        let (window, inputs) = (Window::of([self.shape.height, self.shape.width]), self.shape.channels);
        self.shape = Shape { channels: bias.len(), height: 1, width: 1, flat: true };
        self.push(weights, bias, inputs, 1, window)
    }

    /// A bias after a MatMul; a sum of two branches is not supported.
    fn add(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        let constant = usize::from(node.input(0) == Some(self.tensor));
        let values = node.floats(constant).map_err(|_| Misfit::Operator)?;
        check_finite(&values)?;
        match self.steps.last_mut() {
            Some(Step::Conv(conv)) if self.shape.flat && values.len() == conv.bias.len() => {
                conv.bias.iter_mut().zip(values).for_each(|(bias, value)| *bias += value);
                Ok(())
            }
            _ => Err(Misfit::Operator),
        }
    }

    /// `y = scale (x - mean) / sqrt(variance + epsilon) + shift`, into the weights and bias of the convolution before.
    fn batch_normalization(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        let Some(Step::Conv(conv)) = self.steps.last_mut() else { return Err(Misfit::Operator) };
        let outputs = conv.outputs();
        let parameter = |input| match node.floats(input)? {
            values if values.len() == outputs => check_finite(&values).map(|()| values),
            _ => Err(Misfit::Constant),
        };
        let (scale, shift, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
        let epsilon = node.float("epsilon", 1e-5);
        let taps = conv.weights.len() / outputs;
        for (channel, filter) in conv.weights.chunks_exact_mut(taps).enumerate() {
            let factor = scale[channel] / (variance[channel] + epsilon).sqrt();
            filter.iter_mut().for_each(|w| *w *= factor);
            conv.bias[channel] = (conv.bias[channel] - mean[channel]) * factor + shift[channel];
        }
        Ok(())
    }

    fn max_pool(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        if node.integer("ceil_mode", 0) != 0 || node.integer("storage_order", 0) != 0 || self.shape.flat {
            return Err(Misfit::Operator);
        }
        let window = node.window()?;
        self.slide(&window)?;
        self.steps.push(Step::MaxPool(window));
        Ok(())
    }

    /// The mean of a channel: a depthwise convolution with equal weights.
    fn global_average_pool(&mut self) -> Result<(), Misfit> {
        let (kernel, channels) = ([self.shape.height, self.shape.width], self.shape.channels);
        let area = kernel[0] * kernel[1];
        let weights = vec![1.0 / area as f32; channels * area];
        [self.shape.height, self.shape.width] = [1; 2];
        self.push(weights, vec![0.0; channels], channels, channels, Window::of(kernel))
    }

    fn flatten(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        if node.integer("axis", 1) != 1 {
            return Err(Misfit::Operator);
        }
        self.shape.flat = true;
        Ok(())
    }

    /// A reshape to one row is a flatten.
    fn reshape(&mut self, node: Node<'_>) -> Result<(), Misfit> {
        let length = i64::try_from(self.shape.len()).unwrap_or(i64::MAX);
        match node.values(1) {
            Ok(Values::I64(target)) if matches!(target[..], [-1..=1, n] if n == length || n == -1) => {
                self.shape.flat = true;
                Ok(())
            }
            _ => Err(Misfit::Operator),
        }
    }
}

fn check_finite(values: &[f32]) -> Result<(), Misfit> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(Misfit::Constant) }
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
            window: Window::of([1; 2]),
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
