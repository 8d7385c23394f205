//! Studies by the `pumua` program: stopping, resuming, failing.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use learn::training::Checkpoint;
use serde_json::Value;
use tempfile::TempDir;

/// Two small experiments and one whose weights grow without bound.
const PLAN: &str = r#"
[[group]]
name = "tiny"
title = "Tiny"
text = "Small enough for a test."

[[experiment]]
name = "tiny-wild"
title = "tiny, wild"
group = "tiny"
like = "sgd"
on_request = true
recipe = { side = 32, steps = 4, validation_steps = 2, epochs = 60, l2 = 10.0, optimizer = { learning_rate = 10.0 } }

[[experiment]]
name = "tiny"
title = "tiny"
group = "tiny"
like = "sgd"
recipe = { side = 32, steps = 4, validation_steps = 2, epochs = 60 }

[[experiment]]
name = "tiny-augmented"
title = "tiny, augmented"
group = "tiny"
like = "tiny"
recipe = { dropout = 0.2, augmentation = { rotation = 10.0, zoom = 0.1 }, network = { batch_norm = true } }

[[comparison]]
name = "tiny-question"
question = "Does augmentation help?"
experiments = ["tiny", "tiny-augmented"]
"#;

const SIXTY: [&str; 2] = ["--images", "60"];

struct Study {
    folder: TempDir,
}

impl Study {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("plan.toml"), PLAN).unwrap();
        Self { folder }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pumua study` with this plan into the folder `out`.
    fn command(&self, images: &[&str], out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pumua"));
        command.arg("study").args(images).args(["--seeds", "1", "--recipes"]).arg(self.out("plan.toml"));
        command.arg("--out").arg(self.out(out)).args(more).stdin(Stdio::null());
        command
    }

    fn run_on(&self, images: &[&str], out: &str, more: &[&str]) -> Output {
        self.command(images, out, more).output().unwrap()
    }

    /// The same on 60 drawings.
    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.run_on(&SIXTY, out, more)
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn metrics(out: &Path, name: &str) -> String {
    fs::read_to_string(out.join("runs").join(name).join("seed-1/metrics.csv")).unwrap()
}

/// The figures of a run, less the time that it took.
fn outcome(out: &Path, name: &str) -> Value {
    let text = fs::read_to_string(out.join("runs").join(name).join("seed-1/result.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["outcome"]["done"]["seconds"] = Value::Null;
    record["outcome"].take()
}

#[test]
fn a_stopped_study_resumes_to_the_same_figures() {
    let study = Study::new();
    let output = study.run("whole", &["--only", "tiny"]);
    assert!(output.status.success(), "{}", words(&output));

    let mut running = study.command(&SIXTY, "stopped", &["--only", "tiny"]).stderr(Stdio::null()).spawn().unwrap();
    let folder = study.out("stopped").join("runs/tiny/seed-1");
    while fs::read_to_string(folder.join("metrics.csv")).map_or(0, |text| text.lines().count()) < 4 {
        assert!(running.try_wait().unwrap().is_none(), "the study ended before it was stopped");
        sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(!folder.join("result.json").exists() && folder.join("checkpoint").exists());

    let refused = study.run("stopped", &["--only", "tiny"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(words(&refused).contains("--resume"), "{}", words(&refused));

    let output = study.run("stopped", &["--only", "tiny", "--resume"]);
    assert!(output.status.success(), "{}", words(&output));
    for name in ["tiny", "tiny-augmented"] {
        let lines = metrics(&study.out("whole"), name);
        assert_eq!(lines.lines().count(), 61);
        assert_eq!(metrics(&study.out("stopped"), name), lines);
        assert_eq!(outcome(&study.out("stopped"), name), outcome(&study.out("whole"), name));
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_is_as_good_as_none() {
    let study = Study::new();
    assert!(study.run("out", &["--only", "tiny"]).status.success());
    let (lines, figures) = (metrics(&study.out("out"), "tiny"), outcome(&study.out("out"), "tiny"));
    let folder = study.out("out").join("runs/tiny/seed-1");
    let record: Value = serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap();
    let config = record["fingerprint"].as_str().unwrap().to_owned();
    let checkpoint = Checkpoint { config, weights: vec![0.0; 3], ..Checkpoint::default() };
    checkpoint.save(&folder.join(Checkpoint::FILE)).unwrap();
    fs::remove_file(folder.join("result.json")).unwrap();
    assert!(study.run("out", &["--only", "tiny", "--resume"]).status.success());
    assert_eq!((metrics(&study.out("out"), "tiny"), outcome(&study.out("out"), "tiny")), (lines, figures));
}

#[test]
fn a_failed_run_is_told_and_stops_no_other() {
    let study = Study::new();
    let output = study.run("out", &["--only", "tiny-wild", "tiny", "--jobs", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("tiny-wild seed 1: FAILED: the loss became infinite"), "{}", words(&output));
    let report = fs::read_to_string(study.out("out").join("report.md")).unwrap();
    assert!(report.contains("SYNTHETIC") && report.contains("the loss became infinite"), "{report}");
    assert_eq!(metrics(&study.out("out"), "tiny-augmented").lines().count(), 61);
}

#[test]
fn finished_runs_are_repeated_only_if_their_recipe_changed() {
    let study = Study::new();
    let result = |name: &str| fs::read(study.out("out").join("runs").join(name).join("seed-1/result.json")).unwrap();
    assert!(study.run("out", &["--only", "tiny"]).status.success());
    let before = [result("tiny"), result("tiny-augmented")];
    assert!(study.run("out", &["--only", "tiny", "--resume"]).status.success());
    assert_eq!([result("tiny"), result("tiny-augmented")], before);

    fs::write(study.out("plan.toml"), PLAN.replace("dropout = 0.2", "dropout = 0.3")).unwrap();
    assert!(study.run("out", &["--only", "tiny", "--resume"]).status.success());
    assert_eq!(result("tiny"), before[0]);
    let changed = result("tiny-augmented");
    assert_ne!(changed, before[1]);

    // Other images; then the folder knows them.
    for more in [&["--images", "70"][..], &[]] {
        assert!(study.run_on(more, "out", &["--only", "tiny-augmented", "--resume"]).status.success());
        assert_ne!(result("tiny-augmented"), changed);
        let report = fs::read_to_string(study.out("out").join("report.md")).unwrap();
        assert!(report.contains("70 synthetic radiographs"), "{report}");
    }
}

/// A third experiment, for three parts.
const THIRD: &str = r#"
[[experiment]]
name = "tiny-short"
title = "tiny, short"
group = "tiny"
like = "tiny"
recipe = { epochs = 20 }
"#;

/// Sets what a run says of the time that it took and of its computer, which no two runs have alike, to the same everywhere.
fn settle(out: &Path) {
    for (path, bytes) in files(out) {
        if !path.ends_with("result.json") {
            continue;
        }
        let mut text = String::from_utf8(bytes).unwrap();
        for (key, value) in [("seconds", "1.5"), ("date", "\"2026\""), ("machine", "\"here\""), ("threads", "1")] {
            let (before, rest) = text.split_once(&format!("\"{key}\":")).unwrap();
            let end = match rest.strip_prefix('"') {
                Some(words) => words.find('"').unwrap() + 2,
                None => rest.find([',', '}']).unwrap(),
            };
            text = format!("{before}\"{key}\":{value}{}", &rest[end..]);
        }
        fs::write(out.join(path), text).unwrap();
    }
}

/// All files of a study by their names, but for those that say where its data are and who did what, and for the draft of a file
/// that a killed part was writing: it stays for a day, because whoever writes it may live on another computer.
fn files(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(out).unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if ![Some("study.toml"), Some(".lock")].contains(&name.to_str())
                && name.extension().is_none_or(|extension| extension != "part")
                && !name.starts_with("parts")
            {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn three_parts_give_the_report_of_one_computer_to_the_bit() {
    let study = Study::new();
    fs::write(study.out("plan.toml"), format!("{PLAN}{THIRD}")).unwrap();
    let part = |part: &str| study.run("parts", &["--only", "tiny", "--part", part]);
    let refused = |output: Output, expected: &str| {
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        assert!(words(&output).contains(expected), "{}", words(&output));
    };
    let merge = ["--only", "tiny", "--merge"];
    refused(study.run("parts", &merge), "no part of a study has begun");

    // Part 2 dies in its middle.
    let begin = study.command(&SIXTY, "parts", &["--only", "tiny", "--part", "2/3"]).stderr(Stdio::null()).spawn();
    let mut running = begin.unwrap();
    let folder = study.out("parts").join("runs/tiny-augmented/seed-1");
    while fs::read_to_string(folder.join("metrics.csv")).map_or(0, |text| text.lines().count()) < 4 {
        assert!(running.try_wait().unwrap().is_none(), "the part ended before it was killed");
        sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(!folder.join("result.json").exists() && folder.join("checkpoint").exists());

    let output = part("1/3");
    assert!(output.status.success(), "{}", words(&output));
    assert!(
        words(&output).contains("part 1/3: 1 of 3 runs") && words(&output).contains("--merge"),
        "{}",
        words(&output)
    );
    assert!(output.stdout.is_empty() && !study.out("parts").join("report.html").exists());
    assert!(!study.out("parts").join(".lock").exists(), "nothing that two of them write");

    // What is not of the same study is refused, and changes nothing.
    let before = files(&study.out("parts"));
    let tiny = ["--only", "tiny", "--part"];
    refused(
        study.run_on(&["--images", "70"], "parts", &[&tiny[..], &["3/3"]].concat()),
        "on other data (60 radiographs",
    );
    refused(study.run("parts", &[&tiny[..], &["3/4"]].concat()), "in 3 parts, and this one is in 4");
    refused(study.run("parts", &["--only", "tiny-short", "--part", "3/3"]), "with the run tiny seed 1");
    fs::write(study.out("plan.toml"), format!("{PLAN}{THIRD}").replace("epochs = 20", "epochs = 21")).unwrap();
    refused(part("3/3"), "with another recipe of tiny-short");
    refused(study.run("parts", &merge), "with another recipe of tiny-short");
    fs::write(study.out("plan.toml"), format!("{PLAN}{THIRD}")).unwrap();
    refused(study.run("parts", &["--only", "tiny", "--resume"]), "is divided");
    refused(study.run("parts", &["--only", "tiny"]), "is not empty");

    let output = study.run("parts", &merge);
    let said = words(&output);
    refused(output, "2 of 3 parts in");
    let lacks = |part: &str| {
        let line = said.lines().find(|line| line.starts_with(&format!("part {part} lacks 1 of 1 runs: "))).unwrap();
        assert!(line.ends_with(&format!("--only tiny --part {part}")), "{line}");
    };
    lacks("2/3");
    lacks("3/3");
    assert_eq!(files(&study.out("parts")), before);

    for number in ["2/3", "3/3"] {
        let output = part(number);
        assert!(output.status.success(), "{}", words(&output));
    }
    assert!(study.run("parts", &merge).status.success());
    let output = study.run("whole", &["--only", "tiny"]);
    assert!(output.status.success(), "{}", words(&output));
    refused(study.run("whole", &[&tiny[..], &["1/3"]].concat()), "holds something else than parts of a study");
    for (name, again) in [("whole", "--resume"), ("parts", "--merge")] {
        settle(&study.out(name));
        assert!(study.run(name, &["--only", "tiny", again]).status.success());
    }
    let [whole, parts] = ["whole", "parts"].map(|name| files(&study.out(name)));
    assert!(whole.keys().eq(parts.keys()) && whole.len() > 15, "{:?}", parts.keys());
    for (name, bytes) in whole {
        assert!(parts[&name] == bytes, "{}", name.display());
    }
}

#[test]
fn a_part_whose_runs_fail_says_so_and_so_does_the_report() {
    let study = Study::new();
    let output = study.run("out", &["--only", "tiny-wild", "--part", "1/2"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("1 of 1 runs failed"), "{}", words(&output));
    // There is nothing for the second one, and so nothing to wait for.
    let output = study.run("out", &["--only", "tiny-wild", "--part", "2/2"]);
    assert!(output.status.success() && words(&output).contains("part 2/2: 0 of 1 runs"), "{}", words(&output));
    let output = study.run("out", &["--only", "tiny-wild", "--merge"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("the report says why"), "{}", words(&output));
    let report = fs::read_to_string(study.out("out").join("report.md")).unwrap();
    assert!(report.contains("the loss became infinite"), "{report}");
}

#[test]
fn what_cannot_be_done_is_told() {
    let study = Study::new();
    let fails_with = |more: &[&str], expected: &str| {
        let output = study.run("refused", more);
        assert_eq!(output.status.code(), Some(1));
        assert!(words(&output).contains(expected), "{}", words(&output));
    };
    fails_with(&["--only", "sorcery"], "no experiment and no group `sorcery`");
    fails_with(&["--recipes", "/nowhere.toml"], "cannot read /nowhere.toml");
    fails_with(&["--resume"], "does not hold a study to continue");
    // What cannot be read is not taken for what is not there.
    fs::create_dir(study.out("damaged")).unwrap();
    fs::write(study.out("damaged").join("study.toml"), b"data = \"\xff\"\n").unwrap();
    let output = study.run_on(&[], "damaged", &["--only", "tiny", "--resume"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("study.toml: give `--data` or `--images`"), "{}", words(&output));
    assert!(!study.out("damaged").join("runs").exists());
    let output = study.run_on(&["--data", "/nowhere"], "refused", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("cannot read /nowhere"), "{}", words(&output));
    for (change, expected) in [
        (PLAN.replace("epochs = 60", "epochs = 0"), "`epochs` is 0; it must be a whole number from 1 to 1000000"),
        (PLAN.replace("dropout = 0.2", "drop = 0.2"), "the recipe of `tiny-augmented` cannot be read"),
        (PLAN.replace("like = \"sgd\"", "like = \"wizardry\""), "the name `wizardry` after `like`"),
        (PLAN.replace("name = \"tiny-wild\"", "name = \"../escape\""), "the name `../escape` must be"),
        (PLAN.replace("side = 32", "side = 20"), "too small for this network"),
        (PLAN.replace("zoom = 0.1", "zoom = 2.0"), "zoom"),
        ("[[experiment]".to_owned(), "is not a file of recipes"),
    ] {
        fs::write(study.out("plan.toml"), change).unwrap();
        fails_with(&["--list"], expected);
    }
    assert!(!study.out("refused").exists());
}
