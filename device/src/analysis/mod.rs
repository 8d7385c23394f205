//! A received image → probability and preview, and a received update → the model that judges from then on, on a thread
//! of its own, so that the line is served meanwhile.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use engine::{
    ModelCard, ModelError,
    judge::{Input, Judgement, Prepared},
};
use shared::{
    age::AgeNote,
    contract::InputContract,
    evidence::Evidence,
    limits::MODEL_SIDE,
    preprocess::{Channels, Picture, Samples},
    verdict::{Digest, ExamId, Fault, ModelRefusal, Refusal, Trust, Verdict},
};
use wire::{Image, ModelFile, Phase};

use crate::{decoder::Decode, screen::Preview};

/// How often known pictures are judged again. It takes twice as long as an image.
const SELF_TEST_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// What judges prepared radiographs: a [`crate::models::Vouched`], or what stands for one in tests of the box.
pub trait Classifier: Send + Sync {
    /// What it says of itself.
    fn card(&self) -> &ModelCard;
    /// The digest of its file.
    fn digest(&self) -> Digest;
    /// How it is computed, in a few words.
    fn execution(&self) -> String;
    /// Who says that it is good; `None` of what judges nothing.
    fn trust(&self) -> Option<Trust>;
    /// Judges an input that was made for this model's contract, as [`engine::Model::judge`] does.
    fn judge(&self, input: &Input<'_>) -> Result<Judgement, ModelError>;

    /// Whether weights and card are those that were loaded, as [`engine::Model::verify`] finds out.
    fn verify(&self) -> Result<(), ModelError>;

    /// Whether it answers known pictures as when it was loaded, as [`engine::Model::self_test`] finds out.
    fn self_test(&self) -> Result<(), ModelError>;
}

/// What stands for a model in safe mode. The box refuses images before anybody is asked.
pub struct NoModel(ModelCard);

impl Default for NoModel {
    fn default() -> Self {
        // Hosts ask for a card.
        Self(ModelCard::new("none", InputContract::stretched(*MODEL_SIDE.start())))
    }
}

impl Classifier for NoModel {
    fn card(&self) -> &ModelCard {
        &self.0
    }

    fn digest(&self) -> Digest {
        Digest::default()
    }

    fn execution(&self) -> String {
        "safe mode: nothing is judged".to_owned()
    }

    fn trust(&self) -> Option<Trust> {
        None
    }

    fn judge(&self, _: &Input<'_>) -> Result<Judgement, ModelError> {
        Err(ModelError::Network(self.execution()))
    }

    fn verify(&self) -> Result<(), ModelError> {
        Ok(())
    }

    fn self_test(&self) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Installs an update: makes it the model that the box starts with, and gives it to judge by. It is tried before
/// anything is changed; an error leaves all as it was.
pub type Install = Box<dyn FnMut(&ModelFile) -> Result<Arc<dyn Classifier>, ModelRefusal> + Send>;

/// A model in the words of those who do not run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What it says of itself.
    pub card: ModelCard,
    /// The digest of its file.
    pub digest: Digest,
    /// How it is computed.
    pub execution: String,
    /// Who says that it is good; `None` of what judges nothing.
    pub trust: Option<Trust>,
}

impl Loaded {
    /// What is to be known of a model.
    pub fn of(model: &dyn Classifier) -> Self {
        Self { card: model.card().clone(), digest: model.digest(), execution: model.execution(), trust: model.trust() }
    }
}

/// What the model said of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The host's name for the examination.
    pub exam: ExamId,
    /// Digest of the image file.
    pub image: Digest,
    /// Whether the host had prepared it.
    pub prepared: bool,
    /// The image for the eye.
    pub preview: Preview,
    /// What the answer rests on, where the model reports it.
    pub evidence: Option<Evidence>,
    /// Probability of pneumonia.
    pub probability: f32,
    /// What follows from it by the model's operating point.
    pub verdict: Verdict,
    /// What is to be noted of the patient's age.
    pub age: AgeNote,
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

/// What the thread reports.
#[derive(Debug)]
pub enum Report {
    /// It has begun with a part of the work.
    Phase(Phase),
    /// It has finished.
    Done(Box<Result<Judged, Unjudged>>),
    /// The update is installed and judges from now on, or it is refused.
    Installed(Box<Result<Loaded, ModelRefusal>>),
    /// The model is not what was loaded any more: nothing is judged by it, and the thread has ended.
    Altered,
}

enum Work {
    Judge(Image),
    Install(ModelFile),
}

/// The thread that judges and installs, one after the other: an image is judged by the model that was there when it came.
#[derive(Debug)]
pub struct Analyst {
    work: Sender<Work>,
}

impl Analyst {
    /// Starts the thread. `report` is called on it.
    pub fn start(
        model: Arc<dyn Classifier>,
        install: Install,
        decode: Decode,
        report: impl Fn(Report) + Send + 'static,
    ) -> Self {
        Self::start_with(model, install, decode, SELF_TEST_EVERY, report)
    }

    /// The same with another time between two self-tests.
    fn start_with(
        mut model: Arc<dyn Classifier>,
        mut install: Install,
        mut decode: Decode,
        self_test_every: Duration,
        report: impl Fn(Report) + Send + 'static,
    ) -> Self {
        let (work, received): (_, Receiver<Work>) = channel();
        thread::spawn(move || {
            let mut tested = Instant::now();
            loop {
                let work = match received.recv_timeout(self_test_every.saturating_sub(tested.elapsed())) {
                    Ok(work) => Some(work),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                if tested.elapsed() >= self_test_every {
                    tested = Instant::now();
                    if !holds(|| model.self_test()) {
                        return report(Report::Altered);
                    }
                }
                let Some(work) = work else { continue };
                // A panic over one image or update must not end the box.
                match work {
                    Work::Judge(image) => {
                        let judged = catch_unwind(AssertUnwindSafe(|| judge(&*model, &image, &mut decode, &report)));
                        // After the image, so that whatever it was judged by is looked at.
                        let intact = holds(|| model.verify());
                        let judged = judged.ok().filter(|_| intact).unwrap_or(Err(Unjudged::Failed(Fault::Internal)));
                        report(Report::Done(Box::new(judged)));
                        if !intact {
                            return report(Report::Altered);
                        }
                    }
                    Work::Install(file) => {
                        let installed = catch_unwind(AssertUnwindSafe(|| install(&file)));
                        let installed = installed.unwrap_or(Err(ModelRefusal::NotRunnable)).map(|new| {
                            model = new;
                            Loaded::of(&*model)
                        });
                        report(Report::Installed(Box::new(installed)));
                    }
                }
            }
        });
        Self { work }
    }

    /// Installs an update after what is still to be judged; [`Report::Installed`] follows.
    pub fn install(&self, file: ModelFile) {
        // Should the thread have ended in a panic, the runtime notices that nothing follows.
        let _ = self.work.send(Work::Install(file));
    }

    /// Judges an image; [`Report::Done`] follows.
    pub fn judge(&self, image: Image) {
        // Should the thread have ended in a panic, the runtime notices that nothing follows.
        let _ = self.work.send(Work::Judge(image));
    }
}

/// Whether a test of a model ends well; what is wrong is logged.
fn holds(test: impl FnOnce() -> Result<(), ModelError>) -> bool {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            crate::say(format_args!("{error}"));
            false
        }
        Err(_) => false,
    }
}

fn judge(
    model: &dyn Classifier,
    image: &Image,
    decode: &mut Decode,
    report: &impl Fn(Report),
) -> Result<Judged, Unjudged> {
    let card = model.card();
    let decoded;
    let (prepared, preview) = if let Some(received) = image.as_prepared() {
        let wire::Prepared { input, contract, preview, preview_width, preview_height, window, age } = received;
        let (width, height) = (preview_width.into(), preview_height.into());
        let shown = Picture::new(Samples::U8(preview), Channels::Grey, width, height, preview_width.into());
        // The session lets no preview through that is none.
        let shown = shown.map_err(|_| Refusal::PreviewMismatch)?;
        // The image may have been announced before an update was installed.
        let prepared = Prepared::received(input, &contract, &card.behaviour.contract, &shown, &window)?.of_age(age);
        (prepared, Preview { width: preview_width, height: preview_height, pixels: preview.into(), judged: None })
    } else {
        report(Report::Phase(Phase::Decoding));
        decoded = decode(&image.bytes, &card.behaviour.contract)?;
        let prepared = Prepared::decoded(&decoded.input, &card.behaviour.contract, decoded.preview.judged);
        let prepared = prepared.of_age(decoded.age);
        (prepared, decoded.preview.clone())
    };
    report(Report::Phase(Phase::Analysing));
    // The session lets no image ask for it where the settings do not allow it.
    let input = prepared.of_any_age(image.begin.any_age).admit(Some(card))?;
    let judgement = model.judge(&input).map_err(|error| {
        crate::say(format_args!("{error}"));
        Unjudged::Failed(Fault::Inference)
    })?;
    let verdict = judgement.verdict?;
    let exam = image.begin.exam.clone();
    let size = [preview.width, preview.height].map(u32::from);
    let (evidence, age) = (judgement.evidence(card, size), judgement.age);
    let preview = Preview { judged: judgement.window, ..preview };
    let probability = judgement.examination.score.probability;
    let is_prepared = image.as_prepared().is_some();
    Ok(Judged { exam, image: image.source(), prepared: is_prepared, preview, evidence, probability, verdict, age })
}

#[cfg(test)]
mod tests;
