//! The list of films, and the form that sends more.

use serde_json::{Value, json};
use shared::verdict::Verdict;

use super::{
    frame::{Look, kind, symbol},
    html::{Field, Query, Text},
};
use crate::{
    http::Pairs,
    record::{Outcome, Record},
    store::Filter,
};

/// Records on a page.
const PAGE: usize = 20;

/// Films of which the script asks at once what has become of them.
pub(crate) const MOST_ASKED: usize = 100;

/// Pages there are, at most: more than records.
const MOST_PAGES: usize = 1_000_000;

/// What is looked for.
pub(crate) struct Search<'a> {
    pub(crate) text: &'a str,
    pub(crate) filter: Filter,
    /// Page, from 0.
    page: usize,
}

impl<'a> Search<'a> {
    pub(crate) fn of(query: &'a Pairs) -> Self {
        let filter = Filter::ALL.into_iter().find(|filter| filter.as_str() == query.get("show"));
        // No search is for more letters than an exam has.
        let text = query.get("q");
        let text = text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end]);
        Self { text, filter: filter.unwrap_or_default(), page: query.get("page").parse().unwrap_or(0).min(MOST_PAGES) }
    }

    fn place(&self, page: usize) -> String {
        format!("/?q={}&amp;show={}&amp;page={page}", Query(self.text), self.filter.as_str())
    }
}

pub(crate) fn page(look: &Look<'_>, query: &Pairs) -> String {
    let words = look.words;
    let search = Search::of(query);
    let ages = look.app.standing.get().0.and_then(|by| by.ages);
    let main = format!(
        "<h1>{}</h1>\n<p>{} {}.</p>\n{}\n<section class=\"list\">\n{}\n{}\n\
         <p><a href=\"/results.csv?q={}&amp;show={}\" download>{}</a></p>\n</section>",
        Text(words.films),
        Text(look.screen.made_for),
        Text((look.screen.ages)(ages.map(Into::into))),
        sending(look),
        searching(look, &search),
        found(look, &search),
        Query(search.text),
        search.filter.as_str(),
        Text(words.csv),
    );
    look.page(words.films, &main)
}

/// The form that sends films. Its words are there for the script.
fn sending(look: &Look<'_>) -> String {
    let (words, screen) = (look.words, look.screen);
    let too_large = (screen.refusal)(shared::verdict::Refusal::TooManyBytes);
    let empty = (screen.refusal)(shared::verdict::Refusal::Empty);
    format!(
        "<section class=\"send\" aria-labelledby=\"send-title\">\n<h2 id=\"send-title\">{}</h2>\n\
         <noscript><p class=\"hazard\">{}</p></noscript>\n\
         <form id=\"send\" data-secret=\"{}\" data-exam=\"{}\" data-remove=\"{}\" data-sending=\"{}\" data-waiting=\"{}\" \
         data-here=\"{}\" data-wrong=\"{}\" data-not-sent=\"{}\" data-silent=\"{}\" data-large=\"{}\" data-empty=\"{}\">\n\
         <div id=\"drop\" class=\"drop\"><p class=\"drag\">{}</p>\
         <input id=\"files\" type=\"file\" multiple class=\"hidden\" aria-describedby=\"kinds\">\
         <label for=\"files\" class=\"button\">{}</label><p id=\"kinds\" class=\"hint\">{}</p></div>\n\
         <ul id=\"queue\"></ul>\n\
         <div id=\"ready\" hidden><p id=\"exam-hint\" class=\"hint\">{}: {}</p>\
         <button id=\"judge\" class=\"button main\">{}</button></div>\n</form>\n\
         <p id=\"status\" role=\"status\"></p>\n</section>",
        Text(words.judge_films),
        Text(words.script),
        Text(&look.guest.secret),
        Text(words.exam_field),
        Text(words.remove),
        Text(words.sending),
        Text(words.waiting),
        Text(words.here),
        Text(words.exam_wrong),
        Text(words.not_sent),
        Text(words.silent),
        Text(too_large),
        Text(empty),
        Text(words.drop),
        Text(words.choose),
        Text(words.kinds),
        Text(screen.exam),
        Text(words.exam_hint),
        Text(words.judge),
    )
}

fn searching(look: &Look<'_>, search: &Search<'_>) -> String {
    let (words, screen) = (look.words, look.screen);
    let kinds: String = Filter::ALL
        .into_iter()
        .map(|filter| {
            let name = (words.filter)(filter).unwrap_or(match filter {
                Filter::Normal => (screen.verdict)(Verdict::Normal).word,
                Filter::Pneumonia => (screen.verdict)(Verdict::Pneumonia).word,
                Filter::Refer => (screen.verdict)(Verdict::Refer).word,
                _ => screen.not_judged,
            });
            let chosen = if filter == search.filter { " selected" } else { "" };
            format!("<option value=\"{}\"{chosen}>{}</option>", filter.as_str(), Text(name))
        })
        .collect();
    format!(
        "<form class=\"search\" role=\"search\" method=\"get\" action=\"/\">\
         <label>{} <input name=\"q\" type=\"search\" maxlength=\"64\" autocomplete=\"off\" value=\"{}\"></label>\
         <label>{} <select name=\"show\">{kinds}</select></label><button class=\"button\">{}</button></form>",
        Text(words.search),
        Field(search.text),
        Text(words.show),
        Text(words.find),
    )
}

fn found(look: &Look<'_>, search: &Search<'_>) -> String {
    let (words, screen, store) = (look.words, look.screen, look.store());
    // Before the records are read: what changes in between is seen the next time.
    let version = store.version();
    let from = search.page.saturating_mul(PAGE);
    let found = store.find(search.text, search.filter, from, PAGE);
    let waiting = found.records.iter().filter(|record| record.answer.is_none()).count();
    let mut text = format!(
        "<div id=\"live\" data-store=\"{}\" data-version=\"{version}\" data-waiting=\"{waiting}\">\n",
        Text(store.id())
    );
    if found.records.is_empty() {
        text += &nothing(look, search, found.total);
    } else {
        let heads = [screen.record, screen.exam, words.received, words.answer, words.clinician];
        let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", Text(head))).collect();
        let rows: String = found.records.iter().map(|record| row(look, record)).collect();
        text += &format!(
            "<table><caption class=\"hidden\">{}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>",
            Text(words.films)
        );
    }
    let part = [from + 1, from + found.records.len(), found.total].map(|number| number.to_string());
    let shown = if found.records.is_empty() { String::new() } else { language::filled(words.part, part) };
    let link = |page: usize, rel: &str, name: &str| {
        format!("<a class=\"button\" rel=\"{rel}\" href=\"{}\">{}</a>", search.place(page), Text(name))
    };
    let newer = search.page.checked_sub(1).map(|page| link(page, "prev", words.newer)).unwrap_or_default();
    let more = found.total > from.saturating_add(PAGE);
    let older = if more { link(search.page + 1, "next", words.older) } else { String::new() };
    text + &format!("\n<div class=\"pages\">{newer}<span>{}</span>{older}</div>\n</div>", Text(shown))
}

/// In the place of records: that there are none here, or none that is searched for.
fn nothing(look: &Look<'_>, search: &Search<'_>, total: usize) -> String {
    let words = look.words;
    let is_typed = !search.text.trim().is_empty();
    if total > 0 || !is_typed && search.filter == Filter::All {
        return format!("<p class=\"none\">{}</p>", Text(words.none));
    }
    let searched = if is_typed { format!(" {}", Text(words.searched)) } else { String::new() };
    format!(
        "<p class=\"none\">{}{searched}</p>\n<p><a class=\"button\" href=\"/\">{}</a></p>",
        Text(words.no_match),
        Text(words.clear)
    )
}

fn row(look: &Look<'_>, record: &Record) -> String {
    let (words, screen) = (look.words, look.screen);
    let number = record.number;
    let exam = if record.exam.as_str().is_empty() { "–" } else { record.exam.as_str() };
    let probability = match record.answer.as_ref().map(|answer| answer.outcome) {
        Some(Outcome::Judged { probability, point, .. }) => screen.percent(probability, &point),
        _ => record.code().map_or_else(String::new, |code| format!("{} {code}", screen.code)),
    };
    let clinician = record.clinician.map_or("–", |said| look.opinion(said.what));
    // By it a film without an exam is told from others; beside its number it needs no words.
    let small = if look.store().shows(record) {
        format!("<img class=\"small\" src=\"/film/{number}/film.png\" alt=\"\" loading=\"lazy\">")
    } else {
        String::new()
    };
    let cell = |label: &str, inner: String| format!("<td data-label=\"{}\">{inner}</td>", Text(label));
    format!(
        "<tr id=\"film-{number}\" class=\"{}\">{}{}{}{}{}</tr>",
        kind(record),
        cell(screen.record, format!("<a href=\"/film/{number}\">{small}{number}</a>")),
        cell(screen.exam, Text(exam).to_string()),
        cell(words.received, look.received(record)),
        cell(
            words.answer,
            format!(
                "<a class=\"word\" href=\"/film/{number}\">{}{}</a> <span class=\"figure\">{}</span>",
                symbol(kind(record)),
                Text(look.word(record)),
                Text(probability)
            )
        ),
        cell(words.clinician, Text(clinician).to_string()),
    )
}

/// What has become of a film, for the script.
pub(crate) fn told(look: &Look<'_>, record: &Record) -> Value {
    let waits = record.answer.is_none();
    let said = match look.word(record) {
        word if waits => format!("{word}. {}", look.waits(record)),
        word => format!("{}: {word}", look.name(record)),
    };
    json!({ "number": record.number, "kind": kind(record), "waits": waits, "said": said })
}
