//! Which file system a memory stick has, by its first sector.
//!
//! Only what the kernel would try anyway is recognised, so that it is not asked to mount whatever a stick holds.

/// Bytes of the sector.
pub(super) const SECTOR: usize = 512;

/// A file system that sticks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// exFAT.
    ExFat,
}

impl Kind {
    /// The file system that begins with a sector. Offsets: `BS_jmpBoot` 0, `BPB_BytsPerSec` 11, `BPB_SecPerClus` 13,
    /// `BPB_RsvdSecCnt` 14, `BPB_NumFATs` 16, `BPB_Media` 21, `BPB_FATSz16` 22, `BPB_FATSz32` 36 of FAT; `FileSystemName` 3 and
    /// `MustBeZero` 11 of exFAT. Both end with a mark. The first sector of a disk with partitions has the mark, and no such values.
    pub(super) fn of(sector: &[u8; SECTOR]) -> Option<Self> {
        let short = |at: usize| u16::from_le_bytes([sector[at], sector[at + 1]]);
        if sector[510..] != [0x55, 0xaa] {
            return None;
        }
        if sector[3..11] == *b"EXFAT   " {
            return sector[11..64].iter().all(|&byte| byte == 0).then_some(Self::ExFat);
        }
        let jumps = (sector[0] == 0xeb && sector[2] == 0x90) || sector[0] == 0xe9;
        let sizes = matches!(short(11), 512 | 1024 | 2048 | 4096) && sector[13].is_power_of_two();
        let tables = short(14) > 0 && matches!(sector[16], 1 | 2) && (sector[21] == 0xf0 || sector[21] >= 0xf8);
        let length = short(22) > 0 || short(36) > 0 || short(38) > 0;
        (jumps && sizes && tables && length).then_some(Self::Fat)
    }

    /// What the kernel calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fat => "vfat",
            Self::ExFat => "exfat",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(parts: &[(usize, &[u8])]) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        for (at, bytes) in parts {
            sector[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        sector
    }

    /// As `mkfs.vfat` writes it on a stick of 4 GiB.
    const FAT32: [(usize, &[u8]); 4] = [
        (0, b"\xeb\x58\x90mkfs.fat\x00\x02\x08\x20\x00\x02\x00\x00\x00\x00\xf8\x00\x00\x3e\x00\x7c\x00"),
        (36, b"\xf8\x1f\x00\x00"),
        (82, b"FAT32   "),
        (510, b"\x55\xaa"),
    ];

    #[test]
    fn file_systems_are_recognised() {
        assert_eq!(Kind::of(&sector(&FAT32)), Some(Kind::Fat));
        let fat16: [(usize, &[u8]); 2] =
            [(0, b"\xeb\x3c\x90mkfs.fat\x00\x02\x04\x04\x00\x02\x00\x02\x00\x00\xf8\x00\x01"), FAT32[3]];
        assert_eq!(Kind::of(&sector(&fat16)), Some(Kind::Fat));
        let exfat: [(usize, &[u8]); 2] = [(0, b"\xeb\x76\x90EXFAT   "), (510, b"\x55\xaa")];
        assert_eq!(Kind::of(&sector(&exfat)), Some(Kind::ExFat));
    }

    #[test]
    fn other_sectors_are_not() {
        assert_eq!(Kind::of(&[0; SECTOR]), None);
        assert_eq!(Kind::of(&[0xff; SECTOR]), None);
        // Partitions, NTFS, and an exFAT in whose zeros something stands.
        let table: [(usize, &[u8]); 3] =
            [(0, b"\x33\xc0\x8e\xd0"), (446, b"\x80\x01\x01\x00\x0c\xfe\xff\xff"), (510, b"\x55\xaa")];
        let ntfs: [(usize, &[u8]); 2] =
            [(0, b"\xeb\x52\x90NTFS    \x00\x02\x08\x00\x00\x00\x00\x00\x00\x00\xf8"), (510, b"\x55\xaa")];
        let exfat: [(usize, &[u8]); 3] = [(0, b"\xeb\x76\x90EXFAT   "), (40, b"x"), (510, b"\x55\xaa")];
        for parts in [&table[..], &ntfs[..], &exfat[..]] {
            assert_eq!(Kind::of(&sector(parts)), None, "{parts:?}");
        }
        // Whatever is wrong with one of the values.
        for (at, value) in
            [(0, 0), (2, 0), (11, 3), (12, 3), (13, 0), (13, 3), (14, 0), (16, 0), (16, 3), (21, 0), (510, 0)]
        {
            let mut wrong = sector(&FAT32);
            wrong[at] = value;
            assert_eq!(Kind::of(&wrong), None, "{value} at {at}");
        }
        let mut empty = sector(&FAT32);
        empty[36..40].fill(0);
        assert_eq!(Kind::of(&empty), None, "no table");
    }
}
