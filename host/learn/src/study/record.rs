//! What is left of a run: `result.json` in its folder.

use std::{io, path::Path};

use base::files;
use data::PartCount;
use measure::{figures::Figures, statistics::Scored};
use serde::{Deserialize, Serialize};

use crate::training::{EpochMetrics, Recipe};

/// One run of an experiment, finished or failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the experiment.
    pub experiment: String,
    /// Its seed: it splits, starts and shuffles.
    pub seed: u64,
    /// Digest of recipe, seed and data: another one is another run.
    pub fingerprint: String,
    /// Version of Pumua.
    pub version: String,
    /// When the run ended, RFC 3339 in UTC.
    pub date: String,
    /// The computer, and the graphics processor if it was trained on one.
    pub machine: String,
    /// Threads that the run had.
    pub threads: usize,
    /// SHA-256 over names and files, hexadecimal.
    pub data_digest: String,
    /// True if trained on drawings.
    pub synthetic: bool,
    /// The configuration.
    pub recipe: Recipe,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Trained and measured.
    Done(Box<Measured>),
    /// It could not be trained; why.
    Failed(String),
}

/// The figures of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Trained numbers of the network.
    pub parameters: usize,
    /// Images of the training, validation and test parts.
    pub parts: [PartCount; 3],
    /// Seconds of training, without validation and measuring.
    pub seconds: f64,
    /// Every epoch.
    pub history: Vec<EpochMetrics>,
    /// The epoch whose weights were measured.
    pub kept_epoch: usize,
    /// On the whole training part, without dropout and augmentation.
    pub train: SetResult,
    /// On the whole test part.
    pub test: SetResult,
    /// Truth and probability of each test image, in the order of the data.
    pub test_scores: Vec<Scored>,
}

/// A network on a set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetResult {
    /// Mean binary cross-entropy with the L2 term, as Keras reports it.
    pub loss: f64,
    /// Mean binary cross-entropy alone.
    pub cross_entropy: f64,
    /// Decisions at the recipe's threshold.
    pub figures: Figures,
}

impl Record {
    /// Name of the file in the folder of a run.
    pub const FILE: &'static str = "result.json";

    /// Its figures, if it was finished.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Done(measured) => Some(measured),
            Outcome::Failed(_) => None,
        }
    }

    /// Writes the file; after a crash it is whole or not there.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        files::write_atomically(&folder.join(Self::FILE), &serde_json::to_vec(self)?)
    }

    /// Reads the file; `None` if there is none, or one of another version that cannot be understood.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(Self::FILE)).ok()?).ok()
    }
}
