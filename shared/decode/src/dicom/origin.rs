//! Whose film it is, and of which study: for whoever files an answer beside it in an archive.

use std::collections::BTreeMap;

use super::{
    elements::{self, PIXEL_DATA, Value},
    file::File,
};

/// Longest value, in bytes: longer ones are none of these texts.
const MAX_VALUE: usize = 1024;
/// Longest UID (PS3.5, 9.1).
const MAX_UID: usize = 64;

/// Patient and study of a film, as its header says them. It has no `Debug`: nothing of it belongs into a log.
#[derive(Clone, Default)]
pub struct Origin {
    values: BTreeMap<u32, Vec<u8>>,
}

impl Origin {
    /// How the other texts are to be read.
    pub const CHARACTER_SET: u32 = 0x0008_0005;
    /// UID of the kind of image.
    pub const CLASS: u32 = 0x0008_0016;
    /// UID of the image.
    pub const INSTANCE: u32 = 0x0008_0018;
    /// What the series is called.
    pub const SERIES: u32 = 0x0008_103e;
    /// By how much the clocks that its times are by are ahead of UTC.
    pub const OFFSET: u32 = 0x0008_0201;
    /// Number of the patient.
    pub const PATIENT: u32 = 0x0010_0020;
    /// UID of the study.
    pub const STUDY: u32 = 0x0020_000d;
    /// UID of the series.
    pub const SERIES_UID: u32 = 0x0020_000e;

    /// What says of which patient and study an image is, with the value representation of each: the same of every image of the
    /// study. Date and time of the study and what time it is where they were noted, accession number, referring physician; name,
    /// number with who gave it, date of birth and sex of the patient; UID and number of the study.
    pub const OF_STUDY: [(u32, [u8; 2]); 13] = [
        (Self::CHARACTER_SET, *b"CS"),
        (0x0008_0020, *b"DA"),
        (0x0008_0030, *b"TM"),
        (0x0008_0050, *b"SH"),
        (0x0008_0090, *b"PN"),
        (Self::OFFSET, *b"SH"),
        (0x0010_0010, *b"PN"),
        (Self::PATIENT, *b"LO"),
        (0x0010_0021, *b"LO"),
        (0x0010_0030, *b"DA"),
        (0x0010_0040, *b"CS"),
        (Self::STUDY, *b"UI"),
        (0x0020_0010, *b"SH"),
    ];

    /// A value as it stands in the file, without what fills it up; empty if there is none.
    pub fn get(&self, tag: u32) -> &[u8] {
        self.values.get(&tag).map_or(&[], Vec::as_slice)
    }

    /// A value that is a UID.
    pub fn uid(&self, tag: u32) -> Option<&str> {
        let uid = std::str::from_utf8(self.get(tag)).ok()?;
        let fits = (1..=MAX_UID).contains(&uid.len()) && uid.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
        fits.then_some(uid)
    }
}

/// That of a file, if it can be read to its end.
pub(crate) fn origin(bytes: &[u8]) -> Option<Origin> {
    let file = File::open(bytes).ok()?;
    let mut found = Origin::default();
    let mut behind = false;
    elements::walk(&file.data_set, file.encoding, |element| {
        behind |= (element.within, element.tag) == (None, PIXEL_DATA);
        let (None, Value::Bytes(value), false) = (element.within, element.value, behind) else { return Ok(()) };
        let of_image = [Origin::CLASS, Origin::INSTANCE, Origin::SERIES, Origin::SERIES_UID].contains(&element.tag);
        let is_asked = of_image || Origin::OF_STUDY.iter().any(|(tag, _)| *tag == element.tag);
        if is_asked && value.len() <= MAX_VALUE {
            found.values.insert(element.tag, filled_up(value).to_vec());
        }
        Ok(())
    })
    .ok()?;
    Some(found)
}

/// A value without the characters that fill it up.
fn filled_up(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | 0] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u32, vr: &[u8; 2], value: &[u8], big: bool) -> Vec<u8> {
        let two = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
        let head = [&two((tag >> 16) as u16)[..], &two(tag as u16), vr, &two(value.len() as u16)].concat();
        [&head, value].concat()
    }

    fn file(syntax: &[u8], big: bool) -> Vec<u8> {
        let data_set = [
            element(0x0008_0005, b"CS", b"ISO_IR 100", big),
            element(0x0008_0018, b"UI", b"1.2.3\0", big),
            element(0x0010_0010, b"PN", b"M\xfcller^A ", big),
            element(0x0010_0020, b"LO", b"17\0\0", big),
            element(0x0010_4000, b"LT", b"a secret", big),
            element(0x0020_000d, b"UI", b"1.2\0", big),
            element(0x0020_000e, b"UI", b"1.2.9\0", big),
        ];
        let meta = element(0x0002_0010, b"UI", syntax, false);
        [&[0; 128][..], b"DICM", &meta, &data_set.concat()].concat()
    }

    #[test]
    fn patient_and_study_are_told_as_they_are_written_and_nothing_else() {
        for (syntax, big) in [(&b"1.2.840.10008.1.2.1\0"[..], false), (b"1.2.840.10008.1.2.2\0", true)] {
            let found = origin(&file(syntax, big)).unwrap();
            assert_eq!(found.get(0x0010_0010), b"M\xfcller^A");
            assert_eq!(
                (found.get(Origin::PATIENT), found.get(Origin::CHARACTER_SET)),
                (&b"17"[..], &b"ISO_IR 100"[..])
            );
            assert_eq!((found.uid(Origin::STUDY), found.uid(Origin::INSTANCE)), (Some("1.2"), Some("1.2.3")));
            assert_eq!(found.uid(Origin::SERIES_UID), Some("1.2.9"));
            assert_eq!((found.uid(Origin::CLASS), found.uid(0x0010_0010)), (None, None));
            assert!(found.get(0x0010_4000).is_empty());
        }
        assert!(origin(b"\xff\xd8\xff").is_none());
    }
}
