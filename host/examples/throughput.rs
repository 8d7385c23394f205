//! How many images a second the baseline of the study learns from: random images, batch 20, Adam.
//!
//! `cargo run -p host --example throughput -- THREADS ROUNDS STEPS [deeper] [batch-norm]` prints images per second of
//! each round, one a line.

use std::time::Instant;

use burn::{
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Distribution, Tensor},
};
use host::network::{Architecture, Design, Network, binary_cross_entropy};

const BATCH: usize = 20;
const SIDE: usize = 64;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).and_then(|a| a.parse::<usize>().ok()).unwrap_or(1);
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let design = Design {
        architecture: if has("deeper") { Architecture::Deeper } else { Architecture::Baseline },
        channels: 3,
        batch_norm: has("batch-norm"),
    };
    let (rounds, steps) = (number(1), number(2));
    rayon::ThreadPoolBuilder::new().num_threads(number(0)).build()?.install(|| {
        let device = Device::flex().autodiff();
        let mut network = Network::initialise(&design, SIDE, 1, &device)?;
        let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init();
        let images = Tensor::<4>::random([BATCH, 1, SIDE, SIDE], Distribution::Uniform(0.0, 1.0), &device);
        let labels = Tensor::<1>::random([BATCH], Distribution::Bernoulli(0.5), &device);
        // Where the time goes: forward, backward, optimizer.
        let mut parts = [0.0; 3];
        for round in 0..=rounds {
            let start = Instant::now();
            for _ in 0..steps {
                let t0 = Instant::now();
                let loss = binary_cross_entropy(network.forward(images.clone()), labels.clone(), labels.ones_like());
                let _: f32 = loss.to_data().iter::<f32>().sum();
                let t1 = Instant::now();
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                let t2 = Instant::now();
                network = optimizer.step(0.001, network, gradients);
                let t3 = Instant::now();
                for (part, span) in parts.iter_mut().zip([t1 - t0, t2 - t1, t3 - t2]) {
                    *part += span.as_secs_f64();
                }
            }
            // The first round warms up.
            if round > 0 {
                println!("{:.1}", (steps * BATCH) as f64 / start.elapsed().as_secs_f64());
            }
        }
        eprintln!("{:?}", parts.map(|p| 1e3 * p / (steps * (rounds + 1)) as f64));
        anyhow::Ok(())
    })
}
