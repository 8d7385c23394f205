//! The boot files of a real Raspberry Pi: the first stage, which only its maker supplies.

use std::path::Path;

use super::{Board, BuildError, Files};

/// What the boot files may be passed on under, and only with it.
pub const LICENCE: &str = "LICENCE.broadcom";

/// Boot files of one release, which belong together.
#[derive(Debug, Clone, Copy)]
struct Release {
    /// Where they come from.
    name: &'static str,
    /// Name and SHA-256 of each, in hexadecimal digits.
    files: &'static [(&'static str, &'static str)],
}

/// The releases that are known, from Debian's package `raspi-firmware`.
const RELEASES: &[Release] = &[
    Release {
        name: "raspi-firmware 1.20220830+ds-1 (Debian 12)",
        files: &[
            ("bootcode.bin", "098d5a2a61c485f757733390244319d4c992807e21ffd4e199b88de42d6e52ff"),
            ("start.elf", "9ab4a7281be2ae3c720b4d80209e3bf73dd5e787438e30d6a6820887d2e1adcc"),
            ("fixup.dat", "d07e005f90a24f46d0e8094dadd470593d333f028d9d0e5cf6fac7eb83654280"),
            ("start4.elf", "36d12ae9eda1a508430e65d7877aada4d6c8dbe61a6dd3bbf20da1ed6ca58f70"),
            ("fixup4.dat", "55aeb4d842356c655f230fdd0c08dfad8a0412abdf97e421d420ccd09861a233"),
        ],
    },
    Release {
        name: "raspi-firmware 1.20240424+ds-6 (Debian 13)",
        files: &[
            ("bootcode.bin", "af603ebd97e7b692c30195563f7b25656eb05d57838cf1a715ebb470d1614ce4"),
            ("start.elf", "8637fb847ff62f69fbb8b98b1beff685b47cf4095580e830724f6a27fb20fee0"),
            ("fixup.dat", "94ae3ff8363a6a2832f173241597b6500cf67044d34155a1251fe58671dd6ce7"),
            ("start4.elf", "badf4cd8822d1b85ad56ddb9e32e9b4220c88099c8cc0c3e70ae77190571c8ef"),
            ("fixup4.dat", "63a4a8f356e2b8ed2850d68b9adf21008ef1dfa7743b22ddc26987e4d3171302"),
        ],
    },
];

/// A folder of boot files.
#[derive(Debug, Clone, Copy)]
pub struct Firmware<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Whether files that are not known are taken, too: what they do, nobody has looked at.
    pub allow_other: bool,
}

/// `config.txt`, which the first stage reads: it starts U-Boot with the device tree of the board.
pub(super) fn configuration() -> String {
    let mut text = "\
# Read by the first stage of the Raspberry Pi. The settings of the box are in box.toml.
arm_64bit=1
enable_uart=1
kernel=u-boot.bin
disable_splash=1
disable_overscan=1
hdmi_force_hotplug=1
"
    .to_owned();
    for variant in Board::ALL.iter().flat_map(|board| board.variants) {
        text += &format!("[{}]\ndevice_tree={}\n", variant.filter, variant.device_tree);
    }
    text + "[all]\n"
}

/// The boot files of every board for which a folder has all of them, with their licence if it is there, and these boards. The
/// files of a board must be those of one known release, unless others are allowed.
pub(super) fn read(firmware: Firmware<'_>) -> Result<(Files, Vec<&'static Board>), BuildError> {
    read_known(firmware, RELEASES)
}

fn read_known(
    Firmware { folder, allow_other }: Firmware<'_>,
    releases: &[Release],
) -> Result<(Files, Vec<&'static Board>), BuildError> {
    let mut files = Files::new();
    let (mut boards, mut missing) = (Vec::new(), Vec::new());
    for board in Board::ALL {
        let absent: Vec<&str> = board.boot_files.iter().copied().filter(|name| !folder.join(name).is_file()).collect();
        if !absent.is_empty() {
            missing.push(format!("for the {} put {} there", board.name, absent.join(", ")));
            continue;
        }
        boards.push(board);
        for &name in board.boot_files {
            if !files.iter().any(|(known, _)| known == name) {
                files.push((name.to_owned(), read_one(&folder.join(name))?));
            }
        }
        if !allow_other && !releases.iter().any(|release| is_of(release, board.boot_files, &files)) {
            return Err(BuildError::OtherFirmware {
                folder: folder.to_owned(),
                files: board.boot_files.join(", "),
                known: releases.iter().map(|release| release.name).collect::<Vec<_>>().join(", "),
            });
        }
    }
    if boards.is_empty() {
        return Err(BuildError::Firmware { folder: folder.to_owned(), missing: missing.join("; ") });
    }
    if folder.join(LICENCE).is_file() {
        files.push((LICENCE.to_owned(), read_one(&folder.join(LICENCE))?));
    }
    Ok((files, boards))
}

/// Whether files of these names are all of a release.
fn is_of(release: &Release, names: &[&str], files: &Files) -> bool {
    let has = |name: &str| {
        let known = release.files.iter().find(|(known, _)| *known == name);
        let found = files.iter().find(|(found, _)| found == name);
        known.zip(found).is_some_and(|((_, sha256), (_, bytes))| super::hex(bytes) == *sha256)
    };
    names.iter().all(|name| has(name))
}

fn read_one(path: &Path) -> Result<Vec<u8>, BuildError> {
    let bytes = super::read(path)?;
    let wrong = |reason| Err(BuildError::FirmwareFile { path: path.to_owned(), reason });
    let is_program = path.extension().is_some_and(|extension| extension == "elf");
    match &bytes[..] {
        [] => wrong("it is empty"),
        [b'<' | b'{', ..] => wrong("it is a web page"),
        bytes if is_program && !bytes.starts_with(b"\x7fELF") => wrong("it is not an ELF file"),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_served_when_all_its_files_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let any = Firmware { folder: folder.path(), allow_other: true };
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let error = read(any).unwrap_err().to_string();
        assert!(error.contains("Pi 4 put start4.elf, fixup4.dat there"), "{error}");
        write("start4.elf", b"\x7fELF...");
        write("fixup4.dat", b"data");
        let (files, boards) = read(any).unwrap();
        assert_eq!(boards.iter().map(|board| board.short).collect::<Vec<_>>(), ["Pi 4"]);
        assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["start4.elf", "fixup4.dat"]);
        for name in Board::ALL[0].boot_files {
            write(name, b"\x7fELF...");
        }
        let (files, boards) = read(any).unwrap();
        assert_eq!((files.len(), boards.len()), (5, 3));
        write(LICENCE, b"Redistribution and use in binary form ...");
        let (files, _) = read(any).unwrap();
        assert_eq!((files.len(), files[5].0.as_str()), (6, LICENCE));
        write("start.elf", b"<!DOCTYPE html>");
        assert!(matches!(read(any), Err(BuildError::FirmwareFile { reason: "it is a web page", .. })));
    }

    #[test]
    fn only_files_of_one_known_release_are_taken_unless_others_are_allowed() {
        // Of `\x7fELF first` and `b`, and of `\x7fELF second` and `c`.
        const FIRST: &[(&str, &str)] = &[
            ("start4.elf", "d5b947325ae5fb81d1558b844c9b0c7e95db961316be06e2006e10240a1f82a4"),
            ("fixup4.dat", "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"),
        ];
        const SECOND: &[(&str, &str)] = &[
            ("start4.elf", "53f0150694d59ba3e7b09487eec8cbeffed4deccaa85a77bdb56f5c35b415526"),
            ("fixup4.dat", "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"),
        ];
        let releases = [Release { name: "first", files: FIRST }, Release { name: "second", files: SECOND }];
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let taken = |allow_other| read_known(Firmware { folder: folder.path(), allow_other }, &releases);
        write("start4.elf", b"\x7fELF first");
        write("fixup4.dat", b"b");
        assert_eq!(taken(false).unwrap().1.len(), 1);
        // Each is known, but they are of different releases.
        write("fixup4.dat", b"c");
        let error = taken(false).unwrap_err();
        assert!(matches!(error, BuildError::OtherFirmware { .. }), "{error}");
        assert!(error.to_string().contains("start4.elf, fixup4.dat") && error.to_string().contains("first, second"));
        assert_eq!(taken(true).unwrap().1.len(), 1);
        // One changed byte.
        write("fixup4.dat", b"b");
        write("start4.elf", b"\x7fELF fIrst");
        assert!(matches!(taken(false), Err(BuildError::OtherFirmware { .. })));
    }

    #[test]
    fn every_known_release_serves_every_board() {
        for release in RELEASES {
            for name in Board::ALL.iter().flat_map(|board| board.boot_files) {
                let digests = release.files.iter().filter(|(known, _)| known == name);
                assert_eq!(digests.filter(|(_, digest)| digest.len() == 64).count(), 1, "{name}: {}", release.name);
            }
        }
    }

    #[test]
    fn the_first_stage_is_configured_as_the_golden_file_has_it() {
        assert_eq!(configuration(), include_str!("../../tests/golden/config.txt"));
    }
}
