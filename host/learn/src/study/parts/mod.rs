//! A study that is divided among computers which share a folder: which runs fall to which of them, and what each says there of
//! what it is a part of.
//!
//! Nothing is locked, because locks of files do not hold on every network drive. Instead nobody writes a file of another one's:
//! a run has a folder of its own and falls to one part, and beside its runs a part writes one file, `parts/part-I-of-N.toml`. It
//! says what the whole study is; a part that reads something else there does not begin.

use std::{
    cmp::Reverse,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use base::{
    Shown,
    files::{read_text, write_atomically},
};
use data::Catalogue;
use serde::{Deserialize, Serialize};
use shared::verdict::Digest;

use super::run::Run;

/// Most parts of a study.
const MAX_PARTS: u32 = 1000;

/// Most bytes of what a part says of itself.
const MAX_BYTES: u64 = 16 << 20;

/// One of the parts of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StudyPart {
    /// Of how many parts.
    of: u32,
    /// Which one, from 1.
    number: u32,
}

/// What does not name a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give I/N, such as 2/3 for the second of three parts: I from 1 to N, and N up to {max}", max = MAX_PARTS)]
pub struct PartSyntaxError;

impl StudyPart {
    /// Name of the folder of what the parts say of themselves, below the study's.
    pub const FOLDER: &'static str = "parts";

    /// Of how many parts it is one.
    pub fn of(self) -> u32 {
        self.of
    }

    /// The file that only this part writes.
    fn file(self, out: &Path) -> PathBuf {
        out.join(Self::FOLDER).join(format!("part-{}-of-{}.toml", self.number, self.of))
    }

    /// The part whose file has this name.
    fn of_file(name: &str) -> Option<Self> {
        name.strip_prefix("part-")?.strip_suffix(".toml")?.replacen("-of-", "/", 1).parse().ok()
    }
}

impl FromStr for StudyPart {
    type Err = PartSyntaxError;

    fn from_str(text: &str) -> Result<Self, PartSyntaxError> {
        let (number, of) = text.split_once('/').ok_or(PartSyntaxError)?;
        let [number, of] = [number, of].map(|number| number.parse::<u32>().unwrap_or(0));
        if (1..=MAX_PARTS).contains(&of) && (1..=of).contains(&number) {
            Ok(Self { of, number })
        } else {
            Err(PartSyntaxError)
        }
    }
}

impl fmt::Display for StudyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// A divided study that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// a part in the same folder is of another study
    #[error("{path} is of a study {difference}; or name another folder with `--out`", path = Shown(path.display()))]
    Differs {
        /// What that part says.
        path: PathBuf,
        /// How the studies differ.
        difference: Difference,
    },
    /// what a part says cannot be read
    #[error("cannot read {path}: {source}: start all parts as one user, who may read and write the folder", path = Shown(path.display()))]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// what a part says was changed
    #[error("{path} was changed: {source}: remove the file, then start its part again", path = Shown(path.display()))]
    Damaged {
        /// What was to be read.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// what this part says cannot be written
    #[error("cannot write {path}: {source}: free some space, or name another folder with `--out`", path = Shown(path.display()))]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// no part has begun
    #[error("no part of a study has begun in {folder}: start the parts with `--part 1/N` to `--part N/N`", folder = Shown(.0.display()))]
    NotBegun(PathBuf),
}

/// How the study of another part differs from that of this one, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// another program
    #[error("by Pumua {there}, and this is Pumua {here}: use one version for all parts")]
    Version {
        /// Of that part.
        there: String,
        /// Of this one.
        here: String,
    },
    /// another number of parts
    #[error("in {there} parts, and this one is in {here}: give the same N to all in `--part I/N`")]
    Parts {
        /// Of that part.
        there: u32,
        /// Of this one.
        here: u32,
    },
    /// other radiographs
    #[error("on other data ({there}; here {here}): give the same `--data` or `--images` to all parts")]
    Data {
        /// Those of that part, in words.
        there: String,
        /// Those of this one.
        here: String,
    },
    /// a run that only that part has
    #[error(
        "with the run {0}, which this one does not have: give the same `--only`, `--seeds` and `--recipes` to all parts"
    )]
    More(String),
    /// a run that only this part has
    #[error("without the run {0}, which this one has: give the same `--only`, `--seeds` and `--recipes` to all parts")]
    Less(String),
    /// an experiment with another recipe
    #[error("with another recipe of {0}: give the same `--recipes` to all parts")]
    Recipe(String),
    /// the same runs, divided otherwise
    #[error("with the same runs in another order: give the same `--recipes` to all parts, in the same order")]
    Order,
}

/// What a part says of the study that it is a part of: the same as all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    version: String,
    parts: u32,
    /// Digest of the radiographs.
    data: String,
    /// How many radiographs there are.
    images: usize,
    /// All runs of the study, in their order.
    runs: Vec<Planned>,
}

/// A run of the study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    experiment: String,
    seed: u64,
    /// Digest of its recipe.
    recipe: String,
    /// To which part it falls.
    part: u32,
}

impl Planned {
    fn name(&self) -> String {
        format!("{} seed {}", self.experiment, self.seed)
    }

    fn is_same_run(&self, other: &Self) -> bool {
        (&self.experiment, self.seed) == (&other.experiment, other.seed)
    }
}

impl Manifest {
    /// The first thing in which another one differs.
    fn difference(&self, there: &Self) -> Option<Difference> {
        let lacks = |runs: &[Planned], run: &Planned| !runs.iter().any(|other| other.is_same_run(run));
        let data = |study: &Self| {
            format!("{} radiographs with digest {}", study.images, study.data.get(..16).unwrap_or(&study.data))
        };
        if there.version != self.version {
            return Some(Difference::Version { there: there.version.clone(), here: self.version.clone() });
        }
        if there.parts != self.parts {
            return Some(Difference::Parts { there: there.parts, here: self.parts });
        }
        if (&there.data, there.images) != (&self.data, self.images) {
            return Some(Difference::Data { there: data(there), here: data(self) });
        }
        if let Some(run) = there.runs.iter().find(|run| lacks(&self.runs, run)) {
            return Some(Difference::More(run.name()));
        }
        if let Some(run) = self.runs.iter().find(|run| lacks(&there.runs, run)) {
            return Some(Difference::Less(run.name()));
        }
        let has_other_recipe = |run: &&Planned| {
            there.runs.iter().any(|other| other.experiment == run.experiment && other.recipe != run.recipe)
        };
        if let Some(run) = self.runs.iter().find(has_other_recipe) {
            return Some(Difference::Recipe(run.experiment.clone()));
        }
        (there != self).then_some(Difference::Order)
    }
}

/// A part that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which one.
    pub part: StudyPart,
    /// Its runs that are not there, or not whole.
    pub absent: usize,
    /// All its runs.
    pub runs: usize,
}

/// A study, divided among computers.
#[derive(Debug)]
pub struct Division<'a> {
    manifest: Manifest,
    runs: Vec<Run<'a>>,
}

impl<'a> Division<'a> {
    /// Divides the runs of a study on these radiographs among so many parts. The same runs on the same radiographs are divided
    /// in the same way on every computer.
    pub fn new(runs: &[Run<'a>], catalogue: &Catalogue, parts: u32) -> Self {
        let images = catalogue.samples.len();
        let costs: Vec<u128> = runs.iter().map(|run| run.pixels(images)).collect();
        let planned = runs.iter().zip(deal(&costs, parts)).map(|(run, part)| Planned {
            experiment: run.experiment.name.clone(),
            seed: run.seed,
            // A recipe is plain data: that it cannot be put into TOML does not happen.
            recipe: Digest::of(toml::to_string(&run.experiment.recipe).unwrap_or_default().as_bytes()).to_string(),
            part,
        });
        let manifest = Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            parts,
            data: catalogue.digest().to_string(),
            images,
            runs: planned.collect(),
        };
        Self { manifest, runs: runs.to_vec() }
    }

    /// How many parts the study in a folder has.
    ///
    /// # Errors
    /// No part has begun there, or what one says cannot be read.
    pub fn parts_in(out: &Path) -> Result<u32, PartsError> {
        manifests(out)?.first().map(|(_, manifest)| manifest.parts).ok_or_else(|| PartsError::NotBegun(out.to_owned()))
    }

    /// The runs that fall to a part, in the order of the study.
    pub fn runs_of(&self, part: StudyPart) -> Vec<Run<'a>> {
        let planned = self.manifest.runs.iter().map(|run| run.part);
        self.runs.iter().zip(planned).filter(|(_, number)| *number == part.number).map(|(run, _)| *run).collect()
    }

    /// Begins a part in the folder that it shares with others, or continues it there.
    ///
    /// # Errors
    /// Another part in the folder is of another study; then nothing is left there of this one.
    pub fn enter(&self, part: StudyPart, out: &Path) -> Result<(), PartsError> {
        self.check(out)?;
        let path = part.file(out);
        if path.exists() {
            return Ok(());
        }
        let write = || {
            fs::create_dir_all(out.join(StudyPart::FOLDER))?;
            write_atomically(&path, toml::to_string(&self.manifest).map_err(io::Error::other)?.as_bytes())
        };
        write().map_err(|source| PartsError::Write { path: path.clone(), source })?;
        // Two that begin at the same time have not seen each other before. Where a network drive shows the one to the other
        // only later, it is noticed by whoever starts later, at the latest when the parts are put together.
        self.check(out).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })
    }

    /// Checks that every part which has begun in the folder is of this study.
    ///
    /// # Errors
    /// One is of another study, and the error says how it differs; or what one says cannot be read.
    pub fn check(&self, out: &Path) -> Result<(), PartsError> {
        for (path, there) in manifests(out)? {
            if let Some(difference) = self.manifest.difference(&there) {
                return Err(PartsError::Differs { path, difference });
            }
        }
        Ok(())
    }

    /// The parts that are not finished: runs of theirs have no record of this recipe and these data, or the part never began. A
    /// run that failed has one.
    pub fn missing(&self, out: &Path, catalogue: &Catalogue) -> Vec<Missing> {
        let of = self.manifest.parts;
        (1..=of)
            .filter_map(|number| {
                let part = StudyPart { of, number };
                let runs = self.runs_of(part);
                let absent = runs.iter().filter(|run| run.record(out, catalogue).is_none()).count();
                let is_missing = absent > 0 || (!runs.is_empty() && !part.file(out).exists());
                is_missing.then_some(Missing { part, absent, runs: runs.len() })
            })
            .collect()
    }
}

/// What the parts that have begun in a folder say, in the order of their numbers.
fn manifests(out: &Path) -> Result<Vec<(PathBuf, Manifest)>, PartsError> {
    let folder = out.join(StudyPart::FOLDER);
    let unreadable = |path: &Path, source| PartsError::Read { path: path.to_owned(), source };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| unreadable(&folder, error))?,
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(&folder, error))?;
        // Drafts of others lie there, too.
        parts.extend(entry.file_name().to_str().and_then(StudyPart::of_file));
    }
    parts.sort_unstable();
    let mut found = Vec::new();
    for part in parts {
        let path = part.file(out);
        let text = match read_text(&path, MAX_BYTES) {
            // Of another study, it was taken back in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|error| unreadable(&path, error))?,
        };
        let manifest = match toml::from_str(&text) {
            Ok(manifest) => manifest,
            Err(error) => return Err(PartsError::Damaged { path, source: Box::new(error) }),
        };
        found.push((path, manifest));
    }
    Ok(found)
}

/// Deals runs of these costs out to parts, numbered from 1: the longest first, each to the part that has the least to do so far.
/// Then no part has more to do than another by more than one run.
fn deal(costs: &[u128], parts: u32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    // Of equal ones the first stays first, so that all computers deal alike.
    order.sort_by_key(|&run| Reverse(costs[run]));
    let mut loads = vec![0_u128; parts as usize];
    let mut dealt = vec![1; costs.len()];
    for run in order {
        let Some((part, load)) = (1_u32..).zip(&mut loads).min_by_key(|(_, load)| **load) else { break };
        *load += costs[run];
        dealt[run] = part;
    }
    dealt
}

#[cfg(test)]
mod tests;
