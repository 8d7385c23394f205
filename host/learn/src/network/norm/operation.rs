//! Batch normalisation of values with the channels last as one operation on the CPU.
//!
//! A general library composes it, and its gradients, of a dozen passes over all values; here each direction takes two:
//! one for the sums of every channel, one for the result. The sums are in f64, over portions of a fixed number of rows
//! that are added up in their order, so that results do not depend on the number of threads.

use burn::{
    Tensor,
    backend::{
        Autodiff, Backend, Dispatch, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        flex::FlexTensor,
        tensor::FloatTensor,
    },
};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    super::block::{floats, tensor, vectorised},
    EPSILON,
};

/// Rows of a portion, which one thread works on.
const PORTION: usize = 256;

/// Backends that offer batch normalisation.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait NormOps: Backend {
    /// `x [n, h, w, c]`, `scale [c]`, `shift [c]` → `scale · (x - mean) / √(variance + ε) + shift`; mean and biased
    /// variance of each channel, through which no gradients flow.
    fn normalise(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// [`NormOps::normalise`] on tensors of the flex device, with or without gradients.
pub(super) fn normalise(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let (out, mean, variance) = Dispatch::normalise(x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    (Tensor::from_dispatch(out), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

impl NormOps for Flex {
    fn normalise(x: FlexTensor, scale: FlexTensor, shift: FlexTensor) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, scale, shift) = (x.to_contiguous(), scale.to_contiguous(), shift.to_contiguous());
        let Normalised { out, mean, variance } = forward(floats(&x), floats(&scale), floats(&shift));
        let channels = [mean.len()];
        let [mean, variance] = [mean, variance].map(|values| tensor(to_f32(&values), channels));
        (tensor(out, x.layout().shape().dims::<4>()), mean, variance)
    }
}

impl<C: CheckpointStrategy> NormOps for Autodiff<Flex, C> {
    fn normalise(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let parents = [x.node(), scale.node(), shift.node()];
        let x = x.primitive().to_contiguous();
        let scale = scale.primitive().to_contiguous();
        let shift = shift.primitive().to_contiguous();
        let Normalised { out, mean, variance } = forward(floats(&x), floats(&scale), floats(&shift));
        let out = tensor(out, x.layout().shape().dims::<4>());
        let channels = [mean.len()];
        let statistics = [&mean, &variance].map(|values| <FloatTensor<Self>>::new(tensor(to_f32(values), channels)));
        let out = match Normalise.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved { x, scale, mean, variance }, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        let [mean, variance] = statistics;
        (out, mean, variance)
    }
}

#[derive(Debug)]
struct Normalise;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    scale: FlexTensor,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Backward<Flex, 3> for Normalise {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, scale, shift] = ops.parents;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (dx, dscale, dshift) = backward(&ops.state, floats(&grad));
        let channels = [dscale.len()];
        if let Some(node) = x {
            grads.register::<Flex>(node.id, tensor(dx, grad.layout().shape().dims::<4>()));
        }
        if let Some(node) = scale {
            grads.register::<Flex>(node.id, tensor(dscale, channels));
        }
        if let Some(node) = shift {
            grads.register::<Flex>(node.id, tensor(dshift, channels));
        }
    }
}

struct Normalised {
    out: Vec<f32>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

fn forward(x: &[f32], scale: &[f32], shift: &[f32]) -> Normalised {
    let rows = (x.len() / scale.len()) as f64;
    let (sums, squares) = sums(x, x, scale.len());
    let mean: Vec<f64> = sums.iter().map(|sum| sum / rows).collect();
    let variance: Vec<f64> = squares.iter().zip(&mean).map(|(sum, mean)| (sum / rows - mean * mean).max(0.0)).collect();
    let factors: Vec<f32> =
        variance.iter().zip(scale).map(|(v, &scale)| (f64::from(scale) / (v + EPSILON).sqrt()) as f32).collect();
    let centres = to_f32(&mean);
    let mut out = vec![0.0; x.len()];
    let portion = PORTION * scale.len();
    out.par_chunks_mut(portion).zip(x.par_chunks(portion)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(scale.len()).zip(x.chunks_exact(scale.len())) {
            let channels = factors.iter().zip(&centres).zip(shift);
            for ((out, x), ((factor, centre), shift)) in out.iter_mut().zip(x).zip(channels) {
                *out = (x - centre) * factor + shift;
            }
        }
    });
    Normalised { out, mean, variance }
}

/// Gradients of input, scale and shift. With x̂ the normalised input, s = scale / √(variance + ε), means over the rows:
/// `dx = s · (dy - mean(dy) - x̂ · mean(dy · x̂))`, `dscale = Σ dy · x̂`, `dshift = Σ dy`.
fn backward(saved: &Saved, grad: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (x, scale) = (floats(&saved.x), floats(&saved.scale));
    let channels = scale.len();
    let rows = (x.len() / channels) as f64;
    let (dshift, products) = sums(grad, x, channels);
    let mut dscale = Vec::with_capacity(channels);
    // Of each channel: what is subtracted from x, and the factors of dx = a · dy + b · (x - mean) + c.
    let mut terms = [const { Vec::new() }; 4];
    for (channel, (&scale, &mean)) in scale.iter().zip(&saved.mean).enumerate() {
        let inverse = 1.0 / (saved.variance[channel] + EPSILON).sqrt();
        let sum = (products[channel] - mean * dshift[channel]) * inverse;
        let factor = f64::from(scale) * inverse;
        let values = [mean, factor, -factor * inverse * sum / rows, -factor * dshift[channel] / rows];
        terms.iter_mut().zip(values).for_each(|(term, value)| term.push(value as f32));
        dscale.push(sum as f32);
    }
    let [centres, a, b, c] = &terms;
    let mut dx = vec![0.0; x.len()];
    let portion = PORTION * channels;
    dx.par_chunks_mut(portion).zip(x.par_chunks(portion)).zip(grad.par_chunks(portion)).for_each(|((dx, x), grad)| {
        let rows = dx.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(grad.chunks_exact(channels));
        for ((dx, x), grad) in rows {
            let terms = centres.iter().zip(a).zip(b).zip(c);
            for (((dx, x), grad), (((centre, a), b), c)) in dx.iter_mut().zip(x).zip(grad).zip(terms) {
                *dx = a * grad + b * (x - centre) + c;
            }
        }
    });
    (dx, dscale, to_f32(&dshift))
}

/// Of each channel the sums of `left` and of `left · right`.
fn sums(left: &[f32], right: &[f32], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let portion = PORTION * channels;
    let portions: Vec<_> = left
        .par_chunks(portion)
        .zip(right.par_chunks(portion))
        .map(|(left, right)| vectorised(Sums { left, right, channels }))
        .collect();
    let mut total = (vec![0.0; channels], vec![0.0; channels]);
    for (sums, products) in &portions {
        total.0.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        total.1.iter_mut().zip(products).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// [`sums`] of a portion.
struct Sums<'a> {
    left: &'a [f32],
    right: &'a [f32],
    channels: usize,
}

impl WithSimd for Sums<'_> {
    type Output = (Vec<f64>, Vec<f64>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let (mut sums, mut products) = (vec![0.0; self.channels], vec![0.0; self.channels]);
        for (left, right) in self.left.chunks_exact(self.channels).zip(self.right.chunks_exact(self.channels)) {
            for (((sum, product), &left), &right) in sums.iter_mut().zip(&mut products).zip(left).zip(right) {
                *sum += f64::from(left);
                *product += f64::from(left) * f64::from(right);
            }
        }
        (sums, products)
    }
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;
    use crate::network::portable;

    /// By burn's elementwise operators, a line for a line of the definition.
    fn reference(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
        let dims = x.dims();
        let rows: Tensor<2> = x.flatten(0, 2);
        let mean = rows.clone().mean_dim(0);
        let centred = rows - mean.clone();
        let variance = centred.clone().square().mean_dim(0);
        let out = centred / variance.clone().add_scalar(EPSILON).sqrt() * scale.unsqueeze() + shift.unsqueeze();
        (out.reshape(dims), mean.flatten(0, 1), variance.flatten(0, 1))
    }

    fn close<const D: usize>(ours: &Tensor<D>, theirs: &Tensor<D>) {
        ours.to_data().assert_approx_eq::<f32>(&theirs.to_data(), Tolerance::rel_abs(1e-3, 1e-4));
    }

    fn operands(dims: [usize; 4], device: &Device) -> [Tensor<4>; 2] {
        [Distribution::Normal(0.7, 1.3), Distribution::Normal(0.0, 1.0)].map(|d| Tensor::random(dims, d, device))
    }

    fn parameters(channels: usize, device: &Device) -> [Tensor<1>; 2] {
        [1.0, 0.0].map(|mean| Tensor::random([channels], Distribution::Normal(mean, 0.3), device))
    }

    #[test]
    fn forward_and_gradients_equal_those_of_burn() {
        let device = Device::flex().autodiff();
        device.seed(9);
        for dims in [[2, 1, 1, 1], [3, 5, 4, 7], [20, 7, 9, 32], [2, 6, 6, 64]] {
            let [x, factor] = operands(dims, &device);
            let x = x.require_grad();
            let [scale, shift] = parameters(dims[3], &device).map(Tensor::require_grad);
            let ours = normalise(x.clone(), scale.clone(), shift.clone());
            let gradients = (ours.0.clone() * factor.clone()).sum().backward();
            let by_definition = reference(x.clone(), scale.clone(), shift.clone());
            let portable = portable::normalise(x.clone(), scale.clone(), shift.clone(), EPSILON);
            for theirs in [by_definition, portable] {
                close(&ours.0, &theirs.0);
                close(&ours.1, &theirs.1);
                close(&ours.2, &theirs.2);
                let theirs = (theirs.0 * factor.clone()).sum().backward();
                close(&x.grad(&gradients).unwrap(), &x.grad(&theirs).unwrap());
                close(&scale.grad(&gradients).unwrap(), &scale.grad(&theirs).unwrap());
                close(&shift.grad(&gradients).unwrap(), &shift.grad(&theirs).unwrap());
            }
        }
    }

    #[test]
    fn a_channel_that_never_changes_becomes_the_shift() {
        let device = Device::flex();
        let [scale, shift] = parameters(3, &device);
        let (out, _, variance) = normalise(Tensor::full([2, 3, 3, 3], 0.1, &device), scale, shift.clone());
        close(&variance, &Tensor::zeros([3], &device));
        close(&out, &shift.reshape([1, 1, 1, 3]).expand([2, 3, 3, 3]));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let device = Device::flex().autodiff();
        device.seed(10);
        let [x, factor] = operands([7, 13, 14, 5], &device);
        let x = x.require_grad();
        let [scale, shift] = parameters(5, &device).map(Tensor::require_grad);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (out, mean, variance) = normalise(x.clone(), scale.clone(), shift.clone());
                let grads = (out.clone() * factor.clone()).sum().backward();
                let [dscale, dshift] = [&scale, &shift].map(|t| t.grad(&grads).unwrap().to_data());
                let dx = x.grad(&grads).unwrap().to_data();
                (out.to_data(), mean.to_data(), variance.to_data(), dx, dscale, dshift)
            })
        };
        assert_eq!(on(1), on(3));
    }
}
