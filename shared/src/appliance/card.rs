//! Labels, names and places of the memory card and of the initial file system, which the host makes and the box finds.

use alloc::{
    format,
    string::{String, ToString as _},
};

/// Label of the boot partition, a FAT32 file system.
pub const BOOT_LABEL: &str = "PUMUA";
/// Label of the data partition, an ext4 file system.
pub const DATA_LABEL: &str = "pumua-data";
/// [`BOOT_LABEL`] as FAT32 stores it.
pub const FAT_BOOT_LABEL: [u8; 11] = filled(BOOT_LABEL, b' ');
/// [`DATA_LABEL`] as ext4 stores it.
pub const EXT_DATA_LABEL: [u8; 16] = filled(DATA_LABEL, 0);

/// The settings, among the files of the boot partition.
pub const SETTINGS: &str = "box.toml";
/// The ONNX model, among the files of the boot partition.
pub const MODEL: &str = "model.onnx";
/// What the image was made of, with the digest of every other file of the boot partition.
pub const MANIFEST: &str = "manifest.json";
/// The folder of the data partition with what concerns updates of the box's own program.
pub const SOFTWARE: &str = "software";
/// The list of the keys that may sign models, among the files of the boot partition.
pub const KEYS: &str = "keys.txt";
/// The name of the signature of a file, or of the signatures of the list of keys, which lies beside it.
pub fn signature_of(file: &str) -> String {
    format!("{file}.minisig")
}
/// Where the box mounts the boot partition, read-only.
pub const BOOT: &str = "/boot";

/// Where the box has a file of the boot partition.
pub fn on_box(file: &str) -> String {
    format!("{BOOT}/{file}")
}

/// The settings of a box that was installed on a system with others: not on a card of its own.
pub const INSTALLED_SETTINGS: &str = "/etc/pumua/box.toml";
/// The screen of the box.
pub const FRAMEBUFFER: &str = "/dev/fb0";

/// The program of the box in the initial file system, where the kernel looks for its first process.
pub const INIT: &str = "/init";
/// The program in the initial file system that checks the data partition: e2fsck.
pub const CHECKER: &str = "/e2fsck";
/// The folder of the kernel's modules in the initial file system.
pub const DRIVERS: &str = "/drivers";
/// The list of the modules to load, in [`DRIVERS`]: a [`driver_line`] for each, after those that it depends on.
pub const DRIVER_LIST: &str = "/drivers/list";

/// The list of those that are loaded only where the settings turn the Ethernet port on: another of that kind.
pub const NETWORK_DRIVER_LIST: &str = "/drivers/network";

/// A module in the list: the name of its file in [`DRIVERS`] and its parameters, if there are any.
pub fn driver_line(file: &str, parameters: &str) -> String {
    format!("{file} {parameters}").trim_end().to_string()
}

/// File and parameters of a [`driver_line`].
pub fn driver(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// A label and what a file system has behind it. One that is too long does not compile.
pub(super) const fn filled<const N: usize>(label: &str, filler: u8) -> [u8; N] {
    let label = label.as_bytes();
    let mut stored = [filler; N];
    let mut at = 0;
    while at < label.len() {
        stored[at] = label[at];
        at += 1;
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_stored_as_cards_in_use_have_them() {
        assert_eq!(FAT_BOOT_LABEL, *b"PUMUA      ");
        assert_eq!(EXT_DATA_LABEL, *b"pumua-data\0\0\0\0\0\0");
        assert_eq!(on_box(MODEL), "/boot/model.onnx");
        assert!(DRIVER_LIST.starts_with(DRIVERS) && NETWORK_DRIVER_LIST.starts_with(DRIVERS));
    }

    #[test]
    fn drivers_are_read_as_they_are_written() {
        for (file, parameters) in [("a.ko", ""), ("b.ko", "some=1 more=\"x y\"")] {
            assert_eq!(driver(&driver_line(file, parameters)), (file, parameters));
        }
        assert_eq!(driver_line("a.ko", ""), "a.ko");
    }
}
