//! The worker's side: it hears what is on a stick, fetches the film that is wanted, and has it judged.

use std::{
    collections::VecDeque,
    io,
    os::{fd::AsFd as _, unix::net::UnixDatagram},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use shared::{
    appliance::Language,
    results::{HEADER, cells, line},
    verdict::{Digest, ExamId, ResultRecord},
};
use wire::{BundlePiece, Image, MAX_PIECE_BYTES, SoftwareStage};

use super::{
    Batch, Event, Heading, Order, SOCKET, StickTrouble,
    message::{Bundle, Film, MOST_BYTES, PART, Said, Told, Unwritten, Wish},
    page::{self, Counts},
    writer,
};
use crate::inner::{InnerError, PieceOutcome, Sender};

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
/// How long a bundle may take to be read once.
const BUNDLE_WITHIN: Duration = Duration::from_secs(600);
/// Pieces of a bundle in a row after which the box may have no more of it than before.
const MOST_REPEATED: u32 = 8;
/// How long a piece of the results may take to be written, and the reader, the writer and the first process to do their part.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// The same of a whole file: a stick may take long to have written what it has taken.
const STORED_WITHIN: Duration = Duration::from_secs(180);
/// How long the next results may take to come.
const BATCH_WITHIN: Duration = Duration::from_secs(30);

/// The worker's end of the conversation about sticks, if the first process has given it one.
pub fn inherited() -> io::Result<Option<UnixDatagram>> {
    if std::env::var_os(SOCKET).is_none_or(|value| value.is_empty()) {
        return Ok(None);
    }
    io::stdin().as_fd().try_clone_to_owned().map(|end| Some(end.into()))
}

/// Starts to listen, on a thread of its own, and asks for sticks to be looked for. `tell` is told what is on them, and says whether
/// anybody listens. What is ordered is carried out, one thing at a time. Pages of results are in a language.
pub fn start(
    socket: UnixDatagram,
    sender: Sender,
    language: Language,
    tell: impl Fn(Event) -> bool + Send + 'static,
) -> io::Result<SyncSender<Order>> {
    let (orders, given) = sync_channel(1);
    socket.set_write_timeout(Some(PART_WITHIN))?;
    socket.send(&Wish::Sticks.bytes()?)?;
    let (films, kept) = (Vec::new(), VecDeque::new());
    let mut watch =
        Watch { socket, sender, language, stick: None, films, marked: None, latest: None, gone: None, kept };
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
    language: Language,
    /// The stick that is in, and its films.
    stick: Option<u32>,
    films: Vec<Film>,
    /// The last stick that was marked, and its bundle.
    marked: Option<(u32, Option<Bundle>)>,
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
                    // What belongs to an order that has ended comes too late.
                    let Some(stick) = order.stick() else { continue };
                    let (trouble, ended) = match self.carry_out(order, orders, tell) {
                        Ok(trouble) => (trouble, Ok(())),
                        Err(error) => (Some(StickTrouble::Pulled), Err(error)),
                    };
                    let is_heard = tell(Event::Ended { stick, trouble });
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
            Said::Marked { bundle } => {
                // It is said before the list, and again after results were written.
                let is_known = self.latest.is_some_and(|latest| stick <= latest);
                if is_known || self.gone.is_some_and(|gone| stick <= gone) {
                    return None;
                }
                self.marked = Some((stick, bundle.clone()));
                Some(Event::Marked { stick, bundle })
            }
            Said::Films(films) => {
                crate::say(format_args!("a stick is in, with {} films on its list", films.len()));
                if films.is_empty() && !self.is_marked(stick) {
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
            Said::Part { .. }
            | Said::Lost { .. }
            | Said::BundlePart { .. }
            | Said::BundleLost
            | Said::Leaving
            | Said::Begun { .. }
            | Said::Kept { .. }
            | Said::Stored
            | Said::Unwritten(_)
            | Said::Closed { .. } => None,
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
        self.marked = None;
    }

    fn is_marked(&self, stick: u32) -> bool {
        self.marked.as_ref().is_some_and(|(marked, _)| *marked == stick)
    }

    /// Does what is ordered. What keeps it from being done is returned.
    fn carry_out(
        &mut self,
        order: Order,
        orders: &Receiver<Order>,
        tell: &impl Fn(Event) -> bool,
    ) -> io::Result<Option<StickTrouble>> {
        let done = match order {
            Order::Film { stick, film } => return self.judge(stick, film),
            Order::Results { stick, heading } => self.write(stick, &heading, orders, tell),
            Order::Program { stick } => self.take_program(stick, tell),
            Order::Batch(_) => Ok(()),
        };
        match done {
            Ok(()) => Ok(None),
            Err(Undone::Trouble(trouble)) => {
                crate::say(format_args!("what was asked of the stick is not done: {trouble:?}"));
                Ok(Some(trouble))
            }
            Err(Undone::Ended(error)) => Err(error),
        }
    }

    /// Fetches a film and has it judged. What became of it is on the screen as of every film; only what keeps it from there is
    /// returned.
    fn judge(&mut self, stick: u32, film: usize) -> io::Result<Option<StickTrouble>> {
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
                Some(told) if ends(&told, stick) => {}
                _ => continue,
            }
            self.keep(message);
            return Err(Unfetched::Lost);
        }
    }

    /// Keeps a message for when the order is done with that it interrupts.
    fn keep(&mut self, message: Vec<u8>) {
        if self.kept.len() < MOST_KEPT {
            self.kept.push_back(message);
        }
    }

    fn send(&self, message: &[u8]) -> Result<(), Undone> {
        match self.socket.send(message) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Err(Undone::Trouble(StickTrouble::Interrupted)),
            Err(error) => Err(error.into()),
        }
    }

    /// Has all results written that there are, as a table and as a page.
    fn write(
        &mut self,
        stick: u32,
        heading: &Heading,
        orders: &Receiver<Order>,
        tell: &impl Fn(Event) -> bool,
    ) -> Result<(), Undone> {
        if self.stick != Some(stick) || !self.is_marked(stick) {
            return Err(Undone::Trouble(StickTrouble::NoMark));
        }
        let written = self.write_where_there_is_room(stick, heading, orders, tell);
        if matches!(written, Err(Undone::Trouble(_))) {
            // Whoever still writes, or is about to.
            let stopped = self.send(&Wish::Stop.bytes()?);
            if let Err(ended @ Undone::Ended(_)) = stopped {
                return Err(ended);
            }
        }
        let name = writer::name(heading.last, written?);
        crate::say(format_args!("the results up to {} are on the stick as {name}", heading.last));
        told(tell(Event::Written { stick, name }))
    }

    /// Has the reader make room, and gives which of the names the files have.
    fn write_where_there_is_room(
        &mut self,
        stick: u32,
        heading: &Heading,
        orders: &Receiver<Order>,
        tell: &impl Fn(Event) -> bool,
    ) -> Result<u8, Undone> {
        let wish = Wish::Write { stick, last: heading.last }.bytes()?;
        self.send(&wish)?;
        self.await_that(stick, WRITTEN_WITHIN, |said| matches!(said, Said::Leaving).then_some(()))?;
        // Nobody but this program says it to the first process.
        self.send(&wish)?;
        let begun = |said: &Said<'_>| if let Said::Begun { nth } = said { Some(*nth) } else { None };
        let nth = self.await_that(stick, WRITTEN_WITHIN, begun)?;
        self.write_files(stick, heading, orders, tell)?;
        let closed = |said: &Said<'_>| if let Said::Closed { well } = said { Some(*well) } else { None };
        let not_closed = StickTrouble::NotClosed;
        let well = self.await_that(stick, STORED_WITHIN, closed).map_err(|undone| undone.told_as(not_closed))?;
        if well { Ok(nth) } else { Err(Undone::Trouble(not_closed)) }
    }

    fn write_files(
        &mut self,
        stick: u32,
        heading: &Heading,
        orders: &Receiver<Order>,
        tell: &impl Fn(Event) -> bool,
    ) -> Result<(), Undone> {
        let language = self.language;
        let mut counts = Counts::default();
        let mut table = Writing { stick, offset: 0, bytes: line(HEADER).into_bytes() };
        self.each_result(stick, (heading.last, 0), orders, tell, |watch, record| {
            counts.count(record);
            table.bytes.extend_from_slice(line(cells(record)).as_bytes());
            table.write(watch, PART as usize)
        })?;
        table.end(self)?;
        let mut page = Writing { stick, offset: 0, bytes: page::head(heading, counts, language).into_bytes() };
        self.each_result(stick, (heading.last, 1), orders, tell, |watch, record| {
            page.bytes.extend_from_slice(page::result(record, heading, language).as_bytes());
            page.write(watch, PART as usize)
        })?;
        page.bytes.extend_from_slice(page::foot(language).as_bytes());
        page.end(self)
    }

    /// Asks for the results up to the last one, some at a time, and goes through them: for the first time, or the second.
    fn each_result(
        &mut self,
        stick: u32,
        (last, time): (u64, u64),
        orders: &Receiver<Order>,
        tell: &impl Fn(Event) -> bool,
        mut each: impl FnMut(&mut Self, &ResultRecord) -> Result<(), Undone>,
    ) -> Result<(), Undone> {
        let mut next = Some(1);
        while let Some(from) = next {
            // Each result is written twice.
            let done = time.saturating_mul(last).saturating_add(from.min(last).saturating_sub(1)) / 2;
            told(tell(Event::Wants { stick, from, last, done }))?;
            let Some((records, more)) = batch(orders, from)? else {
                return Err(Undone::Trouble(StickTrouble::NoResults));
            };
            for record in records.iter().filter(|record| record.number <= last) {
                each(self, record)?;
            }
            next = more.filter(|&more| more > from && more <= last);
        }
        Ok(())
    }

    /// What is waited for, when it is said of this stick. What is about another stick, or the end of this one, ends it, and is kept.
    fn await_that<T>(
        &mut self,
        stick: u32,
        within: Duration,
        is_it: impl Fn(&Said<'_>) -> Option<T>,
    ) -> Result<T, Undone> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Undone::Trouble(StickTrouble::Interrupted));
            }
            let Some(message) = self.hear(left)? else { continue };
            let Some(told) = Told::read(&message) else { continue };
            if told.stick == stick {
                if let Some(it) = is_it(&told.said) {
                    return Ok(it);
                }
                if let Said::Unwritten(why) = told.said {
                    return Err(Undone::Trouble(why.into()));
                }
            }
            if ends(&told, stick) {
                self.keep(message);
                return Err(Undone::Trouble(StickTrouble::Interrupted));
            }
        }
    }

    /// Hands the bundle on the stick to the box, as any host would: what becomes of it is on the screen as of every bundle.
    fn take_program(&mut self, stick: u32, tell: &impl Fn(Event) -> bool) -> Result<(), Undone> {
        let lost = Undone::Trouble(StickTrouble::ProgramNotTaken);
        let total = match &self.marked {
            Some((marked, Some(bundle))) if (*marked, self.stick) == (stick, Some(stick)) => bundle.size,
            _ => return Err(lost),
        };
        told(tell(Event::Taken { stick, done: 0, total }))?;
        let digest = self.digest(stick, total)?;
        let state = self.sender.software(digest, total, PATIENCE).map_err(untaken)?;
        // It waits for the next start: the screen says so.
        if state.outcome.is_some_and(|outcome| outcome.file == digest && outcome.stage == SoftwareStage::Staged) {
            return Ok(());
        }
        let (mut next, mut repeated) = (state.next, 0);
        while next < total && repeated < MOST_REPEATED {
            told(tell(Event::Taken { stick, done: next, total }))?;
            let bytes = self.bundle_piece(stick, total, next)?;
            let there = match self.sender.piece(BundlePiece::new(digest, total, next, bytes), PATIENCE) {
                Ok(PieceOutcome::Stored(there)) if there <= total => there,
                // The screen says so.
                Ok(PieceOutcome::Refused(_)) => return Ok(()),
                // It has said why, if the box knows.
                Ok(PieceOutcome::Stored(_) | PieceOutcome::Failed(_)) => return Err(lost),
                Err(error) => return Err(untaken(error)),
            };
            repeated = if there > next { 0 } else { repeated + 1 };
            next = there;
        }
        if next < total { Err(lost) } else { Ok(()) }
    }

    /// The digest of the bundle.
    fn digest(&mut self, stick: u32, total: u32) -> Result<Digest, Undone> {
        let until = Instant::now() + BUNDLE_WITHIN;
        let (mut digester, mut offset) = (Sha256::new(), 0);
        while offset < total {
            if Instant::now() > until {
                return Err(Undone::Trouble(StickTrouble::ProgramNotTaken));
            }
            let bytes = self.bundle_part(stick, total, offset)?;
            offset += bytes.len() as u32;
            digester.update(&bytes);
        }
        Ok(Digest(digester.finalize().into()))
    }

    /// As many bytes of the bundle from an offset on as a piece may have.
    fn bundle_piece(&mut self, stick: u32, total: u32, offset: u32) -> Result<Vec<u8>, Undone> {
        let length = total.saturating_sub(offset).min(MAX_PIECE_BYTES) as usize;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let part = self.bundle_part(stick, total, offset + bytes.len() as u32)?;
            bytes.extend_from_slice(&part);
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The next bytes of the bundle: [`PART`] of them, or those that are left.
    fn bundle_part(&mut self, stick: u32, total: u32, offset: u32) -> Result<Vec<u8>, Undone> {
        let length = total.saturating_sub(offset).min(PART) as usize;
        let lost = |undone: Undone| undone.told_as(StickTrouble::ProgramNotTaken);
        self.send(&Wish::Bundle { stick, offset }.bytes()?).map_err(lost)?;
        let part = |said: &Said<'_>| match said {
            Said::BundlePart { offset: at, bytes } if (*at, bytes.len()) == (offset, length) => Some(bytes.to_vec()),
            // No part is empty.
            Said::BundleLost => Some(Vec::new()),
            _ => None,
        };
        let bytes = self.await_that(stick, PART_WITHIN, part).map_err(lost)?;
        if bytes.is_empty() { Err(Undone::Trouble(StickTrouble::ProgramNotTaken)) } else { Ok(bytes) }
    }
}

/// Why an order has not been carried out.
enum Undone {
    Trouble(StickTrouble),
    /// Nobody talks, or listens, any more.
    Ended(io::Error),
}

impl Undone {
    /// The same, with another trouble told.
    fn told_as(self, trouble: StickTrouble) -> Self {
        match self {
            Self::Trouble(_) => Self::Trouble(trouble),
            ended @ Self::Ended(_) => ended,
        }
    }
}

impl From<io::Error> for Undone {
    fn from(error: io::Error) -> Self {
        Self::Ended(error)
    }
}

impl From<Unwritten> for StickTrouble {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::Full => Self::Full,
            Unwritten::Protected => Self::WriteProtected,
            Unwritten::NoMark => Self::NoMark,
            Unwritten::NoName => Self::NoName,
            Unwritten::Failed => Self::Interrupted,
        }
    }
}

/// A file that is being written.
struct Writing {
    stick: u32,
    /// Bytes that are written, and those that wait.
    offset: u64,
    bytes: Vec<u8>,
}

impl Writing {
    /// Has parts written until fewer bytes than that wait.
    fn write(&mut self, watch: &mut Watch, least: usize) -> Result<(), Undone> {
        while !self.bytes.is_empty() && self.bytes.len() >= least {
            let count = self.bytes.len().min(PART as usize);
            let mut message = Wish::Bytes { stick: self.stick, offset: self.offset }.bytes()?;
            message.extend(self.bytes.drain(..count));
            watch.send(&message)?;
            self.offset += count as u64;
            let offset = self.offset;
            watch.await_that(self.stick, WRITTEN_WITHIN, |said| {
                matches!(said, Said::Kept { offset: at } if *at == offset).then_some(())
            })?;
        }
        Ok(())
    }

    /// Has the rest written, and stored.
    fn end(mut self, watch: &mut Watch) -> Result<(), Undone> {
        self.write(watch, 1)?;
        watch.send(&Wish::End { stick: self.stick }.bytes()?)?;
        watch.await_that(self.stick, STORED_WITHIN, |said| matches!(said, Said::Stored).then_some(()))
    }
}

/// The results that were asked for.
fn batch(orders: &Receiver<Order>, from: u64) -> Result<Results, Undone> {
    let until = Instant::now() + BATCH_WITHIN;
    loop {
        match orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Order::Batch(Batch { from: of, results })) if of == from => return Ok(results.ok()),
            // What was asked for before, and came late.
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Err(Undone::Trouble(StickTrouble::NoResults)),
            Err(RecvTimeoutError::Disconnected) => return Err(nobody_listens()),
        }
    }
}

/// Some results and where the next ones begin; nothing if they cannot be read.
type Results = Option<(Vec<ResultRecord>, Option<u64>)>;

fn told(is_heard: bool) -> Result<(), Undone> {
    if is_heard { Ok(()) } else { Err(nobody_listens()) }
}

fn nobody_listens() -> Undone {
    Undone::Ended(io::ErrorKind::BrokenPipe.into())
}

/// Why the box does not take a bundle.
fn untaken(error: InnerError) -> Undone {
    crate::say(format_args!("{error}"));
    Undone::Trouble(if error == InnerError::Busy { StickTrouble::Busy } else { StickTrouble::ProgramNotTaken })
}

/// Whether what is said means that nothing more is to be had of a stick. That it is listed once more does not.
fn ends(told: &Told<'_>, stick: u32) -> bool {
    told.stick != stick || matches!(told.said, Said::Gone | Said::Unreadable | Said::TooMany)
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
