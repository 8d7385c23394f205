//! An image on the line: what announces it, its bytes, and how it is put together again.

use alloc::vec::Vec;

use sha2::Digest as _;

use super::message::{Begin, Chunk, ImageForm};
use crate::{
    contract::InputContract,
    limits::{MAX_IMAGE_BYTES, MAX_PREVIEW_SIDE},
    preprocess::Picture,
    verdict::{Digest, Fault, Refusal, StudyId},
};

/// An image that is ready to be sent, or that has been received completely, its digest checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// What announces it.
    pub begin: Begin,
    /// Its bytes, of the form, length and digest that `begin` states.
    pub bytes: Vec<u8>,
}

/// The parts of a prepared image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepared<'a> {
    /// The model's input: `side * side` pixels.
    pub input: &'a [u8],
    /// A small picture for the screen: `preview_width * preview_height` grey pixels.
    pub preview: &'a [u8],
    /// Width of the preview.
    pub preview_width: u16,
    /// Height of the preview.
    pub preview_height: u16,
}

impl Image {
    /// A file as it is. Refused if it is empty or longer than [`MAX_IMAGE_BYTES`]; nothing else is looked at.
    pub fn file(bytes: Vec<u8>, study: StudyId) -> Result<Self, Refusal> {
        let length = u32::try_from(bytes.len()).ok().filter(|&n| n <= MAX_IMAGE_BYTES).ok_or(Refusal::TooManyBytes)?;
        if length == 0 {
            return Err(Refusal::Empty);
        }
        let begin = Begin { form: ImageForm::File, length, digest: Digest::of(&bytes), study };
        Ok(Self { begin, bytes })
    }

    /// The model's input and a preview, made from a decoded picture. `source` is the digest of the file that the picture
    /// was decoded from. `contract` must have been checked ([`InputContract::check`]).
    pub fn prepared(
        picture: &Picture<'_>,
        contract: &InputContract,
        invert: bool,
        source: Digest,
        study: StudyId,
    ) -> Self {
        let mut bytes = picture.prepare(contract, invert);
        let (preview, preview_width, preview_height) = picture.preview(MAX_PREVIEW_SIDE, invert);
        bytes.extend_from_slice(&preview);
        let form = ImageForm::Prepared { contract: *contract, preview_width, preview_height, source };
        // At most 512² + 256² bytes.
        let begin = Begin { form, length: bytes.len() as u32, digest: Digest::of(&bytes), study };
        Self { begin, bytes }
    }

    /// Digest of the image file, in both forms.
    pub fn source(&self) -> Digest {
        match self.begin.form {
            ImageForm::File => self.begin.digest,
            ImageForm::Prepared { source, .. } => source,
        }
    }

    /// The parts of a prepared image; `None` if it is a file.
    pub fn as_prepared(&self) -> Option<Prepared<'_>> {
        let ImageForm::Prepared { contract, preview_width, preview_height, .. } = self.begin.form else { return None };
        let (input, preview) = self.bytes.split_at_checked(contract.len())?;
        Some(Prepared { input, preview, preview_width, preview_height })
    }
}

/// Why an image is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The host has given it up.
    Cancelled,
    /// It cannot be judged.
    Refused(Refusal),
    /// Something else went wrong; it may be sent again.
    Failed(Fault),
}

/// Puts an image together. Memory grows with what has arrived, not with what was announced.
pub(super) struct Assembly {
    begin: Begin,
    bytes: Vec<u8>,
    hasher: sha2::Sha256,
}

impl Assembly {
    /// Checks an announcement; `contract` is that of the model in the box.
    pub(super) fn new(begin: Begin, contract: &InputContract) -> Result<Self, Dropped> {
        const MISUNDERSTOOD: Dropped = Dropped::Failed(Fault::Protocol);
        if begin.length == 0 {
            return Err(Dropped::Refused(Refusal::Empty));
        }
        if begin.length > MAX_IMAGE_BYTES {
            return Err(Dropped::Refused(Refusal::TooManyBytes));
        }
        if let ImageForm::Prepared { contract: theirs, preview_width, preview_height, .. } = &begin.form {
            if theirs != contract {
                return Err(Dropped::Refused(Refusal::ContractMismatch));
            }
            let sides = 1..=MAX_PREVIEW_SIDE;
            let length = contract.len() + usize::from(*preview_width) * usize::from(*preview_height);
            if !sides.contains(preview_width) || !sides.contains(preview_height) || begin.length as usize != length {
                return Err(MISUNDERSTOOD);
            }
        }
        Ok(Self { begin, bytes: Vec::new(), hasher: sha2::Sha256::new() })
    }

    /// Bytes announced.
    pub(super) fn total(&self) -> u32 {
        self.begin.length
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
            return Err(Dropped::Failed(Fault::Protocol));
        }
        self.hasher.update(&chunk.data);
        self.bytes.extend_from_slice(&chunk.data);
        Ok(())
    }

    /// Checks the complete image.
    pub(super) fn finish(self) -> Result<Image, Dropped> {
        if self.done() != self.total() {
            return Err(Dropped::Failed(Fault::Protocol));
        }
        if self.begin.digest != Digest(self.hasher.finalize().into()) {
            return Err(Dropped::Refused(Refusal::DigestMismatch));
        }
        Ok(Image { begin: self.begin, bytes: self.bytes })
    }
}
