//! Why a box does not take a model.

use shared::verdict::ModelRefusal;
use thiserror::Error;

use crate::{KeyId, ListError, Version};

/// Why a box does not take a model, by who made it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Nobody says that it is good.
    #[error("the model is not signed: have it signed with `pumua sign`, or use one that is")]
    NotSigned,
    /// It did not come as it was sent, or the signature is none or is another file's.
    #[error("the signature is not that of this model: {0}")]
    Wrong(String),
    /// The list of keys that came with it is not one.
    #[error("the list of keys that comes with the model cannot be used: {0}")]
    List(#[from] ListError),
    /// No list names the key.
    #[error("no list of keys names the key {0}: send the list that does, or have the model signed by another key")]
    KeyUnknown(KeyId),
    /// The key may not sign any more.
    #[error("the key {0} is revoked: have the model signed by another key")]
    KeyRevoked(KeyId),
    /// The box has seen a later one.
    #[error(
        "the model has the counter {counter}, and this box has had {floor}: send a later one, or have this one signed again"
    )]
    Older {
        /// Its counter.
        counter: u64,
        /// The greatest that was seen.
        floor: u64,
    },
    /// For another kind of box.
    #[error("the model is for boxes of the kind {0}: send one for this box")]
    OtherLine(String),
    /// Needs a later program.
    #[error("the model needs the version {0} of the box's program: flash the card anew first")]
    NeedsNewer(Version),
}

impl Refused {
    /// What the host is sent.
    pub fn refusal(&self) -> ModelRefusal {
        match self {
            Self::NotSigned => ModelRefusal::NotSigned,
            Self::Wrong(_) | Self::List(_) => ModelRefusal::WrongSignature,
            Self::KeyUnknown(_) => ModelRefusal::UnknownKey,
            Self::KeyRevoked(_) => ModelRefusal::RevokedKey,
            Self::Older { .. } => ModelRefusal::Older,
            Self::OtherLine(_) => ModelRefusal::OtherBox,
            Self::NeedsNewer(_) => ModelRefusal::NeedsNewerBox,
        }
    }
}
