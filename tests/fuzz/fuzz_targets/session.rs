//! Any messages in any order, over a good line: the box neither panics nor falls out of the session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::{
    contract::InputContract,
    verdict::{ModelRefusal, Refusal, SoftwareRefusal},
};
use wire::{Answer, BoxEvent, BoxSession, MAX_FRAME, Outcome, Reply, Transport};

fuzz_target!(|bytes: &[u8]| {
    let contract = InputContract::stretched(16);
    let mut host = Transport::connect(0, 1);
    let mut device = BoxSession::new(contract);
    let mut frame = [0; MAX_FRAME];
    // Each message is preceded by its length.
    let mut rest = bytes;
    for now in 0..500 {
        if host.is_open() && host.room() > 0 {
            let Some((&length, tail)) = rest.split_first() else { return };
            let (message, tail) = tail.split_at(tail.len().min(usize::from(length)));
            host.send(message).expect("there is room");
            rest = tail;
        }
        while let length @ 1.. = host.poll_transmit(now, &mut frame) {
            device.receive(now, &frame[..length]);
        }
        while let Some(event) = device.event(now) {
            match event {
                BoxEvent::Image(_) => device.reply(Reply::Outcome(Outcome::Refused(Refusal::Corrupt))),
                BoxEvent::Update(_) => device.reply(Reply::Installed(Err(ModelRefusal::NotAModel))),
                BoxEvent::Piece(piece) if piece.piece.offset == 0 => device.reply(Reply::Piece(Ok(piece.piece.length))),
                BoxEvent::Piece(_) => device.reply(Reply::Piece(Err(SoftwareRefusal::NotSigned))),
                BoxEvent::Record { .. } => device.reply(Reply::Record(None)),
                BoxEvent::Entry { .. } => device.reply(Reply::Entry(None)),
                BoxEvent::Screenshot => device.reply(Reply::Screenshot(vec![1; 3000])),
                BoxEvent::Asked(_) => device.reply(Reply::Answer(Answer::ClockSet)),
                BoxEvent::HostGone => panic!("the session is lost"),
                _ => {}
            }
        }
        while let length @ 1.. = device.poll_transmit(now, &mut frame) {
            host.receive(now, &frame[..length]);
        }
        while host.take_message().is_some() {}
    }
});
