//! The connection against a box in this process, over a pseudo-terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serialport::{SerialPort, SerialPortInfo, SerialPortType, TTYPort, UsbPortInfo};
use shared::{
    age::{Age, AgeNote},
    contract::InputContract,
    preprocess::{Channels, Picture, Samples},
    verdict::{
        Digest, ExamId, Fault, ModelRefusal, OperatingPoint, Refusal, ResultRecord, SoftwareRefusal, Trust, Verdict,
    },
};
use wire::{
    Answer, BoxEvent, BoxSession, HostError, Image, Info, Installed, Listed, MAX_FRAME, ModelFile, Outcome,
    OutcomeOnLine, Phase, Question, Reply, SoftwareStage, SoftwareState,
};

use super::{
    AnswerError, Connection, Delivered, Delivering, Delivery, LinkError, Patience, PortOptions, Sending,
    connection::probe, deliver, find,
};
use crate::sample::record;

const CONTRACT: InputContract = InputContract::stretched(64);

/// The time as a box has it, in milliseconds.
type Clock = Box<dyn Fn() -> u64 + Send>;

/// What a box replies to an event.
type Answers = Box<dyn FnMut(&BoxEvent) -> Vec<Reply> + Send>;

/// A box whose verdicts depend on the image's first byte. `die_at`: it pulls the plug once so much has arrived.
struct TestBox {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<BoxEvent>>>,
    _keeper: File,
}

impl TestBox {
    fn start(die_at: Option<u32>) -> Self {
        let start = Instant::now();
        Self::start_by(Box::new(move || start.elapsed().as_millis() as u64), honest(), die_at)
    }

    /// One that replies `lies` where it gives any, and the truth otherwise.
    fn lying(mut lies: impl FnMut(&BoxEvent) -> Option<Vec<Reply>> + Send + 'static) -> Self {
        let (start, mut truth) = (Instant::now(), honest());
        let answers = Box::new(move |event: &BoxEvent| {
            let true_ones = truth(event);
            lies(event).unwrap_or(true_ones)
        });
        Self::start_by(Box::new(move || start.elapsed().as_millis() as u64), answers, None)
    }

    /// The same by another clock than the computer's.
    fn start_by(clock: Clock, answers: Answers, die_at: Option<u32>) -> Self {
        let (box_end, path, keeper) = line();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || serve(box_end, &stopped, &clock, answers, die_at));
        Self { path, stop, thread: Some(thread), _keeper: keeper }
    }

    fn options(&self) -> PortOptions {
        PortOptions { port: Some(self.path.clone()), baud: Some(115_200), any_port: false, timeout: 60 }
    }

    fn finish(mut self) -> Vec<BoxEvent> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// The box's end of a line, the path of the host's end, and what keeps the line open between two hosts.
fn line() -> (TTYPort, PathBuf, File) {
    let (box_end, mut host_end) = TTYPort::pair().unwrap();
    host_end.set_exclusive(false).unwrap();
    let path = PathBuf::from(host_end.name().unwrap());
    let flags = rustix::fs::OFlags::NOCTTY.bits() as i32;
    let keeper = File::options().read(true).write(true).custom_flags(flags).open(&path).unwrap();
    (box_end, path, keeper)
}

fn serve(
    mut port: TTYPort,
    stop: &AtomicBool,
    clock: &Clock,
    mut answers: Answers,
    die_at: Option<u32>,
) -> Vec<BoxEvent> {
    let (mut session, mut events) = (BoxSession::new(CONTRACT), vec![]);
    let (mut frame, mut bytes) = ([0; MAX_FRAME], [0; 4096]);
    port.set_timeout(Duration::from_millis(5)).unwrap();
    while !stop.load(Ordering::Relaxed) || session.connected() {
        let now = clock();
        // An error: nothing has come.
        match port.read(&mut bytes) {
            Ok(count) => session.receive(now, &bytes[..count]),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
        while let Some(event) = session.event(now) {
            if let BoxEvent::Receiving { done, .. } = event
                && die_at.is_some_and(|at| done >= at)
            {
                return events;
            }
            answers(&event).into_iter().for_each(|reply| session.reply(reply));
            events.push(event);
        }
        while let length @ 1.. = session.poll_transmit(now, &mut frame) {
            let _ = port.write_all(&frame[..length]);
        }
    }
    events
}

fn honest() -> Answers {
    let mut number = 30;
    Box::new(move |event| {
        let reply = match event {
            BoxEvent::Image(image) => Reply::Outcome(judge(image, &mut number)),
            BoxEvent::Update(file) => Reply::Installed(install(file)),
            BoxEvent::Asked(Question::Info) => Reply::Answer(Answer::Info(info())),
            BoxEvent::Asked(Question::SetClock { unix_seconds: 0 }) => Reply::Failed(Fault::Internal),
            BoxEvent::Asked(Question::SetClock { .. }) => Reply::Answer(Answer::ClockSet),
            // The first ten are kept no longer.
            BoxEvent::Record { number } => Reply::Record((*number <= 30).then(|| record(*number.max(&11)))),
            BoxEvent::Entry { sequence } => {
                let record = (*sequence <= 30).then(|| record(*sequence.max(&11)));
                Reply::Entry(record.map(Listed::Unlinked))
            }
            BoxEvent::Screenshot => Reply::Screenshot(screen()),
            _ => return vec![],
        };
        vec![reply]
    })
}

fn screen() -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &[7; 50_000]].concat()
}

fn judge(image: &Image, number: &mut u64) -> Outcome {
    match image.bytes[0] {
        1 => Outcome::Refused(Refusal::Corrupt),
        2 => Outcome::Failed(Fault::Inference),
        _ => {
            *number += 1;
            Outcome::Result(ResultRecord { image: image.source(), exam: image.begin.exam.clone(), ..record(*number) })
        }
    }
}

fn install(file: &ModelFile) -> Result<Installed, ModelRefusal> {
    let installed = Installed { model: "new".try_into().unwrap(), digest: file.digest };
    if file.bytes[0] == 0 { Ok(installed) } else { Err(ModelRefusal::NotRunnable) }
}

pub(crate) fn info() -> Info {
    Info {
        software: "0.1.0".try_into().unwrap(),
        model: "test".try_into().unwrap(),
        model_digest: Digest::of(b"model"),
        synthetic: true,
        int8: true,
        execution: "fused int8, neon kernels".try_into().unwrap(),
        contract: CONTRACT,
        point: OperatingPoint::HALF,
        boot: 1,
        records: 30,
        entries: 30,
        head: Digest::default(),
        broken: None,
        read_only: false,
        ages: None,
        any_age: false,
        trust: Some(shared::verdict::Trust::Signed),
        takes_unsigned: false,
    }
}

fn image(first: u8, length: usize) -> Image {
    let mut bytes: Vec<u8> = (0..length).map(|i| (i * i / 7) as u8).collect();
    bytes[0] = first;
    Image::file(bytes, ExamId::default()).unwrap()
}

#[test]
fn every_request_is_answered() {
    let device = TestBox::start(None);
    let mut connection = Connection::open(&device.options()).unwrap();
    assert_eq!(connection.info().unwrap(), info());
    connection.set_clock(1_700_000_000).unwrap();
    let error = connection.set_clock(0).unwrap_err();
    assert!(matches!(error, LinkError::Fault(_)), "{error}");
    assert_eq!(connection.screenshot().unwrap(), screen());
    let mut numbers = vec![];
    for (from, limit) in [(21, 100), (1, 3)] {
        let count = connection.results(from, limit, |record| -> Result<(), LinkError> {
            numbers.push(record.number);
            Ok(())
        });
        assert_eq!(count.unwrap(), limit.min(10));
    }
    assert_eq!(numbers, Vec::from_iter((21..=30).chain(11..=13)));
    let mut entries = vec![];
    let count = connection.entries(1, 100, |entry| -> Result<(), LinkError> {
        entries.push(entry.sequence());
        Ok(())
    });
    assert_eq!((count.unwrap(), entries), (20, Vec::from_iter(11..=30)));
    drop(connection);
    let events = device.finish();
    assert!(events.contains(&BoxEvent::Asked(Question::SetClock { unix_seconds: 1_700_000_000 })));
    assert_eq!(events.last(), Some(&BoxEvent::HostGone));
}

#[test]
fn images_are_answered_one_by_one() {
    let device = TestBox::start(None);
    let mut connection = Connection::open(&device.options()).unwrap();
    let big = image(0, 500_000);
    let mut sent = vec![];
    let outcome = connection.send(big.clone(), |sending| sent.push(sending)).unwrap();
    let Outcome::Result(result) = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.image, big.source());
    let complete = Sending::Sent { done: 500_000, total: 500_000 };
    assert!(sent.contains(&complete) && sent.len() > 50, "{}", sent.len());
    assert_eq!(connection.send(image(1, 10), |_| ()).unwrap(), Outcome::Refused(Refusal::Corrupt));
    assert_eq!(connection.send(image(2, 10), |_| ()).unwrap(), Outcome::Failed(Fault::Inference));
    let mut rounds = 0..3;
    connection.wait_while(|| rounds.next().is_some()).unwrap();
    assert!(matches!(connection.send(image(3, 513), |_| ()).unwrap(), Outcome::Result(_)));
    drop(connection);
    device.finish();
}

#[test]
fn models_are_taken_or_refused() {
    let device = TestBox::start(None);
    let mut connection = Connection::open(&device.options()).unwrap();
    let model = ModelFile::new(vec![0; 200_000]).unwrap();
    let mut sent = vec![];
    let installed = connection.update(model.clone(), model.digest, |sending| sent.push(sending)).unwrap();
    assert_eq!(installed, install(&model));
    assert!(sent.contains(&Sending::Sent { done: 200_000, total: 200_000 }) && sent.len() > 20, "{}", sent.len());
    let other = ModelFile::new(vec![1; 10]).unwrap();
    assert_eq!(connection.update(other, Digest::default(), |_| ()).unwrap(), Err(ModelRefusal::NotRunnable));
    let damaged = ModelFile { digest: Digest::default(), ..model };
    assert_eq!(connection.update(damaged, Digest::default(), |_| ()).unwrap(), Err(ModelRefusal::DigestMismatch));
    assert_eq!(connection.info().unwrap(), info());
    drop(connection);
    device.finish();
}

/// The version of the program that bundles hold here.
const VERSION: &str = "0.1.0";

/// What a box has of bundles.
#[derive(Default)]
struct Bundles {
    bytes: Vec<u8>,
    outcome: Option<OutcomeOnLine>,
    /// Pieces that it keeps until something happens to it, and what it says then.
    trouble: Option<(usize, Reply)>,
    /// Whether the first process has yet to say what becomes of the bundle. It says the same as before, if it has said anything.
    waits: bool,
    /// The version that runs, if it is another one than usual.
    running: Option<&'static str>,
}

impl Bundles {
    fn state(&self, total: u32) -> SoftwareState {
        let next = (self.bytes.len() as u32).min(total);
        let running = self.running.unwrap_or(VERSION).try_into().unwrap();
        SoftwareState { next, running, slot: Some(0), outcome: self.outcome.clone() }
    }

    fn replies(&mut self, event: &BoxEvent) -> Option<Vec<Reply>> {
        match event {
            BoxEvent::Asked(Question::Software { total, .. }) => {
                let state = self.state(*total);
                if std::mem::take(&mut self.waits) {
                    match &self.outcome {
                        Some(_) => self.bytes.clear(),
                        None => self.outcome = Some(outcome(&self.bytes, SoftwareStage::Staged)),
                    }
                }
                Some(vec![Reply::Answer(Answer::Software(state))])
            }
            BoxEvent::Piece(piece) => {
                if let Some((left, _)) = &mut self.trouble {
                    if *left == 0 {
                        return self.trouble.take().map(|(_, reply)| vec![reply]);
                    }
                    *left -= 1;
                }
                if piece.piece.offset as usize == self.bytes.len() {
                    self.bytes.extend(&piece.bytes);
                }
                let next = self.bytes.len() as u32;
                let mut replies = vec![Reply::Piece(Ok(next))];
                if next == piece.piece.total {
                    self.outcome = Some(outcome(&self.bytes, SoftwareStage::Staged));
                    replies.insert(0, Reply::Progress(Phase::Installing));
                }
                Some(replies)
            }
            _ => None,
        }
    }
}

fn outcome(file: &[u8], stage: SoftwareStage) -> OutcomeOnLine {
    let (name, trust) = ("pumua-9".try_into().unwrap(), Trust::Unsigned);
    OutcomeOnLine { bundle: Digest::of(b"p"), file: Digest::of(file), name, counter: None, key: None, trust, stage }
}

/// Sends a bundle to a box that has this: what becomes of it, what was told, and what the box has then.
fn delivered(file: &[u8], bundles: Bundles) -> (Result<Delivered, LinkError>, Vec<String>, Vec<u8>) {
    let (result, told, bytes, _) = delivered_within(file, bundles, Duration::from_secs(60));
    (result, told, bytes)
}

/// The same by a program that holds the port no longer than this, and what the box has heard.
fn delivered_within(
    file: &[u8],
    bundles: Bundles,
    hold: Duration,
) -> (Result<Delivered, LinkError>, Vec<String>, Vec<u8>, Vec<BoxEvent>) {
    let shared = Arc::new(Mutex::new(bundles));
    let kept = shared.clone();
    let device = TestBox::lying(move |event| kept.lock().unwrap().replies(event));
    let patience = Patience {
        pause: Duration::from_millis(50),
        within: Duration::from_secs(20),
        look: Duration::from_millis(50),
        hold,
        release: Duration::from_millis(10),
    };
    let mut told = vec![];
    let delivered =
        deliver(&device.options(), file, VERSION, patience, |delivering| told.push(format!("{delivering:?}")));
    let events = device.finish();
    let bytes = shared.lock().unwrap().bytes.clone();
    (delivered, told, bytes, events)
}

fn bundle() -> Vec<u8> {
    (0..400_000_u64).map(|i| (i * i / 7) as u8).collect()
}

#[test]
fn a_bundle_is_sent_in_pieces_and_goes_on_where_it_was_cut_off() {
    let file = bundle();
    for there in [0, 123_456] {
        let bytes = file[..there].to_vec();
        let (result, told, bytes) = delivered(&file, Bundles { bytes, ..Bundles::default() });
        assert_eq!(result.unwrap(), Delivered::Staged);
        assert_eq!(bytes, file);
        assert_eq!(told[0], format!("{:?}", Delivering::Sent { done: there as u32, total: 400_000 }));
        assert!(told.iter().any(|told| told == "Installing"), "{told:?}");
    }
}

#[test]
fn other_programs_get_the_port_between_two_pieces() {
    let file = bundle();
    let (result, told, bytes, events) = delivered_within(&file, Bundles::default(), Duration::ZERO);
    assert_eq!((result.unwrap(), bytes == file), (Delivered::Staged, true));
    let sessions = events.iter().filter(|event| **event == BoxEvent::HostConnected).count();
    let pieces = events.iter().filter(|event| matches!(event, BoxEvent::Piece(_))).count();
    assert!(sessions == pieces && pieces > 2, "{pieces} pieces in {sessions} sessions");
    assert!(!told.iter().any(|told| told.starts_with("Waiting")), "{told:?}");
}

#[test]
fn whoever_has_other_work_gets_the_line_after_each_piece() {
    let file = bundle();
    let kept = Arc::new(Mutex::new(Bundles::default()));
    let shared = kept.clone();
    let device = TestBox::lying(move |event| shared.lock().unwrap().replies(event));
    let mut delivery = Delivery::new(&file[..], VERSION, Patience::default());
    let mut pauses = 0;
    let delivered = loop {
        match delivery.go_on(&device.options(), &mut |_| (), &|| true).unwrap() {
            Some(delivered) => break delivered,
            None => pauses += 1,
        }
        thread::sleep(Duration::from_millis(10));
    };
    let pieces = device.finish().iter().filter(|event| matches!(event, BoxEvent::Piece(_))).count();
    assert_eq!((delivered, pauses), (Delivered::Staged, pieces - 1));
    assert!(kept.lock().unwrap().bytes == file && pieces > 2);
}

#[test]
fn what_keeps_a_piece_from_the_box_for_a_while_is_waited_for() {
    let file = bundle();
    for reply in [Reply::PieceNotStored(Fault::Busy), Reply::Piece(Ok(0))] {
        let bundles = Bundles { trouble: Some((2, reply.clone())), ..Bundles::default() };
        let (result, told, bytes) = delivered(&file, bundles);
        assert_eq!((result.unwrap(), bytes == file), (Delivered::Staged, true), "{reply:?}");
        let waited = told.iter().filter(|told| told.starts_with("Waiting")).count();
        assert_eq!(waited, usize::from(matches!(reply, Reply::PieceNotStored(_))), "{told:?}");
    }
}

#[test]
fn a_refusal_or_a_fault_ends_it() {
    let file = bundle();
    let refused = Reply::Piece(Err(SoftwareRefusal::NotSigned));
    let (result, ..) = delivered(&file, Bundles { trouble: Some((0, refused)), ..Bundles::default() });
    assert_eq!(result.unwrap(), Delivered::Refused(SoftwareRefusal::NotSigned));
    let full = Reply::PieceNotStored(Fault::Storage);
    let (result, ..) = delivered(&file, Bundles { trouble: Some((0, full)), ..Bundles::default() });
    assert!(matches!(result, Err(LinkError::Fault(Fault::Storage))));
    let more = Reply::Piece(Ok(400_001));
    let (result, ..) = delivered(&file, Bundles { trouble: Some((0, more)), ..Bundles::default() });
    assert!(matches!(result, Err(LinkError::Answer(AnswerError::Bundle))));
}

#[test]
fn what_the_box_has_already_is_not_sent_and_what_it_refused_before_is() {
    let file = bundle();
    for stage in [SoftwareStage::Staged, SoftwareStage::Confirmed] {
        let bundles = Bundles { outcome: Some(outcome(&file, stage)), ..Bundles::default() };
        let (result, told, bytes) = delivered(&file, bundles);
        assert_eq!((result.unwrap(), told.len(), bytes.len()), (Delivered::AlreadyThere(stage), 0, 0));
    }
    for stage in [SoftwareStage::WentBack, SoftwareStage::Refused(SoftwareRefusal::OnTrial)] {
        let bundles = Bundles { outcome: Some(outcome(&file, stage)), ..Bundles::default() };
        assert_eq!(delivered(&file, bundles).0.unwrap(), Delivered::Staged);
    }
    // It runs no more: somebody has flashed the card.
    let confirmed = Some(outcome(&file, SoftwareStage::Confirmed));
    let (result, _, bytes) =
        delivered(&file, Bundles { outcome: confirmed, running: Some("0.0.9"), ..Bundles::default() });
    assert_eq!((result.unwrap(), bytes == file), (Delivered::Staged, true));
    // All of it is there, from a session that has ended, and the first process works at it.
    let (result, told, _) = delivered(&file, Bundles { bytes: file.clone(), waits: true, ..Bundles::default() });
    assert_eq!(result.unwrap(), Delivered::Staged);
    assert_eq!(told.last().map(String::as_str), Some("Installing"));
    // It refuses it once more, in the same words.
    let refused = SoftwareRefusal::Older;
    let before = Some(outcome(&file, SoftwareStage::Refused(refused)));
    let (result, told, bytes) =
        delivered(&file, Bundles { bytes: file.clone(), outcome: before, waits: true, ..Bundles::default() });
    assert_eq!((result.unwrap(), bytes.len()), (Delivered::Refused(refused), 0));
    assert_eq!(told.last().map(String::as_str), Some("Installing"));
}

#[test]
fn a_box_that_is_not_there_is_not_waited_for() {
    let (_silent, path, _keeper) = line();
    let options = PortOptions { port: Some(path), baud: None, any_port: false, timeout: 5 };
    let result = deliver(&options, &bundle(), VERSION, Patience::default(), |_| ());
    assert!(matches!(result, Err(LinkError::Session(HostError::NoAnswer))));
}

#[test]
fn second_program_finds_the_port_in_use() {
    // Its clock stands still: a session that is not closed keeps it busy for ever.
    let device = TestBox::start_by(Box::new(|| 0), honest(), None);
    let first = Connection::open(&device.options()).unwrap();
    let Err(error) = Connection::open(&device.options()) else { panic!("opened twice") };
    assert!(matches!(error, LinkError::InUse { .. }), "{error}");
    drop(first);
    // Free again, at once.
    drop(Connection::open(&device.options()).unwrap());
    device.finish();
}

#[test]
fn box_unplugged_in_the_middle_of_an_image_is_reported() {
    let device = TestBox::start(Some(100_000));
    let mut connection = Connection::open(&device.options()).unwrap();
    let error = connection.send(image(0, 500_000), |_| ()).unwrap_err();
    assert!(matches!(error, LinkError::Unplugged { .. }), "{error}");
    assert!(error.to_string().contains("check the cable"));
    device.finish();
}

#[test]
fn port_without_a_box_gives_no_answer() {
    let (_silent, path, _keeper) = line();
    let options = PortOptions { port: Some(path), baud: None, any_port: false, timeout: 5 };
    let Err(error) = Connection::open(&options) else { panic!("nobody is there") };
    assert!(matches!(error, LinkError::Session(HostError::NoAnswer)), "{error}");
}

/// Ports of USB devices at these paths.
fn on_usb(paths: &[&PathBuf]) -> find::Candidates {
    let usb = |path: &&PathBuf| SerialPortInfo {
        port_name: path.to_str().unwrap().to_owned(),
        port_type: SerialPortType::UsbPort(UsbPortInfo {
            vid: 1,
            pid: 1,
            serial_number: None,
            manufacturer: Some("Pumua".to_owned()),
            product: None,
        }),
    };
    find::candidates(&paths.iter().map(usb).collect::<Vec<_>>(), false)
}

/// Listens at the box's end of a line without answering, until `stop`: how many frames have come.
fn listen(port: &mut TTYPort, stop: &AtomicBool) -> usize {
    port.set_timeout(Duration::from_millis(5)).unwrap();
    let mut heard = vec![];
    loop {
        // What has come before is read after it, too.
        let last = stop.load(Ordering::Relaxed);
        let mut bytes = [0; 4096];
        match port.read(&mut bytes) {
            Ok(count) => heard.extend_from_slice(&bytes[..count]),
            Err(_) if last => return heard.split(|&byte| byte == 0).filter(|frame| !frame.is_empty()).count(),
            Err(_) => {}
        }
    }
}

#[test]
fn the_box_is_found_among_silent_ports_and_can_be_connected_at_once() {
    // Its clock stands still: a session that is not closed keeps it busy for ever.
    let device = TestBox::start_by(Box::new(|| 0), honest(), None);
    let ((mut end, silent, _keeper), nobody) = (line(), |_: &[find::Candidate]| None);
    let stop = AtomicBool::new(false);
    let hellos = thread::scope(|scope| {
        let listener = scope.spawn(|| listen(&mut end, &stop));
        let found = find::choose(on_usb(&[&silent, &device.path]), |path| probe(path, 115_200), nobody);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(found.unwrap(), device.path);
        listener.join().unwrap()
    });
    // Each 0.4 s for 1.5 s: a silent port is given up sooner than one that is named.
    assert!((1..=4).contains(&hellos), "{hellos} hellos");
    let mut connection = Connection::open(&device.options()).unwrap();
    assert_eq!(connection.info().unwrap(), info());
    drop(connection);
    device.finish();
    let error = find::choose(on_usb(&[&silent]), |path| probe(path, 115_200), nobody).unwrap_err();
    assert!(matches!(error, LinkError::NoBox { .. }), "{error}");
    assert!(error.to_string().contains(&format!("{} (Pumua): no answer", silent.display())), "{error}");
}

#[test]
fn several_boxes_are_told_or_asked_about_and_one_that_is_in_use_is_not_among_them() {
    let (first, second) = (TestBox::start(None), TestBox::start(None));
    let ports = || on_usb(&[&first.path, &second.path]);
    let error = find::choose(ports(), |path| probe(path, 115_200), |_| None).unwrap_err();
    assert!(matches!(&error, LinkError::SeveralBoxes(boxes) if boxes.len() == 2), "{error}");
    let last = find::choose(ports(), |path| probe(path, 115_200), |found| Some(found.len() - 1)).unwrap();
    assert_eq!(&last, [&first.path, &second.path].into_iter().max().unwrap());
    let connection = Connection::open(&first.options()).unwrap();
    assert_eq!(find::choose(ports(), |path| probe(path, 115_200), |_| None).unwrap(), second.path);
    drop(connection);
    first.finish();
    second.finish();
}

/// What `pumua` learns of an image for which the box replies this record.
fn told(lie: impl Fn(&mut ResultRecord) + Send + 'static) -> Result<Outcome, LinkError> {
    let device = TestBox::lying(move |event| {
        let BoxEvent::Image(image) = event else { return None };
        let mut record = ResultRecord { image: image.source(), exam: image.begin.exam.clone(), ..record(31) };
        lie(&mut record);
        Some(vec![Reply::Outcome(Outcome::Result(record))])
    });
    let mut connection = Connection::open(&device.options()).unwrap();
    let outcome = connection.send(image(0, 2_000), |_| ());
    drop(connection);
    device.finish();
    outcome
}

/// A change that makes a record a lie, and what is found to be wrong with it.
type RecordLie = (fn(&mut ResultRecord), AnswerError);

#[test]
fn a_result_is_held_to_what_was_sent_and_to_what_the_box_says_of_itself() {
    assert!(matches!(told(|_| ()), Ok(Outcome::Result(_))));
    let lies: [RecordLie; 14] = [
        (|record| record.age = AgeNote::NotNoted, AnswerError::Age),
        // Nobody has asked for it.
        (|record| record.age = AgeNote::Overridden(Age::months(108).unwrap()), AnswerError::Age),
        (|record| record.exam = ExamId::new("other").unwrap(), AnswerError::Exam),
        (|record| record.image = Digest::of(b"other"), AnswerError::Image),
        (|record| record.model = Digest::of(b"other"), AnswerError::Model),
        (|record| record.prepared = true, AnswerError::Form),
        (|record| record.boot = 2, AnswerError::Boot),
        (|record| record.number = 30, AnswerError::Number { found: 30, least: 31 }),
        (|record| record.verdict = Verdict::Normal, AnswerError::Verdict),
        (|record| record.verdict = Verdict::Refer, AnswerError::Verdict),
        (|record| record.probability = 1.5, AnswerError::Probability(1.5)),
        (|record| record.probability = -0.1, AnswerError::Probability(-0.1)),
        (
            |record| {
                (record.point, record.probability, record.verdict) =
                    (OperatingPoint::unbanded(0.9), 0.95, Verdict::Pneumonia);
            },
            AnswerError::Point,
        ),
        (
            |record| record.point = OperatingPoint { refer_to: 2.0, ..OperatingPoint::HALF },
            AnswerError::Disordered(shared::verdict::OperatingPointError),
        ),
    ];
    for (lie, expected) in lies {
        match told(lie) {
            Err(LinkError::Answer(error)) => assert_eq!(error, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let told = told(|record| (record.probability, record.verdict) = (f32::NAN, Verdict::Normal));
    assert!(matches!(told, Err(LinkError::Answer(AnswerError::Probability(p))) if p.is_nan()));
}

#[test]
fn an_age_is_overridden_where_that_was_asked_for_and_is_the_one_that_was_sent() {
    let age = |months| Age::months(months).unwrap();
    let known = crate::answer::Known::new(info()).unwrap();
    let check = |image: &Image, note| {
        let (prepared, exam) = (image.as_prepared().is_some(), image.begin.exam.clone());
        let record = ResultRecord { image: image.source(), exam, prepared, age: note, ..record(31) };
        known.clone().check(&record, &known.awaited(image))
    };
    let file = image(0, 2_000);
    assert_eq!(check(&file, AgeNote::Meant(age(48))), Ok(()), "the file says it to the box");
    assert_eq!(check(&file.clone().of_any_age(true), AgeNote::Overridden(age(108))), Ok(()));
    let pixels = vec![90; 64 * 64];
    let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, 64, 64, 64).unwrap();
    let prepared = Image::prepared(pixels.clone(), &picture, &CONTRACT, Digest::of(b"file"), ExamId::default());
    let of_nine = prepared.clone().of_age(Some(age(108))).of_any_age(true);
    assert_eq!(check(&of_nine, AgeNote::Overridden(age(108))), Ok(()));
    for (image, note) in
        [(&of_nine, AgeNote::Overridden(age(100))), (&of_nine, AgeNote::Unknown), (&prepared, AgeNote::Meant(age(48)))]
    {
        assert_eq!(check(image, note), Err(AnswerError::Age), "{note:?}");
    }
}

#[test]
fn other_answers_are_held_to_the_question() {
    type Lie = fn(&BoxEvent) -> Option<Vec<Reply>>;
    let ask = |lie: Lie, ask: fn(&mut Connection) -> Result<(), LinkError>| {
        let device = TestBox::lying(lie);
        let error = ask(&mut Connection::open(&device.options()).unwrap()).unwrap_err();
        device.finish();
        error
    };
    let list: fn(&mut Connection) -> Result<(), LinkError> =
        |connection| connection.results(21, 100, |_| Ok::<_, LinkError>(())).map(drop);
    let same =
        ask(|event| matches!(event, BoxEvent::Record { .. }).then(|| vec![Reply::Record(Some(record(25)))]), list);
    assert!(matches!(same, LinkError::Answer(AnswerError::Number { found: 25, least: 26 })), "{same}");
    let early =
        ask(|event| matches!(event, BoxEvent::Record { .. }).then(|| vec![Reply::Record(Some(record(7)))]), list);
    assert!(matches!(early, LinkError::Answer(AnswerError::Number { found: 7, least: 21 })), "{early}");
    let turned = |event: &BoxEvent| {
        let record = ResultRecord { verdict: Verdict::Normal, ..record(30) };
        matches!(event, BoxEvent::Record { .. }).then(|| vec![Reply::Record(Some(record))])
    };
    assert!(matches!(ask(turned, list), LinkError::Answer(AnswerError::Verdict)));

    let picture = ask(
        |event| matches!(event, BoxEvent::Screenshot).then(|| vec![Reply::Screenshot(vec![7; 100])]),
        |connection| connection.screenshot().map(drop),
    );
    assert!(matches!(picture, LinkError::Answer(AnswerError::Screenshot)), "{picture}");
    let installed = ask(
        |event| {
            let installed = Installed { model: "new".try_into().unwrap(), digest: Digest::of(b"other") };
            matches!(event, BoxEvent::Update(_)).then(|| vec![Reply::Installed(Ok(installed))])
        },
        |connection| connection.update(ModelFile::new(vec![0; 10]).unwrap(), Digest::default(), |_| ()).map(drop),
    );
    assert!(matches!(installed, LinkError::Answer(AnswerError::Model)), "{installed}");
    let stored = ask(
        |event| {
            let stored = Installed { model: "ward-3".try_into().unwrap(), digest: Digest::of(b"other") };
            matches!(event, BoxEvent::Update(_)).then(|| vec![Reply::Site(Ok(stored))])
        },
        |connection| connection.configure(ModelFile::new(vec![0; 10]).unwrap(), Digest::default()).map(drop),
    );
    assert!(matches!(stored, LinkError::Answer(AnswerError::Model)), "{stored}");
    let as_a_model = ask(
        |event| matches!(event, BoxEvent::Update(_)).then(|| vec![Reply::Installed(Err(ModelRefusal::NotAModel))]),
        |connection| connection.configure(ModelFile::new(vec![0; 10]).unwrap(), Digest::default()).map(drop),
    );
    assert!(matches!(as_a_model, LinkError::Session(HostError::Protocol)), "{as_a_model}");
    let contract = ask(
        |event| {
            let info = Info { contract: InputContract { side: 9, ..CONTRACT }, ..info() };
            matches!(event, BoxEvent::Asked(Question::Info)).then(|| vec![Reply::Answer(Answer::Info(info))])
        },
        |connection| connection.info().map(drop),
    );
    assert!(matches!(contract, LinkError::Answer(AnswerError::Contract(_))), "{contract}");
    assert!(contract.to_string().contains("restart the box"), "{contract}");
}

#[test]
fn a_box_that_only_repeats_its_progress_is_given_up_and_its_result_is_found_later() {
    let sent = image(0, 2_000);
    let (source, exam) = (sent.source(), sent.begin.exam.clone());
    let device = TestBox::lying(move |event| match event {
        BoxEvent::Image(_) => Some(vec![Reply::Progress(wire::Phase::Analysing); 3]),
        // Stored, although nobody was told.
        BoxEvent::Asked(Question::StoredResult { image, from }) => {
            assert_eq!((*image, *from), (source, 31));
            let record = ResultRecord { image: source, exam: exam.clone(), ..record(31) };
            Some(vec![Reply::Answer(Answer::StoredResult(Some(record)))])
        }
        // Other results are not asked for: they are for those who have the code.
        BoxEvent::Record { .. } => Some(vec![Reply::Failed(Fault::NotPaired)]),
        _ => None,
    });
    let options = PortOptions { timeout: 1, ..device.options() };
    let mut connection = Connection::open(&options).unwrap();
    let start = Instant::now();
    let error = connection.send(sent, |_| ()).unwrap_err();
    assert!(matches!(error, LinkError::Session(HostError::Timeout)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let awaited = connection.awaited().cloned().expect("all of it was sent");
    drop(connection);
    let mut connection = Connection::open(&options).unwrap();
    assert_eq!(connection.stored(&awaited).unwrap().map(|record| record.number), Some(31));
    drop(connection);
    device.finish();
}

#[test]
fn an_answer_that_was_given_before_is_found_if_it_would_be_given_now() {
    let sent = image(0, 2_000);
    for (model, point, found) in [
        (Digest::of(b"model"), OperatingPoint::HALF, Some(7)),
        (Digest::of(b"other"), OperatingPoint::HALF, None),
        (Digest::of(b"model"), OperatingPoint { threshold: 0.25, refer_from: 0.25, refer_to: 0.25 }, None),
    ] {
        let source = sent.source();
        let device = TestBox::lying(move |event| match event {
            BoxEvent::Asked(Question::StoredResult { image, from }) => {
                let stored = ResultRecord { image: *image, model, point, ..record(7) };
                let stored = (*image == source && *from <= 7).then_some(stored);
                Some(vec![Reply::Answer(Answer::StoredResult(stored))])
            }
            _ => None,
        });
        let mut connection = Connection::open(&device.options()).unwrap();
        assert_eq!(connection.stored_before(&sent).unwrap().map(|record| record.number), found);
        drop(connection);
        device.finish();
    }
}

#[test]
fn a_box_hands_results_out_to_those_who_have_its_code() {
    let mut paired = false;
    let device = TestBox::lying(move |event| {
        let reply = match event {
            BoxEvent::Asked(Question::ShowCode) => Reply::Answer(Answer::CodeShown),
            BoxEvent::Asked(Question::Pair { code: 40_721 }) => {
                paired = true;
                Reply::Answer(Answer::Paired)
            }
            BoxEvent::Asked(Question::Pair { .. }) => Reply::Failed(Fault::NotPaired),
            BoxEvent::Record { .. } if !paired => Reply::Failed(Fault::NotPaired),
            _ => return None,
        };
        Some(vec![reply])
    });
    let mut connection = Connection::open(&device.options()).unwrap();
    let list = |connection: &mut Connection| connection.results(30, 1, |_| Ok::<_, LinkError>(()));
    let is_refused = |error| matches!(error, LinkError::Fault(Fault::NotPaired));
    assert!(list(&mut connection).is_err_and(is_refused));
    connection.show_code().unwrap();
    assert!(connection.pair(1).is_err_and(is_refused));
    connection.pair(40_721).unwrap();
    assert_eq!(list(&mut connection).unwrap(), 1);
    drop(connection);
    device.finish();
}
