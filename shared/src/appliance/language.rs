//! The languages of the screen.

use super::choice::{choice, read_by_word};

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

read_by_word! {
    Language,
    /// A word that stands for no language of the screen.
    LanguageError = "the language of the screen is one of"
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
