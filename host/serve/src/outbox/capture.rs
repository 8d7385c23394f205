//! The answer to a film as an image of the film's study: Secondary Capture (PS3.3, A.8), in colours, uncompressed.
//!
//! Patient and study are copied from the film's own header when it is sent. All else is of the record alone, so that what is
//! sent again is under the same UID, and the same to the last byte while program and language are.

use std::{collections::BTreeMap, panic::catch_unwind};

use base::calendar::utc;
use decode::{MAKER, Origin};
use language::percent;
use shared::{appliance::Language, verdict::Digest};

use super::Drawing;
use crate::{
    node::dial::CAPTURE,
    record::{Answer, Outcome, Record},
};

/// What the series of answers is called. What is called so is not answered again, should an archive send it back.
const SERIES: &str = "Pumua: research aid";
/// Number of the series within the study: above those of machines.
const SERIES_NUMBER: &str = "900";
/// Longest texts (PS3.5, 6.2), in characters.
const MOST_COMMENTS: usize = 10_240;
const MOST_SHORT_TEXT: usize = 1024;
const MOST_STRING: usize = 64;
/// Longest name of a model that is told.
const MOST_MODEL: usize = 200;

/// A film that has a place in an archive: a study and a patient.
pub(super) struct Filed(Origin);

impl Filed {
    /// That of a file; `None` if it has none, or is an answer of ours.
    pub(super) fn of(film: &[u8]) -> Option<Self> {
        // As where a film is judged: whatever a header does, the next one has its turn.
        let origin = catch_unwind(|| decode::origin(film)).ok().flatten()?;
        let is_filed = origin.uid(Origin::STUDY).is_some() && !origin.get(Origin::PATIENT).is_empty();
        (is_filed && origin.get(Origin::SERIES) != SERIES.as_bytes()).then_some(Self(origin))
    }
}

/// What is said of a film that was judged, line by line; `None` of another one.
pub(super) fn lines(record: &Record, language: Language) -> Option<Vec<String>> {
    let screen = language::words(language);
    let Answer { at, by, outcome } = record.answer.as_ref()?;
    let Outcome::Judged { verdict, probability, point, age, .. } = *outcome else { return None };
    let notice = (screen.verdict)(verdict);
    let mut lines = vec![
        screen.disclaimer.to_owned(),
        format!("{}: {}", notice.word, notice.meaning.replace('\n', " ")),
        format!("{} {}. {}", screen.probability.join(" "), percent(probability), screen.changes(&point)),
    ];
    lines.extend(screen.age(age));
    if age.is_overridden() {
        lines.push((screen.meant)(by.as_ref().and_then(|by| by.ages).map(Into::into)));
    }
    if let Some(by) = by {
        if by.synthetic {
            lines.push(screen.synthetic.to_owned());
        }
        lines.push(format!("{} {}, SHA-256 {}", screen.model, model(&by.model), by.digest));
    }
    let site = if record.site.is_empty() { String::new() } else { format!(", {}", record.site) };
    lines.push(format!("{} {}, {}{site}", screen.record, record.number, utc(*at).replace(['T', 'Z'], " ") + "UTC"));
    Some(lines)
}

fn model(name: &str) -> String {
    name.chars().take(MOST_MODEL).collect()
}

/// An answer as an image.
pub(super) struct Capture {
    pub(super) number: u64,
    /// UID of the image: that of a record is always the same.
    pub(super) instance: String,
    elements: Elements,
}

/// Elements of a data set in the order of their numbers.
type Elements = BTreeMap<u32, (&'static [u8; 2], Value)>;

enum Value {
    Bytes(Vec<u8>),
    /// A sequence of one item.
    Item(Elements),
}

impl Capture {
    /// Makes the image. `store`: the letters by which the store is told from others.
    pub(super) fn new(store: &str, record: &Record, filed: &Filed, drawing: Drawing) -> Option<Self> {
        let Drawing { width, height, rgb } = drawing;
        if rgb.len() != usize::from(width) * usize::from(height) * 3 || rgb.is_empty() {
            return None;
        }
        let said = lines(record, Language::English)?.join("\r\n");
        let drawn = record
            .answer
            .as_ref()?
            .by
            .as_ref()
            .map_or_else(String::new, |by| format!(" with the model {}, SHA-256 {}", model(&by.model), by.digest));
        let drawn = format!(
            "Drawn by Pumua {} from one film of this study{drawn}. Research aid, not a medical device. No clinician has made or \
             checked it",
            env!("CARGO_PKG_VERSION")
        );
        // Numbers are given again where a store was put back from a copy: the film and the time of its answer tell them apart.
        let of = format!("{store} {} {} {}", record.number, record.film, record.answer.as_ref()?.at);
        let [instance, series] = ["instance", "series"].map(|kind| uid(&of, kind));
        let mut elements = Elements::new();
        let mut put = |tag: u32, vr: &'static [u8; 2], value: &[u8]| {
            elements.insert(tag, (vr, Value::Bytes(value.to_vec())));
        };
        put(0x0008_0008, b"CS", b"DERIVED\\SECONDARY");
        put(0x0008_0016, b"UI", CAPTURE.as_bytes());
        put(0x0008_0018, b"UI", instance.as_bytes());
        put(0x0008_0060, b"CS", b"OT");
        put(0x0008_0064, b"CS", b"WSD");
        put(0x0008_0070, b"LO", MAKER.as_bytes());
        put(0x0008_103e, b"LO", SERIES.as_bytes());
        put(0x0008_2111, b"ST", ascii(&drawn, MOST_SHORT_TEXT).as_bytes());
        put(0x0018_1016, b"LO", MAKER.as_bytes());
        put(0x0018_1018, b"LO", b"pumua serve");
        put(0x0018_1019, b"LO", ascii(env!("CARGO_PKG_VERSION"), MOST_STRING).as_bytes());
        put(0x0020_000e, b"UI", series.as_bytes());
        put(0x0020_0011, b"IS", SERIES_NUMBER.as_bytes());
        put(0x0020_0013, b"IS", b"1");
        put(0x0020_0020, b"CS", b"");
        put(0x0020_4000, b"LT", ascii(&said, MOST_COMMENTS).as_bytes());
        put(0x0028_0004, b"CS", b"RGB");
        put(0x0028_0301, b"CS", b"YES");
        for (tag, number) in [
            (0x0028_0002, 3),
            (0x0028_0006, 0),
            (0x0028_0010, height),
            (0x0028_0011, width),
            (0x0028_0100, 8),
            (0x0028_0101, 8),
            (0x0028_0102, 7),
            (0x0028_0103, 0),
        ] {
            put(tag, b"US", &number.to_le_bytes());
        }
        let Filed(origin) = filed;
        for (tag, vr) in &Origin::OF_STUDY {
            let value = origin.get(*tag);
            // Without a character set all is ASCII, and where times were noted nobody needs to know where nothing says so.
            if !value.is_empty() || !matches!(*tag, 0x0008_0005 | 0x0008_0201 | 0x0010_0021) {
                put(*tag, vr, value);
            }
        }
        elements.insert(0x7fe0_0010, (b"OB", Value::Bytes(rgb)));
        if let (Some(class), Some(film)) = (origin.uid(Origin::CLASS), origin.uid(Origin::INSTANCE)) {
            let uid = |uid: &str| (b"UI", Value::Bytes(uid.as_bytes().to_vec()));
            let source = Elements::from([(0x0008_1150, uid(class)), (0x0008_1155, uid(film))]);
            elements.insert(0x0008_2112, (b"SQ", Value::Item(source)));
        }
        Some(Self { number: record.number, instance, elements })
    }

    /// The data set, little endian, with the letters of each value representation or without.
    pub(super) fn data_set(&self, explicit: bool) -> Vec<u8> {
        written(&self.elements, explicit)
    }
}

fn written(elements: &Elements, explicit: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, (vr, value)) in elements {
        match value {
            Value::Bytes(value) => write(&mut bytes, *tag, vr, value, explicit),
            Value::Item(item) => {
                let item = written(item, explicit);
                let head = [&[0xfe, 0xff, 0x00, 0xe0][..], &(item.len() as u32).to_le_bytes()].concat();
                write(&mut bytes, *tag, vr, &[head, item].concat(), explicit);
            }
        }
    }
    bytes
}

fn write(bytes: &mut Vec<u8>, tag: u32, vr: &[u8; 2], value: &[u8], explicit: bool) {
    bytes.extend(((tag >> 16) as u16).to_le_bytes());
    bytes.extend((tag as u16).to_le_bytes());
    let length = value.len().next_multiple_of(2);
    let long = matches!(vr, b"OB" | b"SQ");
    if explicit {
        bytes.extend(vr);
    }
    match (explicit, long) {
        (true, false) => bytes.extend((length as u16).to_le_bytes()),
        (true, true) => bytes.extend([&[0, 0][..], &(length as u32).to_le_bytes()].concat()),
        (false, _) => bytes.extend((length as u32).to_le_bytes()),
    }
    bytes.extend_from_slice(value);
    if value.len() % 2 == 1 {
        bytes.push(if matches!(vr, b"OB" | b"UI") { 0 } else { b' ' });
    }
}

/// A UID that is always the same for an answer, and another one for every other: a UUID of version 8 (PS3.5, B.2).
fn uid(of: &str, kind: &str) -> String {
    let Digest(hash) = Digest::of(format!("{of} {kind}").as_bytes());
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    format!("2.25.{}", u128::from_be_bytes(uuid))
}

/// Text that means the same in every character set, and is of one value.
fn ascii(text: &str, most: usize) -> String {
    let plain = |c: char| match c {
        '\r' | '\n' | ' '..='[' | ']'..='}' => c,
        _ => '?',
    };
    text.chars().take(most).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_of_a_record_and_of_nothing_else() {
        let one = uid("letters 12", "instance");
        assert_eq!(one, uid("letters 12", "instance"));
        for other in [uid("letters 12", "series"), uid("letters 1", "instance"), uid("others 12", "instance")] {
            assert_ne!(one, other);
        }
        assert!(one.len() <= 64 && one.starts_with("2.25."), "{one}");
    }

    #[test]
    fn texts_mean_the_same_in_every_character_set() {
        assert_eq!(ascii("Modèle\\A~\u{1b}$B\r\n", 100), "Mod?le?A??$B\r\n");
        assert_eq!(ascii("too long", 3), "too");
    }

    #[test]
    fn an_element_is_written_in_both_ways() {
        let elements = Elements::from([(0x0008_0018, (b"UI", Value::Bytes(b"1.2".to_vec())))]);
        assert_eq!(written(&elements, true), b"\x08\0\x18\0UI\x04\x001.2\0");
        assert_eq!(written(&elements, false), b"\x08\0\x18\0\x04\0\0\x001.2\0");
        let within = Elements::from([(0x0008_2112, (b"SQ", Value::Item(elements)))]);
        assert_eq!(
            written(&within, true),
            b"\x08\0\x12\x21SQ\0\0\x14\0\0\0\xfe\xff\0\xe0\x0c\0\0\0\x08\0\x18\0UI\x04\x001.2\0"
        );
    }
}
