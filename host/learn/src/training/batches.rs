//! Which images a step sees.

use burn::tensor::{Device, Tensor, TensorData};
use data::{InputError, Inputs, augment::Augmentation};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Random streams of one seed, so that no use of randomness shifts another.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// The order of the images in a pass.
    Order { pass: u64 },
    /// What dropout drops in a step.
    Dropout { step: u64 },
    /// How an image is varied, counted over the whole training.
    Augmentation { image: u64 },
}

impl Stream {
    /// The generator of this stream.
    pub(super) fn generator(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            // Stream 0 is the start of the network.
            Self::Order { pass } => 3 * pass + 1,
            Self::Dropout { step } => 3 * step + 2,
            Self::Augmentation { image } => 3 * image + 3,
        });
        rng
    }
}

/// An endless stream of images: pass after pass over a set, each pass in an order of its own. Where it stands follows
/// from the number of images drawn alone.
pub(super) struct Shuffled<'a> {
    set: &'a [usize],
    seed: u64,
    drawn: u64,
    pass: Option<(u64, Vec<usize>)>,
}

impl<'a> Shuffled<'a> {
    /// The stream over `set` (not empty) after `drawn` images.
    pub(super) fn new(set: &'a [usize], seed: u64, drawn: u64) -> Self {
        Self { set, seed, drawn, pass: None }
    }

    /// Images drawn so far.
    pub(super) fn drawn(&self) -> u64 {
        self.drawn
    }

    /// The next `count` images.
    pub(super) fn draw(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> usize {
        let length = self.set.len() as u64;
        let (pass, position) = (self.drawn / length, (self.drawn % length) as usize);
        self.drawn += 1;
        if self.pass.as_ref().is_none_or(|(current, _)| *current != pass) {
            let mut order = self.set.to_vec();
            order.shuffle(&mut Stream::Order { pass }.generator(self.seed));
            self.pass = Some((pass, order));
        }
        self.pass.as_ref().map_or(0, |(_, order)| order[position])
    }
}

/// Images as `[images, 1, side, side]`.
pub(super) fn images(inputs: &Inputs, indices: &[usize], device: &Device) -> Result<Tensor<4>, InputError> {
    let contract = inputs.contract();
    let table: Vec<f32> = (0..=u8::MAX).map(|pixel| contract.value(pixel)).collect();
    let mut values = Vec::with_capacity(indices.len() * contract.len());
    for &i in indices {
        values.extend(inputs.of(i)?.iter().map(|&p| table[usize::from(p)]));
    }
    Ok(tensor(values, inputs, device))
}

/// Images as `[images, 1, side, side]`, each varied in its own way; the first is the `first`-th of the training.
pub(super) fn augmented(
    inputs: &Inputs,
    indices: &[usize],
    augmentation: &Augmentation,
    seed: u64,
    first: u64,
    device: &Device,
) -> Result<Tensor<4>, InputError> {
    let contract = inputs.contract();
    let mut values = vec![0.0; indices.len() * contract.len()];
    let places = values.par_chunks_exact_mut(contract.len()).zip(indices).enumerate();
    places.try_for_each(|(position, (values, &i))| {
        let input = inputs.of(i)?;
        let mut rng = Stream::Augmentation { image: first + position as u64 }.generator(seed);
        let transform = augmentation.draw(&mut rng);
        transform.apply(&input, usize::from(contract.side), values);
        for value in values {
            *value = (*value - f32::from(contract.zero_point)) * contract.scale;
        }
        Ok::<(), InputError>(())
    })?;
    Ok(tensor(values, inputs, device))
}

fn tensor(values: Vec<f32>, inputs: &Inputs, device: &Device) -> Tensor<4> {
    let side = usize::from(inputs.contract().side);
    let images = values.len() / (side * side);
    Tensor::from_data(TensorData::new(values, [images, 1, side, side]), device)
}

#[cfg(test)]
mod tests {
    use shared::contract::InputContract;

    use super::*;

    #[test]
    fn every_pass_holds_every_image_once_in_its_own_order() {
        let set: Vec<usize> = (100..150).collect();
        let mut stream = Shuffled::new(&set, 1, 0);
        let (first, second) = (stream.draw(50), stream.draw(50));
        for pass in [&first, &second] {
            let mut sorted = pass.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, set);
        }
        assert_ne!(first, second);
    }

    #[test]
    fn augmented_images_are_on_the_same_scale_and_each_varied_in_its_own_way() {
        let contract = InputContract::stretched(16);
        let inputs = Inputs::new(contract, [(0..=255).collect()]);
        let device = Device::flex();
        let varied = |rotation: f64, first: u64| {
            let augmentation = Augmentation { rotation, ..Augmentation::default() };
            let images = augmented(&inputs, &[0, 0], &augmentation, 1, first, &device).unwrap();
            images.into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let plain: Vec<f32> = images(&inputs, &[0, 0], &device).unwrap().into_data().iter::<f32>().collect();
        assert_eq!(varied(0.0, 0), plain);
        let (turned, next) = (varied(30.0, 0), varied(30.0, 1));
        assert_ne!(turned[..256], turned[256..]);
        assert_eq!(turned[256..], next[..256]);
    }

    #[test]
    fn the_stream_continues_where_it_was() {
        let set: Vec<usize> = (0..7).collect();
        let all = Shuffled::new(&set, 9, 0).draw(40);
        assert_eq!(Shuffled::new(&set, 9, 13).draw(27), all[13..]);
    }
}
