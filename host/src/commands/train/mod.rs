//! `pumua train`: trains a model, quantizes it, evaluates both and writes a report.

mod config;
mod folder;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use base::{
    Shown,
    files::{OutputFolder, write_atomically},
    interrupt, progress,
};
use data::{
    Catalogue, Site,
    split::{Split, SplitKind},
};
use engine::{CardError, ModelCard, SiteRecord};
use indicatif::ProgressBar;
use learn::{
    device::DeviceChoice,
    training::{self, Checkpoint, Outcome, Task, TrainingError, Watcher},
};
use produce::models::{self, MakeError};
use report::training::ReportError;
use shared::{age::Ages, limits::MODEL_SIDE};

use self::{
    config::Config,
    folder::{EPOCHS, PARTS, check_folder, default_folder, has_parts, last_checkpoint, skipped, start_folder},
};
use super::{or_continue, quoted, sites::SitesArgs, study::lock_folder};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Longest text that says where radiographs are from, in bytes.
const MAX_SOURCE: usize = 500;

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
    /// Seed for split, initial weights and shuffling; on the processor the same seed gives the same model, on graphics processors
    /// about the same
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    seed: u64,
    /// What to train on: `processor`, `graphics` or `cuda`, or one of several such as `graphics:1` or `cuda:1`. Which of them a
    /// program has is chosen when it is built
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

/// A site and where it is from.
fn source(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, source)) if !source.trim().is_empty() && source.len() <= MAX_SOURCE => {
            Ok((name.to_owned(), source.trim().to_owned()))
        }
        _ => Err(format!("give NAME=TEXT, of at most {MAX_SOURCE} bytes")),
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
            for model in &report.models {
                super::drop_old_signature(&folder.join(&model.file), &model.digest)?;
            }
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

/// The options that name the data, to be given again.
fn again(SitesArgs { data, sites }: &SitesArgs) -> String {
    let data = data.iter().map(|path| format!(" --data {}", quoted(path)));
    let sites = sites.iter().map(|Site { name, path }| format!(" --site {name}={}", quoted(path)));
    data.chain(sites).collect()
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

#[cfg(test)]
mod tests {
    use learn::study::Plan;

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
}
