//! PDUs over a connection (PS3.8, 9.3): each whole, within its time and its length, or not at all.
//!
//! `dicom-ul` says what the bytes of a PDU mean. It waits for as many as the length of a PDU says and gives each read a time of
//! its own, so that a byte now and then would hold a place for ever: here the length is looked at first, and the whole PDU has to
//! come in the time that a slow line takes.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::linux::net::TcpStreamExt as _,
    time::{Duration, Instant},
};

use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, Pdu, read_pdu, write_pdu};

use crate::{accept::Ending, known::known, timed::Timed};

/// Most bytes of a PDU after its head.
pub const MAX_PDU: u32 = 128 * 1024;
/// Bytes a second of the slowest line.
pub(crate) const SLOWEST: u64 = 16 * 1024;
/// How long a PDU may take: this, and its bytes at the speed of the slowest line.
const PDU: Duration = Duration::from_secs(5);
/// How long an answer may take to be read.
const ANSWER: Duration = Duration::from_secs(5);
/// How long, and for how many bytes, what still comes at the end is read, so that the last answer is not lost.
const REST: Duration = Duration::from_secs(2);
const REST_BYTES: u64 = 1 << 20;
/// How often it is asked whether all is to end.
const TICK: Duration = Duration::from_millis(200);

/// Why an association ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Released,
    /// Nothing has come in its time.
    Idle,
    /// The other end has aborted it.
    Aborted,
    /// The connection is gone.
    Gone,
    /// An answer does not get through.
    Unheard,
    /// Too little has come in its time.
    Slow,
    /// What came is not of the protocol.
    Malformed,
    /// Far more has come than a film may have.
    TooMuch,
    /// This program ends.
    Stopped,
}

/// A connection.
pub struct Line<'a> {
    stream: &'a TcpStream,
    ending: &'a dyn Ending,
}

impl<'a> Line<'a> {
    /// Over this connection, until all is to end.
    pub fn new(stream: &'a TcpStream, ending: &'a dyn Ending) -> Self {
        Self { stream, ending }
    }

    /// The next PDU. It begins within this time, and comes no slower than over the slowest line.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read(&self, begins_before: Instant) -> Result<Pdu, End> {
        let mut head = [0; 6];
        let (first, others) = head.split_at_mut(1);
        self.fill(first, begins_before).map_err(|end| if end == End::Slow { End::Idle } else { end })?;
        self.fill(others, begins_before)?;
        let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
        if length > MAX_PDU {
            return Err(End::Malformed);
        }
        let mut bytes = vec![0; head.len() + length as usize];
        let (start, rest) = bytes.split_at_mut(head.len());
        start.copy_from_slice(&head);
        self.fill(rest, Instant::now() + PDU + at_speed(length as usize, SLOWEST))?;
        read_pdu(known(bytes).as_slice(), MAX_PDU, true).ok().flatten().ok_or(End::Malformed)
    }

    fn fill(&self, mut buffer: &mut [u8], until: Instant) -> Result<(), End> {
        let mut stream = self.stream;
        while !buffer.is_empty() {
            if self.ending.asked() {
                return Err(End::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(End::Slow);
            }
            stream.set_read_timeout(Some(left.min(TICK))).map_err(|_| End::Gone)?;
            // Many consoles send the end of a message only once what came before is acknowledged, for which 40 ms are taken.
            let _ = stream.set_quickack(true);
            match stream.read(buffer) {
                Ok(0) => return Err(End::Gone),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) if passes(&error) => {}
                Err(_) => return Err(End::Gone),
            }
        }
        Ok(())
    }

    /// Sends a PDU.
    ///
    /// # Errors
    /// It does not get through.
    pub fn write(&self, pdu: &Pdu) -> Result<(), End> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| End::Unheard)?;
        Timed::new(self.stream, ANSWER).write_all(&bytes).map_err(|_| End::Unheard)
    }

    /// Ends the association in the middle.
    pub fn abort(&self, reason: AbortRQServiceProviderReason) {
        let _ = self.write(&Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) });
        self.close();
    }

    /// Ends the connection after the last answer: with bytes unread, closing would take that back.
    pub fn close(&self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() && !self.ending.asked() {
            let _ = io::copy(&mut Timed::new(self.stream, REST).take(REST_BYTES), &mut io::sink());
        }
    }
}

/// Whether an error only says that nothing has come yet.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// How long so many bytes take at so many bytes a second.
pub(crate) fn at_speed(bytes: usize, speed: u64) -> Duration {
    Duration::from_millis(bytes as u64 * 1000 / speed.max(1))
}
