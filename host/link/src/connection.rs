//! A session with the box over a serial port.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use base::interrupt;
use serialport::{ClearBuffer, SerialPort, TTYPort};
use shared::verdict::{ModelRefusal, ResultRecord};
use wire::{
    Answer, Counters, HostError, HostEvent, HostSession, Image, Info, Installed, MAX_FRAME, ModelFile, Outcome, Phase,
    Question, Request,
};

use super::{LinkError, PortOptions, port};

/// How long the program waits for bytes at most before it looks whether Ctrl-C was pressed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// How long a port is tried where none is named, in milliseconds: four hellos.
const PROBE_MS: u64 = 1_500;
/// How long the last frames of a session may take.
const CLOSING: Duration = Duration::from_millis(300);
/// How long the box may take to confirm that an image is given up.
const CANCELLING: Duration = Duration::from_secs(3);

/// What happens to an image or a model that is being sent.
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
    session: HostSession,
    start: Instant,
    frame: [u8; MAX_FRAME],
    /// The part of `frame` that the port has not yet taken.
    unwritten: std::ops::Range<usize>,
    /// The box has answered.
    greeted: bool,
}

/// Says hello on a port for a moment, to learn whether a box is there.
pub(super) fn probe(path: &Path, baud: u32) -> Result<(), LinkError> {
    Connection::greet(port::open(path, baud)?, HostSession::within(0, nonce(), PROBE_MS)).map(drop)
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
        Self::over(port::open(&path, baud)?, options.timeout)
    }

    /// Waits until the box answers on a port. `timeout`: seconds that it may take for a step with a request.
    pub(super) fn over(port: TTYPort, timeout: u64) -> Result<Self, LinkError> {
        let mut session = HostSession::new(0, nonce());
        session.set_answer_within(timeout * 1000);
        Self::greet(port, session)
    }

    fn greet(port: TTYPort, session: HostSession) -> Result<Self, LinkError> {
        let (start, frame) = (Instant::now(), [0; MAX_FRAME]);
        let mut this = Self { port, session, start, frame, unwritten: 0..0, greeted: false };
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

    /// Asks what the box is.
    pub fn info(&mut self) -> Result<Info, LinkError> {
        match self.ask(Question::Info)? {
            Answer::Info(info) => Ok(info),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Sets the clock of the box.
    pub fn set_clock(&mut self, unix_seconds: u64) -> Result<(), LinkError> {
        match self.ask(Question::SetClock { unix_seconds })? {
            Answer::ClockSet => Ok(()),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Fetches the picture on the screen: a PNG file, its digest checked.
    pub fn screenshot(&mut self) -> Result<Vec<u8>, LinkError> {
        self.request(Request::Screenshot)?;
        match self.next_event()? {
            HostEvent::Screenshot(png) => Ok(png),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Reads at most `limit` stored results from the number `from` on and returns how many there were.
    pub fn results<E: From<LinkError>>(
        &mut self,
        from: u64,
        limit: u16,
        each: impl FnMut(ResultRecord) -> Result<(), E>,
    ) -> Result<u16, E> {
        self.request(Request::Results { from, limit })?;
        records(limit, || self.next_event(), each)
    }

    /// Sends an image and waits for the answer. Ctrl-C gives the image up before the error is returned.
    pub fn send(&mut self, image: Image, mut progress: impl FnMut(Sending)) -> Result<Outcome, LinkError> {
        match self.transfer(Request::Image(image), &mut progress)? {
            HostEvent::Outcome(outcome) => Ok(outcome),
            _ => Err(HostError::Protocol.into()),
        }
    }

    /// Sends a model and waits for the answer. Ctrl-C gives it up before the error is returned; the box may have taken it by
    /// then.
    pub fn update(
        &mut self,
        file: ModelFile,
        mut progress: impl FnMut(Sending),
    ) -> Result<Result<Installed, ModelRefusal>, LinkError> {
        match self.transfer(Request::Update(file), &mut progress)? {
            HostEvent::Installed(installed) => Ok(Ok(installed)),
            HostEvent::ModelRefused(refusal) => Ok(Err(refusal)),
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

/// Hands on the records of one answer and returns how many there were. More than were asked for are an error: the box does
/// not keep to the protocol.
fn records<E: From<LinkError>>(
    limit: u16,
    mut next: impl FnMut() -> Result<HostEvent, LinkError>,
    mut each: impl FnMut(ResultRecord) -> Result<(), E>,
) -> Result<u16, E> {
    let mut count = 0;
    loop {
        match next()? {
            HostEvent::Record(record) if count < limit => each(record)?,
            HostEvent::RecordsEnd => return Ok(count),
            _ => return Err(LinkError::from(HostError::Protocol).into()),
        }
        count += 1;
    }
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
        let until = Instant::now() + CLOSING;
        while self.write().is_ok() && !self.unwritten.is_empty() && Instant::now() < until {}
        // A port that is closed drops what it has not sent.
        let _ = self.port.flush();
    }
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Digest, ExamId, OperatingPoint, Verdict};

    use super::*;

    #[test]
    fn more_records_than_were_asked_for_are_an_error() {
        let record = ResultRecord {
            number: 1,
            boot: 1,
            unix_seconds: None,
            exam: ExamId::default(),
            image: Digest::default(),
            model: Digest::default(),
            probability: 0.5,
            point: OperatingPoint::HALF,
            verdict: Verdict::Refer,
            prepared: false,
        };
        for limit in [0, 3, u16::MAX] {
            let read = |surplus: u32| {
                let mut left = u32::from(limit) + surplus;
                let next = || match left {
                    0 => Ok(HostEvent::RecordsEnd),
                    _ => {
                        left -= 1;
                        Ok(HostEvent::Record(record.clone()))
                    }
                };
                let mut seen = 0;
                let read = records(limit, next, |_| {
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
}
