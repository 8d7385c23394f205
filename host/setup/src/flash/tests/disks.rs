//! Which disks may be overwritten: a tree of disks as /sys lists them, and files.

use std::{os::unix::fs::symlink, path::Path};

use rustix::fs::makedev;

use super::*;

/// A system with a card reader on USB (`sdb`, two partitions), a disk that is built in (`sda`), a memory card (`mmcblk0`)
/// and an eMMC (`mmcblk1`).
struct Machine {
    folder: TempDir,
    system: System,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let system = System { sys: folder.path().join("sys"), proc: folder.path().join("proc") };
        let this = Self { folder, system };
        let usb = "devices/pci0/usb1/1-1";
        this.put("sys/devices/pci0/usb1/1-1/product", "reader");
        fs::create_dir_all(this.path("sys/bus/usb")).unwrap();
        symlink("../../../../bus/usb", this.path("sys/devices/pci0/usb1/1-1/subsystem")).unwrap();
        this.disk(&format!("{usb}/host6/block/sdb"), "8:16", 31_116_288);
        this.put(&format!("sys/{usb}/host6/block/sdb/device/vendor"), "Generic ");
        this.put(&format!("sys/{usb}/host6/block/sdb/device/model"), "Card Reader     ");
        for (name, number, device) in [("sdb1", "1", "8:17"), ("sdb2", "2", "8:18")] {
            let node = format!("{usb}/host6/block/sdb/{name}");
            this.disk(&node, device, 2048);
            this.put(&format!("sys/{node}/partition"), number);
        }
        this.disk("devices/pci0/ata1/block/sda", "8:0", 1_000_000);
        for (name, device, kind) in [("mmcblk0", "179:0", "SD"), ("mmcblk1", "179:8", "MMC")] {
            let node = format!("devices/mmc/block/{name}");
            this.disk(&node, device, 60_000_000);
            this.put(&format!("sys/{node}/device/type"), kind);
            this.put(&format!("sys/{node}/device/name"), "SL32G");
        }
        this.put(
            "proc/self/mountinfo",
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n23 22 0:21 / /proc rw - proc proc rw\n",
        );
        this.put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn disk(&self, node: &str, device: &str, sectors: u64) {
        let name = Path::new(node).file_name().unwrap();
        for (attribute, value) in [("dev", device), ("size", &sectors.to_string()), ("removable", "0"), ("ro", "0")] {
            self.put(&format!("sys/{node}/{attribute}"), value);
        }
        fs::create_dir_all(self.path(&format!("sys/{node}/holders"))).unwrap();
        for folder in ["sys/class/block", "sys/dev/block"] {
            fs::create_dir_all(self.path(folder)).unwrap();
        }
        symlink(format!("../../{node}"), self.path("sys/class/block").join(name)).unwrap();
        symlink(format!("../../{node}"), self.path("sys/dev/block").join(device)).unwrap();
    }

    fn sdb(&self) -> Disk {
        self.system.disk(makedev(8, 16)).unwrap()
    }

    fn refusal(&self, allowed: &[Danger]) -> String {
        self.sdb().may_be_overwritten(allowed).unwrap_err().to_string()
    }
}

const SDB: &str = "sys/devices/pci0/usb1/1-1/host6/block/sdb";

#[test]
fn removable_media_are_told_from_disks_that_are_built_in() {
    let machine = Machine::new();
    let disk = machine.sdb();
    assert_eq!((disk.model.as_str(), disk.whole.bytes), ("Generic Card Reader", 31_116_288 * 512));
    assert_eq!(disk.partitions.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["sdb1", "sdb2"]);
    disk.may_be_overwritten(&[]).unwrap();
    let names = || machine.system.removable().unwrap().into_iter().map(|disk| disk.whole.name).collect::<Vec<_>>();
    assert_eq!(names(), ["mmcblk0", "sdb"]);
    // A reader whose kernel calls its medium removable, without a card in it and with one.
    machine.put("sys/devices/pci0/ata1/block/sda/removable", "1");
    assert_eq!(names(), ["mmcblk0", "sda", "sdb"]);
    machine.put(&format!("{SDB}/size"), "0");
    assert_eq!(names(), ["mmcblk0", "sda"]);
    assert_eq!(machine.refusal(&[]), "there is no medium in sdb: put one in");
}

#[test]
fn disk_that_is_built_in_is_refused_unless_that_is_allowed() {
    let machine = Machine::new();
    for device in [makedev(179, 8), makedev(8, 0)] {
        let disk = machine.system.disk(device).unwrap();
        for allowed in [&[][..], &[Danger::Mounted, Danger::Large, Danger::File]] {
            let error = disk.may_be_overwritten(allowed).unwrap_err();
            assert!(matches!(error, FlashError::NonRemovable { .. }), "{error}");
        }
        disk.may_be_overwritten(&[Danger::NonRemovable]).unwrap();
    }
    let card = machine.system.disk(makedev(179, 0)).unwrap();
    card.may_be_overwritten(&[]).unwrap();
    assert_eq!(card.model, "SL32G");
}

#[test]
fn partition_is_refused_and_its_disk_named() {
    let error = Machine::new().system.disk(makedev(8, 17)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sdb1 is one partition of the disk sdb: name the whole disk, /dev/sdb, if that is the medium"
    );
}

#[test]
fn mounted_medium_is_refused_unless_that_is_allowed() {
    // Its own number; a number of the file system's own; the disk itself without partitions.
    for (line, part) in [
        (r"90 22 8:17 / /media/a\040card rw - vfat /dev/other rw", "sdb1"),
        (r"90 22 0:55 /sub /media/a\040card rw master:1 - btrfs /dev/sdb2 rw", "sdb2"),
        (r"90 22 8:16 / /media/a\040card rw - vfat /dev/sdb rw", "sdb"),
    ] {
        let machine = Machine::new();
        machine.put("proc/self/mountinfo", line);
        let words =
            format!("{part} is mounted at /media/a card: unmount it first; `--allow mounted` overwrites it anyway");
        assert_eq!(machine.refusal(&[Danger::NonRemovable, Danger::Large]), words);
        machine.sdb().may_be_overwritten(&[Danger::Mounted]).unwrap();
    }
}

#[test]
fn disk_of_the_running_system_is_refused_whatever_is_allowed() {
    let all = [Danger::Mounted, Danger::NonRemovable, Danger::Large, Danger::File];
    let machine = Machine::new();
    machine.put("proc/self/mountinfo", "22 1 8:18 / / rw - ext4 /dev/root rw");
    assert!(machine.refusal(&all).starts_with("sdb carries / of the system that is running"));
    for (place, of_the_system) in [
        ("/boot/firmware", true),
        ("/boot/efi", true),
        ("/efi", true),
        ("/cdrom", true),
        ("/run/live/medium", true),
        ("/run/initramfs/live", true),
        ("/run/archiso/bootmnt", true),
        ("/var/lib/docker", true),
        ("/home", true),
        ("/home/me/card", false),
        ("/bootfiles", false),
        ("/run/media/me/PUMUA", false),
        ("/mnt", false),
    ] {
        let machine = Machine::new();
        machine.put("proc/self/mountinfo", &format!("22 1 8:17 / {place} rw - vfat /dev/sdb1 rw"));
        match machine.sdb().may_be_overwritten(&all) {
            Err(FlashError::System { .. }) => assert!(of_the_system, "{place}"),
            other => assert!(other.is_ok() && !of_the_system, "{place}: {other:?}"),
        }
    }
    let machine = Machine::new();
    machine.put("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2");
    assert!(machine.refusal(&all).starts_with("sdb2 is in use as swap space"));
    let machine = Machine::new();
    machine.put(&format!("{SDB}/sdb1/holders/dm-0"), "");
    assert!(machine.refusal(&all).starts_with("sdb1 is held by dm-0"));
    let machine = Machine::new();
    machine.put(&format!("{SDB}/holders/md0"), "");
    assert!(machine.refusal(&all).starts_with("sdb is held by md0"));
    let machine = Machine::new();
    machine.disk("devices/virtual/block/loop3", "7:3", 8);
    machine.put("sys/devices/virtual/block/loop3/loop/backing_file", "/dev/sdb2");
    assert!(machine.refusal(&all).starts_with("sdb2 is held by loop3"));
}

#[test]
fn write_protected_and_very_large_media_are_refused() {
    let machine = Machine::new();
    machine.put(&format!("{SDB}/ro"), "1");
    assert!(machine.refusal(&[]).starts_with("sdb is write-protected: slide the lock"));
    machine.put(&format!("{SDB}/ro"), "0");
    machine.put(&format!("{SDB}/size"), &(2_000_398_934_016_u64 / 512).to_string());
    assert!(machine.refusal(&[]).starts_with("sdb has 2000 GB, more than a memory card is expected to"));
    machine.sdb().may_be_overwritten(&[Danger::Large]).unwrap();
}

#[test]
fn what_the_system_does_not_tell_is_an_error() {
    let machine = Machine::new();
    let disk = |machine: &Machine| machine.system.disk(makedev(8, 16)).unwrap_err().to_string();
    assert!(machine.system.disk(makedev(9, 9)).unwrap_err().to_string().contains("sys/dev/block/9:9"));
    machine.put(&format!("{SDB}/sdb1/size"), "many");
    assert!(disk(&machine).contains("sdb1/size"));
    fs::remove_file(machine.path("proc/self/mountinfo")).unwrap();
    assert!(disk(&machine).contains("mountinfo"));
}

#[test]
fn file_is_a_medium_only_where_that_is_allowed() {
    let files = Files::new();
    let system = Machine::new();
    let system = &system.system;
    let image_file = files.image();
    let path = files.file("disk", &[7; LENGTH + 10]);
    let error = Target::open(system, &path, Access::Write(&[Danger::NonRemovable])).unwrap_err();
    assert!(matches!(error, FlashError::File { .. }));
    let mut target = Target::open(system, &path, Access::Write(&[Danger::File])).unwrap();
    assert_eq!((target.bytes(), target.disk().is_none()), (LENGTH as u64 + 10, true));
    target.write(&image_file, None, &mut go_on).unwrap();
    target.verify(&image_file, &mut go_on).unwrap();
    assert!(fs::read(&path).unwrap() == [image(), vec![7; 10]].concat());
    // To compare, nothing needs to be allowed, nor could the medium be written.
    let mut target = Target::open(system, &path, Access::Verify).unwrap();
    target.verify(&image_file, &mut go_on).unwrap();
    assert!(matches!(target.write(&image_file, None, &mut go_on), Err(FlashError::Write { offset: 0, .. })));
    let mut target = Target::open(system, &files.0.path().join("image"), Access::Write(&[Danger::File])).unwrap();
    assert!(matches!(target.write(&image_file, None, &mut go_on), Err(FlashError::ImageOnMedium)));
    assert!(fs::read(files.0.path().join("image")).unwrap() == image());
}

#[test]
fn what_is_neither_disk_nor_file_is_refused() {
    let files = Files::new();
    let machine = Machine::new();
    let open = |path: &Path| Target::open(&machine.system, path, Access::Write(&[Danger::File])).unwrap_err();
    assert!(matches!(open(files.0.path()), FlashError::NotADisk { .. }));
    assert!(matches!(open("/dev/null".as_ref()), FlashError::NotADisk { .. }));
    let absent = files.0.path().join("absent");
    assert!(matches!(open(&absent), FlashError::Absent { .. }));
    assert!(!absent.exists());
}

#[test]
fn medium_that_cannot_be_opened_has_its_reason() {
    let disk = Machine::new().sdb();
    for (errno, words) in [
        (Errno::BUSY, "/dev/sdb is in use: unmount it"),
        (Errno::ACCESS, "no permission to open /dev/sdb: run the command with `sudo`"),
        (Errno::NOMEDIUM, "there is no medium in sdb"),
        (Errno::ROFS, "sdb is write-protected"),
        (Errno::NXIO, "cannot open /dev/sdb: No such device or address (os error 6): it was pulled out"),
    ] {
        let error = target::open_error("/dev/sdb".as_ref(), Some(&disk), errno).to_string();
        assert!(error.starts_with(words), "{error}");
    }
}
