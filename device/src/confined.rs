//! System calls that a process of this program may make even where it may make few others.

use std::collections::BTreeMap;

use seccompiler::{BackendError, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompRule};

/// Numbers of calls, and what is asked of the arguments of each; nothing where there is no rule.
pub(crate) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Bits of the third argument of `mmap` and `mprotect`.
const EXECUTABLE: u64 = libc::PROT_EXEC as u64;

/// That an argument, counted from 0, compares so with a value.
pub(crate) fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Dword, operator, value)?])
}

/// Memory that is not executed, the seeds of hash maps, and the end of the process.
pub(crate) fn of_every_process() -> Result<Rules, BackendError> {
    let not_executable = || rule(2, SeccompCmpOp::MaskedEq(EXECUTABLE), 0);
    Ok(BTreeMap::from([
        (libc::SYS_brk, Vec::new()),
        (libc::SYS_mmap, vec![not_executable()?]),
        (libc::SYS_mprotect, vec![not_executable()?]),
        (libc::SYS_munmap, Vec::new()),
        (libc::SYS_mremap, Vec::new()),
        (libc::SYS_madvise, Vec::new()),
        (libc::SYS_getrandom, Vec::new()),
        // The end, also by a panic, and without memory by a signal that the process sends to itself.
        (libc::SYS_exit, Vec::new()),
        (libc::SYS_exit_group, Vec::new()),
        (libc::SYS_sigaltstack, Vec::new()),
        (libc::SYS_rt_sigprocmask, Vec::new()),
        (libc::SYS_rt_sigaction, Vec::new()),
        (libc::SYS_rt_sigreturn, Vec::new()),
        (libc::SYS_restart_syscall, Vec::new()),
        (libc::SYS_getpid, Vec::new()),
        (libc::SYS_gettid, Vec::new()),
        (libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, std::process::id().into())?]),
    ]))
}
