//! Who holds the box: a host that asks nothing, or sends next to nothing, keeps no other one out.

use alloc::{vec, vec::Vec};

use super::{
    super::{transport::Transport, *},
    CONTRACT, Random, encoded_message, exam, noise, record,
};
use shared::verdict::{Digest, Fault};

/// A box and a host that says what a test wants, in steps of ten milliseconds, over a line without delay.
struct Holder {
    now: u64,
    host: Transport,
    device: BoxSession,
    answers: Vec<ToHost>,
    events: Vec<BoxEvent>,
    /// How many frames of the box the host still hears.
    hears: usize,
}

const STEP: u64 = 10;

impl Holder {
    fn new() -> Self {
        let mut holder = Self {
            now: 1_000,
            host: Transport::connect(1_000, 1),
            device: BoxSession::new(CONTRACT),
            answers: vec![],
            events: vec![],
            hears: usize::MAX,
        };
        holder.run(100);
        assert!(holder.host.is_open() && holder.device.is_held(holder.now));
        holder
    }

    fn run(&mut self, milliseconds: u64) {
        let mut frame = [0; MAX_FRAME];
        let until = self.now + milliseconds;
        while self.now < until {
            self.now += STEP;
            while let length @ 1.. = self.host.poll_transmit(self.now, &mut frame) {
                self.device.receive(self.now, &frame[..length]);
            }
            while let Some(event) = self.device.event(self.now) {
                match event {
                    BoxEvent::Record { number } => {
                        self.device.reply(Reply::Record(Some(record(number, Digest::default()))));
                    }
                    BoxEvent::Screenshot => self.device.reply(Reply::Screenshot(noise(500_000, 1))),
                    BoxEvent::Asked(_) => self.device.reply(Reply::Answer(Answer::ClockSet)),
                    BoxEvent::Piece(BundlePiece { piece, .. }) => {
                        self.device.reply(Reply::Piece(Ok(piece.offset + piece.length)));
                    }
                    _ => {}
                }
                self.events.push(event);
            }
            while let length @ 1.. = self.device.poll_transmit(self.now, &mut frame) {
                if self.hears > 0 {
                    self.hears -= 1;
                    self.host.receive(self.now, &frame[..length]);
                }
            }
            while let Some(payload) = self.host.take_message() {
                self.answers.push(codec::decode(&payload).unwrap());
            }
        }
    }

    fn say(&mut self, message: &ToBox) {
        self.host.send(&encoded_message(message)).unwrap();
    }

    /// What the box says to a hello of another host, on the same line.
    fn hello(&mut self, nonce: u32) -> Kind {
        hello(&mut self.device, self.now, nonce)
    }

    fn announce(&mut self, length: u32) {
        let form = ImageForm::File;
        self.say(&ToBox::Begin(Begin { form, length, digest: Digest::default(), exam: exam(), any_age: false }));
    }

    /// Announces a piece of 500 bytes.
    fn piece(&mut self, offset: u32) {
        self.say(&ToBox::Piece(BundlePiece::new(Digest::default(), 1_000_000, offset, vec![7; 500]).piece));
    }

    fn chunk(&mut self, offset: u32, length: usize) {
        self.say(&ToBox::Chunk(Chunk { offset, data: heapless::Vec::from_slice(&vec![7; length]).unwrap() }));
    }
}

fn hello(device: &mut BoxSession, now: u64, nonce: u32) -> Kind {
    let mut frame = [0; MAX_FRAME];
    let length = Transport::connect(now, nonce).poll_transmit(now, &mut frame);
    device.receive(now, &frame[..length]);
    loop {
        let length = device.poll_transmit(now, &mut frame);
        assert!(length > 0, "a hello is answered");
        let header = Frame::decode(&mut frame[1..length - 1]).unwrap().header;
        if header.session == nonce && matches!(header.kind, Kind::Welcome | Kind::Reject) {
            return header.kind;
        }
    }
}

#[test]
fn a_host_that_only_acknowledges_is_displaced_after_half_a_minute() {
    let mut holder = Holder::new();
    holder.say(&ToBox::Info);
    holder.run(IDLE_AFTER_MS - 1_000);
    assert_eq!(holder.hello(2), Kind::Reject, "a host may think for a while");
    // And a moment for the acknowledgement of the answer.
    holder.run(1_500);
    assert!(!holder.device.is_held(holder.now));
    assert_eq!(holder.hello(3), Kind::Welcome);
    holder.run(2_000);
    assert!(!holder.host.is_open(), "the host learns it");
}

#[test]
fn nobody_is_displaced_by_nobody() {
    let mut holder = Holder::new();
    holder.run(10 * IDLE_AFTER_MS);
    holder.say(&ToBox::Info);
    holder.run(100);
    assert_eq!(holder.answers, [ToHost::ClockSet]);
    assert_eq!(holder.hello(2), Kind::Reject, "it asks again");
}

/// What was announced comes a byte at a time: it is given up, and the box is free.
fn check_byte_now_and_then(holder: &mut Holder) {
    let begun = holder.now;
    for offset in 0..20 {
        holder.chunk(offset, 1);
        holder.run(7_500);
        if holder.answers.contains(&ToHost::Failed(Fault::Timeout)) {
            break;
        }
    }
    assert_eq!(holder.events.last(), Some(&BoxEvent::Dropped(Dropped::Failed(Fault::Timeout))));
    assert!(holder.now - begun < IDLE_AFTER_MS + 10_000, "{} ms", holder.now - begun);
    assert_eq!(holder.hello(2), Kind::Welcome, "the box is free at once");
}

#[test]
fn a_byte_now_and_then_is_no_image() {
    let mut holder = Holder::new();
    holder.announce(1_000_000);
    check_byte_now_and_then(&mut holder);
    assert_eq!(holder.answers.last(), Some(&ToHost::Failed(Fault::Timeout)));
}

#[test]
fn a_byte_now_and_then_is_no_piece() {
    let mut holder = Holder::new();
    holder.piece(0);
    check_byte_now_and_then(&mut holder);
}

#[test]
fn pieces_announced_again_and_again_hold_nobody_out() {
    let mut holder = Holder::new();
    for _ in 0..20 {
        holder.piece(0);
        holder.chunk(0, 5);
        holder.run(1_000);
        holder.say(&ToBox::Cancel);
        holder.run(1_000);
    }
    assert_eq!(holder.hello(2), Kind::Welcome);
}

#[test]
fn between_two_pieces_a_host_comes_in_that_was_turned_away() {
    let mut holder = Holder::new();
    let mut offset = 0;
    while offset < 2_500 {
        holder.piece(offset);
        holder.chunk(0, 500);
        holder.say(&ToBox::End);
        holder.run(200);
        offset += 500;
        assert_eq!(holder.answers.pop(), Some(ToHost::PieceStored { next: offset }));
    }
    holder.piece(offset);
    holder.run(100);
    assert_eq!(holder.hello(2), Kind::Reject, "not in the middle of one");
    holder.chunk(0, 500);
    holder.say(&ToBox::End);
    holder.run(200);
    assert_eq!(holder.answers.pop(), Some(ToHost::PieceStored { next: offset + 500 }));
    assert!(holder.device.is_held(holder.now));
    holder.piece(offset + 500);
    holder.run(100);
    assert_eq!(holder.answers.pop(), Some(ToHost::Failed(Fault::Busy)));
    assert!(!holder.device.is_held(holder.now));
    assert_eq!(holder.hello(2), Kind::Welcome);
}

#[test]
fn a_piece_makes_room_for_a_host_on_another_line() {
    let mut holder = Holder::new();
    holder.device.want(holder.now);
    holder.piece(0);
    holder.run(100);
    assert_eq!(holder.answers, [ToHost::Failed(Fault::Busy)]);
    assert!(holder.device.connected() && !holder.device.is_held(holder.now));
    // It has nothing better to do, and nobody comes.
    holder.say(&ToBox::Info);
    holder.run(2_000);
    assert!(holder.device.is_held(holder.now));
    holder.piece(0);
    holder.chunk(0, 500);
    holder.say(&ToBox::End);
    holder.run(100);
    assert_eq!(holder.answers.last(), Some(&ToHost::PieceStored { next: 500 }));
}

#[test]
fn a_host_that_was_turned_away_long_ago_costs_no_piece() {
    let mut holder = Holder::new();
    assert_eq!(holder.hello(2), Kind::Reject);
    holder.run(2_000);
    // Nor does an image make room: that is over soon.
    assert_eq!(holder.hello(2), Kind::Reject);
    holder.announce(1_000);
    holder.run(2_000);
    assert_eq!(holder.answers, []);
    holder.say(&ToBox::Cancel);
    holder.piece(0);
    holder.chunk(0, 500);
    holder.say(&ToBox::End);
    holder.run(100);
    assert_eq!(holder.answers.last(), Some(&ToHost::PieceStored { next: 500 }));
}

#[test]
fn an_image_begun_again_and_again_holds_nobody_out() {
    let mut holder = Holder::new();
    for _ in 0..20 {
        holder.announce(1_000);
        holder.chunk(0, 5);
        holder.run(1_000);
        holder.say(&ToBox::Cancel);
        holder.run(1_000);
    }
    holder.announce(1_000);
    holder.run(100);
    assert_eq!(holder.hello(2), Kind::Welcome);
}

#[test]
fn nonsense_is_no_request() {
    let mut holder = Holder::new();
    for _ in 0..40 {
        holder.host.send(&[200]).unwrap();
        holder.say(&ToBox::End);
        holder.run(1_000);
    }
    assert_eq!(holder.hello(2), Kind::Welcome);
}

#[test]
fn a_long_answer_that_is_hardly_taken_holds_nobody_out() {
    for request in [ToBox::Screenshot, ToBox::Results { from: 1, limit: u16::MAX }] {
        let mut holder = Holder::new();
        holder.device.set_slowest(1_000);
        holder.say(&request);
        holder.run(50);
        // It hears a frame in five seconds, and so acknowledges little.
        for _ in 0..12 {
            holder.hears = 1;
            holder.run(5_000);
        }
        assert!(holder.device.connected());
        assert_eq!(holder.hello(2), Kind::Welcome, "{request:?}");
    }
}

#[test]
fn an_image_at_a_fraction_of_the_speed_is_taken_and_holds_the_box() {
    // A fiftieth of the payload that 115,200 baud promise is twice the floor.
    let mut holder = Holder::new();
    holder.device.set_slowest(115);
    let total = 60_000;
    holder.announce(total);
    for offset in (0..total).step_by(500) {
        holder.chunk(offset, 500);
        holder.run(2_000);
        assert_eq!(holder.hello(2), Kind::Reject, "at {offset}");
    }
    assert!(!holder.answers.iter().any(|answer| matches!(answer, ToHost::Failed(_))), "{:?}", holder.answers);
}

#[test]
fn an_analysis_holds_the_box_however_long_it_takes() {
    let mut holder = Holder::new();
    let bytes = vec![7; 100];
    let begin = Begin { form: ImageForm::File, length: 100, digest: Digest::of(&bytes), exam: exam(), any_age: false };
    holder.say(&ToBox::Begin(begin));
    holder.chunk(0, 100);
    holder.say(&ToBox::End);
    holder.run(3 * IDLE_AFTER_MS);
    assert!(matches!(holder.events.last(), Some(BoxEvent::Image(_))));
    assert_eq!(holder.hello(2), Kind::Reject);
    holder.device.reply(Reply::Outcome(Outcome::Failed(Fault::Internal)));
    holder.run(IDLE_AFTER_MS / 2);
    assert_eq!(holder.hello(2), Kind::Reject, "the host may send the next one");
    holder.run(IDLE_AFTER_MS);
    assert_eq!(holder.hello(2), Kind::Welcome);
}

#[test]
fn a_hello_that_comes_late_and_whose_host_is_gone_holds_nobody_out() {
    let mut device = BoxSession::new(CONTRACT);
    // All that an adapter has kept comes at once.
    for _ in 0..15 {
        assert_eq!(hello(&mut device, 5_000, 1), Kind::Welcome);
    }
    assert!(device.is_held(5_000), "two hosts that come together do not displace each other");
    assert_eq!(hello(&mut device, 5_100, 2), Kind::Reject);
    // Nor do hellos that come one after the other.
    for now in (5_200..7_000).step_by(100) {
        if hello(&mut device, now, 2) == Kind::Welcome {
            assert!(now - 5_000 <= CONFIRM_WITHIN_MS + 200, "{now}");
            return;
        }
        hello(&mut device, now + 50, 1);
    }
    panic!("the ghost holds the box");
}

#[test]
fn a_host_confirms_a_session_at_once() {
    let (mut host, mut device) = (HostSession::new(0, 1), BoxSession::new(CONTRACT));
    let mut frame = [0; MAX_FRAME];
    for now in 0..3 {
        while let length @ 1.. = host.poll_transmit(now, &mut frame) {
            device.receive(now, &frame[..length]);
        }
        while let length @ 1.. = device.poll_transmit(now, &mut frame) {
            host.receive(now, &frame[..length]);
        }
    }
    assert!(device.is_held(CONFIRM_WITHIN_MS + 100), "it has asked nothing yet, but it is there");
}

#[test]
fn any_order_of_an_idle_hosts_messages_frees_the_box_in_time() {
    // Whatever a host says that asks nothing whole: the box is free half a minute later.
    for seed in 0..50 {
        let mut random = Random(seed);
        let mut holder = Holder::new();
        let mut offset = 0;
        for _ in 0..60 {
            match random.next() % 5 {
                0 => {
                    holder.announce(100_000);
                    offset = 0;
                }
                1 => {
                    holder.chunk(offset, 1);
                    offset += 1;
                }
                2 => holder.say(&ToBox::Cancel),
                3 => holder.say(&ToBox::End),
                _ => {}
            }
            holder.run(random.next() % 2_000);
        }
        holder.run(IDLE_AFTER_MS + 1_000 - (holder.now - 1_000).min(IDLE_AFTER_MS));
        assert_eq!(holder.hello(2), Kind::Welcome, "seed {seed}");
    }
}
