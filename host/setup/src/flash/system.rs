//! What the system knows of its disks, from /sys and /proc.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Dev, major, makedev, minor};

use super::FlashError;

/// Where the system lists its disks.
#[derive(Clone, Debug)]
pub struct System {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into() }
    }
}

/// A whole disk, with what may keep it from being overwritten.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The disk itself.
    pub whole: Part,
    /// Vendor and model in their own words; empty if it has none.
    pub model: String,
    /// It can be taken out or unplugged, see [`System::disk`].
    pub removable: bool,
    /// It cannot be written.
    pub read_only: bool,
    /// Its partitions, in order of their numbers.
    pub partitions: Vec<Part>,
}

/// A disk or one partition of it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in /dev, such as `sdb` or `sdb1`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Where it is mounted.
    pub mounts: Vec<String>,
    /// The system swaps to it.
    pub swap: bool,
    /// Devices built upon it: of an encrypted disk, a volume group, an array, or a loop device.
    pub holders: Vec<String>,
    pub(super) device: Dev,
}

impl Disk {
    /// The disk itself, then its partitions.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.whole).chain(&self.partitions)
    }
}

impl System {
    /// The removable disks that have a medium, in order of their names.
    ///
    /// # Errors
    /// [`FlashError::Inspect`]: /sys or /proc cannot be read.
    pub fn removable(&self) -> Result<Vec<Disk>, FlashError> {
        let uses = self.uses()?;
        let folder = self.sys.join("class/block");
        let mut disks = Vec::new();
        for name in names(&folder).map_err(at(&folder))? {
            let node = folder.join(name);
            if !node.join("partition").exists() {
                // One that is unplugged at this moment is none.
                disks.extend(self.read_disk(&node, &uses).ok().filter(|disk| disk.removable && disk.whole.bytes > 0));
            }
        }
        Ok(disks)
    }

    /// The disk with this device number. It counts as removable if
    /// - the kernel says so: its medium can be taken out, as with card readers and sticks,
    /// - or it is on a USB bus, whatever it says of itself: disks in USB housings call themselves fixed,
    /// - or it is a memory card in a slot without a USB reader; its soldered kin, the eMMC, is not.
    ///
    /// # Errors
    /// [`FlashError::Partition`]: it is part of a disk. [`FlashError::Inspect`]: /sys or /proc cannot be read.
    pub fn disk(&self, device: Dev) -> Result<Disk, FlashError> {
        let node = self.sys.join(format!("dev/block/{}:{}", major(device), minor(device)));
        let node = node.canonicalize().map_err(at(&node))?;
        if node.join("partition").exists() {
            let disk = node.parent().map(name).unwrap_or_default();
            return Err(FlashError::Partition { name: name(&node), disk });
        }
        self.read_disk(&node, &self.uses()?)
    }

    fn read_disk(&self, node: &Path, uses: &Uses) -> Result<Disk, FlashError> {
        let node = node.canonicalize().map_err(at(node))?;
        let mut partitions = Vec::new();
        for name in names(&node).map_err(at(&node))? {
            let node = node.join(name);
            if let Some(number) = attribute(&node, "partition").and_then(|number| number.parse::<u32>().ok()) {
                partitions.push((number, read_part(&node, uses)?));
            }
        }
        partitions.sort_by_key(|&(number, _)| number);
        let flag = |name| attribute(&node, name).is_some_and(|value| value == "1");
        let memory_card = attribute(&node, "device/type").is_some_and(|kind| kind == "SD");
        let words = ["device/vendor", "device/model", "device/name"].map(|name| attribute(&node, name));
        Ok(Disk {
            whole: read_part(&node, uses)?,
            model: words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
            removable: flag("removable") || memory_card || self.is_on_usb(&node),
            read_only: flag("ro"),
            partitions: partitions.into_iter().map(|(_, part)| part).collect(),
        })
    }

    /// Every device is a folder within that of the one it is attached to.
    fn is_on_usb(&self, node: &Path) -> bool {
        let root = self.sys.canonicalize().unwrap_or_default();
        node.ancestors()
            .take_while(|folder| **folder != root)
            .any(|folder| fs::read_link(folder.join("subsystem")).is_ok_and(|bus| name(&bus) == "usb"))
    }

    fn uses(&self) -> Result<Uses, FlashError> {
        let read = |file: &str| {
            let path = self.proc.join(file);
            fs::read_to_string(&path).map_err(at(&path))
        };
        let mounts = read("self/mountinfo")?.lines().filter_map(Mount::parse).collect();
        // A kernel without swap has no such file. Under a heading, each line begins with the name.
        let swaps = read("swaps").unwrap_or_default();
        let swaps = swaps.lines().skip(1).filter_map(|line| Some(unescaped(line.split_whitespace().next()?))).collect();
        let folder = self.sys.join("class/block");
        let mut loops = Vec::new();
        for name in names(&folder).map_err(at(&folder))? {
            loops.extend(attribute(&folder.join(&name), "loop/backing_file").map(|backing| (backing, name)));
        }
        Ok(Uses { mounts, swaps, loops })
    }
}

/// What the disks are used for.
struct Uses {
    mounts: Vec<Mount>,
    /// Paths of swap space.
    swaps: Vec<String>,
    /// What lies behind a loop device, and its name.
    loops: Vec<(String, String)>,
}

struct Mount {
    /// Some file systems have a number of their own instead of their partition's.
    device: Dev,
    source: String,
    place: String,
}

impl Mount {
    /// Of a line of `mountinfo`, see proc_pid_mountinfo(5).
    fn parse(line: &str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        Some(Self {
            device: device(front.next()?)?,
            place: unescaped(front.nth(1)?),
            source: unescaped(back.split(' ').nth(1)?),
        })
    }
}

fn read_part(node: &Path, uses: &Uses) -> Result<Part, FlashError> {
    let malformed = |name: &str| at(&node.join(name))(io::ErrorKind::InvalidData.into());
    let device = attribute(node, "dev").and_then(|numbers| device(&numbers)).ok_or_else(|| malformed("dev"))?;
    // In units of 512 bytes, whatever the sectors of the disk.
    let bytes = attribute(node, "size").and_then(|sectors| sectors.parse::<u64>().ok()?.checked_mul(512));
    let name = name(node);
    let path = format!("/dev/{name}");
    let mounts = uses.mounts.iter().filter(|mount| mount.device == device || mount.source == path);
    let mut holders = names(&node.join("holders")).unwrap_or_default();
    holders.extend(uses.loops.iter().filter(|(backing, _)| *backing == path).map(|(_, name)| name.clone()));
    Ok(Part {
        bytes: bytes.ok_or_else(|| malformed("size"))?,
        mounts: mounts.map(|mount| mount.place.clone()).collect(),
        swap: uses.swaps.contains(&path),
        holders,
        device,
        name,
    })
}

/// Of its numbers, as in `8:16`.
fn device(numbers: &str) -> Option<Dev> {
    let (major, minor) = numbers.split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

fn at(path: &Path) -> impl Fn(io::Error) -> FlashError {
    move |source| FlashError::Inspect { path: path.to_owned(), source }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names: io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(name(&entry?.path()))).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

fn attribute(node: &Path, name: &str) -> Option<String> {
    Some(fs::read_to_string(node.join(name)).ok()?.trim().to_owned())
}

/// The kernel writes blanks and the like as a backslash and three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        (bytes, rest) = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] if *first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                (bytes, tail)
            }
            _ => {
                bytes.push(*first);
                (bytes, tail)
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
