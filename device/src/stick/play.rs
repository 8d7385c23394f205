//! A folder that is played as a stick, on a computer: while it is there, the stick is in.

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    message::{Said, Told, Wish},
    reader::{After, serve, tell, wish},
    walk, writer,
};

/// How often it is looked whether the folder is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the worker may take to say again that it wants to write.
const WISH_WITHIN: Duration = Duration::from_secs(5);

/// Plays a folder as a stick, on a thread of its own, and gives the worker's end of the conversation. Each time that the folder
/// comes it is another stick. Unlike that of a real one, reader and writer are within this process and have its rights.
pub fn play(folder: PathBuf) -> io::Result<UnixDatagram> {
    let (worker, own) = UnixDatagram::pair()?;
    thread::Builder::new().name("stick".to_owned()).spawn(move || {
        let mut stick = 0_u32;
        loop {
            if folder.is_dir() {
                stick = stick.wrapping_add(1);
                if play_one(&own, stick, &folder).is_err() {
                    // Nobody listens.
                    return;
                }
            }
            thread::sleep(LOOK_EVERY);
        }
    })?;
    Ok(worker)
}

/// Plays one stick until it is gone.
fn play_one(own: &UnixDatagram, stick: u32, folder: &Path) -> io::Result<()> {
    let is_there = || folder.is_dir();
    while is_there() && serve(own, stick, folder, walk::Limits::BOX, is_there)? == After::Writing {
        if let Some(last) = asked(own, stick)? {
            writer::serve(own, stick, folder, last, is_there)?;
            tell(own, &Told { stick, said: Said::Closed { well: true } })?;
        }
    }
    tell(own, &Told { stick, said: Said::Gone })
}

/// The number of the last result that is to be written, if that is said once more.
fn asked(own: &UnixDatagram, stick: u32) -> io::Result<Option<u64>> {
    let until = Instant::now() + WISH_WITHIN;
    while Instant::now() < until {
        if let Some(Wish::Write { stick: of, last }) = wish(own)?
            && of == stick
        {
            return Ok(Some(last));
        }
    }
    Ok(None)
}
