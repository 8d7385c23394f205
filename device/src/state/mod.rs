//! What the box does, without doing it: inputs and the time in, effects out.

mod browse;

use engine::Card;
use shared::{
    contract::InputContract,
    evidence::Evidence,
    verdict::{Digest, Fault, ModelRefusal, ResultRecord},
};
use wire::{BoxEvent, Dropped, Image, Info, Installed, ModelFile, Outcome, Phase};

use crate::{
    analysis::{Judged, Loaded, Report, Unjudged},
    keys::Key,
    screen::{Identity, Preview, Rates, Trouble, View},
};

/// How long a refusal or an error stays on the screen, in milliseconds. A result stays until the next image.
const NOTICE_MS: u64 = 30_000;
/// The progress of an image is drawn no more often than this, in milliseconds.
const PROGRESS_MS: u64 = 200;

/// What happens to the box.
#[derive(Debug)]
pub enum Input {
    /// The host wants something, or an image comes in.
    Session(BoxEvent),
    /// The analysis goes on.
    Analysis(Report),
    /// The record of [`Effect::Store`] is on the disk, or cannot be written.
    Stored(Result<ResultRecord, Fault>),
    /// The record of [`Effect::Fetch`].
    Fetched(Result<Option<ResultRecord>, Fault>),
    /// The picture of [`Effect::Picture`].
    Picture(Option<Vec<u8>>),
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
    /// Show this.
    Show(View),
    /// Judge an image; [`Input::Analysis`] follows.
    Judge(Box<Image>),
    /// Install a model; [`Input::Analysis`] follows.
    Install(Box<ModelFile>),
    /// From now on take prepared images for this contract.
    Expect(InputContract),
    /// Write a record to the journal; [`Input::Stored`] follows.
    Store(ResultRecord),
    /// Read the first record kept from this number on; [`Input::Fetched`] follows.
    Fetch(u64),
    /// Read a page of past results for the screen; [`Input::Recalled`] follows.
    Recall {
        /// Number of the page, from 1 for the newest results.
        page: u64,
    },
    /// Take a picture of the screen; [`Input::Picture`] follows.
    Picture,
    /// Tell the host.
    Reply(Reply),
}

/// What the host is told; each is a method of [`wire::BoxSession`].
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// The outcome of an image.
    Answer(Outcome),
    /// What the box is doing with the image.
    Progress(Phase),
    /// What came of a model.
    Updated(Result<Installed, ModelRefusal>),
    /// What the box is.
    Info(Info),
    /// A record of the journal.
    Record(Option<ResultRecord>),
    /// A picture of the screen.
    Screen(Vec<u8>),
    /// The clock is set.
    ClockSet,
    /// What was asked for cannot be done.
    Fail(Fault),
}

/// The state of the box.
#[derive(Debug)]
pub struct State {
    card: Card,
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
    /// A result that was shown when a model came in, or came meanwhile: it is shown after that.
    held: Option<View>,
    /// What the box was before its model was replaced, for a result of that time.
    former: Option<Identity>,
}

#[derive(Debug)]
enum Analysis {
    None,
    Running,
    /// The host that sent the image has gone: the result is kept and shown, though nobody is told.
    Unwatched,
    /// The host has given the image up: what comes of it is thrown away.
    Unwanted,
    /// The record is being written.
    Storing(Preview, Option<Box<Evidence>>),
}

impl State {
    /// A box with a model, how that is computed, the journal's number of starts and the number of its last
    /// record.
    pub fn new(card: Card, digest: Digest, execution: String, boot: u32, records: u64) -> Self {
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

    /// What the screen tells of the box: with a result, of the model that it is from.
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
            synthetic: self.card.synthetic,
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
            Input::Fetched(Ok(record)) => vec![Effect::Reply(Reply::Record(record))],
            Input::Fetched(Err(fault)) => vec![Effect::Reply(Reply::Fail(fault))],
            Input::Picture(Some(png)) => vec![Effect::Reply(Reply::Screen(png))],
            Input::Picture(None) => vec![Effect::Reply(Reply::Fail(Fault::Internal))],
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
                self.incoming(now, begun || done == total, View::Receiving { done, total })
            }
            BoxEvent::Updating { done, total } => {
                let begun = done == 0 || !matches!(self.view, View::Updating { .. });
                if matches!(self.view, View::Result { .. }) {
                    self.held = Some(self.view.clone());
                }
                self.incoming(now, begun || done == total, View::Updating { done, total })
            }
            BoxEvent::Model(file) => vec![Effect::Install(Box::new(file))],
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
                    // What is wrong with the model, whoever sent it is told.
                    Dropped::Rejected(_) if matches!(self.view, View::Updating { .. }) => vec![self.idle()],
                    Dropped::Rejected(_) => Vec::new(),
                    Dropped::Refused(refusal) => vec![self.notice(now, View::Refused(refusal.into()))],
                    Dropped::Failed(fault) => vec![self.notice(now, View::Error(fault.into()))],
                }
            }
            BoxEvent::Info => vec![Effect::Reply(Reply::Info(self.info()))],
            BoxEvent::WantRecord { number } => vec![Effect::Fetch(number)],
            BoxEvent::Screen => vec![Effect::Picture],
            BoxEvent::SetClock { unix_seconds } => {
                self.clock = Some((unix_seconds, now));
                vec![Effect::Reply(Reply::ClockSet)]
            }
        }
    }

    /// Draws how far something that comes in has got, unless that was drawn a moment ago and need not be.
    fn incoming(&mut self, now: u64, due: bool, view: View) -> Vec<Effect> {
        if !due && now.saturating_sub(self.drawn) < PROGRESS_MS {
            return Vec::new();
        }
        self.drawn = now;
        vec![self.show(view)]
    }

    fn installed(&mut self, installed: Result<Loaded, ModelRefusal>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let answer = installed.map(|Loaded { card, digest, execution }| {
            effects.push(Effect::Expect(card.contract));
            // A checked card's name fits.
            let model = card.name.as_str().try_into().unwrap_or_default();
            self.former = Some(self.present());
            (self.card, self.digest, self.execution) = (card, digest, execution);
            Installed { model, digest }
        });
        effects.push(match self.view {
            View::Updating { .. } => self.idle(),
            // The same, with the name of the model.
            _ => Effect::Show(self.view.clone()),
        });
        effects.push(Effect::Reply(Reply::Updated(answer)));
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
            return vec![Effect::Reply(Reply::Answer(Outcome::Failed(Fault::Internal)))];
        }
        match judged {
            Ok(judged) => {
                self.analysis = Analysis::Storing(judged.preview, judged.evidence.map(Box::new));
                vec![Effect::Store(ResultRecord {
                    number: self.records + 1,
                    boot: self.boot,
                    unix_seconds: self.clock.map(|(set, at)| set.saturating_add(now.saturating_sub(at) / 1000)),
                    study: judged.study,
                    image: judged.image,
                    model: self.digest,
                    probability: judged.probability,
                    point: self.card.point,
                    verdict: self.card.point.verdict(judged.probability),
                })]
            }
            Err(Unjudged::Refused(refusal)) => {
                let until = Some(now + NOTICE_MS);
                self.answer(View::Refused(refusal.into()), until, Outcome::Refused(refusal))
            }
            Err(Unjudged::Failed(fault)) => self.failed(now, fault),
        }
    }

    fn stored(&mut self, now: u64, stored: Result<ResultRecord, Fault>) -> Vec<Effect> {
        match (stored, std::mem::replace(&mut self.analysis, Analysis::None)) {
            (Ok(record), Analysis::Storing(preview, evidence)) => {
                self.records = record.number;
                let view = View::Result { preview, evidence, record: record.clone() };
                self.answer(view, None, Outcome::Result(record))
            }
            (Ok(_), _) => self.failed(now, Fault::Internal),
            (Err(fault), _) => self.failed(now, fault),
        }
    }

    fn failed(&mut self, now: u64, fault: Fault) -> Vec<Effect> {
        self.answer(View::Error(fault.into()), Some(now + NOTICE_MS), Outcome::Failed(fault))
    }

    /// Tells what came of an image, and shows it unless the screen already tells of what comes next: a result waits for
    /// the end of an update.
    fn answer(&mut self, view: View, until: Option<u64>, outcome: Outcome) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.view {
            View::Updating { .. } if matches!(view, View::Result { .. }) => self.held = Some(view),
            View::Receiving { .. } | View::Updating { .. } => {}
            _ => {
                effects.push(self.show(view));
                self.until = until;
            }
        }
        effects.push(Effect::Reply(Reply::Answer(outcome)));
        effects
    }

    fn info(&self) -> Info {
        Info {
            software: env!("CARGO_PKG_VERSION").try_into().unwrap_or_default(),
            // A checked card's name fits.
            model: self.card.name.as_str().try_into().unwrap_or_default(),
            model_digest: self.digest,
            synthetic: self.card.synthetic,
            int8: self.card.int8,
            execution: self.execution.as_str().try_into().unwrap_or_default(),
            contract: self.card.contract,
            point: self.card.point,
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
        self.view = view.clone();
        Effect::Show(view)
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        contract::{Fit, InputContract},
        verdict::{OperatingPoint, Refusal, StudyId, Verdict},
    };

    use super::*;

    pub(super) fn state() -> State {
        let contract = InputContract { side: 16, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 };
        let card = Card {
            point: OperatingPoint { threshold: 0.5, refer_from: 0.4, refer_to: 0.6 },
            version: "0.1.0".to_owned(),
            synthetic: true,
            ..Card::new("tiny", contract)
        };
        State::new(card, Digest::of(b"model"), "fused int8".to_owned(), 7, 41)
    }

    fn image() -> Image {
        Image::file(b"bytes".to_vec(), StudyId::new("ward-3").unwrap()).unwrap()
    }

    pub(super) fn judged(probability: f32) -> Input {
        let preview = Preview { width: 1, height: 1, pixels: vec![9].into() };
        let study = StudyId::new("ward-3").unwrap();
        let judged = Judged { study, image: Digest::of(b"bytes"), preview, evidence: None, probability };
        Input::Analysis(Report::Done(Box::new(Ok(judged))))
    }

    pub(super) fn start_analysis(state: &mut State) {
        let effects = state.handle(0, Input::Session(BoxEvent::Image(image())));
        assert_eq!(effects, [Effect::Show(View::Analysing), Effect::Judge(Box::new(image()))]);
    }

    #[test]
    fn a_result_is_told_only_after_it_is_stored() {
        let mut state = state();
        state.handle(1_000, Input::Session(BoxEvent::SetClock { unix_seconds: 1_700_000_000 }));
        start_analysis(&mut state);
        let [Effect::Store(record)] = &state.handle(4_500, judged(0.7))[..] else { panic!("only the journal") };
        assert_eq!((record.number, record.boot, record.verdict), (42, 7, Verdict::Pneumonia));
        assert_eq!(record.unix_seconds, Some(1_700_000_003));
        assert_eq!((record.model, record.image), (Digest::of(b"model"), Digest::of(b"bytes")));
        let effects = state.handle(4_501, Input::Stored(Ok(record.clone())));
        assert!(matches!(&effects[..], [
            Effect::Show(View::Result { record: shown, .. }),
            Effect::Reply(Reply::Answer(Outcome::Result(told))),
        ] if shown == record && told == record));
        assert_eq!(state.info().records, 42);
        assert_eq!(state.deadline(), None, "a result stays");
    }

    #[test]
    fn a_result_that_cannot_be_stored_is_no_result() {
        let mut state = state();
        start_analysis(&mut state);
        state.handle(0, judged(0.7));
        let effects = state.handle(0, Input::Stored(Err(Fault::Storage)));
        assert!(matches!(&effects[..], [
            Effect::Show(View::Error(trouble)),
            Effect::Reply(Reply::Answer(Outcome::Failed(Fault::Storage))),
        ] if trouble.code() == Some(303)));
        assert_eq!(state.info().records, 41);
    }

    #[test]
    fn refusals_say_what_to_do_and_give_way_to_ready() {
        let mut state = state();
        start_analysis(&mut state);
        let refused = Err(Unjudged::Refused(Refusal::TooSmall));
        let effects = state.handle(10, Input::Analysis(Report::Done(Box::new(refused))));
        let [Effect::Show(View::Refused(trouble)), Effect::Reply(reply)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(*reply, Reply::Answer(Outcome::Refused(Refusal::TooSmall)));
        assert_eq!(*trouble, Trouble::Refusal(Refusal::TooSmall));
        assert_eq!(state.deadline(), Some(10 + NOTICE_MS));
        assert_eq!(state.handle(NOTICE_MS, Input::Tick), []);
        assert_eq!(state.handle(10 + NOTICE_MS, Input::Tick), [Effect::Show(View::Ready { results: 41 })]);
    }

    #[test]
    fn a_cancelled_image_leaves_no_record() {
        let mut state = state();
        start_analysis(&mut state);
        let effects = state.handle(0, Input::Session(BoxEvent::Dropped(Dropped::Cancelled)));
        assert_eq!(effects, [Effect::Show(View::Ready { results: 41 })]);
        let effects = state.handle(0, judged(0.7));
        assert!(matches!(&effects[..], [Effect::Reply(Reply::Answer(_))]), "{effects:?}");
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn a_host_that_leaves_during_the_analysis_loses_no_result() {
        let mut state = state();
        start_analysis(&mut state);
        state.handle(0, Input::Session(BoxEvent::HostGone));
        // The next host's image is refused at its announcement, then another comes in.
        state.handle(1, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooManyBytes))));
        state.handle(2, Input::Session(BoxEvent::Receiving { done: 0, total: 1000 }));
        let [Effect::Store(record)] = &state.handle(3, judged(0.7))[..] else { panic!("it is kept") };
        let effects = state.handle(4, Input::Stored(Ok(record.clone())));
        assert_eq!(effects, [Effect::Reply(Reply::Answer(Outcome::Result(record.clone())))]);
        assert_eq!(*state.view(), View::Receiving { done: 0, total: 1000 }, "no verdict over another image's progress");
        assert_eq!(state.info().records, 42);
    }

    #[test]
    fn a_verdict_that_comes_while_the_line_is_away_stays_when_it_is_back() {
        let mut state = state();
        start_analysis(&mut state);
        state.handle(0, Input::LineLost { last: true });
        let [Effect::Store(record)] = &state.handle(1, judged(0.7))[..] else { panic!("it is kept") };
        state.handle(1, Input::Stored(Ok(record.clone())));
        assert_eq!(state.handle(2, Input::LineBack), []);
        assert!(matches!(state.view(), View::Result { record: shown, .. } if shown == record));
    }

    #[test]
    fn a_host_that_leaves_in_the_middle_of_an_image_is_shown() {
        let mut state = state();
        state.handle(0, Input::Session(BoxEvent::Receiving { done: 0, total: 1000 }));
        state.handle(0, Input::Session(BoxEvent::HostGone));
        assert!(matches!(state.view(), View::Error(trouble) if trouble.code() == Some(301)));
        assert_eq!(state.handle(NOTICE_MS, Input::Tick), [Effect::Show(View::Ready { results: 41 })]);
    }

    #[test]
    fn progress_is_drawn_at_its_beginning_and_end_and_seldom_between() {
        let mut state = state();
        let mut shown = Vec::new();
        for (now, done) in [(0, 0), (50, 100), (199, 200), (201, 300), (202, 400), (203, 1000)] {
            let effects = state.handle(now, Input::Session(BoxEvent::Receiving { done, total: 1000 }));
            shown.extend((!effects.is_empty()).then_some(done));
        }
        assert_eq!(shown, [0, 300, 1000]);
    }

    #[test]
    fn a_model_that_is_installed_is_told_shown_and_recorded() {
        let mut state = state();
        let total = 1000;
        state.handle(0, Input::Session(BoxEvent::Updating { done: 0, total }));
        state.handle(1, Input::Session(BoxEvent::Updating { done: total, total }));
        assert_eq!(*state.view(), View::Updating { done: total, total });
        let file = ModelFile::new(b"new".to_vec()).unwrap();
        let effects = state.handle(2, Input::Session(BoxEvent::Model(file.clone())));
        assert_eq!(effects, [Effect::Install(Box::new(file))]);
        let contract = InputContract { side: 32, ..state.card.contract };
        let (digest, card) = (Digest::of(b"new"), Card::new("new", contract));
        let loaded = Loaded { card, digest, execution: "float".to_owned() };
        let effects = state.handle(3, Input::Analysis(Report::Installed(Box::new(Ok(loaded)))));
        let installed = Installed { model: "new".try_into().unwrap(), digest };
        assert_eq!(
            effects,
            [
                Effect::Expect(contract),
                Effect::Show(View::Ready { results: 41 }),
                Effect::Reply(Reply::Updated(Ok(installed))),
            ]
        );
        assert_eq!((state.info().model_digest, state.identity().model.as_str()), (digest, "new"));
        start_analysis(&mut state);
        let [Effect::Store(record)] = &state.handle(4, judged(0.7))[..] else { panic!("only the journal") };
        assert_eq!((record.model, record.point), (digest, OperatingPoint::HALF));
    }

    #[test]
    fn a_model_that_is_not_taken_leaves_the_old_one_and_the_notice_of_a_lost_line() {
        let mut state = state();
        state.handle(0, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
        state.handle(1, Input::LineLost { last: true });
        let lost = state.view().clone();
        let refused = Report::Installed(Box::new(Err(ModelRefusal::NotRunnable)));
        let effects = state.handle(2, Input::Analysis(refused));
        let answer = Effect::Reply(Reply::Updated(Err(ModelRefusal::NotRunnable)));
        assert_eq!(effects, [Effect::Show(lost), answer]);
        assert_eq!(state.info().model_digest, Digest::of(b"model"));
    }

    /// A host sends an image and leaves before it is judged.
    fn leave_an_image(state: &mut State) {
        start_analysis(state);
        state.handle(0, Input::Session(BoxEvent::HostGone));
    }

    /// Ends the analysis and stores its result.
    fn finish_analysis(state: &mut State) -> ResultRecord {
        let [Effect::Store(record)] = &state.handle(1, judged(0.7))[..] else { panic!("it is kept") };
        state.handle(1, Input::Stored(Ok(record.clone())));
        record.clone()
    }

    fn installed(new: bool) -> Input {
        let card = Card::new("new", state().card.contract);
        let loaded = Loaded { card, digest: Digest::of(b"new"), execution: "float".to_owned() };
        let report = if new { Ok(loaded) } else { Err(ModelRefusal::NotRunnable) };
        Input::Analysis(Report::Installed(Box::new(report)))
    }

    fn shows(state: &State, record: &ResultRecord) -> bool {
        matches!(state.view(), View::Result { record: shown, .. } if shown == record)
    }

    #[test]
    fn a_result_that_comes_during_an_update_is_shown_after_it_with_its_own_model() {
        let rejected = Input::Session(BoxEvent::Dropped(Dropped::Rejected(ModelRefusal::DigestMismatch)));
        for end in [installed(true), installed(false), rejected, Input::Session(BoxEvent::HostGone)] {
            let mut state = state();
            let old = state.identity();
            leave_an_image(&mut state);
            state.handle(0, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
            let record = finish_analysis(&mut state);
            assert_eq!(*state.view(), View::Updating { done: 1000, total: 1000 });
            state.handle(2, end);
            assert!(shows(&state, &record), "{:?}", state.view());
            assert_eq!((state.identity(), state.deadline()), (old, None));
            state.handle(3, Input::Key(Key::Back));
            assert_eq!(*state.view(), View::Ready { results: 42 });
            assert_eq!(state.identity().digest, state.info().model_digest);
        }
    }

    #[test]
    fn a_result_that_is_shown_when_an_update_begins_is_shown_after_it_with_its_own_model() {
        for end in [installed(true), installed(false), Input::Session(BoxEvent::HostGone)] {
            let mut state = state();
            let old = state.identity();
            start_analysis(&mut state);
            let record = finish_analysis(&mut state);
            state.handle(2, Input::Session(BoxEvent::Updating { done: 0, total: 1000 }));
            assert_eq!(*state.view(), View::Updating { done: 0, total: 1000 });
            state.handle(3, end);
            assert!(shows(&state, &record), "{:?}", state.view());
            assert_eq!(state.identity(), old);
        }
    }

    #[test]
    fn a_result_that_waits_for_an_update_is_not_shown_after_another_image() {
        let mut state = state();
        leave_an_image(&mut state);
        state.handle(0, Input::Session(BoxEvent::Updating { done: 500, total: 1000 }));
        finish_analysis(&mut state);
        state.handle(2, Input::Session(BoxEvent::Dropped(Dropped::Failed(Fault::Timeout))));
        state.handle(3, Input::Session(BoxEvent::Receiving { done: 0, total: 1000 }));
        state.handle(4, Input::Session(BoxEvent::Dropped(Dropped::Cancelled)));
        assert_eq!(*state.view(), View::Ready { results: 42 });
    }

    #[test]
    fn the_end_of_an_update_behind_a_result_leaves_it_with_its_own_model() {
        for new in [true, false] {
            let mut state = state();
            let old = state.identity();
            leave_an_image(&mut state);
            state.handle(0, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
            state.handle(0, Input::Session(BoxEvent::HostGone));
            let record = finish_analysis(&mut state);
            state.handle(2, installed(new));
            assert!(shows(&state, &record), "{:?}", state.view());
            assert_eq!(state.identity(), old);
        }
    }

    #[test]
    fn a_model_that_is_not_taken_at_its_announcement_leaves_the_verdict() {
        let mut state = state();
        start_analysis(&mut state);
        let record = finish_analysis(&mut state);
        assert_eq!(state.handle(2, Input::Session(BoxEvent::Dropped(Dropped::Rejected(ModelRefusal::TooLarge)))), []);
        assert!(shows(&state, &record));
    }

    #[test]
    fn a_lost_line_leaves_a_refusal_for_its_time() {
        let mut state = state();
        state.handle(0, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooSmall))));
        assert_eq!(state.handle(1, Input::LineLost { last: true }), []);
        assert_eq!(state.handle(NOTICE_MS, Input::Tick), [Effect::Show(View::Error(Trouble::LineLost))]);
    }

    #[test]
    fn a_lost_line_leaves_a_verdict_and_is_told_after_it() {
        for last in [true, false] {
            let mut state = state();
            start_analysis(&mut state);
            let record = finish_analysis(&mut state);
            assert_eq!(state.handle(2, Input::LineLost { last }), []);
            assert!(shows(&state, &record));
            let after = if last { View::Error(Trouble::LineLost) } else { View::Ready { results: 42 } };
            assert_eq!(state.handle(3, Input::Key(Key::Back)), [Effect::Show(after)]);
        }
    }

    #[test]
    fn an_update_that_ends_early_leaves_the_screen_ready() {
        for end in [
            BoxEvent::HostGone,
            BoxEvent::Dropped(Dropped::Cancelled),
            BoxEvent::Dropped(Dropped::Rejected(ModelRefusal::DigestMismatch)),
        ] {
            let mut state = state();
            state.handle(0, Input::Session(BoxEvent::Updating { done: 500, total: 1000 }));
            assert_eq!(state.handle(1, Input::Session(end)), [Effect::Show(View::Ready { results: 41 })]);
        }
    }

    #[test]
    fn a_lost_line_is_shown_until_it_is_back() {
        let mut state = state();
        state.handle(0, Input::LineLost { last: true });
        assert!(matches!(state.view(), View::Error(_)));
        assert_eq!(state.deadline(), None);
        assert_eq!(state.handle(5, Input::LineBack), [Effect::Show(View::Ready { results: 41 })]);
    }

    #[test]
    fn a_lost_line_among_others_gives_way_to_ready_and_its_return_disturbs_nobody() {
        let mut state = state();
        state.handle(0, Input::LineLost { last: false });
        assert_eq!(state.deadline(), Some(NOTICE_MS));
        state.handle(1, Input::Session(BoxEvent::Receiving { done: 0, total: 1000 }));
        assert_eq!(state.handle(2, Input::LineBack), []);
        assert_eq!(*state.view(), View::Receiving { done: 0, total: 1000 });
    }
}
