//! The boards that the image is made for.

/// A board that the image is made for. All that is said of boards anywhere comes from [`Board::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// Its name among its kind, where room is short.
    pub short: &'static str,
    /// The boot files that it needs on the card, which only its maker supplies.
    pub boot_files: &'static [&'static str],
    /// Whether it can be a USB device of its host.
    pub is_usb_device: bool,
    /// Its models.
    pub(super) variants: &'static [Variant],
}

/// A model of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    /// By which the first stage knows it in `config.txt`.
    pub(super) filter: &'static str,
    /// Its device tree, as the kernel's package names it.
    pub(super) device_tree: &'static str,
}

impl Board {
    /// Every board.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "Raspberry Pi 3",
            short: "Pi 3",
            boot_files: &["bootcode.bin", "start.elf", "fixup.dat"],
            is_usb_device: false,
            variants: &[
                Variant { filter: "pi3", device_tree: "broadcom/bcm2837-rpi-3-b.dtb" },
                Variant { filter: "pi3+", device_tree: "broadcom/bcm2837-rpi-3-b-plus.dtb" },
            ],
        },
        Self {
            name: "Raspberry Pi Zero 2 W",
            short: "Zero 2 W",
            boot_files: &["bootcode.bin", "start.elf", "fixup.dat"],
            is_usb_device: true,
            variants: &[Variant { filter: "pi02", device_tree: "broadcom/bcm2837-rpi-zero-2-w.dtb" }],
        },
        Self {
            name: "Raspberry Pi 4",
            short: "Pi 4",
            boot_files: &["start4.elf", "fixup4.dat"],
            is_usb_device: true,
            variants: &[Variant { filter: "pi4", device_tree: "broadcom/bcm2711-rpi-4-b.dtb" }],
        },
    ];

    /// The boot files of all boards, for a sentence: those of the first one, then those of boards that need others.
    pub fn boot_files_in_words() -> String {
        let mut sets: Vec<(&[&str], Vec<&str>)> = Vec::new();
        for board in Self::ALL {
            match sets.iter_mut().find(|(files, _)| *files == board.boot_files) {
                Some((_, boards)) => boards.push(board.short),
                None => sets.push((board.boot_files, vec![board.short])),
            }
        }
        let words = sets.iter().enumerate().map(|(n, (files, boards))| match n {
            0 => files.join(", "),
            _ => format!("on a {} {}", boards.join(" or "), files.join(", ")),
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// The device trees of all boards, as the kernel's package names them.
    pub(super) fn device_trees() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().flat_map(|board| board.variants).map(|variant| variant.device_tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_files_are_named_once_for_all_boards_that_need_them() {
        let words = Board::boot_files_in_words();
        assert!(words.starts_with("bootcode.bin, start.elf, fixup.dat; on a Pi 4 start4.elf, fixup4.dat"), "{words}");
        for board in Board::ALL {
            assert_eq!(words.matches(&board.boot_files.join(", ")).count(), 1, "{}: {words}", board.name);
        }
    }
}
