//! The segments of a JPEG file (T.81, annex B).

use shared::verdict::Refusal;

pub(super) const START_OF_IMAGE: u8 = 0xd8;
pub(super) const END_OF_IMAGE: u8 = 0xd9;
pub(super) const START_OF_SCAN: u8 = 0xda;
pub(super) const QUANTIZATION_TABLES: u8 = 0xdb;
pub(super) const HUFFMAN_TABLES: u8 = 0xc4;
pub(super) const RESTART_INTERVAL: u8 = 0xdd;
pub(super) const FIRST_RESTART: u8 = 0xd0;
pub(super) const COMMENT: u8 = 0xfe;
pub(super) const JFIF: u8 = 0xe0;
pub(super) const EXIF: u8 = 0xe1;
pub(super) const ADOBE: u8 = 0xee;

/// The marker at the head of `bytes`, and what follows it. Refused if there is anything else; fill bytes may precede it.
pub(super) fn marker(bytes: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    let fill = bytes.iter().take_while(|&&b| b == 0xff).count();
    match bytes.get(fill..) {
        Some([marker, rest @ ..]) if fill > 0 && *marker != 0 => Ok((*marker, rest)),
        _ => Err(Refusal::Corrupt),
    }
}

/// What a segment holds behind its length, and what follows the segment.
pub(super) fn payload(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let length = bytes.first_chunk().map_or(0, |&length| u16::from_be_bytes(length));
    let (segment, rest) = bytes.split_at_checked(length.into()).ok_or(Refusal::Corrupt)?;
    Ok((segment.get(2..).ok_or(Refusal::Corrupt)?, rest))
}
