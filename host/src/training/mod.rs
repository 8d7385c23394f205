//! Training: recipe + data + seed → weights. The same three give the same weights, bit for bit, on the same machine.

mod batches;
mod checkpoint;
mod recipe;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig},
    tensor::{Bytes, Device, Tensor, TensorData},
};
use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::contract::InputContract;

use self::batches::{Shuffled, Stream, tensors};
pub use self::{
    checkpoint::{Checkpoint, CheckpointError},
    recipe::{OptimizerKind, Recipe},
};
use crate::{
    data::Dataset,
    network::{Layers, Network, SideError, binary_cross_entropy},
    progress,
};

/// Images that are judged at once outside of training.
const JUDGING_BATCH: usize = 64;

/// What an epoch came to. Losses are means of binary cross-entropy (with the L2 term in training).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: usize,
    /// Mean over the steps, each measured before its update.
    pub train_loss: f64,
    /// Mean over the steps, each measured before its update.
    pub train_accuracy: f64,
    /// At the end of the epoch.
    pub validation_loss: f64,
    /// At the end of the epoch, at the recipe's threshold.
    pub validation_accuracy: f64,
    /// Speed of the training, validation not counted.
    pub images_per_second: f64,
}

/// What is trained on what.
pub struct Task<'a> {
    /// How.
    pub recipe: &'a Recipe,
    /// The input, as the model file will state it.
    pub contract: InputContract,
    /// Starts every random stream.
    pub seed: u64,
    /// The radiographs.
    pub data: &'a Dataset,
    /// Those to learn from; not empty.
    pub train: &'a [usize],
    /// Those to watch; not empty.
    pub validation: &'a [usize],
    /// Digest that a checkpoint must carry to be continued.
    pub config: String,
}

/// How a training ended.
#[derive(Debug)]
pub enum Outcome {
    /// All epochs are done.
    Done(Layers, Vec<EpochMetrics>),
    /// It was asked to stop; the last checkpoint stands.
    Stopped,
}

/// A training that cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// the input is too small for the network
    #[error(transparent)]
    Side(#[from] SideError),
    /// the checkpoint is of another training
    #[error("the checkpoint belongs to a training with other options or other data: start the training anew")]
    OtherTraining,
    /// the state of the optimizer cannot be kept or taken up
    #[error("the state of the optimizer cannot be converted ({0}): start the training anew")]
    Optimizer(String),
    /// a checkpoint cannot be written
    #[error("the checkpoint cannot be written ({0}): free some space or name another folder with `--out`")]
    Checkpoint(#[from] std::io::Error),
    /// the loss is no number
    #[error("the loss became infinite in epoch {0}: use a smaller learning rate (`--lr`)")]
    Diverged(usize),
}

/// The device that networks are trained on: the processor, or with the feature `wgpu` the graphics card.
pub fn device() -> Device {
    #[cfg(feature = "wgpu")]
    {
        Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)
    }
    #[cfg(not(feature = "wgpu"))]
    {
        Device::flex()
    }
}

/// Trains from the start, or from a checkpoint. `save` is given a checkpoint at the start and after every epoch;
/// `stop` is looked at after every step.
pub fn train(
    task: &Task<'_>,
    from: Option<Checkpoint>,
    stop: &AtomicBool,
    mut save: impl FnMut(&Checkpoint) -> std::io::Result<()>,
) -> Result<Outcome, TrainingError> {
    let mut trainer = Trainer::new(task, from)?;
    if trainer.history.is_empty() {
        save(&trainer.checkpoint()?)?;
    }
    while trainer.history.len() < task.recipe.epochs {
        match trainer.epoch(stop)? {
            Some(metrics) => trainer.history.push(metrics),
            None => return Ok(Outcome::Stopped),
        }
        save(&trainer.checkpoint()?)?;
    }
    Ok(Outcome::Done(trainer.network.layers(), trainer.history))
}

/// Logits of the network for the radiographs named, in their order.
pub fn judge(network: &Network, data: &Dataset, indices: &[usize], contract: &InputContract) -> Vec<f32> {
    let network = network.valid();
    let device = device();
    indices
        .chunks(JUDGING_BATCH)
        .flat_map(|chunk| {
            let (images, _) = tensors(data, chunk, contract, &device);
            network.forward(images).into_data().iter::<f32>().collect::<Vec<_>>()
        })
        .collect()
}

struct Trainer<'a> {
    task: &'a Task<'a>,
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    stream: Shuffled<'a>,
    step: u64,
    history: Vec<EpochMetrics>,
}

impl<'a> Trainer<'a> {
    fn new(task: &'a Task<'a>, from: Option<Checkpoint>) -> Result<Self, TrainingError> {
        let recipe = task.recipe;
        let device = device().autodiff();
        let mut network = Network::initialise(&recipe.network, usize::from(task.contract.side), task.seed, &device)?;
        let mut optimizer = match recipe.optimizer {
            OptimizerKind::Sgd => SgdConfig::new().init(),
            OptimizerKind::Adam => AdamConfig::new().with_epsilon(1e-7).init(),
        };
        let (mut step, mut history) = (0, Vec::new());
        if let Some(checkpoint) = from {
            if checkpoint.config != task.config || !network.set_state(&checkpoint.weights) {
                return Err(TrainingError::OtherTraining);
            }
            optimizer = optimizer
                .from_bytes(Bytes::from_bytes_vec(checkpoint.optimizer))
                .map_err(|e| TrainingError::Optimizer(e.to_string()))?;
            (step, history) = (checkpoint.step, checkpoint.history);
        }
        let stream = Shuffled::new(task.train, task.seed, step * recipe.batch as u64);
        Ok(Self { task, network, device, optimizer, stream, step, history })
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainingError> {
        let optimizer = self.optimizer.into_bytes().map_err(|e| TrainingError::Optimizer(e.to_string()))?;
        Ok(Checkpoint {
            config: self.task.config.clone(),
            step: self.step,
            history: self.history.clone(),
            weights: self.network.state(),
            optimizer: optimizer.to_vec(),
        })
    }

    /// One epoch; `None` if it was asked to stop.
    fn epoch(&mut self, stop: &AtomicBool) -> Result<Option<EpochMetrics>, TrainingError> {
        let recipe = self.task.recipe;
        let (epoch, steps) = (self.history.len() + 1, recipe.steps_of(self.task.train.len()));
        let bar = progress::bar(steps, "training");
        let start = Instant::now();
        let (mut loss, mut right) = (0.0, 0);
        for done in 1..=steps {
            let (step_loss, step_right) = self.train_step();
            if !step_loss.is_finite() {
                return Err(TrainingError::Diverged(epoch));
            }
            loss += step_loss;
            right += step_right;
            let images = (done * recipe.batch) as f64;
            bar.set_message(format!(
                "epoch {epoch}/{}  loss {:.4}  accuracy {:.3}  {:.0} images/s",
                recipe.epochs,
                loss / done as f64,
                right as f64 / images,
                images / start.elapsed().as_secs_f64()
            ));
            bar.inc(1);
            if stop.load(Ordering::Relaxed) {
                bar.finish_and_clear();
                return Ok(None);
            }
        }
        let images_per_second = (steps * recipe.batch) as f64 / start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let (validation_loss, validation_accuracy) = self.validate(epoch);
        let metrics = EpochMetrics {
            epoch,
            train_loss: loss / steps as f64,
            train_accuracy: right as f64 / (steps * recipe.batch) as f64,
            validation_loss,
            validation_accuracy,
            images_per_second,
        };
        crate::say!(
            "epoch {epoch:>3}/{}  loss {:.4}  accuracy {:.4}  validation loss {:.4}  accuracy {:.4}  {:.0} images/s",
            recipe.epochs,
            metrics.train_loss,
            metrics.train_accuracy,
            metrics.validation_loss,
            metrics.validation_accuracy,
            metrics.images_per_second
        );
        Ok(Some(metrics))
    }

    /// One update. Loss and number of right decisions before it.
    fn train_step(&mut self) -> (f64, usize) {
        let recipe = self.task.recipe;
        let indices = self.stream.draw(recipe.batch);
        let (images, labels) = tensors(self.task.data, &indices, &self.task.contract, &self.device);
        let mut rng = Stream::Dropout { step: self.step }.generator(self.task.seed);
        let logits = if recipe.dropout > 0.0 {
            // Two borrows of one generator: the poolings all come before the dense layers.
            let mut dense_rng = rng.clone();
            dense_rng.set_word_pos(1 << 40);
            self.network.forward_with(
                images,
                |_, maps| dropout(maps, recipe.dropout, &mut rng),
                |_, values| dropout(values, recipe.dropout, &mut dense_rng),
            )
        } else {
            self.network.forward(images)
        };
        let right = logits
            .to_data()
            .iter::<f32>()
            .zip(&indices)
            .filter(|(logit, i)| (sigmoid(*logit) >= recipe.threshold) == self.task.data.samples[**i].label.positive())
            .count();
        let mut loss = binary_cross_entropy(logits, labels);
        if recipe.l2 > 0.0 {
            loss = loss + self.network.squared_weights().mul_scalar(recipe.l2);
        }
        let value = loss.to_data().iter::<f64>().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(recipe.learning_rate, self.network.clone(), gradients);
        self.step += 1;
        (value, right)
    }

    /// Loss and accuracy on the validation images of this epoch.
    fn validate(&self, epoch: usize) -> (f64, f64) {
        let count = self.task.recipe.validation_of(self.task.validation.len());
        let indices = Shuffled::new(self.task.validation, self.task.seed, ((epoch - 1) * count) as u64).draw(count);
        let logits = judge(&self.network, self.task.data, &indices, &self.task.contract);
        let (mut loss, mut right) = (0.0, 0);
        for (&logit, &i) in logits.iter().zip(&indices) {
            let positive = self.task.data.samples[i].label.positive();
            let x = f64::from(logit);
            loss += x.max(0.0) - if positive { x } else { 0.0 } + (-x.abs()).exp().ln_1p();
            right += usize::from((sigmoid(logit) >= self.task.recipe.threshold) == positive);
        }
        (loss / count as f64, right as f64 / count as f64)
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Drops values with probability `rate` and scales the others up, so that the mean stays.
fn dropout<const D: usize>(tensor: Tensor<D>, rate: f64, rng: &mut impl Rng) -> Tensor<D> {
    let dims = tensor.dims();
    let (limit, kept) = ((rate * 2.0_f64.powi(32)) as u32, (1.0 / (1.0 - rate)) as f32);
    let mask: Vec<f32> = (0..dims.iter().product()).map(|_| if rng.next_u32() < limit { 0.0 } else { kept }).collect();
    let mask = Tensor::from_data(TensorData::new(mask, dims), &tensor.device());
    tensor * mask
}

#[cfg(test)]
mod tests {
    use shared::{contract::Fit, verdict::Digest};

    use super::*;
    use crate::data::{Label, Sample};

    const CONTRACT: InputContract = InputContract { side: 22, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 };

    /// Pneumonia is bright on the left, normal on the right; the mean is the same.
    fn data(count: usize) -> Dataset {
        let sample = |i: usize| {
            let label = Label::ALL[i % 2];
            let pixel = |p: usize| {
                let bright = (p % 22 < 11) == label.positive();
                (if bright { 130 } else { 100 }) + ((p * 31 + i * 17) % 50) as u8
            };
            Sample {
                name: format!("{i}"),
                label,
                subtype: None,
                patient: format!("{i}"),
                official: None,
                digest: Digest::default(),
                pixels: (0..22 * 22).map(pixel).collect(),
            }
        };
        Dataset { samples: (0..count).map(sample).collect(), ..Dataset::default() }
    }

    fn recipe(name: &str, epochs: usize) -> Recipe {
        Recipe { epochs, steps: Some(6), batch: 8, ..Recipe::named(name).unwrap() }
    }

    /// Trains; the checkpoints are given back with the outcome.
    fn run(recipe: &Recipe, from: Option<Checkpoint>, stop: bool) -> (Outcome, Vec<Checkpoint>) {
        let data = data(40);
        let (train_part, validation): (Vec<usize>, Vec<usize>) = ((0..30).collect(), (30..40).collect());
        let task = Task {
            recipe,
            contract: CONTRACT,
            seed: 11,
            data: &data,
            train: &train_part,
            validation: &validation,
            config: "test".to_owned(),
        };
        let mut saved = Vec::new();
        let outcome = train(&task, from, &AtomicBool::new(stop), |c| {
            saved.push(c.clone());
            Ok(())
        });
        (outcome.unwrap(), saved)
    }

    #[test]
    fn learns_what_the_mean_does_not_tell() {
        let recipe = Recipe { learning_rate: 0.003, ..recipe("adam", 12) };
        let (Outcome::Done(_, history), _) = run(&recipe, None, false) else { panic!("stopped") };
        assert_eq!(history.len(), 12);
        assert!(history[11].validation_accuracy >= 0.9, "{history:?}");
        assert!(history[11].train_loss < history[0].train_loss, "{history:?}");
    }

    #[test]
    fn resumed_is_as_if_never_stopped_to_the_bit() {
        for name in ["adam", "sgd-l2", "sgd-dropout"] {
            let (Outcome::Done(straight, _), _) = run(&recipe(name, 2), None, false) else { panic!("stopped") };
            let (_, saved) = run(&recipe(name, 1), None, false);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(Checkpoint::FILE);
            saved.last().unwrap().save(&path).unwrap();
            let from = Checkpoint::load(&path).unwrap();
            let (Outcome::Done(resumed, history), _) = run(&recipe(name, 2), Some(from), false) else {
                panic!("stopped")
            };
            assert_eq!(resumed, straight, "{name}");
            assert_eq!(history.len(), 2);
        }
    }

    #[test]
    fn stopping_keeps_the_last_checkpoint() {
        let (outcome, saved) = run(&recipe("adam", 2), None, true);
        assert!(matches!(outcome, Outcome::Stopped));
        assert_eq!(saved.len(), 1);
        let (Outcome::Done(resumed, _), _) = run(&recipe("adam", 2), Some(saved[0].clone()), false) else {
            panic!("stopped")
        };
        let (Outcome::Done(straight, _), _) = run(&recipe("adam", 2), None, false) else { panic!("stopped") };
        assert_eq!(resumed, straight);
    }

    #[test]
    fn checkpoints_of_other_trainings_are_refused() {
        let (_, saved) = run(&recipe("adam", 1), None, false);
        let other = Checkpoint { config: "other".to_owned(), ..saved[0].clone() };
        let data = data(4);
        let recipe = recipe("adam", 1);
        let task = Task {
            recipe: &recipe,
            contract: CONTRACT,
            seed: 11,
            data: &data,
            train: &[0, 1],
            validation: &[2, 3],
            config: "test".to_owned(),
        };
        let outcome = train(&task, Some(other), &AtomicBool::new(false), |_| Ok(()));
        assert!(matches!(outcome, Err(TrainingError::OtherTraining)));
    }
}
