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
    let mut sector = [0; 512];
    for (entry, kind, first, count) in [(446, 0x0c, 2048, 1024), (462, 0x83, 3072, length as u32 / 512 - 3072)] {
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
