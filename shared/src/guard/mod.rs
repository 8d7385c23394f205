//! What should not be judged: no radiograph, no frontal chest, turned, a negative, a part of a chest, or an image unlike
//! those that the network has learnt from.
//!
//! A network answers whatever it is given, so the image is looked at before and after it. Three kinds of checks, each
//! with a [`Refusal`] of its own:
//!
//! 1. [`check_picture`]: the decoded picture has colours or is a narrow strip. Needs no model.
//! 2. [`check_input`]: the model's input has no contrast; and, if the model's card has a [`Guard`], it is darker, brighter
//!    or flatter than training images, or, seen from afar as 16 × 16 cells ([`View`]), it does not look like them:
//!    - *turned, negative*: one of the seven other ways to turn and invert it is nearer to the training images than it is
//!      itself, and near enough to be one. Where that is not plain, the image is refused as *uncertain*, without advice;
//!    - *cropped*: a linear discriminant ([`Plane`]) between whole training images and cropped ones says so;
//!    - *mirrored*: one between training images and their mirror images does;
//!    - *no chest*: it is farther from the training images than nearly all of them are. The distance is that of a
//!      probabilistic principal component analysis ([`Cloud`]; Moghaddam and Pentland, IEEE PAMI 19 (1997) 696; Tipping
//!      and Bishop, J. R. Stat. Soc. B 61 (1999) 611).
//! 3. [`check_familiar`]: the network's features are far from those of either class in training (Lee et al., NeurIPS 2018),
//!    by the same distance; or they and the [`Style`] of the input together are far from those of radiographs that the model
//!    has not learnt from, but of the same hospitals: the product of both squared distances is beyond a limit.
//!
//! An input that somebody else has prepared comes with a small picture for the screen: [`check_preview`] refuses it if they
//! do not show the same.
//!
//! A [`View`] and a [`Style`] are made of integers; distances are sums of f64 in one order. So every processor gives the same bits.

mod style;

use alloc::{string::String, vec::Vec};
use core::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{
    contract::{Fit, InputContract},
    preprocess::{Channels, Picture, Samples, Window, placement},
    verdict::Refusal,
};

pub use style::Style;

/// Rows and columns of a [`View`].
pub const CELLS: usize = 16;

/// Cells of a [`View`].
pub const AREA: usize = CELLS * CELLS;

/// A standard deviation in the units of a [`View`].
pub const UNIT: i64 = 64;

/// A side may be this many times as long as the other one.
const MAX_ASPECT: u32 = 4;

/// Colour is looked for at this many places in each direction.
const PLACES: u32 = 128;

/// From this difference of the samples of a pixel on, of 255, it counts as coloured: a tint of old film stays below.
const COLOURED: u8 = 40;

/// Coloured places above this share make a picture in colour, in percent: coloured marks and letters stay below.
const COLOURED_SHARE: u32 = 10;

/// Below this standard deviation of the grey values an input is blank, whatever the model.
const BLANK: u8 = 6;

/// An image lies plainly on its side, or is plainly a negative, if it is this many times as far from training images as
/// another way to hold it.
const PLAIN: f64 = 4.0;

/// Most discriminants of a [`Guard`], most centres of a [`Cloud`], and most numbers of a point: what a file may ask of the
/// processor for each image.
const MAX_CROPS: usize = 16;
const MAX_CENTRES: usize = 2 * MAX_SITES;
const MAX_NUMBERS: usize = 1024;

/// Most hospitals that a [`Guard`] knows.
pub const MAX_SITES: usize = 8;

/// Refuses a picture that no radiograph can be, before it is prepared.
pub fn check_picture(picture: &Picture<'_>) -> Result<(), Refusal> {
    let (width, height) = (picture.width(), picture.height());
    if width.max(height) > MAX_ASPECT * width.min(height) {
        return Err(Refusal::Elongated);
    }
    if !picture.has_colours() {
        return Ok(());
    }
    // At most 32,768 · 255 below.
    let place = |i: u32, length: u32| (2 * i + 1) * length / (2 * PLACES);
    let coloured = (0..PLACES * PLACES)
        .filter(|i| picture.chroma(place(i % PLACES, width), place(i / PLACES, height)) >= COLOURED)
        .count();
    if coloured as u32 * 100 > COLOURED_SHARE * PLACES * PLACES {
        return Err(Refusal::Coloured);
    }
    Ok(())
}

/// Refuses an input of `contract.len()` bytes that should not be judged; a guard sees more than can be seen without one.
pub fn check_input(input: &[u8], contract: &InputContract, guard: Option<&Guard>) -> Result<(), Refusal> {
    let least = Levels { dark: 0, bright: 255, contrast: BLANK };
    least.check(input)?;
    let Some(guard) = guard else { return Ok(()) };
    guard.levels.check(input)?;
    let side = u32::from(contract.side);
    let square = Picture::new(Samples::U8(input), Channels::Grey, side, side, side as usize);
    guard.check_view(&View::of(&square.map_err(|_| Refusal::ContractMismatch)?))
}

/// Refuses an input of `contract.len()` bytes that was not prepared from what the window holds of the picture that a preview
/// shows: what is judged would not be what is on the screen.
///
/// Both say within which bounds the mean of each of [`CELLS`] × [`CELLS`] equal parts of the window lies: of a pixel that was
/// made of several, the mean is known but for rounding; of a pixel that lies in two cells it is not known how its mean is
/// spread, only that nothing is darker than 0 or brighter than 255. What was made of one picture never contradicts itself, so
/// there is no tolerance to choose.
pub fn check_preview(
    input: &[u8],
    contract: &InputContract,
    preview: &Picture<'_>,
    window: &Window,
) -> Result<(), Refusal> {
    if !window.fits() || (contract.fit != Fit::Unframed && !window.is_whole()) {
        return Err(Refusal::PreviewMismatch);
    }
    let (width, height) = (preview.width() as usize, preview.height() as usize);
    let along = |from: u16, length: u16, of: u16| [from, length, of].map(i64::from);
    let columns = Cells::new(width, along(window.left, window.width, window.of[0]));
    let rows = Cells::new(height, along(window.top, window.height, window.of[1]));
    let shown = bounds(&preview.resample(width, height), width, &columns, &rows);
    let shown_area = i128::from(columns.length * rows.length);
    let [_, _, wide, high] = placement(preview.width(), preview.height(), contract);
    // The preview's sides are rounded: the picture may have been prepared a pixel longer or shorter.
    let slack: &[isize] = match contract.fit {
        Fit::Stretch | Fit::Unframed => &[0],
        Fit::Letterbox => &[0, -1, 1],
    };
    let mut sides = slack.iter().flat_map(|x| slack.iter().map(move |y| [*x, *y]));
    let alike = sides.any(|[x, y]| {
        let [wide, high] = [wide.saturating_add_signed(x), high.saturating_add_signed(y)];
        part(input, contract, [wide, high]).is_some_and(|part| {
            let (columns, rows) = (Cells::new(wide, [0, 1, 1]), Cells::new(high, [0, 1, 1]));
            let judged_area = i128::from(columns.length * rows.length);
            bounds(&part, wide, &columns, &rows).iter().zip(&shown).all(|(judged, shown)| {
                let [judged_least, judged_most] = judged.map(|sum| i128::from(sum) * shown_area);
                let [shown_least, shown_most] = shown.map(|sum| i128::from(sum) * judged_area);
                judged_least <= shown_most && shown_least <= judged_most
            })
        })
    });
    if alike { Ok(()) } else { Err(Refusal::PreviewMismatch) }
}

/// The pixels along an axis that [`CELLS`] equal parts of a window are made of, and how much of each; in parts of a pixel of
/// which [`Self::pixel`] are a whole one, and [`Self::length`] a cell.
struct Cells {
    pixels: Vec<Vec<(usize, i64)>>,
    pixel: i64,
    length: i64,
}

impl Cells {
    /// Of a copy `copied` pixels long of a picture, of a window that begins at `from` and is `length` of the picture's `of`
    /// pixels long.
    fn new(copied: usize, [from, length, of]: [i64; 3]) -> Self {
        let (pixel, length, start) = (CELLS as i64 * of, length * copied as i64, CELLS as i64 * from * copied as i64);
        let inside = |cell: i64| {
            let (from, to) = (start + cell * length, start + (cell + 1) * length);
            let inside = |number: i64| to.min((number + 1) * pixel) - from.max(number * pixel);
            (from / pixel..=(to - 1) / pixel).map(|number| (number as usize, inside(number))).collect()
        };
        Self { pixels: (0..CELLS as i64).map(inside).collect(), pixel, length }
    }
}

/// The least and the greatest sum of what the pixels of each cell can have been made of.
fn bounds(pixels: &[u8], width: usize, columns: &Cells, rows: &Cells) -> Vec<[i64; 2]> {
    // At most (16 · 2^15)² · 255, and a cell has at most 34 × 34 pixels.
    let whole = columns.pixel * rows.pixel;
    let cell = |rows: &[(usize, i64)], columns: &[(usize, i64)]| {
        let places =
            rows.iter().flat_map(|(y, high)| columns.iter().map(move |(x, wide)| (y * width + x, wide * high)));
        places.fold([0, 0], |[least, greatest], (place, inside)| {
            let grey = whole * i64::from(pixels[place]);
            let least = least + (grey - whole / 2 - 255 * (whole - inside)).max(0);
            [least, greatest + (grey + whole / 2).min(255 * inside)]
        })
    };
    rows.pixels.iter().flat_map(|high| columns.pixels.iter().map(move |wide| cell(high, wide))).collect()
}

/// The middle of an input, of a width and height, if the rest is black.
fn part(input: &[u8], contract: &InputContract, [width, height]: [usize; 2]) -> Option<Vec<u8>> {
    let side = usize::from(contract.side);
    let (left, top) = (side.checked_sub(width)? / 2, side.checked_sub(height)? / 2);
    let (columns, rows) = (left..left + width, top..top + height);
    let (inside, outside): (Vec<_>, Vec<_>) =
        input.iter().enumerate().partition(|(i, _)| columns.contains(&(i % side)) && rows.contains(&(i / side)));
    let black = outside.into_iter().all(|(_, &grey)| grey == 0);
    (black && inside.len() == width * height && !inside.is_empty())
        .then(|| inside.into_iter().map(|(_, &grey)| grey).collect())
}

/// Refuses an image that is unlike those that the network has learnt from, by the network's features, where it has any and
/// the guard knows them, and by the style of the input of `contract.len()` bytes.
pub fn check_familiar(
    features: &[f32],
    input: &[u8],
    contract: &InputContract,
    guard: Option<&Guard>,
) -> Result<(), Refusal> {
    let Some(guard) = guard else { return Ok(()) };
    let known = guard.features.as_ref().filter(|_| !features.is_empty());
    let near = guard.style.as_ref().is_none_or(|style| {
        guard.strangeness(features, input, contract).is_some_and(|strangeness| strangeness <= f64::from(style.limit))
    });
    if near && known.is_none_or(|cloud| cloud.holds(features)) { Ok(()) } else { Err(Refusal::Unfamiliar) }
}

/// What a model's training images look like; in the card of the model, fitted by `pumua train`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// Training images that it was fitted on.
    pub images: u32,
    /// How dark, bright and flat they may be.
    pub levels: Levels,
    /// Where their views lie.
    pub views: Cloud,
    /// An image is turned or a negative only if another way to hold it is nearer by more than this.
    pub lead: f32,
    /// What parts a whole chest from one cropped in some way.
    pub crops: Vec<Plane>,
    /// What parts a chest from its mirror image; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Plane>,
    /// Where the network's features lie, in each class at each site, site by site; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Cloud>,
    /// Where their styles lie at each site, and, as its limit, the greatest strangeness of an image ([`Guard::strangeness`]); `None` in
    /// older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Cloud>,
}

/// A guard that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's `guard` does not fit together: use a model made by this version of `pumua train`")]
pub struct GuardError;

impl Guard {
    /// Checks that all of it fits together.
    pub fn check(&self) -> Result<(), GuardError> {
        let planes = self.crops.len() <= MAX_CROPS && self.crops.iter().all(|plane| plane.weights.0.len() == AREA);
        let mirrored = self.mirrored.as_ref().is_none_or(|plane| plane.weights.0.len() == AREA);
        let features = self.features.as_ref().is_none_or(|cloud| cloud.fits(None));
        let style = self.style.as_ref().is_none_or(|cloud| cloud.fits(Some(Style::NUMBERS)));
        if planes && mirrored && features && style && self.views.fits(Some(AREA)) && self.lead.is_finite() {
            Ok(())
        } else {
            Err(GuardError)
        }
    }

    /// Features of a network that it knows, if it knows any.
    pub fn features(&self) -> Option<usize> {
        self.features.as_ref()?.centres.first().map(Vec::len)
    }

    /// How unlike the training images an image is, where the guard knows their styles: the squared distance of the input's
    /// style, times that of the network's features if there are any, from the images of the same site, of the nearest one. An
    /// image with the style of one hospital and the features of another is like neither. `None` if the input is not of
    /// `contract.len()` bytes.
    pub fn strangeness(&self, features: &[f32], input: &[u8], contract: &InputContract) -> Option<f64> {
        let styles = self.style.as_ref()?.distances(&Style::of(input, contract)?.values());
        let features = self.features.as_ref().filter(|_| !features.is_empty()).map(|cloud| cloud.distances(features));
        let of_site = |site: usize| features.as_ref().map_or(1.0, |distances| least(self.classes_of(site, distances)));
        Some(least(&styles.iter().enumerate().map(|(site, style)| style * of_site(site)).collect::<Vec<_>>()))
    }

    /// Of the distances from the classes of all sites those from the classes of one; all, where sites were not told apart.
    fn classes_of<'a>(&self, site: usize, distances: &'a [f64]) -> &'a [f64] {
        let sites = self.style.as_ref().map_or(1, |style| style.centres.len());
        let classes = distances.len() / sites;
        if classes * sites == distances.len() { &distances[site * classes..][..classes] } else { distances }
    }

    /// Refuses a view that is not one of a whole chest, upright and positive.
    fn check_view(&self, view: &View) -> Result<(), Refusal> {
        let distance = |view: &View| self.views.distance(&view.values());
        let own = distance(view);
        let ways = [
            (0, true, Refusal::Negative),
            (2, false, Refusal::UpsideDown),
            (2, true, Refusal::Negative),
            (1, false, Refusal::OnItsSide),
            (1, true, Refusal::Negative),
            (3, false, Refusal::OnItsSide),
            (3, true, Refusal::Negative),
        ];
        let others = ways.map(|(quarters, negative, refusal)| (distance(&view.held(quarters, negative)), refusal));
        let nearest = others.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((nearest, refusal)) = nearest
            && nearest <= f64::from(self.views.limit)
            && own - nearest > f64::from(self.lead)
        {
            // Advice that is wrong spoils a good film. So it is given only where taking it makes a typical chest of the image, and
            // much more of one; upside down a chest is not so unlike itself.
            let typical = 2.0 * nearest <= f64::from(self.views.limit);
            let plain = refusal == Refusal::UpsideDown || own >= PLAIN * nearest;
            return Err(if typical && plain { refusal } else { Refusal::UncertainOrientation });
        }
        if self.crops.iter().any(|plane| plane.crosses(view)) {
            return Err(Refusal::Cropped);
        }
        if self.mirrored.as_ref().is_some_and(|plane| plane.sum(view) > plane.limit) {
            return Err(Refusal::Mirrored);
        }
        if own <= f64::from(self.views.limit) { Ok(()) } else { Err(Refusal::NotAChest) }
    }
}

/// How dark, bright and flat an input may be: grey values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// Least mean.
    pub dark: u8,
    /// Greatest mean.
    pub bright: u8,
    /// Least standard deviation.
    pub contrast: u8,
}

impl Levels {
    fn check(self, input: &[u8]) -> Result<(), Refusal> {
        let Moments { count, sum, spread } = Moments::of(input);
        if sum < u64::from(self.dark) * count {
            Err(Refusal::TooDark)
        } else if sum > u64::from(self.bright) * count {
            Err(Refusal::TooBright)
        } else if spread < (u64::from(self.contrast) * count).pow(2) {
            Err(Refusal::Blank)
        } else {
            Ok(())
        }
    }
}

/// Sums over grey values, exact for inputs of the largest side.
#[derive(Clone, Copy)]
struct Moments {
    count: u64,
    sum: u64,
    /// `count²` times the variance.
    spread: u64,
}

impl Moments {
    fn of(pixels: &[u8]) -> Self {
        let count = pixels.len() as u64;
        let sum: u64 = pixels.iter().map(|&p| u64::from(p)).sum();
        let squares: u64 = pixels.iter().map(|&p| u64::from(p).pow(2)).sum();
        Self { count, sum, spread: count * squares - sum * sum }
    }
}

/// Standard deviation and mean of an input's grey values, rounded down, as [`Levels`] are compared with them.
pub fn contrast_and_mean(input: &[u8]) -> (u8, u8) {
    let Moments { count, sum, spread } = Moments::of(input);
    let count = count.max(1);
    // Both are at most 255.
    ((spread.isqrt() / count) as u8, (sum / count) as u8)
}

/// A picture from afar: the exact means of 16 × 16 cells, less their mean, in 64ths of their standard deviation. All
/// zero where there is no contrast. Brightness and contrast of the picture do not change it except for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View([i16; AREA]);

impl View {
    /// Looks at a picture.
    pub fn of(picture: &Picture<'_>) -> Self {
        let afar = InputContract::stretched(CELLS as u16);
        let cells = picture.prepare(&afar);
        let Moments { count, sum, spread } = Moments::of(&cells);
        // `count` times the standard deviation.
        let deviation = (spread.isqrt() as i64).max(1);
        let mut view = [0; AREA];
        for (value, cell) in view.iter_mut().zip(cells) {
            // At most 16 standard deviations of 64 units: all but one of 256 cells are equal.
            *value = ((i64::from(cell) * count as i64 - sum as i64) * UNIT / deviation) as i16;
        }
        Self(view)
    }

    /// The same picture turned clockwise by quarters of a turn, and then inverted if asked for.
    pub fn held(&self, quarters: usize, negative: bool) -> Self {
        let mut held = *self;
        for _ in 0..quarters % 4 {
            let before = held;
            for (i, value) in held.0.iter_mut().enumerate() {
                let (x, y) = (i % CELLS, i / CELLS);
                *value = before.0[(CELLS - 1 - x) * CELLS + y];
            }
        }
        if negative {
            held.0.iter_mut().for_each(|value| *value = -*value);
        }
        held
    }

    /// Left and right exchanged.
    pub fn mirrored(&self) -> Self {
        let mut mirrored = *self;
        mirrored.0.chunks_exact_mut(CELLS).for_each(<[i16]>::reverse);
        mirrored
    }

    /// The cells as real numbers, in rows.
    pub fn values(&self) -> [f32; AREA] {
        self.0.map(f32::from)
    }
}

/// Weights of -127..=127; in JSON two hexadecimal digits each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Weights(pub Vec<i8>);

impl Weights {
    /// The weights nearest to some real numbers except for a factor, which is given as well: `real = factor · weight`.
    pub fn of(values: &[f64]) -> (Self, f64) {
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let factor = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        (Self(values.iter().map(|value| rounded(value / factor) as i8).collect()), factor)
    }
}

/// To the nearest whole number, halves away from zero, which `core` does not offer; exact for the small numbers here.
fn rounded(value: f64) -> f64 {
    let half = if value < 0.0 { -0.5 } else { 0.5 };
    (value + half) as i64 as f64
}

impl From<Weights> for String {
    fn from(weights: Weights) -> Self {
        let mut text = Self::with_capacity(2 * weights.0.len());
        for weight in weights.0 {
            // Writing to a string does not fail.
            let _ = write!(text, "{:02x}", weight as u8);
        }
        text
    }
}

impl TryFrom<String> for Weights {
    type Error = GuardError;

    fn try_from(text: String) -> Result<Self, GuardError> {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(GuardError);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(GuardError);
        }
        let weights: Result<_, _> =
            pairs.iter().map(|[high, low]| Ok((digit(*high)? << 4 | digit(*low)?) as u8 as i8)).collect();
        weights.map(Self)
    }
}

/// Where training images lie in a space, and how far from them an image may be.
///
/// The squared distance of a point is the least, over the centres, of
/// `rest · |d|² + Σ weights[k] · (directions[k] · d)²`, where `d` is the point less the centre. With principal directions
/// of variance λ and a variance σ² in all others, `rest` is `1 / σ²` and the weight of a direction `1 / λ - 1 / σ²`: that
/// of Mahalanobis for a normal distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// The means of the classes.
    pub centres: Vec<Vec<f32>>,
    /// The directions in which the classes spread most.
    pub directions: Vec<Weights>,
    /// One number for each direction.
    pub weights: Vec<f32>,
    /// The number for all directions.
    pub rest: f32,
    /// Greatest squared distance of what belongs to it.
    pub limit: f32,
}

impl Cloud {
    /// The squared distance of a point from the nearest centre; no number if one of the point's is none.
    pub fn distance(&self, point: &[f32]) -> f64 {
        least(&self.distances(point))
    }

    /// The squared distances of a point from all centres.
    fn distances(&self, point: &[f32]) -> Vec<f64> {
        let from = |centre: &Vec<f32>| {
            let difference: Vec<f64> = point.iter().zip(centre).map(|(p, c)| f64::from(*p) - f64::from(*c)).collect();
            let mut distance = f64::from(self.rest) * difference.iter().map(|d| d * d).sum::<f64>();
            for (direction, weight) in self.directions.iter().zip(&self.weights) {
                let along: f64 = direction.0.iter().zip(&difference).map(|(w, d)| f64::from(*w) * d).sum();
                distance += f64::from(*weight) * along * along;
            }
            distance
        };
        self.centres.iter().map(from).collect()
    }

    /// True for a point within the limit that has as many numbers as the centres.
    pub fn holds(&self, point: &[f32]) -> bool {
        self.centres.iter().all(|centre| centre.len() == point.len()) && self.distance(point) <= f64::from(self.limit)
    }

    /// True if all parts have the same length, and the one given.
    fn fits(&self, length: Option<usize>) -> bool {
        let Some(first) = self.centres.first() else { return false };
        let length = length.unwrap_or(first.len());
        (1..=MAX_NUMBERS).contains(&length)
            && self.centres.len() <= MAX_CENTRES
            && self.directions.len() <= length
            && self.centres.iter().all(|centre| centre.len() == length && centre.iter().all(|c| c.is_finite()))
            && self.directions.iter().all(|direction| direction.0.len() == length)
            && self.weights.len() == self.directions.len()
            && self.weights.iter().chain([&self.rest, &self.limit]).all(|number| number.is_finite())
    }
}

/// The least of these distances, infinite without any; no number if one of them is none.
fn least(distances: &[f64]) -> f64 {
    distances.iter().fold(f64::INFINITY, |least, distance| {
        if least.is_nan() || distance.is_nan() { f64::NAN } else { least.min(*distance) }
    })
}

/// A linear discriminant on views: above the limit lies what should be refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plane {
    /// One weight for each cell.
    pub weights: Weights,
    /// Greatest value of what should not.
    pub limit: i64,
}

impl Plane {
    /// The value of a view, at most 256 · 127 · 2^15.
    pub fn sum(&self, view: &View) -> i64 {
        self.weights.0.iter().zip(view.0).map(|(w, v)| i64::from(*w) * i64::from(v)).sum()
    }

    /// The greater value of a view and its mirror image.
    pub fn value(&self, view: &View) -> i64 {
        i64::max(self.sum(view), self.sum(&view.mirrored()))
    }

    fn crosses(&self, view: &View) -> bool {
        self.value(view) > self.limit
    }
}

#[cfg(test)]
mod tests;
