//! What a memory stick brings about: one film on it is judged at once; of several there is a list, of which keys choose one, and
//! the newest is judged where nobody touches a key.
//!
//! The list is what is shown while nothing happens, for as long as there is one. It hides neither what comes in, nor a code, nor
//! what became of an image before that had its time: a verdict of the last [`PAST_AFTER`] minutes, a refusal, an error. So somebody
//! who has not read a verdict finds it there until another film is judged, which whoever has plugged the stick in has asked for. What
//! keys have not asked for waits until a verdict, a refusal or an error has had its time.
//! The same holds for what is wrong with a stick; it is shown when its turn has come.
//!
//! A marked stick offers more: that the results are written onto it, and that the bundle of the box's program on it is taken. These are
//! rows below the films. Nothing but a key brings them about ([`State::begin`]): results are records of patients, and whoever has plugged
//! a stick in with a film on it has not asked for them. Where nobody gets results at all ([`shared::appliance::Share::Off`]), none are offered.

use std::sync::Arc;

use super::{Effect, MINUTE_MS, State};
use crate::{
    keys::Key,
    screen::{Offers, PAST_AFTER, Prompt, StickTrouble, Trouble, View},
    stick::{Bundle, Event, Film, Heading},
};

/// How long there is to choose before the newest film is judged, in milliseconds. A verdict stays for as long before that takes its
/// place.
const COUNTDOWN_MS: u64 = 20_000;
/// How long a list is there without a key, in milliseconds.
const LIST_MS: u64 = 10 * MINUTE_MS;

/// The films of the stick that is in, and what else can be done with it.
#[derive(Debug, Clone)]
pub(super) struct Films {
    stick: u32,
    films: Arc<[Film]>,
    /// The bundle on it, if that can be taken, and whether results can be written onto it.
    program: Option<Bundle>,
    takes_results: bool,
    chosen: usize,
    /// When the newest is judged, and in how many seconds that was when they were counted last.
    due: Option<u64>,
    seconds: u64,
    /// When the list is over.
    until: u64,
    /// Whether there is one film, which has not been judged yet: there is nothing to choose before that.
    single: bool,
    /// What is being done.
    doing: Doing,
    /// The name of the files that were written last, until somebody has read it.
    written: Option<String>,
}

/// What is being done with a stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// A film is being fetched, or judged.
    Film,
    /// So many results are being written, of so many.
    Writing(u64, u64),
    /// So many bytes of the bundle are in the box, of so many.
    Taking(u32, u32),
}

/// A row of the list.
enum Row {
    Film(usize),
    Program,
    Results,
}

impl Films {
    /// The list as it is shown, on a box with so many results.
    pub(super) fn view(&self, results: u64) -> View {
        match self.doing {
            Doing::Writing(done, total) => return View::Writing { done, total },
            Doing::Taking(done, total) => return View::Program { done, total },
            Doing::Nothing | Doing::Film => {}
        }
        if let Some(name) = &self.written {
            return View::Written { name: name.clone() };
        }
        let prompt = match self.due {
            _ if self.doing == Doing::Film || self.single => Prompt::Reading,
            Some(_) => Prompt::Countdown(self.seconds),
            None => Prompt::Choose,
        };
        View::Films { films: Arc::clone(&self.films), offers: self.offers(results), chosen: self.chosen, prompt }
    }

    /// What there is besides the films.
    fn offers(&self, results: u64) -> Offers {
        Offers { program: self.program.clone(), results: (self.takes_results && results > 0).then_some(results) }
    }

    /// The row that is chosen, if there is one.
    fn row(&self, results: u64) -> Option<Row> {
        let mut rows: Vec<Row> = (0..self.films.len()).map(Row::Film).collect();
        let Offers { program, results } = self.offers(results);
        rows.extend(program.map(|_| Row::Program));
        rows.extend(results.map(|_| Row::Results));
        rows.into_iter().nth(self.chosen)
    }

    /// Whether something is being done, so that nothing else is begun.
    fn is_busy(&self) -> bool {
        self.doing != Doing::Nothing
    }

    /// Whether the bundle on it is being taken.
    fn takes_program(&self) -> bool {
        matches!(self.doing, Doing::Taking(..))
    }

    /// Counts the seconds that are left.
    fn count(&mut self, now: u64) {
        self.seconds = self.due.map_or(0, |due| due.saturating_sub(now).div_ceil(1000));
    }
}

impl State {
    pub(super) fn stick(&mut self, now: u64, event: Event) -> Vec<Effect> {
        match event {
            Event::Films { stick, films } => self.plugged(now, stick, films),
            Event::Trouble(trouble) => {
                self.films = None;
                self.stick_trouble(now, Trouble::Stick(trouble))
            }
            Event::Marked { stick, bundle } => {
                self.marked = Some((stick, bundle));
                Vec::new()
            }
            Event::Wants { stick, from, last, done } => self.hand_on(now, stick, from, (done, last)),
            Event::Taken { stick, done, total } => {
                self.goes_on(now, stick, |doing| matches!(doing, Doing::Taking(..)), Doing::Taking(done, total))
            }
            Event::Written { stick, name } => {
                if let Some(films) = self.films.as_mut().filter(|films| films.stick == stick) {
                    (films.written, films.until) = (Some(name), now.saturating_add(LIST_MS));
                }
                Vec::new()
            }
            Event::Ended { stick, trouble } => {
                let (results, mut is_known, mut is_taken) = (self.records, false, false);
                if let Some(films) = self.films.as_mut().filter(|films| films.stick == stick) {
                    is_known = true;
                    is_taken = films.takes_program() && trouble.is_none();
                    // It was the only one, and there is nothing else.
                    let is_single = films.single && films.offers(results).count() == 0;
                    (films.doing, films.single) = (Doing::Nothing, false);
                    // Nothing more is done with a stick that has not confirmed what was written onto it.
                    let is_over = is_single || trouble == Some(StickTrouble::NotClosed);
                    // What became of a program is said while the box is ready.
                    self.films.take_if(|_| is_taken || is_over);
                }
                match trouble {
                    // The box has said why.
                    Some(StickTrouble::ProgramNotTaken) if !is_known => Vec::new(),
                    Some(trouble) => self.stick_trouble(now, Trouble::Stick(trouble)),
                    None if is_taken && matches!(self.view, View::Program { .. }) => vec![self.idle(now)],
                    None => self.turn_list(now),
                }
            }
            Event::Gone { stick } => {
                self.films.take_if(|films| films.stick == stick);
                self.marked.take_if(|(marked, _)| *marked == stick);
                self.turn_list(now)
            }
        }
    }

    fn plugged(&mut self, now: u64, stick: u32, films: Vec<Film>) -> Vec<Effect> {
        self.stick_says = None;
        let waits = self.view.is_busy() || self.fresh_until().is_some_and(|until| until > now);
        let single = films.len() == 1;
        let reading = single && !waits;
        let due = match films.len() {
            0 => None,
            1 => (!reading).then_some(now),
            _ => Some(now.saturating_add(COUNTDOWN_MS)),
        };
        let marked = self.marked.take().filter(|(marked, _)| *marked == stick);
        let mut list = Films {
            stick,
            films: films.into(),
            takes_results: marked.is_some() && self.privacy.shares(),
            program: marked.and_then(|(_, bundle)| bundle),
            chosen: 0,
            due,
            seconds: 0,
            until: now.saturating_add(LIST_MS),
            single,
            doing: if reading { Doing::Film } else { Doing::Nothing },
            written: None,
        };
        if list.films.is_empty() && list.offers(self.records).count() == 0 {
            self.films = None;
            return self.stick_trouble(now, Trouble::Stick(StickTrouble::NoFilms));
        }
        list.count(now);
        self.films = Some(list);
        let mut effects = Vec::new();
        if self.gives_way() {
            let waiting = self.waiting();
            effects.push(self.show(waiting));
        }
        if reading {
            effects.push(Effect::Film { stick, film: 0 });
        }
        effects
    }

    /// Says what is wrong with a stick, now or when its turn has come.
    fn stick_trouble(&mut self, now: u64, trouble: Trouble) -> Vec<Effect> {
        if self.gives_way() {
            return vec![self.notice(now, View::error(trouble))];
        }
        self.stick_says = Some(trouble);
        Vec::new()
    }

    /// Whether the bundle on a stick is being taken.
    pub(super) fn takes_program(&self) -> bool {
        self.films.as_ref().is_some_and(Films::takes_program)
    }

    /// Says why the bundle on a stick is not taken, now or when its turn has come, if one was being taken: no host says it.
    pub(super) fn program_fails(&mut self, now: u64, trouble: Trouble) -> Option<Vec<Effect>> {
        self.films.take_if(|films| films.takes_program())?;
        self.coming = None;
        Some(self.stick_trouble(now, trouble))
    }

    /// Whether what is shown may give way to a list, or to what is wrong with a stick.
    fn gives_way(&self) -> bool {
        match &self.view {
            View::Result { minutes, .. } => *minutes >= PAST_AFTER,
            View::Refused { .. } | View::Error { image: Some(_), .. } => self.until.is_none(),
            View::Code(_) => false,
            view => !view.is_busy(),
        }
    }

    /// Until when what is shown is not to give way to a film that keys have not asked for.
    fn fresh_until(&self) -> Option<u64> {
        match &self.view {
            View::Result { .. } => Some(self.judged.saturating_add(COUNTDOWN_MS)),
            View::Refused { .. } | View::Error { image: Some(_), .. } => self.until,
            _ => None,
        }
    }

    /// Shows a list as it is now, or what comes after it, if a list is shown.
    fn turn_list(&mut self, now: u64) -> Vec<Effect> {
        if self.view.is_of_stick() { vec![self.idle(now)] } else { Vec::new() }
    }

    /// The next results are wanted, of so many up to the last one.
    fn hand_on(&mut self, now: u64, stick: u32, from: u64, (done, last): (u64, u64)) -> Vec<Effect> {
        let is_writing = |films: &&Films| films.stick == stick && matches!(films.doing, Doing::Writing(..));
        // Of a stick that somebody has asked for it with a key.
        if self.films.as_ref().filter(is_writing).is_none() {
            return Vec::new();
        }
        let mut effects =
            self.goes_on(now, stick, |doing| matches!(doing, Doing::Writing(..)), Doing::Writing(done, last));
        effects.push(Effect::Results { from, last });
        effects
    }

    /// Takes note of how far something has got that is being done, and shows it where nothing else is shown.
    fn goes_on(&mut self, now: u64, stick: u32, is_it: impl Fn(Doing) -> bool, doing: Doing) -> Vec<Effect> {
        let results = self.records;
        let Some(films) = self.films.as_mut().filter(|films| films.stick == stick && is_it(films.doing)) else {
            return Vec::new();
        };
        (films.doing, films.until) = (doing, now.saturating_add(LIST_MS));
        let view = films.view(results);
        let is_shown = self.view.is_of_stick() || matches!(self.view, View::Program { .. });
        if is_shown { self.progress(now, false, view) } else { Vec::new() }
    }

    /// What idleness shows first, and once.
    pub(super) fn stick_notice(&mut self, now: u64) -> Option<Effect> {
        if let Some(films) = &mut self.films {
            if films.single {
                // Whoever has read what was shown waits no longer.
                films.due = films.due.map(|due| due.min(now));
            }
            films.count(now);
        }
        let trouble = self.stick_says.take()?;
        Some(self.notice(now, View::error(trouble)))
    }

    pub(super) fn stick_deadline(&self) -> Option<u64> {
        if self.stick_says.is_some() && self.gives_way() {
            return Some(0);
        }
        if self.view.is_busy() {
            return None;
        }
        let films = self.films.as_ref().filter(|films| !films.is_busy())?;
        let next = match films.due {
            Some(due) if self.view.is_of_stick() => due.saturating_sub(films.seconds.saturating_sub(1) * 1000),
            Some(due) => due,
            None => films.until,
        };
        Some(next.min(films.until))
    }

    /// What the time has brought about, if anything.
    pub(super) fn stick_tick(&mut self, now: u64) -> Option<Vec<Effect>> {
        if self.stick_says.is_some() && self.gives_way() {
            return Some(vec![self.idle(now)]);
        }
        if self.view.is_busy() {
            return None;
        }
        let fresh = self.fresh_until();
        let films = self.films.as_mut()?;
        if films.until <= now && !films.is_busy() {
            self.films = None;
            return Some(self.turn_list(now)).filter(|effects| !effects.is_empty());
        }
        let due = films.due.as_mut()?;
        if *due <= now {
            match fresh.filter(|&fresh| fresh > now) {
                Some(fresh) => *due = fresh,
                None => return Some(self.begin(now, false)),
            }
        }
        let list = self.view.is_of_stick();
        list.then(|| self.turn_list(now))
    }

    /// A key, while a list is shown.
    pub(super) fn list_key(&mut self, now: u64, key: Key) -> Vec<Effect> {
        let results = self.records;
        let Some(films) = &mut self.films else { return Vec::new() };
        if key != Key::About && !films.is_busy() && films.written.take().is_some() {
            // It has been read.
            films.until = now.saturating_add(LIST_MS);
            return self.turn_list(now);
        }
        if key == Key::Choose {
            return self.begin(now, true);
        }
        if films.is_busy() || films.single {
            // What is shown as chosen stays the film that the verdict will be on.
            return if key == Key::About { vec![self.about(now)] } else { Vec::new() };
        }
        // Whoever is there chooses.
        (films.due, films.until) = (None, now.saturating_add(LIST_MS));
        let rows = films.films.len() + films.offers(results).count();
        match key {
            // The newest film is the uppermost one.
            Key::Older => films.chosen = films.chosen.saturating_sub(1),
            Key::Newer => films.chosen = (films.chosen + 1).min(rows.saturating_sub(1)),
            Key::Back => self.films = None,
            Key::About | Key::Choose => return vec![self.about(now)],
            // Its press has done all.
            Key::Held => {}
        }
        self.turn_list(now)
    }

    /// Begins what is chosen, unless something is being done. Without a key only a film is judged.
    fn begin(&mut self, now: u64, by_key: bool) -> Vec<Effect> {
        let (results, model) = (self.records, self.card.name.clone());
        let heading = Heading { last: results, model, digest: self.digest, synthetic: self.card.provenance.synthetic };
        let Some(films) = self.films.as_mut().filter(|films| !films.is_busy()) else { return Vec::new() };
        let stick = films.stick;
        let (doing, effect) = match films.row(results) {
            Some(Row::Film(film)) => (Doing::Film, Effect::Film { stick, film }),
            Some(Row::Program) if by_key => {
                let total = films.program.as_ref().map_or(0, |bundle| bundle.size);
                (Doing::Taking(0, total), Effect::TakeProgram { stick })
            }
            Some(Row::Results) if by_key => (Doing::Writing(0, results), Effect::WriteResults { stick, heading }),
            _ => return Vec::new(),
        };
        (films.due, films.until, films.doing) = (None, now.saturating_add(LIST_MS), doing);
        let mut effects = self.turn_list(now);
        effects.push(effect);
        effects
    }
}

#[cfg(test)]
mod tests;
