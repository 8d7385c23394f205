//! Who judges, and the thread in which that is done.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use base::calendar::now;
use shared::verdict::{ExamId, Fault};

use crate::{
    record::{Answer, By, Outcome, Pictures},
    stop::Stop,
    store::Store,
    update::{Courier, Line, Updates},
};

/// Judges films: with a model in this program, or by asking a box.
pub trait Judge: Send {
    /// Who judges, as far as that is known before the first film.
    fn by(&self) -> Option<By>;

    /// Judges the bytes of a file, at most [`shared::limits::MAX_IMAGE_BYTES`] of them.
    ///
    /// # Errors
    /// Nobody can judge now: the film is tried again later.
    fn judge(&mut self, film: Vec<u8>, exam: &ExamId) -> Result<Judged, Unavailable>;

    /// What takes updates to whoever judges, if that can be: the thread that judges has it at work while no film waits.
    fn courier(&self) -> Option<Box<dyn Courier>> {
        None
    }
}

/// What was made of a film.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Who judged.
    pub by: By,
    /// What is said of it.
    pub outcome: Outcome,
    /// What can be seen of it.
    pub pictures: Pictures,
}

/// Why nobody can judge now, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Time before another attempt.
const AGAIN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });

/// What the page says of whoever judges.
#[derive(Debug, Default)]
pub(crate) struct Standing(Mutex<(Option<By>, Option<String>)>);

impl Standing {
    /// Who judges, and why nobody can, if that is so.
    pub(crate) fn get(&self) -> (Option<By>, Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, by: Option<By>, trouble: Option<String>) {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_some() && standing.1 != trouble {
            base::say!("{}", trouble.as_deref().unwrap_or_default());
        }
        *standing = (by.or(standing.0.take()), trouble);
    }
}

/// Judges what waits, one after the other, until the end. While nothing does, an update gets on.
pub(crate) fn work(judge: &mut dyn Judge, store: &Store, standing: &Standing, updates: Option<&Updates>, stop: &Stop) {
    standing.set(judge.by(), None);
    let mut again = None;
    let (mut line, rests) = (Line::default(), || stop.asked() || store.waits());
    let mut update = || {
        if let Some(updates) = updates {
            line.go_on(updates, &rests);
        }
    };
    while !stop.asked() {
        let next = again.take().or_else(|| store.next_waiting(Duration::from_millis(200)));
        let Some((number, exam)) = next else {
            update();
            continue;
        };
        let done = match store.film(number) {
            Ok(film) => one(judge, film, &exam).map_err(|error| error.to_string()),
            Err(error) => {
                base::say!("film {number} cannot be read: {error}");
                Ok((None, Outcome::Failed(Fault::Storage), Pictures::default()))
            }
        };
        match done {
            Ok((by, outcome, pictures)) => {
                let answer = Answer { at: now(), by, outcome };
                // Where it cannot be written now, the answer is kept until it can: the film is not judged again for that.
                while let Err(error) = store.finish(number, answer.clone(), &pictures) {
                    standing.set(None, Some(error.to_string()));
                    pause(stop);
                    if stop.asked() {
                        return;
                    }
                }
                // An answer that was found again may be of another model than the one that judges now.
                standing.set(judge.by(), None);
            }
            Err(trouble) => {
                standing.set(None, Some(trouble));
                // Its answer may have got lost: nobody takes a turn before it is found.
                again = Some((number, exam));
                // It may be what mends the box: one piece of it goes between two attempts.
                update();
                pause(stop);
            }
        }
    }
}

/// Waits before another attempt, not beyond the end.
fn pause(stop: &Stop) {
    let until = Instant::now() + AGAIN_AFTER;
    while Instant::now() < until && !stop.asked() {
        thread::sleep(Duration::from_millis(50));
    }
}

/// Judges one film. A program error in decoding or judging is told as a fault, and the next film is judged.
fn one(judge: &mut dyn Judge, film: Vec<u8>, exam: &ExamId) -> Result<(Option<By>, Outcome, Pictures), Unavailable> {
    match catch_unwind(AssertUnwindSafe(|| judge.judge(film, exam))) {
        Ok(judged) => judged.map(|Judged { by, outcome, pictures }| (Some(by), outcome, pictures)),
        Err(_) => Ok((None, Outcome::Failed(Fault::Internal), Pictures::default())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use shared::verdict::{Digest, Refusal};

    use super::*;
    use crate::{record::Source, store::Bounds};

    /// Refuses every film, and counts them.
    struct Counting(u32);

    impl Judge for Counting {
        fn by(&self) -> Option<By> {
            Some(By { model: "m".to_owned(), digest: Digest::of(b"m"), synthetic: false, ages: None })
        }

        fn judge(&mut self, _film: Vec<u8>, _exam: &ExamId) -> Result<Judged, Unavailable> {
            self.0 += 1;
            let by = By { model: "before".to_owned(), digest: Digest::of(b"before"), synthetic: false, ages: None };
            Ok(Judged { by, outcome: Outcome::Refused(Refusal::Blank), pictures: Pictures::default() })
        }
    }

    /// Cannot judge the first time, and keeps what it was given.
    struct Away(Vec<Vec<u8>>);

    impl Judge for Away {
        fn by(&self) -> Option<By> {
            None
        }

        fn judge(&mut self, film: Vec<u8>, exam: &ExamId) -> Result<Judged, Unavailable> {
            self.0.push(film);
            if self.0.len() == 1 { Err(Unavailable("away".to_owned())) } else { Counting(0).judge(Vec::new(), exam) }
        }
    }

    fn within(what: impl Fn() -> bool) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while !what() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        what()
    }

    /// A store with one film that waits.
    fn waiting(folder: &std::path::Path) -> Store {
        let store = Store::open(folder, Bounds::default()).unwrap();
        keep(&store, b"film", Source::Node);
        store
    }

    fn keep(store: &Store, film: &[u8], source: Source) {
        let mut incoming = store.begin().unwrap();
        incoming.write_all(film).unwrap();
        store.keep(incoming, ExamId::default(), source, "").unwrap();
    }

    #[test]
    fn a_film_whose_answer_may_have_got_lost_keeps_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let store = waiting(folder.path());
        let (standing, stop, mut judge) = (Standing::default(), Stop::default(), Away(Vec::new()));
        let answered = thread::scope(|scope| {
            scope.spawn(|| work(&mut judge, &store, &standing, None, &stop));
            let told = within(|| standing.get().1.is_some());
            // A person waits for it.
            keep(&store, b"another", Source::Page);
            let answered = within(|| store.get(2).is_some_and(|record| record.answer.is_some()));
            stop.ask();
            told && answered
        });
        assert!(answered);
        assert_eq!(judge.0, [&b"film"[..], b"film", b"another"]);
    }

    #[test]
    fn a_film_whose_answer_cannot_be_written_is_judged_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = waiting(folder.path());
        let [results, away] = ["results", "away"].map(|name| folder.path().join(name));
        fs::rename(&results, &away).unwrap();
        let (standing, stop, mut judge) = (Standing::default(), Stop::default(), Counting(0));
        let [told, kept] = thread::scope(|scope| {
            scope.spawn(|| work(&mut judge, &store, &standing, None, &stop));
            let told = within(|| standing.get().1.is_some());
            thread::sleep(AGAIN_AFTER * 4);
            let back = fs::rename(&away, &results).is_ok();
            let kept = back && within(|| store.get(1).is_some_and(|record| record.answer.is_some()));
            let kept = kept && within(|| standing.get().1.is_none());
            stop.ask();
            [told, kept]
        });
        assert!(told && kept);
        assert_eq!(judge.0, 1);
        // The record says who gave the answer, the page who judges now.
        let by = store.get(1).and_then(|record| record.answer).and_then(|answer| answer.by);
        assert_eq!(by.map(|by| by.model).as_deref(), Some("before"));
        assert_eq!(standing.get().0.map(|by| by.model).as_deref(), Some("m"));
    }

    #[test]
    fn a_film_that_has_changed_on_the_disk_is_not_judged() {
        let folder = tempfile::tempdir().unwrap();
        let store = waiting(folder.path());
        fs::write(folder.path().join("films/00000001.film"), b"another child").unwrap();
        let (standing, stop, mut judge) = (Standing::default(), Stop::default(), Counting(0));
        let kept = thread::scope(|scope| {
            scope.spawn(|| work(&mut judge, &store, &standing, None, &stop));
            let kept = within(|| store.get(1).is_some_and(|record| record.answer.is_some()));
            stop.ask();
            kept
        });
        assert!(kept);
        assert_eq!(judge.0, 0);
        let outcome = store.get(1).and_then(|record| record.answer).map(|answer| answer.outcome);
        assert_eq!(outcome, Some(Outcome::Failed(Fault::Storage)));
    }
}
