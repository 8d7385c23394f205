//! The card: what a model file says of itself, stored as JSON in the ONNX metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    contract::{ContractError, InputContract},
    evidence::{Outlines, OutlinesError},
    guard::{Guard, GuardError},
    verdict::{OperatingPoint, OperatingPointError, OperatingPoints},
};

/// Key of the card among the ONNX file's `metadata_props`.
pub const CARD_KEY: &str = "pumua.card";

/// What the output near 0 and near 1 stands for in every model.
const LABELS: [&str; 2] = ["normal", "pneumonia"];

/// What a model file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Name of the model, at most 64 bytes, as the box shows it.
    pub name: String,
    /// Version of Pumua that made the file.
    pub version: String,
    /// What the model expects as its input.
    pub contract: InputContract,
    /// Where its answers change.
    pub point: OperatingPoint,
    /// The operating points to choose from; `point` is one of them. Files of recipes that only have a threshold have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<OperatingPoints>,
    /// Tells bacterial from viral pneumonia; on no screen as long as it is below the bar of `docs/model/subtypes.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtypes: Option<Subtypes>,
    /// What the output near 0 and near 1 stands for.
    pub labels: [String; 2],
    /// True if it was trained on synthetic radiographs: its answers mean nothing medically.
    pub synthetic: bool,
    /// True if the network is quantized to 8-bit integers.
    pub int8: bool,
    /// Recipe of the training.
    pub recipe: String,
    /// Seed of the training.
    pub seed: u64,
    /// How the data was split.
    pub split: String,
    /// SHA-256 (hexadecimal) over the data that it was trained on.
    pub data_digest: String,
    /// Figures with the part they were measured on, e.g. `test.accuracy`.
    pub metrics: BTreeMap<String, f64>,
    /// From where on places are outlined that speak for pneumonia; `None` if it is not known what normal radiographs reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlines: Option<Outlines>,
    /// What the training images look like, to refuse others; `None` if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// Log-odds of a viral against a bacterial pneumonia as a weighted sum of the features of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subtypes {
    /// Log-odds for each unit of a feature, one for each.
    pub weights: Vec<f32>,
    /// Log-odds that are added to the sum.
    pub bias: f32,
}

impl Subtypes {
    /// Log-odds of a virus; `None` if these are not as many features as there are weights.
    pub fn virus_logit(&self, features: &[f32]) -> Option<f32> {
        let products = features.iter().zip(&self.weights).map(|(feature, weight)| feature * weight);
        (features.len() == self.weights.len()).then(|| products.sum::<f32>() + self.bias)
    }
}

/// A card that is missing or cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// the file has no `pumua.card` metadata
    #[error("the ONNX file has no `{CARD_KEY}` metadata: use a model made by `pumua train` or `pumua quantize`")]
    Missing,
    /// the metadata is not a card
    #[error("the `{CARD_KEY}` metadata cannot be read ({0}): use a model made by this version of `pumua train`")]
    Json(#[from] serde_json::Error),
    /// the contract cannot be kept
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// the operating point is disordered
    #[error(transparent)]
    Point(#[from] OperatingPointError),
    /// the guard does not fit together
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// the outlines are disordered
    #[error(transparent)]
    Outlines(#[from] OutlinesError),
    /// the outputs stand for something else
    #[error(
        "the model's labels are {} and {}, not normal and pneumonia in this order: use a model made by `pumua train`",
        .0[0], .0[1]
    )]
    Labels([String; 2]),
    /// no operating points to choose from
    #[error("the model has no operating points to choose from, only one: leave `profile` out, or use another model")]
    NoPoints,
    /// parts of the card are about other features than the network's
    #[error(
        "the model's card is about {card} features, its network has {network}: make the file again with `pumua train`"
    )]
    Features {
        /// By the card.
        card: usize,
        /// By the network.
        network: usize,
    },
    /// the name is too long for the wire
    #[error("the model's name is longer than 64 bytes: train it under a shorter name")]
    Name,
}

impl Card {
    /// A float model of which no more is told than what it is called and expects; it decides at one half.
    pub fn new(name: impl Into<String>, contract: InputContract) -> Self {
        Self {
            name: name.into(),
            version: String::new(),
            contract,
            point: OperatingPoint::HALF,
            points: None,
            subtypes: None,
            labels: LABELS.map(str::to_owned),
            synthetic: false,
            int8: false,
            recipe: String::new(),
            seed: 0,
            split: String::new(),
            data_digest: String::new(),
            metrics: BTreeMap::new(),
            outlines: None,
            guard: None,
        }
    }

    /// Checks that what is told of features is about as many as the network has.
    pub(crate) fn check_features(&self, network: usize) -> Result<(), CardError> {
        let guarded = self.guard.as_ref().and_then(Guard::features);
        let told = self.subtypes.as_ref().map(|subtypes| subtypes.weights.len());
        match guarded.into_iter().chain(told).find(|&card| card != network) {
            Some(card) => Err(CardError::Features { card, network }),
            None => Ok(()),
        }
    }

    /// Reads and checks a card.
    pub fn from_json(json: &str) -> Result<Self, CardError> {
        let card: Self = serde_json::from_str(json)?;
        card.contract.check()?;
        card.point.check()?;
        card.guard.as_ref().map_or(Ok(()), Guard::check)?;
        card.points.map_or(Ok(()), |points| points.check())?;
        card.outlines.map_or(Ok(()), |outlines| outlines.check())?;
        if !card.labels.iter().zip(LABELS).all(|(label, meant)| label.eq_ignore_ascii_case(meant)) {
            return Err(CardError::Labels(card.labels));
        }
        if card.name.len() > 64 {
            return Err(CardError::Name);
        }
        Ok(card)
    }
}
