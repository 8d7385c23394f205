//! What a model must be for a box: small and quick enough, with a guard, and able to tell sick children from healthy ones.
//! And whether it still is what it was when it was loaded.
//!
//! [`Model::for_box`] is the one door: the box takes no model that has not come through it, and the host looks through it
//! before it sends one. In this order:
//!
//! 1. the file is held to the narrow form that every model has ([`crate::check`]);
//! 2. what it asks for is counted from its shapes ([`crate::budget`]), before anything is built;
//! 3. its card has a guard, unless it was trained on drawings, which every screen then says; and its operating point leaves
//!    room for every verdict;
//! 4. it answers two **known pictures**: the averages of a thousand and more radiographs of each class. They show no child
//!    (`averages/README.md` says how they are made). The answers must be probabilities, and
//!    - those of the chosen kernels must be those of the portable ones, to the bit;
//!    - the log-odds of pneumonia must be higher on the average of the sick by [`MARGIN`], unless it was trained on drawings.
//!
//! **The answers are kept**: [`Model::self_test`] asks again, and any other bit is an error. They come from the same file at
//! every start, whose digest is checked before; nothing needs to be stored beside it.
//!
//! **The weights are sealed**: [`Model::verify`] compares a CRC-32 over the packed weights and the card, as they lie in memory,
//! with that of when the model was loaded. A network that tract runs has its weights where they cannot be read; it is asked
//! about a known picture instead.

use std::hash::Hash as _;

use kernels::Kernels;
use shared::{
    contract::InputContract,
    preprocess::{Channels, Picture, Samples},
    verdict::Profile,
};

use crate::{
    card::{CardError, ModelCard},
    model::{Examination, Model, ModelError, Network},
};

/// Rows and columns of the averages.
const SIDE: u32 = 224;

/// The averages of normal radiographs and of those with pneumonia: PGM files.
const AVERAGES: [&[u8]; 2] = [include_bytes!("../averages/normal.pgm"), include_bytes!("../averages/pneumonia.pgm")];

/// By how much the log-odds of pneumonia must be higher on the average of the sick than on that of the healthy: a factor of 7
/// of the odds. Models that find pneumonia have 5 or more (`averages/README.md`), one that says the same of everything 0,
/// and one whose answers are exchanged as much below.
pub const MARGIN: f32 = 2.0;

/// What a model answered when it was loaded.
#[derive(Debug)]
pub(crate) struct Known {
    /// The averages as it sees them.
    inputs: [Vec<u8>; 2],
    /// What it said of them: the bits of logit, probability, features and map.
    answers: [Vec<u32>; 2],
    /// CRC-32 of weights and card, where the weights can be read.
    seal: Option<u32>,
}

impl Model {
    /// Loads a model as a box is to run it, and tries it: with the kernels that `PUMUA_KERNELS` names, or else the fastest. It
    /// decides by the operating point of the profile, if there is one.
    ///
    /// # Errors
    /// [`ModelError`]: it cannot be run, asks for more than a box has, has no guard, or gives wrong answers.
    pub fn for_box(bytes: &[u8], profile: Option<Profile>) -> Result<Self, ModelError> {
        Self::for_box_with(bytes, profile, Kernels::choose()?)
    }

    /// The same with these kernels.
    pub fn for_box_with(bytes: &[u8], profile: Option<Profile>, kernels: Kernels) -> Result<Self, ModelError> {
        let mut model = Self::load(bytes, kernels, true)?;
        if let Some(profile) = profile {
            model.decide_by(profile)?;
        }
        model.card().behaviour.point.check_for_box().map_err(CardError::from)?;
        let inputs = averages(&model.card().behaviour.contract)?;
        let [normal, pneumonia] = [model.examine(&inputs[0])?, model.examine(&inputs[1])?];
        for probability in [&normal, &pneumonia].map(|examination| examination.score.probability) {
            if !(0.0..=1.0).contains(&probability) {
                let answer = format!("its answer to a known picture is {probability}, which is not a probability");
                return Err(ModelError::Network(answer));
            }
        }
        if kernels != Kernels::Portable && matches!(model.network, Network::Fused(_)) {
            let portable = Self::load(bytes, Kernels::Portable, true)?.examine(&inputs[1])?;
            if bits(&portable) != bits(&pneumonia) {
                return Err(ModelError::SelfTest);
            }
        }
        let [healthy, sick] = [&normal, &pneumonia].map(|examination| examination.score.logit);
        // Log-odds that are no numbers are refused as well.
        let tells = sick - healthy >= MARGIN;
        if !tells && !model.card().provenance.synthetic {
            return Err(ModelError::WrongAnswers { healthy, sick });
        }
        let answers = [bits(&normal), bits(&pneumonia)];
        model.known = Some(Known { inputs, answers, seal: model.seal() });
        Ok(model)
    }

    /// Asks about the known pictures again: at the start, and once a day.
    ///
    /// # Errors
    /// [`ModelError::SelfTest`]: another answer than when it was loaded.
    pub fn self_test(&self) -> Result<(), ModelError> {
        let Some(known) = &self.known else { return Ok(()) };
        for (input, answer) in known.inputs.iter().zip(&known.answers) {
            if bits(&self.examine(input)?) != *answer {
                return Err(ModelError::SelfTest);
            }
        }
        Ok(())
    }

    /// Whether weights and card are those that were loaded: before each answer.
    ///
    /// # Errors
    /// [`ModelError::SelfTest`]: they have changed in memory.
    pub fn verify(&self) -> Result<(), ModelError> {
        let Some(known) = &self.known else { return Ok(()) };
        match known.seal {
            Some(_) if known.seal == self.seal() => Ok(()),
            Some(_) => Err(ModelError::SelfTest),
            None => self.self_test(),
        }
    }

    /// CRC-32 (ISO-HDLC) of weights and card.
    fn seal(&self) -> Option<u32> {
        let Network::Fused(network) = &self.network else { return None };
        let mut crc = crc32fast::Hasher::new();
        network.hash(&mut crc);
        serde_json::to_writer(Written(&mut crc), self.card()).ok()?;
        Some(crc.finalize())
    }
}

/// What is written goes into a checksum.
struct Written<'a>(&'a mut crc32fast::Hasher);

impl std::io::Write for Written<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ModelCard {
    /// What a box asks for beyond what every card must have.
    pub(crate) fn check_for_box(&self) -> Result<(), CardError> {
        if self.provenance.synthetic || self.behaviour.guard.is_some() { Ok(()) } else { Err(CardError::NoGuard) }
    }
}

/// The averages as a model with this contract sees them.
fn averages(contract: &InputContract) -> Result<[Vec<u8>; 2], ModelError> {
    let input = |file: &[u8]| {
        let pixels = file.get(file.len().checked_sub((SIDE * SIDE) as usize)?..)?;
        let picture = Picture::new(Samples::U8(pixels), Channels::Grey, SIDE, SIDE, SIDE as usize).ok()?;
        Some(picture.prepare(contract))
    };
    match AVERAGES.map(input) {
        [Some(normal), Some(pneumonia)] => Ok([normal, pneumonia]),
        _ => Err(ModelError::Network("the pictures to try it with are damaged".into())),
    }
}

fn bits(examination: &Examination) -> Vec<u32> {
    let Examination { score, features, map } = examination;
    let map = map.iter().flat_map(|map| map.values.iter().copied().chain([map.bias]));
    [score.logit, score.probability].into_iter().chain(features.iter().copied()).chain(map).map(f32::to_bits).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::{DEFAULT_MODEL, decode, onnx::pb::tensor_proto::DataType};

    /// The shipped model with a bit of its `n`-th tensor flipped, if that holds weights or biases.
    fn flipped(n: usize) -> Option<Vec<u8>> {
        let mut file = decode(DEFAULT_MODEL).unwrap();
        let tensor = file.graph.as_mut()?.initializer.get_mut(n)?;
        // Scales have an effect only together, and zero points other than 0 are refused.
        let integers = [DataType::Int8, DataType::Int32].map(|kind| kind as i32).contains(&tensor.data_type);
        let middle = tensor.raw_data.len() / 2;
        *tensor.raw_data.get_mut(middle).filter(|_| integers)? ^= 1;
        Some(file.encode_to_vec())
    }

    #[test]
    fn a_bit_of_any_weight_or_of_the_card_breaks_the_seal() {
        for kernels in Kernels::available() {
            let seal = |bytes: &[u8]| Model::from_bytes_with(bytes, kernels).ok().map(|model| model.seal().unwrap());
            let intact = seal(DEFAULT_MODEL).unwrap();
            assert_eq!(seal(DEFAULT_MODEL), Some(intact), "the same file gives the same seal");
            let tensors = decode(DEFAULT_MODEL).unwrap().graph.unwrap().initializer.len();
            let found: Vec<u32> = (0..tensors).filter_map(|n| seal(&flipped(n)?)).collect();
            // Seven layers have weights and biases; with others the average would be none, and the card not fit.
            assert!(found.len() == 12 && found.iter().all(|seal| *seal != intact), "{kernels}: {found:?} {intact}");
            let mut model = Model::from_bytes_with(DEFAULT_MODEL, kernels).unwrap();
            model.decide_by(Profile::Confirming).unwrap();
            assert_ne!(model.seal(), Some(intact), "{kernels}");
        }
    }

    #[test]
    fn what_has_changed_in_memory_is_noticed() {
        let mut model = Model::for_box(DEFAULT_MODEL, None).unwrap();
        model.verify().unwrap();
        model.decide_by(Profile::Screening).unwrap();
        assert!(matches!(model.verify(), Err(ModelError::SelfTest)));
        model.self_test().unwrap();
        model.known.as_mut().unwrap().answers[1][0] ^= 1;
        assert!(matches!(model.self_test(), Err(ModelError::SelfTest)));
    }
}
