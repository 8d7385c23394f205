//! How both programs behave among others: signals, environment variables, pipes, and advice that can be followed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
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

/// The program, on a disk on which no file can be larger than so many blocks of 512 bytes.
fn cramped(blocks: u32) -> Command {
    let mut shell = command("pumua");
    let program = shell.get_program().to_owned();
    shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(program);
    shell
}

/// The command that a message names between backticks.
fn advised(output: &Output, flag: &str) -> Command {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let advice = text.split('`').find(|words| words.contains(flag) && words.contains(' '));
    let advice = advice.unwrap_or_else(|| panic!("no command with {flag} in {text}"));
    let mut shell = Command::new("sh");
    shell.args(["-c", advice]).stdin(Stdio::null());
    shell
}

/// A training of one epoch.
fn short_training() -> Vec<&'static str> {
    TRAINING.into_iter().map(|word| if word == "4000" { "1" } else { word }).collect()
}

#[test]
fn a_training_whose_disk_is_full_goes_on_as_it_says() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("my run");
    // Before anything of the training is kept.
    let output = cramped(40).args(short_training()).arg("--out").arg(&run).output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(!run.join("checkpoint").exists() && run.join("config.toml").exists());
    let again = command("pumua").args(short_training()).arg("--out").arg(&run).output().unwrap();
    assert!(code(&again) != 0 && said(&again).contains("`--resume`"), "{}", said(&again));
    let resumed = advised(&output, "--resume").output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", said(&resumed));
    assert!(said(&resumed).contains("begins anew"), "{}", said(&resumed));
    assert!(["report.md", "split.csv", "skipped.csv"].iter().all(|name| run.join(name).exists()));

    // After the last epoch, when the models cannot be written.
    let run = folder.path().join("it's models");
    let output = cramped(40).args(short_training()).arg("--out").arg(&run).output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    // In the way of the first model stands a folder.
    fs::create_dir_all(run.join("synthetic-model-float32.onnx/in the way")).unwrap();
    let output = host([OsStr::new("train"), "--resume".as_ref(), run.as_os_str()]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    fs::remove_dir_all(run.join("synthetic-model-float32.onnx")).unwrap();
    let resumed = advised(&output, "--resume").output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", said(&resumed));
    assert!(!said(&resumed).contains("begins anew"), "{}", said(&resumed));

    // Without its checkpoint a training does not begin anew over what it has made.
    fs::remove_file(run.join("checkpoint")).unwrap();
    let report = fs::read(run.join("report.md")).unwrap();
    let output = host([OsStr::new("train"), "--resume".as_ref(), run.as_os_str()]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("start the training again in another folder"), "{}", said(&output));
    assert_eq!(fs::read(run.join("report.md")).unwrap(), report);
}

#[test]
fn a_study_whose_disk_is_full_goes_on_as_it_says() {
    let folder = TempDir::new().unwrap();
    let (recipes, out) = (folder.path().join("recipes.toml"), folder.path().join("my study"));
    let text = "[[group]]\nname = \"mine\"\ntitle = \"t\"\ntext = \"t\"\n[[experiment]]\nname = \"tiny\"\ngroup = \"mine\"\n\
                title = \"t\"\nlike = \"adam\"\nrecipe = { side = 32, steps = 1, validation_steps = 1, batch = 4, epochs = 1 }\n";
    fs::write(&recipes, text).unwrap();
    let mut study = cramped(40);
    study.args(["study", "--images", "40", "--seeds", "1", "--only", "tiny", "--recipes"]).arg(&recipes);
    let output = study.arg("--out").arg(&out).output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("free some space"), "{}", said(&output));
    let resumed = advised(&output, "--resume").output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", said(&resumed));
    assert!(out.join("runs/tiny/seed-1/result.json").exists());
}

#[test]
fn a_name_that_no_model_can_have_is_refused_before_the_training() {
    let folder = TempDir::new().unwrap();
    let (recipes, run) = (folder.path().join("recipes.toml"), folder.path().join("run"));
    let name = "n".repeat(58);
    let text = format!(
        "[[group]]\nname = \"mine\"\ntitle = \"t\"\ntext = \"t\"\n[[experiment]]\nname = \"{name}\"\ngroup = \"mine\"\n\
         title = \"t\"\nlike = \"adam\"\n"
    );
    fs::write(&recipes, text).unwrap();
    let asked = ["--recipe", &name, "--recipes", recipes.to_str().unwrap(), "--out", run.to_str().unwrap()];
    let output = command("pumua").args(short_training()).args(asked).output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("nothing is trained") && !run.exists(), "{}", said(&output));
    // One that an earlier release has begun.
    let output = cramped(40).args(short_training()).arg("--out").arg(&run).output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).unwrap().replace("name = \"adam\"", &format!("name = \"{name}\""));
    fs::write(&config, text).unwrap();
    let output = host([OsStr::new("train"), "--resume".as_ref(), run.as_os_str()]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("nothing is trained"), "{}", said(&output));
    // A folder that is taken is told before the radiographs are looked for.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let output = command("pumua").args(["train", "--data"]).arg(&empty).arg("--out").arg(&run).output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("is not empty"), "{}", said(&output));
}

/// Every flag that a message advises is one that a command has.
#[test]
fn flags_that_messages_name_exist() {
    let commands: Vec<&str> =
        "train study synthetic augment quantize points evaluate robustness machines predict view \
                               send info results screenshot update serve image bundle package flash"
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect();
    let mut help = said(&command("pumua-box").arg("--help").output().unwrap());
    for name in commands {
        let output = host([name, "--help"]);
        assert_eq!(code(&output), 0, "{name}");
        help += &said(&output);
    }
    let mut known: BTreeSet<String> = flags(&help);
    // Of rustup, and of cargo.
    known.extend(["--target", "--features"].map(str::to_owned));
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let sources: Vec<PathBuf> =
        ["host", "device/src", "shared"].iter().flat_map(|part| files(&root.join(part))).collect();
    let mut looked_at = 0;
    for path in sources.iter().filter(|path| path.extension() == Some("rs".as_ref())) {
        let text = fs::read_to_string(path).unwrap();
        for message in text.match_indices("#[error(").map(|(at, _)| &text[at..]) {
            let message = message.split("\n    /// ").next().unwrap();
            let message = message.split(")]").next().unwrap();
            for flag in flags(message) {
                assert!(known.contains(&flag), "{}: no command has {flag}", path.display());
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 30, "{looked_at}");
}

fn flags(text: &str) -> BTreeSet<String> {
    let found = text.match_indices("--").map(|(at, _)| {
        let word = &text[at + 2..];
        word.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap().trim_end_matches('-')
    });
    found.filter(|word| word.len() > 1).map(|word| format!("--{word}")).collect()
}
