//! What it costs to verify who says that a model or a bundle is good: time, and, on an emulated processor, instructions
//! (`tests/bench/arm/instructions`).
//!
//! `verification_cost model FILE ROUNDS` verifies an ONNX file with the `.minisig` beside it by the test keys, as a box does at each start.
//! `verification_cost bundle MIB ROUNDS` verifies a made bundle of that length as the first process of a box does when it has all of it.
//! `verification_cost sha256 MIB ROUNDS` takes only the SHA-256 of as many bytes: what each further reading of a bundle, or of a slot, costs.
//! Prints a line before the first round, and after each one its milliseconds: a round is what lies between two lines.
//!
//! The emulated Cortex-A53 has instructions for SHA-256, which those of a Raspberry Pi 3 and Zero 2 W, and the Cortex-A72 of a
//! Raspberry Pi 4, do not have. Compiled with `--cfg sha2_backend="soft"` it does without, as they do.

#![allow(clippy::unwrap_used, reason = "a program for measurements")]

use std::{env, fs, hint::black_box, time::Instant};

use sha2::{Digest as _, Sha256};
use shared::verdict::Digest;
use trust::{
    Digester, Gate, KeyId, KeyList, Kind, LINE, MAX_HEAD_BYTES, Package, PackageHead, Roots, SecretKey, Signature,
    Statement, Version,
};

/// As many bytes as the box reads of a bundle at once.
const STEP: usize = 1 << 20;
/// Later than any that a signature may ask for.
const VERSION: Version = Version([u16::MAX; 3]);

fn main() {
    let mut arguments = env::args().skip(1);
    let [step, what, rounds] = [(); 3].map(|()| arguments.next().unwrap());
    let rounds = rounds.parse().unwrap();
    match step.as_str() {
        "model" => model(&what, rounds),
        "bundle" => bundle(what.parse().unwrap(), rounds),
        "sha256" => {
            let bytes = made(what.parse().unwrap());
            measure(rounds, || {
                black_box(sha256(&bytes));
            });
        }
        _ => panic!("there is no step {step}"),
    }
}

fn measure(rounds: usize, mut round: impl FnMut()) {
    println!("ms");
    for _ in 0..rounds {
        let start = Instant::now();
        round();
        println!("{:.1}", start.elapsed().as_secs_f64() * 1e3);
    }
}

fn model(file: &str, rounds: usize) {
    let model = fs::read(file).unwrap();
    let signature = fs::read_to_string(format!("{file}.minisig")).unwrap();
    measure(rounds, || {
        let gate = Gate::new(None, false, VERSION);
        let package = Package { signature: Some(&signature), list: None, model: black_box(model.as_slice()) };
        black_box(gate.check(&package).unwrap());
    });
}

fn bundle(mebibytes: usize, rounds: usize) {
    let payload = made(mebibytes);
    let [root, signer] = [1, 2].map(|n| SecretKey::of_seed(&[n; 32], KeyId([n; 8])));
    let list = KeyList { counter: 1, keys: vec![signer.public()], revoked: Vec::new() }.to_file();
    let of_list = Signature::new(&root, list.as_bytes(), String::new()).to_file();
    let statement = Statement {
        kind: Kind::Software,
        line: LINE.to_owned(),
        counter: 1,
        least: Version([0; 3]),
        made: "2026-11-30".to_owned(),
        name: "made".to_owned(),
        digest: Digest::of(&payload),
    };
    let signature = Signature::new(&signer, &payload, statement.to_string()).to_file();
    let head = PackageHead::new(Some(&signature), Some([&list, &of_list])).to_bytes();
    let roots = Roots::new(vec![root.public()], 1).unwrap();
    let file = [head, payload].concat();
    measure(rounds, || {
        let head = PackageHead::read(file.get(..MAX_HEAD_BYTES).unwrap_or(&file)).unwrap();
        let mut payload = Digester::new();
        file[head.length..].chunks(STEP).for_each(|bytes| payload.update(bytes));
        black_box(sha256(&file));
        let mut gate = Gate::for_software(Some(roots.clone()), false, VERSION);
        gate.learn_head(&head).unwrap();
        black_box(gate.check_software(&head, &payload.finish()).unwrap());
    });
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digester = Sha256::new();
    black_box(bytes).chunks(STEP).for_each(|bytes| digester.update(bytes));
    digester.finalize().into()
}

/// So many mebibytes that cannot be compressed (xorshift).
fn made(mebibytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(mebibytes << 20).collect()
}
