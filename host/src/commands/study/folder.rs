//! The folder of a study.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use base::{
    Shown,
    calendar::{compact_utc, now},
    files,
};
use learn::study::StudyPart;

use super::Source;

/// Name of the file that is locked while something runs in a folder.
const LOCK: &str = ".lock";

/// A new folder `runs/20260131-142500-study`, the time in UTC; the second one of a second has `-2` behind, and so on.
pub(super) fn default_folder() -> anyhow::Result<PathBuf> {
    let folder = Path::new("runs").join(format!("{}-study", compact_utc(now())));
    files::new_folder(&folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", Shown(folder.display())))
}

/// Refuses a folder that is not for this study, before anything is made or read.
pub(super) fn check_folder(folder: &Path, resume: bool) -> anyhow::Result<()> {
    if resume {
        ensure!(
            !is_divided(folder),
            "the study in {} is divided: continue a part with its `--part` alone, and write the report with `--merge`",
            Shown(folder.display())
        );
        ensure!(
            folder.join(Source::FILE).is_file(),
            "{} does not hold a study to continue: name the folder of one with `--out`, or leave out `--resume`",
            Shown(folder.display())
        );
        return Ok(());
    }
    // A folder that is not there yet, or that cannot be read, is left to the code that makes it.
    let holds_files = fs::read_dir(folder)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)));
    ensure!(
        !holds_files,
        "{} is not empty: name another folder with `--out`, or continue its study with `--resume`",
        Shown(folder.display())
    );
    Ok(())
}

/// Refuses a folder that is not for a study which is divided among computers. What its parts say is looked at later.
pub(super) fn check_divided(folder: &Path) -> anyhow::Result<()> {
    // Looked at once: other parts may begin at this moment. They make the folder of parts before all else.
    let names: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    ensure!(
        names.iter().all(|name| name == LOCK) || names.iter().any(|name| name == StudyPart::FOLDER),
        "{} holds something else than parts of a study: name another folder with `--out`",
        Shown(folder.display())
    );
    Ok(())
}

fn is_divided(folder: &Path) -> bool {
    folder.join(StudyPart::FOLDER).is_dir()
}

/// Makes the folder if it is not there; the lock keeps others out as long as it lives. `what` runs there: a study or a training.
pub(in crate::commands) fn lock_folder(folder: &Path, what: &str) -> anyhow::Result<File> {
    let advice = || format!("cannot write into {}: free some space, or name another folder", Shown(folder.display()));
    fs::create_dir_all(folder).with_context(advice)?;
    match files::lock(&folder.join(LOCK)) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("another {what} is running in {}: wait for it, or name another folder", Shown(folder.display()))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(advice),
    }
}
