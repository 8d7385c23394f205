//! The supervisor with real processes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    cell::RefCell,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Duration,
};

use device::init::supervisor::{End, Event, Limits, Mode, Supervisor, WRONG_SETTINGS};

/// Longer than any worker that ends by itself takes to do so.
const LONG: Duration = Duration::from_secs(20);

fn limits(silence: Duration) -> Limits {
    let (pause, tick) = (Duration::ZERO, Duration::from_millis(50));
    Limits { start: silence, silence, pause, tick, well: LONG, failures: 3, ..Limits::default() }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    // Processes that outlive their worker must not hold open what whoever runs this test reads to its end.
    command.args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// How a worker ends that may be silent for so long, before its first sign of life and after each.
fn end_of(script: &'static str, silence: Duration) -> String {
    let mut ticks = 0;
    let mut count = |event| ticks += usize::from(event == Event::Tick);
    let end = Supervisor::new(|_| shell(script), limits(silence)).run_once(Mode::Normal, &mut count).unwrap();
    assert!(ticks > 0);
    end.to_string()
}

/// In which modes workers are started that do what `script` says of the first, the second and so on, until the supervisor
/// gives up.
fn modes(script: impl Fn(usize) -> &'static str) -> Vec<Mode> {
    let started = RefCell::new(Vec::new());
    let worker = |mode| {
        started.borrow_mut().push(mode);
        shell(script(started.borrow().len()))
    };
    Supervisor::new(worker, limits(LONG)).run(Mode::Normal, |_| ());
    started.into_inner()
}

fn failures_lead_to_safe_mode_and_there_to_an_end() {
    use Mode::{Normal as N, Safe as S};
    assert_eq!(modes(|_| "exit 1"), [N, N, N, S, S, S]);
    // That is told once.
    let mut told = Vec::new();
    let worker = |_| shell("exit 1");
    Supervisor::new(worker, limits(LONG)).run(N, |event| told.extend((event != Event::Tick).then_some(event)));
    assert_eq!(told, [Event::Unsafe]);
    // Settings that cannot be used are for a person to correct.
    const { assert!(WRONG_SETTINGS == 2) };
    assert_eq!(modes(|n| if n <= 4 { "exit 2" } else { "kill -SEGV $$" }), [N, N, N, N, N, N, N, S, S, S]);
    // One that was well says so once, unless it runs in safe mode.
    let at_once = Limits { well: Duration::ZERO, ..limits(Duration::from_millis(500)) };
    for (mode, expected) in [(N, 1), (S, 0)] {
        let mut well = 0;
        let mut count = |event| well += usize::from(event == Event::Well);
        let lively = |_| shell("echo; echo; exec sleep 60");
        assert_eq!(Supervisor::new(lively, at_once).run_once(mode, &mut count).unwrap(), End::Hung);
        assert_eq!(well, expected);
    }
}

/// How often a worker is believed that it serves, which does what `script` says until it hangs.
fn times_ready(mode: Mode, settle: Duration, script: &'static str) -> usize {
    let mut ready = 0;
    let mut count = |event| ready += usize::from(event == Event::Ready);
    let limits = Limits { settle, ..limits(Duration::from_millis(500)) };
    assert_eq!(Supervisor::new(|_| shell(script), limits).run_once(mode, &mut count).unwrap(), End::Hung);
    ready
}

fn a_worker_serves_when_it_says_so_and_goes_on() {
    let (at_once, soon) = (Duration::ZERO, Duration::from_millis(100));
    assert_eq!(times_ready(Mode::Normal, at_once, "echo R; exec sleep 60"), 1);
    assert_eq!(times_ready(Mode::Normal, soon, "echo R; sleep 0.3; echo; echo; echo R; exec sleep 60"), 1, "once");
    assert_eq!(times_ready(Mode::Normal, soon, "echo R; exec sleep 60"), 0, "no sign of life since");
    assert_eq!(times_ready(Mode::Normal, at_once, "echo; echo; exec sleep 60"), 0, "it does not say so");
    assert_eq!(times_ready(Mode::Safe, at_once, "echo R; exec sleep 60"), 0, "it judges nothing");
}

/// One test in a file of its own: it reaps every child of the process, and processes that are started hold open for a
/// moment what other threads have locked.
#[test]
fn workers_that_end_and_that_hang_are_told_apart_and_systemd_hears_of_life() {
    // Far shorter than those live that do not end by themselves.
    let (long, short) = (LONG, Duration::from_millis(500));
    assert_eq!(end_of("exit 3", long), "ended with exit code 3");
    assert_eq!(end_of("kill -SEGV $$", long), "was ended by signal 11");
    assert_eq!(end_of("sleep 60", short), "hung and was ended", "never a sign of life");
    assert_eq!(end_of("echo; exec sleep 60", short), "hung and was ended", "one sign of life");
    assert_eq!(end_of("for i in 1 2 3 4 5 6; do echo; done; exit 4", long), "ended with exit code 4");
    // The worker's child outlives it and holds its stdout open.
    assert_eq!(end_of("echo; sleep 60 & exit 5", long), "ended with exit code 5");
    failures_lead_to_safe_mode_and_there_to_an_end();
    a_worker_serves_when_it_says_so_and_goes_on();
    systemd_hears_signs_of_life();
}

fn systemd_hears_signs_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_pumua-box"));
    program.args(["--simulate", "--config", "/dev/null", "--state-dir"]).arg(folder.path().join("state"));
    program.env("NOTIFY_SOCKET", folder.path().join("notify")).env("WATCHDOG_USEC", "60000000");
    let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let heard = [0; 3].map(|_| {
        let mut bytes = [0; 64];
        socket.recv(&mut bytes).map(|length| bytes[..length].to_vec())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    for message in heard {
        assert_eq!(message.unwrap(), b"WATCHDOG=1");
    }
}
