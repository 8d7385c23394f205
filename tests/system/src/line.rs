//! A host whose every step a test sees, over a serial port.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serialport::TTYPort;
use shared::verdict::Digest;
use wire::{BundlePiece, HostEvent, HostSession, Image, MAX_FRAME, MAX_PIECE_BYTES, Outcome, Phase, Request};

/// How far a bundle has come that is being given to a box, as far as the line shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Some of it is still to come.
    Part,
    /// The box has all of it.
    Whole,
}

/// A session with a box.
pub struct Line {
    port: TTYPort,
    session: HostSession,
    start: Instant,
}

impl Line {
    /// Connects to the box at a serial port.
    pub fn connect(port: &str) -> Result<Self> {
        let builder = serialport::new(port, 115_200).timeout(Duration::from_millis(5));
        let port = TTYPort::open(&builder).context("the port cannot be opened")?;
        let mut line = Self { port, session: HostSession::new(0, std::process::id()), start: Instant::now() };
        match line.next()? {
            HostEvent::Connected => Ok(line),
            other => bail!("no session: {other:?}"),
        }
    }

    /// Sends an image until `stop` says so of an event, or the answer comes: that is returned.
    pub fn send(&mut self, image: Image, mut stop: impl FnMut(&HostEvent) -> bool) -> Result<Option<Outcome>> {
        self.session.request(self.now(), Request::Image(image))?;
        loop {
            match self.next()? {
                HostEvent::Outcome(outcome) => return Ok(Some(outcome)),
                HostEvent::Down(error) => return Err(error.into()),
                event if stop(&event) => return Ok(None),
                _ => {}
            }
        }
    }

    /// Gives the box a bundle of which it has nothing, until `stop` says so or the box has put it into its other slot: true only
    /// then. `stop` is asked every few milliseconds.
    pub fn give(&mut self, bundle: &[u8], mut stop: impl FnMut(Given) -> bool) -> Result<bool> {
        let (digest, total) = (Digest::of(bundle), u32::try_from(bundle.len())?);
        let mut next = 0;
        for bytes in bundle.chunks(MAX_PIECE_BYTES as usize) {
            let end = next + u32::try_from(bytes.len())?;
            let mut given = Given::Part;
            self.session.request(self.now(), Request::Piece(BundlePiece::new(digest, total, next, bytes.to_vec())))?;
            next = loop {
                match self.step()? {
                    Some(HostEvent::PieceStored { next }) => break next,
                    Some(HostEvent::Progress { phase: Phase::Installing, .. }) if end == total => given = Given::Whole,
                    Some(HostEvent::SoftwareRefused(refusal)) => bail!("the box refuses the bundle: {refusal:?}"),
                    Some(HostEvent::Failed(fault)) => bail!("the box fails over the bundle: {fault:?}"),
                    Some(HostEvent::Down(error)) => return Err(error.into()),
                    _ => {}
                }
                if stop(given) {
                    return Ok(false);
                }
            };
            if next != end {
                bail!("the box has {next} bytes of the bundle after {end} were given to it");
            }
        }
        Ok(true)
    }

    /// Serves the line for a while, or until the answer comes.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<Outcome>> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match self.step()? {
                Some(HostEvent::Outcome(outcome)) => return Ok(Some(outcome)),
                Some(HostEvent::Down(error)) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Result<HostEvent> {
        loop {
            if let Some(event) = self.step()? {
                return Ok(event);
            }
        }
    }

    /// An event that is there already, or what comes within a few milliseconds.
    fn step(&mut self) -> Result<Option<HostEvent>> {
        if let Some(event) = self.session.event(self.now()) {
            return Ok(Some(event));
        }
        let mut frame = [0; MAX_FRAME];
        while let length @ 1.. = self.session.poll_transmit(self.now(), &mut frame) {
            self.write(&frame[..length])?;
        }
        let mut bytes = [0; 4096];
        match self.port.read(&mut bytes) {
            Ok(count) => self.session.receive(self.now(), &bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.session.event(self.now()))
    }

    /// The port takes what it has room for, and the box may be slow.
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.port.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
