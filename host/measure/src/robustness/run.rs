//! Changes every radiograph and asks the models.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use base::{
    Shown,
    files::{below, write_unsynced},
};
use data::{Files, Sample, SkipReason};
use decode::Radiograph;
use engine::{
    Model, ModelError,
    judge::{Judgement, Prepared},
};
use image::{ImageError, ImageFormat};
use indicatif::ProgressBar;
use rayon::prelude::*;
use shared::verdict::{Digest, Refusal};

use super::change::{Change, ChangeError, grey};

/// What a model says of one radiograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelAnswer {
    /// Probability of pneumonia.
    pub probability: f32,
    /// True if the box would refuse the picture instead of telling that.
    pub withheld: bool,
}

/// What the models say of one radiograph, one answer for each model.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// As it is.
    pub base: Vec<ModelAnswer>,
    /// After each change, or why it cannot be judged at all.
    pub changed: Vec<Result<Vec<ModelAnswer>, Refusal>>,
}

/// Why the answers are not there.
#[derive(Debug, thiserror::Error)]
pub enum RobustnessError {
    /// a file cannot be read
    #[error("{name}: {reason}: leave the data alone while they are read", name = Shown(name))]
    Unreadable {
        /// The file.
        name: String,
        /// Why.
        reason: SkipReason,
    },
    /// a change cannot be made
    #[error("{name}, {change}: {source}", name = Shown(name))]
    Change {
        /// The file.
        name: String,
        /// The change.
        change: &'static str,
        /// Why.
        source: ChangeError,
    },
    /// a model cannot be run
    #[error(transparent)]
    Model(#[from] ModelError),
    /// a changed radiograph cannot be written
    #[error("cannot write {}: {source}: name a folder that can be written", Shown(path.display()))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// a name leads out of the folder
    #[error("{name} leads out of the folder to keep it in: give the file another name", name = Shown(name))]
    Outside {
        /// The file.
        name: String,
    },
    /// the flag was raised
    #[error("stopped: the figures of a part of the radiographs would mislead, so none are given")]
    Stopped,
}

/// What is measured.
pub struct Measurement<'a> {
    /// The models to ask.
    pub models: &'a [Model],
    /// The changes to make.
    pub changes: &'a [&'static Change],
    /// Where the radiographs are.
    pub files: &'a Files,
    /// The radiographs.
    pub samples: &'a [&'a Sample],
    /// Folder to write what comes out to, as `NAME/CHANGE.png`.
    pub keep: Option<&'a Path>,
}

impl Measurement<'_> {
    /// Reads the samples' files anew, makes each of the changes and asks the models, on all processors. Each of them holds
    /// one radiograph and one changed form of it at a time. Ends early when `stop` is raised.
    pub fn answers(&self, bar: &ProgressBar, stop: &AtomicBool) -> Result<Vec<Answers>, RobustnessError> {
        self.samples
            .par_iter()
            .map(|sample| {
                let radiograph = read(self.files, &sample.name, Some(sample.digest))?;
                let grey = grey(&radiograph);
                let base = self.judge("unchanged", &radiograph, sample)?;
                let mut changed = Vec::with_capacity(self.changes.len());
                for change in self.changes {
                    if stop.load(Ordering::Relaxed) {
                        return Err(RobustnessError::Stopped);
                    }
                    changed.push(match change.apply(&radiograph, &grey, sample.digest) {
                        Ok(radiograph) => Ok(self.judge(change.name, &radiograph, sample)?),
                        Err(ChangeError::Refused(refusal)) => Err(refusal),
                        Err(source) => {
                            let (name, change) = (sample.name.clone(), change.name);
                            return Err(RobustnessError::Change { name, change, source });
                        }
                    });
                }
                bar.inc(1);
                Ok(Answers { base, changed })
            })
            .collect()
    }

    fn judge(
        &self,
        change: &str,
        radiograph: &Radiograph,
        sample: &Sample,
    ) -> Result<Vec<ModelAnswer>, RobustnessError> {
        if let Some(folder) = self.keep {
            // The names of an archive may lead anywhere.
            let name = format!("{}/{change}.png", sample.name);
            let path = below(folder, &name).ok_or_else(|| RobustnessError::Outside { name: sample.name.clone() })?;
            let mut png = Cursor::new(Vec::new());
            let made = radiograph.image().write_to(&mut png, ImageFormat::Png);
            made.and_then(|()| {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                Ok(write_unsynced(&path, png.get_ref())?)
            })
            .map_err(|source| RobustnessError::Write { path, source })?;
        }
        Ok(ask_models(self.models, radiograph)?)
    }
}

/// Decodes a file. With a digest, it must still be the file that had it.
pub(super) fn read(files: &Files, name: &str, digest: Option<Digest>) -> Result<Radiograph, RobustnessError> {
    let unreadable = |reason| RobustnessError::Unreadable { name: name.to_owned(), reason };
    let bytes = files.read(name).map_err(unreadable)?;
    if digest.is_some_and(|digest| Digest::of(&bytes) != digest) {
        return Err(unreadable(SkipReason::Unreadable("it was changed while it was read".to_owned())));
    }
    decode::decode(&bytes).map_err(|refusal| unreadable(SkipReason::Refused(refusal)))
}

/// What each model says of a radiograph. It is prepared once for models with the same input.
pub(super) fn ask_models(models: &[Model], radiograph: &Radiograph) -> Result<Vec<ModelAnswer>, ModelError> {
    let picture = radiograph.picture();
    let mut prepared: Vec<Prepared<'_>> = Vec::new();
    models
        .iter()
        .map(|model| {
            let card = model.card();
            let index = prepared.iter().position(|known| known.suits(&card.behaviour.contract)).unwrap_or_else(|| {
                prepared.push(Prepared::of_any(&picture, &card.behaviour.contract));
                prepared.len() - 1
            });
            let Judgement { examination, verdict, .. } = model.judge(&prepared[index].admit_any(card))?;
            Ok(ModelAnswer { probability: examination.score.probability, withheld: verdict.is_err() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use data::synthetic;
    use engine::DEFAULT_MODEL;

    use super::*;
    use crate::robustness::chosen;

    #[test]
    fn answers_on_synthetic_radiographs_are_those_of_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        synthetic::write(folder.path(), 6, 1).unwrap();
        let models = [(); 2].map(|()| Model::from_bytes(DEFAULT_MODEL).unwrap());
        let (catalogue, inputs) = synthetic::radiographs(6, 1, &models[0].card().behaviour.contract).unwrap();
        // The digests of drawings are those of their pixels, not of files.
        let written: Vec<Sample> = catalogue
            .samples
            .into_iter()
            .map(|sample| {
                let name = format!("{}/{}", sample.label.folder(), sample.name);
                let digest = Digest::of(&fs::read(folder.path().join(&name)).unwrap());
                Sample { name, digest, ..sample }
            })
            .collect();
        let samples: Vec<&Sample> = written.iter().collect();
        let files = Files::open(folder.path()).unwrap();
        let changes = chosen(&["lossless".to_owned(), "mirrored".to_owned()]).unwrap();
        let kept = tempfile::tempdir().unwrap();
        let judge = |stop: bool| {
            let keep = Some(kept.path());
            let measurement =
                Measurement { models: &models, changes: &changes, files: &files, samples: &samples, keep };
            measurement.answers(&ProgressBar::hidden(), &AtomicBool::new(stop))
        };
        let answers = judge(false).unwrap();
        for (index, answer) in answers.iter().enumerate() {
            let expected = models[0].classify(&inputs.of(index).unwrap()).unwrap().probability;
            assert_eq!(answer.base.iter().map(|base| base.probability).collect::<Vec<_>>(), [expected; 2]);
            assert_eq!(answer.changed[..3], [(); 3].map(|()| Ok(answer.base.clone())));
        }
        assert!(answers.iter().any(|answer| answer.changed[3].as_ref() != Ok(&answer.base)));
        assert_eq!(judge(false).unwrap(), answers);
        assert!(matches!(judge(true), Err(RobustnessError::Stopped)));

        let path = kept.path().join(&samples[0].name);
        let [unchanged, mirrored] =
            ["unchanged", "mirrored"].map(|name| image::open(path.join(format!("{name}.png"))).unwrap());
        assert_eq!(unchanged.fliph(), mirrored);

        fs::write(folder.path().join(&samples[2].name), b"other").unwrap();
        let error = judge(false).unwrap_err().to_string();
        assert!(error.contains(&samples[2].name) && error.contains("changed"), "{error}");
    }
}
