//! The check of the data partition before it is mounted: e2fsck, which the initial file system holds.
//!
//! After a power cut it replays the journal; where the kernel has marked the file system as damaged, it looks at all of it and
//! mends what can be mended without losing anything. What it leaves alone is mounted read-only: writing on a damaged file
//! system may destroy results that can still be read.

use std::{
    io,
    os::fd::AsFd as _,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use shared::appliance::card::CHECKER;

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Nothing is amiss any more.
    Sound,
    /// Something is amiss that a program must not mend by itself, or cannot be looked at.
    Damaged,
}

/// Whether the file system on a device is damaged. It is looked at once only, however often it is asked: the card may be waited
/// for.
pub(super) fn finds_damage(device: &Path) -> bool {
    static FOUND: OnceLock<Condition> = OnceLock::new();
    let condition = FOUND.get_or_init(|| match check(Path::new(CHECKER), device) {
        Ok(condition) => {
            let words = match condition {
                Condition::Sound => "is sound",
                Condition::Damaged => "is damaged, and will be read only",
            };
            crate::say(format_args!("the data partition {words}"));
            condition
        }
        Err(error) => {
            // The kernel finds out by itself, if later.
            crate::say(format_args!("the data partition has not been checked: {error}"));
            Condition::Sound
        }
    });
    *condition == Condition::Damaged
}

/// Runs the program on an ext4 file system that is not mounted. What it says goes to the log.
fn check(program: &Path, device: &Path) -> io::Result<Condition> {
    /// "File system errors corrected" and "system should be rebooted", which concerns a root file system that is mounted.
    const MENDED: i32 = 1 | 2;
    let log = io::stderr().as_fd().try_clone_to_owned()?;
    let status = Command::new(program).arg("-p").arg(device).stdin(Stdio::null()).stdout(log).status()?;
    match status.code() {
        Some(code) if code & !MENDED == 0 => Ok(Condition::Sound),
        // "Errors left uncorrected", or it could not look at everything, because of the card for example.
        Some(_) => Ok(Condition::Damaged),
        None => Err(io::Error::other(status.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        io::Write as _,
        os::unix::fs::{FileExt as _, PermissionsExt as _},
        path::PathBuf,
    };

    use super::*;

    #[test]
    fn the_program_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let program = |code: &str| {
            let path = folder.path().join(format!("ends-with-{}", code.replace(' ', "-")));
            fs::write(&path, format!("#!/bin/sh\n[ \"$1 $2\" = '-p /dev/data' ] || exit 99\n{code}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let ends_with = |code: &str| loop {
            match check(&program(code), Path::new("/dev/data")) {
                // A process that another test has just started holds the file open for a moment.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                checked => return checked,
            }
        };
        for code in ["exit 0", "exit 1", "exit 3"] {
            assert_eq!(ends_with(code).unwrap(), Condition::Sound, "{code}");
        }
        for code in ["exit 4", "exit 5", "exit 8"] {
            assert_eq!(ends_with(code).unwrap(), Condition::Damaged, "{code}");
        }
        assert!(ends_with("kill -9 $$").is_err());
        assert!(check(Path::new("/nonexistent"), Path::new("/dev/data")).is_err());
    }

    /// With the computer's own program, which is the same as the box's but for its version.
    #[test]
    fn damage_is_told_from_a_power_cut() {
        let (make, program) = (Path::new("/sbin/mkfs.ext4"), Path::new("/sbin/e2fsck"));
        if !make.exists() || !program.exists() {
            let _ = writeln!(io::stderr(), "skipped: no e2fsprogs");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| -> PathBuf {
            let path = folder.path().join(name);
            fs::File::create(&path).unwrap().set_len(16 << 20).unwrap();
            let made = Command::new(make).args(["-q", "-F", "-b", "4096", "-O", "^metadata_csum"]).arg(&path).status();
            assert!(made.unwrap().success());
            path
        };
        let put = |path: &Path, at: u64, bytes: &[u8]| {
            OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
        };
        let sound = made("sound");
        assert_eq!(check(program, &sound).unwrap(), Condition::Sound);
        // The superblock at 1024: its state at 58, in which 1 is "unmounted in order" and 2 "errors have been found".
        let marked = made("marked");
        put(&marked, 1024 + 58, &[2, 0]);
        let mended = check(program, &marked).unwrap();
        assert_eq!((mended, check(program, &marked).unwrap()), (Condition::Sound, Condition::Sound));
        let damaged = made("damaged");
        put(&damaged, 1024 + 58, &[2, 0]);
        put(&damaged, 4096, &[0xa5; 400 * 4096]);
        assert_eq!(check(program, &damaged).unwrap(), Condition::Damaged);
    }
}
