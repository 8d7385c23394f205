//! The whole box in this process, over a pseudo-terminal, with a classifier whose answer is known: the brightness.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    io::{self, Cursor, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use clap::Parser as _;
use device::{
    analysis::{Classifier, Install},
    config::{Flags, LineSettings, Settings},
    decoder,
    disk::{Access, Card, Disk, DiskFile, ReadAt},
    inner::{self, InnerError},
    journal::{Journal, Limits},
    keys::Key,
    models::Models,
    runtime::{Hung, Runtime, Stopper},
    screen::{Display, Language, Rotation, ScreenSize, display::Sinks},
    serial::{Pty, open_port},
    site::Site,
    software::Software,
    stick,
};
use engine::{
    ActivationMap, Behaviour, DEFAULT_MODEL, Examination, Grid, Model, ModelCard, ModelError, Provenance, Score,
    judge::{Input, Judgement},
};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use shared::{
    appliance::{Share, SiteSettings, slots},
    contract::InputContract,
    results,
    verdict::{
        Digest, ExamId, Fault, ModelRefusal, OperatingPoint, Refusal, ResultRecord, SiteRefusal, Trust, Verdict,
    },
};
use trust::{Gate, Kind, LINE, Package, PackageHead, SecretKey, Signature, Statement, Version};
use wire::{
    Answer, BundlePiece, HostError, HostEvent, HostSession, Image, Info, Installed, MAX_FRAME, ModelFile, Outcome,
    Phase, Question, Request, SiteStage, SoftwareStage,
};

const CONTRACT: InputContract = InputContract::stretched(16);

/// Longer than anything takes here, on the busiest computer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The probability is the mean of the input, and a bright middle speaks for pneumonia; an input that begins with white makes
/// it panic.
struct Brightness(ModelCard);

impl Brightness {
    fn new() -> Self {
        Self(ModelCard {
            behaviour: Behaviour {
                point: OperatingPoint { threshold: 0.5, refer_from: 0.4, refer_to: 0.6 },
                ..Behaviour::new(CONTRACT)
            },
            provenance: Provenance { version: "0.1.0".to_owned(), synthetic: true, ..Provenance::default() },
            ..ModelCard::new("brightness", CONTRACT)
        })
    }
}

impl Classifier for Brightness {
    fn card(&self) -> &ModelCard {
        &self.0
    }

    fn digest(&self) -> Digest {
        Digest::of(b"brightness")
    }

    fn execution(&self) -> String {
        "mean brightness".to_owned()
    }

    fn trust(&self) -> Option<Trust> {
        None
    }

    fn judge(&self, asked: &Input<'_>) -> Result<Judgement, ModelError> {
        let input = asked.pixels();
        assert_eq!(input.len(), CONTRACT.len());
        assert_ne!(input[0], 255, "white in the first place");
        let probability = input.iter().map(|&v| f32::from(v)).sum::<f32>() / (255.0 * input.len() as f32);
        let score = Score { logit: (probability / (1.0 - probability)).ln(), probability };
        let grid = Grid { first: [8.0; 2], step: [16.0; 2], reach: [16.0; 2] };
        let values = vec![if input[8 * 16 + 8] > 200 { 10.0 } else { -10.0 }];
        let map = ActivationMap { rows: 1, columns: 1, values, bias: 0.0, grid };
        let examination = Examination { score, features: Vec::new(), map: Some(map) };
        Ok(Judgement::of(examination, asked, &self.0))
    }

    fn verify(&self) -> Result<(), ModelError> {
        Ok(())
    }

    fn self_test(&self) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Installs as the box does.
fn installs(models: &Path) -> Install {
    let mut models = Models::new(models.to_owned(), None, Gate::open());
    Box::new(move |file| {
        let model = models.install(file).map_err(|error| error.refusal())?;
        Ok(Arc::new(model) as Arc<dyn Classifier>)
    })
}

/// The clinic's own settings, as a box without roots starts with them.
fn site(state: &Path) -> Site {
    let flags = Flags::try_parse_from(["pumua-box", "--simulate", "--config", "/dev/null"]).unwrap();
    let sources = flags.sources(|_| None).unwrap();
    let with = Box::new(move |site: &SiteSettings| sources.with_site(site));
    let gate = Gate::for_site(None, Version([0, 1, 0]));
    let mut site = Site::new(Arc::new(Card), state.join("site"), gate, with);
    site.load();
    site
}

/// Settings that the test key has signed, and with them texts that are no list of keys.
fn site_file(text: &str, counter: u64, list: Option<[&str; 2]>) -> ModelFile {
    let secret = SecretKey::of_file(include_str!("../../models/trust/test-signer.key")).unwrap();
    let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "ward-3".to_owned());
    let (kind, least, digest) = (Kind::Site, Version([0, 1, 0]), Digest::of(text.as_bytes()));
    let statement = Statement { kind, line, counter, least, made, name, digest }.to_string();
    let signature = Signature::new(&secret, text.as_bytes(), statement).to_file();
    ModelFile::new(Package { signature: Some(&signature), list, model: text.as_bytes() }.to_bytes()).unwrap()
}

/// A box on a thread of its own.
struct Running {
    stopper: Stopper,
    port: PathBuf,
    keys: Box<dyn Fn(Key) -> bool + Send>,
    /// The sender's end of a line within the box.
    inner: inner::Sender,
    thread: Option<JoinHandle<Result<(), Hung>>>,
}

impl Running {
    fn start(state: &Path, line: LineSettings) -> Self {
        Self::start_with(state, line, installs)
    }

    fn start_with(state: &Path, line: LineSettings, install: impl FnOnce(&Path) -> Install + Send + 'static) -> Self {
        Self::start_within(state, line, install, None)
    }

    /// The same, with another limit on how long an analysis may take.
    fn start_within(
        state: &Path,
        line: LineSettings,
        install: impl FnOnce(&Path) -> Install + Send + 'static,
        analysis_within: Option<Duration>,
    ) -> Self {
        Self::start_with_display(state, line, install, analysis_within, None)
    }

    /// A simulated box that keeps its results on another disk.
    fn start_on(state: &Path, disk: Arc<dyn Disk>) -> Self {
        Self::start_with_disk(state, LineSettings::Simulated { pace: None }, installs, [None, None], disk, false)
    }

    /// The same, with another limit on how long a picture may take.
    fn start_with_display(
        state: &Path,
        line: LineSettings,
        install: impl FnOnce(&Path) -> Install + Send + 'static,
        analysis_within: Option<Duration>,
        turn_within: Option<Duration>,
    ) -> Self {
        Self::start_with_disk(state, line, install, [analysis_within, turn_within], Arc::new(Card), false)
    }

    fn start_with_disk(
        state: &Path,
        line: LineSettings,
        install: impl FnOnce(&Path) -> Install + Send + 'static,
        [analysis_within, turn_within]: [Option<Duration>; 2],
        disk: Arc<dyn Disk>,
        safe: bool,
    ) -> Self {
        let state = state.to_owned();
        let (told, started) = channel();
        let thread = thread::spawn(move || {
            let settings = Settings {
                line: line.clone(),
                model: None,
                roots: None,
                unsigned: true,
                models: state.join("models"),
                software: state.join("software"),
                profile: None,
                journal: state.join("journal"),
                screen_dir: Some(state.clone()),
                screen_size: ScreenSize::new(480, 320).unwrap(),
                framebuffer: None,
                framebuffer_optional: true,
                rotation: Rotation::None,
                language: Language::English,
                keys: false,
                safe,
                share: Share::Open,
                blank_after: None,
                stick: false,
                stick_dir: None,
                node: None,
                overrides: Vec::new(),
            };
            let mut display = Display::start(Sinks::open(&settings).unwrap());
            if let Some(limit) = turn_within {
                display.set_turn_within(limit);
            }
            let opened = Journal::open_on(disk, &settings.journal, Limits::default(), &mut || ());
            let (journal, _) = opened.unwrap();
            let install = install(&settings.models);
            let decode = Box::new(|file: &[u8], contract: &_| Ok(decoder::prepare(file, contract)?));
            let model = Arc::new(Brightness::new());
            let mut runtime = Runtime::open(model, install, decode, journal, &display, line.clone()).unwrap();
            if safe {
                runtime.enter_safe_mode();
            }
            let bundles = Software::new(Arc::new(Card), settings.software.clone(), Gate::open(), None);
            runtime.take_bundles(bundles.played());
            runtime.take_site(site(&state));
            let port = match line {
                LineSettings::Ports { paths, .. } => paths[0].clone(),
                LineSettings::Simulated { .. } => runtime.simulated_device().unwrap(),
            };
            let (inner, end) = inner::line().unwrap();
            runtime.add_line(end).unwrap();
            // Where there is a place for sticks, a folder in it is played as one.
            if state.join("sticks").is_dir() {
                let (sender, end) = inner::line().unwrap();
                runtime.add_line(end).unwrap();
                let played = stick::play(state.join("sticks/stick")).unwrap();
                runtime.set_films(stick::start(played, sender, settings.language, runtime.sticks()).unwrap());
            }
            told.send((runtime.stopper(), port, Box::new(runtime.keys()), inner)).unwrap();
            if let Some(limit) = analysis_within {
                runtime.set_analysis_within(limit);
            }
            runtime.run(|| ())
        });
        let (stopper, port, keys, inner) = started.recv_timeout(PATIENCE).unwrap();
        Self { stopper, port, keys, inner, thread: Some(thread) }
    }

    fn simulated(state: &Path) -> Self {
        Self::start(state, LineSettings::Simulated { pace: None })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join();
        assert!(matches!(ended, Ok(Ok(()))) || thread::panicking(), "the box ended by itself: {ended:?}");
    }
}

/// A host at the other end.
struct Host {
    session: HostSession,
    received: Receiver<Vec<u8>>,
    writer: File,
    start: Instant,
    _open: Arc<AtomicBool>,
}

impl Host {
    fn connect(ends: (File, File)) -> Self {
        let mut host = Self::greet(ends, PATIENCE.as_millis() as u64);
        assert_eq!(host.wait(|event| matches!(event, HostEvent::Connected)), HostEvent::Connected);
        host
    }

    /// Says hello for this many milliseconds.
    fn greet((mut reader, writer): (File, File), milliseconds: u64) -> Self {
        static NONCE: AtomicU32 = AtomicU32::new(1);
        let (bytes, received) = channel();
        let open = Arc::new(AtomicBool::new(true));
        let wanted = Arc::downgrade(&open);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while wanted.upgrade().is_some_and(|w| w.load(Ordering::Relaxed)) {
                match reader.read(&mut buffer) {
                    Ok(count @ 1..) if bytes.send(buffer[..count].to_vec()).is_ok() => {}
                    _ => return,
                }
            }
        });
        Self {
            session: HostSession::within(0, NONCE.fetch_add(1, Ordering::Relaxed), milliseconds),
            received,
            writer,
            start: Instant::now(),
            _open: open,
        }
    }

    /// Ends the session as a program does.
    fn leave(mut self) {
        let mut frame = [0; MAX_FRAME];
        self.session.close();
        while let length @ 1.. = self.session.poll_transmit(self.start.elapsed().as_millis() as u64, &mut frame) {
            self.writer.write_all(&frame[..length]).unwrap();
        }
    }

    fn open(port: &Path) -> Self {
        Self::connect(open_port(port, 115_200).unwrap())
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Serves the line until an event is the one that is waited for.
    fn wait(&mut self, wanted: impl Fn(&HostEvent) -> bool) -> HostEvent {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            let Some(event) = self.step() else { continue };
            if wanted(&event) {
                return event;
            }
            assert!(!matches!(event, HostEvent::Down(_)), "{event:?}");
        }
        panic!("nothing within {PATIENCE:?}");
    }

    /// An event that is there already, or else what comes within a few milliseconds of serving the line.
    fn step(&mut self) -> Option<HostEvent> {
        let now = self.now();
        if let Some(event) = self.session.event(now) {
            return Some(event);
        }
        let mut frame = [0; MAX_FRAME];
        while let length @ 1.. = self.session.poll_transmit(now, &mut frame) {
            self.writer.write_all(&frame[..length]).unwrap();
        }
        let bytes = self.received.recv_timeout(Duration::from_millis(5)).ok()?;
        let now = self.now();
        self.session.receive(now, &bytes);
        self.session.event(now)
    }

    fn request(&mut self, request: Request) {
        let now = self.now();
        self.session.request(now, request).unwrap();
    }

    fn send(&mut self, image: Image) -> Outcome {
        self.request(Request::Image(image));
        match self.wait(|event| matches!(event, HostEvent::Outcome(_))) {
            HostEvent::Outcome(outcome) => outcome,
            _ => unreachable!(),
        }
    }

    fn judged(&mut self, image: Image) -> ResultRecord {
        match self.send(image) {
            Outcome::Result(record) => record,
            other => panic!("{other:?}"),
        }
    }

    fn update(&mut self, file: ModelFile) -> Result<Installed, ModelRefusal> {
        self.request(Request::Update(file));
        match self.wait(|event| matches!(event, HostEvent::Installed(_) | HostEvent::ModelRefused(_))) {
            HostEvent::Installed(installed) => Ok(installed),
            HostEvent::ModelRefused(refusal) => Err(refusal),
            _ => unreachable!(),
        }
    }

    /// Sends settings.
    fn configure(&mut self, file: ModelFile) -> Result<Installed, SiteRefusal> {
        self.request(Request::Update(file));
        match self.wait(|event| matches!(event, HostEvent::Installed(_) | HostEvent::SiteRefused(_))) {
            HostEvent::Installed(installed) => Ok(installed),
            HostEvent::SiteRefused(refusal) => Err(refusal),
            _ => unreachable!(),
        }
    }

    /// Which settings the box has: how they stand, and their counter.
    fn settings(&mut self) -> (SiteStage, Option<u64>) {
        match self.ask(Question::Site) {
            Answer::Site(state) => (state.stage, state.file.map(|file| file.counter)),
            other => panic!("{other:?}"),
        }
    }

    fn info(&mut self) -> Info {
        match self.ask(Question::Info) {
            Answer::Info(info) => info,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, question: Question) -> Answer {
        self.request(Request::Ask(question));
        match self.wait(|event| matches!(event, HostEvent::Answer(_))) {
            HostEvent::Answer(answer) => answer,
            _ => unreachable!(),
        }
    }

    fn screenshot(&mut self) -> DynamicImage {
        self.request(Request::Screenshot);
        match self.wait(|event| matches!(event, HostEvent::Screenshot(_))) {
            HostEvent::Screenshot(png) => image::load_from_memory(&png).unwrap(),
            _ => unreachable!(),
        }
    }

    fn records(&mut self, from: u64, limit: u16) -> Vec<ResultRecord> {
        self.request(Request::Results { from, limit });
        let mut records = Vec::new();
        loop {
            match self.wait(|event| matches!(event, HostEvent::Record(_) | HostEvent::RecordsEnd)) {
                HostEvent::Record(record) => records.push(record),
                _ => return records,
            }
        }
    }
}

fn encoded(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn png(picture: &GrayImage) -> Vec<u8> {
    encoded(&DynamicImage::ImageLuma8(picture.clone()))
}

/// Stripes about a grey value: without contrast an image is refused as blank.
fn grey(value: u8) -> Vec<u8> {
    png(&GrayImage::from_fn(64, 48, |x, _| {
        Luma([if x / 4 % 2 == 0 { value.saturating_add(12) } else { value.saturating_sub(12) }])
    }))
}

fn exam() -> ExamId {
    ExamId::new("ward-3").unwrap()
}

fn file(bytes: &[u8]) -> Image {
    Image::file(bytes.to_vec(), exam()).unwrap()
}

fn file_of(brightness: u8) -> Image {
    file(&grey(brightness))
}

fn prepared(bytes: &[u8], contract: &InputContract) -> Image {
    let radiograph = decode::decode(bytes).unwrap();
    let picture = radiograph.picture();
    Image::prepared(picture.prepare(contract), &picture, contract, Digest::of(bytes), exam())
}

#[test]
fn both_forms_of_an_image_give_the_same_result_and_the_journal_holds_both() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let gradient = png(&GrayImage::from_fn(300, 200, |x, y| Luma([(x / 2 + y / 4) as u8])));
    let whole = host.judged(file(&gradient));
    let small = host.judged(prepared(&gradient, &CONTRACT));
    assert_eq!(small, ResultRecord { number: 2, prepared: true, ..whole.clone() });
    assert!(!whole.prepared);
    assert_eq!((whole.number, whole.boot, whole.image), (1, 1, Digest::of(&gradient)));
    // The means of x / 2 and y / 4, rounded down, are 74.5 and 24.5.
    assert!((whole.probability - 99.0 / 255.0).abs() < 0.003, "{}", whole.probability);
    assert_eq!(host.records(1, 10), [whole, small.clone()]);
    assert_eq!(host.records(2, 1), [small]);
    assert_eq!(host.records(3, 1), []);
}

#[test]
fn the_verdict_follows_the_operating_point() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let verdicts = [20, 128, 230].map(|value| host.judged(file(&grey(value))).verdict);
    assert_eq!(verdicts, [Verdict::Normal, Verdict::Refer, Verdict::Pneumonia]);
}

#[test]
fn what_cannot_be_judged_leaves_the_box_ready() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let text = file(b"Dear colleague, please find attached");
    assert_eq!(host.send(text), Outcome::Refused(Refusal::UnknownFormat));
    let tiny = png(&GrayImage::from_pixel(8, 8, Luma([9])));
    assert_eq!(host.send(file(&tiny)), Outcome::Refused(Refusal::TooSmall));
    let painting = DynamicImage::ImageRgb8(RgbImage::from_fn(64, 48, |x, y| Rgb([4 * x as u8, 5 * y as u8, 0])));
    assert_eq!(host.send(file(&encoded(&painting))), Outcome::Refused(Refusal::Coloured));
    let blank = png(&GrayImage::from_pixel(64, 48, Luma([90])));
    for image in [file(&blank), prepared(&blank, &CONTRACT)] {
        assert_eq!(host.send(image), Outcome::Refused(Refusal::Blank));
    }
    let other = InputContract { zero_point: 9, ..CONTRACT };
    assert_eq!(host.send(prepared(&grey(9), &other)), Outcome::Refused(Refusal::ContractMismatch));
    // Of one picture what is judged, of another one what is shown.
    let mut mixed = prepared(&grey(20), &CONTRACT);
    mixed.bytes.splice(..CONTRACT.len(), prepared(&grey(230), &CONTRACT).bytes.into_iter().take(CONTRACT.len()));
    mixed.begin.digest = Digest::of(&mixed.bytes);
    assert_eq!(host.send(mixed), Outcome::Refused(Refusal::PreviewMismatch));
    // The classifier panics at white.
    assert_eq!(host.send(file(&grey(255))), Outcome::Failed(Fault::Internal));
    assert_eq!(host.judged(file(&grey(20))).number, 1, "only results are numbered");
}

#[test]
fn the_picture_over_the_line_is_the_one_in_the_folder() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let ready = host.screenshot();
    assert_eq!((ready.width(), ready.height()), (480, 320));
    host.judged(file(&grey(230)));
    let result = host.screenshot();
    assert_ne!(ready, result);
    assert_eq!(image::open(state.path().join("screen.png")).unwrap(), result);
}

#[test]
fn what_speaks_for_pneumonia_is_outlined_in_both_forms() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let mut shown = |image: Image| {
        host.judged(image);
        // Left of the verdict, below the banner.
        host.screenshot().crop_imm(0, 40, 220, 280).into_rgb8()
    };
    let coloured = |screen: &RgbImage| screen.pixels().filter(|pixel| pixel[0] > pixel[2].saturating_add(40)).count();
    let (bright, dark) = (grey(230), grey(100));
    let whole = shown(file(&bright));
    assert!(coloured(&whole) > 5000, "{} pixels", coloured(&whole));
    assert_eq!(shown(prepared(&bright, &CONTRACT)), whole);
    assert_eq!(coloured(&shown(file(&dark))), 0);
}

#[test]
fn a_bundle_comes_in_pieces_hides_no_verdict_and_is_answered_by_the_first_process() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("software");
    let mut bundle = PackageHead::new(None, None).to_bytes();
    bundle.extend((0..150_000_u32).map(|i| (i * 7) as u8));
    let (digest, total) = (Digest::of(&bundle), bundle.len() as u32);
    let piece = |range: std::ops::Range<usize>| {
        let (offset, bytes) = (range.start as u32, bundle[range].to_vec());
        Request::Piece(BundlePiece::new(digest, total, offset, bytes))
    };
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    host.request(piece(0..100_000));
    let refused = HostEvent::SoftwareRefused(shared::verdict::SoftwareRefusal::NoSlots);
    assert_eq!(host.wait(|event| matches!(event, HostEvent::SoftwareRefused(_))), refused);

    std::fs::create_dir_all(folder.join("incoming")).unwrap();
    host.request(piece(0..100_000));
    host.wait(|event| matches!(event, HostEvent::PieceStored { next: 100_000 }));
    host.judged(file_of(100));
    let verdict = host.screenshot();
    let (first, sent) = (folder.clone(), bundle.clone());
    let first_process = thread::spawn(move || {
        let (limit, ready) = (Instant::now() + PATIENCE, first.join("incoming/ready"));
        while !ready.exists() && Instant::now() < limit {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(std::fs::read(&ready).unwrap() == sent);
        std::fs::rename(&ready, first.join("bundle")).unwrap();
        let outcome = slots::Outcome {
            bundle: Digest::of(b"payload"),
            file: digest,
            name: String::new(),
            counter: None,
            key: None,
            trust: Trust::Unsigned,
            result: slots::Stage::Staged,
        };
        std::fs::write(first.join("outcome"), serde_json::to_vec(&outcome).unwrap()).unwrap();
        std::fs::remove_file(first.join("bundle")).unwrap();
    });
    host.request(piece(100_000..bundle.len()));
    let stored = host.wait(|event| matches!(event, HostEvent::PieceStored { .. }));
    assert_eq!(stored, HostEvent::PieceStored { next: total });
    first_process.join().unwrap();
    assert_eq!(host.screenshot(), verdict, "it stays");
    let Answer::Software(told) = host.ask(Question::Software { bundle: digest, total }) else { panic!("no answer") };
    assert_eq!(told.outcome.map(|outcome| outcome.stage), Some(SoftwareStage::Staged));
}

#[test]
fn a_film_from_within_the_box_goes_the_way_of_every_film() {
    let state = tempfile::tempdir().unwrap();
    let mut running = Running::simulated(state.path());
    let film = || Image::file(grey(100), ExamId::default()).unwrap();
    let outcome = running.inner.judge(film(), PATIENCE).unwrap();
    let Outcome::Result(own) = outcome else { panic!("{outcome:?}") };
    assert_eq!((own.number, &own.exam, own.image), (1, &ExamId::default(), Digest::of(&grey(100))));
    // A host gets the same answer, sees both, and holds the box.
    let mut host = Host::open(&running.port);
    let theirs = host.judged(file_of(100));
    assert_eq!((theirs.number, theirs.probability, theirs.verdict), (2, own.probability, own.verdict));
    assert_eq!(host.records(1, 10), [own, theirs]);
    assert_eq!(running.inner.judge(film(), Duration::from_secs(1)), Err(InnerError::Busy));
    host.leave();
    assert!(matches!(running.inner.judge(film(), PATIENCE), Ok(Outcome::Result(record)) if record.number == 3));
    // What is no picture is refused, and the next one is judged all the same.
    let text = Image::file(b"text".to_vec(), ExamId::default()).unwrap();
    assert!(matches!(running.inner.judge(text, PATIENCE), Ok(Outcome::Refused(_))));
    assert!(matches!(running.inner.judge(film(), PATIENCE), Ok(Outcome::Result(record)) if record.number == 4));
}

/// Plugs in a marked stick with these files, and presses a key until there is what that is to bring about.
fn ask_of_a_marked_stick(running: &Running, state: &Path, files: &[(&str, &[u8])], is_begun: impl Fn() -> bool) {
    let prepared = state.join("prepared/PUMUA");
    std::fs::create_dir_all(&prepared).unwrap();
    for (name, bytes) in files {
        std::fs::write(prepared.join(name), bytes).unwrap();
    }
    std::fs::rename(state.join("prepared"), state.join("sticks/stick")).unwrap();
    thread::sleep(Duration::from_secs(2));
    assert!(!is_begun(), "not without a key");
    let limit = Instant::now() + PATIENCE;
    while !is_begun() {
        assert!((running.keys)(Key::Choose) && Instant::now() < limit, "nothing is begun");
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn results_are_written_onto_a_marked_stick_as_hosts_read_them_while_a_host_is_served() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("sticks")).unwrap();
    let running = Running::simulated(state.path());
    let first = Host::open(&running.port).judged(file(&grey(20)));
    drop(running);
    let (mut journal, _) = Journal::open(&state.path().join("journal")).unwrap();
    for number in 2..=450 {
        journal.push(&ResultRecord { number, ..first.clone() }).unwrap();
    }
    drop(journal);
    let running = Running::simulated(state.path());
    let written = |name: &str| state.path().join("sticks/stick/PUMUA").join(name);
    ask_of_a_marked_stick(&running, state.path(), &[], || written("results-00000450.csv").exists());
    let mut host = Host::open(&running.port);
    assert_eq!(host.judged(file_of(100)).number, 451);
    until("the page is not finished", || {
        std::fs::read_to_string(written("results-00000450.html")).is_ok_and(|page| page.ends_with("</html>\n"))
    });
    let mut expected = results::line(results::HEADER);
    for from in [1, 301] {
        for record in host.records(from, 300).iter().filter(|record| record.number <= 450) {
            expected.push_str(&results::line(results::cells(record)));
        }
    }
    assert_eq!(std::fs::read_to_string(written("results-00000450.csv")).unwrap(), expected);
    assert_eq!(expected.lines().count(), 451);
}

#[test]
fn a_bundle_on_a_marked_stick_is_handed_on_as_one_from_a_host() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("software");
    std::fs::create_dir(state.path().join("sticks")).unwrap();
    std::fs::create_dir_all(folder.join("incoming")).unwrap();
    let mut bundle = PackageHead::new(None, None).to_bytes();
    bundle.extend((0..300_000_u32).map(|i| (i * 7) as u8));
    let running = Running::simulated(state.path());
    let part = folder.join("incoming").join(format!("part-{}", Digest::of(&bundle)));
    let ready = folder.join("incoming/ready");
    let files = [("pumua-8.pumua", &b"an older one"[..]), ("pumua-9.pumua", &bundle[..])];
    ask_of_a_marked_stick(&running, state.path(), &files, || part.exists() || ready.exists());
    until("it is not handed on", || ready.exists());
    assert!(std::fs::read(&ready).unwrap() == bundle);
    std::fs::rename(&ready, folder.join("bundle")).unwrap();
    let outcome = slots::Outcome {
        bundle: Digest::of(b"payload"),
        file: Digest::of(&bundle),
        name: String::new(),
        counter: None,
        key: None,
        trust: Trust::Unsigned,
        result: slots::Stage::Staged,
    };
    std::fs::write(folder.join("outcome"), serde_json::to_vec(&outcome).unwrap()).unwrap();
    std::fs::remove_file(folder.join("bundle")).unwrap();
    // The stick is done with, and the box free for hosts.
    let total = bundle.len() as u32;
    until("its outcome is not told", || {
        let mut host = Host::open(&running.port);
        let Answer::Software(told) = host.ask(Question::Software { bundle: Digest::of(&bundle), total }) else {
            panic!("no answer")
        };
        host.leave();
        told.outcome.is_some_and(|outcome| outcome.stage == SoftwareStage::Staged)
    });
}

#[test]
fn a_model_that_is_sent_judges_from_then_on_and_is_kept() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let before = host.judged(prepared(&grey(100), &CONTRACT));
    assert_eq!(before.model, Digest::of(b"brightness"));
    let shown = host.screenshot();
    let new = Model::from_bytes(DEFAULT_MODEL).unwrap();
    let installed = host.update(ModelFile::new(DEFAULT_MODEL.to_vec()).unwrap()).unwrap();
    assert_eq!((installed.digest, installed.model.as_str()), (new.digest(), new.card().name.as_str()));
    let info = host.info();
    assert_eq!(
        (info.model_digest, info.contract, info.point),
        (new.digest(), new.card().behaviour.contract, new.card().behaviour.point)
    );
    assert!(info.execution.starts_with("fused"), "{}", info.execution);
    assert!(host.screenshot() == shown, "the verdict stays, with the name of the model that it is from");
    assert!((running.keys)(Key::Back));
    assert!(host.screenshot() != shown, "the screen is ready, with the name of the new model");
    // What was prepared for the old model is not for the new one, which knows what a chest looks like.
    assert_eq!(host.send(prepared(&grey(100), &CONTRACT)), Outcome::Refused(Refusal::ContractMismatch));
    let refused = host.send(prepared(&grey(100), &new.card().behaviour.contract));
    assert!(matches!(refused, Outcome::Refused(refusal) if refusal != Refusal::ContractMismatch), "{refused:?}");
    let kept = Models::new(state.path().join("models"), None, Gate::open()).load().unwrap();
    assert_eq!(kept.digest(), new.digest());
}

#[test]
fn settings_are_in_force_after_a_start_and_a_cable_that_is_pulled_leaves_those_of_before() {
    let state = tempfile::tempdir().unwrap();
    let (running, port, cable) = with_two_ports(state.path());
    let pulled = plug(&port);
    let mut host = Host::connect(pulled.ends().unwrap());
    assert_eq!(host.settings(), (SiteStage::Card, None));
    let stored = host.configure(site_file("language = \"fr\"\n", 7, None)).unwrap();
    assert_eq!((stored.model.as_str(), stored.digest), ("ward-3", Digest::of(b"language = \"fr\"\n")));
    assert_eq!(host.configure(site_file("language = \"pt\"\n", 6, None)), Err(SiteRefusal::Older));
    assert_eq!(host.configure(site_file("roots = []\n", 8, None)), Err(SiteRefusal::NotSettings));
    assert_eq!(host.settings(), (SiteStage::NextStart, Some(7)));
    // The cable is pulled while others come in; they never come whole.
    let texts = ["l".repeat(16 << 10), "k".repeat(16 << 10)];
    let list = texts.each_ref().map(String::as_str);
    host.request(Request::Update(site_file("language = \"pt\"\n", 9, Some(list))));
    host.wait(|event| matches!(event, HostEvent::Sent { done, .. } if *done > 4_000));
    unplug(host, pulled);
    let mut other = Host::connect(cable.ends().unwrap());
    assert_eq!(other.settings(), (SiteStage::NextStart, Some(7)));
    assert_eq!(other.info().model_digest, Digest::of(b"brightness"), "they are no model");
    other.leave();
    drop(running);
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    assert_eq!(host.settings(), (SiteStage::InForce, Some(7)));
}

#[test]
fn models_that_cannot_be_taken_leave_the_old_one() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let whole = ModelFile::new(DEFAULT_MODEL.to_vec()).unwrap();
    let other = |bytes: &[u8]| ModelFile::new(bytes.to_vec()).unwrap();
    // The name of the card's key, spoilt.
    let at = DEFAULT_MODEL.windows(10).position(|bytes| bytes == b"pumua.card").unwrap();
    let mut foreign = DEFAULT_MODEL.to_vec();
    foreign[at] = b'P';
    let long = ModelFile { bytes: vec![0; shared::limits::MAX_UPDATE_BYTES as usize + 1], ..whole.clone() };
    for (file, refusal) in [
        (ModelFile { digest: Digest::of(b"another"), ..whole.clone() }, ModelRefusal::DigestMismatch),
        (other(&DEFAULT_MODEL[..100_000]), ModelRefusal::NotAModel),
        (other(b"Dear colleague"), ModelRefusal::NotAModel),
        (other(&foreign), ModelRefusal::WrongCard),
        (long, ModelRefusal::TooLarge),
    ] {
        assert_eq!(host.update(file), Err(refusal));
        assert_eq!(host.judged(file_of(20)).model, Digest::of(b"brightness"));
    }
    assert!(!state.path().join("models").exists());
    assert!(host.update(whole).is_ok(), "the box takes the next one");
}

#[test]
fn an_installation_that_panics_does_not_end_the_box() {
    let state = tempfile::tempdir().unwrap();
    let line = LineSettings::Simulated { pace: None };
    let running = Running::start_with(state.path(), line, |_| Box::new(|_| panic!("over a model")));
    let mut host = Host::open(&running.port);
    assert_eq!(host.update(ModelFile::new(vec![1]).unwrap()), Err(ModelRefusal::NotRunnable));
    assert_eq!(host.judged(file_of(20)).number, 1);
}

#[test]
fn a_trial_of_a_model_that_does_not_end_ends_the_box() {
    let state = tempfile::tempdir().unwrap();
    let line = LineSettings::Simulated { pace: None };
    let endless = |_: &Path| -> Install {
        Box::new(|_| {
            loop {
                thread::park();
            }
        })
    };
    let mut running = Running::start_within(state.path(), line, endless, Some(Duration::from_millis(200)));
    let mut host = Host::open(&running.port);
    host.request(Request::Update(ModelFile::new(vec![1]).unwrap()));
    let (thread, limit) = (running.thread.take().unwrap(), Instant::now() + PATIENCE);
    while !thread.is_finished() {
        assert!(Instant::now() < limit, "the box does not end");
        host.step();
    }
    assert_eq!(thread.join().unwrap(), Err(Hung::Analysis));
}

#[test]
fn a_screen_that_takes_no_picture_ends_the_box() {
    let state = tempfile::tempdir().unwrap();
    // Where the picture is written before it gets its name: nobody reads this pipe, so the writer waits.
    let picture = state.path().join("screen.png.new");
    mknodat(CWD, &picture, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let line = LineSettings::Simulated { pace: None };
    let limit = Some(Duration::from_millis(200));
    let mut running = Running::start_with_display(state.path(), line, installs, None, limit);
    // The display is left behind with the picture: waiting for it would keep the program from ending.
    assert_eq!(running.thread.take().unwrap().join().unwrap(), Err(Hung::Screen));
    // So that its thread ends with the test.
    let _reader = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(picture).unwrap();
}

#[test]
fn in_safe_mode_a_screen_that_takes_no_picture_keeps_no_results_back() {
    let state = tempfile::tempdir().unwrap();
    let record = Host::open(&Running::simulated(state.path()).port).judged(file_of(20));
    let picture = state.path().join("screen.png.new");
    mknodat(CWD, &picture, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (line, limit) = (LineSettings::Simulated { pace: None }, Duration::from_millis(100));
    let running = Running::start_with_disk(state.path(), line, installs, [None, Some(limit)], Arc::new(Card), true);
    let mut host = Host::open(&running.port);
    let begun = Instant::now();
    while begun.elapsed() < 10 * limit {
        assert_eq!(host.records(1, 10), std::slice::from_ref(&record));
    }
    host.request(Request::Screenshot);
    let answer = host.wait(|event| matches!(event, HostEvent::Failed(_) | HostEvent::Screenshot(_)));
    assert_eq!(answer, HostEvent::Failed(Fault::Internal));
    assert_eq!(host.send(file_of(20)), Outcome::Failed(Fault::Internal));
    let _reader = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(picture).unwrap();
}

#[test]
fn a_host_learns_that_the_screen_cannot_show_its_result() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    assert_eq!(host.judged(file(&grey(20))).number, 1);
    // The picture of the next child cannot be written: that of this one stays.
    let in_the_way = state.path().join("screen.png.new");
    std::fs::create_dir(&in_the_way).unwrap();
    for brightness in [230, 231] {
        assert_eq!(host.send(file_of(brightness)), Outcome::Failed(Fault::Screen));
    }
    assert_eq!(host.info().records, 1);
    assert_eq!(host.records(1, 10).len(), 1, "what there is can be read");
    std::fs::remove_dir(&in_the_way).unwrap();
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        if let Outcome::Result(record) = host.send(file_of(230)) {
            return assert_eq!(record.number, 2);
        }
    }
    panic!("a screen that works again is not noticed");
}

#[test]
fn a_host_that_leaves_while_its_model_is_installed_leaves_the_box_ready() {
    let state = tempfile::tempdir().unwrap();
    let (go, waits) = channel::<()>();
    let slow = move |models: &Path| -> Install {
        let mut install = installs(models);
        Box::new(move |file| {
            waits.recv().unwrap();
            install(file)
        })
    };
    let running = Running::start_with(state.path(), LineSettings::Simulated { pace: None }, slow);
    let mut host = Host::open(&running.port);
    host.request(Request::Update(ModelFile::new(DEFAULT_MODEL.to_vec()).unwrap()));
    host.wait(|event| matches!(event, HostEvent::Progress { phase: Phase::Installing, .. }));
    host.session.close();
    let now = host.now();
    let mut frame = [0; MAX_FRAME];
    let length = host.session.poll_transmit(now, &mut frame);
    host.writer.write_all(&frame[..length]).unwrap();
    // The next one has the same cable.
    host.session = HostSession::new(now, 0xfeed);
    host.wait(|event| matches!(event, HostEvent::Connected));
    go.send(()).unwrap();
    assert_eq!(host.info().model_digest, Digest::of(DEFAULT_MODEL));
}

#[test]
fn the_clock_and_the_number_of_starts_are_in_the_record() {
    let state = tempfile::tempdir().unwrap();
    for boot in 1..=2 {
        let running = Running::simulated(state.path());
        let mut host = Host::open(&running.port);
        assert_eq!(host.judged(file(&grey(20))).unix_seconds, None);
        assert_eq!(host.ask(Question::SetClock { unix_seconds: 1_800_000_000 }), Answer::ClockSet);
        let record = host.judged(file(&grey(20)));
        assert_eq!(record.boot, boot);
        assert!((1_800_000_000..1_800_000_060).contains(&record.unix_seconds.unwrap()));
        let info = host.info();
        assert_eq!((info.boot, info.records, info.model.as_str()), (boot, 2 * u64::from(boot), "brightness"));
        assert_eq!(info.model_digest, Digest::of(b"brightness"));
    }
}

#[test]
fn a_port_that_is_unplugged_and_plugged_in_again_is_taken_up() {
    let state = tempfile::tempdir().unwrap();
    let port = state.path().join("port");
    let cable = plug(&port);
    let running = Running::start(state.path(), ports([&port]));
    let mut host = Host::connect(cable.ends().unwrap());
    assert_eq!(host.judged(file(&grey(20))).number, 1);
    unplug(host, cable);
    let cable = plug(&port);
    let mut host = Host::connect(cable.ends().unwrap());
    assert_eq!(host.judged(file(&grey(20))).number, 2);
    drop(running);
}

/// Ports that are waited for.
fn ports<const N: usize>(paths: [&Path; N]) -> LineSettings {
    LineSettings::Ports { paths: paths.map(ToOwned::to_owned).into(), baud: 115_200, wait: true }
}

/// Makes a port appear.
fn plug(port: &Path) -> Pty {
    let cable = Pty::open().unwrap();
    let _ = std::fs::remove_file(port);
    std::os::unix::fs::symlink(cable.path(), port).unwrap();
    cable
}

/// Closes every handle of the test's end; what the host still reads ends with the next frame of the box.
fn unplug(host: Host, cable: Pty) {
    let Host { mut session, received, mut writer, start, _open: open } = host;
    drop(open);
    // The reader's thread waits for bytes: any answer of the box wakes it up, and it leaves.
    let mut frame = [0; MAX_FRAME];
    let limit = Instant::now() + PATIENCE;
    // In the middle of an image its acknowledgements do.
    let _ = session.request(start.elapsed().as_millis() as u64, Request::Ask(Question::Info));
    while Instant::now() < limit {
        let length = session.poll_transmit(start.elapsed().as_millis() as u64, &mut frame);
        if length > 0 {
            writer.write_all(&frame[..length]).unwrap();
        }
        match received.recv_timeout(Duration::from_millis(5)) {
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Ok(_) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
    drop((writer, cable));
}

#[test]
fn an_image_arrives_over_a_line_that_is_slow_on_purpose() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::start(state.path(), LineSettings::Simulated { pace: Some(921_600) });
    let mut host = Host::open(&running.port);
    let mut random = 1_u32;
    // It grows brighter to the right, or it would be blank from afar.
    let noise = png(&GrayImage::from_fn(200, 200, |x, _| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Luma([(random >> 24) as u8 / 2 + x as u8 / 2])
    }));
    assert_eq!(host.judged(file(&noise)).image, Digest::of(&noise));
}

/// A box with two ports, of which the second is there.
fn with_two_ports(state: &Path) -> (Running, PathBuf, Pty) {
    let (absent, present) = (state.join("absent"), state.join("present"));
    let cable = plug(&present);
    (Running::start(state, ports([&absent, &present])), absent, cable)
}

#[test]
fn a_port_that_is_absent_at_the_start_is_taken_up_when_it_appears() {
    let state = tempfile::tempdir().unwrap();
    let (running, absent, cable) = with_two_ports(state.path());
    let mut host = Host::connect(cable.ends().unwrap());
    assert_eq!(host.judged(file(&grey(20))).number, 1);
    host.leave();
    let late = plug(&absent);
    let mut host = Host::connect(late.ends().unwrap());
    assert_eq!(host.judged(file(&grey(20))).number, 2);
    drop(running);
}

#[test]
fn one_host_at_a_time_holds_a_box_with_several_lines() {
    let state = tempfile::tempdir().unwrap();
    let (running, other, cable) = with_two_ports(state.path());
    let second = plug(&other);
    let mut holder = Host::connect(second.ends().unwrap());
    let mut rejected = Host::greet(cable.ends().unwrap(), 4_000);
    let down = loop {
        // Were it silent for 3 s, it could be taken over.
        assert_eq!(holder.step(), None);
        if let Some(event) = rejected.step() {
            break event;
        }
    };
    assert_eq!(down, HostEvent::Down(HostError::Busy));
    assert_eq!(holder.judged(file(&grey(20))).number, 1, "the holder is not disturbed");
    holder.leave();
    let mut next = Host::connect(cable.ends().unwrap());
    assert_eq!(next.judged(file(&grey(230))).number, 2);
    // It falls silent: another one takes over after 3 s.
    let mut last = Host::connect(second.ends().unwrap());
    assert_eq!(last.judged(file(&grey(20))).number, 3);
    assert!(matches!(next.wait(|event| matches!(event, HostEvent::Down(_))), HostEvent::Down(HostError::Closed)));
    drop(running);
}

#[test]
fn a_cable_pulled_in_the_middle_of_an_image_leaves_the_box_ready_on_every_line() {
    let state = tempfile::tempdir().unwrap();
    let (running, port, cable) = with_two_ports(state.path());
    let pulled = plug(&port);
    let mut host = Host::connect(pulled.ends().unwrap());
    let mut random = 1_u32;
    let noise = png(&GrayImage::from_fn(900, 900, |_, _| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Luma([(random >> 24) as u8])
    }));
    host.request(Request::Image(file(&noise)));
    host.wait(|event| matches!(event, HostEvent::Sent { done, .. } if *done > 100_000));
    unplug(host, pulled);
    let mut other = Host::connect(cable.ends().unwrap());
    assert_eq!(other.judged(file(&grey(20))).number, 1, "nothing of the first image is left");
    other.leave();
    let pulled = plug(&port);
    let mut again = Host::connect(pulled.ends().unwrap());
    assert_eq!(again.judged(file(&grey(20))).number, 2);
    drop(running);
}

#[test]
fn results_are_listed_from_the_first_that_is_kept() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let record = Host::open(&running.port).judged(file(&grey(20)));
    drop(running);
    let limits = Limits { bytes: 500, files: 3 };
    let (mut journal, _) = Journal::open_within(&state.path().join("journal"), limits).unwrap();
    for number in 2..=20 {
        journal.push(&ResultRecord { number, ..record.clone() }).unwrap();
    }
    let first = journal.get_from(1).unwrap().unwrap().number;
    assert!(first > 1);
    drop(journal);
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    assert_eq!(host.judged(file(&grey(20))).number, 21);
    let numbers = |records: Vec<ResultRecord>| records.iter().map(|record| record.number).collect::<Vec<_>>();
    assert_eq!(numbers(host.records(1, 100)), Vec::from_iter(first..=21));
    assert_eq!(numbers(host.records(1, 2)), [first, first + 1]);
    assert_eq!(numbers(host.records(20, 100)), [20, 21]);
}

#[test]
fn keys_turn_to_the_history_and_back() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let picture = || image::open(state.path().join("screen.png")).map(image::DynamicImage::into_rgb8).ok();
    let changed_from = |old: &Option<image::RgbImage>| {
        let limit = Instant::now() + PATIENCE;
        loop {
            let new = picture();
            if new.is_some() && new != *old {
                return new;
            }
            assert!(Instant::now() < limit, "the screen changes");
            thread::sleep(Duration::from_millis(10));
        }
    };
    let ready = changed_from(&None);
    assert!((running.keys)(Key::Older));
    let history = changed_from(&ready);
    assert!((running.keys)(Key::Back));
    assert_eq!(changed_from(&history), ready);
}

/// A card that has turned read-only, as worn ones do.
#[derive(Debug)]
struct ReadOnlyCard;

impl Disk for ReadOnlyCard {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        if access == Access::Read { Card.open(path, access) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Card.names(folder)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

#[test]
fn a_box_whose_card_has_turned_read_only_tells_its_results_and_judges_nothing() {
    let state = tempfile::tempdir().unwrap();
    let running = Running::simulated(state.path());
    let mut host = Host::open(&running.port);
    let ready = host.screenshot();
    let record = host.judged(file_of(20));
    host.leave();
    drop(running);
    let running = Running::start_on(state.path(), Arc::new(ReadOnlyCard));
    let mut host = Host::open(&running.port);
    let shown = host.screenshot();
    assert!(shown != ready, "the screen says it");
    assert_eq!(host.send(file_of(20)), Outcome::Failed(Fault::Storage));
    assert_eq!(host.records(1, 10), [record]);
    assert_eq!(host.info().records, 1);
    assert!((running.keys)(Key::Back));
    assert!(host.screenshot() == shown, "and goes on saying it");
}

/// A card that takes no more writes from some time on.
#[derive(Debug, Default)]
struct WornCard(Arc<AtomicBool>);

#[derive(Debug)]
struct WornFile(Box<dyn DiskFile>, Arc<AtomicBool>);

impl WornFile {
    fn write(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl ReadAt for WornFile {
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(bytes, position)
    }
}

impl DiskFile for WornFile {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.write().and_then(|()| self.0.write_at(bytes, position))
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.write().and_then(|()| self.0.set_length(length))
    }

    fn sync(&self) -> io::Result<()> {
        self.write().and_then(|()| self.0.sync())
    }

    fn lock(&self) -> Result<(), TryLockError> {
        self.0.lock()
    }

    fn unlock(&self) {
        self.0.unlock();
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.0.is_at(path)
    }
}

impl Disk for WornCard {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(WornFile(Card.open(path, access)?, self.0.clone())))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Card.create_folder(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Card.names(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Card.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Card.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Card.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Card.sync_folder(folder)
    }
}

#[test]
fn a_card_that_fails_over_an_event_is_shown_at_once() {
    let state = tempfile::tempdir().unwrap();
    let card = WornCard::default();
    let worn = card.0.clone();
    let running = Running::start_on(state.path(), Arc::new(card));
    let mut host = Host::open(&running.port);
    let ready = host.screenshot();
    worn.store(true, Ordering::SeqCst);
    assert_eq!(host.ask(Question::SetClock { unix_seconds: 1_800_000_000 }), Answer::ClockSet);
    assert!(host.info().read_only);
    assert!(host.screenshot() != ready, "nothing is judged any more, and the screen says it");
}
