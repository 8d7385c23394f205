//! Any bytes as a radiograph file, through decoding and preprocessing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::{
    contract::{Fit, InputContract},
    limits::MAX_PREVIEW_SIDE,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(radiograph) = decode::decode(bytes) else { return };
    let picture = radiograph.picture();
    for fit in [Fit::Stretch, Fit::Letterbox] {
        let contract = InputContract { fit, ..InputContract::stretched(64) };
        assert_eq!(picture.prepare(&contract).len(), contract.len());
    }
    let (pixels, width, height) = picture.inverted().preview(MAX_PREVIEW_SIDE);
    assert_eq!(pixels.len(), usize::from(width) * usize::from(height));
    assert!((1..=MAX_PREVIEW_SIDE).contains(&width) && (1..=MAX_PREVIEW_SIDE).contains(&height));
});
