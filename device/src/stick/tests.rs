use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{fs::symlink, net::UnixDatagram},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use shared::{
    age::AgeNote,
    appliance::Language,
    contract::InputContract,
    limits::{MAX_BUNDLE_BYTES, MAX_IMAGE_BYTES},
    results,
    shown::is_hidden,
    verdict::{Digest, ExamId, OperatingPoint, Refusal, ResultRecord, Verdict},
};
use wire::{BoxEvent, BoxSession, MAX_FRAME, Outcome, Reply};

use super::{
    message::{MOST_BYTES, MOST_LISTED, MOST_NAME, MOST_NAMES, PART, Said, Told, Unwritten, Wish},
    reader::{After, serve},
    walk::{Found, Limits, bundle, marked, walk},
    *,
};
use crate::inner;

/// Longer than anything takes here, on the busiest computer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a file that was changed so many seconds after 2020.
fn put(folder: &Path, name: &str, bytes: &[u8], seconds: u64) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800 + seconds);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn dicom() -> Vec<u8> {
    [&[0; 128][..], b"DICM", &[7; 64]].concat()
}

fn names(found: Found) -> Vec<String> {
    let Found::Films(films) = found else { panic!("{found:?}") };
    films.into_iter().map(|(_, film)| film.name).collect()
}

#[test]
fn films_are_found_by_what_they_are_called_or_are_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "old.JPG", b"x", 1);
    put(root, "DICOM/PAT1/ST1/IM1", &dicom(), 9);
    put(root, "DICOM/PAT1/ST1/1.2.840.10008", &dicom(), 8);
    put(root, "b.png", b"x", 5);
    put(root, "a.png", b"x", 5);
    put(root, "c.dcm", b"x", 7);
    // What is no film, for one reason or another.
    put(root, "DICOMDIR", &dicom(), 99);
    put(root, "README", b"text", 99);
    put(root, "report.pdf", &dicom(), 99);
    put(root, "1.2.3", b"text", 99);
    put(root, "empty.png", b"", 99);
    for hidden in [".Trashes/x.png", "._a.png", "System Volume Information/x.png", "PUMUA/x.png", "Thumbs/x.png"] {
        put(root, hidden, b"x", 99);
    }
    put(root, "1/2/3/4/5/6/7/deep.png", b"x", 0);
    put(root, "1/2/3/4/5/6/7/8/deeper.png", b"x", 99);
    File::create(root.join("huge.png")).unwrap().set_len(u64::from(MAX_IMAGE_BYTES) + 1).unwrap();
    let expected = ["IM1", "1.2.840.10008", "c.dcm", "a.png", "b.png", "old.JPG", "deep.png"];
    assert_eq!(names(walk(root, Limits::BOX).unwrap()), expected);
    assert!(walk(&root.join("nowhere"), Limits::BOX).is_err());
    assert!(walk(&root.join("a.png"), Limits::BOX).is_err(), "not a folder");
}

#[test]
fn links_and_what_is_no_file_are_left_aside() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(other.path(), "secret.png", b"x", 1);
    symlink(other.path(), folder.path().join("folder")).unwrap();
    symlink(other.path().join("secret.png"), folder.path().join("file.png")).unwrap();
    symlink(folder.path(), folder.path().join("loop")).unwrap();
    mknodat(CWD, folder.path().join("pipe.png"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    mknodat(CWD, folder.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(names(walk(folder.path(), Limits::BOX).unwrap()), Vec::<String>::new());
}

#[test]
fn more_than_is_looked_through_is_too_many() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..6 {
        put(folder.path(), &format!("{n}/film.png"), b"x", n);
    }
    let few = Limits { entries: 12, folders: 6, films: 6, ..Limits::BOX };
    assert_eq!(names(walk(folder.path(), few).unwrap()).len(), 6);
    for fewer in [
        Limits { entries: 11, ..few },
        Limits { folders: 5, ..few },
        Limits { films: 5, ..few },
        Limits { time: Duration::ZERO, ..few },
    ] {
        assert_eq!(walk(folder.path(), fewer).unwrap(), Found::TooMany, "{fewer:?}");
    }
}

#[test]
fn names_are_shown_whole_or_with_both_ends_and_do_nothing_else_than_to_be_seen() {
    let name = |name: &str| Film::new(OsStr::new(name), u64::MAX, 1).name;
    assert_eq!(name("thorax.dcm"), "thorax.dcm");
    for evil in ["\u{1b}[31m\n\u{202e}.png", &"é".repeat(120), &"\u{202e}".repeat(120), &"x".repeat(255)] {
        let shown = name(evil);
        assert!(shown.len() <= MOST_NAME && !shown.chars().any(is_hidden), "{shown:?}");
    }
    let long = name(&format!("Thorax_{}_000123.dcm", "x".repeat(200)));
    assert!(long.starts_with("Thorax_") && long.ends_with("_000123.dcm"), "{long}");
}

#[test]
fn a_folder_that_cannot_be_read_makes_the_stick_unreadable() {
    use rustix::fs::{OFlags, mkdirat, open, openat};
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "old.png", b"x", 1);
    let name = "x".repeat(250);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = open(folder.path(), flags, Mode::empty()).unwrap();
    // The path to the last ones is longer than the kernel takes.
    for _ in 0..18 {
        mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    assert_eq!(names(walk(folder.path(), Limits::BOX).unwrap()), ["old.png"], "it is not followed so deeply");
    assert!(walk(folder.path(), Limits { depth: 30, ..Limits::BOX }).is_err());
    // It is looked at the time, too, where there are no files.
    let empty = tempfile::tempdir().unwrap();
    let at_once = Limits { time: Duration::ZERO, ..Limits::BOX };
    assert_eq!(walk(empty.path(), at_once).unwrap(), Found::TooMany);
}

/// One of each message.
fn messages() -> Vec<Vec<u8>> {
    let films = (0..3).map(|n| Film::new(OsStr::new("film.png"), n, 1000)).collect();
    let part = Said::Part { film: 3, offset: 70_000, bytes: &[7; 40] };
    let bundle = Some(Bundle::new(OsStr::new("pumua-9.pumua"), 20 << 20));
    [
        Said::Films(films),
        Said::TooMany,
        Said::Unreadable,
        part,
        Said::Lost { film: 300 },
        Said::Gone,
        Said::Marked { bundle },
        Said::Marked { bundle: None },
        Said::BundlePart { offset: 70_000, bytes: &[7; 40] },
        Said::BundleLost,
        Said::Leaving,
        Said::Begun { nth: 2 },
        Said::Kept { offset: 1 << 40 },
        Said::Stored,
        Said::Unwritten(Unwritten::NoName),
        Said::Closed { well: true },
    ]
    .map(|said| Told { stick: 1000, said }.bytes().unwrap())
    .to_vec()
}

#[test]
fn messages_are_read_whole_or_not_at_all() {
    for message in messages() {
        let told = Told::read(&message).unwrap();
        assert_eq!(told.bytes().unwrap(), message);
        for length in 0..message.len() {
            assert_eq!(Told::read(&message[..length]), None, "{length} bytes of {told:?}");
        }
        assert_eq!(Told::read(&[&message[..], b"x"].concat()), None);
        // Whatever a byte is changed to: what is read can be.
        for at in 0..message.len() {
            for value in 0..=255 {
                let mut changed = message.clone();
                changed[at] = value;
                match Told::read(&changed).map(|told| told.said) {
                    Some(Said::Films(films)) => {
                        let possible = |film: &Film| film.name.len() <= MOST_NAME && film.size <= MAX_IMAGE_BYTES;
                        assert!(films.len() <= MOST_LISTED && films.iter().all(possible));
                    }
                    Some(Said::Part { bytes, .. } | Said::BundlePart { bytes, .. }) => {
                        assert!((1..=PART as usize).contains(&bytes.len()));
                    }
                    Some(Said::Marked { bundle: Some(bundle) }) => {
                        assert!(bundle.name.len() <= MOST_NAME && u64::from(bundle.size) <= MAX_BUNDLE_BYTES);
                    }
                    Some(Said::Begun { nth }) => assert!((1..=MOST_NAMES).contains(&nth)),
                    _ => {}
                }
            }
        }
    }
    for wish in [
        Wish::Sticks,
        Wish::Part { stick: 1000, film: 99, offset: 70_000 },
        Wish::Bundle { stick: 1000, offset: 70_000 },
        Wish::Write { stick: 1000, last: 1 << 40 },
        Wish::End { stick: 1000 },
        Wish::Stop,
    ] {
        let message = wish.bytes().unwrap();
        assert_eq!(Wish::read(&message), Some(wish));
        assert_eq!(Wish::read(&message[..message.len() - 1]), None);
        assert_eq!(Wish::read(&[&message[..], b"x"].concat()), None);
    }
}

#[test]
fn what_cannot_be_is_no_message() {
    let film = |name: &str, modified, size| Film { name: name.to_owned(), modified, size };
    let good = film("film.png", 0, 1);
    let lists = [
        vec![film(&"x".repeat(MOST_NAME + 1), 0, 1)],
        vec![film("\u{1b}[2J", 0, 1)],
        vec![film("film.png", 0, 0)],
        vec![film("film.png", 0, MAX_IMAGE_BYTES + 1)],
        vec![film("film.png", u64::MAX, 1)],
        vec![good.clone(); MOST_LISTED + 1],
    ];
    let part = |bytes| Said::Part { film: 0, offset: 0, bytes };
    let long = vec![0; PART as usize + 1];
    for said in lists.map(Said::Films).into_iter().chain([part(b""), part(&long)]) {
        let message = Told { stick: 1, said }.bytes().unwrap();
        assert_eq!(Told::read(&message), None);
    }
    // The longest that can be are short enough.
    let bundle = |name: &str, size| Said::Marked { bundle: Some(Bundle { name: name.to_owned(), size }) };
    let bytes = |bytes| Said::BundlePart { offset: 0, bytes };
    for said in [
        bundle(&"x".repeat(MOST_NAME + 1), 1),
        bundle("\u{1b}[2J", 1),
        bundle("a.pumua", 0),
        bundle("a.pumua", MAX_BUNDLE_BYTES as u32 + 1),
        bytes(b""),
        bytes(&long),
        Said::Begun { nth: 0 },
        Said::Begun { nth: MOST_NAMES + 1 },
    ] {
        assert_eq!(Told::read(&Told { stick: 1, said }.bytes().unwrap()), None);
    }
    // What is to be written follows its message, is not empty, and follows no other.
    let wish = Wish::Bytes { stick: 1, offset: 7 };
    let message = [&wish.bytes().unwrap()[..], b"abc"].concat();
    assert_eq!(Wish::read_with_bytes(&message), Some((wish, &b"abc"[..])));
    assert_eq!(Wish::read(&message), None);
    assert_eq!(Wish::read_with_bytes(&wish.bytes().unwrap()), None);
    assert_eq!(Wish::read_with_bytes(&[&wish.bytes().unwrap()[..], &long[..]].concat()), None);
    assert_eq!(Wish::read_with_bytes(&[&Wish::Stop.bytes().unwrap()[..], b"x"].concat()), None);
    // The longest that can be are short enough.
    let longest = film(&"x".repeat(MOST_NAME), 253_402_300_799, MAX_IMAGE_BYTES);
    for said in [Said::Films(vec![longest; MOST_LISTED]), part(&long[1..])] {
        let message = Told { stick: u32::MAX, said }.bytes().unwrap();
        assert!(Told::read(&message).is_some() && message.len() <= MOST_BYTES);
    }
}

/// A box that refuses every film, and tells the digests of what it was sent.
fn refusing(end: inner::End) -> Receiver<Digest> {
    let (told, digests) = channel();
    let (reader, mut writer) = end.files().unwrap();
    let (bytes, received) = channel();
    thread::spawn(move || {
        let mut reader = reader;
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = std::io::Read::read(&mut reader, &mut buffer) {
            if bytes.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        let mut session = BoxSession::new(InputContract::stretched(16));
        let (start, mut frame) = (std::time::Instant::now(), [0; MAX_FRAME]);
        loop {
            let now = start.elapsed().as_millis() as u64;
            while let Some(event) = session.event(now) {
                if let BoxEvent::Image(image) = event {
                    session.reply(Reply::Outcome(Outcome::Refused(Refusal::TooSmall)));
                    if told.send(image.begin.digest).is_err() {
                        return;
                    }
                }
            }
            while let length @ 1.. = session.poll_transmit(now, &mut frame) {
                if std::io::Write::write_all(&mut writer, &frame[..length]).is_err() {
                    return;
                }
            }
            match received.recv_timeout(Duration::from_millis(20)) {
                Ok(bytes) => session.receive(start.elapsed().as_millis() as u64, &bytes),
                Err(RecvTimeoutError::Timeout) => {}
                // The test is over. Without a line nothing makes this loop wait.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    digests
}

/// The worker's side, with the other end of its conversation.
struct World {
    other: UnixDatagram,
    orders: std::sync::mpsc::SyncSender<Order>,
    events: Receiver<Event>,
    judged: Receiver<Digest>,
}

impl World {
    fn new() -> Self {
        let (own, other) = UnixDatagram::pair().unwrap();
        let (sender, end) = inner::line().unwrap();
        let judged = refusing(end);
        let (told, events) = channel();
        let orders = start(own, sender, Language::English, move |event| told.send(event).is_ok()).unwrap();
        let world = Self { other, orders, events, judged };
        assert_eq!(world.wish(), Some(Wish::Sticks));
        world
    }

    fn wish(&self) -> Option<Wish> {
        let mut bytes = [0; 64];
        self.other.set_read_timeout(Some(PATIENCE)).unwrap();
        let count = self.other.recv(&mut bytes).unwrap();
        Wish::read(&bytes[..count])
    }

    fn say(&self, stick: u32, said: Said<'_>) {
        self.other.send(&Told { stick, said }.bytes().unwrap()).unwrap();
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }
}

#[test]
fn a_film_goes_from_a_folder_to_the_box_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3 * PART + 17).map(|n| (n % 251) as u8).collect();
    put(folder.path(), "new.png", &bytes, 2);
    put(folder.path(), "old.png", b"x", 1);
    let World { other, orders, events, judged } = World::new();
    let there = Arc::new(AtomicBool::new(true));
    let (is_there, root) = (Arc::clone(&there), folder.path().to_owned());
    let reader = thread::spawn(move || serve(&other, 5, &root, Limits::BOX, || is_there.load(Ordering::Relaxed)));
    let Event::Films { stick: 5, films } = events.recv_timeout(PATIENCE).unwrap() else { panic!("no list") };
    assert_eq!(films.iter().map(|film| film.name.as_str()).collect::<Vec<_>>(), ["new.png", "old.png"]);
    for (film, bytes) in [(0, &bytes[..]), (1, b"x")] {
        orders.send(Order::Film { stick: 5, film }).unwrap();
        assert_eq!(judged.recv_timeout(PATIENCE).unwrap(), Digest::of(bytes));
        assert_eq!(events.recv_timeout(PATIENCE).unwrap(), Event::Ended { stick: 5, trouble: None });
    }
    // What there is not, a stick of before, and a film that has become shorter.
    fs::write(folder.path().join("new.png"), b"short").unwrap();
    for (stick, film) in [(5, 2), (4, 0), (5, 0)] {
        orders.send(Order::Film { stick, film }).unwrap();
        let ended = Event::Ended { stick, trouble: Some(StickTrouble::Pulled) };
        assert_eq!(events.recv_timeout(PATIENCE).unwrap(), ended);
    }
    there.store(false, Ordering::Relaxed);
    reader.join().unwrap().unwrap();
}

#[test]
fn what_is_wrong_with_a_stick_is_told() {
    let world = World::new();
    for (said, trouble) in [
        (Said::Films(Vec::new()), StickTrouble::NoFilms),
        (Said::TooMany, StickTrouble::TooMany),
        (Said::Unreadable, StickTrouble::Unreadable),
    ] {
        world.say(1, said);
        assert_eq!(world.event(), Event::Trouble(trouble));
    }
    // The end of what was never in is no event, nor is nonsense; what comes after is.
    world.say(1, Said::Gone);
    world.other.send(b"nonsense").unwrap();
    world.other.send(&vec![0; MOST_BYTES + 100]).unwrap();
    world.say(2, Said::Part { film: 0, offset: 0, bytes: b"x" });
    let films = vec![Film::new(OsStr::new("a.png"), 0, 9)];
    world.say(2, Said::Films(films.clone()));
    assert_eq!(world.event(), Event::Films { stick: 2, films });
    world.say(2, Said::Gone);
    assert_eq!(world.event(), Event::Gone { stick: 2 });
}

#[test]
fn a_reader_that_gives_what_was_not_asked_for_is_not_believed_and_a_stick_may_go_while_it_is_read() {
    let world = World::new();
    let films = vec![Film::new(OsStr::new("a.png"), 0, PART + 3); 2];
    world.say(1, Said::Films(films.clone()));
    assert_eq!(world.event(), Event::Films { stick: 1, films: films.clone() });
    world.orders.send(Order::Film { stick: 1, film: 1 }).unwrap();
    assert_eq!(world.wish(), Some(Wish::Part { stick: 1, film: 1, offset: 0 }));
    let (first, last) = (vec![1; PART as usize], [2; 3]);
    for (stick, film, offset, bytes) in [
        (2, 1, 0, &first[..]),
        (1, 0, 0, &first[..]),
        (1, 1, 1, &first[..]),
        (1, 1, 0, &first[1..]),
        (1, 1, 0, &first[..]),
    ] {
        world.say(stick, Said::Part { film, offset, bytes });
    }
    assert_eq!(world.wish(), Some(Wish::Part { stick: 1, film: 1, offset: PART }));
    world.say(1, Said::Part { film: 1, offset: PART, bytes: &last });
    assert_eq!(world.judged.recv_timeout(PATIENCE).unwrap(), Digest::of(&[&first[..], &last].concat()));
    assert_eq!(world.event(), Event::Ended { stick: 1, trouble: None });
    // It is pulled out, and another one put in.
    world.orders.send(Order::Film { stick: 1, film: 0 }).unwrap();
    assert_eq!(world.wish(), Some(Wish::Part { stick: 1, film: 0, offset: 0 }));
    world.say(1, Said::Gone);
    world.say(2, Said::Films(films.clone()));
    assert_eq!(world.event(), Event::Ended { stick: 1, trouble: Some(StickTrouble::Pulled) });
    assert_eq!(world.event(), Event::Gone { stick: 1 });
    assert_eq!(world.event(), Event::Films { stick: 2, films });
}

#[test]
fn what_is_said_of_a_stick_before_and_a_second_list_are_passed_over_and_a_false_number_locks_none_out() {
    let world = World::new();
    let films = |name: &str| vec![Film::new(OsStr::new(name), 0, 9)];
    world.say(5, Said::Films(films("a.png")));
    assert_eq!(world.event(), Event::Films { stick: 5, films: films("a.png") });
    world.say(5, Said::Films(films("b.png")));
    world.say(4, Said::Films(films("b.png")));
    world.say(4, Said::Unreadable);
    world.say(5, Said::Gone);
    assert_eq!(world.event(), Event::Gone { stick: 5 });
    world.say(5, Said::Films(films("late.png")));
    // A reader says a number that is not its own; the first process says the true one.
    world.say(u32::MAX, Said::Films(films("c.png")));
    assert_eq!(world.event(), Event::Films { stick: u32::MAX, films: films("c.png") });
    world.say(6, Said::Gone);
    world.say(7, Said::Films(films("d.png")));
    assert_eq!(world.event(), Event::Films { stick: 7, films: films("d.png") });
}

#[test]
fn an_order_always_ends_also_where_nobody_judges_or_nobody_reads() {
    let films = vec![Film::new(OsStr::new("a.png"), 0, 3)];
    let ended = Event::Ended { stick: 1, trouble: Some(StickTrouble::Pulled) };
    // The line within the box is gone.
    let (own, other) = UnixDatagram::pair().unwrap();
    let (sender, end) = inner::line().unwrap();
    drop(end);
    let (told, events) = channel();
    let orders = start(own, sender, Language::English, move |event| told.send(event).is_ok()).unwrap();
    let (_, judged) = channel();
    let world = World { other, orders, events, judged };
    assert_eq!(world.wish(), Some(Wish::Sticks));
    world.say(1, Said::Films(films.clone()));
    assert_eq!(world.event(), Event::Films { stick: 1, films: films.clone() });
    world.orders.send(Order::Film { stick: 1, film: 0 }).unwrap();
    assert_eq!(world.wish(), Some(Wish::Part { stick: 1, film: 0, offset: 0 }));
    world.say(1, Said::Part { film: 0, offset: 0, bytes: b"abc" });
    assert_eq!(world.event(), ended);
    // So is whoever reads the stick.
    let World { other, orders, events, judged: _judged } = World::new();
    other.send(&Told { stick: 1, said: Said::Films(films.clone()) }.bytes().unwrap()).unwrap();
    assert_eq!(events.recv_timeout(PATIENCE).unwrap(), Event::Films { stick: 1, films });
    drop(other);
    orders.send(Order::Film { stick: 1, film: 0 }).unwrap();
    assert_eq!(events.recv_timeout(PATIENCE).unwrap(), ended);
}

#[test]
fn a_folder_is_a_stick_while_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let stick = folder.path().join("stick");
    let worker = play(stick.clone()).unwrap();
    worker.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = vec![0; MOST_BYTES];
        let count = worker.recv(&mut bytes).unwrap();
        bytes.truncate(count);
        bytes
    };
    for number in 1..3 {
        put(&stick, "a.png", b"x", 1);
        let list = heard();
        let Some(Told { stick: of, said: Said::Films(films) }) = Told::read(&list) else { panic!("{list:?}") };
        assert!(of == number && films.len() <= 1, "{films:?}");
        fs::rename(&stick, folder.path().join("pulled")).unwrap();
        assert_eq!(Told::read(&heard()), Some(Told { stick: number, said: Said::Gone }));
        fs::remove_dir_all(folder.path().join("pulled")).unwrap();
    }
}

#[test]
fn a_stick_is_marked_by_a_folder_and_the_last_bundle_in_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert_eq!(marked(root), None);
    put(root, "PUMUA.txt", b"x", 1);
    symlink("/tmp", root.join("pumua")).unwrap();
    assert_eq!(marked(root), None, "a link is no folder");
    fs::remove_file(root.join("pumua")).unwrap();
    put(root, "PUMUA/pumua-1.pumua", b"older", 9);
    let mark = marked(root).unwrap();
    let name = |limits| bundle(&mark, limits).map(|(_, bundle)| (bundle.name, bundle.size));
    put(root, "PUMUA/pumua-2.PUMUA", b"newer by its name", 1);
    assert_eq!(name(Limits::BOX), Some(("pumua-2.PUMUA".to_owned(), 17)));
    // What is none.
    put(root, "PUMUA/pumua-3.pumua", b"", 1);
    put(root, "PUMUA/.pumua-4.pumua", b"hidden", 1);
    put(root, "PUMUA/pumua-5.onnx", b"a model", 1);
    put(root, "PUMUA/pumua-6.pumua/inside.png", b"x", 1);
    symlink("/etc/passwd", mark.join("pumua-7.pumua")).unwrap();
    File::create(mark.join("pumua-8.pumua")).unwrap().set_len(MAX_BUNDLE_BYTES + 1).unwrap();
    assert_eq!(name(Limits::BOX), Some(("pumua-2.PUMUA".to_owned(), 17)));
    assert_eq!(name(Limits { entries: 3, ..Limits::BOX }), None, "which one is the last is not known");
}

fn record(number: u64) -> ResultRecord {
    ResultRecord {
        number,
        boot: 1,
        unix_seconds: Some(1_800_000_000),
        exam: ExamId::new("ward-3").unwrap(),
        image: Digest::of(&number.to_le_bytes()),
        model: Digest::default(),
        probability: 0.9,
        point: OperatingPoint::HALF,
        verdict: Verdict::Pneumonia,
        prepared: false,
        age: AgeNote::Unknown,
        trust: None,
    }
}

fn heading(last: u64) -> Heading {
    Heading { last, model: "tiny".to_owned(), digest: Digest::default(), synthetic: false }
}

/// A folder that is played as a stick, with the worker's side of it.
struct Played {
    folder: tempfile::TempDir,
    orders: std::sync::mpsc::SyncSender<Order>,
    events: Receiver<Event>,
}

impl Played {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("stick/PUMUA")).unwrap();
        let (sender, end) = inner::line().unwrap();
        // Nobody asks it for anything here.
        let _judged = refusing(end);
        let (told, events) = channel();
        let own = play(folder.path().join("stick")).unwrap();
        let orders = start(own, sender, Language::English, move |event| told.send(event).is_ok()).unwrap();
        let played = Self { folder, orders, events };
        assert_eq!(played.event(), Event::Marked { stick: 1, bundle: None });
        assert_eq!(played.event(), Event::Films { stick: 1, films: Vec::new() });
        played
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("stick/PUMUA").join(name)
    }

    /// Has the results up to a number written, so many at a time, and gives what was told at the end.
    fn write(&self, last: u64, at_once: u64) -> Vec<Event> {
        self.orders.send(Order::Results { stick: 1, heading: heading(last) }).unwrap();
        let mut told = Vec::new();
        loop {
            match self.event() {
                Event::Wants { stick: 1, from, last: of, done } => {
                    assert!(of == last && done <= last);
                    let next = from + at_once;
                    let results = (from..next.min(last + 1)).map(record).collect();
                    let results = Ok((results, (next <= last).then_some(next)));
                    self.orders.send(Order::Batch(Batch { from, results })).unwrap();
                }
                ended @ Event::Ended { .. } => {
                    told.push(ended);
                    return told;
                }
                other => told.push(other),
            }
        }
    }
}

#[test]
fn results_are_written_as_a_table_and_a_page_and_never_over_what_is_there() {
    let played = Played::new();
    let ended = |trouble| Event::Ended { stick: 1, trouble };
    let written = |name: &str| Event::Written { stick: 1, name: name.to_owned() };
    // Several parts of each file, and several batches.
    assert_eq!(played.write(700, 200), [written("results-00000700"), ended(None)]);
    let table = fs::read_to_string(played.file("results-00000700.csv")).unwrap();
    let expected: String = (1..=700).map(|number| results::line(results::cells(&record(number)))).collect();
    assert_eq!(table, results::line(results::HEADER) + &expected);
    let page = fs::read_to_string(played.file("results-00000700.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<td>ward-3</td>").count(), 700);
    assert!(page.contains("PNEUMONIA: 700") && page.contains("Research aid, not a medical device"));
    // Either file keeps its name from being used again.
    assert_eq!(played.write(700, 1000), [written("results-00000700-2"), ended(None)]);
    fs::write(played.file("results-00000700-3.html"), b"somebody's").unwrap();
    assert_eq!(played.write(700, 1000), [written("results-00000700-4"), ended(None)]);
    assert_eq!(fs::read(played.file("results-00000700-3.html")).unwrap(), b"somebody's");
    assert!(!played.file("results-00000700-3.csv").exists());
    assert_eq!(fs::read_to_string(played.file("results-00000700.csv")).unwrap(), table);
    for nth in 5..=MOST_NAMES {
        fs::write(played.file(&format!("results-00000700-{nth}.csv")), b"").unwrap();
    }
    assert_eq!(played.write(700, 1000), [ended(Some(StickTrouble::NoName))]);
    // It goes on after that.
    assert_eq!(played.write(1, 1), [written("results-00000001"), ended(None)]);
}

#[test]
fn a_stick_that_is_pulled_out_while_results_are_written_says_so_and_leaves_no_half_of_a_file_in_reach() {
    let played = Played::new();
    played.orders.send(Order::Results { stick: 1, heading: heading(10) }).unwrap();
    assert_eq!(played.event(), Event::Wants { stick: 1, from: 1, last: 10, done: 0 });
    assert!(played.file("results-00000010.csv").exists());
    let pulled = played.folder.path().join("pulled");
    fs::rename(played.folder.path().join("stick"), &pulled).unwrap();
    // The writer looks whether it is there before the next piece is taken.
    thread::sleep(Duration::from_secs(2));
    let results = Ok(((1..=10).map(record).collect(), None));
    played.orders.send(Order::Batch(Batch { from: 1, results })).unwrap();
    assert_eq!(played.event(), Event::Ended { stick: 1, trouble: Some(StickTrouble::Interrupted) });
    assert_eq!(played.event(), Event::Gone { stick: 1 });
    assert_eq!(fs::read_dir(pulled.join("PUMUA")).unwrap().count(), 0, "what was not finished is removed");
    // Another one.
    fs::rename(&pulled, played.folder.path().join("stick")).unwrap();
    assert_eq!(played.event(), Event::Marked { stick: 2, bundle: None });
    assert_eq!(played.event(), Event::Films { stick: 2, films: Vec::new() });
}

#[test]
fn results_that_cannot_be_read_end_the_writing_and_a_batch_that_comes_late_is_passed_over() {
    let played = Played::new();
    played.orders.send(Order::Results { stick: 1, heading: heading(10) }).unwrap();
    assert_eq!(played.event(), Event::Wants { stick: 1, from: 1, last: 10, done: 0 });
    let results = |results| Order::Batch(Batch { from: 1, results });
    played.orders.send(Order::Batch(Batch { from: 7, results: Ok((Vec::new(), None)) })).unwrap();
    played.orders.send(results(Err(Fault::Storage))).unwrap();
    assert_eq!(played.event(), Event::Ended { stick: 1, trouble: Some(StickTrouble::NoResults) });
    played.orders.send(results(Ok((Vec::new(), None)))).unwrap();
    assert_eq!(played.write(2, 1).len(), 2);
    // What was not finished is gone.
    assert!(!played.file("results-00000010.csv").exists() && played.file("results-00000002.html").exists());
}

#[test]
fn a_writer_takes_only_pieces_in_their_order_and_only_of_its_stick() {
    let bytes = |stick, offset| [&Wish::Bytes { stick, offset }.bytes().unwrap()[..], b"abc"].concat();
    for (wishes, stored) in [
        (vec![bytes(1, 0), bytes(1, 4)], false),
        (vec![bytes(2, 0)], false),
        (vec![bytes(1, 0), Wish::Stop.bytes().unwrap()], false),
        (vec![bytes(1, 0), Wish::Sticks.bytes().unwrap()], false),
        (vec![vec![0; MOST_BYTES + 1]], false),
        (vec![bytes(1, 0), bytes(1, 3), Wish::End { stick: 1 }.bytes().unwrap(), Wish::Stop.bytes().unwrap()], true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("PUMUA")).unwrap();
        let (worker, own) = UnixDatagram::pair().unwrap();
        let root = folder.path().to_owned();
        let served = thread::spawn(move || writer::serve(&own, 1, &root, 7, || true));
        for wish in &wishes {
            worker.send(wish).unwrap();
        }
        served.join().unwrap().unwrap();
        let kept = fs::read(folder.path().join("PUMUA/results-00000007.csv")).ok();
        assert_eq!(kept.as_deref(), stored.then_some(&b"abcabc"[..]), "{wishes:?}");
        assert!(!folder.path().join("PUMUA/results-00000007.html").exists());
    }
}

#[test]
fn a_reader_makes_room_only_on_a_marked_stick() {
    let folder = tempfile::tempdir().unwrap();
    let (worker, own) = UnixDatagram::pair().unwrap();
    let write = Wish::Write { stick: 1, last: 7 }.bytes().unwrap();
    let mut looks = 0;
    worker.send(&write).unwrap();
    let after = serve(&own, 1, folder.path(), Limits::BOX, || {
        looks += 1;
        looks < 3
    });
    assert_eq!(after.unwrap(), After::Gone);
    fs::create_dir(folder.path().join("PUMUA")).unwrap();
    worker.send(&write).unwrap();
    assert_eq!(serve(&own, 1, folder.path(), Limits::BOX, || true).unwrap(), After::Writing);
}

#[test]
fn a_writing_that_fails_at_any_step_is_ended_and_no_other_word_is_taken_for_the_one_that_is_due() {
    let ended = |trouble| Event::Ended { stick: 1, trouble: Some(trouble) };
    let write = Some(Wish::Write { stick: 1, last: 7 });
    let world = World::new();
    world.say(1, Said::Marked { bundle: None });
    world.say(1, Said::Films(Vec::new()));
    assert_eq!(world.event(), Event::Marked { stick: 1, bundle: None });
    assert_eq!(world.event(), Event::Films { stick: 1, films: Vec::new() });
    // The stick is protected, and the first process says so once there is room.
    let out_of_turn = vec![Said::Begun { nth: 1 }, Said::Stored, Said::Kept { offset: 0 }, Said::Closed { well: true }];
    for words in [Vec::new(), out_of_turn] {
        world.orders.send(Order::Results { stick: 1, heading: heading(7) }).unwrap();
        assert_eq!(world.wish(), write);
        for said in words {
            world.say(1, said);
        }
        world.say(1, Said::Leaving);
        assert_eq!(world.wish(), write);
        world.say(1, Said::Unwritten(Unwritten::Protected));
        assert_eq!(world.event(), ended(StickTrouble::WriteProtected));
        assert_eq!(world.wish(), Some(Wish::Stop));
    }
    // It is full when the table is begun.
    world.orders.send(Order::Results { stick: 1, heading: heading(7) }).unwrap();
    assert_eq!(world.wish(), write);
    world.say(1, Said::Leaving);
    assert_eq!(world.wish(), write);
    world.say(1, Said::Begun { nth: 1 });
    assert_eq!(world.event(), Event::Wants { stick: 1, from: 1, last: 7, done: 0 });
    let results = Ok(((1..=7).map(record).collect(), None));
    world.orders.send(Order::Batch(Batch { from: 1, results })).unwrap();
    assert_eq!(world.wish(), None, "bytes to be written");
    world.say(1, Said::Unwritten(Unwritten::Full));
    assert_eq!(world.event(), ended(StickTrouble::Full));
    assert_eq!(world.wish(), Some(Wish::Stop));
    // It is pulled out before anybody has begun.
    world.orders.send(Order::Results { stick: 1, heading: heading(7) }).unwrap();
    assert_eq!(world.wish(), write);
    world.say(1, Said::Gone);
    assert_eq!(world.event(), ended(StickTrouble::Interrupted));
    assert_eq!(world.wish(), Some(Wish::Stop));
    assert_eq!(world.event(), Event::Gone { stick: 1 });
}
