//! The verdict on an image: the radiograph beside it, or above it if stacked.

use embedded_graphics::pixelcolor::{Rgb888, RgbColor, WebColors};
use shared::{
    evidence::Evidence,
    verdict::{OperatingPoint, ResultRecord, Verdict},
};

use super::{AMBER, Area, GREEN, GROUND, INK, Item, Layout, QUIET, RED, VERDICT};
use crate::screen::{
    Preview, Rates,
    language::Words,
    symbol::Symbol,
    text::{Align, Style},
};

impl<'a> Layout<'a> {
    pub(super) fn result(
        &mut self,
        body: Area,
        preview: &'a Preview,
        evidence: Option<&'a Evidence>,
        record: &ResultRecord,
        rates: Option<Rates>,
    ) {
        let gap = self.px(24.0);
        let (picture, side) = if self.stacked {
            let column = self.px(if rates.is_some() { 344.0 } else { 294.0 }) + self.capitals();
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
        self.radiograph(picture, preview, evidence.filter(|evidence| evidence.is_shown()));
        let top = self.verdict(side, record.verdict);
        let top = self.probability(Area { top, ..side }, record);
        if let Some(rates) = rates {
            self.rates(Area { top, ..side }, rates);
        }
        self.labels(side, record);
    }

    /// The word as large as the column allows, below it the symbol and the meaning. Tells where that ends.
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
        let lines = style.wrap(notice.meaning, room);
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

    /// The probability in figures and on its scale. Tells where that ends.
    fn probability(&mut self, side: Area, record: &ResultRecord) -> f32 {
        let words = self.words();
        let baseline = side.top + self.px(56.0);
        for (line, baseline) in words.probability.iter().zip([baseline - self.px(24.0), baseline]) {
            self.line(self.regular(15.0, QUIET), line, side.left, baseline, Align::Left);
        }
        let percent = percent(record.probability, words);
        let room = side.width - self.px(150.0);
        self.fitted(self.bold(38.0, INK), &percent, room, side.right(), baseline, Align::Right);
        let bar = Area { top: baseline + self.px(20.0), height: self.px(28.0), ..side };
        self.scale_of(bar, record.probability, &record.point);
        bar.bottom() + self.px(28.0)
    }

    /// How often the model is right, in hundredths.
    fn rates(&mut self, side: Area, rates: Rates) {
        let words = self.words();
        let looks = [(13.0, INK), (13.0, INK), (11.0, QUIET)];
        for (n, ((size, colour), line)) in (1..).zip(looks.into_iter().zip(told(rates, words))) {
            let baseline = side.top + n as f32 * self.px(22.0);
            self.fitted(self.regular(size, colour), &line, side.width, side.left, baseline, Align::Left);
        }
    }

    /// Which image it is.
    fn labels(&mut self, side: Area, record: &ResultRecord) {
        let words = self.words();
        let study = if record.study.as_str().is_empty() { "-" } else { record.study.as_str() };
        let number = record.number.to_string();
        let label = self.regular(14.0, QUIET);
        let left = label.width(words.study).max(label.width(words.record)) + self.px(14.0);
        for (n, (name, value)) in [(words.record, number.as_str()), (words.study, study)].into_iter().enumerate() {
            let baseline = side.bottom() - self.px(2.0) - n as f32 * self.px(26.0);
            self.line(label, name, side.left, baseline, Align::Left);
            let style = self.bold(15.0, INK);
            let value = style.shortened(value, side.width - left);
            self.line(style, &value, side.left + left, baseline, Align::Left);
        }
    }

    /// The radiograph; where evidence is drawn on it, with a caption.
    fn radiograph(&mut self, area: Area, preview: &'a Preview, evidence: Option<&'a Evidence>) {
        let caption = self.words().caption;
        let step = self.px(21.0);
        let below = if evidence.is_some() { step * caption.len() as f32 + self.px(6.0) } else { 0.0 };
        let picture = Area { height: area.height - below, ..area };
        self.fill(area, 0.0, Rgb888::CSS_BLACK);
        self.items.push(Item::Radiograph { preview, evidence, area: picture });
        if evidence.is_some() {
            for (n, line) in (1..).zip(caption) {
                let baseline = picture.bottom() + n as f32 * step - self.px(3.0);
                let style = self.regular(12.0, INK);
                self.fitted(style, line, area.width - self.px(8.0), area.centre(), baseline, Align::Centre);
            }
        }
    }

    /// The scale from 0 to 1 with the ranges of the three verdicts, the threshold and a pointer at the probability.
    fn scale_of(&mut self, bar: Area, probability: f32, point: &OperatingPoint) {
        let at = |p: f32| bar.left + bar.width * p.clamp(0.0, 1.0);
        // Each range reaches to the end and is covered by the next, so that there are no gaps between them.
        for (from, colour) in [(0.0, GREEN), (point.refer_from, AMBER), (point.refer_to, RED)] {
            self.fill(Area { left: at(from), width: bar.right() - at(from), ..bar }, 0.0, dimmed(colour));
        }
        let (thick, over) = (self.px(3.0).max(2.0), self.px(7.0));
        let tick = Area {
            left: (at(point.threshold) - thick / 2.0).clamp(bar.left, bar.right() - thick),
            top: bar.top - over,
            width: thick,
            height: bar.height + 2.0 * over,
        };
        self.fill(tick, 0.0, QUIET);
        let label = format!("{} {:.2}", self.words().threshold, point.threshold);
        let style = self.regular(12.0, QUIET);
        let half = style.width(&label) / 2.0;
        let x = at(point.threshold).clamp(bar.left + half, (bar.right() - half).max(bar.left + half));
        self.line(style, &label, x, bar.bottom() + self.px(24.0), Align::Centre);
        if (0.0..=1.0).contains(&probability) {
            // Beyond the ends by half its width, so that it always points into the range of the verdict.
            for (side, colour) in [(34.0, GROUND), (24.0, INK)] {
                let side = self.px(side);
                let (left, top) = (at(probability) - side / 2.0, bar.top + (bar.height - side) / 2.0);
                self.fill(Area { left, top, width: side, height: side }, side / 2.0, colour);
            }
        }
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

/// Never a certainty that the model did not claim.
pub(super) fn percent(probability: f32, words: &Words) -> String {
    match probability {
        p if !(0.0..=1.0).contains(&p) => words.none.to_owned(),
        p if p < 0.005 => "<1 %".to_owned(),
        p if p >= 0.995 => ">99 %".to_owned(),
        p => format!("{:.0} %", p * 100.0),
    }
}

/// How often a model is right, in hundredths, and where that was measured. Never a certainty that was not measured.
pub(super) fn told(rates: Rates, words: &Words) -> [String; 3] {
    let hundredths = |text: &str, rate: f64| {
        let shown = if rate < 1.0 { (rate * 100.0).round().min(99.0) } else { 100.0 };
        text.replace("{}", &format!("{shown:.0}"))
    };
    let (sensitivity, specificity) = (rates.sensitivity, rates.specificity);
    [
        hundredths(words.sensitivity, sensitivity),
        hundredths(words.specificity, specificity),
        words.measured_on.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Language;

    #[test]
    fn rounding_never_claims_certainty() {
        let words = Language::English.words();
        let shown = [0.0, 0.0049, 0.01, 0.5, 0.994, 0.9951, 1.0, f32::NAN, 1.5].map(|p| percent(p, words));
        assert_eq!(shown, ["<1 %", "<1 %", "1 %", "50 %", "99 %", ">99 %", ">99 %", "none", "none"]);
        let [sensitivity, specificity, _] = told(Rates { sensitivity: 0.9749, specificity: 0.9999 }, words);
        assert_eq!(sensitivity, "97 of 100 pneumonias found");
        assert_eq!(specificity, "99 of 100 normals right");
    }
}
