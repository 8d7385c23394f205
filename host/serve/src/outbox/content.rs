//! The tree of a structured report (PS3.3, C.17.3): named items, each with a value and with items within.

use super::{document::Film, elements::Elements};

/// A code (PS3.3, 8.8): at most 16 characters, of a scheme, with the words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) value: &'static str,
    pub(super) scheme: &'static str,
    pub(super) words: &'static str,
}

/// A code of DICOM (PS3.16, annex D).
pub(super) const fn dcm(value: &'static str, words: &'static str) -> Code {
    Code { value, scheme: "DCM", words }
}

/// A code of SNOMED CT.
pub(super) const fn sct(value: &'static str, words: &'static str) -> Code {
    Code { value, scheme: "SCT", words }
}

/// What an item is to the one that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// It is in none.
    Root,
    /// A part.
    Contains,
    /// By whom and of what was observed.
    ObsContext,
    /// What qualifies the name.
    ConceptMod,
}

/// The value of an item.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Items alone, by this template if it is the beginning of one.
    Container(Option<&'static str>),
    Code(Code),
    /// In ASCII.
    Text(String),
    /// A finite number and its unit.
    Number(f32, Code),
    Uid(String),
    /// An image, by its class and its own UID.
    Image(String, String),
}

/// An item, and those within.
pub(super) struct Item {
    pub(super) relation: Relation,
    pub(super) name: Code,
    pub(super) value: Value,
    pub(super) within: Vec<Item>,
}

/// An item of these items.
pub(super) fn container(relation: Relation, name: Code, template: Option<&'static str>, within: Vec<Item>) -> Item {
    Item { relation, name, value: Value::Container(template), within }
}

/// An item of a code.
pub(super) fn code(relation: Relation, name: Code, code: Code) -> Item {
    Item { relation, name, value: Value::Code(code), within: Vec::new() }
}

/// An item of words, which are ASCII.
pub(super) fn text(relation: Relation, name: Code, text: impl Into<String>) -> Item {
    Item { relation, name, value: Value::Text(text.into()), within: Vec::new() }
}

/// A part that is a finite number, and what qualifies its name.
pub(super) fn number(name: Code, number: f32, unit: Code, within: Vec<Item>) -> Item {
    Item { relation: Relation::Contains, name, value: Value::Number(number, unit), within }
}

/// An item of a UID.
pub(super) fn uid(relation: Relation, name: Code, uid: String) -> Item {
    Item { relation, name, value: Value::Uid(uid), within: Vec::new() }
}

/// A part that is a film.
pub(super) fn image(name: Code, film: Film<'_>) -> Item {
    let value = Value::Image(film.class.to_owned(), film.instance.to_owned());
    Item { relation: Relation::Contains, name, value, within: Vec::new() }
}

impl Code {
    fn elements(self) -> Elements {
        Elements::of([
            (0x0008_0100, b"SH", self.value),
            (0x0008_0102, b"SH", self.scheme),
            (0x0008_0104, b"LO", self.words),
        ])
    }
}

impl Relation {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Root => None,
            Self::Contains => Some("CONTAINS"),
            Self::ObsContext => Some("HAS OBS CONTEXT"),
            Self::ConceptMod => Some("HAS CONCEPT MOD"),
        }
    }
}

impl Item {
    /// Its elements, with those of the items within.
    pub(super) fn elements(&self) -> Elements {
        let mut elements = Elements::default();
        if let Some(word) = self.relation.word() {
            elements.put(0x0040_a010, b"CS", word);
        }
        elements.put_items(0x0040_a043, vec![self.name.elements()]);
        let value_type = match &self.value {
            Value::Container(template) => {
                elements.put(0x0040_a050, b"CS", "SEPARATE");
                if let Some(template) = *template {
                    let used = Elements::of([(0x0008_0105, b"CS", "DCMR"), (0x0040_db00, b"CS", template)]);
                    elements.put_items(0x0040_a504, vec![used]);
                }
                "CONTAINER"
            }
            Value::Code(code) => {
                elements.put_items(0x0040_a168, vec![code.elements()]);
                "CODE"
            }
            Value::Text(text) => {
                elements.put(0x0040_a160, b"UT", text.as_str());
                "TEXT"
            }
            Value::Number(number, unit) => {
                let mut measured = Elements::of([(0x0040_a30a, b"DS", decimal(*number).as_str())]);
                measured.put_items(0x0040_08ea, vec![unit.elements()]);
                elements.put_items(0x0040_a300, vec![measured]);
                "NUM"
            }
            Value::Uid(uid) => {
                elements.put(0x0040_a124, b"UI", uid.as_str());
                "UIDREF"
            }
            Value::Image(class, instance) => {
                elements.put_items(0x0008_1199, vec![Film { class, instance }.reference()]);
                "IMAGE"
            }
        };
        elements.put(0x0040_a040, b"CS", value_type);
        if !self.within.is_empty() {
            elements.put_items(0x0040_a730, self.within.iter().map(Self::elements).collect());
        }
        elements
    }
}

/// A number to its last bit, in the 16 characters that it may have (PS3.5, 6.2).
fn decimal(number: f32) -> String {
    let plain = number.to_string();
    if plain.len() <= 16 { plain } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_short() {
        for (number, text) in [
            (0.93, "0.93"),
            (0.0, "0"),
            (1.0, "1"),
            (1.234_567_9e-7, "0.00000012345679"),
            (1.234_567_9e-8, "1.2345679e-8"),
            (f32::MIN_POSITIVE, "1.1754944e-38"),
        ] {
            assert_eq!(decimal(number), text);
            assert_eq!(text.parse::<f32>(), Ok(number));
        }
    }

    #[test]
    fn an_item_says_what_it_is_to_the_one_that_it_is_in() {
        let word = text(Relation::Contains, dcm("121106", "Comment"), "x").elements().written(true);
        assert!(word.starts_with(b"\x40\0\x10\xa0CS\x08\0CONTAINS\x40\0\x40\xa0CS\x04\0TEXT"));
        assert!(word.ends_with(b"\x40\0\x60\xa1UT\0\0\x02\0\0\0x "));
        let root = container(Relation::Root, dcm("126000", "Imaging Measurement Report"), Some("1500"), Vec::new());
        let root = root.elements().written(true);
        assert!(root.starts_with(b"\x40\0\x40\xa0CS\x0a\0CONTAINER "));
        assert!(root.ends_with(b"\x08\0\x05\x01CS\x04\0DCMR\x40\0\0\xdbCS\x04\x001500"));
    }
}
