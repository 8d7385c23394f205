//! Smooth random fields.

/// Value noise: random values on a lattice of unit cells, smoothly interpolated; about -1..=1.
#[derive(Clone, Copy)]
pub(super) struct Field {
    seed: u32,
}

impl Field {
    pub(super) fn new(seed: u32) -> Self {
        Self { seed }
    }

    /// The value at a place.
    pub(super) fn at(self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (ease(x - left), ease(y - top));
        let (i, j) = (left as i32, top as i32);
        let above = mix(self.lattice(i, j), self.lattice(i + 1, j), fx);
        let below = mix(self.lattice(i, j + 1), self.lattice(i + 1, j + 1), fx);
        mix(above, below, fy)
    }

    /// Three octaves: coarse shapes with finer ones on them.
    pub(super) fn cloud(self, x: f32, y: f32) -> f32 {
        0.57 * self.at(x, y) + 0.29 * self.at(2.0 * x + 17.0, 2.0 * y) + 0.14 * self.at(4.0 * x, 4.0 * y + 31.0)
    }

    /// A value for a lattice point, -1..1: the bits of the coordinates well mixed.
    pub(super) fn lattice(self, i: i32, j: i32) -> f32 {
        let mut h = self.seed ^ (i as u32).wrapping_mul(0x9e37_79b1) ^ (j as u32).wrapping_mul(0x85eb_ca77);
        h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
        h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
        h ^= h >> 15;
        (h >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// 0 below `from`, 1 above `to`, smooth between them; `from` above `to` falls instead.
pub(super) fn step(from: f32, to: f32, x: f32) -> f32 {
    ease(((x - from) / (to - from)).clamp(0.0, 1.0))
}

/// A bell of height 1 and standard deviation `width` around 0.
pub(super) fn bell(x: f32, width: f32) -> f32 {
    (-0.5 * (x / width) * (x / width)).exp()
}
