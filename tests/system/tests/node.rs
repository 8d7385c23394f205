//! The DICOM node of `pumua serve`, the real program, and consoles of another maker: dcmtk. What they send is judged as `pumua
//! predict` judges their files; many at once; a kill in the middle.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "../../../host/serve/tests/client/mod.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod client;

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use client::Page;
use system_tests::{PATIENCE, PLAIN_MODEL, command, files, predicted, said, synthetic_radiographs, within};

struct Serving {
    child: Child,
    page: Page,
    /// Port of the node.
    port: String,
}

impl Serving {
    fn start(store: &Path) -> Self {
        let mut child = command("pumua")
            .args(["serve", "--listen", "127.0.0.1:0", "--node", "127.0.0.1:0", "--model", PLAIN_MODEL, "--store"])
            .arg(store)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let page = Page::at(address.unwrap_or_else(|| panic!("no page: {line:?}")).parse().unwrap());
        let state = page.get("/state").text();
        let (_, rest) = state.split_once("AE title PUMUA, address 127.0.0.1, port ").expect("the state names the node");
        let port = rest.chars().take_while(char::is_ascii_digit).collect();
        Self { child, page, port }
    }

    /// Runs a program of dcmtk that sends here.
    fn console(&self, program: &str, flags: &[&str], sent: &[PathBuf]) -> Output {
        Command::new(program).args(flags).args(["127.0.0.1", &self.port]).args(sent).output().unwrap()
    }

    /// The rows of the page's table, the oldest first.
    fn table(&self) -> Vec<Vec<String>> {
        let text = self.page.get("/results.csv").text();
        // No cell of these tests has a comma or a quotation mark.
        let mut rows: Vec<Vec<_>> =
            text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
        rows.reverse();
        rows
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SEND: [&str; 6] = ["-v", "-R", "-aec", "PUMUA", "-aet", "CR1"];

/// Whether dcmtk is here; says so if it is not.
fn has_dcmtk() -> bool {
    let found = Command::new("storescu").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let _ = writeln!(io::stderr(), "skipped: no storescu (Debian's package dcmtk has it)");
    }
    found
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

/// A radiograph of a child of four as a DICOM file, with a number of its own.
fn radiograph(png: &Path, number: usize) -> Vec<u8> {
    let image = image::open(png).unwrap().into_luma8();
    let class = b"1.2.840.10008.5.1.4.1.1.1.1";
    let instance = uid(number);
    let number = |tag, value: u32| element(tag, "US", &(value as u16).to_le_bytes());
    let data_set = [
        element(0x0008_0016, "UI", class),
        element(0x0008_0018, "UI", instance.as_bytes()),
        element(0x0008_0060, "CS", b"DX"),
        element(0x0010_0010, "PN", b"Doe^Jane"),
        element(0x0010_0020, "LO", b"73517351"),
        element(0x0010_1010, "AS", b"004Y"),
        element(0x0018_0015, "CS", b"CHEST"),
        element(0x0018_5101, "CS", b"PA"),
        element(0x0020_000d, "UI", format!("{instance}.1").as_bytes()),
        element(0x0020_000e, "UI", format!("{instance}.2").as_bytes()),
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

fn uid(number: usize) -> String {
    format!("2.25.{}", 73_517_351_000_000 + number)
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

#[test]
fn whatever_dcmtk_writes_is_judged_as_its_file_is() {
    if !has_dcmtk() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // How it is written, how it is then offered, and what that is called.
    let ways: [(&[&str], &str, &str); 8] = [
        (&["dcmconv", "+te"], "-xe", "uncompressed"),
        (&["dcmconv", "+ti"], "-xi", "uncompressed, implicit"),
        (&["dcmconv", "+tb"], "-xb", "uncompressed, big endian"),
        (&["dcmconv", "+td"], "-xd", "deflated"),
        (&["dcmcrle"], "-xr", "run lengths"),
        (&["dcmcjpeg", "+e1"], "-xs", "lossless JPEG"),
        (&["dcmcjpeg", "+eb"], "-xy", "JPEG, 8 bits"),
        (&["dcmconv", "+te"], "-xi", "uncompressed, implicit"),
    ];
    let sources = radiographs(folder.path(), ways.len());
    let written: Vec<PathBuf> = sources
        .iter()
        .zip(ways)
        .enumerate()
        .map(|(n, (source, (program, ..)))| {
            let path = folder.path().join(format!("{n}.dcm"));
            let made = Command::new(program[0]).args(&program[1..]).args([source, &path]).output().unwrap();
            assert!(made.status.success(), "{program:?}: {}", said(&made));
            path
        })
        .collect();
    let expected = predicted(&written, Some(PLAIN_MODEL));
    let store = folder.path().join("store");
    let serving = Serving::start(&store);
    let flags = ["-aec", "PUMUA", "-aet", "CR1"];
    let echo = serving.console("echoscu", &flags, &[]);
    assert!(echo.status.success(), "{}", said(&echo));
    for round in 0..2 {
        for (path, (_, offered, name)) in written.iter().zip(ways) {
            let sent = serving.console("storescu", &[&SEND[..], &[offered]].concat(), std::slice::from_ref(path));
            assert!(sent.status.success(), "{name}, round {round}: {}", said(&sent));
        }
        // Sent again, nothing is kept or judged again.
        assert_eq!(serving.table().len(), ways.len());
    }
    serving.page.judged(ways.len() as u64);
    for ((row, expected), (_, _, name)) in serving.table().iter().zip(&expected).zip(ways) {
        assert_eq!(row[3], expected["verdict"].as_str().unwrap(), "{name}: {row:?}");
        let probability = expected["probability"].as_f64().map(|p| p as f32);
        assert_eq!(row[5].parse().ok(), probability, "{name}: {row:?}");
        assert_eq!(row.last().unwrap(), "node");
    }
    for (film, (_, _, name)) in files(&store.join("films")).iter().zip(ways) {
        let description = decode::describe(&fs::read(film).unwrap());
        assert_eq!(description.dicom.unwrap().transfer_syntax, Some(name), "{}", film.display());
    }
    // Nothing of the patient is told.
    let state = serving.page.get("/state").text();
    let records =
        files(&store.join("results")).iter().map(|path| fs::read_to_string(path).unwrap()).collect::<String>();
    for text in [&state, &records] {
        assert!(!text.contains("Doe") && !text.contains("73517351"), "{text}");
    }
    assert!(state.contains("X-rays accepted: 16, from CR1, here already: 8"), "{state}");
}

#[test]
fn a_console_that_calls_somebody_else_is_told_so_and_the_page_says_what_to_change() {
    if !has_dcmtk() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(&folder.path().join("store"));
    let echo = serving.console("echoscu", &["-v", "-aec", "PACS1", "-aet", "CR1"], &[]);
    assert!(!echo.status.success() && said(&echo).contains("Called AE Title Not Recognized"), "{}", said(&echo));
    let state = serving.page.get("/state").text();
    assert!(state.contains("the console calls us PACS1, we are PUMUA: enter PUMUA"), "{state}");
    // Nobody may send from a network to whom nothing is said of that.
    let open = ["serve", "--node", "192.0.2.1:11112", "--model", PLAIN_MODEL, "--store"];
    let open = command("pumua").args(open).arg(folder.path().join("other")).output().unwrap();
    assert_eq!(open.status.code(), Some(2), "{}", said(&open));
    assert!(said(&open).contains("--peer"), "{}", said(&open));
}

#[test]
fn of_two_hundred_over_eight_consoles_at_once_none_is_lost_or_doubled() {
    if !has_dcmtk() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 200);
    let serving = Serving::start(&folder.path().join("store"));
    thread::scope(|scope| {
        for sent in sources.chunks(25) {
            let serving = &serving;
            // Of one address four are served at once: the others are told to come again, as consoles do by themselves.
            scope.spawn(move || {
                let all_sent = || serving.console("storescu", &[&SEND[..], &["-xe"]].concat(), sent).status.success();
                assert!(within(PATIENCE, all_sent));
            });
        }
    });
    assert_eq!(serving.table().len(), sources.len());
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    if !has_dcmtk() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 60);
    for milliseconds in [30, 100, 300, 700, 1500] {
        let store = folder.path().join(format!("store-{milliseconds}"));
        let serving = Serving::start(&store);
        let flags = [&SEND[..], &["-xe", "127.0.0.1", &serving.port]].concat();
        let mut sender = Command::new("storescu");
        sender.args(flags).args(&sources).stdout(Stdio::piped()).stderr(Stdio::piped());
        let sender = sender.spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        // As a power cut does.
        drop(serving);
        let output = sender.wait_with_output().unwrap();
        let is_success = |line: &&str| line.contains("Received Store Response") && line.contains("Success");
        let acknowledged = said(&output).lines().filter(is_success).count();
        let serving = Serving::start(&store);
        let kept: Vec<Vec<u8>> = files(&store.join("films")).iter().map(|film| fs::read(film).unwrap()).collect();
        // They are sent one after the other.
        for number in 0..acknowledged {
            let uid = uid(number);
            let is_it = |film: &Vec<u8>| film.windows(uid.len()).any(|window| window == uid.as_bytes());
            assert!(kept.iter().any(is_it), "{number} of {acknowledged} after {milliseconds} ms");
        }
        assert!(kept.len() <= acknowledged + 1, "{} are kept of {acknowledged}", kept.len());
        // The console sends all again.
        let again = serving.console("storescu", &[&SEND[..], &["-xe"]].concat(), &sources);
        assert!(again.status.success(), "{}", said(&again));
        assert_eq!(serving.table().len(), sources.len(), "after {milliseconds} ms");
    }
}
