//! Images a second that augmentation makes on one core, for each of its settings: training must not wait for it.
//!
//! `cargo run -p data --example augmentation_speed`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use data::augment::Augmentation;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Of each setting, the fastest of this many measurements counts: others may use the machine.
const MEASUREMENTS: usize = 5;

/// How long a measurement takes.
const TIME: Duration = Duration::from_millis(100);

fn main() {
    let none = Augmentation::default();
    let settings = [
        none.clone(),
        Augmentation { horizontal_flip: true, ..none.clone() },
        Augmentation { brightness: Some([0.5, 1.5]), ..none.clone() },
        Augmentation { contrast: Some([0.5, 1.5]), ..none.clone() },
        Augmentation { gamma: Some([0.5, 2.0]), ..none.clone() },
        Augmentation { bands: Some([0.4, 2.5]), ..none.clone() },
        Augmentation { erase: 1.0, ..none.clone() },
        Augmentation { width_shift: 0.2, ..none.clone() },
        Augmentation { rotation: 40.0, ..none.clone() },
        Augmentation { zoom: 0.2, ..none.clone() },
        Augmentation { shear: 0.3, ..none.clone() },
        Augmentation {
            horizontal_flip: true,
            brightness: Some([0.5, 1.5]),
            contrast: Some([0.5, 1.5]),
            width_shift: 0.2,
            height_shift: 0.2,
            rotation: 40.0,
            zoom: 0.2,
            shear: 0.3,
            ..none
        },
    ];
    for side in [64, 128] {
        println!("{side}×{side}, images a second");
        for setting in &settings {
            let fastest = (0..MEASUREMENTS).map(|_| speed(setting, side)).fold(0.0, f64::max);
            println!("{fastest:9.0}  {setting}");
        }
    }
}

fn speed(augmentation: &Augmentation, side: usize) -> f64 {
    let pixels: Vec<u8> = (0..side * side).map(|i| (i * 37 % 256) as u8).collect();
    let mut out = vec![0.0; side * side];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start = Instant::now();
    let mut images = 0;
    while start.elapsed() < TIME {
        augmentation.draw(&mut rng).apply(black_box(&pixels), side, &mut out);
        black_box(&out);
        images += 1;
    }
    f64::from(images) / start.elapsed().as_secs_f64()
}
