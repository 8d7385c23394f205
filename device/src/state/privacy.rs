//! To whom the box hands out what it keeps: to a host on which somebody has typed the code on the screen, so who stands before
//! the box; and for how long it shows a result.
//!
//! A code is right only while it is on the screen. It is new each time that one is asked for, and gives a host the results
//! until its session ends. After [`TRIES`] wrong attempts, on one code or on several, none is shown for a minute; each further
//! time for twice as long, up to an hour, until somebody pairs. So a million codes take 19 years of guessing on average, in
//! sight of everybody; a box that is switched off and on again forgets the attempts.
//!
//! A code hides what is below it for [`CODE_MS`] at most, however many are asked for, and then shows it for [`APART_MS`] at least,
//! unless somebody paired.

use shared::{appliance::Share, verdict::Fault};
use wire::{Answer, Reply};

use super::{Effect, State};
use crate::screen::View;

/// How long a code stays on the screen, in milliseconds.
const CODE_MS: u64 = 120_000;
/// Wrong codes that are heard, until somebody pairs or the box locks.
const TRIES: u8 = 3;
/// After so many wrong ones none is shown for this long, in milliseconds: the first time, and at most.
const LOCKED_MS: u64 = 60_000;
const LOCKED_AT_MOST_MS: u64 = 3_600_000;
/// After a code that nobody used none is shown for this long, in milliseconds.
const APART_MS: u64 = 10_000;
/// Codes that there are.
const CODES: u32 = 1_000_000;

/// What hosts may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Privacy {
    share: Share,
    /// After how many milliseconds a result is shown no longer.
    pub(super) blank_after: Option<u64>,
    /// Whether the host of this session has paired.
    paired: bool,
    /// Wrong codes that are still heard.
    tries: u8,
    /// How long the next lock takes, in milliseconds.
    lock: u64,
    /// No code is shown before.
    locked_until: u64,
}

impl Privacy {
    /// Everything is handed out, and shown for ever.
    pub(super) const NONE: Self =
        Self { share: Share::Open, blank_after: None, paired: false, tries: TRIES, lock: LOCKED_MS, locked_until: 0 };

    /// Whether results and screenshots are handed out now.
    pub(super) fn admits(&self) -> bool {
        match self.share {
            Share::Code => self.paired,
            Share::Open => true,
            Share::Off => false,
        }
    }

    /// Whether anybody gets results, if with a code.
    pub(super) fn shares(&self) -> bool {
        self.share != Share::Off
    }

    /// The session is over, or another one begins.
    pub(super) fn part(&mut self) {
        self.paired = false;
    }

    /// A code is on the screen no longer: what it has hidden must be seen before the next one.
    pub(super) fn code_ended(&mut self, now: u64) {
        if !self.paired {
            self.locked_until = self.locked_until.max(now.saturating_add(APART_MS));
        }
    }

    /// Counts a wrong code. Returns whether no more are heard for a while.
    fn wrong(&mut self, now: u64) -> bool {
        self.tries = self.tries.saturating_sub(1);
        let locks = self.tries == 0;
        if locks {
            self.locked_until = now.saturating_add(self.lock);
            (self.tries, self.lock) = (TRIES, (self.lock * 2).min(LOCKED_AT_MOST_MS));
        }
        locks
    }
}

impl State {
    /// To whom results and screenshots are handed out, instead of everybody, and after how many milliseconds a result is shown
    /// no longer, instead of never.
    pub fn set_privacy(&mut self, share: Share, blank_after: Option<u64>) {
        self.privacy = Privacy { share, blank_after, ..Privacy::NONE };
    }

    /// An effect that hands something out, or that the host must pair first.
    pub(super) fn hand_out(&self, effect: Effect) -> Vec<Effect> {
        vec![if self.privacy.admits() { effect } else { Effect::Reply(Reply::Failed(Fault::NotPaired)) }]
    }

    /// A host asks for a code.
    pub(super) fn show_code(&self, now: u64) -> Vec<Effect> {
        let failed = |fault| vec![Effect::Reply(Reply::Failed(fault))];
        match self.privacy.share {
            // An image or an update is not hidden.
            Share::Code if self.view.is_busy() => failed(Fault::Busy),
            // Nobody could read it.
            Share::Code if self.screen_fails => failed(Fault::Screen),
            Share::Code if now >= self.privacy.locked_until => vec![Effect::DrawCode],
            _ => failed(Fault::NotPaired),
        }
    }

    /// The code that is to be shown, if there is one.
    pub(super) fn code_drawn(&mut self, now: u64, number: Option<u32>) -> Vec<Effect> {
        let Some(number) = number else { return vec![Effect::Reply(Reply::Failed(Fault::Internal))] };
        // One in the place of another ends when that would have.
        let until = self.until.filter(|_| matches!(self.view, View::Code(_))).unwrap_or(now.saturating_add(CODE_MS));
        let show = self.cover(View::Code(number % CODES));
        self.until = Some(until);
        vec![show, Effect::Reply(Reply::Answer(Answer::CodeShown))]
    }

    /// A host says what somebody has typed.
    pub(super) fn pair(&mut self, now: u64, typed: u32) -> Vec<Effect> {
        let failed = Effect::Reply(Reply::Failed(Fault::NotPaired));
        let View::Code(code) = self.view else { return vec![failed] };
        if typed == code {
            (self.privacy.paired, self.privacy.tries, self.privacy.lock) = (true, TRIES, LOCKED_MS);
            return vec![self.idle(now), Effect::Reply(Reply::Answer(Answer::Paired))];
        }
        if self.privacy.wrong(now) { vec![self.idle(now), failed] } else { vec![failed] }
    }
}

#[cfg(test)]
mod tests {
    use shared::verdict::Refusal;
    use wire::{BoxEvent, Dropped, Question};

    use super::{
        super::{
            Input, Outcome,
            tests::{exam, judged, start_analysis, state},
        },
        *,
    };
    use crate::{journal::Standing, keys::Key, screen::Trouble};

    const NOT_PAIRED: Effect = Effect::Reply(Reply::Failed(Fault::NotPaired));

    fn private(share: Share) -> State {
        let mut state = state();
        state.set_privacy(share, Some(15 * 60_000));
        state
    }

    fn session(state: &mut State, now: u64, event: BoxEvent) -> Vec<Effect> {
        state.handle(now, Input::Session(event))
    }

    fn ask(state: &mut State, now: u64, question: Question) -> Vec<Effect> {
        session(state, now, BoxEvent::Asked(question))
    }

    /// Asks for a code, which is this one.
    fn code(state: &mut State, now: u64, number: u32) {
        assert_eq!(ask(state, now, Question::ShowCode), [Effect::DrawCode]);
        let effects = state.handle(now, Input::Code(Some(number)));
        assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Answer(Answer::CodeShown))]);
        assert_eq!(*state.view(), View::Code(number % CODES));
    }

    /// Whether it hands out a record and a screenshot.
    fn hands_out(state: &mut State) -> bool {
        let record = session(state, 0, BoxEvent::Record { number: 1 });
        let screenshot = session(state, 0, BoxEvent::Screenshot);
        assert_eq!(record == [NOT_PAIRED], screenshot == [NOT_PAIRED]);
        record == [Effect::Record(1)]
    }

    /// Judges an image, whose result is on the screen then.
    fn result(state: &mut State, now: u64) {
        start_analysis(state);
        let [Effect::Store(record)] = &state.handle(now, judged(0.7))[..] else { panic!() };
        let record = record.clone();
        let effects = state.handle(now, Input::Stored(Ok(record.clone())));
        assert!(effects.contains(&Effect::Reply(Reply::Outcome(Outcome::Result(record)))));
    }

    #[test]
    fn whoever_has_a_cable_gets_neither_results_nor_the_screen() {
        let mut state = private(Share::Code);
        session(&mut state, 0, BoxEvent::HostConnected);
        assert!(!hands_out(&mut state));
        assert_eq!(ask(&mut state, 0, Question::Pair { code: 0 }), [NOT_PAIRED], "no code is shown");
        code(&mut state, 0, 7_123_456);
        assert!(!hands_out(&mut state), "a screenshot would show it");
        let paired = Effect::Reply(Reply::Answer(Answer::Paired));
        assert_eq!(ask(&mut state, 0, Question::Pair { code: 123_456 }), [Effect::Show, paired]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
        assert!(hands_out(&mut state));
        assert_eq!(ask(&mut state, 0, Question::Pair { code: 123_456 }), [NOT_PAIRED], "it is right once");
        assert!(hands_out(&mut state));
        session(&mut state, 0, BoxEvent::HostGone);
        session(&mut state, 0, BoxEvent::HostConnected);
        assert!(!hands_out(&mut state), "the next host pairs itself");
        let mut off = private(Share::Off);
        assert_eq!(ask(&mut off, 0, Question::ShowCode), [NOT_PAIRED]);
        assert!(!hands_out(&mut off) && hands_out(&mut private(Share::Open)));
    }

    #[test]
    fn a_code_takes_few_attempts_and_little_time() {
        let mut state = private(Share::Code);
        code(&mut state, 0, 5);
        for _ in 1..TRIES {
            assert_eq!(ask(&mut state, 0, Question::Pair { code: 6 }), [NOT_PAIRED]);
        }
        assert_eq!(ask(&mut state, 0, Question::Pair { code: 6 }), [Effect::Show, NOT_PAIRED]);
        assert_eq!(ask(&mut state, 0, Question::Pair { code: 5 }), [NOT_PAIRED], "it is not on the screen any more");
        assert_eq!(ask(&mut state, LOCKED_MS - 1, Question::ShowCode), [NOT_PAIRED]);
        code(&mut state, LOCKED_MS, 5);
        assert_eq!(state.deadline(), Some(LOCKED_MS + CODE_MS));
        state.handle(LOCKED_MS + CODE_MS, Input::Tick);
        assert_eq!(ask(&mut state, LOCKED_MS + CODE_MS, Question::Pair { code: 5 }), [NOT_PAIRED]);
        // Whoever stands before the box can end it, too.
        code(&mut state, 500_000, 5);
        state.handle(500_000, Input::Key(Key::Back));
        assert_eq!(ask(&mut state, 500_000, Question::Pair { code: 5 }), [NOT_PAIRED]);
        assert!(!hands_out(&mut state));
        assert_eq!(ask(&mut state, 510_000, Question::ShowCode), [Effect::DrawCode]);
        let failed = Effect::Reply(Reply::Failed(Fault::Internal));
        assert_eq!(state.handle(500_000, Input::Code(None)), [failed]);
    }

    #[test]
    fn a_code_hides_no_image_and_gives_a_verdict_back() {
        let mut state = private(Share::Code);
        start_analysis(&mut state);
        assert_eq!(ask(&mut state, 0, Question::ShowCode), [Effect::Reply(Reply::Failed(Fault::Busy))]);
        result(&mut state, 0);
        code(&mut state, 60_000, 5);
        code(&mut state, 61_000, 6);
        state.handle(60_000 + CODE_MS, Input::Tick);
        assert!(matches!(state.view(), View::Result { minutes: 3, .. }), "{:?}", state.view());
        code(&mut state, 200_000, 7);
        state.handle(200_000, Input::LineLost { last: false, in_use: true });
        assert!(matches!(state.view(), View::Result { .. }), "a code goes with its line");
    }

    /// Types three wrong codes, of which the last locks.
    fn lock(state: &mut State, now: u64) {
        code(state, now, 5);
        for _ in 1..TRIES {
            assert_eq!(ask(state, now, Question::Pair { code: 6 }), [NOT_PAIRED]);
        }
        assert_eq!(ask(state, now, Question::Pair { code: 6 }), [Effect::Show, NOT_PAIRED]);
    }

    #[test]
    fn another_code_gives_no_more_attempts() {
        let mut state = private(Share::Code);
        for attempt in 1..=u64::from(TRIES) {
            code(&mut state, attempt, 5);
            ask(&mut state, attempt, Question::Pair { code: 6 });
        }
        assert_eq!(*state.view(), View::Ready { results: 41 });
        assert_eq!(ask(&mut state, 30_000, Question::ShowCode), [NOT_PAIRED]);
    }

    #[test]
    fn a_lock_takes_longer_each_time_until_somebody_pairs() {
        let mut state = private(Share::Code);
        let mut now = 0;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            lock(&mut state, now);
            now += minutes * 60_000;
            assert_eq!(ask(&mut state, now - 1, Question::ShowCode), [NOT_PAIRED], "{minutes} min");
        }
        code(&mut state, now, 5);
        ask(&mut state, now, Question::Pair { code: 5 });
        assert!(hands_out(&mut state));
        lock(&mut state, now);
        code(&mut state, now + 60_000, 5);
    }

    #[test]
    fn guessing_a_code_takes_years() {
        let mut state = private(Share::Code);
        let (mut now, mut attempts) = (0, 0);
        let days = 30;
        while now < days * 86_400_000 {
            if ask(&mut state, now, Question::ShowCode) == [Effect::DrawCode] {
                state.handle(now, Input::Code(Some(5)));
                ask(&mut state, now, Question::Pair { code: 6 });
                attempts += 1;
            } else {
                now += 10_000;
            }
        }
        let years = u64::from(CODES / 2) * days / attempts / 365;
        assert!(years >= 15, "half of the codes take {years} years");
    }

    #[test]
    fn no_code_is_drawn_where_nobody_can_read_it() {
        let mut state = private(Share::Code);
        state.handle(0, Input::Screen { fails: true });
        let failed = Effect::Reply(Reply::Failed(Fault::Screen));
        assert_eq!(ask(&mut state, 0, Question::ShowCode), [failed]);
        state.handle(1, Input::Screen { fails: false });
        code(&mut state, 1, 5);
    }

    #[test]
    fn a_code_gives_a_refusal_and_an_error_back() {
        let refused = Dropped::Refused(Refusal::TooSmall);
        for dropped in [refused, Dropped::Failed(Fault::Timeout)] {
            let declined = || BoxEvent::Declined { exam: exam(), dropped };
            let mut state = private(Share::Code);
            session(&mut state, 0, declined());
            let notice = state.view().clone();
            code(&mut state, 1, 5);
            assert_eq!(state.handle(1 + CODE_MS, Input::Tick), [Effect::Show]);
            assert_eq!(*state.view(), notice);
            assert_eq!(state.handle(1 + CODE_MS + 30_000, Input::Tick), [Effect::Show]);
            assert_eq!(*state.view(), View::Ready { results: 41 });
            // Not after another image.
            session(&mut state, 300_000, declined());
            code(&mut state, 300_000, 5);
            session(&mut state, 300_001, BoxEvent::Receiving { exam: exam(), done: 0, total: 10 });
            session(&mut state, 300_002, BoxEvent::Dropped(Dropped::Cancelled));
            assert_eq!(*state.view(), View::Ready { results: 41 });
            // From behind an update as well.
            session(&mut state, 400_000, declined());
            session(&mut state, 400_001, BoxEvent::Updating { done: 0, total: 10 });
            session(&mut state, 400_002, BoxEvent::HostGone);
            assert_eq!(*state.view(), notice);
        }
    }

    #[test]
    fn a_line_that_is_back_is_not_told_as_lost_after_a_code() {
        let mut state = private(Share::Code);
        state.handle(0, Input::LineLost { last: false, in_use: true });
        code(&mut state, 1, 5);
        state.handle(2, Input::LineBack);
        state.handle(3, Input::Key(Key::Back));
        assert_eq!(*state.view(), View::Ready { results: 41 });
    }

    #[test]
    fn codes_do_not_hide_a_verdict_for_good() {
        let mut state = private(Share::Code);
        result(&mut state, 0);
        for now in [60_000, 61_000, 100_000] {
            code(&mut state, now, 5);
            assert_eq!(state.deadline(), Some(60_000 + CODE_MS), "another one stays no longer");
        }
        let ended = 60_000 + CODE_MS;
        state.handle(ended, Input::Tick);
        assert!(matches!(state.view(), View::Result { .. }));
        assert_eq!(ask(&mut state, ended + 9_999, Question::ShowCode), [NOT_PAIRED]);
        code(&mut state, ended + 10_000, 5);
        // Whoever stands before the box need not wait.
        ask(&mut state, ended + 10_001, Question::Pair { code: 5 });
        code(&mut state, ended + 10_001, 5);
        // A line that goes and comes back does not get around it.
        session(&mut state, ended + 10_002, BoxEvent::HostGone);
        state.handle(ended + 10_002, Input::LineLost { last: true, in_use: true });
        state.handle(ended + 10_002, Input::LineBack);
        assert_eq!(ask(&mut state, ended + 10_003, Question::ShowCode), [NOT_PAIRED]);
    }

    #[test]
    fn a_verdict_that_is_shown_no_longer_makes_no_box_ready_that_is_not() {
        let mut state = private(Share::Code);
        result(&mut state, 0);
        state.handle(1, Input::LineLost { last: true, in_use: true });
        state.handle(15 * 60_000, Input::Tick);
        assert_eq!(*state.view(), View::error(Trouble::LineLost));
        // Behind an update, and the card fails later.
        let mut state = private(Share::Code);
        result(&mut state, 0);
        session(&mut state, 1, BoxEvent::Updating { done: 0, total: 10 });
        session(&mut state, 16 * 60_000, BoxEvent::HostGone);
        assert_eq!(*state.view(), View::Blanked { results: 42 });
        state.set_journal(Standing { read_only: true, ..Standing::default() });
        assert_eq!(*state.view(), View::error(Trouble::NoStorage));
    }

    #[test]
    fn a_result_is_not_shown_for_ever() {
        let mut state = private(Share::Code);
        result(&mut state, 0);
        for minute in 1..15 {
            assert_eq!(state.deadline(), Some(minute * 60_000));
            state.handle(minute * 60_000, Input::Tick);
            assert!(matches!(state.view(), View::Result { minutes, .. } if *minutes == minute));
        }
        assert_eq!(state.handle(15 * 60_000, Input::Tick), [Effect::Show]);
        assert_eq!(*state.view(), View::Blanked { results: 42 });
        assert_eq!(state.deadline(), None);
        // Nor does it come back from behind an update.
        let mut state = private(Share::Code);
        result(&mut state, 0);
        session(&mut state, 60_000, BoxEvent::Updating { done: 0, total: 10 });
        session(&mut state, 16 * 60_000, BoxEvent::HostGone);
        assert_eq!(*state.view(), View::Blanked { results: 42 });
        // And one that may stay does.
        let mut state = private(Share::Code);
        state.set_privacy(Share::Code, None);
        result(&mut state, 0);
        state.handle(600 * 60_000, Input::Tick);
        assert!(matches!(state.view(), View::Result { minutes: 600, .. }));
    }

    #[test]
    fn whoever_knows_an_image_may_ask_for_its_result() {
        let mut state = private(Share::Off);
        let image = shared::verdict::Digest::of(b"bytes");
        let effects = ask(&mut state, 0, Question::StoredResult { image, from: 3 });
        assert_eq!(effects, [Effect::Find { image, from: 3 }]);
        let answer = Effect::Reply(Reply::Answer(Answer::StoredResult(None)));
        assert_eq!(state.handle(0, Input::Found(Ok(None))), [answer]);
    }
}
