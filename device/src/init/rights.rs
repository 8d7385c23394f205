//! What the worker may do: it reads what anybody may have written, so it is not root.
//!
//! The first process, which reads nothing from outside but the settings on the card and bundles of programs that somebody has signed
//! ([`super::software`]), makes the worker's files and devices its own ([`hand_over_data`], [`hand_over_devices`]). A device that appears
//! later, a USB adapter for example, is handed over at the next look. The worker itself gives up the rest before it does anything
//! ([`restrict`]).

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, make_bitflags,
    path_beneath_rules,
};
use shared::appliance::card::{BOOT, INIT};

use super::storage::DATA;

/// User and group of the worker, which are nobody else's.
pub(super) const WORKER: u32 = 990;

/// Most things that are put aside.
const MOST_ASIDE: u32 = 100;

/// Beginnings of the names of devices in `/dev` that the worker uses: lines to hosts and the screen.
const DEVICES: [&str; 7] = ["fb", "hvc", "ttyACM", "ttyAMA", "ttyGS", "ttyS", "ttyUSB"];
/// The same in `/dev/input`.
const KEYS: [&str; 1] = ["event"];

/// Makes what is in the data folder the worker's, except for `own`, which stays the first process's. In the folder itself the
/// worker may make files, but neither remove nor replace those that are not its own.
pub(super) fn hand_over_data(data: &Path, own: &[&str]) -> io::Result<()> {
    lchown(data, Some(0), Some(WORKER))?;
    fs::set_permissions(data, Permissions::from_mode(0o1770))?;
    let mut handed_over = Ok(());
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != "lost+found" && !own.iter().any(|own| name == *own) {
            // One that is damaged keeps none of the others from the worker.
            handed_over = handed_over.and(give(&entry.path()));
        }
    }
    handed_over
}

/// Makes a folder that stays the first process's, and in it one of this name that is the worker's. The worker can read the first one.
/// What somebody else has made in its place is put aside: it may hold anything.
pub(super) fn make_own_folder(folder: &Path, theirs: &str) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() && metadata.uid() == 0 => {}
        Ok(_) => {
            put_aside(folder)?;
            fs::create_dir(folder)?;
        }
        Err(_) => fs::create_dir(folder)?,
    }
    lchown(folder, Some(0), Some(WORKER))?;
    fs::set_permissions(folder, Permissions::from_mode(0o750))?;
    let theirs = folder.join(theirs);
    match DirBuilder::new().mode(0o700).create(&theirs) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    lchown(&theirs, Some(WORKER), Some(WORKER))
}

/// Gives what has this name another one that nothing has: a folder that is not empty cannot be replaced.
fn put_aside(path: &Path) -> io::Result<()> {
    let is_free =
        |path: &PathBuf| fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let mut names = (0..MOST_ASIDE).map(|n| path.with_extension(format!("rejected-{n}")));
    fs::rename(path, names.find(is_free).ok_or(io::ErrorKind::AlreadyExists)?)
}

/// A file or a folder with all that is in it; links are given themselves. Only what is not the worker's yet.
fn give(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| give(&entry?.path()))?;
    }
    if (metadata.uid(), metadata.gid()) == (WORKER, WORKER) {
        return Ok(());
    }
    lchown(path, Some(WORKER), Some(WORKER))
}

/// Makes the devices the worker's that are there and are not yet.
pub(super) fn hand_over_devices(dev: &Path) {
    for (folder, names) in [(dev.to_owned(), &DEVICES[..]), (dev.join("input"), &KEYS)] {
        // A folder that is missing may come, and a device that goes meanwhile is not missed.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if names.iter().any(|beginning| is_numbered(name.as_encoded_bytes(), beginning)) {
                let _ = give(&entry.path());
            }
        }
    }
}

/// Whether a name is a beginning and a number.
fn is_numbered(name: &[u8], beginning: &str) -> bool {
    name.strip_prefix(beginning.as_bytes())
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Takes from a worker what it does not need, for good: files other than its own, and system calls that no program of its
/// kind makes. To be called while there is one thread. What the kernel does not know is said, and left out.
pub fn restrict() {
    let unknown = |what: &str, why: &dyn std::fmt::Display| {
        crate::say(format_args!("{what} of the worker are not restricted by this kernel: {why}"));
    };
    match files() {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(status) => unknown("all files", &format_args!("{status:?}")),
        Err(error) => unknown("files", &error),
    }
    if let Err(error) = calls::forbid() {
        unknown("system calls", &error);
    }
}

fn files() -> Result<RulesetStatus, landlock::RulesetError> {
    let handled = AccessFs::from_all(ABI::V2);
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let keep = make_bitflags!(AccessFs::{WriteFile | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer}) | read;
    let rules: [(&str, BitFlags<AccessFs>); 6] = [
        (DATA, keep),
        (BOOT, read),
        ("/dev", read | AccessFs::WriteFile),
        ("/proc", read),
        // What the screen is like.
        ("/sys", read),
        // The decoder is this program.
        (INIT, make_bitflags!(AccessFs::{ReadFile | Execute})),
    ];
    let mut ruleset = Ruleset::default().handle_access(handled)?.create()?;
    for (path, access) in rules {
        ruleset = ruleset.add_rules(path_beneath_rules([path], access))?;
    }
    // With it goes the gain of rights by programs that are started.
    Ok(ruleset.restrict_self()?.ruleset)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls {
    use std::{collections::BTreeMap, io};

    use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    /// Those that reach into the kernel or other processes. The worker has no right to most of them anyway; but what the
    /// kernel does not begin it cannot do wrong.
    const FORBIDDEN: [i64; 41] = [
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_adjtimex,
        libc::SYS_bind,
        libc::SYS_bpf,
        libc::SYS_chroot,
        libc::SYS_clock_settime,
        libc::SYS_connect,
        libc::SYS_delete_module,
        libc::SYS_fanotify_init,
        libc::SYS_finit_module,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fsopen,
        libc::SYS_init_module,
        libc::SYS_io_uring_setup,
        libc::SYS_kexec_load,
        libc::SYS_keyctl,
        libc::SYS_listen,
        libc::SYS_mount,
        libc::SYS_move_mount,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        libc::SYS_perf_event_open,
        libc::SYS_personality,
        libc::SYS_pivot_root,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_quotactl,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_setns,
        libc::SYS_settimeofday,
        libc::SYS_socket,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_syslog,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
    ];

    /// From now on they fail.
    pub(super) fn forbid() -> io::Result<()> {
        let program = program().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)
    }

    fn program() -> Result<BpfProgram, BackendError> {
        let rules: BTreeMap<i64, Vec<_>> = FORBIDDEN.map(|number| (number, Vec::new())).into();
        let fails = SeccompAction::Errno(libc::EPERM as u32);
        let architecture = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, SeccompAction::Allow, fails, architecture)?.try_into()
    }
}

/// The numbers of system calls are known for the processors that the box runs on.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls {
    pub(super) fn forbid() -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_screens_and_keys_are_the_workers_and_nothing_else_is() {
        let theirs = |name: &str| DEVICES.iter().chain(&KEYS).any(|known| is_numbered(name.as_bytes(), known));
        for name in ["fb0", "ttyS1", "ttyGS0", "ttyUSB0", "ttyACM12", "ttyAMA0", "hvc0", "event3"] {
            assert!(theirs(name), "{name}");
        }
        for name in
            ["mmcblk0", "mmcblk0p2", "vda1", "kmsg", "mem", "watchdog0", "tty1", "ttyS", "ttyS1x", "console", "hwrng"]
        {
            assert!(!theirs(name), "{name}");
        }
    }

    #[test]
    fn results_are_the_workers_and_the_count_of_restarts_is_not() {
        if !rustix::process::geteuid().is_root() {
            use std::io::Write;
            let _ = writeln!(io::stderr(), "skipped: only the superuser can give files away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("journal/old")).unwrap();
        for file in ["journal/1", "journal/old/2", "restarts"] {
            fs::write(data.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc/hostname", data.join("link")).unwrap();
        let before = fs::metadata("/etc/hostname").map(|metadata| metadata.uid()).ok();
        make_own_folder(&data.join("software"), "incoming").unwrap();
        fs::write(data.join("software/trust.1"), "").unwrap();
        for _ in 0..2 {
            make_own_folder(&data.join("software"), "incoming").unwrap();
            hand_over_data(&data, &["restarts", "software"]).unwrap();
        }
        let owner = |name: &str| fs::symlink_metadata(data.join(name)).map(|metadata| metadata.uid()).unwrap();
        let owners = ["journal", "journal/1", "journal/old/2", "link", "restarts", ""].map(owner);
        assert_eq!(owners, [WORKER, WORKER, WORKER, WORKER, 0, 0]);
        assert_eq!(["software", "software/trust.1", "software/incoming"].map(owner), [0, 0, WORKER]);
        assert_eq!(fs::metadata(data.join("software")).unwrap().mode() & 0o7777, 0o750);
        assert_eq!(fs::metadata("/etc/hostname").map(|metadata| metadata.uid()).ok(), before, "where the link points");
        let metadata = fs::metadata(&data).unwrap();
        assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (WORKER, 0o1770));
        // What the worker of an earlier version may have put there is neither believed nor followed.
        for aside in ["software.rejected-0", "software.rejected-1"] {
            lchown(data.join("software"), Some(WORKER), Some(WORKER)).unwrap();
            make_own_folder(&data.join("software"), "incoming").unwrap();
            assert_eq!((owner("software"), owner(aside)), (0, WORKER));
            assert!(!data.join("software/trust.1").exists() && data.join(aside).join("trust.1").exists());
            fs::write(data.join("software/trust.1"), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc", data.join("other")).unwrap();
        make_own_folder(&data.join("other"), "incoming").unwrap();
        assert!(fs::symlink_metadata(data.join("other")).unwrap().is_dir());
    }
}
