//! Where exam ids are from.

use super::choice::{choice, read_by_word};

choice! {
    /// Where the id of an exam is from that nobody has given one.
    ExamIdFrom {
        /// It has none, unless whoever sends it gives one.
        #[default]
        AsSent = "as-sent",
        /// The accession number in the header of a DICOM file.
        Accession = "accession",
        /// A keyed hash of that.
        HashedAccession = "hashed-accession",
    }
}

read_by_word! {
    ExamIdFrom,
    /// A word that stands for none of them.
    ExamIdFromError = "exam ids are from one of"
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for from in ExamIdFrom::ALL {
            assert_eq!(from.to_string().parse(), Ok(from));
        }
        let error = "name".parse::<ExamIdFrom>().unwrap_err().to_string();
        assert!(ExamIdFrom::ALL.iter().all(|from| error.contains(from.as_str())), "{error}");
    }
}
