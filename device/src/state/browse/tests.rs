use shared::{
    age::AgeNote,
    verdict::{Digest, ExamId, OperatingPoint, Refusal, ResultRecord},
};
use wire::{BoxEvent, Dropped};

use super::*;
use crate::{
    journal::Standing,
    screen::{PAGE, Trouble},
    state::{
        Input, NOTICE_MS,
        tests::{announced, exam, judged, shown, start_analysis, state},
    },
};

fn record(number: u64) -> ResultRecord {
    let point = OperatingPoint::HALF;
    ResultRecord {
        number,
        boot: 7,
        unix_seconds: None,
        exam: ExamId::default(),
        image: Digest::of(b"bytes"),
        model: Digest::of(b"model"),
        probability: 0.7,
        point,
        verdict: point.verdict(0.7),
        prepared: false,
        age: AgeNote::Unknown,
        trust: None,
    }
}

/// Presses a key and reads the page that is asked for, of a journal that has kept every result.
fn press(state: &mut State, now: u64, key: Key) -> Vec<Effect> {
    let effects = state.handle(now, Input::Key(key));
    let [Effect::Recall { page }] = effects[..] else { return effects };
    let pages = state.records.div_ceil(PAGE);
    let page = page.clamp(1, pages.max(1));
    let last = state.records - (page - 1) * PAGE;
    let results = (1..=last).rev().take(PAGE as usize).map(record).collect();
    state.handle(now, Input::Recalled(Ok(Page { results, page, pages })))
}

fn page(state: &State) -> (u64, u64, Vec<u64>) {
    let View::History { results, page, pages } = state.view() else { panic!("{:?}", state.view()) };
    (*page, *pages, results.iter().map(|record| record.number).collect())
}

#[test]
fn times_that_no_clock_can_have_said_are_unknown() {
    let mut state = state();
    let times = [Some(1_800_000_000), Some(12), Some(u64::from(u32::MAX)), None];
    let results = times.map(|unix_seconds| ResultRecord { unix_seconds, ..record(1) }).to_vec();
    state.handle(0, Input::Recalled(Ok(Page { results, page: 1, pages: 1 })));
    let View::History { results, .. } = state.view() else { panic!("{:?}", state.view()) };
    let shown: Vec<_> = results.iter().map(|record| record.unix_seconds).collect();
    assert_eq!(shown, [Some(1_800_000_000), None, None, None]);
}

#[test]
fn keys_turn_the_pages_of_the_history() {
    let mut state = state();
    press(&mut state, 0, Key::Older);
    assert_eq!(page(&state), (1, 7, vec![41, 40, 39, 38, 37, 36]));
    for _ in 0..9 {
        press(&mut state, 5, Key::Older);
    }
    assert_eq!(page(&state), (7, 7, vec![5, 4, 3, 2, 1]));
    press(&mut state, 10, Key::Newer);
    assert_eq!(page(&state), (6, 7, vec![11, 10, 9, 8, 7, 6]));
    for _ in 0..9 {
        press(&mut state, 20, Key::Newer);
    }
    assert_eq!(page(&state).0, 1);
    assert_eq!(state.handle(19 + BROWSING_MS, Input::Tick), []);
    assert_eq!(shown(&mut state, 20 + BROWSING_MS, Input::Tick), View::Ready { results: 41 });
}

#[test]
fn an_empty_history_has_one_empty_page() {
    let mut state = state();
    state.records = 0;
    press(&mut state, 0, Key::Older);
    assert_eq!(page(&state), (1, 0, vec![]));
    press(&mut state, 0, Key::Older);
    assert_eq!(page(&state), (1, 0, vec![]));
}

#[test]
fn keys_acknowledge_and_tell_what_the_box_is() {
    let mut state = state();
    let ready = View::Ready { results: 41 };
    state.handle(0, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooSmall))));
    assert_eq!(shown(&mut state, 1, Input::Key(Key::Back)), ready);
    assert_eq!(state.deadline(), None);
    assert_eq!(press(&mut state, 2, Key::Newer), [], "nothing is newer");
    assert_eq!(shown(&mut state, 3, Input::Key(Key::About)), View::About);
    assert_eq!(shown(&mut state, 3 + BROWSING_MS, Input::Tick), ready);
}

#[test]
fn keys_hide_no_image_and_a_result_replaces_the_history() {
    let mut state = state();
    press(&mut state, 0, Key::Older);
    state.handle(1, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    for key in [Key::Older, Key::Newer, Key::Back, Key::About] {
        assert_eq!(press(&mut state, 2, key), []);
    }
    start_analysis(&mut state);
    for key in [Key::Older, Key::Newer, Key::Back, Key::About] {
        assert_eq!(press(&mut state, 3, key), []);
    }
    // An analysis that outlives its host continues behind the history.
    state.handle(4, Input::Session(BoxEvent::HostGone));
    state.view = View::Ready { results: 41 };
    press(&mut state, 5, Key::Older);
    let [Effect::Store(record)] = &state.handle(6, judged(0.7))[..] else { panic!("it is kept") };
    state.handle(7, Input::Stored(Ok(record.clone())));
    assert!(matches!(state.view(), View::Result { .. }));
    assert_eq!(state.until, None, "a result stays");
}

#[test]
fn an_image_that_comes_while_the_history_is_read_goes_first() {
    let mut state = state();
    state.handle(0, Input::Key(Key::Older));
    state.handle(1, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    assert_eq!(state.handle(2, Input::Recalled(Ok(Page { results: vec![record(41)], page: 1, pages: 1 }))), []);
    assert_eq!(*state.view(), View::Receiving { image: announced(), done: 0, total: 1000 });
}

#[test]
fn a_history_that_cannot_be_read_is_told() {
    let mut state = state();
    state.handle(0, Input::Key(Key::Older));
    assert_eq!(shown(&mut state, 0, Input::Recalled(Err(Fault::Storage))), View::error(Fault::Storage));
    assert_eq!(state.deadline(), Some(NOTICE_MS));
}

#[test]
fn a_lost_line_does_not_hide_what_a_person_reads() {
    let mut state = state();
    press(&mut state, 0, Key::About);
    assert_eq!(state.handle(1, Input::LineLost { last: true, in_use: true }), []);
    press(&mut state, 2, Key::Older);
    assert_eq!(state.handle(3, Input::LineLost { last: true, in_use: true }), []);
    assert_eq!(page(&state).0, 1);
    assert_eq!(shown(&mut state, 2 + BROWSING_MS, Input::Tick), View::error(Trouble::LineLost));
}

#[test]
fn a_lost_line_is_told_again_after_what_hid_it() {
    let mut state = state();
    state.handle(0, Input::LineLost { last: true, in_use: true });
    let lost = View::error(Trouble::LineLost);
    press(&mut state, 1, Key::Older);
    assert_eq!(shown(&mut state, 1 + BROWSING_MS, Input::Tick), lost.clone());
    assert_eq!(shown(&mut state, 2, Input::Key(Key::Back)), lost, "it cannot be acknowledged away");
    press(&mut state, 3, Key::About);
    assert_eq!(state.handle(4, Input::LineBack), []);
    assert_eq!(shown(&mut state, 5, Input::Key(Key::Back)), View::Ready { results: 41 });
}

#[test]
fn a_broken_chain_is_acknowledged_by_whoever_has_read_it() {
    let mut state = state();
    state.set_journal_at_start(Standing { broken: Some(9), newly_broken: true, ..Standing::default() });
    let alarm = View::error(Trouble::ChainBroken);
    for key in [Key::Older, Key::About] {
        press(&mut state, 0, key);
        assert_eq!(shown(&mut state, 1, Input::Key(Key::Back)), alarm, "after {key:?}");
    }
    state.handle(2, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooSmall))));
    assert_eq!(shown(&mut state, 3, Input::Key(Key::Back)), alarm, "after a refusal");
    assert_eq!(shown(&mut state, 4, Input::Key(Key::Back)), View::Ready { results: 41 });
}
