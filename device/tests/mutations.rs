//! Mutated frames through both ends of the line, with the box's state behind it, and mutated images through decoding: no
//! panic, and no more memory than the limits say. A few here; many with
//!
//! ```sh
//! PUMUA_FRAMES=10000000 PUMUA_IMAGES=1000000 cargo test -p device --test mutations -- --nocapture
//! ```
//!
//! which prints the figures. The seeds are fixed, so what is found once is found again.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod stub;

use std::{
    fmt::Debug,
    io::Cursor,
    path::Path,
    time::{Duration, Instant},
};

use device::keys::Key;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use shared::{
    limits::{MAX_DECODED_BYTES, MAX_DECODER_BYTES},
    verdict::{Digest, ExamId, Refusal},
};
use stub::{CODE, CONTRACT, Stub};
use wire::{BundlePiece, Frame, HostEvent, HostSession, Image, MAX_FRAME, MAX_PAYLOAD, ModelFile, Question, Request};

const MEBIBYTE: u64 = 1024 * 1024;
/// What host, box and the frames under way may hold together: an image that has arrived is at most 200 kB here, and each side
/// has a few.
const MOST_FOR_FRAMES: i64 = 4 * MEBIBYTE as i64;

fn count(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |count| count.parse().unwrap())
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    /// A few changes of a kind that damage, faulty programs and attackers make.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let (at, length) = (self.below(bytes.len()), bytes.len());
            match self.below(7) {
                0 if length > 0 => bytes[at] ^= 1 << self.below(8),
                1 if length > 0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, self.next() as u8][self.below(6)],
                2 => bytes.truncate(at),
                3 => {
                    let more: Vec<u8> = (0..=self.below(8)).map(|_| self.next() as u8).collect();
                    bytes.splice(at..at, more);
                }
                4 if length > 0 => {
                    let end = at + self.below((length - at).min(64));
                    bytes.drain(at..end);
                }
                5 if length > 0 => {
                    let end = at + self.below((length - at).min(512));
                    bytes[at..end].fill(0);
                }
                _ if length > 0 => {
                    let (from, to) = (self.below(length), at);
                    let part: Vec<u8> = bytes[from..length.min(from + 32)].to_vec();
                    bytes.splice(to..to, part);
                }
                _ => {}
            }
        }
    }
}

/// The longest that one input has taken, and the most memory.
#[derive(Default)]
struct Worst {
    took: Duration,
    /// By itself.
    held: u64,
    /// What all inputs so far have left.
    left: i64,
    /// With that.
    peak: i64,
}

impl Worst {
    fn of<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let mut value = None;
        let used = allocation_counter::measure(|| value = Some(run()));
        self.took = self.took.max(start.elapsed());
        self.held = self.held.max(used.bytes_max);
        self.peak = self.peak.max(self.left + used.bytes_max as i64);
        self.left += used.bytes_current;
        value.unwrap()
    }

    fn report(&self, what: &str, count: u64, start: Instant) {
        let (took, held) = (self.took.as_secs_f64() * 1000.0, self.held as f64 / MEBIBYTE as f64);
        let total = start.elapsed().as_secs_f64();
        println!("{count} {what} in {total:.0} s: no panic; one took {took:.1} ms and {held:.2} MiB at most");
    }
}

/// A frame as it was, or damaged, or damaged and with a right checksum, which reaches further.
fn on_the_way(random: &mut Random, frame: &[u8], mutated: &mut u64) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    if !random.one_in(3) {
        return bytes;
    }
    *mutated += 1;
    if random.one_in(4) {
        random.mutate(&mut bytes);
        return bytes;
    }
    let end = bytes.len() - 1;
    let Ok(Frame { mut header, payload }) = Frame::decode(&mut bytes[1..end]) else { return frame.to_vec() };
    let mut payload = payload.to_vec();
    match random.below(10) {
        0 => header.session ^= 1 << random.below(32),
        1 => header.seq = header.seq.wrapping_add(random.next() as u16 % 40),
        2 => header.ack = random.next() as u16,
        3 => header.sack = random.next() as u16,
        4 => header.kind = [wire::Kind::Hello, wire::Kind::Data, wire::Kind::Reset][random.below(3)],
        // The number of a message in front of another's fields.
        5 if !payload.is_empty() => payload[0] = random.next() as u8 % 20,
        _ => random.mutate(&mut payload),
    }
    payload.truncate(MAX_PAYLOAD);
    let mut encoded = [0; MAX_FRAME];
    let length = Frame { header, payload: &payload }.encode(&mut encoded).unwrap();
    encoded[..length].to_vec()
}

fn request(random: &mut Random) -> Request {
    let length = [1, 700, 5_000, 200_000][random.below(4)];
    let mut bytes = vec![random.next() as u8; length];
    bytes[0] = random.next() as u8;
    let exam = ExamId::new(&format!("exam-{}", random.below(5))).unwrap();
    match random.below(13) {
        0 => Request::Ask(Question::Info),
        8 => Request::Ask(Question::ShowCode),
        9 => Request::Ask(Question::Pair { code: CODE - u32::from(random.one_in(3)) }),
        10 => Request::Ask(Question::StoredResult { image: Digest::of(&bytes), from: random.next() % 100 }),
        11 => Request::Piece(BundlePiece::new(Digest::of(b"bundle"), 1 << 20, 0, bytes)),
        12 => Request::Ask(Question::Software { bundle: Digest::of(b"bundle"), total: 1 << 20 }),
        1 => Request::Ask(Question::SetClock { unix_seconds: random.next() }),
        2 => Request::Results { from: random.next() % 100, limit: random.next() as u16 },
        3 => Request::Screenshot,
        4 => Request::Update(ModelFile::new(bytes).unwrap()),
        5 => {
            let pixels: Vec<u8> = (0..32 * 32).map(|i| i as u8).collect();
            let picture = shared::preprocess::Picture::new(
                shared::preprocess::Samples::U8(&pixels),
                shared::preprocess::Channels::Grey,
                32,
                32,
                32,
            );
            let picture = picture.unwrap();
            Request::Image(Image::prepared(picture.prepare(&CONTRACT), &picture, &CONTRACT, Digest::of(&bytes), exam))
        }
        _ => Request::Image(Image::file(bytes, exam).unwrap()),
    }
}

/// Every key.
const KEYS: [Key; 6] = [Key::Older, Key::Newer, Key::Back, Key::Choose, Key::About, Key::Held];

/// One box and its hosts for a while. Returns how many frames were mutated.
fn talk(seed: u64, wanted: u64, worst: &mut Worst) -> u64 {
    let mut random = Random(seed);
    let (mut mutated, mut now) = (0, random.next() % 1_000);
    let mut device = worst.of(Stub::new);
    let (mut line, mut host) = (0, HostSession::new(now, random.next() as u32));
    let (mut frame, mut idle) = ([0; MAX_FRAME], false);
    while mutated < wanted {
        now += if random.one_in(200) { random.next() % 20_000 } else { random.next() % 120 };
        match random.below(40) {
            0 => worst.of(|| device.press(now, KEYS[random.below(KEYS.len())])),
            1 if random.one_in(20) => worst.of(|| device.pull(line, now)),
            // It gives back what it was sending.
            2 if random.one_in(4) => worst.of(|| host.cancel()),
            _ => {}
        }
        if random.one_in(3) {
            worst.of(|| device.work(now));
        }
        while let Some(event) = worst.of(|| host.event(now)) {
            match event {
                HostEvent::Down(_) => {
                    (line, idle) = (random.below(2), false);
                    worst.of(|| host = HostSession::new(now, random.next() as u32));
                }
                HostEvent::Sent { .. } | HostEvent::Progress { .. } | HostEvent::Record(_) => {}
                _ => idle = true,
            }
        }
        if idle && random.one_in(2) {
            idle = worst.of(|| host.request(now, request(&mut random)).is_err());
        }
        for _ in 0..=random.below(8) {
            let length = worst.of(|| host.poll_transmit(now, &mut frame));
            if length == 0 {
                break;
            }
            let bytes = on_the_way(&mut random, &frame[..length], &mut mutated);
            worst.of(|| device.receive(line, now, &bytes));
        }
        worst.of(|| device.settle(now));
        for other in 0..2 {
            for _ in 0..=random.below(8) {
                let length = worst.of(|| device.poll_transmit(other, now, &mut frame));
                if length == 0 {
                    break;
                }
                let bytes = on_the_way(&mut random, &frame[..length], &mut mutated);
                if other == line {
                    worst.of(|| host.receive(now, &bytes));
                }
            }
        }
    }
    mutated
}

#[test]
fn mutated_frames_neither_panic_nor_fill_the_memory() {
    let (wanted, start) = (count("PUMUA_FRAMES", 60_000), Instant::now());
    let (mut worst, mut mutated, mut seed) = (Worst::default(), 0, 0);
    while mutated < wanted {
        // A box and its hosts are dropped with all that they hold.
        worst.left = 0;
        mutated += talk(seed, (wanted - mutated).min(20_000), &mut worst);
        seed += 1;
    }
    worst.report("mutated frames", mutated, start);
    println!("host and box held {:.2} MiB at most", worst.peak as f64 / MEBIBYTE as f64);
    assert!(worst.peak <= MOST_FOR_FRAMES, "{} bytes", worst.peak);
}

/// Small files of every kind that is decoded.
fn files() -> Vec<Vec<u8>> {
    let grey = GrayImage::from_fn(48, 40, |x, y| Luma([(x * 3 + y * 2) as u8]));
    let colour = RgbImage::from_fn(40, 48, |x, y| image::Rgb([(x * 3) as u8, (y * 5) as u8, 90]));
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_fn(36, 36, |x, y| Luma([(x * 900 + y * 700) as u16]));
    let pictures = [DynamicImage::ImageLuma8(grey), DynamicImage::ImageRgb8(colour), DynamicImage::ImageLuma16(deep)];
    let mut files = Vec::new();
    for picture in &pictures {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let mut bytes = Cursor::new(Vec::new());
            if picture.write_to(&mut bytes, format).is_ok() {
                files.push(bytes.into_inner());
            }
        }
    }
    let drawn = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/decode/tests/drawn");
    let mut paths: Vec<_> = std::fs::read_dir(drawn).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jpg"));
    files.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    files
}

/// Gives the chunks of a PNG file right checksums as far as it has chunks, so that more of it is read.
fn mend(png: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= png.len()) else { return };
        let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&png[at + 4..end]);
        png[end..end + 4].copy_from_slice(&checksum.to_be_bytes());
        at = end + 4;
    }
}

#[test]
fn mutated_images_neither_panic_nor_fill_the_memory() {
    let (wanted, start) = (count("PUMUA_IMAGES", 3_000), Instant::now());
    let (files, mut random, mut worst) = (files(), Random(2), Worst::default());
    let mut outcomes = std::collections::BTreeMap::<String, u64>::new();
    for _ in 0..wanted {
        let mut bytes = files[random.below(files.len())].clone();
        random.mutate(&mut bytes);
        if bytes.starts_with(b"\x89PNG") && random.one_in(2) {
            mend(&mut bytes);
        }
        let outcome = worst.of(|| decode::decode(&bytes).map(|radiograph| radiograph.picture().preview(64).1 > 0));
        assert!(worst.held <= MAX_DECODED_BYTES + MAX_DECODER_BYTES, "{outcome:?} took {} bytes", worst.held);
        *outcomes.entry(told(&outcome)).or_default() += 1;
    }
    worst.report("mutated images", wanted, start);
    println!("{outcomes:?}");
}

fn told<T: Debug>(outcome: &Result<T, Refusal>) -> String {
    outcome.as_ref().map_or_else(|refusal| refusal.as_str().to_owned(), |_| "decoded".to_owned())
}
