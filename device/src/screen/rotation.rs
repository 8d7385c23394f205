//! Panels that are mounted turned.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::config::ScreenSize;

/// How the picture is turned for a panel that is mounted turned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Not at all: 0.
    #[default]
    None,
    /// A quarter to the right: 90.
    Right,
    /// Upside down: 180.
    Half,
    /// A quarter to the left: 270.
    Left,
}

/// A number that is no rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the screen can be turned by 0, 90, 180 or 270 degrees")]
pub struct RotationError;

impl Rotation {
    fn new(degrees: u32) -> Result<Self, RotationError> {
        match degrees {
            0 => Ok(Self::None),
            90 => Ok(Self::Right),
            180 => Ok(Self::Half),
            270 => Ok(Self::Left),
            _ => Err(RotationError),
        }
    }

    /// Size of the picture on a panel of some size.
    pub fn size(self, panel: ScreenSize) -> ScreenSize {
        match self {
            Self::None | Self::Half => panel,
            Self::Right | Self::Left => ScreenSize { width: panel.height, height: panel.width },
        }
    }

    /// The pixel of the picture that a pixel `[x, y]` of the panel shows.
    pub fn source(self, [x, y]: [u32; 2], panel: ScreenSize) -> (u32, u32) {
        let (right, bottom) = (panel.width - 1 - x, panel.height - 1 - y);
        match self {
            Self::None => (x, y),
            Self::Right => (y, right),
            Self::Half => (right, bottom),
            Self::Left => (bottom, x),
        }
    }
}

impl FromStr for Rotation {
    type Err = RotationError;

    fn from_str(text: &str) -> Result<Self, RotationError> {
        Self::new(text.parse().map_err(|_| RotationError)?)
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "0",
            Self::Right => "90",
            Self::Half => "180",
            Self::Left => "270",
        })
    }
}

impl<'de> Deserialize<'de> for Rotation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
