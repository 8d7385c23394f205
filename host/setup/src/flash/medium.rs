//! The medium as bytes: what writing and reading back need of it.

use std::{
    fs::File,
    io,
    ops::{Deref, DerefMut},
    os::unix::fs::FileExt,
};

use rustix::fs::{Advice, fadvise};

/// Bytes that are written or read at a time; a multiple of every sector size.
pub(super) const CHUNK: usize = 4 << 20;

/// Something that an image is written to. Offsets are in bytes from its start; like those of files, both transfers may
/// stop short of the whole buffer.
pub(super) trait Medium {
    /// Writes some of `bytes` at `offset` and gives how many; none at the end of the medium.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Reads some bytes from `offset` on and gives how many; none at the end of the medium.
    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes what was written lasting, and sees to it that the next read asks the medium itself.
    fn sync(&mut self) -> io::Result<()>;
}

/// A disk is opened with `O_DIRECT`: every transfer goes past the page cache, so that a fault shows at the offset where it
/// happens, and reading back gives what is on the medium instead of what was meant to be. A file may lie where that is
/// impossible, so its pages are written back and dropped instead.
impl Medium for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()?;
        // Of a disk, nothing of this session is in the cache.
        Ok(fadvise(&*self, 0, None, Advice::DontNeed)?)
    }
}

/// Room for one chunk, aligned as transfers past the page cache demand.
pub(super) struct Buffer {
    room: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Bytes; a page, which is at least any sector.
    const ALIGNMENT: usize = 4096;

    pub(super) fn new() -> Self {
        let room = vec![0; CHUNK + Self::ALIGNMENT];
        let start = room.as_ptr().align_offset(Self::ALIGNMENT).min(Self::ALIGNMENT);
        Self { room, start }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room[self.start..self.start + CHUNK]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.start..self.start + CHUNK]
    }
}
