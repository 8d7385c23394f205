//! Two lines, a clock and keys: a box behind both, with what a fuzzer sends on them. Each step is a byte that says what
//! happens, and what that needs. Whole frames are made of the bytes, so that they get past the checksum.
#![no_main]

#[path = "../../../device/tests/stub/mod.rs"]
mod stub;

use device::keys::Key;
use libfuzzer_sys::fuzz_target;
use stub::Stub;
use wire::{Frame, Greeting, Header, Kind, MAX_FRAME, Role};

/// Every key.
const KEYS: [Key; 6] = [Key::Older, Key::Newer, Key::Back, Key::Choose, Key::About, Key::Held];

fuzz_target!(|bytes: &[u8]| {
    let mut device = Stub::new();
    let (mut rest, mut now, mut frame) = (bytes, 0_u64, [0; MAX_FRAME]);
    let mut seqs = [0_u16; 2];
    while let [step, argument, tail @ ..] = rest {
        rest = tail;
        let (line, argument) = (usize::from(step >> 7), usize::from(*argument));
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(rest.len().min(count));
            rest = left;
            taken
        };
        let header = |kind, seq| Header { kind, from: Role::Host, session: line as u32 + 1, seq, ack: 0, sack: 0 };
        let mut send = |header: Header, payload: &[u8]| {
            let Some(length) = (Frame { header, payload }).encode(&mut frame) else { return };
            device.receive(line, now, &frame[..length]);
        };
        match step & 0x7f {
            0..8 => now += argument as u64 * 200,
            8..16 => {
                seqs[line] = 0;
                send(header(Kind::Hello, 0), &Greeting::ours().to_bytes());
            }
            16..80 => {
                let payload = take(argument * 2);
                send(header(Kind::Data, seqs[line]), payload);
                seqs[line] = seqs[line].wrapping_add(1);
            }
            80..88 => send(header(Kind::Ack, 0), &[]),
            88..92 => send(header(Kind::Reset, 0), &[]),
            92..100 => device.receive(line, now, take(argument)),
            100..110 => device.work(now),
            110..120 => device.press(now, KEYS[argument % KEYS.len()]),
            120..122 => device.pull(line, now),
            _ => {}
        }
        device.settle(now);
        for line in 0..2 {
            for _ in 0..4 {
                device.poll_transmit(line, now, &mut frame);
            }
        }
    }
});
