//! Properties of frames and messages, against a second, naive implementation of the specification.

use alloc::{vec, vec::Vec};

use proptest::prelude::*;

use super::{
    super::{codec, *},
    encoded_message,
};

/// CRC-32/ISO-HDLC bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// COBS (Cheshire and Baker, 1999).
fn unstuff(mut stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![];
    while let Some((&code, rest)) = stuffed.split_first() {
        let run = rest.get(..usize::from(code) - 1)?;
        plain.extend_from_slice(run);
        stuffed = &rest[run.len()..];
        if code < 255 && !stuffed.is_empty() {
            plain.push(0);
        }
    }
    Some(plain)
}

/// The frames in a complete stream: header and payload.
fn reference_frames(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut segments: Vec<&[u8]> = stream.split(|&b| b == 0).collect();
    // The last segment has no end yet.
    segments.pop();
    let plain = segments.into_iter().filter(|s| s.len() <= MAX_FRAME - 2).filter_map(unstuff);
    plain
        .filter_map(|plain| {
            let (body, checksum) = plain.split_last_chunk::<4>()?;
            let known = (1..=6).contains(&(body.first()? & 0x7f));
            let right = crc32(body).to_le_bytes() == *checksum;
            (body.len() >= 11 && known && right).then(|| body.to_vec())
        })
        .collect()
}

fn plain(frame: &Frame<'_>) -> Vec<u8> {
    let header = frame.header;
    let from = if header.from == Role::Box { 0x80 } else { 0 };
    let mut bytes = vec![header.kind as u8 | from];
    bytes.extend(header.session.to_le_bytes());
    bytes.extend([header.seq, header.ack, header.sack].iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend(frame.payload);
    bytes
}

fn headers() -> impl Strategy<Value = Header> {
    let kinds =
        prop::sample::select(vec![Kind::Hello, Kind::Welcome, Kind::Reject, Kind::Data, Kind::Ack, Kind::Reset]);
    let roles = prop::sample::select(vec![Role::Host, Role::Box]);
    (kinds, roles, any::<(u32, u16, u16, u16)>()).prop_map(|(kind, from, (session, seq, ack, sack))| Header {
        kind,
        from,
        session,
        seq,
        ack,
        sack,
    })
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![any::<u8>(), Just(0), Just(255)];
    prop::collection::vec(bytes, 0..=MAX_PAYLOAD)
}

fn encoded((header, payload): (Header, Vec<u8>)) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME];
    let length = Frame { header, payload: &payload }.encode(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Frames, garbage, and flipped bytes.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => (headers(), payloads()).prop_map(encoded),
        1 => prop::collection::vec(any::<u8>(), 0..1500),
    ];
    let flips = prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..3);
    (prop::collection::vec(part, 0..6), flips).prop_map(|(parts, flips)| {
        let mut stream = parts.concat();
        for (index, mask) in flips {
            if !stream.is_empty() {
                let at = index.index(stream.len());
                stream[at] ^= mask;
            }
        }
        stream
    })
}

proptest! {
    #[test]
    fn frame_survives_the_round_trip(header in headers(), payload in payloads()) {
        let bytes = encoded((header, payload.clone()));
        prop_assert_eq!((bytes[0], bytes[bytes.len() - 1]), (0, 0));
        prop_assert!(!bytes[1..bytes.len() - 1].contains(&0));
        let frame = Frame { header, payload: &payload };
        prop_assert_eq!(reference_frames(&bytes), vec![plain(&frame)]);
        let mut stuffed = bytes[1..bytes.len() - 1].to_vec();
        prop_assert_eq!(Frame::decode(&mut stuffed), Ok(frame));
    }

    #[test]
    fn deframer_yields_the_frames_with_a_right_checksum_and_no_others(
        stream in streams(), cut in 1_usize..700
    ) {
        let mut deframer = Deframer::default();
        let mut found = vec![];
        for mut part in stream.chunks(cut) {
            while let Some(frame) = deframer.next(&mut part) {
                found.extend(frame.ok().map(|frame| plain(&frame)));
            }
        }
        prop_assert_eq!(found, reference_frames(&stream));
    }

    #[test]
    fn arbitrary_bytes_decode_to_a_message_or_to_none(bytes in prop::collection::vec(any::<u8>(), 0..MAX_PAYLOAD)) {
        if let Some(message) = codec::decode::<ToBox>(&bytes) {
            prop_assert!(encoded_message(&message).len() <= MAX_PAYLOAD);
        }
        if let Some(message) = codec::decode::<ToHost>(&bytes) {
            prop_assert!(encoded_message(&message).len() <= MAX_PAYLOAD);
        }
    }

    #[test]
    fn sessions_survive_arbitrary_bytes(stream in streams()) {
        let mut device = BoxSession::new(super::CONTRACT);
        let mut host = HostSession::new(0, 1);
        let mut buffer = [0; MAX_FRAME];
        for (now, part) in stream.chunks(97).enumerate() {
            let now = now as u64 * 300;
            device.receive(now, part);
            host.receive(now, part);
            while device.event(now).is_some() {}
            while host.event(now).is_some() {}
            while device.poll_transmit(now, &mut buffer) > 0 {}
            while host.poll_transmit(now, &mut buffer) > 0 {}
        }
    }
}
