//! Rectangles in pixels, for arithmetic.

use embedded_graphics::{
    geometry::{Point, Size},
    primitives::Rectangle,
};

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Area {
    pub(super) fn right(&self) -> f32 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f32 {
        self.top + self.height
    }

    pub(super) fn centre(&self) -> f32 {
        self.left + self.width / 2.0
    }

    pub(super) fn rectangle(&self) -> Rectangle {
        let size = Size::new(self.width.max(0.0).round() as u32, self.height.max(0.0).round() as u32);
        Rectangle::new(point(self.left, self.top), size)
    }
}

pub(super) fn point(x: f32, y: f32) -> Point {
    Point::new(x.round() as i32, y.round() as i32)
}
