//! The picture of the screen in memory.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
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

    /// Red, green and blue of a pixel of the frame.
    pub fn at(&self, x: u32, y: u32) -> Option<&[u8; 3]> {
        let index = (x < self.width && y < self.height).then(|| y as usize * self.width as usize + x as usize)?;
        self.rgb.as_chunks().0.get(index)
    }

    fn pixel(&mut self, x: i32, y: i32) -> Option<&mut [u8]> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let start = (x < self.width && y < self.height).then(|| 3 * (y as usize * self.width as usize + x as usize))?;
        self.rgb.get_mut(start..start + 3)
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
                if let Some(pixel) = self.pixel(x, y) {
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
        for y in 0..size.height {
            for x in 0..size.width {
                let at = |index: u32, length: u32, of: u32| (index as f32 + 0.5) * of as f32 / length as f32 - 0.5;
                let grey = interpolate(preview, at(x, size.width, width), at(y, size.height, height));
                if let Some(pixel) = self.pixel(corner.x + x as i32, corner.y + y as i32) {
                    let left_out = judged.as_ref().and_then(|judged| left_out(grey, [x, y], judged, line));
                    match (left_out, evidence) {
                        (Some(colour), _) => pixel.copy_from_slice(&colour),
                        (None, Some(evidence)) => {
                            pixel.copy_from_slice(&evidence.paint(grey, [x, y], [size.width, size.height]));
                        }
                        (None, None) => pixel.fill(grey),
                    }
                    if faded {
                        pixel.iter_mut().for_each(|value| *value /= 2);
                    }
                }
            }
        }
    }
}

/// The grey value between four pixels.
fn interpolate(preview: &Preview, x: f32, y: f32) -> u8 {
    let (right, bottom) = (usize::from(preview.width) - 1, usize::from(preview.height) - 1);
    let (x, y) = (x.clamp(0.0, right as f32), y.clamp(0.0, bottom as f32));
    let (left, top) = (x as usize, y as usize);
    let grey = |x: usize, y: usize| {
        let index = y.min(bottom) * usize::from(preview.width) + x.min(right);
        preview.pixels.get(index).map_or(0.0, |&grey| f32::from(grey))
    };
    let row = |y: usize| {
        let part = x - left as f32;
        grey(left, y) * (1.0 - part) + grey(left + 1, y) * part
    };
    let part = y - top as f32;
    (row(top) * (1.0 - part) + row(top + 1) * part).round() as u8
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
                pixel.copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
