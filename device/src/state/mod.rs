//! What the box does, without doing it: inputs and the time in, effects out.

mod browse;

use engine::ModelCard;
use shared::{
    contract::InputContract,
    evidence::Evidence,
    verdict::{Digest, Fault, ModelRefusal, ResultRecord},
};
use wire::{Answer, BoxEvent, Dropped, Image, Info, Installed, ModelFile, Outcome, Question, Reply};

use crate::{
    analysis::{Judged, Loaded, Report, Unjudged},
    keys::Key,
    screen::{Identity, Preview, Rates, Trouble, View},
};

/// How long a refusal or an error stays on the screen, in milliseconds. A result stays until the next image.
const NOTICE_MS: u64 = 30_000;
/// The progress of an image or update is drawn no more often than this, in milliseconds.
const PROGRESS_MS: u64 = 200;

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
    /// The PNG file of [`Effect::Screenshot`]; `None` if it cannot be made.
    Screenshot(Option<Vec<u8>>),
    /// A key is pressed.
    Key(Key),
    /// The page of [`Effect::Recall`].
    Recalled(Result<Page, Fault>),
    /// The line that a host was using is gone, or the last one that there was.
    LineLost {
        /// Whether no host can come before a line is back.
        last: bool,
    },
    /// A line is there that was not.
    LineBack,
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
    /// What is to be shown has changed: show [`State::view`] with [`State::identity`].
    Show,
    /// Judge an image; [`Input::Analysis`] follows.
    Judge(Box<Image>),
    /// Install an update; [`Input::Analysis`] follows.
    Install(Box<ModelFile>),
    /// From now on take prepared images for this contract.
    Expect(InputContract),
    /// Write a record to the journal; [`Input::Stored`] follows.
    Store(ResultRecord),
    /// Read the first record kept from this number on; [`Input::Record`] follows.
    Record(u64),
    /// Read a page of past results for the screen; [`Input::Recalled`] follows.
    Recall {
        /// Number of the page, from 1 for the newest results.
        page: u64,
    },
    /// Take a screenshot; [`Input::Screenshot`] follows.
    Screenshot,
    /// Reply to the host.
    Reply(Reply),
}

/// The state of the box.
#[derive(Debug)]
pub struct State {
    card: ModelCard,
    digest: Digest,
    execution: String,
    boot: u32,
    /// Number of the last record.
    records: u64,
    /// Seconds since 1970 as a host has set them, and when it did.
    clock: Option<(u64, u64)>,
    view: View,
    /// When the view gives way to what is shown while nothing happens.
    until: Option<u64>,
    /// When progress was drawn last.
    drawn: u64,
    analysis: Analysis,
    /// Whether no host can come before a line is back.
    lost: bool,
    /// A result that was shown when an update came in, or came meanwhile: it is shown after that.
    held: Option<View>,
    /// What the box was before the last update was installed, for a result of that time.
    former: Option<Identity>,
}

#[derive(Debug)]
enum Analysis {
    None,
    Running,
    /// The host that sent the image has gone: the result is kept and shown, though no host receives it.
    Unwatched,
    /// The host has given the image up: its result is thrown away.
    Unwanted,
    /// The record is being written.
    Storing(Preview, Option<Box<Evidence>>),
}

impl State {
    /// A box with a model, how that is computed, the journal's number of starts and the number of its last
    /// record.
    pub fn new(card: ModelCard, digest: Digest, execution: String, boot: u32, records: u64) -> Self {
        let view = View::Ready { results: records };
        Self {
            card,
            digest,
            execution,
            boot,
            records,
            clock: None,
            view,
            until: None,
            drawn: 0,
            analysis: Analysis::None,
            lost: false,
            held: None,
            former: None,
        }
    }

    /// What the screen says about the box: with a result, about the model that it is from.
    pub fn identity(&self) -> Identity {
        match (&self.view, &self.former) {
            (View::Result { record, .. }, Some(former)) if record.model == former.digest => former.clone(),
            _ => self.present(),
        }
    }

    fn present(&self) -> Identity {
        Identity {
            model: self.card.name.clone(),
            digest: self.digest,
            synthetic: self.card.provenance.synthetic,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            rates: Rates::of(&self.card),
        }
    }

    /// What the screen shows.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// When [`Input::Tick`] is wanted at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.until
    }

    /// Takes an input at a time in milliseconds of any monotonic clock.
    pub fn handle(&mut self, now: u64, input: Input) -> Vec<Effect> {
        match input {
            Input::Session(event) => self.session(now, event),
            Input::Analysis(Report::Phase(phase)) => match self.analysis {
                Analysis::Running => vec![Effect::Reply(Reply::Progress(phase))],
                _ => Vec::new(),
            },
            Input::Analysis(Report::Done(judged)) => self.judged(now, *judged),
            Input::Analysis(Report::Installed(installed)) => self.installed(*installed),
            Input::Stored(stored) => self.stored(now, stored),
            Input::Record(Ok(record)) => vec![Effect::Reply(Reply::Record(record))],
            Input::Record(Err(fault)) => vec![Effect::Reply(Reply::Failed(fault))],
            Input::Screenshot(Some(png)) => vec![Effect::Reply(Reply::Screenshot(png))],
            Input::Screenshot(None) => vec![Effect::Reply(Reply::Failed(Fault::Internal))],
            Input::Key(key) => self.key(now, key),
            Input::Recalled(records) => self.recalled(now, records),
            Input::LineLost { last } => {
                self.host_gone();
                self.lost = last;
                match self.view {
                    // A verdict, a refusal, or what a person reads, needs no line.
                    View::Result { .. } | View::Refused(_) | View::History { .. } | View::About => Vec::new(),
                    _ if last => vec![self.idle()],
                    _ => vec![self.notice(now, View::Error(Trouble::LineLost))],
                }
            }
            Input::LineBack => {
                self.lost = false;
                match self.view {
                    View::Error(Trouble::LineLost) => vec![self.idle()],
                    // The verdict came while the line was away, a host on another line, or a person reads.
                    _ => Vec::new(),
                }
            }
            Input::Tick => match self.until {
                Some(until) if until <= now => vec![self.idle()],
                _ => Vec::new(),
            },
        }
    }

    fn session(&mut self, now: u64, event: BoxEvent) -> Vec<Effect> {
        match event {
            BoxEvent::HostConnected => Vec::new(),
            BoxEvent::HostGone => {
                self.host_gone();
                match self.view {
                    View::Receiving { .. } => vec![self.notice(now, View::Error(Fault::Timeout.into()))],
                    View::Updating { .. } => vec![self.idle()],
                    _ => Vec::new(),
                }
            }
            BoxEvent::Receiving { done, total } => {
                let begun = done == 0 || !matches!(self.view, View::Receiving { .. });
                self.held = None;
                self.progress(now, begun || done == total, View::Receiving { done, total })
            }
            BoxEvent::Updating { done, total } => {
                let begun = done == 0 || !matches!(self.view, View::Updating { .. });
                if matches!(self.view, View::Result { .. }) {
                    self.held = Some(self.view.clone());
                }
                self.progress(now, begun || done == total, View::Updating { done, total })
            }
            BoxEvent::Update(file) => vec![Effect::Install(Box::new(file))],
            BoxEvent::Image(image) => {
                self.analysis = Analysis::Running;
                vec![self.show(View::Analysing), Effect::Judge(Box::new(image))]
            }
            BoxEvent::Dropped(dropped) => {
                if matches!(self.analysis, Analysis::Running) {
                    self.analysis = Analysis::Unwanted;
                }
                match dropped {
                    Dropped::Cancelled => vec![self.idle()],
                    // The host that sent it shows what is wrong with it.
                    Dropped::ModelRefused(_) if matches!(self.view, View::Updating { .. }) => vec![self.idle()],
                    Dropped::ModelRefused(_) => Vec::new(),
                    Dropped::Refused(refusal) => vec![self.notice(now, View::Refused(refusal))],
                    Dropped::Failed(fault) => vec![self.notice(now, View::Error(fault.into()))],
                }
            }
            BoxEvent::Asked(question) => vec![Effect::Reply(Reply::Answer(self.answer(now, question)))],
            BoxEvent::Record { number } => vec![Effect::Record(number)],
            BoxEvent::Screenshot => vec![Effect::Screenshot],
        }
    }

    fn answer(&mut self, now: u64, question: Question) -> Answer {
        match question {
            Question::Info => Answer::Info(self.info()),
            Question::SetClock { unix_seconds } => {
                self.clock = Some((unix_seconds, now));
                Answer::ClockSet
            }
        }
    }

    /// Draws how far something that comes in has got, unless that was drawn a moment ago and need not be.
    fn progress(&mut self, now: u64, due: bool, view: View) -> Vec<Effect> {
        if !due && now.saturating_sub(self.drawn) < PROGRESS_MS {
            return Vec::new();
        }
        self.drawn = now;
        vec![self.show(view)]
    }

    fn installed(&mut self, installed: Result<Loaded, ModelRefusal>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let installed = installed.map(|Loaded { card, digest, execution }| {
            effects.push(Effect::Expect(card.behaviour.contract));
            // A checked card's name fits.
            let model = card.name.as_str().try_into().unwrap_or_default();
            self.former = Some(self.present());
            (self.card, self.digest, self.execution) = (card, digest, execution);
            Installed { model, digest }
        });
        effects.push(match self.view {
            View::Updating { .. } => self.idle(),
            // The same, with the name of the model.
            _ => Effect::Show,
        });
        effects.push(Effect::Reply(Reply::Installed(installed)));
        effects
    }

    fn host_gone(&mut self) {
        if matches!(self.analysis, Analysis::Running) {
            self.analysis = Analysis::Unwatched;
        }
    }

    fn judged(&mut self, now: u64, judged: Result<Judged, Unjudged>) -> Vec<Effect> {
        if matches!(std::mem::replace(&mut self.analysis, Analysis::None), Analysis::Unwanted) {
            // The session wants an answer for every image and keeps this one to itself.
            return vec![Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Internal)))];
        }
        match judged {
            Ok(judged) => {
                self.analysis = Analysis::Storing(judged.preview, judged.evidence.map(Box::new));
                vec![Effect::Store(ResultRecord {
                    number: self.records + 1,
                    boot: self.boot,
                    unix_seconds: self.clock.map(|(set, at)| set.saturating_add(now.saturating_sub(at) / 1000)),
                    exam: judged.exam,
                    image: judged.image,
                    model: self.digest,
                    probability: judged.probability,
                    point: self.card.behaviour.point,
                    verdict: judged.verdict,
                })]
            }
            Err(Unjudged::Refused(refusal)) => {
                let until = Some(now + NOTICE_MS);
                self.conclude(View::Refused(refusal), until, Outcome::Refused(refusal))
            }
            Err(Unjudged::Failed(fault)) => self.failed(now, fault),
        }
    }

    fn stored(&mut self, now: u64, stored: Result<ResultRecord, Fault>) -> Vec<Effect> {
        match (stored, std::mem::replace(&mut self.analysis, Analysis::None)) {
            (Ok(record), Analysis::Storing(preview, evidence)) => {
                self.records = record.number;
                let view = View::Result { preview, evidence, record: record.clone() };
                self.conclude(view, None, Outcome::Result(record))
            }
            (Ok(_), _) => self.failed(now, Fault::Internal),
            (Err(fault), _) => self.failed(now, fault),
        }
    }

    fn failed(&mut self, now: u64, fault: Fault) -> Vec<Effect> {
        self.conclude(View::Error(fault.into()), Some(now + NOTICE_MS), Outcome::Failed(fault))
    }

    /// Reports the result of an image, and shows it unless the screen already shows what comes next: a result waits for
    /// the end of an update.
    fn conclude(&mut self, view: View, until: Option<u64>, outcome: Outcome) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.view {
            View::Updating { .. } if matches!(view, View::Result { .. }) => self.held = Some(view),
            View::Receiving { .. } | View::Updating { .. } => {}
            _ => {
                effects.push(self.show(view));
                self.until = until;
            }
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
        }
    }

    /// What is shown while nothing happens.
    fn idle(&mut self) -> Effect {
        let view = match self.held.take() {
            Some(result) => result,
            None if self.lost => View::Error(Trouble::LineLost),
            None => View::Ready { results: self.records },
        };
        self.show(view)
    }

    fn notice(&mut self, now: u64, view: View) -> Effect {
        let show = self.show(view);
        self.until = Some(now + NOTICE_MS);
        show
    }

    fn show(&mut self, view: View) -> Effect {
        self.until = None;
        self.view = view;
        Effect::Show
    }
}

#[cfg(test)]
mod tests;
