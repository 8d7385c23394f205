//! `pumua send`: sends radiographs to the box and prints its verdicts.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use base::{
    Shown,
    calendar::{now, utc},
    files::{ReadError, check_piped, is_piped, read_radiograph, text_of},
};
use engine::judge::Prepared;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use link::{Awaited, Connection, LinkError, PortOptions, Sending, exam_naming};
use report::SYNTHETIC_MODEL;
use serde_json::{Value, json};
use shared::{
    accession::ExamNaming,
    appliance::Override,
    calendar::credible,
    contract::InputContract,
    verdict::{Digest, ExamId, Fault, Refusal, ResultRecord, Trust},
};
use wire::{HostError, Image, Info, Outcome, Phase};

use super::started_as;
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// How long the result of an image is looked for whose answer has not come.
const ASK_FOR: Duration = Duration::from_secs(10);
/// Time between two looks.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Options of `pumua send`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Radiographs to send: DICOM, JPEG, PNG, TIFF, BMP or WebP files; `-` for what comes in on standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    port: PortOptions,
    /// Name of the exam, kept with the results: letters, digits, '.', '_', '-'; never a patient's name [default: none,
    /// or by `exam_id` in ~/.config/pumua/host.toml]
    #[arg(long, alias = "study", value_name = "ID", default_value = "", hide_default_value = true, value_parser = ExamId::new)]
    exam: ExamId,
    /// Prepare the images here and send only what the model needs and a small picture: for a slow line. The verdict is
    /// the same
    #[arg(long)]
    prepared: bool,
    /// Have patients judged who are older or younger than those whom the model is for, where the settings of the box allow it:
    /// age. The result says so, here, on the screen and in the journal
    #[arg(long = "override", value_name = "REASON")]
    overrides: Vec<Override>,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
}

/// Sends radiographs to the box and prints its verdicts.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { files, port, exam, prepared, overrides, json } = options;
    let any_age = overrides.contains(&Override::Age);
    check_piped(&files).exit(Exit::Usage)?;
    // What comes in takes its time, and a box that hears nothing meanwhile gives the session up.
    let mut piped: Vec<_> = files.iter().map(|path| is_piped(path).then(|| read_radiograph(path))).collect();
    let mut connection = Connection::open(&port).map_err(Failure::of_link)?;
    let info = greet(&mut connection).map_err(Failure::of_link)?;
    let naming = exam_naming().map_err(Failure::of_link)?;
    let contract = if prepared {
        info.contract.check().exit(Exit::Protocol)?;
        Some(info.contract)
    } else {
        None
    };
    let mut tally = Tally::default();
    for (path, piped) in files.iter().zip(&mut piped) {
        let start = Instant::now();
        let answer = match piped.take().unwrap_or_else(|| read_radiograph(path)) {
            Ok(bytes) => match make_image(&mut connection, contract, &name(&naming, &exam, &bytes), bytes, any_age) {
                Ok(Ok(image)) => transfer(&mut connection, path, image, &mut tally),
                Ok(Err(refusal)) => Ok(SendOutcome::Refused(refusal)),
                Err(error) => Err(error),
            },
            Err(ReadError::Refused(refusal)) => Ok(SendOutcome::Refused(refusal)),
            Err(ReadError::Io(error)) => Ok(SendOutcome::Unreadable(error)),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tally.report(&connection);
                let awaited = connection.awaited().cloned();
                // Before another one is opened, which is done only if the box may have judged.
                drop(connection);
                let answer;
                (connection, answer) = without_answer(&port, path, error, awaited.as_ref())?;
                answer
            }
        };
        tally.count(&answer);
        let line = if json {
            output::json(&to_json(path, &answer, start.elapsed(), info.synthetic))
        } else {
            to_text(path, &answer)
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush())?;
    }
    tally.report(&connection);
    Ok(tally.exit())
}

/// What the exam of a file is called.
fn name(naming: &ExamNaming, given: &ExamId, bytes: &[u8]) -> ExamId {
    let accession = if naming.asks() { decode::accession(bytes) } else { None };
    naming.name(given, accession.as_ref())
}

/// Sets the clock, if this computer knows the time, and learns what the box is.
fn greet(connection: &mut Connection) -> Result<Info, LinkError> {
    match credible(now()) {
        Some(seconds) => connection.set_clock(seconds)?,
        None => base::say!(
            "warning: the clock of this computer says {}, which cannot be right: the clock of the box is not set by it, and \
             its results may have no time; set the date of this computer",
            utc(now())
        ),
    }
    let info = connection.info()?;
    base::say!("model {}; a research aid, not a medical device", Shown(&info.model));
    if info.synthetic {
        base::say!("{SYNTHETIC_MODEL}");
    }
    Ok(info)
}

/// What is to be said of an image whose answer has not come: the stored result, with the session in which it was found, if the
/// box has judged the image all the same.
fn without_answer(
    port: &PortOptions,
    path: &Path,
    error: LinkError,
    awaited: Option<&Awaited>,
) -> Result<(Connection, SendOutcome), Failure> {
    let path = Shown(path.display());
    let Some(awaited) = awaited else {
        return Err(Failure::of_link(error).context(format!("{path}: not judged")));
    };
    if let LinkError::Session(HostError::Timeout | HostError::Silent | HostError::Closed)
    | LinkError::Unplugged { .. } = error
    {
        base::say!("{path}: {error}");
        base::say!("{path}: it is not known whether the box has judged it: looking among its results");
        // That it cannot be asked changes nothing: the first error is the one to be told.
        if let Ok(Some((connection, record))) = find_stored(port, awaited) {
            base::say!("{path}: the box has judged it: this is the result that it has stored");
            let stored = SentResult { record, bytes: 0 };
            return Ok((connection, SendOutcome::Judged(Box::new(stored))));
        }
    }
    let advice = format!(
        "{path}: not confirmed, it is not known whether the box has judged it: look at its screen, or ask with `{} results \
         --from {}`, before it is sent again",
        started_as(),
        awaited.first()
    );
    Err(Failure::unconfirmed(error, advice))
}

/// The stored result of an image, looked for in a session of its own until the box has had time to store it.
fn find_stored(port: &PortOptions, awaited: &Awaited) -> Result<Option<(Connection, ResultRecord)>, LinkError> {
    let mut connection = Connection::open(port)?;
    let until = Instant::now() + ASK_FOR;
    loop {
        if let Some(record) = connection.stored(awaited)? {
            return Ok(Some((connection, record)));
        }
        let next = Instant::now() + ASK_EVERY;
        if next > until {
            return Ok(None);
        }
        connection.wait_while(|| Instant::now() < next)?;
    }
}

/// How a file has been answered.
enum SendOutcome {
    Judged(Box<SentResult>),
    /// By the box, or here before it was sent.
    Refused(Refusal),
    Failed(Fault),
    Unreadable(io::Error),
}

struct SentResult {
    record: ResultRecord,
    /// Bytes on the line, whose answer came; 0 if it was looked up.
    bytes: u32,
}

/// The image as it is sent: prepared for the contract, if one is given, while the session is kept alive.
fn make_image(
    connection: &mut Connection,
    contract: Option<InputContract>,
    exam: &ExamId,
    bytes: Vec<u8>,
    any_age: bool,
) -> Result<Result<Image, Refusal>, LinkError> {
    let Some(contract) = contract else {
        return Ok(Image::file(bytes, exam.clone()).map(|image| image.of_any_age(any_age)));
    };
    let prepare = || {
        let radiograph = decode::decode(&bytes)?;
        let picture = radiograph.picture();
        // Colours cannot be seen any more once it is prepared; the box checks the rest, with its model's guard.
        let age = radiograph.facts().age;
        let prepared = Prepared::of(&picture, &contract)?.of_age(age).of_any_age(any_age);
        let input = prepared.admit(None)?.into_pixels();
        let image = Image::prepared(input, &picture, &contract, Digest::of(&bytes), exam.clone());
        Ok(image.of_age(age).of_any_age(any_age))
    };
    thread::scope(|scope| {
        let worker = scope.spawn(prepare);
        connection.wait_while(|| !worker.is_finished())?;
        Ok(worker.join().unwrap_or(Err(Refusal::Corrupt)))
    })
}

fn transfer(
    connection: &mut Connection,
    path: &Path,
    image: Image,
    tally: &mut Tally,
) -> Result<SendOutcome, LinkError> {
    let bytes = image.begin.length;
    let name = Shown(path.file_name().unwrap_or(path.as_os_str()).display()).to_string();
    // Draws on a terminal only.
    let bar = ProgressBar::new(u64::from(bytes)).with_style(style()).with_message(name);
    let start = Instant::now();
    let mut arrived = None;
    let outcome = connection.send(image, |sending| match sending {
        Sending::Sent { done, total } => {
            bar.set_position(u64::from(done));
            if done == total {
                arrived = arrived.or(Some(start.elapsed()));
            }
        }
        Sending::Phase(Phase::Receiving | Phase::Installing) => {}
        Sending::Phase(Phase::Decoding) => bar.set_prefix("decoding"),
        Sending::Phase(Phase::Analysing) => bar.set_prefix("analysing"),
    });
    bar.finish_and_clear();
    let outcome = outcome?;
    if let Some(took) = arrived {
        tally.transferred(bytes, took);
    }
    match outcome {
        Outcome::Result(record) => Ok(SendOutcome::Judged(Box::new(SentResult { record, bytes }))),
        Outcome::Refused(refusal) => Ok(SendOutcome::Refused(refusal)),
        Outcome::Failed(fault) => Ok(SendOutcome::Failed(fault)),
    }
}

pub(super) fn style() -> ProgressStyle {
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} {prefix}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Totals over all files.
#[derive(Default)]
struct Tally {
    refused: usize,
    faults: usize,
    unreadable: usize,
    transfers: u32,
    bytes: u64,
    time: Duration,
}

impl Tally {
    fn count(&mut self, answer: &SendOutcome) {
        match answer {
            SendOutcome::Judged(_) => {}
            SendOutcome::Refused(_) => self.refused += 1,
            SendOutcome::Failed(_) => self.faults += 1,
            SendOutcome::Unreadable(_) => self.unreadable += 1,
        }
    }

    fn transferred(&mut self, bytes: u32, took: Duration) {
        self.transfers += 1;
        self.bytes += u64::from(bytes);
        self.time += took;
    }

    /// The gravest of what has happened.
    fn exit(&self) -> Exit {
        match self {
            Self { faults: 1.., .. } => Exit::Box,
            Self { unreadable: 1.., .. } => Exit::Failed,
            Self { refused: 1.., .. } => Exit::Refused,
            _ => Exit::Done,
        }
    }

    fn report(&self, connection: &Connection) {
        let seconds = self.time.as_secs_f64();
        if self.transfers > 0 && seconds > 0.0 {
            let rate = self.bytes as f64 / seconds;
            let repeated = connection.counters().repeated;
            base::say!(
                "{} image(s), {} sent in {seconds:.1} s: {rate:.0} bytes/s payload, {repeated} message(s) repeated",
                self.transfers,
                HumanBytes(self.bytes)
            );
        }
    }
}

fn to_text(path: &Path, answer: &SendOutcome) -> String {
    let path = Shown(path.display());
    let refused = |refusal: &Refusal| format!("{path}: REFUSED  {refusal} (code {})", refusal.code());
    match answer {
        SendOutcome::Judged(judged) => {
            let record = &judged.record;
            let verdict = record.verdict.as_str().to_uppercase();
            let (probability, age) = (record.probability, record.age);
            let [decimals, ..] = record.point.decimals(probability, 1.0, 3);
            format!("{path}: {verdict}  probability {probability:.decimals$}  {age}  (record {})", record.number)
        }
        SendOutcome::Refused(refusal) => refused(refusal),
        SendOutcome::Failed(fault) => {
            format!("{path}: FAILED  {fault} (code {})", fault.code())
        }
        SendOutcome::Unreadable(error) => {
            format!("{path}: UNREADABLE  {error}: name a radiograph file that you may read")
        }
    }
}

fn to_json(path: &Path, answer: &SendOutcome, took: Duration, synthetic: bool) -> Value {
    let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
    let path = text_of(path);
    let refused = |refusal: &Refusal| {
        json!({
            "path": path, "verdict": "refused", "refusal": refusal.as_str(), "code": refusal.code(), "message": refusal.to_string(),
            "seconds": seconds,
        })
    };
    match answer {
        SendOutcome::Judged(judged) => {
            let SentResult { record, bytes } = &**judged;
            json!({
                "path": path, "verdict": record.verdict.as_str(), "code": record.verdict.code(),
                "probability": record.probability, "record": record.number, "study": record.exam.as_str(),
                "image": record.image.to_string(), "model": record.model.to_string(), "bytes": bytes,
                "synthetic_model": synthetic, "seconds": seconds, "age_months": output::age_months(record.age.age()),
                "age_overridden": record.age.is_overridden(), "trust": record.trust.map(Trust::as_str),
            })
        }
        SendOutcome::Refused(refusal) => refused(refusal),
        SendOutcome::Failed(fault) => json!({
            "path": path, "verdict": "failed", "fault": fault.as_str(), "code": fault.code(), "message": fault.to_string(),
            "seconds": seconds,
        }),
        SendOutcome::Unreadable(error) => json!({ "path": path, "error": error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::sample;

    fn result() -> SendOutcome {
        let (image, model) = (Digest::of(b"x"), Digest::of(b"m"));
        let record = ResultRecord { image, model, probability: 0.9287, ..sample::record(12) };
        SendOutcome::Judged(Box::new(SentResult { record, bytes: 70 }))
    }

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn what_comes_in_is_not_sent_twice() {
        // That there is no such port is not found out any more.
        let CommandLine { options } = CommandLine::parse_from(["send", "--port", "/nowhere", "-", "/dev/stdin"]);
        let failure = run(options).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.error.to_string().contains("name it once"), "{:?}", failure.error);
    }

    #[test]
    fn every_answer_is_one_line() {
        let path = Path::new("a/x.png");
        let unreadable = SendOutcome::Unreadable(io::Error::from(io::ErrorKind::IsADirectory));
        for (answer, text) in [
            (result(), "a/x.png: PNEUMONIA  probability 0.929  age unknown  (record 12)"),
            (
                SendOutcome::Refused(Refusal::Empty),
                "a/x.png: REFUSED  the file is empty: export the X-ray again (code 200)",
            ),
            (
                SendOutcome::Failed(Fault::Storage),
                "a/x.png: FAILED  the box could not store or read a result: check its memory card (code 303)",
            ),
            (unreadable, "a/x.png: UNREADABLE  is a directory: name a radiograph file that you may read"),
        ] {
            assert_eq!(to_text(path, &answer), text);
        }
    }

    #[test]
    fn json_has_the_fields_of_the_answer() {
        let path = Path::new("x.png");
        let value = to_json(path, &result(), Duration::from_micros(1_234_567), true);
        assert_eq!(
            (&value["verdict"], &value["code"], &value["record"]),
            (&json!("pneumonia"), &json!(101), &json!(12))
        );
        assert_eq!((&value["bytes"], &value["seconds"]), (&json!(70), &json!(1.235)));
        assert_eq!(value["synthetic_model"], json!(true));
        assert_eq!(value["image"], json!(Digest::of(b"x").to_string()));
        let value = to_json(path, &SendOutcome::Refused(Refusal::Corrupt), Duration::ZERO, false);
        assert_eq!((&value["refusal"], &value["code"]), (&json!("corrupt"), &json!(202)));
    }

    #[test]
    fn gravest_answer_decides_the_exit_code() {
        let mut tally = Tally::default();
        for (answer, exit) in [
            (result(), Exit::Done),
            (SendOutcome::Refused(Refusal::Empty), Exit::Refused),
            (SendOutcome::Unreadable(io::ErrorKind::NotFound.into()), Exit::Failed),
            (SendOutcome::Failed(Fault::Inference), Exit::Box),
            (result(), Exit::Box),
        ] {
            tally.count(&answer);
            assert_eq!(tally.exit(), exit);
        }
    }
}
