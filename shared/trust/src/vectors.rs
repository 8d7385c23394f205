//! Ed25519 as others know it, and signatures that lax verifiers take.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding};
use blake2::Digest as _;
use curve25519_dalek::Scalar;

use crate::{KeyError, PublicKey, SecretKey, key::KeyId, signature::holds};

fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim_start_matches('-');
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A key as minisign writes it.
fn public(point: &[u8]) -> Result<PublicKey, KeyError> {
    Base64::encode_string(&[&b"Ed"[..], &[7; 8], point].concat()).parse()
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
        // One of another length is none.
        let held = bytes(signature)
            .try_into()
            .is_ok_and(|signature| public(&bytes(key)).is_ok_and(|key| holds(&key, &bytes(message), &signature)));
        if held != expected {
            write!(wrong, " {number}").unwrap();
        }
    }
    assert_eq!((wrong.as_str(), valid, invalid), ("", 88, 63));
}

#[test]
fn a_key_of_small_order_for_which_everything_is_signed_is_none() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(public(&neutral), Err(KeyError::Weak));
}

#[test]
fn a_signature_with_a_first_half_of_small_order_is_none() {
    // R is the neutral element and S = k a: the equation holds, and R says nothing.
    let secret = SecretKey::of_seed(&[7; 32], KeyId([7; 8]));
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let message = b"a model";
    let hash = sha2::Sha512::new()
        .chain_update(neutral)
        .chain_update(secret.public().key.as_bytes())
        .chain_update(message)
        .finalize();
    let k = Scalar::from_bytes_mod_order_wide(&hash.into());
    let s = k * secret.key.to_scalar();
    let signature: [u8; 64] = [neutral, s.to_bytes()].concat().try_into().unwrap();
    let lax = ed25519_dalek::Signature::from_bytes(&signature);
    use ed25519_dalek::Verifier as _;
    assert!(secret.public().key.verify(message, &lax).is_ok(), "lax verifiers take it");
    assert!(!holds(&secret.public(), message, &signature));
}
