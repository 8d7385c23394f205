//! Elements of a data set, as they are written: little endian, with the letters of each value representation or without
//! (PS3.5, 7.1).

use std::collections::BTreeMap;

/// Elements in the order of their numbers. They may be a patient's: there is no `Debug`.
#[derive(Default)]
pub(super) struct Elements(BTreeMap<u32, (&'static [u8; 2], Value)>);

enum Value {
    Bytes(Vec<u8>),
    /// A sequence.
    Items(Vec<Elements>),
}

impl Elements {
    /// Texts, each with its number and value representation.
    pub(super) fn of<const N: usize>(texts: [(u32, &'static [u8; 2], &str); N]) -> Self {
        let mut elements = Self::default();
        for (tag, vr, text) in texts {
            elements.put(tag, vr, text);
        }
        elements
    }

    /// Puts a value in its place.
    pub(super) fn put(&mut self, tag: u32, vr: &'static [u8; 2], value: impl Into<Vec<u8>>) {
        self.0.insert(tag, (vr, Value::Bytes(value.into())));
    }

    /// Puts a sequence in its place. It may be empty.
    pub(super) fn put_items(&mut self, tag: u32, items: Vec<Self>) {
        self.0.insert(tag, (b"SQ", Value::Items(items)));
    }

    /// Puts all of others in their places.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The data set, little endian, with the letters of each value representation or without.
    pub(super) fn written(&self, explicit: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, (vr, value)) in &self.0 {
            match value {
                Value::Bytes(value) => write(&mut bytes, *tag, vr, value, explicit),
                Value::Items(items) => {
                    let items: Vec<u8> = items.iter().flat_map(|item| item.as_item(explicit)).collect();
                    write(&mut bytes, *tag, vr, &items, explicit);
                }
            }
        }
        bytes
    }

    /// The same as an item of a sequence.
    fn as_item(&self, explicit: bool) -> Vec<u8> {
        let item = self.written(explicit);
        [&[0xfe, 0xff, 0x00, 0xe0][..], &(item.len() as u32).to_le_bytes(), &item].concat()
    }
}

fn write(bytes: &mut Vec<u8>, tag: u32, vr: &[u8; 2], value: &[u8], explicit: bool) {
    bytes.extend(((tag >> 16) as u16).to_le_bytes());
    bytes.extend((tag as u16).to_le_bytes());
    let length = value.len().next_multiple_of(2);
    let long = matches!(vr, b"OB" | b"SQ" | b"UT");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_written_in_both_ways() {
        let elements = || Elements::of([(0x0008_0018, b"UI", "1.2")]);
        assert_eq!(elements().written(true), b"\x08\0\x18\0UI\x04\x001.2\0");
        assert_eq!(elements().written(false), b"\x08\0\x18\0\x04\0\0\x001.2\0");
        let mut within = Elements::default();
        within.put_items(0x0008_2112, vec![elements()]);
        let item = b"\xfe\xff\0\xe0\x0c\0\0\0\x08\0\x18\0UI\x04\x001.2\0";
        assert_eq!(within.written(true), [&b"\x08\0\x12\x21SQ\0\0\x14\0\0\0"[..], item].concat());
        within.put_items(0x0008_2112, vec![elements(), elements()]);
        assert_eq!(within.written(true), [&b"\x08\0\x12\x21SQ\0\0\x28\0\0\0"[..], item, item].concat());
        within.put_items(0x0008_2112, Vec::new());
        assert_eq!(within.written(true), b"\x08\0\x12\x21SQ\0\0\0\0\0\0");
        assert_eq!(within.written(false), b"\x08\0\x12\x21\0\0\0\0");
        let text = Elements::of([(0x0040_a160, b"UT", "odd")]);
        assert_eq!(text.written(true), b"\x40\0\x60\xa1UT\0\0\x04\0\0\0odd ");
    }
}
