//! `pumua serve`, the real program: a film on the page gets the answer of `pumua predict`, by this program and by a box; a
//! watched folder; a restart after a kill.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod serving;

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::UdpSocket,
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::Value;
use serving::{
    Serving,
    client::{Answer, Page},
};
use shared::verdict::Digest;
use system_tests::{
    PATIENCE, PLAIN_MODEL, SimulatedBox, bundle, command, host, json_lines, predicted, synthetic_radiographs, within,
};

/// The rows of the page's table, by their columns.
fn table(page: &Page) -> Vec<Vec<String>> {
    let text = page.get("/results.csv").text();
    // No cell of these tests has a comma or a quotation mark.
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Verdict, code and probability of a record, as `pumua predict` says them.
fn assert_says(row: &[String], predicted: &Value) {
    assert_eq!(row[3], predicted["verdict"].as_str().unwrap(), "{row:?}");
    assert_eq!(row[4], predicted["code"].to_string(), "{row:?}");
    let probability = predicted["probability"].as_f64().map(|p| p as f32);
    assert_eq!(row[5].parse().ok(), probability, "{row:?}");
}

#[test]
fn a_film_on_the_page_gets_the_answer_of_predict_also_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut images = synthetic_radiographs(&folder.path().join("drawn"), 4);
    let broken = folder.path().join("broken.png");
    fs::write(&broken, &fs::read(&images[0]).unwrap()[..1000]).unwrap();
    let blank = folder.path().join("blank.png");
    image::GrayImage::from_pixel(100, 90, image::Luma([90])).save(&blank).unwrap();
    images.extend([broken, blank]);
    let flags = ["predict", "--json", "--model", PLAIN_MODEL].map(std::ffi::OsStr::new);
    let expected = json_lines(&host(flags.into_iter().chain(images.iter().map(|image| image.as_os_str()))));

    let store = folder.path().join("store");
    let serving = Serving::start(&store, &["--model", PLAIN_MODEL, "--site", "North"]);
    for image in &images {
        serving.page.send(&fs::read(image).unwrap(), "ward-3");
    }
    // Killed at once, with films that wait: they were acknowledged.
    drop(serving);
    let serving = Serving::start(&store, &["--model", PLAIN_MODEL, "--site", "North"]);
    serving.page.judged(images.len() as u64);
    let mut rows = table(&serving.page);
    rows.reverse();
    assert_eq!(rows.len(), images.len());
    for (row, predicted) in rows.iter().zip(&expected) {
        assert_says(row, predicted);
    }
    for picture in ["film", "square"] {
        let png = serving.page.get(&format!("/film/1/{picture}.png"));
        assert!(png.status == 200 && image::load_from_memory(&png.body).is_ok(), "{picture}");
    }
}

#[test]
fn a_box_judges_what_the_page_takes_and_films_wait_while_it_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let images = synthetic_radiographs(&folder.path().join("drawn"), 2);
    let expected = predicted(&images, Some(PLAIN_MODEL));
    let device = SimulatedBox::start(&[]).unwrap();
    let serving = Serving::start(&folder.path().join("store"), &["--box", "--port", &device.port]);
    let first = serving.page.send(&fs::read(&images[0]).unwrap(), "ward-3");
    let page = serving.page.judged(first);
    assert!(page.contains("Record of the box"), "{page}");
    assert_says(&table(&serving.page)[0], &expected[0]);
    assert_eq!(device.records().len(), 1);
    device.cut_power();
    serving.page.send(&fs::read(&images[1]).unwrap(), "ward-3");
    let told = || serving.page.get("/state").text().contains("class=\"hazard\"");
    assert!(within(PATIENCE, told), "the page says that the box is away");
    assert_eq!(table(&serving.page)[0][3], "waiting");
}

#[test]
fn a_film_that_the_box_judged_before_the_start_is_not_judged_again() {
    let folder = tempfile::tempdir().unwrap();
    let images = synthetic_radiographs(&folder.path().join("drawn"), 1);
    let device = SimulatedBox::start(&[]).unwrap();
    let image = images[0].to_str().unwrap();
    let sent = device.host("send", ["--exam", "ward-3", image]);
    assert!(device.records().len() == 1, "{}", system_tests::said(&sent));
    let serving = Serving::start(&folder.path().join("store"), &["--box", "--port", &device.port]);
    let page = &serving.page;
    page.judged(page.send(&fs::read(&images[0]).unwrap(), "ward-3"));
    assert_eq!((table(page)[0][11].as_str(), device.records().len()), ("1", 1));
    // Of another exam it is another film.
    page.judged(page.send(&fs::read(&images[0]).unwrap(), "ward-4"));
    assert_eq!(device.records().len(), 2);
}

fn update(page: &Page, file: &[u8]) -> Answer {
    page.post("/update", file, &[&format!("X-Pumua-Secret: {}", page.secret())])
}

#[test]
fn a_box_without_slots_refuses_a_bundle_from_the_page_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimulatedBox::start(&[]).unwrap();
    let serving = Serving::start(&folder.path().join("store"), &["--box", "--port", &device.port]);
    let page = &serving.page;
    let whole = bundle::small().unwrap();
    let mut damaged = whole.clone();
    // The checksum of what is packed: bits elsewhere may mean the same, for nearly all of it is zeros.
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 0x10;
    for file in [damaged, fs::read(PLAIN_MODEL).unwrap()] {
        let answer = update(page, &file);
        assert_eq!((answer.status, answer.json()["code"].as_u64()), (400, Some(421)), "{}", answer.text());
    }
    assert!(!page.get("/state").text().contains("id=\"update-said\""), "it is not sent");
    assert_eq!(update(page, &whole).status, 201);
    let refused = || {
        let text = page.get("/state").text();
        text.contains("The box does not take 9.8.7") && text.contains("(Code 420)")
    };
    assert!(within(PATIENCE, refused), "{}", page.get("/state").text());
    assert!(page.get("/state?lang=sw").text().contains("Kifaa hakipokei 9.8.7"));
    // A page that judges by itself has no box to update.
    let alone = Serving::start(&folder.path().join("alone"), &["--model", PLAIN_MODEL]);
    assert!(!alone.page.get("/state").text().contains("id=\"update\""));
    assert_eq!(update(&alone.page, &whole).status, 404);
}

#[test]
fn a_bundle_from_the_page_outlives_a_kill_lets_films_go_first_and_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let images = synthetic_radiographs(&folder.path().join("drawn"), 1);
    let (state, store) = (folder.path().join("state"), folder.path().join("store"));
    let software = state.join("software");
    fs::create_dir_all(software.join("incoming")).unwrap();
    let device = SimulatedBox::start_in(&state, &["--pace", "115200"]).unwrap();
    let options = ["--box", "--port", &device.port];
    let whole = bundle::small().unwrap();
    let part = software.join("incoming").join(format!("part-{}", Digest::of(&whole)));
    let serving = Serving::start(&store, &options);
    assert_eq!(update(&serving.page, &whole).status, 201);
    assert!(within(PATIENCE, || fs::metadata(&part).is_ok_and(|part| part.len() > 0)), "nothing comes");
    drop(serving);
    assert_eq!(fs::read_dir(store.join("parts")).unwrap().count(), 1, "it was killed on the way");
    let serving = Serving::start(&store, &options);
    let page = &serving.page;
    assert_eq!(fs::read_dir(store.join("parts")).unwrap().count(), 0);
    // The same file again: the box goes on where it was.
    assert_eq!(update(page, &whole).status, 201);
    let film = page.send(&fs::read(&images[0]).unwrap(), "ward-3");
    let first_process = {
        let (software, whole) = (software.clone(), whole.clone());
        thread::spawn(move || bundle::stage(&software, &whole).unwrap())
    };
    // The box may take the host that was killed for one that is still there, for a while.
    let is_judged = || page.get(&format!("/film/{film}")).text().contains("data-waiting=\"0\"");
    assert!(within(PATIENCE, is_judged), "{}", page.get("/state").text());
    let staged = || page.get("/state").text().contains("The box has 9.8.7: switch it off and on to start it.");
    assert!(within(PATIENCE, staged), "{}", page.get("/state").text());
    first_process.join().unwrap();
    assert_eq!(fs::read_dir(store.join("parts")).unwrap().count(), 0);
}

#[test]
fn over_a_network_a_browser_with_the_code_of_the_terminal_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let nowhere = command("pumua").args(["serve", "--listen", "0.0.0.0:0", "--store"]).arg(&store).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2), "no browser can ask for that address");
    // The address from which others would be asked; no packet is sent.
    let asked = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("192.0.2.1:9").map(|()| socket));
    let own = asked.and_then(|socket| socket.local_addr()).ok().filter(|own| !own.ip().is_loopback());
    let Some(own) = own.map(|own| format!("{}:0", own.ip())) else {
        let _ = writeln!(io::stderr(), "skipped: this computer has no address in a network");
        return;
    };
    let mut child = command("pumua")
        .args(["serve", "--listen", &own, "--store"])
        .arg(&store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let code = said.find_map(|line| Some(line.strip_prefix("code for the next browser: ")?.replace(' ', ""))).unwrap();
    // The address that is printed is one by which it answers.
    let serving = Serving::of(child);
    let page = &serving.page;
    assert_eq!(page.get("/").status, 303);
    let paired = page.post("/pair", format!("code={code}").as_bytes(), &[]);
    assert_eq!(paired.status, 303, "{}", paired.text());
    let cookie = paired.head.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let host = format!("Host: {}", page.host());
    let text = page.raw("GET", "/", b"", &[&host, &cookie]).text();
    assert!(text.contains("data-secret=") && text.contains("End session"), "{text}");
    assert_eq!(page.raw("GET", "/", b"", &[&host, "Cookie: pumua-session=0123"]).status, 303);
    // It is good for one browser.
    assert_ne!(page.post("/pair", format!("code={code}").as_bytes(), &[]).status, 303);
}

#[test]
fn a_watched_folder_is_emptied_into_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let images = synthetic_radiographs(&folder.path().join("drawn"), 3);
    let expected = predicted(&images, Some(PLAIN_MODEL));
    let watched = folder.path().join("export");
    fs::create_dir(&watched).unwrap();
    let watch = ["--watch", watched.to_str().unwrap(), "--after", "move", "--quiet", "1"];
    // Within each other, the one would judge its own pictures.
    let store = watched.join("store");
    let mut nested = command("pumua");
    nested.args(["serve", "--listen", "127.0.0.1:0", "--model", PLAIN_MODEL, "--store"]).arg(&store).args(watch);
    let nested = nested.output().unwrap();
    assert_eq!(nested.status.code(), Some(2), "{}", String::from_utf8_lossy(&nested.stderr));
    fs::remove_dir_all(&store).unwrap();
    let arguments = [["--model", PLAIN_MODEL].as_slice(), &watch].concat();
    let serving = Serving::start(&folder.path().join("store"), &arguments);
    for (n, image) in images.iter().enumerate() {
        // As a console does: under another name first.
        fs::copy(image, watched.join("film.tmp")).unwrap();
        fs::rename(watched.join("film.tmp"), watched.join(format!("{n} <b>.png"))).unwrap();
    }
    assert!(within(PATIENCE, || table(&serving.page).iter().filter(|row| row[3] != "waiting").count() == 3));
    let mut rows = table(&serving.page);
    rows.sort_by_key(|row| row[5].clone());
    let mut expected: Vec<&Value> = expected.iter().collect();
    expected.sort_by_key(|it| (it["probability"].as_f64().unwrap() as f32).to_string());
    for (row, predicted) in rows.iter().zip(expected) {
        assert_says(row, predicted);
    }
    let moved = || fs::read_dir(watched.join("pumua-taken")).is_ok_and(|entries| entries.count() == 3);
    assert!(within(Duration::from_secs(20), moved));
    assert_eq!(fs::read_dir(&watched).unwrap().count(), 1);
}
