//! Those who sign in tests. Taken in by its path wherever tests need them.

use trust::{KeyId, KeyList, SecretKey, Signature};

/// The key of somebody who has a number.
pub(crate) fn key(n: u8) -> SecretKey {
    SecretKey::of_seed(&[n; 32], KeyId([n; 8]))
}

/// A list of keys with these signers, and its signature by the root 1.
pub(crate) fn list(counter: u64, signers: &[u8], revoked: &[u8]) -> [String; 2] {
    let keys = signers.iter().map(|&n| key(n).public()).collect();
    let list = KeyList { counter, keys, revoked: revoked.iter().map(|&n| KeyId([n; 8])).collect() }.to_file();
    let signature = Signature::new(&key(1), list.as_bytes(), String::new()).to_file();
    [list, signature]
}
