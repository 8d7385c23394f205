//! `pumua robustness`: measures how stable a model's answers are when radiographs are changed.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::anyhow;
use base::{Shown, files::OutputFolder, interrupt, progress};
use data::{Catalogue, Files, Sample};
use engine::Model;
use measure::robustness::{
    Agreement, Answers, Change, Measurement, RobustnessError, RobustnessRow, Style, Summary, chosen, rows, table,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use report::{SYNTHETIC, SYNTHETIC_MODEL};
use serde_json::json;

use super::{
    evaluate::doubt,
    open::open_model,
    sites::{SitesArgs, given},
    subset::{Subset, SubsetArgs},
};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Options of `pumua robustness`.
#[derive(Debug, clap::Args)]
#[command(group = given())]
pub struct Options {
    /// ONNX model made by `pumua train` or `pumua quantize`; several are compared, one line each [default: the one that is
    /// built in]
    #[arg(long = "model", value_name = "FILE", num_args = 1..)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    radiographs: SitesArgs,
    #[command(flatten)]
    subset: SubsetArgs,
    /// At most N radiographs of the part, drawn by the seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only these changes, by name or by kind (lossless, shift, ablation) [default: all]
    #[arg(long, value_name = "CHANGE", num_args = 1..)]
    only: Vec<String>,
    /// Radiographs at their original size, in folders NORMAL and PNEUMONIA: compare the verdicts on them with those on
    /// the files of the same name in the data
    #[arg(long, value_name = "DIR|ZIP")]
    originals: Option<PathBuf>,
    /// Also write every changed radiograph into this folder, as PNG files; use it with a small `--limit`
    #[arg(long, value_name = "DIR")]
    keep: Option<OutputFolder>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the tables as Markdown
    #[arg(long)]
    markdown: bool,
}

/// Measures models on radiographs that were changed in many ways.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let mut read = options.radiographs.paths();
    read.extend(options.originals.as_deref());
    super::check_outputs(&read, &[], &Vec::from_iter(options.keep.as_deref()))?;
    let changes = chosen(&options.only).exit(Exit::Usage)?;
    let models = open_models(&options.models)?;
    // The inputs are made anew, of each change: this says which of the files can be judged at all.
    let (mut catalogue, _) = options.radiographs.load_and_tell(&models[0].card().behaviour.contract)?;
    for model in &models {
        options.subset.find_machines(false, model.card(), &options.radiographs, &mut catalogue)?;
    }
    let subset = select(&options.subset, &models, &catalogue)?;
    let indices = limited(&subset, options.limit);
    let samples: Vec<&Sample> = indices.iter().map(|&i| &catalogue.samples[i]).collect();
    let files = options.radiographs.files()?;
    let originals = options.originals.as_deref().map(Files::open).transpose()?;

    let stop = interrupt::listen();
    let bar = progress::bar(samples.len(), "changing");
    let keep = options.keep.as_deref();
    let measurement = Measurement { models: &models, changes: &changes, files: &files, samples: &samples, keep };
    let answers = measurement.answers(&bar, stop);
    bar.finish_and_clear();
    let answers = answers.map_err(failure)?;
    warn_unjudged(&changes, &answers);
    let agreements = originals.map(|originals| Agreement::of(&models, &originals, &files, stop)).transpose();
    let agreements = agreements.map_err(failure)?;

    let tables: Vec<Vec<RobustnessRow>> = models
        .iter()
        .enumerate()
        .map(|(number, model)| rows(number, model.card().behaviour.point, &changes, &samples, &answers))
        .collect();
    let labels = match options.models.as_slice() {
        [] => vec![models[0].card().name.clone()],
        paths => paths.iter().map(|path| path.display().to_string()).collect(),
    };
    let measured = RobustnessReport {
        models: &models,
        catalogue: &catalogue,
        subset: &subset,
        samples: &samples,
        labels,
        tables,
        agreements,
    };
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", output::json(&measured.json()))?;
    } else {
        measured.write(&mut out, if options.markdown { Style::Markdown } else { Style::Text })?;
    }
    Ok(Exit::Done)
}

fn failure(error: RobustnessError) -> Failure {
    let exit = if matches!(error, RobustnessError::Stopped) { Exit::Interrupted } else { Exit::Failed };
    Failure { exit, error: error.into() }
}

fn open_models(paths: &[PathBuf]) -> Result<Vec<Model>, Failure> {
    if paths.is_empty() {
        return Ok(vec![open_model(None)?]);
    }
    paths.iter().map(|path| open_model(Some(path))).collect()
}

/// The radiographs that the options choose, which must be the same for all models.
fn select(subset: &SubsetArgs, models: &[Model], catalogue: &Catalogue) -> anyhow::Result<Subset> {
    let mut subsets =
        models.iter().map(|model| subset.of(model.card(), catalogue)).collect::<anyhow::Result<Vec<_>>>()?;
    for (model, subset) in models.iter().zip(&subsets) {
        if let Some(warning) = doubt(model.card(), catalogue, subset.part, subset.seed) {
            base::say!("warning: {}: {warning}", Shown(&model.card().name));
        }
    }
    let subset = subsets.swap_remove(0);
    if subsets.iter().any(|other| other.indices != subset.indices) {
        return Err(anyhow!(
            "the models were trained on different splits: name the one to compare them on with `--split` and `--seed`"
        ));
    }
    Ok(subset)
}

/// At most `limit` of the radiographs, in their order.
fn limited(subset: &Subset, limit: Option<u32>) -> Vec<usize> {
    let mut indices = subset.indices.clone();
    if let Some(limit) = limit {
        indices.shuffle(&mut ChaCha8Rng::seed_from_u64(subset.seed));
        indices.truncate(limit as usize);
        indices.sort_unstable();
    }
    indices
}

/// Says on stderr what cannot be judged after a change, as it is in no figure.
fn warn_unjudged(changes: &[&Change], answers: &[Answers]) {
    for (number, change) in changes.iter().enumerate() {
        let mut refusals = answers.iter().filter_map(|a| a.changed[number].as_ref().err());
        if let Some(first) = refusals.next() {
            let count = refusals.count() + 1;
            base::say!("{}: {count} of {} cannot be judged (the first: {first})", change.name, answers.len());
        }
    }
}

/// What is printed.
struct RobustnessReport<'a> {
    models: &'a [Model],
    catalogue: &'a Catalogue,
    subset: &'a Subset,
    samples: &'a [&'a Sample],
    /// One for each model: its file, as models of different runs may have the same name in their cards; else that name.
    labels: Vec<String>,
    /// One for each model.
    tables: Vec<Vec<RobustnessRow>>,
    /// One for each model, if there are originals.
    agreements: Option<Vec<Agreement>>,
}

impl RobustnessReport<'_> {
    fn json(&self) -> serde_json::Value {
        let models = self.models.iter().zip(&self.tables).enumerate().map(|(number, (model, rows))| {
            let (card, label) = (model.card(), &self.labels[number]);
            json!({
                "model": card.name, "model_digest": model.digest().to_string(), "int8": card.behaviour.int8,
                "synthetic_model": card.provenance.synthetic, "point": card.behaviour.point, "rows": rows,
                "summary": Summary::of(label, rows),
                "originals": self.agreements.as_ref().map(|agreements| &agreements[number]),
            })
        });
        json!({
            "models": models.collect::<Vec<_>>(), "synthetic_data": self.catalogue.synthetic,
            "data_digest": self.catalogue.digest().to_string(), "images": self.samples.len(), "patients": self.patients(),
            "split": self.subset.part.map(|(_, kind)| kind),
            "part": self.subset.part.map_or("all".into(), |(part, _)| part.to_string()),
            "seed": self.subset.seed,
        })
    }

    fn patients(&self) -> usize {
        self.samples.iter().map(|sample| &sample.patient).collect::<BTreeSet<_>>().len()
    }

    /// The table of one model, or a line for each of several.
    fn write(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        let part = match self.subset.part {
            Some((part, kind)) => format!("part {part}, split {kind}, seed {}", self.subset.seed),
            None => "all parts".to_owned(),
        };
        let measured = format!("{} radiographs of {} patients, {part}", self.samples.len(), self.patients());
        if let ([model], [rows]) = (self.models, self.tables.as_slice()) {
            writeln!(out, "{}: {measured}\n\n{}", shown(&model.card().name, style), table(rows, style))?;
        } else {
            let named = self.labels.iter().zip(&self.tables);
            let summaries: Vec<_> = named.map(|(label, rows)| Summary::of(&shown(label, style), rows)).collect();
            writeln!(out, "{measured}\n\n{}", Summary::table(&summaries, style))?;
        }
        for (label, agreement) in self.labels.iter().zip(self.agreements.iter().flatten()) {
            write_agreement(out, &shown(label, style), agreement, style)?;
        }
        if self.models.iter().any(|model| model.card().provenance.synthetic) {
            writeln!(out, "{SYNTHETIC_MODEL}")?;
        }
        if self.catalogue.synthetic {
            writeln!(out, "{SYNTHETIC}")?;
        }
        Ok(())
    }
}

/// Text from outside.
fn shown(text: &str, style: Style) -> String {
    match style {
        Style::Markdown => report::markdown_text(text),
        Style::Text => Shown(text).to_string(),
    }
}

/// The list is one in Markdown, too.
fn write_agreement(out: &mut impl Write, model: &str, agreement: &Agreement, style: Style) -> io::Result<()> {
    let Agreement { pairs, decisions, verdicts, largest_difference, differing, unpaired } = agreement;
    writeln!(
        out,
        "{model}, original size against small copy: {decisions} of {pairs} decisions and {verdicts} of {pairs} verdicts \
         agree; probabilities differ by up to {largest_difference:.3}\n"
    )?;
    for d in differing {
        let [original, copy] = [d.original, d.copy].map(|(p, verdict)| {
            format!("{} ({p:.3})", verdict.map_or_else(|| "refused".to_owned(), |verdict| verdict.to_string()))
        });
        writeln!(out, "- {}: {original}, small copy {copy}", shown(&d.name, style))?;
    }
    for name in unpaired {
        writeln!(out, "- {}: not compared, the data have no such file, or several", shown(name, style))?;
    }
    if !(differing.is_empty() && unpaired.is_empty()) {
        writeln!(out)?;
    }
    Ok(())
}
