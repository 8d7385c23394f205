use std::{collections::BTreeMap, fs};

use engine::{
    DEFAULT_MODEL, ModelCard,
    onnx::{
        pb::ModelProto,
        write::{self, f32_tensor, integers, node},
    },
};
use prost::Message as _;
use shared::contract::InputContract;

use super::*;

/// The model that ships, made distinct by its ONNX file's `doc_string` (field 6).
fn model(n: u8) -> ModelFile {
    ModelFile::new([DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat()).unwrap()
}

fn models(folder: &Path) -> Models {
    Models::new(folder.join("models"), None, Gate::open())
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
    let mut strict = Models::new(folder.path().join("models"), Some(Profile::Screening), Gate::open());
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

/// The shipped model, changed as a file.
fn changed(change: impl FnOnce(&mut ModelProto)) -> ModelFile {
    let mut file = engine::decode(DEFAULT_MODEL).unwrap();
    change(&mut file);
    ModelFile::new(file.encode_to_vec()).unwrap()
}

/// The shipped model with another card.
fn with_card(change: impl FnOnce(&mut ModelCard)) -> ModelFile {
    changed(|file| {
        let mut card = engine::card(file).unwrap();
        change(&mut card);
        file.metadata_props[0].value = serde_json::to_string(&card).unwrap();
    })
}

/// Says the opposite of the shipped model.
fn inverted() -> ModelFile {
    changed(|file| {
        let graph = file.graph.as_mut().unwrap();
        let last = graph.node.iter().rfind(|node| node.op_type == "QLinearConv").unwrap().clone();
        for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.name == last.input[3]) {
            tensor.raw_data.iter_mut().for_each(|weight| *weight = (*weight as i8).saturating_neg() as u8);
        }
        for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.name == last.input[8]) {
            let [bias] = tensor.raw_data.as_chunks::<4>().0 else { panic!("one bias") };
            tensor.raw_data = (-i32::from_le_bytes(*bias)).to_le_bytes().to_vec();
        }
    })
}

/// A network of `layers` convolutions of 16 channels over the largest image, which share their weights: 604 million products each.
fn deep(layers: usize) -> ModelFile {
    let window = || vec![integers("kernel_shape", &[3, 3]), integers("pads", &[1, 1, 1, 1])];
    let mut nodes = vec![node("Conv", &["image", "first"], "map 0", window())];
    for layer in 0..layers {
        let [from, to] = [layer, layer + 1].map(|map| format!("map {map}"));
        nodes.push(node("Conv", &[&from, "shared"], &to, window()));
    }
    nodes.extend([
        node("GlobalAveragePool", &[&format!("map {layers}")], "average", vec![]),
        node("Flatten", &["average"], "flat", vec![]),
        node("Gemm", &["flat", "dense"], "logit", vec![]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ]);
    let constants = vec![
        f32_tensor("first", &[16, 1, 3, 3], &[0.01; 144]),
        f32_tensor("shared", &[16, 16, 3, 3], &[0.001; 2304]),
        f32_tensor("dense", &[16, 1], &[0.1; 16]),
    ];
    let mut card = ModelCard::new("deep", InputContract::stretched(512));
    card.provenance.synthetic = true;
    ModelFile::new(write::model(nodes, constants, &card).unwrap().encode_to_vec()).unwrap()
}

#[test]
fn what_would_take_too_long_or_misleads_is_refused_and_changes_nothing() {
    let (folder, mut models) = installed(&[0, 1]);
    let before = contents(folder.path());
    let twice = |file: &mut ModelProto| file.opset_import.push(file.opset_import[0].clone());
    let cards = |file: &mut ModelProto| file.metadata_props.push(file.metadata_props[0].clone());
    let expected = [
        ("slow", deep(1), 407),
        ("inverted", inverted(), 411),
        ("without guard", with_card(|card| card.behaviour.guard = None), 403),
        ("a book", with_card(|card| card.provenance.recipe = "x".repeat(5000)), 403),
        ("a thousand figures", with_card(|card| card.metrics = (0..1000).map(|n| (n.to_string(), 0.5)).collect()), 403),
        ("two operator sets", changed(twice), 404),
        ("two cards", changed(cards), 404),
    ];
    let refused = expected.iter().map(|(what, file, _)| {
        let code = models.install(file).err().map(|error| error.refusal().code());
        (*what, code)
    });
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused, expected.iter().map(|(what, _, code)| (*what, Some(*code))).collect::<Vec<_>>());
    assert!(contents(folder.path()) == before);
    assert_eq!(started(folder.path()), Some(model(1).digest));
}

#[test]
fn an_update_that_takes_too_long_here_is_refused() {
    let (folder, mut models) = installed(&[0]);
    models.trial_within = Duration::ZERO;
    let error = models.install(&model(1)).err().unwrap();
    assert_eq!(error.refusal(), ModelRefusal::TooSlow, "{error}");
    assert_eq!(started(folder.path()), Some(model(0).digest));
}

/// A start that ends while a model of these digests is being loaded, as one does that takes all memory or too long. Gives the
/// model that the box comes up with, if it does.
fn start_that_may_end(folder: &Path, deadly: &[Digest]) -> Option<Option<Digest>> {
    let mut models = models(folder);
    let marker = folder.join("models").join(STARTING);
    let start = AssertUnwindSafe(|| {
        models.load_in_steps(&mut |step| {
            let marked = fs::read(&marker).unwrap_or_default();
            // The process is gone, and what it would have done after this with it.
            assert!(step != "loading" || !deadly.iter().any(|digest| marked.starts_with(&digest.0)), "killed");
        })
    });
    catch_unwind(start).ok().map(|model| model.map(|model| model.digest()))
}

#[test]
fn a_model_that_ends_every_start_gives_way_to_the_one_before() {
    let (folder, _) = installed(&[0, 1]);
    let deadly = [model(1).digest];
    // Without the marker this would go on for ever.
    let starts: Vec<_> = (0..4).map(|_| start_that_may_end(folder.path(), &deadly)).collect();
    let former = Some(Some(model(0).digest));
    assert_eq!(starts, [None, None, former, former]);
    assert_eq!(contents(folder.path()).keys().collect::<Vec<_>>(), ["current.model.rejected", PREVIOUS]);
    let mut models = models(folder.path());
    models.load();
    assert!(models.fell_back());
    models.install(&model(2)).unwrap();
    assert!(!models.fell_back());
}

#[test]
fn if_both_models_end_every_start_the_settings_decide() {
    let (folder, _) = installed(&[0, 1]);
    let deadly = [0, 1].map(|n| model(n).digest);
    let starts: Vec<_> = (0..6).map(|_| start_that_may_end(folder.path(), &deadly)).collect();
    assert_eq!(starts, [None, None, None, None, Some(None), Some(None)]);
    let mut models = models(folder.path());
    assert!(models.fell_back());
    let Configured { model, fell_back } = models.configured(None).unwrap();
    assert_eq!((model.digest(), fell_back), (Digest::of(DEFAULT_MODEL), false));
}

#[test]
fn a_power_cut_at_any_step_of_a_start_leaves_a_model() {
    // Of a start with a good model, and of the third one with a bad one, which is set aside.
    for (bad, expected) in [(false, 1), (true, 0)] {
        let (folder, _) = installed(&[0, 1]);
        if bad {
            let marker = [&model(1).digest.0[..], &[STARTS]].concat();
            fs::write(folder.path().join("models").join(STARTING), marker).unwrap();
        }
        let mut states = vec![(String::new(), contents(folder.path()))];
        let loaded = models(folder.path())
            .load_in_steps(&mut |step| states.push((step.to_owned(), contents(folder.path()))))
            .unwrap();
        assert_eq!(loaded.digest(), model(expected).digest);
        states.push(("end".to_owned(), contents(folder.path())));
        assert!(states.len() > 4 && !states.last().unwrap().1.contains_key(STARTING));
        for (step, state) in &states {
            assert_eq!(after_the_cut(state), Some(model(expected).digest), "{step}");
            // A marker of which a part has reached the disk counts nothing.
            for name in [STARTING, NOTED] {
                let Some(marker) = state.get(name) else { continue };
                for length in [0, 1, 32] {
                    let mut torn = state.clone();
                    torn.insert(name.to_owned(), marker[..length].to_vec());
                    let came = after_the_cut(&torn).unwrap();
                    assert!([0, 1].map(|n| model(n).digest).contains(&came), "{step} {name} {length}");
                }
            }
        }
    }
}

#[test]
fn one_power_cut_while_a_good_model_is_loaded_does_not_condemn_it() {
    let (folder, _) = installed(&[0, 1]);
    let deadly = [model(1).digest];
    assert_eq!(start_that_may_end(folder.path(), &deadly), None);
    assert_eq!(started(folder.path()), Some(model(1).digest));
    // It has been loaded since, so the count begins anew.
    assert_eq!(start_that_may_end(folder.path(), &deadly), None);
    assert_eq!(started(folder.path()), Some(model(1).digest));
}

#[test]
fn storage_that_takes_no_marker_does_not_keep_the_box_from_starting() {
    let (folder, _) = installed(&[0, 1]);
    fs::create_dir(folder.path().join("models").join(NOTED)).unwrap();
    assert_eq!(started(folder.path()), Some(model(1).digest));
}

/// A boot partition with the manifest of an image that had the shipped model.
fn card() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let entry = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).unwrap();
        serde_json::json!({ "name": name, "bytes": bytes.len(), "sha256": Digest::of(bytes).to_string() })
    };
    let files = [entry("box.toml", b"language = \"en\"\n"), entry("model.onnx", &model(5).bytes)];
    let manifest = serde_json::json!({ "version": "0.1.0", "boards": [], "files": files });
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    folder
}

/// The model that a box without installed ones has with such a card, and whether another one was meant.
fn with_boot(card: &Path) -> Option<(Digest, bool)> {
    let state = tempfile::tempdir().unwrap();
    let configured = models(state.path()).configured(Some(&card.join("model.onnx"))).ok()?;
    Some((configured.model.digest(), configured.fell_back))
}

#[test]
fn a_model_on_the_card_that_is_not_the_images_gives_way_to_the_one_that_is_built_in() {
    let card = card();
    let meant = Some((model(5).digest, false));
    let built_in = Some((Digest::of(DEFAULT_MODEL), true));
    assert_eq!(with_boot(card.path()), meant);
    let path = card.path().join("model.onnx");
    let whole = fs::read(&path).unwrap();
    // The least bit of a threshold within the model's card: it loads and judges otherwise.
    let at = whole.windows(13).position(|window| window == b"\"refer_from\":").unwrap() + 15;
    for change in [at, 0, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[change] ^= 4;
        fs::write(&path, flipped).unwrap();
        assert_eq!(with_boot(card.path()), built_in, "{change}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(with_boot(card.path()), built_in);
    fs::remove_file(&path).unwrap();
    assert_eq!(with_boot(card.path()), built_in);
    fs::write(&path, &whole).unwrap();
    // Settings are edited by people.
    fs::write(card.path().join("box.toml"), b"language = \"fr\"\n").unwrap();
    assert_eq!(with_boot(card.path()), meant);
    for manifest in [&b"{"[..], b"", b"{\"files\": []}"] {
        fs::write(card.path().join("manifest.json"), manifest).unwrap();
        assert_eq!(with_boot(card.path()), built_in);
    }
    // A card that was made without an image has no manifest: what is there is taken.
    fs::remove_file(card.path().join("manifest.json")).unwrap();
    assert_eq!(with_boot(card.path()), meant);
    fs::write(&path, b"no model").unwrap();
    assert_eq!(with_boot(card.path()), None);
}

#[test]
fn a_model_on_the_card_that_ends_every_start_gives_way_to_the_one_that_is_built_in() {
    let (card, state) = (card(), tempfile::tempdir().unwrap());
    let mut models = models(state.path());
    models.mark(&model(5).digest, STARTS, &mut |_| ()).unwrap();
    let configured = models.configured(Some(&card.path().join("model.onnx"))).unwrap();
    assert_eq!((configured.model.digest(), configured.fell_back), (Digest::of(DEFAULT_MODEL), true));
}
