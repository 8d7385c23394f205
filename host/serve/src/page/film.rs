//! One film: the verdict as the screen says it, what was judged, the clinician's answer; and the slip to print.

use language::{cause_and_remedy, filled};
use shared::{
    age::AgeNote,
    verdict::{OperatingPoint, Refusal, Verdict},
};

use super::{
    frame::{Look, digest, document, kind, symbol, time},
    html::Text,
};
use crate::record::{Opinion, Outcome, Picture, Record};

/// `version`: of the store, before the record was read. `known`: it was there when it was sent.
pub(crate) fn page(look: &Look<'_>, record: &Record, version: u64, known: bool) -> String {
    let words = look.words;
    let known = if known { format!("<p class=\"notice\">{}</p>", Text(words.known)) } else { String::new() };
    let answered = record.answer.is_some();
    let [facts, details] = facts(look, record);
    let more = if answered {
        let details = format!("<details><summary>{}</summary>{details}</details>", Text(words.details));
        format!("{}\n{}\n{facts}\n{details}", pictures(look, record), clinician(look, record))
    } else {
        facts
    };
    let slip = if answered {
        format!("<a class=\"button\" href=\"/slip/{}\">{}</a>", record.number, Text(words.slip))
    } else {
        String::new()
    };
    let main = format!(
        "<p class=\"back\"><a href=\"/\">{}</a></p>\n<p id=\"status\" role=\"status\" class=\"hidden\"></p>\n\
         <div id=\"live\" data-store=\"{}\" data-of=\"{:.16}-{}\" data-version=\"{version}\" data-waiting=\"{}\" \
         data-said=\"{}\">\n<h1>{}</h1>\n{known}{}{}\n<p>{slip}</p>\n{more}\n</div>",
        Text(words.back),
        Text(look.store().id()),
        record.film,
        Text(record.exam.as_str()),
        u8::from(!answered),
        Text(said(look, record)),
        Text(look.name(record)),
        other_exam(look, record),
        card(look, record),
    );
    look.page(&look.name(record), &main)
}

/// That the same film was sent in another exam, if it was: it may be another child's.
fn other_exam(look: &Look<'_>, record: &Record) -> String {
    let Some(other) = look.store().sent_before(record) else { return String::new() };
    // The link is markup; the words around it are text.
    let (before, after) = look.words.other_exam.split_once("{}").unwrap_or((look.words.other_exam, ""));
    let (number, name) = (other.number, look.name(&other));
    format!("<p class=\"notice\">{}<a href=\"/film/{number}\">{}</a>{}</p>\n", Text(before), Text(name), Text(after))
}

/// The answer in a sentence, for whoever hears it.
fn said(look: &Look<'_>, record: &Record) -> String {
    let meaning = match record.answer.as_ref().map(|answer| answer.outcome) {
        // How many are before it changes too often to be heard.
        None => return format!("{}: {}", look.name(record), look.word(record)),
        Some(Outcome::Judged { verdict, .. }) => (look.screen.verdict)(verdict).meaning.replace('\n', " "),
        Some(Outcome::Refused(refusal)) => (look.screen.refusal)(refusal),
        Some(Outcome::Failed(fault)) => (look.screen.fault)(fault),
    };
    let next = next(look, record).map_or_else(String::new, |next| format!(". {next}"));
    format!("{}: {}. {meaning}{next}", look.name(record), look.word(record))
}

/// What to do after a verdict. Nobody may rely on one of a model that is not made for the patient, or for patients at all.
fn next(look: &Look<'_>, record: &Record) -> Option<&'static str> {
    let answer = record.answer.as_ref()?;
    let Outcome::Judged { verdict, age, .. } = answer.outcome else { return None };
    if age.is_overridden() || answer.by.as_ref().is_some_and(|by| by.synthetic) {
        return Some(look.words.unreliable);
    }
    let [normal, pneumonia, refer] = look.words.next;
    Some(match verdict {
        Verdict::Normal => normal,
        Verdict::Pneumonia => pneumonia,
        Verdict::Refer => refer,
    })
}

/// What the screen of the box would show of it.
fn card(look: &Look<'_>, record: &Record) -> String {
    let screen = look.screen;
    let kind = kind(record);
    let by = record.answer.as_ref().and_then(|answer| answer.by.as_ref());
    let meant = || Text((screen.meant)(by.and_then(|by| by.ages).map(Into::into)));
    let inner = match record.answer.as_ref().map(|answer| answer.outcome) {
        None => format!("<p class=\"meaning\">{}</p>", Text(look.waits(record))),
        Some(Outcome::Judged { verdict, probability, point, age, .. }) => {
            let meaning = (screen.verdict)(verdict).meaning.replace('\n', " ");
            let overridden =
                if age.is_overridden() { format!("<p class=\"hazard\">{}</p>", meant()) } else { String::new() };
            let next =
                next(look, record).map_or_else(String::new, |next| format!("<p class=\"remedy\">{}</p>", Text(next)));
            let check = if look.store().shows(record) {
                format!("<p class=\"check\">{}</p>", Text(look.words.check))
            } else {
                String::new()
            };
            format!(
                "<p class=\"meaning\">{}</p>{next}{check}\n<p class=\"probability\"><span>{}</span> <b>{}</b></p>\n{}\n\
                 <p class=\"changes\"><span>{}</span> {}</p>{}{overridden}",
                Text(meaning),
                Text(screen.probability.join(" ")),
                Text(screen.percent(probability, &point)),
                scale(probability, &point),
                Text(changes(look, probability, &point)),
                age_noted(look, age),
                band_noted(look, verdict, &point),
            )
        }
        Some(Outcome::Refused(refusal @ (Refusal::TooYoung | Refusal::TooOld))) => {
            format!("{}<p class=\"remedy\">{}</p>", explained(&(screen.refusal)(refusal)), meant())
        }
        Some(Outcome::Refused(refusal)) => explained(&(screen.refusal)(refusal)),
        Some(Outcome::Failed(fault)) => explained(&(screen.fault)(fault)),
    };
    // That of a verdict is among the details.
    let code = record.code().filter(|_| !record.is_judged());
    let code = code.map_or_else(String::new, |code| format!("<p class=\"code\">{} {code}</p>", Text(screen.code)));
    let synthetic = by
        .filter(|by| by.synthetic)
        .map_or_else(String::new, |_| format!("<p class=\"hazard\">{}</p>", Text(screen.synthetic)));
    format!(
        "<div class=\"card {kind}\">{}<p class=\"word\">{}</p>\n{inner}{code}{synthetic}</div>",
        symbol(kind),
        Text(look.word(record)),
    )
}

/// Where the verdict changes, in whole sentences. Each range begins with its first probability, so that none has two verdicts.
fn changes(look: &Look<'_>, probability: f32, point: &OperatingPoint) -> String {
    let (words, [from, to]) = (look.words, look.screen.ends(probability, point));
    let said = |text, end, verdict| filled(text, [end, (look.screen.verdict)(verdict).word.to_owned()]);
    let mut ranges = vec![said(words.below, from.clone(), Verdict::Normal)];
    if point.refer_from != point.refer_to {
        ranges.push(said(words.from, from, Verdict::Refer));
    }
    ranges.push(said(words.from, to, Verdict::Pneumonia));
    ranges.join(" ")
}

/// What the band in the middle of the scale means, where the verdict itself does not say it.
fn band_noted(look: &Look<'_>, verdict: Verdict, point: &OperatingPoint) -> String {
    if verdict == Verdict::Refer || point.refer_from >= point.refer_to {
        return String::new();
    }
    let [.., meant] = look.words.meant;
    format!("<p class=\"hint\">{} – {}</p>", Text((look.screen.verdict)(Verdict::Refer).word), Text(meant))
}

fn age_noted(look: &Look<'_>, age: AgeNote) -> String {
    let class = if age.is_overridden() { "age overridden" } else { "age" };
    look.screen.age(age).map_or_else(String::new, |said| format!("<span class=\"{class}\">{}</span>", Text(said)))
}

fn explained(text: &str) -> String {
    let [cause, remedy] = cause_and_remedy(text);
    format!("<p class=\"meaning\">{}</p><p class=\"remedy\">{}</p>", Text(cause), Text(remedy))
}

/// The scale from 0 to 1: the ranges of the three verdicts, and a marker at the probability.
fn scale(probability: f32, point: &OperatingPoint) -> String {
    let at = |p: f32| p.clamp(0.0, 1.0) * 400.0;
    let [from, to] = [at(point.refer_from), at(point.refer_to)];
    let range = |class: &str, left: f32, right: f32| {
        format!("<rect class=\"{class}\" x=\"{left:.1}\" y=\"2\" width=\"{:.1}\" height=\"20\"/>", right - left)
    };
    // Within the range of its verdict, as far as that is wide enough, and smaller than the scale is high: it hides no range.
    let [low, high] = match point.verdict(probability) {
        Verdict::Normal => [0.0, from],
        Verdict::Refer => [from, to],
        Verdict::Pneumonia => [to, 400.0],
    };
    let x = at(probability).max(low.max(6.0)).min(high.min(394.0));
    let marker = if (0.0..=1.0).contains(&probability) {
        format!("<circle class=\"marker\" cx=\"{x:.1}\" cy=\"12\" r=\"5\"/>")
    } else {
        String::new()
    };
    format!(
        "<svg class=\"scale\" viewBox=\"0 0 400 24\" aria-hidden=\"true\">{}{}{}{marker}</svg>",
        range("normal", 0.0, from),
        range("refer", from, to),
        range("pneumonia", to, 400.0),
    )
}

fn pictures(look: &Look<'_>, record: &Record) -> String {
    let (words, kept) = (look.words, look.store().pictures(record));
    let heading = match (record.is_judged(), kept.is_empty()) {
        (true, _) => words.seen,
        (false, false) => words.sent,
        (false, true) => return String::new(),
    };
    let looked =
        matches!(record.answer.as_ref().map(|answer| answer.outcome), Some(Outcome::Judged { looked: true, .. }));
    let figures: String = kept.iter().map(|&which| figure(look, record, which)).collect();
    let note = if kept.is_empty() {
        format!("<p>{}</p>", Text(words.no_pictures))
    } else if looked && !kept.contains(&Picture::Evidence) {
        format!("<p>{}</p>", Text(words.no_evidence))
    } else {
        String::new()
    };
    format!("<section><h2>{}</h2><div class=\"figures\">{figures}</div>{note}</section>", Text(heading))
}

fn figure(look: &Look<'_>, record: &Record, which: Picture) -> String {
    let caption = match which {
        Picture::Film => look.words.film.to_owned(),
        Picture::Square => look.words.square.to_owned(),
        Picture::Evidence => format!("{} {}", look.screen.caption.join(" "), look.words.evidence),
    };
    let (number, caption) = (record.number, Text(caption));
    format!(
        "<figure><img src=\"/film/{number}/{which}.png\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>"
    )
}

fn clinician(look: &Look<'_>, record: &Record) -> String {
    let words = look.words;
    let choices: String = Opinion::ALL
        .into_iter()
        .map(|opinion| {
            let chosen = record.clinician.is_some_and(|said| said.what == opinion);
            format!(
                "<label><input type=\"radio\" name=\"said\" value=\"{}\" required data-wrong=\"{}\"{}> {}</label>",
                opinion.as_str(),
                Text(words.choose_one),
                if chosen { " checked" } else { "" },
                Text(look.opinion(opinion))
            )
        })
        .collect();
    let saved = record.clinician.map_or_else(String::new, |said| {
        // The time is markup; the words around it are text.
        let (before, after) = words.saved.split_once("{}").unwrap_or((words.saved, ""));
        format!("<p class=\"hint\">{}{}{}</p>", Text(before), time(said.at), Text(after))
    });
    format!(
        "<section id=\"clinician\"><form method=\"post\" action=\"/film/{}/clinician\" autocomplete=\"off\">\
         <input type=\"hidden\" name=\"secret\" value=\"{}\">\
         <fieldset><legend><h2>{}</h2></legend>{choices}<button class=\"button\">{}</button></fieldset></form>{saved}</section>",
        record.number,
        Text(&look.guest.secret),
        Text(words.clinician),
        Text(words.save),
    )
}

/// What a nurse wants to know of a film, and what a technician does.
fn facts(look: &Look<'_>, record: &Record) -> [String; 2] {
    let (words, screen) = (look.words, look.screen);
    let exam = if record.exam.as_str().is_empty() { "–" } else { record.exam.as_str() };
    let mut facts = vec![
        (screen.exam, Text(exam).to_string()),
        (screen.record, record.number.to_string()),
        (words.received, look.received(record)),
    ];
    let mut details = Vec::new();
    if let Some(answer) = &record.answer {
        facts.push((words.judged, time(answer.at)));
        details.extend(record.code().map(|code| (screen.code, code.to_string())));
        if let Outcome::Judged { record: Some(number), .. } = answer.outcome {
            details.push((words.box_record, number.to_string()));
        }
        if let Some(by) = &answer.by {
            details.push((screen.model, Text(&by.model).to_string()));
            details.push((screen.digest, digest(&by.digest)));
        }
    }
    if !record.site.is_empty() {
        facts.push((words.site, Text(&record.site).to_string()));
    }
    [facts, details].map(|facts| {
        let rows = facts.iter().map(|(name, value)| format!("<div><dt>{}</dt><dd>{value}</dd></div>", Text(name)));
        format!("<dl class=\"facts\">{}</dl>", rows.collect::<String>())
    })
}

/// One sheet of paper.
pub(crate) fn slip(look: &Look<'_>, record: &Record) -> String {
    let words = look.words;
    let kept = look.store().pictures(record);
    let picture = [Picture::Evidence, Picture::Film].into_iter().find(|which| kept.contains(which));
    let picture = picture.map_or_else(String::new, |which| figure(look, record, which));
    let said = record.clinician.map_or_else(
        || Opinion::ALL.map(|opinion| format!("<span class=\"tick\">{}</span>", Text(look.opinion(opinion)))).concat(),
        |said| format!("<b>{}</b>", Text(look.opinion(said.what))),
    );
    let main = format!(
        "<p class=\"back\"><a href=\"/film/{}\">{}</a> <button id=\"print\" class=\"button main\">{}</button></p>\n\
         <article class=\"slip\"><h1>{}</h1>\n<p class=\"disclaimer\">{}</p>\n{}{}\n{picture}\n{}\n\
         <p class=\"says\">{}: {said}</p>\n<p class=\"sign\">{}</p></article>",
        record.number,
        Text(look.name(record)),
        Text(words.print),
        Text(look.name(record)),
        Text(look.screen.disclaimer),
        other_exam(look, record),
        card(look, record),
        facts(look, record).concat(),
        Text(words.clinician),
        Text(words.signature),
    );
    let title = filled("{} – {}", [look.name(record), words.slip.to_owned()]);
    document(look.language, &title, "", &main, "", &look.stays)
}
