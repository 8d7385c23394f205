//! The process that writes results onto a stick: a table (CSV), and the same as a page to print.
//!
//! It writes into the marked folder, and only files that were not there. It is told each piece, says when it is written, and says that a
//! file is stored when all of it is on the stick. A file that does not come to its end is removed, as far as the stick still lets it.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    fs::{AtFlags, CWD, Mode, OFlags, fsync, openat, statat, unlinkat},
    io::Errno,
};

use super::{
    confine::{Rights, confine},
    given,
    message::{MOST_BYTES, MOST_NAMES, Said, Told, Unwritten, Wish},
    reader::{is_passing, is_ready, tell},
    walk::marked,
};

/// The argument that makes the program a writer onto the stick in the folder, with the number and for the last result that follow.
pub const WORD: &str = "write-a-stick";

/// Bytes of a file at most: several times those of all results that the journal keeps.
const MOST: u64 = 256 << 20;
/// How long the next piece may take to come.
const PIECE_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether the stick is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The two files, in their order.
const ENDINGS: [&str; 2] = ["csv", "html"];

/// The name of the files of the results up to one of this number, without what follows the dot: the first, or a further one where
/// there are files of that name.
pub fn name(last: u64, nth: u8) -> String {
    if nth == 1 { format!("results-{last:08}") } else { format!("results-{last:08}-{nth}") }
}

/// Onto what a writer is to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    stick: u32,
    last: u64,
}

impl Place {
    /// Onto what this process is to write, if it is to do that and nothing else.
    pub fn wanted() -> Option<Self> {
        let (folder, [stick, last]) = given(WORD)?;
        Some(Self { folder, stick: stick.try_into().ok()?, last })
    }
}

/// Gives up all rights but to create files in the marked folder, and writes what comes on stdin. The process should then end with the
/// code that is returned.
pub fn run(place: &Place) -> ExitCode {
    let Place { folder, stick, last } = place;
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixDatagram::from);
    let served = socket.and_then(|socket| {
        // Without a marked folder it says so and ends; a stick that has one at the next look holds nobody without limits.
        let mark = marked(folder);
        confine(mark.as_deref().unwrap_or(folder), Rights::Write { most: MOST })?;
        serve(&socket, *stick, folder, *last, || true)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say(format_args!("nothing more is written onto the stick: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes both files, and says so, or why not. An error if nobody listens.
pub(super) fn serve(
    socket: &UnixDatagram,
    stick: u32,
    folder: &Path,
    last: u64,
    is_there: impl FnMut() -> bool,
) -> io::Result<()> {
    let Err(stop) = (Writer { socket, stick, is_there }).write(folder, last) else { return Ok(()) };
    match stop {
        Stop::Unwritten(why) => tell(socket, &Told { stick, said: Said::Unwritten(why) }),
        Stop::Unwanted => Ok(()),
        Stop::Ended(error) => Err(error),
    }
}

/// Why writing ends before its time.
enum Stop {
    Unwritten(Unwritten),
    /// Nobody wants it any more.
    Unwanted,
    /// Nobody talks any more.
    Ended(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Ended(error)
    }
}

/// What the stick says no to.
fn refused(error: Errno) -> Stop {
    Stop::Unwritten(match error {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Unwritten::Full,
        Errno::ROFS | Errno::ACCESS | Errno::PERM => Unwritten::Protected,
        Errno::NOENT | Errno::NOTDIR => Unwritten::NoMark,
        _ => Unwritten::Failed,
    })
}

struct Writer<'a, F> {
    socket: &'a UnixDatagram,
    stick: u32,
    is_there: F,
}

impl<F: FnMut() -> bool> Writer<'_, F> {
    fn write(&mut self, folder: &Path, last: u64) -> Result<(), Stop> {
        let mark = marked(folder).ok_or(Stop::Unwritten(Unwritten::NoMark))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Not by `open`, which is another system call on some processors.
        let mark = openat(CWD, &mark, flags, Mode::empty()).map_err(refused)?;
        let (nth, table) = self.begin(&mark, last)?;
        self.say(Said::Begun { nth })?;
        let [of_table, of_page] = ENDINGS.map(|ending| format!("{}.{ending}", name(last, nth)));
        self.fill(&mark, &of_table, table)?;
        let page = create(&mark, &of_page).map_err(refused)?;
        self.fill(&mark, &of_page, page)
    }

    /// Creates the table under the first name that neither file has.
    fn begin(&self, mark: &OwnedFd, last: u64) -> Result<(u8, OwnedFd), Stop> {
        for nth in 1..=MOST_NAMES {
            let [table, page] = ENDINGS.map(|ending| format!("{}.{ending}", name(last, nth)));
            match statat(mark, page.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(refused(error)),
            }
            match create(mark, &table) {
                Ok(file) => return Ok((nth, file)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(Stop::Unwritten(Unwritten::NoName))
    }

    /// Writes what comes into a new file until its end. If that does not come, the file is removed.
    fn fill(&mut self, mark: &OwnedFd, name: &str, file: OwnedFd) -> Result<(), Stop> {
        let filled = self.take(File::from(file));
        if filled.is_err() {
            // A stick that is not there any more has it no longer, or not whole.
            let _ = unlinkat(mark, name, AtFlags::empty());
        }
        filled?;
        self.say(Said::Stored)
    }

    fn take(&mut self, mut file: File) -> Result<(), Stop> {
        let mut length = 0_u64;
        loop {
            let message = self.hear()?;
            match Wish::read_with_bytes(&message) {
                Some((Wish::Bytes { stick, offset }, bytes)) if (stick, offset) == (self.stick, length) => {
                    length += bytes.len() as u64;
                    if length > MOST {
                        return Err(Stop::Unwritten(Unwritten::Full));
                    }
                    file.write_all(bytes).map_err(|error| refused(errno(&error)))?;
                    self.say(Said::Kept { offset: length })?;
                }
                Some((Wish::End { stick }, _)) if stick == self.stick => return fsync(&file).map_err(refused),
                _ => return Err(Stop::Unwanted),
            }
        }
    }

    /// The next message.
    fn hear(&mut self) -> Result<Vec<u8>, Stop> {
        let until = Instant::now() + PIECE_WITHIN;
        // One byte more, so that a longer one is noticed.
        let mut bytes = vec![0; MOST_BYTES + 1];
        while Instant::now() < until {
            if !(self.is_there)() {
                return Err(Stop::Unwritten(Unwritten::Failed));
            }
            if !is_ready(self.socket, PollFlags::IN, LOOK_EVERY)? {
                continue;
            }
            match self.socket.recv(&mut bytes) {
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Stop::Unwanted)
    }

    fn say(&self, said: Said<'_>) -> Result<(), Stop> {
        Ok(tell(self.socket, &Told { stick: self.stick, said })?)
    }
}

/// A new file in a folder. One that is there is an error.
fn create(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::RUSR | Mode::WUSR)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
