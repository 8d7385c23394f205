//! One frame of the line: header, payload, checksum, stuffing. The bytes are specified in [the crate](crate).

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use super::message::{PROTOCOL_VERSION, schema_digest};

/// Longest payload of a frame in bytes: a message with a full chunk, and some reserve.
pub const MAX_PAYLOAD: usize = 528;

const HEADER: usize = 11;
const CHECKSUM: usize = 4;
const MAX_PLAIN: usize = HEADER + MAX_PAYLOAD + CHECKSUM;
/// Longest stuffed frame, without the zeros around it.
const MAX_STUFFED: usize = cobs::max_encoding_length(MAX_PLAIN);

/// A buffer of this many bytes holds any frame as it goes over the line.
pub const MAX_FRAME: usize = MAX_STUFFED + 2;

/// Set in the kind of every frame that comes from the box, so that neither side takes its own echo for an answer.
const FROM_BOX: u8 = 0x80;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Which end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asks: opens the session, sends images.
    Host,
    /// Answers.
    Box,
}

impl Role {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Host => Self::Box,
            Self::Box => Self::Host,
        }
    }
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Host → box: opens a session; the payload is a [`Greeting`].
    Hello = 1,
    /// Box → host: the session is open; the payload is a [`Greeting`].
    Welcome = 2,
    /// Box → host: the session is not opened; the payload is a [`Rejection`].
    Reject = 3,
    /// A message; `seq` is its number.
    Data = 4,
    /// Acknowledgement alone; also the sign of life.
    Ack = 5,
    /// The session is over.
    Reset = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Hello, Self::Welcome, Self::Reject, Self::Data, Self::Ack, Self::Reset]
            .into_iter()
            .find(|&kind| kind as u8 == byte)
    }
}

/// The fixed part of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// Who sent it.
    pub from: Role,
    /// Nonce of the session, chosen by the host.
    pub session: u32,
    /// Number of the message, from 0, modulo 2^16; 0 where there is none.
    pub seq: u16,
    /// Number of the first message that the sender of this frame has not yet received.
    pub ack: u16,
    /// Bit `i`: message `ack + 1 + i` has been received.
    pub sack: u16,
}

/// Why bytes between two zeros are not a frame. The line drops them; the sender repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes came than a stuffed frame can have.
    #[error("the frame is longer than any that this protocol has")]
    TooLong,
    /// Unstuffed, less was left than the 15 bytes of header and checksum.
    #[error("the frame is shorter than a header and a checksum")]
    TooShort,
    /// A length in the byte stuffing points beyond the last byte.
    #[error("the byte stuffing is broken")]
    Stuffing,
    /// The CRC-32 of header and payload is another than the one sent with them.
    #[error("the checksum does not match")]
    Checksum,
    /// The kind is none of [`Kind`].
    #[error("the kind of the frame is unknown")]
    Kind,
}

/// A frame whose checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Its payload, at most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Writes the frame as it goes over the line, the zeros before and behind it included, and returns its length.
    /// `None` if the payload is longer than [`MAX_PAYLOAD`].
    pub fn encode(&self, out: &mut [u8; MAX_FRAME]) -> Option<usize> {
        let Header { kind, from, session, seq, ack, sack } = self.header;
        let mut plain = heapless::Vec::<u8, MAX_PLAIN>::new();
        plain.push(kind as u8 | if from == Role::Box { FROM_BOX } else { 0 }).ok()?;
        plain.extend_from_slice(&session.to_le_bytes()).ok()?;
        for field in [seq, ack, sack] {
            plain.extend_from_slice(&field.to_le_bytes()).ok()?;
        }
        if self.payload.len() > MAX_PAYLOAD {
            return None;
        }
        plain.extend_from_slice(self.payload).ok()?;
        let checksum = CRC.checksum(&plain);
        plain.extend_from_slice(&checksum.to_le_bytes()).ok()?;
        out[0] = 0;
        let length = cobs::try_encode(&plain, &mut out[1..MAX_FRAME - 1]).ok()?;
        out[1 + length] = 0;
        Some(length + 2)
    }

    /// Reads what lies between two zeros, in place.
    pub fn decode(stuffed: &'a mut [u8]) -> Result<Self, FrameError> {
        if stuffed.len() > MAX_STUFFED {
            return Err(FrameError::TooLong);
        }
        let length = cobs::decode_in_place(stuffed).map_err(|_| FrameError::Stuffing)?;
        let plain = stuffed.get(..length).ok_or(FrameError::Stuffing)?;
        let (body, checksum) = plain.split_last_chunk::<CHECKSUM>().ok_or(FrameError::TooShort)?;
        let (header, payload) = body.split_first_chunk::<HEADER>().ok_or(FrameError::TooShort)?;
        if CRC.checksum(body) != u32::from_le_bytes(*checksum) {
            return Err(FrameError::Checksum);
        }
        let &[kind, s0, s1, s2, s3, q0, q1, a0, a1, k0, k1] = header;
        let header = Header {
            kind: Kind::from_byte(kind & !FROM_BOX).ok_or(FrameError::Kind)?,
            from: if kind & FROM_BOX == 0 { Role::Host } else { Role::Box },
            session: u32::from_le_bytes([s0, s1, s2, s3]),
            seq: u16::from_le_bytes([q0, q1]),
            ack: u16::from_le_bytes([a0, a1]),
            sack: u16::from_le_bytes([k0, k1]),
        };
        Ok(Self { header, payload })
    }
}

/// Cuts a stream of bytes into frames. Its memory is one frame; garbage costs no more than the frame it falls into.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    stuffed: heapless::Vec<u8, MAX_STUFFED>,
    overlong: bool,
    /// The buffer holds a frame that has been returned.
    returned: bool,
}

impl Deframer {
    /// Takes bytes from the front of `bytes` up to the end of a frame and returns that frame, or `None` once all bytes
    /// are taken. Call it until it returns `None`.
    pub fn next<'a>(&'a mut self, bytes: &mut &[u8]) -> Option<Result<Frame<'a>, FrameError>> {
        if core::mem::take(&mut self.returned) {
            self.stuffed.clear();
        }
        loop {
            let end = bytes.iter().position(|&b| b == 0);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.overlong |= self.stuffed.extend_from_slice(part).is_err();
            *bytes = rest.get(1..).unwrap_or_default();
            end?;
            if core::mem::take(&mut self.overlong) {
                self.stuffed.clear();
                return Some(Err(FrameError::TooLong));
            }
            if !self.stuffed.is_empty() {
                self.returned = true;
                return Some(Frame::decode(&mut self.stuffed));
            }
        }
    }
}

/// What host and box must share to understand each other's messages; its layout is the same in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Version of frames and conversation.
    pub version: u16,
    /// Digest of the schema of the messages.
    pub schema: u64,
}

impl Greeting {
    /// Length in bytes.
    pub const LEN: usize = 10;

    /// The greeting of this program.
    pub fn ours() -> Self {
        Self { version: PROTOCOL_VERSION, schema: schema_digest() }
    }

    /// Version (2 bytes), then schema digest (8 bytes), both little endian.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let ([v0, v1], [s0, s1, s2, s3, s4, s5, s6, s7]) = (self.version.to_le_bytes(), self.schema.to_le_bytes());
        [v0, v1, s0, s1, s2, s3, s4, s5, s6, s7]
    }

    /// Reads the first 10 bytes; a later version may add more.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (schema, _) = rest.split_first_chunk::<8>()?;
        Some(Self { version: u16::from_le_bytes(*version), schema: u64::from_le_bytes(*schema) })
    }
}

/// Why the box does not open a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Another host is using the box.
    Busy = 1,
    /// Version or schema differ.
    Incompatible = 2,
}

/// Payload of a reject: the reason, then the box's greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// What the box speaks.
    pub greeting: Greeting,
}

impl Rejection {
    /// Length in bytes.
    pub const LEN: usize = 1 + Greeting::LEN;

    /// The reason (1 byte), then the greeting.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [self.reason as u8; Self::LEN];
        bytes[1..].copy_from_slice(&self.greeting.to_bytes());
        bytes
    }

    /// Reads the first 11 bytes. An unknown reason counts as incompatible.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&reason, rest) = bytes.split_first()?;
        let reason = if reason == Reason::Busy as u8 { Reason::Busy } else { Reason::Incompatible };
        Some(Self { reason, greeting: Greeting::from_bytes(rest)? })
    }
}
