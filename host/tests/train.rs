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

/// Two folders of drawings; the second has its files under other names, and a table of them.
fn two_hospitals(folder: &Path) -> [std::path::PathBuf; 2] {
    let [home, clinic] = ["home", "clinic"].map(|name| folder.join(name));
    run(&["synthetic", text(&home), "--count", "160", "--seed", "1"]);
    run(&["synthetic", text(&clinic), "--count", "120", "--seed", "2"]);
    let mut table = String::from("age,patient,label,path,view\n");
    fs::create_dir(clinic.join("images")).unwrap();
    for (label, name) in [("NORMAL", "normal"), ("PNEUMONIA", "pneumonia")] {
        for number in (usize::from(label != "NORMAL")..120).step_by(2) {
            let path = format!("images/synthetic-{number}.png");
            fs::rename(clinic.join(format!("{label}/synthetic-{number:04}-{name}.png")), clinic.join(&path)).unwrap();
            table += &format!("{}.5,p{},{label},{path},AP\n", 20 + number % 60, number / 4);
        }
    }
    fs::write(clinic.join("labels.csv"), table + "3,p,NORMAL,images/gone.png,\n").unwrap();
    [home, clinic]
}

#[test]
fn hospitals_are_learnt_from_together_and_measured_on_their_own() {
    let folder = TempDir::new().unwrap();
    let [home, clinic] = two_hospitals(folder.path());
    let site = format!("clinic={}", text(&clinic));
    let short =
        ["train", "--steps", "2", "--side", "32", "--epochs", "1", "--json", "--data", text(&home), "--site", &site];
    let run_folder = folder.path().join("run");
    let options = ["--ages", "1-5", "--source", "clinic=The Clinic, CC BY 4.0", "--out", text(&run_folder)];
    let report = json(&run(&[&short[..], &options].concat()));
    let sites = report["sites"].as_array().unwrap();
    assert_eq!(sites.iter().map(|site| site["name"].as_str().unwrap()).collect::<Vec<_>>(), ["clinic", "home"]);
    assert_eq!(
        (&sites[0]["ages"], &sites[0]["views"]),
        (&serde_json::json!([20.5, 79.5]), &serde_json::json!([0, 120, 0]))
    );
    assert_eq!((&sites[1]["ages"], &sites[0]["source"]), (&Value::Null, &Value::from("The Clinic, CC BY 4.0")));
    assert_eq!(report["ages"], serde_json::json!([1, 5]));
    let split = fs::read_to_string(run_folder.join("split.csv")).unwrap();
    assert!(split.contains("clinic/images/synthetic-1.png,pneumonia,,clinic/p0,") && split.contains(",clinic,21.5,AP"));
    assert!(fs::read_to_string(run_folder.join("skipped.csv")).unwrap().contains("clinic/images/gone.png"));
    assert!(fs::read_to_string(run_folder.join("report.md")).unwrap().contains("children of 1 to 5 years"));

    // Each hospital alone has the test part that it has beside the other, and needs no option to find it.
    let model = run_folder.join("synthetic-model-int8.onnx");
    let evaluated = |arguments: &[&str]| {
        let output = run(&[&["evaluate", "--json", "--model", text(&model)], arguments].concat());
        (json(&output), String::from_utf8(output.stderr).unwrap())
    };
    let tested = |site: &Value| site["test"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    let (both, said) = evaluated(&["--data", text(&home), "--site", &site]);
    assert_eq!(both["figures"]["images"], tested(&sites[0]) + tested(&sites[1]));
    assert!(!said.contains("warning"), "{said}");
    for (path, site) in [(&clinic, &sites[0]), (&home, &sites[1])] {
        let (alone, said) = evaluated(&["--data", text(path)]);
        assert_eq!(alone["figures"]["images"], tested(site));
        assert!(!said.contains("warning"), "{said}");
        let (_, said) = evaluated(&["--data", text(path), "--part", "all"]);
        assert!(said.contains("has learnt from images"), "{said}");
    }
    let robust = json(&run(&[
        "robustness",
        "--model",
        text(&model),
        "--data",
        text(&home),
        "--site",
        &site,
        "--limit",
        "4",
        "--only",
        "mirrored",
        "--json",
    ]));
    assert_eq!(robust["images"], 4);
}

#[test]
fn a_hospital_that_is_left_out_is_the_test_part() {
    let folder = TempDir::new().unwrap();
    let [home, clinic] = two_hospitals(folder.path());
    let site = format!("clinic={}", text(&clinic));
    let run_folder = folder.path().join("run");
    let short = ["train", "--steps", "2", "--side", "32", "--epochs", "1", "--json", "--out", text(&run_folder)];
    let report = json(&run(&[&short[..], &["--data", text(&home), "--site", &site, "--leave-out", "clinic"]].concat()));
    assert_eq!(report["test"], serde_json::json!({"normal": 60, "pneumonia": 60}));
    let split = fs::read_to_string(run_folder.join("split.csv")).unwrap();
    assert!(split.lines().skip(1).all(|line| line.starts_with("clinic/") == line.contains(",test,")), "{split}");
    let model = run_folder.join("synthetic-model-int8.onnx");
    for data in [&["--data", text(&clinic)][..], &["--data", text(&home), "--site", &site]] {
        let output = run(&[&["evaluate", "--json", "--model", text(&model)], data].concat());
        assert_eq!(json(&output)["figures"]["images"], 120);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"), "{output:?}");
    }

    for (wrong, words) in [
        (&["--data", text(&home), "--leave-out", "home"][..], "nothing would be left"),
        (&["--data", text(&home), "--site", &site, "--leave-out", "other"], "none of the sites is called other"),
        (&["--data", text(&home), "--site", &site, "--source", "other=x"], "none of the sites is called `other`"),
        (&["--data", text(&home), "--site", "a/b=x"], "cannot be the name of a site"),
        (&["--data", text(&home), "--ages", "5-1"], "two numbers of years in order"),
    ] {
        let output = host(&[&["train"], wrong].concat()).output().unwrap();
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
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
fn a_longer_training_from_a_shorter_one_gives_the_same_models() {
    let folder = TempDir::new().unwrap();
    let [at_once, longer] = ["at-once", "longer"].map(|name| folder.path().join(name));
    let of = |epochs: &'static str, out: &Path| {
        json(&run(&[&SHORT[..7], &["--epochs", epochs, "--json", "--out", text(out)]].concat()))
    };
    let expected = of("6", &at_once);
    assert_ne!(of("3", &longer)["models"], expected["models"]);
    let refused = |arguments: &[&str], words: &str| {
        let output = host(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    };
    refused(&["train", "--resume", text(&longer), "--epochs", "2"], "one of 3 epochs: name as many or more");
    // As often as anyone likes.
    for (more, done) in
        [(&["--epochs", "5"][..], "5"), (&["--epochs", "6"], "6"), (&["--epochs", "6"], "6"), (&[], "6")]
    {
        run(&[&["train", "--json", "--resume", text(&longer)], more].concat());
        let table = fs::read_to_string(longer.join("metrics.csv")).unwrap();
        assert!(table.lines().last().unwrap().starts_with(&format!("{done},")), "{table}");
    }
    for name in ["config.toml", "metrics.csv", "split.csv", "synthetic-model-int8.onnx"] {
        assert!(fs::read(longer.join(name)).unwrap() == fs::read(at_once.join(name)).unwrap(), "{name}");
    }
    let report: Value = serde_json::from_slice(&fs::read(longer.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["models"], expected["models"], "the digests of the files are among these");

    let recipes = folder.path().join("recipes.toml");
    let plan = "[[group]]\nname = \"mine\"\ntitle = \"t\"\ntext = \"t\"\n[[experiment]]\nname = \"falling\"\ngroup = \"mine\"\n\
                title = \"t\"\nlike = \"adam\"\nrecipe = { optimizer = { schedule = \"cosine\" } }\n";
    fs::write(&recipes, plan).unwrap();
    let falling = folder.path().join("falling");
    let options = ["--recipes", text(&recipes), "--recipe", "falling", "--out", text(&falling)];
    run(&[&SHORT[..7], &["--epochs", "1"], &options].concat());
    refused(&["train", "--resume", text(&falling), "--epochs", "2"], "start another training with `--epochs 2`");
    run(&["train", "--resume", text(&falling), "--epochs", "1"]);
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

#[test]
fn a_training_whose_data_have_moved_is_resumed_there() {
    let folder = TempDir::new().unwrap();
    let (images, run_folder, moved) = (folder.path().join("a"), folder.path().join("run"), folder.path().join("b"));
    run(&["synthetic", text(&images), "--count", "60"]);
    let short = ["train", "--steps", "1", "--side", "32", "--epochs", "1", "--json"];
    let report = json(&run(&[&short[..], &["--data", text(&images), "--out", text(&run_folder)]].concat()));
    fs::rename(&images, &moved).unwrap();
    let output = host(&["train", "--resume", text(&run_folder)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name them with `--data`"), "{output:?}");
    for _ in 0..2 {
        let resumed = run(&["train", "--json", "--resume", text(&run_folder), "--data", text(&moved)]);
        assert_eq!(json(&resumed)["models"], report["models"]);
    }

    // Where somebody else works in the folder.
    let lock = fs::File::open(run_folder.join(".lock")).unwrap();
    lock.try_lock().unwrap();
    let resume = || {
        let output = host(&["train", "--resume", text(&run_folder), "--data", text(&moved)]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = resume();
    assert!(said.contains("another training is running in") && said.contains("wait for it"), "{said}");
    drop(lock);

    // Where an earlier version put the same radiographs into other parts.
    let table = run_folder.join("split.csv");
    let parts = fs::read_to_string(&table).unwrap();
    fs::write(&table, parts.replacen(",train,", ",validation,", 1)).unwrap();
    let said = resume();
    assert!(said.contains("an earlier version split them otherwise: start the training again"), "{said}");
    fs::write(&table, parts).unwrap();

    fs::remove_file(moved.join("NORMAL/synthetic-0000-normal.png")).unwrap();
    let said = resume();
    assert!(said.contains("other data") && said.contains("name them with `--data` or `--site`"), "{said}");
}

#[test]
fn trainings_of_one_second_have_folders_of_their_own() {
    let folder = TempDir::new().unwrap();
    let short = ["train", "--images", "60", "--steps", "1", "--side", "32", "--epochs", "1"];
    let runs: Vec<_> = (0..3)
        .map(|_| host(&short).current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let folders = fs::read_dir(folder.path().join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let whole = folders.filter(|folder| folder.join("report.json").exists()).count();
    assert_eq!(whole, 3);
}

#[test]
fn data_and_runs_may_have_names_of_any_bytes() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = TempDir::new().unwrap();
    let [images, run_folder] = [&b"n\xe9"[..], b"r\xe9"].map(|name| folder.path().join(OsStr::from_bytes(name)));
    run(&["synthetic", text(&folder.path().join("drawn")), "--count", "60"]);
    fs::rename(folder.path().join("drawn"), &images).unwrap();
    let trained = |more: &[&OsStr]| {
        let mut command = host(&["train", "--steps", "1", "--side", "32", "--epochs", "1", "--json"]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        json(&output)
    };
    let site = [&b"clinic="[..], images.as_os_str().as_bytes()].concat();
    for [option, data] in [["--data".as_ref(), images.as_os_str()], ["--site".as_ref(), OsStr::from_bytes(&site)]] {
        let run_folder = run_folder.with_extension(option);
        let report = trained(&[option, data, "--out".as_ref(), run_folder.as_os_str()]);
        let mut resumed = host(&["train", "--json", "--resume"]);
        let output = resumed.arg(&run_folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(json(&output)["models"], report["models"]);
    }
}
