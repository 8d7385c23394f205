//! The DICOM node of `pumua serve`, the real program, and consoles of another maker: dcmtk. What they send is judged as `pumua
//! predict` judges their files; many at once; a kill in the middle.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod serving;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serving::Serving;
use system_tests::{
    PATIENCE, PLAIN_MODEL, command,
    dicom::{has, instance, radiographs},
    files, predicted, said, within,
};

impl Serving {
    /// Runs a program of dcmtk that sends here.
    fn console(&self, program: &str, flags: &[&str], sent: &[PathBuf]) -> Output {
        Command::new(program).args(flags).args(["127.0.0.1", &self.port()]).args(sent).output().unwrap()
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

/// A node, and a model that judges drawings.
const NODE: [&str; 4] = ["--node", "127.0.0.1:0", "--model", PLAIN_MODEL];

const NAME: (u32, &str, &str) = (0x0010_0010, "PN", "Doe^Jane");

const SEND: [&str; 6] = ["-v", "-R", "-aec", "PUMUA", "-aet", "CR1"];

#[test]
fn whatever_dcmtk_writes_is_judged_as_its_file_is() {
    if !has("storescu", "dcmtk") {
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
    let sources = radiographs(folder.path(), ways.len(), &[NAME]);
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
    let serving = Serving::start(&store, &NODE);
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
    assert!(state.contains("received 16 from CR1, 8 of them here already"), "{state}");
}

#[test]
fn a_console_that_calls_somebody_else_is_told_so_and_the_page_says_what_to_change() {
    if !has("storescu", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(&folder.path().join("store"), &NODE);
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
    if !has("storescu", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 200, &[NAME]);
    let serving = Serving::start(&folder.path().join("store"), &NODE);
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
    if !has("storescu", "dcmtk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = radiographs(folder.path(), 60, &[NAME]);
    for milliseconds in [30, 100, 300, 700, 1500] {
        let store = folder.path().join(format!("store-{milliseconds}"));
        let serving = Serving::start(&store, &NODE);
        let port = serving.port();
        let flags = [&SEND[..], &["-xe", "127.0.0.1", &port]].concat();
        let mut sender = Command::new("storescu");
        sender.args(flags).args(&sources).stdout(Stdio::piped()).stderr(Stdio::piped());
        let sender = sender.spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        // As a power cut does.
        drop(serving);
        let output = sender.wait_with_output().unwrap();
        let is_success = |line: &&str| line.contains("Received Store Response") && line.contains("Success");
        let acknowledged = said(&output).lines().filter(is_success).count();
        let serving = Serving::start(&store, &NODE);
        let kept: Vec<Vec<u8>> = files(&store.join("films")).iter().map(|film| fs::read(film).unwrap()).collect();
        // They are sent one after the other.
        for number in 0..acknowledged {
            let uid = instance(number);
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
