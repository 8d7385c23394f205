//! Symbols that distinguish verdicts and states without colour.

use embedded_graphics::{
    Drawable,
    geometry::Point,
    pixelcolor::{BinaryColor, Rgb888},
    primitives::{
        Circle, Line, Polyline, Primitive, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle, StrokeAlignment, Triangle,
    },
};
use u8g2_fonts::{
    FontRenderer, fonts,
    types::{FontColor, HorizontalAlignment, VerticalPosition},
};

use super::{frame::Frame, mask::Mask};

/// Side of the square in which symbols are drawn before they are reduced.
const SIDE: i32 = 256;

const GLYPHS: FontRenderer = FontRenderer::new::<fonts::u8g2_font_fub42_tf>();

/// A symbol within a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A disc with a tick.
    Tick,
    /// A triangle with an exclamation mark.
    Warning,
    /// A diamond with a question mark.
    Question,
    /// The frame of a picture, struck through.
    Struck,
    /// An octagon with a cross.
    Fault,
    /// A ring that is open at the top, with a bar in the gap: off.
    Off,
    /// A ring.
    Ring,
    /// Three dots.
    Dots,
}

impl Symbol {
    /// Draws the symbol into a square of `side` pixels.
    pub(super) fn draw(self, frame: &mut Frame, corner: Point, side: u32, colour: Rgb888) {
        let mut mask = Mask::new(SIDE as usize, SIDE as usize);
        let Ok(()) = self.paint(&mut mask);
        frame.stamp(&mask.scaled(side as f32 / SIDE as f32), corner, colour);
    }

    fn paint(self, mask: &mut Mask) -> Result<(), std::convert::Infallible> {
        let on = PrimitiveStyle::with_fill(BinaryColor::On);
        let stroke = |width| PrimitiveStyle::with_stroke(BinaryColor::On, width);
        let cut = |width| PrimitiveStyle::with_stroke(BinaryColor::Off, width);
        let outline = |width| {
            let style = PrimitiveStyleBuilder::new().stroke_color(BinaryColor::On).stroke_width(width);
            style.stroke_alignment(StrokeAlignment::Inside).build()
        };
        let middle = Point::new_equal(SIDE / 2);
        match self {
            Self::Tick => {
                Circle::with_center(middle, 248).into_styled(on).draw(mask)?;
                let tick = [Point::new(74, 132), Point::new(112, 172), Point::new(184, 90)];
                Polyline::new(&tick).into_styled(cut(30)).draw(mask)
            }
            Self::Warning => {
                let [top, left, right] = [Point::new(128, 8), Point::new(2, 234), Point::new(254, 234)];
                Triangle::new(top, left, right).into_styled(on).draw(mask)?;
                Line::new(Point::new(128, 88), Point::new(128, 162)).into_styled(cut(28)).draw(mask)?;
                let dot = PrimitiveStyle::with_fill(BinaryColor::Off);
                Circle::with_center(Point::new(128, 198), 32).into_styled(dot).draw(mask)
            }
            Self::Question => {
                let [top, right, bottom, left] =
                    [Point::new(128, 0), Point::new(255, 128), Point::new(128, 255), Point::new(0, 128)];
                Triangle::new(top, right, left).into_styled(on).draw(mask)?;
                Triangle::new(bottom, right, left).into_styled(on).draw(mask)?;
                cut_question_mark(mask);
                Ok(())
            }
            Self::Struck => {
                let frame = Rectangle::with_corners(Point::new_equal(10), Point::new_equal(245));
                frame.into_styled(outline(30)).draw(mask)?;
                Line::new(Point::new(26, 229), Point::new(229, 26)).into_styled(stroke(30)).draw(mask)
            }
            Self::Fault => {
                let corner = [(76, 4), (180, 4), (252, 76), (252, 180), (180, 252), (76, 252), (4, 180), (4, 76)];
                let corner = corner.map(|(x, y)| Point::new(x, y));
                for pair in corner.windows(2) {
                    Triangle::new(middle, pair[0], pair[1]).into_styled(on).draw(mask)?;
                }
                Triangle::new(middle, corner[7], corner[0]).into_styled(on).draw(mask)?;
                Line::new(Point::new(82, 82), Point::new(174, 174)).into_styled(cut(34)).draw(mask)?;
                Line::new(Point::new(82, 174), Point::new(174, 82)).into_styled(cut(34)).draw(mask)
            }
            Self::Off => {
                Circle::with_center(Point::new(128, 138), 232).into_styled(outline(30)).draw(mask)?;
                Line::new(Point::new(128, 0), Point::new(128, 80)).into_styled(cut(96)).draw(mask)?;
                Line::new(Point::new(128, 8), Point::new(128, 130)).into_styled(stroke(30)).draw(mask)
            }
            Self::Ring => {
                Circle::with_center(middle, 248).into_styled(outline(26)).draw(mask)?;
                Circle::with_center(middle, 120).into_styled(on).draw(mask)
            }
            Self::Dots => {
                for x in [40, 128, 216] {
                    Circle::with_center(Point::new(x, 128), 56).into_styled(on).draw(mask)?;
                }
                Ok(())
            }
        }
    }
}

/// The font's question mark, enlarged threefold.
fn cut_question_mark(mask: &mut Mask) {
    const SCALE: i32 = 3;
    let mut small = Mask::new((SIDE / SCALE) as usize, (SIDE / SCALE) as usize);
    let drawn = GLYPHS.render_aligned(
        '?',
        Point::new_equal(SIDE / 2 / SCALE),
        VerticalPosition::Center,
        HorizontalAlignment::Center,
        FontColor::Transparent(BinaryColor::On),
        &mut small,
    );
    debug_assert!(drawn.is_ok(), "the font has a question mark");
    mask.cut(&small.scaled(SCALE as f32));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_symbols_look_alike() {
        use Symbol::{Dots, Fault, Off, Question, Ring, Struck, Tick, Warning};
        let shapes = [Tick, Warning, Question, Struck, Fault, Off, Ring, Dots].map(|symbol| {
            let mut mask = Mask::new(SIDE as usize, SIDE as usize);
            let Ok(()) = symbol.paint(&mut mask);
            (symbol, mask.scaled(0.25).values)
        });
        for (n, (symbol, shape)) in shapes.iter().enumerate() {
            for (other, another) in &shapes[..n] {
                let differing = shape.iter().zip(another).filter(|(a, b)| (**a > 0.5) != (**b > 0.5)).count();
                assert!(differing * 12 > shape.len(), "{symbol:?} and {other:?}: {differing} of {}", shape.len());
            }
        }
    }
}
