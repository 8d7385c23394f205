//! One of the ports that the box listens on.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use wire::MAX_FRAME;

use super::LineError;
use crate::{
    config::LineSettings,
    inner,
    serial::{Line, LineEvent, Pty, open_port},
};

/// A port that is not there is tried again, and a line that takes nothing looked at, at this distance, in milliseconds.
const RETRY_MS: u64 = Duration::from_secs(1).as_millis() as u64;

/// Where a host reaches the box.
enum Place {
    Device {
        path: PathBuf,
        baud: u32,
    },
    Simulated {
        pty: Pty,
        pace: Option<u32>,
    },
    /// Within the box. It is opened once.
    Inner(Option<inner::End>),
}

/// A port, whether it is there or not.
pub(super) struct Port {
    place: Place,
    line: Option<Line>,
    /// How often it was opened.
    opened: u64,
    /// When it is tried again.
    retry_at: u64,
    /// Why it could not be opened, as it was said last.
    excuse: String,
}

impl Port {
    /// The ports that the settings name, none of them open.
    pub(super) fn all(settings: LineSettings) -> io::Result<Vec<Self>> {
        let places = match settings {
            LineSettings::Simulated { pace } => vec![Place::Simulated { pty: Pty::open()?, pace }],
            LineSettings::Ports { paths, baud, .. } => {
                paths.into_iter().map(|path| Place::Device { path, baud }).collect()
            }
        };
        Ok(places.into_iter().map(Self::at).collect())
    }

    /// The box's end of a line within it.
    pub(super) fn within(end: inner::End) -> Self {
        Self::at(Place::Inner(Some(end)))
    }

    fn at(place: Place) -> Self {
        Self { place, line: None, opened: 0, retry_at: 0, excuse: String::new() }
    }

    /// Whether it is within the box: no computer can come there.
    pub(super) fn is_inner(&self) -> bool {
        matches!(self.place, Place::Inner(_))
    }

    /// The device that a host opens to reach a simulated box.
    pub(super) fn simulated_device(&self) -> Option<&Path> {
        match &self.place {
            Place::Simulated { pty, .. } => Some(pty.path()),
            Place::Device { .. } | Place::Inner(_) => None,
        }
    }

    /// What it is called.
    pub(super) fn path(&self) -> &Path {
        match &self.place {
            Place::Device { path, .. } => path,
            Place::Simulated { pty, .. } => pty.path(),
            Place::Inner(_) => Path::new("within the box"),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.line.is_some()
    }

    /// Opens it. `tell` is given the count of the opening that an event belongs to.
    pub(super) fn open<T>(&mut self, tell: T) -> Result<(), LineError>
    where
        T: Fn(u64, LineEvent) -> bool + Clone + Send + 'static,
    {
        let ((reader, writer), pace) = match &mut self.place {
            Place::Device { path, baud } => (open_port(path, *baud)?, None),
            Place::Simulated { pty, pace } => (pty.ends()?, *pace),
            Place::Inner(end) => {
                let end = end.take().ok_or_else(|| LineError::Inner(io::ErrorKind::NotConnected.into()))?;
                (end.files().map_err(LineError::Inner)?, None)
            }
        };
        self.opened += 1;
        let opened = self.opened;
        self.line = Some(Line::start(reader, writer, pace, move |event| tell(opened, event)));
        self.excuse.clear();
        Ok(())
    }

    /// Whether it is open since the opening with a count.
    pub(super) fn is_current(&self, opened: u64) -> bool {
        self.is_open() && self.opened == opened
    }

    /// Puts the next attempt to open it off, and says why unless it has been said.
    pub(super) fn put_off(&mut self, now: u64, error: &LineError) {
        self.retry_at = now + RETRY_MS;
        let excuse = error.to_string();
        if self.excuse != excuse {
            crate::say(format_args!("{excuse}; waiting until it can be opened"));
            self.excuse = excuse;
        }
    }

    /// The line is gone.
    pub(super) fn lose(&mut self, now: u64) {
        self.line = None;
        self.retry_at = now + RETRY_MS;
    }

    /// Whether it is to be opened.
    pub(super) fn is_due(&self, now: u64) -> bool {
        !self.is_open() && !self.is_inner() && self.retry_at <= now
    }

    /// When it is to be looked at even if nothing happens; `session` is when its conversation is.
    pub(super) fn deadline(&self, now: u64, session: Option<u64>) -> Option<u64> {
        match &self.line {
            None if self.is_inner() => None,
            None => Some(self.retry_at),
            Some(line) if line.has_room() => session,
            // What the session is late with cannot be sent until there is room: looking at the clock would only keep the
            // processor busy.
            Some(_) => Some(now + RETRY_MS),
        }
    }

    /// Sends what its conversation has to send, as far as the line takes it. False if that is nothing. `poll` writes the next
    /// frame and returns its length, or 0.
    pub(super) fn transmit(&self, mut poll: impl FnMut(&mut [u8; MAX_FRAME]) -> usize) -> bool {
        let Some(line) = &self.line else { return false };
        let mut frame = [0; MAX_FRAME];
        let mut sent = false;
        while line.has_room() {
            let length = poll(&mut frame);
            if length == 0 {
                break;
            }
            line.send(&frame[..length]);
            sent = true;
        }
        sent
    }
}
