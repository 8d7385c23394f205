//! The page over a socket, as browsers and others ask for it; a stand-in judges.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod client;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use client::{Answer, Page};
use serde_json::Value;
use serve::{Bounds, By, Judge, Judged, Outcome, Pictures, Server, Settings, Stop, Unavailable};
use shared::{
    accession::ExamNaming,
    age::AgeNote,
    appliance::Language,
    verdict::{Digest, ExamId, OperatingPoint, Refusal, Verdict},
};

/// Says of a film what its first letter asks for, and counts.
struct StandIn {
    judged: Sender<Vec<u8>>,
    model: &'static str,
}

impl Judge for StandIn {
    fn by(&self) -> Option<By> {
        Some(By { model: self.model.to_owned(), digest: Digest::of(b"m"), synthetic: false, ages: None })
    }

    fn judge(&mut self, film: Vec<u8>, _exam: &ExamId) -> Result<Judged, Unavailable> {
        let verdict = |verdict, probability| {
            let (point, age) = (OperatingPoint::HALF, AgeNote::Unknown);
            Outcome::Judged { verdict, probability, point, age, looked: true, record: None }
        };
        let outcome = match film.first() {
            Some(b'n') => verdict(Verdict::Normal, 0.02),
            Some(b'p') => verdict(Verdict::Pneumonia, 0.987),
            Some(b'!') => panic!("a program error"),
            Some(b'-') => return Err(Unavailable("the box <b>is away</b>".to_owned())),
            _ => Outcome::Refused(Refusal::UnknownFormat),
        };
        self.judged.send(film).unwrap();
        let pictures = Pictures { film: Some(b"\x89PNG".to_vec()), ..Pictures::default() };
        Ok(Judged { by: self.by().unwrap(), outcome, pictures })
    }
}

struct Running {
    page: Page,
    judged: Receiver<Vec<u8>>,
    stop: Stop,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start(folder: &std::path::Path) -> Self {
        Self::at(folder, "127.0.0.1:0", "tiny-model")
    }

    fn at(folder: &std::path::Path, listen: &str, model: &'static str) -> Self {
        let (sender, judged) = channel();
        let settings = Settings {
            listen: listen.parse().unwrap(),
            store: folder.to_owned(),
            bounds: Bounds::default(),
            site: "North <1>".to_owned(),
            language: Language::English,
            naming: ExamNaming::default(),
            watch: None,
        };
        let server = Server::open(settings, Box::new(StandIn { judged: sender, model })).unwrap();
        let (address, stop) = (server.address(), server.stop());
        let thread = thread::spawn(move || server.run().unwrap());
        Self { page: Page::at(([127, 0, 0, 1], address.port()).into()), judged, stop, thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_film_is_judged_shown_answered_and_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let number = page.send(b"pneumonia", "ward-3");
    let film = page.judged(number);
    for words in [
        "Exam ward-3",
        "PNEUMONIA",
        "Pneumonia suspected",
        "99 %",
        "Code 101",
        "tiny-model",
        "North &lt;1&gt;",
        "Age unknown",
        "No place speaks strongly",
    ] {
        assert!(film.contains(words), "{words} in {film}");
    }
    assert!(page.get("/?lang=sw").text().contains("NIMONIA"));
    let picture = page.get(&format!("/film/{number}/film.png"));
    assert_eq!((picture.status, picture.body.as_slice()), (200, &b"\x89PNG"[..]));
    assert_eq!(page.get(&format!("/film/{number}/square.png")).status, 404);

    let form = format!("secret={}&said=normal", page.secret());
    assert_eq!(page.post(&format!("/film/{number}/clinician"), form.as_bytes(), &[]).status, 303);
    let slip = page.get(&format!("/slip/{number}")).text();
    assert!(slip.contains("<b>NORMAL</b>") && slip.contains("Research aid, not a medical device"), "{slip}");
    drop(running);

    let again = Running::start(folder.path());
    assert!(again.page.get("/slip/1").text().contains("<b>NORMAL</b>"));
    let table = again.page.get("/results.csv").text();
    assert!(table.lines().nth(1).unwrap().contains(",ward-3,pneumonia,101,0.987,unknown,false,tiny-model,"), "{table}");
    assert!(again.judged.try_recv().is_err(), "it is not judged again");
}

#[test]
fn the_same_film_of_an_exam_is_judged_once() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let first = page.send(b"normal", "a");
    page.judged(first);
    let again = page.upload(b"normal", "a");
    assert_eq!((again.status, again.json()["known"].as_bool()), (201, Some(true)));
    let other = page.send(b"normal", "b");
    page.judged(other);
    assert_eq!((first, other, running.judged.try_iter().count()), (1, 2, 2));
}

#[test]
fn a_program_error_on_one_film_is_told_and_the_next_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let [bad, good] = [b"!", b"n"].map(|film| running.page.send(film, ""));
    assert!(running.page.judged(bad).contains("Code 305"));
    assert!(running.page.judged(good).contains("NORMAL"));
}

#[test]
fn while_nobody_judges_films_wait_and_the_page_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    running.page.send(b"-", "");
    let start = Instant::now();
    while !running.page.get("/state").text().contains("the box &lt;b&gt;is away&lt;/b&gt;") {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(running.page.get("/film/1").text().contains("data-waiting=\"1\""));
}

#[test]
fn requests_from_elsewhere_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let (secret, host) = (page.secret(), page.host());
    let own = format!("Origin: http://{host}");
    let said = format!("X-Pumua-Secret: {secret}");
    let raw = |headers: &[&str]| page.raw("POST", "/films", b"p", headers).status;
    let named = format!("Host: {host}");
    assert_eq!(raw(&[&named, &own, &said]), 201);
    for (headers, status) in [
        (vec!["Host: evil.example", &own, &said], 421),
        (vec![&named, "Origin: http://evil.example", &said], 403),
        (vec![&named, "Origin: null", &said], 403),
        (vec![&named, &said], 403),
        (vec![&named, &own], 403),
        (vec![&named, &own, "X-Pumua-Secret: 0123"], 403),
    ] {
        assert_eq!(raw(&headers), status, "{headers:?}");
    }
    assert_eq!(page.post("/film/1/clinician", b"said=normal&secret=no", &[]).status, 403);
    // A page under another name, as after a change of what a name stands for.
    assert_eq!(page.raw("GET", "/", b"", &["Host: evil.example:80"]).status, 421);
    assert_eq!(page.get("/film/2").status, 404);
}

#[test]
fn no_path_leads_out_and_every_answer_is_kept_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret.txt"), "do not tell").unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let number = page.send(b"n", "");
    page.judged(number);
    for path in [
        "/../secret.txt",
        "/film/../../secret.txt",
        "/film/..%2f..%2fsecret.txt",
        "/film/1/..%2f..%2fsecret.txt",
        "/film/1/film.png%00.txt",
        "/film/1e0",
        "/film/-1",
        "/film/99999999999999999999999",
        "/results/00000001.json",
        "/films/00000001.film",
        "/.",
        "/%",
    ] {
        let answer = page.get(path);
        assert!(answer.status == 404 && !answer.text().contains("do not tell"), "{path}: {}", answer.status);
    }
    for path in [
        "/",
        "/film/1",
        "/film/1/film.png",
        "/slip/1",
        "/results.csv",
        "/help",
        "/state",
        "/news",
        "/script.js",
        "/none",
    ] {
        let head = page.get(path).head;
        for line in ["Cache-Control: no-store", "default-src 'none'", "frame-ancestors 'none'", "nosniff"] {
            assert!(head.contains(line), "{path}: {head}");
        }
    }
    assert_eq!(page.raw("DELETE", "/film/1", b"", &[&format!("Host: {}", page.host())]).status, 405);
}

#[test]
fn hostile_texts_are_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::at(folder.path(), "127.0.0.1:0", "=cmd|'<script>alert(1)</script>\u{202e}");
    let page = &running.page;
    let number = page.send(b"n", "");
    page.judged(number);
    assert_eq!(page.upload(b"n", "<script>").status, 400);
    for path in ["/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/film/1", "/slip/1", "/state", "/?show=%3Cscript%3E"] {
        let text = page.get(path).text();
        assert!(!text.contains("<script>") && !text.contains('\u{202e}'), "{path}: {text}");
    }
    assert!(
        page.get("/results.csv").text().contains(",\"'=cmd|'<script>")
            || page.get("/results.csv").text().contains(",'=cmd|'")
    );
}

#[test]
fn too_large_and_cut_films_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let head = |length: usize| {
        format!(
            "POST /films HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nX-Pumua-Secret: {1}\r\nContent-Length: {length}\r\n\r\n",
            page.host(),
            page.secret()
        )
    };
    // Answered before it is sent, and also if it is sent all the same.
    let large = page.exchange(head((32 << 20) + 1).as_bytes());
    assert_eq!((large.status, large.json()["code"].as_u64()), (413, Some(203)));
    let mut sent = head((32 << 20) + 1).into_bytes();
    sent.resize(sent.len() + (32 << 20) + 1, 0);
    assert_eq!(page.exchange(&sent).status, 413);
    let mut cut = TcpStream::connect(page.address()).unwrap();
    cut.write_all(head(100).as_bytes()).unwrap();
    cut.write_all(&[b'n'; 50]).unwrap();
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(Answer::read(&mut cut).status, 400);
    assert!(page.get("/").text().contains("No X-rays here"));
    assert_eq!(fs::read_dir(folder.path().join("parts")).unwrap().count(), 0);
    let whole = page.send(&[b'n'; 100], "");
    assert_eq!(whole, 1);
}

#[test]
fn slow_and_silent_clients_do_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    page.secret();
    // More than there may be, each with half a request.
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(page.address()).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(page.get("/help").status, 200);
    assert_eq!(page.send(b"n", ""), 1);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    // Those that are left are told, and let go.
    let mut last = slow.into_iter().next_back().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut text = String::new();
    let _ = last.read_to_string(&mut text);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
}

#[test]
fn over_a_network_nothing_is_shown_without_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::at(folder.path(), "0.0.0.0:0", "tiny-model");
    let page = &running.page;
    for path in ["/", "/film/1", "/state", "/slip/1"] {
        let answer = page.get(path);
        assert!(answer.status == 303 && answer.head.contains("Location: /pair"), "{path}");
    }
    for path in ["/news", "/results.csv", "/film/1/film.png"] {
        assert_eq!(page.get(path).status, 401, "{path}");
    }
    assert_eq!(
        page.raw(
            "POST",
            "/films",
            b"p",
            &[&format!("Host: {}", page.host()), &format!("Origin: http://{}", page.host())]
        )
        .status,
        401
    );
    assert!(page.get("/pair").text().contains("six digits"));
    assert_eq!(page.post("/pair", b"code=12345", &[]).status, 403);
    assert_eq!(page.post("/pair", b"code=", &[]).status, 403);
    assert_eq!(page.post("/pair", b"code=1", &[]).status, 429);
    assert_eq!(page.raw("POST", "/pair", b"code=1", &[&format!("Host: {}", page.host())]).status, 403);
}

#[test]
fn lists_have_pages_and_are_searched() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    for n in 0..23_u8 {
        page.send(&[b'n', n], &format!("child-{n}"));
    }
    page.judged(23);
    let first = page.get("/").text();
    assert!(first.contains("1 to 20 of 23") && first.contains("child-22<") && !first.contains("child-2<"), "{first}");
    let second = page.get("/?q=&show=&page=1").text();
    assert!(second.contains("21 to 23 of 23") && second.contains("child-2<"));
    assert!(page.get("/?q=CHILD-7").text().contains("1 to 1 of 1"));
    assert!(page.get("/?show=pneumonia").text().contains("No X-rays here"));
    assert!(page.get("/?page=18446744073709551615").text().contains("No X-rays here"));
    let news: Value = page.get("/news").json();
    assert!(news["version"].is_u64());
}
