//! The image of the memory card.
//!
//! ```text
//! MBR
//! partition 1  FAT32, label PUMUA, read-only on the box: kernel, initial file system (the program of the box, its
//!              drivers, e2fsck), boot loader, device trees, model, configuration, manifest; room for the boot files of a real
//!              Raspberry Pi
//! partition 2  ext4, label pumua-data: results and models that are sent to the box
//! ```
//!
//! The same inputs make the same image to the bit: no time, no random number and no name of this computer goes into it.

mod board;
mod boot;
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
use shared::{appliance::card, verdict::Digest};

use crate::{
    checksum,
    mbr::{self, Partition},
    program,
};

/// Bytes of a sector.
const SECTOR: u64 = mbr::SECTOR as u64;
/// Where the boot partition begins and its length in bytes: 96 MiB, of which about 45 are used.
const BOOT: (u64, u64) = (1 << 20, 96 << 20);
/// Length of the image in bytes. An emulated Raspberry Pi takes cards of a power of two only.
pub const IMAGE_BYTES: u64 = 256 << 20;
/// Where the data partition begins and its length in bytes: 159 MiB, several times what the journal may hold.
const DATA: (u64, u64) = (BOOT.0 + BOOT.1, IMAGE_BYTES - BOOT.0 - BOOT.1);
/// Identifies the data partition and seeds the hashes of its folders: any fixed number serves.
const DATA_UUID: &str = "70756d75-6100-4000-8000-646174610001";

/// Files of the boot partition: path and content.
type Files = Vec<(String, Vec<u8>)>;

/// What an image is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The program of the box: a static one for aarch64.
    pub program: &'a [u8],
    /// Version of the program.
    pub version: &'a str,
    /// The ONNX model, with what lies beside it.
    pub model: trust::Package<'a>,
    /// The configuration, TOML.
    pub configuration: &'a str,
    /// Kernel, boot loader and check of the file system.
    pub packages: &'a Packages,
    /// The boot files that a real Raspberry Pi needs; without, the image boots on emulated machines only.
    pub firmware: Option<Firmware<'a>>,
    /// Is asked between the stages whether to give up.
    pub stop: fn() -> bool,
}

/// What an image was made of, as it says on the card in `manifest.json`.
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

/// A file of the boot partition.
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
    program::check(inputs.program)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir_all(folder).map_err(|source| BuildError::Folder { folder: folder.to_owned(), source })?;
    let (files, manifest, boot_files) = content(inputs)?;
    let content = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    go_on(inputs.stop)?;
    let boot = boot::partition(&files, BOOT.1)?;

    let failed = |source| BuildError::Write { path: out.to_owned(), source };
    let mut raw = Draft::begin(out).map_err(failed)?;
    let layout =
        [Partition::fat32(BOOT.0 / SECTOR, BOOT.1 / SECTOR), Partition::linux(DATA.0 / SECTOR, DATA.1 / SECTOR)];
    let mut lay_out = || -> io::Result<()> {
        raw.file().set_len(IMAGE_BYTES)?;
        raw.file().write_all(&mbr::sector(&layout))?;
        write_sparsely(raw.file(), BOOT.0, &boot)
    };
    lay_out().map_err(failed)?;
    go_on(inputs.stop)?;
    make_data_partition(raw.path())?;
    go_on(inputs.stop)?;
    let sha256 = digest_of(raw.file()).map_err(failed)?;
    let mut finished = if out.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = Draft::begin(out).map_err(failed)?;
        compress(raw.file(), packed.file()).map_err(failed)?;
        packed
    } else {
        raw
    };
    go_on(inputs.stop)?;
    let written = finished.file().metadata().map_err(failed)?.len();
    let digest = digest_of(finished.file()).map_err(failed)?;
    finished.finish().map_err(failed)?;
    let checksum =
        checksum::write(out, &digest).map_err(|source| BuildError::Write { path: checksum::beside(out), source })?;
    let (sha256, file_sha256) = (sha256.to_string(), digest.to_string());
    Ok(Built { manifest, sha256, file_sha256, checksum, boot_files, content, written })
}

/// Ends what is being done if that is asked for.
fn go_on(stop: fn() -> bool) -> Result<(), BuildError> {
    if stop() { Err(Interrupted.into()) } else { Ok(()) }
}

/// Every file of the boot partition, in order, and the names of those that come from the Raspberry Pi's maker.
fn content(inputs: &Inputs<'_>) -> Result<(Files, Manifest, Vec<String>), BuildError> {
    let unpacked = inputs.packages.unpack(inputs.stop)?;
    let drivers = drivers::collect(&unpacked.modules())?;
    go_on(inputs.stop)?;
    let mut files = vec![
        (card::SETTINGS.to_owned(), inputs.configuration.as_bytes().to_vec()),
        ("config.txt".to_owned(), firmware::configuration().into_bytes()),
        ("initramfs.gz".to_owned(), initramfs::archive(inputs.program, &unpacked.e2fsck()?, &drivers)?),
        (card::MODEL.to_owned(), inputs.model.model.to_vec()),
        ("u-boot.bin".to_owned(), unpacked.u_boot()?),
        ("uboot.env".to_owned(), uboot::environment()),
        ("vmlinuz".to_owned(), unpacked.kernel()?),
    ];
    let [list, signatures] = inputs.model.list.map_or([None; 2], |list| list.map(Some));
    let beside = [(card::signature_of(card::MODEL), inputs.model.signature), (card::KEYS.to_owned(), list)];
    for (name, text) in beside.into_iter().chain([(card::signature_of(card::KEYS), signatures)]) {
        files.extend(text.map(|text| (name, text.as_bytes().to_vec())));
    }
    for tree in Board::device_trees() {
        files.push((tree.to_owned(), unpacked.device_tree(tree)?));
    }
    let (mut boards, mut boot_files) = (Vec::new(), Vec::new());
    if let Some(firmware) = inputs.firmware {
        let (found, served) = firmware::read(firmware)?;
        boot_files.extend(found.iter().map(|(name, _)| name.clone()));
        files.extend(found);
        boards = served.iter().map(|board| board.name).collect();
    }
    let manifest = Manifest {
        version: inputs.version.to_owned(),
        note: "Pumua is a research aid, not a medical device.",
        kernel: inputs.packages.kernel.version.clone(),
        u_boot: inputs.packages.u_boot.version.clone(),
        boards,
        files: files
            .iter()
            .map(|(name, bytes)| Entry { name: name.clone(), bytes: bytes.len() as u64, sha256: hex(bytes) })
            .collect(),
    };
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(|error| BuildError::Manifest(error.to_string()))?;
    text.push(b'\n');
    files.push((card::MANIFEST.to_owned(), text));
    Ok((files, manifest, boot_files))
}

/// What the file system of the data partition has. All of it is named, and known to the kernel on the card: what is not named
/// would be as this computer's settings have it.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,\
                        dir_nlink,extra_isize,metadata_csum";

/// Makes the file system of the data partition, which the kernel takes no more writes for once it has found damage, within the image, with the system's own program for it.
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
