// The one script of the page: it sends films, and fetches the part of the page that changes. It builds nothing out of texts
// but text, and asks nobody but the server that it is from.
"use strict";

const status = document.getElementById("status");
const live = () => document.getElementById("live");
const MOST = 32 * 1024 * 1024;

function localTimes(root) {
    for (const time of root.querySelectorAll("time")) {
        const moment = new Date(time.dateTime);
        if (!isNaN(moment)) {
            time.textContent = moment.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
        }
    }
}
localTimes(document);

// Files that are dropped anywhere on the page; the place for them shows it.
function droppable(drop, take) {
    for (const kind of ["dragenter", "dragover"]) {
        document.addEventListener(kind, (event) => {
            event.preventDefault();
            drop.classList.add("over");
        });
    }
    document.addEventListener("dragleave", (event) => {
        if (!event.relatedTarget) drop.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
        event.preventDefault();
        drop.classList.remove("over");
        take(event.dataTransfer.files);
    });
}

const print = document.getElementById("print");
if (print) print.addEventListener("click", () => window.print());

// What is wrong with a field is said in the words of the page, not in those of the browser.
document.addEventListener("invalid", (event) => {
    const { wrong } = event.target.dataset;
    if (wrong) event.target.setCustomValidity(wrong);
}, true);
document.addEventListener("input", (event) => {
    // Of several to choose from, another one may have been called wrong.
    for (const field of event.target.form ? event.target.form.elements : []) field.setCustomValidity("");
});

function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
}

// Films that are to be sent: each with its row.
const form = document.getElementById("send");
if (form) {
    const words = form.dataset;
    const files = document.getElementById("files");
    const drop = document.getElementById("drop");
    const queue = document.getElementById("queue");
    const ready = document.getElementById("ready");
    const waiting = [];
    let busy = false;

    const notSent = (row, file, reason) => {
        row.className = "failed";
        row.querySelector(".done").textContent = words.notSent.replace("{}", () => reason);
        return file.name + ": " + row.querySelector(".done").textContent;
    };

    const add = (chosen) => {
        const refused = [];
        for (const file of chosen) {
            const row = element("li");
            const name = element("span", "name", file.name);
            const reason = file.size > MOST ? words.large : file.size === 0 ? words.empty : "";
            if (reason) {
                row.append(name, element("span", "done"));
                queue.append(row);
                refused.push(notSent(row, file, reason));
                continue;
            }
            const exam = element("label", "exam", words.exam + " ");
            const input = element("input");
            Object.assign(input, { maxLength: 64, pattern: "[A-Za-z0-9._\\-]*", autocomplete: "off", spellcheck: false });
            input.setAttribute("aria-describedby", "exam-hint");
            input.dataset.wrong = words.wrong;
            input.addEventListener("change", () => { input.value = input.value.trim(); });
            exam.append(input);
            const remove = element("button", "button", words.remove);
            remove.type = "button";
            remove.setAttribute("aria-label", words.remove + ": " + file.name);
            row.append(name, exam, remove);
            const film = { file, row, input, exam, remove };
            remove.addEventListener("click", () => {
                waiting.splice(waiting.indexOf(film), 1);
                row.remove();
                ready.hidden = waiting.length === 0;
                (waiting.length ? waiting[0].input : files).focus();
            });
            waiting.push(film);
            queue.append(row);
        }
        ready.hidden = waiting.length === 0;
        files.value = "";
        if (refused.length) status.textContent = refused.join(". ");
        if (waiting.length) waiting[0].input.focus();
    };
    files.addEventListener("change", () => add(files.files));
    droppable(drop, add);

    const send = (film) => new Promise((done) => {
        const { file, row, input, exam, remove } = film;
        const shown = element("span", "done");
        exam.replaceWith(shown);
        remove.remove();
        const fail = (reason) => {
            film.failed = notSent(row, file, reason);
            done(null);
        };
        const bar = element("progress");
        bar.max = file.size;
        bar.value = 0;
        bar.setAttribute("aria-label", words.sending + ": " + file.name);
        shown.append(words.sending + " ", bar);
        const request = new XMLHttpRequest();
        const again = () => setTimeout(attempt, 3000);
        let left = 20;
        const attempt = () => {
            request.open("POST", "/films?exam=" + encodeURIComponent(input.value.trim()));
            request.setRequestHeader("X-Pumua-Secret", words.secret);
            request.send(file);
        };
        request.upload.addEventListener("progress", (event) => { bar.value = event.loaded; });
        request.addEventListener("error", () => fail(words.silent));
        request.addEventListener("load", () => {
            let answer = {};
            try { answer = JSON.parse(request.responseText); } catch { answer = { message: request.responseText.trim() }; }
            if (request.status === 201) {
                const link = element("a", "", words.waiting);
                link.href = "/film/" + answer.number + (answer.known ? "?known=1" : "");
                shown.replaceChildren(link);
                row.dataset.number = answer.number;
                if (answer.known) row.dataset.known = "1";
                return done(answer);
            }
            // Busy: it may come again.
            if ((request.status === 503 || request.status === 429) && left-- > 0) return again();
            fail(answer.message || words.silent);
        });
        attempt();
    });

    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (busy || waiting.length === 0) return;
        busy = true;
        ready.hidden = true;
        const films = waiting.splice(0);
        status.textContent = words.sending;
        const answers = [];
        for (const film of films) answers.push(await send(film));
        busy = false;
        ready.hidden = waiting.length === 0;
        const one = answers.length === 1 && waiting.length === 0 && answers[0];
        if (one) {
            location.assign("/film/" + one.number + (one.known ? "?known=1" : ""));
            return;
        }
        const failed = films.map((film) => film.failed).filter(Boolean);
        // Where all have their answers already, these were told.
        if (failed.length) status.textContent = failed.join(". ");
        else if (unanswered().length) status.textContent = words.waiting;
        news();
    });
}

// The update of the box: a file for this server, and then what the server says of it.
const update = document.getElementById("update");
if (update) {
    const words = update.dataset;
    const [form, files, drop, ready, wrong, spoken, title] = ["form", "file", "drop", "ready", "wrong", "spoken", "title"].map(
        (name) => document.getElementById("update-" + name));
    const shown = () => document.getElementById("update-now");
    let file = null;
    let busy = false;
    let timer;

    const choose = (chosen) => {
        const [one] = chosen;
        files.value = "";
        if (!one || busy || form.hidden) return;
        const reason = one.size > Number(words.most) ? words.large : one.size === 0 ? words.empty : "";
        file = reason ? null : one;
        ready.hidden = file === null;
        ready.querySelector(".name").textContent = one.name;
        wrong.textContent = reason ? one.name + ": " + reason : "";
        if (file) ready.querySelector("button").focus();
    };
    files.addEventListener("change", () => choose(files.files));
    droppable(drop, choose);

    form.addEventListener("submit", (event) => {
        event.preventDefault();
        if (!file || busy) return;
        busy = true;
        ready.hidden = true;
        const sent = file;
        file = null;
        const row = element("p", "", words.sending + " ");
        const bar = element("progress");
        bar.max = sent.size;
        bar.value = 0;
        bar.setAttribute("aria-label", words.sending + ": " + sent.name);
        row.append(bar);
        form.append(row);
        wrong.textContent = "";
        spoken.textContent = words.sending;
        const done = (reason) => {
            busy = false;
            row.remove();
            wrong.textContent = reason ? sent.name + ": " + reason : "";
            spoken.textContent = "";
            if (reason) files.focus();
            look(!reason);
        };
        const request = new XMLHttpRequest();
        request.upload.addEventListener("progress", (event) => { bar.value = event.loaded; });
        request.addEventListener("error", () => done(words.silent));
        request.addEventListener("load", () => {
            let answer = {};
            try { answer = JSON.parse(request.responseText); } catch { answer = { message: request.responseText.trim() }; }
            done(request.status === 201 ? "" : answer.message || words.silent);
        });
        request.open("POST", "/update");
        request.setRequestHeader("X-Pumua-Secret", words.secret);
        request.send(sent);
    });

    // Fetches what has become of it. While it is of the same kind, only words and the bar change, so that a button in hand stays.
    const look = async (first) => {
        clearTimeout(timer);
        try {
            const answer = await fetch("/state", { headers: { "X-Pumua-Quiet": "1" } });
            if (answer.redirected || answer.status === 401) {
                // The session has ended.
                location.reload();
                return;
            }
            const page = new DOMParser().parseFromString(await answer.text(), "text/html");
            const [now, next] = [shown(), page.getElementById("update-now")];
            if (next && next.dataset.kind === now.dataset.kind && !first) {
                const [said, bar] = ["p", "progress"].map((part) => [now, next].map((it) => it.querySelector(part)));
                if (said[0] && said[0].textContent !== said[1].textContent) said[0].textContent = said[1].textContent;
                if (bar[0] && bar[1]) bar[0].value = bar[1].value;
            } else if (next) {
                const inHand = now.contains(document.activeElement);
                document.adoptNode(next);
                now.replaceWith(next);
                form.hidden = next.dataset.busy !== undefined;
                const said = next.querySelector("p");
                spoken.textContent = said ? said.textContent : "";
                if (inHand || first) title.focus();
            }
        } catch {
            // The server is away: it is asked again.
        }
        timer = setTimeout(look, shown().dataset.busy ? 1000 : 4000);
    };
    timer = setTimeout(look, 1000);
}

// The rows of films that were sent from here and have no answer yet. The list of records does not show each of them: it has
// pages and is searched.
const unanswered = () => [...document.querySelectorAll("#queue li[data-number]:not([data-answered])")];
// So many are asked for at once.
const MOST_ASKED = 100;

// Says what has become of the films that were sent from here.
function tell(films) {
    const said = [];
    for (const row of unanswered()) {
        const film = films.find((film) => String(film.number) === row.dataset.number);
        if (!film) continue;
        const text = row.dataset.known ? form.dataset.here.replace("{}", () => film.said) : film.said;
        row.querySelector("a").textContent = text;
        if (film.waits) continue;
        row.className = film.kind;
        row.dataset.answered = "1";
        said.push(text);
    }
    const left = unanswered().length;
    if (left) said.push(form.dataset.waiting + ": " + left);
    if (said.length > (left ? 1 : 0)) status.textContent = said.join(". ");
}

// Whether the reader is at a form in there, or has chosen what is not saved.
function inHand(part) {
    const at = document.activeElement;
    const chosen = [...part.querySelectorAll("input[type='radio']")].some((input) => input.checked !== input.defaultChecked);
    return chosen || (part.contains(at) && at.closest("form") !== null);
}

// Fetches what has changed. What the reader has in hand is left alone, unless another store has come under the same address:
// then nothing of the page is true any more.
let timer;
let asking = false;
async function news() {
    const now = live();
    if (!now || asking) return;
    asking = true;
    clearTimeout(timer);
    try {
        const quiet = { headers: { "X-Pumua-Quiet": "1" } };
        const of = unanswered().slice(0, MOST_ASKED).map((row) => row.dataset.number).join(",");
        const answer = await fetch(of ? "/news?of=" + of : "/news", quiet);
        if (answer.status === 401) {
            // The session has ended.
            location.reload();
            return;
        }
        const { store, version, films } = await answer.json();
        if (answer.ok && store !== now.dataset.store) {
            location.reload();
            return;
        }
        if (answer.ok) tell(films);
        if (answer.ok && String(version) !== now.dataset.version && !inHand(now)) {
            const page = await (await fetch(location.pathname + location.search, quiet)).text();
            const next = new DOMParser().parseFromString(page, "text/html").getElementById("live");
            if (next && (next.dataset.store !== now.dataset.store || next.dataset.of !== now.dataset.of)) {
                location.reload();
                return;
            }
            // The reader may have taken something in hand meanwhile.
            if (next && !inHand(now)) {
                const place = now.contains(document.activeElement) && document.activeElement.getAttribute("href");
                localTimes(next);
                const spoken = next.dataset.said;
                if (spoken && spoken !== now.dataset.said) status.textContent = spoken;
                document.adoptNode(next);
                // Small pictures that are there are not fetched again.
                const there = new Map([...now.querySelectorAll("img.small")].map((image) => [image.src, image]));
                for (const image of next.querySelectorAll("img.small")) {
                    const same = there.get(image.src);
                    if (same) image.replaceWith(same);
                }
                now.replaceWith(next);
                if (place) {
                    const again = [...live().querySelectorAll("a")].find((link) => link.getAttribute("href") === place);
                    if (again) again.focus();
                }
            }
        }
    } catch {
        // The server is away: it is asked again.
    }
    asking = false;
    const busy = live().dataset.waiting !== "0" || unanswered().length > 0;
    timer = setTimeout(news, busy ? 700 : 4000);
}
if (live()) timer = setTimeout(news, live().dataset.waiting !== "0" ? 500 : 4000);
