//! What is answered to a request.

mod film;
mod frame;
mod html;
mod list;
mod other;
mod table;
mod update;

use std::{
    io::Read,
    net::{IpAddr, SocketAddr},
};

use serde_json::json;
use shared::{
    appliance::Language,
    limits::MAX_IMAGE_BYTES,
    verdict::{ExamId, Refusal},
};

use self::frame::Look;
use crate::{
    gate::{COOKIE, Gate, Guest, Paired, Refused},
    http::{Method, Pairs, Request, Response},
    intake::{Intake, IntakeError},
    judge::Standing,
    node::Open,
    outbox::Outbox,
    record::{Opinion, Picture, Source},
    store::StoreError,
    update::Updates,
    watch::{Watch, Watched},
};

/// Name of the cookie that keeps the language.
const LANGUAGE: &str = "pumua-language";
/// Most bytes of a form.
const MAX_FORM: u64 = 4 * 1024;

/// All that answers are made of.
pub(crate) struct App {
    pub(crate) intake: Intake,
    pub(crate) standing: Standing,
    pub(crate) gate: Gate,
    pub(crate) language: Language,
    pub(crate) address: SocketAddr,
    /// The folder that films are taken from, if there is one.
    pub(crate) watch: Option<Watch>,
    pub(crate) watched: Watched,
    /// The DICOM node to which consoles send, if there is one.
    pub(crate) node: Option<Open>,
    /// What sends answers to an archive, if there is one.
    pub(crate) outbox: Option<Outbox>,
    /// What updates the box that judges, if one does.
    pub(crate) updates: Option<Updates>,
}

/// Answers a request. `peer`: who asks. `local`: the address at which it arrived.
pub(crate) fn answer(app: &App, request: &Request, body: &mut impl Read, peer: IpAddr, local: SocketAddr) -> Response {
    let language = language(app, request);
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let answered = checked(app, request, &path, body, peer, local, language);
    let response = answered.unwrap_or_else(|refused| turned_away(refused, request, &path, language));
    // The choice of a language is kept by the browser.
    match request.query.get("lang").parse::<Language>() {
        Ok(chosen) => response.with("Set-Cookie", format!("{LANGUAGE}={chosen}; Path=/; HttpOnly; SameSite=Strict")),
        Err(_) => response,
    }
}

fn checked(
    app: &App,
    request: &Request,
    path: &[&str],
    body: &mut impl Read,
    peer: IpAddr,
    local: SocketAddr,
    language: Language,
) -> Result<Response, Refused> {
    app.gate.count(peer)?;
    app.gate.check_host(request, local)?;
    match (request.method, path) {
        (Method::Get, ["style.css"]) => {
            return Ok(Response::new(200, "text/css; charset=utf-8", include_str!("style.css")));
        }
        (Method::Get, ["script.js"]) => {
            return Ok(Response::new(200, "text/javascript; charset=utf-8", include_str!("script.js")));
        }
        (Method::Get, ["icon.svg"]) => return Ok(Response::new(200, "image/svg+xml", include_str!("icon.svg"))),
        (Method::Get, ["pair"]) if app.gate.pairs() => return Ok(Response::html(200, other::pair(language, None))),
        (Method::Post, ["pair"]) if app.gate.pairs() => {
            app.gate.check_origin(request)?;
            let typed = form(request, body)?;
            return Ok(paired(app.gate.pair(typed.get("code")), language));
        }
        _ => {}
    }
    // What a page asks for by itself. Pictures come with it, and are no sign of a person.
    let quiet = request.header("x-pumua-quiet").is_some() || is_picture(request.method, path);
    let guest = app.gate.admit(request, quiet)?;
    let look = Look::new(app, &guest, language, path.first().copied().unwrap_or_default(), &request.query);
    match request.method {
        Method::Get => Ok(get(app, &look, request, path)),
        Method::Post => {
            app.gate.check_origin(request)?;
            post(app, &look, &guest, request, path, body)
        }
        Method::Other => Ok(Response::words(405, "a page is fetched by GET, a form sent by POST")),
    }
}

/// Whether a picture of a film is asked for.
fn is_picture(method: Method, path: &[&str]) -> bool {
    method == Method::Get && matches!(path, ["film", _, _])
}

fn get(app: &App, look: &Look<'_>, request: &Request, path: &[&str]) -> Response {
    let store = &app.intake.store;
    // Before a record is read: what changes in between is seen the next time.
    let version = store.version();
    match path {
        [] => Response::html(200, list::page(look, &request.query)),
        ["news"] => {
            let asked = request.query.get("of").split(',').filter_map(|number| number.parse::<u64>().ok());
            let records = asked.take(list::MOST_ASKED).filter_map(|number| store.get(number));
            let films: Vec<_> = records.map(|record| list::told(look, &record)).collect();
            Response::json(200, &json!({ "store": store.id(), "version": version, "films": films }))
        }
        ["results.csv"] => table::answer(look, &request.query),
        ["help"] => Response::html(200, other::help(look)),
        ["state"] => Response::html(200, other::state(look)),
        ["film", number] | ["slip", number] => match number.parse().ok().and_then(|number| store.get(number)) {
            Some(record) if path[0] == "slip" => Response::html(200, film::slip(look, &record)),
            Some(record) => {
                Response::html(200, film::page(look, &record, version, !request.query.get("known").is_empty()))
            }
            None => Response::html(404, other::notice(look, look.words.missing)),
        },
        ["film", number, picture] => {
            let which = Picture::ALL.into_iter().find(|which| *picture == format!("{which}.png"));
            let number = number.parse::<u64>().ok();
            match number.zip(which).and_then(|(number, which)| store.picture(number, which)) {
                Some(png) => Response::new(200, "image/png", png),
                None => Response::words(404, look.words.missing),
            }
        }
        _ => Response::html(404, other::notice(look, look.words.missing)),
    }
}

fn post(
    app: &App,
    look: &Look<'_>,
    guest: &Guest,
    request: &Request,
    path: &[&str],
    body: &mut impl Read,
) -> Result<Response, Refused> {
    match path {
        ["films"] => {
            // Checked before a byte of the film is taken.
            app.gate.check_secret(guest, request.header("x-pumua-secret").unwrap_or_default())?;
            Ok(taken(app, look, request, body))
        }
        ["film", number, "clinician"] => {
            let said = form(request, body)?;
            app.gate.check_secret(guest, said.get("secret"))?;
            let opinion = Opinion::ALL.into_iter().find(|opinion| opinion.as_str() == said.get("said"));
            let Some((number, opinion)) = number.parse::<u64>().ok().zip(opinion) else {
                return Ok(Response::html(404, other::notice(look, look.words.missing)));
            };
            Ok(match app.intake.store.say(number, opinion) {
                Ok(true) => Response::see(format!("/film/{number}#clinician")),
                Ok(false) => Response::html(404, other::notice(look, look.words.missing)),
                Err(error) => Response::html(507, other::notice(look, &error.to_string())),
            })
        }
        ["update"] | ["update", "stop"] => {
            let Some(updates) = &app.updates else {
                return Ok(Response::html(404, other::notice(look, look.words.missing)));
            };
            if path.len() == 1 {
                // Checked before a byte of the file is taken.
                app.gate.check_secret(guest, request.header("x-pumua-secret").unwrap_or_default())?;
                return Ok(update::taken(updates, look, request, body));
            }
            let said = form(request, body)?;
            app.gate.check_secret(guest, said.get("secret"))?;
            updates.stop();
            Ok(Response::see("/state#update".to_owned()))
        }
        ["leave"] => {
            let said = form(request, body)?;
            app.gate.check_secret(guest, said.get("secret"))?;
            app.gate.leave(request);
            Ok(Response::see("/pair".to_owned()).with("Set-Cookie", cookie("", Some(0))))
        }
        _ => Ok(Response::html(404, other::notice(look, look.words.missing))),
    }
}

/// Takes a film in.
fn taken(app: &App, look: &Look<'_>, request: &Request, film: &mut impl Read) -> Response {
    let failed = |status, code: Option<u16>, message: String| {
        Response::json(status, &json!({ "code": code, "message": message }))
    };
    let too_large = || {
        let refusal = Refusal::TooManyBytes;
        failed(413, Some(refusal.code()), (look.screen.refusal)(refusal))
    };
    if request.length > u64::from(MAX_IMAGE_BYTES) {
        return too_large();
    }
    let exam = match ExamId::new(request.query.get("exam").trim()) {
        Ok(exam) => exam,
        Err(_) => return failed(400, None, look.words.exam_wrong.to_owned()),
    };
    match app.intake.take(film, &exam, Source::Page) {
        Ok(receipt) => {
            let place = format!("/film/{}", receipt.number);
            Response::json(201, &json!({ "number": receipt.number, "known": receipt.known })).with("Location", place)
        }
        Err(IntakeError::TooLarge) => too_large(),
        Err(error @ IntakeError::Cut(_)) => failed(400, None, error.to_string()),
        Err(IntakeError::Store(error @ StoreError::NoSpace)) => failed(503, None, error.to_string()),
        Err(IntakeError::Store(error)) => {
            base::say!("{error}");
            failed(507, None, error.to_string())
        }
    }
}

/// The fields of a form. One that is too long, or not text, is not of this page.
fn form(request: &Request, body: &mut impl Read) -> Result<Pairs, Refused> {
    let mut text = String::new();
    let whole = request.length <= MAX_FORM && body.take(MAX_FORM).read_to_string(&mut text).is_ok();
    if whole { Ok(Pairs::read(&text)) } else { Err(Refused::Foreign) }
}

fn paired(outcome: Paired, language: Language) -> Response {
    let words = crate::words::words(language);
    match outcome {
        Paired::Yes(value) => Response::see("/".to_owned()).with("Set-Cookie", cookie(&value, None)),
        Paired::No => Response::html(403, other::pair(language, Some(words.wrong_code))),
        Paired::Locked => Response::html(429, other::pair(language, Some(words.locked))),
    }
}

/// The cookie of a session. It goes to no other site, and no script reads it.
fn cookie(value: &str, seconds: Option<u32>) -> String {
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{age}")
}

fn turned_away(refused: Refused, request: &Request, path: &[&str], language: Language) -> Response {
    let words = crate::words::words(language);
    let is_page = request.method == Method::Get && !path.iter().any(|part| part.contains('.')) && path != ["news"];
    match refused {
        Refused::Host => Response::words(421, "open the page by the address that the terminal shows"),
        Refused::TooOften => {
            Response::words(429, "too many requests: wait a moment").with("Retry-After", "5".to_owned())
        }
        Refused::Unpaired if is_page => Response::see("/pair".to_owned()),
        Refused::Unpaired => Response::words(401, words.foreign),
        Refused::Foreign => Response::words(403, words.foreign),
    }
}

/// The language that was chosen, else the first that the browser asks for and there is, else that of the settings.
fn language(app: &App, request: &Request) -> Language {
    let chosen = request.query.get("lang").parse().ok();
    let kept = || request.cookie(LANGUAGE)?.parse().ok();
    let asked = || {
        let list = request.header("accept-language")?;
        list.split(',').find_map(|range| range.trim().get(..2)?.to_ascii_lowercase().parse().ok())
    };
    chosen.or_else(kept).or_else(asked).unwrap_or(app.language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_no_sign_of_a_person_and_what_a_person_does_is() {
        assert!(is_picture(Method::Get, &["film", "1", "film.png"]));
        assert!(!is_picture(Method::Post, &["film", "1", "clinician"]));
        assert!(!is_picture(Method::Get, &["film", "1"]) && !is_picture(Method::Get, &["slip", "1"]));
    }
}
