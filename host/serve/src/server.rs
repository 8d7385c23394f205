//! Connections: so many at once, each within its time.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ::node::{Timed, each};
use base::Shown;
use shared::{accession::ExamNaming, appliance::Language, limits::MAX_IMAGE_BYTES};

use crate::{
    gate::Gate,
    http::{Body, Request, Response, Wrong, read_head},
    intake::Intake,
    judge::{Judge, Standing, work},
    node::{Node, Open as OpenNode},
    outbox::{Outbox, Pacs},
    page::{self, App},
    stop::Stop,
    store::{Bounds, Store, StoreError},
    update::Updates,
    watch::{Watch, Watched, watch},
};

/// Connections at once. Where there are as many, the one that has waited longest for its request to come ends.
const CONNECTIONS: usize = 64;
/// Files at once that come in from whoever may send them: the others leave room for those who only look.
const FILES: usize = 16;
/// Forms of an address at once. Anyone may send one: what it says tells whether it is from here.
const FORMS: usize = 4;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long an answer may take to be read.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a form may take.
const FORM: Duration = Duration::from_secs(2);
/// How long a film or an update may take: this, and its bytes at the speed of a slow line.
const FILE: Duration = Duration::from_secs(15);
const SLOWEST: u64 = 32 * 1024;
/// Longest pause in it: a computer that has gone, and does not say so, keeps its place no longer.
const PAUSE: Duration = Duration::from_secs(30);
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
    /// The DICOM node to which consoles send, if there is one.
    pub node: Option<Node>,
    /// The archive to which answers go, if there is one.
    pub pacs: Option<Pacs>,
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
    /// Its own pictures would be judged, its own films moved.
    #[error("the store {store} and the watched folder {watched} are within each other: name folders that are apart", store = Shown(store.display()), watched = Shown(watched.display()))]
    Nested {
        /// Folder of films and results.
        store: PathBuf,
        /// The watched one.
        watched: PathBuf,
    },
    /// The address of the node cannot be used.
    #[error("consoles cannot send to {address}: {source}: choose another address or port with --node")]
    Node {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Anybody in the network could send.
    #[error(
        "anybody who reaches {address} could send X-rays there: name the console that may with --peer, such as --peer 192.168.1.30"
    )]
    NoPeer {
        /// The address of the node.
        address: SocketAddr,
    },
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
        let Settings { listen, store, bounds, site, language, naming, watch, node, pacs } = settings;
        if let Some(node) = node.as_ref().filter(|node| node.is_open_to_all()) {
            return Err(ServeError::NoPeer { address: node.listen });
        }
        let folder = store;
        let store = Arc::new(Store::open(&folder, bounds)?);
        if let Some(watch) = &watch {
            // Both are there by now, so that links can be followed to where they are.
            let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
            let (store, watched) = (real(&folder), real(&watch.folder));
            if store.starts_with(&watched) || watched.starts_with(&store) {
                return Err(ServeError::Nested { store, watched });
            }
        }
        let failed = |source| ServeError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let node = node.map(|node| {
            let listen = node.listen;
            OpenNode::new(node).map_err(|source| ServeError::Node { address: listen, source })
        });
        let node = node.transpose()?;
        if let Some(pacs) = &pacs {
            store.outbox().turn_on(&pacs.formats);
        }
        let outbox = pacs.map(|pacs| Outbox::new(pacs, language));
        let intake = Intake { store, naming, site };
        let (standing, gate) = (Standing::default(), Gate::new(address));
        let (watched, updates) = (Watched::default(), judge.courier().map(Updates::new));
        let app = App { intake, standing, gate, language, address, watch, watched, node, outbox, updates };
        Ok(Self { listener, app: Arc::new(app), judge, stop: Stop::default() })
    }

    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Where consoles send to, if there is a node.
    pub fn node_address(&self) -> Option<SocketAddr> {
        self.app.node.as_ref().map(OpenNode::address)
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
            let (store, updates) = (&app.intake.store, app.updates.as_ref());
            let worker = thread("judge").spawn_scoped(scope, move || work(judge, store, &app.standing, updates, stop));
            let watcher = app
                .watch
                .as_ref()
                .map(|it| thread("watch").spawn_scoped(scope, move || watch(it, &app.intake, &app.watched, stop)));
            let node =
                app.node.as_ref().map(|it| thread("node").spawn_scoped(scope, move || it.run(&app.intake, stop)));
            let sender = app.outbox.as_ref().map(|it| thread("pacs").spawn_scoped(scope, move || it.run(store, stop)));
            let started = worker.map(drop).and(watcher.transpose().map(drop)).and(node.transpose().map(drop));
            let started = started.and(sender.transpose().map(drop));
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
    each(listener, stop, |stream, peer| {
        let Ok(open) = connections.enter(&stream, peer.ip()) else {
            // Nobody can be sent away: all are being answered.
            let busy = Response::words(503, "too many are asking: try again in a moment");
            let _ =
                busy.with("Retry-After", "2".to_owned()).write(&mut Timed::new(&stream, Duration::from_millis(100)));
            return;
        };
        let app = app.clone();
        let answered = move || serve(&app, &stream, peer, &open);
        if let Err(error) = thread::Builder::new().name("page".to_owned()).spawn(answered) {
            base::say!("a request was not answered: {error}");
        }
    });
}

/// Answers one request.
fn serve(app: &App, stream: &TcpStream, peer: SocketAddr, open: &Open) {
    // A socket inherits that it does not block.
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    let _ = stream.set_nodelay(true);
    let response = match read_head(&mut Timed::new(stream, HEAD)) {
        Ok((request, begun)) => answer(app, stream, peer.ip(), open, &request, &begun),
        Err(wrong) => wrong_response(wrong),
    };
    let Some(response) = response else { return };
    if response.write(&mut Timed::new(stream, ANSWER)).is_err() || stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    open.is_answered();
    // With bytes unread, closing would take back the answer.
    let _ = io::copy(&mut Timed::new(stream, REST).take(REST_BYTES), &mut io::sink());
}

fn answer(
    app: &App,
    stream: &TcpStream,
    peer: IpAddr,
    open: &Open,
    request: &Request,
    begun: &[u8],
) -> Option<Response> {
    let local = stream.local_addr().ok()?;
    open.is_asked();
    let is_file = request.path == ["films"] || request.path == ["update"];
    let sends = if is_file { Sends::File } else { Sends::Form };
    let within = match sends {
        Sends::File => FILE + Duration::from_secs(request.length / SLOWEST),
        Sends::Form => FORM,
    };
    let waits = request.header("expect").is_some_and(|it| it.eq_ignore_ascii_case("100-continue"));
    let bytes = begun.chain(Timed::new(stream, within).without_pause(PAUSE));
    let mut sent = Sent { bytes, stream, open, sends, waits, state: State::Untouched };
    let response = page::answer(app, request, &mut Body::new(&mut sent, request.length), peer, local);
    Some(match sent.state {
        State::Busy => {
            Response::words(503, "too many are sending: try again in a moment").with("Retry-After", "2".to_owned())
        }
        _ => response,
    })
}

/// What comes after the head of a request. It takes a place when it is first read: a file is read only once whoever sends it was
/// let in, so that nobody else takes the places of files.
struct Sent<'a, R> {
    bytes: R,
    stream: &'a TcpStream,
    open: &'a Open,
    sends: Sends,
    /// Whether the other end waits until it is asked for it.
    waits: bool,
    state: State,
}

/// Whether what comes has a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Untouched,
    Placed,
    Busy,
}

impl<R: Read> Read for Sent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Untouched {
            let placed = self.open.sends(self.sends);
            self.state = if placed.is_ok() { State::Placed } else { State::Busy };
            if placed.is_ok() && self.waits {
                Timed::new(self.stream, HEAD).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
        }
        if self.state == State::Busy {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.bytes.read(buffer)
    }
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
    peer: IpAddr,
    since: Instant,
    /// Its request has not come yet, or it has its answer.
    idle: bool,
    sends: Option<Sends>,
}

/// What comes after the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    /// A film, or an update of the box.
    File,
    Form,
}

/// A connection, entered until this is dropped.
struct Open {
    all: Arc<Connections>,
    number: u64,
}

/// There is no place.
struct Busy;

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection. Where there are too many, the one that has waited longest for its request is sent away.
    fn enter(self: &Arc<Self>, stream: &TcpStream, peer: IpAddr) -> Result<Open, Busy> {
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
        table.open.insert(number, Entry { stream, peer, since: Instant::now(), idle: true, sends: None });
        Ok(Open { all: self.clone(), number })
    }
}

impl Open {
    /// Its request has come: it is not sent away before its answer.
    fn is_asked(&self) {
        self.change(|entry| entry.idle = false);
    }

    /// Its answer has gone out, and gives its places back: what it still sends may be cut off.
    fn is_answered(&self) {
        self.change(|entry| (entry.idle, entry.sends) = (true, None));
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.all.table().open.get_mut(&self.number) {
            change(entry);
        }
    }

    /// Takes a place for what comes after the head.
    fn sends(&self, what: Sends) -> Result<(), Busy> {
        let mut table = self.all.table();
        let Some(peer) = table.open.get(&self.number).map(|entry| entry.peer) else { return Err(Busy) };
        let same = table.open.values().filter(|entry| entry.sends == Some(what));
        let is_full = match what {
            Sends::File => same.count() >= FILES,
            Sends::Form => same.filter(|entry| entry.peer == peer).count() >= FORMS,
        };
        if is_full {
            return Err(Busy);
        }
        if let Some(entry) = table.open.get_mut(&self.number) {
            entry.sends = Some(what);
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.table().open.remove(&self.number);
    }
}
