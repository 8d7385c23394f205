//! What a machine and its processing leave on a radiograph, whatever it shows: how rough it is and which greys it has.

use alloc::vec::Vec;

use crate::{
    contract::InputContract,
    preprocess::{Channels, Picture, Samples},
};

/// Cells along a side, from fine to coarse. Finer ones would tell how often a file was resized and compressed.
const GRIDS: [u16; 4] = [40, 20, 10, 5];

/// Of these shares of the pixels, in percent, the brightest is taken.
const SHARES: [u64; 9] = [1, 5, 10, 25, 50, 75, 90, 95, 99];

/// The style of an input, in integers.
///
/// For each of four grids, of which each cell is the exact mean of its pixels, rounded, and for steps to the right and then
/// down: the square roots of the root mean square and of the mean size of the difference between neighbours, in 64ths. Both
/// tell how much detail of that size there is, their ratio how evenly it is spread. Roots, as amounts of detail differ by
/// factors. Then, of nine shares of the darkest pixels, the grey value of the brightest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style([u16; Self::NUMBERS]);

impl Style {
    /// Numbers of a style.
    pub const NUMBERS: usize = 4 * GRIDS.len() + SHARES.len();

    /// That of an input; `None` if it is not of `contract.len()` bytes.
    pub fn of(input: &[u8], contract: &InputContract) -> Option<Self> {
        let side = contract.side;
        if input.len() != contract.len() {
            return None;
        }
        let square = Picture::new(Samples::U8(input), Channels::Grey, side.into(), side.into(), side.into()).ok()?;
        let roughness = GRIDS.into_iter().flat_map(|cells| {
            let means = square.prepare(&InputContract::stretched(cells));
            let cells = usize::from(cells);
            let [right, down] = [1, cells].map(|step| {
                let within = |&place: &usize| step > 1 || (place + 1) % cells > 0;
                roughness((0..means.len() - step).filter(within).map(|i| means[i].abs_diff(means[i + step])))
            });
            [right, down].into_iter().flatten()
        });
        let mut counts = [0_u64; 256];
        input.iter().for_each(|&grey| counts[usize::from(grey)] += 1);
        let brightest = |share: u64| {
            let mut below = 0;
            let reached = counts.iter().position(|count| {
                below += count;
                below * 100 >= share * input.len() as u64
            });
            reached.unwrap_or(255) as u16
        };
        let mut style = [0; Self::NUMBERS];
        for (number, value) in style.iter_mut().zip(roughness.chain(SHARES.map(brightest))) {
            *number = value;
        }
        Some(Self(style))
    }

    /// Its numbers as real ones.
    pub fn values(&self) -> Vec<f32> {
        self.0.map(f32::from).into()
    }
}

/// The square roots of the root mean square and of the mean of some differences, in 64ths, at most 64 · √255.
fn roughness(differences: impl Iterator<Item = u8>) -> [u16; 2] {
    let [count, sum, squares] = differences.map(u64::from).fold([0; 3], |[count, sum, squares], difference| {
        [count + 1, sum + difference, squares + difference * difference]
    });
    let count = count.max(1);
    // Sums of at most 40 · 39 differences of at most 255, so the shifted ones are below 2^51.
    [((squares << 24) / count).isqrt().isqrt(), ((sum << 12) / count).isqrt()].map(|root| root as u16)
}
