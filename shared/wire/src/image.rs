//! An image on the line: what announces it, and its bytes.

use alloc::vec::Vec;

use super::message::{Begin, ImageForm};
use shared::{
    age::Age,
    contract::InputContract,
    limits::{MAX_IMAGE_BYTES, MAX_PREVIEW_SIDE},
    preprocess::{Picture, Window},
    verdict::{Digest, ExamId, Refusal},
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
    /// What it was prepared for.
    pub contract: InputContract,
    /// A small picture for the screen: `preview_width * preview_height` grey pixels.
    pub preview: &'a [u8],
    /// Width of the preview.
    pub preview_width: u16,
    /// Height of the preview.
    pub preview_height: u16,
    /// The part of the picture that the input shows.
    pub window: Window,
    /// Age of the patient, if it is known.
    pub age: Option<Age>,
}

impl Image {
    /// A file as it is. Refused if it is empty or longer than [`MAX_IMAGE_BYTES`]; nothing else is looked at.
    pub fn file(bytes: Vec<u8>, exam: ExamId) -> Result<Self, Refusal> {
        let length = u32::try_from(bytes.len()).ok().filter(|&n| n <= MAX_IMAGE_BYTES).ok_or(Refusal::TooManyBytes)?;
        if length == 0 {
            return Err(Refusal::Empty);
        }
        let begin = Begin { form: ImageForm::File, length, digest: Digest::of(&bytes), exam, any_age: false };
        Ok(Self { begin, bytes })
    }

    /// The model's input and a preview of a decoded picture. `input` holds the `contract.len()` pixels that were prepared from
    /// it for this contract; `source` is the digest of the file that it was decoded from.
    pub fn prepared(
        input: Vec<u8>,
        picture: &Picture<'_>,
        contract: &InputContract,
        source: Digest,
        exam: ExamId,
    ) -> Self {
        let mut bytes = input;
        let (preview, preview_width, preview_height) = picture.preview(MAX_PREVIEW_SIDE);
        bytes.extend_from_slice(&preview);
        let window = picture.judged(contract);
        let form =
            ImageForm::Prepared { contract: *contract, preview_width, preview_height, source, window, age: None };
        // At most 512² + 256² bytes.
        let begin = Begin { form, length: bytes.len() as u32, digest: Digest::of(&bytes), exam, any_age: false };
        Self { begin, bytes }
    }

    /// The same, of a patient of this age; a file says it itself.
    pub fn of_age(mut self, stated: Option<Age>) -> Self {
        if let ImageForm::Prepared { age, .. } = &mut self.begin.form {
            *age = stated;
        }
        self
    }

    /// The same, to be judged whatever the patient's age if `any`; refused where the box does not allow it.
    pub fn of_any_age(mut self, any: bool) -> Self {
        self.begin.any_age = any;
        self
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
        let ImageForm::Prepared { contract, preview_width, preview_height, window, age, .. } = self.begin.form else {
            return None;
        };
        let (input, preview) = self.bytes.split_at_checked(contract.len())?;
        Some(Prepared { input, contract, preview, preview_width, preview_height, window, age })
    }
}
