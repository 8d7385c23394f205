//! A box that says what is not so, or nothing, to every command that talks to one; and texts from outside that would like to be
//! more than text.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serialport::{SerialPort, TTYPort};
use shared::{
    age::AgeNote,
    contract::InputContract,
    verdict::{Digest, ExamId, ModelRefusal, OperatingPoint, ResultRecord, Verdict},
};
use system_tests::{PLAIN_MODEL, code, command, instead, said, signal, synthetic_radiographs, within};
use wire::{
    Answer, BoxEvent, BoxSession, Info, Installed, Listed, MAX_FRAME, Outcome, Phase, Question, Reply, SiteStage,
    SiteState, SoftwareState,
};

const CONTRACT: InputContract = InputContract::stretched(64);
const PROTOCOL: i32 = 5;
const UNCONFIRMED: i32 = 7;

/// What a box replies to an event; `None` for the truth.
type Lie = fn(&BoxEvent) -> Option<Vec<Reply>>;

struct LyingBox {
    port: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the line open between two hosts.
    _keeper: File,
}

impl LyingBox {
    fn start(lie: Lie) -> Self {
        let (device, mut host) = TTYPort::pair().unwrap();
        host.set_exclusive(false).unwrap();
        let port = host.name().unwrap();
        // O_NOCTTY: the terminal of the tests stays theirs.
        let keeper = File::options().read(true).write(true).custom_flags(0o400).open(&port).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = Some(thread::spawn(move || serve(device, &stopped, lie)));
        Self { port, stop, thread, _keeper: keeper }
    }

    fn host<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        command("pumua").args(arguments).args(["--port", &self.port]).output().unwrap()
    }
}

impl Drop for LyingBox {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut port: TTYPort, stop: &AtomicBool, lie: Lie) {
    let (start, mut session) = (Instant::now(), BoxSession::new(CONTRACT));
    let (mut frame, mut bytes) = ([0; MAX_FRAME], [0; 4096]);
    port.set_timeout(Duration::from_millis(5)).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let now = start.elapsed().as_millis() as u64;
        match port.read(&mut bytes) {
            Ok(count) => session.receive(now, &bytes[..count]),
            // Nothing has come.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
        while let Some(event) = session.event(now) {
            let (event, of_entries) = as_record(event);
            for reply in lie(&event).unwrap_or_else(|| truth(&event)) {
                session.reply(match reply {
                    Reply::Record(record) if of_entries => Reply::Entry(record.map(Listed::Unlinked)),
                    reply => reply,
                });
            }
        }
        while let length @ 1.. = session.poll_transmit(now, &mut frame) {
            let _ = port.write_all(&frame[..length]);
        }
    }
}

/// Entries are asked for and answered as the results that they hold, without links.
fn as_record(event: BoxEvent) -> (BoxEvent, bool) {
    match event {
        BoxEvent::Entry { sequence } => (BoxEvent::Record { number: sequence }, true),
        event => (event, false),
    }
}

fn truth(event: &BoxEvent) -> Vec<Reply> {
    vec![match event {
        BoxEvent::Image(_) => result(event, |_| ()),
        BoxEvent::Asked(Question::Info) => Reply::Answer(Answer::Info(info())),
        BoxEvent::Asked(Question::SetClock { .. }) => Reply::Answer(Answer::ClockSet),
        BoxEvent::Asked(Question::StoredResult { .. }) => Reply::Answer(Answer::StoredResult(None)),
        BoxEvent::Asked(Question::Software { .. }) => Reply::Answer(Answer::Software(software())),
        BoxEvent::Asked(Question::Site) => Reply::Answer(Answer::Site(site())),
        BoxEvent::Record { number } => Reply::Record((*number <= 3).then(|| record(*number))),
        BoxEvent::Update(_) => Reply::Installed(Err(ModelRefusal::NotRunnable)),
        _ => return vec![],
    }]
}

/// The result of an image, changed.
fn result(event: &BoxEvent, change: fn(&mut ResultRecord)) -> Reply {
    let BoxEvent::Image(image) = event else { panic!("{event:?}") };
    let (exam, prepared) = (image.begin.exam.clone(), image.as_prepared().is_some());
    let mut record = ResultRecord { image: image.source(), exam, prepared, ..record(4) };
    change(&mut record);
    Reply::Outcome(Outcome::Result(record))
}

fn record(number: u64) -> ResultRecord {
    ResultRecord {
        number,
        boot: 1,
        unix_seconds: Some(1_800_000_000),
        exam: ExamId::new(["", "-1", "0041", "ward-3"][number as usize % 4]).unwrap(),
        image: Digest::of(b"image"),
        model: Digest::of(b"model"),
        probability: 0.25,
        point: OperatingPoint::HALF,
        verdict: Verdict::Normal,
        prepared: false,
        age: AgeNote::Unknown,
        trust: None,
    }
}

fn software() -> SoftwareState {
    SoftwareState { next: 0, running: "0.1.0".try_into().unwrap(), slot: None, outcome: None }
}

fn site() -> SiteState {
    SiteState { stage: SiteStage::Card, file: None, keys: Default::default() }
}

fn info() -> Info {
    Info {
        software: "0.1.0".try_into().unwrap(),
        model: "test".try_into().unwrap(),
        model_digest: Digest::of(b"model"),
        synthetic: false,
        int8: true,
        execution: "fused int8".try_into().unwrap(),
        contract: CONTRACT,
        point: OperatingPoint::HALF,
        boot: 1,
        records: 3,
        entries: 3,
        head: Digest::default(),
        broken: None,
        read_only: false,
        ages: None,
        any_age: false,
        trust: Some(shared::verdict::Trust::Signed),
        takes_unsigned: false,
    }
}

fn is_image(event: &BoxEvent) -> bool {
    matches!(event, BoxEvent::Image(_))
}

fn is_record(event: &BoxEvent) -> bool {
    matches!(event, BoxEvent::Record { .. })
}

fn is_info(event: &BoxEvent) -> bool {
    matches!(event, BoxEvent::Asked(Question::Info))
}

fn tells(info: Info) -> Vec<Reply> {
    vec![Reply::Answer(Answer::Info(info))]
}

/// The command ends by itself, with this code, this on stderr and nothing that looks like a verdict.
fn assert_fails(output: &Output, exit: i32, words: &str) {
    assert_eq!(code(output), exit, "{words}: {}", said(output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(words) && !stderr.contains("panicked"), "{words}: {}", said(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{words}");
}

#[test]
fn lies_about_an_image_are_no_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let image = synthetic_radiographs(folder.path(), 1).remove(0);
    let lies: [(Lie, &str); 6] = [
        (
            |event| is_image(event).then(|| vec![result(event, |it| it.exam = ExamId::new("other").unwrap())]),
            "another exam",
        ),
        (|event| is_image(event).then(|| vec![result(event, |it| it.image = Digest::of(b"x"))]), "another image"),
        (|event| is_image(event).then(|| vec![result(event, |it| it.model = Digest::of(b"x"))]), "another model"),
        (|event| is_image(event).then(|| vec![result(event, |it| it.probability = 0.99)]), "does not follow"),
        (|event| is_image(event).then(|| vec![result(event, |it| it.probability = f32::NAN)]), "NaN is no probability"),
        (|event| is_image(event).then(|| vec![result(event, |it| it.number = 3)]), "only 4 or a later one"),
    ];
    for (lie, words) in lies {
        let device = LyingBox::start(lie);
        for flags in [&["send"][..], &["send", "--prepared"], &["send", "--json"]] {
            let arguments = flags.iter().map(OsStr::new).chain([image.as_os_str()]);
            let output = device.host(arguments.chain(["--exam", "a"].map(OsStr::new)));
            assert_fails(&output, PROTOCOL, words);
        }
    }
    // The same box, telling the truth.
    let output = LyingBox::start(|_| None).host(["send".as_ref(), image.as_os_str()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn lies_about_other_things_are_errors_of_the_protocol() {
    let list: &[&str] = &["results", "--from", "2"];
    let cases: [(Lie, &[&str], &str); 8] = [
        (|event| is_record(event).then(|| vec![Reply::Record(Some(record(1)))]), list, "only 2 or a later one"),
        (
            |event| {
                let turned = ResultRecord { verdict: Verdict::Pneumonia, ..record(2) };
                is_record(event).then(|| vec![Reply::Record(Some(turned))])
            },
            list,
            "does not follow",
        ),
        (
            |event| {
                let infinite = ResultRecord { probability: f32::INFINITY, ..record(2) };
                is_record(event).then(|| vec![Reply::Record(Some(infinite))])
            },
            list,
            "inf is no probability",
        ),
        (
            |event| is_info(event).then(|| tells(Info { contract: InputContract { side: 0, ..CONTRACT }, ..info() })),
            &["info"],
            "cannot take any image",
        ),
        (
            |event| is_info(event).then(|| tells(Info { point: OperatingPoint::unbanded(f32::NAN), ..info() })),
            &["info"],
            "out of order",
        ),
        (
            |event| matches!(event, BoxEvent::Screenshot).then(|| vec![Reply::Screenshot(vec![27; 100])]),
            &["screenshot", "-"],
            "not a whole PNG",
        ),
        (
            // As wide as no screen, with no pixels.
            |event| {
                let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\0\0\0\0".to_vec();
                png.extend([0; 64]);
                matches!(event, BoxEvent::Screenshot).then(|| vec![Reply::Screenshot(png)])
            },
            &["screenshot", "-"],
            "not a whole PNG",
        ),
        (
            |event| {
                let installed = Installed { model: "x".try_into().unwrap(), digest: Digest::of(b"x") };
                matches!(event, BoxEvent::Update(_)).then(|| vec![Reply::Installed(Ok(installed))])
            },
            &["update", PLAIN_MODEL, "--allow-synthetic"],
            "another model",
        ),
    ];
    for (lie, arguments, words) in cases {
        assert_fails(&LyingBox::start(lie).host(arguments), PROTOCOL, words);
    }
    // Numbers that repeat: the first of them is true.
    let output = LyingBox::start(|event| is_record(event).then(|| vec![Reply::Record(Some(record(2)))])).host(list);
    assert_eq!(code(&output), PROTOCOL, "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "{}", said(&output));
}

#[test]
fn a_box_that_never_answers_is_given_up_and_what_it_has_stored_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("x.png");
    fs::write(&image, b"image").unwrap();
    let send = [OsStr::new("send"), image.as_os_str(), "--timeout".as_ref(), "1".as_ref()];
    // Progress without end, and the result among the stored ones.
    let device = LyingBox::start(|event| match event {
        BoxEvent::Image(_) => Some(vec![Reply::Progress(Phase::Analysing); 4]),
        BoxEvent::Asked(Question::StoredResult { from: 4, .. }) => {
            Some(vec![Reply::Answer(Answer::StoredResult(Some(ResultRecord { exam: ExamId::default(), ..record(4) })))])
        }
        _ => None,
    });
    let start = Instant::now();
    let output = device.host(send);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout, format!("{}: NORMAL  probability 0.250  age unknown  (record 4)\n", image.display()));
    assert!(said(&output).contains("it is not known whether the box has judged it"), "{}", said(&output));
    drop(device);

    // The same, but nothing is stored.
    let device = LyingBox::start(|event| is_image(event).then(Vec::new));
    let output = device.host(send);
    assert_fails(&output, UNCONFIRMED, "not confirmed");
    assert!(said(&output).contains("results --from 4"), "{}", said(&output));
    let device = LyingBox::start(|event| matches!(event, BoxEvent::Update(_)).then(Vec::new));
    let output = device.host(["update", PLAIN_MODEL, "--timeout", "1", "--allow-synthetic"]);
    assert_fails(&output, UNCONFIRMED, "not confirmed");
    for ask in [&["info", "--timeout", "1"][..], &["screenshot", "-", "--timeout", "1"], &["results", "--timeout", "1"]]
    {
        let silent: Lie = |event| (is_info(event) || is_record(event)).then(Vec::new);
        assert_fails(&LyingBox::start(silent).host(ask), 4, "does not answer the request in time");
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

const EVIL: &str = "m\u{1b}[2J\r\nthreshold 0\u{202e}=1";
const SHOWN: &str = "m\\u{1b}[2J\\u{d}\\u{a}threshold 0\\u{202e}=1";

fn assert_harmless(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        let text = text.replace('\n', "");
        assert!(!text.contains(shared::shown::is_hidden), "{text:?}");
    }
}

#[test]
fn texts_of_a_box_are_only_shown() {
    let evil: Lie = |event| {
        let [model, execution] = [EVIL, "\u{9b}31m=1"].map(|text| text.try_into().unwrap());
        let software = "\u{1b}c".try_into().unwrap();
        is_info(event).then(|| tells(Info { model, software, execution, ..info() }))
    };
    let folder = tempfile::tempdir().unwrap();
    let image = synthetic_radiographs(folder.path(), 1).remove(0);
    let device = LyingBox::start(evil);
    let output = device.host(["info"]);
    let expected = format!(
        "software      \\u{{1b}}c\n\
         slot          none: the card has room for one program\n\
         last bundle   none\n\
         settings      those of the card\n\
         model         {SHOWN} (int8)\n\
         model digest  {}\n\
         signed        yes\n\
         computed as   \\u{{9b}}31m=1\n\
         trained on    radiographs\n\
         made for      unknown ages\n\
         override      nothing\n\
         input         64 x 64 pixels, stretch\n\
         threshold     0.500, refer from 0.500 to 0.500\n\
         starts        1\n\
         results       3\n\
         journal       no entry has a link\n\
         A research aid, not a medical device.\n",
        Digest::of(b"model")
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let image = image.as_os_str();
    for arguments in [
        &[OsStr::new("info"), "--json".as_ref()][..],
        &["send".as_ref(), image],
        &["send".as_ref(), image, "--json".as_ref()],
        &["send".as_ref(), image, "--prepared".as_ref()],
        &["results".as_ref()],
        &["update".as_ref(), PLAIN_MODEL.as_ref(), "--allow-synthetic".as_ref()],
    ] {
        let output = device.host(arguments);
        assert_harmless(&output);
        assert!(code(&output) == 0 || arguments[0] == "update", "{}", said(&output));
    }
    let output = device.host(["results", "--csv"]);
    let table = String::from_utf8_lossy(&output.stdout);
    let exams: Vec<&str> = table.lines().map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(exams, ["study", "'-1", "'0041", "ward-3"]);
}

#[test]
fn names_of_files_are_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["=1+1.png", "@x.png", "a\u{1b}[2J.png", "b\nc: NORMAL.png", "d\u{202e}gnp.png", "0041"];
    for name in names {
        fs::write(folder.path().join(name), b"no image").unwrap();
    }
    let here = |arguments: &[&str]| {
        let output = command("pumua").current_dir(folder.path()).args(arguments).output().unwrap();
        assert_harmless(&output);
        output
    };
    let output = here(&[&["predict"], &names[..]].concat());
    let table = String::from_utf8_lossy(&output.stdout);
    let expected = [
        "path,probability,verdict,code,age_months,age_overridden",
        "'=1+1.png,,refused,201,,",
        "'@x.png,,refused,201,,",
        "a\\u{1b}[2J.png,,refused,201,,",
        "b\\u{a}c: NORMAL.png,,refused,201,,",
        "d\\u{202e}gnp.png,,refused,201,,",
        "'0041,,refused,201,,",
    ];
    assert_eq!(Vec::from_iter(table.lines()), expected);
    let output = here(&[&["predict", "--json"], &names[..]].concat());
    let paths: Vec<String> =
        system_tests::json_lines(&output).iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, names, "in JSON they are what they are");
    let device = LyingBox::start(|_| None);
    let output = here(&[&["send", "--port", &device.port], &names[2..3]].concat());
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout, "a\\u{1b}[2J.png: NORMAL  probability 0.250  age unknown  (record 4)\n");
    let output = here(&["predict", "--model", names[3], names[0]]);
    assert_eq!(code(&output), 3, "{}", said(&output));
}

#[test]
fn a_port_that_never_says_that_all_is_sent_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = "#include <unistd.h>\nint tcdrain(int fd) { for (;;) sleep(1000); }\n";
    let Some(library) = instead(folder.path(), hangs) else { return };
    // It says hello, and then nothing.
    let device = LyingBox::start(|event| is_info(event).then(Vec::new));
    let mut info = command("pumua");
    info.env("LD_PRELOAD", &library).args(["info", "--timeout", "2", "--port", &device.port]);
    let mut child = info.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(within(Duration::from_secs(30), || child.try_wait().unwrap().is_some()), "no word in 30 s");
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 4, "{}", said(&output));
    // One Ctrl-C is enough.
    let mut info = command("pumua");
    info.env("LD_PRELOAD", &library).args(["info", "--timeout", "600", "--port", &device.port]);
    let mut child = info.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it waits for the box");
    signal(&child, "INT");
    assert!(within(Duration::from_secs(30), || child.try_wait().unwrap().is_some()), "no end in 30 s");
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", said(&output));
}
