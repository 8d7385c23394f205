//! How both programs behave among others: signals, environment variables, pipes, and advice that can be followed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use system_tests::{
    PATIENCE, PLAIN_MODEL, SimulatedBox, binary, code, command, files, host, ignoring, json_lines, said, signal,
    synthetic_radiographs, within,
};
use tempfile::TempDir;

const FAILED: i32 = 1;
const INTERRUPTED: i32 = 130;

/// The shortest training there is; it goes on for many epochs.
const TRAINING: [&str; 13] =
    ["train", "--images", "40", "--epochs", "4000", "--steps", "1", "--batch", "4", "--side", "32", "--seed", "1"];

fn epochs(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.csv")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_training_goes_on_where_signals_were_ignored_from_the_start() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let mut training = ignoring("pumua", "HUP INT");
    training.args(TRAINING).arg("--out").arg(&run).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = training.spawn().unwrap();
    assert!(within(PATIENCE, || epochs(&run) > 1), "it never begins");
    for name in ["HUP", "INT", "INT", "HUP"] {
        signal(&child, name);
    }
    let before = epochs(&run);
    assert!(within(PATIENCE, || epochs(&run) > before + 2), "it does not go on");
    assert!(child.try_wait().unwrap().is_none());
    // What is not ignored still ends it in order.
    signal(&child, "TERM");
    let mut status = None;
    within(PATIENCE, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(INTERRUPTED));
}

#[test]
fn a_box_goes_on_where_signals_were_ignored_from_the_start() {
    let folder = TempDir::new().unwrap();
    let mut device = SimulatedBox::start_ignoring(folder.path(), "HUP INT").unwrap();
    for name in ["HUP", "INT"] {
        device.signal(name);
    }
    assert_eq!(device.ends(Duration::from_millis(500)), None);
    device.info().unwrap();
    device.signal("TERM");
    assert_eq!(device.ends(PATIENCE), Some(0));
    for name in ["HUP", "INT", "TERM"] {
        let mut device = SimulatedBox::start_in(folder.path(), &[]).unwrap();
        device.signal(name);
        assert_eq!(device.ends(PATIENCE), Some(0), "{name}");
    }
}

/// The names of all environment variables that the sources of both programs know.
fn variables() -> BTreeSet<String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let sources = ["host", "device", "shared"].into_iter().flat_map(|part| files(&root.join(part)));
    let sources = sources.filter(|path| path.extension() == Some("rs".as_ref()) && !path.ends_with("tests.rs"));
    let mut found = BTreeSet::new();
    for path in sources.filter(|path| path.components().any(|part| part.as_os_str() == "src")) {
        let text = fs::read_to_string(path).unwrap();
        for (at, _) in text.match_indices("PUMUA_") {
            let name = text[at..].split(|c: char| c != '_' && !c.is_ascii_uppercase()).next().unwrap();
            found.insert(name.trim_end_matches('_').to_owned());
        }
    }
    found.remove("PUMUA");
    found
}

#[test]
fn an_empty_environment_variable_is_as_if_it_were_not_set() {
    let folder = TempDir::new().unwrap();
    let image = synthetic_radiographs(&folder.path().join("images"), 1).remove(0);
    let variables = variables();
    for known in ["PUMUA_PORT", "PUMUA_BAUD", "PUMUA_KERNELS", "PUMUA_CACHE", "PUMUA_CONFIG", "PUMUA_SUPERVISED"] {
        assert!(variables.contains(known), "{known} is not among {variables:?}");
    }
    let data = image.parent().unwrap().parent().unwrap();
    let commands: [(&str, Vec<&OsStr>); 5] = [
        ("pumua", ["info", "--port", "/dev/nowhere"].map(OsStr::new).to_vec()),
        ("pumua", vec!["predict".as_ref(), "--model".as_ref(), PLAIN_MODEL.as_ref(), image.as_os_str()]),
        ("pumua", vec!["machines".as_ref(), "--data".as_ref(), data.as_os_str()]),
        ("pumua-box", Vec::new()),
        ("pumua-box", vec!["--simulate".as_ref(), "--state-dir".as_ref(), image.as_os_str()]),
    ];
    for (name, arguments) in commands {
        let run = |variables: &BTreeSet<String>| {
            let mut command = command(name);
            command.args(&arguments).current_dir(folder.path()).env("XDG_CACHE_HOME", folder.path());
            let output = command.envs(variables.iter().map(|name| (name, ""))).output().unwrap();
            (code(&output), output.stdout.clone(), words(&output))
        };
        let without = run(&BTreeSet::new());
        if run(&variables) == without {
            continue;
        }
        let wrong = variables.iter().find(|name| run(&BTreeSet::from([(*name).clone()])) != without);
        panic!("{name} {arguments:?}: {wrong:?}");
    }
    // Without a port named, one that calls itself a box is looked for.
    let output = command("pumua").arg("info").env("PUMUA_PORT", "").env("PUMUA_BAUD", "").output().unwrap();
    assert_eq!(code(&output), 4, "{}", said(&output));
    let output = host(["info", "--port", ""]);
    assert_eq!(code(&output), 2, "a flag is another matter: {}", said(&output));
}

/// What a program says, without the line that tells how long it took.
fn words(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| !line.contains(" s: ") && !line.contains(" ms")).map(str::to_owned).collect()
}

#[test]
fn radiographs_are_read_from_standard_input_and_pipes() {
    let folder = TempDir::new().unwrap();
    let image = synthetic_radiographs(&folder.path().join("images"), 1).remove(0);
    let device = SimulatedBox::start(&[]).unwrap();
    let piped = |mut command: Command| {
        // A real pipe, whose writer has ended before anybody reads.
        let mut cat = Command::new("cat").arg(&image).stdout(Stdio::piped()).spawn().unwrap();
        let output = command.stdin(cat.stdout.take().unwrap()).output().unwrap();
        cat.wait().unwrap();
        output
    };
    let predict = |path: &OsStr| {
        let mut command = command("pumua");
        command.args(["predict", "--json", "--model", PLAIN_MODEL]).arg(path);
        command
    };
    let probability = |output: &Output| {
        assert_eq!(code(output), 0, "{}", said(output));
        json_lines(output)[0]["probability"].clone()
    };
    let expected = probability(&predict(image.as_os_str()).output().unwrap());
    for name in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let output = piped(predict(name.as_ref()));
        assert_eq!(probability(&output), expected, "{name}");
        assert_eq!(json_lines(&output)[0]["path"], name);
        let mut from_file = predict(name.as_ref());
        assert_eq!(probability(&from_file.stdin(File::open(&image).unwrap()).output().unwrap()), expected, "{name}");
        assert_eq!(probability(&piped(device.command("send", ["--json", name]))), expected, "{name}");
        assert_eq!(probability(&piped(device.command("send", ["--json", "--prepared", name]))), expected, "{name}");
        let mut view = command("pumua");
        view.args(["view", "--model", PLAIN_MODEL, "--out"]).arg(folder.path().join("view.png")).arg(name);
        let output = piped(view);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let mut augment = command("pumua");
        augment.args(["augment", "--image", name, "--preview"]).arg(folder.path().join("augment.png"));
        let output = piped(augment);
        assert_eq!(code(&output), 0, "{}", said(&output));
    }
    let output = predict("-".as_ref()).output().unwrap();
    assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (3, &200.into()), "nothing comes: {}", said(&output));
    // `<(…)`, as bash has it.
    let script = "\"$0\" predict --json --model \"$1\" <(cat \"$2\") \"$2\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).arg(binary("pumua")).arg(PLAIN_MODEL).arg(&image);
    match bash.output() {
        Ok(output) => {
            assert_eq!(probability(&output), expected);
            assert_eq!(json_lines(&output)[1]["probability"], expected);
        }
        Err(error) => println!("skipped: no bash ({error})"),
    }
    // A named pipe would be waited for.
    let named = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&named).status().unwrap().success());
    let output = predict(named.as_os_str()).output().unwrap();
    assert!(said(&output).contains("`-`") && code(&output) == FAILED, "{}", said(&output));
}

