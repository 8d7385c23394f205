//! Draws every screen at 800 × 480 in English, and a result in each other language, into a folder:
//! `cargo run -p device --example screens -- docs/screens`.

#[path = "../tests/samples/mod.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod samples;

use std::path::Path;

use anyhow::Context;
use device::screen::{ScreenSize, draw};

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).context("name the folder for the pictures: docs/screens")?;
    std::fs::create_dir_all(&folder)?;
    for (name, scene, language) in samples::documented() {
        let frame = draw(&scene, ScreenSize::default(), language);
        let file = Path::new(&folder).join(format!("{name}.png"));
        samples::write(&file, &frame).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
