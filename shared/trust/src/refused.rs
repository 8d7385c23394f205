//! Why a box does not take a model, a bundle of its own program, or settings.

use shared::verdict::{ModelRefusal, SiteRefusal, SoftwareRefusal};
use thiserror::Error;

use crate::{KeyId, ListError, SignatureError, StatementError, Version};

/// Why a box does not take a model, or a bundle, by who made it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Nobody says that it is good.
    #[error("the model is not signed: have it signed with `pumua sign`, or use one that is")]
    NotSigned,
    /// The signature is none, or is not this model's.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signer says nothing of a model.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The signer says the digest of another file.
    #[error("the signature says the digest of another model: have the model signed again")]
    OtherDigest,
    /// The list of keys that came with it is not one.
    #[error("the list of keys that comes with the model cannot be used: {0}")]
    List(#[from] ListError),
    /// No list names the key.
    #[error(
        "no list of keys names the key {0}: put the list that does beside the model, as keys.txt with keys.txt.minisig"
    )]
    KeyUnknown(KeyId),
    /// The key may not sign any more.
    #[error("the key {0} is revoked: have the model signed by another key")]
    KeyRevoked(KeyId),
    /// The box has had a later one, or another one of this counter.
    #[error(
        "the model has the counter {counter}, and this box has had {floor}: send a later one, or have this one signed again"
    )]
    Older {
        /// Its counter.
        counter: u64,
        /// The greatest that was seen.
        floor: u64,
    },
    /// What is signed is not what it came as: a bundle as a model, a model as a bundle, an image as either.
    #[error("the signature is for another kind of file: have this one signed with `pumua sign`")]
    OtherKind,
    /// For another kind of box.
    #[error("the file is for boxes of the kind {0}: send one for this box")]
    OtherLine(String),
    /// Needs a later program.
    #[error("the model needs the version {0} of the box's program: flash the card anew first")]
    NeedsNewer(Version),
}

impl Refused {
    /// What the host is sent of a model.
    pub fn refusal(&self) -> ModelRefusal {
        match self {
            Self::NotSigned => ModelRefusal::NotSigned,
            Self::Signature(_) | Self::Statement(_) | Self::OtherDigest | Self::OtherKind => {
                ModelRefusal::WrongSignature
            }
            Self::List(_) => ModelRefusal::WrongKeys,
            Self::KeyUnknown(_) => ModelRefusal::UnknownKey,
            Self::KeyRevoked(_) => ModelRefusal::RevokedKey,
            Self::Older { .. } => ModelRefusal::Older,
            Self::OtherLine(_) => ModelRefusal::OtherBox,
            Self::NeedsNewer(_) => ModelRefusal::NeedsNewerBox,
        }
    }

    /// What the host is sent of a bundle.
    pub fn software_refusal(&self) -> SoftwareRefusal {
        match self {
            Self::NotSigned => SoftwareRefusal::NotSigned,
            Self::Signature(_) | Self::Statement(_) | Self::OtherDigest => SoftwareRefusal::WrongSignature,
            Self::OtherKind => SoftwareRefusal::OtherKind,
            Self::List(_) => SoftwareRefusal::List,
            Self::KeyUnknown(_) => SoftwareRefusal::KeyUnknown,
            Self::KeyRevoked(_) => SoftwareRefusal::KeyRevoked,
            Self::Older { .. } => SoftwareRefusal::Older,
            Self::OtherLine(_) => SoftwareRefusal::OtherLine,
            Self::NeedsNewer(_) => SoftwareRefusal::NeedsNewer,
        }
    }

    /// What the host is sent of a site file.
    pub fn site_refusal(&self) -> SiteRefusal {
        match self {
            Self::NotSigned => SiteRefusal::NotSigned,
            Self::Signature(_) | Self::Statement(_) | Self::OtherDigest => SiteRefusal::WrongSignature,
            Self::OtherKind => SiteRefusal::OtherKind,
            Self::List(_) => SiteRefusal::List,
            Self::KeyUnknown(_) => SiteRefusal::KeyUnknown,
            Self::KeyRevoked(_) => SiteRefusal::KeyRevoked,
            Self::Older { .. } => SiteRefusal::Older,
            Self::OtherLine(_) => SiteRefusal::OtherLine,
            Self::NeedsNewer(_) => SiteRefusal::NeedsNewer,
        }
    }
}
