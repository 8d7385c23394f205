//! Models on radiographs, by the engine of the box, and what their answers are worth.

mod against;
mod bootstrap;
mod measurement;
mod paired;

use data::{Catalogue, Inputs, Label, Sample, Subtype};
use engine::{Model, judge::Prepared};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    MeasureError,
    statistics::{Judged, Scored},
    weighted::{Answered, Ranked},
};

pub use self::{
    against::{Against, Change},
    bootstrap::{Estimate, Interval},
    measurement::{
        AsTheBox, Bin, BoxEstimates, Counts, Curve, Estimates, Group, GroupEstimates, Measurement, Method,
        PointEstimates, PointFigures, SubtypeEstimates,
    },
};
pub(crate) use self::{measurement::definite, paired::Paired};
pub use crate::weighted::Verdicts;

/// A labelled radiograph and what a model said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelledAnswer {
    /// Path below the data folder.
    pub name: String,
    /// The truth.
    pub label: Label,
    /// The kind of pneumonia, where the file name gives it.
    pub subtype: Option<Subtype>,
    /// Radiographs with equal text are of the same patient.
    pub patient: String,
    /// What it is grouped by, and the name of its group: [`Sample::groups`].
    pub groups: Vec<(&'static str, String)>,
    /// Probability of pneumonia, 0..=1; anything else is not an answer.
    pub probability: f32,
    /// True if the box refuses the radiograph.
    pub refused: bool,
}

impl LabelledAnswer {
    /// A radiograph and the probability that a model gave it, refused or not.
    pub fn of(sample: &Sample, probability: f32) -> Self {
        Self {
            name: sample.name.clone(),
            label: sample.label,
            subtype: sample.subtype,
            patient: sample.patient.clone(),
            groups: sample.groups(),
            probability,
            refused: false,
        }
    }

    /// False if the answer is not a probability.
    pub fn answered(&self) -> bool {
        (0.0..=1.0).contains(&self.probability)
    }

    /// The probability; that of being certain of the wrong class where there is none, so that a missing
    /// answer never improves a figure.
    pub fn sound_probability(&self) -> f64 {
        if self.answered() { f64::from(self.probability) } else { f64::from(u8::from(!self.label.positive())) }
    }

    /// True if the decision at `threshold` (at or above: pneumonia) is right.
    pub fn right(&self, threshold: f32) -> bool {
        (self.sound_probability() >= f64::from(threshold)) == self.label.positive()
    }
}

/// Sorts radiographs. An answer that is not a probability counts as being certain of the wrong class.
pub(crate) fn ranked(judged: &[LabelledAnswer]) -> Ranked {
    let answered = |image: &LabelledAnswer| Answered {
        positive: image.label.positive(),
        answer: image.probability,
        probability: image.sound_probability(),
        refused: image.refused,
    };
    Ranked::of(judged.iter().map(answered))
}

/// What a model said of the radiographs named; `judged` has their order.
pub fn labelled_answers(catalogue: &Catalogue, indices: &[usize], judged: &[Judged]) -> Vec<LabelledAnswer> {
    let one = |(&index, judged): (&usize, &Judged)| LabelledAnswer {
        refused: judged.refused,
        ..LabelledAnswer::of(&catalogue.samples[index], judged.scored.probability)
    };
    indices.iter().zip(judged).map(one).collect()
}

/// What the box would say of the radiographs named, in their order, and the probability of those that it refuses as well.
/// The inputs are prepared for the model, and are not prepared again: a frame within a frame would be looked for anew. None
/// can be refused as `coloured` or `elongated` here.
pub fn judge(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
) -> Result<Vec<Judged>, MeasureError> {
    let card = model.card();
    indices
        .par_iter()
        .map(|&index| {
            let input = inputs.of(index)?;
            let prepared = Prepared::decoded(&input, &card.behaviour.contract, None);
            let judgement = model.judge(&prepared.admit_any(card))?;
            let positive = catalogue.samples[index].label.positive();
            let probability = judgement.examination.score.probability;
            Ok(Judged { scored: Scored { positive, probability }, refused: judgement.verdict.is_err() })
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use engine::{Behaviour, ModelCard, Provenance};
    use shared::{contract::InputContract, verdict::OperatingPoint};

    use super::*;

    /// A radiograph of a patient and what was said of it.
    pub(crate) fn labelled(patient: &str, positive: bool, probability: f32) -> LabelledAnswer {
        LabelledAnswer {
            name: format!("{patient}.png"),
            label: if positive { Label::Pneumonia } else { Label::Normal },
            subtype: None,
            patient: patient.to_owned(),
            groups: Vec::new(),
            probability,
            refused: false,
        }
    }

    /// The card of a model that decides at this point.
    pub(crate) fn card(point: OperatingPoint) -> ModelCard {
        let contract = InputContract::stretched(16);
        ModelCard {
            behaviour: Behaviour { point, int8: true, ..Behaviour::new(contract) },
            provenance: Provenance {
                synthetic: true,
                recipe: "none".to_owned(),
                seed: 3,
                split: "study".to_owned(),
                ..Provenance::default()
            },
            ..ModelCard::new("synthetic-test", contract)
        }
    }
}
