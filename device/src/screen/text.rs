//! Text of any size from one bitmap font.
//!
//! The font is FreeUniversal, as u8g2-fonts carries it (its licence is in `device/FONTS.md`). Other characters than ASCII
//! are shown as a question mark.

use embedded_graphics::{
    geometry::Point,
    pixelcolor::{BinaryColor, Rgb888},
};
use u8g2_fonts::{
    FontRenderer, fonts,
    types::{FontColor, VerticalPosition},
};

use super::{frame::Frame, mask::Mask};

/// Height of a capital letter in the bitmap font, in pixels.
const CAPITAL: f32 = 42.0;
/// Room above the baseline in a mask: capitals, brackets.
const ABOVE: usize = 54;
/// Room below the baseline in a mask.
const BELOW: usize = 16;
/// Room left and right of the letters in a mask.
const MARGIN: usize = 4;

const BOLD: FontRenderer = FontRenderer::new::<fonts::u8g2_font_fub42_tr>().with_ignore_unknown_chars(true);
const REGULAR: FontRenderer = FontRenderer::new::<fonts::u8g2_font_fur42_tr>().with_ignore_unknown_chars(true);

/// How text looks.
#[derive(Clone, Copy)]
pub(super) struct Style {
    font: &'static FontRenderer,
    /// Height of a capital letter in pixels.
    pub(super) size: f32,
    colour: Rgb888,
}

/// Which point of the baseline is given.
#[derive(Clone, Copy, PartialEq, Eq)]
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

    /// Width of a line in pixels.
    pub(super) fn width(&self, line: &str) -> f32 {
        self.advance(&ascii(line)) as f32 * self.size / CAPITAL
    }

    fn advance(&self, line: &str) -> usize {
        let dimensions = self.font.get_rendered_dimensions(line, Point::zero(), VerticalPosition::Baseline);
        dimensions.map_or(0, |d| usize::try_from(d.advance.x).unwrap_or(0))
    }

    /// The same, smaller if need be, so that a line is not wider than `width`.
    pub(super) fn fitted(self, line: &str, width: f32) -> Self {
        let needed = self.width(line);
        if needed > width { Self { size: self.size * width / needed, ..self } } else { self }
    }

    /// Draws a line that begins, is centred or ends at a point of the baseline.
    pub(super) fn draw(&self, frame: &mut Frame, line: &str, at: Point, align: Align) {
        let line = ascii(line);
        let mut mask = Mask::new(self.advance(&line) + 2 * MARGIN, ABOVE + BELOW);
        let start = Point::new(MARGIN as i32, ABOVE as i32);
        let on = FontColor::Transparent(BinaryColor::On);
        if self.font.render(line.as_str(), start, VerticalPosition::Baseline, on, &mut mask).is_err() {
            return;
        }
        let scale = self.size / CAPITAL;
        let width = self.width(&line);
        let left = match align {
            Align::Left => 0.0,
            Align::Centre => width / 2.0,
            Align::Right => width,
        };
        let corner = Point::new(
            (at.x as f32 - left - MARGIN as f32 * scale).round() as i32,
            (at.y as f32 - ABOVE as f32 * scale).round() as i32,
        );
        frame.stamp(&mask.scaled(scale), corner, self.colour);
    }

    /// The words in lines that are not wider than `width`. A word that is wider than a line stands alone.
    pub(super) fn wrap(&self, text: &str, width: f32) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if self.width(&format!("{line} {word}")) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }

    /// The line, marked where its middle is left out if it is wider than `width`: names often differ only at their ends.
    pub(super) fn shortened(&self, line: &str, width: f32) -> String {
        let line = ascii(line);
        if self.width(&line) <= width {
            return line;
        }
        let mut kept = line.len();
        loop {
            kept = kept.saturating_sub(1);
            let (head, tail) = (kept.div_ceil(2), kept / 2);
            let short = format!("{}...{}", &line[..head], &line[line.len() - tail..]);
            if kept == 0 || self.width(&short) <= width {
                return short;
            }
        }
    }
}

fn ascii(line: &str) -> String {
    line.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use embedded_graphics::pixelcolor::RgbColor;

    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends_and_fits() {
        let style = Style::regular(20.0, Rgb888::WHITE);
        assert_eq!(style.shortened("ward-3", 1000.0), "ward-3");
        let short = style.shortened("hospital-north_ward-3_examination-000123", 300.0);
        assert!(short.starts_with("hospital") && short.ends_with("000123") && style.width(&short) <= 300.0, "{short}");
        assert_eq!(style.shortened("ward-3", 0.0), "...");
    }
}
