//! Images of packages that are made here.

use std::{
    io::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use shared::appliance::slots::MARK_SECTOR;

use super::*;

/// The smallest program that the image is made with: the header of a static one for aarch64.
const PROGRAM: [u8; 64] = {
    let mut bytes = [0; 64];
    bytes.split_at_mut(6).0.copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = 183;
    bytes
};

/// Whether the system's programs are there that pack and unpack.
pub(super) fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| Command::new(program).arg("-V").output().is_err());
    if let Some(missing) = missing {
        // Not by `eprintln!`, which the test harness keeps to itself where a test passes.
        let _ = writeln!(io::stderr(), "skipped: no {missing}");
    }
    missing.is_none()
}

/// A package with these files, and its entry in the list; it can be had where it lies.
pub(super) fn package(folder: &Path, name: &str, files: &[(String, Vec<u8>)]) -> Package {
    let root = folder.join(format!("{name}.files"));
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: M <m@n>\nDescription: d\n");
    let control = ("DEBIAN/control".to_owned(), control.into_bytes());
    for (name, bytes) in files.iter().chain([&control]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let path = folder.join(format!("{name}.deb"));
    packages::run(Command::new("dpkg-deb").arg("--build").arg(root).arg(&path), "").unwrap();
    let bytes = read(&path).unwrap();
    Package {
        release: "6".to_owned(),
        version: "1".to_owned(),
        file: format!("{name}.deb"),
        urls: ["copy:/nonexistent".to_owned(), format!("copy:{}", path.display())],
        size: bytes.len() as u64,
        sha256: hex(&bytes),
    }
}

/// Packages of a kernel that has all drivers built in, and the folder that they lie in.
fn packages(folder: &Path) -> Packages {
    let built_in: String = drivers::names().map(|name| format!("kernel/{name}.ko\n")).collect();
    let mut files = vec![
        ("boot/vmlinuz-6".to_owned(), b"kernel".to_vec()),
        ("lib/modules/6/modules.builtin".to_owned(), built_in.into_bytes()),
        ("lib/modules/6/kernel/none".to_owned(), Vec::new()),
    ];
    files.extend(Board::device_trees().map(|tree| (format!("usr/lib/linux-image-6/{tree}"), b"tree".to_vec())));
    let u_boot = [("usr/lib/u-boot/rpi_arm64/u-boot.bin".to_owned(), b"u-boot".to_vec())];
    let e2fsck = [("sbin/e2fsck.static".to_owned(), PROGRAM.to_vec())];
    let packed: [(&str, &[_]); 3] = [("kernel", &files), ("u-boot", &u_boot), ("e2fsck", &e2fsck)];
    Packages::of(packed.map(|(name, files)| package(folder, name, files)), folder)
}

fn inputs(packages: &Packages, stop: fn() -> bool) -> Inputs<'_> {
    let model = trust::Package { model: b"model", ..trust::Package::default() };
    Inputs { software: software(packages, stop), model, configuration: "", firmware: None }
}

fn software(packages: &Packages, stop: fn() -> bool) -> Software<'_> {
    Software { program: &PROGRAM, version: "1", packages, stop }
}

#[test]
fn the_same_inputs_make_the_same_image() {
    if !has(&["dpkg-deb", "/sbin/mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let out: [PathBuf; 2] = ["first.img", "second.img"].map(|name| folder.path().join(name));
    let [first, second] = out.each_ref().map(|out| build(&inputs(&packages, || false), out).unwrap());
    assert_eq!(first.sha256, second.sha256);
    let bytes = read(&out[0]).unwrap();
    assert_eq!((hex(&bytes), bytes.len() as u64), (first.sha256, IMAGE_BYTES));
    // Four partitions without gaps between them, from the first mebibyte to the end.
    let extents = mbr::extents(&bytes).unwrap();
    assert_eq!(extents.iter().map(|extent| extent.kind).collect::<Vec<_>>(), [0x0c, 0x0c, 0x0c, 0x83]);
    let mut ends = vec![2048];
    ends.extend(extents.iter().map(mbr::Extent::end));
    assert_eq!(extents.iter().map(|extent| u64::from(extent.first)).collect::<Vec<_>>(), ends[..4]);
    assert_eq!(ends[4] * SECTOR, IMAGE_BYTES);
    // Both copies of the boot state lie before them, and the second slot is empty.
    for sector in STATE_SECTORS {
        let copy = bytes[(sector * SECTOR) as usize..].first_chunk().unwrap();
        assert_eq!(BootState::read(copy), Some(BootState::FIRST));
        assert!((sector + 1) * SECTOR <= BOOT.0);
    }
    // No box has started from it.
    let mark = (MARK_SECTOR * SECTOR) as usize;
    assert!(bytes[mark..mark + SECTOR as usize].iter().all(|&byte| byte == 0) && !STATE_SECTORS.contains(&MARK_SECTOR));
    assert!(bytes[SLOTS[1] as usize..DATA.0 as usize].iter().all(|&byte| byte == 0));
    // Of the ext4 superblock: size of a block, features, size of an inode, as they are named above.
    let superblock = &bytes[DATA.0 as usize + 1024..][..1024];
    let number = |at: usize| u32::from_le_bytes(superblock[at..at + 4].try_into().unwrap());
    assert_eq!([24, 92, 96, 100].map(number), [2, 0x2c, 0x2c2, 0x46b]);
    assert_eq!(superblock[88..90], 256_u16.to_le_bytes());
    // What the kernel does when it finds damage: 2 is to take no more writes.
    assert_eq!(superblock[60..62], [2, 0]);
    // What has changed since it was fetched is not unpacked.
    std::fs::write(folder.path().join("u-boot.deb"), b"another").unwrap();
    let error = build(&inputs(&packages, || false), &out[0]).unwrap_err();
    assert!(matches!(error, BuildError::WrongPackage { .. }), "{error}");
    assert!(read(&out[0]).unwrap() == bytes);
}

#[test]
fn what_the_first_stage_and_the_boot_loader_ask_for_is_on_the_card() {
    if !has(&["dpkg-deb"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let Content { boot, slot, manifest, slot_manifest, .. } = content(&inputs(&packages, || false)).unwrap();
    let configuration = firmware::configuration();
    let first = configuration.lines().filter_map(|line| line.split_once('='));
    let first = first.filter(|(key, _)| ["kernel", "device_tree"].contains(key)).map(|(_, name)| name);
    let environment = String::from_utf8_lossy(&uboot::environment()).into_owned();
    let words: Vec<_> = environment.split([' ', ';', '\0']).collect();
    // fatload, interface, partition, address, name; one of the names is a variable of the board's.
    let loaded = words.windows(5).filter(|words| words[0].ends_with("fatload")).map(|words| words[4]);
    let loaded: Vec<_> = loaded.filter(|name| !name.starts_with('$')).collect();
    let first: Vec<_> = first.collect();
    assert_eq!((first.len(), loaded.len()), (1 + Board::device_trees().count(), 2), "{first:?} {loaded:?}");
    let holds = |files: &Files, name: &str| files.iter().any(|(file, _)| file == name);
    assert!(first.iter().all(|name| holds(&boot, name)), "{first:?}");
    assert!(loaded.iter().all(|name| holds(&slot, name)), "{loaded:?}");
    assert!(Board::device_trees().all(|name| holds(&slot, name)));
    // Each partition lists all that it holds but the list.
    for (files, listed, manifest) in
        [(boot, manifest.files, card::MANIFEST), (slot, slot_manifest.files, SLOT_MANIFEST)]
    {
        let mut names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.pop(), Some(manifest));
        assert_eq!(names, listed.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>());
    }
}

#[test]
fn a_bundle_is_the_slot_of_an_image_and_the_same_inputs_make_the_same() {
    if !has(&["dpkg-deb", "/sbin/mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let path = |name: &str| folder.path().join(name);
    let [first, second] =
        ["a.pumua", "new/b.pumua"].map(|name| bundle(&software(&packages, || false), &path(name)).unwrap());
    assert_eq!((&first.file_sha256, &first.slot), (&second.file_sha256, &second.slot));
    assert_eq!(hex(&read(&path("a.pumua")).unwrap()), first.file_sha256);
    let found = crate::bundle::Bundle::read(&path("a.pumua")).unwrap();
    assert_eq!((found.version.as_str(), found.kernel.as_str()), ("1", "1"));
    assert_eq!((found.head().signature, found.head().list), (None, None));
    assert_eq!(found.digests.sha256.to_string(), first.sha256);
    build(&inputs(&packages, || false), &path("box.img")).unwrap();
    let mut slot = vec![0; SLOT_BYTES as usize];
    let mut image = File::open(path("box.img")).unwrap();
    image.seek(SeekFrom::Start(SLOTS[0])).unwrap();
    image.read_exact(&mut slot).unwrap();
    let bytes = read(&path("a.pumua")).unwrap();
    let mut system = Vec::new();
    flate2::read::GzDecoder::new(&bytes[found.head().length..]).read_to_end(&mut system).unwrap();
    assert!(slot == system);
}

#[test]
fn a_run_that_is_stopped_leaves_no_file() {
    static LEFT: AtomicUsize = AtomicUsize::new(0);
    if !has(&["dpkg-deb", "/sbin/mkfs.ext4"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let stop = || LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
    let mut stopped = 0;
    loop {
        LEFT.store(stopped, Ordering::Relaxed);
        match build(&inputs(&packages, stop), &out.join("box.img.gz")) {
            Err(BuildError::Stopped(_)) => assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "{stopped}"),
            done => break drop(done.unwrap()),
        }
        stopped += 1;
    }
    assert!(stopped > 5, "{stopped}");
}
