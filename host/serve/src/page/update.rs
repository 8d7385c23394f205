//! The part of the page from which the box gets another program.

use std::io::Read;

use serde_json::json;
use shared::{limits::MAX_BUNDLE_BYTES, verdict::SoftwareRefusal};

use super::{frame::Look, html::Text};
use crate::{
    http::{Request, Response},
    intake::{IntakeError, pour},
    update::{Ending, NotSent, Seen, Stage, Updates},
};

/// Letters of a version that are shown.
const SHOWN: usize = 40;

/// The part of the page: nothing where no box can be updated.
pub(super) fn section(look: &Look<'_>) -> String {
    let (words, Some(updates)) = (look.words, &look.app.updates) else { return String::new() };
    let seen = updates.seen();
    let is_free = !seen.as_ref().is_some_and(Seen::is_under_way);
    let empty = (look.screen.software_refusal)(SoftwareRefusal::NotABundle);
    format!(
        "<section id=\"update\" aria-labelledby=\"update-title\" data-secret=\"{}\" data-sending=\"{}\" data-silent=\"{}\" \
         data-large=\"{}\" data-empty=\"{}\" data-most=\"{MAX_BUNDLE_BYTES}\">\n<h2 id=\"update-title\" tabindex=\"-1\">{}</h2>\n\
         <noscript><p class=\"hazard\">{}</p></noscript>\n{}\n\
         <form id=\"update-form\"{}>\n<div id=\"update-drop\" class=\"drop\"><p class=\"drag\">{}</p>\
         <input id=\"update-file\" type=\"file\" accept=\".pumua\" class=\"hidden\" aria-describedby=\"update-hint\">\
         <label for=\"update-file\" class=\"button\">{}</label><p id=\"update-hint\" class=\"hint\">{}</p></div>\n\
         <p id=\"update-ready\" hidden><span class=\"name\"></span> <button class=\"button main\">{}</button></p>\n</form>\n\
         <p id=\"update-wrong\" role=\"status\"></p>\n<p id=\"update-spoken\" class=\"hidden\" role=\"status\"></p>\n</section>",
        Text(&look.guest.secret),
        Text(words.sending),
        Text(words.silent),
        Text(words.update_large),
        Text(empty),
        Text(words.update),
        Text(words.script),
        now(look, seen.as_ref()),
        if is_free { "" } else { " hidden" },
        Text(words.update_drop),
        Text(words.update_choose),
        Text(words.update_hint),
        Text(words.update_send),
    )
}

/// What is seen of the update. The script fetches it again and again; while `data-kind` is the same, only texts and the bar change.
fn now(look: &Look<'_>, seen: Option<&Seen>) -> String {
    let words = look.words;
    let Some(seen) = seen else { return "<div id=\"update-now\" data-kind=\"none\"></div>".to_owned() };
    let kind = match &seen.stage {
        _ if seen.stopping => "stopping",
        Stage::Sent { .. } => "sending",
        Stage::Installing => "installing",
        Stage::Troubled(_) => "troubled",
        Stage::Ended(Ending::Staged) => "staged",
        Stage::Ended(Ending::Running) => "running",
        Stage::Ended(Ending::Refused(_)) => "refused",
        Stage::Ended(Ending::GivenUp(_)) => "given-up",
        Stage::Ended(Ending::Stopped) => "stopped",
    };
    let class = match &seen.stage {
        Stage::Troubled(_) | Stage::Ended(Ending::Refused(_) | Ending::GivenUp(_)) => " class=\"hazard\"",
        Stage::Ended(_) => " class=\"notice\"",
        _ => "",
    };
    let busy = if seen.is_under_way() { " data-busy=\"1\"" } else { "" };
    let bar = match seen.stage {
        Stage::Sent { done, total } => {
            format!("<progress max=\"{total}\" value=\"{done}\" aria-label=\"{}\"></progress>", Text(words.update))
        }
        _ => String::new(),
    };
    let unsigned = if seen.contents.signed || !seen.is_under_way() {
        String::new()
    } else {
        format!("<p class=\"hint\">{}</p>", Text(words.update_unsigned))
    };
    // What the box has all of is not taken back.
    let stop = if seen.is_under_way() && !seen.stopping && seen.stage != Stage::Installing {
        format!(
            "<form method=\"post\" action=\"/update/stop\"><input type=\"hidden\" name=\"secret\" value=\"{}\">\
             <button class=\"button\">{}</button></form>",
            Text(&look.guest.secret),
            Text(words.update_stop)
        )
    } else {
        String::new()
    };
    format!(
        "<div id=\"update-now\" data-kind=\"{kind}\"{busy}><p id=\"update-said\"{class}>{}</p>{bar}{unsigned}{stop}</div>",
        Text(said(look, seen))
    )
}

/// What is said of the update.
fn said(look: &Look<'_>, seen: &Seen) -> String {
    let words = look.words;
    let version: String = seen.contents.version.chars().take(SHOWN).collect();
    match &seen.stage {
        Stage::Sent { done, total } => {
            let percent = u64::from(*done) * 100 / u64::from((*total).max(1));
            language::filled(words.update_sending, [version, percent.to_string()])
        }
        Stage::Installing => language::filled(words.update_installing, [version]),
        Stage::Troubled(trouble) => language::filled(words.update_troubled, [version, trouble.clone()]),
        Stage::Ended(Ending::Staged) => language::filled(words.update_staged, [version]),
        Stage::Ended(Ending::Running) => language::filled(words.update_running, [version]),
        Stage::Ended(Ending::Refused(refusal)) => {
            language::filled(words.update_refused, [version, refused(look, *refusal)])
        }
        Stage::Ended(Ending::GivenUp(why)) => language::filled(words.update_given_up, [version, why.clone()]),
        Stage::Ended(Ending::Stopped) => language::filled(words.update_stopped, [version]),
    }
}

/// Cause, remedy and code of a refusal, in the words of the screen.
fn refused(look: &Look<'_>, refusal: SoftwareRefusal) -> String {
    format!("{} ({} {})", (look.screen.software_refusal)(refusal), look.screen.code, refusal.code())
}

/// Takes a bundle in, and hands it to the thread that has the line.
pub(super) fn taken(updates: &Updates, look: &Look<'_>, request: &Request, file: &mut impl Read) -> Response {
    let words = look.words;
    let failed = |status, code: Option<u16>, message: String| {
        Response::json(status, &json!({ "code": code, "message": message }))
    };
    let disk = |error: &dyn std::error::Error| {
        base::say!("{error}");
        failed(507, None, error.to_string())
    };
    if request.length > MAX_BUNDLE_BYTES {
        return failed(413, None, words.update_large.to_owned());
    }
    let Some(arrival) = updates.arrive() else { return failed(409, None, words.update_other.to_owned()) };
    let mut incoming = match look.store().begin() {
        Ok(incoming) => incoming,
        Err(error) => return disk(&error),
    };
    match pour(file, &mut incoming, MAX_BUNDLE_BYTES) {
        Ok(()) => {}
        // Whoever sent it is gone.
        Err(IntakeError::Cut(_)) => return failed(400, None, words.silent.to_owned()),
        Err(IntakeError::TooLarge) => return failed(413, None, words.update_large.to_owned()),
        Err(IntakeError::Store(error)) => return disk(&error),
    }
    match arrival.complete(incoming) {
        Ok(()) => Response::json(201, &json!({})).with("Location", "/state#update".to_owned()),
        Err(NotSent::Refused(refusal)) => failed(400, Some(refusal.code()), refused(look, refusal)),
        Err(error @ NotSent::Read(_)) => disk(&error),
    }
}
