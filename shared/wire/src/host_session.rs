//! The conversation as the host holds it: requests in, events out.

use alloc::{boxed::Box, vec::Vec};
use core::mem;

use super::{
    assembly::{BundlePiece, ModelFile},
    box_session::Outcome,
    codec,
    entry::Listed,
    frame::{Greeting, MAX_FRAME},
    image::Image,
    message::{CHUNK, Chunk, Installed, Phase, ToBox, ToHost, Update},
    question::{Answer, Question},
    timing::{GIVE_UP_AFTER_MS, SLOWEST_BYTES_PER_SECOND},
    transport::{Counters, Down, Transport, TransportEvent},
};
use shared::{
    limits::MAX_SCREEN_BYTES,
    verdict::{Digest, Fault, ModelRefusal, ResultRecord, SiteRefusal, SoftwareRefusal},
};

/// What a host asks of the box, one thing at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A question; leads to [`HostEvent::Answer`].
    Ask(Question),
    /// Judge this image; leads to [`HostEvent::Outcome`].
    Image(Image),
    /// Judge by this model from now on, or have these settings from the next start on; leads to [`HostEvent::Installed`],
    /// [`HostEvent::ModelRefused`] or [`HostEvent::SiteRefused`].
    Update(ModelFile),
    /// Keep this piece of a bundle; leads to [`HostEvent::PieceStored`] or [`HostEvent::SoftwareRefused`].
    Piece(BundlePiece),
    /// Stored results; leads to [`HostEvent::Record`], then [`HostEvent::RecordsEnd`].
    Results {
        /// First record wanted, from 1.
        from: u64,
        /// Most records wanted.
        limit: u16,
    },
    /// Entries of the journal, results and events; leads to [`HostEvent::Entry`], then [`HostEvent::RecordsEnd`].
    Entries {
        /// First entry wanted, from 1.
        from: u64,
        /// Most entries wanted.
        limit: u16,
    },
    /// The picture on the screen; leads to [`HostEvent::Screenshot`].
    Screenshot,
}

/// What the host program learns.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// The box has answered: requests can be made.
    Connected,
    /// Bytes of the image, update or piece that the box has acknowledged.
    Sent {
        /// Bytes done.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// What the box is doing with the image, update or piece.
    Progress {
        /// The phase.
        phase: Phase,
        /// Bytes done.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The image is answered.
    Outcome(Outcome),
    /// The box has installed the update.
    Installed(Installed),
    /// The box keeps the model that it has.
    ModelRefused(ModelRefusal),
    /// The box keeps the settings that it has.
    SiteRefused(SiteRefusal),
    /// The box has kept the piece, and has so many bytes of the bundle; of all of them, it has put the bundle into its other
    /// slot.
    PieceStored {
        /// Where the next piece begins.
        next: u32,
    },
    /// The box does not take the bundle.
    SoftwareRefused(SoftwareRefusal),
    /// The image, update or piece has been given up. An update that was complete may have been carried out anyway.
    Cancelled,
    /// The question is answered.
    Answer(Answer),
    /// A stored result.
    Record(ResultRecord),
    /// An entry of the journal.
    Entry(Listed),
    /// The last of the stored results or entries asked for.
    RecordsEnd,
    /// The picture on the screen: a PNG file, its digest checked.
    Screenshot(Vec<u8>),
    /// The box could not do what was asked (other than an image).
    Failed(Fault),
    /// The session is over; make another one.
    Down(HostError),
}

/// Why there is no session with the box. The text says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No hello has been answered.
    #[error("no box answers on this port: check the cable, the port, the baud rate and that the box is on")]
    NoAnswer,
    /// The box has answered every hello by saying that it has another session.
    #[error("another host is using the box: wait until it has finished")]
    Busy,
    /// The greetings of host and box differ.
    #[error(
        "host and box speak different versions (host {}/{:016x}, box {}/{:016x}): update both to the same release",
        ours.version, ours.schema, theirs.version, theirs.schema
    )]
    Incompatible {
        /// What this program speaks.
        ours: Greeting,
        /// What the box speaks.
        theirs: Greeting,
    },
    /// The box has reset the session, or does not know it.
    #[error("the box has ended the session, it may have been restarted, or serve another host by now: send again")]
    Closed,
    /// No frame of the session has come for [`super::DEAD_AFTER_MS`].
    #[error("the box has fallen silent: check the cable and that the box is on, then send again")]
    Silent,
    /// Frames come, but no step with the request within [`HostSession::set_answer_within`].
    #[error("the box does not answer the request in time: look at its screen, restart it if it hangs, then send again")]
    Timeout,
    /// A message cannot be decoded, or does not answer what was asked.
    #[error("the box sent an unexpected message: update host and box to the same release")]
    Protocol,
}

/// A request that cannot be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Before [`HostEvent::Connected`], or after [`HostEvent::Down`].
    #[error("not connected to the box: connect first")]
    NotConnected,
    /// Before the last request is answered.
    #[error("the last request is not yet answered: wait for its answer")]
    Pending,
}

enum Task {
    Idle,
    Asking(Question),
    Results,
    Entries,
    Screenshot,
    ScreenshotChunks { length: u32, digest: Digest, bytes: Vec<u8> },
    Sending(Box<Sending>),
    Cancelling { told: bool },
}

struct Sending {
    /// What announces the bytes; `None` once it is sent.
    announcement: Option<ToBox>,
    bytes: Vec<u8>,
    what: What,
    offset: usize,
    ended: bool,
    /// The furthest phase that the box has told.
    phase: Option<Phase>,
    /// Bytes that [`HostEvent::Sent`] has reported.
    told: Option<u32>,
}

/// What is sent in chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Image,
    Update,
    Piece,
}

impl Sending {
    fn begun(&self) -> bool {
        self.announcement.is_none()
    }
}

/// The host's side of the line.
pub struct HostSession {
    transport: Transport,
    task: Task,
    answer_within: u64,
    /// Bytes a second that the line carries at least.
    slowest: u64,
    /// Last step forward that the box took with the request.
    step_at: u64,
    /// When the request counts as unanswered, whatever steps the box takes.
    until: u64,
    /// All of the last image, update or piece has been handed to the line: the box may act on it.
    sent_whole: bool,
}

/// A record is a message of at most this many bytes.
const RECORD_BYTES: u64 = 300;

impl HostSession {
    /// Starts to say hello. The nonce names the session and should be random.
    pub fn new(now: u64, nonce: u32) -> Self {
        Self::over(Transport::connect(now, nonce), now)
    }

    /// The same, but gives up after this many milliseconds without a session, instead of [`super::CONNECT_FOR_MS`].
    pub fn within(now: u64, nonce: u32, milliseconds: u64) -> Self {
        Self::over(Transport::connect_within(now, nonce, milliseconds), now)
    }

    pub(super) fn over(transport: Transport, now: u64) -> Self {
        let (answer_within, slowest) = (GIVE_UP_AFTER_MS, SLOWEST_BYTES_PER_SECOND);
        Self { transport, task: Task::Idle, answer_within, slowest, step_at: now, until: u64::MAX, sent_whole: false }
    }

    /// Waits this many milliseconds, instead of [`GIVE_UP_AFTER_MS`], for the next step of the box with a request. A step is
    /// one forward: bytes that the box has taken, a phase that it has not told before, the next record or chunk.
    pub fn set_answer_within(&mut self, milliseconds: u64) {
        self.answer_within = milliseconds;
    }

    /// How many bytes a second the line carries at least. With it a request ends, whatever steps the box takes, once its
    /// bytes and its phases must long have been over.
    pub fn set_slowest(&mut self, bytes_per_second: u64) {
        self.slowest = bytes_per_second.max(1);
    }

    /// Whether all of the last image, update or piece has been handed to the line. Without its answer it is not known then what the
    /// box has made of it; before, the box cannot have acted on it.
    pub fn sent_whole(&self) -> bool {
        self.sent_whole
    }

    /// Starts the clocks of a request with this many bytes, in either direction.
    fn start(&mut self, now: u64, bytes: u64) {
        // One for the answer, one for each later phase.
        let steps = self.answer_within.saturating_mul(3);
        self.step_at = now;
        self.until = now.saturating_add(steps).saturating_add(bytes.saturating_mul(1000) / self.slowest);
        self.sent_whole = false;
    }

    fn deadline(&self) -> u64 {
        self.step_at.saturating_add(self.answer_within).min(self.until)
    }

    /// Takes bytes from the line.
    pub fn receive(&mut self, now: u64, bytes: &[u8]) {
        self.transport.receive(now, bytes);
    }

    /// Writes the next frame to transmit and returns its length, or 0 if there is none now. Call it until it returns 0,
    /// each time the line has room.
    pub fn poll_transmit(&mut self, now: u64, out: &mut [u8; MAX_FRAME]) -> usize {
        self.pump();
        self.transport.poll_transmit(now, out)
    }

    /// When [`Self::event`] and [`Self::poll_transmit`] must be called at the latest, even if nothing is received.
    pub fn next_deadline(&self) -> Option<u64> {
        let answer = (!matches!(self.task, Task::Idle)).then_some(self.deadline());
        [self.transport.next_deadline(), answer].into_iter().flatten().min()
    }

    /// How the line has done.
    pub fn counters(&self) -> Counters {
        self.transport.counters()
    }

    /// Makes a request; possible after [`HostEvent::Connected`] and after the answer to the last one.
    pub fn request(&mut self, now: u64, request: Request) -> Result<(), RequestError> {
        if !self.transport.is_open() {
            return Err(RequestError::NotConnected);
        }
        if !matches!(self.task, Task::Idle) {
            return Err(RequestError::Pending);
        }
        let (task, message) = match request {
            Request::Ask(question) => (Task::Asking(question), question.into()),
            Request::Results { from, limit } => (Task::Results, ToBox::Results { from, limit }),
            Request::Entries { from, limit } => (Task::Entries, ToBox::Entries { from, limit }),
            Request::Screenshot => (Task::Screenshot, ToBox::Screenshot),
            Request::Image(Image { begin, bytes }) => {
                self.send(now, ToBox::Begin(begin), bytes, What::Image);
                return Ok(());
            }
            Request::Update(ModelFile { digest, bytes }) => {
                // A length that does not fit is refused by the box.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                self.send(now, ToBox::Update(Update { length, digest }), bytes, What::Update);
                return Ok(());
            }
            Request::Piece(BundlePiece { piece, bytes }) => {
                self.send(now, ToBox::Piece(piece), bytes, What::Piece);
                return Ok(());
            }
        };
        codec::send(&mut self.transport, &message).map_err(|_| RequestError::Pending)?;
        self.start(
            now,
            match request {
                Request::Results { limit, .. } | Request::Entries { limit, .. } => u64::from(limit) * RECORD_BYTES,
                Request::Screenshot => u64::from(MAX_SCREEN_BYTES),
                _ => 0,
            },
        );
        self.task = task;
        Ok(())
    }

    fn send(&mut self, now: u64, announcement: ToBox, bytes: Vec<u8>, what: What) {
        let announcement = Some(announcement);
        self.start(now, bytes.len() as u64);
        let sending = Sending { announcement, bytes, what, offset: 0, ended: false, phase: None, told: None };
        self.task = Task::Sending(Box::new(sending));
        self.pump();
    }

    /// Gives up the image, update or piece that is being sent; leads to [`HostEvent::Cancelled`].
    pub fn cancel(&mut self) {
        if let Task::Sending(sending) = &self.task {
            self.task = if sending.begun() { Task::Cancelling { told: false } } else { Task::Idle };
            self.pump();
        }
    }

    /// Ends the session; call [`Self::poll_transmit`] until it returns 0 so that the box learns it.
    pub fn close(&mut self) {
        self.task = Task::Idle;
        self.transport.close();
    }

    /// The next event. Call it until it returns `None`, after [`Self::receive`] and at each deadline.
    pub fn event(&mut self, now: u64) -> Option<HostEvent> {
        match self.transport.take_event() {
            Some(TransportEvent::Up) => return Some(HostEvent::Connected),
            Some(TransportEvent::Down(down)) => {
                self.task = Task::Idle;
                return Some(HostEvent::Down(match down {
                    Down::NoAnswer => HostError::NoAnswer,
                    Down::Busy => HostError::Busy,
                    Down::Incompatible(theirs) => HostError::Incompatible { ours: Greeting::ours(), theirs },
                    Down::Silent => HostError::Silent,
                    Down::Closed | Down::TakenOver => HostError::Closed,
                }));
            }
            None => {}
        }
        // Before the messages, so that the arrival of the whole image or update is reported before its answer.
        if let Some(sent) = self.sent() {
            self.step_at = now;
            return Some(sent);
        }
        while let Some(payload) = self.transport.take_message() {
            let Some(message) = codec::decode(&payload) else {
                return Some(self.abandon(HostError::Protocol));
            };
            if self.is_forward(&message) {
                self.step_at = now;
            }
            match self.handle(message) {
                Ok(None) => {}
                Ok(event) => return event,
                Err(error) => return Some(self.abandon(error)),
            }
        }
        self.pump();
        let waiting = !matches!(self.task, Task::Idle);
        (waiting && now >= self.deadline()).then(|| self.abandon(HostError::Timeout))
    }

    /// Whether a message is a step forward with the request, and not one that could be repeated for ever.
    fn is_forward(&mut self, message: &ToHost) -> bool {
        match (&mut self.task, message) {
            (Task::Sending(sending), ToHost::Progress { phase, .. }) => {
                let before = sending.phase.replace(*phase);
                let forward = before.is_none_or(|before| before < *phase);
                sending.phase = sending.phase.max(before);
                forward
            }
            (Task::Cancelling { .. }, _) => false,
            _ => true,
        }
    }

    fn abandon(&mut self, error: HostError) -> HostEvent {
        self.close();
        HostEvent::Down(error)
    }

    fn handle(&mut self, message: ToHost) -> Result<Option<HostEvent>, HostError> {
        let event = match (mem::replace(&mut self.task, Task::Idle), message) {
            (
                Task::Asking(_) | Task::Results | Task::Entries | Task::Screenshot | Task::ScreenshotChunks { .. },
                ToHost::Failed(fault),
            ) => HostEvent::Failed(fault),
            (Task::Asking(question), message) => {
                HostEvent::Answer(question.answer(message).ok_or(HostError::Protocol)?)
            }
            (Task::Results | Task::Entries, ToHost::RecordsEnd) => HostEvent::RecordsEnd,
            (Task::Results, ToHost::Record(record)) => {
                self.task = Task::Results;
                HostEvent::Record(record)
            }
            (Task::Entries, ToHost::Record(record)) => {
                self.task = Task::Entries;
                HostEvent::Entry(Listed::Unlinked(record))
            }
            (Task::Entries, ToHost::Entry(linked)) => {
                self.task = Task::Entries;
                HostEvent::Entry(Listed::Linked(linked))
            }
            (Task::Screenshot, ToHost::ScreenshotBegin { length, digest })
                if (1..=MAX_SCREEN_BYTES).contains(&length) =>
            {
                self.task = Task::ScreenshotChunks { length, digest, bytes: Vec::new() };
                return Ok(None);
            }
            (Task::ScreenshotChunks { length, digest, bytes }, ToHost::Chunk(chunk)) => {
                return self.screenshot_chunk(length, digest, bytes, &chunk);
            }
            (task @ Task::Sending(_), ToHost::Progress { phase, done, total }) => {
                self.task = task;
                HostEvent::Progress { phase, done, total }
            }
            (Task::Sending(sending), ToHost::Installed(installed)) if sending.what == What::Update && sending.ended => {
                HostEvent::Installed(installed)
            }
            (Task::Sending(sending), ToHost::ModelRefused(refusal))
                if sending.what == What::Update && sending.begun() =>
            {
                HostEvent::ModelRefused(refusal)
            }
            (Task::Sending(sending), ToHost::SiteRefused(refusal)) if sending.what == What::Update && sending.ended => {
                HostEvent::SiteRefused(refusal)
            }
            (Task::Sending(sending), ToHost::PieceStored { next }) if sending.what == What::Piece && sending.ended => {
                HostEvent::PieceStored { next }
            }
            (Task::Sending(sending), ToHost::SoftwareRefused(refusal))
                if sending.what == What::Piece && sending.begun() =>
            {
                HostEvent::SoftwareRefused(refusal)
            }
            (Task::Sending(sending), ToHost::Failed(fault)) if sending.what != What::Image && sending.begun() => {
                HostEvent::Failed(fault)
            }
            (Task::Sending(sending), ToHost::Result(record)) if sending.what == What::Image && sending.ended => {
                HostEvent::Outcome(Outcome::Result(record))
            }
            (Task::Sending(sending), ToHost::Refused(refusal)) if sending.what == What::Image && sending.begun() => {
                HostEvent::Outcome(Outcome::Refused(refusal))
            }
            (Task::Sending(sending), ToHost::Failed(fault)) if sending.begun() => {
                HostEvent::Outcome(Outcome::Failed(fault))
            }
            (Task::Cancelling { .. }, ToHost::Cancelled) => HostEvent::Cancelled,
            // The box had answered before it learnt that what was sent is given up.
            (
                task @ Task::Cancelling { .. },
                ToHost::Progress { .. }
                | ToHost::Result(_)
                | ToHost::Refused(_)
                | ToHost::Installed(_)
                | ToHost::ModelRefused(_)
                | ToHost::SiteRefused(_)
                | ToHost::PieceStored { .. }
                | ToHost::SoftwareRefused(_)
                | ToHost::Failed(_),
            ) => {
                self.task = task;
                return Ok(None);
            }
            _ => return Err(HostError::Protocol),
        };
        Ok(Some(event))
    }

    fn screenshot_chunk(
        &mut self,
        length: u32,
        digest: Digest,
        mut bytes: Vec<u8>,
        chunk: &Chunk,
    ) -> Result<Option<HostEvent>, HostError> {
        let room = length as usize - bytes.len();
        if chunk.offset as usize != bytes.len() || chunk.data.is_empty() || chunk.data.len() > room {
            return Err(HostError::Protocol);
        }
        bytes.extend_from_slice(&chunk.data);
        if bytes.len() < length as usize {
            self.task = Task::ScreenshotChunks { length, digest, bytes };
            return Ok(None);
        }
        if Digest::of(&bytes) != digest {
            return Err(HostError::Protocol);
        }
        Ok(Some(HostEvent::Screenshot(bytes)))
    }

    /// Queues the next parts of an image, update or piece as there is room, one place kept for giving it up.
    fn pump(&mut self) {
        if let Task::Cancelling { told } = &mut self.task
            && !*told
        {
            *told = codec::send(&mut self.transport, &ToBox::Cancel).is_ok();
        }
        let Task::Sending(sending) = &mut self.task else { return };
        while self.transport.room() > 1 && !sending.ended {
            let rest = &sending.bytes[sending.offset..];
            let message = if let Some(announcement) = sending.announcement.take() {
                announcement
            } else if rest.is_empty() {
                sending.ended = true;
                self.sent_whole = true;
                ToBox::End
            } else {
                let Ok(data) = heapless::Vec::from_slice(&rest[..rest.len().min(CHUNK)]) else { return };
                let chunk = Chunk { offset: sending.offset as u32, data };
                sending.offset += chunk.data.len();
                ToBox::Chunk(chunk)
            };
            // There is room.
            let _ = codec::send(&mut self.transport, &message);
        }
    }

    fn sent(&mut self) -> Option<HostEvent> {
        let in_flight = self.transport.in_flight();
        let Task::Sending(sending) = &mut self.task else { return None };
        let total = u32::try_from(sending.bytes.len()).unwrap_or(u32::MAX);
        let in_flight = in_flight.saturating_sub(usize::from(sending.ended));
        let done = (sending.offset.saturating_sub(in_flight * CHUNK) as u32).min(total);
        (sending.told.is_none_or(|told| told < done)).then(|| {
            sending.told = Some(done);
            HostEvent::Sent { done, total }
        })
    }
}
