//! The page over a socket, as browsers and others ask for it; a stand-in judges.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod client;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use client::{Answer, Page};
use serde_json::Value;
use serve::{
    After, Bounds, By, Judge, Judged, Node, Outcome, Pictures, ServeError, Server, Settings, Stop, Unavailable, Watch,
};
use shared::{
    accession::ExamNaming,
    age::{Age, AgeNote},
    appliance::Language,
    verdict::{Digest, ExamId, OperatingPoint, Refusal},
};

/// Says of a film what its first letter asks for, and counts.
struct StandIn {
    judged: Sender<Vec<u8>>,
    model: &'static str,
}

/// Of this model no verdict means anything.
const SYNTHETIC: &str = "synthetic-model";

impl Judge for StandIn {
    fn by(&self) -> Option<By> {
        let synthetic = self.model == SYNTHETIC;
        Some(By { model: self.model.to_owned(), digest: Digest::of(b"m"), synthetic, ages: None })
    }

    fn judge(&mut self, film: Vec<u8>, _exam: &ExamId) -> Result<Judged, Unavailable> {
        // A film that ends so is of a child of nine years, for whom the model is not made.
        let age =
            if film.ends_with(b"aged") { AgeNote::Overridden(Age::months(108).unwrap()) } else { AgeNote::Unknown };
        let judged = |probability, point: OperatingPoint| {
            let verdict = point.verdict(probability);
            Outcome::Judged { verdict, probability, point, age, looked: true, record: None }
        };
        let banded = OperatingPoint { threshold: 0.7, refer_from: 0.082_27, refer_to: 0.969_44 };
        let outcome = match film.first() {
            Some(b'n') => judged(0.02, OperatingPoint::HALF),
            Some(b'p') => judged(0.987, OperatingPoint::HALF),
            Some(b'8') => judged(0.08, banded),
            Some(b'9') => judged(0.97, banded),
            Some(b'r') => judged(0.5, banded),
            Some(b'o') => Outcome::Refused(Refusal::TooOld),
            Some(b'!') => panic!("a program error"),
            Some(b'-') => return Err(Unavailable("the box <b>is away</b>".to_owned())),
            _ => Outcome::Refused(Refusal::UnknownFormat),
        };
        self.judged.send(film).unwrap();
        let pictures = Pictures { film: Some(b"\x89PNG".to_vec()), ..Pictures::default() };
        Ok(Judged { by: self.by().unwrap(), outcome, pictures })
    }
}

fn settings(folder: &Path, listen: &str) -> Settings {
    Settings {
        listen: listen.parse().unwrap(),
        store: folder.to_owned(),
        bounds: Bounds::default(),
        site: "North <1>".to_owned(),
        language: Language::English,
        naming: ExamNaming::default(),
        watch: None,
        node: None,
        pacs: None,
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
        let server = Server::open(settings(folder, listen), Box::new(StandIn { judged: sender, model })).unwrap();
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
        "99\u{a0}%",
        "<dt>Code</dt><dd>101</dd>",
        "Below 50\u{a0}%: NORMAL. From 50\u{a0}%: PNEUMONIA.",
        "from this page",
        "tiny-model",
        "North &lt;1&gt;",
        "Age unknown",
        "found no single place that points clearly to pneumonia",
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
    let failed = running.page.judged(bad);
    assert!(failed.contains("Code 305") && !failed.contains("What was"), "there is no picture: {failed}");
    assert!(running.page.judged(good).contains("NORMAL"));
}

#[test]
fn what_is_shown_of_a_probability_never_contradicts_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    for (film, own, ranges) in [
        (b"8", "8.0 %", "Below 8.2 %: NORMAL. From 8.2 %: REFER. From 97 %: PNEUMONIA."),
        (b"9", "97.0 %", "Below 8 %: NORMAL. From 8 %: REFER. From 96.9 %: PNEUMONIA."),
    ] {
        let number = page.send(film, "");
        let text = page.judged(number);
        let [own, ranges] = [own, ranges].map(|words| words.replace(" %", "\u{a0}%"));
        assert!(text.contains(&format!("<b>{own}</b>")) && text.contains(&ranges), "{text}");
        assert!(page.get("/").text().contains(&format!("<span class=\"figure\">{own}</span>")));
    }
}

#[test]
fn each_film_is_told_of_whatever_the_list_shows() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    for n in 0..25_u8 {
        page.send(&[b'n', n], if n == 0 { "A-0017" } else { "" });
    }
    page.judged(25);
    page.send(b"-", "");
    page.send(b"n-", "");
    let told = page.get("/news?of=25,1,x,26,27,99,-1,").json()["films"].clone();
    let said: Vec<&str> = told.as_array().unwrap().iter().map(|film| film["said"].as_str().unwrap()).collect();
    let waiting = "Waiting. X-rays before this one: 1";
    assert_eq!(said, ["Record 25: NORMAL", "Exam A-0017: NORMAL", "ANALYSING. Please wait", waiting]);
    assert_eq!(told[0], serde_json::json!({ "number": 25, "kind": "normal", "waits": false, "said": said[0] }));
    assert_eq!((told[2]["waits"].as_bool(), told[3]["waits"].as_bool()), (Some(true), Some(true)));
    assert_eq!(page.get("/news").json()["films"], serde_json::json!([]));
    let all: Vec<String> = (1..=25).cycle().take(300).map(|number| number.to_string()).collect();
    let told = page.get(&format!("/news?of={}", all.join(","))).json()["films"].as_array().unwrap().len();
    assert_eq!(told, 100);
    let film = page.get("/film/27").text();
    assert!(film.contains("X-rays before this one: 1") && film.contains(">Waiting</p>"), "{film}");
}

#[test]
fn the_list_has_small_pictures_and_says_whom_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let [judged, failed] = [b"n", b"!"].map(|film| page.send(film, ""));
    page.judged(failed);
    let list = page.get("/").text();
    let small = |number| format!("<img class=\"small\" src=\"/film/{number}/film.png\" alt=\"\" loading=\"lazy\">");
    assert!(list.contains(&small(judged)) && !list.contains(&small(failed)), "{list}");
    assert!(list.contains("<p>Made for frontal chest X-rays; it is not known of which ages.</p>"), "{list}");
}

#[test]
fn a_film_that_was_sent_in_another_exam_is_told_of_on_page_and_slip() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let [first, second] = ["A-0017", "A-0018"].map(|exam| page.send(b"normal", exam));
    let warning = "The same X-ray was sent before: <a href=\"/film/1\">Exam A-0017</a>. Check which exam is right.";
    assert!(page.judged(second).contains(warning));
    assert!(page.get(&format!("/slip/{second}")).text().contains(warning));
    assert!(!page.judged(first).contains("The same X-ray"));
}

/// The card with the verdict on a page or a slip.
fn card(text: &str) -> &str {
    let (_, card) = text.split_once("<div class=\"card ").expect("there is a card");
    card.split("</div>").next().unwrap_or_default()
}

#[test]
fn every_verdict_says_what_to_do_next_on_page_and_slip() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let check = "Check the picture: is it this child&#39;s X-ray, and is the whole chest within the blue line?";
    let normal =
        "A clinician looks at the child as usual. A child who looks ill needs a clinician, whatever the verdict.";
    let pneumonia = "A clinician reads the X-ray and sees the child.";
    let refer = "There is no opinion: a clinician reads the X-ray and sees the child.";
    let unreliable = "Do not rely on this verdict: a clinician reads the X-ray.";
    for (film, next) in [(&b"n"[..], normal), (&b"p"[..], pneumonia), (&b"r"[..], refer), (&b"n aged"[..], unreliable)]
    {
        let number = page.send(film, "");
        for text in [page.judged(number), page.get(&format!("/slip/{number}")).text()] {
            let told = format!("<p class=\"remedy\">{next}</p><p class=\"check\">{check}</p>");
            assert!(card(&text).contains(&told), "{told} in {text}");
        }
    }
    // What is refused has its own.
    let refused = page.judged(page.send(b"old", ""));
    assert!(!refused.contains(check) && card(&refused).contains("class=\"remedy\""), "{refused}");
    for (language, next) in [
        ("fr", "Un clinicien lit la radiographie et examine l&#39;enfant."),
        ("pt", "Um clínico lê a radiografia e observa a criança."),
        ("sw", "Tabibu asome eksirei na amwangalie mtoto."),
        ("en", pneumonia),
    ] {
        let text = page.get(&format!("/slip/2?lang={language}")).text();
        assert!(card(&text).contains(next), "{next} in {text}");
    }
    drop(running);
    let running = Running::at(folder.path(), "127.0.0.1:0", SYNTHETIC);
    let number = running.page.send(b"n of drawings", "");
    assert!(card(&running.page.judged(number)).contains(unreliable));
}

#[test]
fn a_scale_with_a_band_says_what_the_band_means() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let meant = "<p class=\"hint\">REFER – There is no opinion: a clinician must decide.</p>";
    // Without a band there is nothing to say, and a film that is referred says it itself.
    for (film, told) in [(b"8", true), (b"9", true), (b"n", false), (b"r", false)] {
        let text = page.judged(page.send(film, ""));
        assert_eq!(card(&text).contains(meant), told, "{text}");
    }
}

#[test]
fn the_exam_says_what_it_is_for_before_a_film_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    for (language, field, hint) in [
        ("fr", "Examen, pour la retrouver", "ne peut pas être ajouté plus tard"),
        ("pt", "Exame, para a encontrar depois", "não pode ser acrescentado mais tarde"),
        ("sw", "Uchunguzi, ili uipate tena", "haliwezi kuongezwa baadaye"),
        ("en", "Exam, to find it again", "cannot be added later"),
    ] {
        let text = page.get(&format!("/?lang={language}")).text();
        assert!(text.contains(&format!("data-exam=\"{field}\"")), "{field} in {text}");
        let (before, _) = text.split_once("<button id=\"judge\"").unwrap();
        let (_, told) = before.split_once("<p id=\"exam-hint\"").unwrap();
        assert!(told.contains(hint), "{hint} in {text}");
    }
}

#[test]
fn a_search_without_a_match_says_so_and_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    page.judged(page.send(b"n", "ward-3"));
    let [nothing, empty, clear] = ["Nothing matches this search.", "No X-rays here", "href=\"/\">Clear the search</a>"];
    let searched = "the exam, or a part of it, and the number of the record. Names of files are not kept.";
    // By the name of its file nothing is found; of a kind alone no letters are searched.
    for (query, typed) in [("?q=IM-0001.png", true), ("?q=ward&show=pneumonia", true), ("?show=pneumonia", false)] {
        let text = page.get(&format!("/{query}")).text();
        assert!(text.contains(nothing) && text.contains(clear) && !text.contains(empty), "{query}: {text}");
        assert_eq!(text.contains(searched), typed, "{query}: {text}");
    }
    for query in ["", "?q=ward", "?q=%20&show=", "?page=7"] {
        let text = page.get(&format!("/{query}")).text();
        assert!(!text.contains(nothing) && !text.contains(clear), "{query}: {text}");
    }
    // What is searched comes back as it was typed.
    assert!(page.get("/?q=bed%208%20h").text().contains("value=\"bed 8 h\""));
    for (language, nothing) in [
        ("fr", "Rien ne correspond à cette recherche."),
        ("pt", "Nada corresponde a esta procura."),
        ("sw", "Hakuna kinacholingana na utafutaji huu."),
    ] {
        assert!(page.get(&format!("/?q=x&lang={language}")).text().contains(nothing), "{language}");
    }
}

#[test]
fn another_language_keeps_the_search() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    page.judged(page.send(b"n", "ward-3"));
    let long = format!("/?q={}", "a".repeat(2000));
    for (path, kept) in [
        ("/", String::new()),
        ("/?q=&show=&page=0&lang=sw", "page=0&amp;".to_owned()),
        (
            "/?page=1&show=normal&q=a%26lang=sw%22&lang=pt&other=1",
            "q=a%26lang%3Dsw%22&amp;show=normal&amp;page=1&amp;".to_owned(),
        ),
        ("/film/1?known=1", "known=1&amp;".to_owned()),
        ("/slip/1", String::new()),
        // No longer than an exam.
        (long.as_str(), format!("q={}&amp;", "a".repeat(64))),
    ] {
        let text = page.get(path).text();
        for language in ["en", "fr", "pt", "sw"] {
            let link = format!("<a href=\"?{kept}lang={language}\"");
            assert!(text.contains(&link), "{path}: {link} in {text}");
        }
    }
    let text = page.get("/?q=ward&show=normal&lang=fr").text();
    assert!(text.contains("value=\"ward\"") && text.contains("<option value=\"normal\" selected>"), "{text}");
}

#[test]
fn of_a_film_that_is_not_judged_nothing_is_called_judged() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let text = page.judged(page.send(b"old", ""));
    for words in
        ["What was sent", "The file says that the patient is older", "The ages that the model is for", "Code 231"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!text.contains("What was judged"), "{text}");
}

#[test]
fn what_is_wrong_with_a_field_is_said_in_the_words_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let wrong = page.upload(b"n", "ward 3/17");
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["message"].as_str().unwrap().contains("no spaces"), "{}", wrong.text());
    page.judged(page.send(b"n", ""));
    for (path, words) in [
        ("/?lang=en", "no spaces"),
        ("/?lang=fr", "sans espaces"),
        ("/?lang=pt", "sem espaços"),
        ("/?lang=sw", "bila nafasi"),
        ("/film/1", "Choose one of these"),
    ] {
        let text = page.get(path).text();
        let told = text.split("data-wrong=\"").skip(1).any(|rest| rest.split('"').next().unwrap().contains(words));
        assert!(told, "{words} in {text}");
        // Whatever a browser would find wrong has words of its own; the script gives them to the field for the exam.
        assert_eq!(text.matches(" required").count(), text.matches(" required data-wrong=").count(), "{text}");
    }
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
fn whoever_is_not_let_in_takes_no_places_of_those_who_send() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let page = &running.page;
    let begun = |path: &str| {
        let mut stream = TcpStream::connect(page.address()).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\n", page.host());
        stream.write_all(format!("{head}Content-Length: 100\r\n\r\nx").as_bytes()).unwrap();
        stream
    };
    let films: Vec<TcpStream> = (0..24).map(|_| begun("/films")).collect();
    let mut forms: Vec<TcpStream> = (0..24).map(|_| begun("/film/1/clinician")).collect();
    assert_eq!(page.send(b"n", ""), 1);
    // Of a form, a few come in at once, and not for long.
    let start = Instant::now();
    let statuses: Vec<u16> = forms.iter_mut().map(|stream| Answer::read(stream).status).collect();
    assert!(statuses.contains(&503) && statuses.contains(&403), "{statuses:?}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop(films);
}

#[test]
fn store_and_watched_folder_are_apart() {
    let folder = tempfile::tempdir().unwrap();
    let [export, store] = ["export", "store"].map(|name| folder.path().join(name));
    fs::create_dir(&export).unwrap();
    std::os::unix::fs::symlink(&export, folder.path().join("link")).unwrap();
    let open = |store: &Path, watched: &Path| {
        let watch =
            Watch { folder: watched.to_owned(), after: After::Leave, every: Duration::ZERO, quiet: Duration::ZERO };
        let settings = Settings { watch: Some(watch), ..settings(store, "127.0.0.1:0") };
        Server::open(settings, Box::new(StandIn { judged: channel().0, model: "tiny-model" })).map(drop)
    };
    for (store, watched) in [
        (export.join("store"), export.clone()),
        (folder.path().join("link/store"), export.clone()),
        (export.clone(), export.clone()),
        (folder.path().to_owned(), export.clone()),
    ] {
        let refused = open(&store, &watched);
        assert!(matches!(refused, Err(ServeError::Nested { .. })), "{store:?} {watched:?}: {refused:?}");
    }
    open(&store, &export).unwrap();
}

#[test]
fn the_state_says_where_consoles_send_and_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let open = |listen: &str| {
        let node = Node { listen: listen.parse().unwrap(), title: "PUMUA".parse().unwrap(), peers: Vec::new() };
        let settings = Settings { node: Some(node), ..settings(folder.path(), "127.0.0.1:0") };
        Server::open(settings, Box::new(StandIn { judged: channel().0, model: "tiny-model" }))
    };
    // Anybody in the network could send.
    assert!(matches!(open("0.0.0.0:0").map(drop), Err(ServeError::NoPeer { .. })));
    let server = open("127.0.0.1:0").unwrap();
    let (page, node, stop) = (Page::at(server.address()), server.node_address().unwrap(), server.stop());
    let thread = thread::spawn(move || server.run().unwrap());
    // A browser at the port of consoles.
    let mut stream = TcpStream::connect(node).unwrap();
    stream.write_all(b"GET /<script> HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = page.get("/state").text();
    stop.ask();
    thread.join().unwrap();
    for words in [format!("AE title PUMUA, address 127.0.0.1, port {}", node.port()).as_str(), "is not DICOM as agreed"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!text.contains("<script>") && text.contains("class=\"hazard\""), "{text}");
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
    assert!(page.get("/?show=pneumonia").text().contains("Nothing matches this search"));
    assert!(page.get("/?page=18446744073709551615").text().contains("No X-rays here"));
    let news: Value = page.get("/news").json();
    assert!(news["version"].is_u64());
}

#[test]
fn a_page_says_of_which_store_and_film_it_is() {
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let of = |folder: &std::path::Path| {
        let running = Running::start(folder);
        let page = &running.page;
        page.judged(page.send(b"normal", "ward-3"));
        let news = page.get("/news").json();
        let store = news["store"].as_str().unwrap().to_owned();
        let (list, film) = (page.get("/").text(), page.get("/film/1").text());
        let named = format!("<div id=\"live\" data-store=\"{store}\"");
        assert!(list.contains(&named), "{list}");
        // The heading is replaced with the verdict, never one without the other.
        let (_, live) = film.split_once(&named).unwrap();
        assert!(live.contains("<h1>Exam ward-3</h1>"), "{film}");
        assert!(live.contains(&format!(" data-of=\"{:.16}-ward-3\"", Digest::of(b"normal"))), "{film}");
        store
    };
    let first = of(folder.path());
    assert_eq!(of(folder.path()), first, "also after a restart");
    assert_ne!(of(other.path()), first);
}

#[test]
fn a_damaged_record_gives_its_number_and_film_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    running.page.judged(running.page.send(b"pneumonia", "ward-3"));
    drop(running);
    fs::write(folder.path().join("results/00000001.json"), "{").unwrap();
    let running = Running::start(folder.path());
    let number = running.page.send(b"normal", "ward-4");
    assert_eq!(number, 2);
    let film = running.page.judged(number);
    assert!(film.contains("Exam ward-4") && film.contains("NORMAL"), "{film}");
    assert_eq!(running.page.get("/film/1").status, 404);
    assert_eq!(running.page.get("/film/1/film.png").status, 404);
    assert_eq!(fs::read(folder.path().join("films/00000001.film")).unwrap(), b"pneumonia");
}

#[test]
fn what_is_printed_says_that_it_is_no_medical_device() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let sheet = running.page.get("/style.css").text();
    let (_, print) = sheet.split_once("@media print {").unwrap();
    assert!(print.contains("header { display: table-header-group;"), "{print}");
    assert!(print.contains(".slip > .disclaimer { display: none; }"), "it stands on every sheet already: {print}");
    for line in print.lines().filter(|line| line.contains("display: none")) {
        let mut hidden = line.split('{').next().unwrap_or_default().split(',').map(str::trim);
        assert!(hidden.all(|what| what != "header" && what != ".disclaimer"), "{line}");
    }
    for path in ["/", "/help", "/state"] {
        let text = running.page.get(path).text();
        let (header, _) = text.split_once("</header>").unwrap();
        assert!(header.contains("class=\"disclaimer\">Research aid, not a medical device"), "{path}");
    }
}
