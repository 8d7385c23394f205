//! Nothing of a DICOM file's header comes out anywhere but the age.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use shared::{
    age::Age,
    verdict::{Digest, ExamId},
};
use system_tests::{
    PLAIN_MODEL, SimulatedBox, code, dicom::element, files, host, json_lines, said, synthetic_radiographs,
};
use tempfile::TempDir;
use wire::Image;

/// What a header is filled with, in letters that no word has and in numbers; the date of birth and that of the study.
const MARKS: [&str; 4] = ["QZXJKV", "73517351", "20220413", "20260414"];

const JUDGED: i32 = 0;
const REFUSED: i32 = 3;

/// A radiograph as a DICOM file whose header is full of marks, of this view and age.
fn marked(png: &Path, view: &str, age: &str) -> Vec<u8> {
    numbered(png, view, age, "QZXJKV^73517351")
}

/// The same with this accession number.
fn numbered(png: &Path, view: &str, age: &str, accession: &str) -> Vec<u8> {
    let image = image::open(png).unwrap().into_luma8();
    let text = |tag, vr| element(tag, vr, b"QZXJKV^73517351");
    let number = |tag, value: u32| element(tag, "US", &(value as u16).to_le_bytes());
    let uid = |tag| element(tag, "UI", b"1.2.3.73517351");
    let data_set = [
        uid(0x0008_0018),
        element(0x0008_0020, "DA", b"20260414"),
        element(0x0008_0050, "SH", accession.as_bytes()),
        element(0x0008_0060, "CS", b"DX"),
        text(0x0008_0070, "LO"),
        text(0x0008_0080, "LO"),
        text(0x0008_0081, "ST"),
        text(0x0008_0090, "PN"),
        text(0x0008_1010, "SH"),
        text(0x0008_1030, "LO"),
        text(0x0008_103e, "LO"),
        text(0x0010_0010, "PN"),
        text(0x0010_0020, "LO"),
        element(0x0010_0030, "DA", b"20220413"),
        element(0x0010_1010, "AS", age.as_bytes()),
        text(0x0010_1040, "LO"),
        text(0x0010_4000, "LT"),
        element(0x0018_0015, "CS", b"CHEST"),
        text(0x0018_1000, "LO"),
        element(0x0018_5101, "CS", view.as_bytes()),
        uid(0x0020_000d),
        text(0x0020_0010, "SH"),
        text(0x0020_4000, "LT"),
        number(0x0028_0002, 1),
        element(0x0028_0004, "CS", b"MONOCHROME2"),
        number(0x0028_0010, image.height()),
        number(0x0028_0011, image.width()),
        number(0x0028_0100, 8),
        number(0x0028_0101, 8),
        number(0x0028_0102, 7),
        number(0x0028_0103, 0),
        text(0x0029_0010, "LO"),
        element(0x7fe0_0010, "OB", image.as_raw()),
    ];
    let meta = [uid(0x0002_0003), element(0x0002_0010, "UI", b"1.2.840.10008.1.2.1"), text(0x0002_0016, "AE")];
    [&[0; 128][..], b"DICM", &meta.concat(), &data_set.concat()].concat()
}

#[track_caller]
fn assert_unmarked(what: &str, bytes: &[u8]) {
    for mark in MARKS {
        let found = bytes.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark.as_bytes()));
        assert!(!found, "{what} holds {mark}: {}", String::from_utf8_lossy(bytes));
    }
}

#[track_caller]
fn assert_silent(expected: i32, output: &Output) {
    assert_eq!(code(output), expected, "{}", said(output));
    assert_unmarked("the output", said(output).as_bytes());
}

#[test]
fn nothing_of_a_header_reaches_line_log_journal_or_report() {
    let folder = TempDir::new().unwrap();
    let drawn = synthetic_radiographs(&folder.path().join("drawn"), 2);
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let sound = marked(&drawn[0], "PA", "");
    assert_eq!(decode::decode(&sound).unwrap().facts().age, Age::months(48));
    let judged = write("sound.dcm", &sound);
    let refused = [
        write("side.dcm", &marked(&drawn[0], "LL", "004Y")),
        write("young.dcm", &marked(&drawn[0], "PA", "003M")),
        write("cut.dcm", &sound[..sound.len() - 20]),
    ];
    for flags in [&["predict", "--model", PLAIN_MODEL][..], &["predict", "--json", "--model", PLAIN_MODEL]] {
        let with = |file: &Path| host(flags.iter().map(Path::new).chain([file]));
        assert_silent(JUDGED, &with(&judged));
        refused.iter().for_each(|file| assert_silent(REFUSED, &with(file)));
    }

    let (state, log) = (folder.path().join("state"), folder.path().join("log"));
    fs::create_dir(&state).unwrap();
    let device = SimulatedBox::start_logged(&state, &log).unwrap();
    for flags in [&["--json"][..], &["--json", "--prepared"]] {
        let with = |file: &Path| device.host("send", flags.iter().map(Path::new).chain([file]));
        let sent = with(&judged);
        assert_silent(JUDGED, &sent);
        let line = &json_lines(&sent)[0];
        assert_eq!((&line["age_months"], &line["age_overridden"]), (&48.into(), &false.into()));
        for (file, expected) in refused.iter().zip([228, 230, 202]) {
            let output = with(file);
            assert_silent(REFUSED, &output);
            assert_eq!(json_lines(&output)[0]["code"], expected, "{flags:?} {}", said(&output));
        }
    }
    assert_eq!(device.records().len(), 2);
    let results = device.host("results", ["--csv"]);
    assert_silent(JUDGED, &results);
    let rows: Vec<String> = said(&results).lines().map(str::to_owned).collect();
    assert_eq!(rows.iter().filter(|row| row.ends_with(",48,false,test-key")).count(), 2, "{rows:?}");
    for file in files(&state).into_iter().chain([log]) {
        assert_unmarked(&file.display().to_string(), &fs::read(&file).unwrap());
    }

    // What is sent of a prepared image.
    let radiograph = decode::decode(&sound).unwrap();
    let contract = shared::contract::InputContract::stretched(64);
    let picture = radiograph.picture();
    let digest = Digest::of(&sound);
    let image = Image::prepared(picture.prepare(&contract), &picture, &contract, digest, ExamId::default())
        .of_age(Age::months(48));
    assert_unmarked("a prepared image", &image.bytes);
    assert_unmarked("its announcement", format!("{:?}", image.begin).as_bytes());

    let data = folder.path().join("data");
    for label in ["NORMAL", "PNEUMONIA"] {
        fs::create_dir_all(data.join(label)).unwrap();
        for (number, file) in drawn.iter().enumerate() {
            // Of its own, so that no file is another one's copy.
            let age = format!("00{}Y", if label == "NORMAL" { 2 } else { 4 });
            fs::write(data.join(label).join(format!("{number}.dcm")), marked(file, "PA", &age)).unwrap();
        }
    }
    let report = folder.path().join("report");
    let flags = ["evaluate", "--model", PLAIN_MODEL, "--part", "all", "--data"].map(Path::new);
    let output = host(flags.into_iter().chain([&*data, Path::new("--report"), &*report]));
    assert_silent(JUDGED, &output);
    assert_eq!(files(&report).len(), 3);
    for file in files(&report) {
        assert_unmarked(&file.display().to_string(), &fs::read(&file).unwrap());
    }
}

/// A film of an infant by the age that is stated, of a child by the dates. The model is not for the one: the host asks, the box allows, and everything says so.
#[test]
fn an_age_is_overridden_where_the_box_allows_it_and_nowhere_in_silence() {
    let folder = TempDir::new().unwrap();
    let drawn = synthetic_radiographs(&folder.path().join("drawn"), 1);
    let infant = folder.path().join("infant.dcm");
    fs::write(&infant, marked(&drawn[0], "PA", "003M")).unwrap();
    let (forms, both) = ([&["--json"][..], &["--json", "--prepared"]], serde_json::json!([3, 48]));
    let send = |device: &SimulatedBox, flags: &[&str], overriding: bool| {
        let asked = if overriding { &["--override", "age"][..] } else { &[] };
        let flags = flags.iter().chain(asked).map(Path::new);
        device.host("send", flags.chain([&*infant]))
    };

    let strict = SimulatedBox::start(&[]).unwrap();
    assert_eq!(strict.info().unwrap()["override"], serde_json::json!([]));
    for flags in forms {
        for (overriding, expected) in [(false, 230), (true, 237)] {
            let output = send(&strict, flags, overriding);
            assert_silent(REFUSED, &output);
            assert_eq!(json_lines(&output)[0]["code"], expected, "{flags:?} {}", said(&output));
        }
    }
    assert_eq!(strict.records().len(), 0);

    let lenient = SimulatedBox::start(&["--override", "age"]).unwrap();
    assert_eq!(lenient.info().unwrap()["override"], serde_json::json!(["age"]));
    for flags in forms {
        assert_silent(REFUSED, &send(&lenient, flags, false));
        let output = send(&lenient, flags, true);
        assert_silent(JUDGED, &output);
        let line = &json_lines(&output)[0];
        assert_eq!((&line["age_months"], &line["age_overridden"]), (&both, &true.into()), "{line}");
    }
    let records = lenient.records();
    assert_eq!(records.len(), 2);
    assert!(
        records.iter().all(|record| record["age_months"] == both && record["age_overridden"] == true),
        "{records:?}"
    );
    let shown = said(&lenient.host("results", [""; 0]));
    assert_eq!(shown.matches("age overridden: 3 months or 4 years").count(), 2, "{shown}");

    let predict = |more: &[&str]| {
        let flags = ["predict", "--json", "--model", PLAIN_MODEL].iter().chain(more).map(Path::new);
        host(flags.chain([&*infant]))
    };
    assert_silent(REFUSED, &predict(&[]));
    let output = predict(&["--override", "age"]);
    assert_silent(JUDGED, &output);
    assert_eq!(json_lines(&output)[0]["age_overridden"], true);
    assert!(said(&output).contains("age overridden: 3 months or 4 years"), "{}", said(&output));
    let without = host(["predict", "--model", PLAIN_MODEL].map(Path::new).into_iter().chain([&*drawn[0]]));
    assert!(said(&without).contains(",unknown,false") && said(&without).contains("age unknown"), "{}", said(&without));
}

/// A setting makes an exam's id of the accession number, or of its hash; never of a name or number of the patient.
#[test]
fn an_exam_is_called_by_its_accession_number_where_a_setting_says_so() {
    let folder = TempDir::new().unwrap();
    let drawn = synthetic_radiographs(&folder.path().join("drawn"), 1);
    let files =
        [("AC/0414", "numbered.dcm"), ("QZXJKV^73517351", "marked.dcm"), ("", "bare.dcm")].map(|(number, name)| {
            let path = folder.path().join(name);
            fs::write(&path, numbered(&drawn[0], "PA", "004Y", number)).unwrap();
            path
        });
    let (state, log) = (folder.path().join("state"), folder.path().join("log"));
    fs::create_dir(&state).unwrap();
    let device = SimulatedBox::start_logged(&state, &log).unwrap();
    let settings = folder.path().join("pumua").join("host.toml");
    fs::create_dir(folder.path().join("pumua")).unwrap();
    let ids = |settings_of_host: &str, flags: &[&str]| {
        fs::write(&settings, settings_of_host).unwrap();
        let paths = flags.iter().map(Path::new).chain(files.iter().map(PathBuf::as_path));
        let mut send = device.command("send", [Path::new("--json")].into_iter().chain(paths));
        let output = send.env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
        assert_silent(JUDGED, &output);
        json_lines(&output).iter().map(|line| line["study"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for flags in [&[][..], &["--prepared"]] {
        assert_eq!(ids("", flags), ["", "", ""]);
        assert_eq!(ids("exam_id = 'accession'", flags), ["AC_2f0414", "", ""]);
        let hashed = ids("exam_id = 'hashed-accession'\nexam_key = 'a key of the clinic'", flags);
        assert!(hashed[0].len() == 16 && hashed[0].bytes().all(|digit| digit.is_ascii_hexdigit()), "{hashed:?}");
        assert_eq!(hashed[1..], ["", ""]);
    }
    assert_eq!(ids("exam_id = 'accession'", &["--exam", "ward-3"]), ["ward-3"; 3], "what is typed counts");
    for file in system_tests::files(&state).into_iter().chain([log]) {
        assert_unmarked(&file.display().to_string(), &fs::read(&file).unwrap());
    }
    fs::write(&settings, "exam_id = 'hashed-accession'").unwrap();
    let mut send = device.command("send", [&files[0]]);
    let output = send.env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
    assert!(code(&output) != JUDGED && said(&output).contains("exam_key"), "{}", said(&output));
}
