//! What clinics may do to a radiograph before it is sent, one thing at a time.

use std::io::Cursor;

use base::Shown;
use decode::Radiograph;
use image::{DynamicImage, GrayImage, ImageError, ImageFormat, Luma, codecs::jpeg::JpegEncoder, imageops};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use shared::verdict::{Digest, Refusal};

use super::letters;

/// What a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Another file with the same pixels: the answer must be the same to the bit.
    Lossless,
    /// Another picture of the same chest: the verdict should hold.
    Shift,
    /// A part of the picture is taken away, to see what the answer rests on.
    Ablation,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Lossless, Self::Shift, Self::Ablation];

    /// The word by which it is chosen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::Shift => "shift",
            Self::Ablation => "ablation",
        }
    }
}

/// One thing that is done to a radiograph.
#[derive(Debug)]
pub struct Change {
    /// Its name for tables and programs.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    operation: Operation,
}

#[derive(Debug)]
enum Operation {
    /// PNG of the samples as they are.
    Png,
    /// PNG of 16 bits: every 8-bit value times 257.
    Deep,
    /// PNG of three channels, equal ones for a grey radiograph.
    Rgb,
    /// Grey JPEG of this quality.
    Jpeg(u8),
    /// Width and height times these, both up to 1 or both from 1.
    Scale(f32, f32),
    /// Turned by degrees with the clock about the centre; what comes into view is black.
    Rotate(f32),
    /// Left and right exchanged.
    Mirror,
    /// This share cut off at each of the four sides.
    Crop(f32),
    /// Twice this share cut off, at one random side of each axis.
    OffCentre(f32),
    /// Black bars of this share of the width at both sides, and of the height above and below.
    Bars(f32, f32),
    /// A frame around it: this share of the width at both sides and of the height above and below, of this shade.
    Frame(f32, u8),
    /// A frame of any shade, up to four tenths wide at each side, saved as JPEG, as drawn.
    DrawnFrame,
    /// Within a frame of a tenth of any shade, turned by up to 5 degrees together with its edges, saved as JPEG, as drawn.
    Collimator,
    /// This much added to every grey value.
    Brighten(i32),
    /// Distances from mid-grey times the square of `1 + this / 100`.
    Contrast(f32),
    /// `255 (v / 255)^this`.
    Gamma(f32),
    /// The darkest and the brightest hundredth clipped, the rest stretched to 0..=255.
    Window,
    /// Blurred by a bell whose standard deviation is this share of the longer side.
    Blur(f32),
    /// Noise of this standard deviation in grey values.
    Noise(f32),
    /// Letters and markers near the border painted over.
    Letters,
    /// A little of much at once, drawn for each radiograph.
    Mixed,
    /// The outer share of width and height, at each side, painted over.
    MaskBorder(f32, Fill),
    /// All but that share painted over.
    KeepBorder(f32, Fill),
}

/// What an ablation paints with.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Black,
    /// The radiograph's mean grey value.
    Mean,
}

macro_rules! catalogue {
    ($($kind:ident { $($name:literal $operation:expr;)* })*) => {
        &[$($(Change { name: $name, kind: Kind::$kind, operation: $operation },)*)*]
    };
}

/// Every change, in the order of the table.
pub const CATALOGUE: &[Change] = {
    use Fill::{Black, Mean};
    use Operation::*;
    catalogue! {
        Lossless {
            "png" Png;
            "png-16-bit" Deep;
            "png-rgb" Rgb;
        }
        Shift {
            "jpeg-90" Jpeg(90);
            "jpeg-70" Jpeg(70);
            "jpeg-50" Jpeg(50);
            "half-size" Scale(0.5, 0.5);
            "quarter-size" Scale(0.25, 0.25);
            "enlarged" Scale(1.5, 1.5);
            "rotated-5-right" Rotate(5.0);
            "rotated-5-left" Rotate(-5.0);
            "rotated-10-right" Rotate(10.0);
            "rotated-10-left" Rotate(-10.0);
            "mirrored" Mirror;
            "cropped-5" Crop(0.05);
            "cropped-10" Crop(0.1);
            "off-centre" OffCentre(0.05);
            "wider" Scale(1.25, 1.0);
            "taller" Scale(1.0, 1.25);
            "bars-at-sides" Bars(0.1, 0.0);
            "bars-above-below" Bars(0.0, 0.1);
            "framed-black" Frame(0.2, 0);
            "framed-grey" Frame(0.2, 128);
            "framed-white" Frame(0.2, 255);
            "framed-drawn" DrawnFrame;
            "collimated" Collimator;
            "darker" Brighten(-32);
            "brighter" Brighten(32);
            "less-contrast" Contrast(-16.0);
            "more-contrast" Contrast(16.0);
            "gamma-0.7" Gamma(0.7);
            "gamma-1.4" Gamma(1.4);
            "windowed" Window;
            "blurred" Blur(0.005);
            "more-blurred" Blur(0.01);
            "noise-5" Noise(0.05 * 255.0);
            "noise-10" Noise(0.1 * 255.0);
            "no-letters" Letters;
            "mixed" Mixed;
        }
        Ablation {
            "black-border-5" MaskBorder(0.05, Black);
            "black-border-10" MaskBorder(0.1, Black);
            "black-border-15" MaskBorder(0.15, Black);
            "black-border-20" MaskBorder(0.2, Black);
            "mean-border-5" MaskBorder(0.05, Mean);
            "mean-border-10" MaskBorder(0.1, Mean);
            "mean-border-15" MaskBorder(0.15, Mean);
            "mean-border-20" MaskBorder(0.2, Mean);
            "only-border-5" KeepBorder(0.05, Black);
            "only-border-10" KeepBorder(0.1, Black);
            "only-border-15" KeepBorder(0.15, Black);
            "only-border-20" KeepBorder(0.2, Black);
            "only-border-20-mean" KeepBorder(0.2, Mean);
        }
    }
};

/// The changes of these names or kinds, in the order of the catalogue; all of it without any.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Change>, ChangeError> {
    let is = |change: &Change, name: &str| change.name == name || change.kind.as_str() == name;
    if let Some(unknown) = names.iter().find(|name| !CATALOGUE.iter().any(|change| is(change, name))) {
        return Err(ChangeError::Unknown(unknown.clone()));
    }
    let wanted = |change: &&Change| names.is_empty() || names.iter().any(|name| is(change, name));
    Ok(CATALOGUE.iter().filter(wanted).collect())
}

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// the box would refuse what comes out
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// what comes out cannot be made a file
    #[error("it cannot be made a file ({0}): leave the change out, with `--only`")]
    Encode(#[from] ImageError),
    /// there is no such change
    #[error("there is no change `{}`: name {list}", Shown(.0), list = all_names())]
    Unknown(String),
}

fn all_names() -> String {
    let names = Kind::ALL.into_iter().map(Kind::as_str).chain(CATALOGUE.iter().map(|change| change.name));
    names.collect::<Vec<_>>().join(", ")
}

/// The grey values that the box sees in a radiograph, at the size at which it is decoded, rounded to 8 bits.
pub(super) fn grey(radiograph: &Radiograph) -> GrayImage {
    // No image has a longer side than this, so none is made smaller.
    let (pixels, width, height) = radiograph.picture().preview(u16::MAX);
    GrayImage::from_raw(width.into(), height.into(), pixels).unwrap_or_default()
}

impl Change {
    /// Makes the change. `grey` is the radiograph in [`grey`]; what is drawn is drawn from the digest of its file, so
    /// that it does not depend on which others are measured.
    pub(super) fn apply(
        &self,
        radiograph: &Radiograph,
        grey: &GrayImage,
        digest: Digest,
    ) -> Result<Radiograph, ChangeError> {
        let image = radiograph.image();
        let deep = matches!(image, DynamicImage::ImageLuma16(_) | DynamicImage::ImageRgb16(_));
        let mut rng = ChaCha8Rng::from_seed(digest.0);
        let changed = match self.operation {
            Operation::Png => return through_png(image),
            Operation::Deep if deep => return through_png(image),
            Operation::Deep => {
                return through_png(&DynamicImage::ImageLuma16(DynamicImage::from(grey.clone()).into_luma16()));
            }
            Operation::Rgb if deep => return through_png(&DynamicImage::ImageRgb16(image.to_rgb16())),
            Operation::Rgb => return through_png(&DynamicImage::ImageRgb8(image.to_rgb8())),
            Operation::Jpeg(quality) => return through_jpeg(grey, quality),
            Operation::Mixed => return mixed(grey, &mut rng),
            Operation::Scale(x, y) => scaled(grey, x, y),
            Operation::Rotate(degrees) => rotated(grey, degrees, 0),
            Operation::Mirror => imageops::flip_horizontal(grey),
            Operation::Crop(share) => cropped(grey, [share; 4]),
            Operation::OffCentre(share) => {
                let [left, top] = [(); 2].map(|()| if rng.random() { 2.0 * share } else { 0.0 });
                cropped(grey, [left, top, 2.0 * share - left, 2.0 * share - top])
            }
            Operation::Bars(x, y) => framed(grey, [x, y, x, y], 0),
            Operation::Frame(share, shade) => framed(grey, [share; 4], shade),
            Operation::DrawnFrame => {
                let shares = [(); 4].map(|()| rng.random_range(0.0..=0.4));
                return through_jpeg(&framed(grey, shares, rng.random()), 80);
            }
            Operation::Collimator => {
                let (degrees, shade) = (rng.random_range(-5.0..=5.0), rng.random());
                return through_jpeg(&rotated(&framed(grey, [0.1; 4], shade), degrees, shade), 80);
            }
            Operation::Brighten(value) => imageops::brighten(grey, value),
            Operation::Contrast(contrast) => imageops::contrast(grey, contrast),
            Operation::Gamma(exponent) => mapped(grey, |v| (f32::from(v) / 255.0).powf(exponent) * 255.0),
            Operation::Window => windowed(grey),
            Operation::Blur(share) => blurred(grey, share),
            Operation::Noise(deviation) => noisy(grey, deviation, &mut rng),
            Operation::Letters => letters::painted_over(grey),
            Operation::MaskBorder(share, fill) => masked(grey, share, fill, false),
            Operation::KeepBorder(share, fill) => masked(grey, share, fill, true),
        };
        Ok(Radiograph::new(changed.into())?)
    }
}

fn through_png(image: &DynamicImage) -> Result<Radiograph, ChangeError> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png)?;
    Ok(decode::decode(file.get_ref())?)
}

fn through_jpeg(grey: &GrayImage, quality: u8) -> Result<Radiograph, ChangeError> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(grey)?;
    Ok(decode::decode(&file)?)
}

/// Rounded to the nearest pixel.
fn share_of(length: u32, share: f32) -> u32 {
    (length as f32 * share).round() as u32
}

/// Smaller by means over the pixels that fall together, larger by linear interpolation.
fn scaled(grey: &GrayImage, x: f32, y: f32) -> GrayImage {
    let (width, height) = (share_of(grey.width(), x).max(1), share_of(grey.height(), y).max(1));
    if x <= 1.0 && y <= 1.0 {
        return imageops::thumbnail(grey, width, height);
    }
    let from = |at: u32, length: u32, old: u32| {
        ((at as f32 + 0.5) * old as f32 / length as f32 - 0.5).clamp(0.0, (old - 1) as f32)
    };
    GrayImage::from_fn(width, height, |x, y| {
        let (from_x, from_y) = (from(x, width, grey.width()), from(y, height, grey.height()));
        imageops::interpolate_bilinear(grey, from_x, from_y).unwrap_or(Luma([0]))
    })
}

/// What comes into view has the shade.
fn rotated(grey: &GrayImage, degrees: f32, shade: u8) -> GrayImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let centre = [grey.width(), grey.height()].map(|length| (length - 1) as f32 / 2.0);
    GrayImage::from_fn(grey.width(), grey.height(), |x, y| {
        let (right, down) = (x as f32 - centre[0], y as f32 - centre[1]);
        let (from_x, from_y) = (cos * right + sin * down + centre[0], cos * down - sin * right + centre[1]);
        imageops::interpolate_bilinear(grey, from_x, from_y).unwrap_or(Luma([shade]))
    })
}

/// `shares` of width or height cut off at the left, above, at the right, below; below a half together.
fn cropped(grey: &GrayImage, shares: [f32; 4]) -> GrayImage {
    let (width, height) = grey.dimensions();
    let [left, top, right, bottom] = [(width, shares[0]), (height, shares[1]), (width, shares[2]), (height, shares[3])]
        .map(|(length, share)| share_of(length, share));
    imageops::crop_imm(grey, left, top, width - left - right, height - top - bottom).to_image()
}

/// In a frame of these shares of width or height at the left, above, at the right, below.
fn framed(grey: &GrayImage, shares: [f32; 4], shade: u8) -> GrayImage {
    let (width, height) = grey.dimensions();
    let [left, top, right, bottom] = [(width, shares[0]), (height, shares[1]), (width, shares[2]), (height, shares[3])]
        .map(|(length, share)| share_of(length, share));
    let mut out = GrayImage::from_pixel(width + left + right, height + top + bottom, Luma([shade]));
    imageops::replace(&mut out, grey, left.into(), top.into());
    out
}

/// Each grey value by itself; rounded, and clipped to 0..=255.
fn mapped(grey: &GrayImage, map: impl Fn(u8) -> f32) -> GrayImage {
    let table: Vec<u8> = (0..=u8::MAX).map(|v| map(v).round() as u8).collect();
    let mut out = grey.clone();
    out.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
    out
}

fn windowed(grey: &GrayImage) -> GrayImage {
    let mut counts = [0_usize; 256];
    grey.iter().for_each(|&v| counts[usize::from(v)] += 1);
    let clipped = grey.len() / 100;
    // The value that the `rank`-th pixel from the dark end has.
    let at = |rank: usize| {
        let mut left = rank;
        counts.iter().position(|&count| left.checked_sub(count).map(|rest| left = rest).is_none()).unwrap_or(255)
    };
    let (dark, bright) = (at(clipped) as f32, at(grey.len() - 1 - clipped) as f32);
    mapped(grey, |v| (f32::from(v) - dark) * 255.0 / (bright - dark).max(1.0))
}

fn blurred(grey: &GrayImage, share: f32) -> GrayImage {
    imageops::fast_blur(grey, share * grey.width().max(grey.height()) as f32)
}

/// The noise is the sum of four even numbers, which is nearly normal and the same on every processor.
fn noisy(grey: &GrayImage, deviation: f32, rng: &mut impl Rng) -> GrayImage {
    // Four even 16-bit numbers have a mean of 2 · 65535 together and this standard deviation.
    let unit = ((65_536.0_f32 * 65_536.0 - 1.0) / 3.0).sqrt();
    let mut out = grey.clone();
    for v in out.iter_mut() {
        let drawn = rng.next_u64();
        let sum: u32 = [0, 16, 32, 48].map(|shift| (drawn >> shift) as u32 & 0xffff).iter().sum();
        *v = (f32::from(*v) + (sum as f32 - 131_070.0) / unit * deviation).round() as u8;
    }
    out
}

/// Turned by up to 4°, up to 4 % cut off at each side, a gamma of 0.85 to 1.15, slightly blurred, JPEG of quality 70.
fn mixed(grey: &GrayImage, rng: &mut impl Rng) -> Result<Radiograph, ChangeError> {
    let turned = rotated(grey, rng.random_range(-4.0..=4.0), 0);
    let cut = cropped(&turned, [(); 4].map(|()| rng.random_range(0.0..=0.04)));
    let exponent = rng.random_range(0.85..=1.15);
    let lit = mapped(&cut, |v| (f32::from(v) / 255.0).powf(exponent) * 255.0);
    through_jpeg(&blurred(&lit, 0.003), 70)
}

/// Paints over the outer `share` at each side, or all but that.
fn masked(grey: &GrayImage, share: f32, fill: Fill, keep_border: bool) -> GrayImage {
    let (width, height) = grey.dimensions();
    let paint = match fill {
        Fill::Black => 0,
        Fill::Mean => {
            let sum: u64 = grey.iter().map(|&v| u64::from(v)).sum();
            let count = grey.len().max(1) as u64;
            ((sum + count / 2) / count) as u8
        }
    };
    let (left, top) = (share_of(width, share), share_of(height, share));
    let mut out = grey.clone();
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let inside = (left..width - left).contains(&x) && (top..height - top).contains(&y);
        if inside == keep_border {
            *pixel = Luma([paint]);
        }
    }
    out
}

#[cfg(test)]
mod tests;
