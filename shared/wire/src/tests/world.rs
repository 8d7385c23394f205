//! Host, box and a simulated line between them.

use alloc::{vec, vec::Vec};

use super::{
    super::*,
    CONTRACT, exam, info,
    line::{Faults, Line},
    noise, record,
};
use shared::{
    preprocess::{Channels, Picture, Samples},
    verdict::{Digest, ModelRefusal},
};

pub(super) const BAUD_115200: u64 = 11_520;
pub(super) const FAST: u64 = 10_000_000;

pub(super) const BAD: Faults =
    Faults { corruption: 1e-3, loss: 0.02, duplication: 0.02, reordering: 0.05, garbage: 0.02 };

/// Host, box and the line between them, in steps of one millisecond.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) host: HostSession,
    pub(super) device: BoxSession,
    pub(super) to_box: Line,
    pub(super) to_host: Line,
    /// What the box program does with an image takes this long.
    pub(super) analysis: u64,
    answer_at: Option<(u64, Image)>,
    /// A model is installed in the same time.
    install_at: Option<(u64, ModelFile)>,
    pub(super) records: u64,
    /// What has come of a bundle.
    pub(super) bundle: Vec<u8>,
    pub(super) host_events: Vec<HostEvent>,
    pub(super) box_events: Vec<BoxEvent>,
    pub(super) host_runs: bool,
}

impl World {
    pub(super) fn new(bytes_a_second: u64, faults: Faults, seed: u64) -> Self {
        Self {
            now: 1_000,
            host: HostSession::new(1_000, seed as u32),
            device: BoxSession::new(CONTRACT),
            to_box: Line::new(bytes_a_second, faults, seed),
            to_host: Line::new(bytes_a_second, faults, !seed),
            analysis: 50,
            answer_at: None,
            install_at: None,
            records: 0,
            bundle: vec![],
            host_events: vec![],
            box_events: vec![],
            host_runs: true,
        }
    }

    pub(super) fn connected(bytes_a_second: u64, faults: Faults, seed: u64) -> Self {
        let mut world = Self::new(bytes_a_second, faults, seed);
        assert_eq!(world.host_event(10_000), Some(HostEvent::Connected));
        world
    }

    pub(super) fn step(&mut self) {
        self.now += 1;
        let now = self.now;
        self.device.receive(now, &self.to_box.read(now));
        while let Some(event) = self.device.event(now) {
            match &event {
                BoxEvent::Image(image) => self.answer_at = Some((now + self.analysis, image.clone())),
                BoxEvent::Update(file) => self.install_at = Some((now + self.analysis, file.clone())),
                BoxEvent::Asked(Question::Info) => self.device.reply(Reply::Answer(Answer::Info(info()))),
                BoxEvent::Record { number } => {
                    let record = (*number <= 40).then(|| record(*number, Digest([0xaa; 32])));
                    self.device.reply(Reply::Record(record));
                }
                BoxEvent::Screenshot => self.device.reply(Reply::Screenshot(noise(30_000, 5))),
                BoxEvent::Asked(Question::SetClock { .. }) => self.device.reply(Reply::Answer(Answer::ClockSet)),
                BoxEvent::Piece(BundlePiece { piece, bytes }) => {
                    if piece.offset as usize == self.bundle.len() {
                        self.bundle.extend(bytes);
                    }
                    self.device.reply(Reply::Piece(Ok(self.bundle.len() as u32)));
                }
                _ => {}
            }
            self.box_events.push(event);
        }
        if let Some((_, image)) = self.answer_at.take_if(|(at, _)| *at <= now) {
            self.records += 1;
            let outcome = Outcome::Result(record(self.records, image.source()));
            self.device.reply(Reply::Outcome(outcome));
        }
        if let Some((_, file)) = self.install_at.take_if(|(at, _)| *at <= now) {
            self.device.reply(Reply::Installed(installed(&file)));
        }
        let arrived = self.to_host.read(now);
        let mut buffer = [0; MAX_FRAME];
        if self.host_runs {
            self.host.receive(now, &arrived);
            while let Some(event) = self.host.event(now) {
                self.host_events.push(event);
            }
            while self.to_box.has_room(now) {
                let length = self.host.poll_transmit(now, &mut buffer);
                if length == 0 {
                    break;
                }
                self.to_box.write(now, &buffer[..length]);
            }
        }
        while self.to_host.has_room(now) {
            let length = self.device.poll_transmit(now, &mut buffer);
            if length == 0 {
                break;
            }
            self.to_host.write(now, &buffer[..length]);
        }
    }

    pub(super) fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.step();
        }
    }

    /// The next event of the host that is not about progress, within a time.
    pub(super) fn host_event(&mut self, within: u64) -> Option<HostEvent> {
        let until = self.now + within;
        loop {
            let wanted = |event: &HostEvent| !matches!(event, HostEvent::Sent { .. } | HostEvent::Progress { .. });
            if let Some(at) = self.host_events.iter().position(wanted) {
                let event = self.host_events.remove(at);
                self.host_events.drain(..at);
                return Some(event);
            }
            if self.now >= until {
                return None;
            }
            self.step();
        }
    }

    pub(super) fn send(&mut self, image: &Image, within: u64) -> Option<HostEvent> {
        self.host.request(self.now, Request::Image(image.clone())).unwrap();
        self.host_event(within)
    }

    /// Sends an image and checks that exactly this image is answered.
    pub(super) fn assert_transfer(&mut self, image: &Image, within: u64) {
        let before = self.records;
        match self.send(image, within) {
            Some(HostEvent::Outcome(Outcome::Result(result))) => {
                assert_eq!((result.number, result.image), (before + 1, image.source()));
            }
            other => panic!("{other:?} at {} ms", self.now),
        }
        let received = self.box_events.iter().rev().find_map(|event| match event {
            BoxEvent::Image(received) => Some(received),
            _ => None,
        });
        assert_eq!(received, Some(image));
    }

    /// True if the box takes a new host and a new image.
    pub(super) fn assert_ready(&mut self) {
        self.host = HostSession::new(self.now, 0xfeed);
        self.host_runs = true;
        self.host_events.clear();
        assert_eq!(self.host_event(7_000), Some(HostEvent::Connected));
        self.assert_transfer(&file(3_000, 99), 10_000);
    }
}

pub(super) fn file(length: usize, seed: u64) -> Image {
    Image::file(noise(length, seed), exam()).unwrap()
}

/// Files that begin with a zero are models.
pub(super) fn installed(file: &ModelFile) -> Result<Installed, ModelRefusal> {
    let name = heapless::String::try_from("new").unwrap();
    if file.bytes[0] == 0 { Ok(Installed { model: name, digest: file.digest }) } else { Err(ModelRefusal::NotAModel) }
}

pub(super) fn model(length: usize, seed: u64) -> ModelFile {
    let mut bytes = noise(length, seed);
    bytes[0] = 0;
    ModelFile::new(bytes).unwrap()
}

pub(super) fn prepared(seed: u64) -> Image {
    let pixels = noise(300 * 200, seed);
    let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, 300, 200, 300).unwrap();
    Image::prepared(picture.prepare(&CONTRACT), &picture, &CONTRACT, Digest::of(&pixels), exam())
}

/// What a host on a line of its own hears of a box within a second.
pub(super) fn hello(device: &mut BoxSession, now: &mut u64, nonce: u32) -> Option<HostEvent> {
    let mut host = HostSession::within(*now, nonce, 1_000);
    let mut buffer = [0; MAX_FRAME];
    for _ in 0..1_100 {
        *now += 1;
        while let length @ 1.. = host.poll_transmit(*now, &mut buffer) {
            device.receive(*now, &buffer[..length]);
        }
        while let length @ 1.. = device.poll_transmit(*now, &mut buffer) {
            host.receive(*now, &buffer[..length]);
        }
        if let Some(event) = host.event(*now) {
            return Some(event);
        }
    }
    None
}
