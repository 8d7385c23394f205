//! Which answers are still to be sent: a file for each, and for each format, in the store, written before the answer and removed
//! when the archive has it.
//!
//! ```text
//! outbox/00000012.json           the capture of the answer to the film 12 is not in the archive; why, if it was refused for good
//! outbox/00000012-report.json    the same of the report
//! ```
//!
//! A power cut between these files and that of the answer leaves some that belong to no answer yet: the film is judged again, and
//! nothing is sent before. One after the archive has answered, and before the file is removed, has the same instance sent again,
//! under the same UID.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    ops::Bound::{Excluded, Unbounded},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base::files::{read_up_to, write_atomically};
use serde::{Deserialize, Serialize};

use super::{document::Filed, format::Format, trouble::Trouble};
use crate::{record::Outcome, store::StoreError};

const OUTBOX: &str = "outbox";
/// Most bytes of a file.
const MAX_ENTRY: u64 = 1024;
/// After the number of the record in the name of a report's file.
const REPORT: &str = "-report";

/// The answer to a film, as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// Number of the record.
    pub(super) number: u64,
    pub(super) format: Format,
}

/// Why an answer is not sent again before the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Why {
    /// The archive has refused it with this status.
    Refused(u16),
    /// It takes no captures, but reports.
    NoCapture,
    /// It takes no reports, but captures.
    NoReport,
    /// The film is no longer kept or has changed, or nothing can be made of the answer. It is not tried again.
    NotMade,
}

impl Why {
    /// The same for people.
    pub(crate) fn trouble(self) -> Trouble {
        match self {
            Self::Refused(status) => Trouble::Refused(status),
            Self::NoCapture => Trouble::NoCapture,
            Self::NoReport => Trouble::NoReport,
            Self::NotMade => Trouble::NotMade,
        }
    }
}

/// What a file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aside: Option<Why>,
}

/// Answers that are not in the archive.
pub(crate) struct Queue {
    folder: PathBuf,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// As what answers are sent; as nothing without an archive.
    formats: BTreeSet<Format>,
    waiting: BTreeSet<Item>,
    aside: BTreeMap<Item, Why>,
    /// Why the last one was set aside.
    last: Option<Why>,
}

/// Figures for the page on the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(crate) waiting: usize,
    pub(crate) aside: usize,
    /// Why the last one was set aside.
    pub(crate) last: Option<Why>,
}

impl Queue {
    /// Reads what is still to be sent from the folder of a store. What was refused is tried once more. `answered`: whether a record
    /// has an answer, if it can be read.
    pub(crate) fn open(store: &Path, answered: impl Fn(u64) -> Option<bool>) -> io::Result<Self> {
        let folder = store.join(OUTBOX);
        fs::create_dir_all(&folder)?;
        let mut state = State::default();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                fs::remove_file(&path)?;
            }
            let Some(item) = item(&path) else { continue };
            // One that is damaged says that much by its name.
            let json = read_up_to(&path, MAX_ENTRY).unwrap_or_default();
            let kept: Entry = serde_json::from_slice(&json).unwrap_or_default();
            if kept.aside == Some(Why::NotMade) {
                fs::remove_file(&path)?;
            } else if answered(item.number) == Some(true) {
                state.waiting.insert(item);
            }
        }
        Ok(Self { folder, state: Mutex::new(state), news: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on answers are to be sent in these formats. What waits in another one is not: it stays on the disk until that is
    /// asked for again.
    pub(crate) fn turn_on(&self, formats: &BTreeSet<Format>) {
        let mut state = self.state();
        state.waiting.retain(|item| formats.contains(&item.format));
        state.formats.clone_from(formats);
    }

    /// Notes on the disk that an answer will have to be sent, before the answer itself is there; whether that is so. It is
    /// not sent before [`Self::enter`].
    pub(crate) fn announce(
        &self,
        number: u64,
        outcome: &Outcome,
        film: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        let formats = self.state().formats.clone();
        if formats.is_empty() || !matches!(outcome, Outcome::Judged { .. }) {
            return Ok(false);
        }
        // Of a film that cannot be read now it is found out later.
        if film().is_ok_and(|film| Filed::of(&film).is_none()) {
            return Ok(false);
        }
        for format in formats {
            self.write(Item { number, format }, None).map_err(StoreError::Write)?;
        }
        Ok(true)
    }

    /// The answer is on the disk: it may be sent.
    pub(crate) fn enter(&self, number: u64) {
        let mut state = self.state();
        for format in state.formats.clone() {
            let item = Item { number, format };
            state.aside.remove(&item);
            state.waiting.insert(item);
        }
        drop(state);
        self.news.notify_all();
    }

    /// Whether the film is still needed.
    pub(crate) fn holds(&self, number: u64) -> bool {
        let first = Item { number, format: Format::Capture };
        self.state().waiting.range(first..).next().is_some_and(|item| item.number == number)
    }

    /// The answer to be sent after another one, the first one after the last, if one comes within this time.
    pub(super) fn next(&self, after: Option<Item>, within: Duration) -> Option<Item> {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state = self.news.wait_timeout(state, within).unwrap_or_else(PoisonError::into_inner).0;
        }
        let behind = after.and_then(|after| state.waiting.range((Excluded(after), Unbounded)).next());
        behind.or_else(|| state.waiting.first()).copied()
    }

    /// The answer is in the archive, or need not be. Where that cannot be noted, it is sent again at the next start.
    pub(super) fn done(&self, item: Item) -> io::Result<()> {
        self.state().waiting.remove(&item);
        match fs::remove_file(self.place(item)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync(),
        }
    }

    /// What an archive has refused is tried once more: it may have been the archive's fault.
    pub(super) fn retry(&self) {
        let mut state = self.state();
        let State { waiting, aside, .. } = &mut *state;
        aside.retain(|&item, why| {
            let is_refused = *why != Why::NotMade;
            if is_refused {
                waiting.insert(item);
            }
            !is_refused
        });
    }

    /// The answer is not sent again before the next day or start.
    pub(super) fn set_aside(&self, item: Item, why: Why) -> io::Result<()> {
        let mut state = self.state();
        state.waiting.remove(&item);
        state.aside.insert(item, why);
        state.last = Some(why);
        drop(state);
        self.write(item, Some(why))
    }

    pub(crate) fn unsent(&self) -> Unsent {
        let state = self.state();
        Unsent { waiting: state.waiting.len(), aside: state.aside.len(), last: state.last }
    }

    fn place(&self, item: Item) -> PathBuf {
        let format = match item.format {
            Format::Capture => "",
            Format::Report => REPORT,
        };
        self.folder.join(format!("{:08}{format}.json", item.number))
    }

    /// Writes a file so that it is there after a power cut.
    fn write(&self, item: Item, aside: Option<Why>) -> io::Result<()> {
        let json = serde_json::to_vec(&Entry { aside })?;
        write_atomically(&self.place(item), &json)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// What a file is named by.
fn item(path: &Path) -> Option<Item> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let (digits, format) = match name.strip_suffix(REPORT) {
        Some(digits) => (digits, Format::Report),
        None => (name, Format::Capture),
    };
    let number = digits.parse().ok().filter(|_| digits.len() >= 8)?;
    Some(Item { number, format })
}
