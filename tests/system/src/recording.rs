//! What a memory card is written while a machine runs, and cards as they are if the power goes at any of these writes.
//!
//! The emulator logs every write in the form of Linux's `dm-log-writes`: a sector that says so, and then for each write a sector with its
//! place, its length and its kind, and behind that what is written. A flush is a write of nothing. All numbers are in 64 bits, the lowest
//! byte first.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use anyhow::{Context, Result, ensure};

/// Bytes of a sector, of the card and of the log.
pub const SECTOR: u64 = 512;
/// How a log begins: what it is, and its version.
const HEAD: [u64; 2] = [0x006a_7366_7773_6872, 1];
/// Kinds of writes.
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// A write to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The first sector that is written.
    pub sector: u64,
    /// How many are written.
    pub sectors: u64,
    /// How many writes there were when the card was flushed for the last time before this one.
    flushed: usize,
    /// Where its bytes are in the log.
    at: u64,
}

impl Write {
    /// Whether it writes to any of these sectors.
    pub fn touches(&self, sectors: &std::ops::Range<u64>) -> bool {
        self.sector < sectors.end && sectors.start < self.sector + self.sectors
    }
}

/// What the loss of power leaves of the writes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// All of them.
    Whole,
    /// Of the last one only its beginning, which may end within a sector.
    Torn,
    /// Those before the last flush, and any of those after it.
    Scattered,
}

/// All that a card was written from the start of a machine on.
pub struct Recording {
    log: File,
    writes: Vec<Write>,
}

impl Recording {
    /// Reads a log.
    pub fn open(log: &Path) -> Result<Self> {
        let log = File::open(log)?;
        let [magic, version, entries, sector] = numbers(&log, 0).context("the log is empty")?;
        ensure!(([magic, version], sector) == (HEAD, SECTOR), "it is no log of writes in sectors of {SECTOR} bytes");
        let (mut writes, mut flushed, mut at) = (Vec::new(), 0, SECTOR);
        for _ in 0..entries {
            let [sector, sectors, kind] = numbers(&log, at)?;
            at += SECTOR;
            ensure!(kind & DISCARD == 0, "sectors are discarded: what a card then has of them is not known");
            if sectors > 0 {
                writes.push(Write { sector, sectors, flushed, at });
                at += sectors * SECTOR;
            }
            if kind & FLUSH != 0 {
                flushed = writes.len();
            }
        }
        ensure!(at <= log.metadata()?.len(), "the log has no end");
        Ok(Self { log, writes })
    }

    /// The writes, in their order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// How many of them were made when the log had this length.
    pub fn made_at(&self, length: u64) -> usize {
        self.writes.partition_point(|write| write.at + write.sectors * SECTOR <= length)
    }

    /// The first write that gives a sector a content of which this is true.
    pub fn first(&self, sector: u64, mut is_it: impl FnMut(&[u8; SECTOR as usize]) -> bool) -> Result<Option<usize>> {
        for (number, write) in self.writes.iter().enumerate() {
            if write.touches(&(sector..sector + 1)) {
                let mut bytes = [0; SECTOR as usize];
                self.log.read_exact_at(&mut bytes, write.at + (sector - write.sector) * SECTOR)?;
                if is_it(&bytes) {
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }

    /// Writes the first `count` writes to a card that is as it was before them, as far as a loss of power leaves them. `chance` gives
    /// numbers from 0 to below 1.
    pub fn play(&self, card: &File, count: usize, left: Left, mut chance: impl FnMut() -> f64) -> Result<()> {
        let writes = self.writes.get(..count).context("there are not so many writes")?;
        let flushed = writes.last().map_or(0, |last| last.flushed);
        for (number, write) in (1..).zip(writes) {
            let mut bytes = vec![0; usize::try_from(write.sectors * SECTOR)?];
            self.log.read_exact_at(&mut bytes, write.at)?;
            match left {
                Left::Torn if number == count => bytes.truncate((chance() * bytes.len() as f64) as usize),
                Left::Scattered if number > flushed && chance() < 0.5 => continue,
                _ => {}
            }
            card.write_all_at(&bytes, write.sector * SECTOR)?;
        }
        Ok(())
    }
}

/// Numbers in a file.
fn numbers<const COUNT: usize>(file: &File, at: u64) -> Result<[u64; COUNT]> {
    let mut numbers = [0; COUNT];
    for (number, at) in numbers.iter_mut().zip((at..).step_by(size_of::<u64>())) {
        let mut bytes = [0; size_of::<u64>()];
        file.read_exact_at(&mut bytes, at)?;
        *number = u64::from_le_bytes(bytes);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A sector with numbers.
    fn sector(numbers: &[u64]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.resize(SECTOR as usize, 0);
        bytes
    }

    /// Two sectors of ones at 4, a flush, a two at 5, a three at 6, a four at 4.
    fn recording(folder: &Path, kind_of_last: u64) -> Result<Recording> {
        let filled = |byte: u8, sectors: usize| vec![byte; sectors * SECTOR as usize];
        let log = [
            sector(&[HEAD[0], HEAD[1], 5, SECTOR]),
            sector(&[4, 2, 0, 0]),
            filled(1, 2),
            sector(&[0, 0, FLUSH, 0]),
            sector(&[5, 1, 0, 0]),
            filled(2, 1),
            sector(&[6, 1, 0, 0]),
            filled(3, 1),
            sector(&[4, 1, kind_of_last, 0]),
            filled(4, 1),
        ];
        let path = folder.join("log");
        fs::write(&path, log.concat())?;
        Recording::open(&path)
    }

    /// The first bytes of sectors 4 to 6, and the last one of sector 4, on an empty card after some of the writes.
    fn played(recording: &Recording, count: usize, left: Left, chances: &[f64]) -> [u8; 4] {
        let card = tempfile::tempfile().unwrap();
        card.set_len(8 * SECTOR).unwrap();
        let mut chances = chances.iter();
        recording.play(&card, count, left, || *chances.next().unwrap()).unwrap();
        [4 * SECTOR, 5 * SECTOR, 6 * SECTOR, 5 * SECTOR - 1].map(|at| {
            let mut byte = [0];
            card.read_exact_at(&mut byte, at).unwrap();
            byte[0]
        })
    }

    #[test]
    fn a_card_has_what_was_written_before_the_power_went() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), 0).unwrap();
        let places: Vec<_> =
            recording.writes().iter().map(|write| (write.sector, write.sectors, write.flushed)).collect();
        assert_eq!(places, [(4, 2, 0), (5, 1, 1), (6, 1, 1), (4, 1, 1)]);
        for (count, expected) in
            [[0; 4], [1, 1, 0, 1], [1, 2, 0, 1], [1, 2, 3, 1], [4, 2, 3, 4]].into_iter().enumerate()
        {
            assert_eq!(played(&recording, count, Left::Whole, &[]), expected, "after {count}");
        }
        assert_eq!(played(&recording, 4, Left::Torn, &[0.5]), [4, 2, 3, 1], "half of the last one");
        assert_eq!(played(&recording, 1, Left::Torn, &[0.75]), [1, 1, 0, 1], "one sector and a half");
        assert_eq!(played(&recording, 1, Left::Torn, &[0.25]), [1, 0, 0, 0], "half a sector");
        assert_eq!(played(&recording, 4, Left::Scattered, &[0.9, 0.1, 0.9]), [4, 2, 0, 4], "one is lost");
        assert_eq!(played(&recording, 4, Left::Scattered, &[0.0; 3]), [1, 1, 0, 1], "what was flushed is there");
        assert!(recording.play(&tempfile::tempfile().unwrap(), 5, Left::Whole, || 0.0).is_err());
    }

    #[test]
    fn writes_are_found_by_what_they_write_and_when() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), 0).unwrap();
        assert_eq!(recording.first(5, |bytes| bytes[0] > 0).unwrap(), Some(0));
        assert_eq!(recording.first(5, |bytes| bytes[0] > 1).unwrap(), Some(1));
        assert_eq!(recording.first(7, |_| true).unwrap(), None);
        let made = [0, 4, 6, 7, 9].map(|sectors| recording.made_at(sectors * SECTOR));
        assert_eq!(made, [0, 1, 1, 2, 3]);
        assert!(recording.writes()[0].touches(&(5..9)) && !recording.writes()[0].touches(&(6..9)));
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(recording(folder.path(), DISCARD).is_err(), "nobody knows what is there then");
        let path = folder.path().join("log");
        for bytes in [vec![], vec![0; 4096], sector(&[HEAD[0], HEAD[1], 1, SECTOR])] {
            fs::write(&path, bytes).unwrap();
            assert!(Recording::open(&path).is_err());
        }
    }
}
