//! Checkpoints: what a training needs to go on as if it had never stopped.
//!
//! `one line of JSON | weights (f32, little-endian) | state of the optimizer (burnpack) | SHA-256 of all before`.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use shared::verdict::Digest;

use super::EpochMetrics;
use crate::files;

/// The state at the end of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Digest of what was being trained on what: recipe, seed, data, split.
    pub config: String,
    /// Steps done; where every random stream stands follows from it.
    pub step: u64,
    /// Of the epochs done.
    pub history: Vec<EpochMetrics>,
    /// All parameters and running statistics of the network.
    pub weights: Vec<f32>,
    /// State of the optimizer.
    pub optimizer: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: String,
    config: String,
    step: u64,
    history: Vec<EpochMetrics>,
    weights: usize,
}

/// A checkpoint that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// the file cannot be read
    #[error("cannot read the checkpoint {path}: {source}: name the folder of a run that was stopped")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the file is damaged or of another version
    #[error("the checkpoint {0} is damaged or was written by another version: start the training anew")]
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
            history: self.history.clone(),
            weights: self.weights.len(),
        };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        bytes.extend(self.weights.iter().flat_map(|w| w.to_le_bytes()));
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
        let (weights, optimizer) = content[line + 1..].split_at_checked(header.weights.checked_mul(4)?)?;
        (header.version == env!("CARGO_PKG_VERSION")).then(|| Self {
            config: header.config,
            step: header.step,
            history: header.history,
            weights: weights.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            optimizer: optimizer.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_checkpoints_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Checkpoint::FILE);
        let checkpoint = Checkpoint {
            config: "abc".to_owned(),
            step: 96,
            history: Vec::new(),
            weights: vec![1.5, -2.25e-30],
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
