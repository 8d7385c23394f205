//! The list as a table for spreadsheets (CSV).

use base::{calendar::utc, cell};
use shared::results::age_cells;

use super::{frame::Look, list::Search};
use crate::{
    http::{Pairs, Response},
    record::{Outcome, Record},
};

const HEAD: [&str; 15] = [
    "record",
    "received",
    "exam",
    "verdict",
    "code",
    "probability",
    "age_months",
    "age_overridden",
    "model",
    "model_digest",
    "site",
    "box_record",
    "clinician",
    "clinician_at",
    "source",
];

/// The records that are looked for, the newest first. Texts that a spreadsheet would take for a formula or a number have an
/// apostrophe before them.
pub(crate) fn answer(look: &Look<'_>, query: &Pairs) -> Response {
    let search = Search::of(query);
    let found = look.store().find(search.text, search.filter, 0, usize::MAX);
    let mut table = csv::Writer::from_writer(Vec::new());
    let written =
        table.write_record(HEAD).and_then(|()| found.records.iter().try_for_each(|it| table.write_record(row(it))));
    // A `Vec` takes all that is written.
    let bytes = written.ok().and_then(|()| table.into_inner().ok()).unwrap_or_default();
    let name = "attachment; filename=\"pumua.csv\"".to_owned();
    Response::new(200, "text/csv; charset=utf-8", bytes).with("Content-Disposition", name)
}

fn row(record: &Record) -> [String; HEAD.len()] {
    let by = record.answer.as_ref().and_then(|answer| answer.by.as_ref());
    let (probability, age, box_record) = match record.answer.as_ref().map(|answer| answer.outcome) {
        Some(Outcome::Judged { probability, age, record, .. }) => (probability.to_string(), Some(age), record),
        _ => (String::new(), None, None),
    };
    let [months, overridden] = age.map(age_cells).unwrap_or_default();
    [
        record.number.to_string(),
        utc(record.received),
        cell::text(record.exam.as_str()).into_owned(),
        record.word().to_owned(),
        record.code().map(|code| code.to_string()).unwrap_or_default(),
        probability,
        months,
        overridden,
        by.map(|by| cell::text(&by.model).into_owned()).unwrap_or_default(),
        by.map(|by| by.digest.to_string()).unwrap_or_default(),
        cell::text(&record.site).into_owned(),
        box_record.map(|number| number.to_string()).unwrap_or_default(),
        record.clinician.map(|said| said.what.as_str().to_owned()).unwrap_or_default(),
        record.clinician.map(|said| utc(said.at)).unwrap_or_default(),
        record.source.as_str().to_owned(),
    ]
}
