//! The watched folder: consoles export X-rays to it, and each is taken once, when it is complete.
//!
//! Nobody says when a file is complete: its size does not, for many programs make a file as long as it will be before they fill
//! it. It is taken once it has been found with the same size and time of change for a while, whatever it was called; one that
//! changes later is another film, also where it was moved in between. The folder is looked at again and again: that works on
//! shares of a network, too, where nobody tells of changes.
//!
//! A file is known by where it is on the disk, its size and its time of change, not by its name: what is renamed is not taken
//! again, and names may hold anything. What is known is remembered in the store; where that is lost, the same bytes are told
//! apart by their digest.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use base::Shown;
use decode::Kind;
use rustix::fs::OFlags;
use shared::{
    limits::MAX_IMAGE_BYTES,
    verdict::{ExamId, Refusal},
};

use crate::{
    intake::{Intake, IntakeError, Receipt},
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
/// Most bytes of that file.
const MARK_BYTES: u64 = 128;
/// Files that are remembered as taken, in the store.
const KNOWN: &str = "watched";
/// A film that was taken is moved after so many times the quiet time: whoever goes on writing to it still finds it.
const MOVE_AFTER: u32 = 3;
/// How long a film that was moved may still change and be taken again.
const MAY_CHANGE: Duration = Duration::from_secs(3600);
/// Looks in a row with something that cannot be read before that is told: what is just being made may pass.
const UNREADABLE_LOOKS: u32 = 5;

/// Which folder is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The folder.
    pub folder: PathBuf,
    /// What becomes of a film that was taken.
    pub after: After,
    /// Time between two looks.
    pub every: Duration,
    /// How long a file must not have changed before it is taken.
    pub quiet: Duration,
}

/// What becomes of a file that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// It stays.
    #[default]
    Leave,
    /// It goes to the folder `pumua-taken` within the watched one.
    Move,
    /// It stays, with a small file beside it that says which state of it was taken, and whose name has `.pumua` at its end.
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

    /// What a mark says of it. A share may be another device each time that it is mounted.
    fn mark(&self) -> String {
        let Self { inode, size, seconds, nanoseconds, .. } = self;
        format!("{inode} {size} {seconds} {nanoseconds}\n")
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

/// Takes the bytes of a film in.
type TakeIn<'a> = dyn Fn(&[u8]) -> Result<Receipt, IntakeError> + 'a;

/// Looks into the folder until the end.
pub(crate) fn watch(watch: &Watch, intake: &Intake, watched: &Watched, stop: &Stop) {
    // Its name may be the patient's: it is not kept.
    let take_in = |mut bytes: &[u8]| intake.take(&mut bytes, &ExamId::default(), Source::Folder);
    let mut watcher = Watcher::new(watch, &take_in, watched, intake.store.place("", KNOWN));
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
    take_in: &'a TakeIn<'a>,
    watched: &'a Watched,
    /// What is done with: taken and put away, or passed over.
    known: HashSet<Identity>,
    /// What was taken and will be moved: its number, and since when.
    taken: HashMap<Identity, (u64, Instant)>,
    /// What was found besides, and since when it is there unchanged.
    seen: HashMap<Identity, Instant>,
    /// Where films were moved to, and when: they may change still.
    moved: Vec<(PathBuf, Instant)>,
    /// Looks in a row in which something could not be read.
    unreadable_looks: u32,
    /// Where `known` is kept.
    log: PathBuf,
}

/// What a look has found.
#[derive(Default)]
struct Looked {
    files: Vec<(PathBuf, Identity)>,
    entries: usize,
    /// Whether not everything there was looked at.
    partly: bool,
    /// Files and folders that could not be read.
    unreadable: usize,
}

impl Looked {
    fn failed(&mut self, error: &io::Error) {
        // What has gone in between is no trouble.
        self.unreadable += usize::from(error.kind() != io::ErrorKind::NotFound);
    }
}

impl<'a> Watcher<'a> {
    fn new(watch: &'a Watch, take_in: &'a TakeIn<'a>, watched: &'a Watched, log: PathBuf) -> Self {
        // Lost, it is made again: films are told apart by their digests as well.
        let known = fs::read_to_string(&log).unwrap_or_default().lines().filter_map(Identity::read).collect();
        let moved = if watch.after == After::Move { recent(&watch.folder.join(TAKEN)) } else { Vec::new() };
        let (taken, seen) = (HashMap::new(), HashMap::new());
        Self { watch, take_in, watched, known, taken, seen, moved, unreadable_looks: 0, log }
    }

    /// Looks once, and takes what has not changed for the quiet time, and not since another look.
    fn look(&mut self, stop: &Stop) {
        let now = Instant::now();
        let mut looked = Looked::default();
        if let Err(error) = walk(&self.watch.folder, 0, &mut looked) {
            let folder = Shown(self.watch.folder.display());
            self.watched.tell(Some(format!("the folder {folder} cannot be read: {error}: make it readable")));
            return;
        }
        self.moved.retain(|(_, since)| now.duration_since(*since) < MAY_CHANGE);
        for (path, _) in &self.moved {
            if let Ok(metadata) = fs::symlink_metadata(path)
                && metadata.is_file()
                && metadata.len() > 0
            {
                looked.files.push((path.clone(), Identity::of(&metadata)));
            }
        }
        let all: HashSet<Identity> = looked.files.iter().map(|(_, identity)| *identity).collect();
        self.seen.retain(|identity, _| all.contains(identity));
        self.taken.retain(|identity, _| all.contains(identity));
        if !looked.partly && self.known.iter().any(|identity| !all.contains(identity)) {
            self.known.retain(|identity| all.contains(identity));
            let lines: String = self.known.iter().map(Identity::line).collect();
            // Without it, as without a line of it, a film is read once more and found to be there.
            let _ = fs::write(&self.log, lines);
        }
        let mut files = std::mem::take(&mut looked.files);
        // The oldest first: that is the order in which they were exported.
        files.sort_by(|(a, one), (b, other)| {
            (one.seconds, one.nanoseconds, a).cmp(&(other.seconds, other.nanoseconds, b))
        });
        let mut troubles = Vec::new();
        for (path, identity) in files {
            if stop.asked() {
                return;
            }
            if self.known.contains(&identity) {
                continue;
            }
            if let Some(&(number, since)) = self.taken.get(&identity) {
                if now.duration_since(since) >= self.watch.quiet * MOVE_AFTER {
                    self.put_away(&path, identity, number);
                }
                continue;
            }
            let since = *self.seen.entry(identity).or_insert(now);
            if since == now || now.duration_since(since) < self.watch.quiet {
                continue;
            }
            if is_marked(&path, identity) {
                self.remember(identity);
                continue;
            }
            let bytes = match read_steady(&path, identity) {
                Ok(Some(bytes)) => bytes,
                // It has changed: the next look finds another one.
                Ok(None) => continue,
                Err(error) => {
                    looked.failed(&error);
                    continue;
                }
            };
            if let Err(error) = self.take(&path, identity, &bytes) {
                troubles.push(format!("films of the watched folder are not taken: {error}"));
                break;
            }
        }
        self.unreadable_looks = if looked.unreadable > 0 { self.unreadable_looks.saturating_add(1) } else { 0 };
        if self.unreadable_looks >= UNREADABLE_LOOKS {
            let count = looked.unreadable;
            troubles.push(format!(
                "files or folders of the watched folder that cannot be read: {count}: let this user read them"
            ));
        }
        if looked.partly {
            troubles.push(format!(
                "of the watched folder, only {ENTRIES} files and {DEPTH} folders within each other are looked at: empty it"
            ));
        }
        self.watched.tell((!troubles.is_empty()).then(|| troubles.join("; ")));
    }

    /// Takes a file, or passes it over for good.
    fn take(&mut self, path: &Path, identity: Identity, bytes: &[u8]) -> Result<(), IntakeError> {
        let name = Shown(path.display());
        if bytes.len() > MAX_IMAGE_BYTES as usize {
            base::say!("{name}: larger than 32 MiB, not taken");
            self.pass(identity);
            return Ok(());
        }
        let take_in = self.take_in;
        // A program error on one file does not keep the others out.
        let taken = catch_unwind(AssertUnwindSafe(|| is_picture(bytes).then(|| take_in(bytes)).transpose()));
        let Ok(receipt) = taken else {
            base::say!("{name}: not taken: a program error in reading it: export it in another format");
            self.pass(identity);
            return Ok(());
        };
        let Some(receipt) = receipt? else {
            self.pass(identity);
            return Ok(());
        };
        self.watched.change(|standing| standing.taken += u64::from(!receipt.known));
        if self.watch.after == After::Move {
            self.taken.insert(identity, (receipt.number, Instant::now()));
        } else {
            self.put_away(path, identity, receipt.number);
        }
        Ok(())
    }

    fn pass(&mut self, identity: Identity) {
        self.remember(identity);
        self.watched.change(|standing| standing.passed += 1);
    }

    fn remember(&mut self, identity: Identity) {
        self.seen.remove(&identity);
        self.known.insert(identity);
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let _ = log.and_then(|mut log| log.write_all(identity.line().as_bytes()));
    }

    /// Does with a file what is to be done after it was taken, and has done with it.
    fn put_away(&mut self, path: &Path, identity: Identity, number: u64) {
        let done = match self.watch.after {
            After::Leave => Ok(()),
            After::Mark => mark(path, identity),
            After::Move => self.move_away(path, number),
        };
        if let Err(error) = done {
            base::say!("{}: taken as film {number}, and left as it is: {error}", Shown(path.display()));
        }
        self.taken.remove(&identity);
        self.remember(identity);
    }

    /// Moves a film that was taken. Nothing that is there is written over.
    fn move_away(&mut self, path: &Path, number: u64) -> io::Result<()> {
        let folder = self.watch.folder.join(TAKEN);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // A link may lead anywhere.
        if !fs::symlink_metadata(&folder)?.is_dir() {
            return Err(io::Error::other(format!("{TAKEN} is not a folder: remove it")));
        }
        let own = path.file_name().unwrap_or_default().as_bytes();
        // One that has changed in there has the number of what it was before its name.
        let own = if path.starts_with(&folder) { without_number(own) } else { own };
        let mut name = format!("{number:08}-").into_bytes();
        // No name becomes longer than a name may be.
        name.extend(own.iter().take(200));
        let mut place = folder.join(OsStr::from_bytes(&name));
        if place == path {
            return Ok(());
        }
        for again in 1.. {
            if fs::symlink_metadata(&place).is_err() {
                break;
            }
            place = folder.join(OsStr::from_bytes(&[name.as_slice(), format!("-{again}").as_bytes()].concat()));
        }
        fs::rename(path, &place)?;
        self.moved.retain(|(other, _)| other != path);
        self.moved.push((place, Instant::now()));
        Ok(())
    }
}

fn walk(folder: &Path, depth: usize, looked: &mut Looked) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        looked.entries += 1;
        if looked.entries > ENTRIES {
            looked.partly = true;
            return Ok(());
        }
        let (name, path) = (entry.file_name(), entry.path());
        // Links are not followed: they may lead anywhere, and in circles.
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                looked.failed(&error);
                continue;
            }
        };
        if metadata.is_dir() && !is_hidden(&name) && name != TAKEN {
            if depth + 1 >= DEPTH {
                looked.partly = true;
            } else if let Err(error) = walk(&path, depth + 1, looked) {
                // A folder within that cannot be read does not keep the others from being looked into.
                looked.failed(&error);
            }
        } else if metadata.is_file() && metadata.len() > 0 && is_finished(&name) {
            looked.files.push((path, Identity::of(&metadata)));
        }
    }
    Ok(())
}

/// The files of the folder of moved films that may change still, as after a restart.
fn recent(folder: &Path) -> Vec<(PathBuf, Instant)> {
    let is_recent = |metadata: &Metadata| {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or(0));
        // One from the future is of another clock.
        SystemTime::now().duration_since(changed).ok().is_none_or(|since| since < MAY_CHANGE)
    };
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|it| it.is_dir());
    let entries = is_folder.then(|| fs::read_dir(folder).ok()).flatten().into_iter().flatten();
    let paths = entries.take(ENTRIES).flatten().map(|entry| entry.path());
    let now = Instant::now();
    paths.filter(|path| fs::symlink_metadata(path).is_ok_and(|it| is_recent(&it))).map(|path| (path, now)).collect()
}

/// A name without the number that [`Watcher::move_away`] has put before it.
fn without_number(name: &[u8]) -> &[u8] {
    match name.split_at_checked(9) {
        Some(([number @ .., b'-'], own)) if number.iter().all(u8::is_ascii_digit) => own,
        _ => name,
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

/// Marks a file as taken in this state. What somebody else has written is left.
fn mark(path: &Path, identity: Identity) -> io::Result<()> {
    let place = marked(path);
    let made = match File::create_new(&place) {
        // It is of an earlier state of the file.
        Err(error)
            if error.kind() == io::ErrorKind::AlreadyExists && read_mark(&place).is_ok_and(|it| is_mark(&it)) =>
        {
            File::options().write(true).truncate(true).custom_flags(nofollow()).open(&place)
        }
        made => made,
    };
    made?.write_all(identity.mark().as_bytes())
}

fn read_mark(place: &Path) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(nofollow()).open(place)?;
    let mut text = String::new();
    file.take(MARK_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a text is of this program's own making; nothing is what a power cut may leave of it.
fn is_mark(text: &str) -> bool {
    let is_number = |part: &str| part.parse::<i128>().is_ok();
    text.is_empty() || text.trim_end().split(' ').count() == 4 && text.trim_end().split(' ').all(is_number)
}

/// Whether a file is marked as taken in this state.
fn is_marked(path: &Path, identity: Identity) -> bool {
    read_mark(&marked(path)).is_ok_and(|text| text == identity.mark())
}

#[cfg(test)]
mod tests;
