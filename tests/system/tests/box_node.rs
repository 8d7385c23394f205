//! A simulated box as a DICOM node, the real program, and consoles of another maker: dcmtk. What they send is judged as `pumua
//! predict` judges their files, once; whoever sends nonsense or nothing leaves the box as it was.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;
use system_tests::{
    PATIENCE, PLAIN_MODEL, SimulatedBox,
    dicom::{element, has, radiographs},
    predicted, said, within,
};
use tempfile::TempDir;

const SEND: [&str; 6] = ["-v", "-R", "-aec", "PUMUA", "-aet", "CR1"];

/// A box to which consoles of this computer may send.
struct Reached {
    folder: TempDir,
    it: SimulatedBox,
    port: String,
}

impl Reached {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let it = SimulatedBox::start_logged_with(
            &folder.path().join("state"),
            &folder.path().join("log"),
            &["--node", "127.0.0.1:0"],
        );
        let mut this = Self { folder, it: it.unwrap(), port: String::new() };
        let log = this.log();
        let (_, after) = log.split_once("X-ray machines send to 127.0.0.1:").unwrap_or_else(|| panic!("{log}"));
        this.port = after.split(' ').next().unwrap().to_owned();
        this
    }

    /// What the box has said.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Runs a program of dcmtk that sends there.
    fn console(&self, program: &str, flags: &[&str], sent: &[PathBuf]) -> Output {
        Command::new(program).args(flags).args(["127.0.0.1", &self.port]).args(sent).output().unwrap()
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// A result of the box says what `pumua predict` says of the file.
fn assert_same(record: &Value, expected: &Value) {
    for field in ["verdict", "probability"] {
        assert!(!expected[field].is_null() && record[field] == expected[field], "{field}: {record} and {expected}");
    }
    assert!(record["study"].as_str().unwrap_or_default().is_empty(), "{record}");
}

#[test]
fn a_film_is_judged_as_its_file_is_and_once_and_two_consoles_at_once_are_served() {
    if !has("storescu", "dcmtk") {
        return;
    }
    let reached = Reached::new();
    let films = radiographs(reached.folder.path(), 6, &[(0x0010_0010, "PN", "Doe^Jane")]);
    let expected = predicted(&films, Some(PLAIN_MODEL));
    let echo = reached.console("echoscu", &["-aec", "PUMUA", "-aet", "CR1"], &[]);
    assert!(echo.status.success(), "{}", said(&echo));
    for round in 0..2 {
        let sent = reached.console("storescu", &SEND, &films[..2]);
        assert!(sent.status.success(), "{round}: {}", said(&sent));
        let records = reached.it.records();
        assert_eq!(records.len(), 2, "it is answered when its result is in the journal, and judged once: {records:?}");
        records.iter().zip(&expected).for_each(|(record, expected)| assert_same(record, expected));
    }
    thread::scope(|scope| {
        for films in [&films[2..4], &films[4..]] {
            let reached = &reached;
            scope.spawn(move || {
                let sent = reached.console("storescu", &SEND, films);
                assert!(sent.status.success(), "{}", said(&sent));
            });
        }
    });
    let records = reached.it.records();
    assert_eq!(records.len(), films.len(), "{records:?}");
    for expected in &expected[2..] {
        let is_it = |record: &&Value| record["probability"] == expected["probability"];
        assert_same(records[2..].iter().find(is_it).unwrap_or_else(|| panic!("{expected} is missing")), expected);
    }
    // Nothing of the patient is told.
    let log = reached.log();
    assert!(log.contains("from CR1") && !log.contains("Doe") && !log.contains("73517351"), "{log}");
}

#[test]
fn a_console_that_calls_somebody_else_is_told_so_and_so_is_the_log() {
    if !has("storescu", "dcmtk") {
        return;
    }
    let reached = Reached::new();
    // A picture is taken after all that was to be drawn before.
    let screen = || {
        let picture = reached.folder.path().join("screenshot.png");
        let output = reached.it.host("screenshot", [&picture]);
        assert!(output.status.success(), "{}", said(&output));
        fs::read(picture).unwrap()
    };
    let before = screen();
    let echo = reached.console("echoscu", &["-v", "-aec", "PACS1", "-aet", "CR1"], &[]);
    assert!(!echo.status.success() && said(&echo).contains("Called AE Title Not Recognized"), "{}", said(&echo));
    assert!(within(PATIENCE, || reached.log().contains("the console calls us PACS1, but we are PUMUA: enter PUMUA")));
    assert!(within(PATIENCE, || screen() != before), "the screen says what to change");
    // Nobody may send from a network of whom nothing is said.
    let open = ["--simulate", "--node", "192.0.2.1:11112", "--state-dir"];
    let open = system_tests::command("pumua-box").args(open).arg(reached.folder.path().join("other")).output().unwrap();
    assert_eq!(open.status.code(), Some(2), "{}", said(&open));
    assert!(said(&open).contains("`peers` names nobody who may send"), "{}", said(&open));
}

/// A DICOM file of a black picture with so many pixels on each side.
fn large(folder: &Path, side: u16) -> PathBuf {
    let class = b"1.2.840.10008.5.1.4.1.1.1.1";
    let number = |value: u16| value.to_le_bytes();
    let meta = [
        element(0x0002_0001, "OB", &[0, 1]),
        element(0x0002_0002, "UI", class),
        element(0x0002_0003, "UI", b"2.25.7"),
        element(0x0002_0010, "UI", b"1.2.840.10008.1.2.1"),
        element(0x0002_0012, "UI", b"2.25.1"),
    ]
    .concat();
    let data_set = [
        element(0x0008_0016, "UI", class),
        element(0x0008_0018, "UI", b"2.25.7"),
        element(0x0028_0002, "US", &number(1)),
        element(0x0028_0004, "CS", b"MONOCHROME2"),
        element(0x0028_0010, "US", &number(side)),
        element(0x0028_0011, "US", &number(side)),
        element(0x0028_0100, "US", &number(8)),
        element(0x0028_0101, "US", &number(8)),
        element(0x0028_0102, "US", &number(7)),
        element(0x0028_0103, "US", &number(0)),
        element(0x7fe0_0010, "OB", &vec![0; usize::from(side) * usize::from(side)]),
    ]
    .concat();
    let length = element(0x0002_0000, "UL", &(meta.len() as u32).to_le_bytes());
    let path = folder.join("large.dcm");
    fs::write(&path, [&[0; 128][..], b"DICM", &length, &meta, &data_set].concat()).unwrap();
    path
}

#[test]
fn nonsense_and_much_and_little_leave_the_box_ready() {
    if !has("storescu", "dcmtk") {
        return;
    }
    let reached = Reached::new();
    // 45 MB of what is not DICOM, as far as it is taken.
    let mut nonsense = reached.raw();
    let block = vec![0x5a; 1 << 20];
    let _ = (0..45).try_for_each(|_| nonsense.write_all(&block));
    drop(nonsense);
    // A film of 45 MB.
    let film = large(reached.folder.path(), 6_800);
    let sent = reached.console("storescu", &SEND, &[film]);
    assert!(reached.log().contains("an X-ray of more than 32 MiB"), "{}\n{}", said(&sent), reached.log());
    // One that says a byte now and then, and is sent away within its time.
    let mut slow = reached.raw();
    let begun = std::time::Instant::now();
    let is_taken = |stream: &mut TcpStream| stream.write_all(&[1]).is_ok();
    while is_taken(&mut slow) && begun.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "it held its place for {:?}", begun.elapsed());
    // And one that says nothing at all.
    let mut silent = reached.raw();
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    let info = reached.it.info().unwrap();
    assert_eq!(info["records"], 0, "{info}");
    let films = radiographs(reached.folder.path(), 1, &[]);
    let sent = reached.console("storescu", &SEND, &films);
    assert!(sent.status.success(), "{}\n{}", said(&sent), reached.log());
    assert_same(&reached.it.records()[0], &predicted(&films, Some(PLAIN_MODEL))[0]);
}
