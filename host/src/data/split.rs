//! Dealing radiographs out: train, validation, test.

use std::{collections::BTreeMap, fmt, path::Path};

use clap::ValueEnum;
use engine::Card;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Dataset, Label, Part, Sample, Subtype};

/// A validation folder below this size is too noisy to fit anything on.
const SMALL_VALIDATION: usize = 100;

/// How radiographs are dealt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SplitKind {
    /// File by file, 70/15/15 within each label, as the study did: other images of the patients who are tested on are
    /// learned from
    Study,
    /// Patient by patient, 70/15/15 within each label: nobody is in two parts
    Patient,
    /// The publishers' folders train/, val/ and test/; where val/ is small, a tenth of the patients of train/ as well
    Official,
}

impl SplitKind {
    /// How the data of a model were dealt out, as its card tells it.
    pub fn of_card(card: &Card) -> Option<Self> {
        Self::from_str(&card.split, false).ok()
    }
}

impl fmt::Display for SplitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Study => "study",
            Self::Patient => "patient",
            Self::Official => "official",
        })
    }
}

/// Which radiograph is in which part: indices into [`Dataset::samples`], ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// How it was made.
    pub kind: SplitKind,
    /// To learn from.
    pub train: Vec<usize>,
    /// To watch and to fit the band of uncertainty on.
    pub validation: Vec<usize>,
    /// To measure on.
    pub test: Vec<usize>,
}

/// Data that cannot be dealt out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// the publishers' folder is not there
    #[error("the data have no {0}/ folder: use the split `patient` or `study`, which deal the images out anew")]
    NoFolder(&'static str),
    /// a part lacks a label
    #[error("no {label} radiograph is left for the {part} part: give more images, at least 20 of each label")]
    TooSmall {
        /// The part.
        part: Part,
        /// What it lacks.
        label: Label,
    },
}

impl Split {
    /// Deals the radiographs out. The same data, kind and seed give the same split.
    pub fn new(data: &Dataset, kind: SplitKind, seed: u64) -> Result<Self, SplitError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let parts = match kind {
            SplitKind::Study => by_file(&data.samples, &mut rng),
            SplitKind::Patient => {
                let all: Vec<usize> = (0..data.samples.len()).collect();
                by_patient(&data.samples, &all, 15, 15, &mut rng)
            }
            SplitKind::Official => official(&data.samples, &mut rng)?,
        };
        let pick = |part: Part| parts.iter().enumerate().filter(|(_, p)| **p == part).map(|(i, _)| i).collect();
        let split = Self { kind, train: pick(Part::Train), validation: pick(Part::Validation), test: pick(Part::Test) };
        for part in [Part::Train, Part::Validation, Part::Test] {
            for label in Label::ALL {
                if !split.part(part).iter().any(|&i| data.samples[i].label == label) {
                    return Err(SplitError::TooSmall { part, label });
                }
            }
        }
        Ok(split)
    }

    /// The radiographs of a part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    /// Writes `path,label,subtype,patient,part`, one line for each radiograph, in the order of the data.
    pub fn write_csv(&self, data: &Dataset, path: &Path) -> csv::Result<()> {
        let mut rows: Vec<(usize, Part)> = [Part::Train, Part::Validation, Part::Test]
            .into_iter()
            .flat_map(|part| self.part(part).iter().map(move |&i| (i, part)))
            .collect();
        rows.sort_unstable();
        let mut csv = csv::Writer::from_path(path)?;
        csv.write_record(["path", "label", "subtype", "patient", "part"])?;
        for (i, part) in rows {
            let s = &data.samples[i];
            csv.write_record([
                s.name.as_str(),
                &s.label.to_string(),
                s.subtype.map_or("", Subtype::as_str),
                &s.patient,
                &part.to_string(),
            ])?;
        }
        csv.flush()?;
        Ok(())
    }
}

/// File by file within each label. The test and validation parts are 15 %, rounded up: at the study's 1,583 + 4,273
/// images these are its 238 + 641 each, and 1,107 + 2,991 to learn from.
fn by_file(samples: &[Sample], rng: &mut ChaCha8Rng) -> Vec<Part> {
    let mut parts = vec![Part::Train; samples.len()];
    for label in Label::ALL {
        let mut indices: Vec<usize> = (0..samples.len()).filter(|&i| samples[i].label == label).collect();
        indices.shuffle(rng);
        let share = share_of(indices.len(), 15);
        for (rank, &i) in indices.iter().enumerate() {
            parts[i] = match rank / share {
                0 => Part::Test,
                1 => Part::Validation,
                _ => Part::Train,
            };
        }
    }
    parts
}

/// `percent` of `count`, rounded up, at least one.
fn share_of(count: usize, percent: usize) -> usize {
    (count * percent).div_ceil(100).max(1)
}

/// Patient by patient within each label: shuffled patients fill the test part, then the validation part, up to their
/// share of the images. A patient counts to the label of most of his images. Images that are not `chosen` are left in
/// the train part.
fn by_patient(
    samples: &[Sample],
    chosen: &[usize],
    test_percent: usize,
    validation_percent: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Part> {
    let mut patients: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &i in chosen {
        patients.entry(&samples[i].patient).or_default().push(i);
    }
    let mut parts = vec![Part::Train; samples.len()];
    for label in Label::ALL {
        let mut of_label: Vec<&Vec<usize>> = patients
            .values()
            .filter(|images| {
                let ill = images.iter().filter(|&&i| samples[i].label.positive()).count();
                (2 * ill > images.len()) == label.positive()
            })
            .collect();
        of_label.shuffle(rng);
        let total: usize = of_label.iter().map(|images| images.len()).sum();
        let mut wanted = [(Part::Test, test_percent), (Part::Validation, validation_percent)]
            .map(|(part, percent)| (part, if percent == 0 { 0 } else { share_of(total, percent) }));
        for images in of_label {
            let Some((part, left)) = wanted.iter_mut().find(|(_, left)| *left > 0) else { break };
            *left = left.saturating_sub(images.len());
            for &i in images {
                parts[i] = *part;
            }
        }
    }
    parts
}

/// The publishers' folders.
fn official(samples: &[Sample], rng: &mut ChaCha8Rng) -> Result<Vec<Part>, SplitError> {
    let of = |part: Part| -> Vec<usize> { (0..samples.len()).filter(|&i| samples[i].official == Some(part)).collect() };
    let (train, validation, test) = (of(Part::Train), of(Part::Validation), of(Part::Test));
    if test.is_empty() {
        return Err(SplitError::NoFolder("test"));
    }
    if train.is_empty() {
        return Err(SplitError::NoFolder("train"));
    }
    let mut parts = if validation.len() < SMALL_VALIDATION {
        by_patient(samples, &train, 0, 10, rng)
    } else {
        vec![Part::Train; samples.len()]
    };
    for i in validation {
        parts[i] = Part::Validation;
    }
    for i in test {
        parts[i] = Part::Test;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::verdict::Digest;

    use super::*;

    fn sample(number: usize, label: Label, patient: usize, official: Option<Part>) -> Sample {
        Sample {
            name: format!("{label}/{number:05}.jpeg"),
            label,
            subtype: None,
            patient: format!("{label}/{patient}"),
            official,
            digest: Digest::default(),
            pixels: Vec::new(),
        }
    }

    /// `normal` and `ill` images, up to `most` of a patient.
    fn dataset(normal: usize, ill: usize, most: usize) -> Dataset {
        let of = |label: Label, count: usize| {
            let (mut patient, mut left) = (0, 0);
            (0..count)
                .map(|i| {
                    if left == 0 {
                        (patient, left) = (patient + 1, 1 + i % most);
                    }
                    left -= 1;
                    sample(i, label, patient, None)
                })
                .collect::<Vec<_>>()
        };
        let samples = [of(Label::Normal, normal), of(Label::Pneumonia, ill)].concat();
        Dataset { samples, skipped: Vec::new(), synthetic: false }
    }

    fn counts(data: &Dataset, indices: &[usize]) -> (usize, usize) {
        let ill = indices.iter().filter(|&&i| data.samples[i].label.positive()).count();
        (indices.len() - ill, ill)
    }

    #[test]
    fn study_split_has_the_counts_of_the_study() {
        let data = dataset(1583, 4273, 1);
        let split = Split::new(&data, SplitKind::Study, 7).unwrap();
        assert_eq!(counts(&data, &split.train), (1107, 2991));
        assert_eq!(counts(&data, &split.validation), (238, 641));
        assert_eq!(counts(&data, &split.test), (238, 641));
        assert_ne!(split, Split::new(&data, SplitKind::Study, 8).unwrap());
    }

    #[test]
    fn official_split_keeps_the_folders() {
        let mut samples = Vec::new();
        for label in Label::ALL {
            for i in 0..100 {
                samples.push(sample(i, label, i / 3, Some(Part::Train)));
            }
            samples.push(sample(100, label, 100, Some(Part::Validation)));
            samples.push(sample(101, label, 101, Some(Part::Test)));
        }
        let mut data = Dataset { samples, ..Dataset::default() };
        let split = Split::new(&data, SplitKind::Official, 1).unwrap();
        assert_eq!(counts(&data, &split.test), (1, 1));
        let (normal, ill) = counts(&data, &split.validation);
        assert!((11..=13).contains(&normal) && (11..=13).contains(&ill), "{normal} {ill}");
        assert_patients_apart(&data, &split);

        data.samples.retain(|s| s.official != Some(Part::Test));
        assert_eq!(Split::new(&data, SplitKind::Official, 1), Err(SplitError::NoFolder("test")));
    }

    #[test]
    fn too_few_images_are_an_error() {
        let data = dataset(2, 40, 1);
        let error = SplitError::TooSmall { part: Part::Train, label: Label::Normal };
        assert_eq!(Split::new(&data, SplitKind::Study, 1), Err(error));
    }

    fn assert_patients_apart(data: &Dataset, split: &Split) {
        let mut seen: BTreeMap<&str, Part> = BTreeMap::new();
        for part in [Part::Train, Part::Validation, Part::Test] {
            for &i in split.part(part) {
                let before = *seen.entry(&data.samples[i].patient).or_insert(part);
                assert_eq!(before, part, "{}", data.samples[i].patient);
            }
        }
    }

    proptest! {
        #[test]
        fn splits_are_complete_disjoint_and_repeatable(
            normal in 60..300_usize, ill in 60..300_usize, most in 1..6_usize, seed in any::<u64>(),
        ) {
            let data = dataset(normal, ill, most);
            for kind in [SplitKind::Study, SplitKind::Patient] {
                let split = Split::new(&data, kind, seed).unwrap();
                let mut all = [split.train.clone(), split.validation.clone(), split.test.clone()].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..normal + ill).collect::<Vec<_>>());
                prop_assert_eq!(&split, &Split::new(&data, kind, seed).unwrap());
                for part in [&split.validation, &split.test] {
                    let (n, i) = counts(&data, part);
                    // Patients are dealt out whole, so a part may be over its share by one patient.
                    for (got, of) in [(n, normal), (i, ill)] {
                        let share = share_of(of, 15);
                        prop_assert!((share..share + most).contains(&got), "{} of {}", got, of);
                    }
                }
                if kind == SplitKind::Patient {
                    assert_patients_apart(&data, &split);
                }
            }
        }
    }
}
