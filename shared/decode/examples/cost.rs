//! What it costs to make the model's input of a file: time, memory, and, on an emulated processor, instructions
//! (`tests/bench/cost.sh`).
//!
//! `cost STEP ROUNDS FILE …`: STEP is how far to go: `read`, `decode`, `stretch` (and prepare the whole picture) or `unframed`
//! (and look for frames). Prints for each file the median time in milliseconds and the most that was held on the heap besides
//! the file, in bytes.

#![allow(clippy::unwrap_used, reason = "a program for measurements")]

use std::{env, fs, hint::black_box, time::Instant};

use shared::{
    contract::{Fit, InputContract},
    guard,
};

/// As the model that ships.
const SIDE: u16 = 160;

fn main() {
    let mut arguments = env::args().skip(1);
    let step = arguments.next().unwrap();
    let rounds: usize = arguments.next().unwrap().parse().unwrap();
    for file in arguments {
        let bytes = fs::read(&file).unwrap();
        let peak = allocation_counter::measure(|| take(&step, &bytes)).bytes_max;
        let mut times: Vec<f64> = (1..rounds)
            .map(|_| {
                let start = Instant::now();
                take(&step, &bytes);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{file} {:.1} {peak}", times.get(times.len() / 2).copied().unwrap_or(f64::NAN));
    }
}

fn take(step: &str, bytes: &[u8]) {
    let fit = match step {
        "read" => return,
        "decode" => None,
        "stretch" => Some(Fit::Stretch),
        "unframed" => Some(Fit::Unframed),
        _ => panic!("there is no step {step}"),
    };
    let radiograph = decode::decode(black_box(bytes)).unwrap();
    let Some(fit) = fit else { return };
    let picture = radiograph.picture();
    let contract = InputContract { fit, ..InputContract::stretched(SIDE) };
    let window = picture.judged(&contract);
    guard::check_picture(&picture.part(&window).unwrap()).unwrap();
    black_box(picture.prepare_part(&window, &contract));
}
