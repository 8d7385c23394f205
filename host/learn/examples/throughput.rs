//! How many images a second the baseline of the study learns from: the worker of `tests/bench/training/run.sh`.
//!
//! It prints the number of trained parameters; then, for every line on standard input, which is a number of steps (from 1
//! on), it takes these steps (20 images, Adam) and prints how many images a second that were, and their mean loss.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
    time::Instant,
};

use burn::{
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use clap::Parser;
use learn::network::{Architecture, Design, Network, binary_cross_entropy};

const BATCH: usize = 20;
const SIDE: usize = 64;

#[derive(Parser)]
struct Options {
    /// Images, each the label (0 or 1) in one byte, then 64 × 64 grey pixels in one byte each
    images: PathBuf,
    /// Threads
    threads: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let bytes = std::fs::read(&options.images)?;
    let (labels, images): (Vec<f32>, Vec<Vec<f32>>) =
        bytes.chunks_exact(1 + SIDE * SIDE).map(|image| (f32::from(image[0]), grey(&image[1..]))).unzip();
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?.install(|| serve(&labels, &images))
}

fn grey(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
}

fn serve(labels: &[f32], images: &[Vec<f32>]) -> anyhow::Result<()> {
    let device = Device::flex().autodiff();
    let design = Design { architecture: Architecture::Baseline, channels: 3, widths: Vec::new(), batch_norm: false };
    let mut network = Network::initialise(&design, SIDE, 1, &device)?;
    let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init();
    let mut batches = labels.chunks_exact(BATCH).zip(images.chunks_exact(BATCH)).cycle();
    let mut answers = std::io::stdout().lock();
    writeln!(answers, "{}", network.parameters())?;
    answers.flush()?;
    for line in std::io::stdin().lock().lines() {
        let steps: usize = line?.trim().parse()?;
        let start = Instant::now();
        let mut sum = 0.0;
        for (labels, images) in batches.by_ref().take(steps) {
            let images = TensorData::new(images.concat(), [BATCH, 1, SIDE, SIDE]);
            let labels = Tensor::<1>::from_floats(labels, &device);
            let logits = network.forward(Tensor::from_data(images, &device));
            let loss = binary_cross_entropy(logits, labels.clone(), labels.ones_like());
            sum += loss.to_data().iter::<f64>().sum::<f64>();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(0.001, network, gradients);
        }
        writeln!(answers, "{:.1} {:.6}", (steps * BATCH) as f64 / start.elapsed().as_secs_f64(), sum / steps as f64)?;
        answers.flush()?;
    }
    Ok(())
}
