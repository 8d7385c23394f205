//! A result of nobody, for tests of every crate. A test names the fields that it is about, and takes the rest from here.

use shared::{
    age::AgeNote,
    verdict::{Digest, ExamId, OperatingPoint, ResultRecord, Verdict},
};

pub(crate) fn record(number: u64) -> ResultRecord {
    ResultRecord {
        number,
        boot: 1,
        unix_seconds: None,
        exam: ExamId::default(),
        image: Digest::default(),
        model: Digest::of(b"model"),
        probability: 0.5,
        point: OperatingPoint::HALF,
        verdict: Verdict::Pneumonia,
        prepared: false,
        age: AgeNote::Unknown,
        trust: None,
    }
}
