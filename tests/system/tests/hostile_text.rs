//! Names and texts that would like to be more than text, through every command that shows or writes something from outside: of
//! files, folders and members of archives, of models' cards, of recipes. What a box says is in `lying_box.rs`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use shared::shown::is_hidden;
use system_tests::{PLAIN_MODEL, SimulatedBox, code, command, files, said, synthetic_radiographs};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Beginnings of names. What stands after a line break would be a line of its own.
const EVIL: [&[u8]; 7] = [
    b"\x1b[2J\x1b]0;x\x07",
    b"a\r\nFORGED: NORMAL ",
    "\u{202e}gnp.\u{2066}".as_bytes(),
    b"=HYPERLINK(\"http:x\")",
    "\u{9b}31m\u{85}".as_bytes(),
    b"\xff\xfe",
    &[b'n'; 200],
];
/// The same for a folder: all in one.
const FOLDER: &str = "=d\u{1b}[2J\r\nFORGED: \u{202e}\u{9b}31m|<b>`*";

/// A model with operating points.
const SHIPPED_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/pumua.onnx");

/// That a text holds nothing but what can be seen, and no line of somebody else's.
fn assert_harmless(text: &str, what: &str) {
    let hidden = |c| !matches!(c, '\n' | '\t') && is_hidden(c);
    if let Some(at) = text.find(hidden) {
        let around: String = text[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{what}: {around:?} then {:?}", text[at..].chars().next());
    }
    assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{what}: {text}");
}

/// A folder in which commands run, so that names stand in messages as they are.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command. Whether it succeeds is not the question; it must not panic.
    fn host<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        let output = command("pumua").current_dir(self.0.path()).args(arguments).output().unwrap();
        let what = arguments.iter().map(|argument| argument.as_ref().display().to_string()).collect::<Vec<_>>();
        for text in [&output.stdout, &output.stderr] {
            assert_harmless(&String::from_utf8(text.clone()).unwrap(), &format!("{what:?}"));
        }
        assert!(code(&output) < 100, "{what:?}: {}", said(&output));
        output
    }

    /// Runs a command that succeeds: else what it writes would not be looked at.
    fn done<S: AsRef<OsStr>>(&self, arguments: &[S]) {
        let output = self.host(arguments);
        assert_eq!(code(&output), 0, "{}", said(&output));
    }

    /// Radiographs in a folder of hostile name, most of them with hostile names too, and the same in an archive.
    fn data(&self) -> [String; 2] {
        let archive = format!("{FOLDER}.zip");
        let mut zip = ZipWriter::new(File::create(self.path(&archive)).unwrap());
        for (number, path) in synthetic_radiographs(&self.path(FOLDER), 60).into_iter().enumerate() {
            let evil = EVIL[number % EVIL.len()];
            let name = [evil, path.file_name().unwrap().as_bytes()].concat();
            let label = path.parent().unwrap();
            fs::rename(&path, label.join(OsStr::from_bytes(&name))).unwrap();
            let bytes = fs::read(label.join(OsStr::from_bytes(&name))).unwrap();
            let member = format!("{}/{}", label.file_name().unwrap().display(), String::from_utf8_lossy(&name));
            zip.start_file(member, SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        for evil in EVIL {
            let name = [evil, b"no radiograph.png"].concat();
            fs::write(self.path(FOLDER).join("NORMAL").join(OsStr::from_bytes(&name)), "no radiograph").unwrap();
            zip.start_file(format!("NORMAL/{}", String::from_utf8_lossy(&name)), SimpleFileOptions::default()).unwrap();
            zip.write_all(b"no radiograph").unwrap();
        }
        zip.finish().unwrap();
        [FOLDER.to_owned(), archive]
    }

    /// Every text that a command has written into a folder and that people open.
    fn assert_harmless_files(&self, folder: &str) {
        let mut seen = 0;
        for path in files(&self.path(folder)) {
            if ["csv", "html", "md", "svg"].iter().any(|kind| path.extension() == Some(kind.as_ref())) {
                let text = fs::read_to_string(&path).unwrap();
                assert_harmless(&text, &path.display().to_string());
                if path.extension() == Some("csv".as_ref()) {
                    let formula = text.lines().flat_map(|line| line.split(',')).find(|cell| {
                        cell.trim_start_matches('"').starts_with(['=', '@', '＝']) || cell.starts_with("+")
                    });
                    assert_eq!(formula, None, "{}", path.display());
                }
                seen += 1;
            }
        }
        assert!(seen > 0, "{folder}");
    }
}

/// The model of the tests with other texts of the same length in its card.
fn model_with_evil_card(path: &Path) {
    let mut bytes = fs::read(PLAIN_MODEL).unwrap();
    for (old, new) in [
        ("adam-64px-seed1-int8", "\\u001b[2J\\u000aF=1+1"),
        ("adam; int8, calibrated by min-max, from ", "=1;\\u001b[2J\\u000aFORGED: NORMAL\\u202e.."),
    ] {
        assert_eq!(old.len(), new.len(), "{new}");
        // The graph has its name, too.
        let at = bytes.windows(old.len()).rposition(|window| window == old.as_bytes()).unwrap();
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn names_of_radiographs_are_only_shown() {
    let place = Place::new();
    let data = place.data();
    for format in ["--csv", "--json"] {
        place.host(&["predict", "--model", PLAIN_MODEL, format, FOLDER]);
    }
    for data in &data {
        let all = ["--model", PLAIN_MODEL, "--data", data, "--part", "all"];
        for (command, rest) in [
            ("evaluate", &["--report", "report"][..]),
            ("evaluate", &["--json", "--against", PLAIN_MODEL]),
            ("evaluate", &["--refusals"]),
            ("robustness", &["--limit", "2", "--only", "shift"]),
            ("robustness", &["--limit", "2", "--only", "shift", "--markdown"]),
            ("robustness", &["--limit", "2", "--only", "shift", "--json", "--keep", "kept"]),
        ] {
            place.done(&[&[command], &all[..], rest].concat());
        }
        let out = format!("{FOLDER}-points.onnx");
        for rest in [&["--unseen"][..], &["--split", "study"]] {
            let output = place.host(&[&["points", SHIPPED_MODEL, "--data", data, "--out", &out], rest].concat());
            assert_ne!(code(&output), 0, "too few, and not those of the training");
        }
        place.assert_harmless_files("report");
        for folder in ["report", "kept"] {
            fs::remove_dir_all(place.path(folder)).unwrap();
        }
    }
    for name in fs::read_dir(place.path(FOLDER).join("NORMAL")).unwrap().take(8) {
        let name = Path::new(FOLDER).join("NORMAL").join(name.unwrap().file_name());
        let evidence = [name.as_os_str().as_bytes(), b".evidence"].concat();
        let arguments = [name.as_os_str(), "--evidence".as_ref(), OsStr::from_bytes(&evidence)];
        let output = command("pumua").current_dir(place.0.path()).arg("predict").args(arguments).output().unwrap();
        for text in [output.stdout, output.stderr] {
            assert_harmless(&String::from_utf8(text).unwrap(), &name.display().to_string());
        }
    }
}

#[test]
fn names_of_a_trainings_data_and_results_are_only_shown() {
    let place = Place::new();
    let [_, archive] = place.data();
    let recipes = format!("{FOLDER}.toml");
    let words = "title = \"t\\u001b[2J\\nFORGED\\u202e\\u0000|<b>=1\"\n";
    let plan = format!(
        "[[group]]\nname = \"mine\"\ntext = \"`t\\u001b[2J\\nFORGED\\u202e|<b>\"\n{words}\n[[experiment]]\nname = \"x\"\ngroup = \"mine\"\n\
         like = \"adam\"\nrecipe = {{ side = 32, epochs = 1, steps = 1, batch = 4, validation_steps = 1 }}\n{words}\n\
         [[comparison]]\nname = \"q\"\nquestion = \"q\\u001b[2J\\nFORGED\\u202e|<b>?\"\nexperiments = [\"x\", \"adam\"]\n"
    );
    fs::write(place.path(&recipes), &plan).unwrap();
    for format in [&[][..], &["--json"]] {
        place.done(&[&["study", "--list", "--recipes", &recipes, "--only", "x"], format].concat());
    }
    let out = format!("{FOLDER}-study");
    place.done(&["study", "--recipes", &recipes, "--only", "x", "--seeds", "1", "--data", &archive, "--out", &out]);
    place.assert_harmless_files(&out);
    for (data, format) in [(FOLDER, "--json"), (&archive, "--steps=1")] {
        let out = format!("{data}-run");
        place.done(&[
            "train",
            "--recipes",
            &recipes,
            "--recipe",
            "x",
            "--data",
            data,
            "--out",
            &out,
            "--epochs",
            "1",
            format,
        ]);
        place.assert_harmless_files(&out);
        let float = format!("{out}/x.onnx");
        if place.path(&float).exists() {
            place.done(&["quantize", &float, "--data", data, "--out", &format!("{FOLDER}.onnx")]);
        }
        place.host(&["train", "--data", data, "--out", &out]);
    }
    // Names, and what cannot be understood, are shown as well.
    for text in [
        plan.replace("name = \"x\"", "name = \"x\\u001b[2J\\u202e\""),
        plan.replace("like = \"adam\"", "like = \"x\\u001b[2J\\u202e\\nFORGED\""),
        plan.replace("side = 32", "\"s\\u001b[2J\\u202e\" = 32"),
        format!("{plan}\n\u{202e}\u{1b}[2J = = 1\n"),
    ] {
        fs::write(place.path(&recipes), text).unwrap();
        place.host(&["study", "--list", "--recipes", &recipes]);
    }
    place.host(&["train", "--recipe", FOLDER]);
    place.host(&["study", "--only", FOLDER]);
    place.host(&["robustness", "--data", FOLDER, "--only", FOLDER]);
    place.host(&["train", "--resume", FOLDER]);
    place.done(&["synthetic", &format!("{FOLDER}-drawn"), "--count", "2"]);
    place.done(&["augment", "--preview", &format!("{FOLDER}.png")]);
}

#[test]
fn words_of_a_models_card_are_only_shown() {
    let place = Place::new();
    let model = format!("{FOLDER}.onnx");
    model_with_evil_card(&place.path(&model));
    let [data, _] = place.data();
    let device = SimulatedBox::start(&[]).unwrap();
    for arguments in [
        &["predict", "--model", &model, &data][..],
        &["evaluate", "--model", &model, "--data", &data, "--part", "all"],
        &["robustness", "--model", &model, "--data", &data, "--part", "all"],
        &["quantize", &model, "--data", &data],
        &["points", &model, "--data", &data, "--unseen", "--out", "new.onnx"],
        &["points", &model, "--data", &data, "--out", &model],
        &["update", &model, "--port", &device.port],
        &["image", "--model", &model, "--program", FOLDER],
    ] {
        place.host(arguments);
    }
}

#[test]
fn the_box_only_shows_what_it_is_told() {
    let place = Place::new();
    let (file, absent) = (format!("{FOLDER} file"), format!("{FOLDER} absent"));
    fs::write(place.path(&file), "no settings").unwrap();
    let run = |arguments: &[&OsStr], variable: Option<(&str, &OsStr)>| {
        let mut device = command("pumua-box");
        device.current_dir(place.0.path()).args(arguments).envs(variable);
        let output = device.output().unwrap();
        let what = format!("{arguments:?} {variable:?}");
        for text in [&output.stdout, &output.stderr] {
            assert_harmless(&String::from_utf8(text.clone()).unwrap(), &what);
        }
        assert!((1..100).contains(&code(&output)), "{what}: {}", said(&output));
    };
    for arguments in [
        &[FOLDER][..],
        &["--journal", "j", "--port", &absent],
        &["--state-dir", "s", "--port", &file],
        &["--config", &absent],
        &["--config", &file],
        &["--simulate", "--state-dir", &file],
        &["--simulate", "--state-dir", "s", "--journal", &file],
        &["--simulate", "--state-dir", "s", "--model", &absent],
        &["--simulate", "--state-dir", "s", "--model", &file],
        &["--simulate", "--state-dir", "s", "--framebuffer", &absent],
        &["--simulate", "--screen-size", FOLDER],
        &["--simulate", "--profile", FOLDER],
    ] {
        run(&arguments.iter().map(OsStr::new).collect::<Vec<_>>(), None);
    }
    for name in ["PUMUA_PROFILE", "PUMUA_CONFIG", "PUMUA_BAUD", "PUMUA_KERNELS", "PUMUA_SHARE", "PUMUA_LANGUAGE"] {
        run(&["--simulate".as_ref(), "--state-dir".as_ref(), "s".as_ref()], Some((name, FOLDER.as_ref())));
    }
    for evil in EVIL {
        run(&[OsStr::from_bytes(&[b"--", evil].concat())], None);
        run(&["--language".as_ref(), OsStr::from_bytes(evil)], None);
    }
    run(&[], Some(("PUMUA_MODEL", OsStr::from_bytes(b"\xff\x1b[2J"))));
}

#[test]
fn names_of_other_files_are_only_shown() {
    let place = Place::new();
    let (file, absent) = (format!("{FOLDER} file"), format!("{FOLDER} absent"));
    fs::write(place.path(&file), "no image").unwrap();
    let device = SimulatedBox::start(&[]).unwrap();
    let port = ["--port", device.port.as_str()];
    place.done(&[&["screenshot", &format!("{FOLDER}.png")], &port[..]].concat());
    place.host(&[&["send", &file], &port[..]].concat());
    for arguments in [
        &["send", &absent, "--exam", FOLDER][..],
        &["info", "--port", &absent],
        &["update", &file, "--port", &device.port],
        &["flash", &file, &absent, "--yes"],
        &["flash", &absent, &file, "--yes", "--allow", "file"],
        &["flash", &file, &file, "--yes", "--allow", "file"],
        &["flash", &file, &file, "--allow", "file"],
        &["image", "--program", &absent, "--config", &absent],
        &["image", "--program", &file, "--packages", &file],
        &["package", "--program", &absent],
        &["package", "--program", &file],
        &["augment", &file, "--preview", "preview.png"],
        &["evaluate", "--data", &absent],
        &["points", &absent, "--data", &file, "--out", FOLDER],
        &["points", SHIPPED_MODEL, "--data", &absent, "--out", FOLDER],
        &["points", &file, "--data", &absent, "--out", &file],
        &["evaluate", "--data", &file],
        &["predict", &absent, "--model", &absent],
        &["predict", &absent, FOLDER, "--profile", FOLDER],
        &[FOLDER],
    ] {
        place.host(arguments);
    }
}
