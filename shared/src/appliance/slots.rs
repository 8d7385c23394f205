//! The two slots of the card: which of two programs of the box is started, how a new one is tried, and what became of it.
//!
//! A slot is a FAT32 file system with a kernel, its device trees and the initial file system that holds the program. One slot runs, the
//! other takes the next program. Which one is started stands in two sectors before the first partition, in the form in which the boot
//! loader U-Boot reads and writes variables (`env import -c`, `env export -c`): [`BootState`]. The boot loader writes them too: it takes
//! one try away before it starts a slot that is on trial, so that a program that never gets ready is left behind without anybody's help.

use alloc::string::String;

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

use super::card::filled;
use crate::verdict::{Digest, SoftwareRefusal, Trust};

/// Where the two copies of the boot state are, in sectors of 512 bytes from the beginning of the card.
pub const STATE_SECTORS: [u64; 2] = [512, 1536];
/// Where the box notes that it has started from this card, likewise: what its data partition holds of an update is of this card then.
/// Whoever writes an image onto a card makes it empty.
pub const MARK_SECTOR: u64 = 1024;
/// Bytes of each copy.
pub const STATE_BYTES: usize = 512;
/// Most tries of a slot that is on trial.
pub const MOST_TRIES: u8 = 2;
/// Bytes of a slot, and so of what a bundle unpacks to (72 MiB).
pub const SLOT_BYTES: u64 = 72 << 20;
/// What a slot was made of, among its files, with the digest of every other one.
pub const SLOT_MANIFEST: &str = "slot.json";
/// What the kernel's command line says of the slot that was started: its name.
pub const SLOT_WORD: &str = "pumua.slot=";
/// What it says behind that of a slot that is on trial.
pub const TRIAL_WORD: &str = "pumua.trial=1";

/// One of the two places of the program on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The first, which a new card has filled.
    A,
    /// The second, which is empty on a new card.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The one that this is not.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Its name in the boot state and on the kernel's command line: `a`, `b`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The slot of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.name() == name)
    }

    /// The label of its file system: `PUMUA-A`, `PUMUA-B`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::A => "PUMUA-A",
            Self::B => "PUMUA-B",
        }
    }

    /// The number of its partition on the card, from 1 on.
    pub const fn partition(self) -> u32 {
        match self {
            Self::A => 2,
            Self::B => 3,
        }
    }
}

/// The label of a slot as FAT32 stores it. Every file system that is made for a slot has that of [`Slot::A`], whichever it goes to: so
/// what was signed is written as it is. The slots of a card are told by their partitions.
pub const fn fat_label(slot: Slot) -> [u8; 11] {
    filled(slot.label(), b' ')
}

/// What the boot loader goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootState {
    /// The slot that is started.
    pub good: Slot,
    /// How often the other one is still to be tried before that, 0 to [`MOST_TRIES`].
    pub tries: u8,
}

impl BootState {
    /// That of a new card.
    pub const FIRST: Self = Self { good: Slot::A, tries: 0 };

    /// One copy: a CRC-32 (ISO-HDLC) of what follows, the lowest byte first; `good=` and `tries=` with their values, each with a zero
    /// behind; zeros. More tries than there may be are written as the most.
    pub fn bytes(&self) -> [u8; STATE_BYTES] {
        let tries = match self.tries {
            0 => "0",
            1 => "1",
            _ => "2",
        };
        let mut sector = [0; STATE_BYTES];
        let (sum, data) = sector.split_at_mut(size_of::<u32>());
        let words = ["good=", self.good.name(), "\0tries=", tries];
        let written = words.iter().flat_map(|word| word.bytes());
        data.iter_mut().zip(written).for_each(|(place, byte)| *place = byte);
        sum.copy_from_slice(&checksum(data).to_le_bytes());
        sector
    }

    /// Reads one copy; `None` of one that is damaged, was never written, or says anything else.
    pub fn read(sector: &[u8; STATE_BYTES]) -> Option<Self> {
        let (sum, data) = sector.split_first_chunk()?;
        if u32::from_le_bytes(*sum) != checksum(data) {
            return None;
        }
        let (mut good, mut tries) = (None, None);
        let mut words = data.split(|&byte| byte == 0);
        for word in words.by_ref().take_while(|word| !word.is_empty()) {
            let is_twice = match word {
                b"good=a" => good.replace(Slot::A).is_some(),
                b"good=b" => good.replace(Slot::B).is_some(),
                b"tries=0" => tries.replace(0).is_some(),
                b"tries=1" => tries.replace(1).is_some(),
                b"tries=2" => tries.replace(2).is_some(),
                _ => true,
            };
            if is_twice {
                return None;
            }
        }
        if words.all(<[u8]>::is_empty) { Some(Self { good: good?, tries: tries? }) } else { None }
    }

    /// What both copies say together: the first that can be read, or else that of a new card.
    pub fn of_copies(copies: [Option<Self>; 2]) -> Self {
        let [first, second] = copies;
        first.or(second).unwrap_or(Self::FIRST)
    }
}

fn checksum(data: &[u8]) -> u32 {
    static SUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    SUM.checksum(data)
}

/// What was started, as the kernel's command line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The slot.
    pub slot: Slot,
    /// Whether it is on trial.
    pub is_trial: bool,
}

impl Started {
    /// Reads the kernel's command line; `None` where nobody has started a slot: on a card without any, and in an emulator.
    pub fn of_command_line(line: &str) -> Option<Self> {
        let words = || line.split_ascii_whitespace();
        let slot = words().find_map(|word| word.strip_prefix(SLOT_WORD))?;
        Some(Self { slot: Slot::of_name(slot)?, is_trial: words().any(|word| word == TRIAL_WORD) })
    }
}

/// What became of the last bundle that the box was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// SHA-256 of the bundle's payload, as it is signed; of the whole file where its payload was not looked at.
    pub bundle: Digest,
    /// SHA-256 of the bundle's file.
    pub file: Digest,
    /// Its name, as its signer says; empty where nobody has.
    pub name: String,
    /// Its counter, likewise.
    pub counter: Option<u64>,
    /// The id of the key that has signed it, in 16 hexadecimal digits, likewise.
    pub key: Option<String>,
    /// Who says that it is good.
    pub trust: Trust,
    /// How far it came.
    pub result: Stage,
}

/// A program that a slot holds and that has served on this box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// SHA-256 of all bytes of its slot.
    pub content: Digest,
    /// Its version, as it says itself.
    pub version: String,
    /// What became of its bundle; `None` of one that was never sent to this box: an image has brought it.
    pub outcome: Option<Outcome>,
}

/// Which programs the slots hold that have served on this box: the one that runs, and the one that a person may go back to. One that
/// is on trial, or that another is written over, is not among them.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Programs {
    /// That in [`Slot::A`].
    pub a: Option<Served>,
    /// That in [`Slot::B`].
    pub b: Option<Served>,
}

impl Programs {
    /// That in a slot.
    pub fn of(&self, slot: Slot) -> Option<&Served> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    /// The one that was there before that in the slot that runs; none if both slots hold the same.
    pub fn before(&self, running: Slot) -> Option<&Served> {
        let is_another = |served: &&Served| self.of(running).is_none_or(|runs| runs.content != served.content);
        self.of(running.other()).filter(is_another)
    }

    /// Notes another one in a slot, or none.
    pub fn set(&mut self, slot: Slot, served: Option<Served>) {
        match slot {
            Slot::A => self.a = served,
            Slot::B => self.b = served,
        }
    }
}

/// How far a bundle came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It is in the other slot and is tried at the next start.
    Staged,
    /// It is not taken.
    Refused(SoftwareRefusal),
    /// It runs: it got ready on trial, and is what is started from then on.
    Confirmed,
    /// It did not get ready on trial, and the program of before runs again.
    WentBack,
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;

    const EVERY: [BootState; 6] = [
        BootState { good: Slot::A, tries: 0 },
        BootState { good: Slot::A, tries: 1 },
        BootState { good: Slot::A, tries: 2 },
        BootState { good: Slot::B, tries: 0 },
        BootState { good: Slot::B, tries: 1 },
        BootState { good: Slot::B, tries: 2 },
    ];

    /// First bytes of some, computed with zlib's `crc32`.
    const GOLDEN: [(Slot, u8, [u8; 4]); 4] = [
        (Slot::A, 0, [0xd1, 0x33, 0x5e, 0xaa]),
        (Slot::B, 0, [0xcd, 0x5b, 0x1d, 0xfa]),
        (Slot::A, 2, [0x56, 0x54, 0x17, 0x6a]),
        (Slot::B, 1, [0x2e, 0x6b, 0x81, 0x77]),
    ];

    /// What `env export -c -s 0x200` writes of these variables.
    fn exported(variables: &[u8]) -> [u8; STATE_BYTES] {
        let mut sector = [0; STATE_BYTES];
        sector[4..4 + variables.len()].copy_from_slice(variables);
        let sum = checksum(&sector[4..]);
        sector[..4].copy_from_slice(&sum.to_le_bytes());
        sector
    }

    #[test]
    fn bytes_are_those_of_the_boot_loader() {
        for (good, tries, sum) in GOLDEN {
            let bytes = BootState { good, tries }.bytes();
            assert_eq!(bytes[..4], sum);
            let text = format!("good={}\0tries={tries}\0", good.name());
            assert_eq!(&bytes[4..4 + text.len()], text.as_bytes());
            assert!(bytes[4 + text.len()..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn it_is_read_as_it_is_written_and_nothing_else_is() {
        for state in EVERY {
            let bytes = state.bytes();
            assert_eq!(BootState::read(&bytes), Some(state));
            for at in 0..STATE_BYTES {
                for flip in [1, 0x80, 0xff] {
                    let mut other = bytes;
                    other[at] ^= flip;
                    assert_eq!(BootState::read(&other), None, "byte {at} of {state:?}");
                }
            }
        }
        assert_eq!(BootState { good: Slot::B, tries: 9 }.bytes(), BootState { good: Slot::B, tries: 2 }.bytes());
        assert_eq!(BootState::read(&[0; STATE_BYTES]), None, "never written");
        assert_eq!(BootState::read(&[0xff; STATE_BYTES]), None, "erased");
        let second = BootState { good: Slot::B, tries: 1 };
        assert_eq!(BootState::read(&exported(b"tries=1\0good=b\0")), Some(second), "in any order");
        for variables in [
            &b""[..],
            b"good=a\0",
            b"tries=0\0",
            b"good=c\0tries=0\0",
            b"good=a\0tries=3\0",
            b"good=a\0tries=01\0",
            b"good=a\0good=a\0tries=0\0",
            b"good=a\0tries=0\0bootcmd=x\0",
            b"good=a\0tries=0\0\0bootcmd=x\0",
            b"GOOD=a\0tries=0\0",
        ] {
            assert_eq!(BootState::read(&exported(variables)), None, "{}", variables.escape_ascii());
        }
        let full: Vec<u8> = b"good=a\0tries=0\0".iter().copied().chain([1; 493]).collect();
        assert_eq!(BootState::read(&exported(&full)), None, "no end");
    }

    #[test]
    fn the_first_copy_that_can_be_read_counts() {
        let [first, second] = [EVERY[2], EVERY[3]].map(Some);
        assert_eq!(BootState::of_copies([first, second]), EVERY[2]);
        assert_eq!(BootState::of_copies([None, second]), EVERY[3]);
        assert_eq!(BootState::of_copies([None, None]), BootState::FIRST);
    }

    #[test]
    fn the_command_line_says_what_was_started() {
        let started = |slot, is_trial| Some(Started { slot, is_trial });
        for (line, expected) in [
            ("console=tty1 quiet pumua.slot=a", started(Slot::A, false)),
            ("quiet pumua.slot=b pumua.trial=1\n", started(Slot::B, true)),
            ("pumua.trial=1  pumua.slot=b", started(Slot::B, true)),
            ("pumua.slot=b pumua.trial=0", started(Slot::B, false)),
            ("pumua.slot=c", None),
            ("pumua.slot=", None),
            ("xpumua.slot=a pumua.trial=1", None),
            ("", None),
        ] {
            assert_eq!(Started::of_command_line(line), expected, "{line}");
        }
    }

    #[test]
    fn slots_have_names_labels_and_places() {
        for slot in Slot::ALL {
            assert_eq!(Slot::of_name(slot.name()), Some(slot));
            assert_eq!((slot.other().other(), slot.other() == slot), (slot, false));
            assert_eq!(fat_label(slot).trim_ascii_end(), slot.label().as_bytes());
        }
        assert_eq!(Slot::of_name("A"), None);
        assert_eq!(fat_label(Slot::B), *b"PUMUA-B    ");
        assert_eq!(Slot::ALL.map(Slot::partition), [2, 3]);
    }
}
