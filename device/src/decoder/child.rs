//! The process that decodes.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::set_no_new_privs,
};
use shared::{contract::InputContract, verdict::Refusal};

use super::{Answer, Decoded, Limits, Order, Pixels, UNCONFINED, WORD};

/// Whether this process is to decode and to do nothing else.
pub fn is_wanted() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|argument| argument == WORD) && arguments.next().is_none()
}

/// Gives up all rights, takes a file from stdin and gives what `work` makes of it to stdout. The process should then end
/// with the code that is returned.
pub fn serve(limits: Limits, work: impl FnOnce(&[u8], &InputContract) -> Result<Decoded, Refusal>) -> ExitCode {
    let Ok(filtered) = confine(limits) else { return UNCONFINED.into() };
    match take().and_then(|(contract, file)| give(filtered, work(&file, &contract))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn take() -> io::Result<(InputContract, Vec<u8>)> {
    let mut input = io::stdin().lock();
    let mut length = [0];
    input.read_exact(&mut length)?;
    let mut header = vec![0; length[0].into()];
    input.read_exact(&mut header)?;
    let Order { contract, length } = postcard::from_bytes(&header).map_err(io::Error::other)?;
    // All at once: a vector that grows takes twice its bytes.
    let mut file = vec![0; length as usize];
    input.read_exact(&mut file)?;
    Ok((contract, file))
}

fn give(filtered: bool, decoded: Result<Decoded, Refusal>) -> io::Result<()> {
    let outcome = decoded.as_ref().map_err(|refusal| *refusal).map(|Decoded { input, preview, age }| Pixels {
        input,
        width: preview.width,
        height: preview.height,
        preview: &preview.pixels,
        window: preview.judged,
        age: *age,
    });
    let bytes = postcard::to_extend(&Answer { filtered, outcome }, Vec::new()).map_err(io::Error::other)?;
    let mut output = io::stdout().lock();
    output.write_all(&bytes)?;
    output.flush()
}

/// Holds this process to its limits for good, and to reading stdin, writing stdout and stderr, memory, threads and its end.
/// False if the kernel, or this program for this kind of processor, cannot do the latter. To be called while there is one
/// thread.
pub fn confine(limits: Limits) -> io::Result<bool> {
    let limit = |soft, hard| Rlimit { current: Some(soft), maximum: Some(hard) };
    let seconds = limits.processor.as_secs().max(1);
    for (resource, limit) in [
        (Resource::As, limit(limits.memory, limits.memory)),
        (Resource::Cpu, limit(seconds, seconds + 1)),
        (Resource::Nofile, limit(0, 0)),
        (Resource::Fsize, limit(0, 0)),
        (Resource::Core, limit(0, 0)),
    ] {
        setrlimit(resource, limit)?;
    }
    set_no_new_privs(true)?;
    filter::apply()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter {
    use std::{collections::BTreeMap, io};

    use seccompiler::{BackendError, BpfProgram, Error, SeccompAction, SeccompCmpOp, SeccompFilter, apply_filter};

    use crate::confined::{Rules, of_every_process, rule};

    /// The first argument of `clone` for a thread: a large JPEG file is decoded by two. Both are held to the same.
    const THREAD: u64 = (libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID) as u64;
    /// Second arguments of `futex`: threads wait and wake each other, and wait for each other's end.
    const WAITS: [i32; 6] = {
        const AT: i32 = libc::FUTEX_WAIT_BITSET;
        const PRIVATE: i32 = libc::FUTEX_PRIVATE_FLAG;
        const CLOCK: i32 = libc::FUTEX_CLOCK_REALTIME;
        let (wait, wake) = (libc::FUTEX_WAIT, libc::FUTEX_WAKE);
        [wait, wait | PRIVATE, wake | PRIVATE, AT | CLOCK, AT | PRIVATE, AT | PRIVATE | CLOCK]
    };

    /// From now on any other system call ends the process.
    pub(super) fn apply() -> io::Result<bool> {
        // The arguments of `clone3` are in memory, where no filter sees them. Where it is not there, libraries use `clone`.
        let missing = SeccompAction::Errno(libc::ENOSYS as u32);
        let first = program(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), SeccompAction::Allow, missing);
        let others = allowed().and_then(|rules| program(rules, SeccompAction::KillProcess, SeccompAction::Allow));
        for filter in [first, others] {
            match apply_filter(&filter.map_err(io::Error::other)?) {
                Ok(()) => {}
                // A kernel that is made without it.
                Err(Error::Seccomp(error)) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                    return Ok(false);
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(true)
    }

    fn program(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(rules, others, these, std::env::consts::ARCH.try_into()?)?.try_into()
    }

    fn allowed() -> Result<Rules, BackendError> {
        let is = |argument, value| rule(argument, SeccompCmpOp::Eq, value);
        let mut rules = of_every_process()?;
        rules.extend([
            (libc::SYS_read, vec![is(0, 0)?]),
            (libc::SYS_write, vec![is(0, 1)?, is(0, 2)?]),
            // Threads. What the other filter says of `clone3` goes before this.
            (libc::SYS_clone, vec![is(0, THREAD)?]),
            (libc::SYS_clone3, Vec::new()),
            (libc::SYS_futex, WAITS.iter().map(|&wait| is(1, wait as u64)).collect::<Result<_, _>>()?),
            (libc::SYS_set_robust_list, Vec::new()),
            (libc::SYS_rseq, Vec::new()),
            (libc::SYS_sched_getaffinity, Vec::new()),
        ]);
        Ok(rules)
    }
}

/// The numbers of system calls are known for the processors that the box runs on.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod filter {
    pub(super) fn apply() -> std::io::Result<bool> {
        Ok(false)
    }
}
