//! Why an answer is not in the archive.

use shared::appliance::Language;

use super::{Pacs, queue::Why};

/// What keeps answers from the archive. The words are in [`crate::words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no connection.
    Unreachable,
    /// Nothing is answered in time.
    Silent,
    /// What is answered is not of the protocol.
    Foreign,
    /// The connection breaks off.
    Cut,
    /// There are too many others.
    Busy,
    /// Our title is not known there: it.
    OwnTitle,
    /// Whoever is there is called differently: the title that was called.
    ItsTitle,
    /// It does not want to be called, for a reason of its own.
    Rejected,
    /// It takes no Secondary Capture.
    NoCapture,
    /// It takes no structured reports.
    NoReport,
    /// It is out of resources.
    Full,
    /// It does not take an answer now: the status.
    NotNow(u16),
    /// It does not take an answer at all: the status.
    Refused(u16),
    /// Nothing can be made of an answer.
    NotMade,
    /// A film, or what is known of sending, cannot be read or written.
    Disk,
}

impl Trouble {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 15] = [
        Self::Unreachable,
        Self::Silent,
        Self::Foreign,
        Self::Cut,
        Self::Busy,
        Self::OwnTitle,
        Self::ItsTitle,
        Self::Rejected,
        Self::NoCapture,
        Self::NoReport,
        Self::Full,
        Self::NotNow(0x0110),
        Self::Refused(0xc000),
        Self::NotMade,
        Self::Disk,
    ];

    /// How many words fill its own.
    #[cfg(test)]
    pub(crate) fn places(self) -> usize {
        usize::from(matches!(self, Self::OwnTitle | Self::ItsTitle | Self::NotNow(_) | Self::Refused(_)))
    }

    /// What is wrong, and what to do about it.
    pub(crate) fn words(self, language: Language, pacs: &Pacs) -> String {
        let text = (crate::words::words(language).pacs_trouble)(self);
        match self {
            Self::OwnTitle => text.replacen("{}", pacs.calling.as_str(), 1),
            Self::ItsTitle => text.replacen("{}", pacs.archive.title.as_str(), 1),
            Self::NotNow(status) | Self::Refused(status) => text.replacen("{}", &format!("{status:04X}"), 1),
            _ => text.to_owned(),
        }
    }
}

/// What becomes of an answer after its status (PS3.4, table B.2-1; PS3.7, annex C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in the archive.
    Taken,
    /// It is sent again.
    Later(Trouble),
    /// It is not sent again before the next day or start.
    Never(Why),
}

impl Fate {
    pub(super) fn of(status: u16) -> Self {
        match status {
            // Success, warnings, and an instance that is there already: from before a power cut.
            0x0000 | 0xb000..=0xbfff | 0x0107 | 0x0116 | 0x0111 => Self::Taken,
            0xa700..=0xa7ff | 0x0213 => Self::Later(Trouble::Full),
            // A failure of processing, or cancelled.
            0x0110 | 0xfe00 => Self::Later(Trouble::NotNow(status)),
            _ => Self::Never(Why::Refused(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_sent_again() {
        for status in [0x0000, 0xb000, 0xb006, 0xb007, 0x0111] {
            assert_eq!(Fate::of(status), Fate::Taken, "{status:04x}");
        }
        for status in [0xa700, 0xa7ff, 0x0110, 0x0213] {
            assert!(matches!(Fate::of(status), Fate::Later(_)), "{status:04x}");
        }
        for status in [0xa800, 0xa900, 0xc000, 0xcfff, 0x0122, 0x0124, 0x0117, 0x1234] {
            assert_eq!(Fate::of(status), Fate::Never(Why::Refused(status)), "{status:04x}");
        }
    }
}
