//! The times of the line, in milliseconds, and the estimate of its round trip.

use shared::appliance::line::{SLOWEST_BAUD, least_bytes_a_second};

/// A host keeps saying hello for this long before it gives up.
pub const CONNECT_FOR_MS: u64 = 6_000;
/// Time between two hellos.
pub const HELLO_EVERY_MS: u64 = 400;
/// A session that has been silent for this long may be taken over by another host.
pub const TAKEOVER_AFTER_MS: u64 = 3_000;
/// A host that says hello and then nothing may be displaced by another one after this long: its hello may have lain in an
/// adapter, and the host be gone.
pub const CONFIRM_WITHIN_MS: u64 = 1_000;
/// A host that has asked nothing for this long may be displaced by another one.
pub const IDLE_AFTER_MS: u64 = 30_000;
/// A peer that has been silent for this long is gone.
pub const DEAD_AFTER_MS: u64 = 10_000;
/// A side that has sent nothing for this long sends an acknowledgement as a sign of life.
pub const KEEP_ALIVE_MS: u64 = 1_000;
/// A host that has been turned away is there for this long after its last hello: three times until the next one.
pub const TURNED_AWAY_MS: u64 = 3 * HELLO_EVERY_MS;
/// Bytes a second that the slowest line carries at least.
pub const SLOWEST_BYTES_PER_SECOND: u64 = least_bytes_a_second(SLOWEST_BAUD);
/// An announced image of which nothing arrives for this long is dropped.
pub const IMAGE_SILENCE_MS: u64 = 8_000;
/// A box is to take the next step with a request within this time; its program ends itself half a minute later.
pub const ANSWER_WITHIN_MS: u64 = 60_000;
/// A host waits this long for the next step: a box that hangs has ended by then, and one that works has answered.
pub const GIVE_UP_AFTER_MS: u64 = 2 * ANSWER_WITHIN_MS;

/// An acknowledgement waits this long for company.
pub(super) const ACK_DELAY_MS: u64 = 100;
/// This many messages are acknowledged at once.
pub(super) const ACK_EVERY: u8 = 4;
/// This many messages in flight, or fewer, are few.
pub(super) const FEW: usize = 2;
/// A message is lost once one that was transmitted this many frames later has arrived.
pub(super) const REORDERING: u64 = 2;

const FIRST_TIMEOUT_MS: u64 = 1_000;
const SHORTEST_TIMEOUT_MS: u64 = 300;
const LONGEST_TIMEOUT_MS: u64 = 3_000;

/// Smoothed round trip and retransmission timeout as in RFC 6298, in eighths and quarters of milliseconds.
///
/// Two things differ, because a serial line has no other traffic to make way for: the back-off ends with any progress,
/// and the last few messages in flight, which nothing can be queued behind, are repeated after twice the shortest round
/// trip instead of one that a full window had to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    smoothed_x8: u64,
    variation_x4: u64,
    shortest: u64,
    timeout: u64,
    expired: u32,
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self { smoothed_x8: 0, variation_x4: 0, shortest: u64::MAX, timeout: FIRST_TIMEOUT_MS, expired: 0 }
    }
}

impl RoundTrip {
    /// Takes a measured round trip.
    pub(super) fn sample(&mut self, took: u64) {
        let took = took.min(LONGEST_TIMEOUT_MS);
        if self.shortest == u64::MAX {
            (self.smoothed_x8, self.variation_x4) = (took * 8, took * 2);
        } else {
            let deviation = (self.smoothed_x8 / 8).abs_diff(took);
            self.variation_x4 = self.variation_x4 - self.variation_x4 / 4 + deviation;
            self.smoothed_x8 = self.smoothed_x8 - self.smoothed_x8 / 8 + took;
        }
        self.shortest = self.shortest.min(took);
        let timeout = self.smoothed_x8 / 8 + self.variation_x4;
        self.timeout = timeout.clamp(SHORTEST_TIMEOUT_MS, LONGEST_TIMEOUT_MS);
    }

    /// Ends the back-off: something new has arrived.
    pub(super) fn progress(&mut self) {
        self.expired = 0;
    }

    /// A timeout has expired: doubles the next one.
    pub(super) fn back_off(&mut self) {
        self.expired = (self.expired + 1).min(4);
    }

    /// A message unacknowledged for this long is repeated; `few` if it is among the last ones in flight.
    pub(super) fn timeout(&self, few: bool) -> u64 {
        if few {
            let quick = self.shortest.saturating_mul(2).max(SHORTEST_TIMEOUT_MS);
            return quick.min(self.timeout) << self.expired.min(1);
        }
        (self.timeout << self.expired).min(LONGEST_TIMEOUT_MS)
    }

    /// The shortest round trip measured; `u64::MAX` before the first.
    pub(super) fn shortest(&self) -> u64 {
        self.shortest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_follows_the_round_trip_and_is_bounded() {
        let mut trip = RoundTrip::default();
        assert_eq!((trip.timeout(false), trip.timeout(true)), (1_000, 1_000));
        trip.sample(500);
        assert_eq!((trip.timeout(false), trip.timeout(true)), (500 + 4 * 250, 1_000));
        for _ in 0..50 {
            trip.sample(2);
        }
        assert_eq!((trip.timeout(false), trip.timeout(true)), (300, 300));
        for expected in [(600, 600), (1_200, 600), (2_400, 600), (3_000, 600), (3_000, 600)] {
            trip.back_off();
            assert_eq!((trip.timeout(false), trip.timeout(true)), expected);
        }
        trip.progress();
        assert_eq!(trip.timeout(false), 300);
        trip.sample(u64::MAX); // a clock that jumps
        assert!((300..=3_000).contains(&trip.timeout(false)));
    }
}
