//! `host study`: the experiments of the study and those that it left open, and one report of them all.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};

use crate::{
    calendar::{compact_utc, utc},
    data::{Dataset, Label, Part},
    exit::{Exit, Failure},
    interrupt,
    report::{NOT_A_DEVICE, PartCount, SYNTHETIC},
    study::{
        Datasets, Display, Experiment, Outcome, Plan, Record, Run,
        report::{self, About},
        run_all,
    },
    synthetic,
};

/// Synthetic radiographs are drawn from this seed.
const SYNTHETIC_SEED: u64 = 1;

/// Options of `host study`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Radiographs: a folder or ZIP archive with NORMAL/ and PNEUMONIA/ in it, or train/, val/ and test/ with both in
    /// each; without it, synthetic ones are drawn
    #[arg(long, value_name = "DIR|ZIP")]
    data: Option<PathBuf>,
    /// How many synthetic radiographs to draw
    #[arg(long, default_value_t = 1000, conflicts_with = "data", value_parser = clap::value_parser!(u64).range(20..=100_000))]
    images: u64,
    /// Folder for the runs and the report [default: runs/TIME-study]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with what is in the folder: runs that are finished stay, unless their recipe or the data have changed
    #[arg(long, requires = "out")]
    resume: bool,
    /// Only these experiments, or groups of experiments
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Experiments of your own, in TOML; may be given several times
    #[arg(long, value_name = "FILE")]
    recipe: Vec<PathBuf>,
    /// How often each experiment is run, with the seeds 1, 2, 3 …, each of which splits, starts and shuffles otherwise
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Runs at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Name the experiments and do nothing
    #[arg(long)]
    list: bool,
    /// Print one JSON object for each experiment (with --list) or run
    #[arg(long)]
    json: bool,
}

/// Runs the experiments and writes their report.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let mut plan = Plan::builtin()?;
    for path in &options.recipe {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        plan.extend(&path.display().to_string(), &text)?;
    }
    let chosen = chosen(&plan, &options.only)?;
    if options.list {
        list(&plan, &chosen, options.json)?;
        return Ok(Exit::Done);
    }
    let out = options.out.clone().unwrap_or_else(default_folder);
    let _lock = open_folder(&out, options.resume)?;
    // Every seed of one experiment after the first seeds of all: whoever stops early has seen everything once.
    let wanted: Vec<Run<'_>> = (0..options.seeds)
        .flat_map(|round| {
            chosen.iter().filter_map(move |experiment| {
                let seed = match &experiment.seeds {
                    Some(seeds) => *seeds.get(round as usize)?,
                    None => round + 1,
                };
                Some(Run { experiment, seed })
            })
        })
        .collect();
    let data = datasets(&options, &chosen)?;
    let Some(any) = data.values().next() else { return Ok(Exit::Done) };
    announce(&options, any, &wanted, &out);

    let done = |run: &Run<'_>| run.record(&out, any).is_some_and(|r| r.measured().is_some());
    let todo: Vec<Run<'_>> = wanted.iter().copied().filter(|run| !done(run)).collect();
    let stop = interrupt::listen();
    let display = Display::new(&todo, wanted.len() - todo.len(), any.samples.len());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let outcome = run_all(&todo, &data, &out, options.jobs.map_or(cores, usize::from), stop, &display);
    display.finish();
    outcome?;

    let (plan, records) = found(&plan, &wanted, &out, any);
    report::write(&plan, &records, &about(&options, any), &out)?;
    let mut stdout = io::stdout().lock();
    if !options.json {
        writeln!(stdout, "{}", out.join("report.html").display())?;
    }
    for record in records.iter().filter(|_| options.json) {
        writeln!(stdout, "{}", serde_json::to_string(record)?)?;
    }
    let failed = records.iter().filter(|record| matches!(record.outcome, Outcome::Failed(_))).count();
    if interrupt::asked() {
        let done = wanted.iter().filter(|run| done(run)).count();
        crate::say!(
            "stopped after {done} of {} runs; to go on, give the same options and --out {} --resume",
            wanted.len(),
            out.display()
        );
        return Ok(Exit::Interrupted);
    }
    if failed > 0 {
        crate::say!("{failed} of {} runs failed; the report says why", records.len());
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// All records that the folder holds of the plan, and the part of the plan that is to be reported: what is wanted now, and
/// what was recorded before.
fn found(plan: &Plan, wanted: &[Run<'_>], out: &Path, data: &Dataset) -> (Plan, Vec<Record>) {
    let seeds = wanted.iter().map(|run| run.seed).collect::<BTreeSet<_>>();
    let of = |experiment| seeds.iter().filter_map(move |&seed| Run { experiment, seed }.record(out, data));
    let records: Vec<Record> = plan.experiments.iter().flat_map(of).collect();
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

fn about(options: &Options, data: &Dataset) -> About {
    let mut notes = Vec::new();
    if !data.synthetic && !data.samples.iter().any(|sample| sample.official == Some(Part::Test)) {
        notes.push(
            "The publishers' test folder is not among the data. The images that are there were dealt out again in the \
             study's proportions, 70/15/15."
                .to_owned(),
        );
    }
    About {
        data: match &options.data {
            Some(path) => path.display().to_string(),
            None => format!("{} synthetic radiographs, seed {SYNTHETIC_SEED}", options.images),
        },
        notes,
        images: PartCount { normal: data.count(Label::Normal), pneumonia: data.count(Label::Pneumonia) },
        skipped: data.skipped.len(),
        synthetic: data.synthetic,
        date: utc(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())),
    }
}

/// The experiments that are asked for by their own names or those of their groups; all but those on request if none is.
fn chosen<'a>(plan: &'a Plan, only: &[String]) -> anyhow::Result<Vec<&'a Experiment>> {
    if let Some(unknown) =
        only.iter().find(|name| !plan.experiments.iter().any(|e| e.name == **name || e.group == **name))
    {
        bail!("there is no experiment and no group `{unknown}`: `host study --list` names them");
    }
    Ok(plan
        .experiments
        .iter()
        .filter(|e| match only {
            [] => !e.on_request,
            names => names.contains(&e.name) || (names.contains(&e.group) && !e.on_request),
        })
        .collect())
}

fn list(plan: &Plan, chosen: &[&Experiment], json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let listed: Vec<&Experiment> =
        plan.experiments.iter().filter(|e| e.on_request || chosen.iter().any(|c| c.name == e.name)).collect();
    if json {
        for experiment in listed {
            writeln!(out, "{}", serde_json::to_string(experiment)?)?;
        }
        return Ok(());
    }
    for group in &plan.groups {
        let mut members = listed.iter().filter(|e| e.group == group.name).peekable();
        if members.peek().is_none() {
            continue;
        }
        writeln!(out, "{}: {}", group.name, group.title)?;
        for experiment in members {
            let request = if experiment.on_request { " (only if named)" } else { "" };
            writeln!(out, "  {:<26} {}{request}", experiment.name, experiment.title)?;
        }
    }
    Ok(())
}

/// `runs/20260131-142500-study`, the time in UTC.
fn default_folder() -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    PathBuf::from("runs").join(format!("{}-study", compact_utc(seconds)))
}

/// Makes the folder, or takes up an old one; the lock keeps others out as long as it lives.
fn open_folder(folder: &Path, resume: bool) -> anyhow::Result<File> {
    const LOCK: &str = ".lock";
    let advice = || format!("cannot use {}: name another folder with `--out`", folder.display());
    fs::create_dir_all(folder).with_context(advice)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(advice)? {
        names.insert(entry.with_context(advice)?.file_name().to_string_lossy().into_owned());
    }
    names.remove(LOCK);
    if resume {
        ensure!(
            names.is_empty() || names.contains("runs"),
            "{} holds something else: name another folder with `--out`",
            folder.display()
        );
    } else {
        ensure!(
            names.is_empty(),
            "{} holds files already: name another folder with `--out`, or go on with its study with `--resume`",
            folder.display()
        );
    }
    let lock = File::create(folder.join(LOCK)).with_context(advice)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("another study is running in {}: wait for it, or name another folder", folder.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(advice),
    }
}

/// The radiographs, brought to every input that is asked for.
fn datasets(options: &Options, chosen: &[&Experiment]) -> anyhow::Result<Datasets> {
    let mut sets = Datasets::new();
    for experiment in chosen {
        let recipe = &experiment.recipe;
        if sets.contains_key(&recipe.side) {
            continue;
        }
        let set = match &options.data {
            Some(path) => Dataset::load(path, &recipe.contract())?,
            None => synthetic::dataset(options.images, SYNTHETIC_SEED, &recipe.contract())?,
        };
        set.require_both_labels()?;
        sets.insert(recipe.side, set);
    }
    Ok(sets)
}

/// Says on stderr what is about to happen.
fn announce(options: &Options, data: &Dataset, runs: &[Run<'_>], out: &Path) {
    let (normal, pneumonia) = (data.count(Label::Normal), data.count(Label::Pneumonia));
    match &options.data {
        Some(path) => crate::say!("{}: {normal} normal, {pneumonia} pneumonia", path.display()),
        None => crate::say!("{normal} + {pneumonia} synthetic radiographs; for real ones: --data DIR-or-ZIP"),
    }
    if data.synthetic {
        crate::say!("{SYNTHETIC}");
    }
    crate::say!("{NOT_A_DEVICE}");
    if !data.skipped.is_empty() {
        crate::say!("{} files are left out: duplicates or no radiographs", data.skipped.len());
    }
    crate::say!("{} runs in {}", runs.len(), out.display());
}
