//! Runs models with this engine (`engine`), with tract on float models (`tract-f32`) and with tract's own integer
//! operators (`tract-int8`), or measures what the processor can do at most (`peak`), or where this engine's time goes
//! (`profile MODEL IMAGES`).

mod networks;
mod peak;

use std::path::Path;

use engine::Model;
use networks::{Ours, Tract};
use protocol::{Failure, serve};

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1).as_deref() {
        Some("engine") => serve::<Ours>(),
        Some("tract-f32" | "tract-int8") => serve::<Tract>(),
        Some("peak") => peak::serve(),
        Some("profile") => profile(),
        _ => Err("give one of: engine, tract-f32, tract-int8, peak, profile".into()),
    }
}

/// Prints how the network is computed, its time, and that of each layer without tract around it, in nanoseconds.
fn profile() -> Result<(), Failure> {
    let [model, images] = std::env::args().skip(2).collect::<Vec<_>>().try_into().map_err(|_| "give MODEL IMAGES")?;
    let model = Model::open(Path::new(&model))?;
    let images = std::fs::read(images)?;
    let image = images.get(..model.card().behaviour.contract.len()).ok_or("the file of images is empty")?;
    let timing = model.time(image, 2000)?.ok_or("the network is not fused")?;
    println!("execution {}", model.execution());
    println!("network {}", timing.network.as_nanos());
    for layer in timing.layers {
        let [height, width, channels] = [layer.output.height, layer.output.width, layer.output.channels];
        let [kind, algorithm] = [layer.kind, layer.algorithm];
        println!("{kind} {algorithm} {height}x{width}x{channels} {}", layer.time.as_nanos());
    }
    Ok(())
}
