//! Quantized networks: as ONNX graphs, and as a reference that computes what the standard says, plainly.

use engine::onnx::{
    pb::{ModelProto, NodeProto, TensorProto},
    write::{f32_tensor, i8_tensor, i32_tensor, integer, integers, model, node},
};

use super::{Random, SIDE, card};

/// A QLinearConv. Heights come before widths; padding is top, left, bottom, right.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) groups: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) pads: [usize; 4],
    pub(crate) weights: Vec<i8>,
    pub(crate) bias: Option<Vec<i32>>,
    pub(crate) x_scale: f32,
    /// One, or one for each output channel.
    pub(crate) w_scales: Vec<f32>,
    pub(crate) y_scale: f32,
}

/// An operator, or a few that belong together. Its tensors are named by index: 0 is the quantized image, the layer of index i
/// makes the tensor i + 1.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    Convolution(usize, Convolution),
    Relu(usize),
    /// 2×2, stride 2.
    MaxPool(usize),
    Identity(usize),
    /// DequantizeLinear of both → Add [→ Relu] → QuantizeLinear.
    Add {
        terms: [usize; 2],
        scales: [f32; 2],
        relu: bool,
        y_scale: f32,
    },
}

/// A feature map: channels, rows, columns.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) shape: [usize; 3],
    pub(crate) values: Vec<i8>,
}

/// A network whose last tensor is one value, the logit.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The value of a pixel that stands for 0.
    pub(crate) zero_point: u8,
    pub(crate) input_scale: f32,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_scale: f32,
}

impl Convolution {
    fn wire(&self, input: &str, output: &str, nodes: &mut Vec<NodeProto>, constants: &mut Vec<TensorProto>) {
        let name = |part: &str| format!("{output}.{part}");
        let [rows, columns] = self.kernel;
        let per_axis = if self.w_scales.len() == 1 { vec![] } else { vec![self.outputs] };
        constants.extend([
            f32_tensor(&name("xs"), &[], &[self.x_scale]),
            i8_tensor(&name("z"), &[], &[0]),
            i8_tensor(&name("w"), &[self.outputs, self.inputs / self.groups, rows, columns], &self.weights),
            f32_tensor(&name("ws"), &per_axis, &self.w_scales),
            i8_tensor(&name("wz"), &per_axis, &vec![0; self.w_scales.len()]),
            f32_tensor(&name("ys"), &[], &[self.y_scale]),
        ]);
        let mut inputs = vec![input.to_owned()];
        inputs.extend(["xs", "z", "w", "ws", "wz", "ys", "z"].map(name));
        if let Some(bias) = &self.bias {
            constants.push(i32_tensor(&name("b"), &[self.outputs], bias));
            inputs.push(name("b"));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut window = vec![
            integers("kernel_shape", &self.kernel.map(|n| n as i64)),
            integers("strides", &self.strides.map(|n| n as i64)),
            integers("pads", &self.pads.map(|n| n as i64)),
        ];
        if self.groups > 1 {
            window.push(integer("group", self.groups as i64));
        }
        nodes.push(node("QLinearConv", &inputs, output, window));
    }

    fn output(&self, [_, height, width]: [usize; 3]) -> [usize; 3] {
        let [top, left, bottom, right] = self.pads;
        let [rows, columns] = [height + top + bottom, width + left + right];
        [self.outputs, (rows - self.kernel[0]) / self.strides[0] + 1, (columns - self.kernel[1]) / self.strides[1] + 1]
    }

    /// The standard's definition, in i32 (wrapping) and f32.
    fn reference(&self, x: &Map) -> Map {
        let [_, height, width] = x.shape;
        let shape = self.output(x.shape);
        let [outputs, rows, columns] = shape;
        let (group_inputs, group_outputs) = (self.inputs / self.groups, outputs / self.groups);
        let mut values = Vec::new();
        for o in 0..outputs {
            for row in 0..rows {
                for column in 0..columns {
                    let mut sum = self.bias.as_ref().map_or(0, |bias| bias[o]);
                    for i in 0..group_inputs {
                        let channel = o / group_outputs * group_inputs + i;
                        for ky in 0..self.kernel[0] {
                            for kx in 0..self.kernel[1] {
                                let y = (row * self.strides[0] + ky).checked_sub(self.pads[0]).filter(|&y| y < height);
                                let x_ = (column * self.strides[1] + kx).checked_sub(self.pads[1]);
                                let (Some(y), Some(x_)) = (y, x_.filter(|&x| x < width)) else { continue };
                                let value = i32::from(x.values[(channel * height + y) * width + x_]);
                                let at = ((o * group_inputs + i) * self.kernel[0] + ky) * self.kernel[1] + kx;
                                sum = sum.wrapping_add(value * i32::from(self.weights[at]));
                            }
                        }
                    }
                    let w_scale = self.w_scales[o % self.w_scales.len()];
                    values.push(saturate(sum as f32 * ((self.x_scale * w_scale) / self.y_scale)));
                }
            }
        }
        Map { shape, values }
    }
}

fn saturate(value: f32) -> i8 {
    value.round_ties_even().clamp(-128.0, 127.0) as i8
}

impl Network {
    /// The network as a file.
    pub(crate) fn onnx(&self) -> ModelProto {
        let mut constants = vec![f32_tensor("q.s", &[], &[self.input_scale]), i8_tensor("q.z", &[], &[0])];
        let mut nodes = vec![node("QuantizeLinear", &["image", "q.s", "q.z"], "t0", vec![])];
        for (index, layer) in self.layers.iter().enumerate() {
            let output = format!("t{}", index + 1);
            let tensor = |index: &usize| format!("t{index}");
            match layer {
                Layer::Convolution(from, convolution) => {
                    convolution.wire(&tensor(from), &output, &mut nodes, &mut constants);
                }
                Layer::Relu(from) => nodes.push(node("Relu", &[&tensor(from)], &output, vec![])),
                Layer::Identity(from) => nodes.push(node("Identity", &[&tensor(from)], &output, vec![])),
                Layer::MaxPool(from) => {
                    let window = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
                    nodes.push(node("MaxPool", &[&tensor(from)], &output, window));
                }
                Layer::Add { terms, scales, relu, y_scale } => {
                    let name = |part: &str| format!("{output}.{part}");
                    for (from, (scale, part)) in terms.iter().zip(scales.iter().zip(["a", "b"])) {
                        let constant = name(&format!("{part}.s"));
                        constants.push(f32_tensor(&constant, &[], &[*scale]));
                        let inputs = [&tensor(from), constant.as_str(), "q.z"];
                        nodes.push(node("DequantizeLinear", &inputs, &name(part), vec![]));
                    }
                    nodes.push(node("Add", &[&name("a"), &name("b")], &name("sum"), vec![]));
                    let mut sum = name("sum");
                    if *relu {
                        nodes.push(node("Relu", &[&sum], &name("relu"), vec![]));
                        sum = name("relu");
                    }
                    constants.push(f32_tensor(&name("s"), &[], &[*y_scale]));
                    nodes.push(node("QuantizeLinear", &[&sum, &name("s"), "q.z"], &output, vec![]));
                }
            }
        }
        constants.push(f32_tensor("d.s", &[], &[self.output_scale]));
        let last = format!("t{}", self.layers.len());
        nodes.extend([
            node("DequantizeLinear", &[&last, "d.s", "q.z"], "d", vec![]),
            node("Flatten", &["d"], "logit", vec![]),
            node("Sigmoid", &["logit"], "probability", vec![]),
        ]);
        let mut card = card(true);
        card.behaviour.contract.zero_point = self.zero_point;
        model(nodes, constants, &card).expect("card")
    }

    /// The logit of an image, by the definition.
    pub(crate) fn reference(&self, pixels: &[u8]) -> f32 {
        let maps = self.maps(pixels);
        let last = maps.last().expect("a map");
        assert_eq!(last.shape, [1, 1, 1], "the last layer gives one value");
        f32::from(last.values[0]) * self.output_scale
    }

    /// Every tensor of an image, by the definition.
    pub(crate) fn maps(&self, pixels: &[u8]) -> Vec<Map> {
        let value = |p: &u8| (f32::from(*p) - f32::from(self.zero_point)) * (1.0 / 255.0);
        let quantize = |p: &u8| saturate(value(p) / self.input_scale);
        let mut maps = vec![Map { shape: [1, SIDE, SIDE], values: pixels.iter().map(quantize).collect() }];
        for layer in &self.layers {
            let map = match layer {
                Layer::Convolution(from, convolution) => convolution.reference(&maps[*from]),
                Layer::Identity(from) => maps[*from].clone(),
                Layer::Relu(from) => {
                    let Map { shape, values } = &maps[*from];
                    Map { shape: *shape, values: values.iter().map(|&v| v.max(0)).collect() }
                }
                Layer::MaxPool(from) => max_pool(&maps[*from]),
                Layer::Add { terms: [a, b], scales, relu, y_scale } => {
                    let sum = |(&a, &b): (&i8, &i8)| {
                        let sum = f32::from(a) * scales[0] + f32::from(b) * scales[1];
                        saturate(if *relu { sum.max(0.0) } else { sum } / y_scale)
                    };
                    let values = maps[*a].values.iter().zip(&maps[*b].values).map(sum).collect();
                    Map { shape: maps[*a].shape, values }
                }
            };
            maps.push(map);
        }
        maps
    }
}

fn max_pool(x: &Map) -> Map {
    let [channels, height, width] = x.shape;
    let mut values = Vec::new();
    for channel in 0..channels {
        for row in 0..height / 2 {
            for column in 0..width / 2 {
                let at = |y, x_| x.values[(channel * height + 2 * row + y) * width + 2 * column + x_];
                values.push(at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1)));
            }
        }
    }
    Map { shape: [channels, height / 2, width / 2], values }
}

/// Puts networks together, with weights and scales that keep the values of feature maps in a useful range.
pub(crate) struct Builder {
    random: Random,
    layers: Vec<Layer>,
    /// Shape and scale of each tensor.
    tensors: Vec<([usize; 3], f32)>,
}

impl Builder {
    /// Of an image with a scale that keeps it positive and uses most of the range.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random(seed), layers: vec![], tensors: vec![([1, SIDE, SIDE], 1.0 / 127.0)] }
    }

    /// The tensor that was made last.
    pub(crate) fn last(&self) -> usize {
        self.layers.len()
    }

    fn push(&mut self, layer: Layer, shape: [usize; 3], scale: f32) -> usize {
        self.layers.push(layer);
        self.tensors.push((shape, scale));
        self.last()
    }

    /// A convolution over all channels.
    pub(crate) fn convolution(
        &mut self,
        from: usize,
        outputs: usize,
        kernel: [usize; 2],
        strides: [usize; 2],
        pads: [usize; 4],
    ) -> usize {
        let inputs = self.tensors[from].0[0];
        self.windowed(from, inputs, outputs, 1, (kernel, strides, pads))
    }

    /// A convolution of each channel by itself.
    pub(crate) fn depthwise(&mut self, from: usize, kernel: usize, stride: usize, pads: [usize; 4]) -> usize {
        let channels = self.tensors[from].0[0];
        self.windowed(from, channels, channels, channels, ([kernel; 2], [stride; 2], pads))
    }

    fn windowed(
        &mut self,
        from: usize,
        inputs: usize,
        outputs: usize,
        groups: usize,
        (kernel, strides, pads): ([usize; 2], [usize; 2], [usize; 4]),
    ) -> usize {
        let (shape, x_scale) = self.tensors[from];
        let taps = inputs / groups * kernel[0] * kernel[1];
        let y_scale = self.random.f32s(1, 0.01)[0] + 0.03;
        let spread = y_scale / (x_scale * 60.0 * (taps as f32).sqrt());
        let scales = if self.random.below(4) == 0 { 1 } else { outputs };
        let convolution = Convolution {
            inputs,
            outputs,
            groups,
            kernel,
            strides,
            pads,
            weights: self.random.i8s(outputs * taps),
            bias: (self.random.below(4) > 0)
                .then(|| (0..outputs).map(|_| self.random.below(4001) as i32 - 2000).collect()),
            x_scale,
            w_scales: self.random.f32s(scales, 0.4).iter().map(|v| (v + 0.6) * spread).collect(),
            y_scale,
        };
        let shape = convolution.output(shape);
        self.push(Layer::Convolution(from, convolution), shape, y_scale)
    }

    /// Global average pooling, as a convolution.
    pub(crate) fn average(&mut self, from: usize) -> usize {
        let ([channels, height, width], x_scale) = self.tensors[from];
        let convolution = Convolution {
            inputs: channels,
            outputs: channels,
            groups: channels,
            kernel: [height, width],
            strides: [1, 1],
            pads: [0; 4],
            weights: vec![1; channels * height * width],
            bias: None,
            x_scale,
            w_scales: vec![1.0 / (height * width) as f32],
            y_scale: x_scale / 4.0,
        };
        self.push(Layer::Convolution(from, convolution), [channels, 1, 1], x_scale / 4.0)
    }

    pub(crate) fn relu(&mut self, from: usize) -> usize {
        let (shape, scale) = self.tensors[from];
        self.push(Layer::Relu(from), shape, scale)
    }

    pub(crate) fn identity(&mut self, from: usize) -> usize {
        let (shape, scale) = self.tensors[from];
        self.push(Layer::Identity(from), shape, scale)
    }

    pub(crate) fn max_pool(&mut self, from: usize) -> usize {
        let ([channels, height, width], scale) = self.tensors[from];
        self.push(Layer::MaxPool(from), [channels, height / 2, width / 2], scale)
    }

    /// The sum of two tensors of one shape.
    pub(crate) fn add(&mut self, terms: [usize; 2], relu: bool) -> usize {
        let scales = terms.map(|term| self.tensors[term].1);
        let y_scale = (scales[0] + scales[1]) * 0.7;
        self.push(Layer::Add { terms, scales, relu, y_scale }, self.tensors[terms[0]].0, y_scale)
    }

    /// A dense layer to one value ends the network.
    pub(crate) fn end(mut self) -> Network {
        let from = self.last();
        let [_, height, width] = self.tensors[from].0;
        let last = self.convolution(from, 1, [height, width], [1, 1], [0; 4]);
        let [input_scale, output_scale] = [0, last].map(|tensor| self.tensors[tensor].1);
        Network { zero_point: 0, input_scale, layers: self.layers, output_scale }
    }

    /// A network of random layers of every kind.
    pub(crate) fn random(seed: u64) -> Network {
        let mut net = Self::new(seed);
        if seed.is_multiple_of(3) {
            // The contract's image is positive; a scale that saturates is another kind of input.
            net.tensors[0].1 = 1.0 / 300.0;
        }
        for _ in 0..2 + net.random.below(6) {
            let from = net.last();
            let [_, height, width] = net.tensors[from].0;
            let pads = [(); 4].map(|()| net.random.below(3));
            let made = match net.random.below(8) {
                0..3 => {
                    let kernel = [(); 2].map(|()| 1 + net.random.below(3.min(height).min(width)));
                    let strides = [(); 2].map(|()| 1 + net.random.below(2));
                    let outputs = 1 + net.random.below(40);
                    net.convolution(from, outputs, kernel, strides, pads)
                }
                3 => {
                    let same = [1; 4];
                    net.convolution(from, 32, [3, 3], [1, 1], same)
                }
                4 | 5 => {
                    let (kernel, stride) = (1 + net.random.below(3.min(height).min(width)), 1 + net.random.below(2));
                    net.depthwise(from, kernel, stride, pads)
                }
                6 => {
                    let channels = net.tensors[from].0[0];
                    let branch = net.convolution(from, channels, [1, 1], [1, 1], [0; 4]);
                    let relu = net.random.below(2) == 0;
                    net.add([from, branch], relu)
                }
                _ => net.identity(from),
            };
            let [_, height, width] = net.tensors[made].0;
            let pools = height.min(width) >= 4;
            match net.random.below(6) {
                0 | 1 => drop(net.relu(made)),
                2 if pools => {
                    let relu = net.relu(made);
                    net.max_pool(relu);
                }
                3 if pools => {
                    let pool = net.max_pool(made);
                    net.relu(pool);
                }
                4 if pools => drop(net.max_pool(made)),
                _ => {}
            }
        }
        if net.random.below(2) == 0 {
            let from = net.last();
            net.average(from);
        }
        net.end()
    }

    /// A depthwise-separable network with a residual sum and global average pooling.
    pub(crate) fn separable(seed: u64) -> Network {
        let mut net = Self::new(seed);
        let stem = net.convolution(0, 16, [3, 3], [2, 2], [1; 4]);
        let stem = net.relu(stem);
        let depth = net.depthwise(stem, 3, 1, [1; 4]);
        let depth = net.relu(depth);
        let point = net.convolution(depth, 16, [1, 1], [1, 1], [0; 4]);
        let sum = net.add([stem, point], true);
        let down = net.depthwise(sum, 3, 2, [1; 4]);
        let down = net.relu(down);
        let wide = net.convolution(down, 40, [1, 1], [1, 1], [0; 4]);
        let wide = net.relu(wide);
        net.average(wide);
        net.end()
    }

    /// Blocks of 3×3 convolution, ReLU and max-pooling, then global average pooling.
    pub(crate) fn pooled(seed: u64) -> Network {
        let mut net = Self::new(seed);
        for outputs in [12, 24] {
            let from = net.last();
            let block = net.convolution(from, outputs, [3, 3], [1, 1], [0; 4]);
            let block = net.relu(block);
            net.max_pool(block);
        }
        let last = net.last();
        net.average(last);
        net.end()
    }

    /// A plain network: 3×3 convolutions with ReLU and max-pooling, then dense layers.
    pub(crate) fn plain(seed: u64) -> Network {
        let mut net = Self::new(seed);
        let first = net.convolution(0, 16, [3, 3], [1, 1], [0; 4]);
        let first = net.relu(first);
        let first = net.max_pool(first);
        let second = net.convolution(first, 32, [3, 3], [1, 1], [1; 4]);
        let second = net.relu(second);
        let second = net.max_pool(second);
        let dense = net.convolution(second, 20, [3, 3], [1, 1], [0; 4]);
        net.relu(dense);
        net.end()
    }
}
