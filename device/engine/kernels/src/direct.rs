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

/// Steps among which a partner is looked for.
const CANDIDATES: usize = 24;

/// A convolution, packed.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    pub(crate) tiling: Tiling,
    /// True if the input may have negative values.
    pub(crate) signed_input: bool,
    pub(crate) blocks: Vec<Block>,
    pub(crate) lowest: f32,
}

/// What belongs to BLOCK output channels.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where the inputs of each step lie from the window's first value on.
    pub(crate) offsets: Vec<u32>,
    /// Number of the leading steps that come in pairs: the sums of both steps' products fit i16.
    pub(crate) paired: usize,
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
    /// Packs a convolution into steps of `step` bytes. With `pair`, steps whose sums of two adjacent products fit i16 together
    /// are put in pairs.
    pub(crate) fn pack(filters: &Filters, pool: bool, [from, to]: [Layout; 2], step: usize, pair: bool) -> Self {
        let outputs = to.shape().channels;
        let blocks = (0..outputs).step_by(BLOCK).map(|first| {
            let channels = first..outputs.min(first + BLOCK);
            let steps = steps(filters, from, channels.clone(), step);
            let (steps, paired) = if pair { paired(steps) } else { (steps, 0) };
            let mut block = Block {
                offsets: steps.iter().map(|step| step.offset).collect(),
                paired,
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
            signed_input: filters.signed_input,
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
const PAIR_LIMIT: i16 = 258;

/// The sums of the positive and of the negative weights of each two adjacent bytes.
fn signed_sums(step: &Step) -> Vec<[i16; 2]> {
    let part = |pair: &[i8], sign: i16| pair.iter().map(|&w| (sign * i16::from(w)).max(0)).sum();
    step.weights.chunks_exact(2).map(|pair| [part(pair, 1), part(pair, -1)]).collect()
}

/// Puts steps first, in pairs, whose sums of products fit i16 together, and tells how many these are.
///
/// Greedy: each step takes, of the next few that are left, the first that fits.
fn paired(steps: Vec<Step>) -> (Vec<Step>, usize) {
    let sums: Vec<_> = steps.iter().map(signed_sums).collect();
    let fits = |a: usize, b: usize| {
        sums[a].iter().zip(&sums[b]).all(|(a, b)| a[0] + b[0] <= PAIR_LIMIT && a[1] + b[1] <= PAIR_LIMIT)
    };
    let (mut first, mut single) = (Vec::new(), Vec::new());
    let mut left: std::collections::VecDeque<usize> = (0..steps.len()).collect();
    while let Some(step) = left.pop_front() {
        match left.iter().take(CANDIDATES).position(|&other| fits(step, other)) {
            Some(at) => first.extend([Some(step), left.remove(at)].into_iter().flatten()),
            None => single.push(step),
        }
    }
    let paired = first.len();
    let mut steps: Vec<_> = steps.into_iter().map(Some).collect();
    (first.into_iter().chain(single).filter_map(|step| steps[step].take()).collect(), paired)
}
