//! Sends to our own node, and to an archive that answers as it is told.

mod fake;

use std::{collections::BTreeMap, fs, io::Write, net::TcpListener, path::Path, sync::Arc};

use decode::Origin;
use shared::{
    accession::ExamNaming,
    age::AgeNote,
    verdict::{ExamId, OperatingPoint, Refusal, Verdict},
};

use self::fake::{Fake, Manner};
use super::*;
use crate::{
    intake::Intake,
    node::{Node, Open},
    record::{Answer, By, Outcome, Pictures, Source},
    store::{Bounds, Filter},
};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const CAPTURE: &[Format] = &[Format::Capture];
const REPORT: &[Format] = &[Format::Report];
const BOTH: &[Format] = &[Format::Capture, Format::Report];

fn within(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if what() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn draw(sheet: &Sheet<'_>) -> Option<Drawing> {
    assert!(sheet.words.iter().any(|line| line.contains("not a medical device")), "{:?}", sheet.words);
    // Of odd length.
    Some(Drawing { width: 33, height: 35, rgb: vec![7; 33 * 35 * 3] })
}

fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    let group = ((tag >> 16) as u16).to_le_bytes();
    [&group[..], &(tag as u16).to_le_bytes(), vr.as_bytes(), &(value.len() as u16).to_le_bytes(), &value].concat()
}

/// A film of a patient; with an empty number of one that has none.
fn film(instance: &str, patient: &str) -> Vec<u8> {
    let data_set = [
        element(0x0008_0005, "CS", b"ISO_IR 100"),
        element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.1"),
        element(0x0008_0018, "UI", instance.as_bytes()),
        element(0x0008_0020, "DA", b"20240102"),
        element(0x0008_0030, "TM", b"0304"),
        element(0x0008_0050, "SH", b"A-17"),
        element(0x0008_0060, "CS", b"CR"),
        element(0x0008_0090, "PN", b"Referrer^A"),
        element(0x0010_0010, "PN", b"M\xfcller^Jane"),
        element(0x0010_0020, "LO", patient.as_bytes()),
        element(0x0010_0030, "DA", b"20200304"),
        element(0x0010_0040, "CS", b"F"),
        element(0x0020_000d, "UI", b"1.2.777"),
        element(0x0020_000e, "UI", b"1.2.777.1"),
        element(0x0020_0010, "SH", b"S1"),
    ];
    let meta = element(0x0002_0010, "UI", EXPLICIT.as_bytes());
    [&[0; 128][..], b"DICM", &meta, &data_set.concat()].concat()
}

/// The elements of a data set with the letters of their representation.
fn elements(mut bytes: &[u8]) -> BTreeMap<u32, Vec<u8>> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let tag = u32::from(two(0)) << 16 | u32::from(two(2));
        let (head, length) = match &bytes[4..6] {
            b"OB" | b"SQ" | b"UT" => (12, u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize),
            _ => (8, usize::from(two(6))),
        };
        found.insert(tag, bytes[head..head + length].to_vec());
        bytes = &bytes[head + length..];
    }
    assert!(found.keys().is_sorted());
    found
}

fn outcome() -> Outcome {
    let (point, age) = (OperatingPoint::HALF, AgeNote::Unknown);
    Outcome::Judged { verdict: Verdict::Pneumonia, probability: 0.93, point, age, looked: false, record: None }
}

fn keep(store: &Store, film: &[u8]) -> u64 {
    let mut incoming = store.begin().unwrap();
    incoming.write_all(film).unwrap();
    store.keep(incoming, ExamId::default(), Source::Folder, "North").unwrap().number
}

fn finish(store: &Store, number: u64, outcome: Outcome) {
    let by = By { model: "tiny".to_owned(), digest: shared::verdict::Digest::of(b"m"), synthetic: false, ages: None };
    let answer = Answer { at: 1_800_000_000, by: Some(by), outcome };
    store.finish(number, answer, &Pictures::default()).unwrap();
}

/// A film that has come in and was judged.
fn judged(store: &Store, film: &[u8]) -> u64 {
    let number = keep(store, film);
    finish(store, number, outcome());
    number
}

fn opened(folder: &Path) -> Store {
    opened_for(folder, CAPTURE)
}

fn opened_for(folder: &Path, formats: &[Format]) -> Store {
    let store = Store::open(folder, Bounds::default()).unwrap();
    store.outbox().turn_on(&formats.iter().copied().collect());
    store
}

/// Sends captures to an address while something is done.
fn sending<T>(store: &Store, address: SocketAddr, what: impl FnOnce(&Outbox) -> T) -> T {
    sending_as(CAPTURE, store, address, what)
}

fn sending_as<T>(formats: &[Format], store: &Store, address: SocketAddr, what: impl FnOnce(&Outbox) -> T) -> T {
    let archive = Archive { address, title: "PACS".parse().unwrap() };
    let formats = formats.iter().copied().collect();
    let pacs = Pacs { archive, calling: "PUMUA".parse().unwrap(), draw, formats };
    let (outbox, stop) = (Outbox::new(pacs, Language::English), Stop::default());
    thread::scope(|scope| {
        let sender = scope.spawn(|| outbox.run(store, &stop));
        // What fails there must not go on for ever.
        let done = catch_unwind(AssertUnwindSafe(|| what(&outbox)));
        stop.ask();
        let asked = Instant::now();
        sender.join().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "it ends at once: {:?}", asked.elapsed());
        done.unwrap()
    })
}

fn is_empty(store: &Store) -> bool {
    store.outbox().unsent().waiting == 0
}

#[test]
fn an_answer_goes_to_our_own_node_once_and_as_the_same_image_after_a_power_cut() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = Arc::new(Store::open(other.path(), Bounds::default()).unwrap());
    let intake = Intake { store: archive.clone(), naming: ExamNaming::default(), site: String::new() };
    let node = Node { listen: "127.0.0.1:0".parse().unwrap(), title: "PACS".parse().unwrap(), peers: Vec::new() };
    let (open, stop) = (Open::new(node).unwrap(), Stop::default());
    let address = open.address();
    thread::scope(|scope| {
        scope.spawn(|| open.run(&intake, &stop));
        let done = catch_unwind(AssertUnwindSafe(|| {
            let store = opened(folder.path());
            let first = judged(&store, &film("1.2.3", "73517351"));
            assert_eq!(store.outbox().unsent().waiting, 1);
            sending(&store, address, |outbox| {
                assert!(within(|| is_empty(&store)));
                // One that comes while it runs.
                judged(&store, &film("1.2.4", "73517351"));
                assert!(within(|| outbox.get().sent == 2));
                assert_eq!(outbox.get().trouble, None);
                assert!(outbox.get().last.is_some());
            });
            drop(store);
            let sent = archive.film(1).unwrap();
            let origin = decode::origin(&sent).unwrap();
            assert_eq!(origin.get(0x0010_0010), b"M\xfcller^Jane");
            assert_eq!(origin.uid(Origin::STUDY), Some("1.2.777"));
            // Nothing is left to be sent; and what had no time to be noted is the same image.
            let store = opened(folder.path());
            assert!(is_empty(&store));
            drop(store);
            fs::write(folder.path().join(format!("outbox/{first:08}.json")), "").unwrap();
            let store = opened(folder.path());
            sending(&store, address, |outbox| assert!(within(|| outbox.get().sent == 1 && is_empty(&store))));
        }));
        stop.ask();
        done.unwrap();
    });
    assert_eq!(archive.find("", Filter::All, 0, 0).total, 2, "the same bytes are known there");
}

#[test]
fn what_is_sent_is_of_the_study_of_its_film_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    judged(&store, &film("1.2.3", "73517351"));
    let fake = Fake::new(Manner::Takes, &[]);
    sending(&store, fake.address, |_| assert!(within(|| is_empty(&store))));
    assert!(within(|| *fake.releases.lock().unwrap() == 1), "it is released");
    let (uid, data) = fake.arrived().remove(0);
    let found = elements(&data);
    let text = |tag: u32| String::from_utf8_lossy(&found[&tag]).trim_matches([' ', '\0']).to_owned();
    for (tag, expected) in [
        (0x0008_0005, "ISO_IR 100"),
        (0x0008_0016, dial::CAPTURE),
        (0x0008_0018, uid.as_str()),
        (0x0008_0020, "20240102"),
        (0x0008_0030, "0304"),
        (0x0008_0050, "A-17"),
        (0x0008_0060, "OT"),
        (0x0008_0064, "WSD"),
        (0x0008_0090, "Referrer^A"),
        (0x0008_103e, "Pumua: research aid"),
        (0x0010_0020, "73517351"),
        (0x0010_0030, "20200304"),
        (0x0010_0040, "F"),
        (0x0020_000d, "1.2.777"),
        (0x0020_0010, "S1"),
        (0x0028_0004, "RGB"),
        (0x0028_0301, "YES"),
    ] {
        assert_eq!(text(tag), expected, "{tag:08x}");
    }
    assert_eq!(found[&0x0010_0010], b"M\xfcller^Jane ");
    assert!(uid.starts_with("2.25.") && text(0x0020_000e).starts_with("2.25.") && text(0x0020_000e) != uid);
    let said = text(0x0020_4000);
    for words in ["Research aid, not a medical device", "PNEUMONIA", "93 %", "Model tiny", "2027-01-15 08:00:00 UTC"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(text(0x0008_2111).contains("SHA-256"));
    assert_eq!(found[&0x7fe0_0010].len(), 33 * 35 * 3 + 1);
    let source = [element(0x0008_1150, "UI", b"1.2.840.10008.5.1.4.1.1.1"), element(0x0008_1155, "UI", b"1.2.3")];
    assert!(found[&0x0008_2112].ends_with(&source.concat()));
    // Nothing of the patient is in the records, nor in what is still to be sent.
    judged(&store, &film("1.2.4", "73517351"));
    for name in ["results/00000001.json", "results/00000002.json", "outbox/00000002.json"] {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        for secret in ["Jane", "73517351", "1.2.777", "A-17"] {
            assert!(!text.contains(secret), "{secret} in {name}");
        }
    }
}

/// The names of the files that say what is still to be sent.
fn unsent(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("outbox")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn in_both_formats_an_answer_is_sent_once_in_each_under_uids_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_for(folder.path(), BOTH);
    judged(&store, &film("1.2.3", "73517351"));
    judged(&store, &film("1.2.4", "73517351"));
    let names = ["00000001-report.json", "00000001.json", "00000002-report.json", "00000002.json"];
    assert_eq!(unsent(folder.path()), names);
    assert_eq!(store.outbox().unsent().waiting, 4);
    let fake = Fake::new(Manner::Takes, &[]);
    sending_as(BOTH, &store, fake.address, |outbox| {
        assert!(within(|| is_empty(&store)));
        assert_eq!((outbox.get().sent, outbox.get().trouble), (4, None));
    });
    assert!(unsent(folder.path()).is_empty());
    let arrived = fake.arrived();
    let all: Vec<_> = arrived.iter().map(|(_, data)| elements(data)).collect();
    let text = |n: usize, tag: u32| String::from_utf8_lossy(&all[n][&tag]).trim_matches([' ', '\0']).to_owned();
    let classes: Vec<_> = (0..4).map(|n| text(n, 0x0008_0016)).collect();
    assert_eq!(classes, [dial::CAPTURE, dial::REPORT, dial::CAPTURE, dial::REPORT]);
    for tag in [0x0008_0018, 0x0020_000e, 0x0020_0011] {
        assert_ne!(text(0, tag), text(1, tag), "{tag:08x}");
    }
    let uid = arrived[1].0.as_str();
    for (tag, expected) in [
        (0x0008_0005, "ISO_IR 100"),
        (0x0008_0018, uid),
        (0x0008_0020, "20240102"),
        (0x0008_0023, "20270115"),
        (0x0008_0033, "080000"),
        (0x0008_0050, "A-17"),
        (0x0008_0060, "SR"),
        (0x0008_103e, "Pumua: research aid"),
        (0x0008_1111, ""),
        (0x0010_0020, "73517351"),
        (0x0020_000d, "1.2.777"),
        (0x0020_0010, "S1"),
        (0x0040_a040, "CONTAINER"),
        (0x0040_a372, ""),
        (0x0040_a491, "COMPLETE"),
        (0x0040_a493, "UNVERIFIED"),
    ] {
        assert_eq!(text(1, tag), expected, "{tag:08x}");
    }
    assert_eq!(all[1][&0x0010_0010], b"M\xfcller^Jane ");
    let instance = [element(0x0008_1150, "UI", b"1.2.840.10008.5.1.4.1.1.1"), element(0x0008_1155, "UI", b"1.2.3")];
    for part in [instance.concat(), element(0x0020_000e, "UI", b"1.2.777.1")] {
        assert!(all[1][&0x0040_a375].windows(part.len()).any(|window| window == part));
    }
    let said = text(1, 0x0040_a730);
    for words in ["Research aid, not a medical device", "Pneumonia suspected", "0.93", "tiny, SHA-256", "233604007"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    // Nothing of the patient is in what is said of the film.
    for secret in ["Jane", "73517351", "A-17"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    // What had no time to be noted is the same report.
    drop(store);
    fs::write(folder.path().join("outbox/00000001-report.json"), "").unwrap();
    let store = opened_for(folder.path(), BOTH);
    sending_as(BOTH, &store, fake.address, |_| assert!(within(|| is_empty(&store))));
    assert_eq!((fake.arrived().len(), &fake.arrived()[4]), (5, &arrived[1]));
}

#[test]
fn an_archive_without_reports_gets_the_captures_and_the_reports_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_for(folder.path(), BOTH);
    for instance in ["1.2.1", "1.2.2"] {
        judged(&store, &film(instance, "17"));
    }
    let fake = Fake::new(Manner::TakesNoReports, &[]);
    sending_as(BOTH, &store, fake.address, |outbox| {
        assert!(within(|| is_empty(&store)));
        assert_eq!(outbox.get().sent, 2);
    });
    let kept = store.outbox().unsent();
    assert_eq!((kept.waiting, kept.aside, kept.last), (0, 2, Some(Why::NoReport)));
    assert_eq!(unsent(folder.path()), ["00000001-report.json", "00000002-report.json"]);
    assert!(fs::read_to_string(folder.path().join("outbox/00000001-report.json")).unwrap().contains("noreport"));
    drop(store);
    // It takes them by the next start.
    let (store, fake) = (opened_for(folder.path(), BOTH), Fake::new(Manner::Takes, &[]));
    sending_as(BOTH, &store, fake.address, |outbox| {
        assert!(within(|| is_empty(&store)));
        assert_eq!(outbox.get().sent, 2);
    });
    assert_eq!(store.outbox().unsent(), Default::default());
    assert!(unsent(folder.path()).is_empty());
}

#[test]
fn where_reports_alone_are_sent_and_not_taken_they_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_for(folder.path(), REPORT);
    judged(&store, &film("1.2.1", "17"));
    let fake = Fake::new(Manner::TakesNoReports, &[]);
    sending_as(REPORT, &store, fake.address, |outbox| {
        assert!(within(|| outbox.get().trouble == Some(Trouble::NoReport)), "{:?}", outbox.get());
    });
    assert_eq!((fake.arrived().len(), store.outbox().unsent().waiting), (0, 1));
}

#[test]
fn a_format_that_is_not_asked_for_any_more_waits_on_the_disk_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_for(folder.path(), BOTH);
    judged(&store, &film("1.2.1", "17"));
    drop(store);
    let store = opened(folder.path());
    assert_eq!(store.outbox().unsent().waiting, 1);
    let fake = Fake::new(Manner::Takes, &[]);
    sending(&store, fake.address, |_| assert!(within(|| is_empty(&store))));
    assert_eq!(unsent(folder.path()), ["00000001-report.json"]);
    drop(store);
    let store = opened_for(folder.path(), REPORT);
    sending_as(REPORT, &store, fake.address, |_| assert!(within(|| is_empty(&store))));
    assert_eq!((fake.arrived().len(), unsent(folder.path()).len()), (2, 0));
}

#[test]
fn formats_are_words() {
    assert_eq!(["capture", "report"].map(str::parse::<Format>), [Ok(Format::Capture), Ok(Format::Report)]);
    for bad in ["", "Capture", "sr"] {
        assert_eq!(bad.parse::<Format>(), Err(FormatError), "{bad}");
    }
}

#[test]
fn an_archive_that_only_takes_the_oldest_way_of_writing_gets_that() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    judged(&store, &film("1.2.3", "17"));
    let fake = Fake::new(Manner::TakesImplicit, &[]);
    sending(&store, fake.address, |_| assert!(within(|| is_empty(&store))));
    let (_, data) = fake.arrived().remove(0);
    assert!(data.starts_with(b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100"), "{:?}", &data[..20]);
}

#[test]
fn what_is_refused_for_now_is_sent_again_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    for instance in ["1.2.1", "1.2.2", "1.2.3"] {
        judged(&store, &film(instance, "17"));
    }
    let fake = Fake::new(Manner::Takes, &[0xa700, 0x0000, 0xb000]);
    sending(&store, fake.address, |outbox| {
        assert!(within(|| is_empty(&store)));
        assert_eq!((outbox.get().sent, outbox.get().trouble), (3, None));
    });
    let uids: Vec<String> = fake.arrived().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(uids.len(), 4);
    assert_eq!(uids[0], uids[3], "the first one comes last, as the same image");
    assert_ne!(uids[1], uids[2]);
    assert_eq!(fs::read_dir(folder.path().join("outbox")).unwrap().count(), 0);
}

#[test]
fn what_is_refused_for_good_is_kept_aside_and_tried_once_more_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    for instance in ["1.2.1", "1.2.2"] {
        judged(&store, &film(instance, "17"));
    }
    let fake = Fake::new(Manner::Takes, &[0xc000]);
    sending(&store, fake.address, |outbox| {
        assert!(within(|| is_empty(&store)));
        assert!(within(|| outbox.get().sent == 1));
    });
    let unsent = store.outbox().unsent();
    assert_eq!((unsent.waiting, unsent.aside, unsent.last), (0, 1, Some(Why::Refused(0xc000))));
    let kept = fs::read_to_string(folder.path().join("outbox/00000001.json")).unwrap();
    assert!(kept.contains("49152"), "{kept}");
    drop(store);
    let store = opened(folder.path());
    sending(&store, fake.address, |_| assert!(within(|| is_empty(&store))));
    let arrived = fake.arrived();
    assert_eq!((arrived.len(), &arrived[0]), (3, &arrived[2]));
    assert_eq!(store.outbox().unsent(), Default::default());
}

#[test]
fn what_is_wrong_with_an_archive_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    judged(&store, &film("1.2.1", "17"));
    // Nobody listens there, and none of the others gets the port.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = held.local_addr().unwrap();
    let mut cases = vec![
        (Fake::new(Manner::RejectsCaller, &[]).address, Trouble::OwnTitle),
        (Fake::new(Manner::TakesNothing, &[]).address, Trouble::NoCapture),
        (Fake::new(Manner::SaysOther, &[]).address, Trouble::Foreign),
        (Fake::new(Manner::Takes, &[0x0110; 1000]).address, Trouble::NotNow(0x0110)),
    ];
    drop(held);
    cases.insert(0, (nobody, Trouble::Unreachable));
    for (address, trouble) in cases {
        sending(&store, address, |outbox| {
            assert!(within(|| outbox.get().trouble == Some(trouble)), "{trouble:?}: {:?}", outbox.get());
            let words = trouble.words(Language::English, outbox.pacs());
            assert!(words.contains("PACS") && !words.contains("{}"), "{words}");
        });
        assert_eq!(store.outbox().unsent().waiting, 1, "{trouble:?}");
    }
    let fake = Fake::new(Manner::Takes, &[]);
    sending(&store, fake.address, |outbox| assert!(within(|| outbox.get().sent == 1 && is_empty(&store))));
}

#[test]
fn only_judged_films_of_a_patient_and_a_study_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    judged(&store, b"\xff\xd8\xff no DICOM");
    judged(&store, &film("1.2.1", ""));
    let mut ours = film("1.2.2", "17");
    let series = element(0x0008_103e, "LO", b"Pumua: research aid");
    let place = ours.windows(4).position(|four| four == [0x10, 0, 0x10, 0]).unwrap();
    drop(ours.splice(place..place, series));
    judged(&store, &ours);
    let number = keep(&store, &film("1.2.3", "17"));
    finish(&store, number, Outcome::Refused(Refusal::Blank));
    assert!(is_empty(&store) && fs::read_dir(folder.path().join("outbox")).unwrap().count() == 0);
    drop(store);
    // Without an archive nothing is noted.
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    judged(&store, &film("1.2.4", "17"));
    assert!(is_empty(&store));
}

#[test]
fn a_note_without_its_answer_sends_nothing_before_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    let number = keep(&store, &film("1.2.1", "17"));
    drop(store);
    // Power was cut between the two.
    fs::write(folder.path().join("outbox/00000001.json"), "{}").unwrap();
    fs::write(folder.path().join("outbox/.pumua-x.part"), "{").unwrap();
    let store = opened(folder.path());
    assert!(is_empty(&store) && !folder.path().join("outbox/.pumua-x.part").exists());
    finish(&store, number, outcome());
    assert_eq!(store.outbox().unsent().waiting, 1);
}

#[test]
fn films_whose_answer_is_still_to_be_sent_go_last() {
    let folder = tempfile::tempdir().unwrap();
    let one = film("1.2.1", "17");
    let space = one.len() as u64 * 2;
    let store = Store::open(folder.path(), Bounds { space, results: 10 }).unwrap();
    store.outbox().turn_on(&CAPTURE.iter().copied().collect());
    judged(&store, &one);
    judged(&store, &vec![0xff; one.len()]);
    keep(&store, &film("1.2.2", "17"));
    assert!(store.film(1).is_ok() && store.film(2).is_err(), "the younger one has gone");
    // Where there is no other one, judging goes before sending.
    finish(&store, 3, outcome());
    keep(&store, &film("1.2.3", "17"));
    assert!(store.film(1).is_err());
    let fake = Fake::new(Manner::Takes, &[]);
    sending(&store, fake.address, |_| assert!(within(|| is_empty(&store))));
    let unsent = store.outbox().unsent();
    assert_eq!((fake.arrived().len(), unsent.aside, unsent.last), (1, 1, Some(Why::NotMade)));
    drop(store);
    assert_eq!(opened(folder.path()).outbox().unsent(), Default::default(), "it is not tried again");
}

#[test]
fn an_archive_is_named_by_address_port_and_title() {
    let archive: Archive = "192.168.1.10:104=PACS=1".parse().unwrap();
    assert_eq!((archive.to_string().as_str(), archive.title.as_str()), ("PACS=1 at 192.168.1.10:104", "PACS=1"));
    assert!("[::1]:104=PACS".parse::<Archive>().is_ok());
    for bad in ["", "192.168.1.10:104", "192.168.1.10=PACS", "0.0.0.0:104=PACS", "192.168.1.10:0=PACS", "pacs:104=PACS"]
    {
        assert_eq!(bad.parse::<Archive>(), Err(ArchiveError), "{bad}");
    }
}
