//! Shapes of two values, drawn large and reduced, so that the edges on the screen are smooth.

use std::convert::Infallible;

use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{Dimensions, OriginDimensions, Size},
    pixelcolor::BinaryColor,
    primitives::Rectangle,
};

/// From this scale on, the steps of the source's edges would show.
const ENLARGING: f32 = 0.6;

/// Steps of coverage between nothing and all: as smooth to the eye as more of them, and the PNG file of a screen, which
/// goes over a slow line, is smaller.
const LEVELS: f32 = 8.0;

/// A picture of two values.
pub(super) struct Mask {
    width: usize,
    height: usize,
    on: Vec<bool>,
}

/// How much of each pixel is covered, 0..=1.
pub(super) struct Coverage {
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Mask {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, on: vec![false; width * height] }
    }

    /// Takes away what a stencil covers at least half.
    pub(super) fn cut(&mut self, stencil: &Coverage) {
        for (line, cover) in self.on.chunks_exact_mut(self.width).zip(stencil.values.chunks_exact(stencil.width)) {
            for (on, cover) in line.iter_mut().zip(cover) {
                *on &= *cover < 0.5;
            }
        }
    }

    /// The mask at another scale: the sharp edge of the enlarged or reduced shape, averaged over each pixel.
    pub(super) fn scaled(&self, scale: f32) -> Coverage {
        let target = |length: usize| ((length as f32 * scale).ceil() as usize).max(1);
        let (width, height) = (target(self.width), target(self.height));
        let columns: Vec<Taps> = (0..width).map(|x| Taps::new(x, scale, self.width)).collect();
        let rows: Vec<Taps> = (0..height).map(|y| Taps::new(y, scale, self.height)).collect();
        let mut narrow = vec![0.0; width * self.height];
        for (line, on) in narrow.chunks_exact_mut(width).zip(self.on.chunks_exact(self.width)) {
            // Many rows of a line of text are empty.
            if !on.contains(&true) {
                continue;
            }
            for (value, taps) in line.iter_mut().zip(&columns) {
                let on = on[taps.first..].iter().zip(&taps.weights);
                *value = on.map(|(&on, weight)| f32::from(u8::from(on)) * weight).sum();
            }
        }
        // The tent blurs over a few source pixels: bring the edge back to the width of about one target pixel.
        let steepness = if scale < ENLARGING { 1.0 } else { 1.6 * scale };
        let mut values = vec![0.0; width * height];
        for (values, taps) in values.chunks_exact_mut(width).zip(&rows) {
            // Row by row, so that a processor may add several columns at once.
            for (line, weight) in narrow.chunks_exact(width).skip(taps.first).zip(&taps.weights) {
                values.iter_mut().zip(line).for_each(|(sum, value)| *sum += value * weight);
            }
            for value in values {
                let cover = ((*value - 0.5) * steepness + 0.5).clamp(0.0, 1.0);
                *value = (cover * LEVELS).round() / LEVELS;
            }
        }
        Coverage { width, values }
    }
}

/// The source pixels under a target pixel along one axis, and their weights, whose sum is 1 inside the mask.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Taps {
    fn new(index: usize, scale: f32, length: usize) -> Self {
        let centre = (index as f32 + 0.5) / scale;
        // A box as wide as the target pixel where there are many source pixels in it; else a tent over its neighbours,
        // which rounds off the steps of the source.
        let radius = if scale < ENLARGING { 0.5 / scale } else { 1.8 };
        let weight = |pixel: usize| {
            let (from, to) = (pixel as f32, pixel as f32 + 1.0);
            if scale < ENLARGING {
                (to.min(centre + radius) - from.max(centre - radius)).max(0.0)
            } else {
                (radius - (from + 0.5 - centre).abs()).max(0.0)
            }
        };
        let first = ((centre - radius - 1.0).max(0.0) as usize).min(length);
        let last = ((centre + radius + 1.0).max(0.0) as usize).min(length);
        let mut weights: Vec<f32> = (first..last).map(weight).collect();
        let total: f32 = weights.iter().sum();
        if total > 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        Self { first, weights }
    }
}

impl OriginDimensions for Mask {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Mask {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, color) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y)) else { continue };
            if x < self.width && y < self.height {
                self.on[y * self.width + x] = color.is_on();
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, color: BinaryColor) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        for y in area.rows() {
            let start = y as usize * self.width + area.top_left.x as usize;
            let line = self.on.get_mut(start..start + area.size.width as usize);
            line.unwrap_or_default().fill(color.is_on());
        }
        Ok(())
    }
}
