//! Radiographs at their original size against small copies of the same name.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use data::{Files, Label};
use engine::Model;
use rayon::prelude::*;
use serde::Serialize;
use shared::verdict::Verdict;

use super::run::{ModelAnswer, RobustnessError, ask_models, read};

/// How far the answers on files of two sizes agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Pairs of files.
    pub pairs: usize,
    /// Pairs with the same decision at the threshold.
    pub decisions: usize,
    /// Pairs with the same verdict; a refusal counts as one.
    pub verdicts: usize,
    /// Largest difference of the probabilities of a pair.
    pub largest_difference: f32,
    /// Pairs whose verdicts differ, or whose decisions do.
    pub differing: Vec<Disagreement>,
    /// Originals without exactly one small copy of the same name and label.
    pub unpaired: Vec<String>,
}

/// A radiograph whose sizes are judged differently.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disagreement {
    /// The original.
    pub name: String,
    /// Probability and verdict at its original size; no verdict if the box would refuse it.
    pub original: (f32, Option<Verdict>),
    /// The same of the small copy.
    pub copy: (f32, Option<Verdict>),
}

impl Agreement {
    /// Judges every original and the small copy of the same file name and label; one agreement for each model.
    /// Ends early when `stop` is raised.
    pub fn of(
        models: &[Model],
        originals: &Files,
        copies: &Files,
        stop: &AtomicBool,
    ) -> Result<Vec<Self>, RobustnessError> {
        let (pairs, unpaired) = pairs(originals, copies);
        let answers: Vec<[Vec<ModelAnswer>; 2]> = pairs
            .par_iter()
            .map(|(original, copy)| {
                if stop.load(Ordering::Relaxed) {
                    return Err(RobustnessError::Stopped);
                }
                Ok([
                    ask_models(models, &read(originals, original, None)?)?,
                    ask_models(models, &read(copies, copy, None)?)?,
                ])
            })
            .collect::<Result<_, RobustnessError>>()?;
        Ok(models
            .iter()
            .enumerate()
            .map(|(number, model)| {
                let point = model.card().behaviour.point;
                let mut agreement = Self {
                    pairs: pairs.len(),
                    decisions: 0,
                    verdicts: 0,
                    largest_difference: 0.0,
                    differing: Vec::new(),
                    unpaired: unpaired.clone(),
                };
                for ((name, _), [original, copy]) in pairs.iter().zip(&answers) {
                    let answers = [original, copy].map(|answers| answers[number]);
                    let [original, copy] = answers.map(|answer| answer.probability);
                    let verdicts = answers.map(|answer| (!answer.withheld).then(|| point.verdict(answer.probability)));
                    let same_decision = point.positive(original) == point.positive(copy);
                    let same_verdict = verdicts[0] == verdicts[1];
                    agreement.decisions += usize::from(same_decision);
                    agreement.verdicts += usize::from(same_verdict);
                    agreement.largest_difference = agreement.largest_difference.max((original - copy).abs());
                    if !(same_decision && same_verdict) {
                        agreement.differing.push(Disagreement {
                            name: name.clone(),
                            original: (original, verdicts[0]),
                            copy: (copy, verdicts[1]),
                        });
                    }
                }
                agreement
            })
            .collect())
    }
}

/// Names of an original and its copy, and of the originals without one.
fn pairs(originals: &Files, copies: &Files) -> (Vec<(String, String)>, Vec<String>) {
    let file_name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let mut named: BTreeMap<(String, Label), Vec<&str>> = BTreeMap::new();
    for (copy, label) in copies.list() {
        named.entry((file_name(copy), label)).or_default().push(copy);
    }
    let (mut pairs, mut unpaired) = (Vec::new(), Vec::new());
    for (original, label) in originals.list() {
        match named.get(&(file_name(original), label)).map(Vec::as_slice) {
            Some([copy]) => pairs.push((original.to_owned(), (*copy).to_owned())),
            _ => unpaired.push(original.to_owned()),
        }
    }
    (pairs, unpaired)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use data::synthetic;
    use decode::Radiograph;
    use engine::DEFAULT_MODEL;
    use image::imageops::{self, FilterType};

    use super::*;

    #[test]
    fn sizes_of_synthetic_radiographs_are_paired_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let [originals, copies] = ["originals", "copies/train"].map(|name| folder.path().join(name));
        synthetic::write(&originals, 6, 1).unwrap();
        synthetic::write(&copies, 5, 1).unwrap();
        let halved = |path: &Path| {
            let image = image::open(path).unwrap().into_luma8();
            let (width, height) = (image.width() / 2, image.height() / 2);
            imageops::resize(&image, width, height, FilterType::Triangle).save(path).unwrap();
        };
        halved(&copies.join("NORMAL/synthetic-0000-normal.png"));
        // A copy that is another picture shows as a difference.
        let black = image::GrayImage::new(64, 64);
        black.save(copies.join("PNEUMONIA/synthetic-0001-pneumonia.png")).unwrap();
        // The same name under the other label is not a copy.
        fs::rename(copies.join("NORMAL/synthetic-0002-normal.png"), copies.join("PNEUMONIA/synthetic-0002-normal.png"))
            .unwrap();
        let models = [Model::from_bytes(DEFAULT_MODEL).unwrap()];
        let files = [&originals, &copies].map(|path| Files::open(path).unwrap());
        let [agreement] =
            Agreement::of(&models, &files[0], &files[1], &AtomicBool::new(false)).unwrap().try_into().unwrap();
        assert_eq!(agreement.pairs, 4);
        let unpaired = ["NORMAL/synthetic-0002-normal.png", "PNEUMONIA/synthetic-0005-pneumonia.png"];
        assert_eq!(agreement.unpaired, unpaired);
        let black = ask_models(&models, &Radiograph::new(black.into()).unwrap()).unwrap()[0];
        assert!(black.withheld, "a blank picture is refused");
        let drawn = read(&files[0], "PNEUMONIA/synthetic-0001-pneumonia.png", None).unwrap();
        let drawn = ask_models(&models, &drawn).unwrap()[0];
        assert!(agreement.largest_difference >= (black.probability - drawn.probability).abs());
        let point = models[0].card().behaviour.point;
        let reported = |answer: ModelAnswer| (!answer.withheld).then(|| point.verdict(answer.probability));
        let differs = |d: &&Disagreement| d.name.ends_with("0001-pneumonia.png");
        match agreement.differing.iter().find(differs) {
            Some(found) => assert_eq!((found.copy.1, found.original.1), (None, reported(drawn))),
            None => assert_eq!(reported(drawn), None),
        }
        let names = ["NORMAL/synthetic-0000-normal", "PNEUMONIA/synthetic-0001-pneumonia"]
            .into_iter()
            .chain(["PNEUMONIA/synthetic-0003-pneumonia", "NORMAL/synthetic-0004-normal"]);
        let ask = |files: &Files, name: &str| {
            ask_models(&models, &read(files, &format!("{name}.png"), None).unwrap()).unwrap()[0]
        };
        let asked: Vec<[ModelAnswer; 2]> = names.map(|name| [ask(&files[0], name), ask(&files[1], name)]).collect();
        let verdicts = asked.iter().filter(|pair| reported(pair[0]) == reported(pair[1])).count();
        let decided = |answer: ModelAnswer| point.positive(answer.probability);
        let decisions = asked.iter().filter(|pair| decided(pair[0]) == decided(pair[1])).count();
        assert_eq!((agreement.verdicts, agreement.decisions), (verdicts, decisions));
    }
}
