//! Answers back to the archive: for each film that has a study and a patient, its answer as an image of the same study, as a
//! structured report, or as both ([`Format`]).
//!
//! What is to be sent is on the disk before the answer is ([`queue`]); it is removed when the archive has said that it has it. An
//! association is opened when something waits, and released when nothing does. While the archive is away it is tried again, after
//! 1 s, 2 s, up to 10 min.
//!
//! Captures ([`capture`]) are drawn by whoever starts the server: pictures are no matter of this crate. What is in reports is in
//! [`report`].

mod capture;
mod content;
mod document;
mod elements;
mod format;
mod queue;
mod report;
mod trouble;

use std::{
    collections::BTreeSet,
    fmt, io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use base::calendar::now;
use shared::appliance::Language;

pub use self::format::{Format, FormatError};
use self::{
    document::{Document, Filed, lines},
    queue::{Item, Why},
    trouble::Fate,
};
pub(crate) use self::{queue::Queue, trouble::Trouble};
use crate::{
    node::{Title, dial},
    record::{Picture, Record},
    stop::Stop,
    store::Store,
};

/// Time before the first other attempt; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1_000 });
const LONGEST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 600_000 });
/// How often what an archive has refused is tried once more.
const RETRY_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often it is asked whether all is to end.
const TICK: Duration = Duration::from_millis(200);

/// An archive (PACS) that takes answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where it is.
    pub address: SocketAddr,
    /// What it is called.
    pub title: Title,
}

/// A text that names no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an archive is named by its address, port and AE title, such as 192.168.1.10:104=PACS")]
pub struct ArchiveError;

impl FromStr for Archive {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        let (address, title) = text.split_once('=').ok_or(ArchiveError)?;
        let address: SocketAddr = address.parse().map_err(|_| ArchiveError)?;
        let title = title.parse().map_err(|_| ArchiveError)?;
        let is_one = !address.ip().to_canonical().is_unspecified() && address.port() != 0;
        if is_one { Ok(Self { address, title }) } else { Err(ArchiveError) }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.title, self.address)
    }
}

/// What is drawn of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// The film, darker where it was left out: a PNG file.
    pub film: Option<&'a [u8]>,
    /// Where the model looked: a PNG file.
    pub evidence: Option<&'a [u8]>,
    /// What is said of it, line by line.
    pub words: &'a [String],
}

/// A picture in colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// Pixels of a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Red, green and blue of each pixel, row by row.
    pub rgb: Vec<u8>,
}

/// Draws an answer; `None` where that cannot be done.
pub type Draw = fn(&Sheet<'_>) -> Option<Drawing>;

/// Where answers are sent to.
#[derive(Clone, Debug)]
pub struct Pacs {
    /// The archive.
    pub archive: Archive,
    /// What this program calls itself there.
    pub calling: Title,
    /// How answers are drawn.
    pub draw: Draw,
    /// As what they are sent: one at least.
    pub formats: BTreeSet<Format>,
}

/// What the page says of sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Answers that were sent since the start, each once for each format.
    pub(crate) sent: u64,
    /// Seconds since 1970 when the last one was.
    pub(crate) last: Option<u64>,
    /// What is wrong, if nothing was sent since.
    pub(crate) trouble: Option<Trouble>,
}

/// Sends answers to an archive.
pub(crate) struct Outbox {
    pacs: Pacs,
    /// Language of the words in the picture.
    language: Language,
    standing: Mutex<Standing>,
}

impl Outbox {
    pub(crate) fn new(pacs: Pacs, language: Language) -> Self {
        Self { pacs, language, standing: Mutex::default() }
    }

    pub(crate) fn pacs(&self) -> &Pacs {
        &self.pacs
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Standing {
        *self.standing()
    }

    /// Notes what is wrong. It is told once.
    fn note(&self, trouble: Trouble) {
        let before = self.standing().trouble.replace(trouble);
        if before != Some(trouble) {
            base::say!("PACS {}: {}", self.pacs.archive, trouble.words(Language::English, &self.pacs));
        }
    }

    fn note_sent(&self) {
        let mut standing = self.standing();
        standing.sent += 1;
        standing.last = Some(now());
        if standing.trouble.take().is_some() {
            base::say!("PACS {}: answers are being sent again", self.pacs.archive);
        }
    }

    /// Sends what waits until the end.
    pub(crate) fn run(&self, store: &Store, stop: &Stop) {
        let (mut pause, mut after, mut retried) = (FIRST_PAUSE, None, Instant::now());
        while !stop.asked() {
            if retried.elapsed() >= RETRY_EVERY {
                retried = Instant::now();
                store.outbox().retry();
            }
            if store.outbox().next(after, TICK).is_none() {
                continue;
            }
            let sent = self.get().sent;
            let Err(trouble) = self.empty(store, stop, &mut after) else {
                pause = FIRST_PAUSE;
                continue;
            };
            if stop.asked() {
                return;
            }
            self.note(trouble);
            if self.get().sent > sent {
                pause = FIRST_PAUSE;
            }
            wait(pause, stop);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends all that waits. `after`: the last one that was tried, so that one that is not taken does not hold up the others.
    fn empty(&self, store: &Store, stop: &Stop, after: &mut Option<Item>) -> Result<(), Trouble> {
        // Nobody is called for what cannot be sent.
        let Some(first) = self.make_next(store, after)? else { return Ok(()) };
        let stream = dial::connect(self.pacs.archive.address, stop)?;
        let classes: Vec<_> = self.pacs.formats.iter().map(|format| format.class()).collect();
        let mut call = dial::Call::open(&stream, stop, &self.pacs.calling, &self.pacs.archive.title, &classes)?;
        let sent = self.send(&mut call, store, stop, first, after);
        match sent {
            Ok(())
            | Err(
                Trouble::NoCapture
                | Trouble::NoReport
                | Trouble::Full
                | Trouble::NotNow(_)
                | Trouble::NotMade
                | Trouble::Disk,
            ) => call.release(),
            Err(_) => call.abort(),
        }
        sent
    }

    fn send(
        &self,
        call: &mut dial::Call<'_>,
        store: &Store,
        stop: &Stop,
        first: (Item, Document),
        after: &mut Option<Item>,
    ) -> Result<(), Trouble> {
        let mut next = Some(first);
        while let Some((item, document)) = next {
            let class = item.format.class();
            let fate = match call.is_explicit(class) {
                Some(explicit) => {
                    let data_set = document.elements.written(explicit);
                    Fate::of(call.store(class, &document.instance, &data_set)?)
                }
                // What waits is not thrown away, nor does it hold up what is taken.
                None if call.takes_any() => Fate::Never(item.format.not_taken()),
                None => Fate::Later(item.format.not_taken().trouble()),
            };
            match fate {
                Fate::Taken => {
                    self.note_sent();
                    store.outbox().done(item).map_err(|_| Trouble::Disk)?;
                }
                Fate::Later(trouble) => return Err(trouble),
                Fate::Never(why) => self.set_aside(store, item, why)?,
            }
            if stop.asked() {
                return Err(Trouble::Cut);
            }
            next = self.make_next(store, after)?;
        }
        Ok(())
    }

    fn set_aside(&self, store: &Store, item: Item, why: Why) -> Result<(), Trouble> {
        // Of a kind that is not taken every answer would say the same.
        let is_told = matches!(why, Why::NoCapture | Why::NoReport) && store.outbox().unsent().last == Some(why);
        if !is_told {
            self.note(why.trouble());
        }
        store.outbox().set_aside(item, why).map_err(|_| Trouble::Disk)
    }

    /// The next answer as it is sent; `None` if none waits.
    fn make_next(&self, store: &Store, after: &mut Option<Item>) -> Result<Option<(Item, Document)>, Trouble> {
        let queue = store.outbox();
        while let Some(item) = queue.next(*after, Duration::ZERO) {
            *after = Some(item);
            match self.make(store, item) {
                Ok(Some(document)) => return Ok(Some((item, document))),
                Ok(None) => queue.done(item).map_err(|_| Trouble::Disk)?,
                Err(Trouble::NotMade) => self.set_aside(store, item, Why::NotMade)?,
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    /// An answer as it is sent; `None` if there is nothing that would be.
    fn make(&self, store: &Store, item: Item) -> Result<Option<Document>, Trouble> {
        let Some(record) = store.get(item.number) else { return Ok(None) };
        let Some(words) = lines(&record, self.language) else { return Ok(None) };
        let film = store.film(item.number).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData => Trouble::NotMade,
            _ => Trouble::Disk,
        })?;
        let filed = Filed::of(&film);
        drop(film);
        let Some(filed) = filed else { return Ok(None) };
        let document = match item.format {
            Format::Capture => {
                let drawing = self.drawing(store, &record, words)?;
                drawing.and_then(|drawing| capture::capture(store.id(), &record, &filed, drawing))
            }
            Format::Report => report::report(store.id(), &record, &filed),
        };
        document.map(Some).ok_or(Trouble::NotMade)
    }

    /// What is drawn of an answer of which this is said.
    fn drawing(&self, store: &Store, record: &Record, mut words: Vec<String>) -> Result<Option<Drawing>, Trouble> {
        // Those that the record has may have gone meanwhile, to make room: words alone would stand in the archive for ever.
        let held = |which| match store.picture(record.number, which) {
            None if record.pictures.contains_key(&which) => Err(Trouble::NotMade),
            picture => Ok(picture),
        };
        let (film, evidence) = (held(Picture::Film)?, held(Picture::Evidence)?);
        if evidence.is_some() {
            words.push(language::words(self.language).caption.join(" "));
        }
        let sheet = Sheet { film: film.as_deref(), evidence: evidence.as_deref(), words: &words };
        Ok(catch_unwind(AssertUnwindSafe(|| (self.pacs.draw)(&sheet))).ok().flatten())
    }
}

/// Waits, not beyond the end.
fn wait(pause: Duration, stop: &Stop) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.asked() {
        thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
    }
}

#[cfg(test)]
mod tests;
