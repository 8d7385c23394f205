//! How much of a paced line two sessions use, in simulated time.

use std::{collections::VecDeque, time::Duration};

use shared::{
    contract::InputContract,
    verdict::{ExamId, Refusal},
};
use wire::{BoxEvent, BoxSession, HostEvent, HostSession, Image, MAX_FRAME, Outcome, Reply, Request};

use super::{
    line::{QUEUE, READ_SLOWLY},
    pace::Pace,
};

const BAUD: u32 = 115_200;
const BYTES_A_SECOND: f64 = 11_520.0;

/// A host and a box on a pseudo-terminal, in simulated time: the threads of [`super::Line`] read and write when
/// their bytes have passed.
struct World {
    now: u64,
    host: HostSession,
    device: BoxSession,
    /// What the pseudo-terminal holds for the box.
    held: VecDeque<u8>,
    /// What is passing to the box and to the host, with the time at which it has.
    passing: [Option<(Duration, Vec<u8>)>; 2],
    paces: [Pace; 2],
    /// Frames that wait for their turn to pass to the host.
    waiting: VecDeque<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        Self {
            now: 0,
            host: HostSession::new(0, 1),
            device: BoxSession::new(InputContract::stretched(16)),
            held: VecDeque::new(),
            passing: [None, None],
            paces: [Pace::new(BAUD), Pace::new(BAUD)],
            waiting: VecDeque::new(),
        }
    }

    /// A millisecond passes. A box that has received an image refuses it at once.
    fn step(&mut self) -> Option<HostEvent> {
        self.now += 1;
        let (now, time) = (self.now, Duration::from_millis(self.now));
        let mut frame = [0; MAX_FRAME];
        // As Linux holds for a terminal.
        while self.held.len() + MAX_FRAME <= 4096 {
            let length = self.host.poll_transmit(now, &mut frame);
            self.held.extend(&frame[..length]);
            if length == 0 {
                break;
            }
        }
        while self.waiting.iter().map(Vec::len).sum::<usize>() < QUEUE {
            let length = self.device.poll_transmit(now, &mut frame);
            if length == 0 {
                break;
            }
            self.waiting.push_back(frame[..length].to_vec());
        }
        if let Some((_, bytes)) = self.passing[0].take_if(|(until, _)| *until <= time) {
            self.device.receive(now, &bytes);
        }
        if let Some((_, bytes)) = self.passing[1].take_if(|(until, _)| *until <= time) {
            self.host.receive(now, &bytes);
        }
        if self.passing[0].is_none() && !self.held.is_empty() {
            let bytes: Vec<u8> = self.held.drain(..self.held.len().min(READ_SLOWLY)).collect();
            self.passing[0] = Some((time + self.paces[0].pass(time, bytes.len()), bytes));
        }
        if self.passing[1].is_none()
            && let Some(bytes) = self.waiting.pop_front()
        {
            self.passing[1] = Some((time + self.paces[1].pass(time, bytes.len()), bytes));
        }
        while let Some(event) = self.device.event(now) {
            if let BoxEvent::Image(_) = event {
                self.device.reply(Reply::Outcome(Outcome::Refused(Refusal::Blank)));
            }
        }
        self.host.event(now)
    }

    /// Steps until the host learns what is waited for.
    fn wait(&mut self, wanted: &HostEvent) {
        let found = (0..60_000).any(|_| self.step().as_ref() == Some(wanted));
        assert!(found, "no {wanted:?} within a minute");
    }
}

#[test]
fn the_line_is_used_to_nine_tenths_at_115200_bits_a_second() {
    let mut world = World::new();
    world.wait(&HostEvent::Connected);
    let image = Image::file(vec![0x5a; 40_000], ExamId::default()).unwrap();
    let (start, length) = (world.now, image.bytes.len());
    world.host.request(start, Request::Image(image)).unwrap();
    world.wait(&HostEvent::Outcome(Outcome::Refused(Refusal::Blank)));
    let used = length as f64 * 1000.0 / (world.now - start) as f64 / BYTES_A_SECOND;
    assert!((0.9..=1.0).contains(&used), "{:.1} % of the line", used * 100.0);
    assert_eq!(world.host.counters().repeated, 0);
}
