use std::{collections::BTreeMap, fs};

use engine::DEFAULT_MODEL;

use super::*;

/// The model that ships, made distinct by its ONNX file's `doc_string` (field 6).
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
            .store(&new, &mut |step| {
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
            let put = models.store(&model(7), &mut |step| {
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
        // A folder in the place of the file.
        let place = folder.path().join("models").join(INCOMING);
        fs::create_dir(&place).unwrap();
        let error = models.install(&model(7)).err().unwrap();
        assert_eq!(error.refusal(), ModelRefusal::NotStored, "{error}");
        fs::remove_dir(place).unwrap();
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
    assert_eq!(running.card().behaviour.point, running.card().behaviour.points.unwrap().screening);
    assert_eq!(strict.install(&plain).err().unwrap().refusal(), ModelRefusal::NoProfile);
    assert_eq!(started(folder.path()), Some(plain.digest), "it is not the file's fault");
    let decided = strict.install(&model(2)).unwrap();
    assert_eq!(decided.card().behaviour.point, decided.card().behaviour.points.unwrap().screening);
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

#[test]
fn a_link_in_the_place_of_a_new_file_is_not_followed() {
    let (folder, mut models) = installed(&[0]);
    let victim = folder.path().join("victim");
    fs::write(&victim, "a letter").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("models").join(INCOMING)).unwrap();
    models.install(&model(7)).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"a letter");
    assert_eq!(started(folder.path()), Some(model(7).digest));
    assert!(fs::symlink_metadata(folder.path().join("models").join(CURRENT)).unwrap().is_file());
}
