//! What a training leaves behind for its reader: figures, tables, plots.

use std::{fmt::Write as _, io, path::Path};

use base::files;
use data::{PartCount, split::SplitKind};
use engine::SiteRecord;
use learn::training::{EpochMetrics, Recipe};
use measure::{calibration::RIGHT_OUTSIDE_BAND, figures::Figures, statistics::Proportion};
use produce::models::ModelResult;
use serde::Serialize;
use shared::{
    age::Ages,
    rates::{Outcomes, Rates},
};

use crate::{
    NOT_A_DEVICE, SYNTHETIC,
    document::markdown::escape,
    plots::{self, PlotError},
};

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of Pumua.
    pub version: String,
    /// True if trained on drawings.
    pub synthetic: bool,
    /// Where the data came from.
    pub data: String,
    /// SHA-256 over names and files, hexadecimal.
    pub data_digest: String,
    /// Files left out.
    pub skipped: usize,
    /// Images to learn from.
    pub train: PartCount,
    /// Images to monitor it on.
    pub validation: PartCount,
    /// Images to measure on.
    pub test: PartCount,
    /// The hospitals.
    pub sites: Vec<SiteRecord>,
    /// The youngest and the oldest for whom the model is meant, in years, where that was said.
    pub ages: Option<Ages>,
    /// Seed of everything random.
    pub seed: u64,
    /// What the recipe is called.
    pub name: String,
    /// How it was trained.
    pub recipe: Recipe,
    /// What it was trained on: the computer, and the graphics processor if it was one.
    pub device: String,
    /// Trained numbers of the network.
    pub parameters: usize,
    /// The epoch whose weights were kept.
    pub kept_epoch: usize,
    /// How the ranges of the int8 model were found, and on how many images.
    #[serde(rename = "calibration")]
    pub range_method: String,
    /// Test images on which int8 decides differently from float32.
    pub flips: usize,
    /// The models.
    pub models: Vec<ModelResult>,
    /// Every epoch.
    pub history: Vec<EpochMetrics>,
    /// Seconds of training, without loading, validation and quantization.
    pub seconds: f64,
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
    /// a plot cannot be drawn
    #[error(transparent)]
    Plot(#[from] PlotError),
}

impl Report {
    /// Writes `report.md`, `report.json`, `curves.svg`, `confusion.svg` and `roc.svg`.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let kind = if self.synthetic { " (synthetic radiographs)" } else { "" };
        let tables: Vec<_> = self.models.iter().map(|m| (m.name.as_str(), m.figures.confusion)).collect();
        let lists: Vec<_> = self.models.iter().map(|m| (m.name.as_str(), &m.figures, &m.scored[..])).collect();
        let plots = [
            ("curves.svg", plots::curves(&self.history, &format!("Training{kind}"))?),
            ("confusion.svg", plots::confusion(&tables, &format!("Test part{kind}"))?),
            ("roc.svg", plots::roc(&lists, &format!("Test part{kind}"))?),
        ];
        for (name, content) in plots {
            files::write_atomically(&folder.join(name), content.as_bytes())?;
        }
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        files::write_atomically(&folder.join("report.json"), &json)?;
        files::write_atomically(&folder.join("report.md"), self.markdown().as_bytes())?;
        Ok(())
    }

    /// The table of both models and what belongs under it, for people.
    pub fn summary(&self) -> String {
        let mut text = table(self.models.iter().map(|m| (m.name.as_str(), &m.figures)));
        let images = self.test.normal + self.test.pneumonia;
        // Writing into a `String` cannot fail.
        let _ = writeln!(text, "int8 decides differently from float32 on {} of {images} test images.", self.flips);
        if self.synthetic {
            let _ = writeln!(text, "{SYNTHETIC}");
        }
        let _ = writeln!(text, "{NOT_A_DEVICE}");
        text
    }

    fn markdown(&self) -> String {
        let mut text = String::from("# Training report\n\n");
        let Self { recipe, .. } = self;
        if self.synthetic {
            text += &format!("**{SYNTHETIC}**\n\n");
        }
        text += &format!("{NOT_A_DEVICE}\n\n## Test part\n\n{}\n", markdown_table(&self.models));
        text += &format!(
            "Intervals are 95 %, by Wilson's method. int8 decides differently from float32 on {} images.\n\n",
            self.flips
        );
        text += "![Confusion](confusion.svg)\n\n![Receiver operating characteristic](roc.svg)\n\n";
        text += "## Verdicts\n\n";
        text += &format!(
            "Between the two ends of the band the verdict is *refer*: a clinician must decide. Outside it, at least {} % of \
             the validation images on either side are decided correctly.\n\n",
            100.0 * RIGHT_OUTSIDE_BAND
        );
        text += "| model | threshold | refer from | to |\n|---|---:|---:|---:|\n";
        for ModelResult { name, point, .. } in &self.models {
            text += &format!(
                "| {} | {:.3} | {:.3} | {:.3} |\n",
                escape(name),
                point.threshold,
                point.refer_from,
                point.refer_to
            );
        }
        text += "\nWhat the box says of the test part, with its checks:\n\n";
        text +=
            "| model | images | called normal | referred | called pneumonia | refused |\n|---|---|---|---|---|---|\n";
        for ModelResult { name, rates: Rates { of_normal, of_pneumonia }, .. } in &self.models {
            for (kind, outcomes) in [("pneumonia", of_pneumonia), ("normal", of_normal)] {
                text += &format!("| {name} | {} {kind} | {} |\n", outcomes.total(), shares(outcomes).join(" | "));
            }
        }
        text.push('\n');
        text += "## Data\n\n";
        text += &format!(
            "{}; {} files left out (`skipped.csv`); digest `{}`. Split: {} (`split.csv`), seed {}.\n\n",
            escape(&self.data),
            self.skipped,
            self.data_digest,
            recipe.split,
            self.seed
        );
        if recipe.split == SplitKind::Study {
            text += "The split assigns files one by one: the model has learnt from other images of the test patients, so expect \
                     lower figures on new patients.\n\n";
        }
        text += "| part | normal | pneumonia |\n|---|---:|---:|\n";
        for (name, part) in [("train", self.train), ("validation", self.validation), ("test", self.test)] {
            text += &format!("| {name} | {} | {} |\n", part.normal, part.pneumonia);
        }
        text += &hospitals(&self.sites);
        match self.ages {
            Some(ages) => text += &format!("\nThe model is meant for {ages}.\n"),
            None => text += "\nIt is not said for which ages the model is meant.\n",
        }
        text += "\n## Training\n\n";
        text += &format!(
            "Recipe {}: {:?} network, {} parameters, {:?} at {}, L2 {}, dropout {}, batches of {}, {} epochs (the weights \
             of epoch {} are kept); input {} × {} pixels. {:.0} s of training on {}. Int8 ranges: {}. Settings in \
             `config.toml`, epochs in `metrics.csv`.\n\n",
            escape(&self.name),
            recipe.network.architecture,
            self.parameters,
            recipe.optimizer.kind,
            recipe.optimizer.learning_rate,
            recipe.l2,
            recipe.dropout,
            recipe.batch,
            self.history.len(),
            self.kept_epoch,
            recipe.side,
            recipe.side,
            self.seconds,
            escape(&self.device),
            self.range_method
        );
        text += "![Curves](curves.svg)\n\n## Files\n\n| file | bytes | SHA-256 |\n|---|---:|---|\n";
        for m in &self.models {
            text += &format!("| `{}` | {} | `{}` |\n", m.file, m.bytes, m.digest);
        }
        text
    }
}

/// The hospitals: images with and without pneumonia in each part, ages, views.
fn hospitals(sites: &[SiteRecord]) -> String {
    if sites.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nBy hospital, normal + pneumonia; ages and views are of all parts:\n\n\
         | site | train | validation | test | years | PA, AP, not known | source | digest |\n\
         |---|---:|---:|---:|---|---|---|---|\n",
    );
    for SiteRecord { name, source, data_digest, left_out, train, validation, test, ages, views, ages_unknown } in sites
    {
        let [train, validation, test] = [train, validation, test].map(|[normal, ill]| format!("{normal} + {ill}"));
        let left_out = if *left_out { " (left out of the training)" } else { "" };
        let years = match ages {
            Some([from, to]) => format!("{from} to {to}, {ages_unknown} not known"),
            None => "not known".to_owned(),
        };
        let [pa, ap, unknown] = views;
        let source = if source.is_empty() { "not said".to_owned() } else { escape(source) };
        text += &format!(
            "| {}{left_out} | {train} | {validation} | {test} | {years} | {pa}, {ap}, {unknown} | {source} | \
             `{data_digest:.16}` |\n",
            escape(name)
        );
    }
    text
}

/// A table of named figures in columns, for a terminal.
pub fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a Figures)>) -> String {
    let mut text = format!(
        "{:<10} {:>6}  {:<22}  {:<22}  {:<22}  {:>6}\n",
        "model", "images", "accuracy", "sensitivity", "specificity", "AUROC"
    );
    for (name, f) in rows {
        let [accuracy, sensitivity, specificity] = proportions(f);
        text += &format!(
            "{name:<10} {:>6}  {accuracy:<22}  {sensitivity:<22}  {specificity:<22}  {:>6}\n",
            f.images,
            auroc(f)
        );
    }
    text
}

fn markdown_table(models: &[ModelResult]) -> String {
    let mut text = String::from(
        "| model | images | accuracy | sensitivity | specificity | AUROC |\n|---|---:|---|---|---|---:|\n",
    );
    for m in models {
        let [accuracy, sensitivity, specificity] = proportions(&m.figures);
        text += &format!(
            "| {} | {} | {accuracy} | {sensitivity} | {specificity} | {} |\n",
            escape(&m.name),
            m.figures.images,
            auroc(&m.figures)
        );
    }
    text
}

fn proportions(figures: &Figures) -> [String; 3] {
    [figures.accuracy, figures.sensitivity, figures.specificity].map(|p| match p {
        Some(Proportion { value, low, high }) => format!("{value:.4} ({low:.3}–{high:.3})"),
        None => "–".to_owned(),
    })
}

/// Called normal, referred, called pneumonia, refused: numbers, shares and their intervals.
fn shares(outcomes: &Outcomes) -> [String; 4] {
    let Outcomes { normal, refer, pneumonia, refused } = *outcomes;
    [normal, refer, pneumonia, refused].map(|count| match Proportion::of(count as usize, outcomes.total() as usize) {
        Some(Proportion { value, low, high }) => format!("{count}: {value:.4} ({low:.3}–{high:.3})"),
        None => "–".to_owned(),
    })
}

fn auroc(figures: &Figures) -> String {
    figures.auroc.map_or_else(|| "–".to_owned(), |a| format!("{a:.4}"))
}

#[cfg(test)]
mod tests {
    use measure::statistics::Scored;

    use super::*;

    #[test]
    fn shares_have_their_numbers_and_intervals() {
        let outcomes = Outcomes { normal: 2, refer: 14, pneumonia: 540, refused: 2 };
        let [normal, refer, ..] = shares(&outcomes);
        assert_eq!((normal.as_str(), refer.as_str()), ("2: 0.0036 (0.001–0.013)", "14: 0.0251 (0.015–0.042)"));
        assert_eq!(shares(&Outcomes::default()), ["–"; 4]);
    }

    #[test]
    fn hospitals_are_told_apart() {
        let clinic = SiteRecord {
            name: "clinic".to_owned(),
            source: "a | b".to_owned(),
            data_digest: "0123456789abcdef01".to_owned(),
            left_out: true,
            test: [3, 4],
            ages: Some([18.0, 90.5]),
            views: [1, 2, 4],
            ages_unknown: 5,
            ..SiteRecord::default()
        };
        let text = hospitals(&[clinic, SiteRecord { name: "home".to_owned(), ..SiteRecord::default() }]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[5],
            "| clinic (left out of the training) | 0 + 0 | 0 + 0 | 3 + 4 | 18 to 90.5, 5 not known | 1, 2, 4 | a \\| b | \
             `0123456789abcdef` |"
        );
        assert!(
            lines[6].starts_with("| home | 0 + 0 | 0 + 0 | 0 + 0 | not known | 0, 0, 0 | not said |"),
            "{}",
            lines[6]
        );
        assert_eq!(hospitals(&[]), "");
    }

    #[test]
    fn table_lines_up_and_marks_what_is_not_there() {
        let scored = [Scored { positive: true, probability: 0.9 }, Scored { positive: true, probability: 0.1 }];
        let figures = Figures::of(&scored, 0.5);
        let text = table([("float32", &figures)].into_iter());
        assert_eq!(
            text,
            "model      images  accuracy                sensitivity             specificity              AUROC\n\
             float32         2  0.5000 (0.095–0.905)    0.5000 (0.095–0.905)    –                            –\n"
        );
    }
}
