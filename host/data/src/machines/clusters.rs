//! k-means: points into groups around their means (S. Lloyd, IEEE Trans. Inf. Theory 28 (1982) 129), begun as k-means++ (D.
//! Arthur, S. Vassilvitskii, SODA 2007).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Seed of the beginnings.
const SEED: u64 = 1;

/// How often it begins anew: the groups of the least sum of squared distances are kept.
const STARTS: usize = 10;

/// Rounds at most.
const ROUNDS: usize = 200;

/// The group of each point, of `number` at most: 0 for the largest. The same points give the same groups.
pub(super) fn find(points: &[Vec<f64>], number: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let starts = (0..STARTS).map(|_| settle(points, begin(points, number, &mut rng)));
    let (groups, _) = starts.min_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or_default();
    by_size(&groups, number)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Points far from each other: each is drawn by its squared distance from the nearest one before.
fn begin(points: &[Vec<f64>], number: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut centres: Vec<Vec<f64>> = Vec::new();
    let mut nearest = vec![1.0; points.len()];
    while centres.len() < number.min(points.len()) {
        let mut left = rng.random::<f64>() * nearest.iter().sum::<f64>();
        let drawn = nearest.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        let centre = points[drawn.unwrap_or(0)].clone();
        for (nearest, point) in nearest.iter_mut().zip(points) {
            let distance = distance(point, &centre);
            *nearest = if centres.is_empty() { distance } else { nearest.min(distance) };
        }
        centres.push(centre);
    }
    centres
}

/// Moves the centres until no point changes its group: the groups, and the sum of squared distances.
fn settle(points: &[Vec<f64>], mut centres: Vec<Vec<f64>>) -> (Vec<usize>, f64) {
    let mut groups = vec![usize::MAX; points.len()];
    let mut sum = 0.0;
    for _ in 0..ROUNDS {
        let mut moved = false;
        sum = 0.0;
        for (group, point) in groups.iter_mut().zip(points) {
            let distances = centres.iter().map(|centre| distance(point, centre)).enumerate();
            let Some((nearest, away)) = distances.min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            sum += away;
            moved |= std::mem::replace(group, nearest) != nearest;
        }
        if !moved {
            break;
        }
        for (number, centre) in centres.iter_mut().enumerate() {
            let inside: Vec<&Vec<f64>> =
                points.iter().zip(&groups).filter(|(_, group)| **group == number).map(|(point, _)| point).collect();
            // A group without points keeps its centre.
            if !inside.is_empty() {
                for (place, value) in centre.iter_mut().enumerate() {
                    *value = inside.iter().map(|point| point[place]).sum::<f64>() / inside.len() as f64;
                }
            }
        }
    }
    (groups, sum)
}

/// The groups numbered anew, the largest first.
fn by_size(groups: &[usize], number: usize) -> Vec<usize> {
    let mut sizes: Vec<(usize, usize)> = (0..number).map(|group| (group, 0)).collect();
    for &group in groups {
        sizes[group].1 += 1;
    }
    sizes.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
    let mut ranks = vec![0; number];
    for (rank, (group, _)) in sizes.into_iter().enumerate() {
        ranks[group] = rank;
    }
    groups.iter().map(|&group| ranks[group]).collect()
}
