//! Help, state, pairing, and pages that say one thing.

use shared::{appliance::Language, verdict::Verdict};

use super::{
    frame::{Look, digest, document, symbol, time},
    html::Text,
    update,
};
use crate::{node::LogLine, words};

pub(crate) fn notice(look: &Look<'_>, words: &str) -> String {
    let main = format!(
        "<h1>Pumua</h1><p class=\"notice\">{}</p><p><a href=\"/\">{}</a></p>",
        Text(words),
        Text(look.words.back)
    );
    look.page("Pumua", &main)
}

pub(crate) fn help(look: &Look<'_>) -> String {
    let (words, screen) = (look.words, look.screen);
    let steps: String = words.steps.iter().map(|step| format!("<li>{}</li>", Text(step))).collect();
    let verdicts = [Verdict::Normal, Verdict::Pneumonia, Verdict::Refer];
    let mut kinds: Vec<(&str, &str, &str)> = verdicts
        .iter()
        .zip(words.meant)
        .map(|(verdict, meant)| (verdict.as_str(), (screen.verdict)(*verdict).word, meant))
        .collect();
    kinds.push(("refused", screen.not_judged, words.meant_not_judged));
    let kinds: String = kinds
        .iter()
        .map(|(kind, word, meant)| {
            format!("<div class=\"{kind}\"><dt>{}{}</dt><dd>{}</dd></div>", symbol(kind), Text(word), Text(meant))
        })
        .collect();
    let main = format!("<h1>{}</h1><ol class=\"steps\">{steps}</ol><dl class=\"kinds\">{kinds}</dl>", Text(words.help));
    look.page(words.help, &main)
}

pub(crate) fn state(look: &Look<'_>) -> String {
    let (words, screen) = (look.words, look.screen);
    let (by, trouble) = look.app.standing.get();
    let figures = look.store().figures();
    let of = |some: u64, all: u64| language::filled(words.of, [some, all].map(|number| number.to_string()));
    let model = by.as_ref().map_or_else(|| Text(words.nobody_yet).to_string(), |by| Text(&by.model).to_string());
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let mut facts = vec![(words.judges, model)];
    if let Some(by) = &by {
        facts.push((screen.digest, digest(&by.digest)));
        facts.push((screen.made_for, Text((screen.ages)(by.ages.map(Into::into))).to_string()));
    }
    facts.extend([
        (words.trouble, Text(trouble.as_deref().unwrap_or(words.no_trouble)).to_string()),
        (words.waiting, figures.waiting.to_string()),
        (screen.results, of(figures.results as u64, figures.most_results as u64)),
        (words.space, of(mib(figures.space), mib(figures.most_space))),
        (words.folder, folder(look)),
        (words.node, node(look)),
        (words.pacs, pacs(look)),
        (screen.version, env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let rows: String =
        facts.iter().map(|(name, value)| format!("<div><dt>{}</dt><dd>{value}</dd></div>", Text(name))).collect();
    let (update, consoles) = (update::section(look), consoles(look));
    look.page(words.state, &format!("<h1>{}</h1><dl class=\"facts\">{rows}</dl>{update}{consoles}", Text(words.state)))
}

/// The folder that is watched, and what is wrong with it.
fn folder(look: &Look<'_>) -> String {
    let (words, Some(watch)) = (look.words, &look.app.watch) else { return Text(look.words.no_folder).to_string() };
    let standing = look.app.watched.get();
    let counted = language::filled(words.taken, [standing.taken, standing.passed].map(|number| number.to_string()));
    let trouble =
        standing.trouble.map_or_else(String::new, |trouble| format!("<p class=\"hazard\">{}</p>", Text(trouble)));
    format!("{}<br>{}{trouble}", Text(watch.folder.display()), Text(counted))
}

/// The DICOM node, and what is wrong with those who send to it.
fn node(look: &Look<'_>) -> String {
    let (words, Some(node)) = (look.words, &look.app.node) else { return Text(look.words.no_node).to_string() };
    let address = node.address();
    let is = [node.title().to_string(), address.ip().to_string(), address.port().to_string()];
    let troubles = node.log().troubles().into_iter().map(|line| {
        let told = line.words(look.language);
        format!("<p class=\"hazard\">{}: {}</p>", Text(line.peer), Text(told))
    });
    format!("{}{}", Text(language::filled(words.node_is, is)), troubles.collect::<String>())
}

/// The archive to which answers go, and what is wrong with it.
fn pacs(look: &Look<'_>) -> String {
    let (words, Some(outbox)) = (look.words, &look.app.outbox) else { return Text(look.words.no_pacs).to_string() };
    let (pacs, standing, unsent) = (outbox.pacs(), outbox.get(), look.store().outbox().unsent());
    let address = pacs.archive.address;
    let is = [pacs.archive.title.to_string(), address.ip().to_string(), address.port().to_string()];
    let counted = [unsent.waiting.to_string(), standing.sent.to_string()];
    let last = standing.last.map_or_else(String::new, |at| format!("<br>{} {}", Text(words.pacs_last), time(at)));
    let trouble = |text: String| format!("<p class=\"hazard\">{}</p>", Text(text));
    let now = standing.trouble.map(|it| trouble(it.words(look.language, pacs)));
    let aside = unsent.last.map(|why| {
        let count = language::filled(words.pacs_aside, [unsent.aside.to_string()]);
        trouble(format!("{count}: {}", why.trouble().words(look.language, pacs)))
    });
    format!(
        "{}<br>{}{last}{}{}",
        Text(language::filled(words.node_is, is)),
        Text(language::filled(words.pacs_waits, counted)),
        now.unwrap_or_default(),
        aside.unwrap_or_default()
    )
}

/// What consoles did last.
fn consoles(look: &Look<'_>) -> String {
    let Some(node) = &look.app.node else { return String::new() };
    let lines: String = node.log().lines().iter().map(|line| did(look, line)).collect();
    let list = if lines.is_empty() {
        format!("<p>{}</p>", Text(look.words.no_consoles))
    } else {
        format!("<ul class=\"log\">{lines}</ul>")
    };
    format!("<section><h2>{}</h2>{list}</section>", Text(look.words.consoles_did))
}

fn did(look: &Look<'_>, line: &LogLine) -> String {
    let kind = if line.event.what.is_trouble() { " class=\"hazard\"" } else { "" };
    let times = if line.times > 1 { format!(" ({} ×)", line.times) } else { String::new() };
    format!(
        "<li{kind}>{} <code>{}</code> {}{times}</li>",
        time(line.at),
        Text(line.peer),
        Text(line.words(look.language))
    )
}

/// Asks for the code.
pub(crate) fn pair(language: Language, wrong: Option<&str>) -> String {
    let words = words::words(language);
    let wrong =
        wrong.map_or_else(String::new, |wrong| format!("<p class=\"hazard\" role=\"alert\">{}</p>", Text(wrong)));
    let main = format!(
        "<h1>Pumua</h1>{wrong}<form class=\"pair\" method=\"post\" action=\"/pair\">\
         <label for=\"code\">{}</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" \
         maxlength=\"7\" required data-wrong=\"{}\" autofocus><button class=\"button main\">{}</button></form>",
        Text(words.code),
        Text(words.code),
        Text(words.enter),
    );
    document(language, "Pumua", "", &main, "", "")
}
