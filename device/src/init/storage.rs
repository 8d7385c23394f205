//! The two partitions of the memory card that are mounted, found by their labels: the names of disks differ from board to board. The
//! slots are not mounted: see `software`.

use std::{
    fs::{File, create_dir_all, read_dir, read_link},
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
};
use shared::{
    appliance::card::{BOOT, EXT_DATA_LABEL, FAT_BOOT_LABEL},
    shown::Shown,
};

use super::{check, stick::is_on_usb};

/// Where the data partition is mounted.
pub(super) const DATA: &str = "/data";
/// Why the card cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    #[error("the {0} partition of the memory card cannot be found")]
    Missing(&'static str),
    #[error("the {name} partition of the memory card ({device}) cannot be used: {source}", device = Shown(device.display()))]
    Mount { name: &'static str, device: PathBuf, source: io::Error },
}

/// Both partitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Storage {
    boot: PathBuf,
    data: PathBuf,
}

impl Storage {
    /// Looks through the block devices that the kernel lists in `sys`; the devices themselves are in `dev`. Both partitions are on
    /// one disk, and that is not on the USB: a stick, on which anybody may write these labels, is never the card.
    pub(super) fn find(sys: &Path, dev: &Path) -> Result<Self, StorageError> {
        let (mut boots, mut all_data) = (Vec::new(), Vec::new());
        let mut names: Vec<_> = read_dir(sys).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names.into_iter().filter(|name| sys.join(name).join("partition").exists()) {
            // Such as ../../devices/platform/soc/3f300000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0/mmcblk0p1
            let Ok(link) = read_link(sys.join(&name)) else { continue };
            let Some(disk) = link.parent().filter(|_| !is_on_usb(&link)) else { continue };
            let device = dev.join(name);
            match label(&device) {
                Ok(Some(Label::Boot)) => boots.push((disk.to_owned(), device)),
                Ok(Some(Label::Data)) => all_data.push((disk.to_owned(), device)),
                _ => {}
            }
        }
        if boots.is_empty() {
            return Err(StorageError::Missing("boot"));
        }
        let of_one_disk = boots.into_iter().find_map(|(disk, boot)| {
            let data = all_data.iter().find(|(other, _)| *other == disk).map(|(_, data)| data.clone());
            data.map(|data| Self { boot, data })
        });
        of_one_disk.ok_or(StorageError::Missing("data"))
    }

    /// The device of the boot partition.
    pub(super) fn boot(&self) -> &Path {
        &self.boot
    }

    /// Mounts both; the data partition read-only where it is damaged or takes no writes.
    pub(super) fn mount(&self) -> Result<(), StorageError> {
        let common = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
        let partitions = [
            // The worker, which is not root, reads it. Else its files would be the owner's alone, as all that this program makes.
            ("boot", &self.boot, BOOT, "vfat", common | MountFlags::RDONLY, Some(c"umask=022")),
            // A damaged file system is not written on, whatever it says of itself: that would damage it further.
            ("data", &self.data, DATA, "ext4", common, Some(c"errors=remount-ro")),
        ];
        for (name, device, at, kind, flags, options) in partitions {
            let is_damaged = kind == "ext4" && check::finds_damage(device);
            let flags = if is_damaged { flags | MountFlags::RDONLY } else { flags };
            let mounted = create_dir_all(at).and_then(|()| match mount(device, at, kind, flags, options) {
                // It is mounted already: the other one could not be the time before.
                Err(Errno::BUSY) => Ok(()),
                // A worn card takes nothing more. What is on it can still be read, but its journal cannot be replayed.
                Err(Errno::ROFS | Errno::ACCESS) if kind == "ext4" => {
                    Ok(mount(device, at, kind, flags | MountFlags::RDONLY, Some(c"noload"))?)
                }
                mounted => Ok(mounted?),
            });
            mounted.map_err(|source| StorageError::Mount { name, device: device.clone(), source })?;
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Label {
    Boot,
    Data,
}

/// Whether the file system on a device is one of ours. Offsets: FAT32 boot sector, `BS_FilSysType` at 82 and `BS_VolLab`
/// at 71; ext4 superblock at 1024, `s_magic` at 56 and `s_volume_name` at 120 within it.
fn label(device: &Path) -> io::Result<Option<Label>> {
    let mut head = Vec::new();
    File::open(device)?.take(2048).read_to_end(&mut head)?;
    let at = |offset: usize, bytes: &[u8]| head.get(offset..offset + bytes.len()) == Some(bytes);
    Ok(if at(82, b"FAT32   ") && at(71, &FAT_BOOT_LABEL) {
        Some(Label::Boot)
    } else if at(1024 + 56, &[0x53, 0xef]) && at(1024 + 120, &EXT_DATA_LABEL) {
        Some(Label::Data)
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; 4096];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn partitions_are_found_by_label_whatever_they_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let (sys, dev) = (folder.path().join("sys"), folder.path().join("dev"));
        let fat = head(&[(71, b"PUMUA      FAT32   ")]);
        let slot = head(&[(71, b"PUMUA-A    FAT32   ")]);
        let ext = head(&[(1080, &[0x53, 0xef]), (1144, b"pumua-data")]);
        let other = head(&[(1080, &[0x53, 0xef]), (1144, b"root")]);
        create_dir_all(&dev).unwrap();
        // A whole disk, a stick with our labels, an empty reader, a slot, somebody else's partition, one of another disk, then ours.
        let disks: [(&str, &str, bool, &[u8]); 9] = [
            ("platform/pci/block", "aaa", false, &fat),
            ("platform/soc/3f980000.usb/usb1/1-1/1-1:1.0/host0/block/sda", "sda1", true, &fat),
            ("platform/soc/3f980000.usb/usb1/1-1/1-1:1.0/host0/block/sda", "sda2", true, &ext),
            ("platform/block/sdb", "sdb1", true, b""),
            ("platform/block/sdc", "sdc1", true, &slot),
            ("platform/block/sdd", "sdd1", true, &fat),
            ("platform/block/vda", "vda1", true, &other),
            ("platform/block/vda", "vda2", true, &ext),
            ("platform/block/vda", "vda3", true, &fat),
        ];
        assert!(matches!(Storage::find(&sys, &dev), Err(StorageError::Missing("boot"))));
        create_dir_all(&sys).unwrap();
        for (place, name, partition, bytes) in disks {
            let place = folder.path().join("devices").join(place).join(name);
            create_dir_all(&place).unwrap();
            if partition {
                std::fs::write(place.join("partition"), "1\n").unwrap();
            }
            std::os::unix::fs::symlink(&place, sys.join(name)).unwrap();
            std::fs::write(dev.join(name), bytes).unwrap();
        }
        let found = Storage::find(&sys, &dev).unwrap();
        assert_eq!(found, Storage { boot: dev.join("vda3"), data: dev.join("vda2") });
        assert_eq!(found.boot(), dev.join("vda3"));
        std::fs::write(dev.join("vda2"), other).unwrap();
        assert!(matches!(Storage::find(&sys, &dev), Err(StorageError::Missing("data"))));
    }
}
