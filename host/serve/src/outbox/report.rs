//! The answer to a film as a structured report in the film's study: Comprehensive SR (PS3.3, A.35.3), by the template of
//! measurement reports (PS3.16, TID 1500).
//!
//! It says what the capture says, in codes and numbers; words are English. *Pneumonia* stands as a finding only where that is
//! the verdict: a probability alone is no finding.

use base::calendar::compact_utc;
use decode::{MAKER, Origin};
use shared::{appliance::Language, verdict::Verdict};

use super::{
    content::{Code, Item, Relation, code, container, dcm, image, number, sct, text, uid},
    document::{self, Document, Filed, Film, MOST_SHORT_TEXT, MOST_STRING, ascii, lines, model},
    elements::Elements,
    format::Format,
};
use crate::record::{Outcome, Record};

/// The scheme of this program's own codes, and what is said of it.
const OWN: &str = "99PUMUA";
const OWN_NAME: &str = "Codes of Pumua, a research aid";
const NOT_CHECKED: &str = "No clinician has made or checked this report.";

const TITLE: Code = dcm("126000", "Imaging Measurement Report");
const LANGUAGE: Code = dcm("121049", "Language of Content Item and Descendants");
const ENGLISH: Code = Code { value: "en", scheme: "RFC5646", words: "English" };
const OBSERVER_TYPE: Code = dcm("121005", "Observer Type");
const DEVICE: Code = dcm("121007", "Device");
const DEVICE_UID: Code = dcm("121012", "Device Observer UID");
const DEVICE_NAME: Code = dcm("121013", "Device Observer Name");
const DEVICE_MAKER: Code = dcm("121014", "Device Observer Manufacturer");
const DEVICE_MODEL: Code = dcm("121015", "Device Observer Model Name");
const PROCEDURE: Code = dcm("121058", "Procedure reported");
const CHEST: Code = sct("399208008", "Plain chest X-ray");
const COMMENT: Code = dcm("121106", "Comment");
const LIBRARY: Code = dcm("111028", "Image Library");
const LIBRARY_GROUP: Code = dcm("126200", "Image Library Group");
const SOURCE: Code = sct("260753009", "Source");
const MEASUREMENTS: Code = dcm("126010", "Imaging Measurements");
const GROUP: Code = dcm("125007", "Measurement Group");
const TRACKING: Code = dcm("112039", "Tracking Identifier");
const TRACKING_UID: Code = dcm("112040", "Tracking Unique Identifier");
const FINDING: Code = dcm("121071", "Finding");
const PNEUMONIA: Code = sct("233604007", "Pneumonia");
const ALGORITHM: Code = dcm("111001", "Algorithm Name");
const ALGORITHM_VERSION: Code = dcm("111003", "Algorithm Version");
const ALGORITHM_PARAMETERS: Code = dcm("111002", "Algorithm Parameters");
const PROBABILITY: Code = dcm("122157", "Probability");
const NO_UNITS: Code = Code { value: "1", scheme: "UCUM", words: "no units" };
const SOURCE_OF_MEASUREMENT: Code = dcm("121112", "Source of Measurement");
const VERDICT: Code = Code { value: "verdict", scheme: OWN, words: "Verdict" };

/// A verdict by its [stable code](Verdict::code).
fn verdict_code(verdict: Verdict) -> Code {
    let (value, words) = match verdict {
        Verdict::Normal => ("100", "Normal: no pneumonia seen, not ruled out"),
        Verdict::Pneumonia => ("101", "Pneumonia suspected"),
        Verdict::Refer => ("102", "Refer: a clinician must decide"),
    };
    Code { value, scheme: OWN, words }
}

/// Makes the report; `None` of a film that was not judged. `store`: the letters by which the store is told from others.
pub(super) fn report(store: &str, record: &Record, filed: &Filed) -> Option<Document> {
    let film = filed.film().zip(filed.uid(Origin::SERIES_UID));
    let tree = tree(store, record, film.map(|(film, _)| film))?;
    let mut document = Document::begin(Format::Report, store, record, filed)?;
    let elements = &mut document.elements;
    elements.extend(tree.elements());
    let at = here(record.answer.as_ref()?.at, filed.get(Origin::OFFSET));
    let (date, time) = at.split_once('-')?;
    for (tag, vr, text) in [
        (0x0008_0023, b"DA", date),
        (0x0008_0033, b"TM", time),
        (0x0008_1090, b"LO", "pumua serve"),
        (0x0018_1020, b"LO", ascii(env!("CARGO_PKG_VERSION"), MOST_STRING).as_str()),
        (0x0040_a491, b"CS", "COMPLETE"),
        (0x0040_a493, b"CS", "UNVERIFIED"),
        (0x0040_a496, b"CS", "PRELIMINARY"),
    ] {
        elements.put(tag, vr, text);
    }
    let scheme = Elements::of([(0x0008_0102, b"SH", OWN), (0x0008_0115, b"ST", OWN_NAME), (0x0008_0116, b"ST", MAKER)]);
    elements.put_items(0x0008_0110, vec![scheme]);
    // Nobody has ordered it, and no step of a worklist was performed for it.
    elements.put_items(0x0008_1111, Vec::new());
    elements.put_items(0x0040_a372, Vec::new());
    if let (Some((film, series)), Some(study)) = (film, filed.uid(Origin::STUDY)) {
        elements.put_items(0x0040_a375, vec![evidence(study, series, film)]);
    }
    Some(document)
}

/// A time of this many seconds since 1970 as `YYYYMMDD-HHMMSS`: by the offset from UTC that the film states, such as `+0200`,
/// because all times of a data set are by it; else in UTC.
fn here(at: u64, offset: &[u8]) -> String {
    compact_utc(at.saturating_add_signed(east(offset).unwrap_or(0)))
}

/// Seconds by which clocks are ahead of UTC.
fn east(offset: &[u8]) -> Option<i64> {
    let (sign, digits) = offset.split_first()?;
    let is_one = digits.len() == 4 && digits.iter().all(u8::is_ascii_digit);
    let digits: i64 = std::str::from_utf8(digits).ok().filter(|_| is_one)?.parse().ok()?;
    let seconds = (digits / 100 * 60 + digits % 100) * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// Where the film is that is referred to (PS3.3, C.17.2.1).
fn evidence(study: &str, series: &str, film: Film<'_>) -> Elements {
    let mut of_series = Elements::of([(0x0020_000e, b"UI", series)]);
    of_series.put_items(0x0008_1199, vec![film.reference()]);
    let mut of_study = Elements::of([(0x0020_000d, b"UI", study)]);
    of_study.put_items(0x0008_1115, vec![of_series]);
    of_study
}

/// The report itself.
fn tree(store: &str, record: &Record, film: Option<Film<'_>>) -> Option<Item> {
    use Relation::{ConceptMod, Contains, ObsContext, Root};

    let by = record.answer.as_ref()?.by.as_ref();
    let mut items = vec![
        code(ConceptMod, LANGUAGE, ENGLISH),
        code(ObsContext, OBSERVER_TYPE, DEVICE),
        uid(ObsContext, DEVICE_UID, document::uid(store, "device")),
        text(ObsContext, DEVICE_NAME, MAKER),
        text(ObsContext, DEVICE_MAKER, MAKER),
    ];
    items.extend(by.map(|by| text(ObsContext, DEVICE_MODEL, ascii(&model(by), MOST_SHORT_TEXT))));
    items.push(code(ConceptMod, PROCEDURE, CHEST));
    // Whoever reads from the top reads first that it is no medical device.
    let mut said = lines(record, Language::English)?;
    said.insert(1, NOT_CHECKED.to_owned());
    items.extend(said.iter().map(|line| text(Contains, COMMENT, ascii(line, MOST_SHORT_TEXT))));
    items.extend(film.map(|film| {
        let group = container(Contains, LIBRARY_GROUP, None, vec![image(SOURCE, film)]);
        container(Contains, LIBRARY, Some("1600"), vec![group])
    }));
    items.push(container(Contains, MEASUREMENTS, None, vec![group(store, record, film)?]));
    Some(container(Root, TITLE, Some("1500"), items))
}

/// What was measured of the film, by what, and what follows (TID 1501).
fn group(store: &str, record: &Record, film: Option<Film<'_>>) -> Option<Item> {
    use Relation::{ConceptMod, Contains, ObsContext};

    let answer = record.answer.as_ref()?;
    let Outcome::Judged { verdict, probability, point, .. } = answer.outcome else { return None };
    let mut items = vec![
        text(ObsContext, TRACKING, format!("{MAKER} record {}", record.number)),
        uid(ObsContext, TRACKING_UID, document::uid(&document::name(store, record)?, "tracking")),
    ];
    if verdict == Verdict::Pneumonia {
        items.push(code(Contains, FINDING, PNEUMONIA));
    }
    let digest = answer.by.as_ref().map_or_else(String::new, |by| format!(", {}", model(by)));
    items.extend([
        text(ConceptMod, ALGORITHM, MAKER),
        text(ConceptMod, ALGORITHM_VERSION, ascii(&format!("{}{digest}", env!("CARGO_PKG_VERSION")), MOST_SHORT_TEXT)),
    ]);
    let parameters = [("threshold", point.threshold), ("refer_from", point.refer_from), ("refer_to", point.refer_to)];
    items.extend(parameters.map(|(name, value)| text(ConceptMod, ALGORITHM_PARAMETERS, format!("{name} = {value}"))));
    // A film is referred, too, where there is no probability: then there is no number.
    if (0.0..=1.0).contains(&probability) {
        items.push(number(PROBABILITY, probability, NO_UNITS, vec![code(ConceptMod, FINDING, PNEUMONIA)]));
    }
    items.push(code(Contains, VERDICT, verdict_code(verdict)));
    items.extend(film.map(|film| image(SOURCE_OF_MEASUREMENT, film)));
    Some(container(Contains, GROUP, Some("1501"), items))
}

#[cfg(test)]
mod tests {
    use shared::{
        age::AgeNote,
        verdict::{Digest, ExamId, OperatingPoint},
    };

    use super::{
        Relation::{ConceptMod, Contains, ObsContext},
        *,
    };
    use crate::outbox::content::Value::{self, Container, Image, Number, Text, Uid};
    use crate::record::{Answer, By, Source};

    const FILM: Film<'_> = Film { class: "1.2.840.10008.5.1.4.1.1.1", instance: "1.2.3" };

    fn judged(probability: f32) -> Record {
        let point = OperatingPoint { threshold: 0.5, refer_from: 0.25, refer_to: 0.75 };
        let verdict = point.verdict(probability);
        let outcome =
            Outcome::Judged { verdict, probability, point, age: AgeNote::Unknown, looked: false, record: None };
        let by = By { model: "tiné".to_owned(), digest: Digest::of(b"m"), synthetic: true, ages: None };
        Record {
            number: 12,
            received: 1,
            exam: ExamId::default(),
            film: Digest::of(b"film"),
            bytes: 4,
            source: Source::Folder,
            site: "North".to_owned(),
            answer: Some(Answer { at: 1_800_000_000, by: Some(by), outcome }),
            pictures: Default::default(),
            clinician: None,
        }
    }

    /// Every item: the codes of the names that lead to it, what it is to the one that it is in, and its value.
    fn all(item: &Item, before: &str, found: &mut Vec<(String, Relation, Value)>) {
        let path = format!("{before}/{}", item.name.value);
        found.push((path.clone(), item.relation, item.value.clone()));
        for within in &item.within {
            all(within, &path, found);
        }
    }

    fn items(record: &Record, film: Option<Film<'_>>) -> Vec<(String, Relation, Value)> {
        let mut found = Vec::new();
        all(&tree("letters", record, film).unwrap(), "", &mut found);
        found
    }

    #[test]
    fn a_report_says_who_found_what_in_which_film() {
        let found = items(&judged(0.93), Some(FILM));
        let digest = Digest::of(b"m");
        let words = |text: &str| Text(text.to_owned());
        let film = || Image(FILM.class.to_owned(), FILM.instance.to_owned());
        let at = |path: &str| format!("/126000{path}");
        let measured = |path: &str| format!("/126000/126010/125007{path}");
        let expected = [
            (at(""), Relation::Root, Container(Some("1500"))),
            (at("/121049"), ConceptMod, Value::Code(ENGLISH)),
            (at("/121005"), ObsContext, Value::Code(DEVICE)),
            (at("/121012"), ObsContext, Uid(document::uid("letters", "device"))),
            (at("/121013"), ObsContext, words("Pumua")),
            (at("/121014"), ObsContext, words("Pumua")),
            (at("/121015"), ObsContext, words(&format!("tin?, SHA-256 {digest}"))),
            (at("/121058"), ConceptMod, Value::Code(sct("399208008", "Plain chest X-ray"))),
            (at("/111028"), Contains, Container(Some("1600"))),
            (at("/111028/126200"), Contains, Container(None)),
            (at("/111028/126200/260753009"), Contains, film()),
            (at("/126010"), Contains, Container(None)),
            (measured(""), Contains, Container(Some("1501"))),
            (measured("/112039"), ObsContext, words("Pumua record 12")),
            (measured("/121071"), Contains, Value::Code(sct("233604007", "Pneumonia"))),
            (measured("/111001"), ConceptMod, words("Pumua")),
            (measured("/111002"), ConceptMod, words("threshold = 0.5")),
            (measured("/111002"), ConceptMod, words("refer_from = 0.25")),
            (measured("/111002"), ConceptMod, words("refer_to = 0.75")),
            (measured("/122157"), Contains, Number(0.93, NO_UNITS)),
            (measured("/122157/121071"), ConceptMod, Value::Code(PNEUMONIA)),
            (measured("/verdict"), Contains, Value::Code(verdict_code(Verdict::Pneumonia))),
            (measured("/121112"), Contains, film()),
        ];
        for it in expected {
            assert!(found.contains(&it), "{it:?} in {found:?}");
        }
        let comments: Vec<&Value> =
            found.iter().filter(|(path, ..)| path == "/126000/121106").map(|(.., value)| value).collect();
        assert_eq!(comments[0], &words("Research aid, not a medical device"));
        assert_eq!(comments[1], &words(NOT_CHECKED));
        assert!(comments.contains(&&words("SYNTHETIC MODEL: NO MEDICAL MEANING")), "{comments:?}");
        // And nothing else.
        assert_eq!(found.len(), 23 + comments.len() + 2, "the UID to track it by, and the version: {found:?}");
    }

    #[test]
    fn only_where_pneumonia_is_the_verdict_it_is_a_finding() {
        let finding = "/126000/126010/125007/121071";
        for (probability, verdict) in [(0.93, Verdict::Pneumonia), (0.1, Verdict::Normal), (0.5, Verdict::Refer)] {
            let found = items(&judged(probability), Some(FILM));
            assert_eq!(found.iter().any(|(path, ..)| path == finding), verdict == Verdict::Pneumonia, "{verdict}");
            assert!(found.iter().any(|(.., value)| *value == Value::Code(verdict_code(verdict))), "{verdict}");
            assert_eq!(verdict_code(verdict).value, verdict.code().to_string());
        }
        let none = items(&judged(f32::NAN), Some(FILM));
        assert!(none.iter().all(|(path, ..)| !path.contains(PROBABILITY.value)), "no number is made up");
    }

    #[test]
    fn a_film_without_uids_is_not_referred_to_and_one_without_a_verdict_has_no_report() {
        let found = items(&judged(0.93), None);
        assert!(found.iter().all(|(.., value)| !matches!(value, Image(..))));
        let mut refused = judged(0.93);
        if let Some(answer) = &mut refused.answer {
            answer.outcome = Outcome::Refused(shared::verdict::Refusal::Blank);
        }
        assert!(tree("letters", &refused, Some(FILM)).is_none());
        refused.answer = None;
        assert!(tree("letters", &refused, Some(FILM)).is_none());
    }

    #[test]
    fn codes_fit_into_their_elements() {
        let mut codes: Vec<Code> = Verdict::ALL.map(verdict_code).into();
        let record = judged(0.93);
        let mut all = vec![tree("letters", &record, Some(FILM)).unwrap()];
        while let Some(item) = all.pop() {
            codes.push(item.name);
            codes.extend(if let Value::Code(code) = item.value { Some(code) } else { None });
            all.extend(item.within);
        }
        for Code { value, scheme, words } in codes {
            assert!(value.len() <= 16 && scheme.len() <= 16 && words.len() <= 64, "{value} {scheme} {words}");
        }
    }

    #[test]
    fn times_are_by_the_clocks_of_the_film() {
        for (offset, time) in [
            ("", "20270115-080000"),
            ("+0000", "20270115-080000"),
            ("+0545", "20270115-134500"),
            ("-0930", "20270114-223000"),
            ("0200", "20270115-080000"),
            ("+2", "20270115-080000"),
            ("+0a00", "20270115-080000"),
        ] {
            assert_eq!(here(1_800_000_000, offset.as_bytes()), time, "{offset}");
        }
    }
}
