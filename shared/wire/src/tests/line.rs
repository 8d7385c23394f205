//! A simulated serial line in simulated time: paced, buffered, and as bad as a test wants it.

use alloc::{vec, vec::Vec};

use super::Random;

/// How bad a line is. Probabilities are per frame written, except for `corruption`, which is per byte.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) corruption: f64,
    pub(super) loss: f64,
    pub(super) duplication: f64,
    /// A frame arrives up to 300 ms late, behind later ones.
    pub(super) reordering: f64,
    /// Up to 700 bytes of garbage come before a frame.
    pub(super) garbage: f64,
}

impl Faults {
    pub(super) const NONE: Self = Self { corruption: 0.0, loss: 0.0, duplication: 0.0, reordering: 0.0, garbage: 0.0 };
}

/// One direction.
pub(super) struct Line {
    /// Bytes a millisecond, in thousandths; 11,520 is 115,200 baud with 8N1.
    bytes_a_second: u64,
    pub(super) faults: Faults,
    pub(super) cut: bool,
    random: Random,
    /// When the last byte written so far will have left, in microseconds.
    free_at: u64,
    under_way: Vec<(u64, Vec<u8>)>,
    pub(super) written: u64,
}

/// What a serial driver takes before a write waits.
const BUFFER: u64 = 4096;

impl Line {
    pub(super) fn new(bytes_a_second: u64, faults: Faults, seed: u64) -> Self {
        let random = Random(seed);
        Self { bytes_a_second, faults, cut: false, random, free_at: 0, under_way: Vec::new(), written: 0 }
    }

    pub(super) fn has_room(&self, now: u64) -> bool {
        self.free_at.saturating_sub(now * 1000) * self.bytes_a_second / 1_000_000 < BUFFER
    }

    pub(super) fn write(&mut self, now: u64, frame: &[u8]) {
        self.written += frame.len() as u64;
        let mut bytes = frame.to_vec();
        if self.random.chance(self.faults.garbage) {
            let length = self.random.next() % 700;
            let garbage = (0..length).map(|_| self.random.next() as u8).collect();
            bytes = [garbage, bytes].concat();
        }
        for byte in &mut bytes {
            if self.random.chance(self.faults.corruption) {
                *byte ^= (self.random.next() % 255) as u8 + 1;
            }
        }
        let took = bytes.len() as u64 * 1_000_000 / self.bytes_a_second;
        self.free_at = self.free_at.max(now * 1000) + took;
        if self.cut || self.random.chance(self.faults.loss) {
            return;
        }
        let late = if self.random.chance(self.faults.reordering) { self.random.next() % 300_000 } else { 0 };
        if self.random.chance(self.faults.duplication) {
            self.under_way.push((self.free_at + late + 1, bytes.clone()));
        }
        self.under_way.push((self.free_at + late, bytes));
        self.under_way.sort_by_key(|(at, _)| *at);
    }

    /// What has arrived.
    pub(super) fn read(&mut self, now: u64) -> Vec<u8> {
        let count = self.under_way.iter().take_while(|(at, _)| *at <= now * 1000).count();
        let mut bytes = vec![];
        for (_, part) in self.under_way.drain(..count) {
            bytes.extend(part);
        }
        bytes
    }
}
