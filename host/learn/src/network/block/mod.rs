//! The block of the study's networks as one operation on the CPU: `max_pool_2x2(relu(convolution_3x3(x) + bias))`.
//!
//! A general library computes the convolution and its gradients for every pixel, although pooling keeps one of four, and
//! moves every full-size activation through memory several times. Here the four candidates of a pooled value are
//! computed in registers and only the largest is stored, with which one it was: the *winner*. In the backward pass
//! gradients flow through winners alone, so that weights and input get theirs from lists of winners: a quarter of a
//! dense convolution's work, less what ReLU has switched off.
//!
//! Shapes: `x [n, h, w, c]`, `weight [f, 3, 3, c]`, `bias [f]` → `[n, (h - 2) / 2, (w - 2) / 2, f]`, stride 1, valid
//! padding; a last odd row or column is dropped, as Keras does. With channels last, one row of a 3 × 3 patch is one run
//! of `3 c` values in memory, of the image as of the kernel. Results do not depend on the number of threads: work is
//! assigned in portions of a fixed number of images, and the gradients of the weights are added up in their order.

mod backward;
mod forward;

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
    tensor::{Shape, TensorData},
};
use pulp::WithSimd;

/// Side of the kernel.
const KERNEL: usize = 3;

/// Convolved pixels of which pooling takes the largest, row by row: two rows of two.
const CANDIDATES: usize = 4;

/// The winner of a pooled value whose candidates were all negative: no gradient flows.
const NONE: u8 = CANDIDATES as u8;

/// Backends that offer the block.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait BlockOps: Backend {
    /// `max_pool_2x2(relu(convolution_3x3(x) + bias))`, for the shapes given in the module's documentation.
    fn block(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The block on tensors of the flex device, with or without gradients.
pub(super) fn block(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::block(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()))
}

impl BlockOps for Flex {
    fn block(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let sizes = Sizes::new(&x, &weight);
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let (pooled, _) = forward::forward(&sizes, floats(&x), floats(&weight), floats(&bias));
        tensor(pooled, sizes.output())
    }
}

impl<C: CheckpointStrategy> BlockOps for Autodiff<Flex, C> {
    fn block(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let sizes = Sizes::new(x.primitive(), weight.primitive());
        let parents = [x.node(), weight.node(), bias.node()];
        let x = x.primitive().to_contiguous();
        let weight = weight.primitive().to_contiguous();
        let bias = bias.primitive().to_contiguous();
        let (pooled, winners) = forward::forward(&sizes, floats(&x), floats(&weight), floats(&bias));
        let pooled = tensor(pooled, sizes.output());
        match Block.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved { sizes, x, weight, winners }, pooled),
            OpsKind::UnTracked(prep) => prep.finish(pooled),
        }
    }
}

#[derive(Debug)]
struct Block;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    sizes: Sizes,
    x: FlexTensor,
    weight: FlexTensor,
    winners: Vec<u8>,
}

impl Backward<Flex, 3> for Block {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight, bias] = ops.parents;
        let Saved { sizes: s, x: input, weight: kernels, winners } = ops.state;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (dx, dw, db) =
            backward::backward(&s, floats(&input), floats(&kernels), floats(&grad), &winners, x.is_some());
        if let (Some(node), Some(dx)) = (x, dx) {
            grads.register::<Flex>(node.id, tensor(dx, [s.images, s.height, s.width, s.channels]));
        }
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, tensor(dw, [s.filters, KERNEL, KERNEL, s.channels]));
        }
        if let Some(node) = bias {
            grads.register::<Flex>(node.id, tensor(db, [s.filters]));
        }
    }
}

pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

pub(super) fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.storage()
}

/// The sizes of one call.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    filters: usize,
}

impl Sizes {
    fn new(x: &FlexTensor, weight: &FlexTensor) -> Self {
        let [images, height, width, channels] = x.layout().shape().dims();
        let [filters, kernel_height, kernel_width, kernel_channels] = weight.layout().shape().dims();
        assert_eq!([kernel_height, kernel_width, kernel_channels], [KERNEL, KERNEL, channels], "kernel of a block");
        assert!(height > KERNEL && width > KERNEL, "a block needs an input of at least 4 × 4 pixels");
        Self { images, height, width, channels, filters }
    }

    fn pooled_height(&self) -> usize {
        (self.height + 1 - KERNEL) / 2
    }

    fn pooled_width(&self) -> usize {
        (self.width + 1 - KERNEL) / 2
    }

    fn output(&self) -> [usize; 4] {
        [self.images, self.pooled_height(), self.pooled_width(), self.filters]
    }

    /// Values of one image.
    fn image_len(&self) -> usize {
        self.height * self.row_len()
    }

    /// Values of one row of an image.
    fn row_len(&self) -> usize {
        self.width * self.channels
    }

    /// Values of one row of a patch, and of one row of a filter's kernel.
    fn run_len(&self) -> usize {
        KERNEL * self.channels
    }

    /// Values of one pooled image.
    fn pooled_len(&self) -> usize {
        self.pooled_height() * self.pooled_row_len()
    }

    fn pooled_row_len(&self) -> usize {
        self.pooled_width() * self.filters
    }

    /// Where in an image the patch of a pooled pixel's first candidate begins.
    fn corner(&self, pooled_row: usize, pooled_column: usize) -> usize {
        2 * (pooled_row * self.row_len() + pooled_column * self.channels)
    }

    /// Where the patches of the candidates begin, from the first one on.
    fn candidates(&self) -> [usize; CANDIDATES] {
        [0, self.channels, self.row_len(), self.row_len() + self.channels]
    }
}

/// Runs an operation with the widest vectors that it can have on this processor.
pub(super) fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    // Without the crate's feature for it, `Arch` leaves out AVX2; with it, burn's own dependencies would be compiled
    // differently.
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(avx2, operation);
    }
    pulp::Arch::new().dispatch(operation)
}

#[cfg(test)]
mod tests;
