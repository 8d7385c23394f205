//! Batch normalisation (S. Ioffe, C. Szegedy, ICML 2015) over channels, with the constants of Keras.
//!
//! It stands after the pooling, not before ReLU: the block stays one operation, and as the convolutions do not pad, what
//! follows can take up scale and shift exactly.

mod operation;

use burn::{
    module::{Module, Param, ParamId, RunningState},
    tensor::{Device, Tensor},
};

use super::{
    forward::{parameter, values},
    portable,
};

/// How much of the running statistics a step keeps.
const MOMENTUM: f64 = 0.99;

/// Added to the variance.
const EPSILON: f64 = 1e-3;

/// Normalises each channel to mean 0 and variance 1, then scales and shifts it by what is learnt.
#[derive(Module, Debug)]
pub(super) struct Norm {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
    mean: RunningState<Tensor<1>>,
    /// Biased.
    variance: RunningState<Tensor<1>>,
}

impl Norm {
    pub(super) fn new(channels: usize, mut id: impl FnMut() -> ParamId, device: &Device) -> Self {
        Self {
            scale: parameter(id(), vec![1.0; channels], [channels], device),
            shift: parameter(id(), vec![0.0; channels], [channels], device),
            mean: RunningState::with_id(id(), Tensor::zeros([channels], device)),
            variance: RunningState::with_id(id(), Tensor::ones([channels], device)),
        }
    }

    /// Values of the running statistics.
    pub(super) fn running_len(&self) -> usize {
        2 * self.scale.dims()[0]
    }

    /// `[n, h, w, c]` → `[n, h, w, c]`, by the statistics of the batch if the device records gradients.
    pub(super) fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        if !maps.device().is_autodiff() {
            let Affine { scale, shift } = self.affine();
            let row =
                |values: Vec<f64>| Tensor::<1>::from_floats(values.as_slice(), &maps.device()).reshape([1, 1, 1, -1]);
            let (scale, shift) = (row(scale), row(shift));
            return maps * scale + shift;
        }
        let (normalised, mean, variance) = normalise(maps, self.scale.val(), self.shift.val());
        for (running, batch) in [(&self.mean, mean), (&self.variance, variance)] {
            let kept = running.value().mul_scalar(MOMENTUM);
            running.update((kept + batch.detach().mul_scalar(1.0 - MOMENTUM)).detach());
            // At once: the next step may run on another thread, which would not see what is only announced.
            running.value_sync();
        }
        normalised
    }

    /// What it does by the running statistics.
    pub(super) fn affine(&self) -> Affine {
        let [scale, shift, mean, variance] =
            [self.scale.val(), self.shift.val(), self.mean.value(), self.variance.value()].map(values);
        let scale: Vec<f64> =
            scale.iter().zip(&variance).map(|(&s, &v)| f64::from(s) / (f64::from(v) + EPSILON).sqrt()).collect();
        let shift = shift.iter().zip(&mean).zip(&scale).map(|((&t, &m), s)| f64::from(t) - f64::from(m) * s).collect();
        Affine { scale, shift }
    }
}

/// The normalised values, mean and biased variance, on the processor by its own operation.
fn normalise(maps: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    if portable::is_processor(&maps.device()) {
        operation::normalise(maps, scale, shift)
    } else {
        portable::normalise(maps, scale, shift, EPSILON)
    }
}

/// `y = scale · x + shift` for each channel.
pub(super) struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    pub(super) fn identity(channels: usize) -> Self {
        Self { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    pub(super) fn channels(&self) -> usize {
        self.scale.len()
    }

    /// Makes a linear layer do this to its inputs first. `weight` is `[outputs][inputs]`, the inputs with the channels
    /// last.
    pub(super) fn fold_into(&self, weight: &mut [f32], bias: &mut [f32]) {
        let inputs = weight.len() / bias.len();
        for (row, bias) in weight.chunks_exact_mut(inputs).zip(bias) {
            let mut sum = f64::from(*bias);
            for (weight, (scale, shift)) in row.iter_mut().zip(self.scale.iter().zip(&self.shift).cycle()) {
                sum += f64::from(*weight) * shift;
                *weight = (f64::from(*weight) * scale) as f32;
            }
            *bias = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn running_statistics_follow_the_batches_and_are_used_without_gradients() {
        let device = Device::flex().autodiff();
        let mut ids = (1..).map(ParamId::from);
        let norm = Norm::new(2, || ids.next().unwrap(), &device);
        let batch = |values: [f32; 4], device: &Device| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 2, 2]), device)
        };
        // The first channel has mean 2 and variance 1, then 5 and 4; the second is always 3.
        for values in [[1.0, 3.0, 3.0, 3.0], [3.0, 3.0, 7.0, 3.0]] {
            norm.forward(batch(values, &device));
        }
        let mean = [0.01 * (0.99 * 2.0 + 5.0), 0.01 * (0.99 * 3.0 + 3.0)];
        let variance = [0.99 * (0.99 + 0.01) + 0.01 * 4.0, 0.99 * 0.99];
        let near = |got: Vec<f32>, expected: [f64; 2]| {
            for (got, expected) in got.iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} {expected}");
            }
        };
        near(values(norm.mean.value()), mean);
        near(values(norm.variance.value()), variance);
        let out = values(norm.valid().forward(batch([1.0, 1.0, 1.0, 1.0], &Device::flex())));
        let expected = [0, 1].map(|c| (1.0 - mean[c]) / (variance[c] + EPSILON).sqrt());
        near(out[..2].to_vec(), expected);
        near(out[2..].to_vec(), expected);
    }
}
