//! Training: recipe + data + seed → weights. The same three give the same weights, bit for bit, on the same machine,
//! whatever the number of threads.

mod batches;
mod checkpoint;
mod recipe;

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig},
    tensor::{Bytes, Device, Tensor, TensorData},
};
use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::contract::InputContract;

use self::batches::{Shuffled, Stream};
pub use self::{
    checkpoint::{Checkpoint, CheckpointError, metrics_csv},
    recipe::{ClassWeights, Keep, Optimizer, OptimizerKind, Recipe, RecipeError, Schedule, Steps, Whole},
};
use crate::{
    data::{Dataset, split::Split},
    network::{Network, SideError, binary_cross_entropy},
};

/// Images that are judged at once outside of training.
const JUDGING_BATCH: usize = 64;

/// What an epoch came to. Losses are means of binary cross-entropy with the L2 term, as Keras reports them.
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
    /// The radiographs, brought to the recipe's input.
    pub data: &'a Dataset,
    /// Which to learn from and which to watch.
    pub split: &'a Split,
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
    /// Seconds of training, without validation.
    pub seconds: f64,
}

/// Somebody who is told how a training goes on.
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
    #[error("the checkpoint cannot be written ({0}): free some space, then go on with `--resume`")]
    Checkpoint(#[from] io::Error),
    /// the loss is no number
    #[error("the loss became infinite in epoch {0}: use a smaller learning rate")]
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

/// Trains from the start, or from a checkpoint. `stop` is looked at after every step.
pub fn train(
    task: &Task<'_>,
    from: Option<Checkpoint>,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, TrainingError> {
    let mut trainer = Trainer::new(task, from)?;
    if trainer.history.is_empty() {
        watcher.epoch(&trainer.checkpoint()?)?;
    }
    while !trainer.over() {
        let Some(metrics) = trainer.epoch(stop, watcher)? else { return Ok(Outcome::Stopped) };
        trainer.history.push(metrics);
        if task.recipe.keep == Keep::Best && trainer.best_epoch() == metrics.epoch {
            trainer.best = trainer.network.state();
        }
        watcher.epoch(&trainer.checkpoint()?)?;
    }
    Ok(Outcome::Done(Box::new(trainer.finish())))
}

/// Logits of the network for the radiographs named, in their order.
pub fn judge(network: &Network, data: &Dataset, indices: &[usize], contract: &InputContract) -> Vec<f32> {
    let network = network.valid();
    let device = device();
    indices
        .chunks(JUDGING_BATCH)
        .flat_map(|chunk| {
            let images = batches::images(data, chunk, contract, &device);
            network.forward(images).into_data().iter::<f32>().collect::<Vec<_>>()
        })
        .collect()
}

/// Mean binary cross-entropy of logits against the truth about the radiographs named.
pub fn cross_entropy(logits: &[f32], data: &Dataset, indices: &[usize]) -> f64 {
    let loss = |(&logit, &i): (&f32, &usize)| {
        let x = f64::from(logit);
        x.max(0.0) - if data.samples[i].label.positive() { x } else { 0.0 } + (-x.abs()).exp().ln_1p()
    };
    logits.iter().zip(indices).map(loss).sum::<f64>() / indices.len().max(1) as f64
}

/// The L2 term of the loss.
pub fn l2_term(network: &Network, recipe: &Recipe) -> f64 {
    if recipe.l2 == 0.0 {
        return 0.0;
    }
    recipe.l2 * network.valid().squared_weights().into_data().iter::<f64>().sum::<f64>()
}

/// The probability whose log-odds are `logit`.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

struct Trainer<'a> {
    task: &'a Task<'a>,
    seed: u64,
    contract: InputContract,
    class_weights: [f32; 2],
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    stream: Shuffled<'a>,
    step: u64,
    history: Vec<EpochMetrics>,
    /// State of the network after the best epoch; empty where the last one's is kept.
    best: Vec<f32>,
    seconds: f64,
}

impl<'a> Trainer<'a> {
    fn new(task: &'a Task<'a>, from: Option<Checkpoint>) -> Result<Self, TrainingError> {
        let recipe = task.recipe;
        let device = device().autodiff();
        let seed = recipe.stream_seed(task.seed);
        let mut network = Network::initialise(&recipe.network, usize::from(recipe.side), seed, &device)?;
        let mut optimizer = match recipe.optimizer.kind {
            OptimizerKind::Sgd => {
                let momentum = recipe.optimizer.momentum.map(|momentum| MomentumConfig {
                    momentum,
                    dampening: 0.0,
                    nesterov: false,
                });
                SgdConfig::new().with_momentum(momentum).init()
            }
            OptimizerKind::Adam => AdamConfig::new()
                .with_beta_1(recipe.optimizer.beta_1.unwrap_or(0.9) as f32)
                .with_beta_2(recipe.optimizer.beta_2.unwrap_or(0.999) as f32)
                .with_epsilon(recipe.optimizer.epsilon.unwrap_or(1e-7) as f32)
                .init(),
        };
        let (mut step, mut history, mut best, mut seconds) = (0, Vec::new(), Vec::new(), 0.0);
        if let Some(checkpoint) = from {
            let steps = recipe.steps_of(task.split.train.len()) * checkpoint.history.len();
            let fits = checkpoint.config == task.config
                && checkpoint.step == steps as u64
                && [0, checkpoint.weights.len()].contains(&checkpoint.best.len())
                && network.set_state(&checkpoint.weights);
            if !fits {
                return Err(TrainingError::OtherTraining);
            }
            optimizer = optimizer
                .from_bytes(Bytes::from_bytes_vec(checkpoint.optimizer))
                .map_err(|e| TrainingError::Optimizer(e.to_string()))?;
            (step, history, best, seconds) = (checkpoint.step, checkpoint.history, checkpoint.best, checkpoint.seconds);
        }
        let train = &task.split.train;
        let pneumonia = train.iter().filter(|&&i| task.data.samples[i].label.positive()).count();
        Ok(Self {
            task,
            seed,
            contract: recipe.contract(),
            class_weights: recipe.weights_of([train.len() - pneumonia, pneumonia]),
            device,
            network,
            optimizer,
            stream: Shuffled::new(train, seed, step * recipe.batch as u64),
            step,
            history,
            best,
            seconds,
        })
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
        }
        Trained { network: self.network, history: self.history, kept_epoch, seconds: self.seconds }
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
            let (step_loss, step_right) = self.train_step();
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
        let (validation_loss, validation_accuracy) = self.validate(epoch);
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
    fn train_step(&mut self) -> (f64, usize) {
        let (recipe, data, seed) = (self.task.recipe, self.task.data, self.seed);
        let first = self.stream.drawn();
        let indices = self.stream.draw(recipe.batch);
        let images = if recipe.augmentation.is_identity() {
            batches::images(data, &indices, &self.contract, &self.device)
        } else {
            batches::augmented(data, &indices, &recipe.augmentation, seed, first, &self.contract, &self.device)
        };
        let positive = |&i: &usize| data.samples[i].label.positive();
        let mut rng = Stream::Dropout { step: self.step }.generator(seed);
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
        let labels = indices.iter().map(|i| f32::from(u8::from(positive(i)))).collect();
        let weights = indices.iter().map(|i| self.class_weights[usize::from(positive(i))]).collect();
        let [labels, weights]: [Tensor<1>; 2] = [labels, weights]
            .map(|values: Vec<f32>| Tensor::from_data(TensorData::new(values, [indices.len()]), &self.device));
        let mut loss = binary_cross_entropy(logits, labels, weights);
        if recipe.l2 > 0.0 {
            loss = loss + self.network.squared_weights().mul_scalar(recipe.l2);
        }
        let value = loss.to_data().iter::<f64>().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let rate = recipe.learning_rate(self.step, (self.steps() * recipe.epochs) as u64);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.step += 1;
        (value, right)
    }

    /// Loss and accuracy on the validation images of this epoch.
    fn validate(&self, epoch: usize) -> (f64, f64) {
        let Task { recipe, data, split, .. } = self.task;
        let count = recipe.validation_of(split.validation.len());
        let indices = Shuffled::new(&split.validation, self.seed, ((epoch - 1) * count) as u64).draw(count);
        let logits = judge(&self.network, data, &indices, &self.contract);
        let decided = |logit: f32| sigmoid(logit) >= recipe.threshold;
        let right = logits.iter().zip(&indices).filter(|(l, i)| decided(**l) == data.samples[**i].label.positive());
        let right = right.count() as f64;
        (cross_entropy(&logits, data, &indices) + l2_term(&self.network, recipe), right / count as f64)
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
    use shared::verdict::Digest;

    use super::*;
    use crate::{
        augment::Augmentation,
        data::{Label, Sample, split::SplitKind},
        study::Plan,
    };

    /// Pneumonia is bright on the left, normal on the right; the mean is the same.
    fn data(count: usize, side: usize) -> Dataset {
        let sample = |i: usize| {
            let label = Label::ALL[i % 2];
            let pixel = |p: usize| {
                let bright = (p % side < side / 2) == label.positive();
                (if bright { 130 } else { 100 }) + ((p * 31 + i * 17) % 50) as u8
            };
            Sample {
                name: format!("{i}"),
                label,
                subtype: None,
                patient: format!("{i}"),
                official: None,
                digest: Digest::default(),
                pixels: (0..side * side).map(pixel).collect(),
            }
        };
        Dataset { samples: (0..count).map(sample).collect(), ..Dataset::default() }
    }

    fn recipe(name: &str, epochs: usize) -> Recipe {
        let plan = Plan::builtin().unwrap();
        let recipe = plan.experiment(name).unwrap().recipe.clone();
        let steps = Steps::Number(6);
        Recipe { side: 22, epochs, steps, validation_steps: Steps::Number(2), batch: 8, ..recipe }
    }

    /// Keeps every checkpoint.
    impl Watcher for Vec<Checkpoint> {
        fn epoch(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
            self.push(checkpoint.clone());
            Ok(())
        }
    }

    /// Trains; the checkpoints are given back with the outcome.
    fn try_run(
        recipe: &Recipe,
        from: Option<Checkpoint>,
        stop: bool,
    ) -> (Result<Outcome, TrainingError>, Vec<Checkpoint>) {
        let data = data(40, usize::from(recipe.side));
        let split =
            Split { kind: SplitKind::Study, train: (0..29).collect(), validation: (30..40).collect(), test: vec![] };
        let task = Task { recipe, seed: 11, data: &data, split: &split, config: "test".to_owned() };
        let mut saved = Vec::new();
        let outcome = train(&task, from, &AtomicBool::new(stop), &mut saved);
        (outcome, saved)
    }

    fn run(recipe: &Recipe, from: Option<Checkpoint>) -> (Trained, Vec<Checkpoint>) {
        let (outcome, saved) = try_run(recipe, from, false);
        let Outcome::Done(trained) = outcome.unwrap() else { panic!("stopped") };
        (*trained, saved)
    }

    #[test]
    fn learns_what_the_mean_does_not_tell() {
        let mut recipe = recipe("adam", 12);
        recipe.optimizer.learning_rate = 0.003;
        let history = run(&recipe, None).0.history;
        assert_eq!(history.len(), 12);
        assert!(history[11].validation_accuracy >= 0.9, "{history:?}");
        assert!(history[11].train_loss < history[0].train_loss, "{history:?}");
    }

    #[test]
    fn resumed_is_as_if_never_stopped_to_the_bit() {
        let mut best = recipe("adam-strong-bn", 3);
        best.keep = Keep::Best;
        best.class_weights = ClassWeights::Balanced;
        let mut heavy = recipe("sgd", 3);
        heavy.optimizer.momentum = Some(0.9);
        heavy.optimizer.schedule = Schedule::Cosine;
        for recipe in [recipe("adam", 3), recipe("sgd-l2", 3), recipe("sgd-dropout", 3), heavy, best] {
            let (straight, saved) = run(&recipe, None);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(Checkpoint::FILE);
            saved[1].save(&path).unwrap();
            let (resumed, _) = run(&recipe, Some(Checkpoint::load(&path).unwrap()));
            assert_eq!(resumed.network.state(), straight.network.state(), "{recipe:?}");
            assert_eq!(resumed.history, straight.history);
            assert_eq!(resumed.kept_epoch, straight.kept_epoch);
        }
    }

    #[test]
    fn every_setting_changes_what_is_learnt() {
        let sgd = recipe("sgd", 2);
        let momentum = Optimizer { momentum: Some(0.9), ..sgd.optimizer };
        let cosine = Optimizer { schedule: Schedule::Cosine, ..sgd.optimizer };
        let state = |recipe: &Recipe| run(recipe, None).0.network.state();
        let plain = state(&sgd);
        for other in [
            Recipe { start: 1, ..sgd.clone() },
            Recipe { l2: 0.005, ..sgd.clone() },
            Recipe { dropout: 0.3, ..sgd.clone() },
            Recipe { class_weights: ClassWeights::Balanced, ..sgd.clone() },
            Recipe { optimizer: momentum, ..sgd.clone() },
            Recipe { optimizer: cosine, ..sgd.clone() },
            Recipe { augmentation: Augmentation { horizontal_flip: true, ..Augmentation::default() }, ..sgd.clone() },
            recipe("adam", 2),
        ] {
            assert_ne!(state(&other), plain, "{other:?}");
        }
    }

    #[test]
    fn the_l2_term_is_part_of_the_loss() {
        let one_step = |l2| Recipe { steps: Steps::Number(1), l2, ..recipe("sgd", 1) };
        let loss = |l2| run(&one_step(l2), None).0.history[0].train_loss;
        let network = Network::initialise(&one_step(0.0).network, 22, 11, &Device::flex()).unwrap();
        let term = l2_term(&network, &one_step(0.5));
        assert!(term > 1.0);
        assert!((loss(0.5) - loss(0.0) - term).abs() < 1e-4 * term);
    }

    #[test]
    fn dropout_keeps_the_mean() {
        let ones = Tensor::<2>::ones([200, 500], &Device::flex());
        let mut rng = Stream::Dropout { step: 0 }.generator(1);
        let values: Vec<f32> = dropout(ones, 0.3, &mut rng).into_data().iter::<f32>().collect();
        let dropped = values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
        assert!((dropped - 0.3).abs() < 0.01, "{dropped}");
        assert!(values.iter().all(|value| *value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-4));
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let small = recipe("adam-strong-bn", 2);
        // Large enough for the library to use several threads, too.
        let large = Recipe { side: 128, batch: 20, steps: Steps::Number(1), l2: 0.01, ..recipe("adam", 1) };
        for recipe in [small, large] {
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let trained = run(&recipe, None).0;
                    (trained.network.state(), trained.history)
                })
            };
            assert_eq!(with(1), with(3));
        }
    }

    #[test]
    fn stopping_keeps_the_last_checkpoint() {
        let recipe = recipe("adam", 2);
        let (outcome, saved) = try_run(&recipe, None, true);
        assert!(matches!(outcome, Ok(Outcome::Stopped)));
        assert_eq!(saved.len(), 1);
        let resumed = run(&recipe, Some(saved[0].clone())).0;
        assert_eq!(resumed.network.state(), run(&recipe, None).0.network.state());
    }

    #[test]
    fn patience_ends_a_training_and_the_best_weights_are_kept() {
        let mut recipe = Recipe { patience: Some(2), keep: Keep::Best, ..recipe("adam", 200) };
        // Large steps make the validation loss rise soon.
        recipe.optimizer.learning_rate = 0.05;
        let (trained, saved) = run(&recipe, None);
        let best = trained.history.iter().min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss)).unwrap();
        assert_eq!(trained.kept_epoch, best.epoch);
        assert_eq!(trained.history.len(), best.epoch + 2);
        assert_eq!(trained.network.state(), saved[best.epoch].weights);
    }

    #[test]
    fn checkpoints_of_other_trainings_are_refused() {
        let recipe = recipe("adam", 1);
        let (_, saved) = run(&recipe, None);
        for other in [
            Checkpoint { config: "other".to_owned(), ..saved[0].clone() },
            Checkpoint { weights: vec![0.0; 3], ..saved[0].clone() },
            Checkpoint { best: vec![0.0; 3], ..saved[0].clone() },
            Checkpoint { step: u64::MAX, ..saved[0].clone() },
        ] {
            assert!(matches!(try_run(&recipe, Some(other), false).0, Err(TrainingError::OtherTraining)));
        }
    }
}
