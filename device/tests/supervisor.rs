//! The supervisor with real processes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Duration,
};

use device::init::supervisor::{Limits, Supervisor};

/// How a worker ends that may be silent for so long, before its first sign of life and after each.
fn end_of(script: &'static str, silence: Duration) -> String {
    let limits = Limits { start: silence, silence, pause: Duration::ZERO, tick: Duration::from_millis(50) };
    let worker = || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    };
    let mut fed = 0;
    let end = Supervisor::new(worker, limits).run_once(&mut || fed += 1).unwrap();
    assert!(fed > 0);
    end
}

/// One test in a file of its own: it reaps every child of the process, and processes that are started hold open for a
/// moment what other threads have locked.
#[test]
fn workers_that_end_and_that_hang_are_told_apart_and_systemd_hears_of_life() {
    // Longer than any that ends by itself takes to do so, and far shorter than the others live.
    let (long, short) = (Duration::from_secs(20), Duration::from_millis(500));
    assert_eq!(end_of("exit 3", long), "ended with exit code 3");
    assert_eq!(end_of("kill -SEGV $$", long), "was ended by signal 11");
    assert_eq!(end_of("sleep 60", short), "hung and was ended", "never a sign of life");
    assert_eq!(end_of("echo; exec sleep 60", short), "hung and was ended", "one sign of life");
    assert_eq!(end_of("for i in 1 2 3 4 5 6; do echo; done; exit 4", long), "ended with exit code 4");
    // The worker's child outlives it and holds its stdout open.
    assert_eq!(end_of("echo; sleep 60 & exit 5", long), "ended with exit code 5");
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
