//! Averages the radiographs of each label: what the box asks a new model about (`shared/engine/averages`).
//!
//! ```sh
//! cargo run -p data --example averages -- chest_xray shared/engine/averages
//! ```
//!
//! The radiographs are those that the split `patient` does not measure on, brought to [`SIDE`] × [`SIDE`] pixels as for a
//! model; the mean of each pixel is rounded half up. The same data give the same bytes.

use std::{error::Error, fs, path::PathBuf};

use data::{
    Label,
    split::{Split, SplitKind},
};
use shared::contract::InputContract;

/// Rows and columns.
const SIDE: u16 = 224;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("name the folder of the radiographs and that of the averages".into());
    };
    let (catalogue, inputs) = data::load(&folder, &InputContract::stretched(SIDE))?;
    // Which of the others are for validation hangs on the seed; both are taken.
    let split = Split::new(&catalogue, SplitKind::Patient, 1)?;
    for label in Label::ALL {
        let chosen: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
        let chosen: Vec<usize> = chosen.into_iter().filter(|&index| catalogue.samples[index].label == label).collect();
        let (mut sums, count) = (vec![0_u64; inputs.contract().len()], chosen.len() as u64);
        for index in chosen {
            sums.iter_mut().zip(inputs.of(index)?.iter()).for_each(|(sum, &grey)| *sum += u64::from(grey));
        }
        let mut file = format!("P5\n{SIDE} {SIDE}\n255\n").into_bytes();
        file.extend(sums.iter().map(|sum| ((2 * sum + count) / (2 * count)) as u8));
        let path = out.join(format!("{label}.pgm"));
        fs::write(&path, file)?;
        println!("{}: the average of {count} radiographs", path.display());
    }
    Ok(())
}
