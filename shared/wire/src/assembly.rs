//! How an image or an update is put together again from its chunks.

use alloc::vec::Vec;

use sha2::Digest as _;

use super::{
    image::Image,
    message::{Begin, Chunk, ImageForm, Update},
};
use shared::{
    contract::InputContract,
    limits::{MAX_IMAGE_BYTES, MAX_PREVIEW_SIDE, MAX_UPDATE_BYTES},
    verdict::{Digest, ExamId, Fault, ModelRefusal, Refusal},
};

/// An update: a model that is ready to be sent, or that has been received completely, its digest checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// Digest of the bytes.
    pub digest: Digest,
    /// An ONNX file.
    pub bytes: Vec<u8>,
}

impl ModelFile {
    /// A file as it is. Refused if it is empty or longer than [`MAX_UPDATE_BYTES`]; nothing else is looked at.
    pub fn new(bytes: Vec<u8>) -> Result<Self, ModelRefusal> {
        check_length(bytes.len() as u64)?;
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }
}

fn check_length(length: u64) -> Result<(), ModelRefusal> {
    match length {
        0 => Err(ModelRefusal::NotAModel),
        length if length > u64::from(MAX_UPDATE_BYTES) => Err(ModelRefusal::TooLarge),
        _ => Ok(()),
    }
}

/// Why an image or an update is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The host has given it up.
    Cancelled,
    /// The image cannot be judged.
    Refused(Refusal),
    /// The model cannot be installed.
    ModelRefused(ModelRefusal),
    /// Something else went wrong; it may be sent again.
    Failed(Fault),
}

/// What was sent is no image or update of this protocol, or comes out of turn.
pub(super) const MISUNDERSTOOD: Dropped = Dropped::Failed(Fault::Protocol);

/// What has been put together.
#[derive(Debug)]
pub(super) enum Assembled {
    Image(Image),
    Update(ModelFile),
}

enum Announced {
    Image(Begin),
    Update(Update),
}

/// Puts an image or an update together. Memory grows with what has arrived, not with what was announced.
pub(super) struct Assembly {
    announced: Announced,
    bytes: Vec<u8>,
    hasher: sha2::Sha256,
}

impl Assembly {
    /// Checks the announcement of an image; `contract` is that of the model in the box, and `any_age` says whether a host may
    /// ask to have images judged whatever the patient's age.
    pub(super) fn image(begin: Begin, contract: &InputContract, any_age: bool) -> Result<Self, Dropped> {
        if begin.length == 0 {
            return Err(Dropped::Refused(Refusal::Empty));
        }
        if begin.length > MAX_IMAGE_BYTES {
            return Err(Dropped::Refused(Refusal::TooManyBytes));
        }
        if begin.any_age && !any_age {
            return Err(Dropped::Refused(Refusal::OverrideNotAllowed));
        }
        if let ImageForm::Prepared { contract: theirs, preview_width, preview_height, window, .. } = &begin.form {
            if theirs != contract {
                return Err(Dropped::Refused(Refusal::ContractMismatch));
            }
            let sides = 1..=MAX_PREVIEW_SIDE;
            let length = contract.len() + usize::from(*preview_width) * usize::from(*preview_height);
            if !sides.contains(preview_width)
                || !sides.contains(preview_height)
                || begin.length as usize != length
                || !window.fits()
            {
                return Err(MISUNDERSTOOD);
            }
        }
        Ok(Self::new(Announced::Image(begin)))
    }

    /// Checks the announcement of an update.
    pub(super) fn update(update: Update) -> Result<Self, Dropped> {
        check_length(u64::from(update.length)).map_err(Dropped::ModelRefused)?;
        Ok(Self::new(Announced::Update(update)))
    }

    fn new(announced: Announced) -> Self {
        Self { announced, bytes: Vec::new(), hasher: sha2::Sha256::new() }
    }

    /// The examination that the image is of; `None` if this is an update.
    pub(super) fn exam(&self) -> Option<&ExamId> {
        match &self.announced {
            Announced::Image(begin) => Some(&begin.exam),
            Announced::Update(_) => None,
        }
    }

    /// Bytes announced.
    pub(super) fn total(&self) -> u32 {
        match &self.announced {
            Announced::Image(begin) => begin.length,
            Announced::Update(update) => update.length,
        }
    }

    /// Bytes that have arrived.
    pub(super) fn done(&self) -> u32 {
        // Held to `total` by `push`.
        self.bytes.len() as u32
    }

    /// Takes the next chunk, which must follow the last one and stay within the announced length.
    pub(super) fn push(&mut self, chunk: &Chunk) -> Result<(), Dropped> {
        let room = (self.total() - self.done()) as usize;
        if chunk.offset != self.done() || chunk.data.is_empty() || chunk.data.len() > room {
            return Err(MISUNDERSTOOD);
        }
        self.hasher.update(&chunk.data);
        self.bytes.extend_from_slice(&chunk.data);
        Ok(())
    }

    /// Checks what is complete.
    pub(super) fn finish(self) -> Result<Assembled, Dropped> {
        if self.done() != self.total() {
            return Err(MISUNDERSTOOD);
        }
        let Self { announced, bytes, hasher } = self;
        let found = Digest(hasher.finalize().into());
        match announced {
            Announced::Image(begin) if begin.digest == found => Ok(Assembled::Image(Image { begin, bytes })),
            Announced::Image(_) => Err(Dropped::Refused(Refusal::DigestMismatch)),
            Announced::Update(Update { digest, .. }) if digest == found => {
                Ok(Assembled::Update(ModelFile { digest, bytes }))
            }
            Announced::Update(_) => Err(Dropped::ModelRefused(ModelRefusal::DigestMismatch)),
        }
    }
}
