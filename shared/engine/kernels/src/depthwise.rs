//! Convolutions of each channel by itself: how their weights are packed, and in what order products are added.
//!
//! Kernels compute a few pixels × [`BLOCK`] channels at once, a channel in each lane. A product of two bytes fits i16, and so
//! does a sum of a few of them: taps are put in *chains* whose sum fits i16 whatever the input, as the weights show, and
//! only the sums of chains are added in i32. With weights 1 (average pooling) a chain has 258 taps.
//!
//! Convolutions over all channels can be computed so too: then all lanes read the same input. That suits a few products.

use std::hash::{Hash, Hasher};

use aligned_vec::{AVec, ConstAlign};

use crate::{BLOCK, layer::Filters, layout::Layout, prepared::hash_reals, tiling::Tiling};

/// A weight in memory, as wide as the kernels multiply it.
#[cfg(target_arch = "aarch64")]
pub(crate) type Weight = i8;
/// A weight in memory, as wide as the kernels multiply it.
#[cfg(not(target_arch = "aarch64"))]
pub(crate) type Weight = i16;

/// A convolution with a channel of the output in each lane, packed.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    pub(crate) tiling: Tiling,
    /// Where the input of each tap lies from the window's first value on.
    pub(crate) offsets: Vec<u32>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) lowest: f32,
}

/// What belongs to BLOCK channels.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Number of taps of each chain, one chain after the other.
    pub(crate) chains: Vec<usize>,
    /// Weights: tap, channel.
    pub(crate) weights: AVec<Weight, ConstAlign<64>>,
    pub(crate) bias: [i32; BLOCK],
    pub(crate) multipliers: [f32; BLOCK],
}

impl Hash for Depthwise {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.tiling, &self.offsets, &self.blocks).hash(state);
        hash_reals(&[self.lowest], state);
    }
}

impl Hash for Block {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.chains, self.weights.as_slice(), self.bias).hash(state);
        hash_reals(&self.multipliers, state);
    }
}

impl Depthwise {
    /// Packs a convolution of each channel by itself.
    pub(crate) fn pack(filters: &Filters, [from, to]: [Layout; 2]) -> Self {
        let columns = filters.window.kernel[1];
        let offset = |tap: usize| tap / columns * from.row() + tap % columns * from.shape().channels;
        Self::new(filters, Tiling::new(&filters.window, false, [from, to]), offset, |tap| tap)
    }

    /// Packs a convolution over all channels.
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn pack_all(filters: &Filters, pool: bool, [from, to]: [Layout; 2]) -> Self {
        let [rows, columns] = filters.window.kernel;
        let inputs = from.shape().channels;
        let run = columns * inputs;
        let offset = |tap: usize| tap / run * from.row() + tap % run;
        // From row, column, channel to channel, row, column.
        let weight = |tap: usize| tap % inputs * rows * columns + tap / inputs;
        Self::new(filters, Tiling::new(&filters.window, pool, [from, to]), offset, weight)
    }

    /// Packs taps that read the input at `offset` and have the weight at `weight` of each channel.
    fn new(
        filters: &Filters,
        tiling: Tiling,
        offset: impl Fn(usize) -> usize,
        weight: impl Fn(usize) -> usize,
    ) -> Self {
        let channels = filters.bias.len();
        let taps = filters.weights.len() / channels;
        let blocks = (0..channels).step_by(BLOCK).map(|first| {
            let count = BLOCK.min(channels - first);
            let mut weights = vec![0; taps * BLOCK];
            for (tap, weights) in weights.chunks_exact_mut(BLOCK).enumerate() {
                for (channel, packed) in weights[..count].iter_mut().enumerate() {
                    *packed = filters.weights[(first + channel) * taps + weight(tap)];
                }
            }
            let (bias, multipliers) = filters.block(first);
            #[allow(clippy::useless_conversion, reason = "for some processors a Weight is an i8")]
            let block = Block {
                chains: chains(&weights, filters.signed_input),
                weights: AVec::from_iter(64, weights.into_iter().map(Weight::from)),
                bias,
                multipliers,
            };
            block
        });
        Self {
            tiling,
            // A map has at most 64 MiB.
            offsets: (0..taps).map(|tap| offset(tap) as u32).collect(),
            blocks: blocks.collect(),
            lowest: filters.lowest(),
        }
    }
}

/// Lengths of chains of taps, each as long as the sums of all channels fit i16.
fn chains(weights: &[i8], signed_input: bool) -> Vec<usize> {
    let mut chains = Vec::new();
    // Of each channel, the most and the least that the chain's sum can be.
    let mut range = [[0; 2]; BLOCK];
    for taps in weights.chunks_exact(BLOCK) {
        let with = |[least, most]: [i32; 2], weight: i8| {
            let (low, high) = (i32::from(weight) * if signed_input { -128 } else { 0 }, i32::from(weight) * 127);
            [least + low.min(high), most + low.max(high)]
        };
        let fits = |[least, most]: [i32; 2]| least >= i32::from(i16::MIN) && most <= i32::from(i16::MAX);
        let longer: [_; BLOCK] = std::array::from_fn(|channel| with(range[channel], taps[channel]));
        match chains.last_mut() {
            Some(length) if longer.iter().all(|&range| fits(range)) => {
                *length += 1;
                range = longer;
            }
            _ => {
                chains.push(1);
                range = std::array::from_fn(|channel| with([0; 2], taps[channel]));
            }
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(weights: &[i8], signed_input: bool) -> Vec<usize> {
        let taps: Vec<i8> = weights.iter().flat_map(|&w| [w; BLOCK]).collect();
        chains(&taps, signed_input)
    }

    #[test]
    fn chains_are_as_long_as_their_sums_fit() {
        assert_eq!(lengths(&[1; 600], false), [258, 258, 84]);
        assert_eq!(lengths(&[127, 127, 4, 1, 127], false), [3, 2]);
        assert_eq!(lengths(&[127, -127, 127, -127], false), [4]);
        assert_eq!(lengths(&[127, -127, 127, -127], true), [2, 2]);
        assert_eq!(lengths(&[-128, -128], true), [1, 1]);
    }
}
