//! What a training on a set of any size costs: its speed, its memory and what it reads.
//!
//! ```sh
//! cargo run -p learn --example large_set -- 1000000 FOLDER
//! ```
//!
//! The set is made, as synthetic as can be: noise, brighter at the lower left of those that are called pneumonia. It is written
//! into the folder in the shards that decoded radiographs are kept in (25.6 GB for a million images of 160 × 160 pixels), and
//! taken from there the next time. Then a recipe learns from it for a number of steps. Nothing that it learns means anything.
//!
//! To have the first reading come from the disk, empty the kernel's page cache before (`echo 3 > /proc/sys/vm/drop_caches`, as
//! root).

use std::{fs, io, path::PathBuf, sync::atomic::AtomicBool, time::Instant};

use anyhow::Context;
use clap::Parser;
use data::{Catalogue, Inputs, Label, Sample, split::Split};
use learn::{
    device::TrainingDevice,
    study::Plan,
    training::{self, Checkpoint, Progress, Recipe, Steps, Task, Watcher},
};
use shared::verdict::Digest;

const MIB: f64 = (1 << 20) as f64;

#[derive(Parser)]
struct Options {
    /// Images
    #[arg(value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    images: u32,
    /// Folder of the shards
    folder: PathBuf,
    /// Rows and columns of an image
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u16).range(16..=512))]
    side: u16,
    /// Steps
    #[arg(long, default_value_t = 200)]
    steps: usize,
    /// Recipe of the study
    #[arg(long, default_value = "screener")]
    recipe: String,
    /// MiB of the images that stay in memory
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    room: u32,
}

/// The speed after the last step.
struct Speed(f64);

impl Watcher for Speed {
    fn step(&mut self, progress: &Progress) {
        self.0 = progress.images_per_second;
    }

    fn epoch(&mut self, _: &Checkpoint) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (images, side, room) = (options.images as usize, usize::from(options.side), (options.room as usize) << 20);

    let before = value("status", "VmRSS:")?;
    let catalogue = Catalogue { samples: (0..images).map(sample).collect(), synthetic: true, ..Catalogue::default() };
    let lists = (value("status", "VmRSS:")? - before) * 1024.0;
    println!("lists: {:.0} MiB, {:.0} bytes an image", lists / MIB, lists / images as f64);

    let plan = Plan::builtin()?;
    let recipe = &plan.experiment(&options.recipe).context("the study has no such recipe")?.recipe;
    let (steps, validation_steps) = (Steps::Number(options.steps), Steps::Number(1));
    let recipe =
        Recipe { side: options.side, epochs: 1, steps, validation_steps, distillation: None, ..recipe.clone() };
    recipe.check()?;

    let start = Instant::now();
    let make = |number: usize, pixels: &mut [u8]| draw(number, side, pixels);
    let inputs = Inputs::made(recipe.contract(), images, "large set", &options.folder, room, make)?;
    println!("shards: made, or found and checked, in {:.0} s", start.elapsed().as_secs_f64());

    let split = Split::new(&catalogue, recipe.split, 1)?;
    let device = TrainingDevice::processor();
    let task = Task {
        recipe: &recipe,
        seed: 1,
        catalogue: &catalogue,
        inputs: &inputs,
        split: &split,
        device: &device,
        config: String::new(),
    };
    let (calls, disk) = (value("io", "rchar:")?, value("io", "read_bytes:")?);
    let mut speed = Speed(0.0);
    training::train(&task, None, &AtomicBool::new(false), &mut speed)?;
    let (calls, disk) = (value("io", "rchar:")? - calls, value("io", "read_bytes:")? - disk);
    println!(
        "training: {images} images, {} steps of {}: {:.0} images/s, {:.0} MiB read, {:.0} MiB of them from the disk",
        options.steps,
        recipe.batch,
        speed.0,
        calls / MIB,
        disk / MIB
    );
    println!("most memory, in making and training: {:.0} MiB", value("status", "VmHWM:")? * 1024.0 / MIB);
    Ok(())
}

/// Every other one is called pneumonia; each is of a patient of its own.
fn sample(number: usize) -> Sample {
    let label = Label::ALL[number % 2];
    let name = format!("{}/synthetic-{number:07}-{label}.png", label.folder());
    let digest = Digest::of(name.as_bytes());
    Sample { digest, ..Sample::new(name.clone(), label, format!("file/{name}")) }
}

/// Noise (Marsaglia's xorshift) on a gradient.
fn draw(number: usize, side: usize, pixels: &mut [u8]) {
    let ill = Label::ALL[number % 2].positive();
    let mut state = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for (at, pixel) in pixels.iter_mut().enumerate() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (row, column) = (at / side, at % side);
        let patch = if ill && 2 * row >= side && 2 * column < side { 24 } else { 0 };
        *pixel = (60 + row * 80 / side + patch) as u8 + (state >> 58) as u8;
    }
}

/// A number that the kernel knows of this process.
fn value(file: &str, name: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/self/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in {file}"))?;
    Ok(line.split_whitespace().next().context("no number")?.parse()?)
}
