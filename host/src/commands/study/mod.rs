//! `pumua study`: the experiments of the study and those that it left open, and one report of them all.

mod again;
mod folder;
mod parts;
mod results;
mod source;

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{bail, ensure};
use base::{Shown, files::OutputFolder, interrupt};
use data::{
    Catalogue, Inputs, Label,
    machines::{self, MACHINES},
};
use learn::{
    device::{DeviceChoice, TrainingDevice},
    study::{Common, Display, Division, Experiment, Plan, Record, Run, RunError, StudyPart, run_all},
};
use report::{
    NOT_A_DEVICE, SYNTHETIC,
    study::{self, ReportError},
};

pub(super) use self::folder::lock_folder;
use self::{
    folder::{check_divided, check_folder, default_folder},
    results::{about, found},
    source::Source,
};
use super::{or_continue, sites::tell, started_as};
use crate::{
    exit::{Exit, Failure},
    output,
};

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
    /// Do only part I of N of the runs: for N computers that share the folder. Start a part again to continue it
    #[arg(long, value_name = "I/N", requires = "out", conflicts_with_all = ["resume", "merge"])]
    part: Option<StudyPart>,
    /// Check that all parts are there and write their report; the other options are those that the parts had
    #[arg(long, requires = "out", conflicts_with = "resume")]
    merge: bool,
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
    /// What to train on: `processor`, `graphics` or `cuda`, or one of several such as `graphics:1` or `cuda:1`. Which of them a
    /// program has is chosen when it is built
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Processor)]
    device: DeviceChoice,
    /// List the experiments and exit
    #[arg(long)]
    list: bool,
    /// Print one JSON object for each experiment (with --list) or run
    #[arg(long)]
    json: bool,
}

/// A study that is about to be run, in whole or in part.
struct Study<'a> {
    options: &'a Options,
    plan: &'a Plan,
    /// All runs that are asked for.
    wanted: &'a [Run<'a>],
    source: Source,
    catalogue: Catalogue,
    device: TrainingDevice,
    out: &'a Path,
}

/// Runs the experiments and writes their report.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let plan = Plan::with_files(&options.recipes)?;
    let chosen = chosen(&plan, &options.only)?;
    if options.list {
        list(&plan, &chosen, &options)?;
        return Ok(Exit::Done);
    }
    let is_divided = options.part.is_some() || options.merge;
    if let Some(out) = &options.out {
        let read: Vec<&Path> = options.recipes.iter().chain(&options.data).map(PathBuf::as_path).collect();
        super::check_outputs(&read, &[], &[out])?;
        if is_divided { check_divided(out)? } else { check_folder(out, options.resume)? }
    }
    let wanted = wanted(&chosen, options.seeds);
    let [first, ..] = wanted.as_slice() else { return Ok(Exit::Done) };
    let out = options.out.as_ref().map_or_else(default_folder, |out| Ok(out.to_path_buf()))?;
    // Before the radiographs are decoded, which may take minutes.
    let parts = if options.merge { Some(Division::parts_in(&out)?) } else { None };
    // Those who put parts together train nothing.
    let choice = if options.merge { DeviceChoice::Processor } else { options.device };
    let device = choice.open()?;
    let source = Source::new(&options, &out)?;
    // Parts write no file of each other's, and a lock on a network drive may outlive the computer that held it.
    let _lock = if is_divided { None } else { Some(lock_folder(&out, "study")?) };
    let (mut catalogue, inputs) = source.load(&first.experiment.recipe.contract())?;
    // Machines are for those who train.
    if parts.is_none() && wanted.iter().any(|run| run.experiment.recipe.wants_machines()) {
        machines::find(&mut catalogue, &source.load(&machines::CONTRACT)?, MACHINES).map_err(anyhow::Error::from)?;
    }
    let study = Study { options: &options, plan: &plan, wanted: &wanted, source, catalogue, device, out: &out };
    match (parts, options.part) {
        (Some(parts), _) => study.merge(parts),
        (None, Some(part)) => study.part(part, inputs),
        (None, None) => study.whole(inputs),
    }
}

impl Study<'_> {
    /// All of it, and the report.
    fn whole(&self, inputs: Inputs) -> Result<Exit, Failure> {
        self.announce(&format!("{} runs", self.wanted.len()));
        self.catalogue.require_both_labels()?;
        self.source.keep(self.out)?;
        let command = again::continuing(self.options, self.out);
        let ended = self.train(self.wanted, inputs)?;
        let (records, written) = self.report();
        // First what came first: a report of a full disk cannot be written, either.
        or_continue(ended, |_| true, &command)?;
        or_continue(written, |error| matches!(error, ReportError::Write(_)), &command)?;
        self.print(&records)?;
        Ok(self.end(self.wanted, &command, "the report says why"))
    }

    /// Does those of the runs that are not done yet. The inner error is one of writing.
    fn train(&self, runs: &[Run<'_>], inputs: Inputs) -> anyhow::Result<Result<(), RunError>> {
        let Self { catalogue, device, out, .. } = self;
        let todo: Vec<Run<'_>> = runs.iter().copied().filter(|run| !self.is_done(run)).collect();
        let outdated = todo.iter().filter(|run| run.outdated(out, catalogue)).count();
        if outdated > 0 {
            base::say!(
                "{outdated} of them are there already, but of another recipe or other data: they are done again"
            );
        }
        let inputs = self.source.inputs(&todo, catalogue, inputs)?;
        let stop = interrupt::listen();
        let display = Display::new(&todo, runs.len() - todo.len(), catalogue.samples.len());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.options.jobs.map_or(cores, usize::from);
        let common = Common { catalogue, inputs: &inputs, device };
        let ended = run_all(&todo, common, out, jobs, stop, &display);
        display.finish();
        Ok(ended)
    }

    fn is_done(&self, run: &Run<'_>) -> bool {
        run.record(self.out, &self.catalogue).is_some_and(|record| record.measured().is_some())
    }

    /// Writes the report of all that the folder holds, and gives the records that it is of.
    fn report(&self) -> (Vec<Record>, Result<(), ReportError>) {
        let (part, records) = found(self.plan, self.wanted, self.out, &self.catalogue);
        let runs: BTreeSet<(&str, u64)> = self
            .wanted
            .iter()
            .map(|run| (run.experiment.name.as_str(), run.seed))
            .chain(records.iter().map(|record| (record.experiment.as_str(), record.seed)))
            .collect();
        let written = study::write(&part, &records, &about(&self.source, &self.catalogue, runs.len()), self.out);
        (records, written)
    }

    /// Prints the records, or where the report is.
    fn print(&self, records: &[Record]) -> anyhow::Result<()> {
        if self.options.json {
            return print_records(records);
        }
        Ok(writeln!(io::stdout().lock(), "{}", Shown(self.out.join("report.html").display()))?)
    }

    /// How these runs ended. `command` continues them, `why` says where it is said why one failed.
    fn end(&self, runs: &[Run<'_>], command: &str, why: &str) -> Exit {
        let done = runs.iter().filter(|run| self.is_done(run)).count();
        if interrupt::asked() {
            base::say!("stopped after {done} of {} runs; to continue: {command}", runs.len());
            Exit::Interrupted
        } else if done < runs.len() {
            base::say!("{} of {} runs failed; {why}", runs.len() - done, runs.len());
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    /// Says on stderr what is about to happen.
    fn announce(&self, runs: &str) {
        let Self { source, catalogue, .. } = self;
        let (normal, pneumonia) = (catalogue.count(Label::Normal), catalogue.count(Label::Pneumonia));
        match &source.data {
            Some(path) => tell(&path.display().to_string(), catalogue),
            None => base::say!("{normal} + {pneumonia} synthetic radiographs; for real ones: --data DIR-or-ZIP"),
        }
        if catalogue.synthetic {
            base::say!("{SYNTHETIC}");
        }
        base::say!("{NOT_A_DEVICE}");
        base::say!("{runs} in {}", Shown(self.out.display()));
    }
}

/// Prints a line of JSON for each record.
fn print_records(records: &[Record]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    for record in records {
        writeln!(stdout, "{}", output::escaped(&serde_json::to_string(record)?))?;
    }
    Ok(())
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
