//! Any bytes through the deframer: a frame that comes out is encoded to bytes that decode to it again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Deframer, Frame, MAX_FRAME};

fuzz_target!(|bytes: &[u8]| {
    let mut deframer = Deframer::default();
    for mut part in bytes.chunks(61) {
        while let Some(frame) = deframer.next(&mut part) {
            let Ok(frame) = frame else { continue };
            let mut encoded = [0; MAX_FRAME];
            let length = frame.encode(&mut encoded).expect("a decoded frame fits");
            assert_eq!(Frame::decode(&mut encoded[1..length - 1]), Ok(frame));
        }
    }
});
