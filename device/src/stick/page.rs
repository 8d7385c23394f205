//! The results as a page to print: one file that needs no other, and runs nothing.

use std::fmt::Write as _;

use language::{Words, unbroken, words};
use shared::{
    appliance::Language,
    results::time,
    shown::Shown,
    verdict::{ResultRecord, Trust, Verdict},
};

use super::Heading;

/// How it looks: dark on white, on A4, with the names of the columns on each sheet, and no result on two of them.
const STYLE: &str = "@page{size:A4;margin:15mm}body{font:10pt sans-serif;color:#000;background:#fff}\
    table{border-collapse:collapse;width:100%}th,td{border:1px solid #777;padding:2pt 4pt;text-align:left;\
    vertical-align:top}thead{display:table-header-group}tr{break-inside:avoid}.aid{font-weight:bold;font-size:12pt}";

/// How many results there are with each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; 3]);

impl Counts {
    /// Counts a result.
    pub(super) fn count(&mut self, record: &ResultRecord) {
        for (verdict, count) in Verdict::ALL.iter().zip(&mut self.0) {
            *count += u64::from(*verdict == record.verdict);
        }
    }
}

/// What is above the results.
pub(super) fn head(heading: &Heading, Counts(counts): Counts, language: Language) -> String {
    let words = words(language);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{0}</title><style>{STYLE}</style></head>\n<body><h1>{0}</h1>\n<p class=\"aid\">{1}</p>\n",
        text(words.results_page),
        text(words.disclaimer),
    );
    if heading.synthetic {
        line(&mut page, &format!("<p class=\"aid\">{}</p>", text(words.synthetic)));
    }
    line(&mut page, &format!("<p>{} {}<br>", text(words.model), text(&heading.model)));
    line(&mut page, &format!("{} {}</p>", text(words.digest), heading.digest));
    let each = Verdict::ALL.iter().zip(counts).map(|(&verdict, count)| format!("{}: {count}", word(verdict, words)));
    let each: Vec<String> = each.collect();
    line(&mut page, &format!("<p>{} {}: {}</p>", text(words.results), counts.iter().sum::<u64>(), each.join(", ")));
    let probability = words.probability.join(" ");
    let columns = [words.record, words.time, words.exam, words.verdicts, probability.as_str(), words.notes];
    line(&mut page, &format!("<table><thead>{}</thead><tbody>", row("th", columns.map(text))));
    page
}

/// A result, of a box with this model.
pub(super) fn result(record: &ResultRecord, heading: &Heading, language: Language) -> String {
    let words = words(language);
    let age = words.age(record.age);
    let prepared = record.prepared.then(|| words.prepared.to_owned());
    let other_model = (record.model != heading.digest).then(|| words.other_model.to_owned());
    let trust = record.trust.filter(|trust| matches!(trust, Trust::Unsigned | Trust::TestKey));
    let trust = trust.map(|trust| (words.signed)(trust).to_owned());
    let notes: Vec<String> = [age, prepared, other_model, trust].into_iter().flatten().collect();
    let cells = [
        record.number.to_string(),
        time(record.unix_seconds).unwrap_or_else(|| words.time_unknown.to_owned()),
        record.exam.as_str().to_owned(),
        (words.verdict)(record.verdict).word.to_owned(),
        format!(
            "{} ({})",
            words.percent(record.probability, &record.point),
            words.changes(record.probability, &record.point)
        ),
        notes.join("; "),
    ];
    let mut line = row("td", cells.each_ref().map(|cell| text(cell)));
    line.push('\n');
    line
}

/// What is below the results.
pub(super) fn foot(language: Language) -> String {
    format!("</tbody></table>\n<p class=\"aid\">{}</p></body></html>\n", text(words(language).disclaimer))
}

fn word(verdict: Verdict, words: &Words) -> String {
    text((words.verdict)(verdict).word)
}

fn row(cell: &str, cells: [String; 6]) -> String {
    let cells: String = cells.iter().map(|text| format!("<{cell}>{text}</{cell}>")).collect();
    format!("<tr>{cells}</tr>")
}

fn line(page: &mut String, text: &str) {
    // Writing into a `String` cannot fail.
    let _ = writeln!(page, "{text}");
}

/// Text in which nothing is taken for anything else, and a number and its unit stay in one line.
fn text(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for character in unbroken(&Shown(words).to_string()).chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use shared::{
        age::AgeNote,
        verdict::{Digest, ExamId, OperatingPoint},
    };

    use super::*;

    fn record(number: u64, verdict: Verdict) -> ResultRecord {
        ResultRecord {
            number,
            boot: 1,
            unix_seconds: None,
            exam: ExamId::new("ward-3_0041").unwrap(),
            image: Digest::default(),
            model: Digest::of(b"former"),
            probability: 0.9,
            point: OperatingPoint::HALF,
            verdict,
            prepared: true,
            age: AgeNote::Unknown,
            trust: Some(Trust::TestKey),
        }
    }

    fn heading(model: &str) -> Heading {
        Heading { last: 7, model: model.to_owned(), digest: Digest::of(b"present"), synthetic: true }
    }

    #[test]
    fn a_page_says_what_it_is_and_names_each_result_in_each_language() {
        let records = [record(6, Verdict::Pneumonia), record(7, Verdict::Refer)];
        let mut counts = Counts::default();
        records.iter().for_each(|record| counts.count(record));
        for language in Language::ALL {
            let (heading, words) = (heading("tiny"), words(language));
            let mut page = head(&heading, counts, language);
            records.iter().for_each(|record| page.push_str(&result(record, &heading, language)));
            page.push_str(&foot(language));
            for expected in [
                text(words.disclaimer),
                text(words.synthetic),
                format!("{} 2: ", text(words.results)),
                format!("{}: 1", text((words.verdict)(Verdict::Refer).word)),
                "<td>7</td>".to_owned(),
                "ward-3_0041".to_owned(),
                text(words.time_unknown),
                text(words.other_model),
                text((words.signed)(Trust::TestKey)),
                Digest::of(b"present").to_string(),
            ] {
                assert!(page.contains(&expected), "{language}: {expected}");
            }
            for tag in ["table", "thead", "tbody", "html", "body", "h1", "tr", "td", "th"] {
                let [opened, closed] = [format!("<{tag}"), format!("</{tag}>")].map(|tag| page.matches(&tag).count());
                assert!(opened >= closed && closed > 0, "{language}: {tag}");
            }
        }
    }

    #[test]
    fn nothing_in_it_is_run_or_fetched_whatever_a_name_holds() {
        let page = head(&heading("<script src='//x'>\u{1b}&\""), Counts::default(), Language::English);
        assert!(page.contains("&lt;script src=&#39;//x&#39;&gt;\\u{1b}&amp;&quot;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"), "{page}");
    }
}
