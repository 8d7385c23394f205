//! What the profiles of the model that ships promise, on real radiographs.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
};

use data::{
    Site,
    split::{Split, SplitKind},
};
use engine::{DEFAULT_MODEL, Model, judge::Prepared};
use measure::calibration::{FALSE_ALARMS, MISSED};
use rayon::prelude::*;
use shared::verdict::{Profile, Refusal, Verdict};

/// The real radiographs, if they are there.
fn real() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = env::var_os("PUMUA_TEST_DATA").map_or(default, Into::into);
    if folder.join("chest_xray").is_dir() && folder.join("other_hospital/adults").is_dir() {
        return Some(folder);
    }
    let missing = folder.display();
    let _ = writeln!(io::stderr(), "skipped: no real radiographs in {missing} (PUMUA_TEST_DATA names another folder)");
    None
}

#[test]
fn each_profile_keeps_its_promise_and_changes_verdicts_to_refer_alone() {
    let Some(folder) = real() else { return };
    let mut model = Model::from_bytes(DEFAULT_MODEL).unwrap();
    let contract = model.card().behaviour.contract;
    let sites = [("home", "chest_xray"), ("adults", "other_hospital/adults")]
        .map(|(name, path)| Site { name: name.to_owned(), path: folder.join(path) });
    let (catalogue, inputs) = data::load_sites(&sites, &contract).unwrap();
    assert_eq!(catalogue.digest().to_string(), model.card().provenance.data_digest, "those of the training");
    let validation = Split::new(&catalogue, SplitKind::Patient, model.card().provenance.seed).unwrap().validation;
    let [screening, balanced, confirming] = Profile::ALL.map(|profile| {
        model.decide_by(profile).unwrap();
        let verdict = |&index: &usize| {
            let input = inputs.of(index).unwrap();
            let prepared = Prepared::decoded(&input, &contract, None);
            model.judge(&prepared.admit_any(model.card())).unwrap().verdict
        };
        validation.par_iter().map(verdict).collect::<Vec<Result<Verdict, Refusal>>>()
    });
    let positive: Vec<bool> = validation.iter().map(|&index| catalogue.samples[index].label.positive()).collect();
    let share = |verdicts: &[Result<Verdict, Refusal>], truth: bool, said: Verdict| {
        let of = positive.iter().filter(|&&positive| positive == truth).count();
        let count = verdicts.iter().zip(&positive).filter(|(v, p)| **p == truth && **v == Ok(said)).count();
        count as f64 / of as f64
    };
    assert!(share(&screening, true, Verdict::Normal) <= MISSED);
    assert!(share(&confirming, false, Verdict::Pneumonia) <= FALSE_ALARMS);
    // The balanced band keeps what the confirming one promises, so that one need not change anything.
    let changed = screening.iter().zip(&balanced).filter(|(a, b)| a != b).count();
    assert!(changed >= 10, "screening changes {changed} of {} verdicts", validation.len());
    for (name, other) in [("screening", &screening), ("confirming", &confirming)] {
        for (other, balanced) in other.iter().zip(&balanced) {
            assert!(other == balanced || *other == Ok(Verdict::Refer), "{name}: {balanced:?} becomes {other:?}");
        }
    }
}
