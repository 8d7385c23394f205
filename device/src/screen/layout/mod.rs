//! A scene → where everything is on a screen of any permitted size and either orientation → the picture.
//!
//! Lengths are given for a screen of 800 × 480, upright for one of 480 × 800, and scaled. A verdict is shown by its word, its
//! symbol and its colour, so that nobody depends on the colour.
//!
//! The word of a verdict is to be read at two metres: its capitals are at least a twelfth ([`VERDICT`]) of the screen's
//! shorter side high. On a panel of 7 inches (91 mm high) that is 7.6 mm, 13 minutes of arc at two metres, where normal
//! sight needs 5. No text has capitals below [`LEGIBLE`] pixels.

mod area;
mod explanation;
mod pages;
mod result;

use embedded_graphics::{
    geometry::Point,
    pixelcolor::{Rgb888, WebColors},
};
use shared::{evidence::Evidence, verdict::Trust};

use self::area::{Area, point};
use super::{
    Announced, Confirm, Explanation, Identity, Language, Preview, Program, Scene, ScreenSize, SettingsNews, Trouble,
    View,
    frame::Frame,
    language::{self, Notice, Words},
    symbol::Symbol,
    text::{self, Align, Style},
};

/// Least height of a verdict's capitals, as a part of the screen's shorter side.
pub const VERDICT: f32 = 1.0 / 12.0;
/// Least height of any capital in pixels.
pub const LEGIBLE: f32 = 6.0;

const GROUND: Rgb888 = Rgb888::new(11, 17, 27);
const PANEL: Rgb888 = Rgb888::new(27, 38, 54);
const INK: Rgb888 = Rgb888::new(243, 246, 250);
const QUIET: Rgb888 = Rgb888::new(164, 178, 197);
const BLUE: Rgb888 = Rgb888::new(92, 178, 255);
const GREEN: Rgb888 = Rgb888::new(70, 211, 138);
const AMBER: Rgb888 = Rgb888::new(255, 183, 61);
const RED: Rgb888 = Rgb888::new(255, 104, 94);
const HAZARD: Rgb888 = Rgb888::new(255, 230, 0);

/// Draws a scene.
pub fn draw(scene: &Scene, size: ScreenSize, language: Language) -> Frame {
    layout(scene, size, language).paint()
}

/// Arranges a scene.
pub fn layout(scene: &Scene, size: ScreenSize, language: Language) -> Layout<'_> {
    let mut layout = Layout::new(size, language);
    let words = language::words(language);
    let body = layout.surround(scene);
    match &scene.view {
        View::Starting { step } => {
            let notice = Notice { word: words.starting, meaning: (words.step)(*step) };
            layout.notice(body, Symbol::Dots, BLUE, notice);
        }
        View::Stopped => layout.notice(body, Symbol::Off, QUIET, words.stopped),
        View::Ready { results } => layout.ready(body, &scene.identity, words.ready, *results),
        View::Blanked { results } => layout.ready(body, &scene.identity, words.blanked, *results),
        View::Code(code) => layout.code(body, *code),
        View::Receiving { image, done, total } => {
            let body = layout.name(body, image);
            layout.progress(body, words.receiving, *done, *total);
        }
        View::Updating { done, total } => layout.progress(body, words.updating, *done, *total),
        View::Program { done, total } => layout.progress(body, words.updating_program, *done, *total),
        View::Analysing(image) => {
            let body = layout.name(body, image);
            layout.notice(body, Symbol::Dots, BLUE, words.analysing);
        }
        View::Result { preview, evidence, record, identity, nth, minutes } => {
            let image = Announced { exam: record.exam.clone(), nth: *nth };
            layout.result(body, (preview, evidence.as_deref()), record, &image, *minutes, identity);
        }
        View::Refused { image, refusal } => {
            let body = image.as_ref().map_or(body, |image| layout.name(body, image));
            let explanation = Explanation::of_refusal(*refusal, language);
            layout.explain(body, (Symbol::Struck, AMBER), words.not_judged, &explanation);
        }
        View::Error { image, trouble } => {
            let body = image.as_ref().map_or(body, |image| layout.name(body, image));
            let explanation = Explanation::of_trouble(trouble, language);
            let word = if *trouble == Trouble::SafeMode { words.safe_mode } else { words.error };
            layout.explain(body, (Symbol::Fault, RED), word, &explanation);
        }
        View::History { results, page, pages } => layout.history(body, results, scene.identity.digest, [*page, *pages]),
        View::About => layout.about(body, &scene.identity),
        View::Site(site) => {
            let explanation = Explanation::of_site(site, language);
            layout.explain(body, (Symbol::Ring, BLUE), words.site_page, &explanation);
        }
        View::Confirm(confirm) => {
            let word = match confirm {
                Confirm::GoBack(_) => words.go_back.word,
                Confirm::OlderModel => words.older_model.word,
                Confirm::AddKey(_) => words.add_key.word,
                Confirm::ForgetSite => words.forget_site.word,
            };
            layout.explain(body, (Symbol::Fault, AMBER), word, &Explanation::of_confirm(confirm, language));
        }
        View::Films { films, offers, chosen, prompt } => layout.stick(body, films, offers, (*chosen, *prompt)),
        View::Writing { done, total } => layout.writing(body, *done, *total),
        View::Written { name } => {
            let asked = words.results_written;
            layout.explain(body, (Symbol::Ring, BLUE), asked.word, &Explanation::naming(asked.meaning, name));
        }
    }
    layout
}

/// Where everything on a screen is.
#[derive(Debug)]
pub struct Layout<'a> {
    size: ScreenSize,
    language: Language,
    /// Whether things stand above each other that else stand side by side.
    stacked: bool,
    /// Pixels for one pixel of an 800 × 480 screen, or a 480 × 800 one if stacked.
    scale: f32,
    /// Whether what is placed now is half as bright.
    faded: bool,
    items: Vec<Item<'a>>,
}

#[derive(Debug)]
enum Item<'a> {
    Fill { area: Area, radius: f32, colour: Rgb888 },
    Symbol { symbol: Symbol, area: Area, colour: Rgb888 },
    Text { style: Style, line: String, at: Point, align: Align },
    Radiograph { preview: &'a Preview, evidence: Option<&'a Evidence>, area: Area, faded: bool },
}

/// A line of text on the screen, or a symbol or a radiograph, which have no text.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The text.
    pub text: String,
    /// Height of its capitals in pixels.
    pub capitals: f32,
    /// Left, top, right and bottom in pixels.
    pub bounds: [f32; 4],
}

impl<'a> Layout<'a> {
    fn new(size: ScreenSize, language: Language) -> Self {
        // From 5:4 on there is more room below each other than side by side.
        let stacked = size.width * 4 < size.height * 5;
        let (width, height) = if stacked { (480.0, 800.0) } else { (800.0, 480.0) };
        let scale = (size.width as f32 / width).min(size.height as f32 / height);
        Self { size, language, stacked, scale, faded: false, items: Vec::new() }
    }

    /// Draws it.
    pub fn paint(&self) -> Frame {
        let mut frame = Frame::new(self.size.width, self.size.height, GROUND);
        for item in &self.items {
            match item {
                Item::Fill { area, radius, colour } => frame.fill(area.rectangle(), *radius as u32, *colour),
                Item::Symbol { symbol, area, colour } => {
                    symbol.draw(&mut frame, point(area.left, area.top), area.width.round() as u32, *colour);
                }
                Item::Text { style, line, at, align } => style.draw(&mut frame, line, *at, *align),
                Item::Radiograph { preview, evidence, area, faded } => {
                    frame.show(preview, *evidence, area.rectangle(), *faded);
                }
            }
        }
        frame
    }

    /// What must neither be cut nor covered: texts, symbols and radiographs.
    pub fn placed(&self) -> impl Iterator<Item = Placed> + '_ {
        self.items.iter().filter_map(|item| match item {
            Item::Fill { .. } => None,
            Item::Symbol { area, .. } | Item::Radiograph { area, .. } => {
                let bounds = [area.left, area.top, area.right(), area.bottom()];
                Some(Placed { text: String::new(), capitals: f32::INFINITY, bounds })
            }
            Item::Text { style, line, at, align } => {
                let [left, top, right, bottom] = style.bounds(line, *align);
                let (x, y) = (at.x as f32, at.y as f32);
                let bounds = [x + left, y + top, x + right, y + bottom];
                Some(Placed { text: line.clone(), capitals: style.size, bounds })
            }
        })
    }

    fn words(&self) -> &'static Words {
        language::words(self.language)
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

    fn fill(&mut self, area: Area, radius: f32, colour: Rgb888) {
        let colour = if self.faded { text::faded(colour) } else { colour };
        self.items.push(Item::Fill { area, radius, colour });
    }

    fn symbol(&mut self, symbol: Symbol, left: f32, top: f32, side: f32, colour: Rgb888) {
        let area = Area { left, top, width: side, height: side };
        let colour = if self.faded { text::faded(colour) } else { colour };
        self.items.push(Item::Symbol { symbol, area, colour });
    }

    fn line(&mut self, style: Style, text: &str, x: f32, baseline: f32, align: Align) {
        let style = if self.faded { style.faded() } else { style };
        self.items.push(Item::Text { style, line: text.to_owned(), at: point(x, baseline), align });
    }

    /// A line that becomes smaller rather than wider than some room.
    fn fitted(&mut self, style: Style, text: &str, room: f32, x: f32, baseline: f32, align: Align) {
        self.line(style.fitted(text, room), text, x, baseline, align);
    }

    /// Banner and foot; the area between them is returned.
    fn surround(&mut self, scene: &Scene) -> Area {
        let identity = scene.shown_identity();
        let (margin, gap) = (self.px(24.0), self.px(16.0));
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        let words = self.words();
        let warning = match identity {
            Identity { synthetic: true, .. } => Some(words.synthetic),
            Identity { takes_unsigned: true, .. } | Identity { trust: Some(Trust::Unsigned), .. } => {
                Some(words.unsigned)
            }
            Identity { fell_back: true, trust: Some(Trust::TestKey), .. } => Some(words.test_key_fell_back),
            Identity { fell_back: true, .. } => Some(words.fell_back),
            Identity { trust: Some(Trust::TestKey), .. } => Some(words.test_key),
            _ => None,
        };
        let top = gap + warning.map_or(0.0, |warning| self.banner(warning));
        // The page about the box shows disclaimer and model itself.
        let bottom = if scene.view == View::About { height - gap } else { self.foot(identity) };
        Area { left: margin, top, width: width - 2.0 * margin, height: bottom - top }
    }

    /// A warning about the model. Returns where it ends.
    fn banner(&mut self, warning: &str) -> f32 {
        let (width, height, margin, side) = (self.size.width as f32, self.px(38.0), self.px(24.0), self.px(26.0));
        self.fill(Area { left: 0.0, top: 0.0, width, height }, 0.0, HAZARD);
        let style = self.bold(17.0, Rgb888::CSS_BLACK).fitted(warning, width - 3.0 * side - 2.0 * margin);
        self.line(style, warning, width / 2.0, (height + style.size) / 2.0, Align::Centre);
        for x in [margin, width - margin - side] {
            self.symbol(Symbol::Warning, x, (height - side) / 2.0, side, Rgb888::CSS_BLACK);
        }
        height
    }

    /// The disclaimer, in two lines where one is too narrow for it, and the model beside it, or below it if stacked.
    /// Returns where that begins.
    fn foot(&mut self, identity: &Identity) -> f32 {
        let words = self.words();
        let (disclaimer, small) = (self.regular(15.0, QUIET), self.regular(11.0, QUIET));
        let (margin, step) = (self.px(24.0), self.px(24.0));
        let (right, last) = (self.size.width as f32 - margin, self.size.height as f32 - self.px(15.0));
        let lines = disclaimer.wrap(words.disclaimer, right - margin);
        let below = self.stacked && !identity.model.is_empty();
        let first = last - step * (lines.len() - usize::from(!below)) as f32;
        for (n, line) in lines.iter().enumerate() {
            self.line(disclaimer, line, margin, first + n as f32 * step, Align::Left);
        }
        if !identity.model.is_empty() {
            let beside = if self.stacked { 0.0 } else { disclaimer.width(words.disclaimer) + margin };
            let model = format!("{} {}", words.model, identity.model);
            let model = small.shortened(&model, right - margin - beside);
            let (x, align) = if self.stacked { (margin, Align::Left) } else { (right, Align::Right) };
            self.line(small, &model, x, last, align);
        }
        first - disclaimer.size - self.px(13.0)
    }

    /// Which image a screen is about, in its last line. Returns the area above it.
    fn name(&mut self, body: Area, image: &Announced) -> Area {
        if image.exam.as_str().is_empty() {
            return body;
        }
        let label = self.words().exam;
        self.exam(
            body,
            label,
            self.regular(14.0, QUIET).width(label) + self.px(14.0),
            body.bottom() - self.px(2.0),
            image,
        );
        Area { height: body.height - self.px(30.0), ..body }
    }

    /// The name of an examination, as far from its label as is said, and which of its images it is, on one line.
    fn exam(&mut self, area: Area, label: &str, indent: f32, baseline: f32, image: &Announced) {
        let mut room = area.width - indent;
        if image.nth > 1 {
            let nth = (self.words().nth)(image.nth);
            let style = self.bold(11.0, AMBER);
            self.line(style, &nth, area.right(), baseline, Align::Right);
            room -= style.width(&nth) + self.px(12.0);
        }
        let exam = if image.exam.as_str().is_empty() { "-" } else { image.exam.as_str() };
        self.line(self.regular(14.0, QUIET), label, area.left, baseline, Align::Left);
        let style = self.bold(15.0, INK);
        let name = style.shortened(exam, room);
        self.line(style, &name, area.left + indent, baseline, Align::Left);
    }

    /// A large symbol, a word, and a line below it, all centred.
    fn notice(&mut self, body: Area, symbol: Symbol, colour: Rgb888, notice: Notice) {
        self.notice_in(body, symbol, [colour, QUIET], notice);
    }

    /// The same, the symbol and the line in these colours.
    fn notice_in(&mut self, body: Area, symbol: Symbol, [colour, below]: [Rgb888; 2], notice: Notice) {
        let side = self.px(112.0);
        let (gap, word, step) = (self.px(40.0), self.px(52.0), self.px(46.0));
        let height = side + gap + word + step;
        let top = body.top + ((body.height - height) / 2.0).max(0.0);
        self.symbol(symbol, body.centre() - side / 2.0, top, side, colour);
        let baseline = top + side + gap + word;
        self.fitted(self.bold(52.0, INK), notice.word, body.width, body.centre(), baseline, Align::Centre);
        let style = self.regular(20.0, below);
        self.fitted(style, notice.meaning, body.width, body.centre(), baseline + step, Align::Centre);
    }

    /// What to do with a code, and the code, as large as a verdict.
    fn code(&mut self, body: Area, code: u32) {
        let Notice { word, meaning } = self.words().pairing;
        let middle = body.top + body.height / 2.0;
        let style = self.bold(40.0, BLUE);
        self.fitted(style, word, body.width, body.centre(), middle - self.px(74.0), Align::Centre);
        let digits = format!("{:03} {:03}", code / 1000, code % 1000);
        let style = self.bold(76.0, INK);
        self.fitted(style, &digits, body.width, body.centre(), middle + self.px(38.0), Align::Centre);
        let style = self.regular(20.0, QUIET);
        self.fitted(style, meaning, body.width, body.centre(), middle + self.px(98.0), Align::Centre);
    }

    fn ready(&mut self, body: Area, identity: &Identity, notice: Notice, results: u64) {
        let words = self.words();
        let facts = Area { top: body.bottom() - self.px(70.0), height: self.px(62.0), ..body };
        let upper = Area { height: facts.top - body.top, ..body };
        // What is to be done about the program or the settings is said in the place of what is said every day.
        let (below, meaning) = match (identity.program, identity.settings) {
            (Program::Staged, _) => (AMBER, words.program_staged),
            (Program::WentBack, _) => (AMBER, words.program_went_back),
            (_, SettingsNews::KeyAdded) => (AMBER, words.settings_key_added),
            (_, SettingsNews::Staged) => (AMBER, words.settings_staged),
            (_, SettingsNews::NotUsed) => (AMBER, words.settings_not_used),
            (_, SettingsNews::New) => (AMBER, words.settings_new),
            (Program::Settled | Program::New, SettingsNews::Settled) => (QUIET, notice.meaning),
        };
        self.notice_in(upper, Symbol::Ring, [GREEN, below], Notice { meaning, ..notice });
        self.fill(facts, self.px(10.0), PANEL);
        let digest = if identity.changed { (words.changed, AMBER) } else { (words.digest, QUIET) };
        let is_new = identity.program == Program::New;
        let version = if is_new { (words.program_changed, AMBER) } else { (words.version, QUIET) };
        let columns = [
            ((words.results, QUIET), results.to_string()),
            (digest, format!("{:.12}", identity.digest)),
            (version, identity.software.clone()),
        ];
        let width = facts.width / columns.len() as f32;
        for (n, ((name, colour), value)) in columns.iter().enumerate() {
            let (x, room) = (facts.left + (n as f32 + 0.5) * width, width - self.px(12.0));
            self.fitted(self.regular(11.0, *colour), name, room, x, facts.top + self.px(23.0), Align::Centre);
            self.fitted(self.bold(16.0, INK), value, room, x, facts.top + self.px(49.0), Align::Centre);
        }
    }

    fn progress(&mut self, body: Area, word: &str, done: u32, total: u32) {
        let part = if total == 0 { 0.0 } else { (f64::from(done) / f64::from(total)).min(1.0) as f32 };
        let middle = body.top + body.height / 2.0;
        let style = self.bold(46.0, INK);
        self.fitted(style, word, body.width, body.centre(), middle - self.px(62.0), Align::Centre);
        let bar = Area { top: middle - self.px(22.0), height: self.px(44.0), ..body };
        let radius = bar.height / 2.0;
        self.fill(bar, radius, PANEL);
        self.fill(Area { width: (bar.width * part).max(bar.height), ..bar }, radius, BLUE);
        let percent = format!("{} %", (part * 100.0) as u32);
        self.line(self.bold(36.0, INK), &percent, body.centre(), middle + self.px(88.0), Align::Centre);
    }
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Fault, Refusal};

    use super::*;

    /// The largest symbol of a screen.
    fn symbol(view: View) -> Symbol {
        let scene = Scene { identity: Identity::default(), view };
        let layout = layout(&scene, ScreenSize::default(), Language::English);
        let symbols = layout.items.iter().filter_map(|item| match item {
            Item::Symbol { symbol, area, .. } => Some((*symbol, area.width)),
            _ => None,
        });
        symbols.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
    }

    #[test]
    fn ready_says_that_a_key_was_added() {
        for language in Language::ALL {
            let told = |settings| {
                let identity = Identity { settings, ..Identity::default() };
                let scene = Scene { identity, view: View::Ready { results: 1 } };
                let layout = layout(&scene, ScreenSize::default(), language);
                layout.placed().any(|placed| placed.text == language::words(language).settings_key_added)
            };
            assert_eq!([SettingsNews::KeyAdded, SettingsNews::Settled].map(told), [true, false], "{language}");
        }
    }

    #[test]
    fn what_is_no_verdict_has_symbols_of_its_own() {
        let refused = View::Refused { image: None, refusal: Refusal::Empty };
        let views = [refused, View::error(Fault::Timeout), View::Stopped];
        let verdicts = shared::verdict::Verdict::ALL.map(|verdict| result::look(verdict).0);
        let mut symbols: Vec<Symbol> = views.into_iter().map(symbol).chain(verdicts).collect();
        while let Some(symbol) = symbols.pop() {
            assert!(!symbols.contains(&symbol), "{symbol:?}");
        }
    }
}
