//! The environment of the boot loader U-Boot.

use crc::{CRC_32_ISO_HDLC, Crc};

/// Bytes of the file `uboot.env`, as U-Boot for a Raspberry Pi is built to expect them.
const LENGTH: usize = 0x4000;

/// Names and values. The console stays off the serial port, which belongs to the host: bytes of the host would stop the
/// boot, and words of the boot loader would reach the host. The addresses leave 36 MiB for the kernel.
const VARIABLES: &[(&str, &str)] = &[
    ("bootdelay", "-2"),
    ("stdin", "nulldev"),
    ("stdout", "vidconsole"),
    ("stderr", "vidconsole"),
    ("kernel_addr_r", "0x00080000"),
    ("fdt_addr_r", "0x02600000"),
    ("ramdisk_addr_r", "0x02700000"),
    ("fdt_high", "ffffffffffffffff"),
    ("initrd_high", "ffffffffffffffff"),
    // The console on the screen is off too: the box draws there. A kernel that cannot continue restarts the box.
    ("bootargs", "console=tty1 quiet loglevel=1 fbcon=map:9 vt.global_cursor_default=0 consoleblank=0 panic=10"),
    (
        "boot_card",
        "fatload mmc ${card}:1 ${kernel_addr_r} vmlinuz && fatload mmc ${card}:1 ${ramdisk_addr_r} initramfs.gz && \
         setenv ramdisk ${ramdisk_addr_r}:${filesize} && \
         if fatload mmc ${card}:1 ${fdt_addr_r} ${fdtfile}; then booti ${kernel_addr_r} ${ramdisk} ${fdt_addr_r}; \
         else booti ${kernel_addr_r} ${ramdisk} ${fdt_addr}; fi",
    ),
    ("bootcmd", "for card in 0 1 2; do run boot_card; done; echo Pumua: the card has no kernel. Flash it again."),
];

/// The file: a CRC-32 (ISO-HDLC) of what follows, little-endian, then `name=value`, each with a zero behind, and zeros.
pub(super) fn environment() -> Vec<u8> {
    let mut variables: Vec<u8> =
        VARIABLES.iter().flat_map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect();
    variables.resize(LENGTH - 4, 0);
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&variables);
    [crc.to_le_bytes().as_slice(), &variables].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_long_as_it_must_be_and_ends_in_zeros() {
        let bytes = environment();
        assert_eq!(bytes.len(), LENGTH);
        assert!(bytes[4..].starts_with(b"bootdelay=-2\0stdin=nulldev\0"));
        assert_eq!(bytes[LENGTH - 2..], [0, 0]);
        let names: std::collections::BTreeSet<_> = VARIABLES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), VARIABLES.len());
        assert!(VARIABLES.iter().all(|(name, value)| !name.contains('=') && !value.contains('\0')));
    }
}
