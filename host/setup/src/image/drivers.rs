//! The kernel's modules that the box loads, each after those that it depends on.

use std::{
    collections::BTreeMap,
    fs::read_dir,
    path::{Path, PathBuf},
};

use super::{BuildError, read};

/// What is loaded, in this order: the watchdog first, which restarts a box that hangs over any of the others; then the screen,
/// so that what follows can be seen there. Some are for emulated machines
/// (virtio, i6300esb). What follows a space are parameters.
const WANTED: &[&str] = &[
    // Watchdog.
    "bcm2835_wdt",
    "i6300esb",
    // Screen.
    "virtio_pci",
    "virtio_mmio",
    "virtio_gpu",
    // Memory card and its file systems. `crc32c_generic` is asked for by ext4 by another name.
    "bcm2835",
    "sdhci-iproc",
    "virtio_blk",
    "nls_cp437",
    "nls_ascii",
    "vfat",
    "crc32c_generic",
    "ext4",
    // Links: the serial ports of USB adapters, of emulated machines, and the box as a USB device of the host. The function
    // is loaded before the gadget that asks for it by name.
    "virtio_console",
    "ftdi_sio",
    "cp210x",
    "ch341",
    "pl2303",
    "cdc-acm",
    "phy-generic",
    "dwc2",
    "usb_f_acm",
    "g_serial iManufacturer=Pumua iProduct=\"Pumua clinic box\"",
    // What is plugged into the box: the controllers, then memory sticks and their file systems. Their names are in UTF-8, for which
    // the kernel needs no table.
    "reset-raspberrypi",
    "xhci-pci",
    "sd_mod",
    "usb-storage",
    "uas",
    "exfat",
    // Keyboards and buttons.
    "usbhid",
    "hid-generic",
    "virtio_input",
    "gpio_keys",
    "evdev",
];

/// What is loaded after them where the settings turn the Ethernet port on: those of emulated machines, of the boards, and of USB
/// adapters, each after what its port needs to know whether there is a cable.
const WANTED_FOR_NETWORK: &[&str] = &[
    "virtio_net",
    // Raspberry Pi 3 B and 3 B+.
    "smsc",
    "smsc95xx",
    "microchip",
    "lan78xx",
    // Raspberry Pi 4.
    "mdio-bcm-unimac",
    "broadcom",
    "genet",
    // Adapters.
    "asix",
    "ax88179_178a",
    "r8152",
];

/// A module to load.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Driver {
    /// Name of its file.
    pub(super) file: String,
    /// Its parameters, as they stand in the list.
    pub(super) parameters: &'static str,
    /// The file.
    pub(super) bytes: Vec<u8>,
    /// Whether it is loaded only where the Ethernet port is on.
    pub(super) is_for_network: bool,
}

/// Finds the wanted modules and those that they depend on in the folder of a kernel.
pub(super) fn collect(folder: &Path) -> Result<Vec<Driver>, BuildError> {
    let built_in = String::from_utf8_lossy(&read(&folder.join("modules.builtin"))?).into_owned();
    let built_in: Vec<String> = built_in.lines().map(|line| name_of(Path::new(line))).collect();
    let mut files = BTreeMap::new();
    find(&folder.join("kernel"), &mut files)?;
    let mut drivers = Vec::new();
    for wanted in WANTED {
        let (name, parameters) = wanted.split_once(' ').unwrap_or((wanted, ""));
        add(&normal(name), parameters, &files, &built_in, &mut drivers)?;
    }
    let always = drivers.len();
    for name in WANTED_FOR_NETWORK {
        add(&normal(name), "", &files, &built_in, &mut drivers)?;
    }
    drivers[always..].iter_mut().for_each(|driver| driver.is_for_network = true);
    Ok(drivers)
}

fn add(
    name: &str,
    parameters: &'static str,
    files: &BTreeMap<String, PathBuf>,
    built_in: &[String],
    drivers: &mut Vec<Driver>,
) -> Result<(), BuildError> {
    if drivers.iter().any(|driver| name_of(Path::new(&driver.file)) == name) || built_in.iter().any(|b| b == name) {
        return Ok(());
    }
    let path = files.get(name).ok_or_else(|| BuildError::NoModule(name.to_owned()))?;
    let bytes = read(path)?;
    for dependency in dependencies(&bytes) {
        add(&dependency, "", files, built_in, drivers)?;
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    drivers.push(Driver { file, parameters, bytes, is_for_network: false });
    Ok(())
}

/// Every module below a folder, by name.
fn find(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), BuildError> {
    let failed = |source| BuildError::Read { path: folder.to_owned(), source };
    for entry in read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            find(&entry.path(), files)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "ko") {
            files.insert(name_of(&entry.path()), entry.path());
        }
    }
    Ok(())
}

/// A module's name; the kernel takes `-` and `_` for the same.
fn name_of(path: &Path) -> String {
    normal(&path.file_stem().unwrap_or_default().to_string_lossy())
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The modules that a module names in its section `.modinfo`, which holds texts `key=value`, each with a zero behind.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else { return Vec::new() };
    let value = module[start + KEY.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value).split(',').filter(|name| !name.is_empty()).map(normal).collect()
}

/// The modules of both lists, as they name them.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    WANTED.iter().chain(WANTED_FOR_NETWORK).filter_map(|wanted| wanted.split(' ').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_before_what_depends_on_them() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = folder.path().join("kernel/deep");
        std::fs::create_dir_all(&kernel).unwrap();
        let mut depends = BTreeMap::from([("cdc-acm", "low-level,builtin_one"), ("low-level", "lower")]);
        depends.extend([("lower", ""), ("smsc95xx", "usbnet,low-level"), ("usbnet", "")]);
        for name in names().chain(["lower", "low-level", "usbnet"]) {
            let text = format!("ELF\0license=GPL\0depends={}\0name=x\0", depends.get(name).unwrap_or(&""));
            std::fs::write(kernel.join(format!("{name}.ko")), text).unwrap();
        }
        std::fs::write(folder.path().join("modules.builtin"), "kernel/x/builtin-one.ko\n").unwrap();
        let drivers = collect(folder.path()).unwrap();
        let at = |file: &str| drivers.iter().position(|driver| driver.file == file).unwrap();
        assert!(at("lower.ko") < at("low-level.ko") && at("low-level.ko") < at("cdc-acm.ko"));
        assert_eq!(drivers.len(), WANTED.len() + WANTED_FOR_NETWORK.len() + 3);
        let for_network: Vec<&str> = drivers.iter().filter(|it| it.is_for_network).map(|it| it.file.as_str()).collect();
        assert_eq!(for_network[..4], ["virtio_net.ko", "smsc.ko", "usbnet.ko", "smsc95xx.ko"]);
        assert_eq!(for_network.len(), WANTED_FOR_NETWORK.len() + 1, "what is loaded always is not loaded again");
        assert!(drivers[at("g_serial.ko")].parameters.starts_with("iManufacturer=Pumua "));
        std::fs::remove_file(kernel.join("lower.ko")).unwrap();
        assert!(matches!(collect(folder.path()), Err(BuildError::NoModule(name)) if name == "lower"));
    }
}
