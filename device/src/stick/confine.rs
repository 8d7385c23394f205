//! What a reader may do: read below one folder, and talk on the socket that it was given; and what a writer may: create files in one
//! folder, and take them away again.

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

/// What a process may do below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Read.
    Read,
    /// Create files that are not there, of so many bytes at most each, and remove them.
    Write {
        /// Bytes of a file.
        most: u64,
    },
}

/// Holds this process for good to its limits, to these rights below a folder, and to the system calls that they take. To be called while
/// there is one thread. What the kernel does not know is said, and left out.
pub(super) fn confine(folder: &Path, rights: Rights) -> io::Result<()> {
    let (who, most_bytes) = match rights {
        Rights::Read => ("reader", 0),
        Rights::Write { most } => ("writer", most),
    };
    for (resource, most) in [
        (Resource::As, MEMORY),
        (Resource::Cpu, SECONDS),
        (Resource::Nofile, FILES),
        (Resource::Fsize, most_bytes),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    let unknown = |what: &str, why: &dyn std::fmt::Display| {
        crate::say(format_args!("{what} of the {who} are not restricted by this kernel: {why}"));
    };
    match files(folder, rights) {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(status) => unknown("all files", &format_args!("{status:?}")),
        Err(error) => unknown("files", &error),
    }
    if let Err(error) = calls::forbid(rights) {
        unknown("system calls", &error);
    }
    Ok(())
}

fn files(folder: &Path, rights: Rights) -> Result<RulesetStatus, landlock::RulesetError> {
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(ABI::V2))?.create()?;
    let access = match rights {
        Rights::Read => make_bitflags!(AccessFs::{ReadFile | ReadDir}),
        Rights::Write { .. } => make_bitflags!(AccessFs::{ReadDir | WriteFile | MakeReg | RemoveFile}),
    };
    let ruleset = ruleset.add_rules(path_beneath_rules([folder], access))?;
    Ok(ruleset.restrict_self()?.ruleset)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls {
    use std::io;

    use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompFilter, apply_filter};

    use super::Rights;
    use crate::confined::{of_every_process, rule};

    /// Bits of the third argument of `openat` that nothing has which is only read.
    const WRITING: u64 = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u64;
    /// Those by which a file is created and none is opened that is there, and the bit that would empty one, which must not be set.
    const NEW: u64 = (libc::O_CREAT | libc::O_EXCL) as u64;
    const NEW_OR_EMPTIED: u64 = NEW | libc::O_TRUNC as u64;

    /// Second arguments of `fcntl`.
    const GET_FLAGS: u64 = libc::F_GETFD as u64;
    const SET_FLAGS: u64 = libc::F_SETFD as u64;

    /// Calls that only old kinds of processors have.
    const OLD: &[i64] = &[
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ];

    /// From now on any other system call ends the process.
    pub(super) fn forbid(rights: Rights) -> io::Result<()> {
        let program = program(rights).map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)
    }

    fn program(rights: Rights) -> Result<BpfProgram, BackendError> {
        let mut rules = of_every_process()?;
        let mut opened = vec![rule(2, SeccompCmpOp::MaskedEq(WRITING), 0)?];
        if matches!(rights, Rights::Write { .. }) {
            opened.push(rule(2, SeccompCmpOp::MaskedEq(NEW_OR_EMPTIED), NEW)?);
            rules.extend([(libc::SYS_fsync, Vec::new()), (libc::SYS_unlinkat, Vec::new())]);
        }
        rules.extend([
            // Folders and files.
            (libc::SYS_openat, opened),
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
            // The socket, what is said on stderr, and what a writer writes.
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
    pub(super) fn forbid(_: super::Rights) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
