//! Stored results as a table (CSV): its columns and its cells, the same from `pumua results` and on a memory stick.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
};

use crate::{
    age::AgeNote,
    appliance::listed,
    calendar::{credible, utc},
    cell,
    verdict::{ResultRecord, Trust},
};

/// The names of the columns.
pub const HEADER: [&str; 13] = [
    "number",
    "time",
    "boot",
    "study",
    "verdict",
    "code",
    "probability",
    "image",
    "model",
    "prepared",
    "age_months",
    "age_overridden",
    "trust",
];

/// The cells of a result, in the order of [`HEADER`]. What is from outside is written as [`cell::text`] writes it.
pub fn cells(record: &ResultRecord) -> [String; 13] {
    let [age, overridden] = age_cells(record.age);
    [
        record.number.to_string(),
        time(record.unix_seconds).unwrap_or_default(),
        record.boot.to_string(),
        cell::text(record.exam.as_str()).into_owned(),
        record.verdict.to_string(),
        record.verdict.code().to_string(),
        record.probability.to_string(),
        record.image.to_string(),
        record.model.to_string(),
        record.prepared.to_string(),
        age,
        overridden,
        record.trust.map_or("", Trust::as_str).to_owned(),
    ]
}

/// The cells `age_months` and `age_overridden` of a table: both empty if nothing is noted.
pub fn age_cells(note: AgeNote) -> [String; 2] {
    if note == AgeNote::NotNoted {
        return Default::default();
    }
    let months = note.age().map_or_else(|| "unknown".to_owned(), |age| listed(age.each(), "or"));
    [months, note.is_overridden().to_string()]
}

/// When something was, unless it is not known, or a clock that was plainly wrong has said it: boxes of earlier releases
/// believed every host.
pub fn time(unix_seconds: Option<u64>) -> Option<String> {
    unix_seconds.and_then(credible).map(utc)
}

/// A line of the table with its end: cells with commas between them, in quotation marks where they must be.
pub fn line(cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut line = String::new();
    for (n, cell) in cells.into_iter().enumerate() {
        let cell = cell.as_ref();
        if n > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Digest, ExamId, OperatingPoint, Verdict};

    fn record(exam: &str) -> ResultRecord {
        ResultRecord {
            number: 12,
            boot: 3,
            unix_seconds: Some(1_800_000_000),
            exam: ExamId::new(exam).unwrap(),
            image: Digest::default(),
            model: Digest::default(),
            probability: 0.25,
            point: OperatingPoint::HALF,
            verdict: Verdict::Normal,
            prepared: false,
            age: AgeNote::Unknown,
            trust: None,
        }
    }

    #[test]
    fn a_result_is_one_line_with_a_cell_for_each_column() {
        let text = line(cells(&record("ward-3")));
        assert!(text.starts_with("12,2027-01-15T08:00:00Z,3,ward-3,normal,100,0.25,"), "{text}");
        assert!(text.ends_with(",false,unknown,false,\n"), "{text}");
        assert_eq!(text.matches(',').count(), HEADER.len() - 1);
        let wrong = ResultRecord { unix_seconds: Some(12), ..record("ward-3") };
        assert_eq!(cells(&wrong)[1], "", "a clock that is plainly wrong is not believed");
    }

    #[test]
    fn an_exam_is_neither_a_formula_nor_a_number_for_a_spreadsheet() {
        for exam in ["-1", "0041", "3-4"] {
            assert!(cells(&record(exam))[3].starts_with('\''), "{exam}");
        }
    }

    #[test]
    fn a_cell_cannot_end_its_line_or_begin_another_cell() {
        assert_eq!(line(["a", "b,c", "d\"e", "f\ng", ""]), "a,\"b,c\",\"d\"\"e\",\"f\ng\",\n");
    }
}
