//! The folder of a run.

use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use base::{
    Shown,
    calendar::{compact_utc, now},
    cell,
    files::{self, write_new},
};
use data::Catalogue;
use learn::training::{Checkpoint, CheckpointError};
use serde::Deserialize;

use super::config::Config;

/// Name of the table of parts in the folder of a run.
pub(super) const PARTS: &str = "split.csv";

/// Name of the table of epochs in the folder of a run.
pub(super) const EPOCHS: &str = "metrics.csv";

/// A new folder `runs/20260131-142500-adam`, the time in UTC; the second one of a second has `-2` behind, and so on.
pub(super) fn default_folder(recipe: &str, synthetic: bool) -> anyhow::Result<PathBuf> {
    let kind = if synthetic { "-synthetic" } else { "" };
    let folder = Path::new("runs").join(format!("{}-{}{kind}", compact_utc(now()), recipe));
    files::new_folder(&folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", Shown(folder.display())))
}

/// Refuses a folder that holds something.
pub(super) fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries
            .with_context(|| format!("cannot read {}: name another folder with `--out`", Shown(folder.display())))?,
    };
    ensure!(entries.next().is_none(), "{}", is_taken(folder));
    Ok(())
}

fn is_taken(folder: &Path) -> String {
    format!(
        "{} is not empty: name another folder with `--out`, or continue its run with `--resume`",
        Shown(folder.display())
    )
}

/// Takes a folder for a run: of several that begin there at once, one has it.
pub(super) fn start_folder(folder: &Path, config: &Config) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {}: name another folder with `--out`", Shown(folder.display())))?;
    check_folder(folder)?;
    // Whole or not at all: a folder in which nothing could be written can be used again.
    match write_new(&folder.join(Config::FILE), toml::to_string(config)?.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!("{}", is_taken(folder)),
        written => written.with_context(|| {
            format!("cannot write into {}: name another folder with `--out`", Shown(folder.display()))
        }),
    }
}

/// Where a run was stopped; `None` where it had not got so far that anything was kept.
pub(super) fn last_checkpoint(folder: &Path) -> anyhow::Result<Option<Checkpoint>> {
    match Checkpoint::load(&folder.join(Checkpoint::FILE)) {
        Err(CheckpointError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let holds_results = holds_results(folder)
                .with_context(|| format!("cannot read {}: start the training again", Shown(folder.display())))?;
            ensure!(
                !holds_results,
                "the checkpoint of {} is gone, and what was trained cannot be continued: start the training again in another \
                 folder",
                Shown(folder.display())
            );
            base::say!("{} holds no checkpoint yet: the training begins anew", Shown(folder.display()));
            Ok(None)
        }
        loaded => Ok(Some(loaded?)),
    }
}

/// True if a training has got so far that it has written epochs, models or a report.
fn holds_results(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_result =
            path.ends_with(EPOCHS) || path.ends_with("report.md") || path.extension() == Some("onnx".as_ref());
        if is_result && path.is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if the run was started with these parts, given as its table of them, or if its table is not there or was changed.
pub(super) fn has_parts(folder: &Path, parts: &[u8]) -> bool {
    #[derive(PartialEq, Deserialize)]
    struct Row {
        part: String,
    }
    let rows =
        |table: &[u8]| csv::Reader::from_reader(table).into_deserialize().collect::<csv::Result<Vec<Row>>>().ok();
    let then = fs::read(folder.join(PARTS)).ok().and_then(|table| rows(&table));
    then.is_none_or(|then| Some(then) == rows(parts))
}

/// `path,reason` of the files that are left out.
pub(super) fn skipped(catalogue: &Catalogue) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["path", "reason"])?;
    for skipped in &catalogue.skipped {
        csv.write_record([cell::text(&skipped.name), cell::text(&skipped.reason.to_string())].map(Cow::into_owned))?;
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_begins_anew_only_where_nothing_of_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in [Config::FILE, PARTS, "skipped.csv", ".lock"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(last_checkpoint(folder.path()).unwrap().is_none());
        for name in [EPOCHS, "model-float32.onnx", "synthetic-model-int8.onnx", "report.md"] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            let error = last_checkpoint(folder.path()).unwrap_err().to_string();
            assert!(error.contains("start the training again in another folder"), "{name}: {error}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn parts_are_compared_where_they_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let now = b"path,label,subtype,patient,part,site,age,view\na.png,normal,,a,train,,,\nb.png,normal,,b,test,,,\n";
        assert!(has_parts(folder.path(), now), "no table");
        for (then, same) in [
            ("path,part\ncopy/a.png,train\ncopy/b.png,test\n", true),
            ("path,part\na.png,train\nb.png,validation\n", false),
            ("path,part\na.png,train\n", false),
            ("path,part\na.png\nb.png,test\n", true),
        ] {
            fs::write(folder.path().join(PARTS), then).unwrap();
            assert_eq!(has_parts(folder.path(), now), same, "{then}");
        }
    }
}
