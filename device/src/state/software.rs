//! Bundles of the box's whole program: what the screen and the journal say of them.
//!
//! A bundle takes long to come in, so it hides nothing and keeps nobody out: it is shown where nothing else is, and an image comes
//! between two pieces.

use shared::{
    appliance::slots,
    verdict::{ExamId, Fault, SoftwareRefusal},
};
use wire::{BundlePiece, EventKind, Phase, Reply};

use super::{DAY_MS, Effect, State};
use crate::{
    screen::{Program, Trouble, View},
    software::{Kept, News},
};

/// How long after a piece the next one is still expected, in milliseconds.
const COMING_MS: u64 = 30_000;
/// The same of what becomes of a bundle that is there: a little longer than a host waits.
const COMPLETE_MS: u64 = 130_000;

/// A bundle that comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming {
    /// Bytes that are there, and all.
    pub(super) done: u32,
    pub(super) total: u32,
    /// Until when it is shown.
    pub(super) until: u64,
}

impl State {
    /// So much of a bundle is there.
    pub(super) fn bundle_comes(&mut self, now: u64, done: u32, total: u32) -> Vec<Effect> {
        let due = self.coming.is_none() || done == total;
        self.coming = Some(Coming { done, total, until: now.saturating_add(COMING_MS) });
        match self.view {
            View::Ready { .. } | View::Blanked { .. } | View::Program { .. } => {
                let view = self.waiting();
                self.progress(now, due, view)
            }
            // Nothing is gone back to meanwhile.
            View::About if due => vec![Effect::Show],
            // A verdict, or what a person reads, is worth more.
            _ => Vec::new(),
        }
    }

    /// A piece is there.
    pub(super) fn piece(&mut self, now: u64, piece: BundlePiece) -> Vec<Effect> {
        // No event could tell of it.
        if self.journal.read_only {
            return self.kept(now, Kept::Failed(Fault::Storage));
        }
        // Each bundle is written on the memory card, which bears only so much.
        if piece.piece.offset == 0 && !self.models.take(now) {
            return self.kept(now, Kept::Failed(Fault::TooFast));
        }
        vec![Effect::Keep(Box::new(piece))]
    }

    /// What has become of a piece.
    pub(super) fn kept(&mut self, now: u64, kept: Kept) -> Vec<Effect> {
        match kept {
            Kept::Stored { next } => vec![Effect::Reply(Reply::Piece(Ok(next)))],
            Kept::Complete => {
                if let Some(coming) = &mut self.coming {
                    coming.until = now.saturating_add(COMPLETE_MS);
                }
                vec![Effect::Reply(Reply::Progress(Phase::Installing))]
            }
            Kept::Refused(refusal) => {
                self.note(now, EventKind::SoftwareRefused(refusal));
                self.answered(now, Err(refusal))
            }
            Kept::Failed(fault) => {
                self.note(now, EventKind::Failed { fault, exam: ExamId::default() });
                let said = self.program_fails(now, fault.into());
                let mut effects = said.unwrap_or_else(|| self.coming_ends(now, None));
                effects.push(Effect::Reply(Reply::PieceNotStored(fault)));
                effects
            }
        }
    }

    /// There is news of a bundle.
    pub(super) fn news(&mut self, now: u64, news: News) -> Vec<Effect> {
        match news {
            News::Kept(kept) => self.kept(now, kept),
            News::Answered(answer) => self.answered(now, answer),
            News::WayBack(way_back) => self.way_back_changes(now, way_back.map(|way_back| *way_back)),
            News::Outcome { outcome, is_new, is_on_trial } => {
                if is_new {
                    self.note(now, event(&outcome));
                }
                self.program = match outcome.result {
                    slots::Stage::Staged if !is_on_trial => Program::Staged,
                    slots::Stage::Staged => Program::Settled,
                    // The slot of what was staged before may have been written over by then.
                    slots::Stage::Refused(SoftwareRefusal::NotABundle | SoftwareRefusal::NotStored) => Program::Settled,
                    // What was staged before is tried all the same.
                    slots::Stage::Refused(_) if self.program == Program::Staged => Program::Staged,
                    slots::Stage::Refused(_) => Program::Settled,
                    slots::Stage::Confirmed if is_new => Program::New,
                    slots::Stage::Confirmed => Program::Settled,
                    slots::Stage::WentBack => Program::WentBack,
                };
                self.program_until = (self.program == Program::New).then(|| now.saturating_add(DAY_MS));
                let refusal = match outcome.result {
                    slots::Stage::Refused(refusal) => Some(refusal),
                    slots::Stage::Staged | slots::Stage::Confirmed | slots::Stage::WentBack => None,
                };
                let mut effects = vec![Effect::Show];
                effects.extend(self.went_back(now, refusal));
                effects
            }
        }
    }

    fn answered(&mut self, now: u64, answer: Result<u32, SoftwareRefusal>) -> Vec<Effect> {
        let said = answer.err().and_then(|refusal| self.program_fails(now, Trouble::Program(refusal)));
        let mut effects = said.unwrap_or_else(|| self.coming_ends(now, answer.err()));
        effects.push(Effect::Reply(Reply::Piece(answer)));
        effects
    }

    /// Whether all of the bundle is there, so that it needs its host no longer.
    fn is_complete(&self) -> bool {
        self.coming.is_some_and(|coming| coming.done == coming.total)
    }

    /// The host that has sent pieces, if one has, is gone.
    pub(super) fn bundle_stops(&mut self, now: u64) -> Vec<Effect> {
        if self.is_complete() { Vec::new() } else { self.coming_ends(now, None) }
    }

    /// Nothing more of the bundle is expected, perhaps because it is refused.
    pub(super) fn coming_ends(&mut self, now: u64, refusal: Option<SoftwareRefusal>) -> Vec<Effect> {
        let has_come = self.coming.take().is_some();
        match (&self.view, refusal) {
            (View::Program { .. }, Some(refusal)) => vec![self.notice(now, View::error(Trouble::Program(refusal)))],
            (View::Program { .. }, None) => vec![self.idle(now)],
            // It may offer a way back again.
            (View::About, _) if has_come => vec![Effect::Show],
            _ => Vec::new(),
        }
    }

    /// What has come to its end; `None` if nothing has.
    pub(super) fn software_tick(&mut self, now: u64) -> Option<Vec<Effect>> {
        if self.coming.is_some_and(|coming| coming.until <= now) {
            return Some(self.coming_ends(now, None));
        }
        if self.going_back_ends(now) {
            return Some(if self.view == View::About { vec![Effect::Show] } else { Vec::new() });
        }
        self.program_until.take_if(|until| *until <= now)?;
        self.program = Program::Settled;
        Some(vec![Effect::Show])
    }
}

/// What the journal says of an outcome.
fn event(outcome: &slots::Outcome) -> EventKind {
    let slots::Outcome { bundle, trust, counter, .. } = *outcome;
    match outcome.result {
        slots::Stage::Staged => EventKind::SoftwareStaged { bundle, trust },
        slots::Stage::Refused(refusal) => EventKind::SoftwareRefused(refusal),
        slots::Stage::Confirmed => EventKind::SoftwareConfirmed {
            // Those of a statement fit.
            name: outcome.name.as_str().try_into().unwrap_or_default(),
            counter,
            key: outcome.key.as_deref().and_then(|key| key.try_into().ok()),
        },
        slots::Stage::WentBack => EventKind::SoftwareWentBack { bundle },
    }
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Digest, Trust};
    use wire::{BoxEvent, Dropped};

    use super::{
        super::{
            Input,
            tests::{announced, exam, judged, start_analysis, state},
        },
        *,
    };

    const TOTAL: u32 = 1_000_000;

    fn comes(state: &mut State, now: u64, done: u32) -> Vec<Effect> {
        state.handle(now, Input::Session(BoxEvent::Bundle { done, total: TOTAL }))
    }

    fn news(result: slots::Stage, is_new: bool, is_on_trial: bool) -> Input {
        let outcome = slots::Outcome {
            bundle: Digest::of(b"payload"),
            file: Digest::of(b"file"),
            name: "pumua-9".to_owned(),
            counter: Some(9),
            key: Some("0123456789ABCDEF".to_owned()),
            trust: Trust::Signed,
            result,
        };
        Input::News(News::Outcome { outcome: Box::new(outcome), is_new, is_on_trial })
    }

    fn first() -> BundlePiece {
        BundlePiece::new(Digest::of(b"file"), TOTAL, 0, vec![7; 10])
    }

    #[test]
    fn a_bundle_is_shown_where_nothing_else_is_and_answered() {
        let mut state = state();
        assert_eq!(comes(&mut state, 0, 0), [Effect::Show]);
        assert_eq!(*state.view(), View::Program { done: 0, total: TOTAL });
        let piece = first();
        assert_eq!(state.handle(1, Input::Session(BoxEvent::Piece(piece.clone()))), [Effect::Keep(Box::new(piece))]);
        assert_eq!(state.handle(1, Input::Kept(Kept::Stored { next: 10 })), [Effect::Reply(Reply::Piece(Ok(10)))]);
        assert_eq!(comes(&mut state, 1_000, 340_000), [Effect::Show]);
        assert_eq!(comes(&mut state, 1_001, 340_500), [], "not so soon");
        comes(&mut state, 2_000, TOTAL);
        let progress = Effect::Reply(Reply::Progress(Phase::Installing));
        assert_eq!(state.handle(2_001, Input::Kept(Kept::Complete)), [progress]);
        // Its host need not wait.
        assert_eq!(state.handle(2_002, Input::Session(BoxEvent::HostGone)), []);
        assert_eq!(*state.view(), View::Program { done: TOTAL, total: TOTAL });
        assert_eq!(state.handle(3_000, news(slots::Stage::Staged, true, false)), [Effect::Show]);
        let answer = Effect::Reply(Reply::Piece(Ok(TOTAL)));
        assert_eq!(state.handle(3_000, Input::News(News::Answered(Ok(TOTAL)))), [Effect::Show, answer]);
        assert_eq!((state.view(), state.scene().identity.program), (&View::Ready { results: 41 }, Program::Staged));
        let notes = state.take_notes();
        let staged = EventKind::SoftwareStaged { bundle: Digest::of(b"payload"), trust: Trust::Signed };
        assert_eq!(notes.iter().map(|note| note.kind.clone()).collect::<Vec<_>>(), [staged]);
    }

    #[test]
    fn a_verdict_is_not_hidden_by_a_bundle_and_an_image_comes_between_two_pieces() {
        let mut state = state();
        comes(&mut state, 0, 0);
        state.handle(1, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 10 }));
        assert_eq!(*state.view(), View::Receiving { image: announced(), done: 0, total: 10 });
        assert_eq!(comes(&mut state, 2, 500_000), []);
        start_analysis(&mut state);
        let [Effect::Store(record)] = &state.handle(3, judged(0.7))[..] else { panic!("it is kept") };
        state.handle(4, Input::Stored(Ok(record.clone())));
        assert_eq!(comes(&mut state, 5, 600_000), []);
        assert!(matches!(state.view(), View::Result { .. }));
        let dropped = Input::Session(BoxEvent::Dropped(Dropped::Cancelled));
        assert_eq!(state.handle(6, dropped), []);
        assert!(matches!(state.view(), View::Result { .. }), "nor by its end");
    }

    #[test]
    fn a_bundle_that_stops_gives_way_to_ready() {
        let ends = [
            (1_000, Input::Session(BoxEvent::HostGone)),
            (1_000, Input::Session(BoxEvent::Dropped(Dropped::Cancelled))),
            (1_000, Input::Session(BoxEvent::Dropped(Dropped::Failed(Fault::Timeout)))),
            (1_000, Input::Kept(Kept::Failed(Fault::Storage))),
            (COMING_MS, Input::Tick),
        ];
        for (now, end) in ends {
            let mut state = state();
            comes(&mut state, 0, 0);
            assert_eq!(state.deadline(), Some(COMING_MS));
            let what = format!("{end:?}");
            assert_eq!(state.handle(now, end).first(), Some(&Effect::Show), "{what}");
            assert_eq!(*state.view(), View::Ready { results: 41 }, "{what}");
        }
    }

    #[test]
    fn a_refusal_is_noted_and_shown() {
        let refusal = SoftwareRefusal::NotSigned;
        let mut state = state();
        comes(&mut state, 0, 0);
        let answer = Effect::Reply(Reply::Piece(Err(refusal)));
        assert_eq!(state.handle(1, Input::Kept(Kept::Refused(refusal))), [Effect::Show, answer]);
        assert_eq!(*state.view(), View::error(Trouble::Program(refusal)));
        assert_eq!(state.take_notes()[0].kind, EventKind::SoftwareRefused(refusal));
        state.handle(60_000, Input::Tick);
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn ready_says_what_became_of_the_program() {
        use slots::Stage::{Confirmed, Refused, Staged, WentBack};
        let [refused, broken, full] =
            [SoftwareRefusal::Older, SoftwareRefusal::NotABundle, SoftwareRefusal::NotStored].map(Refused);
        for (told, program) in [
            (&[(Staged, true, false)][..], Program::Staged),
            (&[(Staged, true, true)][..], Program::Settled),
            (&[(Staged, true, true), (Confirmed, true, false)][..], Program::New),
            (&[(Confirmed, false, false)][..], Program::Settled),
            (&[(WentBack, false, false)][..], Program::WentBack),
            (&[(WentBack, false, false), (refused, true, false)][..], Program::Settled),
            (&[(Staged, true, false), (refused, true, false)][..], Program::Staged),
            (&[(Staged, true, false), (broken, true, false)][..], Program::Settled),
            (&[(Staged, true, false), (full, true, false)][..], Program::Settled),
        ] {
            let mut state = state();
            for &(result, is_new, is_on_trial) in told {
                assert_eq!(state.handle(0, news(result, is_new, is_on_trial)), [Effect::Show]);
            }
            assert_eq!(state.scene().identity.program, program, "{told:?}");
            let is_for_a_day = (program == Program::New).then_some(DAY_MS);
            assert_eq!(state.deadline(), is_for_a_day);
            let noted = told.iter().filter(|(_, is_new, _)| *is_new).count();
            assert_eq!(state.take_notes().len(), noted);
        }
        let mut state = state();
        state.handle(0, news(Confirmed, true, false));
        assert_eq!(state.handle(DAY_MS, Input::Tick), [Effect::Show]);
        assert_eq!(state.scene().identity.program, Program::Settled);
    }

    #[test]
    fn bundles_that_begin_too_often_are_not_written() {
        let mut state = state();
        state.models = super::super::Allowance::new(super::super::rate::MODELS);
        let begin = |state: &mut State| state.handle(0, Input::Session(BoxEvent::Piece(first())));
        for _ in 0..10 {
            assert!(matches!(begin(&mut state)[..], [Effect::Keep(_)]));
        }
        assert_eq!(begin(&mut state), [Effect::Reply(Reply::PieceNotStored(Fault::TooFast))]);
    }
}
