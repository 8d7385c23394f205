//! What consoles did last, for whoever sets them up. Addresses and titles of machines, never anything of a patient.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use base::calendar::now;
use shared::appliance::Language;

/// Lines that are kept.
const LINES: usize = 100;
/// Consoles whose trouble is told at once.
const TROUBLES: usize = 5;

/// Kinds of what happens. The words are in [`crate::words`]; what fills them is in [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// C-ECHO was answered: calling title.
    Echo,
    /// X-rays were taken: how many, calling title, how many of them were there already.
    Taken,
    /// The console calls somebody else: that title, our own, our own.
    NotCalled,
    /// Nobody at this address may send.
    Stranger,
    /// Somebody with another title may send from this address: calling title.
    NotNamed,
    /// There are as many associations as there may be.
    Busy,
    /// No kind of image that is offered is taken: calling title.
    NoKind,
    /// No transfer syntax that is offered is taken: calling title.
    NoSyntax,
    /// What came is not of the protocol.
    Foreign,
    /// Too little came in its time.
    Slow,
    /// The connection broke in the middle of an X-ray.
    Cut,
    /// An X-ray is too large.
    TooLarge,
    /// An X-ray cannot be kept.
    NoRoom,
    /// An X-ray is not what was announced.
    OtherKind,
    /// An X-ray cannot be read.
    NotUnderstood,
}

impl What {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 15] = [
        Self::Echo,
        Self::Taken,
        Self::NotCalled,
        Self::Stranger,
        Self::NotNamed,
        Self::Busy,
        Self::NoKind,
        Self::NoSyntax,
        Self::Foreign,
        Self::Slow,
        Self::Cut,
        Self::TooLarge,
        Self::NoRoom,
        Self::OtherKind,
        Self::NotUnderstood,
    ];

    /// How many words fill its own.
    #[cfg(test)]
    pub(crate) const fn places(self) -> usize {
        match self {
            Self::Taken | Self::NotCalled => 3,
            Self::Echo | Self::NotNamed | Self::NoKind | Self::NoSyntax => 1,
            _ => 0,
        }
    }

    /// Whether something has to be changed.
    pub(crate) const fn is_trouble(self) -> bool {
        !matches!(self, Self::Echo | Self::Taken)
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) what: What,
    /// Numbers and titles, which are from outside.
    filled: Vec<String>,
}

impl Event {
    pub(crate) fn new(what: What, filled: impl IntoIterator<Item = String>) -> Self {
        Self { what, filled: filled.into_iter().collect() }
    }

    pub(crate) fn words(&self, language: Language) -> String {
        let words = crate::words::words(language);
        // From the end on: a title may hold what stands for a place.
        let mut parts = (words.consoles)(self.what).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, filled) in parts.zip(&self.filled) {
            text.push_str(filled);
            text.push_str(part);
        }
        text
    }
}

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) peer: IpAddr,
    pub(crate) event: Event,
    /// How often this has happened, with nothing else of the same console in between.
    pub(crate) times: u32,
}

/// The last lines, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<VecDeque<Line>>);

impl Log {
    fn get(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what happened. What a console does again and again is one line, so that it does not push out the others.
    pub(super) fn note(&self, peer: IpAddr, event: Event) {
        let mut lines = self.get();
        let last = lines.iter().rposition(|line| line.peer == peer);
        let same = last.filter(|&at| event.what != What::Taken && lines[at].event == event);
        let before = same.and_then(|at| lines.remove(at)).map_or(0, |line| line.times);
        if before == 0 && event.what.is_trouble() {
            base::say!("{peer}: {}", event.words(Language::English));
        }
        if lines.len() >= LINES {
            lines.pop_front();
        }
        lines.push_back(Line { at: now(), peer, event, times: before.saturating_add(1) });
    }

    /// The last lines, the newest first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.get().iter().rev().cloned().collect()
    }

    /// What is wrong with consoles of which nothing better was heard since.
    pub(crate) fn troubles(&self) -> Vec<Line> {
        let mut heard = HashSet::new();
        let mut lines = self.lines();
        lines.retain(|line| heard.insert(line.peer) && line.event.what.is_trouble());
        lines.truncate(TROUBLES);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        [192, 168, 1, n].into()
    }

    #[test]
    fn what_happens_again_and_again_is_one_line_and_trouble_passes() {
        let log = Log::default();
        let called = |title: &str| Event::new(What::NotCalled, [title, "PUMUA", "PUMUA"].map(str::to_owned));
        for _ in 0..500 {
            log.note(peer(1), called("PACS1"));
            log.note(peer(2), Event::new(What::Stranger, []));
        }
        let lines = log.lines();
        let times: Vec<_> = lines.iter().map(|line| (line.peer, line.times)).collect();
        assert_eq!(times, [(peer(2), 500), (peer(1), 500)]);
        let words = lines[1].event.words(Language::English);
        assert_eq!((words.matches("PACS1").count(), words.matches("PUMUA").count()), (1, 2), "{words}");
        assert_eq!(log.troubles().len(), 2);
        log.note(peer(1), Event::new(What::Taken, ["3", "CR1", "0"].map(str::to_owned)));
        assert_eq!(log.troubles().iter().map(|line| line.peer).collect::<Vec<_>>(), [peer(2)]);
        for n in 0..=255 {
            log.note(peer(n), Event::new(What::Echo, ["{}<b>".to_owned()]));
        }
        let lines = log.lines();
        assert_eq!((lines.len(), lines[0].peer), (LINES, peer(255)));
        let words = lines[0].event.words(Language::English);
        assert_eq!(words.matches("{}<b>").count(), 1, "{words}");
    }
}
