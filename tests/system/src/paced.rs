//! A serial line of a speed that is given, in front of one that is quicker.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serialport::{SerialPort, TTYPort};

/// Pieces that pass in a second, each at once, as USB adapters pass them on.
const PIECES: u32 = 50;
/// How often a side that has nothing to say looks whether the line is still needed.
const LOOK: Duration = Duration::from_millis(50);

/// Joins a port of its own to another one until it is dropped, and lets no more through than a line of its speed: ten bits for a byte,
/// each way.
pub struct PacedLine {
    /// The serial device of the slow end.
    pub port: String,
    is_over: Arc<AtomicBool>,
    ways: Vec<JoinHandle<io::Result<()>>>,
    /// Without it the other end would be gone whenever a program closes its port.
    _held: TTYPort,
}

impl PacedLine {
    /// Joins to `far`, at `baud` bits a second.
    pub fn new(far: &str, baud: u32) -> Result<Self> {
        let builder = serialport::new(far, baud).timeout(LOOK);
        let far = TTYPort::open(&builder).context("the port cannot be opened")?;
        let (mut near, held) = TTYPort::pair().context("no pseudo-terminal")?;
        near.set_timeout(LOOK)?;
        let port = held.name().context("a pseudo-terminal has a name")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = [(near.try_clone_native()?, far.try_clone_native()?), (far, near)];
        let ways = ends.map(|(from, to)| {
            let is_over = is_over.clone();
            thread::spawn(move || carry(from, to, baud, &is_over))
        });
        Ok(Self { port, is_over, ways: ways.into(), _held: held })
    }
}

impl Drop for PacedLine {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        for way in self.ways.drain(..) {
            // Either end may be gone by now.
            let _ = way.join();
        }
    }
}

fn carry(mut from: TTYPort, mut to: TTYPort, baud: u32, is_over: &AtomicBool) -> io::Result<()> {
    let mut bytes = vec![0; (baud / 10 / PIECES).max(1) as usize];
    let mut free = Instant::now();
    while !is_over.load(Relaxed) {
        let count = match from.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(error) => return Err(error),
        };
        free = free.max(Instant::now()) + Duration::from_secs_f64(count as f64 * 10.0 / f64::from(baud));
        sleep(free.saturating_duration_since(Instant::now()));
        let mut rest = &bytes[..count];
        while !rest.is_empty() && !is_over.load(Relaxed) {
            match to.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
