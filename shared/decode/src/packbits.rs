//! Run lengths, as TIFF has them (TIFF 6.0, section 9) and DICOM (PS3.5, annex G).

use shared::verdict::Refusal;

/// Gives the bytes of a segment to `put`, one for each of these places. They come one after the other instead of being computed: so
/// nothing has to be checked for each byte.
pub(crate) fn unpack<P>(
    mut segment: &[u8],
    mut places: impl ExactSizeIterator<Item = P>,
    put: impl Fn(P, u8),
) -> Result<(), Refusal> {
    while places.len() > 0 {
        let (&control, rest) = segment.split_first().ok_or(Refusal::Corrupt)?;
        segment = rest;
        match control {
            0..=127 => {
                let literal;
                (literal, segment) = segment.split_at_checked(usize::from(control) + 1).ok_or(Refusal::Corrupt)?;
                if literal.len() > places.len() {
                    return Err(Refusal::Corrupt);
                }
                literal.iter().zip(&mut places).for_each(|(&byte, place)| put(place, byte));
            }
            // Stands for nothing.
            128 => {}
            129..=255 => {
                let (&byte, rest) = segment.split_first().ok_or(Refusal::Corrupt)?;
                segment = rest;
                let run = 257 - usize::from(control);
                if run > places.len() {
                    return Err(Refusal::Corrupt);
                }
                places.by_ref().take(run).for_each(|place| put(place, byte));
            }
        }
    }
    // What fills up the length of a segment.
    if segment.iter().all(|&byte| matches!(byte, 0 | 128)) { Ok(()) } else { Err(Refusal::Corrupt) }
}
