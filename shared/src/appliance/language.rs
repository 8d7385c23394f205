//! The languages of the screen.

use alloc::string::String;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{choice::choice, listed};

choice! {
    /// A language of the screen, written as its ISO 639-1 code.
    Language {
        /// English.
        #[default]
        English = "en",
        /// French.
        French = "fr",
        /// Portuguese.
        Portuguese = "pt",
        /// Swahili, as spoken in East Africa.
        Swahili = "sw",
    }
}

/// A word that stands for no language of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the language of the screen is one of {}", listed(Language::ALL, "and"))]
pub struct LanguageError;

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(code: &str) -> Result<Self, LanguageError> {
        Self::ALL.into_iter().find(|language| language.as_str() == code).ok_or(LanguageError)
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn languages_are_read_as_they_are_written() {
        for language in Language::ALL {
            assert_eq!(language.to_string().parse(), Ok(language));
        }
        let error = "xx".parse::<Language>().unwrap_err().to_string();
        assert!(Language::ALL.iter().all(|language| error.contains(language.as_str())), "{error}");
    }
}
