//! `pumua results`: reads the results that the box has stored.

use std::io::{self, Write};

use base::{calendar::utc, cell};
use link::{Connection, LinkError, PortOptions};
use serde_json::json;
use shared::verdict::ResultRecord;

use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua results`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    port: PortOptions,
    /// Number of the first record; the box keeps the newest, so the first that it has may be a later one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Most records to read [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print one JSON object for each record
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values with a header. An exam that a spreadsheet would take for a number, a date or a formula has
    /// an apostrophe before it
    #[arg(long)]
    csv: bool,
}

const HEADER: [&str; 10] =
    ["number", "time", "boot", "study", "verdict", "code", "probability", "image", "model", "prepared"];

/// Reads the results that the box has stored.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { port, mut from, limit, json, csv } = options;
    let mut connection = Connection::open(&port).map_err(Failure::of_link)?;
    let mut out = io::stdout().lock();
    if csv {
        write_csv(&mut out, HEADER)?;
    }
    let mut remaining = limit.unwrap_or(u64::MAX);
    while remaining > 0 {
        let limit = u16::try_from(remaining).unwrap_or(u16::MAX);
        let first = from;
        let count = connection.results(first, limit, |record| {
            // The box passes over what it keeps no longer; the numbers rise.
            from = record.number.saturating_add(1);
            if json {
                writeln!(out, "{}", output::json(&to_json(&record))).map_err(Stop::Output)
            } else if csv {
                write_csv(&mut out, fields(&record)).map_err(Stop::Output)
            } else {
                writeln!(out, "{}", to_text(&record)).map_err(Stop::Output)
            }
        })?;
        if count < limit {
            break;
        }
        remaining -= u64::from(count);
    }
    out.flush()?;
    Ok(Exit::Done)
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

fn write_csv(out: &mut impl Write, fields: impl IntoIterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(fields)?;
    writer.flush()
}

fn fields(record: &ResultRecord) -> [String; 10] {
    [
        record.number.to_string(),
        record.unix_seconds.map(utc).unwrap_or_default(),
        record.boot.to_string(),
        cell::text(record.exam.as_str()).into_owned(),
        record.verdict.to_string(),
        record.verdict.code().to_string(),
        record.probability.to_string(),
        record.image.to_string(),
        record.model.to_string(),
        record.prepared.to_string(),
    ]
}

fn to_text(record: &ResultRecord) -> String {
    let time = record.unix_seconds.map_or_else(|| "time unknown".to_owned(), utc);
    let line = format!(
        "{:>6}  {time:20}  {:9}  {:.3}  {:.12}  {}",
        record.number,
        record.verdict,
        record.probability,
        record.image,
        record.exam.as_str()
    );
    line.trim_end().to_owned()
}

fn to_json(record: &ResultRecord) -> serde_json::Value {
    json!({
        "number": record.number, "time": record.unix_seconds.map(utc), "boot": record.boot,
        "study": record.exam.as_str(), "verdict": record.verdict.as_str(), "code": record.verdict.code(),
        "probability": record.probability, "image": record.image.to_string(), "model": record.model.to_string(),
        "prepared": record.prepared,
    })
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Digest, ExamId, OperatingPoint, Verdict};

    use super::*;

    #[test]
    fn a_record_is_one_line_in_each_form() {
        let record = ResultRecord {
            number: 12,
            boot: 3,
            unix_seconds: Some(1_700_000_000),
            exam: ExamId::new("ward-3").unwrap(),
            image: Digest::of(b"abc"),
            model: Digest::of(b"m"),
            probability: 0.25,
            point: OperatingPoint::HALF,
            verdict: Verdict::Normal,
            prepared: false,
        };
        assert_eq!(to_text(&record), "    12  2023-11-14T22:13:20Z  normal     0.250  ba7816bf8f01  ward-3");
        assert_eq!(to_json(&record)["code"], 100);
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
        assert!(csv.contains("\n12,2023-11-14T22:13:20Z,3,ward-3,normal,100,0.25,ba7816bf"), "{csv}");
    }
}
