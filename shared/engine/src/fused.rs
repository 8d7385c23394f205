//! Runs a fused network: tract operators around our kernels.
//!
//! The graph is built with tract-core alone: the pixels → [`Quantize`] → one [`Fused`] operator per layer → [`Dequantize`] →
//! logit and probability. Between them go flat tensors of i8, laid out as their [`Layout`] says. Where a [`Head`] reads the
//! last feature map, that is an output too: a reference to what the pass has left, at no cost to who does not look.
//!
//! **Memory.** Whatever an image needs is allocated once, with the state that runs it. The state of every operator owns the
//! tensor that the operator writes, and hands tract another reference to it. When tract has gone on to the outputs it
//! has dropped its references, so that for the next image the operator's is the only one again. The borders of the feature
//! maps are set to zero when the tensors are made; the kernels never write them. A network keeps the states that have
//! finished an image for the next ones: there are as many as images were ever judged at once.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kernels::{Layout, Prepared, Scratch};
use tract_core::{internal::*, runtime::RunOptions};

use crate::{
    activation::{Head, Seen},
    fuse,
    probability::probability,
    timing::{LayerTiming, Timing, median},
};

/// A fused network, ready to run from any number of threads.
pub(crate) struct Network {
    plan: Arc<TypedSimplePlan>,
    quantize: Quantize,
    layers: Vec<Layer>,
    /// What reads the last feature map where that is done place by place, and how the map lies.
    head: Option<(Head, Layout)>,
    /// Those that no thread is using.
    states: Mutex<Vec<State>>,
}

/// A layer and the feature maps that it reads; the one of index `i` makes the map `i + 1`.
struct Layer {
    node: String,
    op: Fused,
    maps: Vec<usize>,
}

/// What one image at a time needs.
struct State {
    run: TypedSimpleState,
    pixels: Arc<Tensor>,
}

impl Network {
    /// What is known of the end of the network.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref().map(|(head, _)| head)
    }

    /// Wires the layers of a plan that has been prepared.
    pub(crate) fn new(plan: &fuse::Plan, layouts: &[Layout], prepared: Vec<Prepared>) -> TractResult<Self> {
        let mut model = TypedModel::default();
        let to = *layouts.first().context("a network has an image")?;
        let pixels = u8::fact([to.shape().height * to.shape().width]);
        let source = model.add_source("pixels", pixels)?;
        let quantize = Quantize { table: plan.table, to };
        let mut maps = model.wire_node("map 0", quantize.clone(), &[source])?;
        let mut layers = Vec::with_capacity(prepared.len());
        for (index, (step, prepared)) in plan.steps.iter().zip(prepared).enumerate() {
            let inputs: TVec<OutletId> = step.maps.iter().map(|&map| maps[map]).collect();
            let op = Fused { prepared: Arc::new(prepared), name: fuse::kind(&step.layer) };
            maps.extend(model.wire_node(format!("map {}: {}", index + 1, step.node), op.clone(), &inputs)?);
            layers.push(Layer { node: step.node.clone(), op, maps: step.maps.clone() });
        }
        let at = layouts[plan.output].index(0, 0);
        let dequantize = Dequantize { scale: plan.scale.to_bits(), at };
        let mut outputs = model.wire_node("outputs", dequantize, &[maps[plan.output]])?;
        let head = plan.head();
        outputs.extend(head.iter().map(|(map, _)| maps[*map]));
        let head = head.map(|(map, head)| (head, layouts[map]));
        model.select_output_outlets(&outputs)?;
        // Every operator keeps its output, so no order of them saves memory.
        let options = RunOptions { skip_order_opt_ram: true, ..RunOptions::default() };
        let plan = TypedSimplePlan::new_with_options(model, &options)?;
        let network = Self { plan, quantize, layers, head, states: Mutex::default() };
        // The first image shall find its memory.
        let state = network.state()?;
        network.put_back(state);
        Ok(network)
    }

    /// Logit and probability of `side * side` pixels.
    pub(crate) fn classify(&self, pixels: &[u8]) -> TractResult<[f32; 2]> {
        self.run(pixels, score)
    }

    /// The same, with the averages of the last feature map's channels and the activation map, where there are such.
    pub(crate) fn examine(&self, pixels: &[u8]) -> TractResult<([f32; 2], Option<Seen>)> {
        self.run(pixels, |outputs| {
            let Some((head, layout)) = &self.head else { return Ok((score(outputs)?, None)) };
            let map = values(outputs.get(2).context("the last feature map is an output")?)?;
            let seen = head.see(|row, column, channel| f32::from(map[layout.index(row, column) + channel]));
            Ok((score(outputs)?, Some(seen)))
        })
    }

    /// Runs the network and reads its outputs.
    fn run<T>(&self, pixels: &[u8], read: impl FnOnce(&[TValue]) -> TractResult<T>) -> TractResult<T> {
        // A state whose run fails is dropped, with whatever it holds.
        let mut state = self.state()?;
        write(&mut state.pixels, pixels.len(), |values: &mut [u8]| values.copy_from_slice(pixels))?;
        let outputs = state.run.run(tvec!(state.pixels.clone().into_tvalue()))?;
        let result = read(&outputs)?;
        drop(outputs);
        self.put_back(state);
        Ok(result)
    }

    /// Times the whole network and, without tract between them, its layers, `rounds` times in turn.
    pub(crate) fn time(&self, pixels: &[u8], rounds: usize) -> TractResult<Timing> {
        let mut maps = vec![vec![0; self.quantize.to.len()]];
        maps.extend(self.layers.iter().map(|layer| vec![0; layer.op.prepared.output().len()]));
        let mut scratch: Vec<Scratch> = self.layers.iter().map(|layer| layer.op.prepared.scratch()).collect();
        let mut network = Vec::with_capacity(rounds);
        let mut layers = vec![Vec::with_capacity(rounds); self.layers.len()];
        for _ in 0..rounds {
            let start = Instant::now();
            self.classify(pixels)?;
            network.push(start.elapsed());
            self.quantize.write(pixels, &mut maps[0]);
            for (index, (layer, scratch)) in self.layers.iter().zip(&mut scratch).enumerate() {
                let (before, after) = maps.split_at_mut(index + 1);
                let inputs: TVec<&[i8]> = layer.maps.iter().map(|&map| before[map].as_slice()).collect();
                let start = Instant::now();
                layer.op.prepared.run(&inputs, &mut after[0], scratch);
                layers[index].push(start.elapsed());
            }
        }
        let of_layer = |(layer, times): (&Layer, Vec<Duration>)| LayerTiming {
            node: layer.node.clone(),
            kind: layer.op.name,
            algorithm: layer.op.prepared.algorithm(),
            output: layer.op.prepared.output().shape(),
            time: median(times),
        };
        Ok(Timing { network: median(network), layers: self.layers.iter().zip(layers).map(of_layer).collect() })
    }

    fn state(&self) -> TractResult<State> {
        if let Some(state) = self.states.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(state);
        }
        Ok(State { run: self.plan.spawn()?, pixels: Arc::default() })
    }

    fn put_back(&self, state: State) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).push(state);
    }
}

/// All that its answers depend on, as it lies in memory where it is run from.
impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for node in self.plan.model().nodes() {
            if let Some(Quantize { table, to }) = node.op_as() {
                (table, to).hash(state);
            } else if let Some(Fused { prepared, .. }) = node.op_as() {
                prepared.hash(state);
            } else if let Some(Dequantize { scale, at }) = node.op_as() {
                (scale, at).hash(state);
            }
        }
        if let Some((head, layout)) = &self.head {
            (head, layout).hash(state);
        }
    }
}

/// Logit and probability, from the outputs.
fn score(outputs: &[TValue]) -> TractResult<[f32; 2]> {
    let value = |index: usize| -> TractResult<f32> {
        let output = outputs.get(index).context("the network has two outputs")?;
        Ok(*output.try_as_plain_ram()?.to_scalar::<f32>()?)
    };
    Ok([value(0)?, value(1)?])
}

/// Writes a tensor of `length` values that nobody else holds; makes another, of zeros, if somebody does or it is of
/// another length.
fn write<T: Datum + Default + Copy>(
    tensor: &mut Arc<Tensor>,
    length: usize,
    work: impl FnOnce(&mut [T]),
) -> TractResult<()> {
    if Arc::get_mut(tensor).is_none_or(|tensor| tensor.len() != length || tensor.datum_type() != T::datum_type()) {
        *tensor = Arc::new(Tensor::from_shape(&[length], &vec![T::default(); length])?);
    }
    let tensor = Arc::get_mut(tensor).context("a tensor that was just made has one owner")?;
    work(tensor.try_as_plain_ram_mut()?.as_slice_mut::<T>()?);
    Ok(())
}

/// The values of a feature map, with its border.
fn values(tensor: &TValue) -> TractResult<&[i8]> {
    tensor.try_as_plain_ram()?.as_slice::<i8>()
}

/// Pixels → the first feature map.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Quantize {
    table: [i8; 256],
    to: Layout,
}

impl Quantize {
    fn write(&self, pixels: &[u8], map: &mut [i8]) {
        let width = self.to.shape().width;
        for (row, pixels) in pixels.chunks_exact(width).enumerate() {
            for (y, &pixel) in map[self.to.index(row, 0)..][..width].iter_mut().zip(pixels) {
                *y = self.table[usize::from(pixel)];
            }
        }
    }
}

/// The layer of a network.
#[derive(Clone, Debug)]
struct Fused {
    prepared: Arc<Prepared>,
    name: &'static str,
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared)
    }
}

impl Eq for Fused {}

/// The last feature map, of one value → logit and probability.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dequantize {
    /// f32, as bits: an operator must be `Eq`.
    scale: u32,
    /// Where the value lies.
    at: usize,
}

/// What an operator keeps from image to image.
#[derive(Clone, Debug)]
struct Kept {
    outputs: [Arc<Tensor>; 2],
    scratch: Option<Scratch>,
}

impl Kept {
    fn boxed(scratch: Option<Scratch>) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(Self { outputs: Default::default(), scratch })))
    }
}

impl OpState for Kept {
    fn eval(&mut self, _: &EvalContext<'_>, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let [first, second] = &mut self.outputs;
        if let Some(Fused { prepared, .. }) = op.downcast_ref() {
            let inputs = inputs.iter().map(values).collect::<TractResult<TVec<&[i8]>>>()?;
            let scratch = self.scratch.as_mut().context("a layer has its scratch")?;
            write(first, prepared.output().len(), |output| prepared.run(&inputs, output, scratch))?;
            return Ok(tvec!(first.clone().into_tvalue()));
        }
        let input = inputs.first().context("an operator has an input")?;
        if let Some(quantize) = op.downcast_ref::<Quantize>() {
            let pixels = input.try_as_plain_ram()?.as_slice::<u8>()?;
            write(first, quantize.to.len(), |output| quantize.write(pixels, output))?;
            return Ok(tvec!(first.clone().into_tvalue()));
        }
        let Dequantize { scale, at } = op.downcast_ref().context("the state is another operator's")?;
        let logit = f32::from(values(input)?[*at]) * f32::from_bits(*scale);
        write(first, 1, |output| output[0] = logit)?;
        write(second, 1, |output| output[0] = probability(logit))?;
        Ok(tvec!(first.clone().into_tvalue(), second.clone().into_tvalue()))
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}

impl Op for Quantize {
    fn name(&self) -> StaticName {
        "Quantize".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Quantize {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext<'_>) -> TractResult<Option<Box<dyn OpState>>> {
        Kept::boxed(None)
    }
}

impl TypedOp for Quantize {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(i8::fact([self.to.len()])))
    }

    as_op!();
}

impl Op for Fused {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![self.prepared.algorithm().to_owned()])
    }

    op_as_typed_op!();
}

impl EvalOp for Fused {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext<'_>) -> TractResult<Option<Box<dyn OpState>>> {
        Kept::boxed(Some(self.prepared.scratch()))
    }
}

impl TypedOp for Fused {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(i8::fact([self.prepared.output().len()])))
    }

    as_op!();
}

impl Op for Dequantize {
    fn name(&self) -> StaticName {
        "Dequantize".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Dequantize {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext<'_>) -> TractResult<Option<Box<dyn OpState>>> {
        Kept::boxed(None)
    }
}

impl TypedOp for Dequantize {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact([1]), f32::fact([1])))
    }

    as_op!();
}
