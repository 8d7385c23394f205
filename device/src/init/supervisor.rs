//! Keeps a worker running.

use std::{
    io::{self, Read, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

/// Set in the environment of a worker: it then writes a byte to its stdout every [`BEAT_EVERY`].
pub const SUPERVISED: &str = "PUMUA_SUPERVISED";
/// How often a worker reports that it is alive.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Whether this process is a worker.
pub fn is_supervised() -> bool {
    std::env::var_os(SUPERVISED).is_some()
}

/// What a worker calls at least every [`BEAT_EVERY`], except while a result is being stored. It reports to a supervisor
/// of this program, or systemd where that watches (`sd_notify(3)`); without either it does nothing.
pub fn sign_of_life() -> impl FnMut() {
    let supervised = is_supervised();
    let systemd = systemd();
    let mut told: Option<Instant> = None;
    move || {
        if told.is_some_and(|told| told.elapsed() < BEAT_EVERY / 2) {
            return;
        }
        told = Some(Instant::now());
        // A supervisor that does not listen any more has ended, and everything with it.
        if supervised {
            let _ = io::stdout().write_all(b"\n");
        }
        if let Some(socket) = &systemd {
            let _ = socket.send(b"WATCHDOG=1");
        }
    }
}

/// Where systemd listens for signs of life, if it does.
fn systemd() -> Option<UnixDatagram> {
    let name = std::env::var_os("NOTIFY_SOCKET").filter(|_| std::env::var_os("WATCHDOG_USEC").is_some())?;
    let socket = UnixDatagram::unbound().ok()?;
    let connected = match name.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name).and_then(|address| socket.connect_addr(&address)),
        None => socket.connect(&name),
    };
    connected.ok().map(|()| socket)
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until a worker reports for the first time that it is alive: the model is loaded before.
    pub start: Duration,
    /// From one sign of life to the next.
    pub silence: Duration,
    /// Between the end of a worker and the start of the next one, so that what it showed last can be read.
    pub pause: Duration,
    /// Longest time between two feedings of the watchdog.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            // A worn card may take many seconds to store a result, which must still be reported and not be lost on the way.
            silence: 30 * BEAT_EVERY,
            pause: Duration::from_secs(5),
            tick: Duration::from_secs(1),
        }
    }
}

/// Starts workers, one after the other.
pub struct Supervisor<C> {
    command: C,
    limits: Limits,
}

impl<C: FnMut() -> Command> Supervisor<C> {
    /// Workers are started by `command`.
    pub fn new(command: C, limits: Limits) -> Self {
        Self { command, limits }
    }

    /// Keeps a worker running for ever. `feed` is called at least every [`Limits::tick`], unless a worker that hangs cannot
    /// be ended: then only the hardware's watchdog helps.
    pub fn run(mut self, mut feed: impl FnMut()) -> ! {
        loop {
            let end = self.run_once(&mut feed).unwrap_or_else(|error| format!("cannot be started: {error}"));
            crate::say(format_args!("the worker {end}; the next one starts in {:?}", self.limits.pause));
            let ended = Instant::now();
            while ended.elapsed() < self.limits.pause {
                feed();
                thread::sleep(self.limits.tick.min(self.limits.pause));
            }
        }
    }

    /// Runs one worker to its end and says in words how it ended.
    pub fn run_once(&mut self, feed: &mut impl FnMut()) -> io::Result<String> {
        let mut child = (self.command)().stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("its output cannot be read"))?;
        let beats = listen(stdout);
        let pid = Pid::from_child(&child);
        let mut pulse = Pulse::new(self.limits, Instant::now());
        let (mut killed, mut told): (Option<Instant>, _) = (None, 0);
        loop {
            if killed.is_none_or(|killed| killed.elapsed() < self.limits.silence) {
                feed();
            }
            // The end of a worker ends the waiting for its next sign of life at once.
            match beats.recv_timeout(self.limits.tick) {
                Ok(()) => {
                    pulse.beat(Instant::now());
                    told = tell_memory(pid, told);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(10)),
            }
            if let Some(end) = reap(pid)? {
                return Ok(if killed.is_some() { "hung and was ended".to_owned() } else { end });
            }
            if pulse.is_gone(Instant::now()) && killed.is_none() {
                // Should it be gone already, the next round reaps it.
                let _ = kill_process(pid, Signal::KILL);
                killed = Some(Instant::now());
            }
        }
    }
}

/// The signs of life of a worker.
struct Pulse {
    limits: Limits,
    /// When it was started, or showed the last sign of life.
    heard: Instant,
    /// How long it may be silent from then on.
    limit: Duration,
}

impl Pulse {
    fn new(limits: Limits, started: Instant) -> Self {
        Self { limits, heard: started, limit: limits.start }
    }

    fn beat(&mut self, now: Instant) {
        (self.heard, self.limit) = (now, self.limits.silence);
    }

    /// Whether it has been silent for too long.
    fn is_gone(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > self.limit
    }
}

/// Logs the most memory that a worker has held when that is a MiB more than what was logged before, in KiB. One that grows
/// for ever is seen in the log.
fn tell_memory(worker: Pid, told: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.as_raw_nonzero())).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    match most {
        Some(most) if most >= told + 1024 => {
            crate::say(format_args!("the worker has held {most} KiB of memory at most"));
            most
        }
        _ => told,
    }
}

/// Reports every sign of life, until the worker closes its end.
fn listen(mut stdout: impl Read + Send + 'static) -> Receiver<()> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while matches!(stdout.read(&mut bytes), Ok(1..)) && sender.send(()).is_ok() {}
    });
    receiver
}

/// Takes note of every process that has ended, also of orphans, which the kernel hands to the first process. Returns how
/// `worker` ended if it is among them.
fn reap(worker: Pid) -> io::Result<Option<String>> {
    while let Some((pid, status)) = wait(WaitOptions::NOHANG)? {
        if pid == worker {
            let signal = |signal| format!("was ended by signal {signal}");
            let code = |code| format!("ended with exit code {code}");
            let end = status.exit_status().map(code).or_else(|| status.terminating_signal().map(signal));
            return Ok(Some(end.unwrap_or_else(|| "ended".to_owned())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_gone_once_it_has_been_silent_for_longer_than_it_may() {
        let limits = Limits { start: Duration::from_secs(60), silence: Duration::from_secs(30), ..Limits::default() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(limits, start);
        assert!(!pulse.is_gone(at(60)) && pulse.is_gone(at(61)), "never a sign of life");
        for second in (50..=500).step_by(30) {
            pulse.beat(at(second));
            assert!(!pulse.is_gone(at(second + 30)), "alive for longer than either limit");
        }
        assert!(pulse.is_gone(at(531)));
    }
}
