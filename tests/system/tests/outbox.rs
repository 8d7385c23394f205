//! Answers of `pumua serve` in archives of other makers: `storescp` of dcmtk, and Orthanc. Nothing is lost or doubled where either
//! end is killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod serving;

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serving::{Running, Serving, client::Page};
use system_tests::{
    PATIENCE, PLAIN_MODEL, command,
    dicom::{has, instance, radiographs, study},
    files, said, within,
};

/// Sends captures to an archive at a port of this computer.
fn sending_to(store: &Path, archive: u16, title: &str) -> Serving {
    sending(store, archive, title, &[])
}

/// The same with more options.
fn sending(store: &Path, archive: u16, title: &str, more: &[&str]) -> Serving {
    let archive = format!("127.0.0.1:{archive}={title}");
    let options = ["--node", "127.0.0.1:0", "--model", PLAIN_MODEL, "--pacs", &archive];
    Serving::start(store, &[&options[..], more].concat())
}

impl Serving {
    /// Sends films as a console does.
    fn send(&self, films: &[PathBuf]) {
        let flags = ["-R", "-aec", "PUMUA", "-aet", "CR1", "127.0.0.1", &self.port()];
        let sent = Command::new("storescu").args(flags).args(films).output().unwrap();
        assert!(sent.status.success(), "{}", said(&sent));
    }

    fn state_says(&self, words: &str) -> bool {
        within(PATIENCE, || self.page.get("/state").text().contains(words))
    }
}

/// A port that nobody has.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn listens(port: u16) -> bool {
    within(PATIENCE, || TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok())
}

/// An archive of dcmtk, which keeps each image under its UID.
fn storescp(folder: &Path, port: u16) -> Running {
    fs::create_dir_all(folder).unwrap();
    let mut archive = Command::new("storescp");
    archive.args(["-aet", "ARCHIVE", "-od"]).arg(folder).arg(port.to_string());
    let archive = Running(archive.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    assert!(listens(port));
    archive
}

/// What a film tells of patient and study.
const TOLD: [(u32, &str, &str); 9] = [
    (0x0008_0005, "CS", "ISO_IR 192"),
    (0x0008_0020, "DA", "20240102"),
    (0x0008_0030, "TM", "030405"),
    (0x0008_0050, "SH", "A-17"),
    (0x0008_0090, "PN", "Referrer^Ann"),
    (0x0010_0010, "PN", "Müller^Jane"),
    (0x0010_0030, "DA", "20200101"),
    (0x0010_0040, "CS", "F"),
    (0x0020_0010, "SH", "S1"),
];

/// A value, as dcmtk reads it.
fn value(file: &Path, tag: &str) -> String {
    let dumped = Command::new("dcmdump").args(["-s", "+L", "+P", tag]).arg(file).output().unwrap();
    assert!(dumped.status.success(), "{}", said(&dumped));
    let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
    // A text may have several lines.
    let bracketed = text.split_once('[').and_then(|(_, rest)| rest.rsplit_once(']')).map(|(value, _)| value);
    // Known UIDs are shown by their names.
    let named = || text.split_whitespace().nth(2).and_then(|word| word.strip_prefix('='));
    bracketed.or_else(named).unwrap_or_else(|| panic!("{tag} of {}: {text}", file.display())).to_owned()
}

/// The UIDs of images that have arrived, and of their studies.
fn arrived(folder: &Path) -> (usize, BTreeSet<String>, BTreeSet<String>) {
    let all = files(folder);
    let values = |tag: &str| all.iter().map(|file| value(file, tag)).collect();
    (all.len(), values("0008,0018"), values("0020,000d"))
}

#[test]
fn an_answer_comes_back_as_an_image_of_the_same_study() {
    if !has("storescp", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 2, &TOLD);
    let (archive, port) = (folder.path().join("archive"), free_port());
    let _archive = storescp(&archive, port);
    let store = folder.path().join("store");
    let serving = sending_to(&store, port, "ARCHIVE");
    serving.send(&sources[..1]);
    assert!(serving.state_says("sent since the start: 1"), "{}", serving.page.get("/state").text());
    // What is no DICOM file has no study.
    let drawing = fs::read(&files(&folder.path().join("drawn"))[0]).unwrap();
    let number = serving.page.send(&drawing, "a-drawing");
    serving.page.judged(number);
    serving.send(&sources[1..]);
    assert!(serving.state_says("sent since the start: 2"));
    let all = files(&archive);
    assert_eq!(all.len(), 2);
    let first = all.iter().find(|file| value(file, "0020,000d") == study(0)).expect("the first study has its answer");
    for (tag, expected) in [
        ("0008,0005", "ISO_IR 192"),
        ("0008,0016", "SecondaryCaptureImageStorage"),
        ("0008,0020", "20240102"),
        ("0008,0030", "030405"),
        ("0008,0050", "A-17"),
        ("0008,0060", "OT"),
        ("0008,0064", "WSD"),
        ("0008,0090", "Referrer^Ann"),
        ("0008,103e", "Pumua: research aid"),
        ("0010,0010", "Müller^Jane"),
        ("0010,0020", "73517351"),
        ("0010,0030", "20200101"),
        ("0010,0040", "F"),
        ("0020,0010", "S1"),
        ("0028,0004", "RGB"),
        ("0028,0301", "YES"),
    ] {
        assert_eq!(value(first, tag), expected, "{tag}");
    }
    assert!(value(first, "0020,4000").contains("Research aid, not a medical device"));
    // It is a picture that others draw, too.
    let picture = folder.path().join("picture.png");
    let drawn = Command::new("dcmj2pnm").arg("+on").args([first, &picture]).output().unwrap();
    assert!(drawn.status.success(), "{}", said(&drawn));
    let picture = image::open(&picture).unwrap().into_rgb8();
    assert!(picture.width() == 990 && (500..=1000).contains(&picture.height()), "{:?}", picture.dimensions());
    let white = picture.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!(white > 1000, "words are in it: {white}");
    if let Ok(checked) = Command::new("dciodvfy").arg(first).output() {
        assert!(!said(&checked).contains("Error"), "{}", said(&checked));
    }
    // Nothing of the patient is told or noted besides.
    let state = serving.page.get("/state").text();
    let notes = [files(&store.join("results")), files(&store.join("outbox"))].concat();
    let notes: String = notes.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for text in [&state, &notes] {
        assert!(!text.contains("Jane") && !text.contains("73517351"), "{text}");
    }
}

#[test]
fn an_answer_comes_back_as_a_report_that_others_read() {
    if !has("storescp", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // In ASCII: dsrdump warns of other character sets.
    let told = TOLD.map(|(tag, vr, text)| (tag, vr, if vr == "PN" { "Muller^Jane" } else { text }));
    let sources = radiographs(folder.path(), 4, &told[1..]);
    let (archive, port) = (folder.path().join("archive"), free_port());
    let _archive = storescp(&archive, port);
    let store = folder.path().join("store");
    let serving = sending(&store, port, "ARCHIVE", &["--answers", "capture,report"]);
    serving.send(&sources);
    assert!(serving.state_says("sent since the start: 8"), "{}", serving.page.get("/state").text());
    let all = files(&archive);
    assert_eq!(all.len(), 8);
    for n in 0..sources.len() {
        let of = |class: &str| {
            let is_it = |file: &&PathBuf| value(file, "0020,000d") == study(n) && value(file, "0008,0016") == class;
            let mut found = all.iter().filter(is_it);
            let one = found.next().unwrap_or_else(|| panic!("no {class} of the film {n}"));
            assert_eq!(found.next(), None, "{class}");
            one
        };
        let (capture, report) = (of("SecondaryCaptureImageStorage"), of("ComprehensiveSRStorage"));
        for tag in ["0008,0018", "0020,000e"] {
            assert_ne!(value(capture, tag), value(report, tag), "{tag}");
        }
        for (tag, expected) in [
            ("0008,0050", "A-17"),
            ("0008,0060", "SR"),
            ("0008,103e", "Pumua: research aid"),
            ("0010,0010", "Muller^Jane"),
            ("0010,0020", "73517351"),
            ("0040,a491", "COMPLETE"),
            ("0040,a493", "UNVERIFIED"),
        ] {
            assert_eq!(value(report, tag), expected, "{tag}");
        }
        let dumped = Command::new("dsrdump").args(["+Pc", "+Pl", "+Pu"]).arg(report).output().unwrap();
        assert!(dumped.status.success() && dumped.stderr.is_empty(), "{}", said(&dumped));
        let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
        let record = fs::read(store.join(format!("results/{:08}.json", n + 1))).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let judged = &record["answer"]["outcome"]["judged"];
        let (_, rest) = text.split_once("(122157,DCM,\"Probability\")=\"").expect("there is a probability");
        let number: f32 = rest.split('"').next().unwrap().parse().unwrap();
        assert_eq!(Some(number), judged["probability"].as_f64().map(|it| it as f32), "{text}");
        let verdict = judged["verdict"].as_str().unwrap();
        let code = match verdict {
            "normal" => "100",
            "pneumonia" => "101",
            _ => "102",
        };
        assert!(text.contains(&format!("\"Verdict\")=({code},99PUMUA,")), "{text}");
        let finding = text.contains("contains CODE:(121071,DCM,\"Finding\")=(233604007,SCT,\"Pneumonia\")");
        assert_eq!(finding, verdict == "pneumonia", "{text}");
        assert_eq!(text.matches(&format!("\"{}\")", instance(n))).count(), 2, "library and source: {text}");
        assert!(text.contains("Research aid, not a medical device"), "{text}");
        for secret in ["73517351\"", "A-17"] {
            let (_, tree) = text.split_once("<CONTAINER").unwrap();
            assert!(!tree.contains(secret), "{secret}: {tree}");
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_where_either_end_is_killed() {
    if !has("storescp", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 24, &TOLD);
    let (archive, port, store) = (folder.path().join("archive"), free_port(), folder.path().join("store"));
    // Nobody is there yet.
    let serving = sending_to(&store, port, "ARCHIVE");
    serving.send(&sources[..8]);
    serving.page.judged(8);
    assert!(serving.state_says("no connection to the PACS"), "{}", serving.page.get("/state").text());
    drop(serving);
    let mut receiver = Some(storescp(&archive, port));
    let mut serving = sending_to(&store, port, "ARCHIVE");
    for (round, films) in sources[8..].chunks(4).enumerate() {
        serving.send(films);
        within(PATIENCE, || files(&archive).len() >= 4 * round + 2);
        // In the middle of what is being sent, or between two.
        if round % 2 == 0 {
            drop(receiver.take());
            receiver = Some(storescp(&archive, port));
        } else {
            drop(serving);
            serving = sending_to(&store, port, "ARCHIVE");
        }
    }
    // What was not judged yet is not in the outbox.
    serving.page.judged(24);
    let is_empty = || files(&store.join("outbox")).is_empty();
    assert!(within(PATIENCE, || is_empty() && serving.state_says("answers that wait to be sent: 0")));
    let (count, instances, studies) = arrived(&archive);
    assert_eq!((count, instances.len(), studies.len()), (24, 24, 24));
    assert_eq!(studies, (0..24).map(study).collect());
}

#[test]
fn an_archive_that_does_not_take_captures_is_named_on_the_page() {
    if !has("storescp", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 1, &TOLD);
    let port = free_port();
    // Our own node takes captures, but is called differently.
    let other = folder.path().join("other");
    let mut archive = command("pumua");
    archive.args(["serve", "--listen", "127.0.0.1:0", "--node", &format!("127.0.0.1:{port}"), "--model", PLAIN_MODEL]);
    let archive = archive.arg("--store").arg(&other).stdout(Stdio::null()).spawn().unwrap();
    let _archive = Running(archive);
    assert!(listens(port));
    let serving = sending_to(&folder.path().join("store"), port, "ARCHIVE");
    serving.send(&sources);
    assert!(serving.state_says("the PACS is not called ARCHIVE"), "{}", serving.page.get("/state").text());
}

#[test]
fn orthanc_files_an_answer_in_the_study_of_its_film() {
    if !has("Orthanc", "orthanc") || !has("storescu", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 1, &TOLD);
    let [dicom, http] = [free_port(), free_port()];
    let settings = folder.path().join("orthanc.json");
    let storage = folder.path().join("orthanc");
    fs::create_dir(&storage).unwrap();
    let json = serde_json::json!({
        "Name": "test", "StorageDirectory": storage, "IndexDirectory": storage, "Plugins": [],
        "DicomAet": "ORTHANC", "DicomPort": dicom, "DicomCheckCalledAet": true, "DicomAlwaysAllowStore": true,
        "HttpPort": http, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
    });
    fs::write(&settings, json.to_string()).unwrap();
    let orthanc = Command::new("Orthanc").arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _orthanc = Running(orthanc);
    assert!(listens(dicom) && listens(http));
    let port = dicom.to_string();
    let film =
        Command::new("storescu").args(["-aec", "ORTHANC", "127.0.0.1", &port]).arg(&sources[0]).output().unwrap();
    assert!(film.status.success(), "{}", said(&film));
    let serving = sending_to(&folder.path().join("store"), dicom, "ORTHANC");
    serving.send(&sources);
    assert!(serving.state_says("sent since the start: 1"), "{}", serving.page.get("/state").text());
    let page = Page::at(([127, 0, 0, 1], http).into());
    let count = |path: &str| {
        let host = format!("Host: {}", page.address());
        let answer = page.raw("GET", path, b"", &[&host, "Connection: close"]);
        answer.json().as_array().map_or(0, Vec::len)
    };
    assert_eq!([count("/patients"), count("/studies"), count("/series"), count("/instances")], [1, 1, 2, 2]);
}
