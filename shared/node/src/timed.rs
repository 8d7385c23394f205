//! A connection within a time.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Reads and writes until a moment, and not a byte later.
pub struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
    /// Longest pause.
    most: Duration,
}

impl<'a> Timed<'a> {
    /// From now on, for so long.
    pub fn new(stream: &'a TcpStream, within: Duration) -> Self {
        Self { stream, until: Instant::now() + within, most: within }
    }

    /// The same, and to end where for so long nothing comes or goes.
    #[must_use]
    pub fn without_pause(self, most: Duration) -> Self {
        Self { most, ..self }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left.min(self.most)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(late)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A socket says that it would block where its time is over.
fn late(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_comes_no_more_ends_long_before_its_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let start = Instant::now();
        let mut timed = Timed::new(&stream, Duration::from_secs(60)).without_pause(Duration::from_millis(100));
        sender.write_all(b"half").unwrap();
        let mut bytes = Vec::new();
        let error = timed.read_to_end(&mut bytes).unwrap_err();
        assert_eq!((error.kind(), bytes.as_slice()), (io::ErrorKind::TimedOut, &b"half"[..]));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
