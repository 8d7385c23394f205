//! The box at work: lines, conversation, analysis, journal and screen brought together.
//!
//! The box listens on all its ports at once, and one host at a time holds it: a host that says hello on another line
//! hears that it is busy, until the holder has ended its session, has fallen silent for 3 s, has asked nothing for 30 s, or
//! has lost its line.

mod lines;
mod port;
mod records;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use shared::{
    appliance::{Override, Share},
    shown::Shown,
    verdict::{Fault, SiteRefusal, SoftwareRefusal},
};
use wire::{ANSWER_WITHIN_MS, BoxEvent, EventKind};

pub use self::lines::Lines;
use self::{
    port::Port,
    records::{RECORD_WITHIN, keep, recent_exams, record, storage},
};
use crate::{
    analysis::{Analyst, Classifier, Install, Report},
    config::LineSettings,
    decoder::Decode,
    init::BEAT_EVERY,
    inner,
    journal::Journal,
    keys::Key,
    models::{PERMITTED_FOR, Permit},
    screen::{ConsoleRefused, Display},
    serial::{LineEvent, PortError},
    site::{NotDone, Site},
    software::{self, Kept, News, Software},
    state::{Effect, Input, State},
    stick,
};

/// Inputs that wait before the threads that bring them are held up.
const WAITING: usize = 64;
/// Longest time from one report of the analysis to the next; a host waits longer.
const ANALYSIS_WITHIN: Duration = Duration::from_millis(ANSWER_WITHIN_MS + 30_000);
/// How long a result waits for the screens of its image to have had their turn, in a loop that answers the line as well.
const TURNS_WITHIN: Duration = Duration::from_millis(500);

/// Why the box cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// the pseudo-terminal cannot be opened
    #[error("cannot open a pseudo-terminal for the simulated line: {0}; check that /dev/pts is mounted")]
    Pty(#[from] io::Error),
    /// the serial port cannot be opened
    #[error(transparent)]
    Port(#[from] PortError),
    /// the line within the box cannot be opened
    #[error("cannot open a line within the box: {0}; start it again")]
    Inner(io::Error),
}

/// Something does not end: only another start of the program helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hung {
    /// the analysis of an image, or the installation of an update
    #[error("the analysis does not end: start the box again, and install another model if it happens again")]
    Analysis,
    /// the model: what it says cannot be relied on
    #[error("the model has changed in memory: the box starts again; replace the board if it happens again")]
    Altered,
    /// the picture of a screen: what it shows may be another child's result
    #[error("the screen takes no picture any more: start the box again, and check the screen if it happens again")]
    Screen,
}

enum Event {
    /// From a port, with the count of the opening that it belongs to and the time at which it came about.
    Line {
        port: usize,
        opened: u64,
        at: Instant,
        event: LineEvent,
    },
    Analysis(Report),
    Screenshot(Option<Vec<u8>>),
    Key(Key),
    Stick(stick::Event),
    Console(ConsoleRefused),
    Stop,
}

/// Ends [`Runtime::run`] from another thread.
#[derive(Clone)]
pub struct Stopper(SyncSender<Event>);

impl Stopper {
    /// Ends it after what is being done at the moment.
    pub fn stop(&self) {
        // Nobody listens if it has ended already.
        let _ = self.0.send(Event::Stop);
    }
}

/// The box.
pub struct Runtime<'a> {
    state: State,
    ports: Vec<Port>,
    /// The conversations on them.
    lines: Lines,
    journal: Journal,
    display: &'a Display,
    /// Whether the screen could not be written when it was looked at last.
    screen_fails: bool,
    analyst: Analyst,
    /// Bundles of the whole program, on a box that takes them.
    software: Option<Software>,
    /// The clinic's own settings, on a box that takes them.
    site: Option<Site>,
    /// Images and updates that the analyst has not reported the end of, and when it gave its last sign of life.
    analysing: usize,
    reported: Instant,
    analysis_within: Duration,
    /// Who does what is to be done with a memory stick.
    films: Option<SyncSender<stick::Order>>,
    /// What lets an older model in, if a person at the box says so.
    permit: Permit,
    sender: SyncSender<Event>,
    events: Option<Receiver<Event>>,
    start: Instant,
}

impl<'a> Runtime<'a> {
    /// Opens the ports and shows that the box is ready. A port that cannot be opened is an error, unless the settings have
    /// it waited for. `install` installs the updates that hosts send, and `decode` decodes their files.
    pub fn open(
        model: Arc<dyn Classifier>,
        install: Install,
        decode: Decode,
        mut journal: Journal,
        display: &'a Display,
        settings: LineSettings,
    ) -> Result<Self, LineError> {
        let software = env!("CARGO_PKG_VERSION").try_into().unwrap_or_default();
        keep(&mut journal, |journal| journal.note_now(EventKind::Started { software, model: model.digest() }));
        if let Some(trust) = model.trust() {
            keep(&mut journal, |journal| journal.note_now(EventKind::Vouched { model: model.digest(), trust }));
        }
        let (sender, events) = sync_channel(WAITING);
        let mut state =
            State::new(model.card().clone(), model.digest(), model.execution(), journal.boot(), journal.last_number());
        state.set_journal_at_start(journal.standing());
        state.set_trust(model.trust());
        if matches!(settings, LineSettings::Simulated { .. }) {
            state.lift_limits();
        }
        recent_exams(&journal).into_iter().for_each(|exam| state.remember(exam));
        let contract = model.card().behaviour.contract;
        let told = sender.clone();
        let report = move |report| {
            // Nobody listens when the box has stopped.
            let _ = told.send(Event::Analysis(report));
        };
        let analyst = Analyst::start(model, install, decode, report);
        let slowest = settings.least_bytes_a_second();
        let wait = matches!(settings, LineSettings::Ports { wait: true, .. });
        let ports = Port::all(settings)?;
        let mut runtime = Self {
            state,
            lines: Lines::new(ports.len(), contract, slowest),
            ports,
            journal,
            display,
            screen_fails: false,
            analyst,
            software: None,
            site: None,
            analysing: 0,
            reported: Instant::now(),
            analysis_within: ANALYSIS_WITHIN,
            films: None,
            permit: Permit::default(),
            sender,
            events: Some(events),
            start: Instant::now(),
        };
        for index in 0..runtime.ports.len() {
            match runtime.open_port(index) {
                Err(error) if wait => runtime.ports[index].put_off(0, &error),
                opened => opened?,
            }
        }
        if runtime.is_reachable() {
            runtime.show();
        } else {
            runtime.input(Input::LineLost { last: true, in_use: false });
        }
        Ok(runtime)
    }

    /// Waits this long for the analysis to continue, instead of a minute and a half.
    pub fn set_analysis_within(&mut self, limit: Duration) {
        self.analysis_within = limit;
    }

    /// From now on bundles of the whole program are taken.
    pub fn take_bundles(&mut self, software: Software) {
        self.software = Some(software);
    }

    /// From now on the clinic's own settings are taken. If those that are in force are new, it is said for a day.
    pub fn take_site(&mut self, mut site: Site) {
        let standing = site.standing().clone();
        if standing.is_new {
            site.note_told();
        }
        self.state.set_site(self.now(), standing);
        self.site = Some(site);
        self.show_state();
    }

    /// From now on nothing is judged, and the screen says so; results are handed out as ever.
    pub fn enter_safe_mode(&mut self) {
        self.state.enter_safe_mode();
        self.show_state();
    }

    /// Shows on every screen, until another model is installed, that the one that judges was not meant to.
    pub fn say_that_another_model_was_meant(&mut self) {
        self.state.fall_back();
        self.show_state();
    }

    /// Shows on every screen that models are taken that nobody has signed.
    pub fn say_that_unsigned_models_are_taken(&mut self) {
        self.state.say_that_unsigned_models_are_taken();
        self.show_state();
    }

    fn show_state(&mut self) {
        if self.is_reachable() {
            self.show();
        } else {
            self.input(Input::LineLost { last: true, in_use: false });
        }
    }

    /// To whom it hands out results and screenshots, instead of everybody, and after how long a result is shown no longer,
    /// instead of never.
    pub fn set_privacy(&mut self, share: Share, blank_after: Option<Duration>) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.state.set_privacy(share, blank_after.map(milliseconds));
    }

    /// Hosts may ask to override what the box refuses by these.
    pub fn allow(&mut self, overrides: &[Override]) {
        for reason in overrides {
            match reason {
                Override::Age => {
                    self.state.allow_any_age();
                    self.lines.allow_any_age();
                }
            }
        }
    }

    /// Serves another line, which is within the box. A box that no computer reaches is not reachable by it.
    pub fn add_line(&mut self, end: inner::End) -> Result<(), LineError> {
        let index = self.ports.len();
        self.lines.add();
        self.ports.push(Port::within(end));
        self.open_port(index)
    }

    /// Whether there is a port on which a host can connect now.
    pub fn is_reachable(&self) -> bool {
        self.ports.iter().any(|port| port.is_open() && !port.is_inner())
    }

    /// From now on what is to be done with memory sticks is asked for there. One order at a time is given, and what belongs to it.
    pub fn set_films(&mut self, orders: SyncSender<stick::Order>) {
        self.films = Some(orders);
    }

    /// What takes what is said of memory sticks; it returns whether anybody listens.
    pub fn sticks(&self) -> impl Fn(stick::Event) -> bool + Send + use<> {
        let sender = self.sender.clone();
        move |event| sender.send(Event::Stick(event)).is_ok()
    }

    /// The device that a host opens to reach a simulated box.
    pub fn simulated_device(&self) -> Option<PathBuf> {
        self.ports.iter().find_map(Port::simulated_device).map(ToOwned::to_owned)
    }

    /// What ends [`Self::run`].
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// What takes keys; it returns whether anybody listens. Keys that come too fast are lost.
    pub fn keys(&self) -> impl Fn(Key) -> bool + Send + use<> {
        let sender = self.sender.clone();
        move |key| !matches!(sender.try_send(Event::Key(key)), Err(TrySendError::Disconnected(_)))
    }

    /// A person at the box has keys: from now on it may be gone back to the program of before, and an older model be let in, by holding one.
    /// `permit` is that of the models.
    pub fn offer_ways_back(&mut self, permit: Permit) {
        self.permit = permit;
        self.state.offer_ways_back();
    }

    /// What takes notice of X-ray machines that may not send. Those that come too fast are lost.
    pub fn consoles(&self) -> impl Fn(ConsoleRefused) + Send + Sync + use<> {
        let sender = self.sender.clone();
        move |refused| {
            let _ = sender.try_send(Event::Console(refused));
        }
    }

    /// Serves hosts until it is stopped. `alive` is called before each event, and at least every [`BEAT_EVERY`] while there is
    /// none. The receiving end of the events ends with it, so that no thread that still reports something waits for ever. An
    /// analysis that does not continue ends it as well, and so does, but in safe mode, a screen that takes no picture: what
    /// keeps the program running starts it again.
    pub fn run(mut self, mut alive: impl FnMut()) -> Result<(), Hung> {
        let Some(events) = self.events.take() else { return Ok(()) };
        while let Some(event) = self.next(&events) {
            alive();
            self.watch_screen();
            match event {
                Some(Event::Stop) => break,
                Some(Event::Analysis(Report::Altered)) => return Err(Hung::Altered),
                Some(event) => self.handle(event),
                None => {
                    self.look_at_storage();
                    self.input(Input::Tick);
                }
            }
            self.retry();
            self.look_at_software();
            self.converse();
            if self.analysing > 0 && self.reported.elapsed() > self.analysis_within {
                return Err(Hung::Analysis);
            }
            // In safe mode no verdict is shown, and another start would not bring the screen back: the results are handed out.
            if !self.state.is_safe() && self.display.has_stopped(Instant::now()) {
                return Err(Hung::Screen);
            }
        }
        Ok(())
    }

    /// Tells whether the screen can be written.
    fn watch_screen(&mut self) {
        if (self.display.is_failing() || self.display.has_stopped(Instant::now())) != self.screen_fails {
            self.screen_fails = !self.screen_fails;
            self.input(Input::Screen { fails: self.screen_fails });
            // What came while it had stopped was not given to it.
            self.show();
        }
    }

    fn now(&self) -> u64 {
        self.since_start(Instant::now())
    }

    fn since_start(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// The next event; `Some(None)` when it is time to look at the clock.
    fn next(&self, events: &Receiver<Event>) -> Option<Option<Event>> {
        let now = self.now();
        let ports = self.ports.iter().enumerate().map(|(index, port)| port.deadline(now, self.lines.deadline(index)));
        let software = self.software.as_ref().and_then(Software::deadline);
        let deadlines = ports.chain([self.state.deadline(), software]);
        let due = deadlines.flatten().min().map(|at| Duration::from_millis(at.saturating_sub(now)));
        match events.recv_timeout(due.unwrap_or(BEAT_EVERY).min(BEAT_EVERY)) {
            Ok(event) => Some(Some(event)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            // An earlier opening has nothing to report any more, and both directions of a line report that it is lost.
            Event::Line { port, opened, .. } if !self.ports[port].is_current(opened) => {}
            Event::Line { port, at, event: LineEvent::Received(bytes), .. } => self.receive(port, at, &bytes),
            Event::Line { port, event: LineEvent::Lost(error), .. } => self.lose(port, &error),
            Event::Line { event: LineEvent::Room, .. } | Event::Stop => {}
            Event::Analysis(report) => {
                self.reported = Instant::now();
                if matches!(report, Report::Done(_)) {
                    // Whether the screen still works is known once it was to show that this image came in.
                    self.display.settle(TURNS_WITHIN);
                    self.watch_screen();
                }
                self.analysing -= usize::from(!matches!(report, Report::Phase(_)));
                self.input(Input::Analysis(report));
            }
            Event::Screenshot(png) => self.input(Input::Screenshot(png)),
            Event::Key(key) => self.input(Input::Key(key)),
            Event::Stick(stick::Event::Marked { stick, bundle }) => {
                // One that would be refused is not offered.
                let bundle = bundle.filter(|_| self.software.as_ref().is_some_and(Software::takes));
                self.input(Input::Stick(stick::Event::Marked { stick, bundle }));
            }
            Event::Stick(event) => self.input(Input::Stick(event)),
            Event::Console(refused) => self.input(Input::NodeRefused(refused)),
        }
    }

    fn receive(&mut self, index: usize, at: Instant, bytes: &[u8]) {
        if self.lines.receive(index, self.since_start(at), self.now(), bytes) {
            self.input(Input::Session(BoxEvent::HostGone));
        }
    }

    fn lose(&mut self, index: usize, error: &io::Error) {
        let now = self.now();
        let port = &mut self.ports[index];
        if port.is_inner() {
            crate::say(format_args!("a line within the box has ended: {error}"));
            port.lose(now);
            if self.lines.lose(index) {
                self.input(Input::Session(BoxEvent::HostGone));
            }
            return;
        }
        crate::say(format_args!(
            "the line {} is gone ({error}); waiting until it is back",
            Shown(port.path().display())
        ));
        port.lose(now);
        let in_use = self.lines.lose(index);
        let last = !self.is_reachable();
        if in_use || last {
            self.input(Input::LineLost { last, in_use });
        }
    }

    /// Tells what there is new of a bundle, and goes on with what is to be done with it.
    fn look_at_software(&mut self) {
        loop {
            let now = self.now();
            let Some(news) = self.software.as_mut().and_then(|software| software.look(now)) else { return };
            let is_new = matches!(news, News::Outcome { is_new: true, .. });
            self.input(Input::News(news));
            // One that the journal could not keep is told again at the next start.
            if is_new
                && !self.journal.standing().read_only
                && let Some(software) = &self.software
            {
                software.note();
            }
        }
    }

    /// Handles the sessions' events and sends their pending frames.
    fn converse(&mut self) {
        loop {
            let mut sent = false;
            for index in 0..self.ports.len() {
                let now = self.now();
                while let Some(event) = self.lines.event(index, now) {
                    self.input(Input::Session(event));
                }
                sent |= self.ports[index].transmit(|frame| self.lines.poll_transmit(index, now, frame));
            }
            // What was sent may have made room for more events.
            if !sent {
                return;
            }
        }
    }

    fn input(&mut self, input: Input) {
        if matches!(input, Input::Session(BoxEvent::Image(_) | BoxEvent::Update(_) | BoxEvent::Piece(_))) {
            self.look_at_storage();
        }
        let now = self.now();
        let effects = self.state.handle(now, input);
        for event in self.state.take_notes() {
            keep(&mut self.journal, |journal| journal.note(&event));
            self.look_at_journal();
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    /// Looks whether what is stored now is found again.
    fn look_at_storage(&mut self) {
        if let Err(error) = self.journal.look() {
            storage(&error);
        }
        self.look_at_journal();
    }

    /// Shows it, if the journal can be written no longer.
    fn look_at_journal(&mut self) {
        if self.state.set_journal(self.journal.standing()) {
            self.show();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Show => self.show(),
            Effect::Judge(image) => {
                self.analysis_begins();
                self.analyst.judge(*image);
            }
            Effect::Install(file) => {
                self.analysis_begins();
                self.analyst.install(*file);
            }
            Effect::Site(ask) => {
                let done = match &mut self.site {
                    Some(site) => site.carry_out(&ask),
                    None => Err(NotDone::Refused(SiteRefusal::NotStored)),
                };
                self.input(Input::Site(ask, done.map(Box::new)));
            }
            Effect::Expect(contract) => self.lines.set_contract(contract),
            Effect::Store(record) => {
                let stored = self.journal.push(&record).map(|()| record);
                self.look_at_journal();
                self.input(Input::Stored(stored.map_err(|error| storage(&error))));
            }
            Effect::Record(number) => {
                let record = record(&self.journal, number, Instant::now() + RECORD_WITHIN);
                self.input(Input::Record(record));
            }
            Effect::Entry(sequence) => {
                let entry = records::entry(&self.journal, sequence);
                self.input(Input::Entry(entry));
            }
            Effect::Find { image, from } => {
                let found = records::find(&self.journal, &image, from);
                self.input(Input::Found(found));
            }
            Effect::Keep(piece) => {
                let kept = self.software.as_mut().map(|software| software.keep(&piece));
                self.input(Input::Kept(kept.unwrap_or(Kept::Refused(SoftwareRefusal::NoSlots))));
            }
            Effect::AskSoftware { bundle, total } => {
                let state = self.software.as_ref().map(|software| software.state(bundle, total));
                self.input(Input::Software(Box::new(state.unwrap_or_else(software::nothing))));
            }
            Effect::Film { stick, film } => self.order(stick, stick::Order::Film { stick, film }),
            Effect::WriteResults { stick, heading } => self.order(stick, stick::Order::Results { stick, heading }),
            Effect::TakeProgram { stick } => self.order(stick, stick::Order::Program { stick }),
            Effect::Results { from, last } => {
                let batch = stick::Batch { from, results: records::results(&self.journal, from, last) };
                if let Some(films) = &self.films {
                    // Whoever has asked for it has room for it, or waits no longer and says so.
                    let _ = films.try_send(stick::Order::Batch(batch));
                }
            }
            Effect::GoBack { content } => {
                let asked = match self.software.as_ref().map(|software| software.go_back(content)) {
                    Some(Ok(())) => Ok(()),
                    Some(Err(error)) => {
                        crate::say(format_args!("the box does not go back: {error}; check the storage"));
                        Err(Fault::Storage)
                    }
                    None => Err(Fault::Internal),
                };
                self.input(Input::Asked(asked));
            }
            Effect::PermitOlder => {
                crate::say(format_args!("a person lets one older model in, within {PERMITTED_FOR:?}"));
                self.permit.give();
            }
            Effect::DrawCode => self.input(Input::Code(random())),
            Effect::Recall { page } => {
                let recalled = records::recall(&self.journal, page);
                self.input(Input::Recalled(recalled));
            }
            // It would never answer.
            Effect::Screenshot if self.display.has_stopped(Instant::now()) => self.input(Input::Screenshot(None)),
            Effect::Screenshot => {
                let sender = self.sender.clone();
                self.display.screenshot(move |png| {
                    // Nobody listens when the box has stopped.
                    let _ = sender.send(Event::Screenshot(png));
                });
            }
            Effect::Reply(reply) => self.lines.reply(reply),
        }
    }

    /// Has something done with a stick.
    fn order(&mut self, stick: u32, order: stick::Order) {
        let taken = self.films.as_ref().is_some_and(|films| films.try_send(order).is_ok());
        if !taken {
            self.input(Input::Stick(stick::Event::Ended { stick, trouble: None }));
        }
    }

    /// One that waits behind another has its time from the end of that one on.
    fn analysis_begins(&mut self) {
        if self.analysing == 0 {
            self.reported = Instant::now();
        }
        self.analysing += 1;
    }

    fn show(&self) {
        // One that has stopped would collect scenes without end.
        if !self.display.has_stopped(Instant::now()) {
            self.display.show(self.state.scene());
        }
    }

    fn open_port(&mut self, index: usize) -> Result<(), LineError> {
        let sender = self.sender.clone();
        let tell =
            move |opened, event| sender.send(Event::Line { port: index, opened, at: Instant::now(), event }).is_ok();
        self.ports[index].open(tell)
    }

    /// Opens the ports that are due.
    fn retry(&mut self) {
        let now = self.now();
        for index in 0..self.ports.len() {
            if !self.ports[index].is_due(now) {
                continue;
            }
            match self.open_port(index) {
                Ok(()) => {
                    crate::say(format_args!("READY, the line {} is there", Shown(self.ports[index].path().display())));
                    self.input(Input::LineBack);
                }
                Err(error) => self.ports[index].put_off(now, &error),
            }
        }
    }
}

/// A number that nobody can guess, from the kernel; `None` if it has none yet.
fn random() -> Option<u32> {
    let mut bytes = [0; 4];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK).ok()?;
    (count == bytes.len()).then(|| u32::from_le_bytes(bytes))
}
