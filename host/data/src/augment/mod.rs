//! Augmentation: radiographs changed at random while a network learns, so that it does not learn them by heart.
//!
//! Names, units and geometry are those of Keras' `ImageDataGenerator` with `fill_mode="nearest"` and
//! `interpolation_order=1`, its defaults. With image coordinates `p = (x, y)` in pixels about the centre
//! `(side - 1) / 2`, `x` to the right and `y` down, the value at `p` of the new image is that of the old one at
//!
//! ```text
//! rotation(θ) · (width_shift, height_shift) · shear(φ) · zoom(zx, zy) · p
//!
//! rotation = | cos θ  -sin θ |      shear = | 1  -sin φ |      zoom = | zx  0  |
//!            | sin θ   cos θ |              | 0   cos φ |             | 0   zy |
//! ```
//!
//! interpolated linearly between the four nearest pixels; outside, the pixels of the edge are repeated. Flip, the gains of
//! the bands, brightness, contrast, gamma, blur, noise and erasing follow in this order. All is one pass over the image, none
//! where there is nothing to do; a blur is two passes more, bands (`bands.rs`) are ten.
//!
//! What differs from Keras, each of it on purpose:
//!
//! | here | `ImageDataGenerator` |
//! |---|---|
//! | `width_shift` moves along the width | Keras 2.9 to 3.15 exchange x and y after they have built the matrix, and `width_shift_range` moves along the height; up to 2.8 (package `keras_preprocessing`) it is as here, while the shear runs along y |
//! | brightness multiplies | up to 2.8 each image is first stretched to 0..=255, whatever the factor; since 2.9 only the factor counts, as here |
//! | values stay real numbers | brightness rounds down to whole numbers, before and after (Pillow) |
//! | shifts are fractions, always below 1 | from 1 on they are pixels, and whole numbers are drawn from a list |
//! | bands, contrast, gamma, blur, noise, erasing | not offered |
//!
//! The shear is in degrees. 0.3 degrees move no pixel of a 64×64 image by more than 31.5 · sin 0.3° = 0.165 pixels: next
//! to nothing.

pub(crate) mod bands;
#[cfg(test)]
mod tests;

use std::fmt;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Share of the images whose bands are changed.
const VARIED_BANDS: f64 = 0.7;

/// What may happen to an image. The default leaves images alone.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Exchanges left and right in half of the images (`horizontal_flip`).
    pub horizontal_flip: bool,
    /// Range of the factor of all grey values, above 0 and up to 10; they are cut off at 255 (`brightness_range`).
    pub brightness: Option<[f64; 2]>,
    /// Range of the factor of all distances from the mean grey value, above 0 and up to 10; values are cut off at 0
    /// and 255. Keras has none.
    pub contrast: Option<[f64; 2]>,
    /// Range of the exponent of all grey values, as parts of 255, above 0 and up to 10; below 1 shades become brighter.
    /// Drawn evenly by its logarithm. Keras has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<[f64; 2]>,
    /// Range of the gains of the image's five frequency bands, above 0 and up to 10, for seven in ten images: above 1 a band
    /// becomes stronger (`bands.rs`). Each is drawn evenly by its logarithm. Keras has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bands: Option<[f64; 2]>,
    /// Half of the images are blurred by a bell whose standard deviation is drawn from 0 to this share of the side, which is
    /// at most 0.05. Keras has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub blur: f64,
    /// Half of the images get noise that is nearly normal and whose standard deviation is drawn from 0 to this share of 255,
    /// from 0 to 1. Keras has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub noise: f64,
    /// Share of the images of which a rectangle is painted over with one grey, from 0 to 1: 2 to 20 % of the area, its
    /// sides at most 1 : 3 (Z. Zhong et al., AAAI 2020). Keras has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub erase: f64,
    /// Largest shift to the left or right, as a fraction of the width, from 0 to below 1 (`width_shift_range`).
    pub width_shift: f64,
    /// Largest shift up or down, as a fraction of the height, from 0 to below 1 (`height_shift_range`).
    pub height_shift: f64,
    /// Largest rotation in either sense, in degrees, 0 to 360 (`rotation_range`).
    pub rotation: f64,
    /// Largest difference of the zoom factors from 1, from 0 to below 1 (`zoom_range`). Width and height have factors of
    /// their own; one above 1 shows more of the image, smaller.
    pub zoom: f64,
    /// Largest shear in either sense, in degrees, 0 to 89 (`shear_range`).
    pub shear: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the augmentation `{field}` cannot be {value}: give {allowed}")]
pub struct AugmentationError {
    /// The setting.
    pub field: &'static str,
    /// What it was given.
    pub value: String,
    /// What it may be.
    pub allowed: &'static str,
}

impl Augmentation {
    /// True if every image stays as it is.
    pub fn is_identity(&self) -> bool {
        let one = |range: Option<[f64; 2]>| range.is_none_or(|range| range == [1.0; 2]);
        let Self { horizontal_flip, brightness, contrast, gamma, bands, .. } = *self;
        let Self { blur, noise, erase, width_shift, height_shift, rotation, zoom, shear, .. } = *self;
        !horizontal_flip
            && [brightness, contrast, gamma, bands].into_iter().all(one)
            && [blur, noise, erase, width_shift, height_shift, rotation, zoom, shear].iter().all(|&range| range == 0.0)
    }

    /// Checks that every setting is within its range.
    pub fn check(&self) -> Result<(), AugmentationError> {
        let factors = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("gamma", self.gamma),
            ("bands", self.bands),
        ];
        for (field, range) in factors {
            if let Some([low, high]) = range
                && !(0.0 < low && low <= high && high <= 10.0)
            {
                let allowed = "two factors above 0 and up to 10, the smaller one first";
                return Err(AugmentationError { field, value: format!("{low} to {high}"), allowed });
            }
        }
        let fraction = "a fraction from 0 to below 1";
        for (field, value, allowed, good) in [
            ("width_shift", self.width_shift, fraction, (0.0..1.0).contains(&self.width_shift)),
            ("height_shift", self.height_shift, fraction, (0.0..1.0).contains(&self.height_shift)),
            ("rotation", self.rotation, "0 to 360 degrees", (0.0..=360.0).contains(&self.rotation)),
            ("zoom", self.zoom, fraction, (0.0..1.0).contains(&self.zoom)),
            ("shear", self.shear, "0 to 89 degrees", (0.0..=89.0).contains(&self.shear)),
            ("blur", self.blur, "a share from 0 to 0.05", (0.0..=0.05).contains(&self.blur)),
            ("noise", self.noise, "a share from 0 to 1", (0.0..=1.0).contains(&self.noise)),
            ("erase", self.erase, "a share from 0 to 1", (0.0..=1.0).contains(&self.erase)),
        ] {
            if !good {
                return Err(AugmentationError { field, value: value.to_string(), allowed });
            }
        }
        Ok(())
    }

    /// Draws what happens to one image, every setting evenly from its range.
    ///
    /// Each call takes the same 25 numbers from `rng`, in the same order, whatever the settings: with equal generators
    /// one more setting leaves the others' draws as they were.
    pub fn draw(&self, rng: &mut impl Rng) -> Transform {
        let mut within = |low: f64, high: f64| low + (high - low) * rng.random::<f64>();
        let factors = |range: Option<[f64; 2]>| range.unwrap_or([1.0; 2]);
        let flip = within(0.0, 1.0) < 0.5 && self.horizontal_flip;
        let [brightness, contrast] = [self.brightness, self.contrast].map(factors).map(|[low, high]| within(low, high));
        let [width_shift, height_shift, rotation, shear] =
            [self.width_shift, self.height_shift, self.rotation, self.shear].map(|range| within(-range, range));
        let zoom = [(); 2].map(|()| within(1.0 - self.zoom, 1.0 + self.zoom));
        let [low, high] = factors(self.gamma).map(f64::ln);
        let gamma = within(low, high).exp();
        let [erased, area, ratio, x, y, grey] =
            [(0.0, 1.0), (0.02, 0.2), (-3_f64.ln(), 3_f64.ln()), (0.0, 1.0), (0.0, 1.0), (0.0, 255.0)]
                .map(|(low, high)| within(low, high));
        let erase = (erased < self.erase).then(|| {
            let [width, height] = [ratio, -ratio].map(|ratio| (area * ratio.exp()).sqrt());
            Erase { left: x * (1.0 - width), top: y * (1.0 - height), width, height, grey: grey as f32 }
        });
        // Below 0 for half of the images.
        let [blur, noise] = [self.blur, self.noise].map(|most| within(-most, most).max(0.0));
        let noise = Some(Noise { deviation: noise, seed: rng.random() }).filter(|noise| noise.deviation > 0.0);
        let varied = rng.random::<f64>() < VARIED_BANDS;
        let [low, high] = factors(self.bands).map(f64::ln);
        let gains = [(); bands::COUNT].map(|()| (low + (high - low) * rng.random::<f64>()).exp() as f32);
        let bands = Some(gains).filter(|_| varied && self.bands.is_some());
        Transform {
            flip,
            bands,
            brightness,
            contrast,
            gamma,
            blur,
            noise,
            erase,
            width_shift,
            height_shift,
            rotation,
            zoom,
            shear,
        }
    }
}

/// The settings in words, `rotation ±40°, zoom 1 ± 0.1`; `none` without any.
impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factors = |name, range: Option<[f64; 2]>| range.map(|[low, high]| format!("{name} {low} to {high}"));
        let either = |name, range: f64, unit| (range != 0.0).then(|| format!("{name} ±{range}{unit}"));
        let settings = [
            self.horizontal_flip.then(|| "horizontal flip".to_owned()),
            factors("brightness", self.brightness),
            factors("contrast", self.contrast),
            factors("gamma", self.gamma),
            factors("bands", self.bands),
            (self.blur != 0.0).then(|| format!("blur up to {}", self.blur)),
            (self.noise != 0.0).then(|| format!("noise up to {}", self.noise)),
            (self.erase != 0.0).then(|| format!("erasing in {} %", 100.0 * self.erase)),
            either("width shift", self.width_shift, ""),
            either("height shift", self.height_shift, ""),
            either("rotation", self.rotation, "°"),
            (self.zoom != 0.0).then(|| format!("zoom 1 ± {}", self.zoom)),
            either("shear", self.shear, "°"),
        ];
        let settings: Vec<String> = settings.into_iter().flatten().collect();
        f.pad(&if settings.is_empty() { "none".to_owned() } else { settings.join(", ") })
    }
}

/// A rectangle that is painted over; its place and size are fractions of the side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Erase {
    /// From the left edge.
    pub left: f64,
    /// From the upper edge.
    pub top: f64,
    /// To the right.
    pub width: f64,
    /// Downwards.
    pub height: f64,
    /// The grey, 0 to 255.
    pub grey: f32,
}

/// Noise that is added to every pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation as a fraction of 255.
    pub deviation: f64,
    /// Another one gives other noise.
    pub seed: u64,
}

impl Noise {
    /// The sum of four even bytes is nearly normal, and the same on every processor.
    fn add(self, values: &mut [f32]) {
        // Mean of four even bytes together, and their standard deviation.
        let (mean, unit) = (510.0, ((65_536.0_f64 - 1.0) / 3.0).sqrt());
        let factor = (255.0 * self.deviation / unit) as f32;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for value in values {
            let sum: u16 = rng.next_u32().to_le_bytes().map(u16::from).iter().sum();
            *value = (*value + (f32::from(sum) - mean) * factor).clamp(0.0, 255.0);
        }
    }
}

/// What happens to one image; see the [module](self) for the geometry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform {
    /// Left and right are exchanged.
    pub flip: bool,
    /// Gains of the frequency bands, finest first.
    pub bands: Option<[f32; bands::COUNT]>,
    /// Factor of all grey values.
    pub brightness: f64,
    /// Factor of all distances from the mean.
    pub contrast: f64,
    /// Exponent of all grey values.
    pub gamma: f64,
    /// Standard deviation of the bell that blurs, as a fraction of the side.
    pub blur: f64,
    /// What is added.
    pub noise: Option<Noise>,
    /// What is painted over.
    pub erase: Option<Erase>,
    /// Fraction of the width; the image moves to the left if it is positive.
    pub width_shift: f64,
    /// Fraction of the height; the image moves up if it is positive.
    pub height_shift: f64,
    /// Degrees; the image turns against the clock if they are positive.
    pub rotation: f64,
    /// Factors for width and height; above 1 the image shrinks.
    pub zoom: [f64; 2],
    /// Degrees.
    pub shear: f64,
}

impl Transform {
    /// Leaves an image as it is.
    pub const IDENTITY: Self = Self {
        flip: false,
        bands: None,
        brightness: 1.0,
        contrast: 1.0,
        gamma: 1.0,
        blur: 0.0,
        noise: None,
        erase: None,
        width_shift: 0.0,
        height_shift: 0.0,
        rotation: 0.0,
        zoom: [1.0; 2],
        shear: 0.0,
    };

    /// Transforms an image. `pixels` and `out` hold `side * side` values in rows, `out` from 0.0 to 255.0.
    ///
    /// # Panics
    ///
    /// If they do not, or if there are none.
    pub fn apply(&self, pixels: &[u8], side: usize, out: &mut [f32]) {
        let square = side > 0 && pixels.len() == side * side && out.len() == side * side;
        assert!(square, "the image is not a square of {side} pixels");
        if self.moves() {
            self.sample(pixels, side, out);
        } else {
            for (value, &pixel) in out.iter_mut().zip(pixels) {
                *value = f32::from(pixel);
            }
            if self.flip {
                out.chunks_exact_mut(side).for_each(<[f32]>::reverse);
            }
        }
        if let Some(gains) = self.bands {
            bands::scale(out, side, gains);
        }
        if self.brightness != 1.0 {
            let factor = self.brightness as f32;
            out.iter_mut().for_each(|value| *value = (*value * factor).min(255.0));
        }
        if self.contrast != 1.0 {
            let factor = self.contrast as f32;
            let mean = (out.iter().map(|&value| f64::from(value)).sum::<f64>() / out.len() as f64) as f32;
            out.iter_mut().for_each(|value| *value = (mean + (*value - mean) * factor).clamp(0.0, 255.0));
        }
        if self.gamma != 1.0 {
            let shades: [f32; 257] =
                std::array::from_fn(|shade| (255.0 * (shade as f64 / 255.0).powf(self.gamma)) as f32);
            // Between two shades linearly: as good as a power for each pixel, and much faster.
            out.iter_mut().for_each(|value| {
                let shade = (*value as usize).min(255);
                *value = shades[shade] + (shades[shade + 1] - shades[shade]) * (*value - shade as f32);
            });
        }
        if self.blur > 0.0 {
            blur(out, side, self.blur * side as f64);
        }
        if let Some(noise) = self.noise {
            noise.add(out);
        }
        if let Some(Erase { left, top, width, height, grey }) = self.erase {
            let span = |from: f64, length: f64| {
                let end = |at: f64| ((at * side as f64).round() as usize).min(side);
                end(from)..end(from + length)
            };
            let columns = span(left, width);
            for line in out.chunks_exact_mut(side).take(span(top, height).end).skip(span(top, height).start) {
                line[columns.clone()].fill(grey);
            }
        }
    }

    /// True if pixels end up between others.
    fn moves(&self) -> bool {
        let Self { width_shift, height_shift, rotation, zoom, shear, .. } = *self;
        [width_shift, height_shift, rotation, shear] != [0.0; 4] || zoom != [1.0; 2]
    }

    /// Geometry and flip in one pass.
    fn sample(&self, pixels: &[u8], side: usize, out: &mut [f32]) {
        let [along_x, along_y, shift] = self.matrix();
        let last = side - 1;
        let edge = last as f32;
        let centre = edge / 2.0;
        let start = shift.map(|fraction| fraction as f32 * side as f32 + centre);
        let [step_x, step_y] = along_x.map(|step| step as f32);
        // Each pixel with its right neighbour, and the last row once more.
        let mut pairs = Vec::with_capacity((side + 1) * side);
        for line in pixels.chunks_exact(side).chain([&pixels[last * side..]]) {
            pairs.extend(line.windows(2).map(|pair| [f32::from(pair[0]), f32::from(pair[1])]));
            pairs.push([f32::from(line[last]); 2]);
        }
        for (row, line) in out.chunks_exact_mut(side).enumerate() {
            let y = row as f32 - centre;
            let [start_x, start_y] = [0, 1].map(|i| start[i] + along_y[i] as f32 * y);
            // A counter of its own, and signed numbers below: both are converted faster than `usize`.
            let mut x = -centre;
            for value in line {
                let from_x = (start_x + step_x * x).max(0.0).min(edge);
                let from_y = (start_y + step_y * x).max(0.0).min(edge);
                x += 1.0;
                let (left, top) = (from_x as i32, from_y as i32);
                let (right_part, bottom_part) = (from_x - left as f32, from_y - top as f32);
                let at = top as usize * side + left as usize;
                let between = |[left, right]: [f32; 2]| left + (right - left) * right_part;
                let upper = between(pairs[at]);
                *value = upper + (between(pairs[at + side]) - upper) * bottom_part;
            }
        }
    }

    /// Where in the old image one step right and one step down in the new one lead, and where its centre lies, the last
    /// as a fraction of the side.
    fn matrix(&self) -> [[f64; 2]; 3] {
        let (sin, cos) = self.rotation.to_radians().sin_cos();
        let rotated = |[x, y]: [f64; 2]| [cos * x - sin * y, sin * x + cos * y];
        let (shear_sin, shear_cos) = self.shear.to_radians().sin_cos();
        let [zoom_x, zoom_y] = self.zoom;
        let mirror = if self.flip { -1.0 } else { 1.0 };
        [
            rotated([mirror * zoom_x, 0.0]),
            rotated([-shear_sin * zoom_y, shear_cos * zoom_y]),
            rotated([self.width_shift, self.height_shift]),
        ]
    }
}

/// Blurs a square image by a bell of this standard deviation in pixels, cut off at three of them; beyond the edge its pixels
/// continue.
fn blur(values: &mut [f32], side: usize, deviation: f64) {
    let reach = (3.0 * deviation).ceil() as usize;
    let bell = |distance: usize| (-0.5 * (distance as f64 / deviation).powi(2)).exp();
    let whole = bell(0) + 2.0 * (1..=reach).map(bell).sum::<f64>();
    // Each weight counts on either side, so that of the centre twice.
    let half = |distance: usize| if distance == 0 { 0.5 } else { 1.0 };
    let weights: Vec<f32> = (0..=reach).map(|distance| (half(distance) * bell(distance) / whole) as f32).collect();
    let mut across = vec![0.0; values.len()];
    let mut padded = vec![0.0; side + 2 * reach];
    for (line, blurred) in values.chunks_exact(side).zip(across.chunks_exact_mut(side)) {
        padded[..reach].fill(line[0]);
        padded[reach..reach + side].copy_from_slice(line);
        padded[reach + side..].fill(line[side - 1]);
        for (distance, &weight) in weights.iter().enumerate() {
            let (left, right) = (&padded[reach - distance..], &padded[reach + distance..]);
            for ((value, left), right) in blurred.iter_mut().zip(left).zip(right) {
                *value += (left + right) * weight;
            }
        }
    }
    values.fill(0.0);
    for (row, line) in values.chunks_exact_mut(side).enumerate() {
        for (distance, &weight) in weights.iter().enumerate() {
            let above = &across[row.saturating_sub(distance) * side..][..side];
            let below = &across[(row + distance).min(side - 1) * side..][..side];
            for ((value, above), below) in line.iter_mut().zip(above).zip(below) {
                *value += (above + below) * weight;
            }
        }
        // Weights may round to a little more than 1.
        line.iter_mut().for_each(|value| *value = value.min(255.0));
    }
}
