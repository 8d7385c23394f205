//! The conversations of all lines, of which one at a time has the box; without I/O and without a clock.

use shared::contract::InputContract;
use wire::{BoxEvent, BoxSession, MAX_FRAME, Reply};

/// A session for each line. At most one of them has a host, or is owed an answer.
pub struct Lines {
    sessions: Vec<BoxSession>,
    /// The line of the host that came last.
    active: usize,
    contract: InputContract,
    /// Bytes a second that each line carries at least.
    slowest: u64,
}

impl Lines {
    /// As many lines, each of which carries at least so many bytes a second.
    pub fn new(count: usize, contract: InputContract, slowest: u64) -> Self {
        let mut lines = Self { sessions: Vec::new(), active: 0, contract, slowest };
        (0..count).for_each(|_| lines.add());
        lines
    }

    /// Another line, behind those that there are. Hosts on it cannot ask for what was allowed before.
    pub fn add(&mut self) {
        let mut session = BoxSession::new(self.contract);
        session.set_slowest(self.slowest);
        self.sessions.push(session);
    }

    /// Takes bytes of a line; `arrived` is when they came, which may be before now. True if the host of another line has been
    /// displaced: it holds the box no longer.
    pub fn receive(&mut self, line: usize, arrived: u64, now: u64, bytes: &[u8]) -> bool {
        // As it was when the bytes came: what the other host has sent since may still wait behind them.
        let taken = line != self.active && self.sessions[self.active].is_held(arrived);
        let session = &mut self.sessions[line];
        session.set_taken(taken);
        session.receive(now, bytes);
        let is_connected = session.connected();
        if line != self.active
            && let Some(at) = session.turned_away_at()
        {
            self.sessions[self.active].want(at);
        }
        is_connected && line != self.active && self.hand_over(line)
    }

    /// A host on another line than the last one has opened a session.
    fn hand_over(&mut self, line: usize) -> bool {
        let Ok([next, before]) = self.sessions.get_disjoint_mut([line, self.active]) else { return false };
        let displaced = before.connected();
        next.displace(before);
        self.active = line;
        displaced
    }

    /// A line is gone. True if it had a host.
    pub fn lose(&mut self, line: usize) -> bool {
        let session = &mut self.sessions[line];
        let in_use = session.connected();
        session.close();
        in_use
    }

    /// The next event of a line.
    pub fn event(&mut self, line: usize, now: u64) -> Option<BoxEvent> {
        self.sessions[line].event(now)
    }

    /// Replies to the last event.
    pub fn reply(&mut self, reply: Reply) {
        self.sessions[self.active].reply(reply);
    }

    /// Another model is in the box.
    pub fn set_contract(&mut self, contract: InputContract) {
        self.contract = contract;
        self.sessions.iter_mut().for_each(|session| session.set_contract(contract));
    }

    /// Hosts may ask to have images judged whatever the patient's age.
    pub fn allow_any_age(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.allow_any_age(true));
    }

    /// Writes the next frame for a line and returns its length, or 0 if there is none now.
    pub fn poll_transmit(&mut self, line: usize, now: u64, frame: &mut [u8; MAX_FRAME]) -> usize {
        self.sessions[line].poll_transmit(now, frame)
    }

    /// When a line must be looked at even if nothing happens.
    pub fn deadline(&self, line: usize) -> Option<u64> {
        self.sessions[line].next_deadline()
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        appliance::line::{DEFAULT_BAUD, least_bytes_a_second},
        verdict::{Digest, ExamId},
    };
    use wire::{
        Begin, Chunk, HostError, HostEvent, HostSession, IDLE_AFTER_MS, ImageForm, ToBox, Transport, TransportEvent,
    };

    use super::*;

    /// A box with two lines, and a host on the first one that says what a test wants.
    struct World {
        now: u64,
        lines: Lines,
        holder: Transport,
        /// Whether the box program has learnt that a host was displaced.
        displaced: bool,
    }

    impl World {
        fn new() -> Self {
            let lines = Lines::new(2, InputContract::stretched(16), least_bytes_a_second(DEFAULT_BAUD));
            let mut world = Self { now: 0, lines, holder: Transport::connect(0, 1), displaced: false };
            world.run(100);
            assert_eq!(world.holder.take_event(), Some(TransportEvent::Up));
            world
        }

        fn run(&mut self, milliseconds: u64) {
            for _ in 0..milliseconds {
                self.now += 1;
                let mut frame = [0; MAX_FRAME];
                while let length @ 1.. = self.holder.poll_transmit(self.now, &mut frame) {
                    self.lines.receive(0, self.now, self.now, &frame[..length]);
                }
                while self.lines.event(0, self.now).is_some() {}
                while let length @ 1.. = self.lines.poll_transmit(0, self.now, &mut frame) {
                    self.holder.receive(self.now, &frame[..length]);
                }
                while self.holder.take_message().is_some() {}
            }
        }

        /// What a host on the second line hears that says hello for six seconds, and after how many milliseconds.
        fn other(&mut self) -> (HostEvent, u64) {
            let begun = self.now;
            let mut host = HostSession::new(self.now, 2);
            loop {
                self.run(1);
                let mut frame = [0; MAX_FRAME];
                while let length @ 1.. = host.poll_transmit(self.now, &mut frame) {
                    self.displaced |= self.lines.receive(1, self.now, self.now, &frame[..length]);
                }
                while self.lines.event(1, self.now).is_some() {}
                while let length @ 1.. = self.lines.poll_transmit(1, self.now, &mut frame) {
                    host.receive(self.now, &frame[..length]);
                }
                if let Some(event) = host.event(self.now) {
                    return (event, self.now - begun);
                }
            }
        }

        fn say(&mut self, message: &ToBox) {
            let mut payload = [0; wire::MAX_PAYLOAD];
            self.holder.send(postcard::to_slice(message, &mut payload).unwrap()).unwrap();
        }
    }

    const BUSY: HostEvent = HostEvent::Down(HostError::Busy);

    #[test]
    fn acknowledgements_hold_the_box_for_half_a_minute_at_most() {
        let mut world = World::new();
        world.run(20_000);
        assert_eq!(world.other().0, BUSY);
        assert_eq!(world.other().0, HostEvent::Connected);
        assert!(world.now < IDLE_AFTER_MS + 1_000 && world.displaced, "{}", world.now);
        world.run(2_000);
        assert!(!world.holder.is_open(), "and the one before learns it");
    }

    #[test]
    fn a_byte_of_an_image_every_few_seconds_holds_the_box_for_half_a_minute_at_most() {
        let mut world = World::new();
        let (form, digest, exam) = (ImageForm::File, Digest::default(), ExamId::default());
        world.say(&ToBox::Begin(Begin { form, length: 1_000_000, digest, exam, any_age: false }));
        let mut told = Vec::new();
        for offset in 0..20 {
            world.say(&ToBox::Chunk(Chunk { offset, data: [7].as_slice().try_into().unwrap() }));
            told.push(world.other().0);
            if told.last() == Some(&HostEvent::Connected) {
                break;
            }
            world.run(1_500);
        }
        assert!(told.len() > 3 && told[..told.len() - 1].iter().all(|event| *event == BUSY), "{told:?}");
        assert!(world.now < IDLE_AFTER_MS + 8_000 && world.displaced, "{}", world.now);
    }

    #[test]
    fn a_hello_of_a_host_that_is_gone_keeps_none_out_on_another_line() {
        let mut world = World::new();
        world.holder.close();
        world.run(10);
        // It lay in an adapter, and comes when its host has gone.
        let mut frame = [0; MAX_FRAME];
        let length = Transport::connect(world.now, 9).poll_transmit(world.now, &mut frame);
        world.lines.receive(0, world.now, world.now, &frame[..length]);
        let (event, after) = world.other();
        assert_eq!(event, HostEvent::Connected);
        assert!(after < 1_500, "{after} ms");
    }
}
