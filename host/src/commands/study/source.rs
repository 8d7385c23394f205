//! Where the radiographs of a study come from.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use base::{
    Shown,
    files::{read_text, write_atomically},
};
use data::{Catalogue, Inputs, synthetic};
use learn::study::{Experiment, Run, Sets};
use serde::{Deserialize, Serialize};
use shared::contract::InputContract;

use super::Options;
use crate::commands;

/// Synthetic radiographs, unless another number is asked for.
const DRAWN: u64 = 1000;

/// Synthetic radiographs are drawn from this seed.
pub(super) const SYNTHETIC_SEED: u64 = 1;

/// Most bytes of the file that says where the radiographs are.
const MAX_SOURCE: u64 = 1 << 20;

/// Where the radiographs of a study come from, kept in its folder as `study.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Source {
    /// The folder or archive, from the root on; without it, synthetic radiographs.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "data::path_text::option")]
    pub(super) data: Option<PathBuf>,
    /// Number of synthetic radiographs.
    pub(super) images: u64,
}

impl Source {
    /// Name of the file in the folder of a study.
    pub(super) const FILE: &'static str = "study.toml";

    /// What the options name; where they name nothing, what the folder was started with.
    pub(super) fn new(options: &Options, folder: &Path) -> anyhow::Result<Self> {
        if let (true, None, None) = (options.resume, &options.data, options.images) {
            let path = folder.join(Self::FILE);
            let text = read_text(&path, MAX_SOURCE)
                .with_context(|| format!("cannot read {}: give `--data` or `--images`", Shown(path.display())))?;
            return toml::from_str(&text)
                .with_context(|| format!("{} was changed: give `--data` or `--images`", Shown(path.display())));
        }
        Ok(Self {
            data: options.data.as_deref().map(commands::absolute).transpose()?,
            images: options.images.unwrap_or(DRAWN),
        })
    }

    /// Writes the file.
    pub(super) fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        write_atomically(&folder.join(Self::FILE), toml::to_string(self)?.as_bytes())
            .with_context(|| format!("cannot write into {}", Shown(folder.display())))
    }

    /// The inputs at each side and fit that the runs ask for; those of `first` are there already.
    pub(super) fn inputs(&self, runs: &[Run<'_>], catalogue: &Catalogue, first: Inputs) -> anyhow::Result<Sets> {
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

    /// The radiographs, brought to an input.
    pub(super) fn load(&self, contract: &InputContract) -> anyhow::Result<(Catalogue, Inputs)> {
        Ok(match &self.data {
            Some(path) => data::load(path, contract)?,
            None => synthetic::radiographs(self.images, SYNTHETIC_SEED, contract)?,
        })
    }
}
