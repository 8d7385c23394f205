//! Words on pictures.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable, Pixel as Dot,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{MonoTextStyle, iso_8859_1::FONT_9X15},
    pixelcolor::BinaryColor,
    text::{Baseline, Text},
};
use image::{ImageBuffer, Pixel};

/// Writes a line of letters of 9 × 15 pixels, its upper left corner at `place`. What lies beyond the edges is cut off.
pub fn write<P: Pixel>(picture: &mut ImageBuffer<P, Vec<P::Subpixel>>, words: &str, [left, top]: [i32; 2], ink: P) {
    let style = MonoTextStyle::new(&FONT_9X15, BinaryColor::On);
    let Ok(_) =
        Text::with_baseline(words, Point::new(left, top), style, Baseline::Top).draw(&mut Paper { picture, ink });
}

struct Paper<'a, P: Pixel> {
    picture: &'a mut ImageBuffer<P, Vec<P::Subpixel>>,
    ink: P,
}

impl<P: Pixel> OriginDimensions for Paper<'_, P> {
    fn size(&self) -> Size {
        Size::new(self.picture.width(), self.picture.height())
    }
}

impl<P: Pixel> DrawTarget for Paper<'_, P> {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Dot<BinaryColor>>>(&mut self, dots: I) -> Result<(), Infallible> {
        for Dot(Point { x, y }, colour) in dots {
            if let (BinaryColor::On, Ok(x), Ok(y)) = (colour, u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = self.picture.get_pixel_mut_checked(x, y)
            {
                *pixel = self.ink;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    #[test]
    fn letters_have_their_place_and_end_at_the_edge() {
        let inked = |place: [i32; 2]| {
            let mut picture = GrayImage::new(20, 20);
            write(&mut picture, "HH", place, Luma([200]));
            assert!(picture.pixels().all(|pixel| [0, 200].contains(&pixel.0[0])));
            let on = picture.enumerate_pixels().filter(|(.., pixel)| pixel.0[0] == 200);
            on.map(|(x, y, _)| [x as i32 - place[0], y as i32 - place[1]]).collect::<Vec<_>>()
        };
        let whole = inked([1, 2]);
        assert!(whole.len() > 40 && whole.iter().all(|[x, y]| (0..18).contains(x) && (0..15).contains(y)), "{whole:?}");
        let cut = inked([-5, 10]);
        assert!(!cut.is_empty() && cut.len() < whole.len() && cut.iter().all(|place| whole.contains(place)));
    }
}
