//! Why an image is not judged, or what is wrong with the box, and what to do about it.

use embedded_graphics::pixelcolor::Rgb888;

use super::{Area, INK, Layout, PANEL, QUIET};
use crate::screen::{
    Explanation,
    symbol::Symbol,
    text::{Align, Style},
};

/// Heights of capitals that are tried for the text.
const SIZES: [f32; 6] = [26.0, 23.0, 19.0, 16.0, 13.0, 10.0];

impl Layout<'_> {
    pub(super) fn explain(
        &mut self,
        body: Area,
        (symbol, colour): (Symbol, Rgb888),
        word: &str,
        Explanation { code, cause, remedy }: &Explanation,
    ) {
        let side = self.px(104.0);
        let top = body.top + self.px(18.0);
        self.symbol(symbol, body.left, top, side, colour);
        let left = body.left + side + self.px(28.0);
        let style = self.bold(44.0, INK).fitted(word, body.right() - left);
        let raised = self.px(if code.is_some() { 14.0 } else { 0.0 });
        self.line(style, word, left, top + (side + style.size) / 2.0 - raised, Align::Left);
        if let Some(code) = code {
            let code = format!("{} {code}", self.words().code);
            self.line(self.regular(18.0, QUIET), &code, left, top + side - self.px(8.0), Align::Left);
        }
        let panel_top = top + side + self.px(28.0);
        let panel = Area { top: panel_top, height: body.bottom() - panel_top, ..body };
        self.fill(panel, self.px(12.0), PANEL);
        let inset = self.px(24.0);
        let text = Area { left: panel.left + inset, width: panel.width - 2.0 * inset, ..panel };
        self.paragraphs(text, &[(false, INK, cause), (true, colour, remedy)]);
    }

    /// Text in paragraphs, bold or not, in the largest size that fits. What fits in none is cut.
    fn paragraphs(&mut self, area: Area, paragraphs: &[(bool, Rgb888, &str)]) {
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
}
