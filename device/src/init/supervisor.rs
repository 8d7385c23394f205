//! Keeps a worker running, in safe mode if need be.

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpListener,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::{Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::sockopt::socket_acceptconn,
    process::{Pid, Signal, WaitOptions, kill_process, wait},
};

/// Set in the environment of a worker: it then writes a byte to its stdout every [`BEAT_EVERY`].
pub const SUPERVISED: &str = "PUMUA_SUPERVISED";
/// Set in the environment of a worker that is handed a socket, to the number of its file descriptor.
pub const LISTENER: &str = "PUMUA_LISTENER";
/// How often a worker reports that it is alive.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);
/// What a worker writes there once it serves hosts. No other byte is looked at.
const READY: u8 = b'R';

/// Exit code of a worker whose settings cannot be used. Whoever has written them must correct them: that is not a failure of the
/// program, and neither safe mode nor a restart would help.
pub const WRONG_SETTINGS: u8 = 2;

/// Whether this process is a worker.
pub fn is_supervised() -> bool {
    std::env::var_os(SUPERVISED).is_some_and(|value| !value.is_empty())
}

/// The socket on which X-ray machines connect, if the first process has handed one over. To be asked for once.
///
/// # Errors
/// What was handed over is no socket that listens.
#[expect(unsafe_code, reason = "a file descriptor is inherited by its number")]
pub fn listener() -> io::Result<Option<TcpListener>> {
    let Some(number) = std::env::var(LISTENER).ok().and_then(|number| number.parse().ok()) else { return Ok(None) };
    // SAFETY: the first process has opened it for this one and says its number; nothing else here knows it, and what else is open
    // now is standard input, output and error, and files that this process has opened since.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    // Not for the programs that this one starts.
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    if !socket_acceptconn(&socket)? {
        return Err(io::Error::other("what was handed over does not listen"));
    }
    Ok(Some(TcpListener::from(socket)))
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

/// What a worker calls once its model is loaded and it serves hosts. A program on trial has not failed then.
pub fn say_ready() {
    if is_supervised() {
        let _ = io::stdout().write_all(&[READY, b'\n']);
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

/// How a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As a box.
    Normal,
    /// Nothing is judged; what can fail is left out.
    Safe,
}

/// One process is started at a time while this is held. What a worker is to inherit is open to any process for that moment, and the
/// reader of a memory stick, which another thread starts, is not to have it.
pub(super) fn starting() -> MutexGuard<'static, ()> {
    static STARTING: Mutex<()> = Mutex::new(());
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a supervisor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is at work: at least every [`Limits::tick`], unless a worker that hangs cannot be ended, where only the hardware's
    /// watchdog helps.
    Tick,
    /// A worker in normal mode has said that it serves, and has shown signs of life for [`Limits::settle`] since.
    Ready,
    /// A worker in normal mode has lived for [`Limits::well`].
    Well,
    /// Workers in normal mode have failed so often that the next one runs in safe mode.
    Unsafe,
}

/// How long things may take, and how often they may fail.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until a worker reports for the first time that it is alive: the model is loaded before.
    pub start: Duration,
    /// From one sign of life to the next.
    pub silence: Duration,
    /// Between the end of a worker and the start of the next one, so that what it showed last can be read. After each further
    /// failure it is twice as long.
    pub pause: Duration,
    /// But no longer than this.
    pub longest_pause: Duration,
    /// Longest time between two reports of [`Event::Tick`].
    pub tick: Duration,
    /// From the moment on at which a worker says that it serves, until it is believed: a screen that does not work, for example, ends
    /// it before.
    pub settle: Duration,
    /// After this life of a worker its failures, and those before, do not count any more.
    pub well: Duration,
    /// After so many failures the next worker runs in safe mode, and after as many there the supervisor gives up.
    pub failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            // A worn card may take many seconds to store a result, which must still be reported and not be lost on the way.
            silence: 30 * BEAT_EVERY,
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(60),
            tick: Duration::from_secs(1),
            settle: Duration::from_secs(10),
            well: Duration::from_secs(600),
            failures: 4,
        }
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// By the supervisor: it showed no sign of life.
    Hung,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Hung => write!(f, "hung and was ended"),
        }
    }
}

/// Starts workers, one after the other.
pub struct Supervisor<C> {
    command: C,
    limits: Limits,
    listener: Option<TcpListener>,
}

impl<C: FnMut(Mode) -> Command> Supervisor<C> {
    /// Workers are started by `command`, which says what their stdin is.
    pub fn new(command: C, limits: Limits) -> Self {
        Self { command, limits, listener: None }
    }

    /// A socket that listens, which each worker in normal mode inherits, and is told so by [`LISTENER`].
    pub fn hand_over(&mut self, listener: TcpListener) {
        self.listener = Some(listener);
    }

    /// Keeps a worker running, first in `mode`, until it has failed in safe mode as often as it may.
    pub fn run(&mut self, mode: Mode, mut report: impl FnMut(Event)) {
        let mut course = Course { limits: self.limits, mode, failures: 0, in_a_row: 0 };
        loop {
            let started = Instant::now();
            let end = self.run_once(course.mode, &mut report);
            match &end {
                Ok(end) => crate::say(format_args!("the worker {end}")),
                Err(error) => crate::say(format_args!("the worker cannot be started: {error}")),
            }
            let before = course.mode;
            let Some(pause) = course.go_on(started.elapsed(), end.ok()) else {
                return crate::say(format_args!("the worker fails in safe mode as well"));
            };
            if course.mode != before {
                report(Event::Unsafe);
            }
            let words = if course.mode == Mode::Safe { ", in safe mode" } else { "" };
            crate::say(format_args!("the next one starts in {pause:?}{words}"));
            let ended = Instant::now();
            while ended.elapsed() < pause {
                report(Event::Tick);
                thread::sleep(self.limits.tick.min(pause));
            }
        }
    }

    /// Runs one worker to its end and says how it ended.
    pub fn run_once(&mut self, mode: Mode, report: &mut impl FnMut(Event)) -> io::Result<End> {
        let mut command = (self.command)(mode);
        let handed = self.listener.as_ref().filter(|_| mode == Mode::Normal);
        let alone = starting();
        if let Some(listener) = handed {
            // The worker inherits it under its number.
            fcntl_setfd(listener, FdFlags::empty())?;
            command.env(LISTENER, listener.as_raw_fd().to_string());
        }
        let started = command.stdout(Stdio::piped()).spawn();
        if let Some(listener) = handed {
            fcntl_setfd(listener, FdFlags::CLOEXEC)?;
        }
        drop(alone);
        let mut child = started?;
        let started = Instant::now();
        let (mut is_well, mut is_ready, mut said_ready) = (mode == Mode::Safe, mode == Mode::Safe, None);
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("its output cannot be read"))?;
        let pid = Pid::from_child(&child);
        let beats = match listen(stdout) {
            Ok(beats) => beats,
            Err(error) => {
                // Nobody would notice that it hangs.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let mut pulse = Pulse::new(self.limits, started);
        let (mut killed, mut told): (Option<Instant>, _) = (None, 0);
        loop {
            if killed.is_none_or(|killed| killed.elapsed() < self.limits.silence) {
                report(Event::Tick);
            }
            // The end of a worker ends the waiting for its next sign of life at once.
            match beats.recv_timeout(self.limits.tick) {
                Ok(says_ready) => {
                    pulse.beat(Instant::now());
                    told = tell_memory(pid, told);
                    if says_ready {
                        said_ready = said_ready.or(Some(Instant::now()));
                    }
                    if !is_ready && said_ready.is_some_and(|said| said.elapsed() >= self.limits.settle) {
                        is_ready = true;
                        report(Event::Ready);
                    }
                    if !is_well && started.elapsed() >= self.limits.well {
                        is_well = true;
                        report(Event::Well);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(10)),
            }
            if let Some(end) = reap(pid)? {
                return Ok(if killed.is_some() { End::Hung } else { end });
            }
            if pulse.is_gone(Instant::now()) && killed.is_none() {
                // Should it be gone already, the next round reaps it.
                let _ = kill_process(pid, Signal::KILL);
                killed = Some(Instant::now());
            }
        }
    }
}

/// What follows from the end of each worker.
struct Course {
    limits: Limits,
    mode: Mode,
    /// Failures in this mode, since a worker was well.
    failures: u32,
    /// Ends of any kind since then, for the pause.
    in_a_row: u32,
}

impl Course {
    /// How long to wait for the next worker after one that has lived for so long and ended so, or could not be started; `None`
    /// if there is to be none.
    fn go_on(&mut self, lived: Duration, end: Option<End>) -> Option<Duration> {
        if lived >= self.limits.well {
            (self.failures, self.in_a_row) = (0, 0);
        }
        self.failures += u32::from(end != Some(End::Code(WRONG_SETTINGS.into())));
        if self.failures >= self.limits.failures {
            if self.mode == Mode::Safe {
                return None;
            }
            (self.mode, self.failures, self.in_a_row) = (Mode::Safe, 0, 0);
        }
        let pause = self.limits.pause.saturating_mul(1 << self.in_a_row.min(16)).min(self.limits.longest_pause);
        self.in_a_row += 1;
        Some(pause)
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

/// Reports every sign of life, and whether the worker says with it that it serves, until the worker closes its end.
fn listen(mut stdout: impl Read + Send + 'static) -> io::Result<Receiver<bool>> {
    let (sender, receiver) = channel();
    // An error where there is no memory for it, and no panic: that of the first process would be the kernel's.
    thread::Builder::new().spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = stdout.read(&mut bytes) {
            if sender.send(bytes[..count].contains(&READY)).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Takes note of every process that has ended, also of orphans, which the kernel hands to the first process. Returns how
/// `worker` ended if it is among them.
fn reap(worker: Pid) -> io::Result<Option<End>> {
    while let Some((pid, status)) = wait(WaitOptions::NOHANG)? {
        let end = status.exit_status().map(End::Code).or_else(|| status.terminating_signal().map(End::Signal));
        if pid == worker && end.is_some() {
            return Ok(end);
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

    #[test]
    fn pauses_grow_failures_lead_to_safe_mode_and_there_to_an_end_and_a_worker_that_was_well_wipes_them_out() {
        let limits = Limits { failures: 6, ..Limits::default() };
        let mut course = Course { limits, mode: Mode::Normal, failures: 0, in_a_row: 0 };
        let seconds = |pause: Option<Duration>| pause.map(|pause| pause.as_secs());
        let crash = Some(End::Signal(11));
        for pause in [5, 10, 20, 40, 60] {
            assert_eq!((seconds(course.go_on(Duration::ZERO, crash)), course.mode), (Some(pause), Mode::Normal));
        }
        assert_eq!((seconds(course.go_on(limits.well, crash)), course.mode), (Some(5), Mode::Normal), "it was well");
        for _ in 0..4 {
            assert!(course.go_on(Duration::ZERO, None).is_some() && course.mode == Mode::Normal, "cannot be started");
        }
        for _ in 0..20 {
            let pause = seconds(course.go_on(Duration::ZERO, Some(End::Code(WRONG_SETTINGS.into()))));
            assert_eq!((pause, course.mode), (Some(60), Mode::Normal), "wrong settings are corrected by a person");
        }
        for pause in [5, 10, 20, 40, 60, 60] {
            assert_eq!((seconds(course.go_on(Duration::ZERO, crash)), course.mode), (Some(pause), Mode::Safe));
        }
        assert_eq!(course.go_on(Duration::ZERO, crash), None);
    }
}
