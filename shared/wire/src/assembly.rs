//! How an image, an update or a piece of a bundle is put together again from its chunks.

use alloc::vec::Vec;

use sha2::Digest as _;

use super::{
    image::Image,
    message::{Begin, Chunk, ImageForm, MAX_PIECE_BYTES, Piece, Update},
};
use shared::{
    contract::InputContract,
    limits::{MAX_BUNDLE_BYTES, MAX_IMAGE_BYTES, MAX_PREVIEW_SIDE, MAX_UPDATE_BYTES},
    verdict::{Digest, ExamId, Fault, ModelRefusal, Refusal, SoftwareRefusal},
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

/// A piece of a bundle that is ready to be sent, or that has been received completely, its digest checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundlePiece {
    /// What announces it.
    pub piece: Piece,
    /// Its bytes, of the length and digest that `piece` states.
    pub bytes: Vec<u8>,
}

impl BundlePiece {
    /// The bytes of a bundle from an offset on. `bundle` and `total` are the digest and the length of the whole file.
    pub fn new(bundle: Digest, total: u32, offset: u32, bytes: Vec<u8>) -> Self {
        // One that is too long is refused by the box.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { piece: Piece { bundle, total, offset, length, digest: Digest::of(&bytes) }, bytes }
    }
}

/// Why an image, an update or a piece is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The host has given it up.
    Cancelled,
    /// The image cannot be judged.
    Refused(Refusal),
    /// The model cannot be installed.
    ModelRefused(ModelRefusal),
    /// The bundle cannot be taken.
    SoftwareRefused(SoftwareRefusal),
    /// Something else went wrong; it may be sent again.
    Failed(Fault),
}

/// What was sent is no image, update or piece of this protocol, or comes out of turn.
pub(super) const MISUNDERSTOOD: Dropped = Dropped::Failed(Fault::Protocol);

/// What has been put together.
#[derive(Debug)]
pub(super) enum Assembled {
    Image(Image),
    Update(ModelFile),
    Piece(BundlePiece),
}

enum Announced {
    Image(Begin),
    Update(Update),
    Piece(Piece),
}

/// Puts an image, an update or a piece together. Memory grows with what has arrived, not with what was announced.
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

    /// Checks the announcement of a piece.
    pub(super) fn piece(piece: Piece) -> Result<Self, Dropped> {
        if piece.total == 0 || u64::from(piece.total) > MAX_BUNDLE_BYTES {
            return Err(Dropped::SoftwareRefused(SoftwareRefusal::NotABundle));
        }
        let end = piece.offset.checked_add(piece.length);
        let fits = (1..=MAX_PIECE_BYTES).contains(&piece.length) && end.is_some_and(|end| end <= piece.total);
        if fits { Ok(Self::new(Announced::Piece(piece))) } else { Err(MISUNDERSTOOD) }
    }

    fn new(announced: Announced) -> Self {
        Self { announced, bytes: Vec::new(), hasher: sha2::Sha256::new() }
    }

    /// The examination that the image is of; `None` if this is none.
    pub(super) fn exam(&self) -> Option<&ExamId> {
        match &self.announced {
            Announced::Image(begin) => Some(&begin.exam),
            Announced::Update(_) | Announced::Piece(_) => None,
        }
    }

    /// Of a piece, where it begins in its bundle, and how long that is.
    pub(super) fn place(&self) -> Option<(u32, u32)> {
        match &self.announced {
            Announced::Piece(piece) => Some((piece.offset, piece.total)),
            Announced::Image(_) | Announced::Update(_) => None,
        }
    }

    /// Bytes announced.
    pub(super) fn total(&self) -> u32 {
        match &self.announced {
            Announced::Image(begin) => begin.length,
            Announced::Update(update) => update.length,
            Announced::Piece(piece) => piece.length,
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
            Announced::Piece(piece) if piece.digest == found => Ok(Assembled::Piece(BundlePiece { piece, bytes })),
            // The same piece may be sent again.
            Announced::Piece(_) => Err(MISUNDERSTOOD),
        }
    }
}
