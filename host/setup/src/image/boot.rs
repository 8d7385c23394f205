//! The FAT32 partitions: that from which is booted, and the slots.

use std::io::{self, Cursor, Write};

use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider, format_volume};

use super::BuildError;

/// Enough clusters for FAT32, which the first stage of a Raspberry Pi wants, and few enough that they are read quickly.
const CLUSTER: u32 = 1024;
/// Distinguishes this file system from others; any fixed number serves.
const SERIAL: u32 = 0x5075_6d75;

/// All times are the first that the format knows.
#[derive(Debug)]
struct Always;

impl TimeProvider for Always {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

/// A FAT32 file system of this label and this many bytes with these files.
pub(super) fn partition(label: [u8; 11], files: &[(String, Vec<u8>)], length: u64) -> Result<Vec<u8>, BuildError> {
    let fill = || -> io::Result<Vec<u8>> {
        let mut disk = Cursor::new(vec![0; usize::try_from(length).map_err(io::Error::other)?]);
        let options = FormatVolumeOptions::new()
            .fat_type(FatType::Fat32)
            .bytes_per_cluster(CLUSTER)
            .volume_label(label)
            .volume_id(SERIAL);
        format_volume(&mut disk, options)?;
        disk.set_position(0);
        {
            let system = FileSystem::new(&mut disk, FsOptions::new().time_provider(&Always))?;
            let root = system.root_dir();
            for (name, bytes) in files {
                if let Some((folder, _)) = name.rsplit_once('/') {
                    root.create_dir(folder)?;
                }
                root.create_file(name)?.write_all(bytes)?;
            }
        }
        Ok(disk.into_inner())
    };
    fill().map_err(BuildError::Boot)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use shared::appliance::{
        card::FAT_BOOT_LABEL,
        slots::{Slot, fat_label},
    };

    use super::*;

    const LENGTH: u64 = 72 << 20;

    #[test]
    fn files_are_in_it_and_the_same_inputs_give_the_same_bytes() {
        let files = [("box.toml".to_owned(), b"language".to_vec()), ("broadcom/a.dtb".to_owned(), vec![7; 5000])];
        let bytes = partition(FAT_BOOT_LABEL, &files, LENGTH).unwrap();
        assert!(bytes == partition(FAT_BOOT_LABEL, &files, LENGTH).unwrap());
        assert_eq!(bytes[71..90], *b"PUMUA      FAT32   ", "where the box looks for it");
        let slot = partition(fat_label(Slot::A), &files, LENGTH).unwrap();
        assert_eq!(slot[71..90], *b"PUMUA-A    FAT32   ");
        let system = FileSystem::new(Cursor::new(bytes), FsOptions::new()).unwrap();
        for (name, expected) in &files {
            let mut read = Vec::new();
            system.root_dir().open_file(name).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, *expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let files = [("large".to_owned(), vec![1; LENGTH as usize])];
        assert!(matches!(partition(FAT_BOOT_LABEL, &files, LENGTH), Err(BuildError::Boot(_))));
    }
}
