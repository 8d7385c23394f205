//! Memory sticks: what needs root.
//!
//! On a thread of its own, because a bad stick may hang in the kernel for as long as it likes, the first process looks for disks on
//! the USB. It mounts the largest file system that it knows, read-only, and starts a reader for it, which is not root and sees nothing
//! else ([`crate::stick::reader`]). It reads no more of a stick itself than one sector of each partition. When the disk is gone, it ends
//! the reader, takes the mount away, and says so. One stick at a time: others wait until it is out.
//!
//! Only for the time in which results are written is a stick writable, for a writer ([`crate::stick::writer`]) in the place of the reader.
//! A reader makes room for it by its end; but that results are to be written the first process hears from the worker alone, once
//! no reader is left that could say it instead.
//!
//! It begins when the worker has said that it wants sticks, so that a box whose settings do not want them mounts none.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    ffi::CStr,
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
    fs::{major, minor, syncfs},
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount},
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
    message::{Said, Told, Unwritten, Wish},
    reader, writer,
};

/// Where a stick is mounted.
const PLACE: &str = "/stick";
/// User and group of a reader and a writer, which are nobody else's.
const READER: u32 = 991;
/// How often it is looked for sticks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a reader may take to look through a stick and to say what is on it: longer than it does by itself.
const THROUGH_WITHIN: Duration = Duration::from_secs(60);
/// How long the worker may take to say that results are to be written, once the reader has made room for that.
const WISH_WITHIN: Duration = Duration::from_secs(5);
/// How long a writer may take: longer than the worker waits for it.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3600);
/// Wishes that are looked at once.
const MOST_WISHES: usize = 64;
/// What is to be said, and waits until the worker hears it.
const MOST_WAITING: usize = 8;

/// Only a reader or a writer sees the files, and nobody may execute any. That nobody writes is a matter of how it is mounted.
const OPTIONS_OF_FAT: &CStr = c"uid=991,gid=991,dmask=0077,fmask=0177,utf8=1";
const OPTIONS_OF_EXFAT: &CStr = c"uid=991,gid=991,dmask=0077,fmask=0177";
/// How it is mounted at any time.
const FLAGS: MountFlags =
    MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC).union(MountFlags::NOATIME);

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
    /// Looked at. It is mounted with these options, if it is, and only then something is done with it.
    Open {
        disk: Disk,
        mounted: Option<&'static CStr>,
        work: Work,
    },
}

/// What is done with a stick.
enum Work {
    /// Nothing, until it is out.
    Nothing,
    /// It is read.
    Reading(Reader),
    /// The reader has made room. Until then it may be said that results are to be written.
    Waiting(Instant),
    /// It is written onto.
    Writing(Reader),
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
            Slot::Open { disk, mut mounted, work } if disks.contains(&disk) => {
                let work = self.go_on(work, &mut mounted, Instant::now());
                Slot::Open { disk, mounted, work }
            }
            Slot::Open { mounted, work, .. } => {
                if let Work::Reading(process) | Work::Writing(process) = work {
                    process.end();
                }
                if mounted.is_some()
                    && let Err(error) = unmount(PLACE, UnmountFlags::DETACH)
                {
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
        match mounted(&disk) {
            Ok(options) => Slot::Open { disk, mounted: Some(options), work: self.read() },
            Err(error) => {
                crate::say(format_args!("the stick {} cannot be used: {error}", Shown(&disk.name)));
                self.say(Said::Unreadable);
                Slot::Open { disk, mounted: None, work: Work::Nothing }
            }
        }
    }

    /// Has the stick read.
    fn read(&mut self) -> Work {
        match Reader::start(&self.own, self.number) {
            Ok(reader) => Work::Reading(reader),
            Err(error) => {
                crate::say(format_args!("the stick cannot be read: {error}"));
                self.say(Said::Unreadable);
                Work::Nothing
            }
        }
    }

    /// Goes on with a stick that is in.
    fn go_on(&mut self, work: Work, mounted: &mut Option<&'static CStr>, now: Instant) -> Work {
        match work {
            Work::Nothing => Work::Nothing,
            Work::Reading(mut reader) => {
                // One that has said what is on the stick ends by itself only to make room. It may do both between two looks.
                let has_ended = reader.has_ended();
                if reader.is_through() && has_ended {
                    return Work::Waiting(now + WISH_WITHIN);
                }
                self.kept(reader, now).map_or(Work::Nothing, Work::Reading)
            }
            Work::Waiting(until) => match (self.hear_of_results(), *mounted) {
                (Some(last), Some(options)) => self.write(last, options, mounted),
                _ if now > until => {
                    crate::say(format_args!("the reader of the stick has ended"));
                    self.say(Said::Unreadable);
                    Work::Nothing
                }
                _ => Work::Waiting(until),
            },
            Work::Writing(writer) if writer.has_ended() => self.close(mounted),
            Work::Writing(writer) => {
                if now.saturating_duration_since(writer.started) > WRITTEN_WITHIN {
                    writer.kill();
                }
                Work::Writing(writer)
            }
        }
    }

    /// The number of the last result that the worker wants to have written onto this stick.
    fn hear_of_results(&self) -> Option<u64> {
        let mut wanted = None;
        for _ in 0..MOST_WISHES {
            match self.hear() {
                Ok(Some(Wish::Write { stick, last })) if stick == self.number => wanted = Some(last),
                // The worker has given it up: nobody would send anything to be written.
                Ok(Some(Wish::Stop)) => wanted = None,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        wanted
    }

    /// Makes the stick writable, and starts a writer.
    fn write(&mut self, last: u64, options: &'static CStr, mounted: &mut Option<&'static CStr>) -> Work {
        if let Err(error) = mount_remount(PLACE, FLAGS, options) {
            crate::say(format_args!("the stick cannot be written: {error}"));
            let protected = matches!(error, Errno::ROFS | Errno::ACCESS | Errno::PERM);
            self.say(Said::Unwritten(if protected { Unwritten::Protected } else { Unwritten::Failed }));
            return self.read();
        }
        match Reader::start_writing(&self.own, self.number, last) {
            Ok(writer) => Work::Writing(writer),
            Err(error) => {
                crate::say(format_args!("the stick cannot be written: {error}"));
                self.say(Said::Unwritten(Unwritten::Failed));
                self.close(mounted)
            }
        }
    }

    /// Has all that was written reach the stick, and makes it read-only again. One that stays writable is used no longer.
    fn close(&mut self, mounted: &mut Option<&'static CStr>) -> Work {
        let Some(options) = *mounted else { return Work::Nothing };
        let synced = File::open(PLACE).and_then(|root| Ok(syncfs(&root)?));
        let closed = mount_remount(PLACE, FLAGS | MountFlags::RDONLY, options);
        let well = synced.is_ok() && closed.is_ok();
        self.say(Said::Closed { well });
        // Before the next reader says anything.
        self.speak();
        if let Err(error) = &synced {
            crate::say(format_args!("what was written may not be on the stick: {error}"));
        }
        let Err(error) = closed else {
            // One that fails is mostly out, which is noticed soon.
            return if synced.is_ok() { self.read() } else { Work::Nothing };
        };
        crate::say(format_args!("the stick cannot be made read-only again, and is used no longer: {error}"));
        match unmount(PLACE, UnmountFlags::DETACH) {
            Ok(()) => *mounted = None,
            Err(error) => crate::say(format_args!("the stick is still mounted: {error}")),
        }
        Work::Nothing
    }

    /// The reader, if it still reads; otherwise that is said.
    fn kept(&mut self, mut reader: Reader, now: Instant) -> Option<Reader> {
        // In this order: it may speak and end meanwhile, and is then seen to have ended at the next look.
        if reader.has_ended() && !reader.is_through() {
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
        for _ in 0..MOST_WISHES {
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

/// A running reader, or writer.
struct Reader {
    process: OwnedFd,
    stdout: ChildStdout,
    started: Instant,
    /// Whether it has looked through the stick.
    is_through: bool,
}

impl Reader {
    fn start(own: &UnixDatagram, number: u32) -> io::Result<Self> {
        Self::start_as(own, &[reader::WORD, PLACE, &number.to_string()])
    }

    fn start_writing(own: &UnixDatagram, number: u32, last: u64) -> io::Result<Self> {
        Self::start_as(own, &[writer::WORD, PLACE, &number.to_string(), &last.to_string()])
    }

    #[allow(clippy::zombie_processes, reason = "the supervisor takes note of the end of every process")]
    fn start_as(own: &UnixDatagram, arguments: &[&str]) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        // Other groups than this one it has none, and with root go all capabilities.
        command.uid(READER).gid(READER).args(arguments).env_clear().current_dir("/");
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
        !self.is_through() && now.saturating_duration_since(self.started) > THROUGH_WITHIN
    }

    /// Whether it has looked through the stick: then it has written something on stdout. That it has closed that, or has ended, says
    /// nothing.
    fn is_through(&mut self) -> bool {
        self.is_through = self.is_through || ready(&self.stdout).contains(PollFlags::IN);
        self.is_through
    }

    fn end(self) {
        self.kill();
    }

    fn kill(&self) {
        // One that has ended already cannot be ended.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

/// Whether there is anything to read now, or never will be.
fn is_ready(source: &impl AsFd) -> bool {
    !ready(source).is_empty()
}

/// What there is now: something to read, or the end.
fn ready(source: &impl AsFd) -> PollFlags {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut sources = [PollFd::new(source, PollFlags::IN)];
    match poll(&mut sources, Some(&now)) {
        Ok(_) => sources[0].revents(),
        Err(_) => PollFlags::empty(),
    }
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

/// Mounts the largest file system of a disk that can be mounted, read-only, and gives the options with which it is.
fn mounted(disk: &Disk) -> io::Result<&'static CStr> {
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
        match mount(&device, PLACE, kind.name(), FLAGS | MountFlags::RDONLY, Some(options)) {
            Ok(()) => return Ok(options),
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

    /// A script in the place of a reader.
    fn start(script: &str) -> Reader {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Reader::of(command.spawn().unwrap()).unwrap()
    }

    #[test]
    fn only_a_reader_that_has_spoken_makes_room_and_only_the_worker_says_for_what() {
        let (worker, own) = UnixDatagram::pair().unwrap();
        let mut bay = Bay { own, number: 3, wanted: true, slot: Slot::Empty, waiting: VecDeque::new() };
        let (mut mounted, now) = (None, Instant::now());
        let ended = |script| {
            let reader = start(script);
            while !reader.has_ended() {
                thread::sleep(Duration::from_millis(5));
            }
            Work::Reading(reader)
        };
        assert!(matches!(bay.go_on(ended("exit 0"), &mut mounted, now), Work::Nothing));
        assert_eq!(bay.waiting.len(), 1, "it is said that the stick cannot be read");
        // It has spoken and ended between two looks.
        let Work::Waiting(until) = bay.go_on(ended("echo"), &mut mounted, now) else { panic!("there is no room") };
        // What is not about writing, and another stick.
        for wish in [Wish::Part { stick: 3, film: 0, offset: 0 }, Wish::Write { stick: 2, last: 7 }, Wish::Stop] {
            worker.send(&wish.bytes().unwrap()).unwrap();
        }
        assert!(matches!(bay.go_on(Work::Waiting(until), &mut mounted, now), Work::Waiting(_)));
        worker.send(&Wish::Write { stick: 3, last: 7 }.bytes().unwrap()).unwrap();
        assert_eq!((bay.hear_of_results(), bay.hear_of_results()), (Some(7), None));
        for wish in [Wish::Write { stick: 3, last: 7 }, Wish::Stop] {
            worker.send(&wish.bytes().unwrap()).unwrap();
        }
        assert_eq!(bay.hear_of_results(), None, "it is wanted no longer");
        let late = until + Duration::from_secs(1);
        assert!(matches!(bay.go_on(Work::Waiting(until), &mut mounted, late), Work::Nothing));
        assert_eq!(bay.waiting.len(), 2);
    }

    #[test]
    fn a_reader_that_says_nothing_for_a_minute_is_ended_and_one_that_has_spoken_is_not() {
        let (_worker, own) = UnixDatagram::pair().unwrap();
        let mut bay = Bay { own, number: 3, wanted: true, slot: Slot::Empty, waiting: VecDeque::new() };
        let late = |reader: &Reader| reader.started + THROUGH_WITHIN + Duration::from_secs(1);
        let quiet = start("exec sleep 60");
        let (now, late_now) = (quiet.started, late(&quiet));
        let quiet = bay.kept(quiet, now).unwrap();
        assert!(bay.kept(quiet, late_now).is_none());
        assert_eq!(bay.waiting.len(), 1, "it is said that the stick cannot be read");
        let mut heard = start("echo; exec sleep 60");
        while !heard.is_through() {
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
