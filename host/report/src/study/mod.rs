//! The report of a study: one HTML file, and the same as Markdown, pictures, CSV and JSON.

mod charts;
mod differences;
mod intervals;
mod sections;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::{collections::HashSet, fs, io, path::Path};

use base::files;
use data::PartCount;
use learn::study::{Plan, Record};
use serde::Serialize;

use self::{intervals::Spread, summary::Summary};
use crate::{
    document::{Block, Figure, html, markdown},
    plots::PlotError,
};

/// What a report is about, besides its runs.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// Where the data came from.
    pub data: String,
    /// What else to know of the data, a sentence or two each.
    pub notes: Vec<String>,
    /// Runs that there are to be: those that were asked for and those that are there.
    pub runs: usize,
    /// Images in all.
    pub images: PartCount,
    /// Files left out.
    pub skipped: usize,
    /// True if they are drawings.
    pub synthetic: bool,
}

/// A report that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// a file cannot be written
    #[error("the report cannot be written ({0}): free some space or name another folder with `--out`")]
    Write(#[from] io::Error),
    /// the figures cannot be put into JSON
    #[error("the report cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// the figures cannot be put into CSV
    #[error("the report cannot be put into CSV: {0}")]
    Csv(#[from] csv::Error),
    /// a plot cannot be drawn
    #[error(transparent)]
    Plot(#[from] PlotError),
}

const TITLE: &str = "Pumua: report of the study";

/// Writes `report.html`, `report.md` with its `figures/*.svg`, `experiments.csv`, `comparisons.csv`, `runs.csv` and
/// `report.json` into the folder. Records of experiments that the plan does not hold are left out. The same records give the
/// same bytes, whenever and wherever it is written.
pub fn write(plan: &Plan, records: &[Record], about: &About, folder: &Path) -> Result<(), ReportError> {
    let summary = Summary::new(plan, records, about);
    let blocks = sections::document(plan, &summary)?;
    let mut json = serde_json::to_vec_pretty(&summary)?;
    json.push(b'\n');
    let pictures = folder.join("figures");
    fs::create_dir_all(&pictures)?;
    let (mut result, mut shown) = (Ok(()), HashSet::new());
    each_figure(&blocks, &mut |Figure { name, svg, .. }| {
        let path = pictures.join(format!("{name}.svg"));
        if result.is_ok() {
            result = files::write_atomically(&path, svg.as_bytes());
        }
        shown.insert(path);
    });
    result?;
    // What an earlier report showed and this one does not.
    for entry in fs::read_dir(&pictures)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "svg") && !shown.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    for (name, content) in [
        ("experiments.csv", tables::experiments(&summary)?),
        ("comparisons.csv", tables::comparisons(&summary)?),
        ("runs.csv", tables::runs(&summary)?),
        ("report.json", json),
        ("report.md", markdown::render(TITLE, &blocks).into_bytes()),
        ("report.html", html::render(TITLE, &blocks).into_bytes()),
    ] {
        files::write_atomically(&folder.join(name), &content)?;
    }
    Ok(())
}

fn each_figure(blocks: &[Block], see: &mut impl FnMut(&Figure)) {
    for block in blocks {
        match block {
            Block::Figures(figures) => figures.iter().for_each(&mut *see),
            Block::Details(_, inside) => each_figure(inside, see),
            Block::Beside(parts) => parts.iter().for_each(|inside| each_figure(inside, see)),
            _ => {}
        }
    }
}
