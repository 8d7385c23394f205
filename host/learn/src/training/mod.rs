//! Training: recipe + data + seed → weights. The same three give the same weights, bit for bit, on the same machine,
//! whatever the number of threads. On a graphics processor sums are in other orders, which may differ from run to run:
//! there the weights are alike, not the same.

mod batches;
mod checkpoint;
mod recipe;
#[cfg(test)]
mod tests;
mod trainer;

use std::{io, sync::atomic::AtomicBool};

use burn::module::Module;
use data::{Catalogue, InputError, Inputs, split::Split};
use measure::logistic;
use serde::{Deserialize, Serialize};

use self::trainer::Trainer;
use crate::{
    device::TrainingDevice,
    network::{Network, SideError},
};

pub use self::{
    checkpoint::{Checkpoint, CheckpointError, metrics_csv},
    recipe::{
        ClassWeights, Distillation, Keep, Optimizer, OptimizerKind, Recipe, RecipeError, Schedule, SiteWeights, Steps,
        Whole,
    },
};

/// Images that are judged at once outside of training.
const JUDGING_BATCH: usize = 64;

/// The figures of an epoch. Losses are means of binary cross-entropy with the L2 term, as Keras reports them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: usize,
    /// Mean over the steps, each measured before its update, on the images as they were augmented.
    pub train_loss: f64,
    /// Mean over the steps, each measured before its update, on the images as they were augmented.
    pub train_accuracy: f64,
    /// At the end of the epoch.
    pub validation_loss: f64,
    /// At the end of the epoch, at the recipe's threshold.
    pub validation_accuracy: f64,
}

/// What is trained on what.
pub struct Task<'a> {
    /// How.
    pub recipe: &'a Recipe,
    /// Starts every random stream, with the recipe's `start`.
    pub seed: u64,
    /// The truth about the radiographs.
    pub catalogue: &'a Catalogue,
    /// The radiographs, brought to the recipe's input.
    pub inputs: &'a Inputs,
    /// Which to learn from and which to monitor it on.
    pub split: &'a Split,
    /// What computes.
    pub device: &'a TrainingDevice,
    /// Digest that a checkpoint must carry to be continued.
    pub config: String,
}

/// How a training ended.
#[derive(Debug)]
pub enum Outcome {
    /// It is over.
    Done(Box<Trained>),
    /// It was asked to stop; the last checkpoint stands.
    Stopped,
}

/// A trained network.
#[derive(Debug)]
pub struct Trained {
    /// With the weights that the recipe keeps.
    pub network: Network,
    /// Every epoch.
    pub history: Vec<EpochMetrics>,
    /// The epoch whose weights are kept.
    pub kept_epoch: usize,
    /// Seconds of training, that of the teachers too, without validation.
    pub seconds: f64,
}

/// Observes the progress of a training.
pub trait Watcher {
    /// After a step.
    fn step(&mut self, _progress: &Progress) {}

    /// At the start and after every epoch: the state, to be kept.
    fn epoch(&mut self, checkpoint: &Checkpoint) -> io::Result<()>;
}

/// Where a training stands within an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// From 1.
    pub epoch: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean over the steps of this epoch.
    pub loss: f64,
    /// Mean over the steps of this epoch.
    pub accuracy: f64,
    /// Speed in this epoch.
    pub images_per_second: f64,
}

/// A training that cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// the input is too small for the network
    #[error(transparent)]
    Side(#[from] SideError),
    /// a radiograph cannot be read any more
    #[error(transparent)]
    Input(#[from] InputError),
    /// nobody has looked for the machines
    #[error(
        "the X-ray machines behind these images are not known: have them found first, or use a recipe that does not ask for them"
    )]
    NoMachines,
    /// the checkpoint is of another training
    #[error(
        "the checkpoint belongs to a training with other options or other data: if its data lie elsewhere now, name them with \
         `--data` or `--site`; else start the training again"
    )]
    OtherTraining,
    /// the state of the optimizer cannot be kept or restored
    #[error("the state of the optimizer cannot be converted ({0}): start the training again")]
    Optimizer(String),
    /// a checkpoint cannot be written
    #[error("the checkpoint cannot be written ({0}): free some space, then continue with `--resume`")]
    Checkpoint(#[from] io::Error),
    /// the loss is not a number
    #[error("the loss became infinite in epoch {0}: use a smaller learning rate")]
    Diverged(usize),
}

/// Trains from the start, or from a checkpoint. `stop` is checked after every step.
pub fn train(
    task: &Task<'_>,
    from: Option<Checkpoint>,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, TrainingError> {
    if task.recipe.wants_machines() && task.catalogue.samples.iter().any(|sample| sample.machine.is_none()) {
        return Err(TrainingError::NoMachines);
    }
    let mut from = from;
    let (mut teachers, mut seconds) = (Vec::new(), 0.0);
    if let Some(checkpoint) = &mut from {
        teachers = std::mem::take(&mut checkpoint.teachers);
    }
    loop {
        let outcome = Trainer::new(task, &teachers, seconds, from.take())?.run(stop, watcher)?;
        match outcome {
            Outcome::Done(teacher) if teachers.len() < task.recipe.teachers() => {
                seconds = teacher.seconds;
                teachers.push(teacher.network.state());
            }
            outcome => return Ok(outcome),
        }
    }
}

/// Logits of the network for the radiographs named, in their order.
///
/// # Errors
/// A radiograph cannot be read any more.
pub fn judge(network: &Network, inputs: &Inputs, indices: &[usize]) -> Result<Vec<f32>, InputError> {
    let network = network.valid();
    let device = network.device();
    let mut logits = Vec::with_capacity(indices.len());
    for chunk in indices.chunks(JUDGING_BATCH) {
        let images = batches::images(inputs, chunk, &device)?;
        logits.extend(network.forward(images).into_data().iter::<f32>());
    }
    Ok(logits)
}

/// Mean binary cross-entropy of logits against the truth about the radiographs named.
pub fn cross_entropy(logits: &[f32], catalogue: &Catalogue, indices: &[usize]) -> f64 {
    let truth = |i: usize| f64::from(u8::from(catalogue.samples[i].label.positive()));
    let loss = |(&logit, &i): (&f32, &usize)| logistic::loss(f64::from(logit), truth(i));
    logits.iter().zip(indices).map(loss).sum::<f64>() / indices.len().max(1) as f64
}

/// The L2 term of the loss.
pub fn l2_term(network: &Network, recipe: &Recipe) -> f64 {
    if recipe.l2 == 0.0 {
        return 0.0;
    }
    recipe.l2 * network.valid().squared_weights().into_data().iter::<f64>().sum::<f64>()
}
