//! The steps and epochs of a training.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::{
    module::Module,
    optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig},
    tensor::{Bytes, Device, Tensor, TensorData, activation},
};
use measure::logistic::sigmoid;
use rand::Rng;

use super::{
    Checkpoint, Distillation, EpochMetrics, Keep, Optimizer, OptimizerKind, Outcome, Progress, Task, Trained,
    TrainingError, Watcher,
    batches::{self, Shuffled, Stream},
    cross_entropy, judge, l2_term,
};
use crate::network::{Network, binary_cross_entropy};

/// A training under way.
pub(super) struct Trainer<'a> {
    task: &'a Task<'a>,
    seed: u64,
    /// How much each radiograph counts, in the order of the catalogue.
    weights: Vec<f32>,
    device: Device,
    network: Network,
    /// States of all teachers, once they are finished; until then of those that are.
    teacher_states: &'a [Vec<f32>],
    /// Whose answers are learnt beside the truth.
    teachers: Vec<Network>,
    optimizer: ModuleOptimizer,
    stream: Shuffled<'a>,
    step: u64,
    history: Vec<EpochMetrics>,
    /// State of the network after the best epoch; empty where the last one's is kept.
    best: Vec<f32>,
    /// Moving average of the states of the network; empty where there is none.
    average: Vec<f32>,
    seconds: f64,
}

impl<'a> Trainer<'a> {
    /// At its start, or at a checkpoint. Of the next teacher, if there are less than the recipe wants; `seconds` is what
    /// those that there are took.
    pub(super) fn new(
        task: &'a Task<'a>,
        teacher_states: &'a [Vec<f32>],
        seconds: f64,
        from: Option<Checkpoint>,
    ) -> Result<Self, TrainingError> {
        let recipe = task.recipe;
        let device = task.device.device().clone().autodiff();
        let taught = teacher_states.len() == recipe.teachers();
        let seed = recipe.stream_seed(task.seed, if taught { 0 } else { teacher_states.len() + 1 });
        let mut network = Network::initialise(&recipe.network, usize::from(recipe.side), seed, &device)?;
        let Optimizer { beta_1, beta_2, epsilon, weight_decay, .. } = recipe.optimizer;
        let [beta_1, beta_2, epsilon] =
            [(beta_1, 0.9), (beta_2, 0.999), (epsilon, 1e-7)].map(|(value, default)| value.unwrap_or(default) as f32);
        let mut optimizer = match recipe.optimizer.kind {
            OptimizerKind::Sgd => {
                let momentum = recipe.optimizer.momentum.map(|momentum| MomentumConfig {
                    momentum,
                    dampening: 0.0,
                    nesterov: false,
                });
                SgdConfig::new().with_momentum(momentum).init()
            }
            OptimizerKind::Adam => {
                AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(epsilon).init()
            }
            OptimizerKind::AdamW => AdamWConfig::new()
                .with_beta_1(beta_1)
                .with_beta_2(beta_2)
                .with_epsilon(epsilon)
                .with_weight_decay(weight_decay.unwrap_or(0.0) as f32)
                .init(),
        };
        let (mut step, mut history, mut best, mut seconds) = (0, Vec::new(), Vec::new(), seconds);
        let mut average = if recipe.weight_average > 0.0 { network.state() } else { Vec::new() };
        if let Some(checkpoint) = from {
            let steps = recipe.steps_of(task.split.train.len()) * checkpoint.history.len();
            let fits = checkpoint.config == task.config
                && checkpoint.step == steps as u64
                && [0, checkpoint.weights.len()].contains(&checkpoint.best.len())
                && checkpoint.average.len() == average.len()
                && teacher_states.len() <= recipe.teachers()
                && network.set_state(&checkpoint.weights);
            if !fits {
                return Err(TrainingError::OtherTraining);
            }
            optimizer = optimizer
                .from_bytes(Bytes::from_bytes_vec(checkpoint.optimizer))
                .map_err(|e| TrainingError::Optimizer(e.to_string()))?;
            (step, history, best, seconds) = (checkpoint.step, checkpoint.history, checkpoint.best, checkpoint.seconds);
            average = checkpoint.average;
        }
        let mut teachers = Vec::new();
        for state in teacher_states.iter().filter(|_| taught) {
            let mut teacher = Network::initialise(&recipe.network, usize::from(recipe.side), 0, &device)?;
            if !teacher.set_state(state) {
                return Err(TrainingError::OtherTraining);
            }
            teachers.push(teacher.valid());
        }
        let train = &task.split.train;
        Ok(Self {
            task,
            seed,
            weights: recipe.weights(task.catalogue, train),
            device,
            network,
            teacher_states,
            teachers,
            optimizer,
            stream: Shuffled::new(train, seed, step * recipe.batch as u64),
            step,
            history,
            best,
            average,
            seconds,
        })
    }

    /// Trains to the end. `stop` is checked after every step.
    pub(super) fn run(mut self, stop: &AtomicBool, watcher: &mut dyn Watcher) -> Result<Outcome, TrainingError> {
        if self.history.is_empty() {
            watcher.epoch(&self.checkpoint()?)?;
        }
        while !self.over() {
            let Some(metrics) = self.epoch(stop, watcher)? else { return Ok(Outcome::Stopped) };
            self.history.push(metrics);
            if self.task.recipe.keep == Keep::Best && self.best_epoch() == metrics.epoch {
                self.best = self.state();
            }
            watcher.epoch(&self.checkpoint()?)?;
        }
        Ok(Outcome::Done(Box::new(self.finish())))
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainingError> {
        let optimizer = self.optimizer.into_bytes().map_err(|e| TrainingError::Optimizer(e.to_string()))?;
        Ok(Checkpoint {
            config: self.task.config.clone(),
            step: self.step,
            history: self.history.clone(),
            seconds: self.seconds,
            weights: self.network.state(),
            best: self.best.clone(),
            average: self.average.clone(),
            teachers: self.teacher_states.to_vec(),
            optimizer: optimizer.to_vec(),
        })
    }

    fn over(&self) -> bool {
        let done = self.history.len();
        done >= self.task.recipe.epochs || self.task.recipe.patience.is_some_and(|p| done >= self.best_epoch() + p)
    }

    /// The first epoch of the lowest validation loss; 0 before the first one.
    fn best_epoch(&self) -> usize {
        let best = self.history.iter().min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss));
        best.map_or(0, |metrics| metrics.epoch)
    }

    fn finish(mut self) -> Trained {
        let mut kept_epoch = self.history.len();
        if self.network.set_state(&self.best) {
            kept_epoch = self.best_epoch();
        } else {
            // Nothing where there is no average.
            let _ = self.network.set_state(&self.average);
        }
        Trained { network: self.network, history: self.history, kept_epoch, seconds: self.seconds }
    }

    /// The state that is measured and kept.
    fn state(&self) -> Vec<f32> {
        if self.average.is_empty() { self.network.state() } else { self.average.clone() }
    }

    /// A network of the average weights, if there is an average; one of its own, as clones share the running statistics.
    fn averaged(&self) -> Result<Option<Network>, TrainingError> {
        if self.average.is_empty() {
            return Ok(None);
        }
        let recipe = self.task.recipe;
        let mut network = Network::initialise(&recipe.network, usize::from(recipe.side), 0, &self.device)?;
        Ok(network.set_state(&self.average).then_some(network))
    }

    /// Moves the average towards the present state, at first in longer steps.
    fn update_average(&mut self) {
        if self.average.is_empty() {
            return;
        }
        let step = self.step as f64;
        let kept = self.task.recipe.weight_average.min((1.0 + step) / (10.0 + step)) as f32;
        for (average, value) in self.average.iter_mut().zip(self.network.state()) {
            *average = value + (*average - value) * kept;
        }
    }

    fn steps(&self) -> usize {
        self.task.recipe.steps_of(self.task.split.train.len())
    }

    /// One epoch; `None` if it was asked to stop.
    fn epoch(&mut self, stop: &AtomicBool, watcher: &mut dyn Watcher) -> Result<Option<EpochMetrics>, TrainingError> {
        let (epoch, steps, batch) = (self.history.len() + 1, self.steps(), self.task.recipe.batch);
        let start = Instant::now();
        let (mut loss, mut right) = (0.0, 0);
        for step in 1..=steps {
            let (step_loss, step_right) = self.train_step()?;
            if !step_loss.is_finite() {
                return Err(TrainingError::Diverged(epoch));
            }
            loss += step_loss;
            right += step_right;
            let images = (step * batch) as f64;
            watcher.step(&Progress {
                epoch,
                step,
                steps,
                loss: loss / step as f64,
                accuracy: right as f64 / images,
                images_per_second: images / start.elapsed().as_secs_f64(),
            });
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        self.seconds += start.elapsed().as_secs_f64();
        let (validation_loss, validation_accuracy) = self.validate(epoch)?;
        if !validation_loss.is_finite() {
            return Err(TrainingError::Diverged(epoch));
        }
        Ok(Some(EpochMetrics {
            epoch,
            train_loss: loss / steps as f64,
            train_accuracy: right as f64 / (steps * batch) as f64,
            validation_loss,
            validation_accuracy,
        }))
    }

    /// One update. Loss and number of right decisions before it.
    fn train_step(&mut self) -> Result<(f64, usize), TrainingError> {
        let Task { recipe, catalogue, inputs, .. } = self.task;
        let first = self.stream.drawn();
        let indices = self.stream.draw(recipe.batch);
        let images = if recipe.augmentation.is_identity() {
            batches::images(inputs, &indices, &self.device)?
        } else {
            batches::augmented(inputs, &indices, &recipe.augmentation, self.seed, first, &self.device)?
        };
        let taught = self.taught(&images);
        let positive = |&i: &usize| catalogue.samples[i].label.positive();
        let mut rng = Stream::Dropout { step: self.step }.generator(self.seed);
        let logits = if recipe.dropout > 0.0 {
            // Two borrows of one generator: the poolings all come before the dense layers.
            let mut dense_rng = rng.clone();
            dense_rng.set_word_pos(1 << 40);
            self.network.forward_with(
                images,
                |maps| dropout(maps, recipe.dropout, &mut rng),
                |values| dropout(values, recipe.dropout, &mut dense_rng),
            )
        } else {
            self.network.forward(images)
        };
        let decided = |logit: f32| sigmoid(logit) >= recipe.threshold;
        let right =
            logits.to_data().iter::<f32>().zip(&indices).filter(|(logit, i)| decided(*logit) == positive(i)).count();
        let smoothing = recipe.label_smoothing as f32;
        let truth = |i: &usize| f32::from(u8::from(positive(i)));
        let labels = indices.iter().map(|i| truth(i) * (1.0 - smoothing) + smoothing / 2.0).collect();
        let weights = indices.iter().map(|&i| self.weights[i]).collect();
        let [labels, weights]: [Tensor<1>; 2] = [labels, weights]
            .map(|values: Vec<f32>| Tensor::from_data(TensorData::new(values, [indices.len()]), &self.device));
        let labels = match (taught, recipe.distillation) {
            (Some(taught), Some(Distillation { weight, .. })) => {
                labels.mul_scalar(1.0 - weight) + Tensor::from_inner(taught).mul_scalar(weight)
            }
            _ => labels,
        };
        let mut loss = binary_cross_entropy(logits, labels, weights);
        if recipe.l2 > 0.0 {
            loss = loss + self.network.squared_weights().mul_scalar(recipe.l2);
        }
        let value = loss.to_data().iter::<f64>().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let rate = recipe.learning_rate(self.step, (self.steps() * recipe.epochs) as u64);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.step += 1;
        self.update_average();
        Ok((value, right))
    }

    /// Mean probability of the teachers, `[images]`; `None` without any.
    fn taught(&self, images: &Tensor<4>) -> Option<Tensor<1>> {
        let probabilities =
            self.teachers.iter().map(|teacher| activation::sigmoid(teacher.forward(images.clone().inner())));
        let sum = probabilities.reduce(|sum, probability| sum + probability)?;
        Some(sum.div_scalar(self.teachers.len() as f64))
    }

    /// Loss and accuracy on the validation images of this epoch.
    fn validate(&self, epoch: usize) -> Result<(f64, f64), TrainingError> {
        let Task { recipe, catalogue, inputs, split, .. } = self.task;
        let count = recipe.validation_of(split.validation.len());
        let indices = Shuffled::new(&split.validation, self.seed, ((epoch - 1) * count) as u64).draw(count);
        let averaged = self.averaged()?;
        let network = averaged.as_ref().unwrap_or(&self.network);
        let logits = judge(network, inputs, &indices)?;
        let decided = |logit: f32| sigmoid(logit) >= recipe.threshold;
        let right =
            logits.iter().zip(&indices).filter(|(l, i)| decided(**l) == catalogue.samples[**i].label.positive());
        let right = right.count() as f64;
        Ok((cross_entropy(&logits, catalogue, &indices) + l2_term(network, recipe), right / count as f64))
    }
}

/// Drops values with probability `rate`, to 16 bits, and scales the others up, so that the mean stays.
fn dropout<const D: usize>(tensor: Tensor<D>, rate: f64, rng: &mut impl Rng) -> Tensor<D> {
    let dims = tensor.dims();
    let limit = (rate * 65536.0) as u16;
    let kept = 65536.0 / (65536.0 - f32::from(limit));
    let mut random = vec![0; 2 * dims.iter().product::<usize>()];
    rng.fill_bytes(&mut random);
    let drops = random.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair) < limit);
    let mask: Vec<f32> = drops.map(|drop| if drop { 0.0 } else { kept }).collect();
    let mask = Tensor::from_data(TensorData::new(mask, dims), &tensor.device());
    tensor * mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_mean() {
        let ones = Tensor::<2>::ones([200, 500], &Device::flex());
        let mut rng = Stream::Dropout { step: 0 }.generator(1);
        let values: Vec<f32> = dropout(ones, 0.3, &mut rng).into_data().iter::<f32>().collect();
        let dropped = values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
        assert!((dropped - 0.3).abs() < 0.01, "{dropped}");
        assert!(values.iter().all(|value| *value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-4));
    }
}
