//! Runs experiments, several at a time, each in a folder of its own: `runs/NAME/seed-N` below the study's.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use base::{Shown, calendar::date, files};
use data::{Catalogue, Inputs, PartCount, split::Split};
use measure::{figures::Figures, logistic::sigmoid, statistics::Scored};
use rayon::ThreadPoolBuilder;
use shared::{contract::Fit, verdict::Digest};

use super::{
    Experiment, Measured, Outcome, Record, SetResult,
    display::{Display, Line},
};
use crate::{
    device::{DeviceChoice, TrainingDevice},
    training::{self, Checkpoint, Recipe, Task, Trained, TrainingError, Watcher, judge, metrics_csv},
};

/// One training to be done.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What is tried.
    pub experiment: &'a Experiment,
    /// Its seed.
    pub seed: u64,
}

/// Runs that cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write into {folder}: {source}: free some space, then continue the study", folder = Shown(folder.display()))]
pub struct RunError {
    folder: PathBuf,
    source: io::Error,
}

impl Run<'_> {
    /// The folder of this run below the study's.
    pub fn folder(&self, out: &Path) -> PathBuf {
        out.join("runs").join(&self.experiment.name).join(format!("seed-{}", self.seed))
    }

    /// Digest of recipe, seed and data.
    pub fn fingerprint(&self, catalogue: &Catalogue) -> String {
        self.fingerprint_on(catalogue.digest())
    }

    fn fingerprint_on(&self, data: Digest) -> String {
        // A recipe is plain data: that it cannot be put into TOML does not happen.
        let recipe = toml::to_string(&self.experiment.recipe).unwrap_or_default();
        Digest::of(format!("{recipe}\nseed {}\ndata {data}", self.seed).as_bytes()).to_string()
    }

    /// True if this is the [fingerprint](Self::fingerprint) of this run, also if an earlier version made it.
    fn has_fingerprint(&self, fingerprint: &str, catalogue: &Catalogue) -> bool {
        let digests = [Some(catalogue.digest()), catalogue.former_digest()];
        digests.into_iter().flatten().any(|data| self.fingerprint_on(data) == fingerprint)
    }

    /// What is left of it, if recipe, seed and data are still the same.
    pub fn record(&self, out: &Path, catalogue: &Catalogue) -> Option<Record> {
        Record::load(&self.folder(out)).filter(|record| self.has_fingerprint(&record.fingerprint, catalogue))
    }

    /// True if there are figures of another recipe or other data, whose place this run takes.
    pub fn outdated(&self, out: &Path, catalogue: &Catalogue) -> bool {
        Record::load(&self.folder(out))
            .is_some_and(|record| record.measured().is_some() && !self.has_fingerprint(&record.fingerprint, catalogue))
    }

    /// Where it was stopped, if recipe, seed, data and device are still the same.
    fn checkpoint(&self, folder: &Path, catalogue: &Catalogue, device: DeviceChoice) -> Option<Checkpoint> {
        let checkpoint = Checkpoint::load(&folder.join(Checkpoint::FILE)).ok()?;
        let fingerprint = checkpoint.config.strip_suffix(suffix_for(device).as_str())?;
        self.has_fingerprint(fingerprint, catalogue).then_some(checkpoint)
    }

    /// How much work it is on `images` radiographs, in pixels that are learnt from.
    pub(super) fn pixels(&self, images: usize) -> u128 {
        let Recipe { side, batch, epochs, .. } = self.experiment.recipe;
        let steps = self.experiment.recipe.steps_of(images * 7 / 10);
        let networks = 1 + self.experiment.recipe.teachers();
        [steps, batch, epochs, networks, side.into(), side.into()].map(|factor| factor as u128).iter().product()
    }

    /// The same in images of 64 × 64 pixels.
    pub(super) fn work(&self, images: usize) -> f64 {
        self.pixels(images) as f64 / f64::from(64 * 64)
    }
}

/// What follows the fingerprint in a checkpoint: a run that was trained on two devices would name the last one alone, and on the
/// processor be said to be the same to the bit as others.
fn suffix_for(device: DeviceChoice) -> String {
    match device {
        DeviceChoice::Processor => String::new(),
        DeviceChoice::Graphics(_) | DeviceChoice::Cuda(_) => format!(" on {device}"),
    }
}

/// Inputs by their side and how radiographs were fitted into it.
pub type Sets = BTreeMap<(u16, Fit), Inputs>;

/// What all runs of a study have in common.
#[derive(Clone, Copy)]
pub struct Common<'a> {
    /// The truth about the radiographs.
    pub catalogue: &'a Catalogue,
    /// The radiographs, at each side and fit that a recipe asks for.
    pub inputs: &'a Sets,
    /// What computes.
    pub device: &'a TrainingDevice,
}

/// Does the runs, `jobs` at a time, in their order; each begins where it was stopped, if it was. A run that fails does
/// not stop the others. Ends early when `stop` is raised.
pub fn run_all(
    runs: &[Run<'_>],
    common: Common<'_>,
    out: &Path,
    jobs: usize,
    stop: &AtomicBool,
    display: &Display,
) -> Result<(), RunError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.clamp(1, runs.len().max(1));
    let threads = (cores / jobs).max(1);
    let queue: Mutex<VecDeque<&Run<'_>>> = Mutex::new(runs.iter().collect());
    let fault: Mutex<Option<RunError>> = Mutex::new(None);
    let halt = Halt { asked: stop, raised: AtomicBool::new(false) };
    let next = || {
        if halt.look() { None } else { queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() }
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(run) = next() {
                    let Recipe { side, fit, .. } = run.experiment.recipe;
                    let Some(inputs) = common.inputs.get(&(side, fit)) else { continue };
                    let line = display.begin(run);
                    let folder = run.folder(out);
                    match one(run, common, inputs, &folder, threads, &halt, line) {
                        Ok(record) => display.end(run, record.as_ref()),
                        Err(source) => {
                            halt.raised.store(true, Ordering::Relaxed);
                            *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(RunError { folder, source });
                        }
                    }
                }
            });
        }
    });
    fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Stops all runs: when it is asked for, or when one cannot be kept.
struct Halt<'a> {
    asked: &'a AtomicBool,
    raised: AtomicBool,
}

impl Halt<'_> {
    fn look(&self) -> bool {
        self.raised.fetch_or(self.asked.load(Ordering::Relaxed), Ordering::Relaxed);
        self.raised.load(Ordering::Relaxed)
    }
}

/// Does one run and keeps its record; `None` if it was stopped.
fn one(
    run: &Run<'_>,
    common: Common<'_>,
    inputs: &Inputs,
    folder: &Path,
    threads: usize,
    halt: &Halt<'_>,
    line: Line<'_>,
) -> io::Result<Option<Record>> {
    let Common { catalogue, device, .. } = common;
    fs::create_dir_all(folder)?;
    let recipe = toml::to_string(&run.experiment.recipe).map_err(io::Error::other)?;
    files::write_atomically(&folder.join("recipe.toml"), recipe.as_bytes())?;
    let fingerprint = run.fingerprint(catalogue);
    let work = AssertUnwindSafe(|| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Failure::Run(error.to_string()))?;
        pool.install(|| measure(run, common, inputs, &fingerprint, folder, halt, line))
    });
    let outcome = match catch_unwind(work) {
        Ok(Ok(Some(measured))) => Outcome::Done(Box::new(measured)),
        Ok(Ok(None)) => return Ok(None),
        Ok(Err(Failure::Disk(error))) => return Err(error),
        Ok(Err(Failure::Run(words))) => Outcome::Failed(words),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Outcome::Failed(format!("the program failed: {words}"))
        }
    };
    let record = Record {
        experiment: run.experiment.name.clone(),
        seed: run.seed,
        fingerprint,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        date: date(),
        machine: device.name().to_owned(),
        threads,
        data_digest: catalogue.digest().to_string(),
        synthetic: catalogue.synthetic,
        recipe: run.experiment.recipe.clone(),
        outcome,
    };
    record.save(folder)?;
    if record.measured().is_none() {
        // Where it failed is where it continues if it is tried again.
        return Ok(Some(record));
    }
    match fs::remove_file(folder.join(Checkpoint::FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Some(record)),
    }
}

/// Why a run has no figures.
enum Failure {
    /// Nothing can be kept: no other run can be, either.
    Disk(io::Error),
    /// This one cannot be done.
    Run(String),
}

impl From<TrainingError> for Failure {
    fn from(error: TrainingError) -> Self {
        match error {
            TrainingError::Checkpoint(error) => Self::Disk(error),
            other => Self::Run(other.to_string()),
        }
    }
}

/// Trains and measures; `None` if it was stopped.
fn measure(
    run: &Run<'_>,
    common: Common<'_>,
    inputs: &Inputs,
    fingerprint: &str,
    folder: &Path,
    halt: &Halt<'_>,
    line: Line<'_>,
) -> Result<Option<Measured>, Failure> {
    let Common { catalogue, device, .. } = common;
    let recipe = &run.experiment.recipe;
    let split = Split::new(catalogue, recipe.split, run.seed).map_err(|error| Failure::Run(error.to_string()))?;
    let from = run.checkpoint(folder, catalogue, device.choice());
    let config = match &from {
        Some(checkpoint) => checkpoint.config.clone(),
        None => format!("{fingerprint}{}", suffix_for(device.choice())),
    };
    let task = Task { recipe, seed: run.seed, catalogue, inputs, split: &split, device, config };
    let mut keeper = Keeper { folder, recipe, line, halt };
    keeper.line.resumes(from.as_ref().map_or(0, |checkpoint| epochs_done(checkpoint, recipe)));
    let outcome = match training::train(&task, from, &halt.raised, &mut keeper) {
        // A checkpoint that cannot be continued is as good as none.
        Err(TrainingError::OtherTraining | TrainingError::Optimizer(_)) => {
            keeper.line.restarts();
            training::train(&task, None, &halt.raised, &mut keeper)
        }
        outcome => outcome,
    };
    let trained = match outcome? {
        training::Outcome::Done(trained) => *trained,
        training::Outcome::Stopped => return Ok(None),
    };
    let (train, _) = on_set(&trained, recipe, catalogue, inputs, &split.train)?;
    let (test, test_scores) = on_set(&trained, recipe, catalogue, inputs, &split.test)?;
    if !(train.loss.is_finite() && test.loss.is_finite()) {
        return Err(TrainingError::Diverged(trained.kept_epoch).into());
    }
    Ok(Some(Measured {
        parameters: trained.network.parameters(),
        parts: [&split.train, &split.validation, &split.test].map(|part| PartCount::of(catalogue, part)),
        seconds: trained.seconds,
        history: trained.history,
        kept_epoch: trained.kept_epoch,
        train,
        test,
        test_scores,
    }))
}

/// How the network does on the images named, and what that was computed from.
fn on_set(
    trained: &Trained,
    recipe: &Recipe,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
) -> Result<(SetResult, Vec<Scored>), TrainingError> {
    let logits = judge(&trained.network, inputs, indices)?;
    let cross_entropy = training::cross_entropy(&logits, catalogue, indices);
    let scored: Vec<Scored> = logits
        .iter()
        .zip(indices)
        .map(|(&logit, &i)| Scored { positive: catalogue.samples[i].label.positive(), probability: sigmoid(logit) })
        .collect();
    let figures = Figures::of(&scored, recipe.threshold);
    let loss = cross_entropy + training::l2_term(&trained.network, recipe);
    Ok((SetResult { loss, cross_entropy, figures }, scored))
}

/// Epochs behind a checkpoint, the teachers' among them.
fn epochs_done(checkpoint: &Checkpoint, recipe: &Recipe) -> usize {
    checkpoint.teachers.len() * recipe.epochs + checkpoint.history.len()
}

/// Keeps the state after every epoch.
struct Keeper<'a> {
    folder: &'a Path,
    recipe: &'a Recipe,
    line: Line<'a>,
    halt: &'a Halt<'a>,
}

impl Watcher for Keeper<'_> {
    fn step(&mut self, progress: &training::Progress) {
        self.line.step(progress);
        self.halt.look();
    }

    fn epoch(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        files::write_atomically(&self.folder.join("metrics.csv"), metrics_csv(&checkpoint.history)?.as_bytes())?;
        checkpoint.save(&self.folder.join(Checkpoint::FILE))?;
        if !checkpoint.history.is_empty() {
            self.line.epoch(epochs_done(checkpoint, self.recipe));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use data::{Label, Sample};

    use super::*;
    use crate::study::Plan;

    fn named(name: &str) -> Catalogue {
        Catalogue { samples: vec![Sample::new(name, Label::Normal, "person1")], ..Catalogue::default() }
    }

    fn checkpoint(config: String) -> Checkpoint {
        Checkpoint {
            config,
            step: 0,
            teachers: Vec::new(),
            history: Vec::new(),
            seconds: 0.0,
            weights: Vec::new(),
            best: Vec::new(),
            average: Vec::new(),
            optimizer: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_continued_on_its_own_device() {
        let (plan, catalogue) = (Plan::builtin().unwrap(), named("NORMAL/a.png"));
        let run = Run { experiment: plan.experiment("adam").unwrap(), seed: 1 };
        let folder = tempfile::tempdir().unwrap();
        let devices = ["processor", "graphics", "graphics:0", "graphics:1", "cuda", "cuda:1"]
            .map(|text| text.parse::<DeviceChoice>().unwrap());
        // Earlier versions knew the processor alone.
        assert_eq!(suffix_for(DeviceChoice::Processor), "");
        for stopped in devices {
            let config = format!("{}{}", run.fingerprint(&catalogue), suffix_for(stopped));
            checkpoint(config).save(&folder.path().join(Checkpoint::FILE)).unwrap();
            for device in devices {
                let found = run.checkpoint(folder.path(), &catalogue, device).is_some();
                assert_eq!(found, device == stopped, "{stopped}, then {device}");
            }
        }
    }

    #[test]
    fn runs_on_data_with_a_copied_folder_are_known_by_the_names_of_earlier_versions() {
        let plan = Plan::builtin().unwrap();
        let run = Run { experiment: plan.experiment("adam").unwrap(), seed: 1 };
        let (before, other) = (named("copy/NORMAL/a.png"), named("NORMAL/b.png"));
        let now = Catalogue { former_names: vec!["copy/NORMAL/a.png".to_owned()], ..named("NORMAL/a.png") };
        let out = tempfile::tempdir().unwrap();
        let folder = run.folder(out.path());
        fs::create_dir_all(&folder).unwrap();
        let record = |catalogue: &Catalogue| Record {
            experiment: run.experiment.name.clone(),
            seed: run.seed,
            fingerprint: run.fingerprint(catalogue),
            version: String::new(),
            date: String::new(),
            machine: String::new(),
            threads: 1,
            data_digest: catalogue.digest().to_string(),
            synthetic: false,
            recipe: run.experiment.recipe.clone(),
            outcome: Outcome::Failed("it was stopped".to_owned()),
        };
        assert_ne!(run.fingerprint(&before), run.fingerprint(&now));
        for (made_on, known) in [(&before, true), (&now, true), (&other, false)] {
            record(made_on).save(&folder).unwrap();
            checkpoint(run.fingerprint(made_on)).save(&folder.join(Checkpoint::FILE)).unwrap();
            assert_eq!(run.record(out.path(), &now).is_some(), known);
            let found = run.checkpoint(&folder, &now, DeviceChoice::Processor).map(|checkpoint| checkpoint.config);
            assert_eq!(found, known.then(|| run.fingerprint(made_on)));
        }
    }
}
