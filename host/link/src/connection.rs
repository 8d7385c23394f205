//! A session with the box over a serial port.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use base::interrupt;
use serialport::{ClearBuffer, SerialPort, TTYPort};
use shared::{
    appliance::line::least_bytes_a_second,
    verdict::{Digest, ModelRefusal, ResultRecord, SiteRefusal, SoftwareRefusal},
};
use wire::{
    Answer, BundlePiece, Counters, HostError, HostEvent, HostSession, Image, Info, Installed, Listed, MAX_FRAME,
    ModelFile, Outcome, Phase, Question, Request, SiteState, SoftwareState,
};

use super::{
    AnswerError, Awaited, LinkError, PortOptions,
    answer::{Known, check_entry, check_installed, check_record},
    port,
};

/// How long the program waits for bytes at most before it looks whether Ctrl-C was pressed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// How long a port is tried where none is named, in milliseconds: four hellos.
const PROBE_MS: u64 = 1_500;
/// How long the last frames of a session may take, beyond the time that the line needs for what is still to be sent.
const CLOSING: Duration = Duration::from_millis(300);
/// How long both may take at most: on the slowest line, a message and what lies in the system's buffers.
const LONGEST_CLOSING: Duration = Duration::from_secs(12);
/// How long the box may take to confirm that an image is given up.
const CANCELLING: Duration = Duration::from_secs(3);

/// How a PNG file begins (PNG 3rd edition, 5.2).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What happens to an image, a model or a piece of a bundle that is being sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sending {
    /// Bytes that the box has.
    Sent {
        /// Bytes done.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The box has taken this up.
    Phase(Phase),
}

/// An open session. Dropping it ends the session on the box.
pub struct Connection {
    port: TTYPort,
    /// The port's speed.
    baud: u32,
    session: HostSession,
    start: Instant,
    frame: [u8; MAX_FRAME],
    /// The part of `frame` that the port has not yet taken.
    unwritten: std::ops::Range<usize>,
    /// The box has answered.
    greeted: bool,
    /// What the box has said of itself, by which its answers are judged.
    known: Option<Known>,
    /// The answer that is due.
    awaited: Option<Awaited>,
}

/// Says hello on a port for a moment, to learn whether a box is there.
pub(super) fn probe(path: &Path, baud: u32) -> Result<(), LinkError> {
    Connection::greet(port::open(path, baud)?, baud, HostSession::within(0, nonce(), PROBE_MS)).map(drop)
}

fn nonce() -> u32 {
    // Keys of a fresh `RandomState` are random: enough to distinguish two hosts.
    RandomState::new().hash_one(std::process::id()) as u32
}

impl Connection {
    /// Finds the port, opens it and waits until the box answers. Ctrl-C is heard from here on.
    pub fn open(options: &PortOptions) -> Result<Self, LinkError> {
        let (path, baud) = options.resolve()?;
        interrupt::listen();
        Self::over(port::open(&path, baud)?, baud, options.timeout)
    }

    /// Waits until the box answers on a port of this speed. `timeout`: seconds that it may take for a step with a request.
    fn over(port: TTYPort, baud: u32, timeout: u64) -> Result<Self, LinkError> {
        let mut session = HostSession::new(0, nonce());
        session.set_answer_within(timeout * 1000);
        session.set_slowest(least_bytes_a_second(baud));
        Self::greet(port, baud, session)
    }

    fn greet(port: TTYPort, baud: u32, session: HostSession) -> Result<Self, LinkError> {
        let (start, frame) = (Instant::now(), [0; MAX_FRAME]);
        let (known, awaited) = (None, None);
        let mut this = Self { port, baud, session, start, frame, unwritten: 0..0, greeted: false, known, awaited };
        match this.next_event()? {
            HostEvent::Connected => {
                this.greeted = true;
                Ok(this)
            }
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// How the line has done.
    pub fn counters(&self) -> Counters {
        self.session.counters()
    }

    /// Asks what the box is. Its texts may hold anything: to be [`base::Shown`].
    pub fn info(&mut self) -> Result<Info, LinkError> {
        match self.ask(Question::Info)? {
            Answer::Info(info) => {
                self.known = Some(Known::new(info.clone())?);
                Ok(info)
            }
            _ => Err(HostError::Protocol.into()),
        }
    }

    fn known(&mut self) -> Result<&mut Known, LinkError> {
        if self.known.is_none() {
            self.info()?;
        }
        self.known.as_mut().ok_or(HostError::Protocol.into())
    }

    /// Sets the clock of the box.
    pub fn set_clock(&mut self, unix_seconds: u64) -> Result<(), LinkError> {
        match self.ask(Question::SetClock { unix_seconds })? {
            Answer::ClockSet => Ok(()),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Fetches the picture on the screen: it begins as a PNG file, and its digest is checked.
    pub fn screenshot(&mut self) -> Result<Vec<u8>, LinkError> {
        self.request(Request::Screenshot)?;
        match self.next_event()? {
            HostEvent::Screenshot(png) if png.starts_with(PNG) => Ok(png),
            HostEvent::Screenshot(_) => Err(AnswerError::Screenshot.into()),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Reads at most `limit` stored results from the number `from` on and returns how many there were. Each can be right by
    /// itself, and their numbers rise.
    pub fn results<E: From<LinkError>>(
        &mut self,
        from: u64,
        limit: u16,
        each: impl FnMut(ResultRecord) -> Result<(), E>,
    ) -> Result<u16, E> {
        self.request(Request::Results { from, limit })?;
        listed(limit, || self.next_event(), rising_records(from), each)
    }

    /// Reads at most `limit` entries of the journal from the entry `from` on, results and events, and returns how many there
    /// were. The numbers of the entries rise, and each result can be right by itself; see [`crate::Chain`] for the links.
    pub fn entries<E: From<LinkError>>(
        &mut self,
        from: u64,
        limit: u16,
        each: impl FnMut(Listed) -> Result<(), E>,
    ) -> Result<u16, E> {
        self.request(Request::Entries { from, limit })?;
        listed(limit, || self.next_event(), rising_entries(from), each)
    }

    /// Sends an image and waits for the answer, a result being held to what was sent and to what the box has said of itself.
    /// Ctrl-C gives the image up before the error is returned. After an error [`Self::awaited`] says whether the box may have
    /// judged all the same.
    pub fn send(&mut self, image: Image, mut progress: impl FnMut(Sending)) -> Result<Outcome, LinkError> {
        let awaited = self.known()?.awaited(&image);
        self.awaited = Some(awaited.clone());
        let outcome = match self.transfer(Request::Image(image), &mut progress)? {
            HostEvent::Outcome(outcome) => outcome,
            _ => return Err(HostError::Protocol.into()),
        };
        if let Outcome::Result(record) = &outcome {
            self.known()?.check(record, &awaited)?;
        }
        self.awaited = None;
        Ok(outcome)
    }

    /// What was sent whole to the box and not answered: it is not known whether the box has judged it.
    pub fn awaited(&self) -> Option<&Awaited> {
        self.awaited.as_ref().filter(|_| self.session.sent_whole())
    }

    /// True if a model was sent whole to the box: without an answer it is not known whether it is installed.
    pub fn sent_whole(&self) -> bool {
        self.session.sent_whole()
    }

    /// Asks for the stored answer to an image that was sent in an earlier session. It needs no code: whoever has the image may
    /// know its result.
    pub fn stored(&mut self, awaited: &Awaited) -> Result<Option<ResultRecord>, LinkError> {
        let (mut from, image) = (awaited.first(), awaited.image());
        loop {
            let record = match self.ask(Question::StoredResult { image, from })? {
                Answer::StoredResult(Some(record)) => record,
                Answer::StoredResult(None) => return Ok(None),
                _ => return Err(HostError::Protocol.into()),
            };
            check_record(&record, from)?;
            if record.image != image {
                return Err(AnswerError::Image.into());
            }
            if awaited.is(&record) {
                return Ok(Some(record));
            }
            // The same image in an earlier exam, or by another model.
            from = record.number.saturating_add(1);
        }
    }

    /// Asks for the stored answer that the box has given to an image in the same exam before, if it would give it now: by the
    /// same model and operating point.
    pub fn stored_before(&mut self, image: &Image) -> Result<Option<ResultRecord>, LinkError> {
        let known = self.known()?;
        let (awaited, point) = (known.awaited(image).at_any_time(), known.point());
        Ok(self.stored(&awaited)?.filter(|record| record.point == point))
    }

    /// Asks the box to show a code on its screen, for [`Self::pair`].
    pub fn show_code(&mut self) -> Result<(), LinkError> {
        match self.ask(Question::ShowCode)? {
            Answer::CodeShown => Ok(()),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Tells the box the code on its screen. From then on it hands out results and screenshots in this session. A wrong code is
    /// [`shared::verdict::Fault::NotPaired`].
    pub fn pair(&mut self, code: u32) -> Result<(), LinkError> {
        match self.ask(Question::Pair { code })? {
            Answer::Paired => Ok(()),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Sends a model and waits for the answer. Ctrl-C gives it up before the error is returned; the box may have taken it by
    /// then. `model` is the digest of the model itself, without what comes with it, to which
    /// the answer is held.
    pub fn update(
        &mut self,
        file: ModelFile,
        model: Digest,
        mut progress: impl FnMut(Sending),
    ) -> Result<Result<Installed, ModelRefusal>, LinkError> {
        // Another model, another operating point.
        self.known = None;
        match self.transfer(Request::Update(file), &mut progress)? {
            HostEvent::Installed(installed) => {
                check_installed(&installed, model)?;
                Ok(Ok(installed))
            }
            HostEvent::ModelRefused(refusal) => Ok(Err(refusal)),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Sends a site file, with its signature, and waits until the box has it on its disk. Ctrl-C gives it up before the error is
    /// returned; the box may have taken it by then. `site` is the digest of its text, to which the answer is held.
    pub fn configure(&mut self, file: ModelFile, site: Digest) -> Result<Result<Installed, SiteRefusal>, LinkError> {
        match self.transfer(Request::Update(file), &mut |_: Sending| ())? {
            HostEvent::Installed(installed) => {
                check_installed(&installed, site)?;
                Ok(Ok(installed))
            }
            HostEvent::SiteRefused(refusal) => Ok(Err(refusal)),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Asks which settings somebody has sent to the box. Its texts may hold anything: to be [`base::Shown`].
    pub fn site(&mut self) -> Result<SiteState, LinkError> {
        match self.ask(Question::Site)? {
            Answer::Site(state) => Ok(state),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Asks how much the box has of a bundle of this digest and length, and what became of the last one. Its texts may hold
    /// anything: to be [`base::Shown`].
    pub fn software(&mut self, bundle: Digest, total: u32) -> Result<SoftwareState, LinkError> {
        match self.ask(Question::Software { bundle, total })? {
            Answer::Software(state) => Ok(state),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Sends a piece of a bundle and waits until the box has it on its disk: how many bytes of the bundle it has. With the last
    /// piece it waits until the bundle is in the other slot. Ctrl-C gives the piece up before the error is returned.
    pub fn piece(
        &mut self,
        piece: BundlePiece,
        mut progress: impl FnMut(Sending),
    ) -> Result<Result<u32, SoftwareRefusal>, LinkError> {
        match self.transfer(Request::Piece(piece), &mut progress)? {
            HostEvent::PieceStored { next } => Ok(Ok(next)),
            HostEvent::SoftwareRefused(refusal) => Ok(Err(refusal)),
            _ => Err(HostError::Protocol.into()),
        }
    }

    fn transfer(&mut self, request: Request, progress: &mut impl FnMut(Sending)) -> Result<HostEvent, LinkError> {
        let answer = self.request(request).and_then(|()| self.answer(progress));
        if matches!(answer, Err(LinkError::Interrupted)) {
            self.give_up();
        }
        answer
    }

    /// The first event that does not report progress.
    fn answer(&mut self, progress: &mut impl FnMut(Sending)) -> Result<HostEvent, LinkError> {
        loop {
            match self.next_event()? {
                HostEvent::Sent { done, total } => progress(Sending::Sent { done, total }),
                HostEvent::Progress { phase, .. } => progress(Sending::Phase(phase)),
                event => return Ok(event),
            }
        }
    }

    fn give_up(&mut self) {
        self.session.cancel();
        let until = Instant::now() + CANCELLING;
        while Instant::now() < until {
            match self.session.event(self.now()) {
                Some(HostEvent::Cancelled | HostEvent::Down(_)) => return,
                Some(_) => {}
                None if self.exchange().is_err() => return,
                None => {}
            }
        }
    }

    /// Keeps the session alive while something else is waited for.
    pub fn wait_while(&mut self, mut waiting: impl FnMut() -> bool) -> Result<(), LinkError> {
        while waiting() {
            if interrupt::asked() {
                return Err(LinkError::Interrupted);
            }
            if let Some(event) = self.session.event(self.now()) {
                return Err(match event {
                    HostEvent::Down(error) => error,
                    _ => HostError::Protocol,
                }
                .into());
            }
            self.exchange()?;
        }
        Ok(())
    }

    fn ask(&mut self, question: Question) -> Result<Answer, LinkError> {
        self.request(Request::Ask(question))?;
        match self.next_event()? {
            HostEvent::Answer(answer) => Ok(answer),
            _ => Err(HostError::Protocol.into()),
        }
    }

    fn request(&mut self, request: Request) -> Result<(), LinkError> {
        let now = self.now();
        // Only a session that has ended, or a request made after another one failed halfway, gets here.
        self.session.request(now, request).map_err(|_| HostError::Closed.into())
    }

    fn next_event(&mut self) -> Result<HostEvent, LinkError> {
        loop {
            match self.session.event(self.now()) {
                Some(HostEvent::Down(error)) => return Err(error.into()),
                Some(HostEvent::Failed(fault)) => return Err(LinkError::Fault(fault)),
                Some(event) => return Ok(event),
                None if interrupt::asked() => return Err(LinkError::Interrupted),
                None => self.exchange()?,
            }
        }
    }

    /// Writes what the port takes, then waits for bytes until the session needs attention.
    fn exchange(&mut self) -> Result<(), LinkError> {
        self.write().map_err(|source| LinkError::Unplugged { source })?;
        let wait = if self.unwritten.is_empty() {
            let due = self.session.next_deadline().unwrap_or(u64::MAX).saturating_sub(self.now());
            Duration::from_millis(due.max(1)).min(LONGEST_WAIT)
        } else {
            Duration::from_millis(1)
        };
        let mut bytes = [0; 4096];
        match self.read(&mut bytes, wait) {
            Ok(count) => self.session.receive(self.now(), &bytes[..count]),
            Err(source) => return Err(LinkError::Unplugged { source }),
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        loop {
            if self.unwritten.is_empty() {
                let now = self.now();
                self.unwritten = 0..self.session.poll_transmit(now, &mut self.frame);
                if self.unwritten.is_empty() {
                    return Ok(());
                }
            }
            self.port.set_timeout(Duration::from_millis(10))?;
            match self.port.write(&self.frame[self.unwritten.clone()]) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(count) => self.unwritten.start += count,
                Err(error) if is_transient(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.port.set_timeout(wait)?;
        match self.port.read(bytes) {
            Ok(0) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) if is_transient(&error) => Ok(0),
            result => result,
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Hands on what one answer lists and returns how many there were. `check` takes each event for an item that can be right;
/// more of them than were asked for are an error: the box does not keep to the protocol.
fn listed<T, E: From<LinkError>>(
    limit: u16,
    mut next: impl FnMut() -> Result<HostEvent, LinkError>,
    mut check: impl FnMut(HostEvent) -> Result<T, LinkError>,
    mut each: impl FnMut(T) -> Result<(), E>,
) -> Result<u16, E> {
    let mut count = 0;
    loop {
        match next()? {
            HostEvent::RecordsEnd => return Ok(count),
            event if count < limit => each(check(event)?)?,
            _ => return Err(LinkError::from(HostError::Protocol).into()),
        }
        count += 1;
    }
}

/// Takes events for records whose numbers rise from `least` on.
fn rising_records(mut least: u64) -> impl FnMut(HostEvent) -> Result<ResultRecord, LinkError> {
    move |event| {
        let HostEvent::Record(record) = event else { return Err(HostError::Protocol.into()) };
        check_record(&record, least)?;
        least = record.number.saturating_add(1);
        Ok(record)
    }
}

/// The same of entries.
fn rising_entries(mut least: u64) -> impl FnMut(HostEvent) -> Result<Listed, LinkError> {
    move |event| {
        let HostEvent::Entry(entry) = event else { return Err(HostError::Protocol.into()) };
        check_entry(&entry, least)?;
        least = entry.sequence().saturating_add(1);
        Ok(entry)
    }
}

/// How long a session may take to end on a line of this speed, ten bits a byte, with so many bytes still to be sent.
fn closing(left: u64, baud: u32) -> Duration {
    let needed = Duration::from_millis(left.saturating_mul(10_000) / u64::from(baud.max(1)));
    CLOSING.saturating_add(needed).min(LONGEST_CLOSING)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.greeted {
            // Something that is not a box may never take what was written, and closing the port would wait for it.
            let _ = self.port.clear(ClearBuffer::Output);
            return;
        }
        self.session.close();
        let mut is_taking = self.write().is_ok();
        let left = self.unwritten.len() as u64 + u64::from(self.port.bytes_to_write().unwrap_or(0));
        let until = Instant::now() + closing(left, self.baud);
        while is_taking && !self.unwritten.is_empty() && Instant::now() < until {
            is_taking = self.write().is_ok();
        }
        // A port that is closed drops what it has not sent, or waits until it is sent, half a minute and longer where nobody
        // takes it. `tcdrain` has no limit at all.
        while self.port.bytes_to_write().is_ok_and(|left| left > 0) {
            if Instant::now() >= until {
                let _ = self.port.clear(ClearBuffer::Output);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::record;

    #[test]
    fn more_records_than_were_asked_for_are_an_error() {
        for limit in [0, 3, u16::MAX] {
            let read = |surplus: u32| {
                let mut left = u32::from(limit) + surplus;
                let next = || match left {
                    0 => Ok(HostEvent::RecordsEnd),
                    _ => {
                        left -= 1;
                        Ok(HostEvent::Record(record(u64::from(u32::MAX - left))))
                    }
                };
                let mut seen = 0;
                let read = listed(limit, next, rising_records(1), |_| {
                    seen += 1;
                    Ok::<_, LinkError>(())
                });
                (read, seen)
            };
            let (whole, seen) = read(0);
            assert_eq!((whole.unwrap(), seen), (limit, u32::from(limit)));
            let (more, seen) = read(1);
            assert!(matches!(more, Err(LinkError::Session(HostError::Protocol))), "{limit}");
            assert_eq!(seen, u32::from(limit));
        }
    }

    #[test]
    fn the_end_of_a_session_may_take_what_the_line_needs() {
        assert_eq!(closing(0, 115_200), CLOSING);
        assert_eq!(closing(4096, 115_200), CLOSING + Duration::from_millis(355));
        // A frame at the slowest speed that there is.
        assert!(closing(1024, 1200) > Duration::from_secs(8));
        for (left, baud) in [(4096, 1200), (u64::MAX, 115_200), (1, 0)] {
            assert!(closing(left, baud) <= LONGEST_CLOSING, "{left} bytes at {baud}");
        }
    }
}
