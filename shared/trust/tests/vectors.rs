//! Ed25519 as others know it.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::fmt::Write as _;

use ed25519_dalek::{Signature, VerifyingKey};

fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim_start_matches('-');
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// What the box does with a key, a signature and a message: a length that is another's is no signature.
fn holds(key: &[u8], signature: &[u8], message: &[u8]) -> bool {
    let Some(key) = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok()) else { return false };
    let Ok(signature) = signature.try_into().map(|signature| Signature::from_bytes(&signature)) else { return false };
    !key.is_weak() && key.verify_strict(message, &signature).is_ok()
}

#[test]
fn signatures_are_verified_as_the_vectors_of_wycheproof_say() {
    let (mut valid, mut invalid, mut wrong) = (0, 0, String::new());
    for line in include_str!("wycheproof.txt").lines().filter(|line| !line.starts_with('#')) {
        let [number, result, key, signature, message] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let expected = match result {
            "valid" => true,
            "invalid" => false,
            other => panic!("{number}: {other}"),
        };
        *if expected { &mut valid } else { &mut invalid } += 1;
        if holds(&bytes(key), &bytes(signature), &bytes(message)) != expected {
            write!(wrong, " {number}").unwrap();
        }
    }
    assert_eq!((wrong.as_str(), valid, invalid), ("", 88, 63));
}

#[test]
fn keys_of_small_order_with_which_everything_is_signed_are_none() {
    // The neutral element: S = 0 and R = it verify any message where small orders are let through.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = VerifyingKey::from_bytes(&neutral).unwrap();
    assert!(key.is_weak());
    assert!(!holds(&neutral, &signature, b"anything"));
}
