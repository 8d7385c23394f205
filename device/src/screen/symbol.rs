//! Symbols that tell the verdicts apart without colour.

use embedded_graphics::{
    Drawable,
    geometry::Point,
    pixelcolor::{BinaryColor, Rgb888},
    primitives::{Circle, Line, Polyline, Primitive, PrimitiveStyle, PrimitiveStyleBuilder, StrokeAlignment, Triangle},
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
    /// An octagon with a bar, as of a closed road.
    Stop,
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
        let cut = |width| PrimitiveStyle::with_stroke(BinaryColor::Off, width);
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
            Self::Stop => {
                let corner = [(76, 4), (180, 4), (252, 76), (252, 180), (180, 252), (76, 252), (4, 180), (4, 76)];
                let corner = corner.map(|(x, y)| Point::new(x, y));
                for pair in corner.windows(2) {
                    Triangle::new(middle, pair[0], pair[1]).into_styled(on).draw(mask)?;
                }
                Triangle::new(middle, corner[7], corner[0]).into_styled(on).draw(mask)?;
                Line::new(Point::new(66, 128), Point::new(190, 128)).into_styled(cut(36)).draw(mask)
            }
            Self::Ring => {
                let ring = PrimitiveStyleBuilder::new()
                    .stroke_color(BinaryColor::On)
                    .stroke_width(26)
                    .stroke_alignment(StrokeAlignment::Inside)
                    .build();
                Circle::with_center(middle, 248).into_styled(ring).draw(mask)?;
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
