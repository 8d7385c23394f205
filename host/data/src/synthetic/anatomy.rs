//! The drawn chest: what lies in the beam, added up, and the film that it darkens.
//!
//! Coordinates: `u` from -1 (left edge of the picture: the patient's right) to 1, `v` from 0 (top) to 1. Every part
//! adds to or takes from the absorption, 0 (black) to 1 (white).

use rand::{Rng, RngExt};

use super::noise::{Field, bell, mix, step};
use crate::Label;

/// A soft-edged patch of absorption within a lung.
struct Opacity {
    u: f32,
    v: f32,
    width: f32,
    height: f32,
    strength: f32,
}

/// A vessel: a line that leaves the hilum and thins out.
struct Vessel {
    u: f32,
    v: f32,
    /// Sine and cosine of the angle away from the spine.
    direction: (f32, f32),
    length: f32,
    width: f32,
    bend: f32,
}

/// One patient in one exposure.
pub(super) struct Chest {
    angle: f32,
    shift: (f32, f32),
    zoom: f32,
    half_width: f32,
    apex: f32,
    /// Height of the domes, on the left and on the right of the picture.
    domes: [f32; 2],
    heart: Opacity,
    lung_density: f32,
    rib_first: f32,
    rib_gap: f32,
    rib_slope: f32,
    rib_strength: f32,
    bubble: Option<Opacity>,
    vessels: Vec<Vessel>,
    opacities: Vec<Opacity>,
    haze: f32,
    marker: Option<(f32, f32)>,
    gamma: f32,
    black: f32,
    gain: f32,
    grain: f32,
    texture: Field,
    patches: Field,
}

impl Chest {
    /// A patient drawn at random.
    pub(super) fn random(label: Label, rng: &mut impl Rng) -> Self {
        let mut within = |low: f32, high: f32| rng.random_range(low..=high);
        let dome = within(0.70, 0.80);
        let mut chest = Self {
            angle: within(-0.10, 0.10),
            shift: (within(-0.07, 0.07), within(-0.04, 0.04)),
            zoom: within(0.90, 1.10),
            half_width: within(0.64, 0.74),
            apex: within(0.10, 0.15),
            domes: [dome, dome + within(0.01, 0.05)],
            heart: Opacity {
                u: within(0.08, 0.18),
                v: dome - within(0.10, 0.14),
                width: within(0.24, 0.34),
                height: within(0.17, 0.22),
                strength: within(0.58, 0.68),
            },
            lung_density: within(0.16, 0.30),
            rib_first: within(0.06, 0.12),
            rib_gap: within(0.072, 0.088),
            rib_slope: within(0.10, 0.20),
            rib_strength: within(0.06, 0.12),
            bubble: None,
            vessels: Vec::new(),
            opacities: Vec::new(),
            haze: 0.0,
            marker: None,
            gamma: within(0.75, 1.35),
            black: within(-0.02, 0.07),
            gain: within(0.78, 1.05),
            grain: within(0.008, 0.030),
            texture: Field::new(0),
            patches: Field::new(0),
        };
        if within(0.0, 1.0) < 0.6 {
            chest.bubble = Some(Opacity {
                u: within(0.28, 0.42),
                v: chest.domes[1] + within(0.06, 0.10),
                width: within(0.08, 0.15),
                height: within(0.03, 0.06),
                strength: within(0.10, 0.22),
            });
        }
        if within(0.0, 1.0) < 0.5 {
            chest.marker = Some((if within(0.0, 1.0) < 0.5 { -0.86 } else { 0.80 }, within(0.05, 0.20)));
        }
        for side in [-1.0, 1.0] {
            for _ in 0..11 {
                chest.vessels.push(Vessel {
                    u: side * within(0.14, 0.22),
                    v: within(0.38, 0.50),
                    direction: within(-1.35, 1.35).sin_cos(),
                    length: within(0.20, 0.42),
                    width: within(0.010, 0.022),
                    bend: within(-0.8, 0.8),
                });
            }
        }
        if label == Label::Pneumonia {
            chest.fall_ill(rng);
        }
        chest.texture = Field::new(rng.next_u32());
        chest.patches = Field::new(rng.next_u32());
        chest
    }

    /// Adds a lobar opacity, sometimes two, or diffuse patches over both lungs.
    fn fall_ill(&mut self, rng: &mut impl Rng) {
        let mut within = |low: f32, high: f32| rng.random_range(low..=high);
        if within(0.0, 1.0) < 0.55 {
            let lobes = if within(0.0, 1.0) < 0.3 { 2 } else { 1 };
            for _ in 0..lobes {
                let side = if within(0.0, 1.0) < 0.5 { -1.0 } else { 1.0 };
                self.opacities.push(Opacity {
                    u: side * within(0.30, 0.50),
                    v: within(0.26, 0.64),
                    width: within(0.13, 0.24),
                    height: within(0.08, 0.16),
                    strength: within(0.16, 0.36),
                });
            }
        } else {
            self.haze = within(0.03, 0.08);
            for _ in 0..rng.random_range(9..=18) {
                let mut within = |low: f32, high: f32| rng.random_range(low..=high);
                let side = if within(0.0, 1.0) < 0.5 { -1.0 } else { 1.0 };
                self.opacities.push(Opacity {
                    u: side * within(0.18, 0.55),
                    v: within(0.24, 0.70),
                    width: within(0.035, 0.095),
                    height: within(0.025, 0.065),
                    strength: within(0.07, 0.19),
                });
            }
        }
    }

    /// The exposed film, `width * height` grey values in rows.
    pub(super) fn render(&self, width: u32, height: u32) -> Vec<u8> {
        let (sin, cos) = self.angle.sin_cos();
        let mut pixels = Vec::with_capacity(width as usize * height as usize);
        for y in 0..height {
            for x in 0..width {
                let u0 = (2.0 * x as f32 + 1.0) / width as f32 - 1.0;
                let v0 = (y as f32 + 0.5) / height as f32;
                // Turned about the middle of the picture; v counts double, since it runs over 1 where u runs over 2.
                let (a, b) = (u0 / self.zoom + self.shift.0, 2.0 * ((v0 - 0.5) / self.zoom + self.shift.1));
                let (u, v) = (a * cos - b * sin, (a * sin + b * cos) / 2.0 + 0.5);
                let absorbed = self.absorption(u, v);
                let grain = self.grain
                    * (self.texture.lattice(x as i32, y as i32) + self.patches.lattice(x as i32 / 2, y as i32 / 2));
                let edge = 1.0 - 0.12 * (u0 * u0 + (2.0 * v0 - 1.0).powi(2)) / 2.0;
                let film = absorbed.max(0.0).powf(self.gamma) * self.gain * edge + self.black + grain;
                let lit = film.max(self.marker_at(u0, v0));
                pixels.push((lit.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
        pixels
    }

    fn absorption(&self, u: f32, v: f32) -> f32 {
        let body = self.body(u, v);
        if body <= 0.0 {
            return 0.02;
        }
        let side = usize::from(u > 0.0);
        let distance = u.abs();
        let lung = self.lung(u, v);
        let mut sum = 0.54 + 0.05 * self.texture.at(3.0 * u, 5.0 * v);

        // Below the domes the abdomen, above them air.
        sum += 0.16 * step(-0.02, 0.03, v - self.dome(u, side)) * step(0.95, 0.55, distance);
        if lung > 0.0 {
            sum = mix(sum, self.lung_density, 0.93 * lung);
            let mottled = 0.025 * self.texture.cloud(7.0 * u, 9.0 * v);
            sum += lung * (mottled + self.vessels(u, v) + self.ill(u, v));
        }
        let cage = step(self.cage(v) + 0.05, self.cage(v) - 0.02, distance) * step(0.86, 0.74, v);
        if cage > 0.0 {
            sum += cage * self.ribs(distance, v);
        }
        sum = self.heart_over(sum, u, v);
        sum += self.middle(u, v) + self.clavicles(distance, v);
        if let Some(b) = &self.bubble {
            sum -= b.strength * ellipse(b, u, v, 0.75, 1.1);
        }
        0.02 + body * (sum - 0.02)
    }

    /// 1 within the outline of neck, shoulders and trunk, 0 in the air around it.
    fn body(&self, u: f32, v: f32) -> f32 {
        let neck = 0.24 + 0.62 * step(0.00, 0.17, v);
        let trunk = self.half_width + 0.17 + 0.05 * (3.0 * v).sin();
        let outline = mix(neck, trunk, step(0.10, 0.30, v)).max(neck * step(0.34, 0.26, v));
        step(outline + 0.025, outline - 0.025, u.abs())
    }

    /// Half the width of the rib cage at a height.
    fn cage(&self, v: f32) -> f32 {
        let above = 1.0 - ((v - self.apex + 0.01) / (0.68 - self.apex)).clamp(0.0, 1.0);
        self.half_width * (1.0 - above * above).sqrt().powf(1.25)
    }

    /// Height of the dome of the diaphragm.
    fn dome(&self, u: f32, side: usize) -> f32 {
        let from_top = (u.abs() - 0.34) / 0.40;
        self.domes[side] + 0.11 * from_top * from_top
    }

    /// 1 within a lung.
    fn lung(&self, u: f32, v: f32) -> f32 {
        let distance = u.abs();
        let inner = 0.10 + 0.06 * step(0.30, 0.10, v);
        step(inner - 0.02, inner + 0.05, distance)
            * step(self.cage(v) + 0.01, self.cage(v) - 0.05, distance)
            * step(self.apex - 0.01, self.apex + 0.04, v)
            * step(0.015, -0.015, v - self.dome(u, usize::from(u > 0.0)))
    }

    /// Posterior ribs, which fall away from the spine, and the fainter anterior ones, which rise.
    fn ribs(&self, distance: f32, v: f32) -> f32 {
        let bow = distance * distance;
        let posterior = v - self.rib_first - self.rib_slope * distance * 0.35 - 0.22 * bow;
        let anterior = v - self.rib_first - 0.24 + 0.30 * distance - 0.10 * bow;
        let band = |offset: f32, gap: f32, thick: f32| {
            let phase = (offset / gap).rem_euclid(1.0) - 0.5;
            // Brighter along the edges, as cortical bone is.
            step(thick, thick - 0.10, phase.abs()) * (0.75 + 0.45 * bell(phase.abs() - thick + 0.06, 0.04))
        };
        let behind = band(posterior, self.rib_gap, 0.27) * step(0.03, 0.10, v);
        let before = band(anterior, self.rib_gap * 1.15, 0.24) * step(0.30, 0.45, distance);
        self.rib_strength * (behind + 0.45 * before)
    }

    /// Mediastinum, spine with its discs, and the windpipe.
    fn middle(&self, u: f32, v: f32) -> f32 {
        let width = 0.09 + 0.035 * step(0.18, 0.42, v);
        let mediastinum = 0.12 * step(width + 0.06, width - 0.01, u.abs());
        let discs = ((v / 0.062).fract() - 0.5).abs();
        let spine = step(0.085, 0.055, u.abs()) * (0.045 + 0.04 * step(0.44, 0.34, discs));
        let windpipe = 0.13 * bell(u + 0.01, 0.028) * step(0.36, 0.28, v);
        mediastinum + spine - windpipe
    }

    /// Heart and aortic knob hide what lies behind them, unless that is denser still.
    fn heart_over(&self, sum: f32, u: f32, v: f32) -> f32 {
        let h = &self.heart;
        let above_dome = step(0.07, -0.02, v - self.dome(u, usize::from(u > 0.0)));
        let knob = ((u - 0.12) / 0.075).powi(2) + ((v - 0.30) / 0.055).powi(2);
        let covered = (ellipse(h, u, v, 0.80, 1.06) * above_dome).max(0.7 * step(1.3, 0.7, knob));
        sum + covered * (0.92 * (h.strength - sum).max(0.0) + 0.02)
    }

    fn clavicles(&self, distance: f32, v: f32) -> f32 {
        let line = self.apex + 0.065 - 0.10 * (distance - 0.08) + 0.02 * (6.0 * distance).sin();
        0.13 * step(0.017, 0.010, (v - line).abs()) * step(0.07, 0.12, distance) * step(0.74, 0.66, distance)
    }

    fn vessels(&self, u: f32, v: f32) -> f32 {
        let mut sum = 0.0;
        for vessel in &self.vessels {
            let side = vessel.u.signum();
            if side * u < 0.0 {
                continue;
            }
            let (dx, dy) = (side * (u - vessel.u), 2.0 * (v - vessel.v));
            let (sin, cos) = vessel.direction;
            let (along, across) = (dx * cos + dy * sin, dy * cos - dx * sin);
            let t = along / vessel.length;
            if !(-0.05..1.0).contains(&t) {
                continue;
            }
            let width = vessel.width * (1.0 - 0.7 * t.max(0.0));
            let off = across - vessel.bend * along * along;
            if off.abs() < 4.0 * width {
                sum += 0.10 * (1.0 - t) * bell(off, width);
            }
        }
        // The hilum itself.
        let hilum = ((u.abs() - 0.17) / 0.075).powi(2) + ((v - 0.44) / 0.085).powi(2);
        sum.min(0.16) + 0.10 * step(1.6, 0.2, hilum)
    }

    /// What pneumonia adds: consolidated air spaces, brighter and with a mottled edge.
    fn ill(&self, u: f32, v: f32) -> f32 {
        if self.opacities.is_empty() {
            return 0.0;
        }
        let mottled = self.patches.cloud(9.0 * u, 13.0 * v);
        let sum: f32 = self
            .opacities
            .iter()
            .map(|o| {
                let d = ((u - o.u) / o.width).powi(2) + ((v - o.v) / o.height).powi(2);
                o.strength * step(1.7, 0.15, d + 0.55 * mottled)
            })
            .sum();
        (sum + self.haze * (1.0 + mottled)).clamp(0.0, 0.42)
    }

    /// The letter R or a lead bead that a technician puts into a corner; it means nothing.
    fn marker_at(&self, u: f32, v: f32) -> f32 {
        let Some((left, top)) = self.marker else { return 0.0 };
        let (x, y) = ((u - left) / 0.07, (v - top) / 0.055);
        if !(0.0..1.0).contains(&x) || !(0.0..1.0).contains(&y) {
            return 0.0;
        }
        let stem = x < 0.25;
        let bowl = y < 0.55 && ((x - 0.25).hypot(y - 0.28) - 0.42).abs() < 0.14 && x > 0.2;
        let leg = y >= 0.5 && (x - 0.25 - (y - 0.5) * 1.1).abs() < 0.14;
        if stem || bowl || leg { 0.93 } else { 0.0 }
    }
}

/// 1 within an ellipse, falling to 0 between the two radii (in units of its own).
fn ellipse(o: &Opacity, u: f32, v: f32, inner: f32, outer: f32) -> f32 {
    step(outer, inner, ((u - o.u) / o.width).hypot((v - o.v) / o.height))
}
