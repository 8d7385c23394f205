//! Labelled radiographs: found in a folder or a ZIP archive, decoded once, brought to the model's input.

mod account;
pub mod augment;
mod cache;
mod files;
mod inputs;
mod labels;
pub mod lettering;
mod load;
pub mod machines;
pub mod metadata;
pub mod path_text;
mod sites;
mod source;
pub mod split;
pub mod synthetic;

use std::{fmt, path::PathBuf};

use base::Shown;
pub use files::Files;
pub use inputs::{InputError, Inputs};
pub use labels::LabelsFault;
pub use load::load;
pub use metadata::is_no_picture;
use serde::{Deserialize, Serialize};
use shared::verdict::{Digest, Refusal};
pub use sites::{Site, SiteError, load_sites};

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

    /// The label that a folder or a table names; case and blanks around it do not matter.
    fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.folder().eq_ignore_ascii_case(text.trim()))
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

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The names that a folder may have, the publishers' first.
    const fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train", "training"],
            Self::Validation => &["val", "valid", "validation", "dev"],
            Self::Test => &["test", "testing"],
        }
    }

    /// The part that a folder names; case and blanks around it do not matter.
    fn named(text: &str) -> Option<Self> {
        let is_named = |part: &Self| part.folders().iter().any(|name| name.eq_ignore_ascii_case(text.trim()));
        Self::ALL.into_iter().find(is_named)
    }
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

/// How a radiograph from the front was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// Posteroanterior: the patient mostly stands, facing the detector.
    Pa,
    /// Anteroposterior: the patient mostly lies or sits, facing the tube.
    Ap,
}

impl View {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pa, Self::Ap];
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pa => "PA",
            Self::Ap => "AP",
        })
    }
}

/// A labelled radiograph: what is known of it beside its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Path below the data folder, with `/`, of several sites after the name of its own; unique in a catalogue.
    pub name: String,
    /// Name of the hospital; empty where the data are of one alone.
    pub site: String,
    /// The truth.
    pub label: Label,
    /// The kind of pneumonia, where the file name gives it.
    pub subtype: Option<Subtype>,
    /// Radiographs with equal text are of the same patient, as far as `labels.csv` or the file names show.
    pub patient: String,
    /// Age in years, 0 to 130, where `labels.csv` gives it.
    pub age: Option<f32>,
    /// The view, where `labels.csv` gives it.
    pub view: Option<View>,
    /// True if a row of `labels.csv` gave label and patient, so that names alone do not say them.
    pub listed: bool,
    /// The publishers' part, if the folders have one.
    pub official: Option<Part>,
    /// The X-ray machine, from 1 at each site, once [`machines::find`] has looked for them.
    pub machine: Option<u16>,
    /// SHA-256 of the file.
    pub digest: Digest,
}

impl Sample {
    /// A radiograph of which nothing else is known; its digest is all zeros.
    pub fn new(name: impl Into<String>, label: Label, patient: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            site: String::new(),
            label,
            subtype: None,
            patient: patient.into(),
            age: None,
            view: None,
            listed: false,
            official: None,
            machine: None,
            digest: Digest::default(),
        }
    }

    /// The name as it would be without other sites.
    pub fn name_at_site(&self) -> &str {
        self.without_site(&self.name)
    }

    /// The patient as he would be called without other sites.
    pub fn patient_at_site(&self) -> &str {
        self.without_site(&self.patient)
    }

    fn without_site<'a>(&self, text: &'a str) -> &'a str {
        let rest = text.strip_prefix(&self.site).and_then(|rest| rest.strip_prefix('/'));
        if self.site.is_empty() { text } else { rest.unwrap_or(text) }
    }

    /// The X-ray machine, if it is known, such as `2`; of a site with a name, such as `clinic/2`.
    pub fn machine_name(&self) -> Option<String> {
        let number = self.machine?;
        Some(if self.site.is_empty() { number.to_string() } else { format!("{}/{number}", self.site) })
    }

    /// What figures can be grouped by, such as the site or the publishers' folder, and the name of the radiograph's group.
    pub fn groups(&self) -> Vec<(&'static str, String)> {
        let site = (!self.site.is_empty()).then(|| ("site", self.site.clone()));
        let folder = self.official.map(|part| ("folder", part.to_string()));
        let age = self.age.map(|age| ("age", age_group(age).to_owned()));
        let view = self.view.map(|view| ("view", view.to_string()));
        let machine = self.machine_name().map(|machine| ("machine", machine));
        [site, folder, machine, age, view].into_iter().flatten().collect()
    }
}

/// The age group of somebody of this age in years.
fn age_group(age: f32) -> &'static str {
    const GROUPS: [(f32, &str); 4] =
        [(1.0, "under 1 year"), (6.0, "1 to 5 years"), (12.0, "6 to 11 years"), (18.0, "12 to 17 years")];
    GROUPS.iter().find(|(end, _)| age < *end).map_or("from 18 years on", |(_, name)| name)
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
    /// something else than a picture, by its name
    #[error("no picture, by its name")]
    NoPicture,
    /// its folder is none of the two
    #[error("in the folder {0}, which is neither NORMAL nor PNEUMONIA")]
    OtherFolder(String),
    /// the same files are in another folder
    #[error("a copy: all {files} files of it are in {other} as well")]
    CopyOf {
        /// How many files it holds.
        files: usize,
        /// The other folder.
        other: String,
    },
    /// the same file is there under another name
    #[error("the same file as {0}")]
    DuplicateOf(String),
    /// the same file is there under the other label
    #[error("the same file as {0}, which has the other label; both are left out")]
    Contradicts(String),
    /// `labels.csv` says something else than the folder
    #[error("labels.csv says {listed}, its folder says {folder}")]
    OtherLabel {
        /// By the table.
        listed: Label,
        /// By the folder.
        folder: Label,
    },
    /// several rows of `labels.csv` disagree
    #[error("labels.csv says different things of it in several rows")]
    ListedTwice,
    /// only `labels.csv` knows it
    #[error("labels.csv names it, but there is no such file")]
    Missing,
    /// not below the folder of `labels.csv`
    #[error("labels.csv names it, but it lies outside of the folder: give paths below the folder of labels.csv")]
    Outside,
}

/// Which radiographs there are, and what was left out on the way.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Sorted by name.
    pub samples: Vec<Sample>,
    /// Sorted by name.
    pub skipped: Vec<Skipped>,
    /// What folders were taken for, in sentences, where their names leave a doubt.
    pub notes: Vec<String>,
    /// The names that earlier versions gave the radiographs, in their order, where they gave others: after folders that hold
    /// copies. Else empty.
    pub former_names: Vec<String>,
    /// True if any of the radiographs was drawn by [`crate::synthetic`].
    pub synthetic: bool,
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
    /// the archive is of another make
    #[error(
        "{path} cannot be read: {make}: unpack it and name the folder, or make it again as a ZIP archive (`zip -r data.zip FOLDER`; in \
         7-Zip the format zip, the method Deflate, no password)", path = Shown(path.display())
    )]
    Archive {
        /// The file.
        path: PathBuf,
        /// What it is.
        make: String,
    },
    /// there are no labelled files, and some could not be looked for
    #[error(
        "{path} holds no folders NORMAL and PNEUMONIA that can be read (the first of {count} that cannot: {first}): mend the \
         links, see who may read there, or name another folder", path = Shown(path.display())
    )]
    NothingReadable {
        /// The data.
        path: PathBuf,
        /// Files and folders that cannot be read.
        count: usize,
        /// Name and fault of the first one.
        first: String,
    },
    /// there are no labelled files
    #[error(
        "{0} holds no folders NORMAL and PNEUMONIA with files in them: name the folder above them, or the one above train/, val/ and test/"
    )]
    NoImages(PathBuf),
    /// the table of labels cannot be used
    #[error("{path}, line {line}: {fault}", path = Shown(path.display()))]
    Labels {
        /// The table, or the archive with it.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong there, and what to do.
        fault: LabelsFault,
    },
    /// no file could be decoded
    #[error(
        "none of the {files} files in {path} is a radiograph that can be used (the first: {first}): give DICOM, JPEG, PNG, TIFF, BMP or WebP files"
    )]
    NothingUsable {
        /// The data.
        path: PathBuf,
        /// Files found.
        files: usize,
        /// Name and fault of the first one.
        first: String,
    },
    /// the inputs have room nowhere
    #[error(
        "the decoded images do not fit into memory, and cannot be kept in the cache ({0}): set PUMUA_CACHE to a folder that can be \
         written, on a disk with room for all of them"
    )]
    Cache(std::io::Error),
    /// more files of the cache would be open at once than the system permits
    #[error(
        "the decoded images are in more files than this system lets a program hold open: raise the limit (`ulimit -Hn` shows it), or use \
         fewer data sets or sizes of input at once"
    )]
    TooManyOpen,
    /// two sites have one name
    #[error("two sites are called {0}, case aside: give each a name of its own")]
    SiteTwice(String),
    /// the same file is in two sites
    #[error(
        "{0} and {1} are the same file: leave it out of one of the sites, or the model is measured on what it has learnt"
    )]
    InTwoSites(String, String),
    /// one class is missing
    #[error("the data hold no {missing} radiographs: a model needs both folders, NORMAL and PNEUMONIA")]
    OneClass {
        /// What is not there.
        missing: Label,
    },
    /// one class is missing in a site
    #[error(
        "site {site} holds no {missing} radiographs: a model would learn to tell the sites apart instead, so give both of each site"
    )]
    OneClassAtSite {
        /// The site.
        site: String,
        /// What is not there.
        missing: Label,
    },
}

impl Catalogue {
    /// SHA-256 over the sorted names and the digests of the files, and over label and patient where a table gave them.
    pub fn digest(&self) -> Digest {
        Self::digest_of(self.samples.iter().map(|sample| (&*sample.name, &*sample.patient, sample)))
    }

    /// The same of radiographs by these names and patients.
    fn digest_of<'a>(samples: impl Iterator<Item = (&'a str, &'a str, &'a Sample)>) -> Digest {
        let mut text = Vec::new();
        for (name, patient, sample) in samples {
            text.extend_from_slice(name.as_bytes());
            text.push(0);
            text.extend_from_slice(&sample.digest.0);
            if sample.listed {
                text.extend_from_slice(sample.label.folder().as_bytes());
                text.push(0);
                text.extend_from_slice(patient.as_bytes());
                text.push(0);
            }
        }
        Digest::of(&text)
    }

    /// The [digest](Self::digest) that earlier versions had for these data, where it is another one.
    pub fn former_digest(&self) -> Option<Digest> {
        Some(Self::digest_of(self.formerly()?.map(|(name, sample)| (name, &*sample.patient, sample))))
    }

    /// The radiographs and the names that earlier versions gave them, where they gave others.
    fn formerly(&self) -> Option<impl Iterator<Item = (&str, &Sample)>> {
        let known = !self.former_names.is_empty() && self.former_names.len() == self.samples.len();
        known.then(|| self.former_names.iter().map(String::as_str).zip(&self.samples))
    }

    /// True if this is the [digest](Self::digest) of these data, also if an earlier version made it.
    pub fn has_digest(&self, digest: &str) -> bool {
        [Some(self.digest()), self.former_digest()].into_iter().flatten().any(|known| known.to_string() == digest)
    }

    /// Number of radiographs with `label`.
    pub fn count(&self, label: Label) -> usize {
        self.samples.iter().filter(|s| s.label == label).count()
    }

    /// Checks that there is something to distinguish, at every site.
    pub fn require_both_labels(&self) -> Result<(), DataError> {
        for (site, indices) in self.by_site() {
            let missing = Label::ALL.into_iter().find(|label| indices.iter().all(|&i| self.samples[i].label != *label));
            match missing {
                Some(missing) if site.is_empty() => return Err(DataError::OneClass { missing }),
                Some(missing) => return Err(DataError::OneClassAtSite { site: site.to_owned(), missing }),
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_by_what_is_known() {
        let mut sample = Sample::new("adults/NORMAL/a.png", Label::Normal, "adults/p1");
        assert_eq!(sample.groups(), []);
        sample.site = "adults".to_owned();
        (sample.age, sample.view, sample.official) = (Some(5.9), Some(View::Pa), Some(Part::Train));
        let groups = sample.groups();
        let groups: Vec<_> = groups.iter().map(|(kind, name)| (*kind, name.as_str())).collect();
        assert_eq!(groups, [("site", "adults"), ("folder", "train"), ("age", "1 to 5 years"), ("view", "PA")]);
        let ages = [0.5, 1.0, 6.0, 17.9, 18.0, 90.0].map(age_group);
        assert_eq!(
            ages,
            ["under 1 year", "1 to 5 years", "6 to 11 years", "12 to 17 years", "from 18 years on", "from 18 years on"]
        );
    }
}
