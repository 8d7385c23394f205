//! A model with what is known of who made it.

use std::ops::Deref;

use engine::{
    Model, ModelCard, ModelError,
    judge::{Input, Judgement},
};
use shared::verdict::{Digest, Trust};
use trust::Seen;

use crate::analysis::Classifier;

/// A model that may judge here.
pub struct Vouched {
    /// The model.
    pub model: Model,
    /// Who says that it is good.
    pub trust: Trust,
    /// What is to be remembered of it; `None` of one that nobody has signed, and of the one that is built in.
    pub(super) seen: Option<Seen>,
}

impl Vouched {
    /// A model of which nobody says anything.
    pub fn by_nobody(model: Model) -> Self {
        Self { model, trust: Trust::Unsigned, seen: None }
    }
}

impl Deref for Vouched {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl Classifier for Vouched {
    fn card(&self) -> &ModelCard {
        Model::card(self)
    }

    fn digest(&self) -> Digest {
        Model::digest(self)
    }

    fn execution(&self) -> String {
        Model::execution(self).summary()
    }

    fn trust(&self) -> Option<Trust> {
        Some(self.trust)
    }

    fn judge(&self, input: &Input<'_>) -> Result<Judgement, ModelError> {
        Model::judge(self, input)
    }

    fn verify(&self) -> Result<(), ModelError> {
        Model::verify(self)
    }

    fn self_test(&self) -> Result<(), ModelError> {
        Model::self_test(self)
    }
}
