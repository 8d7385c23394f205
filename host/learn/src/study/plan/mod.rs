//! What is to be tried, as data: experiments, each a recipe, and the questions that they answer together.
//!
//! A plan is TOML:
//!
//! ```toml
//! [[group]]
//! name = "study"
//! title = "The rows of the study"
//! text = "What the reader should know of them."
//!
//! [[experiment]]
//! name = "sgd"                 # a-z, 0-9 and -; also the name of its folder
//! title = "Baseline, SGD"
//! group = "study"
//! published = { test_accuracy = 0.9295, test_images = 879 }
//! recipe = { side = 64, … }    # see `Recipe`
//!
//! [[experiment]]
//! name = "sgd-l2"
//! title = "+ L2"
//! group = "study"
//! like = "sgd"                 # everything not set here is inherited
//! seeds = [1, 2, 3]            # without it, 1, 2, 3 …
//! on_request = true            # only if it is named
//! recipe = { l2 = 0.005 }
//!
//! [[comparison]]
//! name = "l2"
//! question = "Does an L2 penalty help?"
//! experiments = ["sgd", "sgd-l2"]   # the first is what the others are compared with
//! ```

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
};

use base::{Shown, files::read_text};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::training::{Recipe, RecipeError};

/// Most bytes of a file of recipes.
const MAX_BYTES: u64 = 1 << 20;

/// The plans that are built in.
const BUILTIN: [(&str, &str); 4] = [
    ("study.toml", include_str!("../../../recipes/study.toml")),
    ("sweep.toml", include_str!("../../../recipes/sweep.toml")),
    ("open.toml", include_str!("../../../recipes/open.toml")),
    ("screener.toml", include_str!("../../../recipes/screener.toml")),
];

/// Experiments under one heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The word by which experiments name it.
    pub name: String,
    /// Heading.
    pub title: String,
    /// What a reader should know of it.
    pub text: String,
}

/// What was published about a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// On the whole training part.
    pub train_accuracy: Option<f64>,
    /// Images of that training part.
    pub train_images: Option<usize>,
    /// On the whole training part, with the L2 term.
    pub train_loss: Option<f64>,
    /// On the whole test part.
    pub test_accuracy: Option<f64>,
    /// Images of that test part.
    pub test_images: Option<usize>,
    /// On the whole test part, with the L2 term.
    pub test_loss: Option<f64>,
    /// Why a run here may give something else.
    pub note: Option<String>,
    /// Where no figure was published, only that the accuracy was lower than that of this experiment.
    pub lower_than: Option<String>,
}

impl Published {
    /// The first figure that cannot be one, with what it may be.
    fn fault(&self) -> Option<(&'static str, f64, &'static str)> {
        let accuracy = |value| (0.0..=1.0).contains(&value);
        let loss = |value: f64| value.is_finite() && value >= 0.0;
        let share = "a share from 0 to 1, not per cent";
        [
            ("train_accuracy", self.train_accuracy, accuracy as fn(f64) -> bool, share),
            ("test_accuracy", self.test_accuracy, accuracy, share),
            ("train_loss", self.train_loss, loss, "0 or above"),
            ("test_loss", self.test_loss, loss, "0 or above"),
        ]
        .into_iter()
        .find_map(|(field, value, good, range)| value.filter(|value| !good(*value)).map(|value| (field, value, range)))
    }
}

/// A recipe with a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Experiment {
    /// a–z, 0–9 and `-`; also the name of its folder.
    pub name: String,
    /// For people.
    pub title: String,
    /// Its heading.
    pub group: String,
    /// What was published about it.
    pub published: Option<Published>,
    /// Its seeds; 1, 2, 3 … without it.
    pub seeds: Option<Vec<u64>>,
    /// Run only if it is named.
    pub on_request: bool,
    /// How the network is trained.
    pub recipe: Recipe,
}

/// Experiments that answer a question together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// a–z, 0–9 and `-`; also the name of its picture.
    pub name: String,
    /// The question.
    pub question: String,
    /// Names of the experiments; the others are compared with the first.
    pub experiments: Vec<String>,
    /// What to know when reading the answer.
    pub note: Option<String>,
}

/// What is to be tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Headings, in the order of the report.
    pub groups: Vec<Group>,
    /// Experiments, in the order in which they are run.
    pub experiments: Vec<Experiment>,
    /// Questions, in the order of the report.
    pub comparisons: Vec<Comparison>,
}

/// A plan that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// the file cannot be read
    #[error("cannot read {path}: {source}: name a TOML file with experiments", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the text is not a plan
    #[error("{origin} is not a file of recipes: {source}", origin = Shown(origin))]
    Syntax {
        /// The file.
        origin: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// a name cannot be used
    #[error("{origin}: the name `{name}` {fault}", origin = Shown(origin), name = Shown(name))]
    Name {
        /// The file.
        origin: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// two comparisons ask the same
    #[error("{origin}: the question `{question}` has already been asked (only letters and digits count): word it differently", origin = Shown(origin), question = Shown(question))]
    Question {
        /// The file.
        origin: String,
        /// The question.
        question: String,
    },
    /// an experiment has no seeds, or one twice
    #[error("{origin}: the seeds of `{name}` must be one or more different numbers", origin = Shown(origin), name = Shown(name))]
    Seeds {
        /// The file.
        origin: String,
        /// The experiment.
        name: String,
    },
    /// a published figure cannot be one
    #[error("{origin}: the published `{field}` of `{name}` is {value}; it must be {range}", origin = Shown(origin), name = Shown(name))]
    Published {
        /// The file.
        origin: String,
        /// The experiment.
        name: String,
        /// The figure.
        field: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// an experiment's recipe is incomplete or has unknown fields
    #[error("{origin}: the recipe of `{name}` cannot be read: {source}", origin = Shown(origin), name = Shown(name))]
    Fields {
        /// The file.
        origin: String,
        /// The experiment.
        name: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// an experiment's recipe cannot be followed
    #[error("{origin}: the recipe of `{name}` cannot be followed: {source}", origin = Shown(origin), name = Shown(name))]
    Recipe {
        /// The file.
        origin: String,
        /// The experiment.
        name: String,
        /// Why.
        source: RecipeError,
    },
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    group: Vec<Group>,
    #[serde(default)]
    experiment: Vec<Entry>,
    #[serde(default)]
    comparison: Vec<Comparison>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    title: String,
    group: String,
    like: Option<String>,
    published: Option<Published>,
    seeds: Option<Vec<u64>>,
    #[serde(default)]
    on_request: bool,
    #[serde(default)]
    recipe: Table,
}

impl Plan {
    /// What is built in: the study and the questions that it left open.
    pub fn builtin() -> Result<Self, PlanError> {
        let mut plan = Self::default();
        for (origin, text) in BUILTIN {
            plan.extend(origin, text)?;
        }
        Ok(plan)
    }

    /// What is built in and what the files add.
    pub fn with_files(files: &[PathBuf]) -> Result<Self, PlanError> {
        let mut plan = Self::builtin()?;
        for path in files {
            let text = read_text(path, MAX_BYTES).map_err(|source| PlanError::Read { path: path.clone(), source })?;
            plan.extend(&path.display().to_string(), &text)?;
        }
        Ok(plan)
    }

    /// Adds what a file holds; its experiments may be `like` those that are there.
    pub fn extend(&mut self, origin: &str, text: &str) -> Result<(), PlanError> {
        let file: File = toml::from_str(text)
            .map_err(|source| PlanError::Syntax { origin: origin.to_owned(), source: Box::new(source) })?;
        let fault = |name: &str, fault| PlanError::Name { origin: origin.to_owned(), name: name.to_owned(), fault };
        for group in file.group {
            check_name(&group.name).map_err(|what| fault(&group.name, what))?;
            if self.groups.iter().any(|g| g.name == group.name) {
                return Err(fault(&group.name, "is of two groups: choose another one"));
            }
            self.groups.push(group);
        }
        let mut recipes: BTreeMap<String, Table> = BTreeMap::new();
        for experiment in &self.experiments {
            let table = Table::try_from(&experiment.recipe).unwrap_or_default();
            recipes.insert(experiment.name.clone(), table);
        }
        for Entry { name, title, group, like, published, seeds, on_request, recipe } in file.experiment {
            check_name(&name).map_err(|what| fault(&name, what))?;
            if recipes.contains_key(&name) {
                return Err(fault(&name, "is there already: choose another one"));
            }
            if !self.groups.iter().any(|g| g.name == group) {
                return Err(fault(&group, "is of no group: add a [[group]] with it"));
            }
            if seeds.as_ref().is_some_and(|s| s.is_empty() || s.iter().collect::<HashSet<_>>().len() < s.len()) {
                return Err(PlanError::Seeds { origin: origin.to_owned(), name });
            }
            if let Some((field, value, range)) = published.as_ref().and_then(Published::fault) {
                return Err(PlanError::Published { origin: origin.to_owned(), name, field, value, range });
            }
            if let Some(other) = published.as_ref().and_then(|p| p.lower_than.as_ref())
                && !recipes.contains_key(other)
            {
                return Err(fault(other, "after `lower_than` is of no experiment before this one"));
            }
            let mut table = match &like {
                None => Table::new(),
                Some(model) => recipes
                    .get(model)
                    .cloned()
                    .ok_or_else(|| fault(model, "after `like` is of no experiment before this one"))?,
            };
            overlay(&mut table, recipe);
            let parsed: Recipe = table.clone().try_into().map_err(|source| PlanError::Fields {
                origin: origin.to_owned(),
                name: name.clone(),
                source: Box::new(source),
            })?;
            parsed.check().map_err(|source| PlanError::Recipe {
                origin: origin.to_owned(),
                name: name.clone(),
                source,
            })?;
            recipes.insert(name.clone(), table);
            self.experiments.push(Experiment { name, title, group, published, seeds, on_request, recipe: parsed });
        }
        for comparison in file.comparison {
            check_name(&comparison.name).map_err(|what| fault(&comparison.name, what))?;
            if self.comparisons.iter().any(|c| c.name == comparison.name) {
                return Err(fault(&comparison.name, "is of two comparisons: choose another one"));
            }
            // Questions are headings of the report, each of which has an address made of its letters.
            if self.comparisons.iter().any(|c| letters(&c.question).eq(letters(&comparison.question))) {
                return Err(PlanError::Question { origin: origin.to_owned(), question: comparison.question });
            }
            if comparison.experiments.len() < 2 {
                return Err(fault(&comparison.name, "is of a comparison of fewer than two experiments"));
            }
            let mut seen = HashSet::new();
            for name in &comparison.experiments {
                if self.experiment(name).is_none() || !seen.insert(name) {
                    return Err(fault(name, "in a comparison is of no experiment, or there twice"));
                }
            }
            self.comparisons.push(comparison);
        }
        Ok(())
    }

    /// The experiment of that name.
    pub fn experiment(&self, name: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|e| e.name == name)
    }
}

/// Letters and digits of a heading, in lower case.
fn letters(heading: &str) -> impl Iterator<Item = char> {
    heading.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// Names are names of folders and files, too.
fn check_name(name: &str) -> Result<(), &'static str> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 60 || !name.chars().all(known) {
        return Err("must be 1 to 60 of a–z, 0–9 and -");
    }
    Ok(())
}

/// Puts the values of `over` into `under`, table by table. A table of another kind is replaced as a whole: the settings of
/// one optimizer are not those of another.
fn overlay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over))
                if over.get("kind").is_none_or(|kind| under.get("kind") == Some(kind)) =>
            {
                overlay(under, over);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
