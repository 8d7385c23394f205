//! Commands and their answers (PS3.7, annex E): elements of the group 0000, in implicit representation and little endian.

use crate::status::Status;

/// Most bytes of a command: one has some hundreds.
pub const MAX_COMMAND: usize = 8 * 1024;

const GROUP_LENGTH: u16 = 0x0000;
const CLASS: u16 = 0x0002;
const FIELD: u16 = 0x0100;
const MESSAGE: u16 = 0x0110;
const ANSWERED: u16 = 0x0120;
const DATA_SET: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const COMMENT: u16 = 0x0902;
const INSTANCE: u16 = 0x1000;

/// What stands for *no data set follows*.
const NO_DATA_SET: u16 = 0x0101;
/// What the answer to a command has besides its number.
const ANSWER: u16 = 0x8000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// That an image is kept (C-STORE).
    Store,
    /// That there is an answer (C-ECHO).
    Echo,
    /// That what is under way ends: nothing here takes long.
    Cancel,
    /// Something else, which may be told to be unknown; or an answer, to which nothing can be said.
    Other,
}

/// A command that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    field: u16,
    message: u16,
    /// Whether a data set follows.
    pub has_data: bool,
    /// UID of the kind of image.
    pub class: String,
    /// UID of the image. It may lead to the patient.
    pub instance: String,
}

impl Command {
    /// Reads a whole command; `None` if it is none.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let (mut field, mut message, mut data_set) = (None, None, None);
        let (mut class, mut instance) = (String::new(), String::new());
        while !bytes.is_empty() {
            let (&[0, 0, e0, e1, l0, l1, l2, l3], rest) = bytes.split_first_chunk()? else { return None };
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            let value;
            (value, bytes) = rest.split_at_checked(length as usize)?;
            let number = || value.try_into().ok().map(u16::from_le_bytes);
            match u16::from_le_bytes([e0, e1]) {
                CLASS => class = uid(value),
                INSTANCE => instance = uid(value),
                FIELD => field = number(),
                MESSAGE => message = number(),
                DATA_SET => data_set = number(),
                _ => {}
            }
        }
        let has_data = data_set? != NO_DATA_SET;
        Some(Self { field: field?, message: message?, has_data, class, instance })
    }

    /// What it asks for.
    pub fn asked(&self) -> Asked {
        match self.field {
            0x0001 => Asked::Store,
            0x0030 => Asked::Echo,
            0x0fff => Asked::Cancel,
            _ => Asked::Other,
        }
    }

    /// Whether it is an answer: this end has asked for nothing.
    pub fn is_answer(&self) -> bool {
        self.field & ANSWER != 0
    }

    /// The answer to it.
    pub fn answer(&self, status: Status) -> Vec<u8> {
        let mut rest = Vec::new();
        if !self.class.is_empty() {
            put(&mut rest, CLASS, &padded(&self.class, 0));
        }
        put(&mut rest, FIELD, &(self.field | ANSWER).to_le_bytes());
        put(&mut rest, ANSWERED, &self.message.to_le_bytes());
        put(&mut rest, DATA_SET, &NO_DATA_SET.to_le_bytes());
        put(&mut rest, STATUS, &status.code().to_le_bytes());
        if let Some(comment) = status.comment() {
            put(&mut rest, COMMENT, &padded(comment, b' '));
        }
        if !self.instance.is_empty() {
            put(&mut rest, INSTANCE, &padded(&self.instance, 0));
        }
        let mut all = Vec::new();
        put(&mut all, GROUP_LENGTH, &(rest.len() as u32).to_le_bytes());
        all.extend(rest);
        all
    }
}

fn put(bytes: &mut Vec<u8>, element: u16, value: &[u8]) {
    bytes.extend([0, 0]);
    bytes.extend(element.to_le_bytes());
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(value);
}

/// A text of an even number of bytes.
pub fn padded(text: &str, with: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(2), with);
    bytes
}

/// A UID; an empty one if it is none: digits, with points between them, 64 characters at most.
fn uid(value: &[u8]) -> String {
    let text = std::str::from_utf8(value).unwrap_or_default().trim_matches([' ', '\0']);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = text.len() <= 64 && text.split('.').all(is_number);
    if fits { text.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, GROUP_LENGTH, &0_u32.to_le_bytes());
        put(&mut bytes, CLASS, &padded("1.2.840.10008.5.1.4.1.1.1", 0));
        put(&mut bytes, FIELD, &1_u16.to_le_bytes());
        put(&mut bytes, MESSAGE, &7_u16.to_le_bytes());
        put(&mut bytes, 0x0700, &0_u16.to_le_bytes());
        put(&mut bytes, DATA_SET, &1_u16.to_le_bytes());
        put(&mut bytes, INSTANCE, &padded("1.2.3", 0));
        bytes
    }

    #[test]
    fn a_command_is_read_and_answered() {
        let command = Command::read(&store()).unwrap();
        assert_eq!((command.asked(), command.has_data, command.is_answer()), (Asked::Store, true, false));
        assert_eq!((command.class.as_str(), command.instance.as_str()), ("1.2.840.10008.5.1.4.1.1.1", "1.2.3"));
        for status in Status::ALL {
            let bytes = command.answer(status);
            assert_eq!(bytes.len() % 2, 0);
            assert_eq!(bytes[8..12], (bytes.len() as u32 - 12).to_le_bytes());
            let answer = Command::read(&bytes);
            // It has the number of what it answers in the place of one of its own.
            assert_eq!(answer, None, "{status:?}");
            let expected = [&[0, 0][..], &STATUS.to_le_bytes(), &[2, 0, 0, 0], &status.code().to_le_bytes()].concat();
            assert!(bytes.windows(expected.len()).any(|window| window == expected), "{status:?}");
            assert!(status.comment().is_none_or(|comment| comment.is_ascii() && comment.len() <= 64), "{status:?}");
        }
    }

    #[test]
    fn what_is_no_command_is_none() {
        let whole = store();
        for end in 0..whole.len() {
            let _ = Command::read(&whole[..end]);
        }
        let mut other = whole.clone();
        other[0] = 8;
        assert_eq!(Command::read(&other), None, "of another group");
        let mut long = whole.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Command::read(&long), None, "a length beyond the end");
        assert_eq!(Command::read(&whole[..whole.len() - 1]), None);
        assert_eq!(Command::read(&[]), None);
        assert_eq!([uid(b"1.2\0"), uid(b"1.2'; drop"), uid(&[b'1'; 65])], ["1.2", "", ""]);
        assert_eq!([uid(b".."), uid(b"1..2"), uid(b".1"), uid(b"1.")], [""; 4]);
    }
}
