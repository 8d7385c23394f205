//! X-rays that come over Ethernet: the box as a DICOM node, which an X-ray machine sends to as to any archive.
//!
//! A film is judged as one that came over the serial line, through a line within the box ([`crate::inner`]): a computer that holds
//! the box is not disturbed, and the film waits. It is answered with success when its result is in the journal, or when it was
//! refused for what it is, which the screen says; the same bytes would be refused again. Otherwise the answer is *out of
//! resources* (A700H), and consoles send it again by themselves.
//!
//! One film at a time is held in memory. The same bytes, which hold the UID of the film, are judged once: the box is asked whether one
//! of its last results is of them. What became of a film stays on the screen for a while before the next one is judged.

use std::{
    io::{self, Read as _},
    net::IpAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ::node::{Ending, Event, Film, Films, Limits, Open, Taken, Title, What};
use shared::{
    limits::MAX_IMAGE_BYTES,
    verdict::{Digest, ExamId},
};
use wire::{Image, Outcome};

use crate::{
    inner::{InnerError, Sender},
    screen::{Console, ConsoleRefused},
};

/// What the box allows to whoever connects: fewer at once than a computer, and nobody who is much slower than a cable.
pub const LIMITS: Limits = Limits {
    associations: 4,
    from_a_peer: 3,
    idle: Duration::from_secs(120),
    film: Duration::from_secs(15),
    slowest: 256 * 1024,
};

/// How long films wait.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For those before it.
    pub turn: Duration,
    /// For a computer that holds the box.
    pub computer: Duration,
    /// What became of the film before is on the screen for so long.
    pub read: Duration,
}

impl Times {
    /// Those of a box that somebody reads. Three films may be before one.
    pub const BOX: Self =
        Self { turn: Duration::from_secs(120), computer: Duration::from_secs(60), read: Duration::from_secs(20) };
    /// Those of one on a computer, where films may follow each other at once.
    pub const SIMULATED: Self = Self { read: Duration::ZERO, ..Self::BOX };
}

/// How often a film that waits looks whether the box stops.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Lines that are printed in a minute.
const PRINTED: u32 = 20;
/// Time between two notices on the screen.
const NOTICES: Duration = Duration::from_secs(1);

/// What a console may show of a film that waited too long.
const BUSY: &str = "the box is busy: send the X-ray again in a minute";
/// The same of one that could not be judged.
const FAILED: &str = "the box could not judge it: see its screen, then send again";

/// Has films judged.
pub trait Judge: Send {
    /// Has a film judged; waits for the box for so long at most.
    ///
    /// # Errors
    /// There is no outcome.
    fn judge(&mut self, image: Image, patience: Duration) -> Result<Outcome, InnerError>;

    /// Whether one of the last results is of the film with this digest; waits for the box for so long at most.
    ///
    /// # Errors
    /// There is no answer.
    fn has_result(&mut self, image: Digest, patience: Duration) -> Result<bool, InnerError>;
}

impl Judge for Sender {
    fn judge(&mut self, image: Image, patience: Duration) -> Result<Outcome, InnerError> {
        Sender::judge(self, image, patience)
    }

    fn has_result(&mut self, image: Digest, patience: Duration) -> Result<bool, InnerError> {
        Sender::has_result(self, image, patience)
    }
}

/// A node that serves, until this is dropped.
pub struct Serving(Arc<End>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Starts to serve, on threads of its own. What an X-ray machine has to be told that may not send is handed to `show`.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    open: Open,
    judge: impl Judge + 'static,
    times: Times,
    show: impl Fn(ConsoleRefused) + Send + Sync + 'static,
) -> io::Result<Serving> {
    let end = Arc::new(End::default());
    let desk = Desk::new(open.title().clone(), judge, times, end.clone(), show);
    thread::Builder::new().name("node".to_owned()).spawn(move || open.run(&desk, &*desk.end))?;
    Ok(Serving(end))
}

#[derive(Default)]
struct End(AtomicBool);

impl Ending for End {
    fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Takes films for the box, and tells what is wrong with consoles.
struct Desk<J, S> {
    own: Title,
    times: Times,
    end: Arc<End>,
    turns: Turns,
    bench: Mutex<Bench<J>>,
    show: S,
    told: Mutex<Told>,
}

struct Bench<J> {
    judge: J,
    /// When the screen was told what became of the film before.
    shown: Option<Instant>,
}

/// What was told lately.
#[derive(Default)]
struct Told {
    minute: Option<Instant>,
    lines: u32,
    notice: Option<Instant>,
}

impl<J: Judge, S: Fn(ConsoleRefused) + Send + Sync> Desk<J, S> {
    fn new(own: Title, judge: J, times: Times, end: Arc<End>, show: S) -> Self {
        let bench = Mutex::new(Bench { judge, shown: None });
        Self { own, times, end, turns: Turns::default(), bench, show, told: Mutex::default() }
    }

    /// Waits until what is on the screen since then can have been read; false if the box stops meanwhile.
    fn can_be_read(&self, shown: Option<Instant>) -> bool {
        while !self.end.asked() {
            let left = shown.map_or(Duration::ZERO, |shown| self.times.read.saturating_sub(shown.elapsed()));
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
        false
    }

    /// Prints what happened: so many lines in a minute.
    fn print(&self, peer: IpAddr, event: &Event) {
        let mut told = held(&self.told);
        if told.minute.is_none_or(|minute| minute.elapsed() >= Duration::from_secs(60)) {
            (told.minute, told.lines) = (Some(Instant::now()), 0);
        }
        told.lines += 1;
        let more = match told.lines {
            ..PRINTED => "",
            PRINTED => " (what else comes in this minute is not told)",
            _ => return,
        };
        crate::say(format_args!("X-ray machine {peer}: {}{more}", event.told(words(event.what))));
    }

    /// Has the screen show what has to be changed on a console.
    fn notice(&self, peer: IpAddr, event: &Event) {
        let reason = match event.what {
            What::NotCalled => Console::NotCalled,
            What::NotNamed => Console::NotNamed,
            What::Stranger => Console::Stranger,
            What::NoKind | What::NoSyntax => Console::Unfit,
            _ => return,
        };
        let mut told = held(&self.told);
        if told.notice.is_some_and(|notice| notice.elapsed() < NOTICES) {
            return;
        }
        told.notice = Some(Instant::now());
        let title = event.titles.first().filter(|title| !title.is_empty());
        let named = match reason {
            Console::Stranger => peer.to_string(),
            _ => title.map_or("-", String::as_str).to_owned(),
        };
        (self.show)(ConsoleRefused { reason, named, own: self.own.to_string() });
    }
}

impl<J: Judge, S: Fn(ConsoleRefused) + Send + Sync> Films for Desk<J, S> {
    fn take(&self, film: Film<'_>) -> Taken {
        let Some(_turn) = self.turns.wait(self.times.turn) else { return Taken::NoRoom(BUSY) };
        let mut bytes = Vec::new();
        // One byte more than a film may have tells that it has too many.
        if film.bytes.take(u64::from(MAX_IMAGE_BYTES) + 1).read_to_end(&mut bytes).is_err() {
            return Taken::Cut;
        }
        let Ok(image) = Image::file(bytes, ExamId::default()) else { return Taken::TooLarge };
        let (digest, mut bench) = (image.source(), held(&self.bench));
        match bench.judge.has_result(digest, self.times.computer) {
            Ok(false) => {}
            Ok(true) => return Taken::Duplicate,
            Err(error) => return not_judged(error),
        }
        if !self.can_be_read(bench.shown) {
            return Taken::NoRoom(BUSY);
        }
        let judged = bench.judge.judge(image, self.times.computer);
        if judged.is_ok() {
            bench.shown = Some(Instant::now());
        }
        match judged {
            // What is refused is refused again, and shown again, if it is sent again.
            Ok(Outcome::Result(_) | Outcome::Refused(_)) => Taken::Kept,
            Ok(Outcome::Failed(fault)) => {
                crate::say(format_args!("an X-ray that came over Ethernet is not judged: {fault}"));
                Taken::NoRoom(FAILED)
            }
            // The card took so long to store the result, for example, that nobody waited any more.
            Err(InnerError::Lost(_)) if bench.judge.has_result(digest, self.times.computer) == Ok(true) => {
                bench.shown = Some(Instant::now());
                Taken::Kept
            }
            Err(error) => not_judged(error),
        }
    }

    fn note(&self, peer: IpAddr, _since: u64, event: Event) {
        self.print(peer, &event);
        self.notice(peer, &event);
    }

    fn unserved(&self, error: &io::Error) {
        crate::say(format_args!("an X-ray machine was not served: {error}"));
    }
}

/// What a console is told of a film that there is no outcome of.
fn not_judged(error: InnerError) -> Taken {
    if error == InnerError::Busy {
        return Taken::NoRoom(BUSY);
    }
    crate::say(format_args!("an X-ray that came over Ethernet is not judged: {error}"));
    Taken::NoRoom(FAILED)
}

/// What is printed of an event: `{}` stands for what fills it.
const fn words(what: What) -> &'static str {
    match what {
        What::Echo => "C-ECHO answered, from {}",
        What::Taken => "X-rays taken: {}, from {}, here already: {}",
        What::Nothing => "{} connected and sent nothing",
        What::Idle => "ended, nothing was asked for in two minutes",
        What::NotCalled => {
            "refused, the console calls us {}, but we are {}: enter {} there as the AE title that it calls"
        }
        What::Stranger => {
            "refused, nobody at this address may send: add it to `peers` in box.toml, or in the site file"
        }
        What::NotNamed => "refused, the console calls itself {}, but `peers` says otherwise: correct one of the two",
        What::Busy => "refused for now, too many send at once",
        What::NoKind => "nothing that {} offers is taken: send as CR, DX or Secondary Capture",
        What::NoSyntax => "no way of writing that {} offers is taken: send uncompressed",
        What::Foreign => "what came is not DICOM as agreed: check address and port",
        What::Slow => "too little came in its time: check the cable",
        What::Cut => "broken off in the middle of an X-ray: send it again",
        What::TooLarge => "an X-ray of more than 32 MiB: send it at a smaller size",
        What::NoRoom => "an X-ray was not judged: send it again",
        What::OtherKind => "an X-ray is not what was announced: send as CR, DX or Secondary Capture",
        What::NotUnderstood => "an X-ray cannot be read: send uncompressed",
    }
}

/// Lets one after the other in.
#[derive(Default)]
struct Turns {
    is_taken: Mutex<bool>,
    free: Condvar,
}

/// Somebody's turn, until this is dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits for a turn; `None` if it does not come in this time.
    fn wait(&self, within: Duration) -> Option<Turn<'_>> {
        let waited = self.free.wait_timeout_while(held(&self.is_taken), within, |is_taken| *is_taken);
        let (mut is_taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *is_taken {
            return None;
        }
        *is_taken = true;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *held(&self.0.is_taken) = false;
        self.0.free.notify_one();
    }
}

/// What is behind a lock, whatever has become of who held it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::VecDeque, sync::mpsc};

    use shared::verdict::{Fault, Refusal};
    use wire::HostError;

    use super::*;
    use crate::sample;

    /// Answers with these, one after the other, and counts. What is kept is known.
    struct Fake {
        answers: VecDeque<Result<Outcome, InnerError>>,
        count: Arc<Mutex<usize>>,
        /// Whether what is lost is kept all the same.
        keeps_lost: bool,
        known: Vec<Digest>,
    }

    impl Judge for Fake {
        fn judge(&mut self, image: Image, _: Duration) -> Result<Outcome, InnerError> {
            *held(&self.count) += 1;
            let answer = self.answers.pop_front().unwrap_or(Err(InnerError::Gone));
            let is_kept = match answer {
                Ok(Outcome::Result(_)) => true,
                Err(InnerError::Lost(_)) => self.keeps_lost,
                _ => false,
            };
            if is_kept {
                self.known.push(image.source());
            }
            answer
        }

        fn has_result(&mut self, image: Digest, _: Duration) -> Result<bool, InnerError> {
            Ok(self.known.contains(&image))
        }
    }

    const AT_ONCE: Times = Times { read: Duration::ZERO, ..Times::BOX };

    fn result() -> Outcome {
        Outcome::Result(sample::record(1))
    }

    type Shows = Box<dyn Fn(ConsoleRefused) + Send + Sync>;

    fn desk(answers: Vec<Result<Outcome, InnerError>>, show: Shows) -> (Desk<Fake, Shows>, Arc<Mutex<usize>>) {
        let count = Arc::new(Mutex::new(0));
        let own = "PUMUA".parse().unwrap();
        let fake = Fake { answers: answers.into(), count: count.clone(), keeps_lost: false, known: Vec::new() };
        (Desk::new(own, fake, AT_ONCE, Arc::default(), show), count)
    }

    fn take(desk: &impl Films, mut bytes: impl io::Read) -> Taken {
        desk.take(Film { peer: [127, 0, 0, 1].into(), bytes: &mut bytes })
    }

    #[test]
    fn a_film_is_judged_once_and_only_what_passes_is_to_be_sent_again() {
        let failed = Ok(Outcome::Failed(Fault::Storage));
        let refused = || Ok(Outcome::Refused(Refusal::Mirrored));
        let answers = vec![Err(InnerError::Busy), failed, Err(InnerError::Gone), Ok(result()), refused(), refused()];
        let (desk, count) = desk(answers, Box::new(|_| ()));
        let busy = take(&desk, &b"film"[..]);
        assert_eq!(busy, Taken::NoRoom(BUSY));
        assert_eq!([(); 2].map(|()| take(&desk, &b"film"[..])), [Taken::NoRoom(FAILED); 2]);
        assert_eq!(take(&desk, &b"film"[..]), Taken::Kept);
        assert_eq!([(); 3].map(|()| take(&desk, &b"film"[..])), [Taken::Duplicate; 3]);
        assert_eq!([(); 2].map(|()| take(&desk, &b"other"[..])), [Taken::Kept; 2], "what is refused is shown again");
        assert_eq!(*held(&count), 6);
        for why in [BUSY, FAILED] {
            assert!(why.is_ascii() && why.len() <= 64, "{why}");
        }
    }

    #[test]
    fn a_film_whose_result_was_kept_though_nobody_waited_is_judged_once() {
        for keeps_lost in [false, true] {
            let (desk, count) = desk(vec![Err(InnerError::Lost(HostError::Silent)), Ok(result())], Box::new(|_| ()));
            held(&desk.bench).judge.keeps_lost = keeps_lost;
            let (first, second) =
                if keeps_lost { (Taken::Kept, Taken::Duplicate) } else { (Taken::NoRoom(FAILED), Taken::Kept) };
            assert_eq!([(); 2].map(|()| take(&desk, &b"film"[..])), [first, second]);
            assert_eq!(*held(&count), if keeps_lost { 1 } else { 2 });
        }
    }

    #[test]
    fn what_became_of_a_film_can_be_read_before_the_next_one_takes_its_place_unless_the_box_stops() {
        let read = Duration::from_millis(300);
        let failed = Ok(Outcome::Failed(Fault::Storage));
        let (mut desk, _) = desk(vec![failed, Ok(result()), Ok(result())], Box::new(|_| ()));
        desk.times.read = read;
        let begun = Instant::now();
        let taken = [&b"1"[..], b"2", b"2"].map(|film| take(&desk, film));
        assert_eq!(taken, [Taken::NoRoom(FAILED), Taken::Kept, Taken::Duplicate]);
        assert!(begun.elapsed() >= read, "the second one waits");
        // A day, but the box stops.
        desk.times.read = Duration::from_secs(86_400);
        desk.end.0.store(true, Ordering::Relaxed);
        assert_eq!(take(&desk, &b"3"[..]), Taken::NoRoom(BUSY));
    }

    #[test]
    fn of_what_is_too_large_or_breaks_off_nothing_is_judged() {
        struct Cut;
        impl io::Read for Cut {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let (desk, count) = desk(Vec::new(), Box::new(|_| ()));
        assert_eq!(take(&desk, io::repeat(7)), Taken::TooLarge);
        assert_eq!(take(&desk, io::Read::chain(&b"half"[..], Cut)), Taken::Cut);
        assert_eq!(*held(&count), 0);
    }

    #[test]
    fn one_film_at_a_time_is_held() {
        let turns = Turns::default();
        let first = turns.wait(Duration::ZERO).unwrap();
        assert!(turns.wait(Duration::from_millis(10)).is_none());
        thread::scope(|scope| {
            let waits = scope.spawn(|| turns.wait(Duration::from_secs(60)).is_some());
            drop(first);
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn every_event_has_words_and_the_screen_is_told_what_to_change() {
        for what in What::ALL {
            assert_eq!(words(what).matches("{}").count(), what.places(), "{what:?}");
        }
        let (sender, shown) = mpsc::channel();
        let sender = Mutex::new(sender);
        let (desk, _) = desk(Vec::new(), Box::new(move |refused| held(&sender).send(refused).unwrap()));
        let peer = IpAddr::from([192, 168, 7, 9]);
        let called = ["PACS1", "PUMUA", "PUMUA"].map(str::to_owned);
        let tells = Cell::new(0);
        let note = |event: Event| {
            // As if a second had passed.
            held(&desk.told).notice = None;
            tells.set(tells.get() + 1);
            desk.note(peer, 0, event);
            shown.try_recv().ok().map(|it: ConsoleRefused| (it.reason, it.named, it.own))
        };
        let own = || "PUMUA".to_owned();
        let told = note(Event::new(What::NotCalled, called));
        assert_eq!(told, Some((Console::NotCalled, "PACS1".to_owned(), own())));
        assert_eq!(note(What::Stranger.into()), Some((Console::Stranger, peer.to_string(), own())));
        assert_eq!(note(Event::new(What::NotNamed, [String::new()])), Some((Console::NotNamed, "-".to_owned(), own())));
        for what in [What::Echo, What::Busy, What::Cut] {
            assert_eq!(note(Event::new(what, [String::new()])), None, "{what:?}");
        }
        assert_eq!(tells.get(), 6);
        // A second time at once is too much.
        desk.note(peer, 0, What::Stranger.into());
        desk.note(peer, 0, What::Stranger.into());
        assert_eq!(shown.try_iter().count(), 1);
    }
}
