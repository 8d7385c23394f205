use shared::verdict::Refusal;
use wire::{BoxEvent, Dropped, Question};

use super::*;
use crate::{
    journal::Standing,
    state::{
        Input, NOTICE_MS,
        tests::{exam, judged, shown, start_analysis, state},
    },
};

/// Before any of the films is judged here.
const READY: View = View::Ready { results: 41 };
/// After one was.
const READY_AGAIN: View = View::Ready { results: 42 };

fn films(count: usize) -> Vec<Film> {
    let film = |n| Film { name: format!("IM{n}.dcm"), modified: 1_700_000_000 - n as u64, size: 1000 };
    (0..count).map(film).collect()
}

fn plugged(stick: u32, count: usize) -> Input {
    Input::Stick(Event::Films { stick, films: films(count) })
}

fn ended(stick: u32, trouble: Option<StickTrouble>) -> Input {
    Input::Stick(Event::Ended { stick, trouble })
}

fn film(stick: u32, film: usize) -> Effect {
    Effect::Film { stick, film }
}

/// What is chosen of the list on the screen, and what happens next.
#[track_caller]
fn listed(state: &State) -> (usize, Prompt) {
    let View::Films { chosen, prompt, .. } = state.view() else { panic!("{:?}", state.view()) };
    (*chosen, *prompt)
}

fn notice(trouble: StickTrouble) -> View {
    View::error(Trouble::Stick(trouble))
}

/// A film comes in over the line within the box, and is judged.
fn judge(state: &mut State, now: u64) {
    state.handle(now, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    let image = wire::Image::file(b"bytes".to_vec(), exam()).unwrap();
    state.handle(now, Input::Session(BoxEvent::Image(image)));
    let [Effect::Store(record)] = &state.handle(now, judged(0.7))[..] else { panic!("it is kept") };
    state.handle(now, Input::Stored(Ok(record.clone())));
    assert!(matches!(state.view(), View::Result { .. }));
}

#[test]
fn one_film_is_judged_at_once_and_leaves_no_list() {
    let mut state = state();
    assert_eq!(state.handle(0, plugged(1, 1)), [Effect::Show, film(1, 0)]);
    assert_eq!(listed(&state), (0, Prompt::Reading));
    judge(&mut state, 100);
    assert_eq!(state.handle(200, ended(1, None)), []);
    assert!(matches!(state.view(), View::Result { .. }), "the verdict stays");
    assert_eq!(shown(&mut state, 300, Input::Key(Key::Choose)), READY_AGAIN);
    assert_eq!(state.handle(400, Input::Stick(Event::Gone { stick: 1 })), []);
}

#[test]
fn the_newest_of_several_is_judged_where_nobody_touches_a_key() {
    let mut state = state();
    assert_eq!(state.handle(0, plugged(1, 3)), [Effect::Show]);
    assert_eq!((listed(&state), state.deadline()), ((0, Prompt::Countdown(20)), Some(1_000)));
    for second in 1..20 {
        shown(&mut state, second * 1000, Input::Tick);
        assert_eq!(listed(&state), (0, Prompt::Countdown(20 - second)));
        assert_eq!(state.deadline(), Some(second * 1000 + 1000));
    }
    assert_eq!(state.handle(COUNTDOWN_MS, Input::Tick), [Effect::Show, film(1, 0)]);
    assert_eq!(listed(&state), (0, Prompt::Reading));
    judge(&mut state, 21_000);
    assert_eq!(state.handle(22_000, ended(1, None)), []);
    // The list comes back once the verdict has been read, and waits for keys.
    shown(&mut state, 23_000, Input::Key(Key::Back));
    assert_eq!(listed(&state), (0, Prompt::Choose));
    assert_eq!(state.deadline(), Some(COUNTDOWN_MS + LIST_MS));
    assert_eq!(shown(&mut state, COUNTDOWN_MS + LIST_MS, Input::Tick), READY_AGAIN);
}

#[test]
fn keys_choose_and_leave_the_list_and_end_the_countdown() {
    let mut state = state();
    state.handle(0, plugged(1, 3));
    for (key, chosen) in [(Key::Older, 0), (Key::Newer, 1), (Key::Newer, 2), (Key::Newer, 2), (Key::Older, 1)] {
        shown(&mut state, 10, Input::Key(key));
        assert_eq!(listed(&state), (chosen, Prompt::Choose));
    }
    assert_eq!(state.deadline(), Some(10 + LIST_MS));
    assert_eq!(shown(&mut state, 20, Input::Key(Key::About)), View::About);
    shown(&mut state, 30, Input::Key(Key::Back));
    assert_eq!(listed(&state), (1, Prompt::Choose));
    assert_eq!(state.handle(40, Input::Key(Key::Choose)), [Effect::Show, film(1, 1)]);
    for key in [Key::Choose, Key::Older, Key::Newer, Key::Back] {
        assert_eq!(state.handle(41, Input::Key(key)), [], "{key:?}: one at a time, and the mark stays on it");
    }
    assert_eq!(listed(&state), (1, Prompt::Reading));
    shown(&mut state, 50, ended(1, None));
    assert_eq!(listed(&state), (1, Prompt::Choose));
    assert_eq!(shown(&mut state, 60, Input::Key(Key::Back)), READY);
    assert_eq!(state.deadline(), None);
}

#[test]
fn a_stick_that_is_pulled_out_takes_its_list_with_it() {
    let mut state = state();
    state.handle(0, plugged(7, 3));
    assert_eq!(state.handle(1, Input::Stick(Event::Gone { stick: 6 })), [Effect::Show], "another one's end");
    assert_eq!(listed(&state), (0, Prompt::Countdown(20)));
    assert_eq!(shown(&mut state, 2, Input::Stick(Event::Gone { stick: 7 })), READY);
    // While one of its films is read.
    state.handle(3, plugged(8, 3));
    state.handle(4, Input::Key(Key::Choose));
    assert_eq!(shown(&mut state, 5, ended(8, Some(StickTrouble::Pulled))), notice(StickTrouble::Pulled));
    assert_eq!(state.handle(6, Input::Stick(Event::Gone { stick: 8 })), []);
    assert_eq!(shown(&mut state, 5 + NOTICE_MS, Input::Tick), READY);
}

#[test]
fn a_verdict_that_may_not_have_been_read_is_hidden_neither_by_a_list_nor_by_a_notice() {
    let mut state = state();
    judge(&mut state, 0);
    assert_eq!(state.handle(1_000, plugged(1, 3)), []);
    assert_eq!(state.handle(2_000, Input::Stick(Event::Trouble(StickTrouble::Unreadable))), []);
    assert!(matches!(state.view(), View::Result { .. }));
    // Somebody has read it.
    assert_eq!(shown(&mut state, 3_000, Input::Key(Key::Choose)), notice(StickTrouble::Unreadable));
    assert_eq!(shown(&mut state, 4_000, Input::Key(Key::Choose)), READY_AGAIN);
    // Or nobody has, until it is past.
    judge(&mut state, 10_000);
    state.handle(11_000, Input::Stick(Event::Trouble(StickTrouble::NoFilms)));
    let past = 10_000 + PAST_AFTER * MINUTE_MS;
    for minute in 1..PAST_AFTER {
        assert_eq!(state.handle(10_000 + minute * MINUTE_MS, Input::Tick), [Effect::Show]);
        assert!(matches!(state.view(), View::Result { .. }));
    }
    state.handle(past, Input::Tick);
    assert_eq!(state.deadline(), Some(0), "its turn has come");
    assert_eq!(shown(&mut state, past, Input::Tick), notice(StickTrouble::NoFilms));
    // A past one gives way.
    judge(&mut state, past);
    state.handle(2 * past, Input::Tick);
    assert_eq!(state.handle(2 * past + 1, plugged(2, 2)), [Effect::Show]);
    assert_eq!(listed(&state), (0, Prompt::Countdown(20)));
}

#[test]
fn a_verdict_has_its_time_before_the_newest_of_a_stick_takes_its_place() {
    let mut state = state();
    state.handle(0, plugged(1, 2));
    judge(&mut state, 15_000);
    assert_eq!(state.handle(COUNTDOWN_MS, Input::Tick), []);
    assert_eq!(state.deadline(), Some(15_000 + COUNTDOWN_MS));
    assert_eq!(state.handle(15_000 + COUNTDOWN_MS, Input::Tick), [film(1, 0)]);
}

#[test]
fn a_single_film_gives_a_verdict_and_a_refusal_their_time() {
    let mut unread = state();
    judge(&mut unread, 0);
    assert_eq!(unread.handle(1_000, plugged(1, 1)), []);
    assert_eq!(unread.handle(1_000, Input::Tick), []);
    assert_eq!(unread.deadline(), Some(COUNTDOWN_MS));
    assert_eq!(unread.handle(COUNTDOWN_MS, Input::Tick), [film(1, 0)]);
    // Somebody has read it.
    let mut read = state();
    judge(&mut read, 0);
    assert_eq!(read.handle(1_000, plugged(1, 1)), []);
    shown(&mut read, 2_000, Input::Key(Key::Choose));
    assert_eq!(listed(&read), (0, Prompt::Reading));
    assert!(read.deadline() <= Some(2_000), "it begins at once");
    assert_eq!(read.handle(2_000, Input::Key(Key::Back)), []);
    assert_eq!(read.handle(2_000, Input::Tick), [Effect::Show, film(1, 0)]);
    // A refusal, and one of which the newest of several waits.
    for (count, at) in [(1, 1_000), (2, 15_000)] {
        let mut refused = state();
        if count > 1 {
            refused.handle(0, plugged(1, count));
        }
        refused.handle(at, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooSmall))));
        if count == 1 {
            assert_eq!(refused.handle(at, plugged(1, count)), []);
        }
        assert_eq!(refused.handle(COUNTDOWN_MS, Input::Tick), []);
        assert_eq!(refused.deadline(), Some(at + NOTICE_MS));
        assert_eq!(refused.handle(at + NOTICE_MS, Input::Tick), [film(1, 0)]);
        shown(&mut refused, at + NOTICE_MS, Input::Tick);
        assert_eq!(listed(&refused), (0, Prompt::Reading));
    }
}

#[test]
fn a_film_that_is_plugged_in_while_another_is_judged_waits_until_that_verdict_has_had_its_time() {
    let mut state = state();
    start_analysis(&mut state);
    assert_eq!(state.handle(1, plugged(1, 1)), []);
    assert_eq!((state.handle(2, Input::Tick), state.stick_deadline()), (vec![], None));
    let [Effect::Store(record)] = &state.handle(3, judged(0.7))[..] else { panic!("it is kept") };
    state.handle(4, Input::Stored(Ok(record.clone())));
    assert_eq!(state.handle(5, Input::Tick), []);
    assert_eq!(state.handle(4 + COUNTDOWN_MS, Input::Tick), [film(1, 0)]);
}

#[test]
fn a_countdown_keeps_nothing_else_from_its_time() {
    const DAY: u64 = 24 * 60 * MINUTE_MS;
    let mut state = state();
    state.say_that_the_model_changed(0);
    state.handle(DAY - 5_000, plugged(1, 2));
    assert!(state.scene().identity.changed);
    state.handle(DAY, Input::Tick);
    assert!(!state.scene().identity.changed && state.deadline() > Some(DAY), "{:?}", state.deadline());
    assert_eq!(listed(&state), (0, Prompt::Countdown(15)));
}

#[test]
fn what_comes_in_or_became_of_an_image_and_a_code_are_not_hidden() {
    let mut state = state();
    start_analysis(&mut state);
    assert_eq!(state.handle(1, plugged(1, 2)), []);
    assert_eq!((state.handle(COUNTDOWN_MS + 1, Input::Tick), state.stick_deadline()), (vec![], None));
    state.handle(COUNTDOWN_MS + 2, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooSmall))));
    assert_eq!(state.handle(COUNTDOWN_MS + 3, plugged(2, 2)), []);
    assert!(matches!(state.view(), View::Refused { .. }));
    shown(&mut state, COUNTDOWN_MS + 4, Input::Key(Key::Back));
    assert_eq!(listed(&state), (0, Prompt::Countdown(20)));
    state.set_privacy(shared::appliance::Share::Code, None);
    let now = COUNTDOWN_MS + 5;
    assert_eq!(state.handle(now, Input::Session(BoxEvent::Asked(Question::ShowCode))), [Effect::DrawCode]);
    state.handle(now, Input::Code(Some(7)));
    assert_eq!(state.handle(now, plugged(3, 2)), []);
    assert_eq!(*state.view(), View::Code(7));
}

#[test]
fn a_lost_line_hides_no_list_and_an_alarm_goes_before_it() {
    let mut state = state();
    state.handle(0, Input::LineLost { last: true, in_use: true });
    shown(&mut state, 1, plugged(1, 2));
    assert_eq!(listed(&state), (0, Prompt::Countdown(20)));
    assert_eq!(state.handle(2, Input::LineLost { last: true, in_use: true }), []);
    assert_eq!(shown(&mut state, 3, Input::Key(Key::Back)), View::error(Trouble::LineLost));
    state.set_journal_at_start(Standing { broken: Some(9), newly_broken: true, ..Standing::default() });
    state.handle(4, Input::LineBack);
    shown(&mut state, 5, plugged(2, 2));
    assert_eq!(*state.view(), View::error(Trouble::ChainBroken));
    shown(&mut state, 6, Input::Key(Key::Choose));
    assert_eq!(listed(&state), (0, Prompt::Countdown(20)));
}

/// A marked stick with so many films, and with a bundle on it if it has a name.
fn marked(state: &mut State, now: u64, stick: u32, count: usize, bundle: Option<&str>) -> Vec<Effect> {
    let bundle = bundle.map(|name| Bundle { name: name.to_owned(), size: 1_000_000 });
    assert_eq!(state.handle(now, Input::Stick(Event::Marked { stick, bundle })), []);
    state.handle(now, plugged(stick, count))
}

fn heading() -> Heading {
    Heading { last: 41, model: "tiny".to_owned(), digest: shared::verdict::Digest::of(b"model"), synthetic: true }
}

fn wants(stick: u32, from: u64, done: u64) -> Input {
    Input::Stick(Event::Wants { stick, from, last: 41, done })
}

fn written(stick: u32) -> Input {
    Input::Stick(Event::Written { stick, name: "results-00000041".to_owned() })
}

fn offered(state: &State) -> Offers {
    let View::Films { offers, .. } = state.view() else { panic!("{:?}", state.view()) };
    offers.clone()
}

#[test]
fn results_are_written_when_a_key_asks_for_it_and_never_without_one() {
    let mut state = state();
    assert_eq!(marked(&mut state, 0, 1, 0, None), [Effect::Show]);
    assert_eq!((listed(&state), offered(&state).results), ((0, Prompt::Choose), Some(41)));
    // Nobody is there.
    assert_eq!(state.handle(1, wants(1, 1, 0)), [], "nobody has asked for them");
    assert_eq!(state.deadline(), Some(LIST_MS));
    assert_eq!(shown(&mut state, LIST_MS, Input::Tick), READY);
    // Somebody is.
    marked(&mut state, LIST_MS, 2, 0, None);
    let now = LIST_MS + 1;
    let write = Effect::WriteResults { stick: 2, heading: heading() };
    assert_eq!(state.handle(now, Input::Key(Key::Choose)), [Effect::Show, write]);
    assert_eq!(*state.view(), View::Writing { done: 0, total: 41 });
    for key in [Key::Choose, Key::Older, Key::Newer, Key::Back] {
        assert_eq!(state.handle(now, Input::Key(key)), [], "{key:?}: one thing at a time");
    }
    assert_eq!(state.handle(now, wants(1, 1, 0)), [], "of another stick");
    let results = |from| Effect::Results { from, last: 41 };
    assert_eq!(state.handle(now + 1_000, wants(2, 21, 10)), [Effect::Show, results(21)]);
    assert_eq!(*state.view(), View::Writing { done: 10, total: 41 });
    assert_eq!(state.handle(now + 1_001, wants(2, 31, 15)), [results(31)], "it is not drawn so soon again");
    assert_eq!(state.deadline(), None, "writing has no end of its own");
    state.handle(now + 2_000, written(2));
    let name = "results-00000041".to_owned();
    assert_eq!(shown(&mut state, now + 2_000, ended(2, None)), View::Written { name });
    // It stays until it has been read.
    shown(&mut state, now + 3_000, Input::Key(Key::Choose));
    assert_eq!(offered(&state).results, Some(41));
    assert_eq!(shown(&mut state, now + 4_000, Input::Stick(Event::Gone { stick: 2 })), READY);
}

#[test]
fn the_countdown_of_a_marked_stick_judges_the_newest_film_and_writes_nothing() {
    let mut state = state();
    marked(&mut state, 0, 1, 2, Some("pumua-9.pumua"));
    assert_eq!((listed(&state), offered(&state).count()), ((0, Prompt::Countdown(20)), 2));
    assert_eq!(state.handle(COUNTDOWN_MS, Input::Tick), [Effect::Show, film(1, 0)]);
    shown(&mut state, COUNTDOWN_MS + 1, ended(1, None));
    // Films, then the program, then the results.
    for _ in 0..9 {
        state.handle(COUNTDOWN_MS + 2, Input::Key(Key::Newer));
    }
    assert_eq!(listed(&state), (3, Prompt::Choose));
    let [Effect::Show, Effect::WriteResults { stick: 1, .. }] = &state.handle(30_000, Input::Key(Key::Choose))[..]
    else {
        panic!("the last row is the results'")
    };
    shown(&mut state, 31_000, ended(1, Some(StickTrouble::Full)));
    assert_eq!(*state.view(), notice(StickTrouble::Full));
    shown(&mut state, 32_000, Input::Key(Key::Back));
    assert_eq!(listed(&state), (3, Prompt::Choose));
    state.handle(33_000, Input::Key(Key::Older));
    assert_eq!(state.handle(33_001, Input::Key(Key::Choose)), [Effect::Show, Effect::TakeProgram { stick: 1 }]);
}

#[test]
fn a_single_film_of_a_marked_stick_is_judged_at_once_and_leaves_the_rest_to_choose() {
    let mut state = state();
    assert_eq!(marked(&mut state, 0, 1, 1, None), [Effect::Show, film(1, 0)]);
    judge(&mut state, 100);
    assert_eq!(state.handle(200, ended(1, None)), []);
    shown(&mut state, 300, Input::Key(Key::Choose));
    assert_eq!((listed(&state), offered(&state).results), ((0, Prompt::Choose), Some(42)));
}

#[test]
fn a_film_that_is_judged_while_results_are_written_hides_neither_and_ends_neither() {
    let mut state = state();
    marked(&mut state, 0, 1, 0, None);
    state.handle(1, Input::Key(Key::Choose));
    judge(&mut state, 1_000);
    assert_eq!(state.handle(2_000, wants(1, 21, 10)), [Effect::Results { from: 21, last: 41 }]);
    assert!(matches!(state.view(), View::Result { .. }), "the verdict stays");
    state.handle(3_000, written(1));
    assert_eq!(state.handle(3_000, ended(1, None)), []);
    assert!(matches!(state.view(), View::Result { .. }), "the verdict stays");
    let name = "results-00000041".to_owned();
    assert_eq!(shown(&mut state, 4_000, Input::Key(Key::Choose)), View::Written { name });
}

#[test]
fn a_stick_that_is_pulled_out_at_any_step_of_the_writing_says_so() {
    for steps in 0..3 {
        let mut state = state();
        marked(&mut state, 0, 1, 0, None);
        state.handle(1, Input::Key(Key::Choose));
        for step in 0..steps {
            state.handle(1_000 + step, wants(1, 1 + 20 * step, 10 * step));
        }
        assert_eq!(
            shown(&mut state, 5_000, ended(1, Some(StickTrouble::Interrupted))),
            notice(StickTrouble::Interrupted)
        );
        assert_eq!(state.handle(5_001, Input::Stick(Event::Gone { stick: 1 })), []);
        assert_eq!(shown(&mut state, 5_000 + NOTICE_MS, Input::Tick), READY);
    }
}

#[test]
fn nothing_is_offered_where_nobody_gets_results_or_there_are_none_or_of_another_stick() {
    let mut off = state();
    off.set_privacy(shared::appliance::Share::Off, None);
    marked(&mut off, 0, 1, 0, None);
    assert_eq!(*off.view(), notice(StickTrouble::NoFilms));
    let mut none = state();
    none.records = 0;
    marked(&mut none, 0, 1, 0, None);
    assert_eq!(*none.view(), notice(StickTrouble::NoFilms));
    // The mark of one stick is not that of the next.
    let mut other = state();
    other.handle(0, Input::Stick(Event::Marked { stick: 1, bundle: None }));
    shown(&mut other, 1, plugged(2, 2));
    assert_eq!(offered(&other), Offers::default());
}

#[test]
fn a_program_is_taken_when_a_key_asks_for_it_and_then_the_box_says_what_became_of_it() {
    let mut state = state();
    state.records = 0;
    assert_eq!(marked(&mut state, 0, 1, 0, Some("pumua-9.pumua")), [Effect::Show]);
    assert_eq!(offered(&state).program.map(|bundle| bundle.name), Some("pumua-9.pumua".to_owned()));
    assert_eq!(state.handle(1, Input::Key(Key::Choose)), [Effect::Show, Effect::TakeProgram { stick: 1 }]);
    assert_eq!(*state.view(), View::Program { done: 0, total: 1_000_000 });
    let taken = Input::Stick(Event::Taken { stick: 1, done: 500_000, total: 1_000_000 });
    assert_eq!(shown(&mut state, 2_000, taken), View::Program { done: 500_000, total: 1_000_000 });
    // Each piece is a session of its own, whose end does not end it.
    state.handle(2_001, Input::Session(BoxEvent::Bundle { done: 600_000, total: 1_000_000 }));
    state.handle(2_002, Input::Session(BoxEvent::HostGone));
    assert_eq!(*state.view(), View::Program { done: 500_000, total: 1_000_000 });
    assert_eq!(shown(&mut state, 3_000, ended(1, None)), View::Ready { results: 0 });
    // It is refused.
    marked(&mut state, 4_000, 2, 0, Some("pumua-9.pumua"));
    state.handle(4_001, Input::Key(Key::Choose));
    let refusal = shared::verdict::SoftwareRefusal::NotSigned;
    state.handle(4_002, Input::Kept(crate::software::Kept::Refused(refusal)));
    assert_eq!(*state.view(), View::error(Trouble::Program(refusal)));
    assert_eq!(state.handle(4_003, ended(2, None)), []);
    assert_eq!(*state.view(), View::error(Trouble::Program(refusal)));
}

#[test]
fn why_a_program_is_not_taken_is_said_after_a_verdict_too_and_what_the_box_says_goes_first() {
    let mut state = state();
    let refusal = Trouble::Program(shared::verdict::SoftwareRefusal::NotSigned);
    marked(&mut state, 0, 1, 0, Some("pumua-9.pumua"));
    state.handle(1, Input::Key(Key::Choose));
    judge(&mut state, 100);
    state.handle(200, Input::Kept(crate::software::Kept::Refused(shared::verdict::SoftwareRefusal::NotSigned)));
    assert_eq!(state.handle(201, ended(1, None)), []);
    assert!(matches!(state.view(), View::Result { .. }), "the verdict stays");
    assert_eq!(shown(&mut state, 300, Input::Key(Key::Choose)), View::error(refusal));
    // The box cannot keep it: the stick is not blamed.
    marked(&mut state, 60_000, 2, 0, Some("pumua-9.pumua"));
    state.handle(60_001, Input::Key(Key::Choose));
    state.handle(60_002, Input::Kept(crate::software::Kept::Failed(shared::verdict::Fault::Storage)));
    assert_eq!(*state.view(), View::error(shared::verdict::Fault::Storage));
    assert_eq!(state.handle(60_003, ended(2, Some(StickTrouble::ProgramNotTaken))), []);
    assert_eq!(*state.view(), View::error(shared::verdict::Fault::Storage));
    // It is pulled out.
    marked(&mut state, 70_000, 3, 0, Some("pumua-9.pumua"));
    state.handle(70_001, Input::Key(Key::Choose));
    let pulled = shown(&mut state, 70_002, ended(3, Some(StickTrouble::ProgramNotTaken)));
    assert_eq!(pulled, notice(StickTrouble::ProgramNotTaken));
}

#[test]
fn while_a_program_is_taken_no_line_is_missed_and_none_is_gone_back_to() {
    let mut state = state();
    state.offer_ways_back();
    let way_back = crate::software::WayBack {
        content: shared::verdict::Digest::of(b"slot"),
        name: "box-1".to_owned(),
        version: "0.1.0".to_owned(),
    };
    state.handle(0, Input::News(crate::software::News::WayBack(Some(Box::new(way_back.clone())))));
    assert_eq!(state.scene().identity.way_back, Some(way_back));
    marked(&mut state, 0, 1, 0, Some("pumua-9.pumua"));
    state.handle(1, Input::Key(Key::Choose));
    // Between two pieces, too.
    state.handle(2, Input::Session(BoxEvent::Bundle { done: 4, total: 10 }));
    state.handle(3, Input::Session(BoxEvent::HostGone));
    assert_eq!(state.scene().identity.way_back, None);
    assert_eq!(state.handle(4, Input::LineLost { last: true, in_use: false }), []);
    assert!(matches!(state.view(), View::Program { .. }));
    assert_eq!(shown(&mut state, 5, ended(1, None)), View::error(Trouble::LineLost));
}

#[test]
fn nothing_more_is_done_with_a_stick_that_does_not_confirm_what_was_written() {
    let mut state = state();
    marked(&mut state, 0, 1, 0, None);
    state.handle(1, Input::Key(Key::Choose));
    let told = shown(&mut state, 2, ended(1, Some(StickTrouble::NotClosed)));
    assert_eq!(told, notice(StickTrouble::NotClosed));
    assert_eq!(shown(&mut state, 2 + NOTICE_MS, Input::Tick), READY);
}
