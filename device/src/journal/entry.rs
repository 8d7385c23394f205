//! One entry of the journal as bytes.
//!
//! ```text
//! length  u32, little-endian: bytes of the payload, 1..=MAX_PAYLOAD
//! payload postcard encoding of `Entry`
//! crc     u32, little-endian: CRC-32 (ISO-HDLC, as in zlib) of length and payload
//! ```

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};
use shared::{
    age::AgeNote,
    verdict::{Digest, ExamId, OperatingPoint, ResultRecord, Verdict},
};
use wire::Linked;

/// Longest payload in bytes; a result takes less than half of it.
const MAX_PAYLOAD: usize = 512;
/// Bytes around the payload.
const FRAME: usize = 8;
/// Longest entry in bytes.
pub(super) const MAX_ENTRY: usize = MAX_PAYLOAD + FRAME;

/// Shortest entry of a result in bytes, without a link.
pub(super) const SHORTEST_RESULT: u64 = 94;
/// Shortest entry of a result in bytes, with a link.
pub(super) const SHORTEST_LINKED_RESULT: u64 = 129;
/// Shortest entry with a link in bytes.
pub(super) const SHORTEST_LINKED: u64 = 48;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What the journal keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) enum Entry {
    /// The box has started; the number of starts so far.
    Boot(u32),
    /// A result without a link, as earlier versions wrote it.
    Result(ResultRecord),
    /// An entry of the chain.
    Linked(Linked),
}

/// The entry as bytes: postcard numbers the variants from 0.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Entry")]
enum Stored {
    Boot(u32),
    /// Of a file; in the journals of earlier versions also of a prepared image.
    Result(Kept),
    /// Of a prepared image.
    Prepared(Kept),
    Linked(Linked),
}

/// A [`ResultRecord`] but for what the variant says; it notes neither age nor trust.
#[derive(Serialize, Deserialize)]
struct Kept {
    number: u64,
    boot: u32,
    unix_seconds: Option<u64>,
    exam: ExamId,
    image: Digest,
    model: Digest,
    probability: f32,
    point: OperatingPoint,
    verdict: Verdict,
}

impl Kept {
    fn record(self, prepared: bool) -> ResultRecord {
        let Self { number, boot, unix_seconds, exam, image, model, probability, point, verdict } = self;
        let age = AgeNote::NotNoted;
        let trust = None;
        ResultRecord {
            number,
            boot,
            unix_seconds,
            exam,
            image,
            model,
            probability,
            point,
            verdict,
            prepared,
            age,
            trust,
        }
    }
}

impl From<Stored> for Entry {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Boot(boot) => Self::Boot(boot),
            Stored::Result(kept) => Self::Result(kept.record(false)),
            Stored::Prepared(kept) => Self::Result(kept.record(true)),
            Stored::Linked(linked) => Self::Linked(linked),
        }
    }
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Boot(boot) => Self::Boot(boot),
            Entry::Result(record) => {
                let ResultRecord { number, boot, unix_seconds, exam, image, model, probability, .. } = record;
                let ResultRecord { point, verdict, prepared, .. } = record;
                let kept = Kept { number, boot, unix_seconds, exam, image, model, probability, point, verdict };
                if prepared { Self::Prepared(kept) } else { Self::Result(kept) }
            }
            Entry::Linked(linked) => Self::Linked(linked),
        }
    }
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// They end before the length that they announce.
    Short,
    /// They contradict themselves.
    Wrong,
}

impl Entry {
    /// The bytes of the entry.
    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = vec![0; MAX_ENTRY];
        let length = postcard::to_slice(self, &mut bytes[4..4 + MAX_PAYLOAD])?.len();
        bytes.truncate(4 + length);
        bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
        let crc = CRC.checksum(&bytes);
        bytes.extend(crc.to_le_bytes());
        Ok(bytes)
    }

    /// Whether some bytes are an entry whose length alone is wrong.
    pub(super) fn is_whole_but_for_its_length(bytes: &[u8]) -> bool {
        let Some(payload) = bytes.len().checked_sub(FRAME) else { return false };
        let mut bytes = bytes.to_vec();
        bytes[..4].copy_from_slice(&(payload as u32).to_le_bytes());
        Self::decode(&bytes).is_ok()
    }

    /// Reads the entry at the start of some bytes; also returns its length.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, usize), Unreadable> {
        let length = u32_at(bytes, 0).ok_or(Unreadable::Short)? as usize;
        if !(1..=MAX_PAYLOAD).contains(&length) {
            return Err(Unreadable::Wrong);
        }
        let crc = u32_at(bytes, 4 + length).ok_or(Unreadable::Short)?;
        if CRC.checksum(&bytes[..4 + length]) != crc {
            return Err(Unreadable::Wrong);
        }
        match postcard::take_from_bytes(&bytes[4..4 + length]) {
            Ok((entry, [])) => Ok((entry, FRAME + length)),
            _ => Err(Unreadable::Wrong),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}
