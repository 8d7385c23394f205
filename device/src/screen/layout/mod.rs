//! A scene → a picture of any size that the layout is made for.
//!
//! Lengths are given for a screen of 800 × 480 and scaled. A verdict is told by its word, its symbol and its colour, so
//! that nobody depends on the colour.

use embedded_graphics::{
    geometry::{Point, Size},
    pixelcolor::{Rgb888, WebColors},
    primitives::Rectangle,
};
use shared::{
    evidence::Evidence,
    verdict::{OperatingPoint, ResultRecord, Verdict},
};

use super::{
    Identity, Preview, Scene, Trouble, View,
    frame::Frame,
    symbol::Symbol,
    text::{Align, Style},
};
use crate::config::ScreenSize;

const GROUND: Rgb888 = Rgb888::new(11, 17, 27);
const PANEL: Rgb888 = Rgb888::new(27, 38, 54);
const INK: Rgb888 = Rgb888::new(243, 246, 250);
const QUIET: Rgb888 = Rgb888::new(164, 178, 197);
const BLUE: Rgb888 = Rgb888::new(92, 178, 255);
const GREEN: Rgb888 = Rgb888::new(70, 211, 138);
const AMBER: Rgb888 = Rgb888::new(255, 183, 61);
const RED: Rgb888 = Rgb888::new(255, 104, 94);
const HAZARD: Rgb888 = Rgb888::new(255, 230, 0);

const DISCLAIMER: &str = "Research aid, not a medical device";
/// Below a radiograph on which evidence is drawn.
const CAPTION: [&str; 2] = ["Outlined: where the model looked.", "It is not a finding."];
const SYNTHETIC: &str = "SYNTHETIC MODEL: NO MEDICAL MEANING";

/// Draws a scene.
pub fn draw(scene: &Scene, size: ScreenSize) -> Frame {
    let mut canvas = Canvas::new(size);
    let body = canvas.surround(&scene.identity);
    match &scene.view {
        View::Starting => canvas.notice(body, Symbol::Dots, BLUE, "STARTING", &["The model is being loaded"]),
        View::Stopped => canvas.notice(body, Symbol::Stop, QUIET, "STOPPED", &["The box has been stopped"]),
        View::Ready { results } => canvas.ready(body, &scene.identity, *results),
        View::Receiving { done, total } => canvas.incoming(body, "RECEIVING", *done, *total),
        View::Updating { done, total } => canvas.incoming(body, "UPDATING", *done, *total),
        View::Analysing => canvas.notice(body, Symbol::Dots, BLUE, "ANALYSING", &["Please wait"]),
        View::Result { preview, evidence, record } => canvas.result(body, preview, evidence.as_deref(), record),
        View::Refused(trouble) => canvas.trouble(body, Symbol::Stop, AMBER, "NOT JUDGED", trouble),
        View::Error(trouble) => canvas.trouble(body, Symbol::Stop, RED, "ERROR", trouble),
    }
    canvas.frame
}

/// A rectangle in pixels, for arithmetic.
#[derive(Clone, Copy)]
struct Area {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl Area {
    fn right(&self) -> f32 {
        self.left + self.width
    }

    fn bottom(&self) -> f32 {
        self.top + self.height
    }

    fn centre(&self) -> f32 {
        self.left + self.width / 2.0
    }

    fn rectangle(&self) -> Rectangle {
        let size = Size::new(self.width.max(0.0).round() as u32, self.height.max(0.0).round() as u32);
        Rectangle::new(point(self.left, self.top), size)
    }
}

fn point(x: f32, y: f32) -> Point {
    Point::new(x.round() as i32, y.round() as i32)
}

struct Canvas {
    frame: Frame,
    /// Pixels for one pixel of an 800 × 480 screen.
    scale: f32,
}

impl Canvas {
    fn new(size: ScreenSize) -> Self {
        let scale = (size.width as f32 / 800.0).min(size.height as f32 / 480.0);
        Self { frame: Frame::new(size.width, size.height, GROUND), scale }
    }

    fn px(&self, length: f32) -> f32 {
        length * self.scale
    }

    fn bold(&self, size: f32, colour: Rgb888) -> Style {
        Style::bold(self.px(size), colour)
    }

    fn regular(&self, size: f32, colour: Rgb888) -> Style {
        Style::regular(self.px(size), colour)
    }

    fn line(&mut self, style: Style, text: &str, x: f32, baseline: f32, align: Align) {
        style.draw(&mut self.frame, text, point(x, baseline), align);
    }

    fn symbol(&mut self, symbol: Symbol, x: f32, y: f32, side: f32, colour: Rgb888) {
        symbol.draw(&mut self.frame, point(x, y), side.round() as u32, colour);
    }

    /// Banner, head and foot; the area between them is returned.
    fn surround(&mut self, identity: &Identity) -> Area {
        let (width, height) = (self.frame.width() as f32, self.frame.height() as f32);
        let margin = self.px(24.0);
        let mut top = 0.0;
        if identity.synthetic {
            top = self.px(38.0);
            self.frame.fill(Area { left: 0.0, top: 0.0, width, height: top }.rectangle(), 0, HAZARD);
            let side = self.px(26.0);
            let style = self.bold(17.0, Rgb888::CSS_BLACK).fitted(SYNTHETIC, width - 4.0 * side - 2.0 * margin);
            self.line(style, SYNTHETIC, width / 2.0, (top + style.size) / 2.0, Align::Centre);
            for x in [margin, width - margin - side] {
                self.symbol(Symbol::Warning, x, (top - side) / 2.0, side, Rgb888::CSS_BLACK);
            }
        }
        let foot = height - self.px(16.0);
        let small = self.regular(11.0, QUIET);
        self.line(small, DISCLAIMER, margin, foot, Align::Left);
        let room = width - 3.0 * margin - small.width(DISCLAIMER);
        let model = if identity.model.is_empty() { String::new() } else { format!("Model {}", identity.model) };
        let model = small.shortened(&model, room);
        self.line(small, &model, width - margin, foot, Align::Right);
        let (top, bottom) = (top + self.px(16.0), height - self.px(42.0));
        Area { left: margin, top, width: width - 2.0 * margin, height: bottom - top }
    }

    /// A large symbol, a word, and lines below it, all centred.
    fn notice(&mut self, body: Area, symbol: Symbol, colour: Rgb888, word: &str, lines: &[&str]) {
        let side = self.px(112.0);
        let (gap, word_size, line_step) = (self.px(40.0), 52.0, self.px(38.0));
        let height = side + gap + self.px(word_size) + line_step * lines.len() as f32 + self.px(8.0);
        let top = body.top + ((body.height - height) / 2.0).max(0.0);
        self.symbol(symbol, body.centre() - side / 2.0, top, side, colour);
        let baseline = top + side + gap + self.px(word_size);
        let style = self.bold(word_size, INK).fitted(word, body.width);
        self.line(style, word, body.centre(), baseline, Align::Centre);
        for (n, line) in (1..).zip(lines) {
            let style = self.regular(20.0, QUIET).fitted(line, body.width);
            let below = baseline + self.px(8.0) + n as f32 * line_step;
            self.line(style, line, body.centre(), below, Align::Centre);
        }
    }

    fn ready(&mut self, body: Area, identity: &Identity, results: u64) {
        let facts = Area { top: body.bottom() - self.px(70.0), height: self.px(62.0), ..body };
        let upper = Area { height: facts.top - body.top, ..body };
        self.notice(upper, Symbol::Ring, GREEN, "READY", &["Send an X-ray"]);
        self.frame.fill(facts.rectangle(), self.px(10.0) as u32, PANEL);
        let columns = [
            ("Results kept", results.to_string()),
            ("Model digest", format!("{:.12}", identity.digest)),
            ("Version", identity.software.clone()),
        ];
        let width = facts.width / columns.len() as f32;
        for (n, (name, value)) in columns.iter().enumerate() {
            let x = facts.left + (n as f32 + 0.5) * width;
            let (label, style) = (self.regular(11.0, QUIET), self.bold(16.0, INK));
            self.line(label, name, x, facts.top + self.px(23.0), Align::Centre);
            let style = style.fitted(value, width - self.px(16.0));
            self.line(style, value, x, facts.top + self.px(49.0), Align::Centre);
        }
    }

    fn incoming(&mut self, body: Area, word: &str, done: u32, total: u32) {
        let part = if total == 0 { 0.0 } else { (f64::from(done) / f64::from(total)).min(1.0) as f32 };
        let middle = body.top + body.height / 2.0;
        let style = self.bold(46.0, INK);
        self.line(style, word, body.centre(), middle - self.px(62.0), Align::Centre);
        let bar = Area { top: middle - self.px(22.0), height: self.px(44.0), ..body };
        let radius = (bar.height / 2.0) as u32;
        self.frame.fill(bar.rectangle(), radius, PANEL);
        let filled = Area { width: (bar.width * part).max(bar.height), ..bar };
        self.frame.fill(filled.rectangle(), radius, BLUE);
        let baseline = middle + self.px(88.0);
        let percent = format!("{} %", (part * 100.0) as u32);
        self.line(self.bold(36.0, INK), &percent, body.left, baseline, Align::Left);
        let kib = |bytes: u32| bytes.div_ceil(1024);
        let bytes = format!("{} of {} KiB", kib(done), kib(total));
        self.line(self.regular(20.0, QUIET), &bytes, body.right(), baseline, Align::Right);
    }

    fn trouble(&mut self, body: Area, symbol: Symbol, colour: Rgb888, word: &str, trouble: &Trouble) {
        let side = self.px(104.0);
        let top = body.top + self.px(18.0);
        self.symbol(symbol, body.left, top, side, colour);
        let left = body.left + side + self.px(28.0);
        let style = self.bold(44.0, INK).fitted(word, body.right() - left);
        self.line(
            style,
            word,
            left,
            top + side / 2.0 + style.size / 2.0 - self.px(if trouble.code.is_some() { 14.0 } else { 0.0 }),
            Align::Left,
        );
        if let Some(code) = trouble.code {
            let code = format!("Code {code}");
            self.line(self.regular(18.0, QUIET), &code, left, top + side - self.px(8.0), Align::Left);
        }
        let panel_top = top + side + self.px(28.0);
        let panel = Area { top: panel_top, height: body.bottom() - panel_top, ..body };
        self.frame.fill(panel.rectangle(), self.px(12.0) as u32, PANEL);
        let inset = self.px(24.0);
        let text = Area { left: panel.left + inset, width: panel.width - 2.0 * inset, ..panel };
        self.paragraphs(text, &[(false, INK, &trouble.cause), (true, colour, &trouble.remedy)]);
    }

    /// Text in paragraphs, bold or not, in the largest size that fits.
    fn paragraphs(&mut self, area: Area, paragraphs: &[(bool, Rgb888, &String)]) {
        const SIZES: [f32; 5] = [23.0, 19.0, 16.0, 13.0, 10.0];
        for size in SIZES {
            let (step, gap) = (self.px(size * 1.75), self.px(size * 0.5));
            let lines: Vec<(Style, Vec<String>)> = paragraphs
                .iter()
                .map(|&(bold, colour, text)| {
                    let style = if bold { self.bold(size, colour) } else { self.regular(size, colour) };
                    (style, style.wrap(text, area.width))
                })
                .collect();
            let height: f32 = lines.iter().map(|(_, lines)| lines.len() as f32 * step + gap).sum();
            if height + step / 2.0 > area.height && size != SIZES[SIZES.len() - 1] {
                continue;
            }
            let mut baseline = area.top + self.px(14.0) + step;
            for (style, lines) in lines {
                for line in lines {
                    let style = style.fitted(&line, area.width);
                    if baseline < area.bottom() {
                        self.line(style, &line, area.left, baseline, Align::Left);
                    }
                    baseline += step;
                }
                baseline += gap;
            }
            return;
        }
    }

    fn result(&mut self, body: Area, preview: &Preview, evidence: Option<&Evidence>, record: &ResultRecord) {
        let picture = Area { width: body.width * 0.47, ..body };
        self.frame.fill(picture.rectangle(), 0, Rgb888::CSS_BLACK);
        self.radiograph(picture, preview, evidence.filter(|evidence| evidence.is_shown()));
        let left = picture.right() + self.px(24.0);
        let side = Area { left, width: body.right() - left, ..body };
        let (symbol, colour, word, meaning) = match record.verdict {
            Verdict::Normal => (Symbol::Tick, GREEN, "NORMAL", "No pneumonia detected"),
            Verdict::Pneumonia => (Symbol::Warning, RED, "PNEUMONIA", "Pneumonia suspected"),
            Verdict::Refer => (Symbol::Question, AMBER, "REFER", "A clinician must decide"),
        };
        let symbol_side = self.px(84.0);
        self.symbol(symbol, side.left, side.top, symbol_side, colour);
        let word_left = side.left + symbol_side + self.px(16.0);
        let room = side.right() - word_left;
        let style = self.bold(38.0, colour).fitted(word, room);
        self.line(style, word, word_left, side.top + self.px(44.0), Align::Left);
        let style = self.regular(15.0, INK).fitted(meaning, room);
        self.line(style, meaning, word_left, side.top + self.px(76.0), Align::Left);

        let top = side.top + symbol_side + self.px(72.0);
        for (line, baseline) in [("Probability", top - self.px(26.0)), ("of pneumonia", top)] {
            self.line(self.regular(15.0, QUIET), line, side.left, baseline, Align::Left);
        }
        let percent = percent(record.probability);
        self.line(self.bold(40.0, INK), &percent, side.right(), top, Align::Right);
        let bar = Area { top: top + self.px(22.0), height: self.px(32.0), ..side };
        self.probability(bar, record.probability, &record.point);

        let study = if record.study.as_str().is_empty() { "-" } else { record.study.as_str() };
        let number = record.number.to_string();
        let rows = [("Study", study), ("Record", number.as_str())];
        let label_width = self.px(86.0);
        for (n, (name, value)) in rows.iter().rev().enumerate() {
            let baseline = side.bottom() - self.px(4.0) - n as f32 * self.px(34.0);
            self.line(self.regular(15.0, QUIET), name, side.left, baseline, Align::Left);
            let style = self.bold(17.0, INK);
            let value = style.shortened(value, side.width - label_width);
            self.line(style, &value, side.left + label_width, baseline, Align::Left);
        }
    }

    /// The radiograph; where evidence is drawn on it, with a caption.
    fn radiograph(&mut self, area: Area, preview: &Preview, evidence: Option<&Evidence>) {
        let step = self.px(21.0);
        let caption = if evidence.is_some() { step * CAPTION.len() as f32 + self.px(6.0) } else { 0.0 };
        let picture = Area { height: area.height - caption, ..area };
        self.frame.show(preview, evidence, picture.rectangle());
        if evidence.is_some() {
            for (n, line) in (1..).zip(CAPTION) {
                let style = self.regular(12.0, INK).fitted(line, area.width - self.px(8.0));
                self.line(style, line, area.centre(), picture.bottom() + n as f32 * step - self.px(3.0), Align::Centre);
            }
        }
    }

    /// The scale from 0 to 1 with the ranges of the three verdicts, the threshold and a pointer at the probability.
    fn probability(&mut self, bar: Area, probability: f32, point: &OperatingPoint) {
        let at = |p: f32| bar.left + bar.width * p.clamp(0.0, 1.0);
        // Each range reaches to the end and is covered by the next, so that there are no gaps between them.
        for (from, colour) in [(0.0, GREEN), (point.refer_from, AMBER), (point.refer_to, RED)] {
            let range = Area { left: at(from), width: bar.right() - at(from), ..bar };
            self.frame.fill(range.rectangle(), 0, dimmed(colour));
        }
        let thick = self.px(3.0).max(2.0);
        let tick = |p: f32, over: f32| Area {
            left: (at(p) - thick / 2.0).clamp(bar.left, bar.right() - thick),
            top: bar.top - over,
            width: thick,
            height: bar.height + 2.0 * over,
        };
        self.frame.fill(tick(point.threshold, self.px(9.0)).rectangle(), 0, QUIET);
        let label = format!("Threshold {:.2}", point.threshold);
        let style = self.regular(12.0, QUIET);
        let half = style.width(&label) / 2.0;
        let x = at(point.threshold).clamp(bar.left + half, (bar.right() - half).max(bar.left + half));
        self.line(style, &label, x, bar.bottom() + self.px(26.0), Align::Centre);
        if (0.0..=1.0).contains(&probability) {
            let side = self.px(36.0);
            // Beyond the ends by half its width, so that it always points into the range of the verdict.
            let centre = at(probability);
            let knob =
                Area { left: centre - side / 2.0, top: bar.top + (bar.height - side) / 2.0, width: side, height: side };
            self.frame.fill(knob.rectangle(), (side / 2.0) as u32, GROUND);
            let inner = self.px(26.0);
            let knob = Area {
                left: centre - inner / 2.0,
                top: bar.top + (bar.height - inner) / 2.0,
                width: inner,
                height: inner,
            };
            self.frame.fill(knob.rectangle(), (inner / 2.0) as u32, INK);
        }
    }
}

fn dimmed(colour: Rgb888) -> Rgb888 {
    use embedded_graphics::pixelcolor::RgbColor;
    let mix = |c: u8, g: u8| ((u16::from(c) * 2 + u16::from(g)) / 3) as u8;
    Rgb888::new(mix(colour.r(), GROUND.r()), mix(colour.g(), GROUND.g()), mix(colour.b(), GROUND.b()))
}

/// Never a certainty that the model did not claim.
fn percent(probability: f32) -> String {
    match probability {
        p if !(0.0..=1.0).contains(&p) => "none".to_owned(),
        p if p < 0.005 => "<1 %".to_owned(),
        p if p >= 0.995 => ">99 %".to_owned(),
        p => format!("{:.0} %", p * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_never_claims_certainty() {
        let shown = [0.0, 0.0049, 0.01, 0.5, 0.994, 0.9951, 1.0, f32::NAN, 1.5].map(percent);
        assert_eq!(shown, ["<1 %", "<1 %", "1 %", "50 %", "99 %", ">99 %", ">99 %", "none", "none"]);
    }
}
