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

pub(super) use choice;

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
