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
    fs, io,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::training::{Recipe, RecipeError};

/// The plans that are built in.
const BUILTIN: [(&str, &str); 4] = [
    ("study.toml", include_str!("../../recipes/study.toml")),
    ("sweep.toml", include_str!("../../recipes/sweep.toml")),
    ("open.toml", include_str!("../../recipes/open.toml")),
    ("screener.toml", include_str!("../../recipes/screener.toml")),
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
    #[error("cannot read {path}: {source}: name a TOML file with experiments")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the text is not a plan
    #[error("{origin} is not a file of recipes: {source}")]
    Syntax {
        /// The file.
        origin: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// a name cannot be used
    #[error("{origin}: the name `{name}` {fault}")]
    Name {
        /// The file.
        origin: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// two comparisons ask the same
    #[error(
        "{origin}: the question `{question}` has already been asked (only letters and digits count): word it differently"
    )]
    Question {
        /// The file.
        origin: String,
        /// The question.
        question: String,
    },
    /// an experiment has no seeds, or one twice
    #[error("{origin}: the seeds of `{name}` must be one or more different numbers")]
    Seeds {
        /// The file.
        origin: String,
        /// The experiment.
        name: String,
    },
    /// a published figure cannot be one
    #[error("{origin}: the published `{field}` of `{name}` is {value}; it must be {range}")]
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
    #[error("{origin}: the recipe of `{name}` cannot be read: {source}")]
    Fields {
        /// The file.
        origin: String,
        /// The experiment.
        name: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// an experiment's recipe cannot be followed
    #[error("{origin}: the recipe of `{name}` cannot be followed: {source}")]
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
            let text = fs::read_to_string(path).map_err(|source| PlanError::Read { path: path.clone(), source })?;
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
mod tests {
    use data::split::SplitKind;

    use super::*;
    use crate::{
        network::Architecture,
        training::{OptimizerKind, Steps},
    };

    fn recipe(name: &str) -> Recipe {
        Plan::builtin().unwrap().experiment(name).unwrap_or_else(|| panic!("no {name}")).recipe.clone()
    }

    #[test]
    fn rows_are_those_of_the_study() {
        let sgd = recipe("sgd");
        assert_eq!((sgd.side, sgd.split, sgd.network.channels), (64, SplitKind::Study, 3));
        assert_eq!((sgd.batch, sgd.steps, sgd.validation_steps), (20, Steps::Number(48), Steps::Number(16)));
        assert_eq!((sgd.epochs, sgd.optimizer.kind, sgd.optimizer.learning_rate), (30, OptimizerKind::Sgd, 0.01));
        assert_eq!(recipe("sgd-l2"), Recipe { l2: 0.005, ..sgd.clone() });
        assert_eq!(recipe("sgd-dropout"), Recipe { dropout: 0.3, ..sgd.clone() });

        let mut adam = sgd.clone();
        (adam.optimizer.kind, adam.optimizer.learning_rate) = (OptimizerKind::Adam, 0.001);
        assert_eq!(recipe("adam"), adam);
        let mut deeper = adam.clone();
        deeper.network.architecture = Architecture::Deeper;
        assert_eq!(recipe("deeper"), deeper);
        let whole = Recipe { steps: Steps::WHOLE, validation_steps: Steps::WHOLE, ..adam.clone() };
        assert_eq!(recipe("adam-whole"), whole);
        assert_eq!(recipe("adam-whole-l2"), Recipe { l2: 0.005, ..whole });
        let batch = Recipe {
            batch: 32,
            steps: Steps::Number(30),
            validation_steps: Steps::Number(10),
            epochs: 50,
            ..adam.clone()
        };
        assert_eq!(recipe("adam-batch-32"), batch);

        let sweep = Recipe { epochs: 10, ..sgd };
        assert_eq!(recipe("sweep-none"), sweep);
        let swept: Vec<String> = Plan::builtin()
            .unwrap()
            .experiments
            .iter()
            .filter(|e| e.group == "sweep")
            .map(|e| {
                assert_eq!(Recipe { augmentation: Default::default(), ..e.recipe.clone() }, sweep);
                let lowered = e.published.as_ref().is_some_and(|p| p.lower_than.as_deref() == Some("sweep-none"));
                format!("{}{}", e.recipe.augmentation, if lowered { ", lowered" } else { "" })
            })
            .collect();
        assert_eq!(
            swept,
            [
                "none",
                "horizontal flip, lowered",
                "brightness 0.5 to 2, lowered",
                "brightness 0.3 to 3, lowered",
                "brightness 0.5 to 1.5, lowered",
                "width shift ±0.2, lowered",
                "height shift ±0.2, lowered",
                "rotation ±40°, lowered",
                "rotation ±90°, lowered",
                "rotation ±360°, lowered",
                "zoom 1 ± 0.1, lowered",
                "zoom 1 ± 0.2, lowered",
                "shear ±0.2°, lowered",
                "shear ±0.3°",
                "shear ±0.4°, lowered",
            ]
        );
    }

    #[test]
    fn figures_are_those_that_were_published() {
        let plan = Plan::builtin().unwrap();
        let published: Vec<(&str, Option<f64>, Option<f64>)> = plan
            .experiments
            .iter()
            .filter_map(|e| Some((e.name.as_str(), e.published.as_ref()?)))
            .filter(|(_, p)| p.lower_than.is_none())
            .map(|(name, p)| (name, p.train_accuracy, p.test_accuracy))
            .collect();
        assert_eq!(
            published,
            [
                ("sgd", Some(0.9370), Some(0.9295)),
                ("sgd-l2", Some(0.9212), Some(0.8976)),
                ("sgd-dropout", Some(0.8694), Some(0.8464)),
                ("sgd-shear", Some(0.9356), Some(0.9295)),
                ("adam", Some(0.9736), Some(0.9545)),
                ("deeper", Some(0.9678), Some(0.9522)),
                ("adam-whole", Some(1.0), Some(0.9590)),
                ("adam-whole-l2", Some(0.9432), Some(0.9352)),
            ]
        );
    }

    #[test]
    fn mild_and_strong_are_the_same_everywhere() {
        let plan = Plan::builtin().unwrap();
        for (word, like, count) in [("mild", "adam-mild", 8), ("strong", "adam-strong", 8)] {
            let of_word = plan.experiments.iter().filter(|e| e.name.split('-').any(|part| part == word));
            let augmentations: Vec<_> = of_word.map(|e| &e.recipe.augmentation).collect();
            assert_eq!(augmentations.len(), count);
            assert!(augmentations.iter().all(|a| **a == recipe(like).augmentation && !a.is_identity()));
        }
    }

    #[test]
    fn built_in_recipes_come_back_from_toml() {
        for experiment in Plan::builtin().unwrap().experiments {
            let text = toml::to_string(&experiment.recipe).unwrap();
            assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), experiment.recipe, "{}", experiment.name);
        }
    }

    #[test]
    fn a_file_may_build_on_what_is_there() {
        let mut plan = Plan::builtin().unwrap();
        let text = r#"
            [[group]]
            name = "mine"
            title = "Mine"
            text = ""

            [[experiment]]
            name = "mine-1"
            title = "one"
            group = "mine"
            like = "adam"
            recipe = { optimizer = { beta_1 = 0.5 }, augmentation = { zoom = 0.1 } }

            [[experiment]]
            name = "mine-2"
            title = "two"
            group = "mine"
            like = "mine-1"
            seeds = [7]
            recipe = { augmentation = { rotation = 5.0 } }

            [[comparison]]
            name = "mine"
            question = "?"
            experiments = ["adam", "mine-2"]
        "#;
        plan.extend("mine.toml", text).unwrap();
        let two = plan.experiment("mine-2").unwrap();
        assert_eq!(two.seeds, Some(vec![7]));
        assert_eq!((two.recipe.augmentation.zoom, two.recipe.augmentation.rotation), (0.1, 5.0));
        assert_eq!(two.recipe.optimizer.beta_1, Some(0.5));
        assert_eq!(two.recipe.optimizer.learning_rate, 0.001);

        let yours = text.replace("mine", "yours");
        for (text, expected) in [
            (text.to_owned(), "`mine` is of two groups"),
            (yours.replace("beta_1", "momentum"), "this optimizer does not have it"),
            (yours.replace("seeds = [7]", "seeds = [7, 7]"), "the seeds of `yours-2`"),
            (yours.replace("seeds = [7]", "seeds = []"), "the seeds of `yours-2`"),
            (
                yours.replace("seeds = [7]", "published = { test_accuracy = 95.45 }"),
                "the published `test_accuracy` of `yours-2` is 95.45; it must be a share",
            ),
            (yours.replace("seeds = [7]", "published = { test_loss = inf }"), "the published `test_loss`"),
            (
                yours.replace("seeds = [7]", "published = { lower_than = \"theirs\" }"),
                "the name `theirs` after `lower_than`",
            ),
            (yours.replace("question = \"?\"", "question = \"is adam better than SGD\""), "has already been asked"),
            (yours.replace("\"yours-2\"\n", "\"yours-1\"\n"), "`yours-1` is there already"),
        ] {
            let refused = plan.clone().extend("file.toml", &text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn another_optimizer_comes_without_the_settings_of_the_first() {
        let mut plan = Plan::builtin().unwrap();
        let text = r#"
            [[experiment]]
            name = "heavy"
            title = "heavy"
            group = "study"
            like = "sgd"
            recipe = { optimizer = { momentum = 0.9 } }

            [[experiment]]
            name = "light"
            title = "light"
            group = "study"
            like = "heavy"
            recipe = { optimizer = { kind = "adam", learning_rate = 0.001 } }
        "#;
        plan.extend("file.toml", text).unwrap();
        assert_eq!(plan.experiment("heavy").unwrap().recipe.optimizer.learning_rate, 0.01);
        assert_eq!(plan.experiment("light").unwrap().recipe.optimizer.momentum, None);
    }
}
