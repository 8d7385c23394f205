//! Loads the model that ships, and classifies with it, on one thread. `tests/bench/run.sh` compares with other engines.

use divan::{Bencher, black_box};
use engine::{DEFAULT_MODEL, Model};

fn main() {
    divan::main();
}

fn shipped() -> Model {
    Model::from_bytes(black_box(DEFAULT_MODEL)).unwrap_or_else(|error| panic!("the model that ships: {error}"))
}

#[divan::bench]
fn load(bencher: Bencher<'_, '_>) {
    bencher.bench(shipped);
}

#[divan::bench]
fn classify(bencher: Bencher<'_, '_>) {
    let model = shipped();
    let pixels: Vec<u8> = (0..model.card().behaviour.contract.len()).map(|i| (i * 31 % 251) as u8).collect();
    bencher.bench(|| model.classify(black_box(&pixels)).unwrap_or_else(|error| panic!("an image: {error}")));
}
