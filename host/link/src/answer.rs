//! Whether an answer of the box can be right. A box that is broken, or that only calls itself one, may say anything.

use shared::{
    age::{Age, AgeNote},
    contract::ContractError,
    verdict::{Digest, ExamId, OperatingPoint, OperatingPointError, ResultRecord},
};
use wire::{Image, ImageForm, Info, Installed, Listed};

/// What is wrong with an answer of the box.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// The result is of another exam than the one that was sent.
    #[error("the result is of another exam")]
    Exam,
    /// The result is of another image.
    #[error("the result is of another image")]
    Image,
    /// The result is of an image prepared on the host where a file was sent, or the other way round.
    #[error("the result is of an image in another form than the one that was sent")]
    Form,
    /// The result, or the box's confirmation of an update, is by another model than it should be.
    #[error("it is by another model")]
    Model,
    /// The result was decided by another operating point than the box has.
    #[error("the result is by another operating point than the box has")]
    Point,
    /// The result notes another age than was sent, or one that is overridden though nobody asked for that.
    #[error("the result is of a patient of another age, or whose age nobody asked to override")]
    Age,
    /// The result is from another start of the box than this one.
    #[error("the result is from another start of the box")]
    Boot,
    /// The operating point cannot be one.
    #[error("its limits of the verdict are out of order")]
    Disordered(#[from] OperatingPointError),
    /// The probability is not one.
    #[error("{0} is no probability")]
    Probability(f32),
    /// The verdict is another one than that of the probability.
    #[error("the verdict does not follow from the probability")]
    Verdict,
    /// The number was given before, falls, or lies before those that were asked for.
    #[error("result {found} comes where only {least} or a later one can")]
    Number {
        /// What the box says.
        found: u64,
        /// The lowest that can be right.
        least: u64,
    },
    /// The input of the box's model cannot be one.
    #[error("its model cannot take any image")]
    Contract(#[from] ContractError),
    /// It has more of the bundle than there is, or ever less.
    #[error("it cannot have that much of the bundle")]
    Bundle,
    /// The picture of the screen is not a whole PNG file.
    #[error("the picture of the screen is not a whole PNG image")]
    Screenshot,
}

/// What the answer to an image that was sent must agree with.
#[derive(Clone, Debug, PartialEq)]
pub struct Awaited {
    /// Of the results that are stored, it is after this one.
    after: u64,
    exam: ExamId,
    image: Digest,
    model: Digest,
    prepared: bool,
    /// The age that was sent with a prepared image; a file says it itself.
    age: Option<Age>,
    any_age: bool,
}

/// What the box has said of itself in this session.
#[derive(Clone, Debug)]
pub(super) struct Known {
    info: Info,
    /// Number of the last result.
    last: u64,
}

impl Known {
    pub(super) fn new(info: Info) -> Result<Self, AnswerError> {
        info.contract.check()?;
        info.point.check()?;
        Ok(Self { last: info.records, info })
    }

    pub(super) fn awaited(&self, image: &Image) -> Awaited {
        let (exam, model) = (image.begin.exam.clone(), self.info.model_digest);
        let (prepared, age) = match image.begin.form {
            ImageForm::File => (false, None),
            ImageForm::Prepared { age, .. } => (true, age),
        };
        let any_age = image.begin.any_age;
        Awaited { after: self.last, exam, image: image.source(), model, prepared, age, any_age }
    }

    /// The operating point of the box.
    pub(super) fn point(&self) -> OperatingPoint {
        self.info.point
    }

    /// Holds a new result to what was sent, and to what the box has said of itself.
    pub(super) fn check(&mut self, record: &ResultRecord, awaited: &Awaited) -> Result<(), AnswerError> {
        let Self { info, last } = self;
        check_record(record, last.saturating_add(1))?;
        if record.exam != awaited.exam {
            return Err(AnswerError::Exam);
        }
        if record.image != awaited.image {
            return Err(AnswerError::Image);
        }
        if record.prepared != awaited.prepared {
            return Err(AnswerError::Form);
        }
        if !awaited.is_of_age(record.age) {
            return Err(AnswerError::Age);
        }
        if record.model != info.model_digest {
            return Err(AnswerError::Model);
        }
        if record.point != info.point {
            return Err(AnswerError::Point);
        }
        if record.boot != info.boot {
            return Err(AnswerError::Boot);
        }
        *last = record.number;
        Ok(())
    }
}

impl Awaited {
    /// Number of the first result that can be it.
    pub fn first(&self) -> u64 {
        self.after.saturating_add(1)
    }

    /// The same, of all results that are stored.
    pub(super) fn at_any_time(self) -> Self {
        Self { after: 0, ..self }
    }

    pub(super) fn image(&self) -> Digest {
        self.image
    }

    /// Whether a stored result is the answer to this image.
    pub(super) fn is(&self, record: &ResultRecord) -> bool {
        let of = (&record.exam, record.image, record.model, record.prepared);
        of == (&self.exam, self.image, self.model, self.prepared) && self.is_of_age(record.age)
    }

    /// Whether a result may note this age.
    fn is_of_age(&self, note: AgeNote) -> bool {
        let stated = !self.prepared || note.age() == self.age;
        note != AgeNote::NotNoted && stated && (self.any_age || !note.is_overridden())
    }
}

/// Holds a result to itself, and its number to the lowest that can be right.
pub(super) fn check_record(record: &ResultRecord, least: u64) -> Result<(), AnswerError> {
    let &ResultRecord { number, probability, point, verdict, .. } = record;
    if number < least {
        return Err(AnswerError::Number { found: number, least });
    }
    point.check()?;
    if !(0.0..=1.0).contains(&probability) {
        return Err(AnswerError::Probability(probability));
    }
    if verdict != point.verdict(probability) { Err(AnswerError::Verdict) } else { Ok(()) }
}

/// Holds an entry of the journal to the lowest number that can be right, and a result in it to itself.
pub(super) fn check_entry(entry: &Listed, least: u64) -> Result<(), AnswerError> {
    let found = entry.sequence();
    if found < least {
        return Err(AnswerError::Number { found, least });
    }
    entry.result().map_or(Ok(()), |record| check_record(record, 0))
}

/// Holds the confirmation of an update to the file that was sent.
pub(super) fn check_installed(installed: &Installed, sent: Digest) -> Result<(), AnswerError> {
    if installed.digest == sent { Ok(()) } else { Err(AnswerError::Model) }
}
