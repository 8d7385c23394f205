//! The table of partitions in the first sector of a disk: a Master Boot Record, four entries of 16 bytes.

use std::ops::Range;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 512;
/// Where in it the table is.
pub(crate) const TABLE: Range<usize> = 446..510;
/// What it ends with.
pub(crate) const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Type of a FAT32 partition.
pub(crate) const FAT32: u8 = 0x0c;
/// Type of a partition with a file system of Linux.
pub(crate) const LINUX: u8 = 0x83;
/// Distinguishes this disk from others; any fixed number serves.
const DISK: [u8; 4] = *b"Pumu";
/// A place that cylinder, head and sector cannot express; everybody reads the sector numbers instead.
const BEYOND: [u8; 3] = [0xfe, 0xff, 0xff];

/// An entry of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partition {
    kind: u8,
    active: bool,
    start: u64,
    length: u64,
}

impl Partition {
    /// A FAT32 partition from which is booted; start and length in sectors.
    pub(crate) fn boot(start: u64, length: u64) -> Self {
        Self { kind: FAT32, active: true, start, length }
    }

    /// Another FAT32 partition; start and length in sectors.
    pub(crate) fn fat32(start: u64, length: u64) -> Self {
        Self { kind: FAT32, active: false, start, length }
    }

    /// A partition with a file system of Linux; start and length in sectors.
    pub(crate) fn linux(start: u64, length: u64) -> Self {
        Self { kind: LINUX, active: false, start, length }
    }

    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = if self.active { 0x80 } else { 0 };
        bytes[1..4].copy_from_slice(&BEYOND);
        bytes[4] = self.kind;
        bytes[5..8].copy_from_slice(&BEYOND);
        bytes[8..12].copy_from_slice(&(self.start as u32).to_le_bytes());
        bytes[12..].copy_from_slice(&(self.length as u32).to_le_bytes());
        bytes
    }
}

/// The first sector of a disk with four partitions.
pub(crate) fn sector(partitions: &[Partition; 4]) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[440..444].copy_from_slice(&DISK);
    for (entry, partition) in sector[TABLE].chunks_exact_mut(16).zip(partitions) {
        entry.copy_from_slice(&partition.bytes());
    }
    sector[TABLE.end..].copy_from_slice(&SIGNATURE);
    sector
}

/// An entry of a table that is read: its type, first sector and number of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) kind: u8,
    pub(crate) first: u32,
    pub(crate) count: u32,
}

impl Extent {
    /// The sector behind its last one.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.first) + u64::from(self.count)
    }
}

/// The entries of the table that a disk begins with, but for empty ones; `None` where there is no table.
pub(crate) fn extents(disk: &[u8]) -> Option<Vec<Extent>> {
    let sector = disk.first_chunk::<SECTOR>().filter(|sector| sector.ends_with(&SIGNATURE))?;
    // Four entries of 16 bytes: type at 4, first sector at 8 and number of sectors at 12, both little-endian.
    let (entries, _) = sector[TABLE].as_chunks::<16>();
    let entries = entries.iter().map(|&[_, _, _, _, kind, _, _, _, a, b, c, d, e, f, g, h]| Extent {
        kind,
        first: u32::from_le_bytes([a, b, c, d]),
        count: u32::from_le_bytes([e, f, g, h]),
    });
    Some(entries.filter(|extent| extent.kind != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_standard() {
        let sector = sector(&[
            Partition::boot(2048, 0x3_0000),
            Partition::fat32(0x3_0800, 0x4_0000),
            Partition::fat32(0x7_0800, 0x4_0000),
            Partition::linux(0xb_0800, 0x5_0000),
        ]);
        assert_eq!(sector[446..462], *b"\x80\xfe\xff\xff\x0c\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x03\x00");
        assert_eq!(sector[462..478], *b"\x00\xfe\xff\xff\x0c\xfe\xff\xff\x00\x08\x03\x00\x00\x00\x04\x00");
        assert_eq!(sector[478..494], *b"\x00\xfe\xff\xff\x0c\xfe\xff\xff\x00\x08\x07\x00\x00\x00\x04\x00");
        assert_eq!(sector[494..510], *b"\x00\xfe\xff\xff\x83\xfe\xff\xff\x00\x08\x0b\x00\x00\x00\x05\x00");
        assert!(sector[..440].iter().all(|&byte| byte == 0));
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }
}
