//! Recognises global average pooling and one dense layer at the end of a fused network.

use kernels::{Border, Filters, Layer, Shape};

use super::Plan;
use crate::activation::{Grid, Head};

impl Plan {
    /// The end of the network and the feature map that it reads. `None` if it ends differently.
    ///
    /// The factors are those by which the integers become the logit, so they need not be consistent with each other.
    pub(crate) fn head(&self) -> Option<(usize, Head)> {
        let (average, dense) = self.linear(self.output)?;
        let Layer::Convolution { filters: dense, pool: false, .. } = dense else { return None };
        let (map, pooling) = self.linear(average)?;
        let Layer::Depthwise(pooling) = pooling else { return None };
        let Shape { height, width, .. } = self.shapes[map];
        if !is_whole(dense, [1, 1]) || !is_whole(pooling, [height, width]) || pooling.bias.iter().any(|&bias| bias != 0)
        {
            return None;
        }
        let logit = self.scale * dense.multipliers.first()?;
        // What a value adds to the integer that the dense layer reads.
        let channels = pooling.weights.chunks_exact(height * width).zip(&pooling.multipliers);
        let share = |(weights, multiplier): (&[i8], &f32)| {
            let &weight = weights.first()?;
            (weight >= 0 && weights.iter().all(|&other| other == weight)).then_some(multiplier * f32::from(weight))
        };
        let shares: Vec<f32> = channels.map(share).collect::<Option<_>>()?;
        let weights = shares.iter().zip(&dense.weights).map(|(share, &weight)| logit * f32::from(weight) * share);
        let averages = shares.iter().map(|share| share * self.scales[average]);
        let bias = logit * *dense.bias.first()? as f32;
        let head = Head::new([height, width], weights.collect(), averages.collect(), bias, self.grid(map));
        head.map(|head| (map, head))
    }

    /// The layer that makes a map, with the one map that it reads.
    fn linear(&self, map: usize) -> Option<(usize, &Layer)> {
        let step = self.steps.get(map.checked_sub(1)?)?;
        match step.maps[..] {
            [from] => Some((from, &step.layer)),
            _ => None,
        }
    }

    /// Where the cells of a map lie. Both terms of a sum are taken to lie where the first does.
    fn grid(&self, map: usize) -> Grid {
        let mut grids = vec![Grid::PIXELS];
        for step in &self.steps[..map] {
            let from = grids[step.maps[0]];
            let windowed = |filters: &Filters| {
                let Border { top, left, .. } = filters.window.padding;
                from.windowed(filters.window.kernel, filters.window.stride, [top, left])
            };
            let pooled = |grid: Grid| grid.windowed([2; 2], [2; 2], [0; 2]);
            grids.push(match &step.layer {
                Layer::Convolution { filters, pool: true, .. } => pooled(windowed(filters)),
                Layer::Convolution { filters, .. } | Layer::Depthwise(filters) => windowed(filters),
                Layer::MaxPool => pooled(from),
                Layer::Add { .. } => from,
            });
        }
        grids[map]
    }
}

/// True if a window is the whole map, and nothing is cut off after it.
fn is_whole(filters: &Filters, map: [usize; 2]) -> bool {
    filters.window.kernel == map && filters.window.padding == Border::default() && !filters.relu
}
