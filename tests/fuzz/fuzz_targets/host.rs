//! Any frames and messages, in any order, to a host that asks for one thing after the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::verdict::{Digest, ExamId};
use wire::{
    BundlePiece, Frame, Greeting, Header, HostEvent, HostSession, Image, Kind, MAX_FRAME, ModelFile, Question, Request,
    Role,
};

fuzz_target!(|bytes: &[u8]| {
    let mut host = HostSession::new(0, 1);
    let (mut rest, mut now, mut seq, mut frame) = (bytes, 0_u64, 0_u16, [0; MAX_FRAME]);
    while let [step, argument, tail @ ..] = rest {
        rest = tail;
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(rest.len().min(count));
            rest = left;
            taken
        };
        let argument = usize::from(*argument);
        let mut send = |kind, seq, ack, payload: &[u8]| {
            let header = Header { kind, from: Role::Box, session: 1, seq, ack, sack: argument as u16 };
            if let Some(length) = (Frame { header, payload }).encode(&mut frame) {
                host.receive(now, &frame[..length]);
            }
        };
        match step {
            0..8 => now += argument as u64 * 200,
            8..24 => send(Kind::Welcome, 0, 0, &Greeting::ours().to_bytes()),
            24..150 => {
                send(Kind::Data, seq, argument as u16 % 20, take(argument * 2));
                seq = seq.wrapping_add(1);
            }
            150..160 => send(Kind::Ack, 0, argument as u16, &[]),
            160..164 => send(Kind::Reset, 0, 0, &[]),
            164..168 => send(Kind::Reject, 0, 0, take(11)),
            168..180 => host.receive(now, take(argument)),
            180..184 => host.cancel(),
            _ => {
                let bytes = vec![7; 1 + argument * 20];
                let _ = host.request(
                    now,
                    match step % 9 {
                        0 => Request::Ask(Question::Info),
                        1 => Request::Ask(Question::SetClock { unix_seconds: now }),
                        2 => Request::Results { from: 1, limit: argument as u16 },
                        3 => Request::Screenshot,
                        4 => Request::Update(ModelFile::new(bytes).expect("not empty")),
                        5 => Request::Piece(BundlePiece::new(Digest::default(), 1_000_000, 0, bytes)),
                        6 => Request::Ask(Question::Software { bundle: Digest::default(), total: 1_000_000 }),
                        7 => Request::Ask(Question::Site),
                        _ => Request::Image(Image::file(bytes, ExamId::default()).expect("not empty")),
                    },
                );
            }
        }
        while let Some(event) = host.event(now) {
            if let HostEvent::Down(_) = event {
                assert!(host.request(now, Request::Screenshot).is_err(), "nothing is asked of nobody");
                return;
            }
        }
        while host.poll_transmit(now, &mut frame) > 0 {}
    }
});
