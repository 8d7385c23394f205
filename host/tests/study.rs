//! Studies by the `pumua` program: stopping, resuming, failing.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
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
    let checkpoint = Checkpoint {
        config,
        step: 0,
        teachers: vec![],
        history: vec![],
        seconds: 0.0,
        weights: vec![0.0; 3],
        best: vec![],
        average: vec![],
        optimizer: vec![],
    };
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
