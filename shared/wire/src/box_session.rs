//! The conversation as the box holds it: messages in, events for the box program out, its answers back.

use alloc::{boxed::Box, vec::Vec};

use super::{
    assembly::{Assembled, Assembly, BundlePiece, Dropped, MISUNDERSTOOD, ModelFile},
    codec,
    entry::Listed,
    frame::MAX_FRAME,
    image::Image,
    message::{CHUNK, Chunk, Installed, Phase, ToBox, ToHost},
    question::{Answer, Question, asking},
    timing::{IDLE_AFTER_MS, IMAGE_SILENCE_MS, SLOWEST_BYTES_PER_SECOND, TURNED_AWAY_MS},
    transport::{Counters, Transport, TransportEvent},
};
use shared::{
    contract::InputContract,
    limits::MAX_SCREEN_BYTES,
    verdict::{Digest, ExamId, Fault, ModelRefusal, Refusal, ResultRecord, SiteRefusal, SoftwareRefusal},
};

/// Places of the window that long replies leave free for short ones.
const RESERVE: usize = 4;
/// A line carries at least one part in so many of its speed.
const OF_THE_SPEED: u64 = 10;
/// The bytes received are reported to the host at this distance.
const PROGRESS_EVERY: u32 = 32 * 1024;

/// How the box answers an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The result, already in the journal.
    Result(ResultRecord),
    /// The image cannot be judged.
    Refused(Refusal),
    /// The box could not do it.
    Failed(Fault),
}

/// What the box program learns. Those that ask are answered by one [`Reply`], before anything else is taken from the host.
#[derive(Clone, Debug, PartialEq)]
pub enum BoxEvent {
    /// A host has opened a session.
    HostConnected,
    /// The host has closed the session, was silent for 10 s, or was displaced. What was in transit is dropped.
    HostGone,
    /// An image comes in; reported when it is announced, then with `done` 0, and after each percent.
    Receiving {
        /// The host's name for the examination.
        exam: ExamId,
        /// Bytes that have arrived.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// A complete image; asks for [`Reply::Outcome`], which may come later: the session continues meanwhile.
    Image(Image),
    /// An update comes in; reported at its beginning and after each percent.
    Updating {
        /// Bytes that have arrived.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// A complete update; asks for [`Reply::Installed`], or of a site file for [`Reply::Site`], which may come later. Nothing else
    /// is taken from the host meanwhile.
    Update(ModelFile),
    /// A piece of a bundle comes in; reported at its beginning and after each percent of the bundle.
    Bundle {
        /// Bytes of the bundle that have arrived, those of earlier pieces among them.
        done: u32,
        /// Bytes of the bundle.
        total: u32,
    },
    /// A complete piece of a bundle; asks for [`Reply::Piece`], which may come later. Nothing else is taken from the host
    /// meanwhile.
    Piece(BundlePiece),
    /// The image, update or piece that was received or analysed is not wanted any more, or refused; the host knows it. If it
    /// is being analysed, [`Reply::Outcome`] is still due.
    Dropped(Dropped),
    /// The same of an image that is dropped as it is announced, and with it of any before it.
    Declined {
        /// The host's name for the examination.
        exam: ExamId,
        /// Why.
        dropped: Dropped,
    },
    /// Asks for [`Reply::Answer`].
    Asked(Question),
    /// Asks for [`Reply::Record`]: the first record that is kept from this number on.
    Record {
        /// Lowest number of the record.
        number: u64,
    },
    /// Asks for [`Reply::Entry`]: the first entry that is kept from this number on.
    Entry {
        /// Lowest number of the entry.
        sequence: u64,
    },
    /// Asks for [`Reply::Screenshot`].
    Screenshot,
}

/// What the box program replies to a [`BoxEvent`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`BoxEvent::Image`], once, also if the host has gone or has given the image up meanwhile.
    Outcome(Outcome),
    /// To [`BoxEvent::Update`], once, also if the host has gone meanwhile. The model must be on the disk.
    Installed(Result<Installed, ModelRefusal>),
    /// What the box is doing with the image, update or piece; dropped if the line has no room or nobody waits for it.
    Progress(Phase),
    /// To [`BoxEvent::Asked`].
    Answer(Answer),
    /// To [`BoxEvent::Record`]; `None` if the journal ends before that number. Numbers that are not kept any more are
    /// passed over.
    Record(Option<ResultRecord>),
    /// To [`BoxEvent::Entry`], likewise.
    Entry(Option<Listed>),
    /// The same, where the update is a site file. It must be on the disk, too.
    Site(Result<Installed, SiteRefusal>),
    /// To [`BoxEvent::Update`], in the place of [`Self::Installed`]: the box cannot do it now.
    NotInstalled(Fault),
    /// To [`BoxEvent::Piece`]: how many bytes of the bundle are on the disk. Nothing happens if the host has gone.
    Piece(Result<u32, SoftwareRefusal>),
    /// To [`BoxEvent::Piece`], in the place of [`Self::Piece`]: the box cannot do it now.
    PieceNotStored(Fault),
    /// To [`BoxEvent::Screenshot`]: a PNG file of at most [`MAX_SCREEN_BYTES`]; it is sent as the line has room.
    Screenshot(Vec<u8>),
    /// To whatever asks for an answer, a record, an entry or a screenshot: it cannot be done. Nothing happens if nothing is asked any more.
    Failed(Fault),
}

enum Incoming {
    Nothing,
    /// The rest of what was dropped.
    Ignoring,
    Assembling {
        assembly: Box<Assembly>,
        /// When it was announced.
        begun: u64,
        /// Dropped if nothing arrives until then.
        deadline: u64,
    },
}

impl Incoming {
    /// When it is dropped, if nothing arrives until then: it must neither pause for long nor come more slowly, over its
    /// whole, than this many bytes a second.
    fn deadline(&self, slowest: u64) -> Option<u64> {
        let Self::Assembling { assembly, begun, deadline } = self else { return None };
        let due = begun.saturating_add(IDLE_AFTER_MS).saturating_add(takes(assembly.done().into(), slowest));
        Some(due.min(*deadline))
    }
}

/// Milliseconds that so many bytes may take.
fn takes(bytes: u64, slowest: u64) -> u64 {
    bytes.saturating_mul(1000) / slowest
}

struct Screenshot {
    png: Vec<u8>,
    offset: usize,
}

struct Listing {
    /// Whether it is of entries, and not of results alone.
    entries: bool,
    next: u64,
    remaining: u16,
}

/// The box's side of the line.
pub struct BoxSession {
    transport: Transport,
    contract: InputContract,
    any_age: bool,
    incoming: Incoming,
    /// An image that the box program owes an answer for; true while the host still wants it.
    analysing: Option<bool>,
    /// A complete image that waits until the box program has answered the one before.
    ready: Option<Image>,
    /// An answer that waits for room.
    outcome: Option<Outcome>,
    /// An update that the box program owes an answer for; true while the host still wants it.
    installing: Option<bool>,
    /// A piece that the box program owes an answer for.
    storing: bool,
    /// The box program owes a reply to the last event.
    owes_reply: bool,
    listing: Option<Listing>,
    screenshot: Option<Screenshot>,
    /// Bytes a second that the line carries at least.
    slowest: u64,
    /// Until then the host that has the session holds the box, although it waits for nothing.
    held_until: u64,
    /// Bytes of answers that have been acknowledged, as far as they count in that.
    delivered: u64,
    /// The box has answered what took it long: the host may ask for the next thing.
    answered: bool,
    /// When another host was last turned away because of this one.
    wanted_at: Option<u64>,
    /// The host has been told to make room for that one.
    yields: bool,
}

impl BoxSession {
    /// Waits for a host. Prepared images for another contract than this one are refused.
    pub fn new(contract: InputContract) -> Self {
        Self::over(Transport::listen(), contract)
    }

    pub(super) fn over(transport: Transport, contract: InputContract) -> Self {
        Self {
            transport,
            contract,
            any_age: false,
            incoming: Incoming::Nothing,
            analysing: None,
            ready: None,
            outcome: None,
            installing: None,
            storing: false,
            owes_reply: false,
            listing: None,
            screenshot: None,
            slowest: SLOWEST_BYTES_PER_SECOND,
            held_until: 0,
            delivered: 0,
            answered: false,
            wanted_at: None,
            yields: false,
        }
    }

    /// Another model is in the box: prepared images announced from now on are refused unless they are for this contract. The
    /// box program checks the contract of those that were announced before.
    pub fn set_contract(&mut self, contract: InputContract) {
        self.contract = contract;
    }

    /// From now on a host may ask to have images judged whatever the patient's age, if `any`; else such images are refused.
    pub fn allow_any_age(&mut self, any: bool) {
        self.any_age = any;
    }

    /// Takes bytes from the line.
    pub fn receive(&mut self, now: u64, bytes: &[u8]) {
        self.settle(now);
        self.transport.receive(now, bytes);
        self.wanted_at = self.wanted_at.max(self.transport.turned_away_at());
    }

    /// When a host was last turned away on this line.
    pub fn turned_away_at(&self) -> Option<u64> {
        self.transport.turned_away_at()
    }

    /// A host was turned away on another line, because the one of this line holds the box: pieces make room for it.
    pub fn want(&mut self, at: u64) {
        self.wanted_at = self.wanted_at.max(Some(at));
    }

    /// Writes the next frame to transmit and returns its length, or 0 if there is none now. Call it until it returns 0,
    /// each time the line has room.
    pub fn poll_transmit(&mut self, now: u64, out: &mut [u8; MAX_FRAME]) -> usize {
        self.pump();
        self.transport.poll_transmit(now, out)
    }

    /// When [`Self::event`] and [`Self::poll_transmit`] must be called at the latest, even if nothing is received.
    pub fn next_deadline(&self) -> Option<u64> {
        [self.transport.next_deadline(), self.incoming.deadline(self.slowest)].into_iter().flatten().min()
    }

    /// Ends the session, because the line is gone or the box stops: what is in transit is dropped, without an event. An
    /// image that is being analysed is still to be answered. The host learns it once there is a line again.
    pub fn close(&mut self) {
        self.transport.close();
        self.forget();
    }

    /// True while a host is connected.
    pub fn connected(&self) -> bool {
        self.transport.is_open()
    }

    /// True while a host is connected that another one may not displace yet: it is heard, and waits for the box, or has asked
    /// for something lately, or sends or takes what is asked for as fast as the slowest line.
    pub fn is_held(&self, now: u64) -> bool {
        self.transport.is_held(now) && !self.is_idle(now)
    }

    fn is_idle(&self, now: u64) -> bool {
        let works = self.analysing == Some(true) || self.installing == Some(true) || self.ready.is_some();
        let held_until = self.held_until.max(self.transport.opened_at().saturating_add(IDLE_AFTER_MS));
        !works && (self.yields || now >= held_until)
    }

    /// Counts what the host has taken, and says to the transport whether it may be displaced.
    fn settle(&mut self, now: u64) {
        if core::mem::take(&mut self.answered) {
            self.asked(now);
        }
        let delivered = self.transport.delivered();
        let taken = delivered - core::mem::replace(&mut self.delivered, delivered);
        self.advanced(now, taken);
        self.transport.set_idle(self.is_idle(now));
    }

    /// The host has asked for something, or has been answered.
    fn asked(&mut self, now: u64) {
        self.yields = false;
        self.held_until = now.saturating_add(IDLE_AFTER_MS);
    }

    /// Bytes have come or gone: they hold the box as long as the slowest line takes for them, and never for longer than a
    /// request. What announces them does not, or it could be said again and again.
    fn advanced(&mut self, now: u64, bytes: u64) {
        let until = self.held_until.max(now).saturating_add(takes(bytes, self.slowest));
        if bytes > 0 {
            self.held_until = until.min(now.saturating_add(IDLE_AFTER_MS));
        }
    }

    /// Whether a host that says hello is answered that the box is busy, because a host on another line holds it. A box with
    /// several lines has a session for each.
    pub fn set_taken(&mut self, taken: bool) {
        self.transport.set_taken(taken);
    }

    /// Ends the session of another line, whose host is displaced by the one of this line. If an image of that host is being
    /// analysed, or an update installed, the reply to that is due here: what this host sends waits until then.
    pub fn displace(&mut self, other: &mut Self) {
        other.close();
        let owed = other.analysing.take().map(|_| false);
        self.analysing = self.analysing.or(owed);
        let owed = other.installing.take().map(|_| false);
        self.installing = self.installing.or(owed);
    }

    /// How many bytes a second the line carries at least, instead of [`SLOWEST_BYTES_PER_SECOND`]. An image or update that
    /// comes in more slowly is dropped, and a host that takes a long answer more slowly may be displaced.
    pub fn set_slowest(&mut self, bytes_per_second: u64) {
        self.slowest = bytes_per_second.max(1);
        self.transport.set_speed(self.slowest.saturating_mul(OF_THE_SPEED));
    }

    /// How the line has done.
    pub fn counters(&self) -> Counters {
        self.transport.counters()
    }

    /// The next event. Call it until it returns `None`, after [`Self::receive`] and at each deadline.
    pub fn event(&mut self, now: u64) -> Option<BoxEvent> {
        self.transport.expire(now);
        self.settle(now);
        match self.transport.take_event() {
            Some(TransportEvent::Up) => {
                // It may be the host that was turned away.
                (self.wanted_at, self.yields) = (None, false);
                return Some(BoxEvent::HostConnected);
            }
            Some(TransportEvent::Down(_)) => {
                self.forget();
                return Some(BoxEvent::HostGone);
            }
            None => {}
        }
        self.pump();
        if self.analysing.is_none()
            && let Some(image) = self.ready.take()
        {
            self.analysing = Some(true);
            return Some(BoxEvent::Image(image));
        }
        // One place is kept for the outcome of an image.
        while !self.owes_reply && self.installing.is_none() && !self.storing && self.transport.room() >= 2 {
            if self.transport.room() > RESERVE
                && let Some(listing) = &self.listing
            {
                self.owes_reply = true;
                let next = listing.next;
                return Some(if listing.entries {
                    BoxEvent::Entry { sequence: next }
                } else {
                    BoxEvent::Record { number: next }
                });
            }
            let Some(payload) = self.transport.take_message() else { break };
            let event = match codec::decode(&payload) {
                Some(message) => self.handle(now, message),
                None => Some(self.misunderstood()),
            };
            if event.is_some() {
                return event;
            }
        }
        // Not before: what has arrived while the box program was busy counts.
        if self.incoming.deadline(self.slowest).is_some_and(|deadline| now >= deadline) {
            return Some(self.drop_image(Dropped::Failed(Fault::Timeout)));
        }
        None
    }

    fn handle(&mut self, now: u64, message: ToBox) -> Option<BoxEvent> {
        let busy = self.listing.is_some() || self.screenshot.is_some();
        match message {
            asking!() => {
                let question = Question::of(message)?;
                self.asked(now);
                self.ask(BoxEvent::Asked(question))
            }
            ToBox::Screenshot if !busy => {
                self.asked(now);
                self.ask(BoxEvent::Screenshot)
            }
            ToBox::Results { limit: 0, .. } | ToBox::Entries { limit: 0, .. } if !busy => {
                self.tell(&ToHost::RecordsEnd);
                None
            }
            ToBox::Results { from, limit } if !busy => {
                self.asked(now);
                self.listing = Some(Listing { entries: false, next: from.max(1), remaining: limit });
                None
            }
            ToBox::Entries { from, limit } if !busy => {
                self.asked(now);
                self.listing = Some(Listing { entries: true, next: from.max(1), remaining: limit });
                None
            }
            ToBox::Screenshot | ToBox::Results { .. } | ToBox::Entries { .. } => Some(self.misunderstood()),
            ToBox::Begin(begin) => {
                let exam = begin.exam.clone();
                let assembly = if self.is_taken() {
                    Err(MISUNDERSTOOD)
                } else {
                    Assembly::image(begin, &self.contract, self.any_age)
                };
                Some(match assembly {
                    Ok(assembly) => self.assemble(now, assembly),
                    Err(dropped) => {
                        self.discard(dropped);
                        BoxEvent::Declined { exam, dropped }
                    }
                })
            }
            ToBox::Update(_) if self.is_taken() => Some(self.misunderstood()),
            ToBox::Update(update) => Some(match Assembly::update(update) {
                Ok(assembly) => self.assemble(now, assembly),
                Err(dropped) => self.drop_image(dropped),
            }),
            ToBox::Piece(_) if self.is_taken() => Some(self.misunderstood()),
            ToBox::Piece(_) if self.is_wanted(now) => {
                self.yields = true;
                self.discard(Dropped::Failed(Fault::Busy));
                None
            }
            ToBox::Piece(piece) => Some(match Assembly::piece(piece) {
                Ok(assembly) => self.assemble(now, assembly),
                Err(dropped) => self.drop_image(dropped),
            }),
            ToBox::Chunk(chunk) => self.chunk(now, &chunk),
            ToBox::End => match core::mem::replace(&mut self.incoming, Incoming::Nothing) {
                Incoming::Assembling { assembly, .. } => match assembly.finish() {
                    Ok(Assembled::Update(file)) => {
                        self.installing = Some(true);
                        self.progress(Phase::Installing, 0, 1);
                        Some(BoxEvent::Update(file))
                    }
                    Ok(Assembled::Piece(piece)) => {
                        self.storing = true;
                        Some(BoxEvent::Piece(piece))
                    }
                    Ok(Assembled::Image(image)) if self.analysing.is_none() => {
                        self.analysing = Some(true);
                        Some(BoxEvent::Image(image))
                    }
                    Ok(Assembled::Image(image)) => {
                        self.ready = Some(image);
                        None
                    }
                    Err(dropped) => {
                        let event = self.drop_image(dropped);
                        self.incoming = Incoming::Nothing;
                        Some(event)
                    }
                },
                Incoming::Ignoring => None,
                Incoming::Nothing => Some(self.misunderstood()),
            },
            ToBox::Cancel => {
                let wanted = self.give_up();
                self.incoming = Incoming::Nothing;
                self.tell(&ToHost::Cancelled);
                wanted.then_some(BoxEvent::Dropped(Dropped::Cancelled))
            }
        }
    }

    /// Whether another host that was turned away is most likely still there.
    fn is_wanted(&self, now: u64) -> bool {
        self.wanted_at.is_some_and(|at| now.saturating_sub(at) <= TURNED_AWAY_MS)
    }

    /// True while the host has sent, or sends, what is not yet answered: it asks for one thing at a time.
    fn is_taken(&self) -> bool {
        let assembling = matches!(self.incoming, Incoming::Assembling { .. });
        assembling || self.analysing == Some(true) || self.ready.is_some()
    }

    fn assemble(&mut self, now: u64, assembly: Assembly) -> BoxEvent {
        let event = incoming(&assembly);
        let deadline = now + IMAGE_SILENCE_MS;
        self.incoming = Incoming::Assembling { assembly: Box::new(assembly), begun: now, deadline };
        event
    }

    fn chunk(&mut self, now: u64, chunk: &Chunk) -> Option<BoxEvent> {
        let (assembly, deadline) = match &mut self.incoming {
            Incoming::Assembling { assembly, deadline, .. } => (assembly, deadline),
            Incoming::Ignoring => return None,
            Incoming::Nothing => return Some(self.misunderstood()),
        };
        let before = assembly.done();
        if let Err(dropped) = assembly.push(chunk) {
            return Some(self.drop_image(dropped));
        }
        *deadline = now + IMAGE_SILENCE_MS;
        let (done, total, event) = (assembly.done(), assembly.total(), incoming(assembly));
        let (first, whole) = assembly.place().unwrap_or((0, total));
        self.advanced(now, u64::from(done - before));
        if done == total || before / PROGRESS_EVERY != done / PROGRESS_EVERY {
            self.progress(Phase::Receiving, done, total);
        }
        // A piece ends within its bundle.
        let percent = |bytes: u32| (u64::from(first) + u64::from(bytes)) * 100 / u64::from(whole);
        (percent(before) != percent(done)).then_some(event)
    }

    fn ask(&mut self, event: BoxEvent) -> Option<BoxEvent> {
        self.owes_reply = true;
        Some(event)
    }

    /// A message that is broken or out of turn ends whatever image, update or piece there is.
    fn misunderstood(&mut self) -> BoxEvent {
        self.drop_image(MISUNDERSTOOD)
    }

    fn drop_image(&mut self, dropped: Dropped) -> BoxEvent {
        self.discard(dropped);
        BoxEvent::Dropped(dropped)
    }

    /// Tells the host that what it sends is dropped, and ignores the rest of it.
    fn discard(&mut self, dropped: Dropped) {
        self.give_up();
        self.incoming = Incoming::Ignoring;
        self.tell(&match dropped {
            Dropped::Cancelled => ToHost::Cancelled,
            Dropped::Refused(refusal) => ToHost::Refused(refusal),
            Dropped::ModelRefused(refusal) => ToHost::ModelRefused(refusal),
            Dropped::SoftwareRefused(refusal) => ToHost::SoftwareRefused(refusal),
            Dropped::Failed(fault) => ToHost::Failed(fault),
        });
    }

    /// Forgets the image that is wanted now and says whether there was one.
    fn give_up(&mut self) -> bool {
        let assembling = matches!(self.incoming, Incoming::Assembling { .. });
        let analysing = self.analysing == Some(true);
        self.analysing = self.analysing.map(|_| false);
        // An outcome that still waits for room is the answer to a request that is given up here.
        let answered = self.outcome.take().is_some();
        self.ready.take().is_some() || assembling || analysing || answered
    }

    fn forget(&mut self) {
        self.give_up();
        self.incoming = Incoming::Nothing;
        self.installing = self.installing.map(|_| false);
        self.storing = false;
        self.owes_reply = false;
        self.listing = None;
        self.screenshot = None;
    }

    /// Sends what waits for room.
    fn pump(&mut self) {
        if self.transport.room() > 0
            && let Some(outcome) = self.outcome.take()
        {
            self.tell(&match outcome {
                Outcome::Result(record) => ToHost::Result(record),
                Outcome::Refused(refusal) => ToHost::Refused(refusal),
                Outcome::Failed(fault) => ToHost::Failed(fault),
            });
        }
        while self.transport.room() > RESERVE
            && let Some(screenshot) = &mut self.screenshot
        {
            let rest = &screenshot.png[screenshot.offset..];
            let Ok(data) = heapless::Vec::from_slice(&rest[..rest.len().min(CHUNK)]) else { return };
            let chunk = Chunk { offset: screenshot.offset as u32, data };
            screenshot.offset += chunk.data.len();
            if screenshot.offset == screenshot.png.len() {
                self.screenshot = None;
            }
            self.tell(&ToHost::Chunk(chunk));
        }
    }

    /// Queues a message. Without room it is dropped: callers look for room first, and without a host nobody waits.
    fn tell(&mut self, message: &ToHost) {
        let _ = codec::send(&mut self.transport, message);
    }

    /// Takes what the box program replies.
    pub fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Outcome(outcome) => {
                if self.analysing.take() == Some(true) {
                    self.answered = true;
                    self.outcome = Some(outcome);
                    self.pump();
                }
            }
            Reply::Installed(installed) => self.installed(&match installed {
                Ok(installed) => ToHost::Installed(installed),
                Err(refusal) => ToHost::ModelRefused(refusal),
            }),
            Reply::Site(stored) => self.installed(&match stored {
                Ok(stored) => ToHost::Installed(stored),
                Err(refusal) => ToHost::SiteRefused(refusal),
            }),
            Reply::Progress(phase) => self.progress(phase, 0, 1),
            Reply::Answer(answer) => self.answer(&answer.into()),
            Reply::NotInstalled(fault) => self.installed(&ToHost::Failed(fault)),
            Reply::Piece(stored) => self.stored(&match stored {
                Ok(next) => ToHost::PieceStored { next },
                Err(refusal) => ToHost::SoftwareRefused(refusal),
            }),
            Reply::PieceNotStored(fault) => self.stored(&ToHost::Failed(fault)),
            Reply::Record(record) => self.listed(record.map(Listed::Unlinked)),
            Reply::Entry(entry) => self.listed(entry),
            Reply::Screenshot(png) => self.screenshot(png),
            Reply::Failed(fault) => self.fail(fault),
        }
    }

    fn progress(&mut self, phase: Phase, done: u32, total: u32) {
        let wanted = match phase {
            Phase::Receiving => true,
            Phase::Decoding | Phase::Analysing => self.analysing == Some(true),
            Phase::Installing => self.installing == Some(true) || self.storing,
        };
        if wanted && self.transport.room() > RESERVE {
            self.tell(&ToHost::Progress { phase, done, total });
        }
    }

    /// Answers an update, unless its host has gone or does not want it any more.
    fn installed(&mut self, message: &ToHost) {
        if self.installing.take() == Some(true) {
            self.answered = true;
            self.tell(message);
        }
    }

    /// Answers a piece, unless its host has gone.
    fn stored(&mut self, message: &ToHost) {
        if core::mem::take(&mut self.storing) {
            self.answered = true;
            self.tell(message);
        }
    }

    fn listed(&mut self, entry: Option<Listed>) {
        let (Some(listing), true) = (&mut self.listing, self.owes_reply) else { return };
        // The host may ask for any number, the last one that there can be included.
        listing.next = entry.as_ref().map_or(listing.next, Listed::sequence).saturating_add(1);
        listing.remaining -= 1;
        let ends = listing.remaining == 0 || entry.is_none();
        if let Some(entry) = entry {
            self.answer(&match entry {
                Listed::Unlinked(record) => ToHost::Record(record),
                Listed::Linked(linked) => ToHost::Entry(linked),
            });
        }
        if ends {
            self.listing = None;
            self.owes_reply = true;
            self.answer(&ToHost::RecordsEnd);
        }
    }

    fn screenshot(&mut self, png: Vec<u8>) {
        match u32::try_from(png.len()) {
            Ok(length @ 1..=MAX_SCREEN_BYTES) if self.owes_reply => {
                self.answer(&ToHost::ScreenshotBegin { length, digest: Digest::of(&png) });
                self.screenshot = Some(Screenshot { png, offset: 0 });
                self.pump();
            }
            _ => self.fail(Fault::Internal),
        }
    }

    fn fail(&mut self, fault: Fault) {
        if self.owes_reply {
            self.listing = None;
            self.answer(&ToHost::Failed(fault));
        }
    }

    /// Sends what answers the last event, unless nothing is asked any more.
    fn answer(&mut self, message: &ToHost) {
        if core::mem::take(&mut self.owes_reply) {
            self.tell(message);
        }
    }
}

/// What the box program learns of something that comes in.
fn incoming(assembly: &Assembly) -> BoxEvent {
    let (done, total) = (assembly.done(), assembly.total());
    match (assembly.exam(), assembly.place()) {
        (Some(exam), _) => BoxEvent::Receiving { exam: exam.clone(), done, total },
        // It ends within its bundle.
        (None, Some((first, total))) => BoxEvent::Bundle { done: first + done, total },
        (None, None) => BoxEvent::Updating { done, total },
    }
}
