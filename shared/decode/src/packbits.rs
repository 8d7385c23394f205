//! Run lengths, as TIFF has them (TIFF 6.0, section 9) and DICOM (PS3.5, annex G).

use shared::verdict::Refusal;

/// Gives the `length` bytes of a segment to `put`, with their places.
pub(crate) fn unpack(mut segment: &[u8], length: usize, mut put: impl FnMut(usize, u8)) -> Result<(), Refusal> {
    let mut place = 0;
    while place < length {
        let (&control, rest) = segment.split_first().ok_or(Refusal::Corrupt)?;
        segment = rest;
        match control {
            0..=127 => {
                let literal;
                (literal, segment) = segment.split_at_checked(usize::from(control) + 1).ok_or(Refusal::Corrupt)?;
                if place + literal.len() > length {
                    return Err(Refusal::Corrupt);
                }
                literal.iter().enumerate().for_each(|(offset, &byte)| put(place + offset, byte));
                place += literal.len();
            }
            // Stands for nothing.
            128 => {}
            129..=255 => {
                let (&byte, rest) = segment.split_first().ok_or(Refusal::Corrupt)?;
                segment = rest;
                let run = 257 - usize::from(control);
                if place + run > length {
                    return Err(Refusal::Corrupt);
                }
                (place..place + run).for_each(|place| put(place, byte));
                place += run;
            }
        }
    }
    // What fills up the length of a segment.
    if segment.iter().all(|&byte| matches!(byte, 0 | 128)) { Ok(()) } else { Err(Refusal::Corrupt) }
}
