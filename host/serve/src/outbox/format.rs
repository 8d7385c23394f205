//! As what answers are sent.

use std::str::FromStr;

use super::queue::Why;
use crate::node::dial::{CAPTURE, REPORT};

/// As what an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// An image that people look at: Secondary Capture.
    Capture,
    /// Values that programs read: a structured report (Comprehensive SR).
    Report,
}

/// A word that is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("answers are sent as capture, report, or both: capture,report")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        match word {
            "capture" => Ok(Self::Capture),
            "report" => Ok(Self::Report),
            _ => Err(FormatError),
        }
    }
}

impl Format {
    /// UID of the kind of instance.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Capture => CAPTURE,
            Self::Report => REPORT,
        }
    }

    /// Why none is sent to an archive that does not take this kind.
    pub(super) fn not_taken(self) -> Why {
        match self {
            Self::Capture => Why::NoCapture,
            Self::Report => Why::NoReport,
        }
    }
}
