//! The elements of a data set (PS3.5, 7), walked over to their end.
//!
//! Nothing is copied: a value is a part of the file. Lengths are held to what is there, the depth of sequences and the
//! number of elements to limits of their own.

use shared::verdict::Refusal;

/// Most elements of a file, those within sequences among them: radiographs have some hundreds.
const MAX_ELEMENTS: u32 = 1 << 16;

/// Deepest sequence within a sequence.
const MAX_DEPTH: u32 = 16;

/// Most pieces that the pixels may be cut into. One frame is rarely in more than one.
const MAX_FRAGMENTS: usize = 1 << 12;

const UNDEFINED: u32 = u32::MAX;
const ITEM: u32 = 0xfffe_e000;
const END_OF_ITEM: u32 = 0xfffe_e00d;
const END_OF_SEQUENCE: u32 = 0xfffe_e0dd;

/// Group and element number of the pixels.
pub(super) const PIXEL_DATA: u32 = 0x7fe0_0010;
pub(super) const MODALITY_LUT_SEQUENCE: u32 = 0x0028_3000;
pub(super) const VOI_LUT_SEQUENCE: u32 = 0x0028_3010;
pub(super) const VIEW_CODE_SEQUENCE: u32 = 0x0054_0220;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    /// With the two letters of their value representation.
    pub(super) explicit: bool,
    /// Numbers have their highest byte first.
    pub(super) big: bool,
}

impl Encoding {
    pub(super) const IMPLICIT: Self = Self { explicit: false, big: false };
    pub(super) const EXPLICIT: Self = Self { explicit: true, big: false };
    /// The only one of those with the highest byte first.
    pub(super) const BIG: Self = Self { explicit: true, big: true };

    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// An element of the data set, or of the first item of one of its sequences.
pub(super) struct Element<'a> {
    /// That sequence.
    pub(super) within: Option<u32>,
    /// Group number in the upper half, element number in the lower one.
    pub(super) tag: u32,
    /// The letters of the value representation, if there are any.
    pub(super) vr: Option<[u8; 2]>,
    pub(super) value: Value<'a>,
}

pub(super) enum Value<'a> {
    Bytes(&'a [u8]),
    /// Of encapsulated pixels, without the table of their places.
    Fragments(Vec<&'a [u8]>),
}

/// What stands before a value.
pub(super) struct Head {
    pub(super) tag: u32,
    pub(super) vr: Option<[u8; 2]>,
    pub(super) length: u32,
}

impl Head {
    /// The head of the first element, and what follows it.
    pub(super) fn read(bytes: &[u8], encoding: Encoding) -> Result<(Self, &[u8]), Refusal> {
        let (&[g0, g1, e0, e1], rest) = bytes.split_first_chunk().ok_or(Refusal::Corrupt)?;
        let tag = u32::from(encoding.u16([g0, g1])) << 16 | u32::from(encoding.u16([e0, e1]));
        let (&[a, b, c, d], behind) = rest.split_first_chunk().ok_or(Refusal::Corrupt)?;
        // Items and delimiters never have a representation.
        if !encoding.explicit || tag >> 16 == 0xfffe {
            return Ok((Self { tag, vr: None, length: encoding.u32([a, b, c, d]) }, behind));
        }
        let vr = [a, b];
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return Err(Refusal::Corrupt);
        }
        let long = [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];
        if !long.contains(&&vr) {
            return Ok((Self { tag, vr: Some(vr), length: encoding.u16([c, d]).into() }, behind));
        }
        let (&length, behind) = behind.split_first_chunk().ok_or(Refusal::Corrupt)?;
        Ok((Self { tag, vr: Some(vr), length: encoding.u32(length) }, behind))
    }
}

/// Calls `visit` with each element of a data set, and of the first item of each sequence of lookup tables, and of that of the view. Refused unless
/// the last one ends with `bytes`; zeros may follow.
pub(super) fn walk<'a>(
    bytes: &'a [u8],
    encoding: Encoding,
    mut visit: impl FnMut(Element<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    // Looked for once: before each element anew, zeros that something else follows would be read thousands of times.
    let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
    let mut walk = Walk { visit: &mut visit, left: MAX_ELEMENTS, zeros };
    walk.elements(bytes, encoding, Place { level: Level::Top, depth: 0, open: false }).map(|_| ())
}

/// Where elements are.
#[derive(Clone, Copy)]
struct Place {
    level: Level,
    depth: u32,
    /// Whether a delimiter ends them, and not their length.
    open: bool,
}

#[derive(Clone, Copy)]
enum Level {
    /// The data set itself.
    Top,
    /// The first item of a sequence of the data set that is looked into.
    Sequence(u32),
    /// Of nobody's interest.
    Other,
}

struct Walk<'v, 'a> {
    visit: &'v mut dyn FnMut(Element<'a>) -> Result<(), Refusal>,
    /// How many more elements there may be.
    left: u32,
    /// How many zeros the data set ends with.
    zeros: usize,
}

impl<'a> Walk<'_, 'a> {
    fn head(&mut self, bytes: &'a [u8], encoding: Encoding) -> Result<(Head, &'a [u8]), Refusal> {
        self.left = self.left.checked_sub(1).ok_or(Refusal::TooMuchWork)?;
        Head::read(bytes, encoding)
    }

    /// Walks over elements, and gives what follows them.
    fn elements(&mut self, mut rest: &'a [u8], encoding: Encoding, place: Place) -> Result<&'a [u8], Refusal> {
        while !rest.is_empty() {
            if matches!(place.level, Level::Top) && rest.len() <= self.zeros {
                return Ok(&[]);
            }
            let (head, behind) = self.head(rest, encoding)?;
            if head.tag == END_OF_ITEM && place.open {
                return Ok(behind);
            }
            if head.tag >> 16 == 0xfffe {
                return Err(Refusal::Corrupt);
            }
            rest = self.value(&head, behind, encoding, place)?;
        }
        if place.open { Err(Refusal::Corrupt) } else { Ok(rest) }
    }

    /// Passes over the value of an element, shows it to the visitor, and gives what follows it.
    fn value(&mut self, head: &Head, bytes: &'a [u8], encoding: Encoding, place: Place) -> Result<&'a [u8], Refusal> {
        let &Head { tag, vr, length } = head;
        let looked_into = matches!(tag, MODALITY_LUT_SEQUENCE | VOI_LUT_SEQUENCE | VIEW_CODE_SEQUENCE);
        let level = match place.level {
            Level::Top if looked_into => Level::Sequence(tag),
            _ => Level::Other,
        };
        let place_of_items = Place { level, depth: place.depth + 1, open: length == UNDEFINED };
        let value;
        let rest;
        if length == UNDEFINED {
            match vr.as_ref() {
                _ if tag == PIXEL_DATA => {
                    let fragments;
                    (fragments, rest) = self.fragments(bytes, encoding)?;
                    value = Value::Fragments(fragments);
                }
                Some(b"SQ") | None => return self.items(bytes, encoding, place_of_items),
                // Elements whose representation was not known are written without any (PS3.5, 6.2.2).
                Some(b"UN") => return self.items(bytes, Encoding::IMPLICIT, place_of_items),
                Some(_) => return Ok(self.fragments(bytes, encoding)?.1),
            }
        } else {
            let whole;
            (whole, rest) = bytes.split_at_checked(length as usize).ok_or(Refusal::Corrupt)?;
            if looked_into && matches!(vr.as_ref(), Some(b"SQ") | None) {
                self.items(whole, encoding, place_of_items)?;
                return Ok(rest);
            }
            value = Value::Bytes(whole);
        }
        let within = match place.level {
            Level::Top => None,
            Level::Sequence(sequence) => Some(sequence),
            Level::Other => return Ok(rest),
        };
        (self.visit)(Element { within, tag, vr, value })?;
        Ok(rest)
    }

    /// Walks over the items of a sequence, and gives what follows it.
    fn items(&mut self, mut rest: &'a [u8], encoding: Encoding, mut place: Place) -> Result<&'a [u8], Refusal> {
        if place.depth > MAX_DEPTH {
            return Err(Refusal::TooMuchWork);
        }
        let open = place.open;
        while !rest.is_empty() {
            let (head, behind) = self.head(rest, encoding)?;
            if head.tag == END_OF_SEQUENCE && open {
                return Ok(behind);
            }
            if head.tag != ITEM {
                return Err(Refusal::Corrupt);
            }
            if head.length == UNDEFINED {
                rest = self.elements(behind, encoding, Place { open: true, ..place })?;
            } else {
                let item;
                (item, rest) = behind.split_at_checked(head.length as usize).ok_or(Refusal::Corrupt)?;
                self.elements(item, encoding, Place { open: false, ..place })?;
            }
            place.level = Level::Other;
        }
        if open { Err(Refusal::Corrupt) } else { Ok(rest) }
    }

    /// The fragments of encapsulated data, and what follows them. The first item says where frames begin, and is left out.
    fn fragments(&mut self, mut rest: &'a [u8], encoding: Encoding) -> Result<(Vec<&'a [u8]>, &'a [u8]), Refusal> {
        let mut fragments = Vec::new();
        let mut first = true;
        loop {
            let (head, behind) = self.head(rest, encoding)?;
            match head.tag {
                END_OF_SEQUENCE if !first => return Ok((fragments, behind)),
                ITEM => {}
                _ => return Err(Refusal::Corrupt),
            }
            let fragment;
            (fragment, rest) = behind.split_at_checked(head.length as usize).ok_or(Refusal::Corrupt)?;
            if !first {
                fragments.push(fragment);
            }
            first = false;
            if fragments.len() > MAX_FRAGMENTS {
                return Err(Refusal::TooMuchWork);
            }
        }
    }
}
