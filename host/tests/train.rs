//! The whole way from radiographs to measured models, by the `pumua` program.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

fn host(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pumua"));
    command.args(arguments).env("PUMUA_CACHE", env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    let output = host(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A training of a few seconds.
const SHORT: [&str; 9] = ["train", "--images", "120", "--steps", "4", "--side", "32", "--epochs", "3"];

#[test]
fn trained_models_are_quantized_measured_and_usable() {
    let folder = TempDir::new().unwrap();
    let run_folder = folder.path().join("run");
    let report = json(&run(&[&SHORT[..], &["--json", "--out", text(&run_folder)]].concat()));
    assert_eq!(report["synthetic"], true);
    for file in [
        "config.toml",
        "metrics.csv",
        "split.csv",
        "report.md",
        "report.json",
        "curves.svg",
        "confusion.svg",
        "roc.svg",
    ] {
        assert!(fs::metadata(run_folder.join(file)).unwrap().len() > 0, "{file}");
    }
    let [float, int8] = ["float32", "int8"].map(|name| {
        let models = report["models"].as_array().unwrap();
        models.iter().find(|model| model["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}")).clone()
    });
    let file = |model: &Value| run_folder.join(model["file"].as_str().unwrap());
    let (float, int8) = (file(&float), file(&int8));
    assert!(text(&int8).contains("synthetic"), "{int8:?}");
    assert!(int8.metadata().unwrap().len() * 3 < float.metadata().unwrap().len());

    let images = folder.path().join("images");
    run(&["synthetic", text(&images), "--count", "10", "--seed", "7"]);
    let arguments = ["evaluate", "--model", text(&int8), "--data", text(&images), "--part", "all", "--json"];
    let evaluated = json(&run(&arguments));
    assert_eq!(
        (&evaluated["figures"]["images"], &evaluated["synthetic_model"]),
        (&Value::from(10), &Value::from(true))
    );

    let written = folder.path().join("evaluation");
    let evaluated = json(&run(&[&arguments[..], &["--against", text(&float), "--report", text(&written)]].concat()));
    assert!(evaluated["estimates"]["accuracy"]["by_patient"]["low"].is_f64(), "{evaluated}");
    assert!(evaluated["against"]["mean_change"].as_f64().unwrap() < 0.2, "{evaluated}");
    let page = fs::read_to_string(written.join("report.html")).unwrap();
    assert!(page.contains("SYNTHETIC") && page.contains("Beside another model"));
    let kept: Value = serde_json::from_slice(&fs::read(written.join("report.json")).unwrap()).unwrap();
    assert_eq!(kept["estimates"], evaluated["estimates"]);
    assert_eq!(fs::read_to_string(written.join("scores.csv")).unwrap().lines().count(), 11);

    let published = folder.path().join("published");
    run(&["synthetic", text(&published.join("test")), "--count", "6"]);
    let arguments = ["evaluate", "--model", text(&int8), "--data", text(&published), "--split", "official", "--json"];
    let evaluated = json(&run(&arguments));
    assert_eq!(evaluated["figures"]["images"], 6, "a test folder alone is enough");

    let again = folder.path().join("again.onnx");
    run(&["quantize", text(&float), "--data", text(&images), "--out", text(&again)]);
    let output = run(&["predict", text(&images), "--model", text(&again), "--csv"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("path,probability,verdict,code,age_months,age_overridden"));
    assert_eq!(lines.count(), 10);
}

#[test]
fn a_stopped_training_resumes_to_the_same_models() {
    let folder = TempDir::new().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let long = [&SHORT[..7], &["--epochs", "30", "--json", "--out"]].concat();
    let expected = json(&run(&[&long[..], &[text(&whole)]].concat()));

    let mut training =
        host(&[&long[..], &[text(&stopped)]].concat()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let metrics = stopped.join("metrics.csv");
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 4 {
        assert!(training.try_wait().unwrap().is_none(), "the training ended before it was stopped");
        sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &training.id().to_string()]).status().unwrap().success());
    assert_eq!(training.wait().unwrap().code(), Some(130));
    assert!(!stopped.join("report.json").exists());

    let resumed = json(&run(&["train", "--json", "--resume", text(&stopped)]));
    assert_eq!(resumed["models"], expected["models"], "the digests of the files are among these");
}

#[test]
fn a_training_on_other_data_is_not_resumed_and_stays_as_it_was() {
    let folder = TempDir::new().unwrap();
    let (images, run_folder) = (folder.path().join("images"), folder.path().join("run"));
    run(&["synthetic", text(&images), "--count", "60"]);
    let short = ["train", "--steps", "1", "--side", "32", "--epochs", "1", "--json"];
    let report = json(&run(&[&short[..], &["--data", text(&images), "--out", text(&run_folder)]].concat()));
    assert_eq!(report["synthetic"], true, "drawings stay drawings when they are read from files");

    let split = fs::read(run_folder.join("split.csv")).unwrap();
    fs::remove_file(images.join("NORMAL/synthetic-0000-normal.png")).unwrap();
    let output = host(&["train", "--resume", text(&run_folder)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("other data"), "{output:?}");
    assert_eq!(fs::read(run_folder.join("split.csv")).unwrap(), split);
}
