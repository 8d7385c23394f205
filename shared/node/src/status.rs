//! What is answered to a command (PS3.7, annex C; PS3.4, table B.2-1), and why.

use crate::event::What;

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Success,
    /// The film has more bytes than one may have.
    TooLarge,
    /// The film cannot be taken now, for this reason in 64 letters of ASCII at most.
    NoRoom(&'static str),
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
    pub(crate) const ALL: [Self; 8] = [
        Self::Success,
        Self::TooLarge,
        Self::NoRoom("there is no room"),
        Self::Other,
        Self::NotUnderstood,
        Self::NotSupported,
        Self::NoInstance,
        Self::Unknown,
    ];

    /// As it is sent.
    pub const fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            // Nothing that passes by itself: with A700 consoles try again for ever.
            Self::TooLarge => 0xc001,
            Self::NoRoom(_) => 0xa700,
            Self::Other => 0xa900,
            Self::NotUnderstood => 0xc000,
            Self::NotSupported => 0x0122,
            Self::NoInstance => 0x0117,
            Self::Unknown => 0x0211,
        }
    }

    /// What the console may show: 64 characters at most.
    pub const fn comment(self) -> Option<&'static str> {
        Some(match self {
            Self::Success => return None,
            Self::TooLarge => "more than 32 MiB: send the X-ray at a smaller size",
            Self::NoRoom(why) => why,
            Self::Other => "the X-ray is not what was announced: send it as CR, DX or SC",
            Self::NotUnderstood => "this is no data set in the agreed syntax: send uncompressed",
            Self::NotSupported => "this kind of image is not taken: send it as CR, DX or SC",
            Self::NoInstance => "the SOP instance UID is not one: correct it, then send again",
            Self::Unknown => "only C-STORE and C-ECHO are answered here",
        })
    }

    /// What is noted of it; nothing of success, which is counted.
    pub const fn noted(self) -> Option<What> {
        Some(match self {
            Self::Success => return None,
            Self::TooLarge => What::TooLarge,
            Self::NoRoom(_) => What::NoRoom,
            Self::Other | Self::NotSupported => What::OtherKind,
            Self::NotUnderstood | Self::NoInstance => What::NotUnderstood,
            Self::Unknown => What::Foreign,
        })
    }
}
