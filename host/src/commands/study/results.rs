//! What a folder holds of a study, for its report.

use std::{collections::BTreeSet, fs, path::Path};

use data::{Catalogue, Label, Part, PartCount};
use learn::study::{Plan, Record, Run};
use report::study::About;

use super::source::{SYNTHETIC_SEED, Source};

/// All records that the folder holds of the plan, and the part of the plan that is to be reported: what is wanted now, and
/// what was recorded before.
pub(super) fn found(plan: &Plan, wanted: &[Run<'_>], out: &Path, catalogue: &Catalogue) -> (Plan, Vec<Record>) {
    let mut records = Vec::new();
    for experiment in &plan.experiments {
        let seeds = fs::read_dir(Run { experiment, seed: 0 }.folder(out).with_file_name("")).into_iter().flatten();
        let mut seeds: Vec<u64> =
            seeds.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("seed-")?.parse().ok()).collect();
        seeds.sort_unstable();
        records.extend(seeds.into_iter().filter_map(|seed| Run { experiment, seed }.record(out, catalogue)));
    }
    let shown: BTreeSet<&str> = wanted
        .iter()
        .map(|run| run.experiment.name.as_str())
        .chain(records.iter().map(|record| record.experiment.as_str()))
        .collect();
    let mut part = plan.clone();
    part.experiments.retain(|experiment| shown.contains(experiment.name.as_str()));
    part.groups.retain(|group| part.experiments.iter().any(|experiment| experiment.group == group.name));
    for comparison in &mut part.comparisons {
        let first = comparison.experiments.first().is_some_and(|name| shown.contains(name.as_str()));
        comparison.experiments.retain(|name| first && shown.contains(name.as_str()));
    }
    part.comparisons.retain(|comparison| comparison.experiments.len() > 1);
    (part, records)
}

pub(super) fn about(source: &Source, catalogue: &Catalogue, runs: usize) -> About {
    let mut notes = Vec::new();
    let official: BTreeSet<Part> = catalogue.samples.iter().filter_map(|sample| sample.official).collect();
    if !catalogue.synthetic && !official.is_empty() && !official.contains(&Part::Test) {
        notes.push(
            "The publishers' test folder is not among the data. The images present were split again in the study's \
             proportions, 70/15/15."
                .to_owned(),
        );
    }
    About {
        data: match &source.data {
            // The report may be sent to anybody: where this computer keeps its files is nobody's business.
            Some(path) => path.file_name().unwrap_or(path.as_os_str()).display().to_string(),
            None => format!("{} synthetic radiographs, seed {SYNTHETIC_SEED}", source.images),
        },
        notes,
        runs,
        images: PartCount { normal: catalogue.count(Label::Normal), pneumonia: catalogue.count(Label::Pneumonia) },
        skipped: catalogue.files_left_out(),
        synthetic: catalogue.synthetic,
    }
}
