//! What the box does, without doing it: inputs and the time in, effects out.

mod browse;
mod hold;
mod privacy;
mod rate;
mod site;
mod software;
mod stick;

use std::collections::VecDeque;

use engine::ModelCard;
use shared::{
    calendar::credible,
    contract::InputContract,
    evidence::Evidence,
    verdict::{Digest, ExamId, Fault, ModelRefusal, ResultRecord, Trust},
};
use wire::{
    Answer, BoxEvent, BundlePiece, Dropped, Event, EventKind, Image, Info, Installed, Listed, ModelFile, Outcome,
    Question, Reply, SoftwareState,
};

use self::{privacy::Privacy, rate::Allowance, software::Coming, stick::Films};
use crate::{
    analysis::{Judged, Loaded, Report, Unjudged},
    journal::Standing,
    keys::Key,
    screen::{Announced, ConsoleRefused, Identity, MeasuredRates, Preview, Program, Scene, Trouble, View},
    site::{self as settings, Ask, NotDone, Standing as SiteStanding},
    software::{Kept, News, WayBack},
    stick::{Bundle, Event as StickEvent, Heading},
};

/// How long a refusal or an error stays on the screen, in milliseconds. A result stays until the next image.
const NOTICE_MS: u64 = 30_000;
/// The progress of an image or update is drawn no more often than this, in milliseconds.
const PROGRESS_MS: u64 = 200;
/// How many results the box remembers the examinations of, to tell whether an image is the first of its examination.
pub const REMEMBERED: usize = 1000;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// A clock that is set is an event if it is off by this many seconds: each host sets it, and computers differ a little.
const CLOCK_OFF: u64 = 60;

/// What happens to the box.
#[derive(Debug)]
pub enum Input {
    /// The host wants something, or an image or update comes in.
    Session(BoxEvent),
    /// The analysis reports.
    Analysis(Report),
    /// The record of [`Effect::Store`] is on the disk, or cannot be written.
    Stored(Result<ResultRecord, Fault>),
    /// The record of [`Effect::Record`].
    Record(Result<Option<ResultRecord>, Fault>),
    /// The entry of [`Effect::Entry`].
    Entry(Result<Option<Listed>, Fault>),
    /// The PNG file of [`Effect::Screenshot`]; `None` if it cannot be made.
    Screenshot(Option<Vec<u8>>),
    /// A key is pressed.
    Key(Key),
    /// A memory stick was plugged in or pulled out, or the film of [`Effect::Film`] is done with.
    Stick(StickEvent),
    /// The page of [`Effect::Recall`].
    Recalled(Result<Page, Fault>),
    /// The line that a host was using is gone, or the last one that there was.
    LineLost {
        /// Whether no host can come before a line is back.
        last: bool,
        /// Whether a host was using it. Otherwise what comes in, or is judged, is of another line, such as one within the box.
        in_use: bool,
    },
    /// A line is there that was not.
    LineBack,
    /// The record of [`Effect::Find`].
    Found(Result<Option<ResultRecord>, Fault>),
    /// What has become of the piece of [`Effect::Keep`].
    Kept(Kept),
    /// There is news of a bundle.
    News(News),
    /// Whether the wish of [`Effect::GoBack`] is on the disk.
    Asked(Result<(), Fault>),
    /// The answer to [`Effect::AskSoftware`].
    Software(Box<SoftwareState>),
    /// What has become of what [`Effect::Site`] has asked, and how it stands then.
    Site(Box<Ask>, Result<Box<SiteStanding>, NotDone>),
    /// The number of [`Effect::DrawCode`]; `None` if there is none.
    Code(Option<u32>),
    /// The screen cannot be written any more, or can be again.
    Screen {
        /// Whether it cannot.
        fails: bool,
    },
    /// An X-ray machine may not send.
    NodeRefused(ConsoleRefused),
    /// Time has passed.
    Tick,
}

/// A page of past results.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// At most [`crate::screen::PAGE`] of them, the newest first. Those that cannot be read are missing.
    pub results: Vec<ResultRecord>,
    /// Its number, from 1 for the newest results.
    pub page: u64,
    /// Number of pages for all results kept; 0 if there is none.
    pub pages: u64,
}

/// What the box is to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// What is to be shown has changed: show [`State::scene`].
    Show,
    /// Judge an image; [`Input::Analysis`] follows.
    Judge(Box<Image>),
    /// Install an update; [`Input::Analysis`] follows.
    Install(Box<ModelFile>),
    /// Do something with the clinic's own settings; [`Input::Site`] follows.
    Site(Box<Ask>),
    /// From now on take prepared images for this contract.
    Expect(InputContract),
    /// Write a record to the journal; [`Input::Stored`] follows.
    Store(ResultRecord),
    /// Read the first record kept from this number on; [`Input::Record`] follows.
    Record(u64),
    /// Read the first entry of the journal kept from this number on; [`Input::Entry`] follows.
    Entry(u64),
    /// Read a page of past results for the screen; [`Input::Recalled`] follows.
    Recall {
        /// Number of the page, from 1 for the newest results.
        page: u64,
    },
    /// Look for the first record of an image from a number on, among the last ones; [`Input::Found`] follows.
    Find {
        /// Digest of the image.
        image: Digest,
        /// First record looked at.
        from: u64,
    },
    /// Keep a piece of a bundle; [`Input::Kept`] follows.
    Keep(Box<BundlePiece>),
    /// Look what there is of a bundle; [`Input::Software`] follows.
    AskSoftware {
        /// Digest of the bundle's file.
        bundle: Digest,
        /// Its length in bytes.
        total: u32,
    },
    /// Have a film of a memory stick judged; [`Input::Stick`] follows.
    Film {
        /// Number of the stick.
        stick: u32,
        /// Which one of its films, from 0.
        film: usize,
    },
    /// Have the program tried at the next start that a person goes back to; [`Input::Asked`] follows, and [`News::Outcome`] later.
    GoBack {
        /// Digest of its slot.
        content: Digest,
    },
    /// From now on, for a while, take one model that is older than one that the box has had.
    PermitOlder,
    /// Have all results up to the last one written onto a memory stick; [`Input::Stick`] follows, again and again.
    WriteResults {
        /// Number of the stick.
        stick: u32,
        /// What is said above them.
        heading: Heading,
    },
    /// Hand on the next results, from this number on, to be written.
    Results {
        /// The first one.
        from: u64,
        /// The last one that is wanted at all.
        last: u64,
    },
    /// Have the bundle on a memory stick taken; [`Input::Stick`] follows.
    TakeProgram {
        /// Number of the stick.
        stick: u32,
    },
    /// Draw a number that nobody can guess; [`Input::Code`] follows.
    DrawCode,
    /// Take a screenshot; [`Input::Screenshot`] follows.
    Screenshot,
    /// Reply to the host.
    Reply(Reply),
}

/// The state of the box.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct State {
    card: ModelCard,
    digest: Digest,
    /// Whether another model was meant to judge.
    fell_back: bool,
    /// Who says that the model is good.
    trust: Option<Trust>,
    /// Whether models are taken that nobody has signed.
    takes_unsigned: bool,
    /// Until when it is said that another model was installed.
    changed_until: Option<u64>,
    /// Whether a host may ask to have an image judged whatever the patient's age.
    any_age: bool,
    execution: String,
    boot: u32,
    journal: Standing,
    /// Number of the last record.
    records: u64,
    /// Seconds since 1970 as a host has set them, and when it did.
    clock: Option<(u64, u64)>,
    /// The same of the last time that it was an event.
    noted_clock: Option<(u64, u64)>,
    /// How many more results, models and events there may be now.
    results: Allowance,
    models: Allowance,
    events: Allowance,
    /// Events that were too many since the last one.
    missed: u32,
    /// Events that the journal has not been given yet.
    notes: Vec<Event>,
    /// Whether nobody has yet read that the chain of the journal is broken.
    alarm: bool,
    view: View,
    /// When the view gives way to what is shown while nothing happens.
    until: Option<u64>,
    /// When progress was drawn last.
    drawn: u64,
    /// How many images have been announced: only of the last one is shown what becomes of it.
    announced: u64,
    /// The image that comes in.
    incoming: Option<Subject>,
    /// The image that is being judged.
    analysis: Option<Analysis>,
    /// Whether no host can come before a line is back.
    lost: bool,
    /// Whether the box judges nothing, because it has failed again and again.
    safe: bool,
    /// Whether the screen cannot be written. What it shows then may be the verdict on another child, so no image is judged; what
    /// it was to show is shown as soon as it can be.
    screen_fails: bool,
    /// When the last result was made.
    judged: u64,
    /// The examinations of the last results, at most [`REMEMBERED`], the newest last.
    exams: VecDeque<ExamId>,
    /// What became of the last image, where an update or a code hides it: it is shown after that. There is nothing here while
    /// the screen shows anything else.
    held: Option<View>,
    privacy: Privacy,
    /// The bundle that comes in, if one does.
    coming: Option<Coming>,
    /// What is to be said of the box's program, and until when that it is new.
    program: Program,
    program_until: Option<u64>,
    /// The films of the memory stick that is in, while they are to be chosen from.
    films: Option<Films>,
    /// The marked stick of which the films are told next, and the bundle on it.
    marked: Option<(u32, Option<Bundle>)>,
    /// What is wrong with a memory stick, or with a program on it, while something else is shown.
    stick_says: Option<Trouble>,
    /// Whether there are keys to hold, so that what they do is offered.
    has_keys: bool,
    /// Whether the key that chooses was pressed on the screen that is shown: a hold counts only where it began.
    began: bool,
    /// The program in the other slot, if it may be gone back to.
    way_back: Option<WayBack>,
    /// Until when it is awaited what becomes of going back.
    going_back: Option<u64>,
    /// How the clinic's own settings stand, and until when it is said that they are new.
    site: SiteStanding,
    settings_until: Option<u64>,
    /// Until when it is said that a key of the clinic was added.
    key_until: Option<u64>,
}

/// An image that has been announced.
#[derive(Debug, Clone)]
struct Subject {
    /// Which one of the images announced it is.
    number: u64,
    exam: ExamId,
    /// Digest of the file, once it has arrived, as the host has stated it.
    image: Option<Digest>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Analysis {
    image: Subject,
    stage: Stage,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
enum Stage {
    Running,
    /// The host that sent the image has gone: the result is kept and shown, though no host receives it.
    Unwatched,
    /// The host has given the image up: its result is thrown away.
    Unwanted,
    /// The record is being written. The model that it is of may be replaced meanwhile.
    Storing(Preview, Option<Box<Evidence>>, Box<Identity>),
}

impl State {
    /// A box with a model, how that is computed, the journal's number of starts and the number of its last
    /// record.
    pub fn new(card: ModelCard, digest: Digest, execution: String, boot: u32, records: u64) -> Self {
        let view = View::Ready { results: records };
        Self {
            card,
            digest,
            fell_back: false,
            trust: None,
            takes_unsigned: false,
            changed_until: None,
            any_age: false,
            execution,
            boot,
            journal: Standing::default(),
            records,
            clock: None,
            noted_clock: None,
            results: Allowance::new(rate::RESULTS),
            models: Allowance::new(rate::MODELS),
            events: Allowance::new(rate::EVENTS),
            missed: 0,
            notes: Vec::new(),
            alarm: false,
            view,
            until: None,
            drawn: 0,
            announced: 0,
            incoming: None,
            analysis: None,
            lost: false,
            safe: false,
            screen_fails: false,
            judged: 0,
            exams: VecDeque::new(),
            held: None,
            privacy: Privacy::NONE,
            coming: None,
            program: Program::Settled,
            program_until: None,
            films: None,
            marked: None,
            stick_says: None,
            has_keys: false,
            began: false,
            way_back: None,
            going_back: None,
            site: SiteStanding::default(),
            settings_until: None,
            key_until: None,
        }
    }

    /// There are keys: from now on it is offered what they do that nothing else does.
    pub fn offer_ways_back(&mut self) {
        self.has_keys = true;
    }

    /// From now on the box refuses images and says that it is in safe mode. Everything else continues.
    pub fn enter_safe_mode(&mut self) {
        self.safe = true;
        self.view = View::error(Trouble::SafeMode);
    }

    /// Takes note of who says that the model is good.
    pub fn set_trust(&mut self, trust: Option<Trust>) {
        self.trust = trust;
    }

    /// From now on every screen says that models are taken that nobody has signed.
    pub fn say_that_unsigned_models_are_taken(&mut self) {
        self.takes_unsigned = true;
    }

    /// From now on, for a day, it is said that another model was installed.
    pub fn say_that_the_model_changed(&mut self, now: u64) {
        self.changed_until = Some(now.saturating_add(DAY_MS));
    }

    /// From now on hosts may ask to have images judged whatever the patient's age.
    pub fn allow_any_age(&mut self) {
        self.any_age = true;
    }

    /// Whether the box judges nothing, because it has failed again and again.
    pub fn is_safe(&self) -> bool {
        self.safe
    }

    /// Takes note of how the journal stands: at the start, and after each writing. Returns whether something else is to be
    /// shown because of it.
    pub fn set_journal(&mut self, journal: Standing) -> bool {
        self.journal = journal;
        let view = match self.view {
            View::Ready { .. } | View::Program { .. } => self.waiting(),
            View::Blanked { .. } => self.blanked(),
            _ => return false,
        };
        let changed = view != self.view;
        self.view = view;
        changed
    }

    /// Takes note of how the journal was found at the start.
    pub fn set_journal_at_start(&mut self, journal: Standing) {
        self.alarm = journal.newly_broken;
        let _ = self.set_journal(journal);
    }

    /// Lets a host send as much as it wants: to a simulated box, which no line leads to.
    pub fn lift_limits(&mut self) {
        for limit in [&mut self.results, &mut self.models, &mut self.events] {
            *limit = Allowance::unlimited();
        }
    }

    /// The events since the last call, for the journal: before the effects that they came with.
    pub fn take_notes(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.notes)
    }

    /// Something has happened that the journal is to keep. What only the box, a person at it, or what somebody has signed brings about is
    /// always kept.
    fn note(&mut self, now: u64, kind: EventKind) {
        let is_of_the_box = matches!(
            kind,
            EventKind::ModelChanged { .. }
                | EventKind::Vouched { .. }
                | EventKind::SoftwareStaged { .. }
                | EventKind::SoftwareConfirmed { .. }
                | EventKind::SoftwareWentBack { .. }
                | EventKind::SettingsChanged { .. }
                | EventKind::SettingsForgotten
                | EventKind::KeyAdded { .. }
        );
        if is_of_the_box || self.events.take(now) {
            let (unix_seconds, missed) = (self.time(now), std::mem::take(&mut self.missed));
            self.notes.push(Event { boot: self.boot, unix_seconds, missed, kind });
        } else {
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// Seconds since 1970, if a host has set the clock to a time that can be right.
    fn time(&self, now: u64) -> Option<u64> {
        self.clock.and_then(|clock| credible(reached(clock, now)))
    }

    /// Remembers the examination of a result. Those of earlier starts are told in their order before the first input.
    pub fn remember(&mut self, exam: ExamId) {
        if self.exams.len() >= REMEMBERED {
            self.exams.pop_front();
        }
        self.exams.push_back(exam);
    }

    /// The model that judges was not meant to: the one that was is damaged, or has ended the program.
    pub fn fall_back(&mut self) {
        self.fell_back = true;
    }

    /// What the screen is drawn from.
    pub fn scene(&self) -> Scene {
        Scene { identity: self.identity(), view: self.view.clone() }
    }

    /// What the box is now.
    fn identity(&self) -> Identity {
        Identity {
            model: self.card.name.clone(),
            digest: self.digest,
            synthetic: self.card.provenance.synthetic,
            fell_back: self.fell_back,
            trust: self.trust,
            takes_unsigned: self.takes_unsigned,
            changed: self.changed_until.is_some(),
            program: self.program,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            rates: MeasuredRates::of(&self.card),
            ages: self.card.ages(),
            journal: self.journal,
            way_back: self.offered_way_back().cloned(),
            settings: self.settings_news(),
            has_site: self.has_site(),
        }
    }

    /// What the screen shows.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// When [`Input::Tick`] is wanted at the latest.
    pub fn deadline(&self) -> Option<u64> {
        let view = match self.view {
            View::Result { minutes, .. } => {
                let next = if minutes < 60 { minutes + 1 } else { minutes + 60 };
                let blank = self.privacy.blank_after.map(|after| self.judged.saturating_add(after));
                [Some(self.judged + next * MINUTE_MS), blank].into_iter().flatten().min()
            }
            _ => {
                let coming = self.coming.map(|coming| coming.until);
                let news = [self.changed_until, self.settings_until, self.key_until, self.program_until];
                [self.until, self.going_back, coming].into_iter().chain(news).flatten().min()
            }
        };
        [view, self.stick_deadline()].into_iter().flatten().min()
    }

    /// Takes an input at a time in milliseconds of any monotonic clock.
    pub fn handle(&mut self, now: u64, input: Input) -> Vec<Effect> {
        let code = matches!(self.view, View::Code(_));
        let effects = self.respond(now, input);
        if code && !matches!(self.view, View::Code(_)) {
            self.privacy.code_ended(now);
        }
        effects
    }

    fn respond(&mut self, now: u64, input: Input) -> Vec<Effect> {
        match input {
            Input::Session(event) => self.session(now, event),
            Input::Analysis(Report::Phase(phase)) => match self.analysis {
                Some(Analysis { stage: Stage::Running, .. }) => vec![Effect::Reply(Reply::Progress(phase))],
                _ => Vec::new(),
            },
            Input::Analysis(Report::Done(judged)) => self.judged(now, *judged),
            Input::Analysis(Report::Installed(installed)) => self.installed(now, *installed),
            // The program ends.
            Input::Analysis(Report::Altered) => Vec::new(),
            Input::Stored(stored) => self.stored(now, stored),
            Input::Record(Ok(record)) => vec![Effect::Reply(Reply::Record(record))],
            Input::Record(Err(fault)) => vec![Effect::Reply(Reply::Failed(fault))],
            Input::Entry(Ok(entry)) => vec![Effect::Reply(Reply::Entry(entry))],
            Input::Entry(Err(fault)) => vec![Effect::Reply(Reply::Failed(fault))],
            Input::Screenshot(Some(png)) => vec![Effect::Reply(Reply::Screenshot(png))],
            Input::Screenshot(None) => vec![Effect::Reply(Reply::Failed(Fault::Internal))],
            Input::Key(key) => self.key(now, key),
            Input::Stick(event) => self.stick(now, event),
            Input::Recalled(records) => self.recalled(now, records),
            Input::Found(found) => vec![Effect::Reply(match found {
                Ok(record) => Reply::Answer(Answer::StoredResult(record)),
                Err(fault) => Reply::Failed(fault),
            })],
            Input::Kept(kept) => self.kept(now, kept),
            Input::News(news) => self.news(now, news),
            Input::Asked(asked) => self.asked(now, asked),
            Input::Software(state) => vec![Effect::Reply(Reply::Answer(Answer::Software(*state)))],
            Input::Site(ask, done) => self.site_done(now, &ask, done.map(|site| *site)),
            Input::Code(number) => self.code_drawn(now, number),
            Input::LineLost { last, in_use } => {
                self.privacy.part();
                if matches!(self.view, View::Code(_)) {
                    // It goes with its line, and what it hid comes back.
                    let _ = self.idle(now);
                    let mut effects = self.handle(now, Input::LineLost { last, in_use });
                    if effects.is_empty() {
                        effects.push(Effect::Show);
                    }
                    return effects;
                }
                let image = if in_use { self.host_gone() } else { None };
                // Its view gives way below.
                self.coming = None;
                self.lost = last;
                if !in_use && self.view.is_busy() {
                    // That it is lost is shown after it.
                    return Vec::new();
                }
                let lost = View::Error { image, trouble: Trouble::LineLost };
                match self.view {
                    // A verdict, a refusal, or what a person reads, needs no line.
                    View::Result { .. }
                    | View::Refused { .. }
                    | View::History { .. }
                    | View::About
                    | View::Site(_)
                    | View::Confirm(_)
                    | View::Films { .. }
                    | View::Writing { .. }
                    | View::Written { .. } => Vec::new(),
                    // Nor does what comes from a stick.
                    View::Program { .. } if self.takes_program() => Vec::new(),
                    View::Updating { .. } if last => vec![self.idle(now)],
                    _ if last => vec![self.show(lost)],
                    _ => vec![self.notice(now, lost)],
                }
            }
            Input::LineBack => {
                self.lost = false;
                self.held.take_if(|held| matches!(held, View::Error { trouble: Trouble::LineLost, .. }));
                match self.view {
                    View::Error { trouble: Trouble::LineLost, .. } => vec![self.idle(now)],
                    // The verdict came while the line was away, a host on another line, or a person reads.
                    _ => Vec::new(),
                }
            }
            Input::Screen { fails } => {
                self.screen_fails = fails;
                Vec::new()
            }
            Input::NodeRefused(refused) => self.node_refused(now, refused),
            Input::Tick => self.tick(now),
        }
    }

    /// Shows why an X-ray machine may not send, where the screen waits: it hides nothing of an image, nor what a person reads.
    fn node_refused(&mut self, now: u64, refused: ConsoleRefused) -> Vec<Effect> {
        let waits = match &self.view {
            View::Ready { .. } | View::Blanked { .. } | View::Error { image: None, trouble: Trouble::LineLost } => true,
            // The same again does not stay for longer: one that tries for ever does not hide that the box is ready.
            View::Error { trouble: Trouble::Console(shown), .. } => *shown != refused,
            _ => false,
        };
        if waits { vec![self.notice(now, View::error(Trouble::Console(refused)))] } else { Vec::new() }
    }

    fn session(&mut self, now: u64, event: BoxEvent) -> Vec<Effect> {
        match event {
            BoxEvent::HostConnected => {
                self.privacy.part();
                Vec::new()
            }
            BoxEvent::HostGone => {
                self.privacy.part();
                let image = self.host_gone();
                let mut effects = self.bundle_stops(now);
                effects.extend(match self.view {
                    View::Receiving { .. } => {
                        let exam = image.as_ref().map(|image| image.exam.clone()).unwrap_or_default();
                        self.note(now, EventKind::Failed { fault: Fault::Timeout, exam });
                        vec![self.notice(now, View::Error { image, trouble: Fault::Timeout.into() })]
                    }
                    View::Updating { .. } => vec![self.idle(now)],
                    _ => Vec::new(),
                });
                effects
            }
            BoxEvent::Bundle { done, total } => self.bundle_comes(now, done, total),
            BoxEvent::Piece(piece) => self.piece(now, piece),
            BoxEvent::Receiving { exam, done, total } => {
                let begun = done == 0 || self.incoming.is_none();
                let image = self.named(&exam);
                if begun {
                    self.incoming = Some(self.announce(exam));
                }
                self.progress(now, begun || done == total, View::Receiving { image, done, total })
            }
            BoxEvent::Updating { done, total } => {
                let begun = done == 0 || !matches!(self.view, View::Updating { .. });
                self.progress(now, begun || done == total, View::Updating { done, total })
            }
            // A model may be what the box has failed over.
            BoxEvent::Update(_) if self.safe => self.not_installed(now, Fault::Internal),
            // No event could tell of it.
            BoxEvent::Update(_) if self.journal.read_only => self.not_installed(now, Fault::Storage),
            BoxEvent::Update(_) if !self.models.take(now) => self.not_installed(now, Fault::TooFast),
            BoxEvent::Update(file) if settings::is_one(&file.bytes) => vec![Effect::Site(Box::new(Ask::Take(file)))],
            BoxEvent::Update(file) => vec![Effect::Install(Box::new(file))],
            BoxEvent::Image(image) => {
                let exam = &image.begin.exam;
                let mut subject = self.incoming.take().unwrap_or_else(|| self.announce(exam.clone()));
                subject.image = Some(image.source());
                if self.safe {
                    return self.failed(now, &subject, Fault::Internal);
                }
                if self.journal.read_only {
                    // A verdict that nobody can look up must not be told.
                    let view = View::Error { image: Some(self.named(exam)), trouble: Trouble::NoStorage };
                    return self.conclude(now, &subject, view, Outcome::Failed(Fault::Storage));
                }
                if !self.results.allows(now) {
                    return self.failed(now, &subject, Fault::TooFast);
                }
                if self.screen_fails {
                    return self.failed(now, &subject, Fault::Screen);
                }
                self.analysis = Some(Analysis { image: subject, stage: Stage::Running });
                vec![self.show(View::Analysing(self.named(exam))), Effect::Judge(Box::new(image))]
            }
            BoxEvent::Dropped(dropped) => {
                let image = self.give_up();
                self.dropped(now, image, dropped)
            }
            BoxEvent::Declined { exam, dropped } => {
                self.give_up();
                let image = self.announce(exam);
                self.dropped(now, Some(image), dropped)
            }
            BoxEvent::Asked(question) => self.answer(now, question),
            BoxEvent::Record { number } => self.hand_out(Effect::Record(number)),
            BoxEvent::Entry { sequence } => self.hand_out(Effect::Entry(sequence)),
            BoxEvent::Screenshot => self.hand_out(Effect::Screenshot),
        }
    }

    /// Another image is announced: what became of those before is past.
    fn announce(&mut self, exam: ExamId) -> Subject {
        self.announced += 1;
        self.stick_says = None;
        Subject { number: self.announced, exam, image: None }
    }

    /// How screens name an image of an examination that has no result yet.
    fn named(&self, exam: &ExamId) -> Announced {
        let earlier = self.exams.iter().filter(|other| *other == exam && !exam.as_str().is_empty()).count();
        Announced { exam: exam.clone(), nth: earlier + 1 }
    }

    fn dropped(&mut self, now: u64, image: Option<Subject>, dropped: Dropped) -> Vec<Effect> {
        let exam = image.as_ref().map(|image| image.exam.clone()).unwrap_or_default();
        match dropped {
            Dropped::Cancelled => {}
            Dropped::Refused(refusal) => self.note(now, EventKind::ImageRefused { refusal, exam, image: None }),
            Dropped::ModelRefused(refusal) => self.note(now, EventKind::UpdateRefused(refusal)),
            Dropped::SoftwareRefused(refusal) => self.note(now, EventKind::SoftwareRefused(refusal)),
            Dropped::Failed(fault) => self.note(now, EventKind::Failed { fault, exam }),
        }
        let image = image.map(|image| self.named(&image.exam));
        // It is about a piece, which may have hidden nothing.
        if image.is_none() && self.coming.is_some() && !matches!(self.view, View::Updating { .. }) {
            return self.coming_ends(now, None);
        }
        match dropped {
            Dropped::Cancelled => vec![self.idle(now)],
            // The host that sent it shows what is wrong with it.
            Dropped::ModelRefused(_) if matches!(self.view, View::Updating { .. }) => vec![self.idle(now)],
            Dropped::ModelRefused(_) | Dropped::SoftwareRefused(_) => Vec::new(),
            Dropped::Refused(refusal) => vec![self.notice(now, View::Refused { image, refusal })],
            Dropped::Failed(fault) => vec![self.notice(now, View::Error { image, trouble: fault.into() })],
        }
    }

    fn answer(&mut self, now: u64, question: Question) -> Vec<Effect> {
        let answer = match question {
            Question::Info => Answer::Info(self.info()),
            // A host that does not know the time knows nothing better than the box.
            Question::SetClock { unix_seconds } if credible(unix_seconds).is_none() => Answer::ClockSet,
            Question::SetClock { unix_seconds } => {
                let before = self.time(now);
                self.clock = Some((unix_seconds, now));
                let expected = self.noted_clock.map(|clock| reached(clock, now));
                if expected.is_none_or(|expected| expected.abs_diff(unix_seconds) >= CLOCK_OFF) {
                    self.noted_clock = self.clock;
                    self.note(now, EventKind::ClockSet { before, after: unix_seconds });
                }
                Answer::ClockSet
            }
            Question::ShowCode => return self.show_code(now),
            Question::Pair { code } => return self.pair(now, code),
            // Whoever knows an image learns nothing of another one.
            Question::StoredResult { image, from } => return vec![Effect::Find { image, from }],
            Question::Software { bundle, total } => return vec![Effect::AskSoftware { bundle, total }],
            Question::Site => Answer::Site(self.site.on_line()),
        };
        vec![Effect::Reply(Reply::Answer(answer))]
    }

    /// Draws how far something that comes in has got, unless that was drawn a moment ago and need not be.
    fn progress(&mut self, now: u64, due: bool, view: View) -> Vec<Effect> {
        if !due && now.saturating_sub(self.drawn) < PROGRESS_MS {
            return Vec::new();
        }
        self.drawn = now;
        vec![if matches!(view, View::Updating { .. }) { self.cover(view) } else { self.show(view) }]
    }

    /// The box does not even try a model.
    fn not_installed(&mut self, now: u64, fault: Fault) -> Vec<Effect> {
        self.note(now, EventKind::Failed { fault, exam: ExamId::default() });
        let refused = Effect::Reply(Reply::NotInstalled(fault));
        if matches!(self.view, View::Updating { .. }) { vec![self.idle(now), refused] } else { vec![refused] }
    }

    fn installed(&mut self, now: u64, installed: Result<Loaded, ModelRefusal>) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &installed {
            Ok(Loaded { digest, .. }) if *digest == self.digest => {}
            Ok(Loaded { digest, .. }) => {
                self.note(now, EventKind::ModelChanged { before: self.digest, after: *digest });
                self.say_that_the_model_changed(now);
            }
            Err(refusal) => self.note(now, EventKind::UpdateRefused(*refusal)),
        }
        if let Ok(Loaded { digest, trust: Some(trust), .. }) = &installed {
            self.note(now, EventKind::Vouched { model: *digest, trust: *trust });
        }
        let refused = installed.as_ref().err().copied();
        let installed = installed.map(|Loaded { card, digest, execution, trust }| {
            effects.push(Effect::Expect(card.behaviour.contract));
            // A checked card's name fits.
            let model = card.name.as_str().try_into().unwrap_or_default();
            (self.card, self.digest, self.execution) = (card, digest, execution);
            self.fell_back = false;
            self.trust = trust;
            Installed { model, digest }
        });
        effects.push(match (&self.view, refused) {
            // What became of an image goes before what became of an update.
            (View::Updating { .. }, Some(refusal)) if self.held.is_none() && !self.lost => {
                self.update_refused(now, refusal)
            }
            (View::Updating { .. }, _) => self.idle(now),
            // The same, with the name of the model.
            _ => Effect::Show,
        });
        effects.push(Effect::Reply(Reply::Installed(installed)));
        effects
    }

    /// The host that sends, or waits, has gone. Returns how screens name the image that it was about.
    fn host_gone(&mut self) -> Option<Announced> {
        let incoming = self.incoming.take();
        if let Some(Analysis { stage: stage @ Stage::Running, .. }) = &mut self.analysis {
            *stage = Stage::Unwatched;
        }
        let judged = match &self.analysis {
            Some(Analysis { image, stage: Stage::Unwatched }) if image.number == self.announced => Some(image),
            _ => None,
        };
        incoming.as_ref().or(judged).map(|image| self.named(&image.exam))
    }

    /// The host does not want any more what it has sent. Returns which image that is.
    fn give_up(&mut self) -> Option<Subject> {
        let judged = match &mut self.analysis {
            Some(Analysis { image, stage: stage @ Stage::Running }) => {
                *stage = Stage::Unwanted;
                Some(image.clone())
            }
            _ => None,
        };
        self.incoming.take().or(judged)
    }

    fn judged(&mut self, now: u64, judged: Result<Judged, Unjudged>) -> Vec<Effect> {
        let Some(Analysis { image, stage: Stage::Running | Stage::Unwatched }) = self.analysis.take() else {
            // The session wants an answer for every image and keeps this one to itself.
            return vec![Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Internal)))];
        };
        match judged {
            Ok(_) if self.screen_fails => self.failed(now, &image, Fault::Screen),
            Ok(judged) => {
                // One image at a time: it was allowed when this one came.
                self.results.take(now);
                let stage = Stage::Storing(judged.preview, judged.evidence.map(Box::new), Box::new(self.identity()));
                self.analysis = Some(Analysis { image, stage });
                vec![Effect::Store(ResultRecord {
                    number: self.records + 1,
                    boot: self.boot,
                    unix_seconds: self.time(now),
                    exam: judged.exam,
                    image: judged.image,
                    model: self.digest,
                    probability: judged.probability,
                    point: self.card.behaviour.point,
                    verdict: judged.verdict,
                    prepared: judged.prepared,
                    age: judged.age,
                    trust: self.trust,
                })]
            }
            Err(Unjudged::Refused(refusal)) => {
                self.note(now, EventKind::ImageRefused { refusal, exam: image.exam.clone(), image: image.image });
                let view = View::Refused { image: Some(self.named(&image.exam)), refusal };
                self.conclude(now, &image, view, Outcome::Refused(refusal))
            }
            Err(Unjudged::Failed(fault)) => self.failed(now, &image, fault),
        }
    }

    fn stored(&mut self, now: u64, stored: Result<ResultRecord, Fault>) -> Vec<Effect> {
        let Some(Analysis { image, stage: Stage::Storing(preview, evidence, identity) }) = self.analysis.take() else {
            return vec![Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Internal)))];
        };
        match stored {
            Ok(record) => {
                (self.records, self.judged) = (record.number, now);
                let nth = self.named(&record.exam).nth;
                self.remember(record.exam.clone());
                let view = View::Result { preview, evidence, record: record.clone(), identity, nth, minutes: 0 };
                self.conclude(now, &image, view, Outcome::Result(record))
            }
            Err(fault) => self.failed(now, &image, fault),
        }
    }

    fn failed(&mut self, now: u64, image: &Subject, fault: Fault) -> Vec<Effect> {
        self.note(now, EventKind::Failed { fault, exam: image.exam.clone() });
        let view = View::Error { image: Some(self.named(&image.exam)), trouble: fault.into() };
        self.conclude(now, image, view, Outcome::Failed(fault))
    }

    /// Reports what became of an image, and shows it, or after an update that comes in. If another image has been announced
    /// since, it is in the history alone: it must not be taken for that one's.
    fn conclude(&mut self, now: u64, image: &Subject, view: View, outcome: Outcome) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.view {
            _ if image.number != self.announced => {}
            View::Updating { .. } => self.held = Some(view),
            _ => effects.push(self.outcome(now, view)),
        }
        effects.push(Effect::Reply(Reply::Outcome(outcome)));
        effects
    }

    fn info(&self) -> Info {
        Info {
            software: env!("CARGO_PKG_VERSION").try_into().unwrap_or_default(),
            // A checked card's name fits.
            model: self.card.name.as_str().try_into().unwrap_or_default(),
            model_digest: self.digest,
            synthetic: self.card.provenance.synthetic,
            int8: self.card.behaviour.int8,
            execution: self.execution.as_str().try_into().unwrap_or_default(),
            contract: self.card.behaviour.contract,
            point: self.card.behaviour.point,
            boot: self.boot,
            records: self.records,
            entries: self.journal.entries,
            head: self.journal.head,
            broken: self.journal.broken,
            read_only: self.journal.read_only,
            ages: self.card.ages(),
            any_age: self.any_age,
            trust: self.trust,
            takes_unsigned: self.takes_unsigned,
        }
    }

    /// What is shown while nothing happens, or what an update has hidden.
    fn idle(&mut self, now: u64) -> Effect {
        if let Some(view) = self.held.take() {
            return self.outcome(now, view);
        }
        if let Some(notice) = self.stick_notice(now) {
            return notice;
        }
        let waiting = self.waiting();
        self.show(waiting)
    }

    /// What is shown while nothing happens.
    fn waiting(&self) -> View {
        if let Some(films) = &self.films
            && !(self.safe || self.journal.read_only || self.alarm)
        {
            // It needs no line.
            films.view(self.records)
        } else if self.lost {
            View::error(Trouble::LineLost)
        } else if self.safe {
            View::error(Trouble::SafeMode)
        } else if self.journal.read_only {
            View::error(Trouble::NoStorage)
        } else if self.alarm {
            View::error(Trouble::ChainBroken)
        } else if let Some(Coming { done, total, .. }) = self.coming {
            View::Program { done, total }
        } else {
            View::Ready { results: self.records }
        }
    }

    /// What is shown in the place of a verdict that is shown no longer: no box is ready that is not.
    fn blanked(&self) -> View {
        match self.waiting() {
            View::Ready { results } => View::Blanked { results },
            other => other,
        }
    }

    /// Shows what became of an image: a result stays, and grows old.
    fn outcome(&mut self, now: u64, mut view: View) -> Effect {
        let age = self.age(now);
        let View::Result { minutes, .. } = &mut view else { return self.notice(now, view) };
        *minutes = age;
        if self.is_to_be_blanked(now) {
            let blanked = self.blanked();
            return self.show(blanked);
        }
        self.show(view)
    }

    /// The age of the last result in minutes, as [`View::Result`] has it.
    fn age(&self, now: u64) -> u64 {
        let minutes = now.saturating_sub(self.judged) / MINUTE_MS;
        if minutes < 60 { minutes } else { minutes / 60 * 60 }
    }

    fn is_to_be_blanked(&self, now: u64) -> bool {
        self.privacy.blank_after.is_some_and(|after| now.saturating_sub(self.judged) >= after)
    }

    fn tick(&mut self, now: u64) -> Vec<Effect> {
        if let Some(mut effects) = self.software_tick(now) {
            effects.extend(self.tick(now));
            return effects;
        }
        // Before a stick, which may bring about something each time.
        let news = [&mut self.changed_until, &mut self.settings_until, &mut self.key_until];
        let ended = news.map(|until| until.take_if(|until| *until <= now).is_some());
        if ended.contains(&true) {
            let mut effects = self.tick(now);
            effects.push(Effect::Show);
            return effects;
        }
        if let Some(effects) = self.stick_tick(now) {
            return effects;
        }
        if matches!(self.view, View::Result { .. }) && self.is_to_be_blanked(now) {
            let blanked = self.blanked();
            return vec![self.show(blanked)];
        }
        if self.until.is_some_and(|until| until <= now) {
            return vec![self.idle(now)];
        }
        let age = self.age(now);
        match &mut self.view {
            View::Result { minutes, .. } if *minutes != age => {
                *minutes = age;
                vec![Effect::Show]
            }
            _ => Vec::new(),
        }
    }

    fn notice(&mut self, now: u64, view: View) -> Effect {
        let show = self.show(view);
        self.until = Some(now + NOTICE_MS);
        show
    }

    /// Shows an update or a code, after which what is shown now comes back: a verdict, or a notice in the middle of its time.
    fn cover(&mut self, view: View) -> Effect {
        let covered = match self.view {
            View::Result { .. } => true,
            // What became of the last update does not come back in the place of what becomes of this one.
            View::Error {
                trouble: Trouble::Update(_) | Trouble::OlderModel | Trouble::Settings(_) | Trouble::OfferedKey(_),
                ..
            } if matches!(view, View::Updating { .. }) => false,
            View::Refused { .. } | View::Error { .. } => self.until.is_some(),
            _ => false,
        };
        let covered = covered.then(|| self.view.clone());
        let show = self.show(view);
        self.held = covered.or_else(|| self.held.take());
        show
    }

    fn show(&mut self, view: View) -> Effect {
        (self.until, self.began) = (None, false);
        if !matches!(view, View::Updating { .. } | View::Code(_)) {
            // What has given way to anything else is past, and does not come back.
            self.held = None;
        }
        self.view = view;
        Effect::Show
    }
}

/// What a clock, as it was set and when, has reached.
fn reached((set, at): (u64, u64), now: u64) -> u64 {
    set.saturating_add(now.saturating_sub(at) / 1000)
}

#[cfg(test)]
mod orders;
#[cfg(test)]
mod tests;
