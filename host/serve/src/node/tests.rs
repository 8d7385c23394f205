//! Consoles at the node: the client of `dicom-ul`, and bytes of our own where a console does wrong.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use dicom_ul::{
    ClientAssociation, ClientAssociationOptions,
    association::Error,
    pdu::{
        AssociationRJ, AssociationRJResult, AssociationRJServiceProviderPresentationReason,
        AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ, PDataValue, PDataValueType, Pdu,
        PresentationContextProposed, write_pdu,
    },
};
use shared::{accession::ExamNaming, appliance::Language, verdict::Refusal};

use ::node::{IMAGES, VERIFICATION};

use super::*;
use crate::{
    record::{Answer, Outcome, Pictures, Source},
    store::{Bounds, Filter, Store},
};

const PLAIN: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that runs.
struct Site {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    open: Arc<Open>,
    stop: Stop,
    thread: Option<thread::JoinHandle<()>>,
}

impl Site {
    fn new() -> Self {
        Self::with(Bounds::default(), ExamNaming::default(), &[])
    }

    fn with(bounds: Bounds, naming: ExamNaming, peers: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), bounds).unwrap());
        let intake = Intake { store: store.clone(), naming, site: String::new() };
        let peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        let node = Node { listen: "127.0.0.1:0".parse().unwrap(), title: "PUMUA".parse().unwrap(), peers };
        let (open, stop) = (Arc::new(Open::new(node).unwrap()), Stop::default());
        let thread = thread::spawn({
            let (open, stop) = (open.clone(), stop.clone());
            move || open.run(&intake, &stop)
        });
        Self { folder, store, open, stop, thread: Some(thread) }
    }

    fn films(&self) -> usize {
        self.store.find("", Filter::All, 0, 0).total
    }

    /// A console whose associations are agreed to.
    fn console(&self) -> Console {
        Console(self.ask("CR1", "PUMUA").unwrap())
    }

    fn ask(&self, calling: &'static str, called: &'static str) -> Result<ClientAssociation<TcpStream>, Box<Error>> {
        let mut client = client(calling, called).with_presentation_context(VERIFICATION, vec![PLAIN]);
        for class in IMAGES {
            client = client.with_presentation_context(class, vec![PLAIN]);
            client = client.with_presentation_context(class, vec![IMPLICIT]);
        }
        client.establish(self.open.address()).map_err(Box::new)
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.open.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits until this was noted last.
    fn noted(&self, what: What) -> bool {
        within(|| self.open.log().lines().first().is_some_and(|line| line.event.what == what))
    }

    /// What is wrong with the consoles.
    fn troubles(&self) -> Vec<What> {
        self.open.log().troubles().iter().map(|line| line.event.what).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn client(calling: &'static str, called: &'static str) -> ClientAssociationOptions<'static> {
    ClientAssociationOptions::new().calling_ae_title(calling).called_ae_title(called).read_timeout(PATIENCE)
}

fn within(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        // Once: to ask again may be another answer.
        if what() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

struct Console(ClientAssociation<TcpStream>);

impl Console {
    fn context(&self, class: &str, syntax: &str) -> u8 {
        let contexts = self.0.presentation_contexts();
        contexts.iter().find(|it| it.abstract_syntax == class && it.transfer_syntax == syntax).unwrap().id
    }

    fn command(&mut self, context: u8, command: Vec<u8>) {
        self.0.send(&part(context, PDataValueType::Command, command)).unwrap();
    }

    /// Status and comment of an answer.
    fn answer(&mut self) -> (u16, String) {
        let pdu = self.0.receive().unwrap();
        let Pdu::PData { data } = pdu else { panic!("{pdu:?}") };
        assert!(data.len() == 1 && data[0].value_type == PDataValueType::Command && data[0].is_last);
        let elements = elements(&data[0].data);
        let number = |element: u16| u16::from_le_bytes(elements[&element][..].try_into().unwrap());
        assert_eq!((number(0x0120), number(0x0800)), (MESSAGE, 0x0101));
        let comment = elements.get(&0x0902).cloned().unwrap_or_default();
        (number(0x0900), String::from_utf8(comment).unwrap())
    }

    fn echo(&mut self) -> u16 {
        self.command(self.context(VERIFICATION, PLAIN), asked(0x0030, VERIFICATION, None, false));
        self.answer().0
    }

    fn send(&mut self, class: &str, instance: &str, data_set: &[u8]) -> (u16, String) {
        self.send_as(class, class, instance, data_set)
    }

    /// Sends what the command says to be of another kind.
    fn send_as(&mut self, class: &str, said: &str, instance: &str, data_set: &[u8]) -> (u16, String) {
        let context = self.context(class, PLAIN);
        self.command(context, asked(0x0001, said, Some(instance), true));
        self.data(context, data_set);
        self.answer()
    }

    fn data(&mut self, context: u8, data_set: &[u8]) {
        let mut writer = self.0.send_pdata(context);
        writer.write_all(data_set).unwrap();
        writer.finish().unwrap();
    }

    /// Sends these bytes, and whether the association is then aborted.
    fn aborted_by(mut self, bytes: &[u8]) -> bool {
        self.0.inner_stream().write_all(bytes).unwrap();
        matches!(self.0.receive(), Ok(Pdu::AbortRQ { .. }))
    }
}

const MESSAGE: u16 = 0x1234;

fn part(context: u8, value_type: PDataValueType, data: Vec<u8>) -> Pdu {
    Pdu::PData { data: vec![PDataValue { presentation_context_id: context, value_type, is_last: true, data }] }
}

/// A command in implicit representation.
fn asked(field: u16, class: &str, instance: Option<&str>, has_data: bool) -> Vec<u8> {
    let text = |text: &str| [text.as_bytes(), &[0][..text.len() % 2]].concat();
    let data_set: u16 = if has_data { 1 } else { 0x0101 };
    let mut all = vec![
        (0x0002_u16, text(class)),
        (0x0100, field.to_le_bytes().to_vec()),
        (0x0110, MESSAGE.to_le_bytes().to_vec()),
        (0x0800, data_set.to_le_bytes().to_vec()),
    ];
    all.extend(instance.map(|instance| (0x1000, text(instance))));
    let mut bytes = Vec::new();
    for (element, value) in all {
        bytes.extend([&[0, 0][..], &element.to_le_bytes(), &(value.len() as u32).to_le_bytes(), &value].concat());
    }
    bytes
}

fn elements(mut bytes: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        found.insert(u16::from_le_bytes([bytes[2], bytes[3]]), bytes[8..8 + length].to_vec());
        bytes = &bytes[8 + length..];
    }
    found
}

/// A data set in explicit representation, with so many bytes in the place of pixels.
fn data_set(class: &str, instance: &str, accession: &str, pixels: usize) -> Vec<u8> {
    let element = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
        let padding = &[if vr == b"SH" { b' ' } else { 0 }][..value.len() % 2];
        let length = ((value.len() + padding.len()) as u16).to_le_bytes();
        [&group.to_le_bytes()[..], &number.to_le_bytes(), vr, &length, value, padding].concat()
    };
    let mut bytes = [
        element(8, 0x16, b"UI", class.as_bytes()),
        element(8, 0x18, b"UI", instance.as_bytes()),
        element(8, 0x50, b"SH", accession.as_bytes()),
    ]
    .concat();
    bytes.extend(b"\xe0\x7f\x10\0OW\0\0");
    bytes.extend((pixels as u32).to_le_bytes());
    bytes.resize(bytes.len() + pixels, 7);
    bytes
}

#[test]
fn a_console_is_answered_and_what_it_sends_is_kept_once() {
    let site = Site::new();
    let mut console = site.console();
    assert_eq!(console.echo(), 0);
    let films: Vec<_> = IMAGES
        .iter()
        .enumerate()
        .map(|(n, class)| (*class, format!("1.2.3.{n}"), data_set(class, &format!("1.2.3.{n}"), "", 100_000 * n)))
        .collect();
    for (n, (class, instance, data)) in films.iter().enumerate() {
        assert_eq!(console.send(class, instance, data), (0, String::new()), "{class}");
        // What was answered is on the disk.
        let kept = site.store.film(n as u64 + 1).unwrap();
        assert!(kept[128..132] == *b"DICM" && kept.ends_with(data));
        assert_eq!(site.store.get(n as u64 + 1).unwrap().source, Source::Node);
    }
    console.0.release().unwrap();
    assert!(site.noted(What::Taken));
    // By another console, and in one part with the command.
    let mut other = Console(site.ask("CR2", "PUMUA").unwrap());
    let (class, instance, data) = &films[0];
    let context = other.context(class, PLAIN);
    let command = part(context, PDataValueType::Command, asked(0x0001, class, Some(instance), true));
    let (Pdu::PData { data: mut both }, Pdu::PData { data: rest }) =
        (command, part(context, PDataValueType::Data, data.clone()))
    else {
        unreachable!()
    };
    both.extend(rest);
    other.0.send(&Pdu::PData { data: both }).unwrap();
    assert_eq!(other.answer().0, 0);
    assert_eq!(site.films(), films.len());
    other.0.release().unwrap();
    assert!(within(|| site.open.log().lines()[0].words(Language::English).contains("1 of them here already")));
    // No UID is in the records: it may lead to a patient.
    let record = fs::read_to_string(site.folder.path().join("results/00000001.json")).unwrap();
    assert!(record.contains("\"source\":\"node\"") && !record.contains("1.2.3.0"), "{record}");
}

/// A data set in implicit representation, with these bytes in the place of pixels.
fn implicit_data_set(class: &str, instance: &str, pixels: &[u8]) -> Vec<u8> {
    [(8_u16, 0x16_u16, class.as_bytes()), (8, 0x18, instance.as_bytes()), (0x7fe0, 0x10, pixels)]
        .into_iter()
        .flat_map(|(group, number, value)| {
            let padding = &[0][..value.len() % 2];
            let length = ((value.len() + padding.len()) as u32).to_le_bytes();
            [&group.to_le_bytes()[..], &number.to_le_bytes(), &length, value, padding].concat()
        })
        .collect()
}

#[test]
fn of_a_uid_that_comes_again_nothing_but_the_same_bytes_is_passed_over() {
    let site = Site::new();
    let (mut console, class) = (site.console(), IMAGES[0]);
    let compressed = data_set(class, "1.2.3", "", 1000);
    assert_eq!(console.send(class, "1.2.3", &compressed).0, 0);
    let outcome = Outcome::Refused(Refusal::Corrupt);
    site.store.finish(1, Answer { at: 1, by: None, outcome }, &Pictures::default()).unwrap();
    // The same bytes would be refused again.
    assert_eq!(console.send(class, "1.2.3", &compressed).0, 0);
    assert_eq!((site.films(), site.store.get(1).unwrap().word()), (1, "refused"));
    // Sent in another way it may be whole; and another picture may have the same UID.
    let context = console.context(class, IMPLICIT);
    for (number, pixels) in [(2, [7; 1000]), (3, [8; 1000])] {
        let data = implicit_data_set(class, "1.2.3", &pixels);
        console.command(context, asked(0x0001, class, Some("1.2.3"), true));
        console.data(context, &data);
        assert_eq!(console.answer().0, 0);
        assert_eq!((site.films(), site.store.get(number).unwrap().word()), (number as usize, "waiting"));
        assert!(site.store.film(number).unwrap().ends_with(&data));
    }
    console.0.release().unwrap();
    assert!(within(|| site.open.log().lines()[0].words(Language::English).contains("1 of them here already")));
}

#[test]
fn what_is_wrong_is_shown_until_a_film_of_a_later_association_is_taken() {
    let site = Site::new();
    let class = IMAGES[0];
    let good = data_set(class, "1.2.3", "", 1000);
    let send = |console: &mut Console, data: &[u8]| console.send(class, "1.2.3", data).0;
    // One that is good, and then one that breaks off.
    let mut console = site.console();
    assert_eq!(send(&mut console, &good), 0);
    console.command(console.context(class, PLAIN), asked(0x0001, class, Some("1.2.4"), true));
    drop(console);
    assert!(site.noted(What::Cut));
    assert_eq!((site.open.log().lines()[1].event.what, site.troubles()), (What::Taken, vec![What::Cut]));
    // One that is refused, and then one that is good.
    let mut console = site.console();
    assert_eq!(send(&mut console, &data_set(IMAGES[1], "1.2.3", "", 1000)), 0xa900);
    assert_eq!(send(&mut console, &good), 0);
    console.0.release().unwrap();
    assert!(site.noted(What::Taken));
    assert_eq!(site.troubles(), [What::OtherKind]);
    let mut console = site.console();
    assert_eq!(send(&mut console, &good), 0);
    console.0.release().unwrap();
    assert!(within(|| site.troubles().is_empty()));
}

#[test]
fn a_console_that_sends_nothing_is_told_of() {
    let site = Site::new();
    site.console().0.release().unwrap();
    assert!(site.noted(What::Nothing));
    assert_eq!(site.open.log().lines()[0].words(Language::English), "CR1 connected and sent nothing");
    drop(site.console());
    assert!(within(|| site.open.log().lines()[0].times == 2));
    assert!(site.troubles().is_empty());
    // What was asked for is told instead.
    let mut console = site.console();
    assert_eq!(console.echo(), 0);
    console.0.release().unwrap();
    assert!(site.noted(What::Echo));
    assert_eq!(site.open.log().lines().len(), 2);
}

#[test]
fn an_exam_is_named_by_its_accession_number_where_that_is_set() {
    let site = Site::with(Bounds::default(), ExamNaming::Accession, &[]);
    let data = data_set(IMAGES[0], "1.2.3", "A17", 100);
    assert_eq!(site.console().send(IMAGES[0], "1.2.3", &data).0, 0);
    assert_eq!(site.store.get(1).unwrap().exam.as_str(), "A17");
}

#[test]
fn whoever_is_not_meant_is_told_so() {
    let rejected = |outcome: Result<ClientAssociation<TcpStream>, Box<Error>>| match *outcome.map(|_| ()).unwrap_err() {
        Error::Rejected { association_rj, .. } => association_rj,
        other => panic!("{other:?}"),
    };
    let permanent = |reason| {
        let (result, source) = (AssociationRJResult::Permanent, AssociationRJSource::ServiceUser(reason));
        AssociationRJ { result, source }
    };
    let site = Site::new();
    let called = AssociationRJServiceUserReason::CalledAETitleNotRecognized;
    assert_eq!(rejected(site.ask("CR1", "PACS1")), permanent(called));
    let words = site.open.log().lines()[0].words(Language::English);
    assert!(words.contains("calls us PACS1, we are PUMUA"), "{words}");
    for (peer, what) in [("127.0.0.9", What::Stranger), ("127.0.0.1=CT1", What::NotNamed)] {
        let site = Site::with(Bounds::default(), ExamNaming::default(), &[peer]);
        let calling = AssociationRJServiceUserReason::CallingAETitleNotRecognized;
        assert_eq!(rejected(site.ask("CR1", "PUMUA")), permanent(calling));
        assert!(site.noted(what), "{peer}");
    }
    let named = Site::with(Bounds::default(), ExamNaming::default(), &["127.0.0.1=CR1"]);
    assert_eq!(named.console().echo(), 0);
    // Nothing that is offered is taken.
    for (class, syntax, what) in
        [("1.2.840.10008.5.1.4.1.1.2", PLAIN, What::NoKind), (IMAGES[0], JPEG_LS, What::NoSyntax)]
    {
        let offered = client("CR1", "PUMUA").with_presentation_context(class, vec![syntax]);
        let outcome = offered.establish(site.open.address()).map(|_| ());
        assert!(matches!(outcome, Err(Error::NoAcceptedPresentationContexts { .. })), "{outcome:?}");
        assert!(site.noted(what), "{class}");
    }
    assert_eq!(site.console().echo(), 0);
}

#[test]
fn what_is_not_kept_is_told_with_the_reason() {
    let site = Site::with(Bounds { results: 1, ..Bounds::default() }, ExamNaming::default(), &[]);
    let mut console = site.console();
    let [cr, dx, ..] = IMAGES;
    let good = data_set(cr, "1.2.3", "", 1000);
    let cases = [
        (console.send(cr, "1.2.3", &data_set(dx, "1.2.3", "", 1000)), 0xa900, What::OtherKind),
        (console.send(cr, "1.2.3", &data_set(cr, "1.2.4", "", 1000)), 0xa900, What::OtherKind),
        (console.send_as(cr, dx, "1.2.3", &good), 0x0122, What::OtherKind),
        (console.send_as(cr, "1.2.840.10008.5.1.4.1.1.2", "1.2.3", &good), 0x0122, What::OtherKind),
        (console.send(cr, "1.2.3", &[0; 500_000]), 0xc000, What::NotUnderstood),
        (console.send(cr, "1.2.3", b""), 0xc000, What::NotUnderstood),
        (console.send(cr, "Jane Doe", &good), 0x0117, What::NotUnderstood),
        (console.send(cr, "1.2.3", &data_set(cr, "1.2.3", "", 33 << 20)), 0xc001, What::TooLarge),
    ];
    for ((status, comment), expected, _) in &cases {
        assert_eq!(status, expected, "{comment}");
        assert!(comment.contains(": "), "{comment}");
    }
    let noted: Vec<What> = site.open.log().lines().iter().rev().map(|line| line.event.what).collect();
    let mut expected: Vec<What> = cases.iter().map(|(_, _, what)| *what).collect();
    expected.dedup();
    assert_eq!(noted, expected);
    // Something that is not known here, with a data set.
    let context = console.context(cr, PLAIN);
    console.command(context, asked(0x0020, cr, None, true));
    console.data(context, &good);
    assert_eq!(console.answer().0, 0x0211);
    assert_eq!((site.films(), console.echo()), (0, 0), "it goes on");
    assert_eq!(console.send(cr, "1.2.3", &good).0, 0);
    let full = console.send(cr, "1.2.4", &data_set(cr, "1.2.4", "", 1000));
    assert_eq!((full.0, site.films()), (0xa700, 1));
    assert!(full.1.contains("full") && site.noted(What::NoRoom), "{full:?}");
    assert_eq!(console.send(cr, "1.2.3", &good).0, 0, "what is there is there");
}

#[test]
fn of_what_breaks_off_nothing_is_kept_and_others_are_served() {
    let site = Site::new();
    let mut console = site.console();
    let context = console.context(IMAGES[0], PLAIN);
    console.command(context, asked(0x0001, IMAGES[0], Some("1.2.3"), true));
    let mut writer = console.0.send_pdata(context);
    writer.write_all(&data_set(IMAGES[0], "1.2.3", "", 500_000)).unwrap();
    writer.abandon();
    let mut other = site.console();
    assert_eq!(other.echo(), 0);
    drop(console);
    assert!(site.noted(What::Cut));
    assert_eq!(site.films(), 0);
    assert_eq!(fs::read_dir(site.folder.path().join("parts")).unwrap().count(), 0);
    // It is sent again, and released in the middle of the next one.
    let data = data_set(IMAGES[0], "1.2.3", "", 500_000);
    assert_eq!(other.send(IMAGES[0], "1.2.3", &data).0, 0);
    other.command(context, asked(0x0001, IMAGES[0], Some("1.2.4"), true));
    let mut release = Vec::new();
    write_pdu(&mut release, &Pdu::ReleaseRQ).unwrap();
    assert!(other.aborted_by(&release));
    assert_eq!(site.films(), 1);
    // And in the middle of a command.
    let mut other = site.console();
    let data = asked(0x0030, VERIFICATION, None, false);
    let value_type = PDataValueType::Command;
    let begun = PDataValue { presentation_context_id: context, value_type, is_last: false, data };
    other.0.send(&Pdu::PData { data: vec![begun] }).unwrap();
    assert!(other.aborted_by(&release));
    assert!(site.noted(What::Foreign));
}

#[test]
fn bytes_of_any_kind_end_an_association_and_nothing_else() {
    let site = Site::new();
    let mut request = Vec::new();
    let contexts = IMAGES.iter().enumerate().map(|(n, class)| PresentationContextProposed {
        id: 2 * n as u8 + 1,
        abstract_syntax: (*class).to_owned(),
        transfer_syntaxes: vec![PLAIN.to_owned()],
    });
    let whole = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "CR1".to_owned(),
        called_ae_title: "PUMUA".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables: Vec::new(),
    };
    write_pdu(&mut request, &Pdu::AssociationRQ(whole)).unwrap();
    let mut all: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![1, 0, 0xff, 0xff, 0xff, 0xff],
        vec![4, 0, 0, 2, 0, 1],
        vec![1, 0, 0, 0, 0, 0],
        vec![5, 0, 0, 0, 0, 4, 0, 0, 0, 0],
        vec![0; 3],
        Vec::new(),
    ];
    // Each byte that is a length, changed.
    for at in (2..request.len()).step_by(3) {
        for value in [0, 0x7f, 0xff] {
            let mut changed = request.clone();
            changed[at] = value;
            all.push(changed);
        }
    }
    for bytes in &all {
        let mut stream = site.raw();
        // It may have ended before all was sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    let context = site.console().context(IMAGES[0], PLAIN);
    let command = asked(0x0001, IMAGES[0], Some("1.2.3"), true);
    let data = |length: u32, context: u8, control: u8, rest: &[u8]| {
        let body = [&length.to_be_bytes()[..], &[context, control], rest].concat();
        [&[4, 0][..], &(body.len() as u32).to_be_bytes(), &body].concat()
    };
    for bytes in [
        // Longer than agreed; of no length; longer than what encloses it; shorter than its own head.
        vec![4, 0, 0, 2, 0, 1],
        vec![4, 0, 0, 0, 0, 0],
        data(u32::MAX, context, 3, &command),
        data(1, context, 3, &command),
        // Of nothing that was agreed; data without a command; a command that is none, or an answer.
        data(command.len() as u32 + 2, 254, 3, &command),
        data(command.len() as u32 + 2, context, 2, &command),
        data(12, context, 3, &[9; 10]),
        data(command.len() as u32 + 2, context, 3, &asked(0x8001, IMAGES[0], Some("1.2.3"), true)),
        request.clone(),
    ] {
        assert!(site.console().aborted_by(&bytes), "{bytes:?}");
    }
    // A command that does not end.
    let (mut console, begin) = (site.console(), Instant::now());
    let endless = data(1002, context, 1, &[0; 1000]);
    let ended = (0..1000).any(|_| console.0.inner_stream().write_all(&endless).is_err());
    assert!(ended || matches!(console.0.receive(), Ok(Pdu::AbortRQ { .. })));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((site.console().echo(), site.films()), (0, 0));
}

#[test]
fn whoever_is_slow_holds_no_place_and_whoever_is_idle_neither() {
    let site = Site::new();
    // The second of the kinds that are offered.
    let context = 3;
    thread::scope(|scope| {
        let idle = scope.spawn(|| site.console().aborted_by(&[]));
        let halfway = scope.spawn(|| site.console().aborted_by(&[4, 0, 0, 0, 0xff, 0, 1, 2, 3]));
        let trickling = scope.spawn(|| {
            let (mut console, begin) = (site.console(), Instant::now());
            assert_eq!(console.context(IMAGES[0], PLAIN), context);
            console.command(context, asked(0x0001, IMAGES[0], Some("1.2.3"), true));
            let bit = [4, 0, 0, 0, 0, 8, 0, 0, 0, 4, context, 0, 8, 0];
            while console.0.inner_stream().write_all(&bit).is_ok() && begin.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(200));
            }
            begin.elapsed() < PATIENCE
        });
        assert_eq!(site.console().echo(), 0);
        assert!(idle.join().unwrap() && halfway.join().unwrap() && trickling.join().unwrap());
    });
    // Whoever says nothing at all is sent away.
    let sent_away = site.raw().read(&mut [0]);
    let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    assert!(matches!(sent_away, Ok(0)) || sent_away.as_ref().is_err_and(is_reset), "{sent_away:?}");
    for what in [What::Slow, What::Idle] {
        assert!(site.open.log().lines().iter().any(|line| line.event.what == what), "{what:?}");
    }
    assert_eq!(site.films(), 0);
}

#[test]
fn there_are_so_many_places_for_one_address() {
    let site = Site::new();
    let mut consoles: Vec<Console> = (0..4).map(|_| site.console()).collect();
    match *site.ask("CR1", "PUMUA").map(|_| ()).unwrap_err() {
        Error::Rejected { association_rj: AssociationRJ { result, source }, .. } => {
            let limit = AssociationRJServiceProviderPresentationReason::LocalLimitExceeded;
            assert_eq!(source, AssociationRJSource::ServiceProviderPresentation(limit));
            assert_eq!(result, AssociationRJResult::Transient);
        }
        other => panic!("{other:?}"),
    }
    assert!(site.noted(What::Busy));
    assert_eq!(consoles[3].echo(), 0);
    consoles.remove(0).0.release().unwrap();
    assert!(within(|| site.ask("CR1", "PUMUA").is_ok()));
}

#[test]
fn many_at_once_lose_and_double_nothing() {
    let site = Site::new();
    thread::scope(|scope| {
        for sender in 0..4 {
            let site = &site;
            scope.spawn(move || {
                let mut console = site.console();
                // Two of them send the same.
                for n in 0..20 {
                    let instance = format!("1.2.{}.{n}", sender / 2);
                    let data = data_set(IMAGES[0], &instance, "", 10_000);
                    assert_eq!(console.send(IMAGES[0], &instance, &data).0, 0, "{instance}");
                }
                console.0.release().unwrap();
            });
        }
    });
    assert_eq!(site.films(), 40);
}

#[test]
fn it_ends_at_once_and_keeps_no_part() {
    let site = Site::new();
    let (mut idle, mut midway) = (site.console(), site.console());
    assert_eq!(idle.echo(), 0);
    let context = midway.context(IMAGES[0], PLAIN);
    midway.command(context, asked(0x0001, IMAGES[0], Some("1.2.3"), true));
    let mut writer = midway.0.send_pdata(context);
    writer.write_all(&data_set(IMAGES[0], "1.2.3", "", 500_000)).unwrap();
    writer.abandon();
    let (begin, store) = (Instant::now(), site.store.clone());
    drop(site);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(matches!(idle.0.receive(), Ok(Pdu::AbortRQ { .. })));
    assert_eq!(store.find("", Filter::All, 0, 0).total, 0);
}
