//! A network in burn: it computes and learns.

use burn::{
    module::{Module, Param, ParamId},
    tensor::{
        Device, Tensor, TensorData,
        activation::{log_sigmoid, relu},
        module::linear,
    },
};

#[cfg(not(feature = "wgpu"))]
use super::block::block;
use super::{Layer, Layers};

/// A convolution with its bias.
#[derive(Module, Debug)]
struct Convolution {
    /// `[outputs, inputs, kernel, kernel]`.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// A dense layer with its bias.
#[derive(Module, Debug)]
struct Dense {
    /// `[inputs, outputs]`.
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// Convolutions, each followed by ReLU and 2 × 2 max-pooling; then dense layers with ReLU between them.
#[derive(Module, Debug)]
pub struct Network {
    convolutions: Vec<Convolution>,
    dense: Vec<Dense>,
    side: usize,
}

impl Network {
    /// Puts a network on a device; it learns if the device records gradients.
    pub fn new(layers: &Layers, device: &Device) -> Self {
        let mut convolutions = Vec::new();
        let mut dense = Vec::new();
        // Ids that are the same in every run let a stored optimizer state find its parameters again.
        let mut ids = 1..;
        let mut id = || ParamId::from(ids.next().unwrap_or(u64::MAX));
        for layer in &layers.layers {
            match layer {
                Layer::Conv { weight, bias, inputs, outputs, kernel } => convolutions.push(Convolution {
                    weight: parameter(id(), weight.clone(), [*outputs, *inputs, *kernel, *kernel], device),
                    bias: parameter(id(), bias.clone(), [*outputs], device),
                }),
                Layer::Dense { weight, bias, inputs, outputs } => dense.push(Dense {
                    weight: parameter(id(), transposed(weight, *outputs, *inputs), [*inputs, *outputs], device),
                    bias: parameter(id(), bias.clone(), [*outputs], device),
                }),
                Layer::Relu | Layer::MaxPool2 | Layer::Flatten => {}
            }
        }
        Self { convolutions, dense, side: layers.side }
    }

    pub fn initialise(
        design: &super::Design,
        side: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, super::SideError> {
        Ok(Self::new(&design.architecture.initialise(side, seed)?, device))
    }
    pub fn parameters(&self) -> usize {
        self.layers().parameters()
    }
    pub fn state(&self) -> Vec<f32> {
        self.layers()
            .layers
            .iter()
            .flat_map(|layer| match layer {
                Layer::Conv { weight, bias, .. } | Layer::Dense { weight, bias, .. } => {
                    weight.iter().chain(bias).copied().collect::<Vec<_>>()
                }
                _ => vec![],
            })
            .collect()
    }
    pub fn set_state(&mut self, state: &[f32]) -> bool {
        let mut layers = self.layers();
        if layers.parameters() != state.len() {
            return false;
        }
        let mut weights = state.iter();
        for layer in &mut layers.layers {
            if let Layer::Conv { weight, bias, .. } | Layer::Dense { weight, bias, .. } = layer {
                for w in weight.iter_mut().chain(bias) {
                    *w = *weights.next().unwrap();
                }
            }
        }
        *self = Self::new(&layers, &self.dense[0].bias.val().device());
        true
    }

    /// The weights as plain data.
    pub fn layers(&self) -> Layers {
        let mut layers = Vec::new();
        for Convolution { weight, bias } in &self.convolutions {
            let [outputs, inputs, kernel, _] = weight.dims();
            let (weight, bias) = (values(weight.val()), values(bias.val()));
            layers.extend([Layer::Conv { weight, bias, inputs, outputs, kernel }, Layer::Relu, Layer::MaxPool2]);
        }
        layers.push(Layer::Flatten);
        for (i, Dense { weight, bias }) in self.dense.iter().enumerate() {
            if i > 0 {
                layers.push(Layer::Relu);
            }
            let [inputs, outputs] = weight.dims();
            let weight = transposed(&values(weight.val()), inputs, outputs);
            layers.push(Layer::Dense { weight, bias: values(bias.val()), inputs, outputs });
        }
        Layers { side: self.side, layers }
    }

    /// `[images, 1, side, side]` in 0..=1 → `[images]` logits.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<1> {
        self.forward_with(images, |_, maps| maps, |_, values| values)
    }

    /// As [`Network::forward`], with something done to the output of every pooling and of every dense layer but the
    /// last, each numbered from 0: the place of dropout in training.
    pub fn forward_with(
        &self,
        images: Tensor<4>,
        mut after_pooling: impl FnMut(usize, Tensor<4>) -> Tensor<4>,
        mut after_dense: impl FnMut(usize, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<1> {
        let mut maps = images;
        for (i, Convolution { weight, bias }) in self.convolutions.iter().enumerate() {
            maps = after_pooling(i, block(maps, weight.val(), bias.val()));
        }
        let mut features: Tensor<2> = maps.flatten(1, 3);
        for (i, Dense { weight, bias }) in self.dense.iter().enumerate() {
            if i > 0 {
                features = after_dense(i - 1, relu(features));
            }
            features = linear(features, weight.val(), Some(bias.val()));
        }
        features.flatten(0, 1)
    }

    /// Sum of the squares of the weights of all convolutions and of all dense layers but the last; biases are free.
    pub fn squared_weights(&self) -> Tensor<1> {
        let convolutions = self.convolutions.iter().map(|c| c.weight.val().square().sum());
        let hidden = self.dense[..self.dense.len() - 1].iter().map(|d| d.weight.val().square().sum());
        Tensor::cat(convolutions.chain(hidden).collect(), 0).sum()
    }
}

/// The block by burn's own operators, which run on every device.
#[cfg(feature = "wgpu")]
fn block(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    use burn::tensor::{
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    };
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    // The maximum of ReLUs is the ReLU of the maximum: a quarter of the work, the same values and gradients.
    relu(max_pool2d(conv2d(maps, weight, Some(bias), options), MaxPoolOptions::new([2, 2])))
}

/// Mean binary cross-entropy of logits against labels (0 or 1), each image with its weight; all `[images]`.
///
/// `(1 - y) x - ln σ(x)`, which overflows nowhere.
pub fn binary_cross_entropy(logits: Tensor<1>, labels: Tensor<1>, weights: Tensor<1>) -> Tensor<1> {
    let negative = labels.neg().add_scalar(1.0);
    ((logits.clone() * negative - log_sigmoid(logits)) * weights).mean()
}

fn parameter<const D: usize>(id: ParamId, data: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let tensor = Tensor::from_data(TensorData::new(data, shape), device);
    Param::initialized(id, if device.is_autodiff() { tensor.require_grad() } else { tensor })
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Rows-first `rows × columns` → rows-first `columns × rows`.
fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Architecture;

    /// The same network by the definition of its layers, one value at a time.
    fn reference(layers: &Layers, image: &[f32]) -> f32 {
        let (mut channels, mut side, mut values) = (1, layers.side, image.to_vec());
        for layer in &layers.layers {
            match layer {
                Layer::Conv { weight, bias, inputs, outputs, kernel } => {
                    let new = side + 1 - kernel;
                    let mut out = Vec::new();
                    for o in 0..*outputs {
                        for (y, x) in (0..new).flat_map(|y| (0..new).map(move |x| (y, x))) {
                            let mut sum = bias[o];
                            for i in 0..*inputs {
                                for (v, u) in (0..*kernel).flat_map(|v| (0..*kernel).map(move |u| (v, u))) {
                                    let w = weight[((o * inputs + i) * kernel + v) * kernel + u];
                                    sum += w * values[(i * side + y + v) * side + x + u];
                                }
                            }
                            out.push(sum);
                        }
                    }
                    (channels, side, values) = (*outputs, new, out);
                }
                Layer::Relu => values.iter_mut().for_each(|v| *v = v.max(0.0)),
                Layer::MaxPool2 => {
                    let new = side / 2;
                    let at = |c: usize, y: usize, x: usize| values[(c * side + y) * side + x];
                    let mut out = Vec::new();
                    for c in 0..channels {
                        for (y, x) in (0..new).flat_map(|y| (0..new).map(move |x| (2 * y, 2 * x))) {
                            out.push(at(c, y, x).max(at(c, y, x + 1)).max(at(c, y + 1, x)).max(at(c, y + 1, x + 1)));
                        }
                    }
                    (side, values) = (new, out);
                }
                Layer::Flatten => {}
                Layer::Dense { weight, bias, inputs, .. } => {
                    let product =
                        |(row, b): (&[f32], &f32)| row.iter().zip(&values).map(|(w, v)| w * v).sum::<f32>() + b;
                    values = weight.chunks_exact(*inputs).zip(bias).map(product).collect();
                }
            }
        }
        values[0]
    }

    #[test]
    fn computes_what_its_layers_say() {
        let device = Device::flex();
        for architecture in [Architecture::Baseline, Architecture::Deeper] {
            let mut layers = architecture.initialise(49, 3).unwrap();
            for layer in &mut layers.layers {
                if let Layer::Conv { bias, .. } | Layer::Dense { bias, .. } = layer {
                    bias.iter_mut().enumerate().for_each(|(i, b)| *b = 0.01 * i as f32);
                }
            }
            let network = Network::new(&layers, &device);
            assert_eq!(network.layers(), layers);
            let images: Vec<f32> = (0..2 * 49 * 49).map(|i| ((i * 37) % 101) as f32 / 100.0).collect();
            let data = TensorData::new(images.clone(), [2, 1, 49, 49]);
            let logits = values(network.forward(Tensor::from_data(data, &device)));
            for (logit, image) in logits.iter().zip(images.chunks_exact(49 * 49)) {
                let expected = reference(&layers, image);
                assert!((logit - expected).abs() < 1e-4, "{logit} {expected}");
            }
        }
    }

    #[test]
    fn cross_entropy_is_stable_and_right() {
        let device = Device::flex();
        let of = |x: f32, y: f32| {
            let one = |v: f32| Tensor::<1>::from_floats([v], &device);
            values(binary_cross_entropy(one(x), one(y), one(1.0)))[0]
        };
        assert!((of(0.0, 1.0) - std::f32::consts::LN_2).abs() < 1e-6);
        assert!((of(2.0, 1.0) - (1.0 + (-2.0_f32).exp()).ln()).abs() < 1e-6);
        assert!((of(2.0, 0.0) - (1.0 + 2.0_f32.exp()).ln()).abs() < 1e-6);
        assert_eq!((of(200.0, 1.0), of(200.0, 0.0), of(-200.0, 1.0)), (0.0, 200.0, 200.0));
    }
}
