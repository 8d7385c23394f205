//! Every order of events up to a depth: what the screen may show after each of them.
//!
//! The events are those that hosts, lines, keys, the clock and the analysis can bring about; the analysis reports only what
//! it was asked for, in that order, as its thread does. States that were met before are not followed again.

use std::{
    collections::{HashSet, VecDeque},
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
};

use engine::ModelCard;
use shared::{
    appliance::{Share, slots},
    verdict::{ExamId, Refusal},
};

use super::{
    tests::{answer, state},
    *,
};
use crate::{
    screen::{Console, StickTrouble},
    stick::Film,
};

/// Longest sequence of events, and of those with a bundle, with sticks, or with keys that are held, among them.
const DEPTH: usize = 10;
const DEPTH_WITH_BUNDLES: usize = 7;
const DEPTH_WITH_STICKS: usize = 6;
const DEPTH_WITH_HOLDS: usize = 6;
/// In the place of the number of a film: that the results were asked for.
const RESULTS: usize = usize::MAX;
/// A result is shown no longer after this time: so short that it is reached.
const BLANK_MINUTES: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// An image is announced and begins to come in.
    Announced,
    /// An image is announced and refused at once.
    Declined,
    /// The image that comes in is complete.
    Arrived,
    Cancelled,
    Failed,
    HostGone,
    /// An update is announced.
    Updating,
    /// It is refused, or given up.
    UpdateDropped,
    /// It is complete.
    Update,
    /// The analysis has done the next of what it was asked for.
    Done,
    /// The same, but the result cannot be stored.
    NotStored,
    /// It refuses it.
    Refused,
    LineLost,
    OtherLineLost,
    /// The last line that was left to computers, which none was using: what is sent comes from within the box.
    UnusedLineLost,
    LineBack,
    Back,
    Older,
    /// The host asks for a code, and somebody types it.
    Code,
    Paired,
    /// Somebody types a wrong one.
    WrongCode,
    /// A stick is plugged in with one film on it, or with several.
    OneFilm,
    Films,
    /// A stick is plugged in that is marked and has no film on it.
    Marked,
    /// Somebody chooses the next film of a list, or takes the one that is chosen.
    Next,
    Choose,
    /// Somebody turns to what the box is, or holds the key that chooses, which was pressed some time before.
    About,
    Held,
    /// What was asked of the stick is done with, or cannot be done.
    FilmEnded,
    FilmLost,
    /// The next results are wanted, and all of them are on the stick.
    Wants,
    Written,
    /// The stick is pulled out, or is of no use.
    Pulled,
    Useless,
    /// An X-ray machine may not send.
    NodeRefused,
    /// The next deadline has come.
    Time,
    /// A piece of a bundle comes in.
    Piece,
    /// It is the last one, and the bundle is in the other slot.
    Staged,
}

/// What matters where there are sticks.
const STEPS_WITH_STICKS: [Step; 22] = [
    Step::Announced,
    Step::Arrived,
    Step::Done,
    Step::Refused,
    Step::HostGone,
    Step::LineLost,
    Step::UnusedLineLost,
    Step::Back,
    Step::Code,
    Step::Time,
    Step::OneFilm,
    Step::Films,
    Step::Marked,
    Step::Wants,
    Step::Written,
    Step::Next,
    Step::Choose,
    Step::FilmEnded,
    Step::FilmLost,
    Step::Pulled,
    Step::Useless,
    Step::Piece,
];

const STEPS: [Step; 22] = [
    Step::Announced,
    Step::Declined,
    Step::Arrived,
    Step::Cancelled,
    Step::Failed,
    Step::HostGone,
    Step::Updating,
    Step::UpdateDropped,
    Step::Update,
    Step::Done,
    Step::NotStored,
    Step::Refused,
    Step::LineLost,
    Step::OtherLineLost,
    Step::LineBack,
    Step::Back,
    Step::Older,
    Step::Code,
    Step::Paired,
    Step::WrongCode,
    Step::NodeRefused,
    Step::Time,
];

/// What matters where a key is held.
const STEPS_WITH_HOLDS: [Step; 15] = [
    Step::Announced,
    Step::Arrived,
    Step::Done,
    Step::Refused,
    Step::Updating,
    Step::HostGone,
    Step::LineLost,
    Step::Back,
    Step::Choose,
    Step::About,
    Step::Held,
    Step::Code,
    Step::Time,
    Step::Piece,
    Step::Staged,
];

/// What comes of a bundle besides.
const BUNDLES: [Step; 2] = [Step::Piece, Step::Staged];

#[derive(Debug, Clone)]
enum Work {
    Judge(ExamId),
    Install,
}

/// The box, and what the rules need of its past.
#[derive(Debug, Clone)]
struct World {
    state: State,
    now: u64,
    /// Images announced, and models installed.
    images: u64,
    models: u64,
    coming: Option<ExamId>,
    updating: bool,
    /// Whether a piece has come, and whether its bundle is staged.
    piece: bool,
    staged: bool,
    /// Whether a host waits for what is being judged.
    watched: bool,
    work: VecDeque<Work>,
    /// Whether the disk is full.
    full: bool,
    /// When the last result was stored.
    stored: u64,
    /// Wrong codes that were heard since somebody paired.
    wrong: u64,
    /// The number of the result that may be on the screen.
    current: Option<u64>,
    /// Sticks that were plugged in, whether the last one still is, and the film that was asked for, and of which one.
    sticks: u32,
    plugged: bool,
    asked: Option<(u32, usize)>,
    /// How often it was gone back to the program of before.
    backs: u32,
    /// Whether that stick is marked, and whether the last input was a key.
    marked: bool,
    by_key: bool,
}

impl World {
    fn new() -> Self {
        let work = VecDeque::new();
        let mut state = state();
        state.set_privacy(Share::Code, Some(BLANK_MINUTES * MINUTE_MS));
        state.offer_ways_back();
        let before = WayBack { content: Digest::of(b"slot"), name: String::new(), version: "0.1.0".to_owned() };
        state.handle(0, Input::News(News::WayBack(Some(Box::new(before)))));
        Self {
            state,
            now: 0,
            images: 0,
            models: 0,
            coming: None,
            updating: false,
            piece: false,
            staged: false,
            watched: false,
            work,
            full: false,
            stored: 0,
            wrong: 0,
            current: None,
            sticks: 0,
            plugged: false,
            asked: None,
            backs: 0,
            marked: false,
            by_key: false,
        }
    }

    /// Another stick is plugged in.
    fn plug(&mut self, films: u32) -> Input {
        (self.sticks, self.plugged, self.marked) = (self.sticks + 1, true, false);
        let film = |n| Film { name: format!("{n}"), modified: 0, size: 1 };
        Input::Stick(StickEvent::Films { stick: self.sticks, films: (0..films).map(film).collect() })
    }

    /// An order has been carried out.
    fn end_film(&mut self, trouble: Option<StickTrouble>) -> Option<Input> {
        Some(Input::Stick(StickEvent::Ended { stick: self.asked.take()?.0, trouble }))
    }

    /// The name of the image that was announced last: each has its own.
    fn last(&self) -> ExamId {
        ExamId::new(&format!("exam-{}", self.images)).unwrap()
    }

    fn announce(&mut self) -> ExamId {
        self.images += 1;
        self.current = None;
        self.last()
    }

    /// Takes a step; `None` if it cannot come now.
    fn after(&self, step: Step) -> Option<Self> {
        let mut world = self.clone();
        let input = world.input(step)?;
        world.take(input);
        Some(world)
    }

    fn input(&mut self, step: Step) -> Option<Input> {
        let judging = || self.work.iter().any(|work| matches!(work, Work::Judge(_)));
        let session = |event| Some(Input::Session(event));
        match step {
            Step::Announced => {
                self.coming = Some(self.announce());
                session(BoxEvent::Receiving { exam: self.last(), done: 0, total: 10 })
            }
            Step::Declined => {
                (self.coming, self.updating, self.watched) = (None, false, false);
                let exam = self.announce();
                session(BoxEvent::Declined { exam, dropped: Dropped::Refused(Refusal::TooManyBytes) })
            }
            // The session keeps it until the one before is answered.
            Step::Arrived if judging() => None,
            Step::Arrived => {
                let image = Image::file(b"bytes".to_vec(), self.coming.take()?).unwrap();
                self.watched = true;
                session(BoxEvent::Image(image))
            }
            Step::Cancelled | Step::Failed | Step::HostGone => {
                (self.coming, self.updating, self.watched) = (None, false, false);
                session(match step {
                    Step::Cancelled => BoxEvent::Dropped(Dropped::Cancelled),
                    Step::Failed => BoxEvent::Dropped(Dropped::Failed(Fault::Protocol)),
                    _ => BoxEvent::HostGone,
                })
            }
            Step::Updating if self.coming.is_some() || self.watched => None,
            Step::Updating => {
                self.updating = true;
                session(BoxEvent::Updating { done: 0, total: 10 })
            }
            // While there is an image, it is a protocol fault.
            Step::UpdateDropped if self.coming.is_some() || self.watched => None,
            Step::UpdateDropped => {
                self.updating = false;
                session(BoxEvent::Dropped(Dropped::ModelRefused(ModelRefusal::DigestMismatch)))
            }
            Step::Update if !std::mem::take(&mut self.updating) => None,
            Step::Update => session(BoxEvent::Update(ModelFile::new(b"model".to_vec()).unwrap())),
            Step::Done | Step::NotStored => {
                self.full = step == Step::NotStored;
                self.report(true)
            }
            Step::Refused => self.report(false),
            Step::LineLost | Step::OtherLineLost => {
                (self.coming, self.updating, self.watched) = (None, false, false);
                Some(Input::LineLost { last: step == Step::LineLost, in_use: true })
            }
            Step::UnusedLineLost => Some(Input::LineLost { last: true, in_use: false }),
            Step::LineBack => Some(Input::LineBack),
            Step::Back => Some(Input::Key(Key::Back)),
            Step::Older => Some(Input::Key(Key::Older)),
            Step::Code => session(BoxEvent::Asked(Question::ShowCode)),
            Step::Paired => {
                if matches!(self.state.view(), View::Code(_)) {
                    self.wrong = 0;
                }
                session(BoxEvent::Asked(Question::Pair { code: 7 }))
            }
            Step::WrongCode if !matches!(self.state.view(), View::Code(_)) => None,
            Step::WrongCode => {
                self.wrong += 1;
                session(BoxEvent::Asked(Question::Pair { code: 8 }))
            }
            // A host asks for one thing at a time.
            Step::Piece if self.coming.is_some() || self.updating || self.watched => None,
            Step::Piece => {
                self.piece = true;
                session(BoxEvent::Bundle { done: 4, total: 10 })
            }
            Step::Staged if !self.piece || std::mem::replace(&mut self.staged, true) => None,
            Step::Staged => Some(Input::News(News::Outcome {
                outcome: Box::new(slots::Outcome {
                    bundle: Digest::of(b"payload"),
                    file: Digest::of(b"file"),
                    name: String::new(),
                    counter: None,
                    key: None,
                    trust: Trust::Unsigned,
                    result: slots::Stage::Staged,
                }),
                is_new: true,
                is_on_trial: false,
            })),
            // One at a time.
            Step::OneFilm | Step::Films | Step::Marked if self.plugged => None,
            Step::OneFilm => Some(self.plug(1)),
            Step::Films => Some(self.plug(2)),
            Step::Marked => {
                // The mark of a stick is told before its films.
                self.take(Input::Stick(StickEvent::Marked { stick: self.sticks + 1, bundle: None }));
                let films = self.plug(0);
                self.marked = true;
                Some(films)
            }
            Step::Wants | Step::Written if !matches!(self.asked, Some((_, RESULTS))) => None,
            Step::Wants => {
                let (stick, last) = (self.asked?.0, self.state.records);
                Some(Input::Stick(StickEvent::Wants { stick, from: 1, last, done: 0 }))
            }
            Step::Written => {
                Some(Input::Stick(StickEvent::Written { stick: self.asked?.0, name: "results".to_owned() }))
            }
            Step::Next => Some(Input::Key(Key::Newer)),
            Step::Choose => Some(Input::Key(Key::Choose)),
            Step::About => Some(Input::Key(Key::About)),
            Step::Held => Some(Input::Key(Key::Held)),
            Step::FilmEnded => self.end_film(None),
            Step::FilmLost => self.end_film(Some(StickTrouble::Pulled)),
            // Whoever carries an order out says its end first.
            Step::Pulled | Step::Useless if self.asked.is_some() => None,
            Step::Pulled if !std::mem::take(&mut self.plugged) => None,
            Step::Pulled => Some(Input::Stick(StickEvent::Gone { stick: self.sticks })),
            Step::Useless if self.plugged => None,
            Step::Useless => Some(Input::Stick(StickEvent::Trouble(StickTrouble::NoFilms))),
            Step::NodeRefused => Some(Input::NodeRefused(ConsoleRefused {
                reason: Console::NotCalled,
                named: "PACS1".to_owned(),
                own: "PUMUA".to_owned(),
            })),
            Step::Time => {
                self.now = self.now.max(self.state.deadline()?);
                Some(Input::Tick)
            }
        }
    }

    fn report(&mut self, good: bool) -> Option<Input> {
        let work = self.work.pop_front()?;
        if matches!(work, Work::Judge(_)) {
            self.watched = false;
        }
        let report = match work {
            Work::Judge(exam) => Report::Done(Box::new(if good {
                Ok(answer(exam, 0.7))
            } else {
                Err(Unjudged::Refused(Refusal::TooSmall))
            })),
            Work::Install => Report::Installed(Box::new(if good {
                self.models += 1;
                let name = format!("model-{}", self.models);
                let digest = Digest::of(name.as_bytes());
                let card = ModelCard::new(name, self.state.card.behaviour.contract);
                Ok(Loaded { card, digest, execution: "float".to_owned(), trust: None })
            } else {
                Err(ModelRefusal::NotRunnable)
            })),
        };
        Some(Input::Analysis(report))
    }

    /// Gives the box an input and does what it wants done, as the runtime does.
    fn take(&mut self, input: Input) {
        self.by_key = matches!(input, Input::Key(_));
        let effects = self.state.handle(self.now, input);
        self.state.take_notes();
        for effect in effects {
            match effect {
                Effect::Judge(image) => self.work.push_back(Work::Judge(image.begin.exam.clone())),
                Effect::Install(_) => self.work.push_back(Work::Install),
                Effect::Store(_) if self.full => self.take(Input::Stored(Err(Fault::Storage))),
                Effect::Store(record) => {
                    self.stored = self.now;
                    if record.exam == self.last() {
                        self.current = Some(record.number);
                    }
                    self.take(Input::Stored(Ok(record)));
                }
                Effect::Recall { page } => {
                    self.take(Input::Recalled(Ok(Page { results: Vec::new(), page, pages: 1 })));
                }
                Effect::Film { stick, film } => {
                    assert!(self.plugged && stick == self.sticks && film < 2, "film {film} of stick {stick}");
                    assert_eq!(self.asked.replace((stick, film)), None, "one at a time");
                }
                Effect::WriteResults { stick, .. } => {
                    assert!(self.by_key, "results leave the box without a key");
                    assert!(self.plugged && self.marked && stick == self.sticks, "stick {stick}");
                    assert_eq!(self.asked.replace((stick, RESULTS)), None, "one at a time");
                }
                Effect::TakeProgram { .. } => panic!("there is no program on the stick"),
                Effect::Results { .. } => assert_eq!(self.asked, Some((self.sticks, RESULTS)), "nobody has asked"),
                Effect::DrawCode => self.take(Input::Code(Some(7))),
                Effect::GoBack { .. } => {
                    self.backs += 1;
                    self.take(Input::Asked(Ok(())));
                }
                Effect::Find { .. } | Effect::Keep(_) | Effect::AskSoftware { .. } => {}
                Effect::Show
                | Effect::Expect(_)
                | Effect::Record(_)
                | Effect::Entry(_)
                | Effect::Screenshot
                | Effect::PermitOlder
                | Effect::Site(_)
                | Effect::Reply(_) => {}
            }
        }
    }

    /// What is wrong with the screen, if anything is, after a step.
    fn check(&mut self, step: Step, before: &Self) -> Result<(), String> {
        self.check_name(step, before)?;
        self.check_piece(step, before)?;
        self.check_stick(step, before)?;
        self.check_hold(step, before)?;
        // It hides no verdict, no notice of an image, nothing that comes in and nothing that a person reads.
        let waited = matches!(
            before.state.view(),
            View::Ready { .. } | View::Blanked { .. } | View::Error { image: None, trouble: Trouble::LineLost }
        );
        if step == Step::NodeRefused && !waited && self.state.view() != before.state.view() {
            return Err(format!("an X-ray machine hides {:?}", before.state.view()));
        }
        if step == Step::UnusedLineLost && before.state.view().is_busy() && self.state.view() != before.state.view() {
            return Err(format!("a cable that nobody used hides {:?}", before.state.view()));
        }
        // Each third one locks for a minute at least.
        if self.wrong >= 3 && self.now < self.wrong / 3 * MINUTE_MS && matches!(self.state.view(), View::Code(_)) {
            return Err(format!("a code is shown after {} wrong ones", self.wrong));
        }
        let scene = self.state.scene();
        let model = match self.state.view() {
            View::Result { record, .. } if self.current != Some(record.number) => {
                return Err(format!("the verdict on {} is not of the last image, or comes back", record.exam.as_str()));
            }
            View::Result { minutes, .. } if *minutes != (self.now - self.stored) / MINUTE_MS => {
                return Err(format!("a verdict is said to be {minutes} min old"));
            }
            View::Result { .. } if self.now - self.stored >= BLANK_MINUTES * MINUTE_MS => {
                return Err("a verdict is shown for ever".to_owned());
            }
            View::Result { record, .. } => record.model,
            View::Updating { .. } | View::Code(_) => self.state.info().model_digest,
            _ => {
                // What has given way to anything but an update or a code is past.
                self.current = None;
                self.state.info().model_digest
            }
        };
        let shown = scene.shown_identity();
        if shown.digest == model { Ok(()) } else { Err(format!("the screen names {shown:?}")) }
    }

    /// A piece of a bundle is shown where nothing else is.
    fn check_piece(&self, step: Step, before: &Self) -> Result<(), String> {
        let is_free = matches!(before.state.view(), View::Ready { .. } | View::Blanked { .. } | View::Program { .. });
        let (view, was) = (self.state.view(), before.state.view());
        if BUNDLES.contains(&step) && !is_free && view != was {
            return Err(format!("{view:?} is shown in the place of {was:?}"));
        }
        Ok(())
    }

    /// A list is of the stick that is in, and neither it nor what is wrong with a stick hides what has not had its time.
    fn check_stick(&self, step: Step, before: &Self) -> Result<(), String> {
        let of_stick =
            |view: &View| view.is_of_stick() || matches!(view, View::Error { trouble: Trouble::Stick(_), .. });
        let shown = self.state.view();
        if shown.is_of_stick() && !self.plugged {
            return Err("a list is shown of a stick that is not in".to_owned());
        }
        if let (View::Films { chosen, .. }, Some((_, film))) = (shown, self.asked)
            && *chosen != film
        {
            return Err(format!("film {chosen} is marked while film {film} is read"));
        }
        // Somebody has read it, or its time is over.
        let over = matches!(step, Step::Back | Step::Next | Step::Choose | Step::Time);
        let was = before.state.view();
        let protected = match was {
            View::Result { .. } | View::Refused { .. } | View::Code(_) => true,
            View::Error { image: Some(_), trouble } => *trouble != Trouble::LineLost,
            view => view.is_busy(),
        };
        // A code ends with its line, and an image with its host.
        let ended = matches!(step, Step::LineLost | Step::UnusedLineLost | Step::HostGone | Step::Done | Step::Refused);
        if protected && of_stick(shown) && !over && !ended {
            return Err(format!("{shown:?} hides {was:?}"));
        }
        Ok(())
    }

    /// A hold does nothing but on the two screens that say what it does, and goes back only from the one that asks once more.
    fn check_hold(&self, step: Step, before: &Self) -> Result<(), String> {
        let was = before.state.view();
        if step == Step::Held && self.state.view() != was && !matches!(was, View::About | View::Confirm(_)) {
            return Err(format!("a hold turns {was:?} to {:?}", self.state.view()));
        }
        let is_asked = matches!(was, View::Confirm(_));
        if self.backs > before.backs && !(step == Step::Held && is_asked) {
            return Err(format!("it is gone back from {was:?}"));
        }
        if matches!(self.state.view(), View::Confirm(_)) && !is_asked && step != Step::Held {
            return Err(format!("nobody has held a key on {was:?}"));
        }
        Ok(())
    }

    /// Every screen of an image names its examination: also what takes the place of one, unless it is about something else.
    fn check_name(&self, step: Step, before: &Self) -> Result<(), String> {
        let replaced = matches!(before.state.view(), View::Receiving { .. } | View::Analysing(_))
            && match step {
                Step::HostGone | Step::LineLost | Step::OtherLineLost => true,
                // What another host has sent.
                Step::Failed => before.coming.is_some() || before.watched,
                _ => false,
            };
        let (named, wanted) = match self.state.view() {
            View::Receiving { image, .. } | View::Analysing(image) => (Some(image), true),
            View::Refused { image, .. } => (image.as_ref(), true),
            View::Error { image, .. } => (image.as_ref(), replaced || step == Step::Declined),
            _ => return Ok(()),
        };
        match named {
            Some(Announced { exam, nth: 1 }) if *exam == self.last() => Ok(()),
            None if !wanted => Ok(()),
            _ => Err(format!("{named:?} is named")),
        }
    }

    fn key(&self) -> u64 {
        let mut hashed = Hashed(DefaultHasher::new());
        write!(hashed, "{self:?}").unwrap();
        hashed.0.finish()
    }
}

/// A text that is hashed as it comes: there are hundreds of thousands of worlds, and that of each is long.
struct Hashed(DefaultHasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[test]
fn the_screen_keeps_its_rules_in_every_order_of_events() {
    follow(&STEPS, DEPTH);
}

#[test]
fn a_bundle_among_them_changes_no_rule() {
    follow(&[&STEPS[..], &BUNDLES].concat(), DEPTH_WITH_BUNDLES);
}

#[test]
fn the_screen_keeps_its_rules_in_every_order_of_events_with_sticks() {
    follow(&STEPS_WITH_STICKS, DEPTH_WITH_STICKS);
}

#[test]
fn the_screen_keeps_its_rules_in_every_order_of_events_with_keys_that_are_held() {
    follow(&STEPS_WITH_HOLDS, DEPTH_WITH_HOLDS);
}

/// Tries every order of these steps up to a length.
fn follow(steps: &[Step], depth: usize) {
    let mut known = HashSet::new();
    let mut reached = vec![(World::new(), Vec::new())];
    let mut wrong = Vec::new();
    for _ in 0..depth {
        let mut next = Vec::new();
        for (world, path) in &reached {
            for &step in steps {
                let before = world;
                let Some(mut world) = before.after(step) else { continue };
                let path = [&path[..], &[step]].concat();
                match world.check(step, before) {
                    Err(error) => wrong.push(format!("{path:?}: {error}")),
                    Ok(()) if known.insert(world.key()) => next.push((world, path)),
                    Ok(()) => {}
                }
            }
        }
        reached = next;
    }
    let shown: Vec<&String> = wrong.iter().take(10).collect();
    assert!(wrong.is_empty(), "{} orders break a rule, among them {shown:#?}", wrong.len());
}
