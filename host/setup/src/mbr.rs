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
    pub(crate) fn fat32(start: u64, length: u64) -> Self {
        Self { kind: FAT32, active: true, start, length }
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

/// The first sector of a disk with two partitions.
pub(crate) fn sector(partitions: &[Partition; 2]) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[440..444].copy_from_slice(&DISK);
    for (entry, partition) in sector[TABLE].chunks_exact_mut(16).zip(partitions) {
        entry.copy_from_slice(&partition.bytes());
    }
    sector[TABLE.end..].copy_from_slice(&SIGNATURE);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_standard() {
        let sector = sector(&[Partition::fat32(2048, 0x3_0000), Partition::linux(0x3_0800, 0x4_0000)]);
        assert_eq!(sector[446..462], *b"\x80\xfe\xff\xff\x0c\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x03\x00");
        assert_eq!(sector[462..478], *b"\x00\xfe\xff\xff\x83\xfe\xff\xff\x00\x08\x03\x00\x00\x00\x04\x00");
        assert!(sector[..440].iter().chain(&sector[478..510]).all(|&byte| byte == 0));
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }
}
