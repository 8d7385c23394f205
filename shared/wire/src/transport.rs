//! A reliable, ordered, exactly-once stream of messages in both directions over frames that may be lost, damaged,
//! doubled or reordered. No I/O and no clock: bytes and the time (in milliseconds of any monotonic clock) are handed in.

use core::mem;

use heapless::{Deque, Vec};

use super::{
    frame::{Deframer, Frame, Greeting, Header, Kind, MAX_FRAME, MAX_PAYLOAD, Reason, Rejection, Role},
    timing::{
        ACK_DELAY_MS, ACK_EVERY, CONFIRM_WITHIN_MS, CONNECT_FOR_MS, DEAD_AFTER_MS, FEW, HELLO_EVERY_MS, KEEP_ALIVE_MS,
        REORDERING, RoundTrip, TAKEOVER_AFTER_MS,
    },
};

/// Messages in flight, in each direction.
pub const WINDOW: usize = 16;

type Payload = Vec<u8, MAX_PAYLOAD>;

/// Why a transport is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The peer ended the session, or does not know it (any more).
    Closed,
    /// Nothing was heard for [`DEAD_AFTER_MS`].
    Silent,
    /// Box: another host has taken over a session that had fallen silent.
    TakenOver,
    /// Host: nobody answered the hello.
    NoAnswer,
    /// Host: the box serves another host.
    Busy,
    /// Host: the box speaks another version; its greeting.
    Incompatible(Greeting),
}

/// A change of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// The session is open.
    Up,
    /// The session is over; what was in flight is dropped.
    Down(Down),
}

/// The window is full, or there is no session: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line cannot take another message now")]
pub struct WindowFull;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Host only.
    Connecting {
        until: u64,
        hello_at: u64,
        busy: bool,
    },
    Open,
}

/// A message that the peer has not yet acknowledged.
struct Outgoing {
    payload: Payload,
    /// When it was last transmitted, if ever.
    sent_at: Option<u64>,
    /// Number of its last transmission, counting every transmission of the session.
    order: u64,
    repeated: bool,
    /// Acknowledged selectively.
    arrived: bool,
    /// To be transmitted again.
    lost: bool,
}

impl Outgoing {
    /// When it counts as lost if nothing is heard of it; restarted by every acknowledgement that acknowledges something new,
    /// because a slow line delivers a full window late but steadily.
    fn repeat_at(&self, progress_at: u64, timeout: u64) -> Option<u64> {
        let sent_at = self.sent_at.filter(|_| !self.arrived && !self.lost)?;
        Some(sent_at.max(progress_at) + timeout)
    }
}

/// A control frame that waits to be transmitted.
#[derive(Clone, Copy)]
enum Control {
    Welcome,
    Reject { session: u32, reason: Reason },
    Reset { session: u32 },
}

/// How a transport has done, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames transmitted.
    pub sent: u64,
    /// Messages transmitted again.
    pub repeated: u64,
    /// Frames received with a right checksum.
    pub received: u64,
    /// Frames dropped: damaged, or garbage between two zeros.
    pub damaged: u64,
}

/// One end of the line.
pub struct Transport {
    role: Role,
    greeting: Greeting,
    state: State,
    session: u32,
    deframer: Deframer,
    outgoing: Deque<Outgoing, WINDOW>,
    /// Number of the first message of `outgoing`.
    first: u16,
    transmissions: u64,
    /// When an acknowledgement last acknowledged something new.
    progress_at: u64,
    round_trip: RoundTrip,
    /// Messages `read .. read + WINDOW`, as far as they have arrived, at their number modulo the window.
    incoming: [Option<Payload>; WINDOW],
    /// The next message to hand out.
    read: u16,
    /// The first message that has not arrived.
    expected: u16,
    /// Messages that have arrived since the last acknowledgement.
    unacknowledged: u8,
    acknowledge_at: Option<u64>,
    heard_at: u64,
    spoke_at: u64,
    /// A session that has been silent for this long may be taken over.
    takeover_after: u64,
    /// When the session was opened.
    opened_at: u64,
    /// Whether the peer has said anything in the session: before, it may be gone.
    confirmed: bool,
    /// Box: whether another host may displace this one, although it is there.
    idle: bool,
    /// Bytes of messages that the peer has acknowledged, in this session and those before.
    delivered: u64,
    control: Option<Control>,
    /// Box: hosts are answered that it is busy.
    taken: bool,
    /// Box: when a host was last answered so.
    turned_away_at: Option<u64>,
    came_up: bool,
    went_down: Option<Down>,
    counters: Counters,
}

impl Transport {
    /// The box's end: waits for a host.
    pub fn listen() -> Self {
        Self::new(Role::Box, 0, State::Closed)
    }

    /// The host's end: says hello until the box answers, at most for [`CONNECT_FOR_MS`].
    pub fn connect(now: u64, nonce: u32) -> Self {
        Self::connect_within(now, nonce, CONNECT_FOR_MS)
    }

    /// The same, for at most this many milliseconds.
    pub fn connect_within(now: u64, nonce: u32, milliseconds: u64) -> Self {
        let until = now.saturating_add(milliseconds);
        Self::new(Role::Host, nonce, State::Connecting { until, hello_at: now, busy: false })
    }

    fn new(role: Role, session: u32, state: State) -> Self {
        Self {
            role,
            greeting: Greeting::ours(),
            state,
            session,
            deframer: Deframer::default(),
            outgoing: Deque::new(),
            first: 0,
            transmissions: 0,
            progress_at: 0,
            round_trip: RoundTrip::default(),
            incoming: [const { None }; WINDOW],
            read: 0,
            expected: 0,
            unacknowledged: 0,
            acknowledge_at: None,
            heard_at: 0,
            spoke_at: 0,
            takeover_after: TAKEOVER_AFTER_MS,
            opened_at: 0,
            confirmed: false,
            idle: false,
            delivered: 0,
            control: None,
            taken: false,
            turned_away_at: None,
            came_up: false,
            went_down: None,
            counters: Counters::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_greeting(mut self, greeting: Greeting) -> Self {
        self.greeting = greeting;
        self
    }

    /// True while a session is open.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// True while a session is open that no other host may take over yet.
    pub fn is_held(&self, now: u64) -> bool {
        let confirmed = self.confirmed || now.saturating_sub(self.opened_at) < CONFIRM_WITHIN_MS;
        self.is_open() && confirmed && !self.idle && now.saturating_sub(self.heard_at) < self.takeover_after
    }

    /// Box: how many bytes a second the line carries at its full speed. One so slow that two frames take longer than
    /// [`TAKEOVER_AFTER_MS`] is not silent before that.
    pub(super) fn set_speed(&mut self, bytes_a_second: u64) {
        let frames = 2 * MAX_FRAME as u64 * 1000 / bytes_a_second.max(1);
        self.takeover_after = frames.clamp(TAKEOVER_AFTER_MS, DEAD_AFTER_MS);
    }

    /// Box: whether another host may take the session over, although its host is there.
    pub fn set_idle(&mut self, idle: bool) {
        self.idle = idle;
    }

    /// When the session was opened.
    pub(super) fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// Bytes of messages that the peer has acknowledged, in this session and those before.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Box: whether a hello is answered by busy, because a host on another line holds the box.
    pub fn set_taken(&mut self, taken: bool) {
        self.taken = taken;
    }

    /// Box: when a host was last answered that the box is busy.
    pub(super) fn turned_away_at(&self) -> Option<u64> {
        self.turned_away_at
    }

    /// Number of messages that can be sent now.
    pub fn room(&self) -> usize {
        if self.is_open() { WINDOW - self.outgoing.len() } else { 0 }
    }

    /// Number of messages that the peer has not yet acknowledged.
    pub fn in_flight(&self) -> usize {
        self.outgoing.iter().filter(|message| !message.arrived).count()
    }

    /// How the transport has done.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Queues a message of at most [`MAX_PAYLOAD`] bytes.
    pub fn send(&mut self, payload: &[u8]) -> Result<(), WindowFull> {
        if !self.is_open() {
            return Err(WindowFull);
        }
        let payload = Payload::from_slice(payload).map_err(|_| WindowFull)?;
        let message = Outgoing { payload, sent_at: None, order: 0, repeated: false, arrived: false, lost: false };
        self.outgoing.push_back(message).map_err(|_| WindowFull)
    }

    /// The next message of the peer. What is not taken is not acknowledged beyond the window, so the peer waits.
    pub fn take_message(&mut self) -> Option<Payload> {
        let message = self.incoming[slot(self.read)].take()?;
        self.read = self.read.wrapping_add(1);
        Some(message)
    }

    /// What has happened to the session since the last call.
    pub fn take_event(&mut self) -> Option<TransportEvent> {
        if let Some(down) = self.went_down.take() {
            return Some(TransportEvent::Down(down));
        }
        mem::take(&mut self.came_up).then_some(TransportEvent::Up)
    }

    /// Ends the session; the peer learns it from the next transmission.
    pub fn close(&mut self) {
        if self.state != State::Closed {
            self.control = Some(Control::Reset { session: self.session });
            self.reset_stream();
            self.state = State::Closed;
            self.came_up = false;
        }
    }

    /// Takes bytes from the line.
    pub fn receive(&mut self, now: u64, mut bytes: &[u8]) {
        let mut deframer = mem::take(&mut self.deframer);
        while let Some(frame) = deframer.next(&mut bytes) {
            match frame {
                Ok(frame) => self.receive_frame(now, &frame),
                Err(_) => self.counters.damaged += 1,
            }
        }
        self.deframer = deframer;
    }

    fn receive_frame(&mut self, now: u64, frame: &Frame<'_>) {
        let header = frame.header;
        if header.from != self.role.peer() {
            return;
        }
        self.counters.received += 1;
        let ours = header.session == self.session;
        match (self.role, header.kind) {
            (Role::Box, Kind::Hello) => self.greet(now, header.session, frame.payload),
            (Role::Host, Kind::Welcome) if ours => self.welcome(now, frame.payload),
            (Role::Host, Kind::Reject) if ours => self.reject(frame.payload),
            (_, Kind::Reset) if ours && self.is_open() => self.go_down(Down::Closed),
            (_, Kind::Data | Kind::Ack) if ours && self.is_open() => {
                self.heard_at = now;
                self.confirmed = true;
                self.acknowledged(now, header.ack, header.sack);
                if header.kind == Kind::Data {
                    self.accept(now, header.seq, frame.payload);
                }
            }
            // A host whose session the box has given up, or lost in a restart.
            (Role::Box, Kind::Data | Kind::Ack) => self.control = Some(Control::Reset { session: header.session }),
            _ => {}
        }
    }

    fn greet(&mut self, now: u64, session: u32, payload: &[u8]) {
        let another = self.is_open() && session != self.session;
        if Greeting::from_bytes(payload) != Some(self.greeting) {
            self.control = Some(Control::Reject { session, reason: Reason::Incompatible });
        } else if self.taken || another && self.is_held(now) {
            self.control = Some(Control::Reject { session, reason: Reason::Busy });
            self.turned_away_at = Some(now);
        } else {
            if another {
                self.go_down(Down::TakenOver);
            }
            if !self.is_open() {
                self.open(now, session);
            }
            self.heard_at = now;
            self.control = Some(Control::Welcome);
        }
    }

    fn welcome(&mut self, now: u64, payload: &[u8]) {
        if !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        match Greeting::from_bytes(payload) {
            Some(greeting) if greeting == self.greeting => {
                self.open(now, self.session);
                // The box learns at once that somebody is there.
                self.acknowledge_at = Some(now);
            }
            Some(greeting) => self.go_down(Down::Incompatible(greeting)),
            None => {}
        }
    }

    fn reject(&mut self, payload: &[u8]) {
        let (State::Connecting { busy, .. }, Some(rejection)) = (&mut self.state, Rejection::from_bytes(payload))
        else {
            return;
        };
        match rejection.reason {
            // The other host may have fallen silent: keep asking.
            Reason::Busy => *busy = true,
            Reason::Incompatible => self.go_down(Down::Incompatible(rejection.greeting)),
        }
    }

    fn open(&mut self, now: u64, session: u32) {
        self.reset_stream();
        self.state = State::Open;
        self.session = session;
        self.round_trip = RoundTrip::default();
        self.progress_at = now;
        self.heard_at = now;
        self.spoke_at = now;
        self.opened_at = now;
        self.confirmed = false;
        self.idle = false;
        self.came_up = true;
    }

    fn go_down(&mut self, down: Down) {
        self.reset_stream();
        self.state = State::Closed;
        // If a box has not heard of the session, it need not hear of its end. A host waits for one or the other.
        let unheard_of = mem::take(&mut self.came_up);
        if !unheard_of || self.role == Role::Host {
            self.went_down = Some(down);
        }
    }

    fn reset_stream(&mut self) {
        self.outgoing.clear();
        self.first = 0;
        self.transmissions = 0;
        self.incoming.fill(None);
        self.read = 0;
        self.expected = 0;
        self.unacknowledged = 0;
        self.acknowledge_at = None;
    }

    fn acknowledged(&mut self, now: u64, ack: u16, sack: u16) {
        let sent = self.outgoing.iter().take_while(|message| message.sent_at.is_some()).count();
        let count = usize::from(ack.wrapping_sub(self.first));
        if count > sent {
            return;
        }
        let mut newest = None;
        for (index, message) in self.outgoing.iter_mut().enumerate() {
            // Bit i of `sack` stands for the message 1 + i behind the first one missing, which is at `count`.
            let behind = index.checked_sub(count + 1);
            let arrived = index < count || behind.is_some_and(|bit| bit < 16 && (sack >> bit) & 1 == 1);
            let Some(sent_at) = message.sent_at.filter(|_| arrived && !message.arrived) else { continue };
            message.arrived = true;
            self.delivered += message.payload.len() as u64;
            message.lost = false;
            self.progress_at = now;
            self.round_trip.progress();
            let took = now.saturating_sub(sent_at);
            // Of a message sent twice nobody knows which one arrived (Karn), unless the second cannot have been so fast.
            if !message.repeated {
                self.round_trip.sample(took);
            }
            if !message.repeated || took >= self.round_trip.shortest() {
                newest = newest.max(Some(message.order));
            }
        }
        for _ in 0..count {
            self.outgoing.pop_front();
        }
        self.first = ack;
        if let Some(newest) = newest {
            for message in self.outgoing.iter_mut().filter(|message| message.sent_at.is_some() && !message.arrived) {
                message.lost |= message.order + REORDERING <= newest;
            }
        }
    }

    fn accept(&mut self, now: u64, seq: u16, payload: &[u8]) {
        let in_order = seq == self.expected;
        let ahead = usize::from(seq.wrapping_sub(self.read));
        let behind = usize::from(self.expected.wrapping_sub(self.read));
        let fresh = (behind..WINDOW).contains(&ahead) && self.incoming[slot(seq)].is_none();
        if fresh && let Ok(payload) = Payload::from_slice(payload) {
            self.incoming[slot(seq)] = Some(payload);
            while usize::from(self.expected.wrapping_sub(self.read)) < WINDOW
                && self.incoming[slot(self.expected)].is_some()
            {
                self.expected = self.expected.wrapping_add(1);
            }
        }
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        // Gaps and repetitions are reported at once, so that the peer repeats the right messages soon.
        let urgent = !in_order || !fresh || self.unacknowledged >= ACK_EVERY || self.selective() != 0;
        let due = if urgent { now } else { now + ACK_DELAY_MS };
        self.acknowledge_at = Some(self.acknowledge_at.map_or(due, |at| at.min(due)));
    }

    fn selective(&self) -> u16 {
        let mut bits = 0;
        for bit in 0..16 {
            let seq = self.expected.wrapping_add(1 + bit);
            let within = usize::from(seq.wrapping_sub(self.read)) < WINDOW;
            bits |= u16::from(within && self.incoming[slot(seq)].is_some()) << bit;
        }
        bits
    }

    /// Writes the next frame to transmit and returns its length, or 0 if there is none now. Call it until it returns 0,
    /// each time the line has room.
    pub fn poll_transmit(&mut self, now: u64, out: &mut [u8; MAX_FRAME]) -> usize {
        self.tick(now);
        let Some(length) = self.next_frame(now, out) else { return 0 };
        self.counters.sent += 1;
        self.spoke_at = now;
        length
    }

    fn tick(&mut self, now: u64) {
        match self.state {
            State::Connecting { until, busy, .. } if now >= until => {
                self.go_down(if busy { Down::Busy } else { Down::NoAnswer });
            }
            State::Open => {
                self.expire(now);
                let (progress_at, timeout) = (self.progress_at, self.timeout());
                let mut expired = false;
                for message in &mut self.outgoing {
                    if message.repeat_at(progress_at, timeout).is_some_and(|at| now >= at) {
                        message.lost = true;
                        expired = true;
                    }
                }
                if expired {
                    self.round_trip.back_off();
                }
            }
            _ => {}
        }
    }

    /// Gives a peer up that has been silent for too long; also where nothing can be transmitted.
    pub fn expire(&mut self, now: u64) {
        if self.is_open() && now.saturating_sub(self.heard_at) >= DEAD_AFTER_MS {
            self.go_down(Down::Silent);
        }
    }

    fn timeout(&self) -> u64 {
        let sent = self.outgoing.iter().filter(|message| message.sent_at.is_some() && !message.arrived).count();
        self.round_trip.timeout(sent <= FEW)
    }

    fn next_frame(&mut self, now: u64, out: &mut [u8; MAX_FRAME]) -> Option<usize> {
        if let Some(control) = self.control.take() {
            return match control {
                Control::Welcome => self.control_frame(Kind::Welcome, self.session, &self.greeting.to_bytes(), out),
                Control::Reject { session, reason } => {
                    let rejection = Rejection { reason, greeting: self.greeting };
                    self.control_frame(Kind::Reject, session, &rejection.to_bytes(), out)
                }
                Control::Reset { session } => self.control_frame(Kind::Reset, session, &[], out),
            };
        }
        match &mut self.state {
            State::Closed => None,
            State::Connecting { hello_at, .. } => {
                if now < *hello_at {
                    return None;
                }
                *hello_at = now + HELLO_EVERY_MS;
                self.control_frame(Kind::Hello, self.session, &self.greeting.to_bytes(), out)
            }
            State::Open => self.message_frame(now, out).or_else(|| {
                let due = self.acknowledge_at.is_some_and(|at| now >= at) || now >= self.spoke_at + KEEP_ALIVE_MS;
                if !due {
                    return None;
                }
                let header = self.stream_header(Kind::Ack, 0);
                self.acknowledgement_sent();
                Frame { header, payload: &[] }.encode(out)
            }),
        }
    }

    fn message_frame(&mut self, now: u64, out: &mut [u8; MAX_FRAME]) -> Option<usize> {
        let index = self
            .outgoing
            .iter()
            .position(|message| message.lost)
            .or_else(|| self.outgoing.iter().position(|message| message.sent_at.is_none()))?;
        let header = self.stream_header(Kind::Data, self.first.wrapping_add(index as u16));
        self.transmissions += 1;
        let message = self.outgoing.iter_mut().nth(index)?;
        message.repeated = message.sent_at.is_some();
        message.sent_at = Some(now);
        message.order = self.transmissions;
        message.lost = false;
        self.counters.repeated += u64::from(message.repeated);
        let length = Frame { header, payload: &message.payload }.encode(out);
        self.acknowledgement_sent();
        length
    }

    fn stream_header(&self, kind: Kind, seq: u16) -> Header {
        Header { kind, from: self.role, session: self.session, seq, ack: self.expected, sack: self.selective() }
    }

    fn acknowledgement_sent(&mut self) {
        self.unacknowledged = 0;
        self.acknowledge_at = None;
    }

    fn control_frame(&self, kind: Kind, session: u32, payload: &[u8], out: &mut [u8; MAX_FRAME]) -> Option<usize> {
        let header = Header { kind, from: self.role, session, seq: 0, ack: 0, sack: 0 };
        Frame { header, payload }.encode(out)
    }

    /// When [`Self::poll_transmit`] must be called at the latest even if nothing is received; a time in the past means
    /// now. `None` while the box waits for a host.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.control.is_some() {
            return Some(0);
        }
        match self.state {
            State::Closed => None,
            State::Connecting { until, hello_at, .. } => Some(until.min(hello_at)),
            State::Open => {
                if self.outgoing.iter().any(|message| message.lost || message.sent_at.is_none()) {
                    return Some(0);
                }
                let timeout = self.timeout();
                let repeat = self.outgoing.iter().filter_map(|m| m.repeat_at(self.progress_at, timeout)).min();
                let rest = (self.heard_at + DEAD_AFTER_MS).min(self.spoke_at + KEEP_ALIVE_MS);
                [repeat, self.acknowledge_at].into_iter().flatten().chain([rest]).min()
            }
        }
    }
}

fn slot(seq: u16) -> usize {
    usize::from(seq) % WINDOW
}
