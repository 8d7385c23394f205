//! To whom a box hands out what it keeps.

use alloc::string::String;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{choice::choice, listed};

choice! {
    /// To whom a box hands out its results and the picture on its screen, over the line.
    Share {
        /// To a computer on which somebody has typed the code that the screen of the box shows.
        #[default]
        Code = "code",
        /// To every computer.
        Open = "open",
        /// To none.
        Off = "off",
    }
}

/// A word that stands for none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("results and screenshots are shared by one of {}", listed(Share::ALL, "and"))]
pub struct ShareError;

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(word: &str) -> Result<Self, ShareError> {
        Self::ALL.into_iter().find(|share| share.as_str() == word).ok_or(ShareError)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for share in Share::ALL {
            assert_eq!(share.to_string().parse(), Ok(share));
        }
        let error = "all".parse::<Share>().unwrap_err().to_string();
        assert!(Share::ALL.iter().all(|share| error.contains(share.as_str())), "{error}");
    }
}
