//! A received image → probability and preview, on a thread of its own, so that the line is served meanwhile.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use engine::{Card, Examination, Model, ModelError};
use shared::{
    evidence::Evidence,
    limits::MAX_PREVIEW_SIDE,
    verdict::{Digest, Fault, Refusal, StudyId},
    wire::{Image, Phase},
};

use crate::screen::Preview;

/// What judges prepared radiographs: a [`Model`], or what stands for one in tests of the box.
pub trait Classifier: Send + Sync {
    /// What it says of itself.
    fn card(&self) -> &Card;
    /// The digest of its file.
    fn digest(&self) -> Digest;
    /// How it is computed, in a few words.
    fn execution(&self) -> String;
    /// Judges one input of `card().contract.len()` bytes, and tells what the answer rests on.
    fn examine(&self, input: &[u8]) -> Result<Examination, ModelError>;
}

impl Classifier for Model {
    fn card(&self) -> &Card {
        self.card()
    }

    fn digest(&self) -> Digest {
        self.digest()
    }

    fn execution(&self) -> String {
        self.execution().summary()
    }

    fn examine(&self, input: &[u8]) -> Result<Examination, ModelError> {
        self.examine(input)
    }
}

/// What the model said of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The host's name for the examination.
    pub study: StudyId,
    /// Digest of the image file.
    pub image: Digest,
    /// The image for the eye.
    pub preview: Preview,
    /// What the answer rests on, where the model tells.
    pub evidence: Option<Evidence>,
    /// Probability of pneumonia.
    pub probability: f32,
}

/// Why there is no such answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unjudged {
    /// The image cannot be judged.
    Refused(Refusal),
    /// The box could not do it.
    Failed(Fault),
}

impl From<Refusal> for Unjudged {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What the thread tells.
#[derive(Debug)]
pub enum Report {
    /// It has begun with a part of the work.
    Phase(Phase),
    /// It has finished.
    Done(Box<Result<Judged, Unjudged>>),
}

/// The thread that judges, one image after the other.
#[derive(Debug)]
pub struct Analyst {
    images: Sender<Image>,
}

impl Analyst {
    /// Starts the thread. `report` is called on it.
    pub fn start(model: Arc<dyn Classifier>, report: impl Fn(Report) + Send + 'static) -> Self {
        let (images, received): (_, Receiver<Image>) = channel();
        thread::spawn(move || {
            for image in received {
                // A panic while one image is judged must not end the box.
                let judged = catch_unwind(AssertUnwindSafe(|| judge(&*model, &image, &report)));
                report(Report::Done(Box::new(judged.unwrap_or(Err(Unjudged::Failed(Fault::Internal))))));
            }
        });
        Self { images }
    }

    /// Judges an image; [`Report::Done`] follows.
    pub fn judge(&self, image: Image) {
        // The thread ends only when the sender is dropped.
        let _ = self.images.send(image);
    }
}

fn judge(model: &dyn Classifier, image: &Image, report: &impl Fn(Report)) -> Result<Judged, Unjudged> {
    let contract = &model.card().contract;
    let decoded;
    let (input, preview) = if let Some(prepared) = image.as_prepared() {
        let preview =
            Preview { width: prepared.preview_width, height: prepared.preview_height, pixels: prepared.preview.into() };
        (prepared.input, preview)
    } else {
        report(Report::Phase(Phase::Decoding));
        let radiograph = decode::decode(&image.bytes)?;
        let (pixels, width, height) = radiograph.picture().preview(MAX_PREVIEW_SIDE, false);
        decoded = radiograph.picture().prepare(contract, false);
        (decoded.as_slice(), Preview { width, height, pixels: pixels.into() })
    };
    report(Report::Phase(Phase::Analysing));
    let examination = model.examine(input).map_err(|error| {
        crate::say(format_args!("{error}"));
        Unjudged::Failed(Fault::Inference)
    })?;
    let study = image.begin.study.clone();
    let size = [preview.width, preview.height].map(u32::from);
    let evidence = examination.map.and_then(|map| map.evidence(contract, size));
    let probability = examination.score.probability;
    Ok(Judged { study, image: image.source(), preview, evidence, probability })
}
