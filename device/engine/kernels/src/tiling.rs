//! How an output is cut into tiles of pixels.

use crate::{
    layer::Window,
    layout::{Layout, Shape},
};

/// Output channels that are computed together by kernels that go over tiles of pixels.
pub(crate) const BLOCK: usize = 16;

/// The pixels of an output and their windows.
#[derive(Clone, Debug)]
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

    /// Calls `tile` for tiles of 4, or single, pixels that cover the output: with the indices of the first inputs of each
    /// pixel's window and, for each pixel, the index of its first output. With pooling, the four pixels are pooled into one.
    #[inline(always)]
    pub(crate) fn for_each_tile(&self, mut tile: impl FnMut(Tile)) {
        let Shape { height, width, .. } = self.to.shape();
        let [down, right] = self.strides;
        for row in 0..height {
            if self.pool {
                for column in 0..width {
                    let corner = self.origin + 2 * row * down + 2 * column * right;
                    let inputs = [corner, corner + right, corner + down, corner + down + right];
                    tile(Tile::Pooled { inputs, output: self.to.index(row, column) });
                }
                continue;
            }
            let start = self.origin + row * down;
            let mut column = 0;
            while column < width {
                if width < 4 {
                    tile(Tile::One { input: start + column * right, output: self.to.index(row, column) });
                    column += 1;
                } else {
                    // The last tile of a row goes over pixels again that the one before it has done.
                    let first = column.min(width - 4);
                    let corner = start + first * right;
                    let inputs = [corner, corner + right, corner + 2 * right, corner + 3 * right];
                    tile(Tile::Four { inputs, output: self.to.index(row, first) });
                    column += 4;
                }
            }
        }
    }
}

/// Pixels that are computed together. Inputs and outputs are indices into the buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tile {
    /// A single pixel.
    One {
        /// First value of its window.
        input: usize,
        /// Its first channel.
        output: usize,
    },
    /// Four pixels of a row.
    Four {
        /// First values of their windows.
        inputs: [usize; 4],
        /// First channel of the first one.
        output: usize,
    },
    /// Four pixels whose maximum is one output.
    Pooled {
        /// First values of their windows.
        inputs: [usize; 4],
        /// First channel of the output.
        output: usize,
    },
}
