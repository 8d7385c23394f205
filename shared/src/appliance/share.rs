//! To whom a box hands out what it keeps.

use super::choice::{choice, read_by_word};

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

read_by_word! {
    Share,
    /// A word that stands for none of them.
    ShareError = "results and screenshots are shared by one of"
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
