//! What the header says of the radiograph: whether it is one that may be judged.
//!
//! What is absent, empty or not understood is not guessed: it speaks against nothing. Of all that the header holds, nothing
//! leaves this module but [`Facts`], a [`Refusal`], and the accession number where that is asked for.

use shared::{accession::Accession, age::Age, verdict::Refusal};

use super::header::text;
use crate::Facts;

/// Values of elements as they stand in the file.
#[derive(Default)]
pub(super) struct Statements<'a> {
    class: Option<&'a [u8]>,
    study_date: Option<&'a [u8]>,
    series_date: Option<&'a [u8]>,
    acquisition_date: Option<&'a [u8]>,
    content_date: Option<&'a [u8]>,
    modality: Option<&'a [u8]>,
    /// Maker of the program that captured it.
    captured_by: Option<&'a [u8]>,
    intent: Option<&'a [u8]>,
    series: Option<&'a [u8]>,
    birth_date: Option<&'a [u8]>,
    age: Option<&'a [u8]>,
    body_part: Option<&'a [u8]>,
    position: Option<&'a [u8]>,
    view: Option<&'a [u8]>,
    view_meaning: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    processing: Option<&'a [u8]>,
    orientation: Option<&'a [u8]>,
    procedure: Option<&'a [u8]>,
    accession: Option<&'a [u8]>,
    /// Name and numbers of the patient, only to tell them from an accession number.
    patient: [Option<&'a [u8]>; 3],
}

/// Longest value, in bytes. The longest texts that are asked for have 64 characters of up to four bytes (PS3.5, 6.2), or are
/// a few of these. A longer one is not such a text; read as words, it would take many times its length.
const MAX_VALUE: usize = 1024;

/// Letters of a part of a name that is looked for in an accession number: fewer are in many.
const LEAST_OF_A_NAME: usize = 3;

/// Radiography, its digital kind, films that were scanned, and captures of them; *other* and *secondary capture* do not say
/// what was captured.
const RADIOGRAPHS: [&str; 7] = ["CR", "DX", "DR", "RG", "SC", "OT", "HC"];

/// How this project calls itself as the maker of captures: its answers to films, on their way through archives.
pub const MAKER: &str = "Pumua";

/// Digital X-ray and digital mammography before they are processed for the eye.
const FOR_PROCESSING: [&str; 2] = ["1.2.840.10008.5.1.4.1.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.2.1"];

/// Words for a chest, by how they begin: English, French, Portuguese, Spanish, German, Swahili.
const CHEST: [&str; 8] = ["CHEST", "THORA", "TORAX", "TORAC", "LUNG", "POUMON", "PULM", "KIFUA"];
/// Words for the thoracic spine, which may stand beside them.
const SPINE: [&str; 6] = ["SPINE", "VERTEB", "COLUMN", "COLONNE", "RACHIS", "WIRBEL"];
/// Words that say nothing of a part of the body.
const NO_PART: [&str; 5] = ["UNKNOWN", "OTHER", "UNDEFINED", "NONE", "PORTABLE"];

/// Views from the front, and those that are none (PS3.3, C.8.11.5.1.2 and C.8.1.1): from a side, oblique, lying on a side.
const FRONTAL: [&str; 8] = ["PA", "AP", "FRONTAL", "FACE", "FRENTE", "MBELE", "POSTEROANTERIOR", "ANTEROPOSTERIOR"];
const OTHER_VIEWS: [&str; 18] = [
    "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LLAT", "RLAT", "XTL",
    // Positions of a patient on a side (PS3.3, C.7.3.1.1.2), and *from the side* in Swahili.
    "HFDL", "HFDR", "FFDL", "FFDR", "PEMBENI",
];
const OTHER_VIEWS_BEGIN: [&str; 7] = ["LAT", "OBL", "PROFIL", "PERFIL", "SEITL", "DECUB", "LORDO"];

impl<'a> Statements<'a> {
    /// Keeps the value of an element of the data set, if it is one of these.
    pub(super) fn take(&mut self, tag: u32, value: &'a [u8]) -> Result<(), Refusal> {
        let place = match tag {
            0x0008_0016 => &mut self.class,
            0x0008_0020 => &mut self.study_date,
            0x0008_0021 => &mut self.series_date,
            0x0008_0022 => &mut self.acquisition_date,
            0x0008_0023 => &mut self.content_date,
            0x0008_0060 => &mut self.modality,
            0x0018_1016 => &mut self.captured_by,
            0x0008_0068 => &mut self.intent,
            0x0008_103e => &mut self.series,
            0x0010_0030 => &mut self.birth_date,
            0x0010_1010 => &mut self.age,
            0x0018_0015 => &mut self.body_part,
            0x0018_1030 => &mut self.protocol,
            0x0018_1400 => &mut self.processing,
            0x0018_5100 => &mut self.position,
            0x0018_5101 => &mut self.view,
            0x0020_0020 => &mut self.orientation,
            0x0040_0254 => &mut self.procedure,
            // Nothing is refused for their length.
            0x0008_0050 | 0x0010_0010 | 0x0010_0020 | 0x0010_1000 => {
                let [name, number, other] = &mut self.patient;
                let place = match tag {
                    0x0008_0050 => &mut self.accession,
                    0x0010_0010 => name,
                    0x0010_0020 => number,
                    _ => other,
                };
                *place = Some(value);
                return Ok(());
            }
            _ => return Ok(()),
        };
        keep(place, value)
    }

    /// Keeps the value of an element of the code of the view, if it is its meaning.
    pub(super) fn take_of_view(&mut self, tag: u32, value: &'a [u8]) -> Result<(), Refusal> {
        if tag == 0x0008_0104 { keep(&mut self.view_meaning, value) } else { Ok(()) }
    }

    /// Refuses what should not be judged.
    pub(super) fn facts(&self) -> Result<Facts, Refusal> {
        if self.modality.and_then(text).is_some_and(|modality| !RADIOGRAPHS.contains(&&*modality.to_ascii_uppercase()))
        {
            return Err(Refusal::OtherModality);
        }
        // An answer that an archive sends on: a film with words and outlines on it.
        if self.captured_by.and_then(text).is_some_and(|maker| maker == MAKER) {
            return Err(Refusal::OtherModality);
        }
        let raw = self.intent.and_then(text).is_some_and(|intent| intent.eq_ignore_ascii_case("FOR PROCESSING"));
        if raw || self.class.and_then(text).is_some_and(|class| FOR_PROCESSING.contains(&class)) {
            return Err(Refusal::ForProcessing);
        }
        if !self.may_be_chest() {
            return Err(Refusal::OtherBodyPart);
        }
        if self.is_other_view() {
            return Err(Refusal::SideView);
        }
        Ok(Facts { age: self.age() })
    }

    /// The accession number, unless it is the patient's number, or has a part of the patient's name in it.
    pub(super) fn accession(&self) -> Option<Accession> {
        let number = plain(self.accession.and_then(text)?);
        let [name, numbers @ ..] = self.patient;
        let numbers = numbers.into_iter().flatten().flat_map(|value| value.split(|&byte| byte == b'\\'));
        let is_patients = |value: &[u8]| text(value).is_some_and(|value| plain(value) == number);
        let names_patient = |part: &String| part.chars().count() >= LEAST_OF_A_NAME && number.contains(part.as_str());
        if numbers.into_iter().any(is_patients) || words(name).iter().any(names_patient) {
            return None;
        }
        Accession::new(self.accession.and_then(text)?)
    }

    fn may_be_chest(&self) -> bool {
        let words = words(self.body_part);
        let begins = |with: &[&str]| words.iter().any(|word| with.iter().any(|start| word.starts_with(start)));
        let silent = words.iter().all(|word| NO_PART.contains(&&**word));
        silent || begins(&CHEST) && !begins(&SPINE)
    }

    /// Whether the view is none from the front: by its own element; else by the meaning of its code; else by the directions
    /// of rows and columns; else by what people have written.
    fn is_other_view(&self) -> bool {
        if let Some(other) = [self.view, self.view_meaning].into_iter().find_map(|said| is_other_view(&words(said))) {
            return other;
        }
        // Rows of a view from the front run to the left or the right of the patient, those of a side view to the front or back.
        if self.orientation.and_then(text).is_some_and(|row| matches!(row.as_bytes()[0], b'A' | b'P')) {
            return true;
        }
        let written = [self.position, self.series, self.protocol, self.procedure, self.processing];
        written.into_iter().find_map(|said| is_other_view(&words(said))).unwrap_or(false)
    }

    /// Age at the study, as it is stated or by the dates. The dates decide where a stated one may mean something else; both
    /// count where they say something else by more than a year: a model must be for either.
    pub(super) fn age(&self) -> Option<Age> {
        let stated = self.age.and_then(text).and_then(Stated::read);
        let (stated, by_dates) = match (stated, self.age_by_dates()) {
            (Some(Stated::Plain(stated)), Some(by_dates)) => (stated, by_dates),
            (_, Some(by_dates)) => return Some(by_dates),
            (stated, None) => return stated.and_then(Stated::alone),
        };
        let both = stated.either(by_dates);
        let [younger, older] = both.bounds();
        Some(if older - younger <= 12 { stated } else { both })
    }

    fn age_by_dates(&self) -> Option<Age> {
        let birth = self.birth_date.and_then(text).and_then(date)?;
        let dates = [self.study_date, self.acquisition_date, self.series_date, self.content_date];
        let study = dates.into_iter().find_map(|value| value.and_then(text).and_then(date))?;
        plausible(months_between(birth, study)?)
    }
}

fn keep<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refusal> {
    if value.len() > MAX_VALUE {
        return Err(Refusal::Corrupt);
    }
    *place = Some(value);
    Ok(())
}

/// In capitals, Latin letters without accents: people write one name, and one word, with and without them.
fn plain(text: &str) -> String {
    let bare = |letter| match letter {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => 'A',
        'Ç' | 'Ć' | 'Č' => 'C',
        'È'..='Ë' | 'Ē' | 'Ę' | 'Ě' => 'E',
        'Ì'..='Ï' | 'Ī' | 'İ' => 'I',
        'Ł' => 'L',
        'Ñ' | 'Ń' | 'Ň' => 'N',
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ő' => 'O',
        'Ŕ' | 'Ř' => 'R',
        'Ś' | 'Ş' | 'Š' => 'S',
        'Ù'..='Ü' | 'Ū' | 'Ů' | 'Ű' => 'U',
        'Ý' | 'Ÿ' => 'Y',
        'Ź' | 'Ż' | 'Ž' => 'Z',
        other => other,
    };
    text.to_uppercase().chars().map(bare).collect()
}

/// The words of a value in capitals, without what separates them and, as writers abbreviate differently, without marks.
pub(super) fn words(value: Option<&[u8]>) -> Vec<String> {
    let plain = value.map(|value| plain(&String::from_utf8_lossy(value))).unwrap_or_default();
    let words = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Whether words speak of another view than one from the front. Nothing if they speak of none, or of both: such a text
/// describes an examination of two films.
fn is_other_view(words: &[String]) -> Option<bool> {
    let frontal = words.iter().any(|word| FRONTAL.contains(&&**word));
    let other = words
        .iter()
        .any(|word| OTHER_VIEWS.contains(&&**word) || OTHER_VIEWS_BEGIN.iter().any(|start| word.starts_with(start)));
    (frontal != other).then_some(other)
}

/// An age as it is stated, in months.
#[derive(Clone, Copy)]
enum Stated {
    /// `018M`, `004Y`, `010D`, `003W` (PS3.5, 6.2).
    Plain(Age),
    /// `000Y`, `000M`, `000W`, `000D`: of an infant, or where nothing was entered.
    Zero,
    /// `81`: years, as some exports of adults have them.
    Years(Age),
    /// `4`, `000`, `0018`: as likely months as years, or nothing.
    Unclear,
}

impl Stated {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().ok().filter(|_| digits <= 4)?;
        let months = match (unit.trim(), digits) {
            ("Y" | "y", _) => 12 * number,
            ("M" | "m", _) => number,
            // 365.25 days are twelve months.
            ("W" | "w", _) => number * 7 * 48 / 1461,
            ("D" | "d", _) => number * 48 / 1461,
            ("", 2 | 3) if number > 0 => return plausible(12 * number).map(Self::Years),
            ("", _) => return Some(Self::Unclear),
            _ => return None,
        };
        if number == 0 { Some(Self::Zero) } else { plausible(months).map(Self::Plain) }
    }

    /// What it says where no dates do.
    fn alone(self) -> Option<Age> {
        match self {
            Self::Plain(age) | Self::Years(age) => Some(age),
            Self::Zero => Age::months(0),
            Self::Unclear => None,
        }
    }
}

/// An age that somebody may have.
fn plausible(months: u32) -> Option<Age> {
    u16::try_from(months).ok().and_then(Age::months)
}

/// Year, month and day of `20260131`, or of `2026.01.31` as in old files.
fn date(text: &str) -> Option<[u32; 3]> {
    let digits: String = text.chars().filter(|letter| !matches!(letter, '.' | '-')).collect();
    if digits.len() != 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let [year, month, day] = [&digits[..4], &digits[4..6], &digits[6..]].map(|part| part.parse().unwrap_or(0));
    let sensible = (1850..=2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    sensible.then_some([year, month, day])
}

/// Whole months from one date to another; `None` if that is the earlier one.
fn months_between([y0, m0, d0]: [u32; 3], [y1, m1, d1]: [u32; 3]) -> Option<u32> {
    (12 * y1 + m1).checked_sub(12 * y0 + m0)?.checked_sub(u32::from(d1 < d0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(elements: &[(u32, &str)]) -> Result<Facts, Refusal> {
        let mut statements = Statements::default();
        for (tag, value) in elements {
            statements.take(*tag, value.as_bytes())?;
        }
        statements.facts()
    }

    fn of(tag: u32, value: &str) -> Result<(), Refusal> {
        facts(&[(tag, value)]).map(|_| ())
    }

    #[test]
    fn what_is_absent_or_empty_speaks_against_nothing() {
        assert_eq!(facts(&[]), Ok(Facts::default()));
        for tag in [0x0008_0060, 0x0008_0068, 0x0010_1010, 0x0018_0015, 0x0018_5101, 0x0020_0020, 0x0008_103e] {
            for value in ["", " ", "\\", "\0"] {
                assert_eq!(facts(&[(tag, value)]), Ok(Facts::default()), "{tag:x} {value:?}");
            }
        }
    }

    #[test]
    fn other_modalities_are_refused() {
        for modality in ["CR", "DX", "OT", "RG", "DX "] {
            assert_eq!(of(0x0008_0060, modality), Ok(()), "{modality}");
        }
        assert_eq!(of(0x0018_1016, "Pumua "), Err(Refusal::OtherModality), "an answer of ours");
        assert_eq!(of(0x0018_1016, "Another"), Ok(()));
        for modality in ["CT", "MR", "US", "MG", "RF", "XA", "ES", "ECG", "SR"] {
            assert_eq!(of(0x0008_0060, modality), Err(Refusal::OtherModality), "{modality}");
        }
    }

    #[test]
    fn what_is_for_processing_is_refused() {
        assert_eq!(of(0x0008_0068, "FOR PROCESSING"), Err(Refusal::ForProcessing));
        assert_eq!(of(0x0008_0068, "FOR PRESENTATION"), Ok(()));
        assert_eq!(of(0x0008_0016, "1.2.840.10008.5.1.4.1.1.1.1.1"), Err(Refusal::ForProcessing));
        assert_eq!(of(0x0008_0016, "1.2.840.10008.5.1.4.1.1.1.1\0"), Ok(()));
    }

    #[test]
    fn other_parts_of_the_body_are_refused() {
        for part in ["CHEST", "Thorax", "CHEST PA", "PORT CHEST", "LUNG", "TORAX", "TÓRAX", "UNKNOWN", "CHESTABDOMEN"]
        {
            assert_eq!(of(0x0018_0015, part), Ok(()), "{part}");
        }
        for part in ["HAND", "ABDOMEN", "TSPINE", "THORACIC SPINE", "SKULL", "KNEE", "PELVIS", "RIB"] {
            assert_eq!(of(0x0018_0015, part), Err(Refusal::OtherBodyPart), "{part}");
        }
    }

    #[test]
    fn views_from_elsewhere_are_refused() {
        let side = Err(Refusal::SideView);
        assert_eq!(of(0x0018_5101, "PA"), Ok(()));
        assert_eq!(of(0x0018_5101, "AP "), Ok(()));
        for view in ["LL", "RL", "LATERAL", "Lat", "LLO", "RLD", "LEFT LATERAL"] {
            assert_eq!(of(0x0018_5101, view), side, "{view}");
        }
        assert_eq!(of(0x0020_0020, "A\\F"), side);
        assert_eq!(of(0x0020_0020, "L\\F"), Ok(()));
        for tag in [0x0018_5100, 0x0008_103e, 0x0018_1030, 0x0018_1400, 0x0040_0254] {
            for words in [
                "CHEST LATERAL",
                "Thorax seitlich",
                "Thorax de profil",
                "LL",
                "chest lat. left",
                "decubitus",
                "L-LAT",
                "CHEST_RLAT",
                "eksirei ya kifua, pembeni",
                "HFDR",
                "LPO",
            ] {
                assert_eq!(of(tag, words), side, "{words}");
            }
            assert_eq!(of(tag, "Chest PA and lateral"), Ok(()), "an examination of two films");
            assert_eq!(of(tag, "Chest bilateral"), Ok(()));
            for words in ["Chest AP portable", "HFS", "FFP", "Chest left", "collateral", "thorax, erect"] {
                assert_eq!(of(tag, words), Ok(()), "{words}");
            }
        }
        // Which of two sides a paired part is of: a chest is none, and nothing says that it was taken from there.
        for (tag, side) in [(0x0020_0060, "L"), (0x0020_0060, "R"), (0x0020_0062, "L"), (0x0020_0062, "B")] {
            assert_eq!(of(tag, side), Ok(()), "{side}");
        }
        // Its own element counts more.
        assert_eq!(facts(&[(0x0018_5101, "PA"), (0x0008_103e, "LAT")]).map(|_| ()), Ok(()));
    }

    #[test]
    fn an_accession_number_is_neither_name_nor_number_of_the_patient() {
        let of = |number: &str, elements: &[(u32, &str)]| {
            let mut statements = Statements::default();
            statements.take(0x0008_0050, number.as_bytes()).unwrap();
            for (tag, value) in elements {
                statements.take(*tag, value.as_bytes()).unwrap();
            }
            statements.accession().map(|accession| accession.as_str().to_owned())
        };
        let patient = [(0x0010_0010, "Achieng^Li"), (0x0010_0020, "P-77"), (0x0010_1000, "H1\\H2 ")];
        for number in ["2026-0414.7", "A/12 ", "LI7", "P-771"] {
            assert_eq!(of(number, &patient).as_deref(), Some(number.trim()), "{number}");
        }
        for number in ["", "ACHIENG", "p-77", "H2", "achieng7", "no digit"] {
            assert_eq!(of(number, &patient), None, "{number}");
        }
        // One name with and without accents.
        let accented = |name| [(0x0010_0010, name)];
        assert_eq!(of("GÓMEZ-12", &accented("GÓMEZ^ANA")), None);
        assert_eq!(of("JOSE1", &accented("JOSÉ^R")), None);
        assert_eq!(of("núñez 4", &accented("Nunez^A")), None);
        assert_eq!(of(&"1".repeat(65), &[]), None);
        assert_eq!(of("1", &[(0x0010_0010, &"x".repeat(5000))]).as_deref(), Some("1"));
    }

    #[test]
    fn the_meaning_of_a_code_says_which_view_it_is() {
        let of = |meaning: &str, more: &[(u32, &str)]| {
            let mut statements = Statements::default();
            for (tag, value) in more {
                statements.take(*tag, value.as_bytes())?;
            }
            statements.take_of_view(0x0008_0104, meaning.as_bytes())?;
            statements.facts().map(|_| ())
        };
        for meaning in ["left lateral", "Lateral projection", "medio-lateral oblique", "right lateral decubitus"] {
            assert_eq!(of(meaning, &[]), Err(Refusal::SideView), "{meaning}");
        }
        for meaning in ["postero-anterior", "antero-posterior", "frontal projection"] {
            assert_eq!(of(meaning, &[]), Ok(()), "{meaning}");
        }
        assert_eq!(of("left lateral", &[(0x0018_5101, "PA")]), Ok(()), "the view's own element counts more");
        assert_eq!(of("left lateral", &[(0x0008_103e, "Chest PA")]), Err(Refusal::SideView));
    }

    #[test]
    fn ages_are_read_as_they_are_written() {
        let age = |value| facts(&[(0x0010_1010, value)]).unwrap_or_default().age;
        for (value, months) in [
            ("018M", 18),
            ("081Y", 972),
            ("81", 972),
            ("081", 972),
            ("04", 48),
            ("4Y", 48),
            ("000Y", 0),
            ("000M", 0),
            ("010D", 0),
            ("060W", 13),
            ("364D", 11),
            ("366D", 12),
            ("004Y ", 48),
            ("18m", 18),
        ] {
            assert_eq!(age(value), Age::months(months), "{value}");
        }
        for value in ["", "Y", "abc", "-4Y", "4.5Y", "999Y", "99999", "4X", "4", "0004", "0", "00", "000"] {
            assert_eq!(age(value), None, "{value}");
        }
    }

    /// Age of a child who is born in March 2022, or on another date, by a file that states an age.
    fn both(birth: &str, study: &str, stated: &str) -> Option<Age> {
        facts(&[(0x0010_0030, birth), (0x0008_0020, study), (0x0010_1010, stated)]).unwrap_or_default().age
    }

    #[test]
    fn ages_follow_from_dates_where_none_is_stated() {
        let birth = (0x0010_0030, "20220315");
        let study = |date| facts(&[birth, (0x0008_0020, date)]).unwrap_or_default().age;
        assert_eq!(study("20260314"), Age::months(47));
        assert_eq!(study("20260315"), Age::months(48));
        assert_eq!(study("2026.03.15"), Age::months(48));
        assert_eq!(study("20220315"), Age::months(0));
        for date in ["20220214", "", "today", "20261331", "1800"] {
            assert_eq!(study(date), None, "{date}");
        }
        assert_eq!(facts(&[birth]).unwrap_or_default().age, None, "the clock is not asked");
    }

    #[test]
    fn dates_decide_where_an_age_is_a_number_alone_or_zero() {
        for stated in ["4", "18", "48", "018", "000Y", "0M", "000D", "0", "000"] {
            assert_eq!(both("20220315", "20260315", stated), Age::months(48), "{stated}");
        }
        assert_eq!(both("20251115", "20260315", "4"), Age::months(4), "an infant of four months");
        assert_eq!(both("20260301", "20260315", "000Y"), Age::months(0));
        assert_eq!(both("", "20260315", "81"), Age::months(972));
        assert_eq!(both("", "20260315", "4"), None);
    }

    #[test]
    fn of_two_ages_that_contradict_each_other_both_count() {
        // Within a year of each other, the stated one is not wrong.
        for (stated, months) in [("004Y", 48), ("003Y", 36), ("005Y", 60), ("040M", 40)] {
            assert_eq!(both("20220315", "20260315", stated), Age::months(months), "{stated}");
        }
        for (birth, stated, bounds) in [
            ("20220315", "002Y", [24, 48]),
            ("20220315", "081Y", [48, 972]),
            ("19450315", "004Y", [48, 972]),
            ("20220315", "004M", [4, 48]),
            ("20260115", "004Y", [2, 48]),
        ] {
            assert_eq!(both(birth, "20260315", stated).map(Age::bounds), Some(bounds), "{birth} {stated}");
        }
    }
}
