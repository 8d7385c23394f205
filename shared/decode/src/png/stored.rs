//! The pixels of a PNG file, inflated and passed on as a PNG file whose pixels are not compressed.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use shared::verdict::Refusal;

use super::{Chunk, Parts, SIGNATURE};

/// Most bytes that are inflated at a time; a stored block holds up to 65,535.
const BLOCK: usize = 32 * 1024;

/// Length, name and CRC-32 of the last chunk.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// Most bytes behind a block: an Adler-32, the CRC-32 of its chunk, the last chunk.
const LAST: usize = 4 + 4 + END.len();

/// A reader of such a file.
pub(super) struct Stored<'a> {
    inflate: Decompress,
    /// The chunks from the first one of pixels that has not been reached on.
    chunks: &'a [u8],
    /// What is left of the chunk that has been reached.
    compressed: &'a [u8],
    /// Whether the last byte has been inflated, and the checksum was right.
    ended: bool,
    /// Bytes of rows that are still to come.
    left: u64,
    /// What can be read, from `position` to `end`.
    buffer: Vec<u8>,
    position: usize,
    end: usize,
    /// Whether rows have been passed on.
    begun: bool,
}

impl<'a> Stored<'a> {
    pub(super) fn new(parts: &Parts<'a>) -> Self {
        let buffer = [&[&SIGNATURE[..]], &parts.head[..]].concat().concat();
        Self {
            inflate: Decompress::new(true),
            chunks: parts.data,
            compressed: &[],
            ended: false,
            left: parts.length,
            end: buffer.len(),
            buffer,
            position: 0,
            begun: false,
        }
    }

    /// Refused unless the data end with the last row, and with the right checksum.
    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        while !self.ended {
            self.inflate(&mut [0]).map_err(|_| Refusal::Corrupt)?;
        }
        if self.left == 0 && !self.has_data() { Ok(()) } else { Err(Refusal::Corrupt) }
    }

    /// Goes to the next chunk that is not empty. False if there is none.
    fn has_data(&mut self) -> bool {
        while self.compressed.is_empty() {
            match Chunk::split(self.chunks) {
                Ok((Chunk { kind, data, .. }, rest)) if kind == *b"IDAT" => {
                    (self.compressed, self.chunks) = (data, rest);
                }
                _ => return false,
            }
        }
        true
    }

    /// Inflates some more bytes, and gives their number. More than the rows have are an error.
    fn inflate(&mut self, rows: &mut [u8]) -> io::Result<usize> {
        if !self.has_data() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (taken, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(self.compressed, rows, FlushDecompress::None)?;
        let (taken, written) = (self.inflate.total_in() - taken, self.inflate.total_out() - written);
        self.ended = status == Status::StreamEnd;
        if taken == 0 && written == 0 && !self.ended {
            return Err(ErrorKind::InvalidData.into());
        }
        self.compressed = &self.compressed[taken as usize..];
        self.left = self.left.checked_sub(written).ok_or(ErrorKind::InvalidData)?;
        Ok(written as usize)
    }

    /// Makes a chunk of the next rows, and behind the last ones that of the end.
    fn refill(&mut self) -> io::Result<()> {
        // Length, name and, in the first chunk, the two bytes that announce a zlib stream.
        let head: &[u8] = if self.begun { b"\0\0\0\0IDAT" } else { b"\0\0\0\0IDAT\x78\x01" };
        let start = head.len() + 5;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(start + BLOCK + LAST, 0);
        buffer[..head.len()].copy_from_slice(head);
        let mut end = start;
        while end < start + BLOCK && self.left > 0 {
            if self.ended {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            end += self.inflate(&mut buffer[end..start + BLOCK])?;
        }
        // A stored block: whether it is the last one, its length, and the complement of it.
        let length = (end - start) as u16;
        buffer[start - 5] = u8::from(self.left == 0);
        buffer[start - 4..start - 2].copy_from_slice(&length.to_le_bytes());
        buffer[start - 2..start].copy_from_slice(&(!length).to_le_bytes());
        if self.left == 0 {
            // Nobody compares this Adler-32 a second time.
            end += 4;
        }
        buffer[..4].copy_from_slice(&(end as u32 - 8).to_be_bytes());
        let mut crc = Crc::new();
        crc.update(&buffer[4..end]);
        buffer[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        end += 4;
        if self.left == 0 {
            buffer[end..end + END.len()].copy_from_slice(END);
            end += END.len();
        }
        (self.buffer, self.position, self.end, self.begun) = (buffer, 0, end, true);
        Ok(())
    }
}

impl BufRead for Stored<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.end && self.left > 0 {
            self.refill()?;
        }
        Ok(&self.buffer[self.position..self.end])
    }

    fn consume(&mut self, read: usize) {
        self.position += read;
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(bytes)?;
        self.consume(read);
        Ok(read)
    }
}

/// Asked for by the decoder, and never used.
impl Seek for Stored<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(ErrorKind::Unsupported.into())
    }
}
