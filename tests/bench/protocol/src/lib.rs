//! What `bench.py` and a worker process say to each other: one line asks, one line answers.
//!
//! | asked | answered |
//! |---|---|
//! | `load NAME MODEL IMAGES` | nanoseconds that loading took |
//! | `logits NAME` | the logit of each image, the bits of the f32 as a decimal number |
//! | `time NAME COUNT` | nanoseconds of each of COUNT runs on the first image |
//!
//! What cannot be done is answered by `error` and the reason. `IMAGES` is a file of 8-bit pixels, square after square,
//! whose real values are `pixel / 255`. Names and paths hold no spaces. The process ends at the end of its input.

use std::{
    collections::HashMap,
    error::Error,
    io::{BufRead, Write},
    path::Path,
    time::Instant,
};

/// What goes wrong in a worker.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A loaded model of one engine.
pub trait Network: Sized {
    /// An input in the form that the engine takes.
    type Input;

    /// Loads a model file.
    fn load(path: &Path) -> Result<Self, Failure>;

    /// Makes an input of 8-bit pixels; not timed.
    fn input(&self, pixels: &[u8]) -> Result<Self::Input, Failure>;

    /// Runs the model: the logit.
    fn run(&self, input: &Self::Input) -> Result<f32, Failure>;

    /// Pixels of one image.
    fn pixels(&self) -> usize;
}

struct Loaded<N: Network> {
    network: N,
    inputs: Vec<N::Input>,
}

/// Answers until the input ends.
pub fn serve<N: Network>() -> Result<(), Failure> {
    let mut models = HashMap::new();
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match answer::<N>(&mut models, &line?) {
            Ok(text) => writeln!(answers, "{text}")?,
            Err(failure) => writeln!(answers, "error {}", failure.to_string().replace('\n', " "))?,
        }
        answers.flush()?;
    }
    Ok(())
}

fn answer<N: Network>(models: &mut HashMap<String, Loaded<N>>, line: &str) -> Result<String, Failure> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["load", name, model, images] => {
            let start = Instant::now();
            let network = N::load(Path::new(model))?;
            let took = start.elapsed();
            let pixels = std::fs::read(images)?;
            let inputs = pixels.chunks_exact(network.pixels()).map(|image| network.input(image));
            let inputs = inputs.collect::<Result<_, _>>()?;
            models.insert(name.to_owned(), Loaded { network, inputs });
            Ok(took.as_nanos().to_string())
        }
        ["logits", name] => {
            let model = models.get(name).ok_or("no such model is loaded")?;
            let logits = model.inputs.iter().map(|input| Ok(model.network.run(input)?.to_bits()));
            Ok(join(logits.collect::<Result<Vec<u32>, Failure>>()?))
        }
        ["time", name, count] => {
            let model = models.get(name).ok_or("no such model is loaded")?;
            let input = model.inputs.first().ok_or("the file of images is empty")?;
            let runs = (0..count.parse()?).map(|_| {
                let start = Instant::now();
                model.network.run(input)?;
                Ok(start.elapsed().as_nanos())
            });
            Ok(join(runs.collect::<Result<Vec<u128>, Failure>>()?))
        }
        _ => Err(format!("what does `{line}` mean?").into()),
    }
}

fn join(numbers: Vec<impl ToString>) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The largest resident set that this process has had, in KiB (Linux).
pub fn peak_rss() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system does not report VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The real values of 8-bit pixels.
pub fn values(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|&pixel| f32::from(pixel) * (1.0 / 255.0)).collect()
}
