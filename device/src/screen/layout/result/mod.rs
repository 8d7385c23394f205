//! The verdict on an image: the radiograph beside it, or above it if stacked.

use embedded_graphics::pixelcolor::{Rgb888, RgbColor, WebColors};
use shared::{
    evidence::Evidence,
    rates::Outcomes,
    verdict::{OperatingPoint, ResultRecord, Verdict},
};

use super::{AMBER, Area, GREEN, GROUND, INK, Item, Layout, QUIET, RED, VERDICT};
use crate::screen::{
    Announced, Identity, MeasuredRates, PAST_AFTER, Preview,
    language::{Words, filled, hundredths},
    symbol::Symbol,
    text::{Align, Style},
};

/// The verdicts from the lowest probability to the highest.
const ALONG_THE_SCALE: [Verdict; 3] = [Verdict::Normal, Verdict::Refer, Verdict::Pneumonia];

impl<'a> Layout<'a> {
    pub(super) fn result(
        &mut self,
        body: Area,
        (preview, evidence): (&'a Preview, Option<&'a Evidence>),
        record: &ResultRecord,
        image: &Announced,
        minutes: u64,
        identity: &Identity,
    ) {
        let past = minutes >= PAST_AFTER;
        let gap = self.px(24.0);
        let (picture, side) = if self.stacked {
            let column =
                self.px(if identity.rates.is_some() || past || record.age.is_overridden() { 360.0 } else { 290.0 })
                    + self.capitals();
            let height = body.height - gap - column;
            let top = body.top + height + gap;
            (Area { height, ..body }, Area { top, height: body.bottom() - top, ..body })
        } else {
            // The column is as wide as the widest verdict needs it.
            let style = Style::bold(self.least(), INK);
            let words = Verdict::ALL.map(|verdict| style.width((self.words().verdict)(verdict).word));
            let column = words.into_iter().fold(body.width * 0.57 - gap, f32::max);
            let width = body.width - gap - column;
            let left = body.left + width + gap;
            (Area { width, ..body }, Area { left, width: body.right() - left, ..body })
        };
        self.faded = past;
        self.radiograph(picture, preview, evidence.filter(|evidence| evidence.is_shown()));
        let top = self.verdict(side, record.verdict);
        let top = self.probability(Area { top, ..side }, record);
        self.faded = false;
        let below = Area { top, height: side.bottom() - top, ..side };
        if past {
            self.mark_past(below, minutes);
        } else if record.age.is_overridden() {
            // The rates are of other patients.
            let meant = (self.words().meant)(identity.ages.map(Into::into));
            self.strip(below, &meant);
        } else if let Some(measured) = identity.rates {
            self.rates(below, &measured);
        }
        self.labels(side, record, image, minutes);
    }

    /// The word as large as the column allows, below it the symbol and the meaning. Returns where that ends.
    fn verdict(&mut self, side: Area, verdict: Verdict) -> f32 {
        let notice = (self.words().verdict)(verdict);
        let (symbol, colour) = look(verdict);
        let size = self.capitals();
        let style = Style::bold(size, colour).fitted(notice.word, side.width);
        let baseline = side.top + self.px(8.0) + size;
        self.line(style, notice.word, side.left, baseline, Align::Left);
        let (top, symbol_side) = (baseline + self.px(16.0), self.px(60.0));
        self.symbol(symbol, side.left, top, symbol_side, colour);
        let left = side.left + symbol_side + self.px(16.0);
        let room = side.right() - left;
        let style = self.regular(18.0, INK);
        let lines: Vec<String> = notice.meaning.lines().flat_map(|line| style.wrap(line, room)).collect();
        let step = self.px(29.0);
        let first = top + (symbol_side + style.size - step * (lines.len() as f32 - 1.0)) / 2.0;
        for (n, line) in lines.iter().enumerate() {
            self.fitted(style, line, room, left, first + n as f32 * step, Align::Left);
        }
        top + symbol_side
    }

    /// The least height of a verdict's capitals in pixels.
    fn least(&self) -> f32 {
        VERDICT * self.size.width.min(self.size.height) as f32
    }

    /// Their height where the word is not too wide for that.
    fn capitals(&self) -> f32 {
        self.px(50.0).max(self.least())
    }

    /// The probability in figures and on its scale, where that changes the verdict, and the patient's age. Returns where the text ends.
    fn probability(&mut self, side: Area, record: &ResultRecord) -> f32 {
        let words = self.words();
        let baseline = side.top + self.px(56.0);
        for (line, baseline) in words.probability.iter().zip([baseline - self.px(24.0), baseline]) {
            self.line(self.regular(15.0, QUIET), line, side.left, baseline, Align::Left);
        }
        let room = side.width - self.px(150.0);
        let percent = words.percent(record.probability, &record.point);
        self.fitted(self.bold(38.0, INK), &percent, room, side.right(), baseline, Align::Right);
        let bar = Area { top: baseline + self.px(20.0), height: self.px(30.0), ..side };
        self.scale_of(bar, record.probability, &record.point);
        let baseline = bar.bottom() + self.px(27.0);
        self.age_and_changes(Area { top: baseline, ..side }, record);
        baseline
    }

    /// On one line where the verdict changes, and the patient's age.
    fn age_and_changes(&mut self, side: Area, record: &ResultRecord) {
        let (words, baseline, faded) = (self.words(), side.top, self.faded);
        let (mut changes, gap) = (words.changes(record.probability, &record.point), self.px(16.0));
        let mut style = self.regular(13.5, QUIET);
        if let Some(age) = words.age(record.age) {
            // Anyone who reads the verdict of a past result must know that it is of a patient for whom the model is not meant.
            let overridden = record.age.is_overridden();
            let mut of_age = if overridden { self.bold(13.5, AMBER) } else { self.regular(13.5, INK) };
            let room = side.width - gap;
            let wide = style.width(&changes) + of_age.width(&age);
            if wide > room && overridden {
                // The scale shows where the verdict changes.
                changes.clear();
                of_age = of_age.fitted(&age, side.width);
            } else if wide > room {
                // Both become smaller alike.
                style = style.fitted(&changes, style.width(&changes) * room / wide);
                of_age = of_age.fitted(&age, of_age.width(&age) * room / wide);
            }
            self.faded = faded && !overridden;
            self.line(of_age, &age, side.right(), baseline, Align::Right);
            self.faded = faded;
        }
        if !changes.is_empty() {
            self.fitted(style, &changes, side.width, side.left, baseline, Align::Left);
        }
    }

    /// What the box says of 100 X-rays of each kind, each verdict by its symbol, and where that was measured; above the
    /// labels.
    fn rates(&mut self, side: Area, MeasuredRates { rates, hospitals }: &MeasuredRates) {
        let words = self.words();
        let step = ((side.height - self.px(53.0)) / 3.0).min(self.px(26.0));
        let rows = [(words.of_pneumonia, &rates.of_pneumonia), (words.of_normal, &rates.of_normal)];
        // The verdicts stand below each other.
        let first = side.left + side.width * 0.52;
        let room = first - side.left - self.px(12.0);
        let label = rows.iter().fold(self.regular(14.0, INK), |style, (name, _)| style.fitted(name, room));
        let width = (side.right() - first) / ALONG_THE_SCALE.len() as f32;
        let (symbol_side, gap) = (self.px(17.0).min(step * 0.85), self.px(5.0));
        let mut baseline = side.top;
        for (name, outcomes) in rows {
            baseline += step;
            self.line(label, name, side.left, baseline, Align::Left);
            for (n, verdict) in ALONG_THE_SCALE.into_iter().enumerate() {
                let (left, style) = (first + n as f32 * width, self.bold(14.0, INK));
                let (symbol, colour) = look(verdict);
                self.symbol(symbol, left, baseline - (style.size + symbol_side) / 2.0, symbol_side, colour);
                let beside = left + symbol_side + gap;
                let room = width - symbol_side - 2.0 * gap;
                self.fitted(style, &of_hundred(outcomes, verdict), room, beside, baseline, Align::Left);
            }
        }
        let (style, measured_on) = (self.regular(12.0, QUIET), (words.measured_on)(*hospitals));
        self.fitted(style, &measured_on, side.width, side.left, baseline + step, Align::Left);
    }

    /// That it may be another child's, above the labels.
    fn mark_past(&mut self, side: Area, minutes: u64) {
        let words = self.words();
        self.strip(side, &words.past.replace("{}", &age(minutes, words)));
    }

    /// A warning above the labels.
    fn strip(&mut self, side: Area, text: &str) {
        let (top, height) = (side.top + self.px(12.0), self.px(40.0));
        let strip = Area { top: top.min(side.bottom() - self.px(53.0) - height), height, ..side };
        self.fill(strip, self.px(8.0), AMBER);
        let style = self.bold(16.0, Rgb888::CSS_BLACK).fitted(text, side.width - self.px(24.0));
        self.line(style, text, strip.centre(), strip.top + (height + style.size) / 2.0, Align::Centre);
    }

    /// Which image it is, and when it was judged.
    fn labels(&mut self, side: Area, record: &ResultRecord, image: &Announced, minutes: u64) {
        let words = self.words();
        let label = self.regular(14.0, QUIET);
        let indent = label.width(words.exam).max(label.width(words.record)) + self.px(14.0);
        let baseline = side.bottom() - self.px(2.0);
        self.exam(side, words.exam, indent, baseline - self.px(26.0), image);
        self.line(label, words.record, side.left, baseline, Align::Left);
        let (style, number) = (self.bold(15.0, INK), record.number.to_string());
        self.line(style, &number, side.left + indent, baseline, Align::Left);
        if record.prepared {
            let left = side.left + indent + style.width(&number) + self.px(10.0);
            self.line(self.regular(12.0, QUIET), words.prepared, left, baseline, Align::Left);
        }
        if minutes < PAST_AFTER {
            self.line(self.regular(12.0, QUIET), &age(minutes, words), side.right(), baseline, Align::Right);
        }
    }

    /// The radiograph; where evidence is drawn on it, with a caption.
    fn radiograph(&mut self, area: Area, preview: &'a Preview, evidence: Option<&'a Evidence>) {
        let caption = self.words().caption;
        let step = self.px(21.0);
        let below = if evidence.is_some() { step * caption.len() as f32 + self.px(6.0) } else { 0.0 };
        let picture = Area { height: area.height - below, ..area };
        self.fill(area, 0.0, Rgb888::CSS_BLACK);
        self.items.push(Item::Radiograph { preview, evidence, area: picture, faded: self.faded });
        if evidence.is_some() {
            for (n, line) in (1..).zip(caption) {
                let baseline = picture.bottom() + n as f32 * step - self.px(3.0);
                let style = self.regular(12.0, INK);
                self.fitted(style, line, area.width - self.px(8.0), area.centre(), baseline, Align::Centre);
            }
        }
    }

    /// The scale from 0 to 1: the ranges of the three verdicts with their symbols, and a marker at the probability.
    fn scale_of(&mut self, bar: Area, probability: f32, point: &OperatingPoint) {
        let at = |p: f32| bar.left + bar.width * p.clamp(0.0, 1.0);
        let ranges = [
            (Verdict::Normal, [0.0, point.refer_from]),
            (Verdict::Refer, [point.refer_from, point.refer_to]),
            (Verdict::Pneumonia, [point.refer_to, 1.0]),
        ];
        let ranges = ranges.map(|(verdict, ends)| (verdict, ends.map(at)));
        // Each range reaches to the end and is covered by the next, so that there are no gaps between them.
        for (verdict, [from, _]) in ranges {
            self.fill(Area { left: from, width: bar.right() - from, ..bar }, 0.0, dimmed(look(verdict).1));
        }
        let (disc, halo) = (self.px(18.0), self.px(23.0));
        let own = point.verdict(probability);
        let own = ranges.into_iter().find(|(verdict, _)| (0.0..=1.0).contains(&probability) && *verdict == own);
        // Within the bar, but never so far from its end that it would point into the range of another verdict.
        let marker = own.map(|(_, [from, to])| {
            at(probability).clamp(bar.left + disc / 2.0, bar.right() - disc / 2.0).max(from).min(to)
        });
        let edge = self.px(2.0).max(1.0);
        let taken = marker.map(|middle| [middle - halo / 2.0, middle + halo / 2.0]);
        for (verdict, range) in ranges {
            let [from, to] = widest_free(range, taken);
            let side = (to - from - 2.0 * edge).min(self.px(23.0));
            if side >= self.px(14.0) {
                let (left, top) = ((from + to - side) / 2.0, bar.top + (bar.height - side) / 2.0);
                self.symbol(look(verdict).0, left, top, side, GROUND);
            }
        }
        for (middle, (side, colour)) in marker.into_iter().flat_map(|x| [(x, (halo, GROUND)), (x, (disc, INK))]) {
            let [left, top] = [middle - side / 2.0, bar.top + (bar.height - side) / 2.0];
            self.fill(Area { left, top, width: side, height: side }, side / 2.0, colour);
        }
    }
}

/// The wider part of a range, from left to right, that nothing else takes.
fn widest_free([from, to]: [f32; 2], taken: Option<[f32; 2]>) -> [f32; 2] {
    let Some([left, right]) = taken else { return [from, to] };
    let (before, after) = ([from, to.min(left)], [from.max(right), to]);
    if before[1] - before[0] >= after[1] - after[0] { before } else { after }
}

/// How long ago a result was made.
fn age(minutes: u64, words: &Words) -> String {
    match minutes {
        0 => words.now.to_owned(),
        1..60 => words.minutes_ago.replace("{}", &minutes.to_string()),
        _ => words.hours_ago.replace("{}", &(minutes / 60).to_string()),
    }
}

/// Symbol and colour of a verdict.
pub(super) fn look(verdict: Verdict) -> (Symbol, Rgb888) {
    match verdict {
        Verdict::Normal => (Symbol::Tick, GREEN),
        Verdict::Pneumonia => (Symbol::Warning, RED),
        Verdict::Refer => (Symbol::Question, AMBER),
    }
}

fn dimmed(colour: Rgb888) -> Rgb888 {
    let mix = |c: u8, g: u8| ((u16::from(c) * 2 + u16::from(g)) / 3) as u8;
    Rgb888::new(mix(colour.r(), GROUND.r()), mix(colour.g(), GROUND.g()), mix(colour.b(), GROUND.b()))
}

/// How many of 100 get this verdict. Those that are refused get none.
fn of_hundred(outcomes: &Outcomes, verdict: Verdict) -> String {
    hundredths((f64::from(outcomes.of(verdict)) / outcomes.total().max(1) as f64) as f32)
}

/// What the box says of 100 X-rays of each kind, and where that was measured, in sentences, if it was.
pub(super) fn told(identity: &Identity, words: &Words) -> Option<[String; 3]> {
    let MeasuredRates { rates, hospitals } = identity.rates?;
    let said = |name: &str, outcomes: &Outcomes| {
        let verdicts = ALONG_THE_SCALE.map(|verdict| of_hundred(outcomes, verdict));
        filled(words.said, std::iter::once(name.to_owned()).chain(verdicts))
    };
    Some([
        said(words.of_pneumonia, &rates.of_pneumonia),
        said(words.of_normal, &rates.of_normal),
        (words.measured_on)(hospitals),
    ])
}

#[cfg(test)]
mod tests;
