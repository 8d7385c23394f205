//! A model with what is to be known of who made it.

use thiserror::Error;

use crate::{MAX_LIST_BYTES, MAX_SIGNATURE_BYTES};

/// Its first bytes. No ONNX file begins so.
const MAGIC: &[u8; 8] = b"PUMUAS1\n";

/// A package that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the model and its signature did not come whole: send them again")]
pub struct PackageError;

/// A model, its signature, and the list of keys.
///
/// In bytes: `PUMUAS1\n`; three parts of text, each with its length before it (32 bits, the lowest first): the model's signature, the
/// list of keys and its signatures; the ONNX file. A part without text is absent. A model without any is the ONNX file alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Package<'a> {
    /// The signature of the model.
    pub signature: Option<&'a str>,
    /// A list of keys, and its signatures.
    pub list: Option<[&'a str; 2]>,
    /// The ONNX file.
    pub model: &'a [u8],
}

impl<'a> Package<'a> {
    /// Takes bytes apart.
    ///
    /// # Errors
    /// [`PackageError`]: they begin as a package, and are none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PackageError> {
        let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
            return Ok(Self { model: bytes, ..Self::default() });
        };
        let mut part = |most: usize| {
            let (length, behind) = rest.split_first_chunk().ok_or(PackageError)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| PackageError)?;
            if length > most {
                return Err(PackageError);
            }
            let (text, behind) = behind.split_at_checked(length).ok_or(PackageError)?;
            rest = behind;
            let text = str::from_utf8(text).map_err(|_| PackageError)?;
            Ok((!text.is_empty()).then_some(text))
        };
        let signature = part(MAX_SIGNATURE_BYTES)?;
        let list = match (part(MAX_LIST_BYTES)?, part(MAX_LIST_BYTES)?) {
            (Some(list), Some(signatures)) => Some([list, signatures]),
            (None, None) => None,
            _ => return Err(PackageError),
        };
        if signature.is_none() && list.is_none() {
            return Err(PackageError);
        }
        Ok(Self { signature, list, model: rest })
    }

    /// Puts it together.
    pub fn to_bytes(&self) -> Vec<u8> {
        let [list, signatures] = self.list.unwrap_or_default();
        let parts = [self.signature.unwrap_or_default(), list, signatures];
        if parts.iter().all(|part| part.is_empty()) {
            return self.model.to_vec();
        }
        let mut bytes = MAGIC.to_vec();
        for part in parts {
            // Longer parts are read by nobody.
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes.extend(self.model);
        bytes
    }
}
