//! Answers back to the archive: for each film that has a study and a patient, its answer as an image of the same study.
//!
//! What is to be sent is on the disk before the answer is ([`queue`]); it is removed when the archive has said that it has it. An
//! association is opened when something waits, and released when nothing does. While the archive is away it is tried again, after
//! 1 s, 2 s, up to 10 min.
//!
//! What is sent ([`capture`]) is drawn by whoever starts the server: pictures are no matter of this crate.

mod capture;
mod queue;
mod trouble;

use std::{
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

use self::{
    capture::{Capture, Filed, lines},
    queue::Why,
    trouble::Fate,
};
pub(crate) use self::{queue::Queue, trouble::Trouble};
use crate::{
    node::{Title, dial},
    record::{Outcome, Picture},
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
}

/// What the page says of sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Answers that were sent since the start.
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
        let (mut pause, mut after, mut retried) = (FIRST_PAUSE, 0, Instant::now());
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
    fn empty(&self, store: &Store, stop: &Stop, after: &mut u64) -> Result<(), Trouble> {
        // Nobody is called for what cannot be sent.
        let Some(first) = self.make_next(store, after)? else { return Ok(()) };
        let stream = dial::connect(self.pacs.archive.address, stop)?;
        let mut call = dial::Call::open(&stream, stop, &self.pacs.calling, &self.pacs.archive.title)?;
        let sent = self.send(&mut call, store, stop, first, after);
        match sent {
            Ok(()) | Err(Trouble::Full | Trouble::NotNow(_) | Trouble::NotMade | Trouble::Disk) => call.release(),
            Err(_) => call.abort(),
        }
        sent
    }

    fn send(
        &self,
        call: &mut dial::Call<'_>,
        store: &Store,
        stop: &Stop,
        first: Capture,
        after: &mut u64,
    ) -> Result<(), Trouble> {
        let mut next = Some(first);
        while let Some(capture) = next {
            let status = call.store(&capture.instance, &capture.data_set(call.is_explicit()))?;
            match Fate::of(status) {
                Fate::Taken => {
                    self.note_sent();
                    store.outbox().done(capture.number).map_err(|_| Trouble::Disk)?;
                }
                Fate::Later(trouble) => return Err(trouble),
                Fate::Never => {
                    self.note(Trouble::Refused(status));
                    store.outbox().set_aside(capture.number, Why::Refused(status)).map_err(|_| Trouble::Disk)?;
                }
            }
            if stop.asked() {
                return Err(Trouble::Cut);
            }
            next = self.make_next(store, after)?;
        }
        Ok(())
    }

    /// The next answer as an image; `None` if none waits.
    fn make_next(&self, store: &Store, after: &mut u64) -> Result<Option<Capture>, Trouble> {
        let queue = store.outbox();
        while let Some(number) = queue.next(*after, Duration::ZERO) {
            *after = number;
            match self.make(store, number) {
                Ok(Some(capture)) => return Ok(Some(capture)),
                Ok(None) => queue.done(number).map_err(|_| Trouble::Disk)?,
                Err(Trouble::NotMade) => {
                    self.note(Trouble::NotMade);
                    queue.set_aside(number, Why::NotMade).map_err(|_| Trouble::Disk)?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    /// An answer as an image; `None` if there is nothing that would be sent.
    fn make(&self, store: &Store, number: u64) -> Result<Option<Capture>, Trouble> {
        let Some(record) = store.get(number) else { return Ok(None) };
        let is_judged = record.answer.as_ref().is_some_and(|it| matches!(it.outcome, Outcome::Judged { .. }));
        let Some(mut words) = lines(&record, self.language).filter(|_| is_judged) else { return Ok(None) };
        let film = store.film(number).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData => Trouble::NotMade,
            _ => Trouble::Disk,
        })?;
        let filed = Filed::of(&film);
        drop(film);
        let Some(filed) = filed else { return Ok(None) };
        // Those that the record has may have gone meanwhile, to make room: words alone would stand in the archive for ever.
        let held = |which| match store.picture(number, which) {
            None if record.pictures.contains_key(&which) => Err(Trouble::NotMade),
            picture => Ok(picture),
        };
        let (film, evidence) = (held(Picture::Film)?, held(Picture::Evidence)?);
        if evidence.is_some() {
            words.push(language::words(self.language).caption.join(" "));
        }
        let sheet = Sheet { film: film.as_deref(), evidence: evidence.as_deref(), words: &words };
        let drawing = catch_unwind(AssertUnwindSafe(|| (self.pacs.draw)(&sheet))).ok().flatten();
        let capture = drawing.and_then(|drawing| Capture::new(store.id(), &record, &filed, drawing));
        capture.map(Some).ok_or(Trouble::NotMade)
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
