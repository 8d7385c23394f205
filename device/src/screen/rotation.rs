//! Panels that are mounted turned.

use shared::appliance::Rotation;

use super::ScreenSize;

/// Size of the picture on a panel of some size.
pub(super) fn picture_size(rotation: Rotation, panel: ScreenSize) -> ScreenSize {
    match rotation {
        Rotation::None | Rotation::Half => panel,
        Rotation::Right | Rotation::Left => ScreenSize { width: panel.height, height: panel.width },
    }
}

/// The pixel of the picture that a pixel `[x, y]` of the panel shows.
pub(super) fn source(rotation: Rotation, [x, y]: [u32; 2], panel: ScreenSize) -> (u32, u32) {
    let (right, bottom) = (panel.width - 1 - x, panel.height - 1 - y);
    match rotation {
        Rotation::None => (x, y),
        Rotation::Right => (y, right),
        Rotation::Half => (right, bottom),
        Rotation::Left => (bottom, x),
    }
}
