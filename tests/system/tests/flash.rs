//! `pumua flash` writes to files as an emulator has them and, for root where the kernel has loop devices, to a real disk.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use shared::verdict::Digest;
use system_tests::{code, command, host, json_lines, said, within};
use tempfile::TempDir;

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const REFUSED: i32 = 3;
const INTERRUPTED: i32 = 130;

const MIB: u64 = 1 << 20;

/// The first sector of a box's card of `length` bytes: a partition to boot from and one for data.
fn partition_table(length: u64) -> [u8; 512] {
    table(&[(0x0c, 2048, 1024), (0x83, 3072, length as u32 / 512 - 3072)])
}

/// The first sector of a disk with these partitions: type, first sector and number of sectors.
fn table(partitions: &[(u8, u32, u32)]) -> [u8; 512] {
    let mut sector = [0; 512];
    for (entry, &(kind, first, count)) in (446..510).step_by(16).zip(partitions) {
        sector[entry + 4] = kind;
        sector[entry + 8..entry + 12].copy_from_slice(&u32::to_le_bytes(first));
        sector[entry + 12..entry + 16].copy_from_slice(&u32::to_le_bytes(count));
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// An image of 6 MiB, as it is and compressed.
fn images(folder: &Path) -> (Vec<u8>, [PathBuf; 2]) {
    let mut bytes: Vec<u8> = (0..6 * MIB).map(|at| (at / 509) as u8).collect();
    bytes[..512].copy_from_slice(&partition_table(6 * MIB));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&bytes).unwrap();
    // What the file is called says nothing.
    let paths = ["box.img", "download"].map(|name| folder.join(name));
    fs::write(&paths[0], &bytes).unwrap();
    fs::write(&paths[1], encoder.finish().unwrap()).unwrap();
    (bytes, paths)
}

fn flash<'a>(image: &'a Path, device: &'a Path, options: &[&'a str]) -> std::process::Output {
    host(["flash".as_ref(), image.as_os_str(), device.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)))
}

#[test]
fn an_image_is_written_to_a_file_and_read_back() {
    let folder = TempDir::new().unwrap();
    let (bytes, images) = images(folder.path());
    let disk = folder.path().join("disk");
    for image in images {
        fs::write(&disk, vec![7; bytes.len() + 1000]).unwrap();
        let output = flash(&image, &disk, &["--allow", "file", "--yes", "--json"]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let value = &json_lines(&output)[0];
        assert_eq!(
            (&value["bytes"], &value["written"], &value["verified"]),
            (&6_291_456.into(), &true.into(), &true.into())
        );
        assert_eq!(value["sha256"].as_str().unwrap().len(), 64);
        assert!(fs::read(&disk).unwrap() == [&bytes[..], &[7; 1000]].concat());
        let output = flash(&image, &disk, &["--verify-only"]);
        assert_eq!(code(&output), 0, "{}", said(&output));
    }
    File::options().write(true).open(&disk).unwrap().write_at(&[0xee], 5_000_000).unwrap();
    let output = flash(&folder.path().join("box.img"), &disk, &["--verify-only"]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("the medium differs from the image at byte 5000000: flash it again"));
}

#[test]
fn nothing_is_overwritten_that_was_not_named_and_confirmed() {
    let folder = TempDir::new().unwrap();
    let (_, [image, _]) = images(folder.path());
    let disk = folder.path().join("disk");
    fs::write(&disk, vec![7; 7 << 20]).unwrap();
    let small = folder.path().join("small");
    fs::write(&small, [7; 1000]).unwrap();
    let absent = folder.path().join("absent");
    for (output, exit, words) in [
        (host(["flash"]), USAGE, "pumua flash IMAGE DEVICE`"),
        (host(["flash".as_ref(), image.as_os_str()]), USAGE, "pumua flash IMAGE DEVICE`"),
        (flash(&image, &disk, &["--allow", "file"]), USAGE, "add `--yes` if so"),
        (flash(&image, &disk, &["--yes"]), FAILED, "is a file, not a disk: `--allow file`"),
        (flash(&image, &absent, &["--allow", "file", "--yes"]), FAILED, "there is no "),
        (flash(&image, folder.path(), &["--allow", "file", "--yes"]), FAILED, "is not a disk"),
        (flash(&image, &small, &["--allow", "file", "--yes"]), FAILED, "the medium has 1000 bytes and the image needs"),
        (flash(&small, &disk, &["--allow", "file", "--yes"]), FAILED, "it does not begin with a partition table"),
        (flash(&image, &image, &["--allow", "file", "--yes"]), USAGE, "which is read"),
        (flash(&disk, &image, &["--allow", "file", "--yes"]), FAILED, "use a larger medium"),
    ] {
        assert_eq!(code(&output), exit, "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
    assert!(fs::read(&disk).unwrap() == vec![7; 7 << 20]);
    assert!(fs::read(&small).unwrap() == [7; 1000]);
    assert!(!absent.exists());
}

#[test]
fn another_image_than_the_one_that_was_meant_is_refused_untouched() {
    let folder = TempDir::new().unwrap();
    let (bytes, [image, compressed]) = images(folder.path());
    let disk = folder.path().join("disk");
    let before = vec![7; 7 << 20];
    fs::write(&disk, &before).unwrap();
    let allowed = ["--allow", "file", "--yes"];
    let with = |digest: &str| flash(&compressed, &disk, &[&allowed[..], &["--sha256", digest]].concat());
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    let (of_image, of_file) = (digest(&bytes), digest(&fs::read(&compressed).unwrap()));
    let beside = folder.path().join("download.sha256");
    for (output, exit, words) in [
        (with("abc"), USAGE, "it must have 64 hexadecimal digits"),
        (with(&digest(b"another")), REFUSED, "--sha256 says"),
    ] {
        assert_eq!(code(&output), exit, "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    for (text, exit, words) in [
        (format!("{}  download\n", digest(b"another")), REFUSED, "download.sha256 says"),
        (String::new(), FAILED, "delete it"),
    ] {
        fs::write(&beside, text).unwrap();
        let output = flash(&compressed, &disk, &allowed);
        assert_eq!(code(&output), exit, "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    assert!(fs::read(&disk).unwrap() == before);
    // What is named counts, whatever is beside the image; either digest will do.
    for digest in [&of_image, &of_file] {
        let output = with(digest);
        assert_eq!(code(&output), 0, "{}", said(&output));
    }
    fs::write(&beside, format!("{of_file}  download\n")).unwrap();
    for output in [flash(&compressed, &disk, &["--verify-only"]), flash(&image, &disk, &["--verify-only"])] {
        assert_eq!(code(&output), 0, "{}", said(&output));
    }
}

#[test]
fn ctrl_c_leaves_a_medium_that_nobody_takes_for_whole() {
    let folder = TempDir::new().unwrap();
    let [image, disk] = ["box.img", "disk"].map(|name| folder.path().join(name));
    let length = 1024 * MIB;
    for path in [&image, &disk] {
        let file = File::create(path).unwrap();
        file.set_len(length).unwrap();
        file.write_all_at(&partition_table(length), 0).unwrap();
    }
    let before = fs::metadata(&disk).unwrap().blocks();
    let arguments = ["flash".as_ref(), image.as_os_str(), disk.as_os_str(), "--allow".as_ref(), "file".as_ref()];
    let flashing =
        command("pumua").args(arguments).arg("--yes").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(within(Duration::from_secs(60), || fs::metadata(&disk).unwrap().blocks() > before + MIB / 512));
    assert!(Command::new("kill").args(["-INT", &flashing.id().to_string()]).status().unwrap().success());
    let output = flashing.wait_with_output().unwrap();
    assert_eq!(code(&output), INTERRUPTED, "{}", said(&output));
    assert!(said(&output).contains("the medium is incomplete and has no partition table: flash it again"));
    let mut first = [1; 512];
    File::open(&disk).unwrap().read_exact_at(&mut first, 0).unwrap();
    assert_eq!(first, [0; 512]);
}

/// A loop device over a file; it goes when this is dropped.
struct Loop(PathBuf);

impl Loop {
    fn new(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).stderr(Stdio::null()).output();
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            // Not by `eprintln!`, which the test harness keeps to itself where a test passes.
            let _ = writeln!(
                io::stderr(),
                "skipped: no loop device can be set up (it takes root and the kernel's loop driver)"
            );
            return None;
        };
        Some(Self(String::from_utf8(output.stdout).unwrap().trim_end().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn an_image_is_written_to_a_loop_device_unless_somebody_holds_it() {
    let folder = TempDir::new().unwrap();
    let (bytes, [image, compressed]) = images(folder.path());
    let backing = folder.path().join("backing");
    fs::write(&backing, vec![7; bytes.len() + 4096]).unwrap();
    let Some(disk) = Loop::new(&backing) else { return };
    let disk = &disk.0;
    let output = flash(&image, disk, &["--yes"]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("is not a removable medium"));
    let allowed = ["--yes", "--allow", "non-removable"];
    {
        // O_EXCL, as the kernel has it for what is mounted.
        let _held = OpenOptions::new().read(true).custom_flags(0o200).open(disk).unwrap();
        let output = flash(&image, disk, &allowed);
        assert_eq!(code(&output), FAILED, "{}", said(&output));
        assert!(said(&output).contains("is in use: unmount it"), "{}", said(&output));
    }
    assert!(fs::read(&backing).unwrap() == vec![7; bytes.len() + 4096]);
    let output = flash(&compressed, disk, &allowed);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(said(&output).contains("then take it out"), "{}", said(&output));
    assert!(fs::read(&backing).unwrap() == [&bytes[..], &[7; 4096]].concat());
    let output = flash(&image, disk, &["--verify-only"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
}

/// A medium of which one partition is mounted and another one is in use in a way that no table shows.
#[test]
fn a_mounted_medium_is_overwritten_if_that_is_allowed_unless_another_partition_is_in_use() {
    let folder = TempDir::new().unwrap();
    let (bytes, [image, _]) = images(folder.path());
    let backing = folder.path().join("backing");
    fs::write(&backing, &bytes).unwrap();
    let Some(disk) = Loop::new(&backing) else { return };
    let disk = &disk.0;
    let part = |number: u32| PathBuf::from(format!("{}p{number}", disk.display()));
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    // Not every kernel reads the table of a loop device.
    let added = [["1", "2048", "1024"], ["2", "3072", "9216"]].iter().all(|part| {
        let arguments = [disk.as_os_str()].into_iter().chain(part.iter().map(AsRef::as_ref)).collect::<Vec<_>>();
        run("addpart", &arguments)
    });
    if !added || !within(Duration::from_secs(5), || part(1).exists() && part(2).exists()) {
        let _ = writeln!(io::stderr(), "skipped: a loop device cannot be given partitions");
        return;
    }
    let place = folder.path().join("mounted");
    fs::create_dir(&place).unwrap();
    if !run("/sbin/mkfs.ext4", &["-q".as_ref(), part(2).as_os_str()])
        || !run("mount", &[part(2).as_os_str(), place.as_os_str()])
    {
        let _ = writeln!(io::stderr(), "skipped: no file system can be made and mounted");
        return;
    }
    let allowed = ["--yes", "--allow", "non-removable", "--allow", "mounted"];
    let held = OpenOptions::new().read(true).custom_flags(0o200).open(part(1)).unwrap();
    let refused = [flash(&image, disk, &allowed[..3]), flash(&image, disk, &allowed)];
    let before = fs::read(&backing).unwrap();
    drop(held);
    let output = flash(&image, disk, &allowed);
    assert!(run("umount", &[place.as_os_str()]));
    assert!(["1", "2"].iter().all(|number| run("delpart", &[disk.as_os_str(), number.as_ref()])));
    for (output, words) in refused.iter().zip(["is mounted at ", "p1 is in use: unmount it"]) {
        assert_eq!(code(output), FAILED, "{}", said(output));
        assert!(said(output).contains(words), "{}", said(output));
    }
    assert!(before != bytes, "the file system is still there");
    assert_eq!(code(&output), 0, "{}", said(&output));
}

/// What is in the journal of the box here.
const JOURNAL: &[u8] = b"results of a year";

/// Where the data partition of the card of before begins and its length, in sectors, and those of an image with two slots.
const OLD: (u32, u32) = (4096, 12_288);
const NEW: (u32, u32) = (8192, 24_576);

/// Runs a program of e2fsprogs, which Debian keeps where only the superuser looks.
fn e2fsprogs(program: &str, arguments: &[&str]) -> Option<std::process::Output> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program).args(arguments).env("PATH", format!("{path}:/usr/sbin:/sbin")).output();
    if output.is_err() {
        let _ = writeln!(io::stderr(), "skipped: no {program} (Debian: e2fsprogs)");
    }
    output.ok()
}

/// A card as boxes of before have it, with two partitions, results, and so many bytes behind them.
fn card_with_results(folder: &Path, behind: u64) -> Option<PathBuf> {
    let (card, journal) = (folder.join("card"), folder.join("journal"));
    fs::write(&journal, JOURNAL).unwrap();
    let file = File::create(&card).unwrap();
    file.set_len(u64::from(OLD.0 + OLD.1) * 512 + behind).unwrap();
    file.write_all_at(&table(&[(0x0c, 2048, 2048), (0x83, OLD.0, OLD.1)]), 0).unwrap();
    let (name, offset, size) = (card.to_str().unwrap(), OLD.0 * 512, format!("{}k", OLD.1 / 2));
    let place = format!("offset={offset}");
    let made = e2fsprogs("mkfs.ext4", &["-q", "-F", "-L", "pumua-data", "-E", &place, name, &size])?;
    assert!(made.status.success(), "{}", said(&made));
    let write = format!("write {} journal", journal.display());
    let written = e2fsprogs("debugfs", &["-w", "-R", &write, &format!("{name}?offset={offset}")])?;
    assert!(written.status.success(), "{}", said(&written));
    Some(card)
}

/// An image with two slots, 16 MiB and so many bytes behind its partitions.
fn image_with_slots(folder: &Path, data: (u32, u32), behind: u64) -> PathBuf {
    let path = folder.join("new.img");
    let mut bytes: Vec<u8> = (0..16 * MIB).map(|at| (at / 509) as u8).collect();
    bytes[..512].copy_from_slice(&table(&[
        (0x0c, 2048, 2048),
        (0x0c, 4096, 2048),
        (0x0c, 6144, 2048),
        (0x83, data.0, data.1),
    ]));
    fs::write(&path, bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(16 * MIB + behind).unwrap();
    path
}

/// The card is the image, with the results of before in its data partition: the file system is sound and has them.
fn has_results(card: &Path, image: &Path) {
    let (card_bytes, image_bytes) = (fs::read(card).unwrap(), fs::read(image).unwrap());
    let (start, end) = (NEW.0 as usize * 512, (NEW.0 + OLD.1) as usize * 512);
    assert!(card_bytes[..start] == image_bytes[..start], "before the results");
    assert!(card_bytes[end..image_bytes.len()] == image_bytes[end..], "behind them");
    let data = card.with_extension("data");
    fs::write(&data, &card_bytes[start..end]).unwrap();
    let name = data.to_str().unwrap();
    let output = e2fsprogs("debugfs", &["-R", "cat journal", name]).unwrap();
    assert_eq!(output.stdout, JOURNAL, "{}", said(&output));
    let output = e2fsprogs("dumpe2fs", &["-h", name]).unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("pumua-data") && words.contains("state:         clean"), "{words}");
    let output = e2fsprogs("e2fsck", &["-fn", name]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn results_are_kept_on_a_card_that_is_flashed() {
    let folder = TempDir::new().unwrap();
    let Some(card) = card_with_results(folder.path(), 9 * MIB) else { return };
    let image = image_with_slots(folder.path(), NEW, 0);
    let results = fs::read(&card).unwrap()[OLD.0 as usize * 512..][..OLD.1 as usize * 512].to_vec();
    let keep = folder.path().join("new/kept");
    let options = ["--allow", "file", "--yes", "--json", "--keep-results", "--keep", keep.to_str().unwrap()];
    let output = flash(&image, &card, &options);
    assert_eq!(code(&output), 0, "{}", said(&output));
    has_results(&card, &image);
    let value = &json_lines(&output)[0]["results"];
    let copy = Path::new(value["file"].as_str().unwrap());
    assert!(copy.starts_with(&keep) && fs::read(copy).unwrap() == results, "{value}");
    assert_eq!(value["sha256"], Digest::of(&results).to_string());
    assert_eq!(value["bytes"], results.len());
    assert_eq!(fs::metadata(copy).unwrap().mode() & 0o777, 0o600, "they are of patients");
    // Once more, from a card of the new kind, with the copy beside the image and words for people.
    let output = flash(&image, &card, &["--allow", "file", "--yes", "--keep-results"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    has_results(&card, &image);
    let words = said(&output);
    let last = words.lines().rfind(|line| line.contains("the results are on it")).unwrap_or_else(|| panic!("{words}"));
    assert!(last.contains(&format!("{}/pumua-results-", folder.path().display())), "{words}");
    // From the first copy onto a card that has none.
    fs::write(&card, vec![7; 17 * MIB as usize]).unwrap();
    let output = flash(&image, &card, &["--allow", "file", "--yes", "--results", copy.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    has_results(&card, &image);
}

#[test]
fn results_outlive_a_flashing_that_is_interrupted() {
    let folder = TempDir::new().unwrap();
    let Some(card) = card_with_results(folder.path(), 1024 * MIB) else { return };
    let image = image_with_slots(folder.path(), NEW, 1000 * MIB);
    let keep = folder.path().join("kept");
    let before = fs::metadata(&card).unwrap().blocks();
    let flashing = command("pumua")
        .args(["flash".as_ref(), image.as_os_str(), card.as_os_str()])
        .args(["--allow", "file", "--yes", "--keep-results", "--keep"])
        .arg(&keep)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(within(Duration::from_secs(60), || fs::metadata(&card).unwrap().blocks() > before + 32 * MIB / 512));
    assert!(Command::new("kill").args(["-INT", &flashing.id().to_string()]).status().unwrap().success());
    let output = flashing.wait_with_output().unwrap();
    assert_eq!(code(&output), INTERRUPTED, "{}", said(&output));
    assert!(said(&output).contains("the results are safe in "), "{}", said(&output));
    let copies: Vec<PathBuf> = fs::read_dir(&keep).unwrap().map(|entry| entry.unwrap().path()).collect();
    let copy = copies.iter().find(|path| path.extension().is_some_and(|kind| kind == "ext4")).unwrap();
    assert_eq!(copies.len(), 2, "the copy and its digest: {copies:?}");
    let small = image_with_slots(folder.path(), NEW, 0);
    // Nobody knows any more where the results were.
    let output = flash(&small, &card, &["--allow", "file", "--yes", "--keep-results"]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("the medium has no partition table") && said(&output).contains("--results"));
    let output = flash(&small, &card, &["--allow", "file", "--yes", "--results", copy.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    File::options().write(true).open(&card).unwrap().set_len(16 * MIB).unwrap();
    has_results(&card, &small);
}

#[test]
fn results_that_cannot_be_kept_are_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let Some(card) = card_with_results(folder.path(), 16 * MIB) else { return };
    let before = fs::read(&card).unwrap();
    let small = image_with_slots(folder.path(), (NEW.0, OLD.1 - 1), 0);
    let kept = ["--allow", "file", "--yes", "--keep-results"];
    let output = flash(&small, &card, &kept);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("nothing has been written: use an image of this version"), "{}", said(&output));
    let image = image_with_slots(folder.path(), NEW, 0);
    let other = folder.path().join("other");
    fs::write(&other, vec![7; 20 << 20]).unwrap();
    let file = image.to_str().unwrap();
    for (output, exit, words) in [
        (flash(&image, &other, &kept), FAILED, "the medium has no partition table"),
        (flash(&image, &card, &["--yes", "--keep-results"]), FAILED, "is a file, not a disk"),
        (flash(&image, &card, &[&kept[..], &["--allow", "mounted"]].concat()), USAGE, "unmount it"),
        (flash(&image, &card, &[&kept[..], &["--results", file]].concat()), USAGE, "cannot be used with"),
        (flash(&image, &card, &["--allow", "file", "--yes", "--keep", "kept"]), USAGE, "--keep-results"),
        (flash(&image, &card, &["--verify-only", "--keep-results"]), USAGE, "cannot be used with"),
        (
            flash(&image, &card, &["--allow", "file", "--yes", "--results", file]),
            FAILED,
            "is not a copy of the results",
        ),
    ] {
        assert_eq!(code(&output), exit, "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
    assert!(fs::read(&card).unwrap() == before);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("pumua-results")), "{left:?}");
}
