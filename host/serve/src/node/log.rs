//! What consoles did last, for whoever sets them up. Addresses and titles of machines, never anything of a patient.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ::node::{Event, What};
use base::calendar::now;
use shared::appliance::Language;

/// Lines that are kept.
const LINES: usize = 100;
/// Consoles whose last trouble is kept, and for which lines are printed in a minute.
const PEERS: usize = 64;
/// Of these, how many are shown at once.
const SHOWN: usize = 5;
/// Lines that are printed for a console in a minute.
const PRINTED: u32 = 5;

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Seconds since 1970, of the last time.
    pub(crate) at: u64,
    pub(crate) peer: IpAddr,
    pub(crate) event: Event,
    /// How often this has happened; once of X-rays that were taken, which are counted.
    pub(crate) times: u32,
}

impl Line {
    /// What happened, in a language of the page.
    pub(crate) fn words(&self, language: Language) -> String {
        let words = crate::words::words(language);
        self.event.told((words.consoles)(self.event.what))
    }
}

/// What happened last.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    lines: VecDeque<Line>,
    /// The last trouble of each console, if it has not passed, with the number of its event. The oldest first.
    troubles: VecDeque<(u64, Line)>,
    /// How many events there were.
    events: u64,
    /// How many lines were printed for each console in this minute.
    printed_for: HashMap<IpAddr, u32>,
    minute: u64,
    /// What was printed of the store.
    store_error: String,
}

impl Log {
    fn get(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events there were until now: what an association then brings does not make its own troubles pass.
    pub(super) fn events(&self) -> u64 {
        self.get().events
    }

    /// Notes what happened in an association that began after so many events.
    pub(super) fn note(&self, peer: IpAddr, since: u64, event: Event) {
        let printed = self.get().enter(peer, since, event);
        if let Some(line) = printed {
            base::say!("{line}");
        }
    }

    /// Prints why films cannot be kept: once, until it is another reason or one was kept.
    pub(super) fn store_fails(&self, peer: IpAddr, error: &str) {
        let printed = self.get().store_fails(peer, error);
        if let Some(line) = printed {
            base::say!("{line}");
        }
    }

    /// The last lines, the newest first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.get().lines.iter().rev().cloned().collect()
    }

    /// What is wrong with consoles, the newest first.
    pub(crate) fn troubles(&self) -> Vec<Line> {
        self.get().troubles.iter().rev().take(SHOWN).map(|(_, line)| line.clone()).collect()
    }
}

impl Kept {
    /// Notes what happened, and gives what is to be printed of it. What a console does again and again is one line.
    fn enter(&mut self, peer: IpAddr, since: u64, event: Event) -> Option<String> {
        self.events += 1;
        let what = event.what;
        let mut lines = self.lines.iter().enumerate().rev().filter(|(_, line)| line.peer == peer);
        let like = if what == What::Taken {
            // Films are counted until something goes wrong.
            lines.take_while(|(_, line)| !line.event.what.is_trouble()).find(|(_, line)| line.event.is_like(&event))
        } else {
            lines.find(|(_, line)| line.event.is_like(&event))
        };
        let before = like.map(|(at, _)| at).and_then(|at| self.lines.remove(at));
        let is_new = before.is_none();
        let mut line = Line { at: now(), peer, event, times: 1 };
        if let Some(before) = before {
            for (films, more) in line.event.films.iter_mut().zip(before.event.films) {
                *films += more;
            }
            if what != What::Taken {
                line.times = before.times.saturating_add(1);
            }
        }
        let open = self.troubles.iter().position(|(_, trouble)| trouble.peer == peer);
        let mut printed = None;
        if what.is_trouble() {
            if is_new || open.is_none() {
                printed = self.printed(peer, &line.words(Language::English));
            }
            self.trouble(open, line.clone());
        } else {
            let passes = |number: u64, trouble: &Line| number <= since && what.mends(trouble.event.what);
            self.troubles.retain(|(number, trouble)| trouble.peer != peer || !passes(*number, trouble));
        }
        if what == What::Taken {
            self.store_error.clear();
        }
        self.push(line);
        printed
    }

    /// Puts a trouble in the place of the one that its console had.
    fn trouble(&mut self, before: Option<usize>, line: Line) {
        // Where there are too many, those go first who may not send at all.
        let is_stranger = |(_, line): &(u64, Line)| line.event.what == What::Stranger;
        let oldest = || self.troubles.iter().position(is_stranger).unwrap_or(0);
        let gone = before.or_else(|| (self.troubles.len() >= PEERS).then(oldest));
        if let Some(at) = gone {
            self.troubles.remove(at);
        }
        self.troubles.push_back((self.events, line));
    }

    fn push(&mut self, line: Line) {
        if self.lines.len() >= LINES {
            // The oldest one of whoever has most of them: nobody pushes out what others did.
            let mut counts: HashMap<IpAddr, usize> = HashMap::new();
            for line in &self.lines {
                *counts.entry(line.peer).or_default() += 1;
            }
            let largest = counts.values().max();
            if let Some(at) = self.lines.iter().position(|line| counts.get(&line.peer) == largest) {
                self.lines.remove(at);
            }
        }
        self.lines.push_back(line);
    }

    fn store_fails(&mut self, peer: IpAddr, error: &str) -> Option<String> {
        if self.store_error == error {
            return None;
        }
        let printed = self.printed(peer, error)?;
        error.clone_into(&mut self.store_error);
        Some(printed)
    }

    /// What is printed of these words, if anything is: so many lines in a minute.
    fn printed(&mut self, peer: IpAddr, words: &str) -> Option<String> {
        let minute = now() / 60;
        if self.minute != minute {
            self.minute = minute;
            self.printed_for.clear();
        }
        if self.printed_for.len() >= PEERS && !self.printed_for.contains_key(&peer) {
            return None;
        }
        let count = self.printed_for.entry(peer).or_default();
        *count = count.saturating_add(1);
        match *count {
            ..PRINTED => Some(format!("{peer}: {words}")),
            PRINTED => Some(format!("{peer}: {words} (what else comes in this minute is on Status alone)")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        [192, 168, 1, n].into()
    }

    fn called(title: &str) -> Event {
        Event::new(What::NotCalled, [title, "PUMUA", "PUMUA"].map(str::to_owned))
    }

    /// Notes what happened in an association of its own.
    fn note(log: &Log, n: u8, event: impl Into<Event>) {
        log.note(peer(n), log.events(), event.into());
    }

    fn in_trouble(log: &Log) -> Vec<(IpAddr, What)> {
        log.troubles().iter().map(|line| (line.peer, line.event.what)).collect()
    }

    #[test]
    fn what_happens_again_and_again_is_one_line_and_trouble_passes() {
        let log = Log::default();
        for _ in 0..500 {
            note(&log, 1, called("PACS1"));
            note(&log, 1, called("PACS2"));
            note(&log, 2, What::Stranger);
        }
        let lines = log.lines();
        let times: Vec<_> = lines.iter().map(|line| (line.peer, line.times)).collect();
        assert_eq!(times, [(peer(2), 500), (peer(1), 500), (peer(1), 500)]);
        let words = lines[2].words(Language::English);
        assert_eq!((words.matches("PACS1").count(), words.matches("PUMUA").count()), (1, 2), "{words}");
        assert_eq!(in_trouble(&log), [(peer(2), What::Stranger), (peer(1), What::NotCalled)]);
        note(&log, 1, Event::taken("CR1", 3, 0));
        assert_eq!(in_trouble(&log), [(peer(2), What::Stranger)]);
        for n in 0..=255 {
            note(&log, n, Event::new(What::Echo, ["{}<b>".to_owned()]));
        }
        assert!(in_trouble(&log).is_empty());
        let lines = log.lines();
        assert_eq!((lines.len(), lines[0].peer), (LINES, peer(255)));
        let words = lines[0].words(Language::English);
        assert_eq!(words.matches("{}<b>").count(), 1, "{words}");
    }

    #[test]
    fn films_are_counted_and_push_out_nothing_of_others() {
        let log = Log::default();
        note(&log, 1, What::NoRoom);
        for n in 0..300 {
            note(&log, 2, Event::taken("CR2", 1, n % 2));
            note(&log, 2, Event::new(What::Echo, ["CR2".to_owned()]));
            // A console that calls itself otherwise each time has its own lines alone pushed out.
            note(&log, 3, Event::taken(&format!("CR{n}"), 1, 0));
        }
        let lines = log.lines();
        let of = |n: u8| lines.iter().filter(|line| line.peer == peer(n)).collect::<Vec<_>>();
        let [echo, taken] = of(2)[..] else { panic!("{lines:?}") };
        assert_eq!((echo.times, taken.event.films, taken.times), (300, [300, 150], 1));
        let words = taken.words(Language::English);
        assert!(words.contains("received 300 from CR2, 150 of them here already"), "{words}");
        assert_eq!((of(1).len(), of(3).len(), lines.len()), (1, LINES - 3, LINES));
        assert_eq!(in_trouble(&log), [(peer(1), What::NoRoom)]);
        // What went wrong is between what was taken before and after.
        note(&log, 2, What::Cut);
        note(&log, 2, Event::taken("CR2", 1, 0));
        let whats: Vec<_> = log.lines()[..2].iter().map(|line| (line.event.what, line.event.films)).collect();
        assert_eq!(whats, [(What::Taken, [1, 0]), (What::Cut, [0, 0])]);
    }

    #[test]
    fn a_film_that_was_taken_hides_no_trouble_of_its_own_association() {
        let log = Log::default();
        let since = log.events();
        log.note(peer(1), since, What::OtherKind.into());
        log.note(peer(1), since, Event::taken("CR1", 1, 0));
        assert_eq!(in_trouble(&log), [(peer(1), What::OtherKind)]);
        // To echo says nothing of films, that nobody asks nothing at all.
        note(&log, 1, Event::new(What::Echo, ["CR1".to_owned()]));
        note(&log, 1, What::Idle);
        assert_eq!(in_trouble(&log), [(peer(1), What::OtherKind)]);
        let (earlier, later) = (log.events(), log.events());
        log.note(peer(1), earlier, What::Cut.into());
        log.note(peer(1), later, Event::taken("CR1", 1, 0));
        assert_eq!(in_trouble(&log), [(peer(1), What::Cut)], "it began before");
        note(&log, 1, Event::taken("CR1", 1, 0));
        assert!(in_trouble(&log).is_empty());
        // So many are kept, strangers last.
        note(&log, 0, What::Cut);
        for n in 1..=255 {
            note(&log, n, What::Stranger);
        }
        assert_eq!(log.get().troubles.len(), PEERS);
        assert_eq!(log.get().troubles[0].1.event.what, What::Cut);
    }

    #[test]
    fn so_much_is_printed_in_a_minute_and_of_the_store_what_is_new() {
        let mut kept = Kept::default();
        let printed = |kept: &mut Kept, n: u8| {
            // The minute may pass in between.
            kept.minute = now() / 60;
            kept.printed(peer(n), "words")
        };
        let lines: Vec<_> = (0..20).filter_map(|_| printed(&mut kept, 1)).collect();
        assert_eq!(lines.len() as u32, PRINTED);
        assert!(lines[0] == "192.168.1.1: words" && lines[4].contains("Status"), "{lines:?}");
        assert_eq!((2..=255).filter_map(|n| printed(&mut kept, n)).count(), PEERS - 1);
        kept.minute = 0;
        assert!(kept.store_fails(peer(1), "the disk is full").is_some());
        assert!(kept.store_fails(peer(2), "the disk is full").is_none());
        assert!(kept.store_fails(peer(1), "the disk is broken").is_some());
        assert!(kept.enter(peer(1), 0, Event::taken("CR1", 1, 0)).is_none());
        assert!(kept.store_fails(peer(1), "the disk is broken").is_some());
        // What goes on is printed once, and again when it had passed.
        let mut kept = Kept::default();
        let printed: Vec<_> = [What::Cut, What::Slow, What::Cut, What::Taken, What::Cut]
            .into_iter()
            .map(|what| kept.enter(peer(1), kept.events, what.into()).is_some())
            .collect();
        assert_eq!(printed, [true, true, false, false, true]);
    }
}
