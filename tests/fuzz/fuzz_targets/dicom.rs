//! Any bytes as the data set of a DICOM file, written in one of several ways, through decoding and preprocessing. A file that
//! was cut gives no other picture.
//!
//! Decoding never holds more than 208 MiB (`shared::limits`) and the file: run it with `-rss_limit_mb=512 -timeout=30`, and
//! `-max_len=65536`. `shared/decode/tests/dicom` is a corpus to begin with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::contract::InputContract;

/// Transfer syntaxes: implicit, explicit, deflated, big endian, run lengths, lossless JPEG, JPEG 2000.
const SYNTAXES: [&str; 7] = ["", ".1\0", ".1.99", ".2\0", ".5\0", ".4.70", ".4.90"];

fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    let Some((&first, data_set)) = bytes.split_first() else { return };
    let mut uid = format!("1.2.840.10008.1.2{}", SYNTAXES[usize::from(first) % SYNTAXES.len()]).into_bytes();
    uid.resize(uid.len().next_multiple_of(2), 0);
    let length = (uid.len() as u16).to_le_bytes();
    judge(&[&[0; 128][..], b"DICM", &[2, 0, 0x10, 0], b"UI", &length, &uid, data_set].concat());
});

fn judge(file: &[u8]) {
    let Ok(radiograph) = decode::decode(file) else { return };
    let contract = InputContract::stretched(64);
    assert_eq!(radiograph.picture().prepare(&contract).len(), contract.len());
    if file.starts_with(&[0xff, 0xd8]) || file.starts_with(b"\x89PNG") {
        return;
    }
    // Somewhere, so that each file is cut at one place, and its neighbours in the corpus at others.
    let at = file.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % file.len();
    if let Ok(cut) = decode::decode(&file[..at]) {
        assert!(cut.image() == radiograph.image(), "cut at {at} of {} bytes", file.len());
    }
}
