//! Fits the guard of a model ([`shared::guard`]) on its training images, and measures what it lets through.

mod measure;
mod scene;
#[cfg(test)]
mod tests;
mod unsuitable;

use std::cmp::Reverse;

use data::{Catalogue, InputError, Inputs, Label, augment::Augmentation};
use engine::Model;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use shared::{
    guard::{AREA, Cloud, Guard, Levels, MAX_SITES, Plane, Style, UNIT, View, Weights, contrast_and_mean},
    preprocess::{Channels, Picture, Samples},
};

use crate::{
    MeasureError,
    algebra::{Moments, eigen, solve},
};

pub use measure::{RefusalRow, measure, refusals};
pub use unsuitable::Unsuitable;

/// Fewer training images than these are too few.
const LEAST_IMAGES: usize = 200;

/// Principal directions of the views: enough for what differs from child to child, too few to draw anything else.
const VIEW_DIRECTIONS: usize = 12;

/// Shares of the training images that a limit may refuse, so that all together stay well below 1 in 100 on others.
const REFUSED_BY_LEVEL: f64 = 0.0003;
const REFUSED_BY_VIEW: f64 = 0.002;
const REFUSED_BY_PLANE: f64 = 0.0003;
const REFUSED_AS_TURNED: f64 = 0.0005;
const REFUSED_AS_MIRRORED: f64 = 0.005;
const REFUSED_BY_FEATURES: f64 = 0.001;

/// Share of the validation images that are refused as unfamiliar: what it costs at home not to judge films of elsewhere.
const REFUSED_AS_STRANGE: f64 = 0.03;

/// A whole number varies by at least what rounding adds.
const ROUNDING: f64 = 1.0 / 12.0;

/// Every fourth block of this many training images is held out where the limit of a discriminant is set: one that has
/// learnt from few images does not know others as well.
const BLOCK: usize = 16;

/// Share of the images held out that a discriminant may refuse.
const REFUSED_OF_HELD_OUT: f64 = 0.001;

/// How a patient may lie differently from most: what is added to the training images, so that it is not refused.
fn posture() -> Augmentation {
    Augmentation { width_shift: 0.05, height_shift: 0.05, rotation: 8.0, zoom: 0.08, ..Augmentation::default() }
}

/// Cuts out of an image, one after the other way of cropping: left, top, width and height in parts of the side. Each
/// stands for its mirror image as well.
const CROPS: [[f64; 4]; 6] = [
    [0.0, 0.0, 0.5, 0.5],
    [0.0, 0.5, 0.5, 0.5],
    [0.25, 0.25, 0.5, 0.5],
    [0.0, 0.0, 1.0, 0.5],
    [0.0, 0.5, 1.0, 0.5],
    [0.0, 0.0, 0.5, 1.0],
];

/// Fits what can be said of a model's inputs without its network. `images` hold `side * side` grey values each; `None`
/// if they are too few or none of them has any contrast.
pub fn fit(images: &[&[u8]], side: u16, seed: u64) -> Option<Guard> {
    if images.len() < LEAST_IMAGES {
        return None;
    }
    let side = usize::from(side);
    let seen: Vec<View> = images.par_iter().map(|image| view(image, side, [0.0, 0.0, 1.0, 1.0])).collect();
    let seen = with_mirrored(&seen);
    let moved: Vec<View> = images
        .par_iter()
        .enumerate()
        .map(|(number, image)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number as u64);
            let mut pixels = vec![0.0; side * side];
            posture().draw(&mut rng).apply(image, side, &mut pixels);
            let pixels: Vec<u8> = pixels.iter().map(|value| value.round() as u8).collect();
            view(&pixels, side, [0.0, 0.0, 1.0, 1.0])
        })
        .collect();
    let all = [seen.clone(), with_mirrored(&moved)].concat();

    let points: Vec<Vec<f32>> = all.iter().map(|view| view.values().to_vec()).collect();
    let mut views = cloud(&[points], VIEW_DIRECTIONS)?;
    views.limit = upper(seen.par_iter().map(|view| views.distance(&view.values())).collect(), REFUSED_BY_VIEW) as f32;
    let crop = |crop: &[f64; 4]| cropped_plane(&seen, &all, images, side, *crop);
    let crops = CROPS.par_iter().map(crop).collect::<Option<Vec<_>>>()?;
    let mirrored = Some(mirrored_plane(&seen[..images.len()], &moved)?);
    let lead = |view: &View| {
        let nearest = (1..8).map(|way| views.distance(&view.held(way % 4, way >= 4).values())).fold(f64::MAX, f64::min);
        views.distance(&view.values()) - nearest
    };
    let lead = upper(seen.par_iter().map(lead).collect(), REFUSED_AS_TURNED).max(0.0) as f32;
    Some(Guard {
        images: images.len() as u32,
        levels: levels(images),
        views,
        lead,
        crops,
        mirrored,
        features: None,
        style: None,
    })
}

/// Fits what training images of this model are like to its network, class by class at each site, of the largest ones if
/// there are many, and in style; and on those of `validation` how strange an image may be. A network without features has
/// styles alone.
pub fn fit_familiar(
    guard: &mut Guard,
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    train: &[usize],
    validation: &[usize],
) -> Result<(), MeasureError> {
    let contract = &model.card().behaviour.contract;
    let features = |&index: &usize| Ok::<_, MeasureError>(model.examine(&inputs.of(index)?)?.features);
    let train = train.iter().map(|&index| (index, index));
    let mut sites: Vec<Vec<usize>> = catalogue.grouped_by_site(train).into_values().collect();
    sites.sort_by_key(|site| Reverse(site.len()));
    sites.truncate(MAX_SITES);

    let mut classes = Vec::new();
    for (site, label) in sites.iter().flat_map(|site| Label::ALL.map(|label| (site, label))) {
        let of_it: Vec<_> = site.iter().filter(|index| catalogue.samples[**index].label == label).collect();
        classes.push(of_it.into_par_iter().map(features).collect::<Result<Vec<_>, MeasureError>>()?);
    }
    let size = classes.iter().flatten().next().map_or(0, Vec::len);
    guard.features = cloud(&classes, size / 2).map(|cloud| {
        let distances = classes.iter().flatten().map(|features| cloud.distance(features)).collect();
        Cloud { limit: upper(distances, REFUSED_BY_FEATURES) as f32, ..cloud }
    });
    let style = |&index: &usize| {
        let style = inputs.of(index).map(|input| Style::of(&input, contract)).transpose()?;
        Some(style.map(|style| style.values()))
    };
    let styles: Vec<Vec<_>> = sites
        .iter()
        .map(|site| site.par_iter().filter_map(style).collect::<Result<Vec<_>, InputError>>())
        .collect::<Result<_, InputError>>()?;
    guard.style = style_cloud(&styles);
    let strangeness = |&index: &usize| {
        let features = features(&index)?;
        Ok(guard.strangeness(&features, &inputs.of(index)?, contract))
    };
    let others: Vec<Option<f64>> = validation.par_iter().map(strangeness).collect::<Result<_, MeasureError>>()?;
    if let Some(style) = &mut guard.style {
        style.limit = upper(others.into_iter().flatten().collect(), REFUSED_AS_STRANGE) as f32;
    }
    Ok(())
}

/// Where the styles of each site lie; its limit is not set yet. All sites share one covariance about their own means: what
/// lies between two hospitals is like neither. Numbers hang together so closely that a few directions would not do: all are
/// kept, each by the variance along it as it is rounded. `None` without points.
fn style_cloud(sites: &[Vec<Vec<f32>>]) -> Option<Cloud> {
    let (centres, scatter) = pooled(sites, sites.first()?.first()?.len());
    let (directions, weights) = eigen(scatter.clone())
        .iter()
        .map(|(_, direction)| {
            let (weights, _) = Weights::of(direction);
            let along: Vec<f64> = weights.0.iter().map(|weight| f64::from(*weight)).collect();
            let product = |row: &Vec<f64>| row.iter().zip(&along).map(|(a, b)| a * b).sum::<f64>();
            let variance: f64 = scatter.iter().map(product).zip(&along).map(|(a, b)| a * b).sum();
            let length: f64 = along.iter().map(|a| a * a).sum();
            (weights, (1.0 / variance.max(length * ROUNDING)) as f32)
        })
        .unzip();
    Some(Cloud { centres, directions, weights, rest: 0.0, limit: f32::MAX })
}

/// How much darker, brighter and flatter than these an image may not be.
fn levels(images: &[&[u8]]) -> Levels {
    let (contrasts, means): (Vec<u8>, Vec<u8>) = images.iter().map(|image| contrast_and_mean(image)).unzip();
    let numbers = |values: &[u8], sign: f64| values.iter().map(|v| sign * f64::from(*v)).collect::<Vec<f64>>();
    Levels {
        dark: -upper(numbers(&means, -1.0), REFUSED_BY_LEVEL) as u8,
        // What lies between two whole numbers counts as the upper one.
        bright: (upper(numbers(&means, 1.0), REFUSED_BY_LEVEL) as u8).saturating_add(1),
        contrast: -upper(numbers(&contrasts, -1.0), REFUSED_BY_LEVEL) as u8,
    }
}

/// What a part of an image, left, top, width and height in parts of its side, looks like from afar.
fn view(image: &[u8], side: usize, part: [f64; 4]) -> View {
    View::of(&cut(image, side, part))
}

/// A part of a square image: left, top, width and height in parts of its side.
fn cut(image: &[u8], side: usize, part: [f64; 4]) -> Picture<'_> {
    let at = |share: f64| (share * side as f64).round() as usize;
    let [left, top, right, bottom] = [part[0], part[1], part[0] + part[2], part[1] + part[3]].map(at);
    let (width, height) = (right - left, bottom - top);
    let start = top * side + left;
    let samples = Samples::U8(&image[start..]);
    match Picture::new(samples, Channels::Grey, width as u32, height as u32, side) {
        Ok(picture) => picture,
        Err(_) => unreachable!("parts of squares of at least 16 pixels"),
    }
}

fn with_mirrored(views: &[View]) -> Vec<View> {
    views.iter().copied().chain(views.iter().map(View::mirrored)).collect()
}

/// The value that the given share of all lies above; they must not be empty.
fn upper(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let above = (share * values.len() as f64) as usize;
    values.get(values.len().saturating_sub(above + 1)).copied().unwrap_or_default()
}

/// The means of classes of points of `size` numbers, and the covariance about them that all classes share.
fn pooled(classes: &[Vec<Vec<f32>>], size: usize) -> (Vec<Vec<f32>>, Vec<Vec<f64>>) {
    let mut centres = Vec::with_capacity(classes.len());
    let mut scatter = Moments::new(size);
    for class in classes {
        let mut sums = vec![0.0; size];
        class.iter().for_each(|point| sums.iter_mut().zip(point).for_each(|(sum, p)| *sum += f64::from(*p)));
        let centre: Vec<f32> = sums.iter().map(|sum| (sum / class.len() as f64) as f32).collect();
        for point in class {
            let difference: Vec<f64> = point.iter().zip(&centre).map(|(p, c)| f64::from(*p) - f64::from(*c)).collect();
            scatter.add(&difference);
        }
        centres.push(centre);
    }
    let count: usize = classes.iter().map(Vec::len).sum();
    (centres, scatter.matrix(1.0 / count as f64))
}

/// Where classes of points lie; its limit is not set yet. `None` if the points have fewer than two numbers, if they are
/// equal, or if a class has none.
fn cloud(classes: &[Vec<Vec<f32>>], directions: usize) -> Option<Cloud> {
    let size = classes.first()?.first()?.len();
    if size < 2 || classes.iter().any(Vec::is_empty) {
        return None;
    }
    let (centres, scatter) = pooled(classes, size);
    let pairs = eigen(scatter);
    let (first, others) = pairs.split_at(directions.min(size - 1));
    let rest = others.iter().map(|(variance, _)| variance.max(0.0)).sum::<f64>() / others.len() as f64;
    if rest <= 0.0 {
        return None;
    }
    let (directions, weights) = first
        .iter()
        .map(|(variance, direction)| {
            let (weights, factor) = Weights::of(direction);
            (weights, ((1.0 / variance.max(rest) - 1.0 / rest) * factor * factor) as f32)
        })
        .unzip();
    Some(Cloud { centres, directions, weights, rest: (1.0 / rest) as f32, limit: f32::MAX })
}

/// True for an image of `count`, or a form of it in series of as many, whose block is held out.
fn held_out(number: usize, count: usize) -> bool {
    (number % count) / BLOCK % 4 == 3
}

/// What parts whole images, `all`, from those cropped in this way.
fn cropped_plane(seen: &[View], all: &[View], images: &[&[u8]], side: usize, crop: [f64; 4]) -> Option<Plane> {
    let count = images.len();
    let learnt = |number: &usize| !held_out(*number, count);
    let cropped: Vec<View> = (0..count).filter(learnt).map(|number| view(images[number], side, crop)).collect();
    // Where left and right are alike, so are both ways of cropping.
    let cropped = if crop[0] * 2.0 + crop[2] == 1.0 { with_mirrored(&cropped) } else { cropped };
    // As many images follow each other here again and again: as they are, mirrored, moved.
    let whole: Vec<View> = (0..all.len()).filter(learnt).map(|number| all[number]).collect();
    let mut plane = Plane { weights: discriminant(&whole, &cropped)?, limit: i64::MAX };
    let values = seen.iter().map(|view| plane.value(view)).collect();
    plane.limit = limit(values, count, REFUSED_BY_PLANE, REFUSED_OF_HELD_OUT);
    Some(plane)
}

/// What parts images, `upright` and moved, from their mirror images.
fn mirrored_plane(upright: &[View], moved: &[View]) -> Option<Plane> {
    let count = upright.len();
    let learnt = |views: &[View]| -> Vec<View> {
        views.iter().enumerate().filter(|(number, _)| !held_out(*number, count)).map(|(_, view)| *view).collect()
    };
    let whole = [learnt(upright), learnt(moved)].concat();
    let mirrored: Vec<View> = whole.iter().map(View::mirrored).collect();
    let mut plane = Plane { weights: discriminant(&whole, &mirrored)?, limit: i64::MAX };
    let values = upright.iter().map(|view| plane.sum(view)).collect();
    plane.limit = limit(values, count, REFUSED_AS_MIRRORED, REFUSED_AS_MIRRORED);
    Some(plane)
}

/// A linear discriminant by ridge regression: -1 for what should pass, 1 for what should not.
fn discriminant(good: &[View], bad: &[View]) -> Option<Weights> {
    let mut moments = Moments::new(AREA + 1);
    let mut target = vec![0.0; AREA + 1];
    for (views, wanted) in [(good, -1.0), (bad, 1.0)] {
        for view in views {
            let point: Vec<f64> =
                view.values().iter().map(|value| f64::from(*value) / UNIT as f64).chain([1.0]).collect();
            target.iter_mut().zip(&point).for_each(|(sum, p)| *sum += wanted * p);
            moments.add(&point);
        }
    }
    let mut matrix = moments.matrix(1.0);
    let ridge = 0.01 * (good.len() + bad.len()) as f64;
    matrix.iter_mut().enumerate().for_each(|(i, row)| row[i] += ridge);
    Some(Weights::of(&solve(matrix, target)?[..AREA]).0)
}

/// The limit above which the given shares lie, of all `count` images and of those held out: the greater one. Values are in
/// series of as many.
fn limit(values: Vec<i64>, count: usize, of_all: f64, of_held_out: f64) -> i64 {
    let unknown = values.iter().enumerate().filter(|(number, _)| held_out(*number, count));
    let unknown = unknown.map(|(_, value)| *value as f64).collect();
    let all = values.iter().map(|value| *value as f64).collect();
    upper(all, of_all).max(upper(unknown, of_held_out)) as i64
}
