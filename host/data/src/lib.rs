//! Labelled radiographs: found in a folder or a ZIP archive, decoded once, brought to the model's input.

pub mod augment;
mod cache;
mod files;
pub mod lettering;
mod load;
pub mod metadata;
mod source;
pub mod split;
pub mod synthetic;

use std::{fmt, path::PathBuf};

use base::Shown;
pub use files::Files;
pub use load::load;
use serde::{Deserialize, Serialize};
use shared::{
    contract::InputContract,
    verdict::{Digest, Refusal},
};

/// The truth about a radiograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// No pneumonia.
    Normal,
    /// Pneumonia.
    Pneumonia,
}

impl Label {
    /// Both, in the order of the model's output.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Pneumonia];

    /// Name of the folder that holds such radiographs; its case does not matter.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Pneumonia => "PNEUMONIA",
        }
    }

    /// True for pneumonia.
    pub const fn positive(self) -> bool {
        matches!(self, Self::Pneumonia)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Normal => "normal",
            Self::Pneumonia => "pneumonia",
        })
    }
}

/// What caused a pneumonia, as file names give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subtype {
    /// Bacteria.
    Bacteria,
    /// A virus.
    Virus,
}

impl Subtype {
    /// `bacteria` or `virus`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bacteria => "bacteria",
            Self::Virus => "virus",
        }
    }
}

/// The folder that the publishers put a radiograph in, or the part that a split gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// To learn from.
    Train,
    /// To monitor the training on and to fit the band of uncertainty on.
    Validation,
    /// To measure on.
    Test,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// A labelled radiograph: what is known of it beside its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Path below the data folder, with `/`; unique in a catalogue.
    pub name: String,
    /// The truth.
    pub label: Label,
    /// The kind of pneumonia, where the file name gives it.
    pub subtype: Option<Subtype>,
    /// Radiographs with equal text are of the same patient, as far as file names show.
    pub patient: String,
    /// The publishers' part, if the folders have one.
    pub official: Option<Part>,
    /// SHA-256 of the file.
    pub digest: Digest,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Skipped {
    /// Path below the data folder.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file was left out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SkipReason {
    /// the file is not a radiograph that can be judged
    #[error("{0}")]
    Refused(Refusal),
    /// the file cannot be read
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// the same file is there under another name
    #[error("the same file as {0}")]
    DuplicateOf(String),
    /// the same file is there under the other label
    #[error("the same file as {0}, which has the other label; both are left out")]
    Contradicts(String),
}

/// Which radiographs there are, and what was left out on the way.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Sorted by name.
    pub samples: Vec<Sample>,
    /// Sorted by name.
    pub skipped: Vec<Skipped>,
    /// True if any of the radiographs was drawn by [`crate::synthetic`].
    pub synthetic: bool,
}

/// The radiographs of a catalogue as inputs of one contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    contract: InputContract,
    /// One input after the other, in the order of the catalogue.
    pixels: Vec<u8>,
}

impl Inputs {
    /// Inputs of radiographs that are made rather than read: `side * side` bytes in rows each, in the order of their
    /// catalogue.
    ///
    /// # Panics
    ///
    /// If one of them has another size.
    pub fn new(contract: InputContract, inputs: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut pixels = Vec::new();
        for input in inputs {
            assert_eq!(input.len(), contract.len(), "an input of another contract");
            pixels.extend_from_slice(&input);
        }
        Self { contract, pixels }
    }

    /// What they were brought to.
    pub fn contract(&self) -> &InputContract {
        &self.contract
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.contract.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The input of radiograph `index` of the catalogue: `side * side` bytes in rows.
    ///
    /// # Panics
    ///
    /// If the catalogue has no such radiograph.
    pub fn of(&self, index: usize) -> &[u8] {
        let length = self.contract.len();
        &self.pixels[index * length..][..length]
    }
}

/// Images of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCount {
    /// Without pneumonia.
    pub normal: usize,
    /// With pneumonia.
    pub pneumonia: usize,
}

impl PartCount {
    /// Counts the images named.
    pub fn of(catalogue: &Catalogue, indices: &[usize]) -> Self {
        let pneumonia = indices.iter().filter(|&&i| catalogue.samples[i].label.positive()).count();
        Self { normal: indices.len() - pneumonia, pneumonia }
    }
}

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// the data cannot be read
    #[error("cannot read {path}: {source}: name a folder or a ZIP archive that exists and may be read", path = Shown(path.display()))]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// the file is not a ZIP archive
    #[error("{path} is not a readable ZIP archive ({reason}): download it again, or unpack it and name the folder", path = Shown(path.display()))]
    Zip {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// there are no labelled files
    #[error(
        "{0} holds no folders NORMAL and PNEUMONIA with files in them: name the folder above them, or the one above train/, val/ and test/"
    )]
    NoImages(PathBuf),
    /// no file could be decoded
    #[error(
        "none of the {files} files in {path} is a radiograph that can be used (the first: {first}): give JPEG or PNG files"
    )]
    NothingUsable {
        /// The data.
        path: PathBuf,
        /// Files found.
        files: usize,
        /// Name and fault of the first one.
        first: String,
    },
    /// one class is missing
    #[error("the data hold no {missing} radiographs: a model needs both folders, NORMAL and PNEUMONIA")]
    OneClass {
        /// What is not there.
        missing: Label,
    },
}

impl Catalogue {
    /// SHA-256 over the sorted names and the digests of the files.
    pub fn digest(&self) -> Digest {
        let mut text = Vec::new();
        for sample in &self.samples {
            text.extend_from_slice(sample.name.as_bytes());
            text.push(0);
            text.extend_from_slice(&sample.digest.0);
        }
        Digest::of(&text)
    }

    /// Number of radiographs with `label`.
    pub fn count(&self, label: Label) -> usize {
        self.samples.iter().filter(|s| s.label == label).count()
    }

    /// Checks that there is something to distinguish.
    pub fn require_both_labels(&self) -> Result<(), DataError> {
        match Label::ALL.into_iter().find(|&label| self.count(label) == 0) {
            Some(missing) => Err(DataError::OneClass { missing }),
            None => Ok(()),
        }
    }
}
