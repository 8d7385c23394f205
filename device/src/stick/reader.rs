//! The process that reads a stick.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::FileExt as _, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    confine::{Rights, confine},
    given,
    message::{Bundle, Film, MOST_LISTED, PART, Said, Told, Wish},
    walk::{self, Found, walk},
};

/// The argument that makes the program a reader of the folder and with the number that follow. It is not a flag: nobody types it.
pub const WORD: &str = "read-a-stick";

/// How long a message waits for the other end to take it.
const SEND_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether the stick is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a reader is to read.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    stick: u32,
}

impl Place {
    /// What this process is to read, if it is to do that and nothing else.
    pub fn wanted() -> Option<Self> {
        let (folder, [stick]) = given(WORD)?;
        Some(Self { folder, stick: stick.try_into().ok()? })
    }
}

/// Gives up all rights but to read below the folder, and answers on stdin until it is ended. The process should then end with the
/// code that is returned.
pub fn run(place: &Place) -> ExitCode {
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixDatagram::from);
    let served = socket.and_then(|socket| {
        confine(&place.folder, Rights::Read)?;
        let mut is_told = false;
        serve(&socket, place.stick, &place.folder, walk::Limits::BOX, || {
            // Once what is on the stick was said. The first process waits for that on stdout, and ends a reader that hangs.
            if !std::mem::replace(&mut is_told, true) {
                let _ = io::stdout().write_all(b"\n");
            }
            true
        })
    });
    match served {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say(format_args!("a stick is not read any more: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a stick is not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It is not there.
    Gone,
    /// Results are to be written onto it.
    Writing,
}

/// Says what is on a stick and gives parts of its films and of its bundle, until it is not there any more, results are to be written onto
/// it, or nobody listens.
pub(super) fn serve(
    socket: &UnixDatagram,
    stick: u32,
    folder: &Path,
    limits: walk::Limits,
    mut is_there: impl FnMut() -> bool,
) -> io::Result<After> {
    let mark = walk::marked(folder);
    let bundle = mark.as_deref().and_then(|mark| walk::bundle(mark, limits));
    if mark.is_some() {
        let bundle = bundle.as_ref().map(|(_, bundle)| bundle.clone());
        tell(socket, &Told { stick, said: Said::Marked { bundle } })?;
    }
    let (films, said) = match walk(folder, limits) {
        Ok(Found::Films(mut films)) => {
            films.truncate(MOST_LISTED);
            let listed: Vec<Film> = films.iter().map(|(_, film)| film.clone()).collect();
            (films, Said::Films(listed))
        }
        Ok(Found::TooMany) => (Vec::new(), Said::TooMany),
        Err(_) => (Vec::new(), Said::Unreadable),
    };
    tell(socket, &Told { stick, said })?;
    let mut shelf = Shelf { films, bundle, open: None, bytes: Vec::new() };
    while is_there() {
        match wish(socket)? {
            Some(Wish::Part { stick: of, film, offset }) if of == stick => {
                tell(socket, &Told { stick, said: shelf.part(film, offset) })?;
            }
            Some(Wish::Bundle { stick: of, offset }) if of == stick => {
                tell(socket, &Told { stick, said: shelf.bundle_part(offset) })?;
            }
            Some(Wish::Write { stick: of, .. }) if of == stick && mark.is_some() => {
                // What is wished from now on is heard by whoever comes next.
                tell(socket, &Told { stick, said: Said::Leaving })?;
                return Ok(After::Writing);
            }
            _ => {}
        }
    }
    Ok(After::Gone)
}

/// The films of a stick, and its bundle.
struct Shelf {
    films: Vec<(PathBuf, Film)>,
    bundle: Option<(PathBuf, Bundle)>,
    /// What was read last: a film by its number, or the bundle.
    open: Option<(Option<u16>, File)>,
    /// What was read last.
    bytes: Vec<u8>,
}

impl Shelf {
    fn part(&mut self, film: u16, offset: u32) -> Said<'_> {
        match self.read(film, offset) {
            Ok(()) => Said::Part { film, offset, bytes: &self.bytes },
            Err(_) => {
                self.open = None;
                Said::Lost { film }
            }
        }
    }

    fn bundle_part(&mut self, offset: u32) -> Said<'_> {
        match self.read_bundle(offset) {
            Ok(()) => Said::BundlePart { offset, bytes: &self.bytes },
            Err(_) => {
                self.open = None;
                Said::BundleLost
            }
        }
    }

    fn read(&mut self, number: u16, offset: u32) -> io::Result<()> {
        let (path, film) = self.films.get(usize::from(number)).ok_or(io::ErrorKind::NotFound)?;
        let file = part(&mut self.open, Some(number), path, (film.size, offset), &mut self.bytes)?;
        self.open = Some((Some(number), file));
        Ok(())
    }

    fn read_bundle(&mut self, offset: u32) -> io::Result<()> {
        let (path, bundle) = self.bundle.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let file = part(&mut self.open, None, path, (bundle.size, offset), &mut self.bytes)?;
        self.open = Some((None, file));
        Ok(())
    }
}

/// Reads the part of a file of this size that begins at an offset, and gives the file, which is open already if it was read last.
fn part(
    open: &mut Option<(Option<u16>, File)>,
    number: Option<u16>,
    path: &Path,
    (size, offset): (u32, u32),
    bytes: &mut Vec<u8>,
) -> io::Result<File> {
    let left = size.checked_sub(offset).filter(|&left| left > 0).ok_or(io::ErrorKind::InvalidInput)?;
    let file = match open.take() {
        Some((open, file)) if open == number => file,
        _ => File::open(path)?,
    };
    bytes.resize(left.min(PART) as usize, 0);
    // A file that has become shorter is an error.
    file.read_exact_at(bytes, offset.into())?;
    Ok(file)
}

/// The next thing that is wanted, if there is one within a moment. What is no message is passed over.
pub(super) fn wish(socket: &UnixDatagram) -> io::Result<Option<Wish>> {
    if !is_ready(socket, PollFlags::IN, LOOK_EVERY)? {
        return Ok(None);
    }
    let mut bytes = [0; 64];
    match socket.recv(&mut bytes) {
        Ok(count) => Ok(Wish::read(&bytes[..count])),
        Err(error) if is_passing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn tell(socket: &UnixDatagram, told: &Told<'_>) -> io::Result<()> {
    let bytes = told.bytes()?;
    let until = Instant::now() + SEND_WITHIN;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // The socket may be one that does not wait.
        if is_ready(socket, PollFlags::OUT, left)? {
            match socket.send(&bytes) {
                Err(error) if is_passing(&error) => {}
                sent => return sent.map(drop),
            }
        }
    }
}

pub(super) fn is_ready(socket: &UnixDatagram, what: PollFlags, within: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: within.as_secs().cast_signed(), tv_nsec: within.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, what)], Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
