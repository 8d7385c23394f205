//! The smallest program that classifies: `minimal ENGINE MODEL IMAGE`, with the engine `engine` or `tract-f32`, prints
//! the logit and the process's largest resident set in KiB. Its size and its memory are reported.

mod networks;

use std::path::Path;

use networks::{Ours, Tract};
use protocol::{Failure, Network};

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(engine), Some(model), Some(image)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("give an engine, a model and a file of pixels".into());
    };
    match engine.as_str() {
        "engine" => classify::<Ours>(Path::new(&model), Path::new(&image)),
        "tract-f32" => classify::<Tract>(Path::new(&model), Path::new(&image)),
        _ => Err("give one of: engine, tract-f32".into()),
    }
}

fn classify<N: Network>(model: &Path, image: &Path) -> Result<(), Failure> {
    let network = N::load(model)?;
    let mut pixels = std::fs::read(image)?;
    pixels.truncate(network.pixels());
    let logit = network.run(&network.input(&pixels)?)?;
    println!("{logit} {}", protocol::peak_rss()?);
    Ok(())
}
