//! A box with two lines and a clock, whose analysis and storage answer at once: what reads bytes from outside, and nothing
//! else. The fuzz target `box` has it, too.

use std::collections::VecDeque;

use device::{
    analysis::{Judged, Loaded, Report, Unjudged},
    keys::Key,
    runtime::Lines,
    screen::Preview,
    site::NotDone,
    software::{self, Kept, News, WayBack},
    state::{Effect, Input, Page, State},
};
use engine::ModelCard;
use shared::{
    age::AgeNote,
    appliance::Share,
    contract::InputContract,
    verdict::{Digest, Fault, ModelRefusal, Refusal, ResultRecord, SiteRefusal, SoftwareRefusal},
};
use wire::{BundlePiece, Image, MAX_FRAME, ModelFile};

/// The contract of its first model.
pub(crate) const CONTRACT: InputContract = InputContract::stretched(16);
/// The code that it shows when it is asked to.
pub(crate) const CODE: u32 = 123_456;
/// Results that it keeps.
const KEPT: usize = 64;

enum Work {
    Judge(Box<Image>),
    Install(Box<ModelFile>),
}

/// The box.
pub(crate) struct Stub {
    lines: Lines,
    state: State,
    records: VecDeque<ResultRecord>,
    work: VecDeque<Work>,
}

impl Stub {
    /// A box that has started.
    pub(crate) fn new() -> Self {
        let mut state = State::new(ModelCard::new("stub", CONTRACT), Digest::default(), String::new(), 1, 0);
        state.set_privacy(Share::Code, Some(900_000));
        state.offer_ways_back();
        let before = WayBack { content: Digest::of(b"slot"), name: String::new(), version: String::new() };
        let _ = state.handle(0, Input::News(News::WayBack(Some(Box::new(before)))));
        let lines = Lines::new(2, CONTRACT, 1152);
        Self { lines, state, records: VecDeque::new(), work: VecDeque::new() }
    }

    /// Takes bytes of a line.
    pub(crate) fn receive(&mut self, line: usize, now: u64, bytes: &[u8]) {
        if self.lines.receive(line, now, now, bytes) {
            self.input(now, Input::Session(wire::BoxEvent::HostGone));
        }
        self.settle(now);
    }

    /// The next frame for a line, and its length, or 0.
    pub(crate) fn poll_transmit(&mut self, line: usize, now: u64, frame: &mut [u8; MAX_FRAME]) -> usize {
        self.lines.poll_transmit(line, now, frame)
    }

    /// A line is pulled out and put in again.
    pub(crate) fn pull(&mut self, line: usize, now: u64) {
        if self.lines.lose(line) {
            self.input(now, Input::LineLost { last: false, in_use: true });
        }
        self.input(now, Input::LineBack);
    }

    /// A key is pressed.
    pub(crate) fn press(&mut self, now: u64, key: Key) {
        self.input(now, Input::Key(key));
    }

    /// The analysis has done the next of its work.
    pub(crate) fn work(&mut self, now: u64) {
        let report = match self.work.pop_front() {
            None => return,
            Some(Work::Judge(image)) => Report::Done(Box::new(judged(&image))),
            Some(Work::Install(file)) => Report::Installed(Box::new(loaded(&file))),
        };
        self.input(now, Input::Analysis(report));
        self.settle(now);
    }

    /// Whatever the sessions and the clock bring about.
    pub(crate) fn settle(&mut self, now: u64) {
        if self.state.deadline().is_some_and(|at| at <= now) {
            self.input(now, Input::Tick);
        }
        for line in 0..2 {
            while let Some(event) = self.lines.event(line, now) {
                self.input(now, Input::Session(event));
            }
        }
    }

    fn input(&mut self, now: u64, input: Input) {
        for effect in self.state.handle(now, input) {
            let next = match effect {
                Effect::Show => continue,
                // No stick is ever plugged in here, and nothing older was there before.
                Effect::Film { .. }
                | Effect::WriteResults { .. }
                | Effect::Results { .. }
                | Effect::TakeProgram { .. }
                | Effect::PermitOlder => continue,
                Effect::GoBack { .. } => Input::Asked(Ok(())),
                Effect::Site(ask) => Input::Site(ask, Err(NotDone::Refused(SiteRefusal::NotSigned))),
                Effect::Reply(reply) => {
                    self.lines.reply(reply);
                    continue;
                }
                Effect::Expect(contract) => {
                    self.lines.set_contract(contract);
                    continue;
                }
                Effect::Judge(image) => {
                    self.work.push_back(Work::Judge(image));
                    continue;
                }
                Effect::Install(file) => {
                    self.work.push_back(Work::Install(file));
                    continue;
                }
                Effect::Store(record) => {
                    if self.records.len() >= KEPT {
                        self.records.pop_front();
                    }
                    self.records.push_back(record.clone());
                    Input::Stored(Ok(record))
                }
                Effect::Record(number) => {
                    Input::Record(Ok(self.records.iter().find(|record| record.number >= number).cloned()))
                }
                // No entry is kept here from any number on.
                Effect::Entry(_) => Input::Entry(Ok(None)),
                Effect::Recall { page } => {
                    let results = self.records.iter().rev().take(6).cloned().collect();
                    Input::Recalled(Ok(Page { results, page, pages: page }))
                }
                Effect::Find { image, from } => Input::Found(Ok(self
                    .records
                    .iter()
                    .find(|record| record.number >= from && record.image == image)
                    .cloned())),
                Effect::Keep(piece) => Input::Kept(kept(&piece)),
                Effect::AskSoftware { .. } => Input::Software(Box::new(software::nothing())),
                Effect::DrawCode => Input::Code(Some(CODE)),
                Effect::Screenshot => Input::Screenshot(Some(vec![7; 5_000])),
            };
            self.input(now, next);
        }
    }
}

/// As its digest has it: a piece is refused, or kept.
fn kept(piece: &BundlePiece) -> Kept {
    if piece.piece.digest.0[0] < 64 {
        return Kept::Refused(SoftwareRefusal::NotSigned);
    }
    Kept::Stored { next: piece.piece.offset.saturating_add(piece.piece.length) }
}

/// As the digest has it: a refusal, a fault, or a probability.
fn judged(image: &Image) -> Result<Judged, Unjudged> {
    let digest = image.source();
    match digest.0[0] {
        0..20 => return Err(Unjudged::Refused(Refusal::Corrupt)),
        20..30 => return Err(Unjudged::Failed(Fault::Inference)),
        _ => {}
    }
    let probability = f32::from(digest.0[1]) / 255.0;
    Ok(Judged {
        exam: image.begin.exam.clone(),
        image: digest,
        prepared: image.as_prepared().is_some(),
        preview: Preview { width: 1, height: 1, pixels: vec![0].into(), judged: None },
        evidence: None,
        probability,
        verdict: ModelCard::new("stub", CONTRACT).behaviour.point.verdict(probability),
        age: AgeNote::Unknown,
    })
}

fn loaded(file: &ModelFile) -> Result<Loaded, ModelRefusal> {
    if file.digest.0[0] < 128 {
        return Err(ModelRefusal::NotRunnable);
    }
    let contract = InputContract { zero_point: file.digest.0[1] as i8 as _, ..CONTRACT };
    Ok(Loaded { card: ModelCard::new("other", contract), digest: file.digest, execution: String::new(), trust: None })
}
