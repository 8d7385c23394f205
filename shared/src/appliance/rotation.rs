//! Panels that are mounted turned.

use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{choice::choice, listed};

choice! {
    /// By how many degrees, clockwise, the picture is turned for a panel that is mounted turned.
    Rotation {
        /// Not at all.
        #[default]
        None = "0",
        /// A quarter to the right.
        Right = "90",
        /// Upside down.
        Half = "180",
        /// A quarter to the left.
        Left = "270",
    }
}

/// A number by which the screen cannot be turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the screen can be turned by {} degrees", listed(Rotation::ALL, "or"))]
pub struct RotationError;

impl Rotation {
    /// Degrees, clockwise.
    pub const fn degrees(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Right => 90,
            Self::Half => 180,
            Self::Left => 270,
        }
    }
}

impl TryFrom<u32> for Rotation {
    type Error = RotationError;

    fn try_from(degrees: u32) -> Result<Self, RotationError> {
        Self::ALL.into_iter().find(|rotation| rotation.degrees() == degrees).ok_or(RotationError)
    }
}

impl FromStr for Rotation {
    type Err = RotationError;

    fn from_str(text: &str) -> Result<Self, RotationError> {
        text.parse::<u32>().map_err(|_| RotationError)?.try_into()
    }
}

impl Serialize for Rotation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.degrees())
    }
}

impl<'de> Deserialize<'de> for Rotation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn rotations_are_read_as_they_are_written() {
        for rotation in Rotation::ALL {
            assert_eq!(rotation.to_string().parse(), Ok(rotation));
            assert_eq!(rotation.degrees().to_string(), rotation.as_str());
        }
        let error = "45".parse::<Rotation>().unwrap_err();
        assert_eq!(error.to_string(), "the screen can be turned by 0, 90, 180 or 270 degrees");
    }
}
