//! The messages, in postcard's encoding. Their order, their names and those of their fields are the schema whose digest the
//! hello exchanges. Where a name here is another than when the schema was made, `rename` keeps that of the schema: hosts and
//! boxes of both versions then still understand each other.

use heapless::{String, Vec};
use postcard_schema::{Schema, key::Key};
use serde::{Deserialize, Serialize};

use super::entry::Linked;
use shared::{
    age::{Age, Ages},
    contract::InputContract,
    preprocess::Window,
    verdict::{
        Digest, ExamId, Fault, ModelRefusal, OperatingPoint, Refusal, ResultRecord, SiteRefusal, SoftwareRefusal, Trust,
    },
};

/// Version of the frames and of the conversation; raised when an old peer would misunderstand a new one.
pub const PROTOCOL_VERSION: u16 = 1;

/// Payload of a chunk in bytes, chosen so that a frame often survives a noisy line and costs little on a good one.
pub const CHUNK: usize = 512;

/// Most bytes of a piece of a bundle: what the box holds of one in its memory, and what is sent again after a power cut.
pub const MAX_PIECE_BYTES: u32 = 128 * 1024;

/// Digest of the schema of every message (64-bit FNV-1a over both message types, as postcard-schema computes it).
pub fn schema_digest() -> u64 {
    let to_box = u64::from_le_bytes(Key::for_path::<ToBox>("pumua/to-box").to_bytes());
    let to_host = u64::from_le_bytes(Key::for_path::<ToHost>("pumua/to-host").to_bytes());
    to_box ^ to_host.rotate_left(1)
}

/// In which form an image is sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub enum ImageForm {
    /// The file as it is: DICOM, JPEG, PNG, TIFF, BMP or WebP.
    File,
    /// `side * side` bytes of the model's input, then `preview_width * preview_height` grey pixels, both made by
    /// [`shared::preprocess`] on the host.
    Prepared {
        /// The contract that the input was prepared for; refused unless it is that of the model in the box.
        contract: InputContract,
        /// Width of the preview in pixels, 1..=[`shared::limits::MAX_PREVIEW_SIDE`].
        preview_width: u16,
        /// Height of the preview in pixels, likewise.
        preview_height: u16,
        /// Digest of the file that it was made from.
        source: Digest,
        /// The part of the picture that the input shows; the preview shows all of it.
        window: Window,
        /// Age of the patient, if the file says it.
        age: Option<Age>,
    },
}

/// Announces an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Begin {
    /// Form of the bytes that follow.
    pub form: ImageForm,
    /// Their number, at most [`shared::limits::MAX_IMAGE_BYTES`].
    pub length: u32,
    /// Their digest.
    pub digest: Digest,
    /// The host's opaque name for the examination.
    #[serde(rename = "study")]
    pub exam: ExamId,
    /// Whether the image is to be judged even if the patient is older or younger than those whom the model is for. Refused
    /// unless the box allows it.
    pub any_age: bool,
}

/// Announces an update: a model that the box is to install, or a site file, settings that it is to have. Which one it is, its signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Update {
    /// Length in bytes of the ONNX file, or of what is signed with what comes with it, at most [`shared::limits::MAX_UPDATE_BYTES`].
    pub length: u32,
    /// Its digest.
    pub digest: Digest,
}

/// Announces a piece of a bundle: the box's whole program, which is too long for one message and for the box's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Piece {
    /// Digest of the bundle's file.
    pub bundle: Digest,
    /// Length of that file in bytes, at most [`shared::limits::MAX_BUNDLE_BYTES`].
    pub total: u32,
    /// Where in it the piece begins: behind what the box has of it.
    pub offset: u32,
    /// Bytes of the piece, 1..=[`MAX_PIECE_BYTES`]; it ends within the file.
    pub length: u32,
    /// Their digest.
    pub digest: Digest,
}

/// Part of an image, of an update, of a piece or of a screenshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Chunk {
    /// Position of the first byte; chunks come in order and without gaps.
    pub offset: u32,
    /// 1..=[`CHUNK`] bytes.
    pub data: Vec<u8, CHUNK>,
}

/// From host to box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
#[expect(clippy::large_enum_variant, reason = "messages live in fixed buffers")]
pub enum ToBox {
    /// Asks for [`ToHost::Info`].
    Info,
    /// Announces an image; the box answers only if it refuses.
    Begin(Begin),
    /// A part of the image, update or piece.
    Chunk(Chunk),
    /// The image, update or piece is complete; the box answers with [`ToHost::Result`], `Refused` or `Failed`, with
    /// [`ToHost::Installed`], `ModelRefused`, `SiteRefused` or `Failed`, or with [`ToHost::PieceStored`], `SoftwareRefused` or `Failed`.
    End,
    /// Gives up what is being sent; the box answers [`ToHost::Cancelled`].
    Cancel,
    /// Asks for the records from this number on, at most `limit`; each comes as [`ToHost::Record`], then `RecordsEnd`. The
    /// numbers rise; those whose records are not kept any more are passed over.
    #[serde(rename = "ListResults")]
    Results {
        /// First record wanted, from 1.
        from: u64,
        /// Most records wanted.
        limit: u16,
    },
    /// Asks for the picture on the screen: [`ToHost::ScreenshotBegin`], chunks.
    #[serde(rename = "Screen")]
    Screenshot,
    /// Sets the clock of the box (seconds since 1970, UTC); the box answers [`ToHost::ClockSet`], also where it does not
    /// believe the host, because [`shared::calendar::credible`] does not.
    SetClock {
        /// Seconds since 1970, UTC.
        unix_seconds: u64,
    },
    /// Announces an update; the box answers only if it refuses.
    Update(Update),
    /// Asks for the entries of the journal from this number on, at most `limit`; each comes as [`ToHost::Entry`], or as
    /// `Record` if it is of before the chain, then `RecordsEnd`. The numbers rise; those that are not kept any more are
    /// passed over.
    Entries {
        /// First entry wanted, from 1.
        from: u64,
        /// Most entries wanted.
        limit: u16,
    },
    /// Asks the box to show a code on its screen; it answers [`ToHost::CodeShown`].
    ShowCode,
    /// What somebody has read there; the box answers [`ToHost::Paired`].
    Pair {
        /// Six digits, as a number.
        code: u32,
    },
    /// Asks for the first record of an image from a number on; the box answers [`ToHost::StoredResult`].
    StoredResult {
        /// Digest of the image.
        image: Digest,
        /// First record looked at, from 1; of the last [`FOUND_AMONG`] at most.
        from: u64,
    },
    /// Announces a piece of a bundle; the box answers only if it refuses.
    Piece(Piece),
    /// Asks what the box has of a bundle, and what became of the last one; it answers [`ToHost::Software`].
    Software {
        /// Digest of the bundle's file.
        bundle: Digest,
        /// Its length in bytes.
        total: u32,
    },
    /// Asks which settings somebody has sent; the box answers [`ToHost::Site`].
    Site,
}

/// A result that is asked for by the digest of its image is looked for among so many of the last results.
pub const FOUND_AMONG: u64 = 1_000;

/// What the box is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Info {
    /// Version of the box program.
    pub software: String<32>,
    /// Name of the model.
    pub model: String<64>,
    /// Digest of the model file.
    pub model_digest: Digest,
    /// True if the model was trained on synthetic radiographs: its answers mean nothing medically.
    pub synthetic: bool,
    /// True if the model runs in 8-bit integers.
    pub int8: bool,
    /// How the box computes the model, and with which kernels.
    pub execution: String<64>,
    /// What the model expects.
    pub contract: InputContract,
    /// Where its answers change.
    pub point: OperatingPoint,
    /// How often the box has started.
    pub boot: u32,
    /// Number of the last record in the journal, which is how many there have been; the oldest may be kept no longer.
    pub records: u64,
    /// Number of the last entry in the journal.
    pub entries: u64,
    /// Digest of that entry, by which all before it can be checked; zeros if none has a link.
    pub head: Digest,
    /// Number of the first entry that is not linked to the one before, as the box has found when it started.
    pub broken: Option<u64>,
    /// True if nothing can be written to the journal: the box judges nothing.
    pub read_only: bool,
    /// The ages that the model is for, if they are known.
    pub ages: Option<Ages>,
    /// True if a host may ask to have an image judged whatever the patient's age.
    pub any_age: bool,
    /// Who says that the model is good; `None` where the box judges nothing.
    pub trust: Option<Trust>,
    /// True if the box takes models that nobody has signed.
    pub takes_unsigned: bool,
}

/// What the box is doing, in the order in which it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Bytes of the image, update or piece come in.
    Receiving,
    /// The image is being decoded and prepared.
    Decoding,
    /// The model runs.
    Analysing,
    /// The update is tried and put in the place of the model that was there; or the bundle is checked and put into the other
    /// slot.
    Installing,
}

/// What the box says of its program, and of the bundles that it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SoftwareState {
    /// How many bytes it has of the bundle that was asked for: where the next piece begins. All of them if it works at the
    /// bundle, or has handed it on; not if its program has been started anew since.
    pub next: u32,
    /// Version of the program that runs.
    pub running: String<32>,
    /// The slot of the card that it was started from, 0 for A and 1 for B; `None` if the card has none.
    pub slot: Option<u8>,
    /// What became of the last bundle, if there has been one.
    pub outcome: Option<OutcomeOnLine>,
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct OutcomeOnLine {
    /// Digest of what was signed; of the file, if nobody has signed it.
    pub bundle: Digest,
    /// Digest of the bundle's file.
    pub file: Digest,
    /// Its name, as the signer says it.
    pub name: String<64>,
    /// Its counter; `None` if nobody has signed it.
    pub counter: Option<u64>,
    /// The key that has signed it, in 16 hexadecimal digits, likewise.
    pub key: Option<String<16>>,
    /// Who says that it is good.
    pub trust: Trust,
    /// How far it has come.
    pub stage: SoftwareStage,
}

/// How far a bundle has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum SoftwareStage {
    /// It is on the card and is tried at the next start.
    Staged,
    /// The box does not take it.
    Refused(SoftwareRefusal),
    /// It runs, and stays.
    Confirmed,
    /// It did not start; the program before it runs.
    WentBack,
}

impl SoftwareStage {
    /// The word that programs read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Refused(_) => "refused",
            Self::Confirmed => "confirmed",
            Self::WentBack => "went-back",
        }
    }
}

/// The model that the box has installed, or the site file that it has stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Installed {
    /// Its name.
    pub model: String<64>,
    /// Digest of its file.
    pub digest: Digest,
}

/// Most keys of a clinic's own that a box keeps.
pub const MAX_OWN_KEYS: usize = 4;

/// What the box says of the settings that somebody has sent, and of the keys that a person has added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SiteState {
    /// Which settings are in force.
    pub stage: SiteStage,
    /// The site file that the box has stored, if there is one.
    pub file: Option<SiteOnLine>,
    /// The keys that a person has added, each in 16 hexadecimal digits.
    pub keys: Vec<String<16>, MAX_OWN_KEYS>,
}

/// A site file that the box has stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SiteOnLine {
    /// Digest of the file.
    pub digest: Digest,
    /// Its name, as the signer says it.
    pub name: String<64>,
    /// Its counter.
    pub counter: u64,
    /// The key that has signed it, in 16 hexadecimal digits.
    pub key: String<16>,
    /// Who says that it is good.
    pub trust: Trust,
    /// True if a person has added that key at the box, and no list names it.
    pub own_key: bool,
}

/// Which settings are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteStage {
    /// Those of the card alone: there is no site file.
    #[default]
    Card,
    /// The site file is in force.
    InForce,
    /// What was stored or forgotten last counts from the next start on.
    NextStart,
    /// The site file cannot be used, and those of the card alone are in force.
    NotUsed,
}

impl SiteStage {
    /// The word that programs read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::InForce => "in-force",
            Self::NextStart => "next-start",
            Self::NotUsed => "not-used",
        }
    }
}

/// From box to host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
#[expect(clippy::large_enum_variant, reason = "messages live in fixed buffers")]
pub enum ToHost {
    /// Answer to [`ToBox::Info`].
    Info(Info),
    /// What the box is doing with the image, update or piece.
    Progress {
        /// The phase.
        phase: Phase,
        /// Bytes done; equal to `total` once the phase is complete.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The result, written to the journal and synced before it is sent.
    Result(ResultRecord),
    /// The image is not judged.
    Refused(Refusal),
    /// The box could not do what was asked.
    Failed(Fault),
    /// The image, update or piece was given up.
    Cancelled,
    /// One record of the journal.
    Record(ResultRecord),
    /// The last record asked for has been sent.
    RecordsEnd,
    /// The picture on the screen follows in chunks: a PNG file.
    #[serde(rename = "ScreenBegin")]
    ScreenshotBegin {
        /// Length of the file in bytes.
        length: u32,
        /// Its digest.
        digest: Digest,
    },
    /// A part of the screenshot.
    Chunk(Chunk),
    /// The clock is set.
    ClockSet,
    /// The update is on the disk: a model judges from now on, and settings are in force from the next start on.
    #[serde(rename = "Updated")]
    Installed(Installed),
    /// The update is not installed; the box keeps the model that it has.
    #[serde(rename = "Rejected")]
    ModelRefused(ModelRefusal),
    /// One entry of the journal.
    Entry(Linked),
    /// The code is on the screen.
    CodeShown,
    /// The code was right: from now on, until the session ends, results and screenshots are handed out.
    Paired,
    /// The record asked for, if there is one.
    StoredResult(Option<ResultRecord>),
    /// The piece is on the disk; with the last one, the bundle is in the other slot, to be tried at the next start.
    PieceStored {
        /// How many bytes of the bundle there are: where the next piece begins. A piece that begins elsewhere is not kept.
        next: u32,
    },
    /// The bundle is not taken; what there was of it is gone.
    SoftwareRefused(SoftwareRefusal),
    /// What the box has of a bundle.
    Software(SoftwareState),
    /// The site file is not taken; the box keeps the settings that it has.
    SiteRefused(SiteRefusal),
    /// Which settings somebody has sent.
    Site(SiteState),
}
