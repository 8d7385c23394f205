//! The models that hosts have installed: kept so that at every moment, whatever is interrupted, one can be loaded.
//!
//! The folder holds `current.model`, which the box starts with, and `previous.model`, the one before. A file opens with the
//! eight bytes `PUMUAM1\n` and the SHA-256 of the rest, an ONNX file, so that one that was damaged on the disk never judges.
//!
//! A new model is loaded and tried before anything is written: one that makes the program fail leaves the disk as it was.
//! Then come four steps. If the power goes
//!
//! 1. while `incoming.model` is written and synced: it is never looked at; the current model comes back;
//! 2. after the current model was renamed to `previous.model`: there is no current model, so the previous one comes back,
//!    which is the one that was current;
//! 3. after `incoming.model` was renamed to `current.model`: the new model comes back, or, if the new names had not reached
//!    the disk, one of the states before;
//! 4. after the folder was synced: the new model comes back. Only now the host hears of it.
//!
//! Step 2 is left out if the box does not run the current model, or if that is damaged: what takes its place must not be
//! worse than the previous one.
//!
//! At the start the current model is tried, then the previous one, then the one of the settings. A file that is damaged or
//! cannot be run is kept aside with `.rejected` behind its name; one that cannot be read now, or only lacks the profile of
//! the settings, stays. An installed model wins over that of the settings until the folder is removed.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use engine::{Model, ModelError};
use shared::{
    limits::MAX_UPDATE_BYTES,
    verdict::{Digest, ModelRefusal, Profile},
};
use wire::ModelFile;

const MAGIC: &[u8; 8] = b"PUMUAM1\n";
/// Bytes before the ONNX file.
const HEAD: usize = MAGIC.len() + size_of::<Digest>();
const CURRENT: &str = "current.model";
const PREVIOUS: &str = "previous.model";
const INCOMING: &str = "incoming.model";

/// Why a model is not installed, or one that is cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// it cannot be loaded or run, or lacks the profile
    #[error(transparent)]
    Model(#[from] ModelError),
    /// loading or running it panics
    #[error("the program fails over the model: use a model made by this release of `host train`")]
    Panic,
    /// the file is not what was written
    #[error("the file is damaged: check the storage and install the model again")]
    Damaged,
    /// reading or writing failed
    #[error("cannot use the folder of the models: {0}: check the storage")]
    Io(#[from] io::Error),
}

impl InstallError {
    /// What the host is told.
    pub fn refusal(&self) -> ModelRefusal {
        match self {
            Self::Model(error) => error.refusal(),
            Self::Panic => ModelRefusal::NotRunnable,
            Self::Damaged | Self::Io(_) => ModelRefusal::NotStored,
        }
    }

    /// Whether the file is to blame, and not the storage or the settings of today.
    fn condemns(&self) -> bool {
        match self {
            Self::Model(ModelError::Kernels(_)) => false,
            Self::Model(error) => error.refusal() != ModelRefusal::NoProfile,
            Self::Panic | Self::Damaged => true,
            Self::Io(_) => false,
        }
    }
}

/// The installed models.
#[derive(Debug)]
pub struct Models {
    folder: PathBuf,
    profile: Option<Profile>,
    /// Whether the box runs the current model.
    current: bool,
}

impl Models {
    /// The models in a folder, which need not exist yet, to be decided by a profile.
    pub fn new(folder: PathBuf, profile: Option<Profile>) -> Self {
        Self { folder, profile, current: false }
    }

    /// The model to start with, if one is installed and can be loaded; tells on stderr which, or why none.
    pub fn load(&mut self) -> Option<Model> {
        for name in [CURRENT, PREVIOUS] {
            let path = self.folder.join(name);
            let error = match read(&path).and_then(|file| file.map(|file| self.check(&file.bytes)).transpose()) {
                Ok(None) => continue,
                Ok(Some(model)) => {
                    let name = &model.card().name;
                    crate::say(format_args!("{} goes before the model of the settings: {name}", path.display()));
                    self.current = path.ends_with(CURRENT);
                    return Some(model);
                }
                Err(error) => error,
            };
            crate::say(format_args!("{} is not used: {error}", path.display()));
            if error.condemns() {
                // If that fails, it is tried again at the next start, with the same end.
                let _ = fs::rename(&path, self.folder.join(format!("{name}.rejected")));
            }
        }
        None
    }

    /// Checks a model and makes it the one that the box starts with. When this returns it is on the disk.
    pub fn install(&mut self, file: &ModelFile) -> Result<Model, InstallError> {
        let model = self.check(&file.bytes)?;
        self.put(file, &mut |_| Ok(()))?;
        crate::say(format_args!("installed the model {} ({:.12})", model.card().name, model.digest()));
        Ok(model)
    }

    /// Loads a model as the box is to run it, and has it judge once.
    fn check(&self, bytes: &[u8]) -> Result<Model, InstallError> {
        let load = || {
            let mut model = Model::from_bytes(bytes)?;
            if let Some(profile) = self.profile {
                model.decide_by(profile).map_err(ModelError::from)?;
            }
            model.try_out()?;
            Ok(model)
        };
        catch_unwind(AssertUnwindSafe(load)).unwrap_or(Err(InstallError::Panic))
    }

    /// Writes a model in the steps that the module tells of; `step` is called after each change.
    fn put(&mut self, file: &ModelFile, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let kept = match read(&self.folder.join(CURRENT)) {
            // Installed once more, it must not become its own predecessor.
            Ok(Some(kept)) if kept.digest == file.digest => {
                self.current = true;
                return Ok(());
            }
            Ok(Some(_)) => self.current,
            Ok(None) | Err(_) => false,
        };
        fs::create_dir_all(&self.folder)?;
        let replaced = self.write(file, step).and_then(|()| self.replace(kept, step));
        match replaced {
            Ok(()) => self.current = true,
            Err(_) => drop(fs::remove_file(self.folder.join(INCOMING))),
        }
        replaced
    }

    fn write(&self, file: &ModelFile, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let mut out = File::create(self.folder.join(INCOMING))?;
        step("created")?;
        out.write_all(MAGIC)?;
        out.write_all(&file.digest.0)?;
        out.write_all(&file.bytes)?;
        step("written")?;
        out.sync_all()?;
        step("synced")
    }

    /// Gives the files their names, and takes back what it has done if it fails on the way.
    fn replace(&self, kept: bool, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let [current, previous] = [CURRENT, PREVIOUS].map(|name| self.folder.join(name));
        if kept {
            fs::rename(&current, &previous)?;
        }
        let mut renamed = false;
        let replaced = self.rename(kept, &mut renamed, step);
        if replaced.is_err() {
            // Nobody hears of the new model, so it must not come back at the next start.
            let _ = match (kept, renamed) {
                (true, _) => fs::rename(&previous, &current),
                (false, true) => fs::remove_file(&current),
                (false, false) => Ok(()),
            };
        }
        replaced
    }

    /// Makes the new file the current one, and tells whether it has come to that.
    fn rename(&self, kept: bool, renamed: &mut bool, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        if kept {
            step("kept")?;
        }
        fs::rename(self.folder.join(INCOMING), self.folder.join(CURRENT))?;
        *renamed = true;
        step("renamed")?;
        // A new name is on the disk only when its folder is, and the folder only when its parent is.
        File::open(&self.folder)?.sync_all()?;
        if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        step("done")
    }
}

/// Reads an installed model and checks that it is what was written; `None` if there is none.
fn read(path: &Path) -> Result<Option<ModelFile>, InstallError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(HEAD as u64 + u64::from(MAX_UPDATE_BYTES) + 1).read_to_end(&mut bytes)?;
    let digest = bytes.get(MAGIC.len()..HEAD).and_then(|digest| digest.try_into().ok()).map(Digest);
    match digest {
        Some(digest) if bytes.starts_with(MAGIC) && Digest::of(&bytes[HEAD..]) == digest => {
            bytes.drain(..HEAD);
            Ok(Some(ModelFile { digest, bytes }))
        }
        _ => Err(InstallError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::DEFAULT_MODEL;

    use super::*;

    /// The model that ships, told apart by its ONNX file's `doc_string` (field 6).
    fn model(n: u8) -> ModelFile {
        ModelFile::new([DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat()).unwrap()
    }

    fn models(folder: &Path) -> Models {
        Models::new(folder.join("models"), None)
    }

    /// The digest of the model that a box starts with.
    fn started(folder: &Path) -> Option<Digest> {
        models(folder).load().map(|model| model.digest())
    }

    /// A folder in which these were installed, each after a start.
    fn installed(sequence: &[u8]) -> (tempfile::TempDir, Models) {
        let folder = tempfile::tempdir().unwrap();
        let mut models = models(folder.path());
        for &n in sequence {
            models.load();
            models.install(&model(n)).unwrap();
        }
        (folder, models)
    }

    fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let Ok(entries) = fs::read_dir(folder.join("models")) else { return BTreeMap::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
    }

    /// Puts a folder as the power cut left it before a box.
    fn after_the_cut(contents: &BTreeMap<String, Vec<u8>>) -> Option<Digest> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("models")).unwrap();
        for (name, bytes) in contents {
            fs::write(folder.path().join("models").join(name), bytes).unwrap();
        }
        started(folder.path())
    }

    fn damage(folder: &Path, name: &str) {
        let path = folder.join("models").join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn a_power_cut_at_any_step_leaves_the_old_model_or_the_new_one() {
        for sequence in [&[][..], &[0], &[0, 1]] {
            let (folder, mut models) = installed(sequence);
            models.load();
            let old = sequence.last().map(|&n| model(n).digest);
            let (new, mut states) = (model(7), vec![(String::new(), contents(folder.path()))]);
            models
                .put(&new, &mut |step| {
                    states.push((step.to_owned(), contents(folder.path())));
                    Ok(())
                })
                .unwrap();
            let mut seen = Vec::new();
            for (step, state) in &states {
                seen.push((step.as_str(), after_the_cut(state)));
                let Some(incoming) = state.get(INCOMING) else { continue };
                // Before it is synced, any part of the file may have reached the disk.
                for length in [0, 1, 8, 39, 40, incoming.len() / 2, incoming.len().saturating_sub(1)] {
                    let mut torn = state.clone();
                    torn.insert(INCOMING.to_owned(), incoming[..length.min(incoming.len())].to_vec());
                    assert_eq!(after_the_cut(&torn), old, "{step}, {length} bytes");
                }
            }
            let mut expected = vec![("", old), ("created", old), ("written", old), ("synced", old)];
            expected.extend((!sequence.is_empty()).then_some(("kept", old)));
            expected.extend([("renamed", Some(new.digest)), ("done", Some(new.digest))]);
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn settings_of_today_condemn_no_model() {
        let kernels = "made of wood".parse::<engine::Kernels>().unwrap_err();
        assert!(!InstallError::Model(kernels.into()).condemns());
        assert!(InstallError::Damaged.condemns());
    }

    #[test]
    fn names_that_reach_the_disk_in_another_order_leave_a_model() {
        let (folder, mut models) = installed(&[0, 1]);
        let before = contents(folder.path());
        models.install(&model(2)).unwrap();
        let after = contents(folder.path());
        // The new name is on the disk, the old one's move is not.
        let mut mixed = before.clone();
        mixed.insert(CURRENT.to_owned(), after[CURRENT].clone());
        assert_eq!(after_the_cut(&mixed), Some(model(2).digest));
    }

    #[test]
    fn storage_that_fails_at_any_step_leaves_the_old_model() {
        for sequence in [&[][..], &[0], &[0, 1]] {
            for failing in ["created", "written", "synced", "kept", "renamed", "done"] {
                let (folder, mut models) = installed(sequence);
                models.load();
                let before = contents(folder.path());
                let mut failed = false;
                let put = models.put(&model(7), &mut |step| {
                    failed |= step == failing;
                    if step == failing { Err(io::Error::other("full")) } else { Ok(()) }
                });
                assert_eq!(put.is_err(), failed, "{failing}");
                if failed {
                    let old = sequence.last().map(|&n| model(n).digest);
                    assert_eq!(started(folder.path()), old, "{failing} {:?}", before.keys());
                    models.install(&model(8)).unwrap();
                    assert_eq!(started(folder.path()), Some(model(8).digest), "{failing}");
                    damage(folder.path(), CURRENT);
                    assert_eq!(started(folder.path()), old, "{failing}");
                }
            }
        }
    }

    #[test]
    fn a_new_file_that_cannot_even_be_begun_leaves_what_is_installed() {
        for (starts, sequence) in [(true, &[0, 1][..]), (true, &[0]), (false, &[0])] {
            let (folder, _) = installed(sequence);
            let before = contents(folder.path());
            let mut models = models(folder.path());
            if starts {
                models.load();
            }
            // A link into a folder that is not there: nothing can be created under that name, and nothing is found there.
            std::os::unix::fs::symlink("missing/file", folder.path().join("models").join(INCOMING)).unwrap();
            let error = models.install(&model(7)).err().unwrap();
            assert_eq!(error.refusal(), ModelRefusal::NotStored, "{error}");
            assert!(contents(folder.path()) == before, "{starts} {sequence:?}: {:?}", contents(folder.path()).keys());
            models.install(&model(7)).unwrap();
            assert_eq!(started(folder.path()), Some(model(7).digest));
        }
    }

    #[test]
    fn a_damaged_model_gives_way_to_the_previous_one_and_is_kept_aside() {
        let (folder, _) = installed(&[0, 1, 2]);
        damage(folder.path(), CURRENT);
        assert_eq!(started(folder.path()), Some(model(1).digest));
        assert_eq!(contents(folder.path()).keys().collect::<Vec<_>>(), ["current.model.rejected", PREVIOUS]);
        let mut models = models(folder.path());
        models.load();
        models.install(&model(3)).unwrap();
        assert_eq!(started(folder.path()), Some(model(3).digest));
        damage(folder.path(), CURRENT);
        assert_eq!(started(folder.path()), Some(model(1).digest), "the one that ran before stays the previous one");
        damage(folder.path(), PREVIOUS);
        assert_eq!(started(folder.path()), None, "the settings decide");
    }

    #[test]
    fn any_flipped_bit_and_any_cut_of_the_head_is_noticed() {
        let (folder, _) = installed(&[0]);
        let whole = contents(folder.path());
        for at in (0..HEAD).chain([whole[CURRENT].len() - 1]) {
            let mut state = whole.clone();
            state.get_mut(CURRENT).unwrap()[at] ^= 1 << (at % 8);
            assert_eq!(after_the_cut(&state), None, "{at}");
            state.insert(CURRENT.to_owned(), whole[CURRENT][..at].to_vec());
            assert_eq!(after_the_cut(&state), None, "{at}");
        }
    }

    #[test]
    fn an_intact_model_that_cannot_be_loaded_any_more_gives_way() {
        let (folder, _) = installed(&[0, 1]);
        let broken = b"no model of this version";
        let file = [&MAGIC[..], &Digest::of(broken).0, broken].concat();
        fs::write(folder.path().join("models").join(CURRENT), file).unwrap();
        assert_eq!(started(folder.path()), Some(model(0).digest));
    }

    #[test]
    fn what_is_no_model_changes_nothing() {
        let (folder, mut models) = installed(&[0, 1]);
        let before = contents(folder.path());
        let truncated = DEFAULT_MODEL[..DEFAULT_MODEL.len() / 2].to_vec();
        // An ONNX file without a card: the intermediate representation's version 8, and nothing else.
        for (bytes, refusal) in [
            (truncated, ModelRefusal::NotAModel),
            (b"letter".to_vec(), ModelRefusal::NotAModel),
            (vec![0x08, 8], ModelRefusal::WrongCard),
        ] {
            let error = models.install(&ModelFile::new(bytes).unwrap()).err().unwrap();
            assert_eq!(error.refusal(), refusal, "{error}");
            assert_eq!(contents(folder.path()), before);
        }
        assert_eq!(started(folder.path()), Some(model(1).digest));
    }

    #[test]
    fn a_model_without_the_profile_is_refused_and_one_that_is_installed_waits_for_the_settings() {
        let plain = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/plain.onnx")).unwrap();
        let plain = ModelFile::new(plain).unwrap();
        let (folder, mut models) = installed(&[0]);
        models.install(&plain).unwrap();
        let mut strict = Models::new(folder.path().join("models"), Some(Profile::Screening));
        let running = strict.load().unwrap();
        assert_eq!(running.digest(), model(0).digest);
        assert_eq!(running.card().point, running.card().points.unwrap().screening);
        assert_eq!(strict.install(&plain).err().unwrap().refusal(), ModelRefusal::NoProfile);
        assert_eq!(started(folder.path()), Some(plain.digest), "it is not the file's fault");
        let decided = strict.install(&model(2)).unwrap();
        assert_eq!(decided.card().point, decided.card().points.unwrap().screening);
    }

    #[test]
    fn the_same_model_again_keeps_the_previous_one() {
        let (folder, mut models) = installed(&[0, 1]);
        models.install(&model(1)).unwrap();
        damage(folder.path(), CURRENT);
        assert_eq!(started(folder.path()), Some(model(0).digest));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_the_storages_fault() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("models"), b"a file").unwrap();
        let error = models(folder.path()).install(&model(0)).err().unwrap();
        assert_eq!(error.refusal(), ModelRefusal::NotStored, "{error}");
        assert_eq!(started(folder.path()), None);
    }
}
