//! Radiographs that are judged by the `pumua` program.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A model that refuses no drawing.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/plain.onnx");

fn host(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pumua"));
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// A folder with a drawing, and the path of that.
fn drawing() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let status =
        host(&["synthetic", folder.path().to_str().unwrap(), "--count", "1"]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let film = folder.path().join("NORMAL/synthetic-0000-normal.png").to_str().unwrap().to_owned();
    (folder, film)
}

/// How many of the answers are no refusals, and the bytes of the inputs that were written beside them.
fn judged(table: &str, inputs: &Path) -> (usize, usize) {
    let judged = table.lines().filter(|line| !line.starts_with("path,") && !line.contains(",refused,")).count();
    (judged, fs::read(inputs).unwrap().len())
}

#[test]
fn what_was_judged_is_kept_when_it_is_stopped() {
    let (folder, film) = drawing();
    let inputs = folder.path().join("inputs");
    let arguments = ["predict", "--model", MODEL, "--inputs", inputs.to_str().unwrap(), &film];
    let output = host(&arguments).output().unwrap();
    let (one, length) = judged(&String::from_utf8(output.stdout).unwrap(), &inputs);
    assert!(one == 1 && length > 0, "{one} judged");

    // More answers than a pipe holds: it cannot end before they are read.
    let films = vec![film.as_str(); 3000];
    let mut running = host(&[&arguments[..], &films[..]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answers = BufReader::new(running.stdout.take().unwrap());
    let mut table = String::new();
    for _ in 0..2 {
        answers.read_line(&mut table).unwrap();
    }
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    while answers.read_line(&mut table).unwrap() > 0 {}
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let (count, bytes) = judged(&table, &inputs);
    assert!((1..3001).contains(&count), "{count}");
    assert_eq!(bytes, count * length);
    let mut left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.any(|name| name.to_string_lossy().ends_with(".part")));
}

#[test]
fn what_was_judged_is_kept_when_nobody_reads_the_answers_any_more() {
    let (folder, film) = drawing();
    let inputs = folder.path().join("inputs");
    let films = vec![film.as_str(); 3000];
    let arguments = ["predict", "--model", MODEL, "--inputs", inputs.to_str().unwrap()];
    let mut running = host(&[&arguments[..], &films[..]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answers = BufReader::new(running.stdout.take().unwrap());
    answers.read_line(&mut String::new()).unwrap();
    drop(answers);
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert!(fs::metadata(&inputs).unwrap().len() > 0);
}
