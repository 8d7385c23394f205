//! What the journal of a box holds: results and events, each with the digest of the one before it.
//!
//! Entries are numbered from 1 in the order in which they came about, results and events together. Numbers are left out
//! where the disk has lost entries. Results of earlier versions, which have no link, count by their own number, and the
//! chain begins after them with a link of zeros.
//!
//! The digest of an entry is the SHA-256 of its [`Linked`] in postcard's encoding, that is, of its number, its link and its
//! content. Whoever knows the digest of one entry can check every one before it: the head of the chain, written down,
//! stands for all results up to then. Without that a chain shows that something within it was changed; it does not show
//! that its end was cut off or written anew, because nothing in it is signed.

use heapless::String;
use postcard_schema::{Schema, schema::NamedType};
use serde::{Deserialize, Serialize};

use shared::{
    age::AgeNote,
    verdict::{
        Digest, ExamId, Fault, ModelRefusal, OperatingPoint, Refusal, ResultRecord, SiteRefusal, SoftwareRefusal,
        Trust, Verdict,
    },
};

/// Bytes that are enough for any [`Linked`].
const MOST: usize = 512;

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Linked {
    /// Its number, from 1.
    pub sequence: u64,
    /// Digest of the entry before; zeros at the beginning of the chain.
    pub before: Digest,
    /// What it holds.
    pub content: Content,
}

impl Linked {
    /// What the next entry links to.
    pub fn digest(&self) -> Digest {
        let mut buffer = [0; MOST];
        // Every field has a greatest length, and all of them fit.
        postcard::to_slice(self, &mut buffer).map_or(Digest::default(), |bytes| Digest::of(bytes))
    }
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub enum Content {
    /// A result.
    Result(ResultRecord),
    /// Something else that has happened.
    Event(Event),
}

impl Schema for Content {
    const SCHEMA: &'static NamedType = Stored::SCHEMA;
}

/// [`Content`] as bytes. A result that does not note the patient's age, or who vouched for the model, has the bytes of the
/// releases before such notes, and so the digest by which the next entry links to it.
#[derive(Serialize, Deserialize, Schema)]
#[serde(rename = "Content")]
enum Stored {
    Result(WithoutAge),
    Event(Event),
    Aged(WithoutTrust),
    Vouched(ResultRecord),
}

/// A [`ResultRecord`] that notes no age.
#[derive(Serialize, Deserialize, Schema)]
struct WithoutAge {
    number: u64,
    boot: u32,
    unix_seconds: Option<u64>,
    #[serde(rename = "study")]
    exam: ExamId,
    image: Digest,
    model: Digest,
    probability: f32,
    point: OperatingPoint,
    verdict: Verdict,
    prepared: bool,
}

/// A [`ResultRecord`] that does not note who vouched for the model. In bytes the parts follow each other.
#[derive(Serialize, Deserialize, Schema)]
struct WithoutTrust {
    rest: WithoutAge,
    age: AgeNote,
}

impl WithoutAge {
    fn of(record: ResultRecord) -> Self {
        let ResultRecord { number, boot, unix_seconds, exam, image, model, .. } = record;
        let ResultRecord { probability, point, verdict, prepared, .. } = record;
        Self { number, boot, unix_seconds, exam, image, model, probability, point, verdict, prepared }
    }

    fn with(self, age: AgeNote) -> ResultRecord {
        let Self { number, boot, unix_seconds, exam, image, model, probability, point, verdict, prepared } = self;
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
            trust: None,
        }
    }
}

impl From<Content> for Stored {
    fn from(content: Content) -> Self {
        match content {
            Content::Event(event) => Self::Event(event),
            Content::Result(record) if record.trust.is_some() => Self::Vouched(record),
            Content::Result(record) => match record.age {
                AgeNote::NotNoted => Self::Result(WithoutAge::of(record)),
                age => Self::Aged(WithoutTrust { rest: WithoutAge::of(record), age }),
            },
        }
    }
}

impl From<Stored> for Content {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Event(event) => Self::Event(event),
            Stored::Vouched(record) => Self::Result(record),
            Stored::Aged(WithoutTrust { rest, age }) => Self::Result(rest.with(age)),
            Stored::Result(rest) => Self::Result(rest.with(AgeNote::NotNoted)),
        }
    }
}

/// Something that has happened to the box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Event {
    /// How often the box had started.
    pub boot: u32,
    /// Seconds since 1970 (UTC) as last set by a host; `None` if no host has set the clock since the start.
    pub unix_seconds: Option<u64>,
    /// How many events before this one are not kept, because they came too fast.
    pub missed: u32,
    /// What.
    pub kind: EventKind,
}

/// What can happen to a box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub enum EventKind {
    /// The program has started.
    Started {
        /// Its version.
        software: String<32>,
        /// Digest of the model file that it judges by.
        model: Digest,
    },
    /// Another model judges from now on.
    ModelChanged {
        /// Digest of the one before.
        before: Digest,
        /// Its digest.
        after: Digest,
    },
    /// A model was sent and not installed.
    UpdateRefused(ModelRefusal),
    /// An image was sent and not judged.
    ImageRefused {
        /// Why.
        refusal: Refusal,
        /// The host's name for the examination.
        exam: ExamId,
        /// Digest of the image as the host has stated it, if it has come so far.
        image: Option<Digest>,
    },
    /// The box could not do what was asked.
    Failed {
        /// Why.
        fault: Fault,
        /// The host's name for the examination that it was about; empty if none.
        exam: ExamId,
    },
    /// A host has set the clock to another time.
    ClockSet {
        /// Seconds since 1970 (UTC) that the clock had reached.
        before: Option<u64>,
        /// Seconds since 1970 (UTC) from now on.
        after: u64,
    },
    /// A result that was never finished was removed.
    Truncated {
        /// Bytes removed.
        bytes: u64,
    },
    /// A file of the journal was damaged, and kept aside.
    Damaged {
        /// Results that remain of it.
        results: u64,
    },
    /// An entry is not the one that the entry after it links to: one of them was changed, or lost.
    ChainBroken {
        /// Number of the later one.
        at: u64,
    },
    /// Who says that the model which judges from now on is good: after each start, and after each change of the model.
    Vouched {
        /// Digest of its file.
        model: Digest,
        /// Who.
        trust: Trust,
    },
    /// A bundle is in the other slot, and is tried at the next start.
    SoftwareStaged {
        /// Digest of what was signed; of the file, if nobody has signed it.
        bundle: Digest,
        /// Who says that it is good.
        trust: Trust,
    },
    /// A bundle was sent and not taken.
    SoftwareRefused(SoftwareRefusal),
    /// The program of a bundle has started well, and stays.
    SoftwareConfirmed {
        /// Its name, as the signer says it.
        name: String<64>,
        /// Its counter; `None` if nobody has signed it.
        counter: Option<u64>,
        /// The key that has signed it, in 16 hexadecimal digits, likewise.
        key: Option<String<16>>,
    },
    /// The program of a bundle has not started, and the one before it runs again.
    SoftwareWentBack {
        /// Digest of what was signed; of the file, if nobody has signed it.
        bundle: Digest,
    },
    /// Other settings were sent, and are in force from the next start on.
    SettingsChanged {
        /// Digest of the site file.
        site: Digest,
        /// Its counter.
        counter: u64,
        /// The key that has signed it, in 16 hexadecimal digits.
        key: String<16>,
    },
    /// Settings were sent and not taken.
    SettingsRefused(SiteRefusal),
    /// A person at the box has had those settings forgotten, and the keys of the clinic.
    SettingsForgotten,
    /// A person at the box has added a key of the clinic.
    KeyAdded {
        /// Its name, in 16 hexadecimal digits.
        key: String<16>,
        /// What the person has compared.
        fingerprint: String<32>,
    },
}

impl EventKind {
    /// The word that programs read.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::ModelChanged { .. } => "model-changed",
            Self::UpdateRefused(_) => "update-refused",
            Self::ImageRefused { .. } => "image-refused",
            Self::Failed { .. } => "failed",
            Self::ClockSet { .. } => "clock-set",
            Self::Truncated { .. } => "truncated",
            Self::Damaged { .. } => "damaged",
            Self::ChainBroken { .. } => "chain-broken",
            Self::Vouched { .. } => "vouched",
            Self::SoftwareStaged { .. } => "software-staged",
            Self::SoftwareRefused(_) => "software-refused",
            Self::SoftwareConfirmed { .. } => "software-confirmed",
            Self::SoftwareWentBack { .. } => "software-went-back",
            Self::SettingsChanged { .. } => "settings-changed",
            Self::SettingsRefused(_) => "settings-refused",
            Self::SettingsForgotten => "settings-forgotten",
            Self::KeyAdded { .. } => "key-added",
        }
    }
}

/// An entry as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed {
    /// Of an earlier version: it has no link, and counts by its own number.
    Unlinked(ResultRecord),
    /// Of the chain.
    Linked(Linked),
}

impl Listed {
    /// Its number among the entries.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Unlinked(record) => record.number,
            Self::Linked(linked) => linked.sequence,
        }
    }

    /// Its result, if it holds one.
    pub fn result(&self) -> Option<&ResultRecord> {
        match self {
            Self::Unlinked(record) | Self::Linked(Linked { content: Content::Result(record), .. }) => Some(record),
            Self::Linked(_) => None,
        }
    }
}
