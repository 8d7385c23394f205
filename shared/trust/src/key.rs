//! Keys, as minisign writes them.

use std::{fmt, str::FromStr};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use shared::verdict::Digest;
use thiserror::Error;

/// `Ed`: Ed25519.
const ALGORITHM: [u8; 2] = *b"Ed";
/// `B2`: which checksum there would be with a password.
const CHECKSUM: [u8; 2] = *b"B2";
/// A secret key that no password protects.
const NO_PASSWORD: [u8; 2] = [0, 0];
/// Algorithms, and what a password would need.
const SECRET_HEAD: usize = 2 + 2 + 2 + 32 + 8 + 8;
const SECRET: usize = SECRET_HEAD + 8 + 64 + 32;

/// A key that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is not what minisign writes.
    #[error("this is not a key of minisign: use a file that `pumua key` or `minisign -G` has made")]
    Form,
    /// Anybody could sign for it.
    #[error("the key is weak, so that anybody could sign for it: make another one with `pumua key`")]
    Weak,
    /// A password protects it.
    #[error("a password protects the key: sign with `minisign`, which asks for it")]
    Password,
    /// It is damaged.
    #[error("the key is damaged: copy it again")]
    Damaged,
}

/// What a key is called: eight bytes, drawn at random with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Sixteen digits, the last byte first. minisign leaves zeros before them away.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(digits: &str) -> Result<Self, KeyError> {
        let plain =
            (1..=16).contains(&digits.len()) && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
        let id = plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten();
        id.map(|id| Self(id.to_le_bytes())).ok_or(KeyError::Form)
    }
}

/// What a signature is verified with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    /// What it is called.
    pub id: KeyId,
    pub(crate) key: VerifyingKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl PublicKey {
    /// Reads a file with the key in its last line, or that line alone.
    ///
    /// # Errors
    /// [`KeyError`]: it is none, or a weak one.
    pub fn of_file(text: &str) -> Result<Self, KeyError> {
        text.lines().rfind(|line| !line.trim().is_empty()).ok_or(KeyError::Form)?.trim().parse()
    }

    /// The file that minisign reads.
    pub fn to_file(&self) -> String {
        format!("untrusted comment: minisign public key {}\n{self}\n", self.id)
    }

    /// What two people compare to know that they have the same key: the first 96 bits of its SHA-256, in six groups of four digits. The id
    /// does not do for it, for anybody can make a key of any id.
    pub fn fingerprint(&self) -> String {
        let digits = format!("{:.24}", Digest::of(&self.bytes())).to_uppercase();
        let groups: Vec<&str> = (0..6).filter_map(|group| digits.get(4 * group..4 * group + 4)).collect();
        groups.join(" ")
    }

    fn bytes(&self) -> Vec<u8> {
        [&ALGORITHM[..], &self.id.0, self.key.as_bytes()].concat()
    }
}

/// Base64 of algorithm, id and key, which begins with `RW`.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        let mut buffer = [0; 2 + 8 + 32];
        let bytes = Base64::decode(line, &mut buffer).map_err(|_| KeyError::Form)?;
        let rest = bytes.strip_prefix(&ALGORITHM).ok_or(KeyError::Form)?;
        let (id, key) = rest.split_first_chunk().ok_or(KeyError::Form)?;
        let key = VerifyingKey::from_bytes(key.try_into().map_err(|_| KeyError::Form)?).map_err(|_| KeyError::Form)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self { id: KeyId(*id), key }) }
    }
}

/// What signs.
pub struct SecretKey {
    /// What it is called.
    pub id: KeyId,
    pub(crate) key: SigningKey,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id)
    }
}

impl SecretKey {
    /// The key of a seed and an id, both drawn at random.
    pub fn of_seed(seed: &[u8; 32], id: KeyId) -> Self {
        Self { id, key: SigningKey::from_bytes(seed) }
    }

    /// What verifies its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey { id: self.id, key: self.key.verifying_key() }
    }

    /// Reads a file with the key in its last line, which no password protects.
    ///
    /// # Errors
    /// [`KeyError`]: it is none, is damaged, or is protected by a password.
    pub fn of_file(text: &str) -> Result<Self, KeyError> {
        let line = text.lines().rfind(|line| !line.trim().is_empty()).ok_or(KeyError::Form)?;
        let mut buffer = [0; SECRET];
        let bytes: &[u8] = Base64::decode(line.trim(), &mut buffer).map_err(|_| KeyError::Form)?;
        let bytes: &[u8; SECRET] = bytes.try_into().map_err(|_| KeyError::Form)?;
        let (head, body) = bytes.split_at(SECRET_HEAD);
        if head[..2] != ALGORITHM || head[4..6] != CHECKSUM {
            return Err(KeyError::Form);
        }
        if head[2..4] != NO_PASSWORD {
            return Err(KeyError::Password);
        }
        let (id, rest) = body.split_first_chunk().ok_or(KeyError::Form)?;
        let (pair, _) = rest.split_first_chunk::<64>().ok_or(KeyError::Form)?;
        // Without a password there is no checksum, but seed and public key belong together.
        let key = SigningKey::from_keypair_bytes(pair).map_err(|_| KeyError::Damaged)?;
        Ok(Self { id: KeyId(*id), key })
    }

    /// The file that minisign reads, without a password.
    pub fn to_file(&self) -> String {
        let mut bytes = [&ALGORITHM[..], &NO_PASSWORD, &CHECKSUM].concat();
        bytes.resize(SECRET_HEAD, 0);
        bytes.extend(self.id.0);
        bytes.extend(self.key.to_keypair_bytes());
        bytes.resize(SECRET, 0);
        format!("untrusted comment: minisign secret key {}\n{}\n", self.id, Base64::encode_string(&bytes))
    }
}
