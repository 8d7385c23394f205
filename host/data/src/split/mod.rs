//! Splitting radiographs into train, validation and test.

use std::{collections::BTreeMap, fmt, path::Path};

use base::cell;
use clap::ValueEnum;
use engine::ModelCard;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use shared::verdict::Digest;

use super::{Catalogue, Label, Part, Sample, Subtype};

/// A validation folder below this size is too noisy to fit anything on.
const SMALL_VALIDATION: usize = 100;

/// Folds of the cross-validation.
pub const FOLDS: u64 = 5;

/// How radiographs are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// File by file, 70/15/15 within each label, as the study did: a patient can be in both training and
    /// test
    Study,
    /// Patient by patient: the test part holds those whose names have a digest in the lowest 15 %, whatever the seed; of
    /// the others the seed puts 15 % of all within each label into validation. The publishers' test/ is left out
    Patient,
    /// Patient by patient, 70/15/15 within each label, all by the seed
    PatientBySeed,
    /// Five-fold cross-validation without the test part of `patient`: one fold, by the seed, is measured on, patient by
    /// patient and with the same share of normal, bacterial and viral radiographs; a tenth of the rest is validation
    PatientFold,
    /// The publishers' folders train/, val/ and test/; where val/ is small, a tenth of the patients of train/ as well
    Official,
}

impl SplitKind {
    /// How the data of a model were split, as its card names it.
    pub fn of_card(card: &ModelCard) -> Option<Self> {
        Self::from_str(&card.provenance.split, false).ok()
    }
}

impl fmt::Display for SplitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Study => "study",
            Self::Patient => "patient",
            Self::PatientBySeed => "patient-by-seed",
            Self::PatientFold => "patient-fold",
            Self::Official => "official",
        })
    }
}

/// Which radiograph is in which part, if in any: indices into [`Catalogue::samples`], ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// How it was made.
    pub kind: SplitKind,
    /// To learn from.
    pub train: Vec<usize>,
    /// To monitor the training on and to fit the band of uncertainty on.
    pub validation: Vec<usize>,
    /// To measure on.
    pub test: Vec<usize>,
}

/// Data that cannot be split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// the publishers' folder is not there
    #[error("the data have no {0}/ folder: use the split `patient` or `study`, which split the images again")]
    NoFolder(&'static str),
    /// a part lacks a label
    #[error(
        "no {label} radiograph is left for the {part} part: give more images, 40 of each label or so, or use the split `study`"
    )]
    TooSmall {
        /// The part.
        part: Part,
        /// What it lacks.
        label: Label,
    },
    /// one of several sites cannot be split
    #[error("site {site}: {error}")]
    AtSite {
        /// The site.
        site: String,
        /// Why.
        error: Box<SplitError>,
    },
}

impl Split {
    /// Splits the radiographs, those of each site on their own: what is in a part does not depend on other sites, nor on
    /// what the site is called. The same data, kind and seed give the same split.
    pub fn new(catalogue: &Catalogue, kind: SplitKind, seed: u64) -> Result<Self, SplitError> {
        let mut parts = vec![None; catalogue.samples.len()];
        for (site, indices) in catalogue.by_site() {
            let samples: Vec<&Sample> = indices.iter().map(|&i| &catalogue.samples[i]).collect();
            let of_site = parts_of(&samples, kind, seed).map_err(|error| match site {
                "" => error,
                site => SplitError::AtSite { site: site.to_owned(), error: Box::new(error) },
            })?;
            for (index, part) in indices.into_iter().zip(of_site) {
                parts[index] = part;
            }
        }
        let pick = |part: Part| parts.iter().enumerate().filter(|(_, p)| **p == Some(part)).map(|(i, _)| i).collect();
        Ok(Self { kind, train: pick(Part::Train), validation: pick(Part::Validation), test: pick(Part::Test) })
    }

    /// The radiographs of a part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    /// Writes `path,label,subtype,patient,part,site,age,view`, what is not known being empty, one line for each radiograph, in the order of the catalogue.
    pub fn write_csv(&self, catalogue: &Catalogue, path: &Path) -> csv::Result<()> {
        let mut rows: Vec<(usize, Part)> = [Part::Train, Part::Validation, Part::Test]
            .into_iter()
            .flat_map(|part| self.part(part).iter().map(move |&i| (i, part)))
            .collect();
        rows.sort_unstable();
        let mut csv = csv::Writer::from_path(path)?;
        csv.write_record(["path", "label", "subtype", "patient", "part", "site", "age", "view"])?;
        for (i, part) in rows {
            let s = &catalogue.samples[i];
            csv.write_record([
                &*cell::text(&s.name),
                &s.label.to_string(),
                s.subtype.map_or("", Subtype::as_str),
                &*cell::text(&s.patient),
                &part.to_string(),
                &s.site,
                &s.age.map(|age| age.to_string()).unwrap_or_default(),
                &s.view.map(|view| view.to_string()).unwrap_or_default(),
            ])?;
        }
        csv.flush()?;
        Ok(())
    }
}

/// The parts of the radiographs of one site, both labels in each.
fn parts_of(samples: &[&Sample], kind: SplitKind, seed: u64) -> Result<Vec<Option<Part>>, SplitError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let parts = match kind {
        SplitKind::Study => all(by_file(samples, &mut rng)),
        SplitKind::Patient => patient(samples, &mut rng),
        SplitKind::PatientBySeed => {
            let chosen: Vec<usize> = (0..samples.len()).collect();
            all(by_patient(samples, &chosen, [15, 15], &mut rng))
        }
        SplitKind::PatientFold => fold(samples, seed % FOLDS, &mut rng),
        SplitKind::Official => all(official(samples, &mut rng)?),
    };
    for part in [Part::Train, Part::Validation, Part::Test] {
        for label in Label::ALL {
            if !samples.iter().zip(&parts).any(|(sample, p)| *p == Some(part) && sample.label == label) {
                return Err(SplitError::TooSmall { part, label });
            }
        }
    }
    Ok(parts)
}

fn all(parts: Vec<Part>) -> Vec<Option<Part>> {
    parts.into_iter().map(Some).collect()
}

/// True for those whom the test part of [`SplitKind::Patient`] is made of: 15 % of all names there can be.
fn in_test_part(patient: &str) -> bool {
    hash_position(patient) < u64::MAX / 100 * 15
}

/// A place that belongs to a name alone: the first eight bytes of its SHA-256.
fn hash_position(patient: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of(patient.as_bytes()).0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Radiographs outside the publishers' test folder, of those who are held out or of the others.
fn own_samples(samples: &[&Sample], held: bool) -> Vec<usize> {
    let chosen = |s: &Sample| s.official != Some(Part::Test) && in_test_part(s.patient_at_site()) == held;
    (0..samples.len()).filter(|&i| chosen(samples[i])).collect()
}

fn patient(samples: &[&Sample], rng: &mut ChaCha8Rng) -> Vec<Option<Part>> {
    let (known, test) = (own_samples(samples, false), own_samples(samples, true));
    // 15 of the 85 % that are left.
    assemble(samples, &test, &known, 18, rng)
}

fn fold(samples: &[&Sample], number: u64, rng: &mut ChaCha8Rng) -> Vec<Option<Part>> {
    let known = own_samples(samples, false);
    let folds = folds(samples, &known);
    let (measured, rest): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|i| folds[samples[*i].patient_at_site()] == number);
    assemble(samples, &measured, &rest, 10, rng)
}

/// `test` is the test part; of the `rest`, `validation_percent` become validation, patient by patient, and the others train.
fn assemble(
    samples: &[&Sample],
    test: &[usize],
    rest: &[usize],
    validation_percent: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Option<Part>> {
    let assigned = by_patient(samples, rest, [0, validation_percent], rng);
    let mut parts = vec![None; samples.len()];
    for &i in rest {
        parts[i] = Some(assigned[i]);
    }
    for &i in test {
        parts[i] = Some(Part::Test);
    }
    parts
}

/// The fold of each patient. Patients of one kind (that of most of their radiographs), in the order of their
/// positions, each go to the fold that has the fewest radiographs of this kind.
fn folds<'a>(samples: &[&'a Sample], chosen: &[usize]) -> BTreeMap<&'a str, u64> {
    let mut patients: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for &i in chosen {
        let kind = match (samples[i].label, samples[i].subtype) {
            (Label::Normal, _) => 0,
            (Label::Pneumonia, Some(Subtype::Virus)) => 2,
            (Label::Pneumonia, _) => 1,
        };
        patients.entry(samples[i].patient_at_site()).or_default()[kind] += 1;
    }
    let mut ordered: Vec<_> = patients.into_iter().collect();
    ordered.sort_by_key(|(patient, _)| hash_position(patient));
    let mut sizes = [[0; FOLDS as usize]; 3];
    ordered
        .into_iter()
        .map(|(patient, counts)| {
            let kind = (0..3).max_by_key(|&kind| counts[kind]).unwrap_or(0);
            let sizes = &mut sizes[kind];
            let fold = (0..sizes.len()).min_by_key(|&fold| sizes[fold]).unwrap_or(0);
            sizes[fold] += counts.iter().sum::<usize>();
            (patient, fold as u64)
        })
        .collect()
}

/// File by file within each label. The test and validation parts are 15 %, rounded up: at the study's 1,583 + 4,273
/// images these are its 238 + 641 each, and 1,107 + 2,991 to learn from.
fn by_file(samples: &[&Sample], rng: &mut ChaCha8Rng) -> Vec<Part> {
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
    samples: &[&Sample],
    chosen: &[usize],
    [test_percent, validation_percent]: [usize; 2],
    rng: &mut ChaCha8Rng,
) -> Vec<Part> {
    let mut patients: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &i in chosen {
        patients.entry(samples[i].patient_at_site()).or_default().push(i);
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
fn official(samples: &[&Sample], rng: &mut ChaCha8Rng) -> Result<Vec<Part>, SplitError> {
    let of = |part: Part| -> Vec<usize> { (0..samples.len()).filter(|&i| samples[i].official == Some(part)).collect() };
    let (train, validation, test) = (of(Part::Train), of(Part::Validation), of(Part::Test));
    if test.is_empty() {
        return Err(SplitError::NoFolder("test"));
    }
    if train.is_empty() {
        return Err(SplitError::NoFolder("train"));
    }
    let mut parts = if validation.len() < SMALL_VALIDATION {
        by_patient(samples, &train, [0, 10], rng)
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
mod tests;
