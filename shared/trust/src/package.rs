//! A model, or the box's own program, with what is to be known of who made it.

use blake2::{Blake2b512, Digest as _};
use sha2::Sha256;
use shared::verdict::Digest;
use thiserror::Error;

use crate::{MAX_LIST_BYTES, MAX_SIGNATURE_BYTES};

/// Its first bytes. No ONNX file begins so.
const MAGIC: &[u8; 8] = b"PUMUAS1\n";
/// Bytes of the length before a text.
const LENGTH: usize = size_of::<u32>();
/// Most bytes before the payload of a package.
pub const MAX_HEAD_BYTES: usize = MAGIC.len() + 3 * LENGTH + MAX_SIGNATURE_BYTES + 2 * MAX_LIST_BYTES;

/// A package that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the file and its signature did not arrive whole: send them again")]
pub struct PackageError;

/// What comes before the payload of a package: the magic, a signature, and a list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageHead<'a> {
    /// The signature of the payload.
    pub signature: Option<&'a str>,
    /// A list of keys, and its signatures.
    pub list: Option<[&'a str; 2]>,
    /// Its bytes, behind which the payload begins.
    pub length: usize,
}

impl<'a> PackageHead<'a> {
    /// A head of these texts.
    pub fn new(signature: Option<&'a str>, list: Option<[&'a str; 2]>) -> Self {
        let texts = texts(signature, list);
        let length = MAGIC.len() + texts.iter().map(|text| LENGTH + text.len()).sum::<usize>();
        Self { signature, list, length }
    }

    /// Takes apart what a package begins with: the first [`MAX_HEAD_BYTES`] of it, or all of a shorter one. One without any text is a
    /// head, too: that of a bundle that nobody has signed.
    ///
    /// # Errors
    /// [`PackageError`]: the bytes are not what a package begins with, or break off before its payload.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PackageError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(PackageError)?;
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
        Ok(Self { signature, list, length: bytes.len() - rest.len() })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for text in texts(self.signature, self.list) {
            // Longer parts are read by nobody.
            bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }
}

fn texts<'a>(signature: Option<&'a str>, list: Option<[&'a str; 2]>) -> [&'a str; 3] {
    let [list, signatures] = list.unwrap_or_default();
    [signature.unwrap_or_default(), list, signatures]
}

/// Digests of a payload that is too long for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// What is signed: BLAKE2b-512.
    pub blake2b: [u8; 64],
    /// What is stated: SHA-256.
    pub sha256: Digest,
}

impl Digests {
    /// Those of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new();
        digester.update(bytes);
        digester.finish()
    }
}

/// Computes [`Digests`] piece by piece.
#[derive(Clone, Default)]
pub struct Digester {
    blake2b: Blake2b512,
    sha256: Sha256,
}

impl Digester {
    /// Of nothing so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.blake2b.update(bytes);
        self.sha256.update(bytes);
    }

    /// The digests of all bytes.
    pub fn finish(self) -> Digests {
        Digests { blake2b: self.blake2b.finalize().into(), sha256: Digest(self.sha256.finalize().into()) }
    }
}

/// A model, its signature, and the list of keys.
///
/// In bytes: `PUMUAS1\n`; three parts of text, each with its length before it (32 bits, the lowest first): the model's signature, the
/// list of keys and its signatures; the ONNX file. A part without text is absent. A model without any is the ONNX file alone. The bundle
/// of the box's own program has the same form, with the slot's file system as its payload; it is never held in memory as a whole. A site file has the form of a model, with its TOML in the place of the ONNX file.
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
        if !bytes.starts_with(MAGIC) {
            return Ok(Self { model: bytes, ..Self::default() });
        }
        let PackageHead { signature, list, length } = PackageHead::read(bytes)?;
        if signature.is_none() && list.is_none() {
            return Err(PackageError);
        }
        Ok(Self { signature, list, model: bytes.get(length..).unwrap_or_default() })
    }

    /// Puts it together.
    pub fn to_bytes(&self) -> Vec<u8> {
        if texts(self.signature, self.list).iter().all(|text| text.is_empty()) {
            return self.model.to_vec();
        }
        let mut bytes = PackageHead::new(self.signature, self.list).to_bytes();
        bytes.extend(self.model);
        bytes
    }
}
