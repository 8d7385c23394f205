//! The partitions of both slots, and the disk that they are on.
//!
//! The boot loader starts a slot by the number of its partition. So they are found by that, too, on the disk that the boot partition is
//! on, and not by a label: what is written to one is what the boot loader reads. A disk that is divided otherwise has no slots.

use std::{
    fs::{read_dir, read_to_string},
    path::{Path, PathBuf},
};

use shared::appliance::slots::{SLOT_BYTES, Slot};

/// Bytes of a sector, in which the kernel counts on every disk.
const SECTOR: u64 = 512;

/// Where the slots are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    /// The whole disk, which has the boot state before its first partition.
    pub(super) disk: PathBuf,
    devices: [PathBuf; 2],
}

impl Slots {
    /// Looks for the slots on the disk of a boot partition, in what the kernel says in `sys` of block devices; the devices themselves
    /// are in `dev`. `None` where there are none, or not of the length of a slot.
    pub(super) fn find(sys: &Path, dev: &Path, boot: &Path) -> Option<Self> {
        // There is a link for each device, and the folder of a partition lies in that of its disk.
        let partition = sys.join(boot.file_name()?).canonicalize().ok()?;
        let disk = partition.parent()?;
        let [a, b] = Slot::ALL.map(|slot| device(disk, dev, slot));
        Some(Self { disk: dev.join(disk.file_name()?), devices: [a?, b?] })
    }

    /// The device of a slot.
    pub(super) fn device(&self, slot: Slot) -> &Path {
        let [a, b] = &self.devices;
        match slot {
            Slot::A => a,
            Slot::B => b,
        }
    }

    /// Slots for tests.
    #[cfg(test)]
    pub(super) fn at(disk: PathBuf, devices: [PathBuf; 2]) -> Self {
        Self { disk, devices }
    }
}

/// The partition of a disk that a slot is in.
fn device(disk: &Path, dev: &Path, slot: Slot) -> Option<PathBuf> {
    let has_its_number = |folder: &Path| number(&folder.join("partition")) == Some(slot.partition().into());
    let entries = read_dir(disk).ok()?.flatten();
    let found = entries.map(|entry| entry.path()).find(|folder| has_its_number(folder))?;
    let bytes = number(&found.join("size"))?.checked_mul(SECTOR)?;
    if bytes == SLOT_BYTES { Some(dev.join(found.file_name()?)) } else { None }
}

/// The number in a file of the kernel's.
fn number(file: &Path) -> Option<u64> {
    read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{create_dir_all, write},
        os::unix::fs::symlink,
    };

    use super::*;

    #[test]
    fn slots_are_found_by_number_and_length_on_the_disk_of_the_boot_partition() {
        let folder = tempfile::tempdir().unwrap();
        let (devices, sys) = (folder.path().join("devices"), folder.path().join("class/block"));
        create_dir_all(&sys).unwrap();
        let add = |disk: &str, partition: &str, number: u32, bytes: u64| {
            let at = devices.join(disk).join(partition);
            create_dir_all(&at).unwrap();
            write(at.join("partition"), format!("{number}\n")).unwrap();
            write(at.join("size"), format!("{}\n", bytes / SECTOR)).unwrap();
            if !sys.join(partition).exists() {
                symlink(&at, sys.join(partition)).unwrap();
            }
        };
        for (disk, slot_bytes) in [("mmcblk0", SLOT_BYTES), ("sda", SLOT_BYTES + 512), ("sdb", SLOT_BYTES)] {
            let name =
                |number: u32| if disk == "mmcblk0" { format!("{disk}p{number}") } else { format!("{disk}{number}") };
            create_dir_all(devices.join(disk).join("queue")).unwrap();
            add(disk, &name(1), 1, 72 << 20);
            add(disk, &name(2), 2, SLOT_BYTES);
            if disk != "sdb" {
                add(disk, &name(3), 3, slot_bytes);
            }
        }
        let dev = Path::new("/dev");
        let found = Slots::find(&sys, dev, Path::new("/dev/mmcblk0p1")).unwrap();
        assert_eq!(found, Slots::at("/dev/mmcblk0".into(), ["/dev/mmcblk0p2".into(), "/dev/mmcblk0p3".into()]));
        assert_eq!(found.device(Slot::A), Path::new("/dev/mmcblk0p2"));
        assert_eq!(found.device(Slot::B), Path::new("/dev/mmcblk0p3"));
        assert_eq!(Slots::find(&sys, dev, Path::new("/dev/sda1")), None, "one is too long");
        assert_eq!(Slots::find(&sys, dev, Path::new("/dev/sdb1")), None, "a card of before");
        assert_eq!(Slots::find(&sys, dev, Path::new("/dev/sdc1")), None, "gone");
    }
}
