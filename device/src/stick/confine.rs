//! What a reader may do: read below one folder, and talk on the socket that it was given.

use std::{io, path::Path};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, make_bitflags, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Bytes of address space, the program among them: the list of the largest stick takes a tenth of it.
const MEMORY: u64 = 192 << 20;
/// Seconds of processor time: to look through the largest stick and to read all its films.
const SECONDS: u64 = 600;
/// Files that are open at once.
const FILES: u64 = 32;

/// Holds this process for good to its limits, to reading below a folder, and to the system calls that this takes. To be called while
/// there is one thread. What the kernel does not know is said, and left out.
pub(super) fn confine(folder: &Path) -> io::Result<()> {
    for (resource, most) in [
        (Resource::As, MEMORY),
        (Resource::Cpu, SECONDS),
        (Resource::Nofile, FILES),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    let unknown = |what: &str, why: &dyn std::fmt::Display| {
        crate::say(format_args!("{what} of the reader are not restricted by this kernel: {why}"));
    };
    match files(folder) {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(status) => unknown("all files", &format_args!("{status:?}")),
        Err(error) => unknown("files", &error),
    }
    if let Err(error) = calls::forbid() {
        unknown("system calls", &error);
    }
    Ok(())
}

fn files(folder: &Path) -> Result<RulesetStatus, landlock::RulesetError> {
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(ABI::V2))?.create()?;
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let ruleset = ruleset.add_rules(path_beneath_rules([folder], read))?;
    Ok(ruleset.restrict_self()?.ruleset)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls {
    use std::io;

    use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompFilter, apply_filter};

    use crate::confined::{of_every_process, rule};

    /// Bits of the third argument of `openat` that none may have.
    const WRITING: u64 = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u64;

    /// Second arguments of `fcntl`.
    const GET_FLAGS: u64 = libc::F_GETFD as u64;
    const SET_FLAGS: u64 = libc::F_SETFD as u64;

    /// Calls that only old kinds of processors have.
    const OLD: &[i64] = &[
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ];

    /// From now on any other system call ends the process.
    pub(super) fn forbid() -> io::Result<()> {
        let program = program().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)
    }

    fn program() -> Result<BpfProgram, BackendError> {
        let mut rules = of_every_process()?;
        rules.extend([
            // Folders and files.
            (libc::SYS_openat, vec![rule(2, SeccompCmpOp::MaskedEq(WRITING), 0)?]),
            (libc::SYS_close, Vec::new()),
            // Only what a descriptor is to this process, not how a socket is that others have as well: C libraries set that it is
            // closed by programs that are started, and Rust's looks whether it is open.
            (libc::SYS_fcntl, vec![rule(1, SeccompCmpOp::Eq, GET_FLAGS)?, rule(1, SeccompCmpOp::Eq, SET_FLAGS)?]),
            (libc::SYS_fstat, Vec::new()),
            (libc::SYS_newfstatat, Vec::new()),
            (libc::SYS_statx, Vec::new()),
            (libc::SYS_getdents64, Vec::new()),
            (libc::SYS_lseek, Vec::new()),
            (libc::SYS_read, Vec::new()),
            (libc::SYS_pread64, Vec::new()),
            // The socket, and what is said on stderr. No file is open for writing.
            (libc::SYS_ppoll, Vec::new()),
            (libc::SYS_recvfrom, Vec::new()),
            (libc::SYS_sendto, Vec::new()),
            (libc::SYS_write, Vec::new()),
            // Time, which some boards give by a call only.
            (libc::SYS_clock_gettime, Vec::new()),
            (libc::SYS_futex, Vec::new()),
        ]);
        rules.extend(OLD.iter().map(|&number| (number, Vec::new())));
        let architecture = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?.try_into()
    }
}

/// The numbers of system calls are known for the processors that the box runs on.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls {
    pub(super) fn forbid() -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
