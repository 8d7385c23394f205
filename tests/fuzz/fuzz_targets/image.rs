//! Any bytes as a radiograph file, through decoding and preprocessing. A file that was cut gives no other picture. (`dicom`
//! begins with what makes a DICOM file of them.)
//!
//! Decoding never holds more than 208 MiB (`shared::limits`) and the file: run it with `-rss_limit_mb=512 -timeout=30`, and
//! `-max_len=65536`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::{
    contract::{Fit, InputContract},
    limits::MAX_PREVIEW_SIDE,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(radiograph) = decode::decode(bytes) else { return };
    let picture = radiograph.picture();
    for fit in [Fit::Stretch, Fit::Letterbox, Fit::Unframed] {
        let contract = InputContract { fit, ..InputContract::stretched(64) };
        assert_eq!(picture.prepare(&contract).len(), contract.len());
    }
    let (pixels, width, height) = picture.inverted().preview(MAX_PREVIEW_SIDE);
    assert_eq!(pixels.len(), usize::from(width) * usize::from(height));
    assert!((1..=MAX_PREVIEW_SIDE).contains(&width) && (1..=MAX_PREVIEW_SIDE).contains(&height));
    let end: &[u8] = match bytes {
        [0xff, 0xd8, ..] => &[0xff, 0xd9],
        [0x89, b'P', b'N', b'G', ..] => b"\0\0\0\0IEND\xae\x42\x60\x82",
        // WebP has no mark of the end.
        [b'R', b'I', b'F', b'F', ..] => &[],
        _ => return,
    };
    // Somewhere, so that each file is cut at one place, and its neighbours in the corpus at others.
    let at = bytes.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % bytes.len();
    if let Ok(cut) = decode::decode(&[&bytes[..at], end].concat()) {
        assert!(cut.image().as_bytes() == radiograph.image().as_bytes(), "cut at {at} of {} bytes", bytes.len());
    }
});
