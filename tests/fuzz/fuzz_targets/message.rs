//! Any bytes as a message of either side: what decodes is encoded and decoded to the same message.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use wire::{MAX_PAYLOAD, ToBox, ToHost};

fuzz_target!(|bytes: &[u8]| {
    again(postcard::from_bytes::<ToBox>(bytes), |encoded| postcard::from_bytes(encoded));
    again(postcard::from_bytes::<ToHost>(bytes), |encoded| postcard::from_bytes(encoded));
});

/// Compared as text, in which one not-a-number equals another.
fn again<M: Debug + serde::Serialize>(message: postcard::Result<M>, decode: impl Fn(&[u8]) -> postcard::Result<M>) {
    let Ok(message) = message else { return };
    let mut buffer = [0; MAX_PAYLOAD];
    let encoded = postcard::to_slice(&message, &mut buffer).expect("every message fits a payload");
    assert_eq!(format!("{:?}", decode(encoded).expect("decodes again")), format!("{message:?}"));
}
