//! Reasons to refuse a patient that people may override.

use super::choice::{choice, read_by_word};

choice! {
    /// What refuses an image and may be overridden by whoever sends it, where the box allows that. What is overridden is judged,
    /// and the result says so.
    Override {
        /// The patient is older or younger than those whom the model is for (230, 231).
        #[default]
        Age = "age",
    }
}

read_by_word! {
    Override,
    /// A word that stands for none of them.
    OverrideError = "what can be overridden is"
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for reason in Override::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        assert_eq!("view".parse::<Override>().unwrap_err().to_string(), "what can be overridden is age");
    }
}
