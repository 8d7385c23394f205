//! Convolutions computed as they are defined: how their weights are packed, and in what order products are added.
//!
//! Kernels compute a tile of outputs at once: some pixels × [`BLOCK`] channels. In memory a row of the window is one run of
//! bytes, column after column and channel after channel. The runs are cut into *steps* of a few bytes (4 for instructions
//! that add four products, with zero weights where a run ends in the middle). For each block of output channels the packed
//! weights hold, step after step, BLOCK × step bytes; `offsets` says where each step's inputs lie, so the steps may come in
//! any order.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
};

use aligned_vec::{AVec, ConstAlign};

use crate::{BLOCK, layer::Filters, layout::Layout, prepared::hash_reals, tiling::Tiling};

/// Most steps of a chain.
pub(crate) const LONGEST: usize = 4;

/// Steps among which the next one of a chain is looked for.
const CANDIDATES: usize = 64;

/// A convolution, packed.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    pub(crate) tiling: Tiling,
    #[cfg(target_arch = "x86_64")]
    pub(crate) steps: Steps,
    pub(crate) blocks: Vec<Block>,
    pub(crate) lowest: f32,
}

/// How the weights are cut into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Steps {
    /// Steps of 2 bytes.
    #[cfg(target_arch = "x86_64")]
    Pairs,
    /// Steps of 4 bytes, one by one.
    #[cfg(target_arch = "x86_64")]
    Single,
    /// Steps of 4 bytes in chains in which two adjacent products are added. Only for inputs without negative values.
    #[cfg(target_arch = "x86_64")]
    Chained,
    /// Steps of 4 bytes; four whose inputs lie one after the other are a chain.
    #[cfg(target_arch = "aarch64")]
    Runs,
    /// Steps of 16 bytes in chains of one or two, in which the products of bytes 8 apart are added. For negative inputs only
    /// if no weight is −128.
    #[cfg(target_arch = "aarch64")]
    Long,
}

impl Steps {
    fn bytes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Pairs => 2,
            #[cfg(target_arch = "aarch64")]
            Self::Long => 16,
            _ => 4,
        }
    }
}

/// What belongs to BLOCK output channels.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where the inputs of each step lie from the window's first value on.
    pub(crate) offsets: Vec<u32>,
    /// Number of chains of 4, 3, 2 and 1 steps, in which order they come. With `Steps::Chained` and `Long`, what the kernel
    /// adds in i16 fits over all steps of a chain together.
    pub(crate) chains: [usize; LONGEST],
    /// Weights: step, output channel, byte of the step.
    pub(crate) weights: AVec<i8, ConstAlign<64>>,
    pub(crate) bias: [i32; BLOCK],
    pub(crate) multipliers: [f32; BLOCK],
}

impl Hash for Direct {
    fn hash<H: Hasher>(&self, state: &mut H) {
        #[cfg(target_arch = "x86_64")]
        self.steps.hash(state);
        (&self.tiling, &self.blocks).hash(state);
        hash_reals(&[self.lowest], state);
    }
}

impl Hash for Block {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.offsets, self.chains, self.weights.as_slice(), self.bias).hash(state);
        hash_reals(&self.multipliers, state);
    }
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
            let steps = steps(filters, from, channels, cut.bytes());
            let (steps, chains) = match cut {
                #[cfg(target_arch = "x86_64")]
                Steps::Chained => chained::<{ 4 * BLOCK }>(steps, ADJACENT),
                #[cfg(target_arch = "aarch64")]
                Steps::Long => {
                    let adding = Adding { distance: 8, signed: filters.signed_input, longest: 2 };
                    chained::<{ 16 * BLOCK }>(steps, adding)
                }
                #[cfg(target_arch = "aarch64")]
                Steps::Runs => runs(steps),
                #[cfg(target_arch = "x86_64")]
                _ => (steps, [0; LONGEST]),
            };
            let (bias, multipliers) = filters.block(first);
            Block {
                offsets: steps.iter().map(|step| step.offset).collect(),
                chains,
                weights: AVec::from_iter(64, steps.iter().flat_map(|step| step.weights.iter().copied())),
                bias,
                multipliers,
            }
        });
        Self {
            tiling: Tiling::new(&filters.window, pool, [from, to]),
            #[cfg(target_arch = "x86_64")]
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

/// Two adjacent products are added, over up to four steps.
#[cfg(any(target_arch = "x86_64", test))]
const ADJACENT: Adding = Adding { distance: 1, signed: false, longest: LONGEST };

/// How products are added in i16.
#[derive(Clone, Copy)]
struct Adding {
    /// From a byte of a step to the one whose product is added to its product.
    distance: usize,
    /// True if the input may have negative values.
    signed: bool,
    /// Most steps of a chain.
    longest: usize,
}

impl Adding {
    /// Largest sum of weights of one sign for which the sum of products with 0..=127 fits i16, or of magnitudes for −128..=127.
    fn limit(self) -> u16 {
        if self.signed { 255 } else { 258 }
    }

    /// The sums of the positive and of the negative weights (of magnitudes, twice, for signed inputs) whose products a step adds:
    /// what it takes of the limit. LOADS is the number of the step's weights.
    fn load<const LOADS: usize>(self, step: &Step) -> [u16; LOADS] {
        let mut load = [0; LOADS];
        let pairs = step.weights.chunks_exact(2 * self.distance).flat_map(|weights| {
            let (first, second) = weights.split_at(self.distance);
            first.iter().zip(second)
        });
        for (sums, (first, second)) in load.chunks_exact_mut(2).zip(pairs) {
            for weight in [*first, *second] {
                for (sum, negative) in sums.iter_mut().zip([false, true]) {
                    if self.signed || (weight < 0) == negative {
                        *sum += u16::from(weight.unsigned_abs());
                    }
                }
            }
        }
        load
    }
}

/// Puts steps in chains, the longest first, and counts the chains of each length.
///
/// A step alone must fit, as twice 128 does for inputs without negative values. Greedy: of some that are left, the next step
/// is the one that leaves most room. LOADS is the number of a step's weights.
///
/// # Panics
///
/// If a step does not fit alone.
fn chained<const LOADS: usize>(steps: Vec<Step>, adding: Adding) -> (Vec<Step>, [usize; LONGEST]) {
    let loads: Vec<[u16; LOADS]> = steps.iter().map(|step| adding.load(step)).collect();
    let with =
        |sum: &[u16; LOADS], step: usize| -> [u16; LOADS] { std::array::from_fn(|lane| sum[lane] + loads[step][lane]) };
    let largest = |load: &[u16; LOADS]| load.iter().copied().max().unwrap_or_default();
    let mut left: Vec<usize> = (0..steps.len()).collect();
    left.sort_by_key(|&step| largest(&loads[step]));
    let mut left = VecDeque::from(left);
    let mut chains: Vec<Vec<usize>> = Vec::new();
    while let Some(first) = left.pop_back() {
        let mut chain = vec![first];
        let mut sum = loads[first];
        assert!(largest(&sum) <= adding.limit(), "a step does not fit alone");
        while chain.len() < adding.longest {
            let room = |&at: &usize| largest(&with(&sum, left[at]));
            let Some(at) = (0..left.len().min(CANDIDATES)).min_by_key(room).filter(|at| room(at) <= adding.limit())
            else {
                break;
            };
            let Some(next) = left.remove(at) else { break };
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

/// Puts steps first, in chains of four, whose inputs lie one after the other.
#[cfg(target_arch = "aarch64")]
fn runs(steps: Vec<Step>) -> (Vec<Step>, [usize; LONGEST]) {
    let (mut first, mut single) = (Vec::new(), Vec::new());
    let mut left = steps.into_iter().peekable();
    while let Some(start) = left.next() {
        let mut end = start.offset + 4;
        let mut run = vec![start];
        while let Some(next) = left.next_if(|next| run.len() < LONGEST && next.offset == end) {
            end += 4;
            run.push(next);
        }
        if run.len() == LONGEST { &mut first } else { &mut single }.append(&mut run);
    }
    let counts = [first.len() / LONGEST, 0, 0, single.len()];
    first.append(&mut single);
    (first, counts)
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
        let (steps, counts) = chained::<{ 4 * BLOCK }>(steps, ADJACENT);
        let mut offsets: Vec<u32> = steps.iter().map(|step| step.offset).collect();
        offsets.sort_unstable();
        assert!(offsets.into_iter().eq(0..101), "a step is missing or twice there");
        let mut rest = steps.as_slice();
        for (i, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                let (chain, after) = rest.split_at(LONGEST - i);
                rest = after;
                for lane in 0..4 * BLOCK {
                    let load = |step| ADJACENT.load::<{ 4 * BLOCK }>(step)[lane];
                    assert!(chain.iter().map(load).sum::<u16>() <= 258);
                }
            }
        }
        assert!(rest.is_empty() && counts[0] > 0 && counts[3] > 0, "{counts:?}");
    }

    #[test]
    fn steps_that_fill_the_range_stay_alone() {
        // 127 + 127 + 4 is the limit, 127 + 127 + 5 beyond it.
        let counts = |second| chained::<{ 4 * BLOCK }>(vec![step([127, 127, 0, 0]), step(second)], ADJACENT).1;
        assert_eq!(counts([4, 0, 127, 127]), [0, 0, 1, 0]);
        assert_eq!(counts([5, 0, 0, 0]), [0, 0, 0, 2]);
        assert_eq!(counts([-128, -127, -1, 1]), [0, 0, 1, 0]);
    }

    #[test]
    fn negative_inputs_leave_less_room() {
        let adding = Adding { distance: 1, signed: true, longest: 2 };
        let counts = |second| chained::<{ 4 * BLOCK }>(vec![step([127, -127, 0, 0]), step(second)], adding).1;
        assert_eq!(counts([1, 0, 127, -127]), [0, 0, 1, 0]);
        assert_eq!(counts([1, 1, 0, 0]), [0, 0, 0, 2]);
    }

    #[test]
    fn products_are_added_over_the_distance() {
        let adding = Adding { distance: 2, signed: false, longest: 2 };
        let load = adding.load::<{ 4 * BLOCK }>(&step([1, -2, 3, 5]));
        assert_eq!(load[..6], [4, 0, 5, 2, 4, 0]);
    }

    #[test]
    #[cfg(target_arch = "aarch64")]
    fn four_steps_in_a_row_are_a_run() {
        let offsets = [0, 4, 8, 12, 16, 100, 104, 108, 112, 200, 204];
        let steps = offsets.iter().map(|&offset| Step { offset, weights: Vec::new() }).collect();
        let (steps, counts) = runs(steps);
        let order: Vec<u32> = steps.iter().map(|step| step.offset).collect();
        assert_eq!(order, [0, 4, 8, 12, 100, 104, 108, 112, 16, 200, 204]);
        assert_eq!(counts, [2, 0, 0, 3]);
    }
}
