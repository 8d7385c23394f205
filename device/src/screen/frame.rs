//! The picture of the screen in memory.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{Dimensions, OriginDimensions, Point, Size},
    pixelcolor::{Rgb888, RgbColor},
    primitives::{CornerRadii, Primitive, PrimitiveStyle, Rectangle, RoundedRectangle},
};

use shared::evidence::{Evidence, left_out};

use super::{Preview, mask::Coverage};

/// A picture of the screen: rows of red, green and blue bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Frame {
    /// A frame in one colour.
    pub fn new(width: u32, height: u32, colour: Rgb888) -> Self {
        let pixels = width as usize * height as usize;
        let rgb = [colour.r(), colour.g(), colour.b()].repeat(pixels);
        Self { width, height, rgb }
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `height` rows of `width` pixels of three bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    fn pixel(&mut self, x: i32, y: i32) -> Option<&mut [u8; 3]> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let index = (x < self.width && y < self.height).then(|| y as usize * self.width as usize + x as usize)?;
        self.rgb.as_chunks_mut().0.get_mut(index)
    }

    /// Fills a rectangle, its corners rounded.
    pub(super) fn fill(&mut self, area: Rectangle, radius: u32, colour: Rgb888) {
        let shape = RoundedRectangle::new(area, CornerRadii::new(Size::new_equal(radius)));
        let Ok(()) = shape.into_styled(PrimitiveStyle::with_fill(colour)).draw(self);
    }

    /// Paints a colour through a stencil whose upper left corner is at `at`.
    pub(super) fn stamp(&mut self, stencil: &Coverage, at: Point, colour: Rgb888) {
        let paint = [colour.r(), colour.g(), colour.b()];
        for (y, line) in (at.y..).zip(stencil.values.chunks_exact(stencil.width)) {
            for (x, &cover) in (at.x..).zip(line).filter(|(_, cover)| **cover > 0.0) {
                let Some(pixel) = self.pixel(x, y) else { continue };
                if cover == 1.0 {
                    *pixel = paint;
                } else {
                    for (old, new) in pixel.iter_mut().zip(paint) {
                        *old = (f32::from(*old) * (1.0 - cover) + f32::from(new) * cover).round() as u8;
                    }
                }
            }
        }
    }

    /// Shows a grey picture as large as it fits into an area, its aspect ratio kept, centred, with evidence over it; half as
    /// bright if it is faded. What was not judged is darker, with a line around what was.
    pub(super) fn show(&mut self, preview: &Preview, evidence: Option<&Evidence>, area: Rectangle, faded: bool) {
        let (width, height) = (u32::from(preview.width), u32::from(preview.height));
        if width == 0 || height == 0 || area.size.width == 0 || area.size.height == 0 {
            return;
        }
        let scale = (area.size.width as f32 / width as f32).min(area.size.height as f32 / height as f32);
        let shown = |length: u32, most: u32| ((length as f32 * scale).round() as u32).clamp(1, most);
        let size = Size::new(shown(width, area.size.width), shown(height, area.size.height));
        let corner = area.top_left + (area.size - size) / 2;
        let judged = preview.judged.map(|window| window.on([size.width, size.height]));
        let line = (size.width.min(size.height) / 150).max(2);
        let painter = evidence.map(|evidence| evidence.painter([size.width, size.height]));
        let columns: Vec<Between> = (0..size.width).map(|x| Between::new(x, size.width, width)).collect();
        for y in 0..size.height {
            let rows = Between::new(y, size.height, height);
            let [above, below] = [rows.before, rows.after]
                .map(|row| preview.pixels.get(row * usize::from(preview.width)..).unwrap_or_default());
            let painted = painter.as_ref().map(|painter| painter.row(y));
            for (x, column) in (0..).zip(&columns) {
                let grey = rows.mix(column.of(above), column.of(below)).round() as u8;
                let Some(pixel) = self.pixel(corner.x + x as i32, corner.y + y as i32) else { continue };
                let left_out = judged.as_ref().and_then(|judged| left_out(grey, [x, y], judged, line));
                let painted = || painted.as_ref().map_or([grey; 3], |row| row.paint(grey, x));
                *pixel = left_out.unwrap_or_else(painted);
                if faded {
                    pixel.iter_mut().for_each(|value| *value /= 2);
                }
            }
        }
    }
}

/// The two columns or rows of a picture between which a column or row lies when it is shown at another size.
struct Between {
    before: usize,
    after: usize,
    /// Weight of the one after.
    part: f32,
}

impl Between {
    /// Of `index` of `shown`, where the picture has `length`.
    fn new(index: u32, shown: u32, length: u32) -> Self {
        let last = length - 1;
        let place = ((index as f32 + 0.5) * length as f32 / shown as f32 - 0.5).clamp(0.0, last as f32);
        let before = place as usize;
        Self { before, after: (before + 1).min(last as usize), part: place - before as f32 }
    }

    fn mix(&self, before: f32, after: f32) -> f32 {
        before * (1.0 - self.part) + after * self.part
    }

    /// The grey value between two pixels of a row.
    fn of(&self, row: &[u8]) -> f32 {
        let grey = |x: usize| row.get(x).map_or(0.0, |&grey| f32::from(grey));
        self.mix(grey(self.before), grey(self.after))
    }
}

impl OriginDimensions for Frame {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Frame {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, colour) in pixels {
            if let Some(pixel) = self.pixel(point.x, point.y) {
                *pixel = [colour.r(), colour.g(), colour.b()];
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        for y in area.rows() {
            let start = y as usize * self.width as usize + area.top_left.x as usize;
            let pixels = self.rgb.as_chunks_mut().0.get_mut(start..start + area.size.width as usize);
            pixels.unwrap_or_default().fill([colour.r(), colour.g(), colour.b()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use embedded_graphics::primitives::PointsIter;

    use super::*;

    #[test]
    fn what_lies_beyond_the_edges_is_not_filled() {
        let (black, colour) = (Rgb888::new(0, 0, 0), Rgb888::new(1, 2, 3));
        for (x, y, width, height) in
            [(2, 1, 3, 4), (-3, -2, 5, 4), (6, 5, 9, 9), (-1, 2, 20, 1), (9, 0, 2, 2), (-4, -4, 3, 3), (1, 1, 0, 5)]
        {
            let area = Rectangle::new(Point::new(x, y), Size::new(width, height));
            let [mut filled, mut dotted] = [(); 2].map(|()| Frame::new(8, 6, black));
            let Ok(()) = filled.fill_solid(&area, colour);
            let Ok(()) = dotted.draw_iter(area.points().map(|point| Pixel(point, colour)));
            assert!(filled == dotted, "{area:?}");
        }
    }
}
