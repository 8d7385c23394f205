//! Enums of which each value is written as one word.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Display;

/// An enum with the list of all its values and the word for each: another row is all that another value takes here.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// The word for it, in settings and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

/// Reads such an enum from its word, in a text and in settings: the error names all of them after `$text`.
macro_rules! read_by_word {
    ($name:ident, $(#[$doc:meta])* $error:ident = $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error("{} {}", $text, $crate::appliance::listed($name::ALL, "and"))]
        pub struct $error;

        impl core::str::FromStr for $name {
            type Err = $error;

            fn from_str(word: &str) -> Result<Self, $error> {
                Self::ALL.into_iter().find(|value| value.as_str() == word).ok_or($error)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <alloc::string::String as serde::Deserialize>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use {choice, read_by_word};

/// Some words as a sentence enumerates them, `last` between the last two: `en, fr or sw`.
pub fn listed<T: Display>(words: impl IntoIterator<Item = T>, last: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("{word}")).collect();
    match words.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_enumerated_with_one_before_the_last() {
        assert_eq!(listed(["en", "fr", "sw"], "or"), "en, fr or sw");
        assert_eq!(listed([0, 90], "and"), "0 and 90");
        assert_eq!(listed(["en"], "or"), "en");
        assert_eq!(listed([""; 0], "or"), "");
    }
}
