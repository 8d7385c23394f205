//! Bytes in both directions, each on a thread of its own, so that neither a silent nor a full line holds anything up.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use super::pace::Pace;

/// Bytes that wait to be written before the line counts as full.
pub(super) const QUEUE: usize = 4096;
/// Bytes that are read at once; fewer on a slow line, so that they arrive as they would.
const READ: usize = 4096;
pub(super) const READ_SLOWLY: usize = 64;

/// What a line reports.
#[derive(Debug)]
pub enum LineEvent {
    /// Bytes have arrived.
    Received(Vec<u8>),
    /// There is room again.
    Room,
    /// It is gone, in one direction or both; each may report it.
    Lost(io::Error),
}

/// An open line.
#[derive(Debug)]
pub struct Line {
    outgoing: Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

impl Line {
    /// Starts both threads. `tell` is called on them and returns false when nobody listens any more. A `pace` makes the
    /// line as slow as one of this many bits a second.
    pub fn start<T>(reader: File, writer: File, pace: Option<u32>, tell: T) -> Self
    where
        T: Fn(LineEvent) -> bool + Clone + Send + 'static,
    {
        let (outgoing, queue) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&waiting);
        let told = tell.clone();
        thread::spawn(move || read(reader, pace.map(Brake::new), &told));
        thread::spawn(move || write(writer, &queue, &counter, pace.map(Brake::new), &tell));
        Self { outgoing, waiting }
    }

    /// Whether [`Self::send`] may be called.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Acquire) < QUEUE
    }

    /// Queues bytes to be written.
    pub fn send(&self, bytes: &[u8]) {
        self.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        // Should the thread have ended, it has reported that the line is lost.
        let _ = self.outgoing.send(bytes.to_vec());
    }
}

/// Holds a thread back for as long as the bytes that it carries take.
struct Brake {
    pace: Pace,
    start: Instant,
}

impl Brake {
    fn new(baud: u32) -> Self {
        Self { pace: Pace::new(baud), start: Instant::now() }
    }

    fn hold(&mut self, bytes: usize) {
        thread::sleep(self.pace.pass(self.start.elapsed(), bytes));
    }
}

fn read(mut file: File, mut brake: Option<Brake>, tell: &impl Fn(LineEvent) -> bool) {
    let mut bytes = vec![0; if brake.is_some() { READ_SLOWLY } else { READ }];
    loop {
        let event = match file.read(&mut bytes) {
            Ok(0) => LineEvent::Lost(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => LineEvent::Received(bytes[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => LineEvent::Lost(error),
        };
        if let (Some(brake), LineEvent::Received(bytes)) = (&mut brake, &event) {
            brake.hold(bytes.len());
        }
        let lost = matches!(event, LineEvent::Lost(_));
        if !tell(event) || lost {
            return;
        }
    }
}

fn write(
    mut file: File,
    queue: &Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
    mut brake: Option<Brake>,
    tell: &impl Fn(LineEvent) -> bool,
) {
    for bytes in queue {
        if let Some(brake) = &mut brake {
            brake.hold(bytes.len());
        }
        if let Err(error) = file.write_all(&bytes) {
            tell(LineEvent::Lost(error));
            return;
        }
        let before = waiting.fetch_sub(bytes.len(), Ordering::AcqRel);
        let was_full = before >= QUEUE && before - bytes.len() < QUEUE;
        if was_full && !tell(LineEvent::Room) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::serial::{Pty, open_port};

    /// Longer than anything takes here, on the busiest computer.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_line_that_takes_nothing_holds_nobody_up_and_its_loss_ends_both_threads() {
        // More than any system keeps for a reader that never comes: the thread that writes is stuck from some byte on.
        const MUCH: usize = 4 << 20;
        let pty = Pty::open().unwrap();
        let (reader, writer) = open_port(pty.path(), 115_200).unwrap();
        let (told, heard) = mpsc::channel();
        let line = Line::start(reader, writer, None, move |event| told.send(event).is_ok());
        (0..MUCH / 512).for_each(|_| line.send(&[0x55; 512]));
        assert!(!line.has_room());
        // It has begun to write.
        pty.ends().unwrap().0.read_exact(&mut [0]).unwrap();
        let (dropped, is_dropped) = mpsc::channel();
        thread::spawn(move || {
            drop(line);
            dropped.send(()).unwrap();
        });
        is_dropped.recv_timeout(PATIENCE).expect("dropping the line waits for its threads");
        drop(pty);
        loop {
            match heard.recv_timeout(PATIENCE) {
                Ok(_) => {}
                // Both threads have dropped the sender.
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(error) => panic!("{error}: a thread is stuck"),
            }
        }
    }
}
