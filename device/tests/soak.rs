//! Many images to one box: its memory and its open files stay what they were. A few here; many with
//!
//! ```sh
//! PUMUA_SOAK=10000 cargo test -p device --test soak -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use device::serial::open_port;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use shared::verdict::ExamId;
use wire::{HostEvent, HostSession, Image, MAX_FRAME, Outcome, Request};

/// A model that judges drawings, and is small.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/engine/tests/golden/separable.onnx");
/// Longer than anything takes here, on the busiest computer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Images in one session.
const SESSION: u32 = 50;
/// What the box may hold more at the end than after the first tenth, in kibibytes: the examinations that it remembers, and
/// what the allocator keeps.
const MORE_KIB: u64 = 3 * 1024;

struct Simulated(Child);

impl Simulated {
    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().count()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Host {
    session: HostSession,
    received: Receiver<Vec<u8>>,
    writer: File,
    start: Instant,
}

impl Host {
    fn connect(port: &str, nonce: u32) -> Self {
        let (mut reader, writer) = open_port(Path::new(port), 115_200).unwrap();
        let (bytes, received) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if bytes.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut host = Self { session: HostSession::within(0, nonce, 60_000), received, writer, start: Instant::now() };
        assert_eq!(host.wait(), HostEvent::Connected);
        host
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn transmit(&mut self) {
        let mut frame = [0; MAX_FRAME];
        while let length @ 1.. = self.session.poll_transmit(self.now(), &mut frame) {
            self.writer.write_all(&frame[..length]).unwrap();
        }
    }

    /// The next event that is not about progress.
    fn wait(&mut self) -> HostEvent {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            match self.session.event(self.now()) {
                Some(HostEvent::Sent { .. } | HostEvent::Progress { .. } | HostEvent::Record(_)) => {}
                Some(event) => return event,
                None => {
                    self.transmit();
                    if let Ok(bytes) = self.received.recv_timeout(Duration::from_millis(20)) {
                        self.session.receive(self.now(), &bytes);
                    }
                }
            }
        }
        panic!("nothing within {PATIENCE:?}");
    }

    fn ask(&mut self, request: Request) -> HostEvent {
        self.session.request(self.now(), request).unwrap();
        self.wait()
    }

    /// Ends the session and begins another one.
    fn again(&mut self, nonce: u32) {
        self.session.close();
        self.transmit();
        self.session = HostSession::within(self.now(), nonce, 60_000);
        assert_eq!(self.wait(), HostEvent::Connected);
    }
}

/// A drawing that is none of those before.
fn drawing(number: u32) -> Vec<u8> {
    let [a, b, ..] = number.to_le_bytes().map(u32::from);
    let picture =
        GrayImage::from_fn(96, 80, |x, y| Luma([((x * (2 + a % 3) + y * 2 + (x ^ y) % (3 + b)) % 200 + 20) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageLuma8(picture).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn memory_and_open_files_stay_what_they_were() {
    let wanted: u32 = std::env::var("PUMUA_SOAK").map_or(150, |count| count.parse().unwrap());
    let state = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pumua-box"))
        .args(["--simulate", "--screen-size", "480x320", "--model", MODEL, "--state-dir"])
        .arg(state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let device = Simulated(child);
    let mut host = Host::connect(port.trim(), 1);
    let (mut judged, mut refused, mut first) = (0, 0, None);
    for number in 0..wanted {
        if number % SESSION == SESSION - 1 {
            assert!(matches!(host.ask(Request::Screenshot), HostEvent::Screenshot(_)));
            let from = u64::from(number.saturating_sub(20)) + 1;
            assert_eq!(host.ask(Request::Results { from, limit: 10 }), HostEvent::RecordsEnd);
            host.again(number + 2);
        }
        let exam = ExamId::new(&format!("exam-{}", number / 2)).unwrap();
        match host.ask(Request::Image(Image::file(drawing(number), exam).unwrap())) {
            HostEvent::Outcome(Outcome::Result(_)) => judged += 1,
            HostEvent::Outcome(Outcome::Refused(_)) => refused += 1,
            other => panic!("{other:?} at {number}"),
        }
        if number == wanted / 10 {
            first = Some((device.resident_kib(), device.open_files()));
        }
    }
    let (resident, files) = (device.resident_kib(), device.open_files());
    let (resident_before, files_before) = first.unwrap();
    println!(
        "{wanted} images, {judged} judged and {refused} refused: {resident_before} KiB and {files_before} open files after \
         a tenth of them, {resident} KiB and {files} at the end"
    );
    assert!(resident <= resident_before + MORE_KIB && files <= files_before);
    assert!(judged > wanted / 2, "{judged}");
}
