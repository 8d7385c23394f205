//! A line within the box: a film that comes from the box itself goes the way of every film.
//!
//! Whoever has such a film, from a memory stick for example, is a host like any other: it speaks the protocol of [`wire`] over a
//! pair of sockets, one end of which is a line of the [runtime](crate::runtime::Runtime::add_line). So there is one way to a
//! verdict, with the same screens, the same journal, the same limits and the same rule of who has the box.

use std::{
    fs::File,
    io::{self, Read, Write},
    ops::Range,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use shared::verdict::{Digest, Fault, SoftwareRefusal};
use wire::{
    Answer, BundlePiece, HostError, HostEvent, HostSession, Image, MAX_FRAME, Outcome, Question, Request, SoftwareState,
};

/// Longest time between two looks at the clock.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How long bytes wait for room at a time. Meanwhile nothing is read.
const WRITE_WITHIN: Duration = Duration::from_millis(10);
/// How long the end of a session may take to be told.
const CLOSING: Duration = Duration::from_secs(1);

/// Why a film, a piece of a bundle or a question is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InnerError {
    /// another host has held the box all the time
    #[error("another host is using the box: wait until it has finished, then try again")]
    Busy,
    /// nobody serves the line
    #[error("the box does not serve the line within it: start it again")]
    Gone,
    /// the session has ended before the answer
    #[error("what was sent from within the box is not answered: {0}")]
    Lost(HostError),
}

impl From<HostError> for InnerError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Busy => Self::Busy,
            HostError::NoAnswer => Self::Gone,
            error => Self::Lost(error),
        }
    }
}

/// What has become of a piece of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceOutcome {
    /// There are so many bytes of the bundle; of all of them, it is in the other slot.
    Stored(u32),
    /// The bundle is not taken.
    Refused(SoftwareRefusal),
    /// It cannot be kept now.
    Failed(Fault),
}

/// The box's end of a line within it, for [`crate::runtime::Runtime::add_line`].
#[derive(Debug)]
pub struct End(UnixStream);

impl End {
    /// Both directions.
    pub(crate) fn files(self) -> io::Result<(File, File)> {
        let writer = self.0.try_clone()?;
        Ok((OwnedFd::from(self.0).into(), OwnedFd::from(writer).into()))
    }
}

/// The sender's end of a line within the box.
#[derive(Debug)]
pub struct Sender {
    stream: UnixStream,
    /// The name of the last session.
    session: u32,
}

/// A new line: one for each source of films.
pub fn line() -> io::Result<(Sender, End)> {
    let (sender, end) = UnixStream::pair()?;
    Ok((Sender::new(sender), End(end)))
}

impl Sender {
    /// Sends over one end of a pair, whose other end the box serves.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, session: first_session() }
    }

    /// Has a film judged. While another host holds the box it tries again, for `patience` at most. The clock of the box is not
    /// set, and no age is overridden: nobody is there who could answer for that.
    pub fn judge(&mut self, image: Image, patience: Duration) -> Result<Outcome, InnerError> {
        self.converse(patience, |conversation| conversation.judge(image.of_any_age(false)))
    }

    /// Whether one of the last results is of the film with this digest, as far as the box can tell. Tries again like [`Self::judge`].
    pub fn has_result(&mut self, image: Digest, patience: Duration) -> Result<bool, InnerError> {
        self.converse(patience, |conversation| conversation.has_result(image))
    }

    /// How much the box has of a bundle, and what became of the last one. Tries again like [`Self::judge`].
    pub fn software(&mut self, bundle: Digest, total: u32, patience: Duration) -> Result<SoftwareState, InnerError> {
        self.converse(patience, |conversation| conversation.software(bundle, total))
    }

    /// Hands over a piece of a bundle, in a session of its own, so that others come between two pieces; with the last one it waits until
    /// the bundle is in the other slot. Tries again like [`Self::judge`].
    pub fn piece(&mut self, piece: BundlePiece, patience: Duration) -> Result<PieceOutcome, InnerError> {
        self.converse(patience, |conversation| conversation.piece(piece))
    }

    /// A session of its own.
    fn converse<T>(
        &mut self,
        patience: Duration,
        about: impl FnOnce(&mut Conversation<'_>) -> Result<T, InnerError>,
    ) -> Result<T, InnerError> {
        self.session = self.session.wrapping_add(1);
        let mut conversation = Conversation::begin(&self.stream, self.session, patience)?;
        let answer = about(&mut conversation);
        conversation.end();
        answer
    }
}

/// A name that no session of another start has, as far as the kernel can tell.
fn first_session() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(4) => u32::from_le_bytes(bytes),
        _ => std::process::id(),
    }
}

/// A session for one film or question, so that the box is free again after it.
struct Conversation<'a> {
    stream: &'a UnixStream,
    session: HostSession,
    start: Instant,
    frame: [u8; MAX_FRAME],
    unwritten: Range<usize>,
}

impl<'a> Conversation<'a> {
    fn begin(stream: &'a UnixStream, session: u32, patience: Duration) -> Result<Self, InnerError> {
        stream.set_write_timeout(Some(WRITE_WITHIN)).map_err(|_| InnerError::Gone)?;
        // It says hello again and again for so long.
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let session = HostSession::within(0, session, patience);
        Ok(Self { stream, session, start: Instant::now(), frame: [0; MAX_FRAME], unwritten: 0..0 })
    }

    fn request(&mut self, request: Request) -> Result<(), InnerError> {
        match self.event()? {
            HostEvent::Connected => {}
            _ => return Err(HostError::Protocol.into()),
        }
        let now = self.now();
        self.session.request(now, request).map_err(|_| HostError::Closed.into())
    }

    fn has_result(&mut self, image: Digest) -> Result<bool, InnerError> {
        self.request(Request::Ask(Question::StoredResult { image, from: 1 }))?;
        match self.event()? {
            HostEvent::Answer(Answer::StoredResult(record)) => Ok(record.is_some()),
            // A journal that cannot be read says so by itself, and keeps no film from being judged.
            HostEvent::Failed(_) => Ok(false),
            _ => Err(HostError::Protocol.into()),
        }
    }

    fn judge(&mut self, image: Image) -> Result<Outcome, InnerError> {
        self.request(Request::Image(image))?;
        loop {
            match self.event()? {
                HostEvent::Sent { .. } | HostEvent::Progress { .. } => {}
                HostEvent::Outcome(outcome) => return Ok(outcome),
                _ => return Err(HostError::Protocol.into()),
            }
        }
    }

    fn software(&mut self, bundle: Digest, total: u32) -> Result<SoftwareState, InnerError> {
        self.request(Request::Ask(Question::Software { bundle, total }))?;
        match self.event()? {
            HostEvent::Answer(Answer::Software(state)) => Ok(state),
            _ => Err(HostError::Protocol.into()),
        }
    }

    fn piece(&mut self, piece: BundlePiece) -> Result<PieceOutcome, InnerError> {
        self.request(Request::Piece(piece))?;
        loop {
            match self.event()? {
                HostEvent::Sent { .. } | HostEvent::Progress { .. } => {}
                HostEvent::PieceStored { next } => return Ok(PieceOutcome::Stored(next)),
                HostEvent::SoftwareRefused(refusal) => return Ok(PieceOutcome::Refused(refusal)),
                HostEvent::Failed(fault) => return Ok(PieceOutcome::Failed(fault)),
                _ => return Err(HostError::Protocol.into()),
            }
        }
    }

    fn event(&mut self) -> Result<HostEvent, InnerError> {
        loop {
            match self.session.event(self.now()) {
                Some(HostEvent::Down(error)) => return Err(error.into()),
                Some(event) => return Ok(event),
                None => self.exchange().map_err(|_| InnerError::Gone)?,
            }
        }
    }

    /// Writes what there is room for, then waits for bytes until the session needs attention.
    fn exchange(&mut self) -> io::Result<()> {
        self.write()?;
        let wait = if self.unwritten.is_empty() {
            let due = self.session.next_deadline().unwrap_or(u64::MAX).saturating_sub(self.now());
            Duration::from_millis(due.max(1)).min(LONGEST_WAIT)
        } else {
            Duration::from_millis(1)
        };
        self.stream.set_read_timeout(Some(wait))?;
        let mut stream = self.stream;
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => Err(io::ErrorKind::BrokenPipe.into()),
            Ok(count) => {
                let now = self.now();
                self.session.receive(now, &bytes[..count]);
                Ok(())
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut stream = self.stream;
        loop {
            if self.unwritten.is_empty() {
                let now = self.now();
                self.unwritten = 0..self.session.poll_transmit(now, &mut self.frame);
                if self.unwritten.is_empty() {
                    return Ok(());
                }
            }
            match stream.write(&self.frame[self.unwritten.clone()]) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(count) => self.unwritten.start += count,
                Err(error) if is_passing(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the box that the session is over, so that it need not find out.
    fn end(&mut self) {
        self.session.close();
        let until = Instant::now() + CLOSING;
        while self.write().is_ok() && !self.unwritten.is_empty() && Instant::now() < until {}
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use shared::{
        contract::InputContract,
        verdict::{ExamId, Fault, Refusal},
    };
    use wire::{BoxEvent, BoxSession, Reply};

    use super::*;

    fn image() -> Image {
        Image::file(vec![7; 20_000], ExamId::default()).unwrap()
    }

    /// A box that answers so many images with a refusal, and then is gone.
    fn answering(end: End, count: usize) -> thread::JoinHandle<usize> {
        thread::spawn(move || {
            let mut session = BoxSession::new(InputContract::stretched(16));
            let (mut reader, mut writer) = end.files().unwrap();
            let start = Instant::now();
            let (mut frame, mut bytes) = ([0; MAX_FRAME], [0; 4096]);
            let (mut answered, mut closed) = (0, 0);
            while closed < count {
                let now = start.elapsed().as_millis() as u64;
                while let Some(event) = session.event(now) {
                    match event {
                        BoxEvent::Image(image) => {
                            assert!(!image.begin.any_age && image.begin.exam == ExamId::default());
                            answered += 1;
                            session.reply(Reply::Outcome(Outcome::Refused(Refusal::TooSmall)));
                        }
                        BoxEvent::Asked(Question::StoredResult { image, from: 1 }) => {
                            answered += 1;
                            session.reply(if image == Digest::of(b"damaged") {
                                Reply::Failed(Fault::Storage)
                            } else {
                                Reply::Answer(Answer::StoredResult(None))
                            });
                        }
                        BoxEvent::HostGone => closed += 1,
                        _ => {}
                    }
                }
                while let length @ 1.. = session.poll_transmit(now, &mut frame) {
                    writer.write_all(&frame[..length]).unwrap();
                }
                if closed < count {
                    let read = reader.read(&mut bytes).unwrap();
                    session.receive(start.elapsed().as_millis() as u64, &bytes[..read]);
                }
            }
            answered
        })
    }

    #[test]
    fn films_are_answered_one_after_the_other_and_each_leaves_the_box_free() {
        let (mut sender, end) = line().unwrap();
        let served = answering(end, 5);
        for _ in 0..3 {
            let outcome = sender.judge(image(), Duration::from_secs(60)).unwrap();
            assert_eq!(outcome, Outcome::Refused(Refusal::TooSmall));
        }
        for bytes in [&b"film"[..], b"damaged"] {
            assert_eq!(sender.has_result(Digest::of(bytes), Duration::from_secs(60)), Ok(false));
        }
        assert_eq!(served.join().unwrap(), 5);
        assert_eq!(sender.judge(image(), Duration::from_secs(60)), Err(InnerError::Gone), "nobody is there any more");
    }

    #[test]
    fn a_box_that_says_nothing_is_given_up_after_a_while() {
        let (mut sender, _end) = line().unwrap();
        assert_eq!(sender.judge(image(), Duration::from_millis(300)), Err(InnerError::Gone));
    }
}
