//! An exam's id from the accession number of its file: as it is, or as a keyed hash by which nobody finds the number.

use alloc::{format, string::String};
use core::fmt::{self, Write as _};

use heapless::String as Bounded;
use sha2::{Digest as _, Sha256};

use crate::{
    appliance::ExamIdFrom,
    limits::MAX_EXAM_ID,
    verdict::{Digest, ExamId},
};

/// Bytes of a hash that are told, of 32: two exams of a million have the same with a probability of 3 in 100 million.
const TOLD: usize = 8;

/// The accession number of a file. Nothing shows it: only [`ExamNaming`] makes something of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Accession(Bounded<MAX_EXAM_ID>);

impl Accession {
    /// Takes a text of 1 to 64 bytes that can be one: without control characters, with a digit at least. A text without any is
    /// as likely somebody's name.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let sensible = text.contains(|c: char| c.is_ascii_digit()) && !text.contains(char::is_control);
        if sensible { Bounded::try_from(text).ok().map(Self) } else { None }
    }

    /// The number, for a process that hands it on.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as an exam's id. Letters and digits of ASCII, `.` and `-` stand as they are, every other byte as `_` and two
    /// hexadecimal digits: two numbers never have one id. `None` if that is longer than an id.
    fn escaped(&self) -> Option<ExamId> {
        ExamId::new(&escaped(&self.0)).ok()
    }
}

/// A number, or a part of one, in the letters of the exam's id that is made from it: so it is found in there.
pub fn escaped(number: &str) -> String {
    let mut id = String::new();
    for byte in number.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') {
            id.push(char::from(byte));
        } else {
            // Writing into a `String` cannot fail.
            let _ = write!(id, "_{byte:02x}");
        }
    }
    id
}

impl fmt::Debug for Accession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accession(..)")
    }
}

/// What only those know who may find the number of an exam.
#[derive(Clone, PartialEq, Eq)]
pub struct ExamKey(String);

impl fmt::Debug for ExamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExamKey(..)")
    }
}

/// A key that is missing, or that can be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`exam_id = \"hashed-accession\"` needs a line `exam_key` of {} characters or more: add one that nobody can guess, the same \
     wherever one exam must have one id",
    ExamKey::LEAST
)]
pub struct ExamKeyError;

impl ExamKey {
    /// Fewest characters. Accession numbers are few: whoever guesses the key can try them all.
    pub const LEAST: usize = 16;

    /// Takes a key of [`Self::LEAST`] characters or more.
    pub fn new(key: &str) -> Result<Self, ExamKeyError> {
        if key.chars().count() < Self::LEAST { Err(ExamKeyError) } else { Ok(Self(key.into())) }
    }

    /// HMAC-SHA-256 (RFC 2104).
    fn hash(&self, message: &[u8]) -> Digest {
        const BLOCK: usize = 64;
        let mut key = [0; BLOCK];
        match self.0.as_bytes() {
            long if long.len() > BLOCK => key[..32].copy_from_slice(&Digest::of(long).0),
            short => key[..short.len()].copy_from_slice(short),
        }
        let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
        let outer = Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner);
        Digest(outer.finalize().into())
    }
}

/// Where the id of an exam is from that nobody has given one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExamNaming {
    /// It has none.
    #[default]
    AsSent,
    /// The accession number.
    Accession,
    /// Its keyed hash.
    Hashed(ExamKey),
}

impl ExamNaming {
    /// By two settings.
    ///
    /// # Errors
    /// A hash is asked for without a key, or the key is too short.
    pub fn new(from: ExamIdFrom, key: Option<&str>) -> Result<Self, ExamKeyError> {
        Ok(match from {
            ExamIdFrom::AsSent => Self::AsSent,
            ExamIdFrom::Accession => Self::Accession,
            ExamIdFrom::HashedAccession => Self::Hashed(ExamKey::new(key.unwrap_or_default())?),
        })
    }

    /// Whether a file is to be asked for its accession number.
    pub fn asks(&self) -> bool {
        *self != Self::AsSent
    }

    /// The id of an exam: the one that was given, else the one that follows from the file's accession number, else none.
    pub fn name(&self, given: &ExamId, accession: Option<&Accession>) -> ExamId {
        if !given.as_str().is_empty() {
            return given.clone();
        }
        let named = match (self, accession) {
            (Self::AsSent, _) | (_, None) => None,
            (Self::Accession, Some(accession)) => accession.escaped(),
            (Self::Hashed(key), Some(accession)) => {
                let digits = 2 * TOLD;
                ExamId::new(&format!("{:.digits$}", key.hash(accession.0.as_bytes()))).ok()
            }
        };
        named.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    const KEY: &str = "a key of the clinic";

    fn named(naming: &ExamNaming, number: &str) -> String {
        naming.name(&ExamId::default(), Accession::new(number).as_ref()).as_str().to_string()
    }

    #[test]
    fn numbers_become_ids_that_differ() {
        let by = |number| named(&ExamNaming::Accession, number);
        for (number, id) in [
            ("2026-0414.7", "2026-0414.7"),
            (" A12 ", "A12"),
            ("A/12", "A_2f12"),
            ("A_2f12", "A_5f2f12"),
            ("É1", "_c3_891"),
            ("=1+1", "_3d1_2b1"),
        ] {
            assert_eq!(by(number), id);
        }
        for none in ["", " ", "MUELLER^ANNA", "1\u{1b}[2J", "1\n2", &"1".repeat(65), &"/1".repeat(32)] {
            assert_eq!(by(none), "", "{none:?}");
        }
    }

    #[test]
    fn hashes_depend_on_the_key_and_tell_nothing() {
        let naming = |key| ExamNaming::new(ExamIdFrom::HashedAccession, Some(key)).unwrap();
        let one = named(&naming(KEY), "A12");
        assert_eq!((one.len(), named(&naming(KEY), "A12")), (16, one.clone()));
        assert_ne!(named(&naming(KEY), "A13"), one);
        assert_ne!(named(&naming("another key, as long"), "A12"), one);
        assert_eq!(named(&naming(KEY), ""), "", "there is nothing to be hashed");
        // One that is too long to stand for itself.
        assert_eq!(named(&naming(KEY), &"/1".repeat(32)).len(), 16);
        for key in [None, Some(""), Some("fifteen letters")] {
            assert_eq!(ExamNaming::new(ExamIdFrom::HashedAccession, key), Err(ExamKeyError), "{key:?}");
        }
        let debug = format!("{:?} {:?}", naming(KEY), Accession::new("A12"));
        assert!(!debug.contains(KEY) && !debug.contains("A12"), "{debug}");
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hashes_are_those_of_the_standard() {
        let hash = |key: &str, message: &[u8]| ExamKey(key.into()).hash(message).to_string();
        assert_eq!(
            hash("Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // Computed with Python's `hmac`; the key is longer than a block.
        assert_eq!(
            hash(&"k".repeat(131), b"message"),
            "bf7c7ea93af6117b4f6f7dd0b8aac62097cd835b9df2ca81010858ebe0d2cabd"
        );
    }

    #[test]
    fn what_is_given_counts() {
        let given = ExamId::new("ward-3").unwrap();
        let accession = Accession::new("A12");
        for naming in [ExamNaming::AsSent, ExamNaming::Accession] {
            assert_eq!(naming.name(&given, accession.as_ref()), given);
        }
        assert_eq!(named(&ExamNaming::AsSent, "A12"), "");
        assert!(ExamNaming::Accession.asks() && !ExamNaming::AsSent.asks());
    }
}
