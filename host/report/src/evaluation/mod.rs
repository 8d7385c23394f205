//! The report of an evaluation: one HTML file that needs nothing from elsewhere, and tables for programs.

mod charts;
mod sections;
#[cfg(test)]
mod tests;
mod thumbnails;
mod words;

use std::{fs, io, path::Path};

use base::{cell, files};
use data::{Inputs, Subtype, split::SplitKind};
use engine::ModelCard;
use measure::{
    evaluation::{Against, LabelledAnswer, Measurement},
    figures::{Calibration, Figures},
    occlusion::Occlusion,
    statistics::{Proportion, Scored},
    subtype::SubtypeFigures,
};
use serde::Serialize;
use shared::verdict::Digest;

use crate::{document::html, plots::PlotError};

/// What was measured on what.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    /// Name of the model.
    pub model: String,
    /// SHA-256 of its file, hexadecimal.
    pub model_digest: String,
    /// Version of Pumua that made the model.
    pub model_version: String,
    /// Recipe of its training.
    pub recipe: String,
    /// Seed of its training.
    pub training_seed: u64,
    /// True if it is quantized to 8-bit integers.
    pub int8: bool,
    /// True if it has learnt from drawings.
    pub synthetic_model: bool,
    /// True if it is measured on drawings.
    pub synthetic_data: bool,
    /// Where the data came from.
    #[serde(skip)]
    pub data: String,
    /// True if these are the data that the model was trained on, of which other parts may have been learnt from.
    pub trained_on_these_data: bool,
    /// SHA-256 over names and files, hexadecimal.
    pub data_digest: String,
    /// Files left out.
    pub skipped: usize,
    /// How the data were split; `None` if all are measured on.
    pub split: Option<SplitKind>,
    /// The part that is measured on, or `all`.
    pub part: String,
    /// Seed of the split.
    pub seed: u64,
    /// Why the figures may not be what they seem.
    pub warning: Option<String>,
    /// When it was measured, RFC 3339 in UTC.
    #[serde(skip)]
    pub date: String,
}

impl Subject {
    /// What the card says; the part is `all` of the data, which are to be filled in.
    pub fn of(card: &ModelCard, digest: Digest) -> Self {
        Self {
            model: card.name.clone(),
            model_digest: digest.to_string(),
            model_version: card.provenance.version.clone(),
            recipe: card.provenance.recipe.clone(),
            training_seed: card.provenance.seed,
            int8: card.behaviour.int8,
            synthetic_model: card.provenance.synthetic,
            synthetic_data: false,
            data: String::new(),
            trained_on_these_data: false,
            data_digest: String::new(),
            skipped: 0,
            split: None,
            part: "all".to_owned(),
            seed: card.provenance.seed,
            warning: None,
            date: String::new(),
        }
    }

    fn synthetic(&self) -> bool {
        self.synthetic_model || self.synthetic_data
    }
}

/// All results of an evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// What was measured on what.
    #[serde(flatten)]
    pub subject: Subject,
    /// Figures at the threshold, with Wilson's intervals.
    pub figures: Figures,
    /// Share of the verdicts *refer*, with Wilson's interval.
    pub referred: Option<Proportion>,
    /// How well calibrated the probabilities are.
    pub calibration: Calibration,
    /// All figures, with intervals by bootstrap.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// Beside another model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// Bacterial against viral pneumonia, where the model distinguishes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bacteria_or_virus: Option<SubtypeFigures>,
    /// What covering places did to the answers, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occlusion: Option<Occlusion>,
    /// The radiographs and the answers.
    #[serde(skip)]
    pub judged: Vec<LabelledAnswer>,
}

impl Evaluation {
    /// Measures a model's answers.
    pub fn of(subject: Subject, card: &ModelCard, judged: Vec<LabelledAnswer>, against: Option<Against>) -> Self {
        let scored: Vec<Scored> = judged
            .iter()
            .map(|j| Scored { positive: j.label.positive(), probability: j.sound_probability() as f32 })
            .collect();
        let measurement = Measurement::of(&judged, card.behaviour.point, card.behaviour.points);
        let referred = measurement.verdicts.refer.iter().sum();
        Self {
            subject,
            figures: Figures::of(&scored, card.behaviour.point.threshold),
            referred: Proportion::of(referred, judged.len()),
            calibration: Calibration::of(&scored),
            measurement,
            against,
            bacteria_or_virus: None,
            occlusion: None,
            judged,
        }
    }
}

/// A report that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// a file cannot be written
    #[error("the report cannot be written ({0}): free some space or name another folder with `--report`")]
    Write(#[from] io::Error),
    /// the figures cannot be put into JSON
    #[error("the report cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// the answers cannot be put into CSV
    #[error("the answers cannot be put into CSV: {0}")]
    Csv(#[from] csv::Error),
    /// a plot cannot be drawn
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Writes `report.html`, `report.json` and `scores.csv` into the folder. The radiographs judged are those
/// of `inputs`, the model's, with these `indices`, in their order.
pub fn write(evaluation: &Evaluation, inputs: &Inputs, indices: &[usize], folder: &Path) -> Result<(), ReportError> {
    let mut json = serde_json::to_vec_pretty(evaluation)?;
    json.push(b'\n');
    fs::create_dir_all(folder)?;
    for (name, content) in [
        ("scores.csv", scores(evaluation)?),
        ("report.json", json),
        ("report.html", render(evaluation, inputs, indices)?.into_bytes()),
    ] {
        files::write_atomically(&folder.join(name), &content)?;
    }
    Ok(())
}

fn render(evaluation: &Evaluation, inputs: &Inputs, indices: &[usize]) -> Result<String, PlotError> {
    let title = format!("Pumua: evaluation of {}", evaluation.subject.model);
    Ok(html::render(&title, &sections::document(evaluation, inputs, indices)?))
}

/// What was said of each radiograph.
fn scores(evaluation: &Evaluation) -> Result<Vec<u8>, ReportError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["path", "label", "subtype", "patient", "probability", "verdict"])?;
    let point = evaluation.measurement.decision.point;
    for image in &evaluation.judged {
        csv.write_record([
            &*cell::text(&image.name),
            &image.label.to_string(),
            image.subtype.map_or("", Subtype::as_str),
            &*cell::text(&image.patient),
            &image.probability.to_string(),
            if image.refused { "refused" } else { point.verdict(image.probability).as_str() },
        ])?;
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}
