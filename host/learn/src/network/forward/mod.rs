//! A network in burn: it computes and learns.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{
        Device, Tensor, TensorData,
        activation::{log_sigmoid, relu},
        module::linear,
    },
};

use super::{
    Design, Layer, Layers, SideError,
    architecture::{Glorot, KERNEL},
    block,
    norm::{Affine, Norm},
    patches, portable,
};

/// A convolution with its bias.
#[derive(Module, Debug)]
struct Convolution {
    /// `[outputs, kernel, kernel, inputs]`; the inputs of the first one are equal channels.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// A dense layer with its bias.
#[derive(Module, Debug)]
struct Dense {
    /// `[inputs, outputs]`; the inputs of the first one are `[height, width, channels]`.
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// Convolutions, each followed by ReLU, 2 × 2 max-pooling and perhaps batch normalisation; then perhaps one without pooling
/// and the average of each map; then dense layers with ReLU between them. Feature maps have the channels last.
///
/// It learns if its device records gradients; then batch normalisation is by the statistics of the batch, and moves the
/// running ones. Clones share the running statistics: keep [`Network::state`] to come back to.
#[derive(Module, Debug)]
pub struct Network {
    convolutions: Vec<Convolution>,
    /// As many as convolutions, or none.
    norms: Vec<Norm>,
    dense: Vec<Dense>,
    side: usize,
    /// How many convolutions are followed by pooling.
    pooled: usize,
    averages: bool,
}

impl Network {
    /// A network for images of `side` × `side` pixels with fresh weights as Keras draws them (Glorot-uniform kernels,
    /// biases zero), on a device.
    pub fn initialise(design: &Design, side: usize, seed: u64, device: &Device) -> Result<Self, SideError> {
        let feature_side = design.feature_side(side)?;
        keep_freed_memory();
        let mut glorot = Glorot::new(seed);
        // Ids that are the same in every run let a stored optimizer state find its parameters again.
        let mut ids = (1..).map(ParamId::from);
        let mut id = || ids.next().unwrap_or_default();
        let (mut convolutions, mut norms, mut dense) = (Vec::new(), Vec::new(), Vec::new());
        let mut inputs = design.channels;
        for &outputs in design.convolutions() {
            let area = KERNEL * KERNEL;
            let weight = glorot.draw(outputs * inputs * area, inputs * area, outputs * area);
            convolutions.push(Convolution {
                weight: parameter(id(), transposed(&weight, inputs, area), [outputs, KERNEL, KERNEL, inputs], device),
                bias: parameter(id(), vec![0.0; outputs], [outputs], device),
            });
            if design.batch_norm {
                norms.push(Norm::new(outputs, &mut id, device));
            }
            inputs = outputs;
        }
        let mut area = if design.averages() { 1 } else { feature_side * feature_side };
        for &outputs in design.dense() {
            let weight = glorot.draw(outputs * inputs * area, inputs * area, outputs);
            let weight = transposed(&transposed(&weight, inputs, area), outputs, inputs * area);
            dense.push(Dense {
                weight: parameter(id(), weight, [inputs * area, outputs], device),
                bias: parameter(id(), vec![0.0; outputs], [outputs], device),
            });
            (inputs, area) = (outputs, 1);
        }
        Ok(Self { convolutions, norms, dense, side, pooled: design.pooled(), averages: design.averages() })
    }

    /// The device that it is on, without gradients.
    pub(crate) fn device(&self) -> Device {
        self.dense[0].bias.val().device().without_autodiff()
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        let running: usize = self.norms.iter().map(Norm::running_len).sum();
        self.state().len() - running
    }

    /// All parameters and running statistics, in an order that depends on the design alone.
    pub fn state(&self) -> Vec<f32> {
        let mut collect = Collect(Vec::new());
        self.visit(&mut collect);
        collect.0
    }

    /// Takes up a [`Network::state`]; `false` if that is of another design, and then nothing has changed.
    #[must_use]
    pub fn set_state(&mut self, state: &[f32]) -> bool {
        let fits = state.len() == self.state().len();
        if fits {
            *self = self.clone().map(&mut Fill(state));
        }
        fits
    }

    /// The network as plain data that computes the same: equal channels become one, and batch normalisation becomes
    /// part of the layer that follows it.
    pub fn layers(&self) -> Layers {
        let mut layers = Vec::new();
        let mut affine = Affine::identity(1);
        for (i, Convolution { weight, bias }) in self.convolutions.iter().enumerate() {
            let weight = if i == 0 { weight.val().sum_dim(3) } else { weight.val() };
            let [outputs, kernel, _, inputs] = weight.dims();
            let (mut weight, mut bias) = (values(weight), values(bias.val()));
            affine.fold_into(&mut weight, &mut bias);
            let weight = transposed(&weight, kernel * kernel, inputs);
            layers.extend([Layer::Conv { weight, bias, inputs, outputs, kernel }, Layer::Relu]);
            if i < self.pooled {
                layers.push(Layer::MaxPool2);
            }
            affine = self.norms.get(i).map_or_else(|| Affine::identity(outputs), Norm::affine);
        }
        if self.averages {
            layers.push(Layer::GlobalAverage);
        }
        layers.push(Layer::Flatten);
        let mut channels = affine.channels();
        for (i, Dense { weight, bias }) in self.dense.iter().enumerate() {
            if i > 0 {
                layers.push(Layer::Relu);
            }
            let [inputs, outputs] = weight.dims();
            let (mut weight, mut bias) = (transposed(&values(weight.val()), inputs, outputs), values(bias.val()));
            affine.fold_into(&mut weight, &mut bias);
            let weight = transposed(&weight, inputs / channels, channels);
            layers.push(Layer::Dense { weight, bias, inputs, outputs });
            (channels, affine) = (outputs, Affine::identity(outputs));
        }
        Layers { side: self.side, layers }
    }

    /// `[images, 1, side, side]` in 0..=1 → `[images]` logits.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<1> {
        self.forward_with(images, |maps| maps, |values| values)
    }

    /// As [`Network::forward`], with something done to what comes out of every pooling (and its normalisation) and of
    /// every dense layer but the last: the place of dropout in training.
    pub fn forward_with(
        &self,
        images: Tensor<4>,
        mut after_pooling: impl FnMut(Tensor<4>) -> Tensor<4>,
        mut after_dense: impl FnMut(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<1> {
        let [count, ..] = images.dims();
        let mut maps = images.reshape([count, self.side, self.side, 1]);
        for (i, Convolution { weight, bias }) in self.convolutions.iter().enumerate() {
            let weight = if i == 0 { weight.val().sum_dim(3) } else { weight.val() };
            maps =
                if i < self.pooled { pooled(maps, weight, bias.val()) } else { convolution(maps, weight, bias.val()) };
            if let Some(norm) = self.norms.get(i) {
                maps = norm.forward(maps);
            }
            maps = after_pooling(maps);
        }
        let mut features: Tensor<2> =
            if self.averages { maps.flatten::<3>(1, 2).mean_dim(1).flatten(1, 2) } else { maps.flatten(1, 3) };
        for (i, Dense { weight, bias }) in self.dense.iter().enumerate() {
            if i > 0 {
                features = after_dense(relu(features));
            }
            features = linear(features, weight.val(), Some(bias.val()));
        }
        features.flatten(0, 1)
    }

    /// Sum of the squares of the weights of all convolutions and of all dense layers but the last; biases are free.
    pub fn squared_weights(&self) -> Tensor<1> {
        let convolutions = self.convolutions.iter().map(|c| c.weight.val().square().sum());
        // First over the inputs: a sum of millions at once is divided among as many threads as there are, each with other
        // roundings.
        let hidden = self.dense[..self.dense.len() - 1].iter().map(|d| d.weight.val().square().sum_dim(0).sum());
        Tensor::cat(convolutions.chain(hidden).collect(), 0).sum()
    }
}

/// Makes the allocator keep what a step of training has freed for the next step.
///
/// glibc gives memory back to the system as soon as a few MiB are free; then every step gets its pages anew, zeroed one
/// by one, which takes a third of the time. Freeing one large block raises that limit to twice its size, if it is at
/// most 32 MiB (mallopt(3), `M_MMAP_THRESHOLD`). Other allocators do not mind.
fn keep_freed_memory() {
    const BLOCK: usize = 31 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}

/// `relu(convolution_3x3(x) + bias)`, stride 1, valid padding, as one product of matrices.
fn convolution(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let [images, height, width, channels] = maps.dims();
    let [filters, ..] = weight.dims();
    let patches = if portable::is_processor(&maps.device()) { patches::patches(maps) } else { portable::patches(maps) };
    let kernels: Tensor<2> = weight.reshape([filters, KERNEL * KERNEL * channels]).transpose();
    relu(linear(patches, kernels, Some(bias))).reshape([images, height + 1 - KERNEL, width + 1 - KERNEL, filters])
}

/// The block, on the processor by its own operation.
fn pooled(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    if portable::is_processor(&maps.device()) {
        block::block(maps, weight, bias)
    } else {
        portable::block(maps, weight, bias)
    }
}

/// Reads all tensors of a module in their order.
struct Collect(Vec<f32>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(values(param.val()));
    }
}

/// Replaces all tensors of a module in their order.
struct Fill<'a>(&'a [f32]);

impl ModuleMapper for Fill<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.dims();
        let (values, rest) = self.0.split_at(shape.iter().product());
        self.0 = rest;
        parameter(param.id, values.to_vec(), shape, &param.device())
    }
}

/// Mean binary cross-entropy of logits against labels (0 or 1), each image with its weight; all `[images]`.
///
/// `(1 - y) x - ln σ(x)`, which overflows nowhere.
pub fn binary_cross_entropy(logits: Tensor<1>, labels: Tensor<1>, weights: Tensor<1>) -> Tensor<1> {
    let negative = labels.neg().add_scalar(1.0);
    ((logits.clone() * negative - log_sigmoid(logits)) * weights).mean()
}

pub(super) fn parameter<const D: usize>(
    id: ParamId,
    data: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    let tensor = Tensor::from_data(TensorData::new(data, shape), device);
    Param::initialized(id, if device.is_autodiff() { tensor.require_grad() } else { tensor })
}

pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Each rows-first `rows × columns` matrix of a stack → rows-first `columns × rows`.
fn transposed(stack: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let transpose = |matrix: &[f32]| -> Vec<f32> {
        (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c)).map(|at| matrix[at]).collect()
    };
    stack.chunks_exact(rows * columns).flat_map(transpose).collect()
}

#[cfg(test)]
mod tests;
