//! Has a box judge, as `pumua send` does.

use base::calendar::now;
use engine::judge::Prepared;
use link::{Awaited, Connection, LinkError, PortOptions};
use serve::{By, Courier, FIRST_TURNS, Judge, Judged, Outcome, Pictures, Unavailable};
use shared::{
    contract::InputContract,
    verdict::{Digest, ExamId, Fault, ResultRecord},
};
use wire::{Image, Info, Outcome as Answered};

use super::{bundles::ToBox, here::pictures};

/// The box on a serial line. A session lasts for one film, so that others can use the box in between.
pub(super) struct AtBox {
    port: PortOptions,
    any_age: bool,
    by: Option<By>,
    /// The film that was sent whole to the box, and has not been answered.
    sent: Option<Sent>,
    /// Of so many films one may have been sent before this program was started, and its answer lost.
    may_be_sent: usize,
}

/// A film on the box.
struct Sent {
    film: Digest,
    exam: ExamId,
    awaited: Awaited,
    /// What the box was then: its model may be another one by now.
    info: Info,
}

impl AtBox {
    /// Asks the box who it is. That it does not answer now is no error: films wait until it does.
    pub(super) fn new(port: PortOptions, any_age: bool) -> Self {
        let mut this = Self { port, any_age, by: None, sent: None, may_be_sent: FIRST_TURNS };
        match this.open() {
            Ok((_, info)) => this.by = Some(name(&info)),
            Err(error) => base::say!("{error}"),
        }
        this
    }

    fn open(&self) -> Result<(Connection, Info), LinkError> {
        let mut connection = Connection::open(&self.port)?;
        connection.set_clock(now())?;
        let info = connection.info()?;
        Ok((connection, info))
    }

    /// The answer of the box, and what the box was when it gave it. One that got lost is looked for among its results before
    /// the film is sent again, also one from before this program was started: it is judged once.
    fn ask(&mut self, film: &[u8], exam: &ExamId) -> Result<(Info, Result<ResultRecord, Outcome>), LinkError> {
        let (mut connection, info) = self.open()?;
        self.by = Some(name(&info));
        let digest = Digest::of(film);
        if let Some(sent) = &self.sent
            && (&sent.film, &sent.exam) == (&digest, exam)
            && let Some(record) = connection.stored(&sent.awaited)?
        {
            let then = sent.info.clone();
            self.sent = None;
            return Ok((then, Ok(record)));
        }
        self.sent = None;
        let image = match Image::file(film.to_vec(), exam.clone()) {
            Ok(image) => image.of_any_age(self.any_age),
            Err(refusal) => return Ok((info, Err(Outcome::Refused(refusal)))),
        };
        if self.may_be_sent > 0 {
            // A box that cannot look for it judges again.
            let before = match connection.stored_before(&image) {
                Err(LinkError::Fault(_)) => None,
                found => found?,
            };
            self.may_be_sent = if before.is_some() { 0 } else { self.may_be_sent - 1 };
            if let Some(record) = before {
                return Ok((info, Ok(record)));
            }
        }
        let answered = connection.send(image, |_| {}).inspect_err(|_| {
            self.sent = connection.awaited().map(|awaited| Sent {
                film: digest,
                exam: exam.clone(),
                awaited: awaited.clone(),
                info: info.clone(),
            });
        })?;
        Ok(match answered {
            Answered::Result(record) => (info, Ok(record)),
            Answered::Refused(refusal) => (info, Err(Outcome::Refused(refusal))),
            Answered::Failed(fault) if passes(fault) => return Err(LinkError::Fault(fault)),
            Answered::Failed(fault) => (info, Err(Outcome::Failed(fault))),
        })
    }
}

/// Whether a fault is of the box or its line, and not of this film: the film waits.
fn passes(fault: Fault) -> bool {
    !matches!(fault, Fault::Inference | Fault::Internal | Fault::Protocol)
}

fn name(info: &Info) -> By {
    By { model: info.model.as_str().to_owned(), digest: info.model_digest, synthetic: info.synthetic, ages: info.ages }
}

impl Judge for AtBox {
    fn by(&self) -> Option<By> {
        self.by.clone()
    }

    fn judge(&mut self, film: Vec<u8>, exam: &ExamId) -> Result<Judged, Unavailable> {
        let (info, answer) = self.ask(&film, exam).map_err(|error| Unavailable(error.to_string()))?;
        let outcome = answer.map_or_else(
            |other| other,
            |record| Outcome::Judged {
                verdict: record.verdict,
                probability: record.probability,
                point: record.point,
                age: record.age,
                looked: false,
                record: Some(record.number),
            },
        );
        Ok(Judged { by: name(&info), outcome, pictures: seen(&film, &info.contract) })
    }

    fn courier(&self) -> Option<Box<dyn Courier>> {
        Some(Box::new(ToBox { port: self.port.clone() }))
    }
}

/// What the box sees of a film, drawn here; where the model looked is on its screen alone.
fn seen(film: &[u8], contract: &InputContract) -> Pictures {
    match (decode::decode(film), contract.check()) {
        (Ok(radiograph), Ok(())) => {
            let picture = radiograph.picture();
            pictures(&picture, &Prepared::of_any(&picture, contract), None)
        }
        _ => Pictures::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_waits_for_what_passes_and_not_for_what_comes_of_the_film() {
        let stays: Vec<Fault> = Fault::ALL.iter().copied().filter(|&fault| !passes(fault)).collect();
        assert_eq!(stays, [Fault::Protocol, Fault::Inference, Fault::Internal]);
    }
}
