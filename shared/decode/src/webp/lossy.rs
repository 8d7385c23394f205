//! Lossy pictures: a key frame of VP8.
//!
//! The decoder fails where the data end before the picture does. Where they do not, after a damage, it leaves the rest lying
//! and does not tell. So the frame is decoded before without its last few bytes: that has to fail.

use std::io::Cursor;

use image::metadata::Orientation;
use image_webp::WebPDecoder;
use shared::verdict::Refusal;

/// Bytes at the end of a frame that a decoder may leave lying. An encoder ends with two to four, and the decoder takes one more
/// than there are.
const LEFT: usize = 8;

/// Pixels of a frame, three bytes each.
pub(super) fn decode(frame: &[u8], size: [u32; 2], orientation: Orientation) -> Result<Vec<u8>, Refusal> {
    let area = |[width, height]: [u32; 2]| u64::from(width) * u64::from(height);
    // The decoder keeps a byte for each pixel of whole blocks, two for each four, a note for each block, and the frame: as it
    // is handed over, as it is read and grows, and once more in pieces.
    let working = 7 * area(size.map(|side| side.next_multiple_of(16))) / 4 + 4 * frame.len() as u64;
    crate::check_memory(3 * area(size), working, false, orientation)?;
    let mut pixels = vec![0; 3 * area(size) as usize];
    if decode_into(&frame[..frame.len().saturating_sub(LEFT)], &mut pixels).is_ok() {
        return Err(Refusal::Corrupt);
    }
    decode_into(frame, &mut pixels)?;
    Ok(pixels)
}

/// Decodes a frame as the only one of a file: without the alpha channel, which nobody looks at.
fn decode_into(frame: &[u8], pixels: &mut [u8]) -> Result<(), Refusal> {
    let length = frame.len() as u32;
    let file = [&b"RIFF"[..], &(length + 12).to_le_bytes(), b"WEBPVP8 ", &length.to_le_bytes(), frame].concat();
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(|_| Refusal::Corrupt)?;
    decoder.read_image(pixels).map_err(|_| Refusal::Corrupt)
}
