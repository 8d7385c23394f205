//! The boot files of a real Raspberry Pi: the first stage, which only its maker supplies.

use std::path::Path;

use super::{Board, BuildError, Files};

/// What the boot files may be passed on under, and only with it.
pub const LICENCE: &str = "LICENCE.broadcom";

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

/// The boot files of every board for which a folder has all of them, with their licence if it is there, and these boards.
pub(super) fn read(folder: &Path) -> Result<(Files, Vec<&'static Board>), BuildError> {
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
    }
    if boards.is_empty() {
        return Err(BuildError::Firmware { folder: folder.to_owned(), missing: missing.join("; ") });
    }
    if folder.join(LICENCE).is_file() {
        files.push((LICENCE.to_owned(), read_one(&folder.join(LICENCE))?));
    }
    Ok((files, boards))
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
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("Pi 4 put start4.elf, fixup4.dat there"), "{error}");
        write("start4.elf", b"\x7fELF...");
        write("fixup4.dat", b"data");
        let (files, boards) = read(folder.path()).unwrap();
        assert_eq!(boards.iter().map(|board| board.short).collect::<Vec<_>>(), ["Pi 4"]);
        assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["start4.elf", "fixup4.dat"]);
        for name in Board::ALL[0].boot_files {
            write(name, b"\x7fELF...");
        }
        let (files, boards) = read(folder.path()).unwrap();
        assert_eq!((files.len(), boards.len()), (5, 3));
        write(LICENCE, b"Redistribution and use in binary form ...");
        let (files, _) = read(folder.path()).unwrap();
        assert_eq!((files.len(), files[5].0.as_str()), (6, LICENCE));
        write("start.elf", b"<!DOCTYPE html>");
        assert!(matches!(read(folder.path()), Err(BuildError::FirmwareFile { reason: "it is a web page", .. })));
    }

    #[test]
    fn the_first_stage_is_configured_as_the_golden_file_has_it() {
        assert_eq!(configuration(), include_str!("../../tests/golden/config.txt"));
    }
}
