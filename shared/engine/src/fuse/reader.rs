//! Reads node after node.

use std::collections::HashMap;

use kernels::{Border, Filters, Layer, Shape, Window, multiplier};
use shared::contract::InputContract;

use super::{MAX_LAYERS, MAX_WEIGHTS, Obstacle, Plan, Step, Unfused};
use crate::{
    check::{INPUT, OUTPUTS},
    integer::quantize,
    onnx::{Values, graph::Node},
};

/// What is known of a tensor. The rank is that of its shape in the file; feature maps of one value may be flattened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    /// The input.
    Image,
    /// A feature map.
    Int8 { map: usize, rank: usize },
    /// A feature map in f32.
    Real(Real),
    /// The sum of two feature maps in f32.
    Sum { terms: [Real; 2], relu: bool },
    /// The sigmoid of a feature map in f32.
    Probability(Real),
}

/// A feature map times a scale.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Real {
    map: usize,
    scale: f32,
    rank: usize,
}

/// A feature map.
struct Map<'a> {
    shape: Shape,
    /// The tensor that it is, after all that has been folded into the step that makes it.
    tensor: &'a str,
    /// What its values are multiplied by to be real numbers.
    scale: f32,
    /// True if no value can be negative.
    positive: bool,
}

pub(super) struct Reader<'a> {
    contract: &'a InputContract,
    /// How many nodes read a tensor.
    readers: HashMap<&'a str, usize>,
    values: HashMap<&'a str, Value>,
    table: Option<[i8; 256]>,
    maps: Vec<Map<'a>>,
    steps: Vec<Step>,
    weights: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(live: &[Node<'a>], contract: &'a InputContract) -> Self {
        Self {
            contract,
            readers: readers(live),
            values: HashMap::from([(INPUT, Value::Image)]),
            table: None,
            maps: Vec::new(),
            steps: Vec::new(),
            weights: 0,
        }
    }

    /// Reads a node whose inputs have all been read.
    pub(super) fn read(&mut self, node: Node<'a>) -> Result<(), Unfused> {
        let unfused = |obstacle| Unfused { node: node.name().to_owned(), obstacle };
        let value = self.value(node).map_err(unfused)?;
        self.values.insert(node.output(), value);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Plan, Unfused> {
        let [logit, probability] = OUTPUTS.map(|output| self.values.get(output));
        match (logit, probability, self.table) {
            (Some(Value::Real(logit)), Some(Value::Probability(of)), Some(table))
                if self.is_scalar(logit.map) && same(*of, *logit) =>
            {
                Ok(Plan {
                    table,
                    steps: self.steps,
                    shapes: self.maps.iter().map(|map| map.shape).collect(),
                    scales: self.maps.iter().map(|map| map.scale).collect(),
                    output: logit.map,
                    scale: logit.scale,
                })
            }
            _ => Err(Unfused { node: OUTPUTS[1].to_owned(), obstacle: Obstacle::Output }),
        }
    }

    fn value(&mut self, node: Node<'a>) -> Result<Value, Obstacle> {
        let operand = |index: usize| self.values.get(node.input(index)?).copied();
        let operands = [operand(0), operand(1)];
        let rank = |value: Value, rank| match value {
            Value::Int8 { map, .. } => Value::Int8 { map, rank },
            Value::Real(real) => Value::Real(Real { rank, ..real }),
            other => other,
        };
        match (node.operator(), operands) {
            ("Identity", [Some(value), _]) => Ok(value),
            // A third input could be the flag of training.
            ("Dropout", [Some(value), _]) if node.input(2).is_none() => Ok(value),
            ("Flatten", [Some(value), None]) if self.is_one_value(value) => Ok(rank(value, flattened(node)?)),
            ("Reshape", [Some(value), None]) if self.is_one_value(value) => Ok(rank(value, reshaped(node)?)),
            ("QuantizeLinear", [Some(Value::Image), None]) => self.quantize_image(node),
            ("QuantizeLinear", [Some(Value::Sum { terms, relu }), None]) => self.add(node, terms, relu),
            ("QLinearConv", [Some(Value::Int8 { map, rank: 4 }), None]) => self.convolution(node, map),
            ("Relu", [Some(Value::Int8 { map, rank }), None]) => {
                self.relu(node, map)?;
                Ok(Value::Int8 { map, rank })
            }
            ("Relu", [Some(Value::Sum { terms, .. }), None]) => Ok(Value::Sum { terms, relu: true }),
            ("MaxPool", [Some(Value::Int8 { map, rank: 4 }), None]) => self.max_pool(node, map),
            ("DequantizeLinear", [Some(Value::Int8 { map, rank }), None]) => {
                Ok(Value::Real(Real { map, scale: node.scalar(1)?, rank }))
            }
            ("Add", [Some(Value::Real(a)), Some(Value::Real(b))]) => {
                let fits = [a.rank, b.rank] == [4, 4] && self.maps[a.map].shape == self.maps[b.map].shape;
                if fits { Ok(Value::Sum { terms: [a, b], relu: false }) } else { Err(Obstacle::Terms) }
            }
            ("Sigmoid", [Some(Value::Real(real)), None]) => Ok(Value::Probability(real)),
            (operator, _) => Err(Obstacle::Operator(operator.to_owned())),
        }
    }

    fn is_scalar(&self, map: usize) -> bool {
        self.maps[map].shape == Shape { height: 1, width: 1, channels: 1 }
    }

    fn is_one_value(&self, value: Value) -> bool {
        matches!(value, Value::Int8 { map, .. } | Value::Real(Real { map, .. }) if self.is_scalar(map))
    }

    fn quantize_image(&mut self, node: Node<'a>) -> Result<Value, Obstacle> {
        let scale = node.scalar(1)?;
        if self.table.is_some() {
            return Err(Obstacle::Image);
        }
        let table = std::array::from_fn(|pixel| quantize(self.contract.value(pixel as u8), scale));
        self.table = Some(table);
        let side = usize::from(self.contract.side);
        self.maps.push(Map {
            shape: Shape { height: side, width: side, channels: 1 },
            tensor: node.output(),
            scale,
            positive: table.iter().all(|&value| value >= 0),
        });
        Ok(Value::Int8 { map: 0, rank: 4 })
    }

    fn convolution(&mut self, node: Node<'a>, map: usize) -> Result<Value, Obstacle> {
        let Map { shape: Shape { channels, .. }, positive, .. } = self.maps[map];
        let [outputs, inputs, ..] = node.dims::<4>(3)?;
        let window = window(node)?;
        let bias = match node.input(8) {
            Some(_) => match node.values(8)? {
                Values::I32(bias) => bias,
                _ => return Err(Obstacle::Constant),
            },
            None => vec![0; outputs],
        };
        let Values::I8(weights) = node.values(3)? else { return Err(Obstacle::Constant) };
        let (x_scale, y_scale) = (node.scalar(1)?, node.scalar(6)?);
        let scales = node.floats(4)?;
        if scales.len() != 1 && scales.len() != outputs {
            return Err(Obstacle::Constant);
        }
        let multipliers = scales.iter().cycle().take(outputs).map(|&w_scale| multiplier(x_scale, w_scale, y_scale));
        let multipliers = multipliers.collect::<Option<_>>().ok_or(Obstacle::Scale)?;
        let filters = Filters { window, weights, bias, multipliers, relu: false, signed_input: !positive };
        let layer = match node.groups()? {
            1 => Layer::Convolution { inputs, filters, pool: false },
            groups if groups == channels && outputs == channels && inputs == 1 => Layer::Depthwise(filters),
            _ => return Err(Obstacle::Groups),
        };
        self.push(node, layer, vec![map], y_scale)
    }

    fn add(&mut self, node: Node<'a>, terms: [Real; 2], relu: bool) -> Result<Value, Obstacle> {
        let scales = terms.map(|term| term.scale);
        // Where terms or sums are beyond f32, their sum may be no number: that is left to tract.
        if !(128.0 * scales[0] + 128.0 * scales[1]).is_finite() {
            return Err(Obstacle::Scale);
        }
        let output_scale = node.scalar(1)?;
        let layer = Layer::Add { scales, output_scale, relu };
        self.push(node, layer, terms.map(|term| term.map).to_vec(), output_scale)
    }

    fn max_pool(&mut self, node: Node<'a>, map: usize) -> Result<Value, Obstacle> {
        check_pool(node)?;
        let sole = self.has_one_reader(map);
        if let (true, Some(step)) = (sole, map.checked_sub(1))
            && let Layer::Convolution { pool: pool @ false, .. } = &mut self.steps[step].layer
        {
            *pool = true;
            let step = &self.steps[step];
            self.maps[map].shape = step.layer.output(self.maps[step.maps[0]].shape)?;
            self.maps[map].tensor = node.output();
            return Ok(Value::Int8 { map, rank: 4 });
        }
        self.push(node, Layer::MaxPool, vec![map], self.maps[map].scale)
    }

    /// Folds a Relu into the step that makes its input.
    fn relu(&mut self, node: Node<'a>, map: usize) -> Result<(), Obstacle> {
        if self.maps[map].positive {
            // Nothing is cut off, whatever else reads the map.
            if self.has_one_reader(map) {
                self.maps[map].tensor = node.output();
            }
            return Ok(());
        }
        // A maximum may be taken before the Relu as well as after it.
        let mut from = map;
        loop {
            let step = from.checked_sub(1).filter(|_| self.has_one_reader(from)).ok_or(Obstacle::Relu)?;
            let Step { layer, maps, .. } = &mut self.steps[step];
            self.maps[from].positive = true;
            match layer {
                Layer::Convolution { filters, .. } | Layer::Depthwise(filters) => filters.relu = true,
                Layer::Add { relu, .. } => *relu = true,
                Layer::MaxPool => {
                    from = maps[0];
                    continue;
                }
            }
            self.maps[map].tensor = node.output();
            return Ok(());
        }
    }

    fn push(&mut self, node: Node<'a>, layer: Layer, maps: Vec<usize>, scale: f32) -> Result<Value, Obstacle> {
        let shape = layer.output(self.maps[maps[0]].shape)?;
        let positive = match &layer {
            Layer::Add { relu: true, .. } => true,
            _ => maps.iter().all(|&map| self.maps[map].positive) && keeps_sign(&layer),
        };
        self.weights = self.weights.saturating_add(layer.packed_bytes(self.maps[maps[0]].shape)?);
        let step = Step { node: node.name().to_owned(), layer, maps };
        if self.weights > MAX_WEIGHTS || self.steps.len() == MAX_LAYERS {
            return Err(Obstacle::Size);
        }
        self.steps.push(step);
        self.maps.push(Map { shape, tensor: node.output(), scale, positive });
        Ok(Value::Int8 { map: self.maps.len() - 1, rank: 4 })
    }

    fn has_one_reader(&self, map: usize) -> bool {
        self.readers.get(self.maps[map].tensor) == Some(&1)
    }
}

/// True if inputs that are not negative cannot become negative.
fn keeps_sign(layer: &Layer) -> bool {
    match layer {
        Layer::Depthwise(filters) => {
            let channel = filters.weights.len() / filters.bias.len().max(1);
            // The sum is taken modulo 2^32: it must not reach the values that count as negative.
            filters.weights.chunks(channel.max(1)).zip(&filters.bias).all(|(weights, &bias)| {
                let most: i64 = weights.iter().map(|&w| 127 * i64::from(w)).sum();
                bias >= 0 && weights.iter().all(|&w| w >= 0) && most + i64::from(bias) <= i64::from(i32::MAX)
            })
        }
        Layer::MaxPool | Layer::Add { .. } => true,
        Layer::Convolution { .. } => false,
    }
}

/// How many nodes read each tensor. Nodes that pass a tensor on do not count, but those that read what they pass on do.
fn readers<'a>(live: &[Node<'a>]) -> HashMap<&'a str, usize> {
    let mut origins: HashMap<&str, &str> = HashMap::new();
    let mut readers = HashMap::new();
    for node in live {
        let origin = |name: &'a str| origins.get(name).copied().unwrap_or(name);
        let inputs: Vec<&str> = node.inputs().map(origin).collect();
        match (node.operator(), inputs.first()) {
            ("Identity" | "Dropout", Some(&input)) => {
                origins.insert(node.output(), input);
            }
            _ => inputs.into_iter().for_each(|input| *readers.entry(input).or_default() += 1),
        }
    }
    readers
}

/// The window of a convolution or pooling.
fn window(node: Node<'_>) -> Result<Window, Obstacle> {
    let window = node.window()?;
    if window.dilations != [1, 1] {
        return Err(Obstacle::Dilation);
    }
    let [top, left, bottom, right] = window.pads;
    Ok(Window { kernel: window.kernel, stride: window.strides, padding: Border { top, left, bottom, right } })
}

/// Holds a MaxPool to the one window that is fused.
fn check_pool(node: Node<'_>) -> Result<(), Obstacle> {
    let fused = Window { kernel: [2, 2], stride: [2, 2], padding: Border::default() };
    if window(node)? == fused && node.integer("ceil_mode", 0) == 0 { Ok(()) } else { Err(Obstacle::Pool) }
}

/// The rank that a Flatten of one value makes.
fn flattened(node: Node<'_>) -> Result<usize, Obstacle> {
    // The axis is counted from either end; which one it is makes no difference to one value.
    if (-2..=2).contains(&node.integer("axis", 1)) { Ok(2) } else { Err(Obstacle::Constant) }
}

/// The rank that a Reshape of one value makes.
fn reshaped(node: Node<'_>) -> Result<usize, Obstacle> {
    match node.values(1)? {
        // One value has a shape of ones; a −1 stands for the one that is left.
        Values::I64(shape)
            if shape.iter().filter(|&&n| n == -1).count() <= 1 && shape.iter().all(|n| matches!(n, -1 | 1)) =>
        {
            Ok(shape.len())
        }
        _ => Err(Obstacle::Constant),
    }
}

/// True if two are the same numbers, whatever their shapes.
fn same(a: Real, b: Real) -> bool {
    a.map == b.map && a.scale.to_bits() == b.scale.to_bits()
}
