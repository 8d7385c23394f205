//! Answers of `pumua serve` in archives of other makers: `storescp` of dcmtk, and Orthanc. Nothing is lost or doubled where either
//! end is killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "../../../host/serve/tests/client/mod.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod client;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use client::Page;
use system_tests::{PATIENCE, PLAIN_MODEL, command, files, said, synthetic_radiographs, within};

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // As a power cut does.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Serving {
    page: Page,
    /// Port of the node.
    port: String,
    _child: Running,
}

impl Serving {
    /// Sends answers to an archive at a port of this computer.
    fn start(store: &Path, archive: u16, title: &str) -> Self {
        let mut child = command("pumua");
        child.args(["serve", "--listen", "127.0.0.1:0", "--node", "127.0.0.1:0", "--model", PLAIN_MODEL, "--store"]);
        child.arg(store).args(["--pacs", &format!("127.0.0.1:{archive}={title}")]).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = Running(child);
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let page = Page::at(address.unwrap_or_else(|| panic!("no page: {line:?}")).parse().unwrap());
        let state = page.get("/state").text();
        let (_, rest) = state.split_once("AE title PUMUA, address 127.0.0.1, port ").expect("the state names the node");
        let port = rest.chars().take_while(char::is_ascii_digit).collect();
        Self { page, port, _child: child }
    }

    /// Sends films as a console does.
    fn send(&self, films: &[PathBuf]) {
        let flags = ["-R", "-aec", "PUMUA", "-aet", "CR1", "127.0.0.1", &self.port];
        let sent = Command::new("storescu").args(flags).args(films).output().unwrap();
        assert!(sent.status.success(), "{}", said(&sent));
    }

    fn state_says(&self, words: &str) -> bool {
        within(PATIENCE, || self.page.get("/state").text().contains(words))
    }
}

/// Whether a program is here; says so if it is not.
fn has(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let _ = writeln!(io::stderr(), "skipped: no {program} (Debian's package {package} has it)");
    }
    found
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

fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
    }
    let head = [&((tag >> 16) as u16).to_le_bytes()[..], &(tag as u16).to_le_bytes(), vr.as_bytes()].concat();
    let length = match vr {
        "OB" => [&[0, 0][..], &(value.len() as u32).to_le_bytes()].concat(),
        _ => (value.len() as u16).to_le_bytes().to_vec(),
    };
    [head, length, value].concat()
}

/// A radiograph of a child of four as a DICOM file of an archive, with a study of its own.
fn radiograph(png: &Path, number: usize) -> Vec<u8> {
    let image = image::open(png).unwrap().into_luma8();
    let class = b"1.2.840.10008.5.1.4.1.1.1.1";
    let [instance, study] = [instance(number), study(number)];
    let number = |tag, value: u32| element(tag, "US", &(value as u16).to_le_bytes());
    let data_set = [
        element(0x0008_0005, "CS", b"ISO_IR 192"),
        element(0x0008_0016, "UI", class),
        element(0x0008_0018, "UI", instance.as_bytes()),
        element(0x0008_0020, "DA", b"20240102"),
        element(0x0008_0030, "TM", b"030405"),
        element(0x0008_0050, "SH", b"A-17"),
        element(0x0008_0060, "CS", b"DX"),
        element(0x0008_0090, "PN", b"Referrer^Ann"),
        element(0x0010_0010, "PN", "Müller^Jane".as_bytes()),
        element(0x0010_0020, "LO", b"73517351"),
        element(0x0010_0030, "DA", b"20200101"),
        element(0x0010_0040, "CS", b"F"),
        element(0x0010_1010, "AS", b"004Y"),
        element(0x0018_0015, "CS", b"CHEST"),
        element(0x0018_5101, "CS", b"PA"),
        element(0x0020_000d, "UI", study.as_bytes()),
        element(0x0020_000e, "UI", format!("{study}.2").as_bytes()),
        element(0x0020_0010, "SH", b"S1"),
        number(0x0028_0002, 1),
        element(0x0028_0004, "CS", b"MONOCHROME2"),
        number(0x0028_0010, image.height()),
        number(0x0028_0011, image.width()),
        number(0x0028_0100, 8),
        number(0x0028_0101, 8),
        number(0x0028_0102, 7),
        number(0x0028_0103, 0),
        element(0x7fe0_0010, "OB", image.as_raw()),
    ];
    let meta = [
        element(0x0002_0001, "OB", &[0, 1]),
        element(0x0002_0002, "UI", class),
        element(0x0002_0003, "UI", instance.as_bytes()),
        element(0x0002_0010, "UI", b"1.2.840.10008.1.2.1"),
        element(0x0002_0012, "UI", b"2.25.1"),
    ]
    .concat();
    let length = element(0x0002_0000, "UL", &(meta.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length, &meta, &data_set.concat()].concat()
}

fn instance(number: usize) -> String {
    format!("2.25.{}", 73_517_351_000_000 + number)
}

fn study(number: usize) -> String {
    format!("{}.1", instance(number))
}

/// So many of them, in a folder.
fn radiographs(folder: &Path, count: usize) -> Vec<PathBuf> {
    let drawn = synthetic_radiographs(&folder.join("drawn"), 4);
    let dicom = folder.join("dicom");
    fs::create_dir(&dicom).unwrap();
    (0..count)
        .map(|n| {
            let path = dicom.join(format!("{n:04}.dcm"));
            fs::write(&path, radiograph(&drawn[n % drawn.len()], n)).unwrap();
            path
        })
        .collect()
}

/// A value, as dcmtk reads it.
fn value(file: &Path, tag: &str) -> String {
    let dumped = Command::new("dcmdump").args(["+L", "+P", tag]).arg(file).output().unwrap();
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
    let sources = radiographs(folder.path(), 2);
    let (archive, port) = (folder.path().join("archive"), free_port());
    let _archive = storescp(&archive, port);
    let store = folder.path().join("store");
    let serving = Serving::start(&store, port, "ARCHIVE");
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
fn nothing_is_lost_or_doubled_where_either_end_is_killed() {
    if !has("storescp", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 24);
    let (archive, port, store) = (folder.path().join("archive"), free_port(), folder.path().join("store"));
    // Nobody is there yet.
    let serving = Serving::start(&store, port, "ARCHIVE");
    serving.send(&sources[..8]);
    serving.page.judged(8);
    assert!(serving.state_says("no connection to the PACS"), "{}", serving.page.get("/state").text());
    drop(serving);
    let mut receiver = Some(storescp(&archive, port));
    let mut serving = Serving::start(&store, port, "ARCHIVE");
    for (round, films) in sources[8..].chunks(4).enumerate() {
        serving.send(films);
        within(PATIENCE, || files(&archive).len() >= 4 * round + 2);
        // In the middle of what is being sent, or between two.
        if round % 2 == 0 {
            drop(receiver.take());
            receiver = Some(storescp(&archive, port));
        } else {
            drop(serving);
            serving = Serving::start(&store, port, "ARCHIVE");
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
    let sources = radiographs(folder.path(), 1);
    let port = free_port();
    // Our own node takes captures, but is called differently.
    let other = folder.path().join("other");
    let mut archive = command("pumua");
    archive.args(["serve", "--listen", "127.0.0.1:0", "--node", &format!("127.0.0.1:{port}"), "--model", PLAIN_MODEL]);
    let archive = archive.arg("--store").arg(&other).stdout(Stdio::null()).spawn().unwrap();
    let _archive = Running(archive);
    assert!(listens(port));
    let serving = Serving::start(&folder.path().join("store"), port, "ARCHIVE");
    serving.send(&sources);
    assert!(serving.state_says("the PACS is not called ARCHIVE"), "{}", serving.page.get("/state").text());
}

#[test]
fn orthanc_files_an_answer_in_the_study_of_its_film() {
    if !has("Orthanc", "orthanc") || !has("storescu", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 1);
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
    let serving = Serving::start(&folder.path().join("store"), dicom, "ORTHANC");
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
