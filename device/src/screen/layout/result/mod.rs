//! The verdict on an image: the radiograph beside it, or above it if stacked.

use embedded_graphics::pixelcolor::{Rgb888, RgbColor, WebColors};
use shared::{
    evidence::Evidence,
    verdict::{OperatingPoint, ResultRecord, Verdict},
};

use super::{AMBER, Area, GREEN, GROUND, INK, Item, Layout, QUIET, RED, VERDICT};
use crate::screen::{
    Announced, Identity, PAST_AFTER, Preview, Rates,
    language::Words,
    symbol::Symbol,
    text::{Align, Style},
};

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
            let column = self.px(if identity.rates.is_some() || past { 360.0 } else { 290.0 }) + self.capitals();
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
        } else if let Some(lines) = told(identity, self.words()) {
            self.rates(below, &lines);
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

    /// The probability in figures and on its scale, and where that changes the verdict. Returns where the text ends.
    fn probability(&mut self, side: Area, record: &ResultRecord) -> f32 {
        let words = self.words();
        let baseline = side.top + self.px(56.0);
        for (line, baseline) in words.probability.iter().zip([baseline - self.px(24.0), baseline]) {
            self.line(self.regular(15.0, QUIET), line, side.left, baseline, Align::Left);
        }
        let room = side.width - self.px(150.0);
        self.fitted(self.bold(38.0, INK), &percent(record.probability), room, side.right(), baseline, Align::Right);
        let bar = Area { top: baseline + self.px(20.0), height: self.px(30.0), ..side };
        self.scale_of(bar, record.probability, &record.point);
        let baseline = bar.bottom() + self.px(27.0);
        let style = self.regular(13.5, QUIET);
        self.fitted(style, &changes(&record.point, words), side.width, side.left, baseline, Align::Left);
        baseline
    }

    /// How often the model is right, in hundredths, above the labels.
    fn rates(&mut self, side: Area, lines: &[String; 3]) {
        let looks = [(14.0, INK), (14.0, INK), (12.0, QUIET)];
        let step = ((side.height - self.px(53.0)) / looks.len() as f32).min(self.px(26.0));
        for (n, ((size, colour), line)) in (1..).zip(looks.into_iter().zip(lines)) {
            let baseline = side.top + n as f32 * step;
            self.fitted(self.regular(size, colour), line, side.width, side.left, baseline, Align::Left);
        }
    }

    /// That it may be another child's, above the labels.
    fn mark_past(&mut self, side: Area, minutes: u64) {
        let words = self.words();
        let (top, height) = (side.top + self.px(12.0), self.px(40.0));
        let strip = Area { top: top.min(side.bottom() - self.px(53.0) - height), height, ..side };
        self.fill(strip, self.px(8.0), AMBER);
        let text = words.past.replace("{}", &age(minutes, words));
        let style = self.bold(16.0, Rgb888::CSS_BLACK).fitted(&text, side.width - self.px(24.0));
        self.line(style, &text, strip.centre(), strip.top + (height + style.size) / 2.0, Align::Centre);
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

    /// The scale from 0 to 1: the ranges of the three verdicts with their symbols, a marker at the probability, and the
    /// threshold over it.
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
        let (thick, edge) = (self.px(3.0).max(2.0), self.px(2.0).max(1.0));
        let threshold = at(point.threshold).clamp(bar.left + thick / 2.0, bar.right() - thick / 2.0);

        let around = |middle: f32, width: f32| [middle - width / 2.0, middle + width / 2.0];
        let mut taken = vec![around(threshold, thick + 2.0 * edge)];
        taken.extend(marker.map(|middle| around(middle, halo)));
        for (verdict, range) in ranges {
            let [from, to] = widest_free(range, &taken);
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
        let over = self.px(7.0);
        let (top, height) = (bar.top - over, bar.height + 2.0 * over);
        for (width, colour) in [(thick + 2.0 * edge, GROUND), (thick, QUIET)] {
            self.fill(Area { left: threshold - width / 2.0, top, width, height }, 0.0, colour);
        }
    }
}

/// The widest part of a range, from left to right, that nothing else takes.
fn widest_free(range: [f32; 2], taken: &[[f32; 2]]) -> [f32; 2] {
    let mut free = vec![range];
    for [left, right] in taken {
        free = free.into_iter().flat_map(|[from, to]| [[from, to.min(*left)], [from.max(*right), to]]).collect();
    }
    let width = |part: &[f32; 2]| part[1] - part[0];
    free.into_iter().max_by(|a, b| width(a).total_cmp(&width(b))).unwrap_or(range)
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

/// A probability as it is shown. Where there is none, it is not called so: that would read as zero.
pub(super) fn percent(probability: f32) -> String {
    if (0.0..=1.0).contains(&probability) { format!("{} %", hundredths(probability)) } else { "-".to_owned() }
}

/// A probability in hundredths, never a certainty that the model did not claim.
fn hundredths(probability: f32) -> String {
    match probability {
        p if p < 0.005 => "<1".to_owned(),
        p if p >= 0.995 => ">99".to_owned(),
        p => format!("{:.0}", p * 100.0),
    }
}

/// Where the verdict changes, in hundredths: the threshold, and the band of *refer* where there is one.
fn changes(point: &OperatingPoint, words: &Words) -> String {
    let threshold = words.threshold.replacen("{}", &hundredths(point.threshold), 1);
    if point.refer_from == point.refer_to {
        return threshold;
    }
    let ends = [point.refer_from, point.refer_to];
    let band = ends.iter().fold(words.band.to_owned(), |text, &end| text.replacen("{}", &hundredths(end), 1));
    format!("{threshold}, {band}")
}

/// How often a model is right, in hundredths, and where that was measured, if it was. Never a certainty that was not
/// measured.
pub(super) fn told(identity: &Identity, words: &Words) -> Option<[String; 3]> {
    let Rates { sensitivity, specificity } = identity.rates?;
    let filled = |text: &str, rate: f64| {
        let shown = if rate < 1.0 { (rate * 100.0).round().min(99.0) } else { 100.0 };
        text.replace("{}", &format!("{shown:.0}"))
    };
    let measured_on = (words.measured_on)(identity.population.map(|population| population.hospitals));
    Some([filled(words.sensitivity, sensitivity), filled(words.specificity, specificity), measured_on])
}

#[cfg(test)]
mod tests;
