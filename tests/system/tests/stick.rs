//! Films on a memory stick, which a folder is played as: the box judges one at once, and of several the newest after a while.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use system_tests::{PATIENCE, PLAIN_MODEL, SimulatedBox, code, files, predicted, said, synthetic_radiographs, within};
use tempfile::TempDir;

/// The box with its stick, and films to copy onto that.
struct Place {
    folder: TempDir,
    films: Vec<PathBuf>,
}

impl Place {
    fn new(count: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let films = synthetic_radiographs(&folder.path().join("films"), count);
        Self { folder, films }
    }

    fn stick(&self) -> PathBuf {
        self.folder.path().join("stick")
    }

    fn start(&self) -> SimulatedBox {
        SimulatedBox::start(&["--stick-dir", self.stick().to_str().unwrap()]).unwrap()
    }

    /// Plugs a stick in with these films, each a minute newer than the one before.
    fn plug(&self, films: &[&Path]) {
        let prepared = self.folder.path().join("prepared");
        fs::create_dir_all(prepared.join("DCIM/100")).unwrap();
        for (minute, film) in (0..).zip(films) {
            let copy = prepared.join(format!("DCIM/100/IM{minute}.png"));
            fs::copy(film, &copy).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 60 * minute);
            File::options().write(true).open(copy).unwrap().set_modified(time).unwrap();
        }
        // All of it is there at once, as on a stick.
        fs::rename(prepared, self.stick()).unwrap();
    }

    fn pull(&self) {
        let pulled = self.folder.path().join("pulled");
        fs::rename(self.stick(), &pulled).unwrap();
        fs::remove_dir_all(pulled).unwrap();
    }
}

/// Waits for so many results, and gives the last one.
fn result(device: &SimulatedBox, count: usize) -> Value {
    let mut records = Vec::new();
    let there = within(PATIENCE, || {
        // Whoever asks all the time leaves the box no time.
        sleep(Duration::from_millis(500));
        records = device.records();
        records.len() >= count
    });
    assert!(there && records.len() == count, "{records:?}");
    records.remove(count - 1)
}

/// The box has said of a film what `pumua predict` says.
fn assert_judged(record: &Value, film: &Path) {
    let predicted = predicted(&[film.to_owned()], Some(PLAIN_MODEL)).remove(0);
    for field in ["verdict", "probability"] {
        assert!(!record[field].is_null() && record[field] == predicted[field], "{record} and {predicted}");
    }
    // The file's name may be the patient's.
    assert_eq!(record["study"], "");
}

/// What is on the screen now, without asking the box.
fn shown(device: &SimulatedBox) -> Vec<u8> {
    fs::read(device.state().join("screen.png")).unwrap_or_default()
}

/// The same, of a box that has just started: READY.
fn ready(device: &SimulatedBox) -> Vec<u8> {
    screen(device, "ready.png");
    shown(device)
}

/// The picture on the screen once all has been drawn that was to be.
fn screen(device: &SimulatedBox, name: &str) -> Vec<u8> {
    let file = device.state().join(name);
    let output = device.host("screenshot", [&file]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    fs::read(file).unwrap()
}

#[test]
fn one_film_is_judged_when_the_stick_is_plugged_in() {
    let place = Place::new(2);
    let device = place.start();
    let films: Vec<&Path> = place.films.iter().map(PathBuf::as_path).collect();
    for (count, film) in (1..).zip(&films) {
        place.plug(&[*film]);
        assert_judged(&result(&device, count), film);
        let verdict = screen(&device, "verdict.png");
        place.pull();
        sleep(Duration::from_secs(2));
        assert!(screen(&device, "pulled.png") == verdict, "the verdict stays when the stick is out");
    }
}

#[test]
fn the_newest_of_several_is_judged_where_nobody_chooses() {
    let place = Place::new(3);
    let device = place.start();
    let ready = ready(&device);
    let films: Vec<&Path> = place.films.iter().map(PathBuf::as_path).collect();
    place.plug(&films);
    assert!(within(PATIENCE, || shown(&device) != ready), "no list is shown");
    assert_eq!(device.records().len(), 0, "there is time to choose");
    assert_judged(&result(&device, 1), films[2]);
}

#[test]
fn a_list_goes_with_its_stick_and_a_stick_without_films_says_so() {
    let place = Place::new(2);
    let device = place.start();
    let ready = ready(&device);
    let films: Vec<&Path> = place.films.iter().map(PathBuf::as_path).collect();
    place.plug(&films);
    assert!(within(PATIENCE, || shown(&device) != ready), "no list is shown");
    place.pull();
    assert!(within(PATIENCE, || shown(&device) == ready), "the list stays");
    assert_eq!(device.records().len(), 0);
    place.plug(&[]);
    assert!(within(PATIENCE, || shown(&device) != ready), "nothing is said");
    assert_eq!(device.records().len(), 0);
}

#[test]
fn a_box_in_which_sticks_are_not_wanted_looks_at_none() {
    let place = Place::new(1);
    let settings = place.folder.path().join("box.toml");
    let stick = place.stick();
    fs::write(&settings, format!("simulate = true\nstick = false\nstick_dir = {:?}\n", stick.to_str().unwrap()))
        .unwrap();
    let device = SimulatedBox::start_with_config(&place.folder.path().join("state"), &settings).unwrap();
    let ready = ready(&device);
    place.plug(&[&place.films[0]]);
    sleep(Duration::from_secs(5));
    assert!(shown(&device) == ready && device.records().is_empty());
}

#[test]
fn nothing_is_written_onto_a_marked_stick_without_a_key() {
    let place = Place::new(1);
    let device = place.start();
    let ready = ready(&device);
    // Marked, with a film and a bundle on it.
    let mark = place.folder.path().join("prepared/PUMUA");
    fs::create_dir_all(&mark).unwrap();
    fs::write(mark.join("pumua-9.pumua"), b"a bundle").unwrap();
    place.plug(&[&place.films[0]]);
    assert_judged(&result(&device, 1), &place.films[0]);
    // Longer than the newest of several waits.
    sleep(Duration::from_secs(25));
    let mark = place.stick().join("PUMUA");
    assert_eq!(files(&mark), [mark.join("pumua-9.pumua")]);
    place.pull();
    // The same without a film: it is asked, and nobody answers.
    let verdict = screen(&device, "verdict.png");
    assert!(verdict != ready);
    fs::create_dir_all(place.folder.path().join("prepared/PUMUA")).unwrap();
    place.plug(&[]);
    sleep(Duration::from_secs(5));
    assert!(files(&mark).is_empty());
    assert_eq!(device.records().len(), 1);
}
