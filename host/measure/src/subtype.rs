//! Bacterial against viral pneumonia: a logistic regression on the features that the network has learnt for pneumonia.
//!
//! The network itself is not changed by it. Whether the answer may be shown is another question: see [`BAR`].

use data::{Catalogue, Inputs, Label, Subtype};
use engine::{Model, Subtypes};
use rayon::prelude::*;
use serde::Serialize;
use shared::verdict::OperatingPoint;

use crate::{
    MeasureError,
    evaluation::{Estimate, LabelledAnswer, Measurement},
    logistic::{self, Observation, sigmoid},
};

/// The lower end of the 95 % interval of the AUROC between the two kinds that a model must reach before a screen may name
/// them. Below, one answer in several would send a child to the wrong treatment.
pub const BAR: f64 = 0.95;

/// How well a model distinguishes bacterial from viral pneumonia.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SubtypeFigures {
    /// Radiographs with pneumonia of a known kind.
    pub images: usize,
    /// Chance that a viral one has higher log-odds of a virus than a bacterial one.
    pub auroc: Option<Estimate>,
    /// Share classified correctly, where half and half is the threshold.
    pub accuracy: Option<Estimate>,
    /// [`BAR`].
    pub bar: f64,
    /// Whether the whole interval of the AUROC on these radiographs lies at or above it. That says something of the model only
    /// where nothing was fitted on them.
    pub interval_above_bar: bool,
}

/// Measures on the radiographs named. `None` where the model does not distinguish the kinds.
pub fn measure(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
) -> Result<Option<SubtypeFigures>, MeasureError> {
    let Some(subtypes) = &model.card().behaviour.subtypes else { return Ok(None) };
    // The measures know two classes; here a virus is the positive one.
    let judge = |&i: &usize| -> Option<Result<LabelledAnswer, MeasureError>> {
        let sample = &catalogue.samples[i];
        let label = match sample.subtype? {
            Subtype::Bacteria => Label::Normal,
            Subtype::Virus => Label::Pneumonia,
        };
        let examined = inputs.of(i).map_err(MeasureError::from).and_then(|input| Ok(model.examine(&input)?));
        Some(examined.map(|examination| {
            let logit = subtypes.virus_logit(&examination.features).unwrap_or(f32::NAN);
            LabelledAnswer { label, subtype: None, groups: Vec::new(), ..LabelledAnswer::of(sample, sigmoid(logit)) }
        }))
    };
    let judged: Vec<LabelledAnswer> = indices.par_iter().filter_map(judge).collect::<Result<_, _>>()?;
    let estimates = Measurement::of(&judged, OperatingPoint::HALF, None).estimates;
    let lowest = estimates.auroc.and_then(|auroc| auroc.by_patient).map(|interval| interval.low);
    Ok(Some(SubtypeFigures {
        images: judged.len(),
        auroc: estimates.auroc,
        accuracy: estimates.accuracy,
        bar: BAR,
        interval_above_bar: lowest.is_some_and(|low| low >= BAR),
    }))
}

/// Penalties of the squared weights of standardised features that are tried, in units of one radiograph's loss.
const PENALTIES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// Fits on the radiographs `train` with pneumonia of a known kind, with the penalty that does best on those of
/// `validation`. `None` where the model has no features or a part lacks a kind.
pub fn fit(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    train: &[usize],
    validation: &[usize],
) -> Result<Option<Subtypes>, MeasureError> {
    let [train, validation] = [rows(model, catalogue, inputs, train)?, rows(model, catalogue, inputs, validation)?];
    let both = |rows: &[LabelledFeatures]| rows.iter().any(|row| row.virus) && rows.iter().any(|row| !row.virus);
    if !both(&train) || !both(&validation) || train[0].features.is_empty() {
        return Ok(None);
    }
    let scale = Scale::of(&train);
    let standard = scale.observations(&train);
    let candidates = PENALTIES.into_iter().filter_map(|penalty| {
        let subtypes = scale.undo(&logistic::fit_penalised(&standard, penalty)?);
        Some((loss(&subtypes, &validation), subtypes))
    });
    Ok(candidates.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, subtypes)| subtypes))
}

/// A radiograph with pneumonia.
struct LabelledFeatures {
    features: Vec<f32>,
    virus: bool,
}

fn rows(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
) -> Result<Vec<LabelledFeatures>, MeasureError> {
    indices
        .par_iter()
        .filter_map(|&i| Some((i, catalogue.samples[i].subtype? == Subtype::Virus)))
        .map(|(i, virus)| Ok(LabelledFeatures { features: model.examine(&inputs.of(i)?)?.features, virus }))
        .collect()
}

/// Mean and standard deviation of each feature.
struct Scale(Vec<(f64, f64)>);

impl Scale {
    fn of(rows: &[LabelledFeatures]) -> Self {
        let count = rows.len() as f64;
        let moments = |feature: usize| {
            let values = || rows.iter().map(|row| f64::from(row.features[feature]));
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
        };
        Self((0..rows[0].features.len()).map(moments).collect())
    }

    /// Standardised features and a last one that is always 1.
    fn apply(&self, features: &[f32]) -> Vec<f64> {
        let standard =
            features.iter().zip(&self.0).map(|(&value, (mean, deviation))| (f64::from(value) - mean) / deviation);
        standard.chain([1.0]).collect()
    }

    fn observations(&self, rows: &[LabelledFeatures]) -> Vec<Observation<Vec<f64>>> {
        let target = |row: &LabelledFeatures| f64::from(u8::from(row.virus));
        rows.iter().map(|row| Observation { x: self.apply(&row.features), target: target(row), weight: 1.0 }).collect()
    }

    /// Weights of standardised features as weights of the features themselves.
    fn undo(&self, weights: &[f64]) -> Subtypes {
        let scaled: Vec<f64> = weights.iter().zip(&self.0).map(|(weight, (_, deviation))| weight / deviation).collect();
        let shift: f64 = scaled.iter().zip(&self.0).map(|(weight, (mean, _))| weight * mean).sum();
        let bias = (weights[self.0.len()] - shift) as f32;
        Subtypes { weights: scaled.iter().map(|&weight| weight as f32).collect(), bias }
    }
}

/// Mean cross-entropy.
fn loss(subtypes: &Subtypes, rows: &[LabelledFeatures]) -> f64 {
    let one = |row: &LabelledFeatures| {
        let logit = f64::from(subtypes.virus_logit(&row.features).unwrap_or(0.0));
        logistic::loss(logit, f64::from(u8::from(row.virus)))
    };
    rows.iter().map(one).sum::<f64>() / rows.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_that_truths_were_drawn_by() {
        // Log-odds 1.5 x - 0.5, where x goes over 0 ± 2, seen through features 3 x + 7 and a constant.
        let (mut rows, mut random) = (Vec::new(), 1_u32);
        for i in 0..20_000 {
            let x = (i % 401) as f32 / 100.0 - 2.0;
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let virus = f64::from(random) / f64::from(u32::MAX) < 1.0 / (1.0 + f64::from(0.5 - 1.5 * x).exp());
            rows.push(LabelledFeatures { features: vec![3.0 * x + 7.0, 4.0], virus });
        }
        let scale = Scale::of(&rows);
        let standard = scale.observations(&rows);
        let subtypes = scale.undo(&logistic::fit_penalised(&standard, 1.0).unwrap());
        let at = |x: f32| subtypes.virus_logit(&[3.0 * x + 7.0, 4.0]).unwrap();
        assert!((at(0.0) + 0.5).abs() < 0.1 && (at(1.0) - 1.0).abs() < 0.15, "{} {}", at(0.0), at(1.0));
        let flat = scale.undo(&logistic::fit_penalised(&standard, 1e9).unwrap());
        assert!((flat.virus_logit(&[10.0, 4.0]).unwrap() - flat.virus_logit(&[7.0, 4.0]).unwrap()).abs() < 1e-3);
        assert!(loss(&subtypes, &rows) < loss(&flat, &rows));
    }
}
