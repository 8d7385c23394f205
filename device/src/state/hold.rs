//! What a key does that is held: what a person at the box alone may do, and by no mistake.
//!
//! Four screens offer something for it: what the box is, where the program of before may be gone back to; that a model was refused
//! because it is older than one that the box has had; that settings were refused because nobody knows their key, which may be added; and
//! what the clinic's settings and keys are, which may be forgotten. There the press alone does nothing. The hold leads to a screen that asks once
//! more, and a second hold does it. A hold counts only on the screen on which it began, so that one is never both, and what comes in
//! between, an image above all, goes first and ends it. On every other screen a hold does no more than its press has done.

use shared::verdict::{Fault, ModelRefusal, SoftwareRefusal};

use super::{Effect, MINUTE_MS, State};
use crate::{
    keys::{HOLD, Key},
    screen::{Confirm, Program, Trouble, View},
    site::Ask,
    software::WayBack,
};

/// How long it is offered to let an older model in, or to add a key, in milliseconds: somebody comes from the computer.
pub(super) const OFFER_MS: u64 = 2 * MINUTE_MS;
/// How long it may take until it is known what becomes of going back, in milliseconds: two slots are read.
const GOING_BACK_MS: u64 = 2 * MINUTE_MS;
/// How long a screen stays at least once the key is pressed on it, in milliseconds: longer than it is held.
const BEGUN_MS: u64 = HOLD.as_millis() as u64 + 2_000;

impl State {
    /// What a key does that is held, or pressed where it may be held; `None` where it does what it does everywhere.
    pub(super) fn hold_key(&mut self, now: u64, key: Key) -> Option<Vec<Effect>> {
        let confirm = self.offered()?;
        match key {
            Key::Choose => {
                self.began = true;
                self.until = self.until.map(|until| until.max(now.saturating_add(BEGUN_MS)));
                Some(Vec::new())
            }
            Key::Held if !self.began => None,
            Key::Held if matches!(self.view, View::Confirm(_)) => Some(self.confirmed(now, confirm)),
            Key::Held => Some(vec![self.browse(now, View::Confirm(confirm))]),
            Key::Older | Key::Newer | Key::Back | Key::About => None,
        }
    }

    /// What is done, or asked once more, if the key is held on this screen.
    fn offered(&self) -> Option<Confirm> {
        match &self.view {
            // What is to be confirmed may not be what a person reads.
            _ if self.screen_fails => None,
            View::Confirm(confirm) => Some(confirm.clone()),
            View::About => self.offered_way_back().cloned().map(Confirm::GoBack),
            View::Error { trouble: Trouble::OlderModel, .. } => Some(Confirm::OlderModel),
            View::Error { trouble: Trouble::OfferedKey(key), .. } => Some(Confirm::AddKey(*key)),
            View::Site(_) if self.has_keys => Some(Confirm::ForgetSite),
            _ => None,
        }
    }

    /// The program that may be gone back to now: not while another one comes in, or waits to be tried.
    pub(super) fn offered_way_back(&self) -> Option<&WayBack> {
        let is_free = self.coming.is_none()
            && !self.takes_program()
            && self.going_back.is_none()
            && self.program != Program::Staged;
        self.way_back.as_ref().filter(|_| self.has_keys && is_free)
    }

    fn confirmed(&mut self, now: u64, confirm: Confirm) -> Vec<Effect> {
        let effect = match confirm {
            // Another one may have come meanwhile.
            Confirm::GoBack(way_back) if self.offered_way_back() != Some(&way_back) => None,
            Confirm::GoBack(way_back) => {
                self.going_back = Some(now.saturating_add(GOING_BACK_MS));
                Some(Effect::GoBack { content: way_back.content })
            }
            Confirm::OlderModel => Some(Effect::PermitOlder),
            Confirm::AddKey(key) => Some(Effect::Site(Box::new(Ask::AddKey(key)))),
            Confirm::ForgetSite => Some(Effect::Site(Box::new(Ask::Forget))),
        };
        let mut effects = vec![self.idle(now)];
        effects.extend(effect);
        effects
    }

    /// A model is refused that was sent.
    pub(super) fn update_refused(&mut self, now: u64, refusal: ModelRefusal) -> Effect {
        if refusal != ModelRefusal::Older || !self.has_keys {
            return self.notice(now, View::error(Trouble::Update(refusal)));
        }
        let show = self.notice(now, View::error(Trouble::OlderModel));
        self.until = Some(now.saturating_add(OFFER_MS));
        show
    }

    /// Whether the first process will hear that a person goes back.
    pub(super) fn asked(&mut self, now: u64, asked: Result<(), Fault>) -> Vec<Effect> {
        let Err(fault) = asked else { return Vec::new() };
        self.going_back = None;
        self.say_where_free(now, View::error(fault)).into_iter().collect()
    }

    /// What a person may go back to is another program now, or none.
    pub(super) fn way_back_changes(&mut self, now: u64, way_back: Option<WayBack>) -> Vec<Effect> {
        self.way_back = way_back;
        match &self.view {
            View::About => vec![Effect::Show],
            View::Confirm(Confirm::GoBack(asked)) if self.way_back.as_ref() != Some(asked) => vec![self.idle(now)],
            _ => Vec::new(),
        }
    }

    /// There is an outcome of a program: if one was gone back to, it is that one's. Says why, if that is refused.
    pub(super) fn went_back(&mut self, now: u64, refusal: Option<SoftwareRefusal>) -> Option<Effect> {
        let is_awaited = self.going_back.take().is_some_and(|until| now < until);
        let refusal = refusal.filter(|_| is_awaited)?;
        self.say_where_free(now, View::error(Trouble::Program(refusal)))
    }

    /// Says what was not done that a person wanted, where that hides nothing of an image.
    pub(super) fn say_where_free(&mut self, now: u64, view: View) -> Option<Effect> {
        let is_free =
            matches!(self.view, View::Ready { .. } | View::Blanked { .. } | View::Program { .. } | View::About);
        is_free.then(|| self.notice(now, view))
    }

    /// When it is awaited no longer what becomes of going back.
    pub(super) fn going_back_ends(&mut self, now: u64) -> bool {
        self.going_back.take_if(|until| *until <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        appliance::slots,
        verdict::{Digest, Refusal, Trust},
    };
    use wire::{BoxEvent, Dropped, EventKind, Reply};

    use super::{
        super::{
            DAY_MS, Input, NOTICE_MS, Report,
            tests::{announced, exam, judged, shown, start_analysis, state},
        },
        *,
    };
    use crate::{
        analysis::Loaded,
        software::{Kept, News},
    };

    fn way_back() -> WayBack {
        WayBack { content: Digest::of(b"slot"), name: "box-1".to_owned(), version: "0.1.0".to_owned() }
    }

    /// A box with keys on which a program has run before.
    fn with_way_back() -> State {
        let mut state = state();
        state.offer_ways_back();
        assert_eq!(state.handle(0, Input::News(News::WayBack(Some(Box::new(way_back()))))), []);
        state
    }

    fn press(state: &mut State, now: u64, key: Key) -> Vec<Effect> {
        state.handle(now, Input::Key(key))
    }

    /// Holds the key that chooses: the press comes first.
    fn hold(state: &mut State, now: u64) -> Vec<Effect> {
        let mut effects = press(state, now, Key::Choose);
        effects.extend(press(state, now + 3_000, Key::Held));
        effects
    }

    fn refuse(state: &mut State, now: u64, refusal: ModelRefusal) -> View {
        state.handle(now, Input::Session(BoxEvent::Updating { done: 10, total: 10 }));
        let effects = state.handle(now, Input::Analysis(Report::Installed(Box::new(Err(refusal)))));
        assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Installed(Err(refusal)))]);
        state.view().clone()
    }

    #[test]
    fn two_holds_go_back_to_the_program_of_before() {
        let mut state = with_way_back();
        press(&mut state, 0, Key::About);
        assert_eq!(state.scene().identity.way_back, Some(way_back()));
        assert_eq!(press(&mut state, 1, Key::Choose), [], "the press alone does nothing");
        assert_eq!(*state.view(), View::About);
        assert_eq!(press(&mut state, 3_001, Key::Held), [Effect::Show]);
        let confirm = View::Confirm(Confirm::GoBack(way_back()));
        assert_eq!(*state.view(), confirm);
        // The first hold is not the second one, and neither is a press.
        assert_eq!(press(&mut state, 3_002, Key::Held), []);
        assert_eq!(press(&mut state, 4_000, Key::Choose), []);
        assert_eq!(*state.view(), confirm);
        let content = way_back().content;
        assert_eq!(press(&mut state, 7_000, Key::Held), [Effect::Show, Effect::GoBack { content }]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
        assert_eq!(state.handle(7_000, Input::Asked(Ok(()))), []);
        press(&mut state, 8_000, Key::About);
        assert_eq!(state.scene().identity.way_back, None, "once at a time");
        assert_eq!(hold(&mut state, 9_000), [Effect::Show], "what the press does without an offer");
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn whoever_does_not_hold_it_again_stays() {
        for (now, end) in [(20_000, Input::Key(Key::Back)), (64_000, Input::Tick)] {
            let mut state = with_way_back();
            press(&mut state, 0, Key::About);
            hold(&mut state, 1_000);
            assert_eq!(*state.view(), View::Confirm(Confirm::GoBack(way_back())));
            assert_eq!(state.deadline(), Some(64_000), "a minute");
            assert_eq!(shown(&mut state, now, end), View::Ready { results: 41 });
            assert_eq!(press(&mut state, now + 1, Key::Held), []);
        }
        // A key that is pressed in the last moment is heard to its end.
        let mut state = with_way_back();
        press(&mut state, 0, Key::About);
        hold(&mut state, 1_000);
        press(&mut state, 63_000, Key::Choose);
        assert_eq!(state.handle(64_000, Input::Tick), []);
        assert_eq!(press(&mut state, 66_000, Key::Held).len(), 2);
    }

    #[test]
    fn an_image_that_comes_goes_first_and_nothing_is_left_of_what_was_asked() {
        let receiving = || Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 10 });
        let mut state = with_way_back();
        press(&mut state, 0, Key::About);
        hold(&mut state, 1_000);
        // The key is down again when the image comes.
        press(&mut state, 5_000, Key::Choose);
        let receives = View::Receiving { image: announced(), done: 0, total: 10 };
        assert_eq!(shown(&mut state, 6_000, receiving()), receives);
        assert_eq!(press(&mut state, 8_000, Key::Held), []);
        start_analysis(&mut state);
        assert_eq!(press(&mut state, 8_001, Key::Held), []);
        let [Effect::Store(record)] = &state.handle(9_000, judged(0.7))[..] else { panic!("it is kept") };
        state.handle(9_001, Input::Stored(Ok(record.clone())));
        let result = state.view().clone();
        assert!(matches!(result, View::Result { .. }));
        assert_eq!(press(&mut state, 9_002, Key::Held), [], "a hold that began elsewhere");
        assert_eq!(*state.view(), result);
        // It does what its press does, and no more.
        assert_eq!(press(&mut state, 10_000, Key::Choose), [Effect::Show]);
        assert_eq!(*state.view(), View::Ready { results: 42 });
        assert_eq!(press(&mut state, 13_000, Key::Held), []);
        assert_eq!(*state.view(), View::Ready { results: 42 });
    }

    #[test]
    fn a_hold_does_nothing_where_nothing_is_offered() {
        let views = [
            View::Ready { results: 41 },
            View::Blanked { results: 41 },
            View::History { results: Vec::new(), page: 1, pages: 1 },
            View::Refused { image: Some(announced()), refusal: Refusal::TooSmall },
            View::error(Trouble::Update(ModelRefusal::NotSigned)),
            View::error(Trouble::LineLost),
            View::Code(7),
            View::Program { done: 1, total: 2 },
        ];
        let mut state = with_way_back();
        for view in views {
            state.show(view.clone());
            assert_eq!(press(&mut state, 1, Key::Held), [], "{view:?}");
            assert_eq!(*state.view(), view);
        }
        // Nobody can hold a key of a box that reads none, and without a program of before there is nothing to go back to.
        let mut bare = super::super::tests::state();
        bare.handle(0, Input::News(News::WayBack(Some(Box::new(way_back())))));
        press(&mut bare, 0, Key::About);
        assert_eq!(bare.scene().identity.way_back, None);
        assert_eq!(hold(&mut bare, 1), [Effect::Show]);
        assert_eq!(refuse(&mut bare, 5_000, ModelRefusal::Older), View::error(Trouble::Update(ModelRefusal::Older)));
    }

    #[test]
    fn what_becomes_of_going_back_is_said() {
        let outcome = |result| {
            let outcome = slots::Outcome {
                bundle: Digest::of(b"payload"),
                file: Digest::of(b"file"),
                name: "box-1".to_owned(),
                counter: Some(1),
                key: None,
                trust: Trust::Signed,
                result,
            };
            Input::News(News::Outcome { outcome: Box::new(outcome), is_new: true, is_on_trial: false })
        };
        let gone_back = || {
            let mut state = with_way_back();
            press(&mut state, 0, Key::About);
            hold(&mut state, 1_000);
            hold(&mut state, 5_000);
            state
        };
        let mut state = gone_back();
        assert_eq!(state.handle(12_000, outcome(slots::Stage::Staged)), [Effect::Show]);
        let scene = state.scene();
        assert_eq!((scene.identity.program, scene.identity.way_back), (Program::Staged, None));
        assert_eq!(*state.view(), View::Ready { results: 41 });
        let staged = EventKind::SoftwareStaged { bundle: Digest::of(b"payload"), trust: Trust::Signed };
        assert_eq!(state.take_notes().iter().map(|note| note.kind.clone()).collect::<Vec<_>>(), [staged]);
        // It is refused.
        let refusal = SoftwareRefusal::NotStored;
        let mut state = gone_back();
        assert_eq!(state.handle(12_000, outcome(slots::Stage::Refused(refusal))), [Effect::Show, Effect::Show]);
        assert_eq!(*state.view(), View::error(Trouble::Program(refusal)));
        assert_eq!(state.scene().identity.way_back, Some(way_back()), "it is offered again");
        // It is not even asked for, and nobody answers.
        let mut state = gone_back();
        assert_eq!(state.handle(8_000, Input::Asked(Err(Fault::Storage))), [Effect::Show]);
        assert_eq!(*state.view(), View::error(Fault::Storage));
        let mut state = gone_back();
        assert_eq!(state.deadline(), Some(8_000 + GOING_BACK_MS));
        assert_eq!(state.handle(8_000 + GOING_BACK_MS, Input::Tick), []);
        assert_eq!(state.scene().identity.way_back, Some(way_back()));
        // A bundle that is refused without anybody's going back is shown by its host.
        let mut state = with_way_back();
        assert_eq!(state.handle(0, outcome(slots::Stage::Refused(refusal))), [Effect::Show]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn nothing_is_gone_back_to_while_another_program_comes() {
        let mut state = with_way_back();
        press(&mut state, 0, Key::About);
        hold(&mut state, 1_000);
        state.handle(5_000, Input::Session(BoxEvent::Bundle { done: 4, total: 10 }));
        assert_eq!(*state.view(), View::Confirm(Confirm::GoBack(way_back())), "it hides nothing");
        assert_eq!(hold(&mut state, 6_000), [Effect::Show]);
        assert_eq!(*state.view(), View::Program { done: 4, total: 10 });
        press(&mut state, 10_000, Key::About);
        assert_eq!(state.scene().identity.way_back, None);
        let effects = state.handle(10_001, Input::Kept(Kept::Failed(Fault::Storage)));
        assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::PieceNotStored(Fault::Storage))]);
        assert_eq!(state.scene().identity.way_back, Some(way_back()));
        assert_eq!(state.handle(10_001, Input::Session(BoxEvent::Bundle { done: 4, total: 10 })), [Effect::Show]);
        assert_eq!((state.view(), state.scene().identity.way_back), (&View::About, None));
        state.handle(10_001, Input::Kept(Kept::Failed(Fault::Storage)));
        // Its slot is written over while the screen offers it.
        assert_eq!(state.handle(10_002, Input::News(News::WayBack(None))), [Effect::Show]);
        assert_eq!(state.scene().identity.way_back, None);
        // The same while it is asked once more.
        let mut state = with_way_back();
        press(&mut state, 0, Key::About);
        hold(&mut state, 1_000);
        assert_eq!(state.handle(5_000, Input::News(News::WayBack(None))), [Effect::Show]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn nothing_is_confirmed_on_a_screen_that_cannot_be_written() {
        let mut state = with_way_back();
        press(&mut state, 0, Key::About);
        hold(&mut state, 1_000);
        press(&mut state, 5_000, Key::Choose);
        state.handle(6_000, Input::Screen { fails: true });
        assert_eq!(press(&mut state, 8_000, Key::Held), []);
        assert_eq!(*state.view(), View::Confirm(Confirm::GoBack(way_back())));
        assert_eq!(hold(&mut state, 9_000), [Effect::Show], "the press leaves, as everywhere");
        assert_eq!(*state.view(), View::Ready { results: 41 });
        assert_eq!(refuse(&mut state, 20_000, ModelRefusal::Older), View::error(Trouble::OlderModel));
        assert_eq!(hold(&mut state, 21_000), [Effect::Show]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn two_holds_let_an_older_model_in() {
        let mut state = state();
        state.offer_ways_back();
        assert_eq!(
            refuse(&mut state, 0, ModelRefusal::NotRunnable),
            View::error(Trouble::Update(ModelRefusal::NotRunnable))
        );
        assert_eq!(hold(&mut state, 1), [Effect::Show], "nothing else is permitted");
        assert_eq!(*state.view(), View::Ready { results: 41 });
        assert_eq!(refuse(&mut state, 10_000, ModelRefusal::Older), View::error(Trouble::OlderModel));
        assert_eq!(state.deadline(), Some(10_000 + OFFER_MS));
        assert_eq!(press(&mut state, 11_000, Key::Held), [], "it did not begin here");
        assert_eq!(hold(&mut state, 12_000), [Effect::Show]);
        assert_eq!(*state.view(), View::Confirm(Confirm::OlderModel));
        assert_eq!(hold(&mut state, 16_000), [Effect::Show, Effect::PermitOlder]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
        // It is sent again, and taken as any other.
        let before = state.digest;
        let loaded = Loaded {
            card: state.card.clone(),
            digest: Digest::of(b"older"),
            execution: "float".to_owned(),
            trust: Some(Trust::Signed),
        };
        state.take_notes();
        state.handle(30_000, Input::Analysis(Report::Installed(Box::new(Ok(loaded)))));
        let kinds: Vec<EventKind> = state.take_notes().iter().map(|note| note.kind.clone()).collect();
        let after = Digest::of(b"older");
        let vouched = EventKind::Vouched { model: after, trust: Trust::Signed };
        assert_eq!(kinds, [EventKind::ModelChanged { before, after }, vouched]);
        assert!(state.scene().identity.changed);
        assert_eq!(state.handle(30_000 + DAY_MS, Input::Tick), [Effect::Show]);
    }

    #[test]
    fn the_next_update_says_anew_what_becomes_of_it() {
        let mut state = state();
        state.offer_ways_back();
        refuse(&mut state, 0, ModelRefusal::Older);
        let refused = refuse(&mut state, 1_000, ModelRefusal::NotSigned);
        assert_eq!(refused, View::error(Trouble::Update(ModelRefusal::NotSigned)), "no hold would let it in");
        refuse(&mut state, 2_000, ModelRefusal::Older);
        state.handle(3_000, Input::Session(BoxEvent::Updating { done: 0, total: 10 }));
        let ended = Input::Session(BoxEvent::Dropped(Dropped::Cancelled));
        assert_eq!(shown(&mut state, 4_000, ended), View::Ready { results: 41 });
    }

    #[test]
    fn a_refused_model_that_nobody_lets_in_gives_way() {
        let mut state = state();
        state.offer_ways_back();
        refuse(&mut state, 0, ModelRefusal::Older);
        assert_eq!(state.handle(NOTICE_MS, Input::Tick), []);
        assert_eq!(shown(&mut state, OFFER_MS, Input::Tick), View::Ready { results: 41 });
        refuse(&mut state, OFFER_MS, ModelRefusal::Older);
        assert_eq!(shown(&mut state, OFFER_MS + 1, Input::Key(Key::Back)), View::Ready { results: 41 });
        // An image goes first, and its refusal offers nothing.
        refuse(&mut state, OFFER_MS, ModelRefusal::Older);
        let dropped = Dropped::Refused(Refusal::TooManyBytes);
        state.handle(OFFER_MS + 2, Input::Session(BoxEvent::Declined { exam: exam(), dropped }));
        assert!(matches!(state.view(), View::Refused { .. }));
        assert_eq!(press(&mut state, OFFER_MS + 3, Key::Held), []);
        assert!(matches!(state.view(), View::Refused { .. }));
    }
}
