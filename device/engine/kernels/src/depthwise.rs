//! Convolutions of each channel by itself: how their weights are packed, and in what order products are added.
//!
//! Kernels compute a few pixels × [`BLOCK`] channels at once, a channel in each lane. A product of two bytes fits i16, and so
//! does a sum of a few of them: taps are put in *chains* whose sum fits i16 whatever the input, which the weights tell, and
//! only the sums of chains are added in i32. With weights 1 (average pooling) a chain has 258 taps.

use aligned_vec::{AVec, ConstAlign};

use crate::{
    layer::Filters,
    layout::Layout,
    tiling::{BLOCK, Tiling},
};

/// A convolution of each channel by itself, packed.
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
    pub(crate) weights: AVec<i16, ConstAlign<64>>,
    pub(crate) bias: [i32; BLOCK],
    pub(crate) multipliers: [f32; BLOCK],
}

impl Depthwise {
    pub(crate) fn pack(filters: &Filters, layouts: [Layout; 2]) -> Self {
        let from = layouts[0];
        let [rows, columns] = filters.window.kernel;
        let channels = from.shape().channels;
        let taps = rows * columns;
        // A map has at most 64 MiB.
        let offset = |tap: usize| (tap / columns * from.row() + tap % columns * channels) as u32;
        let blocks = (0..channels).step_by(BLOCK).map(|first| {
            let count = BLOCK.min(channels - first);
            let mut block = Block {
                chains: Vec::new(),
                weights: AVec::from_iter(64, std::iter::repeat_n(0, taps * BLOCK)),
                bias: [0; BLOCK],
                multipliers: [0.0; BLOCK],
            };
            for channel in 0..count {
                for tap in 0..taps {
                    block.weights[tap * BLOCK + channel] = i16::from(filters.weights[(first + channel) * taps + tap]);
                }
            }
            block.chains = chains(&block.weights, filters.signed_input);
            block.bias[..count].copy_from_slice(&filters.bias[first..first + count]);
            block.multipliers[..count].copy_from_slice(&filters.multipliers[first..first + count]);
            block
        });
        Self {
            tiling: Tiling::new(&filters.window, false, layouts),
            offsets: (0..taps).map(offset).collect(),
            blocks: blocks.collect(),
            lowest: filters.lowest(),
        }
    }
}

/// Lengths of chains of taps, each as long as the sums of all channels fit i16.
fn chains(weights: &[i16], signed_input: bool) -> Vec<usize> {
    let mut chains = Vec::new();
    // Of each channel, the most and the least that the chain's sum can be.
    let mut range = [[0; 2]; BLOCK];
    for taps in weights.chunks_exact(BLOCK) {
        let with = |[least, most]: [i32; 2], weight: i16| {
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

    fn lengths(weights: &[i16], signed_input: bool) -> Vec<usize> {
        let taps: Vec<i16> = weights.iter().flat_map(|&w| [w; BLOCK]).collect();
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
