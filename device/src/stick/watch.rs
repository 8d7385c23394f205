//! The worker's side: it hears what is on a stick, fetches the film that is wanted, and has it judged.

use std::{
    collections::VecDeque,
    io,
    os::{fd::AsFd as _, unix::net::UnixDatagram},
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use shared::verdict::ExamId;
use wire::Image;

use super::{
    Event, Order, SOCKET, StickTrouble,
    message::{Film, MOST_BYTES, PART, Said, Told, Wish},
};
use crate::inner::{InnerError, Sender};

/// Longest wait for a message, after which it is looked whether there is an order.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the next part of a film may take to come: a bad stick repeats what it cannot read.
const PART_WITHIN: Duration = Duration::from_secs(30);
/// How long a whole film may take.
const FILM_WITHIN: Duration = Duration::from_secs(300);
/// How long a film waits while a computer uses the box.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages that are kept until the film is there that they interrupt.
const MOST_KEPT: usize = 8;

/// The worker's end of the conversation about sticks, if the first process has given it one.
pub fn inherited() -> io::Result<Option<UnixDatagram>> {
    if std::env::var_os(SOCKET).is_none_or(|value| value.is_empty()) {
        return Ok(None);
    }
    io::stdin().as_fd().try_clone_to_owned().map(|end| Some(end.into()))
}

/// Starts to listen, on a thread of its own, and asks for sticks to be looked for. `tell` is told what is on them, and says whether
/// anybody listens. What is ordered is carried out, one film at a time.
pub fn start(
    socket: UnixDatagram,
    sender: Sender,
    tell: impl Fn(Event) -> bool + Send + 'static,
) -> io::Result<SyncSender<Order>> {
    let (orders, given) = sync_channel(1);
    socket.set_write_timeout(Some(PART_WITHIN))?;
    socket.send(&Wish::Sticks.bytes()?)?;
    let (films, kept) = (Vec::new(), VecDeque::new());
    let mut watch = Watch { socket, sender, stick: None, films, latest: None, gone: None, kept };
    thread::Builder::new().name("stick".to_owned()).spawn(move || {
        if let Err(error) = watch.run(&given, &tell) {
            crate::say(format_args!("memory sticks are not looked at any more: {error}"));
        }
    })?;
    Ok(orders)
}

struct Watch {
    socket: UnixDatagram,
    sender: Sender,
    /// The stick that is in, and its films.
    stick: Option<u32>,
    films: Vec<Film>,
    /// The stick of which something was said last, and the one that was pulled out last.
    latest: Option<u32>,
    gone: Option<u32>,
    /// Messages that have come while a film was fetched.
    kept: VecDeque<Vec<u8>>,
}

/// Why a film has not been fetched.
enum Unfetched {
    /// The stick does not give it.
    Lost,
    /// Nobody talks any more.
    Ended(io::Error),
}

impl Watch {
    /// Until nobody listens, or nobody talks.
    fn run(&mut self, orders: &Receiver<Order>, tell: &impl Fn(Event) -> bool) -> io::Result<()> {
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    let (trouble, ended) = match self.carry_out(order) {
                        Ok(trouble) => (trouble, Ok(())),
                        Err(error) => (Some(StickTrouble::Pulled), Err(error)),
                    };
                    let is_heard = tell(Event::Ended { stick: order.stick, trouble });
                    ended?;
                    if !is_heard {
                        return Ok(());
                    }
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            let message = match self.kept.pop_front() {
                Some(kept) => Some(kept),
                None => self.hear(LOOK_EVERY)?,
            };
            let event = message.and_then(|message| self.understand(&message));
            if event.is_some_and(|event| !tell(event)) {
                return Ok(());
            }
        }
    }

    /// A message, if one comes within a time.
    fn hear(&self, within: Duration) -> io::Result<Option<Vec<u8>>> {
        // One byte more, so that a longer one is noticed.
        let mut bytes = vec![0; MOST_BYTES + 1];
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
        match self.socket.recv(&mut bytes) {
            Ok(count) if count > MOST_BYTES => Ok(None),
            Ok(count) => {
                bytes.truncate(count);
                Ok(Some(bytes))
            }
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a message is about, if it is anything new.
    fn understand(&mut self, message: &[u8]) -> Option<Event> {
        let Told { stick, said } = Told::read(message)?;
        if matches!(said, Said::Films(_) | Said::TooMany | Said::Unreadable) && !self.is_current(stick, &said) {
            return None;
        }
        match said {
            Said::Films(films) => {
                crate::say(format_args!("a stick is in, with {} films on its list", films.len()));
                if films.is_empty() {
                    return Some(self.refuse(StickTrouble::NoFilms));
                }
                self.stick = Some(stick);
                self.films.clone_from(&films);
                Some(Event::Films { stick, films })
            }
            Said::TooMany => Some(self.refuse(StickTrouble::TooMany)),
            Said::Unreadable => Some(self.refuse(StickTrouble::Unreadable)),
            Said::Gone => {
                (self.latest, self.gone) = (None, Some(stick));
                if self.stick != Some(stick) {
                    return None;
                }
                crate::say(format_args!("the stick is out"));
                self.forget();
                Some(Event::Gone { stick })
            }
            // Nothing is waited for.
            Said::Part { .. } | Said::Lost { .. } => None,
        }
    }

    /// Whether something is said of the stick that is in, and not of one before it, nor a second list of the same one. A reader may
    /// say any number; what the first process says of its end sets that right.
    fn is_current(&mut self, stick: u32, said: &Said<'_>) -> bool {
        let is_list = matches!(said, Said::Films(_));
        let is_past = self.gone.is_some_and(|gone| stick <= gone)
            || self.latest.is_some_and(|latest| stick < latest || (is_list && stick == latest));
        if !is_past {
            self.latest = Some(stick);
        }
        !is_past
    }

    fn refuse(&mut self, trouble: StickTrouble) -> Event {
        crate::say(format_args!("nothing on the stick is judged: {trouble:?}"));
        self.forget();
        Event::Trouble(trouble)
    }

    fn forget(&mut self) {
        self.stick = None;
        self.films.clear();
    }

    /// Fetches a film and has it judged. What became of it is on the screen as of every film; only what keeps it from there is
    /// returned.
    fn carry_out(&mut self, Order { stick, film }: Order) -> io::Result<Option<StickTrouble>> {
        let bytes = match self.fetch(stick, film) {
            Ok(bytes) => bytes,
            Err(Unfetched::Lost) => {
                crate::say(format_args!("a film on the stick cannot be read to its end"));
                return Ok(Some(StickTrouble::Pulled));
            }
            Err(Unfetched::Ended(error)) => return Err(error),
        };
        let Ok(image) = Image::file(bytes, ExamId::default()) else { return Ok(Some(StickTrouble::Pulled)) };
        let digest = image.source();
        match self.sender.judge(image, PATIENCE) {
            Ok(_) => Ok(None),
            Err(InnerError::Busy) => Ok(Some(StickTrouble::Busy)),
            // The card took long to store the result, for example.
            Err(InnerError::Lost(_)) if self.sender.has_result(digest, PATIENCE) == Ok(true) => Ok(None),
            Err(error) => {
                crate::say(format_args!("{error}"));
                Ok(Some(StickTrouble::Pulled))
            }
        }
    }

    /// All bytes of a film, part by part.
    fn fetch(&mut self, stick: u32, film: usize) -> Result<Vec<u8>, Unfetched> {
        let size = match self.films.get(film) {
            Some(film) if self.stick == Some(stick) => film.size,
            _ => return Err(Unfetched::Lost),
        };
        let film = u16::try_from(film).map_err(|_| Unfetched::Lost)?;
        let until = Instant::now() + FILM_WITHIN;
        let mut bytes = Vec::with_capacity(size as usize);
        while let Some(left) = size.checked_sub(bytes.len() as u32).filter(|&left| left > 0) {
            let offset = bytes.len() as u32;
            let wish = Wish::Part { stick, film, offset }.bytes().map_err(Unfetched::Ended)?;
            match self.socket.send(&wish) {
                Ok(_) => {}
                Err(error) if is_passing(&error) => return Err(Unfetched::Lost),
                Err(error) => return Err(Unfetched::Ended(error)),
            }
            let until = until.min(Instant::now() + PART_WITHIN);
            bytes.extend_from_slice(&self.part(stick, film, offset, left.min(PART) as usize, until)?);
        }
        Ok(bytes)
    }

    /// The part that was asked for, of so many bytes. What is about another stick, or the end of this one, ends it, and is kept.
    fn part(
        &mut self,
        stick: u32,
        film: u16,
        offset: u32,
        length: usize,
        until: Instant,
    ) -> Result<Vec<u8>, Unfetched> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unfetched::Lost);
            }
            let Some(message) = self.hear(left).map_err(Unfetched::Ended)? else { continue };
            match Told::read(&message) {
                Some(Told { stick: of, said: Said::Part { film: number, offset: at, bytes } }) => {
                    if (of, number, at, bytes.len()) == (stick, film, offset, length) {
                        return Ok(bytes.to_vec());
                    }
                    continue;
                }
                Some(Told { stick: of, said: Said::Lost { film: number } }) => {
                    if (of, number) == (stick, film) {
                        return Err(Unfetched::Lost);
                    }
                    continue;
                }
                Some(_) => {}
                None => continue,
            }
            if self.kept.len() < MOST_KEPT {
                self.kept.push_back(message);
            }
            return Err(Unfetched::Lost);
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
