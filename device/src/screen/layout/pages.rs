//! What a person turns to with the keys: past results, and what the box is.

use shared::{
    calendar::utc,
    verdict::{Digest, ResultRecord, Trust},
};

use super::{AMBER, Area, BLUE, GREEN, INK, Layout, PANEL, QUIET, result};
use crate::{
    journal::Standing,
    screen::{
        Explanation, Identity, Offers, PAGE, Prompt,
        language::{Notice, filled},
        symbol::Symbol,
        text::Align,
    },
    stick::Film,
};

/// Films of a stick that are on the screen at once.
const FILMS: usize = 5;

/// A row of the list of what is on a stick.
enum Row<'a> {
    Film(&'a Film),
    Offer(String),
}

impl Layout<'_> {
    /// A page of past results, `[page, pages]`, on a box with a model.
    pub(super) fn history(&mut self, body: Area, results: &[ResultRecord], model: Digest, [page, pages]: [u64; 2]) {
        let words = self.words();
        if results.is_empty() {
            let notice = Notice { word: words.history, meaning: words.no_results };
            return self.notice(body, Symbol::Ring, QUIET, notice);
        }
        let number = format!("{} {page}/{pages}", words.page);
        let small = self.regular(15.0, QUIET);
        let room = body.width - small.width(&number) - self.px(20.0);
        let baseline = body.top + self.px(24.0);
        self.fitted(self.bold(22.0, INK), words.history, room, body.left, baseline, Align::Left);
        self.line(small, &number, body.right(), baseline, Align::Right);
        let (first, gap) = (baseline + self.px(16.0), self.px(6.0));
        let height = (body.bottom() - first) / PAGE as f32;
        for (n, record) in results.iter().take(PAGE as usize).enumerate() {
            let row = Area { top: first + n as f32 * height, height: height - gap, ..body };
            self.fill(row, self.px(8.0), PANEL);
            self.past(row, record, model);
        }
    }

    /// A past result: verdict and probability, then number, time, exam and whether it is from another model, beside or below.
    fn past(&mut self, row: Area, record: &ResultRecord, model: Digest) {
        let words = self.words();
        let inset = self.px(12.0);
        let (left, right) = (row.left + inset, row.right() - inset);
        let (verdict, facts) = if self.stacked {
            let half = row.height / 2.0;
            let upper = Area { left, width: right - left, height: half, ..row };
            (upper, Area { top: row.top + half, ..upper })
        } else {
            let width = (right - left) * 0.54;
            let facts = left + width + self.px(24.0);
            (Area { left, width, ..row }, Area { left: facts, width: right - facts, ..row })
        };
        let (symbol, colour) = result::look(record.verdict);
        let side = self.px(34.0);
        self.symbol(symbol, verdict.left, verdict.top + (verdict.height - side) / 2.0, side, colour);
        let percent = words.percent(record.probability, &record.point);
        let style = self.bold(20.0, INK);
        let baseline = verdict.top + (verdict.height + style.size) / 2.0;
        self.line(style, &percent, verdict.right(), baseline, Align::Right);
        let left = verdict.left + side + self.px(14.0);
        let room = verdict.right() - left - self.px(92.0);
        self.fitted(self.bold(20.0, colour), (words.verdict)(record.verdict).word, room, left, baseline, Align::Left);

        let time = record.unix_seconds.map_or_else(|| words.time_unknown.to_owned(), minutes);
        let (style, small) = (self.regular(14.0, INK), self.regular(12.0, QUIET));
        let middle = facts.top + facts.height / 2.0;
        let (upper, lower) = (middle - self.px(5.0), middle + self.px(18.0));
        let number = format!("{} {}", words.record, record.number);
        let room = facts.width - style.width(&number) - self.px(16.0);
        self.line(style, &number, facts.left, upper, Align::Left);
        self.fitted(style, &time, room, facts.right(), upper, Align::Right);
        let mut room = facts.width;
        // It may have been one that was trained on drawings.
        let other_model = (record.model != model).then(|| words.other_model.to_owned());
        let unsigned =
            record.trust.filter(|&trust| trust == Trust::Unsigned).map(|trust| (words.signed)(trust).to_owned());
        let overridden = words.age(record.age).filter(|_| record.age.is_overridden());
        let marked = self.regular(12.0, AMBER);
        let marks: Vec<String> = [other_model, unsigned, overridden].into_iter().flatten().collect();
        let mark = match &marks[..] {
            [] => None,
            [mark] => Some(mark.clone()),
            // All are shown; if they do not fit, the end of the last is cut off.
            several => Some(marked.shortened(&several.join(", "), room)),
        };
        if let Some(mark) = mark {
            let marked = marked.fitted(&mark, room);
            self.line(marked, &mark, facts.right(), lower, Align::Right);
            room -= marked.width(&mark) + self.px(16.0);
        }
        if room > self.px(60.0) {
            self.line(small, &small.shortened(record.exam.as_str(), room), facts.left, lower, Align::Left);
        }
    }

    /// What is on a stick: a list, or a question where there is nothing but one thing to be done.
    pub(super) fn stick(&mut self, body: Area, films: &[Film], offers: &Offers, (chosen, prompt): (usize, Prompt)) {
        let words = self.words();
        let (asked, named) = match offers {
            Offers { program: Some(program), results: None } if films.is_empty() => {
                let name = self.regular(16.0, INK).shortened(&program.name, body.width / 2.0);
                (words.program_asked, format!("{name} ({})", mebibytes(program.size)))
            }
            Offers { program: None, results: Some(results) } if films.is_empty() => {
                (words.results_asked, results.to_string())
            }
            _ => return self.films(body, films, offers, (chosen, prompt)),
        };
        self.explain(body, (Symbol::Ring, BLUE), asked.word, &Explanation::naming(asked.meaning, &named));
    }

    /// How far the writing of the results has got.
    pub(super) fn writing(&mut self, body: Area, done: u64, total: u64) {
        let words = self.words();
        // As a part of a thousand, which is finer than the bar.
        let part = done.saturating_mul(1000) / total.max(1);
        let upper = Area { height: body.height - self.px(34.0), ..body };
        self.progress(upper, words.results_writing, u32::try_from(part).unwrap_or(1000), 1000);
        let text = filled(words.results_done, [done.to_string(), total.to_string()]);
        let baseline = body.bottom() - self.px(6.0);
        self.fitted(self.regular(18.0, QUIET), &text, body.width, body.centre(), baseline, Align::Centre);
    }

    /// The films on a stick and what else can be done, around what is chosen, and below it what happens next.
    fn films(&mut self, body: Area, films: &[Film], offers: &Offers, (chosen, prompt): (usize, Prompt)) {
        let words = self.words();
        let program = offers.program.as_ref().map(|program| filled(words.stick_program, [program.name.clone()]));
        let results = offers.results.map(|_| words.stick_results.to_owned());
        let rows: Vec<Row<'_>> =
            films.iter().map(Row::Film).chain([program, results].into_iter().flatten().map(Row::Offer)).collect();
        let number = format!("{}/{}", chosen + 1, rows.len());
        let small = self.regular(15.0, QUIET);
        let room = body.width - small.width(&number) - self.px(20.0);
        let baseline = body.top + self.px(24.0);
        let title = if films.is_empty() { words.stick_marked } else { words.stick };
        self.fitted(self.bold(22.0, INK), title, room, body.left, baseline, Align::Left);
        self.line(small, &number, body.right(), baseline, Align::Right);
        let text = match prompt {
            Prompt::Countdown(seconds) => filled(words.stick_countdown, [seconds.to_string()]),
            Prompt::Choose if chosen >= films.len() => words.stick_take.to_owned(),
            Prompt::Choose => words.stick_choose.to_owned(),
            Prompt::Reading => words.stick_reading.to_owned(),
        };
        let (style, step) = (self.regular(16.0, BLUE), self.px(24.0));
        let mut line = body.bottom() - self.px(6.0);
        for text in style.wrap(&text, body.width).iter().rev() {
            self.line(style, text, body.left, line, Align::Left);
            line -= step;
        }
        let (first, gap) = (baseline + self.px(16.0), self.px(6.0));
        let height = (line + step - style.size - self.px(10.0) - first) / FILMS as f32;
        let start = chosen.saturating_sub(FILMS / 2).min(rows.len().saturating_sub(FILMS));
        for (place, (number, row)) in rows.iter().enumerate().skip(start).take(FILMS).enumerate() {
            let area = Area { top: first + place as f32 * height, height: height - gap, ..body };
            self.fill(area, self.px(8.0), PANEL);
            if number == chosen {
                self.fill(Area { width: self.px(8.0), ..area }, self.px(4.0), BLUE);
            }
            match row {
                Row::Film(film) => self.film(area, film, number == 0),
                Row::Offer(text) => self.offer(area, text),
            }
        }
    }

    /// Something else that can be done with a stick.
    fn offer(&mut self, row: Area, text: &str) {
        let (inset, style) = (self.px(20.0), self.bold(15.0, BLUE));
        let baseline = row.top + (row.height + style.size) / 2.0;
        let text = style.shortened(text, row.width - inset - self.px(12.0));
        self.line(style, &text, row.left + inset, baseline, Align::Left);
    }

    /// A film on a stick: the name of its file, then when that was changed, and how long it is.
    fn film(&mut self, row: Area, film: &Film, newest: bool) {
        let inset = self.px(20.0);
        let (left, width) = (row.left + inset, row.width - inset - self.px(12.0));
        let middle = row.top + row.height / 2.0;
        let (upper, lower) = (middle - self.px(5.0), middle + self.px(18.0));
        let name = self.bold(15.0, INK);
        self.line(name, &name.shortened(&film.name, width), left, upper, Align::Left);
        let mut room = width;
        if newest {
            let (style, word) = (self.bold(12.0, GREEN), self.words().newest);
            self.line(style, word, left + width, lower, Align::Right);
            room -= style.width(word) + self.px(16.0);
        }
        // Sticks hold local time, mostly.
        let time = minutes(film.modified);
        let facts = format!("{}, {} KiB", time.trim_end_matches(" UTC"), film.size.div_ceil(1024));
        self.fitted(self.regular(12.0, QUIET), &facts, room, left, lower, Align::Left);
    }

    /// What the box is, whom its model is made for, and what it says of labelled X-rays.
    pub(super) fn about(&mut self, body: Area, identity: &Identity) {
        let words = self.words();
        let title = body.top + self.px(24.0);
        let mut room = body.width;
        if identity.has_site {
            let small = self.regular(15.0, QUIET);
            room -= small.width(words.site_offer) + self.px(20.0);
            self.line(small, words.site_offer, body.right(), title, Align::Right);
        }
        self.fitted(self.bold(22.0, INK), words.about, room, body.left, title, Align::Left);
        let (style, step) = (self.bold(17.0, AMBER), self.px(30.0));
        let disclaimer = style.wrap(words.disclaimer, body.width - self.px(32.0));
        let height = step * disclaimer.len() as f32 + self.px(22.0);
        let notice = Area { top: body.bottom() - height, height, ..body };
        self.fill(notice, self.px(8.0), PANEL);
        for (n, line) in disclaimer.iter().enumerate() {
            let baseline = notice.top + self.px(11.0) + (step + style.size) / 2.0 + n as f32 * step;
            self.line(style, line, notice.centre(), baseline, Align::Centre);
        }

        // One row more has to find room.
        let [small, large] = if identity.way_back.is_some() { [11.0, 12.5] } else { [14.0, 16.0] };
        let (label, value) = (self.regular(small, QUIET), self.regular(large, INK));
        // Names stand beside what they name, or above it if stacked.
        let (beside, above) = if self.stacked { (0.0, 1.0) } else { (body.width * 0.3, 0.0) };
        let (left, room) = (body.left + beside, body.width - beside);
        let names = if self.stacked { room } else { beside - self.px(12.0) };
        let measured = result::told(identity, words).map_or_else(
            || vec![words.not_measured.to_owned()],
            |sentences| sentences.iter().flat_map(|sentence| value.wrap(sentence, room)).collect(),
        );
        let ages = (words.ages)(identity.ages.map(Into::into));
        let signed = identity.trust.map(|trust| format!(", {}", (words.signed)(trust)));
        let digest = format!("{:.16}{}", identity.digest, signed.unwrap_or_default());
        let Standing { entries, head, broken, .. } = identity.journal;
        let mut journal = format!("{entries} / {head:.16}");
        if let Some(at) = broken {
            journal = format!("{journal}, {}", words.broken.replace("{}", &at.to_string()));
        }
        let mut rows = vec![
            (words.version, vec![identity.software.clone()]),
            (words.model, vec![value.shortened(&identity.model, room)]),
            (words.digest, vec![digest]),
            (words.made_for, value.wrap(&ages, room)),
            (words.measured, measured),
            (words.journal, vec![journal]),
        ];
        if let Some(way_back) = &identity.way_back {
            let shown = value.shortened(&way_back.shown(), room / 2.0);
            let offer = filled(words.go_back_offer, [shown]);
            rows.push((words.way_back, value.wrap(&offer, room)));
        }
        // A row is parted from the next by half a line.
        let lines: f32 = rows.iter().map(|(_, lines)| above + lines.len() as f32 + 0.5).sum();
        let first = title + self.px(14.0);
        let step = ((notice.top - first) / (lines + 0.5)).min(self.px(34.0));
        // Lines that stand closer are smaller.
        let (label, value) = if identity.way_back.is_some() {
            let most = step / self.scale / 1.6;
            (self.regular(small.min(most), QUIET), self.regular(large.min(most), INK))
        } else {
            (label, value)
        };
        let mut baseline = first + step;
        for (name, lines) in rows {
            self.fitted(label, name, names, body.left, baseline, Align::Left);
            baseline += above * step;
            for line in lines {
                self.fitted(value, &line, room, left, baseline, Align::Left);
                baseline += step;
            }
            baseline += step / 2.0;
        }
    }
}

/// A size as it is shown: `20 MiB`, and less than one as one.
fn mebibytes(bytes: u32) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Seconds since 1970 to the minute: `2023-11-14 22:13 UTC`.
fn minutes(seconds: u64) -> String {
    let time = utc(seconds);
    let (date, clock) = time.split_once('T').unwrap_or((&time, ""));
    format!("{date} {} UTC", clock.get(..5).unwrap_or(clock))
}

#[cfg(test)]
mod tests {
    use shared::age::{Age, AgeNote};

    use super::*;
    use crate::{
        sample,
        screen::{Language, Scene, ScreenSize, View, language::words, layout},
    };

    fn record(model: &[u8]) -> ResultRecord {
        ResultRecord { model: Digest::of(model), ..sample::record(7) }
    }

    #[test]
    fn results_of_another_model_are_marked() {
        let identity = Identity { digest: Digest::of(b"present"), ..Identity::default() };
        for language in Language::ALL {
            let results = vec![record(b"present"), record(b"former"), record(b"former")];
            let scene = Scene { identity: identity.clone(), view: View::History { results, page: 1, pages: 1 } };
            let layout = layout(&scene, ScreenSize::default(), language);
            let marked = layout.placed().filter(|placed| placed.text == words(language).other_model).count();
            assert_eq!(marked, 2, "{language}");
        }
    }

    #[test]
    fn results_of_patients_for_whom_the_model_is_not_meant_are_marked() {
        let identity = Identity { digest: Digest::of(b"present"), ..Identity::default() };
        for language in Language::ALL {
            let age = AgeNote::Overridden(Age::months(108).unwrap());
            let results = [AgeNote::Unknown, age].map(|age| ResultRecord { age, ..record(b"present") }).to_vec();
            let scene = Scene { identity: identity.clone(), view: View::History { results, page: 1, pages: 1 } };
            let layout = layout(&scene, ScreenSize::default(), language);
            let marked = layout.placed().filter(|placed| Some(&placed.text) == words(language).age(age).as_ref());
            assert_eq!(marked.count(), 1, "{language}");
        }
    }

    #[test]
    fn what_the_box_is_tells_how_to_get_to_the_settings_if_there_are_any() {
        for language in Language::ALL {
            for has_site in [false, true] {
                let scene = Scene { identity: Identity { has_site, ..Identity::default() }, view: View::About };
                let layout = layout(&scene, ScreenSize::default(), language);
                let told = layout.placed().filter(|placed| placed.text == words(language).site_offer).count();
                assert_eq!(told, usize::from(has_site), "{language}");
            }
        }
    }

    #[test]
    fn times_are_told_to_the_minute() {
        assert_eq!(minutes(1_700_000_000), "2023-11-14 22:13 UTC");
        assert!(minutes(u64::MAX / 2).ends_with("UTC"));
    }
}
