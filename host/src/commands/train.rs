//! `pumua train`: trains a model, quantizes it, evaluates both and writes a report.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use base::{
    Shown,
    calendar::{compact_utc, now},
    cell,
    files::{self, OutputFolder, write_atomically, write_new},
    interrupt, progress,
};
use data::{
    Catalogue, Inputs, Label, PartCount, Site,
    machines::{self, MACHINES},
    split::{Split, SplitError, SplitKind},
    synthetic,
};
use engine::{CardError, ModelCard, Provenance, SiteRecord};
use indicatif::ProgressBar;
use learn::{
    device::{DeviceChoice, TrainingDevice},
    study::Plan,
    training::{self, Checkpoint, CheckpointError, Outcome, Recipe, Steps, Task, Trained, TrainingError, Watcher},
};
use produce::models::{self, MadeModels, MakeError};
use report::training::{Report, ReportError};
use serde::{Deserialize, Serialize};
use shared::{
    age::Ages,
    contract::InputContract,
    limits::MODEL_SIDE,
    verdict::{Digest, OperatingPoint},
};

use super::{
    or_continue, quoted,
    sites::{SitesArgs, tell},
    study::lock_folder,
};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Name of the table of parts in the folder of a run.
const PARTS: &str = "split.csv";

/// Name of the table of epochs in the folder of a run.
const EPOCHS: &str = "metrics.csv";

/// Longest text that says where radiographs are from, in bytes.
const MAX_SOURCE: usize = 500;

/// Most bytes of a run's settings.
const MAX_CONFIG: u64 = 1 << 20;

/// Epochs on synthetic radiographs, unless another number is asked for: they are learnt sooner than real ones.
const SYNTHETIC_EPOCHS: usize = 12;

/// Options of `pumua train`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    radiographs: SitesArgs,
    /// Train and validate without this site, and measure on all of it: what the model is worth in a hospital that it does
    /// not know. `home` is that of `--data`
    #[arg(long, value_name = "NAME")]
    leave_out: Option<String>,
    /// Where the radiographs of a site are from and under which licence, for the model's card; may be given several times
    #[arg(long = "source", value_name = "NAME=TEXT", value_parser = source)]
    sources: Vec<(String, String)>,
    /// The youngest and the oldest for whom the model is meant, in years, such as 1-5, whoever else it learns from; the box
    /// refuses others, where their age is known [default: those of the data, if they are known]
    #[arg(long, value_name = "FROM-TO")]
    ages: Option<Ages>,
    /// How many synthetic radiographs to draw, without `--data` and `--site`
    #[arg(long, default_value_t = 1000, conflicts_with_all = ["data", "sites"], value_parser = clap::value_parser!(u64).range(1..=100_000))]
    images: u64,
    /// How the radiographs are split into train, validation and test, overriding the recipe's split
    #[arg(long, value_enum, default_value_t = SplitKind::Patient)]
    split: SplitKind,
    /// How to train: the name of an experiment of `pumua study --list`
    #[arg(long, value_name = "NAME", default_value = "adam")]
    recipe: String,
    /// Recipes of your own, in TOML, as for `pumua study --recipes`; may be given several times
    #[arg(long, alias = "plan", value_name = "FILE")]
    recipes: Vec<PathBuf>,
    /// Epochs, instead of the recipe's, or of 12 on synthetic radiographs; with `--resume`, as many as the run has or more
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Steps of an epoch, instead of the recipe's
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Images of a step, instead of the recipe's
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate, instead of the recipe's
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Side of the model's input in pixels, instead of the recipe's
    #[arg(long, value_name = "PIXELS",
        value_parser = clap::value_parser!(u16).range(i64::from(*MODEL_SIDE.start())..=i64::from(*MODEL_SIDE.end())))]
    side: Option<u16>,
    /// Seed for split, initial weights and shuffling; the same seed gives the same model
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    seed: u64,
    /// What to train on: `processor`; `graphics`, or one of several such as `graphics:1`; or `cuda`. Which of them a program
    /// has is chosen when it is built
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Processor)]
    device: DeviceChoice,
    /// Folder for the run; it must not exist or be empty [default: runs/TIME-RECIPE]
    #[arg(long, value_name = "DIR")]
    out: Option<OutputFolder>,
    /// Continue a stopped run, with the options it was started with. If its data are elsewhere now, name them with `--data` or
    /// `--site`: they must be the same. With more `--epochs` a run goes on beyond its end, to the model of a run that long
    #[arg(long, value_name = "RUN_DIR",
        conflicts_with_all = ["leave_out", "sources", "ages", "images", "split", "recipe", "recipes", "steps", "batch", "lr", "side", "seed", "device", "out"])]
    resume: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// The settings of a run, kept in its folder as `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    /// The folders or archives; without any, synthetic radiographs.
    #[serde(flatten)]
    radiographs: SitesArgs,
    /// The site that is not learnt from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leave_out: Option<String>,
    /// For whom the model is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ages: Option<Ages>,
    /// Number of synthetic radiographs.
    images: u64,
    seed: u64,
    /// What the recipe is called; the options may have changed it.
    name: String,
    /// What it is trained on, if that is not the processor.
    #[serde(default, skip_serializing_if = "is_processor")]
    device: DeviceChoice,
    /// Where the radiographs of sites are from, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, String>,
    recipe: Recipe,
}

fn is_processor(device: &DeviceChoice) -> bool {
    *device == DeviceChoice::Processor
}

/// A site and where it is from.
fn source(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, source)) if !source.trim().is_empty() && source.len() <= MAX_SOURCE => {
            Ok((name.to_owned(), source.trim().to_owned()))
        }
        _ => Err(format!("give NAME=TEXT, of at most {MAX_SOURCE} bytes")),
    }
}

impl Config {
    const FILE: &'static str = "config.toml";

    fn new(options: &Options) -> Result<Self, Failure> {
        let plan = Plan::with_files(&options.recipes)?;
        let experiment = plan.experiment(&options.recipe).with_context(|| {
            format!(
                "there is no recipe `{}`: `{} study --list` names them",
                Shown(&options.recipe),
                super::started_as()
            )
        })?;
        let mut recipe = experiment.recipe.clone();
        recipe.split = options.split;
        recipe.side = options.side.unwrap_or(recipe.side);
        if options.radiographs.is_empty() {
            recipe.epochs = SYNTHETIC_EPOCHS;
        }
        recipe.epochs = options.epochs.unwrap_or(recipe.epochs);
        recipe.steps = options.steps.map_or(recipe.steps, Steps::Number);
        recipe.batch = options.batch.unwrap_or(recipe.batch);
        recipe.optimizer.learning_rate = options.lr.unwrap_or(recipe.optimizer.learning_rate);
        // Before anything is read or written.
        recipe.check().exit(Exit::Usage)?;
        Ok(Self {
            radiographs: options.radiographs.absolute()?,
            leave_out: options.leave_out.clone(),
            ages: options.ages,
            images: options.images,
            seed: options.seed,
            name: experiment.name.clone(),
            device: options.device,
            sources: options.sources.iter().cloned().collect(),
            recipe,
        })
    }

    fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(Self::FILE);
        let text = files::read_text(&path, MAX_CONFIG).with_context(|| {
            format!("cannot read {}: name the folder of a run that was stopped", Shown(path.display()))
        })?;
        let changed = || format!("{} was changed: start the training again", Shown(path.display()));
        let config: Self = toml::from_str(&text).with_context(changed)?;
        config.recipe.check().with_context(changed)?;
        Ok(config)
    }

    fn radiographs(&self) -> anyhow::Result<(Catalogue, Inputs)> {
        let (mut catalogue, inputs) = self.read(&self.recipe.contract())?;
        if self.recipe.wants_machines() {
            machines::find(&mut catalogue, &self.read(&machines::CONTRACT)?, MACHINES)?;
        }
        Ok((catalogue, inputs))
    }

    fn read(&self, contract: &InputContract) -> anyhow::Result<(Catalogue, Inputs)> {
        Ok(if self.radiographs.is_empty() {
            synthetic::radiographs(self.images, self.seed, contract)?
        } else {
            self.radiographs.load(contract)?
        })
    }

    /// Says on stderr what there is to learn from.
    fn tell(&self, catalogue: &Catalogue) {
        if self.radiographs.is_empty() {
            let (normal, pneumonia) = (catalogue.count(Label::Normal), catalogue.count(Label::Pneumonia));
            base::say!("{normal} + {pneumonia} synthetic radiographs; for real ones: --data DIR-or-ZIP");
        } else {
            tell(&self.radiographs.words(), catalogue);
        }
        if catalogue.synthetic {
            base::say!("{}", report::SYNTHETIC);
        }
    }

    fn split(&self, catalogue: &Catalogue) -> Result<Split, Failure> {
        match &self.leave_out {
            Some(_) if self.radiographs.sites.is_empty() => Err(SplitError::NothingLeft).exit(Exit::Usage),
            out => Ok(Split::leaving_out(catalogue, self.recipe.split, self.seed, out.as_deref())?),
        }
    }

    /// What the card says of the hospitals; nothing of drawings.
    fn sites(&self, catalogue: &Catalogue, split: &Split) -> Result<Vec<SiteRecord>, Failure> {
        let mut records = if self.radiographs.is_empty() { Vec::new() } else { split.records(catalogue) };
        for (name, source) in &self.sources {
            let Some(record) = records.iter_mut().find(|record| record.name == *name) else {
                return Err(anyhow!("none of the sites is called `{}`: see `--source`", Shown(name))).exit(Exit::Usage);
            };
            record.source.clone_from(source);
        }
        Ok(records)
    }

    /// What a checkpoint must agree with: all but ages and sources, which only the card says, and epochs, where more of them may
    /// follow. Of earlier versions with the epochs.
    fn digest(&self, data: Digest, with_epochs: bool) -> anyhow::Result<String> {
        let mut config = Self { ages: None, sources: BTreeMap::new(), ..self.clone() };
        if !with_epochs && config.recipe.is_open_ended() {
            config.recipe.epochs = 0;
        }
        Ok(Digest::of(format!("{}{data}", toml::to_string(&config)?).as_bytes()).to_string())
    }

    /// The digest that the checkpoint has, if it is of this training, also if an earlier version made it; else that of now.
    fn digest_for(&self, checkpoint: Option<&Checkpoint>, catalogue: &Catalogue) -> anyhow::Result<String> {
        if let Some(checkpoint) = checkpoint {
            for data in [Some(catalogue.digest()), catalogue.former_digest()].into_iter().flatten() {
                for with_epochs in [false, true] {
                    let digest = self.digest(data, with_epochs)?;
                    if digest == checkpoint.config {
                        return Ok(digest);
                    }
                }
            }
        }
        self.digest(catalogue.digest(), false)
    }

    /// The same training of more epochs, if any are asked for.
    fn lengthened(mut self, epochs: Option<usize>) -> Result<Self, Failure> {
        let had = self.recipe.epochs;
        self.recipe.epochs = epochs.unwrap_or(had);
        self.recipe.check().exit(Exit::Usage)?;
        let refused = match self.recipe.epochs {
            epochs if epochs < had => format!("the run is one of {had} epochs: name as many or more with `--epochs`"),
            epochs if epochs > had && !self.recipe.is_open_ended() => format!(
                "the run cannot go on beyond its {had} epochs, because learning rate or teachers of its recipe depend on their \
                 number from the first step on: start another training with `--epochs {epochs}`"
            ),
            _ => return Ok(self),
        };
        Err(anyhow!(refused)).exit(Exit::Usage)
    }

    /// Makes the folder that of this longer training, and gives the digest of its checkpoints.
    fn take_over(
        &self,
        checkpoint: Option<&mut Checkpoint>,
        catalogue: &Catalogue,
        folder: &Path,
    ) -> anyhow::Result<String> {
        let advice =
            || format!("cannot write into {}: free some space, then do the same again", Shown(folder.display()));
        let digest = self.digest(catalogue.digest(), false)?;
        // First the checkpoint, which with this digest goes with the settings of before as well: nothing is lost in between.
        if let Some(checkpoint) = checkpoint
            && checkpoint.config != digest
        {
            checkpoint.config.clone_from(&digest);
            checkpoint.save(&folder.join(Checkpoint::FILE)).with_context(advice)?;
        }
        write_atomically(&folder.join(Self::FILE), toml::to_string(self)?.as_bytes()).with_context(advice)?;
        Ok(digest)
    }

    /// Takes the data from where they are now.
    fn moved(mut self, radiographs: &SitesArgs) -> Result<Self, Failure> {
        if radiographs.is_empty() {
            return Ok(self);
        }
        if self.radiographs.is_empty() {
            return Err(anyhow!("the run learns from drawings: leave out `--data` and `--site`")).exit(Exit::Usage);
        }
        self.radiographs = radiographs.absolute()?;
        Ok(self)
    }
}

/// Trains a model, quantizes it, evaluates both and writes a report.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let (recorded, lock) = match &options.resume {
        Some(folder) => (Config::load(folder)?, Some(lock_folder(folder, "training")?)),
        None => (Config::new(&options)?, None),
    };
    let longer = recorded.clone().lengthened(options.epochs)?;
    let config = longer.clone().moved(&options.radiographs)?;
    if let Some(out) = &options.out {
        let mut read = options.radiographs.paths();
        read.extend(options.recipes.iter().map(PathBuf::as_path));
        super::check_outputs(&read, &[], &[out])?;
        check_folder(out)?;
    }
    // Both before the radiographs are decoded, which may take minutes; what these say is checked below.
    let device = config.device.open()?;
    check_card(&ModelCard::new(config.model_name(config.radiographs.is_empty()), config.recipe.contract()))?;
    let (catalogue, inputs) = match config.radiographs() {
        Err(error) if options.resume.is_some() && options.radiographs.is_empty() => {
            Err(error.context("the data of the run cannot be read; if they are elsewhere now, name them with `--data`"))?
        }
        read => read?,
    };
    config.tell(&catalogue);
    catalogue.require_both_labels()?;
    let split = config.split(&catalogue)?;
    let sites = config.sites(&catalogue, &split)?;
    let card = config.card(&catalogue, &sites);
    check_card(&card)?;
    let mut checkpoint = match &options.resume {
        Some(folder) => last_checkpoint(folder)?,
        None => None,
    };
    let folder = match (&options.resume, &options.out) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.to_path_buf(),
        (None, None) => default_folder(&config.name, catalogue.synthetic)?,
    };
    // Of several that work in the folder each would write its own checkpoint over that of the others.
    let _lock = match lock {
        Some(lock) => lock,
        None => {
            start_folder(&folder, &config)?;
            lock_folder(&folder, "training")?
        }
    };
    let parts = split.csv(&catalogue)?;
    if checkpoint.is_none() {
        let write = |name: &str, content: Vec<u8>| {
            write_atomically(&folder.join(name), &content)
                .with_context(|| format!("cannot write into {}", Shown(folder.display())))
        };
        write(PARTS, parts.clone())?;
        write("skipped.csv", skipped(&catalogue)?)?;
    }
    announce(&config, &catalogue, &split, &sites, &folder);

    // Where the data lie is not what they are: the run is known by the place that it was started with.
    let mut expected = recorded.digest_for(checkpoint.as_ref(), &catalogue)?;
    let is_its_own = checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.config == expected);
    if checkpoint.is_some() && is_its_own && !has_parts(&folder, &parts) {
        return Err(anyhow!(
            "the data are those of the run, but an earlier version split them otherwise: start the training again"
        )
        .into());
    }
    if is_its_own && longer != recorded {
        expected = longer.take_over(checkpoint.as_mut(), &catalogue, &folder)?;
    }
    let task = Task {
        recipe: &config.recipe,
        seed: config.seed,
        catalogue: &catalogue,
        inputs: &inputs,
        split: &split,
        device: &device,
        config: expected,
    };
    let bar = progress::bar(config.recipe.steps_of(split.train.len()), "training");
    let mut talk = Talk { folder: &folder, epochs: config.recipe.epochs, teachers: config.recipe.teachers(), bar };
    let data = if options.resume.is_some() { again(&options.radiographs) } else { String::new() };
    let command = format!("{} train --resume {}{data}", super::started_as(), quoted(&folder));
    let outcome = training::train(&task, checkpoint, interrupt::listen(), &mut talk);
    talk.bar.finish_and_clear();
    let of_disk = |error: &TrainingError| matches!(error, TrainingError::Checkpoint(_) | TrainingError::Input(_));
    match or_continue(outcome, of_disk, &command)? {
        Outcome::Stopped => {
            base::say!("stopped; to continue from the last epoch: {command}");
            Ok(Exit::Interrupted)
        }
        Outcome::Done(trained) => {
            let layers = trained.network.layers();
            let calibrated = config.recipe.calibrate;
            let made = models::make_models(layers, &card, calibrated, &catalogue, &inputs, &split, &folder);
            let of_disk = |error: &MakeError| matches!(error, MakeError::Write(_) | MakeError::Input(_));
            let made = or_continue(made, of_disk, &command)?;
            let report = config.report(&catalogue, &split, sites, &device, *trained, made);
            or_continue(report.write(&folder), |error| matches!(error, ReportError::Write(_)), &command)?;
            let mut out = io::stdout().lock();
            if options.json {
                writeln!(out, "{}", output::escaped(&serde_json::to_string(&report)?))?;
            } else {
                write!(out, "{}", report.summary())?;
                for model in &report.models {
                    writeln!(out, "{:<10} {}", model.name, Shown(folder.join(&model.file).display()))?;
                }
                writeln!(out, "{:<10} {}", "report", Shown(folder.join("report.md").display()))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// That model files can have this card: before the training, since it would be lost with a name that is too long, say.
fn check_card(card: &ModelCard) -> anyhow::Result<()> {
    let json = serde_json::to_string(card)?;
    ModelCard::from_json(&json).map(drop).map_err(|error| {
        let advice = match error {
            CardError::Name => {
                let name = Shown(&card.name);
                format!("models called `{name}` cannot be made, start the training again with a recipe of another name")
            }
            CardError::TooLong => {
                "start the training again with fewer hospitals, or shorter texts of `--source`".to_owned()
            }
            _ => "no model can have its card, start the training again with other options".to_owned(),
        };
        anyhow::Error::new(error).context(format!("nothing is trained: {advice}"))
    })
}

/// Where a run was stopped; `None` where it had not got so far that anything was kept.
fn last_checkpoint(folder: &Path) -> anyhow::Result<Option<Checkpoint>> {
    match Checkpoint::load(&folder.join(Checkpoint::FILE)) {
        Err(CheckpointError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let holds_results = holds_results(folder)
                .with_context(|| format!("cannot read {}: start the training again", Shown(folder.display())))?;
            ensure!(
                !holds_results,
                "the checkpoint of {} is gone, and what was trained cannot be continued: start the training again in another \
                 folder",
                Shown(folder.display())
            );
            base::say!("{} holds no checkpoint yet: the training begins anew", Shown(folder.display()));
            Ok(None)
        }
        loaded => Ok(Some(loaded?)),
    }
}

/// True if a training has got so far that it has written epochs, models or a report.
fn holds_results(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_result =
            path.ends_with(EPOCHS) || path.ends_with("report.md") || path.extension() == Some("onnx".as_ref());
        if is_result && path.is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The options that name the data, to be given again.
fn again(SitesArgs { data, sites }: &SitesArgs) -> String {
    let data = data.iter().map(|path| format!(" --data {}", quoted(path)));
    let sites = sites.iter().map(|Site { name, path }| format!(" --site {name}={}", quoted(path)));
    data.chain(sites).collect()
}

/// True if the run was started with these parts, given as its table of them, or if its table is not there or was changed.
fn has_parts(folder: &Path, parts: &[u8]) -> bool {
    #[derive(PartialEq, Deserialize)]
    struct Row {
        part: String,
    }
    let rows =
        |table: &[u8]| csv::Reader::from_reader(table).into_deserialize().collect::<csv::Result<Vec<Row>>>().ok();
    let then = fs::read(folder.join(PARTS)).ok().and_then(|table| rows(&table));
    then.is_none_or(|then| Some(then) == rows(parts))
}

/// Keeps the state after every epoch and says how it went.
struct Talk<'a> {
    folder: &'a Path,
    epochs: usize,
    /// Networks that are trained before.
    teachers: usize,
    bar: ProgressBar,
}

impl Watcher for Talk<'_> {
    fn step(&mut self, progress: &training::Progress) {
        let training::Progress { epoch, step, loss, accuracy, images_per_second, .. } = progress;
        self.bar.set_position(*step as u64);
        self.bar.set_message(format!(
            "epoch {epoch}/{}  loss {loss:.4}  accuracy {accuracy:.3}  {images_per_second:.0} images/s",
            self.epochs
        ));
    }

    fn epoch(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        // In this order: a table of epochs says that there was a checkpoint.
        checkpoint.save(&self.folder.join(Checkpoint::FILE))?;
        let metrics = training::metrics_csv(&checkpoint.history)?;
        write_atomically(&self.folder.join(EPOCHS), metrics.as_bytes())?;
        if let Some(metrics) = checkpoint.history.last() {
            let done = checkpoint.teachers.len();
            let teacher =
                if done < self.teachers { format!("teacher {}/{}  ", done + 1, self.teachers) } else { String::new() };
            let words = format!(
                "{teacher}epoch {:>3}/{}  loss {:.4}  accuracy {:.4}  validation loss {:.4}  accuracy {:.4}",
                metrics.epoch,
                self.epochs,
                metrics.train_loss,
                metrics.train_accuracy,
                metrics.validation_loss,
                metrics.validation_accuracy
            );
            self.bar.suspend(|| base::say!("{words}"));
        }
        Ok(())
    }
}

/// A new folder `runs/20260131-142500-adam`, the time in UTC; the second one of a second has `-2` behind, and so on.
fn default_folder(recipe: &str, synthetic: bool) -> anyhow::Result<PathBuf> {
    let kind = if synthetic { "-synthetic" } else { "" };
    let folder = Path::new("runs").join(format!("{}-{}{kind}", compact_utc(now()), recipe));
    files::new_folder(&folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", Shown(folder.display())))
}

/// Refuses a folder that holds something.
fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries
            .with_context(|| format!("cannot read {}: name another folder with `--out`", Shown(folder.display())))?,
    };
    ensure!(entries.next().is_none(), "{}", is_taken(folder));
    Ok(())
}

fn is_taken(folder: &Path) -> String {
    format!(
        "{} is not empty: name another folder with `--out`, or continue its run with `--resume`",
        Shown(folder.display())
    )
}

/// Takes a folder for a run: of several that begin there at once, one has it.
fn start_folder(folder: &Path, config: &Config) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", Shown(folder.display())))?;
    check_folder(folder)?;
    // Whole or not at all: a folder in which nothing could be written can be used again.
    match write_new(&folder.join(Config::FILE), toml::to_string(config)?.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!("{}", is_taken(folder)),
        written => written.with_context(|| {
            format!("cannot write into {}: name another folder with `--out`", Shown(folder.display()))
        }),
    }
}

/// `path,reason` of the files that are left out.
fn skipped(catalogue: &Catalogue) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["path", "reason"])?;
    for skipped in &catalogue.skipped {
        csv.write_record([cell::text(&skipped.name), cell::text(&skipped.reason.to_string())].map(Cow::into_owned))?;
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

/// Says on stderr what is about to happen.
fn announce(config: &Config, catalogue: &Catalogue, split: &Split, sites: &[SiteRecord], folder: &Path) {
    if !catalogue.skipped.is_empty() {
        base::say!("what was left out, file by file: {}", Shown(folder.join("skipped.csv").display()));
    }
    for record in sites.iter().filter(|_| sites.len() > 1) {
        let SiteRecord { name, left_out, train, validation, test, .. } = record;
        let [train, validation, test] = [train, validation, test].map(|[normal, pneumonia]| normal + pneumonia);
        let note = if *left_out { ", left out of the training" } else { "" };
        base::say!("site {name}: {train} train, {validation} validation, {test} test{note}");
    }
    if sites.len() > 1 && config.ages.is_none() {
        base::say!("for which ages the model is meant is not said (`--ages 1-5`): a box will refuse only infants");
    }
    base::say!(
        "split {}: {} train, {} validation, {} test; recipe {}, seed {}",
        split.kind,
        split.train.len(),
        split.validation.len(),
        split.test.len(),
        config.name,
        config.seed
    );
}

impl Config {
    /// What the float model is called.
    fn model_name(&self, synthetic: bool) -> String {
        let synthetic = if synthetic { "synthetic-" } else { "" };
        format!("{synthetic}{}-{}px-seed{}", self.name, self.recipe.side, self.seed)
    }

    /// What the model files say of themselves before they are measured.
    fn card(&self, catalogue: &Catalogue, sites: &[SiteRecord]) -> ModelCard {
        let mut card = ModelCard::new(self.model_name(catalogue.synthetic), self.recipe.contract());
        card.behaviour.point = OperatingPoint::unbanded(self.recipe.threshold);
        card.provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            synthetic: catalogue.synthetic,
            recipe: self.name.clone(),
            seed: self.seed,
            split: self.recipe.split.to_string(),
            data_digest: catalogue.digest().to_string(),
            ages: self.ages,
            sites: sites.to_vec(),
        };
        card
    }

    fn report(
        &self,
        catalogue: &Catalogue,
        split: &Split,
        sites: Vec<SiteRecord>,
        device: &TrainingDevice,
        trained: Trained,
        made: MadeModels,
    ) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            synthetic: catalogue.synthetic,
            data: if self.radiographs.is_empty() {
                format!("{} synthetic radiographs, seed {}", self.images, self.seed)
            } else {
                self.radiographs.words()
            },
            data_digest: catalogue.digest().to_string(),
            skipped: catalogue.files_left_out(),
            train: PartCount::of(catalogue, &split.train),
            validation: PartCount::of(catalogue, &split.validation),
            test: PartCount::of(catalogue, &split.test),
            sites,
            ages: self.ages,
            seed: self.seed,
            name: self.name.clone(),
            recipe: self.recipe.clone(),
            device: device.name().to_owned(),
            parameters: trained.network.parameters(),
            kept_epoch: trained.kept_epoch,
            range_method: made.range_method,
            flips: made.flips,
            models: made.models,
            history: trained.history,
            seconds: trained.seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_name_data_are_given_again() {
        let site = Site { name: "clinic".to_owned(), path: "new/clinic".into() };
        let moved = SitesArgs { data: Some("new/home".into()), sites: vec![site] };
        assert_eq!(again(&moved), " --data new/home --site clinic=new/clinic");
        assert_eq!(again(&SitesArgs { data: None, sites: Vec::new() }), "");
        let site = Site { name: "clinic".to_owned(), path: "it's here".into() };
        let moved = SitesArgs { data: Some("new home".into()), sites: vec![site] };
        assert_eq!(again(&moved), r" --data 'new home' --site clinic='it'\''s here'");
    }

    fn config(plan: &Plan, name: &str) -> Config {
        Config {
            radiographs: SitesArgs { data: None, sites: Vec::new() },
            leave_out: None,
            ages: None,
            images: 20,
            seed: 1,
            name: name.to_owned(),
            device: DeviceChoice::Processor,
            sources: BTreeMap::new(),
            recipe: plan.experiment(name).unwrap().recipe.clone(),
        }
    }

    #[test]
    fn settings_keep_the_device_and_are_as_before_on_the_processor() {
        let processor = config(&Plan::builtin().unwrap(), "adam");
        let graphics = Config { device: DeviceChoice::Graphics(Some(1)), ..processor.clone() };
        let text = |config: &Config| toml::to_string(config).unwrap();
        assert!(!text(&processor).contains("device"), "{}", text(&processor));
        assert!(text(&graphics).contains("device = \"graphics:1\"\n"), "{}", text(&graphics));
        for config in [&processor, &graphics] {
            assert_eq!(&toml::from_str::<Config>(&text(config)).unwrap(), config);
        }
        // A checkpoint of one is not continued on the other.
        let data = Catalogue::default().digest();
        assert_ne!(processor.digest(data, false).unwrap(), graphics.digest(data, false).unwrap());
        assert!(toml::from_str::<Config>(&text(&graphics).replace("graphics:1", "gpu")).is_err());
    }

    #[test]
    fn epochs_are_no_part_of_a_training_that_may_grow() {
        let (plan, catalogue) = (Plan::builtin().unwrap(), Catalogue::default());
        let data = catalogue.digest();
        for (name, grows) in [("adam", true), ("screener", false)] {
            let short = config(&plan, name);
            let mut long = short.clone();
            long.recipe.epochs += 1;
            assert_eq!(short.digest(data, false).unwrap() == long.digest(data, false).unwrap(), grows, "{name}");
            assert_eq!(short.clone().lengthened(Some(long.recipe.epochs)).is_ok(), grows, "{name}");
            assert_eq!(short.clone().lengthened(None).unwrap(), short);
            assert_eq!(short.clone().lengthened(Some(short.recipe.epochs)).unwrap(), short);
            assert_eq!(long.clone().lengthened(Some(short.recipe.epochs)).unwrap_err().exit, Exit::Usage);

            // One of an earlier version, and where the longer training takes its place.
            let folder = tempfile::tempdir().unwrap();
            let mut checkpoint = Checkpoint {
                config: short.digest(data, true).unwrap(),
                step: 0,
                teachers: Vec::new(),
                history: Vec::new(),
                seconds: 0.0,
                weights: Vec::new(),
                best: Vec::new(),
                average: Vec::new(),
                optimizer: Vec::new(),
            };
            let is_known = |config: &Config, checkpoint: &Checkpoint| {
                config.digest_for(Some(checkpoint), &catalogue).unwrap() == checkpoint.config
            };
            assert!(is_known(&short, &checkpoint) && !is_known(&long, &checkpoint), "{name}");
            if grows {
                long.take_over(Some(&mut checkpoint), &catalogue, folder.path()).unwrap();
                assert!(is_known(&short, &checkpoint) && is_known(&long, &checkpoint));
                assert_eq!(Checkpoint::load(&folder.path().join(Checkpoint::FILE)).unwrap(), checkpoint);
                assert_eq!(Config::load(folder.path()).unwrap(), long);
            }
        }
    }

    #[test]
    fn only_what_could_not_be_written_is_said_to_continue() {
        let told = |error: MakeError| {
            let result = or_continue(Err::<(), _>(error), |error| matches!(error, MakeError::Write(_)), "pumua train");
            format!("{:#}", result.unwrap_err())
        };
        assert!(told(MakeError::Write(io::ErrorKind::StorageFull.into())).contains("`pumua train` continues"));
        assert_eq!(told(MakeError::NotCalibrated), MakeError::NotCalibrated.to_string());
    }

    #[test]
    fn a_card_that_no_model_can_have_is_told_by_what_is_wrong_with_it() {
        let recipe = Plan::builtin().unwrap().experiment("adam").unwrap().recipe.clone();
        let card = |name: &str, hospitals: usize| {
            let mut card = ModelCard::new(name.to_owned(), recipe.contract());
            card.provenance.sites = vec![SiteRecord::default(); hospitals];
            check_card(&card).map_err(|error| error.to_string())
        };
        card("adam", 2).unwrap();
        let name = card(&"n".repeat(65), 2).unwrap_err();
        assert!(name.contains("nothing is trained") && name.contains("a recipe of another name"), "{name}");
        let many = card("adam", 1000).unwrap_err();
        assert!(many.contains("fewer hospitals") && !many.contains("recipe"), "{many}");
    }

    #[test]
    fn a_training_begins_anew_only_where_nothing_of_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in [Config::FILE, PARTS, "skipped.csv", ".lock"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(last_checkpoint(folder.path()).unwrap().is_none());
        for name in [EPOCHS, "model-float32.onnx", "synthetic-model-int8.onnx", "report.md"] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            let error = last_checkpoint(folder.path()).unwrap_err().to_string();
            assert!(error.contains("start the training again in another folder"), "{name}: {error}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn parts_are_compared_where_they_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let now = b"path,label,subtype,patient,part,site,age,view\na.png,normal,,a,train,,,\nb.png,normal,,b,test,,,\n";
        assert!(has_parts(folder.path(), now), "no table");
        for (then, same) in [
            ("path,part\ncopy/a.png,train\ncopy/b.png,test\n", true),
            ("path,part\na.png,train\nb.png,validation\n", false),
            ("path,part\na.png,train\n", false),
            ("path,part\na.png\nb.png,test\n", true),
        ] {
            fs::write(folder.path().join(PARTS), then).unwrap();
            assert_eq!(has_parts(folder.path(), now), same, "{then}");
        }
    }
}
