//! What a model refuses and what it lets through.

use std::collections::BTreeMap;

use data::{Catalogue, Inputs};
use engine::{
    Model,
    judge::{Prepared, admit},
};
use rayon::prelude::*;
use serde::Serialize;
use shared::{preprocess::Picture, verdict::Refusal};

use super::Unsuitable;
use crate::{MeasureError, statistics::Proportion};

/// Pictures of each kind that is drawn.
const DRAWINGS: u64 = 500;

/// Seed of the drawings.
const SEED: u64 = 1;

/// The outcomes for images of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RefusalRow {
    /// What they are.
    pub name: &'static str,
    /// True if they were drawn, false if they are radiographs or made of them.
    pub drawn: bool,
    /// How many.
    pub images: usize,
    /// How many were refused, for each reason.
    pub refused: BTreeMap<&'static str, usize>,
    /// Share that was let through; of radiographs the share that was refused.
    pub wrong: Option<Proportion>,
}

impl RefusalRow {
    fn new(name: &'static str, drawn: bool, answers: &[Option<Refusal>], wanted: bool) -> Self {
        let mut refused = BTreeMap::new();
        for refusal in answers.iter().flatten() {
            *refused.entry(refusal.as_str()).or_default() += 1;
        }
        let wrong = answers.iter().filter(|answer| answer.is_some() == wanted).count();
        Self { name, drawn, images: answers.len(), refused, wrong: Proportion::of(wrong, answers.len()) }
    }
}

/// Why a picture is not judged, if it is not.
fn refusal(model: &Model, picture: &Picture<'_>) -> Result<Option<Refusal>, MeasureError> {
    match admit(picture, None, model.card()) {
        Ok(input) => Ok(model.judge(&input)?.verdict.err()),
        Err(refusal) => Ok(Some(refusal)),
    }
}

/// Why the radiographs named are not judged, in their order, if they are not. They are looked at as prepared for the model,
/// grey and square, and are not prepared again: none can be `coloured` or `elongated` here.
pub fn refusals(model: &Model, inputs: &Inputs, indices: &[usize]) -> Result<Vec<Option<Refusal>>, MeasureError> {
    let one = |&index: &usize| {
        let input = inputs.of(index)?;
        let prepared = Prepared::decoded(&input, &model.card().behaviour.contract, None);
        Ok(model.judge(&prepared.admit_any(model.card()))?.verdict.err())
    };
    indices.par_iter().map(one).collect()
}

/// The radiographs named, of which none should be refused ([`refusals`]), and then every [`Unsuitable`], of which all should
/// be. What is made of a radiograph is a picture of its own: it is prepared as one that the box is given.
pub fn measure(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
) -> Result<Vec<RefusalRow>, MeasureError> {
    let side = usize::from(model.card().behaviour.contract.side);
    let real = refusals(model, inputs, indices)?;
    let mut rows = vec![RefusalRow::new("radiographs", catalogue.synthetic, &real, true)];
    for kind in Unsuitable::ALL {
        let answer =
            |number: u64, radiograph: &[u8]| refusal(model, &kind.make(radiograph, side, SEED, number).picture());
        let answers: Result<Vec<_>, MeasureError> = if kind.drawn() {
            (0..DRAWINGS).into_par_iter().map(|number| answer(number, &[])).collect()
        } else {
            indices.par_iter().enumerate().map(|(number, &index)| answer(number as u64, &inputs.of(index)?)).collect()
        };
        rows.push(RefusalRow::new(kind.name(), kind.drawn() || catalogue.synthetic, &answers?, false));
    }
    Ok(rows)
}
