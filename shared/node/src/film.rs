//! An X-ray that comes in parts, and the file that is made of it (PS3.10, 7).

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use dicom_ul::pdu::PDataValueType;
use shared::limits::MAX_IMAGE_BYTES;

use crate::{
    agree::{Context, IMPLEMENTATION},
    association::Association,
    command::padded,
    line::{End, at_speed},
    open::Limits,
};

/// How long nothing may come in the middle of a film, however fast the rest came.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes that are looked at before the film is taken: what it says it is comes first.
const BEGINNING: usize = 8 * 1024;
/// Bytes of a film that are read away after it was refused: more of them end the association.
const READ_AWAY: usize = 2 * MAX_IMAGE_BYTES as usize;

/// A data set as it comes in.
pub(crate) struct DataSet<'a, 'l> {
    association: &'a mut Association<'l>,
    context: u8,
    /// What has come and was not read yet.
    block: Vec<u8>,
    at: usize,
    is_whole: bool,
    limits: Limits,
    /// How long was waited for what has come. What is done with a film meanwhile is not the console's time.
    waited: Duration,
    came: usize,
    /// Why no more comes, if it broke off.
    end: Option<End>,
}

impl<'a, 'l> DataSet<'a, 'l> {
    pub(crate) fn new(association: &'a mut Association<'l>, context: u8, limits: Limits) -> Self {
        let (block, waited) = (Vec::new(), Duration::ZERO);
        Self { association, context, block, at: 0, is_whole: false, limits, waited, came: 0, end: None }
    }

    /// The next part, which is put behind what was not read yet.
    fn fetch(&mut self) -> Result<(), End> {
        let (now, within) = (Instant::now(), self.limits.film + at_speed(self.came, self.limits.slowest));
        let value = self.association.next_within(now + within.saturating_sub(self.waited).min(PAUSE));
        self.waited += now.elapsed();
        let value = value.inspect_err(|end| self.end = Some(*end))?;
        if value.value_type != PDataValueType::Data || value.presentation_context_id != self.context {
            self.end = Some(End::Malformed);
            return Err(End::Malformed);
        }
        self.block.drain(..self.at);
        self.at = 0;
        self.came += value.data.len();
        self.is_whole = value.is_last;
        self.block.extend_from_slice(&value.data);
        Ok(())
    }

    /// The first bytes. They are read again afterwards.
    pub(crate) fn beginning(&mut self) -> Result<&[u8], End> {
        while self.block.len() < BEGINNING && !self.is_whole {
            self.fetch()?;
        }
        Ok(&self.block)
    }

    /// Reads away what is left of it.
    pub(crate) fn finish(mut self) -> Result<(), End> {
        if let Some(end) = self.end {
            return Err(end);
        }
        let limit = self.came.saturating_add(READ_AWAY);
        while !self.is_whole {
            self.at = self.block.len();
            self.fetch()?;
            if self.came > limit {
                return Err(End::TooMuch);
            }
        }
        Ok(())
    }
}

impl Read for DataSet<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if self.is_whole {
                return Ok(0);
            }
            // `finish` tells why.
            self.fetch().map_err(|_| io::ErrorKind::UnexpectedEof)?;
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// What stands before the data set in a file. It says nothing of who has sent it, or when: the same X-ray is the same file.
pub(crate) fn head(context: &Context, instance: &str) -> Vec<u8> {
    let mut elements = element(0x0001, b"OB", &[0, 1]);
    for (number, uid) in
        [(0x0002, context.class), (0x0003, instance), (0x0010, context.syntax), (0x0012, IMPLEMENTATION)]
    {
        elements.extend(element(number, b"UI", &padded(uid, 0)));
    }
    let length = element(0x0000, b"UL", &(elements.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length, &elements].concat()
}

/// An element of the group 0002: explicit representation, little endian. Its value is short.
fn element(number: u16, representation: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut bytes = [&[2, 0][..], &number.to_le_bytes(), representation].concat();
    if representation == b"OB" {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::IMAGES;

    #[test]
    fn the_head_of_a_file_is_that_of_the_standard() {
        let context = Context { id: 1, class: IMAGES[0], syntax: "1.2.840.10008.1.2.1" };
        let head = head(&context, "1.2.3");
        assert_eq!(head[128..144], *b"DICM\x02\0\0\0UL\x04\0\x8e\0\0\0");
        assert_eq!(head.len(), 144 + 0x8e);
        let instance = b"\x02\0\x03\0UI\x06\x001.2.3\0";
        assert!(head.windows(instance.len()).any(|window| window == instance));
        let syntax = b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0";
        assert!(head.windows(syntax.len()).any(|window| window == syntax));
    }
}
