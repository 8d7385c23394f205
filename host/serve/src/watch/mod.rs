//! The watched folder: consoles export X-rays to it, and each is taken once, when it is complete.
//!
//! Nobody says when a file is complete. It is taken once two looks in a row have found the same file of the same size and time of
//! change, whatever it was called at each of them; one that changes later is another film. The folder is looked at again and
//! again: that works on shares of a network, too, where nobody tells of changes.
//!
//! A file is known by where it is on the disk, its size and its time of change, not by its name: what is renamed is not taken
//! again, and names may hold anything. What is known is remembered in the store; where that is lost, the same bytes are told
//! apart by their digest.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use base::Shown;
use decode::Kind;
use rustix::fs::OFlags;
use shared::{
    limits::MAX_IMAGE_BYTES,
    verdict::{ExamId, Refusal},
};

use crate::{
    intake::{Intake, IntakeError},
    record::Source,
    stop::Stop,
};

/// Folders within each other that are looked into.
const DEPTH: usize = 8;
/// Files and folders that are looked at, most.
const ENTRIES: usize = 50_000;
/// Where films go that were taken, if they are to be moved.
const TAKEN: &str = "pumua-taken";
/// Ending of the file that marks another one as taken.
const MARK: &str = ".pumua";
/// Endings of files that programs write before they give them their names.
const UNFINISHED: [&str; 5] = [".part", ".tmp", ".filepart", ".crdownload", "~"];
/// Files that are remembered as taken, in the store.
const KNOWN: &str = "watched";

/// Which folder is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The folder.
    pub folder: PathBuf,
    /// What becomes of a film that was taken.
    pub after: After,
    /// Time between two looks.
    pub every: Duration,
}

/// What becomes of a file that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// It stays.
    #[default]
    Leave,
    /// It goes to the folder `pumua-taken` within the watched one.
    Move,
    /// It stays, with an empty file beside it whose name has `.pumua` at its end.
    Mark,
}

/// A word that is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what becomes of a file is one of leave, move and mark")]
pub struct AfterError;

impl FromStr for After {
    type Err = AfterError;

    fn from_str(word: &str) -> Result<Self, AfterError> {
        match word {
            "leave" => Ok(Self::Leave),
            "move" => Ok(Self::Move),
            "mark" => Ok(Self::Mark),
            _ => Err(AfterError),
        }
    }
}

/// What the page says of the folder.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Standing>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) taken: u64,
    /// Files that are no films, or too large.
    pub(crate) passed: u64,
    pub(crate) trouble: Option<String>,
}

impl Watched {
    pub(crate) fn get(&self) -> Standing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells what is wrong, once; or that nothing is.
    fn tell(&self, trouble: Option<String>) {
        self.change(|standing| {
            if let Some(words) = trouble.as_ref().filter(|_| trouble != standing.trouble) {
                base::say!("{words}");
            }
            standing.trouble = trouble;
        });
    }
}

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Identity {
    fn of(it: &Metadata) -> Self {
        Self { device: it.dev(), inode: it.ino(), size: it.size(), seconds: it.mtime(), nanoseconds: it.mtime_nsec() }
    }

    fn line(&self) -> String {
        let Self { device, inode, size, seconds, nanoseconds } = self;
        format!("{device} {inode} {size} {seconds} {nanoseconds}\n")
    }

    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let mut next = || parts.next();
        Some(Self {
            device: next()?.parse().ok()?,
            inode: next()?.parse().ok()?,
            size: next()?.parse().ok()?,
            seconds: next()?.parse().ok()?,
            nanoseconds: next()?.parse().ok()?,
        })
    }
}

/// Looks into the folder until the end.
pub(crate) fn watch(watch: &Watch, intake: &Intake, watched: &Watched, stop: &Stop) {
    let mut watcher = Watcher::new(watch, intake, watched);
    while !stop.asked() {
        watcher.look(stop);
        let until = Instant::now() + watch.every;
        while Instant::now() < until && !stop.asked() {
            thread::sleep(Duration::from_millis(50).min(watch.every));
        }
    }
}

struct Watcher<'a> {
    watch: &'a Watch,
    intake: &'a Intake,
    watched: &'a Watched,
    /// What was taken or passed over.
    known: HashSet<Identity>,
    /// What the last look has found besides.
    seen: HashSet<Identity>,
    /// Where `known` is kept.
    log: PathBuf,
}

/// What a look has found.
#[derive(Default)]
struct Looked {
    files: Vec<(PathBuf, Identity)>,
    entries: usize,
    /// Whether everything there was looked at.
    partly: bool,
}

impl<'a> Watcher<'a> {
    fn new(watch: &'a Watch, intake: &'a Intake, watched: &'a Watched) -> Self {
        let log = intake.store.place("", KNOWN);
        // Lost, it is made again: films are told apart by their digests as well.
        let known = fs::read_to_string(&log).unwrap_or_default().lines().filter_map(Identity::read).collect();
        Self { watch, intake, watched, known, seen: HashSet::new(), log }
    }

    /// Looks once, and takes what has not changed since the last look.
    fn look(&mut self, stop: &Stop) {
        let mut looked = Looked::default();
        if let Err(error) = self.walk(&self.watch.folder, 0, &mut looked) {
            let folder = Shown(self.watch.folder.display());
            self.watched.tell(Some(format!("the folder {folder} cannot be read: {error}: make it readable")));
            return;
        }
        let mut trouble = looked.partly.then(|| {
            format!("of the watched folder, only {ENTRIES} files and {DEPTH} folders within each other are looked at: empty it")
        });
        let all: HashSet<Identity> = looked.files.iter().map(|(_, identity)| *identity).collect();
        if !looked.partly && self.known.iter().any(|identity| !all.contains(identity)) {
            self.known.retain(|identity| all.contains(identity));
            let lines: String = self.known.iter().map(Identity::line).collect();
            // Without it, as without a line of it, a film is read once more and found to be there.
            let _ = fs::write(&self.log, lines);
        }
        // The oldest first: that is the order in which they were exported.
        looked.files.sort_by(|(a, one), (b, other)| {
            (one.seconds, one.nanoseconds, a).cmp(&(other.seconds, other.nanoseconds, b))
        });
        let mut seen = HashSet::new();
        for (path, identity) in looked.files {
            if stop.asked() {
                return;
            }
            if self.known.contains(&identity) {
                continue;
            }
            if !self.seen.contains(&identity) {
                seen.insert(identity);
                continue;
            }
            match self.take(&path, identity) {
                Ok(true) => {}
                // It has changed, or cannot be read yet.
                Ok(false) => {
                    seen.insert(identity);
                }
                Err(error) => {
                    trouble = Some(format!("films of the watched folder are not taken: {error}"));
                    seen.extend(self.seen.iter().filter(|identity| all.contains(identity)));
                    break;
                }
            }
        }
        self.seen = seen;
        self.watched.tell(trouble);
    }

    fn walk(&self, folder: &Path, depth: usize, looked: &mut Looked) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            looked.entries += 1;
            if looked.entries > ENTRIES {
                looked.partly = true;
                return Ok(());
            }
            let (name, path) = (entry.file_name(), entry.path());
            // Links are not followed: they may lead anywhere, and in circles.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() && !is_hidden(&name) && name != TAKEN {
                if depth + 1 >= DEPTH {
                    looked.partly = true;
                } else {
                    // A folder within that cannot be read, or has gone, does not keep the others from being looked into.
                    let _ = self.walk(&path, depth + 1, looked);
                }
            } else if metadata.is_file() && metadata.len() > 0 && is_finished(&name) && !is_marked(&path, &metadata) {
                looked.files.push((path, Identity::of(&metadata)));
            }
        }
        Ok(())
    }

    /// Takes a file that has not changed; `false` if it has, or is no file any more.
    fn take(&mut self, path: &Path, identity: Identity) -> Result<bool, IntakeError> {
        let Ok(Some(bytes)) = read_steady(path, identity) else { return Ok(false) };
        let name = Shown(path.display());
        if bytes.len() > MAX_IMAGE_BYTES as usize {
            base::say!("{name}: larger than 32 MiB, not taken");
            self.pass(identity);
        } else if !is_picture(&bytes) {
            self.pass(identity);
        } else {
            // Its name may be the patient's: it is not kept.
            let receipt = self.intake.take(&mut &bytes[..], &ExamId::default(), Source::Folder)?;
            self.remember(identity);
            self.watched.change(|standing| standing.taken += u64::from(!receipt.known));
            if let Err(error) = self.settle(path, receipt.number) {
                base::say!("{name}: taken as film {}, and left where it is: {error}", receipt.number);
            }
        }
        Ok(true)
    }

    fn pass(&mut self, identity: Identity) {
        self.remember(identity);
        self.watched.change(|standing| standing.passed += 1);
    }

    fn remember(&mut self, identity: Identity) {
        self.known.insert(identity);
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let _ = log.and_then(|mut log| log.write_all(identity.line().as_bytes()));
    }

    /// Does with a file what is to be done after it was taken. Nothing that is there is written over.
    fn settle(&self, path: &Path, number: u64) -> io::Result<()> {
        match self.watch.after {
            After::Leave => Ok(()),
            After::Mark => match File::create_new(marked(path)) {
                // It is of an earlier state of the file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::options()
                    .write(true)
                    .custom_flags(nofollow())
                    .open(marked(path))?
                    .set_modified(std::time::SystemTime::now()),
                made => made.map(drop),
            },
            After::Move => {
                let folder = self.watch.folder.join(TAKEN);
                fs::create_dir_all(&folder)?;
                let mut name = format!("{number:08}-").into_bytes();
                // No name becomes longer than a name may be.
                name.extend(path.file_name().unwrap_or_default().as_bytes().iter().take(200));
                let mut place = folder.join(OsStr::from_bytes(&name));
                for again in 1.. {
                    if fs::symlink_metadata(&place).is_err() {
                        break;
                    }
                    place = folder.join(OsStr::from_bytes(&[name.as_slice(), format!("-{again}").as_bytes()].concat()));
                }
                fs::rename(path, place)
            }
        }
    }
}

fn nofollow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32
}

/// The bytes of a file, at most one more than a film may have; `None` if it is another file by now, or changes while it is read.
fn read_steady(path: &Path, identity: Identity) -> io::Result<Option<Vec<u8>>> {
    let file = OpenOptions::new().read(true).custom_flags(nofollow()).open(path)?;
    let same =
        |file: &File| Ok::<_, io::Error>(file.metadata()?.is_file() && Identity::of(&file.metadata()?) == identity);
    if !same(&file)? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&file).take(u64::from(MAX_IMAGE_BYTES) + 1).read_to_end(&mut bytes)?;
    Ok(if same(&file)? { Some(bytes) } else { None })
}

/// Whether it is a picture, also of a kind that will be refused with the reason.
fn is_picture(bytes: &[u8]) -> bool {
    Kind::of(bytes).is_some_and(|kind| kind.refusal() != Some(Refusal::UnknownFormat))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

fn is_finished(name: &OsStr) -> bool {
    let lower = name.as_bytes().to_ascii_lowercase();
    // A DICOMDIR lists films, and is none.
    !is_hidden(name)
        && lower != b"dicomdir"
        && !UNFINISHED.iter().chain([&MARK]).any(|ending| lower.ends_with(ending.as_bytes()))
}

/// The file that marks another one.
fn marked(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(MARK);
    name.into()
}

/// Whether a file is marked as taken, and has not changed since.
fn is_marked(path: &Path, metadata: &Metadata) -> bool {
    let time = |it: &Metadata| (it.mtime(), it.mtime_nsec());
    fs::symlink_metadata(marked(path)).is_ok_and(|mark| mark.is_file() && time(&mark) >= time(metadata))
}

#[cfg(test)]
mod tests;
