use std::io::Write;

use shared::{
    age::AgeNote,
    verdict::{Fault, OperatingPoint, Refusal, Verdict},
};

use super::*;

fn answer(outcome: Outcome) -> Answer {
    Answer { at: 5, by: None, outcome }
}

fn judged(verdict: Verdict) -> Answer {
    let (point, age) = (OperatingPoint::HALF, AgeNote::Unknown);
    answer(Outcome::Judged { verdict, probability: 0.928_71, point, age, looked: false, record: Some(3) })
}

fn keep(store: &Store, bytes: &[u8], exam: &str) -> Result<Receipt, StoreError> {
    keep_of(Source::Page, store, bytes, exam)
}

fn keep_of(source: Source, store: &Store, bytes: &[u8], exam: &str) -> Result<Receipt, StoreError> {
    let mut incoming = store.begin()?;
    incoming.write_all(bytes).unwrap();
    store.keep(incoming, ExamId::new(exam).unwrap(), source, "North")
}

fn png(bytes: usize) -> Pictures {
    Pictures { film: Some(vec![1; bytes]), ..Pictures::default() }
}

#[test]
fn what_is_kept_is_there_after_a_restart_and_what_is_not_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert!(matches!(Store::open(folder.path(), Bounds::default()), Err(StoreError::InUse { .. })));
    let first = keep(&store, b"one", "a").unwrap();
    assert_eq!((first.number, first.known), (1, false));
    keep(&store, b"two", "a").unwrap();
    store.finish(1, judged(Verdict::Pneumonia), &png(10)).unwrap();
    assert!(store.say(1, Opinion::Normal).unwrap() && !store.say(2, Opinion::Normal).unwrap());
    let before = store.get(1).unwrap();
    drop(store);
    // A power cut left a part of a film, and a film without its record.
    fs::write(folder.path().join("parts/0"), b"x").unwrap();
    fs::write(folder.path().join("films/00000003.film"), b"x").unwrap();
    fs::write(folder.path().join("results/00000003.json.7.part"), b"{").unwrap();
    fs::write(folder.path().join("pictures/00000001-film.png.7.part"), b"x").unwrap();
    fs::write(folder.path().join("results/00000009.json"), b"{}").unwrap();

    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!(store.get(1).unwrap(), before);
    assert_eq!(store.picture(1, Picture::Film).unwrap().len(), 10);
    assert_eq!(store.next_waiting(Duration::ZERO), Some((2, ExamId::new("a").unwrap())));
    assert_eq!(store.film(2).unwrap(), b"two");
    let figures = store.figures();
    assert_eq!((figures.waiting, figures.results, figures.space, store.index().damaged), (1, 2, 16, 1));
    for gone in ["parts/0", "films/00000003.film", "results/00000003.json.7.part"] {
        assert!(!folder.path().join(gone).exists(), "{gone}");
    }
}

#[test]
fn a_film_of_an_exam_is_kept_once_and_again_only_if_it_failed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    let [first, other, again] =
        [("x", "a"), ("x", "b"), ("x", "a")].map(|(bytes, exam)| keep(&store, bytes.as_bytes(), exam).unwrap());
    assert_eq!([first.number, other.number, again.number], [1, 2, 1]);
    assert!(again.known && !other.known);
    store.finish(1, answer(Outcome::Refused(Refusal::Blank)), &Pictures::default()).unwrap();
    assert!(keep(&store, b"x", "a").unwrap().known);
    store.finish(2, answer(Outcome::Failed(Fault::Inference)), &png(4)).unwrap();
    let retried = keep(&store, b"x", "b").unwrap();
    assert_eq!((retried.number, retried.known), (2, false));
    assert_eq!(store.next_waiting(Duration::ZERO).unwrap().0, 2);
    assert_eq!((store.figures().space, fs::read_dir(folder.path().join("parts")).unwrap().count()), (2, 0));
}

#[test]
fn films_of_the_page_go_before_those_of_consoles_also_where_a_console_has_sent_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    for n in 0..30_u16 {
        let source = if n % 2 == 0 { Source::Node } else { Source::Folder };
        keep_of(source, &store, &n.to_le_bytes(), "").unwrap();
    }
    let next = |store: &Store| store.next_waiting(Duration::ZERO).unwrap().0;
    assert_eq!((next(&store), store.before(30)), (1, 29));
    let number = keep(&store, b"a child waits", "").unwrap().number;
    assert_eq!((next(&store), store.before(number), store.before(1), store.before(30)), (31, 0, 1, 30));
    // A console sends it again: it stays where it is. A person brings what a console has sent: it goes before the others.
    assert!(keep_of(Source::Node, &store, b"a child waits", "").unwrap().known);
    let version = store.version();
    let brought = keep(&store, &19_u16.to_le_bytes(), "").unwrap();
    assert!(brought.known && brought.number == 20 && store.version() != version);
    assert_eq!((next(&store), store.before(20), store.before(number)), (20, 0, 1));
    // One that failed, too; how it came in stays as it was.
    store.finish(20, answer(Outcome::Failed(Fault::Inference)), &Pictures::default()).unwrap();
    assert_eq!((next(&store), keep(&store, &19_u16.to_le_bytes(), "").unwrap().known), (31, false));
    assert_eq!((next(&store), store.get(20).unwrap().source), (20, Source::Folder));
    // Of five, one is a console's.
    for n in 0..8_u8 {
        keep(&store, &[n], "").unwrap();
    }
    let turns: Vec<u64> = std::iter::repeat_with(|| next(&store))
        .inspect(|&number| store.finish(number, judged(Verdict::Normal), &Pictures::default()).unwrap())
        .take(12)
        .collect();
    assert_eq!(turns, [20, 31, 32, 1, 33, 34, 35, 36, 2, 37, 38, 39]);
    drop(store);
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!((next(&store), store.figures().waiting), (3, 27));
}

#[test]
fn a_film_that_was_sent_in_another_exam_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    for (bytes, exam) in [("x", "A-0017"), ("y", "B"), ("x", "B"), ("x", "")] {
        keep(&store, bytes.as_bytes(), exam).unwrap();
    }
    let before = |store: &Store, number| store.sent_before(&store.get(number).unwrap()).map(|record| record.number);
    assert_eq!([1, 2, 3, 4].map(|number| before(&store, number)), [None, None, Some(1), Some(3)]);
    assert!(keep(&store, b"x", "B").unwrap().known);
    drop(store);
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!([1, 2, 3, 4].map(|number| before(&store, number)), [None, None, Some(1), Some(3)]);
    assert_eq!(keep(&store, b"x", "A-0017").unwrap(), Receipt { number: 1, known: true });
}

#[test]
fn space_and_results_are_bounded_and_no_answer_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds { space: 100, results: 4 }).unwrap();
    keep(&store, &[1; 60], "").unwrap();
    assert!(matches!(keep(&store, &[2; 60], ""), Err(StoreError::NoSpace)), "the first one waits");
    store.finish(1, judged(Verdict::Normal), &png(20)).unwrap();
    keep(&store, &[2; 60], "").unwrap();
    assert!(!store.index().kept.contains_key(&1) && store.picture(1, Picture::Film).is_none());
    assert_eq!(store.get(1).unwrap().word(), "normal");
    keep(&store, &[3; 20], "").unwrap();
    keep(&store, &[4; 20], "").unwrap();
    assert!(matches!(keep(&store, &[5; 1], ""), Err(StoreError::Full)));
    assert_eq!(store.figures().space, 100);
}

#[test]
fn films_that_wait_in_all_the_space_get_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds { space: 100, results: 4 }).unwrap();
    keep(&store, &[1; 50], "").unwrap();
    keep(&store, &[2; 50], "").unwrap();
    store.finish(1, judged(Verdict::Normal), &png(20)).unwrap();
    assert_eq!((store.get(1).unwrap().word(), store.pictures(&store.get(1).unwrap()).len()), ("normal", 0));
    // The first film makes room for the pictures of the second one.
    store.finish(2, judged(Verdict::Refer), &png(20)).unwrap();
    assert_eq!((store.pictures(&store.get(2).unwrap()).len(), store.figures().space), (1, 70));
}

#[test]
fn records_are_found_by_exam_number_and_kind() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    for n in 0..25_u8 {
        keep(&store, &[n], &format!("Ward-{n}")).unwrap();
    }
    store.finish(3, judged(Verdict::Refer), &Pictures::default()).unwrap();
    store.finish(4, judged(Verdict::Refer), &Pictures::default()).unwrap();
    store.finish(5, answer(Outcome::Refused(Refusal::Blank)), &Pictures::default()).unwrap();
    store.say(4, Opinion::Undecided).unwrap();
    let numbers = |text, filter, from| {
        let found = store.find(text, filter, from, 20);
        (found.records.iter().map(|record| record.number).collect::<Vec<_>>(), found.total)
    };
    assert_eq!(numbers("", Filter::All, 20), (vec![5, 4, 3, 2, 1], 25));
    assert_eq!(numbers(" ward-24 ", Filter::All, 0), (vec![25], 1));
    assert_eq!(numbers("7", Filter::All, 0).0, [18, 8, 7]);
    assert_eq!(numbers("", Filter::Refer, 0).0, [4, 3]);
    assert_eq!(numbers("", Filter::Unanswered, 0).0, [3]);
    assert_eq!(numbers("", Filter::NotJudged, 0).0, [5]);
    assert_eq!(numbers("", Filter::Waiting, 0).1, 22);
    assert_eq!(numbers("../", Filter::All, 0).1, 0);
    // As it stands on the request, though it is kept in other letters.
    keep(&store, b"acc", "ACC_2048_2f11").unwrap();
    for text in ["48/11", "acc 48/11", " ACC 48/11 ", "ACC_2048", "26"] {
        assert_eq!(numbers(text, Filter::All, 0).0, [26], "{text}");
    }
}

#[test]
fn a_number_is_given_once_also_after_damage_and_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    for film in [b"one", b"two"] {
        let number = keep(&store, film, "a").unwrap().number;
        store.finish(number, judged(Verdict::Normal), &png(10)).unwrap();
    }
    drop(store);
    fs::write(at("results/00000002.json"), "{").unwrap();

    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!(keep(&store, b"three", "b").unwrap().number, 3);
    assert_eq!(fs::read(at("results/00000002.json")).unwrap(), b"{");
    assert_eq!(fs::read(at("films/00000002.film")).unwrap(), b"two");
    // What comes from elsewhere meanwhile is not written over.
    fs::write(at("films/00000004.film"), b"by hand").unwrap();
    fs::write(at("pictures/00000005-evidence.png"), b"by hand").unwrap();
    assert_eq!(keep(&store, b"six", "b").unwrap().number, 6);
    assert_eq!(fs::read(at("films/00000004.film")).unwrap(), b"by hand");
    drop(store);
    // A result that was removed by hand: its number is not given to another child.
    fs::remove_file(at("results/00000006.json")).unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!(keep(&store, b"seven", "b").unwrap().number, 7);
    drop(store);
    fs::write(at(&format!("results/{}.json", u64::MAX)), "{").unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert!(matches!(keep(&store, b"eight", "b"), Err(StoreError::Full)));
}

#[test]
fn only_pictures_of_the_answer_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    keep(&store, b"one", "").unwrap();
    drop(store);
    // Power was cut after the pictures of an answer that was never written.
    fs::write(at("pictures/00000001-film.png"), [9; 50]).unwrap();
    fs::write(at("pictures/00000001-evidence.png"), [9; 50]).unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!((store.pictures(&store.get(1).unwrap()), store.figures().space), (vec![], 103));
    store.finish(1, judged(Verdict::Normal), &png(10)).unwrap();
    assert_eq!(store.pictures(&store.get(1).unwrap()), [Picture::Film]);
    assert!(!at("pictures/00000001-evidence.png").exists());
    assert_eq!(store.figures().space, 13, "no byte is counted twice");
    fs::write(at("pictures/00000001-evidence.png"), [9; 50]).unwrap();
    fs::write(at("pictures/00000001-film.png"), [2; 10]).unwrap();
    assert!(store.picture(1, Picture::Evidence).is_none() && store.picture(1, Picture::Film).is_none());
}

#[test]
fn a_film_is_held_to_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    keep(&store, b"one", "").unwrap();
    assert_eq!(store.film(1).unwrap(), b"one");
    fs::write(folder.path().join("films/00000001.film"), b"two").unwrap();
    assert_eq!(store.film(1).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_store_keeps_its_letters_and_records_without_digests_of_pictures_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    keep(&store, b"one", "a").unwrap();
    store.finish(1, judged(Verdict::Pneumonia), &png(10)).unwrap();
    let (id, record) = (store.id().to_owned(), store.get(1).unwrap());
    drop(store);
    let place = folder.path().join("results/00000001.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&place).unwrap()).unwrap();
    assert!(json.as_object_mut().unwrap().remove("pictures").is_some());
    fs::write(&place, json.to_string()).unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!(store.get(1).unwrap(), Record { pictures: BTreeMap::new(), ..record });
    assert_eq!((store.id(), store.index().damaged), (id.as_str(), 0));
    let other = tempfile::tempdir().unwrap();
    assert_ne!(Store::open(other.path(), Bounds::default()).unwrap().id(), id);
}

#[test]
fn other_bytes_are_another_film_and_one_that_was_refused_stays_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    keep(&store, b"compressed", "x").unwrap();
    store.finish(1, answer(Outcome::Refused(Refusal::Corrupt)), &Pictures::default()).unwrap();
    let again = keep(&store, b"compressed", "x").unwrap();
    assert_eq!((again.number, again.known, store.get(1).unwrap().word()), (1, true, "refused"));
    assert_eq!(store.next_waiting(Duration::ZERO), None);
    let plain = keep(&store, b"uncompressed", "x").unwrap();
    assert_eq!((plain.number, plain.known, store.get(2).unwrap().word()), (2, false, "waiting"));
    drop(store);
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert!(keep(&store, b"compressed", "x").unwrap().known && keep(&store, b"uncompressed", "x").unwrap().known);
}
