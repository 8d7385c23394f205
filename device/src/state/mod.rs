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
    screen::{Identity, Preview, Rates, Scene, Trouble, View},
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
    /// What is to be shown has changed: show [`State::scene`].
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
#[cfg_attr(test, derive(Clone))]
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
    /// How many images have been announced: only of the last one is shown what becomes of it.
    announced: u64,
    /// The image that comes in: which one of those it is.
    incoming: Option<u64>,
    /// The image that is being judged.
    analysis: Option<Analysis>,
    /// Whether no host can come before a line is back.
    lost: bool,
    /// What became of the last image, where an update hides it: it is shown after that. There is nothing here while the
    /// screen shows anything but an update.
    held: Option<View>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Analysis {
    /// Which one of the images announced it is of.
    image: u64,
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
    Storing(Preview, Option<Box<Evidence>>, Identity),
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
            announced: 0,
            incoming: None,
            analysis: None,
            lost: false,
            held: None,
        }
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
            software: env!("CARGO_PKG_VERSION").to_owned(),
            rates: Rates::of(&self.card),
            population: self.card.provenance.population(),
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
                Some(Analysis { stage: Stage::Running, .. }) => vec![Effect::Reply(Reply::Progress(phase))],
                _ => Vec::new(),
            },
            Input::Analysis(Report::Done(judged)) => self.judged(now, *judged),
            Input::Analysis(Report::Installed(installed)) => self.installed(now, *installed),
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
                    _ if last => vec![self.idle(now)],
                    _ => vec![self.notice(now, View::Error(Trouble::LineLost))],
                }
            }
            Input::LineBack => {
                self.lost = false;
                match self.view {
                    View::Error(Trouble::LineLost) => vec![self.idle(now)],
                    // The verdict came while the line was away, a host on another line, or a person reads.
                    _ => Vec::new(),
                }
            }
            Input::Tick => match self.until {
                Some(until) if until <= now => vec![self.idle(now)],
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
                    View::Updating { .. } => vec![self.idle(now)],
                    _ => Vec::new(),
                }
            }
            BoxEvent::Receiving { done, total, .. } => {
                let begun = done == 0 || self.incoming.is_none();
                if begun {
                    self.incoming = Some(self.announce());
                }
                self.progress(now, begun || done == total, View::Receiving { done, total })
            }
            BoxEvent::Updating { done, total } => {
                let begun = done == 0 || !matches!(self.view, View::Updating { .. });
                let covered = matches!(self.view, View::Result { .. }).then(|| self.view.clone());
                let effects = self.progress(now, begun || done == total, View::Updating { done, total });
                self.held = covered.or_else(|| self.held.take());
                effects
            }
            BoxEvent::Update(file) => vec![Effect::Install(Box::new(file))],
            BoxEvent::Image(image) => {
                let number = self.incoming.take().unwrap_or_else(|| self.announce());
                self.analysis = Some(Analysis { image: number, stage: Stage::Running });
                vec![self.show(View::Analysing), Effect::Judge(Box::new(image))]
            }
            BoxEvent::Dropped(dropped) => self.dropped(now, dropped),
            BoxEvent::Declined { dropped, .. } => {
                self.announce();
                self.dropped(now, dropped)
            }
            BoxEvent::Asked(question) => vec![Effect::Reply(Reply::Answer(self.answer(now, question)))],
            BoxEvent::Record { number } => vec![Effect::Record(number)],
            BoxEvent::Screenshot => vec![Effect::Screenshot],
        }
    }

    /// Another image is announced: what became of those before is past. Returns its number.
    fn announce(&mut self) -> u64 {
        self.announced += 1;
        self.announced
    }

    fn dropped(&mut self, now: u64, dropped: Dropped) -> Vec<Effect> {
        self.incoming = None;
        self.leave(Stage::Unwanted);
        match dropped {
            Dropped::Cancelled => vec![self.idle(now)],
            // The host that sent it shows what is wrong with it.
            Dropped::ModelRefused(_) if matches!(self.view, View::Updating { .. }) => vec![self.idle(now)],
            Dropped::ModelRefused(_) => Vec::new(),
            Dropped::Refused(refusal) => vec![self.notice(now, View::Refused(refusal))],
            Dropped::Failed(fault) => vec![self.notice(now, View::Error(fault.into()))],
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

    fn installed(&mut self, now: u64, installed: Result<Loaded, ModelRefusal>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let installed = installed.map(|Loaded { card, digest, execution }| {
            effects.push(Effect::Expect(card.behaviour.contract));
            // A checked card's name fits.
            let model = card.name.as_str().try_into().unwrap_or_default();
            (self.card, self.digest, self.execution) = (card, digest, execution);
            Installed { model, digest }
        });
        effects.push(match self.view {
            View::Updating { .. } => self.idle(now),
            // The same, with the name of the model.
            _ => Effect::Show,
        });
        effects.push(Effect::Reply(Reply::Installed(installed)));
        effects
    }

    fn host_gone(&mut self) {
        self.incoming = None;
        self.leave(Stage::Unwatched);
    }

    /// No host waits any more for the image that is being judged.
    fn leave(&mut self, left: Stage) {
        if let Some(Analysis { stage: stage @ Stage::Running, .. }) = &mut self.analysis {
            *stage = left;
        }
    }

    fn judged(&mut self, now: u64, judged: Result<Judged, Unjudged>) -> Vec<Effect> {
        let Some(Analysis { image, stage: Stage::Running | Stage::Unwatched }) = self.analysis.take() else {
            // The session wants an answer for every image and keeps this one to itself.
            return vec![Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Internal)))];
        };
        match judged {
            Ok(judged) => {
                let stage = Stage::Storing(judged.preview, judged.evidence.map(Box::new), self.identity());
                self.analysis = Some(Analysis { image, stage });
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
                self.conclude(now, image, View::Refused(refusal), Outcome::Refused(refusal))
            }
            Err(Unjudged::Failed(fault)) => self.failed(now, image, fault),
        }
    }

    fn stored(&mut self, now: u64, stored: Result<ResultRecord, Fault>) -> Vec<Effect> {
        let Some(Analysis { image, stage: Stage::Storing(preview, evidence, identity) }) = self.analysis.take() else {
            return vec![Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Internal)))];
        };
        match stored {
            Ok(record) => {
                self.records = record.number;
                let view = View::Result { preview, evidence, record: record.clone(), identity };
                self.conclude(now, image, view, Outcome::Result(record))
            }
            Err(fault) => self.failed(now, image, fault),
        }
    }

    fn failed(&mut self, now: u64, image: u64, fault: Fault) -> Vec<Effect> {
        self.conclude(now, image, View::Error(fault.into()), Outcome::Failed(fault))
    }

    /// Reports what became of an image, and shows it, or after an update that comes in. If another image has been announced
    /// since, it is in the history alone: it must not be taken for that one's.
    fn conclude(&mut self, now: u64, image: u64, view: View, outcome: Outcome) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.view {
            _ if image != self.announced => {}
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
        }
    }

    /// What is shown while nothing happens, or what an update has hidden.
    fn idle(&mut self, now: u64) -> Effect {
        if let Some(view) = self.held.take() {
            return self.outcome(now, view);
        }
        self.show(if self.lost { View::Error(Trouble::LineLost) } else { View::Ready { results: self.records } })
    }

    /// Shows what became of an image: a result stays.
    fn outcome(&mut self, now: u64, view: View) -> Effect {
        if matches!(view, View::Result { .. }) { self.show(view) } else { self.notice(now, view) }
    }

    fn notice(&mut self, now: u64, view: View) -> Effect {
        let show = self.show(view);
        self.until = Some(now + NOTICE_MS);
        show
    }

    fn show(&mut self, view: View) -> Effect {
        self.until = None;
        if !matches!(view, View::Updating { .. }) {
            // What has given way to anything else is past, and does not come back.
            self.held = None;
        }
        self.view = view;
        Effect::Show
    }
}

#[cfg(test)]
mod orders;
#[cfg(test)]
mod tests;
