//! The environment of the boot loader U-Boot.

use crc::{CRC_32_ISO_HDLC, Crc};

/// Bytes of the file `uboot.env`, as U-Boot for a Raspberry Pi is built to expect them.
const LENGTH: usize = 0x4000;

/// Names and values. The console stays off the serial port, which belongs to the host: bytes of the host would stop the
/// boot, and words of the boot loader would reach the host. The addresses leave 36 MiB for the kernel.
///
/// Numbers of `mmc` and `env` are hexadecimal: 400 and 401 are the sectors of the boot state
/// ([`shared::appliance::slots::STATE_SECTORS`]), 200 are its bytes. Only its two variables are taken from there: whatever else stood
/// there would be part of this script. A slot on trial is started only once the card has shown that it kept one try less: a card that
/// takes no writes any more would try for ever. This shell takes `a && b || c` for something else than others do, so there is no `||`.
const VARIABLES: &[(&str, &str)] = &[
    ("bootdelay", "-2"),
    ("stdin", "nulldev"),
    ("stdout", "vidconsole"),
    ("stderr", "vidconsole"),
    ("kernel_addr_r", "0x00080000"),
    // `env export` clears 16 KiB there. It is free again when the kernel comes.
    ("state_addr_r", "0x02580000"),
    ("fdt_addr_r", "0x02600000"),
    ("ramdisk_addr_r", "0x02700000"),
    ("fdt_high", "ffffffffffffffff"),
    ("initrd_high", "ffffffffffffffff"),
    // The console on the screen is off too: the box draws there. A kernel that cannot continue restarts the box.
    ("arguments", "console=tty1 quiet loglevel=1 fbcon=map:9 vt.global_cursor_default=0 consoleblank=0 panic=10"),
    // The first copy counts, if it can be read: it is read last.
    (
        "read_state",
        "setenv good a; setenv tries 0; \
         mmc read ${state_addr_r} 600 1 && env import -c ${state_addr_r} 200 good tries; \
         mmc read ${state_addr_r} 200 1 && env import -c ${state_addr_r} 200 good tries",
    ),
    (
        "write_state",
        "setenv tries ${left}; env export -c -s 200 ${state_addr_r} good tries && \
         mmc write ${state_addr_r} 200 1 && mmc write ${state_addr_r} 600 1 && setenv tries && \
         mmc read ${state_addr_r} 200 1 && env import -c ${state_addr_r} 200 tries && test x${tries} = x${left}",
    ),
    (
        "start_slot",
        "if test ${slot} = b; then setenv part 3; else setenv part 2; fi; \
         fatload mmc ${card}:${part} ${kernel_addr_r} vmlinuz && fatload mmc ${card}:${part} ${ramdisk_addr_r} initramfs.gz && \
         setenv ramdisk ${ramdisk_addr_r}:${filesize} && \
         setenv bootargs \"${arguments} pumua.slot=${slot} ${trial}\" && \
         if fatload mmc ${card}:${part} ${fdt_addr_r} ${fdtfile}; then booti ${kernel_addr_r} ${ramdisk} ${fdt_addr_r}; \
         else booti ${kernel_addr_r} ${ramdisk} ${fdt_addr}; fi",
    ),
    (
        "boot_card",
        "run read_state; \
         if test x${good} = xb; then setenv other a; else setenv good a; setenv other b; fi; \
         setenv left none; \
         if test x${tries} = x2; then setenv left 1; fi; \
         if test x${tries} = x1; then setenv left 0; fi; \
         if test ${left} != none && run write_state; then \
         setenv slot ${other}; setenv trial pumua.trial=1; run start_slot; fi; \
         setenv trial; setenv slot ${good}; run start_slot; setenv slot ${other}; run start_slot",
    ),
    (
        "bootcmd",
        "for card in 0 1 2; do if mmc dev ${card}; then run boot_card; fi; done; \
         echo Pumua: the card has no program. Flash it again.",
    ),
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
    use std::collections::BTreeSet;

    use shared::appliance::slots::{SLOT_WORD, STATE_BYTES, STATE_SECTORS, Slot, TRIAL_WORD};

    use super::*;

    #[test]
    fn it_is_as_long_as_it_must_be_and_ends_in_zeros() {
        let bytes = environment();
        assert_eq!(bytes.len(), LENGTH);
        assert!(bytes[4..].starts_with(b"bootdelay=-2\0stdin=nulldev\0"));
        assert_eq!(bytes[LENGTH - 2..], [0, 0]);
        let names: BTreeSet<_> = VARIABLES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), VARIABLES.len());
        assert!(VARIABLES.iter().all(|(name, value)| !name.contains('=') && !value.contains('\0')));
        let used: usize = VARIABLES.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        assert!(used < LENGTH / 2, "{used} bytes");
    }

    #[test]
    fn the_script_goes_by_what_the_box_goes_by() {
        let value = |name: &str| VARIABLES.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap();
        for sector in STATE_SECTORS {
            for (script, command) in [("read_state", "read"), ("write_state", "write")] {
                let words = format!("mmc {command} ${{state_addr_r}} {sector:x} 1 &&");
                assert_eq!(value(script).matches(&words).count(), 1, "{words}");
            }
        }
        assert!(value("write_state").contains(&format!("-s {STATE_BYTES:x} ")));
        assert!(value("read_state").contains(&format!("{STATE_BYTES:x} good tries")));
        assert!(value("start_slot").contains(&format!("{SLOT_WORD}${{slot}}")));
        assert!(value("boot_card").contains(&format!("setenv trial {TRIAL_WORD};")));
        for slot in Slot::ALL {
            assert!(value("start_slot").contains(&format!("setenv part {};", slot.partition())));
        }
        // What is called is there, and what is used is set somewhere, or by the boot loader.
        let text = environment().split_off(4);
        let text = String::from_utf8(text).unwrap();
        let words: Vec<_> = text.split([' ', ';', '=', '\0']).collect();
        for called in words.windows(2).filter(|words| words[0] == "run").map(|words| words[1]) {
            assert!(!value(called).is_empty());
        }
        let mut set: BTreeSet<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
        set.extend(words.windows(2).filter(|words| words[0] == "setenv" || words[0] == "for").map(|words| words[1]));
        set.extend(["filesize", "fdtfile", "fdt_addr"]);
        for used in text.split("${").skip(1) {
            let name = used.split_once('}').unwrap().0;
            assert!(set.contains(name), "{name}");
        }
    }
}
