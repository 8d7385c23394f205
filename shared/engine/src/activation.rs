//! What each place of an image adds to a network's answer: class activation maps (Zhou et al., CVPR 2016).
//!
//! Where a network ends in global average pooling and one dense layer, the log-odds are a sum over the places of its last
//! feature map. With weights `w` of the dense layer, its bias `b`, and `x` the last map of `n` places:
//!
//! `log-odds = b + Σ_channel w[channel] · mean x[channel] = b + Σ_place (Σ_channel w[channel] · x[channel, place] / n)`
//!
//! What is in parentheses is the map. It costs one multiplication for each value of the last map and no second run.

use std::hash::{Hash, Hasher};

use shared::evidence::{Cells, Evidence, Place};

use crate::card::Behaviour;

/// Where the cells of a map lie on the model's input: down, and to the right.
///
/// In pixels of the input, counted from its upper left corner: the pixel of index 0 reaches from 0 to 1, and its centre is
/// at 0.5. The centre of a cell is that of the square of pixels that it depends on, its receptive field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Centre of the first cell.
    pub first: [f32; 2],
    /// From one centre to the next.
    pub step: [f32; 2],
    /// Extent of the receptive field of a cell.
    pub reach: [f32; 2],
}

impl Grid {
    /// The pixels themselves.
    pub(crate) const PIXELS: Self = Self { first: [0.5; 2], step: [1.0; 2], reach: [1.0; 2] };

    /// The grid of what a window makes of this one, with `before` cells of padding above and to the left.
    pub(crate) fn windowed(self, kernel: [usize; 2], stride: [usize; 2], before: [usize; 2]) -> Self {
        let Self { first, step, reach } = self;
        let longer = kernel.map(|cells| cells as f32 - 1.0);
        Self {
            first: [0, 1].map(|axis| first[axis] + step[axis] * (longer[axis] / 2.0 - before[axis] as f32)),
            step: [0, 1].map(|axis| step[axis] * stride[axis] as f32),
            reach: [0, 1].map(|axis| reach[axis] + step[axis] * longer[axis]),
        }
    }

    /// Centre of a cell.
    pub fn centre(&self, row: usize, column: usize) -> [f32; 2] {
        [self.first[0] + self.step[0] * row as f32, self.first[1] + self.step[1] * column as f32]
    }

    fn is_finite(&self) -> bool {
        [self.first, self.step, self.reach].as_flattened().iter().all(|value| value.is_finite())
    }
}

/// What each place of an image adds to the log-odds of pneumonia.
///
/// The sum of the values and the bias is the logit as the network would give it without rounding and limits after the
/// last feature map; in f32 that is the logit, in int8 it differs by what the last two layers round off.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationMap {
    /// Rows of cells, at least 1.
    pub rows: usize,
    /// Cells in a row, at least 1.
    pub columns: usize,
    /// Log-odds that a cell adds, row by row; all are finite in int8.
    pub values: Vec<f32>,
    /// Log-odds that are added whatever the image.
    pub bias: f32,
    /// Where the cells lie.
    pub grid: Grid,
}

impl ActivationMap {
    /// What is drawn over a radiograph of `width × height` pixels that became the input of the model that behaves so, with its
    /// outlines. `None` if the cells have no places.
    pub fn evidence(&self, behaviour: &Behaviour, [width, height]: [u32; 2]) -> Option<Evidence> {
        let Self { rows, columns, ref grid, .. } = *self;
        let [first, step] = [grid.first, grid.step].map(|[down, right]| Place { down, right });
        let cells = Cells { rows, columns, local: self.local(), first, step };
        let evidence = Evidence::new(cells, &behaviour.contract, [width, height])?;
        Some(evidence.outlined(behaviour.outlines.unwrap_or_default()))
    }

    /// Local log-odds: what the model would say if all places were like this one. Their mean is the sum of the map and the
    /// bias.
    pub fn local(&self) -> Vec<f32> {
        let cells = self.values.len() as f32;
        self.values.iter().map(|value| value * cells + self.bias).collect()
    }
}

/// What a head makes of a last feature map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// The averages of the channels.
    pub(crate) features: Vec<f32>,
    pub(crate) map: ActivationMap,
}

/// The end of a network whose log-odds are a sum over the places of its last feature map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    rows: usize,
    columns: usize,
    /// What a value of each channel adds to the log-odds.
    weights: Vec<f32>,
    /// What a value of each channel adds to the average of its channel.
    averages: Vec<f32>,
    bias: f32,
    grid: Grid,
}

impl Hash for Head {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.rows, self.columns).hash(state);
        let Grid { first, step, reach } = self.grid;
        let places = [first, step, reach];
        let reals = [&self.weights, &self.averages, &[self.bias][..], places.as_flattened()];
        reals.into_iter().flatten().for_each(|real| real.to_bits().hash(state));
    }
}

impl Head {
    /// Channels of the map, each of which has an average.
    pub(crate) fn channels(&self) -> usize {
        self.weights.len()
    }

    /// `None` if weights and averages are not as many, if there are none, or if they are so large that a sum of values of up
    /// to 128 is not finite.
    pub(crate) fn new(
        [rows, columns]: [usize; 2],
        weights: Vec<f32>,
        averages: Vec<f32>,
        bias: f32,
        grid: Grid,
    ) -> Option<Self> {
        let values = (rows * columns) as f32 * 128.0;
        let most = |factors: &[f32]| factors.iter().map(|factor| factor.abs()).sum::<f32>() * values;
        let sums = [most(&weights), most(&averages), bias];
        let usable = sums.iter().all(|sum| sum.is_finite()) && grid.is_finite();
        let cells = rows * columns * weights.len();
        (usable && cells > 0 && weights.len() == averages.len()).then_some(Self {
            rows,
            columns,
            weights,
            averages,
            bias,
            grid,
        })
    }

    /// The averages of the channels and the map, from the last map's value at a row, a column and a channel.
    pub(crate) fn see(&self, value: impl Fn(usize, usize, usize) -> f32) -> Seen {
        let mut features = vec![0.0; self.weights.len()];
        let mut values = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let mut sum = 0.0;
                for (channel, (feature, weight)) in features.iter_mut().zip(&self.weights).enumerate() {
                    let value = value(row, column, channel);
                    *feature += value;
                    sum += value * weight;
                }
                values.push(sum);
            }
        }
        features.iter_mut().zip(&self.averages).for_each(|(feature, average)| *feature *= average);
        let Self { rows, columns, bias, grid, .. } = *self;
        Seen { features, map: ActivationMap { rows, columns, values, bias, grid } }
    }

    /// The same from the last map as one plane after the other. `None` if the number of values differs.
    pub(crate) fn see_planes(&self, map: &[f32]) -> Option<Seen> {
        let Self { rows, columns, .. } = *self;
        let fits = map.len() == rows * columns * self.weights.len();
        fits.then(|| self.see(|row, column, channel| map[(channel * rows + row) * columns + column]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_lie_where_their_windows_do() {
        // 3×3 without padding, then 2×2 pooling: the cell 0 sees pixels 0..4, the next one 2..6.
        let block = |grid: Grid| grid.windowed([3; 2], [1; 2], [0; 2]).windowed([2; 2], [2; 2], [0; 2]);
        let once = block(Grid::PIXELS);
        assert_eq!(once, Grid { first: [2.0; 2], step: [2.0; 2], reach: [4.0; 2] });
        // 0..10 and 4..14.
        assert_eq!(block(once), Grid { first: [5.0; 2], step: [4.0; 2], reach: [10.0; 2] });
        assert_eq!(block(once).centre(1, 2), [9.0, 13.0]);
        // With padding 1 a 3×3 window is centred on its pixel.
        assert_eq!(Grid::PIXELS.windowed([3; 2], [1; 2], [1; 2]).first, [0.5; 2]);
        // Axes are independent.
        assert_eq!(Grid::PIXELS.windowed([1, 5], [1, 3], [0, 1]).first, [0.5, 1.5]);
    }

    #[test]
    fn what_would_not_be_numbers_is_no_head() {
        let head = |weight: f32, bias: f32| Head::new([2, 2], vec![weight; 3], vec![0.25; 3], bias, Grid::PIXELS);
        assert!(head(1.0, 0.0).is_some());
        assert!(head(1e36, 0.0).is_none());
        assert!(head(1.0, f32::INFINITY).is_none());
        assert!(head(f32::NAN, 0.0).is_none());
        let far = Grid { first: [f32::INFINITY; 2], ..Grid::PIXELS };
        assert!(Head::new([2, 2], vec![1.0], vec![0.25], 0.0, far).is_none());
        assert!(Head::new([2, 2], vec![1.0], vec![], 0.0, Grid::PIXELS).is_none());
        assert!(Head::new([2, 2], vec![], vec![], 0.0, Grid::PIXELS).is_none());
    }

    #[test]
    fn features_and_map_are_sums_of_the_same_values() {
        let head = Head::new([1, 2], vec![3.0, -1.0], vec![0.5, 0.5], 0.25, Grid::PIXELS).expect("a head");
        let values = [[2.0, 1.0], [4.0, 7.0]];
        let Seen { features, map } = head.see(|_, column, channel| values[column][channel]);
        assert_eq!(features, [3.0, 4.0]);
        assert_eq!((map.values, map.bias), (vec![5.0, 5.0], 0.25));
    }
}
