//! An instance of the film's study that is sent of an answer: what captures and reports have in common.
//!
//! Patient and study are copied from the film's own header when it is sent. All else is of the record alone, so that what is
//! sent again is under the same UID, and the same to the last byte while program and language are.

use std::panic::catch_unwind;

use base::calendar::utc;
use decode::{MAKER, Origin};
use shared::{appliance::Language, verdict::Digest};

use super::{elements::Elements, format::Format};
use crate::record::{Answer, By, Outcome, Record};

/// What the series of answers are called. What is called so is not answered again, should an archive send it back.
const SERIES: &str = "Pumua: research aid";
/// Longest texts (PS3.5, 6.2), in characters.
pub(super) const MOST_SHORT_TEXT: usize = 1024;
pub(super) const MOST_STRING: usize = 64;
/// Longest name of a model that is told.
const MOST_MODEL: usize = 200;

/// A film that has a place in an archive: a study and a patient.
pub(super) struct Filed(Origin);

/// A film, as others refer to it: its UIDs.
#[derive(Clone, Copy)]
pub(super) struct Film<'a> {
    pub(super) class: &'a str,
    pub(super) instance: &'a str,
}

impl Filed {
    /// That of a file; `None` if it has none, or is an answer of ours.
    pub(super) fn of(film: &[u8]) -> Option<Self> {
        // As where a film is judged: whatever a header does, the next one has its turn.
        let origin = catch_unwind(|| decode::origin(film)).ok().flatten()?;
        let is_filed = origin.uid(Origin::STUDY).is_some() && !origin.get(Origin::PATIENT).is_empty();
        (is_filed && origin.get(Origin::SERIES) != SERIES.as_bytes()).then_some(Self(origin))
    }

    /// A value of its header.
    pub(super) fn get(&self, tag: u32) -> &[u8] {
        self.0.get(tag)
    }

    /// A UID of its header.
    pub(super) fn uid(&self, tag: u32) -> Option<&str> {
        self.0.uid(tag)
    }

    /// The film, if it says how to refer to it.
    pub(super) fn film(&self) -> Option<Film<'_>> {
        Some(Film { class: self.uid(Origin::CLASS)?, instance: self.uid(Origin::INSTANCE)? })
    }
}

impl Film<'_> {
    /// The reference to it.
    pub(super) fn reference(self) -> Elements {
        Elements::of([(0x0008_1150, b"UI", self.class), (0x0008_1155, b"UI", self.instance)])
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
        format!(
            "{} {}. {}",
            screen.probability.join(" "),
            screen.percent(probability, &point),
            screen.changes(probability, &point)
        ),
    ];
    lines.extend(screen.age(age));
    if age.is_overridden() {
        lines.push((screen.meant)(by.as_ref().and_then(|by| by.ages).map(Into::into)));
    }
    if let Some(by) = by {
        if by.synthetic {
            lines.push(screen.synthetic.to_owned());
        }
        lines.push(format!("{} {}", screen.model, model(by)));
    }
    let site = if record.site.is_empty() { String::new() } else { format!(", {}", record.site) };
    lines.push(format!("{} {}, {}{site}", screen.record, record.number, utc(*at).replace(['T', 'Z'], " ") + "UTC"));
    Some(lines)
}

/// The model by its name and digest.
pub(super) fn model(by: &By) -> String {
    format!("{}, SHA-256 {}", by.model.chars().take(MOST_MODEL).collect::<String>(), by.digest)
}

/// What is sent of an answer.
pub(super) struct Document {
    /// UID of the instance: that of an answer is always the same.
    pub(super) instance: String,
    pub(super) elements: Elements,
}

impl Document {
    /// One in which only stands where it belongs and who has made it; `None` of a film without an answer. `store`: the letters
    /// by which the store is told from others.
    pub(super) fn begin(format: Format, store: &str, record: &Record, filed: &Filed) -> Option<Self> {
        let of = name(store, record)?;
        // Numbers of the series within the study are above those of machines.
        let ([instance, series], number, modality) = match format {
            Format::Capture => (["instance", "series"], "900", "OT"),
            Format::Report => (["report", "series of reports"], "901", "SR"),
        };
        let [instance, series] = [instance, series].map(|kind| uid(&of, kind));
        let mut elements = Elements::of([
            (0x0008_0016, b"UI", format.class()),
            (0x0008_0018, b"UI", instance.as_str()),
            (0x0008_0060, b"CS", modality),
            (0x0008_0070, b"LO", MAKER),
            (0x0008_103e, b"LO", SERIES),
            (0x0020_000e, b"UI", series.as_str()),
            (0x0020_0011, b"IS", number),
            (0x0020_0013, b"IS", "1"),
        ]);
        for (tag, vr) in &Origin::OF_STUDY {
            let value = filed.get(*tag);
            // Without a character set all is ASCII, and where times were noted nobody needs to know where nothing says so.
            if !value.is_empty() || !matches!(*tag, Origin::CHARACTER_SET | Origin::OFFSET | 0x0010_0021) {
                elements.put(*tag, vr, value);
            }
        }
        Some(Self { instance, elements })
    }
}

/// What tells an answer from every other one. Numbers are given again where a store was put back from a copy: the film and the
/// time of its answer tell them apart.
pub(super) fn name(store: &str, record: &Record) -> Option<String> {
    Some(format!("{store} {} {} {}", record.number, record.film, record.answer.as_ref()?.at))
}

/// A UID that is always the same for a name and a kind, and another one for every other: a UUID of version 8 (PS3.5, B.2).
pub(super) fn uid(of: &str, kind: &str) -> String {
    let Digest(hash) = Digest::of(format!("{of} {kind}").as_bytes());
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    format!("2.25.{}", u128::from_be_bytes(uuid))
}

/// Text that means the same in every character set, and is of one value.
pub(super) fn ascii(text: &str, most: usize) -> String {
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
}
