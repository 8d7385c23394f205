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
const AGAIN_AFTER: Duration = Duration::from_secs(5);

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

/// Judges what waits, the oldest first, until the end.
pub(crate) fn work(judge: &mut dyn Judge, store: &Store, standing: &Standing, stop: &Stop) {
    standing.set(judge.by(), None);
    while !stop.asked() {
        let Some((number, exam)) = store.next_waiting(Duration::from_millis(200)) else { continue };
        let done = match store.film(number) {
            Ok(film) => one(judge, film, &exam).map_err(|error| error.to_string()),
            Err(error) => {
                base::say!("film {number} cannot be read: {error}");
                Ok((None, Outcome::Failed(Fault::Storage), Pictures::default()))
            }
        };
        let done = done.and_then(|(by, outcome, pictures)| {
            let answer = Answer { at: now(), by: by.clone(), outcome };
            store.finish(number, answer, &pictures).map(|()| by).map_err(|error| error.to_string())
        });
        match done {
            Ok(by) => standing.set(by, None),
            Err(trouble) => {
                standing.set(None, Some(trouble));
                let until = Instant::now() + AGAIN_AFTER;
                while Instant::now() < until && !stop.asked() {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
}

/// Judges one film. A program error in decoding or judging is told as a fault, and the next film is judged.
fn one(judge: &mut dyn Judge, film: Vec<u8>, exam: &ExamId) -> Result<(Option<By>, Outcome, Pictures), Unavailable> {
    match catch_unwind(AssertUnwindSafe(|| judge.judge(film, exam))) {
        Ok(judged) => judged.map(|Judged { by, outcome, pictures }| (Some(by), outcome, pictures)),
        Err(_) => Ok((None, Outcome::Failed(Fault::Internal), Pictures::default())),
    }
}
