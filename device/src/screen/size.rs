//! The sizes of screen that the layout is made for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Width and height of a screen in pixels, within the range that the layout is made for, in either orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenSize {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Text that is not a screen size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a screen size is written 800x480 and lies between 480x320 and 1920x1080, or 320x480 and 1080x1920")]
pub struct ScreenSizeError;

impl ScreenSize {
    /// Most pixels of the longer and of the shorter side.
    pub const LONGEST: (u32, u32) = (1920, 1080);

    /// Checks the range: the longer side 480..=1920, the shorter one 320..=1080.
    pub fn new(width: u32, height: u32) -> Result<Self, ScreenSizeError> {
        let (long, short) = Self::LONGEST;
        if (480..=long).contains(&width.max(height)) && (320..=short).contains(&width.min(height)) {
            Ok(Self { width, height })
        } else {
            Err(ScreenSizeError)
        }
    }
}

impl Default for ScreenSize {
    fn default() -> Self {
        Self { width: 800, height: 480 }
    }
}

impl FromStr for ScreenSize {
    type Err = ScreenSizeError;

    fn from_str(text: &str) -> Result<Self, ScreenSizeError> {
        let (width, height) = text.split_once('x').ok_or(ScreenSizeError)?;
        let side = |text: &str| text.parse().map_err(|_| ScreenSizeError);
        Self::new(side(width)?, side(height)?)
    }
}

impl fmt::Display for ScreenSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl<'de> Deserialize<'de> for ScreenSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_stand_or_lie() {
        for (width, height) in [(480, 320), (320, 480), (1920, 1080), (1080, 1920), (480, 480)] {
            assert!(ScreenSize::new(width, height).is_ok(), "{width}x{height}");
        }
        for (width, height) in [(320, 320), (479, 320), (319, 480), (1080, 1921), (1100, 1100)] {
            assert_eq!(ScreenSize::new(width, height), Err(ScreenSizeError), "{width}x{height}");
        }
    }
}
