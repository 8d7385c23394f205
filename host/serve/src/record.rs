//! What is known of a film, as it is kept.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use shared::{
    age::{AgeNote, Ages},
    verdict::{Digest, ExamId, Fault, OperatingPoint, Refusal, Verdict},
};

/// A film and the answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From 1, never given twice.
    pub number: u64,
    /// Seconds since 1970 when it came in.
    pub received: u64,
    /// What the exam is called.
    pub exam: ExamId,
    /// Digest of the file.
    pub film: Digest,
    /// Bytes of the file.
    pub bytes: u64,
    /// How it came in.
    pub source: Source,
    /// Where it was judged, as the settings name the place.
    pub site: String,
    /// The answer; `None` while it waits for one.
    pub answer: Option<Answer>,
    /// Digests of the pictures that are of this answer: no other one is shown.
    #[serde(default)]
    pub(crate) pictures: BTreeMap<Picture, Digest>,
    /// What the clinician says.
    pub clinician: Option<Said>,
}

/// How a film came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Dropped on the page.
    Page,
    /// Laid into the watched folder.
    Folder,
    /// Sent by a console to the DICOM node.
    Node,
}

impl Source {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Page, Self::Folder, Self::Node];

    /// The word that programs read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Folder => "folder",
            Self::Node => "node",
        }
    }
}

/// The answer to a film.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Seconds since 1970 when it was given.
    pub at: u64,
    /// Who gave it; `None` where nobody could.
    pub by: Option<By>,
    /// What it is.
    pub outcome: Outcome,
}

/// The model that judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct By {
    /// Name of the model. May hold anything.
    pub model: String,
    /// Digest of its file.
    pub digest: Digest,
    /// Whether its answers mean nothing medically.
    pub synthetic: bool,
    /// The ages that it is for, if they are known.
    pub ages: Option<Ages>,
}

/// What is said of a film.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was judged.
    Judged {
        /// The verdict.
        verdict: Verdict,
        /// Probability of pneumonia, 0..=1.
        probability: f32,
        /// Where the verdict changes.
        point: OperatingPoint,
        /// What is noted of the patient's age.
        age: AgeNote,
        /// Whether it is known here where the model looked.
        looked: bool,
        /// Number of the result in the journal of the box, if a box has judged.
        record: Option<u64>,
    },
    /// It should not be judged.
    Refused(Refusal),
    /// It could not be judged; the same film may come again.
    Failed(Fault),
}

/// What the clinician says, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What.
    pub what: Opinion,
    /// Seconds since 1970.
    pub at: u64,
}

/// What a clinician may say of a film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opinion {
    /// No pneumonia.
    Normal,
    /// Pneumonia.
    Pneumonia,
    /// Another finding.
    Other,
    /// Neither.
    Undecided,
}

impl Opinion {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Pneumonia, Self::Other, Self::Undecided];

    /// The word that programs read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Pneumonia => "pneumonia",
            Self::Other => "other",
            Self::Undecided => "undecided",
        }
    }
}

impl Record {
    /// Whether it has a verdict.
    pub fn is_judged(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| matches!(answer.outcome, Outcome::Judged { .. }))
    }

    /// Code of the verdict, the refusal or the fault.
    pub fn code(&self) -> Option<u16> {
        Some(match self.answer.as_ref()?.outcome {
            Outcome::Judged { verdict, .. } => verdict.code(),
            Outcome::Refused(refusal) => refusal.code(),
            Outcome::Failed(fault) => fault.code(),
        })
    }

    /// The word that programs read: a verdict, `refused`, `failed` or `waiting`.
    pub fn word(&self) -> &'static str {
        match self.answer.as_ref().map(|answer| answer.outcome) {
            None => "waiting",
            Some(Outcome::Judged { verdict, .. }) => verdict.as_str(),
            Some(Outcome::Refused(_)) => "refused",
            Some(Outcome::Failed(_)) => "failed",
        }
    }
}

/// A picture that is kept with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Picture {
    Film,
    Square,
    Evidence,
}

impl Picture {
    pub(crate) const ALL: [Self; 3] = [Self::Film, Self::Square, Self::Evidence];
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Film => "film",
            Self::Square => "square",
            Self::Evidence => "evidence",
        })
    }
}

/// Pictures of a film, PNG files. What there is not is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pictures {
    /// The film, darker where it was left out.
    pub film: Option<Vec<u8>>,
    /// What the network sees.
    pub square: Option<Vec<u8>>,
    /// Where the model looked.
    pub evidence: Option<Vec<u8>>,
}

impl Pictures {
    pub(crate) fn each(&self) -> impl Iterator<Item = (Picture, &[u8])> {
        let all = Picture::ALL.into_iter().zip([&self.film, &self.square, &self.evidence]);
        all.filter_map(|(which, png)| Some((which, png.as_deref()?)))
    }
}
