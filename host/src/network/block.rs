//! The block of the study's networks as one operation on the CPU: `max_pool_2x2(relu(convolution_3x3(x) + bias))`.
//!
//! burn's flex backend computes the gradient of a convolution's weights as a convolution with a kernel as large as the
//! image, and moves every full-size activation through memory several times. Here forward and backward work on bands of
//! a few rows that stay in the cache: the band's patches become the columns of a matrix (im2col), matrix products do the
//! arithmetic, and ReLU and pooling are folded in. What is kept for the backward pass is, for each pooled value, which of
//! the four candidates it came from.
//!
//! Shapes: `x [n, c, h, w]`, `weight [o, c, 3, 3]`, `bias [o]` → `[n, o, (h - 2) / 2, (w - 2) / 2]`, stride 1, valid
//! padding; a last odd row or column is dropped, as Keras does. Results do not depend on the number of threads: images
//! are independent, and the gradients of the weights are added up in the order of the images.

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
use rayon::prelude::*;

/// Side of the kernel.
const KERNEL: usize = 3;

/// A pooled value whose four candidates were all negative: no gradient flows.
const NONE: u8 = 4;

/// Columns of a band: small enough for the second-level cache, large enough for the matrix product.
const BAND: usize = 512;

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
        forward(&Operands::new(&x, &weight), &x.to_contiguous(), &weight.to_contiguous(), &bias.to_contiguous()).0
    }
}

impl<C: CheckpointStrategy> BlockOps for Autodiff<Flex, C> {
    fn block(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let operands = Operands::new(x.primitive(), weight.primitive());
        let parents = [x.node(), weight.node(), bias.node()];
        let x = x.primitive().to_contiguous();
        let weight = weight.primitive().to_contiguous();
        let (pooled, winners) = forward(&operands, &x, &weight, &bias.primitive().to_contiguous());
        match Block.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved { operands, x, weight, winners }, pooled),
            OpsKind::UnTracked(prep) => prep.finish(pooled),
        }
    }
}

#[derive(Debug)]
struct Block;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    operands: Operands,
    x: FlexTensor,
    weight: FlexTensor,
    winners: Vec<u8>,
}

impl Backward<Flex, 3> for Block {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight, bias] = ops.parents;
        let Saved { operands: o, x: input, weight: kernels, winners } = ops.state;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (dx, dw, db) = backward(&o, floats(&input), floats(&kernels), floats(&grad), &winners, x.is_some());
        if let (Some(node), Some(dx)) = (x, dx) {
            grads.register::<Flex>(node.id, tensor(dx, [o.images, o.channels, o.height, o.width]));
        }
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, tensor(dw, [o.filters, o.channels, KERNEL, KERNEL]));
        }
        if let Some(node) = bias {
            grads.register::<Flex>(node.id, tensor(db, [o.filters]));
        }
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.storage()
}

/// The sizes of one call.
#[derive(Clone, Copy, Debug)]
struct Operands {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    filters: usize,
}

/// Some pooled rows of one image: the unit of work.
#[derive(Clone, Copy)]
struct Band {
    first_row: usize,
    rows: usize,
}

impl Operands {
    fn new(x: &FlexTensor, weight: &FlexTensor) -> Self {
        let [images, channels, height, width] = x.layout().shape().dims();
        let [filters, kernel_channels, kernel_height, kernel_width] = weight.layout().shape().dims();
        assert_eq!([kernel_channels, kernel_height, kernel_width], [channels, KERNEL, KERNEL], "kernel of a block");
        assert!(height > KERNEL && width > KERNEL, "a block needs an input of at least 4 × 4 pixels");
        Self { images, channels, height, width, filters }
    }

    fn pooled_height(&self) -> usize {
        (self.height + 1 - KERNEL) / 2
    }

    fn pooled_width(&self) -> usize {
        (self.width + 1 - KERNEL) / 2
    }

    fn pooled_len(&self) -> usize {
        self.filters * self.pooled_height() * self.pooled_width()
    }

    fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Rows of the matrix of patches.
    fn patch_len(&self) -> usize {
        self.channels * KERNEL * KERNEL
    }

    /// Columns of the matrix of patches for one row of convolved pixels that are pooled.
    fn row_len(&self) -> usize {
        2 * self.pooled_width()
    }

    fn bands(&self) -> impl Iterator<Item = Band> + use<> {
        let rows = (BAND / (2 * self.row_len())).max(1);
        let height = self.pooled_height();
        (0..height).step_by(rows).map(move |first_row| Band { first_row, rows: rows.min(height - first_row) })
    }

    fn columns(&self, band: Band) -> usize {
        2 * band.rows * self.row_len()
    }

    /// Calls `each(start of a run in the matrix of patches, start of the same run in the image)`; a run is one row of
    /// `row_len` pixels, seen through one weight of the kernel.
    fn runs(&self, band: Band, mut each: impl FnMut(usize, usize)) {
        let columns = self.columns(band);
        for channel in 0..self.channels {
            for kernel_row in 0..KERNEL {
                for kernel_column in 0..KERNEL {
                    let patch_row = (channel * KERNEL + kernel_row) * KERNEL + kernel_column;
                    for row in 0..2 * band.rows {
                        let image_row = channel * self.height + 2 * band.first_row + row + kernel_row;
                        each(patch_row * columns + row * self.row_len(), image_row * self.width + kernel_column);
                    }
                }
            }
        }
    }

    fn patches(&self, image: &[f32], band: Band, patches: &mut [f32]) {
        let run = self.row_len();
        self.runs(band, |to, from| patches[to..to + run].copy_from_slice(&image[from..from + run]));
    }

    /// Calls `each(pooled index, indices of the four candidates among a band's convolved pixels)`.
    fn pools(&self, band: Band, mut each: impl FnMut(usize, [usize; 4])) {
        let (columns, row_len) = (self.columns(band), self.row_len());
        for filter in 0..self.filters {
            for row in 0..band.rows {
                let pooled_row = (filter * self.pooled_height() + band.first_row + row) * self.pooled_width();
                let convolved_row = filter * columns + 2 * row * row_len;
                for column in 0..self.pooled_width() {
                    let top = convolved_row + 2 * column;
                    each(pooled_row + column, [top, top + 1, top + row_len, top + row_len + 1]);
                }
            }
        }
    }

    fn scratch(&self) -> Scratch {
        let columns = self.bands().next().map_or(0, |band| self.columns(band));
        Scratch { patches: vec![0.0; self.patch_len() * columns], convolved: vec![0.0; self.filters * columns] }
    }
}

/// Memory for one band.
struct Scratch {
    patches: Vec<f32>,
    convolved: Vec<f32>,
}

fn forward(o: &Operands, x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> (FlexTensor, Vec<u8>) {
    let (x, weight, bias) = (floats(x), floats(weight), floats(bias));
    let mut pooled = vec![0.0; o.images * o.pooled_len()];
    let mut winners = vec![NONE; pooled.len()];
    pooled
        .par_chunks_exact_mut(o.pooled_len())
        .zip(winners.par_chunks_exact_mut(o.pooled_len()))
        .zip(x.par_chunks_exact(o.image_len()))
        .for_each_init(
            || o.scratch(),
            |scratch, ((pooled, winners), image)| {
                for band in o.bands() {
                    let columns = o.columns(band);
                    let patches = &mut scratch.patches[..o.patch_len() * columns];
                    let convolved = &mut scratch.convolved[..o.filters * columns];
                    o.patches(image, band, patches);
                    let sizes = [o.filters, o.patch_len(), columns];
                    multiply(sizes, weight, Order::Rows, patches, Order::Rows, convolved, false);
                    let area = o.pooled_height() * o.pooled_width();
                    o.pools(band, |to, candidates| {
                        // Adding the bias after the maximum is the same: it is one number for all four.
                        let mut best = convolved[candidates[0]];
                        let mut winner = 0;
                        for (i, &candidate) in candidates.iter().enumerate().skip(1) {
                            if convolved[candidate] > best {
                                (best, winner) = (convolved[candidate], i as u8);
                            }
                        }
                        best += bias[to / area];
                        if best > 0.0 {
                            pooled[to] = best;
                            winners[to] = winner;
                        }
                    });
                }
            },
        );
    (tensor(pooled, [o.images, o.filters, o.pooled_height(), o.pooled_width()]), winners)
}

/// Gradients of input (if wanted), weights and bias.
fn backward(
    o: &Operands,
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    winners: &[u8],
    input_wanted: bool,
) -> (Option<Vec<f32>>, Vec<f32>, Vec<f32>) {
    let per_image: Vec<(Vec<f32>, Vec<f32>)> = (0..o.images)
        .into_par_iter()
        .map_init(
            || o.scratch(),
            |scratch, i| {
                let image = &x[i * o.image_len()..][..o.image_len()];
                let grad = &grad[i * o.pooled_len()..][..o.pooled_len()];
                let winners = &winners[i * o.pooled_len()..][..o.pooled_len()];
                let mut dw = vec![0.0; weight.len()];
                let mut dx = vec![0.0; if input_wanted { o.image_len() } else { 0 }];
                for band in o.bands() {
                    let columns = o.columns(band);
                    let patches = &mut scratch.patches[..o.patch_len() * columns];
                    let convolved = &mut scratch.convolved[..o.filters * columns];
                    o.patches(image, band, patches);
                    convolved.fill(0.0);
                    o.pools(band, |from, candidates| {
                        if let Some(&to) = candidates.get(usize::from(winners[from])) {
                            convolved[to] = grad[from];
                        }
                    });
                    let sizes = [o.filters, columns, o.patch_len()];
                    multiply(sizes, convolved, Order::Rows, patches, Order::Columns, &mut dw, true);
                    if input_wanted {
                        let sizes = [o.patch_len(), o.filters, columns];
                        multiply(sizes, weight, Order::Columns, convolved, Order::Rows, patches, false);
                        let run = o.row_len();
                        o.runs(band, |from, to| {
                            for (sum, &value) in dx[to..to + run].iter_mut().zip(&patches[from..from + run]) {
                                *sum += value;
                            }
                        });
                    }
                }
                (dx, dw)
            },
        )
        .collect();
    let mut dx = Vec::with_capacity(if input_wanted { x.len() } else { 0 });
    let mut dw = vec![0.0; weight.len()];
    for (image_dx, image_dw) in per_image {
        dx.extend(image_dx);
        dw.iter_mut().zip(image_dw).for_each(|(sum, value)| *sum += value);
    }
    let area = o.pooled_height() * o.pooled_width();
    let mut db = vec![0.0; o.filters];
    for (i, (grads, winners)) in grad.chunks_exact(area).zip(winners.chunks_exact(area)).enumerate() {
        db[i % o.filters] += grads.iter().zip(winners).filter(|(_, w)| **w != NONE).map(|(g, _)| g).sum::<f32>();
    }
    (input_wanted.then_some(dx), dw, db)
}

/// How a matrix lies in memory.
#[derive(Clone, Copy)]
enum Order {
    /// Row by row.
    Rows,
    /// Column by column: the transpose, row by row.
    Columns,
}

/// `out = left · right`, or `out += left · right` if `add`; sizes `[rows, inner, columns]`, `out` row by row.
#[expect(unsafe_code, reason = "the matrix product of the gemm crate takes pointers; the lengths are checked here")]
fn multiply(
    [rows, inner, columns]: [usize; 3],
    left: &[f32],
    left_order: Order,
    right: &[f32],
    right_order: Order,
    out: &mut [f32],
    add: bool,
) {
    assert_eq!([left.len(), right.len(), out.len()], [rows * inner, inner * columns, rows * columns]);
    let strides = |order, rows: usize, columns: usize| match order {
        Order::Rows => (1, columns as isize),
        Order::Columns => (rows as isize, 1),
    };
    let (left_column, left_row) = strides(left_order, rows, inner);
    let (right_column, right_row) = strides(right_order, inner, columns);
    // SAFETY: the three slices hold exactly the elements that sizes and strides reach (asserted above), and `out` is
    // borrowed mutably, so it overlaps neither input.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            add,
            left.as_ptr(),
            left_column,
            left_row,
            right.as_ptr(),
            right_column,
            right_row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{
        Device, Distribution,
        activation::relu,
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    };

    use super::*;

    fn reference(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
        let convolved = conv2d(x, weight, Some(bias), ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
        max_pool2d(
            relu(convolved),
            MaxPoolOptions {
                kernel_size: [2, 2],
                stride: [2, 2],
                padding: [(0, 0); 2],
                dilation: [1, 1],
                ceil_mode: false,
            },
        )
    }

    fn close(a: &TensorData, b: &TensorData) {
        a.assert_approx_eq::<f32>(b, burn::tensor::Tolerance::rel_abs(1e-3, 1e-4));
    }

    #[test]
    fn forward_and_gradients_equal_those_of_burn() {
        let device = Device::flex().autodiff();
        device.seed(7);
        let normal = Distribution::Normal(0.0, 1.0);
        for [n, c, h, w, o] in [[2, 1, 16, 16, 4], [3, 5, 13, 10, 3], [1, 3, 4, 4, 2], [2, 2, 40, 71, 8]] {
            let x = Tensor::<4>::random([n, c, h, w], normal, &device).require_grad();
            let weight = Tensor::<4>::random([o, c, 3, 3], normal, &device).require_grad();
            let bias = Tensor::<1>::random([o], normal, &device).require_grad();
            let ours = block(x.clone(), weight.clone(), bias.clone());
            let theirs = reference(x.clone(), weight.clone(), bias.clone());
            assert_eq!(ours.dims(), theirs.dims());
            close(&ours.to_data(), &theirs.to_data());
            let factor = Tensor::<4>::random(ours.dims(), normal, &device);
            let ours = (ours * factor.clone()).sum().backward();
            let theirs = (theirs * factor).sum().backward();
            close(&x.grad(&ours).unwrap().to_data(), &x.grad(&theirs).unwrap().to_data());
            close(&weight.grad(&ours).unwrap().to_data(), &weight.grad(&theirs).unwrap().to_data());
            close(&bias.grad(&ours).unwrap().to_data(), &bias.grad(&theirs).unwrap().to_data());
        }
    }
}
