//! `pumua machines`: finds the X-ray machines behind radiographs.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Cursor, Write},
    path::Path,
};

use anyhow::Context;
use base::{
    Shown,
    files::{OutputFolder, write_atomically},
};
use data::{
    Catalogue, Inputs, Label, Sample,
    machines::{self, MACHINES, Traces},
};
use image::{GrayImage, ImageFormat, imageops};
use measure::robustness::{Style, layout};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::json;
use shared::contract::InputContract;

use super::sites::{SitesArgs, given};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Side of a radiograph on a sheet, in pixels.
const SIDE: u16 = 128;

/// Radiographs in a row, and rows of each label.
const ROW: usize = 10;
const ROWS: usize = 3;

/// Pixels between radiographs.
const GAP: usize = 2;

/// Options of `pumua machines`.
#[derive(Debug, clap::Args)]
#[command(group = given())]
pub struct Options {
    #[command(flatten)]
    radiographs: SitesArgs,
    /// How many machines to look for, at each site; splits and figures by machine use 4
    #[arg(long, value_name = "N", default_value_t = MACHINES, value_parser = clap::value_parser!(u16).range(2..=9))]
    machines: u16,
    /// Also write a sheet of radiographs of each machine into this folder, normal ones above; they show patients
    #[arg(long, value_name = "DIR")]
    sheets: Option<OutputFolder>,
    /// Print one JSON object, with the machine of each radiograph
    #[arg(long)]
    json: bool,
}

/// What the radiographs of one machine have in common.
#[derive(Debug, Serialize)]
struct Machine {
    /// As of [`Sample::machine_name`].
    machine: String,
    images: usize,
    normal: usize,
    pneumonia: usize,
    /// Share on which the letter of a side was found.
    lettered: f64,
    /// Mean height of that letter, in parts of the picture's.
    letter_height: Option<f64>,
    /// Mean grey value of its strokes.
    letter_ink: Option<f64>,
    /// Mean of [`Traces::sharpness`].
    sharpness: f64,
    /// Mean grey value of the edges.
    edge: f64,
    /// Mean share of black pixels.
    black: f64,
}

/// Finds machines, and lists them.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let radiographs = &options.radiographs;
    super::check_outputs(&radiographs.paths(), &[], &Vec::from_iter(options.sheets.as_deref()))?;
    let (mut catalogue, inputs) = radiographs.load_and_tell(&InputContract::stretched(SIDE))?;
    let traces = machines::find(&mut catalogue, &radiographs.load(&machines::CONTRACT)?, options.machines)
        .map_err(anyhow::Error::from)?;
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, name) in catalogue.samples.iter().map(Sample::machine_name).enumerate() {
        found.entry(name.unwrap_or_default()).or_default().push(index);
    }
    if let Some(folder) = options.sheets.as_deref() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}: name another folder", Shown(folder.display())))?;
        for (name, indices) in &found {
            write_sheet(&folder.join(format!("machine-{}.png", name.replace('/', "-"))), &catalogue, &inputs, indices)?;
        }
        base::say!("sheets of patients' radiographs: {}", Shown(folder.display()));
    }
    let listed: Vec<Machine> =
        found.into_iter().map(|(name, indices)| Machine::of(name, &catalogue, &traces, &indices)).collect();
    let mut out = io::stdout().lock();
    if options.json {
        let radiographs: Vec<_> = catalogue
            .samples
            .iter()
            .map(|sample| json!({ "name": sample.name, "machine": sample.machine_name() }))
            .collect();
        let object = json!({
            "data_digest": catalogue.digest().to_string(), "synthetic_data": catalogue.synthetic, "machines": listed,
            "radiographs": radiographs,
        });
        writeln!(out, "{}", output::json(&object))?;
    } else {
        write!(out, "{}", table(&listed))?;
    }
    Ok(Exit::Done)
}

impl Machine {
    fn of(machine: String, catalogue: &Catalogue, traces: &[Traces], indices: &[usize]) -> Self {
        let mean = |value: &dyn Fn(&Traces) -> Option<f64>| {
            let values: Vec<f64> = indices.iter().filter_map(|&i| value(&traces[i])).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let always = |value: fn(&Traces) -> f64| mean(&|traces| Some(value(traces))).unwrap_or(0.0);
        let pneumonia = indices.iter().filter(|&&i| catalogue.samples[i].label == Label::Pneumonia).count();
        Self {
            machine,
            images: indices.len(),
            normal: indices.len() - pneumonia,
            pneumonia,
            lettered: always(|traces| f64::from(u8::from(traces.letter.is_some()))),
            letter_height: mean(&|traces| Some(traces.letter?.height as f64 / f64::from(machines::CONTRACT.side))),
            letter_ink: mean(&|traces| Some(f64::from(traces.letter?.ink))),
            sharpness: always(Traces::sharpness),
            edge: always(|traces| traces.edge),
            black: always(|traces| traces.black),
        }
    }
}

fn table(machines: &[Machine]) -> String {
    let headings = [
        "machine",
        "images",
        "normal",
        "pneumonia",
        "% pneumonia",
        "% lettered",
        "letter's height %",
        "its grey",
        "sharpness",
        "edge's grey",
        "% black",
    ];
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
    let rows = machines.iter().map(|m| {
        vec![
            m.machine.clone(),
            m.images.to_string(),
            m.normal.to_string(),
            m.pneumonia.to_string(),
            number(Some(100.0 * m.pneumonia as f64 / m.images as f64)),
            number(Some(100.0 * m.lettered)),
            number(m.letter_height.map(|height| 100.0 * height)),
            number(m.letter_ink),
            format!("{:.2}", m.sharpness),
            number(Some(m.edge)),
            number(Some(100.0 * m.black)),
        ]
    });
    layout(&headings, &rows.collect::<Vec<_>>(), Style::Text)
}

/// Radiographs drawn among those of a machine, normal ones first.
fn write_sheet(path: &Path, catalogue: &Catalogue, inputs: &Inputs, indices: &[usize]) -> anyhow::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let cell = usize::from(SIDE) + GAP;
    let mut sheet = GrayImage::new((ROW * cell) as u32, (2 * ROWS * cell) as u32);
    for (half, label) in Label::ALL.into_iter().enumerate() {
        let mut drawn: Vec<usize> = indices.iter().copied().filter(|&i| catalogue.samples[i].label == label).collect();
        drawn.shuffle(&mut rng);
        for (place, index) in drawn.into_iter().take(ROW * ROWS).enumerate() {
            let Some(film) = GrayImage::from_raw(SIDE.into(), SIDE.into(), inputs.of(index)?.into_owned()) else {
                continue;
            };
            let (x, y) = (place % ROW * cell, (half * ROWS + place / ROW) * cell);
            imageops::replace(&mut sheet, &film, x as i64, y as i64);
        }
    }
    let mut png = Cursor::new(Vec::new());
    sheet.write_to(&mut png, ImageFormat::Png)?;
    write_atomically(path, png.get_ref())
        .with_context(|| format!("cannot write {}: name a folder that can be written", Shown(path.display())))
}
