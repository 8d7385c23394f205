//! Both sessions over the simulated line: the right result or a clear failure, never a wrong result.

use alloc::{format, string::String, vec, vec::Vec};

use super::{
    super::{transport::Transport, *},
    CONTRACT, Random, encoded_message, exam, info,
    line::{Faults, Line},
    noise, record,
};
use shared::{
    appliance::line::SLOWEST_BAUD,
    preprocess::{Channels, Picture, Samples, Window},
    verdict::{Digest, Fault, ModelRefusal, Refusal, SoftwareRefusal},
};

const BAUD_115200: u64 = 11_520;
const FAST: u64 = 10_000_000;

const BAD: Faults = Faults { corruption: 1e-3, loss: 0.02, duplication: 0.02, reordering: 0.05, garbage: 0.02 };

/// Host, box and the line between them, in steps of one millisecond.
struct World {
    now: u64,
    host: HostSession,
    device: BoxSession,
    to_box: Line,
    to_host: Line,
    /// What the box program does with an image takes this long.
    analysis: u64,
    answer_at: Option<(u64, Image)>,
    /// A model is installed in the same time.
    install_at: Option<(u64, ModelFile)>,
    records: u64,
    /// What has come of a bundle.
    bundle: Vec<u8>,
    host_events: Vec<HostEvent>,
    box_events: Vec<BoxEvent>,
    host_runs: bool,
}

impl World {
    fn new(bytes_a_second: u64, faults: Faults, seed: u64) -> Self {
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

    fn connected(bytes_a_second: u64, faults: Faults, seed: u64) -> Self {
        let mut world = Self::new(bytes_a_second, faults, seed);
        assert_eq!(world.host_event(10_000), Some(HostEvent::Connected));
        world
    }

    fn step(&mut self) {
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

    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.step();
        }
    }

    /// The next event of the host that is not about progress, within a time.
    fn host_event(&mut self, within: u64) -> Option<HostEvent> {
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

    fn send(&mut self, image: &Image, within: u64) -> Option<HostEvent> {
        self.host.request(self.now, Request::Image(image.clone())).unwrap();
        self.host_event(within)
    }

    /// Sends an image and checks that exactly this image is answered.
    fn assert_transfer(&mut self, image: &Image, within: u64) {
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
    fn assert_ready(&mut self) {
        self.host = HostSession::new(self.now, 0xfeed);
        self.host_runs = true;
        self.host_events.clear();
        assert_eq!(self.host_event(7_000), Some(HostEvent::Connected));
        self.assert_transfer(&file(3_000, 99), 10_000);
    }
}

fn file(length: usize, seed: u64) -> Image {
    Image::file(noise(length, seed), exam()).unwrap()
}

/// Files that begin with a zero are models.
fn installed(file: &ModelFile) -> Result<Installed, ModelRefusal> {
    let name = heapless::String::try_from("new").unwrap();
    if file.bytes[0] == 0 { Ok(Installed { model: name, digest: file.digest }) } else { Err(ModelRefusal::NotAModel) }
}

fn model(length: usize, seed: u64) -> ModelFile {
    let mut bytes = noise(length, seed);
    bytes[0] = 0;
    ModelFile::new(bytes).unwrap()
}

fn prepared(seed: u64) -> Image {
    let pixels = noise(300 * 200, seed);
    let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, 300, 200, 300).unwrap();
    Image::prepared(picture.prepare(&CONTRACT), &picture, &CONTRACT, Digest::of(&pixels), exam())
}

#[test]
fn clean_line_at_115200_baud_carries_ninety_percent_payload() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    world.analysis = 0;
    let image = file(200_000, 2);
    let start = world.now;
    world.assert_transfer(&image, 60_000);
    let rate = image.bytes.len() as f64 * 1000.0 / (world.now - start) as f64;
    assert!(rate >= 0.9 * BAUD_115200 as f64, "{rate:.0} bytes/s of {BAUD_115200}");
    assert_eq!(world.host.counters().repeated, 0);
    assert_eq!(world.device.counters().damaged, 0);
    let share = world.to_host.written as f64 / world.to_box.written as f64;
    assert!(share < 0.02, "acknowledgements take {share:.3} of the line");
}

#[test]
fn slow_and_fast_clean_lines_repeat_nothing() {
    for (rate, length) in [(960, 8_000), (BAUD_115200, 50_000), (100_000, 300_000), (FAST, 2_000_000)] {
        let mut world = World::connected(rate, Faults::NONE, 3);
        world.assert_transfer(&file(length, 4), 60_000);
        assert_eq!(world.host.counters().repeated, 0, "{rate} bytes/s");
    }
}

#[test]
fn both_forms_arrive_over_a_bad_line() {
    for seed in 0..6 {
        let mut world = World::connected(BAUD_115200, BAD, seed);
        world.assert_transfer(&file(40_000, seed), 120_000);
        world.assert_transfer(&prepared(seed), 240_000);
        assert!(world.host.counters().repeated > 0);
        assert!(world.device.counters().damaged > 0);
    }
}

#[test]
fn one_byte_in_a_thousand_wrong_still_leaves_a_third_of_the_line() {
    let faults = Faults { corruption: 1e-3, ..Faults::NONE };
    let mut world = World::connected(BAUD_115200, faults, 11);
    let start = world.now;
    world.assert_transfer(&file(100_000, 12), 120_000);
    let rate = 100_000.0 * 1000.0 / (world.now - start) as f64;
    assert!(rate > BAUD_115200 as f64 / 3.0, "{rate:.0} bytes/s");
}

#[test]
fn hopeless_line_ends_in_a_clear_failure() {
    for seed in 0..4 {
        let mut world = World::connected(BAUD_115200, Faults::NONE, seed);
        let broken = Faults { corruption: 0.03, ..BAD };
        (world.to_box.faults, world.to_host.faults) = (broken, broken);
        world.host.set_answer_within(20_000);
        match world.send(&file(40_000, seed), 300_000) {
            Some(HostEvent::Down(_) | HostEvent::Outcome(Outcome::Failed(_))) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(world.records, 0);
        (world.to_box.faults, world.to_host.faults) = (Faults::NONE, Faults::NONE);
        world.run(15_000);
        world.assert_ready();
    }
}

#[test]
fn progress_tells_of_every_stage() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    let total = 100_000;
    world.host.request(world.now, Request::Image(file(total as usize, 1))).unwrap();
    world.run(11_000);
    let sent: Vec<u32> = world
        .host_events
        .iter()
        .filter_map(|event| match event {
            HostEvent::Sent { done, total: 100_000 } => Some(*done),
            _ => None,
        })
        .collect();
    assert!(sent.len() > 20 && sent.is_sorted() && sent[0] == 0, "{sent:?}");
    assert_eq!(sent.last(), Some(&total));
    let phase = HostEvent::Progress { phase: Phase::Receiving, done: total, total };
    assert!(world.host_events.contains(&phase));
    let percents = world.box_events.iter().filter(|event| matches!(event, BoxEvent::Receiving { .. })).count();
    assert_eq!(percents, 101);
}

#[test]
fn requests_are_answered_over_a_bad_line() {
    let mut world = World::connected(BAUD_115200, BAD, 21);
    let now = world.now;
    world.host.request(now, Request::Ask(Question::Info)).unwrap();
    assert_eq!(world.host.request(now, Request::Ask(Question::Info)), Err(RequestError::Pending));
    assert_eq!(world.host_event(20_000), Some(HostEvent::Answer(Answer::Info(info()))));
    let set_clock = Question::SetClock { unix_seconds: 1_700_000_000 };
    world.host.request(world.now, Request::Ask(set_clock)).unwrap();
    assert_eq!(world.host_event(20_000), Some(HostEvent::Answer(Answer::ClockSet)));
    assert!(world.box_events.contains(&BoxEvent::Asked(set_clock)));
    world.host.request(world.now, Request::Screenshot).unwrap();
    assert_eq!(world.host_event(60_000), Some(HostEvent::Screenshot(noise(30_000, 5))));
    for (from, limit, expected) in [(0, 3, 1..4), (35, 100, 35..41), (41, 5, 0..0), (1, 0, 0..0)] {
        world.host.request(world.now, Request::Results { from, limit }).unwrap();
        for number in expected {
            let record = record(number, Digest([0xaa; 32]));
            assert_eq!(world.host_event(20_000), Some(HostEvent::Record(record)));
        }
        assert_eq!(world.host_event(20_000), Some(HostEvent::RecordsEnd));
    }
}

#[test]
fn garbage_before_and_between_frames_is_passed_over() {
    let mut world = World::new(FAST, Faults::NONE, 31);
    let mut random = Random(8);
    for length in [1, 2, 500, 600, 5_000] {
        let garbage: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        world.device.receive(world.now, &garbage);
        world.host.receive(world.now, &garbage);
    }
    assert_eq!(world.host_event(2_000), Some(HostEvent::Connected));
    // A frame that breaks off spoils nothing but itself.
    world.device.receive(world.now, &[0, 5, 1, 2, 3]);
    world.assert_transfer(&file(2_000, 1), 5_000);
}

#[test]
fn own_echo_is_no_answer() {
    let mut host = HostSession::new(0, 1);
    let mut buffer = [0; MAX_FRAME];
    let length = host.poll_transmit(0, &mut buffer);
    host.receive(1, &buffer[..length]);
    assert_eq!(host.event(1), None);
    assert_eq!(host.counters().received, 0);
}

#[test]
fn silent_port_gives_no_answer() {
    let mut world = World::new(BAUD_115200, Faults::NONE, 1);
    world.to_box.cut = true;
    assert_eq!(world.host_event(20_000), Some(HostEvent::Down(HostError::NoAnswer)));
    assert!((7_000..7_010).contains(&world.now), "{}", world.now);
    assert_eq!(world.host.request(world.now, Request::Ask(Question::Info)), Err(RequestError::NotConnected));
    assert_eq!(world.host.next_deadline(), None);
}

#[test]
fn different_schema_or_version_is_told_before_any_message() {
    let ours = Greeting::ours();
    for theirs in [Greeting { version: 9, ..ours }, Greeting { schema: !ours.schema, ..ours }] {
        let mut world = World::new(BAUD_115200, Faults::NONE, 1);
        world.device = BoxSession::over(Transport::listen().with_greeting(theirs), CONTRACT);
        let expected = HostError::Incompatible { ours, theirs };
        assert_eq!(world.host_event(2_000), Some(HostEvent::Down(expected)));
        assert_eq!(world.box_events, []);
        let text = format!("{expected}");
        assert!(text.contains("host 1/") && text.contains(&format!("box {}/", theirs.version)), "{text}");
    }
}

/// A second host on the same line; what it hears.
fn second_host(world: &mut World, milliseconds: u64) -> Vec<HostEvent> {
    let mut second = HostSession::new(world.now, 0x2222_2222);
    let mut buffer = [0; MAX_FRAME];
    let mut events = vec![];
    for _ in 0..milliseconds {
        let heard = world.to_host.read(world.now + 1);
        if world.host_runs {
            world.host.receive(world.now, &heard);
        }
        second.receive(world.now, &heard);
        events.extend(second.event(world.now));
        loop {
            let length = second.poll_transmit(world.now, &mut buffer);
            if length == 0 {
                break;
            }
            world.to_box.write(world.now, &buffer[..length]);
        }
        world.step();
    }
    events
}

#[test]
fn second_host_is_turned_away_while_the_first_is_alive() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 41);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    assert_eq!(second_host(&mut world, 10_000), [HostEvent::Down(HostError::Busy)]);
    assert!(matches!(world.host_event(10_000), Some(HostEvent::Outcome(Outcome::Result(_)))));
    assert!(!world.box_events.contains(&BoxEvent::HostGone));
}

#[test]
fn silent_session_is_taken_over_in_the_middle_of_an_image() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 51);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    world.run(1_000);
    // The host dies; another one starts at once.
    world.host_runs = false;
    let died = world.now;
    let events = second_host(&mut world, 5_000);
    assert_eq!(events, [HostEvent::Connected]);
    let gone = world.box_events.iter().position(|event| *event == BoxEvent::HostGone).unwrap();
    assert_eq!(world.box_events[gone + 1], BoxEvent::HostConnected);
    assert_eq!(world.records, 0);
    // The first one comes back and learns that it has lost the box.
    world.host_runs = true;
    assert_eq!(world.host_event(5_000), Some(HostEvent::Down(HostError::Closed)));
    assert!(world.now - died < 15_000);
    world.run(11_000);
    world.assert_ready();
}

#[test]
fn closed_session_is_free_at_once() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 61);
    world.host.close();
    world.run(20);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::HostGone));
    let closed = world.now;
    world.assert_ready();
    assert!(world.now - closed < 1_000);
}

#[test]
fn silence_in_the_middle_of_an_image_times_out() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 71);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    world.run(1_000);
    (world.to_box.cut, world.to_host.cut) = (true, true);
    world.run(IMAGE_SILENCE_MS + 600);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::Dropped(Dropped::Failed(Fault::Timeout))));
    world.run(DEAD_AFTER_MS - IMAGE_SILENCE_MS);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::HostGone));
    assert_eq!(world.host_event(1_000), Some(HostEvent::Down(HostError::Silent)));
    (world.to_box.cut, world.to_host.cut) = (false, false);
    world.assert_ready();
}

#[test]
fn host_learns_of_the_timeout_when_the_line_comes_back() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 81);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    world.run(1_000);
    world.to_box.cut = true;
    world.run(IMAGE_SILENCE_MS + 1_000);
    world.to_box.cut = false;
    assert_eq!(world.host_event(5_000), Some(HostEvent::Outcome(Outcome::Failed(Fault::Timeout))));
    world.assert_transfer(&file(5_000, 2), 10_000);
}

#[test]
fn image_can_be_given_up_while_sent_and_while_analysed() {
    for (wait, analysis) in [(1_000, 50), (6_500, 10_000)] {
        let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
        world.analysis = analysis;
        world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
        world.run(wait);
        world.host.cancel();
        assert_eq!(world.host_event(3_000), Some(HostEvent::Cancelled));
        assert_eq!(world.box_events.last(), Some(&BoxEvent::Dropped(Dropped::Cancelled)));
        // The next image waits until the box has finished with the one that nobody wants any more.
        world.host.request(world.now, Request::Image(prepared(3))).unwrap();
        let answer = world.host_event(60_000);
        let Some(HostEvent::Outcome(Outcome::Result(result))) = answer else { panic!("{answer:?}") };
        assert_eq!(result.image, prepared(3).source());
    }
}

#[test]
fn models_arrive_over_a_bad_line_between_images() {
    for seed in 0..6 {
        let mut world = World::connected(BAUD_115200, BAD, seed);
        world.assert_transfer(&file(5_000, seed), 60_000);
        let file = model(30_000, seed);
        world.host.request(world.now, Request::Update(file.clone())).unwrap();
        assert_eq!(world.host_event(120_000), Some(HostEvent::Installed(installed(&file).unwrap())));
        assert!(world.box_events.contains(&BoxEvent::Update(file)));
        world.assert_transfer(&prepared(seed), 240_000);
    }
}

#[test]
fn an_update_tells_of_every_stage_and_its_refusal() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    let (total, mut bytes) = (50_000, noise(50_000, 1));
    bytes[0] = 9;
    world.host.request(world.now, Request::Update(ModelFile::new(bytes).unwrap())).unwrap();
    world.run(10_000);
    let phases: Vec<_> = world.host_events.iter().filter(|e| matches!(e, HostEvent::Progress { .. })).collect();
    assert_eq!(
        phases[phases.len() - 2..],
        [
            &HostEvent::Progress { phase: Phase::Receiving, done: total, total },
            &HostEvent::Progress { phase: Phase::Installing, done: 0, total: 1 },
        ]
    );
    assert!(world.host_events.contains(&HostEvent::Sent { done: total, total }));
    let percents = world.box_events.iter().filter(|event| matches!(event, BoxEvent::Updating { .. })).count();
    assert_eq!(percents, 1 + 50_000_usize.div_ceil(CHUNK), "a chunk is more than a percent");
    assert_eq!(world.host_event(0), Some(HostEvent::ModelRefused(ModelRefusal::NotAModel)));
    world.assert_transfer(&file(5_000, 2), 10_000);
}

#[test]
fn a_host_that_is_told_that_its_model_is_not_tried_may_ask_for_the_next_thing() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
    world.analysis = u64::MAX / 2;
    world.host.request(world.now, Request::Update(model(10_000, 1))).unwrap();
    world.run(60_000);
    assert!(world.device.is_held(world.now), "it waits for the box");
    world.device.reply(Reply::NotInstalled(Fault::TooFast));
    world.run(5_000);
    assert!(world.host_events.contains(&HostEvent::Failed(Fault::TooFast)));
    assert!(world.device.is_held(world.now));
}

#[test]
fn an_update_can_be_given_up_and_one_that_is_complete_is_answered_as_given_up_when_it_is_done() {
    for (wait, reached) in [(1_000, false), (6_500, true)] {
        let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
        world.analysis = 5_000;
        world.host.request(world.now, Request::Update(model(60_000, 1))).unwrap();
        world.run(wait);
        world.host.cancel();
        assert_eq!(world.host_event(6_000), Some(HostEvent::Cancelled));
        assert_eq!(world.box_events.iter().any(|event| matches!(event, BoxEvent::Update(_))), reached);
        assert_eq!(world.box_events.last() == Some(&BoxEvent::Dropped(Dropped::Cancelled)), !reached);
        world.assert_transfer(&prepared(3), 60_000);
    }
}

#[test]
fn a_host_that_comes_while_the_box_installs_for_another_one_waits_and_hears_nothing_of_it() {
    let mut world = World::connected(FAST, Faults::NONE, 7);
    world.analysis = 3_000;
    world.host.request(world.now, Request::Update(model(5_000, 1))).unwrap();
    world.run(500);
    world.host.close();
    world.run(20);
    world.host = HostSession::new(world.now, 0xfeed);
    world.host_events.clear();
    assert_eq!(world.host_event(1_000), Some(HostEvent::Connected));
    let asked = world.now;
    world.host.request(world.now, Request::Ask(Question::Info)).unwrap();
    assert_eq!(world.host_event(10_000), Some(HostEvent::Answer(Answer::Info(info()))));
    assert!(world.now - asked > 2_000, "the answer names the model that has been installed");
}

/// A piece of a bundle of noise.
fn piece_of(bundle: &[u8], offset: usize, length: usize) -> BundlePiece {
    let bytes = bundle[offset..bundle.len().min(offset + length)].to_vec();
    BundlePiece::new(Digest::of(bundle), bundle.len() as u32, offset as u32, bytes)
}

#[test]
fn a_bundle_arrives_in_pieces_over_a_bad_line_with_images_between() {
    for seed in 0..3 {
        let mut world = World::connected(BAUD_115200, BAD, seed);
        let bundle = noise(70_000, seed);
        let mut next = 0;
        while next < bundle.len() {
            world.host.request(world.now, Request::Piece(piece_of(&bundle, next, 20_000))).unwrap();
            let expected = bundle.len().min(next + 20_000);
            assert_eq!(world.host_event(120_000), Some(HostEvent::PieceStored { next: expected as u32 }));
            world.assert_transfer(&file(3_000, seed), 60_000);
            next = expected;
        }
        assert_eq!(world.bundle, bundle);
        // One that does not begin where the last one ended is not kept, and the answer says where to go on.
        world.host.request(world.now, Request::Piece(piece_of(&bundle, 20_000, 10_000))).unwrap();
        assert_eq!(world.host_event(60_000), Some(HostEvent::PieceStored { next: 70_000 }));
    }
}

#[test]
fn the_box_program_learns_how_much_of_the_bundle_is_there() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    let bundle = noise(200_000, 1);
    world.bundle = bundle[..100_000].to_vec();
    world.host.request(world.now, Request::Piece(piece_of(&bundle, 100_000, 50_000))).unwrap();
    assert_eq!(world.host_event(20_000), Some(HostEvent::PieceStored { next: 150_000 }));
    let told = world.box_events.iter().filter_map(|event| match event {
        BoxEvent::Bundle { done, total: 200_000 } => Some(*done),
        _ => None,
    });
    let told: Vec<u32> = told.collect();
    assert_eq!((told.first(), told.len()), (Some(&100_000), 26), "each percent of the whole: {told:?}");
    assert!(told.is_sorted() && told.last() == Some(&150_000), "{told:?}");
}

#[test]
fn a_piece_can_be_given_up_and_times_out_as_an_image_does() {
    let bundle = noise(100_000, 1);
    let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
    world.host.request(world.now, Request::Piece(piece_of(&bundle, 0, 60_000))).unwrap();
    world.run(1_000);
    world.host.cancel();
    assert_eq!(world.host_event(3_000), Some(HostEvent::Cancelled));
    assert_eq!(world.box_events.last(), Some(&BoxEvent::Dropped(Dropped::Cancelled)));
    world.host.request(world.now, Request::Piece(piece_of(&bundle, 0, 60_000))).unwrap();
    world.run(1_000);
    world.to_box.cut = true;
    world.run(IMAGE_SILENCE_MS + 1_000);
    world.to_box.cut = false;
    assert_eq!(world.host_event(5_000), Some(HostEvent::Failed(Fault::Timeout)));
    assert!(world.bundle.is_empty());
    world.assert_transfer(&file(5_000, 2), 10_000);
}

#[test]
fn a_piece_is_refused_or_fails_and_the_session_continues() {
    for (reply, expected) in [
        (Reply::Piece(Err(SoftwareRefusal::NotSigned)), ToHost::SoftwareRefused(SoftwareRefusal::NotSigned)),
        (Reply::PieceNotStored(Fault::Storage), ToHost::Failed(Fault::Storage)),
        (Reply::Piece(Ok(100)), ToHost::PieceStored { next: 100 }),
    ] {
        let mut rude = Rude::new();
        let piece = BundlePiece::new(Digest::of(b"bundle"), 1_000, 0, vec![1; 100]);
        let messages = [ToBox::Piece(piece.piece), chunk(0, 100), ToBox::End, ToBox::Info];
        assert_eq!(rude.say(&messages), [], "it takes nothing else before it has answered");
        assert_eq!(rude.events.last(), Some(&BoxEvent::Piece(piece)));
        rude.device.reply(Reply::Progress(Phase::Installing));
        rude.device.reply(reply);
        // What nobody asks for any more.
        rude.device.reply(Reply::Piece(Ok(7)));
        rude.run();
        assert_eq!(core::mem::take(&mut rude.answers), [expected]);
        assert_eq!(rude.events.last(), Some(&BoxEvent::Asked(Question::Info)));
    }
}

#[test]
fn a_host_that_has_gone_is_owed_no_answer_to_its_piece() {
    let mut rude = Rude::new();
    let piece = BundlePiece::new(Digest::of(b"bundle"), 100, 0, vec![1; 100]);
    rude.say(&[ToBox::Piece(piece.piece), chunk(0, 100), ToBox::End]);
    let mut other = BoxSession::new(CONTRACT);
    assert_eq!(hello(&mut other, &mut rude.now, 8), Some(HostEvent::Connected));
    other.displace(&mut rude.device);
    assert_eq!(other.event(rude.now), Some(BoxEvent::HostConnected));
    other.reply(Reply::Piece(Ok(100)));
    let mut buffer = [0; MAX_FRAME];
    let header = Header { kind: Kind::Data, from: Role::Host, session: 8, seq: 0, ack: 0, sack: 0 };
    let length = Frame { header, payload: &encoded_message(&ToBox::Info) }.encode(&mut buffer).unwrap();
    other.receive(rude.now, &buffer[..length]);
    assert_eq!(other.event(rude.now), Some(BoxEvent::Asked(Question::Info)), "it waits for nothing");
}

#[test]
fn pieces_that_cannot_be_are_refused() {
    let piece = |total, offset, length| {
        ToBox::Piece(Piece { bundle: Digest::of(b"bundle"), total, offset, length, digest: Digest::of(b"another") })
    };
    let most = shared::limits::MAX_BUNDLE_BYTES as u32;
    for total in [0, most + 1, u32::MAX] {
        let mut rude = Rude::new();
        let refused = ToHost::SoftwareRefused(SoftwareRefusal::NotABundle);
        assert_eq!(rude.say(&[piece(total, 0, 100), chunk(0, 100)]), [refused], "{total}");
        assert_eq!(rude.dropped(), Some(Dropped::SoftwareRefused(SoftwareRefusal::NotABundle)));
    }
    let update = ToBox::Update(Update { length: 100, digest: Digest::default() });
    let begin = ToBox::Begin(file(100, 1).begin);
    for messages in [
        vec![piece(most, 0, 0)],
        vec![piece(most, 0, MAX_PIECE_BYTES + 1)],
        vec![piece(1_000, 950, 51)],
        vec![piece(1_000, u32::MAX, 2)],
        vec![piece(1_000, 1_000, 1)],
        vec![piece(1_000, 0, 100), piece(1_000, 0, 100)],
        vec![piece(1_000, 0, 100), chunk(0, 99), ToBox::End],
        vec![piece(1_000, 0, 100), chunk(0, 101)],
        vec![piece(1_000, 0, 100), chunk(1, 99)],
        vec![piece(1_000, 100, 100), chunk(100, 100)],
        vec![piece(1_000, 0, 100), update.clone()],
        vec![update, piece(1_000, 0, 100)],
        vec![begin, piece(1_000, 0, 100)],
        // Of another digest.
        vec![piece(1_000, 0, 100), chunk(0, 100), ToBox::End],
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::Failed(Fault::Protocol)], "{messages:?}");
        assert_eq!(rude.dropped(), Some(Dropped::Failed(Fault::Protocol)));
        assert!(!rude.events.iter().any(|event| matches!(event, BoxEvent::Piece(_))));
    }
}

#[test]
fn box_that_does_not_answer_is_reported() {
    let mut world = World::connected(FAST, Faults::NONE, 1);
    world.analysis = u64::MAX / 2;
    world.host.set_answer_within(4_000);
    let start = world.now;
    assert_eq!(world.send(&file(5_000, 1), 30_000), Some(HostEvent::Down(HostError::Timeout)));
    assert!((4_000..4_300).contains(&(world.now - start)), "{}", world.now - start);
    world.run(20);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::HostGone));
}

#[test]
fn prepared_image_comes_apart_again() {
    let image = prepared(5);
    let parts = image.as_prepared().unwrap();
    assert_eq!((parts.input.len(), parts.preview.len()), (64 * 64, 256 * 171));
    assert_eq!((parts.preview_width, parts.preview_height), (256, 171));
    assert_eq!(file(10, 1).as_prepared(), None);
    assert_eq!(Image::file(vec![], exam()), Err(Refusal::Empty));
    let long = vec![0; shared::limits::MAX_IMAGE_BYTES as usize + 1];
    assert_eq!(Image::file(long, exam()), Err(Refusal::TooManyBytes));
}

/// A host that says whatever a test wants.
struct Rude {
    now: u64,
    transport: Transport,
    device: BoxSession,
    answers: Vec<ToHost>,
    events: Vec<BoxEvent>,
}

impl Rude {
    fn new() -> Self {
        let mut rude = Self {
            now: 0,
            transport: Transport::connect(0, 1),
            device: BoxSession::new(CONTRACT),
            answers: vec![],
            events: vec![],
        };
        rude.run();
        assert!(rude.transport.is_open());
        rude.events.clear();
        rude
    }

    fn run(&mut self) {
        let mut buffer = [0; MAX_FRAME];
        for _ in 0..300 {
            self.now += 1;
            loop {
                let length = self.transport.poll_transmit(self.now, &mut buffer);
                self.device.receive(self.now, &buffer[..length]);
                if length == 0 {
                    break;
                }
            }
            self.events.extend(core::iter::from_fn(|| self.device.event(self.now)));
            loop {
                let length = self.device.poll_transmit(self.now, &mut buffer);
                self.transport.receive(self.now, &buffer[..length]);
                if length == 0 {
                    break;
                }
            }
            while let Some(payload) = self.transport.take_message() {
                let answer = codec::decode(&payload).unwrap();
                if !matches!(answer, ToHost::Progress { .. }) {
                    self.answers.push(answer);
                }
            }
        }
    }

    /// Why the last image or update was dropped, if that was the last event.
    fn dropped(&self) -> Option<Dropped> {
        match self.events.last()? {
            BoxEvent::Dropped(dropped) | BoxEvent::Declined { dropped, .. } => Some(*dropped),
            _ => None,
        }
    }

    fn say(&mut self, messages: &[ToBox]) -> Vec<ToHost> {
        for message in messages {
            codec::send(&mut self.transport, message).unwrap();
        }
        self.run();
        core::mem::take(&mut self.answers)
    }
}

fn chunk(offset: u32, length: usize) -> ToBox {
    ToBox::Chunk(Chunk { offset, data: heapless::Vec::from_slice(&vec![1; length]).unwrap() })
}

#[test]
fn messages_out_of_turn_are_a_protocol_fault() {
    let begin = |length: u32| ToBox::Begin(Begin { length, ..file(100, 1).begin });
    let window = Window::whole(9, 9);
    let preview = |width, height, window| {
        let form = ImageForm::Prepared {
            contract: CONTRACT,
            preview_width: width,
            preview_height: height,
            source: Digest::default(),
            window,
            age: None,
        };
        let length = 64 * 64 + u32::from(width) * u32::from(height);
        ToBox::Begin(Begin { form, length, ..file(1, 1).begin })
    };
    // An exam id with a space is not a message.
    let mut bytes = encoded_message(&begin(100));
    let place = bytes.windows(8).position(|window| window == b"ward-3.a").unwrap();
    bytes[place + 4] = b' ';
    assert_eq!(codec::decode::<ToBox>(&bytes), None);
    let cases: Vec<(&str, Vec<ToBox>)> = vec![
        ("chunk without an image", vec![chunk(0, 10), chunk(10, 10), ToBox::End]),
        ("end without an image", vec![ToBox::End]),
        ("begin twice", vec![begin(100), begin(100), chunk(0, 100), ToBox::End]),
        ("end too soon", vec![begin(100), chunk(0, 99), ToBox::End]),
        ("gap", vec![begin(100), chunk(0, 50), chunk(51, 49), ToBox::End]),
        ("overlap", vec![begin(100), chunk(0, 50), chunk(49, 50), ToBox::End]),
        ("too much", vec![begin(100), chunk(0, 101), ToBox::End]),
        ("empty chunk", vec![begin(100), chunk(0, 0)]),
        ("no preview", vec![preview(0, 10, window)]),
        ("large preview", vec![preview(257, 1, window)]),
        ("window outside", vec![preview(9, 9, Window { left: 1, ..window })]),
    ];
    for (name, messages) in cases {
        let mut rude = Rude::new();
        let answers = rude.say(&messages);
        assert_eq!(answers, [ToHost::Failed(Fault::Protocol)], "{name}");
        assert_eq!(rude.dropped(), Some(Dropped::Failed(Fault::Protocol)), "{name}");
        // Ready again.
        let image = file(700, 1);
        let (a, b) = image.bytes.split_at(512);
        let parts = [(0, a), (512, b)]
            .map(|(offset, bytes)| ToBox::Chunk(Chunk { offset, data: heapless::Vec::from_slice(bytes).unwrap() }));
        rude.say(&[&[ToBox::Begin(image.begin.clone())], &parts[..], &[ToBox::End]].concat());
        assert_eq!(rude.events.last(), Some(&BoxEvent::Image(image)), "{name}");
    }
}

#[test]
fn images_that_cannot_be_judged_are_refused() {
    let image = file(100, 1);
    let other = shared::contract::InputContract { side: 65, ..CONTRACT };
    let form = ImageForm::Prepared {
        contract: other,
        preview_width: 1,
        preview_height: 1,
        source: Digest::default(),
        window: Window::whole(1, 1),
        age: None,
    };
    let begin = |begin: Begin| ToBox::Begin(begin);
    for (messages, refusal) in [
        (vec![begin(Begin { length: 0, ..image.begin.clone() })], Refusal::Empty),
        (vec![begin(Begin { length: 32 * 1024 * 1024 + 1, ..image.begin.clone() })], Refusal::TooManyBytes),
        (vec![begin(Begin { length: 65 * 65 + 1, form, ..image.begin.clone() })], Refusal::ContractMismatch),
        (vec![begin(image.begin.clone()), chunk(0, 100), ToBox::End], Refusal::DigestMismatch),
        (vec![begin(image.clone().of_any_age(true).begin)], Refusal::OverrideNotAllowed),
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::Refused(refusal)][..], "{refusal:?}");
        assert_eq!(rude.dropped(), Some(Dropped::Refused(refusal)));
        // The box program knows which examination it is of, whether it was refused at once or after it had come.
        let named = |event: &BoxEvent| match event {
            BoxEvent::Receiving { exam, .. } | BoxEvent::Declined { exam, .. } => *exam == image.begin.exam,
            _ => false,
        };
        assert!(rude.events.iter().any(named), "{:?}", rude.events);
    }
}

#[test]
fn models_that_cannot_be_received_are_refused() {
    let update = |length: u32| ToBox::Update(Update { length, digest: Digest::of(b"another") });
    for (messages, refusal) in [
        (vec![update(0)], ModelRefusal::NotAModel),
        (vec![update(shared::limits::MAX_UPDATE_BYTES + 1), chunk(0, 100)], ModelRefusal::TooLarge),
        (vec![update(u32::MAX)], ModelRefusal::TooLarge),
        (vec![update(100), chunk(0, 100), ToBox::End], ModelRefusal::DigestMismatch),
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::ModelRefused(refusal)][..], "{refusal:?}");
        assert_eq!(rude.events.last(), Some(&BoxEvent::Dropped(Dropped::ModelRefused(refusal))));
    }
    for messages in [
        vec![update(100), update(100)],
        vec![update(100), chunk(0, 99), ToBox::End],
        vec![update(100), chunk(1, 99)],
        vec![update(100), ToBox::Begin(file(100, 1).begin)],
        vec![ToBox::Begin(file(100, 1).begin), update(100)],
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::Failed(Fault::Protocol)], "{messages:?}");
        assert_eq!(rude.dropped(), Some(Dropped::Failed(Fault::Protocol)));
        assert!(!rude.events.iter().any(|event| matches!(event, BoxEvent::Update(_))));
    }
    assert_eq!(ModelFile::new(vec![]), Err(ModelRefusal::NotAModel));
    let long = vec![0; shared::limits::MAX_UPDATE_BYTES as usize + 1];
    assert_eq!(ModelFile::new(long), Err(ModelRefusal::TooLarge));
}

#[test]
fn prepared_images_follow_the_contract_of_the_model() {
    let mut rude = Rude::new();
    let other = shared::contract::InputContract { side: 65, ..CONTRACT };
    rude.device.set_contract(other);
    let refused = [ToHost::Refused(Refusal::ContractMismatch)];
    assert_eq!(rude.say(&[ToBox::Begin(prepared(1).begin)]), refused);
    rude.device.set_contract(CONTRACT);
    assert_eq!(rude.say(&[ToBox::Begin(prepared(1).begin)]), []);
}

#[test]
fn broken_message_is_a_protocol_fault() {
    let mut rude = Rude::new();
    for payload in [&[][..], &[200], &[0, 0], &[1, 0]] {
        rude.transport.send(payload).unwrap();
        rude.run();
        assert_eq!(rude.answers.drain(..).collect::<Vec<_>>(), [ToHost::Failed(Fault::Protocol)], "{payload:?}");
    }
}

#[test]
fn host_that_does_not_listen_costs_the_box_a_window() {
    let mut rude = Rude::new();
    let mut buffer = [0; MAX_FRAME];
    let mut asked = 0;
    for _ in 0..2_000 {
        rude.now += 1;
        // It never reads its messages, but asks and acknowledges for ever.
        if codec::send(&mut rude.transport, &ToBox::Info).is_ok() {
            asked += 1;
        }
        let length = rude.transport.poll_transmit(rude.now, &mut buffer);
        rude.device.receive(rude.now, &buffer[..length]);
        while let Some(event) = rude.device.event(rude.now) {
            assert_eq!(event, BoxEvent::Asked(Question::Info));
            rude.device.reply(Reply::Answer(Answer::Info(info())));
        }
        let length = rude.device.poll_transmit(rude.now, &mut buffer);
        rude.transport.receive(rude.now, &buffer[..length]);
    }
    assert!(asked <= 4 * WINDOW, "{asked}");
}

#[test]
fn listing_goes_on_record_by_record_and_can_fail() {
    let mut rude = Rude::new();
    assert_eq!(rude.say(&[ToBox::Results { from: 2, limit: 3 }]), []);
    assert_eq!(rude.events, [BoxEvent::Record { number: 2 }]);
    rude.device.reply(Reply::Record(Some(record(2, Digest::default()))));
    rude.run();
    assert_eq!(rude.events.last(), Some(&BoxEvent::Record { number: 3 }));
    rude.device.reply(Reply::Failed(Fault::Storage));
    rude.run();
    let expected = [ToHost::Record(record(2, Digest::default())), ToHost::Failed(Fault::Storage)];
    assert_eq!(rude.answers, expected);
    // An answer that nobody asked for is not sent.
    rude.device.reply(Reply::Answer(Answer::ClockSet));
    rude.device.reply(Reply::Record(None));
    rude.run();
    assert_eq!(rude.answers.len(), 2);
    assert_eq!(rude.say(&[ToBox::Screenshot]).len(), 2);
    rude.device.reply(Reply::Screenshot(vec![0; shared::limits::MAX_SCREEN_BYTES as usize + 1]));
    rude.run();
    assert_eq!(rude.answers, [ToHost::Failed(Fault::Internal)]);
}

#[test]
fn listing_from_the_last_number_that_there_can_be_ends() {
    let mut rude = Rude::new();
    assert_eq!(rude.say(&[ToBox::Results { from: u64::MAX, limit: 3 }]), []);
    assert_eq!(rude.events, [BoxEvent::Record { number: u64::MAX }]);
    rude.device.reply(Reply::Record(None));
    rude.run();
    assert_eq!(rude.answers, [ToHost::RecordsEnd]);
}

#[test]
fn second_long_reply_must_wait_for_the_first() {
    for second in [ToBox::Screenshot, ToBox::Results { from: 1, limit: 1 }] {
        let mut rude = Rude::new();
        rude.say(&[ToBox::Screenshot]);
        rude.device.reply(Reply::Screenshot(noise(200_000, 1)));
        let answers = rude.say(&[second]);
        let chunks = answers.iter().filter(|answer| matches!(answer, ToHost::Chunk(_))).count();
        assert_eq!(chunks, 200_000_usize.div_ceil(CHUNK));
        assert!(answers.contains(&ToHost::Failed(Fault::Protocol)));
    }
}

#[test]
fn errors_name_the_next_action() {
    let greeting = Greeting::ours();
    for error in [
        HostError::NoAnswer,
        HostError::Busy,
        HostError::Incompatible { ours: greeting, theirs: greeting },
        HostError::Closed,
        HostError::Silent,
        HostError::Timeout,
        HostError::Protocol,
    ] {
        let text: String = format!("{error}");
        let (_, action) = text.rsplit_once(": ").unwrap();
        assert!(["check", "wait", "update", "send", "look"].iter().any(|verb| action.starts_with(verb)), "{text}");
    }
}

/// What a host on a line of its own hears of a box within a second.
fn hello(device: &mut BoxSession, now: &mut u64, nonce: u32) -> Option<HostEvent> {
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

#[test]
fn box_held_on_another_line_is_busy_and_a_displaced_analysis_is_answered_first() {
    let mut world = World::connected(FAST, Faults::NONE, 61);
    world.analysis = 100_000;
    world.host.request(world.now, Request::Image(file(600, 1))).unwrap();
    world.run(500);
    assert!(matches!(world.box_events.last(), Some(BoxEvent::Image(_))));
    let mut other = BoxSession::new(CONTRACT);
    other.set_taken(world.device.is_held(world.now));
    assert_eq!(hello(&mut other, &mut world.now, 7), Some(HostEvent::Down(HostError::Busy)));
    world.host_runs = false;
    world.run(3_000);
    assert!(world.device.connected() && !world.device.is_held(world.now));
    other.set_taken(false);
    assert_eq!(hello(&mut other, &mut world.now, 8), Some(HostEvent::Connected));
    other.displace(&mut world.device);
    assert!(!world.device.connected());
    assert_eq!(other.event(world.now), Some(BoxEvent::HostConnected));
    // The other host's image waits for the answer that the box owes, which is not meant for that host.
    let image = file(5, 2);
    let mut messages = vec![ToBox::Begin(image.begin.clone())];
    messages.push(ToBox::Chunk(Chunk { offset: 0, data: heapless::Vec::from_slice(&image.bytes).unwrap() }));
    messages.push(ToBox::End);
    for (seq, message) in messages.iter().enumerate() {
        let header = Header { kind: Kind::Data, from: Role::Host, session: 8, seq: seq as u16, ack: 0, sack: 0 };
        let (payload, mut buffer) = (encoded_message(message), [0; MAX_FRAME]);
        let length = Frame { header, payload: &payload }.encode(&mut buffer).unwrap();
        other.receive(world.now, &buffer[..length]);
    }
    let told: Vec<BoxEvent> = core::iter::from_fn(|| other.event(world.now)).collect();
    assert!(told.iter().all(|event| matches!(event, BoxEvent::Receiving { .. })), "{told:?}");
    other.reply(Reply::Outcome(Outcome::Failed(Fault::Internal)));
    assert_eq!(other.event(world.now), Some(BoxEvent::Image(image)));
}

#[test]
fn listing_passes_over_what_is_kept_no_longer() {
    let mut rude = Rude::new();
    rude.say(&[ToBox::Results { from: 1, limit: 2 }]);
    rude.device.reply(Reply::Record(Some(record(17, Digest::default()))));
    rude.run();
    assert_eq!(rude.events.last(), Some(&BoxEvent::Record { number: 18 }));
    rude.device.reply(Reply::Record(Some(record(30, Digest::default()))));
    rude.run();
    let records = [17, 30].map(|number| ToHost::Record(record(number, Digest::default())));
    assert_eq!(rude.answers, [&records[..], &[ToHost::RecordsEnd]].concat());
}

/// Connects a host to a box that acknowledges everything, and says what `says` gives every second. Returns how long the host
/// waited for the answer to an image.
fn kept_waiting(bytes: usize, mut says: impl FnMut(u32) -> ToHost) -> u64 {
    let (mut host, mut device) = (HostSession::new(0, 1), Transport::listen());
    host.set_answer_within(2_000);
    host.set_slowest(1_000);
    let mut buffer = [0; MAX_FRAME];
    let (mut asked, mut said) = (None, 0);
    for now in (0..600_000).step_by(10) {
        while let length @ 1.. = host.poll_transmit(now, &mut buffer) {
            device.receive(now, &buffer[..length]);
        }
        device.expire(now);
        let _ = device.take_event();
        while device.take_message().is_some() {}
        if asked.is_some_and(|asked| now - asked > 1_000 * u64::from(said)) {
            let _ = codec::send(&mut device, &says(said));
            said += 1;
        }
        while let length @ 1.. = device.poll_transmit(now, &mut buffer) {
            host.receive(now, &buffer[..length]);
        }
        while let Some(event) = host.event(now) {
            match (event, asked) {
                (HostEvent::Connected, _) => {
                    asked = Some(now);
                    host.request(now, Request::Image(file(bytes, 1))).unwrap();
                }
                (HostEvent::Down(HostError::Timeout), Some(asked)) => return now - asked,
                (HostEvent::Down(error), _) => panic!("{error}"),
                _ => {}
            }
        }
    }
    panic!("still waiting after ten minutes");
}

#[test]
fn progress_that_does_not_advance_is_no_step() {
    let again = |phase| move |said: u32| ToHost::Progress { phase, done: said, total: u32::MAX };
    for phase in [Phase::Receiving, Phase::Decoding, Phase::Analysing, Phase::Installing] {
        let waited = kept_waiting(1_000, again(phase));
        assert!((2_000..4_000).contains(&waited), "{phase:?}: {waited}");
    }
    // To and fro.
    let phases = [Phase::Decoding, Phase::Receiving, Phase::Analysing, Phase::Decoding];
    let waited = kept_waiting(1_000, |said| again(phases[said as usize % 4])(said));
    assert!((4_000..6_000).contains(&waited), "{waited}");
}

#[test]
fn it_is_known_whether_the_box_can_have_acted_on_what_was_sent() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    world.host.request(world.now, Request::Image(file(100_000, 1))).unwrap();
    world.run(3_000);
    assert!(!world.host.sent_whole(), "the rest is still to come");
    world.run(30_000);
    assert!(world.host.sent_whole());
    world.host.request(world.now, Request::Ask(Question::Info)).unwrap();
    assert!(!world.host.sent_whole());
}

#[test]
fn the_slowest_line_carries_images_and_holds_the_box() {
    let mut world = World::connected(u64::from(SLOWEST_BAUD) / 10, Faults::NONE, 3);
    world.device.set_slowest(SLOWEST_BYTES_PER_SECOND);
    let mut frame = [0; MAX_FRAME];
    let hello = Transport::connect(0, 7).poll_transmit(0, &mut frame);
    world.host.request(world.now, Request::Image(file(20_000, 4))).unwrap();
    while world.records == 0 {
        world.run(2_000);
        assert!(world.device.is_held(world.now), "at {} ms", world.now);
        // Another host, which is turned away.
        world.device.receive(world.now, &frame[..hello]);
        assert!(world.now < 300_000 && !world.box_events.contains(&BoxEvent::HostGone));
    }
    assert!(matches!(world.host_event(10_000), Some(HostEvent::Outcome(Outcome::Result(_)))));
}

#[test]
fn a_host_learns_that_its_session_has_ended_before_it_was_told_that_it_had_begun() {
    let (mut host, mut device) = (HostSession::new(0, 7), BoxSession::new(CONTRACT));
    let mut frame = [0; MAX_FRAME];
    let hello = host.poll_transmit(0, &mut frame);
    device.receive(0, &frame[..hello]);
    let mut read = vec![];
    let welcome = device.poll_transmit(0, &mut frame);
    read.extend_from_slice(&frame[..welcome]);
    device.close();
    let reset = device.poll_transmit(0, &mut frame);
    read.extend_from_slice(&frame[..reset]);
    // Both arrive at once.
    host.receive(1, &read);
    assert_eq!(host.event(1), Some(HostEvent::Down(HostError::Closed)));
    assert_eq!((host.event(1), host.next_deadline()), (None, None));
}
