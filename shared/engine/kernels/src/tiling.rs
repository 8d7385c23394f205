//! How an output is cut into tiles of pixels.

use crate::{
    layer::Window,
    layout::{Layout, Shape},
};

/// The pixels of an output and their windows.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Tiling {
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    /// Index of the first value of the first window.
    origin: usize,
    /// Bytes from one window to the next: down and to the right.
    strides: [usize; 2],
    pool: bool,
}

impl Tiling {
    /// The border of `from` must cover the window's padding.
    pub(crate) fn new(window: &Window, pool: bool, [from, to]: [Layout; 2]) -> Self {
        let [rows, columns] = window.stride;
        let strides = [rows * from.row(), columns * from.shape().channels];
        Self { from, to, origin: from.origin(window.padding), strides, pool }
    }

    /// Covers the output with tiles of four pixels, or of single ones where a row is shorter, and calls a function for each:
    /// with the index of the first input of each pixel's window, and the index of the first output.
    ///
    /// - `one`: a single pixel;
    /// - `four`: four pixels of a row;
    /// - `pooled`: four pixels whose maximum is one output, if the layer pools.
    ///
    /// They are functions of their own, each called in one place, so that each is compiled into the loops.
    #[inline(always)]
    pub(crate) fn for_each_tile(
        &self,
        output: &mut [i8],
        one: impl Fn(&mut [i8], usize, usize),
        four: impl Fn(&mut [i8], [usize; 4], usize),
        pooled: impl Fn(&mut [i8], [usize; 4], usize),
    ) {
        let Shape { height, width, .. } = self.to.shape();
        let [down, right] = self.strides;
        for row in 0..height {
            let to = self.to.index(row, 0);
            let step = self.to.shape().channels;
            if self.pool {
                for column in 0..width {
                    let corner = self.origin + 2 * row * down + 2 * column * right;
                    let inputs = [corner, corner + right, corner + down, corner + down + right];
                    pooled(output, inputs, to + column * step);
                }
                continue;
            }
            let start = self.origin + row * down;
            if width < 4 {
                for column in 0..width {
                    one(output, start + column * right, to + column * step);
                }
                continue;
            }
            for column in (0..width).step_by(4) {
                // The last tile of a row goes over pixels again that the one before it has done.
                let first = column.min(width - 4);
                let corner = start + first * right;
                let inputs = [corner, corner + right, corner + 2 * right, corner + 3 * right];
                four(output, inputs, to + first * step);
            }
        }
    }
}
