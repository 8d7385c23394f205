//! The 3 × 3 patches of maps with the channels last, as one operation on the CPU: they make a convolution a product of
//! matrices.
//!
//! A general library copies nine shifted maps together and, in the backward pass, adds up nine maps that are zero beside
//! what was shifted. Here each row of a patch, one run of `3 c` values in memory, is copied or added at once.

use burn::{
    Tensor,
    backend::{
        Autodiff, Backend, Dispatch, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        flex::FlexTensor,
        tensor::FloatTensor,
    },
};
use rayon::prelude::*;

use super::{
    architecture::KERNEL,
    block::{floats, tensor},
};

/// Backends that offer patches.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait PatchesOps: Backend {
    /// `[n, h, w, c]` → `[n (h - 2) (w - 2), 9 c]`.
    fn patches(maps: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`PatchesOps::patches`] on a tensor of the flex device, with or without gradients.
pub(super) fn patches(maps: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::patches(maps.into_dispatch()))
}

impl PatchesOps for Flex {
    fn patches(maps: FlexTensor) -> FlexTensor {
        let sizes = Sizes(maps.layout().shape().dims());
        let patches = sizes.patches_of(floats(&maps.to_contiguous()));
        let len = sizes.patch_len();
        tensor(patches, [sizes.patches(), len])
    }
}

impl<C: CheckpointStrategy> PatchesOps for Autodiff<Flex, C> {
    fn patches(maps: FloatTensor<Self>) -> FloatTensor<Self> {
        let sizes = Sizes(maps.primitive().layout().shape().dims());
        let patches = Flex::patches(maps.primitive().clone());
        match Patches.prepare::<C>([maps.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(sizes, patches),
            OpsKind::UnTracked(prep) => prep.finish(patches),
        }
    }
}

#[derive(Debug)]
struct Patches;

impl Backward<Flex, 1> for Patches {
    type State = Sizes;

    fn backward(self, ops: Ops<Sizes, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [maps] = ops.parents;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        if let Some(node) = maps {
            grads.register::<Flex>(node.id, tensor(ops.state.sums_of(floats(&grad)), ops.state.0));
        }
    }
}

/// Images, height, width and channels of the maps.
#[derive(Clone, Copy, Debug)]
struct Sizes([usize; 4]);

impl Sizes {
    /// Values of the maps of one image.
    fn image_len(self) -> usize {
        self.0[1] * self.row_len()
    }

    fn row_len(self) -> usize {
        self.0[2] * self.0[3]
    }

    /// Values of one row of a patch.
    fn run_len(self) -> usize {
        KERNEL * self.0[3]
    }

    fn patch_len(self) -> usize {
        KERNEL * self.run_len()
    }

    /// Of all images.
    fn patches(self) -> usize {
        self.0[0] * self.corners().count()
    }

    /// Where in an image each patch begins.
    fn corners(self) -> impl Iterator<Item = usize> {
        let [_, height, width, channels] = self.0;
        (0..height + 1 - KERNEL)
            .flat_map(move |row| (0..width + 1 - KERNEL).map(move |column| row * self.row_len() + column * channels))
    }

    fn patches_of(self, maps: &[f32]) -> Vec<f32> {
        let mut patches = vec![0.0; self.patches() * self.patch_len()];
        let images = patches.par_chunks_exact_mut(self.corners().count() * self.patch_len());
        images.zip(maps.par_chunks_exact(self.image_len())).for_each(|(patches, image)| {
            for (patch, corner) in patches.chunks_exact_mut(self.patch_len()).zip(self.corners()) {
                for (row, run) in patch.chunks_exact_mut(self.run_len()).enumerate() {
                    run.copy_from_slice(&image[corner + row * self.row_len()..][..run.len()]);
                }
            }
        });
        patches
    }

    /// Of each value of the maps the sum over the patches that it is in.
    fn sums_of(self, patches: &[f32]) -> Vec<f32> {
        let mut maps = vec![0.0; self.0[0] * self.image_len()];
        let images = patches.par_chunks_exact(self.corners().count() * self.patch_len());
        images.zip(maps.par_chunks_exact_mut(self.image_len())).for_each(|(patches, image)| {
            for (patch, corner) in patches.chunks_exact(self.patch_len()).zip(self.corners()) {
                for (row, run) in patch.chunks_exact(self.run_len()).enumerate() {
                    let sums = &mut image[corner + row * self.row_len()..][..run.len()];
                    sums.iter_mut().zip(run).for_each(|(sum, value)| *sum += value);
                }
            }
        });
        maps
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::network::portable;

    /// On whole numbers, of which all sums are exact.
    #[test]
    fn patches_and_gradients_equal_those_of_burn() {
        let device = Device::flex().autodiff();
        device.seed(11);
        let whole = Distribution::Uniform(-9.0, 9.0);
        for dims in [[1, 3, 3, 1], [2, 3, 7, 4], [3, 6, 5, 2], [2, 8, 8, 20]] {
            let maps = Tensor::<4>::random(dims, whole, &device).round().detach().require_grad();
            let (ours, theirs) = (patches(maps.clone()), portable::patches(maps.clone()));
            assert_eq!(ours.to_data(), theirs.to_data(), "{dims:?}");
            let factor = Tensor::<2>::random(ours.dims(), whole, &device).round();
            let [ours, theirs] = [ours, theirs].map(|patches| (patches * factor.clone()).sum().backward());
            assert_eq!(maps.grad(&ours).unwrap().to_data(), maps.grad(&theirs).unwrap().to_data(), "{dims:?}");
        }
    }
}
