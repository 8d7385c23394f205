//! Reading a file of the journal from its start to where it stops being readable.

use std::io;

use shared::verdict::{Digest, ResultRecord};
use wire::{Content, Event, EventKind, Linked};

use super::entry::{Entry, MAX_ENTRY, Unreadable};
use crate::disk::ReadAt;

/// Most places of one file at which the chain is broken that are told apart.
const MOST_BREAKS: usize = 16;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Scan {
    /// Where each result begins, in bytes.
    pub(super) results: Vec<u64>,
    /// Where each entry with a number begins, the numbers rising.
    pub(super) places: Vec<Place>,
    /// What its links say.
    pub(super) chain: Chain,
    /// How often the box had started.
    pub(super) boot: u32,
    /// Where the last readable entry begins.
    pub(super) last: u64,
    /// End of the last readable entry.
    pub(super) end: u64,
    /// What follows it.
    pub(super) tail: Tail,
}

/// Where an entry begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its number.
    pub(super) sequence: u64,
    /// In bytes.
    pub(super) at: u64,
}

/// The links of a file.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Number and link of the first entry that has one.
    pub(super) first: Option<(u64, Digest)>,
    /// Digest of the last.
    pub(super) last: Option<Digest>,
    /// Numbers of the entries that are not linked to those before them, the first few.
    pub(super) breaks: Vec<u64>,
    /// Those of which an event says so.
    pub(super) told: Vec<u64>,
}

impl Chain {
    fn follow(&mut self, linked: &Linked) {
        match self.last {
            None => self.first = Some((linked.sequence, linked.before)),
            Some(last) if last != linked.before && self.breaks.len() < MOST_BREAKS => self.breaks.push(linked.sequence),
            Some(_) => {}
        }
        self.last = Some(linked.digest());
        // All of them, or a break would be told anew at each start.
        if let Content::Event(Event { kind: EventKind::ChainBroken { at }, .. }) = linked.content {
            self.told.push(at);
        }
    }
}

/// What follows the last readable entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Clean,
    /// The beginning of an entry whose writing was cut short. It was never acknowledged.
    Torn,
    /// Bytes that may have been entries, or that cannot be read.
    Damaged,
}

/// Reads the entries of a file of `length` bytes from `start` on; the first result has the number `first`. Where the disk
/// does not give its bytes, the file is damaged as where they are wrong. `alive` is called before each reading.
pub(super) fn scan(
    file: &(impl ReadAt + ?Sized),
    length: u64,
    start: u64,
    first: u64,
    alive: &mut dyn FnMut(),
) -> Scan {
    let mut scan = Scan {
        results: Vec::new(),
        places: Vec::new(),
        chain: Chain::default(),
        boot: 0,
        last: start,
        end: start,
        tail: Tail::Clean,
    };
    let mut window = Window::default();
    while scan.end < length {
        let bytes = window.at(file, scan.end, alive).unwrap_or_default();
        let (entry, size) = match Entry::decode(bytes) {
            Ok(decoded) => decoded,
            Err(unreadable) => {
                let rest = length - scan.end;
                let withheld = (bytes.len() as u64) < rest.min(MAX_ENTRY as u64);
                scan.tail = if withheld { Tail::Damaged } else { judge(bytes, rest, unreadable) };
                break;
            }
        };
        let next = first + scan.results.len() as u64;
        let last = scan.places.last().map_or(0, |place| place.sequence);
        match &entry {
            Entry::Boot(boot) => scan.boot = *boot,
            // Numbers that are out of order are damage as well: within a file those of results have no gaps.
            Entry::Result(ResultRecord { number, .. })
            | Entry::Linked(Linked { content: Content::Result(ResultRecord { number, .. }), .. })
                if *number != next =>
            {
                scan.tail = Tail::Damaged;
                break;
            }
            Entry::Linked(linked) if linked.sequence <= last => {
                scan.tail = Tail::Damaged;
                break;
            }
            Entry::Result(record) => {
                scan.results.push(scan.end);
                if record.number > last {
                    scan.places.push(Place { sequence: record.number, at: scan.end });
                }
            }
            Entry::Linked(linked) => {
                if matches!(linked.content, Content::Result(_)) {
                    scan.results.push(scan.end);
                }
                scan.chain.follow(linked);
                scan.places.push(Place { sequence: linked.sequence, at: scan.end });
            }
        }
        scan.last = scan.end;
        scan.end += size as u64;
    }
    scan
}

/// A write that is cut short leaves a beginning of one entry, or zeros where the file grew before its bytes arrived.
/// Everything else, and above all anything that holds a readable entry, is damage and must be kept.
fn judge(bytes: &[u8], rest: u64, unreadable: Unreadable) -> Tail {
    let one_entry = rest < MAX_ENTRY as u64;
    let unwritten = unreadable == Unreadable::Short || bytes.iter().all(|&b| b == 0);
    let holds_entry = || (1..bytes.len()).any(|at| Entry::decode(&bytes[at..]).is_ok());
    if one_entry && unwritten && !holds_entry() && !Entry::is_whole_but_for_its_length(bytes) {
        Tail::Torn
    } else {
        Tail::Damaged
    }
}

/// A stretch of the file in memory, so that a long journal is read in large pieces.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    const SIZE: usize = 64 * 1024;

    /// The bytes from a position on: at least [`MAX_ENTRY`] of them unless the file ends or cannot be read further.
    fn at(&mut self, file: &(impl ReadAt + ?Sized), position: u64, alive: &mut dyn FnMut()) -> io::Result<&[u8]> {
        let held = self.start..=self.start + self.bytes.len() as u64;
        if !held.contains(&position) || *held.end() - position < MAX_ENTRY as u64 {
            self.start = position;
            alive();
            self.bytes = file.read_up_to(position, Self::SIZE)?;
        }
        Ok(&self.bytes[(position - self.start) as usize..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_break_that_an_event_tells_of_is_known() {
        let mut chain = Chain::default();
        for at in 1..=100 {
            let event = Event { boot: 1, unix_seconds: None, missed: 0, kind: EventKind::ChainBroken { at } };
            chain.follow(&Linked { sequence: 200 + at, before: Digest::default(), content: Content::Event(event) });
        }
        assert_eq!(chain.told, (1..=100).collect::<Vec<_>>());
        assert_eq!(chain.breaks.len(), MOST_BREAKS);
    }
}
