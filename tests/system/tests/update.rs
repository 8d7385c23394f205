//! Models over the line: the box answers with the old one or the new one, whatever is interrupted. Bundles over the line: they arrive
//! whole, in as many parts as it takes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use serde_json::Value;
use shared::verdict::Digest;
use system_tests::{
    PLAIN_MODEL, SimulatedBox, bundle, code, files, host, json_lines, real_data, said, synthetic_radiographs, within,
};
use tempfile::TempDir;

/// The model that ships, without its signature: these tests go back and forth between models, which no signature lets a box do.
fn shipped() -> &'static str {
    static COPY: LazyLock<(TempDir, String)> = LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shipped.onnx");
        fs::write(&path, engine::DEFAULT_MODEL).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    });
    &COPY.1
}
const REFUSED: i32 = 3;

/// One test at a time. The pseudo-terminal of a box that was killed is free for the next box as soon as it is gone, while the
/// host that was connected holds it for a moment longer.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(device: &SimulatedBox) -> String {
    device.info().unwrap()["model_digest"].as_str().unwrap().to_owned()
}

fn updated(device: &SimulatedBox, model: &str) -> Value {
    let output = device.host("update", ["--json", model]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output).remove(0)
}

/// The state folder of a box that has started once with [`PLAIN_MODEL`], and the digest of that.
fn state() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let plain = digest(&SimulatedBox::start_in(folder.path(), &[]).unwrap());
    (folder, plain)
}

/// What is said of each image, which `predict` and `send` say alike.
fn answers(lines: &[Value]) -> Vec<[Value; 3]> {
    lines.iter().map(|line| ["verdict", "code", "probability"].map(|field| line[field].clone())).collect()
}

fn predicted(images: &[PathBuf], model: &str) -> Vec<[Value; 3]> {
    answers(&json_lines(&host(["predict", "--json", "--model", model].map(Path::new).into_iter().chain(paths(images)))))
}

fn paths(images: &[PathBuf]) -> impl Iterator<Item = &Path> {
    images.iter().map(PathBuf::as_path)
}

#[test]
fn the_box_answers_as_predict_does_with_the_model_that_it_was_sent() {
    let _turn = turn();
    let (state, plain) = state();
    let mut images = synthetic_radiographs(&state.path().join("images"), 3);
    if let Some(data) = real_data() {
        images.extend(files(&data.join("originals")).into_iter().take(4));
    }
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    for model in [shipped(), PLAIN_MODEL] {
        let answer = updated(&device, model);
        assert_eq!(answer["status"], "updated", "{answer}");
        assert_eq!(answer["to"], digest(&device));
        let expected = predicted(&images, model);
        assert_eq!(expected.len(), images.len());
        for flags in [&["--json"][..], &["--json", "--prepared"]] {
            let output = device.host("send", flags.iter().map(Path::new).chain(paths(&images)));
            assert_eq!(answers(&json_lines(&output)), expected, "{}", said(&output));
        }
    }
    assert_eq!(digest(&device), plain);
    assert!(device.records().iter().any(|record| record["model"] == plain));
}

#[test]
fn an_installed_model_outlives_a_power_cut_and_goes_before_that_of_the_settings() {
    let _turn = turn();
    let (state, plain) = state();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let answer = updated(&device, shipped());
    assert_eq!(answer["from"], plain);
    device.cut_power();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    assert_eq!(answer["to"], digest(&device));
    let again = updated(&device, shipped());
    assert_eq!((&again["status"], &again["bytes"]), (&"unchanged".into(), &Value::Null));
}

#[test]
fn a_box_killed_at_any_moment_of_an_update_comes_back_with_the_old_model_or_the_new_one() {
    let _turn = turn();
    let (state, plain) = state();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let start = Instant::now();
    let new_one = updated(&device, shipped())["to"].as_str().unwrap().to_owned();
    let takes = start.elapsed();
    device.cut_power();
    let mut seen = [0, 0];
    let rounds: u32 = 14;
    for round in 0..rounds {
        let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
        let old = digest(&device);
        let (model, new) = if old == plain { (shipped(), &new_one) } else { (PLAIN_MODEL, &plain) };
        let updating = device.command("update", [model]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From its beginning to a little beyond its end.
        sleep(takes * round * 11 / (10 * rounds));
        device.cut_power();
        updating.wait_with_output().unwrap();
        let found = digest(&SimulatedBox::start_in(state.path(), &[]).unwrap());
        assert!(found == old || found == *new, "round {round}: {found}");
        seen[usize::from(found == *new)] += 1;
    }
    assert!(seen[0] > 0, "no round was interrupted before the end: {seen:?}");
}

#[test]
fn a_box_killed_while_it_writes_comes_back_with_the_old_model_or_the_new_one() {
    let _turn = turn();
    let (state, plain) = state();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let new_one = updated(&device, shipped())["to"].as_str().unwrap().to_owned();
    device.cut_power();
    let incoming = state.path().join("models/incoming.model");
    let mut caught = 0;
    for round in 0..8 {
        // What the last round may have left is never looked at, but would be taken for this round's.
        let _ = fs::remove_file(&incoming);
        let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
        let old = digest(&device);
        let (model, new) = if old == plain { (shipped(), &new_one) } else { (PLAIN_MODEL, &plain) };
        let mut updating =
            device.command("update", [model]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !incoming.exists() && updating.try_wait().unwrap().is_none() {}
        caught += u32::from(incoming.exists());
        device.cut_power();
        updating.wait().unwrap();
        let found = digest(&SimulatedBox::start_in(state.path(), &[]).unwrap());
        assert!(found == old || found == *new, "round {round}: {found}");
    }
    assert!(caught > 0, "no round was interrupted while the box wrote");
}

#[test]
fn a_box_killed_right_after_its_answer_has_the_new_model() {
    let _turn = turn();
    let (state, _) = state();
    for model in [shipped(), PLAIN_MODEL, shipped(), PLAIN_MODEL] {
        let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
        let answer = updated(&device, model);
        device.cut_power();
        let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
        assert_eq!((&answer["status"], &answer["to"]), (&"updated".into(), &digest(&device).into()));
    }
}

#[test]
fn a_model_damaged_on_the_disk_gives_way_to_the_one_before() {
    let _turn = turn();
    let (state, plain) = state();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let new_one = updated(&device, shipped())["to"].clone();
    updated(&device, PLAIN_MODEL);
    device.cut_power();
    for (name, expected) in [("current.model", &new_one), ("previous.model", &Value::from(plain))] {
        let file = state.path().join("models").join(name);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&file, bytes).unwrap();
        let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
        assert_eq!(&Value::from(digest(&device)), expected, "{name}");
        assert!(state.path().join("models").join(format!("{name}.rejected")).exists());
    }
}

#[test]
fn what_is_no_model_for_the_box_is_not_sent() {
    let _turn = turn();
    let (state, plain) = state();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let shipped = fs::read(shipped()).unwrap();
    let key = shipped.windows(10).position(|bytes| bytes == b"pumua.card").unwrap();
    let mut foreign = shipped.clone();
    foreign[key] = b'P';
    for (name, bytes, cause) in [
        ("truncated.onnx", shipped[..shipped.len() / 2].to_vec(), "damaged"),
        ("letter.onnx", b"Dear colleague, please find attached".to_vec(), "damaged"),
        ("foreign.onnx", foreign, "pumua.card"),
        ("long.onnx", vec![0; 4 * 1024 * 1024 + 1], "4 MiB"),
    ] {
        let path = state.path().join(name);
        fs::write(&path, bytes).unwrap();
        let output = device.host("update", [&path]);
        assert_eq!(code(&output), REFUSED, "{}", said(&output));
        assert!(said(&output).contains(cause) && said(&output).contains(name), "{}", said(&output));
        assert_eq!(digest(&device), plain);
    }
    let output = device.host("update", [state.path().join("absent.onnx")]);
    assert_eq!(code(&output), 1, "{}", said(&output));
}

#[test]
fn a_box_whose_profile_the_model_lacks_goes_on_with_the_old_one() {
    let _turn = turn();
    let device = SimulatedBox::start_as_shipped(&["--profile", "screening"]).unwrap();
    let old = digest(&device);
    let output = device.host("update", ["--json", PLAIN_MODEL]);
    assert_eq!(code(&output), REFUSED, "{}", said(&output));
    let line = json_lines(&output).remove(0);
    assert_eq!((&line["status"], &line["code"]), (&"rejected".into(), &405.into()), "{line}");
    assert_eq!(digest(&device), old);
}

#[test]
fn a_box_that_cannot_store_a_model_goes_on_with_the_old_one() {
    let _turn = turn();
    let (state, plain) = state();
    // The start of before has noted there which model it loaded.
    fs::remove_dir(state.path().join("models")).unwrap();
    fs::write(state.path().join("models"), b"not a folder").unwrap();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let output = device.host("update", ["--json", shipped()]);
    assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (6, &406.into()), "{}", said(&output));
    assert_eq!(digest(&device), plain);
}

#[test]
fn ctrl_c_in_mid_update_gives_it_up() {
    let _turn = turn();
    let (state, plain) = state();
    let device = SimulatedBox::start_in(state.path(), &["--pace", "115200"]).unwrap();
    let mut update = device.command("update", [shipped()]);
    update.stdout(Stdio::piped()).stderr(Stdio::piped());
    let updating = device.spawn_until_midway(update).unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &updating.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = updating.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", said(&output));
    assert_eq!(digest(&device), plain, "the box is ready at once");
}

#[test]
fn a_box_without_slots_takes_no_bundle() {
    let _turn = turn();
    let (state, _) = state();
    let path = state.path().join("box.pumua");
    fs::write(&path, bundle::small().unwrap()).unwrap();
    let device = SimulatedBox::start_in(state.path(), &[]).unwrap();
    let output = device.host("update", ["--json".as_ref(), path.as_os_str()]);
    assert_eq!(code(&output), REFUSED, "{}", said(&output));
    let line = json_lines(&output).remove(0);
    assert_eq!((&line["status"], &line["code"], &line["version"]), (&"rejected".into(), &420.into(), &"9.8.7".into()));
    assert_eq!(device.info().unwrap()["slot"], Value::Null);
    let mut damaged = fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(&path, damaged).unwrap();
    let output = device.host("update", [&path]);
    assert_eq!(code(&output), REFUSED, "it is not sent: {}", said(&output));
}

/// A test takes the place of the first process, which a simulated box has not.
#[test]
fn a_bundle_goes_on_where_ctrl_c_has_cut_it_off_and_arrives_whole() {
    let _turn = turn();
    let (state, plain) = state();
    let folder = state.path().join("software");
    fs::create_dir_all(folder.join("incoming")).unwrap();
    let (path, bundle) = (state.path().join("box.pumua"), bundle::small().unwrap());
    fs::write(&path, &bundle).unwrap();
    let device = SimulatedBox::start_in(state.path(), &["--pace", "115200"]).unwrap();
    let part = folder.join("incoming").join(format!("part-{}", Digest::of(&bundle)));
    let mut update = device.command("update", [&path]);
    let updating = update.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let has_begun = || fs::metadata(&part).is_ok_and(|metadata| metadata.len() > 0);
    assert!(within(Duration::from_secs(60), has_begun), "nothing comes");
    let killed = std::process::Command::new("kill").args(["-INT", &updating.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = updating.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", said(&output));
    assert!(said(&output).contains("run the same command again"), "{}", said(&output));
    // An image goes before.
    let image = synthetic_radiographs(&state.path().join("images"), 1).remove(0);
    assert_eq!(code(&device.host("send", [&image])), 0);

    let first_process = {
        let (folder, bundle) = (folder.clone(), bundle.clone());
        thread::spawn(move || bundle::stage(&folder, &bundle).unwrap())
    };
    let output = device.host("update", ["--json".as_ref(), path.as_os_str()]);
    first_process.join().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    let line = json_lines(&output).remove(0);
    assert_eq!(line["status"], "staged", "{line}");
    let info = device.info().unwrap();
    assert_eq!((&info["last_bundle"]["stage"], &info["last_bundle"]["name"]), (&"staged".into(), &"pumua-9".into()));
    assert_eq!(digest(&device), plain);
    let again = json_lines(&device.host("update", ["--json".as_ref(), path.as_os_str()])).remove(0);
    assert_eq!((&again["status"], &again["stage"]), (&"unchanged".into(), &"staged".into()), "{again}");
    let events = json_lines(&device.host("results", ["--events", "--json"]));
    let staged = events.iter().filter(|event| event["event"] == "software-staged").count();
    assert_eq!(staged, 1, "{events:?}");
}
