//! Checkpoints: what a training needs to continue as if it had never stopped.
//!
//! `one line of JSON | weights | best weights | average weights | teachers | state of the optimizer (burnpack) | SHA-256 of
//! all before`; weights are f32, little-endian.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::{Shown, files};
use serde::{Deserialize, Serialize};
use shared::verdict::Digest;

use super::EpochMetrics;

/// The state at the end of an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// Digest of what was being trained on what: recipe, seed, data, split.
    pub config: String,
    /// Steps done; where every random stream stands follows from it.
    pub step: u64,
    /// States of the teachers that are finished; another one is being trained if there are less than the recipe wants.
    pub teachers: Vec<Vec<f32>>,
    /// Of the epochs done, without the finished teachers'.
    pub history: Vec<EpochMetrics>,
    /// Seconds of training so far.
    pub seconds: f64,
    /// State of the network.
    pub weights: Vec<f32>,
    /// State of the network after the best epoch; empty where it is not to be kept.
    pub best: Vec<f32>,
    /// Moving average of the states of the network; empty where there is none.
    pub average: Vec<f32>,
    /// State of the optimizer.
    pub optimizer: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: String,
    config: String,
    step: u64,
    /// CSV: unlike JSON's, its numbers are read as they were written, to the bit.
    history: String,
    seconds: f64,
    weights: usize,
    best: usize,
    average: usize,
    teachers: usize,
}

/// A checkpoint that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// the file cannot be read
    #[error("cannot read the checkpoint {path}: {source}: name the folder of a run that was stopped", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the file is damaged or of another version
    #[error("the checkpoint {0} is damaged or was written by another version: start the training again")]
    Damaged(PathBuf),
}

impl Checkpoint {
    /// Name of the file in the folder of a run.
    pub const FILE: &'static str = "checkpoint";

    /// Writes the file; after a crash the old one or the new one is there.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let header = Header {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config.clone(),
            step: self.step,
            history: metrics_csv(&self.history)?,
            seconds: self.seconds,
            weights: self.weights.len(),
            best: self.best.len(),
            average: self.average.len(),
            teachers: self.teachers.len(),
        };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        bytes.extend(
            self.weights
                .iter()
                .chain(&self.best)
                .chain(&self.average)
                .chain(self.teachers.iter().flatten())
                .flat_map(|w| w.to_le_bytes()),
        );
        bytes.extend_from_slice(&self.optimizer);
        let checksum = Digest::of(&bytes);
        bytes.extend_from_slice(&checksum.0);
        files::write_atomically(path, &bytes)
    }

    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
        Self::parse(&bytes).ok_or_else(|| CheckpointError::Damaged(path.to_owned()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<32>()?;
        if Digest::of(content).0 != *checksum {
            return None;
        }
        let line = content.iter().position(|&b| b == b'\n')?;
        let header: Header = serde_json::from_slice(&content[..line]).ok()?;
        let (weights, rest) = content[line + 1..].split_at_checked(header.weights.checked_mul(4)?)?;
        let (best, rest) = rest.split_at_checked(header.best.checked_mul(4)?)?;
        let (average, rest) = rest.split_at_checked(header.average.checked_mul(4)?)?;
        let (teachers, optimizer) = rest.split_at_checked(header.teachers.checked_mul(weights.len())?)?;
        let history =
            csv::Reader::from_reader(header.history.as_bytes()).deserialize().collect::<Result<_, _>>().ok()?;
        let floats =
            |bytes: &[u8]| -> Vec<f32> { bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
        (header.version == env!("CARGO_PKG_VERSION")).then(|| Self {
            config: header.config,
            step: header.step,
            history,
            seconds: header.seconds,
            weights: floats(weights),
            best: floats(best),
            average: floats(average),
            teachers: teachers.chunks(weights.len().max(1)).map(floats).collect(),
            optimizer: optimizer.to_vec(),
        })
    }
}

/// The epochs, one line each under a heading, as CSV.
pub fn metrics_csv(history: &[EpochMetrics]) -> io::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    for metrics in history {
        csv.serialize(metrics)?;
    }
    let bytes = csv.into_inner().map_err(|e| e.into_error())?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_checkpoints_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Checkpoint::FILE);
        // JSON's reader makes another number of this one.
        let metrics = EpochMetrics {
            epoch: 1,
            train_loss: 1.400_266_432_576_408_5,
            train_accuracy: 0.75,
            validation_loss: 1.0 / 3.0,
            validation_accuracy: 0.5,
        };
        let checkpoint = Checkpoint {
            config: "abc".to_owned(),
            step: 96,
            history: vec![metrics],
            seconds: 1.25,
            weights: vec![1.5, -2.25e-30],
            best: vec![-0.5],
            average: vec![0.25],
            teachers: vec![vec![0.5, 0.75], vec![1.0, -1.0]],
            optimizer: vec![1, 2, 3],
        };
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(Checkpoint::load(&path), Err(CheckpointError::Damaged(_))));
        assert!(matches!(Checkpoint::load(folder.path()), Err(CheckpointError::Read { .. })));
    }
}
