//! Where the radiographs of a command are.

use std::path::{Path, PathBuf};

use base::Shown;
use clap::{
    ArgGroup,
    builder::{OsStringValueParser, TypedValueParser},
};
use data::{Catalogue, DataError, Files, Inputs, Site};
use serde::{Deserialize, Serialize};
use shared::contract::InputContract;

/// Options that name radiographs, and what a run remembers of them. A command that cannot do without adds the group
/// [`given`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub(super) struct SitesArgs {
    /// Radiographs: a folder or ZIP archive with NORMAL/ and PNEUMONIA/ in it, or train/, val/ and test/ with both in each,
    /// or files that its labels.csv lists
    #[arg(long, value_name = "DIR|ZIP")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "data::path_text::option")]
    pub(super) data: Option<PathBuf>,
    /// Radiographs of one hospital of several, with a layout of their own; may be given several times. Those of `--data`
    /// are then called `home`
    #[arg(long = "site", value_name = "NAME=DIR|ZIP", value_parser = OsStringValueParser::new().try_map(Site::try_from))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sites: Vec<Site>,
}

/// At least one of the options.
pub(super) fn given() -> ArgGroup {
    ArgGroup::new("given").args(["data", "sites"]).required(true).multiple(true)
}

/// Says on stderr what was taken of data and what was not.
pub(super) fn tell(words: &str, catalogue: &Catalogue) {
    base::say!("{}", Shown(words));
    for line in catalogue.account() {
        base::say!("{}", Shown(line));
    }
}

impl SitesArgs {
    /// Both of `--data` and `--site`, with names where there are several.
    fn named(&self) -> Vec<Site> {
        let home = self.data.iter().map(|path| Site { name: Site::HOME.to_owned(), path: path.clone() });
        home.chain(self.sites.iter().cloned()).collect()
    }

    /// What is read.
    pub(super) fn paths(&self) -> Vec<&Path> {
        self.data.as_deref().into_iter().chain(self.sites.iter().map(|site| &*site.path)).collect()
    }

    /// True if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_none() && self.sites.is_empty()
    }

    /// The same, found from any folder.
    pub(super) fn absolute(&self) -> anyhow::Result<Self> {
        let site = |site: &Site| Ok(Site { path: super::absolute(&site.path)?, ..site.clone() });
        Ok(Self {
            data: self.data.as_deref().map(super::absolute).transpose()?,
            sites: self.sites.iter().map(site).collect::<anyhow::Result<_>>()?,
        })
    }

    /// The radiographs, brought to the input of `contract`.
    pub(super) fn load(&self, contract: &InputContract) -> Result<(Catalogue, Inputs), DataError> {
        match (&self.data, self.sites.as_slice()) {
            (Some(path), []) => data::load(path, contract),
            _ => data::load_sites(&self.named(), contract),
        }
    }

    /// The same; says on stderr what was taken and what was not.
    pub(super) fn load_and_tell(&self, contract: &InputContract) -> Result<(Catalogue, Inputs), DataError> {
        let (catalogue, inputs) = self.load(contract)?;
        tell(&self.words(), &catalogue);
        Ok((catalogue, inputs))
    }

    /// The files themselves.
    pub(super) fn files(&self) -> Result<Files, DataError> {
        match (&self.data, self.sites.as_slice()) {
            (Some(path), []) => Files::open(path),
            _ => Files::open_sites(&self.named()),
        }
    }

    /// Where they are, for people.
    pub(super) fn words(&self) -> String {
        let shown = |path: &Path| path.display().to_string();
        match (&self.data, self.sites.as_slice()) {
            (Some(path), []) => shown(path),
            _ => {
                let one = |Site { name, path }: &Site| format!("{name}={}", shown(path));
                self.named().iter().map(one).collect::<Vec<_>>().join(", ")
            }
        }
    }
}
