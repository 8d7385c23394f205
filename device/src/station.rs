//! The box at work: line, conversation, analysis, journal and screen brought together.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use shared::{
    verdict::Fault,
    wire::{BoxSession, MAX_FRAME},
};

use crate::{
    analysis::{Analyst, Classifier, Report},
    app::{App, Effect, Input, Reply},
    config::LineSettings,
    journal::{Journal, JournalError},
    link::{Line, LineEvent, PortError, Pty, open_port},
    screen::{Display, Scene},
};

/// A lost port is tried again, and a line that takes nothing looked at, at this distance.
const RETRY: Duration = Duration::from_secs(1);
/// Inputs that wait before the threads that bring them are held up.
const WAITING: usize = 64;

/// Why the box cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// the pseudo-terminal cannot be opened
    #[error("cannot open a pseudo-terminal for the simulated line: {0}; check that /dev/pts is mounted")]
    Pty(#[from] io::Error),
    /// the serial port cannot be opened
    #[error(transparent)]
    Port(#[from] PortError),
}

enum Event {
    /// From the line, with the count of the opening that it belongs to.
    Line(u64, LineEvent),
    Analysis(Report),
    Picture(Option<Vec<u8>>),
    Stop,
}

/// Ends [`Station::run`] from another thread.
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
pub struct Station<'a> {
    app: App,
    session: BoxSession,
    journal: Journal,
    display: &'a Display,
    analyst: Analyst,
    settings: LineSettings,
    pty: Option<Pty>,
    line: Option<Line>,
    /// How often a line was opened.
    opened: u64,
    sender: SyncSender<Event>,
    events: Option<Receiver<Event>>,
    start: Instant,
}

impl<'a> Station<'a> {
    /// Opens the line and shows that the box is ready.
    pub fn open(
        model: Arc<dyn Classifier>,
        journal: Journal,
        display: &'a Display,
        settings: LineSettings,
    ) -> Result<Self, LineError> {
        let (sender, events) = sync_channel(WAITING);
        let app = App::new(model.card().clone(), model.digest(), model.execution(), journal.boot(), journal.last_number());
        let session = BoxSession::new(model.card().contract);
        let told = sender.clone();
        let report = move |report| {
            // Nobody listens when the box has stopped.
            let _ = told.send(Event::Analysis(report));
        };
        let analyst = Analyst::start(model, report);
        let pty = match settings {
            LineSettings::Simulated { .. } => Some(Pty::open()?),
            LineSettings::Port { .. } => None,
        };
        let mut station = Self {
            app,
            session,
            journal,
            display,
            analyst,
            settings,
            pty,
            line: None,
            opened: 0,
            sender,
            events: Some(events),
            start: Instant::now(),
        };
        station.open_line()?;
        station.show();
        Ok(station)
    }

    /// The device that a host opens to reach a simulated box.
    pub fn simulated_device(&self) -> Option<PathBuf> {
        self.pty.as_ref().map(|pty| pty.path().to_owned())
    }

    /// What ends [`Self::run`].
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Serves hosts until it is stopped. The receiving end of the events ends with it, so that no thread that still
    /// tells something waits for ever.
    pub fn run(mut self) {
        let Some(events) = self.events.take() else { return };
        while let Some(event) = self.next(&events) {
            match event {
                Some(Event::Stop) => return,
                Some(event) => self.handle(event),
                None => self.input(Input::Tick),
            }
            if self.line.is_none() {
                self.retry();
            }
            self.converse();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The next event; `Some(None)` when it is time to look at the clock.
    fn next(&self, events: &Receiver<Event>) -> Option<Option<Event>> {
        // What the session is late with cannot be sent until there is room: looking at the clock would only keep the
        // processor busy.
        let writable = self.line.as_ref().is_some_and(Line::has_room);
        let session = self.session.next_deadline().filter(|_| writable);
        let deadlines = [session, self.app.deadline()];
        let wait = deadlines.into_iter().flatten().min().map(|at| Duration::from_millis(at.saturating_sub(self.now())));
        let retry = (!writable).then_some(RETRY);
        match wait.into_iter().chain(retry).min() {
            None => events.recv().ok().map(Some),
            Some(wait) => match events.recv_timeout(wait) {
                Ok(event) => Some(Some(event)),
                Err(RecvTimeoutError::Timeout) => Some(None),
                Err(RecvTimeoutError::Disconnected) => None,
            },
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Line(opened, _) if opened != self.opened => {}
            Event::Line(_, LineEvent::Received(bytes)) => {
                let now = self.now();
                self.session.receive(now, &bytes);
            }
            Event::Line(_, LineEvent::Room) | Event::Stop => {}
            Event::Line(_, LineEvent::Lost(error)) => {
                crate::say(format_args!("the line is gone ({error}); waiting until it is back"));
                self.line = None;
                self.session.close();
                self.input(Input::LineLost);
            }
            Event::Analysis(report) => self.input(Input::Analysis(report)),
            Event::Picture(png) => self.input(Input::Picture(png)),
        }
    }

    /// Lets the session tell what it has, and sends what it has to send.
    fn converse(&mut self) {
        let mut frame = [0; MAX_FRAME];
        loop {
            let now = self.now();
            while let Some(event) = self.session.event(now) {
                self.input(Input::Session(event));
            }
            let mut sent = false;
            while self.line.as_ref().is_some_and(Line::has_room) {
                let length = self.session.poll_transmit(now, &mut frame);
                if length == 0 {
                    break;
                }
                if let Some(line) = &self.line {
                    line.send(&frame[..length]);
                }
                sent = true;
            }
            // What was sent may have made room for more to tell.
            if !sent {
                return;
            }
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        for effect in self.app.handle(now, input) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Show(_) => self.show(),
            Effect::Judge(image) => self.analyst.judge(*image),
            Effect::Store(record) => {
                let stored = self.journal.push(&record).map(|()| record);
                self.input(Input::Stored(stored.map_err(|error| storage(&error))));
            }
            Effect::Fetch(number) => {
                let fetched = self.journal.get_from(number);
                self.input(Input::Fetched(fetched.map_err(|error| storage(&error))));
            }
            Effect::Picture => {
                let sender = self.sender.clone();
                self.display.picture(move |png| {
                    // Nobody listens when the box has stopped.
                    let _ = sender.send(Event::Picture(png));
                });
            }
            Effect::Reply(reply) => self.reply(reply),
        }
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Answer(outcome) => self.session.answer(outcome),
            Reply::Progress(phase) => self.session.progress(phase, 0, 1),
            Reply::Info(info) => self.session.info(info),
            Reply::Record(record) => self.session.record(record),
            Reply::Screen(png) => self.session.screen(png),
            Reply::ClockSet => self.session.clock_set(),
            Reply::Fail(fault) => self.session.fail(fault),
        }
    }

    fn show(&self) {
        self.display.show(Scene { identity: self.app.identity(), view: self.app.view().clone() });
    }

    fn open_line(&mut self) -> Result<(), LineError> {
        let (ends, pace) = match (&self.settings, &self.pty) {
            (LineSettings::Port { path, baud }, _) => (open_port(path, *baud)?, None),
            (LineSettings::Simulated { pace }, Some(pty)) => (pty.ends()?, *pace),
            (LineSettings::Simulated { .. }, None) => return Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        };
        self.opened += 1;
        let (opened, sender) = (self.opened, self.sender.clone());
        let tell = move |event| sender.send(Event::Line(opened, event)).is_ok();
        self.line = Some(Line::start(ends.0, ends.1, pace, tell));
        Ok(())
    }

    fn retry(&mut self) {
        if self.open_line().is_ok() {
            crate::say(format_args!("READY, the line is back"));
            self.input(Input::LineBack);
        }
    }
}

fn storage(error: &JournalError) -> Fault {
    crate::say(format_args!("{error}"));
    Fault::Storage
}
