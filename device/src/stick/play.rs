//! A folder that is played as a stick, on a computer: while it is there, the stick is in.

use std::{io, os::unix::net::UnixDatagram, path::PathBuf, thread, time::Duration};

use super::{
    message::{Said, Told},
    reader::serve,
    walk,
};

/// How often it is looked whether the folder is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Plays a folder as a stick, on a thread of its own, and gives the worker's end of the conversation. Each time that the folder
/// comes it is another stick. Unlike that of a real one, the reader is within this process and has its rights.
pub fn play(folder: PathBuf) -> io::Result<UnixDatagram> {
    let (worker, own) = UnixDatagram::pair()?;
    thread::Builder::new().name("stick".to_owned()).spawn(move || {
        let mut stick = 0_u32;
        loop {
            if folder.is_dir() {
                stick = stick.wrapping_add(1);
                let gone = Told { stick, said: Said::Gone }.bytes();
                let served = serve(&own, stick, &folder, walk::Limits::BOX, || folder.is_dir());
                if served.and(gone).and_then(|gone| own.send(&gone)).is_err() {
                    // Nobody listens.
                    return;
                }
            }
            thread::sleep(LOOK_EVERY);
        }
    })?;
    Ok(worker)
}
