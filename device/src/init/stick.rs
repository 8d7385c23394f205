//! Memory sticks: what needs root.
//!
//! On a thread of its own, because a bad stick may hang in the kernel for as long as it likes, the first process looks for disks on
//! the USB. It mounts the largest file system that it knows, read-only, and starts a reader for it, which is not root and sees nothing
//! else ([`crate::stick::reader`]). It reads no more of a stick itself than one sector of each partition. When the disk is gone, it ends
//! the reader, takes the mount away, and says so. One stick at a time: others wait until it is out.
//!
//! It begins when the worker has said that it wants sticks, so that a box whose settings do not want them mounts none.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    fs::{self, File, create_dir_all},
    io::{self, Read as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt as _, net::UnixDatagram, process::CommandExt as _},
    },
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{major, minor},
    mount::{MountFlags, UnmountFlags, mount, unmount},
    net::{RecvFlags, SendFlags, recv, send},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use shared::{appliance::card::BOOT, shown::Shown};

use super::{
    filesystem::{Kind, SECTOR},
    storage::DATA,
    supervisor::starting,
};
use crate::stick::{
    message::{Said, Told, Wish},
    reader,
};

/// Where a stick is mounted.
const PLACE: &str = "/stick";
/// User and group of a reader, which are nobody else's.
const READER: u32 = 991;
/// How often it is looked for sticks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a reader may take to look through a stick and to say what is on it: longer than it does by itself.
const THROUGH_WITHIN: Duration = Duration::from_secs(60);
/// What is to be said, and waits until the worker hears it.
const MOST_WAITING: usize = 8;

/// Only a reader sees the files, and nobody may write or execute any.
const OPTIONS_OF_FAT: &std::ffi::CStr = c"uid=991,gid=991,dmask=0277,fmask=0377,utf8=1";
const OPTIONS_OF_EXFAT: &std::ffi::CStr = c"uid=991,gid=991,dmask=0277,fmask=0377";

/// Starts to look for sticks, and gives the worker's end of the conversation about them: the same for each worker.
pub(super) fn watch() -> io::Result<UnixDatagram> {
    let (worker, own) = UnixDatagram::pair()?;
    // The first process waits for nobody. A reader, which has the same end, polls.
    own.set_nonblocking(true)?;
    let mut bay = Bay { own, number: 0, wanted: false, slot: Slot::Empty, waiting: VecDeque::new() };
    thread::Builder::new().name("stick".to_owned()).spawn(move || {
        loop {
            bay.look();
            thread::sleep(LOOK_EVERY);
        }
    })?;
    Ok(worker)
}

/// A disk that is there, as the kernel tells one from the next in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Disk {
    name: String,
    sequence: String,
}

/// What is in the box.
enum Slot {
    Empty,
    /// Seen for the first time: its partitions may not be known yet.
    Seen(Disk),
    /// Looked at. There is a reader if it is mounted, and was not ended.
    Open {
        disk: Disk,
        mounted: bool,
        reader: Option<Reader>,
    },
}

struct Bay {
    own: UnixDatagram,
    /// Number of the last stick.
    number: u32,
    /// Whether a worker has said that it wants sticks.
    wanted: bool,
    slot: Slot,
    waiting: VecDeque<Vec<u8>>,
}

impl Bay {
    fn look(&mut self) {
        if !self.wanted {
            self.wanted = self.hear().ok().flatten() == Some(Wish::Sticks);
            return;
        }
        if matches!(self.slot, Slot::Empty) {
            self.pass_over();
        }
        let disks = disks(Path::new("/sys/class/block"), &own_devices());
        self.slot = match std::mem::replace(&mut self.slot, Slot::Empty) {
            Slot::Empty => disks.into_iter().next().map_or(Slot::Empty, Slot::Seen),
            Slot::Seen(disk) if disks.contains(&disk) => self.open(disk),
            Slot::Seen(_) => Slot::Empty,
            Slot::Open { disk, mounted, reader } if disks.contains(&disk) => {
                let reader = reader.and_then(|reader| self.kept(reader, Instant::now()));
                Slot::Open { disk, mounted, reader }
            }
            Slot::Open { mounted, reader, .. } => {
                if let Some(reader) = reader {
                    reader.end();
                }
                if mounted && let Err(error) = unmount(PLACE, UnmountFlags::DETACH) {
                    crate::say(format_args!("the stick is still mounted: {error}"));
                }
                self.say(Said::Gone);
                Slot::Empty
            }
        };
        self.speak();
    }

    fn open(&mut self, disk: Disk) -> Slot {
        self.number = self.number.wrapping_add(1);
        let reader = match mounted(&disk) {
            Ok(()) => Reader::start(&self.own, self.number).map(Some),
            Err(error) => {
                crate::say(format_args!("the stick {} cannot be used: {error}", Shown(&disk.name)));
                self.say(Said::Unreadable);
                return Slot::Open { disk, mounted: false, reader: None };
            }
        };
        let reader = reader.unwrap_or_else(|error| {
            crate::say(format_args!("the stick {} cannot be read: {error}", Shown(&disk.name)));
            self.say(Said::Unreadable);
            None
        });
        Slot::Open { disk, mounted: true, reader }
    }

    /// The reader, if it still reads; otherwise that is said.
    fn kept(&mut self, mut reader: Reader, now: Instant) -> Option<Reader> {
        if reader.has_ended() {
            crate::say(format_args!("the reader of the stick has ended"));
        } else if reader.is_silent(now) {
            crate::say(format_args!("the reader of the stick hangs and is ended"));
            reader.end();
        } else {
            return Some(reader);
        }
        self.say(Said::Unreadable);
        None
    }

    /// What is wanted. It never waits: the reader has the same socket, and may have made it one that does.
    fn hear(&self) -> rustix::io::Result<Option<Wish>> {
        let mut bytes = [0; 64];
        let (count, _) = recv(&self.own, &mut bytes, RecvFlags::DONTWAIT)?;
        Ok(bytes.get(..count).and_then(Wish::read))
    }

    /// Takes what is asked for while there is no stick, so that there is room for what will be.
    fn pass_over(&self) {
        const MOST: usize = 64;
        for _ in 0..MOST {
            if self.hear().is_err() {
                return;
            }
        }
    }

    /// Has something said of the stick that is, or was, in the box.
    fn say(&mut self, said: Said<'_>) {
        if let Ok(bytes) = (Told { stick: self.number, said }).bytes()
            && self.waiting.len() < MOST_WAITING
        {
            self.waiting.push_back(bytes);
        }
    }

    /// Says what the worker has room for.
    fn speak(&mut self) {
        while let Some(bytes) = self.waiting.front() {
            if send(&self.own, bytes, SendFlags::DONTWAIT).is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }
}

/// A running reader.
struct Reader {
    process: OwnedFd,
    stdout: ChildStdout,
    started: Instant,
    /// Whether it has looked through the stick.
    is_through: bool,
}

impl Reader {
    #[allow(clippy::zombie_processes, reason = "the supervisor takes note of the end of every process")]
    fn start(own: &UnixDatagram, number: u32) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        // Other groups than this one it has none, and with root go all capabilities.
        command.uid(READER).gid(READER).args([reader::WORD, PLACE, &number.to_string()]).env_clear().current_dir("/");
        command.env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_ARENA_MAX", "1");
        command.stdin(OwnedFd::from(own.try_clone()?)).stdout(Stdio::piped());
        let child = {
            let _alone = starting();
            command.spawn()?
        };
        Self::of(child)
    }

    fn of(mut child: Child) -> io::Result<Self> {
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("its output cannot be read"))?;
        // The number of a process may be another one's once it has ended; this never is.
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Self { process, stdout, started: Instant::now(), is_through: false })
    }

    fn has_ended(&self) -> bool {
        is_ready(&self.process)
    }

    /// Whether it should long have looked through the stick, and has not: it hangs in the kernel, for example.
    fn is_silent(&mut self, now: Instant) -> bool {
        self.is_through = self.is_through || is_ready(&self.stdout);
        !self.is_through && now.saturating_duration_since(self.started) > THROUGH_WITHIN
    }

    fn end(self) {
        // One that has ended already cannot be ended.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

/// Whether there is anything to read now, or never will be.
fn is_ready(source: &impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The devices of the memory card, as `major:minor`: it is never a stick, wherever it is.
fn own_devices() -> Vec<String> {
    let devices = [BOOT, DATA].into_iter().filter_map(|place| fs::metadata(place).ok()).map(|metadata| metadata.dev());
    devices.map(|device| format!("{}:{}", major(device), minor(device))).collect()
}

/// Whether a block device is on the USB, as the link in `/sys/class/block` says where it is.
pub(super) fn is_on_usb(link: &Path) -> bool {
    // Such as ../../devices/platform/soc/3f980000.usb/usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sda
    link.iter().any(|part| {
        let number = part.as_encoded_bytes().strip_prefix(b"usb");
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    })
}

/// The disks on the USB that the kernel lists in `sys` and that have a medium, without those that have a partition among `own`.
fn disks(sys: &Path, own: &[String]) -> Vec<Disk> {
    let value = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let mut disks = Vec::new();
    for entry in fs::read_dir(sys).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let (Some(name), Ok(device)) = (name.to_str(), fs::read_link(&path)) else { continue };
        if !is_on_usb(&device) || path.join("partition").exists() || value(&path.join("size")) == "0" {
            continue;
        }
        let mut devices = partitions(&path, name);
        devices.push(name.to_owned());
        if !devices.iter().any(|device| own.contains(&value(&sys.join(device).join("dev")))) {
            disks.push(Disk { name: name.to_owned(), sequence: value(&path.join("diskseq")) });
        }
    }
    disks.sort_by(|one, other| one.name.cmp(&other.name));
    disks
}

/// The partitions of a disk, the largest first: before that of the films there may be a small one, for starting computers.
fn partitions(disk: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(disk).into_iter().flatten().flatten() {
        let number = |file: &str| -> Option<u64> {
            fs::read_to_string(entry.path().join(file)).ok().and_then(|text| text.trim().parse().ok())
        };
        if let (Some(nth), Some(partition)) = (number("partition"), entry.file_name().to_str())
            && partition.starts_with(name)
        {
            found.push((Reverse(number("size")), nth, partition.to_owned()));
        }
    }
    found.sort();
    found.into_iter().map(|(_, _, partition)| partition).collect()
}

/// Mounts the largest file system of a disk that can be mounted.
fn mounted(disk: &Disk) -> io::Result<()> {
    let mut names = partitions(&Path::new("/sys/class/block").join(&disk.name), &disk.name);
    // A disk without partitions may be one file system.
    names.push(disk.name.clone());
    let mut last = io::Error::other("it has neither FAT nor exFAT");
    create_dir_all(PLACE)?;
    for device in names.iter().map(|name| Path::new("/dev").join(name)) {
        let mut sector = [0; SECTOR];
        let read = File::open(&device).and_then(|mut file| file.read_exact(&mut sector));
        let Some(kind) = read.ok().and_then(|()| Kind::of(&sector)) else { continue };
        let options = match kind {
            Kind::Fat => OPTIONS_OF_FAT,
            Kind::ExFat => OPTIONS_OF_EXFAT,
        };
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
        match mount(&device, PLACE, kind.name(), flags, Some(options)) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_other_disks_on_the_usb_are_sticks() {
        let folder = tempfile::tempdir().unwrap();
        let (sys, devices) = (folder.path().join("class/block"), folder.path().join("devices"));
        create_dir_all(&sys).unwrap();
        let add = |bus: &str, name: &str, size: &str, partitions: &[&str]| {
            let disk = devices.join(bus).join("block").join(name);
            create_dir_all(&disk).unwrap();
            fs::write(disk.join("size"), format!("{size}\n")).unwrap();
            fs::write(disk.join("dev"), format!("8:{}\n", name.len())).unwrap();
            fs::write(disk.join("diskseq"), "7\n").unwrap();
            symlink(&disk, sys.join(name)).unwrap();
            for (number, partition) in (1..).zip(partitions) {
                let place = disk.join(partition);
                create_dir_all(&place).unwrap();
                fs::write(place.join("partition"), format!("{number}\n")).unwrap();
                fs::write(place.join("dev"), format!("{name}:{number}\n")).unwrap();
                symlink(&place, sys.join(partition)).unwrap();
            }
        };
        add("platform/soc/3f980000.usb/usb1/1-1/1-1:1.0/host0", "sdb", "60000", &["sdb1", "sdb2"]);
        add("platform/scb/usb2/2-1/host1", "sda", "60000", &["sda1"]);
        add("platform/scb/usb2/2-2/host2", "sdc", "0", &[]);
        add("platform/soc/3f300000.mmc/mmc_host/mmc0", "mmcblk0", "60000", &["mmcblk0p1"]);
        add("platform/usbless/virtio2", "vda", "60000", &[]);
        let names = |own: &[&str]| -> Vec<String> {
            let own: Vec<String> = own.iter().map(|device| (*device).to_owned()).collect();
            disks(&sys, &own).into_iter().map(|disk| format!("{} {}", disk.name, disk.sequence)).collect()
        };
        assert_eq!(names(&[]), ["sda 7", "sdb 7"], "neither an empty reader nor the card");
        assert_eq!(names(&["sdb:2"]), ["sda 7"], "the other one is the card");
        assert_eq!(partitions(&sys.join("sdb"), "sdb"), ["sdb1", "sdb2"]);
        for (partition, size) in [("sdb1", 400), ("sdb2", 59_000)] {
            fs::write(sys.join(partition).join("size"), format!("{size}\n")).unwrap();
        }
        assert_eq!(partitions(&sys.join("sdb"), "sdb"), ["sdb2", "sdb1"], "the first one is to start a computer from");
        assert_eq!(partitions(&sys.join("vda"), "vda"), Vec::<String>::new());
        assert!(disks(Path::new("/nowhere"), &[]).is_empty());
    }

    #[test]
    fn a_reader_that_says_nothing_for_a_minute_is_ended_and_one_that_has_spoken_is_not() {
        let (_worker, own) = UnixDatagram::pair().unwrap();
        let mut bay = Bay { own, number: 3, wanted: true, slot: Slot::Empty, waiting: VecDeque::new() };
        let start = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            Reader::of(command.spawn().unwrap()).unwrap()
        };
        let late = |reader: &Reader| reader.started + THROUGH_WITHIN + Duration::from_secs(1);
        let quiet = start("exec sleep 60");
        let (now, late_now) = (quiet.started, late(&quiet));
        let quiet = bay.kept(quiet, now).unwrap();
        assert!(bay.kept(quiet, late_now).is_none());
        assert_eq!(bay.waiting.len(), 1, "it is said that the stick cannot be read");
        let mut heard = start("echo; exec sleep 60");
        while !heard.is_through {
            let started = heard.started;
            assert!(!heard.is_silent(started));
            thread::sleep(Duration::from_millis(5));
        }
        let late_now = late(&heard);
        let heard = bay.kept(heard, late_now).unwrap();
        heard.end();
        assert_eq!(bay.waiting.len(), 1);
    }

    #[test]
    fn the_first_process_never_waits_whatever_the_reader_makes_of_their_socket() {
        let (worker, own) = UnixDatagram::pair().unwrap();
        // As a reader that has the same socket could.
        own.set_nonblocking(false).unwrap();
        let mut bay = Bay { own, number: 3, wanted: true, slot: Slot::Empty, waiting: VecDeque::new() };
        assert!(bay.hear().is_err());
        bay.pass_over();
        for _ in 0..10_000 {
            bay.say(Said::Gone);
            bay.speak();
        }
        assert_eq!(bay.waiting.len(), MOST_WAITING);
        drop(worker);
    }

    #[test]
    fn what_the_worker_does_not_hear_at_once_is_said_later_and_in_order() {
        let (worker, own) = UnixDatagram::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let mut bay = Bay { own, number: 3, wanted: true, slot: Slot::Empty, waiting: VecDeque::new() };
        let heard = |count: usize| -> Vec<Vec<u8>> {
            let each = |_| {
                let mut bytes = [0; 64];
                let count = worker.recv(&mut bytes).unwrap();
                bytes[..count].to_vec()
            };
            (0..count).map(each).collect()
        };
        bay.say(Said::Unreadable);
        bay.say(Said::Gone);
        bay.speak();
        let said = heard(2);
        assert_eq!(Told::read(&said[0]), Some(Told { stick: 3, said: Said::Unreadable }));
        assert_eq!(Told::read(&said[1]), Some(Told { stick: 3, said: Said::Gone }));
        // Nobody listens for a long time.
        for _ in 0..100_000 {
            bay.say(Said::Gone);
            bay.speak();
        }
        assert_eq!(bay.waiting.len(), MOST_WAITING);
    }
}
