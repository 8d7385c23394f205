use shared::{
    age::AgeNote,
    contract::InputContract,
    verdict::{ExamId, OperatingPoint, Refusal, Verdict},
};

use engine::{Behaviour, Provenance};

use super::*;
use crate::screen::Console;

pub(super) fn state() -> State {
    let contract = InputContract::stretched(16);
    let card = ModelCard {
        behaviour: Behaviour {
            point: OperatingPoint { threshold: 0.5, refer_from: 0.4, refer_to: 0.6 },
            ..Behaviour::new(contract)
        },
        provenance: Provenance { version: "0.1.0".to_owned(), synthetic: true, ..Provenance::default() },
        ..ModelCard::new("tiny", contract)
    };
    let mut state = State::new(card, Digest::of(b"model"), "fused int8".to_owned(), 7, 41);
    state.lift_limits();
    state
}

pub(super) fn exam() -> ExamId {
    ExamId::new("ward-3").unwrap()
}

/// As screens name it.
pub(super) fn announced() -> Announced {
    Announced { exam: exam(), nth: 1 }
}

fn image() -> Image {
    Image::file(b"bytes".to_vec(), exam()).unwrap()
}

pub(super) fn judged(probability: f32) -> Input {
    Input::Analysis(Report::Done(Box::new(Ok(answer(exam(), probability)))))
}

pub(super) fn answer(exam: ExamId, probability: f32) -> Judged {
    let preview = Preview { width: 1, height: 1, pixels: vec![9].into(), judged: None };
    let verdict = state().card.behaviour.point.verdict(probability);
    Judged {
        exam,
        image: Digest::of(b"bytes"),
        prepared: false,
        preview,
        evidence: None,
        probability,
        verdict,
        age: AgeNote::Unknown,
    }
}

/// What the screen says of the model.
fn identity(state: &State) -> Identity {
    state.scene().shown_identity().clone()
}

/// What is shown after an input that leads to nothing else.
#[track_caller]
pub(super) fn shown(state: &mut State, now: u64, input: Input) -> View {
    assert_eq!(state.handle(now, input), [Effect::Show]);
    state.view().clone()
}

pub(super) fn start_analysis(state: &mut State) {
    let effects = state.handle(0, Input::Session(BoxEvent::Image(image())));
    assert_eq!(effects, [Effect::Show, Effect::Judge(Box::new(image()))]);
    assert_eq!(*state.view(), View::Analysing(announced()));
}

#[test]
fn a_console_that_may_not_send_is_shown_for_half_a_minute_and_hides_no_image() {
    let refused = |named: &str| {
        let (named, own) = (named.to_owned(), "PUMUA".to_owned());
        ConsoleRefused { reason: Console::NotCalled, named, own }
    };
    let mut waiting = state();
    let told = View::error(Trouble::Console(refused("PACS1")));
    assert_eq!(shown(&mut waiting, 1_000, Input::NodeRefused(refused("PACS1"))), told);
    assert_eq!(waiting.handle(20_000, Input::NodeRefused(refused("PACS1"))), [], "the same does not stay for longer");
    assert_eq!(waiting.deadline(), Some(31_000));
    assert_eq!(shown(&mut waiting, 31_000, Input::Tick), View::Ready { results: 41 });
    // A box without a computer says it, too.
    let mut alone = state();
    alone.handle(0, Input::LineLost { last: true, in_use: false });
    assert_eq!(shown(&mut alone, 1_000, Input::NodeRefused(refused("PACS1"))), told);
    assert_eq!(shown(&mut alone, 31_000, Input::Tick), View::error(Trouble::LineLost));
    let mut busy = state();
    start_analysis(&mut busy);
    assert_eq!(busy.handle(1_000, Input::NodeRefused(refused("PACS1"))), []);
    assert_eq!(*busy.view(), View::Analysing(announced()));
}

#[test]
fn a_result_is_told_only_after_it_is_stored() {
    let mut state = state();
    state.handle(1_000, Input::Session(BoxEvent::Asked(Question::SetClock { unix_seconds: 1_800_000_000 })));
    start_analysis(&mut state);
    let [Effect::Store(record)] = &state.handle(4_500, judged(0.7))[..] else { panic!("only the journal") };
    assert_eq!((record.number, record.boot, record.verdict), (42, 7, Verdict::Pneumonia));
    assert_eq!(record.unix_seconds, Some(1_800_000_003));
    assert_eq!((record.model, record.image), (Digest::of(b"model"), Digest::of(b"bytes")));
    let effects = state.handle(4_501, Input::Stored(Ok(record.clone())));
    assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Outcome(Outcome::Result(record.clone())))]);
    assert!(shows(&state, record));
    assert_eq!(state.info().records, 42);
    assert_eq!(state.deadline(), Some(4_501 + 60_000), "a result stays, and grows old");
}

#[test]
fn in_safe_mode_nothing_is_judged_and_results_are_handed_out() {
    let mut state = state();
    state.enter_safe_mode();
    let safe = View::error(Trouble::SafeMode);
    assert_eq!(*state.view(), safe);
    let refused = Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Internal)));
    assert_eq!(state.handle(0, Input::Session(BoxEvent::Image(image()))), [Effect::Show, refused]);
    let error = View::Error { image: Some(announced()), trouble: Fault::Internal.into() };
    assert_eq!(*state.view(), error);
    assert_eq!(shown(&mut state, NOTICE_MS, Input::Tick), safe);
    let [Effect::Reply(Reply::Answer(Answer::Info(info)))] =
        &state.handle(NOTICE_MS, Input::Session(BoxEvent::Asked(Question::Info)))[..]
    else {
        panic!("no answer")
    };
    assert_eq!(info.records, 41);
    assert_eq!(state.handle(NOTICE_MS, Input::Session(BoxEvent::Record { number: 1 })), [Effect::Record(1)]);
    assert_eq!(
        shown(&mut state, NOTICE_MS, Input::LineLost { last: true, in_use: true }),
        View::error(Trouble::LineLost)
    );
    assert_eq!(shown(&mut state, NOTICE_MS, Input::LineBack), safe);
}

#[test]
fn a_result_that_cannot_be_stored_is_no_result() {
    let mut state = state();
    start_analysis(&mut state);
    state.handle(0, judged(0.7));
    let effects = state.handle(0, Input::Stored(Err(Fault::Storage)));
    assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Storage)))]);
    assert_eq!(*state.view(), View::Error { image: Some(announced()), trouble: Fault::Storage.into() });
    assert_eq!(state.info().records, 41);
}

#[test]
fn refusals_say_what_to_do_and_give_way_to_ready() {
    let mut state = state();
    start_analysis(&mut state);
    let refused = Err(Unjudged::Refused(Refusal::TooSmall));
    let effects = state.handle(10, Input::Analysis(Report::Done(Box::new(refused))));
    assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Outcome(Outcome::Refused(Refusal::TooSmall)))]);
    assert_eq!(*state.view(), View::Refused { image: Some(announced()), refusal: Refusal::TooSmall });
    assert_eq!(state.deadline(), Some(10 + NOTICE_MS));
    assert_eq!(state.handle(NOTICE_MS, Input::Tick), []);
    assert_eq!(shown(&mut state, 10 + NOTICE_MS, Input::Tick), View::Ready { results: 41 });
}

#[test]
fn a_cancelled_image_leaves_no_record() {
    let mut state = state();
    start_analysis(&mut state);
    let cancelled = Input::Session(BoxEvent::Dropped(Dropped::Cancelled));
    assert_eq!(shown(&mut state, 0, cancelled), View::Ready { results: 41 });
    let effects = state.handle(0, judged(0.7));
    assert!(matches!(&effects[..], [Effect::Reply(Reply::Outcome(_))]), "{effects:?}");
    assert_eq!(*state.view(), View::Ready { results: 41 });
}

#[test]
fn a_host_that_leaves_during_the_analysis_loses_no_result() {
    let mut state = state();
    start_analysis(&mut state);
    state.handle(0, Input::Session(BoxEvent::HostGone));
    // The next host's image is refused at its announcement, then another comes in.
    let dropped = Dropped::Refused(Refusal::TooManyBytes);
    state.handle(1, Input::Session(BoxEvent::Declined { exam: exam(), dropped }));
    state.handle(2, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    let [Effect::Store(record)] = &state.handle(3, judged(0.7))[..] else { panic!("it is kept") };
    let effects = state.handle(4, Input::Stored(Ok(record.clone())));
    assert_eq!(effects, [Effect::Reply(Reply::Outcome(Outcome::Result(record.clone())))]);
    assert_eq!(
        *state.view(),
        View::Receiving { image: announced(), done: 0, total: 1000 },
        "no verdict over another image's progress"
    );
    assert_eq!(state.info().records, 42);
}

#[test]
fn a_verdict_that_comes_while_the_line_is_away_stays_when_it_is_back() {
    let mut state = state();
    start_analysis(&mut state);
    state.handle(0, Input::LineLost { last: true, in_use: true });
    let [Effect::Store(record)] = &state.handle(1, judged(0.7))[..] else { panic!("it is kept") };
    state.handle(1, Input::Stored(Ok(record.clone())));
    assert_eq!(state.handle(2, Input::LineBack), []);
    assert!(matches!(state.view(), View::Result { record: shown, .. } if shown == record));
}

#[test]
fn a_host_that_leaves_in_the_middle_of_an_image_is_shown() {
    let mut state = state();
    state.handle(0, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    state.handle(0, Input::Session(BoxEvent::HostGone));
    assert_eq!(*state.view(), View::Error { image: Some(announced()), trouble: Fault::Timeout.into() });
    assert_eq!(shown(&mut state, NOTICE_MS, Input::Tick), View::Ready { results: 41 });
}

#[test]
fn progress_is_drawn_at_its_beginning_and_end_and_seldom_between() {
    let mut state = state();
    let mut shown = Vec::new();
    for (now, done) in [(0, 0), (50, 100), (199, 200), (201, 300), (202, 400), (203, 1000)] {
        let effects = state.handle(now, Input::Session(BoxEvent::Receiving { exam: exam(), done, total: 1000 }));
        shown.extend((!effects.is_empty()).then_some(done));
    }
    assert_eq!(shown, [0, 300, 1000]);
}

#[test]
fn an_update_that_is_installed_is_reported_shown_and_recorded() {
    let mut state = state();
    let total = 1000;
    state.handle(0, Input::Session(BoxEvent::Updating { done: 0, total }));
    state.handle(1, Input::Session(BoxEvent::Updating { done: total, total }));
    assert_eq!(*state.view(), View::Updating { done: total, total });
    let file = ModelFile::new(b"new".to_vec()).unwrap();
    let effects = state.handle(2, Input::Session(BoxEvent::Update(file.clone())));
    assert_eq!(effects, [Effect::Install(Box::new(file))]);
    let contract = InputContract { side: 32, ..state.card.behaviour.contract };
    let (digest, card) = (Digest::of(b"new"), ModelCard::new("new", contract));
    let loaded = Loaded { card, digest, execution: "float".to_owned(), trust: None };
    let effects = state.handle(3, Input::Analysis(Report::Installed(Box::new(Ok(loaded)))));
    let installed = Installed { model: "new".try_into().unwrap(), digest };
    let answer = Effect::Reply(Reply::Installed(Ok(installed)));
    assert_eq!(effects, [Effect::Expect(contract), Effect::Show, answer]);
    assert_eq!(*state.view(), View::Ready { results: 41 });
    assert_eq!((state.info().model_digest, identity(&state).model.as_str()), (digest, "new"));
    start_analysis(&mut state);
    let [Effect::Store(record)] = &state.handle(4, judged(0.7))[..] else { panic!("only the journal") };
    assert_eq!((record.model, record.point), (digest, OperatingPoint::HALF));
}

#[test]
fn an_update_that_is_refused_leaves_the_old_model_and_the_notice_of_a_lost_line() {
    let mut state = state();
    state.handle(0, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
    state.handle(1, Input::LineLost { last: true, in_use: true });
    let lost = state.view().clone();
    let refused = Report::Installed(Box::new(Err(ModelRefusal::NotRunnable)));
    let effects = state.handle(2, Input::Analysis(refused));
    let answer = Effect::Reply(Reply::Installed(Err(ModelRefusal::NotRunnable)));
    assert_eq!(effects, [Effect::Show, answer]);
    assert_eq!(*state.view(), lost);
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
    let card = ModelCard::new("new", state().card.behaviour.contract);
    let loaded = Loaded { card, digest: Digest::of(b"new"), execution: "float".to_owned(), trust: None };
    let report = if new { Ok(loaded) } else { Err(ModelRefusal::NotRunnable) };
    Input::Analysis(Report::Installed(Box::new(report)))
}

fn shows(state: &State, record: &ResultRecord) -> bool {
    matches!(state.view(), View::Result { record: shown, .. } if shown == record)
}

#[test]
fn a_result_that_comes_during_an_update_is_shown_after_it_with_its_own_model() {
    let refused = Input::Session(BoxEvent::Dropped(Dropped::ModelRefused(ModelRefusal::DigestMismatch)));
    for end in [installed(true), installed(false), refused, Input::Session(BoxEvent::HostGone)] {
        let mut state = state();
        let old = identity(&state);
        leave_an_image(&mut state);
        state.handle(0, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
        let record = finish_analysis(&mut state);
        assert_eq!(*state.view(), View::Updating { done: 1000, total: 1000 });
        state.handle(2, end);
        assert!(shows(&state, &record), "{:?}", state.view());
        assert_eq!((identity(&state), state.until), (old, None));
        state.handle(3, Input::Key(Key::Back));
        assert_eq!(*state.view(), View::Ready { results: 42 });
        assert_eq!(identity(&state).digest, state.info().model_digest);
    }
}

#[test]
fn a_result_that_is_shown_when_an_update_begins_is_shown_after_it_with_its_own_model() {
    for end in [installed(true), installed(false), Input::Session(BoxEvent::HostGone)] {
        let mut state = state();
        let old = identity(&state);
        start_analysis(&mut state);
        let record = finish_analysis(&mut state);
        state.handle(2, Input::Session(BoxEvent::Updating { done: 0, total: 1000 }));
        assert_eq!(*state.view(), View::Updating { done: 0, total: 1000 });
        state.handle(3, end);
        assert!(shows(&state, &record), "{:?}", state.view());
        assert_eq!(identity(&state), old);
    }
}

#[test]
fn a_result_that_waits_for_an_update_is_not_shown_after_another_image() {
    let mut state = state();
    leave_an_image(&mut state);
    state.handle(0, Input::Session(BoxEvent::Updating { done: 500, total: 1000 }));
    finish_analysis(&mut state);
    state.handle(2, Input::Session(BoxEvent::Dropped(Dropped::Failed(Fault::Timeout))));
    state.handle(3, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    state.handle(4, Input::Session(BoxEvent::Dropped(Dropped::Cancelled)));
    assert_eq!(*state.view(), View::Ready { results: 42 });
}

#[test]
fn the_end_of_an_update_behind_a_result_leaves_it_with_its_own_model() {
    for new in [true, false] {
        let mut state = state();
        let old = identity(&state);
        leave_an_image(&mut state);
        state.handle(0, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
        state.handle(0, Input::Session(BoxEvent::HostGone));
        let record = finish_analysis(&mut state);
        state.handle(2, installed(new));
        assert!(shows(&state, &record), "{:?}", state.view());
        assert_eq!(identity(&state), old);
    }
}

#[test]
fn an_update_that_is_refused_at_its_announcement_leaves_the_verdict() {
    let mut state = state();
    start_analysis(&mut state);
    let record = finish_analysis(&mut state);
    assert_eq!(state.handle(2, Input::Session(BoxEvent::Dropped(Dropped::ModelRefused(ModelRefusal::TooLarge)))), []);
    assert!(shows(&state, &record));
}

#[test]
fn a_lost_line_leaves_a_refusal_for_its_time() {
    let mut state = state();
    state.handle(0, Input::Session(BoxEvent::Dropped(Dropped::Refused(Refusal::TooSmall))));
    assert_eq!(state.handle(1, Input::LineLost { last: true, in_use: true }), []);
    assert_eq!(shown(&mut state, NOTICE_MS, Input::Tick), View::error(Trouble::LineLost));
}

#[test]
fn a_lost_line_leaves_a_verdict_and_is_told_after_it() {
    for last in [true, false] {
        let mut state = state();
        start_analysis(&mut state);
        let record = finish_analysis(&mut state);
        assert_eq!(state.handle(2, Input::LineLost { last, in_use: true }), []);
        assert!(shows(&state, &record));
        let after = if last { View::error(Trouble::LineLost) } else { View::Ready { results: 42 } };
        assert_eq!(shown(&mut state, 3, Input::Key(Key::Back)), after);
    }
}

#[test]
fn a_cable_that_nobody_used_disturbs_no_film_of_another_line() {
    let lost = || Input::LineLost { last: true, in_use: false };
    let mut state = state();
    state.handle(0, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    assert_eq!(state.handle(0, lost()), []);
    assert!(matches!(state.view(), View::Receiving { .. }));
    start_analysis(&mut state);
    assert_eq!(state.handle(0, lost()), []);
    assert_eq!(*state.view(), View::Analysing(announced()));
    let record = finish_analysis(&mut state);
    assert!(shows(&state, &record));
    assert_eq!(shown(&mut state, 3, Input::Key(Key::Back)), View::error(Trouble::LineLost));
}

#[test]
fn an_update_that_ends_early_leaves_the_screen_ready() {
    for end in [
        BoxEvent::HostGone,
        BoxEvent::Dropped(Dropped::Cancelled),
        BoxEvent::Dropped(Dropped::ModelRefused(ModelRefusal::DigestMismatch)),
    ] {
        let mut state = state();
        state.handle(0, Input::Session(BoxEvent::Updating { done: 500, total: 1000 }));
        assert_eq!(shown(&mut state, 1, Input::Session(end)), View::Ready { results: 41 });
    }
}

#[test]
fn a_lost_line_is_shown_until_it_is_back() {
    let mut state = state();
    state.handle(0, Input::LineLost { last: true, in_use: true });
    assert!(matches!(state.view(), View::Error { image: None, .. }));
    assert_eq!(state.deadline(), None);
    assert_eq!(shown(&mut state, 5, Input::LineBack), View::Ready { results: 41 });
}

#[test]
fn a_lost_line_among_others_gives_way_to_ready_and_its_return_disturbs_nobody() {
    let mut state = state();
    state.handle(0, Input::LineLost { last: false, in_use: true });
    assert_eq!(state.deadline(), Some(NOTICE_MS));
    state.handle(1, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 1000 }));
    assert_eq!(state.handle(2, Input::LineBack), []);
    assert_eq!(*state.view(), View::Receiving { image: announced(), done: 0, total: 1000 });
}

/// An image of an examination that is judged at a time.
fn judge(state: &mut State, now: u64) -> ResultRecord {
    state.handle(now, Input::Session(BoxEvent::Image(image())));
    let [Effect::Store(record)] = &state.handle(now, judged(0.7))[..] else { panic!("it is kept") };
    state.handle(now, Input::Stored(Ok(record.clone())));
    record.clone()
}

fn minutes(state: &State) -> Option<u64> {
    match state.view() {
        View::Result { minutes, .. } => Some(*minutes),
        _ => None,
    }
}

#[test]
fn after_a_refusal_or_an_error_no_result_of_before_comes_back() {
    let mut state = state();
    judge(&mut state, 1);
    state.handle(2, Input::Session(BoxEvent::Updating { done: 500, total: 1000 }));
    state.handle(3, Input::Session(BoxEvent::Dropped(Dropped::Failed(Fault::Protocol))));
    let dropped = Dropped::Refused(Refusal::TooManyBytes);
    let other = ExamId::new("ward-4").unwrap();
    state.handle(4, Input::Session(BoxEvent::Declined { exam: other.clone(), dropped }));
    let image = Some(Announced { exam: other, nth: 1 });
    assert_eq!(*state.view(), View::Refused { image, refusal: Refusal::TooManyBytes });
    assert_eq!(shown(&mut state, 4 + NOTICE_MS, Input::Tick), View::Ready { results: 42 });
}

#[test]
fn a_result_keeps_its_model_through_any_number_of_updates() {
    let mut state = state();
    let old = identity(&state);
    let record = judge(&mut state, 1);
    for _ in 0..3 {
        state.handle(2, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
        state.handle(3, installed(true));
        assert!(shows(&state, &record));
        assert_eq!(identity(&state), old);
    }
}

#[test]
fn a_result_that_is_late_is_not_shown_once_another_image_has_been_announced() {
    let mut state = state();
    leave_an_image(&mut state);
    let dropped = Dropped::Refused(Refusal::TooManyBytes);
    state.handle(0, Input::Session(BoxEvent::Declined { exam: exam(), dropped }));
    finish_analysis(&mut state);
    assert!(matches!(state.view(), View::Refused { .. }), "{:?}", state.view());
    assert_eq!(state.info().records, 42, "it is kept");
}

#[test]
fn a_refusal_that_comes_during_an_update_is_shown_after_it() {
    let mut state = state();
    leave_an_image(&mut state);
    state.handle(0, Input::Session(BoxEvent::Updating { done: 500, total: 1000 }));
    let refused = Err(Unjudged::Refused(Refusal::TooSmall));
    state.handle(1, Input::Analysis(Report::Done(Box::new(refused))));
    assert_eq!(*state.view(), View::Updating { done: 500, total: 1000 });
    let refused = View::Refused { image: Some(announced()), refusal: Refusal::TooSmall };
    assert_eq!(shown(&mut state, 2, Input::Session(BoxEvent::HostGone)), refused);
    assert_eq!(state.deadline(), Some(2 + NOTICE_MS));
}

#[test]
fn a_result_grows_old_also_behind_an_update() {
    let mut state = state();
    judge(&mut state, 1_000);
    assert_eq!(minutes(&state), Some(0));
    assert_eq!(state.handle(1_000 + MINUTE_MS - 1, Input::Tick), []);
    let mut now = 1_000;
    for age in [1, 2, 3] {
        now += MINUTE_MS;
        assert_eq!(state.deadline(), Some(now));
        assert_eq!(state.handle(now, Input::Tick), [Effect::Show]);
        assert_eq!(minutes(&state), Some(age));
    }
    state.handle(now, Input::Session(BoxEvent::Updating { done: 1000, total: 1000 }));
    now += 4 * MINUTE_MS;
    assert_eq!(state.handle(now, Input::Tick), [], "nothing of it is shown");
    state.handle(now, installed(true));
    assert_eq!(minutes(&state), Some(7));
    // From an hour on by the hour.
    for (later, age) in [(60, 60), (119, 60), (120, 120)] {
        state.handle(1_000 + later * MINUTE_MS, Input::Tick);
        assert_eq!(minutes(&state), Some(age), "{later}");
    }
    assert_eq!(state.deadline(), Some(1_000 + 180 * MINUTE_MS));
    assert_eq!(shown(&mut state, 1_000 + 121 * MINUTE_MS, Input::Key(Key::Back)), View::Ready { results: 42 });
    // For a day it is said that another model was installed.
    assert_eq!(state.deadline(), Some(1_000 + 7 * MINUTE_MS + DAY_MS));
    assert!(identity(&state).changed);
    state.handle(1_000 + 7 * MINUTE_MS + DAY_MS, Input::Tick);
    assert_eq!((state.deadline(), identity(&state).changed), (None, false));
}

#[test]
fn another_image_of_an_examination_is_counted() {
    let mut state = state();
    state.remember(ExamId::new("ward-4").unwrap());
    state.remember(exam());
    judge(&mut state, 1);
    assert!(matches!(state.view(), View::Result { nth: 2, .. }), "{:?}", state.view());
    let total = 1000;
    state.handle(2, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total }));
    assert_eq!(*state.view(), View::Receiving { image: Announced { exam: exam(), nth: 3 }, done: 0, total });
    // What has no result does not count, nor do images without a name.
    state.handle(3, Input::Session(BoxEvent::HostGone));
    let third = Some(Announced { exam: exam(), nth: 3 });
    assert_eq!(*state.view(), View::Error { image: third, trouble: Fault::Timeout.into() });
    state.remember(ExamId::default());
    state.handle(4, Input::Session(BoxEvent::Receiving { exam: ExamId::default(), done: 0, total }));
    assert_eq!(*state.view(), View::Receiving { image: Announced { exam: ExamId::default(), nth: 1 }, done: 0, total });
    // Those of long ago are forgotten.
    (0..REMEMBERED).for_each(|_| state.remember(ExamId::default()));
    state.handle(5, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total }));
    assert_eq!(*state.view(), View::Receiving { image: announced(), done: 0, total });
}

#[test]
fn an_error_names_the_image_that_it_is_about() {
    let about = |state: &State| match state.view() {
        View::Error { image, .. } => image.clone(),
        view => panic!("{view:?}"),
    };
    for last in [true, false] {
        let mut state = state();
        start_analysis(&mut state);
        state.handle(1, Input::LineLost { last, in_use: true });
        assert_eq!(about(&state), Some(announced()));
    }
    let mut state = state();
    judge(&mut state, 1);
    // No image is on its way.
    state.handle(2, Input::Session(BoxEvent::Dropped(Dropped::Failed(Fault::Protocol))));
    assert_eq!(about(&state), None);
}

#[test]
fn nothing_is_judged_that_could_not_be_stored() {
    let mut state = state();
    state.set_journal(Standing { read_only: true, ..Standing::default() });
    assert_eq!(*state.view(), View::error(Trouble::NoStorage), "what the screen shows at the start");
    let effects = state.handle(0, Input::Session(BoxEvent::Image(image())));
    assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Storage)))]);
    let View::Error { image: Some(named), trouble: Trouble::NoStorage } = state.view() else { panic!() };
    assert_eq!(*named, announced());
    assert_eq!(shown(&mut state, NOTICE_MS, Input::Tick), View::error(Trouble::NoStorage));
    let asked = state.handle(0, Input::Session(BoxEvent::Asked(Question::Info)));
    assert!(matches!(asked[..], [Effect::Reply(Reply::Answer(Answer::Info(_)))]));
    assert_eq!(state.handle(0, Input::Key(Key::Older)), [Effect::Recall { page: 1 }]);
}

#[test]
fn a_journal_that_fails_under_way_ends_the_judging() {
    let mut state = state();
    start_analysis(&mut state);
    state.handle(1, judged(0.7));
    state.set_journal(Standing { read_only: true, ..Standing::default() });
    state.handle(2, Input::Stored(Err(Fault::Storage)));
    assert!(matches!(state.view(), View::Error { trouble: Trouble::Fault(Fault::Storage), .. }));
    assert_eq!(shown(&mut state, 2 + NOTICE_MS, Input::Tick), View::error(Trouble::NoStorage));
}

/// The kinds of the events since the last call.
fn noted(state: &mut State) -> Vec<EventKind> {
    state.take_notes().into_iter().map(|event| event.kind).collect()
}

#[test]
fn a_host_whose_clock_is_plainly_wrong_sets_nothing() {
    let mut state = state();
    let set = |state: &mut State, now, unix_seconds| {
        let effects = state.handle(now, Input::Session(BoxEvent::Asked(Question::SetClock { unix_seconds })));
        assert_eq!(effects, [Effect::Reply(Reply::Answer(Answer::ClockSet))]);
    };
    for unix_seconds in [0, 12, 946_684_800, 4_102_444_800, u64::MAX] {
        set(&mut state, 0, unix_seconds);
        assert_eq!((noted(&mut state), state.time(5_000)), (vec![], None));
    }
    set(&mut state, 0, 1_800_000_000);
    set(&mut state, 1_000, 12);
    assert_eq!(state.time(5_000), Some(1_800_000_005), "the right time stays");
}

#[test]
fn what_happens_to_the_box_is_an_event() {
    let mut state = state();
    state.handle(0, Input::Session(BoxEvent::Asked(Question::SetClock { unix_seconds: 1_800_000_000 })));
    assert_eq!(noted(&mut state), [EventKind::ClockSet { before: None, after: 1_800_000_000 }]);
    // Another computer, not quite as late; then one that is quite wrong.
    state.handle(5_000, Input::Session(BoxEvent::Asked(Question::SetClock { unix_seconds: 1_800_000_030 })));
    assert_eq!(noted(&mut state), []);
    state.handle(6_000, Input::Session(BoxEvent::Asked(Question::SetClock { unix_seconds: 1_800_000_080 })));
    assert_eq!(noted(&mut state), [EventKind::ClockSet { before: Some(1_800_000_031), after: 1_800_000_080 }]);

    start_analysis(&mut state);
    state.handle(7_000, Input::Analysis(Report::Done(Box::new(Err(Unjudged::Refused(Refusal::Blank))))));
    let (refusal, image) = (Refusal::Blank, Some(Digest::of(b"bytes")));
    assert_eq!(noted(&mut state), [EventKind::ImageRefused { refusal, exam: exam(), image }]);
    let (dropped, refusal) = (Dropped::Refused(Refusal::TooManyBytes), Refusal::TooManyBytes);
    state.handle(8_000, Input::Session(BoxEvent::Declined { exam: exam(), dropped }));
    assert_eq!(noted(&mut state), [EventKind::ImageRefused { refusal, exam: exam(), image: None }]);
    start_analysis(&mut state);
    state.handle(9_000, Input::Analysis(Report::Done(Box::new(Err(Unjudged::Failed(Fault::Inference))))));
    assert_eq!(noted(&mut state), [EventKind::Failed { fault: Fault::Inference, exam: exam() }]);

    let refused = Report::Installed(Box::new(Err(ModelRefusal::WrongCard)));
    state.handle(9_000, Input::Analysis(refused));
    assert_eq!(noted(&mut state), [EventKind::UpdateRefused(ModelRefusal::WrongCard)]);
    let loaded = Loaded {
        card: ModelCard::new("another", InputContract::stretched(16)),
        digest: Digest::of(b"another"),
        execution: "float".to_owned(),
        trust: None,
    };
    state.handle(9_000, Input::Analysis(Report::Installed(Box::new(Ok(loaded)))));
    let [event] = &state.take_notes()[..] else { panic!() };
    assert_eq!((event.boot, event.unix_seconds, event.missed), (7, Some(1_800_000_083), 0));
    assert_eq!(event.kind, EventKind::ModelChanged { before: Digest::of(b"model"), after: Digest::of(b"another") });
}

/// A box with limits.
fn limited() -> State {
    let state = state();
    State::new(state.card, state.digest, state.execution, state.boot, state.records)
}

#[test]
fn more_results_than_a_clinic_makes_are_refused_until_time_has_passed() {
    let mut state = limited();
    let mut judge = |now| {
        let effects = state.handle(now, Input::Session(BoxEvent::Image(image())));
        if effects.contains(&Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::TooFast)))) {
            let View::Error { image: Some(_), trouble } = state.view() else { panic!() };
            assert_eq!(*trouble, Trouble::Fault(Fault::TooFast));
            return false;
        }
        let [Effect::Store(record)] = &state.handle(now, judged(0.7))[..] else { panic!() };
        state.handle(now, Input::Stored(Ok(record.clone())));
        true
    };
    assert!((0..200).all(|_| judge(0)));
    assert!(!judge(0) && !judge(9_999));
    assert!(judge(10_000) && !judge(10_000));
    // A night.
    assert!((0..1000).all(|_| judge(43_200_000)) && !judge(43_200_000));
}

#[test]
fn images_that_are_not_judged_take_nothing_from_the_allowance() {
    let mut state = limited();
    for _ in 0..1000 {
        let effects = state.handle(0, Input::Session(BoxEvent::Image(image())));
        assert!(matches!(effects[..], [Effect::Show, Effect::Judge(_)]));
        state.handle(0, Input::Analysis(Report::Done(Box::new(Err(Unjudged::Refused(Refusal::Blank))))));
    }
}

#[test]
fn models_are_not_changed_more_often_than_events_are_kept() {
    let mut state = limited();
    let mut update = |now| state.handle(now, Input::Session(BoxEvent::Update(ModelFile::new(vec![1]).unwrap())));
    for _ in 0..10 {
        assert!(matches!(update(0)[..], [Effect::Install(_)]));
    }
    assert_eq!(update(0), [Effect::Reply(Reply::NotInstalled(Fault::TooFast))]);
    assert!(matches!(update(600_000)[..], [Effect::Install(_)]));
}

#[test]
fn a_flood_of_events_is_counted_and_hides_no_change_of_the_model() {
    let mut state = limited();
    for n in 0..1000 {
        let unix_seconds = 1_800_000_000 + n % 2 * 1000;
        state.handle(0, Input::Session(BoxEvent::Asked(Question::SetClock { unix_seconds })));
    }
    assert_eq!(state.take_notes().len(), 20);
    let loaded = Loaded {
        card: ModelCard::new("another", InputContract::stretched(16)),
        digest: Digest::of(b"another"),
        execution: "float".to_owned(),
        trust: None,
    };
    state.handle(0, Input::Analysis(Report::Installed(Box::new(Ok(loaded)))));
    let [event] = &state.take_notes()[..] else { panic!() };
    assert!(matches!(event.kind, EventKind::ModelChanged { .. }));
    assert_eq!(event.missed, 980, "and how many are not kept");
}

#[test]
fn no_model_is_taken_that_no_event_could_tell_of_or_in_safe_mode() {
    let mut read_only = state();
    read_only.set_journal(Standing { read_only: true, ..Standing::default() });
    let mut safe = state();
    safe.enter_safe_mode();
    for (mut state, fault) in [(read_only, Fault::Storage), (safe, Fault::Internal)] {
        let waiting = state.view().clone();
        state.handle(0, Input::Session(BoxEvent::Updating { done: 1, total: 1 }));
        let effects = state.handle(0, Input::Session(BoxEvent::Update(ModelFile::new(vec![1]).unwrap())));
        assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::NotInstalled(fault))], "no code of a model's");
        assert_eq!(*state.view(), waiting);
    }
}

#[test]
fn a_broken_chain_is_shown_until_somebody_has_read_it_and_told_by_info() {
    let mut state = state();
    state.set_journal_at_start(Standing { broken: Some(9), newly_broken: true, entries: 50, ..Standing::default() });
    assert_eq!(*state.view(), View::error(Trouble::ChainBroken));
    state.handle(0, Input::Session(BoxEvent::Declined { exam: exam(), dropped: Dropped::Refused(Refusal::Blank) }));
    assert_eq!(shown(&mut state, NOTICE_MS, Input::Tick), View::error(Trouble::ChainBroken));
    assert_eq!(shown(&mut state, NOTICE_MS, Input::Key(Key::Back)), View::Ready { results: 41 });
    assert_eq!((state.info().broken, state.info().entries), (Some(9), 50));
}

#[test]
fn nothing_is_judged_while_the_screen_cannot_show_it() {
    let failed = Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Screen)));
    let error = View::Error { image: Some(announced()), trouble: Fault::Screen.into() };
    let mut state = state();
    assert_eq!(state.handle(0, Input::Screen { fails: true }), []);
    let effects = state.handle(0, Input::Session(BoxEvent::Image(image())));
    assert_eq!(effects, [Effect::Show, failed]);
    assert_eq!(*state.view(), error, "so that this is shown when it works again");
    state.handle(0, Input::Screen { fails: false });
    // It fails while an image is judged: the result is not stored, and not told.
    start_analysis(&mut state);
    state.handle(0, Input::Screen { fails: true });
    let failed = Effect::Reply(Reply::Outcome(Outcome::Failed(Fault::Screen)));
    assert_eq!(state.handle(0, judged(0.7)), [Effect::Show, failed]);
    assert_eq!((state.view(), state.info().records), (&error, 41));
    state.handle(0, Input::Screen { fails: false });
    start_analysis(&mut state);
    assert!(matches!(&state.handle(0, judged(0.7))[..], [Effect::Store(_)]));
}
