//! Signatures, as minisign writes them.

use base64ct::{Base64, Encoding};
use blake2::{Blake2b512, Digest};
use ed25519_dalek::{Signature as Ed25519, Signer};
use thiserror::Error;

use crate::{KeyId, MAX_SIGNATURE_BYTES, PublicKey, SecretKey};

/// `ED`: Ed25519 over the BLAKE2b-512 of the file.
const ALGORITHM: [u8; 2] = *b"ED";
/// `Ed`: over the file itself, as old versions of minisign did.
const UNHASHED: [u8; 2] = *b"Ed";
const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";

/// A signature that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// It is not what minisign writes.
    #[error("this is not a signature of minisign: use a file that `pumua sign` or `minisign -S` has made")]
    Form,
    /// It is of the old kind.
    #[error("the signature is of the old kind, over the file itself: sign again without `minisign -l`")]
    Unhashed,
    /// The file, the comment or the signature is another than what was signed.
    #[error("the signature is not that of this file: copy both again")]
    Wrong,
}

/// A signature with its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The key that has signed, as the file says.
    pub key: KeyId,
    /// The public key that the line which nobody signs names, if it is one: so a clinic's own key reaches a box. Nobody vouches for it but a
    /// person who compares its [`PublicKey::fingerprint`].
    pub named: Option<PublicKey>,
    /// The comment that is signed with it, one line. It says nothing before [`Self::verify`].
    pub comment: String,
    file: [u8; 64],
    both: [u8; 64],
}

impl Signature {
    /// Signs a file, with one line of comment.
    pub fn new(key: &SecretKey, bytes: &[u8], comment: String) -> Self {
        Self::of_hash(key, &Blake2b512::digest(bytes).into(), comment)
    }

    /// Signs a file of which this is the BLAKE2b-512, with one line of comment.
    pub fn of_hash(key: &SecretKey, hash: &[u8; 64], comment: String) -> Self {
        let file = key.key.sign(hash).to_bytes();
        let both = key.key.sign(&[&file[..], comment.as_bytes()].concat()).to_bytes();
        Self { key: key.id, named: None, comment, file, both }
    }

    /// Reads the file of one signature.
    ///
    /// # Errors
    /// [`SignatureError`]: it is not what minisign writes today.
    pub fn of_file(text: &str) -> Result<Self, SignatureError> {
        match Self::several(text)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(SignatureError::Form),
        }
    }

    /// Reads a file of one signature or more, one after the other.
    ///
    /// # Errors
    /// [`SignatureError`]: one of them is not what minisign writes today.
    pub fn several(text: &str) -> Result<Vec<Self>, SignatureError> {
        let lines: Vec<&str> = text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
        if lines.is_empty() || !lines.len().is_multiple_of(4) {
            return Err(SignatureError::Form);
        }
        lines.chunks_exact(4).map(Self::of_lines).collect()
    }

    fn of_lines(lines: &[&str]) -> Result<Self, SignatureError> {
        let &[untrusted, first, trusted, second] = lines else { return Err(SignatureError::Form) };
        let comment = trusted.strip_prefix(TRUSTED).ok_or(SignatureError::Form)?;
        if !untrusted.starts_with(UNTRUSTED) || lines.iter().map(|line| line.len()).sum::<usize>() > MAX_SIGNATURE_BYTES
        {
            return Err(SignatureError::Form);
        }
        let first: [u8; 2 + 8 + 64] = decoded(first)?;
        if first[..2] == UNHASHED {
            return Err(SignatureError::Unhashed);
        }
        let rest = first.strip_prefix(&ALGORITHM).ok_or(SignatureError::Form)?;
        let (key, file) = rest.split_first_chunk().ok_or(SignatureError::Form)?;
        let file = file.try_into().map_err(|_| SignatureError::Form)?;
        let named = untrusted.strip_prefix(UNTRUSTED).and_then(|key| key.parse().ok());
        Ok(Self { key: KeyId(*key), named, comment: comment.to_owned(), file, both: decoded(second)? })
    }

    /// The file that minisign reads.
    pub fn to_file(&self) -> String {
        let first = [&ALGORITHM[..], &self.key.0, &self.file].concat();
        let untrusted = match &self.named {
            Some(key) => key.to_string(),
            None => format!("signature from minisign secret key {}", self.key),
        };
        format!(
            "{UNTRUSTED}{untrusted}\n{}\n{TRUSTED}{}\n{}\n",
            Base64::encode_string(&first),
            self.comment,
            Base64::encode_string(&self.both)
        )
    }

    /// Holds it to a file, and its comment to it.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`]: one of them is another than what this key has signed.
    pub fn verify(&self, key: &PublicKey, bytes: &[u8]) -> Result<(), SignatureError> {
        self.verify_hash(key, &Blake2b512::digest(bytes).into())
    }

    /// The same of a file of which this is the BLAKE2b-512.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`], likewise.
    pub fn verify_hash(&self, key: &PublicKey, hash: &[u8; 64]) -> Result<(), SignatureError> {
        self.verify_comment(key)?;
        if holds(key, hash, &self.file) { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    /// Holds its comment to it, without the file: the key has signed the comment, whatever file it was for.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`]: this key has not signed this comment.
    pub fn verify_comment(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let both = [&self.file[..], self.comment.as_bytes()].concat();
        let whole = key.id == self.key && holds(key, &both, &self.both);
        if whole { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

/// Whether a key has signed a message.
pub(crate) fn holds(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    key.key.verify_strict(message, &Ed25519::from_bytes(signature)).is_ok()
}

/// The bytes of a line of Base64, of which there must be so many.
fn decoded<const N: usize>(line: &str) -> Result<[u8; N], SignatureError> {
    let mut buffer = [0; N];
    match Base64::decode(line, &mut buffer) {
        Ok(bytes) if bytes.len() == N => Ok(buffer),
        _ => Err(SignatureError::Form),
    }
}
