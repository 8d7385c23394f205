//! What a memory stick brings about: one film on it is judged at once; of several there is a list, of which keys choose one, and
//! the newest is judged where nobody touches a key.
//!
//! The list is what is shown while nothing happens, for as long as there is one. It hides neither what comes in, nor a code, nor
//! what became of an image before that had its time: a verdict of the last [`PAST_AFTER`] minutes, a refusal, an error. So somebody
//! who has not read a verdict finds it there until another film is judged, which whoever has plugged the stick in has asked for. What
//! keys have not asked for waits until a verdict, a refusal or an error has had its time.
//! The same holds for what is wrong with a stick; it is shown when its turn has come.

use std::sync::Arc;

use super::{Effect, MINUTE_MS, State};
use crate::{
    keys::Key,
    screen::{PAST_AFTER, Prompt, StickTrouble, Trouble, View},
    stick::{Event, Film},
};

/// How long there is to choose before the newest film is judged, in milliseconds. A verdict stays for as long before that takes its
/// place.
const COUNTDOWN_MS: u64 = 20_000;
/// How long a list is there without a key, in milliseconds.
const LIST_MS: u64 = 10 * MINUTE_MS;

/// The films of the stick that is in.
#[derive(Debug, Clone)]
pub(super) struct Films {
    stick: u32,
    films: Arc<[Film]>,
    chosen: usize,
    /// When the newest is judged, and in how many seconds that was when they were counted last.
    due: Option<u64>,
    seconds: u64,
    /// When the list is over.
    until: u64,
    /// Whether a film is being fetched, or judged.
    reading: bool,
}

impl Films {
    /// The list as it is shown.
    pub(super) fn view(&self) -> View {
        let prompt = match self.due {
            _ if self.reading || self.is_single() => Prompt::Reading,
            Some(_) => Prompt::Countdown(self.seconds),
            None => Prompt::Choose,
        };
        View::Films { films: Arc::clone(&self.films), chosen: self.chosen, prompt }
    }

    /// Whether there is nothing to choose. Such a list is shown only once its film's turn has come.
    fn is_single(&self) -> bool {
        self.films.len() == 1
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
                self.stick_trouble(now, trouble)
            }
            Event::Ended { stick, trouble } => {
                if let Some(films) = self.films.as_mut().filter(|films| films.stick == stick) {
                    films.reading = false;
                    // It was the only one.
                    self.films.take_if(|films| films.is_single());
                }
                match trouble {
                    Some(trouble) => self.stick_trouble(now, trouble),
                    None => self.turn_list(now),
                }
            }
            Event::Gone { stick } => {
                self.films.take_if(|films| films.stick == stick);
                self.turn_list(now)
            }
        }
    }

    fn plugged(&mut self, now: u64, stick: u32, films: Vec<Film>) -> Vec<Effect> {
        self.stick_says = None;
        let waits = self.view.is_busy() || self.fresh_until().is_some_and(|until| until > now);
        let is_single = films.len() == 1;
        let reading = is_single && !waits;
        let due = (!reading).then_some(if is_single { now } else { now.saturating_add(COUNTDOWN_MS) });
        let until = now.saturating_add(LIST_MS);
        let mut list = Films { stick, films: films.into(), chosen: 0, due, seconds: 0, until, reading };
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
    fn stick_trouble(&mut self, now: u64, trouble: StickTrouble) -> Vec<Effect> {
        if self.gives_way() {
            return vec![self.notice(now, View::error(Trouble::Stick(trouble)))];
        }
        self.stick_says = Some(trouble);
        Vec::new()
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
        if matches!(self.view, View::Films { .. }) { vec![self.idle(now)] } else { Vec::new() }
    }

    /// What idleness shows first, and once.
    pub(super) fn stick_notice(&mut self, now: u64) -> Option<Effect> {
        if let Some(films) = &mut self.films {
            if films.is_single() {
                // Whoever has read what was shown waits no longer.
                films.due = films.due.map(|due| due.min(now));
            }
            films.count(now);
        }
        let trouble = self.stick_says.take()?;
        Some(self.notice(now, View::error(Trouble::Stick(trouble))))
    }

    pub(super) fn stick_deadline(&self) -> Option<u64> {
        if self.stick_says.is_some() && self.gives_way() {
            return Some(0);
        }
        if self.view.is_busy() {
            return None;
        }
        let films = self.films.as_ref()?;
        let next = match films.due {
            Some(due) if matches!(self.view, View::Films { .. }) => {
                due.saturating_sub(films.seconds.saturating_sub(1) * 1000)
            }
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
        if films.until <= now {
            self.films = None;
            return Some(self.turn_list(now)).filter(|effects| !effects.is_empty());
        }
        let due = films.due.as_mut()?;
        if *due <= now {
            match fresh.filter(|&fresh| fresh > now) {
                Some(fresh) => *due = fresh,
                None => return Some(self.choose(now)),
            }
        }
        let list = matches!(self.view, View::Films { .. });
        list.then(|| self.turn_list(now))
    }

    /// A key, while a list is shown.
    pub(super) fn list_key(&mut self, now: u64, key: Key) -> Vec<Effect> {
        if key == Key::Choose {
            return self.choose(now);
        }
        let Some(films) = &mut self.films else { return Vec::new() };
        if films.reading || films.is_single() {
            // What is shown as chosen stays the film that the verdict will be on.
            return if key == Key::About { vec![self.about(now)] } else { Vec::new() };
        }
        // Whoever is there chooses.
        (films.due, films.until) = (None, now.saturating_add(LIST_MS));
        match key {
            // The newest film is the uppermost one.
            Key::Older => films.chosen = films.chosen.saturating_sub(1),
            Key::Newer => films.chosen = (films.chosen + 1).min(films.films.len().saturating_sub(1)),
            Key::Back => self.films = None,
            Key::About | Key::Choose => return vec![self.about(now)],
            // Its press has done all.
            Key::Held => {}
        }
        self.turn_list(now)
    }

    /// Has the film fetched that is chosen, unless one is.
    fn choose(&mut self, now: u64) -> Vec<Effect> {
        let Some(films) = self.films.as_mut().filter(|films| !films.reading) else { return Vec::new() };
        (films.due, films.until, films.reading) = (None, now.saturating_add(LIST_MS), true);
        let film = Effect::Film { stick: films.stick, film: films.chosen };
        let mut effects = self.turn_list(now);
        effects.push(film);
        effects
    }
}

#[cfg(test)]
mod tests;
