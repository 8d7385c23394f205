//! Meets each that connects.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Says whether all is to end.
pub trait Ending: Sync {
    /// Whether somebody has asked for the end.
    fn asked(&self) -> bool;
}

/// Meets each that connects to a socket that does not block, until the end. It is noticed within a fifth of a second.
pub fn each(listener: &TcpListener, end: &dyn Ending, mut meet: impl FnMut(TcpStream, SocketAddr)) {
    let wait = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    while !end.asked() {
        match listener.accept() {
            Ok((stream, peer)) => meet(stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&wait));
            }
            // Whoever came has gone, or there are no more open files: that passes.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
