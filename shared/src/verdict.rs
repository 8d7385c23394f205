//! Probability and operating point → verdict; refusals; errors; their codes; the record of a result.
//!
//! Codes are stable numbers for programs: 100–199 verdicts, 200–299 refusals (the image cannot be judged),
//! 300–399 errors (the box or the line failed; the same image may be sent again), 400–499 refusals of an update
//! (400–419 of a model, 420–439 of the box's own program).

use alloc::format;
use core::{fmt, str::FromStr};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::{age::AgeNote, limits::MAX_EXAM_ID};

/// What the box says of a radiograph. A research aid, not a diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The probability lies below the band of uncertainty.
    Normal,
    /// The probability lies above the band of uncertainty.
    Pneumonia,
    /// The probability lies within the band, or is NaN: a clinician must decide.
    Refer,
}

impl Verdict {
    /// Every verdict, in the order of the codes.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Pneumonia, Self::Refer];

    /// Stable code: 100 normal, 101 pneumonia, 102 refer.
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 100,
            Self::Pneumonia => 101,
            Self::Refer => 102,
        }
    }

    /// The word that programs read: `normal`, `pneumonia`, `refer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Pneumonia => "pneumonia",
            Self::Refer => "refer",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where the answers of a model change. All three are probabilities with
/// `0 <= refer_from <= threshold <= refer_to <= 1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct OperatingPoint {
    /// At or above: pneumonia, where a yes-or-no answer is asked for (accuracy, sensitivity, specificity).
    pub threshold: f32,
    /// Below: the verdict is normal.
    pub refer_from: f32,
    /// At or above: the verdict is pneumonia. In between: refer.
    pub refer_to: f32,
}

/// An operating point by which the box says *normal*, *refer* or *pneumonia* of hardly any probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the operating point does not have 0.01 <= refer_from and refer_to <= 0.99: the box would hardly ever say normal, or \
     pneumonia: choose another profile, or train on more radiographs"
)]
pub struct OneSidedError;

/// An operating point whose three probabilities are not in order within 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the operating point must have 0 <= refer_from <= threshold <= refer_to <= 1: use a model made by `pumua train`"
)]
pub struct OperatingPointError;

impl OperatingPoint {
    /// Threshold 0.5 and no band of uncertainty: the study's decision.
    pub const HALF: Self = Self::unbanded(0.5);

    /// A threshold without a band of uncertainty: nothing with a probability is referred.
    pub const fn unbanded(threshold: f32) -> Self {
        Self { threshold, refer_from: threshold, refer_to: threshold }
    }

    /// Checks the order and the range of the three probabilities.
    pub fn check(&self) -> Result<(), OperatingPointError> {
        let ordered = 0.0 <= self.refer_from
            && self.refer_from <= self.threshold
            && self.threshold <= self.refer_to
            && self.refer_to <= 1.0;
        if ordered { Ok(()) } else { Err(OperatingPointError) }
    }

    /// Checks what the box asks for besides the order: that *normal* and *pneumonia* each have at least 0.01 of the
    /// probabilities. A point of 1, 1 and 1 is in order, but says *normal* of everything.
    pub fn check_for_box(&self) -> Result<(), OneSidedError> {
        if self.refer_from >= 0.01 && self.refer_to <= 0.99 { Ok(()) } else { Err(OneSidedError) }
    }

    /// The verdict on a probability of pneumonia. Anything that is not in 0..=1 is referred.
    pub fn verdict(&self, probability: f32) -> Verdict {
        if !(0.0..=1.0).contains(&probability) {
            Verdict::Refer
        } else if probability >= self.refer_to {
            Verdict::Pneumonia
        } else if probability < self.refer_from {
            Verdict::Normal
        } else {
            Verdict::Refer
        }
    }

    /// With how many decimals a probability and both ends of the band are written, in this order, so that they read as the
    /// verdict says: `least`, or as many more as tell them apart. Rounded alike, 0.080 reads as if it were not below 0.082.
    /// `scale`: 1, or 100 where they are written in hundredths.
    pub fn decimals(&self, probability: f32, scale: f64, least: usize) -> [usize; 3] {
        /// By which any two probabilities from 0.01 on are told apart.
        const MOST: usize = 10;
        let [from, to] = [self.refer_from, self.refer_to];
        let written = |p: f32, n: usize| format!("{:.n$}", f64::from(p) * scale);
        let differ = |a: f32, b: f32, n: usize| a == b || written(a, n) != written(b, n);
        let apart = |n: usize| differ(probability, from, n) && differ(probability, to, n) && differ(from, to, n);
        let most = (least..=MOST).find(|&n| apart(n)).unwrap_or(least);
        let end = |end: f32, other: f32| {
            let is_apart = probability != end && differ(probability, end, least) && differ(end, other, least);
            if is_apart { least } else { most }
        };
        [most, end(from, to), end(to, from)]
    }

    /// The yes-or-no decision at the threshold: true for pneumonia.
    pub fn positive(&self, probability: f32) -> bool {
        probability >= self.threshold
    }
}

/// Which error a clinic most wants to avoid: selects one of a model's operating points. Their bands lie within each other:
/// what *balanced* refers, the others refer as well, so that they differ from it in referring more, never in calling
/// normal what it calls pneumonia. The shares are those of the radiographs that the points were fitted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// To call few pneumonias normal: at most 0.2 % of them. It refers more normal radiographs.
    Screening,
    /// Of what is called normal, and of what is called pneumonia, 99 % are right.
    #[default]
    Balanced,
    /// To call few normal radiographs pneumonia: at most 1 % of them. It refers more pneumonias.
    Confirming,
}

impl Profile {
    /// All, from the lowest band to the highest.
    pub const ALL: [Self; 3] = [Self::Screening, Self::Balanced, Self::Confirming];

    /// The word for it: `screening`, `balanced`, `confirming`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Screening => "screening",
            Self::Balanced => "balanced",
            Self::Confirming => "confirming",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is not a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a profile is one of screening, balanced and confirming")]
pub struct ProfileError;

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(word: &str) -> Result<Self, ProfileError> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == word).ok_or(ProfileError)
    }
}

/// The operating points that a model offers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoints {
    /// That of [`Profile::Screening`].
    pub screening: OperatingPoint,
    /// That of [`Profile::Balanced`].
    pub balanced: OperatingPoint,
    /// That of [`Profile::Confirming`].
    pub confirming: OperatingPoint,
}

impl OperatingPoints {
    /// The point of a profile.
    pub const fn of(&self, profile: Profile) -> OperatingPoint {
        match profile {
            Profile::Screening => self.screening,
            Profile::Balanced => self.balanced,
            Profile::Confirming => self.confirming,
        }
    }

    /// Checks each of them, and that thresholds and both ends of the bands rise: what one profile calls normal, no later
    /// one calls pneumonia.
    pub fn check(&self) -> Result<(), OperatingPointError> {
        let points = Profile::ALL.map(|profile| self.of(profile));
        points.iter().try_for_each(OperatingPoint::check)?;
        let rises = |part: fn(&OperatingPoint) -> f32| points.iter().map(part).is_sorted();
        if rises(|point| point.threshold) && rises(|point| point.refer_from) && rises(|point| point.refer_to) {
            Ok(())
        } else {
            Err(OperatingPointError)
        }
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $word:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Stable code for programs.
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The word that programs read.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl core::error::Error for $name {}
    };
}

codes! {
    /// Why an image is not judged. The text says what to do about it.
    Refusal {
        /// No bytes.
        Empty = 200, "empty", "the file is empty: export the X-ray again";
        /// Not a picture, as far as anybody can tell, whatever the name says.
        UnknownFormat = 201, "unknown-format", "this is not a DICOM, JPEG, PNG, TIFF, BMP or WebP image: export the X-ray as one of these";
        /// The image breaks off or contradicts itself.
        Corrupt = 202, "corrupt", "the image is damaged or incomplete: export or copy it again";
        /// More bytes than the limit.
        TooManyBytes = 203, "too-many-bytes", "the file is larger than 32 MiB: export it at a smaller size";
        /// More pixels than the limit.
        TooManyPixels = 204, "too-many-pixels", "the image has too many pixels: export it at a smaller size, in shades of grey";
        /// Too small to be judged.
        TooSmall = 205, "too-small", "the image is smaller than 32 pixels on a side: export it at its full size";
        /// CMYK and other colour models that radiographs do not have.
        UnsupportedColour = 206, "unsupported-colour", "the colour model is not supported: export the X-ray in grey or RGB";
        /// More than one frame.
        Animated = 207, "animated", "the image has several frames: export a single one";
        /// The received bytes are not those that the sender announced.
        DigestMismatch = 208, "digest-mismatch", "the received image differs from the one that was sent: send it again";
        /// A prepared image that does not fit the model of the box.
        ContractMismatch = 209, "contract-mismatch", "the image was prepared for another model: send it again";
        /// A picture in colour: radiographs are grey.
        Coloured = 210, "coloured", "this is a picture in colour, not an X-ray: export the X-ray in grey";
        /// One side is more than four times as long as the other one.
        Elongated = 211, "elongated", "the image is a narrow strip: send the whole frontal chest X-ray";
        /// Hardly any contrast.
        Blank = 212, "blank", "the image is blank or has hardly any contrast: export the X-ray again";
        /// Darker than radiographs are.
        TooDark = 213, "too-dark", "the image is too dark: export it with the usual brightness and contrast";
        /// Brighter than radiographs are.
        TooBright = 214, "too-bright", "the image is too bright: export it with the usual brightness and contrast";
        /// Head down.
        UpsideDown = 215, "upside-down", "the X-ray seems to be upside down: if the head is down, turn it by half a turn and send it again";
        /// Turned by a quarter.
        OnItsSide = 216, "on-its-side", "the X-ray seems to lie on its side: if it does, turn it so that the head is up and send it again";
        /// Bones are dark.
        Negative = 217, "negative", "the X-ray seems to be a negative: if its bones are dark, invert it and send it again";
        /// A part of a chest.
        Cropped = 218, "cropped", "the image does not show the whole chest: send the whole frontal chest X-ray";
        /// Not a chest from the front.
        NotAChest = 219, "not-a-chest", "this does not look like a frontal chest X-ray: check that the right image was sent";
        /// A chest, perhaps, but unlike those that the network has learnt from.
        Unfamiliar = 220, "unfamiliar", "the image is unlike those that the model has learnt from: let a clinician read it";
        /// Left and right exchanged.
        Mirrored = 221, "mirrored", "left and right seem to be exchanged: check the side marker, or let a clinician read it";
        /// The small picture of a prepared image shows something else than its input.
        PreviewMismatch = 222, "preview-mismatch", "the picture for the screen is not the one to be judged: send the whole file, not prepared";
        /// A picture of a kind that is not decoded: GIF, HEIC, JPEG 2000, JPEG XL; a JPEG, PNG, TIFF, BMP or WebP as
        /// radiographs hardly ever are.
        UnsupportedKind = 223, "unsupported-kind", "this kind of picture is not supported: export the X-ray as ordinary JPEG or PNG";
        /// More scans, or more samples in all of them, than the limits.
        TooMuchWork = 224, "too-much-work", "the image would take too long to decode: export it as ordinary JPEG, not progressive, or as PNG";
        /// A DICOM file whose pixels are coded in a way that is not decoded: JPEG-LS, JPEG of 12 bits, JPEG 2000 of high
        /// throughput, video.
        UnsupportedCompression = 225, "unsupported-compression", "the DICOM file is compressed in a way that is not supported: send it uncompressed";
        /// By its header not from an X-ray machine: CT, magnetic resonance, ultrasound, mammography, a report.
        OtherModality = 226, "other-modality", "the file says that this is not a plain X-ray: check that the right file was sent";
        /// By its header of another part of the body.
        OtherBodyPart = 227, "other-body-part", "the file says that this is not a chest X-ray: check that the right file was sent";
        /// By its header from the side, oblique, or of a patient who lies on a side.
        SideView = 228, "side-view", "the file says that this is a side or oblique view: send the frontal chest X-ray";
        /// By its header not yet processed for the eye.
        ForProcessing = 229, "for-processing", "the file is raw data of the machine, for processing: send the X-ray that is for presentation";
        /// By its header of a patient younger than those whom the model is for, or younger than one year.
        TooYoung = 230, "too-young", "the file says that the patient is younger than the children whom the model is for: let a clinician read it";
        /// By its header of a patient older than those whom the model is for.
        TooOld = 231, "too-old", "the file says that the patient is older than the children whom the model is for: let a clinician read it";
        /// Not like a chest as it is, and not clearly like one in another position.
        UncertainOrientation = 236, "uncertain-orientation", "the X-ray may be turned or a negative: check the X-ray; if it is upright and its bones are white, let a clinician read it";
        /// The host asks to have the image judged whatever the patient's age, and the settings of the box do not allow it.
        OverrideNotAllowed = 237, "override-not-allowed", "this box does not judge patients of other ages than its model is for: send the X-ray without `--override age`, or let its settings allow it";
    }
}

codes! {
    /// Why the box could not do what was asked. The text says what to do about it.
    Fault {
        /// The message is not expected now.
        Protocol = 300, "protocol", "the message was not expected: update host and box to the same version";
        /// The line stayed silent in the middle of an image.
        Timeout = 301, "timeout", "the line was silent for too long: check the cable and send the image again";
        /// Another host is connected.
        Busy = 302, "busy", "another host is using the box: wait until it has finished";
        /// The result could not be written to the journal.
        Storage = 303, "storage", "the box could not store or read a result: check its memory card";
        /// The model could not be run.
        Inference = 304, "inference", "the model could not be run: install another model on the box";
        /// Something else failed inside the box.
        Internal = 305, "internal", "the box failed inside: restart it and report what was sent";
        /// More results, or more models, in a short time than a clinic has.
        TooFast = 306, "too-fast", "the box was sent too much in a short time: wait ten minutes, then send the rest";
        /// Results and screenshots are for computers that have typed the code on the screen.
        NotPaired = 307, "not-paired", "the box shows this only to a computer that has its code: type the code that its screen shows";
        /// The screen cannot be written: what it shows may be another child's verdict.
        Screen = 308, "screen", "the screen of the box cannot show anything: check it and its cable, and do not rely on what it shows";
    }
}

codes! {
    /// Why the box refuses an update and keeps the model that it has. The text says what to do about it.
    ModelRefusal {
        /// More bytes than the limit.
        TooLarge = 400, "too-large", "the model is larger than 4 MiB: use a smaller network";
        /// The received bytes are not those that the sender announced.
        DigestMismatch = 401, "digest-mismatch", "the received model differs from the one that was sent: send it again";
        /// Not an ONNX file, or a damaged one.
        NotAModel = 402, "not-a-model", "this is not an ONNX model, or it is damaged: copy it again, or make it with `pumua train`";
        /// The card is missing or another version's, or its contract cannot be kept.
        WrongCard = 403, "wrong-card", "the model card is missing or cannot be used: use a model made by this release of `pumua train`";
        /// The network cannot be built, or gives no probability.
        NotRunnable = 404, "not-runnable", "the network cannot be run: use a model made by this release of `pumua train`";
        /// The box decides by a profile that the model does not have.
        NoProfile = 405, "no-profile", "the model does not have the profile set on the box: use one that does, or remove `profile` from the box's settings";
        /// It could not be written.
        NotStored = 406, "not-stored", "the box could not store the model: check its storage and send it again";
        /// More operations or memory than the box has for an image, or it took too long there.
        TooSlow = 407, "too-slow", "the model takes more time or memory than the box has: use a smaller network";
        /// Nobody says that it is good.
        NotSigned = 408, "not-signed", "the model is not signed: send one that is, or have it signed with `pumua sign`";
        /// The box has had a later one.
        Older = 409, "older", "the model is older than one that this box has had: send a later one, or have this one signed again";
        /// No list of keys that the roots have signed names its key.
        UnknownKey = 410, "unknown-key", "the box does not know the key that has signed the model: send it with the list of keys that names it";
        /// On known pictures it does not tell pneumonia from normal.
        WrongAnswers = 411, "wrong-answers", "the model does not tell pneumonia from normal on known pictures: do not use it, and report where it is from";
        /// Its key may not sign any more.
        RevokedKey = 412, "revoked-key", "the key that has signed the model is revoked: have the model signed by another key";
        /// It is not what was signed.
        WrongSignature = 413, "wrong-signature", "the signature is not that of this model: copy model and signature again, and do not use them if it stays";
        /// For another kind of box.
        OtherBox = 414, "other-box", "the model is for another kind of box: send one that is for this kind";
        /// Needs a later program.
        NeedsNewerBox = 415, "needs-newer-box", "the model needs a later version of the box's program: update that first";
        /// The list of keys that came with it is none, or too few of the roots have signed it.
        WrongKeys = 416, "wrong-keys", "too few of those whom the box believes have signed the list of keys that came with the model: send it with a list that is signed by enough of them";
    }
}

codes! {
    /// Why the box refuses an update of its own program and keeps the one that it has. The text says what to do about it.
    SoftwareRefusal {
        /// It does not run from a card with two places for the program.
        NoSlots = 420, "no-slots", "the card of this box has no room for a second program: flash it anew with `pumua flash --keep-results`";
        /// Not a bundle, or a damaged one.
        NotABundle = 421, "not-a-bundle", "this is not a bundle for the box, or it is damaged: copy it again, or make it with `pumua bundle`";
        /// Nobody says that it is good.
        NotSigned = 422, "not-signed", "the bundle is not signed: send one that is, or have it signed with `pumua sign`";
        /// No list of keys that the roots have signed names its key.
        KeyUnknown = 423, "key-unknown", "the box does not know the key that has signed the bundle: sign it with the list of keys beside it that names the key";
        /// Its key may not sign any more.
        KeyRevoked = 424, "key-revoked", "the key that has signed the bundle is revoked: have the bundle signed by another key";
        /// It is not what was signed.
        WrongSignature = 425, "wrong-signature", "the signature is not that of this bundle: copy it again, and do not use it if that stays";
        /// What was signed is no bundle: a model, or the image of a card.
        OtherKind = 426, "other-kind", "the signature is not for a bundle: have the bundle signed with `pumua sign`";
        /// For another kind of box.
        OtherLine = 427, "other-line", "the bundle is for another kind of box: send one that is for this kind";
        /// Needs a later program.
        NeedsNewer = 428, "needs-newer", "the bundle needs a later version of the box's program before it: send that one first, or flash the card anew";
        /// The box has had a later one.
        Older = 429, "older", "the bundle is older than one that this box has had: send a later one, or have this one signed again with a greater counter";
        /// The list of keys that came with it is none, or too few of the roots have signed it.
        List = 430, "list", "too few of those whom the box believes have signed the list of keys that came with the bundle: sign it with a list that is signed by enough of them";
        /// It could not be written.
        NotStored = 431, "not-stored", "the box could not store the bundle: check its memory card and send it again";
        /// The program that runs has not proved itself.
        OnTrial = 432, "on-trial", "the program that runs is itself on trial: wait some minutes and send the bundle again";
    }
}

codes! {
    /// Why the box refuses a site file, a clinic's own settings, and keeps the settings that it has. The text says what to do about it.
    SiteRefusal {
        /// It is not TOML, too long, or has a key that only the card may have.
        NotSettings = 440, "not-settings", "this is not a site file, or it has a setting that only the card may have: correct it, and have it signed again";
        /// Nobody says that it is good.
        NotSigned = 441, "not-signed", "the settings are not signed: have them signed with `pumua sign`";
        /// Neither a list of keys names its key, nor has a person added it at the box.
        KeyUnknown = 442, "key-unknown", "the box does not know the key that has signed the settings: send them with the list of keys that names it, or with --add-key while the box shows READY";
        /// Its key may not sign any more.
        KeyRevoked = 443, "key-revoked", "the key that has signed the settings is revoked: have the settings signed by another key";
        /// It is not what was signed.
        WrongSignature = 444, "wrong-signature", "the signature is not that of these settings: copy both again, and do not use them if that stays";
        /// What was signed is no site file.
        OtherKind = 445, "other-kind", "the signature is not for settings: have the settings signed with `pumua sign`";
        /// For another kind of box.
        OtherLine = 446, "other-line", "the settings are for another kind of box: send those that are for this kind";
        /// Needs a later program.
        NeedsNewer = 447, "needs-newer", "the settings need a later version of the box's program: update that first";
        /// The box has had a later one.
        Older = 448, "older", "the settings are older than some that this box has had: have these signed again with a greater counter";
        /// The list of keys that came with it is none, or too few of the roots have signed it.
        List = 449, "list", "too few of those whom the box believes have signed the list of keys that came with the settings: send them with a list that is signed by enough of them";
        /// It could not be written.
        NotStored = 450, "not-stored", "the box could not store the settings: check its memory card and send them again";
        /// With the settings on the card they cannot be used.
        Unfit = 451, "unfit", "the settings do not go together with those on the card of the box: correct `aet` or `peers`, and have them signed again";
        /// The box asks a person whether to believe the key.
        KeyOffered = 452, "key-offered", "the box asks whether to believe the key: compare what its screen shows with the fingerprint here, hold Enter there for three seconds, twice, then send the settings again";
        /// There is no room for another key.
        TooManyKeys = 453, "too-many-keys", "the box has as many keys of the clinic as it keeps: have them forgotten at the box, then add this one";
    }
}

/// Who says that a model is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// A key has signed it that the roots of the box have named.
    Signed,
    /// It is part of the program of a box that has such roots.
    BuiltIn,
    /// The test key, with which anybody can sign.
    TestKey,
    /// Nobody.
    Unsigned,
}

impl Trust {
    /// The word that programs read: `signed`, `built-in`, `test-key`, `unsigned`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::BuiltIn => "built-in",
            Self::TestKey => "test-key",
            Self::Unsigned => "unsigned",
        }
    }
}

/// An opaque name for an examination: up to 64 ASCII letters, digits, `.`, `_` and `-`. Never a patient's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
#[serde(try_from = "heapless::String<MAX_EXAM_ID>")]
pub struct ExamId(heapless::String<MAX_EXAM_ID>);

/// An exam id that is too long or holds other characters than the permitted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an exam id is at most 64 ASCII letters, digits, '.', '_' and '-'")]
pub struct ExamIdError;

impl ExamId {
    /// Checks and takes an exam id; the empty one stands for none.
    pub fn new(id: &str) -> Result<Self, ExamIdError> {
        heapless::String::try_from(id).map_err(|_| ExamIdError)?.try_into()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<heapless::String<MAX_EXAM_ID>> for ExamId {
    type Error = ExamIdError;

    fn try_from(id: heapless::String<MAX_EXAM_ID>) -> Result<Self, ExamIdError> {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if id.bytes().all(permitted) { Ok(Self(id)) } else { Err(ExamIdError) }
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
#[serde(transparent)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// Lower-case hexadecimal; the precision limits the number of characters (`{:.12}`).
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digits = f.precision().unwrap_or(64).min(64);
        for i in 0..digits {
            let byte = self.0[i / 2];
            let nibble = if i % 2 == 0 { byte >> 4 } else { byte & 15 };
            fmt::Write::write_char(f, char::from(HEX[usize::from(nibble)]))?;
        }
        Ok(())
    }
}

/// One result, as it is kept in the journal of the box and sent to the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct ResultRecord {
    /// Number of the record in the journal, from 1, never given twice. Gaps are left by damage to the journal alone.
    pub number: u64,
    /// How often the box had started when it made the result.
    pub boot: u32,
    /// Seconds since 1970 (UTC) as last set by a host; `None` if no host has set the clock since the start.
    pub unix_seconds: Option<u64>,
    /// The host's name for the examination.
    #[serde(rename = "study")] // as in the schema of the wire, and so in its digest
    pub exam: ExamId,
    /// Digest of the image file. Where only a prepared form was sent, the host has stated it, and nobody has checked it.
    pub image: Digest,
    /// Digest of the model file.
    pub model: Digest,
    /// Probability of pneumonia, 0..=1.
    pub probability: f32,
    /// The operating point in force.
    pub point: OperatingPoint,
    /// What the box said.
    pub verdict: Verdict,
    /// Whether the host had prepared the image: the box has not seen the file.
    pub prepared: bool,
    /// What is known of the patient's age. Where only a prepared form was sent, the host has stated it.
    pub age: AgeNote,
    /// Who said that the model is good; `None` of results of releases before anybody had to.
    pub trust: Option<Trust>,
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;

    const BAND: OperatingPoint = OperatingPoint { threshold: 0.5, refer_from: 0.25, refer_to: 0.75 };

    #[test]
    fn band_separates_the_three_verdicts() {
        let verdicts = [0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 1.0].map(|p| BAND.verdict(p));
        use Verdict::{Normal as N, Pneumonia as P, Refer as R};
        assert_eq!(verdicts, [N, N, R, R, R, P, P]);
    }

    #[test]
    fn what_is_written_of_a_probability_and_the_band_reads_as_the_verdict() {
        let shipped = OperatingPoint { threshold: 0.699_27, refer_from: 0.082_274_25, refer_to: 0.969_438_43 };
        assert_eq!(shipped.decimals(0.5, 100.0, 0), [0, 0, 0]);
        assert_eq!(shipped.decimals(0.08, 100.0, 0), [1, 1, 0]);
        assert_eq!(shipped.decimals(0.0822, 100.0, 0), [2, 2, 0]);
        assert_eq!(shipped.decimals(0.97, 1.0, 2), [3, 2, 3]);
        let narrow = OperatingPoint { threshold: 0.083, refer_from: 0.0815, refer_to: 0.0835 };
        let points = [shipped, narrow, BAND, OperatingPoint::HALF, OperatingPoint::unbanded(0.125)];
        for (point, scale, least) in points.iter().flat_map(|&it| [(it, 1.0, 3), (it, 100.0, 0)]) {
            let ends = [point.refer_from, point.refer_to];
            let near = ends.into_iter().flat_map(|end| [end.next_down(), end, end.next_up()]);
            for p in near.chain((0..=2000).map(|n| n as f32 / 2000.0)) {
                let read = |p: f32, n: usize| format!("{:.n$}", f64::from(p) * scale).parse::<f64>().unwrap();
                let [own, from, to] = point.decimals(p, scale, least);
                let (own, from, to) = (read(p, own), read(ends[0], from), read(ends[1], to));
                let said = match own {
                    own if own >= to => Verdict::Pneumonia,
                    own if own < from => Verdict::Normal,
                    _ => Verdict::Refer,
                };
                assert_eq!(said, point.verdict(p), "{p} reads {own} between {from} and {to}");
            }
        }
    }

    #[test]
    fn what_is_no_probability_is_referred() {
        for p in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.01, 1.01] {
            assert_eq!(BAND.verdict(p), Verdict::Refer, "{p}");
        }
    }

    #[test]
    fn without_a_band_nothing_within_range_is_referred() {
        assert_eq!(OperatingPoint::HALF.verdict(0.5), Verdict::Pneumonia);
        assert_eq!(OperatingPoint::HALF.verdict(0.499_999), Verdict::Normal);
    }

    #[test]
    fn profiles_are_read_as_they_are_written() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
        assert_eq!("Balanced".parse::<Profile>(), Err(ProfileError));
        let points = OperatingPoints {
            screening: OperatingPoint::unbanded(0.2),
            balanced: BAND,
            confirming: OperatingPoint::unbanded(0.9),
        };
        assert_eq!(Profile::ALL.map(|profile| points.of(profile).threshold), [0.2, 0.5, 0.9]);
        assert_eq!(points.check(), Ok(()));
        for confirming in [
            OperatingPoint { refer_from: 1.0, ..BAND },
            OperatingPoint { refer_from: 0.2, ..BAND },
            OperatingPoint { refer_to: 0.7, ..BAND },
        ] {
            assert_eq!(OperatingPoints { confirming, ..points }.check(), Err(OperatingPointError), "{confirming:?}");
        }
    }

    #[test]
    fn a_box_takes_no_point_that_always_says_the_same() {
        for edge in [0.0, 0.009, 0.991, 1.0] {
            assert_eq!(OperatingPoint::unbanded(edge).check(), Ok(()), "in order");
            assert_eq!(OperatingPoint::unbanded(edge).check_for_box(), Err(OneSidedError), "{edge}");
        }
        let [low, high] = [0.01, 0.99].map(OperatingPoint::unbanded);
        assert!([BAND, low, high].iter().all(|point| point.check_for_box().is_ok()));
        let [refer_from, refer_to] = [0.0, 1.0];
        assert!(OperatingPoint { refer_from, ..BAND }.check_for_box().is_err());
        assert!(OperatingPoint { refer_to, ..BAND }.check_for_box().is_err());
    }

    #[test]
    fn disordered_operating_points_are_rejected() {
        assert!(BAND.check().is_ok());
        for point in [
            OperatingPoint { refer_from: 0.6, ..BAND },
            OperatingPoint { refer_to: 1.5, ..BAND },
            OperatingPoint { threshold: f32::NAN, ..BAND },
        ] {
            assert_eq!(point.check(), Err(OperatingPointError), "{point:?}");
        }
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<u16> = Refusal::ALL.iter().map(|r| r.code()).collect();
        codes.extend(Fault::ALL.iter().map(|f| f.code()));
        codes.extend(ModelRefusal::ALL.iter().map(|r| r.code()));
        codes.extend(SoftwareRefusal::ALL.iter().map(|r| r.code()));
        codes.extend(SiteRefusal::ALL.iter().map(|r| r.code()));
        codes.extend([Verdict::Normal, Verdict::Pneumonia, Verdict::Refer].map(Verdict::code));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn exam_ids_are_opaque_names() {
        assert_eq!(ExamId::new("ward-3_0007.a").map(|s| s.as_str().len()), Ok(13));
        assert_eq!(ExamId::new(""), Ok(ExamId::default()));
        assert_eq!(ExamId::new("two words"), Err(ExamIdError));
        assert_eq!(ExamId::new(&"x".repeat(65)), Err(ExamIdError));
        assert_eq!(postcard::from_bytes::<ExamId>(b"\x06ward-3"), ExamId::new("ward-3").map_err(|_| unreachable!()));
        assert!(postcard::from_bytes::<ExamId>(b"\x06ward 3").is_err(), "what is received is checked as well");
    }

    #[test]
    fn digest_is_sha256_in_hex() {
        let digest = Digest::of(b"abc");
        assert_eq!(format!("{digest:.8}"), "ba7816bf");
        assert_eq!(format!("{digest}"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
