//! A walk over the markers of a JPEG file (ITU-T T.81, annex B).
//!
//! The decoder fills what is missing from a file that breaks off with grey, which would be judged as if it were
//! lung; so a file without its end marker is refused before it is decoded.

use shared::verdict::Refusal;

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Refuses a file that breaks off, and one whose frame is neither grey nor three-channel.
pub(crate) fn check_structure(bytes: &[u8]) -> Result<(), Refusal> {
    let mut rest = bytes.strip_prefix(&[0xff, START_OF_IMAGE]).ok_or(Refusal::UnknownFormat)?;
    let mut scans = 0;
    loop {
        let marker;
        (marker, rest) = next_marker(rest).ok_or(Refusal::Corrupt)?;
        if marker == END_OF_IMAGE {
            return if scans > 0 { Ok(()) } else { Err(Refusal::Corrupt) };
        }
        let length = match rest {
            [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return Err(Refusal::Corrupt),
        };
        let segment = rest.get(2..length).ok_or(Refusal::Corrupt)?;
        rest = &rest[length..];
        if is_start_of_frame(marker) {
            match segment.get(5) {
                Some(1 | 3) => {}
                Some(_) => return Err(Refusal::UnsupportedColour),
                None => return Err(Refusal::Corrupt),
            }
        }
        scans += usize::from(marker == START_OF_SCAN);
    }
}

/// The next marker that opens a segment or ends the image, and what follows it. Entropy-coded data, stuffed zeros,
/// restart markers and fill bytes are passed over.
fn next_marker(mut bytes: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let at = bytes.iter().position(|&b| b == 0xff)?;
        bytes = &bytes[at + 1..];
        match *bytes.first()? {
            0xff => {}
            0x00 | 0x01 | 0xd0..=0xd7 => bytes = &bytes[1..],
            marker => return Some((marker, &bytes[1..])),
        }
    }
}

/// SOF0 to SOF15, without the tables DHT, JPG and DAC that lie among them.
fn is_start_of_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}
