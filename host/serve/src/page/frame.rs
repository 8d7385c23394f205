//! What all pages have: head, menu, languages, foot.

use base::calendar::utc;
use shared::{
    appliance::Language,
    verdict::{Digest, Verdict},
};

use super::{
    App,
    html::{Query, Text},
};
use crate::{
    gate::Guest,
    http::Pairs,
    record::{Opinion, Outcome, Record},
    store::Store,
    words::{self, Words},
};

/// For whom a page is made, and in which words.
pub(crate) struct Look<'a> {
    pub(crate) app: &'a App,
    pub(crate) guest: &'a Guest,
    pub(crate) language: Language,
    pub(crate) words: &'static Words,
    /// The words of the screen.
    pub(crate) screen: &'static language::Words,
    /// First part of the path.
    at: &'a str,
    /// The part of the query that stays in another language.
    pub(crate) stays: String,
}

impl<'a> Look<'a> {
    pub(crate) fn new(app: &'a App, guest: &'a Guest, language: Language, at: &'a str, query: &Pairs) -> Self {
        let (words, screen) = (words::words(language), language::words(language));
        Self { app, guest, language, words, screen, at, stays: stays(query) }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.app.intake.store
    }

    /// A whole page.
    pub(crate) fn page(&self, title: &str, main: &str) -> String {
        let words = self.words;
        let places = [("", "/", words.films), ("state", "/state", words.state), ("help", "/help", words.help)];
        let menu: String = places
            .iter()
            .map(|(at, place, name)| {
                let here = if *at == self.at { " aria-current=\"page\"" } else { "" };
                format!("<li><a href=\"{place}\"{here}>{}</a></li>", Text(name))
            })
            .collect();
        let leave = if self.guest.paired {
            format!(
                "<form method=\"post\" action=\"/leave\"><input type=\"hidden\" name=\"secret\" value=\"{}\">\
                 <button class=\"quiet\">{}</button></form>",
                Text(&self.guest.secret),
                Text(words.leave)
            )
        } else {
            String::new()
        };
        let menu = format!("<nav><ul>{menu}</ul></nav>{leave}");
        document(self.language, title, &menu, main, &self.site_and_model(), &self.stays)
    }

    /// Where and by what is judged, for the foot of every page.
    fn site_and_model(&self) -> String {
        let site = &self.app.intake.site;
        let site =
            if site.is_empty() { String::new() } else { format!("<p>{}: {}</p>", Text(self.words.site), Text(site)) };
        let (by, trouble) = self.app.standing.get();
        let model = by.as_ref().map_or_else(String::new, |by| {
            let synthetic = if by.synthetic {
                format!("<p class=\"hazard\">{}</p>", Text(self.screen.synthetic))
            } else {
                String::new()
            };
            format!("<p>{} {}</p>{synthetic}", Text(self.screen.model), Text(&by.model))
        });
        let trouble = trouble.map_or_else(String::new, |trouble| {
            format!("<p class=\"hazard\">{}: {}</p>", Text(self.words.trouble), Text(trouble))
        });
        format!("{site}{model}{trouble}")
    }

    /// What a record is about: its exam, else its number.
    pub(crate) fn name(&self, record: &Record) -> String {
        if record.exam.as_str().is_empty() {
            format!("{} {}", self.screen.record, record.number)
        } else {
            format!("{} {}", self.screen.exam, record.exam.as_str())
        }
    }

    /// When a film came in, and how.
    pub(crate) fn received(&self, record: &Record) -> String {
        let source = (self.words.source)(record.source);
        format!("{} <span class=\"hint\">{}</span>", time(record.received), Text(source))
    }

    /// The word in capitals that stands for what is known of a film.
    pub(crate) fn word(&self, record: &Record) -> &'static str {
        match record.answer.as_ref().map(|answer| answer.outcome) {
            None if self.store().before(record.number) > 0 => self.words.waiting,
            None => self.screen.analysing.word,
            Some(Outcome::Judged { verdict, .. }) => (self.screen.verdict)(verdict).word,
            Some(Outcome::Refused(_)) => self.screen.not_judged,
            Some(Outcome::Failed(_)) => self.screen.error,
        }
    }

    /// For what a film waits.
    pub(crate) fn waits(&self, record: &Record) -> String {
        match self.store().before(record.number) {
            0 => self.screen.analysing.meaning.to_owned(),
            before => language::filled(self.words.ahead, [before.to_string()]),
        }
    }

    /// An opinion in words: the screen's for those that are verdicts.
    pub(crate) fn opinion(&self, opinion: Opinion) -> &'static str {
        (self.words.opinion)(opinion).unwrap_or(match opinion {
            Opinion::Normal => (self.screen.verdict)(Verdict::Normal).word,
            _ => (self.screen.verdict)(Verdict::Pneumonia).word,
        })
    }
}

/// A search, and that a film was there already, as the beginning of a query.
fn stays(query: &Pairs) -> String {
    let pair = |name: &str| {
        // Nothing of it has more letters than an exam.
        let value: String = query.get(name).chars().take(64).collect();
        if value.is_empty() { String::new() } else { format!("{name}={}&amp;", Query(value)) }
    };
    ["q", "show", "page", "known"].map(pair).concat()
}

/// A page for anybody. `stays`: the beginning of the query in each language.
pub(crate) fn document(language: Language, title: &str, menu: &str, main: &str, foot: &str, stays: &str) -> String {
    let (words, screen) = (words::words(language), language::words(language));
    let languages: String = Language::ALL
        .into_iter()
        .map(|other| {
            let here = if other == language { " aria-current=\"true\"" } else { "" };
            let name = Text(words::own_name(other));
            format!("<li><a href=\"?{stays}lang={other}\" lang=\"{other}\" hreflang=\"{other}\"{here}>{name}</a></li>")
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} – Pumua</title>\n\
         <link rel=\"icon\" href=\"/icon.svg\">\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
         <script src=\"/script.js\" defer></script>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">{}</a>\n\
         <header><p class=\"brand\"><a href=\"/\">Pumua</a></p>{menu}\
         <nav class=\"languages\" aria-label=\"{}\"><ul>{languages}</ul></nav><p class=\"disclaimer\">{}</p></header>\n\
         <main id=\"main\" tabindex=\"-1\">\n{main}\n</main>\n<footer>{foot}</footer>\n</body>\n</html>\n",
        Text(title),
        Text(words.skip),
        Text(words.language),
        Text(screen.disclaimer),
    )
}

/// A moment, which the script turns into the time of the place.
pub(crate) fn time(seconds: u64) -> String {
    let utc = utc(seconds);
    let shown = utc.replace('T', " ");
    format!("<time datetime=\"{utc}\">{} UTC</time>", shown.get(..16).unwrap_or(&shown))
}

/// The beginning of a digest, by which a model is told from others.
pub(crate) fn digest(digest: &Digest) -> String {
    format!("<code>{digest:.12}</code>")
}

/// What a film's answer looks like.
pub(crate) fn kind(record: &Record) -> &'static str {
    record.word()
}

/// The symbol of what is known of a film: its shape tells as much as its colour.
pub(crate) fn symbol(kind: &str) -> &'static str {
    match kind {
        "normal" => {
            "<svg class=\"symbol\" viewBox=\"0 0 256 256\" aria-hidden=\"true\"><circle cx=\"128\" cy=\"128\" r=\"124\"/>\
             <polyline class=\"cut\" points=\"74,132 112,172 184,90\"/></svg>"
        }
        "pneumonia" => {
            "<svg class=\"symbol\" viewBox=\"0 0 256 256\" aria-hidden=\"true\"><polygon points=\"128,8 2,234 254,234\"/>\
             <line class=\"cut\" x1=\"128\" y1=\"88\" x2=\"128\" y2=\"162\"/>\
             <circle class=\"hole\" cx=\"128\" cy=\"198\" r=\"16\"/></svg>"
        }
        "refer" => {
            "<svg class=\"symbol\" viewBox=\"0 0 256 256\" aria-hidden=\"true\"><polygon points=\"128,0 256,128 128,256 0,128\"/>\
             <path class=\"cut\" d=\"M96 100a33 33 0 1 1 46 30c-11 5-14 12-14 26\"/>\
             <circle class=\"hole\" cx=\"128\" cy=\"196\" r=\"15\"/></svg>"
        }
        "refused" => {
            "<svg class=\"symbol\" viewBox=\"0 0 256 256\" aria-hidden=\"true\">\
             <rect class=\"line\" x=\"25\" y=\"25\" width=\"206\" height=\"206\"/>\
             <line class=\"line\" x1=\"30\" y1=\"226\" x2=\"226\" y2=\"30\"/></svg>"
        }
        "failed" => {
            "<svg class=\"symbol\" viewBox=\"0 0 256 256\" aria-hidden=\"true\">\
             <polygon points=\"76,4 180,4 252,76 252,180 180,252 76,252 4,180 4,76\"/>\
             <path class=\"cut\" d=\"M82 82L174 174M82 174L174 82\"/></svg>"
        }
        _ => {
            "<svg class=\"symbol\" viewBox=\"0 0 256 256\" aria-hidden=\"true\"><circle cx=\"40\" cy=\"128\" r=\"28\"/>\
             <circle cx=\"128\" cy=\"128\" r=\"28\"/><circle cx=\"216\" cy=\"128\" r=\"28\"/></svg>"
        }
    }
}
