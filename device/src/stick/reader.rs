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
    confine::confine,
    message::{Film, MOST_LISTED, PART, Said, Told, Wish},
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
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != WORD {
            return None;
        }
        let folder = PathBuf::from(arguments.next()?);
        let stick = arguments.next()?.to_str()?.parse().ok()?;
        arguments.next().is_none().then_some(Self { folder, stick })
    }
}

/// Gives up all rights but to read below the folder, and answers on stdin until it is ended. The process should then end with the
/// code that is returned.
pub fn run(place: &Place) -> ExitCode {
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixDatagram::from);
    let served = socket.and_then(|socket| {
        confine(&place.folder)?;
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
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say(format_args!("a stick is not read any more: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says what is on a stick and gives parts of its films, until it is not there any more, or nobody listens.
pub(super) fn serve(
    socket: &UnixDatagram,
    stick: u32,
    folder: &Path,
    limits: walk::Limits,
    mut is_there: impl FnMut() -> bool,
) -> io::Result<()> {
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
    let mut shelf = Shelf { films, open: None, bytes: Vec::new() };
    while is_there() {
        if let Some(Wish::Part { stick: of, film, offset }) = wish(socket)?
            && of == stick
        {
            tell(socket, &Told { stick, said: shelf.part(film, offset) })?;
        }
    }
    Ok(())
}

/// The films of a stick.
struct Shelf {
    films: Vec<(PathBuf, Film)>,
    /// The one that was read last.
    open: Option<(u16, File)>,
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

    fn read(&mut self, number: u16, offset: u32) -> io::Result<()> {
        let (path, film) = self.films.get(usize::from(number)).ok_or(io::ErrorKind::NotFound)?;
        let left = film.size.checked_sub(offset).filter(|&left| left > 0).ok_or(io::ErrorKind::InvalidInput)?;
        let file = match self.open.take() {
            Some((open, file)) if open == number => file,
            _ => File::open(path)?,
        };
        self.bytes.resize(left.min(PART) as usize, 0);
        // A file that has become shorter is an error.
        file.read_exact_at(&mut self.bytes, offset.into())?;
        self.open = Some((number, file));
        Ok(())
    }
}

/// The next thing that is wanted, if there is one within a moment. What is no message is passed over.
fn wish(socket: &UnixDatagram) -> io::Result<Option<Wish>> {
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

fn tell(socket: &UnixDatagram, told: &Told<'_>) -> io::Result<()> {
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

fn is_ready(socket: &UnixDatagram, what: PollFlags, within: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: within.as_secs().cast_signed(), tv_nsec: within.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, what)], Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
