//! Connections: so many at once, each within its time.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shared::{accession::ExamNaming, appliance::Language, limits::MAX_IMAGE_BYTES};

use crate::{
    gate::Gate,
    http::{Body, Request, Response, Timed, Wrong, read_head},
    intake::Intake,
    judge::{Judge, Standing, work},
    page::{self, App},
    stop::Stop,
    store::{Bounds, Store, StoreError},
    watch::{Watch, Watched, watch},
};

/// Connections at once. Where there are as many, the one that has waited longest for its request to come ends.
const CONNECTIONS: usize = 64;
/// Bodies at once: the others leave room for those who only look.
const BODIES: usize = 16;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long an answer may take to be read.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a body may take: this, and its bytes at the speed of a slow line.
const BODY: Duration = Duration::from_secs(15);
const SLOWEST: u64 = 32 * 1024;
/// How long, and for how many bytes, what still comes after an answer is read, so that the answer is not lost.
const REST: Duration = Duration::from_secs(2);
const REST_BYTES: u64 = 2 * MAX_IMAGE_BYTES as u64;

/// How films are taken and where the page is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address and port; port 0 for one that is free. Anything but this computer alone asks browsers for a code.
    pub listen: SocketAddr,
    /// Folder of films and results.
    pub store: PathBuf,
    /// What it may hold.
    pub bounds: Bounds,
    /// Name of the place, on each answer.
    pub site: String,
    /// Language of the page where a browser asks for none that there is.
    pub language: Language,
    /// What exams are called that nobody has named.
    pub naming: ExamNaming,
    /// The folder that films are taken from, if there is one.
    pub watch: Option<Watch>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be used.
    #[error("the page cannot be served at {address}: {source}: choose another address or port with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("the page cannot be served: {0}: end other programs, then start it again")]
    Thread(io::Error),
}

/// A page that is being served.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    judge: Box<dyn Judge>,
    stop: Stop,
}

impl Server {
    /// Opens the store and the address. From here on films can be taken in; they are judged while [`Self::run`] runs.
    pub fn open(settings: Settings, judge: Box<dyn Judge>) -> Result<Self, ServeError> {
        let Settings { listen, store, bounds, site, language, naming, watch } = settings;
        let store = Arc::new(Store::open(&store, bounds)?);
        let failed = |source| ServeError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let intake = Intake { store, naming, site };
        let (standing, gate) = (Standing::default(), Gate::new(address));
        let app = App { intake, standing, gate, language, address, watch, watched: Watched::default() };
        Ok(Self { listener, app: Arc::new(app), judge, stop: Stop::default() })
    }

    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// The way in for films.
    pub fn intake(&self) -> Intake {
        self.app.intake.clone()
    }

    /// Asks [`Self::run`] to end.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves and judges until it is asked to stop.
    pub fn run(mut self) -> Result<(), ServeError> {
        let (app, stop) = (&*self.app, &self.stop);
        thread::scope(|scope| {
            let judge = &mut *self.judge;
            let thread = |name: &str| thread::Builder::new().name(name.to_owned());
            let worker =
                thread("judge").spawn_scoped(scope, move || work(judge, &app.intake.store, &app.standing, stop));
            let watcher = app
                .watch
                .as_ref()
                .map(|it| thread("watch").spawn_scoped(scope, move || watch(it, &app.intake, &app.watched, stop)));
            let started = worker.map(drop).and_then(|()| watcher.transpose().map(drop));
            if started.is_ok() {
                accept(&self.listener, &self.app, stop);
            }
            stop.ask();
            started.map_err(ServeError::Thread)
        })
    }
}

fn accept(listener: &TcpListener, app: &Arc<App>, stop: &Stop) {
    let connections = Arc::new(Connections::default());
    let wait = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    while !stop.asked() {
        match listener.accept() {
            Ok((stream, peer)) => {
                let Ok(open) = connections.enter(&stream) else {
                    // Nobody can be sent away: all are being answered.
                    let busy = Response::words(503, "too many are asking: try again in a moment");
                    let _ = busy
                        .with("Retry-After", "2".to_owned())
                        .write(&mut Timed::new(&stream, Duration::from_millis(100)));
                    continue;
                };
                let app = app.clone();
                let answered = move || serve(&app, &stream, peer, &open);
                if let Err(error) = thread::Builder::new().name("page".to_owned()).spawn(answered) {
                    base::say!("a request was not answered: {error}");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&wait));
            }
            // Whoever came has gone, or there are no more open files: that passes.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Answers one request.
fn serve(app: &App, stream: &TcpStream, peer: SocketAddr, open: &Open) {
    // A socket inherits that it does not block.
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    let _ = stream.set_nodelay(true);
    let response = match read_head(&mut Timed::new(stream, HEAD)) {
        Ok((request, begun)) => {
            let within = BODY + Duration::from_secs(request.length / SLOWEST);
            answer(app, stream, peer.ip(), open, &request, io::Cursor::new(begun).chain(Timed::new(stream, within)))
        }
        Err(wrong) => wrong_response(wrong),
    };
    let Some(response) = response else { return };
    if response.write(&mut Timed::new(stream, ANSWER)).is_err() || stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    // With bytes unread, closing would take back the answer.
    let _ = io::copy(&mut Timed::new(stream, REST).take(REST_BYTES), &mut io::sink());
}

fn answer(
    app: &App,
    stream: &TcpStream,
    peer: IpAddr,
    open: &Open,
    request: &Request,
    body: impl Read,
) -> Option<Response> {
    let local = stream.local_addr().ok()?;
    // Nobody who sends a body is sent away for slowness: it has a time of its own.
    let Some(()) = open.answers(request.length > 0) else {
        return Some(
            Response::words(503, "too many are sending: try again in a moment").with("Retry-After", "2".to_owned()),
        );
    };
    if request.header("expect").is_some_and(|it| it.eq_ignore_ascii_case("100-continue")) {
        let mut out = Timed::new(stream, HEAD);
        io::Write::write_all(&mut out, b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    Some(page::answer(app, request, &mut Body::new(body, request.length), peer, local))
}

fn wrong_response(wrong: Wrong) -> Option<Response> {
    Some(Response::words(wrong.status()?, "this is no request that a page of Pumua makes"))
}

/// Connections that are open.
#[derive(Default)]
struct Connections(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Number of the next one: never given twice.
    next: u64,
    open: BTreeMap<u64, Entry>,
}

struct Entry {
    stream: TcpStream,
    since: Instant,
    /// Its request has not come yet.
    idle: bool,
    body: bool,
}

/// A connection, entered until this is dropped.
struct Open {
    all: Arc<Connections>,
    number: u64,
}

/// No connection can be sent away.
struct Busy;

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection. Where there are too many, the one that has waited longest for its request is sent away.
    fn enter(self: &Arc<Self>, stream: &TcpStream) -> Result<Open, Busy> {
        let mut table = self.table();
        if table.open.len() >= CONNECTIONS {
            let longest = table.open.iter().filter(|(_, entry)| entry.idle).min_by_key(|(_, entry)| entry.since);
            let number = *longest.ok_or(Busy)?.0;
            if let Some(entry) = table.open.remove(&number) {
                // It ends by itself once it notices.
                let _ = entry.stream.shutdown(Shutdown::Both);
            }
        }
        let number = table.next;
        table.next += 1;
        let stream = stream.try_clone().map_err(|_| Busy)?;
        table.open.insert(number, Entry { stream, since: Instant::now(), idle: true, body: false });
        Ok(Open { all: self.clone(), number })
    }
}

impl Open {
    /// Its request has come. `None` if it has a body, and as many bodies are coming in as may.
    fn answers(&self, body: bool) -> Option<()> {
        let mut table = self.all.table();
        if body && table.open.values().filter(|entry| entry.body).count() >= BODIES {
            return None;
        }
        if let Some(entry) = table.open.get_mut(&self.number) {
            (entry.idle, entry.body) = (false, body);
        }
        Some(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.table().open.remove(&self.number);
    }
}
