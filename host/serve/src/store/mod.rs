//! Films and answers in a folder.
//!
//! ```text
//! films/00000012.film            the file as it came
//! results/00000012.json          what is known of it
//! pictures/00000012-film.png     what can be seen of it
//! outbox/00000012.json           its answer is still to be sent to an archive, as an image
//! outbox/00000012-report.json    the same as a structured report
//! id                             random letters by which this store is told from others
//! parts/                         what is coming in; emptied at the start
//! ```
//!
//! A film is kept once its record is there: the film is written, synced and renamed first, then the record, and the folders
//! are synced after each. What a power cut leaves without a record was never acknowledged, and is removed at the next start; a
//! record without an answer waits for one, and is judged then.
//!
//! A number is given once: the next one is above every number in the name of a file, of damaged records too. Film and pictures
//! are held to the digests in the record, so that nothing of another film or answer is judged or shown with it.
//!
//! Space is bounded: where films and pictures take more than they may, those of the oldest films that have an answer go. The
//! records stay, up to [`Bounds::results`]; then no more films are taken. Of these films, those go last whose answer is still to be
//! sent to an archive ([`crate::outbox`]).

mod incoming;
mod index;
mod turns;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base::{
    Shown,
    calendar::now,
    files::{lock, read_up_to, write_atomically},
};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};
use shared::{
    accession::escaped,
    limits::MAX_IMAGE_BYTES,
    verdict::{Digest, ExamId},
};

pub(crate) use self::incoming::Incoming;
use self::index::{Index, read};
pub use self::turns::FIRST_TURNS;
use crate::{
    intake::Receipt,
    outbox::Queue,
    record::{Answer, Opinion, Outcome, Picture, Pictures, Record, Said, Source},
};

/// What a store may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of films and their pictures.
    pub space: u64,
    /// Records.
    pub results: usize,
}

impl Default for Bounds {
    /// 8 GiB and 50,000 records.
    fn default() -> Self {
        Self { space: 8 << 30, results: 50_000 }
    }
}

/// Most bytes of a picture.
const MAX_PICTURE: u64 = 256 << 20;

/// Why films cannot be kept, or are not found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("the folder {folder} cannot be used for films and results: {source}: name one that you may write with --store", folder = Shown(folder.display()))]
    Open {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program has it.
    #[error("the folder {folder} is in use by another `pumua serve`: end that, or name another folder with --store", folder = Shown(folder.display()))]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A film or a result cannot be written or read.
    #[error("films and results cannot be stored: {0}: make room on the disk, or mend its rights")]
    Write(io::Error),
    /// As many results as there may be.
    #[error("the store is full: start `pumua serve` with another folder (--store), and keep this one")]
    Full,
    /// Films that wait take all the space.
    #[error("films that wait for an answer take all the space: wait until they are judged, or give more with --space")]
    NoSpace,
}

/// Films and answers.
pub(crate) struct Store {
    folder: PathBuf,
    id: String,
    bounds: Bounds,
    index: Mutex<Index>,
    news: Condvar,
    outbox: Queue,
    /// Held by whoever changes what is kept.
    writing: Mutex<()>,
    /// Held by whoever reads a film that is coming in.
    reading: Mutex<()>,
    parts: AtomicU64,
    /// Locked as long as this program has the folder.
    _lock: File,
}

/// Which records are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    #[default]
    All,
    Waiting,
    Normal,
    Pneumonia,
    Refer,
    /// Refused or failed.
    NotJudged,
    /// Judged, and no clinician has said anything.
    Unanswered,
}

impl Filter {
    pub(crate) const ALL: [Self; 7] =
        [Self::All, Self::Waiting, Self::Normal, Self::Pneumonia, Self::Refer, Self::NotJudged, Self::Unanswered];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Waiting => "waiting",
            Self::Normal => "normal",
            Self::Pneumonia => "pneumonia",
            Self::Refer => "refer",
            Self::NotJudged => "not-judged",
            Self::Unanswered => "unanswered",
        }
    }

    fn takes(self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::NotJudged => matches!(record.word(), "refused" | "failed"),
            Self::Unanswered => record.is_judged() && record.clinician.is_none(),
            word => record.word() == word.as_str(),
        }
    }
}

/// Some records, newest first.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    /// How many there are in all.
    pub(crate) total: usize,
}

/// Figures for the page on the state.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) waiting: usize,
    pub(crate) results: usize,
    pub(crate) most_results: usize,
    pub(crate) space: u64,
    pub(crate) most_space: u64,
}

const FILMS: &str = "films";
const RESULTS: &str = "results";
const PICTURES: &str = "pictures";
const PARTS: &str = "parts";
const ID: &str = "id";

impl Store {
    /// Opens the folder, which is made if it is not there.
    pub(crate) fn open(folder: &Path, bounds: Bounds) -> Result<Self, StoreError> {
        let opened = |source| StoreError::Open { folder: folder.to_owned(), source };
        for part in [FILMS, RESULTS, PICTURES, PARTS] {
            fs::create_dir_all(folder.join(part)).map_err(opened)?;
        }
        let lock = lock(&folder.join("lock")).map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { folder: folder.to_owned() },
            TryLockError::Error(source) => opened(source),
        })?;
        let id = identity(folder).map_err(opened)?;
        let index = read(folder).map_err(opened)?;
        let answered = |number: u64| index.records.get(&number).map(|record| record.answer.is_some());
        let outbox = Queue::open(folder, answered).map_err(opened)?;
        if index.damaged > 0 {
            base::say!(
                "{} record(s) in {} cannot be read: they are left as they are",
                index.damaged,
                Shown(folder.display())
            );
        }
        Ok(Self {
            folder: folder.to_owned(),
            id,
            bounds,
            index: Mutex::new(index),
            news: Condvar::new(),
            outbox,
            writing: Mutex::new(()),
            reading: Mutex::new(()),
            parts: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// Random letters that were made with this store.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Answers that are still to be sent to an archive.
    pub(crate) fn outbox(&self) -> &Queue {
        &self.outbox
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps others from reading a film that is coming in, until what this gives is dropped.
    pub(crate) fn reads(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to take a film in.
    pub(crate) fn begin(&self) -> Result<Incoming, StoreError> {
        let part = self.parts.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(PARTS).join(part.to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(StoreError::Write)?;
        Ok(Incoming { path, file, hash: Sha256::new(), bytes: 0 })
    }

    /// Keeps a film, unless it is there already: the same bytes of the same exam. One that could not be judged then waits again.
    /// What DICOM calls the same is not looked at: whoever compresses a film in another way may have mended it, and machines
    /// have given a UID twice. Judged twice, a film does no harm; not judged, it would.
    pub(crate) fn keep(
        &self,
        incoming: Incoming,
        exam: ExamId,
        source: Source,
        site: &str,
    ) -> Result<Receipt, StoreError> {
        incoming.file.sync_all().map_err(StoreError::Write)?;
        let film = Digest(incoming.hash.clone().finalize().into());
        let _writing = self.writing();
        let known = self.index().of_film(&film).find(|record| record.exam == exam).cloned();
        if let Some(record) = &known
            && !matches!(record.answer, Some(Answer { outcome: Outcome::Failed(_), .. }))
        {
            if source == Source::Page && record.answer.is_none() {
                self.index().ask(record.number);
            }
            return Ok(Receipt { number: record.number, known: true });
        }
        let is_new = known.is_none();
        let record = match known {
            Some(record) => {
                self.forget(record.number);
                Record { answer: None, pictures: BTreeMap::new(), ..record }
            }
            None => {
                let (number, bytes) = (self.new_number()?, incoming.bytes);
                let (site, received, pictures) = (site.to_owned(), now(), BTreeMap::new());
                Record { number, received, exam, film, bytes, source, site, answer: None, pictures, clinician: None }
            }
        };
        self.make_room(incoming.bytes)?;
        let number = record.number;
        let place = self.film_place(number);
        let kept = fs::rename(&incoming.path, &place).and_then(|()| self.sync(FILMS)).map_err(StoreError::Write);
        kept.and_then(|()| self.write(&record)).inspect_err(|_| {
            // It is not acknowledged: nothing is left of it.
            let _ = fs::remove_file(&place);
            if is_new {
                let _ = fs::remove_file(self.record_place(number));
            }
        })?;
        let mut index = self.index();
        index.weigh(number, incoming.bytes);
        index.enter(record);
        if source == Source::Page {
            index.ask(number);
        }
        drop(index);
        self.news.notify_all();
        Ok(Receipt { number, known: false })
    }

    /// A number that no file has.
    fn new_number(&self) -> Result<u64, StoreError> {
        let mut number = {
            let index = self.index();
            if index.records.len() + index.damaged >= self.bounds.results {
                return Err(StoreError::Full);
            }
            index.last
        };
        loop {
            number = number.checked_add(1).ok_or(StoreError::Full)?;
            // A file may have come since the start, and is not written over.
            let mut places = self.places(number).into_iter().chain([self.record_place(number)]);
            if !places.any(|place| fs::symlink_metadata(place).is_ok()) {
                return Ok(number);
            }
        }
    }

    /// The film whose turn it is to get an answer, if one waits or comes within this time.
    pub(crate) fn next_waiting(&self, within: Duration) -> Option<(u64, ExamId)> {
        let mut index = self.index();
        if index.turns.next().is_none() {
            index = self.news.wait_timeout(index, within).unwrap_or_else(PoisonError::into_inner).0;
        }
        let number = index.turns.next()?;
        Some((number, index.records.get(&number)?.exam.clone()))
    }

    /// Whether a film waits for its answer.
    pub(crate) fn waits(&self) -> bool {
        self.index().turns.len() > 0
    }

    /// How many films get their answers before one that waits.
    pub(crate) fn before(&self, number: u64) -> usize {
        self.index().turns.before(number).unwrap_or(0)
    }

    /// The last record before this one of the same film in another exam.
    pub(crate) fn sent_before(&self, record: &Record) -> Option<Record> {
        let index = self.index();
        let mut same = index.of_film(&record.film);
        same.find(|other| other.number < record.number && other.exam != record.exam).cloned()
    }

    /// The bytes of a film: those that came in, or an error.
    pub(crate) fn film(&self, number: u64) -> io::Result<Vec<u8>> {
        let bytes = read_up_to(&self.film_place(number), u64::from(MAX_IMAGE_BYTES))?;
        let came_in = self.get(number).is_some_and(|record| record.film == Digest::of(&bytes));
        let changed =
            || io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those that came in: send it again");
        if came_in { Ok(bytes) } else { Err(changed()) }
    }

    /// Keeps the answer to a film.
    pub(crate) fn finish(&self, number: u64, answer: Answer, pictures: &Pictures) -> Result<(), StoreError> {
        let _writing = self.writing();
        let Some(record) = self.get(number) else { return Ok(()) };
        let none = Pictures::default();
        // What an attempt before this one has left is not of this answer.
        self.remove_pictures(number);
        self.measure(number);
        // Where films that wait take all the space, the answer counts, and makes the film one that can go.
        let room = self.make_room(pictures.each().map(|(_, png)| png.len() as u64).sum());
        let pictures = if room.is_ok() { pictures } else { &none };
        let written = pictures.each().try_for_each(|(which, png)| durably(&self.picture_place(number, which), png));
        self.measure(number);
        written?;
        let pictures = pictures.each().map(|(which, png)| (which, Digest::of(png))).collect();
        let goes_out = self.outbox.announce(number, &answer.outcome, || self.film(number))?;
        let record = Record { answer: Some(answer), pictures, ..record };
        self.write(&record)?;
        self.index().enter(record);
        if goes_out {
            self.outbox.enter(number);
        }
        Ok(())
    }

    /// Keeps what the clinician says; `false` if there is no such film, or it has no verdict.
    pub(crate) fn say(&self, number: u64, what: Opinion) -> Result<bool, StoreError> {
        let _writing = self.writing();
        let Some(record) = self.get(number).filter(|record| record.answer.is_some()) else { return Ok(false) };
        let record = Record { clinician: Some(Said { what, at: now() }), ..record };
        self.write(&record)?;
        self.index().enter(record);
        Ok(true)
    }

    /// A record.
    pub(crate) fn get(&self, number: u64) -> Option<Record> {
        self.index().records.get(&number).cloned()
    }

    /// The records of a kind whose exam contains some letters, as they are or as an accession number is written, or whose number
    /// they are.
    pub(crate) fn find(&self, text: &str, filter: Filter, from: usize, most: usize) -> Found {
        let text = text.trim().to_ascii_lowercase();
        let written = escaped(&text);
        let fits = |record: &Record| {
            let exam = record.exam.as_str().to_ascii_lowercase();
            let is_found = || exam.contains(&text) || exam.contains(&written) || record.number.to_string() == text;
            filter.takes(record) && is_found()
        };
        let index = self.index();
        let mut found = Found::default();
        for record in index.records.values().rev().filter(|record| fits(record)) {
            if found.total >= from && found.records.len() < most {
                found.records.push(record.clone());
            }
            found.total += 1;
        }
        found
    }

    /// A picture, if it is kept.
    pub(crate) fn picture(&self, number: u64, which: Picture) -> Option<Vec<u8>> {
        self.picture_of(&self.get(number)?, which)
    }

    /// Which pictures of an answer are kept.
    pub(crate) fn pictures(&self, record: &Record) -> Vec<Picture> {
        Picture::ALL.into_iter().filter(|&which| self.picture_of(record, which).is_some()).collect()
    }

    /// Whether there is a picture of the film, without reading it.
    pub(crate) fn shows(&self, record: &Record) -> bool {
        record.pictures.contains_key(&Picture::Film) && self.index().kept.contains_key(&record.number)
    }

    /// A picture as it was made with the answer of a record.
    fn picture_of(&self, record: &Record, which: Picture) -> Option<Vec<u8>> {
        let digest = record.pictures.get(&which)?;
        let png = read_up_to(&self.picture_place(record.number, which), MAX_PICTURE).ok()?;
        (Digest::of(&png) == *digest).then_some(png)
    }

    /// Another number whenever something else may be seen.
    pub(crate) fn version(&self) -> u64 {
        self.index().version
    }

    pub(crate) fn figures(&self) -> Figures {
        let index = self.index();
        Figures {
            waiting: index.turns.len(),
            results: index.records.len(),
            most_results: self.bounds.results,
            space: index.space,
            most_space: self.bounds.space,
        }
    }

    pub(crate) fn place(&self, part: &str, name: &str) -> PathBuf {
        self.folder.join(part).join(name)
    }

    fn film_place(&self, number: u64) -> PathBuf {
        self.place(FILMS, &format!("{number:08}.film"))
    }

    fn record_place(&self, number: u64) -> PathBuf {
        self.place(RESULTS, &format!("{number:08}.json"))
    }

    fn picture_place(&self, number: u64, which: Picture) -> PathBuf {
        self.place(PICTURES, &format!("{number:08}-{which}.png"))
    }

    /// Of the film and its pictures.
    fn places(&self, number: u64) -> [PathBuf; 4] {
        let [film, square, evidence] = Picture::ALL.map(|which| self.picture_place(number, which));
        [self.film_place(number), film, square, evidence]
    }

    /// Notes what the film and its pictures take on the disk.
    fn measure(&self, number: u64) {
        let sizes = self.places(number).map(|place| fs::symlink_metadata(place).map_or(0, |file| file.len()));
        self.index().weigh(number, sizes.iter().sum());
    }

    fn sync(&self, part: &str) -> io::Result<()> {
        File::open(self.folder.join(part))?.sync_all()
    }

    fn write(&self, record: &Record) -> Result<(), StoreError> {
        let json = serde_json::to_vec(record).map_err(|error| StoreError::Write(error.into()))?;
        durably(&self.record_place(record.number), &json)
    }

    /// Removes films and pictures, the oldest first, until there is room for so many bytes. What waits for an answer stays; what
    /// is still to be sent goes last.
    fn make_room(&self, bytes: u64) -> Result<(), StoreError> {
        loop {
            let oldest = {
                let index = self.index();
                if index.space.saturating_add(bytes) <= self.bounds.space {
                    return Ok(());
                }
                let (kept, turns) = (&index.kept, &index.turns);
                let may_go = || kept.keys().filter(move |number| !turns.contains(**number));
                may_go().find(|number| !self.outbox.holds(**number)).or_else(|| may_go().next()).copied()
            };
            self.forget(oldest.ok_or(StoreError::NoSpace)?);
        }
    }

    /// Removes film and pictures; the record stays.
    fn forget(&self, number: u64) {
        // What is not there need not be removed; what cannot be is removed at another time.
        let _ = fs::remove_file(self.film_place(number));
        self.remove_pictures(number);
        let mut index = self.index();
        if let Some(bytes) = index.kept.remove(&number) {
            index.space -= bytes;
            index.version += 1;
        }
    }

    fn remove_pictures(&self, number: u64) {
        for which in Picture::ALL {
            let _ = fs::remove_file(self.picture_place(number, which));
        }
    }
}

/// The letters by which the store is told from others; made if it has none.
fn identity(folder: &Path) -> io::Result<String> {
    let path = folder.join(ID);
    let kept = match read_up_to(&path, 64) {
        Ok(bytes) => String::from_utf8(bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // With other letters, answers would go out under other UIDs.
        Err(error) => return Err(error),
    };
    if let Some(id) = kept.filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Ok(id);
    }
    let mut bytes = [0; 32];
    getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    let id = format!("{:.32}", Digest(bytes));
    write_atomically(&path, id.as_bytes())?;
    File::open(folder)?.sync_all()?;
    Ok(id)
}

/// Writes a file so that it is there after a power cut.
fn durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let sync = || File::open(path.parent().unwrap_or(path))?.sync_all();
    write_atomically(path, bytes).and_then(|()| sync()).map_err(StoreError::Write)
}

#[cfg(test)]
mod tests;
