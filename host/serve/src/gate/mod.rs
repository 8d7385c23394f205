//! Who may ask for what.
//!
//! On this computer alone, whoever sits at it is let in. Over a network a browser is paired first: with six digits that the
//! terminal shows, for one browser each. In both cases a request must name this server as its host, so that no page from
//! elsewhere reaches it under another name, and what changes something must come from a page of this server, with a secret that
//! only such a page has.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::rand::{GetRandomFlags, getrandom};
use shared::verdict::Digest;

use crate::http::Request;

/// Name of the cookie of a session.
pub(crate) const COOKIE: &str = "pumua-session";
/// A session ends after so long without anything that a person does.
pub(crate) const IDLE: Duration = Duration::from_secs(15 * 60);
/// Most sessions at once; another one ends the one that was idle longest.
const SESSIONS: usize = 16;
/// Wrong codes before there is another one, and none is taken for a while.
const ATTEMPTS: u32 = 3;
/// That while, which doubles each time, and its end.
const FIRST_LOCK: Duration = Duration::from_secs(60);
const LONGEST_LOCK: Duration = Duration::from_secs(3600);
/// Requests that an address may make at once, and each second after.
const BURST: f64 = 600.0;
const A_SECOND: f64 = 20.0;
/// Addresses that are remembered.
const ADDRESSES: usize = 1024;

/// Whoever is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// What its forms must say.
    pub(crate) secret: String,
    /// Whether it has a session that can be ended.
    pub(crate) paired: bool,
}

/// What is told to whoever is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It calls this server by a name that is not its own.
    Host,
    /// It has no session.
    Unpaired,
    /// It does not come from a page of this server.
    Foreign,
    /// It asks too often.
    TooOften,
}

/// What comes of a typed code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Paired {
    /// The cookie of the new session.
    Yes(String),
    No,
    /// None is taken now.
    Locked,
}

/// Lets in or not.
pub(crate) struct Gate {
    /// Where the page is served.
    address: SocketAddr,
    /// Secret of this run, where nobody needs a session.
    secret: String,
    state: Mutex<State>,
}

struct State {
    sessions: Vec<Session>,
    code: u32,
    wrong: u32,
    lock: Duration,
    locked_until: Option<Instant>,
    rates: HashMap<IpAddr, (f64, Instant)>,
}

struct Session {
    /// Of the cookie, so that comparing takes as long whatever it is.
    id: Digest,
    secret: String,
    used: Instant,
}

impl Gate {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let state = State {
            sessions: Vec::new(),
            code: new_code(),
            wrong: 0,
            lock: FIRST_LOCK,
            locked_until: None,
            rates: HashMap::new(),
        };
        let this = Self { address, secret: secret(), state: Mutex::new(state) };
        this.tell(&this.state());
        this
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether browsers must be paired.
    pub(crate) fn pairs(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    fn tell(&self, state: &State) {
        if self.pairs() {
            base::say!("code for the next browser: {:03} {:03}", state.code / 1000, state.code % 1000);
        }
    }

    /// Counts a request of an address.
    pub(crate) fn count(&self, peer: IpAddr) -> Result<(), Refused> {
        let (now, mut state) = (Instant::now(), self.state());
        let full = |left: f64, since: Instant| left + now.duration_since(since).as_secs_f64() * A_SECOND >= BURST;
        if state.rates.len() >= ADDRESSES {
            state.rates.retain(|_, (left, since)| !full(*left, *since));
        }
        if state.rates.len() >= ADDRESSES && !state.rates.contains_key(&peer) {
            return Err(Refused::TooOften);
        }
        let (left, since) = state.rates.entry(peer).or_insert((BURST, now));
        *left = (*left + now.duration_since(*since).as_secs_f64() * A_SECOND).min(BURST);
        *since = now;
        if *left < 1.0 {
            return Err(Refused::TooOften);
        }
        *left -= 1.0;
        Ok(())
    }

    /// Whether a request calls this server by its name. `local`: the address at which it arrived.
    pub(crate) fn check_host(&self, request: &Request, local: SocketAddr) -> Result<(), Refused> {
        let host = request.header("host").unwrap_or_default();
        if names(local).iter().any(|name| name.eq_ignore_ascii_case(host)) { Ok(()) } else { Err(Refused::Host) }
    }

    /// Lets a request in. One that a script makes by itself does not keep a session alive (`quiet`).
    pub(crate) fn admit(&self, request: &Request, quiet: bool) -> Result<Guest, Refused> {
        if !self.pairs() {
            return Ok(Guest { secret: self.secret.clone(), paired: false });
        }
        let (now, mut state) = (Instant::now(), self.state());
        state.sessions.retain(|session| now.duration_since(session.used) < IDLE);
        let id = Digest::of(request.cookie(COOKIE).unwrap_or_default().as_bytes());
        let session = state.sessions.iter_mut().find(|session| session.id == id).ok_or(Refused::Unpaired)?;
        if !quiet {
            session.used = now;
        }
        Ok(Guest { secret: session.secret.clone(), paired: true })
    }

    /// Whether what is to change something comes from a page of this server: by the origin that browsers state.
    pub(crate) fn check_origin(&self, request: &Request) -> Result<(), Refused> {
        let host = request.header("host").unwrap_or_default();
        let origin = request.header("origin").and_then(|origin| origin.strip_prefix("http://"));
        if origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host)) { Ok(()) } else { Err(Refused::Foreign) }
    }

    /// Whether it has the guest's secret.
    pub(crate) fn check_secret(&self, guest: &Guest, said: &str) -> Result<(), Refused> {
        if Digest::of(said.as_bytes()) == Digest::of(guest.secret.as_bytes()) { Ok(()) } else { Err(Refused::Foreign) }
    }

    /// Pairs a browser that has typed a code.
    pub(crate) fn pair(&self, typed: &str) -> Paired {
        let (now, mut state) = (Instant::now(), self.state());
        if state.locked_until.is_some_and(|until| now < until) {
            return Paired::Locked;
        }
        let digits: String = typed.chars().filter(|character| !character.is_whitespace()).collect();
        let is_code = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_code || digits.parse() != Ok(state.code) {
            state.wrong += 1;
            if state.wrong < ATTEMPTS {
                return Paired::No;
            }
            state.wrong = 0;
            state.locked_until = Some(now + state.lock);
            base::say!("{ATTEMPTS} wrong codes were typed: the next one is taken in {} s", state.lock.as_secs());
            state.lock = (state.lock * 2).min(LONGEST_LOCK);
            state.code = new_code();
            self.tell(&state);
            return Paired::Locked;
        }
        (state.wrong, state.lock, state.code) = (0, FIRST_LOCK, new_code());
        self.tell(&state);
        if state.sessions.len() >= SESSIONS {
            let idlest = state.sessions.iter().enumerate().min_by_key(|(_, session)| session.used).map(|(n, _)| n);
            idlest.map(|n| state.sessions.remove(n));
        }
        let cookie = secret();
        state.sessions.push(Session { id: Digest::of(cookie.as_bytes()), secret: secret(), used: now });
        Paired::Yes(cookie)
    }

    /// Ends the session of a request.
    pub(crate) fn leave(&self, request: &Request) {
        let id = Digest::of(request.cookie(COOKIE).unwrap_or_default().as_bytes());
        self.state().sessions.retain(|session| session.id != id);
    }
}

/// What a server at an address is called: its address, on this computer also `localhost`; without the port where it is 80.
pub(crate) fn names(local: SocketAddr) -> Vec<String> {
    let ip = match local.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| format!("[{ip}]"), |ip| ip.to_string()),
        IpAddr::V4(ip) => ip.to_string(),
    };
    let mut hosts = vec![ip];
    if local.ip().to_canonical().is_loopback() {
        hosts.push("localhost".to_owned());
    }
    let mut names: Vec<String> = hosts.iter().map(|host| format!("{host}:{}", local.port())).collect();
    if local.port() == 80 {
        names.extend(hosts);
    }
    names
}

/// So many random bytes.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    // The system gives random bytes once it is up; it is asked again if a signal came.
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// A secret that nobody guesses, in letters and digits.
fn secret() -> String {
    format!("{:.32}", Digest(random()))
}

/// Six digits, each code as likely: what remains of 2^64 shifts that by less than one in 10^13.
fn new_code() -> u32 {
    (u64::from_le_bytes(random()) % 1_000_000) as u32
}

#[cfg(test)]
mod tests;
