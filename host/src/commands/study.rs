//! `pumua study`: the experiments of the study and those that it left open, and one report of them all.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    env,
    ffi::OsString,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, bail, ensure};
use base::{
    Shown,
    calendar::{compact_utc, date, now},
    files::{self, OutputFolder, read_text, write_atomically},
    interrupt,
};
use data::{
    Catalogue, Inputs, Label, Part, PartCount,
    machines::{self, MACHINES},
    synthetic,
};
use learn::study::{Display, Experiment, Plan, Record, Run, Sets, run_all};
use report::{
    NOT_A_DEVICE, SYNTHETIC,
    study::{self, About, ReportError},
};
use serde::{Deserialize, Serialize};
use shared::contract::InputContract;

use super::{or_continue, quoted, sites::tell, started_as};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Synthetic radiographs, unless another number is asked for.
const DRAWN: u64 = 1000;

/// Synthetic radiographs are drawn from this seed.
const SYNTHETIC_SEED: u64 = 1;

/// Most bytes of the file that says where the radiographs are.
const MAX_SOURCE: u64 = 1 << 20;

/// Name of the file that is locked while something runs in a folder.
const LOCK: &str = ".lock";

/// Options of `pumua study`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Radiographs: a folder or ZIP archive with NORMAL/ and PNEUMONIA/ in it, or train/, val/ and test/ with both in
    /// each; without it, synthetic ones are drawn
    #[arg(long, value_name = "DIR|ZIP")]
    data: Option<PathBuf>,
    /// How many synthetic radiographs to draw [default: 1000]
    #[arg(long, conflicts_with = "data", value_parser = clap::value_parser!(u64).range(20..=100_000))]
    images: Option<u64>,
    /// Folder for the runs and the report [default: runs/TIME-study]
    #[arg(long, value_name = "DIR")]
    out: Option<OutputFolder>,
    /// Continue with what is in the folder, on its data; finished runs are kept unless their recipe or the data have
    /// changed
    #[arg(long, requires = "out")]
    resume: bool,
    /// Only these experiments, or groups of experiments
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Recipes of your own, in TOML; may be given several times
    #[arg(long, alias = "recipe", value_name = "FILE")]
    recipes: Vec<PathBuf>,
    /// At most this many runs of each experiment, with the seeds 1, 2, 3 … or its own; each seed gives another split, start
    /// and order
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Runs at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// List the experiments and exit
    #[arg(long)]
    list: bool,
    /// Print one JSON object for each experiment (with --list) or run
    #[arg(long)]
    json: bool,
}

/// Where the radiographs of a study come from, kept in its folder as `study.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Source {
    /// The folder or archive, from the root on; without it, synthetic radiographs.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "data::path_text::option")]
    data: Option<PathBuf>,
    /// Number of synthetic radiographs.
    images: u64,
}

impl Source {
    const FILE: &'static str = "study.toml";

    /// What the options name; where they name nothing, what the folder was started with.
    fn new(options: &Options, folder: &Path) -> anyhow::Result<Self> {
        if let (true, None, None) = (options.resume, &options.data, options.images) {
            let path = folder.join(Self::FILE);
            let text = read_text(&path, MAX_SOURCE)
                .with_context(|| format!("cannot read {}: give `--data` or `--images`", Shown(path.display())))?;
            return toml::from_str(&text)
                .with_context(|| format!("{} was changed: give `--data` or `--images`", Shown(path.display())));
        }
        Ok(Self {
            data: options.data.as_deref().map(super::absolute).transpose()?,
            images: options.images.unwrap_or(DRAWN),
        })
    }

    fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        write_atomically(&folder.join(Self::FILE), toml::to_string(self)?.as_bytes())
            .with_context(|| format!("cannot write into {}", Shown(folder.display())))
    }

    /// The inputs at each side and fit that the runs ask for; those of `first` are there already.
    fn inputs(&self, runs: &[Run<'_>], catalogue: &Catalogue, first: Inputs) -> anyhow::Result<Sets> {
        let mut sets = BTreeMap::from([((first.contract().side, first.contract().fit), first)]);
        for Run { experiment: Experiment { recipe, .. }, .. } in runs {
            if let Entry::Vacant(place) = sets.entry((recipe.side, recipe.fit)) {
                let (again, inputs) = self.load(&recipe.contract())?;
                ensure!(
                    again.digest() == catalogue.digest(),
                    "the radiographs changed while they were read: start again"
                );
                place.insert(inputs);
            }
        }
        Ok(sets)
    }

    fn load(&self, contract: &InputContract) -> anyhow::Result<(Catalogue, Inputs)> {
        Ok(match &self.data {
            Some(path) => data::load(path, contract)?,
            None => synthetic::radiographs(self.images, SYNTHETIC_SEED, contract)?,
        })
    }
}

/// Runs the experiments and writes their report.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let plan = Plan::with_files(&options.recipes)?;
    let chosen = chosen(&plan, &options.only)?;
    if options.list {
        list(&plan, &chosen, &options)?;
        return Ok(Exit::Done);
    }
    if let Some(out) = &options.out {
        let read: Vec<&Path> = options.recipes.iter().chain(&options.data).map(PathBuf::as_path).collect();
        super::check_outputs(&read, &[], &[out])?;
        check_folder(out, options.resume)?;
    }
    let wanted = wanted(&chosen, options.seeds);
    let [first, ..] = wanted.as_slice() else { return Ok(Exit::Done) };
    let out = options.out.as_ref().map_or_else(default_folder, |out| Ok(out.to_path_buf()))?;
    let source = Source::new(&options, &out)?;
    let _lock = lock_folder(&out, "study")?;
    let (mut catalogue, inputs) = source.load(&first.experiment.recipe.contract())?;
    if wanted.iter().any(|run| run.experiment.recipe.wants_machines()) {
        machines::find(&mut catalogue, &source.load(&machines::CONTRACT)?, MACHINES).map_err(anyhow::Error::from)?;
    }
    announce(&source, &catalogue, wanted.len(), &out);
    catalogue.require_both_labels()?;
    source.keep(&out)?;

    let done = |run: &Run<'_>| run.record(&out, &catalogue).is_some_and(|record| record.measured().is_some());
    let todo: Vec<Run<'_>> = wanted.iter().copied().filter(|run| !done(run)).collect();
    let outdated = todo.iter().filter(|run| run.outdated(&out, &catalogue)).count();
    if outdated > 0 {
        base::say!("{outdated} of them are there already, but of another recipe or other data: they are done again");
    }
    let inputs = source.inputs(&todo, &catalogue, inputs)?;
    let stop = interrupt::listen();
    let display = Display::new(&todo, wanted.len() - todo.len(), catalogue.samples.len());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let ended = run_all(&todo, &catalogue, &inputs, &out, options.jobs.map_or(cores, usize::from), stop, &display);
    display.finish();
    let stopped = interrupt::asked();

    let (part, records) = found(&plan, &wanted, &out, &catalogue);
    let runs: BTreeSet<(&str, u64)> = wanted
        .iter()
        .map(|run| (run.experiment.name.as_str(), run.seed))
        .chain(records.iter().map(|record| (record.experiment.as_str(), record.seed)))
        .collect();
    let command = continuing(env::args_os().skip(1), &options, &out);
    let written = study::write(&part, &records, &about(&source, &catalogue, runs.len()), &out);
    // First what came first: a report of a full disk cannot be written, either.
    or_continue(ended, |_| true, &command)?;
    or_continue(written, |error| matches!(error, ReportError::Write(_)), &command)?;
    let mut stdout = io::stdout().lock();
    if options.json {
        for record in &records {
            writeln!(stdout, "{}", output::escaped(&serde_json::to_string(record)?))?;
        }
    } else {
        writeln!(stdout, "{}", Shown(out.join("report.html").display()))?;
    }
    if stopped {
        base::say!(
            "stopped after {} of {} runs; to continue: {command}",
            wanted.iter().filter(|run| done(run)).count(),
            wanted.len()
        );
        return Ok(Exit::Interrupted);
    }
    let failed = wanted.iter().filter(|run| !done(run)).count();
    if failed > 0 {
        base::say!("{failed} of {} runs failed; the report says why", wanted.len());
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// The command that continues a study: its own `arguments` again, since the folder remembers only where the radiographs are.
fn continuing(arguments: impl Iterator<Item = OsString>, options: &Options, out: &Path) -> String {
    let mut words = vec![started_as()];
    words.extend(arguments.map(quoted));
    if options.out.is_none() {
        words.extend(["--out".to_owned(), quoted(out)]);
    }
    if !options.resume {
        words.push("--resume".to_owned());
    }
    words.join(" ")
}

/// The runs that are wanted. Every experiment gets its first seed before any gets its second: anyone who stops early has
/// seen everything once.
fn wanted<'a>(chosen: &[&'a Experiment], seeds: u64) -> Vec<Run<'a>> {
    let seed_of = |experiment: &Experiment, round: u64| match &experiment.seeds {
        Some(seeds) => seeds.get(round as usize).copied(),
        None => Some(round + 1),
    };
    (0..seeds)
        .flat_map(|round| {
            chosen.iter().filter_map(move |&experiment| Some(Run { experiment, seed: seed_of(experiment, round)? }))
        })
        .collect()
}

/// All records that the folder holds of the plan, and the part of the plan that is to be reported: what is wanted now, and
/// what was recorded before.
fn found(plan: &Plan, wanted: &[Run<'_>], out: &Path, catalogue: &Catalogue) -> (Plan, Vec<Record>) {
    let mut records = Vec::new();
    for experiment in &plan.experiments {
        let seeds = fs::read_dir(Run { experiment, seed: 0 }.folder(out).with_file_name("")).into_iter().flatten();
        let mut seeds: Vec<u64> =
            seeds.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("seed-")?.parse().ok()).collect();
        seeds.sort_unstable();
        records.extend(seeds.into_iter().filter_map(|seed| Run { experiment, seed }.record(out, catalogue)));
    }
    let shown: BTreeSet<&str> = wanted
        .iter()
        .map(|run| run.experiment.name.as_str())
        .chain(records.iter().map(|record| record.experiment.as_str()))
        .collect();
    let mut part = plan.clone();
    part.experiments.retain(|experiment| shown.contains(experiment.name.as_str()));
    part.groups.retain(|group| part.experiments.iter().any(|experiment| experiment.group == group.name));
    for comparison in &mut part.comparisons {
        let first = comparison.experiments.first().is_some_and(|name| shown.contains(name.as_str()));
        comparison.experiments.retain(|name| first && shown.contains(name.as_str()));
    }
    part.comparisons.retain(|comparison| comparison.experiments.len() > 1);
    (part, records)
}

fn about(source: &Source, catalogue: &Catalogue, runs: usize) -> About {
    let mut notes = Vec::new();
    let official: BTreeSet<Part> = catalogue.samples.iter().filter_map(|sample| sample.official).collect();
    if !catalogue.synthetic && !official.is_empty() && !official.contains(&Part::Test) {
        notes.push(
            "The publishers' test folder is not among the data. The images present were split again in the study's \
             proportions, 70/15/15."
                .to_owned(),
        );
    }
    About {
        data: match &source.data {
            // The report may be sent to anybody: where this computer keeps its files is nobody's business.
            Some(path) => path.file_name().unwrap_or(path.as_os_str()).display().to_string(),
            None => format!("{} synthetic radiographs, seed {SYNTHETIC_SEED}", source.images),
        },
        notes,
        runs,
        images: PartCount { normal: catalogue.count(Label::Normal), pneumonia: catalogue.count(Label::Pneumonia) },
        skipped: catalogue.files_left_out(),
        synthetic: catalogue.synthetic,
        date: date(),
    }
}

/// The experiments that are asked for by their own names or those of their groups; all but those on request if none is.
fn chosen<'a>(plan: &'a Plan, only: &[String]) -> anyhow::Result<Vec<&'a Experiment>> {
    if let Some(unknown) =
        only.iter().find(|name| !plan.experiments.iter().any(|e| e.name == **name || e.group == **name))
    {
        let command = started_as();
        bail!("there is no experiment and no group `{}`: `{command} study --list` names them", Shown(unknown));
    }
    let chosen: Vec<&Experiment> = plan
        .experiments
        .iter()
        .filter(|e| match only {
            [] => !e.on_request,
            names => names.contains(&e.name) || (names.contains(&e.group) && !e.on_request),
        })
        .collect();
    ensure!(!chosen.is_empty(), "all experiments of {} run only if they are named themselves", only.join(" and "));
    Ok(chosen)
}

fn list(plan: &Plan, chosen: &[&Experiment], options: &Options) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let shown = |e: &&Experiment| chosen.iter().any(|c| c.name == e.name) || options.only.is_empty();
    let listed: Vec<&Experiment> = plan.experiments.iter().filter(shown).collect();
    if options.json {
        for experiment in listed {
            writeln!(out, "{}", output::escaped(&serde_json::to_string(experiment)?))?;
        }
        return Ok(());
    }
    for group in &plan.groups {
        let mut members = listed.iter().filter(|e| e.group == group.name).peekable();
        if members.peek().is_none() {
            continue;
        }
        writeln!(out, "{}: {}", group.name, Shown(&group.title))?;
        for experiment in members {
            let request = if experiment.on_request { " (only if named)" } else { "" };
            writeln!(out, "  {:<26} {}{request}", experiment.name, Shown(&experiment.title))?;
        }
    }
    Ok(())
}

/// A new folder `runs/20260131-142500-study`, the time in UTC; the second one of a second has `-2` behind, and so on.
fn default_folder() -> anyhow::Result<PathBuf> {
    let folder = Path::new("runs").join(format!("{}-study", compact_utc(now())));
    files::new_folder(&folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", Shown(folder.display())))
}

/// Refuses a folder that is not for this study, before anything is made or read.
fn check_folder(folder: &Path, resume: bool) -> anyhow::Result<()> {
    if resume {
        ensure!(
            folder.join(Source::FILE).is_file(),
            "{} does not hold a study to continue: name the folder of one with `--out`, or leave out `--resume`",
            Shown(folder.display())
        );
        return Ok(());
    }
    // A folder that is not there yet, or that cannot be read, is left to the code that makes it.
    let holds_files = fs::read_dir(folder)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)));
    ensure!(
        !holds_files,
        "{} is not empty: name another folder with `--out`, or continue its study with `--resume`",
        Shown(folder.display())
    );
    Ok(())
}

/// Makes the folder if it is not there; the lock keeps others out as long as it lives. `what` runs there: a study or a training.
pub(super) fn lock_folder(folder: &Path, what: &str) -> anyhow::Result<File> {
    let advice = || format!("cannot write into {}: free some space, or name another folder", Shown(folder.display()));
    fs::create_dir_all(folder).with_context(advice)?;
    match files::lock(&folder.join(LOCK)) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("another {what} is running in {}: wait for it, or name another folder", Shown(folder.display()))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(advice),
    }
}

/// Says on stderr what is about to happen.
fn announce(source: &Source, catalogue: &Catalogue, runs: usize, out: &Path) {
    let (normal, pneumonia) = (catalogue.count(Label::Normal), catalogue.count(Label::Pneumonia));
    match &source.data {
        Some(path) => tell(&path.display().to_string(), catalogue),
        None => base::say!("{normal} + {pneumonia} synthetic radiographs; for real ones: --data DIR-or-ZIP"),
    }
    if catalogue.synthetic {
        base::say!("{SYNTHETIC}");
    }
    base::say!("{NOT_A_DEVICE}");
    base::say!("{runs} runs in {}", Shown(out.display()));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_study_is_continued_by_its_own_options_in_its_folder() {
        let advised = |line: &[&str]| {
            let options = Line::parse_from(line).options;
            continuing(line.iter().map(OsString::from), &options, Path::new("runs/of today"))
        };
        for (line, expected) in [
            (&["study"][..], "study --out 'runs/of today' --resume"),
            (
                &["study", "--data", "my films", "--seeds", "2"],
                "--data 'my films' --seeds 2 --out 'runs/of today' --resume",
            ),
            (
                &["study", "--out", "runs/of today", "--only", "adam"],
                "study --out 'runs/of today' --only adam --resume",
            ),
            (&["study", "--out", "runs/of today", "--resume"], "study --out 'runs/of today' --resume"),
        ] {
            assert!(advised(line).ends_with(expected), "{}", advised(line));
        }
    }
}
