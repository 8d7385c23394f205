//! Tests of the whole line: golden bytes, properties, and transfers over a simulated line.

mod golden;
mod holding;
mod line;
mod properties;
mod rude;
#[path = "../../../tests/sample/mod.rs"]
mod sample;
mod transfers;
mod updates;
mod world;

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use super::*;
use shared::{
    age::{AgeNote, Ages},
    contract::{Fit, InputContract},
    verdict::{Digest, ExamId, OperatingPoint, ResultRecord},
};

const CONTRACT: InputContract = InputContract { side: 64, fit: Fit::Stretch, scale: 0.5, zero_point: 3 };

fn record(number: u64, image: Digest) -> ResultRecord {
    ResultRecord {
        boot: 7,
        unix_seconds: Some(1_700_000_000),
        exam: exam(),
        image,
        model: Digest([0xbb; 32]),
        probability: 0.75,
        age: AgeNote::NotNoted,
        ..sample::record(number)
    }
}

fn exam() -> ExamId {
    ExamId::new("ward-3.a").unwrap()
}

fn info() -> Info {
    Info {
        software: heapless::String::try_from("0.1.0").unwrap(),
        model: heapless::String::try_from("study-adam").unwrap(),
        model_digest: Digest([0xbb; 32]),
        synthetic: false,
        int8: true,
        execution: heapless::String::try_from("fused int8, neon kernels").unwrap(),
        contract: CONTRACT,
        point: OperatingPoint::HALF,
        boot: 7,
        records: 300,
        entries: 410,
        head: Digest([0xee; 32]),
        broken: None,
        read_only: false,
        ages: Some(Ages { from: 1, to: 5 }),
        any_age: false,
        trust: Some(shared::verdict::Trust::Signed),
        takes_unsigned: false,
    }
}

/// Bytes that do not compress, repeat or depend on anything but the seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..length).map(|_| random.next() as u8).collect()
}

fn encoded_message(message: &impl serde::Serialize) -> Vec<u8> {
    let mut buffer = [0; 2 * MAX_PAYLOAD];
    postcard::to_slice(message, &mut buffer).unwrap().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True with probability `p`.
    fn chance(&mut self, p: f64) -> bool {
        ((self.next() >> 11) as f64) < p * (1_u64 << 53) as f64
    }
}
