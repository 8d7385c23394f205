//! `pumua results`: reads the results that the box has stored.

use std::io::{self, Write};

use base::{Shown, calendar::TIME_UNKNOWN, cell};
use link::{Chain, Connection, Head, LinkError, PortOptions};
use serde_json::json;
use shared::{
    results::{HEADER, cells as fields, line, time},
    verdict::{ResultRecord, Trust},
};
use wire::{Content, EventKind, Linked, Listed};

use super::pairing::{Pairing, is_wanted};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua results`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    port: PortOptions,
    #[command(flatten)]
    pairing: Pairing,
    /// Number of the first record; the box keeps the newest, so the first that it has may be a later one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Most records to read [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print what else has happened, too: starts, models, refusals, faults, changes of the clock, damage
    #[arg(long)]
    events: bool,
    /// Check that the journal still holds the entry that was its last one before, as this command and `info` print it
    #[arg(long, value_name = "N:DIGEST")]
    head: Option<Head>,
    /// Print one JSON object for each record
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values with a header. An exam that a spreadsheet would take for a number, a date or a formula has
    /// an apostrophe before it
    #[arg(long)]
    csv: bool,
}

/// What follows with the events.
const EVENT_HEADER: [&str; 4] = ["entry", "event", "detail", "missed"];

/// Reads the results that the box has stored.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { port, pairing, from, limit, events, head, json, csv } = options;
    let mut connection = Connection::open(&port).map_err(Failure::of_link)?;
    pairing.begin(&mut connection)?;
    let mut asked = false;
    let mut out = io::stdout().lock();
    if csv {
        write_csv(&mut out, HEADER.iter().chain(EVENT_HEADER.iter().filter(|_| events)))?;
    }
    let mut chain = Chain::with_known(head);
    // An entry has a number of its own, which is never less than that of the record in it.
    let (mut next, mut remaining) = (from, limit.unwrap_or(u64::MAX));
    while remaining > 0 {
        let limit = u16::try_from(remaining).unwrap_or(u16::MAX);
        let answer = connection.entries(next, limit, |entry| {
            next = entry.sequence().saturating_add(1);
            chain.follow(&entry);
            let Some(record) = entry.result() else {
                return if events { write_event(&mut out, &entry, json, csv) } else { Ok(()) }.map_err(Stop::Output);
            };
            if record.number < from {
                return Ok(());
            }
            remaining = remaining.saturating_sub(1);
            let written = if json {
                writeln!(out, "{}", output::json(&to_json(record)))
            } else if csv {
                let of_event = [entry.sequence().to_string(), String::new(), String::new(), String::new()];
                write_csv(&mut out, fields(record).into_iter().chain(of_event.into_iter().filter(|_| events)))
            } else {
                writeln!(out, "{}", to_text(record))
            };
            written.map_err(Stop::Output)
        });
        let count = match answer {
            Err(Stop::Link(error)) if is_wanted(&error) && !asked => {
                pairing.ask(&mut connection)?;
                asked = true;
                continue;
            }
            answer => answer?,
        };
        if count < limit {
            break;
        }
    }
    out.flush()?;
    let info = connection.info().map_err(Failure::of_link)?;
    match (chain.head(), chain.unbroken_from()) {
        (Some(Head { entry, digest }), Some(first)) => {
            base::say!("the last entry read is {entry}:{digest}; the chain is unbroken from entry {first} on");
        }
        _ => base::say!("no entry that was read has a link"),
    }
    if let Some(at) = info.broken {
        base::say!("warning: the box says that an entry before {at} was changed or lost");
    }
    chain.check(&info)?;
    Ok(Exit::Done)
}

fn write_event(out: &mut impl Write, entry: &Listed, json: bool, csv: bool) -> io::Result<()> {
    let Listed::Linked(Linked { sequence, content: Content::Event(event), .. }) = entry else { return Ok(()) };
    let (kind, time) = (event.kind.as_str(), time(event.unix_seconds));
    if json {
        let mut value = json!({
            "entry": sequence, "event": kind, "time": time, "boot": event.boot, "missed": event.missed,
        });
        if let (Some(object), serde_json::Value::Object(details)) = (value.as_object_mut(), details(&event.kind)) {
            object.extend(details);
        }
        writeln!(out, "{}", output::json(&value))
    } else if csv {
        let mut cells = vec![String::new(); HEADER.len()];
        (cells[1], cells[2]) = (time.unwrap_or_default(), event.boot.to_string());
        let detail = cell::text(&detail(&event.kind)).into_owned();
        cells.extend([sequence.to_string(), kind.to_owned(), detail, event.missed.to_string()]);
        write_csv(out, cells)
    } else {
        let time = time.unwrap_or_else(unknown);
        let missed = if event.missed > 0 { format!("  ({} more before it)", event.missed) } else { String::new() };
        writeln!(out, "     -  {time:20}  {kind}  {}{missed}", Shown(detail(&event.kind)))
    }
}

fn unknown() -> String {
    TIME_UNKNOWN.to_owned()
}

/// The particulars of an event, for programs.
fn details(kind: &EventKind) -> serde_json::Value {
    match kind {
        EventKind::Started { software, model } => json!({ "software": software.as_str(), "model": model.to_string() }),
        EventKind::ModelChanged { before, after } => {
            json!({ "before": before.to_string(), "after": after.to_string() })
        }
        EventKind::UpdateRefused(refusal) => json!({ "code": refusal.code(), "reason": refusal.as_str() }),
        EventKind::ImageRefused { refusal, exam, image } => json!({
            "code": refusal.code(), "reason": refusal.as_str(), "study": exam.as_str(),
            "image": image.map(|image| image.to_string()),
        }),
        EventKind::Failed { fault, exam } => {
            json!({ "code": fault.code(), "reason": fault.as_str(), "study": exam.as_str() })
        }
        EventKind::ClockSet { before, after } => json!({ "before": time(*before), "after": time(Some(*after)) }),
        EventKind::Truncated { bytes } => json!({ "bytes": bytes }),
        EventKind::Damaged { results } => json!({ "results": results }),
        EventKind::ChainBroken { at } => json!({ "at": at }),
        EventKind::Vouched { model, trust } => json!({ "model": model.to_string(), "trust": trust.as_str() }),
        EventKind::SoftwareStaged { bundle, trust } => {
            json!({ "bundle": bundle.to_string(), "trust": trust.as_str() })
        }
        EventKind::SoftwareRefused(refusal) => json!({ "code": refusal.code(), "reason": refusal.as_str() }),
        EventKind::SoftwareConfirmed { name, counter, key } => {
            json!({ "name": name.as_str(), "counter": counter, "key": key.as_deref() })
        }
        EventKind::SoftwareWentBack { bundle } => json!({ "bundle": bundle.to_string() }),
        EventKind::SettingsChanged { site, counter, key } => {
            json!({ "site": site.to_string(), "counter": counter, "key": key.as_str() })
        }
        EventKind::SettingsRefused(refusal) => json!({ "code": refusal.code(), "reason": refusal.as_str() }),
        EventKind::SettingsForgotten => json!({}),
        EventKind::KeyAdded { key, fingerprint } => {
            json!({ "key": key.as_str(), "fingerprint": fingerprint.as_str() })
        }
    }
}

/// The same in words.
fn detail(kind: &EventKind) -> String {
    let clock = |seconds: Option<u64>| {
        seconds.map_or_else(|| "not set".to_owned(), |seconds| time(Some(seconds)).unwrap_or_else(unknown))
    };
    match kind {
        EventKind::Started { software, model } => format!("{software}, model {model:.16}"),
        EventKind::ModelChanged { before, after } => format!("{before:.16} to {after:.16}"),
        EventKind::UpdateRefused(refusal) => format!("{} {}", refusal.code(), refusal.as_str()),
        EventKind::ImageRefused { refusal, exam, image } => {
            let image = image.map(|image| format!(" {image:.12}")).unwrap_or_default();
            format!("{} {}{image} {}", refusal.code(), refusal.as_str(), exam.as_str()).trim_end().to_owned()
        }
        EventKind::Failed { fault, exam } => {
            format!("{} {} {}", fault.code(), fault.as_str(), exam.as_str()).trim_end().to_owned()
        }
        EventKind::ClockSet { before, after } => format!("{} to {}", clock(*before), clock(Some(*after))),
        EventKind::Truncated { bytes } => format!("{bytes} bytes of an entry that was never finished"),
        EventKind::Damaged { results } => format!("a file of which {results} results remain"),
        EventKind::ChainBroken { at } => format!("before entry {at}"),
        EventKind::Vouched { model, trust } => format!("model {model:.16}, {}", trust.as_str()),
        EventKind::SoftwareStaged { bundle, trust } => format!("bundle {bundle:.16}, {}", trust.as_str()),
        EventKind::SoftwareRefused(refusal) => format!("{} {}", refusal.code(), refusal.as_str()),
        EventKind::SoftwareConfirmed { name, counter, key } => {
            let counter = counter.map(|counter| format!(", counter {counter}")).unwrap_or_default();
            let key = key.as_deref().map(|key| format!(", key {key}")).unwrap_or_default();
            format!("{name}{counter}{key}")
        }
        EventKind::SoftwareWentBack { bundle } => format!("bundle {bundle:.16}"),
        EventKind::SettingsChanged { site, counter, key } => format!("{site:.16}, counter {counter}, key {key}"),
        EventKind::SettingsRefused(refusal) => format!("{} {}", refusal.code(), refusal.as_str()),
        EventKind::SettingsForgotten => String::new(),
        EventKind::KeyAdded { key, fingerprint } => format!("{key}, {fingerprint}"),
    }
}

/// Why reading ends early.
enum Stop {
    Link(LinkError),
    Output(io::Error),
}

impl From<LinkError> for Stop {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Link(error) => Failure::of_link(error),
            Stop::Output(error) => error.into(),
        }
    }
}

fn write_csv(out: &mut impl Write, cells: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
    out.write_all(line(cells).as_bytes())
}

fn to_text(record: &ResultRecord) -> String {
    let time = time(record.unix_seconds).unwrap_or_else(unknown);
    let line = format!(
        "{:>6}  {time:20}  {:9}  {:.3}  {:.12}  {:11}  {}",
        record.number,
        record.verdict,
        record.probability,
        record.image,
        record.age.to_string(),
        record.exam.as_str()
    );
    line.trim_end().to_owned()
}

fn to_json(record: &ResultRecord) -> serde_json::Value {
    json!({
        "number": record.number, "time": time(record.unix_seconds), "boot": record.boot,
        "study": record.exam.as_str(), "verdict": record.verdict.as_str(), "code": record.verdict.code(),
        "probability": record.probability, "image": record.image.to_string(), "model": record.model.to_string(),
        "prepared": record.prepared, "age_months": output::age_months(record.age.age()),
        "age_overridden": record.age.is_overridden(), "trust": record.trust.map(Trust::as_str),
    })
}

#[cfg(test)]
mod tests {
    use shared::{
        age::{Age, AgeNote},
        verdict::{Digest, ExamId, Verdict},
    };

    use super::*;
    use crate::sample;

    #[test]
    fn a_record_is_one_line_in_each_form() {
        let record = ResultRecord {
            boot: 3,
            unix_seconds: Some(1_800_000_000),
            exam: ExamId::new("ward-3").unwrap(),
            image: Digest::of(b"abc"),
            model: Digest::of(b"m"),
            probability: 0.25,
            verdict: Verdict::Normal,
            ..sample::record(12)
        };
        assert_eq!(
            to_text(&record),
            "    12  2027-01-15T08:00:00Z  normal     0.250  ba7816bf8f01  age unknown  ward-3"
        );
        assert_eq!(to_json(&record)["code"], 100);
        let [child, adult] = [18, 972].map(|months| Age::months(months).unwrap());
        for (age, text, json, cells) in [
            (AgeNote::NotNoted, "age not noted", serde_json::Value::Null, ",,,"),
            (AgeNote::Unknown, "age unknown", serde_json::Value::Null, ",unknown,false,"),
            (AgeNote::Meant(child), "18 months", 18.into(), ",18,false,"),
            (AgeNote::Overridden(adult), "age overridden: 81 years", 972.into(), ",972,true,"),
            (
                AgeNote::Overridden(adult.either(child)),
                "age overridden: 18 months or 81 years",
                json!([18, 972]),
                ",18 or 972,true,",
            ),
        ] {
            let record = ResultRecord { age, ..record.clone() };
            assert!(to_text(&record).contains(text), "{}", to_text(&record));
            assert_eq!(to_json(&record)["age_months"], json);
            assert_eq!(to_json(&record)["age_overridden"], age.is_overridden());
            assert!(fields(&record).join(",").ends_with(cells), "{:?}", fields(&record));
        }
        for unix_seconds in [None, Some(12), Some(u64::from(u32::MAX))] {
            let record = ResultRecord { unix_seconds, ..record.clone() };
            assert!(to_text(&record).contains("  time unknown  "), "{}", to_text(&record));
            assert_eq!((&to_json(&record)["time"], fields(&record)[1].as_str()), (&serde_json::Value::Null, ""));
        }
        let unsigned = ResultRecord { trust: Some(Trust::Unsigned), ..record.clone() };
        assert_eq!((&to_json(&unsigned)["trust"], fields(&unsigned)[12].as_str()), (&"unsigned".into(), "unsigned"));
        let mut csv = Vec::new();
        write_csv(&mut csv, HEADER).unwrap();
        write_csv(&mut csv, fields(&record)).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert_eq!(csv.lines().count(), 2);
        for (exam, cell) in
            [("0041", ",'0041,"), ("1E5", ",'1E5,"), ("3-4", ",'3-4,"), ("-1", ",'-1,"), ("a-1", ",a-1,")]
        {
            let mut csv = Vec::new();
            write_csv(&mut csv, fields(&ResultRecord { exam: ExamId::new(exam).unwrap(), ..record.clone() })).unwrap();
            let csv = String::from_utf8(csv).unwrap();
            assert!(csv.contains(cell) && csv.contains(",0.25,"), "{csv}");
        }
        assert!(csv.contains("\n12,2027-01-15T08:00:00Z,3,ward-3,normal,100,0.25,ba7816bf"), "{csv}");
    }

    #[test]
    fn an_event_is_one_line_in_each_form() {
        let set = EventKind::ClockSet { before: Some(12), after: 1_800_000_000 };
        assert_eq!(detail(&set), "time unknown to 2027-01-15T08:00:00Z");
        assert_eq!(details(&set)["before"], serde_json::Value::Null);
        let event = wire::Event {
            boot: 3,
            unix_seconds: Some(1_800_000_000),
            missed: 2,
            kind: EventKind::Started { software: "1\u{1b}[2J".try_into().unwrap(), model: Digest::of(b"m") },
        };
        let content = Content::Event(event);
        let entry = Listed::Linked(Linked { sequence: 12, before: Digest::default(), content });
        for (json, csv) in [(false, false), (true, false), (false, true)] {
            let mut bytes = Vec::new();
            write_event(&mut bytes, &entry, json, csv).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(text.contains("started") && text.contains("2027-01-15T08:00:00Z"), "{text:?}");
            assert!(csv || !text.trim_end().contains(base::shown::is_hidden), "{text:?}");
        }
        let content = Content::Event(wire::Event { unix_seconds: None, boot: 3, missed: 0, kind: set });
        let entry = Listed::Linked(Linked { sequence: 12, before: Digest::default(), content });
        for (csv, expected) in [(true, ",,3,"), (false, "  time unknown  ")] {
            let mut bytes = Vec::new();
            write_event(&mut bytes, &entry, false, csv).unwrap();
            assert!(String::from_utf8_lossy(&bytes).contains(expected), "{csv}");
        }
    }
}
