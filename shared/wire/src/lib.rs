//! The serial line: frames, a reliable transport, and the conversation of host and box, without I/O and without a clock.
//!
//! # The bytes
//!
//! The line carries bytes of 8 bits (8N1, no flow control, 115,200 baud unless set differently), in both directions at
//! once. All numbers are little endian.
//!
//! **Frame.** Plain bytes: a header of 11 bytes, a payload of 0 to 528 bytes, and the CRC-32/ISO-HDLC (polynomial
//! 04C11DB7 reflected, initial value and final XOR FFFFFFFF, the one of zlib) of header and payload, 4 bytes. They are
//! stuffed by COBS (Cheshire and Baker, 1999), which leaves no zero in them; a zero goes before them and another one
//! behind. A receiver cuts the stream at zeros, ignores what is empty between two of them, and drops whatever is longer
//! than 546 bytes, cannot be unstuffed, is shorter than 15 bytes, has a wrong checksum or an unknown kind. So it is in
//! step again at the next zero, whatever came before.
//!
//! | Offset | Bytes | Field | |
//! |---|---|---|---|
//! | 0 | 1 | kind | 1 hello, 2 welcome, 3 reject, 4 data, 5 ack, 6 reset; plus 0x80 in every frame from the box |
//! | 1 | 4 | session | a random number chosen by the host |
//! | 5 | 2 | seq | data: number of the message, from 0, modulo 2^16; else 0 |
//! | 7 | 2 | ack | data and ack: number of the first message not yet received; else 0 |
//! | 9 | 2 | sack | data and ack: bit *i* is set if message `ack + 1 + i` has been received; else 0 |
//! | 11 | | payload | |
//!
//! A frame whose direction bit is the receiver's own is an echo and ignored.
//!
//! **Session.** The host sends *hello* every 400 ms for up to 6 s; its payload is the greeting: the protocol version
//! (2 bytes) and the schema digest (8 bytes: the two postcard-schema keys, see [`schema_digest`]). If the box has the
//! same greeting it answers *welcome* with it; later hellos of the same session are answered alike and change nothing.
//! Otherwise it answers *reject*: a reason (1 byte: 1 busy, 2 incompatible), then its own greeting. These layouts are
//! the same in every version, and no message is decoded before the greetings agree. Busy means that another session is
//! open, on this line or on another one of the box, that holds it: a frame of it has come within the last 3 s (on a
//! line on which two frames take longer, within the time of two), and within
//! the last 30 s its host has asked for something, or has waited for what the box works at, or has sent or taken what was
//! asked for at no less than a tenth of the line's speed. A session that was opened by a hello and
//! in which the host has said nothing yet holds the box for 1 s: the hello may have been late, and its host be gone. A host
//! therefore acknowledges as soon as it is welcome. Otherwise a new hello takes the box over. *Reset*
//! (no payload) ends a session; the box also sends it in answer to data or ack of a session that it does not have.
//!
//! **Messages.** In a session each side numbers its messages from 0 and has at most 16 in flight. *Data* carries one
//! message; *ack* carries none. Both acknowledge. A receiver keeps messages that come ahead of a gap, hands all out in
//! order and once, and acknowledges after 4 messages or 100 ms, but at once when there is a gap, when the gap is filled,
//! or when a message comes again. It does not acknowledge what lies 16 or more beyond the last message handed out. A
//! sender repeats a message when one transmitted at least 2 frames later has been acknowledged, or after the
//! retransmission timeout (RFC 6298, 0.3 to 3 s, doubled on expiry, restarted by each acknowledgement that acknowledges
//! something new). A side that has sent nothing for 1 s sends an ack. After 10 s without a frame of the session it is over.
//!
//! **Payload of data**: one [`ToBox`] (from the host) or [`ToHost`] (from the box) in postcard's encoding (version 1 of
//! its wire format), with nothing behind it.
//!
//! # The conversation
//!
//! The host asks for one thing at a time.
//!
//! - *Image*: `Begin`, `Chunk`s in order without gaps, `End`. The box may answer `Progress` at any time and ends with one
//!   of `Result`, `Refused`, `Failed`. If that comes before `End`, the host stops sending and the box ignores the rest.
//!   `Cancel` is possible until the answer has come; the host then ignores everything up to `Cancelled`. The box drops with
//!   `Failed(Timeout)` an image of which nothing has arrived for 8 s, or, from 30 s after its `Begin` on, less over its whole
//!   than a tenth of the line's speed.
//! - *Update*: `Update`, `Chunk`s of an ONNX file in order without gaps, `End`. The box may answer `Progress` at any time
//!   and ends with one of `Installed`, `ModelRefused`, `Failed`; after the last two it keeps the model that it has. Until
//!   `End` all is as with an image. From then on the box installs, after the images that it still has to judge, and takes
//!   no message before it has answered: a `Cancel` that comes meanwhile changes nothing but is answered by `Cancelled`, and
//!   a host that cannot wait for the answer learns from `Info` which model the box has. A site file, a clinic's own settings, is an
//!   update, too: its bytes begin as those of a signed model, and its signature says what it is of. It ends in `Installed`,
//!   `SiteRefused` or `Failed`, and `Site` says what the box has.
//! - *Piece*: `Piece`, `Chunk`s in order without gaps, `End`. A bundle, the box's whole program, is sent in pieces, each a
//!   request of its own, so that an image can come between two of them, and a bundle goes on where it was cut off. The box
//!   answers with `PieceStored` once the piece is on its disk, which says where the next one begins; with `SoftwareRefused`,
//!   after which nothing of the bundle is left; or with `Failed`. A piece that does not begin where the last one ended is not
//!   kept, and answered like one that is. Until `End` all is as with an image. The last piece is answered when the bundle was
//!   checked and put into the other slot, with `Progress` meanwhile; the box takes no message before. A host that cannot wait
//!   for that learns from `Software` what became of it. If another host has been turned away within the last 1.2 s, a `Piece`
//!   is answered by `Failed(Busy)`, and holds the box no longer: that host's next hello is welcome.
//! - *Question*: `Info` → `Info`. `SetClock` → `ClockSet`. `ShowCode` → `CodeShown`. `Pair` → `Paired`. `StoredResult` →
//!   `StoredResult`, the first record of an image from a number on. `Software` → `Software`, how much the box has of a bundle,
//!   which program runs, and what became of the last bundle. `Site` → `Site`, which settings somebody has sent, and the keys that a
//!   person has added. Or `Failed`.
//! - *Screenshot*: `Screenshot` → `ScreenshotBegin`, `Chunk`s of a PNG file. Or `Failed`.
//! - *Results*: `Results` → `Record`s with rising numbers, those passed over that the box keeps no longer, `RecordsEnd`. It
//!   may also end in `Failed`.
//! - *Entries*: the same of `Entries` → `Entry`s, in which events are among the results, and each has the digest of the one
//!   before. Results that have none come first, as `Record`s. `RecordsEnd`.
//! - A box may keep *Results*, *Entries* and *Screenshot* from a host until it has paired in this session, and answers
//!   `Failed(NotPaired)`: the host asks for a code (`ShowCode`), somebody reads it on the screen, the host sends it (`Pair`).
//!   Whoever knows an image may always ask for its result (`StoredResult`).
//! - A message that cannot be decoded or is out of turn is answered by `Failed(Protocol)`, and the image, update or piece
//!   in transit is dropped; the session continues.
//!
//! # The interface
//!
//! [`HostSession`] and [`BoxSession`] are state machines. Both are driven by the same loop, with the time in
//! milliseconds of any monotonic clock:
//!
//! ```
//! use shared::contract::InputContract;
//! use wire::{BoxSession, HostEvent, HostSession, MAX_FRAME};
//!
//! let contract = InputContract::stretched(64);
//! let (mut host, mut device) = (HostSession::new(0, 4711), BoxSession::new(contract));
//! let mut frame = [0; MAX_FRAME];
//! for now in 0..10 {
//!     while let length @ 1.. = host.poll_transmit(now, &mut frame) {
//!         device.receive(now, &frame[..length]); // here: the line
//!     }
//!     while let Some(_event) = device.event(now) {} // here: the box program answers
//!     while let length @ 1.. = device.poll_transmit(now, &mut frame) {
//!         host.receive(now, &frame[..length]);
//!     }
//!     while let Some(event) = host.event(now) {
//!         assert_eq!(event, HostEvent::Connected);
//!         return;
//!     }
//! }
//! panic!("not connected");
//! ```
//!
//! Between two rounds a program waits for bytes until `next_deadline`. It may write a frame to the line whenever the line
//! takes it, and it must not stay away for longer than a second, or its peer takes it for gone after ten.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod assembly;
mod box_session;
mod codec;
mod entry;
mod frame;
mod host_session;
mod image;
mod message;
mod question;
#[cfg(test)]
mod tests;
mod timing;
mod transport;

pub use assembly::{BundlePiece, Dropped, ModelFile};
pub use box_session::{BoxEvent, BoxSession, Outcome, Reply};
pub use entry::{Content, Event, EventKind, Linked, Listed};
pub use frame::*;
pub use host_session::{HostError, HostEvent, HostSession, Request, RequestError};
pub use image::{Image, Prepared};
pub use message::*;
pub use question::{Answer, Question};
pub use timing::{
    ANSWER_WITHIN_MS, CONFIRM_WITHIN_MS, CONNECT_FOR_MS, DEAD_AFTER_MS, GIVE_UP_AFTER_MS, HELLO_EVERY_MS,
    IDLE_AFTER_MS, IMAGE_SILENCE_MS, KEEP_ALIVE_MS, SLOWEST_BYTES_PER_SECOND, TAKEOVER_AFTER_MS, TURNED_AWAY_MS,
};
pub use transport::{Counters, Down, Transport, TransportEvent, WINDOW, WindowFull};
