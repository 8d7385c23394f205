//! What is kept, in memory: read from the folder at the start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::Path,
};

use base::{calendar::now, files::read_up_to};
use shared::verdict::Digest;

use super::{FILMS, PARTS, PICTURES, RESULTS, turns::Turns};
use crate::record::{Record, Source};

/// Most bytes of a record: a name of a model and of a site, and numbers.
const MAX_RECORD: u64 = 16 * 1024;

/// What is known of the films without reading a file.
#[derive(Default)]
pub(super) struct Index {
    pub(super) records: BTreeMap<u64, Record>,
    /// The highest number in the name of a file.
    pub(super) last: u64,
    /// The records of each film: one for each of its exams.
    by_film: HashMap<Digest, BTreeSet<u64>>,
    pub(super) turns: Turns,
    /// Bytes of the film and its pictures, of those that are kept.
    pub(super) kept: BTreeMap<u64, u64>,
    pub(super) space: u64,
    /// Changes whenever something else may be seen.
    pub(super) version: u64,
    pub(super) damaged: usize,
}

impl Index {
    pub(super) fn enter(&mut self, record: Record) {
        let number = record.number;
        self.last = self.last.max(number);
        if record.answer.is_none() {
            self.turns.enter(number, record.source == Source::Page);
        } else {
            self.turns.leave(number);
        }
        self.by_film.entry(record.film).or_default().insert(number);
        self.records.insert(number, record);
        self.version += 1;
    }

    /// Somebody at the page waits for a film that came in another way.
    pub(super) fn ask(&mut self, number: u64) {
        self.turns.enter(number, true);
        self.version += 1;
    }

    /// The records of a film, the newest first.
    pub(super) fn of_film(&self, film: &Digest) -> impl Iterator<Item = &Record> {
        let numbers = self.by_film.get(film).into_iter().flatten().rev();
        numbers.filter_map(move |number| self.records.get(number))
    }

    /// Notes how many bytes a film and its pictures have.
    pub(super) fn weigh(&mut self, number: u64, bytes: u64) {
        let before = self.kept.insert(number, bytes).unwrap_or(0);
        self.space = self.space - before + bytes;
    }
}

/// Reads what is kept, and removes what was never acknowledged.
pub(super) fn read(folder: &Path) -> io::Result<Index> {
    let mut index = Index { version: now(), ..Index::default() };
    for part in fs::read_dir(folder.join(PARTS))? {
        fs::remove_file(part?.path())?;
    }
    for part in [RESULTS, PICTURES] {
        for entry in fs::read_dir(folder.join(part))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                fs::remove_file(&path)?;
            }
        }
    }
    for part in [FILMS, RESULTS, PICTURES] {
        for entry in fs::read_dir(folder.join(part))? {
            index.last = index.last.max(begins_with(&entry?.path()).unwrap_or(0));
        }
    }
    for entry in fs::read_dir(folder.join(RESULTS))? {
        let path = entry?.path();
        let Some(number) = numbered(&path, ".json") else { continue };
        let record = read_up_to(&path, MAX_RECORD).ok().and_then(|json| serde_json::from_slice::<Record>(&json).ok());
        match record.filter(|record| record.number == number) {
            Some(record) => index.enter(record),
            None => index.damaged += 1,
        }
    }
    for (part, between) in [(FILMS, ".film"), (PICTURES, "-")] {
        for entry in fs::read_dir(folder.join(part))? {
            let path = entry?.path();
            let Some(number) = numbered(&path, between) else { continue };
            let bytes = fs::symlink_metadata(&path)?.len();
            // A damaged record may be mended some day: its film stays.
            let owned =
                index.records.contains_key(&number) || folder.join(RESULTS).join(format!("{number:08}.json")).exists();
            if owned {
                let others = index.kept.get(&number).copied().unwrap_or(0);
                index.weigh(number, others + bytes);
            } else {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(index)
}

/// The number that a name begins with, whatever follows.
fn begins_with(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|_| digits.len() >= 8)
}

/// The number that a name begins with, if this follows, and of an ending nothing more.
fn numbered(path: &Path, between: &str) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let (digits, rest) = name.split_once(between)?;
    digits.parse().ok().filter(|_| digits.len() >= 8 && (between == "-" || rest.is_empty()))
}
