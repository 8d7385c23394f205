//! Convolutions computed as they are defined: how their weights are packed, and in what order products are added.
//!
//! Kernels compute a tile of outputs at once: some pixels × [`BLOCK`] channels. In memory a row of the window is one run of
//! bytes, column after column and channel after channel. The runs are cut into *steps* of a few bytes (4 for instructions
//! that add four products, with zero weights where a run ends in the middle). For each block of output channels the packed
//! weights hold, step after step, BLOCK × step bytes; `offsets` tells where each step's inputs lie, so the steps may come in
//! any order.

use aligned_vec::{AVec, ConstAlign};

use crate::{
    layer::Filters,
    layout::Layout,
    tiling::{BLOCK, Tiling},
};

/// Most steps of a chain.
pub(crate) const LONGEST: usize = 4;

/// Steps among which the next one of a chain is looked for.
const CANDIDATES: usize = 64;

/// A convolution, packed.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    pub(crate) tiling: Tiling,
    pub(crate) steps: Steps,
    pub(crate) blocks: Vec<Block>,
    pub(crate) lowest: f32,
}

/// How the weights are cut into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Steps of 2 bytes.
    Pairs,
    /// Steps of 4 bytes, one by one.
    Single,
    /// Steps of 4 bytes in chains. Only for inputs without negative values.
    Chained,
}

impl Steps {
    fn bytes(self) -> usize {
        if self == Self::Pairs { 2 } else { 4 }
    }
}

/// What belongs to BLOCK output channels.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where the inputs of each step lie from the window's first value on.
    pub(crate) offsets: Vec<u32>,
    /// Number of chains of 4, 3, 2 and 1 steps, in which order they come. The sums of two adjacent products of all steps of a
    /// chain together fit i16.
    pub(crate) chains: [usize; LONGEST],
    /// Weights: step, output channel, byte of the step.
    pub(crate) weights: AVec<i8, ConstAlign<64>>,
    pub(crate) bias: [i32; BLOCK],
    pub(crate) multipliers: [f32; BLOCK],
}

/// The weights of a step: for each output channel of a block its bytes.
struct Step {
    offset: u32,
    weights: Vec<i8>,
}

impl Direct {
    /// Packs a convolution.
    pub(crate) fn pack(filters: &Filters, pool: bool, [from, to]: [Layout; 2], cut: Steps) -> Self {
        let outputs = to.shape().channels;
        let blocks = (0..outputs).step_by(BLOCK).map(|first| {
            let channels = first..outputs.min(first + BLOCK);
            let steps = steps(filters, from, channels.clone(), cut.bytes());
            let (steps, chains) = if cut == Steps::Chained { chained(steps) } else { (steps, [0; LONGEST]) };
            let mut block = Block {
                offsets: steps.iter().map(|step| step.offset).collect(),
                chains,
                weights: AVec::from_iter(64, steps.iter().flat_map(|step| step.weights.iter().copied())),
                bias: [0; BLOCK],
                multipliers: [0.0; BLOCK],
            };
            block.bias[..channels.len()].copy_from_slice(&filters.bias[channels.clone()]);
            block.multipliers[..channels.len()].copy_from_slice(&filters.multipliers[channels]);
            block
        });
        Self {
            tiling: Tiling::new(&filters.window, pool, [from, to]),
            steps: cut,
            blocks: blocks.collect(),
            lowest: filters.lowest(),
        }
    }
}

fn steps(filters: &Filters, from: Layout, channels: std::ops::Range<usize>, step: usize) -> Vec<Step> {
    let [rows, columns] = filters.window.kernel;
    let inputs = from.shape().channels;
    let run = columns * inputs;
    let mut steps = Vec::new();
    for row in 0..rows {
        for start in (0..run).step_by(step) {
            let mut weights = vec![0; BLOCK * step];
            for (slot, output) in channels.clone().enumerate() {
                for byte in 0..step.min(run - start) {
                    let (column, input) = ((start + byte) / inputs, (start + byte) % inputs);
                    weights[slot * step + byte] =
                        filters.weights[((output * inputs + input) * rows + row) * columns + column];
                }
            }
            // A map has at most 64 MiB.
            steps.push(Step { offset: (row * from.row() + start) as u32, weights });
        }
    }
    steps
}

/// Largest sum of weights of one sign for which the sum of products with 0..=127 fits i16.
const LIMIT: u16 = 258;

/// The sums of the positive and of the negative weights of each two adjacent bytes of a step: what it takes of [`LIMIT`].
type Load = [u16; 4 * BLOCK];

fn load(step: &Step) -> Load {
    let mut load = [0; 4 * BLOCK];
    for (sums, pair) in load.chunks_exact_mut(2).zip(step.weights.chunks_exact(2)) {
        for &weight in pair {
            sums[usize::from(weight < 0)] += u16::from(weight.unsigned_abs());
        }
    }
    load
}

/// Puts steps in chains, the longest first, and counts the chains of each length.
///
/// A step alone always fits: twice 128 is below the limit. Greedy: of some that are left, the next step is the one that
/// leaves most room.
fn chained(steps: Vec<Step>) -> (Vec<Step>, [usize; LONGEST]) {
    let loads: Vec<Load> = steps.iter().map(load).collect();
    let with = |sum: &Load, step: usize| -> Load { std::array::from_fn(|lane| sum[lane] + loads[step][lane]) };
    let largest = |load: &Load| load.iter().copied().max().unwrap_or_default();
    let mut left: Vec<usize> = (0..steps.len()).collect();
    left.sort_by_key(|&step| largest(&loads[step]));
    let mut chains: Vec<Vec<usize>> = Vec::new();
    while let Some(first) = left.pop() {
        let mut chain = vec![first];
        let mut sum = loads[first];
        while chain.len() < LONGEST {
            let room = |&at: &usize| largest(&with(&sum, left[at]));
            let Some(at) = (0..left.len().min(CANDIDATES)).min_by_key(room).filter(|at| room(at) <= LIMIT) else {
                break;
            };
            let next = left.remove(at);
            sum = with(&sum, next);
            chain.push(next);
        }
        chains.push(chain);
    }
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.len()));
    let count = |length: usize| chains.iter().filter(|chain| chain.len() == length).count();
    let counts = std::array::from_fn(|i| count(LONGEST - i));
    let mut steps: Vec<_> = steps.into_iter().map(Some).collect();
    (chains.into_iter().flatten().filter_map(|step| steps[step].take()).collect(), counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(weights: [i8; 4]) -> Step {
        Step { offset: 0, weights: weights.repeat(BLOCK) }
    }

    #[test]
    fn chains_keep_every_sum_in_range() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as i8
        };
        let steps: Vec<Step> = (0..101)
            .map(|i| Step {
                offset: i,
                weights: (0..4 * BLOCK).map(|_| random() / if i < 40 { 1 } else { 4 }).collect(),
            })
            .collect();
        let (steps, counts) = chained(steps);
        let mut offsets: Vec<u32> = steps.iter().map(|step| step.offset).collect();
        offsets.sort_unstable();
        assert!(offsets.into_iter().eq(0..101), "a step is missing or twice there");
        let mut rest = steps.as_slice();
        for (i, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                let (chain, after) = rest.split_at(LONGEST - i);
                rest = after;
                for lane in 0..4 * BLOCK {
                    assert!(chain.iter().map(|step| load(step)[lane]).sum::<u16>() <= 258);
                }
            }
        }
        assert!(rest.is_empty() && counts[0] > 0 && counts[3] > 0, "{counts:?}");
    }

    #[test]
    fn steps_that_fill_the_range_stay_alone() {
        // 127 + 127 + 4 is the limit, 127 + 127 + 5 beyond it.
        let counts = |second| chained(vec![step([127, 127, 0, 0]), step(second)]).1;
        assert_eq!(counts([4, 0, 127, 127]), [0, 0, 1, 0]);
        assert_eq!(counts([5, 0, 0, 0]), [0, 0, 0, 2]);
        assert_eq!(counts([-128, -127, -1, 1]), [0, 0, 1, 0]);
    }
}
