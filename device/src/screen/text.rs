//! Text of any size from one bitmap font.
//!
//! The font is FreeUniversal, as u8g2-fonts carries it (its licence is in `device/FONTS.md`). It has the letters of Latin-1; other
//! characters beyond ASCII are shown as a question mark.

use embedded_graphics::{
    geometry::Point,
    pixelcolor::{BinaryColor, Rgb888, RgbColor},
};
use u8g2_fonts::{
    FontRenderer, fonts,
    types::{FontColor, VerticalPosition},
};

use super::{frame::Frame, mask::Mask};

/// Height of a capital letter in the bitmap font, in pixels.
const CAPITAL: f32 = 42.0;
/// Room above the baseline in a mask: capitals with accents.
const ABOVE: usize = 64;
/// Room below the baseline in a mask.
const BELOW: usize = 16;
/// Room left and right of the letters in a mask.
const MARGIN: usize = 4;

const BOLD: FontRenderer = FontRenderer::new::<fonts::u8g2_font_fub42_tf>().with_ignore_unknown_chars(true);
const REGULAR: FontRenderer = FontRenderer::new::<fonts::u8g2_font_fur42_tf>().with_ignore_unknown_chars(true);

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    font: &'static FontRenderer,
    /// Height of a capital letter in pixels.
    pub(super) size: f32,
    colour: Rgb888,
}

/// Which point of the baseline is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

impl Style {
    pub(super) const fn bold(size: f32, colour: Rgb888) -> Self {
        Self { font: &BOLD, size, colour }
    }

    pub(super) const fn regular(size: f32, colour: Rgb888) -> Self {
        Self { font: &REGULAR, size, colour }
    }

    /// The same, half as bright.
    pub(super) fn faded(self) -> Self {
        Self { colour: faded(self.colour), ..self }
    }

    /// Width of a line in pixels.
    pub(super) fn width(&self, line: &str) -> f32 {
        self.advance(&known(line)) as f32 * self.size / CAPITAL
    }

    fn advance(&self, line: &str) -> usize {
        let dimensions = self.font.get_rendered_dimensions(line, Point::zero(), VerticalPosition::Baseline);
        dimensions.map_or(0, |d| usize::try_from(d.advance.x).unwrap_or(0))
    }

    /// Left, top, right and bottom of a line's ink, from the point of the baseline that is given for it.
    pub(super) fn bounds(&self, line: &str, align: Align) -> [f32; 4] {
        let line = known(line);
        let dimensions = self.font.get_rendered_dimensions(line.as_str(), Point::zero(), VerticalPosition::Baseline);
        let Some(ink) = dimensions.ok().and_then(|dimensions| dimensions.bounding_box) else { return [0.0; 4] };
        let (scale, start) = (self.size / CAPITAL, align.start(self.width(&line)));
        let (corner, size) = (ink.top_left, ink.size);
        let (left, top) = (corner.x as f32 * scale - start, corner.y as f32 * scale);
        [left, top, left + size.width as f32 * scale, top + size.height as f32 * scale]
    }

    /// The same, smaller if need be, so that a line is not wider than `width`.
    pub(super) fn fitted(self, line: &str, width: f32) -> Self {
        let needed = self.width(line);
        if needed > width { Self { size: self.size * width / needed, ..self } } else { self }
    }

    /// Draws a line that begins, is centred or ends at a point of the baseline.
    pub(super) fn draw(&self, frame: &mut Frame, line: &str, at: Point, align: Align) {
        let line = known(line);
        let mut mask = Mask::new(self.advance(&line) + 2 * MARGIN, ABOVE + BELOW);
        let start = Point::new(MARGIN as i32, ABOVE as i32);
        let on = FontColor::Transparent(BinaryColor::On);
        if self.font.render(line.as_str(), start, VerticalPosition::Baseline, on, &mut mask).is_err() {
            return;
        }
        let scale = self.size / CAPITAL;
        let left = align.start(self.width(&line));
        let corner = Point::new(
            (at.x as f32 - left - MARGIN as f32 * scale).round() as i32,
            (at.y as f32 - ABOVE as f32 * scale).round() as i32,
        );
        frame.stamp(&mask.scaled(scale), corner, self.colour);
    }

    /// The words in lines that are not wider than `width`. A word that is wider continues in the next line.
    pub(super) fn wrap(&self, text: &str, width: f32) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if self.width(&format!("{line} {word}")) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => {
                    let mut part = String::new();
                    for letter in word.chars() {
                        if !part.is_empty() && self.width(&format!("{part}{letter}")) > width {
                            lines.push(std::mem::take(&mut part));
                        }
                        part.push(letter);
                    }
                    lines.push(part);
                }
            }
        }
        lines
    }

    /// The line, marked where its middle is left out if it is wider than `width`: names often differ only at their ends.
    pub(super) fn shortened(&self, line: &str, width: f32) -> String {
        let line = known(line);
        if self.width(&line) <= width {
            return line;
        }
        let letters: Vec<char> = line.chars().collect();
        let mut kept = letters.len();
        loop {
            kept = kept.saturating_sub(1);
            let (head, tail) = (kept.div_ceil(2), kept / 2);
            let dots = "...".chars();
            let short: String = letters[..head]
                .iter()
                .copied()
                .chain(dots)
                .chain(letters[letters.len() - tail..].iter().copied())
                .collect();
            if kept == 0 || self.width(&short) <= width {
                return short;
            }
        }
    }
}

impl Align {
    /// How far the beginning of a line of some width lies before its point.
    fn start(self, width: f32) -> f32 {
        match self {
            Self::Left => 0.0,
            Self::Centre => width / 2.0,
            Self::Right => width,
        }
    }
}

/// A colour half as bright.
pub(super) fn faded(colour: Rgb888) -> Rgb888 {
    Rgb888::new(colour.r() / 2, colour.g() / 2, colour.b() / 2)
}

/// The line with a question mark for each character that the fonts lack.
fn known(line: &str) -> String {
    line.chars().map(|c| if is_known(c) { c } else { '?' }).collect()
}

/// Whether the fonts have a character.
pub(super) const fn is_known(character: char) -> bool {
    matches!(character, ' '..='~' | 'À'..='ÿ')
}

#[cfg(test)]
mod tests {
    use language::{Console, Step, StickTrouble, words};
    use shared::{
        age::Span,
        appliance::Language,
        verdict::{Fault, Refusal, Verdict},
    };

    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends_and_fits() {
        let style = Style::regular(20.0, Rgb888::WHITE);
        assert_eq!(style.shortened("ward-3", 1000.0), "ward-3");
        let short = style.shortened("hospital-north_ward-3_examination-000123", 300.0);
        assert!(short.starts_with("hospital") && short.ends_with("000123") && style.width(&short) <= 300.0, "{short}");
        assert_eq!(style.shortened("ward-3", 0.0), "...");
    }

    #[test]
    fn words_are_wrapped_and_long_ones_broken() {
        let style = Style::regular(20.0, Rgb888::WHITE);
        let width = style.width("the model /media/usb");
        let lines = style.wrap("the model /media/usb-stick/models/pumua.onnx cannot be used", width);
        assert!(lines.len() > 3 && lines.iter().all(|line| style.width(line) <= width), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), "themodel/media/usb-stick/models/pumua.onnxcannotbeused");
        assert_eq!(style.wrap("ab", 0.0), ["a", "b"]);
    }

    #[test]
    fn every_character_of_every_table_is_in_the_fonts() {
        for language in Language::ALL {
            let words = words(language);
            let refusals = Refusal::ALL.iter().map(|&refusal| (words.refusal)(refusal));
            let faults = Fault::ALL.iter().map(|&fault| (words.fault)(fault));
            let steps = Step::ALL.iter().map(|&step| (words.step)(step).to_owned());
            let verdicts = Verdict::ALL.map(|v| format!("{:?}", (words.verdict)(v)));
            let measured = [None, Some(1), Some(3)].map(words.measured_on);
            let ages = [None, Some([1, 5])].map(words.ages);
            let meant = [None, Some([1, 5])].map(words.meant);
            let spans = [0, 1, 3, 12, 18, 108].map(|months| (words.span)(Span::of(months)));
            let others = measured.into_iter().chain(ages).chain(meant).chain(spans);
            let others = others.chain([(words.nth)(2), format!("{words:?}")]);
            let others = others.chain(StickTrouble::ALL.map(|trouble| (words.stick_trouble)(trouble).to_owned()));
            let others = others.chain(Console::ALL.map(|reason| (words.console)(reason).to_owned()));
            for text in refusals.chain(faults).chain(steps).chain(verdicts).chain(others) {
                assert!(text.chars().all(is_known), "{language}: {text}");
            }
        }
    }

    #[test]
    fn every_character_that_counts_as_known_is_in_both_fonts() {
        let (bold, regular) =
            (FontRenderer::new::<fonts::u8g2_font_fub42_tf>(), FontRenderer::new::<fonts::u8g2_font_fur42_tf>());
        for character in ('\0'..'\u{200}').filter(|&c| is_known(c)) {
            for font in [&bold, &regular] {
                let found = font.get_rendered_dimensions(character, Point::zero(), VerticalPosition::Baseline);
                assert!(found.is_ok(), "{character}");
                let ink = found.unwrap().bounding_box;
                let inside = |ink: embedded_graphics::primitives::Rectangle| {
                    ink.top_left.y >= -(ABOVE as i32) && ink.top_left.y + ink.size.height as i32 <= BELOW as i32
                };
                assert!(ink.is_none_or(inside), "{character} is cut: {ink:?}");
            }
        }
        assert_eq!(known("Été – 3 µ"), "Été ? 3 ?");
    }
}
