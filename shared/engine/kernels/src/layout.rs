//! Where the values of a feature map lie in memory.

/// Bytes after the last value that kernels may read, and never use: vector loads need not stop at the end.
pub const SLACK: usize = 64;

/// Largest number of bytes of a feature map with its border (64 MiB).
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Extent of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

/// Rows and columns of zeros around a feature map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Border {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Border {
    /// A border with room for both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }

    /// True if there is room for another border in this one.
    pub fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }
}

/// A feature map of i8 in memory: rows, columns, channels (NHWC), a border of zeros around it, [`SLACK`] bytes behind it.
///
/// The border is the padding of the convolutions that read the map: its values are 0, the zero point. Who makes the
/// buffer sets it to zero; the kernels write only what is inside the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    shape: Shape,
    border: Border,
}

impl Layout {
    /// A map with a border. `None` if it has no values, or more than 64 MiB.
    pub fn new(shape: Shape, border: Border) -> Option<Self> {
        let rows = shape.height.checked_add(border.top)?.checked_add(border.bottom)?;
        let columns = shape.width.checked_add(border.left)?.checked_add(border.right)?;
        let bytes = rows.checked_mul(columns)?.checked_mul(shape.channels)?;
        let values = shape.height.checked_mul(shape.width)?.checked_mul(shape.channels)?;
        (values > 0 && bytes <= MAX_BYTES).then_some(Self { shape, border })
    }

    /// The map's extent, without the border.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The border.
    pub fn border(&self) -> Border {
        self.border
    }

    /// Bytes from a value to the one below it.
    pub fn row(&self) -> usize {
        (self.border.left + self.shape.width + self.border.right) * self.shape.channels
    }

    /// Bytes of the whole buffer, with border and slack.
    #[expect(clippy::len_without_is_empty, reason = "a layout is never empty")]
    pub fn len(&self) -> usize {
        (self.border.top + self.shape.height + self.border.bottom) * self.row() + SLACK
    }

    /// Index of the first channel at a row and a column of the map.
    pub fn index(&self, row: usize, column: usize) -> usize {
        (self.border.top + row) * self.row() + (self.border.left + column) * self.shape.channels
    }

    /// Index of the first channel of what a window with this padding sees first: `padding` rows above and columns to the
    /// left of the map.
    ///
    /// The border must cover the padding.
    pub(crate) fn origin(&self, padding: Border) -> usize {
        (self.border.top - padding.top) * self.row() + (self.border.left - padding.left) * self.shape.channels
    }
}
