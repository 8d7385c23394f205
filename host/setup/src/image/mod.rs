//! The image of the memory card.
//!
//! ```text
//! MBR
//! gap          two copies of the boot state, raw, and room for a mark of the box that it has started from this card
//! partition 1  FAT32, label PUMUA, read-only on the box: boot loader and its environment, model, settings, manifest; the boot files
//!              of a real Raspberry Pi, or room for them
//! partition 2  FAT32, label PUMUA-A, the first slot: kernel, initial file system (the program of the box, its drivers, e2fsck),
//!              device trees, manifest
//! partition 3  the second slot, empty: a bundle that the box is sent is written there
//! partition 4  ext4, label pumua-data: results, models that are sent to the box, what concerns updates
//! ```
//!
//! A [bundle](fn@bundle) is what fills a slot, packed, for boxes that run already.
//!
//! The same inputs make the same image to the bit: no time, no random number and no name of this computer goes into it.

mod board;
mod boot;
mod bundle;
mod drivers;
mod error;
mod firmware;
mod initramfs;
mod packages;
#[cfg(test)]
mod tests;
mod uboot;

pub use self::{
    board::Board,
    bundle::{Bundled, bundle},
    error::BuildError,
    firmware::{Firmware, LICENCE},
    packages::{Package, Packages},
};

use std::{
    fs::{File, create_dir_all},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
};

use base::{files::Draft, interrupt::Interrupted};
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use shared::{
    appliance::{
        card::{self, FAT_BOOT_LABEL},
        slots::{BootState, SLOT_BYTES, SLOT_MANIFEST, STATE_SECTORS, Slot, fat_label},
    },
    verdict::Digest,
};

use self::packages::Unpacked;
use crate::{
    checksum,
    mbr::{self, Partition},
    program,
};

/// Bytes of a sector.
const SECTOR: u64 = mbr::SECTOR as u64;
/// Where the boot partition begins and its length in bytes: 72 MiB, of which at most about 15 are used. FAT32 is none with much less.
const BOOT: (u64, u64) = (1 << 20, 72 << 20);
/// Where the slots begin: each has [`SLOT_BYTES`], of which about 40 MiB are used.
const SLOTS: [u64; 2] = [BOOT.0 + BOOT.1, BOOT.0 + BOOT.1 + SLOT_BYTES];
/// Length of the image in bytes. An emulated Raspberry Pi takes cards of a power of two only.
pub const IMAGE_BYTES: u64 = 512 << 20;
/// Where the data partition begins and its length in bytes: 295 MiB, several times what the journal and a bundle may hold.
const DATA: (u64, u64) = (SLOTS[1] + SLOT_BYTES, IMAGE_BYTES - SLOTS[1] - SLOT_BYTES);
/// Identifies the data partition and seeds the hashes of its folders: any fixed number serves.
const DATA_UUID: &str = "70756d75-6100-4000-8000-646174610001";

/// Files of a partition: path and content.
type Files = Vec<(String, Vec<u8>)>;

/// What fills a slot.
#[derive(Debug, Clone, Copy)]
pub struct Software<'a> {
    /// The program of the box: a static one for aarch64.
    pub program: &'a [u8],
    /// Version of the program.
    pub version: &'a str,
    /// Kernel, boot loader and check of the file system.
    pub packages: &'a Packages,
    /// Is asked between the stages whether to give up.
    pub stop: fn() -> bool,
}

/// What an image is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// What fills its first slot.
    pub software: Software<'a>,
    /// The ONNX model, with what lies beside it.
    pub model: trust::Package<'a>,
    /// The configuration, TOML.
    pub configuration: &'a str,
    /// The boot files that a real Raspberry Pi needs; without, the image boots on emulated machines only.
    pub firmware: Option<Firmware<'a>>,
}

/// What is said of everything that is made here.
const NOTE: &str = "Pumua is a research aid, not a medical device.";

/// What an image was made of, as it says on the card in `manifest.json`. What the box is sent later is not in it.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the program of the box.
    pub version: String,
    /// What it is for.
    pub note: &'static str,
    /// Version of the kernel's package.
    pub kernel: String,
    /// Version of the boot loader's package.
    pub u_boot: String,
    /// The boards for which all boot files are on the card.
    pub boards: Vec<&'static str>,
    /// Every file of the boot partition but this one.
    pub files: Vec<Entry>,
}

/// What a slot was made of, as it says there in `slot.json`.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct SlotManifest {
    /// Version of the program of the box.
    pub version: String,
    /// What it is for.
    pub note: &'static str,
    /// Version of the kernel's package.
    pub kernel: String,
    /// Every file of the slot but this one.
    pub files: Vec<Entry>,
}

/// A file of a partition.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 digest in hexadecimal digits.
    pub sha256: String,
}

/// An image that has been made.
#[derive(Debug)]
pub struct Built {
    /// What it was made of.
    pub manifest: Manifest,
    /// What its first slot was made of.
    pub slot: SlotManifest,
    /// Digest of the image, before it is compressed, in hexadecimal digits.
    pub sha256: String,
    /// Digest of the file that was written.
    pub file_sha256: String,
    /// The file that says so; none beside a device or a pipe.
    pub checksum: Option<PathBuf>,
    /// The boot files of a Raspberry Pi that are on the card, with their licence.
    pub boot_files: Vec<String>,
    /// Bytes of all files on the card.
    pub content: u64,
    /// Bytes of the file that was written.
    pub written: u64,
}

/// Makes an image and writes it to `out`, compressed with gzip if the name ends in `.gz`, and its digest [beside
/// it](checksum::beside); a folder that is missing is made. A run that is stopped leaves nothing, neither there nor among the
/// temporary files.
///
/// # Errors
/// [`BuildError`]: an input does not serve, something cannot be written, or Ctrl-C was pressed.
pub fn build(inputs: &Inputs<'_>, out: &Path) -> Result<Built, BuildError> {
    let stop = inputs.software.stop;
    program::check(inputs.software.program)?;
    make_folder_of(out)?;
    let Content { boot, slot, manifest, slot_manifest, boot_files } = content(inputs)?;
    let content = boot.iter().chain(&slot).map(|(_, bytes)| bytes.len() as u64).sum();
    go_on(stop)?;
    let boot = boot::partition(FAT_BOOT_LABEL, &boot, BOOT.1)?;
    let slot = file_system(&slot)?;

    let failed = |source| BuildError::Write { path: out.to_owned(), source };
    let mut raw = Draft::begin(out).map_err(failed)?;
    let [first, second] = SLOTS.map(|start| Partition::fat32(start / SECTOR, SLOT_BYTES / SECTOR));
    let data = Partition::linux(DATA.0 / SECTOR, DATA.1 / SECTOR);
    let layout = [Partition::boot(BOOT.0 / SECTOR, BOOT.1 / SECTOR), first, second, data];
    let mut lay_out = || -> io::Result<()> {
        raw.file().set_len(IMAGE_BYTES)?;
        raw.file().write_all(&mbr::sector(&layout))?;
        for sector in STATE_SECTORS {
            raw.file().seek(SeekFrom::Start(sector * SECTOR))?;
            raw.file().write_all(&BootState::FIRST.bytes())?;
        }
        write_sparsely(raw.file(), BOOT.0, &boot)?;
        write_sparsely(raw.file(), SLOTS[0], &slot)
    };
    lay_out().map_err(failed)?;
    go_on(stop)?;
    make_data_partition(raw.path())?;
    go_on(stop)?;
    let sha256 = digest_of(raw.file()).map_err(failed)?;
    let mut finished = if out.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = Draft::begin(out).map_err(failed)?;
        compress(raw.file(), packed.file()).map_err(failed)?;
        packed
    } else {
        raw
    };
    go_on(stop)?;
    let written = finished.file().metadata().map_err(failed)?.len();
    let digest = digest_of(finished.file()).map_err(failed)?;
    finished.finish().map_err(failed)?;
    let checksum =
        checksum::write(out, &digest).map_err(|source| BuildError::Write { path: checksum::beside(out), source })?;
    let (sha256, file_sha256) = (sha256.to_string(), digest.to_string());
    Ok(Built { manifest, slot: slot_manifest, sha256, file_sha256, checksum, boot_files, content, written })
}

/// Makes the folder that a file is to be in.
fn make_folder_of(out: &Path) -> Result<(), BuildError> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir_all(folder).map_err(|source| BuildError::Folder { folder: folder.to_owned(), source })
}

/// Ends what is being done if that is asked for.
fn go_on(stop: fn() -> bool) -> Result<(), BuildError> {
    if stop() { Err(Interrupted.into()) } else { Ok(()) }
}

/// What is on a card.
struct Content {
    /// Every file of the boot partition, in order.
    boot: Files,
    /// Every file of the first slot, in order.
    slot: Files,
    manifest: Manifest,
    slot_manifest: SlotManifest,
    /// Those of the boot partition that come from the Raspberry Pi's maker.
    boot_files: Vec<String>,
}

fn content(inputs: &Inputs<'_>) -> Result<Content, BuildError> {
    let Inputs { software, model, configuration, firmware } = inputs;
    let unpacked = software.packages.unpack(software.stop)?;
    let (slot, slot_manifest) = slot_content(software, &unpacked)?;
    let mut files = vec![
        (card::SETTINGS.to_owned(), configuration.as_bytes().to_vec()),
        ("config.txt".to_owned(), firmware::configuration().into_bytes()),
        (card::MODEL.to_owned(), model.model.to_vec()),
        ("u-boot.bin".to_owned(), unpacked.u_boot()?),
        ("uboot.env".to_owned(), uboot::environment()),
    ];
    let [list, signatures] = model.list.map_or([None; 2], |list| list.map(Some));
    let beside = [(card::signature_of(card::MODEL), model.signature), (card::KEYS.to_owned(), list)];
    for (name, text) in beside.into_iter().chain([(card::signature_of(card::KEYS), signatures)]) {
        files.extend(text.map(|text| (name, text.as_bytes().to_vec())));
    }
    // The first stage hands them to the boot loader, which goes by them; the kernel gets those of its slot.
    files.extend(device_trees(&unpacked)?);
    let (mut boards, mut boot_files) = (Vec::new(), Vec::new());
    if let Some(firmware) = *firmware {
        let (found, served) = firmware::read(firmware)?;
        boot_files.extend(found.iter().map(|(name, _)| name.clone()));
        files.extend(found);
        boards = served.iter().map(|board| board.name).collect();
    }
    let manifest = Manifest {
        version: software.version.to_owned(),
        note: NOTE,
        kernel: software.packages.kernel.version.clone(),
        u_boot: software.packages.u_boot.version.clone(),
        boards,
        files: entries(&files),
    };
    files.push((card::MANIFEST.to_owned(), text_of(&manifest)?));
    Ok(Content { boot: files, slot, manifest, slot_manifest, boot_files })
}

/// Every file of a slot, in order, and what it says of them.
fn slot_content(software: &Software<'_>, unpacked: &Unpacked) -> Result<(Files, SlotManifest), BuildError> {
    let drivers = drivers::collect(&unpacked.modules())?;
    go_on(software.stop)?;
    let mut files = vec![
        ("initramfs.gz".to_owned(), initramfs::archive(software.program, &unpacked.e2fsck()?, &drivers)?),
        ("vmlinuz".to_owned(), unpacked.kernel()?),
    ];
    files.extend(device_trees(unpacked)?);
    let manifest = SlotManifest {
        version: software.version.to_owned(),
        note: NOTE,
        kernel: software.packages.kernel.version.clone(),
        files: entries(&files),
    };
    files.push((SLOT_MANIFEST.to_owned(), text_of(&manifest)?));
    Ok((files, manifest))
}

/// The file system of a slot, which is the same in an image and in a bundle.
fn file_system(slot: &[(String, Vec<u8>)]) -> Result<Vec<u8>, BuildError> {
    boot::partition(fat_label(Slot::A), slot, SLOT_BYTES)
}

/// The device trees of all boards.
fn device_trees(unpacked: &Unpacked) -> Result<Files, BuildError> {
    Board::device_trees().map(|tree| Ok((tree.to_owned(), unpacked.device_tree(tree)?))).collect()
}

/// What a manifest says of these files.
fn entries(files: &[(String, Vec<u8>)]) -> Vec<Entry> {
    let entry =
        |(name, bytes): &(String, Vec<u8>)| Entry { name: name.clone(), bytes: bytes.len() as u64, sha256: hex(bytes) };
    files.iter().map(entry).collect()
}

/// The text of a manifest.
fn text_of(manifest: &impl Serialize) -> Result<Vec<u8>, BuildError> {
    let mut text = serde_json::to_vec_pretty(manifest).map_err(|error| BuildError::Manifest(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// What the file system of the data partition has. All of it is named, and known to the kernel on the card: what is not named
/// would be as this computer's settings have it.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,\
                        dir_nlink,extra_isize,metadata_csum";

/// Makes the file system of the data partition within the image, with the system's own program. Once the kernel finds damage in it, it
/// writes nothing more there.
fn make_data_partition(image: &Path) -> Result<(), BuildError> {
    let mut command = Command::new("mkfs.ext4");
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps it where only the superuser looks.
    let path = std::env::join_paths(std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]));
    command
        .args(["-q", "-F", "-O", FEATURES, "-b", "4096", "-I", "256", "-N", "2048", "-m", "0", "-e", "remount-ro"])
        .args(["-J", "size=4", "-L", card::DATA_LABEL, "-U", DATA_UUID, "-E"])
        .arg(format!(
            "offset={},hash_seed={DATA_UUID},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard",
            DATA.0
        ))
        .arg(image)
        .arg(format!("{}k", DATA.1 / 1024))
        .env_clear()
        .env("PATH", path.unwrap_or_default())
        .env("MKE2FS_CONFIG", "/dev/null")
        // The time that it writes into the file system.
        .env("E2FSPROGS_FAKE_TIME", "1");
    packages::run(&mut command, "install e2fsprogs")
}

/// Writes what is not zero; the file reads as zeros elsewhere.
fn write_sparsely(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    const BLOCK: usize = 4096;
    for (n, block) in (0..).zip(bytes.chunks(BLOCK)) {
        if block.iter().any(|&byte| byte != 0) {
            file.seek(SeekFrom::Start(at + n * BLOCK as u64))?;
            file.write_all(block)?;
        }
    }
    Ok(())
}

fn compress(raw: &mut File, packed: &mut File) -> io::Result<()> {
    raw.seek(SeekFrom::Start(0))?;
    let mut encoder = GzBuilder::new().mtime(0).write(packed, Compression::best());
    io::copy(raw, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}

fn digest_of(file: &mut File) -> io::Result<Digest> {
    let mut digest = Sha256::new();
    let mut bytes = vec![0; 1 << 20];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(Digest(digest.finalize().into())),
            count => digest.update(&bytes[..count]),
        }
    }
}

/// The SHA-256 digest of some bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// Reads a whole file.
fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::Read { path: path.to_owned(), source })
}
