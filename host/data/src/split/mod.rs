//! Splitting radiographs into train, validation and test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use base::cell;
use clap::ValueEnum;
use engine::{ModelCard, SiteRecord};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use shared::verdict::Digest;

use super::{Catalogue, Label, Part, PartCount, Sample, Site, Subtype, View};

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
    /// One X-ray machine, found from the pixels, is measured on: that of the seed, from 1; after the last one, pairs of them.
    /// Their patients are in no other part, and the test part of `patient` is in none; a tenth of the rest is validation
    MachineFold,
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
            Self::MachineFold => "machine-fold",
            Self::Official => "official",
        })
    }
}

/// Which radiograph is in which part, if in any: indices into [`Catalogue::samples`], ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// How it was made.
    pub kind: SplitKind,
    /// The site that is the test part as a whole, if one was left out of the training.
    pub left_out: Option<String>,
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
    /// nobody has looked for the machines
    #[error("the X-ray machines behind these images are not known: use another split here")]
    NoMachines,
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
    /// all sites are left out
    #[error("nothing would be left to learn from: give the other sites with `--site`")]
    NothingLeft,
    /// no such site
    #[error(
        "none of the sites is called {0}: name one of those that are given with `--site`, or `home` for those of `--data`"
    )]
    NoSite(String),
    /// one of several sites cannot be split
    #[error("site {site}: {error}")]
    AtSite {
        /// The site.
        site: String,
        /// Why.
        error: Box<SplitError>,
    },
}

impl SplitError {
    fn at(self, site: &str) -> Self {
        if site.is_empty() { self } else { Self::AtSite { site: site.to_owned(), error: Box::new(self) } }
    }
}

impl Split {
    /// Splits the radiographs, those of each site on their own: what is in a part does not depend on other sites, nor on
    /// what the site is called. The same data, kind and seed give the same split.
    pub fn new(catalogue: &Catalogue, kind: SplitKind, seed: u64) -> Result<Self, SplitError> {
        Self::leaving_out(catalogue, kind, seed, None)
    }

    /// The same, but all of the site `out` is the test part, and the test parts of the others are in no part: what is
    /// measured is a hospital from which nothing was learnt.
    pub fn leaving_out(
        catalogue: &Catalogue,
        kind: SplitKind,
        seed: u64,
        out: Option<&str>,
    ) -> Result<Self, SplitError> {
        let split = Self::without(catalogue, kind, seed, out)?;
        if split.train.is_empty() { Err(SplitError::NothingLeft) } else { Ok(split) }
    }

    /// The same; nothing is left to learn from if the site is the only one.
    fn without(catalogue: &Catalogue, kind: SplitKind, seed: u64, out: Option<&str>) -> Result<Self, SplitError> {
        let mut parts = vec![None; catalogue.samples.len()];
        let sites = catalogue.by_site();
        if let Some(out) = out.filter(|out| !sites.contains_key(out)) {
            return Err(SplitError::NoSite(out.to_owned()));
        }
        for (site, indices) in sites {
            let samples: Vec<&Sample> = indices.iter().map(|&i| &catalogue.samples[i]).collect();
            let of_site = match out {
                Some(out) if out == site => Ok(vec![Some(Part::Test); samples.len()]),
                _ => parts_of(&samples, kind, seed).map_err(|error| error.at(site)),
            };
            for (index, part) in indices.into_iter().zip(of_site?) {
                let unused = out.is_some_and(|out| out != site) && part == Some(Part::Test);
                parts[index] = part.filter(|_| !unused);
            }
        }
        let pick = |part: Part| parts.iter().enumerate().filter(|(_, p)| **p == Some(part)).map(|(i, _)| i).collect();
        let [train, validation, test] = Part::ALL.map(pick);
        Ok(Self { kind, left_out: out.map(str::to_owned), train, validation, test })
    }

    /// The split of the training of the model with this card, as far as these radiographs were in it.
    pub fn of_training(
        card: &ModelCard,
        catalogue: &Catalogue,
        kind: SplitKind,
        seed: u64,
    ) -> Result<Self, SplitError> {
        Self::without(catalogue, kind, seed, left_out(card, catalogue))
    }

    /// The radiographs of a part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    /// What a model's card says of each site.
    pub fn records(&self, catalogue: &Catalogue) -> Vec<SiteRecord> {
        let record = |site: &str| {
            let here = |part: Part| self.part(part).iter().copied().filter(|i| catalogue.samples[*i].site == site);
            let count = |part: Part| {
                let PartCount { normal, pneumonia } = PartCount::of(catalogue, &here(part).collect::<Vec<_>>());
                [normal, pneumonia].map(|count| count as u32)
            };
            let all: Vec<&Sample> =
                Part::ALL.into_iter().flat_map(here).map(|index| &catalogue.samples[index]).collect();
            let ages: Vec<f32> = all.iter().filter_map(|sample| sample.age).collect();
            let ends = |first: f32| ages.iter().fold([first; 2], |[from, to], &age| [from.min(age), to.max(age)]);
            let of_view = |view| all.iter().filter(|sample| sample.view == view).count() as u32;
            SiteRecord {
                name: if site.is_empty() { Site::HOME } else { site }.to_owned(),
                source: String::new(),
                data_digest: catalogue.digest_of_site(site).to_string(),
                left_out: self.left_out.as_deref() == Some(site),
                train: count(Part::Train),
                validation: count(Part::Validation),
                test: count(Part::Test),
                ages: ages.first().map(|&first| ends(first)),
                views: [Some(View::Pa), Some(View::Ap), None].map(of_view),
                ages_unknown: (all.len() - ages.len()) as u32,
            }
        };
        catalogue.by_site().into_keys().map(record).collect()
    }

    /// A table `path,label,subtype,patient,part,site,age,view`, what is not known being empty, one line for each radiograph, in
    /// the order of the catalogue.
    pub fn csv(&self, catalogue: &Catalogue) -> csv::Result<Vec<u8>> {
        let mut rows: Vec<(usize, Part)> =
            Part::ALL.into_iter().flat_map(|part| self.part(part).iter().map(move |&i| (i, part))).collect();
        rows.sort_unstable();
        let mut csv = csv::Writer::from_writer(Vec::new());
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
        csv.into_inner().map_err(|error| error.into_error().into())
    }
}

/// The site that was left out of the training of the model, told by its files.
pub fn left_out<'a>(card: &ModelCard, catalogue: &'a Catalogue) -> Option<&'a str> {
    let record = card.provenance.left_out()?;
    let same = |site: &&str| catalogue.has_digest_at_site(site, &record.data_digest);
    catalogue.by_site().into_keys().find(same)
}

/// The sites of these data that were in the training of the model, also the one that was left out, told by their files.
pub fn known_sites<'a>(card: &ModelCard, catalogue: &'a Catalogue) -> Vec<&'a str> {
    let sites = catalogue.by_site().into_keys();
    if catalogue.has_digest(&card.provenance.data_digest) {
        return sites.collect();
    }
    let records = card.provenance.sites.iter().map(|record| &record.data_digest);
    let known: Vec<&String> = records.chain([&card.provenance.data_digest]).collect();
    sites.filter(|site| known.iter().any(|digest| catalogue.has_digest_at_site(site, digest))).collect()
}

/// True if all of these data were in the training of the model.
pub fn trained_on(card: &ModelCard, catalogue: &Catalogue) -> bool {
    known_sites(card, catalogue).len() == catalogue.by_site().len()
}

/// True if these are all the data that were in the training of the model.
pub fn is_training(card: &ModelCard, catalogue: &Catalogue) -> bool {
    trained_on(card, catalogue) && catalogue.by_site().len() == card.provenance.sites.len().max(1)
}

/// True if the model has learnt from a site of these data.
pub fn has_learnt_from(card: &ModelCard, catalogue: &Catalogue) -> bool {
    let out = left_out(card, catalogue);
    known_sites(card, catalogue).into_iter().any(|site| Some(site) != out)
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
        SplitKind::MachineFold => machine_fold(samples, seed, &mut rng)?,
        SplitKind::Official => all(official(samples, &mut rng)?),
    };
    for part in Part::ALL {
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

/// Seed 1 holds out machine 1, and so on; after the last machine come all pairs, then machine 1 again.
fn machine_fold(samples: &[&Sample], seed: u64, rng: &mut ChaCha8Rng) -> Result<Vec<Option<Part>>, SplitError> {
    let machines: Option<BTreeSet<u16>> = samples.iter().map(|sample| sample.machine).collect();
    let machines: Vec<u16> = machines.ok_or(SplitError::NoMachines)?.into_iter().collect();
    let pairs = machines.iter().enumerate().flat_map(|(i, &one)| machines[i + 1..].iter().map(move |&two| [one, two]));
    let folds: Vec<[u16; 2]> = machines.iter().map(|&one| [one, one]).chain(pairs).collect();
    let number = folds.len().max(1) as u64;
    let held = folds.get(((seed % number + number - 1) % number) as usize);
    let is_held = |i: usize| held.zip(samples[i].machine).is_some_and(|(held, machine)| held.contains(&machine));
    let (measured, rest): (Vec<usize>, Vec<usize>) = own_samples(samples, false).into_iter().partition(|&i| is_held(i));
    let patients: BTreeSet<&str> = measured.iter().map(|&i| samples[i].patient.as_str()).collect();
    let rest: Vec<usize> = rest.into_iter().filter(|&i| !patients.contains(samples[i].patient.as_str())).collect();
    Ok(assemble(samples, &measured, &rest, 10, rng))
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
