//! How many images a second a recipe learns from: the worker of `tests/bench/training/run.sh`.
//!
//! It prints the number of trained parameters; then, for every line on standard input, which is a number of steps (from 1
//! on), it takes these steps of the training that `pumua train` does, all on the processor, and prints how many images a
//! second that were, and their mean loss.

use std::{
    fs,
    io::{self, BufRead, Lines, StdinLock, Write},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, ensure};
use clap::Parser;
use data::{Catalogue, Inputs, Label, Sample, augment::Augmentation, split::Split};
use learn::{
    device::TrainingDevice,
    network::Network,
    study::Plan,
    training::{self, Checkpoint, Progress, Recipe, Steps, Task, Watcher},
};

/// Steps of the only epoch: more than anyone measures, so that a learning rate that follows the whole length stays what it
/// is at the start.
const MOST_STEPS: usize = 1_000_000;

#[derive(Parser)]
struct Options {
    /// Images, each the label (0 or 1) in one byte, then the recipe's grey pixels in one byte each
    images: PathBuf,
    /// Threads
    threads: usize,
    /// Recipe of the study
    #[arg(long, default_value = "adam")]
    recipe: String,
    /// Leave the images as they are, whatever augmentation the recipe has
    #[arg(long)]
    plain: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let plan = Plan::builtin()?;
    let recipe = &plan.experiment(&options.recipe).context("the study has no such recipe")?.recipe;
    let (steps, validation_steps) = (Steps::Number(MOST_STEPS), Steps::Number(1));
    let mut recipe = Recipe { epochs: 1, steps, validation_steps, distillation: None, ..recipe.clone() };
    if options.plain {
        recipe.augmentation = Augmentation::default();
    }
    recipe.check()?;
    let bytes = fs::read(&options.images)?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?.install(|| serve(&recipe, &bytes))
}

fn serve(recipe: &Recipe, bytes: &[u8]) -> anyhow::Result<()> {
    let side = usize::from(recipe.side);
    let images = bytes.chunks_exact(1 + side * side);
    let whole = !bytes.is_empty() && images.remainder().is_empty();
    ensure!(whole, "the file does not hold labelled images of {side} × {side} pixels");
    let sample = |(number, image): (usize, &[u8])| {
        Sample::new(number.to_string(), Label::ALL[usize::from(image[0] != 0)], number.to_string())
    };
    let samples: Vec<Sample> = images.clone().enumerate().map(sample).collect();
    let inputs = Inputs::new(recipe.contract(), images.map(|image| image[1..].to_vec()));
    let split = Split {
        kind: recipe.split,
        left_out: None,
        train: (0..samples.len()).collect(),
        validation: vec![0],
        test: Vec::new(),
    };
    let catalogue = Catalogue { samples, synthetic: true, ..Catalogue::default() };
    let device = TrainingDevice::processor();
    let task = Task {
        recipe,
        seed: 1,
        catalogue: &catalogue,
        inputs: &inputs,
        split: &split,
        device: &device,
        config: String::new(),
    };
    let network = Network::initialise(&recipe.network, side, 1, device.device())?;
    writeln!(io::stdout(), "{}", network.parameters())?;

    let stop = AtomicBool::new(false);
    let mut worker = Worker {
        requests: io::stdin().lock().lines(),
        stop: &stop,
        batch: recipe.batch,
        steps: 0,
        last: 0,
        before: 0.0,
        start: Instant::now(),
        outcome: Ok(()),
    };
    if worker.begin()? {
        training::train(&task, None, &stop, &mut worker)?;
    }
    worker.outcome
}

/// Measures the training that it watches.
struct Worker<'a> {
    requests: Lines<StdinLock<'static>>,
    /// Ends the training.
    stop: &'a AtomicBool,
    /// Images of a step.
    batch: usize,
    /// Steps of this measurement.
    steps: usize,
    /// Number of its last one.
    last: usize,
    /// Sum of the losses before its first one.
    before: f64,
    start: Instant,
    outcome: anyhow::Result<()>,
}

impl Worker<'_> {
    /// Begins the next measurement; `false` if none is wanted.
    fn begin(&mut self) -> anyhow::Result<bool> {
        let Some(line) = self.requests.next() else { return Ok(false) };
        self.steps = line?.trim().parse()?;
        ensure!((1..=MOST_STEPS).contains(&self.steps), "give a number of steps from 1 to {MOST_STEPS}");
        self.last += self.steps;
        self.start = Instant::now();
        Ok(true)
    }

    /// Ends this measurement, and begins the next one; `false` if none is wanted.
    fn end(&mut self, progress: &Progress) -> anyhow::Result<bool> {
        let rate = (self.steps * self.batch) as f64 / self.start.elapsed().as_secs_f64();
        let sum = progress.loss * progress.step as f64;
        writeln!(io::stdout(), "{rate:.1} {:.6}", (sum - self.before) / self.steps as f64)?;
        self.before = sum;
        self.begin()
    }
}

impl Watcher for Worker<'_> {
    fn step(&mut self, progress: &Progress) {
        if progress.step == self.last {
            let outcome = self.end(progress);
            self.stop.store(!matches!(outcome, Ok(true)), Ordering::Relaxed);
            self.outcome = outcome.map(|_| ());
        }
    }

    fn epoch(&mut self, _: &Checkpoint) -> io::Result<()> {
        Ok(())
    }
}
