//! X-rays that come over Ethernet: the box as a DICOM node, which an X-ray machine sends to as to any archive.
//!
//! A film is judged as one that came over the serial line, through a line within the box ([`crate::inner`]): a computer that holds
//! the box is not disturbed, and the film waits. It is answered with success when its result is in the journal, or when it was
//! refused for what it is, which the screen says; the same bytes would be refused again. Otherwise the answer is *out of
//! resources* (A700H), and consoles send it again by themselves.
//!
//! One film at a time is held in memory. The same bytes, which hold the UID of the film, are judged once: those of the last 64
//! results are known, until the box is started again.

use std::{
    collections::VecDeque,
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

/// Films whose results are remembered.
const REMEMBERED: usize = 64;
/// How long a film waits for the one before it, and then for a computer that holds the box.
const PATIENCE: Duration = Duration::from_secs(60);
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
}

impl Judge for Sender {
    fn judge(&mut self, image: Image, patience: Duration) -> Result<Outcome, InnerError> {
        Sender::judge(self, image, patience)
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
    show: impl Fn(ConsoleRefused) + Send + Sync + 'static,
) -> io::Result<Serving> {
    let end = Arc::new(End::default());
    let desk = Desk::new(open.title().clone(), judge, show);
    let asked = end.clone();
    thread::Builder::new().name("node".to_owned()).spawn(move || open.run(&desk, &*asked))?;
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
    turns: Turns,
    bench: Mutex<Bench<J>>,
    show: S,
    told: Mutex<Told>,
}

struct Bench<J> {
    judge: J,
    /// Digests of the films that have results, the oldest first.
    known: VecDeque<Digest>,
}

/// What was told lately.
#[derive(Default)]
struct Told {
    minute: Option<Instant>,
    lines: u32,
    notice: Option<Instant>,
}

impl<J: Judge, S: Fn(ConsoleRefused) + Send + Sync> Desk<J, S> {
    fn new(own: Title, judge: J, show: S) -> Self {
        let bench = Mutex::new(Bench { judge, known: VecDeque::new() });
        Self { own, turns: Turns::default(), bench, show, told: Mutex::default() }
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
        let Some(_turn) = self.turns.wait(PATIENCE) else { return Taken::NoRoom(BUSY) };
        let mut bytes = Vec::new();
        // One byte more than a film may have tells that it has too many.
        if film.bytes.take(u64::from(MAX_IMAGE_BYTES) + 1).read_to_end(&mut bytes).is_err() {
            return Taken::Cut;
        }
        let Ok(image) = Image::file(bytes, ExamId::default()) else { return Taken::TooLarge };
        let (digest, mut bench) = (image.source(), held(&self.bench));
        if bench.known.contains(&digest) {
            return Taken::Duplicate;
        }
        match bench.judge.judge(image, PATIENCE) {
            Ok(Outcome::Result(_)) => {
                if bench.known.len() >= REMEMBERED {
                    bench.known.pop_front();
                }
                bench.known.push_back(digest);
                Taken::Kept
            }
            // Sent again it is refused again, and shown again: it is not remembered.
            Ok(Outcome::Refused(_)) => Taken::Kept,
            Ok(Outcome::Failed(fault)) => {
                crate::say(format_args!("an X-ray that came over Ethernet is not judged: {fault}"));
                Taken::NoRoom(FAILED)
            }
            Err(InnerError::Busy) => Taken::NoRoom(BUSY),
            Err(error) => {
                crate::say(format_args!("an X-ray that came over Ethernet is not judged: {error}"));
                Taken::NoRoom(FAILED)
            }
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

/// What is printed of an event: `{}` stands for what fills it.
const fn words(what: What) -> &'static str {
    match what {
        What::Echo => "C-ECHO answered, from {}",
        What::Taken => "X-rays taken: {}, from {}, here already: {}",
        What::Nothing => "{} connected and sent nothing",
        What::Idle => "ended, nothing was asked for in two minutes",
        What::NotCalled => "refused, the console calls us {}, we are {}: enter {} there as the AE title that it calls",
        What::Stranger => "refused, nobody at this address may send: add it to `peers` in box.toml",
        What::NotNamed => "refused, the console calls itself {}, and `peers` says otherwise: correct one of the two",
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
    use std::{cell::Cell, sync::mpsc};

    use shared::verdict::{Fault, Refusal};

    use super::*;

    /// Answers with these, one after the other, and counts.
    struct Fake(VecDeque<Result<Outcome, InnerError>>, Arc<Mutex<usize>>);

    impl Judge for Fake {
        fn judge(&mut self, _: Image, _: Duration) -> Result<Outcome, InnerError> {
            *held(&self.1) += 1;
            self.0.pop_front().unwrap_or(Err(InnerError::Gone))
        }
    }

    fn result() -> Outcome {
        use shared::{
            age::AgeNote,
            verdict::{OperatingPoint, ResultRecord, Verdict},
        };
        Outcome::Result(ResultRecord {
            number: 1,
            boot: 1,
            unix_seconds: None,
            exam: ExamId::default(),
            image: Digest::default(),
            model: Digest::default(),
            probability: 0.5,
            point: OperatingPoint::HALF,
            verdict: Verdict::Refer,
            prepared: false,
            age: AgeNote::Unknown,
            trust: None,
        })
    }

    type Shows = Box<dyn Fn(ConsoleRefused) + Send + Sync>;

    fn desk(answers: Vec<Result<Outcome, InnerError>>, show: Shows) -> (Desk<Fake, Shows>, Arc<Mutex<usize>>) {
        let count = Arc::new(Mutex::new(0));
        let own = "PUMUA".parse().unwrap();
        (Desk::new(own, Fake(answers.into(), count.clone()), show), count)
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
