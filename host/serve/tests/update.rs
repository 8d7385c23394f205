//! The update of a box from the page; a stand-in takes the bundles.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod client;

use std::{
    fs,
    io::{self, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use client::{Answer, Page};
use serve::{
    Bounds, By, Contents, Courier, Ending, Errand, Judge, Judged, NotSent, Outcome, Pictures, Sending, Server,
    Settings, Step, Stop, Unavailable,
};
use shared::{
    accession::ExamNaming,
    appliance::Language,
    limits::MAX_BUNDLE_BYTES,
    verdict::{Digest, ExamId, Refusal, SoftwareRefusal},
};

/// What a box does with a bundle.
type Play = Arc<dyn Fn(&mut dyn FnMut(Sending), &dyn Fn() -> bool) -> Step + Send + Sync>;

/// Takes files that begin with `bundle `, which the version follows, and keeps what it was given.
#[derive(Clone)]
struct ToBox {
    play: Play,
    begun: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Playing(Play);

impl Errand for Playing {
    fn go_on(&mut self, told: &mut dyn FnMut(Sending), rests: &dyn Fn() -> bool) -> Step {
        (self.0)(told, rests)
    }
}

impl Courier for ToBox {
    fn examine(&self, file: &Path) -> Result<Contents, NotSent> {
        let bytes = fs::read(file).map_err(NotSent::Read)?;
        let version = bytes.strip_prefix(b"bundle ").ok_or(NotSent::Refused(SoftwareRefusal::NotABundle))?;
        Ok(Contents { version: String::from_utf8_lossy(version).into_owned(), signed: false })
    }

    fn begin(&self, file: &Path, _version: &str) -> io::Result<Box<dyn Errand>> {
        self.begun.lock().unwrap().push(fs::read(file)?);
        Ok(Box::new(Playing(self.play.clone())))
    }
}

/// Refuses every film. Those that begin with `-` it cannot judge now.
struct Refusing(Option<ToBox>);

impl Judge for Refusing {
    fn by(&self) -> Option<By> {
        None
    }

    fn judge(&mut self, film: Vec<u8>, _exam: &ExamId) -> Result<Judged, Unavailable> {
        if film.first() == Some(&b'-') {
            return Err(Unavailable("the box is away".to_owned()));
        }
        let by = By { model: "m".to_owned(), digest: Digest::of(b"m"), synthetic: false, ages: None };
        Ok(Judged { by, outcome: Outcome::Refused(Refusal::Blank), pictures: Pictures::default() })
    }

    fn courier(&self) -> Option<Box<dyn Courier>> {
        self.0.clone().map(|to_box| Box::new(to_box) as Box<dyn Courier>)
    }
}

struct Running {
    folder: tempfile::TempDir,
    page: Page,
    begun: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Stop,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn playing(play: impl Fn(&mut dyn FnMut(Sending), &dyn Fn() -> bool) -> Step + Send + Sync + 'static) -> Self {
        let begun = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        Self::by(Refusing(Some(ToBox { play: Arc::new(play), begun: begun.clone() })), begun, "127.0.0.1:0")
    }

    fn by(judge: Refusing, begun: Arc<Mutex<Vec<Vec<u8>>>>, listen: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            listen: listen.parse().unwrap(),
            store: folder.path().to_owned(),
            bounds: Bounds::default(),
            site: String::new(),
            language: Language::English,
            naming: ExamNaming::default(),
            watch: None,
            node: None,
            pacs: None,
        };
        let server = Server::open(settings, Box::new(judge)).unwrap();
        let (page, stop) = (Page::at(([127, 0, 0, 1], server.address().port()).into()), server.stop());
        let thread = Some(thread::spawn(move || server.run().unwrap()));
        Self { folder, page, begun, stop, thread }
    }

    fn update(&self, file: &[u8]) -> Answer {
        self.page.post("/update", file, &[&format!("X-Pumua-Secret: {}", self.page.secret())])
    }

    fn stop_update(&self) {
        let form = format!("secret={}", self.page.secret());
        let answer = self.page.post("/update/stop", form.as_bytes(), &[]);
        assert!(answer.status == 303 && answer.head.contains("Location: /state#update"), "{}", answer.head);
    }

    /// The page on the state, once it says this.
    fn says(&self, words: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.page.get("/state").text();
            if text.contains(words) {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{words} in {text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Files that are coming in, or under way.
    fn parts(&self) -> usize {
        fs::read_dir(self.folder.path().join("parts")).unwrap().count()
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

/// Waits until something else has its turn, or the bundle is to be there.
fn until(whole: &AtomicBool, rests: &dyn Fn() -> bool) -> Step {
    while !rests() {
        if whole.load(Ordering::Relaxed) {
            return Step::Ended(Ending::Staged);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Step::Later(Duration::ZERO)
}

#[test]
fn what_becomes_of_a_bundle_is_told_in_the_words_of_the_box() {
    for (ending, words) in [
        (Ending::Staged, "The box has 9.8.7: switch it off and on to start it."),
        (Ending::Running, "The box already runs 9.8.7."),
        (Ending::Refused(SoftwareRefusal::NoSlots), "flash it anew with `pumua flash --keep-results` (Code 420)"),
        (Ending::GivenUp("no box".to_owned()), "Sending 9.8.7 has failed: no box."),
    ] {
        let running = Running::playing(move |_, _| Step::Ended(ending.clone()));
        assert!(!running.page.get("/state").text().contains("id=\"update-said\""), "nothing has been sent");
        let answer = running.update(b"bundle 9.8.7");
        assert_eq!(answer.status, 201, "{}", answer.text());
        let text = running.says(words);
        assert!(!text.contains("/update/stop") && text.contains("<form id=\"update-form\">"), "{text}");
        assert_eq!((running.begun.lock().unwrap().as_slice(), running.parts()), (&[b"bundle 9.8.7".to_vec()][..], 0));
    }
}

#[test]
fn films_go_first_and_the_bundle_goes_on_after_them() {
    let whole = Arc::new(AtomicBool::new(false));
    let shown = whole.clone();
    let running = Running::playing(move |told, rests| {
        told(Sending::Sent { done: 30, total: 40 });
        until(&shown, rests)
    });
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    let text = running.says("9.8.7 goes to the box: 75\u{a0}%. X-rays go first.");
    assert!(text.contains("<progress max=\"40\" value=\"30\"") && text.contains("Nobody has signed it"), "{text}");
    for film in [b"a", b"b"] {
        running.page.judged(running.page.send(film, ""));
    }
    running.says("75\u{a0}%");
    whole.store(true, Ordering::Relaxed);
    running.says("The box has 9.8.7");
    assert_eq!(running.begun.lock().unwrap().len(), 1, "it is begun once");
}

#[test]
fn a_box_that_judges_nothing_can_be_updated() {
    let running = Running::playing(|_, rests| {
        // A piece at a time, for a film waits.
        if rests() { Step::Ended(Ending::Staged) } else { Step::Later(Duration::ZERO) }
    });
    running.page.send(b"-", "");
    running.says("the box is away");
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    running.says("The box has 9.8.7");
}

#[test]
fn an_update_is_alone_and_can_be_stopped() {
    let running = Running::playing(|_, rests| until(&AtomicBool::new(false), rests));
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    let text = running.says("action=\"/update/stop\"");
    assert!(text.contains("<form id=\"update-form\" hidden>"), "{text}");
    let other = running.update(b"bundle 9.8.8");
    assert_eq!(other.status, 409);
    assert!(other.text().contains("another update is under way"), "{}", other.text());
    running.stop_update();
    running.says("Sending 9.8.7 was stopped. The box keeps its present program");
    // Stopped twice, it stays so.
    running.stop_update();
    assert_eq!(running.update(b"bundle 9.8.7").status, 201, "the same file again goes on");
    running.says("9.8.7 goes to the box");
}

#[test]
fn what_the_box_stores_is_not_taken_back() {
    let whole = Arc::new(AtomicBool::new(false));
    let stored = whole.clone();
    let running = Running::playing(move |told, rests| {
        told(Sending::Installing);
        until(&stored, rests)
    });
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    let text = running.says("The box checks 9.8.7 and stores it: leave it on.");
    assert!(!text.contains("/update/stop"), "{text}");
    // From a page that was fetched before.
    running.stop_update();
    whole.store(true, Ordering::Relaxed);
    running.says("The box has 9.8.7");
}

#[test]
fn a_stop_that_comes_once_the_box_has_all_of_it_is_too_late() {
    let whole = Arc::new(AtomicBool::new(false));
    let stored = whole.clone();
    let running = Running::playing(move |told, rests| {
        told(Sending::Sent { done: 30, total: 40 });
        // The last piece, which ends by itself.
        while !rests() {
            thread::sleep(Duration::from_millis(5));
        }
        told(Sending::Installing);
        until(&stored, rests)
    });
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    running.says("75\u{a0}%");
    running.stop_update();
    running.says("The box checks 9.8.7 and stores it: leave it on.");
    whole.store(true, Ordering::Relaxed);
    running.says("The box has 9.8.7");
}

#[test]
fn trouble_is_told_and_it_goes_on_by_itself() {
    let is_back = Arc::new(AtomicBool::new(false));
    let back = is_back.clone();
    let running = Running::playing(move |_, _| {
        if back.load(Ordering::Relaxed) {
            return Step::Ended(Ending::Staged);
        }
        Step::Troubled("the cable <b>is out</b>".to_owned(), Duration::from_millis(20))
    });
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    running.says("9.8.7 waits, and goes on by itself: the cable &lt;b&gt;is out&lt;/b&gt;");
    is_back.store(true, Ordering::Relaxed);
    running.says("The box has 9.8.7");
}

#[test]
fn a_program_error_on_the_way_keeps_no_film_from_its_answer() {
    let running = Running::playing(|_, _| panic!("a program error"));
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    running.says("Sending 9.8.7 has failed: an error in this program");
    running.page.judged(running.page.send(b"a", ""));
}

#[test]
fn what_is_no_bundle_is_not_sent_and_not_kept() {
    let running = Running::playing(|_, _| Step::Ended(Ending::Staged));
    for file in [&b"\x08\x07ONNX"[..], b""] {
        let answer = running.update(file);
        assert_eq!((answer.status, answer.json()["code"].as_u64()), (400, Some(421)), "{}", answer.text());
        assert!(answer.text().contains("not a bundle for the box"), "{}", answer.text());
    }
    let page = &running.page;
    let head = |length: u64| {
        format!(
            "POST /update HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nX-Pumua-Secret: {1}\r\nContent-Length: {length}\r\n\r\n",
            page.host(),
            page.secret()
        )
    };
    // Before a byte of it is sent.
    for length in [MAX_BUNDLE_BYTES + 1, u64::MAX] {
        assert_eq!(page.exchange(head(length).as_bytes()).status, 413, "{length}");
    }
    let mut cut = TcpStream::connect(page.address()).unwrap();
    cut.write_all(format!("{}bundle", head(100)).as_bytes()).unwrap();
    // It is the one that may come now.
    let start = Instant::now();
    while running.parts() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    let busy = running.update(b"bundle 9.8.7").status;
    assert!(busy == 409, "{busy}");
    cut.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Answer::read(&mut cut).status, 400);
    assert_eq!((running.begun.lock().unwrap().len(), running.parts()), (0, 0));
    assert!(!page.get("/state").text().contains("id=\"update-said\""));
    assert_eq!(running.update(b"bundle 9.8.7").status, 201);
    running.says("The box has 9.8.7");
}

#[test]
fn a_page_without_a_box_updates_nothing() {
    let running = Running::by(Refusing(None), Arc::default(), "127.0.0.1:0");
    assert!(!running.page.get("/state").text().contains("id=\"update\""));
    assert_eq!(running.update(b"bundle 9.8.7").status, 404);
    assert_eq!(running.page.post("/update/stop", b"secret=", &[]).status, 404);
}

#[test]
fn only_a_page_of_this_server_updates_or_stops() {
    let running = Running::playing(|_, rests| until(&AtomicBool::new(false), rests));
    let page = &running.page;
    let (named, own) = (format!("Host: {}", page.host()), format!("Origin: http://{}", page.host()));
    let said = format!("X-Pumua-Secret: {}", page.secret());
    for (headers, status) in [
        (vec!["Host: evil.example", &own, &said], 421),
        (vec![&named, "Origin: http://evil.example", &said], 403),
        (vec![&named, &said], 403),
        (vec![&named, &own], 403),
        (vec![&named, &own, "X-Pumua-Secret: 0123"], 403),
    ] {
        assert_eq!(page.raw("POST", "/update", b"bundle 9.8.7", &headers).status, status, "{headers:?}");
    }
    assert!(running.begun.lock().unwrap().is_empty() && running.parts() == 0);
    assert_eq!(running.update(b"bundle <script>\xe2\x80\xae").status, 201);
    let text = running.says("goes to the box");
    assert!(!text.contains("<script>") && !text.contains('\u{202e}'), "{text}");
    assert_eq!(page.post("/update/stop", b"secret=no", &[]).status, 403);
    running.says("action=\"/update/stop\"");
    let network = Running::by(Refusing(None), Arc::default(), "0.0.0.0:0");
    let (named, own) = (format!("Host: {}", network.page.host()), format!("Origin: http://{}", network.page.host()));
    assert_eq!(network.page.raw("POST", "/update", b"bundle", &[&named, &own]).status, 401);
}
