//! `host train`: trains a model, quantizes it, evaluates both and writes a report.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use engine::Card;
use serde::{Deserialize, Serialize};
use shared::{
    contract::{Fit, InputContract},
    limits::MODEL_SIDE,
    verdict::{Digest, OperatingPoint},
};

use crate::{
    calendar::compact_utc,
    data::{
        Dataset, Label, SkipReason,
        split::{Split, SplitKind},
    },
    delivery::{self, Delivery},
    exit::{Exit, Failure},
    interrupt,
    report::{self, PartCount, Report},
    synthetic,
    training::{self, Checkpoint, EpochMetrics, Outcome, Recipe, Task},
};

/// Epochs on synthetic radiographs, unless asked otherwise: they are learned sooner than real ones.
const SYNTHETIC_EPOCHS: usize = 12;

/// Options of `host train`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Radiographs: a folder or ZIP archive with NORMAL/ and PNEUMONIA/ in it, or train/, val/ and test/ with both in
    /// each; without it, synthetic ones are drawn
    #[arg(long, value_name = "DIR|ZIP")]
    data: Option<PathBuf>,
    /// How many synthetic radiographs to draw
    #[arg(long, default_value_t = 1000, conflicts_with = "data", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    images: u64,
    /// How the radiographs are dealt out to train, validation and test
    #[arg(long, value_enum, default_value_t = SplitKind::Patient)]
    split: SplitKind,
    /// How to train
    #[arg(long, default_value = Recipe::NAMES[0], value_parser = clap::builder::PossibleValuesParser::new(Recipe::NAMES))]
    recipe: String,
    /// Epochs, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = positive)]
    epochs: Option<usize>,
    /// Steps of an epoch, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = positive)]
    steps: Option<usize>,
    /// Images of a step, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = positive)]
    batch: Option<usize>,
    /// Learning rate, instead of the recipe's
    #[arg(long, value_name = "RATE", value_parser = rate)]
    lr: Option<f64>,
    /// Side of the model's input in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(i64::from(*MODEL_SIDE.start())..=i64::from(*MODEL_SIDE.end())))]
    side: u16,
    /// Another seed splits, starts and shuffles otherwise; the same one gives the same model
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    seed: u64,
    /// Folder for the run; it must not exist or be empty [default: runs/TIME-RECIPE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with a run that was stopped, under the options it was started with
    #[arg(long, value_name = "RUN_DIR",
        conflicts_with_all = ["data", "images", "split", "recipe", "epochs", "steps", "batch", "lr", "side", "seed", "out"])]
    resume: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("it must be a whole number from 1 to 1000000".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 10.0 => Ok(number),
        _ => Err("it must be a number above 0 and up to 10".to_owned()),
    }
}

/// The settings of a run, kept in its folder as `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    /// The folder or archive; without it, synthetic radiographs.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Number of synthetic radiographs.
    images: u64,
    split: SplitKind,
    seed: u64,
    recipe: Recipe,
    contract: InputContract,
}

impl Config {
    const FILE: &'static str = "config.toml";

    fn new(options: &Options) -> anyhow::Result<Self> {
        let mut recipe =
            Recipe::named(&options.recipe).with_context(|| format!("there is no recipe {}", options.recipe))?;
        if options.data.is_none() {
            recipe.epochs = SYNTHETIC_EPOCHS;
        }
        recipe.epochs = options.epochs.unwrap_or(recipe.epochs);
        recipe.steps = options.steps.or(recipe.steps);
        recipe.batch = options.batch.unwrap_or(recipe.batch);
        recipe.learning_rate = options.lr.unwrap_or(recipe.learning_rate);
        // Before anything is read or written: is the input large enough for the network?
        recipe.network.check(usize::from(options.side))?;
        let data = match &options.data {
            Some(path) => Some(path.canonicalize().with_context(|| {
                format!("cannot read {}: name a folder or a ZIP archive that exists and may be read", path.display())
            })?),
            None => None,
        };
        Ok(Self {
            data,
            images: options.images,
            split: options.split,
            seed: options.seed,
            recipe,
            contract: InputContract { side: options.side, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 },
        })
    }

    fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(Self::FILE);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: name the folder of a run that was stopped", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} was changed: start the training anew", path.display()))
    }

    fn dataset(&self) -> anyhow::Result<Dataset> {
        Ok(match &self.data {
            Some(path) => Dataset::load(path, &self.contract)?,
            None => synthetic::dataset(self.images, self.seed, &self.contract)?,
        })
    }

    /// What a checkpoint must agree with.
    fn digest(&self, data: &Dataset) -> anyhow::Result<String> {
        let text = format!("{}{}", toml::to_string(self)?, data.digest());
        Ok(Digest::of(text.as_bytes()).to_string())
    }
}

/// Trains a model, quantizes it, evaluates both and writes a report.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let config = match &options.resume {
        Some(folder) => Config::load(folder)?,
        None => Config::new(&options)?,
    };
    let data = config.dataset()?;
    data.require_both_labels()?;
    let split = Split::new(&data, config.split, config.seed)?;
    let checkpoint = options.resume.as_ref().map(|folder| Checkpoint::load(&folder.join(Checkpoint::FILE)));
    let checkpoint = checkpoint.transpose()?;
    let folder = match (&options.resume, &options.out) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.clone(),
        (None, None) => default_folder(&config.recipe, data.synthetic),
    };
    if options.resume.is_none() {
        start_folder(&folder, &config)?;
        split.write_csv(&data, &folder.join("split.csv")).context("the split cannot be written")?;
        write_skipped(&data, &folder)?;
    }
    announce(&config, &data, &split, &folder);

    let task = Task {
        recipe: &config.recipe,
        contract: config.contract,
        seed: config.seed,
        data: &data,
        train: &split.train,
        validation: &split.validation,
        config: config.digest(&data)?,
    };
    let file = folder.join(Checkpoint::FILE);
    let outcome = training::train(&task, checkpoint, interrupt::listen(), |checkpoint| {
        report::write_metrics(&checkpoint.history, &folder.join("metrics.csv"))?;
        checkpoint.save(&file)
    })?;
    match outcome {
        Outcome::Stopped => {
            crate::say!("stopped; to go on from the last epoch: host train --resume {}", folder.display());
            Ok(Exit::Interrupted)
        }
        Outcome::Done(layers, history) => {
            let delivery = delivery::deliver(&layers, &config.card(&data), &data, &split, &folder)?;
            let report = config.report(&data, &split, history, layers.parameters(), delivery);
            report.write(&folder)?;
            let mut out = io::stdout().lock();
            if options.json {
                writeln!(out, "{}", serde_json::to_string(&report)?)?;
            } else {
                write!(out, "{}", report.summary())?;
                for model in &report.models {
                    writeln!(out, "{:<10} {}", model.name, folder.join(&model.file).display())?;
                }
                writeln!(out, "{:<10} {}", "report", folder.join("report.md").display())?;
            }
            Ok(Exit::Done)
        }
    }
}

/// `runs/20260131-142500-adam`, the time in UTC.
fn default_folder(recipe: &Recipe, synthetic: bool) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let kind = if synthetic { "-synthetic" } else { "" };
    PathBuf::from("runs").join(format!("{}-{}{kind}", compact_utc(seconds), recipe.name))
}

fn start_folder(folder: &Path, config: &Config) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", folder.display()))?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    ensure!(
        entries.next().is_none(),
        "{} holds files already: name another folder with `--out`, or go on with its run with `--resume`",
        folder.display()
    );
    fs::write(folder.join(Config::FILE), toml::to_string(config)?)
        .with_context(|| format!("cannot write into {}: name another folder with `--out`", folder.display()))
}

fn write_skipped(data: &Dataset, folder: &Path) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_path(folder.join("skipped.csv"))?;
    csv.write_record(["path", "reason"])?;
    for skipped in &data.skipped {
        csv.write_record([skipped.name.as_str(), &skipped.reason.to_string()])?;
    }
    Ok(csv.flush()?)
}

/// Says on stderr what is about to happen.
fn announce(config: &Config, data: &Dataset, split: &Split, folder: &Path) {
    let (normal, pneumonia) = (data.count(Label::Normal), data.count(Label::Pneumonia));
    match &config.data {
        Some(path) => crate::say!("{}: {normal} normal, {pneumonia} pneumonia", path.display()),
        None => {
            crate::say!("{normal} + {pneumonia} synthetic radiographs; for real ones: --data DIR-or-ZIP");
        }
    }
    if data.synthetic {
        crate::say!("{}", report::SYNTHETIC);
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for skipped in &data.skipped {
        *kinds
            .entry(match &skipped.reason {
                SkipReason::Refused(_) => "refused",
                SkipReason::Unreadable(_) => "unreadable",
                SkipReason::DuplicateOf(_) => "duplicate",
                SkipReason::Contradicts(_) => "labelled both ways",
            })
            .or_default() += 1;
    }
    if !kinds.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        crate::say!("left out: {} (see {})", kinds.join(", "), folder.join("skipped.csv").display());
    }
    crate::say!(
        "split {}: {} train, {} validation, {} test; recipe {}, seed {}",
        split.kind,
        split.train.len(),
        split.validation.len(),
        split.test.len(),
        config.recipe.name,
        config.seed
    );
}

impl Config {
    /// What the model files say of themselves before they are measured.
    fn card(&self, data: &Dataset) -> Card {
        let synthetic = if data.synthetic { "synthetic-" } else { "" };
        Card {
            name: format!("{synthetic}{}-{}px-seed{}", self.recipe.name, self.contract.side, self.seed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            contract: self.contract,
            point: OperatingPoint::unbanded(self.recipe.threshold),
            labels: Label::ALL.map(|label| label.to_string()),
            synthetic: data.synthetic,
            int8: false,
            recipe: self.recipe.name.clone(),
            seed: self.seed,
            split: self.split.to_string(),
            data_digest: data.digest().to_string(),
            metrics: BTreeMap::new(),
        }
    }

    fn report(
        &self,
        data: &Dataset,
        split: &Split,
        history: Vec<EpochMetrics>,
        parameters: usize,
        delivery: Delivery,
    ) -> Report {
        let count = |indices: &[usize]| {
            let pneumonia = indices.iter().filter(|&&i| data.samples[i].label.positive()).count();
            PartCount { normal: indices.len() - pneumonia, pneumonia }
        };
        let images = (self.recipe.steps_of(split.train.len()) * self.recipe.batch) as f64;
        let seconds = history.iter().map(|epoch| images / epoch.images_per_second).sum();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            synthetic: data.synthetic,
            data: match &self.data {
                Some(path) => path.display().to_string(),
                None => format!("{} synthetic radiographs, seed {}", self.images, self.seed),
            },
            data_digest: data.digest().to_string(),
            skipped: data.skipped.len(),
            split: self.split,
            train: count(&split.train),
            validation: count(&split.validation),
            test: count(&split.test),
            seed: self.seed,
            recipe: self.recipe.clone(),
            parameters,
            contract: self.contract,
            calibration: delivery.calibration,
            flips: delivery.flips,
            models: delivery.models,
            history,
            seconds,
        }
    }
}
