//! Text in a table (CSV) that a spreadsheet may open.
//!
//! A spreadsheet runs a cell that begins like a formula, whoever wrote it, and takes `0041`, `1E5` or `3-4` for a number or a
//! date. An apostrophe before it makes such a cell text; a program that reads the table takes one away where a cell begins
//! with it. Numbers of the table itself are written without.

use alloc::{borrow::Cow, format, string::ToString};

use crate::shown::{Shown, is_hidden};

/// Text from outside for a cell: after an apostrophe where a spreadsheet would take it for something else, or where it begins
/// with one; what cannot be seen is spelt out as [`Shown`] does.
pub fn text(words: &str) -> Cow<'_, str> {
    let marked = begins_a_formula(words) || reads_as_a_value(words);
    match (marked, words.contains(is_hidden)) {
        (false, false) => words.into(),
        (true, _) => format!("'{}", Shown(words)).into(),
        (false, true) => Shown(words).to_string().into(),
    }
}

fn begins_a_formula(words: &str) -> bool {
    words.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠'])
}

/// A number, a date, a time or a truth value.
fn reads_as_a_value(words: &str) -> bool {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let lower = words.trim().to_ascii_lowercase();
    let with_digit = lower.contains(|c: char| c.is_ascii_digit());
    let of_a_number = |c: char| c.is_ascii_digit() || ".,:/-+e%$() ".contains(c);
    let names_a_month =
        lower.split(|c: char| !c.is_ascii_alphabetic()).any(|word| MONTHS.iter().any(|month| word.starts_with(month)));
    // `3-mar`, `mar5`; a path to a picture has an ending.
    let of_a_date = |c: char| c.is_ascii_alphanumeric() || "./- ".contains(c);
    let date = names_a_month && lower.chars().all(of_a_date) && lower.ends_with(|c: char| c.is_ascii_digit())
        || names_a_month && lower.starts_with(|c: char| c.is_ascii_digit()) && lower.chars().all(of_a_date);
    matches!(lower.as_str(), "true" | "false") || with_digit && (lower.chars().all(of_a_number) || date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_run_or_turned_into_a_number_or_a_date() {
        for words in [
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-1+1",
            "@SUM(A1)",
            "'quoted",
            "0041",
            "1E5",
            "3-4",
            "12.5",
            "2026-01-02",
            "1:30",
            "MAR-1",
            "sept2",
            "3-Mar",
            "TRUE",
            "50%",
        ] {
            assert_eq!(text(words), format!("'{words}"), "{words}");
        }
        assert_eq!(text("\t=1"), "'\\u{9}=1");
        assert_eq!(text("\r=1"), "'\\u{d}=1");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for words in ["", "ward-3", "child-A", "0041.png", "a/3-4.png", "data/mars.png", "x=1", "e", "may", "Müller"] {
            assert_eq!(text(words), words);
        }
        assert_eq!(text("a\u{1b}b\u{202e}"), "a\\u{1b}b\\u{202e}");
    }
}
