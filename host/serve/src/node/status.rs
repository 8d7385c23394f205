//! What is answered to a command (PS3.7, annex C; PS3.4, table B.2-1), and why.

use super::log::What;

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    /// The film has more bytes than one may have.
    TooLarge,
    /// As many results as there may be, or films that wait take all the space.
    Full,
    /// The disk is full, or cannot be written.
    Disk,
    /// The data set is of another kind, or of another instance, than the command says.
    Other,
    /// What came is no data set.
    NotUnderstood,
    /// Its kind is not taken, or not here.
    NotSupported,
    /// It has no UID that could be one.
    NoInstance,
    /// There is no such command here.
    Unknown,
}

impl Status {
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::Success,
        Self::TooLarge,
        Self::Full,
        Self::Disk,
        Self::Other,
        Self::NotUnderstood,
        Self::NotSupported,
        Self::NoInstance,
        Self::Unknown,
    ];

    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            // Nothing that passes by itself: with A700 consoles try again for ever.
            Self::TooLarge => 0xc001,
            Self::Full | Self::Disk => 0xa700,
            Self::Other => 0xa900,
            Self::NotUnderstood => 0xc000,
            Self::NotSupported => 0x0122,
            Self::NoInstance => 0x0117,
            Self::Unknown => 0x0211,
        }
    }

    /// What the console may show: 64 characters at most.
    pub(super) const fn comment(self) -> Option<&'static str> {
        Some(match self {
            Self::Success => return None,
            Self::TooLarge => "more than 32 MiB: send the X-ray at a smaller size",
            Self::Full => "the store of Pumua is full: see State on its page",
            Self::Disk => "the disk of Pumua cannot be written: see State on its page",
            Self::Other => "the X-ray is not what was announced: send it as CR, DX or SC",
            Self::NotUnderstood => "this is no data set in the agreed syntax: send uncompressed",
            Self::NotSupported => "this kind of image is not taken: send it as CR, DX or SC",
            Self::NoInstance => "the SOP instance UID is not one: correct it, then send again",
            Self::Unknown => "only C-STORE and C-ECHO are answered here",
        })
    }

    /// What is noted of it for the page; nothing of success, which is counted.
    pub(super) const fn noted(self) -> Option<What> {
        Some(match self {
            Self::Success => return None,
            Self::TooLarge => What::TooLarge,
            Self::Full | Self::Disk => What::NoRoom,
            Self::Other | Self::NotSupported => What::OtherKind,
            Self::NotUnderstood | Self::NoInstance => What::NotUnderstood,
            Self::Unknown => What::Foreign,
        })
    }
}
